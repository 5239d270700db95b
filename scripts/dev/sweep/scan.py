"""Scans: running sums, products, extremes; differences and integrals."""
import torch
from sweep import Dim, Values

NAN, INF = float("nan"), float("inf")
ODD = [[1.5, NAN, -2.0, 0.0], [INF, 3.0, -1.0, 2.0], [-INF, -INF, 1.0, 0.5], [0.0, -0.0, 4.0, 4.0]]


def cases(s):
    for op, lo, hi in (("cumsum", -2, 2), ("cumprod", -1.5, 1.5), ("logcumsumexp", -8, 8), ("cummax", -2, 2), ("cummin", -2, 2)):
        fn = getattr(torch, op)
        for n in range(20):
            shape = s.shape(0 if n == 3 else 1, 4)
            x = s.e([1] * len(shape), shape, lo, hi) if n % 8 == 7 else s.t(shape, lo, hi)
            s.case(op, x, s.dim(shape) if shape else Dim(0), fn=fn, positions=True)
        for shape in ([70], [3, 300], [300, 3], [2, 40, 5]):
            s.case(op, s.t(shape, lo, hi), s.dim(shape), fn=fn, positions=True)
        for d in (0, 1):
            s.case(op, Values(ODD), Dim(d), fn=fn, positions=True)
        s.case(op, s.t([0, 3], grad=False), Dim(1), fn=fn, positions=True)
        s.case(op, s.t([2, 0], grad=False), Dim(1), fn=fn, positions=True)
    s.case("logcumsumexp", Values([[-INF, -INF, 1.0, 2.0], [-INF, -1000.0, -INF, 1000.0]]), Dim(1))
    for values in ([0.0, 2.0, 3.0], [2.0, 0.0, 3.0, 4.0], [2.0, 0.0, 3.0, 0.0, 4.0], [0.0, 0.0]):
        s.case("cumprod", Values(values, grad=True), Dim(0))
    for dtype in ("int64", "int32", "int16", "int8", "uint8"):
        for op in ("cumsum", "cumprod", "cummax", "cummin"):
            shape = s.shape(1, 3)
            if op[:4] == "cumm" and dtype == "int64":
                continue
            s.case(op, s.i(shape, 0 if dtype == "uint8" else -3, 5, dtype), s.dim(shape), fn=getattr(torch, op),
                   positions=op[:4] == "cumm")
    for op in ("cumsum", "cumprod"):
        s.case(op, s.b([3, 4]), Dim(1), fn=getattr(torch, op))
        for dtype in ("float64", "float32", "int64", "int16", "uint8"):
            t = getattr(torch, dtype)
            for x in (s.t([3, 4], -3, 3, grad=dtype == "float64"), s.i([3, 4], -30, 30)):
                s.case(op, x, Dim(1), dtype, fn=lambda x, d, _, fn=getattr(torch, op), t=t: fn(x, d, dtype=t), f32=False)
    s.case("cummax", s.b([3, 4]), Dim(1), positions=True)
    for _ in range(8):
        shape = s.shape(1, 3)
        s.case("cumsum", s.t(shape), s.dim(shape), None, True, fn=lambda x, d, _, r: x.flip(d).cumsum(d).flip(d))

    for n in range(25):
        shape = s.shape(1, 3, 5)
        d = s.random.randrange(len(shape))
        extra = [s.t(shape[:d] + [s.choice(1, 2)] + shape[d + 1:]) if s.random.random() < 0.4 else None for _ in range(2)]
        s.case("diff", s.t(shape), s.choice(1, 1, 2, 3, 0) if not any(extra) else s.choice(1, 2), Dim(d), *extra,
               fn=lambda x, n=1, d=-1, p=None, a=None: torch.diff(x, n, d, p, a))
    s.case("diff", s.b([3, 5]))
    s.case("diff", s.i([3, 5], -9, 9, "int32"), 2, Dim(0))
    for op in ("trapezoid", "cumulative_trapezoid"):
        fn = getattr(torch, op)
        for _ in range(15):
            shape = s.shape(1, 3, 5)
            d = s.random.randrange(len(shape))
            kind = s.choice(0, 1, 2)
            if kind == 0:
                s.case(op, s.t(shape), None, s.choice(1, 0.25), Dim(d - len(shape)), fn=lambda y, _, dx, d, fn=fn: fn(y, dx=dx, dim=d))
            else:
                x = s.t([shape[d]] if kind == 1 else shape)
                s.case(op, s.t(shape), x, 1, Dim(d), fn=lambda y, x, _, d, fn=fn: fn(y, x, dim=d))
        s.case(op, s.i([3, 4], -5, 5))

    for dtype in ("bfloat16", "float16"):
        for op in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"):
            for d in (0, 1):
                s.case(op, Values([[1.5, -2.0, 0.25], [0.5, 0.125, -1.0]], dtype), Dim(d), fn=getattr(torch, op), positions=True, f32=False)
