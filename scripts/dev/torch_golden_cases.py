"""The cases of torch_golden.py, family by family. Each stands in Neap's order of arguments; what PyTorch spells otherwise
is given as fn. Kinks, ties, empty tensors and values that are not finite are spelled out, since formulas never hit them."""

import math

import torch
import torch.nn.functional as F

from torch_golden import Dim, Dims, Given, Idx, Key, List, Opts, Pos, Sizes, Tensor, case

INF, NAN = math.inf, math.nan


def write():
    unary()
    binary()
    reductions()
    products()
    views()
    joins()
    indexing()
    losses()
    layers()


def x(*shape, **options):
    return Tensor(shape, **options)


def bools(values):
    return Given(values, dtype=torch.bool)


def unary():
    # name: scale and offset of a range inside the domain
    domains = {
        "exp": (2, 0), "exp2": (2, 0), "expm1": (2, 0), "log": (0.9, 1.1), "log1p": (0.9, 0.5), "log2": (0.9, 1.1),
        "log10": (0.9, 1.1), "sqrt": (0.9, 1.1), "rsqrt": (0.9, 1.1), "abs": (2, 0), "neg": (2, 0), "sign": (2, 0),
        "square": (2, 0), "reciprocal": (0.9, 1.5), "sin": (4, 0), "cos": (4, 0), "tan": (1.2, 0), "asin": (0.9, 0),
        "acos": (0.9, 0), "atan": (3, 0), "sinh": (2, 0), "cosh": (2, 0), "tanh": (3, 0), "sigmoid": (5, 0),
        "logsigmoid": (5, 0), "relu": (2, 0), "gelu": (3, 0), "silu": (4, 0), "mish": (4, 0), "softplus": (4, 0),
        "erf": (2, 0), "erfc": (2, 0), "leaky_relu": (2, 0), "elu": (2, 0), "celu": (2, 0), "selu": (2, 0),
        "relu6": (5, 3), "hardtanh": (2, 0), "hardsigmoid": (5, 0), "hardswish": (5, 0), "softsign": (2, 0),
        "tanhshrink": (2, 0), "softshrink": (2, 0), "hardshrink": (2, 0), "floor": (3, 0), "ceil": (3, 0),
        "round": (3, 0), "trunc": (3, 0), "frac": (3, 0),
    }
    others = {"frac": torch.frac, "erfc": torch.erfc}
    for op, (scale, offset) in domains.items():
        fn = others.get(op)
        case(op, x(2, 5, scale=scale, offset=offset), fn=fn)
        case(op, x(scale=scale / 2, offset=offset), fn=fn)
        case(op, Given([0.0, -0.0, 1e-300, 30.0, -30.0, 1e4, -1e4, INF, -INF, NAN]), fn=fn)
    for op in ("abs", "sign", "relu", "leaky_relu", "elu", "relu6", "hardtanh", "softsign", "sqrt"):
        case(op, Given([0.0, 1.0, 2.0, 6.0], grad=True), note="at a kink")
    case("round", Given([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999]))
    case("gelu", x(2, 5, scale=3), Opts(approximate="tanh"))
    case("softplus", x(2, 5, scale=4), Opts(beta=2.0, threshold=3.0))
    case("leaky_relu", x(2, 5, scale=2), Opts(negative_slope=0.3))
    case("elu", x(2, 5, scale=2), Opts(alpha=0.7))
    case("celu", x(2, 5, scale=2), Opts(alpha=0.7))
    case("hardtanh", x(2, 5, scale=2), Opts(min_val=-0.5, max_val=1.5))
    case("softshrink", x(2, 5, scale=2), Opts(lambd=0.8))
    case("hardshrink", x(2, 5, scale=2), Opts(lambd=0.8))
    case("clamp", x(2, 5, scale=2), -0.5, 1.0)
    case("clamp", x(2, 5, scale=2), Opts(min=0.25))
    case("clamp", x(2, 5, scale=2), Opts(max=0.25))
    case("clamp", Given([-1.0, 0.5, 1.0, INF, -INF, NAN], grad=True), -1.0, 1.0, note="at the bounds")
    case("clamp", Given([-3, 0, 7], dtype=torch.int64), -1, 4)
    for op in ("abs", "neg", "sign", "square"):
        case(op, Given([-3, 0, 7], dtype=torch.int64))
    for op in ("exp", "sqrt", "sigmoid"):
        case(op, Given([0.0, 1.0, 4.0], dtype=torch.float32), note="float32")
    for op in ("isnan", "isinf", "isfinite"):
        case(op, Given([0.0, INF, -INF, NAN, 1.0]))
    case("logical_not", Given([0.0, 2.0, -1.0, NAN]))
    case("logical_not", bools([True, False]))


def binary():
    ranges = {
        "add": ((2, 0), (2, 0)), "sub": ((2, 0), (2, 0)), "mul": ((2, 0), (2, 0)), "div": ((2, 0), (0.9, 1.5)),
        "pow": ((0.8, 1.2), (2, 0)), "atan2": ((2, 0), (2, 0)), "hypot": ((2, 0), (2, 0)),
        "logaddexp": ((3, 0), (3, 0)), "xlogy": ((2, 0), (0.9, 1.1)), "minimum": ((2, 0), (2, 0)),
        "maximum": ((2, 0), (2, 0)), "remainder": ((5, 0), (0.9, 1.5)), "fmod": ((5, 0), (0.9, 1.5)),
        "floor_divide": ((5, 0), (0.9, 1.5)),
    }
    for op, ((s, o), (t, p)) in ranges.items():
        grad = op != "floor_divide"
        for left, right in (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 2)), ((2, 1, 2), (3, 1)), ((0, 3), (3,))):
            case(op, x(*left, scale=s, offset=o, grad=grad), x(*right, scale=t, offset=p, grad=grad))
    for op in ("add", "sub", "mul", "div", "pow"):
        case(op, x(2, 3, scale=0.9, offset=1.1), 2.5, note="a number")
    for n in (2.0, 3.0, -1.0, 0.5, 0.0):
        case("pow", x(4, scale=0.9, offset=1.1), n)
    case("pow", Given([-2.0, -1.0, 0.0, 3.0], grad=True), 2.0, note="of a negative")
    case("pow", Given([0.0, 0.0, 2.0], grad=True), Given([2.0, 1.0, 0.0], grad=False), note="at 0")
    case("maximum", Given([1.0, 2.0, NAN], grad=True), Given([1.0, 1.0, 0.0], grad=True), note="a tie")
    case("minimum", Given([1.0, 2.0, NAN], grad=True), Given([1.0, 1.0, 0.0], grad=True), note="a tie")
    case("div", Given([1.0, -1.0, 0.0, INF, 5.0]), Given([0.0, 0.0, 0.0, INF, -INF]), note="not finite")
    case("remainder", Given([5.0, -5.0, 5.0, -5.0]), Given([3.0, 3.0, -3.0, -3.0]), note="signs")
    case("fmod", Given([5.0, -5.0, 5.0, -5.0]), Given([3.0, 3.0, -3.0, -3.0]), note="signs")
    ints = Given([7, -7, 2], dtype=torch.int64)
    for op in ("add", "sub", "mul", "div", "floor_divide", "remainder", "minimum", "maximum"):
        case(op, ints, Given([2, 2, -3], dtype=torch.int64), note="integers")
    for op in ("bitwise_and", "bitwise_or", "bitwise_xor"):
        case(op, Given([12, 7, -1], dtype=torch.int64), Given([10, 1, 6], dtype=torch.int64))
    for op in ("eq", "ne", "lt", "le", "gt", "ge"):
        case(op, Given([[1.0, 2.0, NAN], [0.0, -1.0, INF]]), Given([1.0, 1.0, NAN]))
        case(op, x(2, 3, grad=False), 0.25, note="a number")
        case(op, ints, Given([7, 0, 2], dtype=torch.int64))
    for op in ("logical_and", "logical_or", "logical_xor"):
        case(op, bools([True, True, False, False]), bools([True, False, True, False]))
        case(op, Given([0.0, 2.0, -1.0]), Given([1.0, 1.0, 0.0]))
    mask = bools([[True, False, True], [False, False, True]])
    case("where", mask, x(2, 3), x(2, 3))
    case("where", mask, x(3), x(2, 1))
    case("where", bools([True, False]), x(2, 2), x())
    case("lerp", x(2, 3), x(2, 3), x(2, 3, scale=0.4, offset=0.5))
    case("addcmul", x(2, 3), x(3), x(2, 1), Opts(value=0.5))
    case("addcdiv", x(2, 3), x(3), x(2, 1, scale=0.5, offset=1.5), Opts(value=0.5))


def reductions():
    dims = (Dim(0), Dim(1), Dim(-1), Dims(0, 2))
    for op in ("sum", "mean", "var", "std", "amax", "amin", "logsumexp"):
        a = lambda: x(2, 3, 4, scale=2)
        fn = getattr(torch, op)
        if op != "logsumexp":
            case(op, a())
        else:
            case(op, a(), fn=lambda t: t.logsumexp((0, 1, 2)))
        for d in dims:
            case(op, a(), d)
        case(op, a(), Dim(1), Opts(keepdim=True))
        case(op, a(), Dims(0, -1), Opts(keepdim=True))
        case(op, x(4), Dim(0))
    for op in ("var", "std"):
        case(op, x(3, 4, scale=2), Dim(1), Opts(correction=0))
        case(op, x(3, 4, scale=2), Opts(correction=0))
    for op in ("sum", "mean", "amax"):
        case(op, x(scale=2), note="0-dimensional")
    case("sum", x(0, 3), Dim(0), note="of nothing")
    case("sum", x(0, 3), note="of nothing")
    case("mean", Given(torch.zeros(0, 2).tolist(), grad=False), note="of nothing")
    case("prod", x(0), note="of nothing")
    case("sum", Given([[1, 2], [3, 4]], dtype=torch.int64), Dim(0))
    case("sum", bools([True, False, True]))
    case("amax", Given([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], grad=True), Dim(1), note="ties")
    case("amin", Given([[1.0, 1.0, 3.0], [2.0, 2.0, 2.0]], grad=True), Dim(1), note="ties")
    for op in ("max", "min"):
        case(op, x(2, 5, scale=2))
        for d in (Dim(0), Dim(1), Dim(-1)):
            case(op, x(3, 4, scale=2), d, positions=True)
        case(op, x(3, 4, scale=2), Dim(1), Opts(keepdim=True), positions=True)
        case("arg" + op, x(3, 4, scale=2, grad=False), positions=True)
        case("arg" + op, x(3, 4, scale=2, grad=False), Dim(0), positions=True)
        case("arg" + op, x(3, 4, scale=2, grad=False), Dim(-1), Opts(keepdim=True), positions=True)
        case("arg" + op, Given([1.0, NAN, 3.0]), positions=True, note="NaN")
    case("prod", x(5, scale=2))
    case("prod", x(2, 3, scale=2), Dim(1))
    case("prod", x(2, 3, scale=2), Dim(0), Opts(keepdim=True))
    case("prod", Given([[1.0, 0.0, 3.0], [0.0, 0.0, 2.0], [1.0, 2.0, 3.0]], grad=True), Dim(1), note="zeros")
    for p in (2.0, 1.0, 3.0, 0.5, INF, -INF, 0.0):
        fn = lambda t, p, *d, **o: torch.linalg.vector_norm(t, p, *d, **o)
        case("norm", x(2, 3, scale=2), p, fn=fn)
        case("norm", x(2, 3, scale=2), p, Dim(1), fn=fn)
    case("norm", x(2, 3, 2, scale=2), 2.0, Dims(0, 2), Opts(keepdim=True), fn=torch.linalg.vector_norm)
    case("norm", Given([0.0, 0.0], grad=True), 2.0, fn=torch.linalg.vector_norm, note="at 0")
    case("logsumexp", Given([[1000.0, 1000.0], [-INF, -INF], [INF, 0.0]]), Dim(1), note="not finite")
    for op in ("softmax", "log_softmax"):
        for d in (0, 1, 2, -1):
            case(op, x(2, 3, 4, scale=3), Dim(d))
        case(op, Given([[1000.0, 999.0], [-1000.0, 0.0], [-INF, 0.0]]), Dim(1), note="far apart")
        case(op, x(1, 1), Dim(1))


def products():
    for left, right in (
        ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((2, 2, 3), (3,)), ((3,), (2, 3, 2)),
        ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 2, 3), (2, 3, 2)), ((2, 1, 2, 3), (2, 3, 1)), ((1, 2, 3), (2, 3, 2)),
        ((2, 0), (0, 3)), ((0, 2), (2, 3)), ((2, 3), (3, 0)), ((1, 1), (1, 1)), ((1, 7), (7, 1)),
    ):
        case("matmul", x(*left), x(*right))
    case("matmul", x(5, 3), x(3, 5), fn=lambda a, b: a.matmul(b))
    case("linear", x(2, 3), x(4, 3), x(4))
    case("linear", x(2, 3), x(4, 3))
    case("linear", x(3), x(4, 3), x(4))
    case("linear", x(2, 2, 3), x(2, 3), x(2))
    case("linear", x(0, 3), x(2, 3), x(2))
    case("bilinear", x(2, 3), x(2, 4), x(2, 3, 4), x(2))
    case("bilinear", x(2, 3), x(2, 2), x(3, 3, 2))


def views():
    a = lambda: x(2, 3, 4)
    case("reshape", a(), Sizes(4, 6), fn=torch.reshape)
    case("reshape", a(), Sizes(-1), fn=torch.reshape)
    case("reshape", a(), Sizes(2, -1, 2), fn=torch.reshape)
    case("view", a(), Sizes(6, 4), fn=lambda t, s: t.view(s))
    case("flatten", a())
    case("flatten", a(), Dim(1))
    case("flatten", a(), Dim(0), Dim(1))
    case("transpose", a(), Dim(0), Dim(2))
    case("transpose", a(), Dim(-1), Dim(-2))
    case("permute", a(), Dims(2, 0, 1), fn=torch.permute)
    case("permute", a(), Dims(-1, 0, 1), fn=torch.permute)
    case("t", x(2, 3))
    case("narrow", a(), Dim(1), Pos(1), 2, fn=torch.narrow)
    case("narrow", a(), Dim(-1), Pos(0), 3, fn=torch.narrow)
    case("select", a(), Dim(1), Pos(2), fn=torch.select)
    case("select", a(), Dim(0), Pos(-1), fn=torch.select)
    case("squeeze", x(1, 3, 1))
    case("squeeze", x(1, 3, 1), Dim(0))
    case("squeeze", x(1, 3, 1), Dim(1))
    case("squeeze", x(1, 3, 1), Dim(-1))
    case("unsqueeze", x(2, 3), Dim(0))
    case("unsqueeze", x(2, 3), Dim(2))
    case("unsqueeze", x(2, 3), Dim(-1))
    case("expand", x(1, 3), Sizes(2, 3), fn=lambda t, s: t.expand(s))
    case("expand", x(3, 1), Sizes(2, 3, 2), fn=lambda t, s: t.expand(s))
    case("expand", x(3, 1), Sizes(-1, 2), fn=lambda t, s: t.expand(s))
    case("chunk", x(5, 2), 2)
    case("chunk", x(2, 5), 3, Dim(1))
    case("split", x(5, 2), 2, fn=torch.split)
    case("split", x(2, 5), 3, Dim(1), fn=torch.split)
    case("contiguous", x(2, 3), fn=lambda t: t.contiguous())
    case("clone", x(2, 3))
    for k in (0, 1, -1, 5):
        case("tril", x(3, 4), k)
        case("triu", x(3, 4), k)
    case("tril", x(2, 3, 3))
    case("triu", x(2, 3, 3))


def joins():
    case("cat", List(x(2, 3), x(1, 3)), Dim(0))
    case("cat", List(x(2, 3), x(2, 1), x(2, 2)), Dim(1))
    case("cat", List(x(2, 3), x(2, 3)), Dim(-1))
    case("cat", List(x(0, 3), x(2, 3)))
    case("stack", List(x(2, 3), x(2, 3)))
    case("stack", List(x(2, 3), x(2, 3)), Dim(1))
    case("stack", List(x(2, 3), x(2, 3)), Dim(-1))
    case("stack", List(x(), x(), x()))


def indexing():
    read = lambda t, key: t[key]
    a = lambda: x(3, 4, 2)
    for key in (
        Key(1), Key(-1), Key(0, 1), Key(slice(0, 2)), Key(slice(None), 2), Key(slice(1, 3), slice(1, 2), 0), Key(2, slice(2, 4)),
        Key(Idx([2, 0, 2])), Key(slice(None), Idx([3, 0])), Key(Idx([0, 2]), Idx([1, 3])), Key(Idx([[0, 1], [2, 2]])),
        Key(bools([True, False, True])), Key(slice(None), bools([False, True, True, False])), Key(1, Idx([2, 2])),
    ):
        case("index", a(), key, fn=read)
    mask = bools([[True, False, True], [False, False, True]])
    case("index", x(2, 3), Key(mask), fn=read)

    def write(t, key, value):
        t = t.clone()
        t[key] = value
        return t

    case("setindex", a(), Key(1), x(4, 2), fn=write)
    case("setindex", a(), Key(1), x(2), fn=write, note="broadcast")
    case("setindex", a(), Key(slice(0, 2), 1), x(2, 2), fn=write)
    case("setindex", a(), Key(slice(None), slice(1, 3), 0), 0.5, fn=write)
    case("setindex", a(), Key(Idx([2, 0])), x(2, 4, 2), fn=write)
    case("setindex", a(), Key(slice(None), Idx([3, 0])), x(3, 2, 2), fn=write)
    case("setindex", x(2, 3), Key(mask), x(3), fn=write)
    case("setindex", x(2, 3), Key(mask), -1.0, fn=write)

    case("gather", x(3, 4), Dim(0), Idx([[0, 2, 1, 0], [2, 2, 0, 1]]))
    case("gather", x(3, 4), Dim(1), Idx([[3], [0], [0]]))
    case("gather", x(2, 3, 2), Dim(-1), Idx([[[1], [0], [1]], [[0], [0], [1]]]))
    case("scatter", x(3, 4), Dim(0), Idx([[0, 2, 1, 0]]), x(1, 4))
    case("scatter", x(3, 4), Dim(1), Idx([[3, 0], [1, 2], [0, 1]]), x(3, 2))
    case("scatter", x(3, 4), Dim(1), Idx([[3, 0], [1, 2], [0, 1]]), 2.5)
    case("index_select", x(3, 4), Dim(0), Idx([2, 0, 0]))
    case("index_select", x(3, 4), Dim(-1), Idx([1, 3]))
    case("one_hot", Idx([0, 2, 1]), 4)
    case("one_hot", Idx([[0, 2], [1, 1]]), 3)
    case("one_hot", Idx([0, 2, 1]))
    case("embedding", Idx([1, 0, 1]), x(3, 2))
    case("embedding", Idx([[2, 0], [1, 2]]), x(3, 2))


def losses():
    logits = lambda *s: x(*(s or (4, 3)), scale=2)
    label = lambda: Idx([2, 0, 1, 2])
    w3 = lambda: x(3, scale=0.4, offset=1, grad=False)
    for reduction in ("mean", "sum", "none"):
        r = dict(reduction=reduction)
        case("cross_entropy", logits(), label(), Opts(**r))
        case("cross_entropy", logits(), label(), Opts(weight=w3(), **r))
        case("cross_entropy", logits(), Idx([2, -100, 1, -100]), Opts(**r))
        case("cross_entropy", logits(), label(), Opts(label_smoothing=0.1, **r))
        case("cross_entropy", logits(), label(), Opts(label_smoothing=0.2, weight=w3(), **r))
        case("cross_entropy", logits(), Idx([2, -100, 1, 0]), Opts(label_smoothing=0.2, weight=w3(), **r))
        # A class to ignore, counted from 1 on Neap's side.
        case("cross_entropy", logits(), label(), Opts(ignore_index=Pos(2), **r))
        p = lambda: Given([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.1, 0.8], [0.0, 0.6, 0.4]], grad=True)
        case("cross_entropy", logits(), p(), Opts(**r))
        case("cross_entropy", logits(), p(), Opts(weight=w3(), label_smoothing=0.1, **r))
        case("cross_entropy", logits(2, 3, 2), Idx([[0, 2], [1, 1]]), Opts(**r))
        case("nll_loss", logits(), label(), Opts(**r))
        case("nll_loss", logits(), Idx([2, -100, 1, 0]), Opts(weight=w3(), **r))
        case("nll_loss", logits(2, 3, 2), Idx([[0, 2], [1, 1]]), Opts(**r))
        case("mse_loss", x(2, 3), x(2, 3), Opts(**r))
        case("l1_loss", x(2, 3), x(2, 3), Opts(**r))
        case("smooth_l1_loss", x(2, 3, scale=2), x(2, 3), Opts(**r))
        case("smooth_l1_loss", x(2, 3, scale=2), x(2, 3), Opts(beta=0.4, **r))
        case("huber_loss", x(2, 3, scale=2), x(2, 3), Opts(**r))
        case("huber_loss", x(2, 3, scale=2), x(2, 3), Opts(delta=0.4, **r))
        unit = lambda grad: x(2, 3, scale=0.45, offset=0.5, grad=grad)
        case("binary_cross_entropy", unit(True), unit(False), Opts(**r))
        case("binary_cross_entropy", unit(True), unit(False), Opts(weight=w3(), **r))
        case("binary_cross_entropy_with_logits", x(2, 3, scale=3), unit(True), Opts(**r))
        case("binary_cross_entropy_with_logits", x(2, 3, scale=3), unit(False), Opts(pos_weight=w3(), **r))
        case("binary_cross_entropy_with_logits", x(2, 3, scale=3), unit(False), Opts(weight=w3(), pos_weight=w3(), **r))
        case("kl_div", x(2, 3), unit(True), Opts(**r))
        case("kl_div", x(2, 3), x(2, 3), Opts(log_target=True, **r))
    case("cross_entropy", logits(), label())
    case("cross_entropy", logits(3), Idx(1), note="one sample")
    case("cross_entropy", Given([[1000.0, 0.0], [0.0, -1000.0]], grad=True), Idx([1, 0]), note="far apart")
    case("kl_div", x(2, 3), x(2, 3, scale=0.45, offset=0.5), Opts(reduction="batchmean"))
    case("kl_div", x(2, 2), Given([[0.0, 1.0], [0.5, 0.5]]), Opts(reduction="sum"), note="a probability of 0")
    case("binary_cross_entropy", Given([0.0, 1.0, 0.0, 1.0], grad=True), Given([0.0, 1.0, 1.0, 0.0]), Opts(reduction="none"), note="certain")
    case("binary_cross_entropy_with_logits", Given([1000.0, -1000.0, 1000.0], grad=True), Given([1.0, 0.0, 0.0]), Opts(reduction="none"), note="certain")
    case("mse_loss", x(0, 2, grad=False), x(0, 2, grad=False), Opts(reduction="sum"), note="of nothing")


def layers():
    w, b = lambda *s: x(*s, scale=0.4, offset=1), lambda *s: x(*s)
    case("layer_norm", x(2, 4, scale=2), Sizes(4), w(4), b(4))
    case("layer_norm", x(2, 4, scale=2), Sizes(4))
    case("layer_norm", x(2, 4, scale=2), Sizes(4), w(4))
    case("layer_norm", x(2, 3, 4, scale=2), Sizes(3, 4), w(3, 4), b(3, 4))
    case("layer_norm", x(2, 3, 4, scale=2), Sizes(4), w(4), b(4), Opts(eps=0.1))
