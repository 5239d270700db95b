/* optim.c: the update rules against twins written one element at a time in double, as torch.optim documents them,
   over several steps with all their options. */
#include "check.h"
#include "update.h"

enum { STEPS = 4 };
static double w[MOST], g[MOST], a[MOST], b[MOST], c[MOST];      /* what the kernels hold */
static double tw[MOST], tg[MOST], ta[MOST], tb[MOST], tc[MOST]; /* what the twins hold */
static int ct;

static void begin(int64_t n) {
  fill_between(ct, w, n, -1, 1);
  memset(a, 0, sizeof a), memset(b, 0, sizeof b), memset(c, 0, sizeof c);
  memset(ta, 0, sizeof ta), memset(tb, 0, sizeof tb), memset(tc, 0, sizeof tc);
  for (int64_t i = 0; i < n; i++) tw[i] = get(ct, w, i);
}
static void gradient(int64_t n) {
  fill_between(ct, g, n, -1, 1);
  for (int64_t i = 0; i < n; i++) tg[i] = get(ct, g, i);
}
static void compare(const char *name, int64_t n) {
  double tol = ct == NP_CF32 ? 1e-5 : 1e-11;
  for (int64_t i = 0; i < n; i++)
    EXPECT(near(get(ct, w, i), tw[i], tol), "%s %s: %.9g, not %.9g", name, ct_name(ct), get(ct, w, i), tw[i]);
}

static void sgd(int64_t n, int with) {
  np_sgd s = {.lr = 0.1,
              .momentum = with & 1 ? 0.9 : 0,
              .dampening = with & 2 ? 0.2 : 0,
              .weight_decay = with & 4 ? 0.05 : 0,
              .nesterov = (with & 1) && (with & 8),
              .first = 1};
  begin(n);
  for (int step = 0; step < STEPS; step++, s.first = 0) {
    gradient(n);
    K->optim[ct]->sgd(n, w, g, with & 1 ? a : NULL, &s);
    for (int64_t i = 0; i < n; i++) {
      double d = tg[i] + s.weight_decay * tw[i];
      if (with & 1) {
        ta[i] = step == 0 ? d : s.momentum * ta[i] + (1 - s.dampening) * d;
        d = s.nesterov ? d + s.momentum * ta[i] : ta[i];
      }
      tw[i] -= s.lr * d;
    }
    compare("sgd", n);
  }
}

static void adam(int64_t n, int with) {
  np_adam s = {.lr = 0.01,
               .beta1 = 0.9,
               .beta2 = 0.99,
               .eps = 1e-8,
               .weight_decay = with & 1 ? 0.1 : 0,
               .decoupled = with >> 1 & 1};
  begin(n);
  for (s.step = 1; s.step <= STEPS; s.step++) {
    gradient(n);
    K->optim[ct]->adam(n, w, g, a, b, with & 4 ? c : NULL, &s);
    double c1 = 1 - pow(s.beta1, (double)s.step), c2 = 1 - pow(s.beta2, (double)s.step);
    for (int64_t i = 0; i < n; i++) {
      double d = tg[i];
      if (s.decoupled)
        tw[i] *= 1 - s.lr * s.weight_decay;
      else
        d += s.weight_decay * tw[i];
      ta[i] = s.beta1 * ta[i] + (1 - s.beta1) * d;
      tb[i] = s.beta2 * tb[i] + (1 - s.beta2) * d * d;
      tc[i] = fmax(tc[i], tb[i]);
      tw[i] -= s.lr / c1 * ta[i] / (sqrt(with & 4 ? tc[i] : tb[i]) / sqrt(c2) + s.eps);
    }
    compare("adam", n);
  }
}

static void rmsprop(int64_t n, int with) {
  np_rmsprop s = {
      .lr = 0.01, .alpha = 0.95, .eps = 1e-3, .weight_decay = with & 1 ? 0.1 : 0, .momentum = with & 2 ? 0.9 : 0};
  begin(n);
  for (int step = 0; step < STEPS; step++) {
    gradient(n);
    K->optim[ct]->rmsprop(n, w, g, a, with & 4 ? b : NULL, with & 2 ? c : NULL, &s);
    for (int64_t i = 0; i < n; i++) {
      double d = tg[i] + s.weight_decay * tw[i], mean = 0;
      ta[i] = s.alpha * ta[i] + (1 - s.alpha) * d * d;
      if (with & 4) mean = tb[i] = s.alpha * tb[i] + (1 - s.alpha) * d;
      d /= sqrt(ta[i] - mean * mean) + s.eps;
      if (with & 2) d = tc[i] = s.momentum * tc[i] + d;
      tw[i] -= s.lr * d;
    }
    compare("rmsprop", n);
  }
}

static void test(void) {
  static const struct {
    const char *name;
    void (*rule)(int64_t n, int with);
    int options;
  } rules[] = {{"sgd", sgd, 16}, {"adam", adam, 8}, {"rmsprop", rmsprop, 8}};
  for (int r = 0; r < 3; r++) {
    for (ct = NP_CF32; ct <= NP_CF64; ct++)
      for (int s = 0; s < SIZES; s++)
        for (int with = 0; with < rules[r].options; with++) rules[r].rule(sizes[s], with);
    done(rules[r].name);
  }
}

int main(void) {
  return each_level(test);
}
