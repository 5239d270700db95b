-- Schedules from Lua: rates and momentum that follow the count of steps, chains and sequences of them, state that goes on where
-- it was. The formulas of each row are held against PyTorch's in optim_golden_spec.

local neap = require "neap"
local tensors = require "support.tensors"
local optim = neap.optim
local parameter, near = tensors.parameter, tensors.near

describe("a schedule", function()
  -- The rates of n epochs.
  local function rates(make, n)
    local optimizer = optim.SGD({{params = {parameter(1)}}, {params = {parameter(1)}, lr = 2}}, {lr = 1})
    local schedule = make(optimizer)
    local first, second = {}, {}
    for i = 1, n do
      first[i], second[i] = optimizer.param_groups[1].lr, optimizer.param_groups[2].lr
      near(first[i], schedule:get_last_lr()[1])
      schedule:step()
    end
    return first, second
  end

  local function same(wanted, got)
    assert.equal(#wanted, #got)
    for i, v in ipairs(wanted) do near(v, got[i], "step " .. i - 1) end
  end

  it("StepLR", function()
    local first, second = rates(function(o) return optim.lr.StepLR(o, {step_size = 2, gamma = 0.5}) end, 5)
    same({1, 1, 0.5, 0.5, 0.25}, first)
    same({2, 2, 1, 1, 0.5}, second)
  end)

  it("CosineAnnealingLR", function()
    same({1, 0.55 + 0.45 * math.sqrt(0.5), 0.55, 0.55 - 0.45 * math.sqrt(0.5), 0.1},
      (rates(function(o) return optim.lr.CosineAnnealingLR(o, {T_max = 4, eta_min = 0.1}) end, 5)))
  end)

  it("LinearWarmup, then another", function()
    same({0, 0.25, 0.5, 0.75, 1, 1}, (rates(function(o) return optim.lr.LinearWarmup(o, {steps = 4}) end, 6)))
    local first, second = rates(function(o)
      return optim.lr.LinearWarmup(o, {steps = 2, after = optim.lr.StepLR(o, {step_size = 1, gamma = 0.1})})
    end, 5)
    same({0, 0.5, 1, 0.1, 0.01}, first)
    same({0, 1, 2, 0.2, 0.02}, second)
  end)

  -- The rates of one group in PyTorch 2.13.
  for _, case in ipairs{
    {"MultiStepLR", {1, 1, 0.5, 0.25, 0.25}, {2, 3}, {gamma = 0.5}},
    {"ExponentialLR", {1, 0.5, 0.25, 0.125}, 0.5},
    {"ConstantLR", {0.5, 0.5, 1, 1}, 0.5, 2},
    {"LinearLR", {0.3333333, 0.4666667, 0.6, 0.7333333, 0.8666667, 1, 1}},
    {"PolynomialLR", {1, 0.5625, 0.25, 0.0625, 0, 0}, 4, 2},
    {"CosineAnnealingWarmRestarts", {1, 0.55, 1, 0.8681981, 0.55, 0.2318019, 1, 0.9657458}, 2, 2, {eta_min = 0.1}},
  } do
    it(case[1] .. " gives PyTorch's rates", function()
      local make = optim.lr[case[1]]
      same(case[2], (rates(function(o) return make(o, table.unpack(case, 3)) end, #case[2])))
    end)
  end

  it("SequentialLR goes on from the rate in force where PyTorch does, and takes its lists by name", function()
    local o = optim.SGD({neap.ones(1, {requires_grad = true})}, {lr = 0.5})
    local s = optim.lr.SequentialLR(o, {schedulers = {optim.lr.LinearLR(o, 0.1, 1, 5), optim.lr.MultiplicativeLR(o, function() return 0.95 end)},
      milestones = {5}})
    for _, lr in ipairs{0.05, 0.14, 0.23, 0.32, 0.41, 0.3895, 0.370025, 0.35152375} do -- PyTorch 2.13
      assert.is_true(math.abs(o.param_groups[1].lr - lr) < 1e-12)
      s:step()
    end
  end)

  it("a step may be named, and be part of an epoch", function()
    local o = optim.SGD({neap.ones(1, {requires_grad = true})}, {lr = 0.1})
    local s = optim.lr.CosineAnnealingWarmRestarts(o, 5, 2)
    for epoch, lr in pairs{[0.5] = 0.09755282581475769, [2.5] = 0.05, [6.25] = 0.09619397662556434, [3] = 0.03454915028125263} do -- PyTorch 2.13
      s:step(epoch)
      assert.is_true(math.abs(o.param_groups[1].lr - lr) < 1e-12)
      assert.equal(epoch, s.last_epoch)
    end
    local any = optim.lr.LambdaLR(o, function(t) return t end)
    any:step(7)
    assert.equal(7, any.last_epoch)
    assert.error_matches(function() any:step(2.5) end, "LambdaLR:step: epoch is a whole number from 0 on, not a number %(2.5%)")
    assert.error_matches(function() s:step(-1) end, "CosineAnnealingWarmRestarts:step: epoch is a number from 0 on")
  end)

  it("OneCycleLR in lines ends where it ends", function()
    local o = optim.SGD({neap.ones(1, {requires_grad = true})}, {lr = 0.1, momentum = 0.9})
    local s = optim.lr.OneCycleLR(o, {max_lr = 0.3, total_steps = 10, anneal_strategy = "linear"})
    for _ = 1, 10 do
      o:step()
      s:step()
    end
    assert.is_true(math.abs(o.param_groups[1].lr - 0.3 / 25 / 1e4) < 1e-12)
  end)

  it("SequentialLR: one schedule after the other", function()
    same({0.1, 0.1, 1, 0.5, 0.25, 0.125}, (rates(function(o)
      return optim.lr.SequentialLR(o, {optim.lr.ConstantLR(o, 0.1, 2), optim.lr.ExponentialLR(o, 0.5)}, {2})
    end, 6)))
    local o, other = optim.SGD({parameter(1)}, {lr = 1}), optim.SGD({parameter(1)}, {lr = 1})
    local one = optim.lr.ExponentialLR(o, 0.5)
    assert.error_matches(function() optim.lr.SequentialLR(o, {one, one}, {}) end, "2 schedules need 1 milestones, not 0")
    assert.error_matches(function() optim.lr.SequentialLR(other, {one}, {}) end, "for the same optimizer")
    assert.error_matches(function() optim.lr.SequentialLR(o, {one, one, one}, {3, 2}) end, "whole numbers that rise; number 2")
  end)

  -- The rates before each measure, and the measures; rates are PyTorch 2.13's.
  for name, case in pairs{
    ["a loss"] = {{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25}, {3, 2, 2, 2, 1.5, 1.5, 1.5, 1.5, 1.5}, {factor = 0.5, patience = 1}},
    ["an accuracy, with rests and a floor"] = {{1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2}, {1, 1.05, 1.05, 1.05, 1.3, 1.3, 1.3, 1.3},
      {mode = "max", factor = 0.5, patience = 0, cooldown = 1, min_lr = 0.2, threshold = 0.1}},
    ["a difference"] = {{1, 1, 0.5, 0.5, 0.25}, {1, 0.95, 0.8, 0.75, 0.75},
      {factor = 0.5, patience = 0, threshold = 0.1, threshold_mode = "abs"}},
  } do
    it("ReduceLROnPlateau watches " .. name, function()
      local optimizer = optim.SGD({parameter(1)}, {lr = 1})
      local schedule, got = optim.lr.ReduceLROnPlateau(optimizer, case[3]), {}
      for i, measure in ipairs(case[2]) do
        got[i] = optimizer.lr
        if i == 4 then -- goes on from its state
          local state = schedule:state_dict()
          optimizer = optim.SGD({parameter(1)}, {lr = 7})
          schedule = optim.lr.ReduceLROnPlateau(optimizer, case[3])
          schedule:load_state_dict(state)
        end
        schedule:step(i % 2 == 0 and measure or neap.tensor({measure}, {dtype = "float64"}))
      end
      same(case[1], got)
      assert.error_matches(function() schedule:step() end, "the measure is not a number, but nil")
    end)
  end

  it("any function", function()
    same({1, 1 / 2, 1 / 3}, (rates(function(o)
      return optim.lr.LambdaLR(o, function(t) return 1 / (t + 1) end)
    end, 3)))
  end)

  it("any function, one a group", function()
    local function half(t) return 0.5 ^ t end
    local function third() return 1 / 3 end
    for _, make in ipairs{
      function(o) return optim.lr.LambdaLR(o, {half, function(t) return 3 ^ -t end}) end,
      function(o) return optim.lr.LambdaLR(o, {lr_lambda = {half, function(t) return 3 ^ -t end}}) end,
      function(o) return optim.lr.MultiplicativeLR(o, {lr_lambda = {function() return 0.5 end, third}}) end,
    } do
      local first, second = rates(make, 3)
      same({1, 0.5, 0.25}, first)
      same({2, 2 / 3, 2 / 9}, second)
    end
    same({1, 1 / 3, 1 / 9}, (rates(function(o) return optim.lr.MultiplicativeLR(o, {lr_lambda = third}) end, 3)))
  end)

  it("leaves a group that comes later alone", function()
    for name, make in pairs{
      StepLR = function(o) return optim.lr.StepLR(o, 1, 0.5) end,
      SWALR = function(o) return optim.lr.SWALR(o, 0.5, 1) end,
      ReduceLROnPlateau = function(o) return optim.lr.ReduceLROnPlateau(o, {factor = 0.5, patience = 0}) end,
      ChainedScheduler = function(o) return optim.lr.ChainedScheduler{optim.lr.ExponentialLR(o, 0.5)} end,
    } do
      local optimizer = optim.SGD({parameter(1)}, {lr = 1})
      local schedule = make(optimizer)
      schedule:step(not schedule.counts and 1 or nil)
      optimizer:add_param_group{params = parameter(1), lr = 7}
      schedule:step(not schedule.counts and 1 or nil)
      schedule:load_state_dict(schedule:state_dict())
      assert.is_true(optimizer.lr < 1, name)
      assert.equal(7.0, optimizer.param_groups[2].lr)
    end
  end)

  it("goes on from its state", function()
    local optimizer = optim.SGD({parameter(1)}, {lr = 1})
    local a = optim.lr.StepLR(optimizer, {step_size = 2, gamma = 0.5})
    for _ = 1, 3 do a:step() end
    local other = optim.SGD({parameter(1)}, {lr = 1})
    local b = optim.lr.StepLR(other, {step_size = 2, gamma = 0.5})
    b:load_state_dict(a:state_dict())
    near(0.5, other.lr)
    b:step()
    near(0.25, other.lr)
  end)

  it("says what is wrong", function()
    local optimizer = optim.SGD({parameter(1)}, {lr = 1})
    assert.error_matches(function() optim.lr.StepLR(optimizer, {}) end, "StepLR: step_size is missing: an integer")
    assert.matches("schedules_spec.lua:%d+: StepLR: step_size must be above 0, not %-2",
      select(2, pcall(function() optim.lr.StepLR(optimizer, -2) end)))
    assert.error_matches(function() optim.lr.StepLR(optimizer, {step = 3}) end, "unknown option 'step'")
    assert.error_matches(function() optim.lr.StepLR({}, {step_size = 3}) end, "takes an optimizer first")
    assert.error_matches(function() optim.lr.LambdaLR(optimizer, 3) end, "takes a function")
    assert.matches("schedules_spec.lua:%d+: StepLR: has 2 settings, not 3: step_size, gamma",
      select(2, pcall(function() optim.lr.StepLR(optimizer, 3, 0.1, 7) end)))
    assert.error_matches(function() optim.lr.StepLR(optimizer, 3, {step_size = 4}) end, "step_size is given twice")
    assert.error_matches(function() optim.lr.StepLR(optimizer, 3, {gamma = "x"}) end, "StepLR: gamma must be a number, got a string")
    local two = optim.SGD({{params = {parameter(1)}}, {params = {parameter(2)}}}, {lr = 1})
    local plain = optim.Adagrad({parameter(1)})
    for text, make in pairs{
      ["ReduceLROnPlateau: mode is 'low'; there is min, max"] = function() optim.lr.ReduceLROnPlateau(optimizer, {mode = "low"}) end,
      ["ReduceLROnPlateau: factor must be above 0 and below 1, not 2"] = function() optim.lr.ReduceLROnPlateau(optimizer, {factor = 2}) end,
      ["MultiStepLR: milestones must rise; 5 stands before 3"] = function() optim.lr.MultiStepLR(optimizer, {5, 3}) end,
      ["LinearLR: total_iters must be above 0, not 0"] = function() optim.lr.LinearLR(optimizer, {total_iters = 0}) end,
      ["PolynomialLR: total_iters must be above 0, not 0"] = function() optim.lr.PolynomialLR(optimizer, 0) end,
      ["CosineAnnealingLR: T_max must be above 0, not 0"] = function() optim.lr.CosineAnnealingLR(optimizer, 0) end,
      ["CosineAnnealingWarmRestarts: T_0 must be above 0, not 0"] = function() optim.lr.CosineAnnealingWarmRestarts(optimizer, 0) end,
      ["CosineAnnealingWarmRestarts: T_mult must be 1 or more, not 0"] = function() optim.lr.CosineAnnealingWarmRestarts(optimizer, 1, 0) end,
      ["LinearWarmup: steps must be above 0, not 0"] = function() optim.lr.LinearWarmup(optimizer, 0) end,
      ["SWALR: anneal_epochs must be 0 or more, not -1"] = function() optim.lr.SWALR(optimizer, 1, -1) end,
      ["CyclicLR: step_size_up must be above 0, not 0"] = function() optim.lr.CyclicLR(optimizer, 1, 2, 0) end,
      ["CyclicLR: step_size_down must be above 0, not 0"] = function() optim.lr.CyclicLR(optimizer, 1, 2, 3, 0) end,
      ["CyclicLR: scale_fn is not a function, but a number"] = function() optim.lr.CyclicLR(optimizer, 1, 2, {scale_fn = 3}) end,
      ["CyclicLR: scale_mode is 'cycle' or 'iterations', not "] = function()
        optim.lr.CyclicLR(optimizer, 1, 2, {scale_fn = print, scale_mode = "x"})
      end,
      ["CyclicLR: Adagrad has neither momentum nor betas: {cycle_momentum = false} leaves them out"] = function()
        optim.lr.CyclicLR(plain, 1, 2)
      end,
      ["CyclicLR: max_lr has 3 numbers for 2 groups"] = function() optim.lr.CyclicLR(two, 1, {1, 2, 3}) end,
      ["OneCycleLR: needs total_steps, or epochs and steps_per_epoch"] = function() optim.lr.OneCycleLR(optimizer, 1, {epochs = 3}) end,
      ["OneCycleLR: pct_start must be from 0 to 1, not 2"] = function() optim.lr.OneCycleLR(optimizer, 1, 9, {pct_start = 2}) end,
      ["OneCycleLR: total_steps must be above 0, not 0"] = function() optim.lr.OneCycleLR(optimizer, 1, 0) end,
      ["OneCycleLR: div_factor must be above 0, not 0"] = function() optim.lr.OneCycleLR(optimizer, 1, 9, {div_factor = 0}) end,
      ["OneCycleLR: final_div_factor must be above 0, not 0"] = function() optim.lr.OneCycleLR(optimizer, 1, 9, {final_div_factor = 0}) end,
      ["OneCycleLR: there is no step 3"] = function()
        local schedule = optim.lr.OneCycleLR(optimizer, 1, 2)
        for _ = 1, 3 do schedule:step() end
      end,
      ["ChainedScheduler: the list of schedules is empty"] = function() optim.lr.ChainedScheduler{} end,
      ["ChainedScheduler: takes schedules made for the same optimizer, not "] = function()
        optim.lr.ChainedScheduler({optim.lr.ExponentialLR(two, 0.5)}, optimizer)
      end,
      ["LambdaLR: 1 functions for 2 groups; one for all goes without a list"] = function() optim.lr.LambdaLR(two, {math.sqrt}) end,
      ["MultiplicativeLR: 2 functions for 1 groups"] = function() optim.lr.MultiplicativeLR(optimizer, {math.sqrt, math.sqrt}) end,
      ["LambdaLR: takes a function of the number of steps, or a list of them, one a group; number 2 is a number (3)"] = function()
        optim.lr.LambdaLR(two, {math.sqrt, 3})
      end,
      ["LambdaLR: what the function returns for step 0 is not a number, but nil"] = function()
        optim.lr.LambdaLR(optimizer, function() end)
      end,
      ["MultiplicativeLR: what the function of group 2 returns for step 1 is not a number, but nil"] = function()
        optim.lr.MultiplicativeLR(two, {math.sqrt, function() end}):step()
      end,
      ["LambdaLR: unknown option 'last_epoch'; it has lr_lambda"] = function() optim.lr.LambdaLR(optimizer, {last_epoch = -1}) end,
      ["LambdaLR: takes an optimizer and lr_lambda, no more"] = function() optim.lr.LambdaLR(optimizer, math.sqrt, {last_epoch = -1}) end,
      ["schedule_at: there is no schedule 'X'"] = function() neap.schedule_at("X", 1, 2, {}) end,
    } do
      local good, message = pcall(make)
      assert.is_false(good, text)
      assert.matches(text, message, 1, true)
      assert.matches("schedules_spec.lua:", message, 1, true)
    end
  end)

  it("moves Adam's first beta, and leaves the second", function()
    local adam = optim.Adam({parameter(1)}, {betas = {0.9, 0.98}})
    local schedule = optim.lr.OneCycleLR(adam, 0.1, 10, {anneal_strategy = "linear"})
    near(0.95, adam.param_groups[1].betas[1])
    schedule:step()
    schedule:step()
    near(0.85, adam.param_groups[1].betas[1])
    near(0.98, adam.param_groups[1].betas[2])
    near(0.1, adam.lr)
  end)
end)
