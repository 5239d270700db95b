/* What the outside asks of a tensor: how it lies, its elements one by one, host memory as a tensor, and the same memory
 * from another context. The conversions here are for single elements; bulk work is in ops/. */
#include <math.h>
#include <string.h>
#include "tensor.h"

/* ---- one element ---- */

static float half_to_float(uint16_t h) {
  int e = h >> 10 & 31, m = h & 1023;
  float v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf((float)(m + 1024), e - 25) : ldexpf((float)m, -24);
  return h >> 15 ? -v : v;
}

static uint16_t float_to_half(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
  float a = fabsf(f);
  if (a != a) return (uint16_t)(sign | 0x7e00);
  if (a >= 65520.0f) return (uint16_t)(sign | 0x7c00);
  if (a < 0x1p-14f) return (uint16_t)(sign | (uint16_t)lrintf(a * 0x1p24f)); /* rounds to even, may carry into normals */
  int e;
  float m = frexpf(a, &e); /* [0.5, 1) */
  uint32_t q = (uint32_t)lrintf(m * 2048.0f); /* 1024..2048 */
  return (uint16_t)(sign | (((uint32_t)(e + 14) << 10) + (q - 1024)));
}

static uint16_t float_to_bfloat(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  if (f != f) return (uint16_t)(u >> 16 | 64);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float bfloat_to_float(uint16_t h) {
  uint32_t u = (uint32_t)h << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static int64_t to_int(double v) {
  return v != v ? 0 : v >= 9223372036854775808.0 ? INT64_MAX : v < -9223372036854775808.0 ? INT64_MIN : (int64_t)v;
}

double np_get_number(int dtype, const void *p) {
  switch (dtype) {
  case NEAP_F32: return *(const float *)p;
  case NEAP_F64: return *(const double *)p;
  case NEAP_BF16: return bfloat_to_float(*(const uint16_t *)p);
  case NEAP_F16: return half_to_float(*(const uint16_t *)p);
  default: return (double)np_get_int(dtype, p);
  }
}

int64_t np_get_int(int dtype, const void *p) {
  switch (dtype) {
  case NEAP_I64: return *(const int64_t *)p;
  case NEAP_I32: return *(const int32_t *)p;
  case NEAP_I16: return *(const int16_t *)p;
  case NEAP_I8: return *(const int8_t *)p;
  case NEAP_U16: return *(const uint16_t *)p;
  case NEAP_U8: case NEAP_BOOL: return *(const uint8_t *)p;
  default: return to_int(np_get_number(dtype, p));
  }
}

void np_put_int(int dtype, void *p, int64_t v) {
  switch (dtype) {
  case NEAP_I64: *(int64_t *)p = v; break;
  case NEAP_I32: *(int32_t *)p = (int32_t)v; break;
  case NEAP_I16: case NEAP_U16: *(uint16_t *)p = (uint16_t)v; break;
  case NEAP_I8: case NEAP_U8: *(uint8_t *)p = (uint8_t)v; break;
  case NEAP_BOOL: *(uint8_t *)p = v != 0; break;
  default: np_put_number(dtype, p, (double)v);
  }
}

void np_put_number(int dtype, void *p, double v) {
  switch (dtype) {
  case NEAP_F32: *(float *)p = (float)v; break;
  case NEAP_F64: *(double *)p = v; break;
  case NEAP_BF16: *(uint16_t *)p = float_to_bfloat((float)v); break;
  case NEAP_F16: *(uint16_t *)p = float_to_half((float)v); break;
  case NEAP_BOOL: *(uint8_t *)p = v != 0; break;
  default: np_put_int(dtype, p, to_int(v));
  }
}

static int valid(neap_context *c, neap_dtype d) {
  if (np_failed(c)) return 0;
  if ((unsigned)d < NEAP_DTYPES) return 1;
  np_fail(c, NEAP_ERR_DTYPE, "there is no dtype with number %d", (int)d);
  return 0;
}

static int one_element(neap_tensor *t) {
  if (!t || np_failed(t->ctx)) return 0;
  if (t->at.count == 1) return 1;
  char shape[96];
  np_shape_text(shape, sizeof shape, t);
  np_fail(t->ctx, NEAP_ERR_SHAPE, "item: only a tensor with one element is a number, this one has shape %s", shape);
  return 0;
}

double neap_item(neap_tensor *t) { return one_element(t) ? np_get_number(t->at.dtype, np_data(t)) : 0; }
int64_t neap_item_int(neap_tensor *t) { return one_element(t) ? np_get_int(t->at.dtype, np_data(t)) : 0; }

int neap_copy_out(neap_tensor *t, neap_dtype d, void *out) {
  if (!t) return NEAP_ERR_ARGUMENT;
  if (!valid(t->ctx, d)) return t->ctx->error;
  const np_layout *layouts[] = { &t->at };
  np_iter it;
  np_iter_init(&it, 1, layouts, t->at.ndim, t->at.shape);
  int64_t size = np_size_of(t->at.dtype), step = np_size_of(d), at;
  char *o = out;
  for (int64_t row = 0; row < it.rows; row++) {
    np_iter_row(&it, row, &at);
    const char *p = np_data(t) + at * size;
    if (d == t->at.dtype && it.stride[0] == 1) {
      memcpy(o, p, (size_t)(it.n * size));
      o += it.n * size;
      continue;
    }
    for (int64_t i = 0; i < it.n; i++, o += step, p += it.stride[0] * size) {
      if (np_is_float(t->at.dtype)) np_put_number(d, o, np_get_number(t->at.dtype, p));
      else np_put_int(d, o, np_get_int(t->at.dtype, p));
    }
  }
  return NEAP_OK;
}

/* ---- made from the outside ---- */

neap_tensor *neap_new(neap_context *c, neap_dtype d, int ndim, const int64_t *shape) {
  return valid(c, d) ? np_tensor_new(c, d, ndim, shape) : NULL;
}

neap_tensor *neap_copy_in(neap_context *c, neap_dtype d, int ndim, const int64_t *shape, const void *data) {
  neap_tensor *t = neap_new(c, d, ndim, shape);
  if (t && t->storage->bytes) memcpy(t->storage->data, data, t->storage->bytes);
  return t;
}

neap_tensor *neap_wrap(neap_context *c, neap_dtype d, int ndim, const int64_t *shape, void *data, int read_only,
                       void (*release)(void *user, void *data), void *user) {
  np_layout l;
  if (!valid(c, d)) return NULL;
  if (np_layout_set(&l, d, ndim, shape) != 0) {
    np_shape_fail(c, "wrap", ndim, shape);
    return NULL;
  }
  if (l.count > 0 && (!data || (uintptr_t)data % (size_t)np_size_of(d) != 0)) {
    np_fail(c, NEAP_ERR_ARGUMENT, "wrap: the memory is %s", data ? "not aligned as its dtype needs" : "NULL");
    return NULL;
  }
  np_storage *s = np_storage_wrap(c, data, (size_t)l.count * (size_t)np_size_of(d), read_only, release, user);
  if (!s) return NULL;
  neap_tensor *t = np_tensor_on(c, s, &l);
  if (!t) s->release = NULL; /* the caller keeps what could not be wrapped */
  np_storage_release(s);
  return t;
}

neap_tensor *neap_share(neap_tensor *t, neap_context *other) { return t ? np_tensor_on(other, t->storage, &t->at) : NULL; }

/* ---- asked ---- */

neap_context *neap_context_of(const neap_tensor *t) { return t ? t->ctx : NULL; }
neap_dtype neap_dtype_of(const neap_tensor *t) { return t ? (neap_dtype)t->at.dtype : NEAP_F32; }
int neap_ndim(const neap_tensor *t) { return t ? t->at.ndim : 0; }
const int64_t *neap_shape(const neap_tensor *t) { return t ? t->at.shape : NULL; }
const int64_t *neap_strides(const neap_tensor *t) { return t ? t->at.stride : NULL; }
int64_t neap_count(const neap_tensor *t) { return t ? t->at.count : 0; }
int64_t neap_bytes(const neap_tensor *t) { return t ? (int64_t)t->storage->bytes : 0; }
int neap_is_contiguous(const neap_tensor *t) { return t && np_contiguous(t); }
const void *neap_read(const neap_tensor *t) { return t ? np_data(t) : NULL; }

void *neap_data(neap_tensor *t) {
  return t && !np_failed(t->ctx) && np_tensor_written(t, "neap_data") == 0 ? np_data(t) : NULL;
}
