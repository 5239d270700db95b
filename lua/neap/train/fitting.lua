-- fitting: what train.fit takes, checked before it begins, and what a schedule and a stopping watch.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local over = require "neap.data.each"
local number_of = require "neap.train.measure"

local fitting = {}

-- value[name], or nil where the value has no fields or raises for those that it has not.
local function field(value, name)
  local good, found = pcall(function() return value[name] end)
  return good and found or nil
end

local function callable(value)
  if type(value) == "function" or tree.is_module(value) then return true end
  local meta = not core.is_tensor(value) and debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__call") ~= nil
end

function fitting.check_model(what, model)
  if not tree.is_module(model) then check.fail("%s: model is a module, not %s", what, check.describe(model)) end
end

function fitting.check_function(what, name, f)
  if not callable(f) then check.fail("%s: %s is a function or a module, not %s", what, name, check.describe(f)) end
end

-- What each must be able to do, and an example.
local faces = {
  optimizer = {{"step", "zero_grad"}, "an optimizer, such as optim.Adam(model:parameters(), {lr = 1e-3})"},
  schedule = {{"step"}, "a schedule, such as optim.lr.StepLR(optimizer, {step_size = 10})"},
  stopping = {{"step"}, "a train.EarlyStopping{patience = 10}"},
  average = {{"update_parameters"}, "an optim.AveragedModel(model)"},
}

local function check_face(name, value)
  for _, method in ipairs(faces[name][1]) do
    if core.is_tensor(value) or type(value) == "string" or not field(value, method) then
      check.fail("train.fit: %s is %s, not %s", name, faces[name][2], check.describe(value))
    end
  end
end

-- "min" or "max"; nil: it does not say which is better.
local function mode_of(value)
  local settings = field(value, "settings")
  return field(value, "mode") or type(settings) == "table" and settings.mode or field(value, "num_bad_epochs") and "min" or nil
end

-- What options[name] watches: "loss", "accuracy" or a function of the state.
local function watches(options, name)
  return options.monitor or mode_of(options[name]) == "max" and "accuracy" or "loss"
end

local function check_monitor(options)
  local monitor = options.monitor
  if monitor ~= nil and monitor ~= "loss" and monitor ~= "accuracy" and type(monitor) ~= "function" then
    check.fail("train.fit: monitor is 'loss', 'accuracy' or a function of the state, not %s", check.describe(monitor))
  end
  for _, name in ipairs{"schedule", "stopping"} do
    local there = options[name] ~= nil
    local watched, mode = there and watches(options, name), there and mode_of(options[name])
    if watched == "loss" and mode == "max" then
      check.fail("train.fit: %s has mode = 'max', and a loss is the better the smaller; give it mode = 'min', or monitor = 'accuracy'", name)
    elseif watched == "accuracy" and mode == "min" then
      check.fail("train.fit: %s watches the accuracy, which is the better the larger; give it mode = 'max'", name)
    elseif watched == "accuracy" and not options.test then
      check.fail("train.fit: %s watches the accuracy, which is that on the test data; give test = a loader", name)
    end
  end
end

-- Raises unless the options of train.fit are what they should be.
function fitting.check(options)
  for _, name in ipairs{"model", "loss", "optimizer", "data"} do
    if options[name] == nil then check.fail("train.fit: no %s given", name) end
  end
  fitting.check_model("train.fit", options.model)
  fitting.check_function("train.fit", "loss", options.loss)
  over.check("train.fit", options.data)
  if options.test ~= nil then over.check("train.fit: test", options.test) end
  for _, name in ipairs{"optimizer", "schedule", "stopping", "average"} do
    if options[name] ~= nil then check_face(name, options[name]) end
  end
  for _, name in ipairs{"on_step", "on_epoch"} do
    if options[name] ~= nil then fitting.check_function("train.fit", name, options[name]) end
  end
  local epochs, accumulate = options.epochs or 1, options.accumulate or 1
  if math.type(epochs) ~= "integer" or epochs < 0 then
    check.fail("train.fit: epochs is a whole number, not %s", check.describe(epochs))
  end
  if math.type(accumulate) ~= "integer" or accumulate < 1 then
    check.fail("train.fit: accumulate is a whole number above 0, not %s", check.describe(accumulate))
  end
  check.kind("train.fit: clip", options.clip, "number|nil")
  check.kind("train.fit: quiet", options.quiet, "boolean|nil")
  check_monitor(options)
end

-- The loss of a batch: a tensor of one element.
function fitting.check_loss(what, loss)
  if not core.is_tensor(loss) then
    check.fail("%s: the loss returned %s, not a tensor; it stays one, so that it can be walked back", what, check.describe(loss))
  end
  if loss:numel() ~= 1 then
    check.fail("%s: the loss returned a tensor of shape %s, not one number; take its mean", what, tostring(loss.shape))
  end
  return loss
end

-- The number that options[name] is stepped with after an epoch.
function fitting.watched(options, name, state)
  local watched = watches(options, name)
  if type(watched) == "function" then return number_of("train.fit: what monitor returns", watched(state)) end
  if watched == "accuracy" then
    return state.accuracy or check.fail("train.fit: %s watches the accuracy, and the test data has no classes, one a row", name)
  end
  return state.test_loss or state.loss
end

return fitting
