/* Reductions over any dimensions: sums, means, variances, products, norms, truth and counts. The engine in fold.c does
 * the work; here stand the shapes, the dtypes and the derivatives. Sums of integers are int64, float results keep
 * their dtype. In back, `g` is the gradient with its reduced dimensions put back as ones, so that it broadcasts. */
#include "loops.h"

#define C(v) NP_C(c, v)

enum { DIMS = 1, KEEPDIM = 2, DTYPE = 3 }; /* places of the arguments; norm's and var's stand elsewhere */

static int reduced(np_call *c, int dims, int keepdim, int dtype) {
  neap_tensor *x = np_t(c, 0);
  uint32_t mask;
  int64_t shape[NEAP_MAX_DIMS];
  int n = 0;
  if (np_axes(c, &c->arg[dims], x->at.ndim, &mask) != 0) return c->ctx->error;
  for (int i = 0; i < x->at.ndim; i++) {
    if (!(mask >> i & 1)) shape[n++] = x->at.shape[i];
    else if (np_i(c, keepdim)) shape[n++] = 1;
  }
  c->room[0] = mask;
  return np_spec(c, 0, dtype, n, shape);
}

static int fold(np_call *c, int kind, double divisor, double power) { /* sums and products in the result's dtype */
  int as = kind == NP_SUM || kind == NP_PROD ? 1 + np_ctype(c->out[0]->at.dtype) : 0;
  np_fold f = { .kind = kind, .divisor = divisor, .power = power, .as = as };
  return np_fold_run(c->ctx, np_t(c, 0), (uint32_t)c->room[0], &f, c->out[0]);
}

static double folded(const np_layout *x, uint32_t mask) { /* how many elements one result is made of */
  double n = 1;
  for (int i = 0; i < x->ndim; i++)
    if (mask >> i & 1) n *= (double)x->shape[i];
  return n;
}

static neap_tensor *spread(np_back *b, neap_tensor *y, int dims) {
  const np_layout *x = &b->in[0].at;
  return np_keep_dims(b->ctx, y, x, np_mask_of(&b->arg[dims], x->ndim));
}

static int n_reduced(np_back *b, int dims, int64_t *list) { /* a recorded list of dims as plain numbers */
  const np_layout *x = &b->in[0].at;
  uint32_t mask = np_mask_of(&b->arg[dims], x->ndim);
  int n = 0;
  for (int i = 0; i < x->ndim; i++)
    if (mask >> i & 1) list[n++] = i;
  return n;
}

/* ---- sum and mean: x dims keepdim dtype ---- */

static int sum_dtype(const np_call *c) {
  if (np_given(c, DTYPE)) return (int)np_i(c, DTYPE);
  return np_is_float(np_t(c, 0)->at.dtype) ? np_t(c, 0)->at.dtype : NEAP_I64;
}

int np_sum_infer(np_call *c) { return reduced(c, DIMS, KEEPDIM, sum_dtype(c)); }
int np_sum_run(np_call *c) { return fold(c, c->out[0]->at.dtype == NEAP_BOOL ? NP_ANY : NP_SUM, 1, 1); }
int np_sum_back(np_back *b) { /* gx = g */
  b->gx[0] = spread(b, b->g[0], DIMS);
  return b->ctx->error;
}

int np_mean_infer(np_call *c) {
  if (!np_given(c, DTYPE) && np_need_float(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  if (np_given(c, DTYPE) && !np_is_float((int)np_i(c, DTYPE)))
    return np_reject(c, NEAP_ERR_DTYPE, "dtype is %s, but a mean is a float", np_dtypes[np_i(c, DTYPE)].info.name);
  return reduced(c, DIMS, KEEPDIM, sum_dtype(c));
}
int np_mean_run(np_call *c) { return fold(c, NP_SUM, folded(&np_t(c, 0)->at, (uint32_t)c->room[0]), 1); }
int np_mean_back(np_back *b) { /* gx = g / n */
  neap_context *c = b->ctx;
  double n = folded(&b->in[0].at, np_mask_of(&b->arg[DIMS], b->in[0].at.ndim));
  b->gx[0] = spread(b, neap_div(c, b->g[0], C(n)), DIMS);
  return c->error;
}

/* ---- variance: x dims correction keepdim ---- */

int np_var_infer(np_call *c) {
  if (np_need_float(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  return reduced(c, 1, 3, np_t(c, 0)->at.dtype);
}

static int variance(np_call *c, double power) {
  neap_tensor *x = np_t(c, 0);
  uint32_t mask = (uint32_t)c->room[0];
  double n = folded(&x->at, mask), left = n - np_d(c, 2);
  neap_tensor *mean = np_tensor_like(c->out[0], NEAP_F64);
  if (!mean) return c->ctx->error;
  np_fold first = { .kind = NP_SUM, .divisor = n, .power = 1 };
  np_fold_run(c->ctx, x, mask, &first, mean);
  np_fold second = { .kind = NP_SUM, .center = (const double *)np_data(mean), .divisor = left > 0 ? left : 0, .power = power };
  np_fold_run(c->ctx, x, mask, &second, c->out[0]);
  neap_release(mean);
  return c->ctx->error;
}
int np_var_run(np_call *c) { return variance(c, 1); }
int np_std_run(np_call *c) { return variance(c, 0.5); }

static neap_tensor *deviation(np_back *b) { /* x - mean(x) */
  int64_t dims[NEAP_MAX_DIMS];
  int n = n_reduced(b, 1, dims);
  return neap_sub(b->ctx, b->x[0], neap_mean(b->ctx, b->x[0], n, n ? dims : NULL, 1, -1));
}
static double degrees(np_back *b) { return folded(&b->in[0].at, np_mask_of(&b->arg[1], b->in[0].at.ndim)) - b->arg[2].d; }

int np_var_back(np_back *b) { /* gx = 2 g (x - mean) / (n - correction) */
  neap_context *c = b->ctx;
  b->gx[0] = neap_mul(c, deviation(b), neap_mul(c, spread(b, b->g[0], 1), C(2 / degrees(b))));
  return c->error;
}

/* g / (k y) where y is not 0, else 0 */
static neap_tensor *over(neap_context *c, neap_tensor *g, neap_tensor *y, double k) {
  neap_tensor *zero = neap_eq(c, y, C(0)), *safe = neap_where(c, zero, C(1), y);
  return neap_where(c, zero, C(0), neap_div(c, g, k == 1 ? safe : neap_mul(c, safe, C(k))));
}

int np_std_back(np_back *b) { /* gx = g (x - mean) / ((n - correction) y) */
  neap_context *c = b->ctx;
  b->gx[0] = neap_mul(c, deviation(b), over(c, spread(b, b->g[0], 1), spread(b, b->y[0], 1), degrees(b)));
  return c->error;
}

int np_var_mean_run(np_call *c) {
  const neap_value *d = &c->arg[1];
  c->out[0] = neap_var(c->ctx, np_t(c, 0), d->n, d->is, np_d(c, 2), (int)np_i(c, 3));
  c->out[1] = neap_mean(c->ctx, np_t(c, 0), d->n, d->is, (int)np_i(c, 3), -1);
  return c->ctx->error;
}
int np_std_mean_run(np_call *c) {
  const neap_value *d = &c->arg[1];
  c->out[0] = neap_std(c->ctx, np_t(c, 0), d->n, d->is, np_d(c, 2), (int)np_i(c, 3));
  c->out[1] = neap_mean(c->ctx, np_t(c, 0), d->n, d->is, (int)np_i(c, 3), -1);
  return c->ctx->error;
}

/* ---- nansum and nanmean: as sum and mean, NaN passed over ---- */

static int wanted_dtype(const np_call *c) { return np_given(c, DTYPE) ? (int)np_i(c, DTYPE) : -1; }

int np_nansum_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  const neap_value *d = &c->arg[DIMS];
  if (np_is_float(x->at.dtype)) x = neap_where(c->ctx, neap_isnan(c->ctx, x), NP_C(c->ctx, 0), x);
  c->out[0] = neap_sum(c->ctx, x, d->n, d->is, (int)np_i(c, KEEPDIM), wanted_dtype(c));
  return c->ctx->error;
}
int np_nanmean_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  const neap_value *d = &c->arg[DIMS];
  int keepdim = (int)np_i(c, KEEPDIM);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  neap_tensor *nan = neap_isnan(c->ctx, x);
  neap_tensor *n = neap_sum(c->ctx, neap_logical_not(c->ctx, nan), d->n, d->is, keepdim, -1);
  neap_tensor *sum = neap_sum(c->ctx, neap_where(c->ctx, nan, NP_C(c->ctx, 0), x), d->n, d->is, keepdim, wanted_dtype(c));
  c->out[0] = neap_div(c->ctx, sum, n);
  return c->ctx->error;
}

/* ---- product: as sum ---- */

int np_prod_run(np_call *c) { return fold(c, c->out[0]->at.dtype == NEAP_BOOL ? NP_ALL : NP_PROD, 1, 1); }

/* (rows, n) to the products of all that stands before (after) each element: log2 n shifted products. */
static neap_tensor *products(neap_context *c, neap_tensor *x, int after) {
  int64_t rows = x->at.shape[0], n = x->at.shape[1];
  neap_tensor *y = x;
  for (int64_t s = 1, first = 1; s < n || first; s = first ? 1 : 2 * s, first = 0) {
    neap_tensor *ones = neap_ones(c, 2, (int64_t[]){ rows, s }, x->at.dtype);
    neap_tensor *rest = neap_narrow(c, y, 1, after ? s : 0, n - s);
    neap_tensor *shifted = neap_cat(c, 2, after ? (neap_tensor *[]){ rest, ones } : (neap_tensor *[]){ ones, rest }, 1);
    y = first ? shifted : neap_mul(c, y, shifted);
    if (!y) return NULL;
  }
  return y;
}

/* gx[i] = g prod over j != i of x[j]: no division, so zeros are fine. */
int np_prod_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = neap_to(c, b->x[0], b->out[0].at.dtype);
  if (!x) return c->error;
  uint32_t mask = np_mask_of(&b->arg[DIMS], x->at.ndim);
  int64_t order[NEAP_MAX_DIMS], back[NEAP_MAX_DIMS], n = 1;
  int k = 0;
  if (x->at.count == 0) return NEAP_OK;
  for (uint32_t last = 0; last < 2; last++)
    for (int i = 0; i < x->at.ndim; i++)
      if ((mask >> i & 1) == last) {
        if (last) n *= x->at.shape[i];
        back[i] = k;
        order[k++] = i;
      }
  neap_tensor *turned = k ? neap_permute(c, x, k, order) : x;
  neap_tensor *flat = neap_reshape(c, turned, 2, (int64_t[]){ x->at.count / n, n });
  if (!flat) return c->error;
  neap_tensor *others = neap_mul(c, products(c, flat, 0), products(c, flat, 1));
  neap_tensor *g = neap_mul(c, others, neap_reshape(c, b->g[0], 2, (int64_t[]){ x->at.count / n, 1 }));
  if (!g) return c->error;
  g = neap_reshape(c, g, k, turned->at.shape);
  b->gx[0] = k ? neap_permute(c, g, k, back) : g;
  return c->error;
}

/* ---- norm: x p dims keepdim ---- */

int np_norm_infer(np_call *c) {
  if (np_need_float(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  if (reduced(c, 2, 3, np_t(c, 0)->at.dtype) != 0) return c->ctx->error;
  if (isinf(np_d(c, 1)) && np_d(c, 1) < 0 && np_t(c, 0)->at.count == 0 && c->spec[0].count > 0)
    return np_reject(c, NEAP_ERR_SHAPE, "x has no elements, so none is the smallest, which p = -inf asks for");
  return NEAP_OK;
}

/* |x| ^ p as a temporary, then its sum or smallest value. */
static int general_norm(np_call *c, double p) {
  neap_tensor *x = np_t(c, 0), *t = np_tensor_like(x, np_native_of(x->at.dtype));
  if (!t) return c->ctx->error;
  int ctype = np_ctype(x->at.dtype);
  np_map_job abs = { .map = c->ctx->kernels->map[ctype][NP_EW_abs], .ctype = ctype, .n_in = 1, .in = &x, .out = t, .poll = 1 };
  np_map_run(c->ctx, &abs);
  if (!isinf(p)) {
    neap_value v[2] = { { 0 }, { .kind = NEAP_NUMBER, .d = p } };
    neap_tensor *in[2] = { t, NULL };
    np_map_job pow = { .map = c->ctx->kernels->map[ctype][NP_EW_pow], .ctype = ctype, .n_in = 2, .in = in, .scalar = v, .out = t, .poll = 1 };
    np_map_run(c->ctx, &pow);
  }
  np_fold f = { .kind = isinf(p) ? NP_MIN : NP_SUM, .divisor = 1, .power = isinf(p) ? 1 : 1 / p };
  np_fold_run(c->ctx, t, (uint32_t)c->room[0], &f, c->out[0]);
  neap_release(t);
  return c->ctx->error;
}

int np_norm_run(np_call *c) {
  double p = np_d(c, 1);
  if (p == 2) return fold(c, NP_SUM_SQ, 1, 0.5);
  if (p == 1) return fold(c, NP_SUM_ABS, 1, 1);
  if (p == 0) return fold(c, NP_COUNT, 1, 1);
  if (isinf(p) && p > 0) return fold(c, NP_MAX_ABS, 1, 1);
  return general_norm(c, p);
}

/* p = 2: gx = g x / y. p = 1: g sign x. infinite p: g sign x shared by those that are the extreme. p = 0: none.
 * else gx = g sign x |x|^(p-1) y^(1-p). Where y is 0 the gradient is 0. */
int np_norm_back(np_back *b) {
  neap_context *c = b->ctx;
  double p = b->arg[1].d;
  if (p == 0) return NEAP_OK;
  neap_tensor *x = b->x[0], *g = spread(b, b->g[0], 2), *y = spread(b, b->y[0], 2);
  if (p == 2) {
    b->gx[0] = neap_mul(c, x, over(c, g, y, 1));
  } else if (p == 1) {
    b->gx[0] = neap_mul(c, g, neap_sign(c, x));
  } else if (isinf(p)) {
    int64_t dims[NEAP_MAX_DIMS];
    int n = n_reduced(b, 2, dims);
    neap_tensor *hit = neap_eq(c, neap_abs(c, x), y), *share = neap_div(c, g, neap_sum(c, hit, n, n ? dims : NULL, 1, -1));
    b->gx[0] = neap_mul(c, neap_sign(c, x), neap_mul(c, hit, share));
  } else {
    neap_tensor *none = neap_eq(c, y, C(0)), *size = neap_abs(c, x);
    neap_tensor *base = neap_where(c, neap_eq(c, x, C(0)), C(1), size), *y1 = neap_where(c, none, C(1), y);
    neap_tensor *q = neap_where(c, none, C(0), neap_mul(c, g, neap_pow(c, y1, C(1 - p))));
    b->gx[0] = neap_mul(c, neap_mul(c, neap_sign(c, x), neap_pow(c, base, C(p - 1))), q);
  }
  return c->error;
}

/* ---- truth and counts ---- */

int np_any_infer(np_call *c) { return reduced(c, DIMS, KEEPDIM, NEAP_BOOL); }
int np_any_run(np_call *c) { return fold(c, NP_ANY, 1, 1); }
int np_all_run(np_call *c) { return fold(c, NP_ALL, 1, 1); }
int np_count_nonzero_infer(np_call *c) { return reduced(c, DIMS, KEEPDIM, NEAP_I64); }
int np_count_nonzero_run(np_call *c) { return fold(c, NP_COUNT, 1, 1); }
