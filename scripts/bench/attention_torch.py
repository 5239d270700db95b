"""PyTorch's side of attention.lua: the same attention, one JSON line a case."""
import argparse
import json
import time

import torch
import torch.nn.functional as F


def make(name):
    t = int("".join(c for c in name.split("_")[1 if name.startswith("b8") else 0] if c.isdigit()))
    batch, queries = (8 if name.startswith("b8") else 1), (1 if name.startswith("step") else t)
    back, causal = "_back" in name, name.endswith("_causal")
    q = torch.randn(batch, 8, queries, 64, requires_grad=back)
    k, v = (torch.randn(batch, 8, t, 64, requires_grad=back) for _ in range(2))
    g = torch.randn(batch, 8, queries, 64)
    work = 4 * batch * 8 * queries * t * 64 * (3.5 if back else 1)

    def call():
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        if back:
            q.grad = k.grad = v.grad = None
            y.backward(g)
    return call, max(1, min(200, int(2e8 / work) + 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", default="")
    parser.add_argument("--time", type=float, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    for name in args.cases.split(","):
        call, inner = make(name)
        for _ in range(2 * inner):
            call()
        times, stop = [], time.perf_counter() + args.time
        while len(times) < 5 or (time.perf_counter() < stop and len(times) < 2000):
            start = time.perf_counter()
            for _ in range(inner):
                call()
            times.append((time.perf_counter() - start) / inner)
        times.sort()
        n = len(times)
        median = (times[(n - 1) // 2] + times[n // 2]) / 2
        print(json.dumps({"case": name, "threads": args.threads, "ms_median": median * 1e3, "ms_min": times[0] * 1e3, "reps": n}))


main()
