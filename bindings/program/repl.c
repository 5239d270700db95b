/* The REPL: reads a statement or an expression, which may take several lines, runs it, prints what it gives. An interrupt
 * at the prompt starts a new line, one while Lua is at work ends that alone. */
#include <stdio.h>
#include <string.h>
#include <lualib.h>
#include "program.h"

static int incomplete(lua_State *L, int status) {
  size_t n;
  if (status != LUA_ERRSYNTAX) return 0;
  const char *message = lua_tolstring(L, -1, &n);
  return n >= 5 && strcmp(message + n - 5, "<eof>") == 0;
}

/* Reads one statement or expression and compiles it: LUA_OK and a function, an error and its message, or NOTHING at the
 * end of the input and after an interrupt. */
enum { NOTHING = -1, STOP = -2 };

static int read_statement(lua_State *L) {
  const char *text;
  size_t n;
  lua_settop(L, 0);
  for (const char *prompt = "> ";; prompt = ">> ") {
    int got = pg_read_line(L, prompt, &text, &n);
    if (got != PG_LINE) return got == PG_END ? STOP : NOTHING;
    if (lua_gettop(L) == 0 && *text == '=') text++, n--; /* as Lua 5.1 had it */
    if (lua_gettop(L) > 0) lua_pushliteral(L, "\n");
    lua_pushlstring(L, text, n);
    if (lua_gettop(L) > 1) lua_concat(L, 3);
    lua_pushfstring(L, "return %s", lua_tostring(L, 1));
    if (luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=stdin") == LUA_OK) return LUA_OK;
    lua_settop(L, 1);
    int status = luaL_loadbuffer(L, lua_tostring(L, 1), lua_rawlen(L, 1), "=stdin");
    if (!incomplete(L, status)) return status;
    lua_settop(L, 1);
  }
}

/* Pushes a function of lua/neap/repl.lua, or a message. */
static int push_helper(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "neap.repl");
  int status = pg_call(L, 1, 1);
  if (status != LUA_OK) return status;
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  return status;
}

static void print_results(lua_State *L, int first) {
  int n = lua_gettop(L) - first + 1;
  if (n <= 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  int status = push_helper(L, "print");
  if (status == LUA_OK) {
    lua_insert(L, first);
    status = pg_call(L, n, 0);
  }
  pg_report(L, status);
}

int pg_complete(lua_State *L, const char *text) {
  int status = push_helper(L, "complete");
  if (status != LUA_OK) return status;
  lua_pushstring(L, text);
  return pg_call(L, 1, 2);
}

static void banner(lua_State *L) {
  lua_getglobal(L, "neap");
  lua_getfield(L, -1, "info");
  if (pg_call(L, 0, 1) != LUA_OK) return;
  lua_getfield(L, -1, "isa");
  lua_getfield(L, -2, "threads");
  lua_getfield(L, -3, "blas");
  lua_getfield(L, -4, "blas_core");
  printf("Neap %s on %s: %s, %d thread%s, %s%s%s. neap.help() shows what there is.\n", NEAP_VERSION, LUA_RELEASE,
         lua_tostring(L, -4), (int)lua_tointeger(L, -3), lua_tointeger(L, -3) == 1 ? "" : "s", lua_tostring(L, -2),
         lua_isstring(L, -1) ? " " : "", lua_isstring(L, -1) ? lua_tostring(L, -1) : "");
  lua_settop(L, 0);
}

void pg_repl(lua_State *L) {
  if (pg_run_string(L, "neap = require 'neap'", "=neap") != LUA_OK) return;
  banner(L);
  pg_interrupts(PG_READ, NULL);
  for (int status; (status = read_statement(L)) != STOP;) {
    if (status == NOTHING) continue;
    if (status == LUA_OK) {
      lua_replace(L, 1);
      lua_settop(L, 1);
      status = pg_call(L, 0, LUA_MULTRET);
    }
    if (status == LUA_OK) print_results(L, 1);
    else pg_report(L, status);
  }
  pg_interrupts(PG_DEFAULT, NULL);
  pg_forget_lines();
  lua_settop(L, 0);
}
