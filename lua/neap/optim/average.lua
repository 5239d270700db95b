-- average: averages of a model's weights over its training, as torch.optim.swa_utils has them. The averaged model is a
-- copy with tensors of its own; it is a module, so that it computes, is saved and loaded like any other, under PyTorch's names.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local class = require "neap.nn.module".class
local each = require "neap.data.each"

local average = {}

local function check_decay(what, decay)
  if decay == nil then return 0.999 end
  if type(decay) ~= "number" or decay < 0 or decay > 1 then
    check.fail("%s: the decay is from 0 to 1, not %s", what, check.describe(decay))
  end
  return decay
end

--- f(average, weight, n) -> decay * average + (1 - decay) * weight, for AveragedModel: an exponential moving average.
function average.get_ema_avg_fn(decay)
  decay = check_decay("get_ema_avg_fn", decay)
  return function(mean, weight) return mean:lerp(weight, 1 - decay) end
end

--- The same over two lists of tensors, in place.
function average.get_ema_multi_avg_fn(decay)
  decay = check_decay("get_ema_multi_avg_fn", decay)
  return function(means, weights)
    for i, mean in ipairs(means) do mean:lerp_(weights[i], 1 - decay) end
  end
end

--- f(average, weight, n) -> average + (weight - average) / (n + 1), for AveragedModel: all weights count the same.
function average.get_swa_avg_fn()
  return function(mean, weight, n) return mean:lerp(weight, 1 / (n + 1)) end
end

--- The same over two lists of tensors, in place.
function average.get_swa_multi_avg_fn()
  return function(means, weights, n)
    for i, mean in ipairs(means) do mean:lerp_(weights[i], 1 / (n + 1)) end
  end
end

--- A copy of a model that averages the weights it is shown: update_parameters(model) after each step or epoch. By default all
--- count the same (Izmailov et al., 2018); options.avg_fn or multi_avg_fn is one of the functions of neap.optim.swa_utils, or one
--- of yours: avg_fn(average, weight, n) returns the new average, multi_avg_fn(averages, weights, n) writes it. Buffers are
--- copied, or averaged too with use_buffers = true.
local AveragedModel = class "AveragedModel"

function AveragedModel:init(model, options)
  options = check.options("AveragedModel", options, {"avg_fn", "multi_avg_fn", "use_buffers"})
  if not tree.is_module(model) then check.fail("AveragedModel: takes a model, not %s", check.describe(model)) end
  for _, name in ipairs{"avg_fn", "multi_avg_fn"} do
    local f = options[name]
    if f ~= nil and type(f) ~= "function" then
      check.fail("AveragedModel: %s is a function, such as optim.swa_utils.get_ema_%s(0.999), not %s", name, name, check.describe(f))
    end
  end
  check.kind("AveragedModel: use_buffers", options.use_buffers, "boolean|nil")
  if options.avg_fn and options.multi_avg_fn then check.fail "AveragedModel: takes avg_fn or multi_avg_fn, not both" end
  self.module = model:clone()
  self:register_buffer("n_averaged", core.tensor(0, {dtype = "int64"}))
  rawset(self, "how", {
    one = options.avg_fn, all = options.multi_avg_fn or average.get_swa_multi_avg_fn(), buffers = options.use_buffers,
  })
end

function AveragedModel:forward(...) return self.module(...) end

local function copy_all(to, from)
  for i, tensor in ipairs(to) do tensor:copy_(from[i]) end
end

-- The tensors of floats among those of one list, and their like in the other: what can be averaged.
local function averaged(means, weights)
  local a, b = {}, {}
  for i, mean in ipairs(means) do
    if mean:is_floating_point() then a[#a + 1], b[#b + 1] = mean:detach(), weights[i]:detach() end
  end
  return a, b
end

--- Takes the weights of the model into the average; the first time they are the average.
function AveragedModel:update_parameters(model)
  local _ <close> = core.no_grad()
  local own, its, how = self.module:parameters(), model:parameters(), self.how
  local own_buffers, its_buffers = self.module:buffers(), model:buffers()
  if #own ~= #its or #own_buffers ~= #its_buffers then
    check.fail("AveragedModel: the model has %d parameters and %d buffers, the average %d and %d", #its, #its_buffers, #own, #own_buffers)
  end
  local n = self.n_averaged:item()
  if how.buffers then
    table.move(own_buffers, 1, #own_buffers, #own + 1, own)
    table.move(its_buffers, 1, #its_buffers, #its + 1, its)
  end
  local means, weights = averaged(own, its)
  if n == 0 then copy_all(own, its)
  elseif how.one then
    for i, mean in ipairs(means) do mean:copy_(how.one(mean, weights[i], n)) end
  else
    how.all(means, weights, n)
  end
  if not how.buffers then copy_all(own_buffers, its_buffers) end
  self.n_averaged:fill_(n + 1)
end

average.AveragedModel = AveragedModel

-- ---- batch norms ----

-- The layers of a model that keep statistics of batches.
local function batch_norms(model)
  local list = {}
  for _, layer in ipairs(model:modules()) do
    if tree.name(layer):find "^BatchNorm" and core.is_tensor(layer.running_mean) then list[#list + 1] = layer end
  end
  return list
end

-- What a layer's running statistics say of the last batch: they began at 0.
local function of_batch(layer, name)
  return layer.cumulative and layer[name] or layer[name] / layer.momentum
end

local statistics = {"running_mean", "running_var"}

--- Sets the running statistics of a model's batch norms to their means over the batches of data (a loader, or a function that
--- returns an iterator over x, ...): those of averaged weights are not known otherwise. The model's modes stay what they are.
function average.update_bn(data, model)
  if not tree.is_module(model) then check.fail("update_bn: takes data and a model, not %s", check.describe(model)) end
  each.check("update_bn", data)
  local layers, means, n = batch_norms(model), {}, 0
  if #layers == 0 then return end
  for i, layer in ipairs(layers) do
    if not layer.cumulative and layer.momentum == 0 then check.fail "update_bn: a batch norm with momentum 0 learns nothing" end
    means[i] = {}
    for _, name in ipairs(statistics) do means[i][name] = core.zeros_like(layer[name]) end
  end
  local _ <close> = each.modes(model)
  model:train()
  local _ <close> = core.no_grad()
  for x in each.iterate(data) do
    local _ <close> = core.scope()
    n = n + 1
    for _, layer in ipairs(layers) do
      layer.num_batches_tracked:fill_(0)
      for _, name in ipairs(statistics) do layer[name]:fill_(0) end
    end
    model(x)
    for i, layer in ipairs(layers) do
      for _, name in ipairs(statistics) do
        means[i][name]:lerp_(of_batch(layer, name), 1 / n)
      end
    end
  end
  if n == 0 then check.fail "update_bn: the data has no batches" end
  for i, layer in ipairs(layers) do
    for _, name in ipairs(statistics) do layer[name]:copy_(means[i][name]) end
    layer.num_batches_tracked:fill_(n)
  end
end

return average
