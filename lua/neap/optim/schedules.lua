-- schedules: learning rates that change with time. A schedule knows each group's rate at its start and a function of the
-- number of steps taken; step() moves on by one and sets the rates, so the rate depends on the count alone and a loaded
-- schedule goes on where it was. Whether a step is an epoch or a batch is up to whoever calls it.

local check = require "neap.check"

local Schedule = {}
Schedule.__index = Schedule

local function set(self)
  local groups = self.optimizer.param_groups
  for i, base in ipairs(self.base_lrs) do groups[i].lr = self.rate(base, self.last_epoch, i) end
end

-- rate(base, t, group): a group's learning rate after t steps.
local function new(what, optimizer, rate)
  if optimizer == nil or optimizer.param_groups == nil then
    check.fail("%s: takes an optimizer first, not %s", what, check.describe(optimizer))
  end
  local self = setmetatable({optimizer = optimizer, rate = rate, last_epoch = 0, base_lrs = {}, what = what}, Schedule)
  for i, group in ipairs(optimizer.param_groups) do self.base_lrs[i] = group.lr end
  set(self)
  return self
end

--- One step on: sets the learning rates.
function Schedule:step()
  self.last_epoch = self.last_epoch + 1
  set(self)
end

--- A list of the present learning rates, one a group.
function Schedule:get_last_lr()
  local rates = {}
  for i, group in ipairs(self.optimizer.param_groups) do rates[i] = group.lr end
  return rates
end

--- {last_epoch = steps taken, base_lrs = rates at the start}.
function Schedule:state_dict()
  return {last_epoch = self.last_epoch, base_lrs = table.move(self.base_lrs, 1, #self.base_lrs, 1, {})}
end

--- Goes on from a state_dict, and sets the rates it stands for.
function Schedule:load_state_dict(state)
  if type(state) ~= "table" or not state.last_epoch or #(state.base_lrs or {}) ~= #self.base_lrs then
    check.fail("%s:load_state_dict: the state is not that of a schedule over %d groups", self.what, #self.base_lrs)
  end
  self.last_epoch, self.base_lrs = state.last_epoch, table.move(state.base_lrs, 1, #state.base_lrs, 1, {})
  set(self)
end

function Schedule:__tostring()
  return ("%s(step %d)"):format(self.what, self.last_epoch)
end

local schedules = {}

-- A setting that must be a number above zero.
local function positive(what, name, value)
  if type(value) ~= "number" or value <= 0 then
    check.fail("%s: %s is a number above 0, not %s", what, name, check.describe(value))
  end
  return value
end

-- Options of a schedule, or the first of them alone: StepLR(optimizer, {step_size = 3}) or StepLR(optimizer, 3).
local function settings(what, given, known)
  if type(given) ~= "table" then given = {[known[1]] = given} end
  return check.options(what, given, known)
end

--- The rate times gamma (0.1) every step_size steps.
function schedules.StepLR(optimizer, options)
  options = settings("StepLR", options, {"step_size", "gamma"})
  local size, gamma = positive("StepLR", "step_size", options.step_size), options.gamma or 0.1
  return new("StepLR", optimizer, function(base, t) return base * gamma ^ (t // size) end)
end

--- From the rate down to eta_min (0) in T_max steps along half a cosine wave (Loshchilov and Hutter, 2017).
function schedules.CosineAnnealingLR(optimizer, options)
  options = settings("CosineAnnealingLR", options, {"T_max", "eta_min"})
  local T, low = positive("CosineAnnealingLR", "T_max", options.T_max), options.eta_min or 0
  return new("CosineAnnealingLR", optimizer, function(base, t)
    return low + (base - low) * (1 + math.cos(math.pi * t / T)) / 2
  end)
end

--- The rate times a factor that goes in a line from start_factor (1/3) to end_factor (1) in total_iters (5) steps.
function schedules.LinearLR(optimizer, options)
  options = settings("LinearLR", options, {"start_factor", "end_factor", "total_iters"})
  local from, to = options.start_factor or 1 / 3, options.end_factor or 1
  local total = positive("LinearLR", "total_iters", options.total_iters or 5)
  return new("LinearLR", optimizer, function(base, t) return base * (from + (to - from) * math.min(1, t / total)) end)
end

--- Rises in a line from start_factor (0) times the rate to the rate in `steps` steps, then stays, or does what `after`
--- says: a schedule made for the same optimizer, whose own count begins when the rise is over.
function schedules.LinearWarmup(optimizer, options)
  options = settings("LinearWarmup", options, {"steps", "start_factor", "after"})
  local steps, from = positive("LinearWarmup", "steps", options.steps), options.start_factor or 0
  local after = options.after
  if after then
    if getmetatable(after) ~= Schedule or after.optimizer ~= optimizer then
      check.fail "LinearWarmup: after is a schedule made for the same optimizer"
    end
    for i, group in ipairs(optimizer.param_groups) do group.lr = after.base_lrs[i] end
  end
  return new("LinearWarmup", optimizer, function(base, t, group)
    if t < steps then return base * (from + (1 - from) * t / steps) end
    return after and after.rate(base, t - steps, group) or base
  end)
end

--- The rate times f(t) after t steps: any function, or a list of functions, one a group.
function schedules.LambdaLR(optimizer, f)
  if type(f) ~= "function" and type(f) ~= "table" then
    check.fail("LambdaLR: takes a function of the number of steps, not %s", check.describe(f))
  end
  return new("LambdaLR", optimizer, function(base, t, group)
    return base * (type(f) == "table" and f[group] or f)(t)
  end)
end

return schedules
