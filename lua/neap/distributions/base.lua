-- base: what all distributions share. A class is made by base.class(name, parameters): its parameters in PyTorch's order,
-- each with the constraint it must meet. Construction brings them to one shape and dtype and checks them; the class then
-- gives rsample or sample, log_prob and what else it has, and `properties` (mean, variance, ...) that are read as fields.

local core = require "neap.core"
local check = require "neap.check"

local base = {}

-- ---- constraints: {what is asked for, a test that is true where it holds} ----

local function whole(x) return x:eq(x:floor()) end

base.constraints = {
  real = {"a number", function(x) return x:eq(x) end},
  positive = {"over 0", function(x) return x:gt(0) end},
  nonnegative = {"at least 0", function(x) return x:ge(0) end},
  probability = {"from 0 to 1", function(x) return x:ge(0):logical_and(x:le(1)) end},
  inside = {"over 0 and under 1", function(x) return x:gt(0):logical_and(x:lt(1)) end},
  bool = {"0 or 1", function(x) return x:eq(0):logical_or(x:eq(1)) end},
  count = {"a whole number from 0 on", function(x) return x:ge(0):logical_and(whole(x)) end},
  simplex = {"at least 0 and sum to 1 along the last dimension", function(x)
    return x:ge(0):logical_and((x:sum(-1, true) - 1):abs():lt(1e-6 * (x.dtype == "float64" and 1 or 10)))
  end},
}

--- Raises unless the constraint holds for all of x.
function base.require(what, x, constraint)
  local _ <close> = core.no_grad()
  local _ <close> = core.scope()
  local good = constraint[2](x)
  if good:all():item() then return end
  local bad = x:expand(good.shape):masked_select(good:logical_not())
  check.fail("%s must be %s, but it holds %g", what, constraint[1], bad[1]:item())
end

-- ---- shapes ----

--- The list a, then the elements of b.
function base.joined(a, b)
  local out = table.move(a, 1, #a, 1, {})
  return table.move(b, 1, #b, #out + 1, out)
end

function base.same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function broadcast(what, shapes)
  local n = 0
  for _, s in ipairs(shapes) do n = math.max(n, #s) end
  local out = {}
  for i = 1, n do
    out[i] = 1
    for _, s in ipairs(shapes) do
      local size = s[#s - n + i] or 1
      if size ~= 1 then
        if out[i] ~= 1 and out[i] ~= size then
          check.fail("%s: the parameters' shapes do not broadcast: %d against %d in dimension %d", what, out[i], size, i)
        end
        out[i] = size
      end
    end
  end
  return out
end

--- Sizes as a list of numbers: nil is none, a number one.
function base.sizes(what, value)
  if value == nil then return {} end
  if math.type(value) == "integer" then value = {value} end
  local kind, list = type(value), {}
  local ok = kind == "table" or kind == "userdata" and not core.is_tensor(value)
  for i = 1, ok and #value or 0 do
    list[i] = value[i]
    ok = ok and math.type(list[i]) == "integer" and list[i] >= 0
  end
  if not ok then check.fail("%s: the shape is a list of sizes, not %s", what, check.describe(value)) end
  return list
end

--- A parameter as a tensor of floats: numbers and lists become one, of the dtype of those that are tensors.
local function tensors(what, names, given)
  local dtype
  for _, name in ipairs(names) do
    local v = given[name]
    if core.is_tensor(v) and v:is_floating_point() then
      dtype = dtype and core.promote(dtype, v.dtype) or v.dtype
    end
  end
  local out = {}
  for i, name in ipairs(names) do
    local v = given[name]
    if core.is_tensor(v) then
      out[i] = v:is_floating_point() and v or v:to(dtype or "float32")
    elseif type(v) == "number" or type(v) == "table" and getmetatable(v) == nil then
      out[i] = core.tensor(v, {dtype = dtype or "float32"})
    else
      check.fail("%s: %s must be a tensor or a number, got %s", what, name, check.describe(v))
    end
  end
  return out
end

--- Those of given[name] for the names, as tensors of one shape that is returned behind them. event[name]: how many of the
--- last dimensions do not take part.
function base.broadcast_all(what, names, given, event)
  local list = tensors(what, names, given)
  local shapes, tails = {}, {}
  for i, x in ipairs(list) do
    local n, shape, tail = event and event[names[i]] or 0, {}, {}
    if #x.shape < n then
      check.fail("%s: %s must have %d dimension%s at least, it has %d", what, names[i], n, n == 1 and "" or "s", #x.shape)
    end
    for d = 1, #x.shape do
      if d <= #x.shape - n then shape[#shape + 1] = x.shape[d] else tail[#tail + 1] = x.shape[d] end
    end
    shapes[i], tails[i] = shape, tail
  end
  local shape = broadcast(what, shapes)
  for i, x in ipairs(list) do
    local whole_shape = base.joined(shape, tails[i])
    if not base.same(whole_shape, x.shape) then list[i] = x:expand(whole_shape) end
  end
  list[#list + 1] = shape
  return table.unpack(list)
end

-- ---- classes ----

local Distribution = {has_rsample = false}
base.Distribution = Distribution

--- The shape of a sample of the given extra sizes.
function Distribution:extended(shape)
  return base.joined(base.joined(base.sizes(self.name .. ":sample", shape), self.batch_shape), self.event_shape)
end

local sample_options = {"generator"}

--- Numbers of the distribution, of shape (..., batch_shape..., event_shape...), without a gradient. Option: generator.
function Distribution:sample(shape, options)
  options = check.options(self.name .. ":sample", options, sample_options)
  local _ <close> = core.no_grad()
  return self:draw(self:extended(shape), options)
end

--- The same with a gradient to the parameters.
function Distribution:rsample(shape, options)
  if not self.has_rsample then check.fail("%s has no rsample: its numbers carry no gradient", self.name) end
  options = check.options(self.name .. ":rsample", options, sample_options)
  return self:draw(self:extended(shape), options)
end

--- The same distribution with a larger batch: its parameters seen in that shape, without a copy.
function Distribution:expand(batch_shape)
  local shape = base.sizes(self.name .. ":expand", batch_shape)
  local new = setmetatable({}, getmetatable(self))
  for key, value in next, self do
    new[key] = core.is_tensor(value) and value:expand(base.joined(shape, {table.unpack(value.shape, #self.batch_shape + 1)})) or value
  end
  new.batch_shape = shape
  return new
end

--- A value to be measured: a tensor of the parameters' dtype that lies within the support.
function Distribution:value(x)
  if type(x) == "number" then x = core.tensor(x, {dtype = self.dtype}) end
  if not core.is_tensor(x) then check.fail("%s: the value must be a tensor or a number, got %s", self.name, check.describe(x)) end
  if not x:is_floating_point() then x = x:to(self.dtype) end
  if self.validate and self.support then base.require(self.name .. ": the value", x, self.support) end
  return x
end

local function missing(name)
  return function(self) check.fail("%s has no %s", self.name, name) end
end
for _, name in ipairs {"log_prob", "entropy", "cdf", "icdf"} do Distribution[name] = missing(name) end

Distribution.properties = {
  stddev = function(self) return self.variance:sqrt() end,
}

local function text(self)
  local parts = {}
  for _, name in ipairs(self.shown or self.names) do
    local v = self[name]
    if core.is_tensor(v) then
      parts[#parts + 1] = ("%s: %s"):format(name, v:numel() == 1 and ("%g"):format(v:item()) or tostring(v.shape))
    end
  end
  return ("%s(%s)"):format(self.name, table.concat(parts, ", "))
end

-- The arguments of a constructor by name: one after the other, or a table by name, which may also follow them.
local function arguments(name, names, ...)
  local known = base.joined(names, {"validate"})
  local given, n = {}, select("#", ...)
  local last = n > 0 and select(n, ...)
  if type(last) == "table" and getmetatable(last) == nil and last[1] == nil and next(last) ~= nil then
    for key, v in pairs(check.options(name, last, known)) do given[key] = v end
    n = n - 1
  end
  if n > #names then check.fail("%s: takes %d arguments at most, got %d", name, #names, n) end
  for i = 1, n do
    local v = select(i, ...)
    if v ~= nil then given[names[i]] = v end
  end
  return given
end

--- A class whose constructor takes `names`, lays them by name into a table, and calls class.init(self, given).
function base.class(name, names)
  local class = setmetatable({name = name, names = names, properties = setmetatable({}, {__index = Distribution.properties})},
    {__index = Distribution})
  local meta = {__tostring = text, __name = name}
  function meta.__index(self, key)
    local v = class[key]
    if v ~= nil then return v end
    local property = class.properties[key]
    return property and property(self)
  end
  getmetatable(class).__call = function(_, ...)
    local given = arguments(name, names, ...)
    local self = setmetatable({class = class, validate = given.validate ~= false, event_shape = {}, batch_shape = {}}, meta)
    class.init(self, given)
    return self
  end
  return class
end

--- init of a class whose parameters all are needed and broadcast; constraints by name.
function base.parameters(class, constraints)
  function class:init(given)
    for _, name in ipairs(class.names) do
      if given[name] == nil and class.defaults and class.defaults[name] then given[name] = class.defaults[name] end
      if given[name] == nil then check.fail("%s: %s is missing", class.name, name) end
    end
    local list = {base.broadcast_all(class.name, class.names, given)}
    self.batch_shape = list[#list]
    self.dtype = list[1].dtype
    for i, name in ipairs(class.names) do
      self[name] = list[i]
      if list[i].dtype ~= self.dtype then self.dtype = core.promote(self.dtype, list[i].dtype) end
      if self.validate and constraints[name] then base.require(class.name .. ": " .. name, list[i], constraints[name]) end
    end
  end
end

--- One of two ways to say probabilities: given.probs or given.logits, not both; the one that is there, and its name.
function base.probs_or_logits(name, given)
  if (given.probs == nil) == (given.logits == nil) then check.fail("%s: takes probs or logits, one of them", name) end
  return given.probs ~= nil and "probs" or "logits"
end

local epsilon = {float64 = 2.220446049250313e-16, float32 = 1.1920928955078125e-07, float16 = 0.0009765625, bfloat16 = 0.0078125}

--- Probabilities kept off 0 and 1 by the dtype's epsilon.
function base.clamped(probs)
  local eps = epsilon[probs.dtype]
  return probs:clamp(eps, 1 - eps)
end

function base.eps(dtype) return epsilon[dtype] end

--- x along the sizes in front.
function base.expanded(x, shape) return base.same(x.shape, shape) and x or x:expand(shape) end

return base
