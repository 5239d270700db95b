-- A first script: a line through noisy points, by gradient descent.
--   neap scripts/examples/first_script.lua

local neap = require "neap"

neap.seed(1)
local x = neap.linspace(-1, 1, 100)
local y = 3 * x + 1 + neap.randn(100) * 0.1

local slope = neap.zeros(1, {requires_grad = true})
local offset = neap.zeros(1, {requires_grad = true})
local optimizer = neap.optim.SGD({slope, offset}, {lr = 0.1})

for step = 1, 100 do
  local loss = neap.mse_loss(slope * x + offset, y)
  optimizer:zero_grad()
  loss:backward()
  optimizer:step()
  if step % 20 == 0 then print(step, loss:item()) end
end

print(("y = %.2f x + %.2f"):format(slope:item(), offset:item()))
