/* attend_f32_isa.c: the kernels of attention of float32; the text is in attend.inl. */
#define T float
#define S f32
#define BITS uint32_t
#define NP_F32
#include "attend.inl"
