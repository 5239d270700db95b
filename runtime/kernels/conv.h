/* conv.h: the loops of convolutions, one table per float type. An image is laid out with its zero padding, one row after
   the other, so that a tap of the kernel is a fixed distance: the product at all places for one tap reads one run of
   memory. Where the stride is not 1 the image is laid out in its phases, which makes that true again. */
#ifndef NP_CONV_H
#define NP_CONV_H

#include <stdint.h>

typedef struct np_conv {
  int64_t lanes;        /* of a vector; x is read up to `lanes` elements past what is asked for */
  int64_t rows;         /* the most rows that taps takes: a power of 2 */
  /* y[i*ldy + p] = b[i] + sum_q w[q*m + i] x[at[q] + p] for i < m (a power of 2, at most `rows`), p < n, q < k in order of
     q; b NULL: zeros. */
  void (*taps)(int m, int64_t n, int64_t k, const void *x, const int64_t *at, const void *w, const void *b, void *y, int64_t ldy);
  /* y[q*ldy + i] += sum over places of g[place*ldy + i] x[at[q] + place's offset], i < m (a multiple of lanes, m <= ldy),
     q < k. Places are a grid: offset d*plane + h*pitch + w; numbered row-major. */
  void (*taps_grad)(int64_t m, int64_t k, const void *x, const int64_t *at, const int64_t grid[3], int64_t plane, int64_t pitch,
                    const void *g, void *y, int64_t ldy);
} np_conv;

#endif
