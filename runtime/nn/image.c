/* Layers over images that are not one op at its own order of settings: pooling for the greatest, and over a whole image. */
#include "module.h"

neap_tensor *np_max_pool_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  enum { KERNEL, INDICES = 4, CEIL };
  const int op = (const int[]){NP_OP_max_pool1d, NP_OP_max_pool2d, NP_OP_max_pool3d}[np_name_dims(m) - 1];
  const neap_value a[] = {in[0], m->arg[KERNEL], m->arg[KERNEL + 1], m->arg[KERNEL + 2], m->arg[KERNEL + 3], m->arg[CEIL], m->arg[INDICES]};
  neap_tensor *out[NP_MAX_OUTS];
  if (neap_call(m->ctx, op, NP_ARRAY(a), a, out, 0, NULL) < 0) return NULL;
  more[0] = out[1];
  return out[0];
}

/* x's dimensions behind the channels. */
static int behind_channels(neap_module *m, const neap_tensor *x, int64_t *dims) {
  char shape[96];
  np_shape_text(shape, sizeof shape, x);
  if (x->at.ndim < 3) return np_layer_fail(m, NEAP_ERR_SHAPE, "x must be of shape (N, C, ...), with a dimension behind the channels, got %s", shape);
  for (int d = 2; d < x->at.ndim; d++) dims[d - 2] = d;
  return NEAP_OK;
}

neap_tensor *np_global_avg_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  int64_t dims[NEAP_MAX_DIMS];
  (void)more;
  return behind_channels(m, in[0].t, dims) == 0 ? neap_mean(m->ctx, in[0].t, in[0].t->at.ndim - 2, dims, (int)np_set_i(m, 0), -1) : NULL;
}

neap_tensor *np_global_max_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  int64_t dims[NEAP_MAX_DIMS];
  (void)more;
  return behind_channels(m, in[0].t, dims) == 0 ? neap_amax(m->ctx, in[0].t, in[0].t->at.ndim - 2, dims, (int)np_set_i(m, 0)) : NULL;
}
