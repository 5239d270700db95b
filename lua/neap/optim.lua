-- optim: update rules. optim.NAME(parameters, options) is a row of C's rule table; from here it has PyTorch's face:
-- parameter groups whose settings are read and set as fields, and a state that goes into a file. Schedules are in
-- optim.lr.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local settings = require "neap.optim.settings"
local measure = require "neap.train.measure"
require "neap.optim.state"

local optim = {}
local methods, meta = core.optimizer_methods, core.optimizer_meta
local rows, for_c, take_list = settings.rows, settings.for_c, settings.take_list

-- What an optimizer knows in Lua alone: options, the constructor's, for groups that come later; names, by group.
local known = setmetatable({}, {__mode = "k"})

local function known_of(optimizer)
  known[optimizer] = known[optimizer] or {names = {}}
  return known[optimizer]
end

local function group_text(g, name) return name and ("group %d ('%s')"):format(g, name) or ("group %d"):format(g) end

-- Raises where a parameter occurs twice. met: where each that is already there stands.
local function check_once(what, list, g, name, met)
  for i, parameter in ipairs(list) do
    if met[parameter] then
      check.fail("%s: parameter %d of %s is already being optimized, as %s", what, i, group_text(g, name), met[parameter])
    end
    met[parameter] = ("parameter %d of %s"):format(i, group_text(g, name))
  end
end

-- Group number g as C takes it, and its name.
local function read_group(what, group, g, met)
  local params = type(group) == "table" and group.params
  if core.is_tensor(params) then params = {params} end
  if type(params) ~= "table" then check.fail("%s: group %d is not of the form {params = {...}, lr = ...}", what, g) end
  local own, name = {}, group.name
  for key, value in pairs(group) do
    if key ~= "name" then own[key] = value end
  end
  if name ~= nil then check.kind(("%s: the name of group %d"):format(what, g), name, "string") end
  own.params = params
  check_once(what, params, g, name, met)
  return for_c(what, own), name
end

-- The first argument of a rule: tensors, or groups. Returns it as C takes it, and names of groups.
local function parameters(what, list)
  if type(list) ~= "table" then
    check.fail("%s: takes a list of parameters, such as model:parameters(), not %s", what, check.describe(list))
  end
  if #list == 0 then check.fail("%s: there are no parameters in the list", what) end
  local met, groups, names = {}, {}, {}
  if type(list[1]) ~= "table" then
    check_once(what, list, 1, nil, met)
    return list, names
  end
  for g, group in ipairs(list) do groups[g], names[g] = read_group(what, group, g, met) end
  return groups, names
end

for name, rule in pairs(core.rules) do
  optim[name] = function(list, options)
    local given, names = parameters(name, list)
    options = for_c(name, options)
    local optimizer = rule(given, options)
    known[optimizer] = {options = options, names = names}
    return optimizer
  end
end

-- ---- groups ----

local Group = {__name = "neap.ParameterGroup"}
local HOME = {} -- the key of a group's optimizer and number

function Group:__index(key)
  local optimizer, g = self[HOME][1], self[HOME][2]
  local parts = rows[optimizer:name()].lists[key]
  if parts then
    local values = {}
    for i, part in ipairs(parts) do values[i] = optimizer:get(g, part) end
    return values
  end
  if key == "name" then return known_of(optimizer).names[g] end
  if key ~= "params" then return optimizer:get(g, key) end
  local list = {}
  for i = 1, optimizer:group_size(g) do list[i] = optimizer:parameter(g, i) end
  return list
end

function Group:__newindex(key, value)
  local optimizer, g = self[HOME][1], self[HOME][2]
  local what = optimizer:name()
  if key == "params" then check.fail "a group's parameters stay what they are; add a group for more" end
  if key == "name" then
    known_of(optimizer).names[g] = check.kind("the name of a group", value, "string|nil")
    return
  end
  if not rows[what].lists[key] then return optimizer:set(g, key, value) end
  local numbers = {}
  take_list(what, key, value, numbers)
  for part, number in pairs(numbers) do optimizer:set(g, part, number) end
end

-- Settings, params, and the group's name where it has one, by name.
function Group:__pairs()
  local optimizer = self[HOME][1]
  local names = {"params", table.unpack(rows[optimizer:name()].names)}
  if self.name then names[#names + 1] = "name" end
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

--- Fields: param_groups, a list; lr, the learning rate of the first group, and set, that of all; defaults, the settings of a
--- group that names none.
function meta.__index(self, key)
  local method = methods[key]
  if method then return method end
  if key == "param_groups" then return groups(self) end
  if key == "lr" then return self:get(1, "lr") end
  if key == "defaults" then return settings.defaults(self:name(), known_of(self).options or {}) end
  return check.unknown(self:name(), key, methods, {param_groups = true, lr = true, defaults = true})
end

function meta.__newindex(self, key, value)
  if key ~= "lr" then
    check.fail("%s: '%s' cannot be set here; settings are in param_groups", self:name(), tostring(key))
  end
  for g = 1, self:group_count() do self:set(g, "lr", value) end
end

local function shown(value, parts)
  if not parts then return tostring(value) end
  local texts = {}
  for i in ipairs(parts) do texts[i] = tostring(value[i]) end
  return "{" .. table.concat(texts, ", ") .. "}"
end

function meta.__tostring(self)
  local lines = {}
  for g, group in ipairs(groups(self)) do
    local parts = {}
    for name, value in pairs(group) do
      if name ~= "params" and name ~= "name" then parts[#parts + 1] = ("%s = %s"):format(name, shown(value, rows[self:name()].lists[name])) end
    end
    lines[g] = ("\n  %s: %d parameters, %s"):format(group_text(g, group.name), self:group_size(g), table.concat(parts, ", "))
  end
  return self:name() .. "(" .. table.concat(lines) .. "\n)"
end

local step, zero_grad = methods.step, methods.zero_grad

-- Gives up the step of the optimizer in it unless it is over.
local Open = {__close = function(open) if open[1] then open[1]:cancel() end end}

--- Updates all parameters that have a gradient. closure: a function that clears the gradients, computes the loss, walks it
--- back and returns it; it is called first, and its loss returned. LBFGS needs one and calls it several times.
function methods:step(closure)
  if closure == nil then return step(self) end
  check.kind(self:name() .. ":step: the closure", closure, "function")
  local loss = core.enable_grad(closure)
  if not rows[self:name()].told then
    step(self)
    return loss
  end
  local open <close> = setmetatable({self}, Open)
  local what, again = self:name() .. ":step: what the closure returns, the loss,", loss
  while self:tell(measure(what, again)) do again = core.enable_grad(closure) end
  open[1] = nil
  return loss
end

--- One more group: {params = {...}, lr = ..., name = "head"}; settings that are absent are those that the optimizer was made
--- with (optimizer.defaults). params is a list, or one tensor; name is optional, and shown.
function methods:add_param_group(group)
  local what, own, met, g = self:name(), known_of(self), {}, self:group_count() + 1
  for k, there in ipairs(groups(self)) do check_once(what, there.params, k, there.name, met) end
  local one, name = read_group(what, group, g, met)
  self:add({one}, own.options)
  own.names[g] = name
end

--- Drops the gradients of all parameters; with {set_to_none = false}, or false, they become 0 instead.
function methods:zero_grad(set_to_none)
  if type(set_to_none) == "table" then
    set_to_none = check.options(self:name() .. ":zero_grad", set_to_none, {"set_to_none"}).set_to_none
  end
  check.kind(self:name() .. ":zero_grad: set_to_none", set_to_none, "boolean|nil")
  if set_to_none ~= false then return zero_grad(self) end
  for _, group in ipairs(groups(self)) do
    for _, parameter in ipairs(group.params) do
      if parameter.grad then parameter.grad = core.zeros_like(parameter.grad) end
    end
  end
end

local average, wrap = require "neap.optim.average", require "neap.optim.wrap"
optim.swa_utils = check.named("optim.swa_utils", average)
optim.AveragedModel, optim.Lookahead, optim.SAM = average.AveragedModel, wrap.Lookahead, wrap.SAM

--- Two groups of a model's parameters for an optimizer: those that weights decay for, and those they do not, which are the
--- parameters with fewer than min_dims (2) dimensions (biases, norms) and those whose names contain one of the words in no_decay
--- ({}). Parameters that are frozen are left out. optim.AdamW(optim.decay_groups(model, {weight_decay = 0.1}), {lr = 1e-3}).
--- Options: weight_decay (0.01), min_dims, no_decay.
function optim.decay_groups(model, options)
  options = check.options("optim.decay_groups", options, {"weight_decay", "min_dims", "no_decay"})
  if not tree.is_module(model) then check.fail("optim.decay_groups: takes a model, not %s", check.describe(model)) end
  local decay = {params = {}, weight_decay = options.weight_decay or 0.01}
  local rest = {params = {}, weight_decay = 0}
  local words = check.kind("optim.decay_groups: no_decay", options.no_decay or {}, "table")
  for name, parameter in model:named_parameters() do
    local group = parameter:dim() < (options.min_dims or 2) and rest or decay
    for _, word in ipairs(words) do
      if name:find(word, 1, true) then group = rest end
    end
    if parameter.requires_grad then group.params[#group.params + 1] = parameter end
  end
  local list = {}
  for _, group in ipairs{decay, rest} do
    if #group.params > 0 then list[#list + 1] = group end
  end
  return list
end

optim.lr = require "neap.optim.schedules"
optim.lr_scheduler = optim.lr -- PyTorch's name
for name, schedule in pairs(optim.lr) do optim[name] = schedule end

return check.named("optim", optim)
