/* Views: other shapes, orders and cuts of the same memory. infer says the whole layout, nothing runs. The gradient of a
 * view is another view of g, or, where a view leaves elements out, g placed among zeros (`place`, whose own gradient is
 * the cut again). A reshape copies only where no strides say the new shape. */
#include "loops.h"

static void shape_text(char *buffer, size_t size, int n, const int64_t *shape) {
  np_text t;
  np_text_init(&t, buffer, size);
  np_text_shape(&t, n, shape);
}

/* ---- view and reshape: x size ---- */

/* Fills in a size of -1 and checks the count. */
static int full_shape(np_call *c, const neap_value *size, int64_t count, int64_t *shape) {
  int64_t known = 1;
  int free = -1;
  char a[128], b[128];
  shape_text(a, sizeof a, np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape);
  shape_text(b, sizeof b, size->n, size->is);
  if (size->n > NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "%d dimensions, %d are the most", size->n, NEAP_MAX_DIMS);
  for (int i = 0; i < size->n; i++) {
    shape[i] = size->is[i];
    if (shape[i] == -1 && free >= 0) return np_reject(c, NEAP_ERR_SHAPE, "only one size can be -1, got %s", b);
    if (shape[i] == -1) free = i;
    else if (shape[i] < 0) return np_reject(c, NEAP_ERR_SHAPE, "a size is negative: %s", b);
    else if (shape[i] > 0 && known > INT64_MAX / shape[i]) return np_reject(c, NEAP_ERR_SHAPE, "%s is too large for memory", b);
    else known *= shape[i];
  }
  if (free >= 0) {
    if (known == 0 || count % known != 0)
      return np_reject(c, NEAP_ERR_SHAPE, "%s has %lld elements, which %s cannot hold: they do not divide by %lld", a,
                       (long long)count, b, (long long)known);
    shape[free] = count / known;
  } else if (known != count) {
    return np_reject(c, NEAP_ERR_SHAPE, "%s has %lld elements, %s has %lld", a, (long long)count, b, (long long)known);
  }
  return NEAP_OK;
}

/* Strides of x seen in a new shape of as many elements; 0: there are none. */
static int strides_for(const np_layout *x, int n, const int64_t *shape, np_layout *y) {
  *y = *x;
  y->ndim = (uint8_t)n;
  if (x->count == 0) return np_layout_set(y, x->dtype, n, shape) == 0 ? (y->offset = x->offset, 1) : 0;
  int d = n - 1; /* of the new shape, filled from the end by each run of x's dimensions that lies evenly */
  int64_t held = 1, used = 1, stride = 1;
  for (int i = 0; i < n; i++) y->shape[i] = shape[i], y->stride[i] = 1;
  if (x->ndim == 0) return 1;
  stride = x->stride[x->ndim - 1];
  for (int i = x->ndim - 1; i >= 0; i--) {
    held *= x->shape[i];
    if (i > 0 && (x->shape[i - 1] == 1 || x->stride[i - 1] == held * stride)) continue;
    for (; d >= 0 && (used < held || shape[d] == 1); d--) {
      y->stride[d] = used * stride;
      used *= shape[d];
    }
    if (used != held) return 0;
    if (i > 0) stride = x->stride[i - 1], held = used = 1;
  }
  return d < 0;
}

int np_view_infer(np_call *c) {
  int64_t shape[NEAP_MAX_DIMS];
  if (full_shape(c, &c->arg[1], np_t(c, 0)->at.count, shape) != 0) return c->ctx->error;
  if (strides_for(&np_t(c, 0)->at, c->arg[1].n, shape, &c->spec[0])) return NEAP_OK;
  char a[128];
  shape_text(a, sizeof a, c->arg[1].n, shape);
  return np_reject(c, NEAP_ERR_SHAPE, "the elements do not lie in memory so that they could be seen as %s: use reshape, which copies", a);
}
int np_reshape_run(np_call *c) {
  int64_t shape[NEAP_MAX_DIMS];
  np_layout l;
  neap_tensor *x = np_t(c, 0);
  int n = c->arg[1].n;
  if (full_shape(c, &c->arg[1], x->at.count, shape) != 0) return c->ctx->error;
  if (!strides_for(&x->at, n, shape, &l)) x = neap_clone(c->ctx, x);
  c->out[0] = x ? neap_view(c->ctx, x, n, shape) : NULL;
  return c->ctx->error;
}
int np_reshape_back(np_back *b) { /* gx = g in x's shape */
  b->gx[0] = neap_reshape(b->ctx, b->g[0], b->in[0].at.ndim, b->in[0].at.shape);
  return b->ctx->error;
}

int np_flatten_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int from, to, n = 0;
  int64_t shape[NEAP_MAX_DIMS], size = 1;
  if (np_axis(c, np_i(c, 1), x->at.ndim, &from) != 0 || np_axis(c, np_i(c, 2), x->at.ndim, &to) != 0) return c->ctx->error;
  if (to < from) return np_reject(c, NEAP_ERR_ARGUMENT, "end_dim %lld comes before start_dim %lld", NP_DIM(c, to), NP_DIM(c, from));
  for (int i = 0; i < x->at.ndim || i == 0; i++) {
    if (i < from || i > to) shape[n++] = x->at.shape[i];
    else if (i < x->at.ndim) size *= x->at.shape[i];
    if (i == to) shape[n++] = size;
  }
  c->out[0] = neap_reshape(c->ctx, x, n, shape);
  return c->ctx->error;
}

int np_unflatten_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  const neap_value *sizes = &c->arg[2];
  int d, n = 0, free = -1;
  int64_t shape[2 * NEAP_MAX_DIMS], known = 1;
  if (np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to unflatten");
  if (sizes->n + x->at.ndim - 1 > NEAP_MAX_DIMS)
    return np_reject(c, NEAP_ERR_SHAPE, "%d sizes in the place of dimension %lld make %d dimensions, %d are the most", sizes->n, NP_DIM(c, d),
                     sizes->n + x->at.ndim - 1, NEAP_MAX_DIMS);
  for (int i = 0; i < d; i++) shape[n++] = x->at.shape[i];
  for (int i = 0; i < sizes->n; i++) {
    if (sizes->is[i] == -1) free = n;
    else known *= sizes->is[i];
    shape[n++] = sizes->is[i];
  }
  if (free >= 0 && known > 0) shape[free] = x->at.shape[d] / known, known *= shape[free];
  if (known != x->at.shape[d])
    return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld has size %lld, the sizes given hold %lld", NP_DIM(c, d),
                     (long long)x->at.shape[d], (long long)known);
  for (int i = d + 1; i < x->at.ndim; i++) shape[n++] = x->at.shape[i];
  c->out[0] = neap_reshape(c->ctx, x, n, shape);
  return c->ctx->error;
}

/* ---- other orders: transpose, permute, t ---- */

static void swap(np_layout *l, int i, int j) {
  int64_t s = l->shape[i], t = l->stride[i];
  l->shape[i] = l->shape[j], l->stride[i] = l->stride[j];
  l->shape[j] = s, l->stride[j] = t;
}

int np_transpose_infer(np_call *c) {
  int i, j, n = np_t(c, 0)->at.ndim;
  if (np_axis(c, np_i(c, 1), n, &i) != 0 || np_axis(c, np_i(c, 2), n, &j) != 0) return c->ctx->error;
  c->spec[0] = np_t(c, 0)->at;
  if (n) swap(&c->spec[0], i, j);
  return NEAP_OK;
}
int np_transpose_back(np_back *b) { /* the same two dimensions once more */
  b->gx[0] = neap_transpose(b->ctx, b->g[0], b->arg[1].i, b->arg[2].i);
  return b->ctx->error;
}

int np_t_infer(np_call *c) {
  c->spec[0] = np_t(c, 0)->at;
  if (c->spec[0].ndim > 2)
    return np_reject(c, NEAP_ERR_SHAPE, "x has %d dimensions, 2 are the most: use transpose", c->spec[0].ndim);
  if (c->spec[0].ndim == 2) swap(&c->spec[0], 0, 1);
  return NEAP_OK;
}
int np_t_back(np_back *b) {
  b->gx[0] = neap_t(b->ctx, b->g[0]);
  return b->ctx->error;
}

int np_permute_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  const neap_value *dims = &c->arg[1];
  uint32_t seen;
  c->spec[0] = *x;
  if (dims->n != x->ndim)
    return np_reject(c, NEAP_ERR_ARGUMENT, "all %d dimensions of x must be named once, got %d", x->ndim, dims->n);
  if (x->ndim && np_axes(c, dims, x->ndim, &seen) != 0) return c->ctx->error;
  for (int i = 0; i < dims->n; i++) {
    int64_t d = dims->is[i] < 0 ? dims->is[i] + x->ndim : dims->is[i];
    c->spec[0].shape[i] = x->shape[d];
    c->spec[0].stride[i] = x->stride[d];
  }
  return NEAP_OK;
}
int np_permute_back(np_back *b) { /* the inverse order */
  const neap_value *dims = &b->arg[1];
  int64_t back[NEAP_MAX_DIMS] = { 0 };
  for (int i = 0; i < dims->n; i++) back[dims->is[i] < 0 ? dims->is[i] + dims->n : dims->is[i]] = i;
  b->gx[0] = neap_permute(b->ctx, b->g[0], dims->n, back);
  return b->ctx->error;
}

/* The order of x's dimensions that movedim asks for. */
static void moved(int ndim, const neap_value *source, const neap_value *destination, int64_t *order) {
  uint32_t used = 0;
  for (int i = 0; i < ndim; i++) order[i] = -1;
  for (int i = 0; i < source->n; i++) {
    int64_t from = source->is[i] < 0 ? source->is[i] + ndim : source->is[i];
    order[destination->is[i] < 0 ? destination->is[i] + ndim : destination->is[i]] = from;
    used |= 1u << from;
  }
  for (int i = 0, next = 0; i < ndim; i++)
    if (order[i] < 0) {
      while (used >> next & 1) next++;
      order[i] = next++;
    }
}

int np_movedim_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  const neap_value *source = &c->arg[1], *destination = &c->arg[2];
  uint32_t seen;
  int64_t order[NEAP_MAX_DIMS];
  c->spec[0] = *x;
  if (source->n != destination->n)
    return np_reject(c, NEAP_ERR_ARGUMENT, "%d dimensions in source and %d in destination: there must be as many", source->n, destination->n);
  if (source->n == 0) return NEAP_OK;
  if (np_axes(c, source, x->ndim, &seen) != 0 || np_axes(c, destination, x->ndim, &seen) != 0) return c->ctx->error;
  if (x->ndim == 0) return NEAP_OK;
  moved(x->ndim, source, destination, order);
  for (int i = 0; i < x->ndim; i++) {
    c->spec[0].shape[i] = x->shape[order[i]];
    c->spec[0].stride[i] = x->stride[order[i]];
  }
  return NEAP_OK;
}
int np_movedim_back(np_back *b) { /* and back */
  const neap_value *source = &b->arg[1], *destination = &b->arg[2];
  b->gx[0] = source->n ? neap_movedim(b->ctx, b->g[0], destination->n, destination->is, source->n, source->is) : b->g[0];
  return b->ctx->error;
}

/* ---- dimensions of size 1, and expansion ---- */

int np_squeeze_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  np_layout *y = &c->spec[0];
  uint32_t mask;
  if (np_axes(c, &c->arg[1], x->ndim, &mask) != 0) return c->ctx->error;
  *y = *x;
  y->ndim = 0;
  for (int i = 0; i < x->ndim; i++) {
    if ((mask >> i & 1) && x->shape[i] == 1) continue;
    y->shape[y->ndim] = x->shape[i];
    y->stride[y->ndim++] = x->stride[i];
  }
  return NEAP_OK;
}

int np_unsqueeze_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  np_layout *y = &c->spec[0];
  int d;
  if (x->ndim == NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "x already has %d dimensions, the most there can be", x->ndim);
  if (np_axis(c, np_i(c, 1), x->ndim + 1, &d) != 0) return c->ctx->error;
  *y = *x;
  y->ndim++;
  for (int i = x->ndim; i > d; i--) y->shape[i] = x->shape[i - 1], y->stride[i] = x->stride[i - 1];
  y->stride[d] = d < x->ndim ? x->stride[d] * x->shape[d] : 1;
  y->shape[d] = 1;
  return NEAP_OK;
}

int np_expand_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  const neap_value *size = &c->arg[1];
  np_layout *y = &c->spec[0];
  int64_t shape[NEAP_MAX_DIMS];
  int lead = size->n - x->ndim;
  char a[128], b[128];
  shape_text(a, sizeof a, x->ndim, x->shape);
  shape_text(b, sizeof b, size->n, size->is);
  if (lead < 0 || size->n > NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "%s cannot expand to %s", a, b);
  for (int i = 0; i < size->n; i++) {
    shape[i] = size->is[i] == -1 && i >= lead ? x->shape[i - lead] : size->is[i];
    if (i >= lead && shape[i] != x->shape[i - lead] && x->shape[i - lead] != 1)
      return np_reject(c, NEAP_ERR_SHAPE, "%s cannot expand to %s: dimension %lld has size %lld, and only 1 becomes another size", a, b,
                       NP_DIM(c, i - lead), (long long)x->shape[i - lead]);
  }
  if (np_spec(c, 0, x->dtype, size->n, shape) != 0) return c->ctx->error;
  for (int i = 0; i < size->n; i++)
    y->stride[i] = i < lead || (x->shape[i - lead] == 1 && shape[i] != 1) ? 0 : x->stride[i - lead];
  y->offset = x->offset;
  return NEAP_OK;
}
int np_expand_back(np_back *b) { /* gx = g, summed over what was expanded */
  b->gx[0] = b->g[0];
  return NEAP_OK;
}

/* ---- cuts ---- */

static int cut(np_call *c, int dim, int64_t start, int64_t length, int64_t step) {
  const np_layout *x = &np_t(c, 0)->at;
  int d;
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to cut");
  if (np_axis(c, dim, x->ndim, &d) != 0) return c->ctx->error;
  int64_t size = x->shape[d], from = start < 0 ? start + size : start;
  if (step < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "step is %lld, it must be at least 1", (long long)step);
  if (length < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "length is %lld, it must be at least 0", (long long)length);
  if (from < 0 || from > size || (length > 0 && (length - 1 > (size - 1 - from) / step || from >= size)))
    return np_reject(c, NEAP_ERR_INDEX, "%lld from position %lld on%s do not fit: dimension %lld has size %lld", (long long)length,
                     start < 0 ? (long long)start : NP_DIM(c, start), step > 1 ? " in such steps" : "", NP_DIM(c, d), (long long)size);
  c->spec[0] = np_layout_cut(x, d, from, length, step);
  return NEAP_OK;
}

int np_narrow_infer(np_call *c) { return cut(c, (int)np_i(c, 1), np_i(c, 2), np_i(c, 3), 1); }
int np_slice_infer(np_call *c) { return cut(c, (int)np_i(c, 1), np_i(c, 2), np_i(c, 3), np_i(c, 4)); }

int np_select_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  int d;
  int64_t i = np_i(c, 2);
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to select from");
  if (np_axis(c, np_i(c, 1), x->ndim, &d) != 0) return c->ctx->error;
  int64_t size = x->shape[d];
  if (i < -size || i >= size)
    return np_reject(c, NEAP_ERR_INDEX, "index %lld is out of range: dimension %lld of x has %lld positions, %lld to %lld, or -1 to %lld",
                     i < 0 ? (long long)i : NP_DIM(c, i), NP_DIM(c, d), (long long)size, NP_DIM(c, 0), NP_DIM(c, size - 1), (long long)-size);
  c->spec[0] = np_layout_select(x, d, i < 0 ? i + size : i);
  return NEAP_OK;
}

/* gx = zeros with g where the cut was */
static int cut_back(np_back *b, neap_tensor *g, int64_t start, int64_t step) {
  const np_layout *x = &b->in[0].at;
  int64_t d = np_axis_of(&b->arg[1], x->ndim);
  b->gx[0] = g ? neap_place(b->ctx, g, x->ndim, x->shape, d, start < 0 ? start + x->shape[d] : start, step) : NULL;
  return b->ctx->error;
}
int np_narrow_back(np_back *b) { return cut_back(b, b->g[0], b->arg[2].i, 1); }
int np_slice_back(np_back *b) { return cut_back(b, b->g[0], b->arg[2].i, b->arg[4].i); }
int np_select_back(np_back *b) {
  int64_t d = np_axis_of(&b->arg[1], b->in[0].at.ndim);
  return cut_back(b, neap_unsqueeze(b->ctx, b->g[0], d), b->arg[2].i, 1);
}

/* ---- place: x size dim start step; zeros of that size with x in them ---- */

int np_place_infer(np_call *c) {
  const neap_value *size = &c->arg[1];
  const np_layout *x = &np_t(c, 0)->at;
  int d;
  if (np_spec(c, 0, x->dtype, size->n, size->is) != 0 || np_axis(c, np_i(c, 2), x->ndim, &d) != 0) return c->ctx->error;
  int64_t start = np_i(c, 3), step = np_i(c, 4), n = d < x->ndim ? x->shape[d] : 0, room = d < size->n ? size->is[d] : 0;
  int fits = size->n == x->ndim && start >= 0 && step >= 1 && (n == 0 || (start < room && n - 1 <= (room - 1 - start) / step));
  for (int i = 0; fits && i < x->ndim; i++) fits = i == d || x->shape[i] == size->is[i];
  if (fits) return NEAP_OK;
  char text[NP_SHAPES_TEXT];
  np_shapes_text(text, x, " does not fit into ", &c->spec[0]);
  return np_reject(c, NEAP_ERR_SHAPE, "x %s along dimension %lld from %lld on in steps of %lld", text, NP_DIM(c, d), NP_DIM(c, start), (long long)step);
}
int np_place_run(np_call *c) {
  np_layout l = c->out[0]->at;
  int d = (int)np_axis_of(&c->arg[2], l.ndim);
  if (l.ndim > 0) l = np_layout_cut(&l, d, np_i(c, 3), np_t(c, 0)->at.shape[d], np_i(c, 4));
  np_zero(c->ctx, c->out[0]);
  neap_tensor region = np_window(c->out[0], &l);
  return np_copy(c->ctx, &region, np_t(c, 0));
}
int np_place_back(np_back *b) { /* gx = the cut of g */
  int64_t d = np_axis_of(&b->arg[2], b->in[0].at.ndim);
  b->gx[0] = neap_slice(b->ctx, b->g[0], d, b->arg[3].i, b->in[0].at.shape[d], b->arg[4].i);
  return b->ctx->error;
}
