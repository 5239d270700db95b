/* The op table in Lua: one generic C function serves every row. Each closure carries the row's binding as its second
 * upvalue, the tensors' metatable as its third; a call makes the userdata of its results, binds its arguments, goes
 * through neap_call and fills them. A row becomes neap.NAME and, unless it creates tensors from nothing, a method; a row
 * with an in-place form also NAME_. */
#include <string.h>
#include "state.h"

enum { MAX_OUT = 4 };

typedef struct op_function {
  nl_state *state;
  nl_binding bind;
  int op, in_place, n_outputs, marks;
} op_function;

static int finish_in_place(lua_State *L, nl_state *s, const nl_args *a, int top, neap_tensor *out) {
  neap_release(out); /* the userdata at 1 has its own reference */
  if (a->anchored && neap_requires_grad(out)) nl_inherit(L, s, 1, 2, top);
  lua_pushvalue(L, 1);
  return 1;
}

static int call(lua_State *L) {
  const op_function *f = lua_touserdata(L, lua_upvalueindex(2));
  nl_state *s = f->state;
  int top = lua_gettop(L), n = f->n_outputs, tries = 0, located = 0;
  nl_slot *result[MAX_OUT] = {NULL};
  neap_tensor *out[MAX_OUT] = {NULL};
  nl_args a;
  if (f->bind.lists) nl_bind_room(L, &f->bind, 1, top, &a);
  int first = lua_gettop(L) + 1;
  if (f->in_place) {
    nl_open(L);
    nl_enter(L, s);
  } else {
    for (int i = 0; i < n; i++) result[i] = nl_new_with(L, s, NL_TENSOR, lua_upvalueindex(3));
  }
  nl_path(L, s);
again:
  nl_bind(L, s, &f->bind, 1, top, &a);
  if ((a.needs_grad || f->in_place) && !located) {
    located = 1;
    if (NL_UNLIKELY(nl_locate(L, s))) goto again;
  } else if (!located) {
    s->site.file = NULL;
    s->site.line = 0;
  }
  s->site.base = a.base;
  int got = neap_call(s->ctx, f->op, a.n, a.value, out, f->in_place, &s->site);
  s->site.base = 1;
  if (NL_UNLIKELY(got < 0)) {
    if (nl_retry(L, s, &tries)) goto again;
    return nl_raise(L, s);
  }
  if (f->in_place) return finish_in_place(L, s, &a, top, out[0]);
  if (NL_UNLIKELY(got < n)) { /* max without a dimension has no positions */
    n = got;
    lua_settop(L, first + n - 1);
  }
  size_t bytes = 0;
  int given = 0;
  for (int i = 0; i < n; i++) {
    if (NL_UNLIKELY(!out[i])) { /* not asked for */
      lua_remove(L, first + given);
      continue;
    }
    given++;
    nl_set_slot(s, result[i], out[i]);
    if (!(f->marks & NEAP_OP_VIEW)) bytes += (size_t)neap_bytes(out[i]);
  }
  n = given;
  if (NL_UNLIKELY(a.requires_grad) && neap_set_requires_grad(out[0], 1) != NEAP_OK) return nl_raise(L, s);
  if (NL_UNLIKELY(a.anchored) && s->grad)
    for (int i = 0; i < n; i++) nl_inherit(L, s, first + i, 1, top);
  nl_account(L, s, bytes + (a.needs_grad ? NL_RECORD : 0));
  return n;
}

/* An op that puts out a list: a table of tensors. How many there will be is asked before their userdata are made. */
static int call_list(lua_State *L) {
  const op_function *f = lua_touserdata(L, lua_upvalueindex(2));
  nl_state *s = f->state;
  int top = lua_gettop(L), n = -1, tries = 0, located = 0;
  nl_slot **slot = NULL;
  neap_tensor **out = NULL;
  nl_args a;
  nl_bind_room(L, &f->bind, 1, top, &a);
  nl_open(L);
  nl_enter(L, s);
  nl_path(L, s);
again:
  nl_bind(L, s, &f->bind, 1, top, &a);
  if (!located) {
    located = 1;
    if (NL_UNLIKELY(nl_locate(L, s))) goto again;
  }
  s->site.base = a.base;
  int got = neap_call_list(s->ctx, f->op, a.n, a.value, out, n, &s->site);
  s->site.base = 1;
  if (NL_UNLIKELY(got < 0)) {
    if (nl_retry(L, s, &tries)) goto again;
    return nl_raise(L, s);
  }
  if (!out) {
    n = got;
    slot = lua_newuserdatauv(L, ((size_t)n + 1) * (sizeof *slot + sizeof *out), 0);
    out = (neap_tensor **)(slot + n);
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
      slot[i] = nl_new_with(L, s, NL_TENSOR, lua_upvalueindex(3));
      lua_rawseti(L, -2, i + 1);
    }
    goto again;
  }
  size_t bytes = 0;
  for (int i = 0; i < got; i++) {
    nl_set_slot(s, slot[i], out[i]);
    bytes += NL_HANDLE + (a.needs_grad ? NL_RECORD : 0);
    if (!(f->marks & NEAP_OP_VIEW)) bytes += (size_t)neap_bytes(out[i]);
  }
  for (int i = 0; a.anchored && s->grad && i < got; i++) {
    lua_rawgeti(L, -1, i + 1);
    nl_inherit(L, s, lua_gettop(L), 1, top);
    lua_pop(L, 1);
  }
  nl_account(L, s, bytes);
  return 1;
}

/* An operator of two operands, without the ceremony: what is not a tensor and a tensor or number goes the long way. */
static int arithmetic(lua_State *L) {
  const op_function *f = lua_touserdata(L, lua_upvalueindex(2));
  nl_state *s = f->state;
  neap_value v[2];
  neap_tensor *out[MAX_OUT];
  int needs = 0, located = 0, tries = 0;
  nl_slot *result = nl_new_with(L, s, NL_TENSOR, lua_upvalueindex(3));
  nl_path(L, s);
again:
  for (int i = 0; i < 2; i++) {
    nl_slot *slot = nl_slot_at(L, s, i + 1, NL_TENSOR);
    v[i].n = 0;
    if (NL_LIKELY(slot && slot->object && !(slot->marks & NL_ANCHORED))) {
      v[i].kind = NEAP_TENSOR;
      v[i].t = slot->object;
      if (s->grad && neap_requires_grad(v[i].t)) needs = 1;
    } else if (lua_type(L, i + 1) == LUA_TNUMBER) {
      if (lua_isinteger(L, i + 1)) v[i].kind = NEAP_INT, v[i].i = lua_tointeger(L, i + 1);
      else v[i].kind = NEAP_NUMBER, v[i].d = lua_tonumber(L, i + 1);
    } else {
      lua_settop(L, 2);
      return call(L);
    }
  }
  if (!needs) {
    s->site.file = NULL;
    s->site.line = 0;
  } else if (!located) {
    located = 1;
    if (NL_UNLIKELY(nl_locate(L, s))) goto again;
  }
  if (NL_UNLIKELY(neap_call(s->ctx, f->op, 2, v, out, 0, &s->site) < 0)) {
    if (nl_retry(L, s, &tries)) goto again;
    return nl_raise(L, s);
  }
  nl_set_slot(s, result, out[0]);
  nl_account(L, s, (size_t)neap_bytes(out[0]) + (needs ? NL_RECORD : 0));
  return 1;
}

/* Unary - and ~: Lua hands their operand over twice. */
static int unary(lua_State *L) {
  lua_settop(L, 1);
  return call(L);
}

static int no_order(lua_State *L) {
  nl_state *s = nl_up(L);
  return nl_fail(L, s, "tensors have no order of their own: x:lt(y), x:le(y), x:gt(y) and x:ge(y) compare elements");
}

/* ---- rows as functions ---- */

/* Options that an op has besides its parameters: NL_X_*. */
static int extra_options(const neap_op_info *info) {
  int extra = info->marks & NEAP_OP_INDEX_OUT ? NL_X_BASE : 0;
  for (int i = 0; i < info->n_params; i++)
    if (info->params[i].marks & NEAP_P_INDICES) extra |= NL_X_BASE;
  if (info->marks & NEAP_OP_CREATES || strstr(info->name, "_like")) extra |= NL_X_REQUIRES_GRAD;
  return extra;
}

/* Pushes the closure of a row; in_place 1: of its form NAME_. */
static void push_function(lua_State *L, nl_state *s, const neap_op_info *info, int op, int in_place, lua_CFunction function) {
  nl_push_state(L);
  op_function *f = lua_newuserdatauv(L, sizeof *f, 0);
  memset(f, 0, sizeof *f);
  f->bind = (nl_binding){.name = info->name, .params = info->params, .n_params = info->n_params};
  for (int i = 0; i < info->n_params; i++) {
    const neap_param *p = &info->params[i];
    f->bind.lists |= p->kind == NEAP_INTS || p->kind == NEAP_TENSORS || p->kind == NEAP_INT_OR_INTS;
  }
  f->bind.extra = (uint8_t)extra_options(info);
  f->state = s;
  f->op = op;
  f->in_place = in_place;
  f->marks = info->marks;
  f->n_outputs = info->n_outputs;
  nl_metatable(L, s, NL_TENSOR);
  lua_pushcclosure(L, function, 3);
}

/* The function on top becomes neap.NAME (table at neap) and, as a method, methods.NAME. */
static void put(lua_State *L, int neap, int methods, int method, const char *name) {
  if (method) {
    lua_pushvalue(L, -1);
    lua_setfield(L, methods, name);
  }
  lua_setfield(L, neap, name);
}

static void add_row(lua_State *L, nl_state *s, int op, int neap, int methods) {
  const neap_op_info *info = neap_op_about(s->ctx, op);
  if (!info) nl_raise(L, s);
  if (info->marks & NEAP_OP_HIDDEN) return;
  if (info->n_params > NL_ARGS || info->n_outputs > MAX_OUT) luaL_error(L, "neap: %s has too many parameters", info->name);
  int first = info->n_params ? info->params[0].kind : NEAP_NONE;
  int method = !(info->marks & NEAP_OP_CREATES) && (first == NEAP_TENSOR || first == NEAP_OPERAND);
  push_function(L, s, info, op, 0, info->marks & NEAP_OP_LIST ? call_list : call);
  put(L, neap, methods, method, info->name);
  if (!(info->marks & NEAP_OP_IN_PLACE)) return;
  lua_pushfstring(L, "%s_", info->name);
  push_function(L, s, info, op, 1, call);
  put(L, neap, methods, method, lua_tostring(L, -2));
  lua_pop(L, 1);
}

static const struct { const char *event, *op; } operators[] = {
  {"__add", "add"}, {"__sub", "sub"}, {"__mul", "mul"}, {"__div", "div"}, {"__mod", "remainder"}, {"__pow", "pow"},
  {"__unm", "neg"}, {"__idiv", "floor_divide"}, {"__band", "bitwise_and"}, {"__bor", "bitwise_or"}, {"__bxor", "bitwise_xor"},
  {"__bnot", "bitwise_not"}, {"__shl", "bitwise_left_shift"}, {"__shr", "bitwise_right_shift"},
};

static void add_operators(lua_State *L, nl_state *s) {
  nl_metatable(L, s, NL_TENSOR);
  for (int i = 0; i < NL_ARRAY(operators); i++) {
    int op = neap_op_find(operators[i].op);
    if (op < 0) continue;
    const neap_op_info *info = neap_op_about(s->ctx, op);
    if (!info) nl_raise(L, s);
    push_function(L, s, info, op, 0, info->n_params == 1 ? unary : arithmetic);
    lua_setfield(L, -2, operators[i].event);
  }
  static const luaL_Reg order[] = {{"__lt", no_order}, {"__le", no_order}, {NULL, NULL}};
  nl_functions(L, order);
  lua_pop(L, 1);
}

/* ---- rows as information ---- */

static const struct { const char *name; int mark; } mark_names[] = {
  {"view", NEAP_OP_VIEW}, {"in_place", NEAP_OP_IN_PLACE}, {"no_grad", NEAP_OP_NO_GRAD},
  {"value_sized", NEAP_OP_VALUE_SIZED}, {"once", NEAP_OP_ONCE}, {"creates", NEAP_OP_CREATES},
  {"hidden", NEAP_OP_HIDDEN}, {"index_out", NEAP_OP_INDEX_OUT}, {"random", NEAP_OP_RANDOM},
  {"list", NEAP_OP_LIST},
};

static void text_field(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void push_params(lua_State *L, nl_state *s, int n, const neap_param *params) {
  static const char *const kinds[] = {"none", "tensor", "tensors", "number", "int", "bool", "ints", "dtype", "enum",
                                      "generator", "text", "operand", "int_or_ints"};
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const neap_param *p = &params[i];
    lua_createtable(L, 0, 5);
    text_field(L, "name", p->name);
    text_field(L, "kind", p->kind < NL_ARRAY(kinds) ? kinds[p->kind] : "?");
    text_field(L, "choices", p->choices);
    lua_pushboolean(L, (p->marks & NEAP_P_OPTIONAL) != 0);
    lua_setfield(L, -2, "optional");
    nl_push_value(L, s, p, &p->standard);
    lua_setfield(L, -2, "default");
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_names(lua_State *L, int n, const char *const *names) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_op(lua_State *L, nl_state *s, int op) {
  const neap_op_info *info = neap_op_about(s->ctx, op);
  if (!info) nl_raise(L, s);
  lua_createtable(L, 0, 11);
  text_field(L, "name", info->name);
  text_field(L, "signature", info->signature);
  text_field(L, "doc", info->doc);
  text_field(L, "example", info->example);
  text_field(L, "sample", info->sample);
  text_field(L, "family", info->family);
  push_params(L, s, info->n_params, info->params);
  lua_setfield(L, -2, "params");
  push_names(L, info->n_outputs, info->outputs);
  lua_setfield(L, -2, "outputs");
  lua_newtable(L);
  for (int i = 0; i < NL_ARRAY(mark_names); i++) {
    if (!(info->marks & mark_names[i].mark)) continue;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, mark_names[i].name);
  }
  lua_setfield(L, -2, "marks");
  int extra = extra_options(info);
  lua_createtable(L, 0, 2);
  lua_pushboolean(L, (extra & NL_X_BASE) != 0);
  lua_setfield(L, -2, "base");
  lua_pushboolean(L, (extra & NL_X_REQUIRES_GRAD) != 0);
  lua_setfield(L, -2, "requires_grad");
  lua_setfield(L, -2, "options");
}

/* ops() -> a list of rows: {name, signature, doc, example, sample, family, params, outputs, marks = {view = true, ...},
   options = {base, requires_grad: whether it has these besides its parameters}} */
static int ops(lua_State *L) {
  nl_state *s = nl_open(L);
  int n = neap_op_count();
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    push_op(L, s, i);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* layer_rows() and rule_rows() -> lists of {name, signature, doc, example, params}, and of a layer's forward {inputs, outputs} */
static int layer_rows(lua_State *L) {
  nl_state *s = nl_open(L);
  int n = neap_layer_count();
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const neap_layer_info *info = neap_layer_about(s->ctx, i);
    if (!info) return nl_raise(L, s);
    lua_createtable(L, 0, 5);
    text_field(L, "name", info->name);
    text_field(L, "signature", info->signature);
    text_field(L, "doc", info->doc);
    text_field(L, "example", info->example);
    push_params(L, s, info->n_params, info->params);
    lua_setfield(L, -2, "params");
    push_params(L, s, info->n_inputs, info->inputs);
    lua_setfield(L, -2, "inputs");
    push_names(L, info->n_outputs, info->outputs);
    lua_setfield(L, -2, "outputs");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int rule_rows(lua_State *L) {
  nl_state *s = nl_open(L);
  int n = neap_rule_count();
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const neap_rule_info *info = neap_rule_about(s->ctx, i);
    if (!info) return nl_raise(L, s);
    lua_createtable(L, 0, 6);
    text_field(L, "name", info->name);
    text_field(L, "signature", info->signature);
    text_field(L, "doc", info->doc);
    push_params(L, s, info->n_params, info->params);
    lua_setfield(L, -2, "params");
    push_names(L, info->n_slots, info->slots);
    lua_setfield(L, -2, "slots");
    push_names(L, info->n_scalars, info->scalars);
    lua_setfield(L, -2, "scalars");
    lua_pushboolean(L, info->told);
    lua_setfield(L, -2, "told");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int schedule_rows(lua_State *L) {
  nl_state *s = nl_open(L);
  int n = neap_schedule_count();
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const neap_schedule_info *info = neap_schedule_about(s->ctx, i);
    if (!info) return nl_raise(L, s);
    lua_createtable(L, 0, 4);
    text_field(L, "name", info->name);
    text_field(L, "signature", info->signature);
    text_field(L, "doc", info->doc);
    push_params(L, s, info->n_params, info->params);
    lua_setfield(L, -2, "params");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

void nl_open_ops(lua_State *L, nl_state *s) {
  static const luaL_Reg list[] = {
    {"ops", ops}, {"layer_rows", layer_rows}, {"rule_rows", rule_rows}, {"schedule_rows", schedule_rows}, {NULL, NULL},
  };
  int neap = lua_gettop(L);
  nl_functions(L, list);
  nl_methods(L, s, NL_TENSOR);
  for (int i = 0; i < neap_op_count(); i++) add_row(L, s, i, neap, neap + 1);
  lua_pop(L, 1);
  add_operators(L, s);
}
