-- csv: tables of numbers as text, comma by comma (RFC 4180 without quotes: for measurements, not for prose).

local neap = require "neap.core"
local check = require "neap.check"

--- Reads a file of numbers: path -> x (rows, columns), list of column names or nil; or nil and a message with the line.
--- Options: separator (","), header (true: the first line holds names; by default it does when it is not all numbers),
--- dtype ("float32"). An empty field is NaN.
return function(path, options)
  options = check.options("data.csv", options, {"separator", "header", "dtype"})
  local separator = options.separator or ","
  local file, message = io.open(path, "r")
  if not file then return nil, message end
  local pattern = "([^" .. separator .. "]*)" .. separator
  local values, names, width, number = {}, nil, nil, 0
  for line in file:lines() do
    number = number + 1
    line = line:gsub("\r$", "")
    if line:match "%S" then
      local row, bad, n = {}, nil, 0
      for field in (line .. separator):gmatch(pattern) do
        n = n + 1
        local text = field:match "^%s*(.-)%s*$"
        row[n] = text == "" and 0 / 0 or tonumber(text)
        if not row[n] then bad, row[n] = bad or text, text end
      end
      if number == 1 and (options.header or options.header == nil and bad) then
        names = row
      elseif bad then
        file:close()
        return nil, ("%s:%d: '%s' is not a number"):format(path, number, bad)
      else
        values[#values + 1] = row
      end
      width = width or n
      if n ~= width then
        file:close()
        return nil, ("%s:%d: %d fields, %d in the lines before"):format(path, number, n, width)
      end
    end
  end
  file:close()
  if #values == 0 then return nil, path .. ": no rows" end
  return neap.tensor(values, {dtype = options.dtype}), names
end
