/* Group norm over x (N, C, ...): y = (x - mean) rstd w + b, mean and variance those of a sample's group of C / G neighbouring
 * channels (Wu and He, 2018), which lie in a row; w and b are a channel's. Instance norm is that of groups of one channel
 * (Ulyanov et al., 2016). Where the runs of a channel are short, w and b are spread out and a group is a row of layer norm. */
#include "norms.h"

enum { X, GROUPS, W, B, EPS };     /* arguments of group_norm_at */
enum { IN_X, IN_W, IN_B };         /* the tensors among them, as records number them */
enum { SHORT = 32 };

typedef struct view {
  neap_context *c;
  const np_norm *k;
  const np_row *row;
  const np_reduce *sums;
  int native, wants_x;
  int64_t N, C, G, S, in, n, size; /* in: channels of a group; n: its elements */
  const char *x, *g, *w, *b;     /* w, b: (C), or spread out (C S); NULL: 1 and 0 */
  char *y;                       /* y, or dx */
  double eps, *center, *spread;  /* (N, G) */
  double *gw, *gb;               /* (N, C), or spread out (N, C S) */
} view;

static view view_of(neap_context *c, const np_layout *x, int64_t groups, double eps) {
  int native = np_native_of(x->dtype), ctype = np_ctype(native);
  view v = { .c = c, .k = c->kernels->norm[ctype], .row = c->kernels->row[ctype], .sums = c->kernels->reduce[ctype], .native = native,
    .N = x->shape[0], .C = x->shape[1], .G = groups, .S = 1, .size = np_size_of(native), .eps = eps };
  for (int i = 2; i < x->ndim; i++) v.S *= x->shape[i];
  v.in = v.C / np_max(1, v.G);
  v.n = v.in * v.S;
  return v;
}
static int is_short(const view *v) { return v->S < SHORT; }
static int64_t per_task(const view *v) { return np_max(1, NP_GRAIN / np_max(1, v->n)); }
static double number(const view *v, const char *p, int64_t i, double none) { return p ? np_get_number(v->native, p + i * v->size) : none; }

/* (C) as the kernels want it: contiguous, each entry S times where runs are short. A new reference. */
static neap_tensor *per_channel(const view *v, neap_tensor *t) {
  if (!t || !is_short(v) || v->S == 1) return np_contiguous_of(v->c, t, v->native);
  const int64_t shape[2] = { v->C, v->S };
  neap_tensor *wide = np_tensor_new(v->c, v->native, 2, shape);
  np_layout column = t->at;
  column.ndim = 2, column.shape[0] = v->C, column.shape[1] = 1, column.stride[1] = 0;
  neap_tensor seen = np_window(t, &column);
  if (wide) np_copy(v->c, wide, &seen);
  return wide;
}

/* ---- forward ---- */

static void forward_group(const view *v, int64_t i) { /* i: sample and group */
  const char *x = v->x + i * v->n * v->size;
  char *y = v->y + i * v->n * v->size;
  int64_t ch = i % v->G * v->in;
  double sum, dev;
  v->sums->row[NP_SUM](v->n, x, &sum);
  double mean = sum / (double)v->n;
  v->sums->sq_dev(v->n, x, mean, &dev);
  v->center[i] = mean;
  v->spread[i] = dev / (double)v->n;
  if (is_short(v)) {
    const char *w = v->w ? v->w + ch * v->S * v->size : NULL, *b = v->b ? v->b + ch * v->S * v->size : NULL;
    double room[2];
    v->row->layer_norm(v->n, x, w, b, v->eps, y, &room[0], &room[1]);
    return;
  }
  double rstd = 1 / sqrt(v->spread[i] + v->eps);
  for (int64_t k = 0; k < v->in; k++)
    v->k->scale(v->S, x + k * v->S * v->size, mean, rstd * number(v, v->w, ch + k, 1), number(v, v->b, ch + k, 0), y + k * v->S * v->size);
}

static void forward_task(void *arg, int64_t task) {
  const view *v = arg;
  int64_t last = np_min((task + 1) * per_task(v), v->N * v->G);
  if (np_cancelled(v->c)) return;
  for (int64_t i = task * per_task(v); i < last; i++) forward_group(v, i);
}

static int check(np_call *c, int64_t groups) {
  const int params[2] = { W, B };
  if (np_channels_check(c, X, 2, params) != 0) return c->ctx->error;
  int64_t channels = np_t(c, X)->at.shape[1];
  if (groups < 1 || channels % groups != 0)
    return np_reject(c, NEAP_ERR_ARGUMENT, "num_groups is %lld: the %lld channels of x do not divide into so many groups", (long long)groups, (long long)channels);
  return NEAP_OK;
}

int np_group_norm_at_infer(np_call *c) {
  const np_layout *x = &np_t(c, X)->at;
  if (check(c, np_i(c, GROUPS)) != 0) return c->ctx->error;
  const int64_t shape[2] = { x->shape[0], np_i(c, GROUPS) };
  return np_spec(c, 0, x->dtype, x->ndim, x->shape) != 0 || np_spec(c, 1, NEAP_F64, 2, shape) != 0 || np_spec(c, 2, NEAP_F64, 2, shape) != 0
           ? (int)c->ctx->error : NEAP_OK;
}

int np_group_norm_at_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  view v = view_of(ctx, &np_t(c, X)->at, np_i(c, GROUPS), np_d(c, EPS));
  v.center = (double *)np_data(c->out[1]), v.spread = (double *)np_data(c->out[2]);
  if (v.n == 0) np_zero(ctx, c->out[1]), np_zero(ctx, c->out[2]);
  if (y->at.count == 0) return ctx->error;
  neap_tensor *x = np_contiguous_of(ctx, np_t(c, X), v.native), *w = per_channel(&v, np_t(c, W)), *b = per_channel(&v, np_t(c, B));
  neap_tensor *out = np_room(y, v.native);
  if (!np_failed(ctx)) {
    v.x = np_data(x), v.y = np_data(out), v.w = w ? np_data(w) : NULL, v.b = b ? np_data(b) : NULL;
    np_parallel(ctx, np_blocks(v.N * v.G, per_task(&v)), (double)y->at.count * 0.5, forward_task, &v);
  }
  np_deliver(ctx, y, out);
  neap_release(x), neap_release(w), neap_release(b);
  return ctx->error;
}

/* ---- backward: with d = g w and n values a group, gx = rstd (d - mean(d) - h mean(d h)), gw = sum g h, gb = sum g ---- */

static void backward_group(const view *v, int64_t i) {
  const char *x = v->x + i * v->n * v->size, *g = v->g + i * v->n * v->size;
  char *dx = v->wants_x ? v->y + i * v->n * v->size : NULL;
  int64_t ch = i % v->G * v->in, own = i / v->G * v->C + ch;
  double mean = v->center[i], rstd = 1 / sqrt(v->spread[i] + v->eps), sum = 0, along = 0;
  if (is_short(v)) {
    float mean32 = (float)mean, rstd32 = (float)rstd;
    const void *m = v->native == NEAP_F32 ? (const void *)&mean32 : &mean, *r = v->native == NEAP_F32 ? (const void *)&rstd32 : &rstd;
    v->row->layer_norm_grad(v->n, g, x, v->w ? v->w + ch * v->S * v->size : NULL, m, r, dx, v->gw ? v->gw + own * v->S : NULL, v->gb ? v->gb + own * v->S : NULL);
    return;
  }
  for (int64_t k = 0; k < v->in; k++) {
    double s[2] = { 0, 0 }, w = number(v, v->w, ch + k, 1);
    v->k->slopes(v->S, g + k * v->S * v->size, x + k * v->S * v->size, mean, s);
    sum += w * s[0], along += w * s[1];
    if (v->gw) v->gw[own + k] = s[1] * rstd;
    if (v->gb) v->gb[own + k] = s[0];
  }
  double p = rstd * sum / (double)v->n, q = rstd * rstd * rstd * along / (double)v->n;
  for (int64_t k = 0; dx && k < v->in; k++)
    v->k->scale_grad(v->S, g + k * v->S * v->size, x + k * v->S * v->size, mean, rstd * number(v, v->w, ch + k, 1), p, q, dx + k * v->S * v->size);
}

static void backward_task(void *arg, int64_t task) {
  const view *v = arg;
  int64_t last = np_min((task + 1) * per_task(v), v->N * v->G);
  if (np_cancelled(v->c)) return;
  for (int64_t i = task * per_task(v); i < last; i++) backward_group(v, i);
}

/* Room for a parameter's sums of each sample. */
static neap_tensor *sums_of(np_back *b, const view *v, int in, double **to) {
  if (!b->in[in].needs) return NULL;
  const int64_t shape[3] = { v->N, v->C, is_short(v) ? v->S : 1 };
  neap_tensor *t = np_tensor_new(b->ctx, NEAP_F64, 3, shape);
  if (t) np_zero(b->ctx, t), *to = (double *)np_data(t);
  return t;
}

int np_group_norm_at_back(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *at = &b->in[IN_X].at;
  view v = view_of(c, at, b->arg[GROUPS].i, b->arg[EPS].d);
  if (!b->g[0]) return NEAP_OK;
  v.wants_x = b->in[IN_X].needs;
  v.center = (double *)np_data(b->y[1]), v.spread = (double *)np_data(b->y[2]);
  neap_tensor *x = np_contiguous_of(c, b->x[IN_X], v.native), *g = np_contiguous_of(c, b->g[0], v.native), *w = per_channel(&v, b->x[IN_W]);
  neap_tensor *gx = np_tensor_new(c, v.native, at->ndim, at->shape), *gw = sums_of(b, &v, IN_W, &v.gw), *gb = sums_of(b, &v, IN_B, &v.gb);
  if (np_failed(c)) return c->error;
  v.x = np_data(x), v.g = np_data(g), v.w = w ? np_data(w) : NULL, v.y = np_data(gx);
  if (at->count > 0) np_parallel(c, np_blocks(v.N * v.G, per_task(&v)), (double)at->count, backward_task, &v);
  if (v.wants_x) b->gx[IN_X] = gx;
  b->gx[IN_W] = np_block_total(b, IN_W, gw, 1 | 4), b->gx[IN_B] = np_block_total(b, IN_B, gb, 1 | 4);
  return c->error;
}

int np_group_norm_at_twin(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *at = &b->in[IN_X].at;
  neap_tensor *x = b->x[IN_X], *g = b->g[0], *h;
  int64_t last = -1, n = 0, dims[NEAP_MAX_DIMS], groups[3] = { at->shape[0], b->arg[GROUPS].i, 1 };
  if (!g) return NEAP_OK;
  for (int i = 0; i < at->ndim; i++)
    if (i != 1) dims[n++] = i;
  groups[2] = groups[0] && groups[1] ? at->count / groups[0] / groups[1] : 0;
  neap_tensor *d = b->x[IN_W] ? neap_mul(c, g, np_channel_shaped(c, b->x[IN_W], at)) : g;
  neap_tensor *gx = np_normal_twin(c, neap_reshape(c, x, 3, groups), neap_reshape(c, d, 3, groups), 1, &last, b->arg[EPS].d, &h);
  if (b->in[IN_X].needs) b->gx[IN_X] = neap_reshape(c, gx, at->ndim, at->shape);
  if (b->in[IN_W].needs) b->gx[IN_W] = neap_sum(c, neap_mul(c, g, neap_reshape(c, h, at->ndim, at->shape)), (int)n, dims, 0, -1);
  if (b->in[IN_B].needs) b->gx[IN_B] = neap_sum(c, g, (int)n, dims, 0, -1);
  return c->error;
}

/* ---- group_norm: x num_groups weight bias eps ---- */

int np_group_norm_run(np_call *c) {
  neap_tensor *center, *spread;
  if (check(c, np_i(c, GROUPS)) != 0) return c->ctx->error;
  c->out[0] = neap_group_norm_at(c->ctx, np_t(c, X), np_i(c, GROUPS), np_t(c, W), np_t(c, B), np_d(c, EPS), &center, &spread);
  return c->ctx->error;
}

/* ---- instance_norm: x running_mean running_var weight bias use_input_stats momentum eps ---- */

int np_instance_norm_run(np_call *c) {
  enum { MEAN = 1, VAR, W_, B_, OWN, MOMENTUM, EPS_ };
  neap_context *ctx = c->ctx;
  const int params[4] = { MEAN, VAR, W_, B_ };
  neap_tensor *center, *spread, *x = np_t(c, X), *mean = np_t(c, MEAN), *var = np_t(c, VAR);
  if (np_channels_check(c, X, 4, params) != 0) return ctx->error;
  if (!np_i(c, OWN)) {
    if (!mean || !var) return np_reject(c, NEAP_ERR_ARGUMENT, "running_mean and running_var are needed without use_input_stats");
    c->out[0] = neap_batch_norm_at(ctx, x, np_t(c, W_), np_t(c, B_), mean, var, np_d(c, EPS_), &center, &spread);
    return ctx->error;
  }
  int64_t n = x->at.shape[0], channels = x->at.shape[1];
  double values = n && channels ? (double)(x->at.count / n / channels) : 0;
  if (values == 1) {
    char text[128];
    np_shape_text(text, sizeof text, x);
    return np_reject(c, NEAP_ERR_SHAPE, "a channel of a sample needs more than one value, x is %s", text);
  }
  if (np_running_check(c, MEAN) != 0) return ctx->error;
  c->out[0] = neap_group_norm_at(ctx, x, np_max(1, channels), np_t(c, W_), np_t(c, B_), np_d(c, EPS_), &center, &spread);
  if (c->out[0] && x->at.count > 0) np_running_update(c, MEAN, center, spread, n, values, np_d(c, MOMENTUM));
  return ctx->error;
}
