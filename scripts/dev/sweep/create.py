"""Tensors from nothing, copies and casts."""
import torch
from sweep import Values

FLOATS = ("float64", "float32")
DTYPES = FLOATS + ("int64", "int32", "int16", "int8", "uint8", "bool")


def dtype(name):
    return getattr(torch, name)


class DType:
    """A dtype's name in Lua, PyTorch's object here."""

    def __init__(self, name):
        self.name = name

    def torch(self, _):
        return dtype(self.name)

    def lua(self):
        return '"%s"' % self.name


def vander(x, n, increasing):
    """As torch.vander, whose gradient fails."""
    powers = [x ** k for k in range(n)]
    return torch.stack(powers if increasing else powers[::-1], 1)


def cases(s):
    for name in ("zeros", "ones"):
        make = getattr(torch, name)
        for d in DTYPES:
            s.case(name, s.shape(0, 4), DType(d), fn=lambda n, d, make=make: make(n, dtype=d), f32=False)
        for _ in range(6):
            s.case(name + "_like", s.t(s.shape(0, 3)), DType(s.choice(*DTYPES)), grad=False, f32=False,
                   fn=lambda x, d, like=getattr(torch, name + "_like"): like(x, dtype=d))
    for d in FLOATS:
        for _ in range(5):
            s.case("full", s.shape(0, 3), s.choice(0.5, -2.25, 7.0), DType(d), fn=lambda n, v, d: torch.full(n, v, dtype=d), f32=False)
            s.case("full_like", s.t(s.shape(0, 3), grad=False), 1.5, DType(d), fn=lambda x, v, d: torch.full_like(x, v, dtype=d), f32=False)
            step = s.choice(0.25, 0.5, -0.75, 1.0)
            s.case("arange", 1.0, 1.0 + step * s.random.randint(1, 9) - step / 3, step, DType(d),
                   fn=lambda a, b, c, d: torch.arange(a, b, c, dtype=d), f32=False)
            s.case("linspace", s.choice(-1.0, 0.0, 2.5), s.choice(3.0, -4.0), s.choice(1, 2, 5, 12), DType(d),
                   fn=lambda a, b, n, d: torch.linspace(a, b, n, dtype=d), f32=False)
            s.case("eye", s.random.randint(1, 5), s.random.randint(1, 5), DType(d), fn=lambda n, m, d: torch.eye(n, m, dtype=d), f32=False)
    for _ in range(6):
        low, step = s.random.randint(-5, 5), s.choice(-2, -1, 1, 3)
        s.case("arange", low, low + step * s.random.randint(1, 6), step, fn=torch.arange)
    for op in ("to", "cast"):
        for source in ("float64", "float32", "int64", "int32", "uint8", "bool", "bfloat16", "float16"):
            for target in DTYPES + ("bfloat16", "float16"):
                whole = [0.0, 1.0, 2.0, 100.0, 3.0]
                part = [-1.75, 2.5, -0.1] if source in FLOATS + ("bfloat16", "float16") and target not in ("uint8",) else []
                s.case(op, Values(whole + part, source), DType(target), fn=lambda x, d: x.to(d), f32=False)
    for _ in range(8):
        shape = s.shape(0, 4)
        s.case("copy", s.t(shape), s.t(shape[len(shape) // 2:]), fn=lambda x, y: x * 0 + y)
        s.case("clone", s.t(shape))
        s.case("contiguous", s.t(shape))
        s.case("fill", s.t(shape), 0.5, fn=lambda x, v: x * 0 + v)
        s.case("zero", s.t(shape), fn=lambda x: x * 0)
        s.case("detach", s.t(shape, grad=False), fn=torch.detach)
        s.case("cbrt", s.t(shape, 0.1, 8.0), fn=lambda x: x ** (1 / 3))
        s.case("bitwise_not", s.i(shape, -9, 9, s.choice("int64", "int32", "int8")))
    for n in (1, 3, 8):
        s.case("mm", s.t([n, 4]), s.t([4, n + 1]))
        s.case("dot", s.t([n]), s.t([n]))
    for _ in range(20):
        a, n = s.random.uniform(-5, 5), s.random.randint(0, 7)
        s.case("linspace", s.random.randint(-9, 9), s.random.randint(-9, 9), n, fn=torch.linspace)
        s.case("logspace", a, s.random.uniform(-2, 2), n, s.choice(10.0, 2.0, 0.5), DType("float64"), f32=False,
               fn=lambda a, b, n, base, d: torch.logspace(a, b, n, base, dtype=d))
        s.case("vander", s.t([s.random.randint(1, 5)]), s.random.randint(2, 5), s.choice(True, False), fn=vander)
        step = s.choice(1, 2, -1, 3, -2)
        low = s.random.randint(-5, 5)
        s.case("range", low, low + s.random.randint(0, 9) * step, step, fn=lambda a, b, c: torch.arange(a, b + (1 if c > 0 else -1), c))
