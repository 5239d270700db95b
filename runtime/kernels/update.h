/* update.h: the loops of the update rules, one table for float32 and one for float64. w are weights, g gradients, which
   stay as they are, then comes state; each is n elements in a row. Meaning and order of operations are PyTorch's
   (torch.optim, one tensor at a time). What is the same for all elements (corrections by the count of steps, rates that
   decay) comes as numbers: optim/rules.c computes them. State starts as zeros unless said otherwise. */
#ifndef NP_UPDATE_H
#define NP_UPDATE_H

#include <stdint.h>

typedef struct np_sgd {
  double lr, momentum, dampening, weight_decay;
  int nesterov, first; /* first: the momentum buffer is not yet set and becomes the gradient */
} np_sgd;

typedef struct np_adam {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;  /* 1 at the first update */
  int decoupled; /* 0: Adam, decay added to the gradient; 1: AdamW */
} np_adam;

/* d = g + decay w;  m += (1 - beta1)(d - m);  v = beta2 v + (1 - beta2) d^2; what follows differs by rule */
typedef struct np_moments {
  double beta1, beta2, eps, decay;
  double keep;           /* w is multiplied by it: 1 - lr decay where decay is decoupled */
  double by_g, by_m, c2; /* w = keep w - (by_g d + by_m m) / (sqrt(v) / sqrt(c2) + eps), v left out for c2 = 0 */
} np_moments;

typedef struct np_rmsprop {
  double lr, alpha, eps, weight_decay, momentum;
} np_rmsprop;

typedef struct np_adagrad {
  double lr, eps, weight_decay, start; /* start: what the sum begins with */
  int first;
} np_adagrad;

typedef struct np_adadelta {
  double lr, rho, eps, weight_decay;
} np_adadelta;

typedef struct np_rprop {
  double start, minus, plus, least, most; /* start: the first step size */
  int first;
} np_rprop;

typedef struct np_asgd {
  double keep, eta, mu, weight_decay; /* w = keep w - eta d; ax += mu (w - ax) */
} np_asgd;

typedef struct np_lion {
  double lr, beta1, beta2, keep;
} np_lion;

typedef struct np_optim {
  void (*sgd)(int64_t n, void *w, const void *g, void *buf, const np_sgd *s); /* buf NULL when momentum is 0 */
  /* vmax: the greatest v so far (amsgrad), or NULL. */
  void (*adam)(int64_t n, void *w, const void *g, void *m, void *v, void *vmax, const np_adam *s);
  void (*moments)(int64_t n, void *w, const void *g, void *m, void *v, const np_moments *s); /* NAdam, RAdam */
  /* top = max(beta2 top, |d| + eps); w -= by_m m / top */
  void (*adamax)(int64_t n, void *w, const void *g, void *m, void *top, const np_moments *s);
  /* avg: mean gradient (centered), or NULL; buf: momentum, NULL when it is 0. */
  void (*rmsprop)(int64_t n, void *w, const void *g, void *sq, void *avg, void *buf, const np_rmsprop *s);
  void (*adagrad)(int64_t n, void *w, const void *g, void *sum, const np_adagrad *s);
  void (*adadelta)(int64_t n, void *w, const void *g, void *sq, void *acc, const np_adadelta *s);
  void (*rprop)(int64_t n, void *w, const void *g, void *prev, void *size, const np_rprop *s);
  void (*asgd)(int64_t n, void *w, const void *g, void *ax, const np_asgd *s);
  void (*lion)(int64_t n, void *w, const void *g, void *m, const np_lion *s);
  /* The moments move on with sign g (g NULL: they stay), and r = by_m m / (sqrt(v) / sqrt(c2) + eps) + decay w. LAMB. */
  void (*lamb)(int64_t n, const void *w, double sign, const void *g, void *m, void *v, void *r, const np_moments *s);
  /* r = g / sqrt(max(row v[i], floor)); v += a (g^2 - v); y += a (scale sum[i] - y). Adafactor. */
  void (*scaled)(int64_t n, const void *g, double row, const void *v, double floor, void *r);
  void (*squares)(int64_t n, void *v, const void *g, double a);
  void (*means)(int64_t n, void *y, const double *sum, double scale, double a);
  /* d = sign g;  next = buf + (1 - momentum)(d - buf), out = d + momentum (next - d) or without nesterov next. Muon. */
  void (*heavy)(int64_t n, double sign, const void *g, const void *buf, void *next, void *out, double momentum, int nesterov);
  void (*shift)(int64_t n, void *w, double keep, double a, const void *x); /* w = keep w + a x */
} np_optim;

#endif
