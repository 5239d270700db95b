"""Short-time transforms, windows, cosine transforms (SciPy's definition), convolution, complex numbers as pairs, frequencies."""

import scipy.fft
import scipy.signal
import torch
import torch.nn.functional as F
from sweep import Opts


def c(x):
    return torch.view_as_complex(x.contiguous())


def r(y):
    return torch.view_as_real(y)


def stft(x, n_fft, hop=None, win=None, window=None, center=True, pad_mode="reflect", normalized=False, onesided=True, is_complex=False):
    return r(torch.stft(c(x) if is_complex else x, n_fft, hop, win, window, center, pad_mode, normalized, onesided, return_complex=True))


def istft(x, n_fft, hop=None, win=None, window=None, center=True, normalized=False, onesided=True, length=None, return_complex=False):
    y = torch.istft(c(x), n_fft, hop, win, window, center, normalized, onesided, length, return_complex)
    return r(y) if return_complex else y


def linear(transform):
    """A linear function of the last dimension as a product with its matrix, so that it has a gradient."""
    def f(x, type=2, norm="backward", dim=-1):
        n = x.shape[dim]
        m = torch.tensor(transform(torch.eye(n, dtype=torch.float64).numpy(), type=type, norm=norm, axis=0), dtype=x.dtype)
        return torch.tensordot(m, x, ([1], [dim])).movedim(0, dim)
    return f


def convolve(x, z, mode="full"):
    n, m = x.shape[-1], z.shape[-1]
    lead = torch.broadcast_shapes(x.shape[:-1], z.shape[:-1])
    a, b = x.expand(lead + (n,)).reshape(-1, n), z.expand(lead + (m,)).reshape(-1, m)
    y = F.conv1d(F.pad(a, (m - 1, m - 1)).unsqueeze(0), b.flip(-1).unsqueeze(1), groups=a.shape[0]).squeeze(0)
    full = n + m - 1
    size = {"full": full, "same": n, "valid": max(n, m) - min(n, m) + 1}[mode]
    start = (full - size) // 2
    return y[:, start:start + size].reshape(lead + (size,))


def cases(s):
    for k in range(36):
        n_fft = s.choice(3, 4, 7, 8, 10, 16, 17, 24)
        hop = s.choice(None, n_fft // 2 + 1, 1, 2, 3)
        hop = hop if hop or n_fft >= 4 else 1
        win = s.choice(None, n_fft, max(1, n_fft - 3))
        window = s.t([win or n_fft], 0.2, 1.0) if s.random.random() < 0.7 else None
        center = s.random.random() < 0.7
        mode = s.choice("reflect", "constant", "replicate", "circular") if center else "reflect"
        shape = s.choice([], [1], [3]) + [n_fft + s.random.randint(0, 20)]
        s.case("stft", s.t(shape), n_fft, hop, win, window, center, mode, s.choice(True, False), s.choice(True, False), fn=stft)
    for k in range(28):
        n_fft = s.choice(4, 5, 8, 9, 12)
        hop, onesided = s.choice(None, 1, 2, 3), s.choice(True, False)
        win = s.choice(None, n_fft)
        window = s.t([n_fft], 0.2, 1.0) if s.random.random() < 0.7 else None
        frames = s.random.randint(3, 7)
        length = s.choice(None, None, (hop or n_fft // 4) * (frames - 1) - 1) if frames > 3 else None
        x = s.t(s.choice([], [2]) + [n_fft // 2 + 1 if onesided else n_fft, frames, 2])
        s.case("istft", x, n_fft, hop, win, window, s.choice(True, True, False), s.choice(True, False), onesided, length, fn=istft)
    for k in range(24):
        n_fft = s.choice(4, 5, 8, 9)
        hop, window = s.choice(None, 1, 3), s.t([n_fft], 0.2, 1.0) if k % 3 else None
        center, lead = s.choice(True, True, False), s.choice([], [2])
        s.case("stft", s.t(lead + [s.random.randint(n_fft, 20), 2]), n_fft, hop, None, window, center, s.choice("reflect", "constant"),
               s.choice(True, False), False, True, fn=stft)
        frames = s.random.randint(3, 7)
        length = s.choice(None, (hop or n_fft // 4) * (frames - 1) - 1) if frames > 3 else None
        s.case("istft", s.t(lead + [n_fft, frames, 2]), n_fft, hop, None, window, center, s.choice(True, False), False, length, True, fn=istft)
    for name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
        for n in (0, 1, 2, 3, 8, 13):
            for periodic in (True, False):
                f = getattr(torch, name + "_window")
                s.case(name + "_window", n, periodic, Opts(dtype="float64"),
                       fn=lambda n, p, dtype: f(n, p, dtype=torch.float64))
    for a, b in ((0.6, 0.4), (0.5, 0.5)):
        s.case("hamming_window", 9, False, a, b, Opts(dtype="float64"),
               fn=lambda n, p, a, b, dtype: torch.hamming_window(n, p, a, b, dtype=torch.float64))
    for beta in (0.5, 3.0, 30.0):
        s.case("kaiser_window", 10, True, beta, Opts(dtype="float64"),
               fn=lambda n, p, b, dtype: torch.kaiser_window(n, p, b, dtype=torch.float64))
    for n in (1, 2, 5, 8):
        for d in (1.0, 0.25):
            s.case("fftfreq", n, d, Opts(dtype="float64"), fn=lambda n, d, dtype: torch.fft.fftfreq(n, d, dtype=torch.float64))
            s.case("rfftfreq", n, d, Opts(dtype="float64"), fn=lambda n, d, dtype: torch.fft.rfftfreq(n, d, dtype=torch.float64))
    for _ in range(15):
        shape = s.shape(1, 3)
        dims = None if s.random.random() < 0.3 else s.dims(shape)
        s.case("fftshift", s.t(shape), dims, fn=torch.fft.fftshift)
        s.case("ifftshift", s.t(shape), dims, fn=torch.fft.ifftshift)
    for op, transform in (("dct", scipy.fft.dct), ("idct", scipy.fft.idct)):
        for _ in range(24):
            shape = s.shape(0, 2, 3) + [s.choice(1, 2, 3, 5, 8, 11, 16)] + s.shape(0, 1, 3)
            s.case(op, s.t(shape), s.choice(2, 3), s.choice("backward", "ortho", "forward"), s.dim(shape), fn=linear(transform))
    for op in ("convolve", "fftconvolve"):
        for _ in range(20):
            lead = s.broadcast(2, 0, 2)
            s.case(op, s.t(lead[0] + [s.random.randint(1, 9)]), s.t(lead[1] + [s.random.randint(1, 9)]),
                   s.choice("full", "valid", "same"), fn=convolve)
    s.case("convolve", s.t([2, 100]), s.t([70]), "same", fn=convolve)
    for _ in range(15):
        a, b = s.broadcast(2, 0, 3)
        s.case("complex", s.t(a), s.t(b), fn=lambda x, z: r(torch.complex(*torch.broadcast_tensors(x, z))))
        s.case("polar", s.t(a, 0.1, 2.0), s.t(b), fn=lambda x, z: r(torch.polar(*torch.broadcast_tensors(x, z))))
        s.case("complex_mul", s.t(a + [2]), s.t(b + [2]), fn=lambda x, z: r(c(x) * c(z)))
        s.case("complex_mul", s.t(a + [2]), s.t(b + [2]), True, fn=lambda x, z, k: r(c(x) * c(z).conj()))
        s.case("complex_abs", s.t(a + [2]), fn=lambda x: c(x).abs())
        s.case("complex_angle", s.t(a + [2]), fn=lambda x: c(x).angle())
        s.case("conj", s.t(a + [2]), fn=lambda x: r(c(x).conj().resolve_conj()))
        s.case("real", s.t(a + [2]), fn=lambda x: c(x).real)
        s.case("imag", s.t(a + [2]), fn=lambda x: c(x).imag)
