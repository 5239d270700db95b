-- neap.linalg: the ops of the table's family of that name, under the names they have there.

local core = require "neap.core"
local check = require "neap.check"

local linalg = {}
for _, op in ipairs(core.ops()) do
  if op.family == "linalg" and not op.marks.hidden then linalg[(op.name:gsub("^linalg_", ""))] = core[op.name] end
end
return check.named("linalg", linalg)
