-- Neap as a tool for numbers: five classics, each a few lines of tensor ops on a real data set, no network, no trainer.
--   neap scripts/examples/numerics.lua --data DIR

local neap = require "neap"

local options = require "neap.args" (arg, [[
PCA and k-means on iris, least squares on diabetes, Newton's method on breast cancer, an FFT filter on MNIST.
  --data DIR      the folder that has tabular/ and mnist/ (default: the environment's NEAP_DATA)
]])
local folder = assert(options.data or os.getenv "NEAP_DATA", "numerics: give --data DIR or set NEAP_DATA")

local function table_of(name, settings)
  settings.dtype = "float64"
  return assert(neap.data.csv(("%s/tabular/%s"):format(folder, name), settings))
end

-- ---- PCA: eigenvectors of the covariance matrix, and the share of the variance along each ----

local iris = table_of("iris.csv", {skip = 1})
local x, species = iris[{{}, {1, 4}}], iris[{{}, 5}]
local centred = x - x:mean(1, true)
local values, vectors = neap.linalg.eigh(centred:t():matmul(centred) / (x:size(1) - 1))
local shares = values:flip({1}) / values:sum()
local plane = centred:matmul(vectors:flip({2})[{{}, {1, 2}}]) -- (150, 2): the plane of most variance
print(("PCA: shares of the variance %.4f %.4f %.4f %.4f"):format(table.unpack(shares:totable())))
print(("     the plane of the first two holds %.4f"):format((plane:var(1):sum() / x:var(1):sum()):item()))

-- ---- k-means (Lloyd): assign each flower to the nearest centre, move the centres to the means, until nothing moves ----

local centres = x:index_select(1, neap.tensor({1, 51, 101}, {dtype = "int64"}))
local nearest, distance, moved
repeat
  distance, nearest = neap.cdist(x, centres):min(2)
  local members = neap.one_hot(nearest, 3):to("float64") -- (150, 3)
  local means = members:t():matmul(x) / members:sum(1):unsqueeze(2)
  moved = (means - centres):abs():amax():item()
  centres = means
until moved == 0
print(("k-means: sum of squared distances %.4f, %.4f of the species found"):format(distance:square():sum():item(),
  nearest:sub(1):eq(species):double():mean():item()))

-- ---- linear regression by least squares ----

local a, b = table_of("diabetes_data.csv.gz", {separator = " "}), table_of("diabetes_target.csv.gz", {})
a = neap.cat({a, neap.ones(a:size(1), 1, {dtype = "float64"})}, 2) -- a column of ones for the intercept
local w = neap.linalg.lstsq(a, b)
local r2 = 1 - (b - a:matmul(w)):square():sum() / (b - b:mean()):square():sum()
print(("least squares: R^2 %.6f, intercept %.4f"):format(r2:item(), w[-1]:item()))

-- ---- logistic regression by Newton's method: the whole Hessian by double backward, a solve a step ----

local cancer = table_of("breast_cancer.csv", {skip = 1})
local features, benign = cancer[{{}, {1, 30}}], cancer[{{}, 31}]
features = (features - features:mean(1, true)) / features:std(1, 1, true)
features = neap.cat({features, neap.ones(features:size(1), 1, {dtype = "float64"})}, 2)

local function objective(weights) -- cross-entropy plus half the squared weights, the intercept left free
  local loss = neap.binary_cross_entropy_with_logits(features:matmul(weights), benign, nil, "sum")
  return loss + weights[{{1, 30}}]:square():sum() / 2
end

local weights, steps = neap.zeros(31, {dtype = "float64"}), 0
repeat
  weights.requires_grad = true
  local gradient = neap.grad(objective(weights), weights)[1]
  local step = neap.linalg.solve(neap.hessian(objective, weights), gradient)
  weights, steps = (weights - step):detach(), steps + 1
until gradient:abs():amax():item() < 1e-8
print(("Newton: objective %.6f after %d steps, accuracy %.4f"):format(objective(weights):item(), steps,
  features:matmul(weights):gt(0):double():eq(benign):double():mean():item()))

-- ---- a filter by FFT: eight digits as one signal, a hum laid over them, found in the spectrum and taken out ----

local _, digits = assert(neap.data.mnist(options.data))
local signal = digits.x[{{1, 8}}]:double():reshape(-1)
local n = signal:size(1)
local time = neap.arange(n, {dtype = "float64"})
local noisy = signal + (time * (2 * math.pi * 1250 / n)):sin()
local spectrum = neap.rfft(noisy) -- (n / 2 + 1, 2): real and imaginary parts
local power = spectrum:square():sum(2)
local hum = power[{{1001, -1}}]:argmax():item() + 999 -- the strongest one among the high frequencies, which count from 0
spectrum[hum + 1] = 0
local clean = neap.irfft(spectrum, n)
print(("FFT filter: hum found at frequency %d; error %.4f with it, %.4f without"):format(hum,
  (noisy - signal):square():mean():sqrt():item(), (clean - signal):square():mean():sqrt():item()))
