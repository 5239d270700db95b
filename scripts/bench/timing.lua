-- How the benchmarks beside this file time things, and the JSON line that run.lua reads.

local neap = require "neap"

local timing = {}

--- Seconds a call of f, which is called in runs of `inner` for so many seconds: one number a run, rising.
function timing.time(f, inner, seconds)
  for _ = 1, 2 * inner do f() end
  local times, stop = {}, neap.clock() + seconds
  while #times < 5 or neap.clock() < stop and #times < 2000 do
    local start = neap.clock()
    for _ = 1, inner do f() end
    times[#times + 1] = (neap.clock() - start) / inner
  end
  table.sort(times)
  return times
end

function timing.median(sorted)
  local n = #sorted
  return (sorted[(n + 1) // 2] + sorted[n // 2 + 1]) / 2
end

--- Prints the line of a case; more: further fields as JSON text, or "".
function timing.print(name, times, more)
  print(('{"case": "%s", "threads": %d, "ms_median": %.6f, "ms_min": %.6f, "reps": %d%s}'):format(name, neap.info().threads,
    timing.median(times) * 1e3, times[1] * 1e3, #times, more))
end

--- Times cases, a list of {name, make}: make() gives what is timed, each call in a scope of its own, in runs of `calls` or of
--- as many as make gives behind the function. Reads the options of the command line.
function timing.run(what, cases, calls)
  local names, makers = {}, {}
  for i, case in ipairs(cases) do names[i], makers[case[1]] = table.unpack(case) end
  local list = table.concat(names, ",")
  local options = require "neap.args" (arg, ([[
Times %s; prints one JSON line a case.
  --cases LIST=%s   which, with commas
  --time N=1        seconds a case
  --list            prints the names of the cases
]]):format(what, list))
  if options.list then
    print(list)
    return
  end
  neap.seed(0)
  for name in options.cases:gmatch "[^,]+" do
    if not makers[name] then error("no case " .. name .. "; there are " .. table.concat(names, ", "), 0) end
    local f, own = makers[name]()
    timing.print(name, timing.time(function()
      local _ <close> = neap.scope()
      f()
    end, own or calls, options.time), "")
  end
end

return timing
