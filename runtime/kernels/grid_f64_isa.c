/* grid_f64_isa.c: images of double numbers read at places; the text is in grid.inl. */
#define T double
#define S f64
#include "grid.inl"
