-- tree: walks over trees of modules, whether written in Lua or in C, and the methods that every module has. A module of
-- C knows its own subtree, which holds only modules of C; a Lua module's fields are looked through here. Tensors and
-- modules that occur twice (tied weights) are listed once in parameters(), but under both names in a state_dict.

local core = require "neap.core"
local check = require "neap.check"

local tree = {}

-- The key of an instance's field that keeps {order = its fields' keys, roles = key -> "parameter", "buffer" or "transient",
-- values = the tensors that have a role, and what a container holds by position, by key}.
tree.BOOK = {}

-- Keys of a class whose instances hold things by position, for three functions: AT(self, key) finds what is no field, SET(self,
-- i, value) is self[i] = value, COUNT(self) is #self.
tree.AT, tree.SET, tree.COUNT = {}, {}, {}

local BOOK, is_parameter = tree.BOOK, core.is_parameter
local is_native_module = core.is_module

local function is_lua(value)
  if type(value) ~= "table" then return false end
  local meta = getmetatable(value)
  return type(meta) == "table" and rawget(meta, "neap_module") == true
end

local function is_native(value)
  return type(value) == "userdata" and is_native_module(value)
end

local function is_module(value)
  return is_lua(value) or is_native(value)
end

--- Whether a value is a layer or a model, made in C or of a class of nn.class.
function core.is_module(value) return is_module(value) end

tree.is_lua, tree.is_native, tree.is_module = is_lua, is_native, is_module

--- The name of a module's class.
function tree.name(module)
  if is_lua(module) then return getmetatable(module).__name end
  return module:name()
end

-- PyTorch's name of a key: positions count from 0 there.
local function dotted(key)
  return math.type(key) == "integer" and tostring(key - 1) or key
end

-- Lua's: ".name" or "[1]".
local function indexed(key)
  return math.type(key) == "integer" and ("[%d]"):format(key) or "." .. key
end

-- The keys of a plain table of modules, in a fixed order.
local function sorted_keys(plain)
  local keys = {}
  for key in next, plain do
    if type(key) == "string" or math.type(key) == "integer" then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return keys
end

-- Calls visit(role, name, path, value, owner, key) for what lies under a key of a Lua module: itself or, when it is a
-- plain table, what is in that. role: "parameter", "buffer", "transient" or "module".
local function look(role, name, path, value, owner, key, visit, inside)
  if is_module(value) then
    visit("module", name, path, value, owner, key)
  elseif role or is_parameter(value) then
    visit(role or "parameter", name, path, value, owner, key)
  elseif type(value) == "table" and getmetatable(value) == nil and (not inside or not inside[value]) then
    inside = inside or {}
    inside[value] = true
    for _, k in ipairs(sorted_keys(value)) do
      look(nil, name .. "." .. dotted(k), path .. indexed(k), value[k], value, k, visit, inside)
    end
    inside[value] = nil
  end
end

-- Makes a value what a Lua module has under that key, where each assignment is seen; role: nil for a module.
function tree.register(module, key, role, value)
  local book = module[BOOK]
  if not book.seen[key] then
    book.seen[key] = true
    book.order[#book.order + 1] = key
  end
  rawset(module, key, nil)
  book.roles[key], book.values[key] = role, value
end

-- All that a Lua module holds itself, in order.
local function fields(module, visit)
  local book = module[BOOK]
  for _, key in ipairs(book.order) do
    local value = rawget(module, key)
    if is_parameter(value) then -- it took the place of something else, and __newindex did not see it
      tree.register(module, key, "parameter", value)
      value = nil
    end
    if value ~= nil then look(nil, dotted(key), indexed(key), value, module, key, visit) end
    value = rawget(book.values, key)
    if value ~= nil then look(book.roles[key], dotted(key), indexed(key), value, book.values, key, visit) end
  end
end

-- Puts any tensor in the place of a module's parameter or buffer.
function tree.put(module, name, tensor)
  if is_native(module) then core.module_set(module, name, tensor) else module[BOOK].values[name] = tensor end
end

tree.fields = fields

-- Direct children: visit(name, module, path).
local function each_child(module, visit)
  if is_native(module) then
    local children, names, places = core.module_children(module)
    for i, child in ipairs(children) do
      local name, place = names[i], places[i] > 0 and places[i] or nil
      local path = (name ~= "" and "." .. name or "") .. (place and ("[%d]"):format(place) or "")
      visit(name .. (place and (name ~= "" and "." or "") .. place - 1 or ""), child, path)
    end
  else
    fields(module, function(role, name, path, value)
      if role == "module" then visit(name, value, path) end
    end)
  end
end

tree.each_child = each_child

-- All tensors of the tree that have a role in `roles`: visit(name, tensor, role, owner, key), a module's own before those
-- of its children. owner and key: where a Lua module holds it. around: the modules that this one stands in, which a child
-- may refer to.
local function each_tensor(module, roles, visit, prefix, around)
  prefix, around = prefix or "", around or {}
  if is_native(module) then
    local names, tensors, buffer = core.module_each(module)
    for i, name in ipairs(names) do
      local role = buffer[i] and "buffer" or "parameter"
      if roles[role] then visit(prefix .. name, tensors[i], role) end
    end
    return
  end
  local children = {}
  fields(module, function(role, name, _, value, owner, key)
    if role == "module" then
      children[#children + 1] = {name, value}
    elseif roles[role] then
      visit(prefix .. name, value, role, owner, key)
    end
  end)
  around[module] = true
  for _, child in ipairs(children) do
    if not around[child[2]] then each_tensor(child[2], roles, visit, prefix .. child[1] .. ".", around) end
  end
  around[module] = nil
end

local PARAMETERS = {parameter = true}
local BUFFERS = {buffer = true, transient = true}
local STATE = {parameter = true, buffer = true}
local ALL = {parameter = true, buffer = true, transient = true}

-- An iterator over pairs of a list.
local function pairs_of(list)
  local i = 0
  return function()
    i = i + 1
    if list[i] then return list[i][1], list[i][2] end
  end
end

local function named(module, roles)
  local list, seen = {}, {}
  each_tensor(module, roles, function(name, tensor)
    if not seen[tensor] then
      seen[tensor] = true
      list[#list + 1] = {name, tensor}
    end
  end)
  return list
end

local function second(list)
  local out = {}
  for i, pair in ipairs(list) do out[i] = pair[2] end
  return out
end

local methods = {}
tree.methods = methods

-- Those whose names match a Lua pattern; nil: all. That none does is an error.
local function chosen(what, module, pattern)
  local list = named(module, PARAMETERS)
  if pattern == nil then return list end
  check.kind(what .. ": the pattern", pattern, "string")
  local out, names = {}, {}
  for i, pair in ipairs(list) do
    names[i] = pair[1]
    if pair[1]:find(pattern) then out[#out + 1] = pair end
  end
  if #out == 0 then
    check.fail("%s: no parameter's name matches '%s'; there are %s", what, pattern, table.concat(names, ", ", 1, math.min(#names, 12)))
  end
  return out
end

--- for name, tensor in m:named_parameters() do: each parameter once, with its name in the state_dict; with a pattern, those
--- whose names match it.
function methods:named_parameters(pattern) return pairs_of(chosen("named_parameters", self, pattern)) end

--- A list of all parameters, each once; with a pattern (of string.find), those whose names match it:
--- model:parameters "%.bias$".
function methods:parameters(pattern) return second(chosen("parameters", self, pattern)) end

--- for name, tensor in m:named_buffers() do
function methods:named_buffers() return pairs_of(named(self, BUFFERS)) end

--- A list of all buffers, each once.
function methods:buffers() return second(named(self, BUFFERS)) end

--- for name, module in m:named_children() do: direct children.
function methods:named_children()
  local list = {}
  each_child(self, function(name, child) list[#list + 1] = {name, child} end)
  return pairs_of(list)
end

--- A list of the direct children.
function methods:children()
  local list = {}
  each_child(self, function(_, child) list[#list + 1] = child end)
  return list
end

local function gather(module, prefix, list, seen)
  if seen[module] then return list end
  seen[module] = true
  list[#list + 1] = {prefix, module}
  each_child(module, function(name, child)
    gather(child, prefix == "" and name or prefix .. "." .. name, list, seen)
  end)
  return list
end

--- for name, module in m:named_modules() do: the module itself, under "", and all below it.
function methods:named_modules() return pairs_of(gather(self, "", {}, {})) end

--- A list of the module itself and all below it.
function methods:modules() return second(gather(self, "", {}, {})) end

-- What list, pairs of name and value, has under a name; an error says what there is.
local function look_up(what, kind, list, name)
  check.kind(what .. ": the name", name, "string")
  local names = {}
  for i, pair in ipairs(list) do
    if pair[1] == name then return pair[2] end
    names[i] = pair[1]
  end
  check.fail("%s: there is no %s '%s'%s", what, kind, name, check.hint(name, names))
end

-- All tensors of a role, under all of their names.
local function every(module, roles)
  local list = {}
  each_tensor(module, roles, function(name, tensor) list[#list + 1] = {name, tensor} end)
  return list
end

--- The module below this one with that name of named_modules: model:get_submodule "body.0".
function methods:get_submodule(name)
  check.kind("get_submodule: the name", name, "string")
  local module, rest = self, name
  while rest ~= "" do
    local found, own
    each_child(module, function(key, child)
      if not found and (rest .. "."):sub(1, #key + 1) == key .. "." then found, own = child, key end
    end)
    module, rest = found or look_up("get_submodule", "module", gather(self, "", {}, {}), name), rest:sub(#(own or "") + 2)
  end
  return module
end

--- The parameter with that name in the state_dict: model:get_parameter "0.weight".
function methods:get_parameter(name) return look_up("get_parameter", "parameter", every(self, PARAMETERS), name) end

--- The buffer of that name.
function methods:get_buffer(name) return look_up("get_buffer", "buffer", every(self, BUFFERS), name) end

--- A table from name to tensor of all parameters and persistent buffers, with PyTorch's names. The tensors share the
--- module's memory.
function methods:state_dict()
  local state = {}
  each_tensor(self, STATE, function(name, tensor) state[name] = tensor:detach() end)
  return state
end

local function same_shape(a, b)
  if #a ~= #b then return false end
  for i, n in ipairs(a) do
    if b[i] ~= n then return false end
  end
  return true
end

local function shape_text(shape)
  return "(" .. table.concat(shape, ", ") .. ")"
end

--- Copies the tensors of a state_dict into the module. Names that are missing, unexpected or of another shape are listed
--- together in one error, before anything is copied; {strict = false} lets the first two pass. Returns lists of the
--- missing and of the unexpected names.
function methods:load_state_dict(state, options)
  options = check.options("load_state_dict", options, {"strict"})
  check.kind("load_state_dict: the state", state, "table")
  local missing, unexpected, misshapen, copies, known = {}, {}, {}, {}, {}
  each_tensor(self, STATE, function(name, tensor)
    known[name] = true
    local given = state[name]
    if given == nil then
      missing[#missing + 1] = name
    elseif not core.is_tensor(given) then
      check.fail("load_state_dict: '%s' of the state is %s, not a tensor", name, check.describe(given))
    elseif not same_shape(tensor.shape, given.shape) then
      misshapen[#misshapen + 1] = ("%s: %s in the state, %s in the module"):format(name, shape_text(given.shape),
        shape_text(tensor.shape))
    else
      copies[#copies + 1] = {tensor, given}
    end
  end)
  for name in pairs(state) do
    if not known[name] then unexpected[#unexpected + 1] = tostring(name) end
  end
  table.sort(unexpected)
  local strict = options.strict ~= false
  if #misshapen > 0 or strict and #missing + #unexpected > 0 then
    local parts = {}
    local function part(what, list)
      if #list > 0 then parts[#parts + 1] = ("\n  %s: %s"):format(what, table.concat(list, ", ")) end
    end
    part("missing", missing)
    part("unexpected", unexpected)
    part("misshapen", misshapen)
    check.fail("load_state_dict: the state does not fit %s:%s", tree.name(self), table.concat(parts))
  end
  local _ <close> = core.no_grad()
  for _, copy in ipairs(copies) do copy[1]:copy_(copy[2]) end
  return missing, unexpected
end

local function set_training(module, on, seen)
  if is_native(module) then
    module:train(on)
  elseif not seen[module] then
    seen[module] = true
    module.training = on
    each_child(module, function(_, child) set_training(child, on, seen) end)
  end
end

--- Training mode for the whole tree, or the other one with false. Returns the module.
function methods:train(on)
  set_training(self, on ~= false, {})
  return self
end

--- Evaluation mode: dropout and the like do nothing. Returns the module.
function methods:eval() return methods.train(self, false) end

function methods:is_training() return self.training end

function methods:is_waiting()
  for _, module in ipairs(self:modules()) do
    if is_native(module) and module:is_waiting() then return true end
  end
  return false
end

--- Converts parameters and buffers of floating dtype. Optimizers made before still hold the old ones: make them after.
--- Returns the module.
function methods:to(dtype)
  local _ <close> = core.no_grad()
  local converted, natives = {}, {}
  each_tensor(self, ALL, function(_, tensor, role, owner, key)
    if owner and tostring(tensor.dtype):find "float" and tostring(tensor.dtype) ~= tostring(dtype) then
      local new = converted[tensor]
      if not new then
        new = tensor:detach():to(dtype)
        if role == "parameter" then core.mark_parameter(new):requires_grad_(tensor.requires_grad) end
        core.keep(new)
        converted[tensor] = new
      end
      owner[key] = new
    end
  end)
  for _, module in ipairs(methods.modules(self)) do
    if is_native(module) and not natives[module] then module:to(dtype) end
  end
  return self
end

--- The same as module:to "float32".
function methods:float() return self:to "float32" end

--- The same as module:to "float64".
function methods:double() return self:to "float64" end

--- The same as module:to "float16".
function methods:half() return self:to "float16" end

--- The same as module:to "bfloat16".
function methods:bfloat16() return self:to "bfloat16" end

local function apply(module, f, seen)
  if seen[module] then return end
  seen[module] = true
  each_child(module, function(_, child) apply(child, f, seen) end)
  f(module)
end

--- Calls f on each module of the tree once, children first. Returns the module.
function methods:apply(f)
  apply(self, f, {})
  return self
end

--- Drops the gradients of all parameters.
function methods:zero_grad()
  for _, parameter in ipairs(self:parameters()) do parameter.grad = nil end
end

--- Whether the parameters take part in training: freezes with false. Returns the module.
function methods:requires_grad_(on)
  for _, parameter in ipairs(self:parameters()) do parameter:requires_grad_(on ~= false) end
  return self
end

--- Takes the parameters whose names match a pattern out of training: model:freeze "^features%."; without one, all. Returns
--- the module.
function methods:freeze(pattern)
  for _, pair in ipairs(chosen("freeze", self, pattern)) do pair[2]:requires_grad_(false) end
  return self
end

--- Takes them back in.
function methods:unfreeze(pattern)
  for _, pair in ipairs(chosen("unfreeze", self, pattern)) do pair[2]:requires_grad_(true) end
  return self
end

--- Writes the state_dict to a file (safetensors): assert(model:save "weights.safetensors"). Returns true, or nil and a message.
function methods:save(path) return core.save(path, self:state_dict()) end

--- Reads a file that save wrote, or one of PyTorch's with the same names: as load_state_dict. Returns the module, or nil
--- and a message when the file cannot be read: assert(model:load "weights.safetensors").
function methods:load(path, options)
  local state, message, code = core.load(path)
  if not state then return nil, message, code end
  self:load_state_dict(state, options)
  return self
end

-- Lines of a child behind the first are moved to the right.
local function indent(text)
  return (text:gsub("\n", "\n  "))
end

local printing = {} -- the modules whose text is being made: one that refers to what holds it stands there by its name

--- A module as a tree, like PyTorch's; where they differ, Lua's index stands before PyTorch's name.
function tree.text(module)
  if printing[module] then return tree.name(module) .. "(...)" end
  local lines = {}
  local _ <close> = setmetatable({}, {__close = function() printing[module] = nil end})
  printing[module] = true
  if module.extra_repr then lines[1] = module:extra_repr() end
  each_child(module, function(name, child, path)
    local place = path:find("[", 1, true) and path:gsub("^%.", "") .. " " or "" -- "[1] ", "blocks[2] "
    lines[#lines + 1] = ("%s(%s): %s"):format(place, name, indent(tostring(child)))
  end)
  if #lines == 0 then return tree.name(module) .. "()" end
  if #lines == 1 and module.extra_repr and not lines[1]:find "\n" then
    return ("%s(%s)"):format(tree.name(module), lines[1])
  end
  return ("%s(\n  %s\n)"):format(tree.name(module), table.concat(lines, "\n  "))
end

return tree
