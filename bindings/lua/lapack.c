/* OpenBLAS's LAPACK as the runtime's table of decompositions: Fortran takes every argument by its address and gives info
 * through the last one. One macro writes the routines of one type. */
#include "state.h"

#ifdef NP_WITH_BLAS
#define ROUTINES(T, x)                                                                                                              \
  extern void x##getrf_(const int *, const int *, T *, const int *, int *, int *);                                                  \
  extern void x##potrf_(const char *, const int *, T *, const int *, int *);                                                        \
  extern void x##geqrf_(const int *, const int *, T *, const int *, T *, T *, const int *, int *);                                  \
  extern void x##orgqr_(const int *, const int *, const int *, T *, const int *, const T *, T *, const int *, int *);               \
  extern void x##gesdd_(const char *, const int *, const int *, T *, const int *, T *, T *, const int *, T *, const int *, T *,     \
                        const int *, int *, int *);                                                                                 \
  extern void x##syevd_(const char *, const char *, const int *, T *, const int *, T *, T *, const int *, int *, const int *,       \
                        int *);                                                                                                     \
  extern void x##geev_(const char *, const char *, const int *, T *, const int *, T *, T *, T *, const int *, T *, const int *,     \
                       T *, const int *, int *);                                                                                    \
  extern void x##trsm_(const char *, const char *, const char *, const char *, const int *, const int *, const T *, const T *,      \
                       const int *, T *, const int *);                                                                              \
  static int x##_getrf(int m, int n, void *a, int lda, int *pivots) {                                                               \
    int info = 0;                                                                                                                   \
    x##getrf_(&m, &n, a, &lda, pivots, &info);                                                                                      \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static int x##_potrf(int n, void *a, int lda) {                                                                                   \
    int info = 0;                                                                                                                   \
    x##potrf_("U", &n, a, &lda, &info);                                                                                             \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static int x##_geqrf(int m, int n, void *a, int lda, void *tau, void *work, int lwork) {                                          \
    int info = 0;                                                                                                                   \
    x##geqrf_(&m, &n, a, &lda, tau, work, &lwork, &info);                                                                           \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static int x##_orgqr(int m, int n, int k, void *a, int lda, const void *tau, void *work, int lwork) {                             \
    int info = 0;                                                                                                                   \
    x##orgqr_(&m, &n, &k, a, &lda, tau, work, &lwork, &info);                                                                       \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static int x##_gesdd(char job, int m, int n, void *a, int lda, void *s, void *u, int ldu, void *vt, int ldvt, void *work,         \
                       int lwork, int *iwork) {                                                                                     \
    int info = 0;                                                                                                                   \
    x##gesdd_(&job, &m, &n, a, &lda, s, u, &ldu, vt, &ldvt, work, &lwork, iwork, &info);                                            \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static int x##_syevd(char job, int n, void *a, int lda, void *w, void *work, int lwork, int *iwork, int liwork) {                 \
    int info = 0;                                                                                                                   \
    x##syevd_(&job, "U", &n, a, &lda, w, work, &lwork, iwork, &liwork, &info);                                                      \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static int x##_geev(char job, int n, void *a, int lda, void *re, void *im, void *v, int ldv, void *work, int lwork) {             \
    int info = 0, one = 1;                                                                                                          \
    T none = 0;                                                                                                                     \
    x##geev_("N", &job, &n, a, &lda, re, im, &none, &one, v, &ldv, work, &lwork, &info);                                            \
    return info;                                                                                                                    \
  }                                                                                                                                 \
  static void x##_trsm(char side, char uplo, char diag, int m, int n, const void *a, int lda, void *b, int ldb) {                   \
    T one = 1;                                                                                                                      \
    x##trsm_(&side, &uplo, "N", &diag, &m, &n, &one, a, &lda, b, &ldb);                                                             \
  }

ROUTINES(float, s)
ROUTINES(double, d)

#define TABLE(x)                                                                                                                    \
  { x##_getrf, x##_potrf, x##_geqrf, x##_orgqr, x##_gesdd, x##_syevd, x##_geev, x##_trsm }

const neap_lapack *nl_lapack(void) {
  static const neap_lapack table = {TABLE(s), TABLE(d)};
  return &table;
}
#else
const neap_lapack *nl_lapack(void) { return NULL; }
#endif
