-- Writes runtime/neap_ops.h, runtime/ops/typed.c and runtime/ops/formula.h: the typed C function of every op and the
-- macro language of derivatives, from the rows of the op tables.
-- The tables are C text, so this reads them as the preprocessor would: rows of macros with string and token arguments.
-- Run from the top of the tree: lua5.4 scripts/dev/generate.lua [--check]; --check writes nothing and fails when the
-- committed text is not what the rows say. Docs and the editor's file come from the running library: see docs.lua.

local rows = dofile("scripts/dev/rows.lua")

-- How a parameter of the signature looks in C: declaration, and the value that it makes.
local function in_c(p)
  local n, kind = p.name, p.kind
  if kind == "tensor" or kind == "operand" or kind == "indices" then return { "neap_tensor *" .. n }, ("of_tensor(%s)"):format(n) end
  if kind == "text" then return { "const char *" .. n }, ("of_text(%s)"):format(n) end
  if kind == "tensors" or kind == "operands" then return { "int n_" .. n, "neap_tensor *const *" .. n }, ("of_tensors(n_%s, %s)"):format(n, n) end
  if kind == "number" then return { "double " .. n }, ("of_%snumber(%s)"):format(p.optional and "maybe_" or "", n) end
  if kind == "int" or kind == "axis" or kind == "index" then return { "int64_t " .. n }, p.optional and ("of_maybe_int(%s)"):format(n) or ("of_kind(NEAP_INT, %s)"):format(n) end
  if kind == "bool" then return { "int " .. n }, ("of_kind(NEAP_FLAG, %s)"):format(n) end
  if kind == "enum" then return { "int " .. n }, ("of_kind(NEAP_ENUM, %s)"):format(n) end
  if kind == "dtype" then return { "int " .. n }, ("of_kind(%s < 0 ? NEAP_NONE : NEAP_DTYPE, %s)"):format(n, n) end
  if kind == "ints" or kind == "dims" or kind == "axes" then
    if p.choices then return { "int n_" .. n, "const int64_t *" .. n }, ("of_ints_or_choice(n_%s, %s)"):format(n, n) end
    return { "int n_" .. n, "const int64_t *" .. n }, ("of_%sints(n_%s, %s)"):format(p.optional and "maybe_" or "", n, n)
  end
  if kind == "int_or_ints" or kind == "int_or_indexes" then
    return { "int n_" .. n, "const int64_t *" .. n }, ("of_one_or_ints(n_%s, %s)"):format(n, n)
  end
  if kind == "generator" then return { "neap_generator *" .. n }, ("of_generator(%s)"):format(n) end
  error("no such kind: " .. kind)
end

local reserved = { ["double"] = true, ["float"] = true, ["int"] = true, ["long"] = true, ["bool"] = true }

local function functions(op)
  local decls, values = { "neap_context *c" }, {}
  for i, p in ipairs(op.params) do
    local d, value = in_c(p)
    table.move(d, 1, #d, #decls + 1, decls)
    values[i] = value
  end
  local name = reserved[op.name] and op.name .. "_of" or op.name
  if op.list then
    local full = ("%s, neap_tensor **%s, int room"):format(table.concat(decls, ", "), op.outputs[1])
    return { ("NEAP_API int neap_%s(%s);"):format(name, full) },
      ("int neap_%s(%s) {\n  return neap_call_list(c, NP_OP_%s, %d, (neap_value[]){ %s }, %s, room, NULL);\n}\n"):format(
        name, full, op.name, #values, table.concat(values, ", "), op.outputs[1])
  end
  local outs = {}
  for i = 2, #op.outputs do outs[#outs + 1] = "neap_tensor **" .. op.outputs[i] end
  local list = table.concat(decls, ", ")
  local full = #outs > 0 and list .. ", " .. table.concat(outs, ", ") or list
  local header = { ("NEAP_API neap_tensor *neap_%s(%s);"):format(name, full) }
  local extra = #outs > 0 and "(neap_tensor **const[]){ " .. table.concat(op.outputs, ", ", 2) .. " }" or "NULL"
  local function form(suffix, in_place)
    return ("neap_tensor *neap_%s%s(%s) {\n  return call(c, NP_OP_%s, %d, (neap_value[]){ %s }, %d, %s);\n}\n"):format(
      name, suffix, full, op.name, #values, #values > 0 and table.concat(values, ", ") or "{ 0 }", in_place, extra)
  end
  if not op.in_place then return header, form("", 0) end
  header[2] = ("NEAP_API neap_tensor *neap_%s_(%s);"):format(name, full)
  return header, form("", 0) .. form("_", 1)
end

local function enums(ops)
  local seen, out = {}, {}
  for _, op in ipairs(ops) do
    for _, p in ipairs(op.params) do
      if p.choices then
        local names, i = {}, 0
        for choice in p.choices:gmatch("[^|]+") do
          names[#names + 1] = ("NEAP_%s_%s = %d"):format(p.name:upper(), choice:upper():gsub("-", "_"), p.kind == "ints" and -1 - i or i)
          i = i + 1
        end
        local text = table.concat(names, ", ")
        for _, one in ipairs(names) do
          local key, value = one:match("(%S+) = (%-?%d+)")
          assert(seen[key] == nil or seen[key] == value, op.name .. ": two meanings for " .. key)
        end
        local fresh = {}
        for _, one in ipairs(names) do
          local key, value = one:match("(%S+) = (%-?%d+)")
          if not seen[key] then fresh[#fresh + 1] = one; seen[key] = value end
        end
        if #fresh > 0 then out[#out + 1] = "enum { " .. table.concat(fresh, ", ") .. " };" end
        assert(text)
      end
    end
  end
  return out
end

local header = [[
/* generated by scripts/dev/generate.lua from the op tables; do not edit
 * One function an op. An absent tensor or generator is NULL, an absent number NAN, an absent int or dimension
 * NEAP_ABSENT, an absent dtype -1, an absent text NULL, an absent list 0 and NULL; where words may stand
 * for a list, their number stands for its count. Results after the first go to the pointers at the end,
 * each of which may be NULL. A name that ends in _ writes to its first argument and returns a reference to it. Where one
 * number means another thing than a list of one, it is written NEAP_ONE, &number. What puts out a list fills room
 * entries at most and returns how many there are, or a negative code; NULL, 0 asks for the number alone. */
#define NEAP_ABSENT INT64_MIN
#define NEAP_ONE (-1)
]]
local source = [[
/* generated by scripts/dev/generate.lua from the op tables; do not edit
 * The typed functions of neap_ops.h: each fills a list of values and goes through the one door. */
#include <math.h>
#include "op.h"

static inline neap_value of_kind(int kind, int64_t i) { return (neap_value){ .kind = kind, .i = i }; }
static inline neap_value of_tensor(neap_tensor *t) { return (neap_value){ .kind = t ? NEAP_TENSOR : NEAP_NONE, .t = t }; }
static inline neap_value of_tensors(int n, neap_tensor *const *ts) { return (neap_value){ .kind = NEAP_TENSORS, .n = n, .ts = ts }; }
static inline neap_value of_number(double d) { return (neap_value){ .kind = NEAP_NUMBER, .d = d }; }
static inline neap_value of_maybe_number(double d) { return (neap_value){ .kind = isnan(d) ? NEAP_NONE : NEAP_NUMBER, .d = d }; }
static inline neap_value of_maybe_int(int64_t i) { return of_kind(i == NEAP_ABSENT ? NEAP_NONE : NEAP_INT, i); }
static inline neap_value of_ints(int n, const int64_t *is) { return (neap_value){ .kind = NEAP_INTS, .n = n, .is = is }; }
static inline neap_value of_one_or_ints(int n, const int64_t *is) { return n == NEAP_ONE ? of_kind(NEAP_INT, *is) : of_ints(n, is); }
static inline neap_value of_maybe_ints(int n, const int64_t *is) { return is ? of_ints(n, is) : of_kind(NEAP_NONE, 0); }
static inline neap_value of_ints_or_choice(int n, const int64_t *is) { return n < 0 ? of_kind(NEAP_ENUM, -1 - n) : of_maybe_ints(n, is); }
static inline neap_value of_text(const char *s) { return (neap_value){ .kind = s ? NEAP_TEXT : NEAP_NONE, .s = s }; }
static inline neap_value of_generator(neap_generator *g) { return (neap_value){ .kind = g ? NEAP_GENERATOR : NEAP_NONE, .g = g }; }

static neap_tensor *call(neap_context *c, int op, int n, const neap_value *args, int in_place, neap_tensor **const *rest) {
  neap_tensor *out[NP_MAX_OUTS] = { NULL };
  int got = neap_call(c, op, n, args, out, in_place, NULL);
  for (int i = 1; rest && i < got; i++) {
    if (rest[i - 1]) *rest[i - 1] = out[i];
    else neap_release(out[i]);
  }
  return got > 0 ? out[0] : NULL;
}

]]

local ops = rows.ops()
local parts, bodies = { header }, { source }
parts[#parts + 1] = table.concat(enums(ops), "\n") .. "\n\n"
local family
for _, op in ipairs(ops) do
  if op.family ~= family then
    family = op.family
    parts[#parts + 1] = ("/* %s */\n"):format(family)
  end
  local h, b = functions(op)
  h[1] = h[1] .. " /* " .. op.doc .. " */"
  parts[#parts + 1] = table.concat(h, "\n") .. "\n"
  bodies[#bodies + 1] = b
end

-- Clang minds a helper that no op needs.
local used = table.concat(bodies, "", 2)
bodies[1] = source:gsub("static inline neap_value (of_[%w_]+)[^\n]+\n", function(name)
  if not (used:find(name .. "(", 1, true) or name == "of_kind") then return "" end
end)

local function write(path, text)
  local f = io.open(path, "rb")
  local old = f and f:read("a")
  if f then f:close() end
  if old == text then return true end
  if arg and arg[1] == "--check" then
    io.stderr:write(path, " is not what the tables say: run scripts/dev/generate.lua\n")
    return false
  end
  f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  return true
end

-- The macro language of the derivatives, as recorded ops: ADD(a, b) calls neap_add.
local formula = { [[
/* generated by scripts/dev/generate.lua from the op tables; do not edit
 * The macro language of elementwise.def as calls that record: c is the context. */
]] }
for _, op in ipairs(ops) do
  if op.arity and op.settings == "" then
    local names = table.concat({ "a", "b", "d" }, ", ", 1, op.arity)
    formula[#formula + 1] = ("#define %s(%s) neap_%s(c, %s)\n"):format(op.name:upper(), names, op.name, names)
  end
end

local ok = write("runtime/neap_ops.h", table.concat(parts))
ok = write("runtime/ops/typed.c", table.concat(bodies)) and ok
ok = write("runtime/ops/formula.h", table.concat(formula)) and ok
os.exit(ok and 0 or 1)
