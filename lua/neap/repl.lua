-- repl: what the program's REPL asks of Lua: how the name before the cursor could go on, and how results are shown. Names are
-- those of globals, of fields, and of methods; nothing is called or indexed through functions, so completing runs no code.

local core = require "neap.core"
local text = require "neap.repl_text"

local repl = {}

-- The tables that a value's names are in.
local function tables_of(value)
  local list = {}
  if core.is_tensor(value) then
    list[1] = core.tensor_methods
  elseif type(value) == "userdata" and core.is_module(value) then
    list[1] = core.module_methods
  else
    for _ = 1, 10 do -- through __index, as far as it is tables
      if type(value) == "table" then list[#list + 1] = value end
      local meta = debug.getmetatable(value)
      value = type(meta) == "table" and rawget(meta, "__index") or nil
      if type(value) ~= "table" then break end
    end
  end
  return list
end

local function field(value, name)
  if value == package.loaded.neap and core.parts[name] then return require("neap." .. name) end
  for _, one in ipairs(tables_of(value)) do
    local found = rawget(one, name)
    if found ~= nil then return found end
  end
end

local function names_of(value, start)
  local names, seen = {}, {}
  local function add(name)
    if type(name) == "string" and name:sub(1, #start) == start and name:match "^[%a_][%w_]*$" and not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  for _, one in ipairs(tables_of(value)) do
    for name in next, one do add(name) end
  end
  if value == package.loaded.neap then
    for name in next, core.parts do add(name) end
  end
  table.sort(names)
  return names
end

local function common(names)
  local first, last = names[1], names[#names]
  local n = 0
  while n < #first and first:byte(n + 1) == last:byte(n + 1) do n = n + 1 end
  return first:sub(1, n)
end

local function columns(names)
  local width = 0
  for _, name in ipairs(names) do width = math.max(width, #name + 2) end
  local each, lines = math.max(1, 80 // width), {}
  for i = 1, #names, each do
    local row = {}
    for k = i, math.min(i + each - 1, #names) do row[#row + 1] = names[k] .. (" "):rep(width - #names[k]) end
    lines[#lines + 1] = (table.concat(row):gsub("%s+$", ""))
  end
  return table.concat(lines, "\n")
end

--- What surely comes next after a line's text (perhaps ""), and, where there are several ways to go on, all of them as
--- text to show, else nil.
function repl.complete(line)
  local path, start = line:match "([%a_][%w_%.:]*[%.:])([%w_]*)$"
  if not path then
    path, start = "", line:match "([%a_][%w_]*)$"
    if not start then return line:match "^%s*$" and "  " or "", nil end
  end
  local value = _G
  for name in path:gmatch "[%a_][%w_]*" do
    value = field(value, name)
    if value == nil then return "", nil end
  end
  local names = names_of(value, start)
  if #names == 0 then return "", nil end
  local sure = common(names):sub(#start + 1)
  return sure, #names > 1 and columns(names) or nil
end

--- Prints what an expression gave, with what is in its tables.
function repl.print(...)
  local values = table.pack(...)
  for i = 1, values.n do values[i] = text(values[i]) end
  print(table.unpack(values, 1, values.n))
end

return repl
