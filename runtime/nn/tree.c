/* What is done to a whole tree of modules: visiting parameters by name, training mode, dtype, gradients. Recursion goes by
 * depth, which levels bound. A handle that stands in several places is converted and counted once: a mark on
 * it while the walk is at work says that it was met. */
#include <string.h>
#include "module.h"

typedef int (*visitor)(void *arg, const char *name, neap_tensor *t, int buffer);

static const char waits_text[] = "its parameters do not exist yet, since a size was left out: call the model once, or give the size";

static int each(neap_module *m, np_text *path, visitor visit, void *arg) {
  size_t cut = path->used;
  int stop = 0;
  if (m->waiting) return np_layer_fail(m, NEAP_ERR_STATE, "%s", waits_text);
  for (int i = 0; i < m->n_parts && !stop; i++) {
    np_text_add(path, cut ? ".%s" : "%s", m->part[i].name);
    stop = visit(arg, path->at, m->part[i].t, m->part[i].buffer);
    path->used = cut;
  }
  for (int i = 0; i < m->n_children && !stop; i++) {
    if (cut) np_text_add(path, ".");
    np_child_text(path, &m->child[i], i, "", 0);
    stop = each(m->child[i].m, path, visit, arg);
    path->used = cut;
  }
  return stop;
}

int neap_module_each(neap_module *m, visitor visit, void *arg) {
  if (!m) return 0;
  char room[NP_MAX_PATH];
  np_text path;
  np_text_init(&path, room, sizeof room);
  return each(m, &path, visit, arg);
}

/* The same without names. */
static void walk(neap_module *m, void (*visit)(void *arg, neap_tensor *t, int buffer), void *arg) {
  for (int i = 0; i < m->n_parts; i++) visit(arg, m->part[i].t, m->part[i].buffer);
  for (int i = 0; i < m->n_children; i++) walk(m->child[i].m, visit, arg);
}

static void unmark(void *arg, neap_tensor *t, int buffer) {
  (void)arg, (void)buffer;
  t->flags &= (uint16_t)~NP_VISITED;
}

/* Each handle once. */
typedef struct handle_list { neap_tensor **at; int n, room, buffers; } handle_list;

static void add_handle(void *arg, neap_tensor *t, int buffer) {
  handle_list *l = arg;
  if (t->flags & NP_VISITED || (buffer && !l->buffers)) return;
  t->flags |= NP_VISITED;
  if (l->n < l->room) l->at[l->n] = t;
  l->n++;
}

static int handles(neap_module *m, neap_tensor **out, int room, int buffers) {
  handle_list l = {.at = out, .room = room, .buffers = buffers};
  walk(m, add_handle, &l);
  walk(m, unmark, NULL);
  return l.n;
}

static int none_waits(const neap_module *m) {
  if (m->waiting) return np_layer_fail(m, NEAP_ERR_STATE, "%s", waits_text);
  for (int i = 0; i < m->n_children; i++)
    if (none_waits(m->child[i].m) != NEAP_OK) return m->ctx->error;
  return NEAP_OK;
}

int neap_module_parameters(neap_module *m, neap_tensor **out, int room) {
  if (!m) return 0;
  return none_waits(m) == NEAP_OK ? handles(m, out, room, 0) : (int)m->ctx->error;
}

void neap_module_train(neap_module *m, int on) {
  if (!m) return;
  m->training = on != 0;
  for (int i = 0; i < m->n_children; i++) neap_module_train(m->child[i].m, on);
}

/* ---- gradients ---- */

static void clear_grad(void *arg, neap_tensor *t, int buffer) {
  (void)arg, (void)buffer;
  np_clear_grad(t);
}

void neap_module_zero_grad(neap_module *m) {
  if (m) walk(m, clear_grad, NULL);
}

/* ---- dtype ---- */

static neap_tensor *converted(neap_tensor *t, neap_dtype d) {
  neap_tensor *fresh = np_tensor_like(t, d);
  if (!fresh || np_copy(t->ctx, fresh, t) != 0) return NULL;
  return np_hold(fresh);
}

/* t gets the memory of fresh, and its gradient that of grad (NULL: it has none). */
static void commit(neap_tensor *t, neap_tensor *fresh, neap_tensor *grad) {
  np_storage *s = t->storage;
  t->storage = fresh->storage;
  t->at = fresh->at;
  t->flags |= NP_CONTIGUOUS;
  t->storage->version = s->version + 1; /* whoever saved the old values has the old memory */
  fresh->storage = s;
  np_drop(t->grad);
  t->grad = np_hold(grad);
  np_drop(t->base); /* no longer a view of anything */
  t->base = NULL;
}

/* new[2i] and new[2i + 1]: what handle i and its gradient become. */
static int convert_all(neap_context *c, int n, neap_tensor **handle, neap_tensor **fresh, neap_dtype d) {
  for (int i = 0; i < n && !np_failed(c); i++) {
    neap_tensor *t = handle[i];
    if (!np_is_float(t->at.dtype) || t->at.dtype == d) continue;
    fresh[2 * i] = converted(t, d);
    if (t->flags & NP_HAS_GRAD) fresh[2 * i + 1] = converted(t->grad, d);
  }
  for (int i = 0; i < n && !np_failed(c); i++)
    if (fresh[2 * i]) commit(handle[i], fresh[2 * i], fresh[2 * i + 1]);
  for (int i = 0; i < 2 * n; i++) np_drop(fresh[i]);
  return c->error;
}

static void expect(neap_module *m, neap_dtype d) { /* of parts that are still to be made */
  m->dtype = d;
  for (int i = 0; i < m->n_children; i++) expect(m->child[i].m, d);
}

int neap_module_to(neap_module *m, neap_dtype d) {
  if (!m) return NEAP_ERR_ARGUMENT;
  neap_context *c = m->ctx;
  if (np_failed(c)) return c->error;
  if ((unsigned)d >= NEAP_DTYPES || !np_is_float(d))
    return np_layer_fail(m, NEAP_ERR_DTYPE, "parameters are floating-point numbers and cannot become %s",
                         (unsigned)d < NEAP_DTYPES ? np_dtypes[d].info.name : "an unknown dtype");
  expect(m, d);
  int n = handles(m, NULL, 0, 1);
  size_t bytes = 3 * (size_t)n * sizeof(neap_tensor *);
  neap_tensor **list = np_alloc_zero(c, bytes);
  if (!list) return c->error;
  neap_scope scope;
  np_scope_enter(c, &scope);
  handles(m, list, n, 1);
  int status = convert_all(c, n, list, list + n, d);
  np_scope_leave(&scope, 0, NULL);
  np_free(c, list, bytes);
  return status;
}
