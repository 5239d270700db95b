-- mnist: the handwritten digits of LeCun, Cortes and Burges, read from their own IDX files, gzipped or not. Files hold
-- labels 0 to 9; Neap counts from 1, so class k is the digit k - 1.

local neap = require "neap.core"
local check = require "neap.check"

local names = {
  train = {x = "train-images-idx3-ubyte", y = "train-labels-idx1-ubyte"},
  test = {x = "t10k-images-idx3-ubyte", y = "t10k-labels-idx1-ubyte"},
}

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The path of a file in dir/mnist or dir, with or without .gz; nil and a message when there is none.
local function find(dir, name)
  for _, folder in ipairs{dir .. "/mnist/", dir .. "/"} do
    for _, ending in ipairs{".gz", ""} do
      local path = folder .. name .. ending
      if exists(path) then return path end
    end
  end
  return nil, ("no %s(.gz) in %s/mnist or %s"):format(name, dir, dir)
end

-- Reads one half, checks that the two files belong together.
local function read(dir, files, dtype)
  local path, message = find(dir, files.x)
  if not path then return nil, message end
  local x, y
  x, message = neap.read_idx(path)
  if not x then return nil, message end
  if #x.shape ~= 3 then return nil, path .. ": not a file of images" end
  path, message = find(dir, files.y)
  if not path then return nil, message end
  y, message = neap.read_idx(path)
  if not y then return nil, message end
  if #y.shape ~= 1 or y.shape[1] ~= x.shape[1] then
    return nil, ("%s: not one label for each of %d images"):format(path, x.shape[1])
  end
  if dtype == "float32" then x = x:to(dtype):div_(255) end
  return {x = x, y = y:to "int64":add_(1)}
end

--- Reads MNIST from dir (default: the environment's NEAP_DATA), in dir/mnist/*.gz or dir itself. Returns train, test,
--- each {x = images (N, 28, 28), y = classes 1..10 (N) int64}; or nil and a message. Options: dtype "float32" (the
--- default: values in [0, 1]) or "uint8" (0 to 255, a quarter of the memory).
return function(dir, options)
  options = check.options("data.mnist", options, {"dtype"})
  local dtype = options.dtype or "float32"
  if dtype ~= "float32" and dtype ~= "uint8" then
    check.fail("data.mnist: dtype is 'float32' or 'uint8', not %s", check.describe(dtype))
  end
  dir = dir or os.getenv "NEAP_DATA"
  if not dir then return nil, "no folder for MNIST: give one, or set NEAP_DATA" end
  local _ <close> = neap.no_grad()
  local train, message = read(dir, names.train, dtype)
  if not train then return nil, message end
  local test
  test, message = read(dir, names.test, dtype)
  if not test then return nil, message end
  return train, test
end
