/* What many families need before and after their own work: saying what comes out, the checks whose words should be the
 * same everywhere, shapes that come back with their reduced dimensions, and results that are computed in another dtype. */
#include "loops.h"

int np_spec(np_call *c, int out, int dtype, int ndim, const int64_t *shape) {
  if (NP_UNLIKELY(ndim > NEAP_MAX_DIMS))
    return np_reject(c, NEAP_ERR_SHAPE, "the result has %d dimensions, %d are the most", ndim, NEAP_MAX_DIMS);
  for (int i = 0; i < ndim; i++)
    if (NP_UNLIKELY(shape[i] < 0)) {
      char text[128];
      np_text t;
      np_text_init(&t, text, sizeof text);
      np_text_shape(&t, ndim, shape);
      return np_reject(c, NEAP_ERR_SHAPE, "a size is negative: %s", text);
    }
  if (NP_UNLIKELY(np_layout_set(&c->spec[out], dtype, ndim, shape) != 0))
    return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
  return NEAP_OK;
}

int np_need_float(np_call *c, const char *name, const neap_tensor *t) {
  if (NP_LIKELY(np_is_float(t->at.dtype))) return NEAP_OK;
  return np_reject(c, NEAP_ERR_DTYPE, "%s must be of a floating dtype, got %s: convert it with to('float32')", name,
                   np_dtypes[t->at.dtype].info.name);
}

const char *const np_image_layouts[4] = { "", "(N, C, W) or (C, W)", "(N, C, H, W) or (C, H, W)", "(N, C, D, H, W) or (C, D, H, W)" };

int np_need_probabilities(np_call *c, const char *name, neap_tensor *t, const char *hint) {
  neap_context *ctx = c->ctx;
  if (t->at.count == 0) return NEAP_OK;
  neap_tensor *x = neap_detach(ctx, t), *least = neap_amin(ctx, x, 0, NULL, 0), *most = neap_amax(ctx, x, 0, NULL, 0);
  double low = least ? neap_item(least) : 0, high = most ? neap_item(most) : 0;
  neap_release(x);
  neap_release(least);
  neap_release(most);
  if (np_failed(ctx) || (low >= 0 && high <= 1)) return ctx->error;
  return np_reject(c, NEAP_ERR_ARGUMENT, "%s holds %g, it must be between 0 and 1%s", name, low >= 0 ? high : low, hint);
}

int np_need_image(np_call *c, const neap_tensor *x, int nd) {
  int64_t area = 1;
  char text[128];
  np_shape_text(text, sizeof text, x);
  for (int d = x->at.ndim - nd; d < x->at.ndim; d++) {
    if (x->at.shape[d] == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no elements along dimension %lld: its shape is %s", NP_DIM(c, d), text);
    area = x->at.shape[d] > INT32_MAX / area ? INT32_MAX : area * x->at.shape[d];
  }
  return area < INT32_MAX ? NEAP_OK : np_reject(c, NEAP_ERR_SHAPE, "an image of more than 2^31 - 2 elements: x is %s", text);
}

int np_per_dim(np_call *c, int i, int nd, int64_t standard, int64_t least, int64_t *out) {
  const neap_value *v = &c->arg[i];
  const char *name = c->sig->param[i].name;
  if (v->kind == NEAP_INTS && v->n != 1 && v->n != nd)
    return np_reject(c, NEAP_ERR_ARGUMENT, "%s takes one number or one for each of %d dimensions, got %d", name, nd, v->n);
  for (int d = 0; d < nd; d++) {
    out[d] = v->kind == NEAP_INTS ? v->is[v->n == 1 ? 0 : d] : standard;
    if (out[d] < least || out[d] > INT32_MAX)
      return np_reject(c, NEAP_ERR_ARGUMENT, "%s is %lld, it must be from %lld to 2^31 - 1", name, (long long)out[d], (long long)least);
  }
  return NEAP_OK;
}

int np_need_int(np_call *c, const char *name, const neap_tensor *t) {
  if (NP_LIKELY(np_is_int(t->at.dtype))) return NEAP_OK;
  return np_reject(c, NEAP_ERR_DTYPE, "%s must hold integers, got %s", name, np_dtypes[t->at.dtype].info.name);
}

void np_dim_text(char *buffer, size_t size, const np_call *c, int dim, const char *name, const neap_tensor *t) {
  np_text text;
  np_text_init(&text, buffer, size);
  np_text_add(&text, "dimension %lld of %s has size %lld", NP_DIM(c, dim), name, (long long)(t->at.ndim ? t->at.shape[dim] : 1));
}

int np_larger(np_call *c, const char *name, const neap_tensor *t, const char *of, const neap_tensor *x) {
  char a[128], b[128];
  np_shape_text(a, sizeof a, t);
  np_shape_text(b, sizeof b, x);
  return np_reject(c, NEAP_ERR_SHAPE, "%s %s is larger than %s %s", name, a, of, b);
}

typedef struct zeroing {
  char *data;
  int64_t bytes, block;
} zeroing;

static void zero_task(void *arg, int64_t i) {
  const zeroing *z = arg;
  int64_t from = i * z->block;
  memset(z->data + from, 0, (size_t)np_min(z->block, z->bytes - from));
}

int np_zero(neap_context *c, neap_tensor *t) {
  zeroing z = { .data = np_data(t), .bytes = t->at.count * np_size_of(t->at.dtype), .block = 16 * (int64_t)NP_GRAIN };
  if (z.bytes) np_parallel(c, np_blocks(z.bytes, z.block), (double)z.bytes * 0.05, zero_task, &z);
  return NEAP_OK;
}

int np_add_into(neap_context *c, neap_tensor *y, neap_tensor *x) {
  neap_tensor *in[2] = { y, x };
  int ctype = np_ctype(y->at.dtype);
  np_map_job job = { .map = c->kernels->map[ctype][NP_EW_add], .ctype = ctype, .n_in = 2, .in = in, .out = y };
  return np_map_run(c, &job);
}

uint32_t np_mask_of(const neap_value *dims, int ndim) {
  if (dims->kind == NEAP_NONE || dims->n == 0) return (1u << ndim) - 1;
  uint32_t mask = 0;
  for (int i = 0; i < dims->n; i++) mask |= 1u << (dims->is[i] < 0 ? dims->is[i] + (ndim ? ndim : 1) : dims->is[i]);
  return mask & ((1u << ndim) - 1);
}

neap_tensor *np_keep_dims(neap_context *c, neap_tensor *y, const np_layout *x, uint32_t mask) {
  if (!y || y->at.ndim == x->ndim) return y;
  int64_t shape[NEAP_MAX_DIMS];
  for (int i = 0; i < x->ndim; i++) shape[i] = mask >> i & 1 ? 1 : x->shape[i];
  return neap_reshape(c, y, x->ndim, shape);
}

neap_tensor *np_permuted(neap_context *c, neap_tensor *x, uint32_t mask, int dtype) {
  np_layout l = x->at;
  int n = 0;
  for (uint32_t last = 0; last < 2; last++)
    for (int i = 0; i < x->at.ndim; i++)
      if ((mask >> i & 1) == last) {
        l.shape[n] = x->at.shape[i];
        l.stride[n++] = x->at.stride[i];
      }
  neap_tensor *view = np_tensor_on(c, x->storage, &l);
  neap_tensor *y = np_contiguous_of(c, view, dtype);
  neap_release(view);
  return y;
}

neap_tensor *np_zeros_like(neap_context *c, const np_layout *at) {
  neap_tensor *z = np_tensor_new(c, at->dtype, at->ndim, at->shape);
  if (z) np_zero(c, z);
  return z;
}

neap_tensor *np_room(neap_tensor *y, int dtype) {
  return y->at.dtype == dtype && np_contiguous(y) ? neap_retain(y) : np_tensor_like(y, dtype);
}
void np_deliver(neap_context *c, neap_tensor *y, neap_tensor *t) {
  if (t && t != y && !np_failed(c)) np_copy(c, y, t);
  neap_release(t);
}
