-- What the ops say when their rules are broken: the whole text of each message, after the place in the script. The rules
-- stand in tests/errors, a family a file: code that breaks one and what it says. In the end the sources are read: each
-- text that an op can give must be among those that were provoked here, or that the C programs of tests/c check for what
-- no script can do. A text that stands in several places must have been provoked in as many ways.

local neap = require "neap"
local files = require "support.files"

local env = require "errors.names"(neap)

local all, seen = {}, {} -- every rule; every text that came

local function run(code)
  local f = load("local y = " .. code .. " return y", "=rule", "t", env) or assert(load(code, "=rule", "t", env))
  local ok, message = pcall(f)
  assert.is_false(ok, "it should have raised")
  return tostring(message)
end

for _, path in ipairs(files.lines_of "ls tests/errors/*.lua") do
  local family = path:match "([%w_]+)%.lua$"
  local rules = require("errors." .. family)
  if type(rules) == "table" then
    describe("the rules of " .. family, function()
      for _, rule in ipairs(rules) do
        all[#all + 1] = rule
        it("refuse " .. rule[1], function()
          local message = run(rule[1])
          seen[#seen + 1] = message:match "^rule:1: (.*)"
          assert.are.equal("rule:1: " .. rule[2], message)
        end)
      end
    end)
  end
end

-- ---- the sources ----

local escapes = {n = "\n", t = "\t"}

-- The strings of C or Lua text, comments left out, adjacent ones joined: {text =, line =, before = what precedes it}.
local function strings(source, comments)
  local list, i, line, last = {}, 1, 1, 0
  for _, comment in ipairs(comments) do source = source:gsub(comment, function(text) return (text:gsub("[^\n]", " ")) end) end
  while true do
    local from = source:find("[\"']", i)
    if not from then return list end
    local quote, stop = source:sub(from, from), from + 1
    while source:sub(stop, stop) ~= quote do stop = stop + (source:sub(stop, stop) == "\\" and 2 or 1) end
    local text = source:sub(from + 1, stop - 1):gsub("\\(.)", function(c) return escapes[c] or c end)
    local before = source:sub(last + 1, from - 1)
    line = line + select(2, source:sub(i, from):gsub("\n", ""))
    i, last = stop + 1, stop
    if quote == '"' and list[#list] and before:match "^%s*$" then list[#list].text = list[#list].text .. text
    elseif quote == '"' then list[#list + 1] = {text = text, line = line, before = before} end
  end
end

local c_comments, lua_comments = {"/%*.-%*/"}, {"%-%-[^\n]*"}

-- A format as a pattern; nil when it says nothing by itself, or is a formula of neap.map, in Lua's notation.
local function pattern_of(format)
  if load("return " .. format:gsub("%$", "_")) then return nil end
  local bare = format:gsub("%%[-+ #0-9.*]*[lzh]*%a", "\0"):gsub("%%%%", "%%")
  if not bare:find " " or not bare:find "%a" then return nil end
  return (bare:gsub("[%^$()%%.%[%]*+%-?]", "%%%0"):gsub("%z", ".-"))
end

-- The formats of a file whose functions refuse: pattern, place, and how the text stands in a message.
local function formats(path, into)
  local source = files.read(path)
  local lua = path:find "%.lua$"
  if not lua and not source:find "np_reject" and not source:find "np_fail" then return end
  for _, s in ipairs(strings(source, lua and lua_comments or c_comments)) do
    local pattern = pattern_of(s.text)
    if pattern and lua and not s.before:find "check%.fail[%s(]*$" then pattern = nil end
    if pattern then
      if s.before:find "np_reject%([%w_.>-]+, [%w_]+,%s*$" then pattern = "^[%w_: ]+: " .. pattern .. "$"
      elseif lua or s.before:find "np_fail%([%w_.>-]+, [%w_]+,%s*$" then pattern = "^" .. pattern .. "$" end
      into[#into + 1] = {pattern = pattern, text = s.text, place = ("%s:%d"):format(path, s.line)}
    end
  end
end

-- What no input that is known provokes.
local beyond_tests = {
  ["%s: its gradient cannot be differentiated again"] = "said of ops with the mark NEAP_OP_ONCE, which any op may lose",
  ["made the iteration not converge"] = "no matrix is known for which it does not",
  ["not a signature: %s"] = "a row of the tables that does not parse: every row is called in tests",
}

-- In how many ways the tests get a text that the pattern matches.
local function ways(pattern, texts)
  local n, met = 0, {}
  for _, text in ipairs(texts) do
    if not met[text] and text:find(pattern) then n, met[text] = n + 1, true end
  end
  return n
end

describe("every text of a refusal", function()
  local function check(list)
    local texts, count, missing = table.move(seen, 1, #seen, 1, {}), {}, {}
    for _, path in ipairs(files.lines_of "ls tests/c/*.c") do
      for _, s in ipairs(strings(files.read(path), c_comments)) do
        if s.before:find "check_text%([%w_>.-]+,%s*$" then texts[#texts + 1] = s.text end
      end
    end
    for _, f in ipairs(list) do
      count[f.text] = (count[f.text] or 0) + 1
      local n = ways(f.pattern, texts)
      if n < count[f.text] and not beyond_tests[f.text] then
        missing[#missing + 1] = ("%s: %q (%d of %d)"):format(f.place, f.text, n, count[f.text])
      end
    end
    assert(#missing == 0, ("%d texts are not provoked by any rule of tests/errors:\n%s"):format(#missing, table.concat(missing, "\n")))
    return #list
  end

  it("of the ops is provoked by a test", function()
    local list = {}
    for _, path in ipairs(files.lines_of "ls runtime/ops/*.c") do formats(path, list) end
    assert(check(list) > 400)
  end)
  it("of the ops in Lua is provoked by a test", function()
    local list = {}
    for _, name in ipairs {"tensor", "pointwise", "random", "autograd", "functional", "losses", "distributions/*"} do
      for _, path in ipairs(files.lines_of("ls lua/neap/" .. name .. ".lua")) do formats(path, list) end
    end
    assert(check(list) > 40)
  end)
  it("leaves everything usable and loses no memory", function()
    local function live()
      for _ = 1, 3 do collectgarbage() end
      return neap.memory().live
    end
    local before = live()
    for _, rule in ipairs(all) do pcall(run, rule[1]) end
    assert.are.equal(before, live())
    assert.are.equal(6, env.x:sum():item())
  end)
end)
