-- Thousands of calls against what PyTorch computes for them: tests/golden/sweep/*.txt, which scripts/dev/sweep.py wrote and
-- describes. In float64 results and gradients agree to 1e-10 of their scale; in float32 the distance from the float64 truth
-- is at most 4 times PyTorch's own plus 1e-6. One test an op and file; a failure names the line.

local neap = require "neap"
local sweep = require "support.sweep"
local run, numbers, weights = sweep.run, sweep.numbers, sweep.weights

local dtypes = {f64 = "float64", f32 = "float32", i64 = "int64", i32 = "int32", i16 = "int16", i8 = "int8", u8 = "uint8",
  u16 = "uint16", b = "bool", bf16 = "bfloat16", f16 = "float16"}
-- For results of a dtype that was asked for, not the float64 of the first run.
local COARSE = {float32 = 2e-6, bfloat16 = 2e-2, float16 = 2e-3}

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

local total, seen = 0, {}

local function each_file(path)
  local groups, order = sweep.read(path)
  for _, op in ipairs(order) do
    total = total + #groups[op]
    seen[op:match "[%w_]+$"] = true
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
  ["in nn.RNN, nn.LSTM, nn.GRU"] = "rnn_steps lstm_steps gru_steps",
  ["values are left as they were"] = "empty empty_like",
}

describe("as PyTorch computes it, swept:", function()
  for _, path in ipairs(sweep.paths()) do each_file(path) end
  it("there are " .. total .. " cases", function() assert(total > 0) end)

  it("every op and layer is among them, or in golden_spec's", function()
    for _, case in ipairs(dofile "tests/golden/ops.lua".cases) do seen[case.op] = true end
    for _, list in pairs(apart) do
      for name in list:gmatch "%S+" do seen[name] = true end
    end
    local missing = {}
    for _, op in ipairs(neap.ops()) do
      if not (seen[op.name] or op.marks.hidden or op.marks.random) then missing[#missing + 1] = op.name end
    end
    for _, layer in ipairs(neap.layer_rows()) do
      if not seen[layer.name] then missing[#missing + 1] = "nn." .. layer.name end
    end
    assert(#missing == 0, "never compared: " .. table.concat(missing, " "))
  end)
end)
