/* Storages: bytes with an owner. Small ones of our own lie in one block with their struct; large ones apart, so that a
 * power of two of bytes stays one and shares the pool's classes with its like. Borrowed ones (host memory, mapped files)
 * come back through their callback. Every block of a heap keeps it alive, so a storage may outlive its context and end
 * on any thread. */
#include "tensor.h"

enum { HEADER = (sizeof(np_storage) + 63) / 64 * 64, APART_FROM = 8192 };

np_storage *np_storage_new(neap_context *c, size_t bytes) {
  int apart = bytes >= APART_FROM;
  size_t block = apart ? sizeof(np_storage) : HEADER + (bytes ? bytes : 1);
  np_storage *s = np_alloc(c, block);
  if (!s) return NULL;
  char *data = apart ? np_alloc(c, bytes) : (char *)s + HEADER;
  if (!data) {
    np_free(c, s, block);
    return NULL;
  }
  *s = (np_storage){.data = data, .bytes = bytes, .heap = c->heap, .apart = (uint8_t)apart, .block = block};
  atomic_init(&s->refs, 1);
  return s;
}

np_storage *np_storage_wrap(neap_context *c, void *data, size_t bytes, int read_only, void (*release)(void *, void *),
                            void *user) {
  np_storage *s = np_alloc(c, sizeof *s);
  if (!s) return NULL;
  *s = (np_storage){.data = data, .bytes = bytes, .heap = c->heap, .read_only = read_only != 0, .borrowed = 1,
                    .release = release, .user = user, .block = sizeof *s};
  atomic_init(&s->refs, 1);
  return s;
}

np_storage *np_storage_retain(np_storage *s) {
  atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return s;
}

void np_storage_release(np_storage *s) {
  if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
  if (s->borrowed && s->release) s->release(s->user, s->data);
  if (s->apart) np_heap_free(s->heap, s->data, s->bytes);
  np_heap_free(s->heap, s, s->block); /* last: it may be what keeps the heap */
}
