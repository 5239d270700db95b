-- What every layer of the table survives, on the cases that sweep_spec compares with PyTorch: gradients against differences
-- in float64, both modes, a state that moves, a copy, printing, another dtype, no input; and what layers with parameters say
-- of an input of the wrong shape. Failing allocations are in tests/host, empty batches among the cases.

local neap = require "neap"
local sweep = require "support.sweep"

local cases, names = {}, {} -- by layer
for _, path in ipairs(sweep.paths()) do
  local groups, order = sweep.read(path)
  for _, op in ipairs(order) do
    local name = op:match "^nn%.([%w_]+)$"
    if name then
      if not cases[name] then
        cases[name] = {}
        names[#names + 1] = name
      end
      for _, case in ipairs(groups[op]) do table.insert(cases[name], case) end
    end
  end
end
table.sort(names)

-- The module of a case and what it is called on.
local function made(case, dtype)
  local args, leaves = sweep.arguments(case, dtype or "float64")
  return args[1], leaves, table.unpack(args, 2, args.n)
end

-- All numbers of all outputs.
local function flat(...)
  local list = {}
  for i = 1, select("#", ...) do
    local y = select(i, ...)
    if y ~= nil then table.move(sweep.numbers(y), 1, y:numel(), #list + 1, list) end
  end
  return list
end

-- Inputs that are not there are nil at the end; options are last.
local function applied(module, ...)
  local inputs = table.pack(...)
  while inputs.n > 0 and inputs[inputs.n] == nil do inputs.n = inputs.n - 1 end
  return module(table.unpack(inputs, 1, inputs.n))
end

local function call_in_eval(module, ...)
  neap.seed(7)
  return flat(applied(module:eval(), ...))
end

-- The sum of the floating outputs under fixed weights.
local function weighted(...)
  local sum
  for i = 1, select("#", ...) do
    local y = select(i, ...)
    if y ~= nil and y.dtype:find "float" then
      local w = sweep.weights(70 + i, y:numel())
      local part = (y * neap.tensor(table.move(w, 1, y:numel(), 1, {}), {dtype = y.dtype}):reshape(y.shape)):sum()
      sum = sum and sum + part or part
    end
  end
  return sum
end

-- Layers some of whose rows gather no gradient by contract: at padding_idx.
local frozen_rows = {Embedding = true, EmbeddingBag = true}

-- The gradients of f() for its leaves against differences, element by element.
local function check_gradients(f, leaves, some_frozen)
  local grads = neap.grad(f(), leaves, {allow_unused = true})
  local _ <close> = neap.no_grad()
  for k, leaf in ipairs(leaves) do
    local values, analytic = leaf:detach():view(-1), grads[k] and sweep.numbers(grads[k]) or {}
    for i, before in ipairs(sweep.numbers(leaf)) do
      local step, y = 1e-6, {}
      for side = -1, 1, 2 do
        values[i] = before + side * step
        y[side] = f():item()
      end
      values[i] = before
      local numeric, g = (y[1] - y[-1]) / (2 * step), analytic[i] or 0
      if not (some_frozen and g == 0) and math.abs(numeric - g) > 1e-5 + 1e-4 * math.abs(numeric) then
        error(("leaf %d, element %d: the gradient is %.9g, differences say %.9g"):format(k, i, g, numeric), 0)
      end
    end
  end
end

local function total(tensors)
  local n = 0
  for _, t in ipairs(tensors) do n = n + t:numel() end
  return n
end

for _, name in ipairs(names) do
  describe("nn." .. name, function()
    it("has the gradients of differences in float64", function()
      local checked = 0
      for _, case in ipairs(cases[name]) do
        local module, leaves, x1, x2, x3, x4, x5 = made(case)
        local size = total(leaves)
        if checked < 3 and #case.grads > 0 and size > 0 and size <= 300 then
          checked = checked + 1
          local buffers = {}
          for _, buffer in ipairs(module:buffers()) do buffers[buffer] = buffer:clone() end
          check_gradients(function()
            for buffer, before in pairs(buffers) do buffer:copy_(before) end
            neap.seed(3)
            return weighted(applied(module, x1, x2, x3, x4, x5))
          end, leaves, frozen_rows[name])
        end
      end
    end)

    it("is the same after its state moved, as a copy, and in both modes", function()
      for k = 1, math.min(3, #cases[name]) do
        local case = cases[name][k]
        local a, _, x1, x2, x3, x4, x5 = made(case)
        local b = a:clone():apply(function(m)
          for _, parameter in ipairs(m:parameters()) do parameter:detach():fill_(0.25) end
        end)
        b:load_state_dict(a:state_dict())
        local copy = a:clone()
        local y = call_in_eval(a, x1, x2, x3, x4, x5)
        assert.is_false(a:is_training())
        assert.same(y, call_in_eval(b, x1, x2, x3, x4, x5))
        assert.same(y, call_in_eval(copy, x1, x2, x3, x4, x5))
        assert.is_true(a:train():is_training())
        for _, parameter in ipairs(a:parameters()) do parameter:detach():fill_(0.125) end
        assert.same(y, call_in_eval(copy, x1, x2, x3, x4, x5)) -- which has memory of its own
      end
    end)

    it("prints itself, and converts to float32 and back", function()
      local module = made(cases[name][1])
      assert.matches("^" .. name .. "%(", tostring(module))
      assert.is_nil(tostring(module):find("nil", 1, true))
      for _, dtype in ipairs{"float32", "float64"} do
        local _, _, x1, x2, x3, x4, x5 = made(cases[name][1], dtype)
        module:to(dtype)
        for _, parameter in ipairs(module:parameters()) do assert.equal(dtype, parameter.dtype) end
        local y = applied(module, x1, x2, x3, x4, x5)
        assert.is_true(y.dtype == dtype or not y.dtype:find "float")
      end
    end)

    it("refuses what is no tensor, and says its name", function()
      local module = made(cases[name][1])
      assert.error_matches(function() module "x" end, name .. ": .* must be a tensor.*, got a string")
      assert.error_matches(function() module() end, name .. ": .* is missing: a tensor")
    end)
  end)
end

it("every layer of the table is here", function()
  for _, row in ipairs(neap.layer_rows()) do assert(cases[row.name], row.name) end
end)

describe("an input of the wrong shape", function()
  local met = {}
  for _, case in ipairs(require "support.misshapen") do
    local layer, inputs, text = case[1], {}, case[#case]
    met[layer:name()] = true
    it("is refused by " .. tostring(layer):gsub("\n.*", ""), function()
      for i = 2, #case - 1 do inputs[i - 1] = neap.ones(case[i]) end
      local ok, message = pcall(layer, table.unpack(inputs))
      assert.is_false(ok)
      assert.is_truthy(message:find(text, 1, true), message)
    end)
  end

  it("is tested of every layer with parameters", function()
    for _, name in ipairs(names) do
      local module = made(cases[name][1])
      assert.is_true(met[name] or #module:parameters() == 0, name)
    end
  end)
end)
