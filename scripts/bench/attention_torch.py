"""PyTorch's side of attention.lua: the same attention, one JSON line a case."""
import torch
import torch.nn.functional as F

from torch_timing import run


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


run(make)
