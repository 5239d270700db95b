-- The shape of the house: layers include only what CMakeLists.txt lets them, the runtime knows no Lua, never ends or
-- writes to its host's process, holds no mutable globals, and no file grows past reading. The build refuses most of
-- this by itself; these tests say it in words and catch what a compiler lets through.

local files = require "support.files"
local read, lines_of = files.read, files.lines_of

local build = os.getenv "NEAP_BUILD_DIR" or "build"

-- C text without comments and without what stands between quotes; line breaks stay.
local function bare(text)
  local out, i = {}, 1
  while i <= #text do
    local two, one = text:sub(i, i + 1), text:sub(i, i)
    local stop
    if two == "/*" then
      stop = select(2, text:find("*/", i + 2, true)) or #text
    elseif two == "//" then
      stop = (text:find("\n", i, true) or #text + 1) - 1
    elseif one == '"' or one == "'" then
      stop = i + 1
      while stop <= #text and text:sub(stop, stop) ~= one do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
    end
    if stop then
      out[#out + 1] = one == '"' and '""' or text:sub(i, stop):gsub("[^\n]+", " ")
      i = stop + 1
    else
      local next_special = text:find("[/\"']", i + 1) or #text + 1
      out[#out + 1] = text:sub(i, next_special - 1)
      i = next_special
    end
  end
  return table.concat(out)
end

local function runtime_files()
  return lines_of "find runtime -name '*.[ch]' -o -name '*.def' -o -name '*.inl' | sort"
end

-- Calls visit(path, line number, line) for each line of the runtime with comments and strings taken out.
local function each_bare_line(visit)
  for _, path in ipairs(runtime_files()) do
    local number = 0
    for line in (bare(read(path)) .. "\n"):gmatch "(.-)\n" do
      number = number + 1
      visit(path, number, line)
    end
  end
end

-- The folders that each folder may include from, in the order of CMakeLists.txt.
local function layers()
  local sees, order = {}, {}
  for folder, rest in read "CMakeLists.txt":gmatch "\nneap_layer%((%w+)([^)]*)%)" do
    order[#order + 1] = folder
    sees[folder] = {[folder] = true}
    for other in rest:gmatch "%w+" do sees[folder][other] = true end
  end
  return sees, order
end

local function none(found, what)
  assert(#found == 0, ("%d %s:\n%s"):format(#found, what, table.concat(found, "\n")))
end

describe("structure #once", function()
  it("every layer sees only layers above it in the list", function()
    local sees, order = layers()
    assert.is_true(#order > 0)
    local seen, found = {}, {}
    for _, folder in ipairs(order) do
      seen[folder] = true
      for other in pairs(sees[folder]) do
        if not seen[other] then found[#found + 1] = folder .. " sees " .. other end
      end
    end
    none(found, "layers that look up")
  end)

  it("every folder of runtime/ is a layer", function()
    local sees, found = layers(), {}
    for _, path in ipairs(lines_of "find runtime -mindepth 2 -type f") do
      if not sees[path:match "^runtime/(%w+)/[^/]+$" or ""] then found[#found + 1] = path end
    end
    none(found, "files outside of a layer")
  end)

  it("headers are included by bare name, from layers that are named", function()
    local sees = layers()
    local home, found = {}, {}
    for _, path in ipairs(runtime_files()) do
      local folder, name = path:match "^runtime/(%w+)/([^/]+)$"
      if folder and not name:match "%.c$" then home[name] = folder end
    end
    for _, path in ipairs(runtime_files()) do
      local folder = path:match "^runtime/(%w+)/"
      for name in read(path):gmatch '#%s*include%s+"([^"\n]*)"' do
        local from = home[name]
        if name:find("/", 1, true) then
          found[#found + 1] = path .. " includes by path: " .. name
        elseif name == "neap_lua.h" or folder and from and not sees[folder][from] then
          found[#found + 1] = path .. " may not include " .. name
        end
      end
    end
    none(found, "includes that break the layers")
  end)

  it("the runtime includes no header of Lua or of a BLAS", function()
    local found = {}
    for _, path in ipairs(runtime_files()) do
      for name in read(path):gmatch '#%s*include%s+[<"]([^>"\n]*)' do
        if name:match "^l?ua" or name:match "^lauxlib" or name:match "blas" or name:match "lapack" then
          found[#found + 1] = path .. ": " .. name
        end
      end
    end
    none(found, "includes of other people's floors")
  end)

  it("the runtime never ends the process and never prints", function()
    local banned = {}
    for name in ("abort exit _exit _Exit quick_exit assert printf vprintf puts putchar perror raise"):gmatch "%S+" do
      banned[name] = true
    end
    local found = {}
    each_bare_line(function(path, number, line)
      if line:match "^%s*#" then return end
      for before, name in (" " .. line):gmatch "([%s%p])([%a_][%w_]*)%s*%(" do
        if banned[name] and before ~= "." and before ~= ">" and before ~= "_" then
          found[#found + 1] = ("%s:%d: %s"):format(path, number, name)
        end
      end
      if line:match "%f[%w_]stdout%f[^%w_]" or line:match "%f[%w_]stderr%f[^%w_]" then
        found[#found + 1] = ("%s:%d: a standard stream"):format(path, number)
      end
    end)
    none(found, "calls that belong to the host")
  end)

  it("bindings and C tests include nothing of the runtime but the public headers", function()
    local inner, found = {}, {}
    for _, path in ipairs(runtime_files()) do
      local name = path:match "^runtime/%w+/([^/]+)$"
      if name then inner[name] = true end
    end
    for _, path in ipairs(lines_of "find bindings tests -name '*.[ch]' | sort") do
      local own = path:match "^(.*)/[^/]*$"
      -- The twins of the kernels are held against the kernels themselves.
      local text = own == "tests/kernels" and "" or read(path)
      for name in text:gmatch '#%s*include%s+"([^"\n]*)"' do
        local beside = io.open(own .. "/" .. name)
        if beside then
          beside:close()
        elseif inner[name] or name:find("runtime", 1, true) then
          found[#found + 1] = path .. " includes " .. name
        end
      end
    end
    none(found, "looks behind the public headers")
  end)

  it("libneap has no writable globals", function()
    local found = {}
    for _, line in ipairs(lines_of("nm -f sysv '" .. build .. "/libneap.a'")) do
      local name, class, section = line:match "^(%S+)%s*|[^|]*|%s*(%a)%s*|[^|]*|[^|]*|[^|]*|(%S*)"
      if class and class:match "[bBdDcCsSgG]" and not section:match "^%.data%.rel%.ro" then
        found[#found + 1] = ("%s in %s"):format(name, section)
      end
    end
    none(found, "writable globals")
  end)

  it("generated text is what the tables say", function()
    for _, command in ipairs {"lua5.4 scripts/dev/generate.lua", build .. "/neap scripts/dev/docs.lua"} do
      local pipe = io.popen(command .. " --check 2>&1")
      local said = pipe:read "a"
      assert(pipe:close(), said)
    end
  end)

  it("no file is longer than 1000 lines, generated ones aside", function()
    local found = {}
    local places = "CMakeLists.txt .ci bindings cmake docs lua runtime scripts tests"
    local kinds = [[-name '*.[ch]' -o -name '*.def' -o -name '*.inl' -o -name '*.lua' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' -o -name run]]
    for _, path in ipairs(lines_of(("find %s -type f \\( %s -o -name CMakeLists.txt \\)"):format(places, kinds))) do
      local text = read(path)
      if not text:match "^[^\n]*" :find("generated", 1, true) then
        local _, count = text:gsub("\n", "")
        if count > 1000 then found[#found + 1] = ("%s: %d lines"):format(path, count) end
      end
    end
    none(found, "files past reading")
  end)

  it("code files open with what lives there", function()
    local found = {}
    for _, path in ipairs(lines_of "find runtime bindings lua tests -name '*.[ch]' -o -name '*.lua'") do
      local text = read(path)
      if not (text:match "^/%*" or text:match "^//" or text:match "^%-%-" or text:match "^#!.-\n%-%-") then
        found[#found + 1] = path
      end
    end
    none(found, "files that say nothing of themselves")
  end)
end)
