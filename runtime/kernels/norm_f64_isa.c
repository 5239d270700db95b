/* norm_f64_isa.c: normalisations of float64; the text is in norm.inl. */
#define T double
#define S f64
#define BITS uint64_t
#include "norm.inl"
