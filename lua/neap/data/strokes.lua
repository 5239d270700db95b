-- strokes: pictures of pen strokes, drawn for many images at once by tensor ops. A stroke is cut into straight segments;
-- the ink of a pixel is a function of its distance to the nearest one, which gives smooth edges. With u the unit vector
-- along a segment, m its middle and h half its length, a point p is at distance^2
--   max(|(p - m).u| - h, 0)^2 + ((p - m).n)^2,   n = u turned by 90 degrees
-- and both products are linear in (p_x, p_y, 1): one small matrix product gives them for all pixels and segments.

local neap = require "neap.core"

local strokes = {}

local BLOCK = 32 -- images drawn at a time, so that what is in between stays in the cache

-- The centres of the pixels of a size x size image as (3, size * size): rows x, y and 1.
local function pixels(size)
  local along = neap.arange(0, size):to "float32":add_(0.5)
  local x = along:reshape(1, size):expand(size, size):reshape(size * size)
  local y = along:reshape(size, 1):expand(size, size):reshape(size * size)
  return neap.stack({x, y, neap.ones(size * size)}, 1)
end

-- One block: from, to (B, S, 2), half (B) -> (B, size * size).
local function draw(from, to, half, grid)
  local B, S = from.shape[1], from.shape[2]
  local along = (to - from):add_(1e-6)                              -- (B, S, 2)
  local length = along:square():sum(3, true):sqrt()                 -- (B, S, 1)
  local u = along:div(length)
  local ux, uy = u:narrow(3, 1, 1), u:narrow(3, 2, 1)
  local middle = (from + to):mul_(0.5)
  local mx, my = middle:narrow(3, 1, 1), middle:narrow(3, 2, 1)
  local lengthwise = neap.cat({ux, uy, -(mx * ux + my * uy)}, 3)    -- (B, S, 3)
  local across = neap.cat({-uy, ux, mx * uy - my * ux}, 3)
  local t = lengthwise:reshape(B * S, 3):matmul(grid)               -- (B * S, pixels)
  local q = across:reshape(B * S, 3):matmul(grid)
  t:abs_():sub_((length * 0.5):reshape(B * S, 1)):relu_():square_()
  q:square_():add_(t)
  local distance = q:reshape(B, S, grid.shape[2]):amin(2):sqrt()    -- (B, pixels)
  return (half:reshape(B, 1) + 0.5):sub(distance):clamp(0, 1)
end

--- Draws strokes. from, to (N, S, 2): ends of S segments of each of N images, as x (to the right) and y (down) in pixels;
--- half (N): half the pen's width in pixels. Returns the ink, (N, size, size) float32 in [0, 1].
function strokes.draw(from, to, half, size)
  local N = from.shape[1]
  local grid = pixels(size)
  local out = neap.empty(N, size * size)
  local done = 0
  while done < N do
    local _ <close> = neap.scope()
    local n = math.min(BLOCK, N - done)
    local function part(x) return x:narrow(1, done + 1, n) end
    part(out):copy_(draw(part(from), part(to), part(half), grid))
    done = done + n
  end
  return out:reshape(N, size, size)
end

-- Weights of the four neighbours of a point at t in [0, 1] between the second and the third (Catmull and Rom, 1974).
local function catmull_rom(t)
  return {
    (-t + 2 * t ^ 2 - t ^ 3) / 2, (2 - 5 * t ^ 2 + 3 * t ^ 3) / 2,
    (t + 4 * t ^ 2 - 3 * t ^ 3) / 2, (-t ^ 2 + t ^ 3) / 2,
  }
end

-- The points along a stroke, each a table of weights by number of control point. ids: numbers of its control points;
-- pieces: segments a span of a curve, nil for straight lines between the points.
local function trace(ids, pieces, closed)
  local points = {}
  if not pieces then
    for i, id in ipairs(ids) do points[i] = {[id] = 1} end
    return points
  end
  local n = #ids
  local spans = closed and n or n - 1
  for span = 1, spans do
    for piece = 0, span == spans and pieces or pieces - 1 do
      local weights = catmull_rom(piece / pieces)
      local point = {}
      local function add(i, w)
        local id = ids[closed and (i - 1) % n + 1 or i]
        point[id] = (point[id] or 0) + w
      end
      for k = 1, 4 do
        local i, w = span + k - 2, weights[k]
        if not closed and i < 1 then -- beyond the ends, the neighbour mirrored
          add(1, 2 * w); add(2, -w)
        elseif not closed and i > n then
          add(n, 2 * w); add(n - 1, -w)
        else
          add(i, w)
        end
      end
      points[#points + 1] = point
    end
  end
  return points
end

--- Cuts a glyph, a list of strokes, into segments that are linear in its control points, so that moving those bends
--- the whole stroke. A stroke is a list of {x, y}, with `curve` = segments a span for a smooth one, and `closed`. Equal
--- points of different strokes are one. Returns the control points, and two lists (from, to) of weight tables.
function strokes.flatten(glyph)
  local controls, number = {}, {}
  local from, to = {}, {}
  for _, stroke in ipairs(glyph) do
    local ids = {}
    for i, point in ipairs(stroke) do
      local key = point[1] .. "," .. point[2]
      if not number[key] then
        controls[#controls + 1] = point
        number[key] = #controls
      end
      ids[i] = number[key]
    end
    local points = trace(ids, stroke.curve, stroke.closed)
    for i = 1, #points - 1 do
      from[#from + 1], to[#to + 1] = points[i], points[i + 1]
    end
  end
  return controls, from, to
end

return strokes
