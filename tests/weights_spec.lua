-- Weights move between PyTorch and Neap: a file that PyTorch wrote (scripts/dev/torch_model.py) goes into the same model here,
-- by name, and the model says the same; and a model of Neap gives the same names and shapes back.

local neap = require "neap"
local nn = neap.nn

local Net = nn.class "Net"

function Net:init()
  self.features = nn.Sequential(nn.Conv2d(1, 4, 3, {padding = 1, bias = false}), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
  self.blocks = nn.ModuleList{nn.GroupNorm(2, 4), nn.ConvTranspose2d(4, 4, 2)}
  self.lstm = nn.LSTM(20, 6, {num_layers = 2, bidirectional = true, proj_size = 4, batch_first = true})
  self.encoder = nn.TransformerEncoderLayer(8, 2, 12, {batch_first = true})
  self.norm = nn.LayerNorm(8)
  self.names = nn.Embedding(5, 8)
  self.head = nn.Linear(8, 3)
end

function Net:forward(x, label)
  local h = self.features(x)
  for _, block in ipairs(self.blocks) do h = block(h) end
  h = self.lstm(h:flatten(3):narrow(3, 1, 20))
  return self.head(self.norm(self.encoder(h)) + self.names(label):unsqueeze(2))
end

local path = "tests/golden/torch_model.safetensors"
local golden = dofile "tests/golden/torch_model.lua"
local x, label = neap.tensor(golden.x):view(2, 1, 8, 8), neap.tensor({2, 5}, {dtype = "int64"})

describe("weights by PyTorch's names", function()
  it("load, and the model computes what PyTorch computed", function()
    local net = assert(Net():load(path)):eval()
    local y = net(x, label)
    assert.same({2, 4, 3}, y.shape)
    assert.is_true(y:allclose(neap.tensor(golden.y):view(2, 4, 3), 1e-5, 1e-5))
  end)

  it("are written back under the same names, with the same shapes, dtypes and values", function()
    local copy = os.tmpname()
    assert(assert(Net():load(path)):save(copy))
    local a, b = assert(neap.load(path)), assert(neap.load(copy))
    os.remove(copy)
    for name, t in pairs(a) do
      assert.is_truthy(b[name], name)
      assert.same({t.shape, t.dtype, t:totable()}, {b[name].shape, b[name].dtype, b[name]:totable()}, name)
    end
    for name in pairs(b) do assert.is_truthy(a[name], name) end
  end)
end)
