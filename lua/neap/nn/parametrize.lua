-- parametrize: layers one of whose weights is computed, at each call, from other parameters. The layer stands inside of one
-- that has its name for everything in a state_dict: what is computed is made of parametrizations.NAME.original0, ..., and
-- the layer's other parameters keep their names, as in PyTorch's nn.utils.parametrize.

local core = require "neap.core"
local check = require "neap.check"
local tree = require "neap.nn.tree"
local Module = require "neap.nn.module"

local INNER, PLAIN = {}, {} -- keys that walks over a tree do not see: the layer itself; its own weights, by name

-- The originals of one weight, and [1] what computes it from them.
local ParametrizationList = Module.class "ParametrizationList"

function ParametrizationList:init(parametrization, ...)
  self[1] = parametrization
  local n = select("#", ...)
  for i = 1, n do self[n == 1 and "original" or "original" .. i - 1] = Module.Parameter((select(i, ...))) end
  rawset(self, PLAIN, n)
end

function ParametrizationList:forward()
  if self[PLAIN] == 1 then return self[1](self.original) end
  local originals = {}
  for i = 1, self[PLAIN] do originals[i] = self["original" .. i - 1] end
  return self[1](table.unpack(originals))
end

local Parametrized = Module.class "Parametrized"

-- What a layer holds itself: visit(name, tensor, is_buffer).
local function each_own(what, layer, visit)
  if tree.is_native(layer) then
    if layer:is_waiting() then check.fail("%s: the layer waits for its first input: call it once before", what) end
    local names, tensors, buffer = core.module_each(layer)
    for i, name in ipairs(names) do visit(name, tensors[i], buffer[i]) end
  else
    tree.fields(layer, function(role, name, _, value)
      if role ~= "module" then visit(name, value, role ~= "parameter") end
    end)
  end
end

function Parametrized:init(what, layer)
  if #layer:children() > 0 then check.fail("%s: takes a layer with a weight of its own, not %s, which holds others", what, tree.name(layer)) end
  rawset(self, INNER, layer)
  rawset(self, PLAIN, {})
  self.parametrizations = {}
  each_own(what, layer, function(name, tensor, is_buffer)
    self[PLAIN][name] = tensor
    if is_buffer then self:register_buffer(name, tensor) else self[name] = tensor end
  end)
end

function Parametrized:extra_repr() return tree.name(self[INNER]) end

function Parametrized:forward(...)
  local layer, plain = self[INNER], self[PLAIN]
  layer:train(self.training)
  for name in next, plain do
    local list = self.parametrizations[name]
    tree.put(layer, name, list and list() or self[name])
  end
  local out = table.pack(layer(...))
  for name in next, self.parametrizations do tree.put(layer, name, plain[name]) end -- so that no graph is kept
  return table.unpack(out, 1, out.n)
end

local parametrize = {}

--- A layer like `layer`, whose parameter `name` is parametrization(originals) at each call. parametrization is a module that
--- has right_inverse(weight), which gives the originals, one or several. The layer itself is used up.
function parametrize.register_parametrization(layer, name, parametrization)
  local what = "register_parametrization"
  if not tree.is_module(layer) then check.fail("%s: takes a layer, not %s", what, check.describe(layer)) end
  local outer = tree.is_lua(layer) and rawget(layer, INNER) and layer or Parametrized(what, layer)
  local weight = outer[name]
  if not core.is_tensor(weight) then check.fail("%s: %s has no parameter '%s'", what, tree.name(outer[INNER]), tostring(name)) end
  local _ <close> = core.no_grad()
  outer.parametrizations[name] = ParametrizationList(parametrization, parametrization:right_inverse(weight:detach()))
  outer[name] = nil
  return outer
end

--- The layer inside, with the weight as it was last computed for its parameter `name`.
function parametrize.remove_parametrizations(outer, name)
  local list = tree.is_lua(outer) and rawget(outer, INNER) and outer.parametrizations[name]
  if not list then check.fail("remove_parametrizations: '%s' is not parametrized", tostring(name)) end
  local _ <close> = core.no_grad()
  outer:eval()
  outer.parametrizations[name] = nil
  outer[name] = Module.Parameter(list():clone())
  outer[PLAIN][name] = outer[name]
  if next(outer.parametrizations) then return outer end
  for key in next, outer[PLAIN] do outer[INNER][key] = outer[key] end
  return outer[INNER]
end

-- ---- weight norm ----

local WeightNorm = Module.class "WeightNorm"

function WeightNorm:init(dim) self.dim = dim end

local function norm_but(v, dim)
  if not dim then return v:norm() end
  local dims = {}
  for d = 1, v:dim() do
    if d ~= (dim < 0 and dim + v:dim() + 1 or dim) then dims[#dims + 1] = d end
  end
  return #dims > 0 and v:norm(2, dims, true) or v:abs()
end

function WeightNorm:forward(g, v) return v * (g / norm_but(v, self.dim)) end
function WeightNorm:right_inverse(weight) return norm_but(weight, self.dim), weight:clone() end

-- The settings behind `layer` by their names.
local function settings(what, names, ...)
  return check.settings(what, names, {}, table.pack(...)) or check.fail("%s: takes a layer and %s", what, table.concat(names, ", "))
end

--- A layer like `layer` whose weight is g v / |v| (Salimans and Kingma, 2016), with g (original0) its length and v
--- (original1) its direction: a length for each position of dim (1), or with dim = false one for all. Both settings
--- may come in a table: weight_norm(layer, {dim = 2}).
function parametrize.weight_norm(layer, ...)
  local given = settings("weight_norm", {"name", "dim"}, ...)
  local dim, name = given.dim, given.name
  if dim == nil then dim = 1 end
  if dim and math.type(dim) ~= "integer" then check.fail("weight_norm: dim is a dimension or false, not %s", check.describe(dim)) end
  return parametrize.register_parametrization(layer, name or "weight", WeightNorm(dim))
end

-- ---- spectral norm ----

local SpectralNorm = Module.class "SpectralNorm"

function SpectralNorm:init(iterations, eps, dim) self.iterations, self.eps, self.dim = iterations, eps, dim end

function SpectralNorm:matrix(weight)
  local first = self.dim == 1 and weight or weight:movedim(self.dim, 1)
  return first:reshape(first:size(1), -1)
end

function SpectralNorm:iterate(w, n)
  for _ = 1, n do
    self._u:copy_(core.normalize(w:mv(self._v), 2, 1, self.eps))
    self._v:copy_(core.normalize(w:t():mv(self._u), 2, 1, self.eps))
  end
end

function SpectralNorm:right_inverse(weight)
  if weight:dim() > 1 then
    local w = self:matrix(weight)
    self:register_buffer("_u", core.normalize(core.randn(w:size(1), {dtype = w.dtype}), 2, 1, self.eps))
    self:register_buffer("_v", core.normalize(core.randn(w:size(2), {dtype = w.dtype}), 2, 1, self.eps))
    self:iterate(w, 15)
  end
  return weight:clone()
end

function SpectralNorm:forward(weight)
  if weight:dim() < 2 then return core.normalize(weight, 2, 1, self.eps) end
  local w = self:matrix(weight)
  if self.training then
    local _ <close> = core.no_grad()
    self:iterate(w:detach(), self.iterations)
  end
  local u, v = self._u:clone(), self._v:clone() -- the next call moves them
  return weight / u:dot(w:mv(v))
end

--- A layer like `layer` whose weight is divided by its largest singular value (Miyato et al., 2018), which
--- n_power_iterations a training step (1) follow; the weight is seen as a matrix with dimension dim first, that of the
--- outputs: 1, or 2 of a transposed convolution. The settings may come in a table.
function parametrize.spectral_norm(layer, ...)
  local given = settings("spectral_norm", {"name", "n_power_iterations", "eps", "dim"}, ...)
  local iterations = given.n_power_iterations or 1
  if math.type(iterations) ~= "integer" or iterations < 1 then
    check.fail("spectral_norm: n_power_iterations is a whole number from 1 on, not %s", tostring(iterations))
  end
  local outputs = tree.is_native(layer) and layer:name():find "^ConvTranspose" and 2 or 1
  return parametrize.register_parametrization(layer, given.name or "weight", SpectralNorm(iterations, given.eps or 1e-12, given.dim or outputs))
end

return parametrize
