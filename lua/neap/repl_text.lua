-- repl_text: how the REPL shows a table: on one line where it fits, else an entry a line, down to a depth and up to a number
-- of entries. What prints itself inside of it, a tensor or a model, takes one line. Nothing is called but __tostring.

local core = require "neap.core"

local DEPTH, MOST, INNER, LONG = 4, 20, 10, 60 -- tables inside of tables; entries of one, and of those inside; characters of a text

local function prints_itself(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

local function quoted(text)
  if #text > LONG then text = text:sub(1, LONG) .. "..." end
  return '"' .. text:gsub('[%c"\\]', {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r"})
    :gsub("%c", function(c) return ("\\%03d"):format(c:byte()) end) .. '"'
end

-- A large tensor as its dtype and shape.
local function one_line(value)
  local text = tostring(value)
  if core.is_tensor(value) and (#text > LONG or text:find "\n") then return "tensor " .. text:match "[^%s{}]+ %([^()]*%)[%l_ ]*$" end
  local first = text:match "^[^\n]*"
  return first == text and text or first .. (first:find "%($" and "...)" or " ...")
end

local function key_text(key)
  if type(key) == "string" then return key:match "^[%a_][%w_]*$" and key or ("[%s]"):format(quoted(key)) end
  return ("[%s]"):format(one_line(key))
end

-- Keys that are no positions of the list, in order.
local function other_keys(list, n)
  local keys = {}
  for key in next, list do
    if math.type(key) ~= "integer" or key < 1 or key > n then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) ~= type(b) and type(a) < type(b)
  end)
  return keys
end

local show

-- The entries as texts, each for a line that is `indent` wide already, and how many are left out.
local function entries(list, indent, width, around)
  local n, parts, most = rawlen(list), {}, around.depth == 1 and MOST or INNER
  local keys = other_keys(list, n)
  for i = 1, math.min(n, most) do parts[i] = show(rawget(list, i), indent, width, around) end
  for i = 1, math.min(#keys, most - #parts) do
    local key = key_text(keys[i]) .. " = "
    parts[#parts + 1] = key .. show(rawget(list, keys[i]), indent, width - #key, around)
  end
  local left = n + #keys - #parts
  if left > 0 then parts[#parts + 1] = ("... %d more"):format(left) end
  return parts, #keys == 0
end

-- Entries of a list one after the other, in lines of a width; nil when one of them takes more than a part of a line.
local function flowing(parts, margin, width)
  local lines, line = {}, ""
  for i, part in ipairs(parts) do
    if #part > 20 then return nil end
    if line ~= "" and #line + #part + 2 > width then lines[#lines + 1], line = line, "" end
    line = line .. (line == "" and "" or " ") .. part .. (i < #parts and "," or "")
  end
  lines[#lines + 1] = line
  return table.concat(lines, margin)
end

function show(value, indent, width, around)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "function" then return "function" end
  if type(value) ~= "table" or prints_itself(value) then return one_line(value) end
  if next(value) == nil then return "{}" end
  if around[value] or around.depth == DEPTH then return "{...}" end
  around[value], around.depth = true, around.depth + 1
  local parts, is_list = entries(value, indent + 2, width, around)
  around[value], around.depth = nil, around.depth - 1
  local line = "{" .. table.concat(parts, ", ") .. "}"
  if #line + indent <= width and not line:find "\n" then return line end
  local margin = "\n" .. (" "):rep(indent + 2)
  local body = is_list and flowing(parts, margin, width - indent - 2) or table.concat(parts, "," .. margin)
  return "{" .. margin .. body .. "\n" .. (" "):rep(indent) .. "}"
end

--- A value as the REPL shows it: a table's entries; anything else as it prints.
return function(value)
  if type(value) ~= "table" or prints_itself(value) then return value end
  return show(value, 0, core.terminal_width() or 80, {depth = 0})
end
