/* The backward walk: from outputs to leaves, one record at a time, never naming an op.
 *
 * Records are visited from the youngest to the oldest, which is a topological order, through a heap of those that hold
 * gradients; so a walk is a loop that can stop after any record, and memory is freed as it goes. When inputs are given,
 * only records between them and the outputs are visited. Functions and hooks of the host's own language are never
 * called from here: step says NEAP_WALK_HOST, and the host answers. */
#include <math.h>
#include <string.h>
#include "op.h"

/* A leaf with a hook: its gradient is gathered here, and the hook sees the sum when all else is done. */
typedef struct late_leaf { neap_tensor *leaf, *grad; } late_leaf;

struct neap_walk {
  neap_context *ctx;
  int flags, n_in, done, waiting;      /* waiting: NEAP_WALK_HOST was said and no answer came yet */
  np_record **heap;                    /* by sequence, the youngest first; each holds a reference */
  int64_t n_heap, room;
  neap_tensor **inputs, **grads;       /* of neap_grad */
  np_record *now;                      /* the record in hand, its results' hooks run, or NULL */
  int hooks_done;                      /* results of now whose hooks have run */
  neap_tensor **now_grads;             /* gradients for now's inputs, still to be spread */
  int spread;                          /* how many of them are */
  late_leaf *late;
  int n_late, late_room;
  neap_walk_request request;
  uint8_t *needs;
  np_record **touched;                 /* every record whose walk mark is set, to clear at the end; each a reference */
  int64_t n_touched, touched_room;
};

/* ---- growing lists ---- */

static int push(neap_walk *w, np_record ***list, int64_t *n, int64_t *room, np_record *r) {
  if (*n == *room) {
    int64_t more = *room ? 2 * *room : 16;
    np_record **p = np_alloc(w->ctx, (size_t)more * sizeof *p);
    if (!p) return w->ctx->error;
    if (*n) memcpy(p, *list, (size_t)*n * sizeof *p);
    np_free(w->ctx, *list, (size_t)*room * sizeof *p);
    *list = p;
    *room = more;
  }
  (*list)[(*n)++] = r;
  return NEAP_OK;
}

static int heap_push(neap_walk *w, np_record *r) {
  if (push(w, &w->heap, &w->n_heap, &w->room, r) != 0) return w->ctx->error;
  np_record_retain(r);
  for (int64_t i = w->n_heap - 1; i > 0;) {
    int64_t up = (i - 1) / 2;
    if (w->heap[up]->sequence >= w->heap[i]->sequence) break;
    np_record *t = w->heap[up];
    w->heap[up] = w->heap[i];
    w->heap[i] = t;
    i = up;
  }
  return NEAP_OK;
}

static np_record *heap_pop(neap_walk *w) {
  np_record *top = w->heap[0];
  w->heap[0] = w->heap[--w->n_heap];
  for (int64_t i = 0;;) {
    int64_t l = 2 * i + 1, best = i;
    if (l < w->n_heap && w->heap[l]->sequence > w->heap[best]->sequence) best = l;
    if (l + 1 < w->n_heap && w->heap[l + 1]->sequence > w->heap[best]->sequence) best = l + 1;
    if (best == i) return top;
    np_record *t = w->heap[best];
    w->heap[best] = w->heap[i];
    w->heap[i] = t;
    i = best;
  }
}

/* ---- gradients arriving ---- */

static int input_number(const neap_walk *w, const neap_tensor *t) {
  for (int i = 0; i < w->n_in; i++)
    if (w->inputs[i] == t) return i;
  return -1;
}

/* Takes record r into the walk: it holds a gradient now. */
static int enter(neap_walk *w, np_record *r) {
  if (r->walk == w) return NEAP_OK;
  if (r->walk) return np_fail(w->ctx, NEAP_ERR_STATE, "backward: this graph is already being walked by an unfinished backward");
  r->walk = w;
  return heap_push(w, r);
}

/* The gradient g becomes t's own: a copy unless nobody else has it. */
static neap_tensor *own(neap_context *c, neap_tensor *g, int history) {
  int alone = g->refs == 1 && atomic_load(&g->storage->refs) == 1 && np_contiguous(g);
  if (history || alone) return np_hold(g);
  neap_tensor *copy = np_tensor_new(c, g->at.dtype, g->at.ndim, g->at.shape);
  if (!copy) return NULL;
  np_copy(c, copy, g);
  neap_tensor *held = np_hold(copy);
  neap_release(copy);
  return held;
}

/* leaf->grad += g; the first gradient goes to its home when there is one. */
static int gather(neap_walk *w, neap_tensor *leaf, neap_tensor *g) {
  neap_context *c = w->ctx;
  int history = w->flags & NEAP_CREATE_GRAPH;
  neap_tensor *old = leaf->grad;
  if (!(leaf->flags & NP_HAS_GRAD)) {
    if (old == g) {} /* its backward wrote it there */
    else if (old && !history && old->at.dtype == g->at.dtype && np_same_shape(old, g)) np_copy(c, old, g);
    else {
      neap_tensor *mine = own(c, g, history);
      if (!mine) return c->error;
      np_drop(old);
      leaf->grad = mine;
    }
    leaf->flags |= NP_HAS_GRAD;
    return c->error;
  }
  int mode = neap_grad_mode(c, history);
  neap_scope scope;
  np_scope_enter(c, &scope);
  neap_tensor *sum = history ? neap_add(c, old, g) : neap_add_(c, old, g);
  if (sum && sum != old) {
    leaf->grad = np_hold(sum);
    np_drop(old);
  }
  np_scope_leave(&scope, 0, NULL);
  neap_grad_mode(c, mode);
  return c->error;
}

static int keep_input(neap_walk *w, int i, neap_tensor *g) {
  neap_tensor *sum = np_accumulate(w->ctx, w->grads[i], g, w->flags & NEAP_CREATE_GRAPH);
  np_drop(w->grads[i]);
  w->grads[i] = sum;
  return w->ctx->error;
}

static int store_leaf(neap_walk *w, neap_tensor *leaf, neap_tensor *g) {
  int i = w->n_in ? input_number(w, leaf) : -1;
  return i >= 0 ? keep_input(w, i, g) : w->n_in ? NEAP_OK : gather(w, leaf, g);
}

static int wait_for_rest(neap_walk *w, neap_tensor *leaf, neap_tensor *g) {
  for (int i = 0; i < w->n_late; i++) {
    if (w->late[i].leaf != leaf) continue;
    neap_tensor *sum = np_accumulate(w->ctx, w->late[i].grad, g, w->flags & NEAP_CREATE_GRAPH);
    np_drop(w->late[i].grad);
    w->late[i].grad = sum;
    return w->ctx->error;
  }
  if (w->n_late == w->late_room) {
    int room = w->late_room ? 2 * w->late_room : 8;
    late_leaf *more = np_alloc(w->ctx, (size_t)room * sizeof *more);
    if (!more) return w->ctx->error;
    if (w->n_late) memcpy(more, w->late, (size_t)w->n_late * sizeof *more);
    np_free(w->ctx, w->late, (size_t)w->late_room * sizeof *more);
    w->late = more;
    w->late_room = room;
  }
  w->late[w->n_late++] = (late_leaf){ np_hold(leaf), np_hold(g) };
  return NEAP_OK;
}

/* g (one reference, taken) flows to what made an input. */
static int flow(neap_walk *w, np_record *r, neap_tensor *leaf, int output, neap_tensor *g) {
  if (leaf) {
    int status = leaf->hook ? wait_for_rest(w, leaf, g) : store_leaf(w, leaf, g);
    np_drop(g);
    return status;
  }
  if (w->n_in && !r->wanted) {
    np_drop(g);
    return NEAP_OK;
  }
  np_result *out = &r->out[output];
  neap_tensor *sum = np_accumulate(w->ctx, out->grad, g, w->flags & NEAP_CREATE_GRAPH);
  np_drop(g);
  np_drop(out->grad);
  out->grad = sum;
  return sum ? enter(w, r) : (int)w->ctx->error;
}

/* ---- beginning ---- */

/* With inputs given: marks every record through which a path leads to one of them. An explicit stack: graphs are deep.
 * A record is on the stack twice: first to push what it came from, then, all of that known, to decide. */
static int mark_wanted(neap_walk *w, int n_out, neap_tensor *const *outputs) {
  np_record **stack = NULL;
  int64_t n = 0, room = 0;
  for (int i = 0; i < n_out; i++)
    if (outputs[i]->record && push(w, &stack, &n, &room, outputs[i]->record) != 0) break;
  while (n > 0 && !np_failed(w->ctx)) {
    np_record *r = stack[n - 1];
    if (r->wanted == 0) { /* first visit */
      r->wanted = 4;
      np_record_retain(r);
      if (push(w, &w->touched, &w->n_touched, &w->touched_room, r) != 0) {
        r->wanted = 0;
        np_record_release(r);
        break;
      }
      for (int i = 0; i < r->n_in; i++)
        if (r->in[i].record && r->in[i].record->wanted == 0 && push(w, &stack, &n, &room, r->in[i].record) != 0) break;
      continue;
    }
    n--;
    if (r->wanted != 4) continue;
    int yes = 0;
    for (int i = 0; i < r->n_out; i++) yes |= r->out[i].seen != NULL;
    for (int i = 0; i < r->n_in; i++)
      yes |= (r->in[i].leaf && input_number(w, r->in[i].leaf) >= 0) || (r->in[i].record && r->in[i].record->wanted == 1);
    r->wanted = yes ? 1 : 2;
  }
  np_free(w->ctx, stack, (size_t)room * sizeof *stack);
  for (int64_t i = 0; i < w->n_touched; i++)
    if (w->touched[i]->wanted != 1) w->touched[i]->wanted = 0;
  return w->ctx->error;
}

/* The gradient that an output starts with: as given, or one. A new reference that no scope counts. */
static neap_tensor *first_gradient(neap_context *c, neap_tensor *t, neap_tensor *g) {
  char a[96], b[96];
  np_shape_text(a, sizeof a, t);
  if (!g && t->at.count != 1) {
    np_fail(c, NEAP_ERR_SHAPE, "backward: the tensor has shape %s; only one with a single element needs no gradient given", a);
    return NULL;
  }
  if (g && !np_same_shape(g, t)) {
    np_shape_text(b, sizeof b, g);
    np_fail(c, NEAP_ERR_SHAPE, "backward: the gradient given has shape %s, the tensor %s", b, a);
    return NULL;
  }
  neap_tensor *made = g ? neap_to(c, g, t->at.dtype) : np_tensor_scalar(c, t->at.dtype, 1.0);
  if (made && !g && t->at.ndim > 0) {
    neap_tensor *shaped = neap_reshape(c, made, t->at.ndim, t->at.shape);
    neap_release(made);
    made = shaped;
  }
  neap_tensor *held = np_hold(made);
  neap_release(made);
  return held;
}

static int start(neap_walk *w, neap_tensor *t, neap_tensor *g) {
  neap_context *c = w->ctx;
  if (t->base && np_view_refresh(t) != 0) return c->error;
  if (!np_needs_grad(t))
    return np_fail(c, NEAP_ERR_STATE, "backward: the tensor has no history: nothing that made it requires a gradient, or it was "
                   "made while gradients were off");
  if (t->record && np_record_usable(t->record) != 0) return c->error;
  neap_tensor *first = first_gradient(c, t, g);
  if (!first) return c->error;
  return flow(w, t->record, t->record ? NULL : t, t->output, first);
}

neap_walk *neap_walk_begin(neap_context *c, int n_out, neap_tensor *const *outputs, neap_tensor *const *gradients,
                           int n_in, neap_tensor *const *inputs, int flags) {
  if (np_failed(c)) return NULL;
  neap_walk *w = np_alloc_zero(c, sizeof *w);
  if (!w) return NULL;
  w->ctx = c;
  w->flags = flags;
  c->handles++;
  if (n_in > 0) {
    w->inputs = np_alloc_zero(c, 2 * (size_t)n_in * sizeof *w->inputs);
    if (w->inputs) w->n_in = n_in, w->grads = w->inputs + n_in;
    for (int i = 0; i < w->n_in; i++) {
      w->inputs[i] = np_hold(inputs[i]);
      if (inputs[i]->base) np_view_refresh(inputs[i]);
      if (!np_needs_grad(inputs[i]))
        np_fail(c, NEAP_ERR_STATE, "grad: input %d does not require a gradient", i + c->site.base);
      if (inputs[i]->record) inputs[i]->record->out[inputs[i]->output].seen = inputs[i];
    }
    if (!np_failed(c)) mark_wanted(w, n_out, outputs);
  }
  for (int i = 0; i < n_out && !np_failed(c); i++) start(w, outputs[i], gradients ? gradients[i] : NULL);
  if (!np_failed(c)) return w;
  neap_walk_end(w);
  return NULL;
}

/* ---- one step ---- */

static int ask_hook(neap_walk *w, int64_t id, neap_tensor **grad) {
  w->request = (neap_walk_request){ .kind = 1, .id = id, .n_in = 1, .n_out = 1, .out_grads = grad };
  w->waiting = 1;
  return NEAP_WALK_HOST;
}

static int check_anomaly(neap_walk *w, const np_record *r, int i, neap_tensor *g) {
  neap_scope scope;
  np_scope_enter(w->ctx, &scope);
  int mode = neap_grad_mode(w->ctx, 0);
  neap_tensor *bad = neap_any(w->ctx, neap_isnan(w->ctx, g), 0, NULL, 0);
  int found = bad && neap_item(bad) != 0;
  neap_grad_mode(w->ctx, mode);
  np_scope_leave(&scope, 0, NULL);
  if (!found) return w->ctx->error;
  return np_fail(w->ctx, NEAP_ERR_STATE, "backward: the gradient for argument %d of %s, called at %s:%d, has NaN in it", i + 1,
                 r->op < 0 ? "a custom function" : np_ops[r->op].name, r->site.file ? r->site.file : "?", r->site.line);
}

/* Spreads what now's backward gave. */
static int spread(neap_walk *w) {
  np_record *r = w->now;
  while (w->spread < r->n_in) {
    int i = w->spread++;
    neap_tensor *g = w->now_grads[i];
    w->now_grads[i] = NULL;
    if (!g) continue;
    if (w->flags & NEAP_ANOMALY && check_anomaly(w, r, i, g) != 0) {
      np_drop(g);
      return w->ctx->error;
    }
    int status = r->in[i].needs ? flow(w, r->in[i].record, r->in[i].leaf, r->in[i].output, g) : (np_drop(g), NEAP_OK);
    if (status != 0) return status;
  }
  np_free(w->ctx, w->now_grads, (size_t)r->n_in * sizeof *w->now_grads + 1);
  w->now_grads = NULL;
  r->walk = NULL;
  w->now = NULL;
  np_record_release(r);
  return NEAP_OK;
}

/* now's gradients are complete and its hooks have run: through its backward. */
static int through(neap_walk *w) {
  np_record *r = w->now;
  neap_context *c = w->ctx;
  neap_tensor *grads[NP_MAX_OUTS] = { NULL };
  w->now_grads = np_alloc_zero(c, (size_t)r->n_in * sizeof *w->now_grads + 1);
  if (!w->now_grads) return c->error;
  w->spread = 0;
  if (r->op < 0) {
    if (np_record_usable(r) != 0) return c->error;
    w->needs = np_alloc_zero(c, (size_t)(r->n_in + 1));
    w->request = (neap_walk_request){ .kind = 0, .id = r->custom, .n_in = r->n_in, .n_out = r->n_out, .needs = w->needs };
    w->request.out_grads = np_alloc_zero(c, (size_t)r->n_out * sizeof *w->request.out_grads + 1);
    if (!w->needs || !w->request.out_grads) return c->error;
    for (int i = 0; i < r->n_in; i++) w->needs[i] = r->in[i].needs;
    for (int i = 0; i < r->n_out; i++) w->request.out_grads[i] = r->out[i].grad;
    w->waiting = 1;
    return NEAP_WALK_HOST;
  }
  for (int i = 0; i < r->n_out; i++) grads[i] = r->out[i].grad;
  int flags = (w->flags & NEAP_CREATE_GRAPH ? NP_BACK_RECORD : 0) | (w->n_in ? 0 : NP_BACK_HOMES);
  int status = np_back_run(r, grads, flags, w->now_grads);
  if (status != 0) return status;
  for (int i = 0; i < r->n_out; i++) np_drop(r->out[i].grad), r->out[i].grad = NULL;
  if (!(w->flags & (NEAP_RETAIN_GRAPH | NEAP_CREATE_GRAPH))) np_record_spend(r);
  return spread(w);
}

/* The hooks of now's results, one host call each, then the inputs of neap_grad that are results of now. */
static int settle(neap_walk *w) {
  np_record *r = w->now;
  for (; w->hooks_done < r->n_out; w->hooks_done++) {
    np_result *out = &r->out[w->hooks_done];
    if (out->grad && out->hook) {
      int64_t id = out->hook;
      w->hooks_done++;
      return ask_hook(w, id, &out->grad);
    }
  }
  for (int i = 0; i < r->n_out; i++)
    for (int k = 0; r->out[i].seen && r->out[i].grad && k < w->n_in; k++)
      if (w->inputs[k]->record == r && w->inputs[k]->output == i && keep_input(w, k, r->out[i].grad) != 0) return w->ctx->error;
  if (w->n_in) { /* go on only if something behind it is wanted */
    int on = 0;
    for (int i = 0; i < r->n_in; i++)
      on |= (r->in[i].record && r->in[i].record->wanted) || (r->in[i].leaf && input_number(w, r->in[i].leaf) >= 0);
    if (!on) {
      for (int i = 0; i < r->n_out; i++) np_drop(r->out[i].grad), r->out[i].grad = NULL;
      r->walk = NULL;
      w->now = NULL;
      np_record_release(r);
      return NEAP_OK;
    }
  }
  return through(w);
}

/* All records are done: the leaves with hooks, one after the other. */
static int late_step(neap_walk *w) {
  if (w->n_late == 0) {
    w->done = 1;
    return 0;
  }
  late_leaf *l = &w->late[w->n_late - 1];
  return ask_hook(w, l->leaf->hook, &l->grad);
}

int neap_walk_step(neap_walk *w) {
  if (np_failed(w->ctx)) return w->ctx->error;
  if (w->waiting) return NEAP_WALK_HOST;
  if (!w->now && w->n_heap == 0) return late_step(w);
  if (!w->now) {
    w->now = heap_pop(w);
    w->hooks_done = 0;
  }
  int status = w->now_grads ? spread(w) : settle(w);
  if (status != 0) return status;
  return w->n_heap > 0 || w->now || w->n_late > 0 ? 1 : (w->done = 1, 0);
}

const neap_walk_request *neap_walk_host(neap_walk *w) { return w->waiting ? &w->request : NULL; }

static int check_answer(neap_walk *w, const np_layout *want, neap_tensor *g, int i) {
  char a[96], b[96];
  np_text t;
  if (g->at.ndim == want->ndim && memcmp(g->at.shape, want->shape, (size_t)want->ndim * sizeof(int64_t)) == 0) return NEAP_OK;
  np_shape_text(a, sizeof a, g);
  np_text_init(&t, b, sizeof b);
  np_text_shape(&t, want->ndim, want->shape);
  return np_fail(w->ctx, NEAP_ERR_SHAPE, "backward: %s %d has shape %s, its tensor %s",
                 w->request.kind ? "the hook's gradient" : "the custom function's gradient for input", i + w->ctx->site.base, a, b);
}

static int answer_hook(neap_walk *w, neap_tensor *g) {
  neap_tensor **slot = w->request.out_grads;
  if (g) {
    if (check_answer(w, &(*slot)->at, g, 0) != 0) return w->ctx->error;
    np_hold(g);
    np_drop(*slot);
    *slot = g;
  }
  if (w->now) return NEAP_OK;
  late_leaf l = w->late[--w->n_late];
  int status = store_leaf(w, l.leaf, l.grad);
  np_drop(l.leaf);
  np_drop(l.grad);
  return status;
}

static int answer_custom(neap_walk *w, neap_tensor *const *in_grads) {
  np_record *r = w->now;
  for (int i = 0; i < r->n_in && in_grads; i++) {
    if (!in_grads[i] || !r->in[i].needs) continue;
    if (check_answer(w, &r->in[i].at, in_grads[i], i) != 0) return w->ctx->error;
    w->now_grads[i] = np_hold(in_grads[i]);
  }
  for (int i = 0; i < r->n_out; i++) np_drop(r->out[i].grad), r->out[i].grad = NULL;
  if (!(w->flags & (NEAP_RETAIN_GRAPH | NEAP_CREATE_GRAPH))) np_record_spend(r);
  np_free(w->ctx, w->request.out_grads, (size_t)r->n_out * sizeof *w->request.out_grads + 1);
  np_free(w->ctx, w->needs, (size_t)(r->n_in + 1));
  w->request.out_grads = NULL;
  w->needs = NULL;
  return NEAP_OK;
}

int neap_walk_answer(neap_walk *w, neap_tensor *const *in_grads) {
  if (np_failed(w->ctx)) return w->ctx->error;
  if (!w->waiting) return np_fail(w->ctx, NEAP_ERR_STATE, "neap_walk_answer: nothing was asked");
  w->waiting = 0;
  return w->request.kind == 1 ? answer_hook(w, in_grads ? in_grads[0] : NULL) : answer_custom(w, in_grads);
}

/* ---- ending ---- */

int neap_walk_grads(neap_walk *w, neap_tensor **grads) {
  if (np_failed(w->ctx)) return w->ctx->error;
  if (!w->done) return np_fail(w->ctx, NEAP_ERR_STATE, "neap_walk_grads: the walk is not done");
  for (int i = 0; i < w->n_in; i++) {
    if (!w->grads[i] && !(w->flags & NEAP_ALLOW_UNUSED))
      return np_fail(w->ctx, NEAP_ERR_STATE, "grad: input %d was not used to compute the outputs: pass allow_unused if that is meant",
                     i + w->ctx->site.base);
  }
  for (int i = 0; i < w->n_in; i++) grads[i] = w->grads[i] ? neap_retain(w->grads[i]) : NULL;
  return NEAP_OK;
}

static void forget(np_record *r) {
  for (int i = 0; i < r->n_out; i++) np_drop(r->out[i].grad), r->out[i].grad = NULL;
  r->walk = NULL;
  np_record_release(r);
}

void neap_walk_end(neap_walk *w) {
  if (!w) return;
  neap_context *c = w->ctx;
  if (w->now) {
    np_record *r = w->now;
    for (int i = 0; w->now_grads && i < r->n_in; i++) np_drop(w->now_grads[i]);
    if (w->now_grads) np_free(c, w->now_grads, (size_t)r->n_in * sizeof *w->now_grads + 1);
    if (w->request.kind == 0 && w->request.out_grads) np_free(c, w->request.out_grads, (size_t)r->n_out * sizeof *w->request.out_grads + 1);
    if (w->needs) np_free(c, w->needs, (size_t)(r->n_in + 1));
    forget(r);
  }
  while (w->n_heap > 0) forget(w->heap[--w->n_heap]);
  for (int i = 0; i < w->n_late; i++) np_drop(w->late[i].leaf), np_drop(w->late[i].grad);
  np_free(c, w->late, (size_t)w->late_room * sizeof *w->late);
  for (int i = 0; i < w->n_in; i++) {
    if (w->inputs[i]->record) w->inputs[i]->record->out[w->inputs[i]->output].seen = NULL;
    np_drop(w->inputs[i]);
    np_drop(w->grads[i]);
  }
  for (int64_t i = 0; i < w->n_touched; i++) {
    w->touched[i]->wanted = 0;
    np_record_release(w->touched[i]);
  }
  np_free(c, w->inputs, 2 * (size_t)w->n_in * sizeof *w->inputs);
  np_free(c, w->heap, (size_t)w->room * sizeof *w->heap);
  np_free(c, w->touched, (size_t)w->touched_room * sizeof *w->touched);
  np_free(c, w, sizeof *w);
  np_context_drop(c);
}
