-- The transformer's layers beyond what sweep_spec compares and layers_spec asks of every layer: stacks that copy a layer,
-- masks of both kinds, dropout, and a cache that makes piece by piece the same as all at once.

local neap = require "neap"
local says = require "support.says"
local nn = neap.nn

local function far(x, y) return (x - y):abs():amax():item() end

describe("MultiheadAttention", function()
  local m = nn.MultiheadAttention(8, 2, {batch_first = true}):to "float64"
  local q, k = neap.randn(2, 5, 8, {dtype = "float64"}), neap.randn(2, 7, 8, {dtype = "float64"})

  it("is the same with and without its weights, for each kind of mask", function()
    local low = neap.ones({5, 7}, {dtype = "bool"}):triu(1)
    local pad = neap.rand(2, 7):gt(0.5):logical_and(neap.arange(7):gt(0))
    local function floats(mask) return neap.zeros(mask.shape, {dtype = "float64"}):masked_fill(mask, -math.huge) end
    local results = {}
    for i, masks in ipairs {{low, pad}, {floats(low), pad}, {low, floats(pad)}, {floats(low), floats(pad)}} do
      for _, need in ipairs {true, false} do
        local y, w = m(q, k, k, {attn_mask = masks[1], key_padding_mask = masks[2], need_weights = need})
        results[#results + 1] = y
        assert.are.equal(need, w ~= nil)
        assert(far(y, results[1]) < 1e-14, i)
        if w then
          assert.are.same({2, 5, 7}, w.shape)
          assert.are.equal(0, w:masked_fill(low:logical_or(pad:unsqueeze(2)):logical_not(), 0):abs():sum():item())
        end
      end
    end
    local causal = m(q, k, k, {is_causal = true, key_padding_mask = pad, need_weights = false})
    assert(far(causal, results[1]) < 1e-14)
    assert(far(m(q, k, k, {is_causal = true, attn_mask = low, key_padding_mask = pad}), causal) < 1e-14)
  end)

  it("drops weights in training only", function()
    local d = nn.MultiheadAttention(8, 2, {dropout = 0.5, batch_first = true})
    local x = neap.randn(1, 60, 8)
    for _, need in ipairs {true, false} do
      local function run() return (d(x, x, x, {need_weights = need})) end
      neap.seed(1)
      local a, b = run(), run()
      assert(far(a, b) > 0)
      neap.seed(1)
      assert.are.equal(0, far(a, run()))
      d:eval()
      assert.are.equal(0, far(run(), run()))
      d:train()
    end
    local _, w = d(x, x, x)
    assert(w:eq(0):sum():item() > 60 * 60 / 6) -- of both heads
  end)

  it("turns queries and keys by their position when it is rotary", function()
    local a = nn.MultiheadAttention(8, 2, {batch_first = true, rotary = true, bias = false}):to "float64"
    local x = neap.randn(2, 6, 8, {dtype = "float64"})
    local function heads(y) return y:reshape(2, 6, 2, 4):transpose(2, 3) end
    local parts = x:linear(a.in_proj_weight):chunk(3, -1)
    local y = neap.scaled_dot_product_attention(heads(parts[1]):rope(), heads(parts[2]):rope(), heads(parts[3]), {is_causal = true})
    y = a.out_proj(y:transpose(2, 3):reshape(2, 6, 8))
    for _, need in ipairs {true, false} do assert(far(a(x, x, x, {need_weights = need, is_causal = true}), y) < 1e-14) end
    says.has(says.message_of(function() nn.MultiheadAttention(6, 2, {rotary = true}) end),
      "MultiheadAttention: rotary takes heads of an even size, here 3, and neither add_bias_kv nor add_zero_attn")
  end)

  it("takes embed_dim from its first input", function()
    local lazy = nn.MultiheadAttention(nil, 3)
    assert.is_true(lazy:is_waiting())
    assert.are.same({4, 2, 6}, lazy(neap.ones(4, 2, 6), neap.ones(3, 2, 6), neap.ones(3, 2, 6)).shape)
    assert.are.equal(6, lazy.embed_dim)
    assert.are.same({18, 6}, lazy.in_proj_weight.shape)
  end)

  it("starts as PyTorch's: projections from Xavier's, biases 0", function()
    local a = nn.MultiheadAttention(64, 2, {add_bias_kv = true})
    local bound = math.sqrt(6 / (4 * 64))
    assert(math.abs(a.in_proj_weight:abs():amax():item() - bound) < 0.01 * bound)
    assert.are.equal(0, a.in_proj_bias:abs():sum():item() + a.out_proj.bias:abs():sum():item())
    assert.are.same({1, 1, 64}, a.bias_k.shape)
    assert.are.same({"bias_k", "bias_v", "in_proj_bias", "in_proj_weight", "out_proj.bias", "out_proj.weight"}, (function()
      local names = {}
      for name in a:named_parameters() do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
  end)

  it("refuses masks of integers, which would be added", function()
    local attention, x = nn.MultiheadAttention(4, 1, {batch_first = true}), neap.randn(1, 3, 4)
    local integers = neap.tensor({{0, 0, 1}}, {dtype = "uint8"})
    says.has(says.message_of(function() attention(x, x, x, {key_padding_mask = integers, need_weights = false}) end),
      "MultiheadAttention: key_padding_mask is uint8, it must be bool, true where a key is ignored (mask:bool()), or floats to add to the scores")
    says.has(says.message_of(function() attention(x, x, x, {attn_mask = neap.ones(3, 3):triu(1):to "int64"}) end), "attn_mask is int64, it must be bool")
  end)

  it("refuses settings and masks that do not fit", function()
    local function refuses(f, text) says.has(says.message_of(f), text) end
    refuses(function() nn.MultiheadAttention(6, 4) end, "MultiheadAttention: embed_dim, 6, must be a multiple of num_heads, 4")
    refuses(function() m(q, k, k, {attn_mask = neap.ones(5, 6)}) end, "attn_mask (5, 6) must be (5, 7) or (4, 5, 7)")
    refuses(function() m(q, k, k, {cached = 2}) end, "cached is 2, but there is no cache")
  end)
end)

describe("a stack", function()
  it("copies a layer and a norm", function()
    local layer = nn.TransformerEncoderLayer(8, 2, 16, {dropout = 0, norm_first = true, activation = "gelu", batch_first = true})
    local norm = nn.LayerNorm(8)
    norm.weight:detach():fill_(2)
    local stack = nn.TransformerEncoder(layer, 3, {norm = norm})
    local x = neap.randn(2, 4, 8)
    assert.are.equal(0, far(stack(x), norm(layer(layer(layer(x))))))
    assert.are.equal(3, stack.num_layers)
    assert.are.equal("gelu", stack.layers[2].activation)
    layer.linear1.weight:detach():fill_(0)
    assert(far(stack(x), norm(layer(layer(layer(x))))) > 0)
    local decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, {bias = false}):eval(), 2)
    assert.is_nil(decoder.norm)
    assert.is_nil(decoder.layers[1].linear1.bias)
    assert.is_false(decoder:is_training())
    assert.is_nil(decoder:state_dict()["layers.0.norm1.bias"])
  end)

  it("takes any norm, with its own settings", function()
    local layer = nn.TransformerEncoderLayer(8, 2, 16, {dropout = 0, batch_first = true})
    local x, ignored = neap.randn(2, 4, 8), neap.tensor{{0, 0, 0, 0}, {0, 0, 0, 1}}:bool()
    for _, norm in ipairs{nn.LayerNorm(8, {eps = 0.5}), nn.RMSNorm(8), nn.LayerNorm(8, {bias = false}), nn.LayerNorm(8, {elementwise_affine = false})} do
      local stack = nn.TransformerEncoder(layer, 2, norm)
      local o = {src_key_padding_mask = ignored, is_causal = true}
      assert.are.equal(0, far(stack(x, o), norm(layer(layer(x, o), o))))
      assert.are.equal(norm, stack.norm)
      assert.is_truthy(stack:state_dict()["layers.1.norm2.weight"])
      local _ <close> = neap.no_grad()
      local cache, out = nn.KVCache(stack, 2, 4), {}
      for i = 1, 4 do
        out[i] = stack(x:narrow(2, i, 1), {is_causal = true, cache = cache.keys, cached = cache.length})
        cache.length = i
      end
      assert(far(neap.cat(out, 2), stack(x, {is_causal = true})) < 1e-5)
    end
    local bare = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, {bias = false}), 1, nn.LayerNorm(8))
    assert.is_truthy(bare:state_dict()["norm.bias"])
  end)

  it("refuses layers of the wrong kind", function()
    local function refuses(f, text) says.has(says.message_of(f), "transformer_spec.lua:", text) end
    refuses(function() nn.TransformerEncoder(nn.Linear(2, 2), 1) end,
      "nn.TransformerEncoder: takes a TransformerEncoderLayer, or d_model, nhead and num_layers, not a Linear")
    refuses(function() nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1, print) end, "nn.TransformerEncoder: norm must be a layer, not a function")
    refuses(function() nn.KVCache(1, 1, 1) end, "nn.KVCache: takes a layer of C, not")
    refuses(function() nn.KVCache(nn.ReLU(), 1, 1) end, "nn.KVCache: a ReLU has no attention of its own")
  end)

  it("drops units in training", function()
    local layer = nn.TransformerEncoderLayer(8, 2, 16, {dropout = 0.5})
    local x = neap.randn(3, 2, 8)
    assert(far(layer(x), layer(x)) > 0)
    layer:eval()
    assert.are.equal(0, far(layer(x), layer(x)))
  end)
end)

it("the square mask hides what comes later", function()
  assert.are.same({{0, -math.huge, -math.huge}, {0, 0, -math.huge}, {0, 0, 0}}, nn.Transformer.generate_square_subsequent_mask(3):totable())
end)

describe("a cache", function()
  local quiet
  before_each(function() quiet = neap.no_grad() end)
  after_each(function() getmetatable(quiet).__close(quiet) end)

  -- f(x, options) on pieces of x against f on all of x.
  local function same_in_pieces(f, module, x, pieces, time)
    local whole, cache, out = f(x, {is_causal = true}), nn.KVCache(module, 2, x:size(time)), {}
    for _, n in ipairs(pieces) do
      local piece = x:narrow(time, cache.length + 1, n)
      out[#out + 1] = f(piece, {is_causal = true, cache = cache.keys, cached = cache.length})
      cache.length = cache.length + n
    end
    assert(far(neap.cat(out, time), whole) < 1e-13)
  end

  it("makes piece by piece the same as all at once", function()
    for _, first in ipairs {true, false} do
      local time = first and 2 or 1
      local x = first and neap.randn(2, 9, 8, {dtype = "float64"}) or neap.randn(9, 2, 8, {dtype = "float64"})
      local options = {dropout = 0, batch_first = first}
      local attention = nn.MultiheadAttention(8, 2, {batch_first = first}):to "float64"
      local layer, stack = nn.TransformerEncoderLayer(8, 2, 12, options):to "float64", nn.TransformerEncoder(8, 2, 3, 12, options):to "float64"
      local decoder = nn.TransformerDecoder(8, 2, 2, 12, options):to "float64"
      options.rotary = true
      local rotary = nn.TransformerEncoder(8, 2, 2, 12, options):to "float64"
      for _, pieces in ipairs {{1, 1, 1, 1, 1, 1, 1, 1, 1}, {4, 1, 3, 1}, {9}} do
        for _, need in ipairs {true, false} do
          same_in_pieces(function(y, o) return (attention(y, y, y, {need_weights = need, is_causal = true, cache = o.cache, cached = o.cached})) end,
            attention, x, pieces, time)
        end
        same_in_pieces(layer, layer, x, pieces, time)
        same_in_pieces(stack, stack, x, pieces, time)
        same_in_pieces(rotary, rotary, x, pieces, time)
        local memory = first and neap.randn(2, 3, 8, {dtype = "float64"}) or neap.randn(3, 2, 8, {dtype = "float64"})
        same_in_pieces(function(y, o) return decoder(y, memory, {tgt_is_causal = true, cache = o.cache, cached = o.cached}) end,
          decoder, x, pieces, time)
      end
    end
  end)

  it("keeps what a decoder reads of memory", function()
    local decoder = nn.TransformerDecoder(8, 2, 2, 12, {dropout = 0, batch_first = true}):to "float64"
    local x, memory = neap.randn(2, 4, 8, {dtype = "float64"}), neap.randn(2, 5, 8, {dtype = "float64"})
    local ignored = neap.tensor{{0, 0, 0, 0, 1}, {0, 0, 0, 1, 1}}:bool()
    local whole = decoder(x, memory, {tgt_is_causal = true, memory_key_padding_mask = ignored})
    local cache, out = nn.KVCache(decoder, 2, 4, {memory = 5}), {}
    for i = 1, 4 do -- from the second call on, memory itself is not read
      out[i] = decoder(x:narrow(2, i, 1), i == 1 and memory or memory * 0, {tgt_is_causal = true, memory_key_padding_mask = ignored,
        cache = cache.keys, cached = cache.length, memory_cache = cache.memory})
      cache.length = cache.length + 1
    end
    assert(far(neap.cat(out, 2), whole) < 1e-13)
    says.has(says.message_of(function() decoder(x, memory, {memory_cache = neap.zeros(2, 2, 2, 5, 4)}) end),
      "TransformerDecoder: memory_cache (2, 2, 2, 5, 4) must be (2, 2, N, heads, room, d_model / heads)")
    says.has(says.message_of(function() nn.KVCache(nn.Transformer(8, 2, 1, 1, 8), 1, 4) end), "take the .encoder or the .decoder")
  end)

  it("must fit, have room, and be followed by no gradient", function()
    local m, x = nn.MultiheadAttention(8, 2, {batch_first = true}), neap.randn(2, 3, 8)
    local function refuses(module, o, text)
      says.has(says.message_of(function()
        if module == m then module(x, x, x, o) else module(x, o) end
      end), text)
    end
    refuses(m, {cache = neap.zeros(2, 2, 2, 9, 3)},
      "MultiheadAttention: cache (2, 2, 2, 9, 3) with 0 positions does not fit: it must be (2, N, heads, room, embed_dim / heads), here (2, 2, 2, room, 4)")
    refuses(m, {cache = neap.zeros(2, 2, 2, 4, 4), cached = 2}, "cache (2, 2, 2, 4, 4) with 2 positions has no room for those of this call")
    refuses(m, {cache = neap.zeros(2, 2, 2, 4, 4), cached = -1}, "cached is -1, it must be at least 0")
    refuses(nn.TransformerEncoder(8, 2, 3, 8, {batch_first = true}), {cache = neap.zeros(2, 2, 2, 4, 4)},
      "TransformerEncoder: cache (2, 2, 2, 4, 4) must be (3, 2, N, heads, room, d_model / heads)")
    local odd = nn.MultiheadAttention(8, 2, {batch_first = true, add_zero_attn = true})
    says.has(says.message_of(function() odd(x, x, x, {cache = neap.zeros(2, 2, 2, 9, 4)}) end), "a cache does not go with add_bias_kv or add_zero_attn")
    says.has(says.message_of(function()
      neap.enable_grad(function() m(x, x, x, {cache = neap.zeros(2, 2, 2, 4, 4)}) end)
    end), "a cache holds what no gradient follows: call it within no_grad")
  end)
end)
