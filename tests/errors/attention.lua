-- What is refused, and in which words: attention and the encodings of positions. Code, then the text.

local sdpa = "neap.scaled_dot_product_attention"
local function refuses(args, text) return {sdpa .. "(" .. args .. ")", "scaled_dot_product_attention: " .. text} end

return {
  refuses("neap.ones(4), neap.ones(5, 4), neap.ones(5, 6)",
    "query (4), key (5, 4) and value (5, 6) do not fit: each takes 2 dimensions or more, (..., length, size)"),
  refuses("neap.ones(3, 5), neap.ones(5, 4), neap.ones(5, 6)",
    "query (3, 5), key (5, 4) and value (5, 6) do not fit: the last dimensions of query and key differ"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), neap.ones(6, 6)",
    "query (3, 4), key (5, 4) and value (6, 6) do not fit: key and value differ in length, the last dimension but one"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), neap.ones(5, 6), nil, 0, false, nil, true",
    "query (3, 4), key (5, 4) and value (5, 6) do not fit: enable_gqa takes (..., heads, length, size)"),
  refuses("neap.ones(4, 3, 4), neap.ones(2, 5, 4), neap.ones(4, 5, 6), nil, 0, false, nil, true",
    "query (4, 3, 4), key (2, 5, 4) and value (4, 5, 6) do not fit: key and value have different numbers of heads"),
  refuses("neap.ones(3, 3, 4), neap.ones(2, 5, 4), neap.ones(2, 5, 6), nil, 0, false, nil, true",
    "query (3, 3, 4), key (2, 5, 4) and value (2, 5, 6) do not fit: the heads of query must be a multiple of those of key"),
  refuses("neap.ones(3, 3, 4), neap.ones(2, 5, 4), neap.ones(2, 5, 6)",
    "shapes (3) and (2) do not broadcast: dimension 1 is 3 against 2"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), neap.ones(5, 6), neap.ones(4, 5)",
    "attn_mask (4, 5) does not broadcast to (3, 5), a number for each query and key"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), neap.ones(5, 6), neap.ones(1, 3, 5)",
    "attn_mask (1, 3, 5) does not broadcast to (3, 5), a number for each query and key"),
  refuses("neap.ones(3, 4), neap.ones(5, 4):to('float64'), neap.ones(5, 6)", "query is float32, key is float64: they must be of one dtype"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), i(1)", "value must be of a floating dtype, got int64: convert it with to('float32')"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), neap.ones(5, 6), i(1, 2, 3, 4, 5)",
    "attn_mask must be bool (true: takes part) or floats to be added, got int64"),
  refuses("neap.ones(3, 4), neap.ones(5, 4), neap.ones(5, 6), nil, 1.5", "dropout_p is 1.5, it must be between 0 and 1"),
  {"neap.ones(2, 3):rope()", "rope: takes x (..., T, E) with an even E, got (2, 3)"},
  {"neap.ones(2):rope()", "rope: takes x (..., T, E) with an even E, got (2)"},
  {"neap.ones(2, 4):rope(0)", "rope: base is 0, it must be over 0"},
  {"neap.sinusoids(-1, 4)", "sinusoids: length is -1 and width 4, they must be at least 0"},
  {"neap.sinusoids(2, 4, -1)", "sinusoids: base is -1, it must be over 0"},
  {"neap.alibi_slopes(0)", "alibi_slopes: num_heads is 0, it must be at least 1"},
  {"neap.alibi_slopes(2, 'int64')", "alibi_slopes: dtype must be a floating one, got int64"},
  {"neap.alibi(0, 2)", "alibi: num_heads is 0, it must be at least 1"},
  {"neap.alibi(2, -2)", "alibi: there are -2 queries and -2 keys, it must be at least 0"},
}
