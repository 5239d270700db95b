"""Layers that normalise, their running statistics, in training and outside of it; and the loss of alignments."""
import torch
from sweep import Opts, Values, family

ctc, margin = family("ctc"), family("margin")


class CTC(torch.nn.Module):
    def forward(self, *x):
        return ctc.true_gradient(*x)


def cases(s):
    bodies = {1: [4], 2: [3, 2], 3: [2, 3, 2]}
    for d, body in bodies.items():
        for train in (True, False):
            for options in ({}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.3, "eps": 1e-2}, {"bias": False}):
                s.layer("BatchNorm%dd" % d, 3, Opts(**options), inputs=[s.t([4, 3] + body, -1, 3)], train=train)
            for options in ({}, {"affine": True}, {"track_running_stats": True}, {"affine": True, "track_running_stats": True, "momentum": 0.3}):
                s.layer("InstanceNorm%dd" % d, 3, Opts(**options), inputs=[s.t([2, 3] + body, -1, 3)], train=train)
            s.layer("InstanceNorm%dd" % d, 3, Opts(affine=True), inputs=[s.t([3] + body, -1, 3)], train=train, batch=None)
    s.layer("BatchNorm1d", 5, inputs=[s.t([6, 5], -1, 3)])
    for options in ({}, {"affine": False}, {"eps": 0.1}, {"bias": False}):
        s.layer("GroupNorm", 2, 4, Opts(**options), inputs=[s.t([3, 4, 5], -1, 3)])
        s.layer("GroupNorm", 4, 4, Opts(**options), inputs=[s.t([2, 4, 6, 6], -1, 3)])
    for given in ((), (0.1,), (0.1, False)):
        s.layer("RMSNorm", [3, 4], *given, inputs=[s.t([2, 3, 4], -1, 3)])
    s.layer("LocalResponseNorm", 3, 0.5, 0.6, 1.5, inputs=[s.t([2, 4, 3])])
    lengths = Values([3, 2], "int64")
    s.layer("CTCLoss", inputs=[s.t([8, 2, 4], -3, 0), margin.Counted([[1, 2, 1], [3, 3, 1]]), Values([8, 7], "int64"), lengths], make=CTC)
