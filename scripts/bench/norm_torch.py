"""PyTorch's side of norm.lua: the same shapes, one JSON line a case."""
import torch
import torch.nn.functional as F

from torch_timing import run


def image(grad):
    return (torch.randn(64, 32, 28, 28, requires_grad=grad), torch.ones(32, requires_grad=grad), torch.zeros(32, requires_grad=grad))


def with_backward(f, *leaves):
    g = torch.randn_like(f(*leaves))
    return lambda: torch.autograd.grad(f(*leaves), leaves, g)


def forward(f, *args):
    def call():
        with torch.no_grad():
            return f(*args)
    return call


def batch(x, w, b):
    return F.batch_norm(x, None, None, w, b, True)


def group(x, w, b):
    return F.group_norm(x, 8, w, b)


def rows():
    return torch.randn(512, 1024, requires_grad=True), torch.ones(1024, requires_grad=True), torch.zeros(1024, requires_grad=True)


def ctc():
    x, t = torch.randn(150, 32, 40).log_softmax(-1).requires_grad_(True), torch.randint(1, 40, (32, 30))
    times, lengths = torch.full((32,), 150), torch.full((32,), 30)
    return lambda: torch.autograd.grad(F.ctc_loss(x, t, times, lengths), x)


CASES = {
    "batch_norm": lambda: forward(batch, *image(False)),
    "batch_norm_backward": lambda: with_backward(batch, *image(True)),
    "group_norm": lambda: forward(group, *image(False)),
    "group_norm_backward": lambda: with_backward(group, *image(True)),
    "batch_norm_rows": lambda: with_backward(batch, *rows()),
    "rms_norm_backward": lambda: with_backward(lambda x, w: F.rms_norm(x, [1024], w), *rows()[:2]),
    "ctc_backward": ctc,
}

run(lambda name: CASES[name](), CASES, 5)
