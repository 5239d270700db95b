-- What misuse says: each mistake has a message of its own that names the op, what was got, what is allowed, and the line
-- of the script; nothing of Neap's own insides shows, and nothing is lost by it.

local neap = require "neap"
local nn = neap.nn

local function message_of(f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, "it should have raised")
  return tostring(message)
end
local function says(f, ...)
  local message = message_of(f)
  for _, part in ipairs { "errors_spec.lua:", ... } do
    assert.is_truthy(message:lower():find(part:lower(), 1, true), ("%q is not in: %s"):format(part, message))
  end
  assert.is_nil(message:find("stack traceback", 1, true))
  return message
end

describe("misuse", function()
  it("of shapes: matmul", function()
    says(function() return neap.randn(3, 4):matmul(neap.randn(5, 2)) end, "matmul", "(3, 4)", "(5, 2)", "4", "5")
  end)
  it("of shapes: broadcasting", function()
    says(function() return neap.ones(3, 4) + neap.ones(3, 5) end, "add", "(3, 4)", "(3, 5)", "dimension 2")
  end)
  it("of dimensions: out of range, or 0", function()
    says(function() return neap.ones(3, 4):sum(3) end, "sum", "3", "dimension")
    says(function() return neap.ones(3, 4):sum(0) end, "0", "1")
  end)
  it("of labels: out of range", function()
    says(function() return neap.cross_entropy(neap.randn(3, 5), neap.tensor({ 1, 6, 2 }, { dtype = "int64" })) end,
      "cross_entropy", "6", "1", "5")
    says(function() return neap.cross_entropy(neap.randn(3, 5), neap.tensor({ 0, 1, 2 }, { dtype = "int64" })) end, "0")
  end)
  it("of losses: they do not broadcast", function()
    says(function() return neap.mse_loss(neap.randn(4, 1), neap.randn(4)) end, "mse_loss", "(4, 1)", "(4)")
  end)
  it("of positions: out of range", function()
    says(function() return neap.ones(3)[4] end, "4", "3")
    says(function() local x = neap.ones(3) x[0] = 1 end, "0")
  end)
  it("of options: the nearest name is suggested", function()
    says(function() return neap.ones(3, 4):sum(1, { keepdims = true }) end, "keepdims", "keepdim")
    says(function() return nn.Linear(3, 4, { bais = false }) end, "bais", "bias")
    says(function() return neap.optim.SGD(nn.Linear(3, 4):parameters(), { lrr = 1 }) end, "lrr", "lr")
  end)
  it("of tables: rows of different length", function()
    says(function() return neap.tensor { { 1, 2 }, { 3 } } end, "tensor", "row", "2", "1")
  end)
  it("of dtypes", function()
    says(function() return neap.zeros(3, { dtype = "float3" }) end, "float3", "float32")
    says(function() return neap.tensor({ 1, 2 }, { dtype = "int64" }):mean() end, "mean", "int64")
    says(function() return neap.ones(3):mean(1, false, "int32") end, "mean", "int32", "float")
    says(function() neap.zeros(3, { dtype = "int64" }):add_(neap.ones(3) * 0.5) end, "add_", "int64", "float32")
  end)
  it("of comparison operators", function()
    says(function() return neap.ones(3) < neap.ones(3) end, "lt")
  end)
  it("of a tensor after its scope closed", function()
    local x
    do
      local scope <close> = neap.scope()
      x = neap.ones(3)
    end
    says(function() return x + 1 end, "scope", "closed")
  end)
  it("of memory: more than the cap", function()
    local memory = neap.memory()
    neap.set_memory_cap(memory.live + memory.cached + 8 * 1024 * 1024)
    local message = message_of(function() return neap.zeros(64, 1024, 1024) end)
    neap.set_memory_cap(0)
    assert.is_truthy(message:find("memory", 1, true))
    assert.are.equal(3, neap.ones(3):sum():item())
  end)
  it("inside a layer: its path is named", function()
    local net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))
    says(function() return net(neap.randn(2, 3)) end, "linear", "(2, 4)", "layer Sequential[3]")
  end)
  it("inside a layer written in Lua: its path is named", function()
    local Net = nn.class "Net"
    function Net:init() self.body = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)) end
    function Net:forward(x) return self.body(x) end
    says(function() return Net()(neap.randn(2, 3)) end, "Net.body[2]")
  end)
  it("of a missing argument, or one of the wrong kind", function()
    says(function() return neap.matmul(neap.ones(2, 2)) end, "matmul", "missing")
    says(function() return neap.ones(2, 2):matmul("x") end, "matmul", "string")
  end)
  it("leaves everything usable", function()
    for _ = 1, 100 do pcall(function() return neap.ones(2, 3):matmul(neap.ones(2, 3)) end) end
    assert.are.equal(6, neap.ones(2, 3):sum():item())
  end)
end)
