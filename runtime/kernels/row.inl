/* row.inl: rows of softmax, layer norm and cross-entropy for one float type, forward and backward. Included by
   row_f32_isa.c and row_f64_isa.c with T, S and BITS defined. Exponentials are taken relative to the row's maximum and
   sums are kept in double (lanes.h). A row fits the first-level caches as a rule, so several plain passes over it are
   cheaper than one clever pass. */
#include "kernels.h"
#include "lanes.h"
#include "scalar.h"

#define F_(name) NP_CAT(np_##name##_, S)
enum { CHUNK = 256 };
#define EACH_CHUNK(i, m) for (int64_t i = 0, m; i < n && (m = n - i < CHUNK ? n - i : CHUNK, 1); i += CHUNK)

static T max_of(int64_t n, const T *x) {
  T m;
  LANE_MAX(m, n, -(T)INFINITY, vec_load(x + o), x[o]);
  return m;
}
static double sum_of(int64_t n, const T *x) {
  double s;
  LANE_SUM(s, n, vec_load(x + o), x[o]);
  return s;
}
static double dot_of(int64_t n, const T *x, const T *z) {
  double s;
  LANE_SUM(s, n, vec_load(x + o) * vec_load(z + o), x[o] * z[o]);
  return s;
}

/* ---- softmax ---- */

/* sum exp(x - c) */
static double exp_sum(int64_t n, const T *x, T c) {
  T e[CHUNK];
  double s = 0;
  EACH_CHUNK(i, m) {
    for (int64_t j = 0; j < m; j++) e[j] = F_(exp)(x[i + j] - c);
    s += sum_of(m, e);
  }
  return s;
}

static double log_sum_exp(int64_t n, const T *x) {
  T c = max_of(n, x);
  c = F_(isfinite)(c) ? c : 0; /* a row of -inf gives -inf, one with +inf gives inf */
  return (double)c + log(exp_sum(n, x, c));
}
static void logsumexp(int64_t n, const void *x, double *y) { *y = log_sum_exp(n, x); }

static void softmax(int64_t n, const void *in, void *out) {
  const T *x = in, c = max_of(n, x);
  T *y = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = F_(exp)(x[i] - c);
  const T r = (T)(1 / sum_of(n, y));
  for (int64_t i = 0; i < n; i++) y[i] *= r;
}

static void log_softmax(int64_t n, const void *in, void *out) {
  const T *x = in, c = max_of(n, x), l = (T)log(exp_sum(n, x, c));
  T *y = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - c) - l;
}

/* dx = y (g - sum g y) */
static void softmax_grad(int64_t n, const void *vy, const void *vg, void *out) {
  const T *y = vy, *g = vg, s = (T)dot_of(n, y, g);
  T *dx = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (g[i] - s);
}

/* dx = g - exp(y) sum g */
static void log_softmax_grad(int64_t n, const void *vy, const void *vg, void *out) {
  const T *y = vy, *g = vg, s = (T)sum_of(n, g);
  T *dx = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = g[i] - F_(exp)(y[i]) * s;
}

/* ---- layer norm ---- */

/* y = (x - mean) rstd gamma + beta */
static void layer_norm(int64_t n, const void *in, const void *gamma, const void *beta, double eps, void *out,
                       void *mean, void *rstd) {
  const T *x = in, *w = gamma, *b = beta, c = (T)(sum_of(n, x) / (double)n);
  T *y = out;
  double var;
  LANE_SUM(var, n, (vec_load(x + o) - c) * (vec_load(x + o) - c), (x[o] - c) * (x[o] - c));
  const T r = (T)(1 / sqrt(var / (double)n + eps));
  if (w && b) {
    NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - c) * r * w[i] + b[i];
  } else {
    NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - c) * r;
    if (w) NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] *= w[i];
    if (b) NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] += b[i];
  }
  *(T *)mean = c;
  *(T *)rstd = r;
}

/* dx = rstd (d - mean(d) - h mean(d h)),  d = g gamma,  h = (x - mean) rstd */
static void layer_norm_grad(int64_t n, const void *vg, const void *vx, const void *gamma, const void *mean,
                            const void *rstd, void *out, double *dgamma, double *dbeta) {
  const T *g = vg, *x = vx, *w = gamma, c = *(const T *)mean, r = *(const T *)rstd;
  T *dx = out;
  if (dgamma) NP_IVDEP for (int64_t i = 0; i < n; i++) dgamma[i] += (double)(g[i] * ((x[i] - c) * r));
  if (dbeta) NP_IVDEP for (int64_t i = 0; i < n; i++) dbeta[i] += (double)g[i];
  if (!dx) return;
  double sum_d, sum_dh;
  if (w) {
    sum_d = dot_of(n, g, w);
    LANE_SUM(sum_dh, n, vec_load(g + o) * vec_load(w + o) * (vec_load(x + o) - c), g[o] * w[o] * (x[o] - c));
  } else {
    sum_d = sum_of(n, g);
    LANE_SUM(sum_dh, n, vec_load(g + o) * (vec_load(x + o) - c), g[o] * (x[o] - c));
  }
  const T a = (T)(sum_d / (double)n), b = (T)(sum_dh / (double)n * (double)r);
  if (w) {
    NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = r * (g[i] * w[i] - a - (x[i] - c) * r * b);
  } else {
    NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = r * (g[i] - a - (x[i] - c) * r * b);
  }
}

/* ---- cross-entropy ---- */

/* loss = (1-e) w[t] (L - x[t]) + e/n sum_c w[c] (L - x[c]) */
static void cross_entropy(int64_t n, const void *in, int64_t t, const void *weights, double e, double *loss,
                          double *L) {
  const T *x = in, *w = weights;
  const double l = log_sum_exp(n, x);
  *loss = (1 - e) * (w ? (double)w[t] : 1) * (l - (double)x[t]);
  if (e != 0)
    *loss += e / (double)n * (w ? l * sum_of(n, w) - dot_of(n, w, x) : l * (double)n - sum_of(n, x));
  *L = l;
}

/* dx = scale ((1-e) w[t] (p - 1[c=t]) + e/n (p sum w - w[c])),  p = exp(x - L) */
static void cross_entropy_grad(int64_t n, const void *in, int64_t t, const void *weights, double e, double L,
                               double scale, void *out) {
  const T *x = in, *w = weights, l = (T)L;
  T *dx = out;
  const double hit = scale * (1 - e) * (w ? (double)w[t] : 1), spread = scale * e / (double)n;
  const T a = (T)(e == 0 ? hit : hit + spread * (w ? sum_of(n, w) : (double)n)), b = (T)spread;
  NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = a * F_(exp)(x[i] - l);
  if (e != 0)
    for (int64_t i = 0; i < n; i++) dx[i] -= w ? b * w[i] : b;
  dx[t] -= (T)hit;
}

/* r = w ((1-e) q + e/n) for a chunk. */
static void soft_target(int64_t n, const T *q, const T *w, T keep, T add, T *r) {
  for (int64_t j = 0; j < n; j++) r[j] = keep * q[j] + add;
  if (w)
    for (int64_t j = 0; j < n; j++) r[j] *= w[j];
}

/* loss = sum_c r[c] (L - x[c]) */
static void cross_entropy_soft(int64_t n, const void *in, const void *vq, const void *weights, double e, double *loss,
                               double *L) {
  const T *x = in, *q = vq, *w = weights;
  const double lse = log_sum_exp(n, x);
  const T l = (T)lse;
  T r[CHUNK];
  double y = 0, part;
  EACH_CHUNK(i, m) {
    soft_target(m, q + i, w ? w + i : NULL, (T)(1 - e), (T)(e / (double)n), r);
    LANE_SUM(part, m, vec_load(r + o) * (l - vec_load(x + i + o)), r[o] * (l - x[i + o]));
    y += part;
  }
  *loss = y;
  *L = lse;
}

/* dx = scale (p sum r - r) */
static void cross_entropy_soft_grad(int64_t n, const void *in, const void *vq, const void *weights, double e, double L,
                                    double scale, void *out) {
  const T *x = in, *q = vq, *w = weights, keep = (T)(1 - e), add = (T)(e / (double)n), l = (T)L;
  T *dx = out, r[CHUNK];
  double total = 0;
  EACH_CHUNK(i, m) {
    soft_target(m, q + i, w ? w + i : NULL, keep, add, r);
    total += sum_of(m, r);
  }
  const T a = (T)(scale * total), b = (T)scale;
  EACH_CHUNK(i, m) {
    soft_target(m, q + i, w ? w + i : NULL, keep, add, r);
    NP_IVDEP for (int64_t j = 0; j < m; j++) dx[i + j] = a * F_(exp)(x[i + j] - l) - b * r[j];
  }
}

const np_row NP_NAME(NP_CAT(np_row_, S)) = {
    .logsumexp = logsumexp,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .softmax_grad = softmax_grad,
    .log_softmax_grad = log_softmax_grad,
    .layer_norm = layer_norm,
    .layer_norm_grad = layer_norm_grad,
    .cross_entropy = cross_entropy,
    .cross_entropy_grad = cross_entropy_grad,
    .cross_entropy_soft = cross_entropy_soft,
    .cross_entropy_soft_grad = cross_entropy_soft_grad,
};
