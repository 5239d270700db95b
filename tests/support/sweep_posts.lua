-- What is compared of results that are not unique, by name (see scripts/dev/sweep.py): each function gets the results and
-- the arguments of a call (tables with n) and gives a list of tensors that any right answer has in common.

local posts = {}

function posts.first(results) return { results[1] } end

-- ---- linear algebra: vectors are unique but for their signs --------------------------------------------------------

function posts.squares(outs)
  local list = {}
  for k = 1, outs.n do list[k] = outs[k]:square() end
  return list
end

function posts.svd(outs)
  local u, s, vh = outs[1], outs[2], outs[3]
  return { s, u:square(), vh:square(), (u * s:unsqueeze(-2)):matmul(vh) }
end

function posts.eigh(outs) return { outs[1], outs[2]:square() } end

-- Sums over the eigenvalues, which come in no certain order.
function posts.eig_sums(outs)
  local re, im = outs[1]:select(-1, 1), outs[1]:select(-1, 2)
  return { re:sum(-1), (re:square() - im:square()):sum(-1), (re:square() + im:square()):sum(-1), im:abs():sum(-1) }
end

-- The same, and sums over the vectors of the sizes of their elements: no phase in them.
function posts.eig_sizes(outs)
  local sums, size = posts.eig_sums(outs), outs[2]:square():sum(-1)
  sums[#sums + 1] = (size * outs[1]:square():sum(-1):unsqueeze(-2)):sum(-1)
  sums[#sums + 1] = size:square():sum(-1)
  return sums
end

return posts
