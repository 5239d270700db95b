/* Tensors from Lua values and back: neap.tensor, x:totable, x:item, and raw bytes. What is read is checked in full, with
 * the place of what is wrong: uneven rows, an entry that is no number, a number that its dtype cannot hold. */
#include <math.h>
#include <string.h>
#include "state.h"

static void *scratch(lua_State *L, size_t n, size_t each) {
  if (n > (SIZE_MAX >> 1) / each) luaL_error(L, "neap: %I elements are too many", (LUAI_UACINT)n);
  return lua_newuserdatauv(L, n * each + 1, 0);
}

/* ---- from tables ---- */

typedef struct reader {
  lua_State *L;
  nl_state *s;
  int ndim, dtype;
  int64_t shape[NEAP_MAX_DIMS], at[NEAP_MAX_DIMS];
  char *out;
} reader;

static const char *place(const reader *r, int depth) { /* "[2][3]" */
  lua_State *L = r->L;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; i <= depth; i++) {
    lua_pushfstring(L, "[%I]", (LUAI_UACINT)r->at[i]);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

static const char *entry(const reader *r, int depth) { /* "entry [2][3]" */
  return depth >= 0 ? lua_pushfstring(r->L, "entry %s", place(r, depth)) : "the value";
}

static int does_not_fit(const reader *r, int index, int depth, int64_t low, int64_t high) {
  const char *got = nl_describe(r->L, r->s, index), *name = neap_dtype_about((neap_dtype)r->dtype)->name;
  return nl_fail(r->L, r->s, "tensor: %s is %s, which does not fit %s: whole numbers from %I to %I", entry(r, depth), got, name,
                 (LUAI_UACINT)low, (LUAI_UACINT)high);
}

#define STORE_INT(type, low, high) \
  do { \
    if (!ok || i < (low) || i > (high)) does_not_fit(r, index, depth, low, high); \
    *(type *)(void *)r->out = (type)i; \
    r->out += sizeof(type); \
  } while (0)

static void store(reader *r, int index, int depth) {
  lua_State *L = r->L;
  int type = lua_type(L, index), ok = 1;
  lua_Number d = 0;
  int64_t i = 0;
  if (type == LUA_TNUMBER) {
    d = lua_tonumber(L, index);
    if (r->dtype != NEAP_F32 && r->dtype != NEAP_F64) i = lua_tointegerx(L, index, &ok);
  } else if (type == LUA_TBOOLEAN) {
    i = lua_toboolean(L, index);
    d = (lua_Number)i;
  } else {
    nl_slot *slot;
    neap_tensor *t = nl_tensor_at(L, r->s, index, &slot);
    if (!t || neap_count(t) != 1) {
      const char *got = nl_describe(L, r->s, index);
      nl_fail(L, r->s, "tensor: %s is %s, not a number%s", entry(r, depth), got,
              type == LUA_TTABLE ? ": the rows are not nested alike" : "");
    }
    int is_float = neap_dtype_about(neap_dtype_of(t))->is_float;
    i = is_float ? 0 : neap_item_int(t);
    d = is_float ? neap_item(t) : (lua_Number)i;
    if (is_float && r->dtype != NEAP_F32 && r->dtype != NEAP_F64) ok = lua_numbertointeger(floor(d), &i) && floor(d) == d;
  }
  switch (r->dtype) {
  case NEAP_F32: *(float *)(void *)r->out = (float)d; r->out += 4; break;
  case NEAP_F64: *(double *)(void *)r->out = d; r->out += 8; break;
  case NEAP_I64: STORE_INT(int64_t, INT64_MIN, INT64_MAX); break;
  case NEAP_I32: STORE_INT(int32_t, INT32_MIN, INT32_MAX); break;
  case NEAP_I16: STORE_INT(int16_t, INT16_MIN, INT16_MAX); break;
  case NEAP_I8: STORE_INT(int8_t, INT8_MIN, INT8_MAX); break;
  case NEAP_U8: STORE_INT(uint8_t, 0, UINT8_MAX); break;
  case NEAP_U16: STORE_INT(uint16_t, 0, UINT16_MAX); break;
  case NEAP_BOOL: *(uint8_t *)r->out++ = d != 0 || i != 0; break;
  default: luaL_error(L, "tensor: no such dtype");
  }
}

/* The table on top, which is dimension `depth`. */
static void read_rows(reader *r, int depth) {
  lua_State *L = r->L;
  int table = lua_gettop(L);
  int64_t n = (int64_t)lua_rawlen(L, table);
  if (n != r->shape[depth]) {
    if (depth == 0) nl_fail(L, r->s, "tensor: the table changed while it was read");
    nl_fail(L, r->s, "tensor: uneven rows: %s has %I entries, the first row of its kind has %I", place(r, depth - 1), (LUAI_UACINT)n,
            (LUAI_UACINT)r->shape[depth]);
  }
  for (int64_t i = 1; i <= n; i++) {
    r->at[depth] = i;
    lua_rawgeti(L, table, i);
    if (depth + 1 == r->ndim) store(r, table + 1, depth);
    else if (lua_istable(L, -1)) read_rows(r, depth + 1);
    else {
      const char *got = nl_describe(L, r->s, table + 1);
      nl_fail(L, r->s, "tensor: uneven rows: %s is %s where the first entry of its row is a table", place(r, depth), got);
    }
    lua_settop(L, table);
  }
}

/* Shape and kind of what is at index, by its first entries. */
static void measure(reader *r, int index) {
  lua_State *L = r->L;
  int top = lua_gettop(L);
  luaL_checkstack(L, NEAP_MAX_DIMS * 2 + 12, NULL);
  lua_pushvalue(L, index);
  r->ndim = 0;
  while (lua_istable(L, -1)) {
    if (r->ndim == NEAP_MAX_DIMS) nl_fail(L, r->s, "tensor: the table is nested more than %d deep", NEAP_MAX_DIMS);
    r->shape[r->ndim++] = (int64_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
  }
  int boolean = lua_isboolean(L, -1);
  if (r->dtype < 0) r->dtype = boolean ? NEAP_BOOL : NEAP_F32;
  lua_settop(L, top);
}

static void replace(lua_State *L, nl_state *s, nl_slot *slot, const char *op, int n, neap_value *v) {
  neap_tensor *out = NULL;
  v[0].kind = NEAP_TENSOR;
  v[0].t = slot->object;
  if (neap_call(s->ctx, neap_op_find(op), n, v, &out, 0, &s->site) < 0) nl_raise(L, s);
  neap_release(slot->object);
  slot->object = out;
}

/* tensor(value, {dtype, requires_grad}): a number, a boolean, nested tables of them, or a copy of a tensor. */
static int tensor(lua_State *L) {
  nl_state *s = nl_up(L);
  static const neap_param params[] = {
    {.name = "dtype", .kind = NEAP_DTYPE, .marks = NEAP_P_OPTIONAL}, {.name = "requires_grad", .kind = NEAP_FLAG, .marks = NEAP_P_OPTIONAL}};
  static const nl_binding options = {.name = "tensor", .params = params, .n_params = 2};
  nl_args a;
  reader r = {.L = L, .s = s, .dtype = -1};
  int tries = 0;
  luaL_checkany(L, 1);
  if (lua_gettop(L) > 2) return nl_fail(L, s, "tensor: takes a value and a table of options; rows go into one table");
  nl_bind(L, s, &options, 2, lua_gettop(L), &a);
  int dtype = a.n > 0 && a.value[0].kind == NEAP_DTYPE ? (int)a.value[0].i : -1;
  int requires_grad = a.n > 1 && a.value[1].kind == NEAP_FLAG && a.value[1].i;
  lua_settop(L, 1);
  s->site.file = NULL;
  nl_slot *slot = nl_new(L, s, NL_TENSOR), *from = nl_slot_at(L, s, 1, NL_TENSOR);
  neap_value v[2] = {{.kind = NEAP_TENSOR}, {.kind = NEAP_DTYPE}};
  if (from) {
    slot->object = neap_retain(nl_check_tensor(L, s, 1));
    replace(L, s, slot, "detach", 1, v);
    v[1].i = dtype < 0 ? (int)neap_dtype_of(slot->object) : dtype;
    if (dtype >= 0) replace(L, s, slot, "to", 2, v);
    replace(L, s, slot, "clone", 1, v);
  } else {
    r.dtype = dtype == NEAP_F16 || dtype == NEAP_BF16 ? NEAP_F32 : dtype;
    measure(&r, 1);
    while (!(slot->object = neap_new(s->ctx, (neap_dtype)r.dtype, r.ndim, r.shape)))
      if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
    r.out = neap_data(slot->object);
    lua_pushvalue(L, 1);
    if (r.ndim == 0) store(&r, 1, -1);
    else read_rows(&r, 0);
    lua_pop(L, 1);
    v[1].i = dtype;
    if (dtype >= 0 && dtype != r.dtype) replace(L, s, slot, "to", 2, v);
  }
  neap_tensor *t = slot->object;
  slot->object = NULL;
  nl_fill(L, s, slot, t);
  if (requires_grad && neap_set_requires_grad(t, 1) != NEAP_OK) return nl_raise(L, s);
  return 1;
}

/* ---- to tables ---- */

/* Elements as int64 (integers, bool) or double, row-major, in a scratch userdata that is pushed. */
static const void *read_out(lua_State *L, nl_state *s, int index, int *is_float) {
  neap_tensor *t = nl_check_tensor(L, s, index);
  void *out = scratch(L, (size_t)neap_count(t), 8);
  t = nl_check_tensor(L, s, index);
  *is_float = neap_dtype_about(neap_dtype_of(t))->is_float;
  if (neap_copy_out(t, *is_float ? NEAP_F64 : NEAP_I64, out) < 0) nl_raise(L, s);
  return out;
}

typedef struct writer { const char *in; int is_float, is_bool, ndim; int64_t shape[NEAP_MAX_DIMS]; } writer;

static void push_element(lua_State *L, writer *w) {
  if (w->is_float) lua_pushnumber(L, *(const double *)(const void *)w->in);
  else if (w->is_bool) lua_pushboolean(L, *(const int64_t *)(const void *)w->in != 0);
  else lua_pushinteger(L, *(const int64_t *)(const void *)w->in);
  w->in += 8;
}

static void push_rows(lua_State *L, writer *w, int depth) {
  if (depth == w->ndim) {
    push_element(L, w);
    return;
  }
  int64_t n = w->shape[depth];
  lua_createtable(L, n < INT32_MAX ? (int)n : 0, 0);
  for (int64_t i = 1; i <= n; i++) {
    push_rows(L, w, depth + 1);
    lua_rawseti(L, -2, i);
  }
}

/* x:totable(): nested tables, integers for integer dtypes, booleans for bool; a number for 0 dimensions. */
static int totable(lua_State *L) {
  nl_state *s = nl_up(L);
  writer w;
  luaL_checkstack(L, NEAP_MAX_DIMS + 8, NULL);
  w.in = read_out(L, s, 1, &w.is_float);
  const neap_tensor *t = nl_check_tensor(L, s, 1);
  w.is_bool = neap_dtype_of(t) == NEAP_BOOL;
  w.ndim = neap_ndim(t);
  memcpy(w.shape, neap_shape(t), (size_t)w.ndim * sizeof *w.shape);
  push_rows(L, &w, 0);
  return 1;
}

/* x:item(): the one element as a number or boolean. */
static int item(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_tensor *t = nl_check_tensor(L, s, 1);
  neap_dtype d = neap_dtype_of(t);
  if (neap_count(t) != 1) {
    nl_shape_string(L, t);
    return nl_fail(L, s, "item: takes a tensor with one element, this one has shape %s", lua_tostring(L, -1));
  }
  if (neap_dtype_about(d)->is_float) lua_pushnumber(L, neap_item(t));
  else if (d == NEAP_BOOL) lua_pushboolean(L, neap_item_int(t) != 0);
  else lua_pushinteger(L, neap_item_int(t));
  return neap_error(s->ctx) == NEAP_OK ? 1 : nl_raise(L, s);
}

/* ---- bytes ---- */

static size_t element_bytes(neap_dtype d) {
  const neap_dtype_info *info = neap_dtype_about(d);
  return (size_t)info->block_bytes;
}

/* x:to_string(): the elements, row-major, in the machine's byte order (little-endian wherever Neap runs), as a string. */
static int to_string(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_tensor *t = nl_check_tensor(L, s, 1);
  size_t n = (size_t)neap_count(t), each = element_bytes(neap_dtype_of(t));
  void *out = scratch(L, n, each);
  t = nl_check_tensor(L, s, 1);
  if (neap_copy_out(t, neap_dtype_of(t), out) < 0) return nl_raise(L, s);
  lua_pushlstring(L, out, n * each);
  return 1;
}

/* The shape that `n` bytes fill, of elements of `each` bytes: a -1 is what the other dimensions leave. 0: none. */
static int fill_shape(uint64_t n, uint64_t each, const neap_value *given, int64_t *shape) {
  uint64_t need = each;
  int open = -1;
  for (int i = 0; i < given->n; i++) {
    shape[i] = given->is[i];
    if (shape[i] == -1 && open < 0) open = i;
    else if (shape[i] < 0 || (shape[i] > 0 && need > n / (uint64_t)shape[i] + 1)) return 0;
    else need *= (uint64_t)shape[i];
  }
  if (open >= 0 && need > 0 && n % need == 0) shape[open] = (int64_t)(n / need);
  return need == n || (open >= 0 && need > 0 && n % need == 0);
}

/* from_string(string, dtype, shape): the other way; without a shape, in one row. */
static int from_string(lua_State *L) {
  nl_state *s = nl_up(L);
  static const neap_param params[] = {{.name = "dtype", .kind = NEAP_DTYPE}, {.name = "shape", .kind = NEAP_INTS, .marks = NEAP_P_DIMS}};
  static const nl_binding binding = {.name = "from_string", .params = params, .n_params = 2, .lists = 1};
  nl_args a;
  size_t n;
  const char *bytes = luaL_checklstring(L, 1, &n);
  int top = lua_gettop(L), tries = 0;
  nl_bind_room(L, &binding, 2, top, &a);
  nl_slot *slot = nl_new(L, s, NL_TENSOR);
again:
  nl_bind(L, s, &binding, 2, top, &a);
  if (a.n < 1 || a.value[0].kind != NEAP_DTYPE || (a.n > 1 && a.value[1].kind != NEAP_INTS && a.value[1].kind != NEAP_NONE))
    return nl_fail(L, s, "from_string: takes a string, a dtype and a shape");
  neap_dtype d = (neap_dtype)a.value[0].i;
  const int64_t row = -1;
  const neap_value whole = {.kind = NEAP_INTS, .n = 1, .is = &row}, *given = a.n > 1 && a.value[1].kind == NEAP_INTS ? &a.value[1] : &whole;
  int64_t shape[NEAP_MAX_DIMS];
  if (given->n > NEAP_MAX_DIMS || !fill_shape(n, element_bytes(d), given, shape))
    return nl_fail(L, s, "from_string: %I bytes do not fill this shape with elements of %I", (LUAI_UACINT)n, (LUAI_UACINT)element_bytes(d));
  neap_tensor *t = neap_copy_in(s->ctx, d, given->n, shape, bytes);
  if (!t) {
    if (nl_retry(L, s, &tries)) goto again;
    return nl_raise(L, s);
  }
  nl_fill(L, s, slot, t);
  return 1;
}

void nl_open_data(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {{"tensor", tensor}, {"from_string", from_string}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"totable", totable}, {"tolist", totable}, {"item", item}, {"to_string", to_string}, {NULL, NULL}};
  nl_functions(L, functions);
  nl_methods(L, s, NL_TENSOR);
  nl_functions(L, methods);
  lua_pop(L, 1);
}
