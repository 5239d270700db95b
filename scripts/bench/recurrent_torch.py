"""PyTorch's side of recurrent.lua: the same shapes, one JSON line a case."""
import argparse
import json
import time

import torch

SHAPES = {"one": (50, 1, 64, 64), "small": (100, 32, 64, 128), "middle": (64, 64, 128, 256), "long": (512, 16, 64, 128)}


def forward(kind, T, B, I, H):
    model, x = getattr(torch.nn, kind)(I, H), torch.randn(T, B, I)

    def run():
        with torch.no_grad():
            return model(x)
    return run


def step(kind, T, B, I, H):
    model, x, g = getattr(torch.nn, kind)(I, H), torch.randn(T, B, I, requires_grad=True), torch.randn(T, B, H)
    leaves = list(model.parameters()) + [x]
    return lambda: torch.autograd.grad(model(x)[0], leaves, g)


CASES = {"%s_%s_%s" % (kind.lower(), shape, name): (f, kind, sizes)
         for kind in ("LSTM", "GRU") for shape, sizes in SHAPES.items() for name, f in (("forward", forward), ("step", step))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--time", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.cases.split(","):
        make, kind, sizes = CASES[name]
        f = make(kind, *sizes)
        for _ in range(3):
            f()
        times, stop = [], time.perf_counter() + args.time
        while len(times) < 5 or (time.perf_counter() < stop and len(times) < 2000):
            start = time.perf_counter()
            f()
            times.append(time.perf_counter() - start)
        times.sort()
        n = len(times)
        median = (times[(n - 1) // 2] + times[n // 2]) / 2
        print(json.dumps({"case": name, "threads": args.threads, "ms_median": median * 1e3, "ms_min": times[0] * 1e3, "reps": n}))


main()
