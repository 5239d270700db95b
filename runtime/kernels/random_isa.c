/* random_isa.c: counter-based random numbers. Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
   1, 2, 3", SC 2011) turns key = seed and counter = (offset + block, 0) into four 32-bit words; element i of a
   fill reads word i % 4 of block i / 4, or for 64-bit elements words 2(i % 2) and 2(i % 2) + 1 of block i / 2, low
   word first. So an element depends on its index alone, not on how a fill was cut. The stream's state (seed, next
   offset) belongs to the caller. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LANES = NP_VEC_BYTES / 8, GROUP = 2 * LANES, BLOCKS = 64, WORDS = 4 * BLOCKS };
typedef uint64_t u64s __attribute__((vector_size(NP_VEC_BYTES)));

/* Products of the low halves of 64-bit lanes. The instruction is named because compilers multiply the whole lanes. */
static inline u64s times(u64s a, uint64_t b) {
#if defined(__AVX512F__)
  return (u64s)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((long long)b));
#elif defined(__AVX2__)
  return (u64s)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((long long)b));
#elif defined(__SSE2__)
  return (u64s)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x((long long)b));
#else
  return (a & 0xffffffff) * b;
#endif
}

/* blocks (at most BLOCKS, rounded up to GROUP) from counter `first` into w. Each word sits in the low half of a
   lane, what is in the high half does not matter; two vectors of blocks keep the multipliers busy. */
static void philox(uint64_t seed, uint64_t first, int64_t blocks, uint32_t *restrict w) {
  for (int64_t b = 0; b < blocks; b += GROUP, w += 4 * GROUP) {
    u64s c[2][4], k0 = (u64s){0} + (uint32_t)seed, k1 = (u64s){0} + (seed >> 32);
    for (int v = 0; v < 2; v++) {
      uint64_t counter[LANES];
      for (int j = 0; j < LANES; j++) counter[j] = first + (uint64_t)(b + v * LANES + j);
      memcpy(&c[v][0], counter, sizeof counter);
      c[v][1] = c[v][0] >> 32;
      c[v][2] = c[v][3] = (u64s){0};
    }
    for (int r = 0; r < 10; r++, k0 += 0x9E3779B9, k1 += 0xBB67AE85)
      for (int v = 0; v < 2; v++) {
        u64s p0 = times(c[v][0], 0xD2511F53), p1 = times(c[v][2], 0xCD9E8D57);
        c[v][0] = (p1 >> 32) ^ c[v][1] ^ k0, c[v][1] = p1;
        c[v][2] = (p0 >> 32) ^ c[v][3] ^ k1, c[v][3] = p0;
      }
    uint64_t lanes[4][GROUP];
    for (int q = 0; q < 4; q++)
      for (int v = 0; v < 2; v++) memcpy(&lanes[q][v * LANES], &c[v][q], sizeof(u64s));
    for (int j = 0; j < GROUP; j++)
      for (int q = 0; q < 4; q++) w[4 * j + q] = (uint32_t)lanes[q][j];
  }
}

/* The words for elements i, i+1, ..., `per` of them to a block: i's own starts at place i % per of w. Gives how many of
   `left` elements they serve. */
static int64_t fetch(uint64_t seed, uint64_t offset, int64_t per, int64_t i, int64_t left, uint32_t *w) {
  const int64_t at = i % per, room = per * BLOCKS - at, m = left < room ? left : room;
  philox(seed, offset + (uint64_t)(i / per), (at + m + per - 1) / per, w);
  return m;
}
/* For runs of m elements: out[j + k] comes of place at + k, k < m. */
#define EACH_RUN(per)                        \
  uint32_t w[WORDS];                         \
  for (int64_t j = 0, m, at; j < n && (at = (i0 + j) % (per), m = fetch(seed, offset, per, i0 + j, n - j, w)); j += m)
#define LONG(k) (w[2 * (k)] | (uint64_t)w[2 * (k) + 1] << 32)

static void bits32(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, uint32_t *out) {
  EACH_RUN(4) for (int64_t k = 0; k < m; k++) out[j + k] = w[at + k];
}
static void bits64(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, uint64_t *out) {
  EACH_RUN(2) for (int64_t k = 0; k < m; k++) out[j + k] = LONG(at + k);
}

/* ---- uniform: top bits over 2^24 or 2^53; what rounds up to b becomes a ---- */

static void uniform_f32(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *vout, double a, double b) {
  float *out = vout, lo = (float)a, hi = (float)b, span = (float)(b - a);
  EACH_RUN(4) for (int64_t k = 0; k < m; k++) {
    float v = lo + (float)(int32_t)(w[at + k] >> 8) * 0x1p-24f * span;
    out[j + k] = v < hi ? v : lo;
  }
}
static void uniform_f64(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *vout, double a, double b) {
  double *out = vout, span = b - a;
  EACH_RUN(2) for (int64_t k = 0; k < m; k++) {
    double v = a + (double)(int64_t)(LONG(at + k) >> 11) * 0x1p-53 * span;
    out[j + k] = v < b ? v : a;
  }
}

/* ---- normal: Box and Muller (1958); elements 2k and 2k+1 are radius times cosine and sine ---- */

/* sin(2 pi u) and cos(2 pi u), u in [0, 1): less the nearest quarter turn, which is exact. */
NP_FN void turn_f32(float u, float *s, float *c) {
  float t = 4 * u + NP_MAGIC_F32, r = (4 * u - (t - NP_MAGIC_F32)) * 1.57079632679f, z = r * r;
  uint32_t q = np_bits_f32(t), odd = 0 - (q & 1);
  uint32_t sine = np_bits_f32(r + r * z * (-0.166666552f + z * (0.0083321901f - z * 0.000195184053f)));
  uint32_t cosine = np_bits_f32(1 - 0.5f * z + z * z * (0.0416666456f + z * (-0.00138873013f + z * 2.44306702e-05f)));
  *s = np_from_f32(((sine & ~odd) | (cosine & odd)) ^ ((q & 2) << 30));
  *c = np_from_f32(((cosine & ~odd) | (sine & odd)) ^ (((q + 1) & 2) << 30));
}

static void normal_f32(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *vout, double a, double b) {
  float *out = vout, mean = (float)a, std = (float)b, z[WORDS];
  EACH_RUN(4) {
    for (int64_t k = 0; k < (at + m + 1) / 2; k++) {
      float u = (float)(int32_t)(w[2 * k] >> 1) * 0x1p-31f + 0x1p-32f, s, c; /* never 0 */
      float r = sqrtf(-2 * np_log_f32(u));
      turn_f32((float)(int32_t)(w[2 * k + 1] >> 8) * 0x1p-24f, &s, &c);
      z[2 * k] = r * c;
      z[2 * k + 1] = r * s;
    }
    for (int64_t k = 0; k < m; k++) out[j + k] = mean + std * z[at + k];
  }
}
static void normal_f64(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *vout, double a, double b) {
  double *out = vout, z[WORDS / 2];
  EACH_RUN(2) {
    for (int64_t k = 0; k < at + m; k += 2) {
      double u = (double)(int64_t)(LONG(k) >> 11) * 0x1p-53 + 0x1p-54;
      double r = sqrt(-2 * np_log_f64(u)), t = 2 * NP_PI * ((double)(int64_t)(LONG(k + 1) >> 11) * 0x1p-53);
      z[k] = r * cos(t);
      z[k + 1] = r * sin(t);
    }
    for (int64_t k = 0; k < m; k++) out[j + k] = a + b * z[at + k];
  }
}

/* ---- b where the word is under a 2^32, which for a = 1 is always ---- */

#define BERNOULLI(T, S)                                                                                              \
  static void bernoulli_##S(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *vout, double a, double b) { \
    const uint64_t limit = a >= 1 ? UINT64_C(1) << 32 : a > 0 ? (uint64_t)(a * 4294967296.0) : 0;                    \
    T *out = vout, value = (T)b;                                                                                     \
    const uint32_t last = (uint32_t)(limit - 1);                                                                     \
    EACH_RUN(4) for (int64_t k = 0; k < m; k++) out[j + k] = w[at + k] <= last ? value : 0;                         \
    if (limit == 0)                                                                                                  \
      for (int64_t k = 0; k < n; k++) out[k] = 0;                                                                    \
  }
BERNOULLI(float, f32)
BERNOULLI(double, f64)

static void randint(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, int64_t *out, int64_t lo, int64_t hi) {
  __extension__ typedef unsigned __int128 u128;
  const uint64_t range = (uint64_t)hi - (uint64_t)lo;
  EACH_RUN(2) for (int64_t k = 0; k < m; k++) {
    out[j + k] = (int64_t)((uint64_t)lo + (uint64_t)((u128)LONG(at + k) * range >> 64));
  }
}

/* ---- functions of one uniform number in (0, 1], or of a normal one ---- */

static void unit_f32(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, float *out) {
  EACH_RUN(4) for (int64_t k = 0; k < m; k++) out[j + k] = (float)(int32_t)(w[at + k] >> 1) * 0x1p-31f + 0x1p-32f;
}
static void unit_f64(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, double *out) {
  EACH_RUN(2) for (int64_t k = 0; k < m; k++) out[j + k] = (double)(int64_t)(LONG(at + k) >> 11) * 0x1p-53 + 0x1p-54;
}
/* In [-1/2, 1/2) and never 0, fine near 0. */
static void centred_f32(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, float *out) {
  EACH_RUN(4) for (int64_t k = 0; k < m; k++) out[j + k] = (float)(int32_t)w[at + k] * 0x1p-32f + 0x1p-33f;
}
static void centred_f64(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, double *out) {
  EACH_RUN(2) for (int64_t k = 0; k < m; k++) out[j + k] = (double)(int64_t)LONG(at + k) * 0x1p-64 + 0x1p-65;
}

/* FIRST fills out, then each element X becomes Y; parameters a and b as T. */
#define OF_ONE(name, T, S, FIRST, Y)                                                                              \
  static void name##_##S(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, void *vout, double da, double db) { \
    T *out = vout, a = (T)da, b = (T)db;                                                                           \
    FIRST;                                                                                                         \
    (void)a, (void)b;                                                                                              \
    for (int64_t k = 0; k < n; k++) {                                                                              \
      T X = out[k];                                                                                                \
      out[k] = Y;                                                                                                  \
    }                                                                                                              \
  }
#define OF_BOTH(T, S, EPSILON)                                                                                                \
  OF_ONE(exponential, T, S, unit_##S(seed, offset, i0, n, out), np_maximum_##S(-np_log_##S(X), EPSILON / 4) / a)              \
  OF_ONE(cauchy, T, S, centred_##S(seed, offset, i0, n, out), a + b / np_tan_##S((T)NP_PI * X))                               \
  OF_ONE(log_normal, T, S, normal_##S(seed, offset, i0, n, out, da, db), np_exp_##S(X))                                       \
  OF_ONE(geometric, T, S, (unit_##S(seed, offset, i0, n, out), b = (T)log1p(-da)), np_maximum_##S(np_ceil_##S(np_log_##S(X) / b), 1))
OF_BOTH(float, f32, FLT_EPSILON)
OF_BOTH(double, f64, DBL_EPSILON)

const np_random NP_NAME(np_random_table) = {
    .bits32 = bits32,
    .bits64 = bits64,
    .uniform = {uniform_f32, uniform_f64},
    .normal = {normal_f32, normal_f64},
    .bernoulli = {bernoulli_f32, bernoulli_f64},
    .randint = randint,
    .exponential = {exponential_f32, exponential_f64},
    .cauchy = {cauchy_f32, cauchy_f64},
    .log_normal = {log_normal_f32, log_normal_f64},
    .geometric = {geometric_f32, geometric_f64},
};
