-- Metrics on cases small enough to count by hand.

local neap = require "neap"
local metrics = neap.metrics

local function labels(list) return neap.tensor(list, {dtype = "int64"}) end

local function near(wanted, got)
  assert(math.abs(wanted - got) < 1e-9, ("%.12g, should be %.12g"):format(got, wanted))
end

describe("metrics", function()
  -- truth 1 1 2 2 3 3, predicted 1 2 2 2 3 1
  local truth, predicted = labels{1, 1, 2, 2, 3, 3}, labels{1, 2, 2, 2, 3, 1}

  it("accuracy, of classes and of scores", function()
    near(4 / 6, metrics.accuracy(predicted, truth))
    near(4 / 6, metrics.accuracy(neap.one_hot(predicted, 3):to "float32", truth))
    near(1, metrics.accuracy(truth, truth))
    assert.error_matches(function() metrics.accuracy(neap.ones(5, 3), truth) end, "%(5, 3%) and %(6%)")
  end)

  it("confusion matrix: rows are the truth", function()
    assert.same({{1, 1, 0}, {0, 2, 0}, {1, 0, 1}}, metrics.confusion_matrix(predicted, truth):totable())
    assert.same({4, 4}, metrics.confusion_matrix(predicted, truth, 4).shape)
  end)

  it("precision, recall, f1: a class, macro, micro", function()
    assert.same({1 / 2, 2 / 3, 1.0}, metrics.precision(predicted, truth, {average = "none"}))
    assert.same({1 / 2, 1.0, 1 / 2}, metrics.recall(predicted, truth, {average = "none"}))
    near((1 / 2 + 2 / 3 + 1) / 3, metrics.precision(predicted, truth))
    near((1 / 2 + 1 + 1 / 2) / 3, metrics.recall(predicted, truth))
    near((1 / 2 + 4 / 5 + 2 / 3) / 3, metrics.f1(predicted, truth))
    for _, name in ipairs{"precision", "recall", "f1"} do
      near(4 / 6, metrics[name](predicted, truth, {average = "micro"}))
    end
  end)

  it("binary: of the positive class", function()
    local y, p = labels{1, 2, 2, 2, 1}, labels{1, 2, 1, 2, 2}
    near(2 / 3, metrics.precision(p, y, {average = "binary"}))
    near(2 / 3, metrics.recall(p, y, {average = "binary"}))
    near(1 / 2, metrics.precision(p, y, {average = "binary", positive = 1}))
    assert.error_matches(function() metrics.f1(predicted, truth, {average = "binary"}) end, "positive")
    assert.error_matches(function() metrics.f1(predicted, truth, {average = "all"}) end, "metrics.f1: average is 'macro'")
  end)

  it("weighted: each class as often as it is true", function()
    local y, p = labels{1, 1, 1, 2}, labels{1, 1, 2, 2}
    near((3 * 4 / 5 + 2 / 3) / 4, metrics.f1(p, y, {average = "weighted"}))
    near((3 * 1 + 1 / 2) / 4, metrics.precision(p, y, {average = "weighted"}))
    near(3 / 4, metrics.recall(p, y, {average = "weighted"}))
  end)

  it("no and yes, as bool or as 0 and 1", function()
    local y, p = labels{0, 1, 1, 1, 0}, labels{0, 1, 0, 1, 1}
    for _, pair in ipairs{{p, y}, {p:eq(1), y:eq(1)}, {p:eq(1), y}, {p:float(), y:float()}, {p, y:eq(1)}, {p + 1, y + 1}, {p:eq(1), y + 1}, {p + 1, y:eq(1)}} do
      near(3 / 5, metrics.accuracy(pair[1], pair[2]))
      near(2 / 3, metrics.f1(pair[1], pair[2], {average = "binary"}))
      assert.same({{1, 1}, {1, 2}}, metrics.confusion_matrix(pair[1], pair[2]):totable())
    end
    near(1 / 2, metrics.precision(p, y, {average = "binary", positive = 0}))
    near(2 / 3, metrics.precision(p, y, {average = "binary", positive = 1}))
    near(1 / 2, metrics.precision(p + 1, y + 1, {average = "binary", positive = 1}))
    near(3 / 5, metrics.accuracy(neap.one_hot(p + 1, 2):float(), y:eq(1)))
    near(2 / 5, metrics.accuracy(labels{1, 1, 1, 1, 1}:eq(0), y))
    assert.error_matches(function() metrics.f1(p, y, {average = "binary", positive = 2}) end, "no class 2; there are 2, from 0")
  end)

  it("top k", function()
    local scores = neap.tensor{{0.5, 0.3, 0.2}, {0.1, 0.3, 0.6}, {0.3, 0.2, 0.5}}
    local y = labels{2, 1, 3}
    near(1 / 3, metrics.top_k_accuracy(scores, y, 1))
    near(2 / 3, metrics.top_k_accuracy(scores, y, {k = 2}))
    near(1, metrics.top_k_accuracy(scores, y, 3))
    assert.error_matches(function() metrics.top_k_accuracy(scores, y) end, "k is a whole number from 1 to 3, the number of classes, not a number %(5%)")
    assert.error_matches(function() metrics.top_k_accuracy(y, y, 1) end, "takes scores %(N, C%), one a class, not %(3%)")
    assert.error_matches(function() metrics.top_k_accuracy(scores, y + 1, 1) end, "metrics.top_k_accuracy: class 4 is met, which is not one of 1 to 3")
  end)

  it("average precision is the area in steps", function()
    local scores, y = neap.tensor{0.1, 0.4, 0.35, 0.8}, labels{0, 0, 1, 1}
    near(1 / 2 + 1 / 2 * 2 / 3, metrics.average_precision(scores, y)) -- scikit-learn's example: 0.83
    near(1, metrics.average_precision(neap.tensor{1, 2, 3}, neap.tensor{1, 2, 3}:gt(1)))
    near(1 / 2, metrics.average_precision(neap.ones(4), y))
    near(1, metrics.average_precision(neap.ones(2), labels{1, 1}))
    assert.error_matches(function() metrics.average_precision(scores, labels{0, 0, 0, 0}) end, "metrics.average_precision: no truth is 1")
    assert.error_matches(function() metrics.average_precision(scores, y + 1) end, "metrics.average_precision: truth 3 is 2, not 0 or 1")
    assert.error_matches(function() metrics.average_precision(scores, scores) end, "truth 1 is 0.1, not 0 or 1")
  end)

  it("mean IoU of segmented images", function()
    local y = labels{{{1, 1, 2}, {2, 3, 3}}}
    local p = labels{{{1, 2, 2}, {2, 3, 1}}}
    local mean, each = metrics.mean_iou(p, y)
    near(1 / 3, each[1])
    near(2 / 3, each[2])
    near(1 / 2, each[3])
    near(1 / 2, mean)
    local scores = neap.one_hot(p, 4):float():movedim(-1, 2)
    mean, each = metrics.mean_iou(scores, y)
    near(1 / 2, mean)
    assert.is_true(each[4] ~= each[4])
    near((1 / 2 + 2 / 3) / 2, (metrics.mean_iou(p, y, {ignore_index = 3})))
    near((2 / 3 + 3 / 4) / 2, (metrics.mean_iou(p:eq(2), y:eq(2))))
    for text, args in pairs{
      ["metrics.mean_iou: takes scores (N, C, ...) or classes (N, ...), and classes (N, ...); not (1, 2, 3) and (2, 3)"] = {p, y[1]},
      ["metrics.mean_iou: scores (1, 1, 2, 3) have one channel"] = {p:unsqueeze(2), y},
      ["metrics.mean_iou: class 0 is met, which is not one of 1 to 4; classes count from 1: add 1"] = {scores, y - 1},
      ["metrics.mean_iou: class 3 is met, which is not one of 1 to 2"] = {p, y, {classes = 2}},
      ["metrics.mean_iou: takes two tensors, not nil and a neap.Tensor"] = {nil, y},
      ["metrics.mean_iou: there are no places to compare"] = {y, y, {ignore_index = 1}},
    } do
      if text:find "no places" then args[2] = neap.ones_like(y) end
      local good, message = pcall(metrics.mean_iou, table.unpack(args, 1, 3))
      assert.is_false(good, text)
      assert.matches(text, message, 1, true)
    end
  end)

  it("mean average precision of boxes", function()
    local function boxes(list) return neap.tensor(list) end
    local truths = {{boxes = boxes{{0, 0, 10, 10}, {20, 20, 30, 30}}, labels = labels{1, 1}}, {boxes = boxes{{0, 0, 4, 4}}, labels = labels{2}}}
    local predictions = {
      {boxes = boxes{{0, 0, 10, 9}, {50, 50, 60, 60}, {20, 20, 30, 26}, {0, 0, 10, 10}}, scores = neap.tensor{0.9, 0.8, 0.7, 0.6}, labels = labels{1, 1, 1, 1}},
      {boxes = boxes{{0, 0, 4, 4}}, scores = neap.tensor{0.3}, labels = labels{2}},
    }
    local mean, each = metrics.mean_average_precision(predictions, truths)
    near(1 / 2 + 1 / 2 * 2 / 3, each[1]) -- found, wrong, found, found again
    near(1, each[2])
    near((5 / 6 + 1) / 2, mean)
    mean, each = metrics.mean_average_precision(predictions, truths, {iou = {0.5, 0.8}})
    near((5 / 6 + 1 / 2) / 2, each[1])
    near((each[1] + 1) / 2, mean)
    local none = {boxes = neap.zeros(0, 4), scores = neap.zeros(0)}
    near(0, (metrics.mean_average_precision({none}, {{boxes = boxes{{0, 0, 1, 1}}}})))
    near(1, (metrics.mean_average_precision({none, {boxes = boxes{{0, 0, 1, 1}}, scores = neap.ones(1)}}, {none, {boxes = boxes{{0, 0, 1, 1}}}})))
    for text, args in pairs{
      ["there are predictions for 1 images and truths for 2"] = {{none}, {none, none}},
      ["there are no true boxes"] = {{none}, {none}},
      ["truth 1: boxes is a tensor (n, 4), x1, y1, x2, y2, not a table"] = {{none}, {{boxes = {}}}},
      ["prediction 1: scores is a tensor (n), one for each of 0 boxes, not nil"] = {{{boxes = none.boxes}}, {none}},
      ["truth 1: labels is a tensor (n), one for each of 0 boxes, not (3)"] = {{none}, {{boxes = none.boxes, labels = neap.ones(3)}}},
      ["iou is a number above 0 and up to 1, or a list of them, not a number (50)"] = {{none}, {none}, {iou = 50}},
      ["predictions is not a table, but nil"] = {nil, {none}},
    } do
      local good, message = pcall(metrics.mean_average_precision, table.unpack(args, 1, 3))
      assert.is_false(good, text)
      assert.matches("metrics.mean_average_precision: " .. text, message, 1, true)
    end
  end)

  it("auc is the share of pairs in their right order, ties half", function()
    neap.seed(6)
    local score, label, sum, pairs_met = neap.randint(0, 40, {300}), neap.rand(300):lt(0.3), 0, 0
    local s, t = score:totable(), label:totable()
    for i = 1, 300 do
      for j = 1, 300 do
        if t[i] and not t[j] then
          pairs_met = pairs_met + 1
          sum = sum + (s[i] > s[j] and 1 or s[i] == s[j] and 0.5 or 0)
        end
      end
    end
    near(sum / pairs_met, metrics.auc(metrics.roc_curve(score:float(), label)))
  end)

  it("agree with a count by hand on many predictions", function()
    neap.seed(4)
    local y, p = neap.randint(1, 6, {500}), neap.randint(1, 6, {500})
    local matrix, right = metrics.confusion_matrix(p, y, 5):totable(), 0
    local counted = {}
    for i = 1, 5 do counted[i] = {0, 0, 0, 0, 0} end
    local a, b = y:totable(), p:totable()
    for i = 1, 500 do
      counted[a[i]][b[i]] = counted[a[i]][b[i]] + 1
      if a[i] == b[i] then right = right + 1 end
    end
    assert.same(counted, matrix)
    near(right / 500, metrics.accuracy(p, y))
  end)

  it("name what does not fit", function()
    assert.matches("metrics_spec.lua:%d+: metrics.accuracy: argument 1 is nil, not a tensor",
      select(2, pcall(function() metrics.accuracy(nil, truth) end)))
    assert.error_matches(function() metrics.accuracy(neap.zeros(0, 3), neap.zeros({0}, {dtype = "int64"})) end, "no predictions")
    for text, args in pairs{
      ["scores (6, 1) have one column, not one a class; a threshold makes two classes of it, no and yes: scores:squeeze(2):gt(0.5)"] = {neap.rand(6, 1), truth},
      ["prediction 2 is 0.25, and classes are whole numbers; a threshold makes two classes of scores, no and yes: scores:gt(0.5)"] =
        {neap.tensor{1, 0.25, 1, 1, 1, 1}, truth},
      ["label 1 is 0.5, and classes are whole numbers"] = {predicted, truth / 2},
      ["class 0 is met, which is not one of 1 to 3; classes count from 1: add 1 to what counts from 0"] = {predicted, truth - 1},
      ["class 0 is met, which is not one of 1 to 2; classes count from 1"] = {neap.rand(6, 2), truth:eq(1):long()},
      ["class 3 is met, which is not one of 1 to 2"] = {neap.rand(6, 2), truth},
    } do
      for _, name in ipairs{"accuracy", "confusion_matrix", "precision", "recall", "f1"} do
        local good, message = pcall(metrics[name], args[1], args[2])
        assert.is_false(good, text)
        assert.matches(("metrics.%s: %s"):format(name, text), message, 1, true)
      end
    end
    assert.error_matches(function() metrics.f1(predicted, truth, {classes = 2}) end, "metrics.f1: class 3 is met, which is not one of 1 to 2")
    assert.error_matches(function() metrics.f1(predicted, truth, {classes = 2.5}) end, "metrics.f1: the number of classes is a whole number")
    assert.error_matches(function() metrics.confusion_matrix(predicted, truth, 2) end, "class 3 is met, which is not one of 1 to 2")
    assert.error_matches(function() metrics.confusion_matrix(predicted - 1, truth) end, "class 0 is met")
    assert.error_matches(function() metrics.f1(predicted, truth, {average = "binary", positive = 4}) end, "no class 4; there are 3")
    assert.error_matches(function() metrics.roc_curve(neap.tensor{0 / 0, 1}, labels{1, 0}) end, "score 1 is NaN")
    assert.error_matches(function() metrics.roc_curve(3, truth) end, "takes two tensors, not a number")
    assert.error_matches(function() metrics.auc({1, 2}, {1}) end, "not of 2 and 1")
  end)

  it("is 0, not NaN, for a class that nobody predicts", function()
    near(0, metrics.precision(labels{1, 1}, labels{1, 2}, {average = "none"})[2])
  end)

  it("roc_curve and auc", function()
    local scores, y = neap.tensor{0.1, 0.4, 0.35, 0.8}, labels{0, 0, 1, 1}
    local fpr, tpr, thresholds = metrics.roc_curve(scores, y)
    assert.same({0.0, 0.0, 0.5, 0.5, 1.0}, fpr)
    assert.same({0.0, 0.5, 0.5, 1.0, 1.0}, tpr)
    assert.equal(math.huge, thresholds[1])
    near(0.75, metrics.auc(fpr, tpr))
    near(1, metrics.auc(metrics.roc_curve(neap.tensor{1, 2, 3}, neap.tensor{1, 2, 3}:gt(1))))
    near(0.5, metrics.auc(metrics.roc_curve(neap.tensor{1, 1, 1, 1}, y)))
    assert.error_matches(function() metrics.roc_curve(scores, labels{1, 1, 1, 1}) end, "needs both")
    assert.error_matches(function() metrics.roc_curve(neap.zeros(0), neap.zeros({0}, {dtype = "int64"})) end, "needs both")
    assert.error_matches(function() metrics.roc_curve(scores, labels{1, 2, 1, 2}) end, "not 0 or 1")
  end)
end)
