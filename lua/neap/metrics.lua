-- metrics: how good predictions are. Classes count from 1; bool, and 0 and 1 on both sides, are two classes, no and yes.
-- What is called `scores` below is either (N, C), one score or probability a class, or (N): the predicted classes
-- themselves. Everything comes back as plain numbers and tables but for the confusion matrix, a tensor. Definitions: Manning,
-- Raghavan, Schütze, Introduction to Information Retrieval, 8. Curves are in metrics/curves.lua, what is measured by area in
-- metrics/regions.lua.

local neap = require "neap.core"
local check = require "neap.check"
local labels = require "neap.metrics.labels"

local metrics = {}
for _, part in ipairs{"curves", "regions"} do
  for name, f in pairs(require("neap.metrics." .. part)) do metrics[name] = f end
end

--- The share of predictions that are right: scores (N, C) or (N), y (N) -> a number in [0, 1].
function metrics.accuracy(scores, y)
  local _ <close> = neap.scope()
  local predicted, truth = labels.read("metrics.accuracy", scores, y)
  if #truth == 0 then check.fail "metrics.accuracy: there are no predictions" end
  return predicted:eq(truth):sum():item() / #truth
end

--- The share of rows whose class is among the k best: scores (N, C), y (N), k (5) -> a number in [0, 1].
function metrics.top_k_accuracy(scores, y, k)
  if type(k) == "table" then k = check.options("metrics.top_k_accuracy", k, {"k"}).k end
  k = k or 5
  local _ <close> = neap.scope()
  local _, truth = labels.read("metrics.top_k_accuracy", scores, y)
  if #scores.shape ~= 2 then
    check.fail("metrics.top_k_accuracy: takes scores (N, C), one a class, not %s", tostring(scores.shape))
  end
  local C = scores.shape[2]
  if math.type(k) ~= "integer" or k < 1 or k > C then
    check.fail("metrics.top_k_accuracy: k is a whole number from 1 to %d, the number of classes, not %s", C, check.describe(k))
  end
  if #truth == 0 then check.fail "metrics.top_k_accuracy: there are no predictions" end
  local _, best = scores:detach():topk(k, 2)
  return best:eq(truth:unsqueeze(2)):sum():item() / #truth
end

--- Counts by class: scores (N, C) or (N), y (N) -> (C, C) int64; row: the true class, column: the predicted one. C is
--- given, or the width of the scores, or the largest class met.
function metrics.confusion_matrix(scores, y, C)
  return labels.count("metrics.confusion_matrix", C, labels.read("metrics.confusion_matrix", scores, y))
end

local function ratio(a, b)
  return b == 0 and 0 or a / b
end

local function sum(list, weights)
  local total = 0
  for i, v in ipairs(list) do total = total + v * (weights and weights[i] or 1) end
  return total
end

-- One of the three, averaged as asked: share(hit, predicted, real) is the score of one class.
local function averaged(name, share)
  local what = "metrics." .. name
  --- scores (N, C) or (N), y (N) -> a number; 0 where nothing was predicted or nothing is true. options.average: "macro"
  --- (default: the mean over the classes), "weighted" (the same, each class as often as it is true), "micro" (over all
  --- predictions), "binary" (of class options.positive, default 2 of 2, or yes), "none" (a list, one a class).
  --- options.classes: how many there are.
  return function(scores, y, options)
    options = check.options(what, options, {"average", "positive", "classes"})
    local average = options.average or "macro"
    local first, second, width, base = labels.read(what, scores, y)
    local hit, predicted, real = labels.totals(labels.count(what, options.classes, first, second, width))
    if average == "micro" then return share(sum(hit), sum(predicted), sum(real)) end
    if average == "binary" then
      local class = options.positive or 2 - base
      if #hit > 2 and not options.positive then
        check.fail("%s: average = 'binary' with %d classes needs positive = the class that counts", what, #hit)
      end
      local i = math.type(class) == "integer" and class + base
      if not hit[i] then
        check.fail("%s: there is no class %s; there are %d%s", what, tostring(class), #hit, base == 1 and ", from 0" or "")
      end
      return share(hit[i], predicted[i], real[i])
    end
    local each = {}
    for i = 1, #hit do each[i] = share(hit[i], predicted[i], real[i]) end
    if average == "none" then return each end
    if average == "macro" then return ratio(sum(each), #each) end
    if average == "weighted" then return ratio(sum(each, real), sum(real)) end
    check.fail("%s: average is 'macro', 'weighted', 'micro', 'binary' or 'none', not %s", what, check.describe(average))
  end
end

--- Of what was predicted as a class, the share that is of it.
metrics.precision = averaged("precision", function(hit, predicted) return ratio(hit, predicted) end)
--- Of what is of a class, the share that was predicted as it.
metrics.recall = averaged("recall", function(hit, _, real) return ratio(hit, real) end)
--- The harmonic mean of precision and recall.
metrics.f1 = averaged("f1", function(hit, predicted, real) return ratio(2 * hit, predicted + real) end)

return check.named("metrics", metrics)
