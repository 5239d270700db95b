/* conv_f64_isa.c: convolutions of float64; the text is in conv.inl. */
#define T double
#define S f64
#include "conv.inl"
