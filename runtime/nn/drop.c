/* Dropout in its forms: in training it drops, else its input goes through. */
#include "module.h"

int np_dropout_setup(neap_module *m, const neap_value *in) {
  (void)in;
  return np_probability(m, 0);
}

#define DROPS(name)                                                                                  \
  neap_tensor *np_##name##_forward(neap_module *m, const neap_value *in, neap_tensor **more) {       \
    (void)more;                                                                                      \
    return neap_##name(m->ctx, in[0].t, np_set_d(m, 0), m->training, NULL);                          \
  }
DROPS(dropout)
DROPS(dropout1d)
DROPS(dropout2d)
DROPS(dropout3d)
DROPS(alpha_dropout)
DROPS(feature_alpha_dropout)
DROPS(drop_path)
