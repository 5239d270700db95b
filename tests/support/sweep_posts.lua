-- What is compared of results that are not unique, by name (see scripts/dev/sweep.py): each function gets the results and
-- the arguments of a call (tables with n) and gives a list of tensors that any right answer has in common.

local posts = {}

function posts.first(results) return { results[1] } end

return posts
