"""Rows by their numbers: frequencies, rows that are shortened, and bags of them; dropout outside of training."""
import torch.nn.functional as F

from sweep import Dim, family

Counted = family("margin").Counted


def bag(x, w, o=None, m=None, p=2.0, f=False, mode="mean", shares=None, last=False, padding=None):
    return F.embedding_bag(x, w, o, m, p, f, mode, per_sample_weights=shares, include_last_offset=last, padding_idx=padding)


# scale_grad_by_freq is left out of bags: PyTorch 2.13 looks up the frequency of another row there.
def cases(s):
    for k in range(20):
        n, d = s.choice(2, 5, 9), s.choice(1, 3, 8)
        s.case("embedding", s.index(s.shape(0, 3), n), s.t([n, d]), s.choice(None, Dim(0), Dim(-1)), s.choice(None, 1.0, 2.0), s.choice(1.0, 2.0, 3.0), k % 2 == 0,
               fn=F.embedding)
    for k in range(60):
        n, d, mode = s.choice(2, 5, 9), s.choice(1, 3, 20), s.choice("mean", "sum", "max")
        shape, offsets, last = [s.random.randint(1, 4), s.random.randint(1, 5)], None, False
        if k % 2:
            shape, last = [s.random.randint(3, 12)], s.choice(True, False)
            inner = sorted(s.random.randint(0, shape[0]) for _ in range(s.random.randint(0, 4)))
            offsets = Counted([0] + inner + ([shape[0]] if last else []))
        shares = s.t(shape, 0.5, 1.5) if mode == "sum" and k % 3 else None
        s.case("embedding_bag", s.index(shape, n), s.t([n, d]), offsets, s.choice(None, None, 1.0), 2.0, False, mode, shares, last, s.choice(None, None, Dim(1)), fn=bag)
