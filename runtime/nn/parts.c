/* What setups of layers are made of: settings checked, sizes taken from the first input, parameters with first values. */
#include <math.h>
#include "module.h"

int np_waits(neap_module *m, int i, const neap_value *in, int axis) {
  if (np_set_given(m, i)) return 0;
  if (!in) {
    m->waiting = 1;
    return 1;
  }
  const neap_tensor *x = in[0].t;
  int d = axis < 0 ? axis + x->at.ndim : axis;
  if (d < 0 || d >= x->at.ndim) {
    char shape[96];
    np_shape_text(shape, sizeof shape, x);
    np_layer_fail(m, NEAP_ERR_SHAPE, "%s was left out and cannot be taken from an input of shape %s", m->sig->param[i].name, shape);
    return 1;
  }
  m->arg[i] = (neap_value){.kind = NEAP_INT, .i = x->at.shape[d]};
  return 0;
}

int np_at_least(neap_module *m, int i, int64_t least) {
  if (m->arg[i].i >= least) return NEAP_OK;
  return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s must be at least %lld, not %lld", m->sig->param[i].name, (long long)least,
                       (long long)m->arg[i].i);
}

int np_probability(neap_module *m, int i) {
  double p = m->arg[i].d;
  if (p >= 0 && p <= 1) return NEAP_OK;
  return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s is a probability, between 0 and 1, not %g", m->sig->param[i].name, p);
}

int np_uniform_part(neap_module *m, const char *name, int ndim, const int64_t *shape, double bound) {
  neap_tensor *t = np_add_part(m, name, ndim, shape);
  return t ? neap_init_uniform(t, -bound, bound, NULL) : (int)m->ctx->error;
}

int np_constant_part(neap_module *m, const char *name, int ndim, const int64_t *shape, double value) {
  neap_tensor *t = np_add_part(m, name, ndim, shape);
  return t ? neap_init_constant(t, value) : (int)m->ctx->error;
}

int np_make_child(neap_module *m, const char *name, int place, const char *layer, int n, const neap_value *settings) {
  neap_module *child = neap_module_new(m->ctx, neap_layer_find(layer), n, settings);
  if (child && m->dtype != child->dtype) neap_module_to(child, m->dtype);
  return np_add_child(m, name, place, child);
}

double np_fan_bound(int64_t fan_in) { return fan_in > 0 ? 1 / sqrt((double)fan_in) : 0; }
