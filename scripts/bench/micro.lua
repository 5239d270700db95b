-- What one small call costs, and that loops of temporaries stay small: the costs that a script pays per op.

local neap = require "neap"

require "neap.args" (arg, [[
Times small ops from Lua and watches the resident memory of loops that never call collectgarbage.
]])

-- The process's resident memory in MB, and its highest so far (Linux).
local function resident()
  local file = io.open "/proc/self/status"
  if not file then return 0, 0 end
  local text = file:read "a"
  file:close()
  return tonumber(text:match "VmRSS:%s+(%d+)") / 1024, tonumber(text:match "VmHWM:%s+(%d+)") / 1024
end

-- Nanoseconds a turn of loop(n), the fastest of some runs.
local function cost(n, loop)
  local best = math.huge
  loop(n)
  for _ = 1, 5 do
    local start = neap.clock()
    loop(n)
    best = math.min(best, (neap.clock() - start) / n)
  end
  return best * 1e9
end

local function line(what, value, unit)
  print(("%-56s %10.1f %s"):format(what, value, unit))
end

local a, b = neap.rand(10), neap.rand(10)
line("c = a + b on 10 elements", cost(200000, function(n)
  for _ = 1, n do local _ = a + b end
end), "ns")
local g = neap.rand(10):requires_grad_()
line("the same, recorded", cost(200000, function(n)
  for _ = 1, n do local _ = g + b end
end), "ns")
local layer, x = neap.nn.Linear(16, 16), neap.rand(1, 16)
line("nn.Linear(16, 16) on one row, not recorded", neap.no_grad(function()
  return cost(50000, function(n)
    for _ = 1, n do local _ = layer(x) end
  end)
end), "ns")
line("x[i]:item()", cost(50000, function(n)
  for _ = 1, n do local _ = a[3]:item() end
end), "ns")

local before = resident()
for _ = 1, 1000000 do local _ = a + b end
line("1e6 additions: resident memory grew by", resident() - before, "MB")

local live = {}
for i = 1, 300000 do live[i] = {i} end
before = resident()
local most = 0
for i = 1, 20000 do
  local t = neap.zeros(512, 512)
  if i % 100 == 0 then
    most = math.max(most, (resident()))
    assert(t:numel() == 512 * 512)
  end
end
line("20000 temporaries of 1 MB, 300000 live tables: up to", most, "MB")
line("  of which before the loop", before, "MB")
assert(#live == 300000)

live = nil -- luacheck: ignore
do
  local c = g
  local start = neap.clock()
  for _ = 1, 1000000 do c = c + b end
  local middle = neap.clock()
  c:sum():backward()
  c = nil
  collectgarbage()
  line("chain of 1e6 recorded additions: forward", middle - start, "s")
  line("  backward and release", neap.clock() - middle, "s")
  assert(c == nil and g.grad ~= nil)
end
