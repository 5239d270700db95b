-- What moves and reads images in float32, forward alone and with its gradients: sampling at the places of a grid, resizing,
-- pooling; image_torch.py does the same in PyTorch:
--   neap scripts/bench/run.lua --script image.lua --torch scripts/bench/image_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local function turned(n, size)
  local theta = neap.tensor{{0.9, -0.3, 0.1}, {0.3, 0.9, -0.1}}:unsqueeze(1):expand(n, 2, 3):contiguous()
  return neap.affine_grid(theta, size, {align_corners = false})
end

-- name, shape of the images, the function of them and, for grids, of places that need gradients too.
local shapes = {
  {"affine_grid", {64, 3, 64, 64}, function(x) return turned(x.shape[1], x.shape) end},
  {"augment", {64, 3, 64, 64}, function(x, places) return neap.grid_sample(x, places, {align_corners = false}) end, "grid"},
  {"digits", {128, 1, 28, 28}, function(x, places) return neap.grid_sample(x, places, {align_corners = false}) end, "grid"},
  {"warp", {8, 64, 32, 32}, function(x, places) return neap.grid_sample(x, places, {align_corners = false}) end, "grid"},
  {"nearest", {8, 64, 32, 32}, function(x, places) return neap.grid_sample(x, places, {mode = "nearest", align_corners = false}) end, "grid"},
  {"bicubic", {8, 16, 32, 32}, function(x, places) return neap.grid_sample(x, places, {mode = "bicubic", align_corners = false}) end, "grid"},
  {"up2", {16, 64, 32, 32}, function(x) return neap.interpolate(x, {scale_factor = 2}) end},
  {"bilinear2", {16, 64, 32, 32}, function(x) return neap.interpolate(x, {scale_factor = 2, mode = "bilinear"}) end},
  {"bicubic2", {16, 16, 32, 32}, function(x) return neap.interpolate(x, {scale_factor = 2, mode = "bicubic"}) end},
  {"max2", {64, 32, 28, 28}, function(x) return (neap.max_pool2d(x, 2)) end},
  {"max3", {64, 64, 32, 32}, function(x) return (neap.max_pool2d(x, 3, 2, 1)) end},
  {"avg2", {64, 32, 28, 28}, function(x) return neap.avg_pool2d(x, 2) end},
  {"global", {64, 128, 8, 8}, function(x) return neap.adaptive_avg_pool2d(x, 1) end},
}

local cases = {}
for _, shape in ipairs(shapes) do
  local name, size, f, grid = table.unpack(shape)
  cases[#cases + 1] = {name, function()
    local x = neap.randn(size)
    local places = grid and turned(size[1], size)
    return function() return f(x, places) end
  end}
  if name ~= "affine_grid" then
    cases[#cases + 1] = {name .. "_back", function()
      local x = neap.randn(size, {requires_grad = true})
      local places = grid and turned(size[1], size):requires_grad_()
      local g = neap.ones(f(x, places).shape)
      return function()
        x.grad = nil
        if places then places.grad = nil end
        f(x, places):backward(g)
      end
    end}
  end
end

timing.run("sampling, resizing and pooling in float32", cases, 1)
