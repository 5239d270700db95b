/* The one door: neap_call binds arguments, asks infer what will come out, makes the outputs, runs, and has the call
 * recorded when a gradient may be wanted. Composites run inside a scope of their own, so they release nothing by hand.
 * An in-place call writes to its first argument: what would make that wrong (a leaf that gathers a gradient, read-only
 * memory, overlapping operands, a result that does not fit) is dealt with here, once for all ops. */
#include <stdio.h>
#include <string.h>
#include "op.h"

int np_reject(np_call *c, neap_status s, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char *path = c->ctx->site.path;
  return np_fail(c->ctx, s, "%s%s: %s%s%s%s", c->op->name, c->in_place ? "_" : "", text, path ? " (in layer " : "",
                 path ? path : "", path ? ")" : "");
}

int np_axis(np_call *c, int64_t dim, int ndim, int *out) {
  int64_t n = ndim > 0 ? ndim : 1;
  if (NP_UNLIKELY(dim < -n || dim >= n)) {
    int base = c->ctx->site.base;
    long long shown = (long long)(dim < 0 ? dim : dim + base);
    return np_reject(c, NEAP_ERR_INDEX, "dimension %lld is out of range: a tensor of %d dimension%s has %d to %lld, or -1 to %lld",
                     shown, ndim, ndim == 1 ? "" : "s", base, (long long)(n - 1 + base), (long long)-n);
  }
  *out = (int)(dim < 0 ? dim + n : dim);
  return NEAP_OK;
}

int np_axes(np_call *c, const neap_value *v, int ndim, uint32_t *mask) {
  *mask = 0;
  if (v->kind == NEAP_NONE || v->n == 0) {
    *mask = (1u << ndim) - 1;
    return NEAP_OK;
  }
  for (int i = 0; i < v->n; i++) {
    int d = 0;
    if (np_axis(c, v->is[i], ndim, &d) != 0) return c->ctx->error;
    if (*mask >> d & 1) return np_reject(c, NEAP_ERR_ARGUMENT, "dimension %lld is given twice", NP_DIM(c, d));
    *mask |= 1u << d;
  }
  return NEAP_OK;
}

/* ---- arguments ---- */

static int check_tensor(np_call *c, const char *name, const neap_tensor *t) {
  if (NP_UNLIKELY(t->ctx != c->ctx))
    return np_reject(c, NEAP_ERR_ARGUMENT, "%s belongs to another context: neap_share gives a handle in this one", name);
  return NEAP_OK;
}

static int check_contexts(np_call *c) {
  for (int i = 0; i < c->sig->n_params; i++) {
    const neap_value *v = &c->arg[i];
    if (NP_UNLIKELY(v->kind == NEAP_GENERATOR && v->g->ctx != c->ctx))
      return np_reject(c, NEAP_ERR_ARGUMENT, "%s belongs to another context: one of this context draws", c->sig->param[i].name);
    if (v->kind == NEAP_TENSOR && check_tensor(c, c->sig->param[i].name, v->t) != 0) return c->ctx->error;
    if (v->kind == NEAP_TENSORS)
      for (int k = 0; k < v->n; k++)
        if (v->ts[k] && check_tensor(c, c->sig->param[i].name, v->ts[k]) != 0) return c->ctx->error;
  }
  return NEAP_OK;
}

/* ---- in place ---- */

static int overlaps(const neap_tensor *x, const neap_tensor *y) {
  if (x->storage != y->storage || x->at.count == 0 || y->at.count == 0) return 0;
  if (x->at.offset == y->at.offset && x->at.dtype == y->at.dtype && np_same_shape(x, y) &&
      memcmp(x->at.stride, y->at.stride, (size_t)x->at.ndim * sizeof(int64_t)) == 0) return 0; /* the very same elements */
  int64_t a = np_size_of(x->at.dtype), b = np_size_of(y->at.dtype);
  int64_t a0 = x->at.offset * a, a1 = a0 + np_layout_span(&x->at) * a;
  int64_t b0 = y->at.offset * b, b1 = b0 + np_layout_span(&y->at) * b;
  return a0 < b1 && b0 < a1;
}

static int prepare_in_place(np_call *c) {
  if (!(c->op->marks & NEAP_OP_IN_PLACE)) return np_reject(c, NEAP_ERR_UNSUPPORTED, "has no in-place form");
  neap_tensor *x = np_t(c, 0);
  if (!x) return np_reject(c, NEAP_ERR_ARGUMENT, "the first argument of an in-place op must be a tensor");
  if (c->ctx->grad_mode && np_needs_grad(x->base ? x->base : x) && !(x->base ? x->base : x)->record)
    return np_reject(c, NEAP_ERR_STATE, "%s leaf that requires a gradient cannot be changed in place while gradients are on: "
                     "use no_grad, or a copy", x->base ? "a view of a" : "a");
  if (!np_contiguous(x) && np_layout_overlaps(&x->at))
    return np_reject(c, NEAP_ERR_STATE, "elements of the tensor share memory: clone it before writing to it");
  for (int i = 1; i < c->sig->n_params; i++)
    if (np_t(c, i) && overlaps(x, np_t(c, i))) {
      c->arg[i].t = neap_clone(c->ctx, np_t(c, i));
      if (!c->arg[i].t) return c->ctx->error;
    }
  return NEAP_OK;
}

static int check_in_place_result(np_call *c) {
  const np_layout *want = &c->spec[0], *have = &np_t(c, 0)->at;
  if (!np_layout_has_shape(want, have->ndim, have->shape)) {
    char text[NP_SHAPES_TEXT];
    np_shapes_text(text, want, ", which does not fit into ", have);
    return np_reject(c, NEAP_ERR_SHAPE, "the result has shape %s", text);
  }
  if (np_dtypes[want->dtype].category > np_dtypes[have->dtype].category)
    return np_reject(c, NEAP_ERR_DTYPE, "a result of dtype %s cannot be written into a tensor of dtype %s",
                     np_dtypes[want->dtype].info.name, np_dtypes[have->dtype].info.name);
  return NEAP_OK;
}

/* ---- running ---- */

static int make_outputs(np_call *c) {
  if (c->in_place) {
    if (check_in_place_result(c) != 0) return c->ctx->error;
    c->out[0] = neap_retain(np_t(c, 0));
    return np_t(c, 0)->storage->read_only ? np_reject(c, NEAP_ERR_STATE, "the tensor's memory is read-only") : NEAP_OK;
  }
  for (int i = 0; i < c->sig->n_outputs; i++) {
    if (c->by_run[i]) continue;
    if (c->op->marks & NEAP_OP_VIEW)
      c->out[i] = c->op->marks & NEAP_OP_NO_GRAD ? np_tensor_on(c->ctx, c->arg[0].t->storage, &c->spec[i])
                                                 : np_tensor_view(c->arg[0].t, &c->spec[i]);
    else
      c->out[i] = np_tensor_of(c->ctx, &c->spec[i]);
    if (!c->out[i]) return c->ctx->error;
  }
  return NEAP_OK;
}

static int run_plain(np_call *c) {
  if (c->op->infer(c) != 0) return c->ctx->error;
  int wants = np_wants_record(c);
  if (np_failed(c->ctx) || make_outputs(c) != 0 || (wants && c->in_place && np_keep_before(c) != 0)) return c->ctx->error;
  if (c->op->run(c) != 0 || np_failed(c->ctx)) {
    if (c->in_place) np_tensor_written(c->out[0], c->op->name); /* perhaps in part: whoever saved it must know */
    return c->ctx->error;
  }
  if (NP_UNLIKELY(np_cancelled(c->ctx)) && !c->in_place) return np_fail(c->ctx, NEAP_ERR_CANCELLED, "%s: cancelled", c->op->name);
  return wants || c->in_place ? np_record_call(c, wants) : NEAP_OK;
}

/* What an inner op of a composite says gets the name of the composite in front; hidden ops give theirs up for it. */
static void name_composite(np_call *c) {
  char text[sizeof c->ctx->message], name[64];
  neap_status error = c->ctx->error;
  size_t n = strcspn(c->ctx->message, ":"), letters = n > 0 && c->ctx->message[n - 1] == '_' ? n - 1 : n;
  if (c->ctx->message[n] != ':' || letters >= sizeof name) return;
  memcpy(name, c->ctx->message, letters);
  name[letters] = 0;
  int inner = neap_op_find(name);
  if (inner < 0 || &np_ops[inner] == c->op) return;
  memcpy(text, c->ctx->message, sizeof text);
  neap_clear(c->ctx);
  np_fail(c->ctx, error, "%s%s: %s", c->op->name, c->in_place ? "_" : "", np_ops[inner].marks & NEAP_OP_HIDDEN ? text + n + 2 : text);
}

static int run_composite(np_call *c) {
  neap_scope scope;
  np_scope_enter(c->ctx, &scope);
  int status = c->op->run(c);
  np_scope_leave(&scope, c->sig->n_outputs, c->out);
  if (NP_UNLIKELY(np_failed(c->ctx))) name_composite(c);
  return status != 0 ? status : (int)c->ctx->error;
}

/* Memory runs out far below: the innermost call that failed puts its name, and its layer's, to the message. */
static void name_call(np_call *c) {
  char text[sizeof c->ctx->message];
  if (c->ctx->error != NEAP_ERR_MEMORY || strncmp(c->ctx->message, "out of memory", 13) != 0) return;
  memcpy(text, c->ctx->message, sizeof text);
  neap_clear(c->ctx);
  np_reject(c, NEAP_ERR_MEMORY, "%s", text);
}

static int run(np_call *c) {
  if (check_contexts(c) != 0) return c->ctx->error;
  if (!c->in_place) return c->op->infer == np_none ? run_composite(c) : run_plain(c);
  neap_scope scope; /* for copies of overlapping operands, and of what is written over */
  np_scope_enter(c->ctx, &scope);
  int status = prepare_in_place(c);
  if (status == 0 && c->op->infer != np_none) status = run_plain(c);
  else if (status == 0 && (status = c->op->run(c)) != 0) name_composite(c);
  np_scope_leave(&scope, 1, c->out);
  return status != 0 ? status : (int)c->ctx->error;
}

static inline int begin(np_call *c, neap_context *ctx, int op) {
  c->ctx = ctx;
  c->op = op >= 0 && op < NP_OPS ? &np_ops[op] : NULL;
  c->sig = NULL;
  if (!c->op) return np_fail(ctx, NEAP_ERR_ARGUMENT, "there is no op with number %d", op);
  c->sig = np_op_signature(ctx, op);
  c->n_parts = 0;
  c->before = NULL;
  for (int i = 0; i < NP_MAX_OUTS; i++) c->out[i] = NULL, c->by_run[i] = 0;
  return ctx->error;
}

/* Binds and does `body`, with the caller's site in force. */
static inline int at_site(np_call *c, int n, const neap_value *args, const neap_site *site, int (*body)(np_call *)) {
  neap_site outer;
  if (site) {
    outer = c->ctx->site;
    c->ctx->site = *site;
  }
  int status = np_bind(c->ctx, c->op->name, c->sig, n, args, c->arg);
  if (status == 0) status = body(c);
  if (NP_UNLIKELY(status != 0)) name_call(c);
  if (site) c->ctx->site = outer;
  return status;
}

int neap_call(neap_context *ctx, int op, int n, const neap_value *args, neap_tensor **out, int in_place, const neap_site *site) {
  np_call c;
  c.in_place = in_place;
  int status = begin(&c, ctx, op);
  for (int i = 0; c.sig && i < c.sig->n_outputs; i++) out[i] = NULL;
  if (status != 0) return status;
  if (NP_UNLIKELY(c.sig->list)) return np_reject(&c, NEAP_ERR_ARGUMENT, "puts out a list of tensors: it goes by neap_call_list");
  status = at_site(&c, n, args, site, run);
  for (int i = 0; i < c.sig->n_outputs; i++) {
    if (status != 0) neap_release(c.out[i]);
    else out[i] = c.out[i];
  }
  return status != 0 ? status : c.sig->n_outputs;
}

/* ---- lists ---- */

static int count_parts(np_call *c) { return check_contexts(c) != 0 ? (int)c->ctx->error : c->op->infer(c); }

static int run_parts(np_call *c) {
  int room = c->n_parts;
  if (count_parts(c) != 0) return c->ctx->error;
  if (c->n_parts > room)
    return np_reject(c, NEAP_ERR_ARGUMENT, "puts out %d tensors, and there is room for %d", c->n_parts, room);
  for (int i = 0; i < c->n_parts; i++) c->part[i] = NULL;
  neap_scope scope;
  np_scope_enter(c->ctx, &scope);
  int status = c->op->run(c);
  np_scope_leave(&scope, c->n_parts, c->part);
  if (status == 0) status = c->ctx->error;
  for (int i = 0; status != 0 && i < c->n_parts; i++) neap_release(c->part[i]), c->part[i] = NULL;
  return status;
}

int neap_call_list(neap_context *ctx, int op, int n, const neap_value *args, neap_tensor **out, int room, const neap_site *site) {
  np_call c;
  c.in_place = 0;
  if (begin(&c, ctx, op) != 0) return ctx->error;
  if (!c.sig->list) {
    if (!out) return c.sig->n_outputs;
    if (c.sig->n_outputs > room)
      return np_reject(&c, NEAP_ERR_ARGUMENT, "puts out %d tensors, and there is room for %d", c.sig->n_outputs, room);
    return neap_call(ctx, op, n, args, out, 0, site);
  }
  c.n_parts = room;
  c.part = out;
  int status = at_site(&c, n, args, site, out ? run_parts : count_parts);
  return status != 0 ? status : c.n_parts;
}

void neap_set_site(neap_context *c, const neap_site *site) { c->site = site ? *site : (neap_site){ 0 }; }
