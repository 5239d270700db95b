-- Training steps, timed: batch fetch, forward, loss, backward, update; weights and data are random. One JSON line a case,
-- with the fields of the PyTorch script that run.lua alternates with, so that the two can be laid side by side.

local neap = require "neap"
local nn, optim = neap.nn, neap.optim
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local options = require "neap.args" (arg, [[
Times training steps; prints one JSON line a case.
  --cases LIST=mnist_softmax,mlp   which, with commas
  --time N=3                       seconds a case
]])

neap.seed(0)

local function train(name, model, size, make_optimizer, inner)
  local X, Y = neap.rand(10000, 784), neap.randint(1, 11, {10000})
  local optimizer = make_optimizer(model:parameters())
  local count = 0
  for _, p in ipairs(model:parameters()) do count = count + p:numel() end
  local function step()
    local _ <close> = neap.scope()
    local rows = neap.randint(1, 10001, {size})
    local x, y = X:index_select(1, rows), Y:index_select(1, rows)
    local loss = neap.cross_entropy(model(x), y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
  end
  local times = timing.time(step, inner, options.time)
  timing.print(name, times, (', "samples_per_s": %.1f, "params": %d'):format(size / timing.median(times), count))
end

local cases = {
  mnist_softmax = function()
    train("mnist_softmax_784-10_b100_sgd", nn.Linear(784, 10), 100, function(p) return optim.SGD(p, {lr = 0.5}) end, 100)
  end,
  mlp = function()
    local model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    train("mlp_784-256-128-10_b128_adam", model, 128, function(p) return optim.Adam(p, {lr = 1e-3}) end, 20)
  end,
}

for name in options.cases:gmatch "[^,]+" do
  if not cases[name] then error("no case " .. name .. "; there are mnist_softmax and mlp", 0) end
  cases[name]()
end
