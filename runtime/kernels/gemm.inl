/* gemm.inl: products of matrices of one float type. Included by gemm_f32_isa.c and gemm_f64_isa.c with T and S
   defined. As in Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): op(B) is
   packed in panels NR wide and op(A) in panels MR high, KC deep, and a register kernel makes an R x (V vectors)
   tile of C from a panel of each. A small product reads B where it is; one row or column has loops of its own. The
   order in which an element's k products are added depends on the sizes alone. The cutting of large products among
   threads belongs to the caller. */
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "turn.h"

#define LANES ((int64_t)(NP_VEC_BYTES / sizeof(T)))
#if NP_VEC_BYTES == 64
#define MR 12
#elif NP_VEC_BYTES == 32
#define MR 6
#else
#define MR 4
#endif
#define NR (2 * LANES)
#define KC ((int64_t)(1024 / sizeof(T)))
#define MC ((int64_t)(20 * MR * 4 / sizeof(T)))
#define NC ((int64_t)2048)
enum { FEW = 6, NEAR_M = 48, NEAR_MNK = 16384 }; /* up to there rows of dots, B and A where they are, beat packing */

#define QUAD ((int64_t)(16 / sizeof(T)))

typedef T vec __attribute__((vector_size(NP_VEC_BYTES)));
#define INLINE static inline __attribute__((always_inline))
INLINE vec vec_load(const T *x) { vec v; memcpy(&v, x, sizeof v); return v; }
INLINE void vec_store(T *x, vec v) { memcpy(x, &v, sizeof v); }
typedef T vec16 __attribute__((vector_size(16)));
/* The lanes of a stored vector: quarters of registers onto each other, then one after another. */
INLINE T lane_sum(const T *v) {
  vec16 s = {0}, u;
  T y = 0;
#pragma GCC unroll 4
  for (int i = 0; i < NP_VEC_BYTES / 16; i++) memcpy(&u, v + i * QUAD, 16), s += u;
  for (int64_t i = 0; i < QUAD; i++) y += s[i];
  return y;
}
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t round_up(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

/* ---- the register kernel ---- */

/* c (rows, cols) = x + beta c, for tiles at the edge or on their side. */
static __attribute__((noinline)) void put(int64_t rows, int64_t cols, const T *restrict x, int64_t ld, T beta,
                                          T *restrict c, int64_t ci, int64_t cj) {
  for (int64_t i = 0; i < rows; i++) {
    int64_t j = 0;
    if (cj == 1)
      for (; j + QUAD <= cols; j += QUAD) {
        vec16 u, v = {0};
        memcpy(&u, x + i * ld + j, 16);
        if (beta != 0) memcpy(&v, c + i * ci + j, 16), u += beta * v;
        memcpy(c + i * ci + j, &u, 16);
      }
    for (; j < cols; j++) {
      T *y = c + i * ci + j * cj;
      *y = beta == 0 ? x[i * ld + j] : x[i * ld + j] + beta * *y;
    }
  }
}

/* c (R, cols) = alpha a b + beta c: a[i*ai + p*ap] is (R, k), b has k rows ldb apart; cols <= V vectors, all
   readable. */
INLINE void tile(const int R, const int V, int64_t k, const T *restrict a, int64_t ai, int64_t ap, const T *restrict b,
                 int64_t ldb, T alpha, T beta, T *restrict c, int64_t ci, int64_t cj, int64_t cols) {
  vec acc[MR][2];
#pragma GCC unroll 16
  for (int i = 0; i < R; i++)
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[i][v] = (vec){0};
  for (int64_t p = 0; p < k; p++, a += ap, b += ldb) {
    vec x[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) x[v] = vec_load(b + v * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) acc[i][v] += a[i * ai] * x[v];
  }
  if (cols == V * LANES && cj == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        T *y = c + i * ci + v * LANES;
        vec_store(y, beta == 0 ? alpha * acc[i][v] : alpha * acc[i][v] + beta * vec_load(y));
      }
  } else {
    T full[MR * 2 * NP_VEC_BYTES / sizeof(T)];
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) vec_store(full + (i * V + v) * LANES, alpha * acc[i][v]);
    put(R, cols, full, V * LANES, beta, c, ci, cj);
  }
}

/* tile_R_V reads a packed panel of A (ai = 1, ap = MR), near_R_V the matrix itself. */
typedef void (*kernel)(int64_t k, const T *a, int64_t ai, int64_t ap, const T *b, int64_t ldb, T alpha, T beta, T *c,
                       int64_t ci, int64_t cj, int64_t cols);
#define KERNEL(name, R, V, AI, AP)                                                                               \
  static void name##_##R##_##V(int64_t k, const T *a, int64_t ai, int64_t ap, const T *b, int64_t ldb, T alpha,  \
                               T beta, T *c, int64_t ci, int64_t cj, int64_t cols) {                             \
    (void)ai, (void)ap;                                                                                          \
    tile(R, V, k, a, AI, AP, b, ldb, alpha, beta, c, ci, cj, cols);                                              \
  }
#define TILE(R) KERNEL(tile, R, 1, 1, MR) KERNEL(tile, R, 2, 1, MR)
#define NEAR(R) KERNEL(near, R, 1, ai, ap) KERNEL(near, R, 2, ai, ap)
#define PAIR(name, R) {name##_##R##_1, name##_##R##_2}
NEAR(1) NEAR(2) NEAR(3) NEAR(4)
static const kernel nears[4][2] = {PAIR(near, 1), PAIR(near, 2), PAIR(near, 3), PAIR(near, 4)};
TILE(1) TILE(2) TILE(3) TILE(4)
#if MR > 4
TILE(5) TILE(6)
#endif
#if MR > 6
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
static const kernel tiles[MR][2] = {PAIR(tile, 1), PAIR(tile, 2), PAIR(tile, 3), PAIR(tile, 4),
#if MR > 4
                                    PAIR(tile, 5), PAIR(tile, 6),
#endif
#if MR > 6
                                    PAIR(tile, 7), PAIR(tile, 8), PAIR(tile, 9), PAIR(tile, 10), PAIR(tile, 11),
                                    PAIR(tile, 12)
#endif
};

/* ---- packing ---- */

/* dst[p*width + i] = src[i*si + p*sp] for i < count <= width, p < k; what stands beyond count is never used. One
   of si, sp is 1. Writes up to 32 bytes past the panel: panels are packed in ascending order, and scratch has room
   at its end. */
static void pack(int64_t width, int64_t count, int64_t k, const T *restrict src, int64_t si, int64_t sp,
                 T *restrict dst) {
  if (si == 1) {
    if (count == NR) {
      for (int64_t p = 0; p < k; p++) memcpy(dst + p * width, src + p * sp, (size_t)NR * sizeof(T));
    } else if (count == MR) {
      for (int64_t p = 0; p < k; p++) memcpy(dst + p * width, src + p * sp, MR * sizeof(T));
    } else {
      for (int64_t p = 0; p < k; p++) {
        int64_t i = 0;
        for (; i + QUAD <= count; i += QUAD) memcpy(dst + p * width + i, src + p * sp + i, 16);
        for (; i < count; i++) dst[p * width + i] = src[p * sp + i];
      }
    }
    return;
  }
  /* Squares that stick out to the right spoil what comes after them in memory: so squares go from right to left. */
  enum { SIDE = NP_TURN(T) };
  int64_t p = 0;
  for (; p + SIDE <= k; p += SIDE)
    for (int64_t i = (count - 1) / SIDE * SIDE; i >= 0; i -= SIDE) {
      const void *row[SIDE];
      for (int q = 0; q < SIDE; q++) row[q] = src + smaller(i + q, count - 1) * si;
      NP_CAT(np_turn_, S)(row, p, dst + p * width + i, width);
    }
  for (; p < k; p++)
    for (int64_t i = 0; i < count; i++) dst[p * width + i] = src[i * si + p];
}

/* ---- one row or column ---- */

/* c[i*ci + j*cj] = alpha (row i of a) . (row j of b) + beta c for M rows of a and N of b, M N = 8, of which m and n
   count. */
INLINE void dots(const int M, const int N, int64_t m, int64_t n, int64_t k, T alpha, const T *a, int64_t lda,
                 const T *b, int64_t ldb, T beta, T *c, int64_t ci, int64_t cj) {
  const T *x[2], *z[8];
  T lanes[8][NP_VEC_BYTES / sizeof(T)];
  vec s[2][8];
#pragma GCC unroll 8
  for (int i = 0; i < M; i++) x[i] = a + smaller(i, m - 1) * lda;
#pragma GCC unroll 8
  for (int j = 0; j < N; j++) z[j] = b + smaller(j, n - 1) * ldb;
#pragma GCC unroll 8
  for (int i = 0; i < M; i++)
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) s[i][j] = (vec){0};
  int64_t p = 0;
  for (; p + LANES <= k; p += LANES) {
    vec u[2];
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) u[i] = vec_load(x[i] + p);
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) {
      const vec v = vec_load(z[j] + p);
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) s[i][j] += u[i] * v;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; i++)
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) vec_store(lanes[i * N + j], s[i][j]);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      T *y = c + i * ci + j * cj, v = lane_sum(lanes[i * N + j]);
      for (int64_t q = p; q < k; q++) v += x[i][q] * z[j][q];
      v *= alpha;
      *y = beta == 0 ? v : v + beta * *y;
    }
}

/* y[j*ys] = alpha x . (row j of a) + beta y; rows and x contiguous. */
static void rows_times(int64_t rows, int64_t k, T alpha, const T *a, int64_t lda, const T *x, T beta, T *y,
                       int64_t ys) {
  for (int64_t j = 0; j < rows; j += 8)
    dots(1, 8, 1, smaller(8, rows - j), k, alpha, x, 0, a + j * lda, lda, beta, y + j * ys, 0, ys);
}

/* C = alpha A B^T + beta C for few rows of A. */
static void few_rows(int64_t m, int64_t n, int64_t k, T alpha, const T *a, int64_t lda, const T *b, int64_t ldb, T beta,
                     T *c, int64_t ci, int64_t cj) {
  for (int64_t j = 0; j < n; j += 4)
    for (int64_t i = 0; i < m; i += 2)
      dots(2, 4, smaller(2, m - i), smaller(4, n - j), k, alpha, a + i * lda, lda, b + j * ldb, ldb, beta,
           c + i * ci + j * cj, ci, cj);
}

/* y[j*ys] = alpha sum_p x[p*xs] a[p*lda + j] + beta y, j < cols, for long rows: eight at a time are read from end to end, and the sums so far stay in cache. */
enum { SPAN = 1024 };
static void times_long_rows(int64_t cols, int64_t k, T alpha, const T *a, int64_t lda, const T *x, int64_t xs, T beta,
                            T *y, int64_t ys) {
  T sums[SPAN];
  for (int64_t first = 0; first < cols; first += SPAN) {
    const int64_t n = smaller(SPAN, cols - first), whole = n / LANES * LANES;
    int64_t p = 0;
    memset(sums, 0, sizeof sums);
    for (; p + 8 <= k; p += 8) {
      const T *b = a + p * lda + first;
      T w[8];
      for (int q = 0; q < 8; q++) w[q] = x[(p + q) * xs];
      for (int64_t j = 0; j < whole; j += LANES) {
        vec s = vec_load(sums + j), t = w[1] * vec_load(b + lda + j);
        s += w[0] * vec_load(b + j);
#pragma GCC unroll 3
        for (int q = 2; q < 8; q += 2) s += w[q] * vec_load(b + q * lda + j), t += w[q + 1] * vec_load(b + (q + 1) * lda + j);
        vec_store(sums + j, s + t);
      }
      for (int64_t j = whole; j < n; j++)
        for (int q = 0; q < 8; q++) sums[j] += w[q] * b[q * lda + j];
    }
    for (; p < k; p++)
      for (int64_t j = 0; j < n; j++) sums[j] += x[p * xs] * a[p * lda + first + j];
    for (int64_t j = 0; j < n; j++) {
      T *c = y + (first + j) * ys;
      *c = beta == 0 ? alpha * sums[j] : alpha * sums[j] + beta * *c;
    }
  }
}

/* The same for short rows: the sums of four vectors of columns stay in registers. */
static void times_short_rows(int64_t cols, int64_t k, T alpha, const T *a, int64_t lda, const T *x, int64_t xs, T beta, T *y,
                       int64_t ys) {
  T out[4 * NP_VEC_BYTES / sizeof(T)];
  for (int64_t j = 0; j < cols;) {
    int64_t m = 4 * LANES;
    const T *b = a + j;
    if (cols - j >= m) {
      vec s[4] = {{0}, {0}, {0}, {0}};
      for (int64_t p = 0; p < k; p++)
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) s[q] += x[p * xs] * vec_load(b + p * lda + q * LANES);
      for (int q = 0; q < 4; q++) vec_store(out + q * LANES, s[q]);
    } else if (cols - j >= LANES) {
      m = LANES;
      vec s = {0}, t = {0};
      int64_t p = 0;
      for (; p + 2 <= k; p += 2)
        s += x[p * xs] * vec_load(b + p * lda), t += x[(p + 1) * xs] * vec_load(b + (p + 1) * lda);
      if (p < k) s += x[p * xs] * vec_load(b + p * lda);
      vec_store(out, s + t);
    } else {
      m = cols - j;
      for (int64_t q = 0; q < m; q++) out[q] = 0;
      for (int64_t p = 0; p < k; p++)
        for (int64_t q = 0; q < m; q++) out[q] += x[p * xs] * b[p * lda + q];
    }
    for (int64_t q = 0; q < m; q++) {
      T *c = y + (j + q) * ys;
      *c = beta == 0 ? alpha * out[q] : alpha * out[q] + beta * *c;
    }
    j += m;
  }
}

/* y = alpha op(a) x + beta y: op(a) is (rows, k), `across` when a itself is (k, rows). */
static void vector_product(int across, int64_t rows, int64_t k, T alpha, const T *a, int64_t lda, const T *x,
                           int64_t xs, T beta, T *y, int64_t ys, T *scratch) {
  if (across) {
    (rows < SPAN / 2 ? times_short_rows : times_long_rows)(rows, k, alpha, a, lda, x, xs, beta, y, ys);
    return;
  }
  if (xs != 1) {
    for (int64_t p = 0; p < k; p++) scratch[p] = x[p * xs];
    x = scratch;
  }
  rows_times(rows, k, alpha, a, lda, x, beta, y, ys);
}

/* ---- the product ---- */

static void scale(int64_t m, int64_t n, T beta, T *c, int64_t ldc) {
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

/* c[i*ci + j*cj] = alpha sum_p a[i*ai + p*ap] b[p*bp + j*bj] + beta c; one of ai, ap and one of bp, bj is 1. */
static void product(int64_t m, int64_t n, int64_t k, T alpha, const T *a, int64_t ai, int64_t ap, const T *b,
                    int64_t bp, int64_t bj, T beta0, T *c, int64_t ci, int64_t cj, T *scratch) {
  const int near_b = bj == 1 && m <= NEAR_M, near_a = m * n * k <= NEAR_MNK;
  const int64_t height = near_a ? 4 : MR;
  for (int64_t jc = 0; jc < n; jc += NC) {
    const int64_t nc = smaller(NC, n - jc);
    for (int64_t pc = 0; pc < k; pc += KC) {
      const int64_t kc = smaller(KC, k - pc);
      const T beta = pc == 0 ? beta0 : 1, *right = b + pc * bp + jc * bj;
      T *pb = scratch, *pa = pb + round_up(nc, NR) * kc;
      for (int64_t j = 0; j < nc; j += NR)
        if (!near_b || nc - j < NR) pack(NR, smaller(NR, nc - j), kc, right + j * bj, bj, bp, pb + j * kc);
      for (int64_t ic = 0; ic < m; ic += MC) {
        const int64_t mc = smaller(MC, m - ic);
        const T *left = a + ic * ai + pc * ap;
        if (!near_a)
          for (int64_t i = 0; i < mc; i += MR) pack(MR, smaller(MR, mc - i), kc, left + i * ai, ai, ap, pa + i * kc);
        for (int64_t j = 0; j < nc; j += NR) {
          const int64_t cols = smaller(NR, nc - j);
          const int here = near_b && cols == NR;
          const T *panel = here ? right + j : pb + j * kc;
          for (int64_t i = 0; i < mc; i += height) {
            const int64_t last = smaller(height, mc - i) - 1;
            const kernel f = near_a ? nears[last][cols > LANES] : tiles[last][cols > LANES];
            f(kc, near_a ? left + i * ai : pa + i * kc, ai, ap, panel, here ? bp : NR, alpha, beta,
              c + (ic + i) * ci + (jc + j) * cj, ci, cj, cols);
          }
        }
      }
    }
  }
}

/* Room for either order of the operands. */
size_t NP_NAME(NP_CAT(np_gemm_scratch_, S))(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = smaller(k, KC), u = m > n ? m : n;
  const int64_t packed = (round_up(smaller(u, MC), MR) + round_up(smaller(u, NC), NR)) * depth;
  return (size_t)round_up((packed > k ? packed : k) * (int64_t)sizeof(T), 64) + 64;
}

void NP_NAME(NP_CAT(np_gemm_, S))(int ta, int tb, int64_t m, int64_t n, int64_t k, double al, const void *va,
                                  int64_t lda, const void *vb, int64_t ldb, double be, void *vc, int64_t ldc,
                                  void *scratch) {
  const T alpha = (T)al, beta = (T)be, *a = va, *b = vb;
  T *c = vc;
  if (m == 0 || n == 0) return;
  if (k == 0 || al == 0) {
    scale(m, n, beta, c, ldc);
  } else if (n == 1) {
    vector_product(ta, m, k, alpha, a, lda, b, tb ? 1 : ldb, beta, c, ldc, scratch);
  } else if (m == 1) {
    vector_product(!tb, n, k, alpha, b, ldb, a, ta ? lda : 1, beta, c, 1, scratch);
  } else if (!ta && tb && m <= FEW) {
    few_rows(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 1);
  } else if (!ta && tb && n <= FEW) {
    few_rows(n, m, k, alpha, b, ldb, a, lda, beta, c, 1, ldc);
  } else {
    const int64_t ai = ta ? 1 : lda, ap = ta ? lda : 1, bj = tb ? ldb : 1, bp = tb ? 1 : ldb;
    /* A narrow C is made on its side where its rows would leave many lanes idle. */
    if (n < NR && m >= NR && 4 * n < 3 * round_up(n, LANES))
      product(n, m, k, alpha, b, bj, bp, a, ap, ai, beta, c, 1, ldc, scratch);
    else
      product(m, n, k, alpha, a, ai, ap, b, bp, bj, beta, c, ldc, 1, scratch);
  }
}
