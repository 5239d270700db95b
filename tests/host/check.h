/* How the host tests report: one line a test, "ok NAME" or "not ok NAME" with lines of detail that begin with "#". */
#ifndef HOST_CHECK_H
#define HOST_CHECK_H

#include <stdarg.h>
#include <stdio.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include "neap_lua.h"

static int failures;

static void result(const char *name, int good, const char *format, ...) {
  va_list args;
  printf("%sok %s\n", good ? "" : "not ", name);
  if (!good) {
    failures++;
    printf("#   ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
  }
  fflush(stdout);
}

/* Runs Lua text; 0 and the message on the stack when it fails. */
static inline int run(lua_State *L, const char *text, int results) {
  return luaL_loadstring(L, text) == LUA_OK && lua_pcall(L, 0, results, 0) == LUA_OK;
}

/* A test written in Lua: passes when the text runs without an error. */
static inline void lua_test(lua_State *L, const char *name, const char *text) {
  int top = lua_gettop(L), good = run(L, text, 0);
  result(name, good, "%s", good ? "" : lua_tostring(L, -1));
  lua_settop(L, top);
}

#endif
