/* Layers without weights: those that are one op of the table, and a few whose settings or modes need a word more. */
#include <string.h>
#include "module.h"

/* ---- layers that are one op (OP_LAYER) ---- */

int np_op_setup(neap_module *m, const neap_value *in) {
  (void)m, (void)in;
  return NEAP_OK;
}

neap_tensor *np_op_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  neap_value a[NP_MAX_ARGS];
  neap_tensor *out[NP_MAX_OUTS];
  int n = m->row->inputs;
  memcpy(a, in, (size_t)n * sizeof *a);
  for (int i = 0, part = 0; i < m->sig->n_params; i++, n++) {
    a[n] = m->arg[i];
    if (a[n].kind == NEAP_TENSOR) a[n].t = m->part[part++].t;
  }
  int got = neap_call(m->ctx, m->row->op, n, a, out, 0, NULL);
  for (int i = 1; i < got; i++) more[i - 1] = out[i];
  return got < 0 ? NULL : out[0];
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

neap_tensor *np_identity_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)m, (void)more;
  return neap_retain(in[0].t);
}

neap_tensor *np_flatten_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_flatten(m->ctx, in[0].t, np_set_i(m, 0), np_set_i(m, 1));
}

neap_tensor *np_rrelu_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_rrelu(m->ctx, in[0].t, np_set_d(m, 0), np_set_d(m, 1), m->training, NULL);
}
