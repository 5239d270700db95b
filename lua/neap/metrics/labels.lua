-- labels: predictions and truths as classes that count from 1, whichever way they come, and counts of them.

local neap = require "neap.core"
local check = require "neap.check"

local labels = {}

-- A vector of whole numbers as int64; bool as 0 and 1.
local function whole(what, role, x)
  if x:is_floating_point() then
    local odd = x:ne(x:round()):nonzero()
    if #odd > 0 then
      local i = odd[1][1]:item()
      check.fail("%s: %s %d is %g, and classes are whole numbers%s", what, role, i, x[i]:item(),
        role == "prediction" and "; a threshold makes two classes of scores, no and yes: scores:gt(0.5)" or "")
    end
  end
  return x:detach():to "int64"
end

-- Whether a vector can be no and yes, and whether it must be.
local function yes_or_no(x)
  if x.dtype == "bool" then return true, true end
  if #x == 0 then return true, false end
  local least, most = x:min():item(), x:max():item()
  return least >= 0 and most <= 1, least == 0
end

--- Vectors of predicted and of true classes from 1, int64; the number of classes where scores tell (else 0); and how much was
--- added: 1 where both were no and yes. scores: (N, C), or classes (N).
function labels.read(what, scores, y)
  for i, given in ipairs{scores or false, y or false} do
    if not neap.is_tensor(given) then
      check.fail("%s: argument %d is %s, not a tensor", what, i, check.describe(given or nil))
    end
  end
  local _ <close> = neap.no_grad()
  local shape = scores.shape
  if #shape ~= 1 and #shape ~= 2 or shape[1] ~= y.shape[1] or #y.shape ~= 1 then
    check.fail("%s: takes scores (N, C) or classes (N), and classes (N); not (%s) and (%s)", what,
      table.concat(shape, ", "), table.concat(y.shape, ", "))
  end
  local truth = whole(what, "label", y)
  if #shape == 2 then
    if shape[2] == 1 then
      check.fail("%s: scores %s have one column, not one a class; a threshold makes two classes of it, no and yes: %s", what,
        tostring(shape), "scores:squeeze(2):gt(0.5), or gt(0) before a sigmoid")
    end
    truth = y.dtype == "bool" and truth + 1 or truth
    labels.check(what, shape[2], truth)
    return #y > 0 and scores:argmax(2) or truth, truth, shape[2], 0
  end
  local predicted = whole(what, "prediction", scores)
  local can, must = yes_or_no(scores)
  local truth_can, truth_must = yes_or_no(y)
  if can and truth_can and (must or truth_must) then return predicted + 1, truth + 1, 0, 1 end
  if scores.dtype == "bool" then predicted = predicted + 1 end
  if y.dtype == "bool" then truth = truth + 1 end
  labels.check(what, nil, predicted, truth)
  return predicted, truth, 0, 0
end

--- Raises unless all classes in the vectors are from 1 to C, or to any number. Returns the largest, or 0.
function labels.check(what, C, ...)
  local least, most = 1, 0
  for _, classes in ipairs{...} do
    if #classes > 0 then least, most = math.min(least, classes:min():item()), math.max(most, classes:max():item()) end
  end
  if least < 1 or C and most > C then
    check.fail("%s: class %d is met, which is not one of 1 to %d%s", what, least < 1 and least or most, C or most,
      least == 0 and "; classes count from 1: add 1 to what counts from 0" or "")
  end
  return most
end

--- The confusion matrix (C, C), int64, of two vectors of classes: row: the true class, column: the predicted one. C is given,
--- or width, or the largest class met.
function labels.count(what, C, predicted, truth, width)
  if C ~= nil and (math.type(C) ~= "integer" or C < 1) then
    check.fail("%s: the number of classes is a whole number from 1 on, not %s", what, check.describe(C))
  end
  C = C or math.max(width or 0, labels.check(what, nil, predicted, truth))
  labels.check(what, C, predicted, truth)
  local cell = (truth - 1) * C + predicted
  return neap.zeros({C * C}, {dtype = "int64"}):scatter_add_(1, cell, neap.ones_like(cell)):reshape(C, C)
end

--- Hits, predictions and truths by class, lists, of a confusion matrix.
function labels.totals(matrix)
  matrix = matrix:totable()
  local hit, predicted, real = {}, {}, {}
  for i = 1, #matrix do
    hit[i], predicted[i], real[i] = matrix[i][i], 0, 0
    for j = 1, #matrix do
      real[i] = real[i] + matrix[i][j]
      predicted[i] = predicted[i] + matrix[j][i]
    end
  end
  return hit, predicted, real
end

return labels
