"""Convolutions and transposed ones in one to three dimensions: strides, paddings, dilations, groups, biases, single images."""
import torch
import torch.nn.functional as F

from sweep import Opts


def numbers(s, nd, *options):
    """A setting: one for each dimension, or one for all."""
    return [s.choice(*options) for _ in range(nd)] if s.random.random() < 0.7 else [s.choice(*options)]


def spread(n, nd):
    return n * nd if len(n) == 1 else n


def forward(s, nd, many):
    op = "conv%dd" % nd
    most = {1: 11, 2: 7, 3: 5}[nd]
    for k in range(many):
        groups = s.choice(1, 1, 1, 2, 3)
        c, o = groups * s.random.randint(1, 3), groups * s.random.randint(1, s.choice(2, 6))
        if k % 7 == 0:
            groups = c = s.random.randint(2, 5)  # depthwise
            o = groups * s.choice(1, 2)
        kernel = [s.random.randint(1, 4 if nd < 3 else 3) for _ in range(nd)]
        stride, padding, dilation = numbers(s, nd, 1, 1, 2, 3), numbers(s, nd, 0, 0, 1, 2), numbers(s, nd, 1, 1, 1, 2)
        reach = [d * (m - 1) + 1 for d, m in zip(spread(dilation, nd), kernel)]
        size = [max(r - 2 * p, 1) + s.random.randint(0, most - 2) for r, p in zip(reach, spread(padding, nd))]
        x = s.t(([] if k % 4 == 0 else [s.random.randint(1, 3)]) + [c] + size)
        b = s.t([o]) if k % 3 else None
        s.case(op, x, s.t([o, c // groups] + kernel), b, stride, padding, dilation, groups)
        if k % 5 == 0:
            s.case(op, x, s.t([o, c // groups] + kernel), b, Opts(padding="same", dilation=dilation, groups=groups))
    s.case(op, s.t([2, 3] + [6] * nd), s.t([4, 3] + [3] * nd), s.t([4]), 2, 1)
    s.case(op, s.t([2, 3] + [5] * nd), s.t([4, 3] + [2] * nd), None, 1, "valid", 2)
    s.case(op, s.t([0, 3] + [5] * nd), s.t([4, 3] + [2] * nd))


def transposed(s, nd, many):
    op = "conv_transpose%dd" % nd
    for k in range(many):
        groups = s.choice(1, 1, 1, 2, 3)
        c, o = groups * s.random.randint(1, s.choice(2, 6)), groups * s.random.randint(1, 3)
        kernel = [s.random.randint(1, 4 if nd < 3 else 3) for _ in range(nd)]
        stride, dilation = numbers(s, nd, 1, 2, 2, 3), numbers(s, nd, 1, 1, 1, 2)
        reach = [d * (m - 1) + 1 for d, m in zip(spread(dilation, nd), kernel)]
        padding = [s.random.randint(0, (r - 1) // 2) for r in reach]
        more = [s.random.randint(0, max(t, d) - 1) for t, d in zip(spread(stride, nd), spread(dilation, nd))]
        size = [s.random.randint(2, {1: 6, 2: 4, 3: 3}[nd]) for _ in range(nd)]
        x = s.t(([] if k % 4 == 0 else [s.random.randint(1, 3)]) + [c] + size)
        s.case(op, x, s.t([c, o // groups] + kernel), s.t([o]) if k % 3 else None, stride, padding, more, groups, dilation)
    s.case(op, s.t([2, 3] + [3] * nd), s.t([3, 4] + [4] * nd), None, 2, 1)
    s.case(op, s.t([2, 5] + [1] * nd), s.t([5, 3] + [4] * nd), s.t([3]))


def large(s):
    """Sizes at which rows, channels and places fill whole vectors, and one at which tiles are cut."""
    for c, o, n in ((1, 6, 20), (6, 16, 12), (16, 17, 9), (9, 33, 8), (3, 64, 6)):
        s.case("conv2d", s.t([2, c, n, n]), s.t([o, c, 3, 3]), s.t([o]), 1, 1)
        s.case("conv2d", s.t([2, c, n, n]), s.t([o, c, 4, 4]), None, 2, 1)
        s.case("conv_transpose2d", s.t([2, c, 4, 5]), s.t([c, o, 4, 4]), s.t([o]), 2, 1)
    s.case("conv2d", s.t([3, 8, 10, 10]), s.t([8, 1, 3, 3]), s.t([8]), 1, 1, 1, 8)
    s.case("conv1d", s.t([1, 2, 700]), s.t([3, 2, 5]), s.t([3]), 1, 2)
    s.case("conv1d", s.t([1, 40, 900]), s.t([2, 40, 3]), s.t([2]), 2)


def cases(s):
    for nd, many in ((1, 30), (2, 45), (3, 25)):
        forward(s, nd, many)
        transposed(s, nd, many)
    large(s)
