-- Read this first: what Neap is, in ten small tests. Everything here is meant to be read as an example.

local neap = require "neap"
local nn, optim = neap.nn, neap.optim

describe("Neap in ten lines each", function()
  it("makes tensors from tables; dimensions and positions count from 1", function()
    local x = neap.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    assert.are.same({ 2, 3 }, x.shape)
    assert.are.equal("float32", x.dtype)
    assert.are.equal(6, x[2][3]:item())
    assert.are.equal(2, #x)
  end)

  it("computes with broadcasting", function()
    local x = neap.tensor { { 1, 2 }, { 3, 4 } }
    local y = x * 10 + neap.tensor { 1, 2 }
    assert.are.same({ { 11, 22 }, { 31, 42 } }, y:totable())
    assert.are.same({ 4, 6 }, x:sum(1):totable())
  end)

  it("multiplies matrices with matmul", function()
    local x = neap.tensor { { 1, 2 }, { 3, 4 } }
    assert.are.same({ { 7, 10 }, { 15, 22 } }, x:matmul(x):totable())
  end)

  it("reads and writes parts: a position, a closed range, all", function()
    local x = neap.zeros(3, 4)
    x[{ 2, { 2, 3 } }] = 7
    assert.are.same({ 0, 7, 7, 0 }, x[2]:totable())
    assert.are.same({ 0, 7, 0 }, x[{ {}, 2 }]:totable())
  end)

  it("knows gradients of whatever Lua computes", function()
    local x = neap.tensor({ 2, 3 }, { requires_grad = true })
    local y = x
    for _ = 1, 2 do y = y * x end -- x cubed
    y:sum():backward()
    assert.are.same({ 12, 27 }, x.grad:totable())
  end)

  it("builds networks from layers", function()
    neap.seed(1)
    local net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    assert.are.same({ 5, 2 }, net(neap.randn(5, 3)).shape)
    assert.are.equal(3 * 4 + 4 + 4 * 2 + 2, (function() local n = 0; for _, p in ipairs(net:parameters()) do n = n + p:numel() end return n end)())
  end)

  it("learns", function()
    neap.seed(1)
    local x = neap.tensor { { 0, 0 }, { 0, 1 }, { 1, 0 }, { 1, 1 } }
    local labels = neap.tensor({ 1, 2, 2, 1 }, { dtype = "int64" }) -- classes count from 1
    local net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    local adam = optim.Adam(net:parameters(), { lr = 0.05 })
    local loss
    for _ = 1, 300 do
      adam:zero_grad()
      loss = neap.cross_entropy(net(x), labels)
      loss:backward()
      adam:step()
    end
    assert.is_true(loss:item() < 0.01)
    assert.are.same({ 1, 2, 2, 1 }, net(x):argmax(2):totable())
  end)

  it("repeats itself for the same seed", function()
    neap.seed(5)
    local a = neap.randn(10)
    neap.seed(5)
    assert.are.same(a:totable(), neap.randn(10):totable())
  end)

  it("says what is wrong, and where", function()
    local ok, message = pcall(function() return neap.randn(3, 4):matmul(neap.randn(5, 2)) end)
    assert.is_false(ok)
    assert.truthy(message:find("matmul", 1, true))
    assert.truthy(message:find("(3, 4)", 1, true) and message:find("(5, 2)", 1, true))
    assert.truthy(message:find("tiny_spec.lua:%d+"))
  end)

  it("frees what a scope made, at once", function()
    collectgarbage() -- what earlier tests left
    local before = neap.memory().live
    do
      local scope <close> = neap.scope()
      local _ = neap.zeros(1000, 1000)
      assert.is_true(neap.memory().live >= before + 4000000)
    end
    assert.is_true(neap.memory().live < before + 4000000)
  end)
end)
