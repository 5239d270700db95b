-- Neap against PyTorch, case by case: the two sides take turns, so that a machine that slows down slows both, and each
-- case ends with the ratio of the medians of their medians.
--   neap scripts/bench/run.lua --torch PATH/torch_bench.py --python PATH/python
--   neap scripts/bench/run.lua --script product.lua --torch scripts/bench/product_torch.py --cases all --python PATH/python

local options = (require "neap" and require "neap.args") (arg, [[
Alternates Neap's side of a benchmark with PyTorch's and prints how many times faster Neap is.
  --script FILE=train.lua   Neap's side, beside this file: takes --cases --time and prints a JSON line a case
  --torch FILE      the PyTorch side: a script that takes --threads --cases --time and prints a JSON line a case
  --python FILE=python3   the Python that has torch
  --neap FILE=build/neap  the program
  --cases LIST=mnist_softmax,mlp   which, with commas; all: those that the script's --list prints
  --threads N=1     of each side
  --rounds N=3      how often the two take turns
  --time N=3        seconds a case and turn
]])

if not options.torch then
  io.stderr:write "run: give --torch FILE, the script of PyTorch's side; --help shows all\n"
  os.exit(2, true)
end

local script = (arg[0]:match "^(.*)/[^/]*$" or ".") .. "/" .. options.script

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Both sides choose their kernels freely: what the machine's environment says about OpenBLAS is taken out.
local function measure(command)
  local line = ("env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE NEAP_NUM_THREADS=%d OMP_NUM_THREADS=%d %s")
    :format(options.threads, options.threads, command)
  local pipe = assert(io.popen(line))
  local text = pipe:read "a"
  local ok = pipe:close()
  local ms = tonumber(text:match '"ms_median": ([%d.e+-]+)')
  if not ok or not ms then
    io.stderr:write("run: no result from: ", line, "\n", text)
    os.exit(1, true)
  end
  return ms
end

local function median(list)
  table.sort(list)
  return (list[(#list + 1) // 2] + list[#list // 2 + 1]) / 2
end

if options.cases == "all" then
  local pipe = assert(io.popen(("%s %s --list"):format(quoted(options.neap), quoted(script))))
  options.cases = pipe:read "l" or ""
  pipe:close()
end

print(("%-16s %12s %12s %8s   (%d thread%s, %d rounds)"):format("case", "neap ms", "torch ms", "ratio", options.threads,
  options.threads == 1 and "" or "s", options.rounds))
for case in options.cases:gmatch "[^,]+" do
  local ours, theirs, ratios = {}, {}, {}
  for i = 1, options.rounds do
    ours[i] = measure(("%s %s --cases %s --time %s"):format(quoted(options.neap), quoted(script), case,
      options.time))
    theirs[i] = measure(("%s %s --threads %d --cases %s --time %s"):format(quoted(options.python),
      quoted(options.torch), options.threads, case, options.time))
    ratios[i] = theirs[i] / ours[i]
  end
  local low, high = math.min(table.unpack(ratios)), math.max(table.unpack(ratios))
  local a, b = median(ours), median(theirs)
  print(("%-16s %12.4f %12.4f %8.2f   from %.2f to %.2f"):format(case, a, b, b / a, low, high))
end
