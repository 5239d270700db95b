-- Containers: what they take and refuse, PyTorch's names and Lua's positions in them, layers that change in place, lists and tables
-- of modules and parameters.

local neap = require "neap"
local modules = require "support.modules"
local nn = neap.nn
local Scale, names = modules.Scale, modules.names

describe("containers", function()
  it("have PyTorch's names and Lua's positions", function()
    for _, layer in ipairs{nn.Linear(3, 3), Scale(3)} do
      local model = nn.Sequential(nn.Linear(2, 3), layer, nn.ReLU())
      assert.equal(3, #model)
      assert.is_true(model[2] == layer)
      assert.is_true(model[1].weight.shape[1] == 3)
      assert.same({"0.weight", "0.bias", "1.weight"}, {table.unpack(names(model:named_parameters()), 1, 3)})
      local count = 0
      for i, m in ipairs(model) do
        count = count + 1
        assert.is_true(m == model[i])
      end
      assert.equal(3, count)
      model:append(nn.Linear(3, 5))
      assert.equal(4, #model)
      assert.same({1, 5}, model(neap.ones(1, 2)).shape)
    end
  end)

  it("refuse gaps and names instead of dropping what is there", function()
    local layer = nn.ReLU()
    for name, make in pairs{Sequential = nn.Sequential, ModuleList = nn.ModuleList, Residual = nn.Residual, Parallel = nn.Parallel} do
      assert.error_matches(function() make(layer, nil, layer) end, "nn%." .. name .. ": entry 2 is nothing")
      assert.error_matches(function() make(layer, nil) end, "entry 2 is nothing")
      assert.error_matches(function() make{layer, nil, layer} end, "entry 2 is nothing")
    end
    for _, make in ipairs{nn.Sequential, nn.ModuleList} do
      assert.error_matches(function() make{fc = layer} end, "takes a list, and 'fc' is a name.*nn.Sequential{{'fc', layer}, ...}")
      assert.error_matches(function() make{layer, fc = layer} end, "'fc' is a name")
    end
    assert.error_matches(function() nn.Parallel{layer, fc = layer} end, "unknown option 'fc'")
    assert.error_matches(function() nn.ParameterList(neap.ones(1), nil) end, "entry 2 is nothing")
    assert.same({{2.0}}, nn.Parallel{layer, layer, join = "sum"}(neap.ones(1, 1)):totable())
  end)

  it("take names in their order", function()
    local net = nn.Sequential{{"fc1", nn.Linear(2, 3)}, {"act", nn.ReLU()}, {"fc2", nn.Linear(3, 1)}}
    assert.same({"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}, names(net:named_parameters()))
    assert.same({4, 1}, net(neap.ones(4, 2)).shape)
    assert.is_true(#net == 3 and net[1] == net.fc1 and net[-1] == net.fc2)
    net[3] = nn.Linear(3, 5)
    assert.equal(5, net.fc2.out_features)
    net:insert(1, {"pre", nn.Linear(7, 2)}):append{"post", nn.Tanh()}
    assert.same({"pre", "fc1", "act", "fc2", "post"}, names(net:named_children()))
    assert.same({4, 5}, net(neap.ones(4, 7)).shape)
    assert.same({"fc1", "act"}, names(net[{2, 3}]:named_children()))
    assert.equal("Tanh", net:pop():name())
    local copy = net:clone()
    assert.same(net(neap.ones(1, 7)):totable(), copy(neap.ones(1, 7)):totable())
    assert.equal("pre", names(copy[{1, 1}]:named_children())[1])
    assert.matches("%(act%): ReLU", tostring(net))
    net.last, net.pre = nn.Linear(5, 8), nil
    assert.same({1, 8}, net(neap.ones(1, 2)).shape)
    assert.error_matches(function() net:append(nn.ReLU()) end, "entry 5 is not a pair {name, layer}")
    assert.error_matches(function() net[9] = nn.ReLU() end, "there is no position 9 among 4")
    assert.error_matches(function() nn.Sequential{{"a", nn.ReLU()}, nn.ReLU()} end, "entry 2 is not a pair")
    assert.error_matches(function() nn.Sequential{{"a", nn.ReLU()}, {"a", nn.ReLU()}} end, "'a' is the name of two layers")
  end)

  it("change in place", function()
    local function lua(x) return x end
    for _, first in ipairs{nn.Identity(), lua} do
      local net = nn.Sequential(first, nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
      local held = nn.Sequential(net, nn.Identity())
      net[2] = nn.Linear(2, 4)
      net[#net + 1] = nn.Linear(4, 5)
      net:insert(3, nn.Tanh()):extend{nn.ReLU(), nn.Linear(5, 6)}
      net[4]:append(nn.Identity())
      assert.same({1, 6}, held(neap.ones(1, 2)).shape)
      assert.equal(7, #held[1])
      assert.equal(6, net:pop().out_features)
      assert.equal("Tanh", net:pop(3):name())
      assert.same({"Linear", "Sequential", "Linear", "ReLU"}, {net[2]:name(), net[3]:name(), net[4]:name(), net[-1]:name()})
      local part = net[{2, 4}]
      assert.is_true(#part == 3 and part[1] == net[2])
      assert.equal(2, #net[{1, -1, 3}])
      assert.equal(2, #net[3])
      assert.same({"1.weight", "1.bias", "3.weight", "3.bias"}, names(net:named_parameters()))
      assert.error_matches(function() net[9] = nn.ReLU() end, "nn.Sequential: there is no position 9 among 5; the next is 6")
      assert.error_matches(function() net:pop(0) end, "pop: there is no position 0 among 5")
      assert.error_matches(function() net[2] = 3 end, "a number %(3%)")
      assert.error_matches(function() return net[{2, 7}] end, "the range {2, 7} is not within 1 to 5")
      assert.error_matches(function() return net[{2}] end, "picked by a number or a range {first, last, step}")
    end
    local list = nn.ModuleList{nn.Linear(2, 2), nn.Linear(3, 3), nn.Linear(4, 4)}
    list[2] = nn.Linear(5, 5)
    assert.equal(5, list:pop(2).in_features)
    assert.equal(2, #list)
    assert.equal(4, list[{2, 2}][1].in_features)
    local parameters = nn.ParameterList{neap.ones(1)}
    parameters[1] = neap.ones(2)
    parameters:append(neap.ones(3)):insert(1, neap.ones(4))
    assert.same({4, 2, 3}, {parameters[1].shape[1], parameters[2].shape[1], parameters[-1].shape[1]})
    assert.equal(3, #parameters:parameters())
    assert.error_matches(function() parameters[1] = 3 end, "entry 1 is a number")
  end)

  it("of C hold neither themselves nor others than they can", function()
    local net = nn.Sequential(nn.Sequential(nn.ReLU()))
    for _ = 1, 2 do
      assert.error_matches(function() net[1]:append(net) end, "a container cannot hold itself")
      assert.error_matches(function() net:append(net) end, "a container cannot hold itself")
    end
    assert.error_matches(function() nn.ReLU():append(nn.ReLU()) end, "append: a ReLU is one layer made in C, whose parts stay")
    assert.error_matches(function() nn.TransformerEncoderLayer(4, 2).linear1 = nn.Linear(4, 4) end,
      "^TransformerEncoderLayer: linear1 is a part that a layer made in C keeps; its parameters can be assigned")
    assert.error_matches(function() nn.ReLU().p = 1 end, "^ReLU has no field 'p' to set")
    assert.error_matches(function() nn.ReLU()[1] = nn.ReLU() end, "a ReLU is one layer made in C")
    assert.error_matches(function() nn.ReLU():register_buffer("x", neap.ones(1)) end, "register_buffer: a ReLU is made in C")
  end)

  it("of C let go what they no longer hold", function()
    local function live()
      for _ = 1, 3 do collectgarbage() end
      return neap.memory().live
    end
    local net = nn.Sequential(nn.Linear(100, 100), nn.ReLU())
    local before = live()
    for _ = 1, 5 do
      net[1] = nn.Linear(100, 100)
      assert.equal(2, #net:parameters())
    end
    assert.equal(before, live())
  end)

  it("that are not called say what is", function()
    for _, list in ipairs{nn.ModuleList{nn.ReLU()}, nn.ModuleDict{a = nn.ReLU()}, nn.ParameterList{}, nn.ParameterDict{}} do
      assert.error_matches(function() list(1) end, "is not called, its entries are: ")
    end
  end)

  it("hold parameters by name", function()
    local dict = nn.ParameterDict{right = neap.ones(2), left = neap.zeros(3)}
    assert.same({"left", "right"}, dict:keys())
    assert.same({"left", "right"}, names(dict:named_parameters()))
    assert.is_true(dict.left.requires_grad)
    assert.error_matches(function() nn.ParameterDict{neap.ones(1)} end, "takes tensors by name")
    assert.error_matches(function() nn.ParameterDict{a = 1} end, "entry a is a number %(1%), not a tensor")
  end)

  it("of C say what they cannot hold", function()
    assert.matches("containers_spec.lua:%d+: append: this Sequential holds layers made in C alone, not Scale",
      select(2, pcall(function() nn.Sequential(nn.ReLU()):append(Scale(2)) end)))
    assert.error_matches(function() nn.Sequential(nn.ReLU()):append(3) end, "alone, not a number")
  end)

  it("take functions as layers", function()
    local model = nn.Sequential(nn.Linear(2, 2), function(x) return x * 0 + 7 end)
    assert.same({{7.0, 7.0}}, model(neap.ones(1, 2)):totable())
    assert.error_matches(function() nn.Sequential(nn.ReLU(), 3) end, "layer 2 is a number")
  end)

  it("list modules to be called by hand", function()
    local list = nn.ModuleList{nn.Linear(2, 2)}
    list:append(Scale(2))
    assert.equal(2, #list)
    assert.same({"0.weight", "0.bias", "1.weight"}, names(list:named_parameters()))
  end)
end)
