/* Mapped files as tensors, without a copy: a storage over the whole file, and storages over its parts that keep it. A
 * mapped tensor is read-only. Nothing here knows a file format. */
#include <stdio.h>
#include <string.h>
#include "io.h"

typedef struct mapped {
  np_mapping map;
  np_heap *heap;
} mapped;

static void unmap(void *user, void *data) {
  mapped *m = user;
  (void)data;
  np_unmap_file(&m->map);
  np_heap_free(m->heap, m, sizeof *m);
}

np_storage *np_map_storage(neap_context *c, const char *path) {
  mapped *m = np_alloc(c, sizeof *m);
  if (!m) return NULL;
  m->heap = c->heap;
  if (np_map_file(c, path, &m->map) == NEAP_OK) {
    np_storage *s = np_storage_wrap(c, (void *)(uintptr_t)m->map.data, m->map.size, 1, unmap, m);
    if (s) return s;
    np_unmap_file(&m->map);
  }
  np_free(c, m, sizeof *m);
  return NULL;
}

static void release_file(void *user, void *data) {
  (void)data;
  np_storage_release(user);
}

neap_tensor *np_map_tensor(neap_context *c, np_storage *file, size_t at, const np_layout *l) {
  size_t bytes = (size_t)l->count * (size_t)np_size_of(l->dtype);
  char *data = file->data + at;
  np_storage *s;
  if ((uintptr_t)data % (size_t)np_size_of(l->dtype) == 0) {
    s = np_storage_wrap(c, data, bytes, 1, release_file, file);
    if (!s) return NULL;
    np_storage_retain(file);
  } else {
    s = np_storage_new(c, bytes);
    if (!s) return NULL;
    memcpy(s->data, data, bytes);
    s->read_only = 1;
  }
  neap_tensor *t = np_tensor_on(c, s, l);
  np_storage_release(s);
  return t;
}

neap_tensor *neap_map_file(neap_context *c, const char *path, neap_dtype d, int64_t offset, int ndim, const int64_t *shape) {
  np_layout l;
  if (np_failed(c)) return NULL;
  if ((unsigned)d >= NEAP_DTYPES) {
    np_fail(c, NEAP_ERR_DTYPE, "map_file: there is no dtype with number %d", (int)d);
    return NULL;
  }
  if (np_layout_set(&l, d, ndim, shape) != 0) {
    np_shape_fail(c, "map_file", ndim, shape);
    return NULL;
  }
  size_t size = (size_t)np_size_of(d), bytes = (size_t)l.count * size;
  if (offset < 0 || (size_t)offset % size != 0) {
    np_fail(c, NEAP_ERR_ARGUMENT, "map_file: offset is %lld; it must be a multiple of %zu, the bytes of a %s", (long long)offset,
            size, np_dtypes[d].info.name);
    return NULL;
  }
  np_storage *file = np_map_storage(c, path);
  if (!file) return NULL;
  neap_tensor *t = NULL;
  if ((size_t)offset > file->bytes || bytes > file->bytes - (size_t)offset)
    np_bad_file(c, path, "it has %zu bytes, and %zu from offset %lld on are asked for", file->bytes, bytes, (long long)offset);
  else t = np_map_tensor(c, file, (size_t)offset, &l);
  np_storage_release(file);
  return t;
}

/* ---- shared by the readers ---- */

enum { SIZE_ROOM = 16 }; /* the size stands before the block; 16 keeps malloc's alignment */

void *np_lib_alloc(neap_context *c, size_t size) {
  if (size > SIZE_MAX - SIZE_ROOM) return NULL;
  char *p = np_heap_alloc(c->heap, size + SIZE_ROOM);
  if (!p) return NULL;
  memcpy(p, &size, sizeof size);
  return p + SIZE_ROOM;
}

void np_lib_free(neap_context *c, void *block) {
  size_t size;
  if (!block) return;
  char *p = (char *)block - SIZE_ROOM;
  memcpy(&size, p, sizeof size);
  np_heap_free(c->heap, p, size + SIZE_ROOM);
}

int np_bad_file(neap_context *c, const char *path, const char *format, ...) {
  char reason[512];
  va_list args;
  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  return np_fail(c, NEAP_ERR_FORMAT, "cannot read \"%s\": %s", path, reason);
}
