/* Signatures that are not an op's: layers and update rules say their settings in the same grammar, and theirs are kept
 * in the context behind those of the ops, found by family and name, and freed with them. */
#include <string.h>
#include "op.h"

const np_signature *np_signature_kept(neap_context *c, const char *family, const char *name) {
  for (int i = NP_OPS; i < c->n_signatures; i++) {
    const np_signature *s = c->signatures[i];
    if (s->info.family == family && s->info.name == name) return s;
  }
  return NULL;
}

int np_signature_keep(neap_context *c, np_signature *s) {
  const np_signature **list = NULL;
  if (np_op_signature(c, 0)) list = np_alloc(c, (size_t)(c->n_signatures + 1) * sizeof *list);
  if (!list) {
    np_signature_free(c, s);
    return c->error;
  }
  memcpy(list, c->signatures, (size_t)c->n_signatures * sizeof *list);
  np_free(c, c->signatures, (size_t)c->n_signatures * sizeof *list);
  c->signatures = list;
  list[c->n_signatures++] = s;
  return NEAP_OK;
}
