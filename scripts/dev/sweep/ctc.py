"""CTC. PyTorch's gradient takes for granted that the log-probabilities come of a log_softmax, whose gradient it half contains;
here it is that of the loss as it stands."""
import torch
import torch.nn.functional as F

from sweep import Dim, Values, family

Counted = family("margin").Counted


def true_gradient(lp, targets, times=None, lengths=None, blank=0, how="mean", zero=False):
    x = lp if lp.dim() == 3 else lp[:, None]
    T, n, _ = x.shape
    times = torch.full((n,), T) if times is None else times
    lengths = torch.full((n,), targets.shape[-1]) if lengths is None else lengths
    rows = targets if targets.dim() == 2 or n > 1 else targets[None]
    loss = F.ctc_loss(x, rows, times, lengths, blank, "none", zero)
    within = (torch.arange(T)[:, None] < times[None])[..., None] & ~torch.isinf(F.ctc_loss(x, rows, times, lengths, blank, "none"))[None, :, None]
    extra = torch.where(within, x.exp(), torch.zeros_like(x)).sum((0, 2))
    loss = loss - extra + extra.detach()
    if how == "mean":
        return (loss / lengths.clamp(min=1)).mean()
    return loss.sum() if how == "sum" else loss if lp.dim() == 3 else loss[0]


def cases(s):
    for k in range(40):
        n, T, c, most = s.choice(1, 2, 4), s.choice(5, 8, 14), s.choice(2, 4, 7), s.choice(1, 3, 5)
        blank = s.random.randrange(c)
        labels = [v for v in range(c) if v != blank]
        lengths = [s.random.randint(0 if k % 5 == 0 else 1, most) for _ in range(n)]
        times = [s.random.randint(1, T) for _ in range(n)]
        zero = k % 4 == 0
        if not zero:  # long enough for repeats, which need a blank between
            times = [max(t, min(T, 2 * m)) for t, m in zip(times, lengths)]
            lengths = [min(m, t // 2) for t, m in zip(times, lengths)]
        rows = [[s.random.choice(labels) for _ in range(most)] for _ in range(n)]
        if k % 2:
            rows = [v for row, m in zip(rows, lengths) for v in row[:m]]
            if not rows:
                continue
        whole = k % 10 == 2
        args = [s.t([T, n, c], -4.0, 0.0), Counted(rows)] + ([None, None] if whole and T >= 2 * most else [Values(times, "int64"), Values(lengths, "int64")])
        s.case("ctc_loss", *args, Dim(blank), s.choice("none", "mean", "sum"), zero, fn=true_gradient)
    for _ in range(6):
        s.case("ctc_loss", s.t([7, 3], -4.0, 0.0), Counted([1, 2, 1]), None, None, Dim(0), s.choice("none", "mean", "sum"), fn=true_gradient)
    s.case("ctc_loss", s.t([60, 2, 9], -4.0, 0.0), Counted([[1, 1, 2, 3, 5, 8, 3, 2, 1, 1, 7], [4, 5, 4, 5, 6, 6, 6, 1, 2, 3, 4]]), fn=true_gradient)
