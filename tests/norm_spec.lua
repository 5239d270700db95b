-- Normalisations, dropout and tables of rows: what the sweeps do not say. Running statistics, with PyTorch's numbers; rows
-- that are shortened in place; what is dropped together, how often, and that mean and variance stay; threads.

local neap = require "neap"
local nn = neap.nn

local function near(a, b, tolerance)
  assert.is_true(math.abs(a - b) <= tolerance, ("%g and %g are %g apart"):format(a, b, math.abs(a - b)))
end
local function int(...) return neap.tensor({...}, {dtype = "int64"}) end

describe("running statistics", function()
  local function batches() return neap.tensor{{1, 2}, {3, 6}}, neap.tensor{{2, 0}, {4, 1}, {9, 5}} end

  it("move by momentum, with the unbiased variance", function()
    local norm = nn.BatchNorm1d(2)
    norm((batches()))
    local state = norm:state_dict()
    near(state.running_mean[2]:item(), 0.4, 1e-6)
    near(state.running_var[1]:item(), 0.9 + 0.1 * 2, 1e-6)
    assert.are.equal(1, state.num_batches_tracked:item())
  end)
  it("are the mean over all batches where they are cumulative", function()
    local norm = nn.BatchNorm1d(2, {cumulative = true})
    local a, b = batches()
    norm(a)
    norm(b)
    local state = norm:state_dict()
    near(state.running_mean[1]:item(), (2 + 5) / 2, 1e-6)
    near(state.running_var[1]:item(), (2 + 13) / 2, 1e-5)
    assert.are.equal(2, state.num_batches_tracked:item())
  end)
  it("stay as they are outside of training, and for an empty batch", function()
    local norm = nn.BatchNorm2d(3)
    norm(neap.zeros(0, 3, 2, 2))
    assert.are.equal(0, norm:state_dict().running_mean:abs():sum():item())
    norm:eval()(neap.randn(2, 3, 4, 4))
    assert.are.equal(0, norm:state_dict().running_mean:abs():sum():item())
  end)
  it("make eval the affine map that they say", function()
    local norm = nn.BatchNorm1d(1, {eps = 0})
    norm:load_state_dict{weight = neap.tensor{2}, bias = neap.tensor{1}, running_mean = neap.tensor{3}, running_var = neap.tensor{4},
      num_batches_tracked = neap.tensor(7, {dtype = "int64"})}
    near(norm:eval()(neap.tensor{{5}}):item(), 3, 1e-6)
  end)
  it("come with the size of the first input", function()
    local norm = nn.BatchNorm2d()
    norm(neap.randn(2, 5, 3, 3))
    assert.are.equal(5, norm:state_dict().running_var.shape[1])
    assert.are.equal(4, #nn.LazyInstanceNorm1d{affine = true, track_running_stats = true}(neap.randn(4, 6)).shape + 2)
  end)
end)

describe("normalisations", function()
  it("hold out against a large mean", function()
    neap.seed(4)
    for _, shape in ipairs{{8, 3, 50}, {40, 3}, {2, 2, 70000}} do
      local x = neap.randn(shape) + 1000
      local want = neap.batch_norm(x:double(), {training = true})
      assert.is_true((neap.batch_norm(x, {training = true}):double() - want):abs():max():item() < 1e-3)
      want = neap.group_norm(x:double(), 1)
      assert.is_true((neap.group_norm(x, 1):double() - want):abs():max():item() < 1e-3)
    end
  end)
  it("give the same for parts of a channel as for all of it", function()
    neap.seed(5)
    local x = neap.randn(5, 2, 30000, {dtype = "float64", requires_grad = true}) -- three parts a channel
    local y = neap.batch_norm(x, {training = true})
    local mean, var = x:mean({1, 3}, true), x:var({1, 3}, 0, true)
    assert.is_true((y - (x - mean) / (var + 1e-5):sqrt()):abs():max():item() < 1e-12)
    local w = neap.randn(5, 2, 30000, {dtype = "float64"})
    local g = neap.grad({(y * w):sum()}, {x})[1]
    local want = neap.grad({((x - mean) / (var + 1e-5):sqrt() * w):sum()}, {x})[1]
    assert.is_true((g - want):abs():max():item() < 1e-12)
  end)
end)

describe("dropout", function()
  it("of channels drops them whole, about as often as asked", function()
    neap.seed(6)
    for name, shape in pairs{dropout1d = {100, 20, 3}, dropout2d = {100, 20, 2, 2}, dropout3d = {100, 20, 2, 1, 2}} do
      local sums = neap[name](neap.ones(shape), 0.3):reshape(2000, -1)
      local n = sums:size(2)
      assert.is_true(sums:amin(2):equal(sums:amax(2)), name)
      local kept = sums:sum(2):gt(0):sum():item() / 2000
      near(kept, 0.7, 0.05)
      near(sums:amax():item(), 1 / 0.7, 1e-6)
      assert.is_true(n > 1)
    end
  end)
  it("of paths drops samples", function()
    neap.seed(7)
    local y = neap.drop_path(neap.ones(1000, 3), 0.25)
    assert.is_true(y:amin(2):equal(y:amax(2)))
    near(y:mean():item(), 1, 0.08)
  end)
  it("that is alpha's keeps mean 0 and variance 1", function()
    neap.seed(8)
    for _, name in ipairs{"alpha_dropout", "feature_alpha_dropout"} do
      local y = neap[name](neap.randn(200, 50, 4), {p = 0.4, training = true})
      near(y:mean():item(), 0, 0.05)
      near(y:var():item(), 1, 0.1)
    end
  end)
  it("passes gradients where it passes values", function()
    neap.seed(9)
    local x = neap.ones(4, 5, 2, {requires_grad = true})
    local y = nn.Dropout1d(0.5)(x)
    y:sum():backward()
    assert.is_true(x.grad:equal(y:detach()))
  end)
end)

describe("frequencies", function()
  it("divide the gradients of bags by how often a row is named in all", function()
    neap.seed(10)
    local index, g = int(1, 3, 3, 1, 1, 2), neap.randn(2, 2, {dtype = "float64"})
    local function slope(options)
      local w = neap.ones(4, 2, {dtype = "float64", requires_grad = true})
      options.offsets = int(1, 3)
      return neap.grad({(neap.embedding_bag(index, w, options) * g):sum()}, {w})[1]
    end
    local counts = neap.tensor({{3}, {1}, {2}, {1}}, {dtype = "float64"})
    for _, mode in ipairs{"sum", "mean", "max"} do
      local plain = slope{mode = mode}
      assert.is_true((slope{mode = mode, scale_grad_by_freq = true} - plain / counts):abs():max():item() < 1e-12, mode)
    end
  end)
end)

describe("rows that are too long", function()
  it("are shortened in place, those in use alone", function()
    local w = neap.tensor({{3, 4}, {0.3, 0.4}, {6, 8}}, {requires_grad = true})
    local y = neap.embedding(int(1, 2, 1), w, {max_norm = 1})
    near(y[1]:norm():item(), 1, 1e-5)
    near(w[1]:norm():item(), 1, 1e-5)
    near(w[2]:norm():item(), 0.5, 1e-6)
    near(w[3]:norm():item(), 10, 1e-5)
    y:sum():backward()
    assert.are.same({2, 1, 0}, w.grad:select(2, 1):totable())
    local m = neap.embedding_bag(int(3):unsqueeze(1), w, {max_norm = 2, norm_type = 1})
    near(m:abs():sum():item(), 2, 1e-5)
  end)
  it("may be float16, and lie in columns", function()
    local w = neap.tensor({{3, 6}, {4, 8}}, {dtype = "float16"}):t()
    neap.embedding(int(2), w, {max_norm = 5})
    near(w[2]:float():norm():item(), 5, 1e-2)
    near(w[1]:float():norm():item(), 5, 1e-2)
  end)
end)
