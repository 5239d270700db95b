/* turn.h: square blocks transposed in registers, 8 x 8 elements of 4 bytes or 4 x 4 of 8, by exchanging ever
   larger parts of rows. Used where memory runs along one axis at the source and along the other at the
   destination. */
#ifndef NP_TURN_H
#define NP_TURN_H

#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#define NP_SHUFFLE(M, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define NP_SHUFFLE(M, a, b, ...) __builtin_shuffle(a, b, (M){__VA_ARGS__})
#endif
#define NP_TURN(T) ((int64_t)(32 / sizeof(T))) /* the side of a block */
typedef uint32_t np_u32x8 __attribute__((vector_size(32)));
typedef uint64_t np_u64x4 __attribute__((vector_size(32)));

/* dst[i*dst_ld + j] = row[j][at + i] for elements of 4 bytes, written in order of i. */
static inline void np_turn_f32(const void *const *row, int64_t at, void *dst, int64_t dst_ld) {
  np_u32x8 r[8], t[8];
  for (int i = 0; i < 8; i++) memcpy(&r[i], (const char *)row[i] + at * 4, 32);
  for (int i = 0; i < 4; i++) {
    t[2 * i] = NP_SHUFFLE(np_u32x8, r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[2 * i + 1] = NP_SHUFFLE(np_u32x8, r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      r[i + 2 * j] = NP_SHUFFLE(np_u32x8, t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      r[i + 2 * j + 1] = NP_SHUFFLE(np_u32x8, t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    t[i] = NP_SHUFFLE(np_u32x8, r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = NP_SHUFFLE(np_u32x8, r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; i++) memcpy((char *)dst + i * dst_ld * 4, &t[i], 32);
}

/* The same for elements of 8 bytes. */
static inline void np_turn_f64(const void *const *row, int64_t at, void *dst, int64_t dst_ld) {
  np_u64x4 r[4], t[4];
  for (int i = 0; i < 4; i++) memcpy(&r[i], (const char *)row[i] + at * 8, 32);
  for (int i = 0; i < 4; i += 2) {
    t[i] = NP_SHUFFLE(np_u64x4, r[i], r[i + 1], 0, 4, 2, 6);
    t[i + 1] = NP_SHUFFLE(np_u64x4, r[i], r[i + 1], 1, 5, 3, 7);
  }
  for (int i = 0; i < 2; i++) {
    r[i] = NP_SHUFFLE(np_u64x4, t[i], t[i + 2], 0, 1, 4, 5);
    r[i + 2] = NP_SHUFFLE(np_u64x4, t[i], t[i + 2], 2, 3, 6, 7);
  }
  for (int i = 0; i < 4; i++) memcpy((char *)dst + i * dst_ld * 8, &r[i], 32);
}

#endif
