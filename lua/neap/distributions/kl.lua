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

-- ---- one class and another ----

register(continuous.Exponential, continuous.Gamma, function(p, q)
  local ratio = q.rate / p.rate
  return -q.concentration * ratio:log() + ratio + q.concentration:lgamma() + q.concentration * EULER - (1 + EULER)
end)
register(continuous.Gamma, continuous.Exponential, function(p, q)
  return -p:entropy() - q.rate:log() + q.rate * p.concentration / p.rate
end)
register(continuous.Uniform, Normal, function(p, q)
  local width = p.high - p.low
  local off = (p.high + p.low - q.loc * 2) * 0.5
  return (q.scale * sqrt(2 * pi) / width):log() + (width:square() / 12 + off:square()) / q.scale:square() * 0.5
end)
register(continuous.Exponential, Normal, function(p, q)
  local var, square = q.scale:square(), p.rate:square()
  return (square * var * (2 * pi)):log() * 0.5 - 1 + (square:reciprocal() - q.loc / p.rate + q.loc:square() * 0.5) / var
end)
register(continuous.Laplace, Normal, function(p, q)
  local var = q.scale:square()
  local ratio = p.scale:square() / var
  return -(ratio * (2 / pi)):log() * 0.5 + ratio + (p.loc:square() * 0.5 - p.loc * q.loc + q.loc:square() * 0.5) / var - 1
end)
register(Normal, continuous.Laplace, function(p, q)
  local d = p.loc - q.loc
  local r = d / p.scale
  local off = p.scale * sqrt(2 / pi) * (r:square() * -0.5):exp() + d * (r * sqrt(0.5)):erf()
  return -(p.scale / q.scale):log() + off / q.scale - 0.5 * (1 + log(pi / 2))
end)

return kl
