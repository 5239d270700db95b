-- measure: what a training watches, a loss or an accuracy, as a plain number: it comes as one, or as a tensor of one element.

local core = require "neap.core"
local check = require "neap.check"

--- The number that value is, or holds. what: the beginning of the error otherwise.
return function(what, value)
  if not core.is_tensor(value) then return check.kind(what, value, "number") end
  if value:numel() ~= 1 then check.fail("%s has shape %s; it is one number", what, tostring(value.shape)) end
  return value:item()
end
