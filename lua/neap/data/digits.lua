-- digits: pictures of handwritten-looking digits, made by Neap itself, for whoever has no data set at hand. Each digit
-- has a few styles (a 7 with a bar, an open 4); a style is a set of strokes over control points. An image shakes the
-- control points, slants, turns, scales and shifts the glyph, draws it with a pen of random width and adds noise.

local neap = require "neap.core"
local check = require "neap.check"
local strokes = require "neap.data.strokes"

-- Points on an ellipse around (x, y), from `start` (in turns, 0 to the right, 0.25 down) on.
local function ellipse(x, y, rx, ry, n, start)
  local points = {curve = 3, closed = true}
  for i = 0, n - 1 do
    local angle = 2 * math.pi * (i / n + (start or 0))
    points[i + 1] = {x + rx * math.cos(angle), y + ry * math.sin(angle)}
  end
  return points
end

-- [digit]: its styles, in a box of 1 by 1, x to the right and y down.
local styles = {
  [0] = {
    {ellipse(0.5, 0.5, 0.46, 0.5, 7, 0.75)},
    {{{0.62, 0.02}, {0.22, 0.12}, {0.06, 0.52}, {0.25, 0.93}, {0.6, 0.97}, {0.92, 0.6}, {0.82, 0.14}, {0.5, 0.0},
      curve = 3}},
  },
  {
    {{{0.5, 0.0}, {0.5, 1.0}}},
    {{{0.28, 0.24}, {0.55, 0.0}, {0.55, 1.0}}},
    {{{0.25, 0.2}, {0.52, 0.0}, {0.52, 1.0}}, {{0.2, 1.0}, {0.52, 1.0}, {0.84, 1.0}}},
  },
  {
    {{{0.1, 0.24}, {0.34, 0.02}, {0.74, 0.04}, {0.84, 0.32}, {0.55, 0.64}, {0.06, 0.99}, curve = 3},
      {{0.06, 0.99}, {0.95, 0.97}}},
    {{{0.12, 0.2}, {0.42, 0.0}, {0.8, 0.14}, {0.74, 0.45}, {0.3, 0.88}, {0.08, 0.94}, {0.14, 0.76}, {0.45, 0.84},
      {0.96, 0.98}, curve = 3}},
  },
  {
    {{{0.1, 0.12}, {0.48, 0.0}, {0.8, 0.17}, {0.7, 0.4}, {0.36, 0.47}, curve = 3},
      {{0.36, 0.47}, {0.78, 0.55}, {0.88, 0.8}, {0.52, 1.0}, {0.08, 0.88}, curve = 3}},
    {{{0.12, 0.02}, {0.84, 0.02}, {0.42, 0.4}},
      {{0.42, 0.4}, {0.8, 0.5}, {0.88, 0.78}, {0.52, 1.0}, {0.1, 0.9}, curve = 3}},
  },
  {
    {{{0.16, 0.02}, {0.08, 0.55}, {0.95, 0.55}}, {{0.74, 0.12}, {0.7, 1.0}}},
    {{{0.7, 1.0}, {0.7, 0.0}, {0.04, 0.68}, {0.98, 0.68}}},
    {{{0.2, 0.02}, {0.06, 0.34}, {0.2, 0.58}, {0.76, 0.48}, curve = 3}, {{0.82, 0.0}, {0.76, 0.48}, {0.66, 1.0}}},
  },
  {
    {{{0.86, 0.02}, {0.22, 0.02}, {0.16, 0.45}},
      {{0.16, 0.45}, {0.55, 0.36}, {0.88, 0.62}, {0.72, 0.94}, {0.36, 1.0}, {0.08, 0.88}, curve = 3}},
    {{{0.88, 0.04}, {0.34, 0.04}, {0.22, 0.36}, {0.64, 0.48}, {0.84, 0.74}, {0.5, 1.0}, {0.1, 0.9}, curve = 3}},
  },
  {
    {{{0.76, 0.0}, {0.34, 0.24}, {0.1, 0.66}, {0.32, 0.97}, {0.74, 0.93}, {0.86, 0.68}, {0.56, 0.5}, {0.12, 0.72},
      curve = 3}},
    {{{0.4, 0.0}, {0.14, 0.4}, {0.1, 0.74}, curve = 2}, ellipse(0.47, 0.75, 0.37, 0.25, 6, 0.5)},
  },
  {
    {{{0.05, 0.03}, {0.92, 0.02}, {0.4, 1.0}}},
    {{{0.05, 0.03}, {0.92, 0.02}, {0.42, 1.0}}, {{0.28, 0.5}, {0.86, 0.5}}},
    {{{0.06, 0.16}, {0.1, 0.03}, {0.9, 0.04}}, {{0.9, 0.04}, {0.6, 0.45}, {0.48, 1.0}, curve = 4}},
  },
  {
    {{{0.5, 0.46}, {0.18, 0.22}, {0.48, 0.0}, {0.8, 0.2}, {0.5, 0.46}, {0.14, 0.76}, {0.5, 1.0}, {0.86, 0.75},
      curve = 3, closed = true}},
    {ellipse(0.5, 0.23, 0.31, 0.23, 5, 0.25), ellipse(0.5, 0.73, 0.39, 0.27, 6, 0.75)},
  },
  {
    {ellipse(0.48, 0.28, 0.36, 0.28, 6, 0), {{0.84, 0.28}, {0.82, 0.6}, {0.72, 1.0}, curve = 2}},
    {{{0.86, 0.14}, {0.46, 0.0}, {0.14, 0.26}, {0.4, 0.52}, {0.8, 0.36}, {0.86, 0.14}, curve = 3},
      {{0.86, 0.14}, {0.86, 0.62}, {0.6, 0.96}, {0.2, 0.94}, curve = 3}},
  },
}

-- All styles as tensors: control points (G, C, 2), weights of the segments' ends (G, S, C), padded with points that have
-- no weight and with a repeated segment; first style and number of styles by class.
local function compile()
  local glyphs, first, count = {}, {}, {}
  local C, S = 0, 0
  for digit = 0, 9 do
    first[digit + 1], count[digit + 1] = #glyphs + 1, #styles[digit]
    for _, style in ipairs(styles[digit]) do
      local controls, from, to = strokes.flatten(style)
      glyphs[#glyphs + 1] = {controls, from, to}
      C, S = math.max(C, #controls), math.max(S, #from)
    end
  end
  local function dense(rows)
    local out = {}
    for s = 1, S do
      local row = rows[math.min(s, #rows)]
      out[s] = {}
      for c = 1, C do out[s][c] = row[c] or 0 end
    end
    return out
  end
  local controls, from, to = {}, {}, {}
  for g, glyph in ipairs(glyphs) do
    controls[g] = {}
    for c = 1, C do controls[g][c] = glyph[1][c] or {0, 0} end
    from[g], to[g] = dense(glyph[2]), dense(glyph[3])
  end
  return {
    controls = neap.tensor(controls), from = neap.tensor(from), to = neap.tensor(to),
    first = neap.tensor(first), count = neap.tensor(count),
  }
end

local MARGIN = 2 -- rows and columns without ink around a digit of 28 x 28 pixels

-- Moves, and where they are too large for the image shrinks, glyphs so that their strokes keep a distance from its edges.
-- In place. from, to (n, S, 2): the ends of the segments; distance (n).
local function inside(from, to, distance, size)
  local low, high = neap.minimum(from, to):amin(2, true), neap.maximum(from, to):amax(2, true) -- (n, 1, 2)
  local middle, half = (low + high) / 2, (high - low) / 2
  local room = (size / 2 - distance):clamp_{min = 0}:reshape(#distance, 1, 1)
  local shrink = (room / half):amin(3, true):clamp_{max = 1}
  half:mul_(shrink)
  local place = distance:reshape(#distance, 1, 1) + half
  place = neap.maximum(neap.minimum(middle, size - place), place)
  for _, points in ipairs{from, to} do points:sub_(middle):mul_(shrink):add_(place) end
end

local known = {"n", "seed", "noise", "size", "generator", "labels"}

--- Makes pictures of digits. Options: n (1000), seed (0) or a generator, noise (0.05: deviation of each pixel's normal
--- noise), size (28: height and width in pixels), labels (an int64 tensor of n classes instead of random ones). Returns
--- {x = (n, size, size) float32 in [0, 1], y = (n) int64}; class k is the digit k - 1, as in data.mnist.
return function(options)
  options = check.options("data.digits", options, known)
  for _, name in ipairs{"n", "size"} do
    local value = options[name]
    if value ~= nil and (math.type(value) ~= "integer" or value < 1) then
      check.fail("data.digits: %s is a whole number from 1 on, not %s", name, check.describe(value))
    end
  end
  if options.labels and not (neap.is_tensor(options.labels) and options.labels.dtype == "int64" and options.labels:dim() == 1) then
    check.fail("data.digits: labels is an int64 tensor of one dimension, not %s", check.describe(options.labels))
  end
  local size = options.size or 28
  local generator = {generator = options.generator or neap.generator(options.seed or 0)}
  local glyphs = compile()
  local _ <close> = neap.no_grad()
  local y = options.labels or neap.randint(1, 11, {options.n or 1000}, generator)
  local n = y.shape[1]

  -- Uniform numbers in [low, high), one an image.
  local function uniform(low, high) return neap.rand({n}, generator):mul_(high - low):add_(low) end

  local pick = (uniform(0, 1) * glyphs.count:index_select(1, y)):floor() + glyphs.first:index_select(1, y)
  pick = pick:to "int64"
  local controls = glyphs.controls:index_select(1, pick)                       -- (n, C, 2)
  controls = neap.randn({n, controls.shape[2], 2}, generator):mul_(0.03):add_(controls):sub_(0.5)

  -- x' = sx (cos x - sin y), y' = sy (sin x + cos y), with x sheared by the slant before.
  local unit = size / 28
  local height = uniform(17, 21.5):mul_(unit)
  local width = height * uniform(0.5, 0.85)
  local slant, turn = uniform(-0.3, 0.15), uniform(-0.14, 0.14)
  local cos, sin = turn:cos(), turn:sin()
  local by_x = neap.stack({width * cos, width * sin}, 2)                      -- (n, 2): where x goes
  local by_y = neap.stack({height * (slant * cos - sin), height * (slant * sin + cos)}, 2)
  local shift = neap.stack({uniform(-2.2, 2.2), uniform(-2.2, 2.2)}, 2):mul_(unit):add_(size / 2)
  controls = controls:matmul(neap.stack({by_x, by_y}, 2)) + shift:unsqueeze(2) -- (n, C, 2) in pixels

  local from = glyphs.from:index_select(1, pick):matmul(controls)              -- (n, S, 2)
  local to = glyphs.to:index_select(1, pick):matmul(controls)
  local half = uniform(0.55, 1.6):mul_(unit)
  inside(from, to, half + math.max(1, MARGIN * unit), size)
  local x = strokes.draw(from, to, half, size)
  x:mul_(uniform(0.75, 1):reshape(n, 1, 1))
  local noise = options.noise or 0.05
  if noise > 0 then
    x:add_(neap.randn({n, size, size}, generator):mul_(noise)):clamp_(0, 1)
  end
  return {x = x, y = y}
end
