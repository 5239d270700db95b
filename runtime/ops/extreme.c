/* Extremes: the largest and smallest values (amax, amin), the same with their positions (max, min), positions alone
 * (argmax, argmin). NaN wins everywhere; of equal values the first position is taken. amax shares its gradient evenly
 * among equal values, max gives it to the position that it names. Positions count from the caller's base. */
#include "loops.h"

enum { COLUMNS = 256 };

static int no_elements(np_call *c, int d) {
  if (d < 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no elements, so it has no extreme");
  return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of x has size 0, so it has no extreme", NP_DIM(c, d));
}

/* ---- amax, amin: x dims keepdim ---- */

int np_amax_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  uint32_t mask;
  int64_t shape[NEAP_MAX_DIMS];
  int n = 0;
  if (np_axes(c, &c->arg[1], x->at.ndim, &mask) != 0) return c->ctx->error;
  for (int i = 0; i < x->at.ndim; i++) {
    if (!(mask >> i & 1)) shape[n++] = x->at.shape[i];
    else if (np_i(c, 2)) shape[n++] = 1;
  }
  c->room[0] = mask;
  if (np_spec(c, 0, x->at.dtype, n, shape) != 0) return c->ctx->error;
  for (int i = 0; i < x->at.ndim && c->spec[0].count > 0; i++)
    if ((mask >> i & 1) && x->at.shape[i] == 0) return no_elements(c, i);
  return NEAP_OK;
}
static int extreme(np_call *c, int kind) {
  np_fold f = { .kind = kind, .divisor = 1, .power = 1 };
  return np_fold_run(c->ctx, np_t(c, 0), (uint32_t)c->room[0], &f, c->out[0]);
}
int np_amax_run(np_call *c) { return extreme(c, NP_MAX); }
int np_amin_run(np_call *c) { return extreme(c, NP_MIN); }

int np_amax_back(np_back *b) { /* gx = g where x is the extreme, shared by all that are */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  uint32_t mask = np_mask_of(&b->arg[1], x->ndim);
  int64_t dims[NEAP_MAX_DIMS];
  int n = 0;
  for (int i = 0; i < x->ndim; i++)
    if (mask >> i & 1) dims[n++] = i;
  neap_tensor *hit = neap_eq(c, b->x[0], np_keep_dims(c, b->y[0], x, mask));
  neap_tensor *hits = neap_sum(c, hit, n, n ? dims : NULL, 1, -1);
  b->gx[0] = neap_mul(c, hit, neap_div(c, np_keep_dims(c, b->g[0], x, mask), hits));
  return c->error;
}

int np_aminmax_run(np_call *c) {
  int n = np_given(c, 1) ? c->arg[1].n : 0, keepdim = (int)np_i(c, 2);
  const int64_t *dims = n ? c->arg[1].is : NULL;
  c->out[0] = neap_amin(c->ctx, np_t(c, 0), n, dims, keepdim);
  c->out[1] = neap_amax(c->ctx, np_t(c, 0), n, dims, keepdim);
  return c->ctx->error;
}

/* ---- positions: x seen as (outer, n, inner), contiguous in its compute type ---- */

typedef struct search {
  neap_context *c;
  const np_reduce *kernel;
  int which, ctype, value_dtype;   /* which: 0 largest, 1 smallest */
  int64_t size, outer, n, inner, per_task, tiles, base;
  const char *x;
  int64_t *at;                     /* (outer, inner) */
  char *values;                    /* the same in value_dtype, or NULL */
} search;

static void row_task(void *arg, int64_t task) {
  const search *s = arg;
  if (np_cancelled(s->c)) return;
  const np_kernels *k = s->c->kernels;
  int64_t last = np_min((task + 1) * s->per_task, s->outer), value_size = np_size_of(s->value_dtype);
  for (int64_t r = task * s->per_task; r < last; r++) {
    const char *x = s->x + r * s->n * s->size;
    int64_t i;
    s->kernel->arg[s->which](s->n, x, &i);
    s->at[r] = i + s->base;
    if (s->values) k->store[s->ctype][s->value_dtype](1, x + i * s->size, s->values + r * value_size, 1);
  }
}

static void column_task(void *arg, int64_t task) {
  const search *s = arg;
  if (np_cancelled(s->c)) return;
  int64_t o = task / s->tiles, j = task % s->tiles * COLUMNS, n = np_min(COLUMNS, s->inner - j), first = o * s->inner + j;
  double best[COLUMNS]; /* int64s for integers */
  s->kernel->arg_cols[s->which](s->n, n, s->x + (o * s->n * s->inner + j) * s->size, s->inner, 0, best, s->at + first);
  for (int64_t i = 0; i < n; i++) s->at[first + i] += s->base;
  int atype = s->ctype == NP_CI64 ? NP_CI64 : NP_CF64;
  if (s->values)
    s->c->kernels->store[atype][s->value_dtype](n, best, s->values + first * np_size_of(s->value_dtype), 1);
}

/* One long row in parts: the extreme of each, then the extreme of those. */
static int long_row(search *s) {
  enum { PARTS = 32 };
  int64_t part = np_blocks(s->n, PARTS), parts = np_blocks(s->n, part), at[PARTS], best, n = s->n;
  double value[PARTS];
  search whole = *s;
  s->at = at;
  s->values = (char *)value;
  s->value_dtype = s->ctype == NP_CF32 ? NEAP_F32 : s->ctype == NP_CF64 ? NEAP_F64 : NEAP_I64;
  s->per_task = 1, s->base = 0, s->n = part, s->outer = n / part;
  np_parallel(s->c, s->outer, (double)n * 0.5, row_task, s);
  if (s->outer < parts) {
    search tail = *s;
    tail.x += s->outer * part * s->size, tail.at += s->outer, tail.values += s->outer * s->size;
    tail.n = n - s->outer * part, tail.outer = 1;
    row_task(&tail, 0);
  }
  s->kernel->arg[s->which](parts, value, &best);
  whole.at[0] = at[best] + best * part + whole.base;
  if (whole.values)
    s->c->kernels->store[s->ctype][whole.value_dtype](1, (char *)value + best * s->size, whole.values, 1);
  return NEAP_OK;
}

static int find(np_call *c, int which, neap_tensor *values, neap_tensor *at) {
  neap_tensor *x = np_t(c, 0), *flat = np_contiguous_of(c->ctx, x, np_native_of(x->at.dtype));
  if (!flat) return c->ctx->error;
  int d = (int)c->room[0], ctype = np_ctype(x->at.dtype);
  search s = { .c = c->ctx, .kernel = c->ctx->kernels->reduce[ctype], .which = which, .ctype = ctype, .outer = 1, .n = 1, .inner = 1,
    .size = np_size_of(flat->at.dtype), .x = np_data(flat), .at = (int64_t *)np_data(at), .base = c->ctx->site.base,
    .values = values ? np_data(values) : NULL, .value_dtype = values ? values->at.dtype : NEAP_F32 };
  for (int i = 0; i < x->at.ndim; i++) *(d < 0 || i == d ? &s.n : i < d ? &s.outer : &s.inner) *= x->at.shape[i];
  double ns = (double)x->at.count * 0.6;
  if (s.outer * s.inner == 0) {
  } else if (s.inner > 1) {
    s.tiles = np_blocks(s.inner, COLUMNS);
    np_parallel(c->ctx, s.outer * s.tiles, ns, column_task, &s);
  } else if (s.outer == 1 && s.n > 64 && s.n > 8 * (int64_t)NP_GRAIN) {
    long_row(&s);
  } else {
    s.per_task = np_max(1, NP_GRAIN / s.n);
    np_parallel(c->ctx, np_blocks(s.outer, s.per_task), ns, row_task, &s);
  }
  neap_release(flat);
  return c->ctx->error;
}

/* Shapes of what is found along dim (or in all of x) for outputs first .. last. */
static int along(np_call *c, int dim, int keepdim, int n_out, const int *dtypes) {
  neap_tensor *x = np_t(c, 0);
  int d = -1, n = 0;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_given(c, dim) && np_axis(c, np_i(c, dim), x->at.ndim, &d) != 0) return c->ctx->error;
  for (int i = 0; i < x->at.ndim; i++) {
    if (d >= 0 && i != d) shape[n++] = x->at.shape[i];
    else if (np_i(c, keepdim)) shape[n++] = 1;
  }
  c->room[0] = d;
  for (int i = 0; i < n_out; i++)
    if (np_spec(c, i, dtypes[i], n, shape) != 0) return c->ctx->error;
  if (c->spec[0].count > 0 && x->at.count == 0) return no_elements(c, d);
  return NEAP_OK;
}

/* Without a dimension these are amax and amin: one value, whose gradient equal ones share. */
static int extreme_infer(np_call *c, int whole) {
  if (np_given(c, 1)) return along(c, 1, 2, 2, (int[]){ np_t(c, 0)->at.dtype, NEAP_I64 });
  const np_signature *sig = np_op_signature(c->ctx, whole);
  if (!sig) return c->ctx->error;
  c->op = &np_ops[whole];
  c->sig = sig;
  return c->op->infer(c);
}
int np_max_infer(np_call *c) { return extreme_infer(c, NP_OP_amax); }
int np_min_infer(np_call *c) { return extreme_infer(c, NP_OP_amin); }
int np_max_run(np_call *c) { return find(c, 0, c->out[0], c->out[1]); }
int np_min_run(np_call *c) { return find(c, 1, c->out[0], c->out[1]); }

int np_max_back(np_back *b) { /* gx[indices] = g, else 0 */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  if (!b->g[0]) return NEAP_OK;
  if (x->ndim == 0) {
    neap_tensor *flat = neap_zeros(c, 1, &x->count, x->dtype);
    const int64_t one = 1;
    flat = neap_scatter_(c, flat, 0, neap_reshape(c, b->y[1], 1, &one), neap_reshape(c, b->g[0], 1, &one), 0);
    b->gx[0] = flat ? neap_reshape(c, flat, x->ndim, x->shape) : NULL;
  } else {
    int64_t d = np_axis_of(&b->arg[1], x->ndim);
    neap_tensor *at = np_keep_dims(c, b->y[1], x, 1u << d), *g = np_keep_dims(c, b->g[0], x, 1u << d);
    b->gx[0] = neap_scatter_(c, neap_zeros(c, x->ndim, x->shape, x->dtype), d, at, g, 0);
  }
  return c->error;
}

int np_argmax_infer(np_call *c) { return along(c, 1, 2, 1, (int[]){ NEAP_I64 }); }
int np_argmax_run(np_call *c) { return find(c, 0, NULL, c->out[0]); }
int np_argmin_run(np_call *c) { return find(c, 1, NULL, c->out[0]); }
