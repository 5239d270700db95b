-- Layers whose weight is computed from others: PyTorch's names and numbers, copies, dtypes, gradients, and the way back.

local neap = require "neap"
local nn = neap.nn
local P = nn.utils.parametrizations

local f64 = {dtype = "float64"}
local function near(a, b, tolerance)
  assert.is_true(math.abs(a - b) <= (tolerance or 1e-9), ("%.12g and %.12g are %g apart"):format(a, b, math.abs(a - b)))
end

local x = (neap.arange(12, f64):reshape(4, 3) * 0.7):cos()

local function linear()
  local layer = nn.Linear(3, 2):to("float64")
  layer:load_state_dict{weight = (neap.arange(6, f64):reshape(2, 3) - 2.3):sin(), bias = neap.tensor({0.1, 0.2}, f64)}
  return layer
end

local function names(module)
  local list = {}
  for name in pairs(module:state_dict()) do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("weight_norm", function()
  it("has PyTorch's names and numbers", function()
    local layer = P.weight_norm(linear())
    assert.are.same({"bias", "parametrizations.weight.original0", "parametrizations.weight.original1"}, names(layer))
    local g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    neap.no_grad(function() g:mul_(1.5) end)
    local y = layer(x)
    near(y:sum():item(), 1.111345783971045)
    y:square():sum():backward()
    near(g.grad[1]:item(), 16.723341629438117)
    near(g.grad[2]:item(), 17.3976904490138)
    near(v.grad:sum():item(), -0.5960581184356233)
    near(layer.bias.grad[1]:item(), -3.7974520379594203)
  end)
  it("may have one length for all, or one for each position of another dimension", function()
    local layer = linear()
    local y = layer(x)
    for _, dim in ipairs{2, -1} do
      local other = P.weight_norm(linear(), "weight", dim)
      assert.are.same({1, 3}, {table.unpack(other.parametrizations.weight.original0.shape)})
      near((other(x) - y):abs():max():item(), 0)
    end
    local whole = P.weight_norm(linear(), "weight", false)
    assert.are.equal(0, whole.parametrizations.weight.original0:dim())
    near((whole(x) - y):abs():max():item(), 0)
  end)
  it("trains, is copied, converted and undone", function()
    neap.seed(3)
    local model = nn.Sequential(P.weight_norm(nn.Linear(3, 8)), nn.Tanh(), P.weight_norm(nn.Linear(8, 1)))
    local adam = neap.optim.Adam(model:parameters(), {lr = 0.05})
    local input, wanted = neap.randn(32, 3), neap.randn(32, 1)
    local first, last
    for step = 1, 30 do
      local loss = neap.mse_loss(model(input), wanted)
      adam:zero_grad()
      loss:backward()
      adam:step()
      first, last = first or loss:item(), loss:item()
    end
    assert.is_true(last < 0.7 * first, first .. " " .. last)
    local y = model(input)
    local copy = model:clone()
    near((copy(input) - y):abs():max():item(), 0)
    model:to("float64")
    near((model(input:double()):float() - y):abs():max():item(), 0, 1e-5)
    local plain = nn.utils.parametrize.remove_parametrizations(copy[1], "weight")
    assert.are.same({"bias", "weight"}, names(plain))
    near((plain(input) - copy[1](input)):abs():max():item(), 0, 1e-6)
  end)
end)

describe("spectral_norm", function()
  it("has PyTorch's names and numbers", function()
    local layer = P.spectral_norm(linear())
    assert.are.same({"bias", "parametrizations.weight.0._u", "parametrizations.weight.0._v", "parametrizations.weight.original"}, names(layer))
    layer:load_state_dict({["parametrizations.weight.0._u"] = neap.tensor{0.6, 0.8},
      ["parametrizations.weight.0._v"] = neap.tensor{0, 0.6, 0.8}}, {strict = false})
    local y = layer(x)
    near(y:sum():item(), 1.166561858505323)
    y:square():sum():backward()
    local g = layer.parametrizations.weight.original.grad
    near(g[1][1]:item(), -0.4365638017164717)
    near(g[2][3]:item(), 0.28213031229501206)
    near(layer.parametrizations.weight[1]._u[1]:item(), -0.6561112877392131)
    near(layer:eval()(x):sum():item(), 1.166561858505323) -- which moves nothing
  end)
  it("takes its settings in a table, and a transposed convolution's outputs as what its matrix has first", function()
    local layer = P.spectral_norm(nn.ConvTranspose1d(3, 4, 2), {n_power_iterations = 3})
    local state = layer:state_dict()
    assert.equal(4, state["parametrizations.weight.0._u"]:numel())
    assert.equal(6, state["parametrizations.weight.0._v"]:numel())
    assert.equal(3, layer.parametrizations.weight[1].iterations)
  end)
  it("leaves a largest singular value of 1", function()
    neap.seed(4)
    local layer = P.spectral_norm(nn.Linear(6, 5))
    for _ = 1, 20 do layer(neap.randn(2, 6)) end
    local weight = neap.no_grad(function() return layer.parametrizations.weight() end)
    near(neap.linalg.svdvals(weight)[1]:item(), 1, 1e-3)
  end)
end)

describe("misuse", function()
  local says = require "support.says".says
  it("is named", function()
    says(function() P.weight_norm(1) end, "register_parametrization: takes a layer, not a number (1)")
    says(function() P.weight_norm(nn.Linear(2, 3), "weights") end, "register_parametrization: Linear has no parameter 'weights'")
    says(function() P.weight_norm(nn.Linear(nil, 3)) end, "register_parametrization: the layer waits for its first input: call it once before")
    says(function() P.weight_norm(nn.Sequential(nn.Linear(2, 3))) end,
      "register_parametrization: takes a layer with a weight of its own, not Sequential, which holds others")
    says(function() P.weight_norm(nn.Linear(2, 3), {dims = 1}) end, "weight_norm: unknown option 'dims' (did you mean 'dim'?); it has name, dim")
    says(function() P.weight_norm(nn.Linear(2, 3), {dim = 0.5}) end, "weight_norm: dim is a dimension or false, not a number (0.5)")
    says(function() P.spectral_norm(nn.Linear(2, 3), "weight", 0) end, "spectral_norm: n_power_iterations is a whole number from 1 on, not 0")
    says(function() P.weight_norm(nn.Sequential(print, nn.Linear(2, 3))) end, "not Sequential, which holds others")
    says(function() nn.utils.parametrize.remove_parametrizations(nn.Linear(2, 3), "weight") end, "remove_parametrizations: 'weight' is not parametrized")
  end)
end)
