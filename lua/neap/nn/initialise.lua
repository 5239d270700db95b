-- initialise: nn.init, which fills tensors with first values, in place and unrecorded. Each function returns its tensor.
-- Settings follow the tensor in PyTorch's order, or stand in a table by name; `generator` only there.

local core = require "neap.core"
local check = require "neap.check"

local init = {}

-- nn.init.NAME_(tensor, ...): names of the settings in order, their defaults, and fill(tensor, settings), which returns
-- what is copied into the tensor (nil when it was filled).
local function define(name, names, defaults, fill)
  local what = "nn.init." .. name
  local known = {"generator", table.unpack(names)}
  init[name] = function(tensor, ...)
    local first = ...
    if not core.is_tensor(tensor) then check.fail("%s: takes a tensor, not %s", what, check.describe(tensor)) end
    local settings = setmetatable({}, {__index = defaults})
    if type(first) == "table" then
      check.options(what, first, known)
      for key, value in pairs(first) do settings[key] = value end
    else
      local given = table.pack(...)
      if given.n > math.max(1, #names) then
        check.fail("%s: has %d settings, not %d: %s", what, #names, given.n, table.concat(names, ", "))
      end
      for i, key in ipairs(names) do settings[key] = given[i] end
    end
    for _, key in ipairs(names) do
      if type(defaults[key]) == "number" then check.kind(what .. ": " .. key, settings[key], "number") end
    end
    local _ <close> = core.no_grad()
    local values = fill(tensor, settings)
    if values then tensor:copy_(values) end
    return tensor
  end
end

local function shaped(tensor, settings)
  local dtype = tostring(tensor.dtype)
  return tensor.shape, {dtype = dtype:find "float" and dtype or nil, generator = settings.generator}
end

local function uniform(tensor, settings, low, high)
  local shape, options = shaped(tensor, settings)
  return core.rand(shape, options):mul_(high - low):add_(low)
end

local function normal(tensor, settings, mean, std)
  local shape, options = shaped(tensor, settings)
  return core.randn(shape, options):mul_(std):add_(mean)
end

--- U(a, b): a = 0, b = 1.
define("uniform_", {"a", "b"}, {a = 0, b = 1}, function(t, s) return uniform(t, s, s.a, s.b) end)
--- N(mean, std^2): mean = 0, std = 1.
define("normal_", {"mean", "std"}, {mean = 0, std = 1}, function(t, s) return normal(t, s, s.mean, s.std) end)
--- All the same value.
define("constant_", {"value"}, {value = 0}, function(t, s) t:fill_(s.value) end)
--- All 0.
define("zeros_", {}, {}, function(t) t:fill_(0) end)
--- All 1.
define("ones_", {}, {}, function(t) t:fill_(1) end)

--- The identity, of a tensor of two dimensions: ones where row and column are equal, else zeros.
define("eye_", {}, {}, function(t)
  if #t.shape ~= 2 then check.fail("nn.init.eye_: takes a tensor of 2 dimensions, not %d", #t.shape) end
  return core.eye(t.shape[1], t.shape[2])
end)

--- Weights (out, in, ...) of a convolution that hands its input on, channel by channel, in each of groups (1).
define("dirac_", {"groups"}, {groups = 1}, function(t, s)
  local shape = t.shape
  if #shape < 3 or #shape > 5 then check.fail("nn.init.dirac_: takes a tensor of 3 to 5 dimensions, not %d", #shape) end
  if math.type(s.groups) ~= "integer" or s.groups < 1 or shape[1] % s.groups ~= 0 then
    check.fail("nn.init.dirac_: %s groups do not divide %d output channels", s.groups, shape[1])
  end
  t:fill_(0)
  local each, middle = shape[1] // s.groups, {}
  for i = 3, #shape do middle[i - 2] = shape[i] // 2 + 1 end
  for group = 0, s.groups - 1 do
    for channel = 1, math.min(each, shape[2]) do t[{group * each + channel, channel, table.unpack(middle)}] = 1 end
  end
end)

--- N(0, std^2), and in each column of a tensor of two dimensions a share `sparsity` of zeros (Martens, 2010); std = 0.01.
define("sparse_", {"sparsity", "std"}, {sparsity = 0.1, std = 0.01}, function(t, s)
  if #t.shape ~= 2 then check.fail("nn.init.sparse_: takes a tensor of 2 dimensions, not %d", #t.shape) end
  if s.sparsity < 0 or s.sparsity > 1 then check.fail("nn.init.sparse_: sparsity is from 0 to 1, not %g", s.sparsity) end
  local rows, columns = t.shape[1], t.shape[2]
  local zeros = math.ceil(rows * s.sparsity)
  local values = normal(t, s, 0, s.std)
  for column = 1, columns do
    values:select(2, column):index_put_({core.randperm(rows, {generator = s.generator}):narrow(1, 1, zeros)}, 0)
  end
  return values
end)

-- The standard normal distribution function.
local function phi(z)
  return (1 + core.erf(z / math.sqrt(2))) / 2
end

--- N(mean, std^2) cut to [a, b]: mean = 0, std = 1, a = -2, b = 2. Draws a probability and inverts the distribution
--- function by halving.
define("trunc_normal_", {"mean", "std", "a", "b"}, {mean = 0, std = 1, a = -2, b = 2}, function(t, s)
  if s.a >= s.b then check.fail("nn.init.trunc_normal_: a = %g is not below b = %g", s.a, s.b) end
  local low, high = (s.a - s.mean) / s.std, (s.b - s.mean) / s.std
  local bounds = phi(core.tensor({low, high}, {dtype = "float64"})):totable()
  local p = core.rand(t.shape, {dtype = "float64", generator = s.generator})
  p:mul_(bounds[2] - bounds[1]):add_(bounds[1])
  low = core.full(t.shape, math.max(low, -10), {dtype = "float64"})
  high = core.full(t.shape, math.min(high, 10), {dtype = "float64"})
  for _ = 1, 45 do
    local _ <close> = core.scope()
    local middle = (low + high):mul_(0.5)
    local below = phi(middle):lt(p)
    low:copy_(core.where(below, middle, low))
    high:copy_(core.where(below, high, middle))
  end
  return low:mul_(s.std):add_(s.mean)
end)

-- Inputs and outputs of one unit: for weights (out, in, ...), the rest being a receptive field.
local function fans(what, tensor)
  local shape = tensor.shape
  if #shape < 2 then check.fail("%s: takes a tensor of 2 or more dimensions, not %d", what, #shape) end
  local field = 1
  for i = 3, #shape do field = field * shape[i] end
  return shape[2] * field, shape[1] * field
end

local function xavier(what, tensor, gain)
  local fan_in, fan_out = fans(what, tensor)
  return gain * math.sqrt(2 / (fan_in + fan_out))
end

--- U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010): gain = 1.
define("xavier_uniform_", {"gain"}, {gain = 1}, function(t, s)
  local bound = math.sqrt(3) * xavier("nn.init.xavier_uniform_", t, s.gain)
  return uniform(t, s, -bound, bound)
end)

--- N(0, gain^2 2 / (fan_in + fan_out)) (Glorot and Bengio, 2010): gain = 1.
define("xavier_normal_", {"gain"}, {gain = 1}, function(t, s)
  return normal(t, s, 0, xavier("nn.init.xavier_normal_", t, s.gain))
end)

local gains = {
  linear = 1, identity = 1, sigmoid = 1, tanh = 5 / 3, relu = math.sqrt(2), selu = 3 / 4,
  conv1d = 1, conv2d = 1, conv3d = 1, conv_transpose1d = 1, conv_transpose2d = 1, conv_transpose3d = 1,
}

--- By how much a nonlinearity shrinks what goes through, to be undone by the weights. parameter: leaky_relu's slope.
function init.calculate_gain(nonlinearity, parameter)
  if nonlinearity == "leaky_relu" then return math.sqrt(2 / (1 + (parameter or 0.01) ^ 2)) end
  local gain = gains[nonlinearity]
  if not gain then
    local names = {"leaky_relu"}
    for name in pairs(gains) do names[#names + 1] = name end
    table.sort(names)
    check.fail("nn.init: no gain is known for %s%s; for %s", check.describe(nonlinearity),
      check.hint(nonlinearity, names), table.concat(names, ", "))
  end
  return gain
end

local function kaiming(what, tensor, settings)
  local fan_in, fan_out = fans(what, tensor)
  local fan = settings.mode == "fan_in" and fan_in or settings.mode == "fan_out" and fan_out
    or check.fail("%s: mode is 'fan_in' or 'fan_out', not %s", what, check.describe(settings.mode))
  return init.calculate_gain(settings.nonlinearity, settings.a) / math.sqrt(fan)
end

local kaiming_names = {"a", "mode", "nonlinearity"}
local kaiming_defaults = {a = 0, mode = "fan_in", nonlinearity = "leaky_relu"}

--- U(-b, b), b = gain sqrt(3 / fan) (He et al., 2015): a = 0 (leaky_relu's slope), mode = "fan_in", nonlinearity =
--- "leaky_relu".
define("kaiming_uniform_", kaiming_names, kaiming_defaults, function(t, s)
  local bound = math.sqrt(3) * kaiming("nn.init.kaiming_uniform_", t, s)
  return uniform(t, s, -bound, bound)
end)

--- N(0, gain^2 / fan) (He et al., 2015): settings as kaiming_uniform_.
define("kaiming_normal_", kaiming_names, kaiming_defaults, function(t, s)
  return normal(t, s, 0, kaiming("nn.init.kaiming_normal_", t, s))
end)

--- Rows (or columns, whichever are fewer) orthogonal and of length gain, from a normal matrix (Saxe et al., 2013), by
--- Gram and Schmidt, each projection taken twice. gain = 1; dimensions from the second on count as one.
define("orthogonal_", {"gain"}, {gain = 1}, function(t, s)
  fans("nn.init.orthogonal_", t)
  local rows = t.shape[1]
  local columns = t:numel() // math.max(1, rows)
  local small, large = math.min(rows, columns), math.max(rows, columns)
  local a = core.randn({small, large}, {dtype = "float64", generator = s.generator})
  for i = 1, small do
    local _ <close> = core.scope()
    local v = a:select(1, i)
    if i > 1 then
      local before = a:narrow(1, 1, i - 1)
      for _ = 1, 2 do v:sub_(before:matmul(v):matmul(before)) end
    end
    v:div_(v:norm())
  end
  if rows > columns then a = a:t() end
  return a:mul_(s.gain):reshape(t.shape)
end)

return check.named("nn.init", init)
