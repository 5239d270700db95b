-- discrete: distributions of a whole number, and of a category, which counts from 1.

local core = require "neap.core"
local check = require "neap.check"
local base = require "neap.distributions.base"

local is, class, parameters, expanded = base.constraints, base.class, base.parameters, base.expanded

-- log of one over the dtype's smallest is as low as a logarithm of a probability goes.
local function lowest(dtype) return dtype == "float64" and -1.7976931348623157e308 or -3.4028234663852886e38 end

-- log(1 - p) and log p of a yes with logits.
local function no(logits) return (-logits):logsigmoid() end

-- Fills self.probs or self.logits, whichever was given, and the other when it is asked for.
local function yes_or_no(c, names)
  function c:init(given)
    local key = base.probs_or_logits(c.name, given)
    local list, constraints = {}, {probs = is.probability, logits = is.real, total_count = is.count}
    for _, name in ipairs(names) do
      if name ~= "probs" and name ~= "logits" or name == key then list[#list + 1] = name end
    end
    if given.total_count == nil and c.defaults then given.total_count = c.defaults.total_count end
    local values = {base.broadcast_all(c.name, list, given)}
    self.batch_shape = values[#values]
    for i, name in ipairs(list) do
      rawset(self, name, values[i])
      if self.validate then base.require(c.name .. ": " .. name, values[i], constraints[name]) end
    end
    self.dtype = self[key].dtype
    self.shown = list
  end
  c.properties.probs = function(self) return self.logits:sigmoid() end
  c.properties.logits = function(self)
    local p = base.clamped(self.probs)
    return p:log() - (-p):log1p()
  end
end

-- ---- Bernoulli(probs) or Bernoulli{logits = ...} ----

local Bernoulli = class("Bernoulli", {"probs", "logits"})
yes_or_no(Bernoulli, {"probs", "logits"})
Bernoulli.support = is.bool
function Bernoulli:draw(shape, options) return expanded(self.probs, shape):bernoulli({generator = options.generator}) end
function Bernoulli:log_prob(x)
  x = self:value(x)
  local l = self.logits
  return x * l + no(l)
end
function Bernoulli:entropy()
  local l = self.logits
  return -(self.probs * l + no(l))
end
Bernoulli.properties.mean = function(self) return self.probs end
Bernoulli.properties.variance = function(self) return self.probs * (1 - self.probs) end

-- ---- Binomial(total_count = 1, probs) or Binomial{total_count = n, logits = ...} ----

local Binomial = class("Binomial", {"total_count", "probs", "logits"})
Binomial.defaults = {total_count = 1}
yes_or_no(Binomial, {"total_count", "probs", "logits"})
local binomial_init = Binomial.init
function Binomial:init(given)
  binomial_init(self, given)
  self.support = {"a whole number from 0 to total_count", function(x)
    return is.count[2](x):logical_and(x:le(self.total_count))
  end}
end
function Binomial:draw(shape, options)
  return core.binomial(expanded(self.total_count, shape), self.probs, {generator = options.generator})
end
function Binomial:log_prob(x)
  x = self:value(x)
  local n, l = self.total_count, self.logits
  return (n + 1):lgamma() - (x + 1):lgamma() - (n - x + 1):lgamma() + x * l + n * no(l)
end
function Binomial:entropy() -- the sum over all counts
  local n = self.total_count:max():item()
  if self.total_count:min():item() ~= n then check.fail "Binomial: entropy needs one total_count for all" end
  local shape = {math.tointeger(n) + 1}
  for i = 1, #self.batch_shape do shape[i + 1] = 1 end
  local l = self:log_prob(core.arange(math.tointeger(n) + 1, {dtype = self.dtype}):reshape(shape))
  return -(l:exp() * l):sum(1)
end
Binomial.properties.mean = function(self) return self.total_count * self.probs end
Binomial.properties.variance = function(self) return self.total_count * self.probs * (1 - self.probs) end

-- ---- Geometric(probs) or Geometric{logits = ...}: failures before the first success ----

local Geometric = class("Geometric", {"probs", "logits"})
yes_or_no(Geometric, {"probs", "logits"})
local geometric_init = Geometric.init
function Geometric:init(given)
  geometric_init(self, given)
  if self.validate and rawget(self, "probs") then base.require("Geometric: probs", self.probs, is.positive) end
end
Geometric.support = is.count
function Geometric:draw(shape, options)
  local e = core.empty(shape, {dtype = self.dtype}):exponential_(1, {generator = options.generator})
  return (e / -(-self.probs):log1p()):floor()
end
function Geometric:log_prob(x)
  x = self:value(x)
  local p = self.probs
  p = core.where(p:eq(1):logical_and(x:eq(0)), core.zeros_like(p), p)
  return x * (-p):log1p() + self.probs:log()
end
function Geometric:entropy()
  local l, p = self.logits, self.probs
  return -(p * l + no(l)) / p
end
Geometric.properties.mean = function(self) return self.probs:reciprocal() - 1 end
Geometric.properties.variance = function(self) return (self.probs:reciprocal() - 1) / self.probs end

-- ---- Poisson(rate) ----

local Poisson = class("Poisson", {"rate"})
parameters(Poisson, {rate = is.nonnegative})
Poisson.support = is.count
function Poisson:draw(shape, options) return core.poisson(expanded(self.rate, shape), {generator = options.generator}) end
function Poisson:log_prob(x)
  x = self:value(x)
  return x:xlogy(self.rate) - self.rate - (x + 1):lgamma()
end
Poisson.properties.mean = function(self) return self.rate end
Poisson.properties.variance = Poisson.properties.mean

-- ---- Categorical(probs) or Categorical{logits = ...}: the last dimension holds the categories, 1 .. K ----

local Categorical = class("Categorical", {"probs", "logits"})
function Categorical:init(given)
  local key = base.probs_or_logits("Categorical", given)
  local x, batch = base.broadcast_all("Categorical", {key}, given, {[key] = 1})
  self.batch_shape, self.dtype, self.shown = batch, x.dtype, {key}
  self.categories = x:size(-1)
  if self.validate then
    base.require("Categorical: " .. key, x, key == "probs" and is.nonnegative or is.real)
    if key == "probs" then base.require("Categorical: the sum of probs", x:sum(-1), is.positive) end
  end
  rawset(self, key, key == "probs" and x / x:sum(-1, true) or x:log_softmax(-1))
  local k = self.categories
  self.support = {("a category from 1 to %d"):format(k), function(v) return v:ge(1):logical_and(v:le(k)):logical_and(v:eq(v:floor())) end}
end
Categorical.properties.probs = function(self) return self.logits:softmax(-1) end
Categorical.properties.logits = function(self) return base.clamped(self.probs):log() end
function Categorical:draw(shape, options)
  local n, k = 1, self.categories
  for i = 1, #shape - #self.batch_shape do n = n * shape[i] end
  if n == 0 then return core.zeros(shape, {dtype = "int64"}) end
  return self.probs:reshape(-1, k):multinomial(n, true, {generator = options.generator}):t():reshape(shape)
end
function Categorical:log_prob(x)
  if type(x) == "number" then x = core.tensor(x) end
  if not core.is_tensor(x) then check.fail("Categorical: the value must be a tensor or a number, got %s", check.describe(x)) end
  if self.validate then base.require("Categorical: the value", x, self.support) end
  local logits = self.logits
  local shape = (core.zeros(x.shape, {dtype = "int8"}) + core.zeros(self.batch_shape, {dtype = "int8"})).shape
  logits = logits:expand(base.joined(shape, {self.categories}))
  return logits:gather(-1, x:to("int64"):expand(shape):unsqueeze(-1)):squeeze(-1)
end
function Categorical:entropy() return -(self.logits:clamp(lowest(self.dtype)) * self.probs):sum(-1) end
Categorical.properties.mean = function(self) return core.full(self.batch_shape, 0 / 0, {dtype = self.dtype}) end
Categorical.properties.variance = Categorical.properties.mean
Categorical.properties.mode = function(self) return self.probs:argmax(-1) end

return {Bernoulli = Bernoulli, Binomial = Binomial, Geometric = Geometric, Poisson = Poisson, Categorical = Categorical}
