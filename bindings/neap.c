/* neap, the program: Lua 5.4 with Neap inside. It takes the options of `lua` and, without a script on a terminal, is a
 * REPL. What only a program may do is here: signal handlers, standard streams, the exit status.
 *
 * Ctrl-C sets the runtime's cancel flag, which stops a running kernel, and a hook on the coroutine at work, which stops
 * Lua code; coroutine.resume and wrap are replaced by ones that note which one that is. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lualib.h>
#include "neap_lua.h"
#include "state.h"

static struct {
  lua_State *volatile running;  /* the coroutine at work */
  neap_context *volatile ctx;   /* NULL until Neap is required */
  volatile sig_atomic_t pending, prompting;
} program;

/* ---- interrupts ---- */

static void settled(lua_State *L) {
  lua_sethook(L, NULL, 0, 0);
  program.pending = 0;
}

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  settled(L);
  if (program.ctx) neap_cancel(program.ctx, 0);
  luaL_where(L, 0);
  lua_pushliteral(L, "interrupted!");
  lua_concat(L, 2);
  nl_state *s = nl_state_of(L);
  if (s) nl_remember(L, s);
  lua_error(L);
}

static void on_interrupt(int number) {
  if (program.prompting) return;
  if (program.pending) { /* nothing took the first one up */
    signal(number, SIG_DFL);
    return;
  }
  program.pending = 1;
  if (program.ctx) neap_cancel(program.ctx, 1);
  lua_sethook(program.running, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void handle_interrupts(int on) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on ? on_interrupt : SIG_DFL;
  sigaction(SIGINT, &action, NULL);
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

static void replace_coroutines(lua_State *L) {
  static const luaL_Reg list[] = {{"resume", co_resume}, {"wrap", co_wrap}, {NULL, NULL}};
  lua_getglobal(L, LUA_COLIBNAME);
  luaL_setfuncs(L, list, 0);
  lua_pop(L, 1);
}

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

static int call(lua_State *L, int n, int results) {
  int base = lua_gettop(L) - n;
  lua_pushcfunction(L, handler);
  lua_insert(L, base);
  handle_interrupts(1);
  program.running = L;
  int status = lua_pcall(L, n, results, base);
  handle_interrupts(0);
  if (program.pending) settled(L);
  if (program.ctx) neap_cancel(program.ctx, 0);
  lua_remove(L, base);
  return status;
}

static int report(lua_State *L, int status) {
  if (status == LUA_OK) return status;
  const char *message = lua_tostring(L, -1);
  fflush(stdout);
  fprintf(stderr, "neap: %s\n", message ? message : "error without a message");
  fflush(stderr);
  lua_pop(L, 1);
  return status;
}

static int run_chunk(lua_State *L, int status) {
  if (status == LUA_OK) status = call(L, 0, 0);
  return report(L, status);
}

static int run_string(lua_State *L, const char *text, const char *name) {
  return run_chunk(L, luaL_loadbuffer(L, text, strlen(text), name));
}

/* ---- Neap itself ---- */

static int open_neap(lua_State *L) {
  int n = luaopen_neap(L);
  nl_state *s = nl_state_of(L);
  if (s) {
    program.ctx = s->ctx;
    s->interrupted = settled;
  }
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
  int status = call(L, 1, 1);
  if (status != LUA_OK) return report(L, status);
  const char *dash = strchr(module, '-');
  lua_pushlstring(L, text, equals ? (size_t)(equals - text) : dash ? (size_t)(dash - module) : strlen(module));
  lua_insert(L, -2);
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_settable(L, -3);
  lua_pop(L, 1);
  return LUA_OK;
}

static void print_version(void) { printf("Neap %s, %s\n", NEAP_VERSION, LUA_RELEASE); }

/* ---- the REPL ---- */

static char *read_line(const char *prompt, char *buffer, int size) {
  for (;;) {
    fputs(prompt, stdout);
    fflush(stdout);
    handle_interrupts(1);
    program.prompting = 1;
    char *line = fgets(buffer, size, stdin);
    program.prompting = 0;
    handle_interrupts(0);
    if (line || feof(stdin)) return line;
    clearerr(stdin); /* an interrupt: a new line */
    fputc('\n', stdout);
  }
}

static int incomplete(lua_State *L, int status) {
  size_t n;
  if (status != LUA_ERRSYNTAX) return 0;
  const char *message = lua_tolstring(L, -1, &n);
  return n >= 5 && strcmp(message + n - 5, "<eof>") == 0;
}

/* Reads one statement or expression and compiles it: LUA_OK and a function, an error and its message, -1 at the end. */
static int read_statement(lua_State *L) {
  char line[4096];
  lua_settop(L, 0);
  if (!read_line("> ", line, sizeof line)) return -1;
  lua_pushstring(L, line[0] == '=' ? line + 1 : line);
  for (;;) {
    size_t n;
    const char *text = lua_tolstring(L, 1, &n);
    lua_pushfstring(L, "return %s", text);
    if (luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=stdin") == LUA_OK) return LUA_OK;
    lua_settop(L, 1);
    int status = luaL_loadbuffer(L, text, n, "=stdin");
    if (!incomplete(L, status)) return status;
    lua_settop(L, 1);
    if (!read_line(">> ", line, sizeof line)) return -1;
    lua_pushstring(L, line);
    lua_concat(L, 2);
  }
}

static void print_results(lua_State *L, int first) {
  int n = lua_gettop(L) - first + 1;
  if (n <= 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, first);
  report(L, call(L, n, 0));
}

static void banner(lua_State *L) {
  lua_getglobal(L, "neap");
  lua_getfield(L, -1, "info");
  if (call(L, 0, 1) != LUA_OK) return;
  lua_getfield(L, -1, "isa");
  lua_getfield(L, -2, "threads");
  lua_getfield(L, -3, "blas");
  lua_getfield(L, -4, "blas_core");
  printf("Neap %s on %s: %s, %d thread%s, %s%s%s. neap.help() shows what there is.\n", NEAP_VERSION, LUA_RELEASE,
         lua_tostring(L, -4), (int)lua_tointeger(L, -3), lua_tointeger(L, -3) == 1 ? "" : "s", lua_tostring(L, -2),
         lua_isstring(L, -1) ? " " : "", lua_isstring(L, -1) ? lua_tostring(L, -1) : "");
  lua_settop(L, 0);
}

static void repl(lua_State *L, int quiet) {
  if (run_string(L, "neap = require 'neap'", "=neap") != LUA_OK) return;
  if (!quiet) banner(L);
  for (int status; (status = read_statement(L)) != -1;) {
    if (status == LUA_OK) {
      lua_replace(L, 1);
      lua_settop(L, 1);
      status = call(L, 0, LUA_MULTRET);
    }
    if (status == LUA_OK) print_results(L, 1);
    else report(L, status);
  }
  lua_settop(L, 0);
  fputc('\n', stdout);
}

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
    if ((o[1] == 'e' ? run_string(L, text, "=(command line)") : run_require(L, text)) != LUA_OK) return 1;
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
  return init[0] == '@' ? run_chunk(L, luaL_loadfile(L, init + 1)) : run_string(L, init, name);
}

static int run_script(lua_State *L, int argc, char **argv, int script) {
  const char *file = strcmp(argv[script], "-") == 0 && strcmp(argv[script - 1], "--") != 0 ? NULL : argv[script];
  int status = luaL_loadfile(L, file);
  if (status != LUA_OK) return report(L, status);
  luaL_checkstack(L, argc - script, "too many arguments to script");
  for (int i = script + 1; i < argc; i++) lua_pushstring(L, argv[i]);
  return report(L, call(L, argc - script - 1, 0));
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
  replace_coroutines(L);
  preload(L);
  set_arguments(L, argc, argv, c.script);
  lua_gc(L, LUA_GCGEN, 0, 0);
  if (!c.no_environment && run_init(L) != LUA_OK) return 0;
  if (run_options(L, argc, argv, &c) != 0) return 0;
  if (c.script && run_script(L, argc, argv, c.script) != LUA_OK && !c.interactive) return 0;
  if (c.interactive) repl(L, 0);
  else if (!c.script && !c.execute && !c.version) {
    if (isatty(0)) repl(L, 0);
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
  nl_blocks *blocks = nl_blocks_new();
  lua_State *L = blocks ? lua_newstate(nl_blocks_alloc, blocks) : NULL;
  if (!L) {
    fputs("neap: no memory for a Lua state\n", stderr);
    return 1;
  }
  lua_atpanic(L, panic);
  lua_setwarnf(L, warn, &warnings);
  program.running = L;
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  report(L, status);
  int good = status == LUA_OK && lua_toboolean(L, -1);
  program.ctx = NULL;
  lua_close(L);
  nl_blocks_free(blocks);
  return good ? 0 : 1;
}
