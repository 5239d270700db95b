-- A layer written in Lua that several specs build models from, and the names that an iterator gives.

local neap = require "neap"
local nn = neap.nn

local modules = {}

-- A layer with a parameter of its own.
local Scale = nn.class "Scale"

function Scale:init(n)
  self.weight = nn.Parameter(neap.ones(n))
  self:register_buffer("seen", neap.zeros(1))
end

function Scale:forward(x)
  if self.training then self.seen:add_(1) end
  return x * self.weight
end

local function names(iterator)
  local out = {}
  for name in iterator do out[#out + 1] = name end
  return out
end

modules.Scale, modules.names = Scale, names
return modules
