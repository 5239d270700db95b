/* OpenBLAS as the runtime's table of products. Neap's own threads call it side by side, so it gets one thread itself: for
 * the whole process in the pthread flavour, in each calling thread in the openmp one. */
#include <stdlib.h>
#include "state.h"

#ifdef NP_WITH_BLAS
#include <cblas.h>

static CBLAS_TRANSPOSE turned(int t) { return t ? CblasTrans : CblasNoTrans; }

static void sgemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                  float beta, float *c, int ldc) {
  cblas_sgemm(CblasRowMajor, turned(ta), turned(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

static void dgemm(int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b, int ldb,
                  double beta, double *c, int ldc) {
  cblas_dgemm(CblasRowMajor, turned(ta), turned(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

static void thread_start(void) {
  if (openblas_get_parallel() == OPENBLAS_OPENMP) openblas_set_num_threads(1);
}

const neap_blas *nl_blas(void) {
  static const neap_blas table = {"openblas", sgemm, dgemm, thread_start};
  openblas_set_num_threads(1);
  return &table;
}

void nl_blas_info(lua_State *L) {
  static const char *const flavours[] = {"serial", "pthread", "openmp"};
  int flavour = openblas_get_parallel();
  lua_pushstring(L, openblas_get_corename());
  lua_setfield(L, -2, "blas_core");
  lua_pushstring(L, openblas_get_config());
  lua_setfield(L, -2, "blas_config");
  lua_pushstring(L, flavour >= 0 && flavour < 3 ? flavours[flavour] : "?");
  lua_setfield(L, -2, "blas_threading");
}
#else
const neap_blas *nl_blas(void) { return NULL; }
void nl_blas_info(lua_State *L) { (void)L; }
#endif
