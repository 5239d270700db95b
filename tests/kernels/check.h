/* check.h: what the kernel tests share: the tables that this cpu can run, numbers to feed them, and lines that say
   "ok NAME" or "not ok NAME". Each test compares a kernel with a naive twin, written as its definition, on every
   table. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static const int64_t sizes[] = {0, 1, 3, 7, 64, 1000, 1025};
enum { SIZES = sizeof sizes / sizeof *sizes, MOST = 1025 };

static int failures;
static const np_kernels *K; /* the table under test */

/* One line for a group of checks: the first thing wrong with it is shown. */
static int group_bad;
static char group_note[200];
#define EXPECT(condition, ...) \
  ((condition) || group_bad++ ? (void)0 : (void)snprintf(group_note, sizeof group_note, __VA_ARGS__))
static inline void done(const char *name) {
  if (group_bad)
    printf("not ok %s.%s: %s (%d in all)\n", K->name, name, group_note, group_bad), failures++;
  else
    printf("ok %s.%s\n", K->name, name);
  group_bad = 0;
}

static inline uint64_t next_random(void) {
  static uint64_t s = 88172645463325252u;
  s ^= s << 13, s ^= s >> 7, s ^= s << 17;
  return s;
}
static inline double between(double lo, double hi) {
  return lo + (hi - lo) * (double)(next_random() >> 11) * 0x1p-53;
}

/* Element i of a tile of compute type ct, as a double, and back. */
static inline double get(int ct, const void *x, int64_t i) {
  return ct == NP_CF32   ? (double)((const float *)x)[i]
         : ct == NP_CF64 ? ((const double *)x)[i]
                         : (double)((const int64_t *)x)[i];
}
static inline void set(int ct, void *x, int64_t i, double v) {
  if (ct == NP_CF32)
    ((float *)x)[i] = (float)v;
  else if (ct == NP_CF64)
    ((double *)x)[i] = v;
  else
    ((int64_t *)x)[i] = (int64_t)v;
}
static inline void fill_between(int ct, void *x, int64_t n, double lo, double hi) {
  for (int64_t i = 0; i < n; i++) set(ct, x, i, between(lo, hi));
}
static inline size_t width(int ct) {
  return ct == NP_CF32 ? 4 : 8;
}
static inline const char *ct_name(int ct) {
  return ct == NP_CF32 ? "f32" : ct == NP_CF64 ? "f64" : "i64";
}

static inline int same(double a, double b) {
  return a == b || (a != a && b != b);
}
/* Within a relative and absolute error; NaN and infinities must match. */
static inline int near(double a, double b, double tol) {
  return same(a, b) || fabs(a - b) <= tol * (1 + fabs(a < b || a != a ? b : a));
}

static inline int cpu_has(int level) {
#if defined(__x86_64__)
  if (level == NP_ISA_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (level == NP_ISA_AVX512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return level == NP_ISA_BASELINE;
}

/* Runs test() with K at each table that was built and that the cpu has. */
static inline int each_level(void (*test)(void)) {
  const np_kernels *last = NULL;
  for (int level = 0; level < NP_ISA_LEVELS; level++) {
    if (!cpu_has(level) || (K = np_kernels_pick(level)) == last) continue;
    test();
    last = K;
  }
  return failures != 0;
}

#endif
