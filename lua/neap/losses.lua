-- losses: those that take a function of the script's: a distance, a critic. All others are ops.

local core = require "neap.core"
local check = require "neap.check"

local function reduced(what, loss, how)
  if how == nil or how == "mean" then return loss:mean() end
  if how == "sum" then return loss:sum() end
  if how ~= "none" then check.fail("%s: reduction is %s; there is none, mean, sum", what, check.describe(how)) end
  return loss
end

local function one_shape(what, names, tensors)
  for i, t in ipairs(tensors) do
    if not core.is_tensor(t) then check.fail("%s: %s is %s, not a tensor", what, names[i], check.describe(t)) end
    if t.shape ~= tensors[1].shape then
      check.fail("%s: %s %s against %s %s: the shapes must be the same", what, names[1], tostring(tensors[1].shape), names[i],
        tostring(t.shape))
    end
  end
end

local function pairwise(a, b) return core.pairwise_distance(a, b) end

--- By how much each anchor (N, ...) is not nearer to its positive than to its negative by the margin, in distances of one's
--- own: distance_function(a, b) gives one number a row, by itself their pairwise_distance. Options: distance_function,
--- margin = 1, swap = false (takes the positive's distance to the negative where it is less), reduction = "mean".
function core.triplet_margin_with_distance_loss(anchor, positive, negative, options)
  local what = "triplet_margin_with_distance_loss"
  options = check.options(what, options, {"distance_function", "margin", "swap", "reduction"})
  one_shape(what, {"anchor", "positive", "negative"}, {anchor, positive, negative})
  local distance, margin = options.distance_function or pairwise, options.margin or 1
  if not (check.kind(what .. ": margin", margin, "number") > 0) then check.fail("%s: margin is %g, it must be above 0", what, margin) end
  local near, far = distance(anchor, positive), distance(anchor, negative)
  if options.swap then far = core.minimum(far, distance(positive, negative)) end
  return reduced(what, (near - far + margin):relu(), options.reduction)
end

--- What the critic of a Wasserstein GAN minimises (Arjovsky et al., 2017): the mean of its scores of generated samples less
--- that of real ones.
function core.wasserstein_critic_loss(real_scores, fake_scores) return fake_scores:mean() - real_scores:mean() end

--- What the generator of a Wasserstein GAN minimises: minus the mean of the critic's scores of generated samples.
function core.wasserstein_generator_loss(fake_scores) return -fake_scores:mean() end

--- The gradient penalty of a Wasserstein GAN (Gulrajani et al., 2017): lambda (|gradient of the critic| - 1)^2, the mean over
--- points drawn between real and fake samples (N, ...). It can be differentiated for the critic's parameters. Options:
--- lambda = 10, generator.
function core.gradient_penalty(critic, real, fake, options)
  options = check.options("gradient_penalty", options, {"lambda", "generator"})
  check.kind("gradient_penalty: the critic", critic, "function|table|userdata")
  one_shape("gradient_penalty", {"real", "fake"}, {real, fake})
  local n, shape = real.shape[1], {}
  if not n then check.fail("gradient_penalty: real and fake are (N, ...), not single numbers") end
  for i = 1, #real.shape do shape[i] = i == 1 and n or 1 end
  local t = core.rand(shape, {dtype = real.dtype, generator = options.generator})
  local x = core.lerp(fake:detach(), real:detach(), t):requires_grad_(true)
  local gradient = core.enable_grad(function()
    return core.grad({critic(x):sum()}, {x}, {create_graph = core.is_grad_enabled()})[1]
  end)
  return (gradient:reshape(n, -1):norm(2, 2) - 1):square():mean() * (options.lambda or 10)
end
