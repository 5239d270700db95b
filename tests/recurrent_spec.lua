-- Recurrent layers beyond their cases against PyTorch: dropout of both kinds, sizes from the input, what the steps' ops refuse,
-- and that a layer learns what only a memory can.

local neap = require "neap"
local nn = neap.nn

describe("dropout of a recurrent layer", function()
  local function zeros_of(y) -- (steps, units) of one row: where it is 0
    return y:select(2, 1):eq(0):totable()
  end

  it("works between layers in training alone", function()
    neap.seed(3)
    local model = nn.GRU(3, 16, {num_layers = 2, dropout = 0.5})
    local x = neap.randn(6, 2, 3)
    assert.is_false((model(x)):allclose((model(x))))
    model:eval()
    assert.is_true((model(x)):allclose((model(x))))
    assert.error_matches(function() nn.GRU(3, 4, {dropout = 1.5}) end, "GRU: dropout is a probability, between 0 and 1, not 1.5")
  end)

  it("variational, has one mask for all steps", function()
    neap.seed(5)
    for _, name in ipairs{"RNN", "LSTM", "GRU"} do
      local model = nn[name](3, 32, {dropout = 0.5, variational = true})
      local rows = zeros_of((model(neap.randn(6, 2, 3))))
      local count = 0
      for j = 1, 32 do count = count + (rows[1][j] and 1 or 0) end
      assert.is_true(count > 4 and count < 28, name)
      for t = 2, 6 do assert.same(rows[1], rows[t]) end
      model:eval()
      local whole = zeros_of((model(neap.randn(6, 2, 3))))
      for t = 1, 6 do
        for j = 1, 32 do assert.is_false(whole[t][j]) end
      end
    end
  end)

  it("variational with probability 0 is no dropout", function()
    neap.seed(6)
    local a = nn.LSTM(3, 4, {num_layers = 2, bidirectional = true, variational = true})
    local b = nn.LSTM(3, 4, {num_layers = 2, bidirectional = true})
    b:load_state_dict(a:state_dict())
    local x = neap.randn(5, 2, 3)
    assert.same((a(x)):totable(), (b(x)):totable())
  end)
end)

describe("a recurrent layer", function()
  it("takes its input's size from the first input, and has PyTorch's names", function()
    local model = nn.LSTM(nil, 4, {bidirectional = true, proj_size = 2})
    model(neap.ones(2, 1, 5))
    local names = {}
    for name in model:named_parameters() do names[#names + 1] = name end
    assert.same({"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse",
      "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse", "weight_hr_l0_reverse"}, names)
    assert.same({16, 5}, model.weight_ih_l0.shape)
  end)

  it("refuses settings that make no sense", function()
    assert.error_matches(function() nn.LSTM(3, 4, {proj_size = 4}) end, "LSTM: proj_size is below hidden_size 4, not 4")
    assert.error_matches(function() nn.GRU(3, 0) end, "GRU: hidden_size must be at least 1, not 0")
    assert.error_matches(function() nn.RNN(3, 4, {num_layers = 0}) end, "RNN: num_layers must be at least 1, not 0")
  end)

  it("goes into a Sequential, which hands on y alone", function()
    local model = nn.Sequential(nn.GRU(3, 4), nn.Linear(4, 2))
    assert.same({5, 2, 2}, model(neap.ones(5, 2, 3)).shape)
  end)

  it("is the same cut into steps, with the states handed on", function()
    neap.seed(8)
    local model, x = nn.LSTM(3, 4, {num_layers = 2}), neap.randn(6, 2, 3)
    local whole = model(x)
    local first, h, c = model(x:narrow(1, 1, 4))
    local second = model(x:narrow(1, 5, 2), h, c)
    assert.is_true(neap.cat({first, second}, 1):allclose(whole, 1e-5, 1e-6))
    assert.same(second:totable(), model(x:narrow(1, 5, 2), {hx = h, c0 = c}):totable()) -- PyTorch's name of h0
    local cell, x1, h1 = nn.GRUCell(3, 4), neap.randn(2, 3), neap.randn(2, 4)
    assert.same(cell(x1, h1):totable(), cell(x1, {hx = h1}):totable())
  end)

  it("takes sequences of several lengths side by side", function()
    neap.seed(4)
    local model, list = nn.GRU(3, 4, {bidirectional = true}), {neap.randn(2, 3), neap.randn(5, 3), neap.randn(1, 3)}
    local x, lengths = nn.utils.pad_sequence(list, {value = 7})
    assert.same({{5, 3, 3}, {2, 5, 1}}, {x.shape, lengths:totable()})
    assert.equal(7, x[{3, 1, 1}]:item())
    local y, h = model(x, {lengths = lengths})
    for i, row in ipairs(nn.utils.unpad_sequence(y, lengths)) do
      local alone, last = model(list[i])
      assert.is_true(row:allclose(alone, 1e-5, 1e-6))
      assert.is_true(h:select(2, i):allclose(last, 1e-5, 1e-6))
    end
    assert.same(x:totable(), nn.utils.pad_sequence(list, {padding_value = 7}):totable())
    local first = nn.utils.pad_sequence(list, {batch_first = true})
    assert.same({3, 5, 3}, first.shape)
    assert.same({2, 3}, nn.utils.unpad_sequence(first, lengths, {batch_first = true})[1].shape)
    assert.same({2, 3}, nn.utils.unpad_sequence(first, lengths:totable(), {batch_first = true})[1].shape)
    assert.error_matches(function() nn.utils.pad_sequence{1} end, "sequence 1 is a number")
    assert.error_matches(function() nn.utils.pad_sequence{} end, "no sequences")
  end)

  it("learns to say what it heard first", function()
    neap.seed(9)
    local model, head = nn.GRU(2, 16), nn.Linear(16, 1)
    local parameters = model:parameters()
    table.move(head:parameters(), 1, 2, #parameters + 1, parameters)
    local adam, last = neap.optim.Adam(parameters, {lr = 0.02})
    for _ = 1, 120 do
      local _ <close> = neap.scope()
      local bits = neap.rand(8, 32, 2):gt(0.5):to "float32"
      local _, h = model(bits)
      last = neap.binary_cross_entropy_with_logits(head(h:select(1, 1)):squeeze(2), bits:select(1, 1):select(2, 1))
      adam:zero_grad()
      last:backward()
      adam:step()
      last = last:item()
    end
    assert.is_true(last < 0.2, tostring(last))
  end)
end)

describe("the steps' ops", function()
  local p, h, w = neap.zeros(3, 2, 4), neap.zeros(2, 1), neap.zeros(4, 1)
  for _, case in ipairs{
    {"p must be of a floating dtype", function() neap.rnn_steps(p:to "int64", h, w) end},
    {"rnn_steps: p (3, 2) is not (steps, batch, 1 units)", function() neap.rnn_steps(neap.zeros(3, 2), h, w) end},
    {"lstm_steps: p (3, 2, 3) is not (steps, batch, 4 units)", function() neap.lstm_steps(neap.zeros(3, 2, 3), h, h, w) end},
    {"lstm_steps: h0 (3, 1) does not fit p (3, 2, 4): it is (batch, units)", function() neap.lstm_steps(p, neap.zeros(3, 1), h, w) end},
    {"lstm_steps: c0 is float64, p is float32: all are of one dtype", function() neap.lstm_steps(p, h, h:to "float64", w) end},
    {"lstm_steps: w_hh (4, 2) does not fit p (3, 2, 4): it is (gates units, units)", function() neap.lstm_steps(p, h, h, neap.zeros(4, 2)) end},
    {"lengths are integers, not float32", function() neap.lstm_steps(p, h, h, w, nil, nil, neap.ones(2)) end},
    {"lengths (3) do not fit a batch of 2: one for each row", function() neap.lstm_steps(p, h, h, w, nil, nil, neap.tensor({1, 1, 1}, {dtype = "int64"})) end},
    {"length 4 of row 2 is not among 1 .. 3, the steps there are", function() neap.lstm_steps(p, h, h, w, nil, nil, neap.tensor({3, 4}, {dtype = "int64"})) end},
  } do
    it("refuse: " .. case[1], function()
      local ok, message = pcall(case[2])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[1], 1, true), message)
    end)
  end
end)

it("a recurrent layer says whose dtype is another", function()
  for _, name in ipairs {"RNN", "LSTM", "GRU", "RNNCell"} do
    local x = name == "RNNCell" and neap.ones(2, 3) or neap.ones(5, 2, 3)
    local ok, message = pcall(nn[name](3, 4), x:to "float64")
    assert.is_false(ok)
    assert.matches(name .. ": x is float64, but the layer's parameters are float32: convert one of them with to%(%)", message)
  end
end)
