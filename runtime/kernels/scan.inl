/* scan.inl: running sums, products and extremes of one compute type, along a contiguous row and down columns. Included by
   scan_f32_isa.c, scan_f64_isa.c and scan_i64_isa.c with T, S, the accumulator A and the operations ADD, MUL defined; and
   SCAN_FLOATS for the float types, NP_F32 when T is float. What is carried is of type A, so float32 sums run in double.
   Products keep their order, since 0 times what overflowed meanwhile would be NaN. */
#include <math.h>
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "scalar.h"

#define NP_STEP(back, i, n) ((back) ? (n) - 1 - (i) : (i))

/* One after the other; STEP makes a of itself and element v. */
#define ROW(name, STEP)                                                             \
  static void row_##name(int64_t n, const void *in, void *out, int back, void *acc) { \
    const T *x = in;                                                                \
    T *y = out;                                                                     \
    A a = *(A *)acc;                                                                \
    if (back)                                                                       \
      for (int64_t i = n - 1; i >= 0; i--) {                                        \
        const A v = (A)x[i];                                                        \
        a = STEP;                                                                   \
        y[i] = (T)a;                                                                \
      }                                                                             \
    else                                                                            \
      for (int64_t i = 0; i < n; i++) {                                             \
        const A v = (A)x[i];                                                        \
        a = STEP;                                                                   \
        y[i] = (T)a;                                                                \
      }                                                                             \
    *(A *)acc = a;                                                                  \
  }

#define COLS(name, STEP)                                                                                          \
  static void cols_##name(int64_t m, int64_t n, const void *in, void *out, int64_t ld, int back, void *acc) {     \
    A *restrict c = acc;                                                                                          \
    for (int64_t i = 0; i < m; i++) {                                                                             \
      const T *x = (const T *)in + NP_STEP(back, i, m) * ld;                                                      \
      T *y = (T *)out + NP_STEP(back, i, m) * ld;                                                                 \
      NP_IVDEP for (int64_t j = 0; j < n; j++) {                                                                  \
        const A v = (A)x[j], a = c[j];                                                                            \
        c[j] = STEP;                                                                                              \
        y[j] = (T)c[j];                                                                                           \
      }                                                                                                           \
    }                                                                                                             \
  }

#ifdef NP_F32
/* Sums of doubles in registers: each of W lanes gets those before it in log W steps, then the carry, whose chain is one
   addition a vector long. */
enum { W = NP_VEC_BYTES / 8 };
typedef double dvec __attribute__((vector_size(NP_VEC_BYTES)));
typedef int64_t ivec __attribute__((vector_size(NP_VEC_BYTES)));
typedef float fvec __attribute__((vector_size(NP_VEC_BYTES / 2)));
#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif
#if NP_VEC_BYTES == 64
#define SHIFT_UP_1(v, z) SHUFFLE(v, z, 8, 0, 1, 2, 3, 4, 5, 6)
#define SHIFT_UP_2(v, z) SHUFFLE(v, z, 8, 9, 0, 1, 2, 3, 4, 5)
#define SHIFT_UP_4(v, z) SHUFFLE(v, z, 8, 9, 10, 11, 0, 1, 2, 3)
#define SHIFT_DOWN_1(v, z) SHUFFLE(v, z, 1, 2, 3, 4, 5, 6, 7, 8)
#define SHIFT_DOWN_2(v, z) SHUFFLE(v, z, 2, 3, 4, 5, 6, 7, 8, 9)
#define SHIFT_DOWN_4(v, z) SHUFFLE(v, z, 4, 5, 6, 7, 8, 9, 10, 11)
#elif NP_VEC_BYTES == 32
#define SHIFT_UP_1(v, z) SHUFFLE(v, z, 4, 0, 1, 2)
#define SHIFT_UP_2(v, z) SHUFFLE(v, z, 4, 5, 0, 1)
#define SHIFT_DOWN_1(v, z) SHUFFLE(v, z, 1, 2, 3, 4)
#define SHIFT_DOWN_2(v, z) SHUFFLE(v, z, 2, 3, 4, 5)
#else
#define SHIFT_UP_1(v, z) SHUFFLE(v, z, 2, 0)
#define SHIFT_DOWN_1(v, z) SHUFFLE(v, z, 1, 2)
#endif
NP_FN dvec sums_up(dvec v) {
  const dvec z = {0};
  v += SHIFT_UP_1(v, z);
#if NP_VEC_BYTES >= 32
  v += SHIFT_UP_2(v, z);
#endif
#if NP_VEC_BYTES >= 64
  v += SHIFT_UP_4(v, z);
#endif
  return v;
}
NP_FN dvec sums_down(dvec v) {
  const dvec z = {0};
  v += SHIFT_DOWN_1(v, z);
#if NP_VEC_BYTES >= 32
  v += SHIFT_DOWN_2(v, z);
#endif
#if NP_VEC_BYTES >= 64
  v += SHIFT_DOWN_4(v, z);
#endif
  return v;
}
static void row_cumsum(int64_t n, const void *in, void *out, int back, void *acc) {
  const float *x = in;
  float *y = out;
  double a = *(double *)acc;
  int64_t i = 0;
  dvec carry = (dvec){0} + a;
  for (; i + W <= n; i += W) {
    int64_t at = back ? n - W - i : i;
    fvec f;
    memcpy(&f, x + at, sizeof f);
    dvec v = __builtin_convertvector(f, dvec);
    v = back ? sums_down(v) : sums_up(v);
    f = __builtin_convertvector(v + carry, fvec);
    memcpy(y + at, &f, sizeof f);
    carry += (dvec){0} + v[back ? 0 : W - 1];
  }
  a = carry[0];
  for (; i < n; i++) {
    a += (double)x[NP_STEP(back, i, n)];
    y[NP_STEP(back, i, n)] = (float)a;
  }
  *(double *)acc = a;
}
#else
ROW(cumsum, ADD(a, v))
#endif
COLS(cumsum, ADD(a, v))
ROW(cumprod, MUL(a, v))
COLS(cumprod, MUL(a, v))
#ifdef SCAN_FLOATS
ROW(logcumsumexp, np_logaddexp_f64(a, v))
COLS(logcumsumexp, np_logaddexp_f64(a, v))
#endif

/* `better`: v takes the place of a. */
#define EXTREMES(name, better)                                                                            \
  static void arg_row_##name(int64_t n, const void *in, void *out, int64_t *at) {                         \
    const T *x = in;                                                                                      \
    T *y = out, a = n ? x[0] : 0;                                                                         \
    int64_t k = 0;                                                                                        \
    for (int64_t i = 0; i < n; i++) {                                                                     \
      const T v = x[i];                                                                                   \
      const int go = (v != v) | ((a == a) & (better));                                                    \
      k = go ? i : k;                                                                                     \
      a = go ? v : a;                                                                                     \
      at[i] = k;                                                                                          \
      y[i] = a;                                                                                           \
    }                                                                                                     \
  }                                                                                                       \
  static void arg_cols_##name(int64_t m, int64_t n, const void *in, void *out, int64_t *at, int64_t ld) { \
    for (int64_t i = 0; i < m; i++) {                                                                     \
      const T *x = (const T *)in + i * ld, *best = i ? (const T *)out + (i - 1) * ld : x;                 \
      const int64_t *last = i ? at + (i - 1) * ld : at;                                                   \
      T *y = (T *)out + i * ld;                                                                           \
      int64_t *now = at + i * ld;                                                                         \
      NP_IVDEP for (int64_t j = 0; j < n; j++) {                                                          \
        const T v = x[j], a = best[j];                                                                    \
        const int go = (i == 0) | (v != v) | ((a == a) & (better));                                       \
        now[j] = go ? i : last[j];                                                                        \
        y[j] = go ? v : a;                                                                                \
      }                                                                                                   \
    }                                                                                                     \
  }
EXTREMES(max, v >= a)
EXTREMES(min, v <= a)

#ifdef SCAN_FLOATS
static void recur_row(int64_t n, const void *in, const void *by, void *out, int back) {
  const T *x = in, *w = by;
  T *y = out, h = 0;
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = NP_STEP(back, i, n);
    h = i ? x[at] + w[at] * h : x[at];
    y[at] = h;
  }
}
static void recur_cols(int64_t m, int64_t n, const void *in, const void *by, void *out, int64_t ld, int back) {
  for (int64_t i = 0; i < m; i++) {
    const int64_t at = NP_STEP(back, i, m) * ld;
    const T *x = (const T *)in + at, *w = (const T *)by + at;
    T *y = (T *)out + at;
    const T *h = y + (back ? ld : -ld);
    if (i == 0)
      for (int64_t j = 0; j < n; j++) y[j] = x[j];
    else
      NP_IVDEP for (int64_t j = 0; j < n; j++) y[j] = x[j] + w[j] * h[j];
  }
}
#endif

const np_scan NP_NAME(NP_CAT(np_scan_, S)) = {
#ifdef SCAN_FLOATS
    .row = {row_cumsum, row_cumprod, row_logcumsumexp},
    .cols = {cols_cumsum, cols_cumprod, cols_logcumsumexp},
    .recur_row = recur_row,
    .recur_cols = recur_cols,
#else
    .row = {row_cumsum, row_cumprod},
    .cols = {cols_cumsum, cols_cumprod},
#endif
    .arg_row = {arg_row_max, arg_row_min},
    .arg_cols = {arg_cols_max, arg_cols_min},
};
