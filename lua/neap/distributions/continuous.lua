-- continuous: distributions of one real number.

local core = require "neap.core"
local base = require "neap.distributions.base"

local is, class, parameters, expanded = base.constraints, base.class, base.parameters, base.expanded
local log, pi, sqrt = math.log, math.pi, math.sqrt

local EULER = 0.57721566490153286061

local function uniform(self, shape, options)
  return core.rand(shape, {dtype = self.dtype, generator = options.generator})
end
local function standard_normal(self, shape, options)
  return core.randn(shape, {dtype = self.dtype, generator = options.generator})
end
-- Uniform numbers of (0, 1), never 0.
local function open_uniform(self, shape, options) return base.clamped(uniform(self, shape, options)) end

-- ---- Normal(loc, scale) ----

local Normal = class("Normal", {"loc", "scale"})
parameters(Normal, {loc = is.real, scale = is.positive})
Normal.has_rsample, Normal.support = true, is.real
function Normal:draw(shape, options) return self.loc + standard_normal(self, shape, options) * self.scale end
function Normal:log_prob(x)
  x = self:value(x)
  return ((x - self.loc) / self.scale):square() * -0.5 - self.scale:log() - 0.5 * log(2 * pi)
end
function Normal:entropy() return self.scale:log() + (0.5 + 0.5 * log(2 * pi)) end
function Normal:cdf(x) return (((self:value(x) - self.loc) / (self.scale * sqrt(2))):erf() + 1) * 0.5 end
function Normal:icdf(p) return self.loc + self.scale * (p * 2 - 1):erfinv() * sqrt(2) end
Normal.properties.mean = function(self) return self.loc end
Normal.properties.mode = Normal.properties.mean
Normal.properties.variance = function(self) return self.scale:square() end
Normal.properties.stddev = function(self) return self.scale end

-- ---- LogNormal(loc, scale): exp of a normal number ----

local LogNormal = class("LogNormal", {"loc", "scale"})
parameters(LogNormal, {loc = is.real, scale = is.positive})
LogNormal.has_rsample, LogNormal.support = true, is.positive
local function base_of(self) return Normal(self.loc, self.scale, {validate = false}) end
function LogNormal:draw(shape, options) return (self.loc + standard_normal(self, shape, options) * self.scale):exp() end
function LogNormal:log_prob(x)
  local l = self:value(x):log()
  return base_of(self):log_prob(l) - l
end
function LogNormal:entropy() return base_of(self):entropy() + self.loc end
function LogNormal:cdf(x) return base_of(self):cdf(self:value(x):log()) end
function LogNormal:icdf(p) return base_of(self):icdf(p):exp() end
LogNormal.properties.base = base_of
LogNormal.properties.mean = function(self) return (self.loc + self.scale:square() * 0.5):exp() end
LogNormal.properties.mode = function(self) return (self.loc - self.scale:square()):exp() end
LogNormal.properties.variance = function(self)
  local square = self.scale:square()
  return square:expm1() * (self.loc * 2 + square):exp()
end

-- ---- Uniform(low, high) ----

local Uniform = class("Uniform", {"low", "high"})
parameters(Uniform, {low = is.real, high = is.real})
local uniform_init = Uniform.init
function Uniform:init(given)
  uniform_init(self, given)
  self.support = {"between low and high", function(x) return x:ge(self.low):logical_and(x:le(self.high)) end}
  if self.validate then base.require("Uniform: high - low", self.high - self.low, is.positive) end
end
Uniform.has_rsample = true
function Uniform:draw(shape, options) return self.low + uniform(self, shape, options) * (self.high - self.low) end
function Uniform:log_prob(x)
  x = self:value(x)
  local inside = x:ge(self.low):logical_and(x:lt(self.high)):to(self.dtype)
  return inside:log() - (self.high - self.low):log()
end
function Uniform:entropy() return (self.high - self.low):log() end
function Uniform:cdf(x) return ((self:value(x) - self.low) / (self.high - self.low)):clamp(0, 1) end
function Uniform:icdf(p) return self.low + p * (self.high - self.low) end
Uniform.properties.mean = function(self) return (self.high + self.low) * 0.5 end
Uniform.properties.variance = function(self) return (self.high - self.low):square() / 12 end
Uniform.properties.stddev = function(self) return (self.high - self.low) / sqrt(12) end

-- ---- Laplace(loc, scale) ----

local Laplace = class("Laplace", {"loc", "scale"})
parameters(Laplace, {loc = is.real, scale = is.positive})
Laplace.has_rsample, Laplace.support = true, is.real
function Laplace:draw(shape, options)
  local u = open_uniform(self, shape, options) - 0.5
  return self.loc - self.scale * u:sign() * (u:abs() * -2):log1p()
end
function Laplace:log_prob(x) return -(self.scale * 2):log() - (self:value(x) - self.loc):abs() / self.scale end
function Laplace:entropy() return (self.scale * 2):log() + 1 end
function Laplace:cdf(x)
  local d = self:value(x) - self.loc
  return -(d:sign() * (-d:abs() / self.scale):expm1() * 0.5) + 0.5
end
function Laplace:icdf(p)
  local t = p - 0.5
  return self.loc - self.scale * t:sign() * (t:abs() * -2):log1p()
end
Laplace.properties.mean = function(self) return self.loc end
Laplace.properties.mode = Laplace.properties.mean
Laplace.properties.variance = function(self) return self.scale:square() * 2 end
Laplace.properties.stddev = function(self) return self.scale * sqrt(2) end

-- ---- Cauchy(loc, scale) ----

local Cauchy = class("Cauchy", {"loc", "scale"})
parameters(Cauchy, {loc = is.real, scale = is.positive})
Cauchy.has_rsample, Cauchy.support = true, is.real
function Cauchy:draw(shape, options)
  return self.loc + core.empty(shape, {dtype = self.dtype}):cauchy_(0, 1, {generator = options.generator}) * self.scale
end
function Cauchy:log_prob(x)
  return -(self.scale:log() + ((self:value(x) - self.loc) / self.scale):square():log1p() + log(pi))
end
function Cauchy:entropy() return self.scale:log() + log(4 * pi) end
function Cauchy:cdf(x) return ((self:value(x) - self.loc) / self.scale):atan() / pi + 0.5 end
function Cauchy:icdf(p) return ((p - 0.5) * pi):tan() * self.scale + self.loc end
Cauchy.properties.mean = function(self) return core.full_like(self.loc, 0 / 0) end
Cauchy.properties.mode = function(self) return self.loc end
Cauchy.properties.variance = function(self) return core.full_like(self.loc, math.huge) end

-- ---- Gumbel(loc, scale) ----

local Gumbel = class("Gumbel", {"loc", "scale"})
parameters(Gumbel, {loc = is.real, scale = is.positive})
Gumbel.has_rsample, Gumbel.support = true, is.real
function Gumbel:draw(shape, options)
  local e = core.empty(shape, {dtype = self.dtype}):exponential_(1, {generator = options.generator})
  return self.loc - self.scale * e:log()
end
function Gumbel:log_prob(x)
  local y = (self.loc - self:value(x)) / self.scale
  return y - y:exp() - self.scale:log()
end
function Gumbel:entropy() return self.scale:log() + (1 + EULER) end
function Gumbel:cdf(x) return (-((self.loc - self:value(x)) / self.scale):exp()):exp() end
function Gumbel:icdf(p) return self.loc - self.scale * (-p:log()):log() end
Gumbel.properties.mean = function(self) return self.loc + self.scale * EULER end
Gumbel.properties.mode = function(self) return self.loc end
Gumbel.properties.variance = function(self) return self.scale:square() * (pi * pi / 6) end
Gumbel.properties.stddev = function(self) return self.scale * (pi / sqrt(6)) end

-- ---- Exponential(rate) ----

local Exponential = class("Exponential", {"rate"})
parameters(Exponential, {rate = is.positive})
Exponential.has_rsample, Exponential.support = true, is.nonnegative
function Exponential:draw(shape, options)
  return core.empty(shape, {dtype = self.dtype}):exponential_(1, {generator = options.generator}) / self.rate
end
function Exponential:log_prob(x) return self.rate:log() - self.rate * self:value(x) end
function Exponential:entropy() return -self.rate:log() + 1 end
function Exponential:cdf(x) return -(-self.rate * self:value(x)):expm1() end
function Exponential:icdf(p) return -(-p):log1p() / self.rate end
Exponential.properties.mean = function(self) return self.rate:reciprocal() end
Exponential.properties.stddev = Exponential.properties.mean
Exponential.properties.mode = function(self) return core.zeros_like(self.rate) end
Exponential.properties.variance = function(self) return self.rate:square():reciprocal() end

-- ---- Gamma(concentration, rate) ----

local Gamma = class("Gamma", {"concentration", "rate"})
parameters(Gamma, {concentration = is.positive, rate = is.positive})
Gamma.has_rsample, Gamma.support = true, is.nonnegative
function Gamma:draw(shape, options)
  return core.standard_gamma(expanded(self.concentration, shape), {generator = options.generator}) / self.rate
end
function Gamma:log_prob(x)
  x = self:value(x)
  local c, r = self.concentration, self.rate
  return c:xlogy(r) + (c - 1):xlogy(x) - r * x - c:lgamma()
end
function Gamma:entropy()
  local c = self.concentration
  return c - self.rate:log() + c:lgamma() + (1 - c) * c:digamma()
end
function Gamma:cdf(x) return self.concentration:gammainc(self.rate * self:value(x)) end
Gamma.properties.mean = function(self) return self.concentration / self.rate end
Gamma.properties.mode = function(self) return ((self.concentration - 1) / self.rate):clamp(0) end
Gamma.properties.variance = function(self) return self.concentration / self.rate:square() end

-- ---- Beta(concentration1, concentration0) ----

local Beta = class("Beta", {"concentration1", "concentration0"})
parameters(Beta, {concentration1 = is.positive, concentration0 = is.positive})
Beta.has_rsample, Beta.support = true, is.probability
function Beta:draw(shape, options)
  return core.beta(expanded(self.concentration1, shape), self.concentration0, {generator = options.generator})
end
function Beta:log_prob(x)
  x = self:value(x)
  local a, b = self.concentration1, self.concentration0
  return (a - 1):xlogy(x) + (b - 1):xlogy(1 - x) + (a + b):lgamma() - a:lgamma() - b:lgamma()
end
function Beta:entropy()
  local a, b = self.concentration1, self.concentration0
  local sum = a + b
  return a:lgamma() + b:lgamma() - sum:lgamma() - (a - 1) * a:digamma() - (b - 1) * b:digamma() + (sum - 2) * sum:digamma()
end
Beta.properties.mean = function(self) return self.concentration1 / (self.concentration1 + self.concentration0) end
Beta.properties.variance = function(self)
  local a, b = self.concentration1, self.concentration0
  local sum = a + b
  return a * b / (sum:square() * (sum + 1))
end

-- ---- StudentT(df, loc = 0, scale = 1) ----

local StudentT = class("StudentT", {"df", "loc", "scale"})
StudentT.defaults = {loc = 0, scale = 1}
parameters(StudentT, {df = is.positive, loc = is.real, scale = is.positive})
StudentT.has_rsample, StudentT.support = true, is.real
function StudentT:draw(shape, options) -- a normal number over the root of a chi-square one over df
  local z = standard_normal(self, shape, options)
  local chi = core.standard_gamma(expanded(self.df, shape) * 0.5, {generator = options.generator}) * 2
  return self.loc + self.scale * z * (chi / self.df):rsqrt()
end
function StudentT:log_prob(x)
  local y, df = (self:value(x) - self.loc) / self.scale, self.df
  local z = self.scale:log() + df:log() * 0.5 + 0.5 * log(pi) + (df * 0.5):lgamma() - ((df + 1) * 0.5):lgamma()
  return (df + 1) * -0.5 * (y:square() / df):log1p() - z
end
function StudentT:entropy()
  local df, up = self.df, (self.df + 1) * 0.5
  local beta = (df * 0.5):lgamma() + 0.5 * log(pi) - up:lgamma()
  return self.scale:log() + up * (up:digamma() - (df * 0.5):digamma()) + df:log() * 0.5 + beta
end
StudentT.properties.mean = function(self) return core.where(self.df:le(1), core.full_like(self.loc, 0 / 0), self.loc) end
StudentT.properties.mode = function(self) return self.loc end
StudentT.properties.variance = function(self)
  local df, square = self.df, self.scale:square()
  local v = core.where(df:gt(2), square * df / (df - 2), core.full_like(square, math.huge))
  return core.where(df:le(1), core.full_like(square, 0 / 0), v)
end

return {Normal = Normal, LogNormal = LogNormal, Uniform = Uniform, Laplace = Laplace, Cauchy = Cauchy, Gumbel = Gumbel,
  Exponential = Exponential, Gamma = Gamma, Beta = Beta, StudentT = StudentT}
