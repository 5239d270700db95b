/* pool_f32_isa.c: pooling and resizing of float numbers; the text is in pool.inl. */
#define T float
#define S f32
#include "pool.inl"
