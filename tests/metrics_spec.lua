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
    assert.error_matches(function() metrics.f1(predicted, truth, {average = "all"}) end, "average is 'macro'")
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
