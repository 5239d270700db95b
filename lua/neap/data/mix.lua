-- mix: batches whose samples are mixtures of two, which makes a classifier's answers smooth between them. Nothing here knows
-- about models: a mixture is images, two lists of labels and the share of the first.

local core = require "neap.core"
local check = require "neap.check"

local mix = {}

-- A share from Beta(alpha, alpha), and an order in which each sample meets its partner.
local function draw(what, x, y, alpha, options)
  options = check.options(what, options, {"generator"})
  if not core.is_tensor(x) or x:dim() == 0 then check.fail("%s: x is a tensor with rows, not %s", what, check.describe(x)) end
  if y ~= nil and (not core.is_tensor(y) or y:dim() == 0 or #y ~= #x) then
    check.fail("%s: y is a tensor of as many rows as x, %d, not %s", what, #x,
      core.is_tensor(y) and "of shape " .. tostring(y.shape) or check.describe(y))
  end
  if alpha == nil then alpha = 1 end
  if type(alpha) ~= "number" or not (alpha >= 0) then check.fail("%s: alpha is a number from 0 on, not %s", what, check.describe(alpha)) end
  local order = core.randperm(#x, {generator = options.generator})
  if alpha == 0 then return 1.0, order end
  local pair = core.standard_gamma(core.full({2}, alpha, {dtype = "float64"}), {generator = options.generator}):totable()
  local sum = pair[1] + pair[2]
  return sum > 0 and pair[1] / sum or 0.5, order
end

--- Mixes each sample of a batch with another one: x, y, z, share = data.mixup(x, y, alpha): x is share of a sample plus the rest of its
--- partner, y and z are the labels of the two, and share is drawn from Beta(alpha, alpha) for the batch; alpha = 1 (Zhang et
--- al., 2018). y may be nil. The loss of such a batch: data.mixed(loss, output, y, z, share).
function mix.mixup(x, y, alpha, options)
  local share, order = draw("data.mixup", x, y, alpha, options)
  if not x:is_floating_point() then check.fail("data.mixup: x must hold floats, not %s", x.dtype) end
  return x:index_select(1, order):lerp(x, share), y, y and y:index_select(1, order), share
end

-- Where a box of a share of the area lies along one side: first and last, cut off at the ends.
local function side(size, share, middle)
  local half = math.floor(size * math.sqrt(share)) / 2
  local centre = middle * size
  return math.max(0, math.floor(centre - half)), math.min(size, math.floor(centre + half))
end

--- Puts a box of another sample into each image of a batch (..., H, W): x, y, z, share = data.cutmix(x, y, alpha), as data.mixup; the
--- box takes about 1 - share of the area, drawn from Beta(alpha, alpha), and share is what is left of the first (Yun et al., 2019).
function mix.cutmix(x, y, alpha, options)
  local share, order = draw("data.cutmix", x, y, alpha, options)
  if x:dim() < 3 then check.fail("data.cutmix: x is a batch of images (..., H, W), not %s", tostring(x.shape)) end
  local H, W = x.shape[x:dim() - 1], x.shape[x:dim()]
  local place = core.rand(2, {generator = options and options.generator}):totable()
  local top, bottom = side(H, 1 - share, place[1])
  local left, right = side(W, 1 - share, place[2])
  local out = x:clone()
  if bottom > top and right > left then
    local function box(t) return t:narrow(-2, top + 1, bottom - top):narrow(-1, left + 1, right - left) end
    box(out):copy_(box(x:index_select(1, order)))
  end
  return out, y, y and y:index_select(1, order), 1 - (bottom - top) * (right - left) / (H * W)
end

--- The loss of a mixture: share of that for y and the rest of that for z. loss: a function of an output and labels.
function mix.mixed(loss, output, y, z, share)
  return loss(output, y) * share + loss(output, z) * (1 - share)
end

return mix
