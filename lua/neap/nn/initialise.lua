-- initialise: nn.init, which fills tensors with first values, in place and unrecorded. Each function returns its tensor. What
-- draws is C's (core.init_fill); here are the settings, and fills that need no more than indexing.
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

-- A fill by C's initialiser of that name; f(settings) -> its numbers, in order, and for kaiming the nonlinearity as the fifth.
local function by_c(way, f)
  return function(t, s) core.init_fill(way, t, s.generator, f(s)) end
end

--- U(a, b): a = 0, b = 1.
define("uniform_", {"a", "b"}, {a = 0, b = 1}, by_c("uniform", function(s) return s.a, s.b end))
--- N(mean, std^2): mean = 0, std = 1.
define("normal_", {"mean", "std"}, {mean = 0, std = 1}, by_c("normal", function(s) return s.mean, s.std end))
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
  core.init_fill("normal", t, s.generator, 0, s.std)
  local values = t:detach()
  for column = 1, columns do
    values:select(2, column):index_put_({core.randperm(rows, {generator = s.generator}):narrow(1, 1, zeros)}, 0)
  end
end)

--- N(mean, std^2) cut to [a, b]: mean = 0, std = 1, a = -2, b = 2.
define("trunc_normal_", {"mean", "std", "a", "b"}, {mean = 0, std = 1, a = -2, b = 2},
  by_c("trunc_normal", function(s) return s.mean, s.std, s.a, s.b end))

local function gain_of(s) return s.gain end

--- U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010): gain = 1.
define("xavier_uniform_", {"gain"}, {gain = 1}, by_c("xavier_uniform", gain_of))
--- N(0, gain^2 2 / (fan_in + fan_out)) (Glorot and Bengio, 2010): gain = 1.
define("xavier_normal_", {"gain"}, {gain = 1}, by_c("xavier_normal", gain_of))

--- By how much a nonlinearity shrinks what goes through, to be undone by the weights. parameter: leaky_relu's slope.
function init.calculate_gain(nonlinearity, parameter)
  return core.gain(check.kind("nn.init.calculate_gain: the nonlinearity", nonlinearity, "string"), parameter)
end

local kaiming_names = {"a", "mode", "nonlinearity"}
local kaiming_defaults = {a = 0, mode = "fan_in", nonlinearity = "leaky_relu"}

local function kaiming_of(s)
  if s.mode ~= "fan_in" and s.mode ~= "fan_out" then
    check.fail("nn.init: mode is 'fan_in' or 'fan_out', not %s", check.describe(s.mode))
  end
  return s.a, s.mode == "fan_out" and 1 or 0, 0, 0, check.kind("nn.init: the nonlinearity", s.nonlinearity, "string")
end

--- U(-b, b), b = gain sqrt(3 / fan) (He et al., 2015): a = 0 (leaky_relu's slope), mode = "fan_in", nonlinearity =
--- "leaky_relu".
define("kaiming_uniform_", kaiming_names, kaiming_defaults, by_c("kaiming_uniform", kaiming_of))
--- N(0, gain^2 / fan) (He et al., 2015): settings as kaiming_uniform_.
define("kaiming_normal_", kaiming_names, kaiming_defaults, by_c("kaiming_normal", kaiming_of))

--- Rows (or columns, whichever are fewer) orthogonal and of length gain, from a normal matrix (Saxe et al., 2013). gain = 1;
--- dimensions from the second on count as one.
define("orthogonal_", {"gain"}, {gain = 1}, by_c("orthogonal", gain_of))

return check.named("nn.init", init)
