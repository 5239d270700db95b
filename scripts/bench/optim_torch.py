"""PyTorch's side of optim.lua: the same parameters, one JSON line a case. Fused implementations where PyTorch has them."""

import torch

from torch_timing import run

o = torch.optim
CASES = {
    "sgd": (o.SGD, dict(lr=0.001, fused=True)),
    "sgd_momentum": (o.SGD, dict(lr=0.001, momentum=0.9, fused=True)),
    "adam": (o.Adam, dict(fused=True)),
    "adam_amsgrad": (o.Adam, dict(amsgrad=True, fused=True)),
    "adamw": (o.AdamW, dict(fused=True)),
    "nadam": (o.NAdam, {}),
    "radam": (o.RAdam, {}),
    "adamax": (o.Adamax, {}),
    "rmsprop": (o.RMSprop, {}),
    "rmsprop_centered": (o.RMSprop, dict(centered=True, momentum=0.9)),
    "adagrad": (o.Adagrad, dict(fused=True)),
    "adadelta": (o.Adadelta, {}),
    "rprop": (o.Rprop, {}),
    "asgd": (o.ASGD, {}),
    "adafactor": (o.Adafactor, {}),
    "muon": (o.Muon, {}),
    "clip": (None, {}),
}


def parameters(matrices_only):
    tensors = []
    for _ in range(4):
        tensors.append(torch.nn.Parameter(torch.randn(500, 500) * 0.05))
        if not matrices_only:
            tensors.append(torch.nn.Parameter(torch.zeros(500)))
    for p in tensors:
        p.grad = torch.randn_like(p)
    return tensors


def make(name):
    rule, options = CASES[name]
    tensors = parameters(name == "muon")
    return rule(tensors, **options).step if rule else lambda: torch.nn.utils.clip_grad_norm_(tensors, 1e9)


run(make, CASES, 5)
