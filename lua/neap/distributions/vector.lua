-- vector: distributions whose one outcome is a vector or more: Dirichlet, MultivariateNormal, and Independent, which counts
-- dimensions of another distribution's batch as its event.

local core = require "neap.core"
local check = require "neap.check"
local base = require "neap.distributions.base"

local is, class, expanded = base.constraints, base.class, base.expanded
local log, pi = math.log, math.pi

-- ---- Dirichlet(concentration): the last dimension holds the categories ----

local Dirichlet = class("Dirichlet", {"concentration"})
function Dirichlet:init(given)
  if given.concentration == nil then check.fail "Dirichlet: concentration is missing" end
  self.concentration, self.batch_shape = base.broadcast_all("Dirichlet", Dirichlet.names, given, {concentration = 1})
  self.dtype, self.event_shape = self.concentration.dtype, {self.concentration:size(-1)}
  if self.validate then base.require("Dirichlet: concentration", self.concentration, is.positive) end
end
Dirichlet.has_rsample, Dirichlet.support = true, is.simplex
function Dirichlet:draw(shape, options)
  return core.dirichlet(expanded(self.concentration, shape), {generator = options.generator})
end
function Dirichlet:log_prob(x)
  local a = self.concentration
  return (a - 1):xlogy(self:value(x)):sum(-1) + a:sum(-1):lgamma() - a:lgamma():sum(-1)
end
function Dirichlet:entropy()
  local a, k = self.concentration, self.event_shape[1]
  local sum = a:sum(-1)
  return a:lgamma():sum(-1) - sum:lgamma() - (k - sum) * sum:digamma() - ((a - 1) * a:digamma()):sum(-1)
end
Dirichlet.properties.mean = function(self) return self.concentration / self.concentration:sum(-1, true) end
Dirichlet.properties.variance = function(self)
  local a = self.concentration
  local sum = a:sum(-1, true)
  return a * (sum - a) / (sum:square() * (sum + 1))
end

-- ---- MultivariateNormal(loc, covariance_matrix), or with precision_matrix or scale_tril by name ----

local MultivariateNormal = class("MultivariateNormal", {"loc", "covariance_matrix", "precision_matrix", "scale_tril"})
local forms = {"covariance_matrix", "precision_matrix", "scale_tril"}

-- The lower factor of the inverse of P = M M': with the order of rows and columns turned round, that of M's inverse.
local function tril_of_precision(p)
  local l = p:flip({-1, -2}):cholesky():flip({-1, -2}):transpose(-1, -2)
  local eye = core.eye(p:size(-1), {dtype = p.dtype})
  return core.solve_triangular(l, eye, false)
end

function MultivariateNormal:init(given)
  local key
  for _, form in ipairs(forms) do
    if given[form] ~= nil then
      if key then
        check.fail("MultivariateNormal: takes one of covariance_matrix, precision_matrix and scale_tril, not %s and %s", key, form)
      end
      key = form
    end
  end
  if not key or given.loc == nil then
    check.fail "MultivariateNormal: takes loc and one of covariance_matrix, precision_matrix and scale_tril"
  end
  local matrix
  self.loc, matrix, self.batch_shape = base.broadcast_all("MultivariateNormal", {"loc", key}, given, {loc = 1, [key] = 2})
  local k = self.loc:size(-1)
  self.dtype, self.event_shape, self.shown = self.loc.dtype, {k}, {"loc", key}
  if matrix:size(-1) ~= k or matrix:size(-2) ~= k then
    check.fail("MultivariateNormal: loc has %d elements, so %s must be %d by %d, it is %d by %d", k, key, k, k,
      matrix:size(-2), matrix:size(-1))
  end
  rawset(self, key, matrix)
  if self.validate then
    base.require("MultivariateNormal: loc", self.loc, is.real)
    if key == "scale_tril" then
      base.require("MultivariateNormal: the diagonal of scale_tril", matrix:diagonal(0, -2, -1), is.positive)
      base.require("MultivariateNormal: scale_tril over its diagonal", matrix, {"0", function(x) return x:triu(1):eq(0) end})
    else
      base.require("MultivariateNormal: " .. key, matrix, {"symmetric", function(x)
        return (x - x:transpose(-1, -2)):abs():le(1e-6)
      end})
    end
  end
  if key == "covariance_matrix" then self.factor = matrix:cholesky()
  elseif key == "precision_matrix" then self.factor = tril_of_precision(matrix)
  else self.factor = matrix end
end
MultivariateNormal.has_rsample, MultivariateNormal.support = true, is.real
MultivariateNormal.properties.scale_tril = function(self) return self.factor end
MultivariateNormal.properties.covariance_matrix = function(self) return self.factor:matmul(self.factor:transpose(-1, -2)) end
MultivariateNormal.properties.precision_matrix = function(self)
  local inverse = core.solve_triangular(self.factor, core.eye(self.event_shape[1], {dtype = self.dtype}), false)
  return inverse:transpose(-1, -2):matmul(inverse)
end
MultivariateNormal.properties.mean = function(self) return self.loc end
MultivariateNormal.properties.mode = MultivariateNormal.properties.mean
MultivariateNormal.properties.variance = function(self)
  return self.factor:square():sum(-1):expand(base.joined(self.batch_shape, self.event_shape))
end
function MultivariateNormal:draw(shape, options)
  local z = core.randn(shape, {dtype = self.dtype, generator = options.generator})
  return self.loc + self.factor:matmul(z:unsqueeze(-1)):squeeze(-1)
end

--- Squares of the lengths of d (..., k) after L^-1, for L (batch..., k, k).
function base.mahalanobis(l, d)
  local y = core.solve_triangular(l, d:unsqueeze(-1), false)
  return y:square():sum({-1, -2})
end
--- Half the logarithm of the determinant of L L'.
function base.half_log_det(l) return l:diagonal(0, -2, -1):log():sum(-1) end

function MultivariateNormal:log_prob(x)
  local m = base.mahalanobis(self.factor, self:value(x) - self.loc)
  return (m + self.event_shape[1] * log(2 * pi)) * -0.5 - base.half_log_det(self.factor)
end
function MultivariateNormal:entropy()
  local h = base.half_log_det(self.factor) + 0.5 * self.event_shape[1] * (1 + log(2 * pi))
  return expanded(h, self.batch_shape)
end

-- ---- Independent(distribution, n): the last n dimensions of its batch are one event ----

local Independent = class("Independent", {"base", "n"})
function Independent:init(given)
  local d, n = given.base, given.n
  if type(d) ~= "table" or not d.batch_shape then check.fail("Independent: takes a distribution, not %s", check.describe(d)) end
  if math.type(n) ~= "integer" or n < 0 or n > #d.batch_shape then
    check.fail("Independent: takes how many of the %d batch dimensions are one event, not %s", #d.batch_shape, check.describe(n))
  end
  self.base, self.n, self.dtype, self.has_rsample = d, n, d.dtype, d.has_rsample
  self.batch_shape = table.move(d.batch_shape, 1, #d.batch_shape - n, 1, {})
  self.event_shape = base.joined(table.move(d.batch_shape, #d.batch_shape - n + 1, #d.batch_shape, 1, {}), d.event_shape)
end
function Independent:expand(batch_shape)
  local shape = base.sizes("Independent:expand", batch_shape)
  return Independent(self.base:expand(base.joined(shape, {table.unpack(self.base.batch_shape, #self.batch_shape + 1)})), self.n)
end
function Independent:draw(shape, options) return self.base:draw(shape, options) end
local function summed(self, x)
  if self.n == 0 then return x end
  local dims = {}
  for i = 1, self.n do dims[i] = -i end
  return x:sum(dims)
end
function Independent:log_prob(x) return summed(self, self.base:log_prob(x)) end
function Independent:entropy() return summed(self, self.base:entropy()) end
Independent.summed = summed
Independent.properties.mean = function(self) return self.base.mean end
Independent.properties.variance = function(self) return self.base.variance end

return {Dirichlet = Dirichlet, MultivariateNormal = MultivariateNormal, Independent = Independent}
