/* All combinations: of an element from each of several vectors, of elements of one vector, and of the row and column of
 * the places in a triangle. The lists of positions are counted out here; what they pick is picked by other ops. */
#include "loops.h"

/* ---- cartesian_prod: tensors ---- */

int np_cartesian_prod_run(np_call *c) {
  neap_context *ctx = c->ctx;
  const neap_value *xs = &c->arg[0];
  int64_t total = 1, before = 1;
  if (xs->n == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "the list of tensors is empty");
  for (int i = 0; i < xs->n; i++) {
    if (!xs->ts[i]) return np_reject(c, NEAP_ERR_ARGUMENT, "tensor %lld of the list is missing", NP_DIM(c, i));
    if (xs->ts[i]->at.ndim != 1)
      return np_reject(c, NEAP_ERR_SHAPE, "tensor %lld has %d dimensions, it must have 1", NP_DIM(c, i), xs->ts[i]->at.ndim);
    int64_t n = xs->ts[i]->at.count;
    if (n > 0 && total > (INT64_MAX >> 8) / n) return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
    total *= n;
  }
  if (xs->n == 1) {
    c->out[0] = neap_retain(xs->ts[0]);
    return NEAP_OK;
  }
  size_t bytes = (size_t)xs->n * sizeof(neap_tensor *);
  neap_tensor **column = np_alloc(ctx, bytes);
  if (!column) return ctx->error;
  for (int i = 0; i < xs->n; i++) { /* (before, n, after): each element `after` times in a row, all that `before` times */
    int64_t n = xs->ts[i]->at.count, after = total ? total / n / before : 0;
    neap_tensor *x = neap_reshape(ctx, xs->ts[i], 3, (int64_t[]){ 1, n, 1 });
    column[i] = neap_reshape(ctx, neap_expand(ctx, x, 3, (int64_t[]){ total ? before : 0, n, after }), 1, &total);
    before *= n;
  }
  if (!np_failed(ctx)) c->out[0] = neap_stack(ctx, xs->n, column, 1);
  np_free(ctx, column, bytes);
  return ctx->error;
}

/* ---- combinations: x r with_replacement ---- */

/* The list of r positions below n that follows `now`; again: an element may come again. There is one. */
static void next_combination(int64_t r, int64_t n, int again, const int64_t *now, int64_t *next) {
  int64_t i = r - 1;
  while (now[i] == (again ? n - 1 : n - r + i)) i--;
  for (int64_t k = 0; k < r; k++) next[k] = k < i ? now[k] : now[i] + 1 + (again ? 0 : k - i);
}

int np_combinations_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int64_t r = np_i(c, 1), n = x->at.count, again = np_i(c, 2), none = 0;
  double count = 1;
  if (x->at.ndim != 1) return np_reject(c, NEAP_ERR_SHAPE, "x must have 1 dimension, got %d", x->at.ndim);
  if (r < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "r is %lld, it must be at least 0", (long long)r);
  if (r == 0) {
    c->out[0] = np_tensor_new(ctx, x->at.dtype, 1, &none);
    return ctx->error;
  }
  for (int64_t i = 0; i < r && count > 0 && count < 1e15; i++) count = count * (double)(again ? n + i : n - i) / (double)(i + 1);
  if (count * (double)r > 1e12) return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
  int64_t shape[2] = { r > n && !again ? 0 : (int64_t)(count + 0.5), r };
  neap_tensor *at = np_tensor_new(ctx, NEAP_I64, 2, shape);
  if (!at) return ctx->error;
  int64_t *to = (int64_t *)np_data(at);
  for (int64_t k = 0; k < r && shape[0] > 0; k++) to[k] = again ? 0 : k;
  for (int64_t i = 1; i < shape[0]; i++) next_combination(r, n, (int)again, to + (i - 1) * r, to + i * r);
  for (int64_t i = 0; i < at->at.count; i++) to[i] += ctx->site.base;
  c->out[0] = neap_reshape(ctx, neap_index_select(ctx, x, 0, neap_reshape(ctx, at, 1, &at->at.count)), 2, shape);
  return ctx->error;
}

/* ---- tril_indices, triu_indices: row col offset ---- */

/* How many places of row i lie on or below the diagonal (from the row's begin). */
static int64_t below(int64_t i, int64_t cols, int64_t offset) { return np_max(0, np_min(cols, i + offset + 1)); }

static int64_t upper_first(int64_t i, int64_t cols, int64_t offset) { return np_max(0, np_min(cols, i + offset)); }

int np_tril_indices_infer(np_call *c) {
  int64_t rows = np_i(c, 0), cols = np_i(c, 1), offset = np_i(c, 2), shape[2] = { 2, 0 };
  int upper = c->op == &np_ops[NP_OP_triu_indices], dtype = np_given(c, 3) ? (int)np_i(c, 3) : NEAP_I64;
  if (rows < 0 || cols < 0)
    return np_reject(c, NEAP_ERR_ARGUMENT, "row and col are %lld and %lld, they must be at least 0", (long long)rows, (long long)cols);
  if (cols > 0 && rows > (INT64_MAX >> 8) / cols) return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
  if (!np_is_int(dtype))
    return np_reject(c, NEAP_ERR_DTYPE, "dtype must be of integers, got %s", np_dtypes[dtype].info.name);
  offset = np_max(-rows - 1, np_min(cols + 1, offset));
  c->room[0] = offset;
  for (int64_t i = 0; i < rows; i++) shape[1] += upper ? cols - upper_first(i, cols, offset) : below(i, cols, offset);
  return np_spec(c, 0, dtype, 2, shape);
}

static int triangle_indices(np_call *c, int upper) {
  neap_tensor *y = c->out[0], *all = np_room(y, NEAP_I64);
  int64_t rows = np_i(c, 0), cols = np_i(c, 1), offset = c->room[0], base = c->ctx->site.base, n = y->at.shape[1], k = 0;
  if (!all) return c->ctx->error;
  int64_t *at = (int64_t *)np_data(all);
  for (int64_t i = 0; i < rows; i++) {
    int64_t last = upper ? cols : below(i, cols, offset);
    for (int64_t j = upper ? upper_first(i, cols, offset) : 0; j < last; j++, k++) at[k] = i + base, at[n + k] = j + base;
  }
  np_deliver(c->ctx, y, all);
  return c->ctx->error;
}
int np_tril_indices_run(np_call *c) { return triangle_indices(c, 0); }
int np_triu_indices_run(np_call *c) { return triangle_indices(c, 1); }
