-- module: layers written in Lua. An instance is a table; a field that holds a parameter, a buffer or another module (of
-- Lua or of C) is found by its name, in the order in which the fields were first assigned, which makes parameters(), and
-- so training, the same in each run. Plain tables of modules count too: self.blocks[2] is "blocks.1" in a state_dict,
-- since names are PyTorch's. Everything that walks a tree is in tree.lua; here are construction, calls and hooks.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local BOOK = tree.BOOK -- where an instance keeps the order of its fields and its hooks

local Module = {training = true}
for name, method in pairs(tree.methods) do Module[name] = method end

local function is_parameter(value)
  return core.is_tensor(value) and (tree.marked[value] or value.requires_grad and value.is_leaf)
end

-- The first assignment to a field: it gets its place in the order.
local function assign(self, key, value)
  local kind = type(key)
  if kind == "string" and Module[key] and value ~= nil and key ~= "training" then
    check.fail("%s: '%s' is a method of every module; give the field another name", tree.name(self), key)
  end
  local book = self[BOOK]
  if kind == "string" or math.type(key) == "integer" then
    if not book.seen[key] then
      book.seen[key] = true
      book.order[#book.order + 1] = key
    end
    if is_parameter(value) then book.roles[key] = "parameter" end
  end
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

local function length(self)
  return rawlen(self)
end

-- A class's constructor: Net(...) makes an instance and gives it to Net.init with the arguments.
local function construct(class, ...)
  local self = setmetatable({[BOOK] = {order = {}, seen = {}, roles = {}}, training = true}, class.meta)
  class.init(self, ...)
  return self
end

function Module.init() end

function Module:forward()
  check.fail("%s has no forward: write function %s:forward(x) ... end", tree.name(self), tree.name(self))
end

--- Makes a class of layers: `local Net = nn.class "Net"`, with Net:init(...) that fills fields and Net:forward(...) that
--- computes. Net(...) is an instance, net(x) calls forward with hooks, and errors inside name its place in the model.
--- parent: a class to inherit from (its init is called by hand: Parent.init(self, ...)).
function Module.class(name, parent)
  if type(name) ~= "string" then check.fail("nn.class takes the name of a class, not %s", check.describe(name)) end
  local class = {}
  class.meta = {
    __name = name, __index = class, __newindex = assign, __call = call, __len = length,
    __tostring = tree.text, neap_module = true,
  }
  return setmetatable(class, {
    __index = parent or Module, __call = construct,
    __tostring = function() return "class " .. name end,
  })
end

--- A tensor as a parameter of a module: a leaf that requires a gradient unless options.requires_grad is false.
function Module.Parameter(tensor, options)
  options = check.options("nn.Parameter", options, {"requires_grad"})
  if not core.is_tensor(tensor) then check.fail("nn.Parameter: takes a tensor, not %s", check.describe(tensor)) end
  if not tensor.is_leaf then tensor = tensor:detach() end
  tensor:requires_grad_(options.requires_grad ~= false)
  tree.marked[tensor] = true
  return tensor
end

--- Gives the module a tensor that is part of its state but is not trained, such as a running mean. One that is not
--- persistent stays out of state_dict.
function Module:register_buffer(name, tensor, options)
  options = check.options("register_buffer", options, {"persistent"})
  self[name] = tensor
  self[BOOK].roles[name] = options.persistent == false and "transient" or "buffer"
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
