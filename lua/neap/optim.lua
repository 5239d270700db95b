-- optim: update rules. optim.NAME(parameters, options) is a row of C's rule table; from here it has PyTorch's face:
-- parameter groups whose settings are read and set as fields, and a state that goes into a file. Schedules are in
-- optim.lr. `betas = {a, b}` stands for C's beta1 and beta2, everywhere, and so do the other names in `lists`.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local optim = {}
local methods, meta = core.optimizer_methods, core.optimizer_meta

-- PyTorch's settings that are several numbers, and C's names of these.
local lists = {
  betas = {"beta1", "beta2"}, etas = {"etaminus", "etaplus"}, step_sizes = {"step_size_min", "step_size_max"},
  ns_coefficients = {"ns_a", "ns_b", "ns_c"}, eps = {"eps1", "eps2"},
}
local list_of = {}
for name, parts in pairs(lists) do
  for _, part in ipairs(parts) do list_of[part] = name end
end

-- By name: what C calls its settings; what they are called here (names), and which of these are lists; the state.
local rows = {}
for _, row in ipairs(core.rule_rows()) do
  local names, parts, optional = {}, {}, {}
  for _, param in ipairs(row.params) do
    local list = list_of[param.name]
    if not parts[list] then names[#names + 1] = list or param.name end
    if list then parts[list] = lists[list] end
    optional[param.name] = param.default == nil
  end
  rows[row.name] = {names = names, lists = parts, optional = optional, slots = row.slots, scalars = row.scalars, told = row.told}
end

-- The numbers of a list setting, by C's names.
local function take_list(what, row, name, value, out)
  local parts = row.lists[name]
  local good = type(value) == "table"
  for i, part in ipairs(good and parts or {}) do
    local number = value[i]
    if number == nil then good = good and row.optional[part] else good = good and type(number) == "number" end
    out[part] = number
  end
  for key in pairs(good and value or {}) do good = good and parts[key] ~= nil end
  if not good then check.fail("%s: %s is a list of %d numbers, not %s", what, name, #parts, check.describe(value)) end
end

-- Options as C takes them.
local function for_c(what, options)
  if options == nil then return nil end
  if type(options) ~= "table" then
    check.fail("%s: options are a table, as in {lr = 0.1}, not %s", what, check.describe(options))
  end
  local out, row = {}, rows[what]
  for key, value in pairs(options) do
    if row.lists[key] then take_list(what, row, key, value, out) else out[key] = value end
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
  local parts = rows[optimizer:name()].lists[key]
  if parts then
    local values = {}
    for i, part in ipairs(parts) do values[i] = optimizer:get(g, part) end
    return values
  end
  if key ~= "params" then return optimizer:get(g, key) end
  local list = {}
  for i = 1, optimizer:group_size(g) do list[i] = optimizer:parameter(g, i) end
  return list
end

function Group:__newindex(key, value)
  local optimizer, g = self[HOME][1], self[HOME][2]
  local what = optimizer:name()
  if key == "params" then check.fail "a group's parameters stay what they are; add a group for more" end
  if not rows[what].lists[key] then return optimizer:set(g, key, value) end
  local numbers = {}
  take_list(what, rows[what], key, value, numbers)
  for part, number in pairs(numbers) do optimizer:set(g, part, number) end
end

-- Settings, and params, by name.
function Group:__pairs()
  local optimizer = self[HOME][1]
  local names = {"params", table.unpack(rows[optimizer:name()].names)}
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
  return check.unknown(self:name(), key, methods, {param_groups = true, lr = true})
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
      if name ~= "params" then parts[#parts + 1] = ("%s = %s"):format(name, shown(value, rows[self:name()].lists[name])) end
    end
    lines[g] = ("\n  group %d: %d parameters, %s"):format(g, self:group_size(g), table.concat(parts, ", "))
  end
  return self:name() .. "(" .. table.concat(lines) .. "\n)"
end

local step = methods.step

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
  local again = loss
  while self:tell(core.is_tensor(again) and again:item() or again) do again = core.enable_grad(closure) end
  open[1] = nil
  return loss
end

--- One more group: {params = {...}, lr = ...}; settings that are absent have the rule's defaults.
function methods:add_param_group(group)
  local list = parameters(self:name(), {group})
  self:add(list)
end

-- The state of LBFGS as PyTorch has it: with the first parameter, pairs in lists.
local function from_lbfgs(state)
  for _, name in ipairs{"old_dirs", "old_stps"} do
    local list = {}
    for i = 1, #state[name] do list[i] = state[name]:select(1, i):clone() end
    state[name] = list
  end
  state.ro = state.ro:totable()
  return state
end

local function to_lbfgs(state, like)
  local options, out = {dtype = like.dtype}, {}
  for key, value in pairs(state) do out[key] = value end
  for _, name in ipairs{"old_dirs", "old_stps"} do
    out[name] = #state[name] > 0 and core.stack(state[name]) or core.zeros({0, #state.d}, options)
  end
  out.ro = #state.ro > 0 and core.tensor(state.ro, {dtype = "float64"}) or core.zeros({0}, {dtype = "float64"})
  return out
end

--- What goes on later from here: {state = a table for each parameter, param_groups = the settings of each group and the
--- numbers of its parameters}. The tensors are copies.
function methods:state_dict()
  local row, out = rows[self:name()], {state = {}, param_groups = {}}
  for g, from in ipairs(groups(self)) do
    local group = {}
    for name, value in pairs(from) do group[name] = value end
    group.params = {}
    for i = 1, self:group_size(g) do
      local one = {step = self:steps(g, i)}
      for _, slot in ipairs(row.slots) do
        local tensor = self:state(g, i, slot)
        one[slot] = tensor and tensor:clone()
      end
      for _, name in ipairs(row.scalars) do one[name] = self:scalar(g, i, name) end
      out.state[#out.state + 1] = one
      group.params[i] = #out.state
    end
    out.param_groups[g] = group
  end
  local own = row.told and self:lbfgs_state()
  if own then
    for key, value in pairs(from_lbfgs(own)) do out.state[1][key] = value end
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
        local got, sizes = one[slot] and tostring(one[slot].shape), self:state_shape(g, i, slot)
        local wanted = sizes and "(" .. table.concat(sizes, ", ") .. ")"
        if got and wanted and got ~= wanted then
          check.fail("%s: %s of parameter %d of group %d is %s, not %s: the parameter is %s", what, slot, i, g, got, wanted,
            tostring(parameter.shape))
        end
      end
    end
  end
end

--- Goes on from a state_dict of the same rule over parameters of the same shapes: settings, counts and state.
function methods:load_state_dict(state)
  fits(self, state)
  local row, own = rows[self:name()], groups(self)
  for g, group in ipairs(state.param_groups) do
    for _, name in ipairs(row.names) do
      if group[name] ~= nil then own[g][name] = group[name] end
    end
    for i, number in ipairs(group.params) do
      local one = state.state[number]
      self:steps(g, i, one.step)
      for _, slot in ipairs(row.slots) do
        local tensor = one[slot] and self:state(g, i, slot)
        if tensor then tensor:copy_(one[slot]) end
      end
      for _, name in ipairs(row.scalars) do
        if one[name] then self:scalar(g, i, name, one[name]) end
      end
    end
  end
  local first = state.state[1]
  if row.told and first.n_iter then self:set_lbfgs_state(to_lbfgs(first, self:parameter(1, 1))) end
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
