/* Norms over the trailing dimensions, each row of which is normalised by itself. Layer norm: y = h w + b with
 * h = (x - mean) rstd, rstd = 1 / sqrt(var + eps), mean and var of the row (Ba, Kiros, Hinton, 2016). Backward works mean
 * and rstd out again, which is cheaper than keeping them. Root mean squares likewise. */
#include "norms.h"

enum { X, SHAPE, W, B, EPS };     /* arguments */
enum { IN_X, IN_W, IN_B };         /* the tensors among them, as records number them */

static int check(np_call *c, int last) { /* last: of the parameters, from W on */
  neap_tensor *x = np_t(c, X);
  const neap_value *s = &c->arg[SHAPE];
  char a[128], b[128];
  np_text t;
  np_shape_text(a, sizeof a, x);
  np_text_init(&t, b, sizeof b);
  np_text_shape(&t, s->n, s->is);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (s->n == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "normalized_shape is empty: name the trailing sizes to normalize over");
  int lead = x->at.ndim - s->n;
  if (lead < 0 || memcmp(x->at.shape + lead, s->is, (size_t)s->n * sizeof(int64_t)) != 0)
    return np_reject(c, NEAP_ERR_SHAPE, "x %s does not end in normalized_shape %s", a, b);
  for (int i = W; i <= last; i++) {
    neap_tensor *p = np_t(c, i);
    if (!p || (p->at.ndim == s->n && memcmp(p->at.shape, s->is, (size_t)s->n * sizeof(int64_t)) == 0)) continue;
    np_shape_text(a, sizeof a, p);
    return np_reject(c, NEAP_ERR_SHAPE, "%s %s does not have normalized_shape %s", i == W ? "weight" : "bias", a, b);
  }
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

int np_layer_norm_infer(np_call *c) { return check(c, B); }

typedef struct norm {
  const np_row *k;
  const np_reduce *sums;
  int ctype;
  int64_t n;
  double eps;
  const void *w, *b;
  double *gw, *gb; /* (blocks, n) each, or NULL */
  int wants_x;
} norm;

static void forward_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const norm *s = arg;
  double mean, rstd;
  (void)r, (void)block;
  s->k->layer_norm(s->n, tiles[0], s->w, s->b, s->eps, tiles[1], &mean, &rstd);
}

static np_rows rows_of(neap_tensor *x, int n_axes) {
  return (np_rows){ .axis = x->at.ndim - n_axes, .n_axes = n_axes, .ctype = np_ctype(x->at.dtype), .ns = 1 };
}

static neap_tensor *rows_ready(neap_context *c, neap_tensor *x, int n_axes) { /* several axes: contiguous */
  return n_axes > 1 ? np_contiguous_of(c, x, x->at.dtype) : neap_retain(x);
}

int np_layer_norm_run(np_call *c) {
  neap_context *ctx = c->ctx;
  int n_axes = c->arg[SHAPE].n, native = np_native_of(np_t(c, X)->at.dtype);
  neap_tensor *x = rows_ready(ctx, np_t(c, X), n_axes);
  neap_tensor *w = np_contiguous_of(ctx, np_t(c, W), native), *b = np_contiguous_of(ctx, np_t(c, B), native);
  if (!np_failed(ctx)) {
    norm s = { .k = ctx->kernels->row[np_ctype(native)], .n = 1, .eps = np_d(c, EPS), .w = w ? np_data(w) : NULL, .b = b ? np_data(b) : NULL };
    for (int i = 0; i < n_axes; i++) s.n *= c->arg[SHAPE].is[i];
    np_rows rows = rows_of(x, n_axes);
    rows.n_in = rows.n_out = 1, rows.t[0] = x, rows.t[1] = c->out[0];
    np_rows_run(ctx, &rows, forward_row, &s);
  }
  neap_release(x);
  neap_release(w);
  neap_release(b);
  return ctx->error;
}

/* With d = g w: gx = rstd (d - mean(d) - h mean(d h)); gw = sum of g h over rows; gb = sum of g. */
static void gradient_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const norm *s = arg;
  (void)r;
  double sum, dev;
  float mean32, rstd32;
  s->sums->row[NP_SUM](s->n, tiles[0], &sum);
  double mean = sum / (double)s->n, rstd;
  s->sums->sq_dev(s->n, tiles[0], mean, &dev);
  rstd = 1 / sqrt(dev / (double)s->n + s->eps);
  mean32 = (float)mean, rstd32 = (float)rstd;
  const void *m = s->ctype == NP_CF32 ? (void *)&mean32 : (void *)&mean, *q = s->ctype == NP_CF32 ? (void *)&rstd32 : (void *)&rstd;
  s->k->layer_norm_grad(s->n, tiles[1], tiles[0], s->w, m, q, s->wants_x ? tiles[2] : NULL, s->gw ? s->gw + block * s->n : NULL,
                        s->gb ? s->gb + block * s->n : NULL);
}

int np_layer_norm_back(np_back *b) {
  neap_context *c = b->ctx;
  int n_axes = b->arg[SHAPE].n, native = np_native_of(b->in[IN_X].at.dtype);
  neap_tensor *x = rows_ready(c, b->x[IN_X], n_axes), *g = rows_ready(c, b->g[0], n_axes), *w = np_contiguous_of(c, b->x[IN_W], native);
  neap_tensor *gx = np_tensor_like(b->x[IN_X], b->in[IN_X].at.dtype);
  if (np_failed(c)) return c->error;
  norm s = { .k = c->kernels->row[np_ctype(native)], .sums = c->kernels->reduce[np_ctype(native)], .ctype = np_ctype(native), .n = 1,
    .eps = b->arg[EPS].d, .w = w ? np_data(w) : NULL, .wants_x = b->in[IN_X].needs };
  for (int i = 0; i < n_axes; i++) s.n *= b->arg[SHAPE].is[i];
  np_rows rows = rows_of(x, n_axes);
  rows.n_in = 2, rows.n_out = 1, rows.t[0] = x, rows.t[1] = g, rows.t[2] = gx;
  int64_t shape[2] = { np_rows_blocks(&rows), s.n };
  neap_tensor *gw = b->in[IN_W].needs ? np_tensor_new(c, NEAP_F64, 2, shape) : NULL;
  neap_tensor *gb = b->in[IN_B].needs ? np_tensor_new(c, NEAP_F64, 2, shape) : NULL;
  if (np_failed(c)) return c->error;
  if (gw) np_zero(c, gw), s.gw = (double *)np_data(gw);
  if (gb) np_zero(c, gb), s.gb = (double *)np_data(gb);
  np_rows_run(c, &rows, gradient_row, &s);
  if (b->in[IN_X].needs) b->gx[IN_X] = gx;
  b->gx[IN_W] = np_block_total(b, IN_W, gw, 1), b->gx[IN_B] = np_block_total(b, IN_B, gb, 1);
  return c->error;
}

int np_layer_norm_twin(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[IN_X], *g = b->g[0];
  int n = b->arg[SHAPE].n;
  int64_t dims[NEAP_MAX_DIMS];
  for (int i = 0; i < n; i++) dims[i] = i - n;
  neap_tensor *h, *gx = np_normal_twin(c, x, b->in[IN_W].given ? neap_mul(c, g, b->x[IN_W]) : g, n, dims, b->arg[EPS].d, &h);
  if (b->in[IN_X].needs) b->gx[IN_X] = gx;
  if (b->in[IN_W].needs) b->gx[IN_W] = neap_mul(c, g, h);
  if (b->in[IN_B].needs) b->gx[IN_B] = g;
  return c->error;
}

/* ---- rms_norm: x normalized_shape weight eps -> y = x r w, r = 1 / sqrt(mean(x^2) + eps) (Zhang and Sennrich, 2019) ---- */

enum { RMS_EPS = 3 };

static double rms_eps(const neap_value *eps, int dtype) { /* by itself the distance from 1 to the next number of the dtype */
  if (eps->kind != NEAP_NONE) return eps->d;
  return dtype == NEAP_F64 ? 2.220446049250313e-16 : dtype == NEAP_F32 ? 1.1920928955078125e-07 : dtype == NEAP_F16 ? 9.765625e-04 : 7.8125e-03;
}

int np_rms_norm_infer(np_call *c) { return check(c, W); }

typedef struct rms {
  const np_norm *k;
  int64_t n;
  double eps, *gw; /* gw: (blocks, n), or NULL */
  const void *w;
  int wants_x;
} rms;

static void rms_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const rms *s = arg;
  (void)r, (void)block;
  s->k->rms(s->n, tiles[0], s->w, s->eps, tiles[1]);
}
static void rms_gradient_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const rms *s = arg;
  (void)r;
  s->k->rms_grad(s->n, tiles[1], tiles[0], s->w, s->eps, s->wants_x ? tiles[2] : NULL, s->gw ? s->gw + block * s->n : NULL);
}

static rms rms_of(neap_context *c, const neap_value *arg, int dtype, neap_tensor *w) {
  rms s = { .k = c->kernels->norm[np_ctype(dtype)], .n = 1, .eps = rms_eps(&arg[RMS_EPS], dtype), .w = w ? np_data(w) : NULL };
  for (int i = 0; i < arg[SHAPE].n; i++) s.n *= arg[SHAPE].is[i];
  return s;
}

int np_rms_norm_run(np_call *c) {
  neap_context *ctx = c->ctx;
  int n_axes = c->arg[SHAPE].n, dtype = np_t(c, X)->at.dtype;
  neap_tensor *x = rows_ready(ctx, np_t(c, X), n_axes), *w = np_contiguous_of(ctx, np_t(c, W), np_native_of(dtype));
  if (!np_failed(ctx)) {
    rms s = rms_of(ctx, c->arg, dtype, w);
    np_rows rows = rows_of(x, n_axes);
    rows.n_in = rows.n_out = 1, rows.t[0] = x, rows.t[1] = c->out[0];
    np_rows_run(ctx, &rows, rms_row, &s);
  }
  neap_release(x);
  neap_release(w);
  return ctx->error;
}

/* With d = g w: gx = r d - x r^3 mean(d x); gw = sum of g x r over rows. */
int np_rms_norm_back(np_back *b) {
  neap_context *c = b->ctx;
  int n_axes = b->arg[SHAPE].n, dtype = b->in[IN_X].at.dtype;
  neap_tensor *x = rows_ready(c, b->x[IN_X], n_axes), *g = rows_ready(c, b->g[0], n_axes), *w = np_contiguous_of(c, b->x[IN_W], np_native_of(dtype));
  neap_tensor *gx = np_tensor_like(b->x[IN_X], dtype);
  if (np_failed(c)) return c->error;
  rms s = rms_of(c, b->arg, dtype, w);
  np_rows rows = rows_of(x, n_axes);
  rows.n_in = 2, rows.n_out = 1, rows.t[0] = x, rows.t[1] = g, rows.t[2] = gx;
  int64_t shape[2] = { np_rows_blocks(&rows), s.n };
  neap_tensor *gw = b->in[IN_W].needs ? np_tensor_new(c, NEAP_F64, 2, shape) : NULL;
  if (np_failed(c)) return c->error;
  if (gw) np_zero(c, gw), s.gw = (double *)np_data(gw);
  s.wants_x = b->in[IN_X].needs;
  np_rows_run(c, &rows, rms_gradient_row, &s);
  if (s.wants_x) b->gx[IN_X] = gx;
  b->gx[IN_W] = np_block_total(b, IN_W, gw, 1);
  return c->error;
}

int np_rms_norm_twin(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[IN_X], *g = b->g[0], *d = b->in[IN_W].given ? neap_mul(c, g, b->x[IN_W]) : g;
  int n = b->arg[SHAPE].n;
  int64_t dims[NEAP_MAX_DIMS];
  for (int i = 0; i < n; i++) dims[i] = i - n;
  neap_tensor *r = neap_rsqrt(c, neap_add(c, neap_mean(c, neap_square(c, x), n, dims, 1, -1), NP_C(c, rms_eps(&b->arg[RMS_EPS], b->in[IN_X].at.dtype))));
  neap_tensor *h = neap_mul(c, x, r);
  if (b->in[IN_X].needs) b->gx[IN_X] = neap_mul(c, r, neap_sub(c, d, neap_mul(c, h, neap_mean(c, neap_mul(c, d, h), n, dims, 1, -1))));
  if (b->in[IN_W].needs) b->gx[IN_W] = neap_mul(c, g, h);
  return c->error;
}
