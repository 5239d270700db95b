/* recurrent_f32_isa.c: recurrent cells for float32; the text is in recurrent.inl. */
#define T float
#define S f32
#include "recurrent.inl"
