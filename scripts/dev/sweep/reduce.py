"""Reductions: sums, means, variances, products, norms, extremes, truth; over one, several or all dimensions."""
import torch
from sweep import Dim, Dims, Opts, Values

INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
ODD = [[1.5, float("nan"), -2.0, 0.0], [float("inf"), 3.0, -1.0, 2.0], [float("-inf"), float("inf"), 1.0, 0.5], [0.0, -0.0, 4.0, 4.0]]


def reduced(s, shape, many=True):
    """A choice of dimensions as arguments: none, one, or several."""
    if not shape or s.random.random() < 0.2:
        return None
    return s.dims(shape) if many and s.random.random() < 0.6 else s.dim(shape)


def with_dims(name, **more):
    fn = getattr(torch, name)

    def call(x, dim=None, keepdim=False):
        return fn(x, keepdim=keepdim, dim=dim, **more) if dim is not None or keepdim else fn(x, **more)
    return call


def cases(s):
    for op, lo, hi in (("sum", -2, 2), ("mean", -2, 2), ("nansum", -2, 2), ("nanmean", -2, 2), ("prod", 0.5, 2), ("amax", -2, 2),
                       ("amin", -2, 2), ("logsumexp", -5, 5)):
        single = op == "prod"
        for n in range(24):
            shape = s.shape(0 if op not in ("logsumexp", "prod") else 1, 4)
            x = s.e([1] * len(shape), shape, lo, hi) if n % 8 == 7 and op not in ("amax", "amin") else s.t(shape, lo, hi)
            dims = s.dim(shape) if single else reduced(s, shape)
            if dims is None and op == "logsumexp":
                dims = Dims(*range(len(shape)))
            if dims is None:
                s.case(op, x, fn=getattr(torch, op))
            else:
                s.case(op, x, dims, s.choice(True, False), fn=getattr(torch, op))
        for d in (None, 0, 1, Dims(0, 1)):
            if single and isinstance(d, Dims):
                continue
            odd = Values(ODD)
            if d is None:
                if op != "logsumexp":
                    s.case(op, odd, fn=getattr(torch, op))
            else:
                s.case(op, odd, Dim(d) if isinstance(d, int) else d, fn=getattr(torch, op))
    s.case("prod", Values([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0]], grad=True), Dim(1))
    s.case("prod", Values([0.0, 2.0, 3.0], grad=True))
    s.case("prod", Values([0.0, 2.0, 0.0], grad=True))

    for op in ("sum", "prod", "nansum"):
        for dtype in INTEGERS:
            shape = s.shape(1, 3)
            s.case(op, s.i(shape, 0 if dtype == "uint8" else -3, 5, dtype), s.dim(shape), fn=getattr(torch, op))
        if op != "nansum":
            s.case(op, s.b([3, 4]), Dim(1), fn=getattr(torch, op))
    for dtype in ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool"):
        t = getattr(torch, dtype)
        for x in (s.t([3, 4], -3, 3, grad=dtype[0] == "f"), s.i([3, 4], -300, 300), s.b([2, 5])):
            for op in ("sum", "prod", "mean", "nansum", "nanmean"):
                if (op in ("mean", "nanmean") and dtype[0] != "f") or (op == "nanmean" and not hasattr(x, "lo")) or \
                        (op == "nanmean" and type(x).__name__ != "Formula") or (op in ("nansum", "sum") and dtype == "bool"):
                    continue
                fn = getattr(torch, op)
                s.case(op, x, Dim(1), False, dtype, fn=lambda x, d, k, _, fn=fn, t=t: fn(x, dim=d, keepdim=k, dtype=t), f32=False,
                       grad=dtype == "float64")

    for op in ("var", "std", "var_mean", "std_mean"):
        for _ in range(20):
            shape = [max(2, n) for n in s.shape(1, 4)]
            dims, correction, keep = reduced(s, shape), s.choice(0, 1, 0.5), s.choice(True, False)
            s.case(op, s.t(shape), dims, correction, keep, fn=lambda x, d, c, k, fn=getattr(torch, op): fn(x, dim=d, correction=c, keepdim=k))
        s.case(op, Values([[1.5, float("nan"), -2.0], [0.0, -0.0, 0.0]]), Dim(1), fn=getattr(torch, op))
    for p in (2.0, 1.0, 0.0, 3.0, 0.5, float("inf"), float("-inf"), -1.0):
        for _ in range(8):
            shape = s.shape(1, 4)
            dims, keep = reduced(s, shape), s.choice(True, False)
            fn = lambda x, p, d, k: torch.linalg.vector_norm(x, p, d, k)
            s.case("norm", s.t(shape, 0.2, 2) if p < 2 else s.t(shape), p, dims, keep, fn=fn, grad=p != 0)
        s.case("norm", Values([[0.0, 0.0], [3.0, -4.0]]), p, Dim(1), fn=lambda x, p, d: torch.linalg.vector_norm(x, p, d))

    for op in ("any", "all", "count_nonzero"):
        for n in range(20):
            shape = s.shape(0, 4)
            x = s.choice(s.b(shape), s.i(shape, -1, 1), s.i(shape, 0, 1, "int32"), s.i(shape, 0, 1, "int8"), s.t(shape, grad=False))
            dims = reduced(s, shape)
            if dims is None:
                s.case(op, x, fn=getattr(torch, op))
            elif op == "count_nonzero":
                s.case(op, x, dims, fn=getattr(torch, op))
            else:
                s.case(op, x, dims, s.choice(True, False), fn=getattr(torch, op))
        s.case(op, Values(ODD), Dim(0), fn=getattr(torch, op))
        s.case(op, Values(ODD), Dim(1), fn=getattr(torch, op))

    for op in ("max", "min", "argmax", "argmin", "aminmax"):
        for n in range(20):
            shape = s.shape(0, 4)
            x = s.choice(s.t(shape), s.t(shape), s.i(shape, -100, 100, "int32"), s.i(shape, 0, 200, "uint8"), s.i(shape, -100, 100, "int16"))
            dim, keep = reduced(s, shape, False), s.choice(True, False)
            fn = getattr(torch, op)
            if dim is None:
                s.case(op, x, fn=fn, positions=op.startswith("arg"))
            elif op == "aminmax":
                s.case(op, x, dim, keep, fn=lambda x, d, k: torch.aminmax(x, dim=d, keepdim=k))
            else:
                s.case(op, x, dim, keep, fn=fn, positions=True)
        for d in (0, 1):
            s.case(op, Values(ODD), Dim(d), fn=(lambda x, d: torch.aminmax(x, dim=d)) if op == "aminmax" else getattr(torch, op), positions=True)
        s.case(op, Values(ODD), fn=getattr(torch, op), positions=op.startswith("arg"))

    for op in ("sum", "prod", "nansum", "mean", "var", "any", "all", "count_nonzero"):
        empty = s.t([0, 3], grad=False)
        s.case(op, empty, Dim(0), fn=getattr(torch, op))
        s.case(op, empty, Dim(1), fn=getattr(torch, op))
        s.case(op, s.t([2, 0, 3], grad=False), fn=getattr(torch, op))
    for op in ("amax", "amin", "max", "min", "argmax", "argmin"):
        s.case(op, s.t([0, 3], grad=False), Dim(1), fn=getattr(torch, op), positions=True)

    for dtype in ("bfloat16", "float16"):
        half = [[1.5, -2.0, 0.25, 3.0], [0.5, 0.125, -1.0, 8.0], [2.0, 2.0, -4.0, 1.0]]
        for op in ("sum", "mean", "prod", "amax", "amin", "var", "std", "logsumexp", "nansum", "count_nonzero", "any", "all"):
            for d in (0, 1):
                s.case(op, Values(half, dtype), Dim(d), fn=getattr(torch, op), f32=False)
        for d in (0, 1):
            s.case("norm", Values(half, dtype), 2.0, Dim(d), fn=lambda x, p, d: torch.linalg.vector_norm(x, p, d), f32=False)
            for op in ("max", "min", "argmin"):
                s.case(op, Values(half[:2], dtype), Dim(d), fn=getattr(torch, op), positions=True, f32=False)
