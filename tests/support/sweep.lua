-- The cases of scripts/dev/sweep.py, read and run: the formulas by which arguments are made, the call, and the gradients of
-- its outputs' sum under fixed weights.

local neap = require "neap"
local posts = require "support.sweep_posts"
local lines_of = require "support.files".lines_of
local tensors = require "support.tensors"
local count, shaped = tensors.count, tensors.shaped

-- ---- the formulas of sweep.py -------------------------------------------------------------------------------------

local function hashed(seed, i)
  local z = seed * 0x9E3779B97F4A7C15 + i * 0xD1B54A32D192ED03
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

local function uniform(seed, i) return (hashed(seed, i) >> 44) / 1048576.0 end

local known = {} -- seed -> weights so far
local function weights(seed, n)
  local list = known[seed] or {}
  known[seed] = list
  for i = #list + 1, n do list[i] = 2 * uniform(seed, i - 1) - 1 end
  return list
end

-- ---- arguments ----------------------------------------------------------------------------------------------------

local float = "float64" -- of the run
local leaves            -- of the case, in the order of its arguments

local plain             -- arguments are the leaves themselves, in no other memory layout

local function laid_out(x, layout, whole)
  if plain and layout ~= "E" then return x end
  if layout == "T" then return x:transpose(-1, -2):contiguous():transpose(-1, -2) end
  if layout == "S" then return neap.stack({x, x}, -1):select(-1, 1) end
  if layout == "E" then return x:expand(whole) end
  return x
end

local function formula(grad)
  return function(seed, shape, lo, hi, layout, whole)
    local flat = {}
    for i = 1, count(shape) do flat[i] = string.unpack("f", string.pack("f", lo + (hi - lo) * uniform(seed, i - 1))) end
    local x = shaped(flat, shape, float)
    if grad then
      x.requires_grad = true
      leaves[#leaves + 1] = x
    end
    return laid_out(x, layout, whole)
  end
end

local function flatten(value, into)
  if type(value) ~= "table" then into[#into + 1] = value return into end
  for _, item in ipairs(value) do flatten(item, into) end
  return into
end

local function shape_of(value)
  local shape = {}
  while type(value) == "table" do
    shape[#shape + 1] = #value
    value = value[1]
  end
  return shape
end

local env = {
  t = formula(true),
  c = formula(false),
  i = function(seed, shape, lo, hi, dtype)
    local flat = {}
    for i = 1, count(shape) do flat[i] = lo + (hashed(seed, i - 1) >> 33) % (hi - lo + 1) end
    return shaped(flat, shape, dtype or "int64")
  end,
  gram = function(x) return x:matmul(x:transpose(-1, -2)) end,
  symmetric = function(x) return (x + x:transpose(-1, -2)) * 0.5 end,
  regular = function(x) return x + neap.eye(x:size(-1), {dtype = float}) * 2 end,
  b = function(seed, shape)
    local flat = {}
    for i = 1, count(shape) do flat[i] = hashed(seed, i - 1) >> 63 == 1 end
    return shaped(flat, shape, "bool")
  end,
  v = function(values, dtype, grad)
    local x = shaped(flatten(values, {}), shape_of(values), dtype == "float64" and float or dtype)
    if grad then
      x.requires_grad = true
      leaves[#leaves + 1] = x
    end
    return x
  end,
  nn = neap.nn,
}

-- A module with its parameters and buffers of floats filled by formula; see Layer in sweep.py.
function env.m(seed, lo, hi, train, module)
  module:to(float)
  local names, state, parameters = {}, module:state_dict(), {}
  for name, tensor in pairs(state) do names[#names + 1] = name end
  table.sort(names)
  for name, parameter in module:named_parameters() do parameters[name] = parameter end
  for k, name in ipairs(names) do
    local t, var = state[name], name:find("var", 1, true)
    if t.dtype:find "float" then
      local flat, low, high = {}, var and 0.5 or lo, var and 1.5 or hi
      for i = 1, t:numel() do
        flat[i] = string.unpack("f", string.pack("f", low + (high - low) * uniform(1000 * seed + k - 1, i - 1)))
      end
      t:copy_(shaped(flat, t.shape, float))
    end
    leaves[#leaves + 1] = parameters[name]
  end
  return module:train(train)
end

-- ---- one call -----------------------------------------------------------------------------------------------------

-- A layer's outputs, and its buffers as they are afterwards.
local function call_layer(module, ...)
  local outs, names, buffers = table.pack(module(...)), {}, {}
  for name, buffer in module:named_buffers() do
    names[#names + 1], buffers[name] = name, buffer
  end
  table.sort(names)
  for _, name in ipairs(names) do
    outs.n = outs.n + 1
    outs[outs.n] = buffers[name]:detach():clone()
  end
  return table.unpack(outs, 1, outs.n)
end

local function named(op)
  if op:find "^nn%." then return call_layer end
  if op:sub(1, 1) == ":" then return function(x, ...) return x[op:sub(2)](x, ...) end end
  local f = neap
  for part in op:gmatch "[^.]+" do f = f[part] end
  if not f then error("neap has no " .. op, 0) end
  return f
end

local function listed(results, into)
  for k = 1, results.n or #results do
    local y = results[k]
    if neap.is_tensor(y) then into[#into + 1] = y
    elseif type(y) == "table" then listed(y, into)
    elseif y ~= nil then into[#into + 1] = neap.tensor(y, {dtype = type(y) == "boolean" and "bool" or math.type(y) == "integer" and "int64" or "float32"}) end
  end
  return into
end

-- Outputs, and the gradients of their sum under fixed weights (false where nothing flows).
local function run(case, dtype)
  float, leaves = dtype, {}
  local args = table.pack(case.make())
  local results = table.pack(named(case.op)(table.unpack(args, 1, args.n)))
  local outs = listed(case.post ~= "" and posts[case.post](results, args) or results, {})
  if #case.grads == 0 then return outs, {} end
  local loss
  for k, y in ipairs(outs) do
    if y.requires_grad then
      local w = weights(500 + k, y:numel())
      local part = (y * shaped(table.move(w, 1, y:numel(), 1, {}), y.shape, y.dtype)):sum()
      loss = loss and loss + part or part
    end
  end
  if not loss then error("no output requires a gradient", 0) end
  return outs, neap.grad({loss}, leaves, {allow_unused = true})
end

local function numbers(t)
  local flat = {}
  if t:numel() > 0 then flat = #t.shape == 0 and {t:item()} or flatten(t:detach():to(t.dtype == "bool" and "uint8" or t.dtype):totable(), {}) end
  if flat[1] == true or flat[1] == false then flat[1] = flat[1] and 1 or 0 end
  return flat
end

-- ---- the files ----------------------------------------------------------------------------------------------------

local function words(text)
  local out = {}
  for word in text:gmatch "%S+" do out[#out + 1] = word end
  return out
end

-- The cases of a file, by op, and the ops in order.
local function read(path)
  local groups, order, number = {}, {}, 0
  for line in io.lines(path) do
    number = number + 1
    if not line:find "^%-%-" then
      local op, post, args, outs, grads = line:match "^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)$"
      assert(op, path .. ":" .. number .. " is not a case")
      if not groups[op] then
        groups[op] = {}
        order[#order + 1] = op
      end
      local make = assert(load("return " .. args, "=" .. path .. ":" .. number, "t", env))
      table.insert(groups[op], {op = op, post = post, make = make, args = args, outs = words(outs), grads = words(grads), line = number})
    end
  end
  return groups, order
end

local function paths() return lines_of "ls tests/golden/sweep/*.txt" end

-- The arguments of a case in a dtype, and the leaves among them, parameters of a module first. They are what the call works
-- on: a change of a leaf is a change of the argument.
local function arguments(case, dtype)
  float, leaves, plain = dtype, {}, true
  local args = table.pack(case.make())
  plain = false
  return args, leaves
end

return {run = run, numbers = numbers, weights = weights, read = read, paths = paths, arguments = arguments}
