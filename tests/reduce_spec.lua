-- Reductions, scans, sorting and counting beyond what the loops of ops_spec and the sweeps see: sizes at which work is cut
-- in parts, dtypes that are only storage, NaN and ties, and what misuse says.

local neap = require "neap"

local function says(f, ...)
  local ok, message = pcall(f)
  assert.is_false(ok, "it should have raised")
  for _, part in ipairs { "reduce_spec.lua:", ... } do
    assert.is_truthy(message:find(part, 1, true), ("%q is not in: %s"):format(part, message))
  end
end

local function list(x) return x:totable() end
local function ints(values) return neap.tensor(values, { dtype = "int64" }) end

describe("scans", function()
  it("of a long row run in parts", function()
    for _, dtype in ipairs { "float32", "float64", "int32" } do
      local n = 300001
      local x = (neap.arange(n):to("float64") * 7):remainder(11):sub(5):to(dtype)
      local up, down = x:cumsum(1), x:cumsum(1, nil, true)
      local total = x:to("float64"):sum():item()
      assert.are.equal(total, up[n]:item())
      assert.are.equal(total, down[1]:item())
      assert.are.equal(0, (up:diff():sub(x[{ { 2, n } }])):abs():amax():item())
      assert.are.equal(0, (up + down - x - total):abs():amax():item())
    end
  end)
  it("of many columns", function()
    local x = neap.randn(5, 700)
    assert.is_true((x:cumsum(1) - x:t():contiguous():cumsum(2):t()):abs():amax():item() < 1e-5)
    local v, at = x:cummax(1)
    local w, same = x:t():contiguous():cummax(2)
    assert.is_true(v:eq(w:t()):all():item())
    assert.is_true(at:eq(same:t()):all():item())
  end)
  it("take dtypes that are only storage", function()
    for _, dtype in ipairs { "bfloat16", "float16", "int8", "bool" } do
      local x = neap.tensor({ 1, 0, 1, 1 }, { dtype = dtype })
      local y = x:cumsum(1)
      assert.are.same({ 1, 1, 2, 3 }, list(y:to("float64")))
      assert.are.same({ 1, 1, 3, 4 }, list((select(2, x:cummax(1)))))
    end
    assert.are.equal("bfloat16", neap.ones(2, { dtype = "bfloat16" }):cumprod(1).dtype)
  end)
  it("in place keep the dtype", function()
    local x = neap.tensor({ 1, 2, 3 }, { dtype = "int32" })
    x:cumsum_(1)
    assert.are.same({ 1, 3, 6 }, list(x))
    assert.are.equal("int32", x.dtype)
    local y = neap.ones(4, 4)
    y:t()[2]:cumsum_(1)
    assert.are.same({ 1, 2, 1, 1 }, list(y[2]))
  end)
  it("of logarithms have a gradient past -inf", function()
    local x = neap.tensor({ -math.huge, 0, -math.huge, 0 }, { requires_grad = true })
    x:logcumsumexp(1)[4]:backward()
    assert.are.same({ 0, 0.5, 0, 0.5 }, list(x.grad))
  end)
  it("count positions from the base of the call", function()
    local x = neap.tensor { 1, 3, 2 }
    assert.are.same({ 1, 2, 2 }, list((select(2, x:cummax(1)))))
    assert.are.same({ 0, 1, 1 }, list((select(2, x:cummax(1, { base = 0 })))))
  end)
  it("refuse what makes no sense", function()
    local x = neap.ones(2, 3)
    says(function() return x:cumsum(3) end, "cumsum: dimension 3 is out of range")
    says(function() return x:cummax(-3) end, "cummax: dimension -3 is out of range")
    says(function() return ints { 1 }:logcumsumexp(1) end, "logcumsumexp: x must be of a floating dtype, got int64")
    says(function() return ints { 1 }:linear_recurrence(ints { 1 }, 1) end, "x must be of a floating dtype, got int64")
    says(function() return x:linear_recurrence(neap.ones(3), 1) end, "x (2, 3) and w (3) must have one shape")
    says(function() return x:linear_recurrence(x:to("float64"), 1) end, "x is float32 and w is float64")
    says(function() return x:linear_recurrence(x, 3) end, "dimension 3 is out of range")
    says(function() return x:diff(-1) end, "diff: n is -1")
    says(function() return x:diff(1, 3) end, "diff: dimension 3 is out of range")
    says(function() return neap.tensor(1):diff() end, "diff: x must have a dimension")
    says(function() return neap.tensor(1):trapezoid() end, "trapezoid: y must have a dimension")
    says(function() return x:trapezoid(nil, 1, 3) end, "trapezoid: dimension 3 is out of range")
    says(function() return x:trapezoid(neap.ones(2)) end, "x (2) does not fit y (2, 3)", "3 in dimension 2")
  end)
end)
