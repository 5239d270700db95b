-- Thousands of calls against what PyTorch computes for them: tests/golden/sweep/*.txt, which scripts/dev/sweep.py wrote and
-- describes. In float64 results and gradients agree to 1e-10 of their scale; in float32 the distance from the float64 truth
-- is at most 4 times PyTorch's own plus 1e-6. One test an op and file; a failure names the line.

local neap = require "neap"
local posts = require "support.sweep_posts"

local dtypes = {f64 = "float64", f32 = "float32", i64 = "int64", i32 = "int32", i16 = "int16", i8 = "int8", u8 = "uint8",
  u16 = "uint16", b = "bool", bf16 = "bfloat16", f16 = "float16"}
-- For results of a dtype that was asked for, not the float64 of the first run.
local COARSE = {float32 = 2e-6, bfloat16 = 2e-2, float16 = 2e-3}

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

local function count(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

local function shaped(flat, shape, dtype)
  if #flat == 0 then return neap.zeros(shape, {dtype = dtype}) end
  return neap.tensor(flat, {dtype = dtype}):reshape(shape)
end

-- ---- arguments ----------------------------------------------------------------------------------------------------

local float = "float64" -- of the run
local leaves            -- of the case, in the order of its arguments

local function laid_out(x, layout, whole)
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
}

-- ---- one call -----------------------------------------------------------------------------------------------------

local function named(op)
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
    else into[#into + 1] = neap.tensor(y, {dtype = type(y) == "boolean" and "bool" or math.type(y) == "integer" and "int64" or "float32"}) end
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

-- ---- comparing ----------------------------------------------------------------------------------------------------

local huge = math.huge
local function finite(x) return x == x and x ~= huge and x ~= -huge end

local function check_projections(what, flat, wanted, tolerance)
  local odd, size = 0, 0
  for i, x in ipairs(flat) do
    if finite(x) then size = size + math.abs(x)
    else odd = odd + i * (x ~= x and 1 or x > 0 and 2 or 3) end
  end
  local want = {}
  for text in wanted:gmatch "[^,]+" do want[#want + 1] = tonumber(text) end
  if odd ~= (want[3] or 0) then error(("%s: infinities or NaN stand elsewhere"):format(what), 0) end
  for k = 1, 2 do
    local w, sum = weights(990 + k, #flat), 0
    for i, x in ipairs(flat) do
      if finite(x) then sum = sum + x * w[i] end
    end
    if not (math.abs(sum - want[k]) <= tolerance * math.max(size, 1e-3)) then
      error(("%s: projection %.13g, should be %.13g"):format(what, sum, want[k]), 0)
    end
  end
end

-- Of float32's from float64's, against PyTorch's own distance.
local function check_distance(what, single, double, own)
  if own == "-" or own == "inf" then return end
  local scale, far = 1e-3, 0
  for i, x in ipairs(double) do
    if finite(x) then scale = math.max(scale, math.abs(x)) end
    local y = single[i]
    if y ~= x and (y == y or x == x) then far = math.max(far, finite(y) and math.abs(y - x) or huge) end
  end
  if not (far / scale <= 4 * tonumber(own) + 1e-6) then
    error(("%s in float32 is %.2g of the scale away from float64's; PyTorch's %s"):format(what, far / scale, own), 0)
  end
end

local function check(case)
  local outs, grads = run(case, "float64")
  if #outs ~= #case.outs then error(("%d outputs, should be %d"):format(#outs, #case.outs), 0) end
  local truth, slopes, single = {}, {}, false
  for k, text in ipairs(case.outs) do
    local what, y = "output " .. k, outs[k]
    local letters, shape, wanted, own = text:match "^(.-):(.-):(.-):(.*)$"
    local dtype = dtypes[letters]
    if y.dtype ~= dtype then error(("%s is %s, should be %s"):format(what, y.dtype, dtype), 0) end
    if table.concat(y.shape, "x") ~= shape then
      error(("%s has shape {%s}, should be {%s}"):format(what, table.concat(y.shape, ", "), shape:gsub("x", ", ")), 0)
    end
    truth[k] = numbers(y)
    check_projections(what, truth[k], wanted, COARSE[dtype] or 1e-10)
    single = single or own ~= "-"
  end
  for k, text in ipairs(case.grads) do
    local g = grads[k]
    slopes[k] = g and numbers(g) or {}
    if text == "-" then
      for _, x in ipairs(slopes[k]) do assert(x == 0, "a gradient where none flows") end
    elseif not g then
      check_projections("gradient " .. k, {}, text:match "^(.-):", 1e-10)
    else
      check_projections("gradient " .. k, slopes[k], text:match "^(.-):", 1e-10)
    end
  end
  if not single then return end
  outs, grads = run(case, "float32")
  for k, text in ipairs(case.outs) do check_distance("output " .. k, numbers(outs[k]), truth[k], text:match "([^:]*)$") end
  for k, text in ipairs(case.grads) do
    if text ~= "-" and grads[k] and #slopes[k] > 0 then check_distance("gradient " .. k, numbers(grads[k]), slopes[k], text:match "([^:]*)$") end
  end
end

-- ---- the files ----------------------------------------------------------------------------------------------------

local function words(text)
  local out = {}
  for word in text:gmatch "%S+" do out[#out + 1] = word end
  return out
end

local total, seen = 0, {}

local function each_file(path)
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
      total = total + 1
      seen[op:match "[%w_]+$"] = true
    end
  end
  for _, op in ipairs(order) do
    it(("%s (%d cases)"):format(op, #groups[op]), function()
      local failed = {}
      for _, case in ipairs(groups[op]) do
        local ok, message = pcall(check, case)
        if not ok then failed[#failed + 1] = ("%s:%d: %s(%s): %s"):format(path, case.line, op, case.args, message) end
      end
      if #failed > 0 then
        error(("%d of %d cases:\n%s"):format(#failed, #groups[op], table.concat(failed, "\n", 1, math.min(#failed, 8))), 0)
      end
    end)
  end
end

-- Ops that PyTorch has no function for, and where they are held against it all the same.
local apart = {
  ["in losses"] = "absolute_error squared_error smooth_l1_error huber_error bce_error bce_logits_error kl_error",
  ["in activations"] = "relu_slope mul_sigmoid mul_silu mul_gelu",
  ["in div with rounding_mode"] = "trunc_divide",
  ["in cumprod's gradient"] = "linear_recurrence",
  ["like arange"] = "range",
  ["in linalg.norm, lu"] = "linalg_norm lu_unpack lu_solve",
  ["values are left as they were"] = "empty empty_like",
}

describe("as PyTorch computes it, swept:", function()
  local pipe = assert(io.popen "ls tests/golden/sweep/*.txt")
  for path in pipe:lines() do each_file(path) end
  pipe:close()
  it("there are " .. total .. " cases", function() assert(total > 0) end)

  it("every op is among them, or in golden_spec's", function()
    for _, case in ipairs(dofile "tests/golden/ops.lua".cases) do seen[case.op] = true end
    for _, list in pairs(apart) do
      for name in list:gmatch "%S+" do seen[name] = true end
    end
    local missing = {}
    for _, op in ipairs(neap.ops()) do
      if not (seen[op.name] or op.marks.hidden or op.marks.random) then missing[#missing + 1] = op.name end
    end
    assert(#missing == 0, "never compared: " .. table.concat(missing, " "))
  end)
end)
