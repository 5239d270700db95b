"""Layers without weights, activations, and layers with weights that are no convolution, recurrence or attention."""
import torch
from sweep import Dim, Opts


def cases(s):
    activations = {"ReLU": [()], "GELU": [(), ("tanh",)], "SiLU": [()], "Sigmoid": [()], "LogSigmoid": [()], "Tanh": [()],
                   "Softplus": [(), (2.0, 1.5)], "LeakyReLU": [(), (0.3,)], "ELU": [(), (0.7,)], "SELU": [()], "CELU": [(), (0.6,)],
                   "Hardtanh": [(), (-0.5, 0.7)], "ReLU6": [()], "Hardsigmoid": [()], "Hardswish": [()], "Hardshrink": [(), (0.9,)],
                   "Softshrink": [(), (0.9,)], "Mish": [()], "Softsign": [()], "Tanhshrink": [()], "Threshold": [(0.2, 7.0)]}
    for name, settings in activations.items():
        for given in settings:
            inputs = [s.t([3, 4], -3, 3)]
            options = Opts(approximate=given[0]) if name == "GELU" and given else None
            inexact = name == "Hardsigmoid" or name == "CELU" and given  # PyTorch's gradient has constants of single precision
            s.layer(name, *([options] if options else given), inputs=inputs, grad=not inexact)
    for dim in (1, -1):
        for name in ("Softmax", "LogSoftmax", "GLU"):
            s.layer(name, Dim(dim), inputs=[s.t([3, 4], -3, 3)])
    s.layer("Identity", inputs=[s.t([3, 2])])
    for train in (False, True):
        for name in ("Dropout", "AlphaDropout"):
            s.layer(name, 0.0 if train else 0.3, inputs=[s.t([3, 2])], train=train)
        for d, body in ((1, [4]), (2, [2, 3]), (3, [2, 3, 2])):
            s.layer("Dropout%dd" % d, 0.0 if train else 0.3, inputs=[s.t([2, 3] + body)], train=train)
        s.layer("FeatureAlphaDropout", 0.0 if train else 0.3, inputs=[s.t([2, 3, 4])], train=train)
        s.layer("DropPath", 0.0 if train else 0.3, inputs=[s.t([3, 4])], train=train, make=torch.nn.Identity)  # PyTorch has none
    s.layer("RReLU", 0.1, 0.4, inputs=[s.t([3, 4])], train=False)
    for start, end in ((1, -1), (0, 1), (-2, -1)):
        s.layer("Flatten", Dim(start), Dim(end), inputs=[s.t([2, 3, 2, 2])])
    for given in ((), (3,), (3, 0.1)):
        s.layer("PReLU", *given, inputs=[s.t([2, 3, 4])])
    for bias in (True, False):
        s.layer("Linear", 4, 3, Opts(bias=bias), inputs=[s.t([5, 4])])
        s.layer("Linear", 4, 3, bias, inputs=[s.t([2, 3, 4])])
        s.layer("Bilinear", 3, 4, 2, Opts(bias=bias), inputs=[s.t([5, 3]), s.t([5, 4])])
        s.layer("LayerNorm", [3, 4], Opts(bias=bias), inputs=[s.t([2, 3, 4])])
    s.layer("LayerNorm", [4], Opts(elementwise_affine=False, eps=0.01), inputs=[s.t([2, 3, 4])])
    for padding in (None, Dim(2), Dim(-1)):
        s.layer("Embedding", 6, 3, padding, inputs=[s.index([2, 4], 6)])
        s.layer("EmbeddingBag", 6, 3, Opts(padding_idx=padding, mode="sum"), inputs=[s.index([2, 4], 6)])
    for mode in ("mean", "max"):
        s.layer("EmbeddingBag", 6, 3, Opts(mode=mode), inputs=[s.index([2, 4], 6)])
    s.layer("Embedding", 6, 3, Opts(max_norm=0.5, scale_grad_by_freq=True), inputs=[s.index([2, 4], 6)])
    s.layer("Sequential", inputs=[s.t([5, 4])], lua_text="nn.Sequential(nn.Linear(4,3),nn.ReLU(),nn.Sequential(nn.Linear(3,3),nn.GELU()),nn.Tanh())",
            make=lambda: torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.GELU()),
                                             torch.nn.Tanh()))
