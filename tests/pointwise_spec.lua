-- What the rows cannot say of pointwise ops: names that are other ops, settings that are refused, dtypes of results.

local neap = require "neap"
local says = require("support.says").says

local function int(...) return neap.tensor({ ... }, { dtype = "int64" }) end
local function list(x) return x:reshape(-1):totable() end

describe("second names", function()
  it("are the op itself, as function, method and in place", function()
    for alias, name in pairs(require "neap.core".aliases) do
      assert.are.equal(neap[name], neap[alias], alias)
      assert.are.equal(rawget(neap, name .. "_"), rawget(neap, alias .. "_"), alias)
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
    says(function() return (neap.ones(2):div(2, { rounding_mode = "up" })) end, "div: rounding_mode is 'floor', 'trunc' or nil", "up")
    says(function() return (neap.ones(2):div(2, { rounding = "floor" })) end, "unknown option 'rounding'", "rounding_mode")
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
    says(function() return neap.ones(3):rrelu(0.5, 0.1) end, "rrelu: lower is 0.5, it must not be above upper, which is 0.1")
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
      says(function() return (neap[name](b)) end, name .. ": does not work on bools", "logical_not")
    end
    for _, name in ipairs { "sub", "pow", "remainder", "fmod", "floor_divide", "gcd", "bitwise_left_shift" } do
      says(function() return (neap[name](b, b)) end, name .. ": does not work on bools")
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

-- Every elementwise row on every dtype: it computes what it computes in the dtype's compute type, rounded or wrapped once
-- at the end, in the dtype that its kind says; or it says that it does not work on this one.
describe("every row on every dtype", function()
  local bool_out, refuses = {}, {}
  for line in io.lines "runtime/kernels/elementwise.def" do
    local name, kind = line:match "^%u+%(([%w_]+), (%u),"
    if name then
      bool_out[name] = kind == "C" or kind == "L" or kind == "Q"
      refuses[name] = { float = kind == "I" or kind == "J", bool = kind == "A" or kind == "J", F = kind == "F", W = kind == "W" }
    end
  end

  local function operands(op)
    neap.seed(9)
    local out = {}
    for lo, hi in op.sample:match "^[^|]+":gmatch "([^,;]+),([^,;]+)" do
      out[#out + 1] = neap.rand({ 40 }, { dtype = "float64" }) * (tonumber(hi) - tonumber(lo)) * 3 + tonumber(lo)
    end
    return out
  end

  local function run(op, xs, wide, dtype)
    local args = {}
    for i, x in ipairs(xs) do
      local kept = refuses[op.name].W and i == 1
      args[i] = kept and x:gt(1) or dtype == "bool" and x:gt(0.5):to(wide) or x:to(dtype):to(wide)
    end
    return neap[op.name](table.unpack(args))
  end

  local function same_values(a, b)
    local x, y = a:double():totable(), b:double():totable()
    for i = 1, #x do
      if x[i] ~= y[i] and not (x[i] ~= x[i] and y[i] ~= y[i]) then return false, i, x[i], y[i] end
    end
    return true
  end

  local wide_of = { bfloat16 = "float32", float16 = "float32", int32 = "int64", int16 = "int64", int8 = "int64", uint8 = "int64",
    uint16 = "int64", bool = "int64" }
  for dtype, wide in pairs(wide_of) do
    it("is right: " .. dtype, function()
      local small = dtype:find "float" ~= nil
      for _, op in ipairs(neap.ops()) do
        local r = refuses[op.name]
        if op.family == "elementwise" and op.name ~= "bitwise_not" and op.name ~= "nan_to_num" then
          local xs = operands(op)
          local ok, y = pcall(run, op, xs, dtype, dtype)
          if (small and r.float) or (dtype == "bool" and r.bool) then
            assert.is_false(ok, op.name)
            assert.is_truthy(y:find(op.name .. ": ", 1, true) and y:find(dtype == "bool" and "bools" or dtype, 1, true), y)
          else
            assert.is_true(ok, op.name .. ": " .. tostring(y))
            local want = bool_out[op.name] and "bool" or r.F and not small and "float32" or dtype
            assert.are.equal(want, y.dtype, op.name)
            local through = run(op, xs, wide, dtype)
            local equal, i, a, b = same_values(y, through:to(want))
            assert(equal, ("%s: element %s is %s, computed in %s %s"):format(op.name, i, a, wide, b))
          end
        end
      end
    end)
  end

  it("nan_to_num and bitwise_not look at the dtype itself", function()
    assert.are.same({ false, true }, neap.tensor { 1, 0 }:gt(0):bitwise_not():totable())
    assert.are.same({ 254 }, neap.tensor({ 1 }, { dtype = "uint8" }):bitwise_not():totable())
    assert.are.equal("bool", neap.tensor { 1 }:gt(0):nan_to_num().dtype)
  end)
  it("integers wrap, and division by 0 gives 0", function()
    local function t(dtype, ...) return neap.tensor({ ... }, { dtype = dtype }) end
    assert.are.same({ -128, 44 }, { t("int8", 127):add(t("int8", 1)):item(), t("uint8", 200):add(100):item() })
    assert.are.same({ 0, 0 }, list(t("int32", 7):floor_divide(0):add(t("int32", 0, 0))))
    assert.are.equal(0, t("int64", 7):remainder(0):item())
    assert.are.equal(-32768, t("int16", -32768):neg():item())
    assert.are.equal(1 / 0, t("int32", 7):div(0):item())
  end)
  it("small floats round once, to the nearest even", function()
    local x = neap.tensor { 1, 1 + 2 ^ -8, 1 + 3 * 2 ^ -8, 3.5e38, 1e-40 }:to("bf16")
    assert.are.same({ 1, 1, 1 + 2 ^ -6 }, { x[1]:float():item(), x[2]:float():item(), x[3]:float():item() })
    assert.are.equal(1 / 0, neap.tensor { 65520 }:to("f16"):float():item())
    assert.are.equal(65504, neap.tensor { 65519 }:to("half"):float():item())
    assert.are.equal(2 ^ -24, neap.tensor { 2 ^ -24 }:to("float16"):float():item())
    assert.are.equal(0, neap.tensor { 2 ^ -25 }:to("float16"):float():item())
    -- 256 + 1 is 257, a tie between 256 and 258: the sum in float32, then one rounding
    assert.are.equal(256, neap.tensor { 256 }:to("bf16"):add(1):float():item())
    assert.are.equal("bfloat16", neap.tensor { 256 }:to("bf16"):add(1):mul(0.5).dtype)
    assert.are.equal("float32", (neap.tensor { 1 }:to("bf16") + neap.tensor { 1 }:to("f16")).dtype)
  end)
end)

describe("layers of pointwise ops", function()
  it("PReLU learns its slopes", function()
    local layer = neap.nn.PReLU(3)
    assert.are.same({ 3 }, { table.unpack(layer.weight.shape) })
    local x = -neap.ones(2, 3, 4)
    layer(x):sum():backward()
    assert.are.same({ -8, -8, -8 }, list(layer.weight.grad))
    assert.are.same({ -0.25 }, list(layer(x)[{ 1, 2, 3 }]))
    local ok, message = pcall(neap.nn.PReLU, 0)
    assert.is_false(ok)
    assert.is_truthy(message:find("num_parameters must be at least 1, not 0", 1, true), message)
  end)
  it("RReLU draws in training alone", function()
    neap.seed(2)
    local layer, x = neap.nn.RReLU(0.1, 0.9), -neap.ones(1000)
    assert.is_true(layer(x):std():item() > 0.2)
    assert.is_true(neap.allclose(layer:eval()(x), x * 0.5))
  end)
  it("GLU and Threshold are their ops", function()
    local x = neap.randn(3, 4)
    assert.is_true(neap.equal(neap.nn.GLU(1 + 1)(x), x:glu(2)))
    assert.is_true(neap.equal(neap.nn.Threshold(0.5, -1)(x), x:threshold(0.5, -1)))
  end)
end)

describe("Lua's operators", function()
  it("on bits are logical for bools, bitwise for integers", function()
    local a, b, i = neap.tensor { true, false, true }, neap.tensor { true, true, false }, int(6, 3)
    assert.are.same({ true, false, false }, list(a & b))
    assert.are.same({ true, true, true }, list(a | b))
    assert.are.same({ false, true, true }, list(a ~ b))
    assert.are.same({ false, true, false }, list(~a))
    assert.are.same({ 2, 3 }, list(i & 3))
    assert.are.same({ 7, 3 }, list(1 | i))
    assert.are.same({ 7, 2 }, list(i ~ 1))
    assert.are.same({ -7, -4 }, list(~i))
    assert.are.same({ 24, 12 }, list(i << 2))
    assert.are.same({ 64, 8 }, list(1 << i))
    assert.are.same({ 3, 1 }, list(i >> 1))
    says(function() return neap.ones(2) & 1 end, "bitwise_and", "integers", "float32")
  end)
  it("divide downwards", function() assert.are.same({ -4, 1 }, list(int(-7, 3) // 2)) end)
  it("join texts, which tensors and shapes are not", function()
    local x = neap.ones(1)
    says(function() return "loss " .. x end, "x .. y joins texts and numbers: x:item() is the number of a tensor of one element, tostring(x)")
    says(function() return x.shape .. "!" end, "tostring(x.shape) is a shape's text")
    local function deep(n) -- wherever Lua's stack ends
      if n > 0 then return (deep(n - 1)) end
      return "<" .. x.shape .. "|" .. x.shape .. ">"
    end
    for n = 0, 60 do assert.error_matches(function() coroutine.wrap(deep)(n) end, "x .. y joins texts") end
    assert.are.equal("loss 1.0 (1)", "loss " .. x:item() .. " " .. tostring(x.shape))
  end)
end)
