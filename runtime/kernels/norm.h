/* norm.h: kernels of normalisations over channels and of root mean squares, one table per float type. A run is a
   contiguous stretch of one channel; a row has one element, and one entry of each vector, a column. Numbers that come as
   doubles are taken in the type of the table. y may be x, dx may be g. */
#ifndef NP_NORM_H
#define NP_NORM_H

#include <stdint.h>

typedef struct np_norm {
  /* y = (x - c) a + b */
  void (*scale)(int64_t n, const void *x, double c, double a, double b, void *y);
  void (*scale_row)(int64_t n, const void *x, const void *c, const void *a, const void *b, void *y);
  /* sums[0] += sum g, sums[1] += sum g (x - c); of rows, to[j] and to[n + j] */
  void (*slopes)(int64_t n, const void *g, const void *x, double c, double *sums);
  void (*slopes_row)(int64_t n, const void *g, const void *x, const void *c, double *to);
  /* dx = a g - p - q (x - c) */
  void (*scale_grad)(int64_t n, const void *g, const void *x, double c, double a, double p, double q, void *dx);
  void (*scale_grad_row)(int64_t n, const void *g, const void *x, const void *c, const void *a, const void *p, const void *q, void *dx);
  /* y = x r w, r = 1 / sqrt(mean(x^2) + eps); w may be NULL. n >= 1 */
  void (*rms)(int64_t n, const void *x, const void *w, double eps, void *y);
  /* With d = g w: dx = r d - x r^3 mean(d x); dw (doubles) += g x r. dx, dw may be NULL. */
  void (*rms_grad)(int64_t n, const void *g, const void *x, const void *w, double eps, void *dx, double *dw);
} np_norm;

#endif
