-- csv: tables of numbers as text, comma by comma (RFC 4180 without quotes: for measurements, not for prose).

local neap = require "neap.core"
local check = require "neap.check"

--- Reads a file of numbers: path -> x (rows, columns), list of column names or nil; or nil and a message with the line.
--- Plain or gzip. Options: separator (","; " " stands for any white space), skip (0; how many lines to leave out at the
--- start), header (true: the first line holds names; by default it does when it is not all numbers), dtype ("float32"). An
--- empty field is NaN.
return function(path, options)
  options = check.options("data.csv", options, {"separator", "skip", "header", "dtype"})
  check.kind("data.csv: the path", path, "string")
  local separator = check.kind("data.csv: the separator", options.separator or ",", "string")
  if #separator ~= 1 then check.fail("data.csv: the separator is one character, not %s", check.describe(separator)) end
  local skip, body, message, code = options.skip or 0, neap.read_file(path)
  if not body then return nil, message, code end
  local escaped = separator:gsub("%p", "%%%0")
  local pattern = ("([^%s]*)%s"):format(escaped, escaped)
  local values, names, width, number = {}, nil, nil, 0
  for line in body:gmatch "[^\n]*" do
    number = number + 1
    if separator == " " then line = line:gsub("^%s+", ""):gsub("%s+$", ""):gsub("%s+", " ") end
    if number > skip and line:match "%S" then
      local row, bad, n = {}, nil, 0
      for field in (line .. separator):gmatch(pattern) do
        n = n + 1
        local text = field:match "^%s*(.-)%s*$"
        row[n] = text == "" and 0 / 0 or tonumber(text)
        if not row[n] then bad, row[n] = bad or text, text end
      end
      if number == skip + 1 and (options.header or options.header == nil and bad) then
        names = row
      elseif bad then
        return nil, ("%s:%d: '%s' is not a number"):format(path, number, bad)
      else
        values[#values + 1] = row
      end
      width = width or n
      if n ~= width then
        return nil, ("%s:%d: %d fields, %d in the lines before"):format(path, number, n, width)
      end
    end
  end
  if #values == 0 then return nil, path .. ": no rows" end
  return neap.tensor(values, {dtype = options.dtype}), names
end
