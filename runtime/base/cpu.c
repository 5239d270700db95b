/* What the processor can do, as the level of kernels that fits it. The levels' numbers are those of kernels.h. */
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include "base.h"

enum { BASELINE, AVX2, AVX512 };
static const char *const names[] = {[BASELINE] = "baseline", [AVX2] = "avx2", [AVX512] = "avx512"};

#if defined(__x86_64__)
/* Not among the names that Clang's __builtin_cpu_supports knows. */
static int has_f16c(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

int np_cpu_isa(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (!avx2) return BASELINE;
  int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? AVX512 : AVX2;
#else
  return BASELINE;
#endif
}

int np_isa_named(const char *name) {
  for (int i = 0; i < NP_ARRAY(names); i++)
    if (strcmp(name, names[i]) == 0) return i;
  return -1;
}

const char *np_isa_name(int isa) { return isa >= 0 && isa < NP_ARRAY(names) ? names[isa] : "unknown"; }
