/* What a module of C holds, itself and below, in lists: tensors with their dotted names, and children with theirs. They
 * have the userdata that Lua knows a tensor or module by, which the module at index 1 keeps. */
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
    if (neap_module_each(nl_check(L, s, 1, NL_MODULE), count_one, f) != 0) nl_raise(L, s);
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
    nl_push_param_of(L, s, f.t[i], f.buffer[i], 1);
    lua_rawseti(L, 4, i + 1);
    lua_pushboolean(L, f.buffer[i]);
    lua_rawseti(L, 5, i + 1);
    name += strlen(name) + 1;
  }
  return 3;
}

/* module_children(m) -> modules, names, places */
static int module_children(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_module *m = nl_check(L, s, 1, NL_MODULE);
  int n = neap_module_child_count(m), place;
  lua_settop(L, 1);
  for (int i = 0; i < 3; i++) lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    nl_push_module(L, s, neap_module_child(m, i), 1);
    lua_rawseti(L, 2, i + 1);
    lua_pushstring(L, neap_module_child_name(m, i, &place));
    lua_rawseti(L, 3, i + 1);
    lua_pushinteger(L, place + 1);
    lua_rawseti(L, 4, i + 1);
  }
  return 3;
}

/* Puts module_each and module_children into the module's table at neap. */
void nl_open_tree(lua_State *L, int neap) {
  static const luaL_Reg list[] = {{"module_each", module_each}, {"module_children", module_children}, {NULL, NULL}};
  lua_pushvalue(L, neap);
  nl_functions(L, list);
  lua_pop(L, 1);
}
