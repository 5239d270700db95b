-- A formula in one pass against the same in separate ops, and against PyTorch's separate ops: tanh(a * x + b) * c.
--   neap scripts/bench/map.lua --python PATH/python

local neap = require "neap"

local options = require "neap.args" (arg, [[
Times neap.map on tanh(a * x + b) * c beside separate ops, forward and with its gradient.
  --python FILE=    a Python that has torch: its times too
  --time N=0.5      seconds a case
]])

local torch = [=[
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
for n in (1000, 1000000, 10000000):
    x, a, b, c = (torch.rand(n) for _ in range(4))
    leaves = [t.clone().requires_grad_() for t in (x, a, b, c)]
    w = torch.rand(n)
    def forward(): torch.tanh(a * x + b) * c
    def both():
        y = torch.tanh(leaves[1] * leaves[0] + leaves[2]) * leaves[3]
        torch.autograd.grad(y, leaves, w)
    for f in (forward, both):
        for _ in range(2): f()
        best, stop = 1e9, time.perf_counter() + float(sys.argv[2])
        while best == 1e9 or time.perf_counter() < stop:
            start = time.perf_counter()
            k = 200 if n == 1000 else 2
            for _ in range(k): f()
            best = min(best, (time.perf_counter() - start) / k)
        print("%.9g" % best)
]=]

local function best_of(f, n)
  local best, stop = math.huge, neap.clock() + options.time
  for _ = 1, 2 do f() end
  while best == math.huge or neap.clock() < stop do
    local start = neap.clock()
    local turns = n == 1000 and 200 or 2
    for _ = 1, turns do f() end
    best = math.min(best, (neap.clock() - start) / turns)
  end
  return best
end

local theirs = {}
if options.python ~= "" then
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(torch)
  file:close()
  local pipe = assert(io.popen(("env -u OPENBLAS_CORETYPE '%s' %s %d %g"):format(options.python, path, neap.info().threads, options.time)))
  for line in pipe:lines() do theirs[#theirs + 1] = tonumber(line) end
  pipe:close()
  os.remove(path)
end

print(("%-22s %12s %12s %10s %12s %10s"):format("tanh(a x + b) c", "map us", "ops us", "ops/map", "torch us", "torch/map"))
local case = 0
for _, n in ipairs { 1000, 1000000, 10000000 } do
  local x, a, b, c, w = neap.rand(n), neap.rand(n), neap.rand(n), neap.rand(n), neap.rand(n)
  local leaves = {}
  for i, t in ipairs { x, a, b, c } do leaves[i] = t:clone():requires_grad_() end
  local function gradient(y) neap.grad({ y }, leaves, { grad_outputs = { w } }) end
  local pairs_of = {
    { "forward", function() local _ <close> = neap.scope() neap.map(x, a, b, c, "tanh(y * x + z) * w") end,
      function() local _ <close> = neap.scope() local _ = (a * x + b):tanh() * c end },
    { "with gradient", function()
      local _ <close> = neap.scope()
      gradient(neap.map(leaves[1], leaves[2], leaves[3], leaves[4], "tanh(y * x + z) * w"))
    end, function()
      local _ <close> = neap.scope()
      gradient((leaves[2] * leaves[1] + leaves[3]):tanh() * leaves[4])
    end },
  }
  for _, p in ipairs(pairs_of) do
    case = case + 1
    local fused, apart = best_of(p[2], n), best_of(p[3], n)
    local other = theirs[case]
    print(("%-22s %12.2f %12.2f %10.2f %12s %10s"):format(("%s, %g"):format(p[1], n), fused * 1e6, apart * 1e6, apart / fused,
      other and ("%.2f"):format(other * 1e6) or "-", other and ("%.2f"):format(other / fused) or "-"))
  end
end
