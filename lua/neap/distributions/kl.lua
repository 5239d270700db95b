-- kl: the Kullback-Leibler divergence, the mean under p of log p - log q, by pairs of classes. The pairs here are PyTorch's;
-- register_kl(P, Q, f) adds one.

local check = require "neap.check"
local core = require "neap.core"
local base = require "neap.distributions.base"
local continuous = require "neap.distributions.continuous"
local discrete = require "neap.distributions.discrete"
local vector = require "neap.distributions.vector"

local kl = {}
local pi, log, sqrt = math.pi, math.log, math.sqrt
local EULER = 0.57721566490153286061

local pairs_of = {} -- P -> Q -> f(p, q)

--- f(p, q) answers kl_divergence for distributions of the classes P and Q.
function kl.register_kl(P, Q, f)
  check.kind("register_kl: the function", f, "function")
  pairs_of[P] = pairs_of[P] or {}
  pairs_of[P][Q] = f
end
local register = kl.register_kl

--- KL(p || q), of the batch's shape.
function kl.kl_divergence(p, q)
  for i, d in ipairs {p or false, q or false} do
    if type(d) ~= "table" or not d.class then check.fail("kl_divergence: argument %d is %s, not a distribution", i, check.describe(d)) end
  end
  local f = pairs_of[p.class] and pairs_of[p.class][q.class]
  if not f then check.fail("kl_divergence: there is none for %s and %s; register_kl adds one", p.name, q.name) end
  return f(p, q)
end

-- y, but infinite where the condition holds.
local function infinite_where(condition, y)
  return core.where(condition, core.full_like(y, math.huge), y)
end

-- ---- a class with itself ----

local Normal = continuous.Normal
local function normal(p, q)
  local ratio, t = (p.scale / q.scale):square(), ((p.loc - q.loc) / q.scale):square()
  return (ratio + t - 1 - ratio:log()) * 0.5
end
register(Normal, Normal, normal)
register(continuous.LogNormal, continuous.LogNormal, normal)

register(continuous.Laplace, continuous.Laplace, function(p, q)
  local ratio, d = p.scale / q.scale, (p.loc - q.loc):abs()
  return -ratio:log() + d / q.scale + ratio * (-d / p.scale):exp() - 1
end)
register(continuous.Uniform, continuous.Uniform, function(p, q)
  local y = ((q.high - q.low) / (p.high - p.low)):log()
  return infinite_where(q.low:gt(p.low):logical_or(q.high:lt(p.high)), y)
end)
register(continuous.Cauchy, continuous.Cauchy, function(p, q)
  return ((p.scale + q.scale):square() + (p.loc - q.loc):square()):log() - (p.scale * q.scale * 4):log()
end)
register(continuous.Exponential, continuous.Exponential, function(p, q)
  local ratio = q.rate / p.rate
  return ratio - ratio:log() - 1
end)
register(continuous.Gamma, continuous.Gamma, function(p, q)
  local a, b = p.concentration, q.concentration
  return b * (p.rate / q.rate):log() + b:lgamma() - a:lgamma() + (a - b) * a:digamma() + (q.rate - p.rate) * (a / p.rate)
end)
register(continuous.Beta, continuous.Beta, function(p, q)
  local a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
  local sum, other = a + b, c + d
  return c:lgamma() + d:lgamma() + sum:lgamma() - (a:lgamma() + b:lgamma() + other:lgamma()) + (a - c) * a:digamma() +
    (b - d) * b:digamma() + (other - sum) * sum:digamma()
end)
register(continuous.Gumbel, continuous.Gumbel, function(p, q)
  local ratio, d = p.scale / q.scale, (q.loc - p.loc) / q.scale
  return q.scale:log() - p.scale:log() - d + ratio * EULER + (d + (ratio + 1):lgamma()):exp() - (1 + EULER)
end)
register(vector.Dirichlet, vector.Dirichlet, function(p, q)
  local a, b = p.concentration, q.concentration
  local sum = a:sum(-1)
  return sum:lgamma() - b:sum(-1):lgamma() - (a:lgamma() - b:lgamma()):sum(-1) +
    ((a - b) * (a:digamma() - sum:digamma():unsqueeze(-1))):sum(-1)
end)
register(vector.MultivariateNormal, vector.MultivariateNormal, function(p, q)
  local k = p.event_shape[1]
  if q.event_shape[1] ~= k then check.fail("kl_divergence: events of %d and of %d elements", k, q.event_shape[1]) end
  local n = #p.batch_shape > #q.batch_shape and p.batch_shape or q.batch_shape
  local lp, lq = p.factor, q.factor
  local inner = core.solve_triangular(lq:expand(base.joined(n, {k, k})), lp:expand(base.joined(n, {k, k})), false)
  return base.half_log_det(lq) - base.half_log_det(lp) +
    (inner:square():sum({-1, -2}) + base.mahalanobis(lq, q.loc - p.loc) - k) * 0.5
end)

register(discrete.Poisson, discrete.Poisson, function(p, q)
  return p.rate * (p.rate:log() - q.rate:log()) - (p.rate - q.rate)
end)
register(discrete.Bernoulli, discrete.Bernoulli, function(p, q)
  local a, b = p.probs, q.probs
  local yes = a * ((-q.logits):softplus() - (-p.logits):softplus())
  local no = (1 - a) * (q.logits:softplus() - p.logits:softplus())
  local zero = core.zeros_like(yes)
  yes = core.where(a:eq(0), zero, infinite_where(b:eq(0), yes))
  no = core.where(a:eq(1), zero, infinite_where(b:eq(1), no))
  return yes + no
end)
register(discrete.Binomial, discrete.Binomial, function(p, q)
  if q.total_count:gt(p.total_count):any():item() then
    check.fail "kl_divergence: of binomials is known where q.total_count is at most p.total_count"
  end
  local y = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs):log1p() - (-q.probs):log1p())
  return infinite_where(p.total_count:gt(q.total_count), y)
end)
register(discrete.Geometric, discrete.Geometric, function(p, q)
  return -p:entropy() - (-q.probs):log1p() / p.probs - q.logits
end)
register(discrete.Categorical, discrete.Categorical, function(p, q)
  if p.categories ~= q.categories then check.fail("kl_divergence: %d categories against %d", p.categories, q.categories) end
  local a, b = p.probs, q.probs
  local t = a * (p.logits - q.logits)
  return core.where(a:eq(0), core.zeros_like(t), infinite_where(b:eq(0), t)):sum(-1)
end)
register(vector.Independent, vector.Independent, function(p, q)
  if p.n ~= q.n then check.fail("kl_divergence: events of %d and of %d dimensions", p.n, q.n) end
  return p:summed(kl.kl_divergence(p.base, q.base))
end)

-- ---- one class and another: -H(p), less the mean of log q under p ----

local Uniform, Gamma, Beta, Gumbel = continuous.Uniform, continuous.Gamma, continuous.Beta, continuous.Gumbel
local Exponential, Laplace = continuous.Exponential, continuous.Laplace

for _, P in ipairs {Uniform, Exponential, Laplace, Gamma, Beta, Gumbel} do
  register(P, Normal, function(p, q)
    return q.scale:log() - p:entropy() + 0.5 * log(2 * pi) + (p.variance + (p.mean - q.loc):square()) / (q.scale:square() * 2)
  end)
end
register(Normal, Laplace, function(p, q)
  local d = p.loc - q.loc
  local r = d / p.scale
  local off = p.scale * sqrt(2 / pi) * (r:square() * -0.5):exp() + d * (r * sqrt(0.5)):erf()
  return -(p.scale / q.scale):log() + off / q.scale - 0.5 * (1 + log(pi / 2))
end)

-- Of numbers that are not negative.
local function to_exponential(p, q) return q.rate * p.mean - q.rate:log() - p:entropy() end
register(Gamma, Exponential, to_exponential)
register(Beta, Exponential, to_exponential)
register(Uniform, Exponential, function(p, q) return infinite_where(p.low:lt(0), to_exponential(p, q)) end)

-- The same with the mean of log x.
local function to_gamma(p, q, mean_log)
  local c = q.concentration
  return q.rate * p.mean - c * q.rate:log() + c:lgamma() - (c - 1) * mean_log - p:entropy()
end
-- The mean of log x over [a, b].
local function mean_log(a, b) return (b:xlogy(b) - a:xlogy(a)) / (b - a) - 1 end
register(Exponential, Gamma, function(p, q) return to_gamma(p, q, -p.rate:log() - EULER) end)
register(Beta, Gamma, function(p, q)
  return to_gamma(p, q, p.concentration1:digamma() - (p.concentration1 + p.concentration0):digamma())
end)
register(Uniform, Gamma, function(p, q) return infinite_where(p.low:lt(0), to_gamma(p, q, mean_log(p.low, p.high))) end)

-- With the mean of exp(-x / scale).
local function to_gumbel(p, q, mean_exp)
  return q.scale:log() + (p.mean - q.loc) / q.scale + (q.loc / q.scale):exp() * mean_exp - p:entropy()
end
register(Exponential, Gumbel, function(p, q) return to_gumbel(p, q, (1 + (p.rate * q.scale):reciprocal()):reciprocal()) end)
register(Gamma, Gumbel, function(p, q)
  return to_gumbel(p, q, (1 + (p.rate * q.scale):reciprocal()):pow(-p.concentration))
end)
register(Normal, Gumbel, function(p, q)
  return to_gumbel(p, q, ((p.scale / q.scale):square() * 0.5 - p.loc / q.scale):exp())
end)
register(Uniform, Gumbel, function(p, q)
  return to_gumbel(p, q, ((-p.low / q.scale):exp() - (-p.high / q.scale):exp()) * q.scale / (p.high - p.low))
end)

register(Uniform, Beta, function(p, q)
  local a, b = q.concentration1, q.concentration0
  local y = a:lgamma() + b:lgamma() - (a + b):lgamma() - (a - 1) * mean_log(p.low, p.high) - (b - 1) * mean_log(1 - p.high, 1 - p.low)
  return infinite_where(p.low:lt(0):logical_or(p.high:gt(1)), y - p:entropy())
end)
register(Beta, Uniform, function(p, q)
  return infinite_where(q.low:gt(0):logical_or(q.high:lt(1)), (q.high - q.low):log() - p:entropy())
end)
register(discrete.Bernoulli, discrete.Poisson, function(p, q) return q.rate - p.probs:xlogy(q.rate) - p:entropy() end)

-- Where p can be what q cannot.
local function infinite(p, q) return core.full_like(p.mean + q.mean, math.huge) end
for P, list in pairs {
  [Exponential] = {Beta, Uniform}, [Gamma] = {Beta, Uniform}, [Gumbel] = {Beta, Exponential, Gamma, Uniform},
  [Laplace] = {Beta, Exponential, Gamma, Uniform}, [Normal] = {Beta, Exponential, Gamma, Uniform},
  [discrete.Poisson] = {discrete.Bernoulli, discrete.Binomial},
} do
  for _, Q in ipairs(list) do register(P, Q, infinite) end
end

return kl
