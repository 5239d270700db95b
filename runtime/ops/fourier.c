/* Fourier transforms along a dimension. Complex numbers are pairs (real part, imaginary part) in a last dimension of 2.
 *
 * Three linear ops do the work: `fourier` (complex to complex), `fourier_real` (real to the half that says all) and
 * `fourier_half` (back). The gradient of each is another of them, so derivatives of any order come for free. fft, rfft and
 * their kin are made of these: they cut or pad, choose the scale, and go through several dimensions. Plans (factors and
 * roots of unity) are kept in the context, a few megabytes of the latest used. */
#include "loops.h"

/* ---- plans ---- */

enum { MOST_PLANS = 24, MOST_BYTES = 48 << 20, MOST_BLOCKS = 16 };

typedef struct np_plan {
  struct np_plan *next;
  int64_t n;
  int use, ctype;
  size_t bytes;
  np_fft *fft;
} np_plan;

static void free_plan(neap_context *c, np_plan *p) {
  np_free(c, p->fft, p->bytes);
  np_free(c, p, sizeof *p);
}

static void free_plans(neap_context *c) {
  for (np_plan *p = c->plans, *next; p; p = next) {
    next = p->next;
    free_plan(c, p);
  }
  c->plans = NULL;
}

/* Drops what is beyond the limits, the last used last; the first stays. */
static void trim_plans(neap_context *c) {
  size_t bytes = 0;
  int n = 0;
  for (np_plan **at = &c->plans; *at;) {
    bytes += (*at)->bytes;
    if (n++ == 0 || (n <= MOST_PLANS && bytes <= MOST_BYTES)) {
      at = &(*at)->next;
      continue;
    }
    np_plan *gone = *at;
    *at = gone->next;
    bytes -= gone->bytes;
    free_plan(c, gone);
  }
}

/* The chirp's own transform, once. */
static int finish_chirp(neap_context *c, np_fft *p, int ctype) {
  const np_fourier *k = c->kernels->fourier[ctype];
  size_t size = ctype == NP_CF32 ? 4 : 8, n = 2 * (size_t)p->inner->n * size, room = np_fft_scratch(p->inner, k->lanes) * size;
  char *copy = np_alloc(c, n), *scratch = np_alloc(c, room);
  if (copy && scratch) {
    memcpy(copy, p->kernel, n);
    k->rows(p->inner, 1, copy, 0, p->kernel, 0, 0, 1, scratch);
  }
  np_free(c, copy, n);
  np_free(c, scratch, room);
  return c->error;
}

static const np_fft *plan_of(neap_context *c, int64_t n, int use, int ctype) {
  for (np_plan **at = &c->plans; *at; at = &(*at)->next) {
    np_plan *p = *at;
    if (p->n != n || p->use != use || p->ctype != ctype) continue;
    *at = p->next;
    p->next = c->plans;
    c->plans = p;
    return p->fft;
  }
  int64_t lanes = c->kernels->fourier[ctype]->lanes;
  np_plan *p = np_alloc_zero(c, sizeof *p);
  if (!p) return NULL;
  *p = (np_plan){ .n = n, .use = use, .ctype = ctype, .bytes = np_fft_plan(n, use, ctype, lanes, NULL) };
  p->fft = np_alloc(c, p->bytes);
  if (p->fft) {
    np_fft_plan(n, use, ctype, lanes, p->fft);
    if (p->fft->kind == NP_FFT_CHIRP) finish_chirp(c, p->fft, ctype);
  }
  if (np_failed(c)) {
    free_plan(c, p);
    return NULL;
  }
  p->next = c->plans;
  c->plans = p;
  c->free_plans = free_plans;
  trim_plans(c);
  return p->fft;
}

/* ---- rows over threads ---- */

enum { COMPLEX, REAL, HALF };
typedef struct transform {
  neap_context *c;
  const np_fourier *k;
  const np_fft *plan;
  int what, inverse;
  double scale, inner;
  int64_t rows, per_block, x_ld, y_ld, size;
  const char *x;
  char *y, *scratch;
  size_t scratch_each;
} transform;

static void transform_task(void *arg, int64_t task) {
  const transform *t = arg;
  int64_t from = task * t->per_block, n = np_min(t->per_block, t->rows - from);
  const char *x = t->x + from * t->x_ld * t->size;
  char *y = t->y + from * t->y_ld * t->size, *scratch = t->scratch + (size_t)task * t->scratch_each;
  if (np_cancelled(t->c)) return;
  if (t->what == COMPLEX) t->k->rows(t->plan, n, x, t->x_ld, y, t->y_ld, t->inverse, t->scale, scratch);
  else if (t->what == REAL) t->k->real(t->plan, n, x, t->x_ld, y, t->y_ld, t->scale, t->inner, scratch);
  else t->k->half(t->plan, n, x, t->x_ld, y, t->y_ld, t->scale, t->inner, scratch);
}

/* Rows of x to rows of y, both contiguous in the compute type. n: the length of the complex or real rows. */
static int run_rows(transform *t, int64_t n, int ctype) {
  t->k = t->c->kernels->fourier[ctype];
  t->size = ctype == NP_CF32 ? 4 : 8;
  t->plan = plan_of(t->c, n, t->what == COMPLEX ? NP_FFT_COMPLEX : NP_FFT_REAL, ctype);
  if (!t->plan) return t->c->error;
  int64_t group = np_fft_group(t->plan, t->k->lanes), least = np_max(1, NP_GRAIN / n);
  t->per_block = np_max(least, np_blocks(t->rows, MOST_BLOCKS));
  t->per_block = np_blocks(t->per_block, group) * group;
  int64_t blocks = np_blocks(t->rows, t->per_block);
  t->scratch_each = (np_fft_scratch(t->plan, t->k->lanes) * (size_t)t->size + 63) / 64 * 64;
  size_t bytes = (size_t)blocks * t->scratch_each;
  if (!(t->scratch = np_alloc(t->c, bytes))) return t->c->error;
  np_parallel(t->c, blocks, (double)t->rows * (double)n * 2, transform_task, t);
  np_free(t->c, t->scratch, bytes);
  return t->c->error;
}

/* The same down the columns of matrices of pairs (n, inner), `rows` of them one after the other, a vector's lanes of columns
 * at a time: nothing is turned round. */
static void columns_task(void *arg, int64_t task) {
  const transform *t = arg;
  int64_t strips = np_blocks(t->y_ld / 2, t->k->lanes), last = np_min((task + 1) * t->per_block, t->rows * strips);
  char *scratch = t->scratch + (size_t)task * t->scratch_each;
  if (np_cancelled(t->c)) return;
  for (int64_t i = task * t->per_block; i < last; i++) {
    int64_t first = i % strips * t->k->lanes, at = (i / strips * t->plan->n * t->y_ld + 2 * first) * t->size;
    t->k->columns(t->plan, np_min(t->k->lanes, t->y_ld / 2 - first), t->x + at, t->y + at, t->y_ld, t->inverse, t->scale, scratch);
  }
}

/* 1: done. 0: the length is not for columns. */
static int run_columns(transform *t, neap_tensor *x, neap_tensor *y, int d) {
  enum { LONGEST = 8192 }; /* beyond, the passes leave the cache */
  neap_context *c = t->c;
  int64_t n = x->at.shape[d], inner = 1;
  for (int i = d + 1; i < x->at.ndim - 1; i++) inner *= x->at.shape[i];
  int ctype = np_ctype(y->at.dtype);
  if (n > LONGEST || inner < 4 || !np_is_native(x->at.dtype)) return 0;
  t->k = c->kernels->fourier[ctype];
  t->size = np_size_of(y->at.dtype);
  t->plan = plan_of(c, n, NP_FFT_COLUMNS, ctype);
  if (!t->plan || t->plan->kind != NP_FFT_LANES) return np_failed(c);
  neap_tensor *in = np_contiguous_of(c, x, x->at.dtype);
  if (!in) return 1;
  t->x = np_data(in);
  t->y = np_data(y);
  t->y_ld = 2 * inner;
  t->rows = x->at.count / (n * t->y_ld);
  int64_t strips = t->rows * np_blocks(inner, t->k->lanes);
  t->per_block = np_max(np_max(1, NP_GRAIN / (n * t->k->lanes)), np_blocks(strips, MOST_BLOCKS));
  int64_t blocks = np_blocks(strips, t->per_block);
  t->scratch_each = (np_fft_scratch(t->plan, t->k->lanes) * (size_t)t->size + 63) / 64 * 64;
  size_t bytes = (size_t)blocks * t->scratch_each;
  if ((t->scratch = np_alloc(c, bytes))) {
    np_parallel(c, blocks, (double)x->at.count, columns_task, t);
    np_free(c, t->scratch, bytes);
  }
  neap_release(in);
  return 1;
}

/* x's layout with dimension d moved to place `to`. */
static np_layout moved(const np_layout *x, int d, int to) {
  np_layout l = *x;
  for (int i = d; i < to; i++) l.shape[i] = l.shape[i + 1], l.stride[i] = l.stride[i + 1];
  l.shape[to] = x->shape[d];
  l.stride[to] = x->stride[d];
  return l;
}

/* Runs t from x to y along dimension d, which comes last, before the pair where there is one. */
static int along(transform *t, neap_tensor *x, neap_tensor *y, int d, int64_t n) {
  neap_context *c = t->c;
  if (x->at.count == 0 || y->at.count == 0) return NEAP_OK;
  int native = y->at.dtype == NEAP_F64 ? NEAP_F64 : NEAP_F32;
  int x_last = x->at.ndim - (t->what == REAL ? 1 : 2), y_last = y->at.ndim - (t->what == HALF ? 1 : 2);
  neap_scope scope;
  np_scope_enter(c, &scope);
  np_layout from = moved(&x->at, d, x_last), to = moved(&y->at, d, y_last);
  neap_tensor *view = np_tensor_on(c, x->storage, &from), *in = view ? np_contiguous_of(c, view, native) : NULL;
  int direct = np_layout_is_contiguous(&to) && y->at.dtype == native;
  neap_tensor *out = !in || direct ? y : np_tensor_new(c, native, to.ndim, to.shape);
  if (in && out) {
    t->x = np_data(in);
    t->y = np_data(out);
    t->x_ld = t->what == REAL ? n : 2 * from.shape[x_last];
    t->y_ld = t->what == HALF ? n : 2 * to.shape[y_last];
    t->rows = in->at.count / t->x_ld;
    if (run_rows(t, n, np_ctype(native)) == 0 && !direct) {
      neap_tensor window = np_window(y, &to);
      np_copy(c, &window, out);
    }
  }
  np_scope_leave(&scope, 0, NULL);
  return c->error;
}

/* ---- fourier: x dim inverse scale; fourier_real: x dim scale twice; fourier_half: x dim n scale twice ---- */

static int at_dim(const neap_value *v, int ndim) { return (int)(v->i < 0 ? v->i + ndim : v->i); }

int np_fourier_infer(np_call *c) { return np_spec(c, 0, np_t(c, 0)->at.dtype, np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape); }
int np_fourier_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d = at_dim(&c->arg[1], x->at.ndim);
  transform t = { .c = c->ctx, .what = COMPLEX, .inverse = (int)np_i(c, 2), .scale = np_d(c, 3) };
  if (x->at.count > 0 && run_columns(&t, x, c->out[0], d)) return c->ctx->error;
  return along(&t, x, c->out[0], d, x->at.shape[d]);
}
int np_fourier_back(np_back *b) { /* y = s F x: gx = s F* g, the other direction */
  b->gx[0] = neap_fourier(b->ctx, b->g[0], b->arg[1].i, !b->arg[2].i, b->arg[3].d);
  return b->ctx->error;
}

int np_fourier_real_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS + 1];
  int d = at_dim(&c->arg[1], x->ndim);
  memcpy(shape, x->shape, (size_t)x->ndim * sizeof *shape);
  shape[d] = shape[d] / 2 + 1;
  shape[x->ndim] = 2;
  return np_spec(c, 0, x->dtype, x->ndim + 1, shape);
}
int np_fourier_real_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d = at_dim(&c->arg[1], x->at.ndim);
  transform t = { .c = c->ctx, .what = REAL, .scale = np_d(c, 2), .inner = np_i(c, 3) ? 2 : 1 };
  return along(&t, x, c->out[0], d, x->at.shape[d]);
}
int np_fourier_real_back(np_back *b) { /* y[k] = s c[k] sum_j x[j] e^-ijk: gx[j] = s sum_k c[k] Re(g[k] e^ijk) */
  int ndim = b->in[0].at.ndim, d = at_dim(&b->arg[1], ndim);
  b->gx[0] = neap_fourier_half(b->ctx, b->g[0], d, b->in[0].at.shape[d], b->arg[2].d, (int)b->arg[3].i);
  return b->ctx->error;
}

int np_fourier_half_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, x->shape, (size_t)x->ndim * sizeof *shape);
  shape[at_dim(&c->arg[1], x->ndim)] = np_i(c, 2);
  return np_spec(c, 0, x->dtype, x->ndim - 1, shape);
}
int np_fourier_half_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  transform t = { .c = c->ctx, .what = HALF, .scale = np_d(c, 3), .inner = np_i(c, 4) ? 2 : 1 };
  return along(&t, x, c->out[0], at_dim(&c->arg[1], x->at.ndim), np_i(c, 2));
}
int np_fourier_half_back(np_back *b) { /* the other way round, with the same factors */
  int d = at_dim(&b->arg[1], b->in[0].at.ndim);
  b->gx[0] = neap_fourier_real(b->ctx, b->g[0], d, b->arg[3].d, (int)b->arg[4].i);
  return b->ctx->error;
}

/* ---- fft and its kin ---- */

static int need_pairs(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (x->at.ndim >= 2 && x->at.shape[x->at.ndim - 1] == 2) return NEAP_OK;
  char a[128];
  np_shape_text(a, sizeof a, x);
  return np_reject(c, NEAP_ERR_SHAPE, "x must hold complex numbers as pairs, a shape (..., n, 2), got %s: complex(x) makes them of real ones; rfft takes those", a);
}

/* The dimension to go through, which is not that of the pairs. */
static int need_dim(np_call *c, int64_t dim, int pairs, int *d) {
  neap_tensor *x = np_t(c, 0);
  if (np_axis(c, dim, x->at.ndim, d) != 0) return c->ctx->error;
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to transform");
  if (pairs && *d == x->at.ndim - 1)
    return np_reject(c, NEAP_ERR_ARGUMENT, "dimension %lld of x holds the pairs: transform another one", NP_DIM(c, *d));
  return NEAP_OK;
}

static double scale_of(int norm, int inverse, int64_t n) {
  if (norm == NEAP_NORM_ORTHO) return 1 / sqrt((double)n);
  return (norm == NEAP_NORM_FORWARD) == !inverse ? 1 / (double)n : 1;
}

/* x with n positions of dimension d: cut, or with zeros behind. */
static neap_tensor *fitted(neap_context *c, neap_tensor *x, int d, int64_t n) {
  int64_t shape[NEAP_MAX_DIMS];
  if (!x || x->at.shape[d] == n) return x;
  if (x->at.shape[d] > n) return neap_narrow(c, x, d, 0, n);
  memcpy(shape, x->at.shape, sizeof shape);
  shape[d] = n;
  return neap_place(c, x, x->at.ndim, shape, d, 0, 1);
}

/* The length: n if it is given, else `standard`. */
static int need_length(np_call *c, int given, int64_t n, int64_t standard, int64_t *out) {
  *out = given ? n : standard;
  if (*out >= 1) return NEAP_OK;
  return np_reject(c, NEAP_ERR_ARGUMENT, "the length of the transform is %lld, it must be at least 1", (long long)*out);
}

static int complex_run(np_call *c, int inverse) { /* x n dim norm */
  int d;
  int64_t n;
  if (need_pairs(c) != 0 || need_dim(c, np_i(c, 2), 1, &d) != 0) return c->ctx->error;
  if (need_length(c, np_given(c, 1), np_i(c, 1), np_t(c, 0)->at.shape[d], &n) != 0) return c->ctx->error;
  c->out[0] = neap_fourier(c->ctx, fitted(c->ctx, np_t(c, 0), d, n), d, inverse, scale_of((int)np_i(c, 3), inverse, n));
  return c->ctx->error;
}
int np_fft_run(np_call *c) { return complex_run(c, 0); }
int np_ifft_run(np_call *c) { return complex_run(c, 1); }

int np_rfft_run(np_call *c) { /* x n dim norm */
  int d;
  int64_t n;
  neap_tensor *x = np_t(c, 0);
  if (np_need_float(c, "x", x) != 0 || need_dim(c, np_i(c, 2), 0, &d) != 0) return c->ctx->error;
  if (need_length(c, np_given(c, 1), np_i(c, 1), x->at.shape[d], &n) != 0) return c->ctx->error;
  c->out[0] = neap_fourier_real(c->ctx, fitted(c->ctx, x, d, n), d, scale_of((int)np_i(c, 3), 0, n), 0);
  return c->ctx->error;
}

int np_irfft_run(np_call *c) { /* x n dim norm */
  int d;
  int64_t n;
  if (need_pairs(c) != 0 || need_dim(c, np_i(c, 2), 1, &d) != 0) return c->ctx->error;
  if (need_length(c, np_given(c, 1), np_i(c, 1), 2 * (np_t(c, 0)->at.shape[d] - 1), &n) != 0) return c->ctx->error;
  c->out[0] = neap_fourier_half(c->ctx, fitted(c->ctx, np_t(c, 0), d, n / 2 + 1), d, n, scale_of((int)np_i(c, 3), 1, n), 1);
  return c->ctx->error;
}

/* Dimensions and lengths of a transform of several: x s dims norm. */
typedef struct several {
  int n, d[NEAP_MAX_DIMS];
  int64_t length[NEAP_MAX_DIMS];
} several;
enum { PLAIN, FORWARD_REAL, INVERSE_REAL };

static int need_several(np_call *c, int kind, several *s) {
  neap_tensor *x = np_t(c, 0);
  const neap_value *size = &c->arg[1], *dims = &c->arg[2];
  int pairs = kind != FORWARD_REAL, last = x->at.ndim - 1 - pairs;
  uint32_t seen = 0;
  if (pairs ? need_pairs(c) != 0 : np_need_float(c, "x", x) != 0) return c->ctx->error;
  int given = dims->kind != NEAP_NONE && dims->n > 0, sized = size->kind != NEAP_NONE && size->n > 0;
  s->n = given ? dims->n : 2;
  if (s->n > last + 1) return np_reject(c, NEAP_ERR_SHAPE, "a transform of %d dimensions needs as many%s, x has %d", s->n, pairs ? " and one of pairs" : "",
                                          x->at.ndim);
  if (sized && size->n != s->n) return np_reject(c, NEAP_ERR_ARGUMENT, "s has %d lengths for %d dimensions", size->n, s->n);
  for (int i = 0; i < s->n; i++) {
    if (need_dim(c, given ? dims->is[i] : last - s->n + 1 + i, pairs, &s->d[i]) != 0) return c->ctx->error;
    if (seen >> s->d[i] & 1) return np_reject(c, NEAP_ERR_ARGUMENT, "dimension %lld is given twice", NP_DIM(c, s->d[i]));
    seen |= 1u << s->d[i];
    int64_t own = x->at.shape[s->d[i]];
    if (kind == INVERSE_REAL && i == s->n - 1) own = 2 * (own - 1);
    if (need_length(c, sized && size->is[i] != -1, sized ? size->is[i] : 0, own, &s->length[i]) != 0) return c->ctx->error;
  }
  return NEAP_OK;
}

static neap_tensor *through(neap_context *c, neap_tensor *x, const several *s, int n, int inverse, int norm) {
  for (int i = n - 1; i >= 0; i--)
    x = neap_fourier(c, fitted(c, x, s->d[i], s->length[i]), s->d[i], inverse, scale_of(norm, inverse, s->length[i]));
  return x;
}

static int several_run(np_call *c, int inverse) {
  several s;
  if (need_several(c, PLAIN, &s) != 0) return c->ctx->error;
  c->out[0] = through(c->ctx, np_t(c, 0), &s, s.n, inverse, (int)np_i(c, 3));
  return c->ctx->error;
}
int np_fft2_run(np_call *c) { return several_run(c, 0); }
int np_ifft2_run(np_call *c) { return several_run(c, 1); }

int np_rfft2_run(np_call *c) {
  several s;
  if (need_several(c, FORWARD_REAL, &s) != 0) return c->ctx->error;
  int last = s.n - 1, norm = (int)np_i(c, 3);
  neap_tensor *y = neap_fourier_real(c->ctx, fitted(c->ctx, np_t(c, 0), s.d[last], s.length[last]), s.d[last], scale_of(norm, 0, s.length[last]), 0);
  c->out[0] = through(c->ctx, y, &s, last, 0, norm);
  return c->ctx->error;
}

int np_irfft2_run(np_call *c) {
  several s;
  if (need_several(c, INVERSE_REAL, &s) != 0) return c->ctx->error;
  int last = s.n - 1, norm = (int)np_i(c, 3);
  neap_tensor *y = through(c->ctx, np_t(c, 0), &s, last, 1, norm);
  y = fitted(c->ctx, y, s.d[last], s.length[last] / 2 + 1);
  c->out[0] = neap_fourier_half(c->ctx, y, s.d[last], s.length[last], scale_of(norm, 1, s.length[last]), 1);
  return c->ctx->error;
}
