/* What the Lua binding promises beyond single ops, each as a piece of Lua: scopes and modes belong to coroutines, nothing is
 * kept that nobody holds, arguments are bound as the signatures say, errors name the script's line. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"

static const struct { const char *name, *text; } tests[] = {
  {"a scope releases what it does not keep",
   "local a, b\n"
   "do local s <close> = neap.scope(); a, b = neap.ones(2), s:keep({neap.ones(3)}) end\n"
   "local ok, m = pcall(function() return a + 1 end)\n"
   "assert(not ok and m:find 'its scope closed, at .-:2', m)\n"
   "assert(b[1]:sum():item() == 3 and tostring(a):find 'released')"},
  {"kept out of an inner scope, a tensor belongs to the outer one",
   "local x\n"
   "do local outer <close> = neap.scope()\n"
   "  do local inner <close> = neap.scope(); x = inner:keep(neap.ones(2)) end\n"
   "  assert(x:sum():item() == 2)\n"
   "end\n"
   "assert(not pcall(x.sum, x))"},
  {"kept by the innermost of three scopes, a tensor of the outermost stays there",
   "local outer <close> = neap.scope()\n"
   "local x = neap.ones(2)\n"
   "do local middle <close> = neap.scope()\n"
   "  do local inner <close> = neap.scope(); inner:keep(x) end\n"
   "end\n"
   "assert(x:sum():item() == 2)"},
  {"a scope belongs to the coroutine that opened it",
   "local s = neap.scope()\n"
   "local x = coroutine.wrap(function() return neap.ones(2) end)()\n"
   "local co = coroutine.wrap(function() local t <close> = neap.scope(); local y = neap.ones(4); coroutine.yield(y); return y end)\n"
   "local y = co()\n"
   "local z = neap.ones(3)\n"
   "s:close()\n"
   "assert(x:sum():item() == 2 and y:sum():item() == 4 and not pcall(z.sum, z))\n"
   "co(); assert(not pcall(y.sum, y))"},
  {"a scope that is dropped lets its tensors live",
   "local x\n"
   "do local s = neap.scope(); x = neap.ones(2) end\n"
   "collectgarbage() collectgarbage()\n"
   "assert(x:sum():item() == 2)"},
  {"a gradient mode belongs to the coroutine that opened it",
   "local w = neap.ones(2):requires_grad_()\n"
   "local co = coroutine.wrap(function() local _ <close> = neap.no_grad(); coroutine.yield((w * 2).requires_grad); return (w * 2).requires_grad end)\n"
   "assert(co() == false and (w * 2).requires_grad and co() == false and (w * 2).requires_grad)\n"
   "do local _ <close> = neap.no_grad()\n"
   "  assert(not (w * 2).requires_grad and neap.enable_grad(function() return (w * 2).requires_grad end))\n"
   "end\n"
   "assert((w * 2).requires_grad and neap.is_grad_enabled())"},
  {"no_grad(f) ends when f raises, and f may yield",
   "pcall(neap.no_grad, error, 'x')\n"
   "assert(neap.is_grad_enabled())\n"
   "local co = coroutine.wrap(function() return neap.no_grad(function(a) coroutine.yield(neap.is_grad_enabled()); return a, 2 end, 1) end)\n"
   "assert(co() == false and neap.is_grad_enabled())\n"
   "local a, b = co()\n"
   "assert(a == 1 and b == 2)"},
  {"set_grad_enabled holds outside of modes",
   "local was = neap.set_grad_enabled(false)\n"
   "assert(was and not neap.is_grad_enabled())\n"
   "neap.set_grad_enabled(true)"},
  {"graphs with Lua functions are collected, cycles and all",
   "local double = neap.custom{forward = function(ctx, x) ctx:save(x) return x * 2 end, backward = function(ctx, g) return g * 2 end}\n"
   "local function work()\n"
   "  local x = neap.tensor({1, 2}, {requires_grad = true})\n"
   "  local y = double(x)\n"
   "  for _ = 1, 20 do y = double(y) + x end\n"
   "  y:register_hook(function(g) return g + y:detach() * 0 end)\n"
   "  x:register_hook(function(g) return g end)\n"
   "  y:sum():backward()\n"
   "  local g = neap.grad(double(x):sum(), x, {create_graph = true})[1]\n"
   "  return g\n"
   "end\n"
   "work() collectgarbage() collectgarbage()\n"
   "local before = neap.memory().live\n"
   "for _ = 1, 3 do work() end\n"
   "collectgarbage() collectgarbage()\n"
   "assert(neap.memory().live == before, neap.memory().live - before)"},
  {"a custom function lives as long as what was computed from it",
   "local square = neap.custom{forward = function(ctx, x) ctx:save(x) return x * x end, backward = function(ctx, g) return g * ctx:saved() * 2 end}\n"
   "local x = neap.tensor({3}, {requires_grad = true})\n"
   "local loss = (square(x) * 2 + 1):sum()\n"
   "square = nil collectgarbage() collectgarbage()\n"
   "loss:backward()\n"
   "assert(x.grad:item() == 12)"},
  {"a custom function is differentiated twice",
   "local cube = neap.custom{forward = function(ctx, x) ctx:save(x) return x ^ 3 end, backward = function(ctx, g) return g * ctx:saved() ^ 2 * 3 end}\n"
   "local x = neap.tensor({2}, {requires_grad = true, dtype = 'float64'})\n"
   "local g = neap.grad(cube(x), x, {create_graph = true})[1]\n"
   "collectgarbage() collectgarbage()\n"
   "assert(neap.grad(g, x)[1]:item() == 12)"},
  {"hooks and backwards may yield",
   "local x = neap.tensor({3}, {requires_grad = true})\n"
   "local y = x * 2\n"
   "y:register_hook(function(g) coroutine.yield 'in a hook' return g * 10 end)\n"
   "local co = coroutine.wrap(function() y:backward() return 'done' end)\n"
   "assert(co() == 'in a hook' and co() == 'done' and x.grad:item() == 20)"},
  {"a hook's error ends the walk and leaves all usable",
   "local x = neap.tensor({3}, {requires_grad = true})\n"
   "local y = x * 2\n"
   "local handle = y:register_hook(function() error 'on purpose' end)\n"
   "assert(not pcall(y.backward, y, {retain_graph = true}))\n"
   "handle.remove()\n"
   "y:backward() assert(x.grad:item() == 2)"},
  {"retain_grad, anomaly mode, gradcheck",
   "local x = neap.tensor({3}, {requires_grad = true, dtype = 'float64'})\n"
   "local y = x * 2 y:retain_grad(); (y * y):backward() assert(y.grad:item() == 12)\n"
   "assert(neap.gradcheck(function(a) return a:exp() * a end, {x}))\n"
   "local z = neap.tensor({0}, {requires_grad = true})\n"
   "local ok, m = pcall(function() local _ <close> = neap.detect_anomaly(); (z:sqrt() * 0):backward() end)\n"
   "assert(not ok and m:find 'NaN' and m:find 'sqrt', m)\n"
   "assert(neap.detect_anomaly(function() return 5 end) == 5);\n"
   "(z:sqrt() * 0):backward()"},
  {"arguments: positional, named, both, lists and numbers in a row",
   "local x = neap.ones(2, 3, 4)\n"
   "assert(tostring(x:sum(1).shape) == '(3, 4)' and tostring(x:sum({1, -1}).shape) == '(3)')\n"
   "assert(tostring(x:sum({dims = 2, keepdim = true}).shape) == '(2, 1, 4)' and tostring(x:sum(2, {keepdim = true}).shape) == '(2, 1, 4)')\n"
   "assert(tostring(x:permute(3, 1, 2).shape) == '(4, 2, 3)' and tostring(x:view({6, -1}).shape) == '(6, 4)')\n"
   "assert(neap.rand(2, {}).shape[1] == 2 and neap.zeros({}):dim() == 0)\n"
   "assert(neap.zeros(2, {dtype = 'double', requires_grad = true}).requires_grad)"},
  {"finalisers that free what is in use do no harm",
   "local mode = collectgarbage 'generational'\n"
   "for i = 1, 300 do\n"
   "  local x, y = neap.rand(3, 4), neap.ones(4, 3)\n"
   "  for k = 1, 5 do setmetatable({}, {__gc = function() if k == i % 5 then x:free() end end}) end\n"
   "  if i % 3 == 0 then collectgarbage 'step' end\n"
   "  pcall(function() local _ = x:totable(), x.shape, x:size(), tostring(x), x[1], x:matmul(y), x:to_string() end)\n"
   "end\n"
   "collectgarbage(mode)"},
  {"a hook of a layer of C may yield; dropped layers leave no hooks behind",
   "local function calls(m, x)\n"
   "  local n = 0\n"
   "  debug.sethook(function() n = n + 1 end, 'c')\n"
   "  m(x)\n"
   "  debug.sethook()\n"
   "  return n\n"
   "end\n"
   "local m, x = neap.nn.Linear(2, 2), neap.ones(1, 2)\n"
   "local plain = calls(m, x)\n"
   "do\n"
   "  local hooked = neap.nn.Linear(2, 2)\n"
   "  hooked:register_forward_hook(function(_, _, y) coroutine.yield 'in a hook' return y * 2 end)\n"
   "  local co = coroutine.wrap(function() return hooked(x):sum():item() end)\n"
   "  assert(co() == 'in a hook' and type(co()) == 'number')\n"
   "  assert(calls(m, x) > plain)\n"
   "  local ran, net = 0, neap.nn.Sequential(neap.nn.Linear(2, 2), hooked)\n"
   "  net:register_forward_hook(function() ran = ran + 1 end)\n"
   "  local second = coroutine.wrap(function() return net(x) end)\n"
   "  local third = coroutine.wrap(function() return net(x) end)\n"
   "  second() third() second() third()\n"
   "  assert(ran == 2)\n"
   "end\n"
   "collectgarbage() collectgarbage()\n"
   "assert(calls(m, x) == plain)"},
  {"arguments: what is wrong with them is said, with the line",
   "local function says(f, text) local ok, m = pcall(f) assert(not ok and m:find(text, 1, true) and m:find '%]:%d+: ', m) end\n"
   "local x = neap.ones(2, 3)\n"
   "says(function() return x:sum(0) end, 'dims is 0, but dimensions count from 1')\n"
   "says(function() return x:sum(1, {keepdims = true}) end, \"unknown option 'keepdims' (did you mean 'keepdim'?)\")\n"
   "says(function() return x:sum(1, {dims = 2}) end, 'dims is given twice')\n"
   "says(function() return x:sum(1.5) end, 'dims must be')\n"
   "says(function() return neap.cat{x, 3} end, 'entry 2 is a number (3)')\n"
   "says(function() return x + 'y' end, \"a string ('y')\")\n"
   "says(function() return neap.mse_loss(x, x, 'men') end, \"reduction is 'men' (did you mean 'mean'?); there is none, mean, sum\")\n"
   "says(function() return x:to 'flot32' end, \"did you mean 'float32'\")\n"
   "says(function() return x:matmul(x, 1, 2, 3) end, 'arguments at most')\n"
   "says(function() return x < x end, 'x:lt(y)')\n"
   "says(function() x.colour = 3 end, \"no field 'colour'\")\n"
   "says(function() return neap.tensor{1, 'a'} end, \"entry [2] is a string ('a')\")\n"
   "says(function() return neap.tensor{{1, 2}, {3}} end, 'uneven rows: [2] has 1 entries')\n"
   "says(function() return neap.tensor{{}, {1}} end, 'uneven rows: [2] has 1 entries')\n"
   "says(function() return neap.tensor({1.5}, {dtype = 'int64'}) end, 'does not fit int64')\n"
   "says(function() return neap.tensor({neap.tensor(0 / 0)}, {dtype = 'int64'}) end, 'does not fit int64')\n"
   "says(function() return neap.ones(2, {requires_grad = 1}) end, 'requires_grad must be a boolean')\n"
   "says(function() return neap.memory{capp = 1} end, \"did you mean 'cap'\")\n"
   "says(function() return neap.memory(5) end, 'memory{cap = bytes}')\n"
   "says(function() return neap.map_file('x', nil, nil, nil) end, 'a path, a dtype, an offset and a shape')\n"
   "says(function() return neap.tensor({300}, {dtype = 'uint8'}) end, 'does not fit uint8')\n"
   "says(function() local t = neap.ones(2) t:free() return t + 1 end, 'was released by free()')"},
  {"brackets read and write",
   "local x = neap.arange(12):reshape(3, 4)\n"
   "assert(x[2][3]:item() == 6 and x[-1][-1]:item() == 11 and x[{2, 3}]:item() == 6)\n"
   "assert(tostring(x[{{2, 3}, {}}].shape) == '(2, 4)' and tostring(x[{{}, {1, 4, 2}}].shape) == '(3, 2)' and tostring(x[{'...', 1}].shape) == '(3)')\n"
   "assert(tostring(x[{{2, 1}}].shape) == '(0, 4)' and x[x:gt(9)]:numel() == 2)\n"
   "assert(x[neap.tensor({3, 1}, {dtype = 'int64'})][1][1]:item() == 8)\n"
   "x[1] = 0 x[{2, {1, 2}}] = neap.tensor{7, 8} x[x:gt(9)] = -1 x[{{}, 4}] = {5, 6, 7}\n"
   "local t = x:totable()\n"
   "for i, row in ipairs{{0, 0, 0, 5}, {7, 8, 6, 6}, {8, 9, -1, 7}} do for j, v in ipairs(row) do assert(t[i][j] == v) end end\n"
   "assert(not pcall(function() return x[4] end) and not pcall(function() return x[0] end) and not pcall(function() return x[{1, 1, 1}] end))"},
  {"values of every dtype go in and out",
   "for _, d in ipairs(neap.dtypes()) do\n"
   "  local x = neap.tensor({1, 0}, {dtype = d})\n"
   "  local t = x:totable()\n"
   "  assert(x.dtype == d and (t[1] == 1 or t[1] == true) and (t[2] == 0 or t[2] == false), d)\n"
   "  assert(x:to_string() == neap.from_string(x:to_string(), d, {2}):to_string())\n"
   "end\n"
   "assert(neap.tensor(true):item() == true and neap.tensor(3, {dtype = 'long'}):item() == 3)\n"
   "local big = neap.tensor(math.maxinteger, {dtype = 'int64'})\n"
   "assert(neap.tensor({big}, {dtype = 'int64'})[1]:item() == math.maxinteger and neap.tensor{{}, {}}.shape[2] == 0)"},
  {"tensors print with aligned columns",
   "assert(tostring(neap.tensor{{1, -2.5}, {30, 4}}) == '{{ 1.0000, -2.5000},\\n {30.0000,  4.0000}} float32 (2, 2)')\n"
   "assert(tostring(neap.tensor{1, 2}:long()) == '{1, 2} int64 (2)' and tostring(neap.tensor(2.5)) == '2.5000 float32 ()')\n"
   "assert(tostring(neap.zeros(0, 3)) == '{} float32 (0, 3)' and #tostring(neap.zeros(100, 100)) < 400)"},
  {"parameters and modules are the same userdata each time",
   "local m = neap.nn.Sequential(neap.nn.Linear(2, 3), neap.nn.ReLU())\n"
   "assert(m[1] == m[1] and m[1].weight == m[1].weight and m:parameters()[1] == m[1].weight)\n"
   "m[1].weight:register_hook(function(g) return g * 0 end)\n"
   "collectgarbage() collectgarbage()\n"
   "m(neap.ones(1, 2)):sum():backward()\n"
   "assert(m[1].weight.grad:abs():sum():item() == 0 and m[1].bias.grad ~= nil)\n"
   "do local s <close> = neap.scope() assert(m[1].weight) end\n"
   "assert(m[1].weight:numel() == 6)"},
  {"a stopped collector stays stopped; a cap raises and is survived",
   "collectgarbage 'stop'\n"
   "for _ = 1, 100 do local _ = neap.zeros(100000) end\n"
   "assert(not collectgarbage 'isrunning' and neap.memory().live > 30e6)\n"
   "assert(neap.collect() and not collectgarbage 'isrunning' and neap.memory().live < 30e6)\n"
   "collectgarbage 'restart' collectgarbage()\n"
   "neap.set_memory_cap(neap.memory().live + 20e6 // 1)\n"
   "for _ = 1, 50 do local _ = neap.zeros(1000000) end\n"
   "local ok, m = pcall(neap.zeros, 10000000)\n"
   "neap.set_memory_cap(0)\n"
   "assert(not ok and m:find 'memory', m)"},
  {"generators repeat",
   "local g = neap.generator(5)\n"
   "local a, state = neap.rand(4, {generator = g}), g:get_state()\n"
   "local b = neap.rand(4, {generator = g})\n"
   "g:set_state(state) assert(neap.equal(b, neap.rand(4, {generator = g})) and not neap.equal(a, b))\n"
   "g:seed(5) assert(neap.equal(a, neap.rand(4, {generator = g})))"},
  {"files give nil, message and code",
   "local t, m, code = neap.load '/no/such/file'\n"
   "assert(t == nil and m and code == 'io')\n"
   "local path = os.tmpname()\n"
   "assert(neap.save(path, {a = neap.ones(2, 2), b = neap.tensor({1, 2}, {dtype = 'int64'})}))\n"
   "local back = neap.load(path)\n"
   "os.remove(path)\n"
   "assert(back.a:sum():item() == 4 and back.b:totable()[2] == 2)"},
  {"help knows every op, layer and rule",
   "assert(neap.help 'matmul':find 'Product' and neap.help 'Linear':find 'weight' and neap.help():find 'SGD')\n"
   "for _, op in ipairs(neap.ops()) do assert(#neap.help(op.name) > 10) end\n"
   "assert(not pcall(neap.help, 'matmull'))"},
};

static int report(lua_State *L) {
  snprintf(lua_touserdata(L, lua_upvalueindex(1)), 400, "%s", luaL_checkstring(L, 1));
  return 0;
}

/* What was there before Neap is finalised after it: what it then asks of Neap raises, and nothing more. */
static void test_closing(void) {
  static const char text[] =
    "local names = {'memory', 'collect', 'trim', 'info', 'seed', 'ops', 'is_grad_enabled', 'no_grad', 'ones', 'scope',\n"
    "  'clip_grad_norm_', 'generator', 'save', 'tensor'}\n"
    "local args = {seed = {1}, set_grad_enabled = {true}, ones = {2}, clip_grad_norm_ = {{}, 1}, save = {'/no/such/file', {}}, tensor = {{1}}}\n"
    "local seen, x, net, adam\n"
    "last = setmetatable({}, {__gc = function()\n"
    "  local bad = seen == nil and 'not run' or ''\n"
    "  for _, name in ipairs(names) do\n"
    "    local ok, m = pcall(neap[name], table.unpack(args[name] or {}))\n"
    "    if ok or not tostring(m):find 'closed' then bad = bad .. name .. ': ' .. tostring(m) .. '; ' end\n"
    "  end\n"
    "  for _, f in ipairs{function() return x + x end, function() return x[1] end, function() return net(x) end, function() adam:step() end} do\n"
    "    if pcall(f) then bad = bad .. 'an object still works; ' end\n"
    "  end\n"
    "  report(bad)\n"
    "end})\n"
    "neap = require 'neap'\n"
    "x, net, seen = neap.ones(2), neap.nn.Linear(2, 2), true\n"
    "adam = neap.optim.Adam(net:parameters())\n";
  lua_State *L = luaL_newstate();
  char said[400] = "not finalised";
  luaL_openlibs(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_neap);
  lua_setfield(L, -2, "neap");
  lua_pushlightuserdata(L, said);
  lua_pushcclosure(L, report, 1);
  lua_setglobal(L, "report");
  if (!run(L, text, 0)) snprintf(said, sizeof said, "%s", lua_tostring(L, -1));
  lua_close(L);
  result("binding: finalisers that run after Neap has closed meet errors, not freed memory", !*said, "%s", said);
}

/* A host's own calls count from 0, whatever an error in Lua interrupted. */
static void test_host_base(void) {
  neap_context *c = neap_open(NULL);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  neap_lua_open(L, c);
  lua_setglobal(L, "neap");
  int good = !run(L, "neap.nn.Linear(2, 3, {bais = true})", 0) && !run(L, "neap.nn.Sequential(neap.nn.Linear(2, 3))(neap.ones(2, 9))", 0);
  good &= !run(L, "neap.optim.SGD(neap.nn.Linear(2, 3):parameters(), {lrr = 1})", 0);
  neap_tensor *x = neap_ones(c, 2, (int64_t[]){2, 3}, NEAP_F32);
  good &= neap_squeeze(c, x, 1, (int64_t[]){5}) == NULL && strstr(neap_error_message(c), "0 to 1") != NULL;
  result("binding: a host counts from 0 after errors in Lua", good, "%s", neap_error_message(c));
  neap_clear(c);
  neap_release(x);
  lua_close(L);
  neap_close(c);
}

/* The mode of the host's collector is the host's, and what it stopped stays stopped. */
static void test_collector(void) {
  static const int modes[] = {LUA_GCINC, LUA_GCGEN};
  int good = 1;
  for (int i = 0; i < 2; i++) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (i == 0) lua_gc(L, LUA_GCINC, 0, 0, 0);
    else lua_gc(L, LUA_GCGEN, 0, 0);
    luaL_requiref(L, "neap", luaopen_neap, 1);
    good &= run(L, "for _ = 1, 200 do local _ = neap.zeros(512, 512) end", 0);
    good &= lua_gc(L, LUA_GCINC, 0, 0, 0) == modes[i];
    lua_close(L);
  }
  result("binding: the mode of the collector is left alone", good, "it changed");
}

static void *live_in_a_state(void *arg) {
  static const char text[] =
    "local neap = require 'neap'\n"
    "neap.seed(3)\n"
    "local net = neap.nn.Sequential(neap.nn.Linear(4, 8), neap.nn.ReLU(), neap.nn.Linear(8, 2))\n"
    "local adam, x, y = neap.optim.Adam(net:parameters()), neap.randn(6, 4), neap.tensor({1, 2, 1, 2, 1, 2}, {dtype = 'int64'})\n"
    "for i = 1, 20 do adam:zero_grad(); neap.cross_entropy(net(x), y):backward(); adam:step() end\n"
    "return net(x):sum():item()";
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "neap", luaopen_neap, 0);
  lua_pop(L, 1);
  *(double *)arg = run(L, text, 1) ? lua_tonumber(L, -1) : NAN;
  lua_close(L);
  return NULL;
}

static void test_threads(void) {
  enum { N = 4 };
  pthread_t thread[N];
  double got[N];
  int good = 1;
  for (int i = 0; i < N; i++) pthread_create(&thread[i], NULL, live_in_a_state, &got[i]);
  for (int i = 0; i < N; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < N; i++) good &= got[i] == got[0];
  result("binding: four states on four threads each train the same", good, "%g %g %g %g", got[0], got[1], got[2], got[3]);
}

int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "neap", luaopen_neap, 1);
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    char name[120];
    snprintf(name, sizeof name, "binding: %s", tests[i].name);
    lua_test(L, name, tests[i].text);
  }
  lua_close(L);
  test_closing();
  test_host_base();
  test_collector();
  test_threads();
  return failures > 0;
}
