/* lanes.h: vectors of one float type and the sums that all row kernels are built from. Included with T, its suffix
   S and BITS (an unsigned integer of T's size) defined, and NP_F32 when T is float. A sum keeps 4 vectors of
   lanes, and after 16 steps adds them to lanes of double, so a float32 sum errs by a few ulp however long it is,
   and always adds in the same order. */
#include <math.h>
#include <string.h>

#include "isa.h"
#include "scalar.h"

#define LANES ((int64_t)(NP_VEC_BYTES / sizeof(T)))
typedef T vec __attribute__((vector_size(NP_VEC_BYTES)));
typedef BITS bits __attribute__((vector_size(NP_VEC_BYTES)));
typedef double dvec __attribute__((vector_size(NP_VEC_BYTES)));
typedef T half __attribute__((vector_size(NP_VEC_BYTES / 2)));
typedef struct { dvec lo, hi; } wide; /* a double for every lane of vec; hi stays 0 when T is double */

NP_FN vec vec_load(const T *x) {
  vec v;
  memcpy(&v, x, sizeof v);
  return v;
}
NP_FN vec vec_abs(vec v) { return (vec)((bits)v & ((BITS)-1 >> 1)); }
/* x where it is greater or NaN, else m: a NaN, once in, stays. Lane by lane the greater one is a single instruction. */
NP_FN vec vec_max(vec x, vec m) {
  const bits nan = (bits)(x != x);
  vec y = m;
  for (int j = 0; j < (int)LANES; j++) y[j] = x[j] > m[j] ? x[j] : m[j];
  return (vec)(((bits)x & nan) | ((bits)y & ~nan));
}
NP_FN T vec_extreme(vec v) { /* of its lanes, by vec_max's rule: halves onto halves, each of a size known here */
  T d[NP_VEC_BYTES / sizeof(T)];
  memcpy(d, &v, sizeof v);
#define NP_HALVE(h)      \
  if (LANES >= 2 * (h))  \
    for (int j = 0; j < (h); j++) { \
      const T x = d[j + (h)], m = x > d[j] ? x : d[j]; \
      d[j] = x != x ? x : m; \
    }
  NP_HALVE(8)
  NP_HALVE(4)
  NP_HALVE(2)
  NP_HALVE(1)
#undef NP_HALVE
  return d[0];
}
#ifdef NP_F32
NP_FN void wide_add(wide *w, vec v) {
  half lo, hi;
  memcpy(&lo, &v, sizeof lo);
  memcpy(&hi, (const char *)&v + sizeof lo, sizeof hi);
  w->lo += __builtin_convertvector(lo, dvec);
  w->hi += __builtin_convertvector(hi, dvec);
}
#else
NP_FN void wide_add(wide *w, vec v) { w->lo += v; }
#endif
NP_FN double wide_total(wide w) { /* halves onto halves */
  double d[NP_VEC_BYTES / sizeof(double)];
  dvec v = w.lo + w.hi;
  memcpy(d, &v, sizeof v);
  for (size_t h = NP_VEC_BYTES / sizeof(double) / 2; h > 0; h /= 2)
    for (size_t j = 0; j < h; j++) d[j] += d[j + h];
  return d[0];
}

/* `result` (double) = sum over i < n of a term: `vector` is the term as an expression of the offset o (LANES elements),
   `single` that of one element o. */
#define LANE_SUM(result, n, vector, single)                                                                         \
  do {                                                                                                              \
    wide lane_total = {{0}, {0}};                                                                                   \
    int64_t o = 0, lane_n = (n);                                                                                    \
    while (lane_n - o >= 4 * LANES) {                                                                               \
      int64_t lane_steps = (lane_n - o) / (4 * LANES);                                                              \
      vec lane_a = {0}, lane_b = {0}, lane_c = {0}, lane_d = {0};                                                   \
      for (lane_steps = lane_steps < 16 ? lane_steps : 16; lane_steps; lane_steps--) {                              \
        lane_a += (vector), o += LANES;                                                                             \
        lane_b += (vector), o += LANES;                                                                             \
        lane_c += (vector), o += LANES;                                                                             \
        lane_d += (vector), o += LANES;                                                                             \
      }                                                                                                             \
      wide_add(&lane_total, (lane_a + lane_b) + (lane_c + lane_d));                                                 \
    }                                                                                                               \
    vec lane_rest = {0};                                                                                            \
    for (; lane_n - o >= LANES; o += LANES) lane_rest += (vector);                                                  \
    double lane_tail = 0, lane_odd = 0; /* in two chains */                                                         \
    for (; lane_n - o >= 2;) {                                                                                      \
      lane_tail += (double)(single), o++;                                                                           \
      lane_odd += (double)(single), o++;                                                                            \
    }                                                                                                               \
    for (; o < lane_n; o++) lane_tail += (double)(single);                                                          \
    wide_add(&lane_total, lane_rest);                                                                               \
    (result) = wide_total(lane_total) + (lane_tail + lane_odd);                                                     \
  } while (0)

/* `result` (T) = the extreme of the terms: the greatest, or the first NaN's like. init is what n == 0 gives. */
#define LANE_MAX(result, n, init, vector, single)                                                                   \
  do {                                                                                                              \
    int64_t o = 0, lane_n = (n);                                                                                    \
    T lane_max = (init);                                                                                            \
    if (lane_n >= LANES) {                                                                                          \
      vec lane_a = (vec){0} + lane_max, lane_b = lane_a, lane_c = lane_a, lane_d = lane_a;                          \
      for (; lane_n - o >= 4 * LANES;) {                                                                            \
        lane_a = vec_max((vector), lane_a), o += LANES;                                                             \
        lane_b = vec_max((vector), lane_b), o += LANES;                                                             \
        lane_c = vec_max((vector), lane_c), o += LANES;                                                             \
        lane_d = vec_max((vector), lane_d), o += LANES;                                                             \
      }                                                                                                             \
      for (; lane_n - o >= LANES; o += LANES) lane_a = vec_max((vector), lane_a);                                   \
      if (o < lane_n) o = lane_n - LANES, lane_b = vec_max((vector), lane_b), o = lane_n; /* some once more */       \
      lane_a = vec_max(vec_max(lane_a, lane_b), vec_max(lane_c, lane_d));                                           \
      lane_max = vec_extreme(lane_a);                                                                               \
    }                                                                                                               \
    for (; o < lane_n; o++) {                                                                                       \
      T lane_x = (single);                                                                                          \
      lane_max = lane_x > lane_max || lane_x != lane_x ? lane_x : lane_max;                                         \
    }                                                                                                               \
    (result) = lane_max;                                                                                            \
  } while (0)
