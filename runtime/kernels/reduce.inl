/* reduce.inl: reductions of one float type, along a contiguous row and down columns. Included by reduce_f32_isa.c
   and reduce_f64_isa.c with T, S and BITS defined. Results are doubles (int64 for counts); the order of additions
   depends on the sizes alone. What combines a reduction with exponentials lives in row.inl. */
#include "kernels.h"
#include "lanes.h"
#include "scalar.h"

#define F_(name) NP_CAT(np_##name##_, S)

/* ---- along a row ---- */

#define ROW_SUM(name, vector, single)                        \
  static void name(int64_t n, const void *in, void *out) {   \
    const T *x = in;                                         \
    double y;                                                \
    LANE_SUM(y, n, vector, single);                          \
    *(double *)out = y;                                      \
  }
ROW_SUM(row_sum, vec_load(x + o), x[o])
ROW_SUM(row_sum_abs, vec_abs(vec_load(x + o)), F_(abs)(x[o]))
ROW_SUM(row_sum_sq, vec_load(x + o) * vec_load(x + o), x[o] * x[o])

#define ROW_MAX(name, init, vector, single, sign)            \
  static void name(int64_t n, const void *in, void *out) {   \
    const T *x = in;                                         \
    T y;                                                     \
    LANE_MAX(y, n, init, vector, single);                    \
    *(double *)out = (double)(sign y);                       \
  }
ROW_MAX(row_max, -(T)INFINITY, vec_load(x + o), x[o], +)
ROW_MAX(row_min, -(T)INFINITY, -vec_load(x + o), -x[o], -)
ROW_MAX(row_max_abs, 0, vec_abs(vec_load(x + o)), F_(abs)(x[o]), +)

static void row_prod(int64_t n, const void *in, void *out) {
  const T *x = in;
  double a[16], y = 1;
  for (int j = 0; j < 16; j++) a[j] = 1;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (int j = 0; j < 16; j++) a[j] *= (double)x[i + j];
  for (int j = 0; j < 16; j++) y *= a[j];
  for (; i < n; i++) y *= (double)x[i];
  *(double *)out = y;
}

static void row_count(int64_t n, const void *in, void *out) {
  const T *x = in;
  int64_t y = 0;
  for (int64_t i = 0; i < n; i++) y += x[i] != 0;
  *(int64_t *)out = y;
}
/* any and all count in chunks, so as to stop early. */
static void row_any(int64_t n, const void *in, void *out) {
  int64_t y = 0;
  for (int64_t i = 0; i < n && !y; i += 1024) row_count(n - i < 1024 ? n - i : 1024, (const T *)in + i, &y);
  *(int64_t *)out = y != 0;
}
static void row_all(int64_t n, const void *in, void *out) {
  int64_t y, all = 1;
  for (int64_t i = 0; i < n && all; i += 1024) {
    int64_t m = n - i < 1024 ? n - i : 1024;
    row_count(m, (const T *)in + i, &y);
    all = y == m;
  }
  *(int64_t *)out = all;
}

/* The extreme first, then the first place that holds it. */
static void find(int64_t n, const T *x, T v, int64_t *at) {
  int64_t i = 0, hits = 0;
  for (; i + 256 <= n; i += 256) {
    for (int64_t j = i; j < i + 256; j++) hits += v != v ? x[j] != x[j] : x[j] == v;
    if (hits) break;
  }
  for (; i < n - 1; i++)
    if (v != v ? x[i] != x[i] : x[i] == v) break;
  *at = i;
}
static void arg_max(int64_t n, const void *x, int64_t *at) {
  double v;
  row_max(n, x, &v);
  find(n, x, (T)v, at);
}
static void arg_min(int64_t n, const void *x, int64_t *at) {
  double v;
  row_min(n, x, &v);
  find(n, x, (T)v, at);
}

static void sq_dev(int64_t n, const void *in, double center, double *out) {
  const T *x = in, c = (T)center;
  double y;
  LANE_SUM(y, n, (vec_load(x + o) - c) * (vec_load(x + o) - c), (x[o] - c) * (x[o] - c));
  *out = y;
}
static void dot(int64_t n, const void *vx, const void *vz, void *out) {
  const T *x = vx, *z = vz;
  double y;
  LANE_SUM(y, n, vec_load(x + o) * vec_load(z + o), x[o] * z[o]);
  *(double *)out = y;
}
static void axpy(int64_t n, double a, const void *vx, void *vy) {
  const T *x = vx, s = (T)a;
  T *y = vy;
  NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] += s * x[i];
}

static double one_distance(int64_t n, const T *x, const T *z, double p) {
  double y = 0;
  if (p == 2) {
    LANE_SUM(y, n, (vec_load(x + o) - vec_load(z + o)) * (vec_load(x + o) - vec_load(z + o)), (x[o] - z[o]) * (x[o] - z[o]));
    return sqrt(y);
  }
  if (p == 1) {
    LANE_SUM(y, n, vec_abs(vec_load(x + o) - vec_load(z + o)), F_(abs)(x[o] - z[o]));
    return y;
  }
  if (isinf(p)) {
    T most;
    LANE_MAX(most, n, 0, vec_abs(vec_load(x + o) - vec_load(z + o)), F_(abs)(x[o] - z[o]));
    return (double)most;
  }
  for (int64_t i = 0; i < n; i++) y += p == 0 ? x[i] != z[i] : pow(fabs((double)x[i] - (double)z[i]), p);
  return p == 0 ? y : pow(y, 1 / p);
}
static void distance(int64_t n, int64_t m, const void *vx, const void *vz, double p, void *vy) {
  const T *z = vz;
  T *y = vy;
  for (int64_t j = 0; j < m; j++) y[j] = (T)one_distance(n, vx, z + j * n, p);
}

/* ---- down columns ---- */

/* Eight rows at a time are added pairwise in T, then to the doubles. E(v) is the term for an element in column j. */
#define COLS_SUM(E)                                                                              \
  const T *restrict x = in;                                                                      \
  double *restrict a = acc;                                                                      \
  int64_t i = 0;                                                                                 \
  if (first)                                                                                     \
    for (int64_t j = 0; j < n; j++) a[j] = 0;                                                    \
  for (; i + 8 <= m; i += 8) {                                                                   \
    const T *p = x + i * ld, *q = p + 4 * ld;                                                    \
    for (int64_t j = 0; j < n; j++)                                                              \
      a[j] += (double)(((E(p[j]) + E(p[ld + j])) + (E(p[2 * ld + j]) + E(p[3 * ld + j]))) +      \
                       ((E(q[j]) + E(q[ld + j])) + (E(q[2 * ld + j]) + E(q[3 * ld + j]))));      \
  }                                                                                              \
  for (; i < m; i++)                                                                             \
    for (int64_t j = 0; j < n; j++) a[j] += (double)E(x[i * ld + j]);

#define PLAIN(v) (v)
#define SQUARED(v) ((v) * (v))
#define DEVIATION(v) SQUARED((v) - (T)c[j])
static void cols_sum(int64_t m, int64_t n, const void *in, int64_t ld, void *acc, int first) { COLS_SUM(PLAIN) }
static void cols_sum_abs(int64_t m, int64_t n, const void *in, int64_t ld, void *acc, int first) { COLS_SUM(F_(abs)) }
static void cols_sum_sq(int64_t m, int64_t n, const void *in, int64_t ld, void *acc, int first) { COLS_SUM(SQUARED) }
static void sq_dev_cols(int64_t m, int64_t n, const void *in, int64_t ld, const double *restrict c, double *acc,
                        int first) {
  COLS_SUM(DEVIATION)
}

/* Row by row: STEP makes a[j] (of type A) of itself and element v; START is what the first row meets. */
#define COLS(name, A, START, STEP)                                                               \
  static void name(int64_t m, int64_t n, const void *in, int64_t ld, void *acc, int first) {     \
    const T *restrict x = in;                                                                    \
    A *restrict a = acc;                                                                         \
    if (first)                                                                                   \
      for (int64_t j = 0; j < n; j++) a[j] = START;                                              \
    for (int64_t i = 0; i < m; i++)                                                              \
      for (int64_t j = 0; j < n; j++) {                                                          \
        const T v = x[i * ld + j];                                                               \
        a[j] = STEP;                                                                             \
      }                                                                                          \
  }
COLS(cols_prod, double, 1, a[j] * (double)v)
COLS(cols_max, double, -INFINITY, np_maximum_f64((double)v, a[j]))
COLS(cols_min, double, INFINITY, np_minimum_f64((double)v, a[j]))
COLS(cols_max_abs, double, 0, np_maximum_f64(fabs((double)v), a[j]))
COLS(cols_any, int64_t, 0, a[j] | (v != 0))
COLS(cols_all, int64_t, 1, a[j] & (v != 0))
COLS(cols_count, int64_t, 0, a[j] + (v != 0))

/* `better` for a strict improvement, or the first NaN. */
#define ARG_COLS(name, better)                                                                              \
  static void name(int64_t m, int64_t n, const void *in, int64_t ld, int64_t i0, void *best, int64_t *at) { \
    const T *restrict x = in;                                                                               \
    double *restrict a = best;                                                                              \
    int64_t *restrict k = at;                                                                               \
    if (i0 == 0 && m > 0)                                                                                   \
      for (int64_t j = 0; j < n; j++) a[j] = (double)x[j], k[j] = 0;                                        \
    for (int64_t i = i0 == 0; i < m; i++)                                                                   \
      for (int64_t j = 0; j < n; j++) {                                                                     \
        const double v = (double)x[i * ld + j];                                                             \
        const int go = (better) | ((v != v) & (a[j] == a[j]));                                              \
        k[j] = go ? i0 + i : k[j];                                                                          \
        a[j] = go ? v : a[j];                                                                               \
      }                                                                                                     \
  }
ARG_COLS(arg_cols_max, v > a[j])
ARG_COLS(arg_cols_min, v < a[j])

const np_reduce NP_NAME(NP_CAT(np_reduce_, S)) = {
    .row = {row_sum, row_sum_abs, row_sum_sq, row_prod, row_max, row_min, row_max_abs, row_any, row_all, row_count},
    .cols = {cols_sum, cols_sum_abs, cols_sum_sq, cols_prod, cols_max, cols_min, cols_max_abs, cols_any, cols_all,
             cols_count},
    .arg = {arg_max, arg_min},
    .arg_cols = {arg_cols_max, arg_cols_min},
    .sq_dev = sq_dev,
    .sq_dev_cols = sq_dev_cols,
    .dot = dot,
    .axpy = axpy,
    .distance = distance,
};
