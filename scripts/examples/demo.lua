-- The main demo: a network learns to read handwritten digits in front of you. With MNIST at hand (NEAP_DATA or --data)
-- it learns from that; else from digits that Neap draws itself. Run it by scripts/demo.sh.

local neap = require "neap"
local nn, optim, data, train, metrics, plot = neap.nn, neap.optim, neap.data, neap.train, neap.metrics, neap.plot

local options = require "neap.args" (arg, [[
Trains a small network to read digits, shows how well it does, and writes a picture and the weights.
  --data DIR      the folder that has mnist/ (default: the environment's NEAP_DATA; without it, digits are drawn)
  --digits        draws digits even where MNIST is there
  --epochs N      how often it sees all images (default: 4, or 6 of drawn ones)
  --seed N=1      of the random numbers
  --out DIR=.     where digits.png and digits.safetensors go
]])

neap.seed(options.seed)

local function digits()
  local set, unseen
  if not options.digits and (options.data or os.getenv "NEAP_DATA") then
    set, unseen = data.mnist(options.data)
    if set then return set, unseen, "MNIST" end
    if options.data then
      io.stderr:write("demo: ", unseen, "\n")
      os.exit(1, true)
    end
  end
  print "No MNIST here, so Neap draws digits itself ..."
  return data.digits{n = 10000, seed = options.seed}, data.digits{n = 2000, seed = options.seed + 1}, "drawn digits"
end

local set, unseen, name = digits()
local epochs = options.epochs or (name == "MNIST" and 4 or 6)
print(("%s: %d images to learn from, %d unseen ones to test on"):format(name, #set.y, #unseen.y))

local model = nn.Sequential(
  nn.Flatten(),
  nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.1),
  nn.Linear(256, 128), nn.ReLU(),
  nn.Linear(128, 10))
local count = 0
for _, p in ipairs(model:parameters()) do count = count + p:numel() end
print(model)
print(("%d parameters"):format(count))
print ""

local optimizer = optim.AdamW(model:parameters(), {lr = 2e-3})
train.fit{
  model = model,
  loss = nn.CrossEntropyLoss(),
  optimizer = optimizer,
  schedule = optim.lr.CosineAnnealingLR(optimizer, {T_max = epochs, eta_min = 1e-5}),
  data = data.batches{set.x, set.y, size = 100, shuffle = true},
  test = data.batches{unseen.x, unseen.y, size = 500},
  epochs = epochs,
}

model:eval()
local predicted = neap.no_grad(function() return model(unseen.x):argmax(2) end)
print ""
print(("Test accuracy: %.4f"):format(metrics.accuracy(predicted, unseen.y)))

-- A picture of the first test digits and of the first that were read wrongly.
local shown, errors = {}, {}
for i, class in ipairs(predicted:totable()) do
  if i <= 60 then shown[#shown + 1] = i end
  if i > 60 and #errors < 12 and class ~= unseen.y[i]:item() then errors[#errors + 1] = i end
end
table.move(errors, 1, #errors, #shown + 1, shown)
local index = neap.tensor(shown, {dtype = "int64"})
local picture, weights = options.out .. "/digits.png", options.out .. "/digits.safetensors"
assert(plot.predictions(picture, unseen.x:index_select(1, index), predicted:index_select(1, index),
  unseen.y:index_select(1, index), {
    columns = 12, names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
    title = ("%s: as read, wrong ones red with (what it is)"):format(name),
  }))
assert(neap.save(weights, model))
print(("Predictions: %s"):format(picture))
print(("Weights:     %s"):format(weights))
