/* Diagonals: seen as a view, written to, or spread out into matrices; and whole blocks along a diagonal. A diagonal is
 * one dimension whose stride is the sum of two. Reading one and writing one are each other's gradients. */
#include "loops.h"

/* The diagonal of x as a layout, its place the last dimension. The arguments start at `first`: offset dim1 dim2. */
static int seen(np_call *c, const np_layout *x, int first, np_layout *y) {
  int i, j, n = 0;
  int64_t offset = np_i(c, first);
  if (x->ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "x must have 2 dimensions or more, got %d", x->ndim);
  if (np_axis(c, np_i(c, first + 1), x->ndim, &i) != 0 || np_axis(c, np_i(c, first + 2), x->ndim, &j) != 0) return c->ctx->error;
  if (i == j) return np_reject(c, NEAP_ERR_ARGUMENT, "dim1 and dim2 are both %lld: a diagonal lies in two dimensions", NP_DIM(c, i));
  int64_t rows = x->shape[i], cols = x->shape[j], down = 0, right = 0;
  if (offset < 0) down = offset < -rows ? rows : -offset;
  else right = np_min(offset, cols);
  *y = *x;
  for (int d = 0; d < x->ndim; d++)
    if (d != i && d != j) y->shape[n] = x->shape[d], y->stride[n++] = x->stride[d];
  y->shape[n] = np_min(rows - down, cols - right);
  y->stride[n++] = x->stride[i] + x->stride[j];
  y->ndim = (uint8_t)n;
  y->count = 1;
  for (int d = 0; d < n; d++) y->count *= y->shape[d];
  if (y->count > 0) y->offset += down * x->stride[i] + right * x->stride[j];
  return NEAP_OK;
}

/* ---- diagonal: x offset dim1 dim2 ---- */

int np_diagonal_infer(np_call *c) { return seen(c, &np_t(c, 0)->at, 1, &c->spec[0]); }
int np_diagonal_back(np_back *b) { /* gx = zeros with g on the diagonal */
  neap_tensor *zeros = np_zeros_like(b->ctx, &b->in[0].at);
  b->gx[0] = neap_diagonal_scatter(b->ctx, zeros, b->g[0], b->arg[1].i, b->arg[2].i, b->arg[3].i);
  return b->ctx->error;
}

/* ---- diagonal_scatter: x src offset dim1 dim2 ---- */

int np_diagonal_scatter_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at, *src = &np_t(c, 1)->at;
  np_layout l;
  if (seen(c, x, 2, &l) != 0) return c->ctx->error;
  if (src->ndim != l.ndim || memcmp(src->shape, l.shape, (size_t)l.ndim * sizeof *l.shape) != 0) {
    char a[128], s[128];
    neap_tensor w = np_window(np_t(c, 0), &l);
    np_shape_text(a, sizeof a, &w);
    np_shape_text(s, sizeof s, np_t(c, 1));
    return np_reject(c, NEAP_ERR_SHAPE, "src has shape %s, the diagonal has %s", s, a);
  }
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}
int np_diagonal_scatter_run(np_call *c) {
  neap_tensor *y = c->out[0];
  np_layout l;
  np_copy(c->ctx, y, np_t(c, 0));
  if (seen(c, &y->at, 2, &l) != 0) return c->ctx->error;
  neap_tensor to = np_window(y, &l);
  return np_copy(c->ctx, &to, np_t(c, 1));
}
int np_diagonal_scatter_back(np_back *b) { /* gx = g, 0 on the diagonal; gsrc = the diagonal of g */
  neap_context *c = b->ctx;
  if (b->in[0].needs)
    b->gx[0] = neap_diagonal_scatter(c, b->g[0], np_zeros_like(c, &b->in[1].at), b->arg[2].i, b->arg[3].i, b->arg[4].i);
  if (b->in[1].needs) b->gx[1] = neap_diagonal(c, b->g[0], b->arg[2].i, b->arg[3].i, b->arg[4].i);
  return c->error;
}

/* ---- diag_embed: x offset dim1 dim2 ---- */

int np_diag_embed_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS + 1], offset = np_i(c, 1);
  int i, j, n = x->ndim + 1, k = 0;
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x must have 1 dimension or more, got 0");
  if (np_axis(c, np_i(c, 2), n, &i) != 0 || np_axis(c, np_i(c, 3), n, &j) != 0) return c->ctx->error;
  if (i == j) return np_reject(c, NEAP_ERR_ARGUMENT, "dim1 and dim2 are both %lld: a diagonal lies in two dimensions", NP_DIM(c, i));
  if (offset > INT64_MAX / 4 || offset < -(INT64_MAX / 4)) return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
  int64_t side = x->shape[x->ndim - 1] + (offset < 0 ? -offset : offset);
  for (int d = 0; d < n; d++) shape[d] = d == i || d == j ? side : x->shape[k++];
  return np_spec(c, 0, x->dtype, n, shape);
}
int np_diag_embed_run(np_call *c) {
  neap_tensor *y = c->out[0];
  np_layout l;
  np_zero(c->ctx, y);
  if (seen(c, &y->at, 1, &l) != 0) return c->ctx->error;
  neap_tensor to = np_window(y, &l);
  return np_copy(c->ctx, &to, np_t(c, 0));
}
int np_diag_embed_back(np_back *b) { /* gx = the diagonal of g */
  b->gx[0] = neap_diagonal(b->ctx, b->g[0], b->arg[1].i, b->arg[2].i, b->arg[3].i);
  return b->ctx->error;
}

/* ---- diag and diagflat: made of these ---- */

int np_diag_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  if (x->at.ndim == 1) c->out[0] = neap_diag_embed(c->ctx, x, np_i(c, 1), -2, -1);
  else if (x->at.ndim == 2) c->out[0] = neap_clone(c->ctx, neap_diagonal(c->ctx, x, np_i(c, 1), 0, 1));
  else return np_reject(c, NEAP_ERR_SHAPE, "x must have 1 or 2 dimensions, got %d: diagonal and diag_embed take more", x->at.ndim);
  return c->ctx->error;
}
int np_diagflat_run(np_call *c) {
  c->out[0] = neap_diag_embed(c->ctx, neap_ravel(c->ctx, np_t(c, 0)), np_i(c, 1), -2, -1);
  return c->ctx->error;
}

/* ---- block_diag: tensors ---- */

static int64_t rows_of(const np_layout *x) { return x->ndim == 2 ? x->shape[0] : 1; }
static int64_t cols_of(const np_layout *x) { return x->ndim ? x->shape[x->ndim - 1] : 1; }

int np_block_diag_infer(np_call *c) {
  const neap_value *xs = &c->arg[0];
  int64_t shape[2] = { 0, 0 };
  int dtype = -1;
  if (xs->n == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "the list of tensors is empty");
  for (int i = 0; i < xs->n; i++) {
    if (!xs->ts[i]) return np_reject(c, NEAP_ERR_ARGUMENT, "tensor %lld of the list is missing", NP_DIM(c, i));
    const np_layout *x = &xs->ts[i]->at;
    if (x->ndim > 2) return np_reject(c, NEAP_ERR_SHAPE, "tensor %lld has %d dimensions, 2 are the most", NP_DIM(c, i), x->ndim);
    dtype = dtype < 0 ? x->dtype : (int)neap_promote((neap_dtype)dtype, (neap_dtype)x->dtype);
    shape[0] += rows_of(x), shape[1] += cols_of(x);
  }
  return np_spec(c, 0, dtype, 2, shape);
}
int np_block_diag_run(np_call *c) {
  const neap_value *xs = &c->arg[0];
  neap_tensor *y = c->out[0];
  np_layout block = y->at;
  np_zero(c->ctx, y);
  for (int i = 0; i < xs->n; i++) {
    const np_layout *x = &xs->ts[i]->at;
    block.shape[0] = rows_of(x), block.shape[1] = cols_of(x);
    block.count = x->count;
    neap_tensor to = np_window(y, &block);
    if (x->count > 0) np_copy(c->ctx, &to, xs->ts[i]);
    block.offset += block.shape[0] * block.stride[0] + block.shape[1] * block.stride[1];
  }
  return NEAP_OK;
}
int np_block_diag_back(np_back *b) { /* each gets its block of g */
  int64_t row = 0, col = 0;
  for (int i = 0; i < b->n_in; i++) {
    const np_layout *x = &b->in[i].at;
    if (b->in[i].needs) {
      neap_tensor *g = neap_narrow(b->ctx, neap_narrow(b->ctx, b->g[0], 0, row, rows_of(x)), 1, col, cols_of(x));
      b->gx[i] = neap_reshape(b->ctx, g, x->ndim, x->shape);
    }
    row += rows_of(x), col += cols_of(x);
  }
  return b->ctx->error;
}
