-- Normalisations and CTC, forward and with backward, timed; norm_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script norm.lua --torch scripts/bench/norm_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local function image(options)
  return neap.randn(64, 32, 28, 28, options), neap.ones(32, options), neap.zeros(32, options)
end

local grad = {requires_grad = true}
local cases = {
  {"batch_norm", function()
    local x, w, b = image()
    return function() return neap.batch_norm(x, nil, nil, w, b, true) end
  end},
  {"batch_norm_backward", function()
    local x, w, b = image(grad)
    local g = neap.randn(x.shape)
    return function() return neap.grad({neap.batch_norm(x, nil, nil, w, b, true)}, {x, w, b}, {grad_outputs = {g}}) end
  end},
  {"group_norm", function()
    local x, w, b = image()
    return function() return neap.group_norm(x, 8, w, b) end
  end},
  {"group_norm_backward", function()
    local x, w, b = image(grad)
    local g = neap.randn(x.shape)
    return function() return neap.grad({neap.group_norm(x, 8, w, b)}, {x, w, b}, {grad_outputs = {g}}) end
  end},
  {"batch_norm_rows", function()
    local x, w, b = neap.randn(512, 1024, grad), neap.ones(1024, grad), neap.zeros(1024, grad)
    local g = neap.randn(x.shape)
    return function() return neap.grad({neap.batch_norm(x, nil, nil, w, b, true)}, {x, w, b}, {grad_outputs = {g}}) end
  end},
  {"rms_norm_backward", function()
    local x, w = neap.randn(512, 1024, grad), neap.ones(1024, grad)
    local g = neap.randn(x.shape)
    return function() return neap.grad({neap.rms_norm(x, {1024}, w)}, {x, w}, {grad_outputs = {g}}) end
  end},
  {"ctc_backward", function()
    local x, t = neap.randn(150, 32, 40):log_softmax(-1):detach():requires_grad_(true), neap.randint(2, 41, {32, 30})
    return function() return neap.grad({neap.ctc_loss(x, t)}, {x}) end
  end},
}

timing.run("normalisations in float32", cases, 5)
