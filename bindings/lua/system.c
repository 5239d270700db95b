/* What is neither tensor nor gradient: random generators, information about this Neap, the clock. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "state.h"

/* ---- generators ---- */

static neap_generator *check_generator(lua_State *L, nl_state *s, int index) { return nl_check(L, s, index, NL_GENERATOR); }

/* A seed from any number, so that os.time() and 1.5 both do. */
static uint64_t seed_at(lua_State *L, int index) {
  if (lua_isinteger(L, index)) return (uint64_t)lua_tointeger(L, index);
  double d = luaL_checknumber(L, index);
  uint64_t bits;
  memcpy(&bits, &d, sizeof bits);
  return bits;
}

static int generator(lua_State *L) { /* generator(seed = 0) */
  nl_state *s = nl_up(L);
  uint64_t seed = lua_isnoneornil(L, 1) ? 0 : seed_at(L, 1);
  nl_slot *slot = nl_new(L, s, NL_GENERATOR);
  slot->object = neap_generator_new(s->ctx, seed);
  return slot->object ? 1 : nl_raise(L, s);
}

static int default_generator(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *slot = nl_new(L, s, NL_GENERATOR);
  slot->object = neap_generator_default(s->ctx);
  return slot->object ? 1 : nl_raise(L, s);
}

static int seed(lua_State *L) {
  neap_seed(nl_open(L)->ctx, seed_at(L, 1));
  return 0;
}

static int generator_seed(lua_State *L) { /* g:seed(n) starts it anew; returns g */
  nl_state *s = nl_up(L);
  uint64_t state[2] = {seed_at(L, 2), 0};
  neap_generator_set(check_generator(L, s, 1), state);
  lua_settop(L, 1);
  return 1;
}

static int get_state(lua_State *L) { /* g:get_state() -> {seed, offset} */
  uint64_t state[2];
  neap_generator_get(check_generator(L, nl_up(L), 1), state);
  lua_createtable(L, 2, 0);
  for (int i = 0; i < 2; i++) {
    lua_pushinteger(L, (lua_Integer)state[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int set_state(lua_State *L) {
  neap_generator *g = check_generator(L, nl_up(L), 1);
  uint64_t state[2];
  luaL_checktype(L, 2, LUA_TTABLE);
  for (int i = 0; i < 2; i++) {
    lua_rawgeti(L, 2, i + 1);
    state[i] = (uint64_t)luaL_checkinteger(L, -1);
  }
  neap_generator_set(g, state);
  return 0;
}

static int generator_fork(lua_State *L) { /* g:fork(key): an independent stream, of g's seed and the key alone */
  nl_state *s = nl_up(L);
  uint64_t key = seed_at(L, 2);
  nl_slot *slot = nl_new(L, s, NL_GENERATOR);
  slot->object = neap_generator_fork(check_generator(L, s, 1), key);
  return slot->object ? 1 : nl_raise(L, s);
}

static int initial_seed(lua_State *L) {
  uint64_t state[2];
  neap_generator_get(check_generator(L, nl_up(L), 1), state);
  lua_pushinteger(L, (lua_Integer)state[0]);
  return 1;
}

/* ---- information ---- */

static void field(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* info() -> {version, isa, threads, blas, blas_core, ...}. The core is OpenBLAS's choice of kernels for this machine. */
static int info(lua_State *L) {
  nl_state *s = nl_open(L);
  lua_createtable(L, 0, 8);
  field(L, "version", NEAP_VERSION);
  field(L, "isa", neap_isa(s->ctx));
  lua_pushinteger(L, neap_threads(s->ctx));
  lua_setfield(L, -2, "threads");
  field(L, "blas", neap_blas_name(s->ctx));
  if (strcmp(neap_blas_name(s->ctx), "openblas") == 0) nl_blas_info(L);
  return 1;
}

static int dtypes(lua_State *L) { /* the names of all dtypes */
  lua_createtable(L, NEAP_DTYPES, 0);
  for (int i = 0; i < NEAP_DTYPES; i++) {
    lua_pushstring(L, neap_dtype_about((neap_dtype)i)->name);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int promote(lua_State *L) { /* promote(a, b): the dtype of a + b */
  nl_state *s = nl_up(L);
  int a = nl_to_dtype(L, 1), b = nl_to_dtype(L, 2);
  if (a < 0 || b < 0) return nl_fail(L, s, "promote: takes two dtypes");
  lua_pushstring(L, neap_dtype_about(neap_promote((neap_dtype)a, (neap_dtype)b))->name);
  return 1;
}

static int clock_now(lua_State *L) { /* seconds, from an arbitrary start */
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec * 1e-9);
  return 1;
}

static int terminal_width(lua_State *L) { /* terminal_width() -> the columns of the terminal on standard output, or nil */
  struct winsize size;
  if (ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) lua_pushinteger(L, size.ws_col);
  else lua_pushnil(L);
  return 1;
}

static int is_terminal(lua_State *L) { /* is_terminal(descriptor) */
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/* own(prefix): chunk names that begin so are Neap's own files: errors name none of their lines. */
static int own(lua_State *L) {
  nl_state *s = nl_up(L);
  size_t n;
  luaL_checklstring(L, 1, &n);
  lua_settop(L, 1);
  const char *home = nl_intern(L, s, lua_tostring(L, 1));
  s->home = home;
  s->home_length = (int)n;
  memset(s->files, 0, sizeof s->files);
  return 0;
}

void nl_open_system(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {
    {"generator", generator}, {"Generator", generator}, {"default_generator", default_generator}, {"seed", seed}, {"manual_seed", seed},
    {"info", info}, {"dtypes", dtypes}, {"promote", promote}, {"clock", clock_now}, {"is_terminal", is_terminal}, {"terminal_width", terminal_width}, {"own", own},
    {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
    {"seed", generator_seed}, {"manual_seed", generator_seed}, {"initial_seed", initial_seed}, {"get_state", get_state},
    {"set_state", set_state}, {"fork", generator_fork}, {NULL, NULL},
  };
  nl_functions(L, functions);
  nl_metatable(L, s, NL_GENERATOR);
  nl_methods(L, s, NL_GENERATOR);
  nl_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
