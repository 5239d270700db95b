-- What the rows cannot say of pointwise ops: names that are other ops, settings that are refused, dtypes of results.

local neap = require "neap"

local function says(f, ...)
  local ok, message = pcall(f)
  assert.is_false(ok, "it should have raised")
  for _, part in ipairs { "pointwise_spec.lua:", ... } do
    assert.is_truthy(tostring(message):find(part, 1, true), ("%q is not in: %s"):format(part, message))
  end
end

local function int(...) return neap.tensor({ ... }, { dtype = "int64" }) end
local function list(x) return x:reshape(-1):totable() end

describe("second names", function()
  it("are the op itself, as function, method and in place", function()
    for alias, name in pairs(neap.core and neap.core.aliases or require "neap.core".aliases) do
      assert.are.equal(neap[name], neap[alias], alias)
      assert.are.equal(neap[name .. "_"], neap[alias .. "_"], alias)
    end
    assert.are.same({ 6, 8 }, list(neap.tensor { 2, 4 }:multiply(neap.tensor { 3, 2 })))
    local x = neap.tensor { 1, 2 }
    x:subtract_(1)
    assert.are.same({ 0, 1 }, list(x))
  end)
  it("have help", function()
    assert.is_truthy(neap.help "arccos":find("neap.acos(x)", 1, true))
    assert.is_truthy(neap.help "clip_":find("neap.clamp(x", 1, true))
  end)
end)

describe("div", function()
  it("rounds as asked", function()
    local x, z = neap.tensor { -7, 7 }, neap.tensor { 2, 2 }
    assert.are.same({ -3.5, 3.5 }, list(neap.div(x, z)))
    assert.are.same({ -4, 3 }, list(neap.div(x, z, { rounding_mode = "floor" })))
    assert.are.same({ -3, 3 }, list(x:divide(z, { rounding_mode = "trunc" })))
    assert.are.same({ -3, 3 }, list(int(-7, 7):div(2, "trunc")))
    assert.are.equal("int64", int(-7):div(2, "floor").dtype)
    x:div_(z, { rounding_mode = "floor" })
    assert.are.same({ -4, 3 }, list(x))
  end)
  it("refuses other words", function()
    says(function() return neap.ones(2):div(2, { rounding_mode = "up" }) end, "div: rounding_mode is 'floor', 'trunc' or nil", "up")
    says(function() return neap.ones(2):div(2, { rounding = "floor" }) end, "unknown option 'rounding'", "rounding_mode")
  end)
end)

describe("clamp", function()
  it("takes tensors as bounds, which get gradients", function()
    local x, low = neap.tensor { 1, 5, 9 }, neap.tensor { 2, 2, 2 }
    x.requires_grad, low.requires_grad = true, true
    local y = x:clamp(low, neap.tensor { 8, 8, 8 })
    assert.are.same({ 2, 5, 8 }, list(y))
    y:sum():backward()
    assert.are.same({ 0, 1, 0 }, list(x.grad))
    assert.are.same({ 1, 0, 0 }, list(low.grad))
    assert.are.same({ 1, 5, 4 }, list(neap.clamp(x:detach(), nil, neap.tensor { 8, 8, 4 })))
    assert.are.same({ 1, 5, 4 }, list(neap.clip(x:detach(), { max = neap.tensor { 8, 8, 4 } })))
    local z = neap.tensor { 1, 5, 9 }
    z:clamp_(low:detach(), 6)
    assert.are.same({ 2, 5, 6 }, list(z))
  end)
end)

describe("nan_to_num", function()
  it("puts the dtype's own ends for infinities", function()
    local x = neap.tensor { 0 / 0, 1 / 0, -1 / 0 }
    assert.are.same({ 0, 65504, -65504 }, list(x:to("float16"):nan_to_num():float()))
    assert.are.same({ 0, 0x1.fep127, -0x1.fep127 }, list(x:to("bfloat16"):nan_to_num():float()))
    assert.are.same({ 7, 0x1.fffffep127, -3 }, list(x:nan_to_num(7, nil, -3)))
    assert.are.same({ 1, 2 }, list(int(1, 2):nan_to_num()))
  end)
end)

describe("closeness", function()
  it("has tolerances and equal_nan", function()
    local x, z = neap.tensor { 1, 2, 0 / 0 }, neap.tensor { 1.05, 2, 0 / 0 }
    assert.are.same({ false, true, false }, list(x:isclose(z)))
    assert.are.same({ true, true, true }, list(x:isclose(z, { rtol = 0.1, equal_nan = true })))
    assert.is_false(neap.allclose(x, z))
    assert.is_true(neap.allclose(x, z, 0, 0.06, true))
    says(function() return x:isclose(z, -1) end, "isclose", "rtol is -1", "at least 0")
  end)
end)

describe("rounding to decimals", function()
  it("goes to either side of the point", function()
    assert.are.same({ 1.25, -0.5 }, list(neap.tensor({ 1.2512, -0.504 }, { dtype = "float64" }):round(2)))
    assert.are.same({ 1200, 20 }, list(neap.tensor { 1234.5, 15 }:round { decimals = -2 }:add(neap.tensor { 0, 20 })))
  end)
end)

describe("gates", function()
  it("need an even dimension", function()
    says(function() return neap.ones(2, 5):glu() end, "glu: dimension 2 of x has size 5, which cannot be halved")
    says(function() return neap.ones(2, 4):swiglu(3) end, "swiglu: dimension 3 is out of range")
    says(function() return int(1, 2):geglu() end, "geglu: x must be of a floating dtype, got int64")
    says(function() return neap.tensor(1):glu() end, "glu: x has no dimension")
  end)
end)

describe("prelu and rrelu", function()
  it("check their settings", function()
    says(function() return neap.ones(2, 3, 4):prelu(neap.ones(4)) end, "prelu: weight has shape (4), it must have 1 element, or 3 as dimension 2 of x")
    says(function() return neap.ones(3):prelu(neap.ones(3)) end, "x has no channels")
    says(function() return neap.ones(3):rrelu(0.5, 0.1) end, "rrelu: lower is 0.5 and upper 0.1")
  end)
  it("draws slopes in training, each from [lower, upper)", function()
    neap.seed(3)
    local x = -neap.ones(1000)
    x.requires_grad = true
    local y = x:rrelu(0.25, 0.75, true)
    local slope = -y:detach()
    assert.is_true(slope:min():item() >= 0.25 and slope:max():item() < 0.75)
    assert.is_true(math.abs(slope:mean():item() - 0.5) < 0.02)
    y:sum():backward()
    assert.is_true(neap.equal(x.grad, slope))
    neap.seed(3)
    assert.is_true(neap.equal(x:rrelu(0.25, 0.75, { training = true }), y))
  end)
end)

describe("dtypes", function()
  it("bools and floats are refused where they have no meaning", function()
    local b = neap.tensor { 1 }:gt(0)
    for _, name in ipairs { "neg", "abs", "relu", "floor", "round", "trunc", "square", "clamp" } do
      says(function() return neap[name](b) end, name .. ": does not work on bools", "logical_not")
    end
    for _, name in ipairs { "sub", "pow", "remainder", "fmod", "floor_divide", "gcd", "bitwise_left_shift" } do
      says(function() return neap[name](b, b) end, name .. ": does not work on bools")
    end
    says(function() return neap.gcd(neap.ones(1), neap.ones(1)) end, "gcd: works on integers, got float32")
    says(function() return neap.bitwise_and(neap.ones(1), neap.ones(1)) end, "bitwise_and: works on integers and bools, got float32")
  end)
  it("float_power gives float64", function()
    assert.are.equal("float64", neap.float_power(int(2), 2).dtype)
    assert.are.equal(0.125, neap.float_power(2, neap.tensor { -3 }):item())
  end)
  it("polygamma has an order from 0 up", function()
    says(function() return neap.ones(1):polygamma(-1) end, "polygamma: n is -1, it must be at least 0")
  end)
end)
