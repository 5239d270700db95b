-- batches: goes over tensors in batches, in order or shuffled. A loader is an object that `for` calls: each loop over it
-- is one epoch with an order of its own, `break` needs no care, and #loader is the number of batches. One loop at a time:
-- for another within it, make another loader.
--
--   local loader = data.batches{x, y, size = 64, shuffle = true}
--   for epoch = 1, 10 do
--     for xb, yb in loader do ... end
--   end

local neap = require "neap.core"
local check = require "neap.check"

local Batches = {__name = "neap.Batches"}
Batches.__index = Batches

local known = {"size", "shuffle", "drop_last", "generator", "map"}

--- A loader over the tensors in the array part, which share the size of dimension 1. Options: size (32), shuffle
--- (false), drop_last (false: a last batch that is smaller comes too), generator (of the order; else Neap's own), map: a
--- function that gets each batch's tensors and returns what the loop gets instead (augmentation, conversion).
function Batches.new(options)
  if type(options) ~= "table" then
    check.fail("data.batches: takes a table, as in data.batches{x, y, size = 64}, not %s", check.describe(options))
  end
  check.options("data.batches", options, known)
  if #options == 0 then check.fail "data.batches: no tensors given, as in data.batches{x, y, size = 64}" end
  local n
  for i, tensor in ipairs(options) do
    if not neap.is_tensor(tensor) or tensor:dim() == 0 then
      check.fail("data.batches: entry %d is %s, not a tensor with rows", i, check.describe(tensor))
    end
    n = n or #tensor
    if #tensor ~= n then check.fail("data.batches: tensor %d has %d rows, tensor 1 has %d", i, #tensor, n) end
  end
  if options.map ~= nil then check.kind("data.batches: map", options.map, "function") end
  local size = options.size or 32
  if math.type(size) ~= "integer" or size < 1 then
    check.fail("data.batches: size is a whole number from 1 on, not %s", check.describe(size))
  end
  local self = setmetatable({
    tensors = {table.unpack(options)}, n = n, size = size, shuffle = options.shuffle, drop_last = options.drop_last,
    map = options.map, position = 0,
  }, Batches)
  self.random = options.generator and {generator = options.generator} or nil
  return self
end

--- The number of batches of an epoch.
function Batches:__len()
  return self.drop_last and self.n // self.size or (self.n + self.size - 1) // self.size
end

--- Starts a new epoch, with a new order when shuffled. A loop does this by itself.
function Batches:reset()
  self.position = 0
  -- Kept, as the scope that is open may be that of one step.
  self.order = self.shuffle and neap.keep(neap.randperm(self.n, self.random)) or nil
end

--- The tensors of the next batch; nil at the epoch's end.
function Batches:next()
  local from = self.position
  local n = math.min(self.size, self.n - from)
  if n <= 0 or n < self.size and self.drop_last then return nil end
  self.position = from + n
  local tensors, order = self.tensors, self.order
  if order then order = order:narrow(1, from + 1, n) end
  local function batch(i)
    local tensor = tensors[i]
    if not tensor then return end
    if order then
      tensor = tensor:index_select(1, order)
    else
      tensor = tensor:narrow(1, from + 1, n)
    end
    return tensor, batch(i + 1)
  end
  if self.map then return self.map(batch(1)) end
  return batch(1)
end

--- What `for` calls: without a value from the last turn, a loop begins.
function Batches:__call(_, last)
  if last == nil then self:reset() end
  return self:next()
end

function Batches:__tostring()
  return ("Batches(%d x %d%s)"):format(#self, self.size, self.shuffle and ", shuffled" or "")
end

return Batches
