-- Whether a sentence of a film review is for or against the film (Pang and Lee, 2005): the mean of vectors learnt for its
-- words and pairs of words, then one linear layer (after Joulin et al., 2016). 0.75 or more of the test sentences within a
-- minute.
--   neap scripts/examples/sentiment.lua --data DIR

local neap = require "neap"
local nn, optim = neap.nn, neap.optim

local options = require "neap.args" (arg, [[
Learns to tell favourable sentences of film reviews from others.
  --data DIR     the folder that has rt-polarity/ (default: the environment's NEAP_DATA)
  --epochs N=8   how often it sees all sentences
  --width N=64   numbers in the vector of a word
  --seed N=1     of the split and of the random numbers
  --limit N      only so many sentences of each kind
]])

-- ---- the sentences: words, and pairs of neighbours ----

local function read(name, label, sentences)
  local dir = options.data or os.getenv "NEAP_DATA" or error("--data DIR is needed, the folder that has rt-polarity/", 0)
  local n = 0
  for line in assert(io.open(("%s/rt-polarity/rt-polarity.%s"):format(dir, name), "rb")):lines() do
    local features, before = {}, "^"
    for word in line:gmatch "%S+" do
      features[#features + 1] = word
      features[#features + 1] = before .. " " .. word
      before = word
    end
    sentences[#sentences + 1] = {features = features, label = label}
    n = n + 1
    if n == options.limit then return end
  end
end

neap.seed(options.seed)
local sentences = {}
read("neg", 0, sentences)
read("pos", 1, sentences)

local test, training = {}, {} -- one in ten, and the others
for rank, i in ipairs(neap.randperm(#sentences):totable()) do
  table.insert(rank <= #sentences // 10 and test or training, sentences[i])
end

-- What occurs twice or more in the training sentences gets a number; 1 is for sentences without any of it.
local count, number, known = {}, {}, 1
for _, sentence in ipairs(training) do
  for _, feature in ipairs(sentence.features) do
    count[feature] = (count[feature] or 0) + 1
    if count[feature] == 2 then
      known = known + 1
      number[feature] = known
    end
  end
end

-- Sentences order[first..last] of a list: the numbers of their features in a row, where each begins, the labels.
local function batch(list, order, first, last)
  local index, offsets, labels = {}, {}, {}
  for i = first, math.min(last, #list) do
    local sentence = list[order and order[i] or i]
    offsets[#offsets + 1] = #index + 1
    for _, feature in ipairs(sentence.features) do index[#index + 1] = number[feature] end
    if #index < offsets[#offsets] then index[#index + 1] = 1 end
    labels[#labels + 1] = sentence.label
  end
  return neap.tensor(index, {dtype = "int64"}), neap.tensor(offsets, {dtype = "int64"}), neap.tensor(labels)
end

-- ---- the model ----

local Model = nn.class "Sentiment"

function Model:init(features, width)
  self.words = nn.EmbeddingBag(features, width, {mode = "mean"})
  self.drop = nn.Dropout(0.5)
  self.out = nn.Linear(width, 1)
end

function Model:forward(index, offsets)
  return self.out(self.drop(self.words(index, offsets))):squeeze(2)
end

local model = Model(known, options.width)
local adam = optim.AdamW(model:parameters(), {lr = 5e-3, weight_decay = 1e-2})
print(("%d sentences to learn from, %d to test, %d words and pairs"):format(#training, #test, known))

local function accuracy()
  local _ <close> = neap.no_grad()
  local index, offsets, labels = batch(test, nil, 1, #test)
  return model:eval()(index, offsets):gt(0):eq(labels:gt(0)):float():mean():item()
end

local SIZE, start = 50, neap.clock()
for epoch = 1, options.epochs do
  local order, total, steps = neap.randperm(#training):totable(), 0, 0
  model:train()
  for first = 1, #training, SIZE do
    local scope <close> = neap.scope()
    local index, offsets, labels = batch(training, order, first, first + SIZE - 1)
    local loss = neap.binary_cross_entropy_with_logits(model(index, offsets), labels)
    adam:zero_grad()
    loss:backward()
    adam:step()
    total, steps = total + loss:item(), steps + 1
  end
  print(("epoch %d   loss %.4f   test accuracy %.4f"):format(epoch, total / steps, accuracy()))
end
print(("Test accuracy: %.4f after %.1f s"):format(accuracy(), neap.clock() - start))
