-- variants: layers that are others with some of their settings made, and what a layer of C has beside its row.

local core = require "neap.core"
local check = require "neap.check"
local Module = require "neap.nn.module"

local variants = {}
local layers = core.layers

--- softmax(-x) along dim.
local Softmin = Module.class "Softmin"
variants.Softmin = Softmin

function Softmin:init(dim)
  if type(dim) == "table" then dim = check.options("nn.Softmin", dim, {"dim"}).dim end
  self.dim = check.kind("nn.Softmin: dim", dim, "integer")
end

function Softmin:forward(x) return (-x):softmax(self.dim) end
function Softmin:extra_repr() return "dim=" .. self.dim end

--- The softmax over the channels of x (N, C, H, W) or (C, H, W), at each place.
function variants.Softmax2d() return layers.Softmax(-3) end

--- nn.NLLLoss by PyTorch's old name for images (N, C, H, W).
function variants.NLLLoss2d(...) return layers.NLLLoss(...) end

local Resized = Module.class "Upsample"

function Resized:init(options) self.options = options end
function Resized:forward(x) return core.interpolate(x, self.options) end
function Resized:extra_repr() return ("scale_factor={%s}"):format(table.concat(self.options.scale_factor, ", ")) end

--- The layer of C; with a list of factors, one for each dimension of the image, a layer of Lua.
function variants.Upsample(size, ...)
  if type(size) == "table" and type(size.scale_factor) == "table" then
    local known = {"size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"}
    return Resized(check.options("nn.Upsample", size, known))
  end
  return layers.Upsample(size, ...)
end

local function upsampling(what, settings)
  return function(size, scale_factor)
    local options = size
    if type(size) ~= "table" or #size > 0 then options = {size = size, scale_factor = scale_factor} end
    check.options(what, options, {"size", "scale_factor"})
    return variants.Upsample {
      size = options.size, scale_factor = options.scale_factor, mode = settings.mode, align_corners = settings.align_corners,
    }
  end
end

--- nn.Upsample with mode = "nearest": nn.UpsamplingNearest2d{scale_factor = 2}.
variants.UpsamplingNearest2d = upsampling("nn.UpsamplingNearest2d", {mode = "nearest"})

--- nn.Upsample with mode = "bilinear" and align_corners = true.
variants.UpsamplingBilinear2d = upsampling("nn.UpsamplingBilinear2d", {mode = "bilinear", align_corners = true})

local settings = {"padding_idx", "max_norm", "norm_type", "scale_grad_by_freq"}

local function from_pretrained(weight, options)
  local what = "nn.Embedding.from_pretrained"
  options = check.options(what, options, {"freeze", table.unpack(settings)})
  if not core.is_tensor(weight) or weight:dim() ~= 2 then
    check.fail("%s: takes a tensor (num_embeddings, embedding_dim), not %s", what, check.describe(weight))
  end
  local own, state = {}, core.get_rng_state()
  for _, name in ipairs(settings) do own[name] = options[name] end
  local layer = layers.Embedding(weight:size(1), weight:size(2), own):to(weight.dtype)
  core.set_rng_state(state)
  layer.weight = Module.Parameter(weight:detach(), {requires_grad = options.freeze == false})
  return layer
end

variants.Embedding = setmetatable({from_pretrained = from_pretrained}, {
  __call = function(_, ...) return layers.Embedding(...) end,
})

return variants
