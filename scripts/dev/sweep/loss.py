"""Losses: reductions, weights, ignored labels, smoothing, probabilities as targets."""
import torch
import torch.nn.functional as F

from sweep import Values

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
        s.case("nll_loss", s.t([n, c], -3.0, 0.0), Values([1] * n, "int64"), weight, 1, s.choice(*REDUCTIONS),  # class 1 in Lua, 0 in PyTorch
               fn=lambda x, y, w, i, r: F.nll_loss(x, y - 1, w, ignore_index=0, reduction=r))
    for k in range(16):  # rows side by side
        n, c, extra = s.choice(1, 3), s.choice(3, 10), s.choice([70], [9, 8], [2, 3, 4])
        smoothing, weight = s.choice(0.0, 0.1), s.t([c], 0.5, 1.5, grad=False) if k % 2 else None
        s.case("cross_entropy", s.t([n, c] + extra, -3.0, 3.0), labels(s, n, extra, c), weight, 1 if k % 4 < 2 else -100, s.choice(*REDUCTIONS), smoothing,
               fn=lambda x, y, w, i, r, e, g=k % 4 < 2: F.cross_entropy(x, y, w, ignore_index=0 if g else -100, reduction=r, label_smoothing=e))
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
    for k in range(20):
        shape = s.shape(0, 3)
        log, full = k % 2 == 0, k % 3 == 0
        s.case("poisson_nll_loss", s.t(shape, *((-2.0, 2.0) if log else (0.1, 3.0))), s.t(shape, 0.0, 4.0, grad=not full), log, full,
               s.choice(1e-8, 0.1), s.choice(*REDUCTIONS),
               fn=lambda x, y, g, f, e, r: F.poisson_nll_loss(x, y, log_input=g, full=f, eps=e, reduction=r))
        shape = s.shape(1, 3)
        var = s.choice(shape, shape[:-1] + [1], shape[:-1])
        # variances below eps too: the gradient passes them by
        s.case("gaussian_nll_loss", s.t(shape), s.t(shape), s.t(var, 0.0, 0.5), k % 2 == 0, s.choice(1e-6, 0.3), s.choice(*REDUCTIONS),
               fn=lambda x, y, v, f, e, r: F.gaussian_nll_loss(x, y, v, full=f, eps=e, reduction=r))
        s.case("soft_margin_loss", s.t(shape, -4.0, 4.0), signs(s, shape), s.choice(*REDUCTIONS),
               fn=lambda x, y, r: F.soft_margin_loss(x, y, reduction=r))
        s.case("hinge_embedding_loss", s.t(shape), s.i(shape, -1, 1), s.choice(0.5, 1.0), s.choice(*REDUCTIONS),
               fn=lambda x, y, m, r: F.hinge_embedding_loss(x, y, margin=m, reduction=r))
        weight = s.t(shape[-1:], 0.5, 1.5, grad=False) if k % 3 else None
        s.case("multilabel_soft_margin_loss", s.t(shape, -4.0, 4.0), s.t(shape, 0.0, 1.0), weight, s.choice(*REDUCTIONS),
               fn=lambda x, y, w, r: F.multilabel_soft_margin_loss(x, y, weight=w, reduction=r))
        s.case("sigmoid_focal_loss", s.t(shape, -5.0, 5.0), s.t(shape, 0.0, 1.0, grad=False), s.choice(0.25, 0.6, -1.0), s.choice(2.0, 1.5, 3.0),
               s.choice(*REDUCTIONS), fn=sigmoid_focal)
    for k in range(20):
        n, c = s.choice(1, 4), s.choice(2, 5)
        extra = [s.random.randint(1, 3) for _ in range(s.choice(0, 0, 1))]
        weight = s.t([c], 0.5, 1.5, grad=False) if k % 2 else None
        ignored = k % 4 == 2
        s.case("focal_loss", s.t([n, c] + extra, -3.0, 3.0), labels(s, n, extra, c), weight, s.choice(2.0, 1.5, 0.0), 1 if ignored else -100,
               s.choice(*(("none", "sum") if ignored else REDUCTIONS)),
               fn=lambda x, y, w, g, i, r, no=ignored: focal(x, y, w, g, 0 if no else -100, r))


def signs(s, shape):
    def nested(shape):
        return s.choice(-1.0, 1.0) if not shape else [nested(shape[1:]) for _ in range(shape[0])]
    return Values(nested(shape))


def reduced(y, how):
    return y if how == "none" else y.mean() if how == "mean" else y.sum()


def sigmoid_focal(x, y, alpha, gamma, how):
    """Lin et al., 2017: -a (1 - p)^g log p, with p and a the target's."""
    p = torch.sigmoid(x)
    right = p * y + (1 - p) * (1 - y)
    e = F.binary_cross_entropy_with_logits(x, y, reduction="none") * (1 - right) ** gamma
    return reduced(e * (alpha * y + (1 - alpha) * (1 - y)) if alpha >= 0 else e, how)


def focal(x, y, w, gamma, ignored, how):
    e = F.cross_entropy(x, y, reduction="none", ignore_index=ignored)
    weighted = F.cross_entropy(x, y, w, reduction="none", ignore_index=ignored)
    return reduced((1 - torch.exp(-e)) ** gamma * weighted, how)
