-- summary: what a model does to an input, layer by layer: shapes, parameters, multiply-adds, bytes. The model runs once, in
-- evaluation mode and without gradients; hooks watch its layers. A layer of C that is made of others counts as one.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local function shape_text(shape) return "(" .. table.concat(shape, ", ") .. ")" end

local function grouped(n)
  local text = tostring(math.tointeger(n) or n)
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local function bytes_text(n)
  local units, i = {"B", "KB", "MB", "GB"}, 1
  while n >= 1000 and i < #units do n, i = n / 1000, i + 1 end
  return (i == 1 and "%d %s" or "%.1f %s"):format(n, units[i])
end

-- How many elements x has, and how many positions each of its texts.
local function text_of(module, x)
  return {n = x:numel(), length = x:size(x:dim() == 3 and module.batch_first and 2 or 1)}
end

-- Projections of queries, keys, values and of what comes out; then queries times keys, and weights times values.
local function attention(size, q, k, v)
  return (2 * q.n + k.n + v.n) * size + 2 * q.n * k.length
end

local function block(layer, x, memory)
  local n = attention(layer.d_model, x, x, x) + 2 * x.n * layer.dim_feedforward
  return memory and n + attention(layer.d_model, x, memory, memory) or n
end

-- Layers of C with attention in them: module, its inputs -> multiply-adds.
local attends = {
  MultiheadAttention = function(m, q, k, v) return attention(m.embed_dim, text_of(m, q), text_of(m, k), text_of(m, v)) end,
  TransformerEncoderLayer = function(m, x) return block(m, text_of(m, x)) end,
  TransformerDecoderLayer = function(m, x, memory) return block(m, text_of(m, x), text_of(m, memory)) end,
  TransformerEncoder = function(m, x) return m.num_layers * block(m, text_of(m, x)) end,
  TransformerDecoder = function(m, x, memory) return m.num_layers * block(m, text_of(m, x), text_of(m, memory)) end,
  Transformer = function(m, x, y)
    local memory = text_of(m, x)
    return m.num_encoder_layers * block(m, memory) + m.num_decoder_layers * block(m, text_of(m, y), memory)
  end,
}

-- Multiply-adds of one layer: each weight is used once for each element of the output that it leads to.
local function multiply_adds(module, inputs, output)
  local name, n, input = tree.name(module), 0, inputs[1]
  if tree.is_native(module) and attends[name] then return attends[name](module, table.unpack(inputs)) end
  if name:find "Norm" or name:find "Embedding" or name == "PReLU" then return 0 end
  for key, weight in module:named_parameters() do
    local shape = weight.shape
    if #shape >= 2 and not key:find "bias" then
      if name:find "^ConvTranspose" then n = n + input:numel() * weight:numel() // shape[1]
      elseif name:find "^Conv" or name == "Linear" or name == "Bilinear" then n = n + output:numel() * weight:numel() // shape[1]
      else n = n + output:numel() // math.max(1, output:size(-1)) * weight:numel() end
    end
  end
  return n
end

local Summary = {__name = "neap.Summary"}

function Summary:__tostring()
  local rows = {{"layer", "output", "parameters", "multiply-adds", "bytes"}}
  for _, r in ipairs(self) do
    rows[#rows + 1] = {("  "):rep(r.depth) .. (r.name == "" and "" or r.name .. ": ") .. r.class, shape_text(r.output), grouped(r.parameters),
      grouped(r.multiply_adds), bytes_text(r.bytes)}
  end
  rows[#rows + 1] = {"in all", "", grouped(self.parameters), grouped(self.multiply_adds), bytes_text(self.bytes)}
  local widths = {}
  for _, row in ipairs(rows) do
    for c, text in ipairs(row) do widths[c] = math.max(widths[c] or 0, #text) end
  end
  local lines = {}
  for i, row in ipairs(rows) do
    local cells = {}
    for c, text in ipairs(row) do
      local space = (" "):rep(widths[c] - #text)
      cells[c] = c <= 2 and text .. space or space .. text
    end
    if i == #rows then lines[#lines + 1] = ("-"):rep(#table.concat(cells, "  ")) end
    lines[#lines + 1] = (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  lines[#lines + 1] = ("%s of %s parameters are trained"):format(grouped(self.trained), grouped(self.parameters))
  return table.concat(lines, "\n")
end

-- The arguments of the call: tensors as they are; a shape stands for ones.
local function inputs_of(list)
  local out = {}
  for i, value in ipairs(list) do
    if core.is_tensor(value) then out[i] = value
    elseif type(value) == "table" and math.type(value[1]) == "integer" then out[i] = core.ones(value)
    else check.fail("summary: takes shapes, as in model:summary{64, 1, 28, 28}, or tensors, not %s", check.describe(value)) end
  end
  if #out == 0 then check.fail "summary: takes the shape of an input, batch included, as in model:summary{64, 1, 28, 28}" end
  return out
end

-- The layers in the order of forward: {name, module, depth}; those of C that are made of others are not looked into.
local function layers(module, name, depth, list, seen)
  if seen[module] then return list end
  seen[module] = true
  list[#list + 1] = {name = name, module = module, depth = depth}
  if tree.is_native(module) and tree.name(module) ~= "Sequential" then return list end
  tree.each_child(module, function(key, child) layers(child, name == "" and key or name .. "." .. key, depth + 1, list, seen) end)
  return list
end

local function count(tensors, f)
  local n = 0
  for _, t in ipairs(tensors) do n = n + f(t) end
  return n
end

local function elements(t) return t:numel() end
local function size_of(t) return t:nbytes() end

-- A container's row says what those of the layers in it say together.
local function add_up(rows)
  for i, row in ipairs(rows) do
    for j = i + 1, row.leaf and 0 or #rows do
      local below = rows[j]
      if below.depth <= row.depth then break end
      if below.leaf then row.multiply_adds, row.bytes = row.multiply_adds + below.multiply_adds, row.bytes + below.bytes end
    end
  end
end

return function(model, ...)
  local inputs, rows, handles = inputs_of{...}, {}, {}
  local training, list = model:is_training(), layers(model, "", 0, {}, {})
  for _, layer in ipairs(list) do
    handles[#handles + 1] = layer.module:register_forward_hook(function(_, args, y)
      if not layer.output and core.is_tensor(y) then
        layer.output, layer.bytes, layer.inputs, layer.y = y.shape, y:nbytes(), args, y
      end
    end)
  end
  local ok, problem = pcall(function()
    local _ <close> = core.no_grad()
    model:eval()
    model(table.unpack(inputs))
    for _, layer in ipairs(list) do
      if layer.output then
        local leaf = #layer.module:children() == 0 or tree.is_native(layer.module) and tree.name(layer.module) ~= "Sequential"
        local parameters = layer.module:parameters()
        rows[#rows + 1] = {
          name = layer.name, class = tree.name(layer.module), depth = layer.depth, output = layer.output,
          parameters = count(parameters, elements), bytes = leaf and layer.bytes + count(parameters, size_of) or 0,
          multiply_adds = leaf and multiply_adds(layer.module, layer.inputs, layer.y) or 0, leaf = leaf,
        }
        layer.inputs, layer.y = nil, nil
      end
    end
  end)
  add_up(rows)
  for _, handle in ipairs(handles) do handle.remove() end
  model:train(training)
  if not ok then error(problem, 0) end
  rows.parameters, rows.trained, rows.multiply_adds, rows.bytes = 0, 0, 0, 0
  for _, p in ipairs(model:parameters()) do
    rows.parameters = rows.parameters + p:numel()
    if p.requires_grad then rows.trained = rows.trained + p:numel() end
  end
  for _, row in ipairs(rows) do
    if row.leaf then rows.multiply_adds, rows.bytes = rows.multiply_adds + row.multiply_adds, rows.bytes + row.bytes end
  end
  return setmetatable(rows, Summary)
end
