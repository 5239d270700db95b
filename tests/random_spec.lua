-- Random numbers: every sampler against the distribution function it stands for (Kolmogorov and Smirnov's distance at a
-- fixed seed, within the bound that one right sampler in a thousand misses) and against its moments; discrete ones by
-- their frequencies; generators: states, forks, the same bits at any cut; gradients of gamma numbers against the exact
-- ones; and what misuse says.

local neap = require "neap"
local says = require("support.says").says

local N = 20000

-- The largest distance between the sample's and the true distribution function, times sqrt(n).
local function distance(x, cdf)
  local list = x:to("float64"):reshape(-1):totable()
  table.sort(list)
  local n, worst = #list, 0
  for i, v in ipairs(list) do
    local p = cdf(v)
    worst = math.max(worst, math.abs(p - (i - 1) / n), math.abs(i / n - p))
  end
  return worst * math.sqrt(n)
end
local function fits(x, cdf)
  local d = distance(x, cdf)
  assert.is_true(d < 1.95, ("distance %g"):format(d))
end

local function erf(x) return neap.erf(neap.tensor({ x }, { dtype = "float64" })):item() end
local function normal(x) return 0.5 * (1 + erf(x / math.sqrt(2))) end

-- log gamma(x) by Stirling's series after raising x over 10.
local function lgamma(x)
  local shift = 0
  while x < 10 do shift, x = shift - math.log(x), x + 1 end
  local r = 1 / (x * x)
  return shift + (x - 0.5) * math.log(x) - x + 0.5 * math.log(2 * math.pi) + (1 / 12 - r * (1 / 360 - r / 1260)) / x
end
-- P(a, z), the distribution function of a gamma number, by its series.
local function gamma_cdf(a, z)
  if z <= 0 then return 0 end
  local t, s, n = 1 / a, 1 / a, 0
  repeat
    n = n + 1
    t = t * z / (a + n)
    s = s + t
  until t < s * 1e-16 and n > z
  return s * math.exp(a * math.log(z) - z - lgamma(a))
end

-- Chi-square of counts of whole numbers against probabilities, cells of few expected counts joined; in deviations.
local function frequencies(x, probability)
  local counts, n, top = {}, x:numel(), 0
  for _, v in ipairs(x:to("int64"):reshape(-1):totable()) do
    counts[v] = (counts[v] or 0) + 1
    top = math.max(top, v)
  end
  local chi, cells, seen, expected, all = 0, 0, 0, 0, 0
  for k = 0, top + 50 do
    seen, expected = seen + (counts[k] or 0), expected + n * probability(k)
    all = all + probability(k)
    if expected >= 10 then
      chi, cells, seen, expected = chi + (seen - expected) ^ 2 / expected, cells + 1, 0, 0
    end
  end
  assert.is_true(math.abs(all - 1) < 1e-3, "the probabilities sum to " .. all)
  return (chi - (cells - 1)) / math.sqrt(2 * (cells - 1))
end

local function poisson_p(rate)
  return function(k) return math.exp(k * math.log(rate) - rate - lgamma(k + 1)) end
end
local function binomial_p(n, p)
  return function(k)
    if k > n then return 0 end
    return math.exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log(1 - p))
  end
end

for _, dtype in ipairs { "float32", "float64" } do
  describe("numbers of " .. dtype, function()
    before_each(function() neap.seed(11) end)
    local function empty() return neap.empty(N, { dtype = dtype }) end

    it("are uniform", function()
      fits(empty():uniform_(-1, 3), function(x) return (x + 1) / 4 end)
    end)
    it("are normal", function()
      fits(empty():normal_(1, 2), function(x) return normal((x - 1) / 2) end)
    end)
    it("are exponential, and never 0", function()
      local x = empty():exponential_(2.5)
      fits(x, function(v) return 1 - math.exp(-2.5 * v) end)
      assert.is_true(x:gt(0):all():item())
    end)
    it("are Cauchy's", function()
      fits(empty():cauchy_(1, 2), function(x) return 0.5 + math.atan((x - 1) / 2) / math.pi end)
    end)
    it("are log-normal", function()
      fits(empty():log_normal_(0.5, 0.7), function(x) return normal((math.log(x) - 0.5) / 0.7) end)
    end)
    it("are geometric", function()
      local p = 0.2
      local f = frequencies(empty():geometric_(p), function(k) return k >= 1 and p * (1 - p) ^ (k - 1) or 0 end)
      assert.is_true(math.abs(f) < 3.3, "deviations: " .. f)
    end)
    it("are gamma's, of small and of large shape", function()
      for _, a in ipairs { 0.15, 0.9, 1, 4.5, 60 } do
        local x = neap.full({ N }, a, { dtype = dtype }):standard_gamma()
        fits(x, function(v) return gamma_cdf(a, v) end)
      end
      local tiny = neap.full({ 1000 }, 1e-3, { dtype = dtype }):standard_gamma()
      assert.is_true(tiny:gt(0):all():item())
    end)
    it("are beta's and Dirichlet's", function()
      -- Beta(2, 3): I_x = x^2 (6 - 8 x + 3 x^2)
      local function cdf(x) return x * x * (6 - 8 * x + 3 * x * x) end
      fits(neap.full({ N }, 2, { dtype = dtype }):beta(neap.full({ 1 }, 3, { dtype = dtype })), cdf)
      local d = neap.tensor({ { 2, 1, 2 } }, { dtype = dtype }):expand(N, 3):dirichlet()
      fits(d:select(2, 1), cdf)
      assert.is_true((d:sum(2) - 1):abs():max():item() < 1e-6)
      local small = neap.full({ 2000, 2 }, 1e-3, { dtype = dtype }):dirichlet()
      assert.is_true(small:isfinite():all():item())
      assert.is_true(math.abs(small:select(2, 1):mean():item() - 0.5) < 0.05)
    end)
    it("are Poisson's, by either way of drawing", function()
      for _, rate in ipairs { 0.3, 7, 11, 90 } do
        local f = frequencies(neap.full({ N }, rate, { dtype = dtype }):poisson(), poisson_p(rate))
        assert.is_true(math.abs(f) < 3.3, ("rate %g: %g deviations"):format(rate, f))
      end
    end)
    it("are binomial, by either way of drawing", function()
      for _, case in ipairs { { 1, 0.3 }, { 20, 0.1 }, { 40, 0.45 }, { 300, 0.8 } } do
        local n, p = table.unpack(case)
        local x = neap.full({ N }, n, { dtype = dtype }):binomial(neap.tensor({ p }, { dtype = "float64" }):to(dtype))
        local f = frequencies(x, binomial_p(n, p))
        assert.is_true(math.abs(f) < 3.3, ("n %d p %g: %g deviations"):format(n, p, f))
      end
      local ends = neap.tensor { 5, 5, 0 }:binomial(neap.tensor { 0, 1, 0.5 })
      assert.are.same({ 0, 5, 0 }, ends:totable())
    end)
  end)
end

describe("normal with tensors", function()
  it("takes means and deviations that broadcast", function()
    neap.seed(3)
    local x = neap.normal(neap.tensor { { 0 }, { 100 } }:expand(2, N), neap.tensor { 1, 2 }:reshape(2, 1))
    assert.are.same({ 2, N }, { table.unpack(x.shape) })
    fits(x[2], function(v) return normal((v - 100) / 2) end)
    assert.are.equal(3, neap.normal(5, 0, { 3 }):numel())
    assert.are.equal(5, neap.normal(neap.full({ 2 }, 5), 0):mean():item())
  end)
  it("says what it misses", function()
    says(function() neap.normal(0, 1) end, "normal", "size")
    says(function() neap.normal(neap.zeros(2), -1) end, "normal", "std")
    says(function() neap.normal(neap.zeros(2), neap.tensor { 1, -1 }) end, "normal", "std")
  end)
end)

describe("multinomial", function()
  local w = neap.tensor { 1, 0, 3, 6 }
  it("draws again and again by the weights", function()
    neap.seed(5)
    local f = frequencies(w:multinomial(N, true), function(k) return ({ 0.1, 0, 0.3, 0.6 })[k] or 0 end)
    assert.is_true(math.abs(f) < 3.3, "deviations: " .. f)
  end)
  it("draws each once, the order by the weights too", function()
    neap.seed(6)
    local x = w:expand(6000, 4):multinomial(3)
    assert.are.same({ 6000, 3 }, { table.unpack(x.shape) })
    assert.is_true(x:sum(2):eq(8):all():item()) -- 1, 3 and 4 in some order
    local first = frequencies(x:select(2, 1), function(k) return ({ 0.1, 0, 0.3, 0.6 })[k] or 0 end)
    local chance = { 0.3 * 0.1 / 0.7 + 0.6 * 0.1 / 0.4, 0, 0.1 * 0.3 / 0.9 + 0.6 * 0.3 / 0.4, 0.1 * 0.6 / 0.9 + 0.3 * 0.6 / 0.7 }
    local second = frequencies(x:select(2, 2), function(k) return chance[k] or 0 end)
    assert.is_true(math.abs(first) < 3.3 and math.abs(second) < 3.3, ("deviations: %g, %g"):format(first, second))
  end)
  it("has rows of their own", function()
    local x = neap.tensor { { 1, 0 }, { 0, 1 } }:multinomial(50, true)
    assert.are.same({ 50, 100 }, x:sum(2):totable())
  end)
  it("refuses weights that are none", function()
    says(function() neap.tensor { 1, -1 }:multinomial(1) end, "multinomial", "negative")
    says(function() neap.tensor { 1, 0 / 0 }:multinomial(1) end, "multinomial", "finite")
    says(function() neap.zeros(3):multinomial(1, true) end, "multinomial", "all 0")
    says(function() neap.tensor { { 1, 1 }, { 1, 0 } }:multinomial(2) end, "multinomial", "row 2", "replacement")
    says(function() neap.ones(3):multinomial(4) end, "multinomial", "4", "3 classes")
    says(function() neap.ones(3):multinomial(0) end, "num_samples")
    says(function() neap.ones(3, 2, 2):multinomial(1) end, "shape")
    says(function() neap.ones(2, 0):multinomial(1) end, "no classes")
    says(function() neap.ones(3, { dtype = "int64" }):multinomial(1) end, "int64")
  end)
end)

describe("parameters out of range", function()
  it("are refused", function()
    says(function() neap.tensor { 1, 0 }:standard_gamma() end, "standard_gamma", "over 0")
    says(function() neap.tensor { 0 / 0 }:standard_gamma() end, "over 0")
    says(function() neap.tensor { -1 }:poisson() end, "poisson", "0")
    says(function() neap.tensor { 3 }:binomial(neap.tensor { 1.5 }) end, "binomial", "prob", "1")
    says(function() neap.tensor { -3 }:binomial(neap.tensor { 0.5 }) end, "from 0 to 1e15")
    says(function() neap.ones(2):exponential_(0) end, "lambd")
    says(function() neap.ones(2):cauchy_(0, -1) end, "sigma")
    says(function() neap.ones(2):log_normal_(0, -1) end, "std")
    says(function() neap.ones(2):geometric_(0) end, "p is 0")
    says(function() neap.ones(2):randint_like(3, 3) end, "high")
    says(function() neap.tensor(2.0):dirichlet() end, "dimension")
  end)
end)

describe("gradients of gamma numbers", function()
  it("hold the probability fixed", function()
    neap.seed(8)
    for _, a in ipairs { 0.3, 1.7, 12 } do
      local x = neap.full({ 20 }, a, { dtype = "float64" }):requires_grad_(true)
      local y = x:standard_gamma()
      y:sum():backward()
      for i = 1, 20 do
        local z, slope, h = y[i]:item(), x.grad[i]:item(), 1e-5
        local moved = (gamma_cdf(a + h, z + slope * h) - gamma_cdf(a - h, z - slope * h)) / (2 * h)
        assert.is_true(math.abs(moved) < 1e-6, ("a %g z %g: the probability moves by %g"):format(a, z, moved))
      end
      local l = neap.full({ 20 }, a, { dtype = "float64" }):requires_grad_(true)
      neap.seed(8)
      local log_y = l:standard_gamma(true)
      assert.are.equal(20, log_y:numel())
    end
  end)
  it("of a mean agree with the mean's", function() -- d E[z] / d a = 1, d E[x_1] / d a_1 of a Dirichlet is known
    neap.seed(9)
    local a = neap.full({ N }, 2.5, { dtype = "float64" }):requires_grad_(true)
    a:standard_gamma():sum():backward()
    assert.is_true(math.abs(a.grad:mean():item() - 1) < 0.02)
    local c = neap.tensor({ 2, 3 }, { dtype = "float64" }):requires_grad_(true)
    c:expand(N, 2):dirichlet():select(2, 1):mean():backward()
    assert.is_true(math.abs(c.grad[1]:item() - 3 / 25) < 0.005)
    assert.is_true(math.abs(c.grad[2]:item() + 2 / 25) < 0.005)
  end)
end)

describe("the distribution function of gamma numbers", function()
  it("is exact for large shapes too", function() -- values of 30 digits' arithmetic
    for _, case in ipairs {
      { 39.5, 36, 0.30126214374941597, 0.69873785625058403 }, { 100, 130, 0.99724959163269347, 0.0027504083673065263 },
      { 1000, 1100, 0.99894067674607002, 0.0010593232539299773 }, { 1000, 950.5, 0.056899878608551284, 0.94310012139144872 },
      { 0.01, 1e-9, 0.81746895666247862, 0.18253104333752138 }, { 5000, 5100, 0.92067111892238102, 0.079328881077618977 },
    } do
      local a, z = neap.tensor({ case[1] }, { dtype = "float64" }), neap.tensor({ case[2] }, { dtype = "float64" })
      assert.is_true(math.abs(a:gammainc(z):item() / case[3] - 1) < 1e-11)
      assert.is_true(math.abs(a:gammaincc(z):item() / case[4] - 1) < 1e-11)
    end
  end)
  it("has gradients to shape and place, and second ones but for the shape's own", function()
    local function leaf(v) return neap.tensor(v, { dtype = "float64", requires_grad = true }) end
    local function slope(f, x, of) -- to x, unless another one is named
      if not of and not x.requires_grad then x = x:clone():requires_grad_() end
      of = of or x
      return neap.enable_grad(function() return neap.grad(f(x):sum(), of, { create_graph = true })[1] end)
    end
    local a, z = leaf { 0.4, 2, 7 }, leaf { 0.9, 1.5, 5 }
    for _, name in ipairs { "gammainc", "gammaincc" } do
      assert.is_true(neap.gradcheck(neap[name], { a, z }))
      local function of_shape(x) return x[name](x, z) end
      local function of_place(x) return a[name](a, x) end
      assert.is_true(neap.gradcheck(function(x) return slope(of_shape, x, z) end, { a }))
      assert.is_true(neap.gradcheck(function(x) return slope(of_place, x) end, { z }))
      assert.is_true(neap.gradcheck(function(x) return slope(of_place, x, a) end, { z }))
    end
  end)
  it("moves a gamma number's slope as it moves the number", function()
    local a = neap.tensor({ 0.4, 2, 7 }, { dtype = "float64", requires_grad = true })
    local function slope(z) -- dz/da at a fixed probability
      z = z:detach():requires_grad_()
      local d = neap.grad(a:gammainc(z):sum(), { a, z })
      return -d[1] / d[2]
    end
    for _, logarithm in ipairs { false, true } do
      neap.seed(5)
      local y = a:standard_gamma(logarithm)
      local d = neap.grad(y:sum(), a, { create_graph = true })[1]
      local z, got = logarithm and y:exp() or y, neap.grad(d:sum(), y)[1]
      local want = (slope(z * 1.00001) - slope(z * 0.99999)) / (z * 0.00002)
      if logarithm then want = want - slope(z) / z end
      assert.is_true((got - want):abs():max():item() < 1e-5 * want:abs():max():item())
      local r = neap.tensor({ 2 }, { dtype = "float64", requires_grad = true }) -- what the slope is multiplied with has its own
      local g = neap.grad((y * r):sum(), a, { create_graph = true })[1]
      assert.is_true((neap.grad(g:sum(), r)[1] - d:sum()):abs():item() < 1e-12)
    end
  end)
  it("has ends", function()
    local a = neap.tensor { 1, 1, 0, -1, 2 }
    local z = neap.tensor { 0, math.huge, 1, 1, -1 }
    local y = a:gammainc(z):totable()
    assert.are.same({ 0, 1, 1 }, { y[1], y[2], y[3] })
    assert.is_true(y[4] ~= y[4] and y[5] ~= y[5])
    says(function() neap.gammainc(neap.ones(2), neap.ones(3)) end, "gammainc", "(2)", "(3)")
    says(function() neap.gammainc(neap.ones(2, { dtype = "int64" }), neap.ones(2)) end, "int64")
  end)
end)

describe("generators", function()
  it("begin anew with a seed, and save and restore their state", function()
    local g = neap.Generator(7)
    local a = neap.rand(5, { generator = g }):totable()
    local state = g:get_state()
    local b = neap.rand(5, { generator = g }):totable()
    g:set_state(state)
    assert.are.same(b, neap.rand(5, { generator = g }):totable())
    assert.are.same(a, neap.rand(5, { generator = g:manual_seed(7) }):totable())
    assert.are.equal(7, g:initial_seed())
  end)
  it("fork into streams by key that depend on seed and key alone", function()
    local g = neap.Generator(7)
    local function of(generator) return neap.rand(4, { generator = generator }):totable() end
    local one = of(g:fork(1))
    of(g)
    assert.are.same(one, of(g:fork(1)))
    local seen = {}
    for key = 0, 200 do seen[g:fork(key):initial_seed()] = true end
    for key = 0, 200 do seen[neap.Generator(8):fork(key):initial_seed()] = true end
    local n = 0
    for _ in pairs(seen) do n = n + 1 end
    assert.are.equal(402, n)
  end)
  it("of Neap's own: the state is read and set", function()
    local state = neap.get_rng_state()
    local a = neap.randn(5):totable()
    neap.set_rng_state(state)
    assert.are.same(a, neap.randn(5):totable())
  end)
  it("serve each sampler, and move on by what it used", function()
    local w, a = neap.ones(4), neap.full({ 6 }, 2)
    local draws = {
      function(o) return a:standard_gamma(o) end, function(o) return a:poisson(o) end, function(o) return a:dirichlet(o) end,
      function(o) return a:beta(a, o) end, function(o) return a:binomial(neap.full({ 1 }, 0.5), o) end,
      function(o) return w:multinomial(9, true, o) end, function(o) return w:multinomial(2, o) end,
      function(o) return neap.empty(6):exponential_(o) end, function(o) return neap.empty(6):geometric_(0.1, o) end,
    }
    for i, draw in ipairs(draws) do
      local first, second = neap.Generator(3), neap.Generator(3)
      local x, y = draw { generator = first }, draw { generator = second }
      assert.are.same(x:totable(), y:totable())
      local before = first:get_state()[2]
      assert.is_true(before > 0, "sampler " .. i)
      draw { generator = first }
      assert.are.equal(2 * before, first:get_state()[2])
    end
  end)
end)
