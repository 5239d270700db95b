-- A generative adversarial network of convolutions (Radford et al., 2016) learns to draw digits: the generator turns noise
-- into pictures, the critic tells them from those of MNIST, and each learns from the other. Writes a grid of samples, the
-- same noise after each epoch.
--   neap scripts/examples/dcgan.lua --data DIR

local neap = require "neap"
local nn, optim, data, plot = neap.nn, neap.optim, neap.data, neap.plot

local options = require "neap.args" (arg, [[
Trains a generator of handwritten digits on MNIST.
  --data DIR            the folder that has mnist/ (default: the environment's NEAP_DATA)
  --out FILE=dcgan.png  where the grid of samples goes
  --epochs N=6          how often it sees all images
  --size N=64           images in a batch
  --noise N=64          numbers that a picture is made from
  --take N              only the first N images
  --save FILE           where the generator's weights go (safetensors)
  --seed N=1            of the random numbers
]])

neap.seed(options.seed)
local start = os.time()
local digits = assert(data.mnist(options.data))
local images = (digits.x * 2 - 1):view(-1, 1, 28, 28)
if options.take then images = images:narrow(1, 1, options.take) end

local generator = nn.Sequential(
  nn.ConvTranspose2d(options.noise, 128, 7, {bias = false}), nn.BatchNorm2d(128), nn.ReLU(),
  nn.ConvTranspose2d(128, 64, 4, {stride = 2, padding = 1, bias = false}), nn.BatchNorm2d(64), nn.ReLU(),
  nn.ConvTranspose2d(64, 1, 4, {stride = 2, padding = 1}), nn.Tanh())

local critic = nn.Sequential(
  nn.Conv2d(1, 64, 4, {stride = 2, padding = 1}), nn.LeakyReLU(0.2),
  nn.Conv2d(64, 128, 4, {stride = 2, padding = 1, bias = false}), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
  nn.Flatten(), nn.Linear(128 * 7 * 7, 1))

-- First weights from N(0, 0.02^2), as the paper has them.
for _, model in ipairs{generator, critic} do
  for name, w in model:named_parameters() do
    if w:dim() > 1 then nn.init.normal_(w, 0, 0.02) elseif name:find "weight" then nn.init.normal_(w, 1, 0.02) end
  end
end
print(generator:summary{options.size, options.noise, 1, 1})
print(critic:summary{options.size, 1, 28, 28})

local function adam(model) return optim.Adam(model:parameters(), {lr = 2e-4, betas = {0.5, 0.999}}) end
local make, judge = adam(generator), adam(critic)

local function noise(n) return neap.randn(n, options.noise, 1, 1) end

-- The loss of the critic's scores when all of them should be `truth`, 1 or 0.
local function against(scores, truth)
  return neap.binary_cross_entropy_with_logits(scores, neap.full_like(scores, truth))
end

local function learn_to_judge(real, fake)
  local loss = against(critic(real), 0.9) + against(critic(fake:detach()), 0) -- 0.9: real ones are never quite certain
  judge:zero_grad()
  loss:backward()
  judge:step()
  return loss:item()
end

local function learn_to_draw(fake)
  local loss = against(critic(fake), 1)
  make:zero_grad()
  loss:backward()
  make:step()
  return loss:item()
end

local same = noise(64)

local function show()
  local _ <close> = neap.no_grad()
  local pictures = generator:eval()(same):view(-1, 28, 28)
  generator:train()
  assert(plot.grid(options.out, (pictures + 1) / 2, {columns = 8, scale = 3}))
end

for epoch = 1, options.epochs do
  local judged, drawn, steps = 0, 0, 0
  for real in data.batches{images, size = options.size, shuffle = true, drop_last = true} do
    local scope <close> = neap.scope()
    local fake = generator(noise(options.size))
    judged, drawn, steps = judged + learn_to_judge(real, fake), drawn + learn_to_draw(fake), steps + 1
  end
  show()
  print(("epoch %d: loss of the critic %.3f, of the generator %.3f (%d s)"):format(epoch, judged / steps, drawn / steps, os.time() - start))
end

if options.save then assert(neap.save(options.save, generator)) end
print(("Samples: %s, %d s"):format(options.out, os.time() - start))
