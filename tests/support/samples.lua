-- Samples of ops, as tests call them: what a row's sample text says, as lists of arguments. Used by ops_spec.lua and, on an
-- allocator that fails, by host/alloc.c. The function takes neap and returns samples(op), a list of packed arguments,
-- made afresh at each call, with the same numbers each time; and contract(t), "symmetric" for a tensor of them that stands
-- for an argument that must be symmetric, "fixed" for one to which no gradient is checked.

return function(neap)
  local function uniform(lo, hi, ...)
    return neap.rand(..., { dtype = "float64" }) * (hi - lo) + lo
  end

  local contracts = setmetatable({}, { __mode = "k" }) -- tensor -> "symmetric" or "fixed"

  local env = setmetatable({
    neap = neap,
    symmetric = function(x)
      local y = (x + x:transpose(-1, -2)) * 0.5
      contracts[y] = "symmetric"
      return y
    end,
    fixed = function(x)
      contracts[x] = "fixed"
      return x
    end,
    r = function(...) return uniform(-1, 1, { ... }) end,
    p = function(...) return uniform(0.5, 1.5, { ... }) end,
    i = function(n, ...) return neap.randint(1, n + 1, { ... }) end,
    b = function(...) return neap.rand({ ... }):gt(0.5) end,
  }, { __index = { math = math, inf = math.huge } })

  -- The operands in their ranges, then one of the alternatives for settings, as Lua text.
  local function sample_of_formula(op, settings)
    local args = {}
    for lo, hi in op.sample:match("^[^|]+"):gmatch("([^,;]+),([^,;]+)") do
      args[#args + 1] = uniform(tonumber(lo), tonumber(hi), { 3, 4 })
    end
    if op.name == "where" then args[1] = args[1]:gt(0.5) end
    if op.name:find "^bitwise" or op.name == "gcd" or op.name == "lcm" then
      for k, x in ipairs(args) do args[k] = x:to("int64") end
    end
    local n = #args
    local more = table.pack(assert(load("return " .. settings))())
    table.move(more, 1, more.n, n + 1, args)
    args.n = n + more.n
    return args
  end

  return function(op)
    neap.seed(7)
    local out = {}
    if op.family == "elementwise" then
      for part in op.sample:gmatch("[^|]+") do out[#out + 1] = sample_of_formula(op, #out == 0 and "" or part) end
      return out
    end
    for text in (op.sample .. " ;; "):gmatch("(.-) ;; ") do
      local f = assert(load("return " .. text, "=sample of " .. op.name, "t", env))
      out[#out + 1] = table.pack(f())
    end
    return out
  end, function(t) return contracts[t] end
end
