/* The update: neighbours in memory that are updated together form a run, a run is cut into fixed blocks, and each block is
 * one call of the rule's kernel; a rule that looks at whole parameters gets them one by one. A parameter without a gradient is left out, with its state and its count of steps. */
#include <string.h>
#include "optim.h"

/* ---- runs ---- */

typedef struct run {
  int last;         /* the member behind the last one */
  int loose;        /* one member that is strided, or whose gradient is: updated by way of copies */
  np_chunk all;
} run;

static int has_gradient(const np_member *m) { return (m->t->flags & NP_HAS_GRAD) && m->t->at.count > 0; }

static int is_loose(const np_member *m) {
  const neap_tensor *g = m->t->grad;
  return !np_contiguous(m->t) || !np_contiguous(g) || g->at.dtype != m->t->at.dtype;
}

static int in_line(const np_storage *s, const char *p) { return s && p >= s->data && p < s->data + s->bytes; }

/* b continues a: in the line, and in weights and gradients too. Elements between them are the line's padding. */
static int follows(const np_line *l, const np_member *first, const np_member *a, const np_member *b) {
  if (!has_gradient(b) || b->kind != first->kind || b->steps != first->steps || b->begun != first->begun || is_loose(b) ||
      memcmp(b->scalar, first->scalar, sizeof b->scalar) != 0)
    return 0;
  int64_t size = np_kind_size(a->kind), step = (b->at - a->at) * size, gap = step - a->t->at.count * size;
  const char *w = np_data(a->t), *g = np_data(a->t->grad);
  if (np_data(b->t) != w + step || np_data(b->t->grad) != g + step) return 0;
  return gap == 0 || (in_line(l->w, w) && in_line(l->g, g));
}

static void find_run(neap_optimizer *o, np_group *g, int i, run *r) {
  const np_member *first = &g->member[i], *m = first;
  const np_line *l = &g->line[first->kind];
  *r = (run){.last = i + 1, .loose = is_loose(first)};
  while (!r->loose && !o->rule->whole && r->last < g->n) {
    const np_member *next = &g->member[r->last];
    if (next->t->at.count > 0) {
      if (!follows(l, first, m, next)) break;
      m = next;
    }
    r->last++;
  }
  int64_t size = np_kind_size(first->kind);
  r->all = (np_chunk){.n = m->at + m->t->at.count - first->at, .step = first->steps + 1, .first = !first->begun, .scalar = first->scalar,
                      .w = np_data(first->t), .g = np_data(first->t->grad)};
  for (int s = 0; s < o->info->about.n_slots; s++) {
    np_layout at;
    r->all.slot[s] = np_slot_layout(o, g, first, s, &at) && l->slot[s] ? l->slot[s]->data + at.offset * size : NULL;
  }
}

/* ---- blocks ---- */

typedef struct update {
  const np_rule *rule;
  const np_optim *kernels;
  const neap_value *set;
  const np_chunk *all;
  int64_t from, to;   /* elements of the run that are done now */
  int kind, maximize;
} update;

static np_chunk part_of(const np_chunk *all, int64_t from, int64_t n, int64_t size) {
  np_chunk p = *all;
  p.n = n;
  p.w += from * size;
  p.g += from * size;
  for (int s = 0; s < NP_MAX_SLOTS; s++)
    if (p.slot[s]) p.slot[s] += from * size;
  return p;
}

/* Uphill: the kernel sees the gradient turned round, a tile at a time. */
static void update_uphill(const update *u, int64_t from, int64_t to) {
  enum { TILE = 256 };
  double tile[TILE];
  for (int64_t at = from; at < to; at += TILE) {
    np_chunk p = part_of(u->all, at, to - at < TILE ? to - at : TILE, np_kind_size(u->kind));
    for (int64_t i = 0; i < p.n; i++) {
      if (u->kind) tile[i] = -((const double *)(const void *)p.g)[i];
      else ((float *)tile)[i] = -((const float *)(const void *)p.g)[i];
    }
    p.g = (const char *)tile;
    u->rule->update(u->kernels, u->set, &p);
  }
}

static void update_block(void *arg, int64_t block) {
  const update *u = arg;
  int64_t from = u->from + block * NP_GRAIN, to = from + NP_GRAIN < u->to ? from + NP_GRAIN : u->to;
  if (u->maximize) {
    update_uphill(u, from, to);
    return;
  }
  np_chunk p = part_of(u->all, from, to - from, np_kind_size(u->kind));
  u->rule->update(u->kernels, u->set, &p);
}

static int update_elements(neap_optimizer *o, const np_group *g, const np_member *m, const np_chunk *all, int64_t from, int64_t to) {
  neap_context *c = o->ctx;
  int up = o->info->maximize >= 0 && g->set[o->info->maximize].i;
  if (o->rule->whole) {
    np_entire p = {.all = *all, .set = g->set, .kind = m->kind, .ndim = m->t->at.ndim, .shape = m->t->at.shape, .sign = up ? -1 : 1};
    return o->rule->whole(c, &p);
  }
  update u = {.rule = o->rule, .kernels = c->kernels->optim[m->kind], .set = g->set, .all = all, .from = from, .to = to,
              .kind = m->kind, .maximize = up};
  np_parallel(c, (to - from + NP_GRAIN - 1) / NP_GRAIN, (double)(to - from), update_block, &u);
  return NEAP_OK;
}

/* A strided parameter or gradient: contiguous copies are updated and the parameter is written back. */
static int update_loose(neap_optimizer *o, const np_group *g, const np_member *m, const run *r) {
  neap_context *c = o->ctx;
  neap_scope scope;
  np_scope_enter(c, &scope);
  neap_tensor *w = np_contiguous_of(c, m->t, m->t->at.dtype), *grad = np_contiguous_of(c, m->t->grad, m->t->at.dtype);
  if (w && grad) {
    np_chunk all = r->all;
    all.w = np_data(w);
    all.g = np_data(grad);
    if (update_elements(o, g, m, &all, 0, all.n) == 0 && w != m->t) np_copy(c, m->t, w);
  }
  np_scope_leave(&scope, 0, NULL);
  return c->error;
}

/* ---- the update in pieces ---- */

static int check_member(neap_optimizer *o, const np_member *m, int i) {
  neap_context *c = o->ctx;
  const neap_tensor *t = m->t;
  i += c->site.base;
  if (t->at.dtype != (m->kind ? NEAP_F64 : NEAP_F32))
    return np_fail(c, NEAP_ERR_DTYPE, "%s: parameter %d became %s after the optimizer was made: convert a module first",
                   o->rule->name, i, np_dtypes[t->at.dtype].info.name);
  if (t->storage->read_only) return np_fail(c, NEAP_ERR_STATE, "%s: parameter %d lies in read-only memory", o->rule->name, i);
  return NEAP_OK;
}

int np_update_begin(neap_optimizer *o) {
  if (np_failed(o->ctx)) return o->ctx->error;
  if (o->rule->tell)
    return np_fail(o->ctx, NEAP_ERR_STATE, "%s: a step wants the loss at several points: tell it (in Lua: step(closure))", o->rule->name);
  o->at_group = o->at_member = 0;
  o->at_element = 0;
  for (int k = 0; k < o->n_groups; k++) {
    np_group *g = o->group[k];
    int any = 0;
    for (int i = 0; i < g->n; i++) {
      if (!has_gradient(&g->member[i])) continue;
      if (check_member(o, &g->member[i], i) != 0) return o->ctx->error;
      np_begin_scalars(o, g, &g->member[i]);
      any = 1;
    }
    if (any && np_make_slots(o, g) != 0) return o->ctx->error;
  }
  return NEAP_OK;
}

static void finish_run(neap_optimizer *o, np_group *g, const run *r) {
  for (; o->at_member < r->last; o->at_member++) {
    np_member *m = &g->member[o->at_member];
    if (m->t->at.count == 0) continue;
    m->steps++;
    m->begun = 1;
    o->rule->after(g->set, m->steps, m->scalar);
    np_tensor_written(m->t, "step");
  }
  o->at_element = 0;
}

/* The next member with a gradient, from where the update stands; 0: none is left. */
static int seek(neap_optimizer *o) {
  for (; o->at_group < o->n_groups; o->at_group++, o->at_member = 0)
    for (const np_group *g = o->group[o->at_group]; o->at_member < g->n; o->at_member++)
      if (has_gradient(&g->member[o->at_member])) return 1;
  return 0;
}

int np_update_advance(neap_optimizer *o, int64_t limit) {
  if (np_failed(o->ctx)) return o->ctx->error;
  if (!seek(o)) return 0;
  np_group *g = o->group[o->at_group];
  np_member *first = &g->member[o->at_member];
  run r;
  find_run(o, g, o->at_member, &r);
  int64_t from = o->at_element, most = limit / NP_GRAIN * NP_GRAIN, left = r.all.n - from;
  int64_t to = r.loose || o->rule->whole || most <= 0 || most >= left ? r.all.n : from + most;
  if ((r.loose ? update_loose(o, g, first, &r) : update_elements(o, g, first, &r.all, from, to)) != 0) return o->ctx->error;
  o->at_element = to;
  if (to >= r.all.n) finish_run(o, g, &r);
  return seek(o);
}

int neap_optimizer_step(neap_optimizer *o) {
  int more = o ? np_update_begin(o) : NEAP_ERR_ARGUMENT;
  if (more != 0) return more;
  while ((more = np_update_advance(o, INT64_MAX)) == 1) {}
  return more;
}

int neap_optimizer_tell(neap_optimizer *o, double loss) {
  if (!o) return NEAP_ERR_ARGUMENT;
  if (np_failed(o->ctx)) return o->ctx->error;
  return o->rule->tell ? o->rule->tell(o, loss) : neap_optimizer_step(o);
}

void neap_optimizer_cancel(neap_optimizer *o) {
  if (o) np_lbfgs_cancel(o);
}

/* A gradient that somebody else looks at is left to them, and the next one finds its home again when they have let go. */
void neap_optimizer_zero_grad(neap_optimizer *o) {
  for (int k = 0; o && k < o->n_groups; k++)
    for (int i = 0; i < o->group[k]->n; i++) {
      np_member *m = &o->group[k]->member[i];
      neap_tensor *t = m->t, *home = m->home;
      np_clear_grad(t);
      if (t->grad == home || !home || home->refs > 1 || atomic_load(&home->storage->refs) > 1 || home->at.dtype != t->at.dtype) continue;
      np_drop(t->grad);
      t->grad = np_hold(home);
    }
}
