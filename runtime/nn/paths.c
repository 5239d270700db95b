/* Paths of modules, as errors write them. A container's children are spelt once for each place where a container stands,
 * and all containers that stand there, in whatever model, share the spelling; the context keeps it to its end, since a
 * record may name a module that is long gone. */
#include <string.h>
#include "module.h"

static const char family[] = "paths";

static const np_spelling *spelt(const neap_context *c, const char *own, int n) {
  for (int i = NP_OPS; i < c->n_signatures; i++) {
    const np_signature *s = c->signatures[i];
    if (s->info.family != family) continue;
    const np_spelling *p = (const np_spelling *)s;
    if (p->base == c->site.base && p->n >= n && strcmp(p->own, own) == 0) return p;
  }
  return NULL;
}

const np_spelling *np_spell(neap_context *c, const char *own, int n) {
  if (!own) own = "";
  const np_spelling *known = spelt(c, own, n);
  if (known) return known;
  size_t length = strlen(own), stride = length + sizeof "[2147483648]";
  n = n < 8 ? 8 : n + n / 2; /* growing containers share one spelling in the end */
  size_t bytes = sizeof(np_spelling) + length + 1 + stride * (size_t)n;
  np_spelling *s = np_alloc_zero(c, bytes);
  if (!s) return NULL;
  s->kept.bytes = bytes;
  s->kept.info.family = family;
  s->base = c->site.base;
  s->n = n;
  s->stride = stride;
  s->first = s->own + length + 1;
  memcpy(s->own, own, length + 1);
  for (int i = 0; i < n; i++) {
    np_text t;
    np_text_init(&t, s->own + length + 1 + stride * (size_t)i, stride);
    if (s->base) np_text_add(&t, "%s[%d]", own, i + s->base);
    else np_text_add(&t, length ? "%s.%d" : "%s%d", own, i);
  }
  return np_signature_keep(c, &s->kept) == 0 ? s : NULL;
}
