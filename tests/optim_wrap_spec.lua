-- What stands around optimizers: averages of weights, Lookahead, SAM, clipping with names, groups by decay, norms kept small,
-- early stopping, mixtures of samples. Values are PyTorch's, or the papers' (tests/golden/optim.lua).

local neap = require "neap"
local nn, optim, data, train = neap.nn, neap.optim, neap.data, neap.train
local ramp = require "support.tensors".ramp
local golden = dofile "tests/golden/optim.lua"

local function start(shape, k)
  return ramp(shape, function(i) return math.cos(0.37 * i + 1.1 * k) end)
end

local function near(wanted, tensors)
  for k, w in ipairs(wanted) do
    local d = (tensors[k]:detach():flatten() - neap.tensor(w, {dtype = "float64"})):abs():amax():item()
    assert(d < 1e-10, ("tensor %d is off by %g"):format(k, d))
  end
end

local function says(text, f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good, text)
  assert.matches(text, message, 1, true)
  assert.matches("optim_wrap_spec.lua:%d+:", message)
end

describe("an averaged model", function()
  local function linear()
    local model = nn.Linear(3, 2)
    model:to "float64"
    return model
  end

  local function show(model, t)
    local _ <close> = neap.no_grad()
    model.weight:copy_(start({2, 3}, 1 + 2 * t))
    model.bias:copy_(start({2}, 2 + 2 * t))
  end

  local utils = optim.swa_utils
  for number, row in ipairs(golden.averages) do
    it(("is PyTorch's: %s, row %d"):format(row.average, number), function()
      local make = {avg_fn = utils["get_" .. row.average .. "_avg_fn"], multi_avg_fn = utils["get_" .. row.average .. "_multi_avg_fn"]}
      local kinds = row.kind ~= "" and {row.kind} or {"avg_fn", "multi_avg_fn", ""}
      for _, kind in ipairs(kinds) do
        local model = linear()
        local averaged = optim.AveragedModel(model, kind ~= "" and {[kind] = make[kind](0.8)} or nil)
        for t = 0, 5 do
          show(model, t)
          averaged:update_parameters(model)
          if t == 2 then -- goes on from its state
            local other = optim.AveragedModel(model, kind ~= "" and {[kind] = make[kind](0.8)} or nil)
            other:load_state_dict(averaged:state_dict())
            averaged = other
          end
        end
        near(row.params, averaged.module:parameters())
        assert.equal(6, averaged.n_averaged:item())
      end
    end)
  end

  it("is a module of its own, under PyTorch's names", function()
    local model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    local averaged = optim.AveragedModel(model)
    local names = {}
    for name in pairs(averaged:state_dict()) do names[#names + 1] = name end
    table.sort(names)
    assert.same({"module.0.bias", "module.0.weight", "n_averaged"}, names)
    local x = neap.ones(1, 2)
    assert.same(model(x):totable(), averaged(x):totable())
    local weight = averaged.module:parameters()[1]
    assert.is_false(rawequal(model:parameters()[1], weight))
    do
      local _ <close> = neap.no_grad()
      model:parameters()[1]:fill_(9)
    end
    assert.are_not.equal(9.0, weight[1][1]:item())
  end)

  it("copies buffers, or averages them", function()
    local Net = nn.class "Net"
    function Net:init()
      self.w = nn.Parameter(neap.ones(1))
      self:register_buffer("mean", neap.zeros(1))
      self:register_buffer("count", neap.zeros({1}, {dtype = "int64"}))
    end
    for _, both in ipairs{false, true} do
      local net = Net()
      local averaged = optim.AveragedModel(net, {use_buffers = both})
      for i = 1, 4 do
        net.mean:fill_(i)
        averaged:update_parameters(net)
      end
      assert.equal(both and 2.5 or 4.0, averaged.module.mean:item())
    end
  end)

  for number, row in ipairs(golden.batch_norms) do
    it("has batch norms brought up to date, row " .. number, function()
      local model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, {momentum = row.momentum, cumulative = not row.momentum}))
      model:to "float64"
      nn.utils.vector_to_parameters(neap.cat{start({2, 3}, 1):flatten(), start({2}, 2)}, {model[1].weight, model[1].bias})
      local batches = {start({4, 3}, 3), start({4, 3}, 4), start({4, 3}, 5), start({2, 3}, 6)}
      model:eval()
      utils.update_bn(function()
        local i = 0
        return function()
          i = i + 1
          return batches[i]
        end
      end, model)
      near(row.stats, {model[2].running_mean, model[2].running_var})
      assert.equal(4, model[2].num_batches_tracked:item())
      assert.is_false(model[2]:is_training())
    end)
  end

  it("says what is wrong", function()
    says("update_bn: takes data and a model, not a number", utils.update_bn, {}, 3)
    local norm = nn.Sequential(nn.BatchNorm1d(2, {momentum = 0}))
    says("update_bn: data is a loader", utils.update_bn, {}, norm)
    says("update_bn: a batch norm with momentum 0 learns nothing", utils.update_bn, data.batches{neap.ones(2, 2)}, norm)
    says("update_bn: the data has no batches", utils.update_bn, function() return function() end end, nn.BatchNorm1d(2))
    assert.is_nil(utils.update_bn(data.batches{neap.ones(2, 2)}, nn.Linear(2, 2)))
    says("AveragedModel: takes a model, not a number", optim.AveragedModel, 3)
    says("AveragedModel: takes avg_fn or multi_avg_fn, not both", optim.AveragedModel, nn.Linear(1, 1), {avg_fn = print, multi_avg_fn = print})
    says("AveragedModel: avg_fn is a function, such as optim.swa_utils.get_ema_avg_fn(0.999), not a number (0.9)", optim.AveragedModel, nn.Linear(1, 1), {avg_fn = .9})
    says("AveragedModel: multi_avg_fn is a function", optim.AveragedModel, nn.Linear(1, 1), {multi_avg_fn = {}})
    says("get_ema_avg_fn: the decay is from 0 to 1, not", utils.get_ema_avg_fn, 2)
    says("get_ema_multi_avg_fn: the decay is from 0 to 1, not", utils.get_ema_multi_avg_fn, -1)
    local averaged = optim.AveragedModel(nn.Linear(1, 1))
    says("the model has 0 parameters and 0 buffers, the average 2 and 0", averaged.update_parameters, averaged, nn.ReLU())
  end)
end)

describe("an optimizer around an optimizer", function()
  local function loss_of(tensors)
    local sum = 0
    for _, w in ipairs(tensors) do
      local flat = w:flatten()
      local scale = neap.arange(#flat, {dtype = "float64"}) % 3 + 0.1
      sum = ((flat - 0.3) ^ 4 + scale * flat ^ 2):sum() + sum
    end
    return sum
  end

  for number, row in ipairs(golden.wrapped) do
    it(("does what the paper says: %s, row %d"):format(row.wrapper, number), function()
      local tensors = {nn.Parameter(start({3, 2}, 1)), nn.Parameter(start({4}, 2))}
      local function make() return optim[row.wrapper](optim.SGD(tensors, {lr = 0.01, momentum = 0.9}), row.options) end
      local optimizer = make()
      for t = 1, 8 do
        local function closure()
          optimizer:zero_grad()
          local loss = loss_of(tensors)
          loss:backward()
          return loss
        end
        if t % 2 == 0 or row.wrapper == "SAM" and t == 3 then
          local before = loss_of(tensors):item()
          assert.equal(before, optimizer:step(closure):item())
        elseif row.wrapper == "SAM" then
          closure()
          optimizer:first_step(true)
          closure()
          optimizer:second_step(true)
        else
          closure()
          optimizer:step()
        end
        if t == 4 or t == 5 then
          local state = optimizer:state_dict()
          optimizer = make()
          optimizer:load_state_dict(state)
        end
      end
      near(row.params, tensors)
    end)
  end

  it("takes one more group", function()
    local function grown(wrapper, options)
      local a, b = nn.Parameter(neap.ones(2)), nn.Parameter(neap.full({1}, 3))
      local optimizer = optim[wrapper](optim.SGD({a}, {lr = 1}), options)
      local function step()
        a.grad, b.grad = neap.ones(2), neap.ones(1)
        optimizer:step(wrapper == "SAM" and function() return 0 end or nil)
      end
      step()
      optimizer:add_param_group{params = b}
      step()
      return a, b, optimizer
    end
    local a, b, look = grown("Lookahead", {k = 2})
    assert.same({0.0, 0.0}, a:totable()) -- slow 1, fast -1
    assert.same({2.5}, b:totable())
    assert.equal(2, #look:state_dict().slow)
    look:load_state_dict(look:state_dict())
    look.optimizer:add_param_group{params = nn.Parameter(neap.ones(1))} -- unseen
    look:step()
    look:step()
    a, b = grown("SAM")
    assert.same({-1.0, -1.0, 2.0}, {a[1]:item(), a[2]:item(), b:item()})
  end)

  it("has its face", function()
    local x = nn.Parameter(neap.ones(2))
    for _, name in ipairs{"Lookahead", "SAM"} do
      local optimizer = optim[name](optim.SGD({x}, {lr = 0.5}))
      local schedule = optim.lr.ExponentialLR(optimizer, 0.5)
      schedule:step()
      assert.equal(0.25, optimizer.lr)
      assert.equal(0.25, optimizer.param_groups[1].lr)
      optimizer.lr = 1
      assert.equal(1.0, optimizer.optimizer.lr)
      x.grad = neap.ones(2)
      optimizer:zero_grad()
      assert.is_true(x.grad == nil or x.grad:sum():item() == 0)
      assert.matches(name .. "%(SGD", tostring(optimizer))
    end
  end)

  it("says what is wrong", function()
    local sgd = optim.SGD({nn.Parameter(neap.ones(2))}, {lr = 0.5})
    says("Lookahead: takes an optimizer first, not a number", optim.Lookahead, 3)
    says("Lookahead: k is a whole number above 0, not", optim.Lookahead, sgd, {k = 0})
    says("Lookahead: alpha is from 0 to 1, not", optim.Lookahead, sgd, {alpha = 2})
    says("SAM: rho is a number from 0 on, not", optim.SAM, sgd, {rho = -1})
    local look, sam = optim.Lookahead(sgd), optim.SAM(sgd)
    says("the state is not that of a Lookahead over 1 parameters", look.load_state_dict, look, {})
    says("SAM:step: the closure is not a function, but nil", sam.step, sam)
    says("SAM:second_step: there was no first_step, or no gradient", sam.second_step, sam)
    sgd.param_groups[1].params[1].grad = neap.ones(2)
    sam:first_step()
    says("SAM:first_step: the last one has had no second_step", sam.first_step, sam)
  end)
end)

describe("nn.utils", function()
  local function model()
    local net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    for _, p in ipairs(net:parameters()) do p.grad = neap.full(p.shape, 2) end
    return net
  end

  it("clips the gradients of a model, a list, or a table, and returns the norm before", function()
    local net = model() -- 9 elements of 2
    assert.near(6, nn.utils.get_total_norm(net), 1e-6)
    assert.near(18, nn.utils.get_total_norm(net:parameters(), 1), 1e-5)
    assert.near(6, nn.utils.clip_grad_norm_(net, 3), 1e-6)
    assert.near(3, nn.utils.clip_grad_norm_(net:parameters(), 100), 1e-5)
    assert.near(9, nn.utils.clip_grad_norm_({a = net[1].weight, b = net[1].bias, c = net[2].weight, d = net[2].bias}, 4.5, {norm_type = 1}), 1e-5)
    assert.near(0.5, net[1].bias.grad[1]:item(), 1e-5)
    nn.utils.clip_grad_value_(net, 0.25)
    assert.near(0.25, net[2].bias.grad[1]:item(), 1e-6)
    net[1].bias.grad = nil
    assert.near(math.sqrt(7) * 0.25, nn.utils.clip_grad_norm_(net, 100), 1e-6)
    assert.near(0.25, nn.utils.clip_grad_norm_(net[2].bias, 100), 1e-6)
  end)

  it("takes settings in order or by name, also as neap.clip_grad_norm_", function()
    local net = model()
    assert.near(18, nn.utils.clip_grad_norm_(net, {max_norm = 9, norm_type = 1}), 1e-5)
    assert.near(1, net[1].bias.grad[1]:item(), 1e-5)
    assert.near(3, neap.clip_grad_norm_(net, 1.5), 1e-5)
    assert.near(1.5, neap.clip_grad_norm_(net:parameters(), 3, {norm_type = 2, error_if_nonfinite = true}), 1e-5)
    neap.clip_grad_value_(net, {clip_value = 0.25})
    assert.near(0.25, net[1].bias.grad[1]:item(), 1e-6)
    says("clip_grad_norm_: max_norm is not a number, but nil", nn.utils.clip_grad_norm_, net)
    says("clip_grad_norm_: max_norm is not a number, but a string ('1')", neap.clip_grad_norm_, net, "1")
    says("clip_grad_norm_: unknown option 'max_norn' (did you mean 'max_norm'?)", nn.utils.clip_grad_norm_, net, {max_norn = 1})
    says("clip_grad_norm_: max_norm is given twice", nn.utils.clip_grad_norm_, net, 1, {max_norm = 1})
    says("clip_grad_norm_: the last argument is a table of options, not a boolean", nn.utils.clip_grad_norm_, net, 1, 2, true)
    says("clip_grad_norm: needs max_norm >= 0", nn.utils.clip_grad_norm_, net, -1)
    says("clip_grad_value_: clip_value is not a number, but nil", nn.utils.clip_grad_value_, net, {})
    says("clip_grad_value_: unknown option 'max'", nn.utils.clip_grad_value_, net, {max = 1})
  end)

  it("names the gradient that is not finite, and leaves all as they are", function()
    local net = model()
    net[2].weight.grad[1][1] = 0 / 0
    says("clip_grad_norm_: the gradient of '1.weight' has NaN in it; the norm of all is", nn.utils.clip_grad_norm_, net, 1, {error_if_nonfinite = true})
    says("clip_grad_norm_: the gradient of parameter 3 has NaN in it", nn.utils.clip_grad_norm_, net:parameters(), 1, 2, {error_if_nonfinite = true})
    assert.equal(2.0, net[1].bias.grad[1]:item())
    local norm = nn.utils.clip_grad_norm_(net, 1)
    assert.is_true(norm ~= norm)
    net = model()
    net[1].bias.grad[2] = math.huge
    says("get_total_norm: the gradient of '0.bias' has Inf in it; the norm of all is inf", nn.utils.get_total_norm, net, 2, {error_if_nonfinite = true})
    local p = nn.Parameter(neap.ones(2, {dtype = "float64"}))
    p.grad = neap.full({2}, 1e200, {dtype = "float64"})
    says("the norm of all gradients is inf, though each of them is finite", nn.utils.get_total_norm, {p}, 2, {error_if_nonfinite = true})
    says("clip_grad_norm_: takes a model or a list of parameters, not a number", nn.utils.clip_grad_norm_, 3, 1)
  end)

  it("writes parameters as one vector, and back", function()
    local net = model()
    local vector = nn.utils.parameters_to_vector(net)
    assert.equal(9, #vector)
    vector:sum():backward()
    assert.equal(3.0, net[1].weight.grad[1][1]:item())
    nn.utils.vector_to_parameters(neap.arange(9), net:parameters())
    assert.equal(8.0, net[2].bias:item())
    assert.same({{0, 1}, {2, 3}}, net[1].weight:totable())
    assert.is_true(net[1].weight.requires_grad)
    says("vector_to_parameters: takes a vector of 9 elements, not", nn.utils.vector_to_parameters, neap.ones(3), net)
    says("parameters_to_vector: there are no parameters", nn.utils.parameters_to_vector, {})
  end)

  it("keeps the norms of units small", function()
    local net = nn.Linear(2, 2)
    nn.utils.vector_to_parameters(neap.tensor{3, 4, 0.3, 0.4, 7, 7}, net)
    nn.utils.max_norm_(net, 1)
    assert.near(0.6, net.weight[1][1]:item(), 1e-6)
    assert.near(0.3, net.weight[2][1]:item(), 1e-6)
    assert.equal(7.0, net.bias[1]:item())
    nn.utils.max_norm_({net.weight}, 0.5, {p = 1, dim = 2})
    assert.near(0.5, net.weight:select(2, 1):abs():sum():item(), 1e-5)
  end)
end)

it("optim.decay_groups sorts a model's parameters by whether they decay", function()
  local net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm{3}, nn.Linear(3, 1))
  local groups = optim.decay_groups(net, {weight_decay = 0.1})
  assert.equal(2, #groups)
  assert.equal(2, #groups[1].params)
  assert.equal(4, #groups[2].params)
  local adam = optim.AdamW(groups, {lr = 0.5})
  assert.equal(0.1, adam.param_groups[1].weight_decay)
  assert.equal(0.0, adam.param_groups[2].weight_decay)
  assert.is_true(adam.param_groups[1].params[1] == net[1].weight)
  groups = optim.decay_groups(net, {no_decay = {"2.weight"}, min_dims = 1})
  assert.equal(0.01, groups[1].weight_decay)
  assert.equal(1, #groups[2].params)
  net[1]:requires_grad_(false)
  assert.equal(1, #optim.decay_groups(net)[1].params)
  says("optim.decay_groups: takes a model, not a table", optim.decay_groups, {})
end)

describe("early stopping", function()
  it("notices when a measure no longer gets better, and brings back the best weights", function()
    local net = nn.Linear(1, 1)
    local stopping = train.EarlyStopping{patience = 2, min_delta = 0.1, model = net}
    local stopped = {}
    for i, measure in ipairs{3, 2, 1.95, 1.5, 1.6, 1.45} do
      nn.utils.vector_to_parameters(neap.full({2}, i), net)
      stopped[i] = stopping:step(measure)
      if i == 5 then
        local other = train.EarlyStopping{patience = 2, min_delta = 0.1}
        other:load_state_dict(stopping:state_dict())
        assert.is_false(stopped[5])
        assert.is_true(other:step(1.45))
      end
    end
    assert.same({false, false, false, false, false, true}, stopped)
    assert.equal(1.5, stopping.best)
    assert.equal(4, stopping.best_step)
    stopping:restore()
    assert.equal(4.0, net.weight:item())
    local up = train.EarlyStopping{patience = 1, mode = "max"}
    assert.is_false(train.EarlyStopping():step(neap.tensor{3}))
    assert.same({false, false, true}, {up:step(0.5), up:step(0.7), up:step(0 / 0)})
  end)

  it("says what is wrong", function()
    says("patience is a whole number above 0, not", train.EarlyStopping, {patience = 0})
    says("min_delta is a number from 0 on, not", train.EarlyStopping, {min_delta = -1})
    says("mode is 'min' or 'max', not", train.EarlyStopping, {mode = "low"})
    local stopping = train.EarlyStopping()
    says("EarlyStopping:step: the measure is not a number, but nil", stopping.step, stopping)
    says("EarlyStopping:step: the measure has shape (2); it is one number", stopping.step, stopping, neap.ones(2))
    says("EarlyStopping:restore: nothing is kept", stopping.restore, stopping)
    says("this is no state of an EarlyStopping", stopping.load_state_dict, stopping, {})
  end)
end)

describe("train.fit", function()
  local function fit(options, each)
    neap.seed(5)
    local net = nn.Linear(3, 1)
    local x, y = neap.randn(24, 3), neap.randn(24, 1)
    local averaged = optim.AveragedModel(net)
    local settings = {model = net, loss = neap.mse_loss, optimizer = optim.SGD(net:parameters(), {lr = 0.1}),
      data = data.batches{x, y, size = each}, quiet = true, average = averaged}
    for key, value in pairs(options) do settings[key] = value end
    return train.fit(settings), net, averaged
  end

  it("accumulates gradients: four batches of 3 are one of 12", function()
    local _, one, a = fit({epochs = 2}, 12)
    local _, four, b = fit({epochs = 2, accumulate = 4}, 3)
    assert.is_true((one.weight - four.weight):abs():amax():item() < 1e-6)
    assert.equal(4, a.n_averaged:item())
    assert.equal(4, b.n_averaged:item())
    assert.is_true((a.module.weight - b.module.weight):abs():amax():item() < 1e-6)
    says("train.fit: accumulate is a whole number above 0, not", fit, {accumulate = 0}, 3)
  end)

  it("stops early", function()
    local history = fit({epochs = 20, stopping = train.EarlyStopping{patience = 2, min_delta = 100}}, 12)
    assert.equal(3, #history)
  end)
end)

describe("mixtures", function()
  it("of samples: mixup", function()
    neap.seed(1)
    local x, y = neap.arange(12, {dtype = "float32"}):reshape(4, 3), neap.tensor({1, 2, 3, 4}, {dtype = "int64"})
    local mixed, a, b, share = data.mixup(x, y, 0.4)
    assert.is_true(share >= 0 and share <= 1)
    assert.same(y:totable(), a:totable())
    local wanted = x * share + x:index_select(1, b) * (1 - share)
    assert.is_true((mixed - wanted):abs():amax():item() < 1e-5)
    local logits = neap.randn(4, 4)
    local loss = data.mixed(neap.cross_entropy, logits, a, b, share)
    assert.near(neap.cross_entropy(logits, a):item() * share + neap.cross_entropy(logits, b):item() * (1 - share), loss:item(), 1e-6)
    local same, _, _, all = data.mixup(x, nil, 0)
    assert.equal(1.0, all)
    assert.same(x:totable(), same:totable())
    local g, h = neap.generator(3), neap.generator(3)
    assert.same(data.mixup(x, y, 1, {generator = g}):totable(), data.mixup(x, y, 1, {generator = h}):totable())
  end)

  it("shares are drawn from Beta(alpha, alpha)", function()
    neap.seed(1)
    local x, sum, squares, n = neap.zeros(1, 1), 0, 0, 800
    for _ = 1, n do
      local _, _, _, share = data.mixup(x, nil, 0.5)
      sum, squares = sum + share, squares + share * share
    end
    assert.near(0.5, sum / n, 0.06)
    assert.near(0.125, squares / n - (sum / n) ^ 2, 0.02) -- 1 / (4 (2 alpha + 1))
  end)

  it("of images: cutmix", function()
    neap.seed(2)
    local x = neap.arange(1, 5, {dtype = "float32"}):reshape(4, 1, 1, 1):expand(4, 2, 8, 6):contiguous()
    for _ = 1, 10 do
      local mixed, a, b, share = data.cutmix(x, neap.range(1, 4):to "int64", 1)
      for i = 1, 4 do
        local own, other = a[i]:item(), b[i]:item()
        local same = mixed[i]:eq(own):to("float32"):mean():item()
        local partner = mixed[i]:eq(other):to("float32"):mean():item()
        if own ~= other then
          assert.near(share, same, 1e-6)
          assert.near(1 - share, partner, 1e-6)
        end
      end
    end
    assert.same({2, 3, 4, 5}, {table.unpack((data.cutmix(neap.zeros(2, 3, 4, 5))).shape)})
    says("data.cutmix: x is a batch of images (..., H, W), not (4, 2)", data.cutmix, neap.zeros(4, 2))
    for _ = 1, 3 do
      says("data.mixup: y is a tensor of as many rows as x, 4, not of shape (3)", data.mixup, neap.zeros(4, 2), neap.zeros(3), 1)
    end
    says("data.cutmix: y is a tensor of as many rows as x, 4, not a number (3)", data.cutmix, neap.zeros(4, 2, 3), 3, 1)
    says("data.mixup: alpha is a number from 0 on, not", data.mixup, neap.zeros(4, 2), nil, -1)
    says("data.mixup: x is a tensor with rows, not a number", data.mixup, 3)
    says("data.mixup: x must hold floats, not int64", data.mixup, neap.zeros({4}, {dtype = "int64"}))
  end)
end)
