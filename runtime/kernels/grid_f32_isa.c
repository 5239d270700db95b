/* grid_f32_isa.c: images of float numbers read at places; the text is in grid.inl. */
#define T float
#define S f32
#include "grid.inl"
