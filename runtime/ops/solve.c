/* Square systems: LU factors and what follows from them (solve, inv, det, slogdet), triangular systems, Cholesky factors.
 * Derivatives: Giles, An extended collection of matrix derivative results, 2008; Murray, Differentiation of the Cholesky
 * decomposition, 2016. All backwards are made of ops, so they can be differentiated again. */
#include "linalg.h"

#define SINGULAR "is singular: a pivot of its LU factors is 0"
static double cube(int n) { return (double)n * n * n; }

/* ---- lu_factor: x (m, n) = P L U, both factors in one matrix, L's diagonal of ones left out ---- */

int np_lu_factor_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  int64_t shape[NEAP_MAX_DIMS];
  if (np_need_matrices(call, "x", x) != 0) return call->ctx->error;
  memcpy(shape, x->at.shape, sizeof shape);
  shape[x->at.ndim - 2] = np_min(np_n_rows(&x->at), np_n_cols(&x->at));
  if (np_spec(call, 1, NEAP_I32, x->at.ndim - 1, shape) != 0) return call->ctx->error;
  return np_spec(call, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

static int factor_one(const np_batch *b, int64_t i, char *scratch) {
  int64_t mn = (int64_t)b->m * b->n;
  int k = b->m < b->n ? b->m : b->n, *pivots = (int *)b->out[1] + i * k;
  np_turn(b, b->m, b->n, b->in[0] + i * mn * b->size, scratch);
  np_routines(b, b->m)->getrf(b->m, b->n, scratch, b->m > 0 ? b->m : 1, pivots);
  np_turn(b, b->n, b->m, scratch, b->out[0] + i * mn * b->size);
  for (int j = 0; j < k; j++) pivots[j] += b->base - 1;
  return 0;
}

int np_lu_factor_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *a;
  int64_t which;
  if (x->at.count == 0) return NEAP_OK;
  a = np_contiguous_of(c, x, x->at.dtype);
  if (!a) return c->error;
  np_batch b = np_batch_of(c, &x->at);
  b.in[0] = np_data(a), b.out[0] = np_data(call->out[0]), b.out[1] = np_data(call->out[1]);
  b.scratch = (size_t)((int64_t)b.m * b.n * b.size), b.one = factor_one;
  np_batch_run(&b, 500 + (double)b.m * b.n * np_min(b.m, b.n) / 20, &which);
  neap_release(a);
  return c->error;
}

static neap_tensor *part(neap_context *c, neap_tensor *x, int dim, int64_t start, int64_t n) { return neap_narrow(c, x, dim, start, n); }

static neap_tensor *unit_lower(neap_context *c, neap_tensor *lu, int64_t m, int64_t k) { /* (m, k) */
  neap_tensor *l = neap_tril(c, part(c, lu, -1, 0, k), -1);
  return neap_add(c, l, neap_eye(c, m, k, lu ? lu->at.dtype : NEAP_F32));
}

/* With g's strictly lower part gL and upper part gU, for square x: gx = P L'^-1 (tril(L' gL, -1) + triu(gU U')) U'^-1.
 * Wide x = P L (U1 U2): U2 = L^-1 P' x2 gives gx2 = P L'^-1 gU2, and gL loses L'^-1 gU2 U2'. Tall x: L2 = x2 U^-1 gives
 * gx2 = gL2 U'^-1, and gU loses L2' gL2 U'^-1. */
int np_lu_factor_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *lu = b->y[0], *g = b->g[0];
  const np_layout *x = &b->in[0].at;
  int64_t m = np_n_rows(x), n = np_n_cols(x), k = np_min(m, n);
  if (!g) return NEAP_OK;
  neap_tensor *l = unit_lower(c, part(c, lu, -2, 0, k), k, k), *u = neap_triu(c, part(c, part(c, lu, -2, 0, k), -1, 0, k), 0);
  neap_tensor *g1 = part(c, part(c, g, -2, 0, k), -1, 0, k), *lt = np_mt(c, l), *ut = np_mt(c, u), *rest = NULL;
  neap_tensor *gl = neap_matmul(c, lt, neap_tril(c, g1, -1)), *gu = neap_matmul(c, neap_triu(c, g1, 0), ut);
  if (n > m) {
    neap_tensor *g2 = part(c, part(c, g, -2, 0, k), -1, k, n - k), *u2 = part(c, lu, -1, k, n - k);
    gl = neap_sub(c, gl, neap_matmul(c, g2, np_mt(c, u2)));
    rest = neap_solve_triangular(c, lt, g2, 1, 1, 1);
  } else if (m > n) {
    neap_tensor *g2 = part(c, g, -2, k, m - k), *l2 = part(c, lu, -2, k, m - k);
    gu = neap_sub(c, gu, neap_matmul(c, np_mt(c, l2), g2));
    rest = neap_solve_triangular(c, ut, g2, 0, 0, 0);
  }
  neap_tensor *gx = neap_solve_triangular(c, lt, neap_add(c, neap_tril(c, gl, -1), neap_triu(c, gu, 0)), 1, 1, 1);
  gx = neap_solve_triangular(c, ut, gx, 0, 0, 0);
  if (rest) gx = neap_cat(c, 2, (neap_tensor *const[]){ gx, rest }, n > m ? -1 : -2);
  b->gx[0] = neap_matmul(c, neap_pivot_matrix(c, b->y[1], m, x->dtype), gx);
  return c->error;
}

/* ---- pivot_matrix: the permutation that a list of row exchanges is ---- */

int np_pivot_matrix_infer(np_call *call) {
  neap_tensor *p = np_t(call, 0);
  int64_t n = np_i(call, 1), shape[NEAP_MAX_DIMS + 1];
  char s[128], why[64];
  np_shape_text(s, sizeof s, p);
  if (p->at.ndim == 0 || p->at.shape[p->at.ndim - 1] > n)
    return np_reject(call, NEAP_ERR_SHAPE, "pivots must have at most one exchange a row, for %lld rows, got shape %s", (long long)n, s);
  np_text text;
  np_text_init(&text, why, sizeof why);
  np_text_add(&text, "there are %lld rows", (long long)n);
  if (np_positions_check(call, "pivots", p, n, why, 0, NULL) != 0) return call->ctx->error;
  memcpy(shape, p->at.shape, sizeof p->at.shape);
  shape[p->at.ndim - 1] = n;
  shape[p->at.ndim] = n;
  return np_spec(call, 0, (int)np_i(call, 2), p->at.ndim + 1, shape);
}

int np_pivot_matrix_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *y = call->out[0], *p = np_t(call, 0);
  int64_t n = np_i(call, 1), k = p->at.shape[p->at.ndim - 1];
  np_positions list;
  np_zero(c, y);
  if (y->at.count == 0 || np_positions_get(c, p, &list) != 0) return c->error;
  int64_t *row = np_alloc(c, (size_t)n * sizeof *row);
  for (int64_t i = 0; row && i < y->at.count / (n * n); i++) { /* row[j]: which row of x stands at j */
    for (int64_t j = 0; j < n; j++) row[j] = j;
    for (int64_t j = 0; j < k; j++) {
      int64_t q = np_position(&list, i * k + j) - c->site.base, t = row[j];
      row[j] = row[q], row[q] = t;
    }
    for (int64_t j = 0; j < n; j++)
      np_put_number(y->at.dtype, np_data(y) + (i * n * n + row[j] * n + j) * np_size_of(y->at.dtype), 1);
  }
  np_free(c, row, (size_t)n * sizeof *row);
  neap_release(list.t);
  return c->error;
}

int np_lu_unpack_run(np_call *call) { /* LU pivots -> P L U */
  neap_context *c = call->ctx;
  neap_tensor *lu = np_t(call, 0);
  if (np_need_matrices(call, "LU", lu) != 0) return c->error;
  int64_t m = np_n_rows(&lu->at), n = np_n_cols(&lu->at), k = np_min(m, n);
  call->out[0] = neap_pivot_matrix(c, np_t(call, 1), m, lu->at.dtype);
  call->out[1] = unit_lower(c, lu, m, k);
  call->out[2] = neap_triu(c, part(c, lu, -2, 0, k), 0);
  return c->error;
}

int np_lu_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *pivots = NULL, *lu;
  if (np_need_matrices(call, "x", np_t(call, 0)) != 0) return c->error;
  lu = neap_lu_factor(c, np_t(call, 0), &pivots);
  if (lu) call->out[0] = neap_lu_unpack(c, lu, pivots, &call->out[1], &call->out[2]);
  return c->error;
}

int np_lu_solve_run(np_call *call) { /* LU pivots other: U^-1 L^-1 P' other */
  neap_context *c = call->ctx;
  neap_tensor *lu = np_t(call, 0), *y = np_t(call, 2);
  if (np_need_square(call, "LU", lu) != 0 || np_need_matrices(call, "other", y) != 0) return c->error;
  y = neap_matmul(c, np_mt(c, neap_pivot_matrix(c, np_t(call, 1), np_n_rows(&lu->at), lu->at.dtype)), y);
  call->out[0] = neap_solve_triangular(c, lu, neap_solve_triangular(c, lu, y, 0, 1, 1), 1, 1, 0);
  return c->error;
}

/* ---- systems: y = x^-1 other, by LU ---- */

/* LU factors column-major in scratch, and the row of x that stands at each place. */
static int factor(const np_batch *b, int64_t i, char **scratch, void **lu, int **row) {
  int64_t n = b->n;
  *lu = np_carve(scratch, n * n * b->size);
  *row = np_carve(scratch, n * (int64_t)sizeof(int));
  int *pivots = np_carve(scratch, n * (int64_t)sizeof(int));
  np_turn(b, b->n, b->n, b->in[0] + i * n * n * b->size, *lu);
  int info = np_routines(b, b->n)->getrf(b->n, b->n, *lu, b->n, pivots);
  for (int j = 0; j < n; j++) (*row)[j] = j;
  for (int j = 0; j < n; j++) {
    int t = (*row)[j];
    (*row)[j] = (*row)[pivots[j] - 1], (*row)[pivots[j] - 1] = t;
  }
  return info;
}
static size_t factor_bytes(const np_batch *b) {
  return np_carved((int64_t)b->n * b->n * b->size) + 2 * np_carved((int64_t)b->n * (int64_t)sizeof(int));
}

static int solve_one(const np_batch *b, int64_t i, char *scratch) {
  int64_t n = b->n, k = b->k;
  void *lu;
  int *row, info = factor(b, i, &scratch, &lu, &row);
  if (info != 0) return info;
  char *x = np_carve(&scratch, n * k * b->size);
  if (!b->in[1]) memset(x, 0, (size_t)(n * k * b->size));
  for (int64_t j = 0; j < n; j++) {
    if (b->in[1])
      b->c->kernels->copy2d((int)b->size, 1, k, b->in[1] + (i * n + row[j]) * k * b->size, k, 1, x + j * b->size, 1, n);
    else
      np_set_element(b, x, j + row[j] * n, 1);
  }
  np_routines(b, b->n)->trsm('L', 'L', 'U', b->n, b->k, lu, b->n, x, b->n);
  np_routines(b, b->n)->trsm('L', 'U', 'N', b->n, b->k, lu, b->n, x, b->n);
  np_turn(b, b->k, b->n, x, b->out[0] + i * n * k * b->size);
  return 0;
}

/* other NULL: the identity. */
static int solve_all(np_call *call, neap_tensor *x, neap_tensor *other) {
  neap_context *c = call->ctx;
  neap_tensor *y = call->out[0];
  int64_t which = 0;
  if (y->at.count == 0) return NEAP_OK;
  neap_tensor *a = np_batch_open(c, x, y->at.dtype, &y->at), *w = other ? np_batch_open(c, other, y->at.dtype, &y->at) : NULL;
  if (!np_failed(c)) {
    np_batch b = np_batch_of(c, &a->at);
    b.k = (int)np_n_cols(&y->at);
    b.in[0] = np_data(a), b.in[1] = w ? np_data(w) : NULL, b.out[0] = np_data(y);
    b.scratch = factor_bytes(&b) + np_carved((int64_t)b.n * b.k * b.size), b.one = solve_one;
    if (np_batch_run(&b, 500 + cube(b.n) / 20 + (double)b.n * b.n * b.k / 10, &which) != 0) np_batch_reject(call, &y->at, which, SINGULAR);
  }
  neap_release(a);
  neap_release(w);
  return c->error;
}

int np_solve_matrix_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0), *w = np_t(call, 1);
  char s[128], t[128];
  if (np_need_square(call, "x", x) != 0 || np_need_matrices(call, "other", w) != 0) return call->ctx->error;
  np_shape_text(s, sizeof s, x);
  np_shape_text(t, sizeof t, w);
  if (np_n_rows(&w->at) != np_n_cols(&x->at))
    return np_reject(call, NEAP_ERR_SHAPE, "other %s does not fit x %s: it must have %lld rows", t, s, (long long)np_n_cols(&x->at));
  return np_spec_pair(call, 0, x, w, np_n_rows(&w->at), np_n_cols(&w->at));
}
int np_solve_matrix_run(np_call *call) { return solve_all(call, np_t(call, 0), np_t(call, 1)); }

/* gother = x'^-1 g, gx = -gother y' */
int np_solve_matrix_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *gw = neap_solve_matrix(c, np_mt(c, b->x[0]), b->g[0]);
  b->gx[1] = gw;
  if (b->in[0].needs) b->gx[0] = neap_neg(c, neap_matmul(c, gw, np_mt(c, b->y[0])));
  return c->error;
}

/* x other left: other is a vector (a batch of vectors) or matrices, as PyTorch tells them apart. */
int np_solve_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *w = np_t(call, 1);
  int left = (int)np_i(call, 2);
  if (np_need_square(call, "x", x) != 0) return c->error;
  int vector = w->at.ndim == 1 || (w->at.ndim == x->at.ndim - 1 && memcmp(w->at.shape, x->at.shape, (size_t)w->at.ndim * sizeof(int64_t)) == 0);
  if (vector) {
    if (!left) return np_reject(call, NEAP_ERR_ARGUMENT, "left = false takes matrices, not a vector");
    w = neap_unsqueeze(c, w, -1);
  }
  if (!w) return c->error;
  neap_tensor *y = left ? neap_solve_matrix(c, x, w) : np_mt(c, neap_solve_matrix(c, np_mt(c, x), w->at.ndim > 1 ? np_mt(c, w) : w));
  call->out[0] = vector ? neap_squeeze(c, y, 1, (int64_t[]){ -1 }) : y;
  return c->error;
}

int np_inv_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  if (np_need_square(call, "x", x) != 0) return call->ctx->error;
  return np_spec(call, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_inv_run(np_call *call) { return solve_all(call, np_t(call, 0), NULL); }
int np_inv_back(np_back *b) { /* gx = -y' g y' */
  neap_context *c = b->ctx;
  neap_tensor *yt = np_mt(c, b->y[0]);
  b->gx[0] = neap_neg(c, neap_matmul(c, neap_matmul(c, yt, b->g[0]), yt));
  return c->error;
}

/* ---- determinants ---- */

int np_det_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  if (np_need_square(call, "x", x) != 0) return call->ctx->error;
  for (int i = 1; i < call->sig->n_outputs; i++)
    if (np_spec(call, i, x->at.dtype, x->at.ndim - 2, x->at.shape) != 0) return call->ctx->error;
  return np_spec(call, 0, x->at.dtype, x->at.ndim - 2, x->at.shape);
}

static int det_one(const np_batch *b, int64_t i, char *scratch) { /* flag: sign and logarithm */
  void *lu;
  int *row;
  double sign = 1, det = 1, log_det = 0;
  factor(b, i, &scratch, &lu, &row);
  for (int j = 0; j < b->n; j++) { /* each cycle of an even length turns the sign round */
    double d = np_element(b, lu, (int64_t)j * b->n + j);
    det *= d;
    sign *= d > 0 ? 1 : d < 0 ? -1 : d;
    log_det += log(fabs(d));
    for (int k = row[j]; k > j; k = row[j]) {
      row[j] = row[k], row[k] = k;
      det = -det, sign = -sign;
    }
  }
  np_set_element(b, b->out[0], i, b->flag ? sign : det);
  if (b->flag) np_set_element(b, b->out[1], i, log_det);
  return 0;
}

static int determinants(np_call *call, int flag) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *a = np_contiguous_of(c, x, x->at.dtype);
  int64_t which;
  if (!a) return c->error;
  np_batch b = np_batch_of(c, &x->at);
  b.flag = flag;
  b.in[0] = np_data(a), b.out[0] = np_data(call->out[0]), b.out[1] = flag ? np_data(call->out[1]) : NULL;
  b.scratch = factor_bytes(&b), b.one = det_one;
  np_batch_run(&b, 500 + cube(b.n) / 30, &which);
  neap_release(a);
  return c->error;
}
int np_det_run(np_call *call) { return determinants(call, 0); }
int np_slogdet_run(np_call *call) { return determinants(call, 1); }

static neap_tensor *as_matrix(neap_context *c, neap_tensor *x) { return neap_unsqueeze(c, neap_unsqueeze(c, x, -1), -1); }

/* Whether a determinant is 0 but for rounding, measured by Hadamard's bound, the product of the rows' lengths. */
static int any_singular(neap_context *c, neap_tensor *x, neap_tensor *y) {
  int64_t last = -1;
  double eps = (double)np_n_rows(&x->at) * (x->at.dtype == NEAP_F32 ? 0x1p-23 : 0x1p-52);
  int mode = neap_grad_mode(c, 0);
  neap_tensor *most = neap_prod(c, neap_norm(c, x, 2, 1, &last, 0), 1, &last, 0, -1);
  neap_tensor *any = neap_any(c, neap_le(c, neap_abs(c, y), neap_mul(c, most, NP_C(c, eps))), 0, NULL, 0);
  int found = any && neap_item_int(any) != 0;
  neap_grad_mode(c, mode);
  return found;
}

/* gx = g y x'^-1; where some x is singular, by the cofactors: x = U S V' gives gx = g det U det V U diag(prod of the other
 * s) V', which can be differentiated again where the rank is n - 1 or more. */
int np_det_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[0], *g = b->g[0], *y = b->y[0];
  int64_t n = np_n_rows(&x->at), last = -1;
  if (x->at.count == 0) return NEAP_OK;
  if (!any_singular(c, x, y)) {
    b->gx[0] = neap_mul(c, as_matrix(c, neap_mul(c, g, y)), np_mt(c, neap_inv(c, x)));
    return c->error;
  }
  neap_tensor *s, *vh, *u = neap_svd(c, x, 0, &s, &vh);
  neap_tensor *w = neap_mul(c, g, neap_mul(c, neap_det(c, u), neap_det(c, vh)));
  if (!w) return c->error;
  neap_tensor *others = neap_where(c, neap_eye(c, n, NEAP_ABSENT, NEAP_BOOL), NP_C(c, 1), neap_unsqueeze(c, s, -2)); /* (.., n, n): row i without s_i */
  neap_tensor *p = neap_mul(c, neap_prod(c, others, 1, &last, 0, -1), neap_unsqueeze(c, w, -1));
  b->gx[0] = neap_matmul(c, neap_mul(c, u, neap_unsqueeze(c, p, -2)), vh);
  return c->error;
}

int np_slogdet_back(np_back *b) { /* gx = g x'^-1, g of the logarithm */
  neap_context *c = b->ctx;
  if (b->g[1]) b->gx[0] = neap_mul(c, as_matrix(c, b->g[1]), np_mt(c, neap_inv(c, b->x[0])));
  return c->error;
}

int np_logdet_run(np_call *call) { /* NaN where the determinant is negative */
  neap_context *c = call->ctx;
  neap_tensor *log_det = NULL, *sign = neap_slogdet(c, np_t(call, 0), &log_det);
  if (sign) call->out[0] = neap_where(c, neap_lt(c, sign, NP_C(c, 0)), NP_C(c, NAN), log_det);
  return c->error;
}

/* ---- triangular systems: x^-1 other, or with left = false other x^-1 ---- */

enum { UPPER = 2, LEFT, UNIT };

int np_solve_triangular_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0), *w = np_t(call, 1);
  char s[128], t[128];
  int left = (int)np_i(call, LEFT);
  if (np_need_square(call, "x", x) != 0 || np_need_matrices(call, "other", w) != 0) return call->ctx->error;
  np_shape_text(s, sizeof s, x);
  np_shape_text(t, sizeof t, w);
  if ((left ? np_n_rows(&w->at) : np_n_cols(&w->at)) != np_n_cols(&x->at))
    return np_reject(call, NEAP_ERR_SHAPE, "other %s does not fit x %s: it must have %lld %s", t, s, (long long)np_n_cols(&x->at), left ? "rows" : "columns");
  return np_spec_pair(call, 0, x, w, np_n_rows(&w->at), np_n_cols(&w->at));
}

/* Read column-major, x and other are transposed: so from the other side, with the other triangle. */
static int triangular_one(const np_batch *b, int64_t i, char *scratch) {
  int64_t n = b->n, each = (int64_t)b->m * b->k;
  int upper = b->flag & 1, left = b->flag & 2, unit = b->flag & 4;
  (void)scratch;
  np_routines(b, b->n)->trsm(left ? 'R' : 'L', upper ? 'L' : 'U', unit ? 'U' : 'N', b->k, b->m, b->in[0] + i * n * n * b->size, b->n,
                  b->out[0] + i * each * b->size, b->k);
  return 0;
}

int np_solve_triangular_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *y = call->out[0];
  int64_t which;
  if (y->at.count == 0) return NEAP_OK;
  neap_tensor *a = np_batch_open(c, np_t(call, 0), y->at.dtype, &y->at);
  neap_tensor *w = np_batch_open(c, np_t(call, 1), y->at.dtype, &y->at);
  if (!np_failed(c)) {
    np_copy(c, y, w);
    np_batch b = np_batch_of(c, &a->at);
    b.m = (int)np_n_rows(&y->at), b.k = (int)np_n_cols(&y->at);
    b.flag = (int)(np_i(call, UPPER) | np_i(call, LEFT) << 1 | np_i(call, UNIT) << 2);
    b.in[0] = np_data(a), b.out[0] = np_data(y), b.one = triangular_one;
    np_batch_run(&b, 200 + (double)b.n * b.m * b.k / 20, &which);
  }
  neap_release(a);
  neap_release(w);
  return c->error;
}

/* left: gother = x'^-1 g, gx = -gother y'; right: gother = g x'^-1, gx = -y' gother; of gx the triangle that is read. */
int np_solve_triangular_back(np_back *b) {
  neap_context *c = b->ctx;
  int upper = (int)b->arg[UPPER].i, left = (int)b->arg[LEFT].i, unit = (int)b->arg[UNIT].i;
  neap_tensor *gw = neap_solve_triangular(c, np_mt(c, b->x[0]), b->g[0], !upper, left, unit);
  b->gx[1] = gw;
  if (!b->in[0].needs || !gw) return c->error;
  neap_tensor *yt = np_mt(c, b->y[0]), *gx = neap_neg(c, left ? neap_matmul(c, gw, yt) : neap_matmul(c, yt, gw));
  b->gx[0] = upper ? neap_triu(c, gx, unit) : neap_tril(c, gx, -unit);
  return c->error;
}

/* ---- cholesky: x = L L', L lower; of x the lower triangle is read ---- */

static int cholesky_one(const np_batch *b, int64_t i, char *scratch) {
  int64_t n = b->n;
  const char *x = b->in[0] + i * n * n * b->size;
  char *y = b->out[0] + i * n * n * b->size;
  (void)scratch;
  for (int64_t j = 0; j < n; j++) { /* the upper triangle, column-major, is the lower one, row-major */
    memcpy(y + j * n * b->size, x + j * n * b->size, (size_t)((j + 1) * b->size));
    memset(y + (j * n + j + 1) * b->size, 0, (size_t)((n - j - 1) * b->size));
  }
  int info = np_routines(b, b->n)->potrf(b->n, y, b->n);
  for (int64_t j = 0; info == 0 && j < n; j++) /* some let NaN pass */
    if (!(np_element(b, y, j * n + j) > 0)) info = (int)j + 1;
  return info;
}

int np_cholesky_lower_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *a = np_contiguous_of(c, x, x->at.dtype);
  int64_t which = 0;
  if (!a) return c->error;
  np_batch b = np_batch_of(c, &x->at);
  b.in[0] = np_data(a), b.out[0] = np_data(call->out[0]), b.one = cholesky_one;
  int info = x->at.count ? np_batch_run(&b, 300 + cube(b.n) / 40, &which) : 0;
  neap_release(a);
  if (info == 0) return c->error;
  char text[96];
  np_text t;
  np_text_init(&t, text, sizeof text);
  np_text_add(&t, "is not positive definite: its leading minor of order %d is not positive", info);
  return np_batch_reject(call, &x->at, which, text);
}

/* With F the lower triangle of L' g, its diagonal halved: S = L'^-1 F L^-1, gx = (S + S') / 2. */
int np_cholesky_lower_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *l = b->y[0], *lt = np_mt(c, l), *f = neap_tril(c, neap_matmul(c, lt, b->g[0]), 0);
  if (!f) return c->error;
  f = neap_mul(c, f, neap_sub(c, NP_C(c, 1), neap_mul(c, neap_eye(c, np_n_rows(&l->at), NEAP_ABSENT, l->at.dtype), NP_C(c, 0.5))));
  neap_tensor *s = neap_solve_triangular(c, lt, f, 1, 1, 0);
  s = neap_solve_triangular(c, l, s, 0, 0, 0);
  b->gx[0] = neap_mul(c, neap_add(c, s, np_mt(c, s)), NP_C(c, 0.5));
  return c->error;
}

int np_cholesky_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0);
  int upper = (int)np_i(call, 1);
  if (np_need_square(call, "x", x) != 0) return c->error;
  neap_tensor *l = neap_cholesky_lower(c, upper ? np_mt(c, x) : x);
  call->out[0] = upper ? np_mt(c, l) : l;
  return c->error;
}

int np_cholesky_solve_run(np_call *call) { /* x L upper: (L L')^-1 x */
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *l = np_t(call, 1);
  if (np_need_matrices(call, "x", x) != 0 || np_need_square(call, "L", l) != 0) return c->error;
  if (np_i(call, 2)) l = np_mt(c, l);
  call->out[0] = neap_solve_triangular(c, np_mt(c, l), neap_solve_triangular(c, l, x, 0, 1, 0), 1, 1, 0);
  return c->error;
}

int np_cholesky_inverse_run(np_call *call) { /* L upper */
  neap_context *c = call->ctx;
  neap_tensor *l = np_t(call, 0);
  if (np_need_square(call, "L", l) != 0) return c->error;
  call->out[0] = neap_cholesky_solve(c, neap_eye(c, np_n_rows(&l->at), NEAP_ABSENT, l->at.dtype), l, (int)np_i(call, 1));
  return c->error;
}
