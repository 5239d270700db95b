/* conv.inl: the loops of conv.h for one float type. Included by conv_f32_isa.c and conv_f64_isa.c with T and S defined.
   Sums stay in registers: M rows by V vectors of places forward, and for the weights' gradient Q taps by V vectors of
   channels. */
#include <string.h>

#include "conv.h"
#include "isa.h"

#define LANES ((int64_t)(NP_VEC_BYTES / sizeof(T)))
typedef T vec __attribute__((vector_size(NP_VEC_BYTES)));
#define INLINE static inline __attribute__((always_inline))
INLINE vec vec_load(const T *x) {
  vec v;
  memcpy(&v, x, sizeof v);
  return v;
}
INLINE void vec_store(T *x, vec v) { memcpy(x, &v, sizeof v); }

/* ---- y = b + sum of w x ---- */

/* Places p .. p + V vectors, of which the last `count` (at most a vector, V 1) or all are stored. */
INLINE void places(const int M, const int V, int64_t count, int64_t k, const T *restrict x, const int64_t *restrict at,
                   const T *restrict w, const T *restrict b, T *restrict y, int64_t ldy) {
  vec acc[8][8];
#pragma GCC unroll 8
  for (int i = 0; i < M; i++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) acc[i][v] = (vec){0} + (b ? b[i] : 0);
  for (int64_t q = 0; q < k; q++, w += M) {
    const T *z = x + at[q];
    vec u[8];
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) u[v] = vec_load(z + v * LANES);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++)
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) acc[i][v] += w[i] * u[v];
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; i++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) {
      if (V > 1 || count >= LANES) vec_store(y + i * ldy + v * LANES, acc[i][v]);
      else {
        T few[NP_VEC_BYTES / sizeof(T)];
        vec_store(few, acc[i][v]);
        for (int64_t j = 0; j < count; j++) y[i * ldy + j] = few[j];
      }
    }
}

#define ROWS(M, V)                                                                                                              \
  static void rows_##M(int64_t n, int64_t k, const T *x, const int64_t *at, const T *w, const T *b, T *y, int64_t ldy) {        \
    int64_t p = 0;                                                                                                              \
    for (; p + V * LANES <= n; p += V * LANES) places(M, V, LANES, k, x + p, at, w, b, y + p, ldy);                             \
    for (; p < n; p += LANES) places(M, 1, n - p, k, x + p, at, w, b, y + p, ldy);                                              \
  }
#if NP_VEC_BYTES == 64 /* 32 registers */
enum { MOST = 8 };
ROWS(8, 3)
ROWS(4, 6)
ROWS(2, 8)
ROWS(1, 8)
#else
enum { MOST = 4 };
ROWS(4, 3)
ROWS(2, 4)
ROWS(1, 6)
#endif

static void taps(int m, int64_t n, int64_t k, const void *x, const int64_t *at, const void *w, const void *b, void *y, int64_t ldy) {
  switch (m) {
#if NP_VEC_BYTES == 64
  case 8: rows_8(n, k, x, at, w, b, y, ldy); return;
#endif
  case 4: rows_4(n, k, x, at, w, b, y, ldy); return;
  case 2: rows_2(n, k, x, at, w, b, y, ldy); return;
  default: rows_1(n, k, x, at, w, b, y, ldy);
  }
}

/* ---- y += sum over places of g x ---- */

typedef struct grid {
  int64_t n[3], plane, pitch;
} grid;

INLINE void weights(const int Q, const int V, int64_t count, const T *restrict x, const int64_t *restrict at, const grid *s,
                    const T *restrict g, T *restrict y, int64_t ldy) {
  vec acc[8][3];
  int64_t to[8];
#pragma GCC unroll 8
  for (int q = 0; q < Q; q++) {
    to[q] = at[q < count ? q : count - 1];
#pragma GCC unroll 3
    for (int v = 0; v < V; v++) acc[q][v] = (vec){0};
  }
  for (int64_t d = 0; d < s->n[0]; d++)
    for (int64_t h = 0; h < s->n[1]; h++) {
      const T *z = x + d * s->plane + h * s->pitch;
      for (int64_t p = 0; p < s->n[2]; p++, g += ldy) {
        vec u[3];
#pragma GCC unroll 3
        for (int v = 0; v < V; v++) u[v] = vec_load(g + v * LANES);
#pragma GCC unroll 8
        for (int q = 0; q < Q; q++)
#pragma GCC unroll 3
          for (int v = 0; v < V; v++) acc[q][v] += z[to[q] + p] * u[v];
      }
    }
#pragma GCC unroll 8
  for (int q = 0; q < Q; q++)
    if (q < count)
#pragma GCC unroll 3
      for (int v = 0; v < V; v++) vec_store(y + q * ldy + v * LANES, vec_load(y + q * ldy + v * LANES) + acc[q][v]);
}

#define COLUMNS(V, Q)                                                                                                        \
  static void columns_##V(int64_t k, const T *x, const int64_t *at, const grid *s, const T *g, T *y, int64_t ldy) {          \
    for (int64_t q = 0; q < k; q += Q) weights(Q, V, k - q < Q ? k - q : Q, x, at + q, s, g, y + q * ldy, ldy);              \
  }
#if NP_VEC_BYTES == 64
COLUMNS(3, 8)
COLUMNS(2, 8)
#else
COLUMNS(3, 4)
COLUMNS(2, 4)
#endif
COLUMNS(1, 8)

static void taps_grad(int64_t m, int64_t k, const void *x, const int64_t *at, const int64_t shape[3], int64_t plane, int64_t pitch,
                      const void *vg, void *vy, int64_t ldy) {
  const grid s = {{shape[0], shape[1], shape[2]}, plane, pitch};
  const T *g = vg;
  T *y = vy;
  for (int64_t left = m / LANES; left > 0;) {
    const int64_t v = left == 4 ? 2 : left < 3 ? left : 3;
    (v == 3 ? columns_3 : v == 2 ? columns_2 : columns_1)(k, x, at, &s, g, y, ldy);
    g += v * LANES, y += v * LANES, left -= v;
  }
}

const np_conv NP_NAME(NP_CAT(np_conv_, S)) = {.lanes = LANES, .rows = MOST, .taps = taps, .taps_grad = taps_grad};
