/* Layers that normalise. The statistics of a batch move the running ones, which are buffers, while gradients are recorded:
 * the op writes them itself. */
#include <math.h>
#include <string.h>
#include "module.h"

enum { FEATURES, EPS, MOMENTUM, AFFINE, TRACK, BIAS, CUMULATIVE };

static int dims_of(const neap_module *m) { return m->row->name[strlen(m->row->name) - 2] - '0'; } /* BatchNorm2d: 2 */

/* weight and bias (n), if they are wanted. */
static int affine_parts(neap_module *m, int64_t n, int affine, int bias) {
  if (!affine) return NEAP_OK;
  if (np_constant_part(m, "weight", 1, &n, 1) != 0) return m->ctx->error;
  return bias ? np_constant_part(m, "bias", 1, &n, 0) : NEAP_OK;
}

static int buffer(neap_module *m, const char *name, neap_dtype dtype, int ndim, int64_t n, double value) {
  neap_tensor *t = np_add_buffer(m, name, dtype, ndim, &n);
  return t ? neap_init_constant(t, value) : (int)m->ctx->error;
}

/* The channels of the first input are its dimension `axis`. */
static int set_up(neap_module *m, const neap_value *in, int axis) {
  if (np_waits(m, FEATURES, in, axis)) return m->ctx->error;
  int64_t n = np_set_i(m, FEATURES);
  if (np_at_least(m, FEATURES, 0) != 0 || affine_parts(m, n, (int)np_set_i(m, AFFINE), (int)np_set_i(m, BIAS)) != 0) return m->ctx->error;
  if (!np_set_i(m, TRACK)) return NEAP_OK;
  if (buffer(m, "running_mean", m->dtype, 1, n, 0) != 0 || buffer(m, "running_var", m->dtype, 1, n, 1) != 0) return m->ctx->error;
  return buffer(m, "num_batches_tracked", NEAP_I64, 0, 0, 0);
}

int np_batch_norm_setup(neap_module *m, const neap_value *in) { return set_up(m, in, 1); }

typedef struct parts {
  neap_tensor *w, *b, *mean, *var, *batches; /* NULL: there is none */
} parts;

static parts parts_of(const neap_module *m) {
  parts p = { .w = NULL };
  int i = 0;
  if (np_set_i(m, AFFINE)) p.w = np_part_of(m, i++);
  if (np_set_i(m, AFFINE) && np_set_i(m, BIAS)) p.b = np_part_of(m, i++);
  if (np_set_i(m, TRACK)) p.mean = np_part_of(m, i), p.var = np_part_of(m, i + 1), p.batches = np_part_of(m, i + 2);
  return p;
}

/* Whether x is (N, C) and `dims` more, or where `fewer` allows it one dimension less; and has the features. */
static int fits(const neap_module *m, const neap_tensor *x, int fewer) {
  int want = dims_of(m) + 2;
  char shape[128];
  int at = fewer == 2 && x->at.ndim == want - 1 ? 0 : 1; /* where the channels are: fewer == 2 leaves N out */
  np_shape_text(shape, sizeof shape, x);
  if (x->at.ndim != want && !(fewer && x->at.ndim == want - 1)) {
    static const char *const both[3][3] = { { "(N, C, L)", "(N, C, H, W)", "(N, C, D, H, W)" }, { "(N, C) or (N, C, L)", "", "" },
      { "(N, C, L) or (C, L)", "(N, C, H, W) or (C, H, W)", "(N, C, D, H, W) or (C, D, H, W)" } };
    return np_layer_fail(m, NEAP_ERR_SHAPE, "x is %s, got shape %s", both[fewer][dims_of(m) - 1], shape);
  }
  if ((np_set_i(m, AFFINE) || np_set_i(m, TRACK)) && x->at.shape[at] != np_set_i(m, FEATURES))
    return np_layer_fail(m, NEAP_ERR_SHAPE, "num_features is %lld, but x of shape %s has %lld channels", (long long)np_set_i(m, FEATURES), shape, (long long)x->at.shape[at]);
  return NEAP_OK;
}

neap_tensor *np_batch_norm_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  parts p = parts_of(m);
  double momentum = np_set_d(m, MOMENTUM);
  int training = m->training || !p.mean;
  (void)more;
  if (fits(m, in[0].t, dims_of(m) == 1) != 0) return NULL;
  neap_tensor *y;
  if (training && p.batches) {
    int64_t *count = (int64_t *)(void *)np_data(p.batches);
    if (np_set_i(m, CUMULATIVE)) momentum = 1 / (double)(*count + 1);
    y = neap_batch_norm(m->ctx, in[0].t, p.mean, p.var, p.w, p.b, 1, momentum, np_set_d(m, EPS));
    if (y) ++*count;
    return y;
  }
  return neap_batch_norm(m->ctx, in[0].t, p.mean, p.var, p.w, p.b, training, momentum, np_set_d(m, EPS));
}

/* ---- InstanceNorm: the same settings and parts ---- */

int np_instance_norm_setup(neap_module *m, const neap_value *in) { return set_up(m, in, in && in[0].t->at.ndim == dims_of(m) + 1 ? 0 : 1); }

neap_tensor *np_instance_norm_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  parts p = parts_of(m);
  neap_tensor *x = in[0].t;
  (void)more;
  if (fits(m, x, 2) != 0) return NULL;
  int batch = x->at.ndim == dims_of(m) + 2;
  if (!batch) x = neap_unsqueeze(m->ctx, x, 0);
  neap_tensor *y = neap_instance_norm(m->ctx, x, p.mean, p.var, p.w, p.b, m->training || !p.mean, np_set_d(m, MOMENTUM), np_set_d(m, EPS));
  return batch || !y ? y : neap_squeeze(m->ctx, y, 1, (int64_t[]){ 0 });
}

/* ---- GroupNorm: num_groups num_channels eps affine bias ---- */

int np_group_norm_setup(neap_module *m, const neap_value *in) {
  (void)in;
  if (np_at_least(m, 0, 1) != 0 || np_at_least(m, 1, 1) != 0) return m->ctx->error;
  if (np_set_i(m, 1) % np_set_i(m, 0) != 0)
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "num_channels %lld does not divide into %lld groups", (long long)np_set_i(m, 1), (long long)np_set_i(m, 0));
  return affine_parts(m, np_set_i(m, 1), (int)np_set_i(m, 3), (int)np_set_i(m, 4));
}

neap_tensor *np_group_norm_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_group_norm(m->ctx, in[0].t, np_set_i(m, 0), np_part_of(m, 0), np_part_of(m, 1), np_set_d(m, 2));
}

/* ---- RMSNorm: normalized_shape eps elementwise_affine ---- */

int np_rms_norm_setup(neap_module *m, const neap_value *in) {
  (void)in;
  const neap_value *shape = &m->arg[0];
  if (shape->n < 1 || shape->n > NEAP_MAX_DIMS)
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "normalized_shape needs 1 to %d sizes", NEAP_MAX_DIMS);
  return np_set_i(m, 2) ? np_constant_part(m, "weight", shape->n, shape->is, 1) : NEAP_OK;
}

neap_tensor *np_rms_norm_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_rms_norm(m->ctx, in[0].t, m->arg[0].n, m->arg[0].is, np_part_of(m, 0), np_set_given(m, 1) ? np_set_d(m, 1) : NAN);
}
