-- help: what Neap says of itself. Ops, layers and update rules are described by their rows, Lua functions by the comments
-- above them (help/comments.lua), what else is made in C by help/binding.lua. neap.help "matmul", neap.help "nn.Linear",
-- neap.help "x:item", neap.help "data"; neap.help() shows what there is.

local core = require "neap.core"
local check = require "neap.check"
local comments = require "neap.help.comments"
local tree = require "neap.nn.tree"

-- ---- rows ----

local function value_text(p)
  if p.default == nil then return p.optional and "nil" or nil end
  return type(p.default) == "string" and ("'%s'"):format(p.default) or tostring(p.default)
end

-- "x, dims = nil, keepdim = false"; what may be nil before something required: "in_features?, out_features"
local function arguments(params, first)
  local out, last = {}, #params
  while last > 0 and params[last].optional do last = last - 1 end
  for i = first, #params do
    local default = value_text(params[i])
    out[#out + 1] = params[i].name .. (i < last and default == "nil" and "?" or default and " = " .. default or "")
  end
  return table.concat(out, ", ")
end

-- What an op takes besides its parameters.
local option_texts = {
  base = "option base = 0: positions in tensors count from 0, as in files that others wrote",
  requires_grad = "option requires_grad = true: gradients flow to it",
}

-- The lines behind the heading: sentence, what a layer's call takes, what comes out, choices, options, example.
local function row_lines(row, lines)
  lines[#lines + 1] = row.doc
  if row.marks and row.marks.list then lines[#lines + 1] = ("  returns %s, a list"):format(row.outputs[1]) end
  if row.inputs then
    lines[#lines + 1] = ("  called as layer(%s) -> %s"):format(arguments(row.inputs, 1), table.concat(row.outputs, ", "))
  elseif row.outputs and #row.outputs > 1 then lines[#lines + 1] = "  returns " .. table.concat(row.outputs, ", ") end
  for _, p in ipairs(row.params) do
    if p.choices then lines[#lines + 1] = ("  %s: %sone of %s"):format(p.name, p.kind == "ints" and "numbers or " or "", (p.choices:gsub("|", ", "))) end
  end
  for _, name in ipairs{"base", "requires_grad"} do
    if row.options and row.options[name] then lines[#lines + 1] = "  " .. option_texts[name] end
  end
  if row.example and row.example ~= "" then lines[#lines + 1] = "  " .. row.example end
  return table.concat(lines, "\n")
end

-- Whether an op is a method of its first argument, as its row says it.
local function is_method(op)
  local first = op.params[1]
  return first and not op.marks.creates and (first.kind == "tensor" or first.kind == "operand") and rawequal(core.tensor_methods[op.name], core[op.name])
end

-- Second names of an op, in order.
local function other_names(op)
  local names = {}
  for alias, name in pairs(core.aliases) do
    if name == op.name then names[#names + 1] = alias end
  end
  table.sort(names)
  return names
end

local function op_text(op)
  local lines = {("neap.%s(%s)"):format(op.name, arguments(op.params, 1))}
  local first = op.params[1]
  if is_method(op) then
    local as_method = ("%s:%s(%s)"):format(first.name, op.name, arguments(op.params, 2))
    if #lines[1] + #as_method > 100 then lines[2] = as_method
    else lines[1] = lines[1] .. "   or   " .. as_method end
  end
  if op.marks.in_place then
    lines[#lines + 1] = ("%s:%s_(...) writes the result into %s."):format(first.name, op.name, first.name)
  end
  local text, others = row_lines(op, lines), other_names(op)
  return #others > 0 and text .. "\n  other names: " .. table.concat(others, ", ") or text
end

local function layer_text(row) return row_lines(row, {("neap.nn.%s(%s)"):format(row.name, arguments(row.params, 1))}) end

local function rule_text(row)
  return row_lines(row, {("neap.optim.%s(parameters, {%s})"):format(row.name, arguments(row.params, 1))})
end

local function schedule_text(row)
  return row_lines(row, {("neap.optim.lr.%s(optimizer, %s)"):format(row.name, arguments(row.params, 1))})
end

-- ---- all that has a name ----

-- The parts of neap that are loaded when first used: name -> true.
core.parts = {}
local parts = {"nn", "optim", "data", "train", "metrics", "plot", "linalg", "distributions"}
for _, part in ipairs(parts) do core.parts[part] = true end

-- Names that only Neap's own Lua uses.
local internal = {["loader:new"] = true}
for kind, names in pairs {
  optimizer = "add group_count group_size parameter get set steps state state_shape scalar tell cancel lbfgs_state set_lbfgs_state",
  module = "text init class Parameter",
} do
  for name in names:gmatch "%S+" do internal[kind .. ":" .. name] = true end
end

local entries, by_full -- a list of {full = "neap.data.split", last = "split", text = function, row = made from a table}; and by full name

local function add(full, text, family)
  if by_full[full] or internal[full] then return end
  local entry = {full = full, last = full:match "[%w_]+$", text = text, family = family}
  by_full[full] = entry
  entries[#entries + 1] = entry
end

-- Functions of neap that are methods too are written as methods first.
local function heading(full, parameters, text, has_self)
  local name = full:match "^neap%.([%w_]+)$"
  local line = ("%s(%s)"):format(full, parameters)
  if name and rawequal(core.tensor_methods[name], core[name]) then
    local rest = has_self and parameters or parameters:match "^[%w_]+, (.*)$" or ""
    line = ("x:%s(%s)   or   neap.%s(x%s)"):format(name, rest, name, rest == "" and "" or ", " .. rest)
  end
  return line .. (text and "\n" .. text or "")
end

-- Puts what Lua says of a function around an op behind what the op's row says.
local function extend(entry, value, name)
  local _, doc = comments.of(value, name)
  local text = entry.text
  if doc then entry.text = function() return text() .. "\n" .. doc end end
end

local seen -- functions that have an entry

-- Functions and classes of a table of Lua, by name.
local function add_table(prefix, list)
  local names = {}
  for name in next, list do
    if type(name) == "string" and not name:match "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value, full, plain = list[name], prefix .. name, name:gsub("_$", "")
    local is_lua = type(value) == "function" and debug.getinfo(value, "S").what == "Lua"
    local op = (prefix == "neap." or prefix == "x:") and by_full["neap." .. (core.aliases[plain] or plain)]
    op = op and op.family and op
    if is_lua and op and full == op.full then extend(op, value, name) end
    if is_lua and not op and not seen[value] then
      seen[value] = true
      add(full, function() return heading(full, comments.of(value, name)) end)
    elseif type(value) == "table" and rawget(value, "names") and getmetatable(value) then -- of neap.distributions
      add(full, function()
        return heading(full, table.concat(value.names, ", "), "A probability distribution" ..
          (value.has_rsample and ", whose rsample lets gradients flow to its parameters" or "") ..
          '. neap.help "distributions" shows what all of them can do.')
      end)
    elseif type(value) == "table" and rawget(value, "init") and getmetatable(value) then
      add(full, function() return heading(full, comments.of_class(value, name)) end)
    end
  end
end

local function gather()
  entries, by_full, seen = {}, {}, {}
  for _, op in ipairs(core.ops()) do
    add("neap." .. op.name, function() return op_text(op) end, op.family)
    if op.marks.hidden then by_full["neap." .. op.name].hidden = true end -- found, but not listed
  end
  for _, row in ipairs(core.layer_rows()) do add("neap.nn." .. row.name, function() return layer_text(row) end) end
  for _, row in ipairs(core.rule_rows()) do add("neap.optim." .. row.name, function() return rule_text(row) end) end
  for _, row in ipairs(core.schedule_rows()) do add("neap.optim.lr." .. row.name, function() return schedule_text(row) end) end
  for _, entry in ipairs(entries) do entry.row = true end
  for _, one in ipairs(require "neap.help.binding") do add(one.name, function() return one.text end) end
  add_table("neap.", require "neap")
  local nn = require "neap.nn"
  add_table("neap.nn.init.", nn.init)
  add_table("neap.nn.utils.", nn.utils)
  add_table("neap.nn.utils.parametrizations.", nn.utils.parametrizations)
  add_table("neap.nn.utils.parametrize.", nn.utils.parametrize)
  local schedules = require "neap.optim.schedules"
  for _, row in ipairs(core.schedule_rows()) do extend(by_full["neap.optim.lr." .. row.name], schedules[row.name], row.name) end
  add_table("neap.optim.lr.", schedules)
  add_table("neap.optim.swa_utils.", require "neap.optim.average")
  for _, part in ipairs(parts) do add_table(("neap.%s."):format(part), require("neap." .. part)) end
  add_table("x:", core.tensor_methods)
  add_table("module:", nn.Module)
  add_table("module:", core.module_methods)
  add_table("optimizer:", core.optimizer_methods)
  add_table("loader:", require "neap.data.batches")
end

local whole = false -- what an error cut off is gathered again

local function all()
  if not whole then gather() end
  whole = true
  return entries
end

-- ---- lists of names ----

-- Names one after the other in lines of a width, behind a title.
local function listed(title, names)
  local width, lines, line = core.terminal_width() or 100, {}, title
  for _, name in ipairs(names) do
    if #line + 1 + #name > width then
      lines[#lines + 1], line = line, "   "
    end
    line = line .. " " .. name
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- The names that begin with a prefix and are no longer than one word more.
local function below(prefix)
  local names = {}
  for _, entry in ipairs(all()) do
    if entry.full:sub(1, #prefix) == prefix and entry.full:match("^[%w_]+$", #prefix + 1) and not entry.family then
      names[#names + 1] = entry.full:sub(#prefix + 1)
    end
  end
  table.sort(names)
  return names
end

local function overview()
  local families, order = {}, {}
  for _, entry in ipairs(all()) do
    if entry.family and not entry.hidden then
      if not families[entry.family] then
        families[entry.family], order[#order + 1] = {}, entry.family
      end
      table.insert(families[entry.family], entry.last)
    end
  end
  local out = {'neap.help "name" tells more: of "matmul", "nn.Linear", "x:item", "data", ...', "", "Ops, by family"}
  for _, family in ipairs(order) do
    table.sort(families[family])
    out[#out + 1] = listed("  " .. family .. ":", families[family])
  end
  out[#out + 1] = "\nFunctions, methods and fields"
  for _, prefix in ipairs{"neap.", "x:", "x.", "module:", "optimizer:", "loader:", "scope:", "generator:"} do
    out[#out + 1] = listed("  " .. prefix, below(prefix))
  end
  out[#out + 1] = "\nParts"
  for _, prefix in ipairs{"neap.nn.", "neap.nn.init.", "neap.nn.utils.", "neap.nn.utils.parametrizations.", "neap.nn.utils.parametrize.",
    "neap.optim.", "neap.optim.lr.", "neap.optim.swa_utils.", "neap.data.", "neap.train.",
    "neap.metrics.", "neap.plot.", "neap.distributions."} do
    out[#out + 1] = listed("  " .. prefix, below(prefix))
  end
  out[#out + 1] = "  neap.nn.functional. and neap.linalg. have ops, under their names there"
  return table.concat(out, "\n")
end

-- Parts inside of parts: their files.
local files = {
  ["nn.init"] = "nn/initialise.lua", ["nn.utils"] = "nn/utils.lua", ["nn.utils.parametrize"] = "nn/parametrize.lua",
  ["nn.utils.parametrizations"] = "nn/parametrize.lua", ["optim.lr"] = "optim/schedules.lua", ["optim.swa_utils"] = "optim/average.lua",
}

-- A part of the library: what its file says, and its names. nil when there is none of this name.
local function part_text(name)
  if name == "nn.functional" then return "The ops, and unfold, under the names that PyTorch has for them: neap.nn.functional.relu is neap.relu." end
  local file = files[name]
  for _, part in ipairs(parts) do
    if part == name then file = part .. ".lua" end
  end
  if not file then return nil end
  local prefix = ("neap.%s."):format(name)
  local names = below(prefix)
  if #names == 0 then -- other names for ops
    for one in next, require("neap." .. name) do names[#names + 1] = one end
    table.sort(names)
  end
  return comments.head(file) .. "\n\n" .. listed(prefix, names)
end

-- ---- looking up ----

-- What is meant by a name: the entry that it names in full or without "neap." (and then, others with this last word); else
-- all whose last word it is.
local function find(name)
  local alias = core.aliases[name] or core.aliases[(name:gsub("_$", ""))]
  for _, full in ipairs{name, "neap." .. name, "neap." .. (alias or name)} do
    if by_full[full] then
      local others = {}
      for _, entry in ipairs(entries) do
        if entry.last == name and entry ~= by_full[full] then others[#others + 1] = entry.full end
      end
      return {by_full[full]}, others
    end
  end
  local last, found = name:match "([%w_]+)$", {}
  if not last then return found end
  local plain = last:gsub("_$", "")
  for _, wanted in ipairs{last, core.aliases[last] or last, plain, core.aliases[plain] or plain, last .. "_"} do
    for _, entry in ipairs(entries) do
      if entry.last == wanted then found[#found + 1] = entry end
    end
    if #found > 0 then break end
  end
  return found
end

-- For a name that is nowhere: the nearest, or those that have it inside.
local function hint(name)
  local last, names, inside = name:match "([%w_]+)$" or name, {}, {}
  local qualified = last ~= name
  for i, entry in ipairs(entries) do
    names[i] = entry.hidden and "" or qualified and (entry.full:gsub("^neap%.", "")) or entry.last
    if #inside < 6 and #last > 2 and not entry.hidden and entry.last:lower():find(last:lower(), 1, true) then inside[#inside + 1] = entry.full end
  end
  local near = check.hint((name:gsub("^neap%.", "")), names)
  if #inside > 0 then near = near .. "; there is " .. table.concat(inside, ", ") end
  return near
end

-- What has a full name in the library; nil for methods of what is no table.
local function value_of(full)
  local neap = require "neap"
  local value = neap
  for word in full:gsub("^neap%.", ""):gmatch "[%w_]+" do
    if rawequal(value, neap) and core.parts[word] then value = require("neap." .. word)
    else value = type(value) == "table" and rawget(value, word) or nil end
  end
  return value
end

-- The name under which something that is no text is found: a function, a class, a part, or of a layer or an optimizer that
-- of its class.
local function name_of(value)
  if tree.is_module(value) then return "neap.nn." .. tree.name(value) end
  if type(value) == "userdata" and getmetatable(value) == core.optimizer_meta then return "neap.optim." .. value:name() end
  for _, entry in ipairs(entries) do
    if rawequal(value_of(entry.full), value) then return entry.full end
  end
  for name in pairs(files) do
    if rawequal(value_of(name), value) then return name end
  end
  for _, name in ipairs(parts) do
    if rawequal(value_of(name), value) then return name end
  end
end

--- The text about an op, layer, update rule, function or method, of this name or itself; about a layer or an optimizer, that
--- about its class; of a part, such as "data", what is in it; without a name, all there is.
function core.help(name)
  if name == nil or rawequal(name, require "neap") then return overview() end
  all()
  if type(name) ~= "string" then
    local full = name_of(name)
    if not full and type(name) == "function" then check.fail "help: this function is none of Neap's; help takes a name or a function" end
    if tree.is_module(name) and not by_full[full] then check.fail("help: %s is no layer of Neap's own", tree.name(name)) end
    name = full or name
  end
  check.kind("help: the name", name, "string")
  name = name:gsub("^neap%.", "")
  local part = part_text(name)
  if part then return part end
  name = name:gsub("^nn%.functional%.", "")
  local found, others = find(name)
  if #found == 0 then check.fail("help: there is no '%s'%s", name, hint(name)) end
  local texts = {}
  for i, entry in ipairs(found) do texts[i] = entry.text() end
  if others and #others > 0 then texts[1] = texts[1] .. "\n  see also " .. table.concat(others, ", ") end
  return table.concat(texts, "\n\n")
end

return {entries = all}
