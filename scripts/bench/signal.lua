-- Fourier transforms and random numbers, timed; signal_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script signal.lua --torch scripts/bench/signal_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local function fft(rows, n, dtype)
  return function()
    local x = neap.randn(rows, n, 2, {dtype = dtype})
    return function() return neap.fft(x) end
  end
end

-- Each case makes its operands, and the call that is timed.
local cases = {
  {"fft_64x1024", fft(64, 1024)},
  {"fft_64x1024_f64", fft(64, 1024, "float64")},
  {"fft_64x100000", fft(64, 100000)},
  {"fft_1x1024", fft(1, 1024)},
  {"fft_8x10007", fft(8, 10007)},
  {"rfft_64x1024", function()
    local x = neap.randn(64, 1024)
    return function() return neap.rfft(x) end
  end},
  {"rfft2_16x256x256", function()
    local x = neap.randn(16, 256, 256)
    return function() return neap.rfft2(x) end
  end},
  {"stft_10s", function()
    local x, w = neap.randn(160000), neap.hann_window(400)
    return function() return neap.stft(x, 400, 160, {window = w}) end
  end},
  {"stft_10s_backward", function()
    local x, w = neap.randn(160000, {requires_grad = true}), neap.hann_window(512)
    return function() neap.stft(x, 512, 128, {window = w}):square():sum():backward() end
  end},
  {"istft_10s", function()
    local w = neap.hann_window(512)
    local s = neap.stft(neap.randn(160000), 512, 128, {window = w})
    return function() return neap.istft(s, 512, 128, {window = w}) end
  end},
  {"fftconvolve_100000x1000", function()
    local x, z = neap.randn(100000), neap.randn(1000)
    return function() return neap.fftconvolve(x, z) end
  end},
  {"normal_1e6", function()
    local x = neap.empty(1000000)
    return function() x:normal_() end
  end},
  {"gamma_1e5", function()
    local a = neap.full({100000}, 2.5)
    return function() return a:standard_gamma() end
  end},
  {"poisson_1e5", function()
    local a = neap.full({100000}, 30)
    return function() return a:poisson() end
  end},
  {"multinomial_64x50000", function()
    local w = neap.rand(64, 50000)
    return function() return w:multinomial(1, true) end
  end},
}

timing.run("Fourier transforms and random numbers", cases, 3)
