-- A recurrent network reads tiny Shakespeare letter by letter and then writes some: two layers of LSTM, state carried from
-- piece to piece of the text, 1.60 nats a letter or less on the last tenth, which it never trains on.
--   neap scripts/examples/char_lstm.lua --data DIR

local neap = require "neap"
local nn, optim = neap.nn, neap.optim

local options = require "neap.args" (arg, [[
Trains a recurrent model of letters on tiny Shakespeare.
  --data DIR       the folder that has tinyshakespeare/ (default: the environment's NEAP_DATA)
  --epochs N=8     how often it reads the text
  --hidden N=256   units of each layer
  --rows N=64      pieces of the text that are read side by side
  --steps N=96     letters between two updates
  --write N=400    letters of the sample
  --take N         only the first N letters of the text
  --seed N=1       of the random numbers
]])

neap.seed(options.seed)
local start = os.time()
local text = assert(neap.read_file((options.data or os.getenv "NEAP_DATA" or ".") .. "/tinyshakespeare/input.txt"))
if options.take then text = text:sub(1, options.take) end

-- Letters become positions in the alphabet of those that occur.
local alphabet, ids = neap.from_string(text, "uint8", {#text}):to "int64":unique{return_inverse = true}
local letters = alphabet:totable()
local n_train = ids:size(1) * 9 // 10

-- The text as `rows` columns of equal length, the next letter beside each: two tensors (length, rows).
local function columns(part, rows)
  local length = (part:size(1) - 1) // rows
  local function cut(from) return part:narrow(1, from, length * rows):view(rows, length):t():contiguous() end
  return cut(1), cut(2)
end

local Model = nn.class "Model"

function Model:init(n_letters, hidden)
  self.embedding = nn.Embedding(n_letters, 64)
  self.lstm = nn.LSTM(64, hidden, {num_layers = 2, dropout = 0.2})
  self.drop = nn.Dropout(0.2)
  self.head = nn.Linear(hidden, n_letters)
end

-- x (steps, rows) of letters, h and c as the step before left them: scores (steps, rows, letters).
function Model:forward(x, h, c)
  local y, h_n, c_n = self.lstm(self.embedding(x), h, c)
  return self.head(self.drop(y)), h_n, c_n
end

local model = Model(#letters, options.hidden)
print(model)

-- The mean loss over a part of the text, in nats a letter; with an optimizer it learns on the way.
local function read(part, rows, optimizer, schedule)
  local x, y = columns(part, rows)
  local total, count, h, c = 0, 0, nil, nil
  model:train(optimizer ~= nil)
  for at = 1, x:size(1), options.steps do
    local scope <close> = neap.scope()
    local _ <close> = not optimizer and neap.no_grad() or nil
    local steps = math.min(options.steps, x:size(1) - at + 1)
    local scores, h_n, c_n = model(x:narrow(1, at, steps), h, c)
    local loss = neap.cross_entropy(scores:flatten(1, 2), y:narrow(1, at, steps):flatten())
    h, c = scope:keep(h_n:detach()), scope:keep(c_n:detach())
    if optimizer then
      optimizer:zero_grad()
      loss:backward()
      nn.clip_grad_norm(model:parameters(), 1)
      optimizer:step()
      schedule:step()
    end
    total, count = total + loss:item() * steps, count + steps
  end
  return total / count
end

local train, unseen = ids:narrow(1, 1, n_train), ids:narrow(1, n_train + 1, ids:size(1) - n_train)
local optimizer = optim.AdamW(model:parameters(), {lr = 4e-3, weight_decay = 0.01})
local updates = options.epochs * math.ceil(((n_train - 1) // options.rows) / options.steps)
local schedule = optim.lr.CosineAnnealingLR(optimizer, {T_max = updates, eta_min = 1e-4})
local loss
for epoch = 1, options.epochs do
  local own = read(train, options.rows, optimizer, schedule)
  loss = read(unseen, 16)
  print(("epoch %d: %.4f nats a letter, on unseen text %.4f (%d s)"):format(epoch, own, loss, os.time() - start))
end

-- Letters drawn one after the other from what the model expects.
local function write(first, n)
  local _, _ <close> = model:eval(), neap.no_grad()
  local out, h, c = {first}, nil, nil
  local x = neap.tensor({{ids[text:find(first, 1, true)]:item()}}, {dtype = "int64"})
  for i = 2, n do
    local scope <close> = neap.scope()
    local scores
    scores, h, c = model(x, h, c)
    x = scope:keep((scores[{1, 1}] / 0.8):softmax(1):multinomial(1):view(1, 1))
    scope:keep(h)
    scope:keep(c)
    out[i] = string.char(letters[x:item()])
  end
  return table.concat(out)
end

print(write(text:sub(1, 1), options.write))
print(("Validation loss: %.4f nats a letter, %d s"):format(loss, os.time() - start))
