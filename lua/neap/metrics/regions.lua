-- regions: how well areas are found, by intersection over union: of segmented images, and of boxes.

local neap = require "neap.core"
local check = require "neap.check"
local labels = require "neap.metrics.labels"

local regions = {}

--- Intersection over union of segmented images: scores (N, C, ...) or classes (N, ...), y (N, ...) classes -> the mean over the
--- classes that are met, and a list of each class's, NaN where a class is neither predicted nor true. Options: classes (how
--- many there are), ignore_index (a class of y whose places do not count).
function regions.mean_iou(scores, y, options)
  local what = "metrics.mean_iou"
  options = check.options(what, options, {"classes", "ignore_index"})
  if not neap.is_tensor(scores) or not neap.is_tensor(y) then
    check.fail("%s: takes two tensors, not %s and %s", what, check.describe(scores), check.describe(y))
  end
  local _ <close> = neap.no_grad()
  local width, predicted = 0, scores
  if #scores.shape == #y.shape + 1 and #y.shape > 0 then
    width = scores.shape[2]
    if width == 1 then check.fail("%s: scores %s have one channel, not one a class; compare first: scores:squeeze(2):gt(0)", what, tostring(scores.shape)) end
    predicted = scores:argmax(2)
  end
  if predicted.shape ~= y.shape then
    check.fail("%s: takes scores (N, C, ...) or classes (N, ...), and classes (N, ...); not %s and %s", what,
      tostring(scores.shape), tostring(y.shape))
  end
  predicted, y = predicted:flatten(), y:flatten()
  if options.ignore_index then
    local kept = y:ne(options.ignore_index)
    predicted, y = predicted:masked_select(kept), y:masked_select(kept)
  end
  if width > 0 and y.dtype == "bool" then y = y:to "int64" + 1 end
  if width > 0 then labels.check(what, width, y) end
  local first, second = labels.read(what, predicted, y)
  local hit, found, real = labels.totals(labels.count(what, options.classes, first, second, width))
  local total, n, each = 0, 0, {}
  for i = 1, #hit do
    local union = found[i] + real[i] - hit[i]
    each[i] = hit[i] / union
    if union > 0 then total, n = total + each[i], n + 1 end
  end
  if n == 0 then check.fail("%s: there are no places to compare", what) end
  return total / n, each
end

-- ---- boxes ----

local detection = "metrics.mean_average_precision"

-- The lists of one image: boxes (n, 4), and for each a class (1 where none are given) and a score.
local function image(side, i, given, scored)
  local where = ("%s: %s %d"):format(detection, side, i)
  check.kind(where, given, "table")
  local boxes = given.boxes
  if not neap.is_tensor(boxes) or #boxes.shape ~= 2 or boxes.shape[2] ~= 4 then
    check.fail("%s: boxes is a tensor (n, 4), x1, y1, x2, y2, not %s", where,
      neap.is_tensor(boxes) and tostring(boxes.shape) or check.describe(boxes))
  end
  local function list(name)
    local x = given[name]
    if not neap.is_tensor(x) or #x.shape ~= 1 or #x ~= #boxes then
      check.fail("%s: %s is a tensor (n), one for each of %d boxes, not %s", where, name, #boxes,
        neap.is_tensor(x) and tostring(x.shape) or check.describe(x))
    end
    return x:totable()
  end
  return {boxes = boxes, labels = given.labels ~= nil and list "labels" or nil, scores = scored and list "scores" or nil, n = #boxes}
end

-- The area under precision over recall, precision being the best at that recall or more.
local function area_under(hits, real)
  local right, precision, recall = 0, {}, {}
  for i, hit in ipairs(hits) do
    right = right + (hit and 1 or 0)
    precision[i], recall[i] = right / i, right / real
  end
  local area, best = 0, 0
  for i = #hits, 1, -1 do
    best = math.max(best, precision[i])
    area = area + (recall[i] - (recall[i - 1] or 0)) * best
  end
  return area
end

-- Whether each prediction of a class, the surest first, meets a true box that none before it has met.
local function meet(class, found, least)
  local taken, hits = {}, {}
  for k, one in ipairs(found) do
    local truth, overlaps, best = one.truth, one.overlaps, nil
    taken[truth] = taken[truth] or {}
    for j = 1, truth.n do
      if (truth.labels and truth.labels[j] or 1) == class and not taken[truth][j] and overlaps[j] >= least
        and (not best or overlaps[j] > overlaps[best]) then
        best = j
      end
    end
    hits[k] = best ~= nil
    if best then taken[truth][best] = true end
  end
  return hits
end

local function check_thresholds(iou)
  local list = type(iou) == "table" and iou or {iou or 0.5}
  for _, least in ipairs(#list > 0 and list or {false}) do
    if type(least) ~= "number" or not (least > 0 and least <= 1) then
      check.fail("%s: iou is a number above 0 and up to 1, or a list of them, not %s", detection, check.describe(iou))
    end
  end
  return list
end

-- By class: how many true boxes there are, and the predicted ones, the surest first, each with its image's truth.
local function by_class(predictions, truths)
  local real, found = {}, {}
  for i, given in ipairs(truths) do
    local truth, guess = image("truth", i, given, false), image("prediction", i, predictions[i], true)
    for j = 1, truth.n do
      local class = truth.labels and truth.labels[j] or 1
      real[class] = (real[class] or 0) + 1
    end
    local overlaps = guess.n > 0 and truth.n > 0 and guess.boxes:box_iou(truth.boxes):totable() or {}
    for row = 1, guess.n do
      local class = guess.labels and guess.labels[row] or 1
      found[class] = found[class] or {}
      table.insert(found[class], {score = guess.scores[row], at = {i, row}, truth = truth, overlaps = overlaps[row]})
    end
  end
  for _, list in pairs(found) do
    table.sort(list, function(a, b)
      if a.score ~= b.score then return a.score > b.score end
      if a.at[1] ~= b.at[1] then return a.at[1] < b.at[1] end
      return a.at[2] < b.at[2]
    end)
  end
  return real, found
end

--- How well boxes are found (Everingham et al., 2010): predictions, a list of {boxes = (n, 4), scores = (n), labels = (n)}, one an
--- image; truths, a list of {boxes = (m, 4), labels = (m)}; boxes are x1, y1, x2, y2, and labels may be left out -> the mean over
--- the classes that are true of the area under precision over recall, and a table of each class's. Option: iou (0.5), the least
--- overlap that counts as found, or a list, whose means are given.
function regions.mean_average_precision(predictions, truths, options)
  options = check.options(detection, options, {"iou"})
  local thresholds = check_thresholds(options.iou)
  check.kind(detection .. ": predictions", predictions, "table")
  check.kind(detection .. ": truths", truths, "table")
  if #predictions ~= #truths then
    check.fail("%s: there are predictions for %d images and truths for %d", detection, #predictions, #truths)
  end
  local _ <close> = neap.no_grad()
  local real, found = by_class(predictions, truths)
  local total, n, each = 0, 0, {}
  for class, count in pairs(real) do
    local sum = 0
    for _, least in ipairs(thresholds) do sum = sum + area_under(meet(class, found[class] or {}, least), count) end
    each[class] = sum / #thresholds
    total, n = total + each[class], n + 1
  end
  if n == 0 then check.fail("%s: there are no true boxes", detection) end
  return total / n, each
end

return regions
