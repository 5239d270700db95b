-- Derivatives of functions: closed forms, PyTorch's numbers, products with vectors against the matrices, gradient penalties,
-- checkpoints (the same gradients and random numbers, less memory), unused inputs, and what misuse says.

local neap = require "neap"
local says = require("support.says").says
local nn = neap.nn

local f64 = { dtype = "float64" }
local function tensor(v) return neap.tensor(v, f64) end

local function near(a, b, tolerance)
  assert.are.same({ table.unpack(b.shape) }, { table.unpack(a.shape) })
  if a:numel() == 0 then return end
  local d = (a:detach():double() - b:detach():double()):abs():max():item()
  assert.is_true(d <= (tolerance or 1e-12), ("they are %g apart"):format(d))
end

describe("jacobian", function()
  it("of a product is the matrix", function()
    local a, x = neap.randn(3, 2, f64), neap.randn(2, f64)
    near(neap.jacobian(function(v) return a:mv(v) end, x), a)
  end)
  it("of elementwise functions is diagonal", function()
    local x = neap.randn(2, 3, f64)
    local j = neap.jacobian(neap.sin, x)
    near(j:reshape(6, 6), neap.diag(x:cos():reshape(-1)))
  end)
  it("of several inputs and outputs is a list of lists, zeros where nothing flows", function()
    local x, y = neap.randn(2, f64), neap.randn(3, f64)
    local j = neap.jacobian(function(a, b) return a:square(), b:sum() * 2, a:sum() end, { x, y })
    near(j[1][1], neap.diag(x * 2))
    near(j[1][2], neap.zeros(2, 3, f64))
    near(j[2][2], neap.full({ 3 }, 2, f64))
    near(j[3][1], neap.ones(2, f64))
    near(neap.jacobian(function() return neap.ones(2, f64) end, x), neap.zeros(2, 2, f64))
  end)
  it("can be differentiated itself", function()
    local x = tensor { 1, 2 }:requires_grad_(true)
    local j = neap.jacobian(function(v) return v ^ 3 end, x, { create_graph = true })
    near(neap.grad(j:sum(), x)[1], x * 6)
    assert.is_nil(x.grad)
  end)
end)

describe("hessian", function()
  it("of a quadratic form is its matrix, made symmetric", function()
    local a, x = neap.randn(3, 3, f64), neap.randn(3, f64)
    near(neap.hessian(function(v) return v:dot(a:mv(v)) end, x), a + a:t())
  end)
  it("of the Rosenbrock function is as PyTorch says", function()
    local function rosenbrock(v) return (1 - v[1]):square() + (v[2] - v[1]:square()):square() * 100 end
    near(neap.hessian(rosenbrock, tensor { 1.2, -0.7 }), tensor { { 2010, -480 }, { -480, 200 } }, 1e-9)
  end)
  it("of two inputs has four blocks", function()
    local x, y = tensor { 1, 2 }, tensor { 3 }
    local h = neap.hessian(function(a, b) return (a:square() * b):sum() end, { x, y })
    near(h[1][1], tensor { { 6, 0 }, { 0, 6 } })
    near(h[1][2], tensor { { 2 }, { 4 } })
    near(h[2][1], tensor { { 2, 4 } })
    near(h[2][2], tensor { { 0 } })
  end)
end)

describe("products with vectors", function()
  local function f(v) return neap.stack { v:prod(), v:square():sum(), (v * tensor { 1, 2, 3 }):sin():sum() } end
  local x, u = tensor { 0.5, -1.2, 2 }, tensor { 1, -0.5, 0.3 }
  it("agree with the matrices", function()
    local j = neap.jacobian(f, x)
    local y, pulled = neap.vjp(f, x, u)
    near(y, f(x))
    near(pulled, j:t():mv(u))
    local y2, pushed = neap.jvp(f, x, u)
    near(y2, f(x))
    near(pushed, j:mv(u))
    local function g(v) return f(v):square():sum() end
    local value, product = neap.hvp(g, x, u)
    near(value, g(x))
    near(product, neap.hessian(g, x):mv(u), 1e-10)
  end)
  it("of a linear function: a second derivative of zeros", function()
    local _, product = neap.hvp(function(v) return v:sum() end, x, u)
    near(product, neap.zeros(3, f64))
    local _, pulled = neap.vjp(function(v) return v:sum() end, x)
    near(pulled, neap.ones(3, f64))
  end)
  it("can be differentiated", function()
    local leaf = x:clone():requires_grad_(true)
    local _, product = neap.hvp(function(v) return (v ^ 4):sum() end, leaf, u, { create_graph = true })
    near(neap.grad(product:sum(), leaf)[1], x * u * 24, 1e-10)
  end)
  it("of a network's loss, with respect to its weights", function()
    neap.seed(1)
    local data, target = neap.randn(5, 3, f64), neap.randn(5, 2, f64)
    local w, b = neap.randn(2, 3, f64), neap.randn(2, f64)
    local function loss(weight, bias) return neap.mse_loss(neap.linear(data, weight, bias):tanh(), target) end
    local v = { neap.randn(2, 3, f64), neap.randn(2, f64) }
    local _, product = neap.hvp(loss, { w, b }, v)
    local h = neap.hessian(loss, { w, b })
    near(product[1], neap.tensordot(h[1][1], v[1], 2) + neap.tensordot(h[1][2], v[2], 1), 1e-10)
    near(product[2], neap.tensordot(h[2][1], v[1], 2) + neap.tensordot(h[2][2], v[2], 1), 1e-10)
  end)
end)

describe("what does not depend on an input", function()
  local x, y = tensor { 1, 2 }, tensor { 3, 4 }
  local function square(a) return a:square():sum() end
  local function zeros() return neap.zeros({}, f64) end
  local strict = { strict = true }
  it("has zeros for derivatives", function()
    near(neap.jacobian(zeros, x), neap.zeros(2, f64))
    for _, f in ipairs { neap.hvp, neap.jvp } do near(select(2, f(zeros, x, x)), f == neap.hvp and neap.zeros(2, f64) or neap.zeros({}, f64)) end
    near(neap.hessian(square, { x, y })[2][2], neap.zeros(2, 2, f64))
  end)
  it("is refused when strict", function()
    for name, args in pairs { jacobian = {}, hessian = {}, vjp = {}, jvp = { x }, hvp = { x } } do
      local function call(f, input, v)
        if #args == 0 and name ~= "vjp" then return neap[name](f, input, strict) end
        return neap[name](f, input, v, strict)
      end
      says(function() call(zeros, x, args[1]) end, name .. ": ", "does not depend on input 1", "without strict = true")
      says(function() call(square, { x, y }, args[1] and { x, y }) end, name .. ": ", "does not depend on input 2")
      call(function(a) return (a ^ 3):prod() end, x, args[1])
    end
    says(function() neap.hvp(neap.sum, x, x, strict) end, "hvp: the derivative does not depend on input 1")
    says(function() neap.hessian(neap.sum, x, strict) end, "hessian: the derivative by input 1 does not depend on input 1")
    says(function() neap.jacobian(neap.sin, x, { strict = 1 }) end, "strict is not a boolean")
  end)
end)

describe("gradient penalties", function()
  it("of a linear critic have their closed form", function() -- (|w| - 1)^2, of gradient 2 (|w| - 1) w / |w|
    local w = tensor { 0.6, -0.8, 1.5 }:requires_grad_(true)
    local x = neap.randn(4, 3, f64):requires_grad_(true)
    local g = neap.grad(x:mv(w):sum(), x, { create_graph = true })[1]
    local penalty = (g:norm(2, 2) - 1):square():mean()
    penalty:backward()
    local length = w:detach():norm():item()
    assert.is_true(math.abs(penalty:item() - (length - 1) ^ 2) < 1e-12)
    near(w.grad, w * (2 * (length - 1) / length))
  end)
  it("of a critic with a hidden layer (WGAN-GP) agree with differences", function()
    neap.seed(2)
    local x = neap.randn(3, 4, f64)
    local a = (neap.randn(5, 4, f64)):requires_grad_(true)
    local c = (neap.randn(1, 5, f64)):requires_grad_(true)
    assert.is_true(neap.gradcheck(function(w, v) return neap.enable_grad(function()
      local at = x:clone():requires_grad_(true)
      local score = neap.linear(neap.linear(at, w):tanh(), v):sum()
      local g = neap.grad(score, at, { create_graph = true })[1]
      return (g:norm(2, 2) - 1):square():mean()
    end) end, { a, c }))
  end)
end)

describe("grad", function()
  it("names what was not used, leaves it out, or fills it with zeros", function()
    local x, y = tensor { 1, 2 }:requires_grad_(true), tensor { 3 }:requires_grad_(true)
    says(function() neap.grad(x:sum(), { x, y }) end, "grad")
    local g = neap.grad(x:sum(), { x, y }, { allow_unused = true })
    assert.is_nil(g[2])
    g = neap.grad(x:sum(), { x, y }, { materialize_grads = true })
    near(g[1], neap.ones(2, f64))
    near(g[2], neap.zeros(1, f64))
    says(function() neap.grad(x:sum(), { x, y }, { allow_unused = false, materialize_grads = true }) end, "materialize_grads")
    assert.is_nil(x.grad)
  end)
  it("accumulates into leaves by backward only, and sums over outputs", function()
    local x = tensor { 1, 2 }:requires_grad_(true)
    x:square():sum():backward()
    x:square():sum():backward()
    near(x.grad, x * 4)
    near(neap.grad({ x:sum(), x:square():sum() }, x)[1], x * 2 + 1)
    near(x.grad, x * 4)
  end)
end)

describe("checkpoint", function()
  local function block()
    return nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Dropout(0.3), nn.Linear(32, 8))
  end
  it("gives the same results, gradients and random numbers", function()
    neap.seed(3)
    local net = nn.Sequential(block(), block())
    local x = neap.randn(6, 8):requires_grad_(true)
    local function gradients(through)
      net:zero_grad()
      x.grad = nil
      neap.seed(4)
      local y = through(x)
      local after = neap.rand(1):item()
      y:square():sum():backward()
      local list = { y:detach():clone(), x.grad:clone() }
      for _, p in ipairs(net:parameters()) do list[#list + 1] = p.grad:clone() end
      return list, after
    end
    local plain, a = gradients(function(v) return net[2](net[1](v)) end)
    local saved, b = gradients(function(v) return neap.checkpoint(net[2], neap.checkpoint(net[1], v)) end)
    assert.are.equal(a, b)
    assert.are.equal(#plain, #saved)
    for i = 1, #plain do near(saved[i], plain[i], 1e-6) end
  end)
  it("reaches a module's parameters where the input needs no gradient", function()
    local layer, x = nn.Linear(3, 2), neap.randn(4, 3)
    layer(x):sum():backward()
    local want = layer.weight.grad:clone()
    layer:zero_grad()
    neap.checkpoint(layer, x):sum():backward()
    near(layer.weight.grad, want, 1e-6)
    layer:zero_grad()
    neap.checkpoint(function(v) return layer(v) end, x, { parameters = layer:parameters() }):sum():backward()
    near(layer.weight.grad, want, 1e-6)
  end)
  it("takes and gives several tensors, and can be differentiated twice", function()
    local a, b = tensor { 1, 2 }:requires_grad_(true), tensor { 3, 4 }:requires_grad_(true)
    local function f(u, v) return u * u * v, u + v end
    local y, z = neap.checkpoint(f, a, b)
    near(z, a + b)
    local g = neap.grad({ y:sum(), z:sum() }, { a, b }, { create_graph = true })
    near(g[1], a * b * 2 + 1)
    near(neap.grad(g[1]:sum(), b)[1], a * 2)
  end)
  it("keeps less memory", function()
    local layers = {}
    for i = 1, 6 do layers[i] = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Tanh(), nn.Tanh(), nn.Tanh(), nn.Tanh()) end
    local x = neap.randn(512, 64)
    local function peak(through)
      collectgarbage()
      collectgarbage()
      neap.memory { reset_peak = true }
      local before = neap.memory().live
      local scope <close> = neap.scope()
      local y = x
      for _, layer in ipairs(layers) do y = through(layer, y) end
      y:sum():backward()
      return neap.memory().peak - before
    end
    local plain = peak(function(layer, y) return layer(y) end)
    local saved = peak(neap.checkpoint)
    assert.is_true(saved < 0.65 * plain, ("%d bytes instead of %d"):format(saved, plain))
  end)
  it("says what it cannot see", function()
    local layer = nn.Linear(3, 2)
    says(function() neap.checkpoint(function(v) return layer(v) end, neap.randn(4, 3)) end, "checkpoint", "parameters = list")
    says(function() neap.checkpoint(3) end, "checkpoint", "function")
    says(function() neap.checkpoint(layer, neap.randn(4, 3), { params = 1 }) end, "params", "parameters")
  end)
end)

describe("misuse", function()
  it("is named", function()
    local x = tensor { 1, 2 }
    says(function() neap.jacobian(neap.sin, 3) end, "jacobian", "tensor")
    says(function() neap.jacobian(neap.sin, { x, 3 }) end, "entry 2")
    says(function() neap.jacobian(3, x) end, "function")
    says(function() neap.jacobian(function() end, x) end, "returned nothing")
    says(function() neap.jacobian(function() return 3 end, x) end, "result")
    says(function() neap.hessian(neap.sin, x) end, "hessian", "one number", "(2)")
    says(function() neap.vjp(neap.sin, x) end, "vjp", "v is needed")
    says(function() neap.vjp(neap.sin, x, tensor { 1 }) end, "(1)", "(2)")
    says(function() neap.jvp(neap.sin, x, { x, x }) end, "jvp", "as many")
    says(function() neap.hvp(neap.sum, x, x, { creat_graph = true }) end, "creat_graph", "create_graph")
  end)
end)
