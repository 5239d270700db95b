/* Images made larger or smaller. A dimension at a time: each new element is a weighted sum of some old ones, and which ones
 * with which weights stands in a table that is the same for all rows. The adjoint reads the table the other way.
 * The conventions of where elements lie are PyTorch's. */
#include "loops.h"
#include "pool.h"

enum { X, DIM, SIZE, MODE, SCALE, CORNERS, ANTIALIAS };

/* ---- tables: result o is the sum of w[o taps + t] x[at[o taps + t]] ---- */

typedef struct table {
  int64_t n, size, taps;     /* elements before and after */
  int64_t *at;
  double *w;
  size_t bytes;
} table;

static double cubic(double d, double a) { /* Keys, 1981 */
  d = fabs(d);
  return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

/* Old elements a new one is apart. */
static double step_of(const table *t, double scale, int corners) {
  if (corners) return t->size > 1 ? (double)(t->n - 1) / (double)(t->size - 1) : 0;
  return scale > 0 ? 1 / scale : (double)t->n / (double)t->size;
}

static void fill_nearest(table *t, double scale, int exact) { /* in float, as PyTorch does */
  float step = scale > 0 ? (float)(1 / scale) : (float)t->n / (float)t->size;
  for (int64_t o = 0; o < t->size; o++) {
    float at = floorf(exact ? ((float)o + 0.5f) * step : (float)o * step);
    t->at[o] = t->n == t->size ? o : np_min((int64_t)at, t->n - 1);
    t->w[o] = 1;
  }
}

static void fill_between(table *t, double step, int corners, int taps) { /* 2: linear, 4: cubic */
  for (int64_t o = 0; o < t->size; o++) {
    double place = corners ? (double)o * step : ((double)o + 0.5) * step - 0.5;
    if (taps == 2) place = t->n == t->size ? (double)o : fmax(place, 0);
    int64_t i = np_min((int64_t)floor(place), t->n - 1);
    double d = fmin(fmax(place - (double)i, 0), 1);
    for (int k = 0; k < taps; k++) {
      int64_t j = i + k - (taps == 4);
      t->at[o * taps + k] = np_max(0, np_min(j, t->n - 1));
      t->w[o * taps + k] = taps == 2 ? (k ? d : 1 - d) : cubic(d - (double)(k - 1), -0.75);
    }
  }
}

/* Under a filter as wide as a new element, when that is wider than an old one. */
static void fill_filtered(table *t, double step, int width) {
  double wide = step > 1 ? step : 1, support = wide * width / 2;
  for (int64_t o = 0; o < t->size; o++) {
    double center = step * ((double)o + 0.5), sum = 0;
    int64_t first = np_max((int64_t)(center - support + 0.5), 0), count = np_min((int64_t)(center + support + 0.5), t->n) - first;
    count = np_max(0, np_min(count, t->taps));
    for (int64_t k = 0; k < t->taps; k++) {
      double d = ((double)(k + first) - center + 0.5) / wide, w = width == 4 ? cubic(d, -0.5) : fmax(0, 1 - fabs(d));
      t->at[o * t->taps + k] = np_min(first + k, t->n - 1);
      sum += t->w[o * t->taps + k] = k < count ? w : 0;
    }
    for (int64_t k = 0; k < t->taps && sum != 0; k++) t->w[o * t->taps + k] /= sum;
  }
}

static int open_table(neap_context *c, int64_t n, int64_t size, int mode, double scale, int corners, int antialias, table *t) {
  *t = (table){ .n = n, .size = size };
  double step = step_of(t, scale, corners);
  int cubes = mode == NEAP_MODE_BICUBIC, nearest = mode == NEAP_MODE_NEAREST || mode == NEAP_MODE_NEAREST_EXACT, width = cubes ? 4 : 2;
  t->taps = nearest ? 1 : antialias ? 2 * (int64_t)ceil((step > 1 ? step : 1) * width / 2) + 1 : width;
  t->bytes = (size_t)(size * t->taps) * 16;
  t->at = np_alloc(c, t->bytes);
  if (!t->at) return c->error;
  t->w = (double *)(t->at + size * t->taps);
  if (nearest) fill_nearest(t, scale, mode == NEAP_MODE_NEAREST_EXACT);
  else if (antialias) fill_filtered(t, step, width);
  else fill_between(t, step, corners, width);
  return NEAP_OK;
}

/* ---- the engine: (outer, n, inner) to (outer, size, inner), or back ---- */

typedef struct engine {
  neap_context *c;
  const np_pool_loops *k;
  void (*axpy)(int64_t n, double a, const void *x, void *y);
  const table *t;
  int64_t inner, size, per_task, outer; /* size: bytes of an element */
  int back;
  const char *x;
  char *y;
} engine;

static void resize_task(void *arg, int64_t task) {
  const engine *e = arg;
  const table *t = e->t;
  int64_t from = e->back ? t->size : t->n, to = e->back ? t->n : t->size, wide = e->inner * e->size;
  for (int64_t r = task * e->per_task; r < np_min(e->outer, (task + 1) * e->per_task) && !np_cancelled(e->c); r++) {
    const char *x = e->x + r * from * wide;
    char *y = e->y + r * to * wide;
    if (e->inner > 1 || e->back) memset(y, 0, (size_t)(to * wide));
    if (e->inner == 1) {
      (e->back ? e->k->unmix : e->k->mix)(t->size, t->taps, x, t->at, t->w, y);
      continue;
    }
    for (int64_t o = 0; o < t->size; o++)
      for (int64_t k = 0; k < t->taps; k++) {
        int64_t i = t->at[o * t->taps + k];
        double w = t->w[o * t->taps + k];
        if (w != 0) e->axpy(e->inner, w, x + (e->back ? o : i) * wide, y + (e->back ? i : o) * wide);
      }
  }
}

/* Of dim: n elements before, size after. */
static int resize(np_call *c, int64_t n, int64_t size, int back) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  int native = np_native_of(y->at.dtype), d = (int)np_i(c, DIM);
  table t;
  if (y->at.count == 0) return NEAP_OK;
  if (open_table(ctx, n, size, (int)np_i(c, MODE), np_d(c, SCALE), (int)np_i(c, CORNERS), (int)np_i(c, ANTIALIAS), &t) != 0) return ctx->error;
  neap_tensor *x = np_contiguous_of(ctx, np_t(c, X), native), *to = np_room(y, native);
  if (x && to) {
    engine e = { .c = ctx, .k = ctx->kernels->pool[np_ctype(native)], .axpy = ctx->kernels->reduce[np_ctype(native)]->axpy, .t = &t, .inner = 1, .outer = 1,
      .size = np_size_of(native), .back = back, .x = np_data(x), .y = np_data(to) };
    for (int i = 0; i < y->at.ndim; i++) *(i < d ? &e.outer : &e.inner) *= i == d ? 1 : y->at.shape[i];
    e.per_task = np_max(1, NP_GRAIN / (e.inner * np_max(n, size)));
    np_parallel(ctx, np_blocks(e.outer, e.per_task), (double)(e.outer * e.inner * size * t.taps) * 0.7, resize_task, &e);
  }
  np_deliver(ctx, y, to);
  neap_release(x);
  np_free(ctx, t.at, t.bytes);
  return ctx->error;
}

static int resized_infer(np_call *c) {
  const np_layout *x = &np_t(c, X)->at;
  int64_t shape[NEAP_MAX_DIMS];
  int d;
  if (np_axis(c, np_i(c, DIM), x->ndim, &d) != 0) return c->ctx->error;
  memcpy(shape, x->shape, sizeof shape);
  shape[d] = np_i(c, SIZE);
  c->arg[DIM].i = d;
  return np_spec(c, 0, x->dtype, x->ndim, shape);
}
int np_resize_infer(np_call *c) { return resized_infer(c); }
int np_resize_run(np_call *c) { return resize(c, np_t(c, X)->at.shape[np_i(c, DIM)], np_i(c, SIZE), 0); }
int np_resize_add_infer(np_call *c) { return resized_infer(c); }
int np_resize_add_run(np_call *c) { return resize(c, np_i(c, SIZE), np_t(c, X)->at.shape[np_i(c, DIM)], 1); }

#define HOW (int)b->arg[MODE].i, b->arg[SCALE].d, (int)b->arg[CORNERS].i, (int)b->arg[ANTIALIAS].i
int np_resize_back(np_back *b) { /* gx[i] = sum of w g over the results that x[i] is in */
  int64_t d = b->arg[DIM].i;
  b->gx[X] = neap_resize_add(b->ctx, b->g[0], d, b->in[X].at.shape[d], HOW);
  return b->ctx->error;
}
int np_resize_add_back(np_back *b) {
  int64_t d = b->arg[DIM].i;
  b->gx[X] = neap_resize(b->ctx, b->g[0], d, b->in[X].at.shape[d], HOW);
  return b->ctx->error;
}

/* ---- interpolate: x size scale_factor mode align_corners recompute_scale_factor antialias ---- */

static int mode_fits(np_call *c, int mode, int nd) {
  static const char *const names[] = { "bilinear", "nearest", "bicubic", "linear", "trilinear", "nearest-exact", "area" };
  int wants = mode == NEAP_MODE_LINEAR ? 1 : mode == NEAP_MODE_BILINEAR || mode == NEAP_MODE_BICUBIC ? 2 : mode == NEAP_MODE_TRILINEAR ? 3 : nd;
  if (wants != nd) return np_reject(c, NEAP_ERR_ARGUMENT, "mode '%s' is for %d dimensions behind batch and channels, x has %d", names[mode], wants, nd);
  int smooth = mode == NEAP_MODE_LINEAR || mode == NEAP_MODE_BILINEAR || mode == NEAP_MODE_BICUBIC || mode == NEAP_MODE_TRILINEAR;
  if (np_i(c, 4) && !smooth) return np_reject(c, NEAP_ERR_ARGUMENT, "align_corners does not go with mode '%s'", names[mode]);
  if (np_i(c, 6) && mode != NEAP_MODE_BILINEAR && mode != NEAP_MODE_BICUBIC)
    return np_reject(c, NEAP_ERR_ARGUMENT, "antialias goes with the modes 'bilinear' and 'bicubic', not '%s'", names[mode]);
  return NEAP_OK;
}

int np_interpolate_run(np_call *c) {
  enum { TO = 1, FACTOR };
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X);
  int nd = x->at.ndim - 2, mode = (int)np_i(c, 3);
  double factor = np_given(c, FACTOR) ? np_d(c, FACTOR) : 0;
  int64_t size[3];
  char text[128];
  np_shape_text(text, sizeof text, x);
  if (np_need_float(c, "x", x) != 0) return ctx->error;
  if (nd < 1 || nd > 3) return np_reject(c, NEAP_ERR_SHAPE, "x must be of shape (N, C, W), (N, C, H, W) or (N, C, D, H, W), got %s", text);
  if (mode_fits(c, mode, nd) != 0) return ctx->error;
  if (np_given(c, TO) == np_given(c, FACTOR)) return np_reject(c, NEAP_ERR_ARGUMENT, "takes either size or scale_factor");
  if (np_given(c, TO) && c->arg[TO].n != 1 && c->arg[TO].n != nd)
    return np_reject(c, NEAP_ERR_ARGUMENT, "size takes one number or one for each of %d dimensions, got %d", nd, c->arg[TO].n);
  if (np_given(c, FACTOR) && !(factor > 0 && factor < 1e9)) return np_reject(c, NEAP_ERR_ARGUMENT, "scale_factor is %g, it must be above 0", factor);
  for (int d = 0; d < nd; d++) {
    int64_t n = x->at.shape[2 + d];
    size[d] = np_given(c, TO) ? c->arg[TO].is[c->arg[TO].n == 1 ? 0 : d] : (int64_t)floor((double)n * factor);
    if (n < 1 || size[d] < 1)
      return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of x would go from %lld to %lld elements: there must be some", NP_DIM(c, 2 + d), (long long)n, (long long)size[d]);
  }
  if (mode == NEAP_MODE_AREA) {
    c->out[0] = neap_mean_windows(ctx, x, 0, size, 0, size, 0, size, 0, 0, nd, size);
    return ctx->error;
  }
  if (np_i(c, 5)) factor = 0;
  for (int d = 0; d < nd && x; d++)
    if (size[d] != x->at.shape[2 + d] || (factor != 0 && factor != 1 && mode == NEAP_MODE_BICUBIC))
      x = neap_resize(ctx, x, 2 + d, size[d], mode, factor, (int)np_i(c, 4), (int)np_i(c, 6));
  c->out[0] = x == np_t(c, X) ? neap_clone(ctx, x) : x;
  return ctx->error;
}
