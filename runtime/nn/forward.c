/* Forward through a tree. While a child runs, the context's site names it, so that an error inside says where. */
#include <string.h>
#include "module.h"

/* A module that waited for its first input is set up by it; if that fails, it waits on. */
static int complete(neap_module *m, const neap_value *in) {
  neap_value before[NP_MAX_ARGS];
  memcpy(before, m->arg, sizeof before);
  int parts = m->n_parts, children = m->n_children, mode = neap_grad_mode(m->ctx, 0);
  m->waiting = 0;
  int status = m->row->setup(m, in);
  neap_grad_mode(m->ctx, mode);
  if (status == NEAP_OK && !np_failed(m->ctx)) return NEAP_OK;
  while (m->n_parts > parts) np_drop(m->part[--m->n_parts].t);
  while (m->n_children > children) neap_module_release(m->child[--m->n_children].m);
  memcpy(m->arg, before, sizeof before);
  m->waiting = 1;
  return m->ctx->error;
}

/* What a layer makes on its way hangs in a scope of its own; its outputs stay. */
static neap_tensor *run_bound(neap_module *m, const neap_value *in, neap_tensor **out) {
  neap_context *c = m->ctx;
  neap_scope scope;
  if (NP_UNLIKELY(m->waiting) && complete(m, in) != NEAP_OK) return NULL;
  np_scope_enter(c, &scope);
  out[0] = m->row->forward(m, in, out + 1);
  if (NP_UNLIKELY(!out[0] || np_failed(c))) memset(out, 0, (size_t)m->call->n_outputs * sizeof *out);
  np_scope_leave(&scope, m->call->n_outputs, out);
  return out[0];
}

int np_module_run(neap_module *m, int n, const neap_value *args, neap_tensor **out) {
  neap_value in[NP_MAX_ARGS];
  neap_context *c = m->ctx;
  memset(out, 0, (size_t)m->call->n_outputs * sizeof *out);
  if (np_bind(c, m->row->name, m->call, n, args, in) != NEAP_OK) return c->error;
  for (int i = 0; i < m->call->n_params; i++)
    if (in[i].kind == NEAP_TENSOR && in[i].t->ctx != c)
      return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s belongs to another context", m->call->param[i].name);
  return run_bound(m, in, out) ? m->call->n_outputs : (int)c->error;
}

neap_tensor *np_module_run1(neap_module *m, neap_tensor *x) {
  neap_value v = {.kind = NEAP_TENSOR, .t = x};
  neap_tensor *out[NP_MAX_OUTS];
  if (NP_LIKELY(m->call->n_params == 1 && m->call->n_outputs == 1)) return run_bound(m, &v, out);
  if (np_module_run(m, 1, &v, out) < 0) return NULL;
  for (int i = 1; i < m->call->n_outputs; i++) neap_release(out[i]);
  return out[0];
}

/* The children's paths: spelt already unless the container runs in another place than the last time. */
static const np_spelling *spelling_of(neap_module *m) {
  const neap_site *site = &m->ctx->site;
  const np_spelling *s = m->spelling;
  if (NP_UNLIKELY(!s || s->base != site->base || strcmp(s->own, site->path ? site->path : "") != 0))
    m->spelling = s = np_spell(m, site->path);
  return s;
}

int np_child_run(neap_module *m, int i, int n, const neap_value *args, neap_tensor **out) {
  neap_context *c = m->ctx;
  const char *own = c->site.path;
  const np_spelling *paths = spelling_of(m);
  if (!paths) return c->error;
  c->site.path = np_child_path(paths, i);
  int status = np_module_run(m->child[i].m, n, args, out);
  c->site.path = own;
  return status;
}

neap_tensor *np_child_run1(neap_module *m, int i, neap_tensor *x) {
  neap_context *c = m->ctx;
  const char *own = c->site.path;
  const np_spelling *paths = x ? spelling_of(m) : NULL;
  if (!paths) return NULL;
  c->site.path = np_child_path(paths, i);
  neap_tensor *y = np_module_run1(m->child[i].m, x);
  c->site.path = own;
  return y;
}

neap_tensor *np_child_forward(neap_module *m, int i, neap_tensor *x) {
  neap_module *child = m->child[i].m;
  if (m->child[i].activation < 0) return np_module_run1(child, x);
  neap_value v = {.kind = NEAP_TENSOR, .t = x};
  if (NP_UNLIKELY(child->waiting) && complete(child, &v) != NEAP_OK) return NULL;
  return neap_linear(m->ctx, x, child->part[0].t, np_part_of(child, 1), m->child[i].activation);
}

neap_tensor *np_sequential_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  neap_context *c = m->ctx;
  const char *own = c->site.path;
  const np_spelling *paths = spelling_of(m);
  (void)more;
  if (!paths) return NULL;
  neap_tensor *h = neap_retain(in[0].t);
  for (int i = 0; h && i < m->n_children; i += np_child_steps(m, i)) {
    c->site.path = np_child_path(paths, i);
    neap_tensor *y = np_child_forward(m, i, h);
    neap_release(h);
    h = y;
  }
  c->site.path = own;
  return h;
}

int np_is_sequential(const neap_module *m) { return m->row->forward == np_sequential_forward; }

/* ---- as the host calls it ---- */

int neap_module_call(neap_module *m, int n, const neap_value *args, neap_tensor **out) {
  if (!m) return NEAP_ERR_ARGUMENT;
  return np_failed(m->ctx) ? (int)m->ctx->error : np_module_run(m, n, args, out);
}

neap_tensor *neap_forward_many(neap_module *m, int n, neap_tensor *const *x) {
  neap_value v[NP_MAX_ARGS];
  neap_tensor *out[NP_MAX_OUTS];
  if (!m || np_failed(m->ctx)) return NULL;
  if (n < 0 || n > NP_MAX_ARGS) {
    np_layer_fail(m, NEAP_ERR_ARGUMENT, "forward takes %d tensors at most, got %d", m->call->n_params, n);
    return NULL;
  }
  for (int i = 0; i < n; i++) v[i] = np_given_tensor(x[i]);
  if (np_module_run(m, n, v, out) < 0) return NULL;
  for (int i = 1; i < m->call->n_outputs; i++) neap_release(out[i]);
  return out[0];
}

neap_tensor *neap_forward(neap_module *m, neap_tensor *x) { return neap_forward_many(m, 1, &x); }
