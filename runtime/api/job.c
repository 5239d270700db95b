/* A training step in slices: forward leaf by leaf, loss, backward record by record, update, gradients cleared. A slice is
 * the smallest piece that is never interrupted; what the slices compute, and in which order, does not depend on where a
 * step was cut, so the bits are those of doing it in one go.
 *
 * A job remembers what each slice took in earlier steps and begins none that would not fit into what is left of the
 * budget, except that every call does at least one. Between slices it holds its tensors itself, beyond the host's
 * scopes; it works at the site (labels' base, script line) where the step was begun. */
#include <string.h>
#include "module.h"
#include "optim.h"

typedef struct leaf { /* child i of a container: the layer, and what is fused behind it */
  neap_module *parent;
  int i;
  const char *path;
} leaf;

enum { UPDATE_ELEMENTS = 1 << 16 };
typedef enum phase { IDLE, FORWARD, LOSS, BACKWARD, UPDATE } phase;

struct neap_job {
  neap_context *ctx;
  neap_module *model;
  neap_optimizer *optimizer;
  int loss_op, n_leaves, room;
  leaf *leaves;            /* empty when the model is a single layer */
  int base, trees;         /* the base that the leaves' paths are written for; the context's count when they were found */
  phase phase;
  int at;                  /* the next leaf */
  neap_tensor *h, *target; /* what the last leaf put out */
  neap_tensor *loss;
  neap_walk *walk;
  neap_site site;
  double last_loss;
  int slice, n_costs;      /* the slice that comes next in this step */
  int32_t *cost;           /* microseconds that each took, recent ones counting most */
};

/* ---- the model's leaves in the order of forward ---- */

static int add_leaf(neap_job *j, leaf l) {
  neap_context *c = j->ctx;
  if (j->n_leaves == j->room) {
    int more = j->room ? 2 * j->room : 16;
    leaf *list = np_alloc(c, (size_t)more * sizeof *list);
    if (!list) return c->error;
    if (j->n_leaves) memcpy(list, j->leaves, (size_t)j->n_leaves * sizeof *list);
    np_free(c, j->leaves, (size_t)j->room * sizeof *list);
    j->leaves = list;
    j->room = more;
  }
  j->leaves[j->n_leaves++] = l;
  return NEAP_OK;
}

static int add_leaves(neap_job *j, neap_module *m, const char *own) {
  const np_spelling *s = np_spell(m, own);
  if (!s) return j->ctx->error;
  for (int i = 0; i < m->n_children; i += np_child_steps(m, i)) {
    neap_module *child = m->child[i].m;
    const char *path = np_child_path(s, i);
    int status = np_is_sequential(child) && child->n_children > 0 ? add_leaves(j, child, path) : add_leaf(j, (leaf){.parent = m, .i = i, .path = path});
    if (status != 0) return status;
  }
  return NEAP_OK;
}

/* The leaves, their paths as the step's site counts. */
static int know_leaves(neap_job *j) {
  if (j->base == j->ctx->site.base && j->trees == j->ctx->trees) return NEAP_OK;
  j->trees = j->ctx->trees;
  j->n_leaves = 0;
  j->base = -1;
  if (np_is_sequential(j->model) && add_leaves(j, j->model, NULL) != 0) return j->ctx->error;
  j->base = j->ctx->site.base;
  return NEAP_OK;
}

/* ---- made and let go ---- */

neap_job *neap_job_new(neap_module *model, neap_optimizer *optimizer, int loss_op) {
  if (!model || !optimizer) return NULL;
  neap_context *c = model->ctx;
  if (np_failed(c)) return NULL;
  const np_signature *s = loss_op >= 0 && loss_op < NP_OPS ? np_op_signature(c, loss_op) : NULL;
  int fits = s && s->n_required == 2 && s->param[0].kind == NEAP_TENSOR && s->param[1].kind == NEAP_TENSOR;
  if (!fits) np_fail(c, NEAP_ERR_ARGUMENT, "neap_job_new: the loss must be an op of a prediction and a target");
  else if (optimizer->ctx != c) np_fail(c, NEAP_ERR_ARGUMENT, "neap_job_new: model and optimizer belong to different contexts");
  else if (model->call->n_required != 1) np_fail(c, NEAP_ERR_ARGUMENT, "neap_job_new: the model must take one tensor");
  neap_job *j = np_failed(c) ? NULL : np_alloc_zero(c, sizeof *j);
  if (!j) return NULL;
  j->ctx = c;
  j->model = neap_module_retain(model);
  j->optimizer = np_optimizer_hold(optimizer);
  j->loss_op = loss_op;
  j->base = -1;
  c->handles++;
  if (know_leaves(j) == 0) return j;
  neap_job_release(j);
  return NULL;
}

static void drop(neap_tensor **t) {
  np_drop(*t);
  *t = NULL;
}

/* Leaves the step at work, done or not. */
static void leave_step(neap_job *j) {
  neap_walk_end(j->walk);
  j->walk = NULL;
  drop(&j->h);
  drop(&j->target);
  drop(&j->loss);
  j->phase = IDLE;
}

void neap_job_release(neap_job *j) {
  if (!j) return;
  neap_context *c = j->ctx;
  leave_step(j);
  neap_optimizer_release(j->optimizer);
  neap_module_release(j->model);
  np_free(c, j->leaves, (size_t)j->room * sizeof *j->leaves);
  np_free(c, j->cost, (size_t)j->n_costs * sizeof *j->cost);
  np_free(c, j, sizeof *j);
  np_context_drop(c);
}

int neap_job_begin(neap_job *j, neap_tensor *x, neap_tensor *target) {
  if (!j) return NEAP_ERR_ARGUMENT;
  neap_context *c = j->ctx;
  if (np_failed(c)) return c->error;
  if (j->phase != IDLE) return np_fail(c, NEAP_ERR_STATE, "neap_job_begin: the last step is not done yet");
  if (!x || !target || x->ctx != c || target->ctx != c)
    return np_fail(c, NEAP_ERR_ARGUMENT, "neap_job_begin: it takes an input and a target of the model's context");
  if (know_leaves(j) != 0) return c->error;
  j->h = np_hold(x);
  j->target = np_hold(target);
  j->site = c->site;
  j->at = j->slice = 0;
  j->phase = FORWARD;
  return NEAP_OK;
}

double neap_job_loss(const neap_job *j) { return j ? j->last_loss : 0; }

/* ---- slices: each leaves the job where the next one begins; a status ---- */

static int take(neap_tensor **slot, neap_tensor *t) {
  drop(slot);
  *slot = np_hold(t);
  return t ? NEAP_OK : 1;
}

static int forward_slice(neap_job *j) {
  neap_tensor *y;
  if (j->trees != j->ctx->trees) return np_fail(j->ctx, NEAP_ERR_STATE, "neap_step: a container got other layers while a step was at work");
  if (j->n_leaves == 0) {
    y = neap_forward(j->model, j->h);
  } else {
    const leaf *l = &j->leaves[j->at];
    j->ctx->site.path = l->path;
    y = np_child_forward(l->parent, l->i, j->h);
  }
  if (++j->at >= j->n_leaves) j->phase = LOSS;
  return take(&j->h, y);
}

static int loss_slice(neap_job *j) {
  neap_value a[2] = {{.kind = NEAP_TENSOR, .t = j->h}, {.kind = NEAP_TENSOR, .t = j->target}};
  neap_tensor *out[NP_MAX_OUTS] = {NULL};
  neap_call(j->ctx, j->loss_op, 2, a, out, 0, NULL);
  if (take(&j->loss, out[0]) != 0) return 1;
  drop(&j->h); /* the records have what they need */
  j->walk = neap_walk_begin(j->ctx, 1, &j->loss, NULL, 0, NULL, 0);
  j->phase = BACKWARD;
  return j->walk ? NEAP_OK : 1;
}

static int backward_slice(neap_job *j) {
  int more = neap_walk_step(j->walk);
  if (more == NEAP_WALK_HOST)
    return np_fail(j->ctx, NEAP_ERR_UNSUPPORTED, "neap_step: the model has a hook of the host's; step through it with neap_walk_step");
  if (more != 0) return more < 0;
  neap_walk_end(j->walk);
  j->walk = NULL;
  j->last_loss = neap_item(j->loss);
  j->phase = UPDATE;
  return np_update_begin(j->optimizer);
}

static int update_slice(neap_job *j) {
  int more = np_update_advance(j->optimizer, UPDATE_ELEMENTS);
  if (more != 0) return more < 0;
  neap_optimizer_zero_grad(j->optimizer);
  leave_step(j);
  return NEAP_OK;
}

static int do_slice(neap_job *j) {
  switch (j->phase) {
  case FORWARD: return forward_slice(j);
  case LOSS: return loss_slice(j);
  case BACKWARD: return backward_slice(j);
  case UPDATE: return update_slice(j);
  default: return NEAP_OK;
  }
}

/* As if the host had made the call at the step's site, with gradients on. */
static int slice_at_site(neap_job *j) {
  neap_context *c = j->ctx;
  neap_site outer = c->site;
  neap_scope scope;
  int mode = neap_grad_mode(c, 1);
  c->site = j->site;
  np_scope_enter(c, &scope);
  int status = do_slice(j);
  np_scope_leave(&scope, 0, NULL);
  c->site = outer;
  neap_grad_mode(c, mode);
  return status;
}

/* ---- the budget ---- */

static void note_cost(neap_job *j, int64_t us) {
  if (j->slice >= j->n_costs) {
    int more = j->slice < 32 ? 64 : 2 * j->slice;
    int32_t *list = np_heap_alloc(j->ctx->heap, (size_t)more * sizeof *list);
    if (!list) return; /* then it is not remembered */
    memset(list, 0, (size_t)more * sizeof *list);
    if (j->n_costs) memcpy(list, j->cost, (size_t)j->n_costs * sizeof *list);
    np_free(j->ctx, j->cost, (size_t)j->n_costs * sizeof *list);
    j->cost = list;
    j->n_costs = more;
  }
  int32_t now = us < INT32_MAX ? (int32_t)us : INT32_MAX, *old = &j->cost[j->slice];
  *old = now > *old ? now : *old - (*old - now) / 8;
}

static int64_t expected_cost(const neap_job *j) { return j->slice < j->n_costs ? j->cost[j->slice] : 0; }

int neap_step(neap_job *j, int64_t budget_us) {
  if (!j) return NEAP_ERR_ARGUMENT;
  neap_context *c = j->ctx;
  if (np_failed(c)) return c->error;
  if (j->phase == IDLE) return 0;
  int64_t start = np_clock_us(), before = start;
  for (;;) {
    if (slice_at_site(j) != 0 || np_failed(c)) { /* a next step starts afresh */
      leave_step(j);
      neap_optimizer_zero_grad(j->optimizer);
      return c->error;
    }
    int64_t now = np_clock_us();
    note_cost(j, now - before);
    j->slice++;
    if (j->phase == IDLE) return 0;
    if (now - start + expected_cost(j) > budget_us) return 1;
    before = now;
  }
}
