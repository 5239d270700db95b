-- curves: a two-class detector as its threshold falls, and areas.

local neap = require "neap.core"
local check = require "neap.check"

local curves = {}

-- Raises unless scores (N) are numbers and y (N) bool or 0/1. Returns for each threshold, from the largest score down: how many
-- are at or above it, and how many of these are true, lists; the thresholds; and how many are true of how many.
local function falling(what, scores, y)
  if not neap.is_tensor(scores) or not neap.is_tensor(y) then
    check.fail("%s: takes two tensors, not %s and %s", what, check.describe(scores), check.describe(y))
  end
  if #scores.shape ~= 1 or #y.shape ~= 1 or scores.shape[1] ~= y.shape[1] then
    check.fail("%s: takes scores (N) and truths (N); not (%s) and (%s)", what,
      table.concat(scores.shape, ", "), table.concat(y.shape, ", "))
  end
  local _ <close> = neap.no_grad()
  local _ <close> = neap.scope()
  local wrong = y:ne(0):logical_and(y:ne(1)):nonzero()
  if #wrong > 0 then
    local i = wrong[1][1]:item()
    check.fail("%s: truth %d is %g, not 0 or 1; compare first, as in y:eq(2)", what, i, y[i]:item())
  end
  local undefined = scores:isnan():nonzero()
  if #undefined > 0 then check.fail("%s: score %d is NaN", what, undefined[1][1]:item()) end
  local n, truth = #y, y:to "int64"
  if n == 0 then return {}, {}, {}, 0, 0 end
  local score, order = scores:sort(1, true)
  local hits = truth:index_select(1, order):cumsum(1)
  local last = score:narrow(1, 2, n - 1):ne(score:narrow(1, 1, n - 1)):nonzero():reshape(-1) -- equal scores fall together
  last = neap.cat({last, neap.tensor({n}, {dtype = "int64"})}, 1)
  return last:totable(), hits:index_select(1, last):totable(), score:index_select(1, last):totable(), truth:sum():item(), n
end

--- The curve of a two-class detector as its threshold falls: scores (N), y (N) bool or 0/1 -> lists of false positive
--- rates, true positive rates and thresholds, from (0, 0) at infinity to (1, 1) (Fawcett, 2006).
function curves.roc_curve(scores, y)
  local above, hits, thresholds, positives, n = falling("metrics.roc_curve", scores, y)
  if positives == 0 or positives == n then
    check.fail("metrics.roc_curve: all truths are %d; the curve needs both", positives == 0 and 0 or 1)
  end
  local wrong, right = {0.0}, {0.0}
  for i, k in ipairs(above) do
    wrong[i + 1], right[i + 1] = (k - hits[i]) / (n - positives), hits[i] / positives
  end
  return wrong, right, table.move(thresholds, 1, #thresholds, 2, {math.huge})
end

--- The mean of a two-class detector's precision over its recall, the area under that curve in steps: scores (N), y (N) bool or
--- 0/1 -> a number in [0, 1]; 1 is perfect, the share of what is true chance.
function curves.average_precision(scores, y)
  local above, hits, _, positives = falling("metrics.average_precision", scores, y)
  if positives == 0 then check.fail "metrics.average_precision: no truth is 1; recall needs one" end
  local area, before = 0, 0
  for i, k in ipairs(above) do
    area = area + (hits[i] - before) / positives * (hits[i] / k)
    before = hits[i]
  end
  return area
end

--- The area under the curve through the points (x[i], y[i]), lists or tensors, by trapezoids; x rises or falls.
--- metrics.auc(metrics.roc_curve(scores, y)): 1 is perfect, 0.5 chance.
function curves.auc(x, y)
  if neap.is_tensor(x) then x = x:totable() end
  if neap.is_tensor(y) then y = y:totable() end
  check.kind("metrics.auc: x", x, "table")
  check.kind("metrics.auc: y", y, "table")
  if #x ~= #y or #x < 2 then check.fail("metrics.auc: takes two lists of two or more points, not of %d and %d", #x, #y) end
  local area = 0
  for i = 2, #x do area = area + (x[i] - x[i - 1]) * (y[i] + y[i - 1]) / 2 end
  return math.abs(area)
end

return curves
