-- The public headers as others read them: LuaJIT's ffi takes the preprocessed text and calls the library through it, and a
-- C++ compiler accepts it.

local files = require "support.files"

local build = os.getenv "NEAP_BUILD_DIR" or "build"

local function output_of(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "a"
  return pipe:close(), text
end

local function installed(program) return (output_of("command -v " .. program)) end

local function with_file(text, use)
  local path = files.write(text)
  local ok, problem = pcall(use, path)
  os.remove(path)
  if not ok then error(problem, 0) end
end

-- neap.h after the preprocessor, without the system's headers: their types are ffi's own.
local function declarations()
  local text = files.read(build .. "/include/neap.h"):gsub("#%s*include%s+<[^>\n]*>", "")
  local plain
  with_file(text, function(path)
    local ok, out = output_of(("cc -E -P -DNEAP_API= -I '%s/include' -x c '%s'"):format(build, path))
    assert(ok, out)
    plain = out
  end)
  return plain
end

local ffi_program = [==[
local ffi = require "ffi"
ffi.cdef [[%s]]
local neap = ffi.load("%s/libneap.so")
local c = neap.neap_open(nil)
assert(c ~= nil and neap.neap_error(c) == 0)
local shape = ffi.new("int64_t[2]", 2, 3)
local x = neap.neap_full(c, 2, shape, 1.5, neap.NEAP_F32)
local y = neap.neap_matmul(c, x, neap.neap_t(c, x))
assert(neap.neap_ndim(y) == 2 and neap.neap_item(neap.neap_sum(c, y, 0, nil, 0, -1)) == 27)
assert(neap.neap_matmul(c, x, x) == nil and neap.neap_error(c) == neap.NEAP_ERR_SHAPE)
print(ffi.string(neap.neap_error_message(c)))
]==]

describe("the public headers #once", function()
  it("are what LuaJIT's ffi.cdef parses, and calls go through", function()
    if not installed "luajit" then pending "luajit is not installed" return end
    if os.getenv "NEAP_TEST_MODE" == "sanitize" then pending "the library needs a sanitizer that luajit does not bring" return end
    local here = build:match "^/" and build or "./" .. build
    with_file(ffi_program:format(declarations(), here), function(path)
      local ok, out = output_of("luajit " .. path)
      assert.is_true(ok, out)
      assert.matches("^matmul: ", out)
    end)
  end)

  it("compile as C++", function()
    if not installed "g++" then pending "g++ is not installed" return end
    local ok, out = output_of(("echo '#include <neap.h>' | g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I '%s/include' -x c++ -"):format(build))
    assert.is_true(ok, out)
  end)

  it("compile as C11 by themselves, without a warning", function()
    local ok, out = output_of(("echo '#include <neap.h>' | cc -std=c11 -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror -fsyntax-only -I '%s/include' -x c -"):format(build))
    assert.is_true(ok, out)
  end)
end)
