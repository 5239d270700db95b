-- neap: the library as scripts see it. What C brings (neap.core: all ops, scopes, memory, files) with what Lua adds to it;
-- the other parts (neap.nn, neap.optim, neap.data, ...) are files of their own, loaded when they are first used.

local core = require "neap.core"
local check = require "neap.check"

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

-- Names of dtypes, as {dtype = neap.int64}: the same as the text.
for _, name in ipairs(core.dtypes()) do neap[name] = name end
for name, dtype in next, core.dtype_names do neap[name] = neap[name] or dtype end

-- A part of the library; a name that is none is an error. A file that only adds to the core is no part.
local function part(_, name)
  local full = "neap." .. tostring(name)
  local is_part = type(name) == "string" and name:match "^%l[%w_]*$" and name ~= "core"
    and (package.loaded[full] ~= nil or core.has_file(full) or package.searchpath(full, package.path))
  local value = is_part and require(full)
  if value == true or not value then return check.unknown("neap", name, neap, core.parts) end
  rawset(neap, name, value)
  return value
end

return setmetatable(neap, {__index = part})
