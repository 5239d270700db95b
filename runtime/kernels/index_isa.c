/* index_isa.c: taking and putting rows and single elements by lists of int64 or int32 indices, counted from a base. The
   caller has checked that every index is in range. Sums add in the order of the list, so they repeat. */
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "scalar.h"

static inline int64_t at(const void *idx, int wide, int64_t base, int64_t i) {
  return (wide ? ((const int64_t *)idx)[i] : ((const int32_t *)idx)[i]) - base;
}

static int within(int64_t n, const int64_t *idx, int64_t low, int64_t high) {
  int64_t least = high, most = low;
  for (int64_t i = 0; i < n; i++) {
    least = idx[i] < least ? idx[i] : least;
    most = idx[i] > most ? idx[i] : most;
  }
  return low <= high ? least >= low && most <= high : n == 0;
}

static void take_rows(int64_t n, const void *idx, int wide, int64_t base, size_t bytes, const void *src, int64_t src_ld,
                      void *dst, int64_t dst_ld) {
  const char *x = src;
  char *y = dst;
  for (int64_t i = 0; i < n; i++) memcpy(y + i * dst_ld, x + at(idx, wide, base, i) * src_ld, bytes);
}
static void put_rows(int64_t n, const void *idx, int wide, int64_t base, size_t bytes, const void *src, int64_t src_ld,
                     void *dst, int64_t dst_ld) {
  const char *x = src;
  char *y = dst;
  for (int64_t i = 0; i < n; i++) memcpy(y + at(idx, wide, base, i) * dst_ld, x + i * src_ld, bytes);
}

/* Four places are read before the next four are written: reads then need not wait for writes that may be to the same
   place. Dense lists along rows are a case of their own, which the compiler cuts out of the same loop. */
#define AT(i) (at(idx, wide, base, i) * unit + (i) * step)
#define ELEMENTS(D, SIZE)                                                                                           \
  NP_FN void gather_loop_##SIZE(int64_t n, const void *idx, int wide, int64_t base, const D *restrict x,            \
                                int64_t unit, int64_t step, D *restrict y, int64_t ys) {                            \
    int64_t i = 0;                                                                                                  \
    for (; i + 4 <= n; i += 4) {                                                                                    \
      D a = x[AT(i)], b = x[AT(i + 1)], c = x[AT(i + 2)], d = x[AT(i + 3)];                                         \
      y[i * ys] = a, y[(i + 1) * ys] = b, y[(i + 2) * ys] = c, y[(i + 3) * ys] = d;                                 \
    }                                                                                                               \
    for (; i < n; i++) y[i * ys] = x[AT(i)];                                                                        \
  }                                                                                                                 \
  static void gather_##SIZE(int64_t n, const void *idx, int wide, int64_t base, const D *x, int64_t unit,           \
                            int64_t step, D *y, int64_t ys) {                                                       \
    if (wide && ys == 1 && step == 0 && unit == 1) gather_loop_##SIZE(n, idx, 1, base, x, 1, 0, y, 1);              \
    else gather_loop_##SIZE(n, idx, wide, base, x, unit, step, y, ys);                                              \
  }                                                                                                                 \
  static void scatter_##SIZE(int64_t n, const void *idx, int wide, int64_t base, const D *restrict x, int64_t xs,   \
                             D *restrict y, int64_t unit, int64_t step) {                                           \
    for (int64_t i = 0; i < n; i++) y[AT(i)] = x[i * xs];                                                           \
  }
ELEMENTS(uint8_t, 1)
ELEMENTS(uint16_t, 2)
ELEMENTS(uint32_t, 4)
ELEMENTS(uint64_t, 8)

static void gather(int size, int64_t n, const void *idx, int wide, int64_t base, const void *src, int64_t unit,
                   int64_t step, void *dst, int64_t dst_stride) {
  switch (size) {
    case 1: gather_1(n, idx, wide, base, src, unit, step, dst, dst_stride); break;
    case 2: gather_2(n, idx, wide, base, src, unit, step, dst, dst_stride); break;
    case 4: gather_4(n, idx, wide, base, src, unit, step, dst, dst_stride); break;
    default: gather_8(n, idx, wide, base, src, unit, step, dst, dst_stride); break;
  }
}
static void scatter(int size, int64_t n, const void *idx, int wide, int64_t base, const void *src, int64_t src_stride,
                    void *dst, int64_t unit, int64_t step) {
  switch (size) {
    case 1: scatter_1(n, idx, wide, base, src, src_stride, dst, unit, step); break;
    case 2: scatter_2(n, idx, wide, base, src, src_stride, dst, unit, step); break;
    case 4: scatter_4(n, idx, wide, base, src, src_stride, dst, unit, step); break;
    default: scatter_8(n, idx, wide, base, src, src_stride, dst, unit, step); break;
  }
}

#define ROWS(T, S)                                                                                                  \
  static void add_rows_##S(int64_t n, const void *idx, int wide, int64_t base, int64_t k, const void *src,          \
                           int64_t src_ld, void *dst, int64_t dst_ld) {                                             \
    for (int64_t i = 0; i < n; i++) {                                                                               \
      const T *restrict x = (const T *)src + i * src_ld;                                                            \
      T *restrict y = (T *)dst + at(idx, wide, base, i) * dst_ld;                                                   \
      for (int64_t j = 0; j < k; j++) y[j] = np_add_##S(y[j], x[j]);                                                \
    }                                                                                                               \
  }
#define FOLD(T, S, OP, F)                                                                                           \
  NP_FN void fold_loop_##OP##_##S(int64_t n, const void *idx, int wide, int64_t base, const T *restrict x,          \
                                  int64_t xs, T *restrict y, int64_t unit, int64_t step) {                          \
    int64_t i = 0;                                                                                                  \
    for (; i + 4 <= n; i += 4) {                                                                                    \
      T *p = y + AT(i), *q = y + AT(i + 1), *r = y + AT(i + 2), *s = y + AT(i + 3);                                 \
      T a = x[i * xs], b = x[(i + 1) * xs], c = x[(i + 2) * xs], d = x[(i + 3) * xs];                               \
      *p = F(*p, a);                                                                                                \
      *q = F(*q, b);                                                                                                \
      *r = F(*r, c);                                                                                                \
      *s = F(*s, d);                                                                                                \
    }                                                                                                               \
    for (; i < n; i++) {                                                                                            \
      T *p = y + AT(i);                                                                                             \
      *p = F(*p, x[i * xs]);                                                                                        \
    }                                                                                                               \
  }                                                                                                                 \
  static void fold_##OP##_##S(int64_t n, const void *idx, int wide, int64_t base, const void *src, int64_t xs,      \
                              void *dst, int64_t unit, int64_t step) {                                              \
    if (wide && unit == 1 && step == 0 && xs == 1) fold_loop_##OP##_##S(n, idx, 1, base, src, 1, dst, 1, 0);        \
    else fold_loop_##OP##_##S(n, idx, wide, base, src, xs, dst, unit, step);                                        \
  }
#define SUMS(T, S)                                                                                                  \
  ROWS(T, S) FOLD(T, S, add, np_add_##S) FOLD(T, S, mul, np_mul_##S) FOLD(T, S, max, np_maximum_##S)                \
  FOLD(T, S, min, np_minimum_##S)
SUMS(float, f32)
SUMS(double, f64)
SUMS(int64_t, i64)
#define FOLDS(S) {fold_add_##S, fold_mul_##S, fold_max_##S, fold_min_##S}

const np_index NP_NAME(np_index_table) = {
    .within = within,
    .take_rows = take_rows,
    .put_rows = put_rows,
    .add_rows = {add_rows_f32, add_rows_f64, add_rows_i64},
    .gather = gather,
    .scatter = scatter,
    .scatter_fold = {FOLDS(f32), FOLDS(f64), FOLDS(i64)},
};
