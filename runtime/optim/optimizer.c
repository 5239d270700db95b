/* Optimizers made, given parameters, asked and let go. Adding a group lays its parameters out (see optim.h). */
#include <math.h>
#include <string.h>
#include "optim.h"

/* ---- settings ---- */

static int check_settings(neap_optimizer *o, const neap_value *set) {
  for (int i = 0; i < o->info->s.n_params; i++) {
    const neap_param *p = &o->info->s.param[i];
    if (set[i].kind != NEAP_NUMBER) continue;
    if (isnan(set[i].d) || isinf(set[i].d))
      return np_fail(o->ctx, NEAP_ERR_ARGUMENT, "%s: %s must be finite, not %g", o->rule->name, p->name, set[i].d);
    if (set[i].d < 0 && !(p->standard.d < 0))
      return np_fail(o->ctx, NEAP_ERR_ARGUMENT, "%s: %s must be 0 or more, not %g", o->rule->name, p->name, set[i].d);
    if (strncmp(p->name, "beta", 4) == 0 && !(set[i].d < 1))
      return np_fail(o->ctx, NEAP_ERR_ARGUMENT, "%s: %s must be below 1, not %g", o->rule->name, p->name, set[i].d);
  }
  return o->rule->check(o->ctx, set);
}

static int bind_settings(neap_optimizer *o, int n, const neap_value *given, neap_value *set) {
  if (np_bind(o->ctx, o->rule->name, &o->info->s, n, given, set) != 0) return o->ctx->error;
  return check_settings(o, set);
}

/* ---- making ---- */

neap_optimizer *neap_optimizer_new(neap_context *c, int rule) {
  if (np_failed(c)) return NULL;
  if (rule < 0 || rule >= neap_rule_count()) {
    np_fail(c, NEAP_ERR_ARGUMENT, "there is no update rule with number %d", rule);
    return NULL;
  }
  const np_rule_info *info = np_rule_about(c, rule);
  neap_optimizer *o = info ? np_alloc_zero(c, sizeof *o) : NULL;
  if (!o) return NULL;
  o->ctx = c;
  o->rule = np_rule_row(rule);
  o->info = info;
  o->refs = 1;
  c->handles++;
  return o;
}

neap_optimizer *np_optimizer_hold(neap_optimizer *o) {
  o->refs++;
  return o;
}

static void free_group(neap_context *c, np_group *g) {
  if (!g) return;
  for (int i = 0; g->member && i < g->n; i++) {
    if (g->member[i].home) g->member[i].home->flags &= (uint16_t)~NP_HOME;
    np_drop(g->member[i].home);
    np_drop(g->member[i].t);
  }
  for (int k = 0; k < NP_KINDS; k++) {
    np_line *l = &g->line[k];
    if (l->w) np_storage_release(l->w);
    if (l->g) np_storage_release(l->g);
    for (int s = 0; s < NP_MAX_SLOTS; s++)
      if (l->slot[s]) np_storage_release(l->slot[s]);
  }
  np_free(c, g->member, (size_t)g->n * sizeof *g->member);
  np_free(c, g, sizeof *g);
}

void neap_optimizer_release(neap_optimizer *o) {
  if (!o || --o->refs > 0) return;
  neap_context *c = o->ctx;
  np_lbfgs_free(c, o->lbfgs);
  for (int i = 0; i < o->n_groups; i++) free_group(c, o->group[i]);
  np_free(c, o->group, (size_t)o->room * sizeof *o->group);
  np_free(c, o, sizeof *o);
  np_context_drop(c);
}

/* ---- adding parameters ---- */

static int check_parameter(neap_optimizer *o, const neap_tensor *t, int i) {
  neap_context *c = o->ctx;
  const char *rule = o->rule->name;
  i += c->site.base;
  if (!t) return np_fail(c, NEAP_ERR_ARGUMENT, "%s: parameter %d is NULL", rule, i);
  if (t->ctx != c) return np_fail(c, NEAP_ERR_ARGUMENT, "%s: parameter %d belongs to another context", rule, i);
  if (t->record)
    return np_fail(c, NEAP_ERR_ARGUMENT, "%s: parameter %d is the result of an op; only leaves can be optimized", rule, i);
  if (t->at.dtype != NEAP_F32 && t->at.dtype != NEAP_F64)
    return np_fail(c, NEAP_ERR_DTYPE, "%s: parameter %d is %s; float32 and float64 can be optimized", rule, i,
                   np_dtypes[t->at.dtype].info.name);
  if (o->rule->dims && t->at.ndim != o->rule->dims)
    return np_fail(c, NEAP_ERR_SHAPE, "%s: parameter %d has %d dimensions; only those with %d can be optimized so", rule, i,
                   t->at.ndim, o->rule->dims);
  if (t->storage->read_only) return np_fail(c, NEAP_ERR_STATE, "%s: parameter %d lies in read-only memory", rule, i);
  if (t->flags & NP_LISTED) return np_fail(c, NEAP_ERR_ARGUMENT, "%s: parameter %d is already being optimized", rule, i);
  return NEAP_OK;
}

static void mark_members(neap_optimizer *o, int on) {
  for (int g = 0; g < o->n_groups; g++)
    for (int i = 0; i < o->group[g]->n; i++) {
      neap_tensor *t = o->group[g]->member[i].t;
      t->flags = (uint16_t)(on ? t->flags | NP_LISTED : t->flags & ~NP_LISTED);
    }
}

/* Each handle once in all groups: those met carry a mark meanwhile. */
static int check_parameters(neap_optimizer *o, int n, neap_tensor *const *t) {
  int met = 0;
  mark_members(o, 1);
  for (; met < n && check_parameter(o, t[met], met) == 0; met++) t[met]->flags |= NP_LISTED;
  for (int i = 0; i < met; i++) t[i]->flags &= (uint16_t)~NP_LISTED;
  mark_members(o, 0);
  return o->ctx->error;
}

static np_storage *zeros(neap_context *c, int64_t n, int kind) {
  size_t bytes;
  if (np_mul_size((size_t)n, (size_t)np_kind_size(kind), &bytes) != 0) {
    np_fail(c, NEAP_ERR_MEMORY, "optimizer: too many parameters");
    return NULL;
  }
  np_storage *s = np_storage_new(c, bytes);
  if (s) memset(s->data, 0, bytes);
  return s;
}

/* A handle on a member's place in one of its lines. */
static neap_tensor *place_on(neap_context *c, np_storage *s, const np_member *m) {
  np_layout l;
  np_layout_set(&l, m->kind ? NEAP_F64 : NEAP_F32, m->t->at.ndim, m->t->at.shape);
  l.offset = m->at;
  return np_tensor_on(c, s, &l);
}

/* The shape of a parameter's slot, whatever the settings; 0: it has none, having too few dimensions or too many. */
static int slot_shape(const np_rule_info *r, const np_member *m, int slot, np_layout *l) {
  int64_t shape[NEAP_MAX_DIMS];
  int n = m->t->at.ndim, how = r->shape[slot];
  if (how != NP_SLOT_FULL && (n < 2) != (how == NP_SLOT_FLAT)) return 0;
  for (int i = 0; i < n; i++) shape[i] = m->t->at.shape[i];
  if (how == NP_SLOT_ROWS) shape[n - 1] = 1;
  if (how == NP_SLOT_COLS) shape[n - 2] = 1;
  np_layout_set(l, m->kind ? NEAP_F64 : NEAP_F32, n, shape);
  return 1;
}

/* Moves a parameter into the line unless somebody else has its memory too. */
static int move_in(neap_context *c, np_member *m, np_storage *s) {
  neap_tensor *t = m->t;
  if (t->base || atomic_load(&t->storage->refs) > 1) return NEAP_OK;
  neap_tensor *place = place_on(c, s, m);
  if (!place) return c->error;
  np_copy(c, place, t);
  np_tensor_rehome(t, s, m->at);
  return c->error;
}

/* The home is the gradient's own storage inside of the line; a gradient that is there moves in. */
static int make_home(neap_context *c, np_member *m, np_storage *s) {
  neap_tensor *home = place_on(c, s, m), *old = m->t->grad;
  if (!home) return c->error;
  np_tensor_rehome(home, s, m->at);
  if (np_failed(c)) return c->error;
  m->home = np_hold(home);
  home->flags |= NP_HOME;
  if (m->t->flags & NP_HAS_GRAD) {
    if (old->record || old->at.dtype != home->at.dtype) return NEAP_OK; /* part of a graph: it stays until it is cleared */
    np_copy(c, home, old);
  }
  m->t->grad = np_hold(home);
  np_drop(old);
  return NEAP_OK;
}

static int64_t padded(int64_t n) { return (n + NP_LINE_ALIGN - 1) / NP_LINE_ALIGN * NP_LINE_ALIGN; }

/* A slot like the parameter has the parameter's place in a line of its own; others follow each other. */
static void place_slots(const np_rule_info *r, np_member *m, np_line *l) {
  for (int s = 0; s < r->about.n_slots; s++) {
    np_layout at;
    if (r->shape[s] == NP_SLOT_FULL) {
      m->at_slot[s] = m->at;
      l->n_slot[s] = l->n;
    } else if (slot_shape(r, m, s, &at)) {
      m->at_slot[s] = l->n_slot[s];
      l->n_slot[s] += padded(at.count);
    }
  }
}

static int lay_out(neap_context *c, const np_rule_info *r, np_group *g) {
  for (int i = 0; i < g->n; i++) {
    np_member *m = &g->member[i];
    np_line *l = &g->line[m->kind];
    m->at = l->n;
    l->n += padded(m->t->at.count);
    place_slots(r, m, l);
  }
  for (int k = 0; k < NP_KINDS; k++) {
    np_line *l = &g->line[k];
    if (l->n == 0) continue;
    if (!(l->w = zeros(c, l->n, k)) || !(l->g = zeros(c, l->n, k))) return c->error;
  }
  for (int i = 0; i < g->n; i++) {
    np_line *l = &g->line[g->member[i].kind];
    if (l->n && (move_in(c, &g->member[i], l->w) != 0 || make_home(c, &g->member[i], l->g) != 0)) return c->error;
  }
  return NEAP_OK;
}

static np_group *new_group(neap_optimizer *o, int n, neap_tensor *const *t, const neap_value *set) {
  neap_context *c = o->ctx;
  np_group *g = np_alloc_zero(c, sizeof *g);
  if (!g) return NULL;
  g->member = np_alloc_zero(c, (size_t)n * sizeof *g->member);
  memcpy(g->set, set, sizeof g->set);
  if (!g->member) {
    np_free(c, g, sizeof *g);
    return NULL;
  }
  g->n = n;
  for (int i = 0; i < n; i++) {
    g->member[i].t = np_hold(t[i]);
    g->member[i].kind = t[i]->at.dtype == NEAP_F64;
  }
  neap_scope scope;
  np_scope_enter(c, &scope);
  int status = lay_out(c, o->info, g);
  np_scope_leave(&scope, 0, NULL);
  if (status == 0) return g;
  free_group(c, g);
  return NULL;
}

static int make_room(neap_optimizer *o) {
  if (o->n_groups < o->room) return NEAP_OK;
  int more = o->room ? 2 * o->room : 4;
  np_group **list = np_alloc(o->ctx, (size_t)more * sizeof *list);
  if (!list) return o->ctx->error;
  if (o->n_groups) memcpy(list, o->group, (size_t)o->n_groups * sizeof *list);
  np_free(o->ctx, o->group, (size_t)o->room * sizeof *list);
  o->group = list;
  o->room = more;
  return NEAP_OK;
}

int neap_optimizer_add(neap_optimizer *o, int n, neap_tensor *const *parameters, int n_settings, const neap_value *settings) {
  if (!o) return NEAP_ERR_ARGUMENT;
  neap_context *c = o->ctx;
  neap_value set[NP_MAX_ARGS] = {{0}};
  if (np_failed(c)) return c->error;
  if (n < 1) return np_fail(c, NEAP_ERR_ARGUMENT, "%s: there are no parameters to optimize", o->rule->name);
  if (bind_settings(o, n_settings, settings, set) != 0 || check_parameters(o, n, parameters) != 0 || make_room(o) != 0)
    return c->error;
  np_group *g = new_group(o, n, parameters, set);
  if (!g) return c->error;
  o->group[o->n_groups++] = g;
  return NEAP_OK;
}

/* ---- asked and set ---- */

static np_group *group_of(const neap_optimizer *o, int group) {
  return o && group >= 0 && group < o->n_groups ? o->group[group] : NULL;
}

static np_member *member_of(const neap_optimizer *o, int group, int i) {
  np_group *g = group_of(o, group);
  return g && i >= 0 && i < g->n ? &g->member[i] : NULL;
}

int neap_optimizer_group_count(const neap_optimizer *o) { return o ? o->n_groups : 0; }

int neap_optimizer_group_size(const neap_optimizer *o, int group) {
  np_group *g = group_of(o, group);
  return g ? g->n : 0;
}

neap_tensor *neap_optimizer_parameter(const neap_optimizer *o, int group, int i) {
  np_member *m = member_of(o, group, i);
  return m ? m->t : NULL;
}

neap_value neap_optimizer_setting(const neap_optimizer *o, int group, int setting) {
  np_group *g = group_of(o, group);
  return g && setting >= 0 && setting < o->info->s.n_params ? g->set[setting] : (neap_value){0};
}

int neap_optimizer_set(neap_optimizer *o, int group, int setting, neap_value v) {
  np_group *g = group_of(o, group);
  neap_value given[NP_MAX_ARGS], set[NP_MAX_ARGS] = {{0}};
  if (!o) return NEAP_ERR_ARGUMENT;
  if (np_failed(o->ctx)) return o->ctx->error;
  if (!g || setting < 0 || setting >= o->info->s.n_params)
    return np_fail(o->ctx, NEAP_ERR_INDEX, "%s: no group %d with a setting %d", o->rule->name, group, setting);
  memcpy(given, g->set, sizeof given);
  given[setting] = v;
  if (bind_settings(o, o->info->s.n_params, given, set) != 0) return o->ctx->error;
  memcpy(g->set, set, sizeof set);
  return NEAP_OK;
}

int64_t neap_optimizer_steps(const neap_optimizer *o, int group, int i) {
  np_member *m = member_of(o, group, i);
  return m ? m->steps : 0;
}

int neap_optimizer_set_steps(neap_optimizer *o, int group, int i, int64_t steps) {
  np_member *m = member_of(o, group, i);
  if (!o) return NEAP_ERR_ARGUMENT;
  if (np_failed(o->ctx)) return o->ctx->error;
  if (!m || steps < 0) return np_fail(o->ctx, NEAP_ERR_INDEX, "%s: no such parameter, or a negative count", o->rule->name);
  m->steps = steps;
  m->begun = steps > 0;
  return NEAP_OK;
}

/* ---- state ---- */

static int slot_used(const neap_optimizer *o, const np_group *g, int slot) {
  int needs = o->info->needs[slot];
  return needs < 0 || (g->set[needs].kind == NEAP_NUMBER ? g->set[needs].d != 0 : g->set[needs].i != 0);
}

int np_slot_layout(const neap_optimizer *o, const np_group *g, const np_member *m, int slot, np_layout *l) {
  if (slot < 0 || slot >= o->info->about.n_slots || !slot_used(o, g, slot) || !slot_shape(o->info, m, slot, l)) return 0;
  l->offset = m->at_slot[slot];
  return 1;
}

int np_make_slots(neap_optimizer *o, np_group *g) {
  for (int s = 0; s < o->info->about.n_slots; s++) {
    if (!slot_used(o, g, s)) continue;
    for (int k = 0; k < NP_KINDS; k++) {
      np_line *l = &g->line[k];
      if (l->n_slot[s] && !l->slot[s] && !(l->slot[s] = zeros(o->ctx, l->n_slot[s], k))) return o->ctx->error;
    }
  }
  return NEAP_OK;
}

neap_tensor *neap_optimizer_state(neap_optimizer *o, int group, int i, int slot) {
  np_group *g = group_of(o, group);
  np_member *m = member_of(o, group, i);
  np_layout at;
  if (!m || np_failed(o->ctx) || m->steps == 0 || !np_slot_layout(o, g, m, slot, &at) || np_make_slots(o, g) != 0) return NULL;
  np_storage *s = g->line[m->kind].slot[slot];
  return s ? np_tensor_on(o->ctx, s, &at) : np_tensor_new(o->ctx, at.dtype, at.ndim, at.shape); /* without elements */
}

int neap_optimizer_state_shape(const neap_optimizer *o, int group, int i, int slot, int64_t shape[NEAP_MAX_DIMS]) {
  np_group *g = group_of(o, group);
  np_member *m = member_of(o, group, i);
  np_layout at;
  if (!m || !np_slot_layout(o, g, m, slot, &at)) return -1;
  memcpy(shape, at.shape, (size_t)at.ndim * sizeof *shape);
  return at.ndim;
}

void np_begin_scalars(const neap_optimizer *o, const np_group *g, np_member *m) {
  for (int i = 0; m->steps == 0 && i < o->info->about.n_scalars; i++)
    m->scalar[i] = o->info->from[i] >= 0 ? g->set[o->info->from[i]].d : o->info->start[i];
}

double neap_optimizer_scalar(const neap_optimizer *o, int group, int i, int scalar) {
  np_member *m = member_of(o, group, i);
  return m && scalar >= 0 && scalar < o->info->about.n_scalars ? m->scalar[scalar] : 0;
}

int neap_optimizer_set_scalar(neap_optimizer *o, int group, int i, int scalar, double v) {
  np_member *m = member_of(o, group, i);
  if (!o) return NEAP_ERR_ARGUMENT;
  if (np_failed(o->ctx)) return o->ctx->error;
  if (!m || scalar < 0 || scalar >= o->info->about.n_scalars)
    return np_fail(o->ctx, NEAP_ERR_INDEX, "%s: no such parameter, or no number %d in its state", o->rule->name, scalar);
  m->scalar[scalar] = v;
  return NEAP_OK;
}
