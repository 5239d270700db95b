/* tile_isa.c: load and store, between strided memory of any dtype and contiguous tiles of a compute type. One row
   per dtype below says how an element becomes each compute type and back; the loops follow from the rows. bool
   holds 0 or 1, bfloat16 and float16 go through float32. Arithmetic does not belong here. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"

/* ---- one element ---- */

/* float16 (IEEE 754 binary16): shift the exponent's base; subnormals by a subtraction that normalises them. */
NP_FN float half_to_f32(uint16_t h) {
  uint32_t o = (uint32_t)(h & 0x7fff) << 13, e = o & 0x0f800000;
  uint32_t normal = o + (112u << 23), special = o + (224u << 23);
  float small = np_from_f32(o + (113u << 23)) - np_from_f32(113u << 23);
  uint32_t u = e == 0 ? np_bits_f32(small) : e == 0x0f800000 ? special : normal;
  return np_from_f32(u | (uint32_t)(h & 0x8000) << 16);
}
NP_FN uint16_t half_from_f32(float x) {
  uint32_t u = np_bits_f32(x), sign = u & 0x80000000, v = u ^ sign;
  uint32_t tiny = np_bits_f32(np_from_f32(v) + 0.5f) - 0x3f000000;              /* below 2^-14: the adder rounds */
  uint32_t normal = (v + 0xc8000fff + ((v >> 13) & 1)) >> 13;                   /* exponent - 112, nearest even */
  uint32_t h = v >= 0x47800000 ? (v > 0x7f800000 ? 0x7e00 : 0x7c00) : v < 0x38800000 ? tiny : normal;
  return (uint16_t)(h | sign >> 16);
}
NP_FN float brain_to_f32(uint16_t h) { return np_from_f32((uint32_t)h << 16); }
NP_FN uint16_t brain_from_f32(float x) {
  uint32_t u = np_bits_f32(x), r = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? (u >> 16) | 0x40 : r);
}

#define AS_IS(x) (x)
#define TRUTH(x) ((x) != 0)
#define CUT(x) np_param_i64((double)(x))
#define HALF(x) half_to_f32(x)
#define BRAIN(x) brain_to_f32(x)
#define TO_HALF(x) half_from_f32((float)(x))
#define TO_BRAIN(x) brain_from_f32((float)(x))
#define CUT_HALF(x) np_param_i64((double)half_to_f32(x))
#define CUT_BRAIN(x) np_param_i64((double)brain_to_f32(x))

/*   dtype, type in memory, element to float, element to int64, float to element, int64 to element */
#define DTYPES(ROW)                                                                                                 \
  ROW(F32, float, AS_IS, CUT, AS_IS, AS_IS)                                                                         \
  ROW(F64, double, AS_IS, CUT, AS_IS, AS_IS)                                                                        \
  ROW(I64, int64_t, AS_IS, AS_IS, CUT, AS_IS)                                                                       \
  ROW(I32, int32_t, AS_IS, AS_IS, CUT, AS_IS)                                                                       \
  ROW(I16, int16_t, AS_IS, AS_IS, CUT, AS_IS)                                                                       \
  ROW(I8, int8_t, AS_IS, AS_IS, CUT, AS_IS)                                                                         \
  ROW(U8, uint8_t, AS_IS, AS_IS, CUT, AS_IS)                                                                        \
  ROW(U16, uint16_t, AS_IS, AS_IS, CUT, AS_IS)                                                                      \
  ROW(BOOL, uint8_t, TRUTH, TRUTH, TRUTH, TRUTH)                                                                    \
  ROW(BF16, uint16_t, BRAIN, CUT_BRAIN, TO_BRAIN, TO_BRAIN)                                                         \
  ROW(F16, uint16_t, HALF, CUT_HALF, TO_HALF, TO_HALF)

/* ---- the loops ---- */

#define LOAD(fn, D, T, convert)                                                                                     \
  static void fn(int64_t n, const void *src, int64_t stride, void *tile) {                                          \
    const D *restrict x = src;                                                                                      \
    T *restrict y = tile;                                                                                           \
    if (stride == 1)                                                                                                \
      for (int64_t i = 0; i < n; i++) y[i] = (T)convert(x[i]);                                                      \
    else                                                                                                            \
      for (int64_t i = 0; i < n; i++) y[i] = (T)convert(x[i * stride]);                                             \
  }
#define STORE(fn, D, T, convert)                                                                                    \
  static void fn(int64_t n, const void *tile, void *dst, int64_t stride) {                                          \
    const T *restrict x = tile;                                                                                     \
    D *restrict y = dst;                                                                                            \
    if (stride == 1)                                                                                                \
      for (int64_t i = 0; i < n; i++) y[i] = (D)convert(x[i]);                                                      \
    else                                                                                                            \
      for (int64_t i = 0; i < n; i++) y[i * stride] = (D)convert(x[i]);                                             \
  }

#define ROW(N, D, to_float, to_int, from_float, from_int)                                                           \
  LOAD(load_##N##_f32, D, float, to_float)                                                                          \
  LOAD(load_##N##_f64, D, double, to_float)                                                                         \
  LOAD(load_##N##_i64, D, int64_t, to_int)                                                                          \
  STORE(store_f32_##N, D, float, from_float)                                                                        \
  STORE(store_f64_##N, D, double, from_float)                                                                       \
  STORE(store_i64_##N, D, int64_t, from_int)
DTYPES(ROW)
#undef ROW

#define LOADS(N, ...) [NEAP_##N] = {load_##N##_f32, load_##N##_f64, load_##N##_i64},
const np_load NP_NAME(np_load_table)[NEAP_DTYPES][NP_CTYPES] = {DTYPES(LOADS)};

#define FROM_F32(N, ...) [NEAP_##N] = store_f32_##N,
#define FROM_F64(N, ...) [NEAP_##N] = store_f64_##N,
#define FROM_I64(N, ...) [NEAP_##N] = store_i64_##N,
const np_store NP_NAME(np_store_table)[NP_CTYPES][NEAP_DTYPES] = {
    {DTYPES(FROM_F32)}, {DTYPES(FROM_F64)}, {DTYPES(FROM_I64)}};
