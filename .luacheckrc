-- luacheck lua scripts tests
std = "lua54"
max_line_length = 180
unused_args = false
ignore = {"211/scope", "581"} -- a scope is there to close; "not (x < y)" is also true of NaN
files["tests"] = {std = "lua54+busted"}
files["tests/errors"] = {std = "lua54", max_line_length = false} -- what errors say stands whole
exclude_files = {"tests/golden/*.lua", "build*"}
