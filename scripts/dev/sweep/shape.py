"""Shapes: views, orders, elements rearranged and repeated, padding, diagonals, runs, and tensors joined or cut into parts."""
import torch
import torch.nn.functional as F

from sweep import Dim, Dims, List, Opts, Values


def views(s):
    for _ in range(15):
        shape = s.shape(1, 4)
        whole = torch.Size(shape).numel()
        s.case("reshape", s.t(shape), [whole] if s.random.random() < 0.3 else [-1, shape[-1]])
        s.case("flatten", s.t(shape), Dim(s.random.randrange(len(shape))))
        s.case("ravel", s.t(shape))
        s.case(":view_as", s.t(shape, layout=""), s.t([whole]), fn=lambda x, y: x.view(y.shape))
        s.case(":reshape_as", s.t(shape), s.t([whole]), fn=lambda x, y: x.reshape(y.shape))
    for _ in range(10):
        a, b = s.shape(0, 2), s.shape(0, 2)
        cut = s.shape(1, 3)
        s.case("unflatten", s.t(a + [torch.Size(cut).numel()] + b), Dim(len(a)), cut)
    for op in ("transpose", "swapaxes", "swapdims"):
        for _ in range(15):
            shape = s.shape(1, 4)
            s.case(op, s.t(shape), s.dim(shape), s.dim(shape))
    for op in ("movedim", "moveaxis"):
        for _ in range(15):
            shape = s.shape(1, 5)
            n = s.random.randint(1, len(shape))
            places = [s.random.sample(range(len(shape)), n) for _ in range(2)]
            s.case(op, s.t(shape), Dims(*places[0]), Dims(*places[1]))
    for _ in range(15):
        shape = s.shape(1, 5)
        order = s.random.sample(range(len(shape)), len(shape))
        s.case("permute", s.t(shape), Dims(*(d - len(shape) if s.random.random() < 0.3 else d for d in order)))
    for shape in ([], [3], [2, 4], [1, 5]):
        s.case("t", s.t(shape))
    for _ in range(15):
        shape = [s.choice(1, 1, 3) for _ in range(s.random.randint(1, 5))]
        s.case("squeeze", s.t(shape))
        s.case("squeeze", s.t(shape), s.dims(shape))
        s.case("unsqueeze", s.t(shape), Dim(s.random.randint(-len(shape) - 1, len(shape))))
    for op in ("expand", "broadcast_to"):
        for _ in range(15):
            small, whole = s.broadcast(2, 1, 4)
            size = list(torch.broadcast_shapes(small, whole))
            s.case(op, s.t(small), size, fn=lambda x, size: x.expand(size))
    for _ in range(12):
        small, whole = s.broadcast(2, 1, 4)
        size = torch.broadcast_shapes(small, whole)
        s.case(":expand_as", s.t(small), s.t(list(size)), fn=lambda x, y: x.expand_as(y))
        s.case("broadcast_tensors", s.t(small), s.t(whole), s.t([]))
    for op in ("atleast_1d", "atleast_2d", "atleast_3d"):
        for n in range(5):
            s.case(op, s.t([2, 3, 1, 2][:n]))


def cuts(s):
    for _ in range(15):
        shape = s.shape(1, 4, 6)
        d = s.random.randrange(-len(shape), len(shape))
        start = s.random.randrange(shape[d])
        length = s.random.randint(0, shape[d] - start)
        s.case("narrow", s.t(shape), Dim(d), Dim(start), length)
        s.case("select", s.t(shape), Dim(d), Dim(s.random.randrange(-shape[d], shape[d])))
        step = s.random.randint(1, 3)
        count = (shape[d] - start - 1) // step + 1
        s.case("slice", s.t(shape), Dim(d), Dim(start), count, step,
               fn=lambda x, d, start, count, step: x.movedim(d, 0)[start::step].movedim(0, d))
        s.case("unbind", s.t(shape), Dim(d))
        s.case("split", s.t(shape), s.random.randint(1, 4), Dim(d))
        s.case("chunk", s.t(shape), s.random.randint(1, 4), Dim(d))
        s.case("tensor_split", s.t(shape), s.random.randint(1, 4), Dim(d))
        s.case("tensor_split", s.t(shape), Dims(*sorted(s.random.sample(range(7), s.random.randint(1, 3)))), Dim(d))
        a = s.random.randint(0, shape[d])
        s.case("split", s.t(shape), [a, shape[d] - a], Dim(d))
        size = s.random.randint(1, shape[d])
        s.case(":unfold", s.t(shape), Dim(d), size, s.random.randint(1, 4), fn=torch.Tensor.unfold)
    for _ in range(5):
        s.case("hsplit", s.t([6]), s.choice(1, 2, 3))
        s.case("hsplit", s.t([2, 6, 2]), s.choice(1, 2, 3))
        s.case("hsplit", s.t([2, 6]), Dims(2, 3))
        s.case("vsplit", s.t([4, 3]), s.choice(1, 2, 4))
        s.case("vsplit", s.t([4, 3]), Dims(1, -1))
        s.case("dsplit", s.t([2, 3, 4]), s.choice(1, 2, 4))


def arranged(s):
    for _ in range(25):
        shape = s.shape(1, 4, 5)
        n = s.random.randint(1, 3)
        s.case("roll", s.t(shape), [s.random.randint(-7, 7) for _ in range(n)], Dims(*(s.random.randrange(-len(shape), len(shape)) for _ in range(n))))
        s.case("roll", s.t(shape), [s.random.randint(-9, 9)])
        s.case("flip", s.t(shape), s.dims(shape))
        s.case("tile", s.t(shape), [s.random.randint(0 if _ == 0 else 1, 4) for _ in range(s.random.randint(1, 4))])
        s.case("repeat_interleave", s.t(shape), s.random.randint(0 if _ == 0 else 1, 3), s.dim(shape))
        s.case("repeat_interleave", s.t(shape), s.random.randint(1, 3))
        d = s.random.randrange(len(shape))
        s.case("repeat_interleave", s.t(shape), s.i([shape[d]], 0, 3), Dim(d))
    for _ in range(15):
        shape = s.shape(2, 4, 5)
        s.case("fliplr", s.t(shape))
        s.case("flipud", s.t(shape))
        s.case("rot90", s.t(shape), s.random.randint(-5, 5), Dims(*s.random.sample(range(len(shape)), 2)))
    s.case("rot90", s.t([2, 3]))


def padded(s):
    def pair(n, low, high):
        return [s.random.randint(low, high) for _ in range(n)]

    for _ in range(30):
        shape = [n + 1 for n in s.shape(1, 4, 4)]
        n = s.random.randint(1, len(shape))
        s.case("pad", s.t(shape), pair(2 * n, -1, 3), "constant", s.choice(0.0, 1.5, -2.0), fn=lambda x, p, m, v: F.pad(x, p, m, v))
    for mode in ("reflect", "replicate", "circular"):
        for _ in range(25):
            n = s.random.randint(1, 2 if s.random.random() < 0.7 else 3)
            shape = [2, 1] + [s.random.randint(4, 6) for _ in range(n)]
            s.case("pad", s.t(shape), pair(2 * n, -1, 3), mode)


def diagonals(s):
    for _ in range(20):
        shape = s.shape(2, 4, 5)
        i, j = s.random.sample(range(len(shape)), 2)
        offset = s.random.randint(-4, 4)
        s.case("diagonal", s.t(shape), offset, Dim(i), Dim(j - len(shape)))
        seen = list(torch.zeros(shape).diagonal(offset, i, j).shape)
        s.case("diagonal_scatter", s.t(shape), s.t(seen), offset, Dim(i), Dim(j))
        shape = s.shape(1, 3, 4)
        i, j = s.random.sample(range(len(shape) + 1), 2)
        s.case("diag_embed", s.t(shape), s.random.randint(-3, 3), Dim(i), Dim(j))
        s.case("diag", s.t(s.shape(1, 2, 5)), s.random.randint(-2, 2))
        s.case("diagflat", s.t(s.shape(1, 3, 3)), s.random.randint(-2, 2))
        s.case("block_diag", *(s.t(s.shape(0, 2, 4)) for _ in range(s.random.randint(1, 4))))
    for op in ("tril", "triu"):
        for _ in range(15):
            s.case(op, s.t(s.shape(2, 4, 5)), s.random.randint(-4, 4))
        for _ in range(15):
            s.case(op + "_indices", s.random.randint(0, 5), s.random.randint(0, 5), s.random.randint(-6, 6),
                   fn=getattr(torch, op + "_indices"), positions=True)


def joined(s):
    for _ in range(20):
        shape = s.shape(1, 4)
        d = s.random.randrange(len(shape))
        parts = []
        for _ in range(s.random.randint(1, 4)):
            parts.append(s.t(shape[:d] + [s.random.randint(0, 4)] + shape[d + 1:]))
        s.case(s.choice("cat", "concat"), List(*parts), Dim(d))
        s.case("stack", List(*(s.t(shape) for _ in range(s.random.randint(1, 4)))), Dim(s.random.randint(-len(shape) - 1, len(shape))))
        shape = s.shape(0, 4)
        n = s.random.randint(1, 3)
        s.case("hstack", List(*(s.t(shape) for _ in range(n))))
        s.case("vstack", List(*(s.t(shape) for _ in range(n))))
        s.case("dstack", List(*(s.t(shape) for _ in range(n))))
        s.case("column_stack", List(s.t([3]), s.t([3, s.random.randint(1, 3)])))
        s.case("meshgrid", *(s.t(s.shape(0, 1, 5)) for _ in range(n)), Opts(indexing=s.choice("ij", "xy")))
        s.case("cartesian_prod", *(s.t([s.random.randint(1, 4)]) for _ in range(n)))
        s.case("combinations", s.t([s.random.randint(1, 5)]), s.random.randint(1, 4), s.choice(True, False))
    s.case("cat", List(s.t([0]), s.t([2, 3]), s.t([1, 3])), Dim(0))


def strided(s):
    for _ in range(15):
        size, stride = [s.random.randint(1, 3) for _ in range(2)], [s.random.randint(0, 4) for _ in range(2)]
        s.case("as_strided", s.t([4, 5], layout=""), size, stride, s.random.randint(0, 3))
    for _ in range(10):
        size, offset = [s.random.randint(1, 2), s.random.randint(1, 3)], s.random.randint(0, 3)
        # x without a gradient: PyTorch's is the region's instead of what lies around it
        s.case("as_strided_scatter", s.t([4, 5], layout="", grad=False), s.t(size), size, [s.choice(5, 7), s.choice(1, 2)], offset)


def windows(s):
    for k in range(24):
        kernel, dilation = [s.choice(1, 2, 3), s.choice(1, 2, 3)], [s.choice(1, 1, 2), s.choice(1, 1, 2)]
        padding, stride = [s.choice(0, 0, 1), s.choice(0, 1, 2)], [s.choice(1, 2), s.choice(1, 1, 3)]
        size = [s.random.randint(5, 7), s.random.randint(5, 8)]
        counts = [(n + 2 * p - d * (m - 1) - 1) // t + 1 for n, p, d, m, t in zip(size, padding, dilation, kernel, stride)]
        lead = [2] if k % 3 else []
        settings = [kernel, dilation, padding, stride]
        s.case("im2col", s.t(lead + [3] + size), *settings, fn=F.unfold)
        s.case("fold", s.t(lead + [2 * kernel[0] * kernel[1], counts[0] * counts[1]]), size, *settings, fn=F.fold)


def edges_of_cuts(s):
    for n in (1, 3):
        s.case("chunk", s.t([0, 2]), n)
        s.case("split", s.t([0, 2]), n)
        s.case("tensor_split", s.t([0, 2]), n)
        s.case("tensor_split", s.t([2, 3]), n + 3, Dim(-1))
        s.case("chunk", s.t([2, 3]), n + 3, Dim(-1))
    s.case("split", s.t([0, 2]), 0)
    s.case("split", s.t([3]), [3])
    s.case("split", s.t([5, 2]), [0, 2, 0, 3])
    s.case("unbind", s.t([2, 0]), Dim(1))
    for _ in range(8):
        s.case("tensor_split", s.t([5, 2]), Dims(*(s.random.randint(-7, 7) for _ in range(3))))
        s.case("dsplit", s.t([1, 2, 5]), Dims(s.random.randint(-4, 4)))
    s.case("broadcast_tensors", s.t([2, 0]), s.t([1]), s.t([3, 1, 1]))
    s.case("meshgrid", List(s.t([2]), s.t([0])))
    s.case("meshgrid", List(s.t([2]), s.t([3]), s.t([2])), "xy", fn=lambda xs, how: torch.meshgrid(*xs, indexing=how))
    s.case("where", s.b([3, 4]), positions=True)
    for _ in range(3):
        s.case("tensor_split", s.t([2, 6]), s.index([2], 7), Dim(1))
    s.case("tensor_split", s.t([5]), Values(2, "int64"))
    s.case("where", s.b([]), positions=True)


def cases(s):
    for family in (views, cuts, arranged, padded, diagonals, joined, strided, windows, edges_of_cuts):
        family(s)
