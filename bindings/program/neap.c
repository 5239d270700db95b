/* neap, the program: Lua 5.4 with Neap inside. It takes the options of `lua` and, without a script on a terminal, is a
 * REPL. What only a program may do is in this folder: signal handlers, standard streams, the exit status. Here are the
 * command line and how what it runs is called and reported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lualib.h>
#include "program.h"

/* ---- calls and what they report ---- */

static int traceback_wanted(void) {
  const char *wish = getenv("NEAP_TRACEBACK");
  return wish && *wish && strcmp(wish, "0") != 0;
}

static int handler(lua_State *L) {
  nl_state *s = nl_state_of(L);
  const char *message = lua_tostring(L, 1);
  if (!message) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  } else if (s && s->ctx && nl_is_own_error(L, s, 1) && !traceback_wanted()) {
    return 1;
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

int pg_call(lua_State *L, int n, int results) {
  int base = lua_gettop(L) - n;
  lua_pushcfunction(L, handler);
  lua_insert(L, base);
  int before = pg_interrupts(PG_RUN, L);
  int status = lua_pcall(L, n, results, base);
  pg_interrupts(before, L);
  nl_state *s = nl_state_of(L);
  if (s) nl_path_forget(L, s);
  lua_remove(L, base);
  return status;
}

int pg_report(lua_State *L, int status) {
  if (status == LUA_OK) return status;
  const char *message = lua_tostring(L, -1);
  fflush(stdout);
  fprintf(stderr, "neap: %s\n", message ? message : "error without a message");
  fflush(stderr);
  lua_pop(L, 1);
  return status;
}

static int run_chunk(lua_State *L, int status) {
  if (status == LUA_OK) status = pg_call(L, 0, 0);
  return pg_report(L, status);
}

int pg_run_string(lua_State *L, const char *text, const char *name) {
  return run_chunk(L, luaL_loadbuffer(L, text, strlen(text), name));
}

/* ---- Neap itself ---- */

static int open_neap(lua_State *L) {
  int n = luaopen_neap(L);
  pg_watch(nl_state_of(L));
  return n;
}

static void preload(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_neap);
  lua_setfield(L, -2, "neap");
  lua_pop(L, 1);
}

/* -l name, or -l global=name */
static int run_require(lua_State *L, const char *text) {
  const char *equals = strchr(text, '='), *module = equals ? equals + 1 : text;
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = pg_call(L, 1, 1);
  if (status != LUA_OK) return pg_report(L, status);
  const char *dash = strchr(module, '-');
  lua_pushlstring(L, text, equals ? (size_t)(equals - text) : dash ? (size_t)(dash - module) : strlen(module));
  lua_insert(L, -2);
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_settable(L, -3);
  lua_pop(L, 1);
  return LUA_OK;
}

/* While -e runs, the global neap is there without a require: __index of the globals, which have no metatable else. */
static int global_neap(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "neap") != 0) return 0;
  lua_getglobal(L, "require");
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  lua_pushvalue(L, -1);
  lua_setglobal(L, "neap");
  return 1;
}

static void lend_neap(lua_State *L, int on) {
  lua_pushglobaltable(L);
  if (on && !lua_getmetatable(L, -1)) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, global_neap);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
  } else if (!on && luaL_getmetafield(L, -1, "__index") != LUA_TNIL && lua_tocfunction(L, -1) == global_neap) {
    lua_pushnil(L);
    lua_setmetatable(L, -3);
  }
  lua_settop(L, 0);
}

static int run_string(lua_State *L, const char *text) {
  lend_neap(L, 1);
  int status = pg_run_string(L, text, "=(command line)");
  lend_neap(L, 0);
  return status;
}

static void print_version(void) { printf("Neap %s, %s\n", NEAP_VERSION, LUA_RELEASE); }

/* ---- the command line ---- */

typedef struct command { int script, interactive, version, execute, no_environment; } command;

static int usage(const char *bad) {
  fprintf(stderr,
          "neap: unknown or incomplete option '%s'\n"
          "usage: neap [options] [script [args]]\n"
          "  -e stat   execute string 'stat'\n"
          "  -i        enter interactive mode after executing 'script'\n"
          "  -l mod    require library 'mod' into global 'mod'\n"
          "  -l g=mod  require library 'mod' into global 'g'\n"
          "  -v        show version information\n"
          "  -E        ignore environment variables\n"
          "  -W        turn warnings on\n"
          "  --        stop handling options\n"
          "  -         stop handling options and execute stdin\n",
          bad);
  return 1;
}

/* Looks through the options without running any. 0: fine. */
static int parse(int argc, char **argv, command *c) {
  int i = 1;
  for (; i < argc && argv[i][0] == '-'; i++) {
    const char *o = argv[i];
    if (o[1] == 0) break;
    if (strcmp(o, "--") == 0) {
      i++;
      break;
    }
    if (o[1] == 'e' || o[1] == 'l') {
      c->execute |= o[1] == 'e';
      if (o[2] == 0 && (++i == argc || argv[i][0] == '-')) return usage(o);
    } else if (o[2] != 0 || !strchr("ivEW", o[1])) {
      return usage(o);
    } else {
      c->interactive |= o[1] == 'i';
      c->version |= o[1] == 'v' || o[1] == 'i';
      c->no_environment |= o[1] == 'E';
    }
  }
  c->script = i < argc ? i : 0;
  return 0;
}

static int run_options(lua_State *L, int argc, char **argv, const command *c) {
  int end = c->script ? c->script : argc;
  for (int i = 1; i < end; i++) {
    const char *o = argv[i];
    if (o[0] != '-') continue;
    if (o[1] == 'W') lua_warning(L, "@on", 0);
    if (o[1] != 'e' && o[1] != 'l') continue;
    const char *text = o[2] ? o + 2 : argv[++i];
    if ((o[1] == 'e' ? run_string(L, text) : run_require(L, text)) != LUA_OK) return 1;
  }
  return 0;
}

static void set_arguments(lua_State *L, int argc, char **argv, int script) {
  if (script == 0) script = argc; /* none: all of them have negative numbers but the program's */
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, script == argc ? i : i - script);
  }
  lua_setglobal(L, "arg");
}

static int run_init(lua_State *L) {
  const char *name = "=LUA_INIT_5_4", *init = getenv(name + 1);
  if (!init) init = getenv((name = "=LUA_INIT") + 1);
  if (!init) return LUA_OK;
  return init[0] == '@' ? run_chunk(L, luaL_loadfile(L, init + 1)) : pg_run_string(L, init, name);
}

static int run_script(lua_State *L, int argc, char **argv, int script) {
  const char *file = strcmp(argv[script], "-") == 0 && strcmp(argv[script - 1], "--") != 0 ? NULL : argv[script];
  int status = luaL_loadfile(L, file);
  if (status != LUA_OK) return pg_report(L, status);
  luaL_checkstack(L, argc - script, "too many arguments to script");
  for (int i = script + 1; i < argc; i++) lua_pushstring(L, argv[i]);
  return pg_report(L, pg_call(L, argc - script - 1, 0));
}

static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  command c = {0};
  if (parse(argc, argv, &c) != 0) return 0;
  if (c.version && !c.interactive) print_version();
  if (c.no_environment) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  lua_settop(L, 0);
  pg_coroutines(L);
  preload(L);
  set_arguments(L, argc, argv, c.script);
  lua_gc(L, LUA_GCGEN, 0, 0);
  if (!c.no_environment && run_init(L) != LUA_OK) return 0;
  if (run_options(L, argc, argv, &c) != 0) return 0;
  if (c.script && run_script(L, argc, argv, c.script) != LUA_OK && !c.interactive) return 0;
  if (c.interactive) pg_repl(L);
  else if (!c.script && !c.execute && !c.version) {
    if (isatty(0)) pg_repl(L);
    else if (run_chunk(L, luaL_loadfile(L, NULL)) != LUA_OK) return 0;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* As luaL_newstate does it: warnings go to stderr once turned on by "@on", panics say what happened. */
static void warn(void *on, const char *message, int more) {
  int *state = on; /* bit 0: turned on, bit 1: in the middle of a message */
  if (!more && !(*state & 2) && message[0] == '@') {
    if (strcmp(message, "@on") == 0) *state = 1;
    else if (strcmp(message, "@off") == 0) *state = 0;
    return;
  }
  if (*state & 1) fprintf(stderr, "%s%s%s", *state & 2 ? "" : "Lua warning: ", message, more ? "" : "\n");
  *state = (*state & 1) | (more ? 2 : 0);
}

static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fprintf(stderr, "neap: unprotected error: %s\n", message ? message : "not a text");
  return 0;
}

int main(int argc, char **argv) {
  int warnings = 0;
  pg_blocks *blocks = pg_blocks_new();
  lua_State *L = blocks ? lua_newstate(pg_blocks_alloc, blocks) : NULL;
  if (!L) {
    fputs("neap: no memory for a Lua state\n", stderr);
    return 1;
  }
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, &warnings);
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  pg_report(L, status);
  int good = status == LUA_OK && lua_toboolean(L, -1);
  pg_watch(NULL);
  lua_close(L);
  pg_blocks_free(blocks);
  return good ? 0 : 1;
}
