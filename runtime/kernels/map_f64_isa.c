/* map_f64_isa.c: forward elementwise maps of float64, one per row of elementwise.def. */
#define T double
#define S f64
#include "map.inl"
