-- optim: update rules. optim.NAME(parameters, options) is a row of C's rule table with PyTorch's face: parameter groups
-- whose settings can be read and set, and a state that can be saved. Schedules are in optim.lr.

local core = require "neap.core"
local check = require "neap.check"

local optim = {}

local slots = {
  SGD = { "momentum_buffer" },
  Adam = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" },
  AdamW = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" },
  RMSprop = { "square_avg", "grad_avg", "momentum_buffer" },
}
local settings = {
  SGD = { "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize" },
  Adam = { "lr", "beta1", "beta2", "eps", "weight_decay", "amsgrad", "maximize" },
  RMSprop = { "lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize" },
}
settings.AdamW = settings.Adam

local Optimizer = {}
Optimizer.__name = "neap.Optimizer"

-- betas = {a, b} is beta1 and beta2 in C.
local function split_betas(options)
  local out = {}
  for key, value in pairs(options) do out[key] = value end
  if out.betas then
    if type(out.betas) ~= "table" or #out.betas ~= 2 then check.fail("betas: takes a table of two numbers") end
    out.beta1, out.beta2, out.betas = out.betas[1], out.betas[2], nil
  end
  return out
end

-- A group as a table: its settings are those of C, `params` the list of its parameters.
local function group_face(core_optimizer, number)
  return setmetatable({}, {
    __index = function(_, key)
      if key == "betas" then return { core_optimizer:get(number, "beta1"), core_optimizer:get(number, "beta2") } end
      if key == "params" then
        local list = {}
        for i = 1, core_optimizer:group_size(number) do list[i] = core_optimizer:parameter(number, i) end
        return list
      end
      return core_optimizer:get(number, key)
    end,
    __newindex = function(_, key, value)
      if key == "betas" then
        core_optimizer:set(number, "beta1", value[1])
        core_optimizer:set(number, "beta2", value[2])
      else
        core_optimizer:set(number, key, value)
      end
    end,
  })
end

local function new(rule, params, options)
  local list = params
  if type(params) == "table" and type(params[1]) == "table" then
    list = {}
    for i, group in ipairs(params) do list[i] = split_betas(group) end
  end
  local c
  if options then c = core.rules[rule](list, split_betas(options)) else c = core.rules[rule](list) end
  local self = setmetatable({ core = c, rule = rule, param_groups = {} }, Optimizer)
  for g = 1, c:group_count() do self.param_groups[g] = group_face(c, g) end
  return self
end

-- optimizer.lr is the rate of the first group; set, it is that of all.
function Optimizer.__index(self, key)
  if key == "lr" then return self.param_groups[1].lr end
  return Optimizer[key]
end

function Optimizer.__newindex(self, key, value)
  if key ~= "lr" then return rawset(self, key, value) end
  for _, group in ipairs(self.param_groups) do group.lr = value end
end

--- One update of every parameter that has a gradient.
function Optimizer:step() self.core:step() end

--- Gradients become none.
function Optimizer:zero_grad() self.core:zero_grad() end

--- One more group: {params = {...}, lr = ...}.
function Optimizer:add_param_group(group)
  local options = split_betas(group)
  options.params = nil
  if next(options) then self.core:add(group.params, options) else self.core:add(group.params) end
  local g = self.core:group_count()
  self.param_groups[g] = group_face(self.core, g)
end

--- What is needed to go on later: {state = {one table a parameter}, param_groups = {settings of each group}}.
function Optimizer:state_dict()
  local out = { state = {}, param_groups = {} }
  for g = 1, self.core:group_count() do
    local group = { params = {} }
    for _, name in ipairs(settings[self.rule]) do group[name] = self.core:get(g, name) end
    for i = 1, self.core:group_size(g) do
      local one = { step = self.core:steps(g, i) }
      if one.step > 0 then
        for _, slot in ipairs(slots[self.rule]) do
          local value = self.core:state(g, i, slot)
          one[slot] = value and value:clone()
        end
      end
      out.state[#out.state + 1] = one
      group.params[i] = #out.state
    end
    out.param_groups[g] = group
  end
  return out
end

--- Takes up a state_dict of the same rule over parameters of the same shapes.
function Optimizer:load_state_dict(state)
  if type(state) ~= "table" or type(state.param_groups) ~= "table" or #state.param_groups ~= self.core:group_count() then
    check.fail("load_state_dict: the state has not the %d group(s) of this optimizer", self.core:group_count())
  end
  for g, group in ipairs(state.param_groups) do
    if #group.params ~= self.core:group_size(g) then
      check.fail("load_state_dict: group %d has %d parameters in the state and %d here", g, #group.params, self.core:group_size(g))
    end
  end
  for g, group in ipairs(state.param_groups) do
    for _, name in ipairs(settings[self.rule]) do
      if group[name] ~= nil then self.core:set(g, name, group[name]) end
    end
    for i, number in ipairs(group.params) do
      local one = state.state[number]
      self.core:steps(g, i, one.step)
      for _, slot in ipairs(slots[self.rule]) do
        if one[slot] then self.core:state(g, i, slot):copy_(one[slot]) end
      end
    end
  end
end

for rule in pairs(core.rules) do
  optim[rule] = function(params, options) return new(rule, params, options) end
end

optim.lr = require "neap.optim.schedules"
optim.lr_scheduler = optim.lr
for name, schedule in pairs(optim.lr) do optim[name] = optim[name] or schedule end

return optim
