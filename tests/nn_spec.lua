-- Modules: layers of C, layers written in Lua, and trees of both. One face for all: names, state, modes, hooks, printing;
-- errors name the place in the model; forwards yield; what is dropped is freed.

local neap = require "neap"
local nn = neap.nn
local modules = require "support.modules"
local Scale, names = modules.Scale, modules.names

local Net = nn.class "Net"

function Net:init(hidden)
  self.hidden = nn.Linear(3, hidden)
  self.act = nn.ReLU()
  self.out = nn.Linear(hidden, 2)
end

function Net:forward(x)
  return self.out(self.act(self.hidden(x)))
end

local function keys(t)
  local out = {}
  for key in pairs(t) do out[#out + 1] = key end
  table.sort(out)
  return out
end

local function three_kinds()
  return {
    c = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
    lua = Net(4),
    mixed = nn.Sequential(nn.Linear(3, 3), Scale(3), Net(4)),
  }
end

describe("a class of layers", function()
  it("makes instances that are called", function()
    local net = Net(4)
    assert.same({5, 2}, net(neap.ones(5, 3)).shape)
    assert.is_true(neap.allclose and neap.allclose(net(neap.ones(5, 3)), net:forward(neap.ones(5, 3))) or true)
  end)

  it("finds parameters and children by field, in order of assignment", function()
    assert.same({"hidden.weight", "hidden.bias", "out.weight", "out.bias"}, names(Net(4):named_parameters()))
    assert.equal(4, #Net(4):parameters())
    assert.same({"hidden", "act", "out"}, names(Net(4):named_children()))
    assert.same({"weight"}, names(Scale(2):named_parameters()))
    assert.same({"seen"}, names(Scale(2):named_buffers()))
  end)

  it("finds modules in plain tables", function()
    local Stack = nn.class "Stack"
    function Stack:init()
      self.blocks = {}
      for i = 1, 2 do self.blocks[i] = nn.Linear(2, 2) end
      self.by_name = {left = Scale(1)}
    end
    assert.same({"blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias", "by_name.left.weight"},
      names(Stack():named_parameters()))
  end)

  it("inherits from another", function()
    local Wide = nn.class("Wide", Net)
    function Wide:init() Net.init(self, 16) end
    assert.same({2, 2}, Wide()(neap.ones(2, 3)).shape)
    assert.matches("^Wide%(", tostring(Wide()))
  end)

  it("lists tied weights once, and keeps both names in the state", function()
    local Tied = nn.class "Tied"
    function Tied:init()
      self.a = nn.Parameter(neap.ones(2))
      self.b = self.a
    end
    assert.equal(1, #Tied():parameters())
    assert.same({"a", "b"}, keys(Tied():state_dict()))
  end)

  it("keeps a frozen parameter in the state, and forgets a field set to nil", function()
    local s = Scale(2)
    s:requires_grad_(false)
    assert.is_false(s.weight.requires_grad)
    assert.same({"seen", "weight"}, keys(s:state_dict()))
    s.weight = nil
    assert.same({"seen"}, keys(s:state_dict()))
  end)

  it("refuses a plain tensor in a parameter's place", function()
    for _, layer in ipairs{Scale(2), nn.Linear(2, 2), nn.ParameterDict{weight = neap.ones(2)}} do
      local refused = "^" .. layer:name() .. ": weight is a parameter: assign nn.Parameter%(...%), or write into it with copy_"
      local first = layer.weight
      assert.error_matches(function() layer.weight = layer.weight - 0.1 end, refused)
      assert.error_matches(function() layer.weight = neap.ones(2, 2) end, refused)
      assert.is_true(layer.weight == first)
      local other = nn.Parameter(first:detach() * 2)
      layer.weight = other
      assert.is_true(layer.weight == other and layer:parameters()[1] == other)
    end
    local scale = Scale(2)
    scale.weight = nil
    assert.error_matches(function() scale.weight = neap.ones(2) end, "is a parameter")
    assert.error_matches(function() scale.weight = 3 end, "is a parameter")
    assert.error_matches(function() scale.seen = 3 end, "Scale: seen is a buffer and cannot become a number")
    assert.error_matches(function() nn.Linear(2, 2).weight = nil end, "weight is a tensor of the layer's own and cannot become nothing")
    scale.seen = neap.ones(1)
    scale.weight = nn.Linear(2, 2)
    assert.same({"weight.weight", "weight.bias"}, names(scale:named_parameters()))
    scale.weight = "free again"
    local net = Net(2)
    net.hidden = nn.Parameter(neap.ones(1))
    assert.same({"hidden", "out.weight", "out.bias"}, names(net:named_parameters()))
    assert.error_matches(function() net.hidden = neap.ones(1) end, "Net: hidden is a parameter")
  end)

  it("trains what nn.Parameter made, and no other leaf", function()
    local scale = Scale(2)
    scale.input = neap.ones(2, {requires_grad = true})
    scale.list = {neap.ones(2, {requires_grad = true}), nn.Parameter(neap.ones(1))}
    scale.tied = nn.Linear(1, 1).weight
    assert.same({"weight", "list.1", "tied"}, names(scale:named_parameters()))
    assert.same({"weight", "list.1", "tied"}, names(scale:clone():named_parameters()))
    assert.same({"weight", "list.1", "tied"}, names(scale:to "float64":named_parameters()))
  end)

  it("keeps parameters and buffers beyond the scope in which they were made or assigned", function()
    local scale, linear = Scale(2), nn.Linear(1, 1, {bias = false})
    local plain, copy
    do
      local scope <close> = neap.scope()
      scale.seen = scale.seen * 0.5 + 1
      scale.weight = nn.Parameter(neap.ones(2) * 3)
      scale:register_buffer("more", neap.ones(1) * 4)
      scale:register_parameter("extra", nn.Parameter(neap.ones(1) * 5))
      linear.weight = nn.Parameter(neap.ones(1, 1) * 6)
      scale:to "float64"
      copy = scale:clone()
      plain = neap.ones(1)
    end
    for _, one in ipairs{scale, copy} do
      assert.same({{1}, {3, 3}, {4}, {5}}, {one.seen:totable(), one.weight:totable(), one.more:totable(), one.extra:totable()})
    end
    assert.equal(6, linear.weight:item())
    assert.error_matches(function() return plain + 1 end, "scope")
  end)

  it("registers by name", function()
    local m = Net(2)
    m:register_parameter("later", nil)
    assert.error_matches(function() m.later = neap.ones(1) end, "later is a parameter")
    m.later = nn.Parameter(neap.ones(1))
    m:add_module("extra", nn.Linear(1, 1))
    m:register_buffer("none", nil)
    m.none = neap.ones(1)
    assert.same({"later", "hidden.weight"}, {table.unpack(names(m:named_parameters()), 1, 2)})
    assert.same({"none"}, names(m:named_buffers()))
    assert.is_true(m:get_submodule "extra" == m.extra and m:get_submodule "" == m)
    assert.is_true(nn.Sequential(m):get_submodule "0.hidden" == m.hidden)
    assert.is_true(m:get_parameter "hidden.weight" == m.hidden.weight and m:get_buffer "none" == m.none)
    local Stack = nn.class "Stack"
    function Stack:init() self.blocks = {m} end
    assert.is_true(Stack():get_submodule "blocks.0.out" == m.out)
    assert.error_matches(function() m:get_submodule "hiden" end, "get_submodule: there is no module 'hiden' %(did you mean 'hidden'%?%)")
    assert.error_matches(function() m:get_parameter "hidden" end, "there is no parameter 'hidden'")
    assert.error_matches(function() m:get_buffer "x" end, "there is no buffer 'x'")
    assert.error_matches(function() m:register_parameter("p", neap.ones(1)) end, "'p' is a neap.Tensor, not what nn.Parameter made")
    assert.error_matches(function() m:register_buffer("p", 3) end, "'p' is a number %(3%), not a tensor")
    assert.error_matches(function() m:register_buffer("a.b", neap.ones(1)) end, "takes a name without dots")
    assert.error_matches(function() m:register_buffer("train", neap.ones(1)) end, "'train' is a method of every module")
    assert.error_matches(function() m:add_module("p", 3) end, "add_module: 'p' is a number")
  end)

  it("has a name, and is a module", function()
    local seen = {}
    nn.Sequential(Net(2), nn.ReLU()):apply(function(m) seen[#seen + 1] = m:name() end)
    assert.same({"Linear", "ReLU", "Linear", "Net", "ReLU", "Sequential"}, seen)
    assert.is_true(neap.is_module(Net(2)) and neap.is_module(nn.ReLU()))
    assert.is_false(neap.is_module(Net) or neap.is_module{} or neap.is_module(neap.ones(1)))
  end)

  it("inherits from classes alone", function()
    for _, parent in ipairs{nn.Linear, {}, 3, nn.Embedding, Net(2)} do
      assert.error_matches(function() nn.class("L", parent) end, "nn.class: the parent of L is .*, not a class that nn.class made")
    end
    assert.equal("L", tostring(nn.class("L", nn.Module)()):match "%w+")
  end)

  it("may refer to itself and to what holds it", function()
    local outer, inner = Net(2), Scale(2)
    outer.me, outer.scale, inner.parent, inner.list = outer, inner, outer, {outer}
    assert.equal(5, #outer:parameters())
    assert.equal(5, #inner:parameters())
    assert.equal(6, #keys(outer:state_dict()))
    assert.same({"", "hidden", "act", "out", "scale"}, names(outer:named_modules()))
    local count = 0
    outer:apply(function() count = count + 1 end)
    assert.equal(5, count)
    assert.is_false(outer:eval().scale.training)
    assert.matches("%(me%): Net%(...%)", tostring(outer))
    local copy = outer:clone()
    assert.is_true(copy.me == copy and copy.scale.parent == copy)
    assert.equal("float64", outer:double().scale.weight.dtype)
    assert.equal("float32", outer:float().hidden.weight.dtype)
    assert.equal("bfloat16", nn.Linear(1, 1):bfloat16().weight.dtype)
    assert.equal("float16", outer:half().scale.weight.dtype)
    assert.equal(4, #copy:summary{1, 3})
  end)

  it("says when forward is missing, or a field hides a method", function()
    local Empty = nn.class "Empty"
    assert.error_matches(function() Empty()(1) end, "Empty has no forward")
    assert.error_matches(function() Net(2).parameters = {} end, "'parameters' is a method of every module")
  end)
end)

describe("every kind of tree", function()
  for kind in pairs(three_kinds()) do
    it("trains: " .. kind, function()
      neap.seed(1)
      local model = three_kinds()[kind]
      local x = neap.randn(64, 3)
      local y = (x:sum(2):gt(0):to "int64" + 1)
      local optimizer = neap.optim.Adam(model:parameters(), {lr = 0.05})
      local first, last
      for _ = 1, 60 do
        local _ <close> = neap.scope()
        local loss = neap.cross_entropy(model(x), y)
        optimizer:zero_grad()
        loss:backward()
        optimizer:step()
        last = loss:item()
        first = first or last
      end
      assert.is_true(last < 0.3 * first, ("%g to %g"):format(first, last))
    end)

    it("moves its state to another: " .. kind, function()
      local a, b = three_kinds()[kind], three_kinds()[kind]
      local x = neap.randn(4, 3)
      assert.same({{}, {}}, {b:load_state_dict(a:state_dict())})
      a:eval()
      b:eval()
      assert.same(a(x):totable(), b(x):totable())
    end)

    it("saves to a file and loads: " .. kind, function()
      local path = os.tmpname()
      local a, b = three_kinds()[kind], three_kinds()[kind]
      assert(a:save(path))
      assert(b:load(path))
      os.remove(path)
      local x = neap.randn(4, 3)
      assert.same(a:eval()(x):totable(), b:eval()(x):totable())
    end)

    it("switches modes and dtype, zeroes gradients: " .. kind, function()
      local model = three_kinds()[kind]
      model:eval()
      for _, m in ipairs(model:modules()) do assert.is_false(m:is_training()) end
      model:train()
      for _, m in ipairs(model:modules()) do assert.is_true(m:is_training()) end
      model:to "float64"
      for _, p in ipairs(model:parameters()) do
        assert.equal("float64", tostring(p.dtype))
        assert.is_true(p.requires_grad)
      end
      model(neap.ones({2, 3}, {dtype = "float64"})):sum():backward()
      for _, p in ipairs(model:parameters()) do assert.is_truthy(p.grad) end
      model:zero_grad()
      for _, p in ipairs(model:parameters()) do
        assert.is_true(p.grad == nil or p.grad:abs():sum():item() == 0)
      end
    end)

    it("applies a function to each module once, children first: " .. kind, function()
      local model, count, last = three_kinds()[kind], 0, nil
      model:apply(function(m) count, last = count + 1, m end)
      assert.equal(#model:modules(), count)
      assert.is_true(last == model)
    end)
  end

  it("lists all that does not fit a state at once", function()
    for kind, model in pairs(three_kinds()) do
      local state = model:state_dict()
      local name = names(model:named_parameters())[1]
      local other = names(model:named_parameters())[2]
      state[name] = neap.zeros(7, 7)
      state[other] = nil
      state.more = neap.zeros(1)
      local before = model:parameters()[3]:clone()
      local ok, message = pcall(function() model:load_state_dict(state) end)
      assert.is_false(ok, kind)
      for _, part in ipairs{name, other, "more", "(7, 7)"} do
        assert.is_truthy(message:find(part, 1, true), kind .. ": " .. message)
      end
      assert.matches("nn_spec.lua", message)
      assert.same(before:totable(), model:parameters()[3]:totable())
    end
  end)

  it("refuses a state whose entries are no tensors", function()
    local state = nn.Linear(2, 2):state_dict()
    state.bias = 3
    assert.error_matches(function() nn.Linear(2, 2):load_state_dict(state) end, "'bias' of the state is a number")
  end)

  it("loads what is there when not strict", function()
    for _, model in pairs(three_kinds()) do
      local state = model:state_dict()
      local name = names(model:named_parameters())[1]
      state[name], state.more = nil, neap.zeros(1)
      local missing, unexpected = model:load_state_dict(state, {strict = false})
      assert.same({{name}, {"more"}}, {missing, unexpected})
    end
  end)
end)

describe("containers", function()
  it("print as trees", function()
    assert.matches("%[1%] %(0%): Linear%(.*%[2%] %(1%): ReLU%(", tostring(nn.Sequential(nn.Linear(2, 3), nn.ReLU())))
    local text = tostring(nn.Sequential(Scale(2), nn.Sequential(nn.ReLU(), nn.ReLU())))
    assert.matches("\n  %[2%] %(1%): Sequential%(\n    %[1%] %(0%): ReLU", text)
    local Stack = nn.class "Stack"
    function Stack:init() self.blocks = {nn.ReLU(), nn.Tanh()} end
    assert.equal("Stack(\n  blocks[1] (blocks.0): ReLU()\n  blocks[2] (blocks.1): Tanh()\n)", tostring(Stack()))
    assert.matches("Net%(\n  %(hidden%): Linear%(.*\n  %(act%): ReLU%(.*\n%)$", tostring(Net(4)))
  end)
end)

describe("hooks", function()
  it("see what goes in and comes out, and may change it", function()
    for _, layer in ipairs{Scale(2), nn.Identity()} do
      local seen = {}
      local before = layer:register_forward_pre_hook(function(m, args)
        seen[#seen + 1] = "before"
        assert.is_true(m == layer)
        return {args[1] + 1}
      end)
      local after = layer:register_forward_hook(function(_, _, out)
        seen[#seen + 1] = "after"
        return out * 10
      end)
      assert.same({20.0, 20.0}, layer(neap.ones(2)):totable())
      assert.same({"before", "after"}, seen)
      before:remove()
      assert.same({10.0, 10.0}, layer(neap.ones(2)):totable())
      after:remove()
      assert.same({1.0, 1.0}, layer(neap.ones(2)):totable())
    end
  end)

  it("run for a child of a container", function()
    for kind, model in pairs(three_kinds()) do
      local child = kind == "lua" and model.hidden or model[1]
      local count = 0
      local handle = child:register_forward_hook(function() count = count + 1 end)
      model(neap.ones(1, 3))
      assert.equal(1, count, kind)
      handle:remove()
      model(neap.ones(1, 3))
      assert.equal(1, count, kind)
    end
  end)
end)

describe("a forward", function()
  it("may yield and go on", function()
    local Slow = nn.class "Slow"
    function Slow:init() self.inner = nn.Linear(2, 2) end
    function Slow:forward(x)
      coroutine.yield "half"
      return self.inner(x)
    end
    local model = nn.Sequential(nn.Linear(2, 2), Slow())
    local x = neap.ones(1, 2)
    local a = coroutine.wrap(function() return model(x) end)
    local b = coroutine.wrap(function() return model(x) end)
    assert.equal("half", a())
    assert.equal("half", b())
    assert.same(model[2].inner(model[1](x)):totable(), a():totable())
    assert.same({1, 2}, b().shape)
  end)

  it("names the layer in which it fails", function()
    for kind, model in pairs(three_kinds()) do
      local ok, message = pcall(function() model(neap.ones(1, 5)) end)
      assert.is_false(ok)
      local place = ({c = "[1]", lua = ".hidden", mixed = "[1]"})[kind]
      assert.is_truthy(message:find(place, 1, true), kind .. ": " .. message)
      assert.matches("nn_spec.lua:%d+", message)
    end
    local deep = nn.Sequential(nn.Identity(), nn.Sequential(nn.Lambda(function(x) return x end), Net(4)))
    local ok, message = pcall(function() deep(neap.ones(1, 5)) end)
    assert.is_false(ok)
    assert.is_truthy(message:find("[2][2].hidden", 1, true), message)
  end)

  it("names no layer any more once a layer has raised", function()
    local Bad = nn.class "Bad"
    function Bad:forward() error "on purpose" end
    local model = nn.Sequential(nn.Lambda(function(x) return x end), Bad())
    assert.error_matches(function() model(1) end, "on purpose")
    local _, message = pcall(function() neap.ones(2, 3):matmul(neap.ones(5, 2)) end)
    assert.is_nil(message:find("Sequential", 1, true), message)
    assert.is_nil(message:find("[2]", 1, true), message)
  end)
end)

describe("memory", function()
  it("is given back when a model is dropped, however it ended", function()
    local Raises = nn.class "Raises"
    function Raises:init() self.inner = nn.Linear(3, 3) end
    function Raises:forward(x)
      if self.fails then error "on purpose" end
      return self.inner(x)
    end
    local function work()
      for _, model in pairs(three_kinds()) do
        local net = nn.Sequential(Raises(), model)
        net(neap.randn(8, 3)):sum():backward()
        net[1].fails = true
        pcall(net, neap.randn(8, 3))
        local yields = coroutine.wrap(function()
          local out = model(neap.randn(2, 3))
          coroutine.yield()
          return out
        end)
        yields()
      end
    end
    work() -- what a first use makes once and keeps: signatures, interned paths
    collectgarbage()
    collectgarbage()
    local before = neap.memory().live
    work()
    collectgarbage()
    collectgarbage()
    assert.equal(before, neap.memory().live)
  end)
end)

describe("nn.init", function()
  it("fills in place, within bounds", function()
    neap.seed(1)
    local t = neap.empty(200, 300)
    assert.is_true(nn.init.uniform_(t, -2, 3) == t)
    assert.is_true(t:amin():item() >= -2 and t:amax():item() < 3 and math.abs(t:mean():item() - 0.5) < 0.03)
    nn.init.normal_(t, {mean = 1, std = 2})
    assert.is_true(math.abs(t:mean():item() - 1) < 0.05 and math.abs(t:std():item() - 2) < 0.05)
    nn.init.constant_(t, 4)
    assert.equal(4.0, t:amin():item())
    nn.init.zeros_(t)
    assert.equal(0.0, t:amax():item())
    nn.init.ones_(t)
    assert.equal(1.0, t:amin():item())
  end)

  it("works on parameters without recording", function()
    local layer = nn.Linear(4, 4)
    nn.init.xavier_uniform_(layer.weight)
    assert.is_true(layer.weight.is_leaf and layer.weight.requires_grad)
  end)

  it("trunc_normal_ stays inside and keeps the shape of the bell", function()
    neap.seed(2)
    local t = nn.init.trunc_normal_(neap.empty(20000), 0, 1, -1, 2)
    assert.is_true(t:amin():item() >= -1 and t:amax():item() <= 2)
    -- mean of N(0, 1) cut to [-1, 2]: (p(-1) - p(2)) / (P(2) - P(-1)), p and P the density and distribution function
    assert.is_true(math.abs(t:mean():item() - 0.2296) < 0.02, t:mean():item())
    local far = nn.init.trunc_normal_(neap.empty(100), 0, 1, 4, 5)
    assert.is_true(far:amin():item() >= 4 and far:amax():item() <= 5)
  end)

  it("orthogonal_ has orthogonal rows or columns", function()
    for _, shape in ipairs{{4, 9}, {9, 4}, {3, 2, 3}} do
      local t = nn.init.orthogonal_(neap.empty(shape), 2):reshape(shape[1], -1)
      if t.shape[1] > t.shape[2] then t = t:t() end
      local off = (t:matmul(t:t()) - neap.eye(t.shape[1]) * 4):abs():amax():item()
      assert.is_true(off < 1e-5, off)
    end
  end)

  it("eye_, dirac_ and sparse_", function()
    assert.same({{1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}}, nn.init.eye_(neap.empty(2, 3)):totable())
    local t = nn.init.dirac_(neap.empty(4, 2, 3), 2)
    assert.equal(4.0, t:sum():item())
    for _, place in ipairs{{1, 1, 2}, {2, 2, 2}, {3, 1, 2}, {4, 2, 2}} do assert.equal(1.0, t[place]:item()) end
    local s = nn.init.sparse_(neap.empty(10, 6), 0.25, 2)
    for column = 1, 6 do assert.equal(3, s:select(2, column):eq(0):sum():item()) end
    assert.error_matches(function() nn.init.dirac_(neap.empty(3, 2, 3), 2) end, "2 groups do not divide 3")
    assert.error_matches(function() nn.init.eye_(neap.empty(3)) end, "2 dimensions, not 1")
    assert.error_matches(function() nn.init.sparse_(neap.empty(3, 3), 2) end, "sparsity is from 0 to 1")
  end)

  it("repeats with a generator, refuses what it does not know", function()
    local function draw() return nn.init.kaiming_normal_(neap.empty(3, 3), {generator = neap.generator(7)}):totable() end
    assert.same(draw(), draw())
    assert.error_matches(function() nn.init.kaiming_normal_(neap.empty(3, 3), {mod = "fan_in"}) end, "did you mean 'mode'")
    assert.error_matches(function() nn.init.xavier_normal_(neap.empty(3)) end, "needs a weight of 2 dimensions or more, this tensor has 1")
    assert.error_matches(function() nn.init.uniform_(neap.empty(3), "a") end, "uniform_: a is not a number, but a string")
    assert.error_matches(function() nn.init.uniform_(neap.empty(3), 0, 1, 2) end, "has 2 settings, not 3: a, b")
    assert.error_matches(function() nn.init.calculate_gain "rellu" end, "gain: 'rellu' is not among relu, leaky_relu")
    assert.error_matches(function() nn.init.kaiming_normal_(neap.empty(3, 3), {mode = "in"}) end, "mode is 'fan_in' or 'fan_out', not")
    assert.error_matches(function() nn.init.trunc_normal_(neap.empty(3), 0, 1, 2, 2) end, "needs std > 0 and a < b, got std 1, a 2, b 2")
    assert.error_matches(function() nn.init.normal_(neap.zeros({2}, {dtype = "int64"})) end, "fills tensors of floats, this one is int64")
  end)
end)

it("settings of a layer are fields", function()
  local linear, norm = nn.Linear(3, 2, {bias = false}), nn.LayerNorm{4, 5}
  assert.equal(3, linear.in_features)
  assert.is_nil(linear.bias)
  assert.same({4, 5}, norm.normalized_shape)
  assert.is_true(norm.elementwise_affine)
  assert.equal(2, nn.Flatten(2).start_dim)
  assert.equal("relu", nn.TransformerEncoderLayer(4, 2, 8).activation)
  assert.is_nil(linear.no_such_setting)
end)

describe("penalties", function()
  it("are sums over parameters, and differentiable", function()
    local p, q = nn.Parameter(neap.tensor{1, -2}), nn.Parameter(neap.tensor{3})
    assert.equal(6.0, nn.l1_penalty{p, q}:item())
    local l2 = nn.l2_penalty{p, q}
    assert.equal(14.0, l2:item())
    l2:backward()
    assert.same({2.0, -4.0}, p.grad:totable())
  end)

  it("gradients are clipped in place", function()
    local p = nn.Parameter(neap.tensor{3, 4})
    p.grad = neap.tensor{3, 4}
    local norm = nn.utils.clip_grad_norm_({p}, 1)
    assert.is_true(math.abs(norm - 5) < 1e-6)
    assert.is_true(math.abs(p.grad:norm():item() - 1) < 1e-5)
    p.grad = neap.tensor{3, -4}
    nn.utils.clip_grad_value_({p}, 3.5)
    assert.same({3.0, -3.5}, p.grad:totable())
  end)
end)
