/* row_f32_isa.c: rows of softmax, layer norm and cross-entropy of float32; the text is in row.inl. */
#define T float
#define S f32
#define BITS uint32_t
#define NP_F32
#include "row.inl"
