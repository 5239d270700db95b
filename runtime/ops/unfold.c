/* Runs of a dimension that may overlap, seen as a view; and the adjoint, which adds runs back to where they lay. Within
 * one place of all runs no two elements meet, nor within one run, so the sums go by whichever is fewer, always in order. */
#include "loops.h"

/* ---- unfold: x dim size step ---- */

int np_unfold_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  np_layout *y = &c->spec[0];
  int d;
  int64_t size = np_i(c, 2), step = np_i(c, 3);
  if (x->ndim == NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "x already has %d dimensions, the most there can be", x->ndim);
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to unfold");
  if (np_axis(c, np_i(c, 1), x->ndim, &d) != 0) return c->ctx->error;
  if (step < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "step is %lld, it must be at least 1", (long long)step);
  if (size < 0 || size > x->shape[d])
    return np_reject(c, NEAP_ERR_SHAPE, "size is %lld: dimension %lld of x has %lld positions", (long long)size, NP_DIM(c, d), (long long)x->shape[d]);
  *y = *x;
  y->ndim++;
  y->shape[d] = (x->shape[d] - size) / step + 1;
  y->stride[d] = y->shape[d] > 1 ? x->stride[d] * step : x->stride[d];
  y->shape[x->ndim] = size;
  y->stride[x->ndim] = x->stride[d];
  y->count = 1;
  for (int i = 0; i < y->ndim; i++) y->count *= y->shape[i];
  return NEAP_OK;
}
int np_unfold_back(np_back *b) { /* gx[i] = sum of g over the runs that hold x[i] */
  int64_t d = b->arg[1].i < 0 ? b->arg[1].i + b->in[0].at.ndim : b->arg[1].i;
  b->gx[0] = neap_unfold_add(b->ctx, b->g[0], d, b->in[0].at.shape[d], b->arg[3].i);
  return b->ctx->error;
}

/* ---- unfold_add: g dim length step ---- */

int np_unfold_add_infer(np_call *c) {
  const np_layout *g = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS], length = np_i(c, 2), step = np_i(c, 3);
  int d;
  if (g->ndim < 2 || np_axis(c, np_i(c, 1), g->ndim - 1, &d) != 0) return np_reject(c, NEAP_ERR_SHAPE, "g has no runs");
  int64_t runs = g->shape[d], size = g->shape[g->ndim - 1];
  if (step < 1 || length < size || runs != (length - size) / step + 1) return np_reject(c, NEAP_ERR_SHAPE, "g does not fit there");
  memcpy(shape, g->shape, sizeof shape);
  shape[d] = length;
  c->room[0] = d;
  return np_spec(c, 0, g->dtype, g->ndim - 1, shape);
}

int np_unfold_add_run(np_call *c) {
  neap_tensor *g = np_t(c, 0), *y = c->out[0];
  int d = (int)c->room[0], last = g->at.ndim - 1, native = np_native_of(y->at.dtype);
  int64_t runs = g->at.shape[d], size = g->at.shape[last], step = np_i(c, 3);
  int by_run = runs < size || (size >= 32 && g->at.stride[last] == 1); /* else by the place in a run */
  neap_tensor *t = native == y->at.dtype ? neap_retain(y) : np_tensor_like(y, native);
  if (!t) return c->ctx->error;
  np_zero(c->ctx, t);
  for (int64_t i = 0; i < (by_run ? runs : size) && g->at.count > 0; i++) {
    np_layout from = g->at, to = t->at;
    to.shape[d] = by_run ? size : runs;
    to.stride[d] *= by_run ? 1 : step;
    to.offset += i * t->at.stride[d] * (by_run ? step : 1);
    to.count = to.count / t->at.shape[d] * to.shape[d];
    from.offset += i * from.stride[by_run ? d : last];
    from.shape[d] = to.shape[d];
    if (by_run) from.stride[d] = from.stride[last];
    from.ndim--;
    from.count = to.count;
    neap_tensor a = np_window(t, &to), part = np_window(g, &from);
    np_add_into(c->ctx, &a, &part);
  }
  if (t != y) np_copy(c->ctx, y, t);
  neap_release(t);
  return c->ctx->error;
}

int np_unfold_add_back(np_back *b) { /* gg = the runs of g */
  int64_t d = b->arg[1].i < 0 ? b->arg[1].i + b->out[0].at.ndim : b->arg[1].i;
  b->gx[0] = neap_unfold(b->ctx, b->g[0], d, b->in[0].at.shape[b->in[0].at.ndim - 1], b->arg[3].i);
  return b->ctx->error;
}
