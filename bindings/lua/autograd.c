/* Gradients in Lua: the backward walk as a userdata that lua/neap/autograd.lua steps, and Lua functions inside graphs.
 *
 * C records hold only the number of a Lua function (a custom function's backward, a hook). Its entry, a table, is held by
 * whoever could still walk to it: a result's userdata keeps an anchor (through an ephemeron table, as few tensors have
 * one), what is computed from an anchored tensor inherits it, and a weak table finds the entry by its number. So nothing
 * hangs from the registry, and graph, entry, and the tensors that the entry saved are collected together, cycles and
 * all. An anchor is an entry or a table of anchors. */
#include <string.h>
#include "state.h"

/* ---- anchors ---- */

/* Pushes the anchor of the userdata at index, or nothing; says which. */
static int push_anchor(lua_State *L, nl_state *s, int index) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors_ref);
  lua_pushvalue(L, index);
  int found = lua_rawget(L, -2) == LUA_TTABLE;
  lua_remove(L, -2);
  if (!found) lua_pop(L, 1);
  return found;
}

/* Adds what the value at index keeps to the set on top: {[anchor] = true}. */
static void gather(lua_State *L, nl_state *s, int index, int set, int depth) {
  nl_slot *slot = nl_slot_at(L, s, index, NL_TENSOR);
  luaL_checkstack(L, 8, NULL);
  if (slot) {
    if (!(slot->marks & NL_ANCHORED) || !push_anchor(L, s, index)) return;
    lua_pushboolean(L, 1);
    lua_rawset(L, set);
  } else if (lua_istable(L, index) && depth < 3) {
    lua_pushnil(L);
    while (lua_next(L, index)) {
      gather(L, s, lua_gettop(L), set, depth + 1);
      lua_pop(L, 1);
    }
  }
}

/* Replaces the set on top by one anchor for all in it, or nil. */
static void join(lua_State *L) {
  int set = lua_gettop(L);
  lua_Integer n = 0;
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, set)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, set + 1, ++n);
  }
  if (n == 0) lua_pushnil(L);
  else if (n == 1) lua_rawgeti(L, set + 1, 1);
  else lua_pushvalue(L, set + 1);
  lua_replace(L, set);
  lua_settop(L, set);
}

/* The anchor on top is popped and kept by the tensor userdata at index, besides what that keeps already. */
static void keep(lua_State *L, nl_state *s, int index) {
  index = lua_absindex(L, index);
  luaL_checkstack(L, 8, NULL);
  nl_slot *slot = nl_slot_at(L, s, index, NL_TENSOR);
  if (!slot || lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  if (slot->marks & NL_ANCHORED && push_anchor(L, s, index)) {
    if (!lua_rawequal(L, -1, -2)) {
      lua_createtable(L, 2, 0);
      lua_insert(L, -3);
      lua_rawseti(L, -3, 2);
      lua_rawseti(L, -2, 1);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->anchors_ref);
  lua_pushvalue(L, index);
  lua_rotate(L, -3, -1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  slot->marks |= NL_ANCHORED;
}

void nl_inherit(lua_State *L, nl_state *s, int result, int first, int last) {
  nl_slot *slot = nl_slot_at(L, s, result, NL_TENSOR);
  if (!slot || !slot->object || !neap_requires_grad(slot->object)) return;
  luaL_checkstack(L, 8, NULL);
  result = lua_absindex(L, result);
  lua_newtable(L);
  int set = lua_gettop(L);
  for (int i = first; i <= last; i++) gather(L, s, i, set, 0);
  join(L);
  keep(L, s, result);
}

/* A new number for the entry at index. */
static int64_t register_entry(lua_State *L, nl_state *s, int entry) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->entries_ref);
  lua_pushvalue(L, entry);
  lua_rawseti(L, -2, ++s->next_id);
  lua_pop(L, 1);
  return s->next_id;
}

/* link(entry, inputs, outputs): the outputs, fresh tensors, come from the inputs by a function whose backward entry has. */
static int link(lua_State *L) {
  nl_state *s = nl_up(L);
  int tries = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  int n_in = (int)lua_rawlen(L, 2), n_out = (int)lua_rawlen(L, 3);
  neap_tensor **list = lua_newuserdatauv(L, (size_t)(n_in + n_out + 1) * sizeof *list, 0);
  lua_newtable(L);
  int set = lua_gettop(L);
  gather(L, s, 2, set, 0);
  join(L);
  lua_setfield(L, 1, "inputs_keep");
  int64_t id = register_entry(L, s, 1);
  for (;;) {
    nl_set_site(L, s);
    for (int i = 0; i < n_in + n_out; i++) {
      lua_rawgeti(L, i < n_in ? 2 : 3, i < n_in ? i + 1 : i - n_in + 1);
      list[i] = nl_check_tensor(L, s, lua_gettop(L));
      lua_pop(L, 1);
    }
    int status = neap_custom(s->ctx, id, n_in, list, n_out, list + n_in);
    nl_site_done(s);
    if (status == NEAP_OK) break;
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  }
  for (int i = 1; i <= n_out; i++) {
    lua_rawgeti(L, 3, i);
    lua_pushvalue(L, 1);
    keep(L, s, lua_gettop(L) - 1);
    lua_pop(L, 1);
  }
  return 0;
}

/* hook(x, entry) lets entry answer for x's gradient; hook(x) takes all hooks away. */
static int hook(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_check_tensor(L, s, 1);
  int64_t id = 0;
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    id = register_entry(L, s, 2);
    lua_pushvalue(L, 2);
    keep(L, s, 1);
  }
  return neap_hook(nl_check_tensor(L, s, 1), id) == NEAP_OK ? 0 : nl_raise(L, s);
}

/* keep(x, y): x keeps the Lua functions that y keeps. */
static int keep_also(lua_State *L) {
  nl_state *s = nl_up(L);
  lua_settop(L, 2);
  lua_newtable(L);
  gather(L, s, 2, 3, 0);
  join(L);
  keep(L, s, 1);
  return 0;
}

/* ---- the walk ---- */

static neap_walk *check_walk(lua_State *L, nl_state *s) { return nl_check(L, s, 1, NL_WALK); }

/* Reads a list of tensors; false or nil entries give NULL where allowed. */
static void read_list(lua_State *L, nl_state *s, int table, int n, neap_tensor **list, int allow_none, const char *what) {
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, table, i + 1);
    nl_slot *slot;
    list[i] = nl_tensor_at(L, s, -1, &slot);
    if (!list[i] && (!allow_none || lua_toboolean(L, -1))) {
      if (slot) nl_gone(L, s, slot, what);
      const char *got = nl_describe(L, s, -1);
      nl_fail(L, s, "%s: entry %d must be a tensor, got %s", what, i + 1, got);
    }
    lua_pop(L, 1);
  }
}

static int flag(lua_State *L, int options, const char *name, int bit) {
  if (!lua_istable(L, options)) return 0;
  lua_getfield(L, options, name);
  int on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on ? bit : 0;
}

/* walk(outputs, gradients?, inputs?, options?) -> a walk. Its user value: {outputs, keeping = {...}, create = bool} */
static int walk(lua_State *L) {
  nl_state *s = nl_up(L);
  lua_settop(L, 4);
  luaL_checktype(L, 1, LUA_TTABLE);
  int n_out = (int)lua_rawlen(L, 1), n_in = lua_istable(L, 3) ? (int)lua_rawlen(L, 3) : 0, tries = 0;
  int flags = flag(L, 4, "retain_graph", NEAP_RETAIN_GRAPH) | flag(L, 4, "create_graph", NEAP_CREATE_GRAPH) |
              flag(L, 4, "allow_unused", NEAP_ALLOW_UNUSED) | flag(L, 4, "anomaly", NEAP_ANOMALY);
  if (s->anomaly) flags |= NEAP_ANOMALY;
  const char *what = lua_istable(L, 3) ? "grad" : "backward";
  nl_slot *slot = nl_new(L, s, NL_WALK);
  lua_createtable(L, 1, 2);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, 1);
  lua_newtable(L);
  lua_setfield(L, -2, "keeping");
  lua_pushboolean(L, flags & NEAP_CREATE_GRAPH);
  lua_setfield(L, -2, "create");
  lua_pushinteger(L, n_in);
  lua_setfield(L, -2, "n_in");
  lua_setiuservalue(L, 5, 1);
  neap_tensor **list = lua_newuserdatauv(L, (size_t)(2 * n_out + n_in + 1) * sizeof *list, 0);
  nl_account(L, s, 0);
  for (;;) {
    nl_set_site(L, s);
    read_list(L, s, 1, n_out, list, 0, what);
    if (lua_istable(L, 2)) read_list(L, s, 2, n_out, list + n_out, 1, what);
    if (n_in > 0) read_list(L, s, 3, n_in, list + 2 * n_out, 0, what);
    slot->object = neap_walk_begin(s->ctx, n_out, list, lua_istable(L, 2) ? list + n_out : NULL, n_in, list + 2 * n_out, flags);
    nl_site_done(s);
    if (slot->object) break;
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  }
  lua_settop(L, 5);
  return 1;
}

/* Pushes a list of the request's gradients, false for none. */
static void push_grads(lua_State *L, nl_state *s, const neap_walk_request *r) {
  lua_createtable(L, r->n_out, 0);
  for (int i = 0; i < r->n_out; i++) {
    if (r->out_grads[i]) {
      nl_slot *slot = nl_new(L, s, NL_TENSOR);
      nl_set_slot(s, slot, neap_retain(r->out_grads[i]));
    } else {
      lua_pushboolean(L, 0);
    }
    lua_rawseti(L, -2, i + 1);
  }
}

/* w:run() walks on. nil: done. Else what is asked for: "function" or "hook", the entry (nil: collected), a list of
 * gradients, and for a function a list of which input gradients are wanted. w:answer comes next. */
static int run(lua_State *L) {
  nl_state *s = nl_up(L);
  int status;
  nl_set_site(L, s);
  neap_walk *w = check_walk(L, s);
  size_t before = neap_memory(s->ctx).live;
  while ((status = neap_walk_step(w)) == 1) {}
  nl_site_done(s);
  if (status < 0) return nl_raise(L, s);
  nl_account_growth(L, s, before);
  if (status == 0) {
    lua_pushnil(L);
    return 1;
  }
  const neap_walk_request *r = neap_walk_host(w);
  lua_pushstring(L, r->kind ? "hook" : "function");
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->entries_ref);
  lua_rawgeti(L, -1, r->id);
  lua_remove(L, -2);
  push_grads(L, s, r);
  lua_createtable(L, r->n_in, 0);
  for (int i = 0; r->needs && i < r->n_in; i++) {
    lua_pushboolean(L, r->needs[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 4;
}

/* w:answer(list): gradients of the function's inputs (false: none), or a hook's one; nil leaves a hook's as it is. */
static int answer(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_walk *w = check_walk(L, s);
  lua_settop(L, 2);
  const neap_walk_request *r = neap_walk_host(w);
  if (!r) return nl_fail(L, s, "backward: nothing was asked");
  int n = r->n_in;
  neap_tensor **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 0);
  lua_getiuservalue(L, 1, 1);
  if (lua_istable(L, 2)) {
    lua_getfield(L, -1, "keeping");
    gather(L, s, 2, lua_gettop(L), 0);
    read_list(L, s, 2, n, list, 1, "backward");
  }
  nl_set_site(L, s);
  int status = neap_walk_answer(w, lua_istable(L, 2) ? list : NULL);
  nl_site_done(s);
  return status < 0 ? nl_raise(L, s) : 0;
}

/* w:grads() -> a list of the inputs' gradients, false for an unused one. */
static int grads(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_walk *w = check_walk(L, s);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1); /* 2 */
  lua_getfield(L, 2, "n_in");
  int n = (int)lua_tointeger(L, -1);
  luaL_checkstack(L, 8, NULL);
  neap_tensor **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 0); /* 4 */
  lua_createtable(L, n, 0);                                                      /* 5 */
  nl_slot **slots = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *slots, 0);
  for (int i = 0; i < n; i++) {
    slots[i] = nl_new(L, s, NL_TENSOR);
    lua_rawseti(L, 5, i + 1);
  }
  nl_set_site(L, s);
  int status = neap_walk_grads(w, list);
  nl_site_done(s);
  if (status != NEAP_OK) return nl_raise(L, s);
  for (int i = 0; i < n; i++)
    if (list[i]) nl_set_slot(s, slots[i], list[i]);
  lua_settop(L, 5);
  lua_getfield(L, 2, "create");
  int create = lua_toboolean(L, -1);
  lua_getfield(L, 2, "keeping");
  int set = lua_gettop(L);
  if (create) {
    lua_rawgeti(L, 2, 1);
    gather(L, s, set + 1, set, 0);
    lua_settop(L, set);
    join(L);
  }
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 5, i);
    if (!list[i - 1]) {
      lua_pushboolean(L, 0);
      lua_rawseti(L, 5, i);
    } else if (create) {
      lua_pushvalue(L, set);
      keep(L, s, lua_gettop(L) - 1);
    }
    lua_settop(L, set);
  }
  lua_settop(L, 5);
  return 1;
}

/* w:close(x?): ends it; x then keeps the Lua functions that a graph of gradients needs. */
static int close_walk(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *slot = nl_slot_at(L, s, 1, NL_WALK);
  if (!slot || !slot->object) return 0;
  lua_settop(L, 2);
  if (nl_slot_at(L, s, 2, NL_TENSOR)) {
    lua_getiuservalue(L, 1, 1);
    lua_getfield(L, -1, "keeping");
    join(L);
    keep(L, s, 2);
  }
  nl_release_slot(slot);
  slot->marks |= NL_FREED;
  return 0;
}

/* __close hands an error over as the second argument. */
static int leave_walk(lua_State *L) {
  lua_settop(L, 1);
  return close_walk(L);
}

/* anomaly(on?) -> whether every backward looks for NaN, and names the op where it appears; sets it. */
static int anomaly(lua_State *L) {
  nl_state *s = nl_up(L);
  lua_pushboolean(L, s->anomaly);
  if (!lua_isnoneornil(L, 1)) s->anomaly = lua_toboolean(L, 1);
  return 1;
}

void nl_open_autograd(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {
    {"link", link}, {"hook", hook}, {"keep", keep_also}, {"walk", walk}, {"anomaly", anomaly}, {NULL, NULL},
  };
  static const luaL_Reg methods[] = {{"run", run}, {"answer", answer}, {"grads", grads}, {"close", close_walk}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", leave_walk}, {NULL, NULL}};
  lua_newtable(L);
  nl_functions(L, functions);
  lua_setfield(L, -2, "autograd");
  nl_metatable(L, s, NL_WALK);
  nl_functions(L, meta);
  nl_methods(L, s, NL_WALK);
  nl_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
