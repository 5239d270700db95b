/* Padding: each element of the result comes from a place of x that is found one dimension at a time, or is a constant.
 * A row of the result (its last dimension) is three runs: what lies before x, a piece of x, what lies behind. In
 * room[] infer leaves the padding by dimension: before in room[d], behind in room[8 + d]. Circular padding wraps what
 * cropping left; mirroring and repeating look at x itself. The adjoint folds the borders of g back, a dimension at a
 * time: in the order of their distance from x, which no number of threads changes. */
#include "loops.h"

enum { CONSTANT, REFLECT, REPLICATE, CIRCULAR, BEHIND = NEAP_MAX_DIMS };

/* Lays the pairs of `pad` (last dimension first) against ndim dimensions. */
static int pairs(np_call *c, const neap_value *pad, int ndim) {
  if (pad->n % 2) return np_reject(c, NEAP_ERR_ARGUMENT, "pad holds pairs, before and after, of the last dimension first; got %d numbers", pad->n);
  if (pad->n / 2 > ndim)
    return np_reject(c, NEAP_ERR_ARGUMENT, "pad has %d pairs, x has %d dimension%s", pad->n / 2, ndim, ndim == 1 ? "" : "s");
  memset(c->room, 0, sizeof c->room);
  for (int i = 0; i < pad->n / 2; i++) {
    c->room[ndim - 1 - i] = pad->is[2 * i];
    c->room[BEHIND + ndim - 1 - i] = pad->is[2 * i + 1];
  }
  return NEAP_OK;
}

static int padded_size(np_call *c, const np_layout *x, int mode, int d, int64_t *size) {
  int64_t n = x->shape[d], low = c->room[d], high = c->room[BEHIND + d], most = np_max(low, high), left = n + np_min(low, 0) + np_min(high, 0);
  if (low > INT64_MAX / 4 || high > INT64_MAX / 4 || low < -INT64_MAX / 4 || high < -INT64_MAX / 4)
    return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
  *size = n + low + high;
  if (*size < 0 || (left < 0 && mode != CONSTANT))
    return np_reject(c, NEAP_ERR_SHAPE, "%lld and %lld crop more than there is: dimension %lld of x has size %lld", (long long)low, (long long)high,
                     NP_DIM(c, d), (long long)n);
  if (mode == CONSTANT || most <= 0) return NEAP_OK;
  int64_t limit = mode == REFLECT ? n - 1 : mode == CIRCULAR ? left : n > 0 ? most : 0;
  if (most > limit)
    return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of x has size %lld, so %s padding of it is at most %lld, not %lld", NP_DIM(c, d), (long long)n,
                     mode == REFLECT ? "reflect" : mode == CIRCULAR ? "circular" : "replicate", (long long)limit, (long long)most);
  return NEAP_OK;
}

int np_pad_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int64_t shape[NEAP_MAX_DIMS];
  if (pairs(c, &c->arg[1], x->ndim) != 0) return c->ctx->error;
  for (int d = 0; d < x->ndim; d++)
    if (padded_size(c, x, (int)np_i(c, 2), d, &shape[d]) != 0) return c->ctx->error;
  return np_spec(c, 0, x->dtype, x->ndim, shape);
}

/* Which place of a dimension of n elements the result's place i shows; -1: none. */
static int64_t source_of(int mode, int64_t i, int64_t low, int64_t high, int64_t n) {
  int64_t s = i - low, first = np_max(0, -low), last = n - 1 - np_max(0, -high), kept = last - first + 1;
  switch (mode) {
  case REFLECT: return s < 0 ? -s : s >= n ? 2 * (n - 1) - s : s;
  case REPLICATE: return s < 0 ? 0 : s >= n ? n - 1 : s;
  case CIRCULAR: return s < first ? s + kept : s > last ? s - kept : s;
  default: return s < 0 || s >= n ? -1 : s;
  }
}

typedef struct padding {
  const np_kernels *k;
  const int64_t *room;
  const np_layout *x, *y;
  const char *from;
  char *to, value[8];
  int mode;
  int64_t size, rows, per_task;
} padding;

/* The run of a row before x (at 0) or behind it (at n - count of the result), from x itself: count elements. */
static void border(const padding *p, const char *x, char *row, int64_t at, int64_t count) {
  int d = p->y->ndim - 1;
  int64_t stride = p->x->stride[d], size = p->size;
  if (count <= 0) return;
  const char *from = x + source_of(p->mode, at, p->room[d], p->room[BEHIND + d], p->x->shape[d]) * stride * size;
  int64_t step = p->mode == REPLICATE ? 0 : p->mode == REFLECT ? -stride : stride;
  p->k->copy2d((int)size, 1, count, from, 0, step, row + at * size, 0, 1);
}

/* Both runs of m rows at once, from what stands between them: `low`, `middle`, `high` elements make a row. */
static void borders(const padding *p, char *rows, int64_t m, int64_t low, int64_t middle, int64_t high) {
  int64_t n = low + middle + high, size = p->size, step = p->mode == REPLICATE ? 0 : p->mode == REFLECT ? -1 : 1;
  if (p->mode == CONSTANT) {
    p->k->copy2d((int)size, m, low, p->value, 0, 0, rows, n, 1);
    p->k->copy2d((int)size, m, high, p->value, 0, 0, rows + (n - high) * size, n, 1);
    return;
  }
  int64_t left = p->mode == REFLECT ? 2 * low : p->mode == REPLICATE ? low : middle;
  int64_t right = p->mode == REFLECT ? low + middle - 2 : p->mode == REPLICATE ? low + middle - 1 : low;
  if (low > 0) p->k->copy2d((int)size, m, low, rows + left * size, n, step, rows, n, 1);
  if (high > 0) p->k->copy2d((int)size, m, high, rows + right * size, n, step, rows + (n - high) * size, n, 1);
}

/* `count` rows of the result from `row` on, of rows of x that begin at element `at` and lie `step` apart. */
static void copy_rows(const padding *p, int64_t row, int64_t count, int64_t at, int64_t step, int64_t low, int64_t middle, int together) {
  int d = p->y->ndim - 1;
  int64_t n = p->y->shape[d], stride = p->x->stride[d], size = p->size;
  const char *from = p->from + at * size;
  char *to = p->to + row * n * size;
  if (middle > 0)
    p->k->copy2d((int)size, count, middle, from + np_max(0, -p->room[d]) * stride * size, step, stride, to + low * size, n, 1);
  for (int64_t i = 0; i < count && !together; i++) {
    border(p, from + i * step * size, to + i * n * size, 0, low);
    border(p, from + i * step * size, to + i * n * size, low + middle, n - low - middle);
  }
}

/* How many of the places from i on show x's places one after the other, which those between the paddings do. */
static int64_t in_order(const padding *p, int d, int64_t i) {
  int64_t low = np_max(0, p->room[d]), high = np_max(0, p->room[BEHIND + d]);
  return i < low || i >= p->y->shape[d] - high ? 1 : p->y->shape[d] - high - i;
}

static void pad_task(void *arg, int64_t task) {
  const padding *p = arg;
  const np_layout *x = p->x, *y = p->y;
  int d = y->ndim - 1;
  int64_t n = y->shape[d], low = np_max(0, np_min(p->room[d], n)), first = task * p->per_task;
  int64_t high = np_max(0, np_min(p->room[BEHIND + d], n - low)), middle = n - low - high, last = np_min(p->rows, first + p->per_task);
  int together = p->mode == CONSTANT || (p->mode == REFLECT ? np_max(low, high) < middle : middle > 0);
  int64_t place[NEAP_MAX_DIMS] = { 0 }, seen[NEAP_MAX_DIMS], rest = first;
  for (int i = d - 1; i >= 0; i--) place[i] = rest % y->shape[i], rest /= y->shape[i];
  for (int i = 0; i < d; i++) seen[i] = source_of(p->mode, place[i], p->room[i], p->room[BEHIND + i], x->shape[i]);
  for (int64_t r = first, m = 1; r < last; r += m) {
    int64_t at = 0;
    int none = 0;
    for (int i = 0; i < d; i++) none |= seen[i] < 0, at += seen[i] * x->stride[i];
    m = d > 0 ? np_min(last - r, in_order(p, d - 1, place[d - 1])) : 1;
    if (none) p->k->fill((int)p->size, m * n, p->value, p->to + r * n * p->size, 1);
    else copy_rows(p, r, m, at, d > 0 ? x->stride[d - 1] : 0, low, middle, together);
    for (int64_t i = d - 1, by = m; i >= 0; i--, by = 1) { /* the next row's place */
      if ((place[i] += by) == y->shape[i]) place[i] = 0;
      seen[i] = source_of(p->mode, place[i], p->room[i], p->room[BEHIND + i], x->shape[i]);
      if (place[i] > 0) break;
    }
  }
  if (together) borders(p, p->to + first * n * p->size, last - first, low, middle, high);
}

int np_pad_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *y = c->out[0];
  if (y->at.count == 0) return NEAP_OK;
  if (y->at.ndim == 0) return np_copy(c->ctx, y, x);
  padding p = { .k = c->ctx->kernels, .room = c->room, .x = &x->at, .y = &y->at, .from = np_data(x), .to = np_data(y),
    .mode = (int)np_i(c, 2), .size = np_size_of(x->at.dtype) };
  np_put_number(y->at.dtype, p.value, np_d(c, 3));
  int64_t n = y->at.shape[y->at.ndim - 1];
  p.rows = y->at.count / n;
  p.per_task = np_max(1, NP_GRAIN / n);
  np_parallel(c->ctx, np_blocks(p.rows, p.per_task), (double)y->at.count * 0.3 + (double)p.rows * 10, pad_task, &p);
  return NEAP_OK;
}

int np_pad_back(np_back *b) { /* gx[s] = sum of g over the places that show x[s] */
  const np_layout *x = &b->in[0].at;
  const neap_value *pad = &b->arg[1];
  int64_t less[2 * NEAP_MAX_DIMS] = { 0 };
  if (b->arg[2].i == CONSTANT) { /* what was added is cropped, what was cropped is zeros */
    for (int i = 0; i < pad->n; i++) less[i] = -pad->is[i];
    b->gx[0] = pad->n ? neap_pad(b->ctx, b->g[0], pad->n, less, CONSTANT, 0) : b->g[0];
  } else {
    b->gx[0] = pad->n ? neap_pad_add(b->ctx, b->g[0], pad->n, pad->is, (int)b->arg[2].i, x->ndim, x->shape) : b->g[0];
  }
  return b->ctx->error;
}

/* ---- pad_add: g pad mode size ---- */

int np_pad_add_infer(np_call *c) {
  const np_layout *g = &np_t(c, 0)->at;
  const neap_value *size = &c->arg[3];
  int64_t n = 0;
  if (np_spec(c, 0, g->dtype, size->n, size->is) != 0) return c->ctx->error;
  if (pairs(c, &c->arg[1], size->n) != 0) return c->ctx->error;
  int fits = size->n == g->ndim;
  for (int d = 0; d < size->n; d++) {
    if (padded_size(c, &c->spec[0], (int)np_i(c, 2), d, &n) != 0) return c->ctx->error;
    fits = fits && n == g->shape[d];
  }
  if (fits) return NEAP_OK;
  char text[NP_SHAPES_TEXT];
  np_shapes_text(text, g, " is not the padded shape of ", &c->spec[0]);
  return np_reject(c, NEAP_ERR_SHAPE, "g %s", text);
}

/* Adds the n places from `at` on, which lie outside of x, to the places of x that they show, all along dimension d of t:
 * there x begins at place `low`, and g at place `start`. */
static void fold_border(const np_call *c, neap_tensor *t, const np_layout *l, int d, int64_t at, int64_t n) {
  const int mode = (int)np_i(c, 2), piece = mode == REPLICATE ? 1 : (int)np_min(n, INT32_MAX);
  int64_t before = c->room[d], behind = c->room[BEHIND + d], low = np_max(0, before), start = np_max(0, -before);
  int64_t size = c->spec[0].shape[d];
  for (int64_t i = at; i < at + n; i += piece) {
    int64_t to = source_of(mode, i - start, before, behind, size) + low;
    np_layout target = np_layout_cut(l, d, to, piece, mode == REFLECT ? -1 : 1), source = np_layout_cut(l, d, i, piece, 1);
    neap_tensor to_window = np_window(t, &target), from = np_window(t, &source);
    np_add_into(c->ctx, &to_window, &from);
  }
}

int np_pad_add_run(np_call *c) {
  neap_tensor *g = np_t(c, 0), *y = c->out[0];
  int64_t shape[NEAP_MAX_DIMS];
  for (int d = 0; d < y->at.ndim; d++) shape[d] = y->at.shape[d] + np_max(0, c->room[d]) + np_max(0, c->room[BEHIND + d]);
  neap_tensor *t = np_tensor_new(c->ctx, np_native_of(y->at.dtype), y->at.ndim, shape); /* g, and zeros where it was cropped */
  if (!t) return c->ctx->error;
  np_layout l = t->at;
  for (int d = 0; d < l.ndim; d++) l = np_layout_cut(&l, d, np_max(0, -c->room[d]), g->at.shape[d], 1);
  neap_tensor inner = np_window(t, &l);
  if (g->at.count < t->at.count) np_zero(c->ctx, t);
  np_copy(c->ctx, &inner, g);
  l = t->at;
  for (int d = 0; d < l.ndim; d++) {
    int64_t low = np_max(0, c->room[d]), size = y->at.shape[d];
    if (l.count > 0) {
      fold_border(c, t, &l, d, 0, low);
      fold_border(c, t, &l, d, low + size, np_max(0, c->room[BEHIND + d]));
    }
    l = np_layout_cut(&l, d, low, size, 1);
  }
  neap_tensor sums = np_window(t, &l);
  np_copy(c->ctx, y, &sums);
  neap_release(t);
  return c->ctx->error;
}

int np_pad_add_back(np_back *b) { /* gg = g padded */
  b->gx[0] = neap_pad(b->ctx, b->g[0], b->arg[1].n, b->arg[1].is, (int)b->arg[2].i, 0);
  return b->ctx->error;
}
