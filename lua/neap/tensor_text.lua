-- How tensors print: nested braces with aligned columns, then dtype and shape. Whole numbers print without a point; of
-- a tensor with more than 1000 elements only the edges are shown.
--
--   {{1.0000, 2.5000},
--    {3.0000, 4.0000}} float32 (2, 2)

local core = require "neap.core"

local MOST, EDGE = 1000, 3

-- The edges of large dimensions: a smaller tensor, and which of its dimensions were cut.
local function edges(x)
  local cut = {}
  for dim = 1, x:dim() do
    local n = x:size(dim)
    if n > 2 * EDGE then
      cut[dim] = true
      x = core.cat({x:narrow(dim, 1, EDGE), x:narrow(dim, n - EDGE + 1, EDGE)}, dim)
    end
  end
  return x, cut
end

local function each(value, visit)
  if type(value) ~= "table" then return visit(value) end
  for _, item in ipairs(value) do each(item, visit) end
end

-- A function that turns an element into text: one format for all, by the largest, the smallest, and whether all are whole.
local function formatter(values)
  local whole, most, least = true, 0, math.huge
  each(values, function(v)
    if type(v) == "number" and v == v and math.abs(v) ~= math.huge then
      local size = math.abs(v)
      if v ~= math.floor(v) then whole = false end
      if size > most then most = size end
      if size > 0 and size < least then least = size end
    end
  end)
  local format
  if whole then
    format = most < 1e10 and "%.0f" or "%.4e"
  else
    format = (most >= 1e5 or most < 1e-3 or most / least > 1e8) and "%.4e" or "%.4f"
  end
  return function(v)
    if type(v) == "boolean" or math.type(v) == "integer" then return tostring(v) end
    if v ~= v then return "nan" end
    if v == math.huge then return "inf" elseif v == -math.huge then return "-inf" end
    return format:format(v)
  end
end

local function render(value, depth, ndim, cut, show, indent)
  if type(value) ~= "table" then return show(value) end
  local parts = {}
  for i, item in ipairs(value) do
    if cut[depth] and i == EDGE + 1 then parts[#parts + 1] = "..." end
    parts[#parts + 1] = render(item, depth + 1, ndim, cut, show, indent .. " ")
  end
  if depth == ndim then return "{" .. table.concat(parts, ", ") .. "}" end
  local gap = ("\n"):rep(ndim - depth)
  return "{" .. table.concat(parts, "," .. gap .. indent .. " ") .. "}"
end

return function(x)
  local _ <close> = core.no_grad()
  local _ <close> = core.scope()
  local grad = x.requires_grad and (x.is_leaf and " requires_grad" or " with history") or ""
  local note = (" %s %s%s"):format(x.dtype, tostring(x.shape), grad)
  local part, cut = x:detach(), {}
  if x:numel() == 0 then return "{}" .. note end
  if x:numel() > MOST then part, cut = edges(part) end
  local values = part:totable()
  local show = formatter(values)
  if type(values) ~= "table" then return show(values) .. note end
  local width = 0
  each(values, function(v) width = math.max(width, #show(v)) end)
  local format = "%" .. width .. "s"
  return render(values, 1, x:dim(), cut, function(v) return format:format(show(v)) end, "") .. note
end
