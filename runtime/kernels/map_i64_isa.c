/* map_i64_isa.c: forward elementwise maps of int64, one per row of elementwise.def. */
#define T int64_t
#define S i64
#define NP_INTEGER
#include "map.inl"
