"""Pooling in one to three dimensions: greatest elements and their positions, means, norms, adaptive windows, and back."""
import torch
import torch.nn.functional as F

from sweep import Opts, Values


def numbers(s, nd, *options):
    return [s.choice(*options) for _ in range(nd)] if s.random.random() < 0.7 else [s.choice(*options)]


def spread(n, nd):
    return n * nd if len(n) == 1 else n


def one(n, nd):
    return n[0] if nd == 1 else spread(n, nd)


def plane(s, nd):
    return [s.random.randint(4, {1: 12, 2: 8, 3: 6}[nd]) for _ in range(nd)]


def lead(s, k):
    return [3] if k % 4 == 0 else [2, 2]


def windows(s, nd, many):
    for k in range(many):
        kernel, stride = numbers(s, nd, 1, 2, 2, 3, 4), numbers(s, nd, 1, 2, 3) if k % 3 else None
        dilation = numbers(s, nd, 1, 1, 2)
        padding = [s.random.randint(0, m // 2) for m in spread(kernel, nd)]
        size = [max(n, d * (m - 1) + 1) for n, d, m in zip(plane(s, nd), spread(dilation, nd), spread(kernel, nd))]
        x = s.t(lead(s, k) + size)
        ceil = k % 2 == 0
        s.case("max_pool%dd" % nd, x, kernel, stride, padding, dilation, ceil, True, positions=True)
        s.case("max_pool%dd" % nd, x, kernel, stride, padding, dilation, ceil)
        more = [] if nd == 1 or k % 3 else [s.choice(2, 5, -3)]
        s.case("avg_pool%dd" % nd, x, kernel, stride, padding, ceil, k % 4 < 2, *more)
        s.case("lp_pool%dd" % nd, s.t(lead(s, k) + size, 0.5, 2), s.choice(1.0, 2.0, 3.0), kernel, stride, ceil,
               fn=lambda x, p, m, t, c, nd=nd: getattr(F, "lp_pool%dd" % nd)(x, p, one(m, nd), t and one(t, nd), c))
        wanted = numbers(s, nd, 1, 2, 3, 5, 7)
        if k % 2:
            wanted = [s.choice(n, 1, max(1, n // 2)) for n in size]
        for name, more in (("adaptive_avg_pool%dd" % nd, []), ("adaptive_max_pool%dd" % nd, [True])):
            s.case(name, x, wanted, *more, positions=True, fn=lambda x, n, *i, f=getattr(F, name): f(x, spread(n, nd), *i))
        if k % 3 == 0:
            tied = [float(s.random.choice([0, 1, 2, float("-inf")] + ([float("nan")] if k % 2 else []))) for _ in range(torch.Size(size).numel())]
            y = Values(torch.tensor(tied).reshape([1] + size).tolist(), grad=True)
            s.case("max_pool%dd" % nd, y, kernel, stride, padding, dilation, ceil, True, positions=True)


def unpooled(s, nd, many):
    name = "max_unpool%dd" % nd
    for k in range(many):
        kernel = [s.choice(2, 3) for _ in range(nd)]
        small = [s.random.randint(2, 3) for _ in range(nd)]
        size = [n * m for n, m in zip(small, kernel)]
        lead_ = [2] if k % 2 else [2, 2]
        planes = torch.Size(lead_).numel()
        at = [torch.randperm(torch.Size(size).numel(), generator=torch.Generator().manual_seed(100 * k + i))[:torch.Size(small).numel()] for i in range(planes)]
        at = torch.stack(at).reshape(lead_ + small)
        s.case(name, s.t(lead_ + small), Positions(at), kernel)
        s.case(name, s.t(lead_ + small), Positions(at), kernel, None, None, size,
               fn=lambda x, i, m, t=None, p=None, o=None: getattr(F, name)(x, i, m, output_size=o))


class Positions(Values):
    """Positions counted from 0 here and from 1 in Lua."""

    def __init__(self, t):
        super().__init__(t.tolist(), "int64")
        self.one = (t + 1).tolist()

    def lua(self):
        return Values(self.one, "int64").lua()


def cases(s):
    for nd, many in ((1, 15), (2, 20), (3, 12)):
        windows(s, nd, many)
        unpooled(s, nd, 8)
    s.case("max_pool2d", s.t([2, 3, 8, 8]), 2, 2)
    s.case("avg_pool2d", s.t([2, 3, 8, 8]), 2)
    s.case("max_pool2d", s.t([2, 8, 40, 40]), [2], [2])  # above the parallel threshold
    s.case("avg_pool2d", s.t([2, 8, 40, 40]), [3], [2], [1])
    s.case("max_pool2d", s.t([0, 3, 8, 8]), 2)
