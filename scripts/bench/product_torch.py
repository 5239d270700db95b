"""PyTorch's side of product.lua: the same shapes, one JSON line a case."""
import math

import torch

from torch_timing import run

r = torch.rand
CASES = {
    "square64": lambda: (r(64, 64), r(64, 64)),
    "square256": lambda: (r(256, 256), r(256, 256)),
    "square1024": lambda: (r(1024, 1024), r(1024, 1024)),
    "tall": lambda: (r(8192, 64), r(64, 64)),
    "wide": lambda: (r(64, 64), r(64, 8192)),
    "deep": lambda: (r(64, 8192), r(8192, 64)),
    "row": lambda: (r(1, 1024), r(1024, 1024)),
    "column": lambda: (r(1024, 1024), r(1024, 1)),
    "row_turned": lambda: (r(1, 1024), r(1024, 1024).t()),
    "few_rows": lambda: (r(8, 1024), r(1024, 1024)),
    "batch": lambda: (r(64, 32, 32), r(64, 32, 32)),
    "batch_one": lambda: (r(64, 32, 32), r(32, 32)),
    "attention": lambda: (r(8, 8, 128, 64), r(8, 8, 128, 64).mT),
    "turned": lambda: (r(256, 256).t(), r(256, 256).t()),
    "strided": lambda: (r(256, 512)[:, ::2], r(256, 256)),
}


def make(name):
    x, w = CASES[name]()
    return lambda: x @ w, max(1, min(1000, math.ceil(2e8 / (2 * x.numel() * w.shape[-1]))))


torch.set_grad_enabled(False)
run(make, CASES)
