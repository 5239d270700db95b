/* Orthogonal decompositions: QR, singular values, eigenvalues. Derivatives: Giles, An extended collection of matrix
 * derivative results, 2008; Townsend, Differentiating the singular value decomposition, 2016; Seeger et al.,
 * Auto-differentiating linear algebra, 2017. Vectors are unique but for their sign, and of values that repeat only their
 * span is: there a term over a difference of values is taken as 0, which is right for whatever depends on the span alone.
 * All backwards are made of ops, so they can be differentiated again. */
#include "linalg.h"

static double cube(const np_batch *b) { return (double)b->m * b->n * (b->m < b->n ? b->m : b->n); }

/* ---- qr: x (m, n) = Q R ---- */

enum { REDUCED, COMPLETE, R_ALONE }; /* the choices of `mode`, in order */

int np_qr_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  int d = x->at.ndim, mode = (int)np_i(call, 1);
  int64_t shape[NEAP_MAX_DIMS], zero = 0;
  if (np_need_matrices(call, "x", x) != 0) return call->ctx->error;
  int64_t m = np_n_rows(&x->at), n = np_n_cols(&x->at), k = mode == COMPLETE ? m : np_min(m, n);
  memcpy(shape, x->at.shape, sizeof shape);
  shape[d - 2] = k;
  if (np_spec(call, 1, x->at.dtype, d, shape) != 0) return call->ctx->error;
  if (mode == R_ALONE) return np_spec(call, 0, x->at.dtype, 1, &zero);
  shape[d - 2] = m, shape[d - 1] = k;
  return np_spec(call, 0, x->at.dtype, d, shape);
}

static int qr_one(const np_batch *b, int64_t i, char *scratch) { /* k: rows of R, columns of Q */
  int64_t m = b->m, n = b->n, k = b->k;
  int least = (int)np_min(m, n), info;
  char *a = np_carve(&scratch, m * np_max(n, k) * b->size), *tau = np_carve(&scratch, least * b->size);
  np_turn(b, b->m, b->n, b->in[0] + i * m * n * b->size, a);
  info = b->lapack->geqrf(b->m, b->n, a, b->m, tau, scratch, b->lwork);
  char *r = b->out[1] + i * k * n * b->size;
  b->c->kernels->copy2d((int)b->size, k, n, a, 1, m, r, n, 1);
  for (int64_t p = 1; p < k; p++) memset(r + p * n * b->size, 0, (size_t)(np_min(p, n) * b->size));
  if (!b->out[0] || info != 0) return info;
  info = b->lapack->orgqr(b->m, b->k, least, a, b->m, tau, scratch, b->lwork);
  np_turn(b, b->k, b->m, a, b->out[0] + i * m * k * b->size);
  return info;
}

static int identity_one(const np_batch *b, int64_t i, char *scratch) { /* Q of a matrix without columns */
  (void)scratch;
  np_identity(b, b->k, b->out[0] + i * b->k * b->k * b->size);
  return 0;
}

int np_qr_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *a = np_contiguous_of(c, x, x->at.dtype);
  int64_t which = 0;
  int info = 0;
  double query[2] = { 0 };
  if (!a) return c->error;
  np_batch b = np_batch_of(c, &x->at);
  b.k = (int)np_n_rows(&call->out[1]->at);
  b.in[0] = np_data(a), b.out[0] = np_i(call, 1) == R_ALONE ? NULL : np_data(call->out[0]), b.out[1] = np_data(call->out[1]);
  if (x->at.count > 0) {
    int most = b.n > b.k ? b.n : b.k, least = b.m < b.n ? b.m : b.n;
    b.lapack->geqrf(b.m, b.n, query, b.m, query, query, -1);
    b.lwork = np_work_size(&b, query);
    b.lapack->orgqr(b.m, b.k, least, query, b.m, query, query, -1);
    b.lwork = (int)np_max(b.lwork, np_work_size(&b, query));
    b.scratch = np_carved((int64_t)b.m * most * b.size) + np_carved(least * b.size) + np_carved(b.lwork * b.size);
    b.one = qr_one;
    info = np_batch_run(&b, 1000 + cube(&b) / 5, &which);
  } else if (b.out[0] && call->out[0]->at.count > 0) {
    b.one = identity_one;
    np_batch_run(&b, 100, &which);
  }
  neap_release(a);
  return np_batch_failed(call, &x->at, info, which);
}

/* m >= n: gx = (gQ + Q s(triu(gR R' - Q' gQ))) R'^-1 with s(M) = M + M', the diagonal counted once. Wide x = (x1 x2) has
 * R2 = Q' x2: gx2 = Q gR2, and gQ gains x2 gR2' = Q R2 gR2'. */
int np_qr_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *q = b->y[0], *r = b->y[1], *gq = b->g[0], *gr = b->g[1], *g2 = NULL;
  const np_layout *x = &b->in[0].at;
  int64_t m = np_n_rows(x), n = np_n_cols(x), mode = b->arg[1].i;
  if (mode == R_ALONE) return np_fail(c, NEAP_ERR_UNSUPPORTED, "qr: with mode 'r' there is no gradient: 'reduced' gives R with one");
  if (mode == COMPLETE && m > n)
    return np_fail(c, NEAP_ERR_UNSUPPORTED, "qr: with mode 'complete' a matrix of more rows than columns has no gradient: 'reduced' has one");
  if (n > m) {
    if (gr) {
      neap_tensor *gr2 = neap_narrow(c, gr, -1, m, n - m), *more = neap_matmul(c, q, neap_matmul(c, neap_narrow(c, r, -1, m, n - m), np_mt(c, gr2)));
      g2 = neap_matmul(c, q, gr2);
      gq = gq ? neap_add(c, gq, more) : more;
      gr = neap_narrow(c, gr, -1, 0, m);
    } else {
      g2 = np_tensor_new(c, x->dtype, x->ndim, x->shape);
      if (g2) np_zero(c, g2);
      g2 = neap_narrow(c, g2, -1, m, n - m);
    }
    r = neap_narrow(c, r, -1, 0, m);
  }
  neap_tensor *w = NULL;
  if (gr) w = neap_matmul(c, gr, np_mt(c, r));
  if (gq) {
    neap_tensor *along = neap_matmul(c, np_mt(c, q), gq);
    w = w ? neap_sub(c, w, along) : neap_neg(c, along);
  }
  if (!w) return c->error;
  w = neap_add(c, neap_triu(c, w, 0), np_mt(c, neap_triu(c, w, 1)));
  w = neap_matmul(c, q, w);
  neap_tensor *gx = neap_solve_triangular(c, np_mt(c, r), gq ? neap_add(c, gq, w) : w, 0, 0, 0);
  b->gx[0] = g2 ? neap_cat(c, 2, (neap_tensor *const[]){ gx, g2 }, -1) : gx;
  return c->error;
}

/* ---- svd: x (m, n) = U diag(S) V'; S falling ---- */

static int svd_shapes(np_call *call, int64_t *k) {
  neap_tensor *x = np_t(call, 0);
  if (np_need_matrices(call, "x", x) != 0) return call->ctx->error;
  *k = np_min(np_n_rows(&x->at), np_n_cols(&x->at));
  return NEAP_OK;
}

int np_svd_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  int d = x->at.ndim, full = (int)np_i(call, 1);
  int64_t k = 0, shape[NEAP_MAX_DIMS];
  if (svd_shapes(call, &k) != 0) return call->ctx->error;
  int64_t m = np_n_rows(&x->at), n = np_n_cols(&x->at);
  memcpy(shape, x->at.shape, sizeof shape);
  shape[d - 2] = m, shape[d - 1] = full ? m : k;
  if (np_spec(call, 0, x->at.dtype, d, shape) != 0) return call->ctx->error;
  shape[d - 2] = k;
  if (np_spec(call, 1, x->at.dtype, d - 1, shape) != 0) return call->ctx->error;
  shape[d - 2] = full ? n : k, shape[d - 1] = n;
  return np_spec(call, 2, x->at.dtype, d, shape);
}

int np_svdvals_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  int64_t k = 0, shape[NEAP_MAX_DIMS];
  if (svd_shapes(call, &k) != 0) return call->ctx->error;
  memcpy(shape, x->at.shape, sizeof shape);
  shape[x->at.ndim - 2] = k;
  return np_spec(call, 0, x->at.dtype, x->at.ndim - 1, shape);
}

/* Row-major x is column-major x' = V S U': its left vectors, column-major, are V' row-major, and the other way round. */
static int svd_one(const np_batch *b, int64_t i, char *scratch) { /* flag: the job; k = min(m, n) */
  int64_t m = b->m, n = b->n, k = b->k, mn = m * n, mu = b->flag == 'A' ? m : k, nv = b->flag == 'A' ? n : k;
  const char *x = b->in[0] + i * mn * b->size;
  char *a = np_carve(&scratch, mn * b->size), *s = b->out[1] + i * k * b->size, *u = NULL, *vh = NULL;
  int *iwork = np_carve(&scratch, 8 * k * (int64_t)sizeof(int));
  if (!np_is_finite(b, x, mn)) return NP_NOT_FINITE;
  memcpy(a, x, (size_t)(mn * b->size));
  if (b->flag != 'N') u = b->out[0] + i * m * mu * b->size, vh = b->out[2] + i * nv * n * b->size;
  return b->lapack->gesdd((char)b->flag, b->n, b->m, a, b->n, s, vh ? vh : a, b->n, u ? u : a, b->flag == 'N' ? 1 : (int)mu, scratch,
                          b->lwork, iwork);
}

static int svd(np_call *call, int job, neap_tensor *u, neap_tensor *s, neap_tensor *vh) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *a;
  int64_t which = 0, none = 0;
  double query[2] = { 0 };
  int iquery[8];
  np_batch b = np_batch_of(c, &x->at);
  b.k = b.m < b.n ? b.m : b.n, b.flag = job;
  if (b.k == 0) { /* no values; all vectors are any orthogonal ones */
    for (int i = 0; i < 2; i++) {
      neap_tensor *q = i ? vh : u;
      if (!q || q->at.count == 0) continue;
      b.k = (int)np_n_rows(&q->at), b.out[0] = np_data(q), b.one = identity_one, b.scratch = 0;
      np_batch_run(&b, 100, &none);
    }
    return c->error;
  }
  a = np_contiguous_of(c, x, x->at.dtype);
  if (!a) return c->error;
  b.in[0] = np_data(a), b.out[1] = np_data(s);
  if (u) b.out[0] = np_data(u), b.out[2] = np_data(vh);
  int mu = job == 'A' ? b.m : b.k;
  b.lapack->gesdd((char)job, b.n, b.m, query, b.n, query, query, b.n, query, job == 'N' ? 1 : mu, query, -1, iquery);
  b.lwork = np_work_size(&b, query);
  b.scratch = np_carved((int64_t)b.m * b.n * b.size) + np_carved(8 * b.k * (int64_t)sizeof(int)) + np_carved(b.lwork * b.size);
  b.one = svd_one;
  int info = np_batch_run(&b, 3000 + cube(&b) / (job == 'N' ? 2 : 1), &which);
  neap_release(a);
  return np_batch_failed(call, &x->at, info, which);
}
int np_svd_run(np_call *call) { return svd(call, np_i(call, 1) ? 'A' : 'S', call->out[0], call->out[1], call->out[2]); }
int np_svdvals_run(np_call *call) { return svd(call, 'N', NULL, call->out[0], NULL); }

static neap_tensor *column_scaled(neap_context *c, neap_tensor *x, neap_tensor *s) { return neap_mul(c, x, neap_unsqueeze(c, s, -2)); }
static neap_tensor *row_scaled(neap_context *c, neap_tensor *x, neap_tensor *s) { return neap_mul(c, x, neap_unsqueeze(c, s, -1)); }
static neap_tensor *diagonal_of(neap_context *c, neap_tensor *s, int64_t n) { return neap_mul(c, neap_unsqueeze(c, s, -1), neap_eye(c, n, NEAP_ABSENT, s ? s->at.dtype : NEAP_F32)); }

/* 1 / (s_j - s_i) in place (i, j), 0 where that is 0. */
static neap_tensor *gaps(neap_context *c, neap_tensor *s) {
  neap_tensor *e = neap_sub(c, neap_unsqueeze(c, s, -2), neap_unsqueeze(c, s, -1)), *none = neap_eq(c, e, NP_C(c, 0));
  return neap_where(c, none, NP_C(c, 0), neap_div(c, NP_C(c, 1), neap_where(c, none, NP_C(c, 1), e)));
}
static neap_tensor *skew(neap_context *c, neap_tensor *x) { return neap_sub(c, x, np_mt(c, x)); }
static neap_tensor *sum_of(neap_context *c, neap_tensor *a, neap_tensor *b) { return a ? neap_add(c, a, b) : b; }

/* With E_ij = s_j^2 - s_i^2: gx = U (diag(gS) + (skew(U' gU) / E) S + S (skew(V' gV) / E)) V' + (1 - U U') gU S^-1 V'
 * + U S^-1 gV' (1 - V V'). Of the full U and V the first min(m, n) vectors count. */
int np_svd_back(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  int64_t m = np_n_rows(x), n = np_n_cols(x), k = np_min(m, n);
  neap_tensor *u = neap_narrow(c, b->y[0], -1, 0, k), *s = b->y[1], *vh = neap_narrow(c, b->y[2], -2, 0, k), *inner = NULL, *gx = NULL;
  neap_tensor *gu = b->g[0] ? neap_narrow(c, b->g[0], -1, 0, k) : NULL, *gvh = b->g[2] ? neap_narrow(c, b->g[2], -2, 0, k) : NULL;
  if (x->count == 0) return NEAP_OK;
  neap_tensor *f = gu || gvh ? gaps(c, neap_square(c, s)) : NULL, *ut = np_mt(c, u);
  if (b->g[1]) inner = diagonal_of(c, b->g[1], k);
  if (gu) inner = sum_of(c, inner, column_scaled(c, neap_mul(c, skew(c, neap_matmul(c, ut, gu)), f), s));
  if (gvh) inner = sum_of(c, inner, row_scaled(c, neap_mul(c, skew(c, neap_matmul(c, vh, np_mt(c, gvh))), f), s));
  if (inner) gx = neap_matmul(c, neap_matmul(c, u, inner), vh);
  if (gu && m > k) {
    neap_tensor *w = neap_sub(c, gu, neap_matmul(c, u, neap_matmul(c, ut, gu)));
    gx = neap_add(c, gx, neap_matmul(c, neap_div(c, w, neap_unsqueeze(c, s, -2)), vh));
  }
  if (gvh && n > k) {
    neap_tensor *w = neap_sub(c, gvh, neap_matmul(c, neap_matmul(c, gvh, np_mt(c, vh)), vh));
    gx = neap_add(c, gx, neap_matmul(c, u, neap_div(c, w, neap_unsqueeze(c, s, -1))));
  }
  b->gx[0] = gx;
  return c->error;
}

int np_svdvals_back(np_back *b) { /* gx = U diag(g) V', the vectors worked out anew */
  neap_context *c = b->ctx;
  neap_tensor *vh = NULL, *u = neap_svd(c, b->x[0], 0, NULL, &vh);
  if (u) b->gx[0] = neap_matmul(c, column_scaled(c, u, b->g[0]), vh);
  return c->error;
}

/* ---- eigh: x UPLO; x = V diag(w) V', w rising; of x one triangle is read ---- */

int np_eigh_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  if (np_need_square(call, "x", x) != 0) return call->ctx->error;
  if (call->sig->n_outputs > 1 && np_spec(call, 1, x->at.dtype, x->at.ndim, x->at.shape) != 0) return call->ctx->error;
  return np_spec(call, 0, x->at.dtype, x->at.ndim - 1, x->at.shape);
}

static int eigh_one(const np_batch *b, int64_t i, char *scratch) { /* flag: the job; k: the upper triangle */
  int64_t n = b->n;
  const char *x = b->in[0] + i * n * n * b->size;
  char *a = np_carve(&scratch, n * n * b->size);
  int *iwork = np_carve(&scratch, b->liwork * (int64_t)sizeof(int));
  np_symmetric_of(b, n, b->k, x, a);
  if (!np_is_finite(b, a, n * n)) return NP_NOT_FINITE;
  int info = b->lapack->syevd((char)b->flag, b->n, a, b->n, b->out[0] + i * n * b->size, scratch, b->lwork, iwork, b->liwork);
  if (b->flag == 'V') np_turn(b, b->n, b->n, a, b->out[1] + i * n * n * b->size);
  return info;
}

int np_eigen_run(np_call *call, int job, double (*plan)(np_batch *b), int (*one)(const np_batch *b, int64_t i, char *scratch)) {
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, 0), *a;
  int64_t which = 0;
  if (x->at.count == 0) return NEAP_OK;
  a = np_contiguous_of(c, x, x->at.dtype);
  if (!a) return c->error;
  np_batch b = np_batch_of(c, &x->at);
  b.flag = job, b.k = call->sig->n_params > 1 && np_i(call, 1) == NEAP_UPLO_U;
  b.in[0] = np_data(a), b.out[0] = np_data(call->out[0]), b.out[1] = job == 'V' ? np_data(call->out[1]) : NULL;
  b.one = one;
  double ns = plan(&b);
  int info = np_batch_run(&b, ns, &which);
  neap_release(a);
  return np_batch_failed(call, &x->at, info, which);
}

static double eigh_plan(np_batch *b) {
  double query[2] = { 0 };
  b->lapack->syevd((char)b->flag, b->n, query, b->n, query, query, -1, &b->liwork, -1);
  b->lwork = np_work_size(b, query);
  b->scratch = np_carved((int64_t)b->n * b->n * b->size) + np_carved(b->liwork * (int64_t)sizeof(int)) + np_carved(b->lwork * b->size);
  return 2000 + cube(b) / (b->flag == 'V' ? 2 : 4);
}
int np_eigh_run(np_call *call) { return np_eigen_run(call, 'V', eigh_plan, eigh_one); }
int np_eigvalsh_run(np_call *call) { return np_eigen_run(call, 'N', eigh_plan, eigh_one); }

static neap_tensor *symmetric_part(neap_context *c, neap_tensor *x) { return neap_mul(c, neap_add(c, x, np_mt(c, x)), NP_C(c, 0.5)); }

/* With E_ij = w_j - w_i: gx = the symmetric part of V (diag(gw) + (V' gV) / E) V', as if both triangles were read */
int np_eigh_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *w = b->y[0], *v = b->y[1], *vt = np_mt(c, v), *inner = NULL;
  if (b->in[0].at.count == 0) return NEAP_OK;
  if (b->g[0]) inner = diagonal_of(c, b->g[0], np_n_rows(&v->at));
  if (b->g[1]) inner = sum_of(c, inner, neap_mul(c, neap_matmul(c, vt, b->g[1]), gaps(c, w)));
  if (inner) b->gx[0] = symmetric_part(c, neap_matmul(c, neap_matmul(c, v, inner), vt));
  return c->error;
}

int np_eigvalsh_back(np_back *b) { /* gx = V diag(g) V', the vectors worked out anew */
  neap_context *c = b->ctx;
  neap_tensor *v = NULL, *w = neap_eigh(c, b->x[0], (int)b->arg[1].i, &v);
  if (w) b->gx[0] = neap_matmul(c, column_scaled(c, v, b->g[0]), np_mt(c, v));
  return c->error;
}
