-- How tensors print: nested braces with aligned columns, then dtype and shape. Whole numbers print without a point. Rows
-- wrap at the width of the terminal; of a tensor with more than 1000 elements only the edges are shown.
-- neap.set_printoptions changes these numbers.
--
--   {{1.0000, 2.5000},
--    {3.0000, 4.0000}} float32 (2, 2)

local core = require "neap.core"
local check = require "neap.check"

local profiles = {
  default = {precision = 4, threshold = 1000, edgeitems = 3},
  short = {precision = 2, threshold = 1000, edgeitems = 2},
  full = {precision = 4, threshold = math.huge, edgeitems = 3},
}

local options = {}
for name, value in pairs(profiles.default) do options[name] = value end

local counts = {precision = 0, threshold = 0, edgeitems = 1, linewidth = 20} -- options that are numbers: the least

--- How tensors print from now on, as in neap.set_printoptions{precision = 8}: precision (4 digits behind the point),
--- threshold (1000: tensors with more elements are summarised), edgeitems (3: how many from each end of a dimension are
--- shown then), linewidth (in characters; by default the terminal's, or 80), sci_mode (true: always 1.0000e+00, false:
--- never, absent: when the range of the numbers needs it), profile ("default", "short" or "full": numbers to begin with).
function core.set_printoptions(given)
  given = check.options("set_printoptions", given,
    {"precision", "threshold", "edgeitems", "linewidth", "sci_mode", "profile"})
  for name, least in pairs(counts) do
    local value = given[name]
    local fits = value == nil or math.type(value) == "integer" or name == "threshold" and value == math.huge
    if not fits or value and value < least then
      check.fail("set_printoptions: %s is a whole number from %d on, not %s", name, least, check.describe(value))
    end
  end
  if given.sci_mode ~= nil then check.kind("set_printoptions: sci_mode", given.sci_mode, "boolean") end
  if given.profile ~= nil then
    local profile = profiles[given.profile]
      or check.fail("set_printoptions: profile is 'default', 'short' or 'full', not %s", check.describe(given.profile))
    options = {}
    for name, value in pairs(profile) do options[name] = value end
  end
  for name in pairs(counts) do
    if given[name] ~= nil then options[name] = given[name] end
  end
  options.sci_mode = given.sci_mode
end

--- The options in force, as a table that set_printoptions takes.
function core.get_printoptions()
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  return copy
end

-- The edges of large dimensions: a smaller tensor, and which of its dimensions were cut.
local function edges(x)
  local cut, edge = {}, options.edgeitems
  for dim = 1, x:dim() do
    local n = x:size(dim)
    if n > 2 * edge then
      cut[dim] = true
      x = core.cat({x:narrow(dim, 1, edge), x:narrow(dim, n - edge + 1, edge)}, dim)
    end
  end
  return x, cut
end

local function each(value, visit)
  if type(value) ~= "table" then return visit(value) end
  for _, item in ipairs(value) do each(item, visit) end
end

-- One format for all finite numbers, by the largest, the smallest that is not 0, and whether all are whole.
local function format_of(values)
  local whole, most, least = true, 0, math.huge
  each(values, function(v)
    local size = math.abs(v)
    if size == size and size ~= math.huge then
      if v ~= math.floor(v) then whole = false end
      if size > most then most = size end
      if size > 0 and size < least then least = size end
    end
  end)
  local scientific = options.sci_mode
  if scientific == nil then
    scientific = most > 1e8 or not whole and (least < 1e-4 or most / least > 1000)
  end
  if scientific then return ("%%.%de"):format(options.precision) end
  return ("%%.%df"):format(whole and 0 or options.precision)
end

-- A function that turns an element into text, all of one width, and the width.
local function formatter(values, is_float)
  local show = tostring
  if is_float then
    local format = format_of(values)
    function show(v)
      if v ~= v then return "nan" end
      if math.abs(v) == math.huge then return v > 0 and "inf" or "-inf" end
      return format:format(v)
    end
  end
  local width = 0
  each(values, function(v) width = math.max(width, #show(v)) end)
  local padded = ("%%%ds"):format(width)
  return function(v) return padded:format(show(v)) end, width
end

-- One row: as many elements a line as fit.
local function row_text(row, cut, show, width, indent, linewidth)
  local parts = {}
  for i, item in ipairs(row) do
    if cut and i == options.edgeitems + 1 then parts[#parts + 1] = " ..." end
    parts[#parts + 1] = show(item)
  end
  local fit = math.max(1, (linewidth - indent) // (width + 2))
  local lines = {}
  for i = 1, #parts, fit do
    lines[#lines + 1] = table.concat(parts, ", ", i, math.min(#parts, i + fit - 1))
  end
  return "{" .. table.concat(lines, ",\n" .. (" "):rep(indent + 1)) .. "}"
end

local function render(value, depth, ndim, cut, show, width, linewidth)
  if depth == ndim then return row_text(value, cut[depth], show, width, depth - 1, linewidth) end
  local parts = {}
  for i, item in ipairs(value) do
    if cut[depth] and i == options.edgeitems + 1 then parts[#parts + 1] = "..." end
    parts[#parts + 1] = render(item, depth + 1, ndim, cut, show, width, linewidth)
  end
  return "{" .. table.concat(parts, "," .. ("\n"):rep(ndim - depth) .. (" "):rep(depth)) .. "}"
end

return function(x)
  local _ <close> = core.no_grad()
  local _ <close> = core.scope()
  local grad = x.requires_grad and (x.is_leaf and " requires_grad" or " with history") or ""
  local note = ("%s %s%s"):format(x.dtype, tostring(x.shape), grad)
  local part, cut, ndim = x:detach(), {}, x:dim()
  if x:numel() == 0 then return "{} " .. note end
  if x:numel() > options.threshold then part, cut = edges(part) end
  local values = part:totable()
  local show, width = formatter(values, x:is_floating_point())
  if ndim == 0 then return show(values) .. " " .. note end
  local linewidth = options.linewidth or core.terminal_width() or 80
  local text = render(values, 1, ndim, cut, show, width, linewidth)
  local last = #text:match "[^\n]*$"
  return text .. (last + 1 + #note > linewidth and "\n" or " ") .. note
end
