/* gemm_i64_isa.c: products of int64 matrices, wrapping. Rows of op(B) are added to rows of C in blocks of k, or,
   where B is transposed, rows are multiplied; no packing. Floats have gemm.inl. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"

size_t NP_NAME(np_gemm_scratch_i64)(int64_t m, int64_t n, int64_t k) { return (void)m, (void)n, (void)k, 0; }

void NP_NAME(np_gemm_i64)(int ta, int tb, int64_t m, int64_t n, int64_t k, double al, const void *va, int64_t lda,
                          const void *vb, int64_t ldb, double be, void *vc, int64_t ldc, void *scratch) {
  enum { DEPTH = 64 };
  const int64_t *restrict a = va, *restrict b = vb;
  int64_t *restrict c = vc;
  const uint64_t alpha = (uint64_t)np_param_i64(al), beta = (uint64_t)np_param_i64(be);
  const int64_t ai = ta ? 1 : lda, ap = ta ? lda : 1;
  (void)scratch;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : (int64_t)(beta * (uint64_t)c[i * ldc + j]);
  for (int64_t p0 = 0; p0 < k; p0 += DEPTH) {
    const int64_t p1 = p0 + DEPTH < k ? p0 + DEPTH : k;
    for (int64_t i = 0; i < m; i++) {
      int64_t *restrict y = c + i * ldc;
      if (tb) {
        for (int64_t j = 0; j < n; j++) {
          uint64_t s = 0;
          for (int64_t p = p0; p < p1; p++) s += (uint64_t)a[i * ai + p * ap] * (uint64_t)b[j * ldb + p];
          y[j] = (int64_t)((uint64_t)y[j] + alpha * s);
        }
      } else {
        for (int64_t p = p0; p < p1; p++) {
          const uint64_t v = alpha * (uint64_t)a[i * ai + p * ap];
          for (int64_t j = 0; j < n; j++) y[j] = (int64_t)((uint64_t)y[j] + v * (uint64_t)b[p * ldb + j]);
        }
      }
    }
  }
}
