"""Linear algebra. Vectors are compared through what their signs do not change (posts of that name)."""
import torch

from sweep import Dim, Dims, Formula, List

L = torch.linalg


class Gram(Formula):
    """x x' of a leaf x with more columns than rows: symmetric and positive definite."""

    def torch(self, dtype):
        x = super().torch(dtype)
        return x @ x.mT

    def lua(self):
        return "gram(%s)" % super().lua()


def gram(s, shape, lo=-1.0, hi=1.0):
    return Gram(shape[:-1] + [shape[-1] + 2], s.fresh(), lo, hi)


class Regular(Formula):
    """A leaf plus 2 on the diagonal, so that no system is near to singular."""

    def torch(self, dtype):
        x = super().torch(dtype)
        return x + 2 * torch.eye(self.shape[-1], dtype=dtype)

    def lua(self):
        return "regular(%s)" % super().lua()


def regular(s, lead, n):
    return Regular(lead + [n, n], s.fresh(), -1.0, 1.0)


class Symmetric(Formula):
    """(x + x') / 2 of a leaf x."""

    def torch(self, dtype):
        x = super().torch(dtype)
        return (x + x.mT) / 2

    def lua(self):
        return "symmetric(%s)" % super().lua()


def squares(outs):
    return [y * y for y in outs]


def svd_like(u, sv, vh):
    return [sv, u * u, vh * vh, (u * sv.unsqueeze(-2)) @ vh]


def eig_sums(w):
    w = torch.view_as_real(w) if w.is_complex() else w
    re, im = w[..., 0], w[..., 1]
    return [re.sum(-1), (re * re - im * im).sum(-1), (re * re + im * im).sum(-1), im.abs().sum(-1)]


def eig_sizes(w, v):
    size = torch.view_as_real(v).square().sum(-1)
    return eig_sums(w) + [(size * torch.view_as_real(w).square().sum(-1).unsqueeze(-2)).sum(-1), size.square().sum(-1)]


def cond(x, p):  # torch.linalg.cond has no gradient with some of the norms
    return L.matrix_norm(x, p) * L.matrix_norm(L.inv(x), p) if p not in (2.0, -2.0) else L.cond(x, p)


def systems(s):
    for _ in range(20):
        lead, n, k = s.shape(0, 2, 3), s.random.randint(1, 4), s.random.randint(1, 3)
        left, right = s.broadcast(2, 0, 2)
        s.case("det", s.t(lead + [n, n]))
        s.case("slogdet", regular(s, lead, n))
        s.case("logdet", gram(s, lead + [n, n]), fn=torch.logdet)
        s.case("linalg.inv", regular(s, lead, n), fn=L.inv)
        s.case("linalg.solve", regular(s, left, n), s.t(right + [n, k]), fn=L.solve)
        s.case("linalg.solve", regular(s, lead, n), s.t(lead + [n]), fn=L.solve)
        s.case("linalg.solve", regular(s, left, n), s.t(right + [k, n]), False, fn=lambda a, b, left: L.solve(a, b, left=left))
        upper, unit = s.choice(True, False), s.choice(True, False)
        s.case("linalg.solve_triangular", regular(s, left, n), s.t(right + [n, k]), upper, True, unit,
               fn=lambda a, b, u, l, d: L.solve_triangular(a, b, upper=u, left=l, unitriangular=d))
        s.case("linalg.solve_triangular", regular(s, left, n), s.t(right + [k, n]), upper, False, unit,
               fn=lambda a, b, u, l, d: L.solve_triangular(a, b, upper=u, left=l, unitriangular=d))
        s.case("linalg.cholesky", gram(s, lead + [n, n]), s.choice(True, False), fn=lambda a, u: L.cholesky(a, upper=u))
        s.case("cholesky_solve", s.t(lead + [n, k]), regular(s, lead, n), upper, fn=lambda b, l, u: torch.cholesky_solve(b, l.triu() if u else l.tril(), u))
        s.case("cholesky_inverse", regular(s, lead, n), upper, fn=lambda l, u: torch.cholesky_inverse(l.triu() if u else l.tril(), u))
        m = s.random.randint(1, 4)
        s.case("linalg.lu", s.t(lead + [m, n]), fn=L.lu)
        s.case("lu_factor", s.t(lead + [m, n]), fn=L.lu_factor)


def orthogonal(s):
    for _ in range(20):
        lead, m, n = s.shape(0, 2, 3), s.random.randint(1, 5), s.random.randint(1, 5)
        shape = lead + [m, n]
        even = (lambda: regular(s, lead, m)) if m == n or m < n and s.random.random() < 0.5 else lambda: s.t(shape)
        s.case("linalg.qr", even(), post="squares", fn=lambda a: squares(L.qr(a)))
        s.case("linalg.qr", even(), "complete", post="squares", fn=lambda a, mode: squares(L.qr(a, mode)), grad=m <= n)
        s.case("linalg.svd", s.t(shape), False, post="svd", fn=lambda a, full: svd_like(*L.svd(a, full_matrices=full)))
        s.case("linalg.svdvals", s.t(shape), fn=L.svdvals)
        s.case("linalg.eigh", s.t(lead + [n, n], -1.0, 1.0), post="eigh", fn=lambda a: [L.eigh(a)[0], L.eigh(a)[1] ** 2])
        s.case("linalg.eigvalsh", s.t(lead + [n, n]), fn=L.eigvalsh)
        s.case("linalg.pinv", s.t(shape), fn=L.pinv)
        s.case("linalg.matrix_rank", s.t(shape, grad=False), fn=L.matrix_rank)
        s.case("linalg.matrix_rank", s.t(shape, grad=False), s.choice(0.5, 1.0, 2.0), fn=lambda a, tol: L.matrix_rank(a, atol=tol))
        k = s.random.randint(1, 3)
        s.case("linalg.lstsq", s.t(shape), s.t(lead + [m, k]), fn=lambda a, b: list(L.lstsq(a, b, driver="gelsd"))[:3])


def eigenvalues(s):
    for _ in range(15):
        lead, n = s.shape(0, 1, 3), s.random.randint(1, 6)
        s.case("linalg.eigvals", s.t(lead + [n, n]), post="eig_sums", fn=lambda a: eig_sums(L.eigvals(a)))
        s.case("linalg.eig", s.t(lead + [n, n]), post="eig_sizes", fn=lambda a: eig_sizes(*L.eig(a)))


def norms(s):
    inf = float("inf")
    for order in ("fro", "nuc", 1.0, -1.0, 2.0, -2.0, inf, -inf):
        for n in range(6):
            shape = s.shape(2, 4)
            s.case("linalg.matrix_norm", s.t(shape), order, fn=L.matrix_norm)
            dims = s.random.sample(range(len(shape)), 2)
            keep = s.choice(True, False)
            s.case("linalg.matrix_norm", s.t(shape), order, Dims(*dims), keep, fn=L.matrix_norm)
            s.case("linalg.norm", s.t(shape), order, Dims(*dims), keep, fn=L.norm)
            square = s.shape(0, 2) + [n % 4 + 1] * 2
            s.case("linalg.cond", regular(s, square[:-2], square[-1]), order, fn=cond)
    for _ in range(20):
        shape = s.shape(1, 3)
        order = s.choice(1.0, 2.0, 3.0, inf, -inf, 0.0, 0.5)
        s.case("linalg.vector_norm", s.t(shape), order, s.dims(shape), s.choice(True, False), fn=L.vector_norm)
        s.case("linalg.norm", s.t(shape), order, s.dim(shape), fn=L.norm)
        s.case("linalg.norm", s.t(shape), fn=L.norm)
        s.case("linalg.cond", regular(s, s.shape(0, 1), 3), fn=L.cond)


def functions(s):
    for _ in range(20):
        lead, n = s.shape(0, 2, 3), s.random.randint(1, 4)
        scale = s.choice(0.1, 1.0, 3.0)
        s.case("linalg.matrix_exp", s.t(lead + [n, n], -scale, scale), fn=L.matrix_exp)
        s.case("linalg.matrix_power", regular(s, lead, n), s.choice(-3, -1, 0, 1, 2, 3, 5), fn=L.matrix_power)
        a, b, c, d = (s.random.randint(1, 4) for _ in range(4))
        ends = [[b] if s.random.random() < 0.3 else [a, b], [c] if s.random.random() < 0.3 else [c, d]]
        s.case("linalg.multi_dot", List(s.t(ends[0]), s.t([b, c]), s.t(ends[1])), fn=L.multi_dot)
        left, right = s.broadcast(2, 1, 3)
        s.case("linalg.cross", s.t(left + [3]), s.t([1] * len(left) + [3]), fn=L.cross)
        s.case("linalg.cross", s.t([3] + left), s.t([3] + left), Dim(0), fn=lambda x, y, d: L.cross(x, y, dim=d))
        s.case("linalg.vecdot", s.t(left + [n]), s.t(right + [n]), fn=L.vecdot)


def triangles(s):
    """Of what is symmetric one triangle is read; the gradient is the one of both."""
    for _ in range(20):
        lead, n = s.shape(0, 2, 3), s.random.randint(1, 5)
        s.case("linalg.cholesky", Regular(lead + [n, n], s.fresh(), -0.3, 0.3), s.choice(True, False), fn=lambda a, u: L.cholesky(a, upper=u))
        s.case("linalg.eigh", s.t(lead + [n, n], -1.0, 1.0), s.choice("L", "U"), post="eigh", fn=lambda a, uplo: [L.eigh(a, uplo)[0], L.eigh(a, uplo)[1] ** 2])
        s.case("linalg.eigvalsh", s.t(lead + [n, n]), s.choice("L", "U"), fn=L.eigvalsh)
        s.case("linalg.pinv", Symmetric(lead + [n, n], s.fresh(), -1.0, 1.0), s.choice(None, 0.3), None, True,
               fn=lambda a, atol, rtol, hermitian: L.pinv(a, atol=atol, hermitian=True), f32=False)
        s.case("linalg.matrix_rank", Gram(lead + [n, s.random.randint(1, n)], s.fresh(), -1.0, 1.0, grad=False), None, None, True,
               fn=lambda a, atol, rtol, hermitian: L.matrix_rank(a, hermitian=True), f32=False)
        s.case("linalg.matrix_rank", s.t(lead + [n, n], grad=False), s.choice(0.3, 0.6), s.choice(None, 0.2), True,
               fn=lambda a, atol, rtol, hermitian: L.matrix_rank(a, atol=atol, rtol=rtol or 0.0, hermitian=True))


def cases(s):
    systems(s)
    orthogonal(s)
    eigenvalues(s)
    norms(s)
    functions(s)
    triangles(s)
