-- wrap: optimizers around an optimizer: Lookahead, SAM. They have its face (param_groups, lr, zero_grad, schedules take them)
-- and add to what a step does.

local core = require "neap.core"
local check = require "neap.check"

local wrap = {}

-- A class whose instances have an optimizer, and its fields and methods where they have none of their own.
local function around(name)
  local class = {__name = name}
  function class:__index(key)
    local own = class[key]
    if own ~= nil then return own end
    local base = rawget(self, "optimizer")
    local value = base[key]
    if type(value) ~= "function" then return value end
    return function(_, ...) return value(base, ...) end
  end
  function class:__newindex(key, value) rawget(self, "optimizer")[key] = value end
  function class:__tostring() return ("%s(%s)"):format(name, tostring(rawget(self, "optimizer"))) end
  return class
end

local function each_parameter(optimizer, f)
  local n = 0
  for _, group in ipairs(optimizer.param_groups) do
    for _, parameter in ipairs(group.params) do
      n = n + 1
      f(parameter, n)
    end
  end
end

-- ---- Lookahead ----

local Lookahead = around "neap.Lookahead"

--- After every k (5) steps of the optimizer, slow weights go the share alpha (0.5) of the way to where it came, and it goes on
--- from there (Zhang et al., 2019). Options: k, alpha.
function wrap.Lookahead(optimizer, options)
  options = check.options("Lookahead", options, {"k", "alpha"})
  check.optimizer("Lookahead", optimizer)
  local k, alpha = options.k or 5, options.alpha or 0.5
  if math.type(k) ~= "integer" or k < 1 then check.fail("Lookahead: k is a whole number above 0, not %s", check.describe(k)) end
  if type(alpha) ~= "number" or alpha < 0 or alpha > 1 then
    check.fail("Lookahead: alpha is from 0 to 1, not %s", check.describe(alpha))
  end
  local self = {optimizer = optimizer, k = k, alpha = alpha, steps_taken = 0, slow = {}}
  each_parameter(optimizer, function(parameter, i) self.slow[i] = parameter:detach():clone() end) -- in the order of the groups
  return setmetatable(self, Lookahead)
end

-- What joined the optimizer inside without the wrapper's knowing begins where it is now.
local function slow_of(self, parameter, i)
  self.slow[i] = self.slow[i] or parameter:detach():clone()
  return self.slow[i]
end

--- One more group, as the optimizer inside takes it; its slow weights begin where it is.
function Lookahead:add_param_group(group)
  self.optimizer:add_param_group(group)
  each_parameter(self.optimizer, function(parameter, i) slow_of(self, parameter, i) end)
end

--- A step of the optimizer inside, with a closure or without; every k-th time the slow weights follow.
function Lookahead:step(closure)
  local loss = self.optimizer:step(closure)
  rawset(self, "steps_taken", self.steps_taken + 1)
  if self.steps_taken % self.k == 0 then
    local _ <close> = core.no_grad()
    each_parameter(self.optimizer, function(parameter, i)
      parameter:copy_(slow_of(self, parameter, i):lerp_(parameter:detach(), self.alpha))
    end)
  end
  return loss
end

--- That of the optimizer inside, with slow (the slow weights, in order) and steps_taken.
function Lookahead:state_dict()
  local state = self.optimizer:state_dict()
  state.slow, state.steps_taken = {}, self.steps_taken
  for i, tensor in ipairs(self.slow) do state.slow[i] = tensor:clone() end
  return state
end

--- Goes on from a state_dict.
function Lookahead:load_state_dict(state)
  if type(state) ~= "table" or type(state.slow) ~= "table" or #state.slow ~= #self.slow or not state.steps_taken then
    check.fail("Lookahead:load_state_dict: the state is not that of a Lookahead over %d parameters", #self.slow)
  end
  self.optimizer:load_state_dict(state)
  rawset(self, "steps_taken", state.steps_taken)
  for i, tensor in ipairs(self.slow) do tensor:copy_(state.slow[i]) end
end

-- ---- SAM ----

local SAM = around "neap.SAM"

--- Sharpness-aware minimisation (Foret et al., 2021): the gradient is taken where the loss is greatest within rho (0.05) of the
--- weights. With adaptive = true the neighbourhood is in proportion to each weight (Kwon et al., 2021). Either
--- sam:step(closure), which calls it twice, or by hand: backward, sam:first_step(true), backward again, sam:second_step(true).
function wrap.SAM(optimizer, options)
  options = check.options("SAM", options, {"rho", "adaptive"})
  check.optimizer("SAM", optimizer)
  local rho = options.rho or 0.05
  if type(rho) ~= "number" or rho < 0 then check.fail("SAM: rho is a number from 0 on, not %s", check.describe(rho)) end
  return setmetatable({optimizer = optimizer, rho = rho, adaptive = options.adaptive or false, before = {}}, SAM)
end

-- Where the gradient points, as the neighbourhood measures it.
local function direction(self, parameter)
  return self.adaptive and parameter:detach():abs() * parameter.grad or parameter.grad
end

--- Goes up to where the loss is greatest; remembers the weights. clear: drops the gradients then.
function SAM:first_step(clear)
  if next(self.before) then check.fail "SAM:first_step: the last one has had no second_step" end
  local _ <close> = core.no_grad()
  local squares = 0
  each_parameter(self.optimizer, function(parameter)
    if parameter.grad then squares = squares + direction(self, parameter):norm():item() ^ 2 end
  end)
  local scale = self.rho / (math.sqrt(squares) + 1e-12)
  each_parameter(self.optimizer, function(parameter, i)
    if not parameter.grad then return end
    self.before[i] = parameter:detach():clone()
    local up = direction(self, parameter)
    if self.adaptive then up = up * self.before[i]:abs() end
    parameter:add_(up * scale)
  end)
  if clear then self.optimizer:zero_grad() end
end

--- Back to the weights, and a step of the optimizer with the gradient found above. clear: drops the gradients then.
function SAM:second_step(clear)
  if not next(self.before) then check.fail "SAM:second_step: there was no first_step, or no gradient" end
  local _ <close> = core.no_grad()
  each_parameter(self.optimizer, function(parameter, i)
    if self.before[i] then parameter:copy_(self.before[i]) end
  end)
  rawset(self, "before", {})
  self.optimizer:step()
  if clear then self.optimizer:zero_grad() end
end

--- Both steps. closure: a function that clears the gradients, computes the loss, walks it back and returns it. Returns the
--- loss at the weights.
function SAM:step(closure)
  check.kind("SAM:step: the closure", closure, "function")
  local loss = core.enable_grad(closure)
  self:first_step()
  core.enable_grad(closure)
  self:second_step()
  return loss
end

return wrap
