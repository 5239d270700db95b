/* pick.c: which instruction sets were built, and the table for a level. What the cpu has is known in base/. */
#include "kernels.h"

extern const np_kernels np_kernels_baseline, np_kernels_avx2, np_kernels_avx512;

const np_kernels *np_kernels_pick(int level) {
#ifdef NP_HAVE_AVX512
  if (level >= NP_ISA_AVX512) return &np_kernels_avx512;
#endif
#ifdef NP_HAVE_AVX2
  if (level >= NP_ISA_AVX2) return &np_kernels_avx2;
#endif
  (void)level;
  return &np_kernels_baseline;
}
