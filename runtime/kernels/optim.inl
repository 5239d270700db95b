/* optim.inl: update rules for one float type, each one pass over flat buffers. Included by optim_f32_isa.c and
   optim_f64_isa.c with T and S defined. Meaning and order of operations are PyTorch's (torch.optim, single tensor);
   factors are computed in double once per call. update.h says what each function does; schedules, groups and clipping
   live in optim/. */
#include "isa.h"
#include "kernels.h"
#include "update.h"
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

/* ---- moments: NAdam, RAdam, Adamax, LAMB ---- */

#define MOMENTS(d)                                             \
  const T m1 = m[i] + a * (d - m[i]), v1 = b2 * v[i] + b * d * d; \
  m[i] = m1, v[i] = v1;

static void moments(int64_t n, void *vw, const void *vg, void *vm, void *vv, const np_moments *s) {
  T *restrict w = vw, *restrict m = vm, *restrict v = vv;
  const T *restrict g = vg;
  const T a = (T)(1 - s->beta1), b2 = (T)s->beta2, b = (T)(1 - s->beta2), eps = (T)s->eps, decay = (T)s->decay;
  const T keep = (T)s->keep, x = (T)s->by_g, y = (T)s->by_m, r2 = (T)sqrt(s->c2);
  if (s->c2 == 0) {
    EACH {
      const T d = g[i] + decay * w[i];
      MOMENTS(d)
      w[i] = keep * w[i] - (x * d + y * m1);
    }
  } else {
    EACH {
      const T d = g[i] + decay * w[i];
      MOMENTS(d)
      w[i] = keep * w[i] - (x * d + y * m1) / (F_(sqrt)(v1) / r2 + eps);
    }
  }
}

static void lamb(int64_t n, const void *vw, double sign, const void *vg, void *vm, void *vv, void *vr, const np_moments *s) {
  T *restrict m = vm, *restrict v = vv, *restrict r = vr;
  const T *restrict w = vw, *restrict g = vg;
  const T a = (T)(1 - s->beta1), b2 = (T)s->beta2, b = (T)(1 - s->beta2), eps = (T)s->eps, decay = (T)s->decay;
  const T y = (T)s->by_m, r2 = (T)sqrt(s->c2), up = (T)sign;
  if (g) {
    EACH {
      const T d = up * g[i];
      MOMENTS(d)
    }
  }
  EACH r[i] = y * m[i] / (F_(sqrt)(v[i]) / r2 + eps) + decay * w[i];
}
#undef MOMENTS

static void adamax(int64_t n, void *vw, const void *vg, void *vm, void *vtop, const np_moments *s) {
  T *restrict w = vw, *restrict m = vm, *restrict top = vtop;
  const T *restrict g = vg;
  const T a = (T)(1 - s->beta1), b2 = (T)s->beta2, eps = (T)s->eps, decay = (T)s->decay, y = (T)s->by_m;
  EACH {
    const T d = g[i] + decay * w[i], m1 = m[i] + a * (d - m[i]), t = F_(maximum)(b2 * top[i], F_(abs)(d) + eps);
    m[i] = m1, top[i] = t;
    w[i] -= y * m1 / t;
  }
}

/* ---- squares: Adagrad, Adadelta, Adafactor ---- */

/* sum += d^2;  w -= lr d / (sqrt(sum) + eps) */
static void adagrad(int64_t n, void *vw, const void *vg, void *vsum, const np_adagrad *s) {
  T *restrict w = vw, *restrict sum = vsum;
  const T *restrict g = vg;
  const T lr = (T)s->lr, eps = (T)s->eps, decay = (T)s->weight_decay, start = (T)s->start;
  if (s->first) EACH sum[i] = start;
  EACH {
    const T d = g[i] + decay * w[i], q = sum[i] + d * d;
    sum[i] = q;
    w[i] -= lr * d / (F_(sqrt)(q) + eps);
  }
}

/* q = rho q + (1 - rho) d^2;  u = sqrt(acc + eps) / sqrt(q + eps) d;  acc = rho acc + (1 - rho) u^2;  w -= lr u */
static void adadelta(int64_t n, void *vw, const void *vg, void *vq, void *vacc, const np_adadelta *s) {
  T *restrict w = vw, *restrict q = vq, *restrict acc = vacc;
  const T *restrict g = vg;
  const T lr = (T)s->lr, rho = (T)s->rho, a = (T)(1 - s->rho), eps = (T)s->eps, decay = (T)s->weight_decay;
  EACH {
    const T d = g[i] + decay * w[i], q1 = rho * q[i] + a * d * d;
    const T u = F_(sqrt)(acc[i] + eps) / F_(sqrt)(q1 + eps) * d;
    q[i] = q1;
    acc[i] = rho * acc[i] + a * u * u;
    w[i] -= lr * u;
  }
}

static void scaled(int64_t n, const void *vg, double row, const void *vv, double floor, void *vr) {
  const T *restrict g = vg, *restrict v = vv;
  T *restrict r = vr;
  const T by = (T)row, least = (T)floor;
  EACH r[i] = g[i] / F_(sqrt)(F_(maximum)(by * v[i], least));
}

static void squares(int64_t n, void *vv, const void *vg, double rate) {
  T *restrict v = vv;
  const T *restrict g = vg;
  const T a = (T)rate;
  EACH v[i] += a * (g[i] * g[i] - v[i]);
}

static void means(int64_t n, void *vy, const double *restrict sum, double scale, double rate) {
  T *restrict y = vy;
  const T a = (T)rate;
  EACH y[i] += a * ((T)(scale * sum[i]) - y[i]);
}

/* ---- signs and averages: Rprop, Lion, ASGD, Muon ---- */

#define SIGN(x) ((x) > 0 ? (T)1 : (x) < 0 ? (T)-1 : (x)) /* NaN stays */

/* size *= plus where g and the last one agree, minus where they do not, and there d = 0, else d = g;  w -= sign(d) size */
static void rprop(int64_t n, void *vw, const void *vg, void *vprev, void *vsize, const np_rprop *s) {
  T *restrict w = vw, *restrict prev = vprev, *restrict size = vsize;
  const T *restrict g = vg;
  const T minus = (T)s->minus, plus = (T)s->plus, least = (T)s->least, most = (T)s->most, start = (T)s->start;
  if (s->first) EACH size[i] = start;
  EACH {
    const T turn = g[i] * prev[i], k = turn > 0 ? plus : turn < 0 ? minus : 1, d = turn < 0 ? 0 : g[i];
    T z = size[i] * k;
    z = z < least ? least : z > most ? most : z;
    size[i] = z;
    prev[i] = d;
    w[i] -= SIGN(d) * z;
  }
}

/* w = keep w - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g */
static void lion(int64_t n, void *vw, const void *vg, void *vm, const np_lion *s) {
  T *restrict w = vw, *restrict m = vm;
  const T *restrict g = vg;
  const T lr = (T)s->lr, b1 = (T)s->beta1, a1 = (T)(1 - s->beta1), b2 = (T)s->beta2, a2 = (T)(1 - s->beta2);
  const T keep = (T)s->keep;
  EACH {
    const T u = b1 * m[i] + a1 * g[i];
    w[i] = keep * w[i] - lr * SIGN(u);
    m[i] = b2 * m[i] + a2 * g[i];
  }
}

static void asgd(int64_t n, void *vw, const void *vg, void *vax, const np_asgd *s) {
  T *restrict w = vw, *restrict ax = vax;
  const T *restrict g = vg;
  const T keep = (T)s->keep, eta = (T)s->eta, mu = (T)s->mu, decay = (T)s->weight_decay;
  if (s->mu == 1) {
    EACH {
      const T d = g[i] + decay * w[i];
      ax[i] = w[i] = keep * w[i] - eta * d;
    }
  } else {
    EACH {
      const T d = g[i] + decay * w[i], w1 = keep * w[i] - eta * d;
      w[i] = w1;
      ax[i] += mu * (w1 - ax[i]);
    }
  }
}

static void heavy(int64_t n, double sign, const void *vg, const void *vb, void *vnext, void *vout, double momentum, int nesterov) {
  const T *restrict g = vg, *restrict b = vb;
  T *restrict next = vnext, *restrict out = vout;
  const T mu = (T)momentum, a = (T)(1 - momentum), up = (T)sign, ahead = nesterov ? mu : 1;
  EACH {
    const T d = up * g[i], b1 = b[i] + a * (d - b[i]);
    next[i] = b1;
    out[i] = d + ahead * (b1 - d);
  }
}

static void shift(int64_t n, void *vw, double keep, double by, const void *vx) {
  T *restrict w = vw;
  const T *restrict x = vx;
  const T k = (T)keep, a = (T)by;
  EACH w[i] = k * w[i] + a * x[i];
}

const np_optim NP_NAME(NP_CAT(np_optim_, S)) = {
    .sgd = sgd, .adam = adam, .moments = moments, .adamax = adamax, .rmsprop = rmsprop, .adagrad = adagrad,
    .adadelta = adadelta, .rprop = rprop, .asgd = asgd, .lion = lion, .lamb = lamb, .scaled = scaled,
    .squares = squares, .means = means, .heavy = heavy, .shift = shift};
