/* The decompositions of factor.inl for double. */
#define T double
#define S f64
#define EPS 0x1p-53
#include "factor.inl"
