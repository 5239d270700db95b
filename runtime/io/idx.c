/* IDX, the format of MNIST: two zero bytes, a type, a number of dimensions, the sizes (32 bits, big-endian), the elements
 * row-major and big-endian. Plain or gzip, told apart by the first bytes. What a header promises is held against the
 * file's size before memory is asked for (deflate shrinks at most about 1032 times), and the file must end with its
 * last element. */
#include <string.h>
#include "io.h"
#if NP_WITH_ZLIB
#include <zlib.h>
#endif

typedef struct source {
  neap_context *ctx;
  const char *path;
  const uint8_t *at;
  size_t left;
  int zipped, complete; /* gzip: its end was read, and its checksum held */
#if NP_WITH_ZLIB
  z_stream z;
#endif
} source;

static int too_short(source *s) { return np_bad_file(s->ctx, s->path, "it ends before its last element"); }

#if NP_WITH_ZLIB

static voidpf z_alloc(voidpf c, uInt items, uInt size) { return np_lib_alloc(c, (size_t)items * size); }
static void z_free(voidpf c, voidpf block) { np_lib_free(c, block); }

static int open_zip(source *s) {
  s->z = (z_stream){.zalloc = z_alloc, .zfree = z_free, .opaque = s->ctx};
  s->zipped = inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK;
  return s->zipped ? NEAP_OK : np_fail(s->ctx, NEAP_ERR_MEMORY, "read_idx: out of memory");
}

static void close_zip(source *s) {
  if (s->zipped) inflateEnd(&s->z);
}

/* Inflates until out is full or the input ends; several gzip members may follow each other. Sets how many came. */
static int read_zip(source *s, uint8_t *out, size_t n, size_t *got) {
  const size_t most = 1u << 30;
  *got = 0;
  while (*got < n) {
    uInt in = (uInt)(s->left < most ? s->left : most), room = (uInt)(n - *got < most ? n - *got : most);
    s->z.next_in = (Bytef *)(uintptr_t)s->at;
    s->z.avail_in = in;
    s->z.next_out = out + *got;
    s->z.avail_out = room;
    int result = inflate(&s->z, Z_NO_FLUSH);
    size_t used = in - s->z.avail_in, made = room - s->z.avail_out;
    s->at += used;
    s->left -= used;
    *got += made;
    if (result == Z_MEM_ERROR) return np_fail(s->ctx, NEAP_ERR_MEMORY, "read_idx: out of memory");
    if (result == Z_STREAM_END && s->left > 0) result = inflateReset(&s->z);
    else if (result == Z_STREAM_END || (result == Z_BUF_ERROR && s->left == 0)) {
      s->complete = result == Z_STREAM_END;
      return NEAP_OK;
    }
    if (result != Z_OK)
      return np_bad_file(s->ctx, s->path, "its gzip stream is damaged%s%s", s->z.msg ? ": " : "", s->z.msg ? s->z.msg : "");
  }
  return NEAP_OK;
}

#else

static int open_zip(source *s) {
  return np_fail(s->ctx, NEAP_ERR_UNSUPPORTED, "read_idx: \"%s\" is gzip, which this build cannot read (NEAP_ZLIB)", s->path);
}
static void close_zip(source *s) { (void)s; }
static int read_zip(source *s, uint8_t *out, size_t n, size_t *got) {
  (void)out, (void)n;
  *got = 0;
  return too_short(s);
}

#endif

static int read_bytes(source *s, void *out, size_t n) {
  size_t got = n <= s->left ? n : s->left;
  if (s->zipped) {
    int status = read_zip(s, out, n, &got);
    if (status != NEAP_OK) return status;
  } else {
    memcpy(out, s->at, got);
    s->at += got;
    s->left -= got;
  }
  return got == n ? NEAP_OK : too_short(s);
}

static int check_end(source *s) {
  uint8_t more;
  size_t got = s->left > 0;
  if (s->zipped) {
    int status = read_zip(s, &more, 1, &got);
    if (status != NEAP_OK) return status;
    if (!got && !s->complete) return np_bad_file(s->ctx, s->path, "its gzip stream is cut short");
  }
  return got ? np_bad_file(s->ctx, s->path, "it goes on after its last element") : NEAP_OK;
}

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

static int read_header(source *s, np_layout *l) {
  uint8_t head[4], sizes[4 * NEAP_MAX_DIMS];
  int64_t shape[NEAP_MAX_DIMS];
  size_t file = s->left;
  int status = read_bytes(s, head, 4);
  if (status != NEAP_OK) return status;
  int dtype = dtype_of(head[2]);
  if (head[0] || head[1] || dtype < 0) return np_bad_file(s->ctx, s->path, "not an IDX file");
  if (head[3] > NEAP_MAX_DIMS)
    return np_bad_file(s->ctx, s->path, "it has %d dimensions; Neap has at most %d", head[3], NEAP_MAX_DIMS);
  status = read_bytes(s, sizes, 4 * (size_t)head[3]);
  if (status != NEAP_OK) return status;
  for (int i = 0; i < head[3]; i++) {
    const uint8_t *b = sizes + 4 * i;
    shape[i] = (int64_t)((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]);
  }
  if (np_layout_set(l, dtype, head[3], shape) != 0) return np_bad_file(s->ctx, s->path, "its shape is too large");
  uint64_t bytes = (uint64_t)l->count * (uint64_t)np_size_of(dtype);
  return bytes / (s->zipped ? 1040 : 1) > file ? too_short(s) : NEAP_OK;
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

static neap_tensor *read_tensor(source *s) {
  np_layout l;
  if (s->left >= 2 && s->at[0] == 0x1f && s->at[1] == 0x8b && open_zip(s) != NEAP_OK) return NULL;
  if (read_header(s, &l) != NEAP_OK) return NULL;
  neap_tensor *t = np_tensor_new(s->ctx, l.dtype, l.ndim, l.shape);
  if (!t) return NULL;
  if (read_bytes(s, np_data(t), t->storage->bytes) == NEAP_OK && check_end(s) == NEAP_OK) {
    to_native(np_data(t), l.count, np_size_of(l.dtype));
    return t;
  }
  neap_release(t);
  return NULL;
}

neap_tensor *neap_read_idx(neap_context *c, const char *path) {
  np_mapping m;
  if (np_failed(c) || np_map_file(c, path, &m) != NEAP_OK) return NULL;
  source s = {.ctx = c, .path = path, .at = m.data, .left = m.size};
  neap_tensor *t = read_tensor(&s);
  close_zip(&s);
  np_unmap_file(&m);
  return t;
}
