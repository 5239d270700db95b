-- batches: goes over samples in batches, in order, shuffled or drawn by weights. A loader is an object that `for` calls: each
-- loop over it is one epoch with an order of its own; loops may stand in each other, `break` needs no care, and #loader is
-- the number of batches.
--
--   local loader = data.batches{x, y, size = 64, shuffle = true}
--   for epoch = 1, 10 do
--     for xb, yb in loader do ... end
--   end

local neap = require "neap.core"
local check = require "neap.check"

local Batches = {__name = "neap.Batches"}
Batches.__index = Batches

local known = {"size", "batch_size", "shuffle", "drop_last", "generator", "map", "collate", "weights"}
local is_known = {}
for _, name in ipairs(known) do is_known[name] = true end

local function is_column(value) return neap.is_tensor(value) and value:dim() > 0 end

-- What comes first: x, y, the rest by name.
local function before(a, b)
  local ranks = {x = 1, y = 2}
  local i, j = ranks[a] or 3, ranks[b] or 3
  return i < j or i == j and a < b
end

-- The array part of the first table, or the tensors of a set {x = ..., y = ...}; and the options of both tables.
local function read(given, more)
  if type(given) ~= "table" then
    check.fail("data.batches: takes a table, as in data.batches{x, y, size = 64}, not %s", check.describe(given))
  end
  local samples, columns, options = {table.unpack(given)}, {}, {}
  for key, value in pairs(given) do
    if type(key) == "string" then
      if #given == 0 and is_column(value) and not is_known[key] and not check.nearest(key, {"weights"}) then columns[#columns + 1] = key else options[key] = value end
    end
  end
  table.sort(columns, before)
  for i, name in ipairs(columns) do samples[i] = given[name] end
  check.options("data.batches", options, known)
  for key, value in pairs(check.options("data.batches", more, known)) do
    if options[key] ~= nil then check.fail("data.batches: %s is given twice", key) end
    options[key] = value
  end
  for key in pairs(more or {}) do
    if type(key) ~= "string" then check.fail "data.batches: the second table has options alone; tensors stand in the first: data.batches({x, y}, {size = 64})" end
  end
  if #samples == 0 then check.fail "data.batches: no tensors given, as in data.batches{x, y, size = 64}" end
  return samples, options
end

-- The number of rows that all columns share.
local function rows(columns)
  for i, tensor in ipairs(columns) do
    if not is_column(tensor) then
      check.fail("data.batches: entry %d is %s, not a tensor with rows", i, check.describe(tensor))
    end
    if #tensor ~= #columns[1] then
      check.fail("data.batches: tensor %d has %d rows, tensor 1 has %d%s", i, #tensor, #columns[1],
        "; samples of several lengths want a function that joins them: collate = nn.utils.pad_sequence")
    end
  end
  return #columns[1]
end

-- Weights as a vector of float64.
local function check_weights(weights, n)
  if weights == nil then return nil end
  if type(weights) == "table" then weights = neap.tensor(weights, {dtype = "float64"}) end
  if not is_column(weights) or #weights.shape ~= 1 or #weights ~= n then
    check.fail("data.batches: weights is a list or a tensor of %d numbers, one a row, not %s", n,
      neap.is_tensor(weights) and "of shape " .. tostring(weights.shape) or check.describe(weights))
  end
  weights = weights:detach():to "float64"
  if not (weights:ge(0):all():item() and weights:sum():item() > 0 and weights:isfinite():all():item()) then
    check.fail "data.batches: weights are numbers from 0 on, not all of them 0"
  end
  return neap.keep(weights)
end

--- A loader over the tensors in the array part, which share the size of dimension 1, or over those of a set {x = ..., y = ...}
--- as data.split gives (x first, then y, then the others by name). Options, there or in a second table: size (32; also
--- batch_size), shuffle (false), drop_last (false: a last batch that is smaller comes too), generator (of the order; else
--- Neap's own), weights (one a row: an epoch draws as many rows as there are, again and again, in proportion to them), map: a
--- function that gets each batch's tensors and returns what the loop gets instead (augmentation, conversion). With collate, a
--- function that gets a list of samples and returns a batch, the array part is a list of samples of any kind and length:
--- data.batches({t1, t2, t3}, {size = 2, collate = nn.utils.pad_sequence}).
function Batches.new(tensors, options)
  local samples
  samples, options = read(tensors, options)
  for _, name in ipairs{"map", "collate"} do check.kind("data.batches: " .. name, options[name], "function|nil") end
  for _, name in ipairs{"shuffle", "drop_last"} do check.kind("data.batches: " .. name, options[name], "boolean|nil") end
  if options.size ~= nil and options.batch_size ~= nil then check.fail "data.batches: size and batch_size are one option" end
  local size = options.size or options.batch_size or 32
  if math.type(size) ~= "integer" or size < 1 then
    check.fail("data.batches: size is a whole number from 1 on, not %s", check.describe(size))
  end
  local n = options.collate and #samples or rows(samples)
  local self = setmetatable({
    samples = samples, n = n, size = size, shuffle = options.shuffle, drop_last = options.drop_last, map = options.map,
    collate = options.collate, weights = check_weights(options.weights, n),
    loops = setmetatable({}, {__mode = "k"}), -- the loops that are open, by the first value that each gave last
  }, Batches)
  if self.weights and self.shuffle then check.fail "data.batches: weights draw rows at random; shuffle adds nothing" end
  self.random = options.generator and {generator = options.generator} or nil
  return self
end

--- The number of batches of an epoch.
function Batches:__len()
  return self.drop_last and self.n // self.size or (self.n + self.size - 1) // self.size
end

-- The order of one epoch; nil: as they stand. Kept, as the scope that is open may be that of one step.
local function order_of(self)
  if self.weights then
    return neap.keep(neap.multinomial(self.weights, self.n, true, self.random and self.random.generator))
  end
  return self.shuffle and neap.keep(neap.randperm(self.n, self.random)) or nil
end

-- Rows from + 1 .. from + n of the order: of each column, or of the samples, joined.
local function batch(self, order, from, n)
  local samples = self.samples
  if order then order = order:narrow(1, from + 1, n) end
  if self.collate then
    local list = order and order:totable() or table.move(samples, from + 1, from + n, 1, {})
    for i, position in ipairs(order and list or {}) do list[i] = samples[position] end
    return self.collate(list)
  end
  local function columns(i)
    local tensor = samples[i]
    if not tensor then return end
    if order then tensor = tensor:index_select(1, order) else tensor = tensor:narrow(1, from + 1, n) end
    return tensor, columns(i + 1)
  end
  return columns(1)
end

-- A nil from the user's function would end the loop.
local function something(what, first, ...)
  if first == nil then check.fail("data.batches: %s returned nothing; it returns what the loop gets", what) end
  return first, ...
end

--- One epoch of its own: a function that gives the next batch, nil at the end.
function Batches:iterate()
  local order, position = order_of(self), 0
  return function()
    local from = position
    local n = math.min(self.size, self.n - from)
    if n <= 0 or n < self.size and self.drop_last then return nil end
    position = from + n
    if self.map then return something("map", self.map(something("collate", batch(self, order, from, n)))) end
    return something("collate", batch(self, order, from, n))
  end
end

--- Starts a new epoch for loader:next(), with a new order when shuffled. A loop does this by itself.
function Batches:reset()
  self.current = self:iterate()
end

--- The tensors of the next batch of the epoch that loader:reset() began; nil at its end.
function Batches:next()
  if not self.current then self:reset() end
  return self.current()
end

-- What a loop is found by: NaN cannot be a key.
local function key_of(value) return value == value and value or Batches end

local function remember(loops, step, first, ...)
  if first ~= nil then loops[key_of(first)] = step end
  return first, ...
end

--- What `for` calls: without a value from the last turn, a loop begins. A loop is found again by the first value that it gave.
function Batches:__call(_, last)
  local loops = self.loops
  local step = last == nil and self:iterate() or loops[key_of(last)]
  if not step then
    check.fail("data.batches: two loops over one loader cannot be told apart, as map gave both %s; write `for x in loader:iterate()`",
      check.describe(last))
  end
  if last ~= nil then loops[key_of(last)] = nil end
  return remember(loops, step, step())
end

function Batches:__tostring()
  return ("Batches(%d x %d%s)"):format(#self, self.size, self.shuffle and ", shuffled" or self.weights and ", drawn" or "")
end

return Batches
