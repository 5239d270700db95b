/* Safetensors, reading: eight bytes that say how long the header is, the header (JSON: name, dtype, shape, from and to),
 * then the tensors' bytes, little-endian, row-major, without gaps. The file is mapped and each tensor is a read-only view.
 *
 * The whole header is checked before anything is handed out: its length, every dtype, shape and range, names that come
 * twice, and that the ranges cover the data exactly once. jansson reads it with the system's malloc (its allocator is
 * a setting of the whole process, which is not ours to change); what it made is gone when the file is open. */
#include <stdlib.h>
#include <string.h>
#include "io.h"
#if NP_WITH_JSON
#include <jansson.h>
#endif

typedef struct entry {
  const char *name;
  const char *dtype_name; /* of a dtype that Neap does not have; else NULL */
  np_layout at;
  uint64_t from, to;
} entry;

struct neap_archive {
  neap_context *ctx;
  np_storage *file;
  size_t data; /* where the tensors' bytes begin */
  int n, n_meta;
  entry *entries;
  const char **meta; /* key, value, ... */
  char *text;        /* all names and metadata */
  size_t text_bytes;
  int n_room, meta_room;
};

static void free_archive(neap_archive *a) {
  neap_context *c = a->ctx;
  if (a->entries) np_free(c, a->entries, (size_t)a->n_room * sizeof *a->entries);
  if (a->meta) np_free(c, a->meta, (size_t)a->meta_room * 2 * sizeof *a->meta);
  if (a->text) np_free(c, a->text, a->text_bytes);
  np_storage_release(a->file);
  np_free(c, a, sizeof *a);
}

#if NP_WITH_JSON

static const struct { const char *name; int dtype; unsigned bytes; } kinds[] = {
    {"F32", NEAP_F32, 4},  {"F64", NEAP_F64, 8},   {"I64", NEAP_I64, 8}, {"I32", NEAP_I32, 4}, {"I16", NEAP_I16, 2},
    {"I8", NEAP_I8, 1},    {"U8", NEAP_U8, 1},     {"U16", NEAP_U16, 2}, {"BOOL", NEAP_BOOL, 1}, {"BF16", NEAP_BF16, 2},
    {"F16", NEAP_F16, 2},  {"U32", -1, 4},         {"U64", -1, 8},       {"F8_E4M3", -1, 1},   {"F8_E5M2", -1, 1},
};

typedef struct reader {
  neap_context *ctx;
  const char *path;
  neap_archive *a;
  char *text; /* where the next name goes */
} reader;

static const char *keep_text(reader *r, const char *s) {
  size_t bytes = strlen(s) + 1;
  char *at = memcpy(r->text, s, bytes);
  r->text += bytes;
  return at;
}

static int read_shape(reader *r, const char *name, const json_t *shape, int dtype, np_layout *l) {
  int64_t sizes[NEAP_MAX_DIMS];
  size_t n = json_array_size(shape);
  if (!json_is_array(shape)) return np_bad_file(r->ctx, r->path, "tensor \"%s\" has no shape", name);
  if (n > NEAP_MAX_DIMS)
    return np_bad_file(r->ctx, r->path, "tensor \"%s\" has %zu dimensions; Neap has at most %d", name, n, NEAP_MAX_DIMS);
  for (size_t i = 0; i < n; i++) {
    const json_t *size = json_array_get(shape, i);
    if (!json_is_integer(size)) return np_bad_file(r->ctx, r->path, "the shape of tensor \"%s\" is not all integers", name);
    sizes[i] = json_integer_value(size);
  }
  if (np_layout_set(l, dtype, (int)n, sizes) != 0)
    return np_bad_file(r->ctx, r->path, "the shape of tensor \"%s\" is negative or too large", name);
  return NEAP_OK;
}

static int read_entry(reader *r, const char *name, const json_t *about, entry *e) {
  const char *dtype = json_string_value(json_object_get(about, "dtype"));
  const json_t *range = json_object_get(about, "data_offsets");
  const json_t *from = json_array_get(range, 0), *to = json_array_get(range, 1);
  size_t k = 0, data = r->a->file->bytes - r->a->data;
  if (!dtype) return np_bad_file(r->ctx, r->path, "tensor \"%s\" has no dtype", name);
  while (k < NP_ARRAY(kinds) && strcmp(kinds[k].name, dtype) != 0) k++;
  if (k == NP_ARRAY(kinds)) return np_bad_file(r->ctx, r->path, "tensor \"%s\" has the unknown dtype \"%.20s\"", name, dtype);
  int status = read_shape(r, name, json_object_get(about, "shape"), kinds[k].dtype < 0 ? NEAP_U8 : kinds[k].dtype, &e->at);
  if (status != NEAP_OK) return status;
  if (json_array_size(range) != 2 || !json_is_integer(from) || !json_is_integer(to) || json_integer_value(from) < 0)
    return np_bad_file(r->ctx, r->path, "tensor \"%s\" has no range of bytes", name);
  e->from = (uint64_t)json_integer_value(from);
  e->to = (uint64_t)json_integer_value(to); /* a negative one becomes huge */
  if (e->to < e->from || e->to > data)
    return np_bad_file(r->ctx, r->path, "the bytes of tensor \"%s\" lie outside of the file", name);
  if (e->to - e->from != (uint64_t)e->at.count * kinds[k].bytes)
    return np_bad_file(r->ctx, r->path, "tensor \"%s\" has %llu bytes, its shape needs %llu", name,
                       (unsigned long long)(e->to - e->from), (unsigned long long)e->at.count * kinds[k].bytes);
  e->dtype_name = kinds[k].dtype < 0 ? kinds[k].name : NULL;
  e->name = keep_text(r, name);
  return NEAP_OK;
}

static int read_metadata(reader *r, json_t *meta) {
  const char *key;
  json_t *value;
  if (!json_is_object(meta)) return np_bad_file(r->ctx, r->path, "its __metadata__ is not an object");
  json_object_foreach(meta, key, value) {
    if (!json_is_string(value)) return np_bad_file(r->ctx, r->path, "its metadata \"%s\" is not a string", key);
    r->a->meta[2 * r->a->n_meta] = keep_text(r, key);
    r->a->meta[2 * r->a->n_meta + 1] = keep_text(r, json_string_value(value));
    r->a->n_meta++;
  }
  return NEAP_OK;
}

static int by_start(const void *a, const void *b) {
  const uint64_t *x = a, *y = b;
  if (x[0] != y[0]) return x[0] < y[0] ? -1 : 1;
  return x[1] < y[1] ? -1 : x[1] > y[1];
}

/* The ranges, sorted, must follow each other from the first byte to the last. */
static int check_cover(reader *r) {
  neap_archive *a = r->a;
  size_t bytes = (size_t)a->n * 2 * sizeof(uint64_t);
  uint64_t (*ranges)[2] = np_alloc(r->ctx, bytes), end = 0, data = a->file->bytes - a->data;
  int status = NEAP_OK;
  if (!ranges) return NEAP_ERR_MEMORY;
  for (int i = 0; i < a->n; i++) ranges[i][0] = a->entries[i].from, ranges[i][1] = a->entries[i].to;
  qsort(ranges, (size_t)a->n, sizeof *ranges, by_start);
  for (int i = 0; i < a->n && status == NEAP_OK; i++) {
    if (ranges[i][0] != end)
      status = np_bad_file(r->ctx, r->path, "its tensors %s at byte %llu of the data", ranges[i][0] < end ? "overlap" : "leave a gap",
                           (unsigned long long)(ranges[i][0] < end ? ranges[i][0] : end));
    end = ranges[i][1];
  }
  if (status == NEAP_OK && end != data)
    status = np_bad_file(r->ctx, r->path, "its tensors end at byte %llu of %llu", (unsigned long long)end, (unsigned long long)data);
  np_free(r->ctx, ranges, bytes);
  return status;
}

/* How much room the header's names and pairs need. */
static void measure(neap_archive *a, json_t *root) {
  const char *key, *inner;
  json_t *value, *pair;
  json_object_foreach(root, key, value) {
    if (strcmp(key, "__metadata__") != 0) {
      a->n_room++;
      a->text_bytes += strlen(key) + 1;
      continue;
    }
    json_object_foreach(value, inner, pair) {
      const char *text = json_string_value(pair);
      a->meta_room++;
      a->text_bytes += strlen(inner) + 1 + (text ? strlen(text) + 1 : 0);
    }
  }
}

static int read_header(reader *r, json_t *root) {
  neap_archive *a = r->a;
  const char *key;
  json_t *value;
  if (json_object_size(root) > INT32_MAX) return np_bad_file(r->ctx, r->path, "it has too many tensors");
  measure(a, root);
  a->entries = np_alloc_zero(r->ctx, (size_t)a->n_room * sizeof *a->entries);
  a->meta = np_alloc_zero(r->ctx, (size_t)a->meta_room * 2 * sizeof *a->meta);
  a->text = np_alloc(r->ctx, a->text_bytes);
  if (!a->entries || !a->meta || !a->text) return NEAP_ERR_MEMORY;
  r->text = a->text;
  json_object_foreach(root, key, value) {
    int status = strcmp(key, "__metadata__") == 0 ? read_metadata(r, value) : read_entry(r, key, value, &a->entries[a->n]);
    if (status != NEAP_OK) return status;
    if (strcmp(key, "__metadata__") != 0) a->n++;
  }
  return check_cover(r);
}

static int read_archive(neap_archive *a, const char *path) {
  const uint64_t most = 100000000;
  reader r = {.ctx = a->ctx, .path = path, .a = a};
  json_error_t error;
  uint64_t length = 0;
  if (a->file->bytes < 8) return np_bad_file(r.ctx, path, "it is too short for a safetensors file");
  const uint8_t *bytes = (const uint8_t *)a->file->data;
  for (int i = 7; i >= 0; i--) length = length << 8 | bytes[i];
  if (length > most || length > a->file->bytes - 8)
    return np_bad_file(r.ctx, path, "not a safetensors file: its header would have %llu bytes", (unsigned long long)length);
  a->data = 8 + (size_t)length;
  if (length == 0 || bytes[8] != '{') return np_bad_file(r.ctx, path, "not a safetensors file: its header is not JSON");
  json_t *root = json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!root && json_error_code(&error) == json_error_out_of_memory)
    return np_fail(r.ctx, NEAP_ERR_MEMORY, "out of memory: the header of \"%s\"", path);
  if (!root) return np_bad_file(r.ctx, path, "its header is not valid: %s", error.text);
  int status = read_header(&r, root);
  json_decref(root);
  return status;
}

#else

static int read_archive(neap_archive *a, const char *path) {
  (void)path;
  return np_fail(a->ctx, NEAP_ERR_UNSUPPORTED, "archive: this build of Neap has no safetensors files (NEAP_JSON)");
}

#endif

neap_archive *neap_archive_open(neap_context *c, const char *path) {
  if (np_failed(c)) return NULL;
  neap_archive *a = np_alloc_zero(c, sizeof *a);
  if (!a) return NULL;
  a->ctx = c;
  a->file = np_map_storage(c, path);
  if (a->file && read_archive(a, path) == NEAP_OK) {
    c->handles++;
    return a;
  }
  free_archive(a);
  return NULL;
}

int neap_archive_count(const neap_archive *a) { return a ? a->n : 0; }
const char *neap_archive_name(const neap_archive *a, int i) { return a && i >= 0 && i < a->n ? a->entries[i].name : NULL; }

neap_tensor *neap_archive_tensor(neap_archive *a, int i) {
  if (!a) return NULL;
  neap_context *c = a->ctx;
  if (np_failed(c)) return NULL;
  if (i < 0 || i >= a->n) {
    np_fail(c, NEAP_ERR_INDEX, "archive: there is no tensor %lld; it has %d", (long long)i + c->site.base, a->n);
    return NULL;
  }
  const entry *e = &a->entries[i];
  if (e->dtype_name) {
    np_fail(c, NEAP_ERR_UNSUPPORTED, "archive: tensor \"%s\" has dtype %s, which Neap does not have", e->name, e->dtype_name);
    return NULL;
  }
  return np_map_tensor(c, a->file, a->data + (size_t)e->from, &e->at);
}

int neap_archive_meta_count(const neap_archive *a) { return a ? a->n_meta : 0; }

const char *neap_archive_meta(const neap_archive *a, int i, const char **value) {
  int there = a && i >= 0 && i < a->n_meta;
  if (value) *value = there ? a->meta[2 * i + 1] : NULL;
  return there ? a->meta[2 * i] : NULL;
}

void neap_archive_close(neap_archive *a) {
  if (!a) return;
  neap_context *c = a->ctx;
  free_archive(a);
  np_context_drop(c);
}
