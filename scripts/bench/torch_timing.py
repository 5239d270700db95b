"""What PyTorch's sides of the benchmarks share: the options that run.lua passes, and the timing of a case."""
import argparse
import json
import time

import torch


def run(make, names=(), calls=1):
    """Times make(name)() for each of the --cases (names: all there are), `calls` at a time or as many as make gives
    behind the function, and prints one JSON line a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", default=",".join(names))
    parser.add_argument("--time", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    for name in args.cases.split(","):
        made = make(name)
        f, n = made if isinstance(made, tuple) else (made, calls)
        for _ in range(2 * n):
            f()
        times, stop = [], time.perf_counter() + args.time
        while len(times) < 5 or (time.perf_counter() < stop and len(times) < 5000):
            start = time.perf_counter()
            for _ in range(n):
                f()
            times.append((time.perf_counter() - start) / n)
        times.sort()
        median = (times[(len(times) - 1) // 2] + times[len(times) // 2]) / 2
        print(json.dumps({"case": name, "threads": args.threads, "ms_median": median * 1e3, "ms_min": times[0] * 1e3, "reps": len(times)}))
