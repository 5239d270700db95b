-- data: sets of samples and how to go over them. A set is a table of tensors that share the size of dimension 1, by
-- custom {x = inputs, y = targets}. Files that are not there give nil and a message; wrong use raises.

local neap = require "neap.core"
local check = require "neap.check"

local data = {
  batches = require "neap.data.batches".new,
  digits = require "neap.data.digits",
  mnist = require "neap.data.mnist",
  csv = require "neap.data.csv",
}
for name, f in pairs(require "neap.data.mix") do data[name] = f end

-- The number of rows of a set.
local function rows(what, set)
  local n, of
  for name, tensor in pairs(check.kind(what .. ": the set", set, "table")) do
    if not neap.is_tensor(tensor) or tensor:dim() == 0 then
      check.fail("%s: '%s' of the set is %s, not a tensor with rows", what, name, check.describe(tensor))
    end
    if n and n ~= #tensor then check.fail("%s: '%s' has %d rows, '%s' has %d", what, name, #tensor, of, n) end
    n, of = #tensor, name
  end
  return n or check.fail("%s: the set is empty; it is a table of tensors, as in {x = inputs, y = targets}", what)
end

--- The rows of a set that `index` (positions, int64) names: a new set.
function data.select(set, index)
  rows("data.select", set)
  local out = {}
  for name, tensor in pairs(set) do out[name] = tensor:index_select(1, index) end
  return out
end

--- Splits a set in two: data.split(set, 0.8) -> train, test. fraction of the rows goes to the first, chosen at random
--- unless options.shuffle is false; options.generator for the choice.
function data.split(set, fraction, options)
  options = check.options("data.split", options, {"shuffle", "generator"})
  local n = rows("data.split", set)
  local first = math.floor(n * check.kind("data.split: the fraction", fraction, "number") + 0.5)
  if not (first >= 1 and first < n) then
    check.fail("data.split: %s of %d rows leaves one side empty; give a fraction such as 0.8", fraction, n)
  end
  local order = options.shuffle == false and neap.range(1, n):to "int64"
    or neap.randperm(n, {generator = options.generator})
  return data.select(set, order:narrow(1, 1, first)), data.select(set, order:narrow(1, first + 1, n - first))
end

--- Cross-validation: for i, train, test in data.folds(set, 5) do ... end. Each row is in one of the k test sets. Options
--- as for data.split.
function data.folds(set, k, options)
  options = check.options("data.folds", options, {"shuffle", "generator"})
  local n = rows("data.folds", set)
  if math.type(k) ~= "integer" or k < 2 or k > n then
    check.fail("data.folds: %s folds of %d rows; give a whole number from 2 to %d", tostring(k), n, n)
  end
  local order = options.shuffle == false and neap.range(1, n):to "int64"
    or neap.randperm(n, {generator = options.generator})
  return function(_, i)
    i = i + 1
    if i > k then return nil end
    local first, last = (i - 1) * n // k, i * n // k -- the test set is rows first + 1 .. last of the order
    local rest = neap.cat({order:narrow(1, 1, first), order:narrow(1, last + 1, n - last)}, 1)
    return i, data.select(set, rest), data.select(set, order:narrow(1, first + 1, last - first))
  end, nil, 0
end

--- Scales columns to mean 0 and deviation 1: x (N, ...) -> y, scale, where scale(z) does the same, with x's mean and
--- deviation, to other data. A column that is constant stays 0.
function data.standardise(x)
  local mean = x:mean(1, true)
  local deviation = x:std(1, {correction = 0, keepdim = true})
  deviation = neap.where(deviation:gt(0), deviation, neap.ones_like(deviation))
  local function scale(z) return (z - mean) / deviation end
  return scale(x), scale
end

--- Shifts each image of x, (N, H, W) or (N, C, H, W), by up to `pixels` rows and columns, at random and filled with 0;
--- generator optional. For augmentation, in the map of data.batches.
function data.shift(x, pixels, generator)
  local shape = neap.is_tensor(x) and x.shape
  if not shape or #shape ~= 3 and #shape ~= 4 then
    check.fail("data.shift: images are (N, H, W) or (N, C, H, W), not %s", shape and tostring(shape) or check.describe(x))
  end
  if math.type(pixels) ~= "integer" or pixels < 0 then
    check.fail("data.shift: pixels is a whole number from 0 on, not %s", check.describe(pixels))
  end
  local n, options = #shape, {generator = generator}
  local out = neap.pad(x, {pixels, pixels, pixels, pixels})
  for dim = n - 1, n do
    local size, index, all = shape[dim], {shape[1], 1, 1, 1}, table.move(out.shape, 1, n, 1, {})
    local from = neap.randint(0, 2 * pixels + 1, {shape[1], 1}, options)
    index[dim], index[n + 1], all[dim] = size, nil, size
    out = out:gather(dim, (from + neap.arange(1, size + 1)):reshape(index):expand(all))
  end
  return out
end

return check.named("data", data)
