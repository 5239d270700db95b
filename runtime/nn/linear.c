/* Layers with weights: Linear, Bilinear, Embedding, LayerNorm. Shapes and first values are PyTorch's. */
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

static int bilinear_shapes(neap_module *m, neap_tensor *a, neap_tensor *b) {
  char first[96], second[96];
  int n = a->at.ndim, same = n > 0 && n == b->at.ndim;
  for (int i = 0; same && i < n - 1; i++) same = a->at.shape[i] == b->at.shape[i];
  if (same && a->at.shape[n - 1] == m->arg[0].i && b->at.shape[n - 1] == m->arg[1].i) return NEAP_OK;
  np_shape_text(first, sizeof first, a);
  np_shape_text(second, sizeof second, b);
  return np_layer_fail(m, NEAP_ERR_SHAPE, "takes x1 (..., %lld) and x2 (..., %lld) that agree in all else, got %s and %s",
                       (long long)m->arg[0].i, (long long)m->arg[1].i, first, second);
}

/* y[n,o] = sum_i x1[n,i] (weight[o] x2[n])[i]: the inner product is one matrix product over all o and i. */
static neap_tensor *bilinear(neap_module *m, neap_tensor *x1, neap_tensor *x2) {
  neap_context *c = m->ctx;
  int64_t in1 = m->arg[0].i, in2 = m->arg[1].i, out = m->arg[2].i, ndim = x1->at.ndim;
  int64_t flat[] = {out * in1, in2}, shape[NEAP_MAX_DIMS + 1];
  for (int i = 0; i < ndim; i++) shape[i] = x1->at.shape[i];
  shape[ndim - 1] = out;
  shape[ndim] = in1;
  if (ndim == NEAP_MAX_DIMS) {
    np_layer_fail(m, NEAP_ERR_SHAPE, "takes tensors of %d dimensions at most", NEAP_MAX_DIMS - 1);
    return NULL;
  }
  neap_tensor *w = neap_reshape(c, m->part[0].t, 2, flat);
  neap_tensor *wx = w ? neap_linear(c, x2, w, NULL, 0) : NULL;             /* (..., out * in1) */
  if (wx) wx = neap_reshape(c, wx, (int)ndim + 1, shape);                  /* (..., out, in1) */
  neap_tensor *x = wx ? neap_unsqueeze(c, x1, -1) : NULL;                  /* (..., in1, 1) */
  neap_tensor *y = x ? neap_matmul(c, wx, x) : NULL;                       /* (..., out, 1) */
  if (y) y = neap_squeeze(c, y, 1, (const int64_t[]){-1});
  return y && m->n_parts > 1 ? neap_add(c, y, m->part[1].t) : y;
}

neap_tensor *np_bilinear_forward(neap_module *m, neap_tensor *const *x) {
  if (bilinear_shapes(m, x[0], x[1]) != 0) return NULL;
  neap_scope scope;
  np_scope_enter(m->ctx, &scope);
  neap_tensor *y = bilinear(m, x[0], x[1]);
  np_scope_leave(&scope, 1, &y);
  return y;
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
