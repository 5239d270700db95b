-- What is done with whole models: containers, copies, sizes from the first input, choosing parameters by name, summaries.

local neap = require "neap"
local nn = neap.nn

local function names(iterator)
  local out = {}
  for name in iterator do out[#out + 1] = name end
  return out
end

describe("containers", function()
  it("nn.Residual adds what goes in, by way of a shortcut if there is one", function()
    local x = neap.tensor{{1, -2}}
    assert.same({{2, -4}}, nn.Residual(nn.Identity())(x):totable())
    assert.same({{2, -2}}, nn.Residual(nn.ReLU())(x):totable())
    assert.same({{2, 0}}, nn.Residual(nn.ReLU(), {shortcut = nn.ReLU()})(x):totable())
    assert.same({"body.0.weight", "body.0.bias", "shortcut.weight", "shortcut.bias"},
      names(nn.Residual(nn.Linear(2, 2), nn.ReLU(), {shortcut = nn.Linear(2, 2)}):named_parameters()))
    assert.error_matches(function() nn.Residual() end, "nn.Residual: takes layers")
    assert.error_matches(function() nn.Residual(nn.ReLU(), {short = 1}) end, "short")
  end)

  it("nn.Parallel joins what its layers put out", function()
    local x = neap.tensor{{1, -2}}
    assert.same({{1, -2, 1, 0}}, nn.Parallel(nn.Identity(), nn.ReLU())(x):totable())
    assert.same({{1, -2}, {1, 0}}, nn.Parallel(nn.Identity(), nn.ReLU(), {dim = 1})(x):totable())
    assert.same({{2, -2}}, nn.Parallel({nn.Identity(), nn.ReLU()}, {join = "sum"})(x):totable())
    local a, b = nn.Parallel(nn.Identity(), nn.ReLU(), {join = "none"})(x)
    assert.same({{{1, -2}}, {{1, 0}}}, {a:totable(), b:totable()})
    assert.error_matches(function() nn.Parallel(nn.ReLU(), {join = "mean"}) end, "join is 'cat', 'sum' or 'none'")
  end)

  it("nn.ModuleDict and nn.ParameterList hold by name and by position", function()
    local dict = nn.ModuleDict{right = nn.Linear(2, 1), left = nn.ReLU()}
    assert.same({"left", "right"}, dict:keys())
    assert.same({"right.weight", "right.bias"}, names(dict:named_parameters()))
    assert.equal("Linear", dict.right:name())
    local list = nn.ParameterList{neap.zeros(3), neap.ones(2)}:append(neap.ones(1))
    assert.same({"0", "1", "2"}, names(list:named_parameters()))
    assert.equal(3, #list)
    assert.is_true(list[2].requires_grad)
    assert.error_matches(function() nn.ModuleDict{nn.ReLU()} end, "by name")
  end)
end)

-- A model of Lua and C with a weight that is used twice.
local Tied = nn.class "Tied"

function Tied:init()
  self.embedding = nn.Embedding(5, 4)
  self.blocks = {nn.Linear(4, 4), nn.Residual(nn.Linear(4, 4), nn.ReLU())}
  self.head = nn.Linear(4, 5, false)
  self.head.weight = self.embedding.weight
  self.scale = nn.Parameter(neap.ones(1))
  self:register_buffer("seen", neap.zeros(1))
end

function Tied:forward(x)
  local h = self.embedding(x)
  for _, block in ipairs(self.blocks) do h = block(h) end
  return self.head(h) * self.scale
end

describe("model:clone()", function()
  it("has the same values, memory of its own, and the same ties", function()
    local model, x = Tied(), neap.tensor({1, 5}, {dtype = "int64"})
    model:freeze "^blocks%.0"
    local copy = model:clone()
    local y = model(x):totable()
    assert.same(y, copy(x):totable())
    assert.same(names(model:named_parameters()), names(copy:named_parameters()))
    assert.is_true(copy.head.weight == copy.embedding.weight)
    assert.is_false(copy.head.weight == model.head.weight)
    assert.is_false(copy.blocks[1].weight.requires_grad)
    assert.is_true(copy.scale.requires_grad)
    assert.same({"seen"}, names(copy:named_buffers()))
    for _, p in ipairs(model:parameters()) do p:detach():zero_() end
    assert.same(y, copy(x):totable())
  end)

  it("keeps what stands twice in a model of C one", function()
    local layer = nn.Linear(2, 2)
    local copy = nn.Sequential(layer, nn.ReLU(), layer):clone()
    assert.is_true(copy[1] == copy[3])
    assert.equal(2, #copy:parameters())
    assert.equal(3, #copy)
    assert.same({2, 2}, copy(neap.ones(2, 2)).shape)
  end)

  it("copies hooks of layers written in Lua, and removes of a copy are its own", function()
    local model, count = Tied(), 0
    model:register_forward_hook(function() count = count + 1 end)
    local x = neap.tensor({1}, {dtype = "int64"})
    model:clone()(x)
    assert.equal(1, count)
  end)
end)

describe("a size that was left out", function()
  it("comes from the first input", function()
    local model = nn.Sequential(nn.Linear(nil, 4), nn.ReLU(), nn.LazyLinear(2, false))
    assert.is_true(model:is_waiting())
    assert.same({3, 2}, model(neap.ones(3, 7)).shape)
    assert.is_false(model:is_waiting())
    assert.same({4, 7}, model[1].weight.shape)
    assert.matches("in_features=7", tostring(model))
    assert.equal(3, #model:parameters())
    assert.error_matches(function() model(neap.ones(3, 6)) end, "does not fit weight")
  end)

  it("is an error for whoever asks for parameters before", function()
    local model = nn.Sequential(nn.Linear(nil, 4))
    for _, method in ipairs{"parameters", "state_dict", "named_parameters"} do
      assert.error_matches(function() model[method](model) end, "Linear: its parameters do not exist yet")
    end
    assert.error_matches(function() neap.optim.SGD(model:parameters()) end, "do not exist yet")
  end)

  it("waits on when the first input has no such dimension", function()
    local layer = nn.LazyLinear(2)
    assert.error_matches(function() layer(neap.tensor(1)) end, "in_features was left out and cannot be taken from an input of shape %(%)")
    assert.is_true(layer:is_waiting())
    assert.same({2}, layer(neap.ones(3)).shape)
  end)

  it("makes parameters of the dtype that the model was turned into, and waits in a copy too", function()
    local layer = nn.LazyLinear(2):to "float64"
    local copy = layer:clone()
    assert.equal("float64", layer(neap.ones({1, 3}, {dtype = "float64"})).dtype)
    assert.is_true(copy:is_waiting())
    assert.same({2, 5}, (copy(neap.ones({1, 5}, {dtype = "float64"})) and copy).weight.shape)
  end)
end)

describe("choosing by name", function()
  it("freezes, unfreezes and lists what matches a pattern", function()
    local model = Tied():freeze "^blocks"
    local trained = {}
    for name, p in model:named_parameters() do
      if p.requires_grad then trained[#trained + 1] = name end
    end
    assert.same({"scale", "embedding.weight"}, trained)
    assert.equal(2, #model:parameters "bias$")
    assert.same({"blocks.0.bias", "blocks.1.body.0.bias"}, names(model:named_parameters "bias$"))
    model:unfreeze()
    for _, p in ipairs(model:parameters()) do assert.is_true(p.requires_grad) end
    assert.error_matches(function() model:freeze "nothing" end, "no parameter's name matches 'nothing'; there are scale, embedding")
  end)
end)

describe("model:summary", function()
  it("says shapes, parameters, multiply-adds and bytes, and leaves the model as it was", function()
    local model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    local s = model:summary{8, 2, 3}
    assert.equal(38, s.parameters)
    assert.equal(8 * 6 * 4 + 8 * 4 * 2, s.multiply_adds)
    assert.same({8, 4}, s[3].output)
    assert.equal("1", s[3].name)
    assert.equal(4 * (28 + 32), s[3].bytes)
    assert.is_true(model:is_training())
    local text = tostring(s)
    assert.matches("1: Linear +%(8, 4%) +28 +192 +240 B", text)
    assert.matches("38 of 38 parameters are trained", text)
  end)

  it("counts the products of attention, each key and value at its own length", function()
    local L, S, N, E = 3, 5, 2, 4
    local q, k = neap.ones(L, N, E), neap.ones(S, N, E)
    local projections = (2 * L + 2 * S) * N * E * E
    assert.equal(projections + 2 * N * L * S * E, nn.MultiheadAttention(E, 2):summary(q, k, k).multiply_adds)
    local batch_first = nn.MultiheadAttention(E, 2, {batch_first = true})
    assert.equal(projections + 2 * N * L * S * E,
      batch_first:summary(neap.ones(N, L, E), neap.ones(N, S, E), neap.ones(N, S, E)).multiply_adds)
    local own = 4 * L * N * E * E + 2 * N * L * L * E
    local wide = 2 * L * N * E * 8
    assert.equal(own + wide, nn.TransformerEncoderLayer(E, 2, 8):summary(q).multiply_adds)
    assert.equal(3 * (own + wide), nn.TransformerEncoder(E, 2, 3, 8):summary(q).multiply_adds)
    local decoder = own + projections + 2 * N * L * S * E + wide
    assert.equal(decoder, nn.TransformerDecoderLayer(E, 2, 8):summary(q, k).multiply_adds)
    assert.equal(2 * decoder, nn.TransformerDecoder(E, 2, 2, 8):summary(q, k).multiply_adds)
    local encoder = 4 * S * N * E * E + 2 * N * S * S * E + 2 * S * N * E * 8
    assert.equal(encoder + 2 * decoder, nn.Transformer(E, 2, 1, 2, 8):summary(k, q).multiply_adds)
  end)

  it("says of a container what its layers do together", function()
    local s = nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.ReLU()), nn.Linear(4, 2)):summary{8, 6}
    assert.equal(8 * 6 * 4, s[2].multiply_adds)
    assert.equal(s.multiply_adds, s[1].multiply_adds)
    assert.same({s.bytes, 4 * (28 + 32 + 32)}, {s[1].bytes, s[2].bytes})
    assert.equal(8 * 6 * 4 + 8 * 4 * 2, s.multiply_adds)
  end)

  it("takes tensors, counts what is used twice once, and cleans up behind an error", function()
    local model = Tied()
    local s = model:summary(neap.tensor({1, 2, 3}, {dtype = "int64"}))
    assert.equal(20 + 20 + 20 + 1, s.parameters)
    assert.error_matches(function() model:summary{2, 2} end, "embedding")
    assert.is_true(model:is_training())
    assert.error_matches(function() model:summary() end, "batch included")
    assert.error_matches(function() model:summary "x" end, "takes shapes")
  end)
end)

describe("layers that are others with settings made", function()
  it("nn.Softmin, nn.Softmax2d, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d", function()
    local x = neap.randn(2, 3, 4, 5)
    assert.same((-x):softmax(2):totable(), nn.Softmin(2)(x):totable())
    assert.same(nn.Softmin{dim = 2}(x):totable(), nn.Softmin(2)(x):totable())
    assert.same(x:softmax(2):totable(), nn.Softmax2d()(x):totable())
    assert.same(x[1]:softmax(1):totable(), nn.Softmax2d()(x[1]):totable())
    assert.same({2, 3, 8, 10}, nn.UpsamplingNearest2d{scale_factor = 2}(x).shape)
    assert.same(neap.interpolate(x, {6, 7}, {mode = "bilinear", align_corners = true}):totable(), nn.UpsamplingBilinear2d({6, 7})(x):totable())
    assert.same({2, 3, 6, 7}, nn.UpsamplingBilinear2d{size = {6, 7}}(x).shape)
    assert.error_matches(function() nn.Softmin() end, "nn.Softmin: dim is not an integer, but nil")
    assert.error_matches(function() nn.UpsamplingNearest2d{scale = 2} end, "unknown option 'scale'")
  end)

  it("nn.Embedding.from_pretrained shares its table, frozen or not", function()
    local weight, ids = neap.tensor{{1, 2}, {3, 4}, {5, 6}}, neap.tensor({3, 1}, {dtype = "int64"})
    neap.seed(5)
    local drawn = neap.rand(1):item()
    neap.seed(5)
    local frozen = nn.Embedding.from_pretrained(weight, {padding_idx = 1})
    assert.equal(drawn, neap.rand(1):item())
    assert.same({{5, 6}, {1, 2}}, frozen(ids):totable())
    assert.is_false(frozen.weight.requires_grad or weight.requires_grad)
    assert.equal(1, frozen.padding_idx)
    assert.equal(1, #frozen:parameters())
    weight[3][1] = 7
    assert.equal(7, frozen.weight[3][1]:item())
    local trained = nn.Embedding.from_pretrained(weight:to "float64", {freeze = false})
    assert.is_true(trained.weight.requires_grad)
    assert.equal("float64", trained.weight.dtype)
    assert.equal("Embedding", nn.Embedding(3, 2):name())
    assert.error_matches(function() nn.Embedding.from_pretrained(neap.ones(3)) end, "takes a tensor %(num_embeddings, embedding_dim%)")
  end)
end)
