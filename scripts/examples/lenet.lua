-- A convolutional net in the manner of LeNet-5 (LeCun et al., 1998) on MNIST, with augmentation written in Lua: 0.993 or more
-- of the test digits in a few minutes on two cores.
--   neap scripts/examples/lenet.lua --data DIR

local neap = require "neap"
local nn, optim, data, train = neap.nn, neap.optim, neap.data, neap.train

local options = require "neap.args" (arg, [[
Trains a convolutional net on MNIST, whose digits it turns, stretches and moves at random.
  --data DIR      the folder that has mnist/ (default: the environment's NEAP_DATA)
  --epochs N=8    how often it sees all images
  --images N=60000   how many of the training images it sees
  --unseen N=10000   how many of the test images it is judged by
  --seed N=1      of the random numbers
  --save FILE     where the weights go (safetensors)
]])

neap.seed(options.seed)
local started = neap.clock()
local digits, unseen = assert(data.mnist(options.data))
for set, count in pairs{[digits] = options.images, [unseen] = options.unseen} do
  set.x, set.y = set.x[{{1, count}}], set.y[{{1, count}}]
end

--- Images (N, 28, 28), each turned by up to 10 degrees, sheared and scaled by up to a tenth, moved by up to two pixels:
--- as the net takes them, (N, 1, 28, 28).
local function augment(x)
  local n = #x
  local function within(limit) return (neap.rand(n) * 2 - 1) * limit end
  local angle, shear, wide, high = within(math.pi / 18), within(0.1), 1 + within(0.1), 1 + within(0.1)
  local cos, sin = angle:cos(), angle:sin()
  local rows = neap.stack({cos * wide, shear - sin, within(2 / 14), shear + sin, cos * high, within(2 / 14)}, 2)
  return x:unsqueeze(2):grid_sample(neap.affine_grid(rows:reshape(n, 2, 3), {n, 1, 28, 28}))
end

local model = nn.Sequential(
  nn.Conv2d(1, 32, 5, {padding = 2}), nn.ReLU(), nn.MaxPool2d(2), -- (N, 32, 14, 14)
  nn.Conv2d(32, 64, 5, {padding = 2}), nn.ReLU(), nn.MaxPool2d(2), -- (N, 64, 7, 7)
  nn.Flatten(),
  nn.Linear(64 * 7 * 7, 256), nn.ReLU(), nn.Dropout(0.4),
  nn.Linear(256, 10))
print(model)

local batches = data.batches{digits.x, digits.y, size = 128, shuffle = true, map = function(x, y) return augment(x), y end}
local optimizer = optim.Adam(model:parameters(), {lr = 1e-3})
local schedule = optim.lr.CosineAnnealingLR(optimizer, {T_max = options.epochs * #batches, eta_min = 1e-5})
local history = train.fit{
  model = model,
  loss = nn.CrossEntropyLoss(),
  optimizer = optimizer,
  data = batches,
  test = data.batches{unseen.x:unsqueeze(2), unseen.y, size = 1000},
  epochs = options.epochs,
  on_step = function() schedule:step() end,
}

print(("Test accuracy: %.4f after %.0f seconds"):format(history[#history].accuracy, neap.clock() - started))
if options.save then assert(neap.save(options.save, model)) end
