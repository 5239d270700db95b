-- settings: what a rule calls its settings here, and what C calls them. `betas = {a, b}` stands for C's beta1 and beta2,
-- everywhere, and so do the other names in `lists`.

local core = require "neap.core"
local check = require "neap.check"

local settings = {}

-- PyTorch's settings that are several numbers, and C's names of these.
local lists = {
  betas = {"beta1", "beta2"}, etas = {"etaminus", "etaplus"}, step_sizes = {"step_size_min", "step_size_max"},
  ns_coefficients = {"ns_a", "ns_b", "ns_c"}, eps = {"eps1", "eps2"},
}
local list_of = {}
for name, parts in pairs(lists) do
  for _, part in ipairs(parts) do list_of[part] = name end
end

--- By rule: what its settings are called here (names, in order), which of these are lists, C's settings by name (params), the
--- defaults as an optimizer has them, the names of its state (slots, scalars), and whether it is told losses.
local rows = {}
settings.rows = rows
for _, row in ipairs(core.rule_rows()) do
  local one = {names = {}, lists = {}, params = {}, defaults = {}, slots = row.slots, scalars = row.scalars, told = row.told}
  for _, param in ipairs(row.params) do
    local list = list_of[param.name]
    local name = list or param.name
    if not one.lists[name] then one.names[#one.names + 1] = name end
    if list then
      one.lists[list], one.defaults[list] = lists[list], one.defaults[list] or {}
      for i, part in ipairs(lists[list]) do
        if part == param.name then one.defaults[list][i] = param.default end
      end
    else
      one.defaults[name] = param.default
    end
    one.params[param.name] = param
  end
  rows[row.name] = one
end

--- The numbers of a list setting, by C's names, into out.
function settings.take_list(what, name, value, out)
  local row = rows[what]
  local parts = row.lists[name]
  local good = type(value) == "table"
  for i, part in ipairs(good and parts or {}) do
    local number = value[i]
    if number == nil then good = good and row.params[part].default == nil else good = good and type(number) == "number" end
    out[part] = number
  end
  for key in pairs(good and value or {}) do good = good and parts[key] ~= nil end
  if not good then check.fail("%s: %s is a list of %d numbers, not %s", what, name, #parts, check.describe(value)) end
end

--- Options of a rule as C takes them.
function settings.for_c(what, options)
  if options == nil then return nil end
  if type(options) ~= "table" then
    check.fail("%s: options are a table, as in {lr = 0.1}, not %s", what, check.describe(options))
  end
  local out, row = {}, rows[what]
  for key, value in pairs(options) do
    if row.lists[key] then settings.take_list(what, key, value, out)
    elseif type(key) ~= "string" or row.params[key] or key == "params" then out[key] = value
    else check.options(what, {[key] = value}, row.names) end
  end
  return out
end

--- All settings of a new group: options as C takes them, laid over the rule's own.
function settings.defaults(what, given)
  local row, out = rows[what], {}
  for _, name in ipairs(row.names) do
    local parts = row.lists[name]
    if parts then
      out[name] = {}
      for i, part in ipairs(parts) do
        if given[part] ~= nil then out[name][i] = given[part] else out[name][i] = row.defaults[name][i] end
      end
    elseif given[name] ~= nil then out[name] = given[name]
    else out[name] = row.defaults[name] end
  end
  return out
end

return settings
