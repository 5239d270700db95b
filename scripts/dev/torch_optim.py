"""Writes tests/golden/optim.lua: what PyTorch 2.13 makes of parameters in ten steps of each optimizer, and of learning
rates in fifty of each schedule. Run it as: python scripts/dev/torch_optim.py > tests/golden/optim.lua

All is float64. Values follow formulas that tests/optim_golden_spec.lua computes too, so that only results are stored:
element i of parameter k begins as cos(0.37 i + 1.1 k), k from 1, and its gradient at step t is
(0.2 + i % 5) cos(0.7 i + 2.3 t + k) / 3 + w / 2. At step 4 the second parameter has no gradient; before step 6 the
learning rate is halved. What PyTorch lacks (Lion, LAMB) is written out here from the papers, in NumPy, one tensor at a time.

Muon's products are in bfloat16 in PyTorch and in the parameter's dtype in Neap: here they are kept in float64."""

import math
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
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


# ---- LBFGS: steps on Rosenbrock's valley, and on a sum of powers ----

def valley(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def powers(x):
    return ((x - 0.5) ** 4).sum() + 0.1 * (x ** 2).sum()


LBFGS = [
    ("valley", dict(lr=1e-3)), ("valley", dict(lr=0.5, max_iter=4, line_search_fn="strong_wolfe")),
    ("valley", dict(history_size=3, line_search_fn="strong_wolfe")),
    ("valley", dict(max_iter=30, max_eval=7, line_search_fn="strong_wolfe", tolerance_change=1e-6)),
    ("powers", dict(lr=0.3, max_iter=5)), ("powers", dict(lr=1, history_size=2, line_search_fn="strong_wolfe", tolerance_grad=1e-3)),
    ("powers", dict(max_eval=1, line_search_fn="strong_wolfe")), ("powers", dict(lr=8, line_search_fn="strong_wolfe")),
    ("powers", dict(lr=1e-3, line_search_fn="strong_wolfe")),
]


def lbfgs_rows():
    for loss_of, options in LBFGS:
        tensors = parameters([(3, 2), (4,)])
        optimizer = torch.optim.LBFGS(tensors, **options)
        calls, kept = [0], []

        def closure():
            calls[0] += 1
            optimizer.zero_grad()
            loss = globals()[loss_of](torch.cat([p.flatten() for p in tensors]))
            loss.backward()
            return loss

        for _ in range(5):
            first = optimizer.step(closure)
            state = optimizer.state_dict()["state"][0]
            kept.append("{loss=%s,calls=%d,func_evals=%d,n_iter=%d,params=%s}" % (
                number(first.item()), calls[0], state["func_evals"], state["n_iter"], values(tensors)))
        print('{loss="%s",options=%s,shapes={{3,2},{4}},steps={%s}},' % (loss_of, table(options), ",".join(kept)))


# ---- around optimizers ----

def average_rows():
    """Averages of two tensors over six sets of weights that follow the formula of the start, k = 1 + 2 t and 2 + 2 t."""
    utils = torch.optim.swa_utils
    for name, options in [("swa", {}), ("ema", dict(avg_fn=utils.get_ema_avg_fn(0.8))),
                          ("ema", dict(multi_avg_fn=utils.get_ema_multi_avg_fn(0.8)))]:
        model = torch.nn.Linear(3, 2)
        averaged = utils.AveragedModel(model, **options)
        for t in range(6):
            with torch.no_grad():
                model.weight.copy_(start((2, 3), 1 + 2 * t))
                model.bias.copy_(start((2,), 2 + 2 * t))
            averaged.update_parameters(model)
        print('{average="%s",kind="%s",params=%s},' % (name, next(iter(options), ""), values(averaged.module.parameters())))


def batch_norm_rows():
    """Running statistics of a batch norm, behind a linear layer, after update_bn on three batches of 4 and one of 2."""
    for momentum in (0.1, None):
        model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2, momentum=momentum))
        with torch.no_grad():
            model[0].weight.copy_(start((2, 3), 1))
            model[0].bias.copy_(start((2,), 2))
        batches = [start((4, 3), 3 + t) for t in range(3)] + [start((2, 3), 6)]
        torch.optim.swa_utils.update_bn(batches, model)
        bn = model[1]
        print('{momentum=%s,stats=%s},' % (lua(momentum) if momentum else "nil", values([bn.running_mean, bn.running_var])))


def quartic(w):
    """The gradient of sum (w - 0.3)^4 + (0.1 + i % 3) w^2."""
    i = np.arange(w.size).reshape(w.shape)
    return 4 * (w - 0.3) ** 3 + 2 * (0.1 + i % 3) * w


def wrapped_rows():
    """Eight steps of SGD with momentum 0.9 inside of Lookahead (Zhang et al., 2019, algorithm 1), and of SAM (Foret et al.,
    2021, algorithm 1; adaptive: Kwon et al., 2021, with their T_w = |w|), on the sum of quartic's function over two tensors."""
    for name, options in [("Lookahead", dict(k=3, alpha=0.5)), ("Lookahead", dict(k=2, alpha=0.8)),
                          ("SAM", dict(rho=0.05)), ("SAM", dict(rho=0.5, adaptive=True))]:
        w = [start(s, k + 1).numpy().copy() for k, s in enumerate([(3, 2), (4,)])]
        slow, speed = [x.copy() for x in w], [np.zeros_like(x) for x in w]
        for t in range(1, 9):
            at = w
            if name == "SAM":
                size = [np.abs(x) if options.get("adaptive") else np.ones_like(x) for x in w]
                g = [quartic(x) for x in w]
                norm = math.sqrt(sum(((z * d) ** 2).sum() for z, d in zip(size, g)))
                at = [x + options["rho"] * z * z * d / norm for x, z, d in zip(w, size, g)]
            speed = [0.9 * v + quartic(x) for v, x in zip(speed, at)]
            w = [x - 0.01 * v for x, v in zip(w, speed)]
            if name == "Lookahead" and t % options["k"] == 0:
                slow = [s + options["alpha"] * (x - s) for s, x in zip(slow, w)]
                w = [s.copy() for s in slow]
        print('{wrapper="%s",options=%s,params=%s},' % (name, table(options), values(map(torch.from_numpy, w))))


# ---- schedules ----

lr = torch.optim.lr_scheduler


def rise(t):
    return 1 / (t + 1)


def fall(t):
    return 0.95 if t % 3 else 1.1


SCHEDULES = [
    ("StepLR", dict(step_size=7, gamma=0.5)), ("StepLR", dict(step_size=1)),
    ("MultiStepLR", dict(milestones=[3, 9, 9, 30], gamma=0.4)),
    ("ExponentialLR", dict(gamma=0.93)),
    ("ConstantLR", dict()), ("ConstantLR", dict(factor=0.25, total_iters=11)),
    ("LinearLR", dict()), ("LinearLR", dict(start_factor=0.1, end_factor=0.7, total_iters=33)),
    ("PolynomialLR", dict()), ("PolynomialLR", dict(total_iters=40, power=2.5)),
    ("CosineAnnealingLR", dict(T_max=45)), ("CosineAnnealingLR", dict(T_max=13, eta_min=0.05)),
    ("CosineAnnealingWarmRestarts", dict(T_0=8)), ("CosineAnnealingWarmRestarts", dict(T_0=5, T_mult=2, eta_min=0.02)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=0.4, step_size_up=6)),
    ("CyclicLR", dict(base_lr=0.01, max_lr=[0.4, 0.2], step_size_up=5, step_size_down=9, mode="triangular2", base_momentum=0.5)),
    ("CyclicLR", dict(base_lr=[0.02, 0.01], max_lr=0.3, step_size_up=4, mode="exp_range", gamma=0.97, cycle_momentum=False)),
    ("OneCycleLR", dict(max_lr=0.6, total_steps=51)),
    ("OneCycleLR", dict(max_lr=[0.6, 0.3], epochs=6, steps_per_epoch=10, pct_start=0.4, anneal_strategy="linear", div_factor=10.0,
                        final_div_factor=50.0, base_momentum=0.7, max_momentum=0.9)),
    ("OneCycleLR", dict(max_lr=0.6, total_steps=60, pct_start=0.35, three_phase=True)),
    ("OneCycleLR", dict(max_lr=0.6, total_steps=70, pct_start=0.0, cycle_momentum=False)),
    ("SWALR", dict(swa_lr=0.05)), ("SWALR", dict(swa_lr=[0.05, 0.4], anneal_epochs=21, anneal_strategy="linear")),
    ("SWALR", dict(swa_lr=0.2, anneal_epochs=0)),
    ("ReduceLROnPlateau", dict(factor=0.5, patience=1)),
    ("ReduceLROnPlateau", dict(mode="max", factor=0.7, patience=3, threshold=0.05, cooldown=2, min_lr=[0.05, 0.2])),
    ("ReduceLROnPlateau", dict(factor=0.3, patience=0, threshold=0.2, threshold_mode="abs", eps=0.01)),
]

# Schedules that are made of others or of functions; tests/optim_golden_spec.lua makes the same of Neap's by these names.
COMPOSED = {
    "lambda": lambda o: lr.LambdaLR(o, rise),
    "lambdas": lambda o: lr.LambdaLR(o, [rise, fall]),
    "multiplicative": lambda o: lr.MultiplicativeLR(o, fall),
    "multiplicatives": lambda o: lr.MultiplicativeLR(o, [fall, rise]),
    "sequence": lambda o: lr.SequentialLR(o, [lr.ConstantLR(o, 0.1, 5), lr.ExponentialLR(o, 0.9), lr.CosineAnnealingLR(o, 12)], [6, 20]),
    "chain": lambda o: lr.ChainedScheduler([lr.ConstantLR(o, 0.1, 20), lr.ExponentialLR(o, 0.9)]),
    "long chain": lambda o: lr.ChainedScheduler([
        lr.LinearLR(o, 0.5, 1.0, 10), lr.CosineAnnealingLR(o, 30, 0.02), lr.StepLR(o, 9, 0.5), lr.MultiplicativeLR(o, fall)]),
    "scaled cycle": lambda o: lr.CyclicLR(o, 0.05, 0.3, 4, 3, scale_fn=rise, base_momentum=0.6),
    "scaled steps": lambda o: lr.CyclicLR(o, 0.05, 0.3, 4, scale_fn=rise, scale_mode="iterations"),
    "swa later": lambda o: (lr.ExponentialLR(o, 0.9), torch.optim.swa_utils.SWALR(o, 0.03, 8)),
}


def measure(t):
    return 2 / (1 + 0.2 * min(t, 12)) + 0.3 * math.cos(1.7 * t)


def schedule_row(head, make):
    """Rates of two groups and momenta of the first, before each of 50 steps."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([dict(params=[weights[0]]), dict(params=[weights[1]], lr=0.25)], lr=0.5, momentum=0.3)
    schedule = make(optimizer)
    rates, momenta = ([], []), []
    for t in range(50):
        for one, group in zip(rates, optimizer.param_groups):
            one.append(group["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        if isinstance(schedule, tuple):
            schedule[t >= 15].step()
        elif isinstance(schedule, lr.ReduceLROnPlateau):
            schedule.step(measure(t))
        else:
            schedule.step()
    print("{%s,lrs={%s}%s}," % (head, ",".join("{%s}" % ",".join(map(number, one)) for one in rates),
                                ",momenta={%s}" % ",".join(map(number, momenta)) if set(momenta) != {0.3} else ""))


def schedule_rows():
    for name, options in SCHEDULES:
        rule = getattr(lr, name, None) or getattr(torch.optim.swa_utils, name)
        schedule_row('schedule="%s",options=%s' % (name, table(options)), lambda o: rule(o, **options))
    for name, make in COMPOSED.items():
        schedule_row('composed="%s"' % name, make)


def main():
    print("-- Written by scripts/dev/torch_optim.py with PyTorch %s: do not edit." % torch.__version__.split("+")[0])
    print("return {\noptimizers={")
    optimizer_rows()
    print("},\nlbfgs={")
    lbfgs_rows()
    print("},\naverages={")
    average_rows()
    print("},\nbatch_norms={")
    batch_norm_rows()
    print("},\nwrapped={")
    wrapped_rows()
    print("},\nschedules={")
    schedule_rows()
    print("}}")


main()
