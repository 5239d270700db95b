-- args: options of a script. The help text is the definition: each line that begins with "--name" names an option, the
-- word after it says that it takes a value (N a number, anything else text), "=" gives the default. So there is one
-- place that says what a script takes, and `--help` prints it.
--
--   local options = require "neap.args" (arg, [[
--   Trains a network.
--     --data DIR       the folder that has mnist/
--     --seed N=1       of the random numbers
--     --quick          one epoch only
--   ]])                                 --> {seed = 1, [1] = first other argument}

local check = require "neap.check"

local function definitions(help)
  local known, names = {}, {}
  for line in help:gmatch "[^\n]+" do
    local name, rest = line:match "^%s+%-%-([%w][%w%-]*)(.*)"
    if name then
      local word, default = rest:match "^ ([%u][%u%d_]*)=?(%S*)"
      known[name] = {word = word, number = word == "N", default = default ~= "" and default or nil}
      names[#names + 1] = "--" .. name
    end
  end
  return known, names
end

-- Ends the program: misuse of a script is no error of the program, so it shows no stack.
local function stop(status, text)
  local out = status == 0 and io.stdout or io.stderr
  out:write(text, "\n")
  os.exit(status, true)
end

local function convert(name, one, text)
  if not one.number then return text end
  return math.tointeger(tonumber(text)) or tonumber(text)
    or stop(2, ("--%s takes a number, not '%s'"):format(name, text))
end

--- Reads the arguments of a script (the global `arg` or any list of strings) as the text `help` defines them. Returns
--- a table: options by name ("-" becomes "_"; nil when absent and without default), other arguments in its array part.
--- `--help` prints the text and ends the program; an option that is not known ends it with status 2.
local function parse(given, help)
  local known, names = definitions(help)
  local options = {}
  for name, one in pairs(known) do
    if one.default then options[name:gsub("%-", "_")] = convert(name, one, one.default) end
  end
  local i = 1
  while i <= #given do
    local name, value = given[i]:match "^%-%-([^=]+)=?(.*)$"
    if not name then
      options[#options + 1] = given[i]
    elseif name == "help" then
      stop(0, (help:gsub("%s+$", "")))
    else
      local one = known[name]
      if not one then
        stop(2, ("unknown option --%s%s; --help shows all"):format(name, check.hint("--" .. name, names)))
      end
      if not one.word and given[i]:find("=", 1, true) then stop(2, ("--%s takes no value"):format(name)) end
      if one.word and not given[i]:find("=", 1, true) then
        i = i + 1
        value = given[i] or stop(2, ("--%s takes a value: --%s %s"):format(name, name, one.word))
      end
      options[name:gsub("%-", "_")] = not one.word and true or convert(name, one, value)
    end
    i = i + 1
  end
  return options
end

return parse
