/* IDX, the format of MNIST: two zero bytes, a type, a number of dimensions, the sizes (32 bits, big-endian), the elements
 * row-major and big-endian; plain or gzip. What a header promises is held against the
 * file's size before memory is asked for (deflate shrinks at most about 1032 times), and the file must end with its
 * last element. */
#include "source.h"

static int dtype_of(int type) {
  switch (type) {
  case 0x08: return NEAP_U8;
  case 0x09: return NEAP_I8;
  case 0x0B: return NEAP_I16;
  case 0x0C: return NEAP_I32;
  case 0x0D: return NEAP_F32;
  case 0x0E: return NEAP_F64;
  default: return -1;
  }
}

static int read_header(np_source *s, np_layout *l) {
  uint8_t head[4], sizes[4 * NEAP_MAX_DIMS];
  int64_t shape[NEAP_MAX_DIMS];
  size_t file = s->left;
  int status = np_source_read(s, head, 4);
  if (status != NEAP_OK) return status;
  int dtype = dtype_of(head[2]);
  if (head[0] || head[1] || dtype < 0) return np_bad_file(s->ctx, s->path, "not an IDX file");
  if (head[3] > NEAP_MAX_DIMS)
    return np_bad_file(s->ctx, s->path, "it has %d dimensions; Neap has at most %d", head[3], NEAP_MAX_DIMS);
  status = np_source_read(s, sizes, 4 * (size_t)head[3]);
  if (status != NEAP_OK) return status;
  for (int i = 0; i < head[3]; i++) {
    const uint8_t *b = sizes + 4 * i;
    shape[i] = (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
  }
  if (np_layout_set(l, dtype, head[3], shape) != 0) return np_bad_file(s->ctx, s->path, "its shape is too large");
  uint64_t bytes = (uint64_t)l->count * (uint64_t)np_size_of(dtype);
  return bytes / (s->zipped ? 1040 : 1) > file ? np_source_short(s) : NEAP_OK;
}

static void to_native(char *data, int64_t count, int64_t size) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (size == 2)
    for (uint16_t *p = (uint16_t *)(void *)data, *end = p + count; p < end; p++) *p = __builtin_bswap16(*p);
  if (size == 4)
    for (uint32_t *p = (uint32_t *)(void *)data, *end = p + count; p < end; p++) *p = __builtin_bswap32(*p);
  if (size == 8)
    for (uint64_t *p = (uint64_t *)(void *)data, *end = p + count; p < end; p++) *p = __builtin_bswap64(*p);
#else
  (void)data, (void)count, (void)size;
#endif
}

static neap_tensor *read_tensor(np_source *s) {
  np_layout l;
  if (read_header(s, &l) != NEAP_OK) return NULL;
  neap_tensor *t = np_tensor_new(s->ctx, l.dtype, l.ndim, l.shape);
  if (!t) return NULL;
  if (np_source_read(s, np_data(t), t->storage->bytes) == NEAP_OK && np_source_end(s) == NEAP_OK) {
    to_native(np_data(t), l.count, np_size_of(l.dtype));
    return t;
  }
  neap_release(t);
  return NULL;
}

neap_tensor *neap_read_idx(neap_context *c, const char *path) {
  np_source s;
  if (np_failed(c) || np_source_open(&s, c, path) != NEAP_OK) return NULL;
  neap_tensor *t = read_tensor(&s);
  np_source_close(&s);
  return t;
}
