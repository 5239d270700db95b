-- Values, gradients, clipping and initialisers against PyTorch's: tests/golden/ops.lua, which
-- scripts/dev/torch_golden.py wrote, says what goes in and what must come out. All is float64 and must agree to 1e-10 of a
-- result's scale (float32: 1e-6). One test an op, each with many cases; a failure names the case by its number.

local neap = require "neap"
local tensors = require "support.tensors"
local count, shaped = tensors.count, tensors.shaped
local golden = dofile "tests/golden/ops.lua"

-- Backward formulas in which PyTorch 2.13 itself uses constants of single precision, even for float64.
local SINGLE = {celu = 1e-8, hardsigmoid = 1e-7, binary_cross_entropy = 1e-8}
local TOLERANCE = {float64 = 1e-10, float32 = 1e-6}

-- ---- from the file to tensors -------------------------------------------------------------------------------------

-- The formula of the generator: element i, from 0, of a tensor that is not written out.
local function formula(spec)
  local flat = {}
  for i = 1, count(spec.shape) do
    flat[i] = math.sin((i - 1) * 12.9898 + spec.seed) * (spec.scale or 1) + (spec.offset or 0)
  end
  return flat
end

local function tensor(spec)
  return shaped(spec.data or formula(spec), spec.shape, spec.dtype or "float64")
end

-- An argument as a script would write it; the tensors to differentiate by are added to leaves, in the file's order.
local function argument(spec, leaves)
  if type(spec) ~= "table" then return spec end
  if spec.shape then
    local t = tensor(spec)
    if spec.grad then
      t.requires_grad = true
      leaves[#leaves + 1] = t
    end
    return t
  end
  local out, names = {}, {}
  spec = spec.list or spec
  for i, item in ipairs(spec) do out[i] = argument(item, leaves) end
  for name in pairs(spec) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do out[name] = argument(spec[name], leaves) end
  return out
end

-- ---- comparing ----------------------------------------------------------------------------------------------------

local function flatten(value, into)
  if type(value) ~= "table" then
    if value == true then value = 1 elseif value == false then value = 0 end
    into[#into + 1] = value
    return into
  end
  for _, item in ipairs(value) do flatten(item, into) end
  return into
end

local function numbers(t)
  if count(t.shape) == 0 then return {} end
  if #t.shape == 0 then return flatten(t:item(), {}) end
  return flatten(t:detach():totable(), {})
end

local function finite(v) return v == v and v ~= math.huge and v ~= -math.huge end

-- nil when they agree, else what differs.
local function difference(what, got, wanted, tolerance)
  wanted = flatten(wanted, {})
  if #got ~= #wanted then return ("%s has %d elements, not %d"):format(what, #got, #wanted) end
  local scale = 1e-3
  for _, v in ipairs(wanted) do
    if finite(v) then scale = math.max(scale, math.abs(v)) end
  end
  for i, w in ipairs(wanted) do
    local g = got[i]
    local same = g == w or (g ~= g and w ~= w) or (finite(g) and finite(w) and math.abs(g - w) <= tolerance * scale)
    if not same then return ("%s, element %d: %.17g, should be %.17g"):format(what, i, g, w) end
  end
end

local function same_shape(shape, wanted)
  if #shape ~= #wanted then return false end
  for i, n in ipairs(wanted) do
    if shape[i] ~= n then return false end
  end
  return true
end

local function check(...)
  local message = difference(...)
  if message then error(message, 0) end
end

local function check_tensor(what, t, wanted)
  local dtype = wanted.dtype or "float64"
  if tostring(t.dtype) ~= dtype then error(("%s is %s, should be %s"):format(what, tostring(t.dtype), dtype), 0) end
  if not same_shape(t.shape, wanted.shape) then
    error(("%s has shape {%s}, should be {%s}"):format(what, table.concat(t.shape, ","), table.concat(wanted.shape, ",")), 0)
  end
  check(what, numbers(t), wanted.data, TOLERANCE[dtype] or 0)
end

-- ---- one case -----------------------------------------------------------------------------------------------------

-- What is written with brackets is no function.
local brackets = {
  index = function(x, key) return x[key] end,
  setindex = function(x, key, value)
    x = x:clone()
    x[key] = value
    return x
  end,
}

local function run(case)
  local leaves, args = {}, {}
  for i, spec in ipairs(case.args) do args[i] = argument(spec, leaves) end
  local op = brackets[case.op] or neap[case.op]
  if not op then error("neap has no " .. case.op, 0) end
  local outs = {op(table.unpack(args))}
  if type(outs[1]) == "table" then outs = outs[1] end
  if #outs ~= #case.outs then error(("%d outputs, should be %d"):format(#outs, #case.outs), 0) end
  for k, wanted in ipairs(case.outs) do check_tensor("output " .. k, outs[k], wanted) end

  if not case.grads then return end
  local loss
  for k, y in ipairs(outs) do
    if y.requires_grad then
      local weights = {}
      for i = 1, count(y.shape) do weights[i] = math.cos(0.7 * (i - 1) + 0.3 + (k - 1)) end
      local part = (y * shaped(weights, y.shape, "float64")):sum()
      loss = loss and loss + part or part
    end
  end
  if not loss then error("no output requires a gradient", 0) end
  loss:backward()
  for k, leaf in ipairs(leaves) do
    local g = leaf.grad
    local flat = g and numbers(g) or {}
    if not g then
      for i = 1, count(leaf.shape) do flat[i] = 0 end
    end
    check("gradient " .. k, flat, case.grads[k], SINGLE[case.op] or TOLERANCE.float64)
  end
end

local function run_all(cases, runner)
  local failed = {}
  for _, case in ipairs(cases) do
    local ok, message = pcall(runner, case)
    if not ok then
      failed[#failed + 1] = ("case %d%s: %s"):format(case.number, case.note and " (" .. case.note .. ")" or "", tostring(message))
    end
  end
  if #failed > 0 then
    error(("%d of %d cases:\n%s"):format(#failed, #cases, table.concat(failed, "\n", 1, math.min(#failed, 12))), 0)
  end
end

-- Rows under the name of a field, in the file's order.
local function grouped(rows, field)
  local groups, order = {}, {}
  for _, row in ipairs(rows) do
    local name = row[field]
    if name then
      if not groups[name] then
        groups[name] = {}
        order[#order + 1] = name
      end
      table.insert(groups[name], row)
      row.number = #groups[name]
    end
  end
  return groups, order
end

local function each_group(rows, field, runner)
  local groups, order = grouped(rows, field)
  for _, name in ipairs(order) do
    it(("%s (%d cases)"):format(name, #groups[name]), function() run_all(groups[name], runner) end)
  end
end

-- ---- the tests ----------------------------------------------------------------------------------------------------

describe("as PyTorch computes it:", function()
  each_group(golden.cases, "op", run)
end)

describe("as PyTorch clips it:", function()
  it(("clip_grad_norm (%d cases)"):format(#golden.clips), function()
    for k, row in ipairs(golden.clips) do row.number = k end
    run_all(golden.clips, function(row)
      local params = {}
      for k, spec in ipairs(row.grads) do
        params[k] = neap.zeros(spec.shape, {dtype = "float64"})
        params[k].requires_grad = true
        params[k].grad = tensor(spec)
      end
      local norm = neap.nn.clip_grad_norm(params, row.clip, row.p)
      check("the norm", {type(norm) == "number" and norm or norm:item()}, {row.norm}, TOLERANCE.float64)
      for k, wanted in ipairs(row.clipped) do
        check("gradient " .. k, numbers(params[k].grad), wanted, TOLERANCE.float64)
      end
    end)
  end)
end)

describe("as PyTorch initialises it:", function()
  -- 2400 or more draws: the largest lies close to the bound, the deviation within 8 percent of what it should be.
  each_group(golden.inits, "init", function(row)
    neap.seed(1)
    local t = neap.zeros(row.shape)
    neap.nn.init[row.init .. "_"](t, row.options)
    if row.bound then
      local most = t:abs():amax():item()
      assert(most <= row.bound * (1 + 1e-6) and most > row.bound * 0.98, ("up to %g, bound %g"):format(most, row.bound))
    else
      local deviation = t:std():item()
      assert(math.abs(deviation / row.std - 1) < 0.08, ("deviation %g, should be %g"):format(deviation, row.std))
      assert(math.abs(t:mean():item()) < row.std * 0.1, "mean is not 0")
    end
  end)

  it("gains", function()
    for _, row in ipairs(golden.inits) do
      if row.gain then
        local got = neap.nn.init.calculate_gain(row.gain, row.param)
        check("gain of " .. row.gain, {got}, {row.value}, TOLERANCE.float64)
      end
    end
  end)
end)
