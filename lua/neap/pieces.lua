-- pieces: what gives a list of tensors. A tensor cut into parts (split, chunk, unbind, tensor_split, hsplit, vsplit,
-- dsplit), several brought to one shape (broadcast_tensors, meshgrid), and the columns of nonzero (where of a condition
-- alone). All are views, or made of ops that record.

local core = require "neap.core"
local check = require "neap.check"

local methods = core.tensor_methods

local function whole(value) return math.type(value) == "integer" end

-- `n` positions of dim from `from` on; where n is 0, from may be one past the end.
local function cut(x, dim, from, n)
  return x:narrow(dim, n > 0 and from or 1, n)
end

-- ---- a tensor in parts ----

--- Pieces of `size` positions along dim (1), the last perhaps smaller; or of the sizes in a list. A list of views.
function methods:split(size, dim)
  dim = dim or 1
  local total, pieces, at = self:size(dim), {}, 1
  if type(size) == "table" then
    local sum = 0
    for i, n in ipairs(size) do
      if not whole(n) or n < 0 then check.fail("split: size %d of the list is %s, not a whole number from 0 on", i, check.describe(n)) end
      sum = sum + n
    end
    if sum ~= total then check.fail("split: the sizes add up to %d, dimension %d has %d", sum, dim, total) end
    for i, n in ipairs(size) do
      pieces[i], at = cut(self, dim, at, n), at + n
    end
    return pieces
  end
  if not whole(size) or size < 1 then
    check.fail("split: takes a size of 1 or more, or a list of sizes, not %s", check.describe(size))
  end
  repeat
    local n = math.min(size, total - at + 1)
    pieces[#pieces + 1], at = cut(self, dim, at, n), at + n
  until at > total
  return pieces
end

--- At most n pieces along dim (1), all of one size but the last. A list of views.
function methods:chunk(n, dim)
  if not whole(n) or n < 1 then check.fail("chunk: takes a number of pieces, not %s", check.describe(n)) end
  return self:split(math.max(1, (self:size(dim or 1) + n - 1) // n), dim)
end

--- A list of x's parts at each position of dim (1), which is gone from their shape.
function methods:unbind(dim)
  local parts = {}
  for i = 1, self:size(dim or 1) do parts[i] = self:select(dim or 1, i) end
  return parts
end

local function tensor_split(name, x, where, dim)
  local total, pieces = x:size(dim), {}
  if whole(where) then
    if where < 1 then check.fail("%s: takes a number of pieces of 1 or more, not %d", name, where) end
    local size, more, at = total // where, total % where, 1
    for i = 1, where do
      local n = size + (i <= more and 1 or 0)
      pieces[i], at = cut(x, dim, at, n), at + n
    end
    return pieces
  end
  if core.is_tensor(where) and where:dim() == 1 then where = where:totable() end
  if type(where) ~= "table" then
    check.fail("%s: takes a number of pieces or a list of positions, not %s", name, check.describe(where))
  end
  local at = 1
  for i = 1, #where + 1 do
    local stop = where[i] or total + 1
    if not whole(stop) or stop == 0 then
      check.fail("%s: position %d of the list is %s; positions count from 1, or from the end: -1 is the last", name, i, check.describe(stop))
    end
    if stop < 0 then stop = math.max(1, total + stop + 1) end
    stop = math.min(stop, total + 1)
    pieces[i], at = cut(x, dim, math.min(at, total + 1), math.max(0, stop - at)), stop
  end
  return pieces
end

--- n pieces along dim (1) whose sizes differ by 1 at most, or pieces that begin at 1 and at each position of a list.
function methods:tensor_split(where, dim) return tensor_split("tensor_split", self, where, dim or 1) end

local function even_split(name, least, dimension)
  --- As so many equal pieces, or cut at the positions of a list, as tensor_split does. A list of views.
  methods[name] = function(self, where)
    if self:dim() < least then
      check.fail("%s: x must have %d dimension%s or more, got %d", name, least, least > 1 and "s" or "", self:dim())
    end
    local dim = dimension(self)
    if whole(where) and where >= 1 and self:size(dim) % where ~= 0 then
      check.fail("%s: dimension %d has size %d, which is no multiple of %d pieces", name, dim, self:size(dim), where)
    end
    return tensor_split(name, self, where, dim)
  end
end

--- Pieces side by side: along dim 2, or dim 1 when there is no other.
even_split("hsplit", 1, function(x) return x:dim() == 1 and 1 or 2 end)
--- Pieces one below the other: along dim 1.
even_split("vsplit", 2, function() return 1 end)
--- Pieces one behind the other: along dim 3.
even_split("dsplit", 3, function() return 3 end)

for _, name in ipairs {"split", "chunk", "unbind", "tensor_split", "hsplit", "vsplit", "dsplit"} do
  core[name] = methods[name]
end

-- ---- several of one shape ----

-- The tensors of f(a, b, ...) or f({a, b, ...}), each with an optional table of options behind.
local function tensors_of(name, known, ...)
  local args, list, options = table.pack(...), {}, nil
  if type(args[args.n]) == "table" and #args[args.n] == 0 and next(args[args.n]) ~= nil then
    options, args.n = args[args.n], args.n - 1
  end
  if args.n == 1 and type(args[1]) == "table" then args = table.pack(table.unpack(args[1])) end
  for i = 1, args.n do
    if not core.is_tensor(args[i]) then check.fail("%s: argument %d is %s, not a tensor", name, i, check.describe(args[i])) end
    list[i] = args[i]
  end
  return list, check.options(name, options, known)
end

--- The shape that shapes broadcast to: lists of sizes in, a list of sizes out.
function core.broadcast_shapes(...)
  local shapes, out = table.pack(...), {}
  local longest = 0
  for i = 1, shapes.n do longest = math.max(longest, #check.kind("broadcast_shapes: a shape", shapes[i], "table")) end
  for d = 1, longest do
    out[d] = 1
    for i = 1, shapes.n do
      local size = shapes[i][d - longest + #shapes[i]] or 1
      if out[d] == 1 then out[d] = size
      elseif size ~= 1 and size ~= out[d] then
        check.fail("broadcast_shapes: shapes do not broadcast: dimension %d is %d against %d", d, out[d], size)
      end
    end
  end
  return out
end

--- The tensors seen in the shape that they broadcast to together. A list of views.
function core.broadcast_tensors(...)
  local list, shapes = tensors_of("broadcast_tensors", {}, ...), {}
  for i, x in ipairs(list) do shapes[i] = x.shape end
  local shape = core.broadcast_shapes(table.unpack(shapes))
  for i, x in ipairs(list) do list[i] = #shape > 0 and x:expand(shape) or x end
  return list
end

--- The coordinates of a grid over vectors: a list of tensors, one a vector, each with a dimension for every vector.
--- Options: indexing = "ij" (dimensions in the order of the vectors) or "xy" (the first two exchanged).
function core.meshgrid(...)
  local list, options = tensors_of("meshgrid", {"indexing"}, ...)
  local indexing = options.indexing or "ij"
  if indexing ~= "ij" and indexing ~= "xy" then check.fail("meshgrid: indexing is '%s'; there is ij, xy", tostring(indexing)) end
  local n, shape = #list, {}
  for i, x in ipairs(list) do
    if x:dim() > 1 then check.fail("meshgrid: tensor %d has %d dimensions, 1 is the most", i, x:dim()) end
    shape[i] = x:numel()
  end
  local order = {}
  for i = 1, n do order[i] = i end
  if indexing == "xy" and n > 1 then order[1], order[2] = 2, 1 end
  local sizes = {}
  for i = 1, n do sizes[i] = shape[order[i]] end
  for i, x in ipairs(list) do
    local own = {}
    for d = 1, n do own[d] = order[d] == i and shape[i] or 1 end
    list[i] = x:reshape(own):expand(sizes)
  end
  return list
end

-- ---- where a condition holds ----

local choose = core.where

--- where(condition, x, z): x where the condition holds, else z. where(condition): the positions where it holds, as a list
--- of index tensors, one a dimension.
function core.where(condition, ...)
  if select("#", ...) > 0 then return choose(condition, ...) end
  local at = core.atleast_1d(condition):nonzero()
  local columns = {}
  for d = 1, at:size(2) do columns[d] = at:select(2, d) end
  return columns
end
methods.where = core.where
