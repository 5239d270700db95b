/* pool_f64_isa.c: pooling and resizing of double numbers; the text is in pool.inl. */
#define T double
#define S f64
#include "pool.inl"
