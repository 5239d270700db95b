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

/* collect(budget_us?): garbage, all of it, or as much as fits; true when a cycle came to its end. */
static int collect(lua_State *L) {
  nl_state *s = nl_up(L);
  if (lua_isnoneornil(L, 1)) {
    nl_collect(L, s);
    lua_pushboolean(L, 1);
    return 1;
  }
  double end = now_us() + luaL_checknumber(L, 1);
  int done = 0;
  if (s->collecting) return lua_pushboolean(L, 0), 1;
  s->collecting = 1;
  do done = lua_gc(L, LUA_GCSTEP, 0);
  while (!done && now_us() < end);
  s->collecting = 0;
  lua_pushboolean(L, done);
  return 1;
}

static void put(lua_State *L, const char *name, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, name);
}

/* memory() -> {live, peak, cached, cap, requests, limit}, in bytes; memory{cap = n, reset_peak = true} sets. */
static int memory(lua_State *L) {
  nl_state *s = nl_up(L);
  if (lua_istable(L, 1)) {
    if (lua_getfield(L, 1, "cap") != LUA_TNIL) {
      lua_Integer cap = luaL_checkinteger(L, -1);
      neap_memory_set_cap(s->ctx, cap > 0 ? (size_t)cap : 0);
      s->soft_limit = 0;
    }
    lua_getfield(L, 1, "reset_peak");
    if (lua_toboolean(L, -1)) neap_memory_reset_peak(s->ctx);
    lua_settop(L, 1);
  }
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
  neap_trim(nl_up(L)->ctx);
  return 0;
}

void nl_open_memory(lua_State *L, nl_state *s) {
  static const luaL_Reg list[] = {{"collect", collect}, {"memory", memory}, {"trim", trim}, {NULL, NULL}};
  (void)s;
  nl_functions(L, list);
}
