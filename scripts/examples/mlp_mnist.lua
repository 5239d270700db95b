-- Three linear layers on MNIST: 784-256-128-10 with ReLU and Adam, 0.978 or more of the test digits within 10 epochs.
--   neap scripts/examples/mlp_mnist.lua --data DIR

local neap = require "neap"
local nn, optim, data, train = neap.nn, neap.optim, neap.data, neap.train

local options = require "neap.args" (arg, [[
Trains a network of three layers on MNIST.
  --data DIR      the folder that has mnist/ (default: the environment's NEAP_DATA)
  --epochs N=10   how often it sees all images
  --seed N=1      of the random numbers
  --save FILE     where the weights go (safetensors)
]])

neap.seed(options.seed)
local digits, unseen = assert(data.mnist(options.data))

local model = nn.Sequential(
  nn.Flatten(),
  nn.Linear(784, 256), nn.ReLU(),
  nn.Linear(256, 128), nn.ReLU(),
  nn.Linear(128, 10))
print(model)

local optimizer = optim.Adam(model:parameters(), {lr = 1e-3})
local history = train.fit{
  model = model,
  loss = nn.CrossEntropyLoss(),
  optimizer = optimizer,
  schedule = optim.lr.CosineAnnealingLR(optimizer, {T_max = options.epochs, eta_min = 1e-5}),
  data = data.batches{digits.x, digits.y, size = 128, shuffle = true},
  test = data.batches{unseen.x, unseen.y, size = 1000},
  epochs = options.epochs,
}

local best = 0
for _, epoch in ipairs(history) do best = math.max(best, epoch.accuracy) end
print(("Test accuracy: %.4f (best %.4f)"):format(history[#history].accuracy, best))
if options.save then assert(neap.save(options.save, model)) end
