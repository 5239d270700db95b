-- map: a formula gives what the ops it is made of give, in values and gradients, for any layout, dtype and size; and what
-- is no formula is refused with the column at which it stops being one.

local neap = require "neap"

local function list(x) return x:detach():double():reshape(-1):totable() end

local function close(got, want, tolerance, what)
  assert.are.same(want.shape, got.shape, what)
  assert.are.equal(want.dtype, got.dtype, what)
  local g, w = list(got), list(want)
  for i = 1, #w do
    local same = g[i] == w[i] or (g[i] ~= g[i] and w[i] ~= w[i])
    if not same and not (math.abs(g[i] - w[i]) <= tolerance * math.max(1, math.abs(w[i]))) then
      error(("%s: element %d is %.12g, wanted %.12g"):format(what, i, g[i], w[i]), 2)
    end
  end
end

-- {formula, the same in ops}
local formulas = {
  { "x + y * z", function(x, y, z) return x + y * z end },
  { "x + y + z", function(x, y, z) return x + y + z end },
  { "(x + y) + (z + x)", function(x, y, z) return (x + y) + (z + x) end },
  { "y + (x + exp(y)) + 0 * z", function(x, y, z) return y + (x + y:exp()) + z * 0 end },
  { "(x - y) / (2 + z * z) - -x", function(x, y, z) return (x - y) / (z * z + 2) + x end },
  { "tanh(x * y + 0.5) * exp(-z ^ 2)", function(x, y, z) return (x * y + 0.5):tanh() * (-(z ^ 2)):exp() end },
  { "2 ^ -x + y % 0.7 + z // 0.3", function(x, y, z) return neap.pow(2, -x) + y % 0.7 + z // 0.3 end },
  { "x > y and x * z or y ^ 2", function(x, y, z) return neap.where(x:gt(y), x * z, y ^ 2) end },
  { "x > 1 and x or y > 0 and z or -z", function(x, y, z) return neap.where(x:gt(1), x, neap.where(y:gt(0), z, -z)) end },
  { "where(not (x <= y or z > 0), x, sigmoid(y)) * pi", function(x, y, z)
    return neap.where(x:le(y):logical_or(z:gt(0)):logical_not(), x, y:sigmoid()) * math.pi end },
  { "max(x, min(y, z)) + clamp(x, -0.5, 0.5) + leaky_relu(y, 0.3)", function(x, y, z)
    return neap.maximum(x, neap.minimum(y, z)) + x:clamp(-0.5, 0.5) + y:leaky_relu(0.3) end },
  { "gelu(x, 'tanh') + gelu(y) + softplus(z, 2)", function(x, y, z) return x:gelu("tanh") + y:gelu() + z:softplus(2) end },
  { "addcmul(x, y, z, 0.5) + lerp(x, y, 0.25)", function(x, y, z) return neap.addcmul(x, y, z, 0.5) + neap.lerp(x, y, 0.25) end },
  { "x * x + x * x * y + sin(x * x) + 0 * z", function(x, y, z) return x * x + x * x * y + (x * x):sin() + z * 0 end },
  { "x == y and 1 or x ~= z and 2 or 3", function(x, y, z)
    return neap.where(x:eq(y), neap.ones_like(x + y + z), neap.where(x:ne(z), 2, 3)) end },
}

local function compare(make, tolerance, dtype)
  for _, pair in ipairs(formulas) do
    local function run(f)
      neap.seed(11)
      local xs = table.pack(make())
      for i = 1, 3 do xs[i] = xs[i]:detach():requires_grad_(true) end
      local y = f(xs[1], xs[2], xs[3])
      if not y.requires_grad then return y, {} end
      local w = neap.cos(neap.arange(0, y:numel(), 1, { dtype = "float64" })):reshape(y.shape):to(dtype)
      return y, neap.grad({ (y * w):sum() }, { xs[1], xs[2], xs[3] }, { allow_unused = true })
    end
    local want, wanted = run(pair[2])
    local got, gradients = run(function(x, y, z) return neap.map(x, y, z, pair[1]) end)
    close(got, want, tolerance, pair[1])
    for i = 1, 3 do
      if gradients[i] then
        close(gradients[i], wanted[i] or neap.zeros_like(gradients[i]), tolerance * 10, pair[1] .. ": gradient " .. i)
      end
    end
  end
end

local function randn(dtype, ...) return neap.randn({ ... }, { dtype = dtype }) end

describe("map", function()
  it("gives what the ops give", function()
    compare(function() return randn("float64", 7, 33), randn("float64", 7, 33), randn("float64", 7, 33) end, 1e-12, "float64")
    compare(function() return randn("float32", 50), randn("float32", 50), randn("float32", 50) end, 1e-6, "float32")
  end)
  it("broadcasts", function()
    compare(function() return randn("float64", 4, 1, 9), randn("float64", 5, 1), randn("float64", 1) end, 1e-12, "float64")
    compare(function() return randn("float64", 3), randn("float64", 2, 3), neap.randn({}, { dtype = "float64" }) end, 1e-12, "float64")
  end)
  it("reads any layout", function()
    compare(function()
      return randn("float64", 6, 5):transpose(1, 2), randn("float64", 5, 12)[{ {}, { 1, 12, 2 } }], randn("float64", 5, 6):flip(1)
    end, 1e-12, "float64")
  end)
  it("is right beyond one task", function()
    neap.seed(5)
    local x, y, s = neap.randn(300, 701), neap.randn(701), neap.tensor { 0.5 }
    local function run()
      for _, t in ipairs { x, y, s } do t.requires_grad, t.grad = true, nil end
      local r = neap.map(x, y, s, "tanh(x * z + y) * x")
      r:sum():backward()
      return { r, x.grad:clone(), y.grad:clone(), s.grad:clone() }
    end
    local one = run()
    local r = (x * s + y):tanh() * x
    for _, t in ipairs { x, y, s } do t.grad = nil end
    r:sum():backward()
    close(one[1], r:detach(), 1e-6, "values")
    close(one[2], x.grad, 1e-5, "x")
    close(one[3], y.grad, 1e-4, "y")
    assert.is_true(math.abs(one[4]:item() - s.grad:item()) < 0.05)
  end)
  it("promotes once for all of the formula", function()
    local i, f, b = neap.tensor({ 5, -7 }, { dtype = "int32" }), neap.tensor { 0.5, 2 }, neap.tensor { 1, 0 }:gt(0)
    assert.are.equal("int32", neap.map(i, "x * x + 1").dtype)
    assert.are.same({ 26, 50 }, list(neap.map(i, "x * x + 1")))
    assert.are.same({ 2, -4 }, list(neap.map(i, "x // 2")))
    assert.are.equal("float32", neap.map(i, "x / 2").dtype)
    assert.are.equal("float32", neap.map(i, "x * 0.5").dtype)
    assert.are.equal("float32", neap.map(i, f, "x * y").dtype)
    assert.are.same({ 5, 2 }, list(neap.map(i, f, b, "z and x or y")))
    assert.are.same({ true, false }, neap.map(b, i, "x and y > 0"):totable())
    assert.are.equal("bfloat16", neap.map(f:to("bf16"), "x * 3").dtype)
    assert.are.same({ 1.5, 6 }, list(neap.map(f:to("bf16"), "x * 3")))
    assert.are.same({ 12, 4 }, list(neap.map(neap.tensor({ 6, 2 }, { dtype = "int64" }), "bitwise_left_shift(x, 1)")))
    assert.are.same({ 9, 2 }, list(neap.map(neap.tensor({ 7, -9 }, { dtype = "int64" }), "min(x + 2, 99999999999999999999999) * (x > 0 and 1 or -1) // (x > 0 and 1 or 3)")))
    assert.are.same({ 65504, 3 }, list(neap.map(neap.tensor { 1 / 0, 3 }:to("f16"), "nan_to_num(x)")))
  end)
  it("takes tensors of no elements and of no dimensions", function()
    assert.are.same({ 0, 3 }, { table.unpack(neap.map(neap.zeros(0, 3), "x + 1").shape) })
    local x = neap.zeros(0, 3):requires_grad_()
    neap.map(x, "exp(x)"):sum():backward()
    assert.are.equal(0, x.grad:numel())
    assert.are.equal(7, neap.map(neap.tensor(3), neap.tensor(4), "x + y"):item())
    assert.are.equal(12, neap.tensor(3):map(neap.tensor(4), "x * y"):item())
  end)
end)

describe("what is no formula", function()
  local x, y = neap.ones(3), neap.ones(3)
  local function says(formula, ...)
    local ok, message = pcall(neap.map, x, y, formula)
    assert.is_false(ok, formula)
    for _, part in ipairs { "map", ... } do
      assert.is_truthy(message:find(part, 1, true), ("%q is not in: %s"):format(part, message))
    end
  end
  it("is refused where it goes wrong", function()
    says("tanhh(x) + y", 'column 1 of "tanhh(x) + y"', "no function tanhh", "did you mean 'tanh'")
    says("x + y +", "column 8", "ends where a value should stand")
    says("(x + y", "column 1", "never closed")
    says("x + y)", "column 6", "closes nothing")
    says("x y", "column 3", "go on with an operator")
    says("x + * y", "column 5", "before '*'")
    says("max(x, y", "the call of maximum has no )")
    says("max(x y)", "a comma or ) is missing")
    says("max(x) + y", "maximum takes 2 operands, 1 is given")
    says("exp(x, y)", "exp takes 1 argument at most")
    says("q + x + y", "no name q")
    says("relu + x + y", "relu is a function")
    says("x + y + z", "no operand z", "2 tensors are given")
    says("x + y + $3", "no operand $3")
    says("x", "does not use number 2")
    says("x and y", "on the left of `and` stands a condition")
    says("x > 0 and y", "needs its `or`")
    says("x or y", "`or` stands between conditions")
    says("leaky_relu(x, y)", "negative_slope of leaky_relu is a number, not a tensor")
    says("gelu(x, 'sinh') + y", "approximate of gelu is one of none|tanh")
    says("isclose(x, y, 1, 1, 1)", "equal_nan of isclose is true or false")
    says("round(x, 1.5) + y", "decimals of round is a whole number")
    says("polygamma(x, -1) + y", "polygamma: n is -1, it must be at least 0")
    says("x + gcd(x, y)", "gcd works on integers, the formula is computed in float32")
    says(("("):rep(100) .. "x", "nested too deep")
    local long = {}
    for i = 1, 120 do long[i] = "x * " .. i + 0.5 end
    says(table.concat(long, " + ") .. " + y", "too long")
  end)
  it("tells how many tensors there may be, and which shapes", function()
    local many = {}
    for i = 1, 9 do many[i] = x end
    many[10] = "x"
    local ok, message = pcall(neap.map, table.unpack(many))
    assert.is_false(ok)
    assert.is_truthy(message:find("takes 1 to 8 tensors", 1, true), message)
    ok, message = pcall(neap.map, x, neap.ones(4), "x + y")
    assert.is_false(ok)
    assert.is_truthy(message:find("map", 1, true) and message:find("(4)", 1, true), message)
  end)
end)
