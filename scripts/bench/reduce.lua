-- Reductions, scans and sorting, timed on a vector of 1e6 float32 (_long) and on the rows of a (1000, 1000) (_rows);
-- reduce_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script reduce.lua --torch scripts/bench/reduce_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local calls = {
  {"sum", function(x) return x:sum(-1) end},
  {"mean", function(x) return x:mean(-1) end},
  {"max", function(x) return x:amax(-1) end},
  {"argmax", function(x) return x:argmax(-1) end},
  {"cumsum", function(x) return x:cumsum(-1) end},
  {"sort", function(x) return x:sort(-1) end},
  {"topk", function(x) return x:topk(10, -1) end},
  {"median", function(x) return x:median(-1) end},
}

local inputs = {long = {1000000}, rows = {1000, 1000}}

local cases = {}
for _, call in ipairs(calls) do
  for _, kind in ipairs {"long", "rows"} do
    cases[#cases + 1] = {call[1] .. "_" .. kind, function()
      local x = neap.randn(inputs[kind])
      return function() return call[2](x) end
    end}
  end
end

timing.run("reductions, scans and sorting in float32", cases, 1)
