/* The update rules: how each row's settings become the kernel's. The formulas stand in kernels/optim.inl. */
#include "optim.h"

int np_rule_fine(neap_context *c, const neap_value *set) {
  (void)c, (void)set;
  return NEAP_OK;
}

/* ---- SGD ---- */

enum { SGD_LR, SGD_MOMENTUM, SGD_DAMPENING, SGD_DECAY, SGD_NESTEROV };

int np_sgd_check(neap_context *c, const neap_value *s) {
  if (!s[SGD_NESTEROV].i || (s[SGD_MOMENTUM].d > 0 && s[SGD_DAMPENING].d == 0)) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "SGD: nesterov needs a momentum and no dampening");
}

void np_sgd_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_sgd a = {.lr = s[SGD_LR].d, .momentum = s[SGD_MOMENTUM].d, .dampening = s[SGD_DAMPENING].d,
              .weight_decay = s[SGD_DECAY].d, .nesterov = (int)s[SGD_NESTEROV].i, .first = p->first};
  k->sgd(p->n, p->w, p->g, p->slot[0], &a);
}

/* ---- Adam, AdamW ---- */

enum { ADAM_LR, ADAM_BETA1, ADAM_BETA2, ADAM_EPS, ADAM_DECAY };

static void adam(const np_optim *k, const neap_value *s, const np_chunk *p, int decoupled) {
  np_adam a = {.lr = s[ADAM_LR].d, .beta1 = s[ADAM_BETA1].d, .beta2 = s[ADAM_BETA2].d, .eps = s[ADAM_EPS].d,
               .weight_decay = s[ADAM_DECAY].d, .step = p->step, .decoupled = decoupled};
  k->adam(p->n, p->w, p->g, p->slot[0], p->slot[1], p->slot[2], &a);
}

void np_adam_update(const np_optim *k, const neap_value *s, const np_chunk *p) { adam(k, s, p, 0); }
void np_adamw_update(const np_optim *k, const neap_value *s, const np_chunk *p) { adam(k, s, p, 1); }

/* ---- RMSprop ---- */

enum { RMS_LR, RMS_ALPHA, RMS_EPS, RMS_DECAY, RMS_MOMENTUM };

void np_rmsprop_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_rmsprop a = {.lr = s[RMS_LR].d, .alpha = s[RMS_ALPHA].d, .eps = s[RMS_EPS].d, .weight_decay = s[RMS_DECAY].d,
                  .momentum = s[RMS_MOMENTUM].d};
  k->rmsprop(p->n, p->w, p->g, p->slot[0], p->slot[1], p->slot[2], &a);
}
