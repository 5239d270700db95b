-- autograd: backward, neap.grad, and Lua inside graphs: hooks and functions of one's own. The walk itself is C's; it comes
-- out to the loop here wherever a Lua function has to answer, so hooks and backwards may raise, yield, or call backward
-- themselves.

local core = require "neap.core"
local check = require "neap.check"

local auto, methods = core.autograd, core.tensor_methods

-- ---- the walk ----

-- Calls f as a backward runs: recorded only when the gradients themselves are to be differentiated.
local function call(create, f, ...)
  return (create and core.enable_grad or core.no_grad)(f, ...)
end

-- Gradients of a custom function's outputs, zeros where nothing flowed.
local function filled(entry, grads)
  for i = 1, #entry.outputs do
    if not grads[i] then
      local like = entry.outputs[i]
      grads[i] = core.zeros(like.shape, {dtype = like.dtype})
    end
  end
  return grads
end

local function answer_function(entry, grads, needs, create)
  if not entry then
    check.fail "backward: a function written in Lua that is part of this graph has been collected: keep a tensor made from it alive"
  end
  grads = filled(entry, grads)
  local back = table.pack(call(create, entry.backward, entry.ctx, table.unpack(grads, 1, #entry.outputs)))
  local answers = {}
  for i, argument in ipairs(entry.arguments) do
    local g = back[argument]
    if g ~= nil and not core.is_tensor(g) then
      check.fail("backward of a custom function: gradient %d is %s, not a tensor", argument, check.describe(g))
    end
    answers[i] = needs[i] and g or false
  end
  return answers
end

local function answer_hook(entry, grads, create)
  local g, changed = grads[1], false
  for _, hook in ipairs(entry or {}) do
    local new = call(create, hook, g)
    if new ~= nil then
      if not core.is_tensor(new) then check.fail("a hook returned %s, not a tensor", check.describe(new)) end
      g, changed = new, true
    end
  end
  return changed and {g} or nil
end

-- Walks to the end.
local function finish(walk, create)
  while true do
    local kind, entry, grads, needs = walk:run()
    if not kind then return end
    if kind == "function" then
      walk:answer(answer_function(entry, grads, needs, create))
    else
      walk:answer(answer_hook(entry, grads, create))
    end
  end
end

local backward_options = {"gradient", "retain_graph", "create_graph", "anomaly"}

--- Gradients of x with respect to all leaves it was computed from, added to their grad. x has one element, or `gradient`
--- (of x's shape) is what flows into it. Options: retain_graph (walk again later), create_graph (gradients that can be
--- differentiated), anomaly (an error names the op that first gives NaN), gradient.
function methods:backward(gradient, options)
  if options == nil and type(gradient) == "table" then gradient, options = nil, gradient end
  options = options and check.options("backward", options, backward_options)
  gradient = gradient or options and options.gradient
  local create = options and options.create_graph
  local walk <close> = auto.walk({self}, gradient and {gradient}, nil, options)
  finish(walk, create)
  if create then walk:close(self) end
end

core.backward = methods.backward

local grad_options = {"grad_outputs", "retain_graph", "create_graph", "allow_unused", "materialize_grads", "anomaly"}

local function listed(value)
  return core.is_tensor(value) and {value} or value
end

--- A list of the gradients of `outputs` (a tensor or a list) with respect to each of `inputs`; no leaf's grad changes.
--- Options: grad_outputs (what flows into the outputs), retain_graph, create_graph, allow_unused (nil for an input that
--- was not used, else that is an error), materialize_grads (zeros for it), anomaly.
function core.grad(outputs, inputs, options)
  options = check.options("grad", options, grad_options)
  local zeros = options.materialize_grads
  if zeros then
    if options.allow_unused == false then check.fail "grad: materialize_grads gives zeros for what was not used, which allow_unused = false forbids" end
    options = {grad_outputs = options.grad_outputs, retain_graph = options.retain_graph, create_graph = options.create_graph,
      anomaly = options.anomaly, allow_unused = true}
  end
  outputs, inputs = listed(outputs), listed(inputs)
  check.kind("grad: outputs", outputs, "table")
  check.kind("grad: inputs", inputs, "table")
  if #outputs == 0 or #inputs == 0 then check.fail "grad: takes one output and one input at least" end
  local given = listed(options.grad_outputs)
  local walk <close> = auto.walk(outputs, given, inputs, options)
  finish(walk, options.create_graph)
  local grads = walk:grads()
  for i = 1, #inputs do
    if not grads[i] then grads[i] = zeros and core.zeros_like(inputs[i]) or nil end
  end
  return grads
end

-- ---- hooks ----

local hooks = setmetatable({}, {__mode = "k"}) -- tensor -> the entry that its record or leaf names

--- hook(gradient) runs when x's gradient is complete; what it returns, unless nil, takes the gradient's place. Returns a
--- handle with remove().
function methods:register_hook(hook)
  check.kind("register_hook: the hook", hook, "function")
  local entry = hooks[self]
  if not entry then
    entry = {}
    auto.hook(self, entry)
    hooks[self] = entry
  end
  entry[#entry + 1] = hook
  return {
    remove = function()
      for i, one in ipairs(entry) do
        if one == hook then return table.remove(entry, i) end
      end
    end,
  }
end

local retained = setmetatable({}, {__mode = "k"}) -- tensors that keep their gradient already

--- Lets a tensor in the middle of a graph keep its gradient in grad, as leaves do.
function methods:retain_grad()
  if not self.requires_grad then check.fail "retain_grad: this tensor requires no gradient" end
  if self.is_leaf or retained[self] then return end
  retained[self] = true
  self:register_hook(function(g)
    g = g:detach()
    self.grad = self.grad and self.grad + g or g:clone()
  end)
end

-- ---- functions of one's own ----

local Context = {}
Context.__index = Context

--- Keeps what backward will need.
function Context:save(...) self.kept = table.pack(...) end
Context.save_for_backward = Context.save

--- What save kept.
function Context:saved()
  local kept = self.kept
  if kept then return table.unpack(kept, 1, kept.n) end
end

--- A function with a gradient of its own: neap.custom{forward = f, backward = g}. f(ctx, ...) computes without recording
--- and may ctx:save(...) what g(ctx, ...) will get back from ctx:saved(); g takes a gradient for each output and returns
--- one for each argument (nil for what is no tensor). ctx.needs_input_grad[i] says which are wanted.
function core.custom(spec)
  spec = check.options("custom", spec, {"forward", "backward"})
  check.kind("custom: forward", spec.forward, "function")
  check.kind("custom: backward", spec.backward, "function")
  local forward, backward = spec.forward, spec.backward
  return function(...)
    local args, inputs, arguments = table.pack(...), {}, {}
    local ctx = setmetatable({needs_input_grad = {}}, Context)
    local needs = false
    for i = 1, args.n do
      local value = args[i]
      ctx.needs_input_grad[i] = false
      if core.is_tensor(value) then
        inputs[#inputs + 1], arguments[#arguments + 1] = value, i
        ctx.needs_input_grad[i] = value.requires_grad
        needs = needs or value.requires_grad
      end
    end
    local out = table.pack(core.no_grad(forward, ctx, ...))
    if not needs or not core.is_grad_enabled() then return table.unpack(out, 1, out.n) end
    local outputs, shapes = {}, {}
    for i = 1, out.n do
      if not core.is_tensor(out[i]) then
        check.fail("custom: forward must return tensors; result %d is %s", i, check.describe(out[i]))
      end
      out[i] = out[i]:detach() -- a handle without history, also of what forward passes through
      outputs[i], shapes[i] = out[i], {shape = out[i].shape, dtype = out[i].dtype}
    end
    auto.link({backward = backward, ctx = ctx, arguments = arguments, outputs = shapes}, inputs, outputs)
    return table.unpack(out, 1, out.n)
  end
end

-- ---- checks ----

local Anomaly = {__close = function(self) auto.anomaly(self.was) end}

--- Every backward looks for NaN from now on, and names the op that first gives it: for `local _ <close> =`, or with a
--- function that is called with the other arguments.
function core.detect_anomaly(f, ...)
  local guard <const> = setmetatable({was = auto.anomaly(true)}, Anomaly)
  if f == nil then return guard end
  local _ <close> = guard
  return f(...)
end

--- The same without an end: on or off.
function core.set_detect_anomaly(on) auto.anomaly(on and true or false) end

local gradcheck_options = {"eps", "atol", "rtol", "raise"}

-- A number from each output of f: the outputs times fixed weights.
local function weighed(f, inputs)
  local outputs = table.pack(f(table.unpack(inputs)))
  local sum
  for k = 1, outputs.n do
    local y = outputs[k]
    if core.is_tensor(y) and y:is_floating_point() then
      local n = y:numel()
      local w = (core.arange(n, {dtype = "float64"}) * 0.7 + (0.3 + k)):cos():reshape(y.shape):to(y.dtype)
      local part = (y * w):sum()
      sum = sum and sum + part or part
    end
  end
  if not sum then check.fail "gradcheck: the function returned no tensor of floats" end
  return sum
end

--- Compares the gradients of f (of tensors, to tensors) with central differences at inputs, a list of tensors, those
--- that require a gradient of float64. Options: eps (1e-6), atol (1e-5), rtol (1e-3), raise (true; false: returns false
--- and the message). Returns true.
function core.gradcheck(f, inputs, options)
  options = check.options("gradcheck", options, gradcheck_options)
  inputs = listed(inputs)
  local eps, atol, rtol = options.eps or 1e-6, options.atol or 1e-5, options.rtol or 1e-3
  local wanted, places = {}, {}
  for i, x in ipairs(inputs) do
    if core.is_tensor(x) and x.requires_grad then
      if x.dtype ~= "float64" then check.fail("gradcheck: input %d is %s; differences need float64", i, x.dtype) end
      wanted[#wanted + 1], places[#places + 1] = x, i
    end
  end
  if #wanted == 0 then check.fail "gradcheck: no input requires a gradient" end
  local grads = core.grad(core.enable_grad(weighed, f, inputs), wanted, {allow_unused = true})
  local _ <close> = core.no_grad()
  for k, x in ipairs(wanted) do
    local analytic = grads[k] and grads[k]:reshape(-1):totable() or {}
    local trial = table.move(inputs, 1, #inputs, 1, {})
    local copy = x:detach():clone():contiguous()
    trial[places[k]] = copy
    local flat = copy:view(-1)
    for j = 1, x:numel() do
      local _ <close> = core.scope()
      local value = flat[j]:item()
      flat[j] = value + eps
      local high = weighed(f, trial):item()
      flat[j] = value - eps
      local low = weighed(f, trial):item()
      flat[j] = value
      local numeric, got = (high - low) / (2 * eps), analytic[j] or 0
      local near = math.abs(got - numeric) <= atol + rtol * math.abs(numeric)
      if not near then -- NaN is never near
        local message = ("gradcheck: input %d, element %d: the gradient is %.9g, differences say %.9g"):format(places[k], j, got, numeric)
        if options.raise == false then return false, message end
        check.fail("%s", message)
      end
    end
  end
  return true
end
