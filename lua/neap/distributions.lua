-- distributions: probability distributions, with PyTorch's names and meanings. Each is made of tensors that broadcast:
--
--   local d = neap.distributions.Normal(neap.zeros(3), 1)   -- or Normal{loc = ..., scale = ...}
--   d:sample{2}                  -- (2, 3), without a gradient;  d:rsample{2} carries it to loc and scale
--   d:log_prob(x)  d:entropy()  d:cdf(x)  d:icdf(p)  d.mean  d.variance  d.stddev  d.batch_shape  d.event_shape
--   neap.distributions.kl_divergence(p, q);  d:expand{4, 3} has a larger batch
--
-- Categories count from 1. Parameters and values out of range are errors; the option validate = false leaves the checks out.

local check = require "neap.check"

local distributions = {}

for _, part in ipairs {"continuous", "discrete", "vector"} do
  for name, class in pairs(require("neap.distributions." .. part)) do distributions[name] = class end
end

local kl = require "neap.distributions.kl"
distributions.kl_divergence, distributions.register_kl = kl.kl_divergence, kl.register_kl

return check.named("distributions", distributions)
