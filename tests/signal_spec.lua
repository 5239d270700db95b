-- Signals: what the sweeps do not say. Long transforms against each other and against sums; second derivatives of an stft;
-- a signal through stft and back; resampled tones; and what misuse says.

local neap = require "neap"
local says = require("support.says").says

local f64 = { dtype = "float64" }

local function near(a, b, tolerance)
  assert.are.same({ table.unpack(b.shape) }, { table.unpack(a.shape) })
  local d = (a:double() - b:double()):abs():max():item()
  assert.is_true(d <= tolerance, ("they are %g apart"):format(d))
end

describe("long transforms", function()
  it("of a tone have one line, at lengths of every kind", function()
    for _, n in ipairs { 4096, 6561, 10000, 15625, 20011, 65536 } do
      local k = n // 7
      local t = (neap.arange(n, f64) * k):remainder(n) * (2 * math.pi / n)
      local y = neap.rfft(t:cos())
      local line = neap.complex_abs(y)
      assert.is_true(math.abs(line[k + 1]:item() - n / 2) < 1e-8 * n, "length " .. n)
      line[k + 1] = 0
      assert.is_true(line:max():item() < 1e-8 * n, "length " .. n)
    end
  end)
  it("go there and back, in both precisions and along any dimension", function()
    neap.seed(1)
    for _, n in ipairs { 1000, 1021, 2187, 5005 } do
      for dtype, tolerance in pairs { float32 = 1e-5, float64 = 1e-13 } do
        local x = neap.randn(2, n, 3, { dtype = dtype })
        near(neap.irfft(neap.rfft(x, nil, 2), n, 2), x, tolerance)
        local z = neap.randn(3, n, 2, { dtype = dtype })
        near(neap.ifft(neap.fft(z)), z, tolerance)
      end
    end
  end)
  it("keep the energy when they are orthonormal", function()
    neap.seed(2)
    local z = neap.randn(4, 3000, 2, f64)
    local y = neap.fft(z, nil, -2, "ortho")
    near(y:square():sum({ 2, 3 }), z:square():sum({ 2, 3 }), 1e-9)
  end)
  it("keep NaN to its own row", function()
    local x = neap.ones(20, 64)
    x[3][5] = 0 / 0
    local bad = neap.rfft(x):isnan():any({ 2, 3 })
    assert.are.equal(1, bad:sum():item())
    assert.is_true(bad[3]:item())
  end)
  it("give the same bits after other plans have come and gone", function()
    neap.seed(3)
    local x = neap.randn(3, 777)
    local first = neap.rfft(x):totable()
    for n = 100, 160 do neap.rfft(neap.ones(n)) end
    assert.are.same(first, neap.rfft(x):totable())
  end)
end)

describe("stft", function()
  it("and istft undo each other", function()
    neap.seed(4)
    local x = neap.randn(2, 1000, f64)
    for _, o in ipairs { { n = 64, hop = 16 }, { n = 60, hop = 20, onesided = false }, { n = 33, hop = 8, normalized = true } } do
      local w = neap.hann_window(o.n, f64)
      local s = neap.stft(x, o.n, o.hop, { window = w, normalized = o.normalized, onesided = o.onesided })
      near(neap.istft(s, o.n, o.hop, { window = w, normalized = o.normalized, onesided = o.onesided, length = 1000 }), x, 1e-12)
    end
  end)
  it("has a second derivative", function()
    neap.seed(5)
    local x = neap.randn(30, f64):requires_grad_(true)
    local w = neap.hann_window(8, f64)
    local function energy(v) return neap.stft(v, 8, 4, { window = w }):square():sum():square() end
    local g = neap.grad(energy(x), x, { create_graph = true })[1]
    local v = neap.randn(30, f64)
    local hv = neap.grad((g * v):sum(), x)[1]
    local e = 1e-5
    local function slope(at) at = at:detach():requires_grad_(true) return neap.grad(energy(at), at)[1] end
    local difference = (slope(x + v * e) - slope(x - v * e)) / (2 * e)
    near(hv, difference, 1e-4 * difference:abs():max():item())
  end)
  it("says what does not fit", function()
    local x = neap.ones(20)
    says(function() neap.stft(x, 0) end, "stft", "n_fft is 0")
    says(function() neap.stft(x, 8, 0) end, "hop_length is 0")
    says(function() neap.stft(x, 8, 2, 9) end, "win_length is 9", "8")
    says(function() neap.stft(x, 8, 2, 8, neap.ones(7)) end, "window", "(8)", "(7)")
    says(function() neap.stft(x, 50, { center = false }) end, "20 samples", "50")
    says(function() neap.stft(neap.ones(4), 8) end, "4 samples", "center = false")
    says(function() neap.stft(neap.ones(2, 2, 20), 8) end, "(samples) or (batch, samples), got (2, 2, 20)")
    says(function() neap.stft(neap.ones(20, 3), 8, { is_complex = true }) end, "(samples, 2) or (batch, samples, 2), got (20, 3)")
    says(function() neap.istft(neap.ones(5, 4, 2), 8, { return_complex = true }) end, "(8, frames, 2)", "(5, 4, 2)")
    says(function() neap.stft(neap.ones(20, { dtype = "int64" }), 8) end, "int64")
    says(function() neap.istft(neap.ones(5, 4, 3), 8) end, "istft", "(5, frames, 2)", "(5, 4, 3)")
    says(function() neap.istft(neap.ones(4, 4, 2), 8) end, "(5, frames, 2)")
    says(function() neap.istft(neap.ones(5, 4, 2), 8, 2, { length = 0 }) end, "length is 0")
    says(function() neap.istft(neap.ones(5, 4, 2), 8, 8, { window = neap.hann_window(8), center = false }) end, "gap", "hop_length")
  end)
end)

describe("resample", function()
  it("keeps a tone below half of the lower frequency", function()
    local function tone(rate, n) return (neap.arange(n, f64) * (2 * math.pi * 50 / rate)):sin() end
    for _, case in ipairs { { 1000, 800 }, { 800, 1000 }, { 44100, 16000 } } do
      local from, to = table.unpack(case)
      local y, want = neap.resample(tone(from, from), from, to, 32), tone(to, to)
      assert.are.equal(to, y:numel())
      near(y:narrow(1, to // 4, to // 2), want:narrow(1, to // 4, to // 2), 2e-3)
    end
  end)
  it("says what does not fit", function()
    says(function() neap.resample(neap.ones(8), 0, 2) end, "resample", "at least 1")
    says(function() neap.resample(neap.ones(8), 4, 2, 0) end, "lowpass_filter_width is 0")
    says(function() neap.resample(neap.ones(8), 4, 2, 6, 2) end, "rolloff is 2")
    says(function() neap.resample(neap.tensor(1.0), 4, 2) end, "dimension")
    assert.are.equal(8, neap.resample(neap.ones(8), 3, 3):numel())
  end)
end)

describe("gradients at 0", function()
  it("of lengths and angles are 0", function()
    local x = neap.zeros(2, 2, f64):requires_grad_(true)
    local y = (neap.complex_abs(x):sum() + neap.complex_angle(x):sum())
    y:backward()
    assert.are.equal(0, x.grad:abs():max():item())
  end)
end)

describe("misuse", function()
  it("of transforms", function()
    says(function() neap.fft(neap.ones(3, 3)) end, "fft", "(..., n, 2)", "(3, 3)", "rfft")
    says(function() neap.fft(neap.ones(3, 2), 0) end, "length", "at least 1")
    says(function() neap.fft(neap.ones(3, 2), 3, 2) end, "dimension 2", "pairs")
    says(function() neap.rfft(neap.tensor(1.0)) end, "no dimension")
    says(function() neap.rfft(neap.ones(3, { dtype = "int64" })) end, "int64")
    says(function() neap.irfft(neap.ones(1, 2)) end, "length of the transform is 0")
    says(function() neap.fft2(neap.ones(3, 2)) end, "needs as many and one of pairs")
    says(function() neap.fft2(neap.ones(3, 3, 2), { 2 }) end, "s has 1 lengths for 2")
    says(function() neap.fft2(neap.ones(3, 3, 2), { 2, 2 }, { 1, 1 }) end, "given twice")
  end)
  it("of complex numbers", function()
    says(function() neap.complex_mul(neap.ones(3), neap.ones(2)) end, "complex_mul", "(..., 2)", "(3)")
    says(function() neap.complex_abs(neap.ones(3)) end, "pairs")
    says(function() neap.conj(neap.ones(3)) end, "pairs")
    says(function() neap.real(neap.ones(3)) end, "pairs")
    says(function() neap.complex(neap.ones(3), neap.ones(2)) end, "complex", "(3)", "(2)")
    says(function() neap.polar(neap.ones(3), neap.ones(3, { dtype = "int64" })) end, "int64")
  end)
  it("of windows and tables", function()
    says(function() neap.hann_window(-1) end, "window_length is -1")
    says(function() neap.hann_window(3, { dtype = "int64" }) end, "floating", "int64")
    says(function() neap.fftfreq(0) end, "n is 0")
    says(function() neap.rfftfreq(3, 0) end, "must not be 0")
    says(function() neap.melscale_fbanks(1, 0, 10, 3, 20) end, "n_freqs")
    says(function() neap.melscale_fbanks(9, 10, 10, 3, 20) end, "f_min < f_max")
    says(function() neap.melscale_fbanks(9, 0, 10, 3, 0) end, "sample_rate is 0")
  end)
  it("of cosine transforms and convolutions", function()
    says(function() neap.dct(neap.ones(3), 4) end, "type is 4")
    says(function() neap.dct(neap.tensor(1.0)) end, "dct")
    says(function() neap.convolve(neap.ones(3), neap.tensor(1.0)) end, "last dimension")
    says(function() neap.fftconvolve(neap.ones(3), neap.ones(2, 0)) end, "last dimension")
    says(function() neap.convolve(neap.ones(3), neap.ones(2, { dtype = "int64" })) end, "int64")
  end)
end)
