"""PyTorch's side of recurrent.lua: the same shapes, one JSON line a case."""
import torch

from torch_timing import run

SHAPES = {"one": (50, 1, 64, 64), "small": (100, 32, 64, 128), "middle": (64, 64, 128, 256), "long": (512, 16, 64, 128)}


def forward(kind, T, B, I, H):
    model, x = getattr(torch.nn, kind)(I, H), torch.randn(T, B, I)

    def call():
        with torch.no_grad():
            return model(x)
    return call


def step(kind, T, B, I, H):
    model, x, g = getattr(torch.nn, kind)(I, H), torch.randn(T, B, I, requires_grad=True), torch.randn(T, B, H)
    leaves = list(model.parameters()) + [x]
    return lambda: torch.autograd.grad(model(x)[0], leaves, g)


CASES = {"%s_%s_%s" % (kind.lower(), shape, name): (f, kind, sizes)
         for kind in ("LSTM", "GRU") for shape, sizes in SHAPES.items() for name, f in (("forward", forward), ("step", step))}


def make(name):
    f, kind, sizes = CASES[name]
    return f(kind, *sizes)


run(make, CASES)
