/* Opening and closing: the context of base/ with the kernels chosen for this machine. */
#include "kernels.h"
#include "op.h"

neap_context *neap_open(const neap_config *config) {
  int level = np_cpu_isa();
  if (config && config->isa) {
    int asked = np_isa_named(config->isa);
    if (asked < 0) return NULL;
    if (asked < level) level = asked;
  }
  neap_context *c = np_context_new(config);
  if (!c) return NULL;
  c->isa = level;
  c->kernels = np_kernels_pick(level);
  return c;
}

const char *neap_isa(const neap_context *c) { return c->kernels->name; }
