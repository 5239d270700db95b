/* Initialisers that need more than a fill: orthogonal matrices and the truncated normal distribution. Both are computed in
 * double in a buffer of the tensor's shape and then stored in whatever dtype and layout the tensor has. */
#include <math.h>
#include <string.h>
#include "op.h"

/* A row-major float64 tensor of t's shape in the open scope, or NULL. */
static neap_tensor *buffer_for(neap_tensor *t, const char *name) {
  neap_context *c = t->ctx;
  if (np_failed(c)) return NULL;
  if (np_is_float(t->at.dtype) && !t->storage->read_only) return np_tensor_like(t, NEAP_F64);
  np_fail(c, NEAP_ERR_DTYPE, "%s: fills tensors of floats that may be written to", name);
  return NULL;
}

static int store(neap_tensor *t, neap_tensor *values, const char *name) {
  if (np_copy(t->ctx, t, values) != 0) return t->ctx->error;
  return np_tensor_written(t, name);
}

static uint64_t draw(neap_context *c, neap_generator *g, int64_t n, uint64_t *seed) {
  if (!g) g = &c->generator;
  *seed = g->seed;
  return np_draw(g, NP_RANDOM_64(n));
}

/* ---- orthogonal ---- */

enum { PANEL = 32 };

/* Gram-Schmidt, each projection twice, within rows from..to of v (n long each). */
static void orthogonalise(neap_context *c, double *v, int64_t from, int64_t to, int64_t n) {
  const np_reduce *k = c->kernels->reduce[NP_CF64];
  for (int64_t i = from; i < to; i++) {
    double *row = v + i * n, d;
    for (int pass = 0; pass < 2; pass++)
      for (int64_t j = from; j < i; j++) {
        k->dot(n, row, v + j * n, &d);
        k->axpy(n, -d, v + j * n, row);
      }
    k->row[NP_SUM_SQ](n, row, &d);
    for (int64_t j = 0; j < n; j++) row[j] /= sqrt(d);
  }
}

/* Makes the m rows of v (m, n), m <= n, orthonormal, a panel at a time: what lies in the span of the rows before it is
 * taken out by two products (twice, for the rounding), the rest within the panel. scratch: PANEL * m doubles. */
static int orthonormal_rows(neap_context *c, double *v, int64_t m, int64_t n, double *scratch) {
  for (int64_t at = 0; at < m; at += PANEL) {
    int64_t rows = m - at < PANEL ? m - at : PANEL;
    for (int pass = 0; at > 0 && pass < 2; pass++) {
      if (np_product(c, NEAP_F64, 0, 1, rows, at, n, 1, v + at * n, n, v, n, 0, scratch, at) != 0 ||
          np_product(c, NEAP_F64, 0, 0, rows, n, at, -1, scratch, at, v, n, 1, v + at * n, n) != 0)
        return c->error;
    }
    orthogonalise(c, v, at, at + rows, n);
  }
  return c->error;
}

static int orthogonal(neap_tensor *t, neap_tensor *out, double gain, neap_generator *g) {
  neap_context *c = t->ctx;
  int64_t rows = t->at.shape[0], columns = t->at.count / rows, tall = rows > columns;
  int64_t m = tall ? columns : rows, n = tall ? rows : columns;
  int64_t shape[] = {m, n}, room[] = {PANEL, m};
  neap_tensor *vectors = np_tensor_new(c, NEAP_F64, 2, shape), *scratch = np_tensor_new(c, NEAP_F64, 2, room);
  if (!vectors || !scratch) return c->error;
  uint64_t seed, offset = draw(c, g, m * n, &seed);
  double *v = (double *)np_data(vectors), *y = (double *)np_data(out);
  c->kernels->random->normal[NP_CF64](seed, offset, 0, m * n, v, 0, 1);
  if (orthonormal_rows(c, v, m, n, (double *)np_data(scratch)) != 0) return c->error;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) y[i * columns + j] = gain * (tall ? v[j * n + i] : v[i * n + j]);
  return store(t, out, "init_orthogonal");
}

int neap_init_orthogonal(neap_tensor *t, double gain, neap_generator *g) {
  if (!t) return NEAP_ERR_ARGUMENT;
  neap_context *c = t->ctx;
  if (np_failed(c)) return c->error;
  if (t->at.ndim < 2)
    return np_fail(c, NEAP_ERR_SHAPE, "init_orthogonal: needs a tensor of 2 dimensions or more, this one has %d", t->at.ndim);
  if (t->at.count == 0) return NEAP_OK;
  neap_scope scope;
  np_scope_enter(c, &scope);
  neap_tensor *out = buffer_for(t, "init_orthogonal");
  int status = out ? orthogonal(t, out, gain, g) : (int)c->error;
  np_scope_leave(&scope, 0, NULL);
  return status;
}

/* ---- truncated normal ---- */

static double polynomial(double x, int n, const double *a) {
  double y = 0;
  for (int i = 0; i < n; i++) y = y * x + a[i];
  return y;
}

/* Giles (2010), Approximating the erfinv function, in single precision, then Newton's step with erf. */
static double erf_inverse(double y) {
  static const double inner[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                 -0.00125372503, -0.00417768164, 0.246640727, 1.50140941};
  static const double outer[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                 -0.0076224613, 0.00943887047, 1.00167406, 2.83297682};
  if (fabs(y) >= 1) return copysign(INFINITY, y);
  double w = -log1p(-y * y);
  double x = y * (w < 5 ? polynomial(w - 2.5, 9, inner) : polynomial(sqrt(w) - 3, 9, outer));
  for (int i = 0; i < 2; i++) x -= (erf(x) - y) * 0.88622692545275801365 * exp(x * x);
  return x;
}

typedef struct truncated {
  const np_random *random;
  uint64_t seed, offset;
  int64_t n;
  double *y, low, high, mean, std, a, b;
} truncated;

static void truncated_block(void *arg, int64_t block) {
  const truncated *s = arg;
  int64_t at = block * NP_GRAIN, n = s->n - at < NP_GRAIN ? s->n - at : NP_GRAIN;
  double *y = s->y + at;
  s->random->uniform[NP_CF64](s->seed, s->offset, at, n, y, s->low, s->high);
  for (int64_t i = 0; i < n; i++) y[i] = fmin(fmax(s->mean + s->std * M_SQRT2 * erf_inverse(y[i]), s->a), s->b);
}

int neap_init_trunc_normal(neap_tensor *t, double mean, double std, double a, double b, neap_generator *g) {
  if (!t) return NEAP_ERR_ARGUMENT;
  neap_context *c = t->ctx;
  if (np_failed(c)) return c->error;
  if (!(std > 0) || !(a < b))
    return np_fail(c, NEAP_ERR_ARGUMENT, "init_trunc_normal: needs std > 0 and a < b, got std %g, a %g, b %g", std, a, b);
  neap_scope scope;
  np_scope_enter(c, &scope);
  neap_tensor *out = buffer_for(t, "init_trunc_normal");
  if (out) {
    truncated s = {.random = c->kernels->random, .n = t->at.count, .y = (double *)np_data(out),
                   .low = erf((a - mean) / (std * M_SQRT2)), .high = erf((b - mean) / (std * M_SQRT2)),
                   .mean = mean, .std = std, .a = a, .b = b};
    s.offset = draw(c, g, s.n, &s.seed);
    np_parallel(c, (s.n + NP_GRAIN - 1) / NP_GRAIN, (double)s.n * 50, truncated_block, &s);
    store(t, out, "init_trunc_normal");
  }
  np_scope_leave(&scope, 0, NULL);
  return c->error;
}
