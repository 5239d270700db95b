-- Moving elements, timed: copies that transpose, joins, picks by positions and masks, padding. One JSON line a case; with
-- --python PyTorch runs the same cases in turns, and a line says how many times faster Neap is.
--   neap scripts/bench/shape.lua [--cases LIST] [--python PATH/python --threads N]

local neap = require "neap"

local options = require "neap.args" (arg, [[
Times ops that move elements; with --python prints how many times faster than PyTorch they are.
  --cases LIST     which, with commas; all when not given
  --time N=0.3     seconds a case and turn
  --rounds N=3     how often the two take turns
  --threads N=1    of each side
  --python FILE    a Python that has torch
  --neap FILE=build/neap   the program, for the turns
]])

neap.seed(0)

local function ints(n, ...) return neap.randint(1, n + 1, {...}) end

-- name, {Neap's call, what it needs}, PyTorch's call of the same names (positions there count from 0)
local cases = {
  {"transpose_1024", function() return neap.rand(1024, 1024) end, function(x) return x:t():contiguous() end,
    "x=torch.rand(1024,1024)", "x.t().contiguous()"},
  {"transpose_4096", function() return neap.rand(4096, 4096) end, function(x) return x:t():contiguous() end,
    "x=torch.rand(4096,4096)", "x.t().contiguous()"},
  {"transpose_4096_f64", function() return neap.rand(2048, 2048, {dtype = "float64"}) end, function(x) return x:t():contiguous() end,
    "x=torch.rand(2048,2048,dtype=torch.float64)", "x.t().contiguous()"},
  {"nchw_to_nhwc", function() return neap.rand(16, 64, 56, 56) end, function(x) return x:permute(1, 3, 4, 2):contiguous() end,
    "x=torch.rand(16,64,56,56)", "x.permute(0,2,3,1).contiguous()"},
  {"nhwc_to_nchw", function() return neap.rand(16, 56, 56, 64) end, function(x) return x:permute(1, 4, 2, 3):contiguous() end,
    "x=torch.rand(16,56,56,64)", "x.permute(0,3,1,2).contiguous()"},
  {"heads", function() return neap.rand(8, 256, 12, 64) end, function(x) return x:transpose(2, 3):contiguous() end,
    "x=torch.rand(8,256,12,64)", "x.transpose(1,2).contiguous()"},
  {"permute_all", function() return neap.rand(32, 48, 40, 36) end, function(x) return x:permute(4, 3, 2, 1):contiguous() end,
    "x=torch.rand(32,48,40,36)", "x.permute(3,2,1,0).contiguous()"},
  {"strided_half", function() return neap.rand(2048, 2048) end, function(x) return x:slice(2, 1, 1024, 2):contiguous() end,
    "x=torch.rand(2048,2048)", "x[:,::2].contiguous()"},
  {"expand_copy", function() return neap.rand(1024, 1) end, function(x) return x:expand(1024, 1024):contiguous() end,
    "x=torch.rand(1024,1)", "x.expand(1024,1024).contiguous()"},
  {"cat_rows", function() return neap.rand(512, 1024), neap.rand(512, 1024) end, function(x, y) return neap.cat({x, y}, 1) end,
    "x=torch.rand(512,1024);y=torch.rand(512,1024)", "torch.cat([x,y],0)"},
  {"cat_columns", function() return neap.rand(4096, 64), neap.rand(4096, 64) end, function(x, y) return neap.cat({x, y}, 2) end,
    "x=torch.rand(4096,64);y=torch.rand(4096,64)", "torch.cat([x,y],1)"},
  {"stack_last", function() return neap.rand(512, 512), neap.rand(512, 512) end, function(x, y) return neap.stack({x, y}, -1) end,
    "x=torch.rand(512,512);y=torch.rand(512,512)", "torch.stack([x,y],-1)"},
  {"index_select_rows", function() return neap.rand(10000, 784), ints(10000, 1024) end, function(x, i) return x:index_select(1, i) end,
    "x=torch.rand(10000,784);i=torch.randint(10000,(1024,))", "x.index_select(0,i)"},
  {"index_select_columns", function() return neap.rand(1024, 1024), ints(1024, 512) end, function(x, i) return x:index_select(2, i) end,
    "x=torch.rand(1024,1024);i=torch.randint(1024,(512,))", "x.index_select(1,i)"},
  {"gather_rows", function() return neap.rand(1024, 1024), ints(1024, 1024, 256) end, function(x, i) return x:gather(2, i) end,
    "x=torch.rand(1024,1024);i=torch.randint(1024,(1024,256))", "x.gather(1,i)"},
  {"gather_down", function() return neap.rand(1024, 1024), ints(1024, 256, 1024) end, function(x, i) return x:gather(1, i) end,
    "x=torch.rand(1024,1024);i=torch.randint(1024,(256,1024))", "x.gather(0,i)"},
  {"take", function() return neap.rand(1000000), ints(1000000, 500000) end, function(x, i) return x:index({i}) end,
    "x=torch.rand(1000000);i=torch.randint(1000000,(500000,))", "x[i]"},
  {"scatter_add_rows", function() return neap.zeros(1024, 1024), ints(1024, 1024, 512), neap.rand(1024, 512) end,
    function(x, i, y) return x:scatter_add_(2, i, y) end,
    "x=torch.zeros(1024,1024);i=torch.randint(1024,(1024,512));y=torch.rand(1024,512)", "x.scatter_add_(1,i,y)"},
  {"scatter_add_down", function() return neap.zeros(1024, 1024), ints(1024, 512, 1024), neap.rand(512, 1024) end,
    function(x, i, y) return x:scatter_add_(1, i, y) end,
    "x=torch.zeros(1024,1024);i=torch.randint(1024,(512,1024));y=torch.rand(512,1024)", "x.scatter_add_(0,i,y)"},
  {"scatter_add_1d", function() return neap.zeros(10000), ints(10000, 500000), neap.rand(500000) end,
    function(x, i, y) return x:scatter_add_(1, i, y) end,
    "x=torch.zeros(10000);i=torch.randint(10000,(500000,));y=torch.rand(500000)", "x.scatter_add_(0,i,y)"},
  {"index_add_rows", function() return neap.zeros(5000, 256), ints(5000, 8192), neap.rand(8192, 256) end,
    function(x, i, y) return x:index_add_(1, i, y) end,
    "x=torch.zeros(5000,256);i=torch.randint(5000,(8192,));y=torch.rand(8192,256)", "x.index_add_(0,i,y)"},
  {"embedding_step", function() return neap.rand(5000, 256, {requires_grad = true}), ints(5000, 8, 512) end,
    function(w, i) w.grad = nil neap.embedding(i, w):sum():backward() end,
    "x=torch.rand(5000,256,requires_grad=True);i=torch.randint(5000,(8,512))",
    "(setattr(x,'grad',None),torch.nn.functional.embedding(i,x).sum().backward())"},
  {"masked_select", function() local x = neap.rand(1024, 1024) return x, x:gt(0.5) end, function(x, m) return x:masked_select(m) end,
    "x=torch.rand(1024,1024);m=x>0.5", "x.masked_select(m)"},
  {"masked_fill", function() local x = neap.rand(1024, 1024) return x, x:gt(0.5) end, function(x, m) return x:masked_fill(m, 0) end,
    "x=torch.rand(1024,1024);m=x>0.5", "x.masked_fill(m,0.0)"},
  {"nonzero", function() return neap.rand(1024, 1024):gt(0.5) end, function(m) return m:nonzero() end,
    "m=torch.rand(1024,1024)>0.5", "m.nonzero()"},
  {"mask_index_put", function() local x = neap.rand(1024, 1024) return x, x:gt(0.5) end, function(x, m) x[m] = 0.75 end,
    "x=torch.rand(1024,1024);m=x>0.5", "x.__setitem__(m,0.75)"},
  {"pad_constant", function() return neap.rand(16, 64, 56, 56) end, function(x) return x:pad {1, 1, 1, 1} end,
    "x=torch.rand(16,64,56,56)", "F.pad(x,(1,1,1,1))"},
  {"pad_reflect", function() return neap.rand(16, 64, 56, 56) end, function(x) return x:pad({3, 3, 3, 3}, "reflect") end,
    "x=torch.rand(16,64,56,56)", "F.pad(x,(3,3,3,3),'reflect')"},
  {"roll", function() return neap.rand(1024, 1024) end, function(x) return x:roll({5, 7}, {1, 2}) end,
    "x=torch.rand(1024,1024)", "x.roll((5,7),(0,1))"},
  {"flip", function() return neap.rand(1024, 1024) end, function(x) return x:flip(1, 2) end, "x=torch.rand(1024,1024)", "x.flip(0,1)"},
  {"tile", function() return neap.rand(256, 256) end, function(x) return x:tile(4, 4) end, "x=torch.rand(256,256)", "x.repeat(4,4)"},
  {"repeat_interleave", function() return neap.rand(256, 1024) end, function(x) return x:repeat_interleave(4, 1) end,
    "x=torch.rand(256,1024)", "x.repeat_interleave(4,0)"},
  {"diag_embed", function() return neap.rand(64, 128) end, function(x) return x:diag_embed() end, "x=torch.rand(64,128)", "x.diag_embed()"},
  {"tril", function() return neap.rand(1024, 1024) end, function(x) return x:tril() end, "x=torch.rand(1024,1024)", "x.tril()"},
}

-- Milliseconds a call, the median over runs.
local function time(f, ...)
  local args = table.pack(...)
  local function once()
    local _ <close> = neap.scope()
    f(table.unpack(args, 1, args.n))
  end
  for _ = 1, 3 do once() end
  local times, stop = {}, neap.clock() + options.time
  while #times < 5 or neap.clock() < stop do
    local start = neap.clock()
    once()
    times[#times + 1] = neap.clock() - start
  end
  table.sort(times)
  return times[(#times + 1) // 2] * 1e3
end

local PYTHON = [[
import time, torch, torch.nn.functional as F
torch.set_num_threads(%d)
%s
def once(): return %s
for _ in range(3): once()
times, stop = [], time.perf_counter() + %g
while len(times) < 5 or time.perf_counter() < stop:
    start = time.perf_counter(); once(); times.append(time.perf_counter() - start)
times.sort()
print('{"ms_median": %%.5f}' %% (times[len(times) // 2] * 1e3))
]]

local function measure(command)
  local pipe = assert(io.popen(("env -u OPENBLAS_CORETYPE NEAP_NUM_THREADS=%d OMP_NUM_THREADS=%d %s"):format(options.threads, options.threads, command)))
  local text = pipe:read "a"
  pipe:close()
  return tonumber(text:match '"ms_median": ([%d.e+-]+)') or error("no result from: " .. command, 0)
end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

if options.python then print(("%-22s %10s %10s %7s   (%d threads)"):format("case", "neap ms", "torch ms", "ratio", options.threads)) end
for _, case in ipairs(cases) do
  local name, make, call, setup, expression = table.unpack(case)
  if not options.cases or ("," .. options.cases .. ","):find("," .. name .. ",", 1, true) then
    if not options.python then
      print(('{"case": "%s", "threads": %d, "ms_median": %.5f}'):format(name, neap.info().threads, time(call, make())))
    else
      local ours, theirs = {}, {}
      for i = 1, options.rounds do
        ours[i] = measure(("%s %s --cases %s --time %g"):format(quoted(options.neap), quoted(arg[0]), name, options.time))
        theirs[i] = measure(("%s -c %s"):format(quoted(options.python), quoted(PYTHON:format(options.threads, setup, expression, options.time))))
      end
      local a, b = median(ours), median(theirs)
      print(("%-22s %10.4f %10.4f %7.2f"):format(name, a, b, b / a))
    end
  end
end
