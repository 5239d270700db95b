-- Ten steps of each optimizer and fifty of each schedule against PyTorch 2.13's, and against the papers where PyTorch lacks
-- the rule: tests/golden/optim.lua, which scripts/dev/torch_optim.py wrote. What goes in follows the formulas there.

local neap = require "neap"
local optim, nn = neap.optim, neap.nn
local golden = dofile "tests/golden/optim.lua"

local function ramp(shape, f)
  local n, flat = 1, {}
  for _, size in ipairs(shape) do n = n * size end
  for i = 0, n - 1 do flat[i + 1] = f(i) end
  return neap.tensor(flat, {dtype = "float64"}):reshape(shape)
end

local function start(shape, k, dtype)
  return nn.Parameter(ramp(shape, function(i) return math.cos(0.37 * i + 1.1 * k) end):to(dtype))
end

local function gradient(w, t, k)
  local g = ramp(w.shape, function(i) return (0.2 + i % 5) * math.cos(0.7 * i + 2.3 * t + k) / 3 end)
  return g:to(w.dtype) + w:detach() * 0.5
end

-- The largest difference between tensors and lists of their elements.
local function distance(tensors, wanted)
  local worst = 0
  for k, w in ipairs(tensors) do
    local d = (w:detach():to "float64":flatten() - neap.tensor(wanted[k], {dtype = "float64"})):abs():amax():item()
    if not (d <= worst) then worst = d end
  end
  return worst
end

-- f(t, tensors) after each step t of a row.
local function follow(row, dtype, f)
  local tensors = {}
  for k, shape in ipairs(row.shapes) do tensors[k] = start(shape, k, dtype) end
  local optimizer = optim[row.rule](tensors, row.options)
  for t = 1, 10 do
    for k, w in ipairs(tensors) do
      w.grad = nil
      if t ~= 4 or k ~= 2 then w.grad = gradient(w, t, k) end
    end
    if t == 6 then optimizer.lr = optimizer.lr / 2 end
    optimizer:step()
    optimizer = f(t, tensors, optimizer) or optimizer
  end
end

describe("as PyTorch steps:", function()
  local seen = {}
  for number, row in ipairs(golden.optimizers) do
    seen[row.rule] = true
    for _, case in ipairs{{"float64", 1e-9}, {"float32", 5e-4}} do
      it(("%s, row %d, %s"):format(row.rule, number, case[1]), function()
        follow(row, case[1], function(t, tensors)
          if not row.steps[t] then return end
          local d = distance(tensors, row.steps[t])
          assert(d < case[2], ("off by %g at step %d"):format(d, t))
        end)
      end)
    end

    it(("%s, row %d, goes on from its state"):format(row.rule, number), function()
      follow(row, "float64", function(t, tensors, optimizer)
        if row.steps[t] then assert.is_true(distance(tensors, row.steps[t]) < 1e-9) end
        if t ~= 3 and t ~= 5 then return end
        local state = optimizer:state_dict()
        local other = optim[row.rule](tensors, {lr = 7})
        other:load_state_dict(state)
        return other
      end)
    end)
  end

  it("leaves no rule out", function()
    for _, row in ipairs(neap.rule_rows()) do assert(seen[row.name], row.name) end
  end)
end)
