/* isa.h: what the files compiled once per instruction set share: names with the set's suffix, and loop hints. NP_ISA is
   baseline, avx2 or avx512. Nothing here depends on a dtype. */
#ifndef NP_ISA_H
#define NP_ISA_H

#define NP_CAT_(a, b) a##b
#define NP_CAT(a, b) NP_CAT_(a, b)
#define NP_NAME(name) NP_CAT(NP_CAT(name, _), NP_ISA)

/* The next loop's iterations are independent, though its output may be one of its inputs. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* a loop that calls libm stays scalar */
#define NP_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define NP_IVDEP _Pragma("GCC ivdep")
#else
#define NP_IVDEP
#endif

/* Bytes of a vector register; kernels that keep lanes of their own write them as GCC vectors of this size. */
#if defined(__AVX512F__)
#define NP_VEC_BYTES 64
#elif defined(__AVX__)
#define NP_VEC_BYTES 32
#else
#define NP_VEC_BYTES 16
#endif

#endif
