/* Scans: running sums, products, extremes along one dimension, the linear recurrence that gives their gradients, and
 * differences. x is seen as (outer, n, inner), contiguous in the compute type: rows when inner is 1, else tiles of columns.
 * A sum over one long row runs in parts: the sum of each part, then each part from what the ones before add up to. */
#include "loops.h"

enum { COLUMNS = 256, PARTS = 32, LEAST_PART = 4 * NP_GRAIN };

typedef struct scan {
  neap_context *c;
  const np_scan *kernel;
  const np_reduce *sums;
  int op, back, least;             /* least: of extremes, 1 smallest */
  int64_t size, outer, n, inner;
  int64_t per_task, tiles, parts, part, base;
  const char *x, *w;
  char *y;
  int64_t *at;
  int64_t *carry;                  /* (outer, parts) of the accumulator's type, 8 bytes each; or NULL */
  int in_doubles;
} scan;

static void start(const scan *s, int64_t n, int64_t *acc) { /* what a scan begins with, as double or int64 */
  double d = s->op == NP_CUMSUM ? 0 : s->op == NP_CUMPROD ? 1 : -INFINITY;
  int64_t i = s->op == NP_CUMPROD;
  for (int64_t k = 0; k < n; k++)
    if (s->in_doubles) memcpy(&acc[k], &d, sizeof d);
    else acc[k] = i;
}

static void one_row(const scan *s, int64_t r) {
  int64_t from = r * s->n, acc;
  const char *x = s->x + from * s->size;
  char *y = s->y + from * s->size;
  if (s->w) s->kernel->recur_row(s->n, x, s->w + from * s->size, y, s->back);
  else if (s->at) {
    s->kernel->arg_row[s->least](s->n, x, y, s->at + from);
    for (int64_t i = 0; i < s->n; i++) s->at[from + i] += s->base;
  } else {
    start(s, 1, &acc);
    s->kernel->row[s->op](s->n, x, y, s->back, &acc);
  }
}

static void row_task(void *arg, int64_t task) {
  const scan *s = arg;
  int64_t last = np_min((task + 1) * s->per_task, s->outer);
  for (int64_t r = task * s->per_task; r < last; r++) {
    if (np_cancelled(s->c)) return;
    one_row(s, r);
  }
}

static void column_task(void *arg, int64_t task) {
  const scan *s = arg;
  if (np_cancelled(s->c)) return;
  int64_t j = task % s->tiles * COLUMNS, n = np_min(COLUMNS, s->inner - j), from = task / s->tiles * s->n * s->inner + j;
  int64_t acc[COLUMNS];
  const char *x = s->x + from * s->size;
  char *y = s->y + from * s->size;
  if (s->w) s->kernel->recur_cols(s->n, n, x, s->w + from * s->size, y, s->inner, s->back);
  else if (s->at) {
    s->kernel->arg_cols[s->least](s->n, n, x, y, s->at + from, s->inner);
    for (int64_t i = 0; i < s->n; i++)
      for (int64_t k = 0; k < n; k++) s->at[from + i * s->inner + k] += s->base;
  } else {
    start(s, n, acc);
    s->kernel->cols[s->op](s->n, n, x, y, s->inner, s->back, acc);
  }
}

/* ---- long rows, in parts: part p of row r, counted in the direction of the scan ---- */

static int64_t part_at(const scan *s, int64_t task, int64_t *n) {
  int64_t p = task % s->parts, k = s->back ? s->parts - 1 - p : p;
  *n = np_min(s->part, s->n - k * s->part);
  return task / s->parts * s->n + k * s->part;
}
static void sum_task(void *arg, int64_t task) {
  const scan *s = arg;
  int64_t n, from = part_at(s, task, &n);
  s->sums->row[NP_SUM](n, s->x + from * s->size, &s->carry[task]);
}
static void part_task(void *arg, int64_t task) {
  const scan *s = arg;
  if (np_cancelled(s->c)) return;
  int64_t n, from = part_at(s, task, &n), acc = s->carry[task];
  s->kernel->row[s->op](n, s->x + from * s->size, s->y + from * s->size, s->back, &acc);
}
static void add_up(const scan *s, int64_t *carry) { /* sums of parts to the sums of all parts before */
  double d = 0, v;
  int64_t i = 0;
  for (int64_t p = 0; p < s->parts; p++)
    if (s->in_doubles) {
      memcpy(&v, &carry[p], sizeof v);
      memcpy(&carry[p], &d, sizeof d);
      d += v;
    } else {
      int64_t now = carry[p];
      carry[p] = i;
      i = (int64_t)((uint64_t)i + (uint64_t)now);
    }
}
static int in_parts(scan *s) {
  s->part = np_max(LEAST_PART, np_blocks(s->n, PARTS));
  s->parts = np_blocks(s->n, s->part);
  size_t bytes = (size_t)(s->outer * s->parts) * sizeof *s->carry;
  if (!(s->carry = np_alloc(s->c, bytes))) return NEAP_ERR_MEMORY;
  double ns = (double)(s->outer * s->n);
  np_parallel(s->c, s->outer * s->parts, ns * 0.1, sum_task, s);
  for (int64_t r = 0; r < s->outer; r++) add_up(s, s->carry + r * s->parts);
  np_parallel(s->c, s->outer * s->parts, ns * 0.4, part_task, s);
  np_free(s->c, s->carry, bytes);
  return NEAP_OK;
}

static int run(scan *s, double ns) {
  int64_t count = s->outer * s->n * s->inner;
  ns *= (double)count;
  if (count == 0) return NEAP_OK;
  if (s->inner > 1) {
    s->tiles = np_blocks(s->inner, COLUMNS);
    np_parallel(s->c, s->outer * s->tiles, ns, column_task, s);
  } else if (s->op == NP_CUMSUM && !s->w && !s->at && s->outer < 16 && s->n > 2 * (int64_t)LEAST_PART) {
    return in_parts(s);
  } else {
    s->per_task = np_max(1, NP_GRAIN / s->n);
    np_parallel(s->c, np_blocks(s->outer, s->per_task), ns, row_task, s);
  }
  return NEAP_OK;
}

/* ---- between tensors and the engine ---- */

static void set_up(scan *s, neap_context *c, const np_layout *x, int d, int dtype) {
  int ctype = np_ctype(dtype);
  s->c = c;
  s->kernel = c->kernels->scan[ctype];
  s->sums = c->kernels->reduce[ctype];
  s->in_doubles = ctype != NP_CI64;
  s->size = np_size_of(np_native_of(dtype));
  s->base = c->site.base;
  s->outer = s->n = s->inner = 1;
  for (int i = 0; i < x->ndim; i++) *(i == d ? &s->n : i < d ? &s->outer : &s->inner) *= x->shape[i];
}


static int scan_run(np_call *c, int op, double ns) {
  neap_tensor *y = c->out[0], *x = np_contiguous_of(c->ctx, np_t(c, 0), np_native_of(y->at.dtype)), *t = np_room(y, np_native_of(y->at.dtype));
  scan s = { .op = op, .back = op == NP_CUMSUM && np_i(c, 3) };
  if (x && t) {
    set_up(&s, c->ctx, &x->at, (int)c->room[0], y->at.dtype);
    s.x = np_data(x), s.y = np_data(t);
    run(&s, ns);
  }
  np_deliver(c->ctx, y, t);
  neap_release(x);
  return c->ctx->error;
}


/* t moved by one place along d, towards the end or the start; fill stands where nothing came. */
static neap_tensor *shifted(neap_context *c, neap_tensor *t, int64_t d, int to_end, double fill) {
  if (!t) return NULL;
  np_layout one = t->at;
  int64_t n = t->at.shape[d];
  one.shape[d] = 1;
  neap_tensor *edge = neap_full(c, one.ndim, one.shape, fill, one.dtype), *rest = neap_narrow(c, t, d, to_end ? 0 : 1, n - 1);
  return neap_cat(c, 2, to_end ? (neap_tensor *[]){ edge, rest } : (neap_tensor *[]){ rest, edge }, d);
}

/* ---- cumsum: x dim dtype reverse; cumprod: x dim dtype ---- */

int np_cumsum_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d;
  if (np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  int dtype = np_given(c, 2) ? (int)np_i(c, 2) : c->in_place || np_is_float(x->at.dtype) ? x->at.dtype : NEAP_I64;
  return np_spec(c, 0, dtype, x->at.ndim, x->at.shape);
}
int np_cumsum_run(np_call *c) { return scan_run(c, NP_CUMSUM, 0.4); }
int np_cumsum_back(np_back *b) { /* gx = sums of g from the other end */
  b->gx[0] = neap_cumsum(b->ctx, b->g[0], np_axis_of(&b->arg[1], b->in[0].at.ndim), -1, !b->arg[3].i);
  return b->ctx->error;
}

int np_cumprod_run(np_call *c) { return scan_run(c, NP_CUMPROD, 1); }

/* The dimension that was scanned; -1: there was nothing to add up, so that gx = g, which is done. */
static int64_t scanned(np_back *b) {
  const np_layout *l = &b->in[0].at;
  if (l->ndim > 0 && l->count > 0) return np_axis_of(&b->arg[1], l->ndim);
  b->gx[0] = b->g[0];
  return -1;
}

/* gx[k] = y[k-1] s[k], where s[k] = sum over i >= k of g[i] x[k+1] ... x[i] = g[k] + x[k+1] s[k+1]: zeros are fine. */
int np_cumprod_back(np_back *b) {
  neap_context *c = b->ctx;
  int64_t d = scanned(b);
  if (d < 0) return c->error;
  neap_tensor *x = neap_to(c, b->x[0], b->out[0].at.dtype);
  neap_tensor *s = neap_linear_recurrence(c, b->g[0], shifted(c, x, d, 0, 0), d, 1);
  b->gx[0] = neap_mul(c, s, shifted(c, b->y[0], d, 1, 1));
  return c->error;
}

/* ---- logcumsumexp: x dim ---- */

int np_logcumsumexp_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d;
  if (np_need_float(c, "x", x) != 0 || np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_logcumsumexp_run(np_call *c) { return scan_run(c, NP_LOGCUMSUMEXP, 10); }

/* gx[k] = exp(x[k] - y[k]) s[k], s[k] = sum over i >= k of g[i] exp(y[k] - y[i]) = g[k] + exp(y[k] - y[k+1]) s[k+1]. */
int np_logcumsumexp_back(np_back *b) {
  neap_context *c = b->ctx;
  int64_t d = scanned(b);
  if (d < 0) return c->error;
  neap_tensor *none = neap_eq(c, b->y[0], NP_C(c, -INFINITY)), *y = neap_where(c, none, NP_C(c, 0), b->y[0]);
  neap_tensor *w = neap_where(c, none, NP_C(c, 0), neap_exp(c, neap_sub(c, y, shifted(c, y, d, 0, INFINITY))));
  b->gx[0] = neap_mul(c, neap_exp(c, neap_sub(c, b->x[0], y)), neap_linear_recurrence(c, b->g[0], w, d, 1));
  return c->error;
}

/* ---- cummax, cummin: x dim ---- */

int np_cummax_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d;
  if (np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  if (np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape) != 0) return c->ctx->error;
  return np_spec(c, 1, NEAP_I64, x->at.ndim, x->at.shape);
}
static int extremes(np_call *c, int least) {
  neap_tensor *y = c->out[0], *x = np_contiguous_of(c->ctx, np_t(c, 0), np_native_of(y->at.dtype)), *t = np_room(y, np_native_of(y->at.dtype));
  scan s = { .least = least, .at = (int64_t *)np_data(c->out[1]) };
  if (x && t) {
    set_up(&s, c->ctx, &x->at, (int)c->room[0], y->at.dtype);
    s.x = np_data(x), s.y = np_data(t);
    run(&s, 1);
  }
  np_deliver(c->ctx, y, t);
  neap_release(x);
  return c->ctx->error;
}
int np_cummax_run(np_call *c) { return extremes(c, 0); }
int np_cummin_run(np_call *c) { return extremes(c, 1); }
int np_cummax_back(np_back *b) { /* gx = zeros, then gx[indices] += g */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  if (!b->g[0]) return NEAP_OK;
  b->gx[0] = x->ndim == 0 ? b->g[0] : neap_scatter_add_(c, np_zeros_like(c, x), np_axis_of(&b->arg[1], x->ndim), b->y[1], b->g[0]);
  return c->error;
}

/* ---- linear_recurrence: x w dim reverse ---- */

int np_linear_recurrence_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  int d;
  if (np_need_float(c, "x", x) != 0 || np_axis(c, np_i(c, 2), x->at.ndim, &d) != 0) return c->ctx->error;
  if (w->at.dtype != x->at.dtype)
    return np_reject(c, NEAP_ERR_DTYPE, "x is %s and w is %s: they must be alike", np_dtypes[x->at.dtype].info.name, np_dtypes[w->at.dtype].info.name);
  if (!np_same_shape(x, w)) {
    char a[128], b[128];
    np_shape_text(a, sizeof a, x);
    np_shape_text(b, sizeof b, w);
    return np_reject(c, NEAP_ERR_SHAPE, "x %s and w %s must have one shape: expand the smaller one", a, b);
  }
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_linear_recurrence_run(np_call *c) {
  neap_tensor *y = c->out[0], *t = np_room(y, np_native_of(y->at.dtype));
  int native = np_native_of(y->at.dtype);
  neap_tensor *x = np_contiguous_of(c->ctx, np_t(c, 0), native), *w = np_contiguous_of(c->ctx, np_t(c, 1), native);
  scan s = { .back = (int)np_i(c, 3) };
  if (x && w && t) {
    set_up(&s, c->ctx, &x->at, (int)c->room[0], y->at.dtype);
    s.x = np_data(x), s.w = np_data(w), s.y = np_data(t);
    run(&s, 1);
  }
  np_deliver(c->ctx, y, t);
  neap_release(x);
  neap_release(w);
  return c->ctx->error;
}
int np_linear_recurrence_back(np_back *b) { /* gx[k] = g[k] + w[k+1] gx[k+1], gw[k] = gx[k] y[k-1]; k-1 and k+1 exchanged in reverse */
  neap_context *c = b->ctx;
  const np_layout *l = &b->in[0].at;
  int reverse = (int)b->arg[3].i;
  int64_t d = np_axis_of(&b->arg[2], l->ndim);
  if (l->ndim == 0 || l->count == 0) {
    b->gx[0] = b->g[0];
    return c->error;
  }
  b->gx[0] = neap_linear_recurrence(c, b->g[0], shifted(c, b->x[1], d, reverse, 0), d, !reverse);
  if (b->in[1].needs) b->gx[1] = neap_mul(c, b->gx[0], shifted(c, b->y[0], d, !reverse, 0));
  return c->error;
}

/* ---- differences and integrals, made of other ops ---- */

static neap_tensor *part_of(neap_context *c, neap_tensor *x, int64_t d, int last) { /* all but the first, or all but the last */
  return x ? neap_narrow(c, x, d, last ? 0 : 1, x->at.shape[d] - 1) : NULL;
}

/* x n dim prepend append */
int np_diff_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *list[3];
  int d, k = 0;
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x must have a dimension to take differences along");
  if (np_axis(c, np_i(c, 2), x->at.ndim, &d) != 0) return ctx->error;
  if (np_i(c, 1) < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "n is %lld, it must be at least 0", (long long)np_i(c, 1));
  if (np_t(c, 3)) list[k++] = np_t(c, 3);
  list[k++] = x;
  if (np_t(c, 4)) list[k++] = np_t(c, 4);
  x = k > 1 ? neap_cat(ctx, k, list, d) : np_i(c, 1) ? x : neap_clone(ctx, x);
  for (int64_t i = 0; i < np_i(c, 1) && x; i++) {
    if (x->at.shape[d] == 0) break;
    neap_tensor *right = part_of(ctx, x, d, 0), *left = part_of(ctx, x, d, 1);
    x = x->at.dtype == NEAP_BOOL ? neap_ne(ctx, right, left) : neap_sub(ctx, right, left);
  }
  c->out[0] = x == np_t(c, 0) ? neap_clone(ctx, x) : x;
  return ctx->error;
}

/* The areas between neighbours: y x dx dim. */
static neap_tensor *areas(np_call *c, int *d) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = np_t(c, 0), *x = np_t(c, 1);
  int64_t shape[NEAP_MAX_DIMS];
  if (y->at.ndim == 0) {
    np_reject(c, NEAP_ERR_SHAPE, "y must have a dimension to integrate along");
    return NULL;
  }
  if (np_axis(c, np_i(c, 3), y->at.ndim, d) != 0) return NULL;
  if (x && (x->at.ndim == 0 || x->at.shape[x->at.ndim == 1 ? 0 : np_min(*d, x->at.ndim - 1)] != y->at.shape[*d])) {
    char a[128], b[128];
    np_shape_text(a, sizeof a, x);
    np_shape_text(b, sizeof b, y);
    np_reject(c, NEAP_ERR_SHAPE, "x %s does not fit y %s: it needs a point for each of %lld in dimension %lld", a, b,
              (long long)y->at.shape[*d], NP_DIM(c, *d));
    return NULL;
  }
  if (y->at.shape[*d] == 0) return neap_mul(ctx, y, NP_C(ctx, 1));
  neap_tensor *sum = neap_add(ctx, part_of(ctx, y, *d, 1), part_of(ctx, y, *d, 0));
  if (!x) return neap_mul(ctx, sum, NP_C(ctx, np_d(c, 2) / 2));
  if (x->at.ndim == 1) {
    for (int i = 0; i < y->at.ndim; i++) shape[i] = i == *d ? x->at.count : 1;
    x = neap_reshape(ctx, x, y->at.ndim, shape);
  }
  return neap_div(ctx, neap_mul(ctx, sum, neap_sub(ctx, part_of(ctx, x, *d, 0), part_of(ctx, x, *d, 1))), NP_C(ctx, 2));
}

int np_trapezoid_run(np_call *c) {
  int d;
  neap_tensor *each = areas(c, &d);
  const int64_t dim = d;
  c->out[0] = each ? neap_sum(c->ctx, each, 1, &dim, 0, -1) : NULL;
  return c->ctx->error;
}
int np_cumulative_trapezoid_run(np_call *c) {
  int d;
  neap_tensor *each = areas(c, &d);
  c->out[0] = each ? neap_cumsum(c->ctx, each, d, -1, 0) : NULL;
  return c->ctx->error;
}
