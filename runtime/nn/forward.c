/* Forward through a tree. While a child runs, the context's site names it, so that an error inside says where. */
#include <string.h>
#include "module.h"

/* The children's paths: spelt already unless the container runs in another place than the last time. */
static const np_spelling *spelling_of(neap_module *m) {
  const neap_site *site = &m->ctx->site;
  const np_spelling *s = m->spelling;
  if (NP_UNLIKELY(!s || s->base != site->base || strcmp(s->own, site->path ? site->path : "") != 0))
    m->spelling = s = np_spell(m->ctx, site->path, m->n_children);
  return s;
}

neap_tensor *np_child_forward(neap_module *m, int i, neap_tensor *x) {
  neap_module *child = m->child[i].m;
  if (m->child[i].activation < 0) return child->row->forward(child, &x);
  return neap_linear(m->ctx, x, child->part[0].t, np_part_of(child, 1), m->child[i].activation);
}

neap_tensor *np_sequential_forward(neap_module *m, neap_tensor *const *x) {
  neap_context *c = m->ctx;
  const char *own = c->site.path;
  const np_spelling *paths = spelling_of(m);
  if (!paths) return NULL;
  neap_tensor *h = neap_retain(x[0]);
  for (int i = 0; h && i < m->n_children; i += np_child_steps(m, i)) {
    c->site.path = np_child_path(paths, i);
    neap_tensor *y = np_child_forward(m, i, h);
    neap_release(h);
    h = y;
  }
  c->site.path = own;
  return h;
}

neap_tensor *neap_forward_many(neap_module *m, int n, neap_tensor *const *x) {
  if (!m || np_failed(m->ctx)) return NULL;
  if (n != m->row->inputs)
    np_layer_fail(m, NEAP_ERR_ARGUMENT, "forward takes %d tensor%s, got %d", m->row->inputs, m->row->inputs == 1 ? "" : "s", n);
  for (int i = 0; i < n; i++) {
    if (!x[i]) np_layer_fail(m, NEAP_ERR_ARGUMENT, "forward: tensor %d is NULL", i + m->ctx->site.base);
    else if (x[i]->ctx != m->ctx)
      np_layer_fail(m, NEAP_ERR_ARGUMENT, "forward: tensor %d belongs to another context", i + m->ctx->site.base);
  }
  return np_failed(m->ctx) ? NULL : m->row->forward(m, x);
}

neap_tensor *neap_forward(neap_module *m, neap_tensor *x) { return neap_forward_many(m, 1, &x); }
