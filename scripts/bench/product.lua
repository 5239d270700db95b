-- Matrix products of many shapes, timed; product_torch.py beside this file does the same in PyTorch:
--   neap scripts/bench/run.lua --script product.lua --torch scripts/bench/product_torch.py --cases all

local neap = require "neap"
local timing = dofile((arg[0]:match "^(.*)/[^/]*$" or ".") .. "/timing.lua")

local function rand(...) return neap.rand(...) end

-- Each makes its two operands.
local products = {
  {"square64", function() return rand(64, 64), rand(64, 64) end},
  {"square256", function() return rand(256, 256), rand(256, 256) end},
  {"square1024", function() return rand(1024, 1024), rand(1024, 1024) end},
  {"tall", function() return rand(8192, 64), rand(64, 64) end},
  {"wide", function() return rand(64, 64), rand(64, 8192) end},
  {"deep", function() return rand(64, 8192), rand(8192, 64) end},
  {"row", function() return rand(1, 1024), rand(1024, 1024) end},
  {"column", function() return rand(1024, 1024), rand(1024, 1) end},
  {"row_turned", function() return rand(1, 1024), rand(1024, 1024):t() end},
  {"few_rows", function() return rand(8, 1024), rand(1024, 1024) end},
  {"batch", function() return rand(64, 32, 32), rand(64, 32, 32) end},
  {"batch_one", function() return rand(64, 32, 32), rand(32, 32) end},
  {"attention", function() return rand(8, 8, 128, 64), rand(8, 8, 128, 64):transpose(-1, -2) end},
  {"turned", function() return rand(256, 256):t(), rand(256, 256):t() end},
  {"strided", function() return rand(256, 512):slice(2, 1, 256, 2), rand(256, 256) end},
}

local cases = {}
for i, product in ipairs(products) do
  cases[i] = {product[1], function()
    local x, w = product[2]()
    return function() return x:matmul(w) end, math.max(1, math.min(1000, math.ceil(2e8 / (2 * x:numel() * w:size(-1)))))
  end}
end

timing.run("matrix products in float32", cases, 1)
