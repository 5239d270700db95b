-- losses: layers of losses that take a function of the script's, and of losses that have layers of their own; all others are
-- rows of C's layer table.

local core = require "neap.core"
local check = require "neap.check"
local Module = require "neap.nn.module"

local losses = {}

--- neap.triplet_margin_with_distance_loss as a layer of anchor, positive and negative: nn.TripletMarginWithDistanceLoss{
--- distance_function = f, margin = 1, swap = false, reduction = "mean"}.
local TripletMarginWithDistanceLoss = Module.class "TripletMarginWithDistanceLoss"
losses.TripletMarginWithDistanceLoss = TripletMarginWithDistanceLoss

function TripletMarginWithDistanceLoss:init(options) self.options = options end

function TripletMarginWithDistanceLoss:forward(anchor, positive, negative)
  return core.triplet_margin_with_distance_loss(anchor, positive, negative, self.options)
end

--- A softmax over many classes of which the first are the most frequent (Grave et al., 2017): the head tells the classes up
--- to cutoffs[1] and the clusters behind it apart, a tail the classes of a cluster, from in_features / div_value^i numbers.
--- m(x, target), x (N, in_features), gives the log-probability of each target and minus their mean; m:log_prob(x) those of all
--- classes, m:predict(x) the likeliest. Options: div_value = 4, head_bias = false.
local AdaptiveLogSoftmaxWithLoss = Module.class "AdaptiveLogSoftmaxWithLoss"
losses.AdaptiveLogSoftmaxWithLoss = AdaptiveLogSoftmaxWithLoss

function AdaptiveLogSoftmaxWithLoss:init(in_features, n_classes, cutoffs, options)
  local what = "AdaptiveLogSoftmaxWithLoss"
  options = check.options(what, options, {"div_value", "head_bias"})
  check.kind(what .. ": cutoffs", cutoffs, "table")
  local edges = table.move(cutoffs, 1, #cutoffs, 1, {})
  edges[#edges + 1] = n_classes
  for i, edge in ipairs(edges) do
    if math.type(edge) ~= "integer" or edge <= (edges[i - 1] or 0) or #edges < 2 then
      check.fail("%s: cutoffs are numbers of classes that rise, from 1 to less than n_classes", what)
    end
  end
  local linear = core.layers.Linear
  self.edges, self.short = edges, edges[1]
  self.head = linear(in_features, self.short + #edges - 1, {bias = options.head_bias or false})
  self.tail = {}
  for i = 1, #edges - 1 do
    local width = math.floor(in_features / (options.div_value or 4) ^ i)
    self.tail[i] = core.sequential{linear(in_features, width, {bias = false}), linear(width, edges[i + 1] - edges[i], {bias = false})}
  end
end

function AdaptiveLogSoftmaxWithLoss:forward(x, target)
  if x:dim() == 1 then
    local y, loss = self:forward(x:unsqueeze(1), target:reshape(1))
    return y:squeeze(1), loss
  end
  if target:numel() > 0 and (target:amin():item() < 1 or target:amax():item() > self.edges[#self.edges]) then
    check.fail("AdaptiveLogSoftmaxWithLoss: a target is %d, 1 to %d are allowed", target:amin():item() < 1 and target:amin():item() or
      target:amax():item(), self.edges[#self.edges])
  end
  local out, clusters = core.zeros(x:size(1), {dtype = x.dtype}), core.zeros_like(target)
  for i, tail in ipairs(self.tail) do
    local low, high = self.edges[i], self.edges[i + 1]
    clusters = clusters + target:gt(low):to(target.dtype)
    local rows = target:gt(low):logical_and(target:le(high)):nonzero():reshape(-1)
    if rows:numel() > 0 then
      local among = tail(x:index_select(1, rows)):log_softmax(2)
      out = out:index_copy(1, rows, among:gather(2, (target:index_select(1, rows) - low):unsqueeze(2)):squeeze(2))
    end
  end
  local place = core.where(target:le(self.short), target, clusters + self.short)
  local y = out + self.head(x):log_softmax(2):gather(2, place:unsqueeze(2)):squeeze(2)
  return y, -y:mean()
end

function AdaptiveLogSoftmaxWithLoss:log_prob(x)
  local head = self.head(x):log_softmax(-1)
  local parts = {head:narrow(-1, 1, self.short)}
  for i, tail in ipairs(self.tail) do parts[i + 1] = tail(x):log_softmax(-1) + head:narrow(-1, self.short + i, 1) end
  return core.cat(parts, -1)
end

function AdaptiveLogSoftmaxWithLoss:predict(x) return self:log_prob(x):argmax(-1) end

return losses
