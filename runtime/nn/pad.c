/* Padding as layers: pairs of numbers, before and after, of the last dimension first, or one for all sides. How many
 * dimensions are padded, says the layer's name. */
#include "module.h"

int np_pad_setup(neap_module *m, const neap_value *in) {
  int nd = np_name_dims(m), n = m->arg[0].n;
  (void)in;
  if (n == 1 || n == 2 * nd) return NEAP_OK;
  return np_layer_fail(m, NEAP_ERR_ARGUMENT, "padding takes one number or %d, before and after each dimension, got %d", 2 * nd, n);
}

static neap_tensor *padded(neap_module *m, neap_tensor *x, int mode, double value) {
  int n = 2 * np_name_dims(m);
  int64_t pad[6];
  for (int i = 0; i < n; i++) pad[i] = m->arg[0].is[m->arg[0].n == 1 ? 0 : i];
  return neap_pad(m->ctx, x, n, pad, mode, value);
}

#define PAD(name, mode, value) \
  neap_tensor *np_##name##_pad_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, padded(m, in[0].t, mode, value); }
PAD(zero, NEAP_MODE_CONSTANT, 0)
PAD(constant, NEAP_MODE_CONSTANT, np_set_d(m, 1))
PAD(reflection, NEAP_MODE_REFLECT, 0)
PAD(replication, NEAP_MODE_REPLICATE, 0)
PAD(circular, NEAP_MODE_CIRCULAR, 0)
