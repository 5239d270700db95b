-- Reads the rows of the op tables out of their C text. A row is NAME(a, b, ...) at the start of a line; its arguments
-- are split at commas outside of parentheses and strings, and neighbouring strings are joined, as C does. What a macro
-- expands to is of no interest here: names, signatures and texts are.

local rows = {}

local function strip_comments(text) return (text:gsub("/%*.-%*/", "")) end

-- The arguments of the call whose "(" stands at position i; and where it ends.
local function arguments(text, i)
  local out, depth, at, p = {}, 0, i + 1, i
  while true do
    local ch = text:sub(p, p)
    assert(ch ~= "", "a row without an end")
    if ch == '"' then
      repeat p = p + 1; if text:sub(p, p) == "\\" then p = p + 1; ch = "" else ch = text:sub(p, p) end until ch == '"'
    elseif ch == "(" then depth = depth + 1
    elseif ch == ")" or ch == "," then
      if ch == ")" then depth = depth - 1 end
      if depth == 0 or (ch == "," and depth == 1) then
        out[#out + 1] = text:sub(at, p - 1):match("^%s*(.-)%s*$")
        at = p + 1
        if depth == 0 then return out, p end
      end
    end
    p = p + 1
  end
end

local function string_of(token)
  local parts = {}
  for s in token:gmatch('"(.-[^\\])"') do parts[#parts + 1] = s end
  local text = table.concat(parts)
  return (text:gsub('\\"', '"'):gsub("\\\\", "\\"))
end

-- "x:tensor dim:axis=-1 -> y" to parameters {name, kind, optional, default, choices}, names of outputs, and whether there
-- is one that is a list.
function rows.signature(text)
  local params, outputs = {}, {}
  local left, right = text:match("^(.-)%->(.*)$")
  for word in (left or text):gsub(",", " "):gmatch("%S+") do
    local name, kind, default = word:match("^([%w_]+):([^=]+)=?(.*)$")
    assert(name, "not a parameter: " .. word)
    local optional = kind:sub(-1) == "?"
    kind = kind:gsub("%?$", "")
    local choices = kind:match("^%a+%((.-)%)$")
    kind = kind:match("^[%a_]+")
    params[#params + 1] = { name = name, kind = kind, optional = optional, choices = choices,
      default = default ~= "" and default or nil }
  end
  for word in (right or ""):gmatch("%S+") do outputs[#outputs + 1] = word:match "^[%w_]+" end
  return params, outputs, (right or ""):find(":tensors", 1, true) ~= nil
end

local function text_of(path)
  local f = assert(io.open(path))
  local text = f:read("a")
  f:close()
  return text
end

-- The files that table.def is made of, in its order.
local function families()
  local paths = {}
  for name in text_of("runtime/ops/table.def"):gmatch('\n#include "([%w_]+%.def)"') do
    paths[#paths + 1] = "runtime/ops/" .. name
  end
  return paths
end

local function each_row(path, names, visit)
  local text = "\n" .. strip_comments(text_of(path))
  local at = 1
  while true do
    local s, e, name = text:find("\n([A-Z]+)%s*%(", at)
    if not s then return end
    at = e
    if names[name] then
      local args, stop = arguments(text, e)
      visit(name, args)
      at = stop
    end
  end
end

local operands = { UNARY = "x:operand", BINARY = "x:operand z:operand", TERNARY = "x:operand z:operand w:operand" }
local n_gradients = { UNARY = 1, BINARY = 2, TERNARY = 3 }

function rows.ops()
  local ops = {}
  local function add(op)
    op.params, op.outputs, op.list = rows.signature(op.signature)
    ops[#ops + 1] = op
  end
  each_row("runtime/kernels/elementwise.def", operands, function(macro, a)
    local signature = operands[macro]
    if a[2] == "W" then signature = "condition:operand x:operand z:operand" end
    local settings = string_of(a[3])
    add { name = a[1], family = "elementwise", signature = signature .. (settings ~= "" and " " .. settings or "") .. " -> y",
      in_place = a[2] ~= "W" and a[2] ~= "Q", kind = a[2], settings = settings, arity = n_gradients[macro], doc = string_of(a[#a - 1]), example = string_of(a[#a]),
      sample = string_of(a[#a - 2]), gradients = table.move(a, 5, 4 + n_gradients[macro], 1, {}) }
  end)
  for _, path in ipairs(families()) do
    each_row(path, { OP = true }, function(_, a)
      assert(#a == 12, a[1] .. ": a row has 12 parts")
      add { name = a[1], family = a[2], signature = string_of(a[3]), in_place = a[5]:find("NEAP_OP_IN_PLACE") ~= nil,
        doc = string_of(a[11]), example = string_of(a[12]), sample = string_of(a[10]), marks = a[5] }
    end)
  end
  return ops
end

return rows
