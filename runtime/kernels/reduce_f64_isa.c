/* reduce_f64_isa.c: reductions of float64; the text is in reduce.inl. */
#define T double
#define S f64
#define BITS uint64_t
#include "reduce.inl"
