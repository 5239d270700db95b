-- Recurrent layers, forward without gradients and a step with them, timed; recurrent_torch.py beside this file does the same
-- in PyTorch:
--   neap scripts/bench/run.lua --script recurrent.lua --torch scripts/bench/recurrent_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

-- {steps, batch, input, units}
local shapes = {one = {50, 1, 64, 64}, small = {100, 32, 64, 128}, middle = {64, 64, 128, 256}, long = {512, 16, 64, 128}}

local cases = {}
for _, kind in ipairs{"LSTM", "GRU"} do
  for _, shape in ipairs{"one", "small", "middle", "long"} do
    local T, B, I, H = table.unpack(shapes[shape])
    local name = kind:lower() .. "_" .. shape
    cases[#cases + 1] = {name .. "_forward", function()
      local model, x = neap.nn[kind](I, H), neap.randn(T, B, I)
      return function()
        local _ <close> = neap.no_grad()
        return model(x)
      end
    end}
    cases[#cases + 1] = {name .. "_step", function()
      local model, x, g = neap.nn[kind](I, H), neap.randn({T, B, I}, {requires_grad = true}), neap.randn(T, B, H)
      local leaves = model:parameters()
      leaves[#leaves + 1] = x
      return function() return neap.grad({(model(x))}, leaves, {grad_outputs = {g}}) end
    end}
  end
end

timing.run("recurrent layers in float32", cases, 1)
