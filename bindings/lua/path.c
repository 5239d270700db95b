/* Where in a model a call stands. A Lua module's forward pushes itself and pops itself; each coroutine has a stack of its
 * own, so forwards may yield. A path is the root's class and Lua's way to what is at work: "Net.body[2]". It is spelt
 * once for each place: afterwards a push finds it in a cache by parent and child. Paths are interned, for records keep
 * them. While no Lua module is at work all this costs a test of a number. */
#include <string.h>
#include "state.h"

/* Pushes the stack of the running coroutine, or nil. A stack is {module, ..., [-1] = path, ...}. */
static int push_stack(lua_State *L, nl_state *s) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->stacks_ref);
  lua_pushthread(L);
  int type = lua_rawget(L, -2);
  lua_remove(L, -2);
  return type;
}

/* Pushes the path of the module at `index` below parent with its path (both on top, popped): cached in a table that is
 * weak by parent, then by child: {parent's path, path}. */
static const char *spell(lua_State *L, nl_state *s, int index) {
  int parent = lua_gettop(L) - 1, parent_path = parent + 1;
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->spelt_ref); /* +1 */
  int spelt = lua_gettop(L);
  lua_pushvalue(L, parent);
  if (lua_rawget(L, spelt) != LUA_TTABLE) { /* +2: the parent's children */
    lua_pop(L, 1);
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->spelt_ref);
    lua_getmetatable(L, -1);
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
    lua_pushvalue(L, parent);
    lua_pushvalue(L, -2);
    lua_rawset(L, spelt);
  }
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) == LUA_TTABLE) {
    lua_rawgeti(L, -1, 1);
    int same = lua_rawequal(L, -1, parent_path);
    lua_pop(L, 1);
    if (same) {
      lua_rawgeti(L, -1, 2);
      lua_replace(L, parent);
      lua_settop(L, parent);
      return lua_tostring(L, -1);
    }
  }
  lua_settop(L, spelt + 1);
  lua_pushvalue(L, parent_path);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->glue_ref);
  lua_getfield(L, -1, "child_path");
  lua_remove(L, -2);
  lua_pushvalue(L, parent);
  lua_pushvalue(L, index);
  lua_call(L, 2, 1);
  if (lua_type(L, -1) != LUA_TSTRING) lua_pop(L, 1), lua_pushliteral(L, "?");
  lua_concat(L, 2);
  nl_intern(L, s, lua_tostring(L, -1));
  lua_pushvalue(L, index);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, parent_path);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -3);
  lua_rawseti(L, -2, 2);
  lua_rawset(L, spelt + 1);
  lua_replace(L, parent);
  lua_settop(L, parent);
  return lua_tostring(L, -1);
}

/* Pushes the path of the module at index under the one at work; of a root, its class. */
static const char *push_spelling(lua_State *L, nl_state *s, int stack, int index) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, stack);
  luaL_checkstack(L, 20, NULL);
  lua_rawgeti(L, stack, n);
  lua_rawgeti(L, stack, -n);
  return spell(L, s, index);
}

/* push_path(module) */
static int push_path(lua_State *L) {
  nl_state *s = nl_up(L);
  lua_settop(L, 1);
  if (push_stack(L, s) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->stacks_ref);
    lua_pushthread(L);
    lua_pushvalue(L, 2);
    lua_rawset(L, -3);
    lua_pop(L, 1);
  }
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2) + 1;
  const char *path;
  if (n > 1) path = push_spelling(L, s, 2, 1);
  else {
    nl_slot *slot = nl_slot_at(L, s, 1, NL_MODULE);
    if (slot && slot->object) lua_pushstring(L, neap_module_about(slot->object)->name);
    else if (luaL_getmetafield(L, 1, "__name") != LUA_TSTRING) lua_pushliteral(L, "?");
    path = nl_intern(L, s, lua_tostring(L, -1));
  }
  lua_rawseti(L, 2, -n);
  lua_pushvalue(L, 1);
  lua_rawseti(L, 2, n);
  s->paths++;
  s->path_of = L;
  s->site.path = path;
  return 0;
}

static int pop_path(lua_State *L) {
  nl_state *s = nl_up(L);
  if (push_stack(L, s) != LUA_TTABLE) return 0;
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  if (n == 0) return 0;
  lua_pushnil(L);
  lua_rawseti(L, -2, n);
  lua_pushnil(L);
  lua_rawseti(L, -2, -n);
  s->paths--;
  s->path_of = L;
  s->site.path = NULL;
  if (n > 1) {
    lua_rawgeti(L, -1, 1 - n);
    s->site.path = lua_tostring(L, -1);
  }
  return 0;
}

void nl_path_switch(lua_State *L, nl_state *s) {
  s->path_of = L;
  s->site.path = NULL;
  luaL_checkstack(L, 6, NULL);
  if (push_stack(L, s) == LUA_TTABLE) {
    lua_rawgeti(L, -1, -(lua_Integer)lua_rawlen(L, -1));
    s->site.path = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void nl_path_forget(lua_State *L, nl_state *s) {
  if (NL_LIKELY(s->paths == 0)) return;
  luaL_checkstack(L, 6, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->stacks_ref);
  if (push_stack(L, s) == LUA_TTABLE) s->paths -= (int)lua_rawlen(L, -1);
  lua_pushthread(L);
  lua_pushnil(L);
  lua_rawset(L, -4);
  lua_pop(L, 2);
  s->path_of = NULL;
  s->site.path = NULL;
}

const char *nl_path_of(lua_State *L, nl_state *s, int index) {
  const char *path = NULL;
  if (NL_LIKELY(s->paths == 0)) return NULL;
  int top = lua_gettop(L);
  luaL_checkstack(L, 6, NULL);
  if (push_stack(L, s) == LUA_TTABLE && lua_rawlen(L, -1) > 0) path = push_spelling(L, s, top + 1, index);
  lua_settop(L, top);
  return path;
}

/* path_at_work() -> "Net.body[2]", or nil while no Lua module is at work */
static int path_at_work(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_path(L, s);
  lua_pushstring(L, s->paths > 0 ? s->site.path : NULL);
  return 1;
}

void nl_open_path(lua_State *L, nl_state *s) {
  static const luaL_Reg list[] = {
    {"push_path", push_path}, {"pop_path", pop_path}, {"path_at_work", path_at_work}, {NULL, NULL}};
  (void)s;
  nl_functions(L, list);
}
