-- utils: nn.utils, what is done to many parameters or gradients at once. Where a list of parameters is taken, a module will do
-- as well, and then errors know the parameters by name.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

local utils = {}

-- A list of parameters, and their names where they are known.
local function list_of(what, parameters)
  if core.is_tensor(parameters) then return {parameters}, {} end
  if tree.is_module(parameters) then
    local list, names = {}, {}
    for name, parameter in parameters:named_parameters() do list[#list + 1], names[#names + 1] = parameter, name end
    return list, names
  end
  if type(parameters) ~= "table" then
    check.fail("%s: takes a model or a list of parameters, not %s", what, check.describe(parameters))
  end
  if #parameters > 0 or next(parameters) == nil then return parameters, {} end
  local list, names = {}, {}
  for name in pairs(parameters) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = parameters[name] end
  return list, names
end

local function quoted(names, i) return names[i] and ("'%s'"):format(names[i]) or ("parameter %d"):format(i) end

-- Raises with the name of the first gradient that is not finite.
local function fail_nonfinite(what, list, names, norm)
  for i, parameter in ipairs(list) do
    local grad = parameter.grad
    if grad and not grad:isfinite():all():item() then
      local bad = grad:isnan():any():item() and "NaN" or "Inf"
      check.fail("%s: the gradient of %s has %s in it; the norm of all is %s", what, quoted(names, i), bad, norm)
    end
  end
  check.fail("%s: the norm of all gradients is %s, though each of them is finite", what, norm)
end

local function is_finite(x) return x == x and math.abs(x) ~= math.huge end

--- The common p-norm (2) of all gradients; options.error_if_nonfinite = true raises, with the name of the parameter, where a
--- gradient has NaN or Inf in it.
function utils.get_total_norm(parameters, p, options)
  options = check.options("get_total_norm", options, {"error_if_nonfinite"})
  local list, names = list_of("get_total_norm", parameters)
  local norm = core.clip_grad_norm_(list, math.huge, p or 2)
  if options.error_if_nonfinite and not is_finite(norm) then fail_nonfinite("get_total_norm", list, names, norm) end
  return norm
end

-- Settings by PyTorch's names in `order`, and those that stand in a table alone.
local function settings(what, order, more, ...)
  local given = table.pack(...)
  while given.n > 0 and given[given.n] == nil do given.n = given.n - 1 end
  return check.settings(what, order, more, given)
    or check.fail("%s: the last argument is a table of options, not %s", what, check.describe(given[given.n]))
end

--- Scales all gradients so that their common p-norm (norm_type: 2) is at most max_norm, and returns the norm before. Takes a
--- model, a list of parameters, or a table of them by name. Options, in order or in a last table: max_norm, norm_type; in the
--- table: error_if_nonfinite = true raises, with the name of the parameter, where a gradient has NaN or Inf in it, and leaves
--- all as they are.
function utils.clip_grad_norm_(parameters, max_norm, norm_type, options)
  local given = settings("clip_grad_norm_", {"max_norm", "norm_type"}, {"error_if_nonfinite"}, max_norm, norm_type, options)
  local list, names = list_of("clip_grad_norm_", parameters)
  check.kind("clip_grad_norm_: max_norm", given.max_norm, "number")
  local p = check.kind("clip_grad_norm_: norm_type", given.norm_type or 2, "number")
  if given.error_if_nonfinite then
    local norm = core.clip_grad_norm_(list, math.huge, p)
    if not is_finite(norm) then fail_nonfinite("clip_grad_norm_", list, names, norm) end
  end
  return core.clip_grad_norm_(list, given.max_norm, p)
end

--- Cuts each element of all gradients to [-clip_value, clip_value]; also as {clip_value = number}. Takes what clip_grad_norm_ does.
function utils.clip_grad_value_(parameters, clip_value)
  local given = settings("clip_grad_value_", {"clip_value"}, {}, clip_value)
  local list = list_of("clip_grad_value_", parameters)
  core.clip_grad_value_(list, check.kind("clip_grad_value_: clip_value", given.clip_value, "number"))
end

--- All parameters in one tensor of one dimension, differentiable.
function utils.parameters_to_vector(parameters)
  local flat = {}
  for i, parameter in ipairs(list_of("parameters_to_vector", parameters)) do flat[i] = parameter:flatten() end
  if #flat == 0 then check.fail "parameters_to_vector: there are no parameters" end
  return core.cat(flat)
end

--- Writes the elements of a vector into the parameters, in order.
function utils.vector_to_parameters(vector, parameters)
  local list, n = list_of("vector_to_parameters", parameters), 0
  for _, parameter in ipairs(list) do n = n + parameter:numel() end
  if not core.is_tensor(vector) or #vector.shape ~= 1 or vector.shape[1] ~= n then
    check.fail("vector_to_parameters: takes a vector of %d elements, not %s", n, check.describe(vector))
  end
  local _ <close> = core.no_grad()
  local at = 1
  for _, parameter in ipairs(list) do
    parameter:copy_(vector:narrow(1, at, parameter:numel()):reshape(parameter.shape))
    at = at + parameter:numel()
  end
end

--- Keeps weights short, after an optimizer's step: each parameter of two dimensions or more is scaled so that no slice along
--- dimension dim (1: what goes into one unit) has a p-norm (2) above max_norm (Srivastava et al., 2014). Options: p, dim.
function utils.max_norm_(parameters, max_norm, options)
  options = check.options("max_norm_", options, {"p", "dim"})
  check.kind("max_norm_: max_norm", max_norm, "number")
  local _ <close> = core.no_grad()
  for _, parameter in ipairs((list_of("max_norm_", parameters))) do
    if parameter:dim() >= 2 then parameter:copy_(parameter:detach():renorm(options.p or 2, options.dim or 1, max_norm)) end
  end
end

return utils
