-- Tensors as text and as bytes. Layouts are those PyTorch 2.13 prints for the same numbers, with its brackets as braces;
-- whole numbers of floating dtypes print without a point, which PyTorch keeps.

local neap = require "neap"

local function series(n, step)
  return neap.arange(n, {dtype = "float64"}) * (step or 1)
end

-- What is printed before dtype and shape.
local function body(x)
  return (tostring(x):match "^(.*})[ \n][^}]*$")
end

describe("a printed tensor", function()
  before_each(function() neap.set_printoptions{profile = "default", linewidth = 80} end)
  teardown(function() neap.set_printoptions{profile = "default"} end)

  it("has aligned columns", function()
    assert.equal("{{ 0.0000,  0.9636,  0.5155},\n {-0.6878, -0.8835,  0.2151}}", body(series(6, 1.3):sin():reshape(2, 3)))
    assert.equal("{   inf,    nan,   -inf, 0.2500}", body(neap.tensor{1 / 0, 0 / 0, -1 / 0, 0.25}))
    assert.equal("{  1,  -2, 300}", body(neap.tensor{1, -2, 300}))
    assert.equal("{ true, false}", body(neap.tensor{true, false}))
  end)

  it("wraps its rows at the line's width", function()
    assert.equal([[
{ 1.0000,  0.7648,  0.1700, -0.5048, -0.9422, -0.9365, -0.4903,  0.1865,
  0.7756,  0.9999,  0.7539,  0.1534, -0.5193, -0.9477, -0.9304, -0.4755,
  0.2030,  0.7861,  0.9994,  0.7427,  0.1367, -0.5336, -0.9530, -0.9241,
 -0.4607}]], body(series(25, 0.7):cos()))
    neap.set_printoptions{linewidth = 30}
    assert.equal("{ 0,  1,  2,  3,  4,  5,  6,\n  7,  8,  9, 10}", body(neap.arange(11)))
    -- What does not fit behind the last row stands below it.
    assert.equal("{0, 1, 2, 3, 4, 5, 6, 7, 8}\nint64 (9)", tostring(neap.arange(9)))
  end)

  it("is scientific when the range needs it", function()
    assert.equal("{1.5000e-06, 3.0000e-06, 4.5000e-06, 6.0000e-06}", body((series(4) + 1) * 1.5e-6))
    assert.equal("{ 1.0000e-03,  2.5000e+00, -9.9900e+02}", body(neap.tensor({1e-3, 2.5, -999}, {dtype = "float64"})))
    assert.equal("{1.0000e+10, 1.0000e+00}", body(neap.tensor{1e10, 1}))
    assert.equal("{100000000,         1}", body(neap.tensor{1e8, 1}))
  end)

  it("of more than 1000 elements shows its edges", function()
    local text = body(neap.arange(8 * 9 * 20):reshape(8, 9, 20) - 700)
    local lines = {}
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    assert.equal("{{{-700, -699, -698,  ..., -683, -682, -681},", lines[1])
    assert.equal("  ...,", lines[4])
    assert.equal("  {-540, -539, -538,  ..., -523, -522, -521}},", lines[7])
    assert.equal("", lines[8])
    assert.equal(" ...,", lines[25])
    assert.equal("  { 720,  721,  722,  ...,  737,  738,  739}}}", lines[#lines])
    assert.equal(3 * 8 + 2 + 3 * 8 - 1, #lines)
    assert.is_nil(body(neap.zeros(10, 100)):find("...", 1, true))
  end)

  it("says dtype, shape and whether a gradient is wanted", function()
    assert.equal("2.5000 float32 ()", tostring(neap.tensor(2.5)))
    assert.equal("true bool ()", tostring(neap.tensor(true)))
    assert.equal("{} int8 (0, 3)", tostring(neap.zeros({0, 3}, {dtype = "int8"})))
    local x = neap.ones(2, {requires_grad = true})
    assert.equal("{1, 1} float32 (2) requires_grad", tostring(x))
    assert.equal("{2, 2} float32 (2) with history", tostring(x * 2))
    assert.equal("{1, 1} bfloat16 (2)", tostring(neap.ones(2):to "bfloat16"))
  end)

  it("obeys set_printoptions", function()
    local x = series(12, 1.3):sin():reshape(3, 4)
    neap.set_printoptions{precision = 2, threshold = 5, edgeitems = 1, sci_mode = true}
    assert.equal("{{ 0.00e+00,  ..., -6.88e-01},\n ...,\n {-8.28e-01,  ...,  9.87e-01}}", body(x))
    assert.equal(2, neap.get_printoptions().precision)
    neap.set_printoptions{sci_mode = false}
    assert.equal("{0.00, 0.25}", body(neap.tensor{1e-5, 0.25}))
    neap.set_printoptions{profile = "full"}
    assert.is_nil(body(neap.zeros(2000)):find("...", 1, true))
    neap.set_printoptions{profile = "short"}
    assert.equal("{0.50, 1.25}", body(neap.tensor{0.5, 1.25}))
  end)

  it("refuses options that make no sense", function()
    for message, options in pairs{
      ["precision is a whole number from 0 on, not a number (1.5)"] = {precision = 1.5},
      ["edgeitems is a whole number from 1 on, not a number (0)"] = {edgeitems = 0},
      ["linewidth is a whole number from 20 on"] = {linewidth = "wide"},
      ["sci_mode is not a boolean, but a number (1)"] = {sci_mode = 1},
      ["profile is 'default', 'short' or 'full', not a string ('long')"] = {profile = "long"},
      ["unknown option 'treshold' (did you mean 'threshold'?)"] = {treshold = 3},
    } do
      local ok, text = pcall(function() neap.set_printoptions(options) end)
      assert.is_false(ok)
      assert.matches("print_spec.lua:%d+: set_printoptions: ", text)
      assert.is_truthy(text:find(message, 1, true), text)
    end
  end)
end)

describe("a tensor as bytes", function()
  it("goes to a string and back, row-major whatever its strides", function()
    local x = neap.tensor({{1, 2, 3}, {-4, 5, 6}}, {dtype = "int16"})
    assert.equal(string.pack("<i2i2i2i2i2i2", 1, 2, 3, -4, 5, 6), x:to_string())
    assert.equal(string.pack("<i2i2i2i2i2i2", 1, -4, 2, 5, 3, 6), x:t():to_string())
    assert.same(x:totable(), neap.from_string(x:to_string(), "int16", {2, 3}):totable())
    assert.equal("", neap.zeros(0, 3):to_string())
    assert.same({0, 3}, neap.from_string("", "float32", {0, 3}).shape)
    assert.equal(2.5, neap.from_string(string.pack("<d", 2.5), "float64", {}):item())
  end)

  it("refuses strings of another length", function()
    assert.matches("print_spec.lua:%d+: from_string: 7 bytes given, the shape needs 8",
      select(2, pcall(function() neap.from_string("1234567", "float32", {2}) end)))
    assert.error_matches(function() neap.from_string("12345678", "float32", {1 << 40, 1 << 40}) end, "do not fill this shape")
    assert.error_matches(function() neap.from_string("1234", "float32") end, "takes a string, a dtype and a shape")
  end)
end)
