/* scan_f64_isa.c: scans of float64; the text is in scan.inl. */
#define T double
#define S f64
#define A double
#define ADD(a, v) ((a) + (v))
#define MUL(a, v) ((a) * (v))
#define SCAN_FLOATS
#include "scan.inl"
