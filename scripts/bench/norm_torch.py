"""PyTorch's side of norm.lua: the same shapes, one JSON line a case."""
import argparse
import json
import time

import torch
import torch.nn.functional as F


def image(grad):
    return (torch.randn(64, 32, 28, 28, requires_grad=grad), torch.ones(32, requires_grad=grad), torch.zeros(32, requires_grad=grad))


def with_backward(f, *leaves):
    g = torch.randn_like(f(*leaves))
    return lambda: torch.autograd.grad(f(*leaves), leaves, g)


def forward(f, *args):
    def run():
        with torch.no_grad():
            return f(*args)
    return run


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--time", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.cases.split(","):
        f = CASES[name]()
        for _ in range(10):
            f()
        times, stop = [], time.perf_counter() + args.time
        while len(times) < 5 or (time.perf_counter() < stop and len(times) < 2000):
            start = time.perf_counter()
            for _ in range(5):
                f()
            times.append((time.perf_counter() - start) / 5)
        times.sort()
        n = len(times)
        median = (times[(n - 1) // 2] + times[n // 2]) / 2
        print(json.dumps({"case": name, "threads": args.threads, "ms_median": median * 1e3, "ms_min": times[0] * 1e3, "reps": n}))


main()
