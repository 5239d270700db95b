-- stop: the end of a training whose measure no longer gets better.

local check = require "neap.check"
local number_of = require "neap.train.measure"

local EarlyStopping = {__name = "neap.EarlyStopping"}
EarlyStopping.__index = EarlyStopping

local stop = {}

--- Says when to stop: stopping:step(measure) returns true when the measure has not become better by more than min_delta (0) for
--- patience (10) steps. Options: patience, min_delta, mode ("min", for a loss, or "max"), model, whose weights at the best
--- measure stopping:restore() brings back. Fields: best, best_step, steps, bad_steps, stopped, mode.
function stop.EarlyStopping(options)
  options = check.options("train.EarlyStopping", options, {"patience", "min_delta", "mode", "model"})
  local patience, delta, mode = options.patience or 10, options.min_delta or 0, options.mode or "min"
  if math.type(patience) ~= "integer" or patience < 1 then
    check.fail("train.EarlyStopping: patience is a whole number above 0, not %s", check.describe(patience))
  end
  if type(delta) ~= "number" or delta < 0 then
    check.fail("train.EarlyStopping: min_delta is a number from 0 on, not %s", check.describe(delta))
  end
  if mode ~= "min" and mode ~= "max" then
    check.fail("train.EarlyStopping: mode is 'min' or 'max', not %s", check.describe(mode))
  end
  return setmetatable({
    patience = patience, min_delta = delta, mode = mode, sign = mode == "min" and 1 or -1, model = options.model,
    steps = 0, bad_steps = 0, stopped = false,
  }, EarlyStopping)
end

local function keep(self)
  if not self.model then return end
  self.kept = {}
  for name, tensor in pairs(self.model:state_dict()) do self.kept[name] = tensor:clone() end
end

--- One more measure, a number or a tensor of one element; returns whether it is time to stop. NaN is not better.
function EarlyStopping:step(measure)
  measure = number_of("EarlyStopping:step: the measure", measure)
  self.steps = self.steps + 1
  if measure == measure and (not self.best or self.sign * measure < self.sign * self.best - self.min_delta) then
    self.best, self.best_step, self.bad_steps = measure, self.steps, 0
    keep(self)
  else
    self.bad_steps = self.bad_steps + 1
  end
  self.stopped = self.bad_steps >= self.patience
  return self.stopped
end

--- Gives the model the weights that it had at the best measure.
function EarlyStopping:restore()
  if not self.kept then check.fail "EarlyStopping:restore: nothing is kept; give the model: EarlyStopping{model = m}" end
  self.model:load_state_dict(self.kept)
end

local fields = {"steps", "bad_steps", "best", "best_step", "stopped"}

--- What goes on later from here; without the model's weights.
function EarlyStopping:state_dict()
  local state = {}
  for _, name in ipairs(fields) do state[name] = self[name] end
  return state
end

--- Goes on from a state_dict.
function EarlyStopping:load_state_dict(state)
  if type(state) ~= "table" or math.type(state.steps) ~= "integer" then
    check.fail "EarlyStopping:load_state_dict: this is no state of an EarlyStopping"
  end
  for _, name in ipairs(fields) do self[name] = state[name] end
end

return stop
