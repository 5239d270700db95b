-- Files and commands, as several specs need them.

local files = {}

function files.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- A new file with this text, which the caller removes: its path.
function files.write(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

-- The lines that a command of the shell writes; it must end well.
function files.lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  assert(pipe:close(), "failed: " .. command)
  return lines
end

return files
