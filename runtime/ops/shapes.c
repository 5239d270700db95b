/* Shapes taken from another tensor, or made long enough: short names for what view, reshape, expand and unsqueeze do. */
#include "loops.h"

int np_view_as_run(np_call *c) {
  c->out[0] = neap_view(c->ctx, np_t(c, 0), np_t(c, 1)->at.ndim, np_t(c, 1)->at.shape);
  return c->ctx->error;
}
int np_reshape_as_run(np_call *c) {
  c->out[0] = neap_reshape(c->ctx, np_t(c, 0), np_t(c, 1)->at.ndim, np_t(c, 1)->at.shape);
  return c->ctx->error;
}
int np_expand_as_run(np_call *c) {
  c->out[0] = neap_expand(c->ctx, np_t(c, 0), np_t(c, 1)->at.ndim, np_t(c, 1)->at.shape);
  return c->ctx->error;
}
int np_ravel_run(np_call *c) {
  c->out[0] = neap_reshape(c->ctx, np_t(c, 0), 1, &np_t(c, 0)->at.count);
  return c->ctx->error;
}

static int at_least(np_call *c, int n) {
  neap_tensor *x = neap_retain(np_t(c, 0));
  if (x->at.ndim == 0) x = neap_unsqueeze(c->ctx, x, 0);
  if (x && n >= 2 && x->at.ndim == 1) x = neap_unsqueeze(c->ctx, x, 0);
  if (x && n >= 3 && x->at.ndim == 2) x = neap_unsqueeze(c->ctx, x, 2);
  c->out[0] = x;
  return c->ctx->error;
}
int np_atleast_1d_run(np_call *c) { return at_least(c, 1); }
int np_atleast_2d_run(np_call *c) { return at_least(c, 2); }
int np_atleast_3d_run(np_call *c) { return at_least(c, 3); }
