/* Layers without weights: those that are one op of the table, and a few whose settings or modes need a word more. */
#include <string.h>
#include "module.h"

/* ---- layers that are one op (OP_LAYER) ---- */

int np_op_setup(neap_module *m) {
  (void)m;
  return NEAP_OK;
}

neap_tensor *np_op_forward(neap_module *m, neap_tensor *const *x) {
  neap_value a[NP_MAX_ARGS];
  int n = m->row->inputs;
  for (int i = 0; i < n; i++) a[i] = (neap_value){.kind = NEAP_TENSOR, .t = x[i]};
  for (int i = 0, part = 0; i < m->sig->n_params; i++, n++) {
    a[n] = m->arg[i];
    if (a[n].kind == NEAP_TENSOR) a[n].t = m->part[part++].t;
  }
  neap_tensor *out[NP_MAX_OUTS];
  if (neap_call(m->ctx, m->row->op, n, a, out, 0, NULL) < 0) return NULL;
  return out[0];
}

/* An op of one tensor at its standard settings, which another op may have built in. */
const char *np_fused_activation(const neap_module *m, int *length) {
  if (m->row->op < 0 || m->row->inputs != 1) return NULL;
  for (int i = 0; i < m->sig->n_params; i++) {
    const neap_value *v = &m->arg[i], *standard = &m->sig->param[i].standard;
    if (v->kind != standard->kind || v->kind == NEAP_INTS || v->i != standard->i) return NULL;
  }
  *length = (int)strlen(np_ops[m->row->op].name);
  return np_ops[m->row->op].name;
}

/* ---- others ---- */

neap_tensor *np_identity_forward(neap_module *m, neap_tensor *const *x) {
  (void)m;
  return neap_retain(x[0]);
}

neap_tensor *np_flatten_forward(neap_module *m, neap_tensor *const *x) {
  return neap_flatten(m->ctx, x[0], m->arg[0].i, m->arg[1].i);
}

neap_tensor *np_rrelu_forward(neap_module *m, neap_tensor *const *x) {
  return neap_rrelu(m->ctx, x[0], m->arg[0].d, m->arg[1].d, m->training, NULL);
}

int np_dropout_setup(neap_module *m) {
  double p = m->arg[0].d;
  if (p >= 0 && p <= 1) return NEAP_OK;
  return np_layer_fail(m, NEAP_ERR_ARGUMENT, "p is a probability, between 0 and 1, not %g", p);
}

neap_tensor *np_dropout_forward(neap_module *m, neap_tensor *const *x) {
  if (!m->training || m->arg[0].d == 0) return neap_retain(x[0]);
  return neap_dropout(m->ctx, x[0], m->arg[0].d, 1, NULL);
}
