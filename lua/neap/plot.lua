-- plot: pictures as PNG files. Images are float tensors in [0, 1] (or uint8), (H, W) grey or (3, H, W) colour; a grid
-- takes (N, H, W) or (N, 3, H, W). All functions return true, or nil and a message when the file cannot be written.

local neap = require "neap.core"
local check = require "neap.check"
local font = require "neap.plot.font"

local plot = {}

local PAPER = {1, 1, 1}
local INK = {0.15, 0.17, 0.2}
local GOOD = {0.1, 0.5, 0.25}
local BAD = {0.82, 0.1, 0.1}
local SERIES = {{0.12, 0.4, 0.75}, {0.85, 0.37, 0.08}, {0.15, 0.55, 0.3}, {0.6, 0.3, 0.65}, {0.5, 0.35, 0.25}}

-- (3, H, W), all of one colour.
local function canvas(height, width, colour)
  return neap.tensor(colour):reshape(3, 1, 1):expand(3, height, width):contiguous()
end

-- A canvas' rectangle from (row, column) on.
local function area(picture, row, column, height, width)
  return picture:narrow(2, row, height):narrow(3, column, width)
end

-- A text as a picture (3, 7 scale, W); the shape lies in a table of rows first.
local function lettering(text, colour, scale)
  local width = math.max(1, font.measure(text))
  local mask = {}
  for row = 1, font.height * scale do
    mask[row] = {}
    for column = 1, width * scale do mask[row][column] = 0 end
  end
  font.each(text, function(row, column)
    for i = 1, scale do
      for j = 1, scale do mask[(row - 1) * scale + i][(column - 1) * scale + j] = 1 end
    end
  end)
  local ink = neap.tensor(mask):unsqueeze(1)
  return ink * neap.tensor(colour):reshape(3, 1, 1) + (1 - ink) * neap.tensor(PAPER):reshape(3, 1, 1)
end

-- Writes a text onto a picture, its top left at (row, column), cut at the right edge.
local function write(picture, row, column, text, colour, scale)
  local letters = lettering(text, colour, scale)
  local width = math.min(letters.shape[3], picture.shape[3] - column + 1)
  if width < 1 or text == "" then return end
  area(picture, row, column, letters.shape[2], width):copy_(letters:narrow(3, 1, width))
end

-- x (N, H, W) or (N, C, H, W) as (N, 3, H * scale, W * scale) float32.
local function enlarge(what, x, scale)
  if math.type(scale) ~= "integer" or scale < 1 then
    check.fail("%s: scale is a whole number from 1 on, not %s", what, check.describe(scale))
  end
  if x.dtype == "uint8" then x = x:to "float32":div(255) else x = x:to "float32":clamp(0, 1) end
  if #x.shape == 3 then x = x:unsqueeze(2) end
  local N, C, H, W = table.unpack(x.shape)
  x = x:reshape(N, C, H, 1, W, 1):expand(N, C, H, scale, W, scale):reshape(N, C, H * scale, W * scale)
  return x:expand(N, 3, H * scale, W * scale)
end

-- Raises unless x is a tensor of n or n + 1 dimensions, with 1 or 3 channels (the last but two) in the latter case.
local function check_images(what, x, n, shapes)
  if not neap.is_tensor(x) then check.fail("%s: takes a tensor %s, not %s", what, shapes, check.describe(x)) end
  local channels = #x.shape == n + 1 and x.shape[n - 1] or 1
  if #x.shape ~= n and #x.shape ~= n + 1 or channels ~= 1 and channels ~= 3 or x:numel() == 0 then
    check.fail("%s: takes a tensor %s, not %s", what, shapes, tostring(x.shape))
  end
end

--- Writes one image: (H, W), (1, H, W) or (3, H, W). options.scale: pixels a pixel (1).
function plot.image(path, x, options)
  options = check.options("plot.image", options, {"scale"})
  check_images("plot.image", x, 2, "(H, W) or (3, H, W)")
  local _ <close> = neap.no_grad()
  return neap.write_png(path, enlarge("plot.image", x:unsqueeze(1), options.scale or 1):squeeze(1))
end

--- Writes images side by side. x: (N, H, W) or (N, 3, H, W). Options: columns (about as many as rows), scale (2: pixels a
--- pixel), captions (a list of texts, under each), wrong (a list: true where a caption is red and the image framed),
--- title.
function plot.grid(path, x, options)
  options = check.options("plot.grid", options, {"columns", "scale", "captions", "wrong", "title"})
  check_images("plot.grid", x, 3, "(N, H, W) or (N, 3, H, W)")
  local _ <close> = neap.no_grad()
  local N, scale = x.shape[1], options.scale or 2
  local columns = options.columns or math.ceil(math.sqrt(N))
  if math.type(columns) ~= "integer" or columns < 1 then
    check.fail("plot.grid: columns is a whole number from 1 on, not %s", check.describe(columns))
  end
  local captions, wrong = options.captions, options.wrong or {}
  local images = enlarge("plot.grid", x, scale)
  local height, width = images.shape[3], images.shape[4]
  local gap, letters = 6, 2
  local step_y = height + gap + (captions and font.height * letters + gap or 0)
  local widest = width
  for i = 1, captions and N or 0 do
    if captions[i] then widest = math.max(widest, font.measure(captions[i]) * letters + gap) end
  end
  local step_x = widest + gap
  local top = gap + (options.title and font.height * letters + 2 * gap or 0)
  local picture = canvas(top + step_y * math.ceil(N / columns), gap + step_x * columns, PAPER)
  if options.title then write(picture, gap + 1, gap + 1, options.title, INK, letters) end
  for i = 1, N do
    local row, column = top + (i - 1) // columns * step_y + 1, gap + (i - 1) % columns * step_x + (widest - width) // 2 + 1
    if wrong[i] then
      local frame = area(picture, row - 2, column - 2, height + 4, width + 4)
      frame:copy_(neap.tensor(BAD):reshape(3, 1, 1))
    end
    area(picture, row, column, height, width):copy_(images:select(1, i))
    if captions and captions[i] then
      local text = tostring(captions[i])
      local indent = (width - font.measure(text) * letters) // 2
      write(picture, row + height + gap - 1, column + indent, text, wrong[i] and BAD or GOOD, letters)
    end
  end
  return neap.write_png(path, picture)
end

--- A grid of images with what a classifier says under each: x (N, H, W), predicted and true classes (N). A wrong one is
--- red and framed, with the truth behind it. options.names: a list, what each class is called (default: its number);
--- other options as for plot.grid.
function plot.predictions(path, x, predicted, truth, options)
  local captions, wrong, grid = {}, {}, {}
  local names
  options = check.options("plot.predictions", options, {"names", "columns", "scale", "title"})
  for key, value in pairs(options) do
    if key == "names" then names = value else grid[key] = value end
  end
  if not neap.is_tensor(x) or #predicted ~= #x or #truth ~= #x then
    check.fail "plot.predictions: takes images, as many predicted and as many true classes"
  end
  predicted, truth = predicted:totable(), truth:totable()
  local function name(class) return tostring(names and names[class] or class) end
  for i, class in ipairs(predicted) do
    wrong[i] = class ~= truth[i]
    captions[i] = name(class) .. (wrong[i] and (" (" .. name(truth[i]) .. ")") or "")
  end
  grid.captions, grid.wrong = captions, wrong
  return plot.grid(path, x, grid)
end

-- Rounds an axis' step to 1, 2 or 5 times a power of ten, for about n steps over the span.
local function nice(span, n)
  local power = 10 ^ math.floor(math.log(span / n, 10))
  for _, m in ipairs{1, 2, 5} do
    if span / (m * power) <= n then return m * power end
  end
  return 10 * power
end

-- Smallest and largest of all series; a span of its own where they are equal.
local function range(series)
  local low, high = math.huge, -math.huge
  for _, one in ipairs(series) do
    for _, y in ipairs(one) do
      if y == y and math.abs(y) < math.huge then low, high = math.min(low, y), math.max(high, y) end
    end
  end
  if low > high then low, high = 0, 1 end
  if low == high then low, high = low - 0.5, high + 0.5 end
  return low, high
end

--- Writes a line chart: plot.lines("loss.png", {train = losses, test = others}, {title = "loss"}). A series is a list of
--- numbers, or a tensor (N), over 1, 2, 3, ... Options: title, width (640) and height (360) in pixels.
function plot.lines(path, series, options)
  options = check.options("plot.lines", options, {"title", "width", "height"})
  local width, height = options.width or 640, options.height or 360
  for name, value in pairs{width = width, height = height} do
    if math.type(value) ~= "integer" or value < 120 then
      check.fail("plot.lines: %s is a whole number of pixels, 120 or more, not %s", name, check.describe(value))
    end
  end
  local names, lists = {}, {}
  for name in pairs(check.kind("plot.lines: the series", series, "table")) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for i, name in ipairs(names) do
    local one = series[name]
    if neap.is_tensor(one) and #one.shape == 1 then one = one:totable() end
    lists[i] = check.kind(("plot.lines: series '%s'"):format(name), one, "table")
  end
  local low, high = range(lists)
  local longest = 2
  for _, list in ipairs(lists) do longest = math.max(longest, #list) end
  local left, right, top, bottom = 64, 16, 34, 26 -- margins
  local w, h = width - left - right, height - top - bottom
  local function at_x(i) return left + (i - 1) / (longest - 1) * (w - 1) + 1 end
  local function at_y(y) return top + (high - y) / (high - low) * (h - 1) + 1 end

  local picture = canvas(height, width, PAPER)
  local function line(row, column, n, m, colour)
    area(picture, row, column, n, m):copy_(neap.tensor(colour):reshape(3, 1, 1))
  end
  local step = nice(high - low, 5)
  for k = math.ceil(low / step), math.floor(high / step) do
    local row = math.floor(at_y(k * step) + 0.5)
    line(row, left + 1, 1, w, {0.88, 0.88, 0.88})
    local text = ("%.4g"):format(k * step)
    write(picture, math.max(1, row - 3), math.max(1, left - 6 - font.measure(text)), text, INK, 1)
  end
  local step_x = math.max(1, math.floor(nice(longest - 1, 8)))
  for i = step_x, longest, step_x do
    local text = tostring(i)
    local column = math.floor(at_x(i) + 0.5)
    line(top + h, column, 4, 1, INK)
    write(picture, top + h + 8, math.max(1, column - font.measure(text) // 2), text, INK, 1)
  end
  line(top + h, left + 1, 1, w, INK)
  line(top + 1, left, h, 1, INK)

  local key = left + 8
  if options.title then
    write(picture, 10, key, options.title, INK, 2)
    key = key + font.measure(options.title) * 2 + 24
  end
  for s, list in ipairs(lists) do
    local colour = SERIES[(s - 1) % #SERIES + 1]
    if type(names[s]) == "string" then
      line(16, key, 2, 14, colour)
      write(picture, 13, key + 18, names[s], INK, 1)
      key = key + 18 + font.measure(names[s]) + 18
    end
    -- Column by column: each covers the heights that the line passes within half a pixel of its middle.
    local last
    for column = math.floor(at_x(1)), math.floor(at_x(#list)) do
      local i = 1 + (column - left - 1) / (w - 1) * (longest - 1)
      local a = math.max(1, math.min(#list, math.floor(i)))
      local b = math.min(#list, a + 1)
      local y = list[a] + (list[b] - list[a]) * math.max(0, math.min(1, i - a))
      if y == y and math.abs(y) < math.huge then
        local row = math.floor(at_y(y) + 0.5)
        local first = math.max(1, math.min(row, last or row))
        local final = math.min(height, math.max(row, last or row) + 1)
        line(first, column, final - first + 1, 1, colour)
        last = row
      else
        last = nil
      end
    end
  end
  return neap.write_png(path, picture)
end

return check.named("plot", plot)
