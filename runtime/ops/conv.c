/* Convolutions, and what is transposed of them, in one to three dimensions. Three ops do the work (convolve.h), each linear
 * in two tensors: the forms of sum y(n, o, i) w(o, c, k) x(n, c, i stride + k dilation - padding) in y, x and w. Each
 * is the derivative of the other two, so their backwards are made of each other and go to any order. What users call are
 * composites that say sizes and put a batch around a single image. */
#include "convolve.h"

enum { X, W, KERNEL = W + 1, B = W + 1, STRIDE, PADDING, DILATION, GROUPS, SIZE };   /* of all ops but the transposed ones */
enum { OUTPUT_PADDING = DILATION, TRANSPOSED_DILATION = SIZE };                      /* which differ here */

/* ---- settings ---- */

/* Kernel (nd sizes), stride, padding and dilation of a call; missing dimensions lead, with size 1. */
static int settings_of(np_call *c, int nd, const int64_t *kernel, int dilation, np_conv_shape *s) {
  for (int d = 0; d < 3; d++) s->kernel[d] = s->stride[d] = s->dilation[d] = s->x[d] = s->y[d] = 1, s->padding[d] = 0;
  for (int d = 0; d < nd; d++) {
    s->kernel[3 - nd + d] = kernel[d];
    if (kernel[d] < 1) return np_reject(c, NEAP_ERR_SHAPE, "the kernel of the weight is empty");
  }
  int first = 3 - nd;
  if (np_per_dim(c, STRIDE, nd, 1, 1, s->stride + first) != 0 || np_per_dim(c, dilation, nd, 1, 1, s->dilation + first) != 0) return c->ctx->error;
  return c->arg[PADDING].kind == NEAP_ENUM ? NEAP_OK : np_per_dim(c, PADDING, nd, 0, 0, s->padding + first);
}

static const char *dtype_name(const neap_tensor *t) { return np_dtypes[t->at.dtype].info.name; }

/* Two tensors of nd + 2 dimensions and one floating dtype; and groups that divide channels. */
static int operands_fit(np_call *c, int nd, int64_t by_groups) {
  neap_tensor *x = np_t(c, X), *w = np_t(c, W);
  const char *a = c->sig->param[X].name, *b = c->sig->param[W].name;
  char text[NP_SHAPES_TEXT];
  if (np_need_float(c, a, x) != 0 || np_need_float(c, b, w) != 0) return c->ctx->error;
  np_shapes_text(text, &x->at, " and ", &w->at);
  if (x->at.ndim != nd + 2 || w->at.ndim != nd + 2)
    return np_reject(c, NEAP_ERR_SHAPE, "takes %s %s and a %s of %d dimensions, got %s", a, np_image_layouts[nd], b, nd + 2, text);
  if (x->at.dtype != w->at.dtype) return np_reject(c, NEAP_ERR_DTYPE, "%s is %s, %s %s: convert one of them with to()", a, dtype_name(x), b, dtype_name(w));
  int64_t groups = np_i(c, GROUPS);
  if (groups < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "groups is %lld, it must be at least 1", (long long)groups);
  if (x->at.shape[1] % groups != 0 || by_groups % groups != 0)
    return np_reject(c, NEAP_ERR_SHAPE, "%lld groups do not divide the channels, %lld and %lld: the shapes are %s", (long long)groups,
                     (long long)x->at.shape[1], (long long)by_groups, text);
  return NEAP_OK;
}

static int bias_fits(np_call *c, neap_tensor *b, int64_t channels) {
  neap_tensor *x = np_t(c, X);
  char text[128];
  if (!b) return NEAP_OK;
  np_shape_text(text, sizeof text, b);
  if (b->at.ndim != 1 || b->at.shape[0] != channels)
    return np_reject(c, NEAP_ERR_SHAPE, "bias must have shape (%lld), a number for each channel of the result, got %s", (long long)channels, text);
  if (b->at.dtype != x->at.dtype) return np_reject(c, NEAP_ERR_DTYPE, "bias is %s, x %s: convert one of them with to()", dtype_name(b), dtype_name(x));
  return NEAP_OK;
}

/* How many places a kernel has over `size` with padding on both sides; 0: none. */
static int64_t places(const np_conv_shape *s, int d, int64_t size) {
  int64_t left = size + 2 * s->padding[d] - s->dilation[d] * (s->kernel[d] - 1) - 1;
  return left < 0 ? 0 : left / s->stride[d] + 1;
}

/* The shape of a call that takes x (N, C, ...) and weight (O, C / groups, ...). */
static int shape_of(np_call *c, int nd, np_conv_shape *s) {
  const np_layout *x = &np_t(c, X)->at, *w = &np_t(c, W)->at;
  char text[NP_SHAPES_TEXT];
  if (operands_fit(c, nd, w->ndim ? w->shape[0] : 0) != 0 || settings_of(c, nd, w->shape + 2, DILATION, s) != 0) return c->ctx->error;
  s->n = x->shape[0], s->groups = np_i(c, GROUPS), s->c = x->shape[1] / s->groups, s->o = w->shape[0] / s->groups;
  np_shapes_text(text, x, " and ", w);
  if (w->shape[1] != s->c)
    return np_reject(c, NEAP_ERR_SHAPE, "x and weight %s do not fit: x has %lld channels%s, weight takes %lld", text, (long long)s->c,
                     s->groups > 1 ? " in each group" : "", (long long)w->shape[1]);
  if (bias_fits(c, np_t(c, B), w->shape[0]) != 0) return c->ctx->error;
  for (int i = 0, d = 3 - nd; i < nd; i++, d++) {
    s->x[d] = x->shape[2 + i];
    s->y[d] = places(s, d, s->x[d]);
    if (s->y[d] == 0 && c->arg[PADDING].kind != NEAP_ENUM)
      return np_reject(c, NEAP_ERR_SHAPE, "the kernel reaches over %lld positions, but dimension %lld of x has %lld%s: x and weight are %s",
                       (long long)(s->dilation[d] * (s->kernel[d] - 1) + 1), NP_DIM(c, 2 + i), (long long)(s->x[d] + 2 * s->padding[d]),
                       s->padding[d] ? " with its padding" : "", text);
  }
  return NEAP_OK;
}

/* ---- the engines as ops ---- */

static int spec(np_call *c, int nd, int64_t n, int64_t channels, const int64_t *size) {
  int64_t shape[5] = { n, channels };
  for (int i = 0; i < nd; i++) shape[2 + i] = size[i];
  return np_spec(c, 0, np_t(c, X)->at.dtype, nd + 2, shape);
}

static int dims_of(const np_call *c) { return (int)np_min(3, np_max(1, np_t(c, X)->at.ndim - 2)); }

typedef int engine(neap_context *c, int dtype, const np_conv_shape *s, const char *a, const char *b, const char *bias, char *out);
static int weights_engine(neap_context *c, int dtype, const np_conv_shape *s, const char *g, const char *x, const char *bias, char *w) {
  (void)bias;
  return np_conv_weights(c, dtype, s, g, x, w);
}

/* On memory that engines read: contiguous, of the dtype that is computed in. */
static int run_engine(np_call *c, engine *f, const np_conv_shape *s, neap_tensor *bias) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  int native = np_native_of(y->at.dtype);
  neap_tensor *a = np_contiguous_of(ctx, np_t(c, X), native), *b = np_contiguous_of(ctx, np_t(c, W), native);
  neap_tensor *more = np_contiguous_of(ctx, bias, native), *to = np_room(y, native);
  if (a && b && to && (more || !bias)) f(ctx, native, s, np_data(a), np_data(b), more ? np_data(more) : NULL, np_data(to));
  np_deliver(ctx, y, to);
  neap_release(a);
  neap_release(b);
  neap_release(more);
  return ctx->error;
}

int np_convolution_infer(np_call *c) {
  int nd = dims_of(c);
  np_conv_shape s;
  return shape_of(c, nd, &s) != 0 ? c->ctx->error : spec(c, nd, s.n, s.groups * s.o, s.y + 3 - nd);
}
int np_convolution_run(np_call *c) {
  np_conv_shape s;
  shape_of(c, dims_of(c), &s);
  return run_engine(c, np_conv_forward, &s, np_t(c, B));
}

/* g (N, O, ...) weight (O, C / groups, ...) size -> x (N, C, size) */
static int input_shape(np_call *c, int nd, np_conv_shape *s) {
  const np_layout *g = &np_t(c, X)->at, *w = &np_t(c, W)->at;
  const neap_value *size = &c->arg[SIZE];
  if (operands_fit(c, nd, w->ndim ? w->shape[0] : 0) != 0 || settings_of(c, nd, w->shape + 2, DILATION, s) != 0) return c->ctx->error;
  s->n = g->shape[0], s->groups = np_i(c, GROUPS), s->c = w->shape[1], s->o = w->shape[0] / s->groups;
  if (bias_fits(c, np_t(c, B), s->c * s->groups) != 0) return c->ctx->error;
  int fits = g->shape[1] == w->shape[0] && size->n == nd;
  for (int i = 0, d = 3 - nd; i < nd && fits; i++, d++) {
    s->x[d] = size->is[i], s->y[d] = g->shape[2 + i];
    fits = s->x[d] >= 0 && places(s, d, s->x[d]) >= s->y[d];
  }
  if (fits) return NEAP_OK;
  char text[NP_SHAPES_TEXT];
  np_shapes_text(text, g, " and weight ", w);
  return np_reject(c, NEAP_ERR_SHAPE, "g %s are not of a convolution of that size", text);
}
int np_convolution_input_infer(np_call *c) {
  int nd = dims_of(c);
  np_conv_shape s;
  return input_shape(c, nd, &s) != 0 ? c->ctx->error : spec(c, nd, s.n, s.groups * s.c, s.x + 3 - nd);
}
int np_convolution_input_run(np_call *c) {
  np_conv_shape s;
  input_shape(c, dims_of(c), &s);
  return run_engine(c, np_conv_adjoint, &s, np_t(c, B));
}

/* g (N, O, ...) x (N, C, ...) kernel -> w (O, C / groups, kernel) */
static int weight_shape(np_call *c, int nd, np_conv_shape *s) {
  const np_layout *g = &np_t(c, X)->at, *x = &np_t(c, W)->at;
  const neap_value *kernel = &c->arg[KERNEL];
  if (operands_fit(c, nd, x->ndim > 1 ? x->shape[1] : 0) != 0) return c->ctx->error;
  int fits = kernel->n == nd && g->shape[0] == x->shape[0];
  if (fits && settings_of(c, nd, kernel->is, DILATION, s) != 0) return c->ctx->error;
  s->n = x->shape[0], s->groups = np_i(c, GROUPS), s->c = x->shape[1] / s->groups, s->o = g->shape[1] / s->groups;
  for (int i = 0, d = 3 - nd; i < nd && fits; i++, d++) {
    s->x[d] = x->shape[2 + i], s->y[d] = g->shape[2 + i];
    fits = places(s, d, s->x[d]) >= s->y[d];
  }
  if (fits) return NEAP_OK;
  char text[NP_SHAPES_TEXT];
  np_shapes_text(text, g, " and x ", x);
  return np_reject(c, NEAP_ERR_SHAPE, "g %s are not of a convolution with that kernel", text);
}
int np_convolution_weight_infer(np_call *c) {
  int nd = dims_of(c);
  np_conv_shape s;
  return weight_shape(c, nd, &s) != 0 ? c->ctx->error : spec(c, nd, s.groups * s.o, s.c, s.kernel + 3 - nd);
}
int np_convolution_weight_run(np_call *c) {
  np_conv_shape s;
  weight_shape(c, dims_of(c), &s);
  return run_engine(c, weights_engine, &s, NULL);
}

/* ---- derivatives: F(y, x, w) = sum of y convolution(x, w), linear in each ---- */

#define LIST(i) b->arg[i].n, b->arg[i].is
#define SETTINGS LIST(STRIDE), LIST(PADDING), LIST(DILATION), b->arg[GROUPS].i

static neap_tensor *over_channels(neap_context *c, neap_tensor *g) { /* of the bias: the sum over all but channels */
  int64_t dims[NEAP_MAX_DIMS] = { 0 };
  for (int d = 2; d < g->at.ndim; d++) dims[d - 1] = d;
  return neap_sum(c, g, g->at.ndim - 1, dims, 0, -1);
}

static neap_tensor *as_large_as(neap_context *c, neap_tensor *y, const np_layout *g) { /* a g whose size left places out */
  for (int d = 2; y && d < g->ndim; d++)
    if (y->at.shape[d] > g->shape[d]) y = neap_narrow(c, y, d, 0, g->shape[d]);
  return y;
}

int np_convolution_back(np_back *b) { /* gx = dF(g, x, w)/dx, gw = dF/dw, gb = sum of g */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[X].at, *w = &b->in[W].at;
  int nd = x->ndim - 2;
  if (b->in[X].needs) b->gx[X] = neap_convolution_input(c, b->g[0], b->x[W], NULL, SETTINGS, nd, x->shape + 2);
  if (b->in[W].needs) b->gx[W] = neap_convolution_weight(c, b->g[0], b->x[X], nd, w->shape + 2, SETTINGS);
  if (b->in[B].needs) b->gx[B] = over_channels(c, b->g[0]);
  return c->error;
}

int np_convolution_input_back(np_back *b) { /* x = dF(g, x, w)/dx; with h for x: gg = dF/dg, gw = dF/dw */
  neap_context *c = b->ctx;
  const np_layout *w = &b->in[W].at;
  neap_tensor *h = b->g[0];
  if (b->in[X].needs) b->gx[X] = as_large_as(c, neap_convolution(c, h, b->x[W], NULL, SETTINGS), &b->in[X].at);
  if (b->in[W].needs) b->gx[W] = neap_convolution_weight(c, b->x[X], h, w->ndim - 2, w->shape + 2, SETTINGS);
  if (b->in[B].needs) b->gx[B] = over_channels(c, h);
  return c->error;
}

int np_convolution_weight_back(np_back *b) { /* w = dF(g, x, w)/dw; with v for w: gg = dF/dg, gx = dF/dx */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[W].at;
  neap_tensor *v = b->g[0];
  if (b->in[X].needs) b->gx[X] = as_large_as(c, neap_convolution(c, b->x[W], v, NULL, SETTINGS), &b->in[X].at);
  if (b->in[W].needs) b->gx[W] = neap_convolution_input(c, b->x[X], v, NULL, SETTINGS, x->ndim - 2, x->shape + 2);
  return c->error;
}

/* ---- conv1d ... conv_transpose3d ---- */

/* A single image becomes a batch of one; whether it was. */
static int batched(np_call *c, int nd) {
  neap_tensor *x = np_t(c, X);
  if (x->at.ndim != nd + 1) return 0;
  c->arg[X].t = neap_unsqueeze(c->ctx, x, 0);
  return 1;
}

static int finish(np_call *c, neap_tensor *y, int single) {
  c->out[0] = single ? neap_squeeze(c->ctx, y, 1, (int64_t[]){ 0 }) : y;
  return c->ctx->error;
}

/* Padding that keeps the size: half of what the kernel takes away on each side, the odd one behind. */
static neap_tensor *same_padding(np_call *c, int nd, np_conv_shape *s) {
  int64_t behind[6] = { 0 };
  int odd = 0;
  for (int d = 3 - nd; d < 3; d++) {
    int64_t all = s->dilation[d] * (s->kernel[d] - 1);
    if (s->stride[d] != 1) {
      np_reject(c, NEAP_ERR_ARGUMENT, "padding 'same' needs stride 1, it is %lld", (long long)s->stride[d]);
      return NULL;
    }
    s->padding[d] = all / 2;
    odd |= (int)(behind[2 * (2 - d) + 1] = all % 2);
  }
  return odd ? neap_pad(c->ctx, np_t(c, X), 2 * nd, behind, NEAP_MODE_CONSTANT, 0) : np_t(c, X);
}

static int conv(np_call *c, int nd) {
  neap_context *ctx = c->ctx;
  np_conv_shape s;
  int single = batched(c, nd), choice = c->arg[PADDING].kind == NEAP_ENUM;
  if (np_failed(ctx) || shape_of(c, nd, &s) != 0) return ctx->error;
  neap_tensor *x = np_t(c, X);
  if (choice && np_i(c, PADDING) == -1 - NEAP_PADDING_SAME) x = same_padding(c, nd, &s);
  if (np_failed(ctx)) return ctx->error;
  int first = 3 - nd;
  if (choice) { /* its size is checked again, with the padding that was found */
    c->arg[PADDING] = (neap_value){ .kind = NEAP_INTS, .n = nd, .is = s.padding + first };
    c->arg[X].t = x;
    np_conv_shape again;
    if (shape_of(c, nd, &again) != 0) return ctx->error;
  }
  neap_tensor *y = neap_convolution(ctx, x, np_t(c, W), np_t(c, B), nd, s.stride + first, nd, s.padding + first, nd, s.dilation + first, s.groups);
  return finish(c, y, single);
}
int np_conv1d_run(np_call *c) { return conv(c, 1); }
int np_conv2d_run(np_call *c) { return conv(c, 2); }
int np_conv3d_run(np_call *c) { return conv(c, 3); }

static int conv_transpose(np_call *c, int nd) {
  neap_context *ctx = c->ctx;
  np_conv_shape s;
  int64_t more[3] = { 0 };
  int single = batched(c, nd), first = 3 - nd;
  if (np_failed(ctx)) return ctx->error;
  neap_tensor *x = np_t(c, X), *w = np_t(c, W);
  if (operands_fit(c, nd, w->at.ndim > 1 ? w->at.shape[0] : 0) != 0 || settings_of(c, nd, w->at.shape + 2, TRANSPOSED_DILATION, &s) != 0 ||
      np_per_dim(c, OUTPUT_PADDING, nd, 0, 0, more + first) != 0) return ctx->error;
  int64_t groups = np_i(c, GROUPS);
  if (x->at.shape[1] != w->at.shape[0]) {
    char text[NP_SHAPES_TEXT];
    np_shapes_text(text, &x->at, " and ", &w->at);
    return np_reject(c, NEAP_ERR_SHAPE, "x and weight %s do not fit: x has %lld channels, weight takes %lld", text, (long long)x->at.shape[1], (long long)w->at.shape[0]);
  }
  if (bias_fits(c, np_t(c, B), w->at.shape[1] * groups) != 0) return ctx->error;
  for (int d = first; d < 3; d++) {
    int64_t limit = np_max(s.stride[d], s.dilation[d]);
    if (more[d] >= limit)
      return np_reject(c, NEAP_ERR_ARGUMENT, "output_padding is %lld, it must be below stride or dilation, which are %lld and %lld", (long long)more[d],
                       (long long)s.stride[d], (long long)s.dilation[d]);
    s.x[d] = (x->at.shape[2 + d - first] - 1) * s.stride[d] - 2 * s.padding[d] + s.dilation[d] * (s.kernel[d] - 1) + more[d] + 1;
    if (s.x[d] < 1) return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of the result would have size %lld: less padding", NP_DIM(c, 2 + d - first), (long long)s.x[d]);
  }
  neap_tensor *y = neap_convolution_input(ctx, x, w, np_t(c, B), nd, s.stride + first, nd, s.padding + first, nd, s.dilation + first, groups, nd, s.x + first);
  return finish(c, y, single);
}
int np_conv_transpose1d_run(np_call *c) { return conv_transpose(c, 1); }
int np_conv_transpose2d_run(np_call *c) { return conv_transpose(c, 2); }
int np_conv_transpose3d_run(np_call *c) { return conv_transpose(c, 3); }
