"""Sorting and ranks: sort, topk, kthvalue, medians, mode, quantiles."""
import torch
from sweep import Dim, Dims, Values

NAN, INF = float("nan"), float("inf")
ODD = [[1.5, NAN, -2.0, 0.0, NAN], [INF, 3.0, -1.0, 2.0, -INF], [-INF, -INF, 1.0, 0.5, 1.0], [0.0, -0.0, 4.0, 4.0, -0.0], [NAN, NAN, NAN, NAN, NAN]]
KINDS = ("int32", "int16", "int8", "uint8")


def distinct(s, shape):
    """Floats without ties in practice, or integers (not int64, whose values would be taken for positions)."""
    kind = s.choice("t", "t", "t", *KINDS)
    return s.t(shape) if kind == "t" else s.i(shape, 0 if kind == "uint8" else -100, 100, kind)


def first_place(fn):
    """fn with the first position that holds each value: which of several PyTorch names is not said."""
    def call(x, *args):
        values, at = fn(x, *args)
        return values, at
    return call


def cases(s):
    for n in range(40):
        shape = s.shape(0 if n == 3 else 1, 4, 6)
        x, d, down = distinct(s, shape), s.dim(shape) if shape else Dim(0), s.choice(True, False)
        s.case("sort", x, d, down, True, fn=lambda x, d, down, _: torch.sort(x, dim=d, descending=down, stable=True), positions=True)
        s.case("argsort", x, d, down, fn=lambda x, d, down: torch.argsort(x, dim=d, descending=down, stable=True), positions=True)
        s.case("msort", s.t(s.shape(1, 3)))
    for down in (True, False):
        for d in (0, 1):
            s.case("sort", Values(ODD), Dim(d), down, fn=lambda x, d, down: torch.sort(x, dim=d, descending=down, stable=True), positions=True)
        s.case("sort", s.b([3, 7]), Dim(1), down, fn=lambda x, d, down: torch.sort(x, dim=d, descending=down, stable=True), positions=True)
        for shape in ([400], [3, 90], [5000], [2, 3100]):
            s.case("sort", s.t(shape), Dim(-1), down, fn=lambda x, d, down: torch.sort(x, dim=d, descending=down, stable=True), positions=True)
            s.case("sort", s.i(shape, -20, 20, "int32"), Dim(-1), down, fn=lambda x, d, down: torch.sort(x, dim=d, descending=down, stable=True), positions=True)
            s.case("argsort", s.i(shape, -2**40, 2**40), Dim(-1), down, fn=lambda x, d, down: torch.argsort(x, dim=d, descending=down, stable=True), positions=True)
    s.case("sort", s.t([2, 0], grad=False), Dim(1), positions=True)

    for n in range(30):
        shape = s.shape(1, 4, 7)
        d = s.random.randrange(len(shape))
        k = s.random.randint(1, shape[d])
        s.case("topk", s.t(shape), k, Dim(d), s.choice(True, False), positions=True)
        s.case("kthvalue", s.t(shape), k, Dim(d), s.choice(True, False), positions=True)
    for shape, k in (([2000], 5), ([2, 1500], 90), ([3000], 700), ([3, 1100], 1100), ([40, 30], 1)):
        for largest in (True, False):
            s.case("topk", s.t(shape, grad=False), k, Dim(-1), largest, fn=lambda x, k, d, l: x.topk(k, d, l)[0], post="first")
        s.case("kthvalue", s.t(shape, grad=False), k, fn=lambda x, k: x.kthvalue(k)[0], post="first")
    for d in (0, 1):
        for largest in (True, False):
            s.case("topk", Values(ODD), 3, Dim(d), largest, fn=lambda x, k, d, l: x.topk(k, d, l)[0], post="first")
        for k in (1, 3, 5):
            s.case("kthvalue", Values(ODD), k, Dim(d), fn=lambda x, k, d: x.kthvalue(k, d)[0], post="first")
    for dtype in KINDS + ("int64",):
        s.case("topk", s.i([4, 9], 0, 100, dtype), 4, fn=lambda x, k: x.topk(k)[0], post="first")
        s.case("kthvalue", s.i([4, 9], 0, 100, dtype), 4, fn=lambda x, k: x.kthvalue(k)[0], post="first")
        s.case("median", s.i([4, 9], 0, 100, dtype), Dim(0), fn=lambda x, d: x.median(d)[0], post="first")
        s.case("mode", s.i([4, 9], 0, 4, dtype), Dim(1), fn=lambda x, d: x.mode(d)[0], post="first")

    for k in range(12):  # over several dimensions, as over one that they make together
        x, keep = s.t([s.choice(2, 3), 4, s.choice(1, 5)]), k % 2 == 0
        one = lambda x: x.permute(1, 0, 2).flatten(1)
        kept = lambda y, lead=0, keep=keep: y.unflatten(lead, (1, 4, 1)) if keep else y
        for op in ("median", "nanmedian", "mode"):
            s.case(op, x, Dims(0, 2), keep, fn=lambda x, d, r, op=op, kept=kept: tuple(kept(y) for y in getattr(torch, op)(one(x), 1)), positions=True)
        s.case("quantile", x, Values([0.2, 0.7]), Dims(0, 2), keep, fn=lambda x, q, d, r, kept=kept: kept(torch.quantile(one(x), q, 1), 1))
        s.case("aminmax", x, Dims(0, 2), keep, fn=lambda x, d, r, kept=kept: tuple(kept(y) for y in torch.aminmax(one(x), dim=1)))
    for op in ("median", "nanmedian"):
        fn = getattr(torch, op)
        for n in range(25):
            shape = s.shape(0, 4, 6)
            if not shape or n % 5 == 0:
                s.case(op, s.t(shape), fn=fn)
            else:
                s.case(op, s.t(shape), s.dim(shape), s.choice(True, False), fn=fn, positions=True)
        s.case(op, Values(ODD), fn=fn)
        s.case(op, Values([2.0, 1.0, 2.0, 3.0, 2.0, -1.0], grad=True), fn=fn)  # those that tie share the gradient
        for d in (0, 1):
            s.case(op, Values(ODD), Dim(d), fn=lambda x, d, fn=fn: fn(x, d)[0], post="first")
        for shape in ([901], [2, 3500]):
            s.case(op, s.t(shape), Dim(-1), fn=fn, positions=True)
    for _ in range(20):
        shape = s.shape(1, 4, 6)
        s.case("mode", s.t(shape), s.dim(shape), s.choice(True, False), fn=lambda x, d, k: x.mode(d, k)[0], post="first", grad=False)
        s.case("mode", s.i(shape, 0, 2, "int32"), s.dim(shape), s.choice(True, False), fn=lambda x, d, k: x.mode(d, k)[0], post="first")
    s.case("mode", Values([[0.0, 1.0, -0.0, 1.0, 0.0], [INF, -INF, INF, 2.0, -INF]]), Dim(1), fn=lambda x, d: x.mode(d)[0], post="first")

    for op in ("quantile", "nanquantile"):
        fn = getattr(torch, op)
        for n in range(40):
            shape = s.shape(1, 4, 6)
            q = s.choice(0.0, 1.0, 0.5, 0.25, 0.3, 0.77) if n % 2 else Values(s.choice([0.1, 0.5, 0.9], [1.0], [0.33, 0.0]))
            dim = None if n % 7 == 6 else s.dim(shape)
            s.case(op, s.t(shape), q, dim, s.choice(True, False), s.choice("linear", "linear", "lower", "higher", "midpoint", "nearest"),
                   fn=lambda x, q, d, k, how, fn=fn: fn(x, q, dim=d, keepdim=k, interpolation=how))
        for d in (0, 1):
            for how in ("linear", "lower", "nearest"):
                s.case(op, Values([row for row in ODD if INF not in row and -INF not in row]), Values([0.0, 0.4, 1.0]), Dim(d), False, how,
                       fn=lambda x, q, d, k, how, fn=fn: fn(x, q, dim=d, keepdim=k, interpolation=how))

    for dtype in ("bfloat16", "float16"):
        half = [[1.5, -2.0, 0.25, 3.0], [0.5, 0.125, -1.0, 8.0], [2.0, 4.0, -4.0, 1.0]]
        for d in (0, 1):
            x = Values(half, dtype)
            s.case("sort", x, Dim(d), True, fn=lambda x, d, down: torch.sort(x, dim=d, descending=down), positions=True, f32=False)
            s.case("topk", x, 2, Dim(d), positions=True, f32=False)
            s.case("kthvalue", x, 2, Dim(d), positions=True, f32=False)
            s.case("median", x, Dim(d), positions=True, f32=False)
            s.case("mode", x, Dim(d), fn=lambda x, d: x.mode(d)[0], post="first", f32=False)
