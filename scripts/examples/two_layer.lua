-- What backward computes, three ways: by autograd, by the chain rule written out, and by small differences. A network of
-- 3 inputs, 2 hidden units with ReLU and 1 output, small enough to check by hand.
--   neap scripts/examples/two_layer.lua --rate 0.1

local neap = require "neap"

local options = require "neap.args" (arg, [[
Prints the values and the gradients of a 3-2-1 network, and its weights after one step of gradient descent.
  --rate N=0.1   how far a step goes
]])

local function numbers(values)
  return neap.tensor(values, {dtype = "float64"})
end

local x, target = numbers{1.0, 0.5, -1.5}, numbers{1.0}
local names = {"w1", "b1", "w2", "b2"}
local weights = {
  w1 = numbers{{0.2, -0.4, 0.1}, {0.7, 0.3, -0.5}}, -- (hidden, inputs)
  b1 = numbers{0.5, -0.1},
  w2 = numbers{{0.6, -0.8}}, -- (output, hidden)
  b2 = numbers{0.3},
}

local function forward(w)
  local z = w.w1:matmul(x) + w.b1 -- (2)
  local h = z:relu()
  local y = w.w2:matmul(h) + w.b2 -- (1)
  local loss = ((y - target) ^ 2):sum() / 2
  return loss, z, h, y
end

local function show(title, tensor)
  local values = tensor:flatten():totable()
  for i, v in ipairs(values) do values[i] = ("%9.6f"):format(v) end
  print(("  %-6s %s"):format(title, table.concat(values, " ")))
end

print "Forward"
local loss, z, h, y = forward(weights)
show("z", z)
show("h", h)
show("y", y)
show("loss", loss)

-- 1. Autograd.
for _, name in ipairs(names) do weights[name]:requires_grad_() end
forward(weights):backward()
print "Gradients by autograd"
for _, name in ipairs(names) do show(name, weights[name].grad) end

-- 2. The chain rule: from the loss back to each weight.
local by_hand = neap.no_grad(function()
  local dy = y - target                                        -- (1)
  local dh = weights.w2:t():matmul(dy)                         -- (2)
  local dz = neap.where(z:gt(0), dh, neap.zeros_like(dh))      -- relu lets pass where it was positive
  return {
    w1 = dz:unsqueeze(2) * x:unsqueeze(1), b1 = dz,            -- an outer product
    w2 = dy:unsqueeze(2) * h:unsqueeze(1), b2 = dy,
  }
end)
print "Gradients by the chain rule"
for _, name in ipairs(names) do show(name, by_hand[name]) end

-- 3. Differences: move one number a little up and down and see what the loss does.
local by_differences = neap.no_grad(function()
  local out, e = {}, 1e-6
  for _, name in ipairs(names) do
    local grad = neap.zeros_like(weights[name])
    local flat = grad:view(-1)
    for i = 1, #flat do
      local function moved(by)
        local w = setmetatable({[name] = weights[name]:clone()}, {__index = weights})
        local values = w[name]:view(-1)
        values[i] = values[i] + by
        return forward(w):item()
      end
      flat[i] = (moved(e) - moved(-e)) / (2 * e)
    end
    out[name] = grad
  end
  return out
end)
print "Gradients by differences"
for _, name in ipairs(names) do show(name, by_differences[name]) end

local apart = 0
for _, name in ipairs(names) do
  local grad = weights[name].grad
  for _, other in ipairs{by_hand[name], by_differences[name]} do
    apart = math.max(apart, (grad - other):abs():max():item())
  end
end
print(("Largest disagreement: %.1e"):format(apart))

print(("Weights after one step at rate %g"):format(options.rate))
neap.no_grad(function()
  for _, name in ipairs(names) do
    weights[name]:sub_(weights[name].grad * options.rate)
    show(name, weights[name])
  end
end)
show("loss", forward(weights))
