/* The module: neap.core put together from what each file adds, and neap itself, which is the embedded lua/neap/init.lua.
 * Embedded files stand in package.preload when Neap was opened from C (a host, the program, neap.so found as "neap"), and
 * behind all other searchers when the Lua files were found on disk first. */
#include <string.h>
#include "neap_lua.h"
#include "state.h"

extern const struct neap_embedded { const char *name; const unsigned char *data; unsigned size; } neap_embedded[];

static const struct neap_embedded *find(const char *name) {
  for (const struct neap_embedded *e = neap_embedded; e->name; e++)
    if (strcmp(e->name, name) == 0) return e;
  return NULL;
}

/* Pushes the chunk of an embedded file. Its name is that of the file, below "=neap/", which marks it as Neap's own. */
static void push_chunk(lua_State *L, const struct neap_embedded *e) {
  const char *below = strchr(e->name, '.');
  lua_pushstring(L, below ? below + 1 : "init");
  luaL_gsub(L, lua_tostring(L, -1), ".", "/");
  const char *name = lua_pushfstring(L, "=neap/%s.lua", lua_tostring(L, -1));
  if (luaL_loadbufferx(L, (const char *)e->data, e->size, name, "t") != LUA_OK) lua_error(L);
  lua_replace(L, -4);
  lua_pop(L, 2);
}

static int run_embedded(lua_State *L) { /* a loader: upvalue 1 is the name */
  const char *name = lua_tostring(L, lua_upvalueindex(1));
  push_chunk(L, find(name));
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  return 1;
}

static int search_embedded(lua_State *L) { /* a searcher */
  const char *name = luaL_checkstring(L, 1);
  if (!find(name)) {
    lua_pushfstring(L, "no embedded file '%s'", name);
    return 1;
  }
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, run_embedded, 1);
  lua_pushliteral(L, ":embedded:");
  return 2;
}

static void add_preloads(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const struct neap_embedded *e = neap_embedded; e->name; e++) {
    if (lua_getfield(L, -1, e->name) == LUA_TNIL && strcmp(e->name, "neap") != 0) {
      lua_pushstring(L, e->name);
      lua_pushcclosure(L, run_embedded, 1);
      lua_setfield(L, -3, e->name);
    }
    lua_pop(L, 1);
  }
  lua_pushcfunction(L, luaopen_neap_core);
  lua_setfield(L, -2, "neap.core");
  lua_pop(L, 1);
}

static void add_searcher(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE && lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
    lua_pushcfunction(L, search_embedded);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* has_file(name): whether `require` finds the module without looking at the disk. */
static int has_file(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushboolean(L, find(name) || lua_getfield(L, -1, name) != LUA_TNIL);
  return 1;
}

/* embedded(name): the text of a Lua file that is built in, by its module's name; nil when it is not. */
static int embedded(lua_State *L) {
  const struct neap_embedded *e = find(luaL_checkstring(L, 1));
  if (e) lua_pushlstring(L, (const char *)e->data, e->size);
  else lua_pushnil(L);
  return 1;
}

static const char core_key; /* in the registry: the table of neap.core */

static int open_core(lua_State *L, neap_context *c) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &core_key) == LUA_TTABLE) return 1;
  lua_pop(L, 1);
  nl_state *s = nl_state_of(L);
  if (!s) s = nl_state_open(L, c);
  lua_newtable(L);
  nl_open_tensor(L, s);
  nl_open_ops(L, s);
  nl_open_data(L, s);
  nl_open_memory(L, s);
  nl_open_init(L, s);
  nl_open_scope(L, s);
  nl_open_autograd(L, s);
  nl_open_path(L, s);
  nl_open_module(L, s);
  nl_open_optimizer(L, s);
  nl_open_files(L, s);
  nl_open_system(L, s);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &core_key);
  lua_pushcfunction(L, has_file);
  lua_setfield(L, -2, "has_file");
  lua_pushcfunction(L, embedded);
  lua_setfield(L, -2, "embedded");
  add_searcher(L);
  return 1;
}

int luaopen_neap_core(lua_State *L) { return open_core(L, NULL); }

int luaopen_neap(lua_State *L) {
  const struct neap_embedded *e = find("neap");
  if (!e) return luaL_error(L, "this build holds no Lua files: put lua/?/init.lua on LUA_PATH");
  add_preloads(L);
  push_chunk(L, e);
  lua_pushliteral(L, "neap");
  lua_call(L, 1, 1);
  return 1;
}

int neap_lua_open(lua_State *L, neap_context *c) {
  nl_state *s = nl_state_of(L);
  if (s && s->ctx != c) return luaL_error(L, "neap is open in this state already, with another context");
  open_core(L, c);
  lua_pop(L, 1);
  luaL_requiref(L, "neap", luaopen_neap, 0);
  return 1;
}
