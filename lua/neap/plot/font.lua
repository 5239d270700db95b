-- font: letters of 5 by 7 pixels, so that pictures need no font file. A glyph is seven rows from the top, each one digit
-- in base 32 whose five bits are its pixels. Small letters are drawn as capitals; what is missing as a hollow box.

local rows = {
  ["0"] = "ehjlphe", ["1"] = "4c4444e", ["2"] = "eh1248v", ["3"] = "v2421he", ["4"] = "26aiv22", ["5"] = "vgu11he",
  ["6"] = "68guhhe", ["7"] = "v124888", ["8"] = "ehhehhe", ["9"] = "ehhf12c",
  A = "ehhvhhh", B = "uhhuhhu", C = "ehggghe", D = "sihhhis", E = "vgguggv", F = "vgguggg", G = "ehgnhhf", H = "hhhvhhh",
  I = "e44444e", J = "72222ic", K = "hikokih", L = "ggggggv", M = "hrllhhh", N = "hhpljhh", O = "ehhhhhe", P = "uhhuggg",
  Q = "ehhhlid", R = "uhhukih", S = "fgge11u", T = "v444444", U = "hhhhhhe", V = "hhhhha4", W = "hhhllla", X = "hha4ahh",
  Y = "hha4444", Z = "v1248gv",
  [" "] = "0000000", ["."] = "00000cc", [","] = "0000448", [":"] = "0cc0cc0", ["-"] = "000v000", ["+"] = "044v440",
  ["="] = "00v0v00", ["_"] = "000000v", ["/"] = "01248g0", ["%"] = "op248j3", ["("] = "2488842", [")"] = "8422248",
  ["<"] = "248g842", [">"] = "8421248", ["?"] = "eh12404", ["!"] = "4444404", ["'"] = "4480000", ["#"] = "aavavaa",
}
local missing = "vhhhhhv"

local font = {width = 5, height = 7}

--- Calls visit(row, column), from 1, for each pixel that the text covers, glyph after glyph with a pixel between them.
function font.each(text, visit)
  local left = 0
  for char in tostring(text):gmatch(utf8.charpattern) do
    local glyph = rows[char] or rows[char:upper()] or missing
    for row = 1, 7 do
      local bits = tonumber(glyph:sub(row, row), 32)
      for column = 1, 5 do
        if bits >> (5 - column) & 1 == 1 then visit(row, left + column) end
      end
    end
    left = left + 6
  end
end

--- The width of a text in pixels.
function font.measure(text)
  return math.max(0, 6 * utf8.len(tostring(text)) - 1)
end

return font
