/* gemm_f64_isa.c: products of float64; the text is in gemm.inl. */
#define T double
#define S f64
#include "gemm.inl"
