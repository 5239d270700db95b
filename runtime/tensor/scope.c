/* Scopes: who drops which reference. `handed` counts the references to a tensor that were handed out in the scope in
 * whose list it hangs; what the runtime itself holds (np_hold) is counted nowhere and outlives every scope.
 *
 * A tensor hangs in one list, the first scope's that handed it out. When another scope hands out one more reference (an
 * op that returns its own input, say), that scope notes a claim: so a scope drops exactly what was handed out in it,
 * and an inner one neither keeps a tensor longer nor lets go of what an outer one owns. A scope has room for a few
 * claims; past that they go to the nearest outer scope with room, later but never too early.
 * Invariant: handed and all claims together are at most refs. */
#include "tensor.h"

static void unlink_handle(neap_tensor *t) {
  *t->link = t->next;
  if (t->next) t->next->link = t->link;
  t->link = NULL;
  t->next = NULL;
  t->scope = NULL;
  t->handed = 0;
}

static void link_handle(neap_scope *s, neap_tensor *t) {
  t->next = s->first;
  t->link = &s->first;
  if (t->next) t->next->link = &t->next;
  s->first = t;
  t->scope = s;
  t->handed = 1;
}

/* ---- claims ---- */

static np_claim *claim_of(neap_scope *s, const neap_tensor *t) { /* t NULL: a free one */
  for (int i = 0; i < s->n_claims; i++)
    if (s->claim[i].t == t) return &s->claim[i];
  return t || s->n_claims == NP_CLAIMS ? NULL : &s->claim[s->n_claims++];
}

static void end_claim(np_claim *claim) {
  np_claim **at = &claim->t->claims;
  while (*at && *at != claim) at = &(*at)->next;
  if (*at) *at = claim->next;
  claim->t = NULL;
}

static int make_claim(neap_scope *s, neap_tensor *t) {
  np_claim *claim = claim_of(s, t);
  if (claim) {
    claim->count++;
    return 1;
  }
  claim = claim_of(s, NULL);
  if (!claim) return 0;
  *claim = (np_claim){.t = t, .next = t->claims, .count = 1};
  t->claims = claim;
  return 1;
}

/* ---- one reference: in, out, and from one scope to the next ---- */

static void hand(neap_scope *s, neap_tensor *t) {
  if (!s) return;
  if (!t->link) {
    link_handle(s, t);
    return;
  }
  for (; s; s = s->parent) {
    if (t->scope == s) t->handed++;
    else if (!make_claim(s, t)) continue;
    return;
  }
}

/* Takes one of the references that s would drop out of its account; 0 when there is none. */
static int take(neap_scope *s, neap_tensor *t) {
  if (t->link && t->scope == s) {
    if (--t->handed == 0) unlink_handle(t);
    return 1;
  }
  np_claim *claim = claim_of(s, t);
  if (claim && --claim->count == 0) end_claim(claim);
  return claim != NULL;
}

void np_tensor_hand(neap_tensor *t) { hand(t->ctx->scope, t); }

neap_tensor *neap_retain(neap_tensor *t) {
  if (!t) return NULL;
  t->refs++;
  np_tensor_hand(t);
  return t;
}

void neap_release(neap_tensor *t) {
  if (!t) return;
  np_claim *claim = t->claims; /* the newest, so most likely the innermost scope's */
  if (NP_UNLIKELY(claim && claim->t == t)) {
    if (--claim->count == 0) end_claim(claim);
  } else if (t->link && --t->handed == 0) unlink_handle(t);
  np_drop(t);
}

void np_scope_forget(neap_tensor *t) {
  while (t->claims && t->claims->t == t) end_claim(t->claims);
  if (t->link) unlink_handle(t);
}

/* ---- scopes ---- */

void np_scope_enter(neap_context *c, neap_scope *s) {
  s->ctx = c;
  s->parent = c->scope;
  s->first = NULL;
  s->heap_made = 0;
  s->n_claims = 0;
  c->scope = s;
}

/* Out of the chain: mostly its innermost, but coroutines may close theirs in any order. */
static void leave_chain(neap_scope *s) {
  neap_scope **at = &s->ctx->scope;
  while (*at && *at != s) at = &(*at)->parent;
  if (*at) *at = s->parent;
}

void np_scope_leave(neap_scope *s, int n, neap_tensor *const *keep) {
  leave_chain(s);
  for (int i = 0; i < n; i++)
    if (keep[i] && take(s, keep[i])) hand(s->parent, keep[i]);
  for (int i = 0; i < s->n_claims; i++) {
    neap_tensor *t = s->claim[i].t;
    if (!t) continue;
    end_claim(&s->claim[i]);
    for (int k = s->claim[i].count; k > 0; k--) np_drop(t);
  }
  for (neap_tensor *t; (t = s->first);) {
    int handed = t->handed;
    unlink_handle(t);
    for (; handed > 0; handed--) np_drop(t);
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
  if (!s || !t) return;
  while (take(s, t)) hand(s->parent, t);
}

void neap_scope_close(neap_scope *s) {
  if (!s) return;
  neap_context *c = s->ctx;
  np_scope_leave(s, 0, NULL);
  np_free(c, s, sizeof *s);
  np_context_drop(c);
}
