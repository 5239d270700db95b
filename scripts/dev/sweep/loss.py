"""Losses: reductions, weights, ignored labels, smoothing, probabilities as targets."""
import torch.nn.functional as F

REDUCTIONS = ("none", "mean", "sum")


def labels(s, n, extra, classes):
    return s.index([n] + extra, classes)


def cases(s):
    for k in range(60):
        n, c = s.choice(1, 3, 7), s.choice(2, 3, 6)
        extra = [s.random.randint(1, 3) for _ in range(s.choice(0, 0, 1, 2))]
        reduction, smoothing = s.choice(*REDUCTIONS), s.choice(0.0, 0.0, 0.1, 0.3)
        weight = s.t([c], 0.5, 1.5, grad=False) if k % 3 == 0 else None
        if k % 4 == 3:
            target = s.t([n, c] + extra, 0.05, 1.0)
            s.case("cross_entropy", s.t([n, c] + extra, -3.0, 3.0), target, weight, -100, reduction, smoothing,
                   fn=lambda x, y, w, i, r, e: F.cross_entropy(x, y, w, reduction=r, label_smoothing=e))
            continue
        target = labels(s, n, extra, c)
        ignored = k % 4 == 2  # one of the classes: 1-based in Lua like every label
        s.case("cross_entropy", s.t([n, c] + extra, -3.0, 3.0), target, weight, 1 if ignored else -100, reduction, smoothing,
               fn=lambda x, y, w, i, r, e, g=ignored: F.cross_entropy(x, y, w, ignore_index=0 if g else -100, reduction=r, label_smoothing=e))
    for k in range(30):
        n, c = s.choice(2, 5), s.choice(2, 4)
        extra = [s.random.randint(1, 3) for _ in range(s.choice(0, 0, 1))]
        weight = s.t([c], 0.5, 1.5, grad=False) if k % 2 else None
        s.case("nll_loss", s.t([n, c] + extra, -3.0, 0.0), labels(s, n, extra, c), weight, -100, s.choice(*REDUCTIONS),
               fn=lambda x, y, w, i, r: F.nll_loss(x, y, w, ignore_index=i, reduction=r))
    for op, fn in (("mse_loss", F.mse_loss), ("l1_loss", F.l1_loss)):
        for _ in range(15):
            shape = s.shape(0, 3)
            s.case(op, s.t(shape), s.t(shape), s.choice(*REDUCTIONS), fn=lambda x, y, r, fn=fn: fn(x, y, reduction=r))
    for _ in range(15):
        shape = s.shape(1, 3)
        s.case("smooth_l1_loss", s.t(shape), s.t(shape), s.choice(*REDUCTIONS), s.choice(0.5, 1.0, 2.0),
               fn=lambda x, y, r, b: F.smooth_l1_loss(x, y, reduction=r, beta=b))
        s.case("huber_loss", s.t(shape), s.t(shape), s.choice(*REDUCTIONS), s.choice(0.5, 1.0, 2.0),
               fn=lambda x, y, r, d: F.huber_loss(x, y, reduction=r, delta=d))
    for k in range(20):
        shape = s.shape(1, 3)
        weight = s.t(shape[-1:], 0.5, 1.5, grad=False) if k % 2 else None
        # PyTorch's own derivative has an epsilon of single precision in it: probabilities keep away from 0 and 1.
        s.case("binary_cross_entropy", s.t(shape, 0.2, 0.8), s.t(shape, 0.0, 1.0, grad=False), weight, s.choice(*REDUCTIONS),
               fn=lambda x, y, w, r: F.binary_cross_entropy(x, y, w, reduction=r))
        positive = s.t(shape[-1:], 0.5, 3.0, grad=False) if k % 3 else None
        s.case("binary_cross_entropy_with_logits", s.t(shape, -6.0, 6.0), s.t(shape, 0.0, 1.0), weight, s.choice(*REDUCTIONS), positive,
               fn=lambda x, y, w, r, p=None: F.binary_cross_entropy_with_logits(x, y, w, reduction=r, pos_weight=p))
    for k in range(20):
        shape = s.shape(1, 3)
        log = k % 2 == 1
        target = s.t(shape, -2.0, 0.0) if log else s.t(shape, 0.1, 1.0)
        s.case("kl_div", s.t(shape, -3.0, 0.0), target, s.choice("none", "mean", "sum", "batchmean"), log,
               fn=lambda x, y, r, g: F.kl_div(x, y, reduction=r, log_target=g))
