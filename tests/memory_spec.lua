-- What training keeps in memory, counted in bytes by neap.memory(): nothing beyond what backward will read, whoever wrote the
-- layers; temporaries are bounded without a call of collectgarbage; and what is dropped, in whatever state, is gone.

local neap = require "neap"
local nn, optim = neap.nn, neap.optim

local MB = 1024 * 1024

local function live()
  collectgarbage()
  collectgarbage()
  return neap.memory().live
end

-- The most bytes alive during f, beyond those alive before.
local function peak_of(f)
  local before = live()
  neap.memory { reset_peak = true }
  f()
  return neap.memory().peak - before
end

-- ---- nets of `depth` blocks tanh(x w + b), three ways ----

local Native = nn.class "Native" -- layers of C called from Lua
function Native:init(width) self.linear, self.tanh = nn.Linear(width, width), nn.Tanh() end
function Native:forward(x) return self.tanh(self.linear(x)) end

local Plain = nn.class "Plain" -- ops called from Lua
function Plain:init(width)
  self.w, self.b = nn.Parameter(neap.randn(width, width) * 0.05), nn.Parameter(neap.zeros(width))
end
function Plain:forward(x) return (x:matmul(self.w) + self.b):tanh() end

local Net = nn.class "Net"
function Net:init(class, width, depth)
  self.blocks = {}
  for i = 1, depth do self.blocks[i] = class(width) end
end
function Net:forward(x)
  for _, block in ipairs(self.blocks) do x = block(x) end
  return x
end

local ways = {
  { name = "layers of C", make = function(width, depth)
    local layers = {}
    for _ = 1, depth do
      layers[#layers + 1] = nn.Linear(width, width)
      layers[#layers + 1] = nn.Tanh()
    end
    return nn.Sequential(layers)
  end },
  { name = "layers of C inside of layers of Lua", make = function(width, depth) return Net(Native, width, depth) end },
  { name = "layers of Lua", make = function(width, depth) return Net(Plain, width, depth) end },
}

-- A training step of a net, as a function.
local function training(net, x, target, scoped)
  local adam = optim.Adam(net:parameters())
  return function()
    local _ <close> = scoped and neap.scope() or nil
    adam:zero_grad()
    neap.mse_loss(net(x), target):backward()
    adam:step()
  end
end

-- Cut small, work on large tensors takes minutes.
local describe_large = os.getenv "NEAP_TEST_MODE" == "torture" and function() end or describe

describe_large("memory of a training step:", function()
  local depth, width, rows = 20, 64, 8192
  local activation = rows * width * 4
  local parameters = depth * (width + 1) * width * 4
  local mode

  before_each(function() mode = collectgarbage "generational" end)
  after_each(function() collectgarbage(mode) end)

  for _, way in ipairs(ways) do
    for _, scoped in ipairs { true, false } do
      it(way.name .. (scoped and ", in a scope" or ", without a scope"), function()
        local x, target = neap.randn(rows, width), neap.randn(rows, width)
        local before = live()
        local step = training(way.make(width, depth), x, target, scoped)
        step()
        local kept = live() - before -- parameters, gradients, and Adam's two moments
        assert.is_true(kept < 4 * parameters * 1.15, ("%.2f MB are kept, %.2f needed"):format(kept / MB, 4 * parameters / MB))
        local most = kept + peak_of(step)
        -- Each block's output is read by backward, and so is the loss's difference.
        local needed = 4 * parameters + (depth + 1) * activation
        local room = neap.info().blas == "internal" and 1.2 or 1.1 -- the internal product packs its blocks
        local bound = (scoped or way.name == "layers of C") and needed * room or needed + neap.memory().limit
        assert.is_true(most < bound, ("%.2f MB at most, %.2f needed"):format(most / MB, needed / MB))
        assert.are.equal(kept, live() - before)
      end)
    end
  end
end)

describe("temporaries without a call of collectgarbage", function()
  for _, mode in ipairs { "incremental", "generational" } do
    it("stay bounded, small ones: " .. mode, function()
      local before_mode = collectgarbage(mode)
      local a, b = neap.rand(10), neap.rand(10)
      local g = neap.rand(10, { requires_grad = true })
      local most = peak_of(function()
        for _ = 1, 100000 do local _ = a + b end
        for _ = 1, 50000 do local _ = g + b end
      end)
      collectgarbage(before_mode)
      assert.is_true(most < 40 * MB, most / MB .. " MB")
    end)
    it("stay bounded, large ones beside many tables: " .. mode, function()
      local before_mode = collectgarbage(mode)
      local tables = {}
      for i = 1, 300000 do tables[i] = { i } end
      local most = peak_of(function()
        for _ = 1, 1500 do local _ = neap.empty(512, 512) end
      end)
      collectgarbage(before_mode)
      assert.is_true(most < 300 * MB, most / MB .. " MB")
      assert.are.equal(300000, #tables)
    end)
  end
  it("recorded ones: a long chain runs backward and is released", function()
    local x, b = neap.ones(2, { requires_grad = true }), neap.ones(2)
    local before = live()
    do
      local y = x
      for _ = 1, 200000 do y = y + b end
      y:sum():backward()
    end
    assert.are.equal(1, x.grad[1]:item())
    x.grad = nil
    do
      local y = x
      for _ = 1, 200000 do y = y + b end -- dropped without a backward
    end
    assert.are.equal(before, live())
  end)
end)

-- ---- what is dropped ----

local Failing = nn.class "Failing"
function Failing:init(width) self.linear = nn.Linear(width, width) end
function Failing:forward(x)
  local y = self.linear(x)
  if self.fails then error "on purpose" end
  if self.yields then coroutine.yield(y) end
  return y * 2
end

local Mixed = nn.class "Mixed"
function Mixed:init(width)
  self.body = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.Dropout(0.5))
  self.block = Failing(width)
  self.tail = nn.Sequential(nn.ReLU(), self.block, nn.Linear(width, width))
end
function Mixed:forward(x) return self.tail(self.block(self.body(x))) end

local nets = {
  { name = "of C", make = function() return nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))) end },
  { name = "of Lua", make = function() return Net(Failing, 8, 3) end, block = function(net) return net.blocks[2] end },
  { name = "of both", make = function() return Mixed(8) end, block = function(net) return net.block end },
}

local function calling(net)
  return function(...) return net(...) end
end

describe("a net that is dropped leaves nothing:", function()
  local x, target

  before_each(function() x, target = neap.randn(4, 8), neap.randn(4, 8) end)

  for _, one in ipairs(nets) do
    -- use(net, train, block, keep): keep(v) holds a value until the end of the test, the net is dropped before.
    local function leaves_nothing(use)
      local function round()
        local held = {}
        do
          local net = one.make()
          use(net, training(net, x, target), one.block and one.block(net), function(v) held[#held + 1] = v end)
        end
        held = nil
        return live()
      end
      local before = round() -- what a first use makes and keeps: signatures, names
      assert.are.equal(before, round())
      assert.are.equal(before, round())
    end

    it(one.name .. ", trained, with hooks and gradients of gradients", function()
      leaves_nothing(function(net, train)
        net:register_forward_hook(function(_, _, y) return y end)
        for _ = 1, 3 do train() end
        net:parameters()[1]:register_hook(function(g) return g * 2 end)
        train()
        neap.grad(neap.grad(net(x):sum(), net:parameters(), { create_graph = true, allow_unused = true })[1]:sum() + net(x):sum(),
          net:parameters(), { allow_unused = true })
      end)
    end)
    it(one.name .. ", in the middle of a forward", function()
      leaves_nothing(function(net, train, block, keep)
        train()
        if block then
          block.yields = true
          local co = coroutine.wrap(calling(net))
          assert.is_true(neap.is_tensor(co(x)))
          keep(co)
          block.yields = false
        end
        train()
      end)
    end)
    it(one.name .. ", after an error in a layer, inside and outside of a scope and a coroutine", function()
      leaves_nothing(function(net, train, block)
        if block then block.fails = true end
        local bad = block and x or neap.randn(4, 9)
        assert.is_false(pcall(net, bad))
        assert.is_false(pcall(function()
          local _ <close> = neap.scope()
          net(bad)
        end))
        assert.is_false(coroutine.resume(coroutine.create(calling(net)), bad))
        assert.is_false(pcall(coroutine.wrap(calling(net)), bad))
        if block then block.fails = false end
        train()
      end)
    end)
    it(one.name .. ", in a scope that is never closed, and in one that is left by a coroutine", function()
      leaves_nothing(function(net, train)
        coroutine.wrap(function()
          local scope = neap.scope()
          net(x)
          coroutine.yield(scope)
        end)()
        local scope = neap.scope()
        train()
        assert.is_truthy(scope)
      end)
    end)
  end

  it("paths of layers that were cut off do not show in later errors", function()
    local net = Mixed(8)
    net.block.yields = true
    local co = coroutine.create(calling(net))
    assert.is_true(coroutine.resume(co, x))
    local ok, message = pcall(function() return neap.ones(2) + neap.ones(3) end)
    assert.is_false(ok)
    assert.is_nil(message:find("layer", 1, true))
    coroutine.close(co)
    net.block.yields = false
    local _, inside = pcall(net, neap.randn(4, 9))
    assert.is_truthy(inside:find("(in layer Mixed.body[1])", 1, true), inside)
  end)
end)

describe("neap.keep", function()
  it("lets tensors outlive every scope that is open, also those in tables", function()
    local x, list, dropped
    do
      local _ <close> = neap.scope()
      do
        local _ <close> = neap.scope()
        x, list, dropped = neap.ones(2), {a = {neap.ones(3)}}, neap.ones(4)
        assert.equal(x, neap.keep(x))
        local same, again = neap.keep(list, x) -- twice does nothing more
        assert.is_true(same == list and again == x)
        assert.is_nil(neap.keep(nil))
      end
    end
    assert.equal(2, x:sum():item())
    assert.equal(3, list.a[1]:sum():item())
    assert.error_matches(function() return dropped:sum() end, "released when its scope closed")
  end)
end)
