-- The exclusive or, which no single layer can learn: a layer of one's own written in Lua around layers in C.
--   neap scripts/examples/xor.lua

local neap = require "neap"
local nn, optim = neap.nn, neap.optim

neap.seed(2)

local Net = nn.class "Net"

function Net:init(hidden)
  self.hidden = nn.Linear(2, hidden)
  self.out = nn.Linear(hidden, 1)
end

function Net:forward(x)
  return self.out(self.hidden(x):tanh())
end

local x = neap.tensor{{0, 0}, {0, 1}, {1, 0}, {1, 1}}
local y = neap.tensor{{0}, {1}, {1}, {0}}

local net = Net(4)
local optimizer = optim.Adam(net:parameters(), {lr = 0.05})
for step = 1, 400 do
  local _ <close> = neap.scope()
  local loss = neap.binary_cross_entropy_with_logits(net(x), y)
  optimizer:zero_grad()
  loss:backward()
  optimizer:step()
  if step % 100 == 0 then print(("step %d  loss %.4f"):format(step, loss:item())) end
end

print(net)
for i, row in ipairs(net(x):sigmoid():totable()) do
  print(("%d xor %d = %.3f"):format(x[i][1]:item() // 1, x[i][2]:item() // 1, row[1]))
end
