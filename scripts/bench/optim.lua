-- A step of each update rule over about a million parameters, timed; optim_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script optim.lua --torch scripts/bench/optim_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

-- Name, rule, options, of the rules that PyTorch has too.
local rules = {
  {"sgd", "SGD"}, {"sgd_momentum", "SGD", {momentum = 0.9}}, {"adam", "Adam"}, {"adam_amsgrad", "Adam", {amsgrad = true}},
  {"adamw", "AdamW"}, {"nadam", "NAdam"}, {"radam", "RAdam"}, {"adamax", "Adamax"}, {"rmsprop", "RMSprop"},
  {"rmsprop_centered", "RMSprop", {centered = true, momentum = 0.9}}, {"adagrad", "Adagrad"}, {"adadelta", "Adadelta"},
  {"rprop", "Rprop"}, {"asgd", "ASGD"}, {"adafactor", "Adafactor"}, {"muon", "Muon"}, {"clip", "clip"},
}

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

local cases = {}
for i, rule in ipairs(rules) do
  local name, optimizer_name, options = table.unpack(rule)
  cases[i] = {name, function()
    local list = parameters(name == "muon")
    if name == "clip" then return function() neap.nn.utils.clip_grad_norm_(list, 1e9) end end
    local optimizer = neap.optim[optimizer_name](list, options or {})
    for _, p in ipairs(list) do p.grad = neap.randn(p.shape) end
    return function() optimizer:step() end
  end}
end

timing.run("optimizer steps over a million parameters in float32", cases, 5)
