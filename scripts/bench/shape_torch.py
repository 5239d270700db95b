"""PyTorch's side of shape.lua: the same cases on the same shapes, one JSON line a case. Positions count from 0."""

import torch
import torch.nn.functional as F

from torch_timing import run


def embedding_step(w, i):
    w.grad = None
    F.embedding(i, w).sum().backward()


def reflect_step(x):
    x.grad = None
    F.pad(x, (3, 3, 3, 3), "reflect").sum().backward()


def masked(x):
    return x, x > 0.5


def put(x, m):
    x[m] = 0.75


# name: what makes the arguments, what is timed
cases = {
    "transpose_1024": (lambda: (torch.rand(1024, 1024),), lambda x: x.t().contiguous()),
    "transpose_4096": (lambda: (torch.rand(4096, 4096),), lambda x: x.t().contiguous()),
    "transpose_4096_f64": (lambda: (torch.rand(2048, 2048, dtype=torch.float64),), lambda x: x.t().contiguous()),
    "nchw_to_nhwc": (lambda: (torch.rand(16, 64, 56, 56),), lambda x: x.permute(0, 2, 3, 1).contiguous()),
    "nhwc_to_nchw": (lambda: (torch.rand(16, 56, 56, 64),), lambda x: x.permute(0, 3, 1, 2).contiguous()),
    "heads": (lambda: (torch.rand(8, 256, 12, 64),), lambda x: x.transpose(1, 2).contiguous()),
    "permute_all": (lambda: (torch.rand(32, 48, 40, 36),), lambda x: x.permute(3, 2, 1, 0).contiguous()),
    "strided_half": (lambda: (torch.rand(2048, 2048),), lambda x: x[:, ::2].contiguous()),
    "expand_copy": (lambda: (torch.rand(1024, 1),), lambda x: x.expand(1024, 1024).contiguous()),
    "cat_rows": (lambda: (torch.rand(512, 1024), torch.rand(512, 1024)), lambda x, y: torch.cat([x, y], 0)),
    "cat_columns": (lambda: (torch.rand(4096, 64), torch.rand(4096, 64)), lambda x, y: torch.cat([x, y], 1)),
    "stack_last": (lambda: (torch.rand(512, 512), torch.rand(512, 512)), lambda x, y: torch.stack([x, y], -1)),
    "index_select_rows": (lambda: (torch.rand(10000, 784), torch.randint(10000, (1024,))), lambda x, i: x.index_select(0, i)),
    "index_select_columns": (lambda: (torch.rand(1024, 1024), torch.randint(1024, (512,))), lambda x, i: x.index_select(1, i)),
    "gather_rows": (lambda: (torch.rand(1024, 1024), torch.randint(1024, (1024, 256))), lambda x, i: x.gather(1, i)),
    "gather_down": (lambda: (torch.rand(1024, 1024), torch.randint(1024, (256, 1024))), lambda x, i: x.gather(0, i)),
    "take": (lambda: (torch.rand(1000000), torch.randint(1000000, (500000,))), lambda x, i: x[i]),
    "scatter_add_rows": (lambda: (torch.zeros(1024, 1024), torch.randint(1024, (1024, 512)), torch.rand(1024, 512)),
        lambda x, i, y: x.scatter_add_(1, i, y)),
    "scatter_add_down": (lambda: (torch.zeros(1024, 1024), torch.randint(1024, (512, 1024)), torch.rand(512, 1024)),
        lambda x, i, y: x.scatter_add_(0, i, y)),
    "scatter_add_1d": (lambda: (torch.zeros(10000), torch.randint(10000, (500000,)), torch.rand(500000)),
        lambda x, i, y: x.scatter_add_(0, i, y)),
    "index_add_rows": (lambda: (torch.zeros(5000, 256), torch.randint(5000, (8192,)), torch.rand(8192, 256)),
        lambda x, i, y: x.index_add_(0, i, y)),
    "embedding_step": (lambda: (torch.rand(5000, 256, requires_grad=True), torch.randint(5000, (8, 512))), embedding_step),
    "masked_select": (lambda: masked(torch.rand(1024, 1024)), lambda x, m: x.masked_select(m)),
    "masked_fill": (lambda: masked(torch.rand(1024, 1024)), lambda x, m: x.masked_fill(m, 0.0)),
    "nonzero": (lambda: (torch.rand(1024, 1024) > 0.5,), lambda m: m.nonzero()),
    "mask_index_put": (lambda: masked(torch.rand(1024, 1024)), put),
    "pad_constant": (lambda: (torch.rand(16, 64, 56, 56),), lambda x: F.pad(x, (1, 1, 1, 1))),
    "pad_reflect": (lambda: (torch.rand(16, 64, 56, 56),), lambda x: F.pad(x, (3, 3, 3, 3), "reflect")),
    "pad_reflect_step": (lambda: (torch.rand(16, 64, 56, 56, requires_grad=True),), reflect_step),
    "roll": (lambda: (torch.rand(1024, 1024),), lambda x: x.roll((5, 7), (0, 1))),
    "flip": (lambda: (torch.rand(1024, 1024),), lambda x: x.flip(0, 1)),
    "tile": (lambda: (torch.rand(256, 256),), lambda x: x.repeat(4, 4)),
    "repeat_interleave": (lambda: (torch.rand(256, 1024),), lambda x: x.repeat_interleave(4, 0)),
    "diag_embed": (lambda: (torch.rand(64, 128),), lambda x: x.diag_embed()),
    "tril": (lambda: (torch.rand(1024, 1024),), lambda x: x.tril()),
}


def time_of(name):
    make, call = cases[name]
    args = make()
    return lambda: call(*args)


run(time_of, cases)
