"""PyTorch's side of conv.lua: the same shapes, one JSON line a case."""
import torch
import torch.nn.functional as F

from torch_timing import run

SHAPES = {
    "lenet1": ("conv2d", 128, 1, 28, 6, 5, {"padding": 2}),
    "lenet2": ("conv2d", 128, 6, 14, 16, 5, {}),
    "first3": ("conv2d", 64, 1, 28, 32, 3, {"padding": 1}),
    "wide5": ("conv2d", 64, 32, 14, 64, 5, {"padding": 2}),
    "mid3": ("conv2d", 64, 32, 28, 32, 3, {"padding": 1}),
    "large3": ("conv2d", 64, 64, 32, 64, 3, {"padding": 1}),
    "deep3": ("conv2d", 64, 128, 16, 128, 3, {"padding": 1}),
    "small3": ("conv2d", 64, 128, 8, 128, 3, {"padding": 1}),
    "strided4": ("conv2d", 64, 64, 14, 128, 4, {"stride": 2, "padding": 1}),
    "point": ("conv2d", 64, 128, 16, 128, 1, {}),
    "depthwise3": ("conv2d", 64, 64, 28, 64, 3, {"padding": 1, "groups": 64}),
    "up4": ("conv_transpose2d", 64, 128, 7, 64, 4, {"stride": 2, "padding": 1}),
    "up_last": ("conv_transpose2d", 64, 64, 14, 1, 4, {"stride": 2, "padding": 1}),
    "seed4": ("conv_transpose2d", 64, 100, 1, 128, 7, {}),
    "verdict": ("conv2d", 64, 128, 7, 1, 7, {}),
    "conv1d": ("conv1d", 32, 64, 400, 64, 5, {"padding": 2}),
}


def make(name):
    op, n, c, size, o, k, options = SHAPES[name.removesuffix("_back")]
    back = name.endswith("_back")
    nd = 1 if "1d" in op else 2
    x = torch.randn([n, c] + [size] * nd)
    w = torch.randn(([c, o] if "transpose" in op else [o, c // options.get("groups", 1)]) + [k] * nd)
    b = torch.randn(o)
    f = getattr(F, op)
    if not back:
        return lambda: f(x, w, b, **options)
    for t in (x, w, b):
        t.requires_grad_(True)
    g = torch.ones_like(f(x, w, b, **options))

    def step():
        x.grad = w.grad = b.grad = None
        f(x, w, b, **options).backward(g)
    return step


run(make, [name + end for name in SHAPES for end in ("", "_back")])
