/* A whole file as bytes, plain or gzip: for formats that a script reads itself, such as text and tables. */
#include "source.h"

static neap_tensor *read_all(np_source *s) {
  size_t size;
  if (np_source_size(s, &size) != NEAP_OK) return NULL;
  neap_tensor *t = np_tensor_new(s->ctx, NEAP_U8, 1, (int64_t[]){(int64_t)size});
  if (!t || (np_source_read(s, np_data(t), size) == NEAP_OK && np_source_end(s) == NEAP_OK)) return t;
  neap_release(t);
  return NULL;
}

neap_tensor *neap_read_bytes(neap_context *c, const char *path) {
  np_source s;
  if (np_failed(c) || np_source_open(&s, c, path) != NEAP_OK) return NULL;
  neap_tensor *t = read_all(&s);
  np_source_close(&s);
  return t;
}
