/* sort_isa.c: sorting and selecting by keys of 32 bits that carry their position. Sorting is by radix from the lowest
   digit up, in as many passes as there are digits that differ; selecting is by radix from the highest digit down, each
   step going on with the one bucket that holds the wanted rank. Both take linear time whatever the values are. */
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "scalar.h"

enum { FEW = 24, MOST_BITS = 11, SHORT = 3000 /* from here on 11 bits a digit pay */ };

/* ---- keys ---- */

NP_FN uint32_t key_f32(float v, int how, int64_t low) {
  uint32_t u;
  (void)how, (void)low;
  v += 0.0f; /* -0 becomes 0 */
  memcpy(&u, &v, sizeof u);
  u ^= (uint32_t)((int32_t)u >> 31) | 0x80000000u;
  return v != v ? 0xFFFFFFFFu : u;
}
NP_FN uint32_t key_f64(double v, int how, int64_t low) {
  uint64_t u;
  (void)low;
  v += 0.0;
  memcpy(&u, &v, sizeof u);
  u ^= (uint64_t)((int64_t)u >> 63) | 0x8000000000000000u;
  u = v != v ? ~(uint64_t)0 : u;
  return (uint32_t)(how == NP_KEY_LOW ? u : u >> 32);
}
NP_FN uint32_t key_i64(int64_t v, int how, int64_t low) {
  uint64_t u = (uint64_t)v ^ 0x8000000000000000u;
  if (how == NP_KEY_NEAR) return (uint32_t)((uint64_t)v - (uint64_t)low);
  return (uint32_t)(how == NP_KEY_LOW ? u : u >> 32);
}
static inline uint32_t position(uint64_t entry) { return (uint32_t)entry; }
static inline uint64_t entry_of(uint32_t key, uint64_t at) { return (uint64_t)key << 32 | at; }

/* Positions of elements v that are `better`: most stretches have none, and looking is cheaper than putting. */
#define PUT(T, better)                                         \
  for (int64_t from = 0; from < n; from += 64) {               \
    const int64_t to = n - from < 64 ? n : from + 64;          \
    int hits = 0;                                              \
    for (int64_t i = from; i < to; i++) {                      \
      const T v = x[i];                                        \
      hits |= better;                                          \
    }                                                          \
    for (int64_t i = from; hits && i < to; i++) {              \
      const T v = x[i];                                        \
      e[k] = (uint64_t)(i0 + i);                               \
      k += better;                                             \
    }                                                          \
  }
#define KEYED(T, S)                                                                                                                 \
  NP_FN void pack_by_##S(int64_t n, const T *restrict x, int64_t i0, int how, uint32_t flip, int64_t low,                 \
                         uint64_t *restrict e) {                                                                          \
    for (int64_t i = 0; i < n; i++) e[i] = entry_of(key_##S(x[i], how, low) ^ flip, (uint64_t)(i0 + i));                  \
  }                                                                                                                       \
  static void pack_##S(int64_t n, const void *x, int64_t i0, int how, uint32_t flip, int64_t low, uint64_t *e) {          \
    if (how == NP_KEY_HIGH) pack_by_##S(n, x, i0, NP_KEY_HIGH, flip, low, e);                                             \
    else if (how == NP_KEY_LOW) pack_by_##S(n, x, i0, NP_KEY_LOW, flip, low, e);                                          \
    else pack_by_##S(n, x, i0, NP_KEY_NEAR, flip, low, e);                                                                \
  }                                                                                                                       \
  static void repack_##S(int64_t n, const void *in, int how, uint32_t flip, int64_t low, uint64_t *e) {                   \
    const T *x = in;                                                                                                      \
    for (int64_t i = 0; i < n; i++) e[i] = entry_of(key_##S(x[position(e[i])], how, low) ^ flip, position(e[i]));         \
  }                                                                                                                       \
  static void take_##S(int64_t n, const uint64_t *e, const void *in, int64_t base, void *values, int64_t *restrict at) {  \
    const T *x = in;                                                                                                      \
    T *restrict y = values;                                                                                               \
    if (y)                                                                                                                \
      for (int64_t i = 0; i < n; i++) y[i] = x[position(e[i])];                                                           \
    if (at)                                                                                                               \
      for (int64_t i = 0; i < n; i++) at[i] = (int64_t)position(e[i]) + base;                                             \
  }                                                                                                                       \
  static int64_t before_##S(int64_t n, const void *in, int64_t i0, const void *bound, uint32_t flip, uint64_t *e) {       \
    const T *x = in, b = *(const T *)bound;                                                                               \
    int64_t k = 0;                                                                                                        \
    if (flip && b != b) return 0;                                                                                         \
    if (flip) PUT(T, !(v <= b))                                                                                           \
    else if (b != b) PUT(T, v == v)                                                                                       \
    else PUT(T, v < b)                                                                                                    \
    return k;                                                                                                             \
  }
KEYED(float, f32)
KEYED(double, f64)
KEYED(int64_t, i64)

#define NANS(T, S)                                       \
  static int64_t nans_##S(int64_t n, const void *in) {   \
    const T *x = in;                                     \
    int64_t k = 0;                                       \
    for (int64_t i = 0; i < n; i++) k += x[i] != x[i];   \
    return k;                                            \
  }
NANS(float, f32)
NANS(double, f64)

/* ---- sorting ---- */

static void insert(int64_t n, uint64_t *e) {
  for (int64_t i = 1; i < n; i++) {
    const uint64_t v = e[i];
    int64_t j = i;
    for (; j > 0 && e[j - 1] > v; j--) e[j] = e[j - 1];
    e[j] = v;
  }
}

static void count(int64_t n, const uint64_t *e, int shift, int bits, uint32_t *counts) {
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t i = 0; i < n; i++) counts[(uint32_t)(e[i] >> shift) & mask]++;
}
static void spread(int64_t n, const uint64_t *restrict e, int shift, int bits, uint32_t *restrict places,
                   uint64_t *restrict out) {
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t i = 0; i < n; i++) out[places[(uint32_t)(e[i] >> shift) & mask]++] = e[i];
}

/* How often each digit of each place occurs, all in one pass. */
static void count_all(int64_t n, const uint64_t *e, int bits, uint32_t counts[4][1 << MOST_BITS]) {
  const uint32_t mask = (1u << bits) - 1;
  for (int p = 0; p * bits < 32; p++) memset(counts[p], 0, sizeof(uint32_t) << bits);
  if (bits == 8)
    for (int64_t i = 0; i < n; i++) {
      const uint32_t key = (uint32_t)(e[i] >> 32);
      counts[0][key & mask]++, counts[1][key >> 8 & mask]++, counts[2][key >> 16 & mask]++, counts[3][key >> 24]++;
    }
  else
    for (int64_t i = 0; i < n; i++) {
      const uint32_t key = (uint32_t)(e[i] >> 32);
      counts[0][key & mask]++, counts[1][key >> 11 & mask]++, counts[2][key >> 22]++;
    }
}

static uint64_t *sort(int64_t n, uint64_t *e, uint64_t *room) {
  uint32_t counts[4][1 << MOST_BITS];
  const int bits = n < SHORT ? 8 : MOST_BITS;
  if (n <= FEW) {
    insert(n, e);
    return e;
  }
  count_all(n, e, bits, counts);
  for (int p = 0; p * bits < 32; p++) {
    uint32_t *places = counts[p], at = 0;
    const int shift = 32 + p * bits;
    if (places[(uint32_t)(e[0] >> shift) & ((1u << bits) - 1)] == (uint32_t)n) continue; /* they do not differ here */
    for (int d = 0; d < 1 << bits; d++) {
      const uint32_t here = places[d];
      places[d] = at;
      at += here;
    }
    spread(n, e, shift, bits, places, room);
    uint64_t *turn = e;
    e = room, room = turn;
  }
  return e;
}

/* ---- selecting ---- */

static uint64_t select_rank(int64_t n, const uint64_t *e, int64_t k, uint64_t *room) {
  uint32_t counts[1 << MOST_BITS];
  for (int top = 64; n > FEW && top > 32;) {
    const int bits = n < SHORT ? 8 : MOST_BITS, shift = top - bits < 32 ? 32 : top - bits;
    const uint32_t mask = (1u << (top - shift)) - 1;
    uint32_t digit = 0;
    memset(counts, 0, sizeof(uint32_t) << (top - shift));
    count(n, e, shift, top - shift, counts);
    for (; (int64_t)counts[digit] <= k; digit++) k -= counts[digit];
    if (counts[digit] < n) {
      int64_t m = 0;
      for (int64_t i = 0; i < n; i++) { /* one place past the last is written to: it is still within room */
        const uint64_t v = e[i];
        room[m] = v;
        m += ((uint32_t)(v >> shift) & mask) == digit;
      }
      n = m;
      e = room;
    }
    top = shift;
  }
  if (n > FEW) return e[k]; /* equal keys, still by position */
  if (e != room) memcpy(room, e, (size_t)n * sizeof *e);
  insert(n, room);
  return room[k];
}

static int64_t below(int64_t n, const uint64_t *e, uint64_t bound, uint64_t *out) {
  int64_t k = 0;
  for (int64_t i = 0; i < n; i++)
    if (e[i] <= bound) out[k++] = e[i];
  return k;
}

extern const np_sort NP_NAME(np_sort_table);
const np_sort NP_NAME(np_sort_table) = {
    .pack = {pack_f32, pack_f64, pack_i64},
    .repack = {repack_f32, repack_f64, repack_i64},
    .take = {take_f32, take_f64, take_i64},
    .before = {before_f32, before_f64, before_i64},
    .nans = {nans_f32, nans_f64},
    .sort = sort,
    .select = select_rank,
    .below = below,
    .count = count,
    .spread = spread,
};
