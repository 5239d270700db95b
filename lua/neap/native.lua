-- native: what modules of C get from Lua: forward hooks, printing as a tree, and their place in a model for error messages.
-- C never calls Lua, so while any of them has a hook, a call comes here and goes through the containers child by child.

local core = require "neap.core"
local check = require "neap.check"

local glue, methods = core.glue, core.module_methods

local hooks = setmetatable({}, {__mode = "k"}) -- module -> {before = list, after = list}

local function hooked_below(module)
  for _, child in ipairs(module:children()) do
    if hooks[child] or hooked_below(child) then return true end
  end
  return false
end

local leaving = setmetatable({}, {__close = function() core.pop_path() end})

local forward

-- Without hooks of its own, but with those of what it holds.
local function inner(module, ...)
  if not hooked_below(module) then return core.module_forward(module, ...) end
  if module:name() ~= "Sequential" then
    check.fail("%s: something inside of it has a hook, which this layer, made in C, cannot run; hook the layer itself", module:name())
  end
  core.push_path(module)
  local _ <close> = leaving
  local x = ...
  for i = 1, #module do x = forward(module[i], x) end
  return x
end

function forward(module, ...)
  local own = hooks[module]
  if not own then return inner(module, ...) end
  local args = table.pack(...)
  for _, hook in ipairs(own.before) do
    local changed = hook(module, args)
    if type(changed) == "table" then
      args = changed
      args.n = args.n or #args
    elseif changed ~= nil then
      args = {n = 1, changed}
    end
  end
  local out = table.pack(inner(module, table.unpack(args, 1, args.n)))
  for _, hook in ipairs(own.after) do
    local changed = table.pack(hook(module, args, table.unpack(out, 1, out.n)))
    if changed[1] ~= nil then out = changed end
  end
  return table.unpack(out, 1, out.n)
end

glue.forward = forward

local function add(module, list, hook)
  check.kind("a hook", hook, "function")
  local own = hooks[module]
  if not own then
    own = {before = {}, after = {}}
    hooks[module] = own
    core.module_hooked(module, true)
  end
  table.insert(own[list], hook)
  return {
    remove = function()
      for i, one in ipairs(own[list]) do
        if one == hook then
          table.remove(own[list], i)
          break
        end
      end
      if #own.before + #own.after == 0 and hooks[module] == own then
        hooks[module] = nil
        core.module_hooked(module, false)
      end
    end,
  }
end

--- hook(module, args, output, ...) runs after each forward; what it returns, unless nil, takes the outputs' place. Returns a
--- handle with remove().
function methods:register_forward_hook(hook) return add(self, "after", hook) end

--- hook(module, args) runs before each forward; it may return another list of arguments, or the argument.
function methods:register_forward_pre_hook(hook) return add(self, "before", hook) end

for _, name in ipairs {"register_buffer", "register_parameter", "add_module"} do
  methods[name] = function(self)
    check.fail("%s: a %s is made in C and holds what it is made of; a class of nn.class can hold more beside it", name, self:name())
  end
end

function glue.module_text(module)
  return require "neap.nn.tree".text(module)
end

-- The way from a module down to one below it, through containers that are not called; nil: there is none.
local function way(tree, parent, child, seen)
  local below, found = {}, nil
  seen[parent] = true
  tree.each_child(parent, function(_, module, path)
    if rawequal(module, child) then found = found or path end
    below[#below + 1] = {module, path}
  end)
  for _, one in ipairs(found and {} or below) do
    local rest = not seen[one[1]] and way(tree, one[1], child, seen)
    if rest then return one[2] .. rest end
  end
  return found
end

--- How a child stands in its parent, as Lua writes it: ".body", ".blocks[2]", "[3]".
function glue.child_path(parent, child)
  local tree = require "neap.nn.tree"
  return way(tree, parent, child, {}) or (".(%s)"):format(tree.name(child))
end

--- A name that a module has not is nil, as code may ask which parts there are; one that is nearly a method's is an error.
function glue.no_method_of(module, name)
  local names = {}
  for known in next, methods do names[#names + 1] = known end
  table.sort(names)
  local near = check.hint(name, names)
  if near ~= "" and #name > 3 then check.fail("%s has no '%s'%s", module:name(), name, near) end
end
