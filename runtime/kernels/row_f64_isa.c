/* row_f64_isa.c: rows of softmax, layer norm and cross-entropy of float64; the text is in row.inl. */
#define T double
#define S f64
#define BITS uint64_t
#include "row.inl"
