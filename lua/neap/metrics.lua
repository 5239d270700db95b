-- metrics: how good predictions are. Classes count from 1. What is called `scores` below is either (N, C), one score or
-- probability a class, or (N): the predicted classes themselves. Everything comes back as plain numbers and tables but
-- for the confusion matrix, a tensor. Definitions: Manning, Raghavan, Schütze, Introduction to Information Retrieval, 8.

local neap = require "neap.core"
local check = require "neap.check"

local metrics = {}

-- Scores as classes (N), int64.
local function classes(what, scores, y)
  for i, given in ipairs{scores or false, y or false} do
    if not neap.is_tensor(given) then
      check.fail("%s: argument %d is %s, not a tensor", what, i, check.describe(given or nil))
    end
  end
  local _ <close> = neap.no_grad()
  local shape = scores.shape
  if #shape > 2 or shape[1] ~= y.shape[1] or #y.shape ~= 1 then
    check.fail("%s: takes scores (N, C) or classes (N), and classes (N); not (%s) and (%s)", what,
      table.concat(shape, ", "), table.concat(y.shape, ", "))
  end
  if #shape == 2 then return scores:argmax(2) end
  return scores:to "int64"
end

--- The share of predictions that are right: scores (N, C) or (N), y (N) -> a number in [0, 1].
function metrics.accuracy(scores, y)
  local _ <close> = neap.scope()
  local predicted = classes("metrics.accuracy", scores, y)
  if #y == 0 then check.fail "metrics.accuracy: there are no predictions" end
  return predicted:eq(y:to "int64"):sum():item() / y.shape[1]
end

--- Counts by class: scores (N, C) or (N), y (N) -> (C, C) int64; row: the true class, column: the predicted one. C is
--- given, or the width of the scores, or the largest class met.
function metrics.confusion_matrix(scores, y, C)
  local predicted = classes("metrics.confusion_matrix", scores, y)
  y = y:to "int64"
  local least, most = 1, #scores.shape == 2 and scores.shape[2] or 0
  for _, classes_met in ipairs(#y > 0 and {predicted, y} or {}) do
    least, most = math.min(least, classes_met:min():item()), math.max(most, classes_met:max():item())
  end
  C = C or most
  if least < 1 or most > C then
    check.fail("metrics: class %d is met, which is not one of 1 to %d", least < 1 and least or most, C)
  end
  local cell = (y - 1) * C + predicted
  return neap.zeros({C * C}, {dtype = "int64"}):scatter_add_(1, cell, neap.ones_like(cell)):reshape(C, C)
end

-- hits, predicted and true counts by class.
local function counts(scores, y, C)
  local matrix = metrics.confusion_matrix(scores, y, C):totable()
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

local function ratio(a, b)
  return b == 0 and 0 or a / b
end

local function sum(list)
  local total = 0
  for _, v in ipairs(list) do total = total + v end
  return total
end

-- One of the three, averaged as asked: share(hit, predicted, real) is the score of one class.
local function averaged(what, share)
  --- scores (N, C) or (N), y (N) -> a number; 0 where nothing was predicted or nothing is true. options.average: "macro"
  --- (default: the mean over the classes), "micro" (over all predictions), "binary" (of class options.positive, default
  --- 2 of 2), "none" (a list, one a class). options.classes: how many there are.
  return function(scores, y, options)
    options = check.options("metrics." .. what, options, {"average", "positive", "classes"})
    local average = options.average or "macro"
    local hit, predicted, real = counts(scores, y, options.classes)
    if average == "micro" then return share(sum(hit), sum(predicted), sum(real)) end
    if average == "binary" then
      local class = options.positive or 2
      if #hit > 2 and not options.positive then
        check.fail("metrics.%s: average = 'binary' with %d classes needs positive = the class that counts", what, #hit)
      end
      if not hit[class] then check.fail("metrics.%s: there is no class %s; there are %d", what, tostring(class), #hit) end
      return share(hit[class], predicted[class], real[class])
    end
    local each = {}
    for i = 1, #hit do each[i] = share(hit[i], predicted[i], real[i]) end
    if average == "none" then return each end
    if average == "macro" then return ratio(sum(each), #each) end
    check.fail("metrics.%s: average is 'macro', 'micro', 'binary' or 'none', not %s", what, check.describe(average))
  end
end

--- Of what was predicted as a class, the share that is of it.
metrics.precision = averaged("precision", function(hit, predicted) return ratio(hit, predicted) end)
--- Of what is of a class, the share that was predicted as it.
metrics.recall = averaged("recall", function(hit, _, real) return ratio(hit, real) end)
--- The harmonic mean of precision and recall.
metrics.f1 = averaged("f1", function(hit, predicted, real) return ratio(2 * hit, predicted + real) end)

--- The curve of a two-class detector as its threshold falls: scores (N), y (N) bool or 0/1 -> lists of false positive
--- rates, true positive rates and thresholds, from (0, 0) at infinity to (1, 1) (Fawcett, 2006).
function metrics.roc_curve(scores, y)
  if not neap.is_tensor(scores) or not neap.is_tensor(y) then
    check.fail("metrics.roc_curve: takes two tensors, not %s and %s", check.describe(scores), check.describe(y))
  end
  if #scores.shape ~= 1 or #y.shape ~= 1 or scores.shape[1] ~= y.shape[1] then
    check.fail("metrics.roc_curve: takes scores (N) and truths (N); not (%s) and (%s)",
      table.concat(scores.shape, ", "), table.concat(y.shape, ", "))
  end
  local _ <close> = neap.no_grad()
  local _ <close> = neap.scope()
  local truth = y:to "int64"
  local wrong = truth:ne(0):logical_and(truth:ne(1)):nonzero()
  if #wrong > 0 then
    local i = wrong[1][1]:item()
    check.fail("metrics.roc_curve: truth %d is %d, not 0 or 1; compare first, as in y:eq(2)", i, truth[i]:item())
  end
  local undefined = scores:isnan():nonzero()
  if #undefined > 0 then check.fail("metrics.roc_curve: score %d is NaN", undefined[1][1]:item()) end
  local n, positives = #truth, truth:sum():item()
  if positives == 0 or positives == n then
    check.fail("metrics.roc_curve: all truths are %d; the curve needs both", positives == 0 and 0 or 1)
  end
  local score, order = scores:sort(1, true)
  local hits = truth:index_select(1, order):cumsum(1)
  local last = score:narrow(1, 2, n - 1):ne(score:narrow(1, 1, n - 1)):nonzero():reshape(-1) -- equal scores fall together
  last = neap.cat({last, neap.tensor({n}, {dtype = "int64"})}, 1)
  hits = hits:index_select(1, last)
  local function from(first, list) return table.move(list, 1, #list, 2, {first}) end
  return from(0.0, ((last - hits):double() / (n - positives)):totable()), from(0.0, (hits:double() / positives):totable()),
    from(math.huge, score:index_select(1, last):totable())
end

--- The area under the curve through the points (x[i], y[i]), lists or tensors, by trapezoids; x rises or falls.
--- metrics.auc(metrics.roc_curve(scores, y)): 1 is perfect, 0.5 chance.
function metrics.auc(x, y)
  if neap.is_tensor(x) then x = x:totable() end
  if neap.is_tensor(y) then y = y:totable() end
  check.kind("metrics.auc: x", x, "table")
  check.kind("metrics.auc: y", y, "table")
  if #x ~= #y or #x < 2 then check.fail("metrics.auc: takes two lists of two or more points, not of %d and %d", #x, #y) end
  local area = 0
  for i = 2, #x do area = area + (x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2 end
  return math.abs(area)
end

return check.named("metrics", metrics)
