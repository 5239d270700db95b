/* recurrent_f64_isa.c: recurrent cells for float64; the text is in recurrent.inl. */
#define T double
#define S f64
#include "recurrent.inl"
