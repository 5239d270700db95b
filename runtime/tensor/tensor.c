/* Handles: made, viewed, rehomed, let go. A handle is one pooled block; letting go of the last reference drops its
 * storage, its history (a loop, see ops/record.c), its gradient and what it is a view of. */
#include <string.h>
#include "tensor.h"

/* ---- layouts ---- */

int np_layout_set(np_layout *l, int dtype, int ndim, const int64_t *shape) {
  if (ndim < 0 || ndim > NEAP_MAX_DIMS) return 1;
  if (np_count_elements(ndim, shape, &l->count) != 0) return 1;
  l->dtype = (uint8_t)dtype;
  l->ndim = (uint8_t)ndim;
  l->offset = 0;
  int64_t step = 1;
  for (int i = ndim - 1; i >= 0; i--) {
    l->shape[i] = shape[i];
    l->stride[i] = step;
    if (shape[i] > 0) step *= shape[i];
  }
  return 0;
}

int np_layout_is_contiguous(const np_layout *l) {
  int64_t step = 1;
  for (int i = l->ndim - 1; i >= 0; i--) {
    if (l->shape[i] != 1 && l->stride[i] != step) return l->count == 0;
    step *= l->shape[i];
  }
  return 1;
}

np_layout np_layout_cut(const np_layout *l, int d, int64_t from, int64_t n, int64_t step) {
  np_layout y = *l;
  y.offset += from * l->stride[d];
  y.count = n ? l->count / l->shape[d] * n : 0;
  y.shape[d] = n;
  y.stride[d] *= step;
  return y;
}

np_layout np_layout_select(const np_layout *l, int d, int64_t i) {
  np_layout y = np_layout_cut(l, d, i, 1, 1);
  y.ndim--;
  for (int k = d; k < y.ndim; k++) y.shape[k] = l->shape[k + 1], y.stride[k] = l->stride[k + 1];
  return y;
}

int64_t np_layout_span(const np_layout *l) {
  int64_t last = 0;
  for (int i = 0; i < l->ndim; i++) {
    if (l->shape[i] == 0) return 0;
    last += (l->shape[i] - 1) * l->stride[i];
  }
  return last + 1;
}

int np_layout_has_shape(const np_layout *l, int ndim, const int64_t *shape) {
  return l->ndim == ndim && memcmp(l->shape, shape, (size_t)ndim * sizeof *shape) == 0;
}

int np_layout_overlaps(const np_layout *l) { /* sorted by stride they must nest */
  uint32_t left = (1u << l->ndim) - 1;
  int64_t reach = 0;
  while (left) {
    int next = -1;
    for (int i = 0; i < l->ndim; i++)
      if ((left >> i & 1) && (next < 0 || l->stride[i] < l->stride[next])) next = i;
    left &= ~(1u << next);
    if (l->shape[next] <= 1) continue;
    if (l->stride[next] <= reach) return 1;
    reach += (l->shape[next] - 1) * l->stride[next];
  }
  return 0;
}

int np_same_shape(const neap_tensor *a, const neap_tensor *b) { return np_layout_has_shape(&a->at, b->at.ndim, b->at.shape); }

void np_shape_text(char *buffer, size_t size, const neap_tensor *t) {
  np_text text;
  np_text_init(&text, buffer, size);
  np_text_shape(&text, t->at.ndim, t->at.shape);
}

void np_shapes_text(char buffer[NP_SHAPES_TEXT], const np_layout *a, const char *between, const np_layout *b) {
  np_text text;
  np_text_init(&text, buffer, NP_SHAPES_TEXT);
  np_text_shape(&text, a->ndim, a->shape);
  np_text_add(&text, "%s", between);
  np_text_shape(&text, b->ndim, b->shape);
}

int np_shape_fail(neap_context *c, const char *what, int ndim, const int64_t *shape) {
  char buffer[256];
  np_text text;
  np_text_init(&text, buffer, sizeof buffer);
  if (ndim < 0 || ndim > NEAP_MAX_DIMS)
    return np_fail(c, NEAP_ERR_SHAPE, "%s: %d dimensions; a tensor has 0 to %d", what, ndim, NEAP_MAX_DIMS);
  np_text_shape(&text, ndim, shape);
  for (int i = 0; i < ndim; i++)
    if (shape[i] < 0)
      return np_fail(c, NEAP_ERR_SHAPE, "%s: shape %s has a negative size in dimension %d", what, buffer, i + c->site.base);
  return np_fail(c, NEAP_ERR_SHAPE, "%s: shape %s has more elements than memory could hold", what, buffer);
}

/* ---- making handles ---- */

static neap_tensor *handle(neap_context *c, np_storage *s, const np_layout *l, int contiguous) { /* takes s */
  neap_tensor *t = np_alloc(c, sizeof *t);
  if (!t) {
    np_storage_release(s);
    return NULL;
  }
  t->ctx = c;
  t->storage = s;
  t->at = *l;
  t->refs = 1;
  t->handed = 0;
  t->flags = contiguous ? NP_CONTIGUOUS : 0;
  t->output = 0;
  t->base_version = s->version;
  t->record = NULL;
  t->grad = NULL;
  t->base = NULL;
  t->next = NULL;
  t->link = NULL;
  t->scope = NULL;
  t->claims = NULL;
  t->hook = 0;
  t->host = NULL;
  c->handles++;
  np_tensor_hand(t);
  return t;
}

static neap_tensor *fresh(neap_context *c, const np_layout *l) {
  np_storage *s = np_storage_new(c, (size_t)l->count * (size_t)np_size_of(l->dtype));
  return s ? handle(c, s, l, 1) : NULL;
}

neap_tensor *np_tensor_new(neap_context *c, int dtype, int ndim, const int64_t *shape) {
  np_layout l;
  if (np_failed(c)) return NULL;
  if (np_layout_set(&l, dtype, ndim, shape) == 0) return fresh(c, &l);
  np_shape_fail(c, "new", ndim, shape);
  return NULL;
}

neap_tensor *np_tensor_of(neap_context *c, const np_layout *l) { return np_failed(c) ? NULL : fresh(c, l); }

neap_tensor *np_tensor_like(neap_tensor *x, int dtype) {
  np_layout l;
  if (np_failed(x->ctx) || np_layout_set(&l, dtype, x->at.ndim, x->at.shape) != 0) return NULL;
  return fresh(x->ctx, &l);
}

neap_tensor *np_tensor_on(neap_context *c, np_storage *s, const np_layout *l) {
  return np_failed(c) ? NULL : handle(c, np_storage_retain(s), l, np_layout_is_contiguous(l));
}

neap_tensor *np_tensor_view(neap_tensor *x, const np_layout *l) {
  neap_tensor *t = np_tensor_on(x->ctx, x->storage, l);
  if (t) t->base = np_hold(x->base ? x->base : x);
  return t;
}

neap_tensor *np_tensor_scalar(neap_context *c, int dtype, double value) {
  neap_tensor *t = np_tensor_new(c, dtype, 0, NULL);
  if (t) np_put_number(dtype, np_data(t), value);
  return t;
}

neap_tensor *np_tensor_constant(neap_context *c, double value) {
  neap_tensor *t = np_tensor_scalar(c, NEAP_F64, value);
  if (t) t->flags |= NP_WEAK;
  return t;
}

/* The new memory gets a storage of its own inside of s, so that writes to one parameter do not count as writes to all. */
static void release_outer(void *user, void *data) {
  (void)data;
  np_storage_release(user);
}

void np_tensor_rehome(neap_tensor *t, np_storage *s, int64_t offset) {
  int64_t size = np_size_of(t->at.dtype);
  np_storage *own = np_storage_wrap(t->ctx, s->data + offset * size, (size_t)(t->at.count * size), 0, release_outer, s);
  if (!own) return;
  np_storage_retain(s);
  own->version = t->storage->version;
  np_storage_release(t->storage);
  t->storage = own;
  np_layout_set(&t->at, t->at.dtype, t->at.ndim, t->at.shape);
  t->flags |= NP_CONTIGUOUS;
}

/* A gradient that somebody else looks at is left to them; else its memory stays as the next one's home. */
void np_clear_grad(neap_tensor *t) {
  neap_tensor *g = t->grad;
  t->flags &= (uint16_t)~NP_HAS_GRAD;
  if (!g || (!g->record && g->refs <= (g->flags & NP_HOME ? 2 : 1) && atomic_load(&g->storage->refs) == 1)) return;
  t->grad = NULL;
  np_drop(g);
}

/* ---- letting go ---- */

neap_tensor *np_hold(neap_tensor *t) {
  if (t) t->refs++;
  return t;
}

void np_drop(neap_tensor *t) {
  while (t && --t->refs == 0) {
    neap_tensor *base = t->base;
    neap_context *c = t->ctx;
    np_scope_forget(t); /* a no-op unless somebody let go of a reference that was handed out by another door */
    np_storage_release(t->storage);
    if (t->grad) np_drop(t->grad); /* gradients of gradients are few: no deep recursion */
    if (t->record) np_record_release(t->record);
    np_free(c, t, sizeof *t);
    np_context_drop(c);
    t = base; /* a view lets go of its base by going round */
  }
}

int np_tensor_written(neap_tensor *t, const char *op) {
  np_storage *s = t->storage;
  if (s->read_only) return np_fail(t->ctx, NEAP_ERR_STATE, "%s: the tensor's memory is read-only", op);
  s->version++;
  s->write_op = op;
  s->write_file = t->ctx->site.file;
  s->write_line = t->ctx->site.line;
  return NEAP_OK;
}
