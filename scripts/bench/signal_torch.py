"""PyTorch's side of signal.lua: the same transforms and random numbers, one JSON line a case."""
import torch

from torch_timing import run


def fft(rows, n, dtype=torch.complex64):
    x = torch.randn(rows, n, dtype=dtype)
    return lambda: torch.fft.fft(x)


def rfft():
    x = torch.randn(64, 1024)
    return lambda: torch.fft.rfft(x)


def rfft2():
    x = torch.randn(16, 256, 256)
    return lambda: torch.fft.rfft2(x)


def stft():
    x, w = torch.randn(160000), torch.hann_window(400)
    return lambda: torch.stft(x, 400, 160, window=w, return_complex=True)


def stft_backward():
    x, w = torch.randn(160000, requires_grad=True), torch.hann_window(512)

    def f():
        s = torch.stft(x, 512, 128, window=w, return_complex=True)
        torch.view_as_real(s).square().sum().backward()
    return f


def istft():
    w = torch.hann_window(512)
    s = torch.stft(torch.randn(160000), 512, 128, window=w, return_complex=True)
    return lambda: torch.istft(s, 512, 128, window=w)


def fftconvolve():
    x, z = torch.randn(100000), torch.randn(1000)
    n = 101250  # as Neap chooses: no primes but 2, 3 and 5
    return lambda: torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(z, n), n)[:100999]


def normal():
    x = torch.empty(1000000)
    return lambda: x.normal_()


def gamma():
    a = torch.full((100000,), 2.5)
    return lambda: torch._standard_gamma(a)


def poisson():
    a = torch.full((100000,), 30.0)
    return lambda: torch.poisson(a)


def multinomial():
    w = torch.rand(64, 50000)
    return lambda: torch.multinomial(w, 1, True)


CASES = {
    "fft_64x1024": lambda: fft(64, 1024), "fft_64x1024_f64": lambda: fft(64, 1024, torch.complex128),
    "fft_64x100000": lambda: fft(64, 100000), "fft_1x1024": lambda: fft(1, 1024), "fft_8x10007": lambda: fft(8, 10007),
    "rfft_64x1024": rfft, "rfft2_16x256x256": rfft2, "stft_10s": stft, "stft_10s_backward": stft_backward,
    "istft_10s": istft, "fftconvolve_100000x1000": fftconvolve, "normal_1e6": normal, "gamma_1e5": gamma,
    "poisson_1e5": poisson, "multinomial_64x50000": multinomial,
}


run(lambda name: CASES[name](), CASES, 3)
