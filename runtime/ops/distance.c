/* Distances between rows. cdist compares each row of one batch of matrices with each of the other: by a kernel that
 * reads two rows, or for p = 2 and many rows by a product, |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, which is faster and, where
 * a and b nearly agree, less exact. The others are composites. */
#include "loops.h"

enum { X, OTHER, P };
enum { FEW = 25 }; /* rows up to which Euclidean distances are taken one by one */

static int not_rows(np_call *c) {
  char a[128], b[128];
  np_shape_text(a, sizeof a, np_t(c, X));
  np_shape_text(b, sizeof b, np_t(c, OTHER));
  return np_reject(c, NEAP_ERR_SHAPE, "takes rows of one length, (..., n, k) and (..., m, k), got %s and %s", a, b);
}

int np_cdist_infer(np_call *c) {
  neap_tensor *x = np_t(c, X), *z = np_t(c, OTHER);
  int nx = x->at.ndim, nz = z->at.ndim, n = 0;
  int64_t shape[NEAP_MAX_DIMS + 2];
  if (np_need_float(c, "x", x) != 0 || np_need_float(c, "other", z) != 0) return c->ctx->error;
  if (nx < 2 || nz < 2 || x->at.shape[nx - 1] != z->at.shape[nz - 1]) return not_rows(c);
  if (!(np_d(c, P) >= 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "p is %g; it is 0 or more", np_d(c, P));
  np_layout a = x->at, b = z->at;
  a.ndim -= 2, b.ndim -= 2;
  if (np_broadcast(c->ctx, "cdist", &a, &b, &n, shape) != 0) return c->ctx->error;
  shape[n++] = x->at.shape[nx - 2];
  shape[n++] = z->at.shape[nz - 2];
  return np_spec(c, 0, (int)neap_promote((neap_dtype)x->at.dtype, (neap_dtype)z->at.dtype), n, shape);
}

typedef struct rows {
  neap_context *c;
  void (*kernel)(int64_t n, int64_t m, const void *x, const void *z, double p, void *y);
  int ndim;                /* of the batch */
  int64_t shape[NEAP_MAX_DIMS], x_step[NEAP_MAX_DIMS], z_step[NEAP_MAX_DIMS];
  int64_t n, m, k, size;   /* rows of x, rows of other, their length; bytes of an element */
  double p;
  const char *x, *z;
  char *y;
} rows;

static void row_task(void *arg, int64_t i) {
  const rows *s = arg;
  if (np_cancelled(s->c)) return;
  int64_t rest = i / s->n, x = 0, z = 0;
  for (int d = s->ndim - 1; d >= 0; d--) {
    x += rest % s->shape[d] * s->x_step[d];
    z += rest % s->shape[d] * s->z_step[d];
    rest /= s->shape[d];
  }
  s->kernel(s->k, s->m, s->x + (x + i % s->n * s->k) * s->size, s->z + z * s->size, s->p, s->y + i * s->m * s->size);
}

static void steps(const rows *s, const np_layout *l, int64_t *step) { /* of the batch, in a contiguous tensor; 0 where broadcast */
  for (int d = 0; d < s->ndim; d++) {
    int k = d - (s->ndim - (l->ndim - 2));
    step[d] = k < 0 || l->shape[k] == 1 ? 0 : l->stride[k];
  }
}

static int by_rows(np_call *c, int native, neap_tensor *y) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_contiguous_of(ctx, np_t(c, X), native), *z = np_contiguous_of(ctx, np_t(c, OTHER), native);
  if (x && z) {
    int n = y->at.ndim;
    rows s = { .c = ctx, .kernel = ctx->kernels->reduce[np_ctype(native)]->distance, .ndim = n - 2, .n = y->at.shape[n - 2],
      .m = y->at.shape[n - 1], .k = x->at.shape[x->at.ndim - 1], .size = np_size_of(native), .p = np_d(c, P), .x = np_data(x),
      .z = np_data(z), .y = np_data(y) };
    memcpy(s.shape, y->at.shape, sizeof s.shape);
    steps(&s, &x->at, s.x_step);
    steps(&s, &z->at, s.z_step);
    int general = s.p != 0 && s.p != 1 && s.p != 2 && !isinf(s.p);
    np_parallel(ctx, y->at.count / s.m, (double)y->at.count * ((double)s.k * (general ? 20 : 0.2) + 4), row_task, &s);
  }
  neap_release(x);
  neap_release(z);
  return ctx->error;
}

static int by_products(np_call *c, int native, neap_tensor *y) {
  neap_context *ctx = c->ctx;
  int64_t last = -1;
  neap_scope scope;
  int mode = neap_grad_mode(ctx, 0);
  np_scope_enter(ctx, &scope);
  neap_tensor *x = neap_to(ctx, np_t(c, X), native), *z = neap_to(ctx, np_t(c, OTHER), native);
  neap_tensor *xx = neap_sum(ctx, neap_square(ctx, x), 1, &last, 1, -1), *zz = neap_sum(ctx, neap_square(ctx, z), 1, &last, 1, -1);
  neap_tensor *s = neap_matmul(ctx, x, neap_transpose(ctx, neap_mul(ctx, z, NP_C(ctx, -2)), -1, -2));
  s = neap_add_(ctx, neap_add_(ctx, s, xx), neap_transpose(ctx, zz, -1, -2));
  s = neap_sqrt_(ctx, neap_clamp_(ctx, s, 0, NAN));
  if (s) np_copy(ctx, y, s);
  np_scope_leave(&scope, 0, NULL);
  neap_grad_mode(ctx, mode);
  return ctx->error;
}

int np_cdist_run(np_call *c) {
  neap_tensor *y = c->out[0];
  int native = np_native_of(y->at.dtype), n = y->at.ndim;
  if (y->at.count == 0) return NEAP_OK;
  neap_tensor *t = np_room(y, native);
  if (!t) return c->ctx->error;
  if (np_d(c, P) == 2 && (y->at.shape[n - 2] > FEW || y->at.shape[n - 1] > FEW)) by_products(c, native, t);
  else by_rows(c, native, t);
  np_deliver(c->ctx, y, t);
  return c->ctx->error;
}

/* With q = g / y, 0 where y is 0: for p = 2 gx = x sum(q) - q z. Else gx = sum over rows of d, with e = x - z and
 * d = g sign e |e|^(p-1) y^(1-p); p = 1: g sign e; infinite p: g sign e shared by the largest. p = 0: none. */
int np_cdist_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[X], *z = b->x[OTHER], *y = b->y[0], *g = b->g[0];
  double p = b->arg[P].d;
  int64_t last = -1, second = -2;
  if (p == 0) return NEAP_OK;
  if (p == 2) {
    neap_tensor *none = neap_eq(c, y, NP_C(c, 0));
    neap_tensor *q = neap_where(c, none, NP_C(c, 0), neap_div(c, g, neap_where(c, none, NP_C(c, 1), y)));
    neap_tensor *back = neap_transpose(c, q, -1, -2);
    if (b->in[X].needs) b->gx[X] = neap_sub(c, neap_mul(c, x, neap_sum(c, q, 1, &last, 1, -1)), neap_matmul(c, q, z));
    if (b->in[OTHER].needs) b->gx[OTHER] = neap_sub(c, neap_mul(c, z, neap_sum(c, back, 1, &last, 1, -1)), neap_matmul(c, back, x));
    return c->error;
  }
  neap_tensor *e = neap_sub(c, neap_unsqueeze(c, x, -2), neap_unsqueeze(c, z, -3)), *size = neap_abs(c, e);
  neap_tensor *w = neap_unsqueeze(c, g, -1), *top = neap_unsqueeze(c, y, -1), *d = neap_sign(c, e);
  if (isinf(p)) {
    neap_tensor *hit = neap_eq(c, size, top);
    d = neap_mul(c, d, neap_div(c, hit, neap_sum(c, hit, 1, &last, 1, -1)));
  } else if (p != 1) {
    neap_tensor *none = neap_eq(c, e, NP_C(c, 0)), *zero = neap_eq(c, top, NP_C(c, 0));
    neap_tensor *ratio = neap_div(c, neap_where(c, none, NP_C(c, 1), size), neap_where(c, zero, NP_C(c, 1), top));
    d = neap_mul(c, d, neap_pow(c, ratio, NP_C(c, p - 1)));
  }
  d = neap_mul(c, w, d);
  if (!d) return c->error;
  if (b->in[X].needs) b->gx[X] = neap_sum(c, d, 1, &second, 0, -1);
  if (b->in[OTHER].needs) b->gx[OTHER] = neap_neg(c, neap_sum(c, d, 1, (int64_t[]){ -3 }, 0, -1));
  return c->error;
}

int np_pdist_run(np_call *c) { /* of cdist(x, x) what lies above the diagonal */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X);
  if (x->at.ndim != 2) {
    char s[128];
    np_shape_text(s, sizeof s, x);
    return np_reject(c, NEAP_ERR_SHAPE, "takes a matrix of rows, got shape %s", s);
  }
  int64_t n = x->at.shape[0];
  neap_tensor *above = neap_triu(ctx, neap_ones(ctx, 2, (int64_t[]){ n, n }, NEAP_BOOL), 1);
  c->out[0] = neap_masked_select(ctx, neap_cdist(ctx, x, x, np_d(c, 1)), above);
  return ctx->error;
}

int np_pairwise_distance_run(np_call *c) { /* x other p eps keepdim: the norm of x - other + eps along the last dimension */
  neap_context *ctx = c->ctx;
  int64_t last = -1;
  neap_tensor *e = neap_add(ctx, neap_sub(ctx, np_t(c, X), np_t(c, OTHER)), NP_C(ctx, np_d(c, 3)));
  c->out[0] = neap_norm(ctx, e, np_d(c, P), 1, &last, (int)np_i(c, 4));
  return ctx->error;
}

/* x p dim maxnorm: x times maxnorm / (norm + 1e-7), PyTorch's, where the norm of a slice along dim is above maxnorm. */
int np_renorm_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X);
  int n = 0, dim;
  int64_t others[NEAP_MAX_DIMS];
  double p = np_d(c, 1), most = np_d(c, 3);
  if (x->at.ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "x must have 2 dimensions or more, got %d", x->at.ndim);
  if (np_need_float(c, "x", x) != 0) return ctx->error;
  if (!(p > 0) || !(most >= 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "p is %g and maxnorm %g, they must be over 0 and at least 0", p, most);
  if (np_axis(c, np_i(c, 2), x->at.ndim, &dim) != 0) return ctx->error;
  for (int i = 0; i < x->at.ndim; i++)
    if (i != dim) others[n++] = i;
  neap_tensor *norm = neap_norm(ctx, x, p, n, others, 1), *limit = NP_C(ctx, most);
  neap_tensor *factor = neap_div(ctx, limit, neap_add(ctx, norm, NP_C(ctx, 1e-7)));
  c->out[0] = neap_mul(ctx, x, neap_where(ctx, neap_gt(ctx, norm, limit), factor, NP_C(ctx, 1)));
  return ctx->error;
}

/* x other dim eps: the inner product of x and other, each divided by its length or eps, whichever is larger. */
int np_cosine_similarity_run(np_call *c) {
  neap_context *ctx = c->ctx;
  int n, d;
  int64_t shape[NEAP_MAX_DIMS], dim;
  if (np_broadcast(ctx, "cosine_similarity", &np_t(c, X)->at, &np_t(c, OTHER)->at, &n, shape) != 0) return ctx->error;
  if (np_axis(c, np_i(c, 2), n, &d) != 0) return ctx->error;
  neap_tensor *x = neap_expand(ctx, np_t(c, X), n, shape), *z = neap_expand(ctx, np_t(c, OTHER), n, shape);
  dim = d;
  neap_tensor *nx = neap_clamp(ctx, neap_norm(ctx, x, 2, 1, &dim, 1), np_d(c, 3), NAN);
  neap_tensor *nz = neap_clamp(ctx, neap_norm(ctx, z, 2, 1, &dim, 1), np_d(c, 3), NAN);
  c->out[0] = neap_sum(ctx, neap_mul(ctx, neap_div(ctx, x, nx), neap_div(ctx, z, nz)), 1, &dim, 0, -1);
  return ctx->error;
}
