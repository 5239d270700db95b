/* Walking several operands together: their shapes broadcast to one, dimensions merged wherever every operand's strides
 * allow it, the innermost taken as the row. The order stays row-major, so rows follow each other as elements do. When a
 * size is 0 there are no rows. Also broadcasting itself. */
#include <string.h>
#include "tensor.h"

void np_iter_init(np_iter *it, int n, const np_layout *const *operands, int ndim, const int64_t *shape) {
  int64_t size[NEAP_MAX_DIMS + 1], step[NP_ITER_MAX][NEAP_MAX_DIMS + 1];
  int kept = 0; /* dimensions so far, innermost first */
  int empty = 0;
  for (int d = ndim - 1; d >= 0; d--) {
    empty |= shape[d] == 0;
    if (shape[d] == 1) continue;
    int64_t here[NP_ITER_MAX];
    int merges = kept > 0;
    for (int o = 0; o < n; o++) {
      const np_layout *l = operands[o];
      int k = d - (ndim - l->ndim);
      here[o] = k < 0 || l->shape[k] == 1 ? 0 : l->stride[k];
      if (kept > 0 && here[o] != step[o][kept - 1] * size[kept - 1]) merges = 0;
    }
    if (merges) {
      size[kept - 1] *= shape[d];
      continue;
    }
    size[kept] = shape[d];
    for (int o = 0; o < n; o++) step[o][kept] = here[o];
    kept++;
  }
  it->n_operands = n;
  it->n = kept > 0 ? size[0] : 1;
  it->ndim = kept > 1 ? kept - 1 : 0;
  it->rows = 1;
  for (int o = 0; o < n; o++) it->stride[o] = kept > 0 ? step[o][0] : 0;
  for (int d = 0; d < it->ndim; d++) {
    int from = kept - 1 - d;
    it->shape[d] = size[from];
    it->rows *= size[from];
    for (int o = 0; o < n; o++) it->step[o][d] = step[o][from];
  }
  if (empty) it->rows = it->n = 0;
}

void np_iter_row(const np_iter *it, int64_t row, int64_t *offsets) {
  for (int o = 0; o < it->n_operands; o++) offsets[o] = 0;
  for (int d = it->ndim - 1; d >= 0; d--) {
    int64_t i = d > 0 ? row % it->shape[d] : row;
    row /= it->shape[d];
    for (int o = 0; o < it->n_operands; o++) offsets[o] += i * it->step[o][d];
  }
}

int np_broadcast(neap_context *c, const char *op, const np_layout *a, const np_layout *b, int *ndim, int64_t *shape) {
  int n = a->ndim > b->ndim ? a->ndim : b->ndim;
  int64_t out[NEAP_MAX_DIMS];
  for (int d = 0; d < n; d++) {
    int i = d - (n - a->ndim), k = d - (n - b->ndim);
    int64_t x = i < 0 ? 1 : a->shape[i], y = k < 0 ? 1 : b->shape[k];
    out[d] = x == 1 ? y : x;
    if (x == y || x == 1 || y == 1) continue;
    char text[NP_SHAPES_TEXT];
    np_shapes_text(text, a, " and ", b);
    return np_fail(c, NEAP_ERR_SHAPE, "%s: shapes %s do not broadcast: dimension %d is %lld against %lld", op, text,
                   d + c->site.base, (long long)x, (long long)y);
  }
  *ndim = n;
  memcpy(shape, out, (size_t)n * sizeof *shape);
  return NEAP_OK;
}
