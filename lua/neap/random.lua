-- random: what random numbers get from Lua: the state of Neap's own generator, and normal numbers of given means.

local core = require "neap.core"
local check = require "neap.check"

--- The state of Neap's own generator, {seed, offset}: set_rng_state makes what follows repeat.
function core.get_rng_state() return core.default_generator():get_state() end

--- Sets it to what get_rng_state gave.
function core.set_rng_state(state) core.default_generator():set_state(state) end

local options_of_normal = {"dtype", "generator"}

--- Normal numbers of the given mean and standard deviation, numbers or tensors that broadcast; for two numbers `size`
--- is a list. No gradient flows to them. Options: dtype (when both are numbers), generator.
function core.normal(mean, std, size, options)
  if options == nil and type(size) == "table" and size[1] == nil and next(size) then size, options = nil, size end
  options = check.options("normal", options, options_of_normal)
  std = std or 1
  local tensor = core.is_tensor(mean) and mean or core.is_tensor(std) and std
  if not tensor and not size then
    check.fail "normal: with a mean and a standard deviation that are numbers, say the size: normal(0, 1, {2, 3})"
  end
  local _ <close> = core.no_grad()
  if (core.is_tensor(std) and std:numel() > 0 and not std:ge(0):all():item()) or type(std) == "number" and not (std >= 0) then
    check.fail "normal: std must be at least 0 everywhere"
  end
  if not tensor then return core.empty(size, {dtype = options.dtype}):normal_(mean, std, {generator = options.generator}) end
  if size then check.fail "normal: the size is that of mean and std, which are tensors" end
  local shape = core.is_tensor(mean) and core.is_tensor(std) and (mean + std).shape or tensor.shape
  return core.randn(shape, {dtype = tensor.dtype, generator = options.generator}) * std + mean
end

core.tensor_methods.normal = core.normal
