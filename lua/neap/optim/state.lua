-- state: what an optimizer knows, as a table that goes into a file, in PyTorch's form; and an optimizer that goes on from one.
-- A state is held against the optimizer before anything changes.

local core = require "neap.core"
local check = require "neap.check"
local settings = require "neap.optim.settings"

local methods, rows = core.optimizer_methods, settings.rows

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
  for g, from in ipairs(self.param_groups) do
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

local lbfgs = {}
for name in ([[n_iter func_evals t H_diag prev_loss d prev_flat_grad old_dirs old_stps ro]]):gmatch "%S+" do lbfgs[name] = true end

local function contains(list, name)
  for _, one in ipairs(list) do
    if one == name then return true end
  end
  return false
end

-- Whether a group's key is a setting of other rules. PyTorch writes Adam and AdamW with decoupled_weight_decay, which is what
-- tells them apart.
local function foreign(what, key, value)
  if contains(rows[what].names, key) then return false end
  if key == "decoupled_weight_decay" and (what == "Adam" and value == false or what == "AdamW" and value == true) then return false end
  for _, row in pairs(rows) do
    if contains(row.names, key) then return true end
  end
  return false
end

-- An optimizer of the same rule over tensors of one element, with the settings that group g gets from a state: what they are
-- good for shows before the optimizer changes.
local function trial(self, g, group)
  local what, given, tiny = self:name(), {}, {}
  for _, name in ipairs(rows[what].names) do
    if group[name] ~= nil then given[name] = group[name] else given[name] = self.param_groups[g][name] end
  end
  for i, parameter in ipairs(self.param_groups[g].params) do
    local sizes = {}
    for d = 1, parameter:dim() do sizes[d] = 1 end
    tiny[i] = core.zeros(sizes, {dtype = parameter.dtype})
  end
  return core.rules[what](tiny, settings.for_c(what, given))
end

local function names_of(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

local function not_of_rule(self, unexpected, missing)
  local what = self:name()
  if next(unexpected) == nil and next(missing) == nil then return end
  check.fail("%s:load_state_dict: this is not a state of %s:%s%s", what, what,
    next(unexpected) and (" it has %s, which %s has not%s"):format(names_of(unexpected), what, next(missing) and ";" or "") or "",
    next(missing) and (" it lacks %s"):format(names_of(missing)) or "")
end

-- Raises where the state has names that the rule has not, or lacks settings that it has.
local function check_names(self, state)
  local what, row, unexpected, missing = self:name(), rows[self:name()], {}, {}
  for _, group in ipairs(state.param_groups) do
    for key, value in pairs(group) do
      if foreign(what, key, value) then unexpected[key] = true end
    end
    for _, name in ipairs(row.names) do
      local param = row.params[name]
      if group[name] == nil and not (param and (param.kind == "enum" or param.default == nil)) then missing[name] = true end
    end
    for _, number in ipairs(group.params) do
      for key in pairs(state.state[number]) do
        if key ~= "step" and not contains(row.slots, key) and not contains(row.scalars, key) and not (row.told and lbfgs[key]) then
          unexpected[key] = true
        end
      end
    end
  end
  not_of_rule(self, unexpected, missing)
end

-- Raises unless the state of parameter i of group g has what the rule uses, in the right shape. like: a trial with its settings.
local function check_slots(self, like, g, i, one, missing)
  local what, row = self:name() .. ":load_state_dict", rows[self:name()]
  local parameter = self:parameter(g, i)
  for _, slot in ipairs(row.slots) do
    local tensor, used = one[slot], like:state_shape(1, i, slot)
    if tensor == nil then missing[slot] = used and one.step > 0 or missing[slot]
    elseif not core.is_tensor(tensor) then
      check.fail("%s: %s of parameter %d of group %d is %s, not a tensor", what, slot, i, g, check.describe(tensor))
    elseif used then
      local wanted = "(" .. table.concat(self:state_shape(g, i, slot) or parameter.shape, ", ") .. ")"
      if tostring(tensor.shape) ~= wanted then
        check.fail("%s: %s of parameter %d of group %d is %s, not %s: the parameter is %s", what, slot, i, g,
          tostring(tensor.shape), wanted, tostring(parameter.shape))
      end
    end
  end
  for _, name in ipairs(row.scalars) do
    if one[name] == nil and one.step > 0 then missing[name] = true end
  end
end

-- Raises unless the state's groups are like the optimizer's, of the same rule, and its tensors like their parameters.
local function check_state(self, state)
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
      local one = state.state[number]
      if type(one) ~= "table" or math.type(one.step) ~= "integer" then
        check.fail("%s: parameter %d of group %d has no state", what, i, g)
      end
    end
  end
  check_names(self, state)
  local missing = {}
  for g, group in ipairs(state.param_groups) do
    local like = trial(self, g, group)
    for i, number in ipairs(group.params) do check_slots(self, like, g, i, state.state[number], missing) end
  end
  not_of_rule(self, {}, missing)
end

--- Goes on from a state_dict of the same rule over parameters of the same shapes: settings, counts and state. Of another
--- rule's it says what is there and what is not, and changes nothing.
function methods:load_state_dict(state)
  check_state(self, state)
  local row, own = rows[self:name()], self.param_groups
  for g, group in ipairs(state.param_groups) do
    for _, name in ipairs(row.names) do
      if group[name] ~= nil then own[g][name] = group[name] end
    end
    if group.name ~= nil then own[g].name = group.name end
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

