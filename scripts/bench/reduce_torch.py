"""PyTorch's side of reduce.lua: the same calls, one JSON line a case."""
import torch

from torch_timing import run

inputs = {"long": torch.randn(1000000), "rows": torch.randn(1000, 1000)}
calls = {
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1),
    "max": lambda x: x.amax(-1),
    "argmax": lambda x: x.argmax(-1),
    "cumsum": lambda x: x.cumsum(-1),
    "sort": lambda x: x.sort(-1),
    "topk": lambda x: x.topk(10, -1),
    "median": lambda x: x.median(-1),
}


def make(name):
    op, kind = name.split("_")
    return lambda: calls[op](inputs[kind])


run(make, [op + "_" + kind for op in calls for kind in inputs])
