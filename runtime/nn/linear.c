/* Layers with weights: Linear, Bilinear, LayerNorm, PReLU. Shapes and first values are PyTorch's. */
#include "module.h"

/* ---- Linear: weight (out, in), bias (out) ---- */

int np_linear_setup(neap_module *m, const neap_value *in) {
  if (np_waits(m, 0, in, -1)) return m->ctx->error;
  if (np_at_least(m, 0, 0) != 0 || np_at_least(m, 1, 0) != 0) return m->ctx->error;
  int64_t shape[] = {m->arg[1].i, m->arg[0].i};
  double bound = np_fan_bound(shape[1]); /* kaiming_uniform with a = sqrt(5) */
  if (np_uniform_part(m, "weight", 2, shape, bound) != 0) return m->ctx->error;
  return m->arg[2].i ? np_uniform_part(m, "bias", 1, shape, bound) : NEAP_OK;
}

neap_tensor *np_linear_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_linear(m->ctx, in[0].t, m->part[0].t, np_part_of(m, 1), 0);
}

/* ---- Bilinear: weight (out, in1, in2), bias (out) ---- */

int np_bilinear_setup(neap_module *m, const neap_value *in) {
  (void)in;
  for (int i = 0; i < 3; i++)
    if (np_at_least(m, i, 0) != 0) return m->ctx->error;
  int64_t shape[] = {m->arg[2].i, m->arg[0].i, m->arg[1].i};
  double bound = np_fan_bound(shape[1]);
  if (np_uniform_part(m, "weight", 3, shape, bound) != 0) return m->ctx->error;
  return m->arg[3].i ? np_uniform_part(m, "bias", 1, shape, bound) : NEAP_OK;
}

neap_tensor *np_bilinear_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_bilinear(m->ctx, in[0].t, in[1].t, m->part[0].t, np_part_of(m, 1));
}

/* ---- LayerNorm: weight and bias of normalized_shape ---- */

int np_layer_norm_setup(neap_module *m, const neap_value *in) {
  (void)in;
  const neap_value *shape = &m->arg[0];
  if (shape->n < 1 || shape->n > NEAP_MAX_DIMS)
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "normalized_shape needs 1 to %d sizes", NEAP_MAX_DIMS);
  if (!m->arg[2].i) return NEAP_OK;
  if (np_constant_part(m, "weight", shape->n, shape->is, 1) != 0) return m->ctx->error;
  return m->arg[3].i ? np_constant_part(m, "bias", shape->n, shape->is, 0) : NEAP_OK;
}

neap_tensor *np_layer_norm_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_layer_norm(m->ctx, in[0].t, m->arg[0].n, m->arg[0].is, np_part_of(m, 0), np_part_of(m, 1), m->arg[1].d);
}

/* ---- PReLU: weight (num_parameters) ---- */

int np_prelu_setup(neap_module *m, const neap_value *in) {
  (void)in;
  return np_at_least(m, 0, 1) != 0 ? (int)m->ctx->error : np_constant_part(m, "weight", 1, &m->arg[0].i, m->arg[1].d);
}

neap_tensor *np_prelu_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_prelu(m->ctx, in[0].t, np_part_of(m, 0));
}
