"""PyTorch's side of product.lua: the same shapes, one JSON line a case."""
import argparse
import json
import math
import time

import torch

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--time", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    for name in args.cases.split(","):
        x, w = CASES[name]()
        inner = max(1, min(1000, math.ceil(2e8 / (2 * x.numel() * w.shape[-1]))))
        for _ in range(2 * inner):
            x @ w
        times, stop = [], time.perf_counter() + args.time
        while len(times) < 5 or (time.perf_counter() < stop and len(times) < 2000):
            start = time.perf_counter()
            for _ in range(inner):
                x @ w
            times.append((time.perf_counter() - start) / inner)
        times.sort()
        n = len(times)
        median = (times[(n - 1) // 2] + times[n // 2]) / 2
        print(json.dumps({"case": name, "threads": args.threads, "ms_median": median * 1e3, "ms_min": times[0] * 1e3, "reps": n}))


main()
