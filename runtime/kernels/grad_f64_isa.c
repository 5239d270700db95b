/* grad_f64_isa.c: backward elementwise maps of float64, one per derivative in elementwise.def. */
#define T double
#define S f64
#define NP_GRADS
#include "map.inl"
