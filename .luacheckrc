-- luacheck lua scripts tests
std = "lua54"
max_line_length = 140
unused_args = false
files["tests"] = {std = "lua54+busted"}
exclude_files = {"tests/golden/ops.lua", "build*"}
