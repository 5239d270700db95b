-- Linear algebra: what defines each decomposition, at sizes that reach LAPACK's blocks, in batches and degenerate shapes;
-- what errors say. Values and gradients are compared with PyTorch's in sweep_spec; run without BLAS, the same holds of
-- Neap's own decompositions.

local neap = require "neap"
local says = require("support.says").says
local linalg = neap.linalg
local eye, ones = neap.eye, neap.ones

local function t(x) return x:transpose(-1, -2) end
local function identity(n) return eye(n, { dtype = "float64" }) end
local function near(a, b, tolerance)
  assert.are.same(a.shape, b.shape)
  if a:numel() > 0 then
    local far, scale = (a - b):abs():max():item(), math.max(1, b:abs():max():item())
    assert.is_true(far <= (tolerance or 1e-11) * scale, ("%g away"):format(far / scale))
  end
end
local function random(...)
  neap.seed(3)
  local shape = type(...) == "table" and ... or { ... }
  return neap.randn(shape, { dtype = "float64" })
end

local shapes = { { 1, 1 }, { 5, 5 }, { 3, 7 }, { 7, 3 }, { 40, 40 }, { 2, 3, 6, 4 }, { 3, 4, 6 }, { 19, 2, 2 }, { 0, 3, 3 }, { 0, 4 }, { 4, 0 } }

describe("linear algebra", function()
  it("stands in neap.linalg and among the methods", function()
    assert.are.equal(linalg.det, neap.det)
    assert.are.equal(3, linalg.norm(neap.tensor { 3 }):item())
    assert.is_nil(rawget(linalg, "matmul"))
  end)

  it("qr: Q R is x, Q's columns are orthonormal, R is upper", function()
    for _, shape in ipairs(shapes) do
      for _, mode in ipairs { "reduced", "complete" } do
        local x = random(shape)
        local q, r = x:qr(mode)
        near(q:matmul(r), x)
        near(r:triu(), r)
        near(t(q):matmul(q), identity(q:size(-1)):expand(t(q):matmul(q).shape))
        local _, alone = x:qr "r"
        near(alone:abs(), x:qr() and select(2, x:qr()):abs())
      end
    end
  end)

  it("svd: U S V' is x, the vectors are orthonormal, S falls", function()
    for _, shape in ipairs(shapes) do
      local x = random(shape)
      for _, full in ipairs { false, true } do
        local u, s, vh = x:svd(full)
        local k = s:size(-1)
        near((u:narrow(-1, 1, k) * s:unsqueeze(-2)):matmul(vh:narrow(-2, 1, k)), x)
        near(t(u):matmul(u), identity(u:size(-1)):expand(t(u):matmul(u).shape))
        near(vh:matmul(t(vh)), identity(vh:size(-2)):expand(vh:matmul(t(vh)).shape))
        if k > 1 and s:numel() > 0 then assert.is_true((s:narrow(-1, 1, k - 1) - s:narrow(-1, 2, k - 1)):min():item() >= 0) end
        near(x:svdvals(), s)
      end
    end
    local zero = neap.zeros(3, 3)
    local u, s, vh = zero:svd()
    near(u:matmul(t(u)), eye(3))
    near(vh:matmul(t(vh)), eye(3))
    assert.are.equal(0, s:sum():item())
  end)

  it("eigh: V diag(w) V' is x, of which one triangle is read", function()
    for _, n in ipairs { 1, 2, 5, 40 } do
      local x = random(3, n, n)
      for _, triangle in ipairs { "L", "U" } do
        local read = triangle == "L" and x:tril() or x:triu()
        local w, v = x:eigh(triangle)
        near((v * w:unsqueeze(-2)):matmul(t(v)), read + t(read) - x:diagonal(0, -2, -1):diag_embed())
        near(t(v):matmul(v), identity(n):expand(3, n, n))
        near(x:eigvalsh(triangle), w)
      end
    end
    near((identity(3):eigh()), ones(3):double())
  end)

  it("eig: x V is V diag(w), in complex numbers", function()
    local x = random(4, 6, 6)
    local w, v = x:eig()
    local re, im, a, b = v:select(-1, 1), v:select(-1, 2), w:select(-1, 1):unsqueeze(-2), w:select(-1, 2):unsqueeze(-2)
    near(x:matmul(re), re * a - im * b)
    near(x:matmul(im), re * b + im * a)
    near((re:square() + im:square()):sum(-2), ones(4, 6):double())
    near(x:eigvals():square():sum(), w:square():sum())
  end)

  it("matrix_exp of a matrix does not depend on its neighbours", function()
    local small, large = random(3, 3), random(3, 3) * 60
    for _, dtype in ipairs { "float32", "float64" } do
      local alone, y = small:to(dtype):matrix_exp(), neap.stack({ small:to(dtype), large:to(dtype) }):requires_grad_()
      local both = y:matrix_exp()
      assert.is_true(neap.equal(alone, both[1]:detach()))
      both[1]:sum():backward()
      assert.is_true(y.grad:isfinite():all():item())
    end
  end)

  it("lu, cholesky, solve, inv, det are what they say", function()
    for _, shape in ipairs(shapes) do
      local x = random(shape)
      local p, l, u = x:lu()
      near(p:matmul(l):matmul(u), x)
      near(l:tril(), l)
      near(u:triu(), u)
    end
    for _, n in ipairs { 1, 2, 5, 40 } do
      local x, y = random(3, n, n) + identity(n), random(3, n, 2)
      near(x:matmul(x:solve(y)), y)
      near(x:matmul(x:inv()), identity(n):expand(3, n, n), 1e-9)
      near(x:solve(t(y), false):matmul(x), t(y))
      local lu, pivots = x:lu_factor()
      near(neap.lu_solve(lu, pivots, y), x:solve(y))
      near(x:det(), (x:inv():det()):reciprocal(), 1e-9)
      local l = x:matmul(t(x)):cholesky()
      near(l:matmul(t(l)), x:matmul(t(x)))
      near(neap.cholesky_solve(y, l), x:matmul(t(x)):solve(y), 1e-7)
    end
  end)

  it("pinv, lstsq and matrix_rank see what rank there is", function()
    local x = random(6, 2):matmul(random(2, 5))
    assert.are.equal(2, x:matrix_rank():item())
    local p = x:pinv()
    near(x:matmul(p):matmul(x), x)
    near(p:matmul(x):matmul(p), p)
    near(t(x:matmul(p)), x:matmul(p))
    local y, residuals, rank = random(6, 2):lstsq(random(6, 3))
    assert.are.same({ 2, 3 }, { y.shape[1], y.shape[2] })
    assert.are.equal(2, rank:item())
    near(residuals, (random(6, 2):matmul(y) - random(6, 3)):square():sum(1))
    assert.are.equal(0, select(2, x:lstsq(random(6))):numel())
  end)

  it("matrix_rank of symmetric matrices reads their lower triangle", function()
    local x = random(3, 5, 2)
    local y = x:matmul(t(x)) - x:narrow(-1, 1, 1):matmul(t(x:narrow(-1, 1, 1))) * 3
    assert.are.same({ 2, 2, 2 }, y:matrix_rank(nil, nil, true):tolist())
    assert.are.same({ 2, 2, 2 }, (y:tril() + ones(5, 5):double():triu(1) * 7):matrix_rank(nil, nil, true):tolist())
    local d = neap.tensor({ { 3, 9, 9 }, { 0, -2, 9 }, { 0, 0, 0.5 } }, { dtype = "float64" })
    assert.are.equal(2, d:matrix_rank(1, nil, true):item())
    assert.are.equal(1, d:matrix_rank(nil, 0.7, true):item())
    says(function() ones(2, 3):matrix_rank(nil, nil, true) end, "matrix_rank: x must be square")
  end)

  it("matrix_exp adds up, and turns", function()
    local x = neap.tensor({ { 0, -1 }, { 1, 0 } }, { dtype = "float64" })
    near((x * 3):matrix_exp(), neap.tensor({ { math.cos(3), -math.sin(3) }, { math.sin(3), math.cos(3) } }, { dtype = "float64" }))
    local y = random(20, 20)
    near(y:matrix_exp():matmul((y * -1):matrix_exp()), identity(20), 1e-6)
    assert.is_true((ones(2, 2) * (0 / 0)):matrix_exp():isnan():all():item())
  end)

  it("finds the gradient of a determinant that is 0", function()
    local x = neap.tensor({ { 1, 2 }, { 2, 4 } }, { dtype = "float64", requires_grad = true })
    x:det():backward()
    near(x.grad, neap.tensor({ { 4, -2 }, { -2, 1 } }, { dtype = "float64" }))
  end)

  it("gives values that repeat the gradient of what does not depend on the choice of vectors", function()
    local x = identity(3):requires_grad_(true)
    local _, v = x:eigh()
    v:matmul(t(v)):sum():backward()
    near(x.grad, neap.zeros(3, 3):double())
    x.grad = nil
    local u, s, vh = x:svd();
    (u * s):matmul(vh):sum():backward()
    assert.is_false(x.grad:isnan():any():item())
  end)

  it("does not hang on NaN", function()
    local x = ones(3, 3) * (0 / 0)
    for _, op in ipairs { "svd", "svdvals", "eigh", "eigvalsh" } do says(function() x[op](x) end, op .. ": the matrix has elements that are infinite or NaN") end
    for _, op in ipairs { "inv", "det", "qr" } do assert.is_true(select(-1, x[op](x)):isnan():any():item(), op) end
    says(function() x:cholesky() end, "not positive definite")
  end)

  it("says which matrix is at fault, and why", function()
    local x = neap.stack { eye(2), neap.zeros(2, 2), ones(2, 2) }
    says(function() x:inv() end, "inv: matrix 2 of the batch is singular")
    says(function() ones(2, 2):solve(ones(2)) end, "the matrix is singular: a pivot of its LU factors is 0")
    says(function() neap.stack({ eye(2), eye(2) * -1 }):cholesky() end, "matrix 2 of the batch is not positive definite: its leading minor of order 1 is not positive")
    says(function() neap.stack({ eye(2), eye(2) / 0 }):svdvals() end, "svdvals: matrix 2 of the batch has elements that are infinite or NaN")
  end)

  it("says which shapes and dtypes it takes", function()
    says(function() ones(2, 3):det() end, "det: x must be square, its last two dimensions of one size, got shape (2, 3)")
    says(function() ones(3):qr() end, "qr: x must be a matrix or a batch of matrices, got shape (3)")
    says(function() ones(2, 2):long():svd() end, "svd: x must be float32 or float64, got int64")
    says(function() eye(3):solve(ones(2, 2)) end, "other (2, 2) does not fit x (3, 3): it must have 3 rows")
    says(function() eye(3):solve(ones(3), false) end, "left = false takes matrices, not a vector")
    says(function() eye(3):solve_triangular(ones(2, 2), true, false) end, "it must have 3 columns")
    says(function() eye(3):lstsq(ones(2, 2)) end, "lstsq: other (2, 2) does not fit x (3, 3): it must have 3 rows")
    says(function() eye(3):qr "full" end, "mode is 'full'; there is reduced, complete, r")
    says(function() eye(3):matrix_norm(3) end, "'3' is no norm of a matrix; there are 'fro', 'nuc', 1, -1, 2, -2, inf and -inf")
    says(function() eye(3):cond "max" end, "cond: 'max' is no norm of a matrix")
    says(function() ones(3):matrix_norm() end, "x must have 2 dimensions or more")
    says(function() eye(3):matrix_norm("fro", { 1 }) end, "dims must name 2 dimensions, got 1")
    says(function() eye(3):matrix_norm("fro", { 1, -2 }) end, "dimension 1 is given twice")
    says(function() linalg.norm(ones(2, 2, 2), 2) end, "ord goes with 1 dimension or 2, not with 3")
    says(function() linalg.norm(ones(2), "fro") end, "'fro' is no norm of a vector")
    says(function() ones(2, 3):matrix_power(2) end, "must be square")
    says(function() linalg.multi_dot { ones(2, 3) } end, "takes a list of at least 2, got 1")
    says(function() linalg.multi_dot { ones(2, 3), ones(3), ones(3, 2) } end, "takes matrices, and vectors at the ends, tensor 2 has shape (3)")
    says(function() ones(2):cross(ones(2)) end, "takes tensors with 3 elements along dim")
    says(function() neap.lu_unpack(eye(2), neap.tensor({ 1, 3 }, { dtype = "int64" })) end, "3")
    says(function() neap.lu_unpack(eye(2), neap.tensor({ 1, 2, 2 }, { dtype = "int64" })) end, "at most one exchange a row")
    says(function()
      local x = ones(3, 2):requires_grad_(true)
      select(2, x:qr "complete"):sum():backward()
    end, "more rows than columns has no gradient")
    says(function()
      local x = ones(3, 2):requires_grad_(true)
      select(2, x:qr "r"):sum():backward()
    end, "with mode 'r' there is no gradient")
  end)

  it("norm knows the names of matrix norms", function()
    local x = random(3, 4)
    near(x:norm "fro", x:norm())
    near(x:norm "nuc", x:svdvals():sum())
    near(neap.norm(x, "nuc", { 1, 2 }, true), x:svdvals():sum():reshape(1, 1))
    says(function() x:norm "max" end, "norm: p must be a number, got a string ('max')")
  end)

  it("cond is infinite where a matrix is singular", function()
    local x = neap.stack { eye(2), ones(2, 2) }
    assert.is_true(neap.allclose(x:cond("fro"), neap.tensor { 2, math.huge }))
    assert.is_true(ones(2, 2):cond():item() > 1e7)
  end)
end)
