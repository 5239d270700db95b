/* norm_f32_isa.c: normalisations of float32; the text is in norm.inl. */
#define T float
#define S f32
#define BITS uint32_t
#define NP_F32
#include "norm.inl"
