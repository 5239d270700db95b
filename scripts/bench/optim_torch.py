"""PyTorch's side of optim.lua: the same parameters, one JSON line a case. Fused implementations where PyTorch has them."""
import argparse
import json
import time

import torch

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--time", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.cases.split(","):
        rule, options = CASES[name]
        tensors = parameters(name == "muon")
        if rule:
            step = rule(tensors, **options).step
        else:
            def step():
                torch.nn.utils.clip_grad_norm_(tensors, 1e9)
        for _ in range(10):
            step()
        times, stop = [], time.perf_counter() + args.time
        while len(times) < 5 or (time.perf_counter() < stop and len(times) < 2000):
            start = time.perf_counter()
            for _ in range(5):
                step()
            times.append((time.perf_counter() - start) / 5)
        times.sort()
        n = len(times)
        median = (times[(n - 1) // 2] + times[n // 2]) / 2
        print(json.dumps({"case": name, "threads": args.threads, "ms_median": median * 1e3, "ms_min": times[0] * 1e3, "reps": n}))


main()
