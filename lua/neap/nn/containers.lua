-- containers: modules that hold others by position. nn.Sequential is one of C when all its children are, and then a
-- forward is one call; with a Lua module or a function among them it is a Lua module with the same face.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local Module = require "neap.nn.module"

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
  check.fail("%s: layer %d is %s, not a module or a function", what, i, check.describe(value))
end

-- The arguments, or the one list that was given instead of them.
local function list(...)
  local first = ...
  if select("#", ...) == 1 and type(first) == "table" and getmetatable(first) == nil then return first end
  return {...}
end

local LuaSequential = Module.class "Sequential"

function LuaSequential:init(layers)
  for _, layer in ipairs(layers) do self:append(layer) end
end

function LuaSequential:append(layer)
  self[#self + 1] = child("nn.Sequential", #self + 1, layer)
  return self
end

function LuaSequential:forward(...)
  local first = self[1]
  if not first then return ... end
  local x = first(...)
  for i = 2, #self do x = self[i](x) end
  return x
end

--- Layers one after the other: nn.Sequential(a, b, ...) or nn.Sequential{a, b, ...}. model[1], #model, ipairs(model) and
--- model:append(layer) go by position; in a state_dict the first is "0". A function counts as a layer without weights.
function containers.Sequential(...)
  local layers, native = {}, true
  for i, layer in ipairs(list(...)) do
    layers[i] = child("nn.Sequential", i, layer)
    native = native and tree.is_native(layers[i])
  end
  if native then return core.sequential(layers) end
  return LuaSequential(layers)
end

local append = core.module_methods.append

--- Puts a layer at the end of a container; returns the container.
function core.module_methods:append(layer)
  if not tree.is_native(layer) then
    check.fail("append: this %s holds layers made in C alone, not %s; make it anew with all of its layers, as in nn.Sequential(a, b)",
      self:name(), tree.is_module(layer) and tree.name(layer) or check.describe(layer))
  end
  return append(self, layer)
end

--- Modules in a list, to be called by hand: nn.ModuleList{a, b}. Indexing, #, ipairs and append as in nn.Sequential.
local ModuleList = Module.class "ModuleList"
containers.ModuleList = ModuleList

function ModuleList:init(...)
  for _, module in ipairs(list(...)) do self:append(module) end
end

function ModuleList:append(module)
  self[#self + 1] = child("nn.ModuleList", #self + 1, module)
  return self
end

--- Modules by name: nn.ModuleDict{left = a, right = b}; dict.left calls for one, dict:keys() lists the names in their order.
local ModuleDict = Module.class "ModuleDict"
containers.ModuleDict = ModuleDict

function ModuleDict:init(modules)
  check.kind("nn.ModuleDict: the modules", modules or {}, "table")
  local names = {}
  for name in pairs(modules or {}) do
    if type(name) ~= "string" then check.fail("nn.ModuleDict: takes modules by name, not %s", check.describe(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do self[name] = child("nn.ModuleDict", name, modules[name]) end
end

function ModuleDict:keys()
  local names = {}
  for name in self:named_children() do names[#names + 1] = name end
  return names
end

--- Parameters in a list: nn.ParameterList{neap.zeros(3), neap.ones(2)}. Indexing, #, ipairs and append.
local ParameterList = Module.class "ParameterList"
containers.ParameterList = ParameterList

function ParameterList:init(...)
  for _, tensor in ipairs(list(...)) do self:append(tensor) end
end

function ParameterList:append(tensor)
  self[#self + 1] = Module.Parameter(tensor)
  return self
end

-- The layers among the arguments, and the table of options behind them.
local function layers_and_options(what, names, ...)
  local given = {...}
  local last, options = given[#given], nil
  if #given > 1 and type(last) == "table" and getmetatable(last) == nil then options, given[#given] = last, nil end
  given = #given == 1 and list(given[1]) or given
  if #given == 0 then check.fail("%s: takes layers", what) end
  return given, check.options(what, options, names)
end

--- x + f(x), f being the layers one after the other: nn.Residual(a, b, ...). {shortcut = layer}: shortcut(x) + f(x), where f
--- changes the shape (He et al., 2016).
local Residual = Module.class "Residual"
containers.Residual = Residual

function Residual:init(...)
  local layers, options = layers_and_options("nn.Residual", {"shortcut"}, ...)
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
