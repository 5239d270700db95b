/* A copy of a tree of modules: the same rows and settings, tensors with memory of their own. What stands in several places
 * of the tree, a module or a tied weight, is one in the copy too: a list of pairs says what was copied to what. */
#include <string.h>
#include "module.h"

typedef struct pairs {
  neap_context *ctx;
  const void **from;
  void **to;
  int n, room;
} pairs;

static void *found(const pairs *p, const void *from) {
  for (int i = 0; i < p->n; i++)
    if (p->from[i] == from) return p->to[i];
  return NULL;
}

static int note(pairs *p, const void *from, void *to) {
  if (p->n == p->room) {
    int more = p->room ? 2 * p->room : 16;
    const void **list = np_alloc(p->ctx, 2 * (size_t)more * sizeof *list);
    if (!list) return p->ctx->error;
    if (p->n) {
      memcpy(list, p->from, (size_t)p->n * sizeof *list);
      memcpy(list + more, p->to, (size_t)p->n * sizeof *list);
    }
    np_free(p->ctx, p->from, 2 * (size_t)p->room * sizeof *list);
    p->from = list;
    p->to = (void **)(uintptr_t)(list + more);
    p->room = more;
  }
  p->from[p->n] = from;
  p->to[p->n++] = to;
  return NEAP_OK;
}

/* Borrowed: it hangs in the open scope. */
static neap_tensor *part_copy(pairs *p, neap_tensor *t) {
  neap_tensor *fresh = found(p, t);
  if (fresh) return fresh;
  fresh = np_tensor_like(t, t->at.dtype);
  if (!fresh || np_copy(p->ctx, fresh, t) != 0) return NULL;
  fresh->flags |= t->flags & (NP_REQUIRES_GRAD | NP_PARAMETER);
  return note(p, t, fresh) == NEAP_OK ? fresh : NULL;
}

static neap_module *copy(pairs *p, neap_module *m) {
  neap_module *done = found(p, m);
  if (done) return neap_module_retain(done);
  neap_module *fresh = np_module_like(m);
  if (!fresh) return NULL;
  for (int i = 0; i < m->n_parts && !np_failed(p->ctx); i++) {
    neap_tensor *t = part_copy(p, m->part[i].t);
    if (t) np_take_part(fresh, &m->part[i], t);
  }
  for (int i = 0; i < m->n_children && !np_failed(p->ctx); i++) {
    const np_child *k = &m->child[i];
    if (np_add_child(fresh, k->name, k->place, copy(p, k->m)) == NEAP_OK) fresh->child[i].activation = k->activation;
  }
  if (!np_failed(p->ctx) && note(p, m, fresh) == NEAP_OK) return fresh;
  neap_module_release(fresh);
  return NULL;
}

neap_module *neap_module_clone(neap_module *m) {
  if (!m || np_failed(m->ctx)) return NULL;
  pairs p = {.ctx = m->ctx};
  neap_scope scope;
  np_scope_enter(p.ctx, &scope);
  neap_module *fresh = copy(&p, m);
  np_scope_leave(&scope, 0, NULL);
  np_free(p.ctx, p.from, 2 * (size_t)p.room * sizeof *p.from);
  return fresh;
}
