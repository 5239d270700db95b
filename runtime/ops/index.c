/* Reading and writing along one dimension by lists of positions. index_select and embedding take whole rows, index_add
 * adds them; gather and scatter take and put single elements, each with a position of its own. Positions count from the
 * caller's base and are checked before anything is written. */
#include "loops.h"

static int check_dim(np_call *c, int arg, int *d) { return np_axis(c, np_i(c, arg), np_t(c, 0)->at.ndim, d); }

static int64_t dim_of(const np_back *b, int arg, const np_layout *x) { return b->arg[arg].i < 0 ? b->arg[arg].i + (x->ndim ? x->ndim : 1) : b->arg[arg].i; }

static int check_positions(np_call *c, const char *name, neap_tensor *index, int d) {
  neap_tensor *x = np_t(c, 0);
  char why[96];
  np_dim_text(why, sizeof why, c, d, c->sig->param[0].name, x);
  return np_positions_check(c, name, index, x->at.ndim ? x->at.shape[d] : 1, why, 0, NULL);
}

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
  if (check_dim(c, 1, &d) != 0) return c->ctx->error;
  if (index->at.ndim > 1) return np_reject(c, NEAP_ERR_SHAPE, "index must have 1 dimension, got %d: gather takes more", index->at.ndim);
  if (check_positions(c, "index", index, d) != 0) return c->ctx->error;
  memcpy(shape, x->at.shape, sizeof shape);
  if (x->at.ndim) shape[d] = index->at.count;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, shape);
}
int np_index_select_run(np_call *c) { return take(c->ctx, np_t(c, 0), (int)c->room[0], np_t(c, 2), c->out[0]); }
int np_index_select_back(np_back *b) { /* gx = zeros, then gx[index] += g */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  b->gx[0] = neap_index_add_(c, np_zeros_like(c, x), dim_of(b, 1, x), b->x[1], b->g[0], 1);
  return c->error;
}

/* embedding: input weight padding_idx */
int np_embedding_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  int64_t shape[NEAP_MAX_DIMS + 1], pad = np_i(c, 2);
  if (np_dtypes[w->at.dtype].category < 2 && np_is_float(x->at.dtype))
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
int np_embedding_run(np_call *c) { return take(c->ctx, np_t(c, 1), 0, np_t(c, 0), c->out[0]); }
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
  b->gx[1] = neap_index_add_(c, np_zeros_like(c, w), 0, at, g, 1);
  return c->error;
}

/* index_add: x dim index source alpha */
int np_index_add_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2), *source = np_t(c, 3);
  int d;
  if (check_dim(c, 1, &d) != 0) return c->ctx->error;
  if (index->at.ndim > 1) return np_reject(c, NEAP_ERR_SHAPE, "index must have 1 dimension, got %d", index->at.ndim);
  int fits = source->at.ndim == x->at.ndim;
  for (int i = 0; fits && i < x->at.ndim; i++) fits = source->at.shape[i] == (i == d ? index->at.count : x->at.shape[i]);
  if (!fits) {
    char a[128], s[128];
    np_shape_text(a, sizeof a, x);
    np_shape_text(s, sizeof s, source);
    return np_reject(c, NEAP_ERR_SHAPE, "source %s does not fit: it must be as x %s, with %lld in dimension %lld", s, a, (long long)index->at.count, NP_DIM(c, d));
  }
  if (check_positions(c, "index", index, d) != 0) return c->ctx->error;
  c->room[0] = d;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

/* y as a contiguous tensor of its compute type that may be added to, and back. */
static neap_tensor *summing(neap_context *c, neap_tensor *y) { return np_contiguous_of(c, y, np_native_of(y->at.dtype)); }
static void summed(neap_context *c, neap_tensor *y, neap_tensor *t) {
  if (t && t != y) np_copy(c, y, t);
  neap_release(t);
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
  neap_tensor *t = summing(ctx, y), *source = scaled(ctx, np_t(c, 3), np_d(c, 4), np_native_of(y->at.dtype));
  if (t && source && np_positions_get(ctx, np_t(c, 2), &at) == 0) {
    np_pick p = { .op = NP_ADD, .n = at.n, .idx = at.at, .wide = at.wide, .base = ctx->site.base, .list = np_data(source) };
    picks(&p, t, (int)c->room[0]);
    np_pick_run(ctx, &p);
  }
  summed(ctx, y, t);
  neap_release(source);
  neap_release(at.t);
  return ctx->error;
}
int np_index_add_back(np_back *b) { /* gx = g, gsource = alpha g[index] */
  neap_context *c = b->ctx;
  if (b->in[0].needs) b->gx[0] = b->g[0];
  if (b->in[2].needs) {
    neap_tensor *g = neap_index_select(c, b->g[0], dim_of(b, 1, &b->in[0].at), b->x[1]);
    b->gx[2] = b->arg[4].d == 1 ? g : neap_mul(c, g, NP_C(c, b->arg[4].d));
  }
  return c->error;
}

/* ---- single elements: index has as many dimensions as x ---- */

static int check_elements(np_call *c, int *d) {
  neap_tensor *x = np_t(c, 0), *index = np_t(c, 2);
  int i = 0;
  if (check_dim(c, 1, d) != 0) return c->ctx->error;
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
  return check_positions(c, "index", index, *d);
}

typedef struct elements { /* rows along the dimension d of index; positions lie (other dimensions, d) */
  neap_context *c;
  int size, ctype, wide, ndim, add;
  int64_t n, base, rows, per_task;
  const char *idx;
  const char *src;
  char *dst;
  int64_t shape[NEAP_MAX_DIMS], src_step[NEAP_MAX_DIMS], dst_step[NEAP_MAX_DIMS], src_stride, dst_stride;
  int put;
} elements;

static void element_task(void *arg, int64_t task) {
  const elements *e = arg;
  const np_index *k = e->c->kernels->index;
  int64_t last = np_min((task + 1) * e->per_task, e->rows);
  for (int64_t r = task * e->per_task; r < last; r++) {
    int64_t rest = r, from = 0, to = 0;
    for (int d = e->ndim - 1; d >= 0; d--) {
      from += rest % e->shape[d] * e->src_step[d];
      to += rest % e->shape[d] * e->dst_step[d];
      rest /= e->shape[d];
    }
    const char *idx = e->idx + r * e->n * (e->wide ? 8 : 4), *src = e->src + from * e->size;
    char *dst = e->dst + to * e->size;
    if (e->add) k->scatter_add[e->ctype](e->n, idx, e->wide, e->base, src, e->src_stride, dst, e->dst_stride);
    else if (e->put) k->scatter(e->size, e->n, idx, e->wide, e->base, src, e->src_stride, dst, e->dst_stride);
    else k->gather(e->size, e->n, idx, e->wide, e->base, src, e->src_stride, dst, e->dst_stride);
  }
}

/* src NULL in layout terms: one value for all, with strides 0. */
static int run_elements(neap_context *c, neap_tensor *index, int d, const np_layout *src, const char *src_data, neap_tensor *dst, int put, int add) {
  np_positions at;
  uint32_t last = index->at.ndim ? 1u << d : 0;
  neap_tensor *turned = np_permuted(c, index, last, index->at.dtype == NEAP_I32 ? NEAP_I32 : NEAP_I64);
  if (!turned || np_positions_get(c, turned, &at) != 0) return c->error;
  elements e = { .c = c, .size = (int)np_size_of(dst->at.dtype), .ctype = np_ctype(dst->at.dtype), .wide = at.wide, .put = put, .add = add,
    .n = index->at.ndim ? index->at.shape[d] : 1, .base = c->site.base, .idx = at.at, .src = src_data, .dst = np_data(dst) };
  for (int i = 0; i < index->at.ndim; i++) {
    if (i == d) continue;
    e.shape[e.ndim] = index->at.shape[i];
    e.src_step[e.ndim] = src ? src->stride[i] : 0;
    e.dst_step[e.ndim++] = dst->at.stride[i];
  }
  e.src_stride = src && index->at.ndim ? src->stride[d] : 0;
  e.dst_stride = index->at.ndim ? dst->at.stride[d] : 0;
  e.rows = e.n ? at.n / e.n : 0;
  e.per_task = np_max(1, NP_GRAIN / np_max(e.n, 1));
  np_parallel(c, np_blocks(e.rows, e.per_task), (double)at.n * 2, element_task, &e);
  neap_release(at.t);
  neap_release(turned);
  return c->error;
}

int np_gather_infer(np_call *c) {
  int d;
  if (check_elements(c, &d) != 0) return c->ctx->error;
  return np_spec(c, 0, np_t(c, 0)->at.dtype, np_t(c, 2)->at.ndim, np_t(c, 2)->at.shape);
}
int np_gather_run(np_call *c) {
  return run_elements(c->ctx, np_t(c, 2), (int)c->room[0], &np_t(c, 0)->at, np_data(np_t(c, 0)), c->out[0], 0, 0);
}
int np_gather_back(np_back *b) { /* gx = zeros, then gx[index] += g */
  neap_context *c = b->ctx;
  b->gx[0] = neap_scatter_add_(c, np_zeros_like(c, &b->in[0].at), dim_of(b, 1, &b->in[0].at), b->x[1], b->g[0]);
  return c->error;
}

/* scatter: x dim index src (a tensor at least as large as index, or one value) */
static int one_value(const np_call *c) { return !np_t(c, 3) || (np_t(c, 3)->at.ndim == 0 && np_t(c, 2)->at.ndim > 0); }

int np_scatter_infer(np_call *c) {
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
int np_scatter_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *src = np_t(c, 3);
  if (!c->in_place) np_copy(ctx, y, np_t(c, 0));
  if (one_value(c)) {
    char element[8];
    const neap_value *v = &c->arg[3];
    if (src) {
      neap_tensor *one = np_contiguous_of(ctx, src, y->at.dtype);
      if (!one) return ctx->error;
      memcpy(element, np_data(one), (size_t)np_size_of(y->at.dtype));
      neap_release(one);
    } else if (v->kind == NEAP_INT) np_put_int(y->at.dtype, element, v->i);
    else np_put_number(y->at.dtype, element, v->d);
    return run_elements(ctx, np_t(c, 2), (int)c->room[0], NULL, element, y, 1, 0);
  }
  src = src->at.dtype == y->at.dtype ? neap_retain(src) : np_contiguous_of(ctx, src, y->at.dtype);
  if (src) run_elements(ctx, np_t(c, 2), (int)c->room[0], &src->at, np_data(src), y, 1, 0);
  neap_release(src);
  return ctx->error;
}

/* g in a larger shape, zeros around it */
static neap_tensor *grown(neap_context *c, neap_tensor *g, const np_layout *at) {
  for (int i = 0; g && i < at->ndim; i++) {
    if (g->at.shape[i] == at->shape[i]) continue;
    int64_t shape[NEAP_MAX_DIMS];
    memcpy(shape, g->at.shape, sizeof shape);
    shape[i] = at->shape[i];
    g = neap_place(c, g, at->ndim, shape, i, 0, 1);
  }
  return g;
}

int np_scatter_back(np_back *b) { /* gx = g, 0 at index; gsrc = g[index] */
  neap_context *c = b->ctx;
  int64_t d = dim_of(b, 1, &b->in[0].at);
  if (b->in[0].needs) b->gx[0] = neap_scatter(c, b->g[0], d, b->x[1], NP_C(c, 0));
  if (b->in[2].needs) {
    neap_tensor *g = neap_gather(c, b->g[0], d, b->x[1]);
    b->gx[2] = b->in[2].at.ndim == 0 && b->in[1].at.ndim > 0 ? neap_sum(c, g, 0, NULL, 0, -1) : grown(c, g, &b->in[2].at);
  }
  return c->error;
}

int np_scatter_add_run(np_call *c) { /* x dim index src */
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *src = np_t(c, 3);
  if (!c->in_place) np_copy(ctx, y, np_t(c, 0));
  neap_tensor *t = summing(ctx, y);
  src = t && src->at.dtype == t->at.dtype ? neap_retain(src) : np_contiguous_of(ctx, src, np_native_of(y->at.dtype));
  if (t && src) run_elements(ctx, np_t(c, 2), (int)c->room[0], &src->at, np_data(src), t, 1, 1);
  summed(ctx, y, t);
  neap_release(src);
  return ctx->error;
}
int np_scatter_add_infer(np_call *c) {
  if (np_scatter_infer(c) != 0) return c->ctx->error;
  if (one_value(c)) return np_reject(c, NEAP_ERR_SHAPE, "src must have as many dimensions as index");
  return NEAP_OK;
}
int np_scatter_add_back(np_back *b) { /* gx = g, gsrc = g[index] */
  neap_context *c = b->ctx;
  if (b->in[0].needs) b->gx[0] = b->g[0];
  if (b->in[2].needs) b->gx[2] = grown(c, neap_gather(c, b->g[0], dim_of(b, 1, &b->in[0].at), b->x[1]), &b->in[2].at);
  return c->error;
}
