-- optim: update rules. optim.NAME(parameters, options) is a row of C's rule table; from here it has PyTorch's face:
-- parameter groups whose settings are read and set as fields, and a state that goes into a file. Schedules are in
-- optim.lr. `betas = {a, b}` stands for C's beta1 and beta2, everywhere.

local core = require "neap.core"
local check = require "neap.check"

local optim = {}
local methods, meta = core.optimizer_methods, core.optimizer_meta

local rows = {} -- by name: settings and slots, as lists of names
for _, row in ipairs(core.rule_rows()) do
  local settings = {}
  for i, param in ipairs(row.params) do settings[i] = param.name end
  rows[row.name] = {settings = settings, slots = row.slots}
end

-- Options as C takes them.
local function for_c(what, options)
  if options == nil then return nil end
  if type(options) ~= "table" then
    check.fail("%s: options are a table, as in {lr = 0.1}, not %s", what, check.describe(options))
  end
  local out, betas = {}, options.betas
  for key, value in pairs(options) do
    if key ~= "betas" then out[key] = value end
  end
  if betas ~= nil then
    if type(betas) ~= "table" or #betas ~= 2 then
      check.fail("%s: betas is a list of two numbers, not %s", what, check.describe(betas))
    end
    out.beta1, out.beta2 = betas[1], betas[2]
  end
  return out
end

-- The first argument of a rule: tensors, or groups.
local function parameters(what, list)
  if type(list) ~= "table" then
    check.fail("%s: takes a list of parameters, such as model:parameters(), not %s", what, check.describe(list))
  end
  if #list == 0 then check.fail("%s: there are no parameters in the list", what) end
  if type(list[1]) ~= "table" then return list end
  local groups = {}
  for i, group in ipairs(list) do
    if type(group) ~= "table" or type(group.params) ~= "table" then
      check.fail("%s: group %d is not of the form {params = {...}, lr = ...}", what, i)
    end
    groups[i] = for_c(what, group)
  end
  return groups
end

for name, rule in pairs(core.rules) do
  optim[name] = function(list, options) return rule(parameters(name, list), for_c(name, options)) end
end

-- ---- groups ----

local Group = {__name = "neap.ParameterGroup"}
local HOME = {} -- the key of a group's optimizer and number

function Group:__index(key)
  local optimizer, g = self[HOME][1], self[HOME][2]
  if key == "betas" then return {optimizer:get(g, "beta1"), optimizer:get(g, "beta2")} end
  if key ~= "params" then return optimizer:get(g, key) end
  local list = {}
  for i = 1, optimizer:group_size(g) do list[i] = optimizer:parameter(g, i) end
  return list
end

function Group:__newindex(key, value)
  local optimizer, g = self[HOME][1], self[HOME][2]
  if key == "params" then check.fail "a group's parameters stay what they are; add a group for more" end
  if key == "betas" then
    local both = for_c("betas", {betas = value})
    optimizer:set(g, "beta1", both.beta1)
    optimizer:set(g, "beta2", both.beta2)
  else
    optimizer:set(g, key, value)
  end
end

-- Settings, and params, by name.
function Group:__pairs()
  local optimizer = self[HOME][1]
  local names = {"params", table.unpack(rows[optimizer:name()].settings)}
  local i = 0
  return function()
    i = i + 1
    if names[i] then return names[i], self[names[i]] end
  end
end

local function groups(optimizer)
  local list = {}
  for g = 1, optimizer:group_count() do list[g] = setmetatable({[HOME] = {optimizer, g}}, Group) end
  return list
end

-- ---- what an optimizer is for Lua ----

--- Fields: param_groups, a list; lr, the learning rate of the first group, and set, that of all.
function meta.__index(self, key)
  local method = methods[key]
  if method then return method end
  if key == "param_groups" then return groups(self) end
  if key == "lr" then return self:get(1, "lr") end
  return nil
end

function meta.__newindex(self, key, value)
  if key ~= "lr" then
    check.fail("%s: '%s' cannot be set here; settings are in param_groups", self:name(), tostring(key))
  end
  for g = 1, self:group_count() do self:set(g, "lr", value) end
end

function meta.__tostring(self)
  local lines = {}
  for g = 1, self:group_count() do
    local parts = {}
    for _, name in ipairs(rows[self:name()].settings) do
      parts[#parts + 1] = ("%s = %s"):format(name, self:get(g, name))
    end
    lines[g] = ("\n  group %d: %d parameters, %s"):format(g, self:group_size(g), table.concat(parts, ", "))
  end
  return self:name() .. "(" .. table.concat(lines) .. "\n)"
end

--- One more group: {params = {...}, lr = ...}; settings that are absent have the rule's defaults.
function methods:add_param_group(group)
  local list = parameters(self:name(), {group})
  self:add(list)
end

--- What goes on later from here: {state = a table for each parameter, param_groups = the settings of each group and the
--- numbers of its parameters}. The tensors are copies.
function methods:state_dict()
  local row, out = rows[self:name()], {state = {}, param_groups = {}}
  for g = 1, self:group_count() do
    local group = {params = {}}
    for _, name in ipairs(row.settings) do group[name] = self:get(g, name) end
    for i = 1, self:group_size(g) do
      local one = {step = self:steps(g, i)}
      for _, slot in ipairs(row.slots) do
        local tensor = self:state(g, i, slot)
        one[slot] = tensor and tensor:clone()
      end
      out.state[#out.state + 1] = one
      group.params[i] = #out.state
    end
    out.param_groups[g] = group
  end
  return out
end

-- Raises unless the state's groups are like the optimizer's, and its tensors like their parameters.
local function fits(self, state)
  local what = self:name() .. ":load_state_dict"
  if type(state) ~= "table" or type(state.param_groups) ~= "table" or type(state.state) ~= "table" then
    check.fail("%s: a state has the tables state and param_groups", what)
  end
  if #state.param_groups ~= self:group_count() then
    check.fail("%s: the state has %d groups, the optimizer %d", what, #state.param_groups, self:group_count())
  end
  for g, group in ipairs(state.param_groups) do
    local n = type(group) == "table" and type(group.params) == "table" and #group.params or 0
    if n ~= self:group_size(g) then
      check.fail("%s: group %d has %d parameters in the state, %d in the optimizer", what, g, n, self:group_size(g))
    end
    for i, number in ipairs(group.params) do
      local one, parameter = state.state[number], self:parameter(g, i)
      if type(one) ~= "table" or math.type(one.step) ~= "integer" then
        check.fail("%s: parameter %d of group %d has no state", what, i, g)
      end
      for _, slot in ipairs(rows[self:name()].slots) do
        if one[slot] and one[slot].shape ~= parameter.shape then
          check.fail("%s: %s of parameter %d of group %d is %s, the parameter is %s", what, slot, i, g,
            tostring(one[slot].shape), tostring(parameter.shape))
        end
      end
    end
  end
end

--- Goes on from a state_dict of the same rule over parameters of the same shapes: settings, counts and state.
function methods:load_state_dict(state)
  fits(self, state)
  local row = rows[self:name()]
  for g, group in ipairs(state.param_groups) do
    for _, name in ipairs(row.settings) do
      if group[name] ~= nil then self:set(g, name, group[name]) end
    end
    for i, number in ipairs(group.params) do
      local one = state.state[number]
      self:steps(g, i, one.step)
      for _, slot in ipairs(row.slots) do
        local tensor = one[slot] and self:state(g, i, slot)
        if tensor then tensor:copy_(one[slot]) end
      end
    end
  end
end

optim.lr = require "neap.optim.schedules"
optim.lr_scheduler = optim.lr -- PyTorch's name
for name, schedule in pairs(optim.lr) do optim[name] = schedule end

return check.named("optim", optim, "^%u")
