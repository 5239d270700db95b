/* Ctrl-C sets the runtime's cancel flag, which stops a running kernel, and a hook on the coroutine at work, which stops
 * Lua code; coroutine.resume and wrap are replaced by ones that note which one that is. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <string.h>
#include <lualib.h>
#include "program.h"

static struct {
  lua_State *volatile running;  /* the coroutine at work */
  neap_context *volatile ctx;   /* NULL until Neap is required */
  volatile sig_atomic_t pending, mode;
} program;

/* ---- interrupts ---- */

static void settle(void) {
  program.pending = 0;
  if (program.ctx) neap_cancel(program.ctx, 0);
}

/* The hook. One that is left in a coroutine after the interrupt was taken up elsewhere just goes. */
static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  if (!program.pending) return;
  settle();
  luaL_where(L, 0);
  lua_pushliteral(L, "interrupted!");
  lua_concat(L, 2);
  nl_state *s = nl_state_of(L);
  if (s) nl_remember(L, s);
  lua_error(L);
}

static void cancelled(lua_State *L) { /* a kernel has stopped, and Neap raises the error */
  lua_sethook(L, NULL, 0, 0);
  settle();
}

static void on_interrupt(int number) {
  if (program.mode == PG_READ) return;
  if (program.pending) { /* nothing took the first one up */
    signal(number, SIG_DFL);
    return;
  }
  program.pending = 1;
  if (program.ctx) neap_cancel(program.ctx, 1);
  lua_sethook(program.running, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

int pg_interrupts(int mode, lua_State *L) {
  struct sigaction action;
  int before = program.mode;
  memset(&action, 0, sizeof action);
  action.sa_handler = mode == PG_DEFAULT ? SIG_DFL : on_interrupt;
  if (mode == PG_RUN) program.running = L;
  program.mode = mode;
  sigaction(SIGINT, &action, NULL);
  if (mode != PG_RUN && program.pending) { /* it came too late */
    lua_sethook(program.running, NULL, 0, 0);
    settle();
  }
  return before;
}

void pg_watch(nl_state *s) {
  program.ctx = s ? s->ctx : NULL;
  if (s) s->interrupted = cancelled;
}

/* ---- coroutines that are known to run ---- */

/* Resumes co with the n arguments on top of L. Returns how many results lie on L, or -1 and one error value. */
static int resume(lua_State *L, lua_State *co, int n) {
  int results = 0;
  if (!lua_checkstack(co, n)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, n);
  lua_State *before = program.running;
  program.running = co;
  int status = lua_resume(co, L, n, &results);
  program.running = before;
  if (status == LUA_OK || status == LUA_YIELD) {
    if (!lua_checkstack(L, results + 1)) {
      lua_pop(co, results);
      lua_pushliteral(L, "too many results to resume");
      return -1;
    }
    lua_xmove(co, L, results);
    return results;
  }
  lua_xmove(co, L, 1);
  return -1;
}

static int co_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  int n = resume(L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, n >= 0);
  lua_insert(L, n < 0 ? -2 : -(n + 1));
  return n < 0 ? 2 : n + 1;
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n = resume(L, co, lua_gettop(L));
  if (n >= 0) return n;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) { /* it failed: its variables end with it */
    status = lua_resetthread(co);
    lua_xmove(co, L, 1);
  }
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING && lua_status(co) == LUA_OK) {
    luaL_where(L, 1);
    const char *where = lua_tostring(L, -1), *message = lua_tostring(L, -2);
    nl_state *s = nl_state_of(L);
    if (*where && strncmp(message, where, strlen(where)) != 0 && !(s && nl_is_remembered(L, s, -2))) lua_insert(L, -2), lua_concat(L, 2);
    else lua_pop(L, 1);
  }
  return lua_error(L);
}

static int co_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

void pg_coroutines(lua_State *L) {
  static const luaL_Reg list[] = {{"resume", co_resume}, {"wrap", co_wrap}, {NULL, NULL}};
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, list, 0);
  lua_pop(L, 1);
}
