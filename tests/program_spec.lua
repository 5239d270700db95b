-- The program neap as a command: options and arguments as lua's, exit statuses, interrupts, the REPL on a pipe and, where
-- there is a `script` to give it one, on a terminal.

local files = require "support.files"

local build = os.getenv "NEAP_BUILD_DIR" or "build"
local program = build .. "/neap"

-- Runs a command of the shell: what it wrote, and its exit status.
local function shell(command)
  local pipe = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local text = pipe:read "a"
  local _, _, status = pipe:close()
  return text, status
end

local function run(arguments, input)
  return shell(("printf '%s' | %s %s"):format(input or "", program, arguments))
end

describe("neap takes the options of lua:", function()
  local function says(expected, arguments, input)
    local text, status = run(arguments, input)
    assert.are.equal(expected, text)
    assert.are.equal(0, status)
  end

  it("-e runs text, several times, one state", function() says("3\n", "-e 'x = 1' -e'print(x + 2)'") end)
  it("-e has neap, which scripts require", function()
    says("2.0\n", "-e 'print(neap.ones(2):sum():item())'")
    says("", "-e 'neap.help()'")
    says("7\n", "-e 'neap = 7' -e 'print(neap)'")
    says("nil\tnil\n", "-e 'x = 1' -", "print(neap, getmetatable(_G))")
  end)
  it("-l requires", function()
    says("function\n", "-l neap -e 'print(type(neap.ones))'")
    says("4.0\n", "-l n=neap -e 'print(n.ones(4):sum():item())'")
  end)
  it("-v prints versions", function()
    local text, status = run "-v"
    assert.is_truthy(text:find "^Neap %d+%.%d+%.%d+, Lua 5%.4")
    assert.are.equal(0, status)
  end)
  it("-W turns warnings on", function()
    says("Lua warning: mind\n", [[-W -e 'warn "mind"']])
    says("", [[-e 'warn "mind"']])
  end)
  it("- and no arguments at all read a script from the standard input", function()
    says("5\ta\tb\n", "- a b", "print(2 + 3, ...)")
    says("7\n", "", "print(7)")
  end)
  it("-E ignores LUA_INIT, which else runs first", function()
    assert.are.equal("init\n1\n", (shell("LUA_INIT='print \"init\"' " .. program .. " -e 'print(1)'")))
    assert.are.equal("1\n", (shell("LUA_INIT='print \"init\"' " .. program .. " -E -e 'print(1)'")))
  end)
  it("a script gets its arguments in ... and in arg", function()
    local path = files.write "print(#arg, arg[1], arg[2], arg[0] == debug.getinfo(1, 'S').short_src, ...)"
    says("2\tx\ty z\ttrue\tx\ty z\n", path .. " x 'y z'")
    os.remove(path)
  end)
  it("-i goes on with the REPL after a script", function()
    local text, status = run("-i -e 'y = 20'", "y + 1\n")
    assert.is_truthy(text:find("> 21\n", 1, true), text)
    assert.are.equal(0, status)
  end)
end)

describe("neap ends with the status of lua:", function()
  local function ends(expected, arguments, part)
    local text, status = run(arguments)
    assert.are.equal(expected, status)
    assert.is_truthy(text:find(part, 1, true), text)
  end
  it("1 after an error", function() ends(1, "-e 'error \"x\"'", "neap: (command line):1: x") end)
  it("1 after an error object without a text", function() ends(1, "-e 'error {}'", "(error object is a table value)") end)
  it("1 after a syntax error, with its line", function()
    local path = files.write "local x = 1\nlocal = 2\n"
    ends(1, path, path .. ":2: ")
    os.remove(path)
  end)
  it("1 for a script that is not there", function() ends(1, "/no/such.lua", "cannot open /no/such.lua") end)
  it("1 for an unknown option, with the usage", function() ends(1, "-x", "unknown or incomplete option '-x'") end)
  it("what os.exit says", function() ends(3, "-e 'os.exit(3)'", "") end)
end)

describe("an interrupt", function()
  -- Runs a script that is sent an interrupt a moment after it has begun.
  local function interrupted(text)
    local path = files.write([[
      local pid = io.popen "echo $PPID":read "n"
      os.execute("(sleep 0.3; kill -INT " .. pid .. ") >/dev/null 2>&1 &")
    ]] .. text)
    local out, status = shell(program .. " " .. path)
    os.remove(path)
    return out, status
  end
  it("ends a loop of Lua with an error", function()
    local text, status = interrupted "while true do end"
    assert.is_truthy(text:find("interrupted!", 1, true), text)
    assert.are.equal(1, status)
  end)
  it("ends a loop in a coroutine, even one that catches errors once", function()
    local text, status = interrupted [[
      local ok, message = pcall(coroutine.wrap(function() while true do end end))
      print("caught", message)
      coroutine.wrap(function() for i = 1, 1e6 do end end)()
      print "goes on"]]
    assert.is_truthy(text:find "caught.*interrupted!.*goes on", text)
    assert.are.equal(0, status)
  end)
  it("ends kernels; tensors are whole after it, and kernels run again", function()
    local text, status = interrupted [[
      local neap = require "neap"
      local x = neap.randn(600, 600)
      local ok, message = pcall(function() while true do local y = x:matmul(x):tanh() end end)
      print(message, x:isfinite():all():item(), (neap.ones(3) + 1):sum():item())]]
    assert.is_truthy(text:find "interrupted!%s+true%s+6%.0", text)
    assert.are.equal(0, status)
  end)
end)

describe("the REPL", function()
  -- What it prints for lines that come from a pipe, without the banner.
  local function answers(input)
    local text, status = run("-i", input)
    assert.are.equal(0, status)
    return (text:gsub("^Neap[^\n]*\n", ""))
  end

  it("prints what expressions give, nil too, and has neap", function()
    assert.are.equal("> 3\n> nil\tx\n> > {1, 1} float32 (2)\n> 5\n> ",
      answers [[1 + 2\nnil, "x"\nlocal a = 1\nneap.ones(2)\n=5\n]])
  end)
  it("reads statements of several lines", function()
    assert.are.equal("> >> >> 1\n2\n> ", answers [[for i = 1, 2 do\nprint(i)\nend\n]])
  end)
  it("lives on after errors", function()
    local text = answers [[neap.ones(2) + neap.ones(3)\nx x\nerror()\nneap.ones(2):sum():item()\n]]
    assert.is_truthy(text:find("neap: stdin:1: add: shapes (2) and (3) do not broadcast", 1, true), text)
    assert.is_nil(text:find("traceback.*add", 1))
    assert.is_truthy(text:find("neap: stdin:1: syntax error near 'x'", 1, true), text)
    assert.is_truthy(text:find "> 2%.0\n> $", text)
  end)
  it("shows what is in tables, where print does not", function()
    assert.are.equal('> {{1.0, 2.0}, {3.0, 4.0}}\n> ', answers [[neap.tensor{{1, 2}, {3, 4}}:totable()\n]])
    assert.are.equal('> a\t{1, ["2 y"] = {}, x = "b"}\n> ', answers [["a", {1, x = "b", ["2 y"] = {}}\n]])
    assert.are.equal("> {bias = tensor float32 (90), weight = tensor float32 (90, 5)}\n> ",
      answers [[neap.nn.Linear(5, 90):state_dict()\n]])
    assert.are.equal("> {{1, 1} float32 (2), {...}}\n> ", answers [[(function() local t = {neap.ones(2)} t[2] = t return t end)()\n]])
    assert.is_truthy(answers [[print({})\n]]:find "^> table: 0x")
    assert.is_truthy(answers [[neap.memory()\n]]:find "\n  peak = %d+,\n")
  end)
  it("takes lines of any length, and a last one without an end", function()
    local long = '#"' .. ("y"):rep(9000) .. '"'
    assert.are.equal("> 9000\n> 9000\n> ", answers(long .. "\\n" .. long))
  end)

  local has_terminal = os.execute "script -qec true /dev/null >/dev/null 2>&1 </dev/null"
  local on_terminal = has_terminal and it or pending
  on_terminal("edits, remembers and completes at a terminal", function()
    local keys = {
      [[40 + 3\1772\r]],            -- backspace
      [[\033[A\r]],                 -- up: the same again
      [[+ 1\00150 \r]],             -- to the beginning
      [[neap.nn.Linea\t(2, 3)\r]],  -- completed
      [[half typed\003]],           -- given up
      [["done"\r\004]],
    }
    local typed = {}
    for i, one in ipairs(keys) do typed[i] = ("printf '%s'; sleep 0.15"):format(one) end
    local text, status = shell(("(sleep 0.4; %s) | TERM=xterm script -qec '%s' /dev/null"):format(table.concat(typed, "; "), program))
    assert.are.equal(0, status)
    local answers_seen = {}
    for answer in text:gsub("\r", ""):gmatch "\n([^\n\27>]+)\n" do answers_seen[#answers_seen + 1] = answer end
    assert.are.equal("42|42|51|Linear(in_features=2, out_features=3, bias=true)|done", table.concat(answers_seen, "|"))
  end)
end)

describe("a table at the REPL", function()
  local text = require "neap.repl_text"
  it("is cut in depth, in length and in its texts", function()
    assert.are.equal("{{{{{...}}}}}", text {{{{{{1}}}}}})
    local long = {}
    for i = 1, 30 do long[i] = i end
    assert.is_truthy(text(long):find "^{%s+1, 2, .* 20,%s+%.%.%. 10 more%s+}$")
    assert.are.equal(('{"%s..."}'):format(("x"):rep(60)), text {("x"):rep(100)})
    assert.are.equal([[{"a\n\"\\\001"}]], text {'a\n"\\\1'})
  end)
  it("leaves what prints itself, and calls nothing else", function()
    local guarded = setmetatable({1}, {__index = error, __pairs = error, __len = error})
    assert.are.equal("{1}", text(guarded))
    local shape = require "neap".ones(2).shape
    assert.is_true(rawequal(shape, text(shape)))
    assert.are.equal("{(2), function}", text {shape, print})
  end)
end)

describe("completion", function()
  local complete = require "neap.repl".complete
  it("of globals, fields and methods, running no code", function()
    _G.completion_probe = setmetatable({ inner = { first = 1, fine = 2 } }, { __index = function() error "ran" end })
    local sure, choices = complete "x = completion_pr"
    assert.are.same({ "obe" }, { sure, choices })
    sure, choices = complete "completion_probe.inner.f"
    assert.are.equal("i", sure)
    assert.is_truthy(choices:find "fine%s+first")
    assert.are.equal("", (complete "completion_probe.outer.f"))
    _G.completion_probe = require "neap".ones(2)
    assert.are.equal("ul", (complete "completion_probe:matm"))
    _G.completion_probe = nil
  end)
end)
