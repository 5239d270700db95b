/* The dtype table, and the promotion table: what dtype a result has whose operands have two. Promotion goes by category
 * first (bool, integers, floats), then by size within it; the pairs that have no natural order stand in the table below. */
#include <string.h>
#include "tensor.h"

enum { C32, C64, CINT };
#define ROW(name, letters, bytes, is_float, is_signed, ctype, rank, category, largest) \
  { { name, letters, bytes, 1, is_float, is_signed }, ctype, rank, category, largest }
const np_dtype np_dtypes[NEAP_DTYPES] = {
  [NEAP_F32] = ROW("float32", "f32", 4, 1, 1, C32, 2, 2, 0x1.fffffep127),
  [NEAP_F64] = ROW("float64", "f64", 8, 1, 1, C64, 3, 2, 0x1.fffffffffffffp1023),
  [NEAP_I64] = ROW("int64", "i64", 8, 0, 1, CINT, 4, 1, 0x1p63),
  [NEAP_I32] = ROW("int32", "i32", 4, 0, 1, CINT, 3, 1, 2147483647),
  [NEAP_I16] = ROW("int16", "i16", 2, 0, 1, CINT, 2, 1, 32767),
  [NEAP_I8] = ROW("int8", "i8", 1, 0, 1, CINT, 1, 1, 127),
  [NEAP_U8] = ROW("uint8", "u8", 1, 0, 0, CINT, 1, 1, 255),
  [NEAP_U16] = ROW("uint16", "u16", 2, 0, 0, CINT, 2, 1, 65535),
  [NEAP_BOOL] = ROW("bool", "bool", 1, 0, 0, CINT, 0, 0, 1),
  [NEAP_BF16] = ROW("bfloat16", "bf16", 2, 1, 1, C32, 1, 2, 0x1.fep127),
  [NEAP_F16] = ROW("float16", "f16", 2, 1, 1, C32, 1, 2, 65504),
};

const neap_dtype_info *neap_dtype_about(neap_dtype d) {
  return (unsigned)d < NEAP_DTYPES ? &np_dtypes[d].info : NULL;
}

static const struct { const char *name; neap_dtype dtype; } aliases[] = { /* PyTorch's other names */
  {"float", NEAP_F32}, {"double", NEAP_F64}, {"half", NEAP_F16}, {"long", NEAP_I64}, {"int", NEAP_I32}, {"short", NEAP_I16},
};

int neap_dtype_named(const char *name) {
  for (int d = 0; d < NEAP_DTYPES; d++)
    if (strcmp(name, np_dtypes[d].info.name) == 0 || strcmp(name, np_dtypes[d].info.letters) == 0) return d;
  for (int i = 0; i < NP_ARRAY(aliases); i++)
    if (strcmp(name, aliases[i].name) == 0) return aliases[i].dtype;
  return -1;
}

/*            u8    i8    u16   i16   i32   i64     the integers, mixed
 *   u8       u8    i16   u16   i16   i32   i64
 *   i8       i16   i8    i32   i16   i32   i64
 *   u16      u16   i32   u16   i32   i32   i64
 * otherwise the larger one; bfloat16 with float16 gives float32; an integer with a float gives that float. */
neap_dtype neap_promote(neap_dtype a, neap_dtype b) {
  const np_dtype *x = &np_dtypes[a], *y = &np_dtypes[b];
  if (a == b) return a;
  if (x->category != y->category) return x->category > y->category ? a : b;
  if (x->category == 2) return x->rank == y->rank ? NEAP_F32 : x->rank > y->rank ? a : b;
  if (x->rank < y->rank) return neap_promote(b, a);
  if (x->info.is_signed == y->info.is_signed) return a;
  if (x->rank == y->rank) return x->rank == 1 ? NEAP_I16 : NEAP_I32;
  return x->info.is_signed ? a : y->info.is_signed ? NEAP_I32 : a; /* a is u16: with i8 there is no 16-bit answer */
}
