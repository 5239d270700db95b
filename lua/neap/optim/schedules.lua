-- schedules: learning rates that change with time. A schedule knows each group's rate at its start and a function of the
-- number of steps taken; step() moves on by one and sets the rates, so the rate depends on the count alone and a loaded
-- schedule goes on where it was. A group that joins the optimizer later keeps its rate. Whether a step is an epoch or a
-- batch is up to whoever calls it. The formulas are C's (the rows of core.schedule_rows); here they meet optimizers and
-- each other.

local core = require "neap.core"
local check = require "neap.check"
local number_of = require "neap.train.measure"

local Schedule = {__name = "neap.Schedule"}
Schedule.__index = Schedule

-- Hands a rate, and a momentum where there is one, to a group.
local function give(self, group, rate, momentum)
  group.lr = rate
  if momentum and self.momentum then group.momentum = momentum
  elseif momentum then group.betas = {momentum, group.betas[2]} end
end

-- Goes over the groups that were there when the schedule was made.
local function scheduled(self)
  return ipairs(table.move(self.optimizer.param_groups, 1, #self.base_lrs, 1, {}))
end

local function set(self)
  for i, group in scheduled(self) do give(self, group, self.rate(self.base_lrs[i], self.last_epoch, i)) end
end

-- Whether groups of the optimizer have a setting of that name.
local function has(optimizer, setting)
  for name in pairs(optimizer.param_groups[1]) do
    if name == setting then return true end
  end
  return false
end

-- rate(base, t, group): a group's learning rate after t steps, and its momentum or nil.
local function new(what, optimizer, rate)
  check.optimizer(what, optimizer)
  local self = setmetatable({optimizer = optimizer, rate = rate, last_epoch = 0, base_lrs = {}, what = what}, Schedule)
  self.momentum = has(optimizer, "momentum")
  for i, group in ipairs(optimizer.param_groups) do self.base_lrs[i] = group.lr end
  set(self)
  return self
end

Schedule.counts = true -- step() takes no measure

--- One step on, or to step number `epoch`, which for formulas of C may have a fraction: sets the learning rates.
function Schedule:step(epoch)
  if epoch ~= nil then
    if math.type(epoch) ~= "integer" and not (self.fractions and type(epoch) == "number") or epoch < 0 then
      check.fail("%s:step: epoch is a %s from 0 on, not %s", self.what, self.fractions and "number" or "whole number", check.describe(epoch))
    end
    epoch = math.tointeger(epoch) or epoch
  end
  self.last_epoch = epoch or self.last_epoch + 1
  set(self)
end

local function no_epoch(self, epoch)
  if epoch ~= nil then check.fail("%s:step: takes no epoch, it goes on from the rates it finds", self.what) end
end

--- A list of the present learning rates, one a group.
function Schedule:get_last_lr()
  local rates = {}
  for i, group in ipairs(self.optimizer.param_groups) do rates[i] = group.lr end
  return rates
end

local function copied(list) return table.move(list, 1, #list, 1, {}) end

--- {last_epoch = steps taken, base_lrs = rates at the start}.
function Schedule:state_dict()
  return {last_epoch = self.last_epoch, base_lrs = copied(self.base_lrs)}
end

-- Raises unless the state has a count and the list of that name for each group.
local function check_state(self, state, list)
  local n = #self.base_lrs
  if type(state) ~= "table" or not state.last_epoch or type(state[list]) ~= "table" or #state[list] ~= n then
    check.fail("%s:load_state_dict: the state is not that of a schedule over %d groups", self.what, n)
  end
end

--- Goes on from a state_dict, and sets the rates it stands for.
function Schedule:load_state_dict(state)
  check_state(self, state, "base_lrs")
  self.last_epoch, self.base_lrs = state.last_epoch, copied(state.base_lrs)
  set(self)
end

function Schedule:__tostring()
  return ("%s(step %d)"):format(self.what, self.last_epoch)
end

-- A schedule that goes on from the rates that it finds: they belong to its state. fields: what else does.
local function running(fields)
  local class = setmetatable({__name = "neap.Schedule", __tostring = Schedule.__tostring}, {__index = Schedule})
  class.__index = class

  function class:state_dict()
    local lrs = table.move(self:get_last_lr(), 1, #self.base_lrs, 1, {})
    local state = {last_epoch = self.last_epoch, base_lrs = copied(self.base_lrs), lrs = lrs}
    for _, name in ipairs(fields) do state[name] = self[name] end
    return state
  end

  function class:load_state_dict(state)
    check_state(self, state, "lrs")
    self.last_epoch, self.base_lrs = state.last_epoch, copied(state.base_lrs or self.base_lrs)
    for _, name in ipairs(fields) do self[name] = state[name] end
    for i, group in scheduled(self) do group.lr = state.lrs[i] end
  end

  return class
end

-- The rate, and momentum, that follow `lr` at a schedule's step t. What C's rows say is a + b times the first rate, so that lr
-- tells which first rate it stands for; at step 0 lr is that itself. Where b was 0 it does not tell, and a cosine rises from lr.
local function follow(schedule, lr, t, g)
  local now, momentum = schedule.rate(schedule.base_lrs[g], t, g)
  if schedule.absolute then return now, momentum end
  local a, low, high = schedule.rate(0, t, g), 0, 1
  if t > 0 then low, high = schedule.rate(0, t - 1, g), schedule.rate(1, t - 1, g) end
  if low == high then return schedule.rises and lr + now - low or now, momentum end
  return a + (schedule.rate(1, t, g) - a) * (lr - low) / (high - low), momentum
end

local schedules = {}

-- ---- settings ----

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

-- The settings of each group: a list in place of a number has one for each.
local function by_group(row, optimizer, given)
  local each, n = {}, #optimizer.param_groups
  for g = 1, n do each[g] = {} end
  for _, param in ipairs(row.params) do
    local value = given[param.name]
    local listed = type(value) == "table" and param.kind == "number"
    if listed and #value ~= n then
      check.fail("%s: %s has %d numbers for %d groups", row.name, param.name, #value, n)
    end
    for g = 1, n do
      if listed then each[g][param.name] = value[g] else each[g][param.name] = value end
    end
  end
  return each
end

local rows = {}
for _, row in ipairs(core.schedule_rows()) do
  rows[row.name] = row
  row.names = {}
  for i, param in ipairs(row.params) do row.names[i] = param.name end
end

-- A row's rate for given settings.
local function rate_of(row, optimizer, given)
  check.optimizer(row.name, optimizer)
  local each = by_group(row, optimizer, given)
  return function(base, t, g) return core.schedule_at(row.name, base, t, each[g]) end
end

-- Where a setting is a number, a list gives one for each group.
for name, row in pairs(rows) do
  schedules[name] = function(optimizer, ...)
    local self = new(name, optimizer, rate_of(row, optimizer, settings(name, row.names, ...)))
    self.fractions = true
    return self
  end
end

-- What PyTorch's chains do with them: rises from where it is; is the same whatever the rate.
for name, mark in pairs{CosineAnnealingLR = "rises", CosineAnnealingWarmRestarts = "absolute"} do
  local plain = schedules[name]
  schedules[name] = function(...)
    local self = plain(...)
    self[mark] = true
    return self
  end
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

-- ---- schedules that move momentum ----

local function check_momentum(what, optimizer, given)
  check.optimizer(what, optimizer)
  if given.cycle_momentum ~= false and not has(optimizer, "momentum") and not has(optimizer, "betas") then
    check.fail("%s: %s has neither momentum nor betas: {cycle_momentum = false} leaves them out", what, optimizer:name())
  end
end

function schedules.OneCycleLR(optimizer, ...)
  local given = settings("OneCycleLR", rows.OneCycleLR.names, ...)
  check_momentum("OneCycleLR", optimizer, given)
  return new("OneCycleLR", optimizer, rate_of(rows.OneCycleLR, optimizer, given))
end

-- Scales the heights of a triangular cycle by f of the cycle's number, from 1, or of the step.
local function scaled(rate, each, f, by_step)
  return function(base, t, g)
    local lr, momentum = rate(base, t, g)
    local o = each[g]
    local size = o.step_size_up + (o.step_size_down or o.step_size_up)
    local k = f(by_step and t or t // size + 1)
    local most = o.max_momentum or 0.9
    return o.base_lr + (lr - o.base_lr) * k, momentum and most - (most - momentum) * k
  end
end

local cyclic_names = {table.unpack(rows.CyclicLR.names)}
table.move({"scale_fn", "scale_mode"}, 1, 2, #cyclic_names + 1, cyclic_names)

--- In Lua also scale_fn, a function of the cycle's number from 1, or with scale_mode = "iterations" of the step: the height is
--- multiplied by it.
function schedules.CyclicLR(optimizer, ...)
  local given = settings("CyclicLR", cyclic_names, ...)
  check_momentum("CyclicLR", optimizer, given)
  local rate, f = rate_of(rows.CyclicLR, optimizer, given), given.scale_fn
  if f then
    check.kind("CyclicLR: scale_fn", f, "function")
    local mode = given.scale_mode or "cycle"
    if mode ~= "cycle" and mode ~= "iterations" then
      check.fail("CyclicLR: scale_mode is 'cycle' or 'iterations', not %s", check.describe(mode))
    end
    given.mode, given.step_size_up = "triangular", given.step_size_up or 2000
    rate = scaled(rate_of(rows.CyclicLR, optimizer, given), by_group(rows.CyclicLR, optimizer, given), f, mode == "iterations")
  end
  return new("CyclicLR", optimizer, rate)
end

-- ---- schedules of schedules, and of functions ----

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

local function check_list(what, list)
  check.kind(what .. ": the schedules", list, "table")
  if #list == 0 then check.fail("%s: the list of schedules is empty", what) end
end

-- How many milestones t has reached.
local function reached(milestones, t)
  local n = 0
  while milestones[n + 1] and t >= milestones[n + 1] do n = n + 1 end
  return n
end

local warmup_names = {table.unpack(rows.LinearWarmup.names)}
warmup_names[#warmup_names + 1] = "after"

--- In Lua also after, a schedule made for the same optimizer, whose own count begins when the rise is over.
function schedules.LinearWarmup(optimizer, ...)
  local given = settings("LinearWarmup", warmup_names, ...)
  local after = given.after and inner("LinearWarmup", optimizer, given.after)
  if after then undo(optimizer, after) end
  local rise = rate_of(rows.LinearWarmup, optimizer, given)
  return new("LinearWarmup", optimizer, function(base, t, g)
    if after and t >= given.steps then return after.rate(base, t - given.steps, g) end
    return rise(base, t, g)
  end)
end

--- Schedules made for the same optimizer, one after the other: number i + 1 begins to count at step milestones[i]. The two
--- may come in a table: {schedulers = list, milestones = milestones}.
function schedules.SequentialLR(optimizer, list, milestones)
  if type(list) == "table" and #list == 0 and milestones == nil then
    local given = check.options("SequentialLR", list, {"schedulers", "milestones"})
    list, milestones = given.schedulers or list, given.milestones
  end
  check_list("SequentialLR", list)
  milestones = milestones_of("SequentialLR", milestones)
  if #milestones ~= #list - 1 then
    check.fail("SequentialLR: %d schedules need %d milestones, not %d", #list, #list - 1, #milestones)
  end
  for i = #list, 1, -1 do undo(optimizer, inner("SequentialLR", optimizer, list[i])) end
  local function rate(base, t, group)
    local i = reached(milestones, t)
    if i == 0 then return list[1].rate(base, t, group) end
    local next_one = list[i + 1]
    if next_one.goes_on then base = next_one.goes_on(rate(base, milestones[i] - 1, group), group) end
    return next_one.rate(base, t - milestones[i], group)
  end
  return new("SequentialLR", optimizer, rate)
end

-- What LambdaLR and MultiplicativeLR multiply with, from a function of the number of steps or a list of them, one a group;
-- or from {lr_lambda = either}. Returns f(t, group) -> a number.
local function factors(what, optimizer, f, ...)
  check.optimizer(what, optimizer)
  if type(f) == "table" and #f == 0 and getmetatable(f) == nil then f = check.options(what, f, {"lr_lambda"}).lr_lambda end
  if select("#", ...) > 0 then check.fail("%s: takes an optimizer and lr_lambda, no more", what) end
  local n, listed = #optimizer.param_groups, type(f) == "table"
  if listed and #f ~= n then check.fail("%s: %d functions for %d groups; one for all goes without a list", what, #f, n) end
  for g, one in ipairs(listed and f or {f or false}) do
    if type(one) ~= "function" then
      check.fail("%s: takes a function of the number of steps, or a list of them, one a group; %s%s", what,
        listed and ("number %d is "):format(g) or "not ", check.describe(one or nil))
    end
  end
  return function(t, group)
    local factor = (listed and f[group] or f)(t)
    return number_of(("%s: what the function%s returns for step %d"):format(what, listed and " of group " .. group or "", t), factor)
  end
end

--- The rate times f(t) after t steps: any function, or a list of functions, one a group; also as {lr_lambda = f}.
function schedules.LambdaLR(optimizer, lr_lambda, ...)
  local factor = factors("LambdaLR", optimizer, lr_lambda, ...)
  local self = new("LambdaLR", optimizer, function(base, t, group) return base * factor(t, group) end)
  self.absolute = true
  return self
end

--- The rate times f(t) at each step t: any function, or a list of functions, one a group; also as {lr_lambda = f}.
function schedules.MultiplicativeLR(optimizer, lr_lambda, ...)
  local factor, products = factors("MultiplicativeLR", optimizer, lr_lambda, ...), {}
  local self = new("MultiplicativeLR", optimizer, function(base, t, group)
    local past = products[group] or {[0] = 1}
    products[group] = past
    for k = #past + 1, t do past[k] = past[k - 1] * factor(k, group) end
    return base * past[t]
  end)
  self.goes_on = function(lr, group) return lr * factor(0, group) end -- in a sequence: its base from the rate in force
  return self
end

local Chain = running{}

--- Schedules made for the same optimizer, each of which changes what the one before it says: list is a list of them.
function schedules.ChainedScheduler(list, optimizer)
  check_list("ChainedScheduler", list)
  optimizer = optimizer or type(list[1]) == "table" and list[1].optimizer or nil
  check.optimizer("ChainedScheduler", optimizer)
  for i = #list, 1, -1 do undo(optimizer, inner("ChainedScheduler", optimizer, list[i])) end
  local self = new("ChainedScheduler", optimizer, function(base) return base end)
  self.schedules = copied(list)
  for _, schedule in ipairs(list) do schedule.base_lrs = self.base_lrs end
  self = setmetatable(self, Chain)
  self:apply()
  return self
end

-- Sets the rates of the present step, from those of the one before.
function Chain:apply()
  for g, group in scheduled(self) do
    for _, schedule in ipairs(self.schedules) do
      give(schedule, group, follow(schedule, group.lr, self.last_epoch, g))
    end
  end
end

function Chain:step(epoch)
  no_epoch(self, epoch)
  self.last_epoch = self.last_epoch + 1
  self:apply()
end

-- ---- what goes on from the rates that it finds ----

local Swa = running{}
local plain_swa = schedules.SWALR

function schedules.SWALR(...)
  return setmetatable(plain_swa(...), Swa)
end

function Swa:step(epoch)
  no_epoch(self, epoch)
  self.last_epoch = self.last_epoch + 1
  for g, group in scheduled(self) do group.lr = follow(self, group.lr, self.last_epoch, g) end
end

local Plateau = running{"best", "num_bad_epochs", "cooldown_counter"}
Plateau.counts = false

function schedules.ReduceLROnPlateau(optimizer, ...)
  local row = rows.ReduceLROnPlateau
  local given = settings(row.name, row.names, ...)
  local reduced = rate_of(row, optimizer, given)
  local self = new(row.name, optimizer, function(base, _, g) return reduced(base, 0, g) end) -- t would be reductions
  self.settings, self.reduced, self.num_bad_epochs, self.cooldown_counter = by_group(row, optimizer, given)[1], reduced, 0, 0
  return setmetatable(self, Plateau)
end

--- One step on: takes the measure, a number or a tensor of one element.
function Plateau:step(measure)
  measure = number_of("ReduceLROnPlateau:step: the measure", measure)
  self.last_epoch = self.last_epoch + 1
  local reduce
  reduce, self.best, self.num_bad_epochs, self.cooldown_counter =
    core.plateau_step(measure, self.best, self.num_bad_epochs, self.cooldown_counter, self.settings)
  if not reduce then return end
  for g, group in scheduled(self) do group.lr = self.reduced(group.lr, 1, g) end
end

return check.named("optim.lr", schedules)
