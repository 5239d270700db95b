/* grad_f32_isa.c: backward elementwise maps of float32, one per derivative in elementwise.def. */
#define T float
#define S f32
#define NP_SINGLE
#define NP_GRADS
#include "map.inl"
