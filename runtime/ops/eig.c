/* Eigenvalues and eigenvectors of any square matrix, complex numbers as pairs in a last dimension of 2. A vector has norm 1,
 * and of a complex one the largest element is real and positive; a real one is unique but for its sign. The derivative is
 * that of what is put out (Boeddeker et al., On the computation of complex-valued gradients, 2017, with the phase held):
 * where values repeat, a term over their difference is taken as 0. It is made of ops, so it can be differentiated again. */
#include "linalg.h"

int np_eig_infer(np_call *call) {
  neap_tensor *x = np_t(call, 0);
  int d = x->at.ndim;
  int64_t shape[NEAP_MAX_DIMS + 1];
  if (np_need_square(call, "x", x) != 0) return call->ctx->error;
  memcpy(shape, x->at.shape, sizeof x->at.shape);
  shape[d] = 2;
  if (call->sig->n_outputs > 1 && np_spec(call, 1, x->at.dtype, d + 1, shape) != 0) return call->ctx->error;
  shape[d - 1] = 2;
  return np_spec(call, 0, x->at.dtype, d, shape);
}

/* Turns a complex vector so that its largest element is real and positive. */
static void turn_phase(const np_batch *b, char *re, char *im) {
  int64_t largest = 0;
  double most = -1;
  for (int64_t k = 0; k < b->n; k++) {
    double size = hypot(np_element(b, re, k), np_element(b, im, k));
    if (size > most) most = size, largest = k;
  }
  double cosine = np_element(b, re, largest) / most, sine = np_element(b, im, largest) / most;
  for (int64_t k = 0; k < b->n; k++) {
    double x = np_element(b, re, k), y = np_element(b, im, k);
    np_set_element(b, re, k, cosine * x + sine * y);
    np_set_element(b, im, k, k == largest ? 0 : cosine * y - sine * x);
  }
}

static int eig_one(const np_batch *b, int64_t i, char *scratch) { /* flag: the job */
  int64_t n = b->n;
  const char *x = b->in[0] + i * n * n * b->size;
  char *a = np_carve(&scratch, n * n * b->size), *v = np_carve(&scratch, n * n * b->size);
  char *re = np_carve(&scratch, n * b->size), *im = np_carve(&scratch, n * b->size), *w = b->out[0] + i * 2 * n * b->size;
  if (!np_is_finite(b, x, n * n)) return NP_NOT_FINITE;
  np_turn(b, b->n, b->n, x, a);
  int info = b->lapack->geev((char)b->flag, b->n, a, b->n, re, im, v, b->n, scratch, b->lwork);
  if (info != 0) return info;
  for (int64_t j = 0; j < n; j++) {
    double y = np_element(b, im, j);
    np_set_element(b, w, 2 * j, np_element(b, re, j));
    np_set_element(b, w, 2 * j + 1, y);
    if (b->flag == 'N') continue;
    /* A pair of conjugate values has its real parts in one column, the imaginary ones of the first in the next. */
    int64_t at = y < 0 ? j - 1 : j;
    char *out = b->out[1] + i * 2 * n * n * b->size;
    if (y > 0) turn_phase(b, v + j * n * b->size, v + (j + 1) * n * b->size);
    for (int64_t k = 0; k < n; k++) {
      np_set_element(b, out, 2 * (k * n + j), np_element(b, v, k + at * n));
      np_set_element(b, out, 2 * (k * n + j) + 1, y == 0 ? 0 : copysign(1, y) * np_element(b, v, k + (at + 1) * n));
    }
  }
  return 0;
}

static double eig_plan(np_batch *b) {
  double query[2] = { 0 };
  b->lapack->geev((char)b->flag, b->n, query, b->n, query, query, query, b->n, query, -1);
  b->lwork = np_work_size(b, query);
  b->scratch = 2 * np_carved((int64_t)b->n * b->n * b->size) + 2 * np_carved(b->n * b->size) + np_carved(b->lwork * b->size);
  return 3000 + 2.0 * b->n * b->n * b->n;
}
int np_eig_run(np_call *call) { return np_eigen_run(call, 'V', eig_plan, eig_one); }
int np_eigvals_run(np_call *call) { return np_eigen_run(call, 'N', eig_plan, eig_one); }

/* ---- backward: matrices of complex numbers as their two parts ---- */

typedef struct parts { neap_tensor *re, *im; } parts;

static parts parts_of(neap_context *c, neap_tensor *x) { return (parts){ neap_select(c, x, -1, 0), neap_select(c, x, -1, 1) }; }
static parts adjoint(neap_context *c, parts a) { return (parts){ np_mt(c, a.re), neap_neg(c, np_mt(c, a.im)) }; }
static parts product(neap_context *c, parts a, parts b) {
  return (parts){ neap_sub(c, neap_matmul(c, a.re, b.re), neap_matmul(c, a.im, b.im)),
    neap_add(c, neap_matmul(c, a.re, b.im), neap_matmul(c, a.im, b.re)) };
}
static neap_tensor *joined(neap_context *c, neap_tensor *a, neap_tensor *b, int64_t dim) { return neap_cat(c, 2, (neap_tensor *[]){ a, b }, dim); }

/* The real part of the X with a X = b: one real system of twice the size. */
static neap_tensor *real_solution(neap_context *c, parts a, parts b, int64_t n) {
  neap_tensor *both = joined(c, joined(c, a.re, neap_neg(c, a.im), -1), joined(c, a.im, a.re, -1), -2);
  return neap_narrow(c, neap_solve(c, both, joined(c, b.re, b.im, -2), 1), -2, 0, n);
}

/* Each column's largest element among those that are real, as a mask. */
static neap_tensor *anchors(neap_context *c, parts v, int64_t n, int dtype) {
  int base = c->site.base;
  neap_tensor *size = neap_where(c, neap_eq(c, v.im, NP_C(c, 0)), neap_square(c, v.re), NP_C(c, -1));
  neap_tensor *rows = neap_unsqueeze(c, neap_arange(c, base, base + (double)n, 1, NEAP_I64), -1);
  return neap_to(c, neap_eq(c, rows, neap_argmax(c, size, -2, 1)), dtype);
}

/* What the norm of 1 and the real anchor take off: with d = v^H g of each column, g - v Re d - i e Im d / v_anchor. */
static parts free_part(neap_context *c, parts v, parts g, int64_t n, int dtype) {
  int64_t down = -2;
  neap_tensor *d_re = neap_sum(c, neap_add(c, neap_mul(c, v.re, g.re), neap_mul(c, v.im, g.im)), 1, &down, 1, -1);
  neap_tensor *d_im = neap_sum(c, neap_sub(c, neap_mul(c, v.re, g.im), neap_mul(c, v.im, g.re)), 1, &down, 1, -1);
  neap_tensor *mask = anchors(c, v, n, dtype), *anchor = neap_sum(c, neap_mul(c, mask, v.re), 1, &down, 1, -1);
  neap_tensor *turn = neap_mul(c, mask, neap_div(c, d_im, anchor));
  return (parts){ neap_sub(c, g.re, neap_mul(c, v.re, d_re)), neap_sub(c, neap_sub(c, g.im, neap_mul(c, v.im, d_re)), turn) };
}

/* p / conj(E) with E_ij = w_j - w_i, 0 where that is 0. */
static parts over_gaps(neap_context *c, parts p, parts w) {
  neap_tensor *re = neap_sub(c, neap_unsqueeze(c, w.re, -2), neap_unsqueeze(c, w.re, -1));
  neap_tensor *im = neap_sub(c, neap_unsqueeze(c, w.im, -2), neap_unsqueeze(c, w.im, -1));
  neap_tensor *size = neap_add(c, neap_square(c, re), neap_square(c, im));
  size = neap_where(c, neap_eq(c, size, NP_C(c, 0)), NP_C(c, 1), size);
  return (parts){ neap_div(c, neap_sub(c, neap_mul(c, p.re, re), neap_mul(c, p.im, im)), size),
    neap_div(c, neap_add(c, neap_mul(c, p.re, im), neap_mul(c, p.im, re)), size) };
}

/* gx = Re V^-H (diag(gw) + V^H gV' / conj(E)) V^H, gV' the free part of gV. */
static neap_tensor *gradient(neap_context *c, neap_tensor *w, neap_tensor *vectors, neap_tensor *gw, neap_tensor *gv) {
  if (!w || !vectors) return NULL;
  int64_t n = w->at.shape[w->at.ndim - 2];
  int dtype = w->at.dtype;
  parts v = parts_of(c, vectors), vh = adjoint(c, v), inner = { NULL, NULL };
  if (gw) {
    neap_tensor *eye = neap_eye(c, n, NEAP_ABSENT, dtype);
    parts g = parts_of(c, gw);
    inner = (parts){ neap_mul(c, neap_unsqueeze(c, g.re, -1), eye), neap_mul(c, neap_unsqueeze(c, g.im, -1), eye) };
  }
  if (gv) {
    parts p = over_gaps(c, product(c, vh, free_part(c, v, parts_of(c, gv), n, dtype)), parts_of(c, w));
    inner = gw ? (parts){ neap_add(c, inner.re, p.re), neap_add(c, inner.im, p.im) } : p;
  }
  return inner.re ? real_solution(c, vh, product(c, inner, vh), n) : NULL;
}

int np_eig_back(np_back *b) {
  if (b->in[0].at.count > 0) b->gx[0] = gradient(b->ctx, b->y[0], b->y[1], b->g[0], b->g[1]);
  return b->ctx->error;
}

int np_eigvals_back(np_back *b) { /* the vectors worked out anew */
  neap_tensor *v = NULL, *w = b->in[0].at.count > 0 ? neap_eig(b->ctx, b->x[0], &v) : NULL;
  if (w) b->gx[0] = gradient(b->ctx, w, v, b->g[0], NULL);
  return b->ctx->error;
}
