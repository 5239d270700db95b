-- Help: whatever the public can call is described, and found under each of its names.

local neap = require "neap"
local core = require "neap.core"
local entries = require "neap.help".entries
local says = require("support.says").says

local function shows(name, ...)
  local text = neap.help(name)
  for _, part in ipairs{...} do assert.is_truthy(text:find(part, 1, true), ("%q is not in: %s"):format(part, text)) end
  return text
end

local function refuses(name, ...)
  says(function() neap.help(name) end, "help: ", ...)
end

describe("neap.help", function()
  it("tells an op's other names, and finds it by them", function()
    shows("abs", "other names: absolute")
    shows("div", "other names: divide, true_divide")
    shows("absolute", "neap.abs(x)")
  end)
  it("has a heading and a sentence for everything", function()
    for _, entry in ipairs(entries()) do
      local head, rest = entry.text():match "^([^\n]*)\n(.+)$"
      assert.is_truthy(head and rest, "nothing is said of " .. entry.full)
      assert.is_truthy(head:find(entry.last, 1, true), entry.full .. ": " .. head)
    end
  end)

  it("knows all functions, methods, layers and rules there are", function()
    local nn, optim = neap.nn, neap.optim
    local tables = {neap, core.tensor_methods, core.module_methods, nn, nn.init, optim, optim.lr, neap.data, neap.train, neap.metrics,
      neap.plot, neap.generator(1)}
    for _, list in ipairs(tables) do
      for name, value in pairs(type(list) == "table" and list or getmetatable(list).__index) do
        if type(value) == "function" and name ~= "text" and name ~= "_" then
          assert.is_true((pcall(neap.help, name)), "there is no help for " .. name)
        end
      end
    end
  end)

  it("describes ops by their rows", function()
    shows("matmul", "neap.matmul(x, other)", "x:matmul(other)", "Product of matrices", "-->")
    shows("neap.sum", "dims = nil, keepdim = false")
    shows("x:sum", "neap.sum(")
    shows("add_", "x:add_(...) writes the result into x")
    shows("cross_entropy", "reduction: one of none, mean, sum")
    shows("arccos", "neap.acos(x)")
    shows("normal", "Normal numbers like x", "numbers or tensors that broadcast") -- the row, and what Lua adds
    assert.equal(neap.help "matmul", neap.help(neap.matmul))
  end)

  it("describes layers and rules", function()
    shows("Linear", "neap.nn.Linear(in_features?, out_features, bias = true)")
    shows("nn.Linear", "neap.nn.Linear(")
    shows("Adam", "neap.optim.Adam(parameters, {lr = 0.001")
    shows("ModuleList", "neap.nn.ModuleList(...)", "called by hand")
  end)
  it("says what a layer's call takes, and which options an op has besides its arguments", function()
    shows("TransformerDecoder", "called as layer(tgt, memory, tgt_mask = nil,", "memory_key_padding_mask = nil, tgt_is_causal = false", "-> y")
    shows("LSTM", "called as layer(x, h0 = nil, c0 = nil, lengths = nil) -> y, h_n, c_n")
    shows("gather", "option base = 0: positions in tensors count from 0")
    shows("zeros_like", "option requires_grad = true")
    assert.is_nil(neap.help "relu":find("option", 1, true))
  end)
  it("knows the class of a layer and of an optimizer, and parts themselves", function()
    local nn = neap.nn
    local layer = nn.Linear(2, 3)
    for value, name in pairs {[layer] = "nn.Linear", [nn.Sequential(layer)] = "nn.Sequential", [nn.ModuleList()] = "nn.ModuleList",
      [nn.ModuleList] = "nn.ModuleList", [neap.optim.SGD(layer:parameters(), {lr = 1})] = "optim.SGD", [neap.data] = "data",
      [nn.utils] = "nn.utils", [nn.init] = "nn.init"} do
      assert.equal(neap.help(name), neap.help(value))
    end
    assert.equal(neap.help(), neap.help(neap))
    says(function() return (neap.help(nn.class "Own"())) end, "help: Own is no layer of Neap's own")
    says(function() return (neap.help {}) end, "help: the name is not a string, but a table")
  end)

  it("describes functions of Lua by the comments above them", function()
    shows("batches", "neap.data.batches(tensors, options)", "shuffle")
    shows("neap.data.batches", "neap.data.batches(tensors, options)")
    shows("fit", "neap.train.fit(options)", "on_epoch(state)")
    shows("LinearWarmup", "neap.optim.lr.LinearWarmup(optimizer, steps, start_factor = 0.0)", "In Lua also after")
    shows("f1", "harmonic mean", "options.average") -- made by a factory: what is its own, and what all have
    shows("trunc_normal_", "neap.nn.init.trunc_normal_(tensor, ...)", "cut to [a, b]")
    shows("split", "neap.split(x, sizes, dim = 1)   or   x:split(sizes, dim = 1)", "returns parts, a list", "see also neap.data.split")
    shows("data.split", "neap.data.split(set, fraction, options)")
    shows("load_state_dict", "module:load_state_dict(state, options)", "optimizer:load_state_dict(state)")
    shows("new_full", "x:new_full(...)", "A tensor of one value, in x's dtype")
    shows("full", "With true or false it is of dtype bool.")
    assert.is_nil(neap.help "full":find("new_full", 1, true)) -- what is said of another name
    assert.equal(neap.help "data.split", neap.help(neap.data.split))
  end)

  it("describes functions and fields made in C", function()
    shows("tensor", "neap.tensor(value, {dtype")
    shows("item", "x:item()")
    shows("shape", "x.shape")
    shows("scope", "neap.scope()", "local s <close>")
  end)

  it("describes parts", function()
    shows("data", "sets of samples", "batches csv cutmix digits")
    shows("neap.nn", "layers", "Linear")
    shows("nn.init", "xavier_uniform_")
    shows("optim.lr", "learning rates", "StepLR")
    shows("linalg", "svd")
    shows("nn.utils", "nn.utils, what is done to many parameters", "max_norm_")
    shows("nn.utils.parametrize", "register_parametrization")
    shows("weight_norm", "neap.nn.utils.parametrizations.weight_norm(layer, ...)", "Salimans")
    shows("nn.functional", "unfold")
    assert.equal(neap.help "relu", neap.help "nn.functional.relu")
    shows("distributions", "log_prob", "Normal")
    shows("Normal", "neap.distributions.Normal(loc, scale)")
  end)

  it("lists all there is by family, within the width of the terminal", function()
    local text = neap.help()
    for _, part in ipairs{"\n  reduce: all any", " matmul", "\n  neap. ", "\n  x: ", "\n  neap.optim. ", "\n  neap.data. batches",
      "\n  neap.nn.utils. ", "\n  neap.nn.utils.parametrizations. spectral_norm weight_norm", "neap.nn.functional."} do
      assert.is_truthy(text:find(part, 1, true), part)
    end
    for line in text:gmatch "[^\n]+" do assert.is_true(#line <= (neap.terminal_width() or 100), line) end
  end)

  it("says what is near to a name that is none", function()
    refuses("matmull", "there is no 'matmull' (did you mean 'matmul'?)")
    refuses("nn.Lineer", "did you mean 'nn.Linear'?")
    refuses("roc", "there is", "neap.metrics.roc_curve")
    refuses("", "there is no ''")
    refuses(print, "none of Neap's")
    refuses(3, "the name is not a string, but a number (3)")
  end)

  it("is the same in the program, whose Lua files are built in", function()
    local program = (os.getenv "NEAP_BUILD_DIR" or "build") .. "/neap"
    local pipe = assert(io.popen(program .. [[ -l neap -e 'io.write(neap.help "data.batches")' 2>&1]]))
    assert.equal(neap.help "data.batches", pipe:read "a")
    pipe:close()
  end)
end)
