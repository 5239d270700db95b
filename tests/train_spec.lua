-- The training loop, checkpoints, pictures, and the proof that all of it learns: drawn digits to 0.97 with no data set
-- at hand, MNIST where it is.

local neap = require "neap"
local nn, optim, data, train, metrics = neap.nn, neap.optim, neap.data, neap.train, neap.metrics

local function classifier(inputs, hidden)
  return nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 10))
end

-- Two classes of points that a line parts.
local function points(n, seed)
  local x = neap.randn({n, 2}, {generator = neap.generator(seed)})
  return {x = x, y = x:sum(2):gt(0):to "int64" + 1}
end

local function setup()
  neap.seed(1)
  local set = points(200, 1)
  local model = nn.Linear(2, 2)
  return {
    model = model, loss = nn.CrossEntropyLoss(), optimizer = optim.SGD(model:parameters(), {lr = 0.5}),
    data = data.batches{set.x, set.y, size = 20, shuffle = true}, quiet = true,
  }
end

describe("train.fit", function()
  it("learns, and says how it went", function()
    local options = setup()
    local test = points(100, 2)
    options.test = data.batches{test.x, test.y, size = 30}
    options.epochs = 5
    local history = train.fit(options)
    assert.equal(5, #history)
    assert.is_true(history[5].loss < history[1].loss)
    assert.is_true(history[5].accuracy > 0.95, history[5].accuracy)
    assert.equal(50, history[5].step)
    assert.is_true(options.model:is_training())
  end)

  it("calls back, steps the schedule, stops when told", function()
    local options = setup()
    local steps, epochs = 0, 0
    options.schedule = optim.lr.StepLR(options.optimizer, {step_size = 1, gamma = 0.5})
    options.epochs = 10
    options.on_step = function(state)
      steps = steps + 1
      assert.equal(steps, state.step)
    end
    options.on_epoch = function(state)
      epochs = epochs + 1
      return state.epoch < 3
    end
    train.fit(options)
    assert.equal(30, steps)
    assert.equal(3, epochs)
    assert.is_true(math.abs(options.optimizer.lr - 0.5 / 8) < 1e-9)
  end)

  it("repeats with a seed", function()
    local function run()
      local options = setup()
      train.fit(options)
      return options.model.weight:totable()
    end
    assert.same(run(), run())
  end)

  it("takes a function that makes an iterator", function()
    local options = setup()
    local set = points(40, 3)
    options.data = function()
      local i = 0
      return function()
        i = i + 1
        if i <= 2 then return set.x:narrow(1, 20 * i - 19, 20), set.y:narrow(1, 20 * i - 19, 20) end
      end
    end
    assert.equal(2, train.fit(options)[1].step)
  end)

  it("needs no more memory after its first steps", function()
    local options = setup()
    local live = {}
    options.on_step = function() live[#live + 1] = neap.memory().live end
    train.fit(options)
    assert.is_true(live[#live] <= live[3] * 1.05 + 4096, ("%d to %d"):format(live[3], live[#live]))
  end)

  it("says what is missing", function()
    local options = setup()
    options.loss = nil
    assert.matches("train_spec.lua:%d+: train.fit: no loss given", select(2, pcall(function() train.fit(options) end)))
    options = setup()
    options.epoch = 3
    assert.error_matches(function() train.fit(options) end, "did you mean 'epochs'")
    options = setup()
    local loader = options.data
    options.data = 3
    assert.matches("train_spec.lua:%d+: train.fit: data is a loader", select(2, pcall(function() train.fit(options) end)))
    options.data, options.epochs = loader, 1.5
    assert.error_matches(function() train.fit(options) end, "epochs is a whole number")
  end)
end)

describe("train.fit", function()
  local function refused(text, change)
    local options = setup()
    change(options)
    local good, message = pcall(function() train.fit(options) end)
    assert.is_false(good, text)
    assert.matches("train.fit: " .. text, message, 1, true)
    assert.matches("train_spec.lua:%d+:", message)
  end

  it("names the argument that is wrong", function()
    for text, change in pairs{
      ["model is a module, not a function"] = function(o) o.model = print end,
      ["loss is a function or a module, not a string ('mse')"] = function(o) o.loss = "mse" end,
      ["loss is a function or a module, not a neap.Tensor"] = function(o) o.loss = neap.ones(1) end,
      ["optimizer is an optimizer, such as optim.Adam(model:parameters(), {lr = 1e-3}), not a string ('adam')"] = function(o) o.optimizer = "adam" end,
      ["optimizer is an optimizer, such as"] = function(o) o.optimizer = optim.Adam end,
      ["schedule is a schedule, such as optim.lr.StepLR(optimizer, {step_size = 10}), not a number (3)"] = function(o) o.schedule = 3 end,
      ["stopping is a train.EarlyStopping{patience = 10}, not a table"] = function(o) o.stopping = {patience = 3} end,
      ["average is an optim.AveragedModel(model), not a neap.Module"] = function(o) o.average = o.model end,
      ["test: data is a loader"] = function(o) o.test = neap.ones(2) end,
      ["on_step is a function or a module, not a string ('x')"] = function(o) o.on_step = "x" end,
      ["on_epoch is a function or a module, not a boolean (true)"] = function(o) o.on_epoch = true end,
      ["clip is not a number, but a string ('1')"] = function(o) o.clip = "1" end,
      ["quiet is not a boolean, but a number (1)"] = function(o) o.quiet = 1 end,
      ["monitor is 'loss', 'accuracy' or a function of the state, not a string ('f1')"] = function(o) o.monitor = "f1" end,
      ["the loss returned a number (3), not a tensor"] = function(o) o.loss = function() return 3 end end,
      ["the loss returned nil, not a tensor"] = function(o) o.loss = function() end end,
      ["the loss returned a tensor of shape (20), not one number; take its mean"] = function(o)
        o.loss = function(output, y) return neap.cross_entropy(output, y, {reduction = "none"}) end
      end,
    } do refused(text, change) end
    local set = points(20, 1)
    assert.matches("train_spec.lua:%d+: train.evaluate: model is a module",
      select(2, pcall(function() train.evaluate(3, data.batches(set)) end)))
    assert.error_matches(function() train.evaluate(nn.Linear(2, 2), data.batches(set), {loss = 3}) end, "train.evaluate: loss is a function")
    assert.error_matches(function() train.evaluate(nn.Linear(2, 2), data.batches(set), {loss = function() return 1 end}) end,
      "train.evaluate: the loss returned a number")
  end)

  it("gives the loss or the accuracy to what watches, by its mode", function()
    -- One that keeps what it gets.
    local function watcher(mode)
      local one = {mode = mode, seen = {}}
      function one.step(_, measure)
        one.seen[#one.seen + 1] = measure
        return false
      end
      return one
    end
    local test = points(50, 2)
    local function run(change)
      local options = setup()
      options.test, options.epochs = data.batches(test), 2
      change(options)
      return train.fit(options)
    end
    local low, high = watcher "min", watcher "max"
    local history = run(function(o) o.stopping, o.schedule = high, low end)
    assert.same({history[1].accuracy, history[2].accuracy}, high.seen)
    assert.same({history[1].test_loss, history[2].test_loss}, low.seen)
    history = run(function(o) o.stopping, o.monitor = watcher "max", function(state) return neap.tensor{state.epoch} end; high = o.stopping end)
    assert.same({1.0, 2.0}, high.seen)
    assert.equal(2, #history)
    run(function(o)
      o.stopping, o.monitor = train.EarlyStopping{patience = 1, mode = "max"}, "accuracy"
      o.schedule = optim.lr.ReduceLROnPlateau(o.optimizer, {mode = "max"})
      high, low = o.stopping, o.schedule
    end)
    assert.is_true(high.best > 0.8 and high.best <= 1 and low.best == high.best)
    for text, change in pairs{
      ["stopping watches the accuracy, which is that on the test data; give test"] = function(o) o.stopping = train.EarlyStopping{mode = "max"} end,
      ["schedule watches the accuracy, which is that on the test data"] = function(o)
        o.schedule = optim.lr.ReduceLROnPlateau(o.optimizer, {mode = "max"})
      end,
      ["stopping has mode = 'max', and a loss is the better the smaller"] = function(o)
        o.stopping, o.monitor = train.EarlyStopping{mode = "max"}, "loss"
      end,
      ["stopping watches the accuracy, which is the better the larger"] = function(o) o.stopping, o.monitor = train.EarlyStopping(), "accuracy" end,
      ["schedule watches the accuracy, which is the better the larger"] = function(o)
        o.schedule, o.monitor = optim.lr.ReduceLROnPlateau(o.optimizer), "accuracy"
      end,
      ["what monitor returns is not a number, but nil"] = function(o) o.stopping, o.monitor = train.EarlyStopping(), function() end end,
      ["stopping watches the accuracy, and the test data has no classes, one a row"] = function(o)
        o.loss, o.stopping = function(y, z) return neap.mse_loss(y, z:float():unsqueeze(2):expand(#z, 2)) end, train.EarlyStopping{mode = "max"}
        o.test = data.batches{test.x, test.y:float()}
      end,
    } do refused(text, change) end
    local options = setup()
    options.schedule, options.monitor, options.test = optim.lr.StepLR(options.optimizer, 1), "accuracy", data.batches(test)
    assert.equal(1, #train.fit(options))
  end)
end)

describe("train.evaluate", function()
  it("leaves each module in the mode it was in, also when the loss raises", function()
    local model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2)))
    model[2]:eval()
    local set = points(20, 1)
    local loader = data.batches{set.x, set.y, size = 10}
    local loss, accuracy = train.evaluate(model, loader, {loss = nn.CrossEntropyLoss()})
    assert.is_true(loss > 0 and accuracy >= 0 and accuracy <= 1)
    assert.is_false(pcall(train.evaluate, model, loader, {loss = function() error "on purpose" end}))
    assert.same({true, true, false}, {model:is_training(), model[1]:is_training(), model[2]:is_training()})
  end)
end)

describe("a checkpoint", function()
  it("goes on where it was, bit for bit", function()
    local path = os.tmpname()
    local options = setup()
    options.optimizer = optim.Adam(options.model:parameters(), {lr = 0.1})
    options.schedule = optim.lr.StepLR(options.optimizer, {step_size = 2, gamma = 0.5})
    options.epochs = 3
    train.fit(options)
    assert(neap.save(path, {
      model = options.model:state_dict(), optimizer = options.optimizer:state_dict(),
      schedule = options.schedule:state_dict(), epoch = 3, note = "half way", best = 0.25,
    }))
    local other = setup()
    other.optimizer = optim.Adam(other.model:parameters(), {lr = 0.1})
    other.schedule = optim.lr.StepLR(other.optimizer, {step_size = 2, gamma = 0.5})
    local saved = assert(neap.load(path))
    os.remove(path)
    assert.equal(3, saved.epoch)
    assert.equal("integer", math.type(saved.epoch))
    assert.equal("half way", saved.note)
    assert.equal(0.25, saved.best)
    other.model:load_state_dict(saved.model)
    other.optimizer:load_state_dict(saved.optimizer)
    other.schedule:load_state_dict(saved.schedule)
    neap.seed(9)
    train.fit(options)
    neap.seed(9)
    other.epochs = 3
    train.fit(other)
    assert.same(options.model.weight:totable(), other.model.weight:totable())
  end)

  it("of a plain table has its names, readable elsewhere", function()
    local path = os.tmpname()
    assert(neap.save(path, {["0.weight"] = neap.ones(2), ["a/b %c"] = neap.zeros(1)}))
    local saved = assert(neap.load(path))
    os.remove(path)
    assert.same({1.0, 1.0}, saved["0.weight"]:totable())
    assert.same({0.0}, saved["a/b %c"]:totable())
  end)

  it("keeps strings of any bytes, as values and as keys", function()
    local path = os.tmpname()
    local any = "\0\1\255/#%" .. "\n\u{e9}\""
    assert(neap.save(path, {text = any, utf8 = "\u{e9}\n\"", [any] = {neap.ones(2), n = 3}, ["#1"] = true}))
    local saved = assert(neap.load(path))
    assert.equal(any, saved.text)
    assert.equal("\u{e9}\n\"", saved.utf8)
    assert.equal(3, saved[any].n)
    assert.same({1.0, 1.0}, saved[any][1]:totable())
    assert.is_true(saved["#1"])
    assert(neap.save(path, {["\255"] = neap.ones(1)}))
    assert.same({1.0}, assert(neap.load(path))["\255"]:totable())
    os.remove(path)
  end)

  it("refuses what a file cannot hold", function()
    for value, message in pairs{[{f = print}] = "'f' is a function", [{[1.5] = 1}] = "keys are whole numbers or strings",
      [{[""] = 1}] = "keys are whole numbers or strings"} do
      local ok, text = pcall(function() neap.save(os.tmpname(), value) end)
      assert.is_false(ok)
      assert.matches("train_spec.lua:%d+: neap.save: ", text)
      assert.is_truthy(text:find(message, 1, true), text)
    end
  end)

  it("that is not there is no crash", function()
    local saved, message = neap.load "/no/such/file"
    assert.is_nil(saved)
    assert.matches("/no/such/file", message)
    assert.is_nil((neap.save("/no/such/folder/x", {a = neap.ones(1)})))
  end)
end)

describe("plot", function()
  local plot = neap.plot

  -- Height and width from a PNG's header.
  local function size(path)
    local file = assert(io.open(path, "rb"))
    local head = file:read(24)
    file:close()
    assert.equal("\137PNG\r\n\26\n", head:sub(1, 8))
    local width, height = string.unpack(">I4I4", head, 17)
    return height, width
  end

  it("writes images, grids with captions, and lines", function()
    local path = os.tmpname()
    assert(plot.image(path, neap.rand(5, 7), {scale = 3}))
    assert.same({15, 21}, {size(path)})
    assert(plot.image(path, neap.rand(3, 4, 4)))
    assert.same({4, 4}, {size(path)})
    assert(plot.grid(path, neap.rand(5, 8, 8), {columns = 3, scale = 2}))
    assert.same({6 + 2 * 22, 6 + 3 * 22}, {size(path)})
    local classes = neap.tensor({1, 2, 3, 4, 5}, {dtype = "int64"})
    local truth = neap.tensor({1, 2, 3, 4, 6}, {dtype = "int64"})
    assert(plot.predictions(path, neap.rand(5, 8, 8), classes, truth, {title = "a title", columns = 5}))
    assert(plot.lines(path, {a = {3, 2, 1, 0 / 0, 0.5}, b = neap.rand(5)}, {title = "loss", width = 300, height = 200}))
    assert.same({200, 300}, {size(path)})
    os.remove(path)
    local ok, message = plot.image("/no/such/folder/x.png", neap.rand(5, 7))
    assert.is_nil(ok)
    assert.is_string(message)
    assert.error_matches(function() plot.grid(path, neap.rand(5)) end, "%(5%)")
    assert.error_matches(function() plot.image(path, neap.rand(2, 5, 5)) end, "%(H, W%) or %(3, H, W%), not %(2, 5, 5%)")
    assert.error_matches(function() plot.grid(path, 3) end, "not a number")
    assert.error_matches(function() plot.grid(path, neap.rand(1, 5, 5), {scale = 0.5}) end, "scale is a whole number")
    assert.error_matches(function() plot.grid(path, neap.rand(1, 5, 5), {columns = 0}) end, "columns is a whole number")
    assert.error_matches(function() plot.predictions(path, neap.rand(2, 5, 5), classes, truth) end, "as many predicted")
    assert.error_matches(function() plot.lines(path, {a = neap.rand(2, 2)}) end, "series 'a' is not a table")
    assert.error_matches(function() plot.lines(path, {a = {1}}, {width = 3}) end, "width is a whole number of pixels, 120 or more")
  end)
end)

describe("learning to read", function()
  it("drawn digits: 0.97 of unseen ones with no data set", function()
    neap.seed(1)
    local set, unseen = data.digits{n = 6000, seed = 1}, data.digits{n = 1000, seed = 2}
    local model = classifier(784, 128)
    local optimizer = optim.Adam(model:parameters(), {lr = 2e-3})
    train.fit{
      model = model, loss = nn.CrossEntropyLoss(), optimizer = optimizer, quiet = true, epochs = 6,
      data = data.batches{set.x, set.y, size = 100, shuffle = true},
    }
    model:eval()
    local accuracy = neap.no_grad(function() return metrics.accuracy(model(unseen.x), unseen.y) end)
    assert.is_true(accuracy >= 0.97, accuracy)
  end)

  -- PyTorch 2.13 gets 0.9530 with a deviation of 0.0016 (80 seeds, 0.9473 to 0.9572), Neap 0.9531 with 0.0022 (60 seeds,
  -- 0.9466 to 0.9571): what has gone wrong is below that.
  it("MNIST: as well as PyTorch after two epochs #slow", function()
    if not os.getenv "NEAP_DATA" then return pending "NEAP_DATA is not set" end
    neap.seed(1)
    local set, unseen = assert(data.mnist())
    local model = classifier(784, 128)
    local optimizer = optim.Adam(model:parameters(), {lr = 1e-3})
    local history = train.fit{
      model = model, loss = nn.CrossEntropyLoss(), optimizer = optimizer, quiet = true, epochs = 2,
      data = data.batches{set.x, set.y, size = 128, shuffle = true},
      test = data.batches{unseen.x, unseen.y, size = 1000},
    }
    assert.is_true(history[2].accuracy >= 0.945, history[2].accuracy)
  end)
end)
