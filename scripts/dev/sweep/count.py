"""Counting and sets: histograms, bincount, unique, searching, membership."""
import torch
from sweep import Dim, Values

NAN, INF = float("nan"), float("inf")


def cases(s):
    for _ in range(30):
        shape = s.shape(0, 3, 6)
        lo, hi = s.choice((0, 0), (-1, 1), (-0.5, 1.75), (0, 2))
        s.case("histc", s.t(shape, grad=False), s.choice(1, 3, 7, 10), lo, hi)
        kind = s.choice("bins", "range", "edges")
        weight = s.t(shape, 0.5, 2, grad=False) if s.random.random() < 0.4 else None
        density = s.choice(True, False)
        x = s.t(shape, grad=False)
        if kind == "edges":
            edges = Values(s.choice([-1.0, 0.0, 0.25, 2.0], [-2.0, 2.0], [-0.5, 0.5, 0.5, 1.0]))
            density = density and edges.values[1] != edges.values[2:3]
            s.case("histogram", x, edges, None, None, weight, False, fn=lambda x, e, a, b, w, d: torch.histogram(x, e, weight=w, density=d))
        else:
            r = (-1.0, 1.5) if kind == "range" else (None, None)
            s.case("histogram", x, s.choice(1, 4, 9), r[0], r[1], weight, density,
                   fn=lambda x, n, a, b, w, d: torch.histogram(x, n, range=(a, b) if a is not None else None, weight=w, density=d))
    s.case("histc", Values([0.0, 0.1, 0.2, 0.3, 0.7, 1.0, 1.0, NAN, INF, -0.1, 1.1]), 10, 0, 1)
    s.case("histc", Values([2.0, 2.0]), 4)
    s.case("histogram", Values([0.0, 0.1, 0.2, 0.3, 0.7, 1.0, 1.0, NAN, INF]), 10, 0.0, 1.0, fn=lambda x, n, a, b: torch.histogram(x, n, range=(a, b)))
    s.case("histogram", Values([1.0, 2.0, 2.0, 3.0, 4.0]), Values([1.0, 2.0, 4.0]))

    for n in range(25):
        size = s.random.randint(1, 12)
        weights = s.choice(None, s.t([size], grad=False), s.i([size], -3, 3))
        s.case("bincount", s.index([size], 7), weights, s.choice(0, 0, 4, 12), fn=lambda x, w=None, m=0: torch.bincount(x, w, m))

    def some(shape, n):
        kind = s.choice("int32", "int8", "uint8", "float", "bool")
        return s.b(shape) if kind == "bool" else s.i(shape, 0, n, kind) if kind != "float" else Values(
            torch.randint(0, n, shape, generator=generator).double().tolist())

    generator = torch.Generator().manual_seed(3)
    for n in range(30):
        shape = s.shape(1, 3, 5)
        s.case("unique", some(shape, 4), True, True, True, positions=False,
               fn=lambda x, a, b, c: [t + (k == 1) for k, t in enumerate(torch.unique(x, sorted=a, return_inverse=b, return_counts=c))])
        s.case("unique_consecutive", some(shape, 1), True, True,
               fn=lambda x, b, c: [t + (k == 1) for k, t in enumerate(torch.unique_consecutive(x, return_inverse=b, return_counts=c))])
        d = s.dim(shape)
        s.case("unique", some(shape, 2), True, True, True, d,
               fn=lambda x, a, b, c, d: [t + (k == 1) for k, t in enumerate(torch.unique(x, sorted=a, return_inverse=b, return_counts=c, dim=d))])
        s.case("unique_consecutive", some(shape, 1), True, True, d,
               fn=lambda x, b, c, d: [t + (k == 1) for k, t in enumerate(torch.unique_consecutive(x, return_inverse=b, return_counts=c, dim=d))])
    for flags in ((True, False), (False, True)):
        s.case("unique", s.i([3, 5], 0, 6, "int32"), True, *flags, positions=flags[0], fn=lambda x, a, b, c: torch.unique(x, a, b, c))
    s.case("unique", Values([3.0, NAN, 1.0, NAN, -0.0, 0.0, INF, -INF]), fn=torch.unique)
    s.case("unique", Values([[0.0, 1.0], [-0.0, 1.0], [NAN, 1.0]]), True, False, False, Dim(0), fn=lambda x, a, b, c, d: torch.unique(x, dim=d))
    s.case("unique", s.t([0, 3], grad=False), fn=torch.unique)

    for n in range(30):
        m = s.random.randint(1, 9)
        right = s.choice(True, False)
        shape = s.shape(1, 3)
        kind = s.choice("float", "int32", "int64")
        data = sorted(s.random.randint(-5, 5) for _ in range(m))
        seq = Values([float(v) for v in data]) if kind == "float" else Values(data, kind)
        x = Values(torch.randint(-6, 7, shape, generator=generator).double().tolist()) if kind == "float" else s.i(shape, -6, 6, kind)
        s.case("searchsorted", seq, x, right, fn=lambda q, v, r: torch.searchsorted(q, v, right=r), positions=True)
        s.case("bucketize", x, seq, right, fn=lambda v, q, r: torch.bucketize(v, q, right=r), positions=True)
        if kind == "float":
            s.case("searchsorted", seq, s.choice(0.5, 2, -7.5), right, fn=lambda q, v, r: torch.searchsorted(q, v, right=r), positions=True)
    for n in range(10):
        lead = s.shape(1, 2)
        m = s.random.randint(1, 6)
        seq = Values(torch.randint(-5, 6, lead + [m], generator=generator).double().sort(-1)[0].tolist())
        x = Values(torch.randint(-6, 7, lead + [4], generator=generator).double().tolist())
        s.case("searchsorted", seq, x, False, s.choice("left", "right"), fn=lambda q, v, _, side: torch.searchsorted(q, v, side=side), positions=True)
    s.case("searchsorted", Values([1.0, 2.0, 3.0]), Values([NAN, INF, -INF, 2.0]), positions=True)

    for n in range(30):
        kind = s.choice("int64", "int32", "uint8", "float")
        a, b = s.shape(0, 3), s.shape(0, 2, 6)
        x = s.i(a, 0, 8, kind) if kind != "float" else Values(torch.randint(0, 8, a, generator=generator).double().tolist())
        t = s.i(b, 0, 8, s.choice(kind, "int64")) if kind != "float" else Values(torch.randint(0, 8, b, generator=generator).double().tolist())
        s.case("isin", x, t, False, s.choice(True, False), fn=lambda x, t, _, i: torch.isin(x, t, invert=i))
    s.case("isin", Values([1.0, NAN, 2.0, -0.0, INF]), Values([NAN, 0.0, 2.0, INF, NAN]))
    s.case("isin", s.i([3, 4], 0, 3), 2)
    s.case("isin", 2, s.i([3, 4], 0, 3))
