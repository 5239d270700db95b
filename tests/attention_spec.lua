-- Attention beyond what the loops of ops_spec and the sweep see: against its definition at sizes that take many blocks, in
-- every dtype, with dropout; and how much memory it takes.

local neap = require "neap"
local sdpa = neap.scaled_dot_product_attention

local function far(x, y) return (x:to("float64") - y:to("float64")):abs():amax():item() end

-- What the op is: softmax(scale q k' + mask) v, the whole matrix of weights at once.
local function definition(q, k, v, o)
  o = o or {}
  if o.enable_gqa then
    local group = q:size(-3) // k:size(-3)
    k, v = k:repeat_interleave(group, -3), v:repeat_interleave(group, -3)
  end
  local scores = q:matmul(k:transpose(-1, -2)) * (o.scale or q:size(-1) ^ -0.5)
  if o.attn_mask then
    scores = o.attn_mask.dtype == "bool" and scores:masked_fill(o.attn_mask:logical_not(), -math.huge) or scores + o.attn_mask
  end
  if o.is_causal then
    scores = scores:masked_fill(neap.ones({q:size(-2), k:size(-2)}, {dtype = "bool"}):tril():logical_not(), -math.huge)
  end
  local weights = scores:softmax(-1)
  return (o.drop and weights * o.drop or weights):matmul(v), weights
end

local function gradients(f, q, k, v, o)
  local leaves = {q:detach():requires_grad_(), k:detach():requires_grad_(), v:detach():requires_grad_()}
  local y = f(leaves[1], leaves[2], leaves[3], o)
  local g = neap.cos(neap.arange(0, y:numel(), 1, {dtype = "float64"})):reshape(y.shape):to(y.dtype)
  y:backward(g)
  return {y:detach(), leaves[1].grad, leaves[2].grad, leaves[3].grad}
end

local function agree(q, k, v, o, tolerance)
  local got, want = gradients(sdpa, q, k, v, o), gradients(definition, q, k, v, o)
  for i = 1, 4 do
    local size = math.max(1, want[i]:to("float64"):abs():amax():item())
    local d = far(got[i], want[i]) / size
    assert(d <= tolerance, ("%s %d is %g off"):format(q.dtype, i, d))
  end
end

describe("attention is its definition", function()
  before_each(function() neap.seed(3) end)
  it("over many blocks of queries and keys, causal or not", function()
    for _, dtype in ipairs {"float32", "float64"} do
      local tolerance = dtype == "float32" and 2e-6 or 1e-13
      for _, sizes in ipairs {{2, 250, 250, 16}, {3, 410, 530, 20}, {1, 130, 1200, 8}, {1, 1, 700, 33}, {2, 5, 300, 7}} do
        local h, l, s, e = table.unpack(sizes)
        local q, k, v = neap.randn(h, l, e, {dtype = dtype}), neap.randn(h, s, e, {dtype = dtype}), neap.randn(h, s, e + 3, {dtype = dtype})
        for _, causal in ipairs {false, true} do agree(q, k, v, {is_causal = causal}, tolerance) end
      end
    end
  end)
  it("with masks, groups of heads and memory in another order", function()
    local q = neap.randn(2, 220, 4, 16, {dtype = "float64"}):transpose(2, 3)
    local k, v = neap.randn(2, 150, 2, 16, {dtype = "float64"}):transpose(2, 3), neap.randn(2, 16, 2, 150, {dtype = "float64"}):permute(1, 3, 4, 2)
    agree(q, k, v, {enable_gqa = true, is_causal = true}, 1e-13)
    local seen = neap.rand(2, 1, 1, 150):gt(0.3)
    agree(q, k, v, {enable_gqa = true, attn_mask = seen}, 1e-13)
    agree(q, k, v, {enable_gqa = true, attn_mask = neap.randn(4, 220, 150, {dtype = "float64"}), scale = 0.3}, 1e-13)
  end)
  it("in half precision, which computes in float32", function()
    for dtype, tolerance in pairs {bfloat16 = 2e-2, float16 = 2e-3} do
      local q, k, v = neap.randn(2, 40, 16, {dtype = dtype}), neap.randn(2, 50, 16, {dtype = dtype}), neap.randn(2, 50, 16, {dtype = dtype})
      local got = gradients(sdpa, q, k, v, {is_causal = true})
      local want = gradients(definition, q:to("float32"), k:to("float32"), v:to("float32"), {is_causal = true})
      for i = 1, 4 do
        assert.are.equal(dtype, got[i].dtype)
        assert(far(got[i], want[i]) < tolerance * math.max(1, want[i]:abs():amax():item()))
      end
    end
  end)
  it("with dropout: the weights it drops stay dropped in backward", function()
    local function pattern(l, s, p) -- 1 / (1 - p) where a weight is kept: its own output, for values that tell keys apart
      neap.seed(11)
      local q, k = neap.zeros(l, 4, {dtype = "float64"}), neap.zeros(s, 4, {dtype = "float64"})
      return sdpa(q, k, neap.eye(s, {dtype = "float64"}), {dropout_p = p}) * s
    end
    for _, size in ipairs {{6, 9}, {210, 300}} do
      local l, s = size[1], size[2]
      local drop = pattern(l, s, 0.25)
      assert.is_true(drop:eq(0):logical_or(drop:sub(1 / 0.75):abs():lt(1e-12)):all():item())
      assert(math.abs(drop:mean():item() - 1) < 4 / math.sqrt(l * s))
      local q, k, v = neap.randn(l, 4, {dtype = "float64"}), neap.randn(s, 4, {dtype = "float64"}), neap.randn(s, 5, {dtype = "float64"})
      neap.seed(11)
      local got = gradients(sdpa, q, k, v, {dropout_p = 0.25})
      local want = gradients(definition, q, k, v, {drop = drop})
      for i = 1, 4 do assert(far(got[i], want[i]) < 1e-12) end
    end
    assert.are.equal(0, sdpa(neap.ones(2, 3), neap.ones(4, 3), neap.ones(4, 3), {dropout_p = 1}):abs():sum():item())
    local q, k, v = neap.randn(2, 5, 4):requires_grad_(), neap.randn(1, 7, 4):requires_grad_(), neap.randn(2, 7, 3):requires_grad_()
    local y = sdpa(q, k, v, {dropout_p = 0.4, is_causal = true}):square():sum()
    local fused, recorded = neap.grad(y, {q, k, v}, {retain_graph = true}), neap.grad(y, {q, k, v}, {create_graph = true})
    for i = 1, 3 do assert(far(fused[i], recorded[i]) < 1e-5) end
    local a, b = neap.generator(5), neap.generator(5)
    local x = neap.randn(9, 8)
    assert.are.equal(0, far(sdpa(x, x, x, {dropout_p = 0.5, generator = a}), sdpa(x, x, x, {dropout_p = 0.5, generator = b})))
  end)
  it("and NaN and infinities are where they would be", function()
    local q, k, v = neap.randn(3, 4), neap.randn(5, 4), neap.randn(5, 4)
    q[{2, 1}] = 0 / 0
    local y = sdpa(q, k, v)
    assert.are.equal(4, y:isnan():sum():item())
    assert.is_true(y[2]:isnan():all():item())
    assert.are.same({0, 4}, sdpa(neap.zeros(0, 4), k, v).shape)
    assert.are.equal(0, sdpa(neap.ones(3, 4), neap.zeros(0, 4), neap.zeros(0, 4)):abs():sum():item())
  end)
end)

describe("attention's memory", function()
  it("grows with the length, not its square #once", function()
    local t, h = 4096, 8
    local q, k, v = neap.randn(h, t, 64):requires_grad_(), neap.randn(h, t, 64):requires_grad_(), neap.randn(h, t, 64):requires_grad_()
    local g = neap.ones(h, t, 64)
    local results = 4 * g:numel() * 4 -- the output and three gradients
    collectgarbage()
    neap.memory {reset_peak = true}
    local before = neap.memory().live
    sdpa(q, k, v, {is_causal = true}):backward(g)
    local extra = neap.memory().peak - before - results
    assert(extra < 64e6, extra .. " bytes beyond inputs, outputs and gradients")
  end)
end)

describe("rotary embeddings", function()
  it("make products depend on distances alone", function()
    local q, k = neap.randn(1, 8, {dtype = "float64"}), neap.randn(1, 8, {dtype = "float64"})
    for _, o in ipairs {{interleaved = true}, {interleaved = false}} do
      local function at(x, n) return x:rope {offset = n, interleaved = o.interleaved} end
      local a, b = at(q, 3):matmul(at(k, 1):t()):item(), at(q, 1003):matmul(at(k, 1001):t()):item()
      assert(math.abs(a - b) < 1e-10)
    end
    local x = neap.randn(2, 70, 6, {dtype = "float64"})
    assert(far(x:rope {offset = 9}:rope {offset = 9, inverse = true}, x) < 1e-13)
    assert(far(x:rope()[{{}, {40, 70}}], x[{{}, {40, 70}}]:rope {offset = 39}) < 1e-13)
  end)
end)
