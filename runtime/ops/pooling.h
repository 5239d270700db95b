/* pooling.h: the engine of pooling (pooling.c): windows over the last one to three dimensions of planes, by tables of
 * where each window of a dimension begins and how many elements it has. */
#ifndef NP_POOLING_H
#define NP_POOLING_H

#include "loops.h"

/* The windows of one dimension of n elements: `size` of them. */
typedef struct np_windows {
  int64_t n, size;
  int64_t kernel, stride, padding, dilation; /* kernel 0: adaptive, from floor(o n / size) up to ceil((o + 1) n / size) */
} np_windows;

typedef struct np_pooling {
  int64_t planes;
  np_windows w[3];           /* leading ones of size 1 */
  int include;               /* a mean counts the padding */
  int64_t divisor;           /* of a mean; 0: how many elements there are */
} np_pooling;

/* On contiguous planes of a dtype that is computed in. at: positions in a plane, counted from base, or NULL. */
int np_pool_max(neap_context *c, int dtype, const np_pooling *p, const char *x, char *y, int64_t *at, int base);
int np_pool_mean(neap_context *c, int dtype, const np_pooling *p, const char *x, char *y);
int np_pool_mean_back(neap_context *c, int dtype, const np_pooling *p, const char *g, char *gx); /* its adjoint */

#endif
