"""Products: matmul's kin, einsum and tensordot, sums with products, Kronecker and chains, distances between rows."""
import torch

from sweep import Dim, Dims, List, Opts

# letters stand for sizes 2, 3, 4 in turn: a 2, b 3, c 4, d 2, ...
EINSUMS = """
ij,jk->ik ij,jk ij,kj->ik ji,jk->ik ij,kj ii ii->i ij-> ij->j ij->ji ij i,i i,i-> i,j->ij i,j->ji bij,bjk->bik bij,bjk
bii->bi bii->b bii biij->bj ijk->kji ij,ij->ij ij,ij->i ij,ij ,i->i ,-> bqhd,bkhd->bhqk bhqk,bkhd->bqhd bhqd,bhkd->bhqk
bi,oij,bj->bo bij,oj->boi ij,jk,kl->il ij,jk,kl,lm->im ij,jk,ki-> i,i,i->i ij,i,j-> ij,i,j->ji abcd,cdef->abef abc,bad->dc
abc,cab->b ab,cd->abcd ab,cd->dbca a,b,c->cab abcd->dbca aabb->ab aab,bcc->ac bnd,bmd,bnm-> cb,bac->a ijj->i ij,jij->i
""".split() + ["i j , j k -> i k"]
DOTTED = [  # with the shapes of the operands
    ("...ij,...jk->...ik", [[2, 3, 4], [2, 4, 3]]), ("...ij,...jk", [[2, 2, 3], [3, 4]]), ("...ij,jk->...ik", [[3, 2, 2, 3], [3, 4]]),
    ("...,...", [[2, 3], [3]]), ("...i->...", [[2, 3, 4]]), ("i...->...", [[2, 3, 4]]), ("...ii->...i", [[2, 3, 3]]),
    ("...ij->...ji", [[2, 3, 4]]), ("i...j,j...k->i...k", [[2, 3, 4], [4, 3, 2]]), ("...i,...i->...", [[2, 1, 3], [4, 3]]),
    ("b...,b...->b", [[2, 3, 2], [2, 3, 2]]), ("...a,ab,...b->...", [[4, 2], [2, 3], [4, 3]]), ("...", [[2, 3]]), ("a...b,...->ab...", [[2, 2, 3], [2]]),
    ("ij,ij->ij", [[1, 3], [2, 3]]), ("ij,jk->ik", [[2, 1], [3, 2]]), ("bij,bjk->bik", [[1, 2, 3], [4, 3, 2]]),
    ("...ij,...jk->...ik", [[3, 1, 2, 3], [1, 4, 3, 2]]), ("ij,jk->ik", [[2, 0], [0, 3]]), ("ij->", [[0, 3]]),
]


def shape_of(term):
    return [2 + (ord(ch) - ord("a")) % 3 for ch in term]


def einsums(s):
    fn = torch.einsum
    for equation in EINSUMS:
        for _ in range(2):
            terms = equation.replace(" ", "").split("->")[0].split(",")
            s.case("einsum", equation, *(s.t(shape_of(term)) for term in terms), fn=fn)
    for equation, shapes in DOTTED:
        s.case("einsum", equation, *(s.t(shape) for shape in shapes), fn=fn)
    for _ in range(30):  # three operands of random letters
        letters = "abcdef"[: s.random.randint(2, 6)]
        terms = ["".join(s.random.choice(letters) for _ in range(s.random.randint(0, 3))) for _ in range(3)]
        present = sorted(set("".join(terms)))
        s.random.shuffle(present)
        out = "".join(present[: s.random.randint(0, min(4, len(present)))])
        s.case("einsum", ",".join(terms) + "->" + out, *(s.t(shape_of(term)) for term in terms), fn=fn)


def products(s):
    for _ in range(20):
        a, b, c, n = (s.random.randint(1, 5) for _ in range(4))
        extra = [] if s.random.random() < 0.5 else [s.choice(0.0, 0.5, 1.0), s.choice(-1.0, 2.0)]
        opts = Opts(beta=extra[0], alpha=extra[1]) if extra else None
        tail = [opts] if opts else []
        s.case("addmm", s.t(s.choice([a, c], [c], [1, c], [])), s.t([a, b]), s.t([b, c]), *tail)
        s.case("addmv", s.t(s.choice([a], [1])), s.t([a, b]), s.t([b]), *tail)
        s.case("addr", s.t(s.choice([a, b], [b])), s.t([a]), s.t([b]), *tail)
        s.case("baddbmm", s.t(s.choice([n, a, c], [c], [1, a, 1])), s.t([n, a, b]), s.t([n, b, c]), *tail)
        s.case("addbmm", s.t(s.choice([a, c], [c])), s.t([n, a, b]), s.t([n, b, c]), *tail)
        s.case("kron", s.t(s.shape(0, 3)), s.t(s.shape(0, 3)))
        s.case("inner", s.t(s.shape(0, 2) + [b]), s.t(s.shape(0, 2) + [b]))
        s.case("chain_matmul", *(s.t([x, y]) for x, y in zip([a, b, c], [b, c, n])))
        s.case("vdot", s.t([n]), s.t([n]))
        s.case("trace", s.t([a, b]))
    for _ in range(20):
        lead, k, tail = s.shape(0, 2), s.shape(1, 2), s.shape(0, 2)
        s.case("tensordot", s.t(lead + k), s.t(k + tail), len(k))
        x, w = lead + k, tail + k
        order = list(range(len(k)))
        s.random.shuffle(order)
        dx, dw = [len(lead) + i for i in order], [len(tail) + i - (len(w) if s.random.random() < 0.5 else 0) for i in order]
        s.case("tensordot", s.t(x), s.t(w), List(Dims(*dx), Dims(*dw)), fn=torch.tensordot)
        s.case("tensordot", s.t(x), s.t(w), Opts(dims_x=Dims(*dx), dims_other=Dims(*dw)),
               fn=lambda a, b, dims_x, dims_other: torch.tensordot(a, b, dims=(dims_x, dims_other)))


def matmuls(s):
    for _ in range(40):
        a, b, c = (s.choice(1, 2, 3, 7, 17, 33) for _ in range(3))
        left, right = s.broadcast(2, 0, 2)
        s.case("matmul", s.t(left + [a, b]), s.t(right + [b, c]))
    for _ in range(10):
        n = s.choice(1, 5, 33)
        lead = s.shape(1, 3)
        s.case("matmul", s.t([n]), s.t([n]))
        s.case("matmul", s.t(lead + [n]), s.t([n]))
        s.case("matmul", s.t([n]), s.t(lead + [n, 3]))
        s.case("mv", s.t([lead[0], n]), s.t([n]))
        s.case("outer", s.t([n]), s.t([3]))
        s.case("bmm", s.t([2, lead[0], n]), s.t([2, n, 3]))


def distances(s):
    for _ in range(30):
        left, right = s.broadcast(2, 0, 2)
        n, m, k = (s.random.randint(1, 5) for _ in range(3))
        p = s.choice(2.0, 1.0, 3.0, 1.5, float("inf"), 0.0)
        s.case("cdist", s.t(left + [n, k]), s.t(right + [m, k]), p)
    for _ in range(4):  # by products
        s.case("cdist", s.t([30, 4]), s.t([3, 4], 5.0, 9.0), 2.0)
    for _ in range(15):
        s.case("pdist", s.t([s.random.randint(2, 5), 3]), s.choice(2.0, 1.0, 3.0))
        x, w = s.broadcast(2, 1, 3)
        s.case("pairwise_distance", s.t(x), s.t(w), s.choice(2.0, 1.0, 3.0), 1e-6, s.choice(True, False))
        shape = [s.random.randint(2, 4) for _ in range(s.random.randint(1, 3))]  # of one element the gradient is 0 but for rounding
        s.case("cosine_similarity", s.t(shape), s.t(shape), s.dim(shape))
    for _ in range(16):
        shape = [s.random.randint(2, 4) for _ in range(s.random.randint(2, 4))]
        s.case("renorm", s.t(shape), s.choice(2.0, 1.0, 3.0), s.dim(shape), s.choice(0.5, 1.5, 4.0))


def cases(s):
    einsums(s)
    matmuls(s)
    products(s)
    distances(s)
