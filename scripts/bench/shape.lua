-- Moving elements, timed: copies that transpose, joins, picks by positions and masks, padding; shape_torch.py beside this
-- file does the same in PyTorch:
--   neap scripts/bench/run.lua --script shape.lua --torch scripts/bench/shape_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local function ints(n, ...) return neap.randint(1, n + 1, {...}) end

-- name, what makes the arguments, what is timed
local calls = {
  {"transpose_1024", function() return neap.rand(1024, 1024) end, function(x) return x:t():contiguous() end},
  {"transpose_4096", function() return neap.rand(4096, 4096) end, function(x) return x:t():contiguous() end},
  {"transpose_4096_f64", function() return neap.rand(2048, 2048, {dtype = "float64"}) end,
    function(x) return x:t():contiguous() end},
  {"nchw_to_nhwc", function() return neap.rand(16, 64, 56, 56) end, function(x) return x:permute(1, 3, 4, 2):contiguous() end},
  {"nhwc_to_nchw", function() return neap.rand(16, 56, 56, 64) end, function(x) return x:permute(1, 4, 2, 3):contiguous() end},
  {"heads", function() return neap.rand(8, 256, 12, 64) end, function(x) return x:transpose(2, 3):contiguous() end},
  {"permute_all", function() return neap.rand(32, 48, 40, 36) end, function(x) return x:permute(4, 3, 2, 1):contiguous() end},
  {"strided_half", function() return neap.rand(2048, 2048) end, function(x) return x:slice(2, 1, 1024, 2):contiguous() end},
  {"expand_copy", function() return neap.rand(1024, 1) end, function(x) return x:expand(1024, 1024):contiguous() end},
  {"cat_rows", function() return neap.rand(512, 1024), neap.rand(512, 1024) end, function(x, y) return neap.cat({x, y}, 1) end},
  {"cat_columns", function() return neap.rand(4096, 64), neap.rand(4096, 64) end, function(x, y) return neap.cat({x, y}, 2) end},
  {"stack_last", function() return neap.rand(512, 512), neap.rand(512, 512) end,
    function(x, y) return neap.stack({x, y}, -1) end},
  {"index_select_rows", function() return neap.rand(10000, 784), ints(10000, 1024) end,
    function(x, i) return x:index_select(1, i) end},
  {"index_select_columns", function() return neap.rand(1024, 1024), ints(1024, 512) end,
    function(x, i) return x:index_select(2, i) end},
  {"gather_rows", function() return neap.rand(1024, 1024), ints(1024, 1024, 256) end, function(x, i) return x:gather(2, i) end},
  {"gather_down", function() return neap.rand(1024, 1024), ints(1024, 256, 1024) end, function(x, i) return x:gather(1, i) end},
  {"take", function() return neap.rand(1000000), ints(1000000, 500000) end, function(x, i) return x:index({i}) end},
  {"scatter_add_rows", function() return neap.zeros(1024, 1024), ints(1024, 1024, 512), neap.rand(1024, 512) end,
    function(x, i, y) return x:scatter_add_(2, i, y) end},
  {"scatter_add_down", function() return neap.zeros(1024, 1024), ints(1024, 512, 1024), neap.rand(512, 1024) end,
    function(x, i, y) return x:scatter_add_(1, i, y) end},
  {"scatter_add_1d", function() return neap.zeros(10000), ints(10000, 500000), neap.rand(500000) end,
    function(x, i, y) return x:scatter_add_(1, i, y) end},
  {"index_add_rows", function() return neap.zeros(5000, 256), ints(5000, 8192), neap.rand(8192, 256) end,
    function(x, i, y) return x:index_add_(1, i, y) end},
  {"embedding_step", function() return neap.rand(5000, 256, {requires_grad = true}), ints(5000, 8, 512) end,
    function(w, i) w.grad = nil neap.embedding(i, w):sum():backward() end},
  {"masked_select", function() local x = neap.rand(1024, 1024) return x, x:gt(0.5) end,
    function(x, m) return x:masked_select(m) end},
  {"masked_fill", function() local x = neap.rand(1024, 1024) return x, x:gt(0.5) end,
    function(x, m) return x:masked_fill(m, 0) end},
  {"nonzero", function() return neap.rand(1024, 1024):gt(0.5) end, function(m) return m:nonzero() end},
  {"mask_index_put", function() local x = neap.rand(1024, 1024) return x, x:gt(0.5) end, function(x, m) x[m] = 0.75 end},
  {"pad_constant", function() return neap.rand(16, 64, 56, 56) end, function(x) return x:pad {1, 1, 1, 1} end},
  {"pad_reflect", function() return neap.rand(16, 64, 56, 56) end, function(x) return x:pad({3, 3, 3, 3}, "reflect") end},
  {"pad_reflect_step", function() return neap.rand(16, 64, 56, 56, {requires_grad = true}) end,
    function(x) x.grad = nil x:pad({3, 3, 3, 3}, "reflect"):sum():backward() end},
  {"roll", function() return neap.rand(1024, 1024) end, function(x) return x:roll({5, 7}, {1, 2}) end},
  {"flip", function() return neap.rand(1024, 1024) end, function(x) return x:flip(1, 2) end},
  {"tile", function() return neap.rand(256, 256) end, function(x) return x:tile(4, 4) end},
  {"repeat_interleave", function() return neap.rand(256, 1024) end, function(x) return x:repeat_interleave(4, 1) end},
  {"diag_embed", function() return neap.rand(64, 128) end, function(x) return x:diag_embed() end},
  {"tril", function() return neap.rand(1024, 1024) end, function(x) return x:tril() end},
}

local cases = {}
for i, call in ipairs(calls) do
  cases[i] = {call[1], function()
    local args = table.pack(call[2]())
    return function() return call[3](table.unpack(args, 1, args.n)) end
  end}
end
timing.run("ops that move elements", cases, 1)
