/* A file's bytes in order, plain or gzip (several members may follow each other), told apart by the first two bytes.
 * The file is mapped, so what is left of it is known; how much a gzip stream holds is known only at its end. */
#include <string.h>
#include "source.h"

int np_source_short(np_source *s) { return np_bad_file(s->ctx, s->path, "it ends before its last element"); }

#if NP_WITH_ZLIB

static voidpf z_alloc(voidpf c, uInt items, uInt size) { return np_lib_alloc(c, (size_t)items * size); }
static void z_free(voidpf c, voidpf block) { np_lib_free(c, block); }

static int open_zip(np_source *s) {
  s->z = (z_stream){.zalloc = z_alloc, .zfree = z_free, .opaque = s->ctx};
  s->zipped = inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK;
  return s->zipped ? NEAP_OK : np_fail(s->ctx, NEAP_ERR_MEMORY, "out of memory while reading \"%s\"", s->path);
}

static void close_zip(np_source *s) {
  if (s->zipped) inflateEnd(&s->z);
}

/* Inflates until out is full or the input ends; several gzip members may follow each other. Sets how many came. */
static int read_zip(np_source *s, uint8_t *out, size_t n, size_t *got) {
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
    if (result == Z_MEM_ERROR) return np_fail(s->ctx, NEAP_ERR_MEMORY, "out of memory while reading \"%s\"", s->path);
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

static int open_zip(np_source *s) {
  return np_fail(s->ctx, NEAP_ERR_UNSUPPORTED, "\"%s\" is gzip, which this build cannot read (NEAP_ZLIB)", s->path);
}
static void close_zip(np_source *s) { (void)s; }
static int read_zip(np_source *s, uint8_t *out, size_t n, size_t *got) {
  (void)out, (void)n;
  *got = 0;
  return np_source_short(s);
}

#endif

int np_source_read(np_source *s, void *out, size_t n) {
  size_t got = n <= s->left ? n : s->left;
  if (s->zipped) {
    int status = read_zip(s, out, n, &got);
    if (status != NEAP_OK) return status;
  } else {
    memcpy(out, s->at, got);
    s->at += got;
    s->left -= got;
  }
  return got == n ? NEAP_OK : np_source_short(s);
}

int np_source_end(np_source *s) {
  uint8_t more;
  size_t got = s->left > 0;
  if (s->zipped) {
    int status = read_zip(s, &more, 1, &got);
    if (status != NEAP_OK) return status;
    if (!got && !s->complete) return np_bad_file(s->ctx, s->path, "its gzip stream is cut short");
  }
  return got ? np_bad_file(s->ctx, s->path, "it goes on after its last element") : NEAP_OK;
}

int np_source_open(np_source *s, neap_context *c, const char *path) {
  *s = (np_source){.ctx = c, .path = path};
  if (np_map_file(c, path, &s->map) != NEAP_OK) return c->error;
  s->at = s->map.data;
  s->left = s->map.size;
  if (s->left < 2 || s->at[0] != 0x1f || s->at[1] != 0x8b || open_zip(s) == NEAP_OK) return NEAP_OK;
  np_unmap_file(&s->map);
  return c->error;
}

void np_source_close(np_source *s) {
  close_zip(s);
  np_unmap_file(&s->map);
}

int np_source_size(np_source *s, size_t *size) {
  uint8_t scratch[16384];
  np_source whole;
  *size = s->left;
  if (!s->zipped) return NEAP_OK;
  if (np_source_open(&whole, s->ctx, s->path) != NEAP_OK) return s->ctx->error;
  size_t got = sizeof scratch;
  int status = NEAP_OK;
  for (*size = 0; status == NEAP_OK && got == sizeof scratch; *size += got) status = read_zip(&whole, scratch, sizeof scratch, &got);
  np_source_close(&whole);
  return status;
}
