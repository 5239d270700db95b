"""Positions and masks: taking, putting, adding, combining by lists of positions, by a position an element, by masks."""
import torch

from sweep import Dim, List, Opts, Values


def lists(s):
    for _ in range(20):
        shape = s.shape(1, 4)
        d = s.random.randrange(-len(shape), len(shape))
        n = s.random.randint(0 if _ == 0 else 1, 5)
        rows = [n if k == d % len(shape) else size for k, size in enumerate(shape)]
        s.case("index_select", s.t(shape), Dim(d), s.index([n], shape[d]))
        s.case("index_add", s.t(shape), Dim(d), s.index([n], shape[d]), s.t(rows), s.choice(1.0, -0.5),
               fn=lambda x, d, i, y, alpha: torch.index_add(x, d, i, y, alpha=alpha))
        once = Values([k + 1 for k in s.random.sample(range(shape[d]), min(n, shape[d]))], "int64")
        fewer = [len(once.values) if k == d % len(shape) else size for k, size in enumerate(shape)]
        less_one = lambda f: lambda x, d, i, *rest: f(x, d, i - 1, *rest)
        s.case("index_copy", s.t(shape), Dim(d), once, s.t(fewer), fn=less_one(torch.index_copy))
        s.case("index_fill", s.t(shape), Dim(d), once, s.choice(2.5, s.t([])), fn=less_one(torch.index_fill))
        s.case("take", s.t(shape), s.index(s.shape(0, 3), torch.Size(shape).numel()))
    for _ in range(15):
        n = s.random.randint(1, 5)
        s.case("embedding", s.index(s.shape(0, 3), n), s.t([n, 3]), fn=torch.nn.functional.embedding)
        s.case("one_hot", s.index(s.shape(0, 3), n), n, fn=torch.nn.functional.one_hot)


def elements(s):
    for _ in range(25):
        shape = s.shape(1, 4, 5)
        d = s.random.randrange(-len(shape), len(shape))
        at = [s.random.randint(1, 6) if k == d % len(shape) else s.random.randint(1, size) for k, size in enumerate(shape)]
        larger = [size + s.random.randint(0, 1) for size in at] if _ % 2 else at
        src = lambda: s.t(larger, grad=larger == at)  # PyTorch has the gradient only where the shapes are equal
        s.case("gather", s.t(shape), Dim(d), s.index(at, shape[d]))
        s.case("scatter_add", s.t(shape), Dim(d), s.index(at, shape[d]), src())
        s.case("scatter", s.t(shape), Dim(d), s.index(at, shape[d]), s.choice(1.5, -2.0), fn=torch.scatter)
        s.case("scatter", s.t(shape), Dim(d), s.index([1 if k == d % len(shape) else n for k, n in enumerate(at)], shape[d]), s.t(larger, grad=False), fn=torch.scatter)
        reduce = s.choice("add", "multiply")
        s.case("scatter", s.t(shape, grad=False), Dim(d), s.index(at, shape[d]), s.t(larger, grad=False), reduce,
               fn=lambda x, d, i, y, reduce: torch.scatter_reduce(x, d, i, y, {"add": "sum", "multiply": "prod"}[reduce]))
        for reduce in ("sum", "prod", "mean", "amax", "amin"):
            s.case("scatter_reduce", s.t(shape), Dim(d), s.index(at, shape[d]), s.t(at), reduce, s.choice(True, False),
                   fn=lambda x, d, i, y, reduce, self: torch.scatter_reduce(x, d, i, y, reduce, include_self=self))
        whole = [s.choice(1, size) for size in shape]
        along = [n if k == d % len(shape) else s.choice(1, size) for k, (n, size) in enumerate(zip(at, shape))]
        s.case("take_along_dim", s.t(shape), s.index(along, shape[d]), Dim(d))
        s.case("take_along_dim", s.t(whole), s.index([3], torch.Size(whole).numel()))
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for self in (True, False):
            # ties, and a product's zeros; without x PyTorch still counts x among the ties, so there it has none
            x = [2.0, 0.0, 1.0, 3.0] if self or reduce == "prod" else [8.0, 9.0, 9.0, 3.0]
            s.case("scatter_reduce", Values(x, grad=True), Dim(0), s.index([7], 3), Values([1.0, 0.0, 1.0, 2.0, 0.0, 1.0, 5.0], grad=True),
                   reduce, self, fn=lambda x, d, i, y, reduce, self: torch.scatter_reduce(x, d, i, y, reduce, include_self=self))
            s.case("scatter_reduce", s.i([5], -9, 9), Dim(0), s.index([12], 4), s.i([12], -9, 9), reduce, self,
                   fn=lambda x, d, i, y, reduce, self: torch.scatter_reduce(x, d, i, y, reduce, include_self=self))
    for n in (15, 16, 17, 40):  # either way to walk: along the indexed dimension, and across it
        s.case("gather", s.t([5, n]), Dim(0), s.index([7, n], 5))
        s.case("scatter_add", s.t([2, 5, n]), Dim(1), s.index([2, 7, n], 5), s.t([2, 7, n]))
        s.case("scatter_reduce", s.t([5, n]), Dim(0), s.index([7, n - 1], 5), s.t([7, n - 1]), "amax", False,
               fn=lambda x, d, i, y, reduce, self: torch.scatter_reduce(x, d, i, y, reduce, include_self=self))
        s.case("scatter", s.t([3, n]), Dim(0), s.index([1, n], 3), s.t([1, n]), fn=torch.scatter)


def masks(s):
    for _ in range(20):
        a, b = s.broadcast(2, 0, 4)
        size = list(torch.broadcast_shapes(a, b))
        s.case("masked_fill", s.t(size), s.b(b), s.choice(1.5, s.t([])))
        s.case("masked_select", s.t(a), s.b(b))
        s.case("masked_scatter", s.t(size), s.b(b), s.t(size))
        shape = s.shape(0, 4)
        s.case("where", s.b(shape), s.t(shape), s.t(s.choice([], shape)))
        s.case("nonzero", s.i(shape, 0, 2), positions=True)
        s.case("argwhere", s.b(shape), positions=True)
        shape = s.shape(1, 4)
        s.case("where", s.b(shape), positions=True)


def advanced(s):
    def entries(shape):
        """Entries for some dimensions: lists of positions of shapes that broadcast, and False for a whole dimension."""
        n = s.random.randint(1, len(shape))
        used = sorted(s.random.sample(range(len(shape)), n))
        shapes = s.broadcast(n, 0, 2)
        return [s.index(shapes[used.index(d)], shape[d]) if d in used else False for d in range(used[-1] + 1)]

    def pick(x, entries):
        return x[tuple(slice(None) if e is False else e for e in entries)]

    def put(x, entries, y, add=False):
        x = x.clone()
        key = tuple(slice(None) if e is False else e for e in entries)
        if add:
            part = torch.zeros_like(x)
            flat = torch.arange(x.numel()).reshape(x.shape)[key]
            return x + part.reshape(-1).index_add(0, flat.reshape(-1), torch.as_tensor(y).to(x.dtype).expand(flat.shape).reshape(-1)).reshape(x.shape)
        x[key] = y
        return x

    for _ in range(30):
        shape = s.shape(1, 4)
        s.case("index", s.t(shape), List(*entries(shape)), fn=pick)
        s.case("index", s.t(shape), List(s.b(shape[:s.random.randint(1, len(shape))])), fn=pick)
        some = entries(shape)
        seen = list(pick(torch.zeros(shape), [e if e is False else e.torch(None) for e in some]).shape)
        s.case("index_put", s.t(shape), List(*some), s.t(seen), True, fn=put)
        s.case("index_put", s.t(shape), List(*some), s.choice(1.5, -1.0), fn=put)
        s.case("index_put", s.t(shape), List(s.b(shape)), s.t([]), fn=put)


def regions(s):
    less_one = lambda f: lambda x, i, *rest: f(x, torch.where(i > 0, i - 1, i), *rest)
    for _ in range(20):
        shape = s.shape(1, 4, 5)
        n = torch.Size(shape).numel()
        d = s.random.randrange(-len(shape), len(shape))
        count = s.random.randint(1, min(n, 6))
        once = Values([k - n if s.random.random() < 0.3 else k + 1 for k in s.random.sample(range(n), count)], "int64")
        s.case("put", s.t(shape), once, s.t([count]), fn=less_one(torch.put))
        at = s.shape(0, 3)
        s.case("put", s.t(shape), s.index(at, n), s.t(at), True, fn=torch.put)
        s.case(":put_", s.i(shape, -9, 9), s.index(at, n), s.i(at, -9, 9), True, fn=torch.put)
        i = s.random.randrange(-shape[d], shape[d])
        s.case("select_scatter", s.t(shape), s.t(shape[:d % len(shape)] + shape[d % len(shape) + 1:]), Dim(d), Dim(i))
        start, step = s.random.randrange(-shape[d], shape[d]), s.random.randint(1, 3)
        first = start % shape[d]
        length = s.random.randint(0, (shape[d] - first - 1) // step + 1)
        part = [length if k == d % len(shape) else size for k, size in enumerate(shape)]
        s.case("slice_scatter", s.t(shape), s.t(part), Dim(d), Dim(start), s.choice(None, length), step,
               fn=lambda x, y, d, start, length, step, first=first, n=length: torch.slice_scatter(x, y, d, first, first + (n - 1) * step + 1 if n else first, step))
        many = s.random.randint(1, 6)
        rows = [many if k == d % len(shape) else size for k, size in enumerate(shape)]
        for reduce in ("prod", "mean", "amax", "amin"):
            s.case("index_reduce", s.t(shape, 0.5, 1.5), Dim(d), s.index([many], shape[d]), s.t(rows, 0.5, 1.5), reduce, s.choice(True, False),
                   fn=lambda x, d, i, y, reduce, self: torch.index_reduce(x, d, i, y, reduce, include_self=self))
    for reduce in ("prod", "mean", "amax", "amin"):
        s.case(":index_reduce_", s.i([5, 2], -9, 9), Dim(0), s.index([12], 4), s.i([12, 2], -9, 9), reduce,
               fn=lambda x, d, i, y, reduce: torch.index_reduce(x, d, i, y, reduce))
        s.case("index_reduce", s.t([3, 20], 0.5, 1.5), Dim(0), s.index([7], 3), s.t([7, 20], 0.5, 1.5), reduce,
               fn=lambda x, d, i, y, reduce: torch.index_reduce(x, d, i, y, reduce))
    s.case("slice_scatter", s.t([4, 3]), s.t([4, 3]), fn=torch.slice_scatter)


def cases(s):
    for family in (lists, elements, masks, advanced, regions):
        family(s)
