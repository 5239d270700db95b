-- transformer: what the transformer's layers of C have beside their rows: stacks that copy a layer, as PyTorch makes them, the
-- mask of causality, and the tensor in which a text that is being written keeps its keys and values.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local Module = require "neap.nn.module"
local containers = require "neap.nn.containers"

local transformer = {}
local layers = core.layers

local SETTINGS = {"dim_feedforward", "dropout", "activation", "layer_norm_eps", "batch_first", "norm_first", "rotary"}

-- A LayerNorm as the stacks of C make it.
local function is_plain(norm, layer)
  return tree.is_native(norm) and norm:name() == "LayerNorm" and norm.eps == layer.layer_norm_eps and norm.weight ~= nil and
    (norm.bias ~= nil) == (layer.linear1.bias ~= nil) and norm.weight:dim() == 1 and norm.weight:numel() == layer.d_model
end

-- A stack with any other layer behind its layers, under the names that C's has.
local Stack = Module.class "TransformerStack"

function Stack:init(made, norm)
  for _, name in ipairs{"d_model", "nhead", "num_layers"} do self[name] = made[name] end
  self.layers, self.norm = containers.ModuleList(made.layers), norm
end

-- What comes behind x by position stands before the options of a last table; caches are shared out by layer.
function Stack:forward(x, ...)
  local given = table.pack(...)
  local options = given[given.n]
  local shared = type(options) == "table" and getmetatable(options) == nil and options or nil
  for i, layer in ipairs(self.layers) do
    if shared then
      local own = {}
      for name, value in pairs(shared) do own[name] = value end
      for _, name in ipairs{"cache", "memory_cache"} do own[name] = own[name] and own[name]:select(1, i) end
      if own.mask ~= nil then own.src_mask, own.mask = own.mask, nil end
      given[given.n] = own
    end
    x = layer(x, table.unpack(given, 1, given.n))
  end
  return self.norm(x)
end

-- nn.TransformerEncoder(layer, num_layers, norm): each layer a copy of that one, the norm as it is. Anything else goes to C's row.
local function stack(kind)
  local what = "nn.Transformer" .. kind
  return function(layer, num_layers, norm, ...)
    if not tree.is_native(layer) then return layers["Transformer" .. kind](layer, num_layers, norm, ...) end
    if layer:name() ~= "Transformer" .. kind .. "Layer" then
      check.fail("%s: takes a Transformer%sLayer, or d_model, nhead and num_layers, not a %s", what, kind, layer:name())
    end
    if type(norm) == "table" and getmetatable(norm) == nil then norm = check.options(what, norm, {"norm"}).norm end
    if norm ~= nil and not tree.is_module(norm) then check.fail("%s: norm must be a layer, not %s", what, check.describe(norm)) end
    local plain = norm ~= nil and is_plain(norm, layer)
    local options = {norm = plain, bias = layer.linear1.bias ~= nil}
    for _, name in ipairs(SETTINGS) do options[name] = layer[name] end
    local made = layers["Transformer" .. kind](layer.d_model, layer.nhead, num_layers, options)
    made:to(layer.linear1.weight.dtype)
    for _, copy in ipairs(made.layers or {}) do copy:load_state_dict(layer:state_dict()) end
    if plain then made.norm:load_state_dict(norm:state_dict()) end
    if norm ~= nil and not plain then made = Stack(made, norm) end
    return made:train(layer:is_training())
  end
end

transformer.TransformerEncoder, transformer.TransformerDecoder = stack "Encoder", stack "Decoder"

--- The mask (size, size) that lets each position see itself and what came before: 0 there, -inf elsewhere, to be added.
local function generate_square_subsequent_mask(size, dtype)
  return core.full({size, size}, -math.huge, {dtype = dtype or "float32"}):triu(1)
end

transformer.Transformer = setmetatable({generate_square_subsequent_mask = generate_square_subsequent_mask}, {
  __call = function(_, ...) return layers.Transformer(...) end,
})

--- A cache for a stack of layers that is called on a few positions at a time, as when a text is written letter by letter:
--- local cache = nn.KVCache(model.encoder, batch, room); then, within no_grad, for each piece
--- encoder(x, {is_causal = true, cache = cache.keys, cached = cache.length}); cache.length = cache.length + n.
--- Each call then takes time for its own positions, and what it puts out is what one call on all of them would. encoder: a
--- TransformerEncoder or TransformerDecoder, one of their layers, or a MultiheadAttention; room: how many positions there may be.
--- A decoder takes is_causal by the name of tgt_is_causal; with memory, the length of what it attends to, the cache also
--- has cache.memory, for memory_cache = cache.memory: what the first call computes of it, all others read.
function transformer.KVCache(module, batch, room, memory)
  if not tree.is_native(module) and not (tree.is_lua(module) and getmetatable(module).class == Stack) then
    check.fail("nn.KVCache: takes a layer of C, not %s", check.describe(module))
  end
  local size, heads = module.d_model or module.embed_dim, module.nhead or module.num_heads
  if not size or not heads then check.fail("nn.KVCache: a %s has no attention of its own to keep keys for", module:name()) end
  if module:name() == "Transformer" then check.fail "nn.KVCache: take the .encoder or the .decoder of a Transformer" end
  if type(memory) == "table" and getmetatable(memory) == nil then memory = check.options("nn.KVCache", memory, {"memory"}).memory end
  local dtype = module:parameters()[1].dtype
  local function keys(length)
    local shape = {2, batch, heads, length, size // heads}
    if module.num_layers then table.insert(shape, 1, module.num_layers) end
    return core.zeros(shape, {dtype = dtype})
  end
  return {keys = keys(room), length = 0, memory = memory and keys(memory)}
end

return transformer
