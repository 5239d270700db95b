-- Optimizers from Lua: groups, settings, state that goes on where it was. That each rule computes what
-- PyTorch's does is golden_spec's matter.

local neap = require "neap"
local tensors = require "support.tensors"
local nn, optim = neap.nn, neap.optim
local parameter, near = tensors.parameter, tensors.near

local RULES = {
  SGD = {lr = 0.05, momentum = 0.9},
  Adam = {lr = 0.05},
  AdamW = {lr = 0.05, weight_decay = 0.1, betas = {0.8, 0.99}},
  RMSprop = {lr = 0.01, momentum = 0.5, centered = true},
  NAdam = {lr = 0.05}, RAdam = {lr = 0.1}, Adamax = {lr = 0.05}, Adagrad = {lr = 1}, Rprop = {lr = 0.05}, Lion = {lr = 0.02, betas = {0.8, 0.8}},
  Adadelta = {lr = 3, eps = 1e-3}, ASGD = {lr = 0.05}, LAMB = {lr = 0.02}, Adafactor = {lr = 0.05},
}

-- n steps on the sum of squares of x - 1.
local function descend(optimizer, x, n)
  for _ = 1, n do
    optimizer:zero_grad()
    ;((x - 1) ^ 2):sum():backward()
    optimizer:step()
  end
end

describe("every rule", function()
  for name, options in pairs(RULES) do
    it("goes downhill: " .. name, function()
      local x = parameter(3, -2, 0.5)
      local plain = {}
      for key, value in pairs(options) do plain[key] = key ~= "weight_decay" and value or nil end
      descend(optim[name]({x}, plain), x, 300)
      assert.is_true((x - 1):abs():amax():item() < 0.05, table.concat(x:totable(), " "))
    end)

    it("goes on from its state as if never stopped: " .. name, function()
      local x, y = parameter(3, -2), parameter(3, -2)
      local whole = optim[name]({x}, options)
      descend(whole, x, 7)
      local half = optim[name]({y}, options)
      descend(half, y, 4)
      local z = nn.Parameter(y:detach():clone())
      local rest = optim[name]({z}, {lr = 1})
      rest:load_state_dict(half:state_dict())
      descend(rest, z, 3)
      assert.same(x:totable(), z:totable())
    end)

    it("keeps its state apart from later steps: " .. name, function()
      local x = parameter(3, -2)
      local optimizer = optim[name]({x}, options)
      descend(optimizer, x, 2)
      local state = optimizer:state_dict()
      local y, z = nn.Parameter(x:detach():clone()), nn.Parameter(x:detach():clone())
      local a = optim[name]({y}, options)
      a:load_state_dict(state)
      descend(a, y, 3)
      local b = optim[name]({z}, options)
      b:load_state_dict(state)
      descend(b, z, 3)
      assert.same(y:totable(), z:totable())
    end)
  end
end)

-- What looks at whole parameters, on sizes of many blocks and tiles, against the formula in ops; two steps in float64.
describe("on large parameters:", function()
  local formulas = {}

  function formulas.LAMB(w, g, s, t)
    s.m = (s.m or 0) * 0.9 + g * 0.1
    s.v = (s.v or 0) * 0.999 + g * g * 0.001
    local r = s.m / (1 - 0.9 ^ t) / ((s.v / (1 - 0.999 ^ t)):sqrt() + 1e-6) + w * 0.01
    return w - r * (0.1 * w:norm():item() / r:norm():item())
  end

  function formulas.Adafactor(w, g, s, t)
    local b, eps, dims = t ^ -0.8, 2.220446049250313e-16, #w.shape
    local alpha = math.max(1e-3, w:norm():item() / w:numel() ^ 0.5) * math.min(0.1, 1 / math.sqrt(t))
    local v
    if dims > 1 then
      s.r = (s.r or 0) * (1 - b) + (g * g):mean(-1, true) * b
      s.c = (s.c or 0) * (1 - b) + (g * g):mean(-2, true) * b
      v = s.r:matmul(s.c) / s.r:mean(-2, true):clamp(eps)
    else
      s.r = (s.r or 0) * (1 - b) + g * g * b
      v = s.r
    end
    local u = g / v:clamp(eps * eps):sqrt()
    return w - u * (alpha / math.max(1, u:norm():item() / u:numel() ^ 0.5))
  end

  function formulas.Muon(w, g, s)
    s.b = (s.b or 0) * 0.95 + g * 0.05
    local x = g * 0.05 + s.b * 0.95
    x = x / x:norm()
    for _ = 1, 5 do
      local a = x:matmul(x:t())
      x = x * 3.4445 + (a * -4.775 + a:matmul(a) * 2.0315):matmul(x)
    end
    return w * (1 - 0.1 * 0.1) - x * (0.1 * math.sqrt(math.max(1, w.shape[1] / w.shape[2])))
  end

  for _, case in ipairs{
    {"LAMB", 300, 301}, {"LAMB", 70001}, {"Adafactor", 70001}, {"Adafactor", 300, 301}, {"Adafactor", 3, 40000},
    {"Adafactor", 40000, 3}, {"Adafactor", 50, 40, 3, 3}, {"Adafactor", 2, 3, 2000}, {"Muon", 140, 70}, {"Muon", 70, 141},
  } do
    it(table.concat(case, " "), function()
      neap.seed(3)
      local rule, shape, state = case[1], {table.unpack(case, 2)}, {}
      local w = neap.randn(shape, {dtype = "float64"})
      local x = nn.Parameter(w:clone())
      local optimizer = optim[rule]({x}, {lr = 0.1})
      for t = 1, 2 do
        local _ <close> = neap.no_grad()
        local g = neap.randn(shape, {dtype = "float64"})
        x.grad = g
        optimizer:step()
        w = formulas[rule](w, g, state, t)
        local off = (x - w):abs():amax():item()
        assert(off < 1e-10, ("off by %g at step %d"):format(off, t))
      end
    end)
  end
end)

describe("groups", function()
  it("have settings of their own, the rest from the options", function()
    local a, b = parameter(1), parameter(1)
    local optimizer = optim.SGD({{params = {a}}, {params = {b}, lr = 0.5}}, {lr = 0.1})
    assert.equal(2, #optimizer.param_groups)
    near(0.1, optimizer.param_groups[1].lr)
    near(0.5, optimizer.param_groups[2].lr)
    assert.is_true(optimizer.param_groups[2].params[1] == b)
    a.grad, b.grad = neap.tensor{1}, neap.tensor{1}
    optimizer:step()
    near(0.9, a:item())
    near(0.5, b:item())
  end)

  it("let settings be read and written", function()
    local a = parameter(1)
    local optimizer = optim.Adam({a}, {lr = 0.1, betas = {0.7, 0.8}})
    local group = optimizer.param_groups[1]
    near(0.7, group.betas[1])
    near(0.8, group.betas[2])
    group.lr = 0.25
    near(0.25, optimizer.param_groups[1].lr)
    near(0.25, optimizer.lr)
    optimizer.lr = 0.5
    near(0.5, group.lr)
    assert.matches("optim_spec.lua:%d+:.*did you mean 'lr'", select(2, pcall(function() group.rl = 1 end)))
  end)

  it("can be added later", function()
    local a, b = parameter(1), parameter(2)
    local optimizer = optim.SGD({a}, {lr = 0.1})
    optimizer:add_param_group{params = {b}, lr = 1}
    a.grad, b.grad = neap.tensor{1}, neap.tensor{1}
    optimizer:step()
    near(0.9, a:item())
    near(1, b:item())
  end)
end)

describe("a group that comes later", function()
  it("has the settings that the optimizer was made with", function()
    local optimizer = optim.Adam({parameter(1)}, {lr = 0.25, betas = {0.5, 0.75}, weight_decay = 0.125})
    optimizer.param_groups[1].lr = 0.5
    optimizer:add_param_group{params = parameter(2), weight_decay = 0, name = "head"}
    local group = optimizer.param_groups[2]
    assert.same({0.25, 0.5, 0.75, 0.0, "head", 1}, {group.lr, group.betas[1], group.betas[2], group.weight_decay, group.name, #group.params})
    assert.same({0.25, {0.5, 0.75}, 1e-8, 0.125}, {optimizer.defaults.lr, optimizer.defaults.betas, optimizer.defaults.eps, optimizer.defaults.weight_decay})
    assert.same({nil, 1e-3}, optim.Adafactor({parameter(1)}).defaults.eps)
    assert.matches("group 2 %('head'%): 1 parameters", tostring(optimizer))
    group.name = "tail"
    local other = optim.Adam{{params = {parameter(1)}, name = "body"}, {params = parameter(1)}}
    assert.equal("body", other.param_groups[1].name)
    other:load_state_dict(optimizer:state_dict())
    assert.same({"body", "tail"}, {other.param_groups[1].name, other.param_groups[2].name})
    assert.error_matches(function() optimizer:add_param_group{params = parameter(1), name = 3} end, "Adam: the name of group 3 is not a string, but a number")
    assert.error_matches(function() optimizer:add_param_group{params = parameter(1), nome = "x"} end, "unknown option 'nome'")
    assert.error_matches(function() optimizer:add_param_group{params = 3} end, "group 3 is not of the form")
  end)

  it("says where a parameter already is", function()
    local a, b = parameter(1), parameter(2)
    assert.error_matches(function() optim.AdamW{a, b, a} end, "AdamW: parameter 3 of group 1 is already being optimized, as parameter 1 of group 1")
    local optimizer = optim.AdamW{{params = {b}}, {params = {a}, name = "head"}}
    assert.error_matches(function() optimizer:add_param_group{params = {parameter(3), a}} end,
      "AdamW: parameter 2 of group 3 is already being optimized, as parameter 1 of group 2 %('head'%)")
    assert.equal(2, #optimizer.param_groups)
  end)
end)

describe("an optimizer", function()
  it("refuses the state of another rule, and stays what it is", function()
    local function stepped(rule, options, ...)
      local x = parameter(...)
      local optimizer = optim[rule]({x}, options)
      descend(optimizer, x, 2)
      return optimizer
    end
    local adam, sgd, lamb = stepped("Adam", {lr = 0.5}, 1, 2), stepped("SGD", {lr = 0.25, momentum = 0.5}, 1, 2), stepped("LAMB", {lr = 1}, 1, 2)
    for _, case in ipairs{
      {sgd, adam, "SGD:load_state_dict: this is not a state of SGD: it has amsgrad, betas, eps, exp_avg, exp_avg_sq, which SGD has not; " ..
        "it lacks dampening, momentum, nesterov"},
      {adam, lamb, "Adam:load_state_dict: this is not a state of Adam: it lacks amsgrad"},
      {lamb, adam, "LAMB:load_state_dict: this is not a state of LAMB: it has amsgrad, which LAMB has not"},
    } do
      local lr = case[1].lr
      local good, message = pcall(case[1].load_state_dict, case[1], case[2]:state_dict())
      assert.is_false(good)
      assert.matches(case[3], message, 1, true)
      assert.equal(lr, case[1].lr)
    end
    local state = sgd:state_dict()
    state.state[1].momentum_buffer = nil
    assert.error_matches(function() stepped("SGD", nil, 1, 2):load_state_dict(state) end, "it lacks momentum_buffer")
    state.state[1].momentum_buffer = neap.ones(3)
    local plain = stepped("SGD", {lr = 0.125}, 1, 2)
    assert.error_matches(function() plain:load_state_dict(state) end, "momentum_buffer of parameter 1 of group 1 is %(3%), not %(2%)")
    state.param_groups[1].lr, state.state[1].momentum_buffer = "x", neap.ones(2)
    assert.error_matches(function() plain:load_state_dict(state) end, "SGD: lr")
    assert.equal(0.125, plain.lr)
    -- What PyTorch writes besides.
    state = adam:state_dict()
    state.param_groups[1].foreach, state.param_groups[1].initial_lr, state.param_groups[1].decoupled_weight_decay = false, 1, false
    stepped("Adam", nil, 1, 2):load_state_dict(state)
    assert.error_matches(function() stepped("AdamW", nil, 1, 2):load_state_dict(state) end, "it has decoupled_weight_decay, which AdamW has not")
  end)

  it("drops gradients, or makes them 0", function()
    local a, b = parameter(1), parameter(2)
    local optimizer = optim.SGD{a, b}
    a.grad = neap.tensor{1}
    optimizer:zero_grad{set_to_none = false}
    assert.same({0.0}, a.grad:totable())
    assert.is_nil(b.grad)
    a.grad = neap.tensor{1}
    optimizer:zero_grad(false)
    assert.same({0.0}, a.grad:totable())
    optimizer:zero_grad{set_to_none = true}
    assert.is_nil(a.grad)
    assert.error_matches(function() optimizer:zero_grad{set_to_nil = true} end, "did you mean 'set_to_none'")
    assert.error_matches(function() optimizer:zero_grad(3) end, "set_to_none is not a boolean, but a number")
  end)

  it("leaves parameters without a gradient alone", function()
    local a, b = parameter(1), parameter(1)
    local optimizer = optim.Adam({a, b}, {lr = 0.1, weight_decay = 0.5})
    a.grad = neap.tensor{1}
    optimizer:step()
    assert.equal(1.0, b:item())
    assert.is_true(a:item() < 1)
    optimizer:zero_grad()
    assert.is_true(a.grad == nil or a.grad:item() == 0)
  end)

  it("says what is wrong", function()
    local a = parameter(1)
    assert.matches("optim_spec.lua:%d+:.*did you mean 'lr'", select(2, pcall(function() optim.SGD({a}, {lrr = 0.1}) end)))
    assert.error_matches(function() optim.SGD({}, {lr = 0.1}) end, "no parameters")
    assert.error_matches(function() optim.Adam({a}, {learning_rate = 0.1}) end, "unknown option 'learning_rate'; it has lr, betas, eps, weight_decay, amsgrad, maximize")
    assert.error_matches(function() optim.SGD(a, {lr = 0.1}) end, "list")
    assert.error_matches(function() optim.SGD({neap.ones(2), 3}, {lr = 0.1}) end, "parameter")
    local b = optim.SGD({a}, {lr = 0.1})
    assert.error_matches(function() b:load_state_dict{} end, "param_groups")
    local two = optim.SGD({parameter(1), parameter(2)}, {lr = 0.1})
    assert.error_matches(function() b:load_state_dict(two:state_dict()) end, "1.*2")
    local text = tostring(b)
    assert.matches("SGD", text)
    assert.matches("lr", text)
  end)

  it("says which settings cannot be", function()
    local a = parameter(1)
    local function says(text, name, options)
      local good, message = pcall(optim[name], {a}, options)
      assert.is_false(good)
      assert.matches(text, message, 1, true)
      assert.matches("optim_spec.lua", message, 1, true)
    end
    says("Adadelta: rho must be from 0 to 1, not 2", "Adadelta", {rho = 2})
    says("Rprop: needs 0 < etaminus < 1 < etaplus, got 1.5 and 1.2", "Rprop", {etas = {1.5, 1.2}})
    says("Rprop: step_size_min 3 is above step_size_max 2", "Rprop", {step_sizes = {3, 2}})
    says("Adafactor: beta2_decay must be 0 or less, not 0.5", "Adafactor", {beta2_decay = 0.5})
    says("Adafactor: d must be 1 or more, not 0.5", "Adafactor", {d = 0.5})
    says("Adam: lr must be finite, not nan", "Adam", {lr = 0 / 0 ~= 0 and -(0 / 0) or 0})
    says("NAdam: momentum_decay must be 0 or more, not -1", "NAdam", {momentum_decay = -1})
    says("Adam: betas is a list of 2 numbers, not", "Adam", {betas = {0.9}})
    says("Adam: betas is a list of 2 numbers, not a number", "Adam", {betas = 0.9})
    says("Adafactor: eps is a list of 2 numbers, not", "Adafactor", {eps = {1, 2, 3}})
    says("Muon: parameter 1 has 1 dimensions; only those with 2 can be optimized so", "Muon", {})
    a = nn.Parameter(neap.ones(2, 2))
    says("Muon: ns_steps must be from 0 to 99, not 100", "Muon", {ns_steps = 100})
    says("adjust_lr_fn", "Muon", {adjust_lr_fn = "none"})
  end)

  it("has PyTorch's names for settings and state", function()
    local w = nn.Parameter(neap.ones(2, 3))
    local optimizer = optim.Adafactor({w}, {eps = {nil, 0.5}})
    w.grad = neap.ones(2, 3)
    optimizer:step()
    local state = optimizer:state_dict()
    assert.same({nil, 0.5}, state.param_groups[1].eps)
    assert.same({1}, state.param_groups[1].params)
    assert.same({2, 1}, {table.unpack(state.state[1].row_var.shape)})
    assert.same({1, 3}, {table.unpack(state.state[1].col_var.shape)})
    assert.is_nil(state.state[1].variance)
    assert.matches("eps = {nil, 0.5}", tostring(optimizer), 1, true)
    state.state[1].row_var = neap.ones(3, 1)
    assert.error_matches(function() optimizer:load_state_dict(state) end, "row_var of parameter 1 of group 1 is %(3, 1%), not %(2, 1%)")
    optimizer.param_groups[1].eps = {0.25, 0.125}
    assert.same({0.25, 0.125}, optimizer.param_groups[1].eps)
    local n = optim.NAdam{w}
    w.grad = neap.ones(2, 3)
    n:step()
    assert.same({0.9, 0.999}, n:state_dict().param_groups[1].betas)
    near(0.9 * (1 - 0.5 * 0.96 ^ 0.004), n:state_dict().state[1].mu_product)
  end)

  it("calls a closure and returns its loss", function()
    local x = parameter(3)
    local optimizer, calls = optim.SGD({x}, {lr = 0.5}), 0
    local _ <close> = neap.no_grad()
    local loss = optimizer:step(function()
      calls = calls + 1
      optimizer:zero_grad()
      local y = (x * x):sum()
      y:backward()
      return y
    end)
    assert.equal(1, calls)
    near(9, loss:item())
    near(0, x:item())
    assert.error_matches(function() optimizer:step(3) end, "the closure is not a function")
  end)

  it("LBFGS says what it wants, and a closure that raises leaves the weights", function()
    local x = parameter(3, -2)
    local o = optim.LBFGS({x}, {line_search_fn = "strong_wolfe"})
    assert.error_matches(function() o:step(function() end) end, "LBFGS:step: what the closure returns, the loss, is not a number, but nil")
    assert.error_matches(function() o:step(function() return neap.ones(2) end) end, "has shape %(2%); it is one number")
    assert.error_matches(function() o:step() end, "LBFGS: a step wants the loss at several points: tell it %(in Lua: step%(closure%)%)")
    local calls, seen = 0, {}
    local function closure()
      calls = calls + 1
      seen[calls] = x:totable()
      if calls == 3 then error "enough" end
      o:zero_grad()
      local loss = ((x - 1) ^ 4):sum()
      loss:backward()
      return loss
    end
    assert.error_matches(function() o:step(closure) end, "enough")
    assert.equal(3, calls)
    assert.same({3, -2}, seen[1])
    assert.are_not.same(seen[3], x:totable())
    local before = x:totable()
    o:step(closure)
    assert.same(before, seen[4])
    assert.is_true((x - 1):abs():amax():item() < 0.2)
    assert.error_matches(function()
      o.param_groups[1].history_size = 5
      o:step(closure)
    end, "LBFGS: history_size stays what it is after the first step, 100")
    local two = optim.LBFGS{{params = {parameter(1)}}, {params = {parameter(2)}}}
    assert.error_matches(function() two:step(function() return 1 end) end, "LBFGS: works on one group of parameters, not 2")
    local mixed = optim.LBFGS{parameter(1), nn.Parameter(neap.zeros(1, {dtype = "float64"}))}
    assert.error_matches(function() mixed:step(function() return 1 end) end, "LBFGS: parameter 2 is not of the dtype of the first")
    assert.error_matches(function() optim.LBFGS({x}, {max_iter = 0}) end, "LBFGS: max_iter and history_size must be 1 or more, got 0 and 100")
    assert.error_matches(function() optim.LBFGS({x}, {max_eval = 0}) end, "LBFGS: max_eval must be 1 or more, not 0")
    local turned = nn.Parameter(neap.ones(2, 3):t())
    assert.error_matches(function() optim.LBFGS({turned}):step(function() return 1 end) end,
      "LBFGS: parameter 1 became strided, read%-only or another dtype")
    local y = parameter(1, 2)
    local state = o:state_dict()
    state.param_groups[1].history_size = 100
    state.state[1].d = neap.zeros(3)
    assert.error_matches(function() optim.LBFGS{y}:load_state_dict(state) end, "LBFGS: d of the state must have 2 elements of float32, in row%-major order")
  end)

  it("is bound to the handles: a model sees what is updated", function()
    neap.seed(1)
    local model = nn.Linear(2, 1)
    local before = model.weight:totable()
    local optimizer = optim.SGD(model:parameters(), {lr = 0.1})
    model(neap.ones(1, 2)):sum():backward()
    optimizer:step()
    near(before[1][1] - 0.1, model.weight[1][1]:item())
    near(before[1][1] - 0.1, model:state_dict().weight[1][1]:item())
  end)
end)
