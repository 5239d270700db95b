"""Layers over images: convolutions, pooling, resizing, padding and what rearranges them."""
import torch

from sweep import Dim, Call, Opts


def cases(s):
    sizes = {1: [9], 2: [6, 7], 3: [4, 5, 4]}
    for nd in (1, 2, 3):
        name, size = "Conv%dd" % nd, sizes[nd]
        x = lambda c=3, lead=[2]: s.t(lead + [c] + size)
        s.layer(name, 3, 4, 3, inputs=[x()])
        s.layer(name, 3, 4, [2] * nd, Opts(stride=2, padding=1, bias=False), inputs=[x()])
        s.layer(name, 4, 6, 3, Opts(padding="same", dilation=1, groups=2), inputs=[x(4)])
        s.layer(name, 3, 2, 2, 1, "valid", inputs=[x(lead=[])])
        for mode in ("reflect", "replicate", "circular"):
            s.layer(name, 2, 3, 3, Opts(padding=1, padding_mode=mode), inputs=[x(2)])
            s.layer(name, 2, 3, [2] * nd, Opts(padding="same", padding_mode=mode), inputs=[x(2)])
        name = "ConvTranspose%dd" % nd
        small = lambda c=3: s.t([2, c] + [3, 4, 2][:nd])
        s.layer(name, 3, 4, 3, inputs=[small()])
        s.layer(name, 4, 2, 4, 2, 1, inputs=[small(4)])
        s.layer(name, 4, 6, 3, Opts(stride=2, padding=1, output_padding=1, groups=2, bias=False), inputs=[small(4)])
        s.layer(name, 3, 2, 2, Opts(dilation=2), inputs=[small()])

        x = s.t([2, 2] + size)
        s.layer("MaxPool%dd" % nd, 2, inputs=[x])
        s.layer("MaxPool%dd" % nd, 3, 2, 1, 1, Opts(ceil_mode=True), inputs=[x])
        s.layer("MaxPool%dd" % nd, 2, Opts(return_indices=True), inputs=[x], positions=True)
        s.layer("AvgPool%dd" % nd, 3, 2, 1, inputs=[x])
        s.layer("AvgPool%dd" % nd, 2, Opts(ceil_mode=True, count_include_pad=False), inputs=[x])
        s.layer("LPPool%dd" % nd, 2, 2, inputs=[s.t([2, 2] + size, 0.5, 2)])
        s.layer("AdaptiveAvgPool%dd" % nd, 1, inputs=[x])
        s.layer("AdaptiveAvgPool%dd" % nd, 3, inputs=[x])
        s.layer("AdaptiveMaxPool%dd" % nd, 2, inputs=[x])
        behind = tuple(range(2, 2 + nd))
        for keep in (False, True):
            s.layer("GlobalAvgPool", keep, inputs=[x], make=lambda k=keep: Call(lambda x: x.mean(behind, k)))
            s.layer("GlobalMaxPool", keep, inputs=[x], make=lambda k=keep: Call(lambda x: x.amax(behind, k)))
        at = s.index([1, 1] + [1] * nd, 2 ** nd)
        s.layer("MaxUnpool%dd" % nd, 2, inputs=[s.t([1, 1] + [1] * nd), at], batch=None)

        pairs = [1, 2, 0, 1, 2, 1][:2 * nd]
        for kind in ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
            s.layer("%s%dd" % (kind, nd), 2, inputs=[x])
            s.layer("%s%dd" % (kind, nd), pairs, inputs=[x])
        s.layer("ConstantPad%dd" % nd, pairs, 1.5, inputs=[x])

    x = s.t([2, 4, 4, 6])
    s.layer("Upsample", Opts(scale_factor=2), inputs=[x])
    s.layer("Upsample", Opts(size=[5, 3], mode="bilinear", align_corners=True), inputs=[x])
    s.layer("PixelShuffle", 2, inputs=[x], batch=None)  # an empty one fails in PyTorch
    s.layer("PixelUnshuffle", 2, inputs=[x], batch=None)
    s.layer("ChannelShuffle", 2, inputs=[x], batch=None)
    s.layer("Unfold", [2, 3], Opts(padding=1), inputs=[x])
    s.layer("Fold", [4, 5], [2, 2], inputs=[s.t([2, 8, 12])])
    s.layer("Unflatten", Dim(1), [2, 2], inputs=[x])
    s.layer("CosineSimilarity", inputs=[s.t([3, 4]), s.t([3, 4])])
    s.layer("CosineSimilarity", Dim(0), inputs=[s.t([3, 4]), s.t([3, 4])])
    s.layer("PairwiseDistance", inputs=[s.t([3, 4]), s.t([3, 4])])
    s.layer("PairwiseDistance", 1.0, Opts(keepdim=True), inputs=[s.t([3, 4]), s.t([3, 4])])
