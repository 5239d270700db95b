#!/usr/bin/env python3
"""Writes tests/golden/ops.lua: what PyTorch 2.13 computes for ops, losses, clipping and initialisers. (Optimizers
and schedules: torch_optim.py.)

Needs a Python with torch 2.13:   python scripts/dev/torch_golden.py > tests/golden/ops.lua

All is float64. Inputs are not stored but follow a formula that tests/golden_spec.lua has too: element i (from 0, row-major)
of a tensor is sin(12.9898 i + seed) scale + offset. A case has the op's name, its arguments in Neap's order, its outputs,
and the gradients of sum over outputs k of (out_k * w_k).sum(), w_k[i] = cos(0.7 i + 0.3 + k), for each argument marked grad.
What Neap counts from 1 is written from 1: Dim, Dims, Pos and Idx stand for such arguments and know both sides' values.
The cases themselves are in torch_golden_cases.py.
"""

import math

import torch
import torch.nn.functional as F

torch.manual_seed(0)


def number(v):
    """A number as Lua text that reads back as the same double."""
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if math.isnan(v):
        return "0/0"
    if math.isinf(v):
        return "1/0" if v > 0 else "-1/0"
    text = "%.15g" % v
    if float(text) != v:
        text = "%.17g" % v
    return text if any(c in text for c in ".en") else text + ".0"


def data(t):
    return "{" + ",".join(number(v) for v in t.detach().reshape(-1).tolist()) + "}"


def dims(shape):
    return "{" + ",".join(str(n) for n in shape) + "}"


def base1(n):
    return n + 1 if n >= 0 else n


class Tensor:
    """An input by formula; differentiated unless grad is False."""

    def __init__(self, shape, scale=1.0, offset=0.0, grad=True):
        self.shape, self.scale, self.offset, self.grad = list(shape), scale, offset, grad
        self.values = None

    def plant(self, seed):
        self.seed = seed
        n = math.prod(self.shape)
        flat = [math.sin(12.9898 * i + seed) * self.scale + self.offset for i in range(n)]
        self.values = torch.tensor(flat, dtype=torch.float64).reshape(self.shape).requires_grad_(self.grad)

    def torch(self):
        return self.values

    def lua(self):
        text = "{shape=%s,seed=%d" % (dims(self.shape), self.seed)
        if self.scale != 1.0:
            text += ",scale=" + number(float(self.scale))
        if self.offset != 0.0:
            text += ",offset=" + number(float(self.offset))
        return text + (",grad=true}" if self.grad else "}")


class Given(Tensor):
    """An input with its values spelled out."""

    def __init__(self, values, grad=False, dtype=torch.float64):
        self.values = torch.tensor(values, dtype=dtype).requires_grad_(grad)
        self.grad = grad

    def plant(self, seed):
        pass

    def lua(self):
        v = self.values
        text = "{shape=%s,data=%s" % (dims(v.shape), data(v))
        if v.dtype != torch.float64:
            text += ',dtype="%s"' % str(v.dtype).replace("torch.", "")
        return text + (",grad=true}" if self.grad else "}")


class Idx(Given):
    """Positions or labels: written from 1, but for those that stand for nothing (below 0)."""

    def __init__(self, values):
        super().__init__(values, dtype=torch.int64)

    def lua(self):
        v = self.values
        shifted = torch.where(v >= 0, v + 1, v)
        return '{shape=%s,data=%s,dtype="int64"}' % (dims(v.shape), data(shifted))


class Dim:
    """A dimension or a position."""

    def __init__(self, n):
        self.n = n

    def torch(self):
        return self.n

    def lua(self):
        return str(base1(self.n))


Pos = Dim


class Dims:
    def __init__(self, *ns):
        self.ns = ns

    def torch(self):
        return tuple(self.ns)

    def lua(self):
        return dims(base1(n) for n in self.ns)


class Sizes:
    def __init__(self, *ns):
        self.ns = ns

    def torch(self):
        return tuple(self.ns)

    def lua(self):
        return dims(self.ns)


class List:
    def __init__(self, *items):
        self.items = items

    def torch(self):
        return [to_torch(i) for i in self.items]

    def lua(self):
        return "{list={" + ",".join(to_lua(i) for i in self.items) + "}}"


class Key:
    """What stands between the brackets of an index expression."""

    def __init__(self, *parts):
        self.parts = parts

    def torch(self):
        return tuple(to_torch(p) for p in self.parts)

    def part(self, p):
        if isinstance(p, slice):
            return "{}" if p.start is None else "{%d,%d}" % (p.start + 1, p.stop)
        if isinstance(p, int):
            return str(base1(p))
        return to_lua(p)

    def lua(self):
        if len(self.parts) == 1 and not isinstance(self.parts[0], slice):
            return self.part(self.parts[0])
        return "{" + ",".join(self.part(p) for p in self.parts) + "}"


class Opts:
    """The trailing table of options; keyword arguments on PyTorch's side."""

    def __init__(self, **options):
        self.options = options

    def torch(self):
        return {k: to_torch(v) for k, v in self.options.items()}

    def lua(self):
        return "{" + ",".join("%s=%s" % (k, to_lua(v)) for k, v in self.options.items()) + "}"


def to_torch(a):
    return a.torch() if hasattr(a, "torch") and hasattr(a, "lua") else a


def to_lua(a):
    if hasattr(a, "lua"):
        return a.lua()
    if isinstance(a, str):
        return '"%s"' % a
    return number(a)


def leaves(a):
    """The tensors of an argument, depth first."""
    if isinstance(a, Tensor):
        yield a
    elif isinstance(a, List):
        for i in a.items:
            yield from leaves(i)
    elif isinstance(a, Key):
        for p in a.parts:
            yield from leaves(p)
    elif isinstance(a, Opts):
        for k in sorted(a.options):
            yield from leaves(a.options[k])


def find(name):
    for home in (F, torch, torch.Tensor):
        if hasattr(home, name):
            return getattr(home, name)
    raise LookupError(name)


def output(t, positions):
    if positions:
        t = torch.where(t >= 0, t + 1, t)
    text = "{shape=%s,data=%s" % (dims(t.shape), data(t))
    if t.dtype != torch.float64:
        text += ',dtype="%s"' % str(t.dtype).replace("torch.", "")
    return text + "}"


count = 0


def case(op, *args, fn=None, positions=False, note=None):
    """One row. positions: integer outputs are positions, written from 1."""
    global count
    count += 1
    tensors = [t for a in args for t in leaves(a)]
    for seed, t in enumerate(tensors):
        t.plant(seed + 1)
    options = [a for a in args if isinstance(a, Opts)]
    plain = [to_torch(a) for a in args if not isinstance(a, Opts)]
    outs = (fn or find(op))(*plain, **(options[0].torch() if options else {}))
    if isinstance(outs, torch.Tensor):
        outs = [outs]
    outs = list(outs)
    row = '{op="%s",args={%s},outs={%s}' % (
        op,
        ",".join(to_lua(a) for a in args),
        ",".join(output(o, positions and o.dtype == torch.int64) for o in outs),
    )
    wanted = [t for t in tensors if t.grad]
    loss = 0
    for k, o in enumerate(outs):
        if o.requires_grad:
            w = torch.cos(0.7 * torch.arange(o.numel(), dtype=torch.float64) + 0.3 + k).reshape(o.shape)
            loss = loss + (o * w).sum()
    if wanted and isinstance(loss, torch.Tensor):
        grads = torch.autograd.grad(loss, [t.values for t in wanted], allow_unused=True)
        grads = [g if g is not None else torch.zeros_like(t.values) for g, t in zip(grads, wanted)]
        row += ",grads={" + ",".join(data(g) for g in grads) + "}"
    if note:
        row += ',note="%s"' % note
    print(row + "},")


def init_rows():
    """Bounds of the uniform initialisers and deviations of the normal ones, from their definitions in PyTorch."""
    init = torch.nn.init
    shapes = [(40, 60), (30, 4, 5, 5)]
    for shape in shapes:
        fan_in, fan_out = init._calculate_fan_in_and_fan_out(torch.empty(shape))
        for gain in (1.0, 2.5):
            std = gain * math.sqrt(2.0 / (fan_in + fan_out))
            print('{init="xavier_uniform",shape=%s,options={gain=%s},bound=%s},' % (
                dims(shape), number(gain), number(math.sqrt(3.0) * std)))
            print('{init="xavier_normal",shape=%s,options={gain=%s},std=%s},' % (dims(shape), number(gain), number(std)))
        for mode, fan in (("fan_in", fan_in), ("fan_out", fan_out)):
            for nonlinearity, a in (("relu", 0), ("leaky_relu", 0.2), ("tanh", 0), ("linear", 0)):
                std = init.calculate_gain(nonlinearity, a) / math.sqrt(fan)
                options = 'a=%s,mode="%s",nonlinearity="%s"' % (number(a), mode, nonlinearity)
                print('{init="kaiming_uniform",shape=%s,options={%s},bound=%s},' % (
                    dims(shape), options, number(math.sqrt(3.0) * std)))
                print('{init="kaiming_normal",shape=%s,options={%s},std=%s},' % (dims(shape), options, number(std)))
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        print('{gain="%s",value=%s},' % (name, number(float(init.calculate_gain(name)))))
    print('{gain="leaky_relu",param=0.2,value=%s},' % number(float(init.calculate_gain("leaky_relu", 0.2))))


def clip_rows():
    """clip_grad_norm on two gradients that follow the formula."""
    for max_norm, p in ((1.0, 2.0), (0.5, 1.0), (0.3, math.inf), (100.0, 2.0)):
        tensors = [Tensor((2, 3)), Tensor((4,))]
        parameters = []
        for seed, t in enumerate(tensors):
            t.plant(seed + 1)
            parameters.append(torch.nn.Parameter(torch.zeros(t.shape, dtype=torch.float64)))
            parameters[-1].grad = t.values.detach().clone()
        total = torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=p)
        print("{clip=%s,p=%s,norm=%s,grads={%s},clipped={%s}}," % (
            number(max_norm), number(p), number(float(total)), ",".join(t.lua() for t in tensors),
            ",".join(data(q.grad) for q in parameters)))


def main():
    import torch_golden_cases

    print("-- generated by scripts/dev/torch_golden.py with PyTorch %s; read by tests/golden_spec.lua" % torch.__version__.split("+")[0])
    print("return {")
    print("cases={")
    torch_golden_cases.write()
    print("},\nclips={")
    clip_rows()
    print("},\ninits={")
    init_rows()
    print("},\n}")


if __name__ == "__main__":
    import sys

    sys.modules["torch_golden"] = sys.modules["__main__"]
    main()
