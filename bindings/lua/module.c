/* Modules of C as userdata. m(...) is one call into the runtime; m.weight, m[1], m.training and settings are fields; the same
 * parameter or child is the same userdata as long as anybody holds it, and m holds what it has handed out.
 *
 * What the Lua side (lua/neap/nn) builds on, all in the table of neap.core:
 *   layers              name -> constructor, arguments and options from the layer's signature
 *   sequential(list)    a Sequential of modules of C; sequential_set(m, list): m holds these from now on
 *   is_parameter(x) mark_parameter(x)   whether a tensor is one that nn.Parameter or a layer made
 *   module_set(m, name, x)      puts any tensor of its shape in the place of a parameter
 *   is_module(x)        whether x is a module of C
 *   module_methods      the table of methods: what is put there, every module of C has. From here: name train eval
 *                       is_training is_waiting to zero_grad forward text clone
 *   module_forward(m, ...)      the bare forward, without hooks
 *   module_each(m)      three lists: dotted names, tensors, whether each is a buffer; of the whole tree, ties repeated
 *   module_children(m)  three lists: the direct children, their names, their places in lists of that name (0: alone)
 *   module_hooked(m, on)        while any module is marked so, m(...) is glue.forward(m, ...), which runs the hooks
 *   glue.forward(m, ...) glue.module_text(m) glue.child_path(parent, child) glue.no_method_of(m, name)   what
 *                       lua/neap/native.lua puts there: hooks, printing, how a child stands in its parent (".body", "[2]"),
 *                       and the error for a method's misspelt name
 *   glue.set_layer(m, i, layer) glue.slice(m, range)    m[i] = layer and m[{a, b}]: lua/neap/nn/containers.lua
 *   push_path(m) pop_path()     a Lua module's forward begins and ends: errors and records name it (path.c) */
#include <stdlib.h>
#include <string.h>
#include "state.h"

static neap_module *check_module(lua_State *L, nl_state *s, int index) { return nl_check(L, s, index, NL_MODULE); }

/* The parent at `holder` (0: none) keeps the userdata on top under its address, so that hooks and identity last. */
static void hold(lua_State *L, int holder, const void *address) {
  if (!holder) return;
  if (lua_getiuservalue(L, holder, 1) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, holder, 1);
  }
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, address);
  lua_pop(L, 1);
}

static void let_go(lua_State *L, int holder, const void *address) {
  if (lua_getiuservalue(L, holder, 1) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_rawsetp(L, -2, address);
  }
  lua_pop(L, 1);
}

void nl_push_module(lua_State *L, nl_state *s, neap_module *m, int holder) {
  luaL_checkstack(L, 8, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->params_ref);
  lua_rawgetp(L, -1, m);
  nl_slot *slot = nl_slot_at(L, s, -1, NL_MODULE);
  if (!slot || slot->object != m) {
    lua_pop(L, 1);
    slot = nl_new(L, s, NL_MODULE);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, m);
    slot->object = neap_module_retain(m);
  }
  lua_remove(L, -2);
  hold(L, holder, m);
}

void neap_lua_push_module(lua_State *L, neap_module *m) {
  nl_state *s = nl_state_of(L);
  if (!s) luaL_error(L, "neap is not open in this state");
  if (m) nl_push_module(L, s, m, 0);
  else lua_pushnil(L);
}

/* The userdata on top is from now on what stands for m. */
static int know(lua_State *L, nl_state *s, const neap_module *m) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->params_ref);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, m);
  lua_pop(L, 1);
  return 1;
}

void nl_push_param_of(lua_State *L, nl_state *s, neap_tensor *t, int buffer, int holder) {
  nl_push_param(L, s, t);
  if (!buffer && neap_is_leaf(t)) nl_slot_at(L, s, -1, NL_TENSOR)->marks |= NL_PARAMETER;
  hold(L, holder, t);
}

/* is_parameter(x) */
static int is_parameter(lua_State *L) {
  nl_slot *slot = nl_slot_at(L, nl_up(L), 1, NL_TENSOR);
  lua_pushboolean(L, slot && slot->marks & NL_PARAMETER);
  return 1;
}

/* mark_parameter(x): x, which no scope ends any more. */
static int mark_parameter(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_check_tensor(L, s, 1);
  nl_slot *slot = nl_slot_at(L, s, 1, NL_TENSOR);
  slot->marks |= NL_PARAMETER;
  nl_unlink(slot);
  lua_settop(L, 1);
  return 1;
}

/* ---- making ---- */

typedef struct constructor { nl_binding bind; int layer; } constructor;

static int construct(lua_State *L) {
  nl_state *s = nl_up(L);
  const constructor *k = lua_touserdata(L, lua_upvalueindex(2));
  int top = lua_gettop(L), tries = 0;
  nl_args a;
  nl_bind_room(L, &k->bind, 1, top, &a);
  nl_slot *slot = nl_new(L, s, NL_MODULE);
  size_t before = neap_memory(s->ctx).live;
  for (;;) {
    nl_set_site(L, s);
    nl_bind(L, s, &k->bind, 1, top, &a);
    slot->object = neap_module_new(s->ctx, k->layer, a.n, a.value);
    nl_site_done(s);
    if (slot->object) break;
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  }
  know(L, s, slot->object);
  nl_account_growth(L, s, before);
  return 1;
}

/* Room for the modules of C in the list at index and one more, in a userdata that is pushed; read_modules fills it. */
static neap_module **module_room(lua_State *L, int index, int *n) {
  luaL_checktype(L, index, LUA_TTABLE);
  *n = (int)lua_rawlen(L, index);
  return lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof(neap_module *), 0);
}

/* Allocates nothing unless it raises. */
static void read_modules(lua_State *L, nl_state *s, int index, int n, neap_module **list) {
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    nl_slot *slot = nl_slot_at(L, s, -1, NL_MODULE);
    if (!slot || !slot->object) {
      const char *got = nl_describe(L, s, -1);
      nl_fail(L, s, "sequential: layer %d is %s, not a module of C", i + 1, got);
    }
    list[i] = slot->object;
    lua_pop(L, 1);
  }
}

/* sequential{m, ...}: the children stay the userdata that they are. */
static int sequential(lua_State *L) {
  nl_state *s = nl_up(L);
  int n, tries = 0;
  neap_module **list = module_room(L, 1, &n);
  nl_slot *slot = nl_new(L, s, NL_MODULE);
  int result = lua_gettop(L);
  for (;;) {
    nl_set_site(L, s);
    read_modules(L, s, 1, n, list);
    slot->object = neap_sequential(s->ctx, n, list);
    nl_site_done(s);
    if (slot->object) break;
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  }
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i + 1);
    hold(L, result, list[i]);
    lua_pop(L, 1);
  }
  return know(L, s, slot->object);
}

/* sequential_set(m, list): m, a Sequential, then holds these instead. */
static int sequential_set(lua_State *L) {
  nl_state *s = nl_up(L);
  int n, tries = 0;
  check_module(L, s, 1);
  lua_settop(L, 2);
  neap_module **list = module_room(L, 2, &n);
  lua_createtable(L, 0, n); /* what m then keeps: see hold */
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    lua_rawsetp(L, -2, check_module(L, s, -1));
  }
  for (;;) {
    nl_set_site(L, s);
    read_modules(L, s, 2, n, list);
    int status = neap_sequential_set(check_module(L, s, 1), n, list);
    nl_site_done(s);
    if (status == NEAP_OK) break;
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  }
  lua_setiuservalue(L, 1, 1);
  return 0;
}

/* ---- forward ---- */

enum { MAX_OUT = 4 };

/* m(x, ..., {options}): all outputs; those not asked for are left out at the end and nil between. */
static int forward(lua_State *L) {
  nl_state *s = nl_up(L);
  int top = lua_gettop(L), tries = 0, got;
  const neap_layer_info *info = neap_module_about(check_module(L, s, 1));
  nl_binding bind = {.name = info->name, .params = info->inputs, .n_params = info->n_inputs};
  nl_slot *result[MAX_OUT];
  neap_tensor *out[MAX_OUT];
  nl_args a;
  if (info->n_outputs > MAX_OUT) return luaL_error(L, "neap: %s has too many outputs", info->name);
  nl_bind_room(L, &bind, 2, top, &a);
  int first = lua_gettop(L) + 1;
  for (int i = 0; i < info->n_outputs; i++) result[i] = nl_new(L, s, NL_TENSOR);
  size_t before = neap_memory(s->ctx).live;
  for (;;) {
    const char *path = nl_path_of(L, s, 1);
    if (s->grad) nl_locate(L, s);
    else s->site.file = NULL, s->site.line = 0;
    neap_module *m = check_module(L, s, 1);
    if (!path && neap_module_child_count(m) > 0) path = info->name;
    nl_bind(L, s, &bind, 2, top, &a);
    neap_site site = s->site;
    site.path = path;
    site.base = 1;
    neap_set_site(s->ctx, &site);
    got = neap_module_call(m, a.n, a.value, out);
    nl_site_done(s);
    if (NL_LIKELY(got >= 0)) break;
    if (!nl_retry(L, s, &tries)) return nl_raise_in(L, s, path);
  }
  int n = 0;
  for (int i = 0; i < got; i++) {
    if (!out[i]) {
      lua_pushnil(L);
      lua_replace(L, first + i);
      continue;
    }
    n = i + 1;
    nl_set_slot(s, result[i], out[i]);
    if (a.anchored) nl_inherit(L, s, first + i, 2, top);
  }
  lua_settop(L, first + n - 1);
  nl_account_growth(L, s, before);
  return n;
}

static int after_call(lua_State *L, int status, lua_KContext unused) {
  (void)status;
  (void)unused;
  return lua_gettop(L);
}

/* m(...): the forward, by way of Lua while a module has hooks, which may yield. */
static int call(lua_State *L) {
  nl_state *s = nl_up(L);
  if (NL_LIKELY(s->hooked == 0)) return forward(L);
  int top = lua_gettop(L);
  if (lua_getfield(L, lua_upvalueindex(2), "forward") != LUA_TFUNCTION) {
    lua_pop(L, 1);
    return forward(L);
  }
  lua_insert(L, 1);
  lua_callk(L, top, LUA_MULTRET, 0, after_call);
  return after_call(L, LUA_OK, 0);
}

static int module_hooked(lua_State *L) {
  nl_state *s = nl_up(L);
  check_module(L, s, 1);
  nl_slot *slot = nl_slot_at(L, s, 1, NL_MODULE);
  int on = lua_toboolean(L, 2), was = (slot->marks & NL_HOOKED) != 0;
  s->hooked += on - was;
  slot->marks = (uint8_t)(on ? slot->marks | NL_HOOKED : slot->marks & ~NL_HOOKED);
  return 0;
}

/* ---- fields ---- */

/* A layer's part of that name, or the list of them, or nil. */
static void push_children_named(lua_State *L, nl_state *s, neap_module *m, const char *name) {
  int list = 0, place;
  for (int i = 0; i < neap_module_child_count(m); i++) {
    if (*name == 0 || strcmp(neap_module_child_name(m, i, &place), name) != 0) continue;
    if (place >= 0 && !list) lua_newtable(L);
    nl_push_module(L, s, neap_module_child(m, i), 1);
    if (place < 0) return;
    lua_rawseti(L, -2, place + 1);
    list = 1;
  }
  if (!list) lua_pushnil(L);
}

/* A setting of that name, 0 when there is none; one that only says whether there is a part of its own name is nil. */
static int push_setting(lua_State *L, nl_state *s, neap_module *m, const char *name) {
  const neap_layer_info *info = neap_module_about(m);
  int is_part = strcmp(name, "bias") == 0 || strcmp(name, "norm") == 0;
  for (int i = 0; i < info->n_params && !is_part; i++) {
    if (strcmp(info->params[i].name, name) != 0) continue;
    const neap_value v = neap_module_setting(m, i);
    nl_push_value(L, s, &info->params[i], &v);
    return 1;
  }
  lua_pushnil(L);
  return is_part;
}

/* upvalues: the state, the methods, what Lua lends */
static int get_index(lua_State *L) {
  nl_state *s = nl_up(L);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
    neap_module *m = check_module(L, s, 1);
    const char *name = lua_tostring(L, 2);
    for (int i = 0; i < neap_module_param_count(m); i++) {
      if (strcmp(neap_module_param_name(m, i), name) != 0) continue;
      nl_push_param_of(L, s, neap_module_param(m, i), neap_module_param_is_buffer(m, i), 1);
      return 1;
    }
    if (strcmp(name, "training") == 0) lua_pushboolean(L, neap_module_is_training(m));
    else {
      push_children_named(L, s, m, name);
      if (lua_isnil(L, -1) && !push_setting(L, s, m, name)) { /* misspelt, perhaps */
        if (lua_getfield(L, lua_upvalueindex(3), "no_method_of") != LUA_TFUNCTION) return 0;
        lua_pushvalue(L, 1);
        lua_pushvalue(L, 2);
        lua_call(L, 2, 0);
        return 0;
      }
    }
    return 1;
  }
  neap_module *m = check_module(L, s, 1);
  int n = neap_module_child_count(m);
  if (lua_istable(L, 2) && lua_getfield(L, lua_upvalueindex(3), "slice") == LUA_TFUNCTION) {
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
  }
  if (!lua_isinteger(L, 2)) return 0;
  lua_Integer i = lua_tointeger(L, 2);
  if (i < 0) i += n + 1;
  if (i < 1 || i > n) return 0;
  nl_push_module(L, s, neap_module_child(m, (int)i - 1), 1);
  return 1;
}

/* Puts the tensor at index 3 in the place of parameter or buffer i of the module at index 1. */
static int set_param(lua_State *L, nl_state *s, int i) {
  neap_module *m = check_module(L, s, 1);
  neap_tensor *t = nl_check_tensor(L, s, 3), *old = neap_module_param(m, i);
  lua_settop(L, 3);
  hold(L, 1, t);
  if (neap_module_set_param(m, i, nl_check_tensor(L, s, 3)) != NEAP_OK) return nl_raise(L, s);
  if (old != t) let_go(L, 1, old);
  nl_unlink(nl_slot_at(L, s, 3, NL_TENSOR)); /* the module has it: no scope ends it */
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->params_ref);
  lua_pushvalue(L, 3);
  lua_rawsetp(L, -2, t);
  return 0;
}

/* The number of the parameter or buffer whose name is at index 2, or -1. */
static int param_named(lua_State *L, const neap_module *m) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  for (int i = 0; i < neap_module_param_count(m); i++)
    if (strcmp(neap_module_param_name(m, i), name) == 0) return i;
  return -1;
}

/* module_set(m, name, tensor): without asking whether it is a parameter. */
static int module_set(lua_State *L) {
  nl_state *s = nl_up(L);
  int i = param_named(L, check_module(L, s, 1));
  return i >= 0 ? set_param(L, s, i) : nl_fail(L, s, "module_set: there is no such parameter");
}

static int newindex(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_module *m = check_module(L, s, 1);
  const char *layer = neap_module_about(m)->name;
  int i = param_named(L, m);
  if (i >= 0) {
    const char *name = neap_module_param_name(m, i);
    nl_slot *slot = nl_slot_at(L, s, 3, NL_TENSOR);
    if (!slot) {
      const char *got = nl_describe(L, s, 3);
      return nl_fail(L, s, "%s: %s is a tensor of the layer's own and cannot become %s", layer, name, got);
    }
    if (!neap_module_param_is_buffer(m, i) && !(slot->marks & NL_PARAMETER))
      return nl_fail(L, s, "%s: %s is a parameter: assign nn.Parameter(...), or write into it with copy_ under neap.no_grad()", layer, name);
    return set_param(L, s, i);
  }
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "training") == 0) {
    neap_module_train(m, lua_toboolean(L, 3));
    return 0;
  }
  if (lua_isinteger(L, 2) && lua_getfield(L, lua_upvalueindex(2), "set_layer") == LUA_TFUNCTION) {
    lua_insert(L, 1);
    lua_call(L, 3, 0);
    return 0;
  }
  for (int k = 0; lua_type(L, 2) == LUA_TSTRING && k < neap_module_child_count(m); k++) {
    const char *part = neap_module_child_name(m, k, NULL);
    if (strcmp(part, lua_tostring(L, 2)) != 0) continue;
    return nl_fail(L, s, "%s: %s is a part that a layer made in C keeps; its parameters can be assigned, as in layer.%s.weight = nn.Parameter(...)",
                   layer, part, part);
  }
  return nl_fail(L, s, "%s has no field '%s' to set", layer, luaL_tolstring(L, 2, NULL));
}

static int length(lua_State *L) {
  lua_pushinteger(L, neap_module_child_count(check_module(L, nl_up(L), 1)));
  return 1;
}

/* ---- modes and text ---- */

static int train(lua_State *L) {
  neap_module_train(check_module(L, nl_up(L), 1), lua_isnoneornil(L, 2) || lua_toboolean(L, 2));
  lua_settop(L, 1);
  return 1;
}

static int eval(lua_State *L) {
  neap_module_train(check_module(L, nl_up(L), 1), 0);
  lua_settop(L, 1);
  return 1;
}

static int is_training(lua_State *L) {
  lua_pushboolean(L, neap_module_is_training(check_module(L, nl_up(L), 1)));
  return 1;
}

static int to(lua_State *L) {
  nl_state *s = nl_up(L);
  size_t before = neap_memory(nl_open(L)->ctx).live;
  int d = nl_to_dtype(L, 2), tries = 0;
  if (d < 0) {
    const char *got = nl_describe(L, s, 2);
    return nl_fail(L, s, "to: takes a dtype such as 'float64', got %s", got);
  }
  while (neap_module_to(check_module(L, s, 1), (neap_dtype)d) != NEAP_OK)
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  nl_account_growth(L, s, before);
  lua_settop(L, 1);
  return 1;
}

static int zero_grad(lua_State *L) {
  neap_module_zero_grad(check_module(L, nl_up(L), 1));
  return 0;
}

static int is_waiting(lua_State *L) {
  lua_pushboolean(L, neap_module_is_waiting(check_module(L, nl_up(L), 1)));
  return 1;
}

static int clone(lua_State *L) {
  nl_state *s = nl_up(L);
  int tries = 0;
  check_module(L, s, 1);
  nl_slot *slot = nl_new(L, s, NL_MODULE);
  size_t before = neap_memory(s->ctx).live;
  while (!(slot->object = neap_module_clone(check_module(L, s, 1))))
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  know(L, s, slot->object);
  nl_account_growth(L, s, before);
  return 1;
}

static int name(lua_State *L) {
  nl_state *s = nl_up(L);
  lua_pushstring(L, neap_module_about(check_module(L, s, 1))->name);
  return 1;
}

static int module_text(lua_State *L) {
  nl_state *s = nl_up(L);
  char buffer[1024];
  neap_module *m = check_module(L, s, 1);
  neap_set_site(s->ctx, &s->site);
  const char *text = neap_module_text(m, buffer, sizeof buffer);
  nl_site_done(s);
  lua_pushstring(L, text);
  return 1;
}

static int tostring(lua_State *L) {
  nl_slot *slot = nl_slot_at(L, nl_up(L), 1, NL_MODULE);
  if (!slot || !slot->object) return lua_pushliteral(L, "module (released)"), 1;
  if (neap_module_child_count(slot->object) == 0) return module_text(L);
  if (lua_getfield(L, lua_upvalueindex(2), "module_text") != LUA_TFUNCTION) return module_text(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int is_module(lua_State *L) {
  lua_pushboolean(L, nl_slot_at(L, nl_up(L), 1, NL_MODULE) != NULL);
  return 1;
}

/* ---- opening ---- */

static void add_layers(lua_State *L, nl_state *s) {
  int n = neap_layer_count();
  lua_createtable(L, 0, n);
  for (int i = 0; i < n; i++) {
    const neap_layer_info *info = neap_layer_about(s->ctx, i);
    if (!info) nl_raise(L, s);
    if (info->n_params > NL_ARGS) luaL_error(L, "neap: %s has too many settings", info->name);
    nl_push_state(L);
    constructor *k = lua_newuserdatauv(L, sizeof *k, 0);
    *k = (constructor){.bind = {.name = info->name, .params = info->params, .n_params = info->n_params, .lists = 1}, .layer = i};
    lua_pushcclosure(L, construct, 2);
    lua_setfield(L, -2, info->name);
  }
}

void nl_open_module(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {
    {"sequential", sequential}, {"sequential_set", sequential_set}, {"module_set", module_set},
    {"is_parameter", is_parameter}, {"mark_parameter", mark_parameter}, {"is_module", is_module}, {"module_forward", forward},
    {"module_hooked", module_hooked}, {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
    {"forward", forward}, {"train", train}, {"eval", eval}, {"is_training", is_training}, {"to", to},
    {"zero_grad", zero_grad}, {"name", name}, {"text", module_text}, {"is_waiting", is_waiting}, {"clone", clone},
    {NULL, NULL},
  };
  static const luaL_Reg meta[] = {{"__len", length}, {NULL, NULL}};
  static const struct { const char *name; lua_CFunction f; } with_glue[] = {
    {"__call", call}, {"__tostring", tostring}, {"__newindex", newindex}};
  int neap = lua_gettop(L);
  nl_functions(L, functions);
  add_layers(L, s);
  lua_setfield(L, neap, "layers");
  nl_methods(L, s, NL_MODULE);
  nl_functions(L, methods);
  nl_open_tree(L, neap);
  nl_metatable(L, s, NL_MODULE);
  nl_functions(L, meta);
  nl_push_state(L);
  lua_pushvalue(L, -3);
  lua_getfield(L, neap, "glue");
  lua_pushcclosure(L, get_index, 3);
  lua_setfield(L, -2, "__index");
  for (int i = 0; i < NL_ARRAY(with_glue); i++) {
    nl_push_state(L);
    lua_getfield(L, neap, "glue");
    lua_pushcclosure(L, with_glue[i].f, 2);
    lua_setfield(L, -2, with_glue[i].name);
  }
  lua_pop(L, 1);
  lua_setfield(L, neap, "module_methods");
}
