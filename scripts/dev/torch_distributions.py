#!/usr/bin/env python3
"""Writes tests/golden/distributions.lua: what PyTorch 2.13 says of each distribution (log_prob with its gradients, entropy,
mean, variance, cdf, icdf) and of the divergence of pairs. Read by tests/distributions_spec.lua.

    python scripts/dev/torch_distributions.py        needs a Python with torch 2.13
"""
import math
import pathlib

import torch
import torch.distributions as D

torch.manual_seed(5)


def lua(v):
    if isinstance(v, torch.Tensor):
        return lua(v.tolist())
    if isinstance(v, list):
        return "{" + ", ".join(lua(x) for x in v) + "}"
    if isinstance(v, float):
        if math.isnan(v):
            return "0/0"
        if math.isinf(v):
            return "math.huge" if v > 0 else "-math.huge"
        return "%.17g" % v
    return repr(v)


def real(*shape):
    return torch.rand(shape, dtype=torch.float64) * 4 - 2


def positive(*shape):
    return torch.rand(shape, dtype=torch.float64) * 2.5 + 0.2


def unit(*shape):
    return torch.rand(shape, dtype=torch.float64) * 0.9 + 0.05


def simplex(*shape):
    p = positive(*shape)
    return p / p.sum(-1, keepdim=True)


def counts(top, *shape):
    return torch.randint(0, top + 1, shape).to(torch.float64)


def square(k):
    a = real(k, k)
    return a @ a.T + torch.eye(k, dtype=torch.float64)


def lower(k):
    return torch.tril(real(k, k), -1) + torch.diag(positive(k))


# Name, parameters, value at which log_prob is taken. Categories count from 0 here and from 1 in Lua.
CASES = [
    ("Normal", dict(loc=real(3), scale=positive(2, 1)), real(2, 3)),
    ("LogNormal", dict(loc=real(3), scale=positive(2, 1)), positive(2, 3)),
    ("Uniform", dict(low=real(3), high=real(2, 3) + 5), real(2, 3) * 0.4 + 2.5),
    ("Laplace", dict(loc=real(3), scale=positive(3)), real(3)),
    ("Cauchy", dict(loc=real(3), scale=positive(3)), real(2, 3)),
    ("Gumbel", dict(loc=real(3), scale=positive(3)), real(3)),
    ("Exponential", dict(rate=positive(4)), positive(4)),
    ("Gamma", dict(concentration=positive(2, 3), rate=positive(3)), positive(2, 3)),
    ("Beta", dict(concentration1=positive(3), concentration0=positive(2, 3)), unit(2, 3)),
    ("StudentT", dict(df=positive(4) * 3, loc=real(4), scale=positive(4)), real(4)),
    ("Bernoulli", dict(probs=unit(4)), counts(1, 3, 4)),
    ("Bernoulli", dict(logits=real(4)), counts(1, 4)),
    ("Bernoulli", dict(probs=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)), torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)),
    ("Binomial", dict(total_count=torch.full((3,), 7.0, dtype=torch.float64), probs=unit(2, 3)), counts(7, 2, 3)),
    ("Binomial", dict(total_count=torch.tensor(4.0, dtype=torch.float64), logits=real(3)), counts(4, 3)),
    ("Geometric", dict(probs=unit(4)), counts(5, 4)),
    ("Geometric", dict(logits=real(3)), counts(5, 2, 3)),
    ("Poisson", dict(rate=positive(4) * 3), counts(8, 2, 4)),
    ("Categorical", dict(probs=positive(2, 5)), torch.tensor([[0, 4], [3, 1], [2, 2]])),
    ("Categorical", dict(logits=real(4)), torch.tensor([0, 1, 2, 3])),
    ("Dirichlet", dict(concentration=positive(2, 3)), simplex(2, 3)),
    ("MultivariateNormal", dict(loc=real(3), covariance_matrix=square(3)), real(2, 3)),
    ("MultivariateNormal", dict(loc=real(2, 3), scale_tril=lower(3)), real(2, 3)),
    ("MultivariateNormal", dict(loc=real(3), precision_matrix=square(3)), real(3)),
]
PLAIN = ("log_prob", "entropy", "cdf", "icdf")


def ask(f):
    try:
        return f()
    except NotImplementedError:
        return None


def symmetric(name, v):
    return (v + v.T) / 2 if name in ("covariance_matrix", "precision_matrix") else v


def describe(name, params, value):
    leaves = {k: v.clone().requires_grad_(True) for k, v in params.items()}
    d = getattr(D, name)(**{k: symmetric(k, v) for k, v in leaves.items()})
    p = D.Uniform(0.05, 0.95).sample(d.batch_shape).to(torch.float64)
    found = {"log_prob": d.log_prob(value), "entropy": ask(d.entropy), "mean": d.mean, "variance": d.variance}
    found["cdf"] = ask(lambda: d.cdf(value))
    found["icdf"] = ask(lambda: d.icdf(p))
    grads = torch.autograd.grad(found["log_prob"].sum(), list(leaves.values()), allow_unused=True)
    if name == "Binomial":
        grads = (None,) + grads[1:]
    fields = ["class = %s" % lua(name).replace("'", '"')]
    fields.append("params = {%s}" % ", ".join("%s = %s" % (k, lua(v)) for k, v in params.items()))
    fields.append("value = %s" % lua(value + 1 if name == "Categorical" else value))
    fields.append("p = %s" % lua(p))
    fields += ["%s = %s" % (k, lua(v.detach())) for k, v in found.items() if v is not None]
    fields.append("grads = {%s}" % ", ".join("%s = %s" % (k, lua(g)) for k, g in zip(leaves, grads) if g is not None))
    return "  {%s},\n" % ",\n    ".join(fields)


def pairs():
    def two(name, f):
        return (name, f()), (name, f())
    yield two("Normal", lambda: dict(loc=real(3), scale=positive(3)))
    yield two("LogNormal", lambda: dict(loc=real(3), scale=positive(3)))
    yield two("Laplace", lambda: dict(loc=real(3), scale=positive(3)))
    yield two("Cauchy", lambda: dict(loc=real(3), scale=positive(3)))
    yield two("Gumbel", lambda: dict(loc=real(3), scale=positive(3)))
    yield two("Uniform", lambda: dict(low=real(6), high=real(6) + 4))
    yield two("Exponential", lambda: dict(rate=positive(3)))
    yield two("Gamma", lambda: dict(concentration=positive(3), rate=positive(3)))
    yield two("Beta", lambda: dict(concentration1=positive(3), concentration0=positive(3)))
    yield two("Dirichlet", lambda: dict(concentration=positive(2, 3)))
    yield two("MultivariateNormal", lambda: dict(loc=real(2, 3), scale_tril=lower(3)))
    yield two("Poisson", lambda: dict(rate=positive(3)))
    yield two("Bernoulli", lambda: dict(probs=unit(3)))
    ends = torch.tensor([0.0, 1.0, 0.5, 0.5], dtype=torch.float64)
    yield ("Bernoulli", dict(probs=ends)), ("Bernoulli", dict(probs=torch.tensor([0.3, 0.3, 0.0, 1.0], dtype=torch.float64)))
    yield ("Binomial", dict(total_count=torch.tensor(5.0), probs=unit(3))), ("Binomial", dict(total_count=torch.tensor(5.0), probs=unit(3)))
    yield two("Geometric", lambda: dict(probs=unit(3)))
    yield two("Categorical", lambda: dict(logits=real(2, 4)))
    zero = torch.tensor([[0.0, 0.4, 0.6], [0.2, 0.3, 0.5]], dtype=torch.float64)
    yield ("Categorical", dict(probs=zero)), ("Categorical", dict(probs=zero.flip(0)))
    yield ("Exponential", dict(rate=positive(3))), ("Gamma", dict(concentration=positive(3), rate=positive(3)))
    yield ("Gamma", dict(concentration=positive(3), rate=positive(3))), ("Exponential", dict(rate=positive(3)))
    yield ("Uniform", dict(low=real(3), high=real(3) + 4)), ("Normal", dict(loc=real(3), scale=positive(3)))
    yield ("Exponential", dict(rate=positive(3))), ("Normal", dict(loc=real(3), scale=positive(3)))
    yield ("Laplace", dict(loc=real(3), scale=positive(3))), ("Normal", dict(loc=real(3), scale=positive(3)))
    yield ("Normal", dict(loc=real(3), scale=positive(3))), ("Laplace", dict(loc=real(3), scale=positive(3)))
    params = {
        "Normal": lambda: dict(loc=real(3), scale=positive(3)),
        "Laplace": lambda: dict(loc=real(3), scale=positive(3)),
        "Gumbel": lambda: dict(loc=real(3), scale=positive(3)),
        "Exponential": lambda: dict(rate=positive(3)),
        "Gamma": lambda: dict(concentration=positive(3), rate=positive(3)),
        "Beta": lambda: dict(concentration1=positive(3), concentration0=positive(3)),
        "Uniform": lambda: dict(low=torch.tensor([0.0, 0.1, -0.5], dtype=torch.float64), high=torch.tensor([1.0, 0.7, 1.5], dtype=torch.float64)),
        "Bernoulli": lambda: dict(probs=unit(3)),
        "Poisson": lambda: dict(rate=positive(3)),
        "Binomial": lambda: dict(total_count=torch.full((3,), 4.0, dtype=torch.float64), probs=unit(3)),
    }
    for p, qs in (("Bernoulli", "Poisson"), ("Beta", "Exponential Gamma Normal Uniform"), ("Exponential", "Beta Uniform Gumbel"),
                  ("Gamma", "Beta Uniform Gumbel Normal"), ("Gumbel", "Beta Exponential Gamma Uniform Normal"),
                  ("Laplace", "Beta Exponential Gamma Uniform"), ("Normal", "Beta Exponential Gamma Uniform Gumbel"),
                  ("Poisson", "Bernoulli Binomial"), ("Uniform", "Beta Exponential Gamma Gumbel")):
        for q in qs.split():
            yield (p, params[p]()), (q, params[q]())


def divergence(p, q):
    value = D.kl_divergence(*(getattr(D, n)(**a) for n, a in (p, q)))
    sides = ["{class = \"%s\", params = {%s}}" % (n, ", ".join("%s = %s" % (k, lua(v)) for k, v in a.items())) for n, a in (p, q)]
    return "  {p = %s,\n    q = %s,\n    kl = %s},\n" % (sides[0], sides[1], lua(value))


def main():
    out = pathlib.Path(__file__).parent.parent.parent / "tests/golden/distributions.lua"
    text = "-- generated by scripts/dev/torch_distributions.py with PyTorch %s\n" % torch.__version__.split("+")[0]
    text += "return {cases = {\n" + "".join(describe(*c) for c in CASES) + "}, pairs = {\n"
    out.write_text(text + "".join(divergence(p, q) for p, q in pairs()) + "}}\n")


if __name__ == "__main__":
    main()
