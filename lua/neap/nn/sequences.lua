-- sequences: rows of several lengths as one tensor, and back. What a recurrent layer takes with them are their lengths.

local core = require "neap.core"
local check = require "neap.check"

local sequences = {}

local function each(what, list)
  check.kind(what .. ": the sequences", list, "table")
  for i, x in ipairs(list) do
    if not core.is_tensor(x) or x:dim() == 0 then check.fail("%s: sequence %d is %s, not a tensor of steps", what, i, check.describe(x)) end
  end
  if #list == 0 then check.fail("%s: there are no sequences in the list", what) end
  return list
end

--- Sequences (steps, ...) of several lengths side by side, and a tensor of their lengths: x, lengths. Options: batch_first
--- (false: x is (steps, batch, ...)), value or padding_value (0) of what is filled up. model(x, {lengths = lengths}) of a
--- recurrent layer stops each row at its own length.
function sequences.pad_sequence(list, options)
  options = check.options("nn.utils.pad_sequence", options, {"batch_first", "value", "padding_value"})
  local lengths, longest, rows = {}, 0, {}
  for i, x in ipairs(each("nn.utils.pad_sequence", list)) do
    lengths[i] = x:size(1)
    longest = math.max(longest, lengths[i])
  end
  for i, x in ipairs(list) do
    local widths = {}
    for d = 1, 2 * (x:dim() - 1) do widths[d] = 0 end
    widths[#widths + 1], widths[#widths + 2] = 0, longest - lengths[i]
    rows[i] = lengths[i] == longest and x or core.pad(x, widths, "constant", options.value or options.padding_value or 0)
  end
  return core.stack(rows, options.batch_first and 1 or 2), core.tensor(lengths, {dtype = "int64"})
end

--- The other way: a list of the rows of x, each as long as lengths, a tensor or a list, says. Options: batch_first.
function sequences.unpad_sequence(x, lengths, options)
  if core.is_tensor(lengths) then lengths = lengths:totable() end
  check.kind("nn.utils.unpad_sequence: lengths", lengths, "table")
  options = check.options("nn.utils.unpad_sequence", options, {"batch_first"})
  local batch, out = options.batch_first and 1 or 2, {}
  for i, n in ipairs(lengths) do out[i] = x:select(batch, i):narrow(1, 1, n) end
  return out
end

return sequences
