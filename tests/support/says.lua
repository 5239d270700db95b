-- What an error says. message_of(f, ...) calls f, which must raise, and gives the message; says(f, ...) looks for the
-- parts in it, and for the place: a line of the spec that calls.

local says = {}

function says.message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "it should have raised")
  return tostring(message)
end

local function has(message, ...)
  for _, part in ipairs {...} do
    assert(message:find(part, 1, true), ("%q is not in: %s"):format(part, message))
  end
end
says.has = has

function says.says(f, ...)
  local message = says.message_of(f)
  has(message, debug.getinfo(2, "S").short_src:match "[^/]+$" .. ":", ...)
  assert(not message:find("stack traceback", 1, true), message)
  return message
end

return says
