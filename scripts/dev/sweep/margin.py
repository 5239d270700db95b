"""Losses over distances, rankings and similarities."""
import torch
import torch.nn.functional as F

from sweep import Dim, Values

REDUCTIONS = ("none", "mean", "sum")


class Counted:
    """Labels as PyTorch writes them, -1 ending a row; one more in Lua."""

    def __init__(self, rows):
        self.rows = rows

    def torch(self, _):
        return torch.tensor(self.rows)

    def lua(self):
        one = [[v + 1 for v in row] for row in self.rows] if isinstance(self.rows[0], list) else [v + 1 for v in self.rows]
        return Values(one, "int64").lua()


def signs(s, shape):
    return Values([s.choice(-1.0, 1.0) for _ in range(shape[0])] if shape else s.choice(-1.0, 1.0))


def nce(q, k, temperature, symmetric, how):
    scores = F.normalize(q) @ F.normalize(k).T / temperature
    own = torch.arange(len(q))
    y = F.cross_entropy(scores, own, reduction=how)
    return (y + F.cross_entropy(scores.T, own, reduction=how)) / 2 if symmetric else y


def cases(s):
    for k in range(20):
        shape = s.shape(1, 3)
        shape[0] += 1  # a single number is a constant when normalized: its gradient is rounding alone
        s.case("normalize", s.t(shape, -3.0, 3.0), s.choice(1.0, 2.0, 3.0), s.choice(Dim(0), Dim(-len(shape))), s.choice(1e-12, 2.0),
               fn=lambda x, p, d, e: F.normalize(x, p, d, e))
        s.case("margin_ranking_loss", s.t(shape), s.t(shape), s.i(shape, -1, 1), s.choice(0.0, 0.5, -0.5), s.choice(*REDUCTIONS),
               fn=lambda a, b, t, m, r: F.margin_ranking_loss(a, b, t, margin=m, reduction=r))
        n, d, c = s.choice(1, 3, 6), s.choice(2, 4, 9), s.choice(2, 5, 8)
        shape = s.choice([n, d], [n, d], [d])
        s.case("cosine_embedding_loss", s.t(shape), s.t(shape), signs(s, shape[:-1]), s.choice(0.0, 0.3, -0.5), s.choice(*REDUCTIONS),
               fn=lambda a, b, t, m, r: F.cosine_embedding_loss(a, b, t, margin=m, reduction=r))
        s.case("triplet_margin_loss", s.t(shape), s.t(shape), s.t(shape), s.choice(0.5, 1.0, 3.0), s.choice(1.0, 2.0, 3.0), s.choice(1e-6, 1e-2), k % 2 == 0,
               s.choice(*REDUCTIONS), fn=lambda a, p, n, m, o, e, w, r: F.triplet_margin_loss(a, p, n, m, o, e, w, reduction=r))
        s.case("info_nce", s.t([n, d]), s.t([n, d]), s.choice(0.07, 0.5, 1.0), k % 2 == 0, s.choice(*REDUCTIONS), fn=nce)
        shape = s.choice([n, c], [n, c], [c])
        weight = s.t([c], 0.5, 1.5, grad=False) if k % 3 else None
        s.case("multi_margin_loss", s.t(shape), s.index(shape[:-1], c), s.choice(1, 2), s.choice(0.5, 1.0, 2.0), weight, s.choice(*REDUCTIONS),
               fn=lambda x, t, p, m, w, r: F.multi_margin_loss(x, t, p, m, w, reduction=r))
        rows = []
        for _ in range(shape[0] if len(shape) == 2 else 1):
            named = s.random.sample(range(c), s.random.randint(0, c))
            rows.append((named + [-1] * c)[:c])
        s.case("multilabel_margin_loss", s.t(shape), Counted(rows if len(shape) == 2 else rows[0]), s.choice(*REDUCTIONS),
               fn=lambda x, t, r: F.multilabel_margin_loss(x, t, reduction=r))
