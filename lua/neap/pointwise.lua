-- pointwise: what rows need of Lua, elementwise ones above all. Ops that are another op depending on their arguments, and
-- PyTorch's second names: one table of name to op, which functions, methods, in-place methods and help all read.

local core = require "neap.core"
local check = require "neap.check"

local methods = core.tensor_methods

-- ---- one name, several ops ----

-- Puts f in the place of the function and method `name`; f gets the one that was there as its first argument.
local function wrap(name, f)
  local plain = core[name]
  local function wrapped(...) return f(plain, ...) end
  core[name], methods[name] = wrapped, wrapped
end

local divisions = {
  [""] = {floor = core.floor_divide, trunc = core.trunc_divide},
  _ = {floor = core.floor_divide_, trunc = core.trunc_divide_},
}

-- div(x, z, {rounding_mode = "floor" or "trunc"})
for suffix, rounded in pairs(divisions) do
  wrap("div" .. suffix, function(plain, x, z, mode, ...)
    if mode == nil then return plain(x, z, ...) end
    if type(mode) == "table" and getmetatable(mode) == nil then
      for key in pairs(mode) do
        if key ~= "rounding_mode" then
          check.fail("div%s: unknown option '%s'%s; it has rounding_mode", suffix, tostring(key), check.hint(key, {"rounding_mode"}))
        end
      end
      mode = mode.rounding_mode
      if mode == nil then return plain(x, z) end
    end
    if not rounded[mode] then
      check.fail("div%s: rounding_mode is 'floor', 'trunc' or nil, not %s", suffix, check.describe(mode))
    end
    return rounded[mode](x, z)
  end)
end

-- clamp(x, min, max): numbers go to the row, a tensor among them to clamp_min and clamp_max.
for _, suffix in ipairs {"", "_"} do
  local at_least, at_most = core["clamp_min" .. suffix], core["clamp_max" .. suffix]
  wrap("clamp" .. suffix, function(plain, x, min, max, ...)
    local low, high = min, max
    local options = type(min) == "table" and getmetatable(min) == nil
    if options then low, high = min.min, min.max end
    if not (core.is_tensor(low) or core.is_tensor(high)) then
      if options and max == nil then return plain(x, min) end
      return plain(x, min, max, ...)
    end
    if low ~= nil then x = at_least(x, low) end
    if high ~= nil then x = at_most(x, high) end
    return x
  end)
end

-- where(condition, x, z): x where the condition holds, else z. where(condition): the positions where it holds, as a list
-- of index tensors, one a dimension.
wrap("where", function(plain, condition, ...)
  if select("#", ...) > 0 then return plain(condition, ...) end
  return core.atleast_1d(condition):nonzero():unbind(2)
end)

--- As a method where takes its arguments in PyTorch's order, x:where(condition, other): x where the condition holds, else
--- other. x:where() is neap.where(x).
function methods.where(x, condition, ...)
  if condition == nil and select("#", ...) == 0 then return core.where(x) end
  if not core.is_tensor(condition) or condition.dtype ~= "bool" then
    check.fail("x:where(condition, other): the condition is a bool tensor, not %s; neap.where(condition, x, other) has it first",
      core.is_tensor(condition) and condition.dtype or check.describe(condition))
  end
  return core.where(condition, x, ...)
end

-- A factor for each dimension of an image, as the size that they make: the factors must make whole ones, since from the
-- size alone a row could not tell which factor was meant.
local function size_of(x, factors)
  local lead, size = x:dim() - #factors, {}
  if lead ~= 2 then check.fail("interpolate: %d factors for an image of %d dimensions", #factors, math.max(x:dim() - 2, 0)) end
  for d, factor in ipairs(factors) do
    local n = x:size(lead + d) * check.kind("interpolate: scale_factor", factor, "number")
    size[d] = math.tointeger(n)
    if not size[d] then check.fail("interpolate: factor %s of dimension %d makes a size of %s: give the size", factor, lead + d, n) end
  end
  return size
end

local function is_list(value) return type(value) == "table" and getmetatable(value) == nil and #value > 0 end

-- interpolate(x, size, scale_factor, ...): a list has a factor for each dimension of the image.
wrap("interpolate", function(plain, x, size, factor, ...)
  if is_list(factor) and core.is_tensor(x) then return plain(x, size or size_of(x, factor), nil, ...) end
  if type(size) == "table" and getmetatable(size) == nil and is_list(size.scale_factor) and core.is_tensor(x) then
    local options = {}
    for name, value in pairs(size) do options[name] = value end
    options.size, options.scale_factor = options.size or size_of(x, size.scale_factor), nil
    return plain(x, options)
  end
  return plain(x, size, factor, ...)
end)

-- tensor_split(x, where): the number of parts or the positions may stand in a tensor.
wrap("tensor_split", function(plain, x, where, ...)
  if core.is_tensor(where) then where = where:dim() == 0 and where:item() or where:totable() end
  return plain(x, where, ...)
end)

-- tensordot(x, other, {{1, 2}, {2, 1}}): the dimensions that meet, pair by pair.
wrap("tensordot", function(plain, x, other, dims, ...)
  if type(dims) == "table" and type(dims[1]) == "table" then
    if #dims ~= 2 or select("#", ...) > 0 then check.fail "tensordot: dims is a number, or two lists of dimensions that go in pairs" end
    return plain(x, other, {dims_x = dims[1], dims_other = dims[2]})
  end
  return plain(x, other, dims, ...)
end)

methods.map = core.map

--- x itself, as Lua has no unary plus.
function core.positive(x) return x end
methods.positive = core.positive

-- ---- second names ----

core.aliases = {
  absolute = "abs", negative = "neg", multiply = "mul", subtract = "sub", divide = "div", true_divide = "div",
  greater = "gt", greater_equal = "ge", less = "lt", less_equal = "le", not_equal = "ne", clip = "clamp", fix = "trunc",
  sgn = "sign", arcsin = "asin", arccos = "acos", arctan = "atan", arctan2 = "atan2", arcsinh = "asinh",
  arccosh = "acosh", arctanh = "atanh", expit = "sigmoid", psi = "digamma", gammaln = "lgamma",
  trapz = "trapezoid", inverse = "inv", concatenate = "cat", nll_loss2d = "nll_loss",
}
for alias, name in pairs(core.aliases) do
  for _, suffix in ipairs {"", "_"} do
    local f = core[name .. suffix]
    core[alias .. suffix], methods[alias .. suffix] = f, methods[name .. suffix]
  end
end
