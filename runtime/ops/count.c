/* Counting and looking up: histograms, counts of positions, places in sorted lists, membership. Counts are gathered in
 * doubles, in parts whose number depends on the sizes alone, and added up part by part. */
#include "loops.h"

enum { PARTS = 16 };

/* ---- histograms: x bins min max; x bins min max weight density ---- */

typedef struct bins {
  neap_context *c;
  int ctype, even;
  int64_t n, part, bins, size;
  double lo, hi;
  const char *x, *weight, *edges;
  double *counts;                /* (parts, bins) */
} bins;

static void bins_task(void *arg, int64_t p) {
  const bins *s = arg;
  if (np_cancelled(s->c)) return;
  int64_t from = p * s->part, n = np_min(s->part, s->n - from);
  double *counts = s->counts + p * s->bins;
  memset(counts, 0, (size_t)s->bins * sizeof *counts);
  s->c->kernels->count->bins[s->ctype](n, s->x + from * s->size, s->weight ? s->weight + from * s->size : NULL, s->bins, s->lo, s->hi,
                                       s->edges, s->even, counts);
}

static int count_bins(bins *s, double *total) { /* (bins) */
  memset(total, 0, (size_t)s->bins * sizeof *total);
  s->part = np_max(np_max(NP_GRAIN, np_blocks(s->n, PARTS)), s->bins);
  int64_t parts = np_blocks(s->n, s->part);
  if (parts == 0) return NEAP_OK;
  size_t bytes = (size_t)(parts * s->bins) * sizeof *s->counts;
  if (!(s->counts = np_alloc(s->c, bytes))) return NEAP_ERR_MEMORY;
  np_parallel(s->c, parts, (double)s->n * 2, bins_task, s);
  for (int64_t p = 0; p < parts; p++)
    for (int64_t b = 0; b < s->bins; b++) total[b] += s->counts[p * s->bins + b];
  np_free(s->c, s->counts, bytes);
  return NEAP_OK;
}

/* The range of the bins: as given, or x's own when both ends are equal. */
static int range_of(np_call *c, neap_tensor *x, double *lo, double *hi) {
  const np_reduce *k = c->ctx->kernels->reduce[np_ctype(x->at.dtype)];
  if (*lo == *hi && x->at.count > 0) {
    k->row[NP_MIN](x->at.count, np_data(x), lo);
    k->row[NP_MAX](x->at.count, np_data(x), hi);
  }
  if (*lo == *hi) *lo -= 0.5 + 0.5 * (c->op == &np_ops[NP_OP_histc]), *hi += 0.5 + 0.5 * (c->op == &np_ops[NP_OP_histc]);
  if (!isfinite(*lo) || !isfinite(*hi)) return np_reject(c, NEAP_ERR_ARGUMENT, "the range from %g to %g is not finite: give min and max", *lo, *hi);
  return NEAP_OK;
}

static int check_range(np_call *c, int64_t n, double lo, double hi) {
  if (n < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "bins is %lld, there must be at least 1", (long long)n);
  if (!isfinite(lo) || !isfinite(hi)) return np_reject(c, NEAP_ERR_ARGUMENT, "the range from %g to %g is not finite", lo, hi);
  if (lo > hi) return np_reject(c, NEAP_ERR_ARGUMENT, "min is %g, which is more than max, %g", lo, hi);
  return NEAP_OK;
}

int np_histc_infer(np_call *c) {
  int64_t n = np_i(c, 1);
  if (np_need_float(c, "x", np_t(c, 0)) != 0 || check_range(c, n, np_d(c, 2), np_d(c, 3)) != 0) return c->ctx->error;
  return np_spec(c, 0, np_t(c, 0)->at.dtype, 1, &n);
}

int np_histc_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *x = np_contiguous_of(ctx, np_t(c, 0), np_native_of(y->at.dtype)), *total = x ? np_tensor_like(y, NEAP_F64) : NULL;
  bins s = { .c = ctx, .ctype = np_ctype(y->at.dtype), .bins = y->at.count, .lo = np_d(c, 2), .hi = np_d(c, 3) };
  if (total && range_of(c, x, &s.lo, &s.hi) == 0) {
    s.n = x->at.count, s.x = np_data(x), s.size = np_size_of(x->at.dtype);
    if (count_bins(&s, (double *)np_data(total)) == 0) np_copy(ctx, y, total);
  }
  neap_release(total);
  neap_release(x);
  return ctx->error;
}

int np_histogram_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *edges = np_t(c, 1), *w = np_t(c, 4);
  int64_t n = c->arg[1].kind == NEAP_INT ? np_i(c, 1) : 0;
  char a[128], b[128];
  np_shape_text(a, sizeof a, x);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (np_given(c, 2) != np_given(c, 3)) return np_reject(c, NEAP_ERR_ARGUMENT, "min and max go together");
  if (c->arg[1].kind == NEAP_NUMBER) return np_reject(c, NEAP_ERR_ARGUMENT, "bins is %g, it must be a whole number or a vector of edges", np_d(c, 1));
  if (edges) {
    if (edges->at.dtype != x->at.dtype)
      return np_reject(c, NEAP_ERR_DTYPE, "bins is %s and x is %s: they must be alike", np_dtypes[edges->at.dtype].info.name, np_dtypes[x->at.dtype].info.name);
    if (edges->at.ndim != 1 || edges->at.count < 2) {
      np_shape_text(b, sizeof b, edges);
      return np_reject(c, NEAP_ERR_SHAPE, "bins %s must be a vector of at least 2 edges", b);
    }
    if (np_given(c, 2)) return np_reject(c, NEAP_ERR_ARGUMENT, "min and max are not needed with edges");
    n = edges->at.count - 1;
  } else if (check_range(c, n, np_given(c, 2) ? np_d(c, 2) : 0, np_given(c, 3) ? np_d(c, 3) : 0) != 0) {
    return c->ctx->error;
  }
  if (w && (!np_same_shape(w, x) || w->at.dtype != x->at.dtype)) {
    np_shape_text(b, sizeof b, w);
    return np_reject(c, NEAP_ERR_SHAPE, "weight is %s %s, it must be as x, %s %s", np_dtypes[w->at.dtype].info.name, b, np_dtypes[x->at.dtype].info.name, a);
  }
  if (np_spec(c, 0, x->at.dtype, 1, &n) != 0) return c->ctx->error;
  n++;
  return np_spec(c, 1, x->at.dtype, 1, &n);
}

static void even_edges(const bins *s, double *e) { /* from both ends, so that the last is exact */
  double step = (s->hi - s->lo) / (double)s->bins;
  for (int64_t i = 0; i <= s->bins; i++) e[i] = 2 * i <= s->bins ? s->lo + step * (double)i : s->hi - step * (double)(s->bins - i);
}

static void make_density(const bins *s, const double *edges, double *counts) {
  double sum = 0;
  for (int64_t b = 0; b < s->bins; b++) sum += counts[b];
  for (int64_t b = 0; b < s->bins; b++) counts[b] /= sum * (edges[b + 1] - edges[b]);
}

int np_histogram_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *given = np_t(c, 1), *e = c->out[1];
  int native = np_native_of(y->at.dtype);
  neap_tensor *x = np_contiguous_of(ctx, np_t(c, 0), native), *w = np_contiguous_of(ctx, np_t(c, 4), native);
  neap_tensor *total = np_tensor_like(y, NEAP_F64), *wide = np_tensor_like(e, NEAP_F64), *edges = NULL;
  bins s = { .c = ctx, .ctype = np_ctype(y->at.dtype), .even = !given, .bins = y->at.count, .lo = np_given(c, 2) ? np_d(c, 2) : 0, .hi = np_given(c, 3) ? np_d(c, 3) : 0 };
  if (!np_failed(ctx)) {
    double *at = (double *)np_data(wide);
    if (given) np_copy(ctx, wide, given);
    else if (range_of(c, x, &s.lo, &s.hi) == 0) even_edges(&s, at);
    for (int64_t b = 0; b < s.bins && !np_failed(ctx); b++)
      if (!(at[b] <= at[b + 1])) np_reject(c, NEAP_ERR_ARGUMENT, "bins must rise: edge %lld is %g, the next %g", NP_DIM(c, b), at[b], at[b + 1]);
    np_copy(ctx, e, wide);
    edges = np_contiguous_of(ctx, e, native);
    s.lo = at[0], s.hi = at[s.bins];
  }
  if (edges && !np_failed(ctx)) {
    double *counts = (double *)np_data(total);
    s.n = x->at.count, s.x = np_data(x), s.weight = w ? np_data(w) : NULL, s.size = np_size_of(native), s.edges = np_data(edges);
    if (count_bins(&s, counts) == 0) {
      if (np_i(c, 5)) make_density(&s, (const double *)np_data(wide), counts);
      np_copy(ctx, y, total);
    }
  }
  neap_release(edges);
  neap_release(wide);
  neap_release(total);
  neap_release(w);
  neap_release(x);
  return ctx->error;
}

/* ---- bincount: x weights minlength; entry i counts position i ---- */

int np_bincount_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  if (x->at.ndim != 1) return np_reject(c, NEAP_ERR_SHAPE, "x must be a vector, got %d dimensions: flatten it", x->at.ndim);
  if (np_i(c, 2) < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "minlength is %lld, it must be at least 0", (long long)np_i(c, 2));
  if (w && !np_same_shape(w, x)) {
    char b[128];
    np_shape_text(b, sizeof b, w);
    return np_reject(c, NEAP_ERR_SHAPE, "weights %s must have an element for each of x's %lld", b, (long long)x->at.count);
  }
  c->by_run[0] = 1;
  return np_positions_check(c, "x", x, INT64_MAX / 16, "it must be a position", 0, NULL);
}

int np_bincount_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *w = np_t(c, 1);
  int dtype = !w ? NEAP_I64 : w->at.dtype == NEAP_F32 ? NEAP_F32 : NEAP_F64;
  int64_t n = np_i(c, 2), base = ctx->site.base;
  np_positions at;
  if (np_positions_get(ctx, np_t(c, 0), &at) != 0) return ctx->error;
  for (int64_t i = 0; i < at.n; i++) n = np_max(n, np_position(&at, i) + 1 - base);
  neap_tensor *y = np_tensor_new(ctx, dtype, 1, &n), *sum = NULL, *weights = NULL;
  if (y && !w) {
    int64_t *counts = (int64_t *)np_data(y);
    np_zero(ctx, y);
    for (int64_t i = 0; i < at.n; i++) counts[np_position(&at, i) - base]++;
  } else if (y) {
    sum = np_contiguous_of(ctx, y, NEAP_F64), weights = np_contiguous_of(ctx, w, NEAP_F64);
    if (sum && weights) {
      np_zero(ctx, sum);
      ctx->kernels->index->scatter_fold[NP_CF64][NP_FOLD_ADD](at.n, at.at, at.wide, base, np_data(weights), 1, np_data(sum), 1, 0);
      if (sum != y) np_copy(ctx, y, sum);
    }
  }
  c->out[0] = y;
  neap_release(weights);
  neap_release(sum);
  neap_release(at.t);
  return ctx->error;
}

/* ---- looking up: a list of values in rising lists ---- */

typedef struct lookup {
  neap_context *c;
  int ctype, right;
  int64_t n, m, size, block, blocks; /* values and list entries a row; blocks of values a row */
  int one;                           /* one list for all rows */
  const char *v, *list;
  int64_t *at;
  uint8_t *yes;
} lookup;

static void lookup_task(void *arg, int64_t task) {
  const lookup *s = arg;
  if (np_cancelled(s->c)) return;
  const np_count *k = s->c->kernels->count;
  int64_t row = task / s->blocks, from = task % s->blocks * s->block, n = np_min(s->block, s->n - from), i = row * s->n + from;
  const char *v = s->v + i * s->size, *list = s->list + (s->one ? 0 : row * s->m * s->size);
  if (s->yes) k->among[s->ctype](n, v, s->m, list, s->right, s->yes + i);
  else k->search[s->ctype](n, v, s->m, list, s->right, s->c->site.base, s->at + i);
}

static void look_up(lookup *s, int64_t rows) {
  if (s->n == 0 || rows == 0) return;
  s->block = np_min(s->n, NP_GRAIN / 4 + 1);
  s->blocks = np_blocks(s->n, s->block);
  np_parallel(s->c, rows * s->blocks, (double)(rows * s->n) * (5 + 2 * log2((double)s->m + 1)), lookup_task, s);
}

/* An operand as a tensor. */
static neap_tensor *as_tensor(neap_context *c, const neap_value *v, int dtype) {
  if (v->kind == NEAP_TENSOR) return np_contiguous_of(c, v->t, dtype);
  neap_tensor *t = np_tensor_new(c, dtype, 0, NULL);
  if (t && v->kind == NEAP_INT) np_put_int(dtype, np_data(t), v->i);
  else if (t) np_put_number(dtype, np_data(t), v->d);
  return t;
}

/* Of tensors one dtype is asked for; a number with a fraction makes floats of integers. */
static int lookup_dtype(const neap_value *a, const neap_value *b) {
  int x = a->kind == NEAP_TENSOR ? a->t->at.dtype : -1, z = b->kind == NEAP_TENSOR ? b->t->at.dtype : -1;
  const neap_value *number = x < 0 ? a : z < 0 ? b : NULL;
  int native = np_native_of(x >= 0 ? x : z);
  return native == NEAP_I64 && number && number->kind == NEAP_NUMBER ? NEAP_F64 : native;
}

static int same_dtype(np_call *c, int i, int k) {
  neap_tensor *a = np_t(c, i), *b = np_t(c, k);
  if (!a || !b || a->at.dtype == b->at.dtype) return NEAP_OK;
  return np_reject(c, NEAP_ERR_DTYPE, "%s is %s and %s is %s: they must be alike", c->sig->param[i].name, np_dtypes[a->at.dtype].info.name,
                   c->sig->param[k].name, np_dtypes[b->at.dtype].info.name);
}

/* sorted_sequence values right side sorter */
int np_searchsorted_infer(np_call *c) {
  neap_tensor *s = np_t(c, 0), *v = np_t(c, 1), *order = np_t(c, 4);
  char a[128], b[128];
  np_shape_text(a, sizeof a, s);
  if (s->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "sorted_sequence must have a dimension");
  if (same_dtype(c, 0, 1) != 0) return c->ctx->error;
  if (s->at.ndim > 1) {
    int fits = v && v->at.ndim == s->at.ndim;
    for (int i = 0; fits && i + 1 < s->at.ndim; i++) fits = v->at.shape[i] == s->at.shape[i];
    if (v) np_shape_text(b, sizeof b, v);
    if (!fits) return np_reject(c, NEAP_ERR_SHAPE, "values %s must have the sizes of sorted_sequence %s in all dimensions but the last", v ? b : "()", a);
  }
  if (order) {
    np_shape_text(b, sizeof b, order);
    if (!np_same_shape(order, s)) return np_reject(c, NEAP_ERR_SHAPE, "sorter %s must have the shape of sorted_sequence %s", b, a);
    np_dim_text(b, sizeof b, c, s->at.ndim - 1, "sorted_sequence", s);
    if (np_positions_check(c, "sorter", order, s->at.shape[s->at.ndim - 1], b, 0, NULL) != 0) return c->ctx->error;
  }
  return np_spec(c, 0, NEAP_I64, v ? v->at.ndim : 0, v ? v->at.shape : NULL);
}

static int search(np_call *c, neap_tensor *sequence, const neap_value *values, int dtype, int right) {
  neap_context *ctx = c->ctx;
  neap_tensor *s = sequence ? np_contiguous_of(ctx, sequence, dtype) : NULL, *v = s ? as_tensor(ctx, values, dtype) : NULL;
  if (v) {
    int64_t m = s->at.shape[s->at.ndim - 1], rows = s->at.ndim == 1 ? 1 : m ? s->at.count / m : v->at.count;
    lookup l = { .c = ctx, .ctype = np_ctype(dtype), .right = right, .n = rows ? v->at.count / rows : 0, .m = m, .size = np_size_of(dtype), .v = np_data(v),
      .list = np_data(s), .at = (int64_t *)np_data(c->out[0]) };
    look_up(&l, rows);
  }
  neap_release(v);
  neap_release(s);
  return ctx->error;
}
int np_searchsorted_run(np_call *c) {
  neap_tensor *s = np_t(c, 0), *order = np_t(c, 4);
  int grad = neap_grad_mode(c->ctx, 0);
  neap_tensor *sorted = order ? neap_gather(c->ctx, s, -1, order) : neap_retain(s);
  neap_grad_mode(c->ctx, grad);
  search(c, sorted, &c->arg[1], lookup_dtype(&c->arg[0], &c->arg[1]), (int)(np_i(c, 2) || np_i(c, 3)));
  neap_release(sorted);
  return c->ctx->error;
}

/* x boundaries right */
int np_bucketize_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *s = np_t(c, 1);
  if (s->at.ndim != 1) return np_reject(c, NEAP_ERR_SHAPE, "boundaries must be a vector, got %d dimensions", s->at.ndim);
  if (same_dtype(c, 0, 1) != 0) return c->ctx->error;
  return np_spec(c, 0, NEAP_I64, x ? x->at.ndim : 0, x ? x->at.shape : NULL);
}
int np_bucketize_run(np_call *c) { return search(c, np_t(c, 1), &c->arg[0], lookup_dtype(&c->arg[0], &c->arg[1]), (int)np_i(c, 2)); }

/* elements test_elements assume_unique invert */
int np_isin_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  if (!x && !np_t(c, 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "elements and test_elements are both numbers: one must be a tensor");
  return np_spec(c, 0, NEAP_BOOL, x ? x->at.ndim : 0, x ? x->at.shape : NULL);
}

static void keep_sorted(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room) {
  (void)r;
  o->k->take[o->ctype](o->n, np_order_sort(o, o->n, np_order_row(o, 0), e, room), np_order_row(o, 0), 0, arg, NULL);
}

int np_isin_run(np_call *c) {
  neap_context *ctx = c->ctx;
  int dtype = np_native_of(np_result_dtype(2, c->arg));
  neap_tensor *x = as_tensor(ctx, &c->arg[0], dtype), *test = as_tensor(ctx, &c->arg[1], dtype), *sorted = test ? np_tensor_like(test, dtype) : NULL;
  np_order o = { .turned = NULL };
  if (x && sorted && np_order_open(&o, c, test, -1, 0) == 0) {
    if (np_order_run(&o, keep_sorted, np_data(sorted)) == 0) {
      lookup l = { .c = ctx, .ctype = np_ctype(dtype), .right = (int)np_i(c, 3), .n = x->at.count, .m = test->at.count, .size = np_size_of(dtype),
        .v = np_data(x), .list = np_data(sorted), .yes = (uint8_t *)np_data(c->out[0]) };
      look_up(&l, 1);
    }
  }
  np_order_close(&o);
  neap_release(sorted);
  neap_release(test);
  neap_release(x);
  return ctx->error;
}
