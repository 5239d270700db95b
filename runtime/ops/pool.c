/* Pooling over the last one to three dimensions: the greatest element of each window or their mean, windows of one size or
 * as many as are asked for (adaptive). Two ops and the adjoint of one of them do the work (pooling.h); what users call are
 * composites that say how many windows there are. The positions that max_pool gives count within an image's channel, row
 * by row. */
#include "pooling.h"

enum { X, KERNEL, STRIDE, PADDING };

/* ---- settings ---- */

static int need_planes(np_call *c, int nd) {
  neap_tensor *x = np_t(c, X);
  char text[128];
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  np_shape_text(text, sizeof text, x);
  if (x->at.ndim != nd + 1 && x->at.ndim != nd + 2) return np_reject(c, NEAP_ERR_SHAPE, "x must be of shape %s, got %s", np_image_layouts[nd], text);
  return np_need_image(c, x, nd);
}

typedef struct settings {
  int64_t kernel[3], stride[3], padding[3], dilation[3], size[3];
} settings;

static int kernel_and_stride(np_call *c, int nd, int first, int64_t *kernel, int64_t *stride) { /* which is the kernel when not given */
  if (np_per_dim(c, first, nd, 1, 1, kernel) != 0) return c->ctx->error;
  if (np_given(c, first + 1)) return np_per_dim(c, first + 1, nd, 1, 1, stride);
  memcpy(stride, kernel, (size_t)nd * sizeof *stride);
  return NEAP_OK;
}

/* Kernel, stride and padding from parameter `first` on; dilation: its parameter, or 0. Sizes follow. */
static int windows_of(np_call *c, int nd, int first, int dilation, int ceil_mode, settings *s) {
  const neap_tensor *x = np_t(c, X);
  for (int d = 0; d < nd; d++) s->padding[d] = 0, s->dilation[d] = 1;
  if (kernel_and_stride(c, nd, first, s->kernel, s->stride) != 0 || (first == KERNEL && np_per_dim(c, PADDING, nd, 0, 0, s->padding) != 0) ||
      (dilation && np_per_dim(c, dilation, nd, 1, 1, s->dilation) != 0)) return c->ctx->error;
  for (int d = 0; d < nd; d++) {
    int own = x->at.ndim - nd + d;
    int64_t n = x->at.shape[own], reach = s->dilation[d] * (s->kernel[d] - 1) + 1, left = n + 2 * s->padding[d] - reach;
    if (2 * s->padding[d] > reach)
      return np_reject(c, NEAP_ERR_ARGUMENT, "padding is %lld, half of what a window reaches over, %lld, is the most", (long long)s->padding[d], (long long)reach);
    s->size[d] = left < 0 ? 0 : left / s->stride[d] + 1;
    if (ceil_mode && left >= 0 && left % s->stride[d] && s->size[d] * s->stride[d] < n + s->padding[d]) s->size[d]++;
    if (s->size[d] < 1)
      return np_reject(c, NEAP_ERR_SHAPE, "a window reaches over %lld positions, but dimension %lld of x has %lld%s", (long long)reach, NP_DIM(c, own),
                       (long long)n + 2 * s->padding[d], s->padding[d] ? " with its padding" : "");
  }
  return NEAP_OK;
}

/* ---- the engine as ops: x kernel stride padding dilation size; no kernel: adaptive ---- */

/* in: the sizes of what is pooled; kernel empty: adaptive. */
static np_pooling pooling_of(const np_layout *lead, int nd, const int64_t *in, const int64_t *size, const neap_value *kernel, const int64_t *stride,
                             const int64_t *padding, const int64_t *dilation) {
  np_pooling p = { .planes = 1 };
  for (int d = 0; d < lead->ndim - nd; d++) p.planes *= lead->shape[d];
  for (int d = 0; d < 3; d++) {
    int own = d - (3 - nd), adaptive = own >= 0 && kernel->n == 0;
    p.w[d] = (np_windows){ .n = own < 0 ? 1 : in[own], .size = own < 0 ? 1 : size[own], .kernel = adaptive ? 0 : own < 0 ? 1 : kernel->is[own],
      .stride = own < 0 || adaptive ? 1 : stride[own], .padding = own < 0 || adaptive ? 0 : padding[own],
      .dilation = own < 0 || adaptive || !dilation ? 1 : dilation[own] };
  }
  return p;
}

static int pooled_spec(np_call *c, int out, int dtype, const np_layout *x, const neap_value *size) {
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  for (int d = 0; d < size->n; d++) shape[x->ndim - size->n + d] = size->is[d];
  return np_spec(c, out, dtype, x->ndim, shape);
}

static int lists_fit(np_call *c, int size) { /* the lists from kernel on, and x, have as many dimensions as `size` */
  int nd = c->arg[size].n, fits = nd >= 1 && nd <= 3 && np_t(c, X)->at.ndim > nd;
  for (int i = KERNEL; i < size; i++)
    if (c->arg[i].kind == NEAP_INTS) fits &= c->arg[i].n == nd || (c->arg[KERNEL].n == 0 && c->arg[i].n == 0);
  return fits ? NEAP_OK : np_reject(c, NEAP_ERR_ARGUMENT, "kernel, stride, padding, dilation and size must be of one to three dimensions, fewer than x has");
}

enum { DILATION = PADDING + 1, MAX_SIZE };
int np_max_windows_infer(np_call *c) {
  const np_layout *x = &np_t(c, X)->at;
  if (lists_fit(c, MAX_SIZE) != 0 || pooled_spec(c, 0, x->dtype, x, &c->arg[MAX_SIZE]) != 0) return c->ctx->error;
  return pooled_spec(c, 1, NEAP_I64, x, &c->arg[MAX_SIZE]);
}

/* On memory that the engine reads and writes. */
typedef int engine(neap_context *c, int dtype, const np_pooling *p, const char *x, char *y);
static int on_planes(np_call *c, const np_pooling *p, engine *f) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  int native = np_native_of(y->at.dtype);
  neap_tensor *x = np_contiguous_of(ctx, np_t(c, X), native), *to = np_room(y, native);
  if (x && to && f) f(ctx, native, p, np_data(x), np_data(to));
  if (x && to && !f) np_pool_max(ctx, native, p, np_data(x), np_data(to), (int64_t *)np_data(c->out[1]), ctx->site.base);
  np_deliver(ctx, y, to);
  neap_release(x);
  return ctx->error;
}

int np_max_windows_run(np_call *c) {
  const np_layout *x = &np_t(c, X)->at;
  const neap_value *a = c->arg;
  int nd = a[MAX_SIZE].n;
  np_pooling p = pooling_of(x, nd, x->shape + x->ndim - nd, a[MAX_SIZE].is, &a[KERNEL], a[STRIDE].is, a[PADDING].is, a[DILATION].is);
  return on_planes(c, &p, NULL);
}

int np_max_windows_back(np_back *b) { /* gx = at each position the sum of g over the windows that it is the greatest of */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[X].at;
  int nd = b->arg[MAX_SIZE].n;
  int64_t planes = 1, area = 1, windows = 1;
  for (int d = 0; d < x->ndim; d++) *(d < x->ndim - nd ? &planes : &area) *= x->shape[d];
  for (int d = 0; d < nd; d++) windows *= b->arg[MAX_SIZE].is[d];
  const int64_t flat[2] = { planes, area }, seen[2] = { planes, windows };
  neap_tensor *at = neap_reshape(c, b->y[1], 2, seen), *g = neap_reshape(c, b->g[0], 2, seen);
  b->gx[X] = neap_reshape(c, neap_scatter_add_(c, neap_zeros(c, 2, flat, g ? g->at.dtype : 0), 1, at, g), x->ndim, x->shape);
  return c->error;
}

/* ---- mean_windows: x kernel stride padding include divisor size; mean_windows_add: g ... size, of x ---- */

enum { INCLUDE = PADDING + 1, DIVISOR, MEAN_SIZE };
static np_pooling mean_of(const neap_value *a, const np_layout *lead, const int64_t *in, const int64_t *size, int nd) {
  np_pooling p = pooling_of(lead, nd, in, size, &a[KERNEL], a[STRIDE].is, a[PADDING].is, NULL);
  p.include = (int)a[INCLUDE].i, p.divisor = a[DIVISOR].i;
  return p;
}

int np_mean_windows_infer(np_call *c) {
  const np_layout *x = &np_t(c, X)->at;
  return lists_fit(c, MEAN_SIZE) != 0 ? c->ctx->error : pooled_spec(c, 0, x->dtype, x, &c->arg[MEAN_SIZE]);
}
int np_mean_windows_run(np_call *c) {
  const np_layout *x = &np_t(c, X)->at;
  int nd = c->arg[MEAN_SIZE].n;
  np_pooling p = mean_of(c->arg, x, x->shape + x->ndim - nd, c->arg[MEAN_SIZE].is, nd);
  return on_planes(c, &p, np_pool_mean);
}
#define LIST(i) b->arg[i].n, b->arg[i].is
int np_mean_windows_back(np_back *b) { /* gx = sum of g / length over the windows of an element */
  const np_layout *x = &b->in[X].at;
  int nd = b->arg[MEAN_SIZE].n;
  b->gx[X] = neap_mean_windows_add(b->ctx, b->g[0], LIST(KERNEL), LIST(STRIDE), LIST(PADDING), (int)b->arg[INCLUDE].i, b->arg[DIVISOR].i, nd,
                                   x->shape + x->ndim - nd);
  return b->ctx->error;
}

int np_mean_windows_add_infer(np_call *c) {
  const np_layout *g = &np_t(c, X)->at;
  return lists_fit(c, MEAN_SIZE) != 0 ? c->ctx->error : pooled_spec(c, 0, g->dtype, g, &c->arg[MEAN_SIZE]);
}
int np_mean_windows_add_run(np_call *c) {
  const np_layout *g = &np_t(c, X)->at;
  int nd = c->arg[MEAN_SIZE].n;
  np_pooling p = mean_of(c->arg, g, c->arg[MEAN_SIZE].is, g->shape + g->ndim - nd, nd);
  return on_planes(c, &p, np_pool_mean_back);
}
int np_mean_windows_add_back(np_back *b) { /* gg = the means of the gradient */
  const np_layout *g = &b->in[X].at;
  int nd = b->arg[MEAN_SIZE].n;
  b->gx[X] = neap_mean_windows(b->ctx, b->g[0], LIST(KERNEL), LIST(STRIDE), LIST(PADDING), (int)b->arg[INCLUDE].i, b->arg[DIVISOR].i, nd,
                               g->shape + g->ndim - nd);
  return b->ctx->error;
}

/* ---- max_pool: x kernel_size stride padding dilation ceil_mode return_indices ---- */

static int max_of(np_call *c, int nd, int adaptive, const settings *s, int indices) {
  int n = adaptive ? 0 : nd;
  c->out[0] = neap_max_windows(c->ctx, np_t(c, X), n, s->kernel, n, s->stride, n, s->padding, n, s->dilation, nd, s->size, &c->out[1]);
  if (!indices && c->out[1]) neap_release(c->out[1]), c->out[1] = NULL;
  return c->ctx->error;
}

static int max_pool(np_call *c, int nd) {
  settings s;
  if (need_planes(c, nd) != 0 || windows_of(c, nd, KERNEL, DILATION, (int)np_i(c, 5), &s) != 0) return c->ctx->error;
  return max_of(c, nd, 0, &s, (int)np_i(c, 6));
}
int np_max_pool1d_run(np_call *c) { return max_pool(c, 1); }
int np_max_pool2d_run(np_call *c) { return max_pool(c, 2); }
int np_max_pool3d_run(np_call *c) { return max_pool(c, 3); }

/* ---- avg_pool: x kernel_size stride padding ceil_mode count_include_pad divisor_override ---- */

static int avg_pool(np_call *c, int nd) {
  settings s;
  int has = c->sig->n_params > 6 && np_given(c, 6);
  if (need_planes(c, nd) != 0 || windows_of(c, nd, KERNEL, 0, (int)np_i(c, 4), &s) != 0) return c->ctx->error;
  if (has && np_i(c, 6) == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "divisor_override is 0");
  c->out[0] = neap_mean_windows(c->ctx, np_t(c, X), nd, s.kernel, nd, s.stride, nd, s.padding, (int)np_i(c, 5), has ? np_i(c, 6) : 0, nd, s.size);
  return c->ctx->error;
}
int np_avg_pool1d_run(np_call *c) { return avg_pool(c, 1); }
int np_avg_pool2d_run(np_call *c) { return avg_pool(c, 2); }
int np_avg_pool3d_run(np_call *c) { return avg_pool(c, 3); }

/* ---- lp_pool: x norm_type kernel_size stride ceil_mode; (sum of x^p)^(1/p), by the mean ---- */

static int lp_pool(np_call *c, int nd) {
  neap_context *ctx = c->ctx;
  settings s;
  double p = np_d(c, 1), count = 1;
  if (need_planes(c, nd) != 0 || windows_of(c, nd, 2, 0, (int)np_i(c, 4), &s) != 0) return ctx->error;
  if (p == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "norm_type is 0");
  for (int d = 0; d < nd; d++) count *= (double)s.kernel[d];
  neap_tensor *y = neap_mean_windows(ctx, neap_pow(ctx, np_t(c, X), NP_C(ctx, p)), nd, s.kernel, nd, s.stride, nd, s.padding, 1, 0, nd, s.size);
  y = neap_mul(ctx, neap_mul(ctx, neap_sign(ctx, y), neap_relu(ctx, neap_abs(ctx, y))), NP_C(ctx, count));
  c->out[0] = neap_pow(ctx, y, NP_C(ctx, 1 / p));
  return ctx->error;
}
int np_lp_pool1d_run(np_call *c) { return lp_pool(c, 1); }
int np_lp_pool2d_run(np_call *c) { return lp_pool(c, 2); }
int np_lp_pool3d_run(np_call *c) { return lp_pool(c, 3); }

/* ---- adaptive: x output_size ---- */

static int adaptive_sizes(np_call *c, int nd, settings *s) {
  const np_layout *x = &np_t(c, X)->at;
  if (need_planes(c, nd) != 0 || np_per_dim(c, 1, nd, -1, -1, s->size) != 0) return c->ctx->error;
  for (int d = 0; d < nd; d++)
    if (s->size[d] < 0) s->size[d] = x->shape[x->ndim - nd + d];
  return NEAP_OK;
}
static int adaptive_avg(np_call *c, int nd) {
  settings s;
  if (adaptive_sizes(c, nd, &s) != 0) return c->ctx->error;
  const int64_t last[3] = { -1, -2, -3 };
  if (s.size[0] == 1 && (nd < 2 || s.size[1] == 1) && (nd < 3 || s.size[2] == 1)) /* over whole images */
    c->out[0] = neap_mean(c->ctx, np_t(c, X), nd, last, 1, -1);
  else
    c->out[0] = neap_mean_windows(c->ctx, np_t(c, X), 0, s.size, 0, s.size, 0, s.size, 0, 0, nd, s.size);
  return c->ctx->error;
}
static int adaptive_max(np_call *c, int nd) {
  settings s;
  return adaptive_sizes(c, nd, &s) != 0 ? c->ctx->error : max_of(c, nd, 1, &s, (int)np_i(c, 2));
}
int np_adaptive_avg_pool1d_run(np_call *c) { return adaptive_avg(c, 1); }
int np_adaptive_avg_pool2d_run(np_call *c) { return adaptive_avg(c, 2); }
int np_adaptive_avg_pool3d_run(np_call *c) { return adaptive_avg(c, 3); }
int np_adaptive_max_pool1d_run(np_call *c) { return adaptive_max(c, 1); }
int np_adaptive_max_pool2d_run(np_call *c) { return adaptive_max(c, 2); }
int np_adaptive_max_pool3d_run(np_call *c) { return adaptive_max(c, 3); }

/* ---- max_unpool: x indices kernel_size stride padding output_size ---- */

static int max_unpool(np_call *c, int nd) {
  enum { INDICES = 1, FIRST, OUTPUT = FIRST + 3 };
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *at = np_t(c, INDICES);
  int64_t kernel[3], stride[3], padding[3], shape[NEAP_MAX_DIMS], planes = 1, area = 1, windows = 1;
  if (need_planes(c, nd) != 0) return ctx->error;
  if (!np_same_shape(x, at)) {
    char text[NP_SHAPES_TEXT];
    np_shapes_text(text, &x->at, " and ", &at->at);
    return np_reject(c, NEAP_ERR_SHAPE, "x and indices must be of one shape, got %s", text);
  }
  if (kernel_and_stride(c, nd, FIRST, kernel, stride) != 0 || np_per_dim(c, FIRST + 2, nd, 0, 0, padding) != 0) return ctx->error;
  const neap_value *size = &c->arg[OUTPUT];
  int lead = x->at.ndim - nd;
  if (size->kind != NEAP_NONE && size->n != nd && size->n != x->at.ndim)
    return np_reject(c, NEAP_ERR_ARGUMENT, "output_size has %d sizes, it must have %d or %d", size->n, nd, x->at.ndim);
  for (int d = 0; d < x->at.ndim; d++) {
    int i = d - lead;
    shape[d] = i < 0 ? x->at.shape[d] : size->kind != NEAP_NONE ? size->is[size->n - nd + i] : (x->at.shape[d] - 1) * stride[i] - 2 * padding[i] + kernel[i];
    if (i >= 0 && shape[d] < 1) return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of the result would have size %lld", NP_DIM(c, d), (long long)shape[d]);
    *(i < 0 ? &planes : &area) *= shape[d];
    if (i >= 0) windows *= x->at.shape[d];
  }
  const int64_t flat[2] = { planes, area }, seen[2] = { planes, windows };
  neap_tensor *y = neap_zeros(ctx, 2, flat, x->at.dtype);
  y = neap_scatter(ctx, y, 1, neap_reshape(ctx, at, 2, seen), neap_reshape(ctx, x, 2, seen), NEAP_REDUCE_NONE);
  c->out[0] = neap_reshape(ctx, y, x->at.ndim, shape);
  return ctx->error;
}
int np_max_unpool1d_run(np_call *c) { return max_unpool(c, 1); }
int np_max_unpool2d_run(np_call *c) { return max_unpool(c, 2); }
int np_max_unpool3d_run(np_call *c) { return max_unpool(c, 3); }
