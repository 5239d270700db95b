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
  {nn.MultiheadAttention(4, 2), {3, 1, 4}, {5, 1, 3}, {5, 1, 4},
    "MultiheadAttention: query (3, 1, 4), key (5, 1, 3) and value (5, 1, 4) do not fit: the last dimension of key must be kdim, 4"},
  {nn.MultiheadAttention(4, 2), {3, 2, 4}, {5, 1, 4}, {5, 1, 4}, "their batches differ"},
  {nn.MultiheadAttention(4, 2), {3, 1, 4}, {5, 1, 4}, {4, 1, 4}, "key and value differ in length"},
  {nn.MultiheadAttention(4, 2, {batch_first = true}), {1, 3, 4}, {1, 5, 4}, {1, 4, 4}, "key and value differ in length"},
  {nn.MultiheadAttention(4, 2), {3, 4}, {5, 4}, {4, 4}, "key and value differ in length"},
  {nn.MultiheadAttention(4, 2), {3, 1, 4}, {5, 4}, {5, 4}, "they must have as many dimensions"},
  {nn.MultiheadAttention(4, 2), {4}, {4}, {4}, "each has 3 dimensions, or 2 without a batch"},
  {nn.MultiheadAttention(4, 2), {3, 2, 4}, {5, 2, 4}, {5, 2, 4}, {2, 4}, "key_padding_mask (2, 4) must be (2, 5)"},
  {nn.TransformerEncoderLayer(4, 2, 8), {3, 2, 4}, {4, 3}, "attn_mask (4, 3) must be (3, 3) or (4, 3, 3) (in layer TransformerEncoderLayer.self_attn)"},
  {nn.TransformerDecoderLayer(4, 2, 8), {3, 2, 4}, {5, 2, 3}, "the last dimension of key must be kdim, 4"},
  {nn.TransformerEncoder(4, 2, 2, 8), {3, 2, 5}, "TransformerEncoder.layers[1].self_attn"},
  {nn.TransformerDecoder(4, 2, 2, 8), {3, 2, 4}, {3, 1, 4}, "TransformerDecoder.layers[1].multihead_attn"},
  {nn.Transformer(4, 2, 1, 1, 8), {3, 2, 4}, {3, 2, 5}, "Transformer.decoder.layers[1].self_attn"},
  {nn.PositionalEncoding(4), {2, 3, 5}, "x (2, 3, 5) must have 2 or 3 dimensions, the last of size d_model, 4"},
  {nn.PositionalEncoding(4, 0, 2), {3, 4}, "x (3, 4) from offset 0 on goes beyond max_len, 2"},
  {nn.ALiBi(2), {4}, "takes queries and keys of 2 dimensions or more"},
}
