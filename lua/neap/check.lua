-- check: how Neap's own Lua says that it was used wrongly. A message names the first line outside of lua/neap, never
-- one of Neap's own; unknown options come with the nearest known name. Nothing here knows about tensors.

local core = require "neap.core"

local check = {}

-- All files of the library share this prefix of their chunk name, on disk as well as embedded.
local home = debug.getinfo(1, "S").source:match "^(.*)check%.lua$" or "=?"

local function is_own(source)
  return source:sub(1, #home) == home and #home > 1
end

--- "file:line: " of the first Lua function on the stack outside of Neap's own files; "" when there is none.
function check.where()
  for level = 2, 60 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.what ~= "C" and info.currentline > 0 and not is_own(info.source) then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
  return ""
end

--- Raises an error that blames the caller of the library, and names the layer at work. The arguments are those of
--- string.format.
function check.fail(format, ...)
  local text, path = format:format(...), core.path_at_work()
  if path and not text:find(path, 1, true) then text = ("%s (in layer %s)"):format(text, path) end
  error(check.where() .. text, 0)
end

-- Edits that turn a into b: insertions, deletions, replacements, each counted 1 (Levenshtein, 1965).
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local left = row[0]
    row[0] = i
    for j = 1, #b do
      local kept = left + (a:byte(i) == b:byte(j) and 0 or 1)
      left = row[j]
      row[j] = math.min(kept, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

--- The word of the list that is nearest to `word`, or nil when none is near.
function check.nearest(word, words)
  local best, least = nil, math.max(1, #word // 3) + 0.5
  for _, candidate in ipairs(words) do
    if math.abs(#word - #candidate) < least then -- else it is further away
      local d = distance(word:lower(), candidate:lower())
      if d < least then best, least = candidate, d end
    end
  end
  return best
end

--- " (did you mean 'x'?)", or "" when nothing is near.
function check.hint(word, words)
  local near = check.nearest(tostring(word), words)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

--- Raises unless `value` is an optimizer, or has the face of one. Returns it.
function check.optimizer(what, value)
  local meta = type(value) == "userdata" and debug.getmetatable(value)
  if type(value) == "table" and value.param_groups == nil or type(value) ~= "table" and not (meta and meta.__name == "neap.Optimizer") then
    check.fail("%s: takes an optimizer first, not %s", what, check.describe(value))
  end
  return value
end

--- Raises when `given` (a table or nil) has a string key that is not in the list `known`. Returns it, or an empty table.
function check.options(what, given, known)
  if given == nil then return {} end
  if type(given) ~= "table" then
    check.fail("%s: options are a table, not %s", what, check.describe(given))
  end
  for key in pairs(given) do
    if type(key) == "string" then
      local ok = false
      for _, name in ipairs(known) do ok = ok or name == key end
      if not ok then
        check.fail("%s: unknown option '%s'%s; it has %s", what, key, check.hint(key, known),
          table.concat(known, ", "))
      end
    end
  end
  return given
end

--- Settings that stand in order, by name in a last table, or both. given: what table.pack made of the arguments; more: names
--- that the table alone may have. Returns a table by name; or nil and how many stand in order, when those are too many.
function check.settings(what, names, more, given)
  local n, out = given.n, {}
  local last = given[n]
  if type(last) == "table" and getmetatable(last) == nil and #last == 0 then
    n = n - 1
    for name, value in pairs(check.options(what, last, table.move(more, 1, #more, #names + 1, {table.unpack(names)}))) do out[name] = value end
  end
  if n > #names then return nil, n end
  for i = 1, n do
    if out[names[i]] ~= nil and given[i] ~= nil then check.fail("%s: %s is given twice", what, names[i]) end
    if given[i] ~= nil then out[names[i]] = given[i] end
  end
  return out
end

--- Raises for a name that is no key of the tables, with the nearest that is. Only for names as a person writes them: for
--- others it returns nil.
function check.unknown(what, name, ...)
  if type(name) ~= "string" or not name:match "^%a" then return nil end
  local names = {}
  for _, list in ipairs {...} do
    for known in next, list do
      if type(known) == "string" then names[#names + 1] = known end
    end
  end
  table.sort(names)
  check.fail("%s has no '%s'%s", what, name, check.hint(name, names))
end

--- Makes a table of functions raise for a name that it has not. Returns the table.
function check.named(what, list)
  return setmetatable(list, {__index = function(_, name) return check.unknown(what, name, list) end})
end

--- A value in words, for a message: "a number (3)", "a string ('x')", "nil".
function check.describe(value)
  local kind = type(value)
  if kind == "nil" then return "nil" end
  if kind == "number" or kind == "boolean" then return ("a %s (%s)"):format(kind, value) end
  if kind == "string" then return ("a string ('%s')"):format(#value > 40 and value:sub(1, 37) .. "..." or value) end
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return "a " .. (type(name) == "string" and name or kind)
end

-- The kinds of "function|table|nil" in words: "a function or a table".
local function with_article(kind)
  local words = {}
  for one in kind:gmatch "%w+" do
    if one ~= "nil" then words[#words + 1] = (one:find "^[aeio]" and "an " or "a ") .. one end
  end
  local last = table.remove(words)
  return #words > 0 and table.concat(words, ", ") .. " or " .. last or last
end

--- Raises unless value has the Lua type `kind` (or one of the kinds, written "number|string";
--- with "|nil" it may be absent).
function check.kind(what, value, kind)
  for one in kind:gmatch "%w+" do
    if one == "integer" and math.type(value) == "integer" or type(value) == one then return value end
  end
  check.fail("%s is not %s, but %s", what, with_article(kind), check.describe(value))
end

return check
