/* unique and unique_consecutive: the different values of a tensor, or its different slices along one dimension, with where
 * each element went and how often each occurs. Values are grouped in sorted order, slices by a merge sort that compares
 * them element by element. Outputs that were not asked for stay NULL. */
#include "loops.h"

typedef struct groups {
  np_call *c;
  int wants_inverse, wants_counts;
  int64_t n;                     /* elements, or slices */
  uint64_t *entry;               /* (n) their order; or NULL: as they lie */
  int64_t *group;                /* (n) in that order */
  int64_t count;                 /* of groups */
} groups;

/* inverse and counts of the groups; the shape of inverse is given. */
static int say(groups *g, int inverse_ndim, const int64_t *inverse_shape) {
  neap_context *ctx = g->c->ctx;
  int64_t base = ctx->site.base;
  if (g->wants_inverse) {
    neap_tensor *t = g->c->out[1] = np_tensor_new(ctx, NEAP_I64, inverse_ndim, inverse_shape);
    if (!t) return ctx->error;
    int64_t *to = (int64_t *)np_data(t);
    for (int64_t i = 0; i < g->n; i++) to[g->entry ? (int64_t)(uint32_t)g->entry[i] : i] = g->group[i] + base;
  }
  if (g->wants_counts) {
    neap_tensor *t = g->c->out[2] = np_tensor_new(ctx, NEAP_I64, 1, &g->count);
    if (!t) return ctx->error;
    int64_t *to = (int64_t *)np_data(t);
    np_zero(ctx, t);
    for (int64_t i = 0; i < g->n; i++) to[g->group[i]]++;
  }
  return NEAP_OK;
}

static int64_t place(const groups *g, int64_t i) { return g->entry ? (int64_t)(uint32_t)g->entry[i] : i; }

int np_unique_infer(np_call *c) {
  int dim = c->sig->n_params - 1, d = -1;
  if (np_given(c, dim) && np_axis(c, np_i(c, dim), np_t(c, 0)->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = np_t(c, 0)->at.ndim ? d : -1;
  for (int i = 0; i < 3; i++) c->by_run[i] = 1;
  return NEAP_OK;
}

/* ---- single values ---- */

static void flat_task(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room) {
  groups *g = arg;
  (void)r;
  const char *x = np_order_row(o, 0);
  uint64_t *sorted = np_order_sort(o, o->n, x, e, room);
  memcpy(g->entry, sorted, (size_t)o->n * sizeof *e);
  g->count = o->c->kernels->count->groups[o->ctype](o->n, x, g->entry, g->group);
}

static int flat(groups *g, int sort) {
  np_call *c = g->c;
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *v = NULL;
  np_order o;
  if (np_order_open(&o, c, x, -1, 0) != 0) return ctx->error;
  g->n = x->at.count;
  size_t bytes = (size_t)np_max(g->n, 1) * sizeof(int64_t);
  g->group = np_alloc(ctx, bytes);
  g->entry = sort ? np_alloc(ctx, bytes) : NULL;
  if (g->group && (g->entry || !sort)) {
    if (sort) np_order_run(&o, flat_task, g);
    else g->count = ctx->kernels->count->groups[o.ctype](g->n, np_data(o.turned), NULL, g->group);
    if (!np_failed(ctx) && !np_cancelled(ctx)) v = np_tensor_new(ctx, np_native_of(x->at.dtype), 1, &g->count);
  }
  if (v) {
    for (int64_t i = 0; i < g->n; i++)
      if (i == 0 || g->group[i] != g->group[i - 1])
        memcpy(np_data(v) + g->group[i] * o.size, np_order_row(&o, 0) + place(g, i) * o.size, (size_t)o.size);
    c->out[0] = np_contiguous_of(ctx, v, x->at.dtype);
    say(g, x->at.ndim, x->at.shape);
  }
  neap_release(v);
  np_free(ctx, g->entry, bytes);
  np_free(ctx, g->group, bytes);
  np_order_close(&o);
  return ctx->error;
}

/* ---- slices: rows of m elements ---- */

#define COMPARE(T, S)                                                                   \
  static int compare_##S(int64_t m, const char *left, const char *right) { /* NaN last */ \
    const T *a = (const T *)(const void *)left, *b = (const T *)(const void *)right;    \
    for (int64_t i = 0; i < m; i++) {                                                   \
      if (a[i] < b[i] || (a[i] == a[i] && b[i] != b[i])) return -1;                     \
      if (a[i] > b[i] || (a[i] != a[i] && b[i] == b[i])) return 1;                      \
    }                                                                                   \
    return 0;                                                                           \
  }                                                                                     \
  static int equal_##S(int64_t m, const char *left, const char *right) {                \
    const T *a = (const T *)(const void *)left, *b = (const T *)(const void *)right;    \
    for (int64_t i = 0; i < m; i++)                                                     \
      if (a[i] != b[i]) return 0;                                                       \
    return 1;                                                                           \
  }
COMPARE(float, f32)
COMPARE(double, f64)
COMPARE(int64_t, i64)
typedef int (*compare)(int64_t m, const char *a, const char *b);
static const compare compares[NP_CTYPES] = { compare_f32, compare_f64, compare_i64 }, equals[NP_CTYPES] = { equal_f32, equal_f64, equal_i64 };

/* Positions of n rows of m elements in order: runs of 1, 2, 4, ... merged; e and room have n places; where they end up. */
static uint64_t *merge_sort(int64_t n, int64_t m, int64_t size, const char *x, compare less, uint64_t *e, uint64_t *room) {
  for (int64_t i = 0; i < n; i++) e[i] = (uint64_t)i;
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t from = 0; from < n; from += 2 * run) {
      int64_t i = from, middle = np_min(from + run, n), j = middle, end = np_min(from + 2 * run, n);
      for (int64_t k = from; k < end; k++) {
        int second = i == middle || (j < end && less(m, x + (int64_t)e[j] * m * size, x + (int64_t)e[i] * m * size) < 0);
        room[k] = second ? e[j++] : e[i++];
      }
    }
    uint64_t *turn = e;
    e = room, room = turn;
  }
  return e;
}

/* y with its dimension d in front, as rows. */
static np_layout front(const np_layout *l, int d) {
  np_layout t = *l;
  for (int i = d; i > 0; i--) t.shape[i] = l->shape[i - 1], t.stride[i] = l->stride[i - 1];
  t.shape[0] = l->shape[d], t.stride[0] = l->stride[d];
  return t;
}

static int write_slices(groups *g, int d, const char *rows, int64_t bytes, int native) {
  np_call *c = g->c;
  neap_tensor *x = np_t(c, 0);
  int64_t shape[NEAP_MAX_DIMS];
  for (int i = 0; i < x->at.ndim; i++) shape[i] = i == d ? g->count : x->at.shape[i];
  neap_tensor *y = c->out[0] = np_tensor_new(c->ctx, x->at.dtype, x->at.ndim, shape);
  if (!y) return c->ctx->error;
  np_layout l = front(&y->at, d);
  neap_tensor w = np_window(y, &l), *t = np_tensor_new(c->ctx, native, l.ndim, l.shape);
  if (!t) return c->ctx->error;
  for (int64_t i = 0; i < g->n; i++)
    if (i == 0 || g->group[i] != g->group[i - 1]) memcpy(np_data(t) + g->group[i] * bytes, rows + place(g, i) * bytes, (size_t)bytes);
  np_copy(c->ctx, &w, t);
  neap_release(t);
  return c->ctx->error;
}

static int slices(groups *g, int d, int sort) {
  np_call *c = g->c;
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int native = np_native_of(x->at.dtype), ctype = np_ctype(x->at.dtype);
  int64_t size = np_size_of(native), n = g->n = x->at.shape[d], m = n ? x->at.count / n : 0;
  neap_tensor *rows = np_permuted(ctx, x, ((1u << x->at.ndim) - 1) & ~(1u << d), native);
  size_t bytes = (size_t)np_max(n, 1) * 3 * sizeof(int64_t);
  int64_t *room = rows ? np_alloc(ctx, bytes) : NULL;
  if (room) {
    const char *data = np_data(rows);
    g->group = room;
    if (sort) g->entry = merge_sort(n, m, size, data, compares[ctype], (uint64_t *)room + n, (uint64_t *)room + 2 * n);
    for (int64_t i = 0; i < n; i++) {
      int fresh = i == 0 || !equals[ctype](m, data + place(g, i) * m * size, data + place(g, i - 1) * m * size);
      g->count += fresh;
      g->group[i] = g->count - 1;
    }
    if (write_slices(g, d, data, m * size, native) == 0) say(g, 1, &n);
    np_free(ctx, room, bytes);
  }
  neap_release(rows);
  return ctx->error;
}

static int run(np_call *c, int inverse, int sort) {
  groups g = { .c = c, .wants_inverse = (int)np_i(c, inverse), .wants_counts = (int)np_i(c, inverse + 1) };
  int d = (int)c->room[0];
  return d < 0 ? flat(&g, sort) : slices(&g, d, sort);
}
int np_unique_run(np_call *c) { return run(c, 2, 1); }
int np_unique_consecutive_run(np_call *c) { return run(c, 1, 0); }
