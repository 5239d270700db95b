/* fft_f32_isa.c: Fourier transforms of float32; the text is in fft.inl. */
#define T float
#define S f32
#define BITS uint32_t
#define NP_F32
#include "fft.inl"
