-- Reverse mode: what flows where, through loops, views, writes, hooks and functions of one's own; what is refused, and in
-- which words. That each op's gradient is right is ops_spec's matter.

local neap = require "neap"
local check = require "support.says"
local message_of, has = check.message_of, check.has

local function leaf(values) return neap.tensor(values, { dtype = "float64", requires_grad = true }) end

describe("an op in place whose gradient reads what it wrote over", function()
  it("keeps a copy of that", function()
    local p = neap.tensor({0.5, 2}, {requires_grad = true})
    for _, name in ipairs {"sin_", "log_", "square_", "gelu_", "lgamma_"} do
      local apart = neap.grad((p * 2)[name:sub(1, -2)](p * 2):sum(), {p})[1]
      assert.is_true(neap.equal(neap.grad((p * 2)[name](p * 2):sum(), {p})[1], apart), name)
    end
    local y = (p * 1):mul_(p)
    assert.are.same({1, 4}, neap.grad(y:sum(), {p})[1]:totable())
    local view = neap.ones(2, 2) * p
    view[1]:mul_(p)
    assert.are.same({2 * 0.5 + 1, 2 * 2 + 1}, neap.grad(view:sum(), {p})[1]:totable())
  end)
  it("still sees what others write", function()
    local p = neap.tensor({0.5, 2}, {requires_grad = true})
    local x = p * 1
    local y = x:sin()
    x:add_(1)
    assert.is_false(pcall(y.backward, y:sum()))
  end)
end)

describe("backward", function()
  it("sums over every path", function()
    local x = leaf { 3 }
    local y = x * x + x * 2
    y:backward()
    assert.are.same({ 8 }, x.grad:totable())
  end)

  it("gathers over calls until the gradient is set to nil", function()
    local x = leaf { 1, 2 }
    x:sum():backward()
    x:sum():backward()
    assert.are.same({ 2, 2 }, x.grad:totable())
    x.grad = nil
    assert.is_nil(x.grad)
    x:sum():backward()
    assert.are.same({ 1, 1 }, x.grad:totable())
  end)

  it("runs over loops, recursion and coroutines", function()
    local x = leaf { 2 }
    local function power(n) return n == 0 and neap.ones(1, { dtype = "float64" }) or x * power(n - 1) end
    local y = coroutine.wrap(function() coroutine.yield(power(5)) end)()
    y:backward()
    assert.are.same({ 80 }, x.grad:totable())
  end)

  it("takes a gradient for outputs of several elements", function()
    local x = leaf { 1, 2, 3 };
    (x * x):backward(neap.tensor({ 1, 0, 10 }, { dtype = "float64" }))
    assert.are.same({ 2, 0, 60 }, x.grad:totable())
    has(message_of(function() (x * x):backward() end), "shape (3)", "single element")
  end)

  it("refuses a second pass unless the graph was retained", function()
    local x = leaf { 1, 2 }
    local y = (x * x):sum()
    y:backward { retain_graph = true }
    y:backward()
    assert.are.same({ 4, 8 }, x.grad:totable())
    has(message_of(function() y:backward() end), "retain_graph", "autograd_spec.lua:")
  end)

  it("retain_grad keeps the gradient of what is no leaf, once however often it is asked", function()
    local x = leaf { 2 }
    local y = x * 3
    y:retain_grad()
    y:retain_grad()
    y:square():sum():backward()
    assert.are.same({ 12 }, y.grad:totable())
    has(message_of(function() neap.ones(1):retain_grad() end), "requires no gradient")
  end)

  it("gives zeros, not nothing, where all was overwritten or is flat", function()
    for _, write in ipairs {
      function(y) y:zero_() end, function(y) y:fill_(3) end, function(y) y:copy_(neap.ones(3)) end, function(y) y:uniform_() end,
      function(y) y:floor_() end, function(y) y:eq_(2) end, function(y) y:logical_not_() end, function(y) y[{ {} }] = 1 end,
      function(y) y:view(3, 1):lt_(1) end, function(y) y:view(3, 1):zero_() end,
    } do
      local x = leaf { 1, 2, 3 }
      local y = x * 2
      write(y)
      assert.is_true(y.requires_grad)
      y:sum():backward()
      assert.are.same({ 0, 0, 0 }, x.grad:totable())
    end
    local x = leaf { 1, 2, 3 }
    local y = x * 2
    y:narrow(1, 1, 1):gt_(5) -- writes 0 where a view looks; the rest stays
    y:sum():backward()
    assert.are.same({ 0, 2, 2 }, x.grad:totable())
    assert.are.same({ 0, 0, 0 }, neap.grad(x:sign():sum(), x)[1]:totable())
  end)

  it("works out no more than the inputs that are asked for", function()
    local x, w = neap.randn(1, 800, { requires_grad = true }), neap.randn(800, 800, { requires_grad = true })
    local loss = x:matmul(w):sum()
    collectgarbage() collectgarbage()
    local before = neap.memory { reset_peak = true }.live
    local gx = neap.grad(loss, x, { retain_graph = true })[1]
    assert.is_true(neap.memory().peak - before < 800 * 800 * 4)
    assert.are.same({ 1, 800 }, { table.unpack(gx.shape) })
  end)

  it("refuses what has no history", function()
    has(message_of(function() neap.ones(1):backward() end), "no history")
    local y = neap.no_grad(function() return leaf { 1 } * 2 end)
    assert.is_false(y.requires_grad)
  end)

  it("goes through a chain of a million ops without a deep stack", function()
    local x = leaf { 1 }
    local y = x
    for _ = 1, 1000000 do y = y + 1 end
    y:backward()
    assert.are.same({ 1 }, x.grad:totable())
    y = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
  end)

  it("frees what it no longer needs", function()
    collectgarbage() collectgarbage()
    local before = neap.memory().live
    do
      local x = neap.randn(100, 100, { requires_grad = true })
      local y = x
      for _ = 1, 20 do y = (y * x):tanh() end
      y:sum():backward()
    end
    collectgarbage() collectgarbage()
    assert.are.equal(before, neap.memory().live)
  end)
end)

describe("neap.grad", function()
  it("gives gradients without touching the leaves", function()
    local x, y = leaf { 2 }, leaf { 5 }
    local gx, gy = table.unpack(neap.grad({ x * y * y }, { x, y }))
    assert.are.same({ 25 }, gx:totable())
    assert.are.same({ 20 }, gy:totable())
    assert.is_nil(x.grad)
  end)

  it("takes a tensor in the middle as an input", function()
    local x = leaf { 2 }
    local m = x * x
    local g = neap.grad({ m * m }, { m })[1]
    assert.are.same({ 8 }, g:totable())
  end)

  it("says when an input was not used, or gives nil if that is allowed", function()
    local x, y = leaf { 2 }, leaf { 5 }
    has(message_of(neap.grad, { x * 2 }, { y }), "allow_unused")
    assert.is_nil(neap.grad({ x * 2 }, { y }, { allow_unused = true })[1])
  end)

  it("is differentiable itself", function()
    local x = leaf { 3 }
    local g = neap.grad({ x * x * x }, { x }, { create_graph = true })[1]
    assert.are.same({ 27 }, g:totable())
    local h = neap.grad({ g }, { x }, { create_graph = true })[1]
    assert.are.same({ 18 }, h:totable())
    h:backward()
    assert.are.same({ 6 }, x.grad:totable())
  end)
end)

describe("writing to what is recorded", function()
  it("lets gradients flow to the new values and none to the old", function()
    local x, v = leaf { 1, 2, 3 }, leaf { 10 }
    local y = x * 2
    y[2] = v[1] * 3
    y:sum():backward()
    assert.are.same({ 2, 0, 2 }, x.grad:totable())
    assert.are.same({ 3 }, v.grad:totable())
  end)

  it("goes through views to their base", function()
    local x = leaf { { 1, 2 }, { 3, 4 } }
    local y = x * 1
    y[1]:mul_(5)
    local row = y[2]
    row:add_(y[1]);
    (y * y):sum():backward()
    -- y = {5a, 5b, c + 5a, d + 5b}
    assert.are.same({ { 2 * 5 * 5 + 2 * 8 * 5, 2 * 10 * 5 + 2 * 14 * 5 }, { 16, 28 } }, x.grad:totable())
  end)

  it("gives a view its history after its base has changed", function()
    local x = leaf { 1, 2, 3 }
    local y = x * 1
    local part = y:narrow(1, 1, 2)
    y:mul_(4)
    part:sum():backward()
    assert.are.same({ 4, 4, 0 }, x.grad:totable())
  end)

  it("is refused on a leaf that requires a gradient", function()
    local x = leaf { 1, 2 }
    has(message_of(function() x:add_(1) end), "leaf", "no_grad")
    has(message_of(function() x[1] = 3 end), "leaf")
    neap.no_grad(function() x:add_(1) end)
    assert.are.same({ 2, 3 }, x:detach():totable())
  end)

  it("is noticed by what had saved the old values, naming both places", function()
    local x = leaf { 1, 2 }
    local y = x * 2
    local z = y * y -- saves y
    y:add_(1)
    local message = message_of(function() z:sum():backward() end)
    has(message, "mul", "add_", "in place")
    local _, places = message:gsub("autograd_spec.lua:%d+", "")
    assert.is_true(places >= 2, message)
  end)

  it("is harmless where nothing was saved", function()
    local x = leaf { 1, 2 }
    local y = x + 1
    local z = y + 1
    y:mul_(2)
    z:sum():backward()
    assert.are.same({ 1, 1 }, x.grad:totable())
  end)
end)

describe("hooks", function()
  it("see and replace gradients of intermediates and leaves", function()
    local x = leaf { 1, 2 }
    local seen
    local y = x * 3
    y:register_hook(function(g) seen = g:totable() return g * 10 end)
    y:sum():backward()
    assert.are.same({ 1, 1 }, seen)
    assert.are.same({ 30, 30 }, x.grad:totable())
    local w = leaf { 1 }
    w:register_hook(function(g) return g + 1 end);
    (w * 2):backward()
    assert.are.same({ 3 }, w.grad:totable())
  end)
end)

describe("functions written in Lua", function()
  local cube = neap.custom {
    forward = function(ctx, x)
      ctx:save(x)
      return x * x * x
    end,
    backward = function(ctx, g)
      local x = ctx:saved()
      return g * x * x * 3
    end,
  }

  it("take part in backward", function()
    local x = leaf { 2 }
    local y = cube(x * 2)
    assert.are.same({ 64 }, y:detach():totable());
    (y * 2):backward()
    assert.are.same({ 2 * 3 * 16 * 2 }, x.grad:totable())
  end)

  it("are collected with the graph", function()
    collectgarbage() collectgarbage()
    local before = neap.memory().live
    do
      local x = leaf { 2 }
      local y = cube(x)
      y:register_hook(function(g) return g + y:detach() end) -- a cycle through Lua
    end
    collectgarbage() collectgarbage()
    assert.are.equal(before, neap.memory().live)
  end)
end)

describe("anomaly mode", function()
  it("names the op whose gradient has NaN", function()
    local x = leaf { 0 }
    local y = x:sqrt() * 0
    has(message_of(function() y:backward { anomaly = true } end), "NaN", "sqrt", "autograd_spec.lua:")
  end)
end)

describe("gradcheck", function()
  it("accepts what is right and refuses what is wrong", function()
    neap.seed(1)
    local x = neap.randn(3, 4, { dtype = "float64", requires_grad = true })
    assert.is_true(neap.gradcheck(function(t) return (t * t):sum() end, { x }))
    local wrong = neap.custom { forward = function(_, t) return t * 2 end, backward = function(_, g) return g * 3 end }
    assert.is_false((pcall(neap.gradcheck, wrong, { x })) and (neap.gradcheck(wrong, { x })) == true)
  end)
end)
