-- A small GPT that learns to write like Shakespeare, letter by letter, and then writes: a transformer in layers of C that sees
-- what came before, trained on 90 % of the text. It writes with a cache of keys: each letter costs one position. The 10 %
-- that it never saw cost 1.59 nats a letter in the end.
--   neap scripts/examples/gpt.lua --data DIR

local neap = require "neap"
local nn, optim = neap.nn, neap.optim

local options = require "neap.args" (arg, [[
Trains a GPT on the letters of a text and writes a sample.
  --data DIR        the folder that has tinyshakespeare/input.txt (default: the environment's NEAP_DATA)
  --text FILE       another text instead
  --steps N=1600    of training
  --batch N=16      pieces of text a step
  --context N=128   letters that it looks back
  --width N=192     of its layers
  --layers N=4      of the transformer
  --heads N=6       of each layer's attention
  --lr N=0.003      greatest rate of learning
  --sample N=500    letters to write
  --seed N=1        of the random numbers
]])
neap.seed(options.seed)

-- The text as numbers: each letter its place in the alphabet.
local text = assert(neap.read_file(options.text or (options.data or os.getenv "NEAP_DATA" or ".") .. "/tinyshakespeare/input.txt"))
local alphabet, all = neap.from_string(text, "uint8", {#text}):to "int64":unique{return_inverse = true}
local letters, cut = alphabet:totable(), #text * 9 // 10
local seen, unseen = all[{{1, cut}}], all[{{cut + 1, #text}}]

local GPT = nn.class "GPT"

function GPT:init(o)
  self.letter = nn.Embedding(#letters, o.width)
  self.encoder = nn.TransformerEncoder(o.width, o.heads, o.layers, {dim_feedforward = 4 * o.width, dropout = 0,
    activation = "gelu", batch_first = true, norm_first = true, norm = true, rotary = true})
  self.head = nn.Linear(o.width, #letters)
  for name, p in self:named_parameters() do -- as GPT-2 begins: what is added to the residual stream is smaller
    local adds = name:find "out_proj" or name:find "linear2"
    if p:dim() > 1 then nn.init.normal_(p, 0, adds and 0.02 / math.sqrt(2 * o.layers) or 0.02) end
  end
end

-- x (N, T): letters; with a cache those that follow the ones whose keys are in it.
function GPT:forward(x, cache)
  local first = cache and cache.length or 0
  local h = self.encoder(self.letter(x), {is_causal = true, cache = cache and cache.keys, cached = first})
  if cache then cache.length = first + x:size(2) end
  return self.head(h)
end

local model = GPT(options)

-- How badly each letter's successor is foreseen, in the pieces of the text that begin at `starts`.
local context = options.context
local reach = neap.arange(0, context + 1, 1, {dtype = "int64"})
local function loss_of(source, starts)
  local piece = source[starts:unsqueeze(2) + reach] -- (N, context + 1)
  return neap.cross_entropy(model(piece[{{}, {1, -2}}]):flatten(1, 2), piece[{{}, {2, -1}}]:flatten())
end

local function validate()
  local _ <close> = neap.no_grad()
  local total, starts = 0, neap.range(1, #unseen - context, context, {dtype = "int64"})
  for i = 1, #starts, 64 do
    local scope <close> = neap.scope()
    local some = starts[{{i, math.min(i + 63, #starts)}}]
    total = total + loss_of(unseen, some):item() * #some
  end
  return total / #starts
end

local optimizer = optim.AdamW(optim.decay_groups(model, {weight_decay = 0.1}), {lr = options.lr, beta2 = 0.99})
local function rate(step) -- of the greatest: up in a line, down in half a cosine
  local warm = math.min(50, options.steps // 4)
  return step <= warm and step / warm or 0.51 + 0.49 * math.cos(math.pi * (step - warm) / (options.steps - warm))
end

local start = neap.clock()
for step = 1, options.steps do
  local scope <close> = neap.scope()
  optimizer.lr = options.lr * rate(step)
  local loss = loss_of(seen, neap.randint(1, #seen - context, {options.batch}))
  optimizer:zero_grad()
  loss:backward()
  nn.utils.clip_grad_norm_(model:parameters(), 1)
  optimizer:step()
  if step % 100 == 0 then print(("Step: %d, Loss: %.4f, %.0f s"):format(step, loss:item(), neap.clock() - start)) end
end
print(("Validation: %.4f nats a letter, trained in %.0f s"):format(validate(), neap.clock() - start))

local _ <close> = neap.no_grad()
local cache, written, x = nn.KVCache(model.encoder, 1, context), {}, all[text:find "\n" or 1]:view(1, 1)
for i = 1, options.sample do
  if cache.length + x:size(2) > context then -- no room: on from the latest letters
    cache.length, x = 0, neap.tensor({table.move(written, i - context // 2, i - 1, 1, {})}, {dtype = "int64"})
  end
  local chosen = (model(x, cache)[{1, -1}] / 0.8):softmax():multinomial(1)
  written[i], x = chosen:item(), chosen:unsqueeze(1)
  io.write(string.char(letters[written[i]]))
end
print()
