/* attend_f64_isa.c: the kernels of attention of float64; the text is in attend.inl. */
#define T double
#define S f64
#define BITS uint64_t
#include "attend.inl"
