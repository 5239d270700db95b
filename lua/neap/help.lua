-- help: what the tables say of an op, a layer or an update rule, as text. neap.help "matmul", neap.help "Linear",
-- neap.help() for all names.

local core = require "neap.core"
local check = require "neap.check"

local function value_text(p)
  if p.default == nil then return p.optional and "nil" or nil end
  return type(p.default) == "string" and ("'%s'"):format(p.default) or tostring(p.default)
end

-- "x, dims = nil, keepdim = false"
local function arguments(params, first)
  local out = {}
  for i = first, #params do
    local default = value_text(params[i])
    out[#out + 1] = params[i].name .. (default and " = " .. default or "")
  end
  return table.concat(out, ", ")
end

local function lines_of(params)
  local out = {}
  for _, p in ipairs(params) do
    if p.choices then out[#out + 1] = ("  %s: one of %s"):format(p.name, (p.choices:gsub("|", ", "))) end
  end
  return out
end

local function op_text(op)
  local lines = {("neap.%s(%s)"):format(op.name, arguments(op.params, 1))}
  local first = op.params[1]
  if first and not op.marks.creates and (first.kind == "tensor" or first.kind == "operand") then
    lines[1] = lines[1] .. ("   or   %s:%s(%s)"):format(first.name, op.name, arguments(op.params, 2))
  end
  if op.marks.in_place then
    lines[#lines + 1] = ("%s:%s_(...) writes the result into %s."):format(first.name, op.name, first.name)
  end
  lines[#lines + 1] = op.doc
  if #op.outputs > 1 then lines[#lines + 1] = "  returns " .. table.concat(op.outputs, ", ") end
  table.move(lines_of(op.params), 1, #op.params, #lines + 1, lines)
  if op.example and op.example ~= "" then lines[#lines + 1] = "  " .. op.example end
  return table.concat(lines, "\n")
end

local function row_text(prefix, suffix)
  return function(row)
    local list = arguments(row.params, 1)
    local lines = {("%s%s(%s)"):format(prefix, row.name, suffix and ("parameters, {%s}"):format(list) or list), row.doc}
    table.move(lines_of(row.params), 1, #row.params, #lines + 1, lines)
    if row.example and row.example ~= "" then lines[#lines + 1] = "  " .. row.example end
    return table.concat(lines, "\n")
  end
end

local function kinds()
  return {
    {core.ops(), op_text, "ops"},
    {core.layer_rows(), row_text "neap.nn.", "layers"},
    {core.rule_rows(), row_text("neap.optim.", true), "update rules"},
  }
end

local function all_names()
  local lines = {}
  for _, kind in ipairs(kinds()) do
    local names = {}
    for _, row in ipairs(kind[1]) do
      if not (row.marks and row.marks.hidden) then names[#names + 1] = row.name end
    end
    table.sort(names)
    lines[#lines + 1] = ("%d %s: %s"):format(#names, kind[3], table.concat(names, " "))
  end
  return table.concat(lines, "\n\n")
end

--- The text of one op, layer or rule; without a name, all names.
function core.help(name)
  if name == nil then return all_names() end
  check.kind("help: the name", name, "string")
  local short, names = name:match "([%w_]+)$" or name, {}
  short = core.aliases[short] or core.aliases[short:gsub("_$", "")] or short
  for _, kind in ipairs(kinds()) do
    for _, row in ipairs(kind[1]) do
      if row.name == short or row.name .. "_" == short then return kind[2](row) end
      names[#names + 1] = row.name
    end
  end
  check.fail("help: there is no '%s'%s", name, check.hint(short, names))
end
