-- containers: modules that hold others by position. nn.Sequential is one of C when all its children are, and then a
-- forward is one call; with a Lua module or a function among them it is a Lua module with the same face.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local Module = require "neap.nn.module"

local BOOK = tree.BOOK

local containers = {}

--- A layer from a function: nn.Lambda(function(x) return x:relu() end).
local Lambda = Module.class "Lambda"
containers.Lambda = Lambda

function Lambda:init(f)
  if type(f) ~= "function" then check.fail("nn.Lambda: takes a function, not %s", check.describe(f)) end
  self.f = f
end

function Lambda:forward(...)
  return self.f(...)
end

-- A module for what was given: modules stay, functions become layers.
local function child(what, i, value)
  if type(value) == "function" then return Lambda(value) end
  if tree.is_module(value) then return value end
  check.fail("%s: layer %s is %s, not a module or a function", what, i, check.describe(value))
end

local function is_plain(value) return type(value) == "table" and getmetatable(value) == nil end

-- The arguments, or the one list that was given instead of them, and how many they are: none of them nil, none by name.
local function entries(what, ...)
  local given = table.pack(...)
  local n = given.n
  if n == 1 and is_plain(given[1]) then
    given, n = given[1], 0
    for key in next, given do
      if math.type(key) == "integer" and key > 0 then
        n = math.max(n, key)
      elseif key ~= "n" then
        check.fail("%s: takes a list, and '%s' is a name: what a Lua table holds by name has no order; nn.Sequential takes pairs, %s",
          what, tostring(key), "nn.Sequential{{'fc', layer}, ...}, and nn.ModuleDict names")
      end
    end
  end
  for i = 1, n do
    if given[i] == nil then check.fail("%s: entry %d is nothing", what, i) end
  end
  return given, n
end

-- ---- containers by position ----

-- What a container holds, in order.
local function list_of(self)
  local list = {}
  for i = 1, #self do list[i] = self[i] end
  return list
end

-- A position among n as one counted from the front; nil: there is none.
local function position(i, n)
  if math.type(i) ~= "integer" then return nil end
  if i < 0 then i = i + n + 1 end
  return i >= 1 and i <= n and i or nil
end

local function check_position(what, i, n, last)
  local at = position(i, n)
  if not at and not (i == n + 1 and last) then
    check.fail("%s: there is no position %s among %d%s", what, tostring(i), n, last and "; the next is " .. n + 1 or "")
  end
  return at or i
end

-- The positions of {a, b} or {a, b, step}, a closed range as in x[{a, b}], in order; {} are all.
local function range(what, r, n)
  local first, last, step = r[1] or 1, r[2] or not r[1] and n, r[3] or 1
  if math.type(first) ~= "integer" or math.type(last) ~= "integer" or math.type(step) ~= "integer" or step < 1 then
    check.fail("%s: layers are picked by a number or a range {first, last, step}", what)
  end
  if first < 0 then first = first + n + 1 end
  if last < 0 then last = last + n + 1 end
  if first < 1 or last > n then check.fail("%s: the range {%d, %d} is not within 1 to %d", what, first, last, n) end
  local out = {}
  for i = first, last, step do out[#out + 1] = i end
  return out
end

-- Gives a class of that name the methods of lists. put(self, list): it then holds these.
local function lists(class, name, wrap, put)
  local what = "nn." .. name
  local function add(self, method, i, value)
    local list = list_of(self)
    table.insert(list, i, wrap(what .. ":" .. method, i, value))
    put(self, list)
    return self
  end

  function class:append(value) return add(self, "append", #self + 1, value) end
  function class:insert(i, value) return add(self, "insert", check_position(what .. ":insert", i, #self, true), value) end

  function class:extend(more)
    if not tree.is_module(more) and not is_plain(more) then check.fail("%s:extend: takes a list, not %s", what, check.describe(more)) end
    local list = list_of(self)
    for _, value in ipairs(more) do list[#list + 1] = wrap(what .. ":extend", #list + 1, value) end
    put(self, list)
    return self
  end

  function class:pop(i)
    local list = list_of(self)
    local value = table.remove(list, check_position(what .. ":pop", i or -1, #list))
    put(self, list)
    return value
  end

  class[tree.SET] = function(self, i, value)
    local list = list_of(self)
    list[check_position(what, i, #list, true)] = wrap(what, i, value)
    put(self, list)
  end
end

-- A class written in Lua whose instances are such lists; make(list) is one of them, for a range.
local function list_class(name, wrap, role, make)
  local class = Module.class(name)
  local what = "nn." .. name

  lists(class, name, wrap, function(self, list)
    for i = 1, math.max(#self, #list) do tree.register(self, i, role, list[i]) end
  end)

  class[tree.AT] = function(self, key)
    if math.type(key) == "integer" and key < 0 then return self[BOOK].values[key + #self + 1] end
    if type(key) ~= "table" then return nil end
    local list = {}
    for i, at in ipairs(range(what, key, #self)) do list[i] = self[at] end
    return make(list)
  end

  function class:init(...)
    local given, n = entries(what, ...)
    for i = 1, n do tree.register(self, i, role, wrap(what, i, given[i])) end
  end
  return class
end

-- What is not called by itself.
local function uncalled(class, how)
  function class:forward()
    check.fail("a %s is not called, its entries are: %s", self:name(), how)
  end
end

-- ---- Sequential ----

local LuaSequential = list_class("Sequential", child, nil, function(list) return containers.Sequential(list) end)

function LuaSequential:forward(...)
  local layers = self[BOOK].values
  local first = layers[1]
  if not first then return ... end
  local x = first(...)
  for i = 2, #layers do x = layers[i](x) end
  return x
end

-- Its layers are all of its fields that are modules.
local NamedSequential = Module.class("Sequential", LuaSequential)

local function names_of(self)
  local names = {}
  for _, key in ipairs(self[BOOK].order) do
    if tree.is_module(rawget(self, key)) then names[#names + 1] = key end
  end
  return names
end

local function is_named(pair) return is_plain(pair) and type(pair[1]) == "string" and pair[2] ~= nil and #pair == 2 end

local function add_named(what, self, i, pair)
  if not is_named(pair) then check.fail("%s: entry %d is not a pair {name, layer}, as the first one is", what, i) end
  if self[pair[1]] ~= nil then check.fail("%s: '%s' is the name of two layers, or of a method", what, pair[1]) end
  self:add_module(pair[1], child(what, i, pair[2]))
end

function NamedSequential:init(list)
  for i, pair in ipairs(list) do add_named("nn.Sequential", self, i, pair) end
end

NamedSequential[tree.COUNT] = function(self) return #names_of(self) end

NamedSequential[tree.AT] = function(self, key)
  local names = names_of(self)
  if math.type(key) == "integer" then return rawget(self, names[position(key, #names)]) end
  if type(key) ~= "table" then return nil end
  local list = {}
  for i, at in ipairs(range("nn.Sequential", key, #names)) do list[i] = {names[at], self[names[at]]} end
  return NamedSequential(list)
end

NamedSequential[tree.SET] = function(self, i, layer)
  local names = names_of(self)
  self[names[check_position("nn.Sequential", i, #names)]] = child("nn.Sequential", i, layer)
end

function NamedSequential:insert(i, pair)
  local names, place = names_of(self), {}
  i = check_position("nn.Sequential:insert", i, #names, true)
  add_named("nn.Sequential:insert", self, i, pair)
  table.insert(names, i, pair[1])
  for at, name in ipairs(names) do place[name] = at end
  table.sort(self[BOOK].order, function(a, b) return (place[a] or 0) < (place[b] or 0) end)
  return self
end

function NamedSequential:append(pair) return self:insert(#self + 1, pair) end

function NamedSequential:extend(list)
  for _, pair in ipairs(list) do self:append(pair) end
  return self
end

function NamedSequential:pop(i)
  local names = names_of(self)
  local name = names[check_position("nn.Sequential:pop", i or -1, #names)]
  local layer = self[name]
  self[name] = nil
  return layer
end

function NamedSequential:forward(...)
  local x, first = nil, true
  for _, key in ipairs(self[BOOK].order) do
    local layer = rawget(self, key)
    if tree.is_module(layer) then
      if first then x = layer(...) else x = layer(x) end
      first = false
    end
  end
  if first then return ... end
  return x
end

--- Layers one after the other: nn.Sequential(a, b, ...) or nn.Sequential{a, b, ...}. model[1], #model, ipairs(model) go by
--- position; in a state_dict the first is "0", and with nn.Sequential{{"fc1", a}, {"fc2", b}} "fc1", which is model.fc1. A
--- function counts as a layer without weights. Other layers later: model[2] = layer, model:append(layer), insert(i, layer),
--- extend(list), pop(i); model[{1, 3}] is a Sequential over the first three.
function containers.Sequential(...)
  local given, n = entries("nn.Sequential", ...)
  if is_named(given[1]) then return NamedSequential(given) end
  local layers, native = {}, true
  for i = 1, n do
    layers[i] = child("nn.Sequential", i, given[i])
    native = native and tree.is_native(layers[i])
  end
  if native then return core.sequential(layers) end
  return LuaSequential(layers)
end

-- A Sequential of C is changed in place, and holds only layers of C.
local changes = {}

local function layer_of_c(what, _, layer)
  if tree.is_native(layer) then return layer end
  local method = what:match ":(.*)$" or what
  check.fail("%s: this Sequential holds layers made in C alone, not %s; make it anew with all of its layers, as in nn.Sequential(a, b)",
    method, tree.is_module(layer) and tree.name(layer) or check.describe(layer))
end

lists(changes, "Sequential", layer_of_c, core.sequential_set)

local function only_sequential(what, module)
  if module:name() ~= "Sequential" then
    check.fail("%s: a %s is one layer made in C, whose parts stay what they are; a Sequential can change", what, module:name())
  end
end

for _, name in ipairs {"append", "insert", "extend", "pop"} do
  core.module_methods[name] = function(self, ...)
    only_sequential(name, self)
    return changes[name](self, ...)
  end
end

function core.glue.set_layer(module, i, layer)
  only_sequential("[i] = layer", module)
  changes[tree.SET](module, i, layer)
end

function core.glue.slice(module, r)
  only_sequential("[{a, b}]", module)
  local list = {}
  for i, at in ipairs(range("nn.Sequential", r, #module)) do list[i] = module[at] end
  return core.sequential(list)
end

-- ---- lists and tables ----

--- Modules in a list, to be called by hand: nn.ModuleList{a, b}. Indexing, #, ipairs, append, insert, extend and pop as in
--- nn.Sequential.
local ModuleList = list_class("ModuleList", child, nil, function(list) return containers.ModuleList(list) end)
containers.ModuleList = ModuleList
uncalled(ModuleList, "for _, layer in ipairs(list) do x = layer(x) end; nn.Sequential calls its layers one after the other")

--- Modules by name: nn.ModuleDict{left = a, right = b}; dict.left calls for one, dict:keys() lists the names in their order.
local ModuleDict = Module.class "ModuleDict"
containers.ModuleDict = ModuleDict

-- The names of a table of modules or parameters, in order.
local function names_in(what, things, given)
  check.kind(("%s: the %s"):format(what, things), given, "table")
  local names = {}
  for name in pairs(given) do
    if type(name) ~= "string" then check.fail("%s: takes %s by name, not %s", what, things, check.describe(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

function ModuleDict:init(modules)
  for _, name in ipairs(names_in("nn.ModuleDict", "modules", modules or {})) do
    self[name] = child("nn.ModuleDict", name, modules[name])
  end
end

function ModuleDict:keys()
  local names = {}
  for name in self:named_children() do names[#names + 1] = name end
  return names
end

uncalled(ModuleDict, "dict.name(x)")

local function parameter(what, i, value)
  if not core.is_tensor(value) then check.fail("%s: entry %s is %s, not a tensor", what, i, check.describe(value)) end
  return Module.Parameter(value)
end

--- Parameters in a list: nn.ParameterList{neap.zeros(3), neap.ones(2)}. Indexing, #, ipairs, append, insert, extend and pop.
local ParameterList = list_class("ParameterList", parameter, "parameter", function(list) return containers.ParameterList(list) end)
containers.ParameterList = ParameterList
uncalled(ParameterList, "list[i]")

--- Parameters by name: nn.ParameterDict{left = neap.zeros(3), right = neap.ones(2)}; dict.left is one, dict:keys() lists the
--- names in their order.
local ParameterDict = Module.class "ParameterDict"
containers.ParameterDict = ParameterDict

function ParameterDict:init(tensors)
  for _, name in ipairs(names_in("nn.ParameterDict", "tensors", tensors or {})) do
    self:register_parameter(name, parameter("nn.ParameterDict", name, tensors[name]))
  end
end

function ParameterDict:keys()
  local names = {}
  for name in self:named_parameters() do names[#names + 1] = name end
  return names
end

uncalled(ParameterDict, "dict.name")

-- ---- containers that compute ----

-- The layers among the arguments, how many they are, and the options: in a table behind them, or in the one table by name.
local function layers_and_options(what, names, ...)
  local given = table.pack(...)
  local n, options = given.n, nil
  if n == 1 and is_plain(given[1]) then
    local layers = {}
    options = {}
    for key, value in next, given[1] do
      if type(key) == "string" then options[key] = value else layers[key] = value end
    end
    given, n = entries(what, layers)
  else
    if n > 1 and is_plain(given[n]) then options, n = given[n], n - 1 end
    if n == 1 and is_plain(given[1]) then given, n = entries(what, given[1])
    else given, n = entries(what, table.unpack(given, 1, n)) end
  end
  if n == 0 then check.fail("%s: takes layers", what) end
  return given, check.options(what, options, names)
end

--- x + f(x), f being the layers one after the other: nn.Residual(a, b, ...). {shortcut = layer}: shortcut(x) + f(x), where f
--- changes the shape (He et al., 2016).
local Residual = Module.class "Residual"
containers.Residual = Residual

function Residual:init(...)
  local layers, options = layers_and_options("nn.Residual", {"shortcut"}, ...)
  layers = table.move(layers, 1, #layers, 1, {})
  self.body = #layers == 1 and child("nn.Residual", 1, layers[1]) or containers.Sequential(layers)
  if options.shortcut then self.shortcut = child("nn.Residual", "shortcut", options.shortcut) end
end

function Residual:forward(x)
  return (self.shortcut and self.shortcut(x) or x) + self.body(x)
end

--- Layers side by side, each on the same input, their outputs joined: nn.Parallel(a, b, ..., {join = "cat", dim = 2}).
--- join: "cat" along dim (2: channels), "sum", or "none": several outputs.
local Parallel = Module.class "Parallel"
containers.Parallel = Parallel

local joins = {
  cat = function(outs, dim) return core.cat(outs, dim) end,
  sum = function(outs)
    local y = outs[1]
    for i = 2, #outs do y = y + outs[i] end
    return y
  end,
  none = function(outs) return table.unpack(outs) end,
}

function Parallel:init(...)
  local layers, options = layers_and_options("nn.Parallel", {"join", "dim"}, ...)
  self.join, self.dim = options.join or "cat", options.dim or 2
  if not joins[self.join] then check.fail("nn.Parallel: join is 'cat', 'sum' or 'none', not %s", check.describe(self.join)) end
  for i, layer in ipairs(layers) do self[i] = child("nn.Parallel", i, layer) end
end

function Parallel:forward(...)
  local outs = {}
  for i, layer in ipairs(self) do outs[i] = layer(...) end
  return joins[self.join](outs, self.dim)
end

function Parallel:extra_repr()
  return ("join=%q, dim=%d"):format(self.join, self.dim)
end

return containers
