-- Tensors from lists and formulas, as the specs that compare with written values make them.

local neap = require "neap"

local tensors = {}

-- How many elements a shape has.
function tensors.count(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

-- The tensor of a flat list.
function tensors.shaped(flat, shape, dtype)
  if #flat == 0 then return neap.zeros(shape, {dtype = dtype}) end
  return neap.tensor(flat, {dtype = dtype}):reshape(shape)
end

-- f(0), f(1), ... in float64.
function tensors.ramp(shape, f)
  local flat = {}
  for i = 1, tensors.count(shape) do flat[i] = f(i - 1) end
  return tensors.shaped(flat, shape, "float64")
end

-- A parameter of these numbers.
function tensors.parameter(...)
  return neap.nn.Parameter(neap.tensor{...})
end

-- Raises unless a number is the wanted one, to 1e-6.
function tensors.near(wanted, got, what)
  assert(math.abs(wanted - got) < 1e-6, ("%s: %.9g, should be %.9g"):format(what or "", got, wanted))
end

return tensors
