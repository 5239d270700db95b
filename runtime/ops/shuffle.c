/* Channels and places of images exchanged: only shapes and orders move, so these are made of views. */
#include "loops.h"

static int positive(np_call *c, int i) {
  return np_i(c, i) >= 1 ? NEAP_OK : np_reject(c, NEAP_ERR_ARGUMENT, "%s is %lld, it must be at least 1", c->sig->param[i].name, (long long)np_i(c, i));
}

/* x (..., C, H, W) as (rows, C, H, W). */
static neap_tensor *images_of(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  char text[128];
  np_shape_text(text, sizeof text, x);
  if (x->at.ndim < 3) {
    np_reject(c, NEAP_ERR_SHAPE, "x must be of shape (..., C, H, W), got %s", text);
    return NULL;
  }
  int64_t rows = 1;
  for (int d = 0; d < x->at.ndim - 3; d++) rows *= x->at.shape[d];
  const int64_t *tail = x->at.shape + x->at.ndim - 3, shape[4] = { rows, tail[0], tail[1], tail[2] };
  return neap_reshape(c->ctx, x, 4, shape);
}

static int deliver(np_call *c, neap_tensor *y, int64_t channels, int64_t height, int64_t width) {
  const np_layout *x = &c->arg[0].t->at;
  int64_t shape[NEAP_MAX_DIMS];
  for (int d = 0; d < x->ndim - 3; d++) shape[d] = x->shape[d];
  shape[x->ndim - 3] = channels, shape[x->ndim - 2] = height, shape[x->ndim - 1] = width;
  c->out[0] = neap_reshape(c->ctx, y, x->ndim, shape);
  return c->ctx->error;
}

int np_pixel_shuffle_run(np_call *c) { /* x upscale_factor: (N, C r r, H, W) to (N, C, H r, W r) */
  if (positive(c, 1) != 0) return c->ctx->error;
  neap_tensor *x = images_of(c);
  if (!x) return c->ctx->error;
  const int64_t *s = x->at.shape, r = np_i(c, 1), C = r < 46341 ? s[1] / (r * r) : 0;
  if (C == 0 ? s[1] > 0 : s[1] % (r * r) != 0)
    return np_reject(c, NEAP_ERR_SHAPE, "upscale_factor %lld needs a multiple of %lld channels, x has %lld", (long long)r, (long long)r * r, (long long)s[1]);
  neap_tensor *y = neap_reshape(c->ctx, x, 6, (int64_t[]){ s[0], C, r, r, s[2], s[3] });
  return deliver(c, neap_permute(c->ctx, y, 6, (int64_t[]){ 0, 1, 4, 2, 5, 3 }), C, s[2] * r, s[3] * r);
}

int np_pixel_unshuffle_run(np_call *c) { /* x downscale_factor: (N, C, H r, W r) to (N, C r r, H, W) */
  if (positive(c, 1) != 0) return c->ctx->error;
  neap_tensor *x = images_of(c);
  if (!x) return c->ctx->error;
  const int64_t *s = x->at.shape, r = np_i(c, 1);
  if (s[2] % r || s[3] % r)
    return np_reject(c, NEAP_ERR_SHAPE, "downscale_factor %lld does not divide an image of (%lld, %lld)", (long long)r, (long long)s[2], (long long)s[3]);
  neap_tensor *y = neap_reshape(c->ctx, x, 6, (int64_t[]){ s[0], s[1], s[2] / r, r, s[3] / r, r });
  return deliver(c, neap_permute(c->ctx, y, 6, (int64_t[]){ 0, 1, 3, 5, 2, 4 }), s[1] * r * r, s[2] / r, s[3] / r);
}

int np_channel_shuffle_run(np_call *c) { /* x groups: channels (groups, n) read as (n, groups) */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int64_t groups = np_i(c, 1), shape[NEAP_MAX_DIMS + 1];
  char text[128];
  np_shape_text(text, sizeof text, x);
  if (positive(c, 1) != 0) return ctx->error;
  if (x->at.ndim < 3 || x->at.ndim == NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "x must be of shape (N, C, ...), of 3 to 7 dimensions, got %s", text);
  if (x->at.shape[1] % groups) return np_reject(c, NEAP_ERR_SHAPE, "%lld groups do not divide the %lld channels of x", (long long)groups, (long long)x->at.shape[1]);
  shape[0] = x->at.shape[0], shape[1] = groups, shape[2] = x->at.shape[1] / groups;
  for (int d = 2; d < x->at.ndim; d++) shape[d + 1] = x->at.shape[d];
  neap_tensor *y = neap_transpose(ctx, neap_reshape(ctx, x, x->at.ndim + 1, shape), 1, 2);
  c->out[0] = neap_reshape(ctx, y, x->at.ndim, x->at.shape);
  return ctx->error;
}
