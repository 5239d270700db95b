/* What follows from the decompositions: pseudo-inverses and least squares, ranks, norms of matrices, condition numbers,
 * exponentials and powers. All but pinv are composites of ops that record themselves. */
#include <stdlib.h>
#include "linalg.h"

static const int64_t last = -1;

/* ---- singular values that count: s > max(atol, rtol s_1) ---- */

static neap_tensor *cut_off(np_call *call, neap_tensor *s, int64_t m, int64_t n, int atol, int rtol) {
  neap_context *c = call->ctx;
  double absolute = np_given(call, atol) ? np_d(call, atol) : 0, eps = s && s->at.dtype == NEAP_F32 ? 0x1p-23 : 0x1p-52;
  double relative = np_given(call, rtol) ? np_d(call, rtol) : absolute > 0 ? 0 : eps * (double)np_max(m, n);
  if (!s || s->at.count == 0) return s;
  return neap_clamp(c, neap_mul(c, neap_amax(c, s, 1, &last, 1), NP_C(c, relative)), absolute, NAN);
}

int np_pinv_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  int64_t shape[NEAP_MAX_DIMS];
  if ((np_i(call, 3) ? np_need_square : np_need_matrices)(call, "x", x) != 0) return call->ctx->error;
  memcpy(shape, x->at.shape, sizeof shape);
  shape[x->at.ndim - 2] = np_n_cols(&x->at), shape[x->at.ndim - 1] = np_n_rows(&x->at);
  return np_spec(call, 0, x->at.dtype, x->at.ndim, shape);
}

int np_pinv_run(np_call *call) { /* x atol rtol hermitian: V diag(1 / s) U' over the values that count; V diag(1 / w) V' */
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *s = NULL, *vh = NULL;
  if (x->at.count == 0) return np_zero(c, call->out[0]);
  neap_scope scope;
  int mode = neap_grad_mode(c, 0), hermitian = (int)np_i(call, 3);
  np_scope_enter(c, &scope);
  neap_tensor *u = NULL, *size;
  if (hermitian) s = neap_eigh(c, x, NEAP_UPLO_L, &u), vh = np_mt(c, u), size = neap_abs(c, s);
  else u = neap_svd(c, x, 0, &s, &vh), size = s;
  neap_tensor *cut = cut_off(call, size, np_n_rows(&x->at), np_n_cols(&x->at), 1, 2);
  neap_tensor *inverse = neap_where(c, neap_gt(c, size, cut), neap_div(c, NP_C(c, 1), s), NP_C(c, 0));
  neap_tensor *y = neap_matmul(c, neap_mul(c, np_mt(c, vh), neap_unsqueeze(c, inverse, -2)), np_mt(c, u));
  if (y) np_copy(c, call->out[0], y);
  np_scope_leave(&scope, 0, NULL);
  neap_grad_mode(c, mode);
  return c->error;
}

/* Where the rank stays the same (Golub and Pereyra, 1973), with y = pinv(x):
 * gx = -y' g y' + (1 - x y) g' y y' + y' y g' (1 - y x) */
int np_pinv_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->arg[3].i ? np_symmetric(c, b->x[0]) : b->x[0], *y = b->y[0], *g = b->g[0], *yt = np_mt(c, y), *gt = np_mt(c, g);
  neap_tensor *left = neap_matmul(c, neap_matmul(c, gt, y), yt), *right = neap_matmul(c, yt, neap_matmul(c, y, gt));
  left = neap_sub(c, left, neap_matmul(c, x, neap_matmul(c, y, left)));
  right = neap_sub(c, right, neap_matmul(c, neap_matmul(c, right, y), x));
  b->gx[0] = neap_sub(c, neap_add(c, left, right), neap_matmul(c, neap_matmul(c, yt, g), yt));
  return c->error;
}

int np_matrix_rank_run(np_call *call) { /* x atol rtol hermitian */
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *s;
  int hermitian = (int)np_i(call, 3);
  if ((hermitian ? np_need_square : np_need_matrices)(call, "x", x) != 0) return c->error;
  if (hermitian)
    s = neap_abs(c, neap_eigvalsh(c, x, NEAP_UPLO_L));
  else
    s = neap_svdvals(c, x);
  call->out[0] = neap_count_nonzero(c, neap_gt(c, s, cut_off(call, s, np_n_rows(&x->at), np_n_cols(&x->at), 1, 2)), 1, &last, 0);
  return c->error;
}

/* x other rcond: the shortest y that makes |x y - other| least; its squared residuals where x has more rows than columns and
 * full rank, else none; the rank. */
int np_lstsq_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *w = np_t(call, 1);
  char s[128], t[128];
  if (np_need_matrices(call, "x", x) != 0) return c->error;
  np_shape_text(s, sizeof s, x);
  np_shape_text(t, sizeof t, w);
  int vector = w->at.ndim == x->at.ndim - 1;
  if (w->at.ndim == 0 || w->at.shape[vector ? w->at.ndim - 1 : w->at.ndim - 2 + (w->at.ndim < 2)] != np_n_rows(&x->at))
    return np_reject(call, NEAP_ERR_SHAPE, "other %s does not fit x %s: it must have %lld rows", t, s, (long long)np_n_rows(&x->at));
  if (vector) w = neap_unsqueeze(c, w, -1);
  double rcond = np_given(call, 2) ? np_d(call, 2) : NAN;
  neap_tensor *y = neap_matmul(c, neap_pinv(c, x, NAN, rcond, 0), w), *rank = neap_matrix_rank(c, x, NAN, rcond, 0);
  neap_tensor *residuals = NULL, *lowest = rank && rank->at.count ? neap_amin(c, rank, 0, NULL, 0) : NULL;
  int full = lowest && neap_item_int(lowest) == np_n_cols(&x->at);
  if (np_n_rows(&x->at) > np_n_cols(&x->at) && full)
    residuals = neap_sum(c, neap_square(c, neap_sub(c, neap_matmul(c, x, y), w)), 1, (int64_t[]){ -2 }, 0, -1);
  else
    residuals = neap_zeros(c, 1, (int64_t[]){ 0 }, x->at.dtype);
  call->out[0] = vector ? neap_squeeze(c, y, 1, &last) : y;
  call->out[1] = residuals;
  call->out[2] = rank;
  return c->error;
}

/* ---- norms ---- */

enum { FRO, NUC, ONE, MINUS_ONE, TWO, MINUS_TWO, INF, MINUS_INF };

static int order_of(np_call *call, const char *text, int *order) {
  static const double numbers[] = { 1, -1, 2, -2, INFINITY, -INFINITY };
  if (strcmp(text, "fro") == 0 || strcmp(text, "nuc") == 0) {
    *order = text[0] == 'f' ? FRO : NUC;
    return NEAP_OK;
  }
  char *end;
  double v = strtod(text, &end);
  for (int i = 0; *text && !*end && i < NP_ARRAY(numbers); i++)
    if (v == numbers[i]) {
      *order = ONE + i;
      return NEAP_OK;
    }
  return np_reject(call, NEAP_ERR_ARGUMENT, "'%s' is no norm of a matrix; there are 'fro', 'nuc', 1, -1, 2, -2, inf and -inf", text);
}

/* Of the matrices in dimensions p (rows) and q (columns). */
static neap_tensor *norm_of(neap_context *c, neap_tensor *x, int order, int p, int q, int keepdim) {
  int64_t both[2] = { p, q }, first = order == INF || order == MINUS_INF ? q : p, second = first == p ? q : p;
  int least = order == MINUS_ONE || order == MINUS_TWO || order == MINUS_INF;
  if (order == FRO) return neap_norm(c, x, 2, 2, both, keepdim);
  if (order == NUC || order == TWO || order == MINUS_TWO) {
    int64_t dims[NEAP_MAX_DIMS], n = 0;
    for (int d = 0; d < x->at.ndim; d++)
      if (d != p && d != q) dims[n++] = d;
    dims[n++] = p, dims[n++] = q;
    neap_tensor *s = neap_svdvals(c, neap_permute(c, x, (int)n, dims));
    s = order == NUC ? neap_sum(c, s, 1, &last, 0, -1) : least ? neap_amin(c, s, 1, &last, 0) : neap_amax(c, s, 1, &last, 0);
    return keepdim ? neap_unsqueeze(c, neap_unsqueeze(c, s, p < q ? p : q), p < q ? q : p) : s;
  }
  neap_tensor *sums = neap_sum(c, neap_abs(c, x), 1, &first, 1, -1);
  neap_tensor *y = least ? neap_amin(c, sums, 1, &second, 1) : neap_amax(c, sums, 1, &second, 1);
  return keepdim ? y : neap_squeeze(c, y, 2, both);
}

static int matrix_norm(np_call *call, neap_tensor *x, const char *order, const neap_value *dims, int keepdim) {
  int k, p = x->at.ndim - 2, q = x->at.ndim - 1;
  char s[128];
  np_shape_text(s, sizeof s, x);
  if (np_need_float(call, "x", x) != 0 || order_of(call, order, &k) != 0) return call->ctx->error;
  if (x->at.ndim < 2) return np_reject(call, NEAP_ERR_SHAPE, "x must have 2 dimensions or more for a norm of matrices, got shape %s", s);
  if (dims->kind != NEAP_NONE) {
    if (dims->n != 2) return np_reject(call, NEAP_ERR_ARGUMENT, "dims must name 2 dimensions, got %d", dims->n);
    if (np_axis(call, dims->is[0], x->at.ndim, &p) != 0 || np_axis(call, dims->is[1], x->at.ndim, &q) != 0) return call->ctx->error;
    if (p == q) return np_reject(call, NEAP_ERR_ARGUMENT, "dimension %lld is given twice", NP_DIM(call, p));
  }
  call->out[0] = norm_of(call->ctx, x, k, p, q, keepdim);
  return call->ctx->error;
}

int np_matrix_norm_run(np_call *call) { return matrix_norm(call, np_t(call, 0), call->arg[1].s, &call->arg[2], (int)np_i(call, 3)); }

int np_vector_norm_run(np_call *call) {
  const neap_value *dims = &call->arg[2];
  call->out[0] = neap_norm(call->ctx, np_t(call, 0), np_d(call, 1), dims->n, dims->kind == NEAP_NONE ? NULL : dims->is, (int)np_i(call, 3));
  return call->ctx->error;
}

int np_linalg_norm_run(np_call *call) { /* x ord dims keepdim: without ord the 2-norm of all elements, else by the number of dims */
  neap_tensor *x = np_t(call, 0);
  const neap_value *dims = &call->arg[2];
  int n = dims->kind == NEAP_NONE ? x->at.ndim : dims->n, keepdim = (int)np_i(call, 3);
  double p = 2;
  if (np_given(call, 1) && n == 2) return matrix_norm(call, x, call->arg[1].s, dims, keepdim);
  if (np_given(call, 1)) {
    char *end;
    p = strtod(call->arg[1].s, &end);
    if (n != 1) return np_reject(call, NEAP_ERR_ARGUMENT, "ord goes with 1 dimension or 2, not with %d: name them in dims", n);
    if (*end || end == call->arg[1].s) return np_reject(call, NEAP_ERR_ARGUMENT, "'%s' is no norm of a vector: ord must be a number", call->arg[1].s);
  }
  call->out[0] = neap_norm(call->ctx, x, p, dims->n, dims->kind == NEAP_NONE ? NULL : dims->is, keepdim);
  return call->ctx->error;
}

int np_cond_run(np_call *call) { /* x p: |x| |x^-1|, infinite where x is singular */
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0);
  int k = TWO;
  if (np_need_matrices(call, "x", x) != 0 || (np_given(call, 1) && order_of(call, call->arg[1].s, &k) != 0)) return c->error;
  if (k == TWO || k == MINUS_TWO) {
    neap_tensor *s = neap_svdvals(c, x), *high = neap_amax(c, s, 1, &last, 0), *low = neap_amin(c, s, 1, &last, 0);
    call->out[0] = k == TWO ? neap_div(c, high, low) : neap_div(c, low, high);
    return c->error;
  }
  if (np_need_square(call, "x", x) != 0) return c->error;
  int d = x->at.ndim;
  neap_tensor *none = neap_eq(c, neap_slogdet(c, x, NULL), NP_C(c, 0));
  neap_tensor *safe = neap_where(c, neap_unsqueeze(c, neap_unsqueeze(c, none, -1), -1), neap_eye(c, np_n_rows(&x->at), NEAP_ABSENT, x->at.dtype), x);
  neap_tensor *inverse = neap_inv(c, safe);
  if (inverse) call->out[0] = neap_where(c, none, NP_C(c, INFINITY), neap_mul(c, norm_of(c, x, k, d - 2, d - 1, 0), norm_of(c, inverse, k, d - 2, d - 1, 0)));
  return c->error;
}

/* ---- functions of a matrix ---- */

static neap_tensor *identity(neap_context *c, neap_tensor *x) { return neap_eye(c, np_n_rows(&x->at), NEAP_ABSENT, x->at.dtype); }

/* a x + b y + d z + e 1 */
static neap_tensor *mix(neap_context *c, double a, neap_tensor *x, double b, neap_tensor *y, double d, neap_tensor *z, double e, neap_tensor *one) {
  neap_tensor *s = neap_add(c, neap_add(c, neap_mul(c, x, NP_C(c, a)), neap_mul(c, y, NP_C(c, b))), neap_mul(c, z, NP_C(c, d)));
  return e == 0 ? s : neap_add(c, s, neap_mul(c, one, NP_C(c, e)));
}

/* Scaling and squaring with the Pade approximant of order 13 (Higham, 2005): exp(x) = r(x / 2^k)^(2^k) with the smallest k
 * that brings a matrix's 1-norm under 5.37 (3.9 in float32), of each matrix its own; r = (V - U)^-1 (V + U). */
int np_matrix_exp_run(np_call *call) {
  static const double p[14] = { 1, 1.0 / 2, 3.0 / 25, 11.0 / 600, 11.0 / 5520, 3.0 / 18400, 1.0 / 96600, 1.0 / 1932000, 1.0 / 48944000, 1.0 / 1585785600,
    1.0 / 67395888000, 1.0 / 3953892096000, 1.0 / 355850288640000, 1.0 / 64764752532480000 };
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0);
  if (np_need_square(call, "x", x) != 0) return c->error;
  if (x->at.count == 0) {
    call->out[0] = neap_clone(c, x);
    return c->error;
  }
  int mode = neap_grad_mode(c, 0), least = 0, most = 0;
  neap_tensor *size = neap_amax(c, neap_sum(c, neap_abs(c, x), 1, (int64_t[]){ -2 }, 1, -1), 1, &last, 1); /* (..., 1, 1) */
  neap_tensor *k = neap_clamp(c, neap_ceil(c, neap_log2(c, neap_mul(c, size, NP_C(c, x->at.dtype == NEAP_F32 ? 1 / 3.9 : 1 / 5.37)))), 0, NAN);
  k = neap_where(c, neap_isfinite(c, k), k, NP_C(c, 0));
  neap_tensor *low = neap_amin(c, k, 0, NULL, 0), *high = neap_amax(c, k, 0, NULL, 0);
  if (low && high) least = (int)neap_item(low), most = (int)neap_item(high);
  if (most > 0) size = neap_exp2(c, neap_neg(c, k));
  neap_grad_mode(c, mode);
  if (most > 0) x = neap_mul(c, x, size);
  neap_tensor *one = x ? identity(c, x) : NULL, *x2 = neap_matmul(c, x, x), *x4 = neap_matmul(c, x2, x2), *x6 = neap_matmul(c, x4, x2);
  neap_tensor *u = neap_matmul(c, x6, mix(c, p[13], x6, p[11], x4, p[9], x2, 0, NULL));
  u = neap_matmul(c, x, neap_add(c, u, mix(c, p[7], x6, p[5], x4, p[3], x2, p[1], one)));
  neap_tensor *v = neap_matmul(c, x6, mix(c, p[12], x6, p[10], x4, p[8], x2, 0, NULL));
  v = neap_add(c, v, mix(c, p[6], x6, p[4], x4, p[2], x2, p[0], one));
  neap_tensor *y = neap_solve_matrix(c, neap_sub(c, v, u), neap_add(c, v, u));
  for (int i = 0; i < most && !np_failed(c); i++) {
    neap_tensor *square = neap_matmul(c, y, y);
    y = i < least ? square : neap_where(c, neap_gt(c, k, NP_C(c, i)), square, y);
  }
  call->out[0] = y;
  return c->error;
}

int np_matrix_power_run(np_call *call) { /* by squaring; a negative power of the inverse */
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *y = NULL;
  int64_t n = np_i(call, 1);
  if (np_need_square(call, "x", x) != 0) return c->error;
  if (n == 0) { /* whatever x is, and with a gradient of zeros */
    call->out[0] = neap_where(c, neap_ones(c, 1, (int64_t[]){ 1 }, NEAP_BOOL), identity(c, x), x);
    return c->error;
  }
  if (n < 0) x = neap_inv(c, x);
  for (uint64_t k = n < 0 ? 0 - (uint64_t)n : (uint64_t)n; k && !np_failed(c); k >>= 1) {
    if (k & 1) y = y ? neap_matmul(c, y, x) : neap_retain(x);
    if (k > 1) x = neap_matmul(c, x, x);
  }
  call->out[0] = y;
  return c->error;
}
