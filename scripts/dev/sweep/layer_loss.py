"""Losses as layers."""
from sweep import Opts


def cases(s):
    for reduction in ("none", "mean", "sum"):
        r = Opts(reduction=reduction)
        for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"):
            s.layer(name, r, inputs=[s.t([4, 3]), s.t([4, 3])])
        s.layer("CrossEntropyLoss", r, inputs=[s.t([4, 5]), s.index([4], 5)])
        s.layer("NLLLoss", r, inputs=[s.t([4, 5]), s.index([4], 5)])
        s.layer("BCELoss", r, inputs=[s.t([4, 3], 0.1, 0.9), s.t([4, 3], 0, 1, grad=False)])
        s.layer("BCEWithLogitsLoss", r, inputs=[s.t([4, 3]), s.t([4, 3], 0, 1, grad=False)])
        s.layer("KLDivLoss", r, inputs=[s.t([4, 3], -3, 0), s.t([4, 3], 0.1, 0.9, grad=False)])
    s.layer("CrossEntropyLoss", Opts(label_smoothing=0.2), inputs=[s.t([4, 5]), s.index([4], 5)])
    s.layer("SmoothL1Loss", Opts(beta=0.5), inputs=[s.t([4, 3]), s.t([4, 3])])
    s.layer("HuberLoss", Opts(delta=0.5), inputs=[s.t([4, 3]), s.t([4, 3])])
