/* fft_f64_isa.c: Fourier transforms of float64; the text is in fft.inl. */
#define T double
#define S f64
#define BITS uint64_t
#include "fft.inl"
