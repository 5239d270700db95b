/* The elementwise update rules: how each row's settings and the count of steps become the kernel's numbers, computed once
 * for all elements. The formulas stand in kernels/optim.inl. */
#include <math.h>
#include "optim.h"

int np_rule_fine(neap_context *c, const neap_value *set) {
  (void)c, (void)set;
  return NEAP_OK;
}

void np_rule_still(const neap_value *set, int64_t step, double *scalar) { (void)set, (void)step, (void)scalar; }

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

/* ---- NAdam, RAdam, Adamax: the moments of Adam, c = 1 - beta^step ---- */

static np_moments moments(const neap_value *s, int64_t step, int decoupled) {
  double lr = s[ADAM_LR].d, decay = s[ADAM_DECAY].d, c1 = 1 - pow(s[ADAM_BETA1].d, (double)step);
  return (np_moments){.beta1 = s[ADAM_BETA1].d, .beta2 = s[ADAM_BETA2].d, .eps = s[ADAM_EPS].d, .decay = decoupled ? 0 : decay,
                      .keep = decoupled ? 1 - lr * decay : 1, .by_m = lr / c1, .c2 = 1 - pow(s[ADAM_BETA2].d, (double)step)};
}

enum { NADAM_MOMENTUM_DECAY = ADAM_DECAY + 1, NADAM_DECOUPLED };

static double nadam_mu(const neap_value *s, int64_t step) {
  return s[ADAM_BETA1].d * (1 - 0.5 * pow(0.96, (double)step * s[NADAM_MOMENTUM_DECAY].d));
}

void np_nadam_after(const neap_value *s, int64_t step, double *scalar) { scalar[0] *= nadam_mu(s, step); }

/* P = the product of all mu so far:  w -= lr ((1 - mu) d / (1 - P) + mu' m / (1 - P mu')) / (sqrt(v / c2) + eps) */
void np_nadam_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  double lr = s[ADAM_LR].d, mu = nadam_mu(s, p->step), next = nadam_mu(s, p->step + 1), product = p->scalar[0] * mu;
  np_moments a = moments(s, p->step, (int)s[NADAM_DECOUPLED].i);
  a.by_g = lr * (1 - mu) / (1 - product);
  a.by_m = lr * next / (1 - product * next);
  k->moments(p->n, p->w, p->g, p->slot[0], p->slot[1], &a);
}

enum { RADAM_DECOUPLED = ADAM_DECAY + 1 };

/* r = how long an average v stands for, compared with the longest, R:  w -= lr m / c1, and from r > 5 on
   w -= lr m / c1 / (sqrt(v / c2) + eps / sqrt(c2)) sqrt((r - 4)(r - 2) R / ((R - 4)(R - 2) r)) */
void np_radam_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_moments a = moments(s, p->step, (int)s[RADAM_DECOUPLED].i);
  double R = 2 / (1 - a.beta2) - 1, r = R - 2 * (double)p->step * (1 - a.c2) / a.c2;
  if (r > 5) {
    a.by_m *= sqrt(a.c2) * sqrt((r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r));
    a.c2 = 1;
  } else {
    a.c2 = 0;
  }
  k->moments(p->n, p->w, p->g, p->slot[0], p->slot[1], &a);
}

void np_adamax_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_moments a = moments(s, p->step, 0);
  k->adamax(p->n, p->w, p->g, p->slot[0], p->slot[1], &a);
}

/* ---- Adagrad, Adadelta ---- */

enum { ADAGRAD_LR, ADAGRAD_LR_DECAY, ADAGRAD_DECAY, ADAGRAD_START, ADAGRAD_EPS };

void np_adagrad_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_adagrad a = {.lr = s[ADAGRAD_LR].d / (1 + (double)(p->step - 1) * s[ADAGRAD_LR_DECAY].d), .eps = s[ADAGRAD_EPS].d,
                  .weight_decay = s[ADAGRAD_DECAY].d, .start = s[ADAGRAD_START].d, .first = p->first};
  k->adagrad(p->n, p->w, p->g, p->slot[0], &a);
}

enum { DELTA_LR, DELTA_RHO, DELTA_EPS, DELTA_DECAY };

int np_adadelta_check(neap_context *c, const neap_value *s) {
  if (s[DELTA_RHO].d <= 1) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "Adadelta: rho must be from 0 to 1, not %g", s[DELTA_RHO].d);
}

void np_adadelta_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_adadelta a = {.lr = s[DELTA_LR].d, .rho = s[DELTA_RHO].d, .eps = s[DELTA_EPS].d, .weight_decay = s[DELTA_DECAY].d};
  k->adadelta(p->n, p->w, p->g, p->slot[0], p->slot[1], &a);
}

/* ---- Rprop ---- */

enum { RPROP_LR, RPROP_MINUS, RPROP_PLUS, RPROP_LEAST, RPROP_MOST };

int np_rprop_check(neap_context *c, const neap_value *s) {
  if (!(s[RPROP_MINUS].d > 0 && s[RPROP_MINUS].d < 1 && s[RPROP_PLUS].d > 1))
    return np_fail(c, NEAP_ERR_ARGUMENT, "Rprop: needs 0 < etaminus < 1 < etaplus, got %g and %g", s[RPROP_MINUS].d, s[RPROP_PLUS].d);
  if (s[RPROP_LEAST].d <= s[RPROP_MOST].d) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "Rprop: step_size_min %g is above step_size_max %g", s[RPROP_LEAST].d, s[RPROP_MOST].d);
}

void np_rprop_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_rprop a = {.start = s[RPROP_LR].d, .minus = s[RPROP_MINUS].d, .plus = s[RPROP_PLUS].d, .least = s[RPROP_LEAST].d,
                .most = s[RPROP_MOST].d, .first = p->first};
  k->rprop(p->n, p->w, p->g, p->slot[0], p->slot[1], &a);
}

/* ---- ASGD ---- */

enum { ASGD_LR, ASGD_LAMBD, ASGD_ALPHA, ASGD_T0, ASGD_DECAY };
enum { ASGD_ETA, ASGD_MU };

void np_asgd_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  double eta = p->scalar[ASGD_ETA];
  np_asgd a = {.keep = 1 - s[ASGD_LAMBD].d * eta, .eta = eta, .mu = p->scalar[ASGD_MU], .weight_decay = s[ASGD_DECAY].d};
  k->asgd(p->n, p->w, p->g, p->slot[0], &a);
}

void np_asgd_after(const neap_value *s, int64_t step, double *scalar) {
  double lr = s[ASGD_LR].d;
  scalar[ASGD_ETA] = lr / pow(1 + s[ASGD_LAMBD].d * lr * (double)step, s[ASGD_ALPHA].d);
  scalar[ASGD_MU] = 1 / fmax(1, (double)step - s[ASGD_T0].d);
}

/* ---- Lion ---- */

enum { LION_LR, LION_BETA1, LION_BETA2, LION_DECAY };

void np_lion_update(const np_optim *k, const neap_value *s, const np_chunk *p) {
  np_lion a = {.lr = s[LION_LR].d, .beta1 = s[LION_BETA1].d, .beta2 = s[LION_BETA2].d, .keep = 1 - s[LION_LR].d * s[LION_DECAY].d};
  k->lion(p->n, p->w, p->g, p->slot[0], &a);
}
