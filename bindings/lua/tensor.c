/* The tensor userdata: its fields (shape dtype grad requires_grad is_leaf T mT), what it says of itself, and x[i]. Every other
 * method comes from the op table (ops.c), from data.c or from lua/neap/tensor.lua, which also reads and writes through
 * tables, masks and index tensors: it puts its functions into `glue`. */
#include <string.h>
#include "state.h"

enum { FIELD_SHAPE = 1, FIELD_DTYPE, FIELD_GRAD, FIELD_REQUIRES_GRAD, FIELD_IS_LEAF, FIELD_T, FIELD_MT };

neap_tensor *nl_check_tensor(lua_State *L, nl_state *s, int index) { return nl_check(L, s, index, NL_TENSOR); }

void nl_fill(lua_State *L, nl_state *s, nl_slot *slot, neap_tensor *t) {
  size_t bytes = (size_t)neap_bytes(t);
  nl_set_slot(s, slot, t);
  nl_account(L, s, bytes);
}

void nl_set_site(lua_State *L, nl_state *s) {
  nl_check_open(L, s);
  nl_locate(L, s);
  s->site.base = 1;
  neap_set_site(s->ctx, &s->site);
}

/* Parameters and modules keep their userdata as long as anybody holds it. */
void nl_push_param(lua_State *L, nl_state *s, neap_tensor *t) {
  luaL_checkstack(L, 6, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->params_ref);
  lua_rawgetp(L, -1, t);
  nl_slot *slot = nl_slot_at(L, s, -1, NL_TENSOR);
  if (slot && slot->object == t) {
    lua_remove(L, -2);
    return;
  }
  lua_pop(L, 1);
  slot = nl_new(L, s, NL_TENSOR);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, -3, t);
  slot->object = neap_retain(t);
  lua_remove(L, -2);
}

/* ---- shapes ---- */

void nl_shape_string(lua_State *L, const neap_tensor *t) {
  int64_t sizes[NEAP_MAX_DIMS];
  luaL_Buffer b;
  int n = neap_ndim(t);
  memcpy(sizes, neap_shape(t), (size_t)n * sizeof *sizes);
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '(');
  for (int i = 0; i < n; i++) {
    if (i > 0) luaL_addstring(&b, ", ");
    lua_pushinteger(L, sizes[i]);
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, ")");
  luaL_pushresult(&b);
}

/* The sizes belong to a tensor, and a finaliser may free that when the table is made. */
static void push_sizes(lua_State *L, int n, const int64_t *of_tensor) {
  int64_t sizes[NEAP_MAX_DIMS];
  memcpy(sizes, of_tensor, (size_t)n * sizeof *sizes);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushinteger(L, sizes[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_shape(lua_State *L, const neap_tensor *t) {
  push_sizes(L, neap_ndim(t), neap_shape(t));
  lua_rawgetp(L, LUA_REGISTRYINDEX, push_shape);
  lua_setmetatable(L, -2);
}

static int shape_text(lua_State *L) {
  luaL_Buffer b;
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '(');
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) luaL_addstring(&b, ", ");
    lua_rawgeti(L, 1, i);
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, ")");
  luaL_pushresult(&b);
  return 1;
}

static int shape_equal(lua_State *L) {
  size_t n = lua_rawlen(L, 1);
  int same = lua_istable(L, 2) && lua_rawlen(L, 2) == n;
  for (size_t i = 1; same && i <= n; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i);
    lua_rawgeti(L, 2, (lua_Integer)i);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  lua_pushboolean(L, same);
  return 1;
}

/* A metamethod of `..` must not come back: up to Lua 5.4.4 (luaV_concat keeps a pointer to the stack), what is left of a
 * chain a .. b .. c is lost, and memory with it, when the stack has moved for the call. */
static int concat(lua_State *L) {
  nl_state *s = nl_up(L);
  int is_tensor = nl_slot_at(L, s, 1, NL_TENSOR) || nl_slot_at(L, s, 2, NL_TENSOR);
  return nl_fail(L, s, is_tensor ? "x .. y joins texts and numbers: x:item() is the number of a tensor of one element, tostring(x) the text of any"
                                 : "x .. y joins texts and numbers: tostring(x.shape) is a shape's text");
}

/* Positions that a shape has not: negative ones count from the end, those past it are nil, as ipairs wants. */
static int shape_index(lua_State *L) {
  nl_state *s = nl_up(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1), i;
  if (lua_type(L, 2) != LUA_TNUMBER || !lua_isinteger(L, 2) || (i = lua_tointeger(L, 2)) > n) return 0;
  if (i == 0) return nl_fail(L, s, "shape[0]: dimensions count from 1 (or from the end: -1 is the last)");
  if (i < -n) {
    const char *text = luaL_tolstring(L, 1, NULL);
    return nl_fail(L, s, "shape[%I]: there is no such dimension in shape %s", (LUAI_UACINT)i, text);
  }
  lua_rawgeti(L, 1, n + 1 + i);
  return 1;
}

/* ---- fields ---- */

/* Calls a function of glue with the n arguments that are all there is on the stack. */
static int call_glue(lua_State *L, const char *name, int n, int results) {
  if (lua_getfield(L, lua_upvalueindex(3), name) != LUA_TFUNCTION) return luaL_error(L, "neap: no %s: require \"neap\" first", name);
  lua_insert(L, 1);
  lua_call(L, n, results);
  return results;
}

static int get_grad(lua_State *L, nl_state *s) {
  nl_slot *slot = nl_new(L, s, NL_TENSOR);
  neap_tensor *g = neap_grad_of(nl_check_tensor(L, s, 1));
  if (!g) {
    lua_pushnil(L);
    return 1;
  }
  nl_set_slot(s, slot, g);
  nl_slot *from = nl_slot_at(L, s, 1, NL_TENSOR);
  if (from->marks & NL_ANCHORED) nl_inherit(L, s, lua_gettop(L), 1, 1);
  return 1;
}

static int get_field(lua_State *L, nl_state *s, int field) {
  const neap_tensor *t = nl_check_tensor(L, s, 1);
  switch (field) {
  case FIELD_SHAPE: push_shape(L, t); return 1;
  case FIELD_DTYPE: lua_pushstring(L, neap_dtype_about(neap_dtype_of(t))->name); return 1;
  case FIELD_GRAD: return get_grad(L, s);
  case FIELD_REQUIRES_GRAD: lua_pushboolean(L, neap_requires_grad(t)); return 1;
  case FIELD_IS_LEAF: lua_pushboolean(L, neap_is_leaf(t)); return 1;
  case FIELD_T: case FIELD_MT:
    lua_settop(L, 1);
    return call_glue(L, field == FIELD_T ? "T" : "mT", 1, 1);
  default: return 0;
  }
}

/* Whether ipairs asks: past the last row it is told nil, where everyone else gets an error. */
static int is_ipairs(lua_State *L) {
  lua_Debug ar;
  return lua_getstack(L, 1, &ar) && lua_getinfo(L, "nS", &ar) && *ar.what == 'C' && strcmp(ar.namewhat, "for iterator") == 0;
}

/* x[i] of dimension 1, by the op `select`; upvalue 4 is its number. */
static int get_row(lua_State *L, nl_state *s) {
  neap_value v[3] = {{.kind = NEAP_TENSOR}, {.kind = NEAP_INT, .i = 0}, {.kind = NEAP_INT}};
  neap_tensor *out = NULL;
  int64_t i = lua_tointeger(L, 2);
  int tries = 0;
  const neap_tensor *x = nl_check_tensor(L, s, 1);
  if (NL_UNLIKELY(neap_ndim(x) > 0 && i == neap_shape(x)[0] + 1) && is_ipairs(L)) return 0;
  nl_slot *result = nl_new(L, s, NL_TENSOR);
  nl_path(L, s);
  s->site.file = NULL;
  s->site.line = 0;
  if (s->grad && neap_requires_grad(nl_check_tensor(L, s, 1))) nl_locate(L, s);
  if (i == 0) return nl_fail(L, s, "x[0]: positions count from 1 (or from the end: -1 is the last)");
  v[2].i = i > 0 ? i - 1 : i;
  do v[0].t = nl_check_tensor(L, s, 1);
  while (neap_call(s->ctx, (int)lua_tointeger(L, lua_upvalueindex(4)), 3, v, &out, 0, &s->site) < 0 &&
         (nl_retry(L, s, &tries) || nl_raise(L, s)));
  nl_set_slot(s, result, out);
  if (nl_slot_at(L, s, 1, NL_TENSOR)->marks & NL_ANCHORED) nl_inherit(L, s, lua_gettop(L), 1, 1);
  nl_account(L, s, 0);
  return 1;
}

/* upvalues: the state, methods and fields, glue, the op `select` */
static int get_index(lua_State *L) {
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    int type = lua_rawget(L, lua_upvalueindex(2));
    if (NL_LIKELY(type == LUA_TFUNCTION)) return 1;
    if (type == LUA_TNUMBER) return get_field(L, nl_up(L), (int)lua_tointeger(L, -1));
    if (type != LUA_TNIL) return 1;
    lua_settop(L, 2);
    return call_glue(L, "no_method", 2, 1);
  }
  if (lua_isinteger(L, 2)) return get_row(L, nl_up(L));
  lua_settop(L, 2);
  return call_glue(L, "index", 2, 1);
}

static int newindex(lua_State *L) {
  nl_state *s = nl_up(L);
  if (lua_type(L, 2) != LUA_TSTRING) {
    lua_settop(L, 3);
    return call_glue(L, "newindex", 3, 0);
  }
  neap_tensor *t = nl_check_tensor(L, s, 1);
  const char *name = lua_tostring(L, 2);
  int status;
  if (strcmp(name, "requires_grad") == 0) {
    luaL_checktype(L, 3, LUA_TBOOLEAN);
    status = neap_set_requires_grad(t, lua_toboolean(L, 3));
  } else if (strcmp(name, "grad") == 0) {
    status = neap_set_grad(t, lua_isnil(L, 3) ? NULL : nl_check_tensor(L, s, 3));
  } else {
    return nl_fail(L, s, "a tensor has no field '%s' to set; there are grad and requires_grad", name);
  }
  return status == NEAP_OK ? 0 : nl_raise(L, s);
}

/* ---- what a tensor says of itself ---- */

static int ndim(lua_State *L) {
  lua_pushinteger(L, neap_ndim(nl_check_tensor(L, nl_up(L), 1)));
  return 1;
}

static int numel(lua_State *L) {
  lua_pushinteger(L, neap_count(nl_check_tensor(L, nl_up(L), 1)));
  return 1;
}

static int dimension(lua_State *L, nl_state *s, const neap_tensor *t, const char *what) {
  lua_Integer d = luaL_checkinteger(L, 2), n = neap_ndim(t);
  if (d == 0 || d > n || d < -n) {
    nl_shape_string(L, t);
    nl_fail(L, s, "%s: there is no dimension %I in shape %s", what, (LUAI_UACINT)d, lua_tostring(L, -1));
  }
  return (int)(d > 0 ? d - 1 : d + n);
}

static int size(lua_State *L) {
  nl_state *s = nl_up(L);
  const neap_tensor *t = nl_check_tensor(L, s, 1);
  if (lua_isnoneornil(L, 2)) push_shape(L, t);
  else lua_pushinteger(L, neap_shape(t)[dimension(L, s, t, "size")]);
  return 1;
}

static int stride(lua_State *L) {
  nl_state *s = nl_up(L);
  const neap_tensor *t = nl_check_tensor(L, s, 1);
  if (lua_isnoneornil(L, 2)) push_sizes(L, neap_ndim(t), neap_strides(t));
  else lua_pushinteger(L, neap_strides(t)[dimension(L, s, t, "stride")]);
  return 1;
}

static int length(lua_State *L) {
  nl_state *s = nl_up(L);
  const neap_tensor *t = nl_check_tensor(L, s, 1);
  if (neap_ndim(t) == 0) return nl_fail(L, s, "#x: a tensor without dimensions has no length");
  lua_pushinteger(L, neap_shape(t)[0]);
  return 1;
}

static int is_contiguous(lua_State *L) {
  lua_pushboolean(L, neap_is_contiguous(nl_check_tensor(L, nl_up(L), 1)));
  return 1;
}

static int is_floating_point(lua_State *L) {
  lua_pushboolean(L, neap_dtype_about(neap_dtype_of(nl_check_tensor(L, nl_up(L), 1)))->is_float);
  return 1;
}

static int nbytes(lua_State *L) {
  lua_pushinteger(L, neap_bytes(nl_check_tensor(L, nl_up(L), 1)));
  return 1;
}

/* x:requires_grad_(on = true) sets it and returns x. */
static int requires_grad_(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_tensor *t = nl_check_tensor(L, s, 1);
  if (neap_set_requires_grad(t, lua_isnoneornil(L, 2) || lua_toboolean(L, 2)) != NEAP_OK) return nl_raise(L, s);
  lua_settop(L, 1);
  return 1;
}

/* x:detach_() drops x's history; what was computed from x keeps its own. */
static int detach_(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *slot = nl_slot_at(L, s, 1, NL_TENSOR);
  neap_value v = {.kind = NEAP_TENSOR, .t = nl_check_tensor(L, s, 1)};
  neap_tensor *out = NULL, *old = v.t;
  if (neap_call(s->ctx, neap_op_find("detach"), 1, &v, &out, 0, &s->site) < 0) return nl_raise(L, s);
  slot->object = out;
  neap_release(old);
  lua_settop(L, 1);
  return 1;
}

/* x:free() gives the memory back at once; using x after that raises. */
static int free_tensor(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *slot = nl_slot_at(L, s, 1, NL_TENSOR);
  if (!slot) nl_check_tensor(L, s, 1);
  if (!slot->object) return 0;
  nl_release_slot(slot);
  slot->marks |= NL_FREED;
  return 0;
}

static int is_tensor(lua_State *L) {
  lua_pushboolean(L, nl_slot_at(L, nl_up(L), 1, NL_TENSOR) != NULL);
  return 1;
}

static int text(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *slot = nl_slot_at(L, s, 1, NL_TENSOR);
  if (!slot || !slot->object) {
    lua_pushstring(L, slot && slot->marks & NL_CLOSED ? "tensor (released when its scope closed)" : "tensor (released)");
    return 1;
  }
  lua_settop(L, 1);
  return call_glue(L, "tostring", 1, 1);
}

static int pairs(lua_State *L) {
  lua_settop(L, 1);
  return call_glue(L, "pairs", 1, 3);
}

static void closure(lua_State *L, nl_state *s, int glue, lua_CFunction f, const char *name) {
  nl_push_state(L);
  nl_methods(L, s, NL_TENSOR);
  lua_pushvalue(L, glue);
  lua_pushinteger(L, neap_op_find("select"));
  lua_pushcclosure(L, f, 4);
  lua_setfield(L, -2, name);
}

void nl_open_tensor(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {{"is_tensor", is_tensor}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
    {"dim", ndim}, {"ndim", ndim}, {"numel", numel}, {"nelement", numel}, {"size", size}, {"stride", stride},
    {"is_contiguous", is_contiguous}, {"is_floating_point", is_floating_point}, {"nbytes", nbytes},
    {"requires_grad_", requires_grad_}, {"detach_", detach_}, {"free", free_tensor}, {NULL, NULL},
  };
  static const luaL_Reg shape[] = {{"__tostring", shape_text}, {"__eq", shape_equal}, {"__concat", concat},
                                  {"__index", shape_index}, {NULL, NULL}};
  static const char *const fields[] = {NULL, "shape", "dtype", "grad", "requires_grad", "is_leaf", "T", "mT"};
  int neap = lua_gettop(L);
  nl_functions(L, functions);
  lua_newtable(L);
  nl_functions(L, shape);
  lua_rawsetp(L, LUA_REGISTRYINDEX, push_shape);

  nl_methods(L, s, NL_TENSOR);
  nl_functions(L, methods);
  for (int i = 1; i < NL_ARRAY(fields); i++) {
    lua_pushinteger(L, i);
    lua_setfield(L, -2, fields[i]);
  }
  lua_setfield(L, neap, "tensor_methods");

  lua_rawgeti(L, LUA_REGISTRYINDEX, s->glue_ref);
  int glue = lua_gettop(L);
  nl_metatable(L, s, NL_TENSOR);
  closure(L, s, glue, get_index, "__index");
  closure(L, s, glue, newindex, "__newindex");
  closure(L, s, glue, text, "__tostring");
  closure(L, s, glue, pairs, "__pairs");
  static const luaL_Reg meta[] = {{"__len", length}, {"__concat", concat}, {NULL, NULL}};
  nl_functions(L, meta);
  lua_pop(L, 1);
  lua_setfield(L, neap, "glue");
}
