/* Storages: bytes with an owner. Our own lie in one block with their struct; borrowed ones (host memory, mapped files)
 * come back through their callback. A storage holds its heap, so it may outlive its context and end on any thread. */
#include "tensor.h"

enum { HEADER = (sizeof(np_storage) + 63) / 64 * 64 };

np_storage *np_storage_new(neap_context *c, size_t bytes) {
  size_t block = HEADER + (bytes ? bytes : 1);
  np_storage *s = block > bytes ? np_alloc(c, block) : NULL;
  if (!s) return NULL;
  *s = (np_storage){ .data = (char *)s + HEADER, .bytes = bytes, .heap = np_heap_retain(c->heap), .block = block };
  atomic_init(&s->refs, 1);
  return s;
}

np_storage *np_storage_wrap(neap_context *c, void *data, size_t bytes, int read_only, void (*release)(void *, void *), void *user) {
  np_storage *s = np_alloc(c, sizeof *s);
  if (!s) return NULL;
  *s = (np_storage){ .data = data, .bytes = bytes, .heap = np_heap_retain(c->heap), .read_only = read_only != 0,
    .borrowed = 1, .release = release, .user = user, .block = sizeof *s };
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
  np_heap *h = s->heap;
  np_heap_free(h, s, s->block);
  np_heap_release(h);
}
