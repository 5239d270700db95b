"""Attention and the encodings of positions. PyTorch has no rope, sinusoids or alibi: they stand here as their papers say."""
import math

import torch
import torch.nn.functional as F

from sweep import Values


def attend(query, key, value, mask=None, p=0.0, causal=False, scale=None, gqa=False):
    if causal and mask is not None:  # which PyTorch's function refuses, though its kernels do it
        low = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        mask = mask & low if mask.dtype == torch.bool else mask.masked_fill(~low, -math.inf)
        causal = False
    return F.scaled_dot_product_attention(query, key, value, mask, p, causal, scale=scale, enable_gqa=gqa)


def rope(x, base=10000.0, offset=0, interleaved=True, inverse=False):
    t, e = x.shape[-2:]
    angle = (torch.arange(t, dtype=x.dtype) + offset)[:, None] * base ** (-torch.arange(0, e, 2, dtype=x.dtype) / e)
    c, s = angle.cos(), angle.sin() * (-1 if inverse else 1)
    a, b = (x[..., ::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    u, v = a * c - b * s, b * c + a * s
    return torch.stack((u, v), -1).flatten(-2) if interleaved else torch.cat((u, v), -1)


def sinusoids(length, width, base=10000.0, offset=0):
    t = torch.arange(length, dtype=torch.float64)[:, None] + offset
    table = torch.zeros(length, width, dtype=torch.float64)
    angle = t * torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(base) / max(width, 1)))
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()[:, :width // 2]
    return table.float()


def slopes(n):
    def power(n):
        return [2 ** (-8 * (i + 1) / n) for i in range(n)]
    if math.log2(n).is_integer():
        return power(n)
    closest = 2 ** math.floor(math.log2(n))
    return power(closest) + slopes(2 * closest)[0::2][:n - closest]


def alibi(heads, queries, keys=None):
    keys = queries if keys is None else keys
    i, j = torch.arange(keys - queries, keys), torch.arange(keys)
    return -torch.tensor(slopes(heads))[:, None, None] * (i[:, None] - j).abs()


def cases(s):
    r = s.random
    for n in range(60):
        batch = s.shape(0, 3, 3)
        length, keys, width, values = r.choice([1, 3, 5, 13]), r.choice([1, 4, 7, 40]), r.choice([1, 3, 8, 16]), r.choice([2, 5, 16])
        kv = [1 if r.random() < 0.2 else b for b in batch]
        kind = n % 6
        mask = None
        if kind in (1, 4):
            mask = s.b(r.choice([batch, [1] * len(batch), []]) + [r.choice([1, length]), keys])
        elif kind in (2, 5):
            mask = s.t(r.choice([batch, []]) + [r.choice([1, length]), keys], -1.0, 1.0)
        causal = kind in (3, 4, 5)
        s.case("scaled_dot_product_attention", s.t(batch + [length, width]), s.t(kv + [keys, width]), s.t(kv + [keys, values]), mask, 0.0, causal,
               r.choice([None, 0.3]), fn=attend)
    for n in range(20):
        group, heads = r.choice([1, 2, 3]), r.choice([1, 2])
        batch, length, keys = s.shape(0, 2, 2), r.choice([1, 4, 9]), r.choice([3, 9])
        s.case("scaled_dot_product_attention", s.t(batch + [heads * group, length, 4]), s.t(batch + [heads, keys, 4]), s.t(batch + [heads, keys, 3]),
               s.b([length, keys]) if n % 3 == 1 else None, 0.0, n % 2 == 1, None, True, fn=attend)
    for causal in (False, True):  # several blocks of queries and of keys
        for length, keys, width in ((200, 300, 5), (300, 270, 8), (7, 600, 4), (260, 20, 3)):
            s.case("scaled_dot_product_attention", s.t([2, length, width], layout=""), s.t([2, keys, width], layout="T"),
                   s.t([2, keys, 4], layout="S"), None, 0.0, causal, fn=attend)
    low = [[-math.inf] * 5, [0.0, -math.inf, 1.0, -math.inf, 0.5], [0.0] * 5]
    for mask in (Values(low), Values([[False] * 5, [True] * 5, [False, True, False, False, True]], "bool")):
        s.case("scaled_dot_product_attention", s.t([2, 3, 4]), s.t([2, 5, 4]), s.t([2, 5, 4]), mask, fn=attend)
    for _ in range(25):
        x = s.t(s.shape(0, 2, 3) + [r.choice([1, 2, 17, 40]), 2 * r.choice([1, 2, 5, 16])])
        s.case("rope", x, r.choice([10000.0, 100.0]), r.choice([0, 3, 500]), r.random() < 0.5, r.random() < 0.3, fn=rope)
    for _ in range(15):
        s.case("sinusoids", r.choice([1, 5, 30]), r.choice([1, 2, 7, 16]), r.choice([10000.0, 100.0]), r.choice([0, 9]), fn=sinusoids, f32=False)
    for n in list(range(1, 9)) + [12, 16, 20]:
        s.case("alibi_slopes", n, fn=lambda n: torch.tensor(slopes(n)), f32=False)
        s.case("alibi", n, r.choice([1, 4]), r.choice([None, 6]), fn=alibi, f32=False)
