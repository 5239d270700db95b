"""Normalisations over channels, groups and trailing dimensions."""
import torch
import torch.nn.functional as F


def shapes(s):
    """(N, C, ...), with short runs of a channel and long ones, which have kernels of their own."""
    n, c = s.choice(1, 2, 5), s.choice(1, 3, 4, 6)
    return s.choice([n + 1, c], [n, c, s.random.randint(2, 6)], [n, c, 2, 3], [n, c, 5, 7], [n, c, 41], [2, c, 2, 3, 6])


def affine(s, size):
    """weight and bias, or neither."""
    return (s.t([size], 0.5, 1.5), s.t([size], -1.0, 1.0)) if s.random.random() < 0.7 else (None, None)


def cases(s):
    for k in range(36):
        shape = shapes(s)
        x, (w, b) = s.t(shape, -1.0, 3.0), affine(s, shape[1])
        training = k % 3 > 0
        tracks = not training or k % 2 == 0
        mean = s.t([shape[1]], -0.5, 1.5, grad=False) if tracks else None
        var = s.t([shape[1]], 0.5, 1.5, grad=False) if tracks else None
        s.case("batch_norm", x, mean, var, w, b, training, 0.1, s.choice(1e-5, 1e-2), fn=F.batch_norm)
    for k in range(30):
        shape = shapes(s)
        if len(shape) == 2 and shape[1] == 1:  # one value: its gradient is rounding alone
            continue
        groups = s.choice(*(g for g in (1, 2, 3, shape[1]) if shape[1] % g == 0))
        if shape[1] // groups * torch.Size(shape[2:]).numel() == 1:
            groups = 1
        s.case("group_norm", s.t(shape, -1.0, 3.0), groups, *affine(s, shape[1]), s.choice(1e-5, 1e-2), fn=F.group_norm)
    for k in range(30):
        shape = shapes(s)
        shape = shape if len(shape) > 2 else shape + [4]
        own = k % 3 > 0
        mean = s.t([shape[1]], -0.5, 1.5, grad=False) if not own else None
        var = s.t([shape[1]], 0.5, 1.5, grad=False) if not own else None
        s.case("instance_norm", s.t(shape, -1.0, 3.0), mean, var, *affine(s, shape[1]), own, 0.1, s.choice(1e-5, 1e-2),
               fn=F.instance_norm)
    for k in range(25):
        shape = s.shape(0, 3) + [s.choice(3, 5, 8, 40)]
        tail = shape[len(shape) - s.random.randint(1, len(shape)):]
        # by itself PyTorch's eps is that of float32's own or of float64's: compared where it is given
        s.case("rms_norm", s.t(shape, -1.0, 3.0), tail, given_shaped(s, tail), s.choice(1e-5, 1e-2, 1.0), fn=F.rms_norm)
    for k in range(5):
        s.case("rms_norm", s.t([3, 8], -1.0, 3.0), [8], fn=lambda x, n: F.rms_norm(x, n))
    for k in range(20):
        shape = shapes(s)
        shape = shape if len(shape) > 2 else shape + [3]
        s.case("local_response_norm", s.t(shape), s.choice(1, 2, 3, 5), s.choice(1e-4, 0.5), s.choice(0.75, 0.5), s.choice(1.0, 2.0), fn=F.local_response_norm)


def given_shaped(s, shape):
    return s.t(shape, 0.5, 1.5) if s.random.random() < 0.7 else None
