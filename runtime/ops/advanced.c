/* Indexing with tensors, as NumPy does it: one entry a dimension, which is a list of positions, a mask (which stands for
 * the positions where it is true, over as many dimensions as it has), or nothing for the whole dimension. The lists
 * broadcast together; their shape takes the place of the dimensions they index where these stand side by side, else
 * it comes first. Positions may be negative: -1 is the last. Everything becomes one list of offsets into x. */
#include "loops.h"

enum { MOST = NEAP_MAX_DIMS };

typedef struct plan {
  int n;                          /* indexed dimensions */
  int dim[MOST];                  /* of x */
  neap_tensor *index[MOST];       /* positions: owned when made from a mask */
  int owned[MOST], base[MOST];    /* made from a mask: these count from 0 */
  int masks;
  int b_ndim, first, adjacent;    /* the lists' shape, and where it goes */
  int64_t b_shape[MOST];
} plan;

static void drop(plan *p) {
  for (int i = 0; i < p->n; i++)
    if (p->owned[i]) neap_release(p->index[i]);
}

/* A column for each of a mask's dimensions, from its true places. */
static int add_mask(neap_context *c, plan *p, neap_tensor *mask, int at) {
  neap_tensor *flat = np_true_positions(c, mask);
  if (!flat) return c->error;
  const int64_t n = flat->at.count, *f = (const int64_t *)np_data(flat);
  int64_t inner = 1;
  for (int d = mask->at.ndim - 1; d >= 0; d--) {
    neap_tensor *column = np_tensor_new(c, NEAP_I64, 1, &n);
    if (!column) break;
    int64_t *to = (int64_t *)np_data(column), size = mask->at.shape[d];
    for (int64_t i = 0; i < n; i++) to[i] = f[i] / inner % size;
    inner *= size;
    p->index[p->n + d] = column;
    p->owned[p->n + d] = 1;
    p->base[p->n + d] = 0;
    p->dim[p->n + d] = at + d;
  }
  neap_release(flat);
  if (np_failed(c)) {
    for (int d = 0; d < mask->at.ndim; d++) neap_release(p->index[p->n + d]);
    return c->error;
  }
  p->n += mask->at.ndim;
  return NEAP_OK;
}

static int mask_shape(np_call *c, neap_tensor *x, neap_tensor *mask, int at) {
  char a[128], m[128];
  int fits = mask->at.ndim > 0 && at + mask->at.ndim <= x->at.ndim;
  for (int d = 0; fits && d < mask->at.ndim; d++) fits = mask->at.shape[d] == x->at.shape[at + d];
  if (fits) return NEAP_OK;
  np_shape_text(a, sizeof a, x);
  np_shape_text(m, sizeof m, mask);
  return np_reject(c, NEAP_ERR_SHAPE, "a mask of shape %s does not fit x %s from dimension %lld on", m, a, NP_DIM(c, at));
}

/* Lays the entries against x's dimensions. values: masks too become lists (in run); else they are only checked. */
static int make_plan(np_call *c, plan *p, int values) {
  neap_tensor *x = np_t(c, 0);
  const neap_value *list = &c->arg[1];
  int at = 0;
  memset(p, 0, sizeof *p);
  for (int i = 0; i < list->n; i++) {
    neap_tensor *t = list->ts[i];
    if (t && t->at.dtype == NEAP_BOOL) {
      p->masks = 1;
      if (mask_shape(c, x, t, at) != 0 || (values && add_mask(c->ctx, p, t, at) != 0)) break;
      at += t->at.ndim;
      continue;
    }
    if (at >= x->at.ndim) {
      np_reject(c, NEAP_ERR_INDEX, "%d entries are too many: x has %d dimension%s", list->n, x->at.ndim, x->at.ndim == 1 ? "" : "s");
      break;
    }
    if (t) {
      char name[48], why[96];
      np_text text;
      np_text_init(&text, name, sizeof name);
      np_text_add(&text, "index %lld", NP_DIM(c, i));
      np_dim_text(why, sizeof why, c, at, "x", x);
      if (!values && np_positions_check(c, name, t, x->at.shape[at], why, 1, NULL) != 0) break;
      p->dim[p->n] = at;
      p->base[p->n] = c->ctx->site.base;
      p->index[p->n++] = t;
    }
    at++;
  }
  if (!np_failed(c->ctx) && p->n == 0 && !p->masks) np_reject(c, NEAP_ERR_ARGUMENT, "no entry says what to index");
  if (np_failed(c->ctx)) return drop(p), c->ctx->error;
  for (int i = 0; i < p->n; i++) {
    np_layout so_far;
    if (i == 0) {
      p->b_ndim = p->index[0]->at.ndim;
      memcpy(p->b_shape, p->index[0]->at.shape, sizeof p->b_shape);
    } else {
      np_layout_set(&so_far, NEAP_I64, p->b_ndim, p->b_shape);
      if (np_broadcast(c->ctx, c->op->name, &so_far, &p->index[i]->at, &p->b_ndim, p->b_shape) != 0) return drop(p), c->ctx->error;
    }
  }
  p->adjacent = 1;
  for (int i = 1; i < p->n; i++)
    if (p->dim[i] != p->dim[i - 1] + 1) p->adjacent = 0;
  p->first = p->n && p->adjacent ? p->dim[0] : 0;
  return NEAP_OK;
}

static int is_indexed(const plan *p, int d) {
  for (int i = 0; i < p->n; i++)
    if (p->dim[i] == d) return 1;
  return 0;
}

static int result_shape(const plan *p, const np_layout *x, int64_t *shape) {
  int n = 0;
  for (int d = 0; d <= x->ndim; d++) {
    if (d == p->first)
      for (int i = 0; i < p->b_ndim; i++, n++)
        if (n < MOST) shape[n] = p->b_shape[i];
    if (d < x->ndim && !is_indexed(p, d)) {
      if (n < MOST) shape[n] = x->shape[d];
      n++;
    }
  }
  return n;
}

/* ---- offsets ---- */

/* x with its indexed dimensions moved together to place p->first. */
static np_layout together(const plan *p, const np_layout *x) {
  np_layout l = *x;
  int n = 0, done = 0;
  for (int d = 0; d <= x->ndim; d++) {
    for (int i = 0; !done && n == p->first && i < p->n; i++) {
      l.shape[p->first + i] = x->shape[p->dim[i]];
      l.stride[p->first + i] = x->stride[p->dim[i]];
    }
    if (!done && n == p->first) n += p->n, done = 1;
    if (d < x->ndim && !is_indexed(p, d)) l.shape[n] = x->shape[d], l.stride[n++] = x->stride[d];
  }
  return l;
}

/* One offset (in elements of the table) a place of the lists' shape. */
static neap_tensor *offsets(neap_context *c, const plan *p, const np_layout *table) {
  neap_tensor *sum = np_tensor_new(c, NEAP_I64, p->b_ndim, p->b_shape), *one = sum ? np_tensor_like(sum, NEAP_I64) : NULL;
  if (one) {
    int64_t *s = (int64_t *)np_data(sum), *v = (int64_t *)np_data(one), n = sum->at.count;
    np_zero(c, sum);
    for (int i = 0; i < p->n; i++) {
      int64_t size = table->shape[p->first + i], stride = table->stride[p->first + i], base = p->base[i];
      np_copy(c, one, p->index[i]);
      for (int64_t k = 0; k < n; k++) s[k] += (v[k] < 0 ? v[k] + size : v[k] - base) * stride;
    }
  }
  if (!one) { /* without it the sums are not there */
    neap_release(sum);
    return NULL;
  }
  neap_release(one);
  return sum;
}

static int dense_behind(const np_layout *l, int from) {
  int64_t step = 1;
  for (int i = l->ndim - 1; i >= from; i--) {
    if (l->shape[i] != 1 && l->stride[i] != step) return 0;
    step *= l->shape[i];
  }
  return 1;
}

/* A table that rows can be picked from: t itself seen through l, or a contiguous copy of that. */
static neap_tensor *table_of(neap_context *c, const plan *p, neap_tensor *t, int dtype) {
  np_layout l = together(p, &t->at);
  neap_tensor *seen = np_tensor_on(c, t->storage, &l);
  if (seen && l.dtype == dtype && dense_behind(&l, p->first + p->n)) return seen;
  neap_tensor *copy = seen ? np_contiguous_of(c, seen, dtype) : NULL;
  neap_release(seen);
  return copy;
}

static int pick(neap_context *c, const plan *p, int op, neap_tensor *table, neap_tensor *list) {
  neap_tensor *at = offsets(c, p, &table->at);
  if (!at) return c->error;
  np_pick k = { .op = op, .dtype = table->at.dtype, .n_outer = p->first, .n = at->at.count, .inner = 1, .unit = 1, .idx = np_data(at),
    .wide = 1, .table = np_data(table), .list = np_data(list) };
  for (int d = 0; d < p->first; d++) k.shape[d] = table->at.shape[d], k.step[d] = table->at.stride[d];
  for (int d = p->first + p->n; d < table->at.ndim; d++) k.inner *= table->at.shape[d];
  np_pick_run(c, &k);
  neap_release(at);
  return c->error;
}

/* ---- one mask alone ---- */

/* The mask, when it is the only entry and lies over x's first dimensions: then flat positions are all that is needed. */
static neap_tensor *only_mask(const np_call *c) {
  const neap_value *list = &c->arg[1];
  return list->n == 1 && list->ts[0] && list->ts[0]->at.dtype == NEAP_BOOL ? list->ts[0] : NULL;
}

static int index_by_mask(np_call *c, neap_tensor *mask) {
  neap_context *ctx = c->ctx;
  neap_tensor *at = np_true_positions(ctx, mask), *x = at ? np_contiguous_of(ctx, np_t(c, 0), np_t(c, 0)->at.dtype) : NULL;
  if (x) {
    int n = 1, skip = mask->at.ndim;
    int64_t shape[MOST] = { at->at.count }, inner = 1;
    for (int d = skip; d < x->at.ndim; d++) inner *= shape[n++] = x->at.shape[d];
    c->out[0] = np_tensor_new(ctx, x->at.dtype, n, shape);
    np_pick p = { .op = NP_TAKE, .dtype = x->at.dtype, .n = at->at.count, .inner = inner, .unit = inner, .idx = np_data(at), .wide = 1, .table = np_data(x) };
    if (c->out[0]) {
      p.list = np_data(c->out[0]);
      np_pick_run(ctx, &p);
    }
  }
  neap_release(x);
  neap_release(at);
  return ctx->error;
}

/* y, which holds x, with the one value v (or, NULL, the number of the call) where the mask is true. */
static int fill_by_mask(np_call *c, neap_tensor *mask, neap_tensor *v) {
  neap_tensor *y = c->out[0];
  np_layout l = mask->at; /* with dimensions of size 1 behind, up to x's */
  for (int d = l.ndim; d < y->at.ndim; d++) l.shape[d] = 1, l.stride[d] = 0;
  l.ndim = y->at.ndim;
  neap_tensor seen = np_window(mask, &l), *in[3] = { &seen, v, y };
  neap_value scalar[3] = { { 0 }, c->arg[2], { 0 } };
  int ctype = np_ctype(y->at.dtype);
  np_map_job job = { .map = c->ctx->kernels->map[ctype][NP_EW_where], .ctype = ctype, .n_in = 3, .in = in, .scalar = scalar, .out = y };
  return np_map_run(c->ctx, &job);
}

/* ---- index: x indices ---- */

int np_index_infer(np_call *c) {
  plan p;
  int64_t shape[MOST];
  if (make_plan(c, &p, 0) != 0) return c->ctx->error;
  if (p.masks) {
    c->by_run[0] = 1;
    return NEAP_OK;
  }
  int n = result_shape(&p, &np_t(c, 0)->at, shape);
  return np_spec(c, 0, np_t(c, 0)->at.dtype, n, shape);
}

int np_index_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  plan p;
  int64_t shape[MOST];
  if (only_mask(c)) return index_by_mask(c, only_mask(c));
  if (make_plan(c, &p, 1) != 0) return ctx->error;
  if (c->by_run[0]) {
    int n = result_shape(&p, &x->at, shape);
    if (n > MOST) np_reject(c, NEAP_ERR_SHAPE, "the result has %d dimensions, %d are the most", n, MOST);
    else c->out[0] = np_tensor_new(ctx, x->at.dtype, n, shape);
  }
  if (c->out[0] && c->out[0]->at.count > 0) {
    neap_tensor *table = table_of(ctx, &p, x, x->at.dtype);
    if (table) pick(ctx, &p, NP_TAKE, table, c->out[0]);
    neap_release(table);
  }
  drop(&p);
  return ctx->error;
}

int np_index_back(np_back *b) { /* gx = zeros, then gx[indices] += g */
  neap_context *c = b->ctx;
  b->gx[0] = neap_index_put_(c, np_zeros_like(c, &b->in[0].at), b->n_in - 1, b->x + 1, b->g[0], 1);
  return c->error;
}

/* ---- index_put: x indices values accumulate ---- */

int np_index_put_infer(np_call *c) {
  plan p;
  neap_tensor *x = np_t(c, 0), *v = np_t(c, 2);
  int64_t shape[MOST], whole[MOST];
  if (make_plan(c, &p, 0) != 0) return c->ctx->error;
  int masks = p.masks;
  if (only_mask(c) && (!v || v->at.ndim == 0)) return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape); /* fits whatever is true */
  if (masks && (drop(&p), make_plan(c, &p, 1) != 0)) return c->ctx->error; /* how many values are needed */
  int n = result_shape(&p, &x->at, shape), ndim;
  drop(&p);
  if (n > MOST) return np_reject(c, NEAP_ERR_SHAPE, "the indexed part has %d dimensions, %d are the most", n, MOST);
  if (v) {
    np_layout l;
    np_layout_set(&l, x->at.dtype, n, shape);
    if (np_broadcast(c->ctx, c->op->name, &l, &v->at, &ndim, whole) != 0) return c->ctx->error;
    if (ndim != n || memcmp(whole, shape, (size_t)n * sizeof *shape) != 0) {
      char a[128], s[128];
      np_text t;
      np_text_init(&t, a, sizeof a);
      np_text_shape(&t, n, shape);
      np_shape_text(s, sizeof s, v);
      return np_reject(c, NEAP_ERR_SHAPE, "values %s do not fit the indexed part %s", s, a);
    }
  }
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

int np_index_put_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *v = np_t(c, 2), *one = NULL;
  int add = (int)np_i(c, 3), dtype = add ? np_native_of(y->at.dtype) : y->at.dtype;
  plan p;
  int64_t shape[MOST];
  if (!c->in_place) np_copy(ctx, y, np_t(c, 0));
  if (only_mask(c) && !add && (!v || v->at.ndim == 0)) return fill_by_mask(c, only_mask(c), v);
  if (make_plan(c, &p, 1) != 0) return ctx->error;
  int n = result_shape(&p, &y->at, shape);
  if (!v && (one = v = np_tensor_new(ctx, dtype, 0, NULL))) {
    if (c->arg[2].kind == NEAP_INT) np_put_int(dtype, np_data(v), c->arg[2].i);
    else np_put_number(dtype, np_data(v), c->arg[2].d);
  }
  neap_tensor *list = np_tensor_new(ctx, dtype, n, shape), *table = table_of(ctx, &p, y, dtype);
  if (v && list && table && list->at.count > 0) {
    np_copy(ctx, list, v);
    if (pick(ctx, &p, add ? NP_ADD : NP_PUT, table, list) == 0 && table->storage != y->storage) {
      np_layout l = together(&p, &y->at);
      neap_tensor back = np_window(y, &l);
      np_copy(ctx, &back, table);
    }
  }
  neap_release(table);
  neap_release(list);
  neap_release(one);
  drop(&p);
  return ctx->error;
}

int np_index_put_back(np_back *b) { /* gx = g, with 0 at the indices unless values were added; gvalues = g[indices] */
  neap_context *c = b->ctx;
  int n = b->n_in - 2;
  if (b->in[0].needs) b->gx[0] = b->arg[3].i ? b->g[0] : neap_index_put(c, b->g[0], n, b->x + 1, NP_C(c, 0), 0);
  if (b->in[n + 1].needs) b->gx[n + 1] = neap_index(c, b->g[0], n, b->x + 1);
  return c->error;
}
