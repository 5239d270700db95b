-- Convolutions, pooling and sampling beyond their values (those are swept against PyTorch): sizes taken from the first input,
-- first values of weights, what layers refuse, half precision, gradients of gradients through a small net, positions that go there and back.

local neap = require "neap"
local nn = neap.nn

describe("interpolate", function()
  it("takes a factor for each dimension", function()
    local x = neap.randn(1, 2, 3, 4)
    for _, options in ipairs{{scale_factor = {2, 3}, mode = "bilinear"}, {scale_factor = {1, 0.5}}} do
      local f = options.scale_factor
      local size = {math.tointeger(3 * f[1]), math.tointeger(4 * f[2])}
      local y = neap.interpolate(x, options)
      assert.are.same({1, 2, table.unpack(size)}, y.shape)
      assert.is_true(neap.equal(y, x:interpolate(size, nil, options.mode)))
    end
    assert.are.same({1, 2, 6, 4}, x:interpolate(nil, {2, 1}, "bicubic").shape)
    assert.is_true(neap.equal(nn.Upsample {scale_factor = {2, 1}, mode = "bilinear"}(x), x:interpolate({6, 4}, nil, "bilinear")))
    assert.are.same({1, 2, 6, 4}, nn.UpsamplingNearest2d {scale_factor = {2, 1}}(x).shape)
    assert.equal("Upsample(scale_factor={2, 1})", tostring(nn.Upsample {scale_factor = {2, 1}}))
    assert.error_matches(function() x:interpolate {scale_factor = {2, 1.3}} end, "factor 1.3 of dimension 4 makes a size of 5.2: give the size")
    assert.error_matches(function() x:interpolate {scale_factor = {2}} end, "interpolate: 1 factors for an image of 2 dimensions")
  end)
end)

describe("a convolution whose channels were left out", function()
  it("takes them from the first input, of a batch or of one image", function()
    local model = nn.Sequential(nn.Conv2d(nil, 4, 3), nn.ReLU(), nn.Conv2d(nil, 2, 3, {groups = 2}), nn.ConvTranspose2d(nil, 3, 2))
    assert.same({2, 3, 5, 5}, model(neap.ones(2, 5, 8, 8)).shape)
    assert.same({4, 5, 3, 3}, model[1].weight.shape)
    assert.same({2, 2, 3, 3}, model[3].weight.shape)
    assert.same({4, 6, 6}, nn.Conv2d(nil, 4, 3)(neap.ones(5, 8, 8)).shape)
    assert.error_matches(function() nn.Conv2d(nil, 4, 3, {groups = 2})(neap.ones(2, 5, 8, 8)) end,
      "Conv2d: groups is 2, which does not divide in_channels, 5, and out_channels, 4")
  end)
end)

describe("first values", function()
  it("are uniform within 1 / sqrt(fan in)", function()
    neap.seed(5)
    for _, case in ipairs{{nn.Conv2d(8, 16, 3), 8 * 9}, {nn.Conv1d(8, 16, 5, {groups = 2}), 4 * 5}, {nn.ConvTranspose2d(8, 16, 3), 16 * 9}} do
      local bound = 1 / math.sqrt(case[2])
      for _, p in ipairs(case[1]:parameters()) do
        assert.is_true(p:abs():amax():item() <= bound)
        assert.is_true(p:abs():amax():item() > 0.7 * bound)
      end
    end
  end)
end)

describe("layers over images refuse", function()
  for _, case in ipairs{
    {function() nn.Conv2d(3, 0, 3) end, "Conv2d: out_channels must be at least 1, not 0"},
    {function() nn.Conv2d(3, 4, 0) end, "Conv2d: kernel_size must be at least 1, not 0"},
    {function() nn.Conv2d(3, 4, {3, 3, 3}) end, "Conv2d: kernel_size takes one number or one for each of 2 dimensions, got 3"},
    {function() nn.Conv2d(3, 4, 3, {padding = "same", stride = 2}) end, "Conv2d: padding 'same' needs stride 1, it is 2"},
    {function() nn.Conv2d(3, 4, 3, {padding_mode = "mirror"}) end, "padding_mode is 'mirror'"},
    {function() nn.Conv3d(4, 6, 3, {groups = 4}) end, "Conv3d: groups is 4, which does not divide in_channels, 4, and out_channels, 6"},
    {function() nn.ConvTranspose2d(3, 4, 3)(neap.ones(1, 3, 4, 4), {9, 6}) end, "output_size: dimension 1 of the image can be from 6 to 6"},
    {function() nn.ConvTranspose2d(3, 4, 3)(neap.ones(1, 3, 4, 4), {6}) end, "output_size takes 2 sizes, got 1"},
    {function() nn.ReflectionPad2d{1, 2, 3} end, "ReflectionPad2d: padding takes one number or 4, before and after each dimension, got 3"},
  } do
    it(case[2], function()
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end)
  end
end)

describe("a transposed convolution", function()
  it("makes the size that is asked for", function()
    local up = nn.ConvTranspose2d(2, 3, 3, {stride = 2, padding = 1})
    assert.same({1, 3, 7, 7}, up(neap.ones(1, 2, 4, 4)).shape)
    assert.same({1, 3, 8, 7}, up(neap.ones(1, 2, 4, 4), {8, 7}).shape)
  end)
end)

describe("half precision", function()
  it("goes through float32", function()
    neap.seed(2)
    local x, w = neap.randn(2, 3, 6, 6), neap.randn(4, 3, 3, 3)
    for _, dtype in ipairs{"bfloat16", "float16"} do
      local a, b = x:to(dtype), w:to(dtype)
      a.requires_grad = true
      local y = a:conv2d(b, {padding = 1})
      assert.equal(dtype, y.dtype)
      local exact = a:to("float32"):conv2d(b:to("float32"), {padding = 1})
      assert.is_true((y:to("float32") - exact):abs():amax():item() < 0.1)
      y:to("float32"):sum():backward()
      assert.equal(dtype, a.grad.dtype)
      assert.equal(dtype, a:max_pool2d(2).dtype)
      assert.equal(dtype, a:avg_pool2d(2).dtype)
      assert.equal(dtype, a:interpolate(nil, 2, "bilinear").dtype)
    end
  end)
end)

describe("gradients of gradients", function()
  it("go through a small net", function()
    neap.seed(3)
    local w1, w2 = neap.randn(2, 1, 3, 3, {dtype = "float64"}), neap.randn(2, 2, 2, 2, {dtype = "float64"})
    local function f(x)
      local y = x:conv2d(w1, nil, 1, "same"):tanh():avg_pool2d(2)
      return y:conv_transpose2d(w2, nil, 2):pow(3):sum()
    end
    local function slope(at)
      local x = at:detach():clone()
      x.requires_grad = true
      return neap.grad(f(x), {x})[1]
    end
    local x, v = neap.randn(1, 1, 4, 4, {dtype = "float64"}), neap.randn(1, 1, 4, 4, {dtype = "float64"})
    local numeric = (slope(x + v * 1e-6) - slope(x - v * 1e-6)) / 2e-6
    local exact = select(2, neap.hvp(f, x, v))
    assert.is_true((exact - numeric):abs():amax():item() < 1e-5 * numeric:abs():amax():item())
  end)
end)

describe("positions of the greatest", function()
  it("count from 1 within an image and lead back", function()
    local x = neap.arange(1, 17):to("float32"):reshape(1, 1, 4, 4)
    local y, at = x:max_pool2d(2, {return_indices = true})
    assert.same({6, 8, 14, 16}, at:view(-1):tolist())
    local back = y:max_unpool2d(at, 2)
    assert.equal(y:sum():item(), back:sum():item())
    assert.equal(6, back[{1, 1, 2, 2}]:item())
    local single, none = x:max_pool2d(2)
    assert.is_nil(none)
    assert.same(y:view(-1):tolist(), single:view(-1):tolist())
  end)
end)
