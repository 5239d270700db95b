-- Attention of 8 heads of 64 numbers over T positions, timed; attention_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script attention.lua --torch scripts/bench/attention_torch.py --cases all
-- t1024 is the forward pass, t1024_back forward and backward; _causal sees no later positions. b8_t128: a batch of 8;
-- step1024: one query against 1024 keys, as in generating text.

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local cases = {}
local function case(name, shape, queries, causal, back)
  cases[#cases + 1] = {name, function()
    local b, t = table.unpack(shape)
    local work = 4 * b * 8 * queries * t * 64 * (back and 3.5 or 1)
    local options = {requires_grad = back}
    local q = neap.randn(b, 8, queries, 64, options)
    local k, v = neap.randn(b, 8, t, 64, options), neap.randn(b, 8, t, 64, options)
    local g = neap.randn(b, 8, queries, 64)
    local inner = math.max(1, math.min(200, math.ceil(2e8 / work)))
    return function()
      local y = neap.scaled_dot_product_attention(q, k, v, {is_causal = causal})
      if back then
        q.grad, k.grad, v.grad = nil, nil, nil
        y:backward(g)
      end
    end, inner
  end}
end
for _, t in ipairs {128, 256, 512, 1024, 2048, 4096} do
  for _, back in ipairs {false, true} do
    for _, causal in ipairs {false, true} do
      case("t" .. t .. (back and "_back" or "") .. (causal and "_causal" or ""), {1, t}, t, causal, back)
    end
  end
end
case("b8_t128_causal", {8, 128}, 128, true, false)
case("b8_t128_back_causal", {8, 128}, 128, true, true)
case("step1024", {1, 1024}, 1, false, false)

timing.run("attention in float32", cases, 1)
