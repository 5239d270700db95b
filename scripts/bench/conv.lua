-- Convolutions of many shapes in float32, forward alone and with their gradients; conv_torch.py does the same in PyTorch:
--   neap scripts/bench/run.lua --script conv.lua --torch scripts/bench/conv_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

-- name, op, batch, channels, size, channels of the result, kernel, options; each also as NAME_back.
local shapes = {
  {"lenet1", "conv2d", 128, 1, 28, 6, 5, {padding = 2}},
  {"lenet2", "conv2d", 128, 6, 14, 16, 5},
  {"first3", "conv2d", 64, 1, 28, 32, 3, {padding = 1}},
  {"wide5", "conv2d", 64, 32, 14, 64, 5, {padding = 2}},
  {"mid3", "conv2d", 64, 32, 28, 32, 3, {padding = 1}},
  {"large3", "conv2d", 64, 64, 32, 64, 3, {padding = 1}},
  {"deep3", "conv2d", 64, 128, 16, 128, 3, {padding = 1}},
  {"small3", "conv2d", 64, 128, 8, 128, 3, {padding = 1}},
  {"strided4", "conv2d", 64, 64, 14, 128, 4, {stride = 2, padding = 1}},
  {"point", "conv2d", 64, 128, 16, 128, 1},
  {"depthwise3", "conv2d", 64, 64, 28, 64, 3, {padding = 1, groups = 64}},
  {"up4", "conv_transpose2d", 64, 128, 7, 64, 4, {stride = 2, padding = 1}},
  {"up_last", "conv_transpose2d", 64, 64, 14, 1, 4, {stride = 2, padding = 1}},
  {"seed4", "conv_transpose2d", 64, 100, 1, 128, 7},
  {"verdict", "conv2d", 64, 128, 7, 1, 7},
  {"conv1d", "conv1d", 32, 64, 400, 64, 5, {padding = 2}},
}

local cases = {}
for _, shape in ipairs(shapes) do
  local name, op, n, c, size, o, k, options = table.unpack(shape)
  local function operands(grad)
    local nd = op:find "1d" and 1 or 2
    local function sized(a, b, m) return nd == 1 and {a, b, m} or {a, b, m, m} end
    local x = neap.randn(sized(n, c, size))
    local w = neap.randn(op:find "transpose" and sized(c, o, k) or sized(o, c // (options and options.groups or 1), k))
    local b = neap.randn(o)
    x.requires_grad, w.requires_grad, b.requires_grad = grad, grad, grad
    return x, w, b
  end
  cases[#cases + 1] = {name, function()
    local x, w, b = operands(false)
    return function() return neap[op](x, w, b, options) end
  end}
  cases[#cases + 1] = {name .. "_back", function()
    local x, w, b = operands(true)
    local g = neap.ones(neap[op](x, w, b, options).shape)
    return function()
      x.grad, w.grad, b.grad = nil, nil, nil
      neap[op](x, w, b, options):backward(g)
    end
  end}
end

timing.run("convolutions in float32", cases, 1)
