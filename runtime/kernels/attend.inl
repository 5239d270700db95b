/* attend.inl: the kernels of attention for one float type. Included by attend_f32_isa.c and attend_f64_isa.c with T, S
   and BITS defined. The products have a register tile of HIGH rows and two vectors; their left operand is read element by
   element through any two strides, the right one by whole vectors, so that nothing has to be packed but keys. */
#include "kernels.h"
#include "attend.h"
#include "lanes.h"
#include "scalar.h"
#include "turn.h"

#if NP_VEC_BYTES == 64
#define HIGH 12
#elif NP_VEC_BYTES == 32
#define HIGH 6
#else
#define HIGH 4
#endif
#define WIDE (2 * LANES)
#define F_(name) NP_CAT(np_##name##_, S)
#define INLINE static inline __attribute__((always_inline))
INLINE void vec_store(T *x, vec v) { memcpy(x, &v, sizeof v); }

/* ---- products ---- */

/* R rows and V vectors of c = alpha a b, or c + a b. Three rows share a pointer, so that strides need few registers. */
INLINE void tile(const int R, const int V, const int adds, int64_t k, T alpha, const T *a, int64_t ai, int64_t ap,
                 const T *b, int64_t b_ld, T *c, int64_t c_ld) {
  vec acc[HIGH][2];
  const T *row[(HIGH + 2) / 3];
#pragma GCC unroll 4
  for (int i = 0; i < (R + 2) / 3; i++) row[i] = a + 3 * i * ai;
#pragma GCC unroll 16
  for (int i = 0; i < R; i++)
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[i][v] = adds ? vec_load(c + i * c_ld + v * LANES) : (vec){0};
  for (int64_t p = 0; p < k; p++, b += b_ld) {
    vec x[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) x[v] = vec_load(b + v * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) acc[i][v] += row[i / 3][i % 3 * ai] * x[v];
#pragma GCC unroll 4
    for (int i = 0; i < (R + 2) / 3; i++) row[i] += ap;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; i++)
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) vec_store(c + i * c_ld + v * LANES, adds ? acc[i][v] : alpha * acc[i][v]);
}

typedef void (*kernel)(int64_t k, T alpha, const T *a, int64_t ai, int64_t ap, const T *b, int64_t b_ld, T *c, int64_t c_ld);
#define KERNEL(name, R, V, adds)                                                                                      \
  static void name##_##R##_##V(int64_t k, T alpha, const T *a, int64_t ai, int64_t ap, const T *b, int64_t b_ld, T *c, \
                               int64_t c_ld) {                                                                        \
    tile(R, V, adds, k, alpha, a, ai, ap, b, b_ld, c, c_ld);                                                          \
  }
#define KERNELS(R) KERNEL(make, R, 2, 0) KERNEL(more, R, 1, 1) KERNEL(more, R, 2, 1)
#define MAKE(R) make_##R##_2
#define MORE(R) {more_##R##_1, more_##R##_2}
KERNELS(1) KERNELS(2) KERNELS(3) KERNELS(4)
#if HIGH == 4
static const kernel makes[HIGH] = {MAKE(1), MAKE(2), MAKE(3), MAKE(4)};
static const kernel mores[HIGH][2] = {MORE(1), MORE(2), MORE(3), MORE(4)};
#else
KERNELS(5) KERNELS(6)
#if HIGH == 6
static const kernel makes[HIGH] = {MAKE(1), MAKE(2), MAKE(3), MAKE(4), MAKE(5), MAKE(6)};
static const kernel mores[HIGH][2] = {MORE(1), MORE(2), MORE(3), MORE(4), MORE(5), MORE(6)};
#else
KERNELS(7) KERNELS(8) KERNELS(9) KERNELS(10) KERNELS(11) KERNELS(12)
static const kernel makes[HIGH] = {MAKE(1), MAKE(2), MAKE(3), MAKE(4), MAKE(5), MAKE(6), MAKE(7), MAKE(8), MAKE(9),
                                   MAKE(10), MAKE(11), MAKE(12)};
static const kernel mores[HIGH][2] = {MORE(1), MORE(2), MORE(3), MORE(4), MORE(5), MORE(6), MORE(7), MORE(8), MORE(9),
                                      MORE(10), MORE(11), MORE(12)};
#endif
#endif

static void turn(int64_t n, int64_t k, const void *from, int64_t ld, void *to) {
  enum { SIDE = NP_TURN(T) };
  const T *x = from;
  T *panel = to;
  for (int64_t j0 = 0; j0 < n; j0 += WIDE, panel += WIDE * k) {
    const int64_t m = n - j0 < WIDE ? n - j0 : WIDE, whole = k / SIDE * SIDE;
    if (m < WIDE) memset(panel, 0, (size_t)(WIDE * k) * sizeof(T));
    for (int64_t j = 0; j < m; j += SIDE) {
      const int64_t q = m - j < SIDE ? m - j : SIDE;
      const T *rows = x + (j0 + j) * ld;
      int64_t p = 0;
      if (q == SIDE)
        for (; p < whole; p += SIDE) {
          const void *row[SIDE];
          for (int i = 0; i < SIDE; i++) row[i] = rows + i * ld;
          NP_CAT(np_turn_, S)(row, p, panel + p * WIDE + j, WIDE);
        }
      for (; p < k; p++)
        for (int64_t i = 0; i < q; i++) panel[p * WIDE + j + i] = rows[i * ld + p];
    }
  }
}

static void scores(int64_t m, int64_t n, int64_t k, double scale, const void *x, int64_t ld, const void *panels, void *s,
                   int64_t s_ld) {
  for (int64_t j = 0; j < n; j += WIDE)
    for (int64_t i = 0; i < m; i += HIGH)
      makes[(m - i < HIGH ? m - i : HIGH) - 1](k, (T)scale, (const T *)x + i * ld, ld, 1, (const T *)panels + j * k, WIDE,
                                               (T *)s + i * s_ld + j, s_ld);
}

static void add(int64_t m, int64_t n, int64_t k, const void *a, int64_t ai, int64_t ap, const void *b, int64_t b_ld,
                void *c, int64_t c_ld) {
  for (int64_t j = 0; j < n; j += WIDE)
    for (int64_t i = 0; i < m; i += HIGH)
      mores[(m - i < HIGH ? m - i : HIGH) - 1][n - j >= WIDE](k, 1, (const T *)a + i * ai, ai, ap, (const T *)b + j, b_ld,
                                                            (T *)c + i * c_ld + j, c_ld);
}

/* ---- rows ---- */

/* e^x for x <= 0, give or take a rounding: no more than a relative 2^-22 (float) off, 0 where float32 has no normal number. */
#ifdef NP_F32
NP_FN T soft_exp(T x) {
  int32_t n;
  const T v = x < -87 ? -87 : x, r = np_exp_reduce_f32(v, &n), y = (1 + np_exp_core_f32(r)) * np_from_f32((uint32_t)(n + 127) << 23);
  return x < -87 ? 0 : y;
}
#else
NP_FN T soft_exp(T x) { return np_exp_f64(x); }
#endif

static void hide(int64_t n, const void *keep, void *scores) {
  const T *m = keep;
  T *s = scores;
  for (int64_t i = 0; i < n; i++) s[i] = m[i] == 0 ? -(T)INFINITY : s[i];
}

static double soften(int64_t n, void *scores, double *peak, double *sum) {
  T *s = scores, old = (T)*peak, m;
  double total;
  LANE_MAX(m, n, old, vec_load(s + o), s[o]);
  if (m == -(T)INFINITY) {
    memset(s, 0, (size_t)n * sizeof(T));
    return 1;
  }
  NP_IVDEP for (int64_t i = 0; i < n; i++) s[i] = soft_exp(s[i] - m);
  LANE_SUM(total, n, vec_load(s + o), s[o]);
  const T c = m == old ? 1 : soft_exp(old - m);
  *peak = (double)m;
  *sum = *sum * (double)c + total;
  return (double)c;
}

static void weights(int64_t n, void *scores, double l) {
  T *s = scores;
  const T m = (T)l;
  if (m == (T)INFINITY) {
    memset(s, 0, (size_t)n * sizeof(T));
    return;
  }
  NP_IVDEP for (int64_t i = 0; i < n; i++) s[i] = soft_exp(s[i] - m);
}

static void slopes(int64_t n, const void *weight, double d, void *gradient) {
  const T *p = weight, e = (T)d;
  T *g = gradient;
  for (int64_t i = 0; i < n; i++) g[i] = p[i] * (g[i] - e);
}

static void scale(int64_t n, double a, void *values) {
  T *x = values;
  const T b = (T)a;
  for (int64_t i = 0; i < n; i++) x[i] *= b;
}

static void rotate(int64_t n, const void *from, const void *cosine, const void *sine, int halves, void *to) {
  const T *restrict x = from, *restrict u = cosine, *restrict v = sine;
  T *restrict y = to;
  if (halves)
    for (int64_t i = 0; i < n; i++) {
      y[i] = x[i] * u[i] - x[n + i] * v[i];
      y[n + i] = x[n + i] * u[i] + x[i] * v[i];
    }
  else
    for (int64_t i = 0; i < n; i++) {
      y[2 * i] = x[2 * i] * u[i] - x[2 * i + 1] * v[i];
      y[2 * i + 1] = x[2 * i + 1] * u[i] + x[2 * i] * v[i];
    }
}

const np_attend NP_NAME(NP_CAT(np_attend_, S)) = {.lanes = LANES, .high = HIGH, .wide = WIDE, .turn = turn, .scores = scores,
    .add = add, .hide = hide, .soften = soften, .weights = weights, .slopes = slopes, .scale = scale, .rotate = rotate};
