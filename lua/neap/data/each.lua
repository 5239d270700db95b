-- each: going over the batches of whatever serves as data, and the modes that a model has meanwhile: for training, evaluation
-- and statistics.

local check = require "neap.check"

local each = {}

-- Raises unless data is a loader, or a function that returns an iterator.
function each.check(what, data)
  if type(data) ~= "function" and not (type(data) == "table" and data.next and data.reset) then
    check.fail("%s: data is a loader as data.batches makes, or a function that returns an iterator, not %s", what,
      check.describe(data))
  end
end

-- The batches of one epoch, whatever `data` is: a loader, or a function that returns an iterator.
function each.iterate(data)
  if type(data) ~= "function" then
    if data.iterate then return data:iterate() end
    data:reset()
    return function() return data:next() end
  end
  local step, state, control = data()
  return function()
    local x, y = step(state, control)
    control = x
    return x, y
  end
end

-- A list of modules with their modes, parents first, that are so again when it closes.
local Restored = {__close = function(modes)
  for _, pair in ipairs(modes) do pair[1]:train(pair[2]) end
end}

-- The modes of a model's modules, which they have again when it closes.
function each.modes(model)
  local modes = {}
  for i, module in ipairs(model:modules()) do modes[i] = {module, module:is_training()} end
  return setmetatable(modes, Restored)
end

return each
