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

-- The order in which n rows are dealt out: at random, or as they stand.
local function order_of(n, options)
  return options.shuffle == false and neap.range(1, n):to "int64" or neap.randperm(n, {generator = options.generator})
end

-- The classes that options.stratify names: a tensor (N), or the name of the set's.
local function classes_of(what, set, n, stratify)
  local classes = stratify
  if type(stratify) == "string" then classes = set[stratify] end
  if not neap.is_tensor(classes) or #classes.shape ~= 1 or #classes ~= n then
    check.fail("%s: stratify is the name of the set's classes, or a tensor of %d classes, not %s", what, n,
      neap.is_tensor(classes) and "of shape " .. tostring(classes.shape) or check.describe(stratify))
  end
  return classes
end

-- Parts of a set: part_of(i) says which one the i-th of n rows belongs to, and rows(k) gives those of part k, in the order that
-- was drawn. With classes the rows are dealt class by class, so that each part gets its share of each.
local function dealt(order, classes, part_of)
  local n, list = #order, order:totable()
  local by_class = classes and order:index_select(1, classes:index_select(1, order):argsort(1, {stable = true})):totable() or list
  local part = {}
  for i = 1, n do part[by_class[i]] = part_of(i) end
  return function(k, others)
    local rows_of = {}
    for i = 1, n do
      if (part[list[i]] == k) ~= (others or false) then rows_of[#rows_of + 1] = list[i] end
    end
    return neap.tensor(rows_of, {dtype = "int64"})
  end
end

--- Splits a set in two: data.split(set, 0.8) -> train, test, sets that data.batches takes as they are:
--- data.batches(train, {size = 64}). fraction of the rows goes to the first, chosen at random unless options.shuffle is false;
--- options.generator for the choice; options.stratify, the name of the set's classes or a tensor of them, gives both sides the
--- same share of each class.
function data.split(set, fraction, options)
  options = check.options("data.split", options, {"shuffle", "generator", "stratify"})
  local n = rows("data.split", set)
  local first = math.floor(n * check.kind("data.split: the fraction", fraction, "number") + 0.5)
  if not (first >= 1 and first < n) then
    check.fail("data.split: %s of %d rows leaves one side empty; give a fraction such as 0.8", fraction, n)
  end
  local classes = options.stratify ~= nil and classes_of("data.split", set, n, options.stratify)
  local order = order_of(n, options)
  if not classes then return data.select(set, order:narrow(1, 1, first)), data.select(set, order:narrow(1, first + 1, n - first)) end
  local part = dealt(order, classes, function(i) return i * first // n > (i - 1) * first // n end)
  return data.select(set, part(true)), data.select(set, part(false))
end

--- Cross-validation: for i, train, test in data.folds(set, 5) do ... end. Each row is in one of the k test sets. Options
--- as for data.split.
function data.folds(set, k, options)
  options = check.options("data.folds", options, {"shuffle", "generator", "stratify"})
  local n = rows("data.folds", set)
  if math.type(k) ~= "integer" or k < 2 or k > n then
    check.fail("data.folds: %s folds of %d rows; give a whole number from 2 to %d", tostring(k), n, n)
  end
  local classes = options.stratify ~= nil and classes_of("data.folds", set, n, options.stratify)
  local order = order_of(n, options)
  local part = dealt(order, classes, function(i) return classes and (i - 1) % k + 1 or (i * k - 1) // n + 1 end)
  return function(_, i)
    i = i + 1
    if i > k then return nil end
    return i, data.select(set, part(i, true)), data.select(set, part(i))
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

-- Image i of x, `up[i]` rows and `left[i]` columns from where it was, in ops that a gradient goes through at once: a window
-- of the image with a margin.
local function shifted(x, pixels, up, left)
  local padded, images, n = neap.pad(x, {pixels, pixels, pixels, pixels}), {}, #x.shape
  for i = 1, #x do
    images[i] = padded:select(1, i):narrow(-2, pixels + up[i] + 1, x.shape[n - 1]):narrow(-1, pixels + left[i] + 1, x.shape[n])
  end
  return neap.stack(images, 1)
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
  local options, H, W = {generator = generator}, shape[#shape - 1], shape[#shape]
  local up = neap.randint(-pixels, pixels + 1, {shape[1]}, options):totable()
  local left = neap.randint(-pixels, pixels + 1, {shape[1]}, options):totable()
  if #x > 0 and x.requires_grad and neap.is_grad_enabled() then return shifted(x, pixels, up, left) end
  local out = neap.zeros_like(x)
  for i = 1, #x do
    local dy, dx = up[i], left[i]
    local h, w = H - math.abs(dy), W - math.abs(dx)
    if h > 0 and w > 0 then
      local from = x:select(1, i):narrow(-2, 1 + math.max(dy, 0), h):narrow(-1, 1 + math.max(dx, 0), w)
      out:select(1, i):narrow(-2, 1 + math.max(-dy, 0), h):narrow(-1, 1 + math.max(-dx, 0), w):copy_(from)
    end
  end
  return out
end

return check.named("data", data)
