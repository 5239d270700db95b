"""Resampling and mel filters, against torchaudio's functions (of plain Python: any release that imports will do)."""
import contextlib

import torch
import torchaudio
import torchaudio.functional as A

from sweep import Opts

PEER = "torchaudio " + torchaudio.__version__.split("+")[0]


@contextlib.contextmanager
def default_dtype(dtype):
    old = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(old)


def resample(x, *settings):
    with default_dtype(x.dtype):  # it rounds Kaiser's beta to that
        return A.resample(x, *settings)


def fbanks(n_freqs, f_min, f_max, n_mels, rate, norm="none", scale="htk", dtype=None):
    with default_dtype(torch.float64):
        return A.melscale_fbanks(n_freqs, f_min, f_max, n_mels, rate, None if norm == "none" else norm, scale)


def cases(s):
    for orig, new in ((3, 2), (2, 3), (4, 8), (8, 2), (441, 160), (5, 7), (160, 441), (7, 5), (1, 3), (16000, 8000), (6, 6)):
        for width, rolloff in ((6, 0.99), (3, 0.8), (16, 0.95)):
            n = s.random.randint(1, 60) if orig < 100 else 500
            x = s.t(s.choice([], [2], [2, 3]) + [n])
            s.case("resample", x, orig, new, width, rolloff, "sinc_interp_hann", fn=resample)
            s.case("resample", s.t([n]), orig, new, width, rolloff, "sinc_interp_kaiser", s.choice(14.769656459379492, 6.0), fn=resample)
    s.case("resample", s.t([2, 30]), 44100, 48000, fn=resample)
    for rate in (8000, 16000, 22050, 44101):
        for norm in ("none", "slaney"):
            for scale in ("htk", "slaney"):
                for _ in range(2):
                    s.case("melscale_fbanks", s.choice(33, 40, 201), s.choice(0.0, 55.0), rate / s.choice(2, 2.5), s.choice(5, 12, 40), rate, norm, scale,
                           Opts(dtype="float64"), fn=fbanks)
