/* Safetensors, writing. The header lists the tensors in the caller's order; their bytes stand in the order of their
 * elements' sizes, largest first, and the header is padded to a multiple of eight: so every tensor lies aligned and
 * reading it back needs no copy. The file appears whole or not at all (np_writer). */
#include <stdlib.h>
#include <string.h>
#include "io.h"
#if NP_WITH_JSON
#include <jansson.h>

typedef struct saving {
  neap_context *ctx;
  int n;
  const char *const *names;
  neap_tensor *const *tensors;
} saving;

static const char *const letters[NEAP_DTYPES] = {
    [NEAP_F32] = "F32", [NEAP_F64] = "F64", [NEAP_I64] = "I64", [NEAP_I32] = "I32",   [NEAP_I16] = "I16",  [NEAP_I8] = "I8",
    [NEAP_U8] = "U8",   [NEAP_U16] = "U16", [NEAP_BF16] = "BF16", [NEAP_F16] = "F16", [NEAP_BOOL] = "BOOL",
};

static int64_t bytes_of(const neap_tensor *t) { return t->at.count * np_size_of(t->at.dtype); }

/* Calls visit for each tensor in the order of their bytes in the file. */
static int each_in_order(saving *s, int (*visit)(saving *, int, void *), void *arg) {
  for (int size = 8; size >= 1; size /= 2)
    for (int i = 0; i < s->n; i++)
      if (np_size_of(s->tensors[i]->at.dtype) == size) {
        int status = visit(s, i, arg);
        if (status != NEAP_OK) return status;
      }
  return NEAP_OK;
}

static int no_room(neap_context *c) { return np_fail(c, NEAP_ERR_MEMORY, "save: out of memory for the header"); }

/* ---- the header ---- */

typedef struct placing {
  int64_t *from;
  int64_t end;
} placing;

static int place(saving *s, int i, void *arg) {
  placing *p = arg;
  p->from[i] = p->end;
  p->end += bytes_of(s->tensors[i]);
  return NEAP_OK;
}

static int add_tensor(saving *s, json_t *root, int i, int64_t from) {
  const neap_tensor *t = s->tensors[i];
  const char *name = s->names[i];
  if (!name || strcmp(name, "__metadata__") == 0)
    return np_fail(s->ctx, NEAP_ERR_ARGUMENT, "save: a tensor cannot have the name %s", name ? name : "NULL");
  if (json_object_get(root, name)) return np_fail(s->ctx, NEAP_ERR_ARGUMENT, "save: the name \"%s\" is there twice", name);
  json_t *shape = json_array();
  for (int d = 0; shape && d < t->at.ndim; d++)
    if (json_array_append_new(shape, json_integer(t->at.shape[d])) != 0) {
      json_decref(shape);
      return no_room(s->ctx);
    }
  json_t *about = json_pack("{s:s, s:o, s:[I, I]}", "dtype", letters[t->at.dtype], "shape", shape, "data_offsets",
                            (json_int_t)from, (json_int_t)(from + bytes_of(t)));
  if (!about) return no_room(s->ctx);
  json_t *text = json_string(name); /* NULL when it is not UTF-8 */
  int utf8 = text != NULL;
  json_decref(text);
  if (json_object_set_new(root, name, about) == 0) return NEAP_OK;
  return utf8 ? no_room(s->ctx) : np_fail(s->ctx, NEAP_ERR_ARGUMENT, "save: the name of tensor %d is not UTF-8", i + s->ctx->site.base);
}

static int add_metadata(saving *s, json_t *root, int n, const char *const *pairs) {
  json_t *meta = n > 0 ? json_object() : NULL;
  if (n <= 0) return NEAP_OK;
  for (int i = 0; i < n; i++)
    if (!pairs[2 * i] || json_object_set_new(meta, pairs[2 * i], json_string(pairs[2 * i + 1])) != 0) {
      json_decref(meta);
      return np_fail(s->ctx, NEAP_ERR_ARGUMENT, "save: metadata pair %d is not two texts in UTF-8", i + s->ctx->site.base);
    }
  return json_object_set_new(root, "__metadata__", meta) == 0 ? NEAP_OK : no_room(s->ctx);
}

static int make_header(saving *s, json_t *root, int n_meta, const char *const *metadata) {
  size_t bytes = (size_t)s->n * sizeof(int64_t);
  placing p = {.from = np_alloc(s->ctx, bytes)};
  if (!p.from) return NEAP_ERR_MEMORY;
  int status = add_metadata(s, root, n_meta, metadata);
  each_in_order(s, place, &p);
  for (int i = 0; i < s->n && status == NEAP_OK; i++) status = add_tensor(s, root, i, p.from[i]);
  np_free(s->ctx, p.from, bytes);
  return status;
}

/* ---- the bytes ---- */

static int put_header(np_writer *w, const char *json) {
  size_t length = strlen(json), padded = (length + 7) / 8 * 8;
  uint8_t head[8];
  for (int i = 0; i < 8; i++) head[i] = (uint8_t)((uint64_t)padded >> 8 * i);
  int status = np_writer_write(w, head, 8);
  if (status == NEAP_OK) status = np_writer_write(w, json, length);
  return status == NEAP_OK ? np_writer_write(w, "        ", padded - length) : status;
}

static int put_tensor(saving *s, int i, void *writer) {
  const neap_tensor *t = s->tensors[i];
  const np_layout *layouts[] = {&t->at};
  int64_t size = np_size_of(t->at.dtype), at;
  char tile[8192];
  np_iter it;
  np_iter_init(&it, 1, layouts, t->at.ndim, t->at.shape);
  for (int64_t row = 0; row < it.rows; row++) {
    np_iter_row(&it, row, &at);
    const char *p = np_data(t) + at * size;
    int64_t step = it.stride[0] * size, most = it.stride[0] == 1 ? it.n : (int64_t)sizeof tile / size;
    for (int64_t done = 0; done < it.n; done += most, p += most * step) {
      int64_t n = it.n - done < most ? it.n - done : most;
      for (int64_t k = 0; k < n && it.stride[0] != 1; k++) memcpy(tile + k * size, p + k * step, (size_t)size);
      int status = np_writer_write(writer, it.stride[0] == 1 ? p : tile, (size_t)(n * size));
      if (status != NEAP_OK) return status;
    }
  }
  return NEAP_OK;
}

int neap_save(neap_context *c, const char *path, int n, const char *const *names, neap_tensor *const *tensors, int n_meta,
              const char *const *metadata) {
  if (np_failed(c)) return c->error;
  if (n < 0) return np_fail(c, NEAP_ERR_ARGUMENT, "save: %d tensors", n);
  for (int i = 0; i < n; i++)
    if (!tensors[i]) return np_fail(c, NEAP_ERR_ARGUMENT, "save: tensor %d is NULL", i + c->site.base);
  saving s = {.ctx = c, .n = n, .names = names, .tensors = tensors};
  json_t *root = json_object();
  int status = root ? make_header(&s, root, n_meta, metadata) : no_room(c);
  char *json = status == NEAP_OK ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  if (status != NEAP_OK) return status;
  if (!json) return no_room(c);
  np_writer *w = np_writer_open(c, path);
  status = w ? put_header(w, json) : (int)c->error;
  free(json);
  if (status == NEAP_OK) status = each_in_order(&s, put_tensor, w);
  if (status == NEAP_OK) return np_writer_commit(w);
  np_writer_abandon(w);
  return status;
}

#else

int neap_save(neap_context *c, const char *path, int n, const char *const *names, neap_tensor *const *tensors, int n_meta,
              const char *const *metadata) {
  (void)path, (void)n, (void)names, (void)tensors, (void)n_meta, (void)metadata;
  return np_fail(c, NEAP_ERR_UNSUPPORTED, "save: this build of Neap has no safetensors files (NEAP_JSON)");
}

#endif
