/* reduce_f32_isa.c: reductions of float32; the text is in reduce.inl. */
#define T float
#define S f32
#define BITS uint32_t
#define NP_F32
#include "reduce.inl"
