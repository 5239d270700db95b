/* Layers with weights: Linear, Bilinear, Embedding, LayerNorm, PReLU. Shapes and first values are PyTorch's. */
#include <math.h>
#include "module.h"

static int positive(neap_module *m, int i, int64_t least) {
  if (m->arg[i].i >= least) return NEAP_OK;
  return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s must be at least %lld, not %lld", m->sig->param[i].name, (long long)least,
                       (long long)m->arg[i].i);
}

/* A parameter drawn from U(-bound, bound). */
static int uniform_part(neap_module *m, const char *name, int ndim, const int64_t *shape, double bound) {
  neap_tensor *t = np_add_part(m, name, 0, ndim, shape);
  return t ? neap_init_uniform(t, -bound, bound, NULL) : (int)m->ctx->error;
}

static int constant_part(neap_module *m, const char *name, int ndim, const int64_t *shape, double value) {
  neap_tensor *t = np_add_part(m, name, 0, ndim, shape);
  return t ? neap_init_constant(t, value) : (int)m->ctx->error;
}

static double bound_of(int64_t fan_in) { return fan_in > 0 ? 1 / sqrt((double)fan_in) : 0; }

/* ---- Linear: weight (out, in), bias (out) ---- */

int np_linear_setup(neap_module *m) {
  if (positive(m, 0, 0) != 0 || positive(m, 1, 0) != 0) return m->ctx->error;
  int64_t shape[] = {m->arg[1].i, m->arg[0].i};
  double bound = bound_of(shape[1]); /* kaiming_uniform with a = sqrt(5) */
  if (uniform_part(m, "weight", 2, shape, bound) != 0) return m->ctx->error;
  return m->arg[2].i ? uniform_part(m, "bias", 1, shape, bound) : NEAP_OK;
}

neap_tensor *np_linear_forward(neap_module *m, neap_tensor *const *x) {
  return neap_linear(m->ctx, x[0], m->part[0].t, np_part_of(m, 1), 0);
}

/* ---- Bilinear: weight (out, in1, in2), bias (out) ---- */

int np_bilinear_setup(neap_module *m) {
  for (int i = 0; i < 3; i++)
    if (positive(m, i, 0) != 0) return m->ctx->error;
  int64_t shape[] = {m->arg[2].i, m->arg[0].i, m->arg[1].i};
  double bound = bound_of(shape[1]);
  if (uniform_part(m, "weight", 3, shape, bound) != 0) return m->ctx->error;
  return m->arg[3].i ? uniform_part(m, "bias", 1, shape, bound) : NEAP_OK;
}

neap_tensor *np_bilinear_forward(neap_module *m, neap_tensor *const *x) {
  return neap_bilinear(m->ctx, x[0], x[1], m->part[0].t, np_part_of(m, 1));
}

/* ---- Embedding: weight (num, dim) ---- */

int np_embedding_setup(neap_module *m) {
  if (positive(m, 0, 0) != 0 || positive(m, 1, 0) != 0) return m->ctx->error;
  int64_t shape[] = {m->arg[0].i, m->arg[1].i};
  neap_value *padding = &m->arg[2];
  if (padding->kind != NEAP_NONE) {
    if (padding->i < -shape[0] || padding->i >= shape[0])
      return np_layer_fail(m, NEAP_ERR_INDEX, "padding_idx is %lld, but there are %lld embeddings",
                           (long long)padding->i + (padding->i < 0 ? 0 : m->ctx->site.base), (long long)shape[0]);
    if (padding->i < 0) padding->i += shape[0];
  }
  neap_tensor *t = np_add_part(m, "weight", 0, 2, shape);
  if (!t || neap_init_normal(t, 0, 1, NULL) != 0) return m->ctx->error;
  float *w = (float *)np_data(t);
  for (int64_t i = 0; padding->kind != NEAP_NONE && i < shape[1]; i++) w[padding->i * shape[1] + i] = 0;
  return NEAP_OK;
}

neap_tensor *np_embedding_forward(neap_module *m, neap_tensor *const *x) {
  return neap_embedding(m->ctx, x[0], m->part[0].t, m->arg[2].kind == NEAP_NONE ? NEAP_ABSENT : m->arg[2].i);
}

/* ---- LayerNorm: weight and bias of normalized_shape ---- */

int np_layer_norm_setup(neap_module *m) {
  const neap_value *shape = &m->arg[0];
  if (shape->n < 1 || shape->n > NEAP_MAX_DIMS)
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "normalized_shape needs 1 to %d sizes", NEAP_MAX_DIMS);
  if (!m->arg[2].i) return NEAP_OK;
  if (constant_part(m, "weight", shape->n, shape->is, 1) != 0) return m->ctx->error;
  return m->arg[3].i ? constant_part(m, "bias", shape->n, shape->is, 0) : NEAP_OK;
}

neap_tensor *np_layer_norm_forward(neap_module *m, neap_tensor *const *x) {
  return neap_layer_norm(m->ctx, x[0], m->arg[0].n, m->arg[0].is, np_part_of(m, 0), np_part_of(m, 1), m->arg[1].d);
}

/* ---- PReLU: weight (num_parameters) ---- */

int np_prelu_setup(neap_module *m) {
  return positive(m, 0, 1) != 0 ? (int)m->ctx->error : constant_part(m, "weight", 1, &m->arg[0].i, m->arg[1].d);
}

neap_tensor *np_prelu_forward(neap_module *m, neap_tensor *const *x) {
  return neap_prelu(m->ctx, x[0], np_part_of(m, 0));
}
