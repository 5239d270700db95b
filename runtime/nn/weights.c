/* The weights of a module in a file: every parameter and buffer under its dotted name. Loading goes by name and all or
 * nothing: what is missing in the file, unknown to the module or of another shape is listed in one error, and only when
 * there is nothing to list are values written. */
#include <string.h>
#include "module.h"

typedef struct entries {
  neap_context *ctx;
  int n, room;
  size_t text, text_room;
  const char **name;
  neap_tensor **t;
  char *names;
} entries;

static int measure(void *arg, const char *name, neap_tensor *t, int buffer) {
  entries *e = arg;
  (void)t, (void)buffer;
  e->room++;
  e->text_room += strlen(name) + 1;
  return 0;
}

static int gather(void *arg, const char *name, neap_tensor *t, int buffer) {
  entries *e = arg;
  (void)buffer;
  e->name[e->n] = memcpy(e->names + e->text, name, strlen(name) + 1);
  e->t[e->n++] = t;
  e->text += strlen(name) + 1;
  return 0;
}

static void free_entries(entries *e) {
  np_free(e->ctx, e->name, (size_t)e->room * sizeof *e->name);
  np_free(e->ctx, e->t, (size_t)e->room * sizeof *e->t);
  np_free(e->ctx, e->names, e->text_room);
}

static int entries_of(neap_module *m, entries *e) {
  *e = (entries){.ctx = m->ctx};
  if (neap_module_each(m, measure, e) != 0) return e->ctx->error;
  e->name = np_alloc(e->ctx, (size_t)e->room * sizeof *e->name);
  e->t = np_alloc(e->ctx, (size_t)e->room * sizeof *e->t);
  e->names = np_alloc(e->ctx, e->text_room);
  if (!np_failed(e->ctx)) return neap_module_each(m, gather, e);
  free_entries(e);
  return e->ctx->error;
}

int neap_save_module(neap_module *m, const char *path) {
  static const char *const metadata[] = {"format", "pt"}; /* as PyTorch's tools expect of such names */
  entries e;
  if (!m) return NEAP_ERR_ARGUMENT;
  if (np_failed(m->ctx) || entries_of(m, &e) != 0) return m->ctx->error;
  int status = neap_save(m->ctx, path, e.n, e.name, e.t, 1, metadata);
  free_entries(&e);
  return status;
}

/* ---- loading ---- */

typedef struct list { /* names that do not fit, as text that stops growing */
  np_text text;
  char room[240];
  int n;
} list;

static void add_name(list *l, const char *name) {
  enum { SHOWN = 5 };
  if (l->n == 0) np_text_init(&l->text, l->room, sizeof l->room);
  if (l->n++ < SHOWN) np_text_add(&l->text, l->n > 1 ? ", %.60s" : "%.60s", name);
}

static void add_shape(list *l, const char *name, const neap_tensor *have, const neap_tensor *want) {
  char line[200], shape[96];
  np_text t;
  np_text_init(&t, line, sizeof line);
  np_shape_text(shape, sizeof shape, have);
  np_text_add(&t, "%.60s %s", name, shape);
  np_shape_text(shape, sizeof shape, want);
  np_text_add(&t, " not %s", shape);
  add_name(l, line);
}

static void add_list(np_text *t, const char *what, const list *l) {
  if (l->n > 0) np_text_add(t, "; %s (%d): %s%s", what, l->n, l->room, l->n > 5 ? ", ..." : "");
}

/* The archive's entry of that name, or -1. Files mostly keep a module's order, so the search begins behind the last. */
static int find(const neap_archive *a, int n, const char *name, int from) {
  for (int k = 0; k < n; k++) {
    int i = from + k < n ? from + k : from + k - n;
    if (strcmp(neap_archive_name(a, i), name) == 0) return i;
  }
  return -1;
}

/* source[i]: the file's tensor for entry i, handed to the open scope. */
static int match(neap_module *m, neap_archive *a, const entries *e, neap_tensor **source, uint8_t *used, const char *path) {
  list missing = {0}, unexpected = {0}, misshapen = {0};
  int n = neap_archive_count(a), at = -1;
  for (int i = 0; i < e->n; i++) {
    int found = find(a, n, e->name[i], at + 1);
    if (found < 0) {
      add_name(&missing, e->name[i]);
      continue;
    }
    at = found;
    used[at] = 1;
    source[i] = neap_archive_tensor(a, at);
    if (!source[i]) return m->ctx->error;
    if (!np_same_shape(source[i], e->t[i])) add_shape(&misshapen, e->name[i], source[i], e->t[i]);
    if (e->t[i]->storage->read_only) return np_layer_fail(m, NEAP_ERR_STATE, "%s lies in read-only memory", e->name[i]);
  }
  for (int i = 0; i < n; i++)
    if (!used[i]) add_name(&unexpected, neap_archive_name(a, i));
  if (missing.n + unexpected.n + misshapen.n == 0) return NEAP_OK;
  char text[800];
  np_text t;
  np_text_init(&t, text, sizeof text);
  add_list(&t, "missing in the file", &missing);
  add_list(&t, "unknown to the module", &unexpected);
  add_list(&t, "of another shape", &misshapen);
  return np_layer_fail(m, misshapen.n ? NEAP_ERR_SHAPE : NEAP_ERR_ARGUMENT, "%.100s does not fit%s", path, text);
}

static int load(neap_module *m, neap_archive *a, const entries *e, const char *path) {
  neap_context *c = m->ctx;
  size_t used_bytes = (size_t)neap_archive_count(a) + 1, bytes = (size_t)e->n * sizeof(neap_tensor *);
  uint8_t *used = np_alloc_zero(c, used_bytes);
  neap_tensor **source = np_alloc_zero(c, bytes);
  if (used && source && match(m, a, e, source, used, path) == 0)
    for (int i = 0; i < e->n && np_copy(c, e->t[i], source[i]) == 0; i++) np_tensor_written(e->t[i], "load");
  np_free(c, used, used_bytes);
  np_free(c, source, bytes);
  return c->error;
}

int neap_load_module(neap_module *m, const char *path) {
  if (!m) return NEAP_ERR_ARGUMENT;
  neap_context *c = m->ctx;
  entries e;
  if (np_failed(c) || entries_of(m, &e) != 0) return c->error;
  neap_scope scope;
  np_scope_enter(c, &scope);
  neap_archive *a = neap_archive_open(c, path);
  if (a) {
    load(m, a, &e, path);
    neap_archive_close(a);
  }
  np_scope_leave(&scope, 0, NULL);
  free_entries(&e);
  return c->error;
}
