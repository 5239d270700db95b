-- losses: layers of the losses that take a function of the script's; all others are rows of C's layer table.

local core = require "neap.core"
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

return losses
