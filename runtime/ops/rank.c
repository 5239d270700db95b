/* Values by rank along a dimension: kthvalue, medians, the mode, quantiles. The first three select in linear time without
 * sorting; quantiles are made of recorded ops on the sorted values, as several of them usually come from one row. */
#include "loops.h"

/* ---- one value a row, and its position ---- */

typedef struct picked {
  int64_t k, base;
  int skip_nan;
  char *values;
  int64_t *at;
} picked;

static void pick(const picked *s, const np_order *o, int64_t r, const char *x, int64_t at) {
  const uint64_t entry = (uint64_t)at;
  o->k->take[o->ctype](1, &entry, x, s->base, s->values + r * o->size, s->at + r);
}

static int pick_rows(np_call *c, np_order_task task, picked *s) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  np_order o;
  if (np_order_open(&o, c, np_t(c, 0), (int)c->room[0], 0) != 0) return ctx->error;
  neap_tensor *v = np_room(y, np_native_of(y->at.dtype));
  if (v) {
    s->base = ctx->site.base;
    s->values = np_data(v), s->at = (int64_t *)np_data(c->out[1]);
    np_order_run(&o, task, s);
  }
  np_deliver(ctx, y, v);
  np_order_close(&o);
  return ctx->error;
}

/* dim and keepdim are arguments number `dim` and `keepdim`; x's rows must have something in them. */
static int reduced(np_call *c, int dim, int keepdim) {
  neap_tensor *x = np_t(c, 0);
  int d, n = 0;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_axis(c, np_i(c, dim), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  for (int i = 0; i < x->at.ndim; i++) {
    if (i != d) shape[n++] = x->at.shape[i];
    else if (np_i(c, keepdim)) shape[n++] = 1;
  }
  if (x->at.ndim && x->at.shape[d] == 0)
    return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of x has size 0, so there is nothing to choose from", NP_DIM(c, d));
  if (np_spec(c, 0, x->at.dtype, n, shape) != 0) return c->ctx->error;
  return np_spec(c, 1, NEAP_I64, n, shape);
}

static int back(np_back *b, int dim) { /* gx = zeros, gx[indices] = g */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  if (!b->g[0]) return NEAP_OK;
  if (x->ndim == 0) {
    b->gx[0] = b->g[0];
    return c->error;
  }
  int64_t d = np_axis_of(&b->arg[dim], x->ndim);
  neap_tensor *at = np_keep_dims(c, b->y[1], x, 1u << d), *g = np_keep_dims(c, b->g[0], x, 1u << d);
  b->gx[0] = neap_scatter_(c, np_zeros_like(c, x), d, at, g, 0);
  return c->error;
}

/* ---- kthvalue: x k dim keepdim ---- */

int np_kthvalue_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  if (reduced(c, 2, 3) != 0) return c->ctx->error;
  int64_t n = x->at.ndim ? x->at.shape[c->room[0]] : 1;
  if (np_i(c, 1) >= 1 && np_i(c, 1) <= n) return NEAP_OK;
  char why[96];
  np_dim_text(why, sizeof why, c, (int)c->room[0], "x", x);
  return np_reject(c, NEAP_ERR_ARGUMENT, "k is %lld, but %s: 1 is the smallest value", (long long)np_i(c, 1), why);
}
static void kth_task(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room) {
  const picked *s = arg;
  const char *x = np_order_row(o, r);
  pick(s, o, r, x, np_order_rank(o, o->n, x, s->k, e, room));
}
int np_kthvalue_run(np_call *c) {
  picked s = { .k = np_i(c, 1) - 1 };
  return pick_rows(c, kth_task, &s);
}
int np_kthvalue_back(np_back *b) { return back(b, 2); }

/* ---- median, nanmedian: x dim keepdim ---- */

int np_median_along_infer(np_call *c) { return reduced(c, 1, 2); }
static void median_task(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room) {
  const picked *s = arg;
  const char *x = np_order_row(o, r);
  int64_t nans = o->ctype == NP_CI64 ? 0 : o->k->nans[o->ctype](o->n, x), at, n = o->n - nans;
  if (nans && (!s->skip_nan || n == 0)) o->c->kernels->reduce[o->ctype]->arg[0](o->n, x, &at); /* the first NaN */
  else at = np_order_rank(o, o->n, x, (n - 1) / 2, e, room);
  pick(s, o, r, x, at);
}
int np_median_along_run(np_call *c) {
  picked s = { .skip_nan = (int)np_i(c, 3) };
  return pick_rows(c, median_task, &s);
}
int np_median_along_back(np_back *b) { return back(b, 1); }

/* x with the dimensions in mask, one behind the other, as its last. */
static neap_tensor *together(neap_context *c, neap_tensor *x, uint32_t mask) {
  int64_t order[NEAP_MAX_DIMS], shape[NEAP_MAX_DIMS + 1], inside = 1;
  int n = 0, stay;
  for (int i = 0; i < x->at.ndim; i++)
    if (!(mask >> i & 1)) shape[n] = x->at.shape[i], order[n++] = i;
  stay = n;
  for (int i = 0; i < x->at.ndim; i++)
    if (mask >> i & 1) inside *= x->at.shape[i], order[n++] = i;
  shape[stay] = inside;
  return neap_reshape(c, neap_permute(c, x, n, order), stay + 1, shape);
}

typedef neap_tensor *along(neap_context *c, neap_tensor *x, int64_t dim, int keepdim, int skip_nan, neap_tensor **indices);

/* A reduction along the dims of argument 1: one goes to `f` as it is, several as one. */
static int reduce_along(np_call *c, along *f, int skip_nan) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  const neap_value *dims = &c->arg[1];
  uint32_t mask;
  int64_t shape[NEAP_MAX_DIMS];
  if (dims->n == 1) {
    c->out[0] = f(ctx, x, dims->is[0], (int)np_i(c, 2), skip_nan, &c->out[1]);
    return ctx->error;
  }
  if (np_axes(c, dims, x->at.ndim, &mask) != 0) return ctx->error;
  for (int i = 0; i < x->at.ndim; i++) shape[i] = mask >> i & 1 ? 1 : x->at.shape[i];
  c->out[0] = f(ctx, together(ctx, x, mask), -1, 0, skip_nan, &c->out[1]);
  for (int i = 0; i < 2 && np_i(c, 2); i++) c->out[i] = neap_reshape(ctx, c->out[i], x->at.ndim, shape);
  return ctx->error;
}

static int median(np_call *c, int skip_nan) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int keepdim = (int)np_i(c, 2);
  int64_t ones[NEAP_MAX_DIMS];
  if (np_given(c, 1)) return reduce_along(c, neap_median_along, skip_nan);
  for (int i = 0; i < x->at.ndim; i++) ones[i] = 1;
  if (x->at.count == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no elements, so it has no median");
  neap_tensor *y = neap_median_along(ctx, neap_reshape(ctx, x, 1, &x->at.count), 0, 0, skip_nan, NULL);
  if (y && ctx->grad_mode && np_needs_grad(x)) /* those that tie share the gradient, as those of amax do */
    y = neap_amax(ctx, neap_where(ctx, neap_isclose(ctx, x, y, 0, 0, 1), x, NP_C(ctx, -INFINITY)), 0, NULL, 0);
  c->out[0] = keepdim ? neap_reshape(ctx, y, x->at.ndim, ones) : y;
  return ctx->error;
}
int np_median_run(np_call *c) { return median(c, 0); }
int np_nanmedian_run(np_call *c) { return median(c, 1); }

/* ---- mode_along: x dim keepdim; mode: x dims keepdim ---- */

static int same_value(int ctype, const char *a, const char *b) { /* NaN is like no other */
  if (ctype == NP_CF32) return *(const float *)(const void *)a == *(const float *)(const void *)b;
  if (ctype == NP_CF64) return *(const double *)(const void *)a == *(const double *)(const void *)b;
  return *(const int64_t *)(const void *)a == *(const int64_t *)(const void *)b;
}

int np_mode_infer(np_call *c) { return reduced(c, 1, 2); }
static void mode_task(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room) {
  const picked *s = arg;
  const char *x = np_order_row(o, r);
  uint64_t *sorted = np_order_sort(o, o->n, x, e, room);
  int64_t best = 0, most = 0;
  for (int64_t from = 0, to; from < o->n; from = to) {
    const char *v = x + (int64_t)(uint32_t)sorted[from] * o->size;
    for (to = from + 1; to < o->n && same_value(o->ctype, v, x + (int64_t)(uint32_t)sorted[to] * o->size); to++);
    if (to - from > most) most = to - from, best = (int64_t)(uint32_t)sorted[to - 1];
  }
  pick(s, o, r, x, best);
}
int np_mode_along_run(np_call *c) {
  picked s = { 0 };
  return pick_rows(c, mode_task, &s);
}
static neap_tensor *mode_along(neap_context *c, neap_tensor *x, int64_t dim, int keepdim, int skip_nan, neap_tensor **indices) {
  (void)skip_nan;
  return neap_mode_along(c, x, dim, keepdim, indices);
}
int np_mode_run(np_call *c) {
  const int64_t last = -1;
  if (!np_given(c, 1)) c->arg[1] = (neap_value){ .kind = NEAP_INTS, .n = 1, .is = &last };
  return reduce_along(c, mode_along, 0);
}

/* ---- quantile, nanquantile: x q dims keepdim interpolation ---- */

enum { LINEAR, LOWER, HIGHER, MIDPOINT, NEAREST };

static neap_tensor *value_at(neap_context *c, neap_tensor *sorted, neap_tensor *rank) { /* rank: floats from 0, along the last dimension */
  neap_tensor *base = np_tensor_scalar(c, NEAP_I64, c->site.base);
  return base ? neap_gather(c, sorted, -1, neap_add(c, neap_to(c, rank, NEAP_I64), base)) : NULL;
}

/* Values of (rows, n) in order at q (k), ranks counted to last (rows, 1), the position of the last value: (rows, k). */
static neap_tensor *interpolated(neap_context *c, neap_tensor *sorted, neap_tensor *q, neap_tensor *last, int how) {
  neap_tensor *rank = neap_mul(c, last, q);
  if (how == LOWER) rank = neap_floor(c, rank);
  if (how == HIGHER) rank = neap_ceil(c, rank);
  if (how == NEAREST) rank = neap_round(c, rank, 0);
  neap_tensor *low = neap_floor(c, rank), *below = value_at(c, sorted, low);
  if (how != LINEAR && how != MIDPOINT) return below;
  neap_tensor *weight = how == LINEAR ? neap_sub(c, rank, low) : NP_C(c, 0.5);
  return neap_lerp(c, below, value_at(c, sorted, neap_ceil(c, rank)), weight);
}

static int check_q(np_call *c, neap_tensor *q) {
  neap_tensor *x = np_t(c, 0);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (q->at.dtype != x->at.dtype)
    return np_reject(c, NEAP_ERR_DTYPE, "q is %s and x is %s: they must be alike", np_dtypes[q->at.dtype].info.name, np_dtypes[x->at.dtype].info.name);
  if (q->at.ndim > 1) return np_reject(c, NEAP_ERR_SHAPE, "q must be a number or a vector, got %d dimensions", q->at.ndim);
  for (int64_t i = 0; i < q->at.count; i++) {
    double v = np_get_number(q->at.dtype, np_data(q) + i * (q->at.ndim ? q->at.stride[0] : 1) * np_size_of(q->at.dtype));
    if (!(v >= 0 && v <= 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "q is %g, it must be from 0 to 1", v);
  }
  return NEAP_OK;
}

static int quantile(np_call *c, int skip_nan) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *q = np_t(c, 1);
  int keepdim = (int)np_i(c, 3), how = (int)np_i(c, 4), n_dims = 0, ndim = x->at.ndim;
  int64_t shape[NEAP_MAX_DIMS + 1], n = 1;
  uint32_t mask;
  if (!q) q = np_tensor_scalar(ctx, np_is_float(x->at.dtype) ? x->at.dtype : NEAP_F32, c->arg[1].kind == NEAP_INT ? (double)np_i(c, 1) : np_d(c, 1));
  if (!q || check_q(c, q) != 0) return ctx->error;
  if (np_axes(c, &c->arg[2], ndim, &mask) != 0) return ctx->error;
  for (int i = 0; i < ndim; i++)
    if (mask >> i & 1) n *= x->at.shape[i];
  if (n == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no elements to take a quantile of");
  int64_t rows = x->at.count / n, k = q->at.count;
  neap_tensor *sorted = neap_sort(ctx, neap_reshape(ctx, together(ctx, x, mask), 2, (int64_t[]){ rows, n }), 1, 0, 0, NULL);
  if (!sorted) return ctx->error;
  /* A row with NaN has it last; the ranks of such rows lead there, or count the others only. */
  neap_tensor *nan = neap_isnan(ctx, sorted), *last;
  if (skip_nan) {
    last = neap_sub(ctx, neap_sum(ctx, neap_logical_not(ctx, nan), 1, (int64_t[]){ 1 }, 1, -1), NP_C(ctx, 1));
    last = neap_to(ctx, neap_maximum(ctx, last, NP_C(ctx, 0)), x->at.dtype);
  } else {
    last = neap_full(ctx, 2, (int64_t[]){ rows, 1 }, (double)(n - 1), x->at.dtype);
  }
  neap_tensor *y = interpolated(ctx, sorted, neap_reshape(ctx, q, 2, (int64_t[]){ 1, k }), last, how);
  if (!skip_nan && y) y = neap_where(ctx, neap_narrow(ctx, nan, 1, -1, 1), NP_C(ctx, NAN), y);
  /* (rows, k) to (k, rows), then to the shape of q and that of x without the dims */
  if (q->at.ndim) shape[n_dims++] = k;
  for (int i = 0; i < ndim; i++) {
    if (!(mask >> i & 1)) shape[n_dims++] = x->at.shape[i];
    else if (keepdim) shape[n_dims++] = 1;
  }
  if (n_dims > NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "the result has %d dimensions, %d are the most", n_dims, NEAP_MAX_DIMS);
  y = y ? neap_contiguous(ctx, neap_reshape(ctx, neap_t(ctx, y), n_dims, shape)) : NULL;
  c->out[0] = y;
  return ctx->error;
}
int np_quantile_run(np_call *c) { return quantile(c, 0); }
int np_nanquantile_run(np_call *c) { return quantile(c, 1); }
