/* Arguments: what a Lua call gives, laid against the parameters of an op, a layer or a rule. Positional ones in order; a
 * last table with string keys only is options. Dimensions and positions lose their base 1 here (0 is an error, negative
 * ones count from the end); defaults and ranges are the runtime's business. Nothing here allocates unless it raises. */
#include <stdio.h>
#include <string.h>
#include "state.h"

int nl_is_options(lua_State *L, int index) {
  if (!lua_istable(L, index) || lua_rawlen(L, index) > 0) return 0;
  int any = 0, strings = 1;
  index = lua_absindex(L, index);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    any = 1;
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) {
      strings = 0;
      lua_pop(L, 1);
      break;
    }
  }
  return any && strings;
}

static int is_empty(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushnil(L);
  if (!lua_next(L, index)) return 1;
  lua_pop(L, 2);
  return 0;
}

static size_t entries(lua_State *L, int index, int depth) {
  size_t n = lua_rawlen(L, index);
  if (n > 0 || depth > 0) return n;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (lua_istable(L, -1)) n += lua_rawlen(L, -1);
    lua_pop(L, 1);
  }
  return n;
}

void nl_bind_room(lua_State *L, const nl_binding *b, int first, int top, nl_args *a) {
  size_t n = (size_t)(top - first + 1);
  (void)b;
  for (int i = first; i <= top; i++)
    if (lua_istable(L, i)) n += entries(L, i, i < top);
  a->ints = a->int_list;
  a->tensors = a->tensor_list;
  a->room = NL_LIST;
  if (n <= NL_LIST) {
    lua_pushnil(L);
    return;
  }
  if (n > INT32_MAX / 16) luaL_error(L, "%s: a list of %I elements is too long", b->name, (LUAI_UACINT)n);
  a->ints = lua_newuserdatauv(L, n * (sizeof *a->ints + sizeof *a->tensors), 0);
  a->tensors = (neap_tensor **)(a->ints + n);
  a->room = (int)n;
}

/* ---- errors ---- */

static const char *kind_text(const neap_param *p) {
  static const char *const names[] = {
    "nothing", "a tensor", "a list of tensors", "a number", "an integer", "a boolean", "a list of integers", "a dtype",
    "a choice", "a generator", "a string", "a tensor or a number", "a whole number or a list of them",
  };
  if (p->marks & NEAP_P_AXIS) return p->kind == NEAP_INT ? "a dimension" : "a dimension or a list of dimensions";
  if (p->marks & NEAP_P_INDEX) return p->kind == NEAP_INT ? "a position" : "a whole number or a list of positions";
  if (p->marks & NEAP_P_DIMS && p->kind == NEAP_INTS) return "sizes";
  return p->kind < NL_ARRAY(names) ? names[p->kind] : "something else";
}

/* A parameter in words: operands, which have no names where they stand around a sign, by their place. */
static const char *param_name(const nl_binding *b, const neap_param *p, char *room, size_t size) {
  static const char *const places[] = {"first", "second", "third"};
  int i = (int)(p - b->params), beside = i > 0 ? i - 1 : 1;
  if (p->kind != NEAP_OPERAND || p->name[1] || i >= NL_ARRAY(places) || beside >= b->n_params) return p->name;
  if (b->params[beside].kind != NEAP_OPERAND) return p->name;
  snprintf(room, size, "the %s operand, %s,", places[i], p->name);
  return room;
}

static int wrong(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, int index) {
  nl_slot *slot = nl_slot_at(L, s, index, NL_TENSOR);
  if (slot && !slot->object) return nl_gone(L, s, slot, b->name);
  char name[64];
  const char *got = nl_describe(L, s, index);
  return nl_fail(L, s, "%s: %s must be %s, got %s", b->name, param_name(b, p, name, sizeof name), kind_text(p), got);
}

typedef struct choice_list { const char *text; char word[64]; } choice_list;
static const char *next_choice(const void *arg, int i) {
  choice_list *c = (choice_list *)(uintptr_t)arg;
  const char *t = c->text;
  for (; i > 0; i--) {
    t += strcspn(t, "|");
    if (!*t++) return NULL;
  }
  snprintf(c->word, sizeof c->word, "%.*s", (int)strcspn(t, "|"), t);
  return c->word;
}

static int wrong_choice(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, const char *word) {
  luaL_Buffer names;
  choice_list c = {.text = p->choices};
  const char *name, *hint = nl_hint(L, word, next_choice, &c);
  luaL_buffinit(L, &names);
  for (int i = 0; (name = next_choice(&c, i)) != NULL; i++) {
    if (i > 0) luaL_addstring(&names, ", ");
    luaL_addstring(&names, name);
  }
  luaL_pushresult(&names);
  return nl_fail(L, s, "%s: %s is '%s'%s; there is %s", b->name, p->name, word, hint, lua_tostring(L, -1));
}

static const char *dtype_name(const void *arg, int i) {
  (void)arg;
  return i < NEAP_DTYPES ? neap_dtype_about((neap_dtype)i)->name : NULL;
}

/* ---- single values ---- */

static inline int to_int(lua_State *L, int index, int64_t *out) {
  int ok = 0;
  if (lua_type(L, index) != LUA_TNUMBER) return 0;
  *out = lua_tointegerx(L, index, &ok);
  return ok;
}

static int64_t counted(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, int64_t i) {
  if (i == 0) nl_fail(L, s, "%s: %s is 0, but %s count from 1 (or from the end: -1 is the last)", b->name, p->name,
                      p->marks & NEAP_P_AXIS ? "dimensions" : "positions");
  return i > 0 ? i - 1 : i;
}

static int take_tensor(lua_State *L, nl_state *s, int index, nl_args *a, neap_tensor **out) {
  nl_slot *slot;
  neap_tensor *t = nl_tensor_at(L, s, index, &slot);
  if (!t) return 0;
  a->anchored |= slot->marks & NL_ANCHORED;
  if (s->grad && neap_requires_grad(t)) a->needs_grad = 1;
  *out = t;
  return 1;
}

static const struct { const char *name; int dtype; } other_names[] = {
  {"float", NEAP_F32}, {"double", NEAP_F64}, {"long", NEAP_I64}, {"int", NEAP_I32}, {"short", NEAP_I16},
  {"half", NEAP_F16}, {"byte", NEAP_U8},
};

int nl_to_dtype(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TSTRING) return -1;
  const char *name = lua_tostring(L, index);
  int d = neap_dtype_named(name);
  for (int i = 0; d < 0 && i < NL_ARRAY(other_names); i++)
    if (strcmp(name, other_names[i].name) == 0) d = other_names[i].dtype;
  for (int i = 0; d < 0 && i < NEAP_DTYPES; i++)
    if (strcmp(name, neap_dtype_about((neap_dtype)i)->letters) == 0) d = i;
  return d;
}

static int take_dtype(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, int index) {
  int d = nl_to_dtype(L, index);
  if (d >= 0) return d;
  nl_slot *slot;
  neap_tensor *like = nl_tensor_at(L, s, index, &slot);
  if (like) return (int)neap_dtype_of(like);
  if (lua_type(L, index) != LUA_TSTRING) return wrong(L, s, b, p, index);
  const char *name = lua_tostring(L, index);
  return nl_fail(L, s, "%s: '%s' is no dtype%s", b->name, name, nl_hint(L, name, dtype_name, NULL));
}

/* ---- lists ---- */

/* A table of integers, or count numbers one after the other from index on. */
static void take_ints(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, int index, int count,
                      nl_args *a, neap_value *v) {
  int table = count == 0, n = table ? (int)lua_rawlen(L, index) : count;
  int64_t *out = a->ints + a->n_ints;
  if (n > a->room - a->n_ints) luaL_error(L, "%s: too many numbers for %s", b->name, p->name);
  for (int i = 0; i < n; i++) {
    int at = index + i;
    if (table) lua_rawgeti(L, index, i + 1), at = lua_gettop(L);
    if (!to_int(L, at, &out[i])) {
      const char *got = nl_describe(L, s, at);
      nl_fail(L, s, "%s: %s must be %s; entry %d is %s", b->name, p->name, kind_text(p), i + 1, got);
    }
    if (p->marks & (NEAP_P_AXIS | NEAP_P_INDEX)) out[i] = counted(L, s, b, p, out[i]);
    if (table) lua_pop(L, 1);
  }
  a->n_ints += n;
  v->kind = NEAP_INTS;
  v->n = n;
  v->is = out;
}

/* A table of tensors, or count tensors one after the other from index on. */
static void take_tensors(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, int index, int count,
                         nl_args *a, neap_value *v) {
  int table = count == 0, n = table ? (int)lua_rawlen(L, index) : count;
  neap_tensor **out = a->tensors + a->n_tensors;
  if (n > a->room - a->n_tensors) luaL_error(L, "%s: too many tensors for %s", b->name, p->name);
  for (int i = 0; i < n; i++) {
    if (table) lua_rawgeti(L, index, i + 1);
    else lua_pushvalue(L, index + i);
    if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) out[i] = NULL; /* `index` takes such for a whole dimension */
    else if (!take_tensor(L, s, lua_gettop(L), a, &out[i])) {
      nl_slot *slot = nl_slot_at(L, s, -1, NL_TENSOR);
      if (slot) nl_gone(L, s, slot, b->name);
      const char *got = nl_describe(L, s, -1);
      nl_fail(L, s, "%s: %s must be a list of tensors; entry %d is %s", b->name, p->name, i + 1, got);
    }
    lua_pop(L, 1);
  }
  a->n_tensors += n;
  v->kind = NEAP_TENSORS;
  v->n = n;
  v->ts = out;
}

/* How many numbers from index on belong to a list parameter: all but those that later required parameters need, and one
 * alone where the next parameter is itself a number. */
static int numbers_from(lua_State *L, const nl_binding *b, int param, int index, int top) {
  int later = 0, n = 0;
  for (int i = param + 1; i < b->n_params; i++) later += !(b->params[i].marks & NEAP_P_OPTIONAL);
  if (!(b->params[param].marks & NEAP_P_DIMS) && param + 1 < b->n_params) {
    int next = b->params[param + 1].kind;
    if (next == NEAP_NUMBER || next == NEAP_INT || next == NEAP_INTS || next == NEAP_OPERAND) return 1;
  }
  while (index + n <= top - later && lua_type(L, index + n) == LUA_TNUMBER) n++;
  return n > 0 ? n : 1;
}

static int tensors_from(lua_State *L, nl_state *s, int index, int top) {
  int n = 0;
  while (index + n <= top && nl_slot_at(L, s, index + n, NL_TENSOR)) n++;
  return n;
}

static void take_choice(lua_State *L, nl_state *s, const nl_binding *b, const neap_param *p, int index, neap_value *v) {
  const char *word = lua_tostring(L, index), *name;
  choice_list c = {.text = p->choices};
  v->kind = NEAP_ENUM;
  v->i = -1;
  for (int i = 0; (name = next_choice(&c, i)) != NULL; i++)
    if (strcmp(name, word) == 0) v->i = i;
  if (v->i < 0) wrong_choice(L, s, b, p, word);
}

/* One parameter from index on (top: the last argument that may be taken); returns how many were taken. */
static int take(lua_State *L, nl_state *s, const nl_binding *b, int param, int index, int top, nl_args *a) {
  const neap_param *p = &b->params[param];
  neap_value *v = &a->value[param];
  int type = lua_type(L, index), n = 1;
  v->n = 0;
  if (type == LUA_TNIL) {
    v->kind = NEAP_NONE;
    return 1;
  }
  v->kind = p->kind;
  switch (p->kind) {
  case NEAP_OPERAND:
    if (type == LUA_TNUMBER) {
      if (lua_isinteger(L, index)) v->kind = NEAP_INT, v->i = lua_tointeger(L, index);
      else v->kind = NEAP_NUMBER, v->d = lua_tonumber(L, index);
      break;
    }
    if (type == LUA_TBOOLEAN) {
      v->kind = NEAP_INT, v->i = lua_toboolean(L, index);
      break;
    }
    v->kind = NEAP_TENSOR; /* fall through */
  case NEAP_TENSOR:
    if (!take_tensor(L, s, index, a, &v->t)) wrong(L, s, b, p, index);
    break;
  case NEAP_TENSORS:
    if (type == LUA_TTABLE) take_tensors(L, s, b, p, index, 0, a, v);
    else if (p->marks & NEAP_P_DIMS && nl_slot_at(L, s, index, NL_TENSOR))
      take_tensors(L, s, b, p, index, n = tensors_from(L, s, index, top), a, v);
    else wrong(L, s, b, p, index);
    break;
  case NEAP_TEXT:
    if (type == LUA_TNUMBER) { /* as Lua's own string functions do */
      snprintf(a->number, sizeof a->number, "%.17g", lua_tonumber(L, index));
      v->s = a->number;
    } else if (type == LUA_TSTRING) v->s = lua_tostring(L, index);
    else wrong(L, s, b, p, index);
    break;
  case NEAP_NUMBER:
    if (type != LUA_TNUMBER) wrong(L, s, b, p, index);
    v->d = lua_tonumber(L, index);
    break;
  case NEAP_INT:
    if (!to_int(L, index, &v->i)) wrong(L, s, b, p, index);
    if (p->marks & (NEAP_P_AXIS | NEAP_P_INDEX)) v->i = counted(L, s, b, p, v->i);
    break;
  case NEAP_FLAG:
    if (type != LUA_TBOOLEAN) wrong(L, s, b, p, index);
    v->i = lua_toboolean(L, index);
    break;
  case NEAP_INTS:
    if (type == LUA_TNUMBER) take_ints(L, s, b, p, index, n = numbers_from(L, b, param, index, top), a, v);
    else if (type == LUA_TTABLE) take_ints(L, s, b, p, index, 0, a, v);
    else if (type == LUA_TSTRING && p->choices) take_choice(L, s, b, p, index, v);
    else wrong(L, s, b, p, index);
    break;
  case NEAP_INT_OR_INTS: /* one number is not a position: it is how many */
    if (type == LUA_TTABLE) take_ints(L, s, b, p, index, 0, a, v);
    else if (to_int(L, index, &v->i)) v->kind = NEAP_INT;
    else wrong(L, s, b, p, index);
    break;
  case NEAP_DTYPE: v->i = take_dtype(L, s, b, p, index); break;
  case NEAP_ENUM:
    if (type != LUA_TSTRING) wrong(L, s, b, p, index);
    take_choice(L, s, b, p, index, v);
    break;
  case NEAP_GENERATOR: {
    nl_slot *slot = nl_slot_at(L, s, index, NL_GENERATOR);
    if (!slot || !slot->object) wrong(L, s, b, p, index);
    v->g = slot->object;
    break;
  }
  default: wrong(L, s, b, p, index);
  }
  return n;
}

/* ---- options ---- */

static const char *next_option(const void *arg, int i) {
  const nl_binding *b = arg;
  if (i < b->n_params) return b->params[i].name;
  i -= b->n_params;
  if (b->extra & NL_X_BASE && i-- == 0) return "base";
  if (b->extra & NL_X_REQUIRES_GRAD && i-- == 0) return "requires_grad";
  return NULL;
}

static void extra_option(lua_State *L, nl_state *s, const nl_binding *b, const char *name, nl_args *a) {
  int64_t base = 1;
  if (b->extra & NL_X_REQUIRES_GRAD && strcmp(name, "requires_grad") == 0) {
    if (!lua_isboolean(L, -1)) nl_fail(L, s, "%s: requires_grad must be a boolean, got %s", b->name, nl_describe(L, s, -1));
    a->requires_grad = lua_toboolean(L, -1);
  } else if (b->extra & NL_X_BASE && strcmp(name, "base") == 0) {
    if (!to_int(L, -1, &base) || base < 0 || base > 1) nl_fail(L, s, "%s: base must be 0 or 1", b->name);
    a->base = (int)base;
  } else {
    const char *hint = nl_hint(L, name, next_option, b);
    luaL_Buffer names;
    const char *one;
    luaL_buffinit(L, &names);
    for (int i = 0; (one = next_option(b, i)) != NULL; i++) {
      if (i > 0) luaL_addstring(&names, ", ");
      luaL_addstring(&names, one);
    }
    luaL_pushresult(&names);
    nl_fail(L, s, "%s: unknown option '%s'%s; it has %s", b->name, name, hint, lua_tostring(L, -1));
  }
}

static int param_named(const nl_binding *b, const char *name) {
  int i = 0;
  while (i < b->n_params && strcmp(b->params[i].name, name) != 0) i++;
  return i;
}

/* Other names that PyTorch and NumPy have for parameters. */
static const struct { const char *name, *param; } other_options[] = {
  {"dim", "dims"}, {"axis", "dims"}, {"axis", "dim"}, {"unbiased", "correction"}, {"hx", "h0"}, {"hx", "h"}, {"other", "z"},
};

/* The parameter that an option names, which has its value on top; b->n_params: none. */
static int find_option(lua_State *L, nl_state *s, const nl_binding *b, const char *name) {
  int i = param_named(b, name);
  for (int k = 0; i == b->n_params && k < NL_ARRAY(other_options); k++)
    if (strcmp(other_options[k].name, name) == 0) i = param_named(b, other_options[k].param);
  if (i < b->n_params && strcmp(name, "unbiased") == 0) { /* a correction of 1 or 0 */
    if (!lua_isboolean(L, -1)) nl_fail(L, s, "%s: unbiased must be a boolean, got %s", b->name, nl_describe(L, s, -1));
    lua_pushinteger(L, lua_toboolean(L, -1));
    lua_replace(L, -2);
  }
  return i;
}

static void bind_options(lua_State *L, nl_state *s, const nl_binding *b, int options, nl_args *a) {
  lua_pushnil(L);
  while (lua_next(L, options)) {
    const char *name = lua_tostring(L, -2);
    int i = find_option(L, s, b, name);
    if (i == b->n_params) extra_option(L, s, b, name, a);
    else {
      while (a->n <= i) a->value[a->n++] = (neap_value){.kind = NEAP_NONE};
      if (a->value[i].kind != NEAP_NONE) nl_fail(L, s, "%s: %s is given twice", b->name, name);
      int top = lua_gettop(L);
      take(L, s, b, i, top, top, a);
    }
    lua_pop(L, 1);
  }
}

/* Operands that an expression left nil. */
static void need_operands(lua_State *L, nl_state *s, const nl_binding *b, const nl_args *a) {
  char name[64];
  for (int i = 0; i < b->n_params && b->params[i].kind == NEAP_OPERAND; i++)
    if (NL_UNLIKELY(i >= a->n || a->value[i].kind == NEAP_NONE) && !(b->params[i].marks & NEAP_P_OPTIONAL))
      nl_fail(L, s, "%s: %s is missing: %s", b->name, param_name(b, &b->params[i], name, sizeof name), kind_text(&b->params[i]));
}

void nl_bind(lua_State *L, nl_state *s, const nl_binding *b, int first, int top, nl_args *a) {
  int options = 0, at = first, p = 0, empty = 0;
  a->needs_grad = a->anchored = a->requires_grad = 0;
  a->base = 1;
  a->n_ints = a->n_tensors = 0;
  if (top >= first && lua_type(L, top) == LUA_TTABLE) {
    if (nl_is_options(L, top)) options = top--;
    else empty = is_empty(L, top);
  }
  for (; p < b->n_params && at <= top; p++) {
    int kind = b->params[p].kind;
    if (NL_UNLIKELY(empty && at == top && kind != NEAP_INTS && kind != NEAP_INT_OR_INTS && kind != NEAP_TENSORS)) break; /* options, none of them given */
    at += take(L, s, b, p, at, top, a);
  }
  a->n = p;
  if (empty && at == top) top--;
  for (; at <= top; at++)
    if (!lua_isnil(L, at)) {
      const neap_param *last = b->n_params ? &b->params[b->n_params - 1] : NULL;
      if (last && last->kind == NEAP_TENSORS && last->marks & NEAP_P_DIMS)
        nl_fail(L, s, "%s: argument %d is %s, not a tensor", b->name, at - first + 1, nl_describe(L, s, at));
      nl_fail(L, s, "%s: takes %d argument%s at most, got %d", b->name, b->n_params, b->n_params == 1 ? "" : "s",
              top - first + 1);
    }
  if (options) bind_options(L, s, b, options, a);
  need_operands(L, s, b, a);
}

/* ---- the other way: a value of the runtime for Lua ---- */

void nl_push_value(lua_State *L, nl_state *s, const neap_param *p, const neap_value *v) {
  choice_list c = {.text = p->choices};
  (void)s;
  switch (v->kind) {
  case NEAP_NUMBER: lua_pushnumber(L, v->d); return;
  case NEAP_INT: lua_pushinteger(L, p->marks & (NEAP_P_AXIS | NEAP_P_INDEX) && v->i >= 0 ? v->i + 1 : v->i); return;
  case NEAP_FLAG: lua_pushboolean(L, v->i != 0); return;
  case NEAP_DTYPE: lua_pushstring(L, v->i >= 0 ? neap_dtype_about((neap_dtype)v->i)->name : NULL); return;
  case NEAP_TEXT: lua_pushstring(L, v->s); return;
  case NEAP_ENUM: lua_pushstring(L, p->choices ? next_choice(&c, (int)v->i) : NULL); return;
  case NEAP_INTS:
    lua_createtable(L, v->n, 0);
    for (int i = 0; i < v->n; i++) {
      lua_pushinteger(L, v->is[i]);
      lua_rawseti(L, -2, i + 1);
    }
    return;
  default: lua_pushnil(L);
  }
}
