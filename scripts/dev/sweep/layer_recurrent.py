"""Recurrent layers and cells."""
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sweep import Opts, Values


def packed(m, x, *states, lengths):
    """PyTorch's way to rows of several lengths, padded again."""
    first = m.batch_first
    states = tuple(states)
    run = pack_padded_sequence(x, lengths, batch_first=first, enforce_sorted=False)
    y, last = m(run, states if len(states) > 1 else states[0] if states else None)
    return pad_packed_sequence(y, batch_first=first, total_length=x.shape[1 if first else 0])[0], last


def called(m, x, *states):
    return m(x, *([tuple(states)] if len(states) > 1 else states))


def cases(s):
    for name in ("RNN", "LSTM", "GRU"):
        kinds = [Opts(), Opts(num_layers=2), Opts(bidirectional=True), Opts(num_layers=2, bidirectional=True, bias=False),
                 Opts(batch_first=True, num_layers=2), Opts(bias=False)]
        if name == "RNN":
            kinds += [Opts(nonlinearity="relu"), Opts(nonlinearity="relu", num_layers=2, bidirectional=True)]
        if name == "LSTM":
            kinds += [Opts(proj_size=2), Opts(proj_size=2, num_layers=2, bidirectional=True)]
        for o in kinds:
            layers, directions = o.options.get("num_layers", 1), 2 if o.options.get("bidirectional") else 1
            first = o.options.get("batch_first", False)
            out = o.options.get("proj_size", 0) or 4
            batch = 0 if first else 1

            def x(steps=3, rows=2):
                return s.t([rows, steps, 3] if first else [steps, rows, 3])

            s.layer(name, 3, 4, o, inputs=[x()], fn=called, batch=batch)
            states = [s.t([layers * directions, 2, out])] + ([s.t([layers * directions, 2, 4])] if name == "LSTM" else [])
            s.layer(name, 3, 4, o, inputs=[x()] + states, fn=called, batch=None)
            s.layer(name, 3, 4, o, inputs=[x(5, 9)], fn=called, batch=None)
            lengths = [5, 1, 3]
            s.layer(name, 3, 4, o, inputs=[x(5, 3), Opts(lengths=Values(lengths, "int64"))], fn=packed, batch=None)
            s.layer(name, 3, 4, o, inputs=[s.t([4, 3])], fn=called, batch=None)
        states = [s.t([1, 4])] + ([s.t([1, 4])] if name == "LSTM" else [])
        s.layer(name, 3, 4, inputs=[s.t([2, 3])] + states, fn=called, batch=None)
        states = [s.t([1, 3, 4])] + ([s.t([1, 3, 4])] if name == "LSTM" else [])
        s.layer(name, 3, 4, inputs=[s.t([4, 3, 3])] + states + [Opts(lengths=Values([2, 4, 1], "int64"))], fn=packed, batch=None)
        for bias in (True, False):
            cell, extra = name + "Cell", [Opts(nonlinearity="relu")] if name == "RNN" and bias else []
            count = 2 if name == "LSTM" else 1
            s.layer(cell, 3, 4, bias, *extra, inputs=[s.t([5, 3])], fn=called)
            s.layer(cell, 3, 4, bias, *extra, inputs=[s.t([5, 3])] + [s.t([5, 4]) for _ in range(count)], fn=called)
            s.layer(cell, 3, 4, bias, *extra, inputs=[s.t([3])] + [s.t([4]) for _ in range(count)], fn=called, batch=None)
