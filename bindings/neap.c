/* The program: a Lua interpreter with Neap inside. It takes the options of `lua`; without a script, at a terminal, it is
 * a REPL in which `neap` is a global. Ctrl-C stops a running kernel and becomes a Lua error, wherever the script is: the
 * coroutine at work is known, because resume and wrap are replaced by ones that note it. Errors are one line: what went
 * wrong and where in the script; -v, or NEAP_TRACEBACK in the environment, adds the stack. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include "neap_lua.h"

/* What the signal handler may touch: the coroutine at work and the context. The program has one state. */
static lua_State *volatile running;
static neap_context *volatile context;

static void stop_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  if (context) neap_cancel(context, 0);
  luaL_error(L, "interrupted!");
}

static void on_interrupt(int signal_number) {
  signal(signal_number, SIG_DFL); /* a second one ends the program */
  if (context) neap_cancel(context, 1);
  lua_State *L = running;
  if (L) lua_sethook(L, stop_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* ---- coroutines that are known ---- */

static int resumed(lua_State *L, int status, lua_KContext from) {
  (void)status, (void)from;
  return lua_gettop(L);
}

/* f is the original resume or a wrapped function's body: the thread at work is noted around it. */
static int noted_resume(lua_State *L) {
  lua_State *outer = running, *inner = lua_tothread(L, 1);
  if (inner) running = inner;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  running = outer;
  if (status != LUA_OK) return lua_error(L);
  return resumed(L, status, 0);
}

static int noted_call(lua_State *L) { /* of a wrapped coroutine: upvalues: the thread, resume */
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 2);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  if (lua_toboolean(L, 1)) return lua_gettop(L) - 1;
  lua_State *thread = lua_tothread(L, lua_upvalueindex(1));
  int status = lua_status(thread);
  if (status != LUA_OK && status != LUA_YIELD) lua_resetthread(thread); /* closes its pending variables, as wrap does */
  if (lua_type(L, 2) == LUA_TSTRING) { /* wrap adds where it was called */
    luaL_where(L, 1);
    lua_insert(L, 2);
    lua_concat(L, 2);
  }
  lua_settop(L, 2);
  return lua_error(L);
}

static int noted_wrap(lua_State *L) { /* upvalues: create, resume */
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushcclosure(L, noted_call, 2);
  return 1;
}

static void note_coroutines(lua_State *L) {
  lua_getglobal(L, "coroutine");
  lua_getfield(L, -1, "create");
  lua_getfield(L, -2, "resume");
  lua_pushcclosure(L, noted_resume, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "resume");
  lua_pushcclosure(L, noted_wrap, 2);
  lua_setfield(L, -2, "wrap");
  lua_pop(L, 1);
}

/* ---- running ---- */

static void say(const char *message) {
  fprintf(stderr, "neap: %s\n", message);
  fflush(stderr);
}

static int message_handler(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (!message) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  lua_getfield(L, LUA_REGISTRYINDEX, "neap.traceback");
  if (lua_toboolean(L, -1)) luaL_traceback(L, L, message, 1);
  else lua_pushstring(L, message);
  return 1;
}

static int call(lua_State *L, int n_args, int n_results) {
  int base = lua_gettop(L) - n_args;
  lua_pushcfunction(L, message_handler);
  lua_insert(L, base);
  running = L;
  struct sigaction act = { .sa_handler = on_interrupt }, old;
  sigaction(SIGINT, &act, &old);
  int status = lua_pcall(L, n_args, n_results, base);
  sigaction(SIGINT, &old, NULL);
  running = NULL;
  if (context) neap_cancel(context, 0);
  lua_remove(L, base);
  return status;
}

static int report(lua_State *L, int status) {
  if (status == LUA_OK) return 1;
  const char *message = lua_tostring(L, -1);
  say(message ? message : "an error without a message");
  lua_pop(L, 1);
  return 0;
}

static int run_text(lua_State *L, const char *text, const char *name) {
  return report(L, luaL_loadbuffer(L, text, strlen(text), name) != LUA_OK ? LUA_ERRSYNTAX : call(L, 0, 0));
}

static int run_require(lua_State *L, char *name) { /* name, or global=name */
  char *equals = strchr(name, '=');
  const char *global = name, *module = name;
  if (equals) {
    *equals = 0;
    module = equals + 1;
  }
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = call(L, 1, 1);
  if (status == LUA_OK) lua_setglobal(L, global);
  return report(L, status);
}

static int run_script(lua_State *L, char **argv, int script) {
  const char *name = argv[script];
  if (strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0) name = NULL;
  int status = luaL_loadfile(L, name), n = 0;
  if (status == LUA_OK) {
    for (char **a = argv + script + 1; *a; a++, n++) {
      luaL_checkstack(L, 4, "too many arguments");
      lua_pushstring(L, *a);
    }
    status = call(L, n, 0);
  }
  return report(L, status);
}

/* ---- the REPL ---- */

static int read_line(lua_State *L, const char *prompt) {
  char line[4096];
  fputs(prompt, stdout);
  fflush(stdout);
  lua_pushliteral(L, "");
  for (;;) {
    if (!fgets(line, sizeof line, stdin)) {
      if (lua_rawlen(L, -1) > 0) return 1;
      lua_pop(L, 1);
      return 0;
    }
    size_t n = strlen(line);
    int whole = n > 0 && line[n - 1] == '\n';
    lua_pushlstring(L, line, whole ? n - 1 : n);
    lua_concat(L, 2);
    if (whole) return 1;
  }
}

static int incomplete(lua_State *L, int status) {
  if (status != LUA_ERRSYNTAX) return 0;
  size_t n;
  const char *message = lua_tolstring(L, -1, &n);
  return n >= 5 && strcmp(message + n - 5, "<eof>") == 0;
}

/* Loads the line on top as an expression, else as a statement that may go on over more lines. -1: end of input. */
static int load_input(lua_State *L) {
  const char *line = lua_tostring(L, 1);
  const char *expression = lua_pushfstring(L, "return %s", line[0] == '=' ? line + 1 : line);
  int status = luaL_loadbuffer(L, expression, strlen(expression), "=stdin");
  if (status == LUA_OK) {
    lua_remove(L, -2);
    lua_remove(L, 1);
    return LUA_OK;
  }
  lua_settop(L, 1);
  for (;;) {
    size_t n;
    const char *text = lua_tolstring(L, 1, &n);
    status = luaL_loadbuffer(L, text, n, "=stdin");
    if (!incomplete(L, status)) break;
    lua_settop(L, 1);
    if (!read_line(L, ">> ")) return -1;
    lua_pushliteral(L, "\n");
    lua_insert(L, 2);
    lua_concat(L, 3);
  }
  lua_remove(L, 1);
  return status;
}

static void print_results(lua_State *L) {
  int n = lua_gettop(L);
  if (n == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  if (lua_pcall(L, n, 0, 0) != LUA_OK) {
    say(lua_tostring(L, -1) ? lua_tostring(L, -1) : "print failed");
    lua_pop(L, 1);
  }
}

static void repl(lua_State *L) {
  lua_settop(L, 0);
  printf("Neap %s, %s. help: neap.help(), leave: Ctrl-D\n", NEAP_VERSION, LUA_RELEASE);
  while (read_line(L, "> ")) {
    int status = load_input(L);
    if (status == -1) break;
    if (status == LUA_OK) status = call(L, 0, LUA_MULTRET);
    if (status == LUA_OK) print_results(L);
    else report(L, status);
    lua_settop(L, 0);
  }
  fputs("\n", stdout);
}

/* ---- options ---- */

enum { HAS_INTERACTIVE = 1, HAS_VERSION = 2, HAS_EXECUTE = 4, HAS_IGNORE_ENV = 8, BAD = 16 };

static int collect(char **argv, int *script) {
  int marks = 0, i = 1;
  for (; argv[i] && argv[i][0] == '-'; i++) {
    switch (argv[i][1]) {
    case 0: *script = i; return marks;
    case '-': *script = i + 1; return argv[i][2] ? BAD : marks;
    case 'E': marks |= HAS_IGNORE_ENV; break;
    case 'i': marks |= HAS_INTERACTIVE | HAS_VERSION; break;
    case 'v': marks |= HAS_VERSION; break;
    case 'W': break;
    case 'e': marks |= HAS_EXECUTE; /* fall through */
    case 'l':
      if (argv[i][2] == 0 && (!argv[++i] || argv[i][0] == '-')) { *script = i - 1; return BAD; }
      break;
    default: *script = i; return BAD;
    }
  }
  *script = i;
  return marks;
}

static int run_options(lua_State *L, char **argv, int script) {
  for (int i = 1; i < script; i++) {
    int option = argv[i][1];
    if (option == 'W') lua_warning(L, "@on", 0);
    if (option != 'e' && option != 'l') continue;
    char *extra = argv[i][2] ? argv[i] + 2 : argv[++i];
    if (!(option == 'e' ? run_text(L, extra, "=(command line)") : run_require(L, extra))) return 0;
  }
  return 1;
}

static void make_arg_table(lua_State *L, char **argv, int argc, int script) {
  if (script >= argc) script = 0; /* no script: the program is at 0 */
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

static int run_init(lua_State *L) {
  const char *init = getenv("LUA_INIT_5_4") ? getenv("LUA_INIT_5_4") : getenv("LUA_INIT");
  if (!init) return 1;
  if (init[0] != '@') return run_text(L, init, "=LUA_INIT");
  return report(L, luaL_loadfile(L, init + 1) != LUA_OK ? LUA_ERRFILE : call(L, 0, 0));
}

static int open_neap(lua_State *L) { /* what package.preload.neap does */
  luaopen_neap(L);
  context = neap_lua_context(L);
  return 1;
}

static void open_libraries(lua_State *L, int marks) {
  if (marks & HAS_IGNORE_ENV) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  lua_pushboolean(L, marks & HAS_VERSION || getenv("NEAP_TRACEBACK"));
  lua_setfield(L, LUA_REGISTRYINDEX, "neap.traceback");
  luaL_openlibs(L);
  note_coroutines(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_neap);
  lua_setfield(L, -2, "neap");
  lua_pop(L, 1);
  lua_gc(L, LUA_GCGEN, 0, 0);
}

static int interactive(lua_State *L) {
  char name[] = "neap";
  if (!run_require(L, name)) return 0;
  repl(L);
  return 1;
}

static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1), script;
  char **argv = lua_touserdata(L, 2);
  lua_settop(L, 0);
  int marks = collect(argv, &script);
  if (marks & BAD) {
    fprintf(stderr, "neap: unrecognized option '%s'\nusage: neap [-e stat] [-i] [-l name] [-v] [-E] [-W] [-] [--] [script [args]]\n",
            argv[script] ? argv[script] : argv[script - 1]);
    return 0;
  }
  open_libraries(L, marks);
  make_arg_table(L, argv, argc, script);
  if (marks & HAS_VERSION && !(marks & HAS_INTERACTIVE)) printf("Neap %s, %s\n", NEAP_VERSION, LUA_RELEASE);
  if (!(marks & HAS_IGNORE_ENV) && !run_init(L)) return 0;
  if (!run_options(L, argv, script)) return 0;
  int ok = 1;
  if (script < argc) ok = run_script(L, argv, script);
  if (marks & HAS_INTERACTIVE) ok = interactive(L);
  else if (script >= argc && !(marks & (HAS_EXECUTE | HAS_VERSION))) {
    char input[] = "-", *args[] = { argv[0], input, NULL };
    ok = isatty(STDIN_FILENO) ? interactive(L) : run_script(L, args, 1);
  }
  lua_pushboolean(L, ok);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (!L) {
    say("cannot create a Lua state: not enough memory");
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int status = lua_pcall(L, 2, 1, 0);
  int ok = status == LUA_OK && lua_toboolean(L, -1);
  if (status != LUA_OK) report(L, status);
  context = NULL;
  lua_close(L);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
