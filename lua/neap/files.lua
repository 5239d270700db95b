-- files: neap.save and neap.load, tables of tensors as safetensors files. A table with nothing but tensors is written
-- with its keys as names, which other programs read. A table of tables (a checkpoint: model, optimizer, epoch) is laid
-- flat: names are paths with "/" between keys, "#" before a position, and numbers, strings and bools lie in the file's
-- metadata by the same names. Nothing in such a file is code.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local files = {}

local FORMAT, TREE = "neap.format", "tree"
local VALUE = "neap.value/" -- before the metadata names of what is no tensor

-- Whether a file's header, which is text, can hold a string as it is.
local function is_text(value)
  return utf8.len(value) and not value:find("\0", 1, true)
end

-- A key as a part of a path, and back.
local function escape(key)
  if math.type(key) == "integer" then return "#" .. key end
  if not is_text(key) then return (key:gsub("[^%w_]", function(c) return ("%%%02X"):format(c:byte()) end)) end
  return (key:gsub("[/%%]", function(c) return ("%%%02X"):format(c:byte()) end):gsub("^#", "%%23"))
end

local function unescape(part)
  if part:sub(1, 1) == "#" then return math.tointeger(tonumber(part:sub(2))) or part end
  return (part:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- What is no tensor as text that says its type, and back.
local function encode(value)
  if type(value) == "boolean" then return "b" .. tostring(value) end
  if math.type(value) == "integer" then return "i" .. value end
  if type(value) == "number" then return "n" .. ("%.17g"):format(value) end
  if type(value) ~= "string" then return nil end
  return is_text(value) and "s" .. value or "x" .. value:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
end

local special = {inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["-nan"] = 0 / 0}

local function decode(text)
  local kind, rest = text:sub(1, 1), text:sub(2)
  if kind == "b" then return rest == "true" end
  if kind == "i" then return math.tointeger(tonumber(rest)) end
  if kind == "n" then return special[rest] or (tonumber(rest) or 0) + 0.0 end
  if kind == "s" then return rest end
  if kind == "x" then return (rest:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)) end
  return {}
end

-- Lays a table flat into tensors and metadata. within: the tables around, since one inside itself has no end.
local function flatten(value, path, tensors, metadata, within)
  if core.is_tensor(value) then
    tensors[path] = value
  elseif tree.is_module(value) then
    flatten(value:state_dict(), path, tensors, metadata, within)
  elseif type(value) == "table" and getmetatable(value) == nil then
    if within[value] then check.fail("neap.save: the table at '%s' holds itself", path) end
    within[value] = true
    if path ~= "" then metadata[VALUE .. path] = "t" end
    for key, item in next, value do
      if (type(key) ~= "string" or key == "") and math.type(key) ~= "integer" then
        check.fail("neap.save: a key in '%s' is %s; keys are whole numbers or strings of one letter at least", path, check.describe(key))
      end
      flatten(item, path == "" and escape(key) or path .. "/" .. escape(key), tensors, metadata, within)
    end
    within[value] = nil
  else
    metadata[VALUE .. path] = encode(value) or
      check.fail("neap.save: '%s' is %s, which a file cannot hold", path, check.describe(value))
  end
end

-- Whether all values are tensors and all keys texts.
local function is_plain(value)
  for key, item in next, value do
    if type(key) ~= "string" or key == "" or not is_text(key) or not core.is_tensor(item) then return false end
  end
  return true
end

--- Writes tensors to a file (safetensors), atomically: a kill leaves the old file or the new one. value: a module, or a
--- table of tensors, tables, modules, numbers, strings and bools. Returns true, or nil, message and code.
function files.save(path, value)
  check.kind("neap.save: the path", path, "string")
  if tree.is_module(value) then value = value:state_dict() end
  if type(value) ~= "table" then
    check.fail("neap.save: takes a table of tensors or a module, not %s", check.describe(value))
  end
  if is_plain(value) then return core.save(path, value) end
  local tensors, metadata = {}, {[FORMAT] = TREE}
  flatten(value, "", tensors, metadata, {})
  return core.save(path, tensors, metadata)
end

-- The table of a laid-out file, whose names may come from anywhere: a path through what is no table is skipped.
local function unflatten(tensors, metadata)
  local root, entries = {}, {}
  for name, text in pairs(metadata) do
    if name:sub(1, #VALUE) == VALUE then entries[#entries + 1] = {name:sub(#VALUE + 1), decode(text)} end
  end
  for name, tensor in pairs(tensors) do entries[#entries + 1] = {name, tensor} end
  table.sort(entries, function(a, b) return #a[1] < #b[1] end) -- tables before what is in them
  for _, entry in ipairs(entries) do
    local at, last = root, nil
    for part in entry[1]:gmatch "[^/]+" do
      if last ~= nil and at then
        local next_table = at[last]
        at = type(next_table) == "table" and next_table or nil
      end
      last = unescape(part)
    end
    if at and last ~= nil then at[last] = entry[2] end
  end
  return root
end

--- Reads a file of tensors (safetensors): a table by name, or what neap.save was given; and the file's metadata, a table
--- of strings. Tensors of the table share the file's memory until they are changed elsewhere. nil, message and code when
--- it cannot be read: local state = assert(neap.load "state.safetensors").
function files.load(path)
  check.kind("neap.load: the path", path, "string")
  local tensors, metadata, code = core.load(path)
  if not tensors then return nil, metadata, code end
  if metadata[FORMAT] == TREE then return unflatten(tensors, metadata), metadata end
  return tensors, metadata
end

return files
