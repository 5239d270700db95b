"""Images in other sizes and orders, and read where a grid says."""
import torch
import torch.nn.functional as F

from sweep import Opts


def sizes(s, nd, lo, hi):
    return [s.random.randint(lo, hi) for _ in range(nd)]


def resized(s):
    smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
    for nd in (1, 2, 3):
        for k in range(12):
            x = s.t([s.choice(1, 2), s.choice(1, 3)] + sizes(s, nd, 1, {1: 9, 2: 6, 3: 4}[nd]))
            to = sizes(s, nd, 1, {1: 12, 2: 8, 3: 5}[nd]) if k % 5 else [s.random.randint(1, 7)] * nd
            factor = s.choice(2, 0.5, 1.7, 3, 1.25, 0.4)
            if min(int(n * factor) for n in x.shape[2:]) < 1:
                factor = 2
            for mode in ["nearest", "nearest-exact", "area"] + smooth[nd]:
                s.case("interpolate", x, to, None, mode)
                if all(int(n * factor) != n for n in x.shape[2:]):  # there PyTorch's ranks, or result and gradient, disagree
                    s.case("interpolate", x, None, factor, mode)
                if mode not in ("nearest", "nearest-exact", "area"):
                    s.case("interpolate", x, to, None, mode, True)
                    s.case("interpolate", x, None, factor, mode, k % 2 == 0, True,
                           fn=lambda x, t, f, m, a, r: F.interpolate(x, t, f, m, a, recompute_scale_factor=r))
            if nd == 2 and to[1] > 1:  # PyTorch's filter does not move along columns of an image one wide
                for mode in smooth[2]:
                    s.case("interpolate", x, to, Opts(mode=mode, antialias=True, align_corners=k % 4 == 0))
    s.case("interpolate", s.t([2, 3, 4, 5]), 7, fn=lambda x, n: F.interpolate(x, n))
    s.case("interpolate", s.t([2, 16, 33, 40]), [66, 80], None, "bilinear")  # above the parallel threshold


def shuffled(s):
    for _ in range(15):
        r = s.choice(1, 2, 3)
        lead = s.shape(0, 2, 3)
        s.case("pixel_shuffle", s.t(lead + [s.random.randint(1, 3) * r * r] + sizes(s, 2, 1, 4)), r)
        s.case("pixel_unshuffle", s.t(lead + [s.random.randint(1, 3)] + [n * r for n in sizes(s, 2, 1, 3)]), r)
        groups = s.choice(1, 2, 3)
        s.case("channel_shuffle", s.t([s.choice(1, 2), groups * s.random.randint(1, 3)] + sizes(s, s.choice(1, 2, 3), 1, 4)), groups)


def sampled(s):
    for k in range(10):
        for mode in ("bilinear", "nearest", "bicubic"):
            for padding in ("zeros", "border", "reflection"):
                for corners in (False, True):
                    far = s.choice(0.9, 1.2, 3.0)
                    n, c = s.choice(1, 2), s.choice(1, 3)
                    s.case("grid_sample", s.t([n, c] + sizes(s, 2, 1 if k % 4 == 0 else 2, 6)), s.t([n] + sizes(s, 2, 1, 4) + [2], -far, far), mode, padding, corners)
                    if mode != "bicubic" and k % 3 == 0:
                        s.case("grid_sample", s.t([n, c] + sizes(s, 3, 2, 4)), s.t([n] + sizes(s, 3, 1, 3) + [3], -far, far), mode, padding, corners)
    for k in range(20):
        n, size = s.choice(1, 3), sizes(s, 2, 1, 5)
        s.case("affine_grid", s.t([n, 2, 3]), [n, 2] + size, k % 2 == 0)
        size = sizes(s, 3, 1, 4)
        s.case("affine_grid", s.t([n, 3, 4]), [n, 2] + size, k % 2 == 0)


def cases(s):
    resized(s)
    shuffled(s)
    sampled(s)
