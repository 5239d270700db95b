/* conv_f32_isa.c: convolutions of float32; the text is in conv.inl. */
#define T float
#define S f32
#include "conv.inl"
