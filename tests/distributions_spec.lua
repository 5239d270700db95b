-- Distributions: values of PyTorch's (tests/golden/distributions.lua) in float64 with gradients, divergences by pairs,
-- samples against mean and variance, shapes, and what misuse says.

local neap = require "neap"
local D = neap.distributions
local golden = dofile "tests/golden/distributions.lua"

local f64 = { dtype = "float64" }
local function tensor(v) return neap.tensor(v, f64) end

local function near(got, want, what, tolerance)
  want = tensor(want)
  assert.are.same({ table.unpack(want.shape) }, { table.unpack(got.shape) }, what)
  local g, w = got:detach():reshape(-1):totable(), want:reshape(-1):totable()
  for i = 1, #w do
    local same = g[i] == w[i] or g[i] ~= g[i] and w[i] ~= w[i]
    if not same and not (math.abs(g[i] - w[i]) <= (tolerance or 1e-10) * math.max(1, math.abs(w[i]))) then
      error(("%s: element %d is %.17g, not %.17g"):format(what, i, g[i], w[i]), 2)
    end
  end
end

local function made(case, leaves)
  local given = {}
  for name, v in pairs(case.params) do
    given[name] = tensor(v)
    if leaves then
      leaves[name] = given[name]:requires_grad_(true)
      if name:find "_matrix" then given[name] = (given[name] + given[name]:t()) * 0.5 end
    end
  end
  return D[case.class](given)
end

local function title(case)
  local names = {}
  for name in pairs(case.params) do names[#names + 1] = name end
  table.sort(names)
  return ("%s(%s)"):format(case.class, table.concat(names, ", "))
end

describe("distributions as PyTorch has them:", function()
  for _, case in ipairs(golden.cases) do
    it(title(case), function()
      local leaves = {}
      local d = made(case, leaves)
      local x = case.class == "Categorical" and neap.tensor(case.value, { dtype = "int64" }) or tensor(case.value)
      local l = d:log_prob(x)
      near(l, case.log_prob, "log_prob")
      near(neap.no_grad(function() return d.mean end), case.mean, "mean")
      near(d.variance, case.variance, "variance")
      if case.class ~= "Categorical" then near(d.stddev:square(), case.variance, "stddev") end
      if case.entropy then near(d:entropy(), case.entropy, "entropy") end
      if case.cdf then near(d:cdf(x), case.cdf, "cdf") end
      if case.icdf then near(d:icdf(tensor(case.p)), case.icdf, "icdf") end
      local names, list = {}, {}
      for name in pairs(case.grads) do names[#names + 1], list[#list + 1] = name, leaves[name] end
      local grads = neap.grad(l:sum(), list, { allow_unused = true })
      for i, name in ipairs(names) do near(grads[i] or neap.zeros_like(list[i]), case.grads[name], "gradient of " .. name) end
    end)
  end
  for i, pair in ipairs(golden.pairs) do
    it(("KL of %s and %s, %d"):format(pair.p.class, pair.q.class, i), function()
      near(D.kl_divergence(made(pair.p), made(pair.q)), pair.kl, "kl")
    end)
  end
end)

describe("samples", function()
  local N = 20000
  for _, case in ipairs(golden.cases) do
    local finite = case.class ~= "Cauchy" and case.class ~= "StudentT" and case.class ~= "Categorical"
    it("of " .. title(case) .. " have its shape, mean and variance", function()
      neap.seed(21)
      local d = made(case)
      local shape = { N }
      for _, n in ipairs(d.batch_shape) do shape[#shape + 1] = n end
      for _, n in ipairs(d.event_shape) do shape[#shape + 1] = n end
      local x = d:sample { N }
      assert.are.same(shape, { table.unpack(x.shape) })
      assert.is_false(x.requires_grad)
      assert.is_true(d:log_prob(x):gt(-math.huge):all():item())
      if not finite then return end
      local sigma = d.variance:sqrt()
      local off = ((x:double():mean(1) - d.mean):abs() / (sigma + 1e-9) * math.sqrt(N)):max():item()
      assert.is_true(off < 4.5, "the mean is off by " .. off)
      local spread = (x:double():var(1) / (d.variance + 1e-12) - 1):abs():max():item()
      local heavy = case.class == "LogNormal"
      assert.is_true(heavy or d.variance:min():item() == 0 or spread < 0.15, "the variance is off by " .. spread)
    end)
  end
  it("of categories follow the probabilities, from 1 on", function()
    neap.seed(3)
    local d = D.Categorical { probs = tensor { { 1, 0, 3 }, { 0, 2, 2 } } }
    local x = d:sample { 8000 }
    for row, want in ipairs { { 0.25, 0, 0.75 }, { 0, 0.5, 0.5 } } do
      for k = 1, 3 do
        local share = x:select(2, row):eq(k):double():mean():item()
        assert.is_true(math.abs(share - want[k]) < 0.02)
      end
    end
    assert.are.same({ 3, 2 }, d.mode:totable()[1] == 3 and { 3, 2 } or d.mode:totable())
  end)
  it("of rsample carry gradients, and repeat with a generator", function()
    for _, name in ipairs { "Normal", "LogNormal", "Uniform", "Laplace", "Cauchy", "Gumbel" } do
      local a, b = tensor { 0.5 }:requires_grad_(true), tensor { 1.5 }:requires_grad_(true)
      local function draw(p, q) return D[name](p, q):rsample({ 7 }, { generator = neap.Generator(4) }) end
      assert.is_true(neap.gradcheck(draw, { a, b }))
    end
    local r = tensor { 0.7 }:requires_grad_(true)
    assert.is_true(neap.gradcheck(function(q) return D.Exponential(q):rsample({ 5 }, { generator = neap.Generator(4) }) end, { r }))
    local loc, l = tensor { 1, 2 }:requires_grad_(true), tensor { { 2, 0 }, { 0.5, 1 } }:requires_grad_(true)
    assert.is_true(neap.gradcheck(function(m, t)
      return D.MultivariateNormal { loc = m, scale_tril = t:tril(), validate = false }:rsample({ 3 }, { generator = neap.Generator(4) })
    end, { loc, l }))
  end)
  it("of Gamma, Beta, Dirichlet and StudentT carry gradients that agree with the mean's", function()
    neap.seed(6)
    local a, b = tensor(2.0):requires_grad_(true), tensor(3.0):requires_grad_(true)
    D.Gamma(a, b):rsample { N }:mean():backward()
    assert.is_true(math.abs(a.grad:item() - 1 / 3) < 0.01 and math.abs(b.grad:item() + 2 / 9) < 0.01)
    a.grad, b.grad = nil, nil
    D.Beta(a, b):rsample { N }:mean():backward()
    assert.is_true(math.abs(a.grad:item() - 3 / 25) < 0.005 and math.abs(b.grad:item() + 2 / 25) < 0.005)
    local t = D.StudentT(tensor(5.0), a, b):rsample { N }
    a.grad = nil
    t:mean():backward()
    assert.is_true(math.abs(a.grad:item() - 1) < 1e-9)
  end)
end)

describe("Independent", function()
  it("sums over what is one event", function()
    local d = D.Normal(tensor { { 0, 1, 2 }, { 3, 4, 5 } }, 1)
    local i = D.Independent(d, 1)
    assert.are.same({ { 2 }, { 3 } }, { i.batch_shape, i.event_shape })
    local x = tensor { 0.5, 0.5, 0.5 }
    near(i:log_prob(x), d:log_prob(x):sum(2):totable(), "log_prob")
    near(i:entropy(), d:entropy():sum(2):totable(), "entropy")
    assert.are.same({ 4, 2, 3 }, { table.unpack(i:sample { 4 }.shape) })
    near(D.kl_divergence(i, D.Independent(D.Normal(d.loc, 2), 1)), D.kl_divergence(d, D.Normal(d.loc, 2)):sum(2):totable(), "kl")
  end)
end)

describe("expand", function()
  for _, case in ipairs(golden.cases) do
    it("gives " .. title(case) .. " a larger batch of the same values", function()
      local d = made(case)
      local shape = { 2, table.unpack(d.batch_shape) }
      local e = d:expand(shape)
      assert.are.same(shape, e.batch_shape)
      assert.are.same(d.event_shape, e.event_shape)
      assert.are.same({ 5, table.unpack(shape) }, { table.unpack(e:sample({ 5 }).shape, 1, #shape + 1) })
      local x = case.class == "Categorical" and neap.tensor(case.value, { dtype = "int64" }) or tensor(case.value)
      local l = d:log_prob(x)
      x = x:unsqueeze(math.max(1, x:dim() - #d.batch_shape - #d.event_shape + 1))
      local p, k = e:log_prob(x), l:dim() - #d.batch_shape + 1
      for i = 1, 2 do near(p:select(k, i), l:totable(), "log_prob") end
      near(e.variance:select(1, 2), d.variance:totable(), "variance")
    end)
  end
  it("of Independent keeps the event, and gradients flow", function()
    local loc = tensor { 1, 2, 3 }:requires_grad_(true)
    local d = D.Independent(D.Normal(loc, 1), 1):expand { 4 }
    assert.are.same({ { 4 }, { 3 } }, { d.batch_shape, d.event_shape })
    assert.are.same({ 2, 4, 3 }, { table.unpack(d:rsample { 2 }.shape) })
    d:log_prob(tensor { 0, 0, 0 }):sum():backward()
    near(loc.grad, { -4, -8, -12 }, "gradient")
  end)
end)

describe("construction", function()
  it("takes numbers, lists and tensors, in order or by name", function()
    assert.are.equal("float32", D.Normal(0, 1):sample().dtype)
    assert.are.equal("float64", D.Normal(tensor { 0, 1 }, 2):sample().dtype)
    assert.are.same({ 2 }, D.Normal({ 1, 2 }, { scale = 1 }).batch_shape)
    assert.are.equal(0, #D.Normal(0, 1):sample().shape)
    assert.are.equal("Normal(loc: 0, scale: 1)", tostring(D.Normal(0, 1)))
    assert.are.equal(3, D.Categorical({ 1, 1, 2 }).categories)
    local d = D.MultivariateNormal { loc = tensor { 0, 0, 0 }, covariance_matrix = neap.eye(3, f64) * 4 }
    near(d.precision_matrix, { { 0.25, 0, 0 }, { 0, 0.25, 0 }, { 0, 0, 0.25 } }, "precision_matrix")
  end)
end)

describe("misuse", function()
  local says = require "support.says".says
  it("is named", function()
    says(function() D.Normal(0, -1) end, "Normal: scale", "over 0", "-1")
    says(function() D.Normal(0) end, "Normal: scale is missing")
    says(function() D.Normal(0, 1, 2) end, "at most")
    says(function() D.Normal(0, "x") end, "scale", "string")
    says(function() D.Normal { loc = 0, scael = 1 } end, "scael", "scale")
    says(function() D.Normal({ 1, 2 }, { 1, 2, 3 }) end, "broadcast", "2 against 3")
    says(function() D.Normal(0, 1):log_prob("x") end, "value", "string")
    says(function() D.Normal(0, 1):log_prob(0 / 0) end, "a number")
    says(function() D.Normal(0, 1):sample "x" end, "list of sizes")
    says(function() D.Normal(0, 1):sample({ 2 }, { generater = 1 }) end, "generater", "generator")
    says(function() D.Uniform(1, 1) end, "high - low")
    says(function() D.Uniform(0, 1):log_prob(2) end, "between low and high")
    says(function() D.Exponential(1):log_prob(-1) end, "at least 0")
    says(function() D.Bernoulli(1.5) end, "probs", "from 0 to 1")
    says(function() D.Bernoulli() end, "probs or logits")
    says(function() D.Bernoulli { probs = 0.5, logits = 0 } end, "one of them")
    says(function() D.Bernoulli(0.5):log_prob(0.3) end, "0 or 1")
    says(function() D.Bernoulli(0.5):rsample() end, "no rsample")
    says(function() D.Poisson(1):entropy() end, "Poisson has no entropy")
    says(function() D.Poisson(1):log_prob(1.5) end, "whole number")
    says(function() D.Geometric(0) end, "over 0")
    says(function() D.Binomial({ 2, 3 }, 0.5):entropy() end, "one total_count")
    says(function() D.Binomial(2, 0.5):log_prob(3) end, "total_count")
    says(function() D.Categorical(0.5) end, "dimension")
    says(function() D.Categorical { { 0, 0 } } end, "sum of probs")
    says(function() D.Categorical({ 1, 1 }):log_prob(3) end, "from 1 to 2", "3")
    says(function() D.Categorical({ 1, 1 }):log_prob("a") end, "value")
    says(function() D.Dirichlet(2) end, "dimension")
    says(function() D.Dirichlet() end, "missing")
    says(function() D.Dirichlet({ 1, 1 }):log_prob(tensor { 0.5, 0.6 }) end, "sum to 1")
    says(function() D.MultivariateNormal { 0, 0 } end, "one of covariance_matrix")
    says(function() D.MultivariateNormal { loc = { 0, 0 }, covariance_matrix = neap.eye(2), scale_tril = neap.eye(2) } end,
      "covariance_matrix and scale_tril")
    says(function() D.MultivariateNormal({ 0, 0 }, neap.eye(3)) end, "2 by 2", "3 by 3")
    says(function() D.MultivariateNormal({ 0, 0 }, tensor { { 1, 2 }, { 0, 1 } }) end, "symmetric")
    says(function() D.MultivariateNormal { loc = { 0, 0 }, scale_tril = tensor { { 1, 1 }, { 0, 1 } } } end, "diagonal")
    says(function() D.MultivariateNormal { loc = { 0, 0 }, scale_tril = tensor { { -1, 0 }, { 0, 1 } } } end, "over 0")
    says(function() D.Independent(3, 1) end, "distribution")
    says(function() D.Independent(D.Normal(0, 1), 1) end, "0 batch dimensions")
    says(function() D.Normal({ 1, 2 }, 1):expand { 3 } end, "expand: (2) cannot expand to (3)")
    says(function() D.Normal(0, 1):expand "x" end, "Normal:expand", "list of sizes")
    says(function() D.kl_divergence(D.Normal(0, 1), 3) end, "argument 2")
    says(function() D.kl_divergence(D.Normal(0, 1), D.Poisson(1)) end, "Normal and Poisson", "register_kl")
    says(function() D.register_kl(D.Normal, D.Poisson, 3) end, "function")
    says(function() D.kl_divergence(D.Binomial(2, 0.5), D.Binomial(3, 0.5)) end, "total_count")
    says(function() D.kl_divergence(D.Categorical { 1, 1 }, D.Categorical { 1, 1, 1 }) end, "2 categories against 3")
  end)
  it("can be left unchecked", function()
    assert.is_true(D.Normal(0, -1, { validate = false }).scale:item() < 0)
  end)
end)
