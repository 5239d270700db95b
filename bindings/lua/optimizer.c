/* Optimizers, and what is done to the gradients of many parameters at once. A rule of the table becomes rules.NAME(params,
 * options), where params is a list of tensors, or of groups {params = {...}, lr = ...}. The rest is a thin face on the
 * runtime's optimizer; lua/neap/optim.lua makes param_groups, state_dict and schedules of it:
 *   o:step() o:zero_grad() o:name() o:add(params, options) o:group_count() o:group_size(group) o:parameter(group, i)
 *   o:get(group, setting) o:set(group, setting, value) o:steps(group, i, n?) o:state(group, i, slot)
 *   o:state_shape(group, i, slot) o:scalar(group, i, name, value?) */
#include <string.h>
#include "state.h"

static neap_optimizer *check_optimizer(lua_State *L, nl_state *s, int index) { return nl_check(L, s, index, NL_OPTIMIZER); }

/* Room for the tensors of the list at index, in a userdata that is pushed; read_list fills it. */
static neap_tensor **list_room(lua_State *L, nl_state *s, int index, const char *what, int *n) {
  if (!lua_istable(L, index)) {
    const char *got = nl_describe(L, s, index);
    nl_fail(L, s, "%s: takes a list of parameters, got %s", what, got);
  }
  *n = (int)lua_rawlen(L, index);
  return lua_newuserdatauv(L, (size_t)*n * sizeof(neap_tensor *) + 1, 0);
}

/* Allocates nothing unless it raises. */
static void read_list(lua_State *L, nl_state *s, int index, const char *what, int n, neap_tensor **list) {
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, index, i + 1);
    nl_slot *slot;
    list[i] = nl_tensor_at(L, s, -1, &slot);
    if (!list[i]) {
      if (slot) nl_gone(L, s, slot, what);
      const char *got = nl_describe(L, s, -1);
      nl_fail(L, s, "%s: parameter %d is %s, not a tensor", what, i + 1, got);
    }
    lua_pop(L, 1);
  }
}

/* ---- making ---- */

typedef struct rule { nl_binding bind; int number; } rule;

static const rule *rule_of(lua_State *L, int optimizer) {
  lua_getiuservalue(L, optimizer, 1); /* {rule, [group] = parameters} */
  lua_rawgeti(L, -1, 0);
  const rule *r = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return r;
}

/* Settings from the options at `index` (0 or no table: none), laid over those already in a. */
static void overlay(nl_args *a, const nl_args *given) {
  for (int i = 0; i < given->n; i++) {
    while (a->n <= i) a->value[a->n++] = (neap_value){.kind = NEAP_NONE};
    if (given->value[i].kind != NEAP_NONE) a->value[i] = given->value[i];
  }
}

static void read_settings(lua_State *L, nl_state *s, const rule *r, int index, nl_args *a) {
  index = lua_absindex(L, index);
  if (lua_isnoneornil(L, index)) return;
  if (!lua_istable(L, index)) {
    const char *got = nl_describe(L, s, index);
    nl_fail(L, s, "%s: options are a table, got %s", r->bind.name, got);
  }
  nl_args given;
  given.ints = given.int_list;
  given.tensors = given.tensor_list;
  given.room = NL_LIST;
  if (!nl_is_options(L, index)) {
    lua_pushnil(L);
    if (lua_next(L, index)) nl_fail(L, s, "%s: options have names: {lr = 0.1}", r->bind.name);
    return;
  }
  nl_bind(L, s, &r->bind, index, index, &given);
  overlay(a, &given);
}

/* A group without its list of parameters, as options: pushed. */
static void push_group_options(lua_State *L, int group) {
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, group)) {
    if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "params") == 0) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

/* One group: the list at `params`, options at `options` and `own` (or 0). The optimizer keeps the userdata. */
static void add_group(lua_State *L, nl_state *s, const rule *r, int optimizer, int params, int options, int own) {
  int n, top = lua_gettop(L), tries = 0;
  nl_args a;
  luaL_checkstack(L, 20, NULL);
  neap_tensor **list = list_room(L, s, params, r->bind.name, &n);
  lua_getiuservalue(L, optimizer, 1);
  int groups = lua_gettop(L);
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, params, i);
    lua_rawseti(L, -2, i);
  }
  lua_Integer group = neap_optimizer_group_count(check_optimizer(L, s, optimizer)) + 1;
  lua_rawseti(L, groups, group); /* now: what follows the runtime's own success must not fail */
  a.n = 0;
  if (options) read_settings(L, s, r, options, &a);
  if (own) read_settings(L, s, r, own, &a);
  for (;;) {
    nl_set_site(L, s);
    read_list(L, s, params, r->bind.name, n, list);
    int status = neap_optimizer_add(check_optimizer(L, s, optimizer), n, list, a.n, a.value);
    nl_site_done(s);
    if (status == NEAP_OK) break;
    if (!nl_retry(L, s, &tries)) nl_raise(L, s);
  }
  lua_settop(L, top);
}

static void add_params(lua_State *L, nl_state *s, const rule *r, int optimizer, int params, int options) {
  if (!lua_istable(L, params)) {
    const char *got = nl_describe(L, s, params);
    nl_fail(L, s, "%s: takes a list of parameters, such as model:parameters(), got %s", r->bind.name, got);
  }
  lua_rawgeti(L, params, 1);
  int type = lua_type(L, -1);
  lua_pop(L, 1);
  if (type == LUA_TNIL) nl_fail(L, s, "%s: the list of parameters is empty", r->bind.name);
  if (type != LUA_TTABLE) {
    add_group(L, s, r, optimizer, params, options, 0);
    return;
  }
  int n = (int)lua_rawlen(L, params);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, params, i);
    int group = lua_gettop(L);
    if (!lua_istable(L, group) || lua_getfield(L, group, "params") != LUA_TTABLE)
      nl_fail(L, s, "%s: group %d needs a list: {params = {...}, lr = ...}", r->bind.name, i);
    push_group_options(L, group);
    add_group(L, s, r, optimizer, group + 1, options, group + 2);
    lua_settop(L, group - 1);
  }
}

static int construct(lua_State *L) {
  nl_state *s = nl_up(L);
  const rule *r = lua_touserdata(L, lua_upvalueindex(2));
  lua_settop(L, 2);
  nl_slot *slot = nl_new(L, s, NL_OPTIMIZER);
  lua_newtable(L);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_rawseti(L, -2, 0);
  lua_setiuservalue(L, 3, 1);
  slot->object = neap_optimizer_new(s->ctx, r->number);
  if (!slot->object) return nl_raise(L, s);
  add_params(L, s, r, 3, 1, 2);
  lua_settop(L, 3);
  return 1;
}

static int add(lua_State *L) {
  nl_state *s = nl_up(L);
  check_optimizer(L, s, 1);
  lua_settop(L, 3);
  add_params(L, s, rule_of(L, 1), 1, 2, 3);
  return 0;
}

/* ---- using ---- */

static int step(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_set_site(L, s);
  int status = neap_optimizer_step(check_optimizer(L, s, 1));
  nl_site_done(s);
  return status == NEAP_OK ? 0 : nl_raise(L, s);
}

static int zero_grad(lua_State *L) {
  neap_optimizer_zero_grad(check_optimizer(L, nl_up(L), 1));
  return 0;
}

static int name(lua_State *L) {
  nl_state *s = nl_up(L);
  check_optimizer(L, s, 1);
  lua_pushstring(L, rule_of(L, 1)->bind.name);
  return 1;
}

static int group_count(lua_State *L) {
  lua_pushinteger(L, neap_optimizer_group_count(check_optimizer(L, nl_up(L), 1)));
  return 1;
}

/* A group's number, from argument 2, counted from 0. */
static int group_at(lua_State *L, nl_state *s, const neap_optimizer *o) {
  lua_Integer g = luaL_checkinteger(L, 2);
  if (g < 1 || g > neap_optimizer_group_count(o)) nl_fail(L, s, "optimizer: there is no group %I", (LUAI_UACINT)g);
  return (int)g - 1;
}

static int member_at(lua_State *L, nl_state *s, const neap_optimizer *o, int group) {
  lua_Integer i = luaL_checkinteger(L, 3);
  if (i < 1 || i > neap_optimizer_group_size(o, group)) nl_fail(L, s, "optimizer: there is no parameter %I in this group", (LUAI_UACINT)i);
  return (int)i - 1;
}

static int group_size(lua_State *L) {
  nl_state *s = nl_up(L);
  const neap_optimizer *o = check_optimizer(L, s, 1);
  lua_pushinteger(L, neap_optimizer_group_size(o, group_at(L, s, o)));
  return 1;
}

static int parameter(lua_State *L) {
  nl_state *s = nl_up(L);
  const neap_optimizer *o = check_optimizer(L, s, 1);
  int g = group_at(L, s, o), i = member_at(L, s, o, g);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, g + 1);
  lua_rawgeti(L, -1, i + 1);
  return 1;
}

static const char *setting_name(const void *arg, int i) {
  const nl_binding *b = arg;
  return i < b->n_params ? b->params[i].name : NULL;
}

static int setting_at(lua_State *L, nl_state *s, const rule *r) {
  const char *word = luaL_checkstring(L, 3);
  for (int i = 0; i < r->bind.n_params; i++)
    if (strcmp(r->bind.params[i].name, word) == 0) return i;
  const char *hint = nl_hint(L, word, setting_name, &r->bind);
  return nl_fail(L, s, "%s: there is no setting '%s'%s", r->bind.name, word, hint);
}

static int get(lua_State *L) {
  nl_state *s = nl_up(L);
  const neap_optimizer *o = check_optimizer(L, s, 1);
  const rule *r = rule_of(L, 1);
  int g = group_at(L, s, o), i = setting_at(L, s, r);
  neap_value v = neap_optimizer_setting(o, g, i);
  nl_push_value(L, s, &r->bind.params[i], &v);
  return 1;
}

static int set(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_optimizer *o = check_optimizer(L, s, 1);
  const rule *r = rule_of(L, 1);
  int g = group_at(L, s, o), i = setting_at(L, s, r);
  nl_binding one = {.name = r->bind.name, .params = &r->bind.params[i], .n_params = 1};
  nl_args a;
  a.ints = a.int_list;
  a.tensors = a.tensor_list;
  a.room = NL_LIST;
  nl_bind(L, s, &one, 4, 4, &a);
  if (a.n == 0) return nl_fail(L, s, "%s: no value for '%s'", r->bind.name, one.params->name);
  return neap_optimizer_set(o, g, i, a.value[0]) == NEAP_OK ? 0 : nl_raise(L, s);
}

/* o:steps(group, i) -> updates that the parameter has had; with n: sets it. */
static int steps(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_optimizer *o = check_optimizer(L, s, 1);
  int g = group_at(L, s, o), i = member_at(L, s, o, g);
  if (!lua_isnoneornil(L, 4) && neap_optimizer_set_steps(o, g, i, luaL_checkinteger(L, 4)) != NEAP_OK) return nl_raise(L, s);
  lua_pushinteger(L, neap_optimizer_steps(o, g, i));
  return 1;
}

/* The number of the slot named by argument 4. */
static int slot_at(lua_State *L, nl_state *s) {
  const neap_rule_info *info = neap_rule_about(s->ctx, rule_of(L, 1)->number);
  const char *word = luaL_checkstring(L, 4);
  for (int k = 0; k < info->n_slots; k++)
    if (strcmp(info->slots[k], word) == 0) return k;
  return nl_fail(L, s, "%s: there is no state '%s'", info->name, word);
}

/* o:state(group, i, slot): a view of the state, by its name; nil when it is not used. */
static int state(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *result = nl_new(L, s, NL_TENSOR);
  neap_optimizer *o = check_optimizer(L, s, 1);
  int g = group_at(L, s, o), i = member_at(L, s, o, g);
  neap_tensor *t = neap_optimizer_state(o, g, i, slot_at(L, s));
  if (t) nl_set_slot(s, result, t);
  else if (neap_error(s->ctx) != NEAP_OK) return nl_raise(L, s);
  else lua_pushnil(L);
  return 1;
}

/* o:state_shape(group, i, slot): a list of its sizes; nil when it is not used. */
static int state_shape(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_optimizer *o = check_optimizer(L, s, 1);
  int g = group_at(L, s, o), i = member_at(L, s, o, g);
  int64_t shape[NEAP_MAX_DIMS];
  int n = neap_optimizer_state_shape(o, g, i, slot_at(L, s), shape);
  if (n < 0) return lua_pushnil(L), 1;
  lua_createtable(L, n, 0);
  for (int k = 0; k < n; k++) {
    lua_pushinteger(L, shape[k]);
    lua_rawseti(L, -2, k + 1);
  }
  return 1;
}

/* o:scalar(group, i, name): a number of the state; with v: sets it. */
static int scalar(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_optimizer *o = check_optimizer(L, s, 1);
  const neap_rule_info *info = neap_rule_about(s->ctx, rule_of(L, 1)->number);
  int g = group_at(L, s, o), i = member_at(L, s, o, g);
  const char *word = luaL_checkstring(L, 4);
  for (int k = 0; k < info->n_scalars; k++) {
    if (strcmp(info->scalars[k], word) != 0) continue;
    if (!lua_isnoneornil(L, 5) && neap_optimizer_set_scalar(o, g, i, k, luaL_checknumber(L, 5)) != NEAP_OK) return nl_raise(L, s);
    lua_pushnumber(L, neap_optimizer_scalar(o, g, i, k));
    return 1;
  }
  return nl_fail(L, s, "%s: there is no number '%s' in the state", info->name, word);
}

/* ---- LBFGS ---- */

static int tell(lua_State *L) { /* o:tell(loss) -> whether it wants another one */
  nl_state *s = nl_up(L);
  nl_set_site(L, s);
  int more = neap_optimizer_tell(check_optimizer(L, s, 1), luaL_checknumber(L, 2));
  nl_site_done(s);
  if (more < 0) return nl_raise(L, s);
  lua_pushboolean(L, more);
  return 1;
}

static int cancel(lua_State *L) {
  neap_optimizer_cancel(check_optimizer(L, nl_up(L), 1));
  return 0;
}

static const char *const lbfgs_tensors[] = {"d", "prev_flat_grad", "old_dirs", "old_stps", "ro"};
static const char *const lbfgs_numbers[] = {"t", "H_diag", "prev_loss"};

/* o:lbfgs_state() -> a table of tensors and numbers, or nil before the first step */
static int lbfgs_state(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_optimizer *o = check_optimizer(L, s, 1);
  neap_lbfgs_state b;
  nl_slot *slot[5];
  lua_settop(L, 1);
  lua_createtable(L, 0, 10);
  for (int i = 0; i < 5; i++) {
    slot[i] = nl_new(L, s, NL_TENSOR);
    lua_setfield(L, 2, lbfgs_tensors[i]);
  }
  int there = neap_lbfgs_get(o, &b);
  if (there < 0) return nl_raise(L, s);
  if (!there) return 0;
  neap_tensor *tensors[] = {b.d, b.prev_flat_grad, b.old_dirs, b.old_stps, b.ro};
  double numbers[] = {b.t, b.H_diag, b.prev_loss};
  for (int i = 0; i < 5; i++) nl_set_slot(s, slot[i], tensors[i]);
  for (int i = 0; i < 3; i++) {
    lua_pushnumber(L, numbers[i]);
    lua_setfield(L, 2, lbfgs_numbers[i]);
  }
  lua_pushinteger(L, b.n_iter);
  lua_setfield(L, 2, "n_iter");
  lua_pushinteger(L, b.func_evals);
  lua_setfield(L, 2, "func_evals");
  return 1;
}

/* o:set_lbfgs_state(table) */
static int set_lbfgs_state(lua_State *L) {
  nl_state *s = nl_up(L);
  neap_optimizer *o = check_optimizer(L, s, 1);
  neap_tensor *tensors[5];
  double numbers[3];
  lua_settop(L, 2);
  luaL_checktype(L, 2, LUA_TTABLE);
  for (int i = 0; i < 5; i++) {
    lua_getfield(L, 2, lbfgs_tensors[i]);
    tensors[i] = nl_check_tensor(L, s, lua_gettop(L));
  }
  for (int i = 0; i < 3; i++) {
    lua_getfield(L, 2, lbfgs_numbers[i]);
    numbers[i] = luaL_checknumber(L, -1);
  }
  lua_getfield(L, 2, "n_iter");
  lua_getfield(L, 2, "func_evals");
  neap_lbfgs_state b = {.n_iter = luaL_checkinteger(L, -2), .func_evals = luaL_checkinteger(L, -1), .t = numbers[0],
                        .H_diag = numbers[1], .prev_loss = numbers[2], .d = tensors[0], .prev_flat_grad = tensors[1],
                        .old_dirs = tensors[2], .old_stps = tensors[3], .ro = tensors[4]};
  return neap_lbfgs_set(o, &b) == NEAP_OK ? 0 : nl_raise(L, s);
}

/* ---- schedules ---- */

/* The settings in the table at `index`, for schedule number k. Pushes one value. */
static void schedule_settings(lua_State *L, nl_state *s, int k, int index, nl_args *a) {
  const neap_schedule_info *info = neap_schedule_about(s->ctx, k);
  if (!info) nl_raise(L, s);
  nl_binding bind = {.name = info->name, .params = info->params, .n_params = info->n_params};
  luaL_checktype(L, index, LUA_TTABLE);
  nl_bind_room(L, &bind, index, index, a);
  nl_bind(L, s, &bind, index, index, a);
}

/* schedule_at(name, base, steps, settings) -> rate, momentum or nil */
static int schedule_at(lua_State *L) {
  nl_state *s = nl_open(L);
  nl_args a;
  double rate, momentum, base = luaL_checknumber(L, 2);
  int k = neap_schedule_find(luaL_checkstring(L, 1));
  if (k < 0) return nl_fail(L, s, "schedule_at: there is no schedule '%s'", lua_tostring(L, 1));
  double steps = luaL_checknumber(L, 3);
  lua_settop(L, 4);
  schedule_settings(L, s, k, 4, &a);
  if (neap_schedule_at(s->ctx, k, base, steps, a.n, a.value, &rate, &momentum) != NEAP_OK) return nl_raise(L, s);
  lua_pushnumber(L, rate);
  if (momentum == momentum) lua_pushnumber(L, momentum);
  else lua_pushnil(L);
  return 2;
}

/* plateau_step(measure, best or nil, bad, rest, settings) -> whether to reduce, best, bad, rest */
static int plateau_step(lua_State *L) {
  nl_state *s = nl_open(L);
  nl_args a;
  double measure = luaL_checknumber(L, 1);
  neap_plateau p = {.best = luaL_optnumber(L, 2, 0), .begun = !lua_isnoneornil(L, 2), .bad = luaL_checkinteger(L, 3),
                    .rest = luaL_checkinteger(L, 4)};
  lua_settop(L, 5);
  schedule_settings(L, s, neap_schedule_find("ReduceLROnPlateau"), 5, &a);
  int reduce = neap_plateau_step(s->ctx, &p, measure, a.n, a.value);
  if (reduce < 0) return nl_raise(L, s);
  lua_pushboolean(L, reduce);
  if (p.begun) lua_pushnumber(L, p.best);
  else lua_pushnil(L);
  lua_pushinteger(L, p.bad);
  lua_pushinteger(L, p.rest);
  return 4;
}

/* ---- many gradients at once ---- */

static int clip_grad_norm(lua_State *L) { /* (params, max_norm, p = 2) -> the norm before */
  nl_state *s = nl_open(L);
  int n;
  double max_norm = luaL_checknumber(L, 2), p = luaL_optnumber(L, 3, 2);
  neap_tensor **list = list_room(L, s, 1, "clip_grad_norm_", &n);
  read_list(L, s, 1, "clip_grad_norm_", n, list);
  double norm = neap_clip_grad_norm(s->ctx, n, list, max_norm, p);
  if (neap_error(s->ctx) != NEAP_OK) return nl_raise(L, s);
  lua_pushnumber(L, norm);
  return 1;
}

static int clip_grad_value(lua_State *L) { /* (params, limit) */
  nl_state *s = nl_open(L);
  int n;
  double limit = luaL_checknumber(L, 2);
  neap_tensor **list = list_room(L, s, 1, "clip_grad_value_", &n);
  read_list(L, s, 1, "clip_grad_value_", n, list);
  return neap_clip_grad_value(s->ctx, n, list, limit) == NEAP_OK ? 0 : nl_raise(L, s);
}

static int penalty(lua_State *L) { /* (params, l1, l2) -> l1 sum |w| + l2 sum w^2, recorded */
  nl_state *s = nl_up(L);
  int n;
  lua_settop(L, 3);
  double l1 = luaL_optnumber(L, 2, 0), l2 = luaL_optnumber(L, 3, 0);
  nl_slot *result = nl_new(L, s, NL_TENSOR);
  neap_tensor **list = list_room(L, s, 1, "penalty", &n);
  nl_set_site(L, s);
  read_list(L, s, 1, "penalty", n, list);
  neap_tensor *t = neap_penalty(s->ctx, n, list, l1, l2);
  nl_site_done(s);
  if (!t) return nl_raise(L, s);
  nl_set_slot(s, result, t);
  nl_inherit(L, s, 4, 1, 1);
  lua_settop(L, 4);
  return 1;
}

/* ---- a training step in slices ---- */

/* job(model, optimizer, loss): model of C; loss: the name of an op of a prediction and a target */
static int job(lua_State *L) {
  nl_state *s = nl_up(L);
  int op = neap_op_find(luaL_checkstring(L, 3));
  if (op < 0) return nl_fail(L, s, "job: there is no op '%s'", lua_tostring(L, 3));
  nl_slot *slot = nl_new(L, s, NL_JOB);
  lua_createtable(L, 2, 0); /* the job's own: hooks and what else hangs from the userdata last */
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, -2, 1);
  slot->object = neap_job_new(nl_check(L, s, 1, NL_MODULE), check_optimizer(L, s, 2), op);
  return slot->object ? 1 : nl_raise(L, s);
}

static int job_begin(lua_State *L) { /* j:begin(x, target) */
  nl_state *s = nl_up(L);
  nl_set_site(L, s);
  int status = neap_job_begin(nl_check(L, s, 1, NL_JOB), nl_check_tensor(L, s, 2), nl_check_tensor(L, s, 3));
  nl_site_done(s);
  return status == NEAP_OK ? 0 : nl_raise(L, s);
}

static int job_step(lua_State *L) { /* j:step(budget_us) -> whether there is more */
  nl_state *s = nl_up(L);
  lua_Integer budget = luaL_optinteger(L, 2, INT64_MAX / 2);
  int more = neap_step(nl_check(L, s, 1, NL_JOB), budget);
  if (more < 0) return nl_raise(L, s);
  lua_pushboolean(L, more);
  return 1;
}

static int job_loss(lua_State *L) {
  lua_pushnumber(L, neap_job_loss(nl_check(L, nl_up(L), 1, NL_JOB)));
  return 1;
}

void nl_open_optimizer(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {
    {"clip_grad_norm_", clip_grad_norm}, {"clip_grad_value_", clip_grad_value}, {"penalty", penalty}, {"job", job},
    {"schedule_at", schedule_at}, {"plateau_step", plateau_step}, {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
    {"step", step}, {"zero_grad", zero_grad}, {"name", name}, {"add", add}, {"group_count", group_count},
    {"group_size", group_size}, {"parameter", parameter}, {"get", get}, {"set", set}, {"steps", steps}, {"state", state},
    {"state_shape", state_shape}, {"scalar", scalar},
    {"tell", tell}, {"cancel", cancel}, {"lbfgs_state", lbfgs_state}, {"set_lbfgs_state", set_lbfgs_state}, {NULL, NULL},
  };
  static const luaL_Reg job_methods[] = {{"begin", job_begin}, {"step", job_step}, {"loss", job_loss}, {NULL, NULL}};
  int neap = lua_gettop(L), n = neap_rule_count();
  nl_functions(L, functions);
  lua_createtable(L, 0, n);
  for (int i = 0; i < n; i++) {
    const neap_rule_info *info = neap_rule_about(s->ctx, i);
    if (!info) nl_raise(L, s);
    if (info->n_params > NL_ARGS) luaL_error(L, "neap: %s has too many settings", info->name);
    nl_push_state(L);
    rule *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (rule){.bind = {.name = info->name, .params = info->params, .n_params = info->n_params}, .number = i};
    lua_pushcclosure(L, construct, 2);
    lua_setfield(L, -2, info->name);
  }
  lua_setfield(L, neap, "rules");
  nl_metatable(L, s, NL_OPTIMIZER);
  nl_methods(L, s, NL_OPTIMIZER);
  nl_functions(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, neap, "optimizer_methods");
  lua_setfield(L, neap, "optimizer_meta");
  nl_metatable(L, s, NL_JOB);
  nl_methods(L, s, NL_JOB);
  nl_functions(L, job_methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
