-- comments: what the library's own Lua says of its functions. The lines that begin with three dashes above a definition are
-- its documentation; they are read from the file on disk, or from the copy that is built into the program. So a
-- function is described where it is written, and nowhere else.

local core = require "neap.core"

local comments = {}

local files = {} -- by chunk name: a list of lines; false: there is no text

local function text_of(source)
  local below = source:match "^=neap/(.*)%.lua$"
  if below then return core.embedded(below == "init" and "neap" or "neap." .. below:gsub("/", ".")) end
  local file = source:sub(1, 1) == "@" and io.open(source:sub(2), "r")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

local function lines_of(source)
  if files[source] == nil then
    local text, lines = text_of(source), {}
    for line in (text or ""):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    files[source] = #lines > 0 and lines
  end
  return files[source] or nil
end

-- The documentation that ends above a line.
local function above(lines, n)
  local first = n
  while first > 1 and lines[first - 1]:match "^%s*%-%-%-" do first = first - 1 end
  local out = {}
  for i = first, n - 1 do out[#out + 1] = lines[i]:match "^%s*%-%-%-%s?(.*)$" end
  return #out > 0 and table.concat(out, "\n") or nil
end

-- The line on which a documented name is given its value: `function x.name(`, `x.name =`, `define("name"`.
local function defined(lines, name)
  for n, line in ipairs(lines) do
    if n > 1 and lines[n - 1]:match "^%s*%-%-%-" then
      if line:match("^%s*function [%w_.]*[.:]?" .. name .. "%(") or line:match("^%s*local function " .. name .. "%(")
        or line:match("^%s*local " .. name .. " = ") or line:match("^%s*[%w_.]*%f[%w_]" .. name .. "[%w_.,%s]* = ")
        or line:match('^%s*[%w_]+%(?%s?"' .. name .. '"') then
        return n
      end
    end
  end
end

-- "a, b, ...", without a method's self.
local function parameters(f, info)
  local names = {}
  for i = 1, info.nparams do
    local name = debug.getlocal(f, i)
    if i > 1 or name ~= "self" then names[#names + 1] = name end
  end
  if info.isvararg then names[#names + 1] = "..." end
  return table.concat(names, ", ")
end

--- The arguments and the documentation of a Lua function that the public knows as `name`: two texts, the second nil when
--- there is none; and whether it has a self. What a factory made is described where its name is given, and where the
--- factory makes it.
function comments.of(f, name)
  local info = debug.getinfo(f, "Su")
  local lines, has_self = lines_of(info.source), debug.getlocal(f, 1) == "self"
  if not lines then return parameters(f, info), nil, has_self end
  local there = above(lines, info.linedefined)
  local n = defined(lines, name)
  local here = n and n ~= info.linedefined and above(lines, n) or nil
  return parameters(f, info), here and there and here .. "\n" .. there or here or there, has_self
end

--- The documentation of a class: a table that is called. Its file is that of its init.
function comments.of_class(class, name)
  local lines = lines_of(debug.getinfo(class.init, "S").source)
  local n = lines and defined(lines, name)
  return parameters(class.init, debug.getinfo(class.init, "u")), n and above(lines, n)
end

--- What a file of lua/neap says about itself: its first comment. name: as in "data.lua", below lua/neap.
function comments.head(name)
  local source, out = debug.getinfo(1, "S").source:gsub("help/comments%.lua$", name), {}
  for _, line in ipairs(lines_of(source) or {}) do
    local text = line:match "^%-%-%s?(.*)$"
    if not text then break end
    out[#out + 1] = text
  end
  return table.concat(out, "\n")
end

return comments
