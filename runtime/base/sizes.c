/* Arithmetic on sizes, in the one place that minds overflow. A tensor has fewer than 2^56 elements, so that any of its
 * byte counts and strides fits in an int64; the dimensions beside a 0 must fit as well, for they become strides. */
#include "base.h"

int np_mul_size(size_t a, size_t b, size_t *out) { return __builtin_mul_overflow(a, b, out); }

int np_count_elements(int ndim, const int64_t *shape, int64_t *count) {
  const int64_t most = (int64_t)1 << 56;
  int64_t product = 1;
  int empty = 0;
  for (int i = 0; i < ndim; i++) {
    if (shape[i] < 0) return -1;
    if (shape[i] == 0) empty = 1;
    else if (__builtin_mul_overflow(product, shape[i], &product) || product >= most) return -1;
  }
  *count = empty ? 0 : product;
  return 0;
}
