/* gemm_f32_isa.c: products of float32; the text is in gemm.inl. */
#define T float
#define S f32
#include "gemm.inl"
