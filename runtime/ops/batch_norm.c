/* Batch norm over x (N, C, ...), seen as (N, C, S): y = (x - mean) rstd w + b for each channel, rstd = 1 / sqrt(var + eps)
 * (Ioffe and Szegedy, 2015). In training mean and var are those of the channel's N S values, else they are given.
 *
 * Two forms. Where S is long, a channel is walked in runs of S: a task has a channel, or a part of its samples, whose
 * values it reads once from memory, since mean, deviations and result follow while they are in the cache. Where S is
 * short, whole samples are rows of C S columns, and the numbers of a channel are vectors that repeat along S. */
#include "norms.h"

enum { X, W, B, MEAN, VAR, EPS };                  /* arguments of batch_norm_at, and its tensors as records number them */
enum { SHORT = 32, PART = 65536, MOST_BLOCKS = 64 }; /* a short S; elements of a part; blocks of rows at most */

typedef struct view {
  neap_context *c;
  const np_norm *k;
  const np_reduce *sums;
  int native, training, wants_x;
  int64_t N, C, S, size;         /* size: bytes of an element */
  int64_t per, parts;            /* samples of a part, parts of a channel: in runs; of a block, blocks: in rows */
  const char *x, *g, *w, *b;
  char *y;                       /* y, or dx; w and b NULL: 1 and 0 */
  double eps, *center, *spread;  /* (C) */
  double *part;                  /* in runs (C, parts, 2), in rows (parts, 1 or 2, C S) */
  double *wide;                  /* in rows: the centers, (C S) */
  char *vector[4];               /* in rows: c, a, b or c, a, p, q, (C S) each */
  double *gw, *gb;               /* (C) */
} view;

static view view_of(neap_context *c, const np_layout *x) {
  int native = np_native_of(x->dtype);
  view v = { .c = c, .k = c->kernels->norm[np_ctype(native)], .sums = c->kernels->reduce[np_ctype(native)], .native = native,
    .N = x->shape[0], .C = x->shape[1], .S = 1, .size = np_size_of(native) };
  for (int i = 2; i < x->ndim; i++) v.S *= x->shape[i];
  if (v.S < SHORT) v.per = np_max(np_max(1, PART / np_max(1, v.C * v.S)), np_blocks(v.N, MOST_BLOCKS));
  else v.per = v.C >= MOST_BLOCKS ? np_max(1, v.N) : np_max(1, PART / v.S);
  v.parts = np_blocks(v.N, v.per);
  return v;
}
static int in_rows(const view *v) { return v->S < SHORT; }
static double number(const view *v, const char *p, int64_t i, double none) { return p ? np_get_number(v->native, p + i * v->size) : none; }
static double rstd_of(const view *v, int64_t ch) { return 1 / sqrt(v->spread[ch] + v->eps); }

/* ---- runs ---- */

static const char *run_at(const view *v, const char *x, int64_t n, int64_t ch) { return x + (n * v->C + ch) * v->S * v->size; }
static void samples_of(const view *v, int64_t task, int64_t *ch, int64_t *first, int64_t *end) {
  *ch = task / v->parts;
  *first = task % v->parts * v->per;
  *end = np_min(*first + v->per, v->N);
}

/* Mean and squared deviations of all parts of a channel, joined in order (Chan et al., 1979). */
static void join(view *v, int64_t ch) {
  double mean = 0, dev = 0, count = 0;
  for (int64_t p = 0; p < v->parts; p++) {
    const double *part = v->part + 2 * (ch * v->parts + p);
    double n = (double)((np_min((p + 1) * v->per, v->N) - p * v->per) * v->S), d = part[0] - mean, both = count + n;
    mean += d * n / both;
    dev += part[1] + d * d * count * n / both;
    count = both;
  }
  v->center[ch] = mean;
  v->spread[ch] = dev / count;
}

static void scale_task(void *arg, int64_t task) {
  const view *v = arg;
  int64_t ch, n, end;
  samples_of(v, task, &ch, &n, &end);
  double a = rstd_of(v, ch) * number(v, v->w, ch, 1), b = number(v, v->b, ch, 0);
  if (np_cancelled(v->c)) return;
  for (; n < end; n++) v->k->scale(v->S, run_at(v, v->x, n, ch), v->center[ch], a, b, v->y + (n * v->C + ch) * v->S * v->size);
}

static void moments_task(void *arg, int64_t task) {
  view *v = arg;
  int64_t ch, first, end;
  double sum = 0, dev = 0, one;
  samples_of(v, task, &ch, &first, &end);
  if (np_cancelled(v->c)) return;
  for (int64_t n = first; n < end; n++) v->sums->row[NP_SUM](v->S, run_at(v, v->x, n, ch), &one), sum += one;
  double mean = sum / (double)((end - first) * v->S);
  for (int64_t n = first; n < end; n++) v->sums->sq_dev(v->S, run_at(v, v->x, n, ch), mean, &one), dev += one;
  v->part[2 * task] = mean;
  v->part[2 * task + 1] = dev;
  if (v->parts > 1) return;
  join(v, ch);
  scale_task(v, task);
}

static void forward_runs(view *v) {
  double work = (double)(v->N * v->C * v->S);
  if (v->training) np_parallel(v->c, v->C * v->parts, work * 0.4, moments_task, v);
  if (v->training && v->parts == 1) return;
  for (int64_t ch = 0; v->training && ch < v->C; ch++) join(v, ch);
  np_parallel(v->c, v->C * v->parts, work * 0.2, scale_task, v);
}

/* With d = g w and M values a channel: gx = rstd (d - mean(d) - h mean(d h)), h = (x - mean) rstd; gw = sum g h; gb = sum g.
 * Outside of training mean and var are constants: gx = rstd d. */
typedef struct slope { double a, p, q; } slope;
static slope slope_of(const view *v, int64_t ch, double sum, double along) {
  double r = rstd_of(v, ch), a = r * number(v, v->w, ch, 1), M = (double)(v->N * v->S);
  return v->training ? (slope){ a, a * sum / M, a * r * r * along / M } : (slope){ a, 0, 0 };
}

static void keep_sums(view *v, int64_t ch, double sum, double along) {
  if (v->gw) v->gw[ch] = along * rstd_of(v, ch);
  if (v->gb) v->gb[ch] = sum;
}

static void gradient_task(void *arg, int64_t task) {
  view *v = arg;
  int64_t ch, n, end;
  double sum = 0, along = 0;
  samples_of(v, task, &ch, &n, &end);
  if (np_cancelled(v->c)) return;
  for (int64_t p = 0; p < v->parts; p++) sum += v->part[2 * (ch * v->parts + p)], along += v->part[2 * (ch * v->parts + p) + 1];
  if (n == 0) keep_sums(v, ch, sum, along);
  slope s = slope_of(v, ch, sum, along);
  for (; v->wants_x && n < end; n++)
    v->k->scale_grad(v->S, run_at(v, v->g, n, ch), run_at(v, v->x, n, ch), v->center[ch], s.a, s.p, s.q, v->y + (n * v->C + ch) * v->S * v->size);
}

static void slopes_task(void *arg, int64_t task) {
  view *v = arg;
  int64_t ch, n, end;
  samples_of(v, task, &ch, &n, &end);
  v->part[2 * task] = v->part[2 * task + 1] = 0;
  if (np_cancelled(v->c)) return;
  for (; n < end; n++) v->k->slopes(v->S, run_at(v, v->g, n, ch), run_at(v, v->x, n, ch), v->center[ch], v->part + 2 * task);
  if (v->parts == 1) gradient_task(v, task);
}

static void backward_runs(view *v) {
  double work = (double)(v->N * v->C * v->S);
  np_parallel(v->c, v->C * v->parts, work * 0.6, slopes_task, v);
  if (v->parts > 1) np_parallel(v->c, v->C * v->parts, work * 0.3, gradient_task, v);
}

/* ---- rows ---- */

static int64_t block_of(const view *v, int64_t block, int64_t *first) { /* how many rows */
  *first = block * v->per;
  return np_min(v->per, v->N - *first);
}

static void sum_rows(void *arg, int64_t block) {
  const view *v = arg;
  int64_t n, m = block_of(v, block, &n), W_ = v->C * v->S;
  if (!np_cancelled(v->c)) v->sums->cols[NP_SUM](m, W_, v->x + n * W_ * v->size, W_, v->part + block * W_, 1);
}
static void deviations(void *arg, int64_t block) {
  const view *v = arg;
  int64_t n, m = block_of(v, block, &n), W_ = v->C * v->S;
  if (!np_cancelled(v->c)) v->sums->sq_dev_cols(m, W_, v->x + n * W_ * v->size, W_, v->wide, v->part + block * W_, 1);
}
static void scale_rows(void *arg, int64_t block) {
  const view *v = arg;
  int64_t first, m = block_of(v, block, &first), W_ = v->C * v->S;
  if (np_cancelled(v->c)) return;
  for (int64_t n = first; n < first + m; n++)
    v->k->scale_row(W_, v->x + n * W_ * v->size, v->vector[0], v->vector[1], v->vector[2], v->y + n * W_ * v->size);
}

/* The sum of column sums number `which` of all blocks over the columns of a channel. */
static double channel_sum(const view *v, int kinds, int which, int64_t ch) {
  int64_t W_ = v->C * v->S;
  double sum = 0;
  for (int64_t block = 0; block < v->parts; block++)
    for (int64_t i = ch * v->S; i < (ch + 1) * v->S; i++) sum += v->part[(block * kinds + which) * W_ + i];
  return sum;
}
static void spread_out(const view *v, int vector, int64_t ch, double value) {
  for (int64_t i = ch * v->S; i < (ch + 1) * v->S; i++) np_put_number(v->native, v->vector[vector] + i * v->size, value);
}

static void forward_rows(view *v) {
  double work = (double)(v->N * v->C * v->S), M = (double)(v->N * v->S);
  if (v->training) {
    np_parallel(v->c, v->parts, work * 0.2, sum_rows, v);
    for (int64_t ch = 0; ch < v->C; ch++) {
      v->center[ch] = channel_sum(v, 1, 0, ch) / M;
      for (int64_t i = ch * v->S; i < (ch + 1) * v->S; i++) v->wide[i] = v->center[ch];
    }
    np_parallel(v->c, v->parts, work * 0.2, deviations, v);
    for (int64_t ch = 0; ch < v->C; ch++) v->spread[ch] = channel_sum(v, 1, 0, ch) / M;
  }
  for (int64_t ch = 0; ch < v->C; ch++) {
    spread_out(v, 0, ch, v->center[ch]);
    spread_out(v, 1, ch, rstd_of(v, ch) * number(v, v->w, ch, 1));
    spread_out(v, 2, ch, number(v, v->b, ch, 0));
  }
  np_parallel(v->c, v->parts, work * 0.2, scale_rows, v);
}

static void slopes_rows(void *arg, int64_t block) {
  const view *v = arg;
  int64_t first, m = block_of(v, block, &first), W_ = v->C * v->S;
  double *to = v->part + block * 2 * W_;
  memset(to, 0, (size_t)(2 * W_) * sizeof *to);
  if (np_cancelled(v->c)) return;
  for (int64_t n = first; n < first + m; n++)
    v->k->slopes_row(W_, v->g + n * W_ * v->size, v->x + n * W_ * v->size, v->vector[0], to);
}
static void gradient_rows(void *arg, int64_t block) {
  const view *v = arg;
  int64_t first, m = block_of(v, block, &first), W_ = v->C * v->S;
  if (np_cancelled(v->c)) return;
  for (int64_t n = first; n < first + m; n++)
    v->k->scale_grad_row(W_, v->g + n * W_ * v->size, v->x + n * W_ * v->size, v->vector[0], v->vector[1], v->vector[2],
                         v->vector[3], v->y + n * W_ * v->size);
}

static void backward_rows(view *v) {
  double work = (double)(v->N * v->C * v->S);
  for (int64_t ch = 0; ch < v->C; ch++) spread_out(v, 0, ch, v->center[ch]);
  np_parallel(v->c, v->parts, work * 0.5, slopes_rows, v);
  for (int64_t ch = 0; ch < v->C; ch++) {
    double sum = channel_sum(v, 2, 0, ch), along = channel_sum(v, 2, 1, ch);
    slope s = slope_of(v, ch, sum, along);
    keep_sums(v, ch, sum, along);
    spread_out(v, 1, ch, s.a), spread_out(v, 2, ch, s.p), spread_out(v, 3, ch, s.q);
  }
  if (v->wants_x) np_parallel(v->c, v->parts, work * 0.3, gradient_rows, v);
}

/* Room for partial sums, of which there are `kinds` a column, and the vectors. */
static void *open_room(view *v, int kinds, size_t *bytes) {
  int64_t wide = v->C * v->S, doubles = in_rows(v) ? (v->parts * kinds + 1) * wide : 2 * v->C * v->parts;
  *bytes = (size_t)(doubles * (int64_t)sizeof(double) + (in_rows(v) ? 4 * wide * v->size : 0));
  double *room = np_alloc(v->c, *bytes);
  if (!room) return NULL;
  v->part = room;
  v->wide = room + doubles - wide;
  for (int i = 0; i < 4; i++) v->vector[i] = (char *)(room + doubles) + i * wide * v->size;
  return room;
}

/* ---- batch_norm_at: x weight bias mean variance eps -> y center spread ---- */

int np_batch_norm_at_infer(np_call *c) {
  const int params[4] = { W, B, MEAN, VAR };
  if (np_channels_check(c, X, 4, params) != 0) return c->ctx->error;
  const np_layout *x = &np_t(c, X)->at;
  if (!np_t(c, MEAN) != !np_t(c, VAR)) return np_reject(c, NEAP_ERR_ARGUMENT, "mean and variance come together");
  return np_spec(c, 0, x->dtype, x->ndim, x->shape) != 0 || np_spec(c, 1, NEAP_F64, 1, x->shape + 1) != 0 ||
                 np_spec(c, 2, NEAP_F64, 1, x->shape + 1) != 0 ? (int)c->ctx->error : NEAP_OK;
}

int np_batch_norm_at_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *y = c->out[0];
  view v = view_of(ctx, &x->at);
  size_t bytes;
  v.training = !np_t(c, MEAN), v.eps = np_d(c, EPS);
  v.center = (double *)np_data(c->out[1]), v.spread = (double *)np_data(c->out[2]);
  if (v.training) np_zero(ctx, c->out[1]), np_zero(ctx, c->out[2]);
  else np_copy(ctx, c->out[1], np_t(c, MEAN)), np_copy(ctx, c->out[2], np_t(c, VAR));
  if (x->at.count == 0 || np_failed(ctx)) return ctx->error;
  neap_tensor *in = np_contiguous_of(ctx, x, v.native), *w = np_contiguous_of(ctx, np_t(c, W), v.native), *b = np_contiguous_of(ctx, np_t(c, B), v.native);
  neap_tensor *out = np_room(y, v.native);
  void *room = np_failed(ctx) ? NULL : open_room(&v, 1, &bytes);
  if (room) {
    v.x = np_data(in), v.y = np_data(out), v.w = w ? np_data(w) : NULL, v.b = b ? np_data(b) : NULL;
    if (in_rows(&v)) forward_rows(&v);
    else forward_runs(&v);
    np_free(ctx, room, bytes);
  }
  np_deliver(ctx, y, out);
  neap_release(in), neap_release(w), neap_release(b);
  return ctx->error;
}

static neap_tensor *sums_of(np_back *b, int in, double **to) { /* (C) doubles for a gradient that is wanted */
  if (!b->in[in].needs) return NULL;
  neap_tensor *t = np_tensor_new(b->ctx, NEAP_F64, 1, b->in[in].at.shape);
  if (t) np_zero(b->ctx, t), *to = (double *)np_data(t);
  return t;
}

int np_batch_norm_at_back(np_back *b) {
  neap_context *c = b->ctx;
  view v = view_of(c, &b->in[X].at);
  size_t bytes;
  if (!b->g[0]) return NEAP_OK;
  v.training = !b->in[MEAN].given, v.eps = b->arg[EPS].d, v.wants_x = b->in[X].needs;
  v.center = (double *)np_data(b->y[1]), v.spread = (double *)np_data(b->y[2]);
  neap_tensor *x = np_contiguous_of(c, b->x[X], v.native), *g = np_contiguous_of(c, b->g[0], v.native);
  neap_tensor *w = np_contiguous_of(c, b->x[W], v.native), *gx = np_tensor_new(c, v.native, b->in[X].at.ndim, b->in[X].at.shape);
  neap_tensor *gw = sums_of(b, W, &v.gw), *gb = sums_of(b, B, &v.gb);
  void *room = np_failed(c) ? NULL : open_room(&v, 2, &bytes);
  if (!room) return c->error;
  v.x = np_data(x), v.g = np_data(g), v.w = w ? np_data(w) : NULL, v.y = np_data(gx);
  if (b->in[X].at.count > 0) {
    if (in_rows(&v)) backward_rows(&v);
    else backward_runs(&v);
  }
  np_free(c, room, bytes);
  if (v.wants_x) b->gx[X] = gx;
  b->gx[W] = gw, b->gx[B] = gb;
  return c->error;
}

int np_batch_norm_at_twin(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[X], *g = b->g[0], *h, *w = np_channel_shaped(c, b->x[W], &b->in[X].at);
  int64_t dims[NEAP_MAX_DIMS];
  int n = 0;
  if (!g) return NEAP_OK;
  for (int i = 0; i < b->in[X].at.ndim; i++)
    if (i != 1) dims[n++] = i;
  neap_tensor *d = w ? neap_mul(c, g, w) : g, *gx;
  if (b->in[MEAN].given) {
    neap_tensor *mean = np_channel_shaped(c, b->y[1], &b->in[X].at), *var = np_channel_shaped(c, b->y[2], &b->in[X].at);
    neap_tensor *rstd = neap_rsqrt(c, neap_add(c, var, NP_C(c, b->arg[EPS].d)));
    h = neap_mul(c, neap_sub(c, x, mean), rstd);
    gx = neap_mul(c, d, rstd);
  } else {
    gx = np_normal_twin(c, x, d, n, dims, b->arg[EPS].d, &h);
  }
  if (b->in[X].needs) b->gx[X] = gx;
  if (b->in[W].needs) b->gx[W] = neap_sum(c, neap_mul(c, g, h), n, dims, 0, -1);
  if (b->in[B].needs) b->gx[B] = neap_sum(c, g, n, dims, 0, -1);
  return c->error;
}

/* ---- batch_norm: x running_mean running_var weight bias training momentum eps ---- */

int np_batch_norm_run(np_call *c) {
  enum { MEAN_ = 1, VAR_, W_, B_, TRAINING, MOMENTUM, EPS_ };
  neap_context *ctx = c->ctx;
  const int params[4] = { MEAN_, VAR_, W_, B_ };
  neap_tensor *center, *spread, *x = np_t(c, X), *mean = np_t(c, MEAN_), *var = np_t(c, VAR_);
  if (np_channels_check(c, X, 4, params) != 0) return ctx->error;
  int training = (int)np_i(c, TRAINING);
  if (!training) {
    if (!mean || !var) return np_reject(c, NEAP_ERR_ARGUMENT, "running_mean and running_var are needed outside of training");
    c->out[0] = neap_batch_norm_at(ctx, x, np_t(c, W_), np_t(c, B_), mean, var, np_d(c, EPS_), &center, &spread);
    return ctx->error;
  }
  double values = x->at.shape[1] ? (double)(x->at.count / x->at.shape[1]) : 0;
  if (values == 1) {
    char text[128];
    np_shape_text(text, sizeof text, x);
    return np_reject(c, NEAP_ERR_SHAPE, "in training a channel needs more than one value, x is %s: use a larger batch, or eval()", text);
  }
  if (np_running_check(c, MEAN_) != 0) return ctx->error;
  c->out[0] = neap_batch_norm_at(ctx, x, np_t(c, W_), np_t(c, B_), NULL, NULL, np_d(c, EPS_), &center, &spread);
  if (c->out[0] && x->at.count > 0) np_running_update(c, MEAN_, center, spread, 1, values, np_d(c, MOMENTUM));
  return ctx->error;
}
