/* scan_i64_isa.c: scans of int64; the text is in scan.inl. */
#include <stdint.h>
#define T int64_t
#define S i64
#define A int64_t
#define ADD(a, v) np_add_i64(a, v)
#define MUL(a, v) np_mul_i64(a, v)
#include "scan.inl"
