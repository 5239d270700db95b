/* Lua and Neap on one allocator that fails: the n-th request alone, or it and all after it, for every n, while a piece of
 * Lua runs: each op's sample with its gradient, a training step, the making of modules and optimizers, scopes, indexing,
 * functions of one's own, opening the library. Each time: a Lua error or success, the state usable, and in the end not
 * a byte left. NEAP_TEST_EVERY=k tries every k-th n only. */
#include <stdlib.h>
#include <string.h>
#include "check.h"

typedef struct heap { size_t live; long count, fail_at; int onwards, armed; } heap;

static int refuses(heap *h) {
  if (!h->armed) return 0;
  long n = ++h->count;
  return h->onwards ? n >= h->fail_at : n == h->fail_at;
}

static void *lua_memory(void *user, void *p, size_t old, size_t size) {
  heap *h = user;
  if (!p) old = 0;
  if (size == 0) {
    h->live -= old;
    free(p);
    return NULL;
  }
  if (size > old && refuses(h)) return NULL;
  void *fresh = realloc(p, size);
  if (fresh) h->live += size - old;
  return fresh;
}

static void *neap_memory_of(void *user, size_t size, size_t align) {
  heap *h = user;
  if (refuses(h)) return NULL;
  void *p = aligned_alloc(align, (size + align - 1) / align * align);
  if (p) h->live += size;
  return p;
}

static void neap_memory_free(void *user, void *block, size_t size) {
  ((heap *)user)->live -= size;
  free(block);
}

static long every(void) {
  const char *text = getenv("NEAP_TEST_EVERY");
  return text && atol(text) > 0 ? atol(text) : 1;
}

static neap_context *open_context(heap *h) {
  neap_config config = {.user = h, .alloc = neap_memory_of, .dealloc = neap_memory_free, .no_pool = 1};
  return neap_open(&config);
}

static int open_all(lua_State *L) {
  luaL_openlibs(L);
  neap_lua_open(L, lua_touserdata(L, 1));
  lua_setglobal(L, "neap");
  return 0;
}

static int open_into(lua_State *L, neap_context *c) {
  lua_pushcfunction(L, open_all);
  lua_pushlightuserdata(L, c);
  return lua_pcall(L, 1, 0, 0);
}

static void clean(lua_State *L) {
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCCOLLECT);
}

/* Calls the global `f(i)` with the n-th request failing, for each n until none fails. Returns the message that says what
 * is wrong, or NULL. */
static const char *survive(lua_State *L, neap_context *c, heap *h, int i, int onwards, long step) {
  static char message[200];
  int top = lua_gettop(L), stale = 0;
  for (long n = 1;; n += step) {
    lua_getglobal(L, "f");
    lua_pushinteger(L, i);
    *h = (heap){.live = h->live, .fail_at = n, .onwards = onwards, .armed = 1};
    int status = lua_pcall(L, 1, 0, 0);
    h->armed = 0;
    long met = h->count;
    if (status != LUA_OK) snprintf(message, sizeof message, "fails without a refused request: %s", luaL_tolstring(L, -1, NULL));
    lua_settop(L, top);
    if (neap_error(c) != NEAP_OK) return "an error is pending";
    if (met >= n) {
      stale = 0;
      continue;
    }
    if (status == LUA_OK) return NULL;
    if (stale++) return message;
    clean(L); /* a guard whose __close found no memory ends when it is collected */
    n -= step;
  }
}

/* Lists of things to try: the text leaves how many on the stack, and the globals f(i), names[i] and rough[i]; of what is
 * rough, only each fifth request is refused. */
static const char prepare_ops[] =
  "local samples = assert(loadfile 'tests/support/samples.lua')()(neap)\n"
  "local calls = {}\n"
  "names, rough = {}, {}\n"
  "local function add(op, name, each)\n"
  "  local call = rawget(neap, name)\n"
  "  if not call or debug.getinfo(call, 'S').what ~= 'C' then return end -- replaced by a function of Lua's\n"
  "  for k, args in ipairs(samples(op)) do\n"
  "    for j = 1, args.n do\n"
  "      local a = args[j]\n"
  "      if type(a) == 'table' then for key, one in pairs(a) do a[key] = each(one) end end\n"
  "      args[j] = each(a)\n"
  "    end\n"
  "    calls[#calls + 1] = {call, args}\n"
  "    names[#calls], rough[#calls] = name, k > 1\n"
  "  end\n"
  "end\n"
  "local function wants_grad(a) return neap.is_tensor(a) and a.dtype == 'float64' and a:requires_grad_() or a end\n"
  "for _, op in ipairs(neap.ops()) do\n"
  "  add(op, op.name, wants_grad)\n"
  "  if op.marks.in_place then add(op, op.name .. '_', function(a) return a end) end\n"
  "end\n"
  "function f(k)\n"
  "  local args = calls[k][2]\n"
  "  local y = calls[k][1](table.unpack(args, 1, args.n))\n"
  "  if type(y) == 'table' then y = y[1] end -- a list\n"
  "  if neap.is_tensor(y) and y.requires_grad then y:backward(neap.ones_like(y)) end\n"
  "end\n"
  "return #calls\n";

static const char prepare_layers[] = /* the examples make a layer and call it */
  "local run = {}\n"
  "names, rough = {}, {}\n"
  "for i, row in ipairs(require 'neap.core'.layer_rows()) do\n"
  "  names[i], run[i] = row.name, assert(load('return ' .. row.example:match '^(.-) %-%-> '))\n"
  "end\n"
  "function f(i) run[i]() end\n"
  "return #names\n";

static const char prepare_rules[] = /* made anew and two steps, of which the second finds its state */
  "names, rough = {}, {}\n"
  "for i, row in ipairs(require 'neap.core'.rule_rows()) do names[i] = row.name end\n"
  "local net, x = neap.nn.Linear(3, 2), neap.ones(4, 3)\n"
  "function f(i)\n"
  "  local rule = neap.optim[names[i]](net:parameters 'weight', {lr = 0.01})\n" /* Muon takes matrices alone */
  "  local function closure() rule:zero_grad(); local loss = net(x):square():sum(); loss:backward(); return loss end\n"
  "  for _ = 1, 2 do rule:step(closure) end\n"
  "end\n"
  "return #names\n";

typedef struct scenario { const char *name, *text; } scenario; /* the global `step`, 1 if none: each step-th n is tried */
static const scenario scenarios[] = {
  {"a training step",
   "local net = neap.nn.Sequential(neap.nn.Linear(3, 4), neap.nn.ReLU(), neap.nn.Linear(4, 2))\n"
   "local adam = neap.optim.Adam(net:parameters(), {lr = 0.01})\n"
   "local x, y = neap.randn(5, 3), neap.tensor({1, 2, 1, 2, 1}, {dtype = 'int64'})\n"
   "function f() local s <close> = neap.scope(); adam:zero_grad(); neap.cross_entropy(net(x), y):backward(); adam:step() end\n"},
  {"making modules and optimizers",
   "function f()\n"
   "  local net = neap.nn.Sequential(neap.nn.Linear(3, 4), neap.nn.LayerNorm(4), neap.nn.Dropout(0.5), neap.nn.Linear(4, 2))\n"
   "  net:append(neap.nn.ReLU())\n"
   "  local rule = neap.optim.SGD({{params = net[1]:parameters()}, {params = {net[4].weight}, lr = 1}}, {lr = 0.1, momentum = 0.9})\n"
   "  for name, p in net:named_parameters() do assert(name and p) end\n"
   "  net:to 'float64'; net:eval(); tostring(net); net:state_dict()\n"
   "  net[2] = neap.nn.Tanh(); net:pop(); tostring(net[{1, 2}])\n"
   "end\n"},
  {"layers written in Lua",
   "local Net = neap.nn.class 'Net'\n"
   "function Net:init() self.a = neap.nn.Linear(3, 4); self.w = neap.nn.Parameter(neap.ones(4)) end\n"
   "function Net:forward(x) return self.a(x) * self.w end\n"
   "local x = neap.ones(2, 3)\n"
   "function f() local net = Net(); net(x):sum():backward(); pcall(net, neap.ones(2, 2))\n"
   "  net.w = neap.nn.Parameter(neap.ones(4)); net.a.weight = neap.nn.Parameter(neap.ones(4, 3)); net:clone() end\n"},
  {"tables, brackets and printing",
   "function f()\n"
   "  local x = neap.tensor{{1, 2, 3}, {4, 5, 6}}\n"
   "  x[1] = 7; x[{2, {1, 2}}] = neap.tensor{8, 9}; x[x:gt(8)] = 0\n"
   "  local _ = x[2][1], x[{{}, -1}], x[neap.tensor({2, 1}, {dtype = 'int64'})]\n"
   "  x:totable(); tostring(x); x:split(2, 2); neap.from_string(x:to_string(), 'float32', {2, 3}); neap.stack{x, x}\n"
   "end\n"},
  {"operators, rows and shapes",
   "function f()\n"
   "  local x, i = neap.ones(2, 3, {requires_grad = true}), neap.tensor({6, 3}, {dtype = 'int64'})\n"
   "  local _ = ~(i & 3 | i << 1) // 2, x.T, x.mT, x.shape[-1], x:sum{dim = 1}, x:std{unbiased = false}\n"
   "  for _, row in ipairs(x) do assert(#row == 3) end\n"
   "  for _, row in pairs(x) do assert(#row == 3) end\n"
   "  x:new_full({2}, true, {dtype = neap.bool}); neap.as_tensor{1}; neap.full({2}, true)\n"
   "  pcall(function() return x.shape[0] end)\n"
   "  pcall(function() return x + nil end); pcall(function() i[1] = neap.ones(3) end); pcall(function() return x .. nil end)\n"
   "end\n"},
  {"names that are none",
   "step = 29\n"
   "local x = neap.ones(1)\n"
   "function f() pcall(function() return x.shap end); pcall(function() return neap.zeross end) end\n"},
  {"scopes, modes and coroutines",
   "function f()\n"
   "  local s <close> = neap.scope()\n"
   "  local kept = s:keep(neap.ones(3))\n"
   "  local co = coroutine.wrap(function() local t <close> = neap.scope(); local a = neap.ones(2); coroutine.yield(a); return a + 1 end)\n"
   "  co(); co(); neap.no_grad(function() return kept + 1 end)\n"
   "end\n"},
  {"functions and hooks in graphs",
   "local cube = neap.custom{forward = function(ctx, x) ctx:save(x); return x * x * x end,\n"
   "  backward = function(ctx, g) return ctx:saved() ^ 2 * g * 3 end}\n"
   "function f()\n"
   "  local x = neap.tensor({2}, {requires_grad = true})\n"
   "  local y = cube(x); y:register_hook(function(g) return g * 2 end); y:backward()\n"
   "  neap.grad(cube(x), x, {create_graph = true}); x:register_hook(print); x.grad = nil\n"
   "end\n"},
  {"generators, information and misuse",
   "function f()\n"
   "  local g = neap.generator(3); g:set_state(g:get_state()); neap.rand(3, {generator = g}); neap.info(); neap.memory()\n"
   "  pcall(neap.ones, 'x'); pcall(neap.ones, 2, {dtyp = 'x'}); pcall(neap.matmul, neap.ones(2), neap.ones(3))\n"
   "end\n"},
  {"help, which looks through all tables", "step = 997\nfunction f() neap.help 'matmul' end\n"},
};

static const char usable[] = "local t = neap.ones(2, 2); assert((t + t):matmul(t):sum():item() == 16)";

static void run_scenario(const scenario *one, int onwards) {
  char name[160];
  heap h = {0};
  neap_context *c = open_context(&h);
  lua_State *L = lua_newstate(lua_memory, &h);
  const char *wrong = NULL;
  snprintf(name, sizeof name, "alloc: %s, %s", one->name, onwards ? "no memory from the n-th request on" : "the n-th request fails");
  if (open_into(L, c) != LUA_OK || !run(L, one->text, 0)) wrong = lua_tostring(L, -1);
  lua_getglobal(L, "step");
  long step = lua_isinteger(L, -1) ? (long)lua_tointeger(L, -1) : 1;
  lua_pop(L, 1);
  if (!wrong) wrong = survive(L, c, &h, 0, onwards, every() * step);
  if (!wrong && !run(L, usable, 0)) wrong = lua_tostring(L, -1);
  char text[300];
  snprintf(text, sizeof text, "%s", wrong ? wrong : "");
  lua_close(L);
  neap_close(c);
  result(name, !wrong && h.live == 0, "%s; %zu bytes live after close", text, h.live);
}

static int is_rough(lua_State *L, int i) {
  lua_getglobal(L, "rough");
  lua_rawgeti(L, -1, i);
  int rough = lua_toboolean(L, -1);
  lua_settop(L, 0);
  return rough;
}

static void run_list(const char *what, const char *prepare, int onwards) {
  heap h = {0};
  neap_context *c = open_context(&h);
  lua_State *L = lua_newstate(lua_memory, &h);
  char text[300] = "", name[160];
  snprintf(name, sizeof name, "alloc: %s, %s", what, onwards ? "no memory from the n-th request on" : "the n-th request fails");
  if (open_into(L, c) != LUA_OK || !run(L, prepare, 1)) snprintf(text, sizeof text, "%s", lua_tostring(L, -1));
  int n = (int)lua_tointeger(L, -1);
  lua_settop(L, 0);
  if (n == 0 && !*text) snprintf(text, sizeof text, "there is nothing to try");
  for (int i = 1; i <= n && !*text; i++) {
    const char *wrong = survive(L, c, &h, i, onwards, every() * (is_rough(L, i) ? 5 : 1) * (onwards ? 3 : 1));
    if (!wrong && !run(L, usable, 0)) wrong = lua_tostring(L, -1);
    if (wrong) {
      lua_getglobal(L, "names");
      lua_rawgeti(L, -1, i);
      snprintf(text, sizeof text, "%s: %s", lua_tostring(L, -1), wrong);
    }
    lua_settop(L, 0);
    if (i % 16 == 0) clean(L);
  }
  lua_close(L);
  neap_close(c);
  result(name, !*text && h.live == 0, "%d to try; %s; %zu bytes live after close", n, text, h.live);
}

/* Opening asks thousands of times: every 37th is tried, each in a state of its own. */
static void run_opening(int onwards) {
  size_t live = 0;
  int done = 0;
  for (long n = 1; !done; n += 37 * every()) {
    heap h = {.fail_at = n, .onwards = onwards};
    neap_context *c = open_context(&h);
    lua_State *L = lua_newstate(lua_memory, &h);
    h.armed = 1;
    open_into(L, c);
    h.armed = 0;
    done = h.count < n;
    lua_close(L);
    neap_close(c);
    live += h.live;
  }
  result(onwards ? "alloc: opening, no memory from the n-th request on" : "alloc: opening, the n-th request fails", live == 0,
         "%zu bytes live after close", live);
}

int main(void) {
  for (int onwards = 0; onwards < 2; onwards++) {
    run_opening(onwards);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) run_scenario(&scenarios[i], onwards);
    run_list("every op's samples", prepare_ops, onwards);
    run_list("every layer, made and called", prepare_layers, onwards);
    run_list("every rule, made and stepped", prepare_rules, onwards);
  }
  return failures > 0;
}
