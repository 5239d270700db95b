/* map_f32_isa.c: forward elementwise maps of float32, one per row of elementwise.def. */
#define T float
#define S f32
#define NP_SINGLE
#include "map.inl"
