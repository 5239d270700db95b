/* Single elements by positions: index has as many dimensions as x, and each of its entries names a place along one of
 * them. gather takes from there, scatter writes there, the rest of the family combines what meets there (scatter_reduce.c).
 * What meets at one place does so along the indexed dimension only, so everything else may run at once, and sums are
 * added in the order of the positions whatever the number of threads. */
#include "loops.h"

static int check_elements(np_call *c, int *d) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2);
  int i = 0;
  if (np_axis(c, np_i(c, 1), np_t(c, 0)->at.ndim, d) != 0) return c->ctx->error;
  if (index->at.ndim == x->at.ndim)
    while (i < x->at.ndim && (i == *d || index->at.shape[i] <= x->at.shape[i])) i++;
  if (i < x->at.ndim || index->at.ndim != x->at.ndim) {
    char a[128], s[128];
    np_shape_text(a, sizeof a, x);
    np_shape_text(s, sizeof s, index);
    if (index->at.ndim != x->at.ndim)
      return np_reject(c, NEAP_ERR_SHAPE, "index %s must have as many dimensions as x %s", s, a);
    return np_reject(c, NEAP_ERR_SHAPE, "index %s is larger than x %s in dimension %lld", s, a, NP_DIM(c, i));
  }
  c->room[0] = *d;
  return np_positions_along(c, "index", index, *d);
}

/* One walk over all positions, in pieces of n that the kernels take. at: whether the source or the destination is the
 * side that positions index; the other, the list, lies as index does. Along the indexed dimension the pieces follow each
 * other in order; rows (of the outer dimensions) and columns (of a piece) are apart from each other in memory. */
typedef struct elements {
  neap_context *c;
  int op, size, ctype, wide, ndim;
  int64_t n, block, blocks, along, base, rows, per_task;
  const char *idx;
  char *list, *table;
  int64_t idx_along, list_along, list_stride, unit, step;
  int64_t shape[NEAP_MAX_DIMS], idx_step[NEAP_MAX_DIMS], list_step[NEAP_MAX_DIMS], table_step[NEAP_MAX_DIMS];
} elements;

static void element_task(void *arg, int64_t task) {
  const elements *e = arg;
  const np_index *k = e->c->kernels->index;
  int64_t column = task % e->blocks * e->block, n = np_min(e->block, e->n - column), width = e->wide ? 8 : 4;
  int64_t first = task / e->blocks * e->per_task, last = np_min(first + e->per_task, e->rows);
  for (int64_t r = first; r < last; r++) {
    int64_t rest = r, at = column, from = column * e->list_stride, to = column * e->step;
    for (int d = e->ndim - 1; d >= 0; d--) {
      int64_t i = rest % e->shape[d];
      at += i * e->idx_step[d];
      from += i * e->list_step[d];
      to += i * e->table_step[d];
      rest /= e->shape[d];
    }
    for (int64_t i = 0; i < e->along; i++, at += e->idx_along, from += e->list_along) {
      const char *idx = e->idx + at * width;
      char *list = e->list + from * e->size, *table = e->table + to * e->size;
      if (e->op == NP_GATHER) k->gather(e->size, n, idx, e->wide, e->base, table, e->unit, e->step, list, e->list_stride);
      else if (e->op == NP_PUT_ONE) k->scatter(e->size, n, idx, e->wide, e->base, list, e->list_stride, table, e->unit, e->step);
      else k->scatter_fold[e->ctype][e->op](n, idx, e->wide, e->base, list, e->list_stride, table, e->unit, e->step);
    }
  }
}

/* Where the last dimension is long the pieces run along it, across the indexed one; else along the indexed dimension. */
enum { ACROSS = 16 };

/* list NULL in layout terms: one value for all, with strides 0. */
static int run_on(neap_context *c, int op, neap_tensor *index, int d, const np_layout *list, const char *list_data, neap_tensor *table) {
  np_positions at;
  const int ndim = index->at.ndim, across = ndim > 1 && d != ndim - 1 && index->at.shape[ndim - 1] >= ACROSS, inner = across ? ndim - 1 : d;
  neap_tensor *turned = across ? neap_retain(index) : np_permuted(c, index, ndim ? 1u << d : 0, index->at.dtype == NEAP_I32 ? NEAP_I32 : NEAP_I64);
  if (!turned || np_positions_get(c, turned, &at) != 0) {
    neap_release(turned);
    return c->error;
  }
  elements e = { .c = c, .op = op, .size = (int)np_size_of(table->at.dtype), .ctype = np_ctype(table->at.dtype), .wide = at.wide,
    .n = ndim ? index->at.shape[inner] : 1, .along = 1, .base = c->site.base, .idx = at.at, .list = (char *)(uintptr_t)list_data, .table = np_data(table),
    .rows = 1, .list_stride = list && ndim ? list->stride[inner] : 0, .unit = ndim ? table->at.stride[d] : 0, .step = across ? table->at.stride[inner] : 0 };
  int64_t idx_stride[NEAP_MAX_DIMS], dense = 1; /* of positions: row-major, the indexed dimension last unless across */
  if (!across && ndim) idx_stride[d] = 1, dense = index->at.shape[d];
  for (int i = ndim - 1; i >= 0; i--)
    if (across || i != d) idx_stride[i] = dense, dense *= index->at.shape[i];
  for (int i = 0; i < ndim; i++) {
    if (i == inner) continue;
    if (i == d && op != NP_GATHER) {
      e.along = index->at.shape[i], e.idx_along = idx_stride[i], e.list_along = list ? list->stride[i] : 0;
      continue;
    }
    e.rows *= e.shape[e.ndim] = index->at.shape[i];
    e.idx_step[e.ndim] = idx_stride[i];
    e.list_step[e.ndim] = list ? list->stride[i] : 0;
    e.table_step[e.ndim++] = i == d ? 0 : table->at.stride[i];
  }
  if (index->at.count > 0) {
    e.block = across ? np_min(e.n, np_max(64, NP_GRAIN / e.along)) : e.n;
    e.blocks = np_blocks(e.n, e.block);
    e.per_task = np_max(1, NP_GRAIN / (e.block * e.along));
    np_parallel(c, np_blocks(e.rows, e.per_task) * e.blocks, (double)at.n * 2, element_task, &e);
  }
  neap_release(at.t);
  neap_release(turned);
  return c->error;
}

/* Down a table whose rows are a power of two apart all places of a column fall into few sets of the cache. Where there is
 * much to write, that happens in a copy whose rows are a line longer. */
static int rows_collide(const np_layout *table, const np_layout *index, int d) {
  const int last = table->ndim - 1;
  int64_t bytes = np_size_of(table->dtype);
  return d < last && table->stride[last] == 1 && table->stride[d] * bytes % 1024 == 0 && table->shape[d] >= 64 && index->shape[last] >= ACROSS &&
         table->count * bytes >= 1 << 18 && index->count >= table->count / 4;
}

static int run_elements(neap_context *c, int op, neap_tensor *index, int d, const np_layout *list, const char *list_data, neap_tensor *table) {
  const int last = table->at.ndim - 1;
  if (op == NP_GATHER || last < 1 || !rows_collide(&table->at, &index->at, d)) return run_on(c, op, index, d, list, list_data, table);
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, table->at.shape, sizeof shape);
  shape[last] += 64 / np_size_of(table->at.dtype);
  neap_tensor *wide = np_tensor_new(c, table->at.dtype, last + 1, shape);
  if (!wide) return c->error;
  np_layout l = wide->at;
  l.shape[last] = table->at.shape[last], l.count = table->at.count;
  neap_tensor window = np_window(wide, &l);
  int status = np_copy(c, &window, table);
  if (status == 0) status = run_on(c, op, index, d, list, list_data, &window);
  if (status == 0) status = np_copy(c, table, &window);
  neap_release(wide);
  return status;
}

int np_gather_infer(np_call *c) {
  int d;
  if (check_elements(c, &d) != 0) return c->ctx->error;
  return np_spec(c, 0, np_t(c, 0)->at.dtype, np_t(c, 2)->at.ndim, np_t(c, 2)->at.shape);
}
int np_gather_run(np_call *c) {
  return run_elements(c->ctx, NP_GATHER, np_t(c, 2), (int)c->room[0], &c->out[0]->at, np_data(c->out[0]), np_t(c, 0));
}
int np_gather_back(np_back *b) { /* gx = zeros, then gx[index] += g */
  neap_context *c = b->ctx;
  b->gx[0] = neap_scatter_add_(c, np_zeros_like(c, &b->in[0].at), np_back_axis(b, 1, &b->in[0].at), b->x[1], b->g[0]);
  return c->error;
}

/* scatter: x dim index src (a tensor at least as large as index, or one value) */
static int one_value(const np_call *c) { return !np_t(c, 3) || (np_t(c, 3)->at.ndim == 0 && np_t(c, 2)->at.ndim > 0); }

static int check_scatter(np_call *c) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2), *src = np_t(c, 3);
  int d;
  if (check_elements(c, &d) != 0) return c->ctx->error;
  if (!one_value(c)) {
    int fits = src->at.ndim == index->at.ndim;
    for (int i = 0; fits && i < index->at.ndim; i++) fits = src->at.shape[i] >= index->at.shape[i];
    if (!fits) {
      char a[128], s[128];
      np_shape_text(a, sizeof a, index);
      np_shape_text(s, sizeof s, src);
      return np_reject(c, NEAP_ERR_SHAPE, "src %s must be at least as large as index %s", s, a);
    }
  }
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_scatter_infer(np_call *c) {
  if (check_scatter(c) != 0) return c->ctx->error;
  if (np_i(c, 4) == NEAP_REDUCE_MULTIPLY && np_wants_record(c))
    return np_reject(c, NEAP_ERR_UNSUPPORTED, "with reduce 'multiply' there is no gradient: scatter_reduce with 'prod' has one");
  return NEAP_OK;
}

/* One element of y's dtype: the value that a number, or a tensor of one, gives for all. */
static int value_of(np_call *c, int dtype, char *element) {
  const neap_value *v = &c->arg[3];
  if (v->kind == NEAP_INT) np_put_int(dtype, element, v->i);
  else if (v->kind == NEAP_NUMBER) np_put_number(dtype, element, v->d);
  else {
    neap_tensor *one = np_contiguous_of(c->ctx, v->t, dtype);
    if (!one) return c->ctx->error;
    memcpy(element, np_data(one), (size_t)np_size_of(dtype));
    neap_release(one);
  }
  return NEAP_OK;
}

/* y, which holds x, op= src at index; folds go through y's compute type. */
int np_scatter_all(np_call *c, neap_tensor *y, int op) {
  neap_context *ctx = c->ctx;
  char element[8];
  neap_tensor *t = op == NP_PUT_ONE ? neap_retain(y) : np_summing(ctx, y), *src = np_t(c, 3);
  if (!t) return ctx->error;
  if (one_value(c)) {
    if (value_of(c, t->at.dtype, element) == 0) run_elements(ctx, op, np_t(c, 2), (int)c->room[0], NULL, element, t);
  } else {
    src = src->at.dtype == t->at.dtype ? neap_retain(src) : np_contiguous_of(ctx, src, t->at.dtype);
    if (src) run_elements(ctx, op, np_t(c, 2), (int)c->room[0], &src->at, np_data(src), t);
    neap_release(src);
  }
  np_deliver(ctx, y, t);
  return ctx->error;
}

int np_scatter_run(np_call *c) {
  static const int ops[] = { NP_PUT_ONE, NP_FOLD_ADD, NP_FOLD_MUL };
  if (!c->in_place) np_copy(c->ctx, c->out[0], np_t(c, 0));
  return np_scatter_all(c, c->out[0], ops[np_i(c, 4)]);
}

neap_tensor *np_grown(neap_context *c, neap_tensor *g, const np_layout *at) {
  for (int i = 0; g && i < at->ndim; i++) {
    if (g->at.shape[i] == at->shape[i]) continue;
    int64_t shape[NEAP_MAX_DIMS];
    memcpy(shape, g->at.shape, sizeof shape);
    shape[i] = at->shape[i];
    g = neap_place(c, g, at->ndim, shape, i, 0, 1);
  }
  return g;
}

int np_scatter_back(np_back *b) { /* gx = g, 0 at index unless src was added; gsrc = g[index] */
  neap_context *c = b->ctx;
  int64_t d = np_back_axis(b, 1, &b->in[0].at);
  int adds = (int)b->arg[4].i;
  if (b->in[0].needs) b->gx[0] = adds ? b->g[0] : neap_scatter(c, b->g[0], d, b->x[1], NP_C(c, 0), 0);
  if (b->in[2].needs) {
    neap_tensor *g = neap_gather(c, b->g[0], d, b->x[1]);
    b->gx[2] = b->in[2].at.ndim == 0 && b->in[1].at.ndim > 0 ? neap_sum(c, g, 0, NULL, 0, -1) : np_grown(c, g, &b->in[2].at);
  }
  return c->error;
}

int np_scatter_add_run(np_call *c) { /* x dim index src */
  if (!c->in_place) np_copy(c->ctx, c->out[0], np_t(c, 0));
  return np_scatter_all(c, c->out[0], NP_FOLD_ADD);
}
int np_scatter_add_infer(np_call *c) {
  if (check_scatter(c) != 0) return c->ctx->error;
  if (one_value(c)) return np_reject(c, NEAP_ERR_SHAPE, "src must have as many dimensions as index");
  return NEAP_OK;
}
int np_scatter_add_back(np_back *b) { /* gx = g, gsrc = g[index] */
  neap_context *c = b->ctx;
  if (b->in[0].needs) b->gx[0] = b->g[0];
  if (b->in[2].needs) b->gx[2] = np_grown(c, neap_gather(c, b->g[0], np_back_axis(b, 1, &b->in[0].at), b->x[1]), &b->in[2].at);
  return c->error;
}
