/* Whole rows of one dimension by lists of positions: index_select and embedding take them, index_add adds to them,
 * index_copy and index_fill write them. Positions count from the caller's base and are checked before anything is
 * written; where one comes twice, sums are added in the order of the list and the last row written stays. */
#include "bag.h"

/* ---- rows: x seen as (outer, positions, inner) ---- */

static int is_dense(const np_layout *l, int from) { /* dimensions from `from` on lie row-major without gaps */
  int64_t step = 1;
  for (int i = l->ndim - 1; i >= from; i--) {
    if (l->shape[i] != 1 && l->stride[i] != step) return 0;
    step *= l->shape[i];
  }
  return 1;
}

static void picks(np_pick *p, neap_tensor *table, int d) {
  const np_layout *l = &table->at;
  p->dtype = l->dtype;
  p->inner = 1;
  for (int i = d + 1; i < l->ndim; i++) p->inner *= l->shape[i];
  p->unit = l->ndim ? l->stride[d] : 1;
  p->n_outer = l->ndim ? d : 0;
  for (int i = 0; i < p->n_outer; i++) p->shape[i] = l->shape[i], p->step[i] = l->stride[i];
  p->table = np_data(table);
}

static int take(neap_context *c, neap_tensor *x, int d, neap_tensor *index, neap_tensor *y) {
  np_positions at;
  if (np_positions_get(c, index, &at) != 0) return c->error;
  x = is_dense(&x->at, d + 1) ? neap_retain(x) : np_contiguous_of(c, x, x->at.dtype);
  if (x) {
    np_pick p = { .op = NP_TAKE, .n = at.n, .idx = at.at, .wide = at.wide, .base = c->site.base, .list = np_data(y) };
    picks(&p, x, d);
    np_pick_run(c, &p);
  }
  neap_release(x);
  neap_release(at.t);
  return c->error;
}

/* index_select: x dim index */
int np_index_select_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2);
  int d;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_axis(c, np_i(c, 1), np_t(c, 0)->at.ndim, &d) != 0) return c->ctx->error;
  if (index->at.ndim > 1) return np_reject(c, NEAP_ERR_SHAPE, "index must have 1 dimension, got %d: gather takes more", index->at.ndim);
  if (np_positions_along(c, "index", index, d) != 0) return c->ctx->error;
  memcpy(shape, x->at.shape, sizeof shape);
  if (x->at.ndim) shape[d] = index->at.count;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, shape);
}
int np_index_select_run(np_call *c) { return take(c->ctx, np_t(c, 0), (int)c->room[0], np_t(c, 2), c->out[0]); }
int np_index_select_back(np_back *b) { /* gx = zeros, then gx[index] += g */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  b->gx[0] = neap_index_add_(c, np_zeros_like(c, x), np_back_axis(b, 1, x), b->x[1], b->g[0], 1);
  return c->error;
}

/* embedding: input weight padding_idx max_norm norm_type scale_grad_by_freq */
int np_embedding_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  int64_t shape[NEAP_MAX_DIMS + 1], pad = np_i(c, 2);
  if (!np_is_float(w->at.dtype) && np_is_float(x->at.dtype))
    return np_reject(c, NEAP_ERR_DTYPE, "input holds %s and weight %s: the positions come first", np_dtypes[x->at.dtype].info.name, np_dtypes[w->at.dtype].info.name);
  if (w->at.ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "weight must have 2 dimensions, (entries, size), got %d", w->at.ndim);
  if (np_given(c, 2) && (pad < -w->at.shape[0] || pad >= w->at.shape[0]))
    return np_reject(c, NEAP_ERR_INDEX, "padding_idx is %lld, weight has %lld entries", pad < 0 ? (long long)pad : NP_DIM(c, pad), (long long)w->at.shape[0]);
  char why[96];
  np_dim_text(why, sizeof why, c, 0, "weight", w);
  if (np_positions_check(c, "input", x, w->at.shape[0], why, 0, NULL) != 0) return c->ctx->error;
  memcpy(shape, x->at.shape, (size_t)x->at.ndim * sizeof *shape);
  shape[x->at.ndim] = w->at.shape[1];
  return np_spec(c, 0, w->at.dtype, x->at.ndim + 1, shape);
}
int np_embedding_run(np_call *c) {
  if (np_given(c, 3) && np_embedding_renorm(c, np_t(c, 0), np_t(c, 1), np_d(c, 3), np_d(c, 4)) != 0) return c->ctx->error;
  return take(c->ctx, np_t(c, 1), 0, np_t(c, 0), c->out[0]);
}
int np_embedding_back(np_back *b) { /* gw[input] += g, but not for the entry of padding_idx */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at, *w = &b->in[1].at;
  neap_tensor *g = neap_reshape(c, b->g[0], 2, (int64_t[]){ x->count, w->shape[1] }), *at = neap_reshape(c, b->x[0], 1, &x->count);
  if (b->arg[2].kind != NEAP_NONE) {
    int64_t pad = (b->arg[2].i < 0 ? b->arg[2].i + w->shape[0] : b->arg[2].i) + c->site.base;
    neap_tensor *v = np_tensor_new(c, NEAP_I64, 0, NULL);
    if (!v) return c->error;
    *(int64_t *)np_data(v) = pad;
    g = neap_mul(c, g, neap_unsqueeze(c, neap_ne(c, at, v), 1));
  }
  if (b->arg[5].i) g = neap_mul(c, g, neap_unsqueeze(c, np_index_shares(c, at, w->shape[0], w->dtype), 1));
  b->gx[1] = neap_index_add_(c, np_zeros_like(c, w), 0, at, g, 1);
  return c->error;
}

/* index_add: x dim index source alpha */
int np_index_add_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2), *source = np_t(c, 3);
  int d;
  if (np_axis(c, np_i(c, 1), np_t(c, 0)->at.ndim, &d) != 0) return c->ctx->error;
  if (index->at.ndim > 1) return np_reject(c, NEAP_ERR_SHAPE, "index must have 1 dimension, got %d", index->at.ndim);
  int fits = source->at.ndim == x->at.ndim;
  for (int i = 0; fits && i < x->at.ndim; i++) fits = source->at.shape[i] == (i == d ? index->at.count : x->at.shape[i]);
  if (!fits) {
    char a[128], s[128];
    np_shape_text(a, sizeof a, x);
    np_shape_text(s, sizeof s, source);
    return np_reject(c, NEAP_ERR_SHAPE, "source %s does not fit: it must be as x %s, with %lld in dimension %lld", s, a, (long long)index->at.count, NP_DIM(c, d));
  }
  if (np_positions_along(c, "index", index, d) != 0) return c->ctx->error;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

static neap_tensor *scaled(neap_context *c, neap_tensor *x, double alpha, int native) { /* contiguous, in the compute type */
  if (alpha == 1) return np_contiguous_of(c, x, native);
  neap_tensor *y = np_tensor_like(x, native), *in[2] = { x, NULL };
  neap_value v[2] = { { 0 }, { .kind = NEAP_NUMBER, .d = alpha } };
  int ctype = np_ctype(native);
  np_map_job job = { .map = c->kernels->map[ctype][NP_EW_mul], .ctype = ctype, .n_in = 2, .in = in, .scalar = v, .out = y };
  if (y) np_map_run(c, &job);
  return y;
}

int np_index_add_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *x = np_t(c, 0);
  np_positions at = { .t = NULL };
  if (!c->in_place) np_copy(ctx, y, x);
  neap_tensor *t = np_summing(ctx, y), *source = scaled(ctx, np_t(c, 3), np_d(c, 4), np_native_of(y->at.dtype));
  if (t && source && np_positions_get(ctx, np_t(c, 2), &at) == 0) {
    np_pick p = { .op = NP_ADD, .n = at.n, .idx = at.at, .wide = at.wide, .base = ctx->site.base, .list = np_data(source) };
    picks(&p, t, (int)c->room[0]);
    np_pick_run(ctx, &p);
  }
  np_deliver(ctx, y, t);
  neap_release(source);
  neap_release(at.t);
  return ctx->error;
}
int np_index_add_back(np_back *b) { /* gx = g, gsource = alpha g[index] */
  neap_context *c = b->ctx;
  if (b->in[0].needs) b->gx[0] = b->g[0];
  if (b->in[2].needs) {
    neap_tensor *g = neap_index_select(c, b->g[0], np_back_axis(b, 1, &b->in[0].at), b->x[1]);
    b->gx[2] = b->arg[4].d == 1 ? g : neap_mul(c, g, NP_C(c, b->arg[4].d));
  }
  return c->error;
}

/* ---- index_copy: x dim index source; index_fill: x dim index value ---- */

int np_index_copy_infer(np_call *c) {
  c->arg[4] = (neap_value){ .kind = NEAP_NUMBER, .d = 1 };
  return np_index_add_infer(c);
}

/* y's positions of index along dimension room[0] = list, contiguous and of y's dtype. */
static int put_rows(np_call *c, neap_tensor *list) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *t = np_contiguous_of(ctx, y, y->at.dtype);
  np_positions at = { .t = NULL };
  if (t && list && np_positions_get(ctx, np_t(c, 2), &at) == 0) {
    np_pick p = { .op = NP_PUT, .n = at.n, .idx = at.at, .wide = at.wide, .base = ctx->site.base, .list = np_data(list) };
    picks(&p, t, (int)c->room[0]);
    np_pick_run(ctx, &p);
  }
  np_deliver(ctx, y, t);
  neap_release(at.t);
  return ctx->error;
}

int np_index_copy_run(np_call *c) {
  if (!c->in_place) np_copy(c->ctx, c->out[0], np_t(c, 0));
  neap_tensor *list = np_contiguous_of(c->ctx, np_t(c, 3), c->out[0]->at.dtype);
  put_rows(c, list);
  neap_release(list);
  return c->ctx->error;
}
int np_index_copy_back(np_back *b) { /* gx = g, 0 at index; gsource = g[index] */
  neap_context *c = b->ctx;
  int64_t d = np_back_axis(b, 1, &b->in[0].at);
  if (b->in[0].needs) b->gx[0] = neap_index_fill(c, b->g[0], d, b->x[1], NP_C(c, 0));
  if (b->in[2].needs) b->gx[2] = neap_index_select(c, b->g[0], d, b->x[1]);
  return c->error;
}

int np_index_fill_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2), *v = np_t(c, 3);
  int d;
  if (np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  if (index->at.ndim > 1) return np_reject(c, NEAP_ERR_SHAPE, "index must have 1 dimension, got %d", index->at.ndim);
  if (v && v->at.ndim > 0) return np_reject(c, NEAP_ERR_SHAPE, "value must be one number, got %d dimensions: index_copy takes a tensor", v->at.ndim);
  if (np_positions_along(c, "index", index, d) != 0) return c->ctx->error;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_index_fill_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *v = np_t(c, 3), *list;
  int64_t shape[NEAP_MAX_DIMS];
  if (!c->in_place) np_copy(ctx, y, np_t(c, 0));
  memcpy(shape, y->at.shape, sizeof shape);
  if (y->at.ndim) shape[c->room[0]] = np_t(c, 2)->at.count;
  neap_tensor *one = v ? neap_retain(v) : np_tensor_new(ctx, y->at.dtype, 0, NULL);
  if (one && !v) {
    if (c->arg[3].kind == NEAP_INT) np_put_int(y->at.dtype, np_data(one), np_i(c, 3));
    else np_put_number(y->at.dtype, np_data(one), np_d(c, 3));
  }
  list = one ? np_tensor_new(ctx, y->at.dtype, y->at.ndim, shape) : NULL;
  if (list) np_copy(ctx, list, one);
  put_rows(c, list);
  neap_release(list);
  neap_release(one);
  return ctx->error;
}
int np_index_fill_back(np_back *b) { /* gx = g, 0 at index; gvalue = the sum of what is then missing */
  neap_context *c = b->ctx;
  neap_tensor *rest = neap_index_fill(c, b->g[0], np_back_axis(b, 1, &b->in[0].at), b->x[1], NP_C(c, 0));
  b->gx[0] = rest;
  if (b->in[2].needs) b->gx[2] = neap_sum(c, neap_sub(c, b->g[0], rest), 0, NULL, 0, -1);
  return c->error;
}

/* ---- take: x index ---- */

static int check_long_row(np_call *c) { /* index holds positions of x taken as one long row */
  neap_tensor *x = np_t(c, 0);
  char why[96];
  np_text t;
  np_text_init(&t, why, sizeof why);
  np_text_add(&t, "x has %lld elements", (long long)x->at.count);
  return np_positions_check(c, "index", np_t(c, 1), x->at.count, why, 1, NULL);
}

int np_take_run(np_call *c) {
  neap_tensor *index = np_t(c, 1);
  if (check_long_row(c) != 0) return c->ctx->error;
  c->out[0] = neap_index(c->ctx, neap_ravel(c->ctx, np_t(c, 0)), 1, &index);
  return c->ctx->error;
}

/* ---- put: x index source accumulate ---- */

int np_put_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 1), *source = np_t(c, 2);
  int adds = (int)np_i(c, 3);
  if (source->at.count != index->at.count)
    return np_reject(c, NEAP_ERR_SHAPE, "source has %lld elements, index %lld: there must be as many", (long long)source->at.count,
                     (long long)index->at.count);
  if (check_long_row(c) != 0) return ctx->error;
  source = neap_reshape(ctx, source, index->at.ndim, index->at.shape);
  if (c->in_place && np_contiguous(x)) {
    neap_index_put_(ctx, neap_view(ctx, x, 1, &x->at.count), 1, &index, source, adds);
    c->out[0] = neap_retain(x);
    return ctx->error;
  }
  neap_tensor *y = neap_index_put(ctx, neap_ravel(ctx, x), 1, &index, source, adds);
  y = neap_reshape(ctx, y, x->at.ndim, x->at.shape);
  c->out[0] = c->in_place ? neap_copy_(ctx, x, y) : y;
  return ctx->error;
}

/* ---- index_reduce: x dim index source reduce include_self; scatter_reduce with index seen in source's shape ---- */

int np_index_reduce_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2), *source = np_t(c, 3);
  int64_t shape[NEAP_MAX_DIMS];
  if (np_index_add_infer(c) != 0) return ctx->error;
  for (int i = 0; i < x->at.ndim; i++) shape[i] = i == c->room[0] ? index->at.count : 1;
  index = neap_expand(ctx, neap_reshape(ctx, index, x->at.ndim, shape), source->at.ndim, source->at.shape);
  c->out[0] = (c->in_place ? neap_scatter_reduce_ : neap_scatter_reduce)(ctx, x, np_i(c, 1), index, source, (int)np_i(c, 4), (int)np_i(c, 5));
  return ctx->error;
}
