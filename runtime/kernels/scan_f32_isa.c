/* scan_f32_isa.c: scans of float32; the text is in scan.inl. */
#define T float
#define S f32
#define A double
#define ADD(a, v) ((a) + (v))
#define MUL(a, v) ((a) * (v))
#define SCAN_FLOATS
#define NP_F32
#include "scan.inl"
