/* Opening: the context of base/ with the kernels of its instruction set. */
#include "kernels.h"
#include "op.h"

neap_context *neap_open(const neap_config *config) {
  neap_context *c = np_context_new(config);
  if (c) c->kernels = np_kernels_pick(c->isa);
  return c;
}

const char *neap_isa(const neap_context *c) { return c->kernels->name; }
