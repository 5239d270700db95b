-- functional: derivatives of functions of tensors (jacobian, hessian, products with vectors), and checkpoints, which trade
-- the memory of a stretch of a model for running it twice. All is made of neap.grad; nothing changes a leaf's grad.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"

-- ---- inputs and outputs: a tensor, or a list of them ----

local function listed(what, value)
  if core.is_tensor(value) then return {value}, true end
  if type(value) ~= "table" or #value == 0 then
    check.fail("%s: takes a tensor or a list of tensors, not %s", what, check.describe(value))
  end
  for i, x in ipairs(value) do
    if not core.is_tensor(x) then check.fail("%s: entry %d of the list is %s, not a tensor", what, i, check.describe(x)) end
  end
  return value, false
end

-- Handles of the inputs to differentiate with respect to: with create_graph they keep their history.
local function prepared(what, inputs, create)
  local list, single = listed(what .. ": the input", inputs)
  local out = {}
  for i, x in ipairs(list) do
    if create and x.requires_grad then out[i] = x:view(x.shape)
    else out[i] = x:detach():requires_grad_(true) end
  end
  return out, single
end

local function called(what, f, inputs)
  check.kind(what .. ": the function", f, "function|table|userdata")
  local y = table.pack(core.enable_grad(f, table.unpack(inputs)))
  if y.n == 1 and type(y[1]) == "table" then return listed(what .. ": the result", y[1]) end
  if y.n == 0 then check.fail("%s: the function returned nothing", what) end
  local list = listed(what .. ": the result", y)
  return list, y.n == 1
end

local function need_scalar(what, outputs)
  if #outputs ~= 1 or outputs[1]:numel() ~= 1 then
    check.fail("%s: the function must return one number, it returned %s", what,
      #outputs == 1 and "a tensor of shape " .. tostring(outputs[1].shape) or #outputs .. " tensors")
  end
  return outputs[1]
end

-- Raises for what does not depend on input k; of: "result 1", "the derivative".
local function independent(what, of, k)
  check.fail("%s: %s does not depend on input %d; without strict = true, 0 is what that gives", what, of, k)
end

-- Gradients of the outputs under grad_outputs, zeros where nothing flows; strict, "name of the function" or nil: raises there.
local function gradients(outputs, inputs, given, create, retain, strict, of)
  local live, weights = {}, {}
  for i, y in ipairs(outputs) do
    if y.requires_grad then live[#live + 1], weights[#weights + 1] = y, given[i]
    elseif strict then independent(strict, of or "result " .. i, 1) end
  end
  if #live == 0 then
    local zeros = {}
    for i, x in ipairs(inputs) do zeros[i] = core.zeros_like(x) end
    return zeros
  end
  local grads = core.grad(live, inputs, {grad_outputs = weights, create_graph = create, retain_graph = create or retain,
    materialize_grads = not strict, allow_unused = true})
  for k in ipairs(strict and inputs or {}) do
    if grads[k] == nil then independent(strict, of or "the result", k) end
  end
  return grads
end

local function simple(list, single) return single and list[1] or list end

local function vectors(what, given, like, single)
  if given == nil then
    for _, y in ipairs(like) do
      if y:numel() ~= 1 then check.fail("%s: v is needed where there is more than one number", what) end
    end
    local ones = {}
    for i, y in ipairs(like) do ones[i] = core.ones_like(y) end
    return ones
  end
  local list, one = listed(what .. ": v", given)
  if #list ~= #like or one ~= single then check.fail("%s: v must be as many tensors as what it stands for: %d", what, #like) end
  for i, v in ipairs(list) do
    if v.shape ~= like[i].shape then
      check.fail("%s: v has shape %s, it must have %s", what, tostring(v.shape), tostring(like[i].shape))
    end
  end
  return list
end

local options_of = {"create_graph", "strict"}

-- create_graph, and the function's name where it is strict.
local function read_options(what, options)
  options = check.options(what, options, options_of)
  check.kind(what .. ": strict", options.strict, "boolean|nil")
  return options.create_graph, options.strict and what or nil
end

-- One output's rows: for each input a tensor of shape (y's..., x's...). keep: the graph serves once more after them.
local function rows_of(y, inputs, create, keep, strict, of)
  local n, rows = y:numel(), {}
  for k = 1, #inputs do rows[k] = {} end
  for i = 1, n do
    local pick = core.zeros(n, {dtype = y.dtype})
    pick[i] = 1
    for k, g in ipairs(gradients({y}, inputs, {pick:reshape(y.shape)}, create, keep or i < n, strict, of)) do rows[k][i] = g end
  end
  local out = {}
  for k, x in ipairs(inputs) do
    local shape = table.move(y.shape, 1, #y.shape, 1, {})
    table.move(x.shape, 1, #x.shape, #shape + 1, shape)
    out[k] = n > 0 and core.stack(rows[k], 1):reshape(shape) or core.zeros(shape, {dtype = x.dtype})
  end
  return out
end

--- The derivatives of all elements of f(x) with respect to all of x, of shape (f's..., x's...). x may be a list, f's
--- arguments, and f may return several tensors: then a list, of lists. Options, of all these functions: create_graph; strict
--- (false): raises where a result does not depend on an input, whose derivatives are 0 otherwise.
function core.jacobian(f, x, options)
  local create, strict = read_options("jacobian", options)
  local inputs, one_in = prepared("jacobian", x, create)
  local outputs, one_out = called("jacobian", f, inputs)
  local out = {}
  for i, y in ipairs(outputs) do
    out[i] = simple(rows_of(y, inputs, create, i < #outputs, strict, "result " .. i), one_in)
  end
  return simple(out, one_out)
end

--- The second derivatives of f(x), one number, of shape (x's..., x's...); for a list x a list of lists. Options: create_graph, strict.
function core.hessian(f, x, options)
  local create, strict = read_options("hessian", options)
  local inputs, single = prepared("hessian", x, create)
  local y = need_scalar("hessian", (called("hessian", f, inputs)))
  local first, out = gradients({y}, inputs, {core.ones_like(y)}, true, nil, strict, "the result"), {}
  for i, g in ipairs(first) do
    out[i] = simple(rows_of(g, inputs, create, i < #first, strict, "the derivative by input " .. i), single)
  end
  return simple(out, single)
end

--- f(x), and v' J: the gradient of f(x) . v. v is shaped like f(x), and may be left out when that is one number. Options:
--- create_graph, strict.
function core.vjp(f, x, v, options)
  local create, strict = read_options("vjp", options)
  local inputs, one_in = prepared("vjp", x, create)
  local outputs, one_out = called("vjp", f, inputs)
  local given = vectors("vjp", v, outputs, one_out)
  local grads = gradients(outputs, inputs, given, create, nil, strict)
  if not create then
    for i, y in ipairs(outputs) do outputs[i] = y:detach() end
  end
  return simple(outputs, one_out), simple(grads, one_in)
end

--- f(x), and J v: the derivative of f at x in the direction v, which is shaped like x. The gradient of u' J with respect to u.
--- Options: create_graph, strict.
function core.jvp(f, x, v, options)
  local create, strict = read_options("jvp", options)
  local inputs, one_in = prepared("jvp", x, create)
  local outputs, one_out = called("jvp", f, inputs)
  local given, u = vectors("jvp", v, inputs, one_in), {}
  for i, y in ipairs(outputs) do u[i] = core.zeros_like(y):requires_grad_(true) end
  local pulled = gradients(outputs, inputs, u, true, nil, strict)
  local out = gradients(pulled, u, given, create)
  if not create then
    for i, y in ipairs(outputs) do outputs[i] = y:detach() end
  end
  return simple(outputs, one_out), simple(out, one_out)
end

--- f(x), one number, and H v: its second derivatives times v, which is shaped like x. Options: create_graph, strict.
function core.hvp(f, x, v, options)
  local create, strict = read_options("hvp", options)
  local inputs, single = prepared("hvp", x, create)
  local y = need_scalar("hvp", (called("hvp", f, inputs)))
  local given = vectors("hvp", v, inputs, single)
  local first = gradients({y}, inputs, {core.ones_like(y)}, true, nil, strict, "the result")
  local out = gradients(first, inputs, given, create, nil, strict, "the derivative")
  return create and y or y:detach(), simple(out, single)
end

-- ---- checkpoints ----

local Restored = {__close = function(self) core.set_rng_state(self.state) end}

-- Runs f with Neap's generator as it was, and puts it back.
local function as_before(state, f, ...)
  local _ <close> = setmetatable({state = core.get_rng_state()}, Restored)
  core.set_rng_state(state)
  return f(...)
end

-- What f is learned through besides its arguments: a module's parameters, or those that were named.
local function parameters_of(f, named)
  local list = {}
  for _, p in ipairs(named or tree.is_module(f) and f:parameters() or {}) do
    if p.requires_grad then list[#list + 1] = p end
  end
  return list
end

local checkpoint_options = {"parameters"}

--- f(...) without keeping what its backward will need: that is computed again when the gradient comes, with the same random
--- numbers. f is a module, or a function of its arguments alone, or {parameters = list} names the parameters that it uses.
--- Returns f's tensors.
function core.checkpoint(f, ...)
  local args, options = table.pack(...), nil
  local last = args[args.n]
  if args.n > 0 and type(last) == "table" and getmetatable(last) == nil then
    options, args.n = last, args.n - 1
  end
  options = check.options("checkpoint", options, checkpoint_options)
  check.kind("checkpoint: the function", f, "function|table|userdata")
  local known = options.parameters ~= nil or tree.is_module(f)
  local parameters, state, n = parameters_of(f, options.parameters), core.get_rng_state(), args.n
  local run = core.custom {
    forward = function(ctx, ...)
      ctx:save(...)
      local plain = {}
      for i = 1, n do
        local a = select(i, ...)
        plain[i] = core.is_tensor(a) and a:detach() or a
      end
      if known then return f(table.unpack(plain, 1, n)) end
      local y = table.pack(core.enable_grad(f, table.unpack(plain, 1, n)))
      for i = 1, y.n do
        if core.is_tensor(y[i]) and y[i].requires_grad then
          check.fail("checkpoint: the function uses a tensor that requires a gradient and is not among its arguments: %s",
            "pass the module itself, or name them with {parameters = list}")
        end
      end
      return table.unpack(y, 1, y.n)
    end,
    backward = function(ctx, ...)
      local create, saved = core.is_grad_enabled(), table.pack(ctx:saved())
      local inputs, places, wanted = {}, {}, {}
      for i = 1, saved.n do
        local a = saved[i]
        local needs = ctx.needs_input_grad[i]
        if i <= n then inputs[i] = needs and not create and a:detach():requires_grad_(true) or a end
        if needs then places[#places + 1], wanted[#wanted + 1] = i, i <= n and inputs[i] or a end
      end
      local y = table.pack(as_before(state, core.enable_grad, f, table.unpack(inputs, 1, n)))
      local outputs, weights = {}, {}
      for i = 1, y.n do
        if y[i].requires_grad then outputs[#outputs + 1], weights[#weights + 1] = y[i], (select(i, ...)) end
      end
      local grads = {}
      if #outputs > 0 then
        local found = core.grad(outputs, wanted, {grad_outputs = weights, create_graph = create, allow_unused = true})
        for k, place in ipairs(places) do grads[place] = found[k] end
      end
      return table.unpack(grads, 1, saved.n)
    end,
  }
  local given = table.move(args, 1, n, 1, {})
  table.move(parameters, 1, #parameters, n + 1, given)
  return run(table.unpack(given, 1, n + #parameters))
end
