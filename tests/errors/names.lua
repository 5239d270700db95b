-- The names that the rules in this folder's other files use beside Lua's own.

return function(neap)
  return setmetatable({
    neap = neap, D = neap.distributions,
    s = neap.tensor(1), v = neap.ones(3), x = neap.ones(2, 3), m = neap.eye(2),
    d8 = neap.ones(1, 1, 1, 1, 1, 1, 1, 1), p5 = neap.ones(1, 1, 1, 1, 1), pairs4 = neap.ones(1, 4, 2),
    image = neap.ones(2, 3, 5, 5), kernel = neap.ones(4, 3, 3, 3),
    wide = neap.ones(1):expand(1 << 40), nan = neap.full({2, 2}, 0 / 0),
    i = function(...) return neap.tensor({...}, {dtype = "int64"}) end,
    b = function(...) return neap.tensor({...}, {dtype = "bool"}) end,
    leaf = function(...) return neap.ones({...}, {requires_grad = true}) end,
  }, {__index = _G})
end
