"""Writes tests/golden/optim.lua: what PyTorch 2.13 makes of parameters in ten steps of each optimizer, and of learning
rates in fifty of each schedule. Run it as: python scripts/dev/torch_optim.py > tests/golden/optim.lua

All is float64. Values follow formulas that tests/optim_golden_spec.lua computes too, so that only results are stored:
element i of parameter k begins as cos(0.37 i + 1.1 k), k from 1, and its gradient at step t is
(0.2 + i % 5) cos(0.7 i + 2.3 t + k) / 3 + w / 2. At step 4 the second parameter has no gradient; before step 6 the
learning rate is halved. What PyTorch lacks (Lion, LAMB) is written out here from the papers, in NumPy, one tensor at a time.

Muon's products are in bfloat16 in PyTorch and in the parameter's dtype in Neap: here they are kept in float64."""

import math
import sys

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.Tensor.bfloat16 = lambda self: self.clone()  # Muon's products, see above

STEPS, KEPT = 10, (1, 5, 10)


# ---- rules that PyTorch lacks ----

class Written:
    """A rule over numpy arrays with PyTorch's face: param_groups, step."""

    def __init__(self, parameters, **options):
        self.parameters = list(parameters)
        self.param_groups = [{**self.defaults, **options}]
        self.state = [{} for _ in self.parameters]

    def step(self):
        o = self.param_groups[0]
        for p, s in zip(self.parameters, self.state):
            if p.grad is not None:
                s["t"] = s.get("t", 0) + 1
                g = p.grad.numpy() * (-1 if o["maximize"] else 1)
                p.data = torch.from_numpy(self.update(p.data.numpy(), g, s, o))


class Lion(Written):
    """Chen et al., 2023, Symbolic discovery of optimization algorithms, program 1 with algorithm 2's decay."""
    defaults = dict(lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False)

    def update(self, w, g, s, o):
        b1, b2 = o["betas"]
        m = s.get("m", np.zeros_like(w))
        c = b1 * m + (1 - b1) * g
        s["m"] = b2 * m + (1 - b2) * g
        return w - o["lr"] * (np.sign(c) + o["weight_decay"] * w)


class LAMB(Written):
    """You et al., 2020, Large batch optimization for deep learning, algorithm 2, phi the identity."""
    defaults = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01, maximize=False)

    def update(self, w, g, s, o):
        b1, b2 = o["betas"]
        s["m"] = b1 * s.get("m", np.zeros_like(w)) + (1 - b1) * g
        s["v"] = b2 * s.get("v", np.zeros_like(w)) + (1 - b2) * g * g
        m, v = s["m"] / (1 - b1 ** s["t"]), s["v"] / (1 - b2 ** s["t"])
        r = m / (np.sqrt(v) + o["eps"]) + o["weight_decay"] * w
        a, b = np.linalg.norm(w), np.linalg.norm(r)
        return w - o["lr"] * (a / b if a > 0 and b > 0 else 1.0) * r


# ---- optimizers ----

SHAPES = [(3, 5), (17,), (2, 2, 3)]
MATRICES = [(3, 5), (6, 2), (4, 4)]

RULES = {
    "SGD": [dict(lr=0.1), dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.05),
            dict(lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.01), dict(lr=0.01, momentum=0.5, maximize=True)],
    "Adam": [dict(), dict(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1), dict(lr=0.1, amsgrad=True, betas=(0.5, 0.6)),
             dict(lr=0.1, maximize=True)],
    "AdamW": [dict(), dict(lr=0.1, weight_decay=0.2, betas=(0.7, 0.9), eps=1e-4), dict(lr=0.1, amsgrad=True, maximize=True)],
    "NAdam": [dict(), dict(lr=0.1, betas=(0.7, 0.9), eps=1e-4, weight_decay=0.1, momentum_decay=0.02),
              dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True), dict(lr=0.1, maximize=True)],
    "RAdam": [dict(), dict(lr=0.1, betas=(0.7, 0.9), eps=1e-4, weight_decay=0.1),
              dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True), dict(lr=0.1, maximize=True, betas=(0.9, 0.5))],
    "Adamax": [dict(), dict(lr=0.1, betas=(0.7, 0.9), eps=1e-4, weight_decay=0.1), dict(lr=0.1, maximize=True)],
    "RMSprop": [dict(), dict(lr=0.05, alpha=0.9, momentum=0.9, eps=1e-3), dict(lr=0.05, centered=True, maximize=True),
                dict(lr=0.02, weight_decay=0.1, momentum=0.5, centered=True, eps=1e-2)],
    "Adagrad": [dict(), dict(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.3, eps=1e-3),
                dict(lr=0.1, maximize=True)],
    "Adadelta": [dict(), dict(lr=0.5, rho=0.7, eps=1e-3, weight_decay=0.1), dict(maximize=True)],
    "Rprop": [dict(), dict(lr=0.1, etas=(0.3, 1.5), step_sizes=(0.05, 0.2)), dict(maximize=True)],
    "ASGD": [dict(), dict(lr=0.1, lambd=0.1, alpha=0.5, t0=3, weight_decay=0.1), dict(lr=0.1, t0=0, maximize=True)],
    "Lion": [dict(), dict(lr=0.05, betas=(0.7, 0.8), weight_decay=0.1), dict(lr=0.05, maximize=True)],
    "LAMB": [dict(), dict(lr=0.1, betas=(0.7, 0.8), weight_decay=0.2, eps=1e-3), dict(lr=0.1, weight_decay=0, maximize=True)],
    "Adafactor": [dict(), dict(lr=0.5, beta2_decay=-0.5, eps=(1e-4, 0.1), weight_decay=0.1),
                  dict(lr=0.5, d=1.5, maximize=True), dict(lr=0.5, eps=(0.5, 0.1))],
    "Muon": [dict(lr=0.1), dict(lr=0.1, momentum=0.8, nesterov=False, weight_decay=0.2, ns_steps=3),
             dict(lr=0.1, adjust_lr_fn="match_rms_adamw", ns_coefficients=(2.0, -1.5, 0.5), eps=1e-3), dict(lr=0.1, ns_steps=0)],
}


def number(v):
    return repr(float("%.12g" % v)) if v == v and abs(v) != math.inf else "0/0" if v != v else "%s1/0" % ("-" if v < 0 else "")


def lua(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, int):
        return str(v)
    if isinstance(v, str):
        return '"%s"' % v
    if isinstance(v, (tuple, list)):
        return "{%s}" % ",".join(map(lua, v))
    return number(v)


def table(options):
    return "{%s}" % ",".join("%s=%s" % (k, lua(v)) for k, v in options.items())


def ramp(count):
    return torch.arange(count, dtype=torch.float64)


def start(shape, k):
    i = ramp(math.prod(shape))
    return torch.cos(0.37 * i + 1.1 * k).reshape(shape)


def gradient(w, t, k):
    i = ramp(w.numel())
    return ((0.2 + i % 5) * torch.cos(0.7 * i + 2.3 * t + k) / 3).reshape(w.shape) + w.detach() / 2


def parameters(shapes):
    return [torch.nn.Parameter(start(s, k + 1)) for k, s in enumerate(shapes)]


def values(tensors):
    return "{%s}" % ",".join("{%s}" % ",".join(map(number, p.detach().flatten().tolist())) for p in tensors)


def optimizer_rows():
    for name, settings in RULES.items():
        rule = globals().get(name) or getattr(torch.optim, name)
        for options in settings:
            shapes = MATRICES if name == "Muon" else SHAPES
            tensors = parameters(shapes)
            plain = {} if issubclass(rule, Written) or name == "Muon" else dict(foreach=False)
            optimizer = rule(tensors, **options, **plain)
            kept = []
            for t in range(1, STEPS + 1):
                for k, p in enumerate(tensors):
                    p.grad = None if t == 4 and k == 1 else gradient(p, t, k + 1)
                if t == 6:
                    optimizer.param_groups[0]["lr"] *= 0.5
                optimizer.step()
                if t in KEPT:
                    kept.append("[%d]=%s" % (t, values(tensors)))
            print('{rule="%s",options=%s,shapes=%s,steps={%s}},' % (name, table(options), lua(shapes), ",".join(kept)))


def main():
    print("-- Written by scripts/dev/torch_optim.py with PyTorch %s: do not edit." % torch.__version__.split("+")[0])
    print("return {\noptimizers={")
    optimizer_rows()
    print("}}")


main()
