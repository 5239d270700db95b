/* The collector's policy. Lua's collector sees a tensor as a few dozen bytes, so the bytes behind it are counted here:
 * every 4 MB handed out it does a step, so that temporaries come back while they are still in the cache; past a soft
 * limit (256 MB, or a quarter of the cap) all garbage is collected, and the limit grows by 1.4 while more than 80 % of
 * it is still alive. A collector that was stopped stays stopped, and its mode is never touched. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>
#include "state.h"

static const size_t SOFT_LIMIT = (size_t)256 << 20;

static size_t first_limit(nl_state *s) {
  size_t cap = neap_memory(s->ctx).cap;
  return cap && cap / 4 < SOFT_LIMIT ? cap / 4 : SOFT_LIMIT;
}

static int running(lua_State *L) { return lua_gc(L, LUA_GCISRUNNING) == 1; }

void nl_collect(lua_State *L, nl_state *s) {
  if (s->collecting || !running(L)) return;
  s->collecting = 1; /* finalisers that make tensors start no collection of their own */
  lua_gc(L, LUA_GCCOLLECT);
  s->collecting = 0;
}

static void adjust_limit(nl_state *s, size_t live) {
  size_t first = first_limit(s);
  if (s->soft_limit < first) s->soft_limit = first;
  while ((double)live > 0.8 * (double)s->soft_limit) s->soft_limit = (size_t)((double)s->soft_limit * 1.4);
  while ((double)live < 0.4 * (double)s->soft_limit && (double)s->soft_limit / 1.4 > (double)first)
    s->soft_limit = (size_t)((double)s->soft_limit / 1.4);
}

void nl_settle(lua_State *L, nl_state *s) {
  s->debt = 0;
  if (s->collecting || !running(L)) return;
  if (!s->soft_limit) s->soft_limit = first_limit(s);
  if (neap_memory(s->ctx).live > s->soft_limit) {
    nl_collect(L, s);
    if (s->ctx) adjust_limit(s, neap_memory(s->ctx).live);
  } else {
    s->collecting = 1;
    lua_gc(L, LUA_GCSTEP, 0);
    s->collecting = 0;
  }
}

int nl_retry(lua_State *L, nl_state *s, int *tries) {
  if (neap_error(s->ctx) != NEAP_ERR_MEMORY || *tries > 0 || s->collecting || !running(L)) return 0;
  ++*tries;
  neap_clear(s->ctx);
  nl_collect(L, s);
  return 1;
}

/* ---- what Lua sees ---- */

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* collect(budget_us?): garbage, all of it, or as much as fits, also while the collector is stopped; true when a cycle
 * came to its end. */
static int collect(lua_State *L) {
  nl_state *s = nl_open(L);
  int all = lua_isnoneornil(L, 1), done = 0;
  double end = all ? 0 : now_us() + luaL_checknumber(L, 1);
  if (!s->collecting) {
    s->collecting = 1;
    if (all) done = lua_gc(L, LUA_GCCOLLECT) == 0;
    else
      do done = lua_gc(L, LUA_GCSTEP, 0) == 1;
      while (!done && now_us() < end);
    s->collecting = 0;
  }
  lua_pushboolean(L, done);
  return 1;
}

static void put(lua_State *L, const char *name, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* memory() -> {live, peak, cached, cap, requests, limit}, in bytes; memory{cap = n, reset_peak = true} sets. */
static int memory(lua_State *L) {
  static const neap_param params[] = {
    {.name = "cap", .kind = NEAP_INT, .marks = NEAP_P_OPTIONAL}, {.name = "reset_peak", .kind = NEAP_FLAG, .marks = NEAP_P_OPTIONAL}};
  static const nl_binding options = {.name = "memory", .params = params, .n_params = 2};
  nl_state *s = nl_open(L);
  nl_args a;
  if (lua_gettop(L) > 0 && !lua_istable(L, 1)) return nl_fail(L, s, "memory: takes a table of options: memory{cap = bytes}");
  nl_bind(L, s, &options, 1, lua_gettop(L), &a);
  if (a.n > 0 && a.value[0].kind == NEAP_INT) {
    neap_memory_set_cap(s->ctx, a.value[0].i > 0 ? (size_t)a.value[0].i : 0);
    s->soft_limit = 0;
  }
  if (a.n > 1 && a.value[1].kind == NEAP_FLAG && a.value[1].i) neap_memory_reset_peak(s->ctx);
  lua_createtable(L, 0, 6);
  neap_memory_info m = neap_memory(s->ctx);
  put(L, "live", m.live);
  put(L, "peak", m.peak);
  put(L, "cached", m.cached);
  put(L, "cap", m.cap);
  put(L, "requests", m.requests);
  put(L, "limit", s->soft_limit ? s->soft_limit : first_limit(s));
  return 1;
}

static int trim(lua_State *L) {
  neap_trim(nl_open(L)->ctx);
  return 0;
}

void nl_open_memory(lua_State *L, nl_state *s) {
  static const luaL_Reg list[] = {{"collect", collect}, {"memory", memory}, {"trim", trim}, {NULL, NULL}};
  (void)s;
  nl_functions(L, list);
}
