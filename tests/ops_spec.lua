-- The tests that every op must pass, made from its row: its text is there and its example prints what it says; its
-- gradient agrees with differences in float64, and so does the gradient of its gradient; the recorded backward gives what
-- the fused one gives; float32 agrees with float64, strided memory with contiguous, the in-place form with the plain one.
-- A new op is tested here without a line being added. What only one op does is tested elsewhere (golden_spec: values).

local neap = require "neap"
local samples, contract = require "support.samples"(neap)

local NO_GRAD, ONCE, HIDDEN, RANDOM = "no_grad", "once", "hidden", "random"
local function marked(op, mark) return op.marks[mark] == true end

-- ---- looking at arguments ---------------------------------------------------------------------------------------

local is_tensor = neap.is_tensor
local function is_float(x) return is_tensor(x) and x.dtype:find("^float") ~= nil end

-- Every tensor among args, lists entered, replaced by f(tensor).
local function map_tensors(args, f)
  local out = { n = args.n }
  for k = 1, args.n do
    local a = args[k]
    if is_tensor(a) then out[k] = f(a)
    elseif type(a) == "table" then
      out[k] = {}
      for key, v in pairs(a) do out[k][key] = is_tensor(v) and f(v) or v end
    else out[k] = a end
  end
  return out
end

local function inputs_of(args)
  local list = {}
  map_tensors(args, function(t) if t.requires_grad then list[#list + 1] = t end return t end)
  return list
end

-- What an op puts out, as tensors one after the other. Of args.symmetric, leaves by place, the symmetric parts go in.
local function call(op, args)
  if args.symmetric then
    args = { n = args.n, symmetric = args.symmetric, table.unpack(args, 1, args.n) }
    for k, leaf in pairs(args.symmetric) do args[k] = (leaf + leaf:transpose(-1, -2)) * 0.5 end
  end
  local results = table.pack(neap[op.name](table.unpack(args, 1, args.n)))
  if op.marks.list then results = { n = #results[1], table.unpack(results[1]) } end
  return results
end

-- The float outputs of an op weighted by fixed numbers and summed: a scalar whose gradient says all.
local function scalar_of(results)
  local total
  for k = 1, results.n do
    local y = results[k]
    if is_float(y) and y:numel() > 0 then
      local n = y:numel()
      local w = neap.cos(neap.arange(0, n, 1, { dtype = "float64" }) + k):reshape(y.shape)
      local s = (y:to("float64") * w):sum()
      total = total and total + s or s
    end
  end
  return total
end

local function differences(f, x, eps)
  local flat, out = x:detach():reshape(-1), {}
  for i = 1, x:numel() do
    local old = flat[i]:item()
    flat[i] = old + eps
    local up = f()
    flat[i] = old - eps
    local down = f()
    flat[i] = old
    out[i] = (up - down) / (2 * eps)
  end
  return out
end

local function assert_close(got, want, tolerance, what)
  local g = got:detach():to("float64"):reshape(-1):totable()
  local w = is_tensor(want) and want:detach():to("float64"):reshape(-1):totable() or want
  assert.are.equal(#w, #g, what)
  local scale = 1
  for i = 1, #w do if w[i] == w[i] and math.abs(w[i]) < math.huge then scale = math.max(scale, math.abs(w[i])) end end
  for i = 1, #w do
    local same = g[i] == w[i] or (g[i] ~= g[i] and w[i] ~= w[i])
    if not same and not (math.abs(g[i] - w[i]) <= tolerance * scale) then
      error(("%s: element %d is %.12g, wanted %.12g"):format(what, i, g[i], w[i]), 2)
    end
  end
end

local function leaves(args)
  local made = map_tensors(args, function(t)
    return is_float(t) and contract(t) ~= "fixed" and t:detach():clone():requires_grad_(true) or t
  end)
  for k = 1, args.n do
    if is_tensor(args[k]) and contract(args[k]) == "symmetric" then
      made.symmetric = made.symmetric or {}
      made.symmetric[k] = made[k]
    end
  end
  return made, inputs_of(made)
end

local function gradients(op, args, inputs, create)
  local s = scalar_of(call(op, args))
  if not s or not s.requires_grad then return nil end
  return neap.grad({ s }, inputs, { create_graph = create, allow_unused = true })
end

local function differentiable(op) return not (marked(op, NO_GRAD) or marked(op, RANDOM) or marked(op, HIDDEN)) end

-- ---- the tests -----------------------------------------------------------------------------------------------------

local function has_text(op)
  assert.is_truthy(op.doc:match "%w.*%.$", "no sentence")
  assert.is_true(#op.sample > 0, "no sample")
  local code, want = op.example:match("^(.-)%s*%-%->%s*(.+)$")
  code = code or op.example
  assert.is_true(#code > 0, "no example")
  local value = assert(load("return " .. code, "=example", "t", setmetatable({ neap = neap }, { __index = _G })))()
  if want then assert.are.equal(want, tostring(value)) end
end

-- Floats that come of floats carry a gradient, unless the row says that there is none.
local function gradient_is_right(op)
  for _, args in ipairs(samples(op)) do
    local made, inputs = leaves(args)
    local grads = gradients(op, made, inputs, false)
    assert(grads or #inputs == 0 or not scalar_of(call(op, args)), "no gradient, and the row is not marked NEAP_OP_NO_GRAD")
    if grads then
      for k, x in ipairs(inputs) do
        local d = differences(function() return neap.no_grad(function() return scalar_of(call(op, made)):item() end) end, x, 1e-6)
        if grads[k] then assert_close(grads[k], d, 1e-6, op.name .. ": gradient " .. k)
        else assert_close(neap.zeros_like(x), d, 1e-6, op.name .. ": unused input " .. k) end
      end
    end
  end
end

local function recorded_is_fused(op)
  for _, args in ipairs(samples(op)) do
    local made, inputs = leaves(args)
    local fused, recorded = gradients(op, made, inputs, false), gradients(op, made, inputs, true)
    for k in ipairs(inputs) do
      if fused and fused[k] then assert_close(recorded[k], fused[k], 1e-12, op.name .. ": recorded gradient " .. k) end
    end
  end
end

local function second_is_right(op)
  for _, args in ipairs(samples(op)) do
    local made, inputs = leaves(args)
    local function slope() -- a scalar made of the gradients
      local grads, total = gradients(op, made, inputs, true), nil
      for k = 1, #inputs do
        if grads and grads[k] and grads[k].requires_grad then
          local s = scalar_of(table.pack(grads[k]))
          total = total and total + s or s
        end
      end
      return total
    end
    local s = slope()
    if s then
      local second = neap.grad({ s }, inputs, { allow_unused = true })
      for k, x in ipairs(inputs) do
        local d = differences(function() local v = slope() return v and v:item() or 0 end, x, 1e-5)
        assert_close(second[k] or neap.zeros_like(x), d, 1e-5, op.name .. ": second derivative " .. k)
      end
    end
  end
end

local function same_results(a, b, tolerance, what)
  assert.are.equal(a.n, b.n)
  for k = 1, a.n do
    if is_tensor(a[k]) then
      assert.are.same(a[k].shape, b[k].shape)
      assert_close(b[k], a[k], tolerance, what)
    end
  end
end

local function float32_agrees(op)
  for _, args in ipairs(samples(op)) do
    local narrow = map_tensors(args, function(t) return t.dtype == "float64" and t:to("float32") or t end)
    local wide = map_tensors(narrow, function(t) return t.dtype == "float32" and t:to("float64") or t end)
    same_results(call(op, wide), call(op, narrow), 2e-5, op.name .. " in float32")
  end
end

-- The same values in memory that is not row-major: every second element of something larger, walked backwards in dims.
local function strided(t)
  local n = t:dim()
  if n == 0 or t:numel() == 0 then return t end
  local order = {}
  for d = 1, n do order[d] = n + 1 - d end
  local turned = t:detach():permute(order):contiguous()
  return neap.stack({ turned, turned }, -1):select(-1, 1):permute(order)
end

local function strides_do_not_matter(op)
  for _, args in ipairs(samples(op)) do
    same_results(call(op, args), call(op, map_tensors(args, strided)), 1e-12, op.name .. " on strided memory")
  end
end

local function in_place_agrees(op)
  for _, args in ipairs(samples(op)) do
    local plain = call(op, args)
    local x = args[1]
    local fits = is_tensor(x) and is_tensor(plain[1]) and table.concat(x.shape, ",") == table.concat(plain[1].shape, ",")
    if fits and (is_float(x) or not is_float(plain[1])) then
      local copy = { n = args.n, table.unpack(args, 1, args.n) }
      copy[1] = x:clone()
      neap[op.name .. "_"](table.unpack(copy, 1, copy.n))
      assert_close(copy[1], plain[1]:to(x.dtype), 1e-12, op.name .. "_")
    end
  end
end

for _, op in ipairs(neap.ops()) do
  describe("op " .. op.name, function()
    it("has a sentence, a sample and an example that prints what it says", function() has_text(op) end)
    if differentiable(op) then
      it("has the gradient that differences give", function() gradient_is_right(op) end)
      if not marked(op, ONCE) then
        it("has a recorded backward like the fused one", function() recorded_is_fused(op) end)
        it("has the second derivative that differences give", function() second_is_right(op) end)
      end
    end
    if not marked(op, RANDOM) and not marked(op, HIDDEN) and not op.name:find("empty") then
      it("agrees in float32", function() float32_agrees(op) end)
      if not op.name:find("^as_strided") then -- strides of their own: about memory, not values
        it("works on strided memory", function() strides_do_not_matter(op) end)
      end
      if op.marks.in_place then it("agrees in place", function() in_place_agrees(op) end) end
    end
  end)
end
