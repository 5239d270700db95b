-- module: layers written in Lua. An instance is a table; a field that holds a parameter, a buffer or another module (of
-- Lua or of C) is found by its name, in the order in which the fields were first assigned, which makes parameters(), and
-- so training, the same in each run. Parameters and buffers lie in a table behind the instance, so that each assignment to
-- one is seen. Plain tables of modules count too: self.blocks[2] is "blocks.1" in a state_dict, since names are PyTorch's.
-- Everything that walks a tree is in tree.lua; here are construction, calls and hooks.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local BOOK = tree.BOOK -- where an instance keeps the order of its fields and its hooks

local Module = {training = true}
for name, method in pairs(tree.methods) do Module[name] = method end

-- Fields that may hide a method of every module.
local free = {training = true, name = true}

-- An assignment to a field that is new, or that is a parameter or a buffer: what is in the instance itself is not asked about.
local function assign(self, key, value)
  local kind, book = type(key), self[BOOK]
  if kind == "string" and Module[key] and value ~= nil and not free[key] then
    check.fail("%s: '%s' is a method of every module; give the field another name", tree.name(self), key)
  end
  if kind ~= "string" and math.type(key) ~= "integer" then return rawset(self, key, value) end
  local set = kind ~= "string" and getmetatable(self).class[tree.SET]
  if set then return set(self, key, value) end
  local role = book.roles[key]
  if core.is_parameter(value) then
    role = "parameter"
  elseif role == "parameter" and value ~= nil and not tree.is_module(value) then
    check.fail("%s: %s is a parameter: assign nn.Parameter(...), or write into it with copy_ under neap.no_grad()", tree.name(self), key)
  elseif role and value ~= nil and not tree.is_module(value) and not core.is_tensor(value) then
    check.fail("%s: %s is a buffer and cannot become %s", tree.name(self), key, check.describe(value))
  end
  if not book.seen[key] then
    book.seen[key] = true
    book.order[#book.order + 1] = key
  end
  if role and not tree.is_module(value) then return tree.register(self, key, role, core.keep(value)) end
  book.roles[key], book.values[key] = nil, nil
  rawset(self, key, value)
end

-- What a call leaves behind, whether it returns or raises: the path is one name shorter.
local leaving = setmetatable({}, {__close = function() core.pop_path() end})

local function hooked(self, book, ...)
  local args = table.pack(...)
  for _, hook in ipairs(book.before or {}) do
    local changed = hook(self, args)
    if type(changed) ~= "table" and changed ~= nil then changed = {changed} end
    if changed then
      args = changed
      args.n = args.n or #args
    end
  end
  local out = table.pack(self:forward(table.unpack(args, 1, args.n)))
  for _, hook in ipairs(book.after or {}) do
    local changed = table.pack(hook(self, args, table.unpack(out, 1, out.n)))
    if changed[1] ~= nil then out = changed end
  end
  return table.unpack(out, 1, out.n)
end

local function call(self, ...)
  local book = self[BOOK]
  core.push_path(self)
  local _ <close> = leaving
  if book.before or book.after then return hooked(self, book, ...) end
  return self:forward(...)
end

-- Of the layers, or the parameters, by position.
local function length(self)
  local n = math.max(rawlen(self), rawlen(self[BOOK].values))
  while self[n + 1] ~= nil do n = n + 1 end
  return n
end

-- An instance of a class with that book, before its init.
function tree.instance(class, book)
  local about = getmetatable(class)
  local values, at = setmetatable(book.values, about.behind), class[tree.AT]
  return setmetatable({[BOOK] = book, training = true}, {
    __name = about.name, __newindex = assign, __call = call, __len = class[tree.COUNT] or length, __tostring = tree.text,
    __index = at and function(self, key)
      local value = values[key]
      if value == nil then return at(self, key) end
      return value
    end or values,
    neap_module = true, class = class,
  })
end

-- A class's constructor: Net(...) makes an instance and gives it to Net.init with the arguments.
local function construct(class, ...)
  local self = tree.instance(class, {order = {}, seen = {}, roles = {}, values = {}})
  class.init(self, ...)
  return self
end

function Module.init() end

function Module:forward()
  check.fail("%s has no forward: write function %s:forward(x) ... end", tree.name(self), tree.name(self))
end

--- The name of its class.
function Module:name() return tree.name(self) end

--- Makes a class of layers: `local Net = nn.class "Net"`, with Net:init(...) that fills fields and Net:forward(...) that
--- computes. Net(...) is an instance, net(x) calls forward with hooks, and errors inside name its place in the model.
--- parent: a class to inherit from (its init is called by hand: Parent.init(self, ...)).
function Module.class(name, parent)
  if type(name) ~= "string" then check.fail("nn.class takes the name of a class, not %s", check.describe(name)) end
  local meta = getmetatable(parent)
  if parent ~= nil and parent ~= Module and not (type(meta) == "table" and rawget(meta, "neap_class")) then
    check.fail("nn.class: the parent of %s is %s, not a class that nn.class made; a layer made in C is held in a field, as in self.inner = nn.Linear(...)",
      name, check.describe(parent))
  end
  local class = {}
  return setmetatable(class, {
    __index = parent or Module, __call = construct, neap_class = true, name = name, behind = {__index = class},
    __tostring = function() return "class " .. name end,
  })
end

--- A tensor as a parameter of a module: a leaf that requires a gradient unless options.requires_grad is false. No scope
--- ends it.
function Module.Parameter(tensor, options)
  options = check.options("nn.Parameter", options, {"requires_grad"})
  if not core.is_tensor(tensor) then check.fail("nn.Parameter: takes a tensor, not %s", check.describe(tensor)) end
  if not tensor.is_leaf then tensor = tensor:detach() end
  tensor:requires_grad_(options.requires_grad ~= false)
  return core.mark_parameter(tensor)
end

-- A name for what a module is given by a method.
local function new_name(what, name)
  if type(name) ~= "string" or name == "" or name:find(".", 1, true) then
    check.fail("%s: takes a name without dots, not %s", what, check.describe(name))
  end
  if Module[name] ~= nil and name ~= "name" then
    check.fail("%s: '%s' is a method of every module; give it another name", what, name)
  end
end

--- Gives the module a tensor that is part of its state but is not trained, such as a running mean. No scope ends it, nor what
--- is assigned to the field later. One that is not persistent stays out of state_dict.
function Module:register_buffer(name, tensor, options)
  options = check.options("register_buffer", options, {"persistent"})
  new_name("register_buffer", name)
  if tensor ~= nil and not core.is_tensor(tensor) then check.fail("register_buffer: '%s' is %s, not a tensor", name, check.describe(tensor)) end
  tree.register(self, name, options.persistent == false and "transient" or "buffer", core.keep(tensor))
end

--- The same as module[name] = parameter; nil keeps the name for a parameter that comes later.
function Module:register_parameter(name, parameter)
  new_name("register_parameter", name)
  if parameter ~= nil and not core.is_parameter(parameter) then
    check.fail("register_parameter: '%s' is %s, not what nn.Parameter made", name, check.describe(parameter))
  end
  tree.register(self, name, "parameter", parameter)
end

--- The same as module[name] = child.
function Module:add_module(name, child)
  new_name("add_module", name)
  if not tree.is_module(child) then check.fail("add_module: '%s' is %s, not a module", name, check.describe(child)) end
  self[name] = child
end

local function add_hook(self, list, hook)
  local book = self[BOOK]
  local hooks = book[list] or {}
  book[list] = hooks
  hooks[#hooks + 1] = hook
  return {
    remove = function()
      for i, one in ipairs(hooks) do
        if one == hook then
          table.remove(hooks, i)
          break
        end
      end
      if #hooks == 0 and book[list] == hooks then book[list] = nil end
    end,
  }
end

--- hook(module, args, output, ...) runs after each forward; what it returns, unless nil, replaces the outputs. args is a
--- list. Returns a handle with remove().
function Module:register_forward_hook(hook)
  return add_hook(self, "after", hook)
end

--- hook(module, args) runs before each forward; it may return another list of arguments, or the one argument.
function Module:register_forward_pre_hook(hook)
  return add_hook(self, "before", hook)
end

return Module
