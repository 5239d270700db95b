-- schedules: learning rates that change with time. A schedule knows each group's rate at its start and a function of the
-- number of steps taken; step() moves on by one and sets the rates, so the rate depends on the count alone and a loaded
-- schedule goes on where it was. Whether a step is an epoch or a batch is up to whoever calls it.

local check = require "neap.check"

local Schedule = {__name = "neap.Schedule"}
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

-- Settings of a schedule, in order, by name in a last table, or both: StepLR(optimizer, 3, {gamma = 0.5}).
local function settings(what, known, ...)
  local given, out = table.pack(...), {}
  local last = given[given.n]
  if type(last) == "table" and getmetatable(last) == nil and #last == 0 then
    for name, value in pairs(check.options(what, last, known)) do out[name] = value end
    given.n = given.n - 1
  end
  if given.n > #known then
    check.fail("%s: has %d settings, not %d: %s", what, #known, given.n, table.concat(known, ", "))
  end
  for i = 1, given.n do
    if out[known[i]] ~= nil then check.fail("%s: %s is given twice", what, known[i]) end
    out[known[i]] = given[i]
  end
  return out
end

-- A setting that is a number, with a default; one that must be above zero.
local function number(what, options, name, default)
  local value = options[name]
  if value == nil then value = default end
  return check.kind(what .. ": " .. name, value, "number")
end

local function positive(what, options, name, default)
  local value = options[name]
  if value == nil then value = default end
  if type(value) ~= "number" or value <= 0 then
    check.fail("%s: %s is a number above 0, not %s", what, name, check.describe(value))
  end
  return value
end

-- A list of whole numbers that rise.
local function milestones_of(what, list)
  for i, m in ipairs(check.kind(what .. ": milestones", list, "table")) do
    if math.type(m) ~= "integer" or i > 1 and m < list[i - 1] then
      check.fail("%s: milestones are whole numbers that rise; number %d is %s", what, i, check.describe(m))
    end
  end
  return list
end

-- How many milestones t has reached.
local function reached(milestones, t)
  local n = 0
  while milestones[n + 1] and t >= milestones[n + 1] do n = n + 1 end
  return n
end

-- A schedule made for the same optimizer, to be used inside of another.
local function inner(what, optimizer, schedule)
  if getmetatable(schedule) ~= Schedule or schedule.optimizer ~= optimizer then
    check.fail("%s: takes schedules made for the same optimizer, not %s", what, check.describe(schedule))
  end
  return schedule
end

-- Puts back the rates that `schedule` found when it was made.
local function undo(optimizer, schedule)
  for i, group in ipairs(optimizer.param_groups) do group.lr = schedule.base_lrs[i] end
end

--- The rate times gamma (0.1) every step_size steps.
function schedules.StepLR(optimizer, ...)
  local o = settings("StepLR", {"step_size", "gamma"}, ...)
  local size, gamma = positive("StepLR", o, "step_size"), number("StepLR", o, "gamma", 0.1)
  return new("StepLR", optimizer, function(base, t) return base * gamma ^ (t // size) end)
end

--- The rate times gamma (0.1) at each of the steps in the list milestones.
function schedules.MultiStepLR(optimizer, milestones, ...)
  local o = settings("MultiStepLR", {"gamma"}, ...)
  milestones = milestones_of("MultiStepLR", milestones)
  local gamma = number("MultiStepLR", o, "gamma", 0.1)
  return new("MultiStepLR", optimizer, function(base, t) return base * gamma ^ reached(milestones, t) end)
end

--- The rate times gamma each step.
function schedules.ExponentialLR(optimizer, ...)
  local gamma = number("ExponentialLR", settings("ExponentialLR", {"gamma"}, ...), "gamma")
  return new("ExponentialLR", optimizer, function(base, t) return base * gamma ^ t end)
end

--- The rate times factor (1/3) for total_iters (5) steps, then the rate.
function schedules.ConstantLR(optimizer, ...)
  local o = settings("ConstantLR", {"factor", "total_iters"}, ...)
  local factor, total = number("ConstantLR", o, "factor", 1 / 3), number("ConstantLR", o, "total_iters", 5)
  return new("ConstantLR", optimizer, function(base, t) return t < total and base * factor or base end)
end

--- The rate times a factor that goes in a line from start_factor (1/3) to end_factor (1) in total_iters (5) steps.
function schedules.LinearLR(optimizer, ...)
  local o = settings("LinearLR", {"start_factor", "end_factor", "total_iters"}, ...)
  local from, to = number("LinearLR", o, "start_factor", 1 / 3), number("LinearLR", o, "end_factor", 1)
  local total = positive("LinearLR", o, "total_iters", 5)
  return new("LinearLR", optimizer, function(base, t) return base * (from + (to - from) * math.min(1, t / total)) end)
end

--- The rate times (1 - t / total_iters) ^ power, down to 0 in total_iters (5) steps; power 1.
function schedules.PolynomialLR(optimizer, ...)
  local o = settings("PolynomialLR", {"total_iters", "power"}, ...)
  local total, power = positive("PolynomialLR", o, "total_iters", 5), number("PolynomialLR", o, "power", 1)
  return new("PolynomialLR", optimizer, function(base, t) return base * (1 - math.min(1, t / total)) ^ power end)
end

--- From the rate down to eta_min (0) in T_max steps along half a cosine wave (Loshchilov and Hutter, 2017).
function schedules.CosineAnnealingLR(optimizer, ...)
  local o = settings("CosineAnnealingLR", {"T_max", "eta_min"}, ...)
  local T, low = positive("CosineAnnealingLR", o, "T_max"), number("CosineAnnealingLR", o, "eta_min", 0)
  return new("CosineAnnealingLR", optimizer, function(base, t)
    return low + (base - low) * (1 + math.cos(math.pi * t / T)) / 2
  end)
end

--- The same, begun again from the rate after T_0 steps, then after T_mult (1) times as many, and so on (SGDR, Loshchilov
--- and Hutter, 2017).
function schedules.CosineAnnealingWarmRestarts(optimizer, ...)
  local what = "CosineAnnealingWarmRestarts"
  local o = settings(what, {"T_0", "T_mult", "eta_min"}, ...)
  local T0, mult, low = positive(what, o, "T_0"), number(what, o, "T_mult", 1), number(what, o, "eta_min", 0)
  if mult < 1 then check.fail("%s: T_mult is 1 or more, not %s", what, mult) end
  return new(what, optimizer, function(base, t)
    local T = T0
    if mult == 1 then t = t % T end
    while t >= T do t, T = t - T, T * mult end
    return low + (base - low) * (1 + math.cos(math.pi * t / T)) / 2
  end)
end

--- Rises in a line from start_factor (0) times the rate to the rate in `steps` steps, then stays, or does what `after`
--- says: a schedule made for the same optimizer, whose own count begins when the rise is over.
function schedules.LinearWarmup(optimizer, ...)
  local o = settings("LinearWarmup", {"steps", "start_factor", "after"}, ...)
  local steps, from = positive("LinearWarmup", o, "steps"), number("LinearWarmup", o, "start_factor", 0)
  local after = o.after and inner("LinearWarmup", optimizer, o.after)
  if after then undo(optimizer, after) end
  return new("LinearWarmup", optimizer, function(base, t, group)
    if t < steps then return base * (from + (1 - from) * t / steps) end
    return after and after.rate(base, t - steps, group) or base
  end)
end

--- Schedules made for the same optimizer, one after the other: number i + 1 begins to count at step milestones[i].
function schedules.SequentialLR(optimizer, list, milestones)
  check.kind("SequentialLR: the schedules", list, "table")
  milestones = milestones_of("SequentialLR", milestones)
  if #list == 0 or #milestones ~= #list - 1 then
    check.fail("SequentialLR: %d schedules need %d milestones, not %d", #list, #list - 1, #milestones)
  end
  for i = #list, 1, -1 do undo(optimizer, inner("SequentialLR", optimizer, list[i])) end
  return new("SequentialLR", optimizer, function(base, t, group)
    local i = reached(milestones, t)
    return list[i + 1].rate(base, i > 0 and t - milestones[i] or t, group)
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

-- ---- what looks at a measure ----

local Plateau = setmetatable({__name = "neap.Schedule"}, {__index = Schedule})
Plateau.__index = Plateau

local plateau_settings = {"mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps"}

--- The rate times factor (0.1) when a measure has not become better for more than patience (10) steps: step(measure). mode:
--- "min" (a loss, the default) or "max"; better is what is better by threshold (1e-4), a share of the best or, with
--- threshold_mode "abs" instead of "rel", a difference; after a change it waits for cooldown (0) steps; never below min_lr
--- (0); a change smaller than eps (1e-8) is not made.
function schedules.ReduceLROnPlateau(optimizer, ...)
  local what = "ReduceLROnPlateau"
  local o = settings(what, plateau_settings, ...)
  local mode, relative = o.mode or "min", o.threshold_mode or "rel"
  if mode ~= "min" and mode ~= "max" then check.fail("%s: mode is 'min' or 'max', not %s", what, check.describe(mode)) end
  if relative ~= "rel" and relative ~= "abs" then
    check.fail("%s: threshold_mode is 'rel' or 'abs', not %s", what, check.describe(relative))
  end
  local self = new(what, optimizer, function(base) return base end)
  self.sign, self.relative = mode == "min" and 1 or -1, relative == "rel"
  self.factor, self.patience = positive(what, o, "factor", 0.1), number(what, o, "patience", 10)
  if self.factor >= 1 then check.fail("%s: factor is below 1, not %s", what, self.factor) end
  self.threshold, self.cooldown = number(what, o, "threshold", 1e-4), number(what, o, "cooldown", 0)
  self.min_lr, self.eps = number(what, o, "min_lr", 0), number(what, o, "eps", 1e-8)
  self.best, self.num_bad_epochs, self.cooldown_counter = self.sign * math.huge, 0, 0
  return setmetatable(self, Plateau)
end

local function is_better(self, measure)
  if math.abs(self.best) == math.huge then return measure == measure end
  local margin = self.relative and self.best * self.threshold or self.threshold
  return self.sign * measure < self.sign * self.best - margin
end

function Plateau:step(measure)
  check.kind("ReduceLROnPlateau:step: the measure", measure, "number")
  self.last_epoch = self.last_epoch + 1
  if is_better(self, measure) then
    self.best, self.num_bad_epochs = measure, 0
  else
    self.num_bad_epochs = self.num_bad_epochs + 1
  end
  if self.cooldown_counter > 0 then
    self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
  end
  if self.num_bad_epochs <= self.patience then return end
  for _, group in ipairs(self.optimizer.param_groups) do
    local lr = math.max(group.lr * self.factor, self.min_lr)
    if group.lr - lr > self.eps then group.lr = lr end
  end
  self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
end

local plateau_state = {"best", "num_bad_epochs", "cooldown_counter", "last_epoch"}

--- {best, num_bad_epochs, cooldown_counter, last_epoch, lrs = the present rates}.
function Plateau:state_dict()
  local state = {lrs = self:get_last_lr()}
  for _, name in ipairs(plateau_state) do state[name] = self[name] end
  return state
end

--- Goes on from a state_dict, and sets the rates it stands for.
function Plateau:load_state_dict(state)
  local groups = self.optimizer.param_groups
  if type(state) ~= "table" or type(state.lrs) ~= "table" or #state.lrs ~= #groups or not state.last_epoch then
    check.fail("%s:load_state_dict: the state is not that of a schedule over %d groups", self.what, #groups)
  end
  for _, name in ipairs(plateau_state) do self[name] = state[name] end
  for i, group in ipairs(groups) do group.lr = state.lrs[i] end
end

Plateau.__tostring = Schedule.__tostring

return check.named("optim.lr", schedules)
