-- clone: a copy of a model with tensors of its own. What stands in several places of the model, a module, a table or a tied
-- weight, is one in the copy too; functions, and tables with a metatable of their own, are shared.

local core = require "neap.core"
local tree = require "neap.nn.tree"

local BOOK = tree.BOOK
local native_clone = core.module_methods.clone -- C's own, of one of its trees

local function copy_tensor(t)
  local new = t:detach():clone()
  if t.requires_grad and t.is_leaf then new:requires_grad_(true) end
  return core.is_parameter(t) and core.mark_parameter(new) or core.keep(new)
end

local copy

local function copy_fields(from, to, done)
  for key, value in next, from do
    if key ~= BOOK then rawset(to, key, copy(value, done)) end
  end
  return to
end

local function copy_list(list)
  return list and table.move(list, 1, #list, 1, {})
end

local function copy_book(book)
  local new = {
    order = copy_list(book.order), seen = {}, roles = {}, values = {},
    before = copy_list(book.before), after = copy_list(book.after),
  }
  for key in next, book.seen do new.seen[key] = true end
  for key, role in next, book.roles do new.roles[key] = role end
  return new
end

function copy(value, done)
  if done[value] then return done[value] end
  if tree.is_lua(value) then
    local book = value[BOOK]
    local new = tree.instance(getmetatable(value).class, copy_book(book))
    done[value] = new
    copy_fields(book.values, new[BOOK].values, done)
    return copy_fields(value, new, done)
  elseif type(value) == "table" and getmetatable(value) == nil then
    done[value] = {}
    return copy_fields(value, done[value], done)
  elseif tree.is_native(value) then
    done[value] = native_clone(value)
  elseif core.is_tensor(value) then
    done[value] = copy_tensor(value)
  else
    return value
  end
  return done[value]
end

-- The tensors that a module of C holds itself, by name.
local function own(module)
  local names, tensors = core.module_each(module)
  local list = {}
  for i, name in ipairs(names) do
    if not name:find(".", 1, true) then list[name] = tensors[i] end
  end
  return list
end

-- Weights tied between modules of C, or to a field of Lua, are tied in the copy.
local function tie(from, to, done)
  local a, b = from:modules(), to:modules()
  for i, module in ipairs(a) do
    if tree.is_native(module) and not module:is_waiting() then
      local new = own(b[i])
      for name, tensor in pairs(own(module)) do
        if not done[tensor] then done[tensor] = new[name]
        elseif done[tensor] ~= new[name] then b[i][name] = done[tensor] end
      end
    end
  end
  return to
end

return function(module)
  local _ <close> = core.no_grad()
  local done = {}
  return tie(module, copy(module, done), done)
end
