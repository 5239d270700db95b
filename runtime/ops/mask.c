/* Masks and triangles: elements chosen by a condition on their value or place. masked_select and nonzero give as many
 * elements as there are true ones; masked_scatter is the way back. one_hot turns labels into rows of zeros with a one. */
#include "loops.h"

static int mask_fits(np_call *c, const neap_tensor *x, const neap_tensor *mask, int both, int *ndim, int64_t *shape) {
  if (mask->at.dtype != NEAP_BOOL)
    return np_reject(c, NEAP_ERR_DTYPE, "mask must be of dtype bool, got %s: compare to get one", np_dtypes[mask->at.dtype].info.name);
  if (np_broadcast(c->ctx, c->op->name, &x->at, &mask->at, ndim, shape) != 0) return c->ctx->error;
  if (both || (*ndim == x->at.ndim && memcmp(shape, x->at.shape, (size_t)*ndim * sizeof *shape) == 0)) return NEAP_OK;
  return np_larger(c, "mask", mask, "x", x);
}

static neap_tensor *expanded(neap_context *c, neap_tensor *t, int ndim, const int64_t *shape, int dtype) { /* contiguous */
  neap_tensor *y;
  if (t->at.ndim == ndim && memcmp(t->at.shape, shape, (size_t)ndim * sizeof *shape) == 0) return np_contiguous_of(c, t, dtype);
  y = np_tensor_new(c, dtype, ndim, shape);
  if (y) np_copy(c, y, t);
  return y;
}

/* ---- masked_fill: x mask value ---- */

int np_masked_fill_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *v = np_t(c, 2);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (mask_fits(c, x, np_t(c, 1), 0, &ndim, shape) != 0) return c->ctx->error;
  if (v && v->at.count != 1)
    return np_reject(c, NEAP_ERR_SHAPE, "value must be one number, got %lld elements: where takes a tensor", (long long)v->at.count);
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_masked_fill_run(np_call *c) {
  neap_tensor *in[3] = { np_t(c, 1), np_t(c, 2), np_t(c, 0) }, flat;
  neap_value v[3] = { { 0 }, c->arg[2], { 0 } };
  if (in[1] && in[1]->at.ndim) {
    np_layout one;
    np_layout_set(&one, in[1]->at.dtype, 0, NULL);
    one.offset = in[1]->at.offset;
    flat = np_window(in[1], &one);
    in[1] = &flat;
  }
  int ctype = np_ctype(in[2]->at.dtype);
  np_map_job job = { .map = c->ctx->kernels->map[ctype][NP_EW_where], .ctype = ctype, .n_in = 3, .in = in, .scalar = v, .out = c->out[0], .poll = !c->in_place };
  return np_map_run(c->ctx, &job);
}
int np_masked_fill_back(np_back *b) { /* gx = g, 0 under the mask; gvalue = sum of g under it */
  neap_context *c = b->ctx;
  if (b->in[0].needs) b->gx[0] = neap_masked_fill(c, b->g[0], b->x[1], NP_C(c, 0));
  if (b->in[2].needs) {
    neap_tensor *g = neap_sum(c, neap_where(c, b->x[1], b->g[0], NP_C(c, 0)), 0, NULL, 0, -1);
    b->gx[2] = neap_reshape(c, g, b->in[2].at.ndim, b->in[2].at.shape);
  }
  return c->error;
}

/* Elements of x, contiguous, taken into a list by their flat positions, or put there. */
static void pick_flat(neap_context *c, int op, neap_tensor *at, neap_tensor *x, neap_tensor *list) {
  np_pick p = { .op = op, .dtype = x->at.dtype, .n = at->at.count, .inner = 1, .unit = 1, .idx = np_data(at), .wide = 1,
    .table = np_data(x), .list = np_data(list) };
  np_pick_run(c, &p);
}

/* ---- masked_select: x mask, and masked_scatter: x mask source ---- */

int np_masked_select_infer(np_call *c) {
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  c->by_run[0] = 1;
  return mask_fits(c, np_t(c, 0), np_t(c, 1), 1, &ndim, shape);
}
int np_masked_select_run(np_call *c) {
  neap_context *ctx = c->ctx;
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (mask_fits(c, np_t(c, 0), np_t(c, 1), 1, &ndim, shape) != 0) return ctx->error;
  neap_tensor *mask = expanded(ctx, np_t(c, 1), ndim, shape, NEAP_BOOL), *x = expanded(ctx, np_t(c, 0), ndim, shape, np_t(c, 0)->at.dtype);
  neap_tensor *at = mask && x ? np_true_positions(ctx, mask) : NULL;
  c->out[0] = at ? np_tensor_new(ctx, x->at.dtype, 1, &at->at.count) : NULL;
  if (c->out[0]) pick_flat(ctx, NP_TAKE, at, x, c->out[0]);
  neap_release(at);
  neap_release(x);
  neap_release(mask);
  return ctx->error;
}
int np_masked_select_back(np_back *b) { /* gx = zeros with g under the mask */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at, *m = &b->in[1].at;
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_broadcast(c, "masked_select", x, m, &ndim, shape) != 0) return c->error;
  b->gx[0] = neap_masked_scatter_(c, neap_zeros(c, ndim, shape, x->dtype), b->x[1], b->g[0]);
  return c->error;
}

int np_masked_scatter_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *source = np_t(c, 2);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS], n;
  if (mask_fits(c, x, np_t(c, 1), 0, &ndim, shape) != 0) return c->ctx->error;
  neap_tensor *mask = expanded(c->ctx, np_t(c, 1), ndim, shape, NEAP_BOOL), *at = mask ? np_true_positions(c->ctx, mask) : NULL;
  n = at ? at->at.count : 0;
  neap_release(at);
  neap_release(mask);
  if (np_failed(c->ctx)) return c->ctx->error;
  if (source->at.count < n)
    return np_reject(c, NEAP_ERR_SHAPE, "source has %lld elements, the mask is true %lld times", (long long)source->at.count, (long long)n);
  return np_spec(c, 0, x->at.dtype, ndim, shape);
}
int np_masked_scatter_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0];
  neap_tensor *mask = expanded(ctx, np_t(c, 1), y->at.ndim, y->at.shape, NEAP_BOOL), *at = mask ? np_true_positions(ctx, mask) : NULL;
  neap_tensor *source = np_contiguous_of(ctx, np_t(c, 2), y->at.dtype);
  if (at && source) {
    if (!c->in_place) np_copy(ctx, y, np_t(c, 0));
    neap_tensor *t = np_contiguous_of(ctx, y, y->at.dtype);
    if (t) pick_flat(ctx, NP_PUT, at, t, source);
    if (t && t != y) np_copy(ctx, y, t);
    neap_release(t);
  }
  neap_release(source);
  neap_release(at);
  neap_release(mask);
  return ctx->error;
}
int np_masked_scatter_back(np_back *b) { /* gx = g, 0 under the mask; gsource = g under it, zeros for what was not used */
  neap_context *c = b->ctx;
  if (b->in[0].needs) b->gx[0] = neap_masked_fill(c, b->g[0], b->x[1], NP_C(c, 0));
  if (b->in[2].needs) {
    const np_layout *s = &b->in[2].at;
    neap_tensor *g = neap_masked_select(c, b->g[0], b->x[1]);
    if (g && g->at.count != s->count) g = neap_place(c, g, 1, &s->count, 0, 0, 1);
    b->gx[2] = g ? neap_reshape(c, g, s->ndim, s->shape) : NULL;
  }
  return c->error;
}

/* ---- nonzero: positions of what is not 0, one row each ---- */

int np_nonzero_infer(np_call *c) {
  c->by_run[0] = 1;
  return NEAP_OK;
}
typedef struct placing { /* flat positions to rows of positions by dimension */
  const np_layout *x;
  const int64_t *flat;
  int64_t *to, n, base;
} placing;

static void place_task(void *arg, int64_t task) {
  const placing *p = arg;
  int n = p->x->ndim;
  int64_t last = np_min(p->n, (task + 1) * NP_GRAIN), size = p->x->shape[n - 1], end = 0, at[NEAP_MAX_DIMS] = { 0 };
  for (int64_t i = task * NP_GRAIN; i < last; i++) {
    int64_t flat = p->flat[i], *to = p->to + i * n;
    if (flat >= end) { /* another row: its place is worked out once */
      int64_t rest = flat / size;
      end = (rest + 1) * size;
      for (int d = n - 2; d >= 0; d--) {
        at[d] = rest % p->x->shape[d] + p->base;
        rest /= p->x->shape[d];
      }
    }
    for (int d = 0; d < n - 1; d++) to[d] = at[d];
    to[n - 1] = flat - (end - size) + p->base;
  }
}

int np_nonzero_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *at = np_true_positions(c->ctx, x);
  if (!at) return c->ctx->error;
  int64_t shape[2] = { at->at.count, x->at.ndim };
  c->out[0] = np_tensor_new(c->ctx, NEAP_I64, 2, shape);
  if (c->out[0] && c->out[0]->at.count > 0) {
    placing p = { .x = &x->at, .flat = (const int64_t *)np_data(at), .to = (int64_t *)np_data(c->out[0]), .n = shape[0], .base = c->ctx->site.base };
    np_parallel(c->ctx, np_blocks(p.n, NP_GRAIN), (double)p.n * (double)shape[1], place_task, &p);
  }
  neap_release(at);
  return c->ctx->error;
}

/* ---- tril, triu: x diagonal ---- */

typedef struct triangle {
  neap_context *c;
  neap_tensor *y;
  int64_t rows, m, n, diagonal, per_task;
  int lower;
} triangle;

static void triangle_task(void *arg, int64_t task) {
  const triangle *t = arg;
  const np_layout *l = &t->y->at;
  const int64_t zero = 0, last = np_min((task + 1) * t->per_task, t->rows), size = np_size_of(l->dtype);
  for (int64_t r = task * t->per_task; r < last; r++) {
    int64_t rest = r, offset = 0, i = r % t->m;
    for (int d = l->ndim - 2; d >= 0; d--) {
      offset += rest % l->shape[d] * l->stride[d];
      rest /= l->shape[d];
    }
    int64_t edge = np_max(0, np_min(t->n, i + t->diagonal + t->lower)), from = t->lower ? edge : 0, to = t->lower ? t->n : edge;
    int64_t stride = l->stride[l->ndim - 1];
    t->c->kernels->fill((int)size, to - from, &zero, np_data(t->y) + (offset + from * stride) * size, stride);
  }
}

int np_tril_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  if (x->at.ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "x must have 2 dimensions or more, got %d", x->at.ndim);
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
static int cut_triangle(np_call *c, int lower) {
  neap_tensor *y = c->out[0];
  if (!c->in_place) np_copy(c->ctx, y, np_t(c, 0));
  if (y->at.count == 0) return NEAP_OK;
  triangle t = { .c = c->ctx, .y = y, .m = y->at.shape[y->at.ndim - 2], .n = y->at.shape[y->at.ndim - 1], .lower = lower };
  t.diagonal = np_max(-t.m - 1, np_min(t.n + 1, np_i(c, 1)));
  t.rows = y->at.count / t.n;
  t.per_task = np_max(1, NP_GRAIN / t.n);
  np_parallel(c->ctx, np_blocks(t.rows, t.per_task), (double)y->at.count * 0.1, triangle_task, &t);
  return NEAP_OK;
}
int np_tril_run(np_call *c) { return cut_triangle(c, 1); }
int np_triu_run(np_call *c) { return cut_triangle(c, 0); }
int np_tril_back(np_back *b) { /* gx = the same triangle of g */
  b->gx[0] = neap_tril(b->ctx, b->g[0], b->arg[1].i);
  return b->ctx->error;
}
int np_triu_back(np_back *b) {
  b->gx[0] = neap_triu(b->ctx, b->g[0], b->arg[1].i);
  return b->ctx->error;
}

/* ---- one_hot: x num_classes ---- */

int np_one_hot_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int64_t n = np_i(c, 1), shape[NEAP_MAX_DIMS + 1];
  char why[96];
  np_text t;
  np_text_init(&t, why, sizeof why);
  if (!np_given(c, 1)) {
    n = 0;
    if (np_is_int(x->at.dtype))
      for (int64_t i = 0; i < x->at.count; i++) { /* a class for the largest label */
        int64_t at = 0, rest = i;
        for (int d = x->at.ndim - 1; d >= 0; d--) at += rest % x->at.shape[d] * x->at.stride[d], rest /= x->at.shape[d];
        n = np_max(n, np_get_int(x->at.dtype, np_data(x) + at * np_size_of(x->at.dtype)) + 1 - c->ctx->site.base);
      }
    if (x->at.count > 0) n = np_max(n, 1);
  } else if (n < 0) {
    return np_reject(c, NEAP_ERR_ARGUMENT, "num_classes is %lld, it must be at least 0", (long long)n);
  }
  np_text_add(&t, "there are %lld classes", (long long)n);
  if (np_positions_check(c, "x", x, n, why, 0, NULL) != 0) return c->ctx->error;
  memcpy(shape, x->at.shape, (size_t)x->at.ndim * sizeof *shape);
  shape[x->at.ndim] = n;
  return np_spec(c, 0, NEAP_I64, x->at.ndim + 1, shape);
}
int np_one_hot_run(np_call *c) {
  np_positions at;
  neap_tensor *y = c->out[0];
  int64_t n = y->at.ndim ? y->at.shape[y->at.ndim - 1] : 0, *p = (int64_t *)np_data(y);
  np_zero(c->ctx, y);
  if (np_positions_get(c->ctx, np_t(c, 0), &at) != 0) return c->ctx->error;
  for (int64_t i = 0; i < at.n; i++) p[i * n + np_position(&at, i) - c->ctx->site.base] = 1;
  neap_release(at.t);
  return NEAP_OK;
}
