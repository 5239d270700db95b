"""Losses as layers."""
import torch

from sweep import Opts, Values, family

boxes, loss, margin = family("boxes"), family("loss"), family("margin")


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
        s.layer("PoissonNLLLoss", r, inputs=[s.t([4, 3]), s.t([4, 3], 0, 4, grad=False)])
        s.layer("GaussianNLLLoss", r, inputs=[s.t([4, 3]), s.t([4, 3]), s.t([4, 1], 0.5, 1.5)])
        s.layer("SoftMarginLoss", r, inputs=[s.t([4, 3]), s.t([4, 3], -1, 1, grad=False)])
        s.layer("HingeEmbeddingLoss", r, inputs=[s.t([4, 3]), s.i([4, 3], -1, 1)])
        s.layer("MarginRankingLoss", 0.3, r, inputs=[s.t([4]), s.t([4]), s.i([4], -1, 1)])
        s.layer("CosineEmbeddingLoss", 0.1, r, inputs=[s.t([4, 3]), s.t([4, 3]), s.i([4], -1, 1)])
        s.layer("TripletMarginLoss", r, inputs=[s.t([4, 3]), s.t([4, 3]), s.t([4, 3])])
        s.layer("MultiMarginLoss", 2, 0.7, r, inputs=[s.t([4, 3]), s.index([4], 3)])
        s.layer("MultiLabelMarginLoss", r, inputs=[s.t([2, 3]), margin.Counted([[2, 0, -1], [1, -1, 0]])])
        s.layer("MultiLabelSoftMarginLoss", r, inputs=[s.t([4, 3]), s.t([4, 3], 0, 1, grad=False)])
        # what PyTorch has no layers for
        s.layer("SigmoidFocalLoss", 0.3, 1.5, r, inputs=[s.t([4, 3]), s.t([4, 3], 0, 1, grad=False)], make=made(loss.sigmoid_focal, 0.3, 1.5, reduction))
        s.layer("FocalLoss", None, 1.5, r, inputs=[s.t([4, 3]), s.index([4], 3)], make=made(loss.focal, None, 1.5, -100, reduction))
        for name, dice in (("DiceLoss", True), ("JaccardLoss", False)):
            s.layer(name, 0.5, r, inputs=[s.t([4, 3], 0.1, 0.9), s.t([4, 3], 0.1, 0.9)], make=made(boxes.overlap, 0.5, None, reduction, dice))
        for name, fn in (("GIoULoss", boxes.giou), ("DIoULoss", boxes.diou)):
            s.layer(name, r, inputs=[boxes.boxes(s, 3), boxes.boxes(s, 3)], make=made(fn, reduction, 1e-7))
        # the weight of CIoU's last term counts as a constant, which differences cannot see: boxes of one aspect
        s.layer("CIoULoss", r, inputs=[Values([[0.0, 0.0, 2.0, 1.0]], grad=True), Values([[1.0, 0.25, 2.0, 0.75]], grad=True)],
                make=made(boxes.ciou, reduction, 1e-7))
        s.layer("InfoNCELoss", 0.5, True, r, inputs=[s.t([4, 3]), s.t([4, 3])], make=made(margin.nce, 0.5, True, reduction))

    s.layer("CrossEntropyLoss", Opts(label_smoothing=0.2), inputs=[s.t([4, 5]), s.index([4], 5)])
    s.layer("SmoothL1Loss", Opts(beta=0.5), inputs=[s.t([4, 3]), s.t([4, 3])])
    s.layer("HuberLoss", Opts(delta=0.5), inputs=[s.t([4, 3]), s.t([4, 3])])

def made(fn, *settings):
    """A maker of modules that are a function at fixed settings."""
    class Function(torch.nn.Module):
        def forward(self, *x):
            return fn(*x, *settings)
    return Function
