/* The same elements in other places: rolled round, turned over, repeated. Each is a handful of strided copies between
 * windows, negative strides included, so the loops are those of np_copy. Gradients move back the same way; where an
 * element was repeated its gradients add up. */
#include "loops.h"

/* ---- roll: x shifts dims ---- */

/* The shift of each dimension of x in room[], as 0 .. size - 1. */
static int shifts_by_dim(np_call *c, int ndim, const int64_t *shape) {
  const neap_value *shifts = &c->arg[1], *dims = &c->arg[2];
  memset(c->room, 0, sizeof c->room);
  for (int i = 0; i < dims->n; i++) {
    int d;
    if (np_axis(c, dims->is[i], ndim, &d) != 0) return c->ctx->error;
    int64_t size = ndim ? shape[d] : 1;
    if (size > 0) c->room[d] = (c->room[d] + shifts->is[i] % size + size) % size;
  }
  return NEAP_OK;
}

int np_roll_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  const neap_value *shifts = &c->arg[1], *dims = &c->arg[2];
  if (!np_given(c, 2) || dims->n == 0) {
    if (shifts->n != 1) return np_reject(c, NEAP_ERR_ARGUMENT, "without dims there is one shift, got %d", shifts->n);
    memset(c->room, 0, sizeof c->room);
    if (x->count > 0) c->room[0] = (shifts->is[0] % x->count + x->count) % x->count;
  } else {
    if (shifts->n != dims->n)
      return np_reject(c, NEAP_ERR_ARGUMENT, "%d shifts and %d dims: there must be as many", shifts->n, dims->n);
    if (shifts_by_dim(c, x->ndim, x->shape) != 0) return c->ctx->error;
  }
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}

static void roll(const np_call *c, neap_tensor *y, const np_layout *to, neap_tensor *x, const np_layout *from, int d) {
  while (d < to->ndim && c->room[d] == 0) d++;
  if (d == to->ndim) {
    neap_tensor a = np_window(y, to), b = np_window(x, from);
    np_copy(c->ctx, &a, &b);
    return;
  }
  int64_t s = c->room[d], n = to->shape[d];
  np_layout high_to = np_layout_cut(to, d, s, n - s, 1), high_from = np_layout_cut(from, d, 0, n - s, 1);
  np_layout low_to = np_layout_cut(to, d, 0, s, 1), low_from = np_layout_cut(from, d, n - s, s, 1);
  roll(c, y, &high_to, x, &high_from, d + 1);
  roll(c, y, &low_to, x, &low_from, d + 1);
}

int np_roll_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *y = c->out[0];
  if (x->at.count == 0) return NEAP_OK;
  if (np_given(c, 2) && c->arg[2].n > 0) {
    roll(c, y, &y->at, x, &x->at, 0);
    return NEAP_OK;
  }
  neap_tensor *row = np_contiguous_of(c->ctx, x, x->at.dtype);
  if (!row) return c->ctx->error;
  np_layout to, from;
  np_layout_set(&to, x->at.dtype, 1, &x->at.count);
  from = to;
  to.offset = y->at.offset, from.offset = row->at.offset;
  roll(c, y, &to, row, &from, 0);
  neap_release(row);
  return c->ctx->error;
}

int np_roll_back(np_back *b) { /* the other way round */
  const neap_value *shifts = &b->arg[1], *dims = &b->arg[2];
  int64_t few[NEAP_MAX_DIMS], *back = shifts->n <= NEAP_MAX_DIMS ? few : np_alloc(b->ctx, (size_t)shifts->n * sizeof *back);
  if (!back) return b->ctx->error;
  for (int i = 0; i < shifts->n; i++) back[i] = -shifts->is[i];
  b->gx[0] = neap_roll(b->ctx, b->g[0], shifts->n, back, dims->kind == NEAP_NONE ? 0 : dims->n, dims->kind == NEAP_NONE ? NULL : dims->is);
  if (back != few) np_free(b->ctx, back, (size_t)shifts->n * sizeof *back);
  return b->ctx->error;
}

/* ---- flip: x dims ---- */

int np_flip_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  uint32_t mask = 0;
  if (c->arg[1].n > 0 && np_axes(c, &c->arg[1], x->ndim, &mask) != 0) return c->ctx->error;
  c->room[0] = mask;
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}
int np_flip_run(np_call *c) {
  np_layout l = np_t(c, 0)->at;
  for (int d = 0; d < l.ndim; d++) {
    if (!(c->room[0] >> d & 1) || l.shape[d] == 0) continue;
    l.offset += (l.shape[d] - 1) * l.stride[d];
    l.stride[d] = -l.stride[d];
  }
  neap_tensor turned = np_window(np_t(c, 0), &l);
  return np_copy(c->ctx, c->out[0], &turned);
}
int np_flip_back(np_back *b) { /* turned once more */
  b->gx[0] = b->arg[1].n ? neap_flip(b->ctx, b->g[0], b->arg[1].n, b->arg[1].is) : b->g[0];
  return b->ctx->error;
}

static int flip_one(np_call *c, int64_t d) {
  if (np_t(c, 0)->at.ndim <= d)
    return np_reject(c, NEAP_ERR_SHAPE, "x must have %lld dimension%s or more, got %d", (long long)d + 1, d ? "s" : "", np_t(c, 0)->at.ndim);
  c->out[0] = neap_flip(c->ctx, np_t(c, 0), 1, &d);
  return c->ctx->error;
}
int np_fliplr_run(np_call *c) { return flip_one(c, 1); }
int np_flipud_run(np_call *c) { return flip_one(c, 0); }

int np_rot90_run(np_call *c) { /* a quarter turn is a flip and a transposition */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  const int64_t first_two[2] = { 0, 1 }, *dims = np_given(c, 2) ? c->arg[2].is : first_two;
  int n = np_given(c, 2) ? c->arg[2].n : 2, i, j;
  if (n != 2) return np_reject(c, NEAP_ERR_ARGUMENT, "dims must be the two dimensions of a plane, got %d", n);
  if (x->at.ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "x must have 2 dimensions or more, got %d", x->at.ndim);
  if (np_axis(c, dims[0], x->at.ndim, &i) != 0 || np_axis(c, dims[1], x->at.ndim, &j) != 0) return ctx->error;
  if (i == j) return np_reject(c, NEAP_ERR_ARGUMENT, "dims must be two different dimensions, got %lld twice", NP_DIM(c, i));
  int64_t turns = (np_i(c, 1) % 4 + 4) % 4, both[2] = { i, j };
  if (turns == 0) c->out[0] = neap_clone(ctx, x);
  else if (turns == 2) c->out[0] = neap_flip(ctx, x, 2, both);
  else c->out[0] = neap_transpose(ctx, neap_flip(ctx, x, 1, &both[turns == 1]), i, j);
  return ctx->error;
}

/* ---- tile: x dims ---- */

/* x's shape and the repeats, both with ones in front up to the longer one's length. Returns that. */
static int tiling(const np_layout *x, const neap_value *dims, int64_t *shape, int64_t *times) {
  int n = x->ndim > dims->n ? x->ndim : dims->n;
  for (int i = 0; i < n; i++) {
    int k = i - (n - x->ndim), r = i - (n - dims->n);
    shape[i] = k < 0 ? 1 : x->shape[k];
    times[i] = r < 0 ? 1 : dims->is[r];
  }
  return n;
}

int np_tile_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS], times[NEAP_MAX_DIMS];
  if (c->arg[1].n > NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "%d dimensions, %d are the most", c->arg[1].n, NEAP_MAX_DIMS);
  int n = tiling(x, &c->arg[1], shape, times);
  for (int i = 0; i < n; i++) {
    if (times[i] < 0)
      return np_reject(c, NEAP_ERR_ARGUMENT, "dimension %lld is to be repeated %lld times, 0 is the least", NP_DIM(c, i), (long long)times[i]);
    if (shape[i] > 0 && times[i] > INT64_MAX / shape[i]) return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
    shape[i] *= times[i];
  }
  return np_spec(c, 0, x->dtype, n, shape);
}

int np_tile_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *y = c->out[0];
  int64_t shape[NEAP_MAX_DIMS], times[NEAP_MAX_DIMS];
  int n = tiling(&x->at, &c->arg[1], shape, times);
  if (y->at.count == 0) return NEAP_OK;
  np_layout l = y->at; /* of what is there already: x in the first corner, then one more dimension repeated at a time */
  memcpy(l.shape, shape, sizeof shape);
  l.count = x->at.count;
  neap_tensor corner = np_window(y, &l);
  np_copy(c->ctx, &corner, x);
  for (int d = n - 1; d >= 0; d--)
    for (int64_t done = 1; done < times[d];) { /* what is there doubles until it is enough */
      int64_t more = np_min(done, times[d] - done);
      np_layout from = np_layout_cut(&l, d, 0, more * shape[d], 1), to = np_layout_cut(&l, d, done * shape[d], more * shape[d], 1);
      neap_tensor a = np_window(y, &to), b = np_window(y, &from);
      np_copy(c->ctx, &a, &b);
      done += more;
      l = np_layout_cut(&l, d, 0, done * shape[d], 1);
    }
  return NEAP_OK;
}

int np_tile_back(np_back *b) { /* gx = g, summed over the repeats */
  const np_layout *x = &b->in[0].at, *y = &b->out[0].at;
  int64_t shape[NEAP_MAX_DIMS], times[NEAP_MAX_DIMS], done = 1, left = y->count;
  int n = tiling(x, &b->arg[1], shape, times);
  neap_tensor *g = b->g[0];
  if (x->count == 0 || y->count == 0) {
    b->gx[0] = np_zeros_like(b->ctx, x);
    return b->ctx->error;
  }
  for (int d = 0; d < n; d++) { /* (done, times, rest) */
    left /= times[d];
    if (times[d] > 1)
      g = neap_sum(b->ctx, neap_reshape(b->ctx, g, 3, (int64_t[]){ done, times[d], left / done }), 1, (int64_t[]){ 1 }, 0, -1);
    done *= shape[d];
  }
  b->gx[0] = neap_reshape(b->ctx, g, x->ndim, x->shape);
  return b->ctx->error;
}

/* ---- repeat_interleave: x repeats dim ---- */

/* The positions that repeats stand for, as the caller counts: 2, 0, 1 gives 0 0 2. */
static neap_tensor *repeated_positions(np_call *c, neap_tensor *repeats, int64_t size) {
  neap_context *ctx = c->ctx;
  if (np_need_int(c, "repeats", repeats) != 0) return NULL;
  if (repeats->at.ndim > 1 || (repeats->at.count != 1 && repeats->at.count != size)) {
    char a[128];
    np_shape_text(a, sizeof a, repeats);
    np_reject(c, NEAP_ERR_SHAPE, "repeats must be one number or %lld in one dimension, got shape %s", (long long)size, a);
    return NULL;
  }
  neap_tensor *list = np_contiguous_of(ctx, repeats, NEAP_I64);
  if (!list) return NULL;
  const int64_t *r = (const int64_t *)np_data(list);
  int64_t total = 0, step = repeats->at.count == 1 ? 0 : 1;
  for (int64_t i = 0; i < size && !np_failed(ctx); i++) {
    if (r[i * step] < 0)
      np_reject(c, NEAP_ERR_ARGUMENT, "repeats[%lld] is %lld, 0 is the least", NP_DIM(c, i * step), (long long)r[i * step]);
    else if (r[i * step] > INT64_MAX / 16 - total) np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
    else total += r[i * step];
  }
  neap_tensor *at = np_tensor_new(ctx, NEAP_I64, 1, &total);
  if (!at) return NULL;
  int64_t *to = (int64_t *)np_data(at);
  for (int64_t i = 0; i < size; i++)
    for (int64_t k = r[i * step]; k > 0; k--) *to++ = i + ctx->site.base;
  return at;
}

int np_repeat_interleave_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *repeats = np_t(c, 1);
  int d = 0;
  if (!np_given(c, 2) || x->at.ndim == 0) x = neap_reshape(ctx, x, 1, &x->at.count);
  else if (np_axis(c, np_i(c, 2), x->at.ndim, &d) != 0) return ctx->error;
  if (!x) return ctx->error;
  int64_t size = x->at.shape[d];
  if (!repeats) {
    if (c->arg[1].kind == NEAP_NUMBER && (c->arg[1].d != floor(c->arg[1].d) || fabs(c->arg[1].d) > 1e15))
      return np_reject(c, NEAP_ERR_ARGUMENT, "repeats must be a whole number, got %g", c->arg[1].d);
    int64_t n = c->arg[1].kind == NEAP_INT ? np_i(c, 1) : (int64_t)np_d(c, 1);
    if (n < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "repeats is %lld, 0 is the least", (long long)n);
    if (x->at.ndim < NEAP_MAX_DIMS && (size == 0 || n <= INT64_MAX / size)) { /* a new dimension behind d, expanded, then joined to it */
      int64_t shape[NEAP_MAX_DIMS] = { 0 };
      memcpy(shape, x->at.shape, (size_t)(d + 1) * sizeof *shape);
      shape[d + 1] = n;
      memcpy(shape + d + 2, x->at.shape + d + 1, (size_t)(x->at.ndim - d - 1) * sizeof *shape);
      c->out[0] = neap_flatten(ctx, neap_expand(ctx, neap_unsqueeze(ctx, x, d + 1), x->at.ndim + 1, shape), d, d + 1);
      return ctx->error;
    }
    repeats = np_tensor_new(ctx, NEAP_I64, 0, NULL);
    if (!repeats) return ctx->error;
    *(int64_t *)np_data(repeats) = n;
  }
  neap_tensor *at = repeated_positions(c, repeats, size);
  c->out[0] = at ? neap_index_select(ctx, x, d, at) : NULL;
  return ctx->error;
}
