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

-- x along its last dimension: values and at must be its stable order.
local function is_order_of(x, values, at, descending)
  local n = x.shape[#x.shape]
  local wide = x:to(x.dtype:find "float" and "float64" or "int64")
  local v = values:to(wide.dtype)
  local step = v:diff()
  assert.is_true((descending and step:le(0) or step:ge(0)):all():item())
  assert.is_true(wide:gather(-1, at):eq(v):all():item())
  assert.is_true(step:ne(0):logical_or(at:diff():gt(0)):all():item(), "equal values changed places")
  local seen = neap.zeros(x.shape, { dtype = "int64" }):scatter(-1, at, 1)
  assert.are.equal(x:numel(), seen:sum():item())
  return n
end

local function samples(shape)
  local ties = neap.randint(1, 50, shape)
  return {
    neap.randn(shape), neap.randn(shape, { dtype = "float64" }), ties:to("float32"), ties:to("float64"), ties, ties:to("int8"),
    1 + ties:to("float64") * 2 ^ -50, neap.randint(-2 ^ 62, 2 ^ 62, shape), 2 ^ 40 // 1 * ties + neap.randint(1, 9, shape),
    neap.randn(shape):to("bfloat16"), neap.randn(shape):to("float16"), neap.arange(neap.zeros(shape):numel()):reshape(shape),
  }
end

describe("orders", function()
  for _, shape in ipairs { { 10 }, { 300, 20 }, { 30, 100 }, { 5, 3000 }, { 1, 40000 }, { 3, 70001 } } do
    it("of rows of " .. shape[#shape] .. " are sorted, and ranks agree", function()
      neap.seed(shape[#shape])
      for _, x in ipairs(samples(shape)) do
        local n = shape[#shape]
        local up, at = x:sort()
        is_order_of(x, up, at, false)
        local down, back = x:sort(-1, true)
        is_order_of(x, down, back, true)
        assert.is_true(x:argsort():eq(at):all():item())
        for _, k in ipairs { 1, n // 20 + 1, n // 2, n } do
          local best, where = x:topk(k, -1, false)
          assert.is_true(best:eq(up:narrow(-1, 1, k)):all():item())
          assert.is_true(where:eq(at:narrow(-1, 1, k)):all():item())
          best, where = x:topk(k)
          assert.is_true(best:eq(down:narrow(-1, 1, k)):all():item())
          assert.is_true(where:eq(back:narrow(-1, 1, k)):all():item())
          best, where = x:topk(k, -1, true, false)
          assert.is_true(where:eq((back:narrow(-1, 1, k):sort())):all():item())
          assert.is_true(best:eq(x:gather(-1, where)):all():item())
          best, where = x:kthvalue(k)
          assert.is_true(best:eq(up:select(-1, k)):all():item())
          assert.is_true(where:eq(at:select(-1, k)):all():item())
        end
        local middle, position = x:median(-1)
        assert.is_true(middle:eq(up:select(-1, (n + 1) // 2)):all():item())
        assert.is_true(position:eq(at:select(-1, (n + 1) // 2)):all():item())
      end
    end)
  end
  it("put NaN last, keep -0 and 0 as they stand", function()
    local x = neap.tensor { 0 / 0, 0.0, -0.0, -1, 0 / 0 }
    local v, at = x:sort()
    assert.are.same({ 4, 2, 3, 1, 5 }, list(at))
    assert.are.same({ math.huge, -math.huge }, list(1 / v[{ { 2, 3 } }]))
    assert.are.same({ 1, 5, 2, 3, 4 }, list(x:argsort(1, true)))
    assert.are.same({ 1, 5, 2 }, list((select(2, x:topk(3)))))
    assert.are.equal(4, select(2, x:kthvalue(1)):item())
    assert.are.equal(1, select(2, x:median(1)):item())
    assert.are.equal(2, select(2, x:nanmedian(1)):item())
  end)
  it("take the first of many equal ones where few are wanted", function()
    local x = neap.zeros(5000)
    x[4000], x[4500] = 1, 1
    assert.are.same({ 4000, 4500, 1, 2 }, list((select(2, x:topk(4)))))
    x[3000] = 0 / 0
    assert.are.same({ 3000, 4000, 4500, 1 }, list((select(2, x:topk(4)))))
    assert.are.same({ 1, 2, 3 }, list((select(2, x:topk(3, 1, false)))))
  end)
  it("without a dimension median is one value", function()
    assert.are.equal(1, select("#", neap.ones(3, 2):median()))
    assert.are.equal(2, select("#", neap.ones(3, 2):median(1)))
    assert.are.same({ 1, 1 }, neap.ones(3, 2):median(nil, true).shape)
  end)
  it("count positions from the base of the call", function()
    local x = neap.tensor { 3, 1, 2 }
    assert.are.same({ 1, 2, 0 }, list((select(2, x:sort(1, { base = 0 })))))
    assert.are.same({ 0 }, list((select(2, x:topk(1, { base = 0 })))))
    assert.are.equal(2, select(2, x:median(1, { base = 0 })):item())
    assert.are.equal(3, select(2, x:median(1)):item())
  end)
  it("of quantiles as statistics packages count them", function()
    local x = neap.tensor { { 4, 1, 3, 2 }, { 40, 10, 30, 20 } }
    assert.are.same({ { 1.75, 17.5 }, { 2.5, 25 } }, list(x:quantile(neap.tensor { 0.25, 0.5 }, 2)))
    assert.are.same({ 2, 1, 1 }, x:quantile(neap.tensor { 0.25, 0.5 }, nil, true).shape)
  end)
  it("refuse what makes no sense", function()
    local x = neap.ones(2, 3)
    says(function() return x:sort(3) end, "sort: dimension 3 is out of range")
    says(function() return x:argsort(3) end, "argsort: dimension 3 is out of range")
    says(function() return x:topk(4) end, "topk: k is 4, but dimension 2 of x has size 3")
    says(function() return x:topk(-1) end, "topk: k is -1, but dimension 2 of x has size 3")
    says(function() return neap.tensor(1):topk(0) end, "topk: k is 0, but x is a single value")
    says(function() return x:topk(1, 3) end, "topk: dimension 3 is out of range")
    says(function() return x:kthvalue(4) end, "kthvalue: k is 4, but dimension 2 of x has size 3")
    says(function() return x:kthvalue(0) end, "1 is the smallest value")
    says(function() return neap.zeros(2, 0):kthvalue(1) end, "dimension 2 of x has size 0, so there is nothing to choose from")
    says(function() return neap.zeros(2, 0):median(2) end, "dimension 2 of x has size 0, so there is nothing to choose from")
    says(function() return neap.zeros(2, 0):median() end, "median: x has no elements, so it has no median")
    says(function() return neap.zeros(2, 0):mode() end, "dimension 2 of x has size 0, so there is nothing to choose from")
    says(function() return x:mode(3) end, "mode: dimension 3 is out of range")
    says(function() return x:quantile(1.5) end, "quantile: q is 1.5, it must be from 0 to 1")
    says(function() return x:quantile(0 / 0) end, "quantile: q is", "it must be from 0 to 1")
    says(function() return x:quantile(neap.ones(2, 2)) end, "q must be a number or a vector, got 2 dimensions")
    says(function() return x:quantile(neap.ones(2, { dtype = "float64" })) end, "q is float64 and x is float32")
    says(function() return ints { 1 }:quantile(0.5) end, "quantile: x must be of a floating dtype, got int64")
    says(function() return x:quantile(0.5, 3) end, "quantile: dimension 3 is out of range")
    says(function() return neap.zeros(0):nanquantile(0.5) end, "nanquantile: x has no elements")
    says(function() return neap.ones(1, 1, 1, 1, 1, 1, 1, 1):quantile(neap.ones(1), nil, true) end, "the result has 9 dimensions, 8 are the most")
    says(function() return x:quantile(0.5, 1, false, "cubic") end, "interpolation is 'cubic'")
  end)
end)
