/* Copies of a tensor with a region replaced: what select and slice see, written to. The region is a layout on the copy's
 * memory; reading it out of the gradient and clearing it there are the two gradients. diagonal.c and strided.c have the
 * same for diagonals and for any strides. */
#include "loops.h"

/* Checks that src has the region's shape, and says the result: as x. */
static int fits(np_call *c, const np_layout *region, const char *what) {
  const np_layout *x = &np_t(c, 0)->at, *src = &np_t(c, 1)->at;
  if (!np_layout_has_shape(src, region->ndim, region->shape)) {
    char s[128], r[128];
    neap_tensor w = np_window(np_t(c, 0), region);
    np_shape_text(s, sizeof s, np_t(c, 1));
    np_shape_text(r, sizeof r, &w);
    return np_reject(c, NEAP_ERR_SHAPE, "src has shape %s, %s has %s", s, what, r);
  }
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}

static int replace(np_call *c, const np_layout *region) {
  neap_tensor to = np_window(c->out[0], region);
  return np_copy(c->ctx, &to, np_t(c, 1));
}

/* ---- select_scatter: x src dim index ---- */

int np_select_scatter_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int d = 0;
  int64_t i = np_i(c, 3);
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to select from");
  if (np_axis(c, np_i(c, 2), x->ndim, &d) != 0) return c->ctx->error;
  if (i < -x->shape[d] || i >= x->shape[d]) {
    char text[128];
    np_dim_text(text, sizeof text, c, d, "x", np_t(c, 0));
    return np_reject(c, NEAP_ERR_INDEX, "index is %lld, %s", i < 0 ? (long long)i : NP_DIM(c, i), text);
  }
  c->room[0] = d;
  c->room[1] = i < 0 ? i + x->shape[d] : i;
  np_layout l = np_layout_select(x, d, c->room[1]);
  return fits(c, &l, "the part at index");
}

int np_select_scatter_run(np_call *c) {
  np_layout l = np_layout_select(&c->out[0]->at, (int)c->room[0], c->room[1]);
  np_copy(c->ctx, c->out[0], np_t(c, 0));
  return replace(c, &l);
}

int np_select_scatter_back(np_back *b) { /* gx = g, 0 at index; gsrc = g there */
  neap_context *c = b->ctx;
  int64_t d = b->arg[2].i, i = b->arg[3].i;
  if (b->in[0].needs) b->gx[0] = neap_select_scatter(c, b->g[0], np_zeros_like(c, &b->in[1].at), d, i);
  if (b->in[1].needs) b->gx[1] = neap_select(c, b->g[0], d, i);
  return c->error;
}

/* ---- slice_scatter: x src dim start length step ---- */

int np_slice_scatter_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at, *src = &np_t(c, 1)->at;
  int d = 0;
  int64_t start = np_i(c, 3), step = np_i(c, 5);
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to cut");
  if (np_axis(c, np_i(c, 2), x->ndim, &d) != 0) return c->ctx->error;
  int64_t size = x->shape[d], length = np_given(c, 4) ? np_i(c, 4) : src->ndim == x->ndim ? src->shape[d] : 0;
  if (step < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "step is %lld, it must be at least 1", (long long)step);
  if (length < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "length is %lld, it must be at least 0", (long long)length);
  if (start < 0) start += size;
  if (start < 0 || start > size || length > np_blocks(size - start, step)) {
    char text[128];
    np_dim_text(text, sizeof text, c, d, "x", np_t(c, 0));
    return np_reject(c, NEAP_ERR_INDEX, "%lld from position %lld on, %lld apart, do not fit: %s", (long long)length,
                     NP_DIM(c, start), (long long)step, text);
  }
  c->room[0] = d, c->room[1] = start, c->room[2] = length, c->room[3] = step;
  np_layout l = np_layout_cut(x, d, start, length, step);
  return fits(c, &l, "the part");
}

int np_slice_scatter_run(np_call *c) {
  np_layout l = np_layout_cut(&c->out[0]->at, (int)c->room[0], c->room[1], c->room[2], c->room[3]);
  np_copy(c->ctx, c->out[0], np_t(c, 0));
  return replace(c, &l);
}

int np_slice_scatter_back(np_back *b) { /* gx = g, 0 in the part; gsrc = g there */
  neap_context *c = b->ctx;
  const np_layout *src = &b->in[1].at;
  int64_t d = np_axis_of(&b->arg[2], src->ndim), n = src->shape[d], step = b->arg[5].i;
  int64_t start = n > 0 ? b->arg[3].i : 0;
  if (b->in[0].needs) b->gx[0] = neap_slice_scatter(c, b->g[0], np_zeros_like(c, src), d, start, n, step);
  if (b->in[1].needs) b->gx[1] = neap_slice(c, b->g[0], d, start, n, step);
  return c->error;
}
