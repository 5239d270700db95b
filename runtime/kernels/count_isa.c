/* count_isa.c: values counted in bins, looked up in sorted lists, and numbered by groups of equal ones. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"

/* How many of s[0..m) come before v, without a branch that the processor would have to guess. BEFORE(e): e does. */
#define SEARCH(T, name, BEFORE)                               \
  NP_FN int64_t name(const T *s, int64_t m, T v) {            \
    const T *p = s;                                           \
    if (m == 0) return 0;                                     \
    for (int64_t n = m; n > 1;) {                             \
      const int64_t half = n / 2;                             \
      p += BEFORE(p[half - 1]) ? half : 0;                    \
      n -= half;                                              \
    }                                                         \
    return p - s + (BEFORE(*p) ? 1 : 0);                      \
  }
#define LESS(e) (!((e) >= v))
#define NOT_ABOVE(e) (!((e) > v))

#define SEARCHES(T, S)                                                                                              \
  SEARCH(T, lower_##S, LESS)                                                                                        \
  SEARCH(T, upper_##S, NOT_ABOVE)                                                                                   \
  static void search_##S(int64_t n, const void *values, int64_t m, const void *list, int right, int64_t base,      \
                         int64_t *at) {                                                                             \
    const T *v = values, *s = list;                                                                                 \
    if (right)                                                                                                      \
      for (int64_t i = 0; i < n; i++) at[i] = base + upper_##S(s, m, v[i]);                                         \
    else                                                                                                            \
      for (int64_t i = 0; i < n; i++) at[i] = base + lower_##S(s, m, v[i]);                                         \
  }                                                                                                                 \
  static void among_##S(int64_t n, const void *values, int64_t m, const void *list, int invert, uint8_t *yes) {     \
    const T *v = values, *s = list;                                                                                 \
    while (m > 0 && s[m - 1] != s[m - 1]) m--;                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                               \
      const int64_t k = lower_##S(s, m, v[i]);                                                                      \
      yes[i] = (uint8_t)((k < m && s[k] == v[i]) != invert);                                                        \
    }                                                                                                               \
  }                                                                                                                 \
  static int64_t groups_##S(int64_t n, const void *in, const uint64_t *entry, int64_t *group) {                     \
    const T *x = in;                                                                                                \
    int64_t k = -1;                                                                                                 \
    T last = 0;                                                                                                     \
    for (int64_t i = 0; i < n; i++) {                                                                               \
      const T v = x[entry ? (int64_t)(uint32_t)entry[i] : i];                                                       \
      k += i == 0 || v != last;                                                                                     \
      group[i] = k;                                                                                                 \
      last = v;                                                                                                     \
    }                                                                                                               \
    return k + 1;                                                                                                   \
  }
SEARCHES(float, f32)
SEARCHES(double, f64)
SEARCHES(int64_t, i64)

#define BINS(T, S)                                                                                                  \
  static void bins_##S(int64_t n, const void *in, const void *weight, int64_t bins, double lo, double hi,          \
                       const void *list, int even, double *counts) {                                                \
    const T *x = in, *w = weight, *edge = list, first = (T)lo, last = (T)hi;                                        \
    for (int64_t i = 0; i < n; i++) {                                                                               \
      const T v = x[i];                                                                                             \
      int64_t b, from = 0, to = bins + 1;                                                                           \
      if (!(v >= first && v <= last)) continue;                                                                     \
      if (even || !edge) b = (int64_t)((v - first) / (last - first) * (T)bins);                                     \
      else b = 0;                                                                                                   \
      if (edge) {                                                                                                   \
        if (even) from = b > 0 ? b - 1 : 0, to = b + 2 < to ? b + 2 : to;                                           \
        b = from + upper_##S(edge + from, to - from, v) - 1;                                                        \
      }                                                                                                             \
      b = b >= bins ? bins - 1 : b < 0 ? 0 : b;                                                                     \
      counts[b] += w ? (double)w[i] : 1;                                                                            \
    }                                                                                                               \
  }
BINS(float, f32)
BINS(double, f64)

extern const np_count NP_NAME(np_count_table);
const np_count NP_NAME(np_count_table) = {
    .bins = {bins_f32, bins_f64},
    .search = {search_f32, search_f64, search_i64},
    .among = {among_f32, among_f64, among_i64},
    .groups = {groups_f32, groups_f64, groups_i64},
};
