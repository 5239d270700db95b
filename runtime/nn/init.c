/* Initialisers: they write over a tensor, record nothing, and draw from the generator given or the context's own. Fans
 * are counted as PyTorch does: of a weight (out, in, ...), fan_in is in times what follows, fan_out is out times that. */
#include <math.h>
#include <string.h>
#include "op.h"

static int usable(neap_tensor *t, const char *name) {
  if (!t) return NEAP_ERR_ARGUMENT;
  neap_context *c = t->ctx;
  if (np_failed(c)) return c->error;
  if (np_is_float(t->at.dtype)) return NEAP_OK;
  return np_fail(c, NEAP_ERR_DTYPE, "%s: fills tensors of floats, this one is %s", name, np_dtypes[t->at.dtype].info.name);
}

/* The in-place fill with number `op` and settings (a, b) and the generator, as if gradients were off. */
static int fill(neap_tensor *t, int op, int n, double a, double b, neap_generator *g) {
  neap_value v[4] = {{.kind = NEAP_TENSOR, .t = t}, {.kind = NEAP_NUMBER, .d = a}, {.kind = NEAP_NUMBER, .d = b}};
  if (g) v[3] = (neap_value){.kind = NEAP_GENERATOR, .g = g};
  neap_tensor *out[NP_MAX_OUTS] = {NULL};
  int mode = neap_grad_mode(t->ctx, 0);
  int status = neap_call(t->ctx, op, n, v, out, 1, NULL);
  neap_grad_mode(t->ctx, mode);
  if (status < 0) return status;
  neap_release(out[0]);
  return NEAP_OK;
}

int neap_init_uniform(neap_tensor *t, double low, double high, neap_generator *g) {
  int status = usable(t, "init_uniform");
  return status == 0 ? fill(t, NP_OP_uniform, 4, low, high, g) : status;
}

int neap_init_normal(neap_tensor *t, double mean, double std, neap_generator *g) {
  int status = usable(t, "init_normal");
  return status == 0 ? fill(t, NP_OP_normal, 4, mean, std, g) : status;
}

int neap_init_constant(neap_tensor *t, double value) {
  return !t ? NEAP_ERR_ARGUMENT : np_failed(t->ctx) ? (int)t->ctx->error : fill(t, NP_OP_fill, 2, value, 0, NULL);
}

/* ---- by the number of connections ---- */

static int fans(neap_tensor *t, const char *name, double *in, double *out) {
  int status = usable(t, name);
  if (status != 0) return status;
  if (t->at.ndim < 2)
    return np_fail(t->ctx, NEAP_ERR_SHAPE, "%s: needs a weight of 2 dimensions or more, this tensor has %d", name, t->at.ndim);
  double field = 1;
  for (int i = 2; i < t->at.ndim; i++) field *= (double)t->at.shape[i];
  *in = (double)t->at.shape[1] * field;
  *out = (double)t->at.shape[0] * field;
  return NEAP_OK;
}

int neap_init_xavier_uniform(neap_tensor *t, double gain, neap_generator *g) {
  double in = 0, out = 0;
  int status = fans(t, "init_xavier_uniform", &in, &out);
  if (status != 0) return status;
  double bound = in + out > 0 ? gain * sqrt(6 / (in + out)) : 0;
  return neap_init_uniform(t, -bound, bound, g);
}

int neap_init_xavier_normal(neap_tensor *t, double gain, neap_generator *g) {
  double in = 0, out = 0;
  int status = fans(t, "init_xavier_normal", &in, &out);
  if (status != 0) return status;
  return neap_init_normal(t, 0, in + out > 0 ? gain * sqrt(2 / (in + out)) : 0, g);
}

double neap_gain(neap_context *c, const char *nonlinearity, double param) {
  static const struct { const char *name; double gain; } gains[] = {
    {"linear", 1}, {"sigmoid", 1}, {"tanh", 5.0 / 3}, {"relu", M_SQRT2}, {"selu", 0.75}, {"identity", 1},
    {"conv1d", 1}, {"conv2d", 1}, {"conv3d", 1}, {"conv_transpose1d", 1}, {"conv_transpose2d", 1}, {"conv_transpose3d", 1},
  };
  for (int i = 0; i < NP_ARRAY(gains); i++)
    if (strcmp(gains[i].name, nonlinearity) == 0) return gains[i].gain;
  if (strcmp(nonlinearity, "leaky_relu") == 0) return sqrt(2 / (1 + param * param));
  np_fail(c, NEAP_ERR_ARGUMENT, "gain: '%.40s' is not among relu, leaky_relu, tanh, sigmoid, selu, linear, identity, conv1d, "
          "conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d", nonlinearity);
  return 0;
}

static int kaiming_std(neap_tensor *t, const char *name, double a, int mode, const char *nonlinearity, double *std) {
  double in = 0, out = 0;
  int status = fans(t, name, &in, &out);
  if (status != 0) return status;
  double fan = mode == NEAP_FAN_OUT ? out : in, gain = neap_gain(t->ctx, nonlinearity, a);
  *std = fan > 0 ? gain / sqrt(fan) : 0;
  return t->ctx->error;
}

int neap_init_kaiming_uniform(neap_tensor *t, double a, int mode, const char *nonlinearity, neap_generator *g) {
  double std = 0;
  int status = kaiming_std(t, "init_kaiming_uniform", a, mode, nonlinearity, &std);
  if (status != 0) return status;
  return neap_init_uniform(t, -sqrt(3) * std, sqrt(3) * std, g);
}

int neap_init_kaiming_normal(neap_tensor *t, double a, int mode, const char *nonlinearity, neap_generator *g) {
  double std = 0;
  int status = kaiming_std(t, "init_kaiming_normal", a, mode, nonlinearity, &std);
  if (status != 0) return status;
  return neap_init_normal(t, 0, std, g);
}
