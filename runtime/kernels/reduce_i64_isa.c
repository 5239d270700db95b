/* reduce_i64_isa.c: the reductions of reduce.inl for int64, where additions may be reordered by the compiler because
   they wrap. Same rows, same meaning, without those that only make sense for floats. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"

/* STEP makes y of itself and element v; START is what n == 0 gives. */
#define FOLD(op, START, STEP)                                                                            \
  static void row_##op(int64_t n, const void *in, void *out) {                                           \
    const int64_t *x = in;                                                                               \
    int64_t y = START;                                                                                   \
    for (int64_t i = 0; i < n; i++) {                                                                    \
      const int64_t v = x[i];                                                                            \
      y = STEP;                                                                                          \
    }                                                                                                    \
    *(int64_t *)out = y;                                                                                 \
  }                                                                                                      \
  static void cols_##op(int64_t m, int64_t n, const void *in, int64_t ld, void *acc, int first) {        \
    const int64_t *restrict x = in;                                                                      \
    int64_t *restrict a = acc;                                                                           \
    if (first)                                                                                           \
      for (int64_t j = 0; j < n; j++) a[j] = START;                                                      \
    for (int64_t i = 0; i < m; i++)                                                                      \
      for (int64_t j = 0; j < n; j++) {                                                                  \
        const int64_t v = x[i * ld + j], y = a[j];                                                       \
        a[j] = STEP;                                                                                     \
      }                                                                                                  \
  }
FOLD(sum, 0, np_add_i64(y, v))
FOLD(sum_abs, 0, np_add_i64(y, np_abs_i64(v)))
FOLD(sum_sq, 0, np_add_i64(y, np_mul_i64(v, v)))
FOLD(prod, 1, np_mul_i64(y, v))
FOLD(max, INT64_MIN, v > y ? v : y)
FOLD(min, INT64_MAX, v < y ? v : y)
FOLD(max_abs, 0, np_maximum_i64(np_abs_i64(v), y))
FOLD(any, 0, y | (v != 0))
FOLD(all, 1, y & (v != 0))
FOLD(count, 0, y + (v != 0))

#define ARG(op, better)                                                                                      \
  static void arg_##op(int64_t n, const void *in, int64_t *at) {                                             \
    const int64_t *x = in;                                                                                   \
    int64_t best = x[0], k = 0;                                                                              \
    for (int64_t i = 1; i < n; i++) {                                                                        \
      const int64_t v = x[i];                                                                                \
      if (better) best = v, k = i;                                                                           \
    }                                                                                                        \
    *at = k;                                                                                                 \
  }                                                                                                          \
  static void arg_cols_##op(int64_t m, int64_t n, const void *in, int64_t ld, int64_t i0, void *out, int64_t *at) { \
    const int64_t *restrict x = in;                                                                          \
    int64_t *restrict a = out, *restrict k = at;                                                             \
    if (i0 == 0 && m > 0)                                                                                    \
      for (int64_t j = 0; j < n; j++) a[j] = x[j], k[j] = 0;                                                 \
    for (int64_t i = i0 == 0; i < m; i++)                                                                    \
      for (int64_t j = 0; j < n; j++) {                                                                      \
        const int64_t v = x[i * ld + j], best = a[j];                                                        \
        const int go = better;                                                                               \
        k[j] = go ? i0 + i : k[j];                                                                           \
        a[j] = go ? v : best;                                                                                \
      }                                                                                                      \
  }
ARG(max, v > best)
ARG(min, v < best)

static void dot(int64_t n, const void *vx, const void *vz, void *out) {
  const int64_t *x = vx, *z = vz;
  int64_t y = 0;
  for (int64_t i = 0; i < n; i++) y = np_add_i64(y, np_mul_i64(x[i], z[i]));
  *(int64_t *)out = y;
}
static void axpy(int64_t n, double a, const void *vx, void *vy) {
  const int64_t *x = vx, s = np_param_i64(a);
  int64_t *y = vy;
  NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = np_add_i64(y[i], np_mul_i64(s, x[i]));
}

const np_reduce NP_NAME(np_reduce_i64) = {
    .row = {row_sum, row_sum_abs, row_sum_sq, row_prod, row_max, row_min, row_max_abs, row_any, row_all, row_count},
    .cols = {cols_sum, cols_sum_abs, cols_sum_sq, cols_prod, cols_max, cols_min, cols_max_abs, cols_any, cols_all,
             cols_count},
    .arg = {arg_max, arg_min},
    .arg_cols = {arg_cols_max, arg_cols_min},
    .dot = dot,
    .axpy = axpy,
};
