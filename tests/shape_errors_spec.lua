-- What the ops on shapes, positions and masks say when their rules are broken: the whole text of each message, after the
-- place in the script. Each line is one rule of one op.

local neap = require "neap"

local env = setmetatable({
  neap = neap,
  x = neap.ones(2, 3), v = neap.ones(3), s = neap.tensor(1), d8 = neap.ones(1, 1, 1, 1, 1, 1, 1, 1),
  i = function(...) return neap.tensor({...}, {dtype = "int64"}) end,
  b = function(...) return neap.tensor({...}, {dtype = "bool"}) end,
}, {__index = _G})

local rules = {
  -- orders and shapes
  {"x:view(4)", "view: (2, 3) has 6 elements, (4) has 4"},
  {"x:view(-1, -1)", "view: only one size can be -1, got (-1, -1)"},
  {"x:view(-2, 3)", "view: a size is negative: (-2, 3)"},
  {"x:view(4, -1)", "view: (2, 3) has 6 elements, which (4, -1) cannot hold: they do not divide by 4"},
  {"x:t():view(6)", "view: the elements do not lie in memory so that they could be seen as (6): use reshape, which copies"},
  {"x:view_as(v)", "view: (2, 3) has 6 elements, (3) has 3"},
  {"x:flatten(2, 1)", "flatten: end_dim 1 comes before start_dim 2"},
  {"x:unflatten(2, {2, 2})", "unflatten: dimension 2 has size 3, the sizes given hold 4"},
  {"x:transpose(1, 3)", "transpose: dimension 3 is out of range: a tensor of 2 dimensions has 1 to 2, or -1 to -2"},
  {"x:swapaxes(1, 0)", "swapaxes: axis1 is 0, but dimensions count from 1 (or from the end: -1 is the last)"},
  {"x:permute(1)", "permute: all 2 dimensions of x must be named once, got 1"},
  {"x:permute(1, 1)", "permute: dimension 1 is given twice"},
  {"neap.ones(2, 2, 2):t()", "t: x has 3 dimensions, 2 are the most: use transpose"},
  {"x:movedim({1, 2}, {1})", "movedim: 2 dimensions in source and 1 in destination: there must be as many"},
  {"x:movedim({1, 1}, {1, 2})", "movedim: dimension 1 is given twice"},
  {"x:movedim(3, 1)", "movedim: dimension 3 is out of range: a tensor of 2 dimensions has 1 to 2, or -1 to -2"},
  {"d8:unsqueeze(1)", "unsqueeze: x already has 8 dimensions, the most there can be"},
  {"x:expand(4, 4)", "expand: (2, 3) cannot expand to (4, 4): dimension 1 has size 2, and only 1 becomes another size"},
  {"x:broadcast_to(3)", "broadcast_to: (2, 3) cannot expand to (3)"},
  {"neap.broadcast_tensors(x, neap.ones(2))", "broadcast_shapes: shapes do not broadcast: dimension 2 is 3 against 2"},
  {"neap.broadcast_tensors(x, 1)", "broadcast_tensors: argument 2 is a number (1), not a tensor"},
  {"neap.meshgrid(v, x)", "meshgrid: tensor 2 has 2 dimensions, 1 is the most"},
  {"neap.meshgrid(v, {indexing = 'ji'})", "meshgrid: indexing is 'ji'; there is ij, xy"},
  {"neap.meshgrid(v, {index = 'ij'})", "meshgrid: unknown option 'index'; it has indexing"},
  -- cuts
  {"x:narrow(2, 2, 3)", "narrow: 3 from position 2 on do not fit: dimension 2 has size 3"},
  {"x:narrow(2, 2, -1)", "narrow: length is -1, it must be at least 0"},
  {"x:slice(2, 1, 2, 0)", "slice: step is 0, it must be at least 1"},
  {"x:slice(2, 1, 3, 2)", "slice: 3 from position 1 on in such steps do not fit: dimension 2 has size 3"},
  {"s:narrow(1, 1, 1)", "narrow: x has no dimension to cut"},
  {"x:select(2, 4)", "select: index 4 is out of range: dimension 2 of x has 3 positions, 1 to 3, or -1 to -3"},
  {"s:select(1, 1)", "select: x has no dimension to select from"},
  {"x:unfold(2, 4)", "unfold: size is 4: dimension 2 of x has 3 positions"},
  {"x:unfold(2, 2, 0)", "unfold: step is 0, it must be at least 1"},
  {"s:unfold(1, 1)", "unfold: x has no dimension to unfold"},
  {"d8:unfold(1, 1)", "unfold: x already has 8 dimensions, the most there can be"},
  {"x:split(0)", "split: takes a size of 1 or more, or a list of sizes, not a number (0)"},
  {"x:split({1, 2})", "split: the sizes add up to 3, dimension 1 has 2"},
  {"x:split({3, -1})", "split: size 2 of the list is a number (-1), not a whole number from 0 on"},
  {"x:chunk(0)", "chunk: takes a number of pieces, not a number (0)"},
  {"x:tensor_split(0)", "tensor_split: takes a number of pieces of 1 or more, not 0"},
  {"x:tensor_split({0})", "tensor_split: position 1 of the list is a number (0); positions count from 1, or from the end: -1 is the last"},
  {"x:tensor_split('a')", "tensor_split: takes a number of pieces or a list of positions, not a string ('a')"},
  {"x:hsplit(2)", "hsplit: dimension 2 has size 3, which is no multiple of 2 pieces"},
  {"v:vsplit(1)", "vsplit: x must have 2 dimensions or more, got 1"},
  {"x:dsplit(1)", "dsplit: x must have 3 dimensions or more, got 2"},
  {"s:hsplit(1)", "hsplit: x must have 1 dimension or more, got 0"},
  -- elements in other places
  {"x:roll({1, 2})", "roll: without dims there is one shift, got 2"},
  {"x:roll({1, 2}, {1})", "roll: 2 shifts and 1 dims: there must be as many"},
  {"x:roll({1}, {3})", "roll: dimension 3 is out of range: a tensor of 2 dimensions has 1 to 2, or -1 to -2"},
  {"x:flip(1, 1)", "flip: dimension 1 is given twice"},
  {"v:fliplr()", "fliplr: x must have 2 dimensions or more, got 1"},
  {"s:flipud()", "flipud: x must have 1 dimension or more, got 0"},
  {"v:rot90()", "rot90: x must have 2 dimensions or more, got 1"},
  {"x:rot90(1, {1})", "rot90: dims must be the two dimensions of a plane, got 1"},
  {"x:rot90(1, {1, -2})", "rot90: dims must be two different dimensions, got 1 twice"},
  {"x:tile(2, -1)", "tile: dimension 2 is to be repeated -1 times, 0 is the least"},
  {"x:tile(1, 1, 1, 1, 1, 1, 1, 1, 2)", "tile: 9 dimensions, 8 are the most"},
  {"x:tile(1 << 40, 1 << 40)", "tile: the result is too large for memory"},
  {"x:repeat_interleave(-1)", "repeat_interleave: repeats is -1, 0 is the least"},
  {"x:repeat_interleave(1.5)", "repeat_interleave: repeats must be a whole number, got 1.5"},
  {"x:repeat_interleave(i(1, 2), 2)", "repeat_interleave: repeats must be one number or 3 in one dimension, got shape (2)"},
  {"v:repeat_interleave(i(1, -2, 1))", "repeat_interleave: repeats[2] is -2, 0 is the least"},
  {"v:repeat_interleave(v)", "repeat_interleave: repeats must hold integers, got float32"},
  -- padding
  {"x:pad({1})", "pad: pad holds pairs, before and after, of the last dimension first; got 1 numbers"},
  {"x:pad({1, 1, 1, 1, 1, 1})", "pad: pad has 3 pairs, x has 2 dimensions"},
  {"x:pad({-2, -2})", "pad: -2 and -2 crop more than there is: dimension 2 of x has size 3"},
  {"x:pad({3, 0}, 'reflect')", "pad: dimension 2 of x has size 3, so reflect padding of it is at most 2, not 3"},
  {"x:pad({4, 0}, 'circular')", "pad: dimension 2 of x has size 3, so circular padding of it is at most 3, not 4"},
  {"neap.ones(2, 0):pad({1, 0}, 'replicate')", "pad: dimension 2 of x has size 0, so replicate padding of it is at most 0, not 1"},
  {"x:pad({1, 1}, 'mirror')", "pad: mode is 'mirror'; there is constant, reflect, replicate, circular"},
  {"x:pad({1 << 62, 0})", "pad: the result is too large for memory"},
  -- diagonals
  {"v:diagonal()", "diagonal: x must have 2 dimensions or more, got 1"},
  {"x:diagonal(0, 1, -2)", "diagonal: dim1 and dim2 are both 1: a diagonal lies in two dimensions"},
  {"x:diagonal_scatter(v)", "diagonal_scatter: src has shape (3), the diagonal has (2)"},
  {"s:diag_embed()", "diag_embed: x must have 1 dimension or more, got 0"},
  {"v:diag_embed(0, 1, 1)", "diag_embed: dim1 and dim2 are both 1: a diagonal lies in two dimensions"},
  {"v:diag_embed(1 << 62)", "diag_embed: the result is too large for memory"},
  {"s:diag()", "diag: x must have 1 or 2 dimensions, got 0: diagonal and diag_embed take more"},
  {"neap.block_diag({})", "block_diag: the list of tensors is empty"},
  {"neap.block_diag(neap.ones(1, 1, 1))", "block_diag: tensor 1 has 3 dimensions, 2 are the most"},
  {"v:tril()", "tril: x must have 2 dimensions or more, got 1"},
  {"neap.tril_indices(-1, 2)", "tril_indices: row and col are -1 and 2, they must be at least 0"},
  {"neap.triu_indices(2, 2, 0, 'float32')", "triu_indices: dtype must be of integers, got float32"},
  {"neap.tril_indices(1 << 40, 1 << 40)", "tril_indices: the result is too large for memory"},
  -- joining
  {"neap.cat({})", "cat: the list of tensors is empty"},
  {"neap.cat({s})", "cat: a tensor of 0 dimensions cannot be joined: use stack"},
  {"neap.cat({x, v})", "cat: tensor 1 has shape (2, 3), tensor 2 has (3)"},
  {"neap.cat({x, neap.ones(2, 4)})", "cat: tensor 1 has shape (2, 3), tensor 2 has (2, 4): they must agree in all dimensions but 1"},
  {"neap.stack({x, v})", "stack: tensor 1 has shape (2, 3), tensor 2 has (3)"},
  {"neap.vstack({})", "vstack: the list of tensors is empty"},
  {"neap.hstack(v, x)", "cat: tensor 1 has shape (3), tensor 2 has (2, 3)"},
  {"neap.cartesian_prod({})", "cartesian_prod: the list of tensors is empty"},
  {"neap.cartesian_prod(v, x)", "cartesian_prod: tensor 2 has 2 dimensions, it must have 1"},
  {"x:combinations()", "combinations: x must have 1 dimension, got 2"},
  {"v:combinations(-1)", "combinations: r is -1, it must be at least 0"},
  {"neap.ones(1000):combinations(20)", "combinations: the result is too large for memory"},
  -- any view
  {"x:as_strided({2}, {1, 1}, 0)", "as_strided: 1 sizes and 2 strides: there must be as many"},
  {"x:as_strided({2, 3}, {3, -1}, 0)", "as_strided: stride -1 is negative"},
  {"x:as_strided({2, 4}, {3, 1}, 0)", "as_strided: the region reaches outside of x's memory, which holds 6 elements"},
  {"x:as_strided({2}, {1}, -1)", "as_strided: the region reaches outside of x's memory, which holds 6 elements"},
  {"x:as_strided({2}, {1 << 62}, 0)", "as_strided: the region reaches outside of x's memory, which holds 6 elements"},
  {"x:as_strided({-1}, {1}, 0)", "as_strided: there is no such shape"},
  {"x:as_strided_scatter(v, {3}, {0}, 0)", "as_strided_scatter: the region overlaps itself"},
  {"x:as_strided_scatter(v, {2}, {1}, 0)", "as_strided_scatter: source has shape (3), which is not the region's"},
}

describe("the rules of shapes and positions", function()
  for _, rule in ipairs(rules) do
    it("refuses " .. rule[1], function()
      local f = assert(load("local y = " .. rule[1] .. " return y", "=rule", "t", env))
      local ok, message = pcall(f)
      assert.is_false(ok, "it should have raised")
      assert.are.equal("rule:1: " .. rule[2], tostring(message))
    end)
  end
  it("leaves everything usable", function()
    assert.are.equal(6, env.x:sum():item())
  end)
end)
