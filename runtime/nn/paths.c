/* Paths of modules, as errors write them. A container's children are spelt once for each place where a container stands,
 * and all containers that stand there, in whatever model, share the spelling; the context keeps it to its end, since a
 * record may name a module that is long gone. */
#include <string.h>
#include "module.h"

static const char family[] = "paths";

/* k NULL: child i of a Sequential. */
void np_child_text(np_text *t, const np_child *k, int i, const char *own, int base) {
  const char *name = k ? k->name : NULL, *dot = own[0] ? "." : "";
  int place = name ? k->place : i;
  np_text_add(t, "%s", own);
  if (name) np_text_add(t, "%s%s", dot, name);
  if (place < 0) return;
  if (base) np_text_add(t, "[%d]", place + base);
  else np_text_add(t, "%s%d", name ? "." : dot, place);
}

static int same_names(const np_spelling *p, const neap_module *m) {
  char room[NP_MAX_PATH];
  for (int i = 0; i < m->n_children; i++) {
    np_text t;
    np_text_init(&t, room, sizeof room);
    np_child_text(&t, &m->child[i], i, p->own, p->base);
    if (strcmp(room, np_child_path(p, i)) != 0) return 0;
  }
  return 1;
}

static const np_spelling *spelt(const neap_module *m, const np_layer *row, const char *own) {
  const neap_context *c = m->ctx;
  for (int i = NP_OPS; i < c->n_signatures; i++) {
    const np_signature *s = c->signatures[i];
    if (s->info.family != family) continue;
    const np_spelling *p = (const np_spelling *)s;
    if (p->base != c->site.base || p->row != row || strcmp(p->own, own) != 0) continue;
    if (row ? p->n == m->n_children && same_names(p, m) : p->n >= m->n_children) return p;
  }
  return NULL;
}

const np_spelling *np_spell(const neap_module *m, const char *own) {
  neap_context *c = m->ctx;
  const np_layer *row = np_is_sequential(m) ? NULL : m->row;
  int n = m->n_children;
  if (!own) own = "";
  const np_spelling *known = spelt(m, row, own);
  if (known) return known;
  size_t length = strlen(own), longest = 0;
  for (int i = 0; row && i < n; i++) {
    size_t name = strlen(m->child[i].name);
    if (name > longest) longest = name;
  }
  size_t stride = length + longest + sizeof ".[2147483648]";
  if (!row) n = n < 8 ? 8 : n + n / 2; /* growing containers share one spelling in the end */
  size_t bytes = sizeof(np_spelling) + length + 1 + stride * (size_t)n;
  np_spelling *s = np_alloc_zero(c, bytes);
  if (!s) return NULL;
  s->kept.bytes = bytes;
  s->kept.info.family = family;
  s->base = c->site.base;
  s->n = n;
  s->row = row;
  s->stride = stride;
  s->first = s->own + length + 1;
  memcpy(s->own, own, length + 1);
  for (int i = 0; i < n; i++) {
    np_text t;
    np_text_init(&t, s->own + length + 1 + stride * (size_t)i, stride);
    np_child_text(&t, row ? &m->child[i] : NULL, i, own, s->base);
  }
  return np_signature_keep(c, &s->kept) == 0 ? s : NULL;
}
