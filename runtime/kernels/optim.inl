/* optim.inl: update rules for one float type, each one pass over flat buffers. Included by optim_f32_isa.c and
   optim_f64_isa.c with T and S defined. Meaning and order of operations are PyTorch's (torch.optim, single tensor);
   factors are computed in double once per call. Schedules, groups and clipping live in optim/. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"

#define F_(name) NP_CAT(np_##name##_, S)
#define EACH NP_IVDEP for (int64_t i = 0; i < n; i++)

/* d = g + decay w;  b = momentum b + (1 - dampening) d;  w -= lr (b, or with nesterov d + momentum b) */
static void sgd(int64_t n, void *vw, const void *vg, void *vb, const np_sgd *s) {
  T *restrict w = vw, *restrict b = vb;
  const T *restrict g = vg;
  const T lr = (T)s->lr, mu = (T)s->momentum, keep = (T)(1 - s->dampening), decay = (T)s->weight_decay;
  if (!b) {
    EACH w[i] -= lr * (g[i] + decay * w[i]);
    return;
  }
  if (s->first) {
    EACH b[i] = g[i] + decay * w[i];
  } else {
    EACH b[i] = mu * b[i] + keep * (g[i] + decay * w[i]);
  }
  if (s->nesterov) {
    EACH w[i] -= lr * ((g[i] + decay * w[i]) + mu * b[i]);
  } else {
    EACH w[i] -= lr * b[i];
  }
}

/* m += (1 - beta1)(d - m);  v = beta2 v + (1 - beta2) d^2;  w -= lr/c1 m / (sqrt(v)/sqrt(c2) + eps),  c = 1 -
   beta^step */
static void adam(int64_t n, void *vw, const void *vg, void *vm, void *vv, void *vmax, const np_adam *s) {
  T *restrict w = vw, *restrict m = vm, *restrict v = vv, *restrict top = vmax;
  const T *restrict g = vg;
  const double c1 = 1 - pow(s->beta1, (double)s->step), c2 = 1 - pow(s->beta2, (double)s->step);
  const T a = (T)(1 - s->beta1), b2 = (T)s->beta2, b = (T)(1 - s->beta2), eps = (T)s->eps;
  const T lr = (T)(s->lr / c1), r2 = (T)sqrt(c2), decay = (T)(s->decoupled ? 0 : s->weight_decay);
  const T shrink = (T)(s->decoupled ? 1 - s->lr * s->weight_decay : 1);
#define MOMENTS                                            \
  const T d = g[i] + decay * w[i], m1 = m[i] + a * (d - m[i]), v1 = b2 * v[i] + b * d * d; \
  m[i] = m1, v[i] = v1;
  if (top) {
    EACH {
      MOMENTS
      const T t = F_(maximum)(top[i], v1);
      top[i] = t;
      w[i] = shrink * w[i] - lr * m1 / (F_(sqrt)(t) / r2 + eps);
    }
  } else {
    EACH {
      MOMENTS
      w[i] = shrink * w[i] - lr * m1 / (F_(sqrt)(v1) / r2 + eps);
    }
  }
#undef MOMENTS
}

/* q = alpha q + (1 - alpha) d^2;  u = d / (sqrt(q - avg^2) + eps), avg += (1 - alpha)(d - avg) when centered, else 0;
   b = momentum b + u;  w -= lr b, or lr u without momentum */
static void rmsprop(int64_t n, void *vw, const void *vg, void *vq, void *va, void *vb, const np_rmsprop *s) {
  T *restrict w = vw, *restrict q = vq, *restrict avg = va, *restrict buf = vb;
  const T *restrict g = vg;
  const T alpha = (T)s->alpha, a = (T)(1 - s->alpha), eps = (T)s->eps, decay = (T)s->weight_decay, lr = (T)s->lr;
  const T mu = (T)s->momentum;
#define SQUARES                              \
  const T d = g[i] + decay * w[i], q1 = alpha * q[i] + a * d * d; \
  q[i] = q1;
#define CENTER                               \
  const T c = avg[i] + a * (d - avg[i]), u = d / (F_(sqrt)(q1 - c * c) + eps); \
  avg[i] = c;
#define PLAIN const T u = d / (F_(sqrt)(q1) + eps);
#define HEAVY w[i] -= lr * (buf[i] = mu * buf[i] + u);
#define LIGHT w[i] -= lr * u;
  if (avg && buf) {
    EACH { SQUARES CENTER HEAVY }
  } else if (avg) {
    EACH { SQUARES CENTER LIGHT }
  } else if (buf) {
    EACH { SQUARES PLAIN HEAVY }
  } else {
    EACH { SQUARES PLAIN LIGHT }
  }
}

const np_optim NP_NAME(NP_CAT(np_optim_, S)) = {.sgd = sgd, .adam = adam, .rmsprop = rmsprop};
