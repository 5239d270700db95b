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

return containers
