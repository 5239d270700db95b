-- Brackets: x[...] reads and writes positions, closed ranges, steps, "...", masks and index tensors, as views where it can;
-- what is assigned broadcasts and records. A new dimension is made by unsqueeze: brackets take dimensions away or keep them.

local neap = require "neap"
local says = require("support.says").says

local function grid() return neap.range(1, 12, 1, {dtype = "float32"}):view(3, 4) end
local function i64(...) return neap.tensor({...}, {dtype = "int64"}) end
local function mask(...) return neap.tensor({...}, {dtype = "bool"}) end
local function same(want, got) assert.are.same(want, got:totable()) end

describe("where as a method", function()
  it("takes the condition first, as PyTorch's does", function()
    local x = neap.tensor{1, 2, 3}
    assert.are.same({0, 0, 3}, x:where(x:gt(2), 0):totable())
    assert.are.same({1, 2, 9}, neap.where(x:gt(2), 9, x):totable())
    assert.error_matches(function() return x:gt(2):where(x, 0) end, "x:where%(condition, other%): the condition is a bool tensor, not float32")
  end)
end)

describe("reading with brackets", function()
  local x = grid()
  it("takes positions, from either end", function()
    same({5, 6, 7, 8}, x[2])
    same({9, 10, 11, 12}, x[-1])
    assert.are.equal(7, x[{2, 3}]:item())
    assert.are.equal(12, x[{-1, -1}]:item())
    assert.are.equal(7, x[2][3]:item())
    same({5, 6, 7, 8}, x[2.0])
  end)
  it("takes closed ranges, steps and all", function()
    same({{1, 2, 3, 4}, {5, 6, 7, 8}}, x[{{1, 2}}])
    same({{2, 3}, {6, 7}, {10, 11}}, x[{{}, {2, 3}}])
    same({3, 7, 11}, x[{{}, 3}])
    same({{1, 3}, {5, 7}, {9, 11}}, x[{{}, {1, -1, 2}}])
    same({{11, 12}}, x[{{-1, -1}, {-2, -1}}])
    assert.are.same({0, 4}, x[{{2, 1}}].shape)
    assert.are.same({0, 4}, x[{{4, 3}}].shape)
    assert.are.same({3, 4}, x[{}].shape)
  end)
  it("lets '...' stand for the dimensions between", function()
    local y = neap.range(1, 24):view(2, 3, 4)
    same({{4, 8, 12}, {16, 20, 24}}, y[{"...", 4}])
    same(y[{1, {}, 2}]:totable(), y[{1, "...", 2}])
    same(y:totable(), y[{"..."}])
    same(y[{1, 2, 3}]:totable(), y[{1, 2, "...", 3}])
  end)
  it("gives views: writing to a part writes to the whole", function()
    local y = grid()
    y[2]:zero_()
    y[{{}, {4, 4}}]:fill_(7)
    same({{1, 2, 3, 7}, {0, 0, 0, 7}, {9, 10, 11, 7}}, y)
    local all = y[{}]
    all:zero_()
    assert.are.equal(0, y:sum():item())
  end)
  it("takes index tensors: positions in any order, negative ones from the end", function()
    same({{9, 10, 11, 12}, {1, 2, 3, 4}, {9, 10, 11, 12}}, x[i64(3, 1, -1)])
    same({{4, 1}, {8, 5}, {12, 9}}, x[{{}, i64(-1, 1)}])
    same({2, 7}, x[{i64(1, 2), i64(2, 3)}])
    same({{2, 3}, {10, 11}}, x[{i64(1, 3):view(2, 1), i64(2, 3)}])
    same({6, 8}, x[{2, i64(2, 4)}])
    same({{2, 4}, {6, 8}}, x[{{1, 2}, i64(2, 4)}])
    assert.are.same({2, 2, 4}, x[neap.tensor({{1, 2}, {3, 1}}, {dtype = "int32"})].shape)
    assert.are.same({0, 4}, x[neap.zeros(0, {dtype = "int64"})].shape)
  end)
  it("puts the shape of lists that stand apart first, of neighbours in place", function()
    local y = neap.zeros(2, 3, 4, 5)
    assert.are.same({6, 3, 5}, y[{i64(1, 1, 1, 1, 1, 1), {}, i64(1, 2, 3, 4, 1, 2)}].shape)
    assert.are.same({2, 6, 5}, y[{{}, i64(1, 1, 1, 1, 1, 1), i64(1, 2, 3, 4, 1, 2)}].shape)
    assert.are.same({3, 6, 5}, y[{1, {}, i64(1, 2, 3, 4, 1, 2)}].shape)
  end)
  it("takes masks, over one dimension or several", function()
    same({9, 10, 11, 12}, x[x:gt(8)])
    same({{1, 2, 3, 4}, {9, 10, 11, 12}}, x[mask(true, false, true)])
    same({{1, 4}, {5, 8}, {9, 12}}, x[{{}, mask(true, false, false, true)}])
    same({5, 8}, x[{2, mask(true, false, false, true)}])
    same({1, 12}, x[{mask(true, false, true), i64(1, 4)}])
    assert.are.same({0}, x[x:gt(100)].shape)
  end)
end)

describe("the rows of a tensor", function()
  it("are gone through by ipairs and pairs, and end behind the last", function()
    for _, each in ipairs {ipairs, pairs} do
      local sums, last = {}, 0
      for i, row in each(grid()) do sums[i], last = row:sum():item(), i end
      assert.are.same({10, 26, 42}, sums)
      assert.are.equal(3, last)
      for _ in each(neap.zeros(0, 2)) do error "there is no row" end
    end
  end)
  it("are in range for all others", function()
    says(function() return grid()[4] end, "select: index 4 is out of range", "3 positions")
    says(function() return table.unpack(grid(), 1, 4) end, "select: index 4 is out of range")
    says(function() for _ in pairs(neap.tensor(1)) do end end, "a tensor without dimensions has no length")
  end)
end)

describe("a shape", function()
  it("counts negative positions from the end", function()
    local shape = neap.zeros(2, 3, 4).shape
    assert.are.same({4, 3, 2}, {shape[-1], shape[-2], shape[-3]})
    says(function() return shape[-4] end, "shape[-4]", "(2, 3, 4)")
    says(function() return shape[0] end, "shape[0]: dimensions count from 1")
  end)
  it("is a list: nil past its end, and for other keys", function()
    local shape, n = neap.zeros(2, 3).shape, 0
    for _ in ipairs(shape) do n = n + 1 end
    assert.are.equal(2, n)
    assert.is_nil(shape[3])
    assert.is_nil(shape.first)
    assert.are.equal("2 3", table.concat(shape, " "))
    assert.are.same({2, 3}, {table.unpack(shape)})
    assert.are.same({4, 2, 3}, neap.broadcast_shapes(shape, {4, 1, 3}))
  end)
end)

describe("writing with brackets", function()
  it("takes numbers, tensors that broadcast, and tables", function()
    local x = grid()
    x[1] = 0
    x[{{2, 3}, 1}] = neap.tensor {20, 30}
    x[{{}, {3, 4}}] = {{1}, {2}, {3}}
    same({{0, 0, 1, 1}, {20, 6, 2, 2}, {30, 10, 3, 3}}, x)
    x[{2, 2}] = neap.tensor(5, {dtype = "int64"})
    assert.are.equal(5, x[{2, 2}]:item())
    x[{}] = 1
    assert.are.equal(12, x:sum():item())
    x[{{1, -1, 2}, {1, -1, 3}}] = 0
    same({{0, 1, 1, 0}, {1, 1, 1, 1}, {0, 1, 1, 0}}, x)
  end)
  it("takes masks and index tensors", function()
    local x = grid()
    x[x:gt(6)] = 0
    x[i64(1, 3)] = neap.tensor {4, 3, 2, 1}
    x[{i64(2, 2), i64(1, -1)}] = neap.tensor {50, 80}
    same({{4, 3, 2, 1}, {50, 6, 0, 80}, {4, 3, 2, 1}}, x)
    x[{2, x[2]:eq(0)}] = 7
    x[{{2, 3}, i64(2)}] = {{1}, {2}}
    same({{4, 3, 2, 1}, {50, 1, 7, 80}, {4, 2, 2, 1}}, x)
    local flags = mask(true, true, false)
    flags[2] = false
    flags[mask(false, false, true)] = true
    same({true, false, true}, flags)
  end)
  it("writes what it reads, even from the same memory", function()
    local x = neap.tensor {1, 2, 3, 4}
    x[{{2, 4}}] = x[{{1, 3}}]
    same({1, 1, 2, 3}, x)
    x[i64(1, 4)] = x[i64(4, 1)]
    same({3, 1, 2, 1}, x)
  end)
  it("keeps integers whole beyond what a float holds", function()
    local x = neap.zeros(2, {dtype = "int64"})
    x[1] = (1 << 60) + 1
    x[i64(2)] = (1 << 60) + 3
    same({(1 << 60) + 1, (1 << 60) + 3}, x)
  end)
end)

describe("gradients through brackets", function()
  local function leaf(...) return neap.tensor({...}, {requires_grad = true}) end
  it("flow from what was read", function()
    local x = leaf(1, 2, 3, 4)
    local y = x[2] * 10 + x[{{3, 4}}]:sum() + x[i64(1, 1)]:sum() + x[mask(false, false, false, true)]:sum()
    y:backward()
    same({2, 10, 1, 2}, x.grad)
  end)
  it("flow to what was written, and are zero for what it replaced", function()
    local x, v = leaf(1, 2, 3, 4), leaf(5, 6)
    local y = x * 2
    y[{{2, 3}}] = v
    y[i64(4)] = v[1] * 3
    y[1] = 0
    assert.are.equal(5 + 6 + 15, y:sum():item())
    y:sum():backward()
    same({0, 0, 0, 0}, x.grad)
    same({4, 1}, v.grad)
  end)
  it("see later writes through a view, and the view sees the base's", function()
    local x, v = leaf(1, 2, 3), leaf(7)
    local y = x * 1
    local part = y[{{2, 3}}]
    y[2] = v[1];
    (part * part):sum():backward()
    same({0, 0, 6}, x.grad)
    same({14}, v.grad)
    local a = leaf(1, 2, 3)
    local b = a * 1
    b:view(3, 1):diagonal()[1] = v[1]
    b:unfold(1, 2)[{2, 2}]:mul_(10)
    v.grad = nil
    b:sum():backward()
    same({0, 1, 10}, a.grad)
    same({1}, v.grad)
  end)
  it("go through masks, with values that broadcast", function()
    local x, v = leaf(-1, 2, -3, 4), leaf(10)
    local y = x * 1
    y[y:lt(0)] = v[1];
    (y * neap.tensor {1, 2, 3, 4}):sum():backward()
    same({0, 2, 0, 4}, x.grad)
    same({4}, v.grad)
  end)
  it("flow through scatter_reduce_ and through a diagonal that was written in place", function()
    local x, v = leaf(1, 2, 3), leaf(5, 1)
    local y = x * 1
    y:scatter_reduce_(1, i64(1, 3), v, "amax")
    same({5, 2, 3}, y:detach())
    y:sum():backward()
    same({0, 1, 1}, x.grad)
    same({1, 0}, v.grad)
    local m, d = neap.ones(2, 2, {requires_grad = true}), leaf(7, 8)
    local n = m * 1
    n:diagonal():copy_(d);
    (n * n):sum():backward()
    same({{0, 2}, {2, 0}}, m.grad)
    same({14, 16}, d.grad)
  end)
  it("stop an in-place write to a leaf or to what backward still reads", function()
    local x = leaf(1, 2)
    assert.has_error(function() x[1] = 0 end)
    assert.has_error(function() x[i64(1)] = 0 end)
    neap.no_grad(function() x[1] = 5 end)
    same({5, 2}, x)
    local y = x * 1
    local z = y * y
    y[1] = 0
    assert.has_error(function() z:sum():backward() end)
  end)
end)

describe("a view whose elements share memory", function()
  it("is read, but not written to", function()
    local x = neap.tensor {1, 2, 3, 4}
    for _, view in ipairs {x:unfold(1, 2), x:expand(2, 4), x:as_strided({2, 2}, {1, 1}, 0)} do
      local ok, message = pcall(view.zero_, view)
      assert.is_false(ok)
      assert.is_truthy(message:find("zero_: elements of the tensor share memory: clone it before writing to it", 1, true))
    end
    same({1, 2, 3, 4}, x)
    x:unfold(1, 2, 2):mul_(10)
    same({10, 20, 30, 40}, x)
  end)
end)

describe("integer tensors of any width and half floats", function()
  it("are moved as they are", function()
    for _, dtype in ipairs {"int8", "uint8", "int16", "uint16", "int32", "int64", "bool", "float16", "bfloat16"} do
      local x = neap.tensor({{1, 0, 1}, {0, 1, 1}}, {dtype = dtype})
      for name, y in pairs {roll = x:roll({1}, {2}), flip = x:flip(1), pad = x:pad({1, 1}, "reflect"), tile = x:tile(2, 2),
        diagonal = x:diagonal(), fill = x:index_fill(2, i64(1), 0), copy = x:index_copy(1, i64(1), x[{{2, 2}}]),
        meet = x:scatter_reduce(2, i64(1, 1):view(1, 2), x[{{1, 1}, {1, 2}}], "amax"), kron = neap.block_diag(x, x)} do
        assert.are.equal(dtype, y.dtype, name)
      end
      assert.are.equal(4, x:roll({1}, {2}):to("int64"):sum():item())
      assert.are.equal(16, x:tile(2, 2):to("int64"):sum():item())
      assert.are.equal(1, x:flip(1, 2)[{1, 1}]:to("int64"):item())
    end
  end)
  it("gather their gradients in the compute type", function()
    for _, dtype in ipairs {"float16", "bfloat16"} do
      local x = neap.ones(300, {dtype = dtype, requires_grad = true})
      x:unfold(1, 257):sum():backward() -- sums beyond what bfloat16 counts one by one
      assert.are.equal(44, x.grad[150]:item())
      local y = neap.ones(2, {dtype = dtype, requires_grad = true})
      y:pad({299, 0}, "replicate"):sum():backward()
      same({300, 1}, y.grad:to("float32"))
    end
  end)
end)

describe("scattering down rows that are a power of two apart", function()
  it("gives what it gives where they are not", function()
    neap.seed(5)
    for _, dtype in ipairs {"float32", "float64", "int32"} do
      local x = neap.randint(-9, 10, {2, 70, 1025}):to(dtype)
      local index, src = neap.randint(1, 71, {2, 40, 1024}), neap.randint(-9, 10, {2, 40, 1024}):to(dtype)
      local function cut(y) return y:narrow(3, 1, 1024) end
      local apart, together = x:clone(), cut(x):contiguous()
      for _, how in ipairs {"sum", "amax", "prod"} do
        cut(apart):scatter_reduce_(2, index, src, how)
        together:scatter_reduce_(2, index, src, how)
        assert.is_true(cut(apart):equal(together), dtype .. " " .. how)
        apart, together = x:clone(), cut(x):contiguous()
      end
      cut(apart):scatter_(2, index, src)
      together:scatter_(2, index, src)
      assert.is_true(cut(apart):equal(together), dtype)
      assert.is_true(cut(x:scatter(2, index, 3)):equal(cut(x):contiguous():scatter(2, index, 3)), dtype)
    end
  end)
end)
