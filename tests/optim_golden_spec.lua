-- Ten steps of each optimizer and fifty of each schedule against PyTorch 2.13's, and against the papers where PyTorch lacks
-- the rule: tests/golden/optim.lua, which scripts/dev/torch_optim.py wrote. What goes in follows the formulas there.

local neap = require "neap"
local optim, nn = neap.optim, neap.nn
local ramp = require "support.tensors".ramp
local golden = dofile "tests/golden/optim.lua"

local function start(shape, k, dtype)
  return nn.Parameter(ramp(shape, function(i) return math.cos(0.37 * i + 1.1 * k) end):to(dtype or "float64"))
end

local function gradient(w, t, k)
  local g = ramp(w.shape, function(i) return (0.2 + i % 5) * math.cos(0.7 * i + 2.3 * t + k) / 3 end)
  return g:to(w.dtype) + w:detach() * 0.5
end

-- The largest difference between tensors and lists of their elements.
local function distance(tensors, wanted)
  local worst = 0
  for k, w in ipairs(tensors) do
    local d = (w:detach():to "float64":flatten() - neap.tensor(wanted[k], {dtype = "float64"})):abs():amax():item()
    if not (d <= worst) then worst = d end
  end
  return worst
end

-- f(t, tensors) after each step t of a row.
local function follow(row, dtype, f)
  local tensors = {}
  for k, shape in ipairs(row.shapes) do tensors[k] = start(shape, k, dtype) end
  local optimizer = optim[row.rule](tensors, row.options)
  for t = 1, 10 do
    for k, w in ipairs(tensors) do
      w.grad = nil
      if t ~= 4 or k ~= 2 then w.grad = gradient(w, t, k) end
    end
    if t == 6 then optimizer.lr = optimizer.lr / 2 end
    optimizer:step()
    optimizer = f(t, tensors, optimizer) or optimizer
  end
end

describe("as PyTorch steps:", function()
  local seen = {}
  for number, row in ipairs(golden.optimizers) do
    seen[row.rule] = true
    for _, case in ipairs{{"float64", 1e-9}, {"float32", 5e-4}} do
      it(("%s, row %d, %s"):format(row.rule, number, case[1]), function()
        follow(row, case[1], function(t, tensors)
          if not row.steps[t] then return end
          local d = distance(tensors, row.steps[t])
          assert(d < case[2], ("off by %g at step %d"):format(d, t))
        end)
      end)
    end

    it(("%s, row %d, goes on from its state"):format(row.rule, number), function()
      follow(row, "float64", function(t, tensors, optimizer)
        if row.steps[t] then assert.is_true(distance(tensors, row.steps[t]) < 1e-9) end
        if t ~= 3 and t ~= 5 then return end
        local state = optimizer:state_dict()
        local other = optim[row.rule](tensors, {lr = 7})
        other:load_state_dict(state)
        return other
      end)
    end)
  end

  it("leaves no rule out", function()
    for _, row in ipairs(neap.rule_rows()) do assert(seen[row.name] or row.told, row.name) end
  end)
end)

describe("as PyTorch's LBFGS:", function()
  local losses = {}
  function losses.valley(x)
    local n = #x
    local a, b = x:narrow(1, 1, n - 1), x:narrow(1, 2, n - 1)
    return ((b - a ^ 2) ^ 2 * 100 + (1 - a) ^ 2):sum()
  end
  function losses.powers(x) return ((x - 0.5) ^ 4):sum() + (x ^ 2):sum() * 0.1 end

  for number, row in ipairs(golden.lbfgs) do
    for _, anew in ipairs{false, true} do
      it(("row %d%s"):format(number, anew and ", from its state" or ""), function()
        local tensors = {start(row.shapes[1], 1), start(row.shapes[2], 2)}
        local optimizer, calls = optim.LBFGS(tensors, row.options), 0
        for t, wanted in ipairs(row.steps) do
          local loss = optimizer:step(function()
            calls = calls + 1
            optimizer:zero_grad()
            local y = losses[row.loss](neap.cat{tensors[1]:flatten(), tensors[2]})
            y:backward()
            return y
          end)
          assert.equal(wanted.calls, calls)
          local scale = math.max(1, math.abs(wanted.loss))
          assert(math.abs(loss:item() - wanted.loss) < 1e-6 * scale, ("loss %.12g, not %.12g"):format(loss:item(), wanted.loss))
          local d = distance(tensors, wanted.params)
          assert(d < 1e-6, ("off by %g at step %d"):format(d, t))
          local state = optimizer:state_dict()
          assert.same({wanted.func_evals, wanted.n_iter or 0}, {state.state[1].func_evals, state.state[1].n_iter})
          if anew then
            optimizer = optim.LBFGS(tensors, {lr = 9, history_size = row.options.history_size})
            optimizer:load_state_dict(state)
          end
        end
      end)
    end
  end
end)

-- ---- schedules ----

local function rise(t) return 1 / (t + 1) end
local function fall(t) return t % 3 ~= 0 and 0.95 or 1.1 end
local function measure(t) return 2 / (1 + 0.2 * math.min(t, 12)) + 0.3 * math.cos(1.7 * t) end

-- The composed schedules of the script.
local lr = optim.lr
local composed = {
  lambda = function(o) return lr.LambdaLR(o, rise) end,
  lambdas = function(o) return lr.LambdaLR(o, {rise, fall}) end,
  multiplicative = function(o) return lr.MultiplicativeLR(o, fall) end,
  multiplicatives = function(o) return lr.MultiplicativeLR(o, {fall, rise}) end,
  sequence = function(o)
    return lr.SequentialLR(o, {lr.ConstantLR(o, 0.1, 5), lr.ExponentialLR(o, 0.9), lr.CosineAnnealingLR(o, 12)}, {6, 20})
  end,
  chain = function(o) return lr.ChainedScheduler{lr.ConstantLR(o, 0.1, 20), lr.ExponentialLR(o, 0.9)} end,
  ["long chain"] = function(o)
    return lr.ChainedScheduler{lr.LinearLR(o, 0.5, 1, 10), lr.CosineAnnealingLR(o, 30, 0.02), lr.StepLR(o, 9, 0.5),
      lr.MultiplicativeLR(o, fall)}
  end,
  ["scaled cycle"] = function(o) return lr.CyclicLR(o, 0.05, 0.3, 4, 3, {scale_fn = rise, base_momentum = 0.6}) end,
  ["scaled steps"] = function(o) return lr.CyclicLR(o, 0.05, 0.3, 4, {scale_fn = rise, scale_mode = "iterations"}) end,
  ["swa later"] = function(o) return lr.ExponentialLR(o, 0.9), lr.SWALR(o, 0.03, 8) end,
}

local function two_groups(rate)
  local a, b = nn.Parameter(neap.zeros(1)), nn.Parameter(neap.zeros(1))
  return optim.SGD({{params = {a}}, {params = {b}, lr = rate / 2}}, {lr = rate, momentum = 0.3})
end

describe("as PyTorch schedules:", function()
  local seen = {}
  for number, row in ipairs(golden.schedules) do
    seen[row.schedule or 0] = true
    local function make(optimizer)
      if row.schedule then return lr[row.schedule](optimizer, row.options) end
      return composed[row.composed](optimizer)
    end

    -- restart: before step 20, all is made anew and goes on from the states.
    local function follows(restart)
      local optimizer = two_groups(0.5)
      local schedule, later = make(optimizer)
      for t = 0, 49 do
        if restart and t == 20 then
          local states = {optimizer:state_dict(), schedule:state_dict(), later and later:state_dict()}
          optimizer = two_groups(0.5)
          schedule, later = make(optimizer)
          optimizer:load_state_dict(states[1])
          schedule:load_state_dict(states[2])
          if later then later:load_state_dict(states[3]) end
        end
        for g, group in ipairs(optimizer.param_groups) do
          local off = math.abs(group.lr - row.lrs[g][t + 1])
          assert(off < 1e-10, ("group %d off by %g after %d steps"):format(g, off, t))
        end
        local off = math.abs(optimizer.param_groups[1].momentum - (row.momenta and row.momenta[t + 1] or 0.3))
        assert(off < 1e-10, ("momentum off by %g after %d steps"):format(off, t))
        local one = later and t >= 15 and later or schedule
        one:step(row.schedule == "ReduceLROnPlateau" and measure(t) or nil)
      end
    end

    it(("%s, row %d"):format(row.schedule or row.composed, number), function() follows(false) end)
    it(("%s, row %d, goes on from its state"):format(row.schedule or row.composed, number), function() follows(true) end)
  end

  it("leaves no schedule out", function()
    seen.LinearWarmup = true -- PyTorch has none: optim_spec.lua
    for _, row in ipairs(neap.schedule_rows()) do assert(seen[row.name], row.name) end
  end)
end)
