/* Convolutions as layers: weight (out, in / groups, kernel), of transposed ones (in, out / groups, kernel), bias (out), both
 * first drawn as PyTorch's are. Padding that is not zeros is laid around x before. How many dimensions an image has, says the
 * layer's name. */
#include <string.h>
#include "module.h"

enum { IN, OUT, KERNEL, STRIDE, PADDING, DILATION, GROUPS, BIAS, PADDING_MODE };                      /* settings of ConvNd */
enum { TRANSPOSED_GROUPS = 6, OUTPUT_PADDING = 5, TRANSPOSED_BIAS = 7, TRANSPOSED_DILATION = 8 };     /* of ConvTransposeNd */

/* ---- settings ---- */

/* Setting i, one number or one for each dimension. */
static int sizes_of(neap_module *m, int i, int64_t standard, int64_t least, int64_t out[3]) {
  const neap_value *v = &m->arg[i];
  int nd = np_name_dims(m);
  if (v->kind == NEAP_INTS && v->n != 1 && v->n != nd)
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s takes one number or one for each of %d dimensions, got %d", m->sig->param[i].name, nd, v->n);
  for (int d = 0; d < nd; d++) {
    out[d] = v->kind == NEAP_INTS ? v->is[v->n == 1 ? 0 : d] : standard;
    if (out[d] < least)
      return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s must be at least %lld, not %lld", m->sig->param[i].name, (long long)least, (long long)out[d]);
  }
  return NEAP_OK;
}

/* weight (rows, columns / groups, kernel) and bias (out): kaiming_uniform with a = sqrt(5). */
static int parts(neap_module *m, int64_t rows, int64_t columns, int64_t groups, int bias) {
  int nd = np_name_dims(m);
  int64_t shape[5] = {rows, columns / groups}, fan_in = shape[1];
  if (sizes_of(m, KERNEL, 1, 1, shape + 2) != 0) return m->ctx->error;
  for (int d = 0; d < nd; d++) fan_in *= shape[2 + d];
  double bound = np_fan_bound(fan_in);
  if (np_uniform_part(m, "weight", nd + 2, shape, bound) != 0) return m->ctx->error;
  return bias ? np_uniform_part(m, "bias", 1, &m->arg[OUT].i, bound) : NEAP_OK;
}

static int common_settings(neap_module *m, int groups, int dilation) {
  int64_t sizes[3];
  if (np_at_least(m, OUT, 1) != 0 || np_at_least(m, groups, 1) != 0 || sizes_of(m, KERNEL, 1, 1, sizes) != 0 ||
      sizes_of(m, STRIDE, 1, 1, sizes) != 0 || sizes_of(m, PADDING, 0, 0, sizes) != 0 || sizes_of(m, dilation, 1, 1, sizes) != 0) return m->ctx->error;
  return NEAP_OK;
}

static int channels_divide(neap_module *m, int groups) {
  int64_t n = np_set_i(m, groups);
  if (np_at_least(m, IN, 1) != 0) return m->ctx->error;
  if (np_set_i(m, IN) % n == 0 && np_set_i(m, OUT) % n == 0) return NEAP_OK;
  return np_layer_fail(m, NEAP_ERR_ARGUMENT, "groups is %lld, which does not divide in_channels, %lld, and out_channels, %lld", (long long)n,
                       (long long)np_set_i(m, IN), (long long)np_set_i(m, OUT));
}

int np_conv_setup(neap_module *m, const neap_value *in) {
  int64_t stride[3];
  if (common_settings(m, GROUPS, DILATION) != 0 || sizes_of(m, STRIDE, 1, 1, stride) != 0) return m->ctx->error;
  for (int d = 0; d < np_name_dims(m); d++)
    if (m->arg[PADDING].kind == NEAP_ENUM && np_set_i(m, PADDING) == -1 - NEAP_PADDING_SAME && stride[d] != 1)
      return np_layer_fail(m, NEAP_ERR_ARGUMENT, "padding 'same' needs stride 1, it is %lld", (long long)stride[d]);
  if (np_waits(m, IN, in, -1 - np_name_dims(m))) return m->ctx->error;
  if (channels_divide(m, GROUPS) != 0) return m->ctx->error;
  return parts(m, np_set_i(m, OUT), np_set_i(m, IN), np_set_i(m, GROUPS), (int)np_set_i(m, BIAS));
}

int np_conv_transpose_setup(neap_module *m, const neap_value *in) {
  int64_t sizes[3];
  if (common_settings(m, TRANSPOSED_GROUPS, TRANSPOSED_DILATION) != 0 || sizes_of(m, OUTPUT_PADDING, 0, 0, sizes) != 0) return m->ctx->error;
  if (np_waits(m, IN, in, -1 - np_name_dims(m))) return m->ctx->error;
  if (channels_divide(m, TRANSPOSED_GROUPS) != 0) return m->ctx->error;
  return parts(m, np_set_i(m, IN), np_set_i(m, OUT), np_set_i(m, TRANSPOSED_GROUPS), (int)np_set_i(m, TRANSPOSED_BIAS));
}

/* ---- forward ---- */

#define LIST(i) m->arg[i].kind == NEAP_INTS ? m->arg[i].n : 0, m->arg[i].kind == NEAP_INTS ? m->arg[i].is : NULL

/* x with its padding laid around it: as the settings say, or what keeps its size. */
static neap_tensor *surrounded(neap_module *m, neap_tensor *x) {
  int nd = np_name_dims(m), same = m->arg[PADDING].kind == NEAP_ENUM && np_set_i(m, PADDING) == -1 - NEAP_PADDING_SAME;
  int64_t padding[3] = {0}, kernel[3], dilation[3], pairs[6];
  if (sizes_of(m, KERNEL, 1, 1, kernel) != 0 || sizes_of(m, DILATION, 1, 1, dilation) != 0 || sizes_of(m, PADDING, 0, 0, padding) != 0) return NULL;
  for (int d = 0; d < nd; d++) { /* the last dimension first */
    int64_t *pair = pairs + 2 * (nd - 1 - d), all = same ? dilation[d] * (kernel[d] - 1) : 2 * padding[d];
    pair[0] = all / 2, pair[1] = all - pair[0];
  }
  static const int modes[] = {NEAP_MODE_CONSTANT, NEAP_MODE_REFLECT, NEAP_MODE_REPLICATE, NEAP_MODE_CIRCULAR};
  return neap_pad(m->ctx, x, 2 * nd, pairs, modes[np_set_i(m, PADDING_MODE)], 0);
}

typedef neap_tensor *convolution(neap_context *c, neap_tensor *x, neap_tensor *w, neap_tensor *b, int n_stride, const int64_t *stride, int n_padding,
                                 const int64_t *padding, int n_dilation, const int64_t *dilation, int64_t groups);
static neap_tensor *convolved(neap_module *m, neap_tensor *x, convolution *f) {
  int64_t none = 0;
  int around = np_set_i(m, PADDING_MODE) != 0, choice = m->arg[PADDING].kind == NEAP_ENUM;
  int n = around ? 1 : choice ? -1 - (int)np_set_i(m, PADDING) : m->arg[PADDING].n;
  if (around) x = surrounded(m, x);
  return f(m->ctx, x, m->part[0].t, np_part_of(m, 1), LIST(STRIDE), n, around ? &none : choice ? NULL : m->arg[PADDING].is, LIST(DILATION), np_set_i(m, GROUPS));
}
neap_tensor *np_conv1d_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, convolved(m, in[0].t, neap_conv1d); }
neap_tensor *np_conv2d_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, convolved(m, in[0].t, neap_conv2d); }
neap_tensor *np_conv3d_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, convolved(m, in[0].t, neap_conv3d); }

typedef neap_tensor *transposed(neap_context *c, neap_tensor *x, neap_tensor *w, neap_tensor *b, int n_stride, const int64_t *stride, int n_padding,
                                const int64_t *padding, int n_output_padding, const int64_t *output_padding, int64_t groups, int n_dilation,
                                const int64_t *dilation);
static neap_tensor *spread(neap_module *m, const neap_value *in, transposed *f) {
  neap_tensor *x = in[0].t;
  int nd = np_name_dims(m), wanted = in[1].kind != NEAP_NONE;
  int64_t more[3], kernel[3], stride[3], padding[3], dilation[3];
  if (sizes_of(m, OUTPUT_PADDING, 0, 0, more) != 0 || sizes_of(m, KERNEL, 1, 1, kernel) != 0 || sizes_of(m, STRIDE, 1, 1, stride) != 0 ||
      sizes_of(m, PADDING, 0, 0, padding) != 0 || sizes_of(m, TRANSPOSED_DILATION, 1, 1, dilation) != 0) return NULL;
  if (wanted && (in[1].n < nd || x->at.ndim < nd)) {
    np_layer_fail(m, NEAP_ERR_ARGUMENT, "output_size takes %d sizes, got %d", nd, in[1].n);
    return NULL;
  }
  for (int d = 0; d < nd && wanted; d++) { /* what the size needs beyond the least one */
    int64_t n = x->at.shape[x->at.ndim - nd + d], least = (n - 1) * stride[d] - 2 * padding[d] + dilation[d] * (kernel[d] - 1) + 1;
    more[d] = in[1].is[in[1].n - nd + d] - least;
    if (more[d] < 0 || more[d] >= stride[d]) {
      np_layer_fail(m, NEAP_ERR_ARGUMENT, "output_size: dimension %d of the image can be from %lld to %lld", d + m->ctx->site.base, (long long)least,
                    (long long)(least + stride[d] - 1));
      return NULL;
    }
  }
  return f(m->ctx, x, m->part[0].t, np_part_of(m, 1), nd, stride, nd, padding, nd, more, np_set_i(m, TRANSPOSED_GROUPS), nd, dilation);
}
neap_tensor *np_conv_transpose1d_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, spread(m, in, neap_conv_transpose1d); }
neap_tensor *np_conv_transpose2d_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, spread(m, in, neap_conv_transpose2d); }
neap_tensor *np_conv_transpose3d_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, spread(m, in, neap_conv_transpose3d); }
