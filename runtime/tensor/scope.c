/* Scopes: a list, through the handles themselves, of what was handed out since a scope opened. `handed` counts the
 * references in the caller's hands; what the runtime itself holds (np_hold) is not among them and outlives the scope. */
#include "tensor.h"

static void unlink_handle(neap_tensor *t) {
  if (!t->link) return;
  *t->link = t->next;
  if (t->next) t->next->link = t->link;
  t->link = NULL;
  t->next = NULL;
}

static void link_handle(neap_scope *s, neap_tensor *t) {
  t->next = s->first;
  t->link = &s->first;
  if (t->next) t->next->link = &t->next;
  s->first = t;
}

void np_tensor_hand(neap_tensor *t) {
  if (!t->link) {
    if (!t->ctx->scope) return;
    t->handed = 0;
    link_handle(t->ctx->scope, t);
  }
  t->handed++;
}

neap_tensor *neap_retain(neap_tensor *t) {
  t->refs++;
  np_tensor_hand(t);
  return t;
}

void neap_release(neap_tensor *t) {
  if (!t) return;
  if (t->link && --t->handed == 0) unlink_handle(t);
  np_drop(t);
}

void np_scope_enter(neap_context *c, neap_scope *s) {
  *s = (neap_scope){ .ctx = c, .parent = c->scope };
  c->scope = s;
}

/* Moves t to where it would hang without s. */
static void keep_handle(neap_scope *s, neap_tensor *t) {
  unlink_handle(t);
  if (s->parent) link_handle(s->parent, t);
}

void np_scope_leave(neap_scope *s, int n, neap_tensor *const *keep) {
  for (int i = 0; i < n; i++)
    if (keep[i] && keep[i]->link) keep_handle(s, keep[i]);
  s->ctx->scope = s->parent;
  for (neap_tensor *t; (t = s->first);) {
    unlink_handle(t);
    for (int n_handed = t->handed; n_handed > 0; n_handed--) np_drop(t);
  }
}

neap_scope *neap_scope_open(neap_context *c) {
  if (np_failed(c)) return NULL;
  neap_scope *s = np_alloc(c, sizeof *s);
  if (!s) return NULL;
  np_scope_enter(c, s);
  s->heap_made = 1;
  c->handles++;
  return s;
}

void neap_scope_keep(neap_scope *s, neap_tensor *t) {
  if (s && t && t->link) keep_handle(s, t);
}

void neap_scope_close(neap_scope *s) {
  if (!s) return;
  neap_context *c = s->ctx;
  np_scope_leave(s, 0, NULL);
  np_free(c, s, sizeof *s);
  np_context_drop(c);
}
