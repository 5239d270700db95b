-- What misuse says: each mistake has a message of its own that names the op, what was got, what is allowed, and the line
-- of the script; nothing of Neap's own insides shows, and nothing is lost by it.

local neap = require "neap"
local check = require "support.says"
local files = require "support.files"
local message_of, says = check.message_of, check.says
local nn = neap.nn

describe("misuse", function()
  it("of shapes: matmul", function()
    says(function() return neap.randn(3, 4):matmul(neap.randn(5, 2)) end, "matmul", "(3, 4)", "(5, 2)", "4", "5")
  end)
  it("of shapes: broadcasting", function()
    says(function() return neap.ones(3, 4) + neap.ones(3, 5) end, "add", "(3, 4)", "(3, 5)", "dimension 2")
  end)
  it("of dimensions: out of range, or 0", function()
    says(function() return neap.ones(3, 4):sum(3) end, "sum", "3", "dimension")
    says(function() return neap.ones(3, 4):sum(0) end, "0", "1")
  end)
  it("of labels: out of range", function()
    says(function() return neap.cross_entropy(neap.randn(3, 5), neap.tensor({ 1, 6, 2 }, { dtype = "int64" })) end,
      "cross_entropy", "6", "1", "5")
    says(function() return neap.cross_entropy(neap.randn(3, 5), neap.tensor({ 0, 1, 2 }, { dtype = "int64" })) end, "0")
  end)
  it("of losses: they do not broadcast", function()
    says(function() return neap.mse_loss(neap.randn(4, 1), neap.randn(4)) end, "mse_loss", "(4, 1)", "(4)")
  end)
  it("of positions: out of range", function()
    says(function() return neap.ones(3)[4] end, "4", "3")
    says(function() local x = neap.ones(3) x[0] = 1 end, "0")
  end)
  it("of options: the nearest name is suggested", function()
    says(function() return neap.ones(3, 4):sum(1, { keepdims = true }) end, "keepdims", "keepdim")
    says(function() return nn.Linear(3, 4, { bais = false }) end, "bais", "bias")
    says(function() return (neap.optim.SGD(nn.Linear(3, 4):parameters(), { lrr = 1 })) end, "lrr", "lr")
  end)
  it("of options: one that PyTorch names otherwise counts once", function()
    says(function() return neap.ones(3, 4):sum({ dim = 1, dims = 2 }) end, "sum: dim", "is given twice")
    says(function() return neap.ones(3, 4):sum(1, { axis = 1 }) end, "sum: axis is given twice")
    says(function() return neap.ones(3, 4):std({ unbiased = 0 }) end, "std: unbiased must be a boolean, got a number (0)")
    says(function() return neap.ones(3, 4):sum({ unbiased = true }) end, "sum: unknown option 'unbiased'")
  end)
  it("of names: the nearest in the part of the library is suggested", function()
    says(function() return nn.Liner(3, 4) end, "nn has no 'Liner' (did you mean 'Linear'?)")
    says(function() return neap.optim.SDG({}, {}) end, "optim has no 'SDG'")
    says(function() return neap.optim.lr.SteppLR() end, "optim.lr has no 'SteppLR' (did you mean 'StepLR'?)")
    says(function() return neap.data.batchs {} end, "data has no 'batchs' (did you mean 'batches'?)")
    says(function() return neap.metrics.acuracy() end, "metrics has no 'acuracy' (did you mean 'accuracy'?)")
    says(function() return neap.train.fitt {} end, "train has no 'fitt'")
    says(function() return neap.plot.lins() end, "plot has no 'lins'")
    says(function() return nn.init.normal() end, "nn.init has no 'normal' (did you mean 'normal_'?)")
    says(function() return neap.zeross(3) end, "neap has no 'zeross' (did you mean 'zeros'?)")
    says(function() return neap.dta end, "neap has no 'dta' (did you mean 'data'?)")
    says(function() return neap.optim.decay_group() end, "optim has no 'decay_group' (did you mean 'decay_groups'?)")
    says(function() return nn.functional.rellu(1) end, "nn.functional has no 'rellu' (did you mean 'relu'?)")
    says(function() return nn.utils.pad_sequences {} end, "nn.utils has no 'pad_sequences' (did you mean 'pad_sequence'?)")
    says(function() return neap.linalg.solv(1) end, "linalg has no 'solv' (did you mean 'solve'?)")
    says(function() return neap.distributions.Norml(1) end, "distributions has no 'Norml' (did you mean 'Normal'?)")
    says(function() return neap.autograd end, "neap has no 'autograd'") -- a file that only adds to neap is no part of it
    for _, list in ipairs { neap, neap.data, neap.linalg, nn.functional } do assert.is_nil(list[1] or list._private) end
    assert.is_nil(rawget(neap, "nothing")) -- asks without an error
  end)
  it("of names of fields and methods: the nearest is suggested", function()
    local x, layer = neap.ones(3), nn.Linear(3, 4, { bias = false })
    local adam = neap.optim.Adam(layer:parameters())
    says(function() return x:summ() end, "a tensor has no 'summ' (did you mean 'sum'?)")
    says(function() return x.shap end, "a tensor has no 'shap' (did you mean 'shape'?)")
    says(function() return x:cuda() end, "a tensor has no 'cuda'")
    says(function() return adam:stepp() end, "Adam has no 'stepp' (did you mean 'step'?)")
    says(function() return layer:evall() end, "Linear has no 'evall' (did you mean 'eval'?)")
    assert.is_nil(x._private)
    assert.is_nil(layer.bias) -- code may ask which parts a layer has
    assert.is_nil(layer.weight_v)
    says(function() return (neap.optim.lr.StepLR(x, 1)) end, "StepLR: takes an optimizer first, not a neap.Tensor")
  end)
  it("of tables: rows of different length", function()
    says(function() return neap.tensor { { 1, 2 }, { 3 } } end, "tensor", "row", "2", "1")
  end)
  it("of dtypes", function()
    says(function() return neap.zeros(3, { dtype = "float3" }) end, "float3", "float32")
    says(function() return neap.tensor({ 1, 2 }, { dtype = "int64" }):mean() end, "mean", "int64")
    says(function() return neap.ones(3):mean(1, false, "int32") end, "mean", "int32", "float")
    says(function() neap.zeros(3, { dtype = "int64" }):add_(neap.ones(3) * 0.5) end, "add_", "int64", "float32")
  end)
  it("of comparison operators", function()
    says(function() return neap.ones(3) < neap.ones(3) end, "lt")
  end)
  it("of a tensor after its scope closed", function()
    local x
    do
      local scope <close> = neap.scope()
      x = neap.ones(3)
    end
    says(function() return x + 1 end, "scope", "closed")
  end)
  it("of memory: more than the cap", function()
    local memory = neap.memory()
    neap.set_memory_cap(memory.live + memory.cached + 8 * 1024 * 1024)
    local message = message_of(function() return neap.zeros(64, 1024, 1024) end)
    neap.set_memory_cap(0)
    assert.is_truthy(message:find("zeros: out of memory: 256.0 MiB more would pass the cap", 1, true), message)
    assert.are.equal(3, neap.ones(3):sum():item())
  end)
  it("inside a layer of C: its path is named", function()
    local net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))
    says(function() return net(neap.randn(2, 3)) end, "linear", "(2, 4)", "(in layer Sequential[3])")
    local deep = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)))
    says(function() return deep(neap.randn(2, 3)) end, "linear", "(in layer Sequential[2][2])")
    says(function() return nn.Sequential(nn.Linear(3, 4), nn.Embedding(5, 2))(neap.randn(2, 3)) end, "embedding", "(in layer Sequential[2])")
  end)
  it("inside layers written in Lua: their path is named", function()
    local Inner, Outer = nn.class "Inner", nn.class "Outer"
    function Inner:forward(x) return x + neap.ones(7) end
    function Outer:init() self.blocks = { Inner(), Inner() } end
    function Outer:forward(x) return self.blocks[2](x) end
    says(function() return Outer()(neap.randn(2, 3)) end, "add", "(2, 3)", "(7)", "(in layer Outer.blocks[2])")
    local listed = Outer()
    listed.blocks = nn.ModuleList(listed.blocks)
    says(function() return listed(neap.randn(2, 3)) end, "(in layer Outer.blocks[2])")
    says(function() return coroutine.wrap(Outer.forward)(Outer(), neap.randn(2, 3)) end, "(in layer Inner)")
    local message = says(function() return neap.ones(2) + neap.ones(3) end, "add") -- and nothing of it is left
    assert.is_nil(message:find("layer", 1, true))
  end)
  it("inside a mixed net: Lua's and C's part of the path are one", function()
    local Net = nn.class "Net"
    function Net:init() self.body = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)) end
    function Net:forward(x) return self.body(x) end
    says(function() return Net()(neap.randn(2, 3)) end, "linear", "(in layer Net.body[2])")
    says(function() return nn.Sequential(nn.ReLU(), Net())(neap.randn(2, 3)) end, "(in layer Sequential[2].body[2])")
    says(function() return nn.Sequential(nn.ReLU(), function(x) return x:matmul(x) end)(neap.randn(2, 3)) end,
      "matmul", "(in layer Sequential[2])")
  end)
  it("inside layers, raised by Neap's own Lua: their path is named once", function()
    local Net, bad = nn.class "Net", nil
    function Net:forward(x) return bad(x) end
    local net = nn.Sequential(nn.ReLU(), Net())
    local function raised(f, ...)
      bad = f
      local message = says(function() return net(neap.ones(2, 3)) end, ...)
      assert.are.equal(1, select(2, message:gsub("Sequential%[2%]", "")), message)
    end
    raised(function(x) local y = x[{1, 1, 1}] return y end, "(in layer Sequential[2])")
    raised(function() local y = nn.Sequential(3) return y end, "layer 1 is a number (3), not a module or a function (in layer Sequential[2])")
    raised(function() local y = neap.optim.SGD({}, {}) return y end, "(in layer Sequential[2])")
    local message = says(function() nn.Sequential(3) end, "layer 1 is") -- and nothing of it is left
    assert.is_nil(message:find("in layer", 1, true))
  end)
  it("of what a dtype holds: the place, the value and the range", function()
    says(function() return neap.tensor({ { 1, 300 } }, { dtype = "uint8" }) end, "entry [1][2]", "300", "uint8", "0 to 255")
    says(function() return neap.tensor({ 1, 2.5 }, { dtype = "int32" }) end, "entry [2]", "2.5", "int32", "whole numbers")
    says(function() return neap.embedding(neap.ones(2), neap.ones(3, 4)) end, "embedding", "integers", "float32")
  end)
  it("of backward: a second one through the same graph", function()
    local x = neap.ones(3, { requires_grad = true })
    local y = (x * x):sum()
    y:backward()
    says(function() y:backward() end, "backward", "mul at", "retain_graph")
    assert.are.equal(2, x.grad[1]:item())
  end)
  it("of backward: what was saved has been changed in place; both places are named", function()
    local x = neap.ones(3, { requires_grad = true })
    local y = x * 2
    local z = (y * y):sum()
    y:add_(1)
    local message = says(function() z:backward() end, "mul", "saved", "in place", "add_ at")
    local _, places = message:gsub("errors_spec.lua:%d+", "")
    assert.are.equal(3, places) -- of the call, of the change, of backward
    assert.is_nil(x.grad)
  end)
  it("of leaves: changed in place while gradients are on", function()
    says(function() neap.ones(3, { requires_grad = true }):add_(1) end, "add_", "leaf", "no_grad")
  end)
  it("of operators: which operand is wrong", function()
    local x = neap.ones(3)
    says(function() return x + nil end, "add: the second operand, z, is missing: a tensor or a number")
    says(function() return nil * x end, "mul: the first operand, x, is missing")
    says(function() return {} / x end, "div: the first operand, x, must be a tensor or a number, got a table")
    says(function() return x:lt "a" end, "lt: the second operand, z, must be a tensor or a number, got a string ('a')")
    says(function() return neap.exp "a" end, "exp: x must be a tensor or a number")
  end)
  it("of assignments: not of the op that does it", function()
    local x, w = neap.zeros(3, 3), neap.ones(3, { requires_grad = true })
    local where = "x[...] = y: "
    says(function() x[{ {}, 1 }] = neap.ones(7) end, where .. "shapes (3) and (7) do not broadcast")
    says(function() x[1] = "a" end, where .. "value must be a tensor or a number, got a string ('a')")
    says(function() x[neap.tensor({ 1, 2 }, { dtype = "int64" })] = neap.ones(4, 4) end, where)
    says(function() w[1] = 3 end, where .. "a view of a leaf that requires a gradient cannot be changed in place")
    assert.is_nil(message_of(function() w[1] = 3 end):find("fill", 1, true))
  end)
  it("of tables of numbers: the value itself", function()
    says(function() return neap.tensor "a" end, "tensor: the value is a string ('a'), not a number")
    says(function() return neap.tensor { { 1, "a" } } end, "tensor: entry [1][2] is a string ('a'), not a number")
  end)
  it("of a missing argument, or one of the wrong kind", function()
    says(function() return neap.matmul(neap.ones(2, 2)) end, "matmul", "missing")
    says(function() return neap.ones(2, 2):matmul("x") end, "matmul", "string")
  end)
  it("leaves everything usable", function()
    for _ = 1, 100 do pcall(function() return neap.ones(2, 3):matmul(neap.ones(2, 3)) end) end
    assert.are.equal(6, neap.ones(2, 3):sum():item())
  end)
end)

describe("the program, when a script goes wrong,", function()
  local neap_program = (os.getenv "NEAP_BUILD_DIR" or "build") .. "/neap"

  -- The lines that a run of the program leaves, and its exit status.
  local function ran(arguments)
    local pipe = assert(io.popen(("%s %s 2>&1"):format(neap_program, arguments)))
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    local _, _, status = pipe:close()
    return lines, status
  end

  it("says it in one line with op, shapes and place, and ends with status 1", function()
    local lines, status = ran [[-e 'local neap=require"neap"; neap.randn(3,4):matmul(neap.randn(5,2))']]
    assert.are.equal(1, status)
    assert.are.equal(1, #lines)
    for _, part in ipairs { "neap: (command line):1: matmul: ", "(3, 4)", "(5, 2)", "is 4", "5" } do
      assert.is_truthy(lines[1]:find(part, 1, true), lines[1])
    end
  end)
  it("names the script's own line, not one of Neap's", function()
    local path = files.write 'local neap = require "neap"\nlocal function f()\n  return neap.nn.Linear(3, 4, { bais = false })\nend\nf()\n'
    local lines, status = ran(path)
    os.remove(path)
    assert.are.equal(1, status)
    assert.are.same({ ("neap: %s:3: Linear: unknown option 'bais' (did you mean 'bias'?); it has in_features, out_features, bias"):format(path) }, lines)
  end)
  it("shows a stack for an error of the script's own", function()
    local lines, status = ran [[-e 'require "neap"; error "mine"']]
    assert.are.equal(1, status)
    assert.are.equal("neap: (command line):1: mine", lines[1])
    assert.are.equal("stack traceback:", lines[2])
  end)
end)
