/* neap_lua.h: Neap inside a Lua 5.4 state, for hosts. MIT licence.
 *
 * A state has one context: its own, opened by luaopen_neap, or the host's, given to neap_lua_open. The state needs the
 * libraries `package`, `string`, `table`, `math`, `coroutine` and `debug`. Functions that may raise a Lua error are
 * marked so: call those where lua_error may be called. */
#ifndef NEAP_LUA_H
#define NEAP_LUA_H

#include "neap.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

/* The module: leaves its table on the stack and returns 1. `require "neap"` finds it in neap.so; a host registers it by
 * luaL_requiref(L, "neap", luaopen_neap, 0). Opens a context with one thread a core, OpenBLAS if it was built with it, and
 * what NEAP_NUM_THREADS, NEAP_ISA and NEAP_BLAS say. Raises. */
NEAP_API int luaopen_neap(struct lua_State *L);
NEAP_API int luaopen_neap_core(struct lua_State *L); /* what `require "neap.core"` finds: the part written in C */

/* The same with the host's context, which the state keeps a reference to; also makes it what `require "neap"` gives. The
 * host may close its own reference at once. Leaves the table on the stack and returns 1. Raises. */
NEAP_API int neap_lua_open(struct lua_State *L, neap_context *c);

NEAP_API neap_context *neap_lua_context(struct lua_State *L);           /* of this state, borrowed; NULL: none yet */

/* Pushes a tensor or a module, nil for NULL. Lua gets a reference of its own. Raises. */
NEAP_API void neap_lua_push(struct lua_State *L, neap_tensor *t);
NEAP_API void neap_lua_push_module(struct lua_State *L, neap_module *m);

/* The tensor or module at an index of the stack, borrowed: it lives as long as Lua keeps it. Raises for anything else. */
NEAP_API neap_tensor *neap_lua_check(struct lua_State *L, int index);
NEAP_API neap_module *neap_lua_check_module(struct lua_State *L, int index);

#ifdef __cplusplus
}
#endif
#endif
