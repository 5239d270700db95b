/* A host with its own Lua state that knows only an installed Neap: pkg-config neap-lua names all it needs. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <neap_lua.h>
#include <stdio.h>

int main(void) {
  lua_State *L = luaL_newstate();
  int status;
  luaL_openlibs(L);
  luaL_requiref(L, "neap", luaopen_neap, 0);
  lua_pop(L, 1);
  status = luaL_dostring(L, "print('sum ' .. require 'neap'.tensor{1, 2, 3, 4}:sum():item())");
  if (status) printf("%s\n", lua_tostring(L, -1));
  lua_close(L);
  return status;
}
