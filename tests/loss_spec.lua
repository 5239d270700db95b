-- Losses: what the sweeps do not say. Those that take a function of the script's, labels that end a row, means over what is
-- not ignored, and extremes. What misuse says is in tests/errors.

local neap = require "neap"
local nn = neap.nn

local function int(...) return neap.tensor({...}, {dtype = "int64"}) end
local function f64(v) return neap.tensor(v, {dtype = "float64"}) end

local function near(a, b, tolerance)
  local d = math.abs(a - b)
  assert.is_true(d <= (tolerance or 1e-6), ("%g and %g are %g apart"):format(a, b, d))
end

describe("losses at the ends", function()
  it("stay finite for large scores, with gradients that are", function()
    for _, name in ipairs{"soft_margin_loss", "multilabel_soft_margin_loss", "sigmoid_focal_loss"} do
      local x = neap.tensor({{1e4, -1e4, 80}}, {requires_grad = true})
      neap[name](x, neap.tensor{{-1, 1, 1}}:clamp(name == "soft_margin_loss" and -1 or 0, 1)):sum():backward()
      assert.is_true(x.grad:isfinite():all():item(), name)
    end
  end)
  it("of counts of 0 have a gradient for the target too", function()
    local t = neap.tensor({0, 3}, {requires_grad = true})
    neap.poisson_nll_loss(neap.zeros(2), t, {full = true}):backward()
    assert.is_true(t.grad:isfinite():all():item())
  end)
  it("of a variance below eps take eps, and let the gradient through", function()
    local v = neap.tensor({0}, {requires_grad = true})
    neap.gaussian_nll_loss(neap.tensor{1}, neap.tensor{1}, v, {eps = 0.5}):backward()
    near(v.grad:item(), 1)
  end)
  it("take the mean over labels that are not ignored", function()
    local x, t = neap.randn(4, 3), int(1, 2, 2, 3)
    local all = neap.focal_loss(x, t, {reduction = "none", ignore_index = 2})
    near(neap.focal_loss(x, t, {ignore_index = 2}):item(), all:sum():item() / 2)
    assert.are.equal(0, all[2]:item())
  end)
  it("end a row of labels at the first below the first class", function()
    local x = f64{{0.3, 0.1, 0.9}}
    for _, stop in ipairs{0, -1} do
      near(neap.multilabel_margin_loss(x, int(2, stop, 3):unsqueeze(1)):item(), (1.2 + 1.8) / 3)
    end
  end)
end)

describe("losses with a function", function()
  it("triplets with a distance of one's own are triplets with the standard one", function()
    neap.seed(1)
    local a, p, n = neap.randn(5, 4), neap.randn(5, 4), neap.randn(5, 4)
    for _, swap in ipairs{true, false} do
      local plain = neap.triplet_margin_loss(a, p, n, {margin = 2, swap = swap}):item()
      near(neap.triplet_margin_with_distance_loss(a, p, n, {margin = 2, swap = swap}):item(), plain)
      near(nn.TripletMarginWithDistanceLoss{margin = 2, swap = swap}(a, p, n):item(), plain)
    end
    local one = neap.triplet_margin_with_distance_loss(a, p, n, {distance_function = function(x, y) return (x - y):abs():sum(2) end, reduction = "sum"})
    near(one:item(), neap.triplet_margin_loss(a, p, n, {p = 1, eps = 0, reduction = "sum"}):item(), 1e-4)
  end)
  it("the gradient penalty of a linear critic is that of its weight", function()
    neap.seed(2)
    local critic = nn.Linear(3, 1)
    local weight = critic:parameters()[1]
    local penalty = neap.gradient_penalty(critic, neap.randn(6, 3), neap.randn(6, 3), {lambda = 4})
    local norm = weight:norm():item()
    near(penalty:item(), 4 * (norm - 1) ^ 2)
    penalty:backward() -- d = 8 (|w| - 1) w / |w|
    local want = weight:detach() * (8 * (norm - 1) / norm)
    assert.is_true((weight.grad - want):abs():max():item() < 1e-5)
  end)
  it("a critic and a generator pull in opposite ways", function()
    local real, fake = neap.tensor{3, 5}, neap.tensor{1, 2}
    near(neap.wasserstein_critic_loss(real, fake):item(), -2.5)
    near(neap.wasserstein_generator_loss(fake):item(), -1.5)
  end)
end)

describe("AdaptiveLogSoftmaxWithLoss", function()
  local function filled()
    local m = nn.AdaptiveLogSoftmaxWithLoss(4, 10, {3, 6}, {div_value = 2, head_bias = true}):to("float64")
    local names, state = {}, m:state_dict()
    for name in m:named_parameters() do names[#names + 1] = name end
    table.sort(names)
    assert.are.same({"head.bias", "head.weight", "tail.0.0.weight", "tail.0.1.weight", "tail.1.0.weight", "tail.1.1.weight"}, names)
    for k, name in ipairs(names) do
      local t = state[name]
      t:copy_((neap.arange(t:numel(), {dtype = "float64"}) * 0.7 + (k - 1)):sin():reshape(t.shape))
    end
    return m, (neap.arange(20, {dtype = "float64"}) * 0.9):cos():reshape(5, 4), int(1, 10, 5, 3, 7)
  end
  it("has PyTorch's names and numbers", function()
    local m, x, t = filled()
    local y, loss = m(x, t)
    near(loss:item(), 2.6357862049743526, 1e-9)
    near(y:sum():item(), -13.178931024871762, 1e-9)
    loss:backward()
    near(m.tail[1][1].weight.grad:sum():item(), -0.34836635488968193, 1e-9)
    near(m.head.bias.grad[4]:item(), 0.11341247780641002, 1e-9)
    assert.are.same({1, 3, 4, 3, 2}, m:predict(x):totable())
    local all = m:log_prob(x)
    near(all:sum():item(), -176.9707807190987, 1e-9)
    near((all:exp():sum(2) - 1):abs():max():item(), 0, 1e-12)
    near((all:gather(2, t:unsqueeze(2)):squeeze(2) - y):abs():max():item(), 0, 1e-12)
    near(m(x[2], t[2]):item(), y[2]:item(), 1e-12)
    near((m:clone()(x, t) - y):abs():max():item(), 0, 1e-12)
  end)
  it("refuses cutoffs that do not rise, and labels that there are not", function()
    for _, cutoffs in ipairs{{}, {3, 3}, {11}, {0}} do
      assert.has_error(function() nn.AdaptiveLogSoftmaxWithLoss(4, 10, cutoffs) end)
    end
    local m, x, t = filled()
    assert.error_matches(function() m(x, t + 1) end, "AdaptiveLogSoftmaxWithLoss: a target is 11, 1 to 10 are allowed")
  end)
end)

it("nll_loss has PyTorch's old names for images", function()
  local x, y = neap.randn(2, 3, 4, 5):log_softmax(2), neap.randint(1, 4, {2, 4, 5})
  local loss = neap.nll_loss(x:permute {1, 3, 4, 2}:reshape(-1, 3), y:flatten()):item()
  assert(math.abs(neap.nll_loss2d(x, y):item() - loss) < 1e-6)
  assert(math.abs(neap.nn.NLLLoss2d {reduction = "mean"}(x, y):item() - loss) < 1e-6)
end)
