"""Fourier transforms: lengths of every kind (one, powers, mixed factors, primes), cut and padded, along any dimension, all
norms. Complex numbers are pairs in a last dimension of 2."""
import torch
from sweep import Dim, Dims

NORMS = ("backward", "ortho", "forward")


def pairs(f):
    def g(x, *args):
        y = f(torch.view_as_complex(x.contiguous()), *args)
        return torch.view_as_real(y) if y.is_complex() else y
    return g


def cases(s):
    lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 19, 23, 30, 31, 49, 64, 75, 97]

    # A dimension is given as PyTorch counts it in the complex tensor; here the pairs come after it.
    def along(op, f, real_in, n, long=False):
        before = [] if long else s.shape(0, 2, 3)
        after = [] if long else s.shape(0, 1, 3)
        shape = before + [n] + after
        d = len(before)
        if s.random.random() < 0.4:
            d -= len(shape) + (0 if real_in else 1)
        cut = s.choice(None, None, max(1, n - s.random.randint(0, 3)), n + s.random.randint(1, 4))
        norm = s.choice(*NORMS)

        def fn(x, m, dim, norm):
            c = x if real_in else torch.view_as_complex(x.contiguous())
            if not real_in and dim < 0:
                dim += 1
            y = f(c, m, dim, norm)
            return torch.view_as_real(y) if y.is_complex() else y
        s.case(op, s.t(shape + ([] if real_in else [2])), cut, Dim(d), norm, fn=fn)

    for op, f, real_in in (("fft", torch.fft.fft, False), ("ifft", torch.fft.ifft, False), ("rfft", torch.fft.rfft, True)):
        for n in lengths:
            along(op, f, real_in, n)
        for n in (s.choice(256, 300, 320), s.choice(257, 331), s.choice(500, 512, 455)):
            along(op, f, real_in, n, True)
    for n in lengths + [129, 151, 257]:
        m = n // 2 + 1
        before, after = s.shape(0, 2, 3) if n < 100 else [], s.shape(0, 1, 3) if n < 100 else []
        cut = s.choice(n, n, n + s.random.randint(1, 5))

        def fn(x, n, dim, norm):
            return torch.fft.irfft(torch.view_as_complex(x.contiguous()), n, dim, norm)
        s.case("irfft", s.t(before + [m] + after + [2]), cut, Dim(len(before)), s.choice(*NORMS), fn=fn)
    for _ in range(5):
        s.case("irfft", s.t([3, s.random.randint(2, 9), 2]), fn=pairs(torch.fft.irfft))
    for op, f in (("fft2", torch.fft.fft2), ("ifft2", torch.fft.ifft2), ("rfft2", torch.fft.rfft2), ("irfft2", torch.fft.irfft2)):
        real_in = op == "rfft2"
        for k in range(16):
            shape = s.shape(0, 1, 3) + [s.choice(2, 3, 5, 8), s.choice(2, 4, 6, 7)]
            n = len(shape)
            dims = s.choice((n - 2, n - 1), (n - 1, n - 2), (0, n - 1))
            size = None if k % 2 else [s.random.randint(2, 9), s.random.randint(2, 9)]

            def fn(x, size, dims, norm):
                c = x if real_in else torch.view_as_complex(x.contiguous())
                y = f(c, size, dims, norm)
                return torch.view_as_real(y) if y.is_complex() else y
            s.case(op, s.t(shape + ([] if real_in else [2])), size, Dims(*dims), s.choice(*NORMS), fn=fn)
        s.case(op, s.t([4, 5] if real_in else [4, 5, 2]),
               fn=(lambda x: torch.view_as_real(f(x))) if real_in else pairs(f))
