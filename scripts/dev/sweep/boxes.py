"""Boxes against boxes, by the papers' formulas as torchvision writes them, and masks against masks."""
import math

import torch

from sweep import Dims, Values

REDUCTIONS = ("none", "mean", "sum")


def boxes(s, n):
    rows = []
    for _ in range(n):
        x, y = s.random.uniform(-2, 2), s.random.uniform(-2, 2)
        row = [x, y, x + s.random.uniform(0.2, 4), y + s.random.uniform(0.2, 4)]
        rows.append([round(v * 1024) / 1024 for v in row])  # float32 holds them
    return Values(rows, grad=True)


def parts(a, b):
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    whole = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inter
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    return inter, whole, hull


def reduced(y, how):
    return y if how == "none" else y.mean() if how == "mean" else y.sum()


def iou(a, b):
    inter, whole, _ = parts(a[:, None], b[None])
    return inter / whole


def giou(a, b, how, eps):
    inter, whole, hull = parts(a, b)
    area = hull.prod(-1)
    return reduced(1 - (inter / (whole + eps) - (area - whole) / (area + eps)), how)


def diou(a, b, how, eps):
    inter, whole, hull = parts(a, b)
    apart = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).pow(2).sum(-1)
    return reduced(1 - inter / (whole + eps) + apart / (hull.pow(2).sum(-1) + eps), how)


def ciou(a, b, how, eps):
    inter, whole, _ = parts(a, b)
    (w, h), (v, g) = (a[..., 2:] - a[..., :2]).unbind(-1), (b[..., 2:] - b[..., :2]).unbind(-1)
    aspect = 4 / math.pi ** 2 * (torch.atan(v / g) - torch.atan(w / h)).pow(2)
    with torch.no_grad():
        alpha = aspect / (1 - inter / (whole + eps) + aspect + eps)
    return reduced(diou(a, b, "none", eps) + alpha * aspect, how)


def overlap(x, y, smooth, dims, how, dice):
    if dims is None:
        dims = tuple(range(1, x.dim())) or (0,)
    common, both = (x * y).sum(dims), x.sum(dims) + y.sum(dims)
    return reduced(1 - ((2 * common + smooth) / (both + smooth) if dice else (common + smooth) / (both - common + smooth)), how)


def nms(boxes, scores, threshold, labels=None):
    order, kept = scores.argsort(descending=True, stable=True).tolist(), []
    overlaps = iou(boxes, boxes)
    for i in order:
        if not any(overlaps[k, i] > threshold and (labels is None or labels[k] == labels[i]) for k in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def cases(s):
    for k in range(12):
        n = s.choice(1, 8, 30)
        given = boxes(s, n)
        given.grad = False
        s.case("nms", given, s.t([n], 0.0, 1.0, grad=False), s.choice(0.1, 0.3, 0.5), *([s.index([n], 3)] if k % 2 else []), fn=nms, positions=True)
    for k in range(20):
        n = s.choice(1, 3, 6)
        s.case("box_iou", boxes(s, n), boxes(s, s.choice(1, 4)), fn=iou)
        for name, fn in (("giou_loss", giou), ("diou_loss", diou), ("ciou_loss", ciou)):
            s.case(name, boxes(s, n), boxes(s, n), s.choice(*REDUCTIONS), s.choice(1e-7, 1e-2), fn=fn)
        shape = s.shape(1, 4)
        dims = s.dims(shape) if k % 2 else None
        for name in ("dice_loss", "jaccard_loss"):
            s.case(name, s.t(shape, 0.05, 1.0), s.t(shape, 0.05, 1.0), s.choice(1.0, 0.1), dims, s.choice(*REDUCTIONS),
                   fn=lambda x, y, e, d, r, dice=name == "dice_loss": overlap(x, y, e, d, r, dice))
