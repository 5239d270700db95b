/* The backward walk: from outputs to leaves, one record at a time, never naming an op.
 *
 * Records are visited from the youngest to the oldest, which is a topological order, through a heap of those that hold
 * gradients; so a walk is a loop that can stop after any record, and memory is freed as it goes. When inputs are given,
 * only records between them and the outputs are visited. Functions and hooks of the host's own language are never
 * called from here: step says NEAP_WALK_HOST, and the host answers. A walk that has met an error goes no further; a
 * record is in the hands of one walk at a time, and what it gathered there goes when the walk ends. */
#include <math.h>
#include <string.h>
#include "op.h"

/* A leaf with a hook: its gradient is gathered here, and the hook sees the sum when all else is done. */
typedef struct late_leaf { neap_tensor *leaf, *grad; } late_leaf;

typedef struct walk_input { /* of neap_grad; record and output: what made it when the walk began */
  neap_tensor *t, *grad;
  np_record *record;
  int output;
} walk_input;

enum { MET = 4, WANTED = 1, NOT_WANTED = 2 }; /* np_record's wanted: first seen, then one of the others */

struct neap_walk {
  neap_context *ctx;
  int flags, n_in, room_in, done, failed;
  int waiting;                         /* NEAP_WALK_HOST was said and no answer came yet */
  np_record **heap;                    /* by sequence, the youngest first; each holds a reference */
  int64_t n_heap, room;
  walk_input *input;
  np_record *now;                      /* the record in hand, its results' hooks run, or NULL */
  int hooks_done;                      /* results of now whose hooks have run */
  neap_tensor **now_grads;             /* gradients for now's inputs, still to be spread */
  int spread;                          /* how many of them are */
  late_leaf *late;
  int n_late, late_room;
  neap_walk_request request;
  uint8_t *needs;
  np_record **touched;                 /* every record that it has marked, to clear at the end; each a reference */
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

static int is_input(const neap_walk *w, const neap_tensor *t) {
  for (int i = 0; i < w->n_in; i++)
    if (w->input[i].t == t) return 1;
  return 0;
}

static int is_wanted(const neap_walk *w, const np_record *r) { return r->marked == w && r->wanted == WANTED; }

/* Whether what flows to this input goes anywhere. */
static int leads(const neap_walk *w, const np_input *in) {
  if (!w->n_in) return 1;
  return in->leaf ? is_input(w, in->leaf) : in->record && is_wanted(w, in->record);
}

static int busy(neap_walk *w) {
  return np_fail(w->ctx, NEAP_ERR_STATE, "backward: this graph is already being walked by an unfinished backward");
}

/* Takes record r into the walk: it is about to hold a gradient. */
static int enter(neap_walk *w, np_record *r) {
  if (r->walk == w) return NEAP_OK;
  if (r->walk) return busy(w);
  if (heap_push(w, r) != 0) return w->ctx->error;
  r->walk = w;
  return NEAP_OK;
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

static void warn_of_cycle(neap_context *c) {
  if (!c->warned_of_cycle)
    np_warn(c, "backward with create_graph: a leaf and its gradient now hold each other, and neither goes before the gradient is "
               "cleared (zero_grad); neap.grad gives gradients without that");
  c->warned_of_cycle = 1;
}

/* leaf->grad += g; the first gradient goes to its home when there is one. */
static int gather(neap_walk *w, neap_tensor *leaf, neap_tensor *g) {
  neap_context *c = w->ctx;
  int history = w->flags & NEAP_CREATE_GRAPH;
  neap_tensor *old = leaf->grad;
  if (history && g->record) warn_of_cycle(c);
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

/* *sum += g. */
static int add_to(neap_walk *w, neap_tensor **sum, neap_tensor *g) {
  neap_tensor *both = np_accumulate(w->ctx, *sum, g, w->flags & NEAP_CREATE_GRAPH);
  if (!both) return w->ctx->error;
  np_drop(*sum);
  *sum = both;
  return NEAP_OK;
}

static int store_leaf(neap_walk *w, neap_tensor *leaf, neap_tensor *g) {
  if (w->n_in == 0) return gather(w, leaf, g);
  for (int i = 0; i < w->n_in; i++)
    if (w->input[i].t == leaf && add_to(w, &w->input[i].grad, g) != 0) return w->ctx->error;
  return NEAP_OK;
}

static int wait_for_rest(neap_walk *w, neap_tensor *leaf, neap_tensor *g) {
  for (int i = 0; i < w->n_late; i++)
    if (w->late[i].leaf == leaf) return add_to(w, &w->late[i].grad, g);
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
  int status = NEAP_OK;
  if (w->n_in && (leaf ? !is_input(w, leaf) : !is_wanted(w, r))) {} /* leads nowhere */
  else if (leaf) status = leaf->hook ? wait_for_rest(w, leaf, g) : store_leaf(w, leaf, g);
  else if ((status = enter(w, r)) == 0) status = add_to(w, &r->out[output].grad, g);
  np_drop(g);
  return status;
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
    if (r->marked != w) { /* first visit */
      if (r->marked) busy(w);
      else if (push(w, &w->touched, &w->n_touched, &w->touched_room, r) == 0) {
        np_record_retain(r);
        r->marked = w;
        r->wanted = MET;
      }
      for (int i = 0; i < r->n_in && !np_failed(w->ctx); i++)
        if (r->in[i].record && r->in[i].record->marked != w) push(w, &stack, &n, &room, r->in[i].record);
      continue;
    }
    n--;
    if (r->wanted != MET) continue;
    int yes = 0;
    for (int i = 0; i < r->n_out; i++) yes |= r->out[i].seen > 0;
    for (int i = 0; i < r->n_in; i++) yes |= leads(w, &r->in[i]);
    r->wanted = yes ? WANTED : NOT_WANTED;
  }
  np_free(w->ctx, stack, (size_t)room * sizeof *stack);
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
  if (!np_needs_grad(t))
    return np_fail(c, NEAP_ERR_STATE, "backward: the tensor has no history: nothing that made it requires a gradient, or it was "
                   "made while gradients were off");
  if (t->record && np_record_usable(t->record) != 0) return c->error;
  neap_tensor *first = first_gradient(c, t, g);
  if (!first) return c->error;
  return flow(w, t->record, t->record ? NULL : t, t->output, first);
}

/* An output or an input of a walk, its history that of its present values. */
static int current(neap_context *c, neap_tensor *t, const char *what, int i) {
  if (!t) return np_fail(c, NEAP_ERR_ARGUMENT, "backward: %s %d is NULL", what, i + c->site.base);
  if (t->ctx != c) return np_fail(c, NEAP_ERR_ARGUMENT, "backward: %s %d belongs to another context", what, i + c->site.base);
  return t->base ? np_view_refresh(t) : NEAP_OK;
}

static int take_inputs(neap_walk *w, int n, neap_tensor *const *inputs) {
  neap_context *c = w->ctx;
  w->input = np_alloc_zero(c, (size_t)n * sizeof *w->input);
  if (!w->input) return c->error;
  for (w->n_in = 0; w->n_in < n; w->n_in++) {
    neap_tensor *t = inputs[w->n_in];
    walk_input *in = &w->input[w->n_in];
    if (current(c, t, "input", w->n_in) != 0) break;
    if (!np_needs_grad(t)) np_fail(c, NEAP_ERR_STATE, "grad: input %d does not require a gradient", w->n_in + c->site.base);
    if (np_failed(c)) break;
    *in = (walk_input){ .t = np_hold(t), .record = t->record, .output = t->output };
    if (!in->record) continue;
    np_record_retain(in->record);
    in->record->out[in->output].seen++;
  }
  w->room_in = n;
  return c->error;
}

static void drop_inputs(neap_walk *w) {
  for (int i = 0; i < w->n_in; i++) {
    walk_input *in = &w->input[i];
    if (in->record) in->record->out[in->output].seen--;
    np_record_release(in->record);
    np_drop(in->t);
    np_drop(in->grad);
  }
  np_free(w->ctx, w->input, (size_t)w->room_in * sizeof *w->input);
}

neap_walk *neap_walk_begin(neap_context *c, int n_out, neap_tensor *const *outputs, neap_tensor *const *gradients,
                           int n_in, neap_tensor *const *inputs, int flags) {
  if (np_failed(c)) return NULL;
  neap_walk *w = np_alloc_zero(c, sizeof *w);
  if (!w) return NULL;
  w->ctx = c;
  w->flags = flags;
  c->handles++;
  for (int i = 0; i < n_out && !np_failed(c); i++) current(c, outputs[i], "output", i);
  if (n_in > 0 && !np_failed(c) && take_inputs(w, n_in, inputs) == 0) mark_wanted(w, n_out, outputs);
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
    for (int i = 0; i < r->n_in; i++) w->needs[i] = r->in[i].needs && leads(w, &r->in[i]);
    for (int i = 0; i < r->n_out; i++) w->request.out_grads[i] = r->out[i].grad;
    w->waiting = 1;
    return NEAP_WALK_HOST;
  }
  for (int i = 0; i < r->n_out; i++) grads[i] = r->out[i].grad;
  int flags = (w->flags & NEAP_CREATE_GRAPH ? NP_BACK_RECORD : 0) | (w->n_in ? 0 : NP_BACK_HOMES);
  for (int i = 0; i < r->n_in; i++) /* what leads nowhere need not be worked out */
    if (r->in[i].needs && !leads(w, &r->in[i])) r->in[i].needs = 0, r->in[i].unwanted = 1;
  int status = np_back_run(r, grads, flags, w->now_grads);
  for (int i = 0; i < r->n_in; i++)
    if (r->in[i].unwanted) r->in[i].needs = 1, r->in[i].unwanted = 0;
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
      if (w->input[k].record == r && w->input[k].output == i && add_to(w, &w->input[k].grad, r->out[i].grad) != 0)
        return w->ctx->error;
  if (w->n_in) { /* go on only if something behind it is wanted */
    int on = 0;
    for (int i = 0; i < r->n_in; i++) on |= leads(w, &r->in[i]);
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

/* A walk at work: no error is pending, and it has met none before. */
static int usable(neap_walk *w) {
  if (!w) return NEAP_ERR_ARGUMENT;
  if (np_failed(w->ctx)) return w->ctx->error;
  return w->failed ? np_fail(w->ctx, NEAP_ERR_STATE, "backward: this walk has met an error and can only be ended") : NEAP_OK;
}

static int step(neap_walk *w) {
  if (!w->now && w->n_heap == 0) return late_step(w);
  if (!w->now) {
    w->now = heap_pop(w);
    w->hooks_done = 0;
  }
  int status = w->now_grads ? spread(w) : settle(w);
  if (status != 0) return status;
  return w->n_heap > 0 || w->now || w->n_late > 0 ? 1 : (w->done = 1, 0);
}

int neap_walk_step(neap_walk *w) {
  int status = usable(w);
  if (status != 0) return status;
  if (w->waiting) return NEAP_WALK_HOST;
  status = step(w);
  w->failed = status < 0;
  return status;
}

const neap_walk_request *neap_walk_host(neap_walk *w) { return w && w->waiting ? &w->request : NULL; }

/* The host's gradient for a tensor that lies as want, in its dtype: one reference, or NULL and an error. */
static neap_tensor *answered(neap_walk *w, const np_layout *want, neap_tensor *g, int i) {
  neap_context *c = w->ctx;
  const char *what = w->request.kind ? "the hook's gradient" : "the custom function's gradient for input";
  char shapes[NP_SHAPES_TEXT];
  int shown = i + c->site.base;
  if (g->ctx != c) np_fail(c, NEAP_ERR_ARGUMENT, "backward: %s %d belongs to another context", what, shown);
  else if (!np_layout_has_shape(&g->at, want->ndim, want->shape)) {
    np_shapes_text(shapes, &g->at, ", its tensor ", want);
    np_fail(c, NEAP_ERR_SHAPE, "backward: %s %d has shape %s", what, shown, shapes);
  }
  if (np_failed(c)) return NULL;
  int mode = neap_grad_mode(c, (w->flags & NEAP_CREATE_GRAPH) != 0);
  neap_tensor *typed = neap_to(c, g, want->dtype), *held = np_hold(typed);
  neap_release(typed);
  neap_grad_mode(c, mode);
  return held;
}

static int answer_hook(neap_walk *w, neap_tensor *g) {
  neap_tensor **slot = w->request.out_grads;
  if (g) {
    g = answered(w, &(*slot)->at, g, 0);
    if (!g) return w->ctx->error;
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
    w->now_grads[i] = answered(w, &r->in[i].at, in_grads[i], i);
    if (!w->now_grads[i]) return w->ctx->error;
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
  int status = usable(w);
  if (status != 0) return status;
  if (!w->waiting) return np_fail(w->ctx, NEAP_ERR_STATE, "neap_walk_answer: nothing was asked");
  w->waiting = 0;
  status = w->request.kind == 1 ? answer_hook(w, in_grads ? in_grads[0] : NULL) : answer_custom(w, in_grads);
  w->failed = status < 0;
  return status;
}

/* ---- ending ---- */

int neap_walk_grads(neap_walk *w, neap_tensor **grads) {
  int status = usable(w);
  if (status != 0) return status;
  if (!w->done) return np_fail(w->ctx, NEAP_ERR_STATE, "neap_walk_grads: the walk is not done");
  for (int i = 0; i < w->n_in; i++) {
    if (!w->input[i].grad && !(w->flags & NEAP_ALLOW_UNUSED))
      return np_fail(w->ctx, NEAP_ERR_STATE, "grad: input %d was not used to compute the outputs: pass allow_unused if that is meant",
                     i + w->ctx->site.base);
  }
  for (int i = 0; i < w->n_in; i++) grads[i] = w->input[i].grad ? neap_retain(w->input[i].grad) : NULL;
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
  drop_inputs(w);
  for (int64_t i = 0; i < w->n_touched; i++) {
    w->touched[i]->marked = NULL;
    w->touched[i]->wanted = 0;
    np_record_release(w->touched[i]);
  }
  np_free(c, w->heap, (size_t)w->room * sizeof *w->heap);
  np_free(c, w->touched, (size_t)w->touched_room * sizeof *w->touched);
  np_free(c, w, sizeof *w);
  np_context_drop(c);
}
