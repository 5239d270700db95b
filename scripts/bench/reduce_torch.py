"""PyTorch's side of reduce.lua: the same calls, one JSON line a case."""
import argparse
import json
import time

import torch

options = argparse.ArgumentParser()
options.add_argument("--cases", required=True)
options.add_argument("--time", type=float, default=1)
options.add_argument("--threads", type=int, default=1)
options = options.parse_args()
torch.set_num_threads(options.threads)
torch.manual_seed(0)

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

for op, call in calls.items():
    for kind, x in inputs.items():
        name = op + "_" + kind
        if name not in options.cases.split(","):
            continue
        call(x)
        times, stop = [], time.perf_counter() + options.time
        while len(times) < 5 or time.perf_counter() < stop and len(times) < 5000:
            start = time.perf_counter()
            call(x)
            times.append(time.perf_counter() - start)
        times.sort()
        print(json.dumps({"case": name, "threads": options.threads, "ms_median": round(times[len(times) // 2] * 1e3, 4),
                          "ms_min": round(times[0] * 1e3, 4), "reps": len(times)}))
