/* The decompositions of factor.inl for float. */
#define T float
#define S f32
#define EPS 0x1p-24f
#include "factor.inl"
