/* Values that meet: scatter_reduce sums, multiplies, averages or takes the extreme of all src that have one place, and of
 * x's own value there when include_self says so; without it x's value counts only where nothing meets. The gradients
 * are made of recorded ops. Also take_along_dim, a gather whose operands broadcast. */
#include "loops.h"

enum { SUM, PROD, MEAN, AMAX, AMIN };

/* ---- scatter_reduce: x dim index src reduce include_self ---- */

static int may_record(const neap_tensor *t) { return np_needs_grad(t) || (t->base && np_needs_grad(t->base)); }

/* A change in place would overwrite the x that the gradient reads, so a recorded one goes through a copy. */
int np_scatter_reduce_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2), *src = np_t(c, 3);
  int64_t d = np_i(c, 1);
  int how = (int)np_i(c, 4), self = (int)np_i(c, 5);
  if (np_scatter_add_infer(c) != 0) return ctx->error;
  int adds = how == SUM && self, records = ctx->grad_mode && (may_record(x) || may_record(src));
  if (adds && c->in_place) c->out[0] = neap_scatter_add_(ctx, x, d, index, src);
  else if (adds) c->out[0] = neap_scatter_add(ctx, x, d, index, src);
  else if (!c->in_place) c->out[0] = neap_scatter_reduce_at(ctx, x, d, index, src, how, self);
  else if (!records) c->out[0] = neap_scatter_reduce_at_(ctx, x, d, index, src, how, self);
  else c->out[0] = neap_copy_(ctx, x, neap_scatter_reduce_at(ctx, neap_clone(ctx, x), d, index, src, how, self));
  return ctx->error;
}

/* A number for every src: the call with it as src. */
static int scatter_number(const np_call *c, neap_tensor *y, int op, neap_value v) {
  np_call one = *c;
  one.arg[3] = v;
  return np_scatter_all(&one, y, op);
}

static neap_value identity(int how, int ctype) {
  if (how == SUM || how == MEAN) return (neap_value){ .kind = NEAP_INT, .i = 0 };
  if (how == PROD) return (neap_value){ .kind = NEAP_INT, .i = 1 };
  if (ctype == NP_CI64) return (neap_value){ .kind = NEAP_INT, .i = how == AMAX ? INT64_MIN : INT64_MAX };
  return (neap_value){ .kind = NEAP_NUMBER, .d = how == AMAX ? -INFINITY : INFINITY };
}

/* y = y / max(z, 1), rounded down for integers; of one compute type and shape. */
static void divide(neap_context *c, neap_tensor *y, neap_tensor *z) {
  int ctype = np_ctype(y->at.dtype);
  neap_value v[2] = { { 0 }, { .kind = NEAP_NUMBER, .d = 1 } };
  neap_tensor *count[2] = { z, NULL }, *in[2] = { y, z };
  np_map_job least = { .map = c->kernels->map[ctype][NP_EW_maximum], .ctype = ctype, .n_in = 2, .in = count, .scalar = v, .out = z };
  np_map_job job = { .map = c->kernels->map[ctype][ctype == NP_CI64 ? NP_EW_floor_divide : NP_EW_div], .ctype = ctype, .n_in = 2, .in = in, .out = y };
  np_map_run(c, &least);
  np_map_run(c, &job);
}

int np_scatter_reduce_at_run(np_call *c) {
  static const int ops[] = { NP_FOLD_ADD, NP_FOLD_MUL, NP_FOLD_ADD, NP_FOLD_MAX, NP_FOLD_MIN };
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  int how = (int)np_i(c, 4), self = (int)np_i(c, 5);
  if (!c->in_place) np_copy(ctx, y, np_t(c, 0));
  neap_tensor *t = np_summing(ctx, y);
  if (!t) return ctx->error;
  if (!self) scatter_number(c, t, NP_PUT_ONE, identity(how, np_ctype(t->at.dtype)));
  np_scatter_all(c, t, ops[how]);
  if (how == MEAN) {
    neap_tensor *n = np_zeros_like(ctx, &t->at);
    neap_tensor *one = n ? np_tensor_scalar(ctx, t->at.dtype, 1) : NULL;
    if (one && self) np_copy(ctx, n, one);
    if (one && scatter_number(c, n, NP_FOLD_ADD, (neap_value){ .kind = NEAP_INT, .i = 1 }) == 0) divide(ctx, t, n);
    neap_release(one);
    neap_release(n);
  }
  np_deliver(ctx, y, t);
  return ctx->error;
}

/* ---- its gradient ---- */

typedef struct meeting { /* what the formulas below share */
  neap_context *c;
  neap_tensor *index, *x, *src, *y, *g; /* src cut to index's shape */
  int64_t d;
  int self;
} meeting;

static neap_tensor *at_index(const meeting *m, neap_tensor *t) { return neap_gather(m->c, t, m->d, m->index); }
static neap_tensor *without_met(const meeting *m, neap_tensor *t) { /* 0 where something meets and x does not count */
  return m->self ? t : neap_scatter(m->c, t, m->d, m->index, NP_C(m->c, 0), 0);
}

/* gx = g / n, gsrc = (g / n)[index], n how many meet */
static void mean_back(const meeting *m, neap_tensor **gx, neap_tensor **gsrc) {
  neap_context *c = m->c;
  neap_tensor *one = neap_ones_like(c, m->g, -1);
  neap_tensor *n = neap_scatter_add(c, without_met(m, one), m->d, m->index, neap_ones_like(c, m->src, -1));
  neap_tensor *g = neap_div(c, m->g, n);
  *gx = without_met(m, g);
  *gsrc = at_index(m, g);
}

/* g goes to the values that are the extreme, in equal parts */
static void extreme_back(const meeting *m, neap_tensor **gx, neap_tensor **gsrc) {
  neap_context *c = m->c;
  neap_tensor *x = without_met(m, neap_to(c, neap_eq(c, m->x, m->y), m->g->at.dtype));
  neap_tensor *src = neap_to(c, neap_eq(c, m->src, at_index(m, m->y)), m->g->at.dtype);
  neap_tensor *g = neap_div(c, m->g, neap_scatter_add(c, x, m->d, m->index, src));
  *gx = neap_mul(c, g, x);
  *gsrc = neap_mul(c, at_index(m, g), src);
}

/* The product of all others: with p the product of what is not 0 and z how many are, p / e, or p for the only 0, or 0. */
static neap_tensor *others(neap_context *c, neap_tensor *e, neap_tensor *p, neap_tensor *z) {
  neap_tensor *zero = neap_eq(c, e, NP_C(c, 0)), *rest = neap_div(c, p, neap_masked_fill(c, e, zero, NP_C(c, 1)));
  return neap_where(c, neap_eq(c, z, neap_to(c, zero, NEAP_I64)), rest, NP_C(c, 0));
}

static void prod_back(const meeting *m, neap_tensor **gx, neap_tensor **gsrc) {
  neap_context *c = m->c;
  neap_tensor *x0 = neap_eq(c, m->x, NP_C(c, 0)), *src0 = neap_eq(c, m->src, NP_C(c, 0));
  neap_tensor *z = neap_scatter_add(c, without_met(m, neap_to(c, x0, NEAP_I64)), m->d, m->index, neap_to(c, src0, NEAP_I64));
  neap_tensor *p = neap_scatter_reduce(c, neap_masked_fill(c, m->x, x0, NP_C(c, 1)), m->d, m->index,
                                       neap_masked_fill(c, m->src, src0, NP_C(c, 1)), PROD, m->self);
  *gx = without_met(m, neap_mul(c, m->g, others(c, m->x, p, z)));
  *gsrc = neap_mul(c, at_index(m, m->g), others(c, m->src, at_index(m, p), at_index(m, z)));
}

int np_scatter_reduce_at_back(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *index = &b->in[1].at;
  meeting m = { .c = c, .index = b->x[1], .x = b->x[0], .src = b->x[2], .y = b->y[0], .g = b->g[0],
    .d = np_back_axis(b, 1, &b->in[0].at), .self = (int)b->arg[5].i };
  neap_tensor *gx = NULL, *gsrc = NULL;
  for (int i = 0; i < index->ndim; i++)
    if (index->shape[i] != b->in[2].at.shape[i]) m.src = neap_narrow(c, m.src, i, 0, index->shape[i]);
  if (!m.src) return c->error;
  switch (b->arg[4].i) {
  case SUM: gx = without_met(&m, m.g), gsrc = at_index(&m, m.g); break;
  case PROD: prod_back(&m, &gx, &gsrc); break;
  case MEAN: mean_back(&m, &gx, &gsrc); break;
  default: extreme_back(&m, &gx, &gsrc);
  }
  b->gx[0] = gx;
  if (b->in[2].needs) b->gx[2] = np_grown(c, gsrc, &b->in[2].at);
  return c->error;
}

/* ---- take_along_dim: x index dim ---- */

int np_take_along_dim_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 1);
  int d = 0, ndim;
  int64_t shape[NEAP_MAX_DIMS], size;
  if (!np_given(c, 2)) {
    c->out[0] = neap_gather(ctx, neap_ravel(ctx, x), 0, neap_ravel(ctx, index));
    return ctx->error;
  }
  if (x->at.ndim != index->at.ndim)
    return np_reject(c, NEAP_ERR_SHAPE, "index has %d dimensions, x has %d: they must have as many", index->at.ndim, x->at.ndim);
  if (np_axis(c, np_i(c, 2), x->at.ndim, &d) != 0) return ctx->error;
  np_layout a = x->at, b = index->at;
  if (x->at.ndim) a.shape[d] = b.shape[d] = 1;
  if (np_broadcast(ctx, c->op->name, &a, &b, &ndim, shape) != 0) return ctx->error;
  if (ndim) {
    size = index->at.shape[d];
    shape[d] = x->at.shape[d];
    x = neap_expand(ctx, x, ndim, shape);
    shape[d] = size;
    index = neap_expand(ctx, index, ndim, shape);
  }
  c->out[0] = neap_gather(ctx, x, d, index);
  return ctx->error;
}
