/* pool.h: the loops of pooling and resizing over one row, one table per float type. A window is a run of `count` elements
   from `start` on, `dilation` apart; where all windows of a row lie `step` apart, their elements number t are taken
   together. Positions are within a plane of fewer than 2^31 elements. */
#ifndef NP_POOL_H
#define NP_POOL_H

#include <stdint.h>

typedef struct np_pool_loops {
  /* best[o], where[o]: the greater of best[o] and x[o*step], whose position is at + o*step; NaN, once met, stays. */
  void (*max_step)(int64_t n, const void *x, int64_t step, int32_t at, void *best, int32_t *where);
  /* The same over window o of x, whose element 0 has the position at. */
  void (*max_windows)(int64_t n, const void *x, const int64_t *start, const int64_t *count, int64_t dilation, int32_t at,
                      void *best, int32_t *where);
  void (*add)(int64_t n, const void *x, int64_t xs, void *y, int64_t ys); /* y[i*ys] += x[i*xs] */
  void (*sum_windows)(int64_t n, const void *x, const int64_t *start, const int64_t *count, void *y); /* y[o] += sum of window o of x */
  void (*add_windows)(int64_t n, const void *g, const int64_t *start, const int64_t *count, void *y); /* window o of y += g[o] */
  void (*scale)(int64_t n, const void *x, double a, const double *w, void *y); /* y[o] = x[o] a w[o]; y may be x */
  /* y[o] = sum of w[o*taps + t] x[at[o*taps + t]], and its adjoint y[at[o*taps + t]] += w[o*taps + t] g[o]. */
  void (*mix)(int64_t n, int64_t taps, const void *x, const int64_t *at, const double *w, void *y);
  void (*unmix)(int64_t n, int64_t taps, const void *g, const int64_t *at, const double *w, void *y);
} np_pool_loops;

#endif
