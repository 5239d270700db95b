/* Runs of a dimension that may overlap, seen as a view; and the adjoint, which adds runs back to where they lay. Within
 * one place of all runs no two elements meet, nor within one run, so the sums go by whichever is fewer, always in order.
 * Windows of images are runs of two dimensions. */
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
  int64_t d = np_axis_of(&b->arg[1], b->in[0].at.ndim);
  b->gx[0] = neap_unfold_add(b->ctx, b->g[0], d, b->in[0].at.shape[d], b->arg[3].i);
  return b->ctx->error;
}

/* ---- unfold_add: g dim length step ---- */

int np_unfold_add_infer(np_call *c) {
  const np_layout *g = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS], length = np_i(c, 2), step = np_i(c, 3);
  int d;
  if (g->ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "g must have 2 dimensions or more, got %d: its last one holds the runs", g->ndim);
  if (np_axis(c, np_i(c, 1), g->ndim - 1, &d) != 0) return c->ctx->error;
  int64_t runs = g->shape[d], size = g->shape[g->ndim - 1];
  if (step < 1 || length < size || runs != (length - size) / step + 1) return np_reject(c, NEAP_ERR_SHAPE, "%lld runs of %lld, %lld apart, do not cover %lld", (long long)runs, (long long)size,
                                                                                              (long long)step, (long long)length);
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
  neap_tensor *t = np_room(y, native);
  if (!t) return c->ctx->error;
  np_zero(c->ctx, t);
  for (int64_t i = 0; i < (by_run ? runs : size) && g->at.count > 0; i++) {
    np_layout to = by_run ? np_layout_cut(&t->at, d, i * step, size, 1) : np_layout_cut(&t->at, d, i, runs, step);
    np_layout from = by_run ? np_layout_cut(&g->at, d, i, 1, 1) : np_layout_select(&g->at, last, i);
    if (by_run) from.shape[d] = size, from.stride[d] = from.stride[last], from.ndim--, from.count = to.count; /* a run lies along d */
    neap_tensor a = np_window(t, &to), part = np_window(g, &from);
    np_add_into(c->ctx, &a, &part);
  }
  np_deliver(c->ctx, y, t);
  return c->ctx->error;
}

int np_unfold_add_back(np_back *b) { /* gg = the runs of g */
  int64_t d = np_axis_of(&b->arg[1], b->out[0].at.ndim);
  b->gx[0] = neap_unfold(b->ctx, b->g[0], d, b->in[0].at.shape[b->in[0].at.ndim - 1], b->arg[3].i);
  return b->ctx->error;
}

/* ---- windows of images: im2col and fold ---- */

typedef struct windows { /* of the two last dimensions; [0] is of the height */
  int64_t kernel[2], dilation[2], padding[2], stride[2], reach[2], count[2]; /* reach: from first to last of a window, count: of windows */
} windows;

static int pair(np_call *c, int i, int64_t standard, int64_t least, int64_t out[2]) {
  const neap_value *v = &c->arg[i];
  if (v->kind == NEAP_NONE) {
    out[0] = out[1] = standard;
    return NEAP_OK;
  }
  if (v->n < 1 || v->n > 2) return np_reject(c, NEAP_ERR_ARGUMENT, "%s takes one number or two, got %d", c->sig->param[i].name, v->n);
  for (int d = 0; d < 2; d++) {
    out[d] = v->is[v->n == 2 ? d : 0];
    if (out[d] < least || out[d] > INT32_MAX)
      return np_reject(c, NEAP_ERR_ARGUMENT, "%s is %lld, it must be at least %lld", c->sig->param[i].name, (long long)out[d], (long long)least);
  }
  return NEAP_OK;
}

/* The settings that begin at argument i, for images of this height and width. */
static int windows_of(np_call *c, int i, const int64_t size[2], windows *w) {
  if (pair(c, i, 1, 1, w->kernel) != 0 || pair(c, i + 1, 1, 1, w->dilation) != 0 || pair(c, i + 2, 0, 0, w->padding) != 0 ||
      pair(c, i + 3, 1, 1, w->stride) != 0) return c->ctx->error;
  for (int d = 0; d < 2; d++) {
    int64_t padded = size[d] + 2 * w->padding[d];
    w->reach[d] = w->dilation[d] * (w->kernel[d] - 1) + 1;
    if (w->reach[d] > padded)
      return np_reject(c, NEAP_ERR_SHAPE, "a window reaches over %lld positions, an image with its padding has %lld", (long long)w->reach[d], (long long)padded);
    w->count[d] = (padded - w->reach[d]) / w->stride[d] + 1;
  }
  return NEAP_OK;
}

int np_im2col_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int n = x->at.ndim;
  windows w;
  char shape[128];
  np_shape_text(shape, sizeof shape, x);
  if (n != 3 && n != 4) return np_reject(c, NEAP_ERR_SHAPE, "x is (N, C, H, W) or (C, H, W), got %s", shape);
  if (windows_of(c, 1, x->at.shape + n - 2, &w) != 0) return ctx->error;
  neap_tensor *y = n == 3 ? neap_unsqueeze(ctx, x, 0) : x;
  int64_t around[] = { w.padding[1], w.padding[1], w.padding[0], w.padding[0] };
  if (w.padding[0] || w.padding[1]) y = neap_pad(ctx, y, 4, around, 0, 0);
  for (int d = 0; d < 2; d++) { /* (N, C, Lh, Lw, kh, kw) */
    y = neap_unfold(ctx, y, 2 + d, w.reach[d], w.stride[d]);
    if (w.dilation[d] > 1) y = neap_slice(ctx, y, -1, 0, w.kernel[d], w.dilation[d]);
  }
  y = neap_permute(ctx, y, 6, (int64_t[]){ 0, 1, 4, 5, 2, 3 });
  int64_t columns[] = { n == 4 ? x->at.shape[0] : 1, x->at.shape[n - 3] * w.kernel[0] * w.kernel[1], w.count[0] * w.count[1] };
  y = n == 4 ? neap_reshape(ctx, y, 3, columns) : neap_reshape(ctx, y, 2, columns + 1);
  c->out[0] = y;
  return ctx->error;
}

int np_col2im_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int n = x->at.ndim;
  int64_t size[2];
  windows w;
  char shape[128];
  np_shape_text(shape, sizeof shape, x);
  if (n != 2 && n != 3) return np_reject(c, NEAP_ERR_SHAPE, "x is (N, C kh kw, windows) or (C kh kw, windows), got %s", shape);
  if (pair(c, 1, 1, 1, size) != 0 || windows_of(c, 2, size, &w) != 0) return ctx->error;
  int64_t area = w.kernel[0] * w.kernel[1], rows = x->at.shape[n - 2];
  if (rows % area != 0)
    return np_reject(c, NEAP_ERR_SHAPE, "x %s: its columns have %lld elements, which windows of %lld do not divide", shape, (long long)rows, (long long)area);
  if (x->at.shape[n - 1] != w.count[0] * w.count[1])
    return np_reject(c, NEAP_ERR_SHAPE, "x %s has %lld columns; an output of (%lld, %lld) has %lld by %lld windows", shape, (long long)x->at.shape[n - 1],
                     (long long)size[0], (long long)size[1], (long long)w.count[0], (long long)w.count[1]);
  int64_t N = n == 3 ? x->at.shape[0] : 1, C = rows / area;
  neap_tensor *y = neap_reshape(ctx, x, 6, (int64_t[]){ N, C, w.kernel[0], w.kernel[1], w.count[0], w.count[1] });
  y = neap_permute(ctx, y, 6, (int64_t[]){ 0, 1, 4, 2, 5, 3 }); /* (N, C, Lh, kh, Lw, kw) */
  for (int d = 1; d >= 0; d--) { /* the width's windows first, then (N, C, Lh, W, kh) */
    if (d == 0) y = neap_transpose(ctx, y, 3, 4);
    if (y && w.dilation[d] > 1) {
      int64_t spread[NEAP_MAX_DIMS];
      memcpy(spread, y->at.shape, sizeof spread);
      spread[y->at.ndim - 1] = w.reach[d];
      y = neap_place(ctx, y, y->at.ndim, spread, -1, 0, w.dilation[d]);
    }
    y = neap_unfold_add(ctx, y, d == 1 ? 4 : 2, size[d] + 2 * w.padding[d], w.stride[d]);
  }
  for (int d = 0; d < 2; d++)
    if (w.padding[d]) y = neap_narrow(ctx, y, 2 + d, w.padding[d], size[d]);
  c->out[0] = n == 3 ? y : neap_squeeze(ctx, y, 1, (int64_t[]){ 0 });
  return ctx->error;
}
