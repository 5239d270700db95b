-- neap: the library as scripts see it. What C brings (neap.core: all ops, scopes, memory, files) with what Lua adds to it;
-- the other parts (neap.nn, neap.optim, neap.data, ...) are files of their own, loaded when they are first used.

local core = require "neap.core"

-- Chunk names of Neap's own files begin like this one's: errors name the first line outside of them.
core.own((debug.getinfo(1, "S").source:gsub("init%.lua$", "")))

require "neap.tensor"
require "neap.random"
require "neap.pointwise"
require "neap.autograd"
require "neap.functional"
require "neap.losses"
require "neap.native"
require "neap.help"

-- What C lends to Neap's own Lua alone stays in neap.core.
local internal = {}
for name in ([[own has_file embedded push_path pop_path path_at_work module_each module_children module_forward module_hooked module_set penalty
  sequential sequential_set is_parameter mark_parameter]]):gmatch "%S+" do
  internal[name] = true
end

local neap = {}
for name, value in next, core do
  if type(value) == "function" and not internal[name] then neap[name] = value end
end

local utils = require "neap.nn.utils"
neap.clip_grad_norm_, neap.clip_grad_value_ = utils.clip_grad_norm_, utils.clip_grad_value_ -- models and options too

local files = require "neap.files"
neap.save, neap.load = files.save, files.load

-- A part of the library, or nil: a name that is none stays nil, as in any table.
local function part(_, name)
  if type(name) ~= "string" or not name:match "^%l[%w_]*$" or name == "core" then return nil end
  local full = "neap." .. name
  if package.loaded[full] == nil and not core.has_file(full) and not package.searchpath(full, package.path) then return nil end
  local value = require(full)
  rawset(neap, name, value)
  return value
end

return setmetatable(neap, {__index = part})
