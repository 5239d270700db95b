-- nn: layers. nn.NAME(...) is a row of C's layer table; nn.class makes layers written in Lua; the two mix freely, and both
-- have the methods of nn/tree.lua. Containers, initialisers and what is done to gradients before an update are here too.

local core = require "neap.core"
local tree = require "neap.nn.tree"
local Module = require "neap.nn.module"
local containers = require "neap.nn.containers"

local nn = {}

-- What C's modules do not have themselves they get from the tree's walks.
for name, method in pairs(tree.methods) do
  if core.module_methods[name] == nil then core.module_methods[name] = method end
end
-- A tree may mix both kinds, so these must be the same walk for both.
for _, name in ipairs { "state_dict", "load_state_dict", "apply", "named_children", "named_modules", "modules", "save", "load", "requires_grad_" } do
  core.module_methods[name] = tree.methods[name]
end

for name, layer in pairs(core.layers) do nn[name] = layer end
for name, container in pairs(containers) do nn[name] = container end

-- How the path of an error names a child: the field, or the place in a list, that holds it.
function core.glue.find(parent, child)
  for key, value in next, parent do
    if rawequal(value, child) then return tostring(key) end
    if type(value) == "table" and not tree.is_module(value) and key ~= tree.BOOK then
      for inner, item in next, value do
        if rawequal(item, child) then return key .. "." .. tostring(inner) end
      end
    end
  end
  return nil
end

nn.class = Module.class
nn.Parameter = Module.Parameter
nn.Module = Module
nn.init = require "neap.nn.initialise"
nn.functional = core -- the ops

nn.utils = { clip_grad_norm_ = core.clip_grad_norm_, clip_grad_value_ = core.clip_grad_value_ }
nn.clip_grad_norm, nn.clip_grad_value = core.clip_grad_norm_, core.clip_grad_value_

local function penalty(parameters, term)
  local total = 0
  for _, p in ipairs(parameters) do total = term(p):sum() + total end
  return total
end

--- The sum of |w| over a list of parameters: a tensor with a history, to be scaled and added to a loss.
function nn.l1_penalty(parameters) return penalty(parameters, function(p) return p:abs() end) end

--- The sum of w^2 over a list of parameters.
function nn.l2_penalty(parameters) return penalty(parameters, function(p) return p:square() end) end

return nn
