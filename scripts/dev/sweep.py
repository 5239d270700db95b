#!/usr/bin/env python3
"""Writes tests/golden/sweep/FAMILY.txt: what PyTorch 2.13 computes for thousands of calls, in a few numbers a call.

    python scripts/dev/sweep.py [FAMILY ...]        needs a Python with torch 2.13; without names: all of scripts/dev/sweep/

scripts/dev/sweep/FAMILY.py has a function cases(s) that describes calls with the help of the Sweep `s`:

    for _ in range(20):
        s.case("softmax", s.t(s.shape(1, 3), -2, 2), Dim(-1), fn=F.softmax)

A case is the name of a function of neap (":name" is a method, dots reach into tables), its arguments in Neap's order, and
fn, the same in PyTorch (found by name in torch.nn.functional, torch and torch.Tensor when left out). Arguments:

    s.t(shape, lo, hi)        floats by a formula, in a random memory layout; a leaf to differentiate (but see grad=False)
    s.e(small, shape, lo, hi) floats of shape `small`, expanded to `shape`
    s.i(shape, lo, hi)        integers in the closed range; s.i(..., dtype="int32")
    s.index(shape, n)         positions 0..n-1 here, 1..n in Lua
    s.b(shape)                bools
    Values([...], "float64")  spelled out; inf, nan and nested lists are fine
    Dim(d) Dims(0, -1)        dimensions or positions, counted from 0 here and from 1 in Lua
    List(a, b)                a list (a table in Lua);  Opts(k=v) the last table of options, keywords in PyTorch
    None, numbers, strings, bools, plain lists of numbers (sizes)

positions=True: integer outputs are positions, written from 1. post="name": the outputs are compared after the function of
that name in tests/support/sweep_posts.lua, which gets (outputs, arguments) and gives a list of tensors; fn must then give
the same list. That is for what is not unique (signs of svd, ties). f32=False: not run in float32. grad=False: no gradients.

A layer is compared with its parameters:

    s.layer("Conv2d", 3, 16, 3, Opts(padding=1), inputs=[s.t([2, 3, 8, 8])])

makes torch.nn.Conv2d(3, 16, 3, padding=1) and nn.Conv2d(3, 16, 3, {padding = 1}), fills parameters and buffers of floats by
formula in the order of their names, which must be the same in both, calls it on the inputs (Opts last: by name), and
compares outputs, buffers as they are afterwards, and the gradients of all inputs and parameters. train=False: in evaluation
mode; fn(module, ...) calls it in another way; make: makes PyTorch's module; lua_text: the text that makes Neap's; lo, hi: of the
parameters; batch=None: no case of an empty batch (dimension `batch` of each input) is added, where PyTorch allows one.

A line has, split by tabs: op, post, arguments as Lua text, outputs, gradients. Of each tensor it keeps its dtype and shape,
two projections (sums of its elements times fixed numbers in (-1, 1)), a sum over the places of what is not finite when there
are any, and how far PyTorch's own float32 is from its float64, relative to the largest element. tests/sweep_spec.lua reads it.
"""
import copy
import importlib.util
import math
import pathlib
import random
import struct
import sys

import torch
import torch.nn.functional as F

MASK = (1 << 64) - 1
LETTERS = {"float64": "f64", "float32": "f32", "int64": "i64", "int32": "i32", "int16": "i16", "int8": "i8", "uint8": "u8",
           "uint16": "u16", "bool": "b", "bfloat16": "bf16", "float16": "f16"}


def hashed(seed, i):
    """An integer of 64 bits: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014) over seed and place."""
    z = (seed * 0x9E3779B97F4A7C15 + i * 0xD1B54A32D192ED03) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def uniform(seed, i):
    return (hashed(seed, i) >> 44) / 1048576.0


def weights(seed, n):
    return torch.tensor([2 * uniform(seed, i) - 1 for i in range(n)], dtype=torch.float64)


def lua(v):
    if hasattr(v, "lua"):
        return v.lua()
    if v is None:
        return "nil"
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, str):
        return '"%s"' % v
    if isinstance(v, (list, tuple)):
        return "{" + ",".join(lua(x) for x in v) + "}"
    if isinstance(v, float):
        if v != v:
            return "0/0"
        if math.isinf(v):
            return "1/0" if v > 0 else "-1/0"
    return repr(v)


def value(v, dtype):
    return v.torch(dtype) if hasattr(v, "torch") else [value(x, dtype) for x in v] if isinstance(v, list) else v


class Formula:
    def __init__(self, shape, seed, lo, hi, layout="", grad=True):
        self.shape, self.seed, self.lo, self.hi, self.layout, self.grad = list(shape), seed, lo, hi, layout, grad
        self.whole = None

    def flat(self):
        n = math.prod(self.shape)
        flat = [self.lo + (self.hi - self.lo) * uniform(self.seed, i) for i in range(n)]
        return struct.unpack("%df" % n, struct.pack("%df" % n, *flat))

    def torch(self, dtype):
        self.leaf = torch.tensor(self.flat(), dtype=dtype).reshape(self.shape).requires_grad_(self.grad)
        return self.leaf if self.whole is None else self.leaf.expand(self.whole)

    def lua(self):
        text = "%s(%d,%s,%s,%s" % ("t" if self.grad else "c", self.seed, lua(self.shape), lua(self.lo), lua(self.hi))
        if self.whole is not None:
            return text + ',"E",%s)' % lua(self.whole)
        return text + (',"%s")' % self.layout if self.layout else ")")


class Integers:
    def __init__(self, shape, seed, lo, hi, dtype="int64", shift=0):
        self.shape, self.seed, self.lo, self.hi, self.dtype, self.shift = list(shape), seed, lo, hi, dtype, shift

    def torch(self, _):
        n = math.prod(self.shape)
        flat = [self.lo + (hashed(self.seed, i) >> 33) % (self.hi - self.lo + 1) for i in range(n)]
        return torch.tensor(flat, dtype=getattr(torch, self.dtype)).reshape(self.shape)

    def lua(self):
        text = "i(%d,%s,%d,%d" % (self.seed, lua(self.shape), self.lo + self.shift, self.hi + self.shift)
        return text + (")" if self.dtype == "int64" else ',"%s")' % self.dtype)


class Bools:
    def __init__(self, shape, seed):
        self.shape, self.seed = list(shape), seed

    def torch(self, _):
        flat = [hashed(self.seed, i) >> 63 == 1 for i in range(math.prod(self.shape))]
        return torch.tensor(flat, dtype=torch.bool).reshape(self.shape)

    def lua(self):
        return "b(%d,%s)" % (self.seed, lua(self.shape))


class Values:
    """float64 follows the run's precision; any other dtype is kept."""

    def __init__(self, values, dtype="float64", grad=False):
        self.values, self.dtype, self.grad = values, dtype, grad

    def torch(self, dtype):
        t = torch.tensor(self.values, dtype=dtype if self.dtype == "float64" else getattr(torch, self.dtype))
        self.leaf = t.requires_grad_(self.grad)
        return self.leaf

    def lua(self):
        return 'v(%s,"%s"%s)' % (lua(self.values), self.dtype, ",true" if self.grad else "")


class Leaf:
    grad = True

    def __init__(self, leaf):
        self.leaf = leaf


class Layer:
    """A module filled by formula: entry k of its sorted state_dict has seed 1000 * seed + k."""

    def __init__(self, seed, make, text, train, lo, hi):
        self.seed, self.make, self.text, self.train, self.lo, self.hi = seed, make, text, train, lo, hi

    def torch(self, dtype):
        m = self.make().to(dtype).train(self.train)
        for k, (name, t) in enumerate(sorted(m.state_dict().items())):
            if t.is_floating_point():
                lo, hi = (0.5, 1.5) if "var" in name else (self.lo, self.hi)
                with torch.no_grad():
                    t.copy_(Formula(t.shape, 1000 * self.seed + k, lo, hi).torch(dtype))
        self.leaves = [Leaf(p) for _, p in sorted(m.named_parameters())]
        return m

    def lua(self):
        return "m(%d,%s,%s,%s,%s)" % (self.seed, lua(self.lo), lua(self.hi), lua(self.train), self.text)


def call_layer(m, *inputs, fn=None, **options):
    outs = tensors_of((fn or (lambda m, *x, **o: m(*x, **o)))(m, *inputs, **options))
    return outs + [b.detach().clone() for _, b in sorted(m.named_buffers())]


class Dim:
    def __init__(self, n):
        self.n = n

    def torch(self, _):
        return self.n

    def lua(self):
        return str(self.n + 1 if self.n >= 0 else self.n)


class Dims(Dim):
    def __init__(self, *ns):
        self.ns = ns

    def torch(self, _):
        return tuple(self.ns)

    def lua(self):
        return "{" + ",".join(Dim(n).lua() for n in self.ns) + "}"


class List:
    def __init__(self, *items):
        self.items = items

    def torch(self, dtype):
        return [value(x, dtype) for x in self.items]

    def lua(self):
        return lua(list(self.items))


class Opts:
    def __init__(self, **options):
        self.options = options

    def torch(self, dtype):
        return {k: value(v, dtype) for k, v in self.options.items()}

    def lua(self):
        return "{" + ",".join("%s=%s" % (k, lua(v)) for k, v in self.options.items()) + "}"


class Call(torch.nn.Module):
    """A layer without parameters that PyTorch does not have."""

    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, *x, **options):
        return self.call(*x, **options)


def leaves(args):
    """The tensors to differentiate, depth first, options by name: the order in which Lua meets them."""
    for a in args:
        if isinstance(a, (Formula, Values)) and a.grad:
            yield a
        elif isinstance(a, Layer):
            yield from a.leaves
        elif isinstance(a, List):
            yield from leaves(a.items)
        elif isinstance(a, Opts):
            yield from leaves(a.options[k] for k in sorted(a.options))


def find(name):
    for home in (F, torch, torch.Tensor):
        if hasattr(home, name.lstrip(":")):
            return getattr(home, name.lstrip(":"))
    raise LookupError(name)


def tensors_of(outs):
    if outs is None:
        return []
    if isinstance(outs, torch.Tensor):
        return [outs]
    if isinstance(outs, (bool, int, float)):
        return [torch.tensor(outs)]
    return [t for o in outs for t in tensors_of(o)]


def run(fn, args, dtype, wants):
    """Outputs, and gradients of their sum under fixed weights (None where nothing flows)."""
    plain = [value(a, dtype) for a in args if not isinstance(a, Opts)]
    options = {k: v for a in args if isinstance(a, Opts) for k, v in a.torch(dtype).items()}
    outs = tensors_of(fn(*plain, **options))
    wanted = [a.leaf for a in leaves(args)] if wants else []
    loss = 0
    for k, y in enumerate(outs):
        if y.requires_grad:
            loss = loss + (y * weights(501 + k, y.numel()).to(y.dtype).reshape(y.shape)).sum()
    if not wanted or not isinstance(loss, torch.Tensor):
        return outs, []
    return outs, list(torch.autograd.grad(loss, wanted, allow_unused=True))


def projections(t):
    x = t.detach().to(torch.float64).reshape(-1)
    code = x.isnan() * 1.0 + (x == math.inf) * 2.0 + (x == -math.inf) * 3.0
    odd = int((code * torch.arange(1, x.numel() + 1)).sum())
    x = torch.where(code != 0, torch.zeros_like(x), x)
    text = ",".join("%.13g" % float((x * weights(991 + k, x.numel())).sum()) for k in range(2))
    return text + (",%d" % odd if odd else "")


def distance(a, b):
    """Of float32's a from float64's b, relative to b's largest element."""
    a, b = a.detach().to(torch.float64), b.detach().to(torch.float64)
    if a.numel() == 0:
        return "0"
    same = (a == b) | (a.isnan() & b.isnan())
    if not bool((a.isfinite() | same).all()):
        return "inf"
    scale = float(b[b.isfinite()].abs().max()) if bool(b.isfinite().any()) else 0.0
    far = float(torch.where(same, torch.zeros_like(a), a - b).abs().max())
    return "%.2g" % (far / max(scale, 1e-3)) if math.isfinite(far) else "inf"


class Sweep:
    def __init__(self, family):
        self.random = random.Random(family)
        self.seed = 0
        self.lines = []
        self.emptied = set()

    # ---- what calls are made of ----

    def fresh(self):
        self.seed += 1
        return self.seed

    def t(self, shape, lo=-2.0, hi=2.0, grad=True, layout=None):
        if layout is None:
            layout = self.random.choice(["", "", "T", "S"]) if len(shape) > 1 else self.random.choice(["", "S"]) if shape else ""
        return Formula(shape, self.fresh(), lo, hi, layout, grad)

    def e(self, small, shape, lo=-2.0, hi=2.0, grad=True):
        t = Formula(small, self.fresh(), lo, hi, "", grad)
        t.whole = list(shape)
        return t

    def i(self, shape, lo, hi, dtype="int64"):
        return Integers(shape, self.fresh(), lo, hi, dtype)

    def index(self, shape, n):
        return Integers(shape, self.fresh(), 0, n - 1, "int64", 1)

    def b(self, shape):
        return Bools(shape, self.fresh())

    def shape(self, least=0, most=4, size=4):
        return [self.random.randint(1, size) for _ in range(self.random.randint(least, most))]

    def dim(self, shape):
        """A dimension of shape, from either end."""
        return Dim(self.random.randrange(-len(shape), len(shape)))

    def dims(self, shape):
        """Some dimensions, at least one, from either end."""
        n = len(shape)
        chosen = self.random.sample(range(n), self.random.randint(1, n))
        return Dims(*(d - n if self.random.random() < 0.3 else d for d in chosen))

    def broadcast(self, n, least=0, most=4):
        """n shapes that broadcast with each other."""
        whole = self.shape(least, most)
        out = []
        for k in range(n):
            cut = self.random.randint(0, len(whole)) if k and self.random.random() < 0.3 else 0
            out.append([1 if k and self.random.random() < 0.25 else size for size in whole[cut:]])
        self.random.shuffle(out)
        return out

    def choice(self, *options):
        return self.random.choice(options)

    # ---- a call ----

    def case(self, op, *args, fn=None, positions=False, post="", f32=None, grad=True):
        fn = fn or find(op)
        while args and args[-1] is None:
            args = args[:-1]
        outs, grads = run(fn, args, torch.float64, grad)
        if f32 is None:
            f32 = any("64" in str(y.dtype) for y in outs) and ("float64" in lua(list(args)) or any(c in lua(list(args)) for c in ("t(", "c(")))
        outs32, grads32 = [None] * len(outs), [None] * len(grads)
        if f32:
            outs32, grads32 = run(fn, args, torch.float32, grad)
        columns = []
        for y, y32 in zip(outs, outs32):
            if positions and y.dtype == torch.int64:
                y = torch.where(y >= 0, y + 1, y)
            name = LETTERS[str(y.dtype).replace("torch.", "")]
            own = distance(y32, y) if y32 is not None and y.dtype == torch.float64 else "-"
            columns.append("%s:%s:%s:%s" % (name, "x".join(map(str, y.shape)), projections(y), own))
        slopes = ["-" if g is None else "%s:%s" % (projections(g), distance(g32, g) if g32 is not None else "-")
                  for g, g32 in zip(grads, grads32)]
        self.lines.append("\t".join([op, post, ",".join(lua(a) for a in args), " ".join(columns), " ".join(slopes)]))

    def layer(self, name, *settings, inputs, train=True, fn=None, make=None, lua_text=None, lo=-0.5, hi=0.5, batch=0, **how):
        options = {k: v for a in settings if isinstance(a, Opts) for k, v in a.torch(torch.float64).items()}
        plain = [value(a, torch.float64) for a in settings if not isinstance(a, Opts)]
        make = make or (lambda: getattr(torch.nn, name)(*plain, **options))
        text = lua_text or "nn.%s(%s)" % (name, ",".join(lua(a) for a in settings))
        m = Layer(self.fresh(), make, text, train, lo, hi)

        def called(module, *x, **o):
            return call_layer(module, *x, fn=fn, **o)

        self.case("nn." + name, m, *inputs, fn=called, **how)
        if batch is None or name in self.emptied or not all(isinstance(x, (Formula, Integers, Bools)) for x in inputs):
            return
        self.emptied.add(name)
        empty = [copy.copy(x) for x in inputs]
        for x in empty:
            x.shape = [0 if d == batch else n for d, n in enumerate(x.shape)]
        try:
            m.torch(torch.float64)(*[x.torch(torch.float64) for x in empty])
        except Exception:
            return
        self.case("nn." + name, m, *empty, fn=called, **how)


def family(name):
    """The module scripts/dev/sweep/NAME.py."""
    spec = importlib.util.spec_from_file_location("sweep_" + name, pathlib.Path(__file__).parent / "sweep" / (name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(names):
    here = pathlib.Path(__file__).parent
    out = here.parent.parent / "tests/golden/sweep"
    names = names or sorted(p.stem for p in (here / "sweep").glob("*.py"))
    sys.modules["sweep"] = sys.modules["__main__"]
    torch.set_num_threads(1)
    for name in names:
        s = Sweep(name)
        described = family(name)
        described.cases(s)
        peers = ["PyTorch " + torch.__version__.split("+")[0]] + ([described.PEER] if hasattr(described, "PEER") else [])
        head = "-- generated by scripts/dev/sweep.py with %s; read by tests/sweep_spec.lua\n" % " and ".join(peers)
        (out / (name + ".txt")).write_text(head + "\n".join(s.lines) + "\n")
        print("%s: %d cases" % (name, len(s.lines)))


if __name__ == "__main__":
    main(sys.argv[1:])
