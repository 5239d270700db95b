-- A step of each update rule over about a million parameters, timed; optim_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script optim.lua --torch scripts/bench/optim_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

-- Name, rule, options, of the rules that PyTorch has too.
local cases = {
  {"sgd", "SGD"}, {"sgd_momentum", "SGD", {momentum = 0.9}}, {"adam", "Adam"}, {"adam_amsgrad", "Adam", {amsgrad = true}},
  {"adamw", "AdamW"}, {"nadam", "NAdam"}, {"radam", "RAdam"}, {"adamax", "Adamax"}, {"rmsprop", "RMSprop"},
  {"rmsprop_centered", "RMSprop", {centered = true, momentum = 0.9}}, {"adagrad", "Adagrad"}, {"adadelta", "Adadelta"},
  {"rprop", "Rprop"}, {"asgd", "ASGD"}, {"adafactor", "Adafactor"}, {"muon", "Muon"}, {"clip", "clip"},
}

local names, by_name = {}, {}
for i, case in ipairs(cases) do names[i], by_name[case[1]] = case[1], case end

-- Four layers of 500 units.
local function parameters(matrices_only)
  local list = {}
  for _ = 1, 4 do
    list[#list + 1] = neap.nn.Parameter(neap.randn(500, 500) * 0.05)
    if not matrices_only then list[#list + 1] = neap.nn.Parameter(neap.zeros(500)) end
  end
  for _, p in ipairs(list) do p.grad = neap.randn(p.shape) end
  return list
end

neap.seed(0)
timing.run("optimizer steps over a million parameters in float32", names, function(name, seconds)
  local case = by_name[name]
  local list = parameters(name == "muon")
  if name == "clip" then
    return timing.time(function() neap.nn.utils.clip_grad_norm_(list, 1e9) end, 5, seconds)
  end
  local optimizer = neap.optim[case[2]](list, case[3] or {})
  for _, p in ipairs(list) do p.grad = neap.randn(p.shape) end
  return timing.time(function() optimizer:step() end, 5, seconds)
end)
