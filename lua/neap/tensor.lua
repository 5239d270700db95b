-- tensor: what tensors get from Lua. Reading and writing with brackets by tables, masks and index tensors; conversions by
-- name; comparing as a whole; shapes as lists. Each is made of ops, so gradients flow.

local core = require "neap.core"
local check = require "neap.check"
local text = require "neap.tensor_text"

local methods, glue = core.tensor_methods, core.glue

glue.tostring = text

-- ---- brackets ----

local function is_list(value)
  return type(value) == "table" and getmetatable(value) == nil
end

-- How many dimensions an entry uses up.
local function width(entry)
  return core.is_tensor(entry) and entry.dtype == "bool" and entry:dim() or 1
end

local function position(what, i, size, low)
  local at = i < 0 and size + i + 1 or i
  if i == 0 or at < low or at > size then
    check.fail("%s: %d is out of range: there are %d positions, 1 to %d or -1 to %d", what, i, size, size, -size)
  end
  return at
end

-- {a, b}: the closed range, {a, b, step}: every step-th of it, {}: all.
local function range(x, dim, entry)
  local size = x:size(dim)
  local first, last, step = entry[1], entry[2], entry[3] or 1
  if first == nil then return x end
  if math.type(first) ~= "integer" or math.type(last) ~= "integer" or math.type(step) ~= "integer" or #entry > 3 then
    check.fail("x[...]: a range of dimension %d is {first, last} or {first, last, step}, in whole numbers", dim)
  end
  if step < 1 then check.fail("x[...]: the step of a range is 1 or more, not %d (x:flip(dim) turns round)", step) end
  last = last < 0 and size + last + 1 or last
  if first == last + 1 and last >= 0 and last <= size then return x:narrow(dim, 1, 0) end
  first = position("x[...]", first, size, 1)
  if last > size or last < first - 1 then
    check.fail("x[...]: the range {%d, %d} does not fit dimension %d, which has %d positions", first, last, dim, size)
  end
  if step == 1 then return x:narrow(dim, first, last - first + 1) end
  return x:slice(dim, first, (last - first) // step + 1, step)
end

-- The entries laid against x's dimensions: "..." stands for as many as are needed.
local function spread(x, key)
  local n, used, dots = #key, 0, nil
  for i = 1, n do
    if key[i] == "..." then
      if dots then check.fail "x[...]: '...' stands for several dimensions once at most" end
      dots = i
    else
      used = used + width(key[i])
    end
  end
  if used > x:dim() then
    check.fail("x[...]: %d entries are too many for a tensor of %d dimension%s, of shape %s", used, x:dim(),
      x:dim() == 1 and "" or "s", tostring(x.shape))
  end
  if not dots then return key end
  local entries = table.move(key, 1, dots - 1, 1, {})
  for _ = used + 1, x:dim() do entries[#entries + 1] = {} end
  return table.move(key, dots + 1, n, #entries + 1, entries)
end

-- Applies positions and ranges as views; index tensors and masks are left: returns the view and them, as `index` takes
-- them, or nil.
local function view(x, key)
  local lists, covered, dim = nil, 0, 1 -- covered: dimensions that the entries of lists stand for
  for i, entry in ipairs(spread(x, key)) do
    if core.is_tensor(entry) then
      lists = lists or {}
      for _ = covered + 1, dim - 1 do lists[#lists + 1] = false end
      lists[#lists + 1] = entry
      dim = dim + width(entry)
      covered = dim - 1
    elseif math.type(entry) == "integer" then
      x = x:select(dim, position("x[...]", entry, x:size(dim), 1))
    elseif is_list(entry) then
      x, dim = range(x, dim, entry), dim + 1
    else
      check.fail("x[...]: entry %d is %s; there are positions, ranges {first, last}, {} for all, index tensors and masks",
        i, check.describe(entry))
    end
  end
  return x, lists
end

local function entries_of(key)
  if is_list(key) then return key end
  if core.is_tensor(key) then return {key} end
  check.fail("x[...]: %s is no position; there are whole numbers, tables, index tensors and masks", check.describe(key))
end

function glue.index(x, key)
  if math.type(key) == "float" and math.tointeger(key) then return x[math.tointeger(key)] end
  local part, lists = view(x, entries_of(key))
  if lists then return part:index(lists) end
  return rawequal(part, x) and x:view(x.shape) or part
end

-- What the op refuses is said of the assignment that it does.
local function assign(op, part, ...)
  local ok, message = pcall(methods[op .. "_"], part, ...)
  if ok then return end
  if type(message) == "string" then message = message:gsub(": " .. op .. "_?: ", ": x[...] = y: ", 1) end
  error(message, 0)
end

function glue.newindex(x, key, value)
  if type(key) == "number" then key = {math.tointeger(key) or key} end
  local part, lists = view(x, entries_of(key))
  if is_list(value) then value = core.tensor(value, {dtype = x.dtype}) end
  if lists then
    assign("index_put", part, lists, value)
  elseif core.is_tensor(value) then
    assign("copy", part, value)
  else
    assign("fill", part, value)
  end
end

local function next_row(x, i)
  if i < #x then return i + 1, x[i + 1] end
end

function glue.pairs(x) return next_row, x, 0 end -- pairs(x) goes through the rows, as ipairs(x) does

-- ---- conversions ----

-- PyTorch's other names of dtypes.
core.dtype_names = {
  float = "float32", double = "float64", half = "float16", bfloat16 = "bfloat16", long = "int64", int = "int32",
  short = "int16", char = "int8", byte = "uint8", bool = "bool",
}
for name, dtype in pairs(core.dtype_names) do
  --- The same numbers in the dtype of this name, as PyTorch calls it; x itself when it is of that dtype already.
  methods[name] = function(self) return self:to(dtype) end
end

--- The same numbers in the dtype of another tensor.
function methods:type_as(other) return self:to(other.dtype) end

function glue.no_method(_, name) return check.unknown("a tensor", name, methods) end

function glue.T(x) -- all dimensions turned round
  local dims = {}
  for d = x:dim(), 1, -1 do dims[#dims + 1] = d end
  return #dims > 0 and x:permute(dims) or x:view(x.shape)
end

function glue.mT(x) return x:transpose(-2, -1) end -- of matrices in a batch

-- ---- tensors like others ----

-- A function of a tensor whose results take on that tensor's dtype where no other is named.
local function like(make)
  return function(self, ...)
    local args = table.pack(...)
    local last, options = args[args.n], {dtype = self.dtype}
    if is_list(last) and #last == 0 and next(last) then
      for name, value in pairs(last) do options[name] = value end
      args.n = args.n - 1
    end
    args[args.n + 1] = options
    return make(table.unpack(args, 1, args.n + 1))
  end
end

--- A tensor of zeros of these sizes, in x's dtype unless the option dtype names another: x:new_zeros(2, 3).
methods.new_zeros = like(core.zeros)

--- A tensor of ones of these sizes, in x's dtype unless the option dtype names another.
methods.new_ones = like(core.ones)

--- A tensor of these sizes whose values are not set, in x's dtype unless the option dtype names another.
methods.new_empty = like(core.empty)

--- A tensor of one value, in x's dtype unless the option dtype names another: x:new_full({2, 3}, 7).
methods.new_full = like(function(...) return core.full(...) end)

--- A tensor from numbers or tables of them, in x's dtype unless the option dtype names another: x:new_tensor{1, 2}.
methods.new_tensor = like(core.tensor)

--- The value itself where it is a tensor (of the dtype that is asked for), else a tensor made of it, as neap.tensor makes it.
--- Options: dtype.
function core.as_tensor(value, options)
  local dtype = check.options("as_tensor", options, {"dtype"}).dtype
  if core.is_tensor(value) then return dtype and dtype ~= value.dtype and value:to(dtype) or value end
  return core.tensor(value, {dtype = dtype})
end

core.numel = methods.numel

for _, name in ipairs {"full", "full_like"} do
  local plain = core[name]
  --- With true or false it is of dtype bool.
  core[name] = function(x, value, dtype, ...)
    if type(value) ~= "boolean" then return plain(x, value, dtype, ...) end
    local options = {dtype = "bool"}
    if is_list(dtype) then
      for key, setting in pairs(dtype) do options[key] = setting end
    elseif dtype ~= nil then
      options.dtype = dtype
    end
    return plain(x, value and 1 or 0, options, ...)
  end
end
methods.full_like = core.full_like

-- ---- as a whole ----

--- Whether two tensors have the same shape and the same elements.
function core.equal(a, b)
  if a.shape ~= b.shape then return false end
  local _ <close> = core.no_grad()
  return a:eq(b):all():item()
end

--- Whether all elements of a and b are close: as isclose, which has the settings rtol (1e-5), atol (1e-8), equal_nan.
function core.allclose(a, b, ...)
  local _ <close> = core.scope()
  return core.isclose(a, b, ...):all():item()
end

methods.equal, methods.allclose = core.equal, core.allclose

local norm = core.norm

--- The op norm, which also knows the names of PyTorch's: 'fro' is the norm for p = 2, 'nuc' linalg.matrix_norm's.
function core.norm(x, p, ...)
  if p == "fro" then p = 2 end
  if p == "nuc" then return core.matrix_norm(x, p, ...) end
  return norm(x, p, ...)
end
methods.norm = core.norm

--- The shape that shapes broadcast to: lists of sizes in, a list of sizes out.
function core.broadcast_shapes(...)
  local shapes, out, longest = table.pack(...), {}, 0
  for i = 1, shapes.n do longest = math.max(longest, #check.kind("broadcast_shapes: a shape", shapes[i], "table")) end
  for d = 1, longest do
    out[d] = 1
    for i = 1, shapes.n do
      local size = rawget(shapes[i], d - longest + #shapes[i]) or 1
      if out[d] == 1 then out[d] = size
      elseif size ~= 1 and size ~= out[d] then
        check.fail("broadcast_shapes: shapes do not broadcast: dimension %d is %d against %d", d, out[d], size)
      end
    end
  end
  return out
end

--- Sets the most bytes that tensors may take; 0: no limit. Beyond it an op raises an error that can be caught.
function core.set_memory_cap(bytes) core.memory {cap = bytes} end
