/* Products made of products: sums with them, chains, powers, Kronecker and cross products. All are composites of ops that
 * record themselves, so none has a gradient of its own. Shapes are checked here first, so that an error speaks of this op. */
#include "loops.h"

#define T(i) np_t(call, i)

static int shape_error(np_call *call, int x, int w, const char *what) {
  char a[128], b[128];
  np_shape_text(a, sizeof a, T(x));
  np_shape_text(b, sizeof b, T(w));
  return np_reject(call, NEAP_ERR_SHAPE, "%s, got %s and %s", what, a, b);
}

/* ---- y = beta x + alpha product: x fits the product's shape; with beta 0 it is not read ---- */

enum { BETA = 3, ALPHA = 4 };

static int add_product(np_call *call, neap_tensor *product) {
  neap_context *c = call->ctx;
  neap_tensor *x = T(0), *y = product;
  double beta = np_d(call, BETA), alpha = np_d(call, ALPHA);
  if (!product) return c->error;
  int fits = x->at.ndim <= y->at.ndim;
  for (int i = 1; fits && i <= x->at.ndim; i++) {
    int64_t n = x->at.shape[x->at.ndim - i];
    fits = n == 1 || n == y->at.shape[y->at.ndim - i];
  }
  if (!fits) {
    char a[128], b[128];
    np_shape_text(a, sizeof a, x);
    np_shape_text(b, sizeof b, y);
    return np_reject(call, NEAP_ERR_SHAPE, "x %s does not broadcast to the product's shape %s", a, b);
  }
  if (alpha != 1) y = neap_mul(c, y, NP_C(c, alpha));
  if (beta != 0) y = neap_add(c, beta == 1 ? x : neap_mul(c, x, NP_C(c, beta)), y);
  call->out[0] = y;
  return c->error;
}

static int product_of(np_call *call, int x_dims, int w_dims, const char *what) {
  neap_tensor *x = T(1), *w = T(2);
  if (x->at.ndim != x_dims || w->at.ndim != w_dims || x->at.shape[x_dims - 1] != w->at.shape[w_dims == 1 ? 0 : w_dims - 2] ||
      (x_dims == 3 && x->at.shape[0] != w->at.shape[0]))
    return shape_error(call, 1, 2, what);
  return add_product(call, neap_matmul(call->ctx, x, w));
}

int np_addmm_run(np_call *call) { return product_of(call, 2, 2, "takes matrices (n, k) and (k, m)"); }
int np_addmv_run(np_call *call) { return product_of(call, 2, 1, "takes a matrix (n, k) and a vector (k)"); }
int np_baddbmm_run(np_call *call) { return product_of(call, 3, 3, "takes batches of matrices (b, n, k) and (b, k, m)"); }

int np_addbmm_run(np_call *call) { /* the batch is summed: one product with the inner dimension (b k) */
  neap_context *c = call->ctx;
  neap_tensor *x = T(1), *w = T(2);
  if (x->at.ndim != 3 || w->at.ndim != 3 || x->at.shape[2] != w->at.shape[1] || x->at.shape[0] != w->at.shape[0])
    return shape_error(call, 1, 2, "takes batches of matrices (b, n, k) and (b, k, m)");
  int64_t b = x->at.shape[0], n = x->at.shape[1], k = x->at.shape[2], m = w->at.shape[2];
  x = neap_reshape(c, neap_permute(c, x, 3, (int64_t[]){ 1, 0, 2 }), 2, (int64_t[]){ n, b * k });
  return add_product(call, neap_matmul(c, x, neap_reshape(c, w, 2, (int64_t[]){ b * k, m })));
}

int np_addr_run(np_call *call) {
  if (T(1)->at.ndim != 1 || T(2)->at.ndim != 1) return shape_error(call, 1, 2, "takes two vectors");
  return add_product(call, neap_outer(call->ctx, T(1), T(2)));
}

/* ---- of vectors and all shapes ---- */

int np_vdot_run(np_call *call) {
  if (T(0)->at.ndim != 1 || T(1)->at.ndim != 1 || T(0)->at.count != T(1)->at.count)
    return shape_error(call, 0, 1, "takes two vectors of one size");
  call->out[0] = neap_matmul(call->ctx, T(0), T(1));
  return call->ctx->error;
}

int np_vecdot_run(np_call *call) { /* x other dim */
  neap_tensor *y = neap_mul(call->ctx, T(0), T(1));
  if (y) call->out[0] = neap_sum(call->ctx, y, 1, (int64_t[]){ np_i(call, 2) }, 0, -1);
  return call->ctx->error;
}

int np_inner_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = T(0), *w = T(1);
  if (x->at.ndim == 0 || w->at.ndim == 0) {
    call->out[0] = neap_mul(c, x, w);
    return c->error;
  }
  int64_t last = -1;
  if (x->at.shape[x->at.ndim - 1] != w->at.shape[w->at.ndim - 1]) return shape_error(call, 0, 1, "takes tensors whose last dimensions agree");
  call->out[0] = neap_tensordot(c, x, w, 1, 1, &last, 1, &last);
  return c->error;
}

int np_kron_run(np_call *call) { /* (a1, 1, a2, 1, ...) times (1, b1, 1, b2, ...), joined in pairs */
  neap_context *c = call->ctx;
  neap_tensor *x = T(0), *w = T(1);
  int n = (int)np_max(x->at.ndim, w->at.ndim);
  int64_t left[NEAP_MAX_DIMS], right[NEAP_MAX_DIMS], shape[NEAP_MAX_DIMS];
  if (2 * n > NEAP_MAX_DIMS) return np_reject(call, NEAP_ERR_SHAPE, "takes tensors of %d dimensions at most, got %d", NEAP_MAX_DIMS / 2, n);
  for (int i = 0; i < n; i++) {
    int p = i - (n - x->at.ndim), q = i - (n - w->at.ndim);
    left[2 * i] = p < 0 ? 1 : x->at.shape[p], left[2 * i + 1] = 1;
    right[2 * i] = 1, right[2 * i + 1] = q < 0 ? 1 : w->at.shape[q];
    shape[i] = left[2 * i] * right[2 * i + 1];
  }
  call->out[0] = neap_reshape(c, neap_mul(c, neap_reshape(c, x, 2 * n, left), neap_reshape(c, w, 2 * n, right)), n, shape);
  return c->error;
}

/* The elements of x along dim, each moved one back, the first to the end. */
static neap_tensor *turned(neap_context *c, neap_tensor *x, int64_t dim) {
  neap_tensor *parts[2] = { neap_narrow(c, x, dim, 1, 2), neap_narrow(c, x, dim, 0, 1) };
  return neap_cat(c, 2, parts, dim);
}

int np_cross_run(np_call *call) { /* with t turning: x cross w = t(x t(w) - t(x) w) */
  neap_context *c = call->ctx;
  neap_tensor *x = T(0), *w = T(1);
  int64_t shape[NEAP_MAX_DIMS];
  int n, d;
  if (np_broadcast(c, "cross", &x->at, &w->at, &n, shape) != 0 || np_axis(call, np_i(call, 2), n, &d) != 0) return c->error;
  int dx = d - (n - x->at.ndim), dw = d - (n - w->at.ndim);
  if (dx < 0 || dw < 0 || x->at.shape[dx] != 3 || w->at.shape[dw] != 3) return shape_error(call, 0, 1, "takes tensors with 3 elements along dim");
  neap_tensor *y = neap_sub(c, neap_mul(c, x, turned(c, w, dw)), neap_mul(c, turned(c, x, dx), w));
  call->out[0] = y ? turned(c, y, d) : NULL;
  return c->error;
}

int np_trace_run(np_call *call) {
  neap_context *c = call->ctx;
  neap_tensor *x = T(0);
  if (x->at.ndim != 2) {
    char s[128];
    np_shape_text(s, sizeof s, x);
    return np_reject(call, NEAP_ERR_SHAPE, "takes a matrix, got shape %s", s);
  }
  int64_t n = np_min(x->at.shape[0], x->at.shape[1]);
  x = neap_narrow(c, neap_narrow(c, x, 0, 0, n), 1, 0, n);
  call->out[0] = neap_einsum(c, "ii", 1, &x);
  return c->error;
}

/* ---- chains ---- */

/* The cheapest way to multiply matrices i .. j (Cormen et al., Introduction to Algorithms, 15.2): cost[i][j] in
 * multiplications, cut[i][j] where the product is split. */
typedef struct chain {
  neap_context *c;
  int n;
  neap_tensor *const *m;
  double *cost;
  int *cut;
} chain;

static void plan_chain(chain *s, const int64_t *size) { /* matrix i is (size[i], size[i + 1]) */
  int n = s->n;
  for (int i = 0; i < n; i++) s->cost[i * n + i] = 0;
  for (int length = 1; length < n; length++)
    for (int i = 0; i + length < n; i++) {
      int j = i + length;
      double least = INFINITY;
      for (int k = i; k < j; k++) {
        double cost = s->cost[i * n + k] + s->cost[(k + 1) * n + j] + (double)size[i] * (double)size[k + 1] * (double)size[j + 1];
        if (cost < least || k == i) least = cost, s->cut[i * n + j] = k;
      }
      s->cost[i * n + j] = least;
    }
}

static neap_tensor *chain_product(const chain *s, int i, int j) {
  if (i == j || np_failed(s->c)) return s->m[i];
  int k = s->cut[i * s->n + j];
  return neap_matmul(s->c, chain_product(s, i, k), chain_product(s, k + 1, j));
}

static int chain_sizes(np_call *call, int64_t *size, int vectors) {
  const neap_value *ts = &call->arg[0];
  for (int i = 0; i < ts->n; i++) {
    const neap_tensor *t = ts->ts[i];
    char s[128];
    if (!t) return np_reject(call, NEAP_ERR_ARGUMENT, "tensor %lld of the list is missing", NP_DIM(call, i));
    int vector = vectors && t->at.ndim == 1 && (i == 0 || i == ts->n - 1);
    np_shape_text(s, sizeof s, t);
    if (t->at.ndim != 2 && !vector)
      return np_reject(call, NEAP_ERR_SHAPE, "takes matrices%s, tensor %lld has shape %s", vectors ? ", and vectors at the ends" : "",
                       NP_DIM(call, i), s);
    int64_t rows = vector && i == 0 ? 1 : t->at.shape[0], cols = vector && i > 0 ? 1 : t->at.shape[t->at.ndim - 1];
    if (i > 0 && rows != size[i])
      return np_reject(call, NEAP_ERR_SHAPE, "tensor %lld has shape %s, which does not fit the %lld columns before it", NP_DIM(call, i), s,
                       (long long)size[i]);
    size[i] = rows;
    size[i + 1] = cols;
  }
  return NEAP_OK;
}

static int run_chain(np_call *call, int least, int vectors) {
  neap_context *c = call->ctx;
  int n = call->arg[0].n;
  if (n < least) return np_reject(call, NEAP_ERR_ARGUMENT, "takes a list of at least %d, got %d", least, n);
  size_t cells = (size_t)n * (size_t)n, bytes = cells * (sizeof(double) + sizeof(int)) + (size_t)(n + 1) * sizeof(int64_t);
  double *room = np_alloc(c, bytes);
  if (!room) return c->error;
  int64_t *size = (int64_t *)(room + cells);
  chain s = { .c = c, .n = n, .m = call->arg[0].ts, .cost = room, .cut = (int *)(size + n + 1) };
  if (chain_sizes(call, size, vectors) == 0) {
    plan_chain(&s, size);
    call->out[0] = n == 1 ? neap_retain(s.m[0]) : chain_product(&s, 0, n - 1);
  }
  np_free(c, room, bytes);
  return c->error;
}
int np_multi_dot_run(np_call *call) { return run_chain(call, 2, 1); }
int np_chain_matmul_run(np_call *call) { return run_chain(call, 1, 0); }
