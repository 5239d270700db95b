/* What a module of C holds, itself and below: lists of parameters, buffers and children, and iterators over their names.
 * All of them give the userdata that Lua knows a tensor or module by, which the module at index 1 keeps. */
#include <string.h>
#include "state.h"

typedef struct found { neap_tensor **t; char *names; int n; size_t text; uint8_t *buffer; } found;

static int count_one(void *arg, const char *name, neap_tensor *t, int buffer) {
  found *f = arg;
  (void)t;
  (void)buffer;
  f->n++;
  f->text += strlen(name) + 1;
  return 0;
}

static int keep_one(void *arg, const char *name, neap_tensor *t, int buffer) {
  found *f = arg;
  size_t n = strlen(name) + 1;
  f->t[f->n] = t;
  f->buffer[f->n++] = (uint8_t)(buffer != 0);
  memcpy(f->names + f->text, name, n);
  f->text += n;
  return 0;
}

/* Visits twice: the runtime must not be jumped out of, so nothing of Lua's is made while it is at work. The room is
 * pushed; making it may run a finaliser that lengthens the module, so it is counted again. */
static void find_all(lua_State *L, nl_state *s, found *f) {
  found now;
  for (;;) {
    memset(f, 0, sizeof *f);
    neap_module_each(nl_check(L, s, 1, NL_MODULE), count_one, f);
    size_t n = (size_t)f->n;
    f->t = lua_newuserdatauv(L, n * (sizeof *f->t + 1) + f->text + 1, 0);
    f->buffer = (uint8_t *)(f->t + n);
    f->names = (char *)(f->buffer + n);
    memset(&now, 0, sizeof now);
    neap_module_each(nl_check(L, s, 1, NL_MODULE), count_one, &now);
    if (now.n == f->n && now.text == f->text) break;
    lua_pop(L, 1);
  }
  f->n = 0;
  f->text = 0;
  neap_module_each(nl_check(L, s, 1, NL_MODULE), keep_one, f);
}

static int module_each(lua_State *L) {
  nl_state *s = nl_up(L);
  found f;
  lua_settop(L, 1);
  find_all(L, s, &f);
  const char *name = f.names;
  lua_createtable(L, f.n, 0);
  lua_createtable(L, f.n, 0);
  lua_createtable(L, f.n, 0);
  for (int i = 0; i < f.n; i++) {
    lua_pushstring(L, name);
    lua_rawseti(L, 3, i + 1);
    nl_push_param_of(L, s, f.t[i], 1);
    lua_rawseti(L, 4, i + 1);
    lua_pushboolean(L, f.buffer[i]);
    lua_rawseti(L, 5, i + 1);
    name += strlen(name) + 1;
  }
  return 3;
}

/* A list of the parameters (or buffers) of the tree, each once. */
static int list_of(lua_State *L, int buffers) {
  nl_state *s = nl_up(L);
  found f;
  int n = 0;
  lua_settop(L, 1);
  find_all(L, s, &f);
  lua_createtable(L, f.n, 0);
  lua_newtable(L); /* seen */
  for (int i = 0; i < f.n; i++) {
    if (f.buffer[i] != buffers) continue;
    if (lua_rawgetp(L, 4, f.t[i]) == LUA_TNIL) {
      nl_push_param_of(L, s, f.t[i], 1);
      lua_rawseti(L, 3, ++n);
      lua_pushboolean(L, 1);
      lua_rawsetp(L, 4, f.t[i]);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, 3);
  return 1;
}
static int parameters(lua_State *L) { return list_of(L, 0); }
static int buffers(lua_State *L) { return list_of(L, 1); }

static int next_named(lua_State *L) { /* upvalues: names, tensors, i */
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(3)) + 1;
  lua_pushinteger(L, i);
  lua_copy(L, -1, lua_upvalueindex(3));
  if (lua_rawgeti(L, lua_upvalueindex(1), i) == LUA_TNIL) return 1;
  lua_rawgeti(L, lua_upvalueindex(2), i);
  return 2;
}

/* for name, tensor in m:named_parameters() do. Ties come under each of their names. */
static int named(lua_State *L, int buffers) {
  nl_state *s = nl_up(L);
  found f;
  int n = 0;
  lua_settop(L, 1);
  find_all(L, s, &f);
  const char *name = f.names;
  lua_newtable(L);
  lua_newtable(L);
  for (int i = 0; i < f.n; i++) {
    if (f.buffer[i] == buffers) {
      lua_pushstring(L, name);
      lua_rawseti(L, 3, ++n);
      nl_push_param_of(L, s, f.t[i], 1);
      lua_rawseti(L, 4, n);
    }
    name += strlen(name) + 1;
  }
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_named, 3);
  return 1;
}
static int named_parameters(lua_State *L) { return named(L, 0); }
static int named_buffers(lua_State *L) { return named(L, 1); }

static int children(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_module *m = nl_check(L, s, 1, NL_MODULE);
  int n = neap_module_child_count(m);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    nl_push_module(L, s, neap_module_child(m, i), 1);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* Puts module_each into the module's table at neap, and the rest into the table on top, the methods of modules of C. */
void nl_open_tree(lua_State *L, int neap) {
  static const luaL_Reg methods[] = {
    {"parameters", parameters}, {"buffers", buffers}, {"named_parameters", named_parameters},
    {"named_buffers", named_buffers}, {"children", children}, {NULL, NULL},
  };
  nl_functions(L, methods);
  nl_push_state(L);
  lua_pushcclosure(L, module_each, 1);
  lua_setfield(L, neap, "module_each");
}
