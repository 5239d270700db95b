-- What layers say of an input of the wrong shape: {layer, shape of an input, ..., text}. Every layer with parameters is here; see
-- layers_spec.

local nn = require "neap".nn

return {
  {nn.Linear(4, 3), {2, 5}, "linear: x (2, 5) does not fit weight (3, 4): the last dimension of x must be 4"},
  {nn.Bilinear(3, 4, 2), {5, 3}, {5, 5}, "bilinear: x1 (5, 3) and x2 (5, 5) do not fit weight (2, 3, 4)"},
  {nn.LayerNorm{3, 4}, {2, 4}, "layer_norm: x (2, 4) does not end in normalized_shape (3, 4)"},
  {nn.PReLU(3), {2, 4}, "prelu: weight"},
  {nn.Embedding(6, 3), {2, 2}, "embedding: "},
  {nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3)), {2, 4}, "(in layer Sequential[2])"},
}
