"""Softmax and its kin, and layer_norm."""

from sweep import Dim


def cases(s):
    for op in ("softmax", "log_softmax"):
        for n in range(25):
            shape = s.shape(1, 4)
            x = s.e([1] * len(shape), shape, grad=False) if n % 8 == 7 else s.t(shape, -s.choice(1.0, 8.0), 8.0)
            s.case(op, x, s.dim(shape))
        for shape, d in (([3, 10, 70], 1), ([5, 9, 8], 0), ([2, 40, 3, 4], 1), ([9, 8, 6], 2), ([2, 3, 33], -1)):  # rows side by side
            s.case(op, s.t(shape, -4.0, 8.0), Dim(d))
    for _ in range(25):
        shape = s.shape(0, 3) + [s.choice(3, 5, 8)]
        tail = shape[len(shape) - s.random.randint(1, len(shape)):]
        weight = s.t(tail, 0.5, 1.5) if s.random.random() < 0.7 else None
        bias = s.t(tail, -1.0, 1.0) if weight and s.random.random() < 0.7 else None
        s.case("layer_norm", s.t(shape, -1.0, 3.0), tail, weight, bias, s.choice(1e-5, 1e-2))
