/* Softmax, its logarithm, and the logarithm of a sum of exponentials, each along rows that the kernels take whole.
 * s_i = exp(x_i) / sum_j exp(x_j). */
#include "loops.h"

enum { X, DIM };

int np_softmax_infer(np_call *c) {
  neap_tensor *x = np_t(c, X);
  int d;
  if (np_need_float(c, "x", x) != 0 || np_axis(c, np_i(c, DIM), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

typedef void row_forward(int64_t n, const void *x, void *y);
typedef void row_gradient(int64_t n, const void *y, const void *g, void *dx);
typedef void sheet_forward(int64_t n, int m, np_sheet x, np_sheet y);
typedef void sheet_gradient(int64_t n, int m, np_sheet y, np_sheet g, np_sheet dx);

typedef struct kernels { /* one row, or many side by side */
  int64_t n;
  row_forward *forward;
  row_gradient *gradient;
  sheet_forward *forward_sheet;
  sheet_gradient *gradient_sheet;
} kernels;

static void forward_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const kernels *k = arg;
  (void)r, (void)block;
  k->forward(k->n, tiles[0], tiles[1]);
}
static void forward_sheet(void *arg, int64_t r, int m, const np_sheet *sheets) {
  const kernels *k = arg;
  (void)r;
  k->forward_sheet(k->n, m, sheets[0], sheets[1]);
}
static void gradient_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const kernels *k = arg;
  (void)r, (void)block;
  k->gradient(k->n, tiles[0], tiles[1], tiles[2]);
}
static void gradient_sheet(void *arg, int64_t r, int m, const np_sheet *sheets) {
  const kernels *k = arg;
  (void)r;
  k->gradient_sheet(k->n, m, sheets[0], sheets[1], sheets[2]);
}

static int forward(np_call *c, row_forward *row, sheet_forward *sheet) {
  neap_tensor *x = np_t(c, X);
  int d = (int)c->room[0], n_axes = x->at.ndim > 0;
  kernels k = { .n = n_axes ? x->at.shape[d] : 1, .forward = row, .forward_sheet = sheet };
  np_rows rows = { .n_in = 1, .n_out = 1, .axis = d, .n_axes = n_axes, .ctype = np_ctype(x->at.dtype), .t = { x, c->out[0] }, .ns = 1.5, .sheet = forward_sheet };
  return np_rows_run(c->ctx, &rows, forward_row, &k);
}
static const np_row *row_of(neap_context *c, int dtype) { return c->kernels->row[np_ctype(dtype)]; }
static const np_sheet_loops *sheet_of(neap_context *c, int dtype) { return c->kernels->sheet[np_ctype(dtype)]; }

int np_softmax_run(np_call *c) {
  const int dtype = np_t(c, X)->at.dtype;
  return forward(c, row_of(c->ctx, dtype)->softmax, sheet_of(c->ctx, dtype)->softmax);
}
int np_log_softmax_run(np_call *c) {
  const int dtype = np_t(c, X)->at.dtype;
  return forward(c, row_of(c->ctx, dtype)->log_softmax, sheet_of(c->ctx, dtype)->log_softmax);
}

static int dim_of(np_back *b) { return (int)np_axis_of(&b->arg[DIM], b->out[0].at.ndim); }

static int fused(np_back *b, row_gradient *row, sheet_gradient *sheet) {
  neap_tensor *y = b->y[0], *gx = np_tensor_like(y, y->at.dtype);
  if (!gx) return b->ctx->error;
  int d = dim_of(b), n_axes = y->at.ndim > 0;
  kernels k = { .n = n_axes ? y->at.shape[d] : 1, .gradient = row, .gradient_sheet = sheet };
  np_rows rows = { .n_in = 2, .n_out = 1, .axis = d, .n_axes = n_axes, .ctype = np_ctype(y->at.dtype), .t = { y, b->g[0], gx }, .ns = 1, .sheet = gradient_sheet };
  b->gx[0] = gx;
  return np_rows_run(b->ctx, &rows, gradient_row, &k);
}

/* gx = y (g - sum(g y)) */
int np_softmax_back(np_back *b) {
  const int dtype = b->out[0].at.dtype;
  return fused(b, row_of(b->ctx, dtype)->softmax_grad, sheet_of(b->ctx, dtype)->softmax_grad);
}
int np_softmax_twin(np_back *b) {
  neap_context *c = b->ctx;
  int64_t d = dim_of(b);
  neap_tensor *gy = neap_mul(c, b->g[0], b->y[0]);
  b->gx[0] = neap_sub(c, gy, neap_mul(c, b->y[0], neap_sum(c, gy, 1, &d, 1, -1)));
  return c->error;
}

/* gx = g - exp(y) sum(g) */
int np_log_softmax_back(np_back *b) {
  const int dtype = b->out[0].at.dtype;
  return fused(b, row_of(b->ctx, dtype)->log_softmax_grad, sheet_of(b->ctx, dtype)->log_softmax_grad);
}
int np_log_softmax_twin(np_back *b) {
  neap_context *c = b->ctx;
  int64_t d = dim_of(b);
  b->gx[0] = neap_sub(c, b->g[0], neap_mul(c, neap_exp(c, b->y[0]), neap_sum(c, b->g[0], 1, &d, 1, -1)));
  return c->error;
}

/* ---- logsumexp: x dims keepdim ---- */

int np_logsumexp_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  uint32_t mask;
  int64_t shape[NEAP_MAX_DIMS];
  int n = 0;
  if (np_need_float(c, "x", x) != 0 || np_axes(c, &c->arg[1], x->at.ndim, &mask) != 0) return c->ctx->error;
  for (int i = 0; i < x->at.ndim; i++) {
    if (!(mask >> i & 1)) shape[n++] = x->at.shape[i];
    else if (np_i(c, 2)) shape[n++] = 1;
  }
  c->room[0] = mask;
  return np_spec(c, 0, x->at.dtype, n, shape);
}

typedef struct sums {
  int64_t n;
  double *y;
  void (*kernel)(int64_t n, const void *x, double *y);
  void (*sheet)(int64_t n, int m, np_sheet x, double *y);
} sums;

static void sum_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const sums *s = arg;
  (void)block;
  s->kernel(s->n, tiles[0], s->y + r);
}
static void sum_sheet(void *arg, int64_t r, int m, const np_sheet *sheets) {
  const sums *s = arg;
  s->sheet(s->n, m, sheets[0], s->y + r);
}

int np_logsumexp_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *y = c->out[0];
  uint32_t mask = (uint32_t)c->room[0] & ((1u << x->at.ndim) - 1);
  int one = mask && !(mask & (mask - 1)), axis = 0, n_axes = 0;
  if (y->at.count == 0) return NEAP_OK;
  for (int i = 0; i < x->at.ndim; i++) n_axes += mask >> i & 1;
  if (one) axis = __builtin_ctz(mask);
  else axis = x->at.ndim - n_axes;
  neap_tensor *turned = one ? neap_retain(x) : np_permuted(c->ctx, x, mask, x->at.dtype);
  neap_tensor *sum = np_tensor_like(y, NEAP_F64);
  if (!turned || !sum) {
    neap_release(turned);
    neap_release(sum);
    return c->ctx->error;
  }
  sums s = { .n = 1, .y = (double *)np_data(sum), .kernel = row_of(c->ctx, x->at.dtype)->logsumexp,
    .sheet = sheet_of(c->ctx, x->at.dtype)->logsumexp };
  for (int i = axis; i < axis + n_axes; i++) s.n *= turned->at.shape[i];
  for (int64_t i = 0; s.n == 0 && i < y->at.count; i++) s.y[i] = -INFINITY;
  np_rows rows = { .n_in = 1, .axis = axis, .n_axes = n_axes, .ctype = np_ctype(x->at.dtype), .t = { turned }, .ns = 1, .sheet = sum_sheet };
  np_rows_run(c->ctx, &rows, sum_row, &s);
  np_copy(c->ctx, y, sum);
  neap_release(sum);
  neap_release(turned);
  return c->ctx->error;
}

int np_logsumexp_back(np_back *b) { /* gx = g exp(x - y) */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  uint32_t mask = np_mask_of(&b->arg[1], x->ndim);
  neap_tensor *y = np_keep_dims(c, b->y[0], x, mask), *g = np_keep_dims(c, b->g[0], x, mask);
  b->gx[0] = neap_mul(c, g, neap_exp(c, neap_sub(c, b->x[0], y)));
  return c->error;
}
