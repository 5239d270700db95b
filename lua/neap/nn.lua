-- nn: layers. nn.NAME(...) is a row of C's layer table; nn.class makes layers written in Lua; the two mix freely, and both
-- have the methods of nn/tree.lua. Containers, initialisers and what is done to many parameters at once are here too.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local Module = require "neap.nn.module"
local clone, summary = require "neap.nn.clone", require "neap.nn.summary"

local nn = {
  class = Module.class, Parameter = Module.Parameter, Module = Module,
  init = require "neap.nn.initialise",
}

--- A copy of the model with tensors of its own; what stands in several places of it, a tied weight, is one in the copy too.
function tree.methods:clone() return clone(self) end

--- What the model does to an input, layer by layer: output shapes, parameters, multiply-adds, and bytes of parameters and
--- outputs, as a list that prints itself. Takes shapes, batch included, or tensors: print(model:summary{64, 1, 28, 28}).
function tree.methods:summary(...) return summary(self, ...) end

Module.clone, Module.summary = tree.methods.clone, tree.methods.summary

-- Modules of C bring what must be fast; for the rest, both kinds share one walk over trees that may mix them.
local own = {train = true, eval = true, is_training = true, is_waiting = true, to = true, zero_grad = true}
for name, method in pairs(tree.methods) do
  if not own[name] then core.module_methods[name] = method end
end

for _, row in ipairs(core.layer_rows()) do
  local name, layer, first = row.name, core.layers[row.name], row.params[1]
  nn[name] = layer
  if first and first.optional and (first.name:find "^in_" or first.name == "num_features") then
    --- The layer of that name without the first setting, a size that is then taken from the first input:
    --- nn.LazyLinear(10) is nn.Linear(nil, 10).
    nn["Lazy" .. name] = function(...) return layer(nil, ...) end
  end
end
for name, container in pairs(require "neap.nn.containers") do nn[name] = container end
for name, made in pairs(require "neap.nn.transformer") do nn[name] = made end
for name, loss in pairs(require "neap.nn.losses") do nn[name] = loss end
for name, layer in pairs(require "neap.nn.variants") do nn[name] = layer end

-- The ops under the name that PyTorch's users look for.
local functional = {unfold = core.im2col}
nn.functional = setmetatable(functional, {
  __index = function(_, name)
    return type(core[name]) == "function" and core[name] or check.unknown("nn.functional", name, functional, core)
  end,
})

nn.utils = {}
for _, part in ipairs{"utils", "sequences"} do
  for name, f in pairs(require("neap.nn." .. part)) do nn.utils[name] = f end
end
local parametrize = require "neap.nn.parametrize"
nn.utils.parametrize = parametrize
nn.utils.parametrizations = check.named("nn.utils.parametrizations",
  {weight_norm = parametrize.weight_norm, spectral_norm = parametrize.spectral_norm})
nn.clip_grad_norm, nn.clip_grad_value = nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_

--- The sum of |w| over a list of parameters, differentiable: loss + 1e-4 * nn.l1_penalty(model:parameters()).
function nn.l1_penalty(parameters) return core.penalty(parameters, 1, 0) end

--- The sum of w^2 over a list of parameters, differentiable.
function nn.l2_penalty(parameters) return core.penalty(parameters, 0, 1) end

check.named("nn.utils", nn.utils)
check.named("nn.utils.parametrize", parametrize)
return check.named("nn", nn)
