"""Elementwise rows and what is built on them: values and gradients with broadcasting, layouts and dtypes; special values."""
import math

import torch
import torch.nn.functional as F

from sweep import Opts, Values

inf, nan = math.inf, math.nan

# name: range of x, and PyTorch's function where it has another name
UNARY = {
    "neg": (-2, 2), "abs": (-2, 2), "sign": (-2, 2), "square": (-2, 2), "reciprocal": (0.3, 3), "exp": (-4, 4), "exp2": (-4, 4),
    "expm1": (-4, 4), "log": (0.01, 9), "log1p": (-0.9, 9), "log2": (0.01, 9), "log10": (0.01, 9), "sqrt": (0.01, 9),
    "rsqrt": (0.01, 9), "sin": (-9, 9), "cos": (-9, 9), "tan": (-1.2, 1.2), "asin": (-0.95, 0.95), "acos": (-0.95, 0.95),
    "atan": (-9, 9), "sinh": (-4, 4), "cosh": (-4, 4), "tanh": (-4, 4), "asinh": (-9, 9), "acosh": (1.05, 9),
    "atanh": (-0.95, 0.95), "sinc": (-4, 4), "erf": (-3, 3), "erfc": (-3, 3), "erfinv": (-0.95, 0.95), "lgamma": (0.1, 9),
    "digamma": (0.1, 9), "relu": (-2, 2), "sigmoid": (-6, 6), "logsigmoid": (-6, 6), "silu": (-6, 6), "mish": (-6, 6),
    "selu": (-3, 3), "relu6": (-2, 9), "hardsigmoid": (-4, 4), "hardswish": (-4, 4), "softsign": (-4, 4), "tanhshrink": (-4, 4),
    "floor": (-4, 4), "ceil": (-4, 4), "trunc": (-4, 4), "frac": (-4, 4), "deg2rad": (-400, 400), "rad2deg": (-7, 7),
    "signbit": (-1, 1), "isposinf": (-1, 1), "isneginf": (-1, 1), "isnan": (-1, 1), "isinf": (-1, 1), "isfinite": (-1, 1),
    "logical_not": (-1, 1), "entr": (0.01, 4), "ndtr": (-4, 4),
}
NAMES = {"logsigmoid": F.logsigmoid, "silu": F.silu, "mish": F.mish, "selu": F.selu, "relu6": F.relu6, "hardsigmoid": F.hardsigmoid,
         "hardswish": F.hardswish, "softsign": F.softsign, "tanhshrink": F.tanhshrink, "entr": torch.special.entr,
         "ndtr": torch.special.ndtr, "xlog1py": torch.special.xlog1py}
# PyTorch computes the first one's gradient with a constant of single precision, and trigamma to 1e-9 only.
INEXACT = {"hardsigmoid", "digamma"}
BINARY = {
    "add": (-2, 2, -2, 2), "sub": (-2, 2, -2, 2), "mul": (-2, 2, -2, 2), "div": (-2, 2, 0.3, 2), "floor_divide": (-9, 9, 0.3, 2),
    "remainder": (-9, 9, 0.3, 2), "fmod": (-9, 9, 0.3, 2), "pow": (0.1, 3, -3, 3), "atan2": (-2, 2, 0.2, 2), "hypot": (-2, 2, 0.2, 2),
    "logaddexp": (-9, 9, -9, 9), "logaddexp2": (-9, 9, -9, 9), "xlogy": (-2, 2, 0.1, 3), "xlog1py": (-2, 2, -0.9, 3),
    "ldexp": (-2, 2, -3, 3), "copysign": (-2, 2, -2, 2), "minimum": (-2, 2, -2, 2), "maximum": (-2, 2, -2, 2),
    "eq": (-2, 2, -2, 2), "ne": (-2, 2, -2, 2), "lt": (-2, 2, -2, 2), "le": (-2, 2, -2, 2), "gt": (-2, 2, -2, 2), "ge": (-2, 2, -2, 2),
    "logical_and": (-2, 2, -2, 2), "logical_or": (-2, 2, -2, 2), "logical_xor": (-2, 2, -2, 2), "heaviside": (-2, 2, -2, 2),
    "clamp_min": (-2, 2, -2, 2), "clamp_max": (-2, 2, -2, 2), "float_power": (0.1, 3, -3, 3),
}
NO_GRAD = {"heaviside", "floor_divide", "sign", "floor", "ceil", "trunc"}
INTEGER = ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm"]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, inf, -inf, nan, 1e-30, -1e30, 100.0]
# Not at special values: PyTorch sums differently there or has no meaning of its own.
NOT_SPECIAL = {"erfinv", "sinc"}
SIGNED = SPECIAL[:9] + SPECIAL[10:]  # which sign a NaN has is not said


def prelu(x, w):
    return F.prelu(x, w)


def unary_settings(s, x):
    """(name, arguments, fn) of the rows that have settings."""
    a, b = round(s.random.uniform(0.1, 2), 2), round(s.random.uniform(0.1, 1), 2)
    yield "gelu", ("tanh",), lambda t, m: F.gelu(t, approximate=m)
    yield "gelu", (), F.gelu
    yield "softplus", (a, s.choice(1.0, 20.0)), F.softplus
    yield "leaky_relu", (b,), F.leaky_relu
    yield "elu", (a,), F.elu
    yield "hardtanh", (-b, a), F.hardtanh
    yield "softshrink", (b,), F.softshrink
    yield "hardshrink", (b,), F.hardshrink
    yield "threshold", (b, a), F.threshold
    yield "round", (s.choice(-1, 0, 1, 2),), lambda t, d: torch.round(t, decimals=d)
    yield "clamp", (-b, a), torch.clamp
    yield "clamp", (None, a), torch.clamp
    yield "nan_to_num", (), torch.nan_to_num
    yield "rrelu", (b / 4, b), F.rrelu


def cases(s):
    for name, (lo, hi) in UNARY.items():
        fn = NAMES.get(name)
        for _ in range(6):
            s.case(name, s.t(s.shape(0, 3), lo, hi), fn=fn, grad=name not in NO_GRAD and name not in INEXACT)
        if name not in NOT_SPECIAL:
            s.case(name, Values(SIGNED if name == "signbit" else SPECIAL), fn=fn, grad=False)
        if name in ("neg", "abs", "sign", "square", "exp", "sqrt", "sigmoid", "logical_not", "isnan", "sin"):
            for dtype in ("int64", "int32", "uint8", "int8"):
                s.case(name, s.i(s.shape(1, 3), 0 if dtype == "uint8" else -5, 9, dtype), fn=fn)
    for _ in range(6):
        for name, args, fn in unary_settings(s, None):
            s.case(name, s.t(s.shape(0, 3), -3, 3), *args, fn=fn, grad=name not in ("round",))
    for name, args, fn in unary_settings(s, None):
        if name not in ("gelu", "rrelu", "nan_to_num"):
            s.case(name, Values(SPECIAL), *args, fn=fn, grad=False)
    for _ in range(6):
        s.case("logit", s.t(s.shape(0, 3), 0.02, 0.98), s.choice(None, 0.1), fn=lambda t, e=None: torch.logit(t, e))
        s.case("polygamma", s.t(s.shape(0, 3), 0.2, 8), s.choice(2, 3, 4), fn=lambda t, n: torch.polygamma(n, t))
        s.case("celu", s.t(s.shape(0, 3), -3, 3), s.choice(0.5, 1.5), fn=F.celu, grad=False)
    s.case("nan_to_num", Values(SPECIAL), 3.0, 7.0, -9.0, fn=torch.nan_to_num, grad=False)

    for name, (a, b, c, d) in BINARY.items():
        fn, grad = NAMES.get(name), name not in NO_GRAD
        if name == "clamp_min":
            fn = lambda x, z: torch.clamp(x, min=z)
        if name == "clamp_max":
            fn = lambda x, z: torch.clamp(x, max=z)
        for k in range(8):
            x, z = s.broadcast(2)
            s.case(name, s.t(x, a, b), s.t(z, c, d), fn=fn, grad=grad)
        if name not in ("ldexp", "float_power", "hypot", "atan2", "logaddexp", "logaddexp2", "heaviside", "minimum", "maximum", "copysign",
                        "logical_and", "logical_or", "logical_xor"):
            s.case(name, s.t(s.shape(0, 3), a, b), round(s.random.uniform(max(c, 0.4), d), 2), fn=fn, grad=grad)
        if name not in ("ldexp", "clamp_min", "clamp_max"):
            few = SIGNED if name == "copysign" else SPECIAL
            s.case(name, Values([[v] for v in few]), Values(few), fn=fn, grad=False)
    for low, high in ((0.5, 2.5), (None, 1.5), (-1.5, None), (-1, 2)):
        s.case("clamp", s.i([9], -5, 5, "int32"), low, high, fn=torch.clamp)
    s.case("atan2", Values([0.0, 0.0, 2.0], grad=True), Values([0.0, 1.0, 0.0], grad=True))
    s.case("pow", Values([0.0, 3.0, -2.0], grad=True), Values([0.0, 0.0, 0.0]))
    for _ in range(6):
        for name in ("add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "minimum", "maximum", "lt", "eq"):
            x, z = s.broadcast(2)
            s.case(name, s.i(x, -9, 9, s.choice("int64", "int32", "int8")), s.i(z, 1, 5, s.choice("int64", "int16", "uint8")))
        for name in INTEGER:
            x, z = s.broadcast(2)
            low = 0 if "shift" in name else -20
            s.case(name, s.i(x, -20, 20, s.choice("int64", "int32")), s.i(z, low, 9, "int64"))
        s.case("bitwise_left_shift", s.i([7], 0, 255, "uint8"), s.i([7], 0, 9, "uint8"))
        for mode in ("floor", "trunc"):
            x, z = s.broadcast(2)
            s.case("div", s.t(x, -9, 9, grad=False), s.t(z, 0.3, 2, grad=False), Opts(rounding_mode=mode), fn=torch.div)
            s.case("div", s.i(x, -9, 9), s.i(z, 1, 4), Opts(rounding_mode=mode), fn=torch.div)
        x, z = s.broadcast(2)
        s.case("isclose", s.t(x, -1, 1, grad=False), s.t(z, -1, 1, grad=False), s.choice(0.1, 0.5), s.choice(0.0, 0.2), fn=torch.isclose)
    close = [1.0, 1.1, nan, inf, -inf]
    for equal in (True, False):
        s.case("isclose", Values([[v] for v in close]), Values(close), 0.2, 0.0, equal, fn=torch.isclose, grad=False)

    for _ in range(10):
        x, z, w = s.broadcast(3)
        s.case("where", s.b(x), s.t(z), s.t(w), fn=torch.where)
        s.case("lerp", s.t(x), s.t(z), s.t(w, 0, 1), fn=lambda a, b, c: a + c * (b - a))
        v = s.choice(1.0, 0.5)
        s.case("addcmul", s.t(x), s.t(z), s.t(w), v, fn=lambda a, b, c, v: torch.addcmul(a, b, c, value=v))
        s.case("addcdiv", s.t(x), s.t(z), s.t(w, 0.5, 2), v, fn=lambda a, b, c, v: torch.addcdiv(a, b, c, value=v))
        whole = list(torch.broadcast_shapes(x, z, w))
        s.case("clamp", s.t(whole), s.t(z, -2, 0), s.t(w, 0, 2), fn=torch.clamp)
        shape = s.shape(1, 3)
        d = s.dim(shape)
        shape[d.n] *= 2
        s.case("glu", s.t(shape), d, fn=F.glu)
        halves = lambda x, dim: x.chunk(2, dim)
        s.case("swiglu", s.t(shape), d, fn=lambda x, dim: halves(x, dim)[0] * F.silu(halves(x, dim)[1]))
        s.case("geglu", s.t(shape), d, fn=lambda x, dim: halves(x, dim)[0] * F.gelu(halves(x, dim)[1]))
        shape = s.shape(2, 4)
        s.case("prelu", s.t(shape), s.t([s.choice(1, shape[1])], 0.1, 0.9), fn=prelu)

    # the same formula as text, for map
    formulas = {
        "tanh(x * y + 0.5) * exp(-x * x)": lambda x, y: torch.tanh(x * y + 0.5) * torch.exp(-x * x),
        "x > y and x * y or y - x": lambda x, y: torch.where(x > y, x * y, y - x),
        "gelu(x) / (2 + sigmoid(y)) - 2 ^ x": lambda x, y: F.gelu(x) / (2 + torch.sigmoid(y)) - 2 ** x,
        "max(x, y) + clamp(x, -0.5, 0.5) * lgamma(3 + y)": lambda x, y: torch.maximum(x, y) + x.clamp(-0.5, 0.5) * torch.lgamma(3 + y),
    }
    for text, f in formulas.items():
        for _ in range(6):
            x, z = s.broadcast(2)
            s.case("map", s.t(x), s.t(z), text, fn=lambda a, b, _, f=f: f(a, b))
