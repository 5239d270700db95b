/* optim_f64_isa.c: the update rules for float64; the text is in optim.inl. */
#define T double
#define S f64
#include "optim.inl"
