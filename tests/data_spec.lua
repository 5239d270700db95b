-- Sets of samples: batches go over all rows once in any order, splits share no row, drawn digits are what they say, and
-- MNIST is read as its publishers wrote it.

local neap = require "neap"
local data = neap.data
local files = require "support.files"

local function numbers(n)
  return neap.range(1, n)
end

-- The values that a loop over a loader brings, sorted.
local function seen(loader)
  local out = {}
  for x in loader do
    for _, v in ipairs(x:totable()) do out[#out + 1] = v end
  end
  return out
end

local function sorted(list)
  local out = table.move(list, 1, #list, 1, {})
  table.sort(out)
  return out
end

local function up_to(n)
  local out = {}
  for i = 1, n do out[i] = i end
  return out
end

describe("data.batches", function()
  it("goes over rows in order, the last batch smaller", function()
    local loader = data.batches{numbers(10), size = 4}
    assert.equal(3, #loader)
    local sizes = {}
    for x in loader do sizes[#sizes + 1] = #x end
    assert.same({4, 4, 2}, sizes)
    assert.same(up_to(10), seen(loader))
  end)

  it("drops the last batch when asked", function()
    local loader = data.batches{numbers(10), size = 4, drop_last = true}
    assert.equal(2, #loader)
    assert.same(up_to(8), seen(loader))
  end)

  it("shuffles anew each epoch, and brings each row once", function()
    neap.seed(3)
    local loader = data.batches{numbers(100), size = 7, shuffle = true}
    local first, second = seen(loader), seen(loader)
    assert.same(up_to(100), sorted(first))
    assert.same(up_to(100), sorted(second))
    assert.are_not.same(first, second)
    assert.are_not.same(up_to(100), first)
  end)

  it("repeats with a seed and with a generator", function()
    local function order(options)
      options[1], options.size, options.shuffle = numbers(50), 8, true
      return seen(data.batches(options))
    end
    neap.seed(5)
    local a = order{}
    neap.seed(5)
    assert.same(a, order{})
    assert.same(order{generator = neap.generator(9)}, order{generator = neap.generator(9)})
  end)

  it("keeps rows of several tensors together", function()
    local x = neap.range(1, 20):reshape(20, 1):expand(20, 3):contiguous()
    for xb, yb in data.batches{x, numbers(20), size = 6, shuffle = true} do
      assert.same({#yb, 3}, xb.shape)
      assert.is_true(xb:select(2, 2):eq(yb):all():item())
    end
  end)

  it("begins again after a break", function()
    local loader = data.batches{numbers(10), size = 4}
    for x in loader do
      if x then break end
    end
    assert.same(up_to(10), seen(loader))
  end)

  it("keeps its order when the scope of the step that began it closes", function()
    local loader, values = data.batches{numbers(10), size = 4, shuffle = true}, {}
    for _ = 1, 2 do
      for turn = 1, #loader do
        local _ <close> = neap.scope()
        if turn == 1 then loader:reset() end
        table.move(loader:next():totable(), 1, 4, #values + 1, values)
      end
    end
    assert.equal(20, #values)
    assert.same(up_to(10), sorted{table.unpack(values, 11)})
  end)

  it("gives each batch to map", function()
    local loader = data.batches{numbers(4), size = 2, map = function(x) return x * 2, "extra" end}
    local sums = {}
    for x, extra in loader do
      sums[#sums + 1] = x:sum():item()
      assert.equal("extra", extra)
    end
    assert.same({6.0, 14.0}, sums)
  end)

  it("takes options in a second table, batch_size, and sets", function()
    local set = {y = numbers(10) * 2, x = numbers(10), a = numbers(10) * 3}
    local loader = data.batches({numbers(10)}, {size = 3, shuffle = true})
    assert.equal(4, #loader)
    assert.are_not.same(up_to(10), seen(loader))
    assert.equal(5, #data.batches{numbers(10), batch_size = 2})
    for x, y, a in data.batches(data.split(set, 0.5), {size = 5}) do
      assert.same((x * 2):totable(), y:totable())
      assert.same((x * 3):totable(), a:totable())
    end
    for x, y in data.batches{x = numbers(4), y = numbers(4) + 1, size = 4} do
      assert.same({1, 2, 3, 4}, x:totable())
      assert.same({2, 3, 4, 5}, y:totable())
    end
    assert.error_matches(function() data.batches{x = numbers(3), weigths = numbers(3)} end, "did you mean 'weights'")
    assert.error_matches(function() data.batches({numbers(3)}, {batch_sise = 3}) end, "did you mean 'batch_size'")
    assert.error_matches(function() data.batches({numbers(3)}, {numbers(3), size = 3}) end, "tensors stand in the first")
    assert.error_matches(function() data.batches({numbers(3), size = 1}, {size = 3}) end, "size is given twice")
    assert.error_matches(function() data.batches({numbers(3), size = 1}, {batch_size = 3}) end, "size and batch_size are one option")
    assert.error_matches(function() data.batches({numbers(3)}, 3) end, "options are a table, not a number")
    assert.error_matches(function() data.batches({numbers(3)}, {shuffle = "yes"}) end, "shuffle is not a boolean, but a string")
  end)

  it("goes over itself within itself", function()
    for _, options in ipairs{{size = 2}, {size = 2, shuffle = true}} do
      local loader, inner, outer = data.batches({numbers(4)}, options), 0, 0
      for _ in loader do
        outer = outer + 1
        for _ in loader do inner = inner + 1 end
        for _ in loader do break end -- luacheck: ignore 512
        for _ in loader:iterate() do inner = inner + 1 end
      end
      assert.same({2, 8}, {outer, inner})
      loader:reset()
      loader:next()
      for _ in loader do outer = outer + 1 end
      assert.is_truthy(loader:next())
      assert.is_nil(loader:next())
    end
    local loader = data.batches({numbers(4)}, {size = 2, map = function() return "x" end})
    assert.error_matches(function()
      for _ in loader do
        for _ in loader do end -- luacheck: ignore 542
      end
    end, "two loops over one loader cannot be told apart.*loader:iterate")
  end)

  it("takes any value from map", function()
    for _, value in ipairs{0 / 0, "x", 3, false} do
      local turns = 0
      for _ in data.batches({numbers(4)}, {size = 1, map = function() return value end}) do turns = turns + 1 end
      assert.equal(4, turns)
    end
  end)

  it("joins samples by collate", function()
    local list = {neap.ones(1), neap.ones(3), neap.ones(2)}
    local sums = {}
    for x, lengths in data.batches(list, {size = 2, collate = neap.nn.utils.pad_sequence}) do
      sums[#sums + 1] = {x:sum():item(), #x, #lengths}
    end
    assert.same({{4.0, 3, 2}, {2.0, 2, 1}}, sums)
    local loader = data.batches({"a", "b", "c"}, {size = 3, shuffle = true, generator = neap.generator(2), collate = function(samples)
      table.sort(samples)
      return table.concat(samples)
    end, map = function(text) return text:upper(), 1 end})
    assert.equal("ABC", loader:next())
    assert.error_matches(function() data.batches(list) end, "tensor 2 has 3 rows, tensor 1 has 1; .*collate = nn.utils.pad_sequence")
    assert.error_matches(function() data.batches(list, {collate = 3}) end, "collate is not a function")
    for _, name in ipairs{"map", "collate"} do
      assert.error_matches(function() data.batches(list, {collate = name == "map" and #list or nil}) end, "collate")
      local good, message = pcall(function() data.batches({numbers(4)}, {[name] = function() end}):next() end)
      assert.is_false(good)
      assert.matches("data_spec.lua:%d+: data.batches: " .. name .. " returned nothing", message)
    end
  end)

  it("draws rows by weights", function()
    local x, n = numbers(3), {0, 0, 0}
    neap.seed(1)
    local loader = data.batches{x, weights = {0, 1, 3}, size = 2}
    assert.equal(2, #loader)
    for _ = 1, 400 do
      for _, v in ipairs(seen(loader)) do n[v] = n[v] + 1 end
    end
    assert.equal(1200, n[2] + n[3])
    assert.near(300, n[2], 60)
    local g = {neap.generator(3), neap.generator(3)}
    assert.same(seen(data.batches{x, weights = x, generator = g[1]}), seen(data.batches{x, weights = x, generator = g[2]}))
    assert.error_matches(function() data.batches{x, weights = {1, 2}} end, "weights is a list or a tensor of 3 numbers, one a row, not of shape %(2%)")
    assert.error_matches(function() data.batches{x, weights = 2} end, "weights is a list or a tensor of 3 numbers, one a row, not a number")
    assert.error_matches(function() data.batches{x, weights = {1, 2, -1}} end, "weights are numbers from 0 on")
    assert.error_matches(function() data.batches{x, weights = {0, 0, 0}} end, "not all of them 0")
    assert.error_matches(function() data.batches{x, weights = {1, 2, 3}, shuffle = true} end, "shuffle adds nothing")
  end)

  it("says what is wrong", function()
    assert.error_matches(function() data.batches{numbers(3), numbers(4)} end, "tensor 2 has 4 rows, tensor 1 has 3")
    assert.error_matches(function() data.batches{numbers(3), sise = 4} end, "did you mean 'size'")
    assert.matches("data_spec.lua:%d+: data.batches: size", select(2, pcall(function() data.batches{numbers(3), size = 0} end)))
    assert.error_matches(function() data.batches{} end, "no tensors")
    assert.error_matches(function() data.batches{numbers(3), {1, 2, 3}} end, "entry 2 is a table, not a tensor with rows")
    assert.error_matches(function() data.batches{neap.tensor(3)} end, "not a tensor with rows")
    assert.error_matches(function() data.batches{numbers(3), map = 3} end, "map is not a function, but a number")
  end)
end)

describe("splits", function()
  local set = {x = neap.range(1, 10):reshape(10, 1), y = neap.range(1, 10):to "int64"}

  it("share no row", function()
    local train, test = data.split(set, 0.7)
    assert.same({7, 1}, train.x.shape)
    assert.same({3, 1}, test.x.shape)
    local all = {}
    for _, part in ipairs{train, test} do
      assert.same(part.x:flatten():totable(), part.y:to "float32":totable())
      for _, v in ipairs(part.y:totable()) do all[#all + 1] = v end
    end
    assert.same(up_to(10), sorted(all))
    assert.same({8, 9, 10}, select(2, data.split(set, 0.7, {shuffle = false})).y:totable())
    assert.error_matches(function() data.split(set, 1) end, "leaves one side empty")
    assert.error_matches(function() data.split(set) end, "the fraction is not a number, but nil")
    assert.matches("data_spec.lua:%d+: data.split: the set is not a table",
      select(2, pcall(function() data.split(nil, 0.5) end)))
    assert.error_matches(function() data.split({}, 0.5) end, "the set is empty")
    assert.error_matches(function() data.split({x = neap.ones(3), y = 1}, 0.5) end, "'y' of the set is a number")
    assert.error_matches(function() data.split({neap.ones(3), neap.ones(4)}, 0.5) end, "'2' has 4 rows, '1' has 3")
  end)

  it("fold so that each row is tested once", function()
    local tested, rounds = {}, 0
    for i, train, test in data.folds(set, 3) do
      rounds = rounds + 1
      assert.equal(rounds, i)
      assert.equal(10, #train.y + #test.y)
      for _, v in ipairs(test.y:totable()) do tested[#tested + 1] = v end
    end
    assert.equal(3, rounds)
    assert.same(up_to(10), sorted(tested))
    assert.error_matches(function() data.folds(set, 11) end, "11 folds of 10 rows")
  end)

  it("give each part its share of each class", function()
    local classes = neap.cat({neap.full({6}, 1), neap.full({9}, 2), neap.full({3}, 3)}):to "int64"
    local both = {x = numbers(18), y = classes}
    local function count(part) return part.y:bincount(nil, 3):totable() end
    for _, options in ipairs{{stratify = "y"}, {stratify = classes}, {stratify = "y", shuffle = false}} do
      local all = {}
      for _, train, test in data.folds(both, 3, options) do
        assert.same({2, 3, 1}, count(test))
        assert.same({4, 6, 2}, count(train))
        table.move(test.x:totable(), 1, 6, #all + 1, all)
      end
      assert.same(up_to(18), sorted(all))
      local train, test = data.split(both, 2 / 3, options)
      assert.same({4, 6, 2}, count(train))
      assert.same({2, 3, 1}, count(test))
      if options.shuffle == false then assert.same(sorted(train.x:totable()), train.x:totable()) end
    end
    local a, b = data.split(both, 0.5, {stratify = "y", generator = neap.generator(1)}), data.split(both, 0.5, {stratify = "y", generator = neap.generator(1)})
    assert.same(a.x:totable(), b.x:totable())
    assert.error_matches(function() data.split(both, 0.5, {stratify = "z"}) end,
      "data.split: stratify is the name of the set's classes, or a tensor of 18 classes, not a string %('z'%)")
    assert.error_matches(function() data.folds(both, 3, {stratify = neap.ones(4)}) end, "data.folds: stratify .*not of shape %(4%)")
  end)

  it("standardise by the training part", function()
    local x = neap.tensor{{1, 5}, {3, 5}, {5, 5}}
    local y, scale = data.standardise(x)
    assert.same({0.0, 0.0}, y:mean(1):totable())
    assert.is_true(math.abs(y[1][1]:item() + math.sqrt(1.5)) < 1e-6)
    assert.equal(0.0, y:select(2, 2):abs():max():item())
    assert.is_true(math.abs(scale(neap.tensor{{3, 6}})[1][2]:item() - 1) < 1e-6)
  end)

  it("shift images and fill with 0", function()
    local x = neap.zeros(50, 5, 5)
    x[{{}, 3, 3}] = 1
    local moved = data.shift(x, 1, neap.generator(1))
    assert.same({50, 5, 5}, moved.shape)
    assert.equal(50, moved:sum():item())
    assert.equal(50, moved[{{}, {2, 4}, {2, 4}}]:sum():item())
    assert.is_true(moved:sum(1):gt(0):sum():item() == 9)
    -- Channels move together.
    local colours = neap.stack({x, x * 2, x * 3}, 2)
    local both = data.shift(colours, 2, neap.generator(2))
    assert.same({50, 3, 5, 5}, both.shape)
    assert.is_true(both:select(2, 3):equal(both:select(2, 1) * 3))
    assert.is_true(both:select(2, 2):sum():item() == 100 and both:select(2, 1):sum(1):gt(0):sum():item() > 15)
    -- The same with a gradient, which goes where the pixels went.
    local bytes = neap.randint(0, 256, {20, 2, 4, 6})
    local leaf = bytes:float():requires_grad_(true)
    local far = data.shift(leaf, 7, neap.generator(4))
    assert.is_true(far:equal(data.shift(leaf:detach(), 7, neap.generator(4))))
    assert.is_true(far:equal(data.shift(bytes:to "uint8", 7, neap.generator(4)):float()))
    far:sum():backward()
    assert.equal(far:sum():item(), (leaf.grad * leaf):sum():item())
    assert.same({0, 3, 3}, {table.unpack(data.shift(neap.zeros(0, 3, 3), 1).shape)})
    -- Without one it makes nothing but the result.
    local big = neap.zeros(16, 8, 32, 32)
    local before = neap.memory{reset_peak = true}.live
    data.shift(big, 2)
    assert.is_true(neap.memory().peak - before < 1.2 * big:numel() * 4)
    assert.error_matches(function() data.shift(neap.ones(5, 5), 1) end, "images are %(N, H, W%) or %(N, C, H, W%), not %(5, 5%)")
    assert.error_matches(function() data.shift(x, 0.5) end, "pixels is a whole number")
  end)
end)

describe("read_file", function()
  it("gives the bytes of a file, or says why not", function()
    local path = files.write "a\0b\n"
    assert.equal("a\0b\n", neap.read_file(path))
    assert.same({97, 0, 98, 10}, neap.read_bytes(path):totable())
    os.remove(path)
    local text, message, code = neap.read_file(path)
    assert.is_nil(text)
    assert.matches(path, message, 1, true)
    assert.equal("io", code)
  end)
end)

describe("data.csv", function()
  it("reads numbers and names", function()
    local path = files.write "a, b\n1,2\n3,4.5\n\n"
    local x, names = data.csv(path)
    os.remove(path)
    assert.same({{1.0, 2.0}, {3.0, 4.5}}, x:totable())
    assert.same({"a", "b"}, names)
  end)

  it("leaves out lines, splits at white space and at magic characters", function()
    local path = files.write "3 rows of 2\n\t1  2 \n3\t4\n"
    assert.same({{1.0, 2.0}, {3.0, 4.0}}, data.csv(path, {separator = " ", skip = 1}):totable())
    os.remove(path)
    path = files.write "1^2\r\n3^\r\n"
    local x = data.csv(path, {separator = "^"}):totable()
    os.remove(path)
    assert.same({1.0, 2.0}, x[1])
    assert.is_true(x[2][2] ~= x[2][2])
  end)

  it("reads gzip", function()
    if not os.getenv "NEAP_DATA" then return pending "NEAP_DATA is not set" end
    local x = assert(data.csv(os.getenv "NEAP_DATA" .. "/tabular/diabetes_data.csv.gz", {separator = " ", dtype = "float64"}))
    assert.same({442, 10}, x.shape)
    assert.near(1, x[{{}, 1}]:square():sum():item(), 1e-9) -- columns come with a norm of 1
  end)

  it("takes any separator, and an empty field as NaN", function()
    for _, separator in ipairs{";", "\t", "^", "]", "%", "|", "x"} do
      local path = files.write(("1,2\n3,\n"):gsub(",", function() return separator end))
      local x = assert(data.csv(path, {separator = separator}))
      os.remove(path)
      assert.same({{1.0, 2.0}}, x:narrow(1, 1, 1):totable())
      assert.is_true(x[2][2]:isnan():item())
    end
    assert.error_matches(function() data.csv("x", {separator = ", "}) end, "one character")
  end)

  it("names the line that is wrong", function()
    local path = files.write "1,2\n3,x\n"
    local x, message = data.csv(path)
    assert.is_nil(x)
    assert.matches(":2: 'x' is not a number", message)
    os.remove(path)
    path = files.write "1,2\n3\n"
    x, message = data.csv(path)
    os.remove(path)
    assert.is_nil(x)
    assert.matches(":2: 1 fields, 2 in", message)
    assert.is_nil((data.csv "no/such/file"))
  end)
end)

describe("data.digits", function()
  it("draws images in [0, 1] with classes 1 to 10", function()
    local set = data.digits{n = 300, seed = 1}
    assert.same({300, 28, 28}, set.x.shape)
    assert.same({300}, set.y.shape)
    assert.equal("float32", tostring(set.x.dtype))
    assert.equal("int64", tostring(set.y.dtype))
    assert.is_true(set.x:amin():item() >= 0 and set.x:amax():item() <= 1)
    assert.equal(1, set.y:amin():item())
    assert.equal(10, set.y:amax():item())
    local ink = set.x:gt(0.5):to "float32":mean():item()
    assert.is_true(ink > 0.05 and ink < 0.3, ink)
  end)

  it("draws the same with a seed, another with another", function()
    local a, b, c = data.digits{n = 20, seed = 4}, data.digits{n = 20, seed = 4}, data.digits{n = 20, seed = 5}
    assert.is_true(a.x:eq(b.x):all():item())
    assert.is_true(a.y:eq(b.y):all():item())
    assert.is_false(a.x:eq(c.x):all():item())
  end)

  it("keeps the ink inside and the background dark without noise", function()
    local set = data.digits{n = 200, seed = 2, noise = 0}
    for _, dim in ipairs{2, 3} do
      for _, edge in ipairs{1, -1} do assert.equal(0.0, set.x:select(dim, edge):amax():item()) end
    end
    assert.is_true(set.x:eq(0):to "float32":mean():item() > 0.75)
    -- An image too small for the glyphs shrinks them.
    local small = data.digits{n = 200, seed = 2, noise = 0, size = 10}.x
    assert.is_true(small:select(2, 1):amax():item() + small:select(3, -1):amax():item() < 1e-3)
    assert.is_true(small:amax{2, 3}:amin():item() > 0.3)
  end)

  it("draws the classes and sizes that are asked for", function()
    local labels = neap.tensor({3, 3, 7}, {dtype = "int64"})
    local set = data.digits{labels = labels, size = 14}
    assert.same({3, 14, 14}, set.x.shape)
    assert.same({3, 3, 7}, set.y:totable())
    assert.error_matches(function() data.digits{nn = 3} end, "unknown option 'nn'")
    assert.error_matches(function() data.digits{n = 0} end, "n is a whole number from 1 on")
    assert.error_matches(function() data.digits{labels = neap.ones(3)} end, "labels is an int64 tensor")
  end)
end)

describe("data.mnist", function()
  it("says what is not there", function()
    local set, message = data.mnist "/no/such/folder"
    assert.is_nil(set)
    assert.matches("/no/such/folder", message)
  end)

  it("reads the digits as published", function()
    if not os.getenv "NEAP_DATA" then return pending "NEAP_DATA is not set" end
    local train, test = assert(data.mnist(nil, {dtype = "uint8"}))
    assert.same({60000, 28, 28}, train.x.shape)
    assert.same({10000, 28, 28}, test.x.shape)
    assert.same({6, 1, 5, 2, 10, 3, 2, 4, 2, 5}, train.y:narrow(1, 1, 10):totable())
    assert.same({8, 3, 2, 1, 5, 2, 5, 10, 6, 10}, test.y:narrow(1, 1, 10):totable())
    assert.equal(0, train.x:amin():item())
    assert.equal(255, train.x:amax():item())
  end)
end)
