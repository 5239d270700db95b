/* Layouts by hand: as_strided says any view of a tensor's storage, as_strided_scatter gives a copy of x with such a region
 * replaced, and as_strided_add sums values into a flat run of memory. The graph leans on the first two when memory is
 * written through views: what a view now holds is as_strided of its base, what a base now holds is as_strided_scatter.
 *
 * Offsets count elements of x's storage. Gradients are worked out on a flat run of memory [low, high) that covers both
 * x's own elements and the region: `flat` lays a gradient of x's shape into it, `unflat` reads one out. */
#include "loops.h"

enum { SIZE = 1, STRIDE = 2, OFFSET = 3 }; /* arguments of as_strided; scatter's come one later */

static int region(np_call *c, int size, np_layout *l) {
  const neap_tensor *x = np_t(c, 0);
  const neap_value *n = &c->arg[size], *s = &c->arg[size + 1];
  if (n->n != s->n) return np_reject(c, NEAP_ERR_ARGUMENT, "%d sizes and %d strides: there must be as many", n->n, s->n);
  if (n->n > NEAP_MAX_DIMS || np_layout_set(l, x->at.dtype, n->n, n->is) != 0)
    return np_reject(c, NEAP_ERR_SHAPE, "a size is negative, there are more than %d, or they are too large for memory", NEAP_MAX_DIMS);
  l->offset = np_i(c, size + 2);
  int64_t room = (int64_t)(x->storage->bytes / (size_t)np_size_of(x->at.dtype)) - l->offset, last = 0;
  for (int i = 0; i < n->n; i++) {
    if (s->is[i] < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "stride %lld is negative", (long long)s->is[i]);
    if (l->count > 0 && l->shape[i] > 1 && s->is[i] > (INT64_MAX / 16 - last) / (l->shape[i] - 1)) room = -1;
    else if (l->count > 0) last += (l->shape[i] - 1) * s->is[i];
    l->stride[i] = s->is[i];
  }
  if (l->offset < 0 || (l->count > 0 && last >= room))
    return np_reject(c, NEAP_ERR_INDEX, "the region reaches outside of x's memory, which holds %lld elements",
                     (long long)(x->storage->bytes / (size_t)np_size_of(x->at.dtype)));
  return NEAP_OK;
}

static void span(const np_layout *x, const np_layout *y, int64_t *low, int64_t *high) {
  *low = np_min(x->offset, y->offset);
  *high = np_max(x->offset + np_layout_span(x), y->offset + np_layout_span(y));
}

static int is_whole(const np_layout *x, int64_t low, int64_t high) {
  return x->offset == low && x->count == high - low && np_layout_is_contiguous(x);
}

static neap_tensor *flat(neap_context *c, neap_tensor *g, const np_layout *x, int64_t low, int64_t high) {
  const int64_t n = high - low;
  if (is_whole(x, low, high)) return neap_contiguous(c, neap_reshape(c, g, 1, &n));
  return neap_as_strided_add(c, g, n, x->ndim, x->stride, x->offset - low);
}

static neap_tensor *unflat(neap_context *c, neap_tensor *f, const np_layout *x, int64_t low, int64_t high) {
  if (!f) return NULL;
  if (is_whole(x, low, high)) return neap_reshape(c, f, x->ndim, x->shape);
  return neap_as_strided(c, f, x->ndim, x->shape, x->ndim, x->stride, x->offset - low + f->at.offset);
}

static void recorded_region(const np_back *b, int size, np_layout *l) {
  np_layout_set(l, b->in[0].at.dtype, b->arg[size].n, b->arg[size].is);
  memcpy(l->stride, b->arg[size + 1].is, (size_t)l->ndim * sizeof *l->stride);
  l->offset = b->arg[size + 2].i;
}

/* ---- as_strided: x size stride offset ---- */

int np_as_strided_infer(np_call *c) { return region(c, SIZE, &c->spec[0]); }

int np_as_strided_back(np_back *b) { /* gx[i] = sum of g over the elements that read x[i] */
  neap_context *c = b->ctx;
  np_layout y;
  int64_t low, high;
  recorded_region(b, SIZE, &y);
  span(&b->in[0].at, &y, &low, &high);
  neap_tensor *f = neap_as_strided_add(c, b->g[0], high - low, y.ndim, y.stride, y.offset - low);
  b->gx[0] = unflat(c, f, &b->in[0].at, low, high);
  return c->error;
}

/* ---- as_strided_add: x n stride offset; y (n) = zeros, then y[offset + i . stride] += x[i] ---- */

int np_as_strided_add_infer(np_call *c) {
  const neap_tensor *x = np_t(c, 0);
  const neap_value *s = &c->arg[2];
  int64_t n = np_i(c, 1), last = np_i(c, 3);
  if (s->n != x->at.ndim) return np_reject(c, NEAP_ERR_ARGUMENT, "%d strides for %d dimensions: there must be as many", s->n, x->at.ndim);
  int inside = last >= 0;
  for (int i = 0; i < s->n; i++) {
    if (s->is[i] < 0 || (x->at.shape[i] > 1 && s->is[i] > INT64_MAX / 16 / x->at.shape[i])) inside = 0;
    else if (x->at.shape[i] > 0) last += (x->at.shape[i] - 1) * s->is[i];
  }
  if (!inside || (x->at.count > 0 && last >= n)) return np_reject(c, NEAP_ERR_INDEX, "the region reaches outside of the %lld elements of y", (long long)n);
  return np_spec(c, 0, x->at.dtype, 1, &n);
}

int np_as_strided_add_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *y = c->out[0];
  np_layout l = x->at;
  memcpy(l.stride, c->arg[2].is, (size_t)l.ndim * sizeof *l.stride);
  l.offset = y->at.offset + np_i(c, 3);
  np_zero(c->ctx, y);
  if (x->at.count == 0) return NEAP_OK;
  neap_tensor to = np_window(y, &l);
  if (!np_layout_overlaps(&l)) return np_copy(c->ctx, &to, x);
  /* Overlapping: element by element in row-major order, in the compute type. */
  const np_kernels *k = c->ctx->kernels;
  int ctype = np_ctype(x->at.dtype), native = np_native_of(x->at.dtype);
  neap_tensor *sum = np_tensor_like(y, native), *from = np_contiguous_of(c->ctx, x, native);
  if (sum && from) {
    int64_t size = np_size_of(native);
    np_zero(c->ctx, sum);
    l.offset = np_i(c, 3);
    int64_t n = l.ndim ? l.shape[l.ndim - 1] : 1, stride = l.ndim ? l.stride[l.ndim - 1] : 0;
    const np_layout *one = &l;
    np_iter it;
    np_layout outer = l;
    if (outer.ndim) outer.shape[outer.ndim - 1] = 1, outer.count /= n;
    np_iter_init(&it, 1, (const np_layout *[]){ &outer }, one->ndim, outer.shape);
    for (int64_t r = 0, done = 0; done < x->at.count; r++, done += n)
      for (int64_t i = 0; i < n; i++) {
        int64_t at[NP_ITER_MAX];
        np_iter_row(&it, r / it.n, at);
        char *p = np_data(sum) + (l.offset + at[0] + r % it.n * it.stride[0] + i * stride) * size;
        k->reduce[ctype]->axpy(1, 1.0, np_data(from) + (done + i) * size, p);
      }
    np_copy(c->ctx, y, sum);
  }
  neap_release(sum);
  neap_release(from);
  return c->ctx->error;
}

int np_as_strided_add_back(np_back *b) { /* gx[i] = g[offset + i . stride] */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  neap_tensor *g = neap_contiguous(c, b->g[0]);
  if (!g) return c->error;
  b->gx[0] = neap_as_strided(c, g, x->ndim, x->shape, x->ndim, b->arg[2].is, b->arg[3].i + g->at.offset);
  return c->error;
}

/* ---- as_strided_scatter: x source size stride offset ---- */

int np_as_strided_scatter_infer(np_call *c) {
  const neap_tensor *x = np_t(c, 0), *source = np_t(c, 1);
  np_layout l;
  if (region(c, SIZE + 1, &l) != 0) return c->ctx->error;
  if (np_layout_overlaps(&l)) return np_reject(c, NEAP_ERR_ARGUMENT, "the region overlaps itself");
  if (source->at.ndim != l.ndim || memcmp(source->at.shape, l.shape, (size_t)l.ndim * sizeof *l.shape) != 0) {
    char a[128];
    np_shape_text(a, sizeof a, source);
    return np_reject(c, NEAP_ERR_SHAPE, "source has shape %s, which is not the region's", a);
  }
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}

int np_as_strided_scatter_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *y = c->out[0];
  np_layout l;
  int64_t low, high;
  if (region(c, SIZE + 1, &l) != 0) return c->ctx->error;
  span(&x->at, &l, &low, &high);
  if (is_whole(&x->at, low, high)) { /* the region lies in y as it would in x */
    np_copy(c->ctx, y, x);
    l.offset += y->at.offset - low;
    neap_tensor to = np_window(y, &l);
    return np_copy(c->ctx, &to, np_t(c, 1));
  }
  const int64_t n = high - low;
  neap_tensor *room = np_tensor_new(c->ctx, x->at.dtype, 1, &n);
  if (!room) return c->ctx->error;
  np_layout own = x->at;
  own.offset -= low, l.offset -= low;
  neap_tensor all = np_window(room, &own), part = np_window(room, &l);
  np_copy(c->ctx, &all, x);
  np_copy(c->ctx, &part, np_t(c, 1));
  np_copy(c->ctx, y, &all);
  neap_release(room);
  return c->ctx->error;
}

int np_as_strided_scatter_back(np_back *b) { /* gx = g, 0 in the region; gsource = the region of g */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  np_layout l;
  int64_t low, high;
  recorded_region(b, SIZE + 1, &l);
  span(x, &l, &low, &high);
  neap_tensor *f = flat(c, b->g[0], x, low, high);
  if (!f) return c->error;
  int64_t offset = l.offset - low + f->at.offset;
  if (b->in[1].needs) b->gx[1] = neap_as_strided(c, f, l.ndim, l.shape, l.ndim, l.stride, offset);
  if (b->in[0].needs) {
    neap_tensor *zeros = np_zeros_like(c, &l);
    b->gx[0] = unflat(c, zeros ? neap_as_strided_scatter(c, f, zeros, l.ndim, l.shape, l.ndim, l.stride, offset) : NULL, x, low, high);
  }
  return c->error;
}
