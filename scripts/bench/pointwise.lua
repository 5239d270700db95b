-- Elementwise ops against PyTorch's, on as many threads as NEAP_NUM_THREADS says, float32: nanoseconds an element, and the ratio.
--   neap scripts/bench/pointwise.lua --python PATH/python

local neap = require "neap"

local options = require "neap.args" (arg, [[
Times elementwise ops beside PyTorch's; both sides take turns, so that a machine that slows down slows both.
  --python FILE=    a Python that has torch; without it Neap's own times alone
  --ops LIST=add,mul,div,exp,log,log1p,expm1,tanh,sigmoid,erf,gelu,silu,softplus,sin,cos,tan,atan,pow,sqrt,rsqrt,asinh,lgamma,digamma,erfinv
  --size N=1000000  elements
  --dtype NAME=float32
  --rounds N=5
]])

-- These get numbers of both signs, as in a net; the others from 0.05 to 0.95, where all of them are defined.
local ACTIVATIONS = "relu gelu silu elu selu celu softplus mish hardswish leaky_relu tanh sigmoid"
local BINARY = "add sub mul div pow atan2 hypot remainder fmod floor_divide maximum minimum copysign logaddexp"

local torch = [=[
import sys, time, torch
import torch.nn.functional as F
torch.set_num_threads(int(sys.argv[5]))
n, dtype = int(sys.argv[1]), getattr(torch, sys.argv[2])
x, z, a = (torch.rand(n) * 0.9 + 0.05).to(dtype), (torch.rand(n) + 0.5).to(dtype), torch.randn(n).to(dtype)
for line in sys.stdin:
    name = line.strip()
    f = getattr(torch, name, None) or getattr(F, name)
    args = (x, z) if name in sys.argv[3].split() else (a,) if name in sys.argv[4].split() else (x,)
    best = 1e9
    for i in range(14):
        start = time.perf_counter()
        f(*args)
        best = min(best, time.perf_counter() - start)
    print("%.6g" % (best * 1e9 / n), flush=True)
]=]

-- A Python that answers one line for each line it is given.
local function partner()
  local script, answers = os.tmpname(), os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(torch)
  file:close()
  os.remove(answers)
  assert(os.execute(("mkfifo '%s'"):format(answers)))
  local pipe = assert(io.popen(("env -u OPENBLAS_CORETYPE '%s' %s %d %s '%s' '%s' %d > %s"):format(options.python, script, options.size,
    options.dtype, BINARY, ACTIVATIONS, neap.info().threads, answers), "w"))
  local reader = assert(io.open(answers, "r"))
  return function(name)
    pipe:write(name, "\n")
    pipe:flush()
    return tonumber(reader:read "l")
  end, function() pipe:close() reader:close() os.remove(script) os.remove(answers) end
end

local ask, close
if options.python ~= "" then ask, close = partner() end
local x = (neap.rand(options.size) * 0.9 + 0.05):to(options.dtype)
local z = (neap.rand(options.size) + 0.5):to(options.dtype)
local a = neap.randn(options.size):to(options.dtype)
local binary, activation = {}, {}
for name in BINARY:gmatch "%a[%w_]*" do binary[name] = true end
for name in ACTIVATIONS:gmatch "%a[%w_]*" do activation[name] = true end

print(("%-12s %10s %10s %8s   (%s, %d elements, %d thread%s)"):format("op", "neap ns", "torch ns", "ratio", options.dtype, options.size,
  neap.info().threads, neap.info().threads == 1 and "" or "s"))
for name in options.ops:gmatch "[^,]+" do
  local f, ours, theirs = neap[name], math.huge, math.huge
  for _ = 1, options.rounds do
    for _ = 1, 14 do
      local _ <close> = neap.scope()
      local start = neap.clock()
      if binary[name] then f(x, z) else f(activation[name] and a or x) end
      ours = math.min(ours, (neap.clock() - start) * 1e9 / options.size)
    end
    if ask then theirs = math.min(theirs, ask(name)) end
  end
  print(("%-12s %10.3f %10s %8s"):format(name, ours, ask and ("%.3f"):format(theirs) or "-", ask and ("%.2f"):format(theirs / ours) or "-"))
end
if close then close() end
