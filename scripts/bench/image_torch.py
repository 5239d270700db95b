"""PyTorch's side of image.lua: the same shapes, one JSON line a case."""
import torch
import torch.nn.functional as F

from torch_timing import run


def turned(n, size):
    theta = torch.tensor([[0.9, -0.3, 0.1], [0.3, 0.9, -0.1]]).expand(n, 2, 3).contiguous()
    return F.affine_grid(theta, size, align_corners=False)


def sample(mode):
    return lambda x, places: F.grid_sample(x, places, mode=mode, align_corners=False)


SHAPES = {
    "affine_grid": ([64, 3, 64, 64], lambda x, places: turned(x.shape[0], list(x.shape))),
    "augment": ([64, 3, 64, 64], sample("bilinear")),
    "digits": ([128, 1, 28, 28], sample("bilinear")),
    "warp": ([8, 64, 32, 32], sample("bilinear")),
    "nearest": ([8, 64, 32, 32], sample("nearest")),
    "bicubic": ([8, 16, 32, 32], sample("bicubic")),
    "up2": ([16, 64, 32, 32], lambda x, places: F.interpolate(x, scale_factor=2)),
    "bilinear2": ([16, 64, 32, 32], lambda x, places: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "bicubic2": ([16, 16, 32, 32], lambda x, places: F.interpolate(x, scale_factor=2, mode="bicubic")),
    "max2": ([64, 32, 28, 28], lambda x, places: F.max_pool2d(x, 2)),
    "max3": ([64, 64, 32, 32], lambda x, places: F.max_pool2d(x, 3, 2, 1)),
    "avg2": ([64, 32, 28, 28], lambda x, places: F.avg_pool2d(x, 2)),
    "global": ([64, 128, 8, 8], lambda x, places: F.adaptive_avg_pool2d(x, 1)),
}
GRIDS = ("augment", "digits", "warp", "nearest", "bicubic")


def make(name):
    base = name.removesuffix("_back")
    size, f = SHAPES[base]
    x = torch.randn(size)
    places = turned(size[0], size) if base in GRIDS else None
    if base == name:
        return lambda: f(x, places)
    x.requires_grad_(True)
    if places is not None:
        places.requires_grad_(True)
    g = torch.ones_like(f(x, places))

    def step():
        x.grad = None
        if places is not None:
            places.grad = None
        f(x, places).backward(g)
    return step


run(make, [name + end for name in SHAPES for end in ("", "_back") if name + end != "affine_grid_back"])
