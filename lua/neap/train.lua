-- train: the loop that most trainings share, for those who do not want to write it. It opens a scope a step, so that
-- what a step makes is used again by the next; it shows one line that renews itself on a terminal. Whoever needs
-- another loop writes it: nothing else in Neap depends on this file.

local neap = require "neap.core"
local check = require "neap.check"
local over = require "neap.data.each"
local fitting = require "neap.train.fitting"

local check_data, iterate = over.check, over.iterate

local train = {EarlyStopping = require "neap.train.stop".EarlyStopping}

-- A line on standard output that is written over, and stays when done. On a file only what is done appears.
local Line = {}
Line.__index = Line

function Line.new()
  return setmetatable({live = neap.is_terminal(1), length = 0, shown = -1}, Line)
end

function Line:show(text)
  if not self.live or neap.clock() - self.shown < 0.1 then return end
  self.shown = neap.clock()
  io.stdout:write("\r", text, (" "):rep(self.length - #text))
  io.stdout:flush()
  self.length = #text
end

function Line:done(text)
  io.stdout:write(self.live and "\r" or "", text, (" "):rep(self.length - #text), "\n")
  io.stdout:flush()
  self.length = 0
end

--- A line of progress for a loop of one's own: line:show(text) writes over what it showed before, ten times a second at
--- most and on a terminal alone; line:done(text) writes it for good and ends the line.
function train.progress()
  return Line.new()
end

local function bar(share, width)
  local full = math.floor(share * width + 0.5)
  return "[" .. ("="):rep(full) .. (" "):rep(width - full) .. "]"
end

--- How good a model is on data (a loader or a function that returns an iterator over x, y): returns the mean loss (nil
--- without options.loss) and the share of right classes (nil when y holds no classes, one a row). The model is in eval
--- mode meanwhile and afterwards as it was.
function train.evaluate(model, data, options)
  options = check.options("train.evaluate", options, {"loss"})
  fitting.check_model("train.evaluate", model)
  check_data("train.evaluate", data)
  if options.loss ~= nil then fitting.check_function("train.evaluate", "loss", options.loss) end
  local _ <close> = over.modes(model)
  model:eval()
  local _ <close> = neap.no_grad()
  local total, right, n, classes = 0, 0, 0, true
  local next_batch = iterate(data)
  while true do
    local _ <close> = neap.scope()
    local x, y = next_batch()
    if not x then break end
    local rows = x.shape[1]
    local output = model(x)
    if options.loss then total = total + fitting.check_loss("train.evaluate", options.loss(output, y)):item() * rows end
    classes = classes and #output.shape == 2 and #y.shape == 1 and not y.dtype:find "float"
    if classes then right = right + output:argmax(2):eq(y):sum():item() end
    n = n + rows
  end
  if n == 0 then check.fail "train.evaluate: the data has no batches" end
  return options.loss and total / n or nil, classes and right / n or nil
end

local known = {
  "model", "loss", "optimizer", "data", "epochs", "schedule", "test", "on_step", "on_epoch", "clip", "quiet", "accumulate",
  "stopping", "average", "monitor",
}

--- Trains a model: train.fit{model = m, loss = f(output, y), optimizer = o, data = loader, epochs = n}. Besides:
--- schedule (stepped once an epoch, with what it watches), test (a loader to evaluate on after each epoch), clip (largest norm
--- of all gradients), accumulate (batches whose gradients make one step: 1), average (an optim.AveragedModel, shown the model
--- after each step), stopping (a train.EarlyStopping, given what it watches), monitor ("loss", "accuracy", or a function of the
--- state that returns a number: what schedule and stopping watch), on_step(state), on_epoch(state) -> false ends the training,
--- quiet (true: prints nothing). Without monitor, what has mode = "max" watches the test's accuracy, the rest the test's loss
--- or else the epoch's. `data` may be a function that returns an iterator over x, y. The state has epoch, step (of all
--- epochs), loss (mean of the epoch so far), and at an epoch's end test_loss, accuracy, seconds (since the start). Returns a
--- list of the states at the epochs' ends.
function train.fit(options)
  fitting.check(check.options("train.fit", options, known))
  local model, criterion, optimizer = options.model, options.loss, options.optimizer
  local epochs, each, history = options.epochs or 1, options.accumulate or 1, {}
  local batches = type(options.data) ~= "function" and #options.data or nil
  local line = not options.quiet and Line.new() or nil
  local start, step = neap.clock(), 0
  local parameters, waiting = options.clip and model:parameters(), 0

  local function update()
    if parameters then neap.clip_grad_norm_(parameters, options.clip) end
    optimizer:step()
    optimizer:zero_grad()
    waiting = 0
    if options.average then options.average:update_parameters(model) end
  end

  -- One batch: fetch, forward, backward, and each `each`-th time update. nil at the epoch's end, else the loss and the number of rows.
  local function advance(next_batch)
    local _ <close> = neap.scope()
    local x, y = next_batch()
    if not x then return nil end
    local loss = fitting.check_loss("train.fit", criterion(model(x), y))
    if each > 1 then (loss / each):backward() else loss:backward() end
    waiting = waiting + 1
    if waiting == each then update() end
    return loss:item(), x.shape[1]
  end

  optimizer:zero_grad()
  for epoch = 1, epochs do
    model:train()
    local state = {epoch = epoch}
    local total, rows, within = 0, 0, 0
    local next_batch = iterate(options.data)
    while true do
      local loss, n = advance(next_batch)
      if not loss then break end
      step, within = step + 1, within + 1
      total, rows = total + loss * n, rows + n
      state.step, state.loss = step, total / rows
      if options.on_step then options.on_step(state) end
      if line then
        line:show(("epoch %d/%d %s %s  loss %.4f"):format(epoch, epochs,
          batches and bar(within / batches, 24) or "", batches and ("%d/%d"):format(within, batches) or within,
          state.loss))
      end
    end
    if rows == 0 then check.fail "train.fit: the data has no batches" end
    if waiting > 0 then update() end
    if options.test then
      state.test_loss, state.accuracy = train.evaluate(model, options.test, {loss = criterion})
    end
    if options.schedule then options.schedule:step(not options.schedule.counts and fitting.watched(options, "schedule", state) or nil) end
    state.seconds = neap.clock() - start
    history[epoch] = state
    if line then
      line:done(("epoch %d/%d  loss %.4f%s%s  %.1f s"):format(epoch, epochs, state.loss,
        state.test_loss and ("  test loss %.4f"):format(state.test_loss) or "",
        state.accuracy and ("  accuracy %.4f"):format(state.accuracy) or "", state.seconds))
    end
    if options.on_epoch and options.on_epoch(state) == false then break end
    if options.stopping and options.stopping:step(fitting.watched(options, "stopping", state)) then break end
  end
  return history
end

return check.named("train", train)
