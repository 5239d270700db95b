/* rows.c: softmax, layer norm and cross-entropy against their definitions in long double; gradients against
   differences of the same definitions. */
#include "check.h"

static double x[MOST], y[MOST], g[MOST], q[MOST], w[MOST], dx[MOST], mean, rstd;
static const int64_t lengths[] = {1, 3, 7, 64, 300, 1000, 1025};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static long double lse(int ct, const void *v, int64_t n) {
  long double top = -INFINITY, s = 0;
  for (int64_t i = 0; i < n; i++) top = fmaxl(top, (long double)get(ct, v, i));
  for (int64_t i = 0; i < n; i++) s += expl((long double)get(ct, v, i) - top);
  return top + logl(s);
}

static void softmax(void) {
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int s = 0; s < LENGTHS; s++) {
      int64_t n = lengths[s];
      double tol = ct == NP_CF32 ? 1e-6 : 1e-13, v;
      fill_between(ct, x, n, -20, 20), fill_between(ct, g, n, -1, 1);
      long double L = lse(ct, x, n), gy = 0, sum_g = 0;
      K->row[ct]->logsumexp(n, x, &v);
      EXPECT(near(v, (double)L, tol), "logsumexp %s", ct_name(ct));
      K->row[ct]->softmax(n, x, y);
      for (int64_t i = 0; i < n; i++) {
        long double p = expl((long double)get(ct, x, i) - L);
        EXPECT(fabsl((long double)get(ct, y, i) - p) <= 30 * tol * p + 1e-37, "softmax %s: %g, not %Lg", ct_name(ct),
               get(ct, y, i), p);
        gy += p * (long double)get(ct, g, i), sum_g += (long double)get(ct, g, i);
      }
      K->row[ct]->softmax_grad(n, y, g, dx);
      for (int64_t i = 0; i < n; i++) {
        long double p = expl((long double)get(ct, x, i) - L);
        EXPECT(near(get(ct, dx, i), (double)(p * ((long double)get(ct, g, i) - gy)), 20 * tol), "softmax_grad");
      }
      K->row[ct]->log_softmax(n, x, y);
      for (int64_t i = 0; i < n; i++)
        EXPECT(near(get(ct, y, i), (double)((long double)get(ct, x, i) - L), tol), "log_softmax");
      memcpy(dx, g, sizeof dx);
      K->row[ct]->log_softmax_grad(n, y, dx, dx);
      for (int64_t i = 0; i < n; i++) {
        long double p = expl((long double)get(ct, x, i) - L);
        EXPECT(near(get(ct, dx, i), (double)((long double)get(ct, g, i) - p * sum_g), 30 * tol), "log_softmax_grad");
      }
      memcpy(y, x, sizeof y);
      K->row[ct]->softmax(n, x, dx), K->row[ct]->softmax(n, y, y);
      EXPECT(!memcmp(y, dx, (size_t)n * width(ct)), "softmax in place");
    }
  double v, none[3] = {-INFINITY, -INFINITY, -INFINITY}, mixed[3] = {-INFINITY, 0, 0}, big[2] = {INFINITY, 1},
            bad[2] = {1, NAN};
  K->row[NP_CF64]->logsumexp(3, none, &v), EXPECT(v == -INFINITY, "logsumexp of -inf: %g", v);
  K->row[NP_CF64]->logsumexp(2, big, &v), EXPECT(v == INFINITY, "logsumexp of inf: %g", v);
  K->row[NP_CF64]->logsumexp(2, bad, &v), EXPECT(v != v, "logsumexp of NaN: %g", v);
  K->row[NP_CF64]->softmax(3, mixed, mixed), EXPECT(mixed[0] == 0 && mixed[1] == 0.5, "softmax with -inf");
  K->row[NP_CF64]->softmax(3, none, none), EXPECT(none[0] != none[0], "softmax of -inf is NaN");
  done("softmax");
}

static long double normed(const double *v, int64_t n, int64_t i, double eps) {
  long double m = 0, s = 0;
  for (int64_t j = 0; j < n; j++) m += (long double)v[j] / (long double)n;
  for (int64_t j = 0; j < n; j++) s += ((long double)v[j] - m) * ((long double)v[j] - m) / (long double)n;
  return ((long double)v[i] - m) / sqrtl(s + (long double)eps);
}

static void layer_norm(void) {
  static double gamma[MOST], beta[MOST], dgamma[MOST], dbeta[MOST];
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int s = 1; s < 5; s++)
      for (int with = 0; with < 4; with++) {
        int64_t n = lengths[s];
        const double eps = 1e-5, tol = ct == NP_CF32 ? 5e-6 : 1e-12;
        const void *ga = with & 1 ? gamma : NULL, *be = with & 2 ? beta : NULL;
        fill_between(ct, x, n, 8, 12), fill_between(ct, g, n, -1, 1);
        fill_between(ct, gamma, n, 0.5, 2), fill_between(ct, beta, n, -1, 1);
        K->row[ct]->layer_norm(n, x, ga, be, eps, y, &mean, &rstd);
        for (int64_t i = 0; i < n; i++) q[i] = get(ct, x, i);
        double loss_up, loss_down, h = 1e-5;
        for (int64_t i = 0; i < n; i++) {
          double t = (double)normed(q, n, i, eps);
          dgamma[i] = 1, dbeta[i] = 2;
          EXPECT(near(get(ct, y, i), (ga ? get(ct, gamma, i) : 1) * t + (be ? get(ct, beta, i) : 0), tol),
                 "layer_norm %s", ct_name(ct));
        }
        K->row[ct]->layer_norm_grad(n, g, x, ga, &mean, &rstd, dx, dgamma, dbeta);
        K->row[ct]->layer_norm_grad(n, g, x, ga, &mean, &rstd, NULL, NULL, NULL);
        for (int64_t i = 0; i < n; i++) {
          EXPECT(near(dgamma[i], 1 + get(ct, g, i) * (double)normed(q, n, i, eps), tol), "dgamma");
          EXPECT(near(dbeta[i], 2 + get(ct, g, i), tol), "dbeta");
        }
        for (int64_t i = 0; i < n; i += n / 3) {
          double keep = q[i];
          loss_up = loss_down = 0;
          q[i] = keep + h;
          for (int64_t j = 0; j < n; j++)
            loss_up += get(ct, g, j) * (ga ? get(ct, gamma, j) : 1) * (double)normed(q, n, j, eps);
          q[i] = keep - h;
          for (int64_t j = 0; j < n; j++)
            loss_down += get(ct, g, j) * (ga ? get(ct, gamma, j) : 1) * (double)normed(q, n, j, eps);
          q[i] = keep;
          EXPECT(near(get(ct, dx, i), (loss_up - loss_down) / (2 * h), ct == NP_CF32 ? 1e-5 : 1e-8),
                 "dx %s: %.9g, not %.9g", ct_name(ct), get(ct, dx, i), (loss_up - loss_down) / (2 * h));
        }
      }
  done("layer norm");
}

/* sum_c weight_c r_c (L - x_c) with r = (1-e) q + e/n; q may be one class. */
static double entropy(int ct, int64_t n, int64_t t, const void *probs, const void *weights, double e) {
  long double L = lse(ct, x, n), y1 = 0;
  for (int64_t c = 0; c < n; c++) {
    long double r =
        (1 - (long double)e) * (probs ? (long double)get(ct, probs, c) : c == t) + (long double)e / (long double)n;
    y1 += r * (weights ? (long double)get(ct, weights, c) : 1) * (L - (long double)get(ct, x, c));
  }
  return (double)y1;
}

static void cross_entropy(void) {
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int s = 0; s < 5; s++)
      for (int with = 0; with < 8; with++) {
        int64_t n = lengths[s], t = (int64_t)(next_random() % (uint64_t)n);
        const void *weights = with & 1 ? w : NULL, *probs = with & 2 ? q : NULL;
        double e = with & 4 ? 0.1 : 0, tol = ct == NP_CF32 ? 3e-6 : 1e-13, loss, L, h = ct == NP_CF32 ? 0.01 : 1e-5;
        fill_between(ct, x, n, -5, 5), fill_between(ct, w, n, 0.5, 2), fill_between(ct, q, n, 0, 1);
        if (probs)
          K->row[ct]->cross_entropy_soft(n, x, q, weights, e, &loss, &L);
        else
          K->row[ct]->cross_entropy(n, x, t, weights, e, &loss, &L);
        double twin = entropy(ct, n, t, probs, weights, e);
        EXPECT(near(loss, twin, tol), "loss %s: %.12g, not %.12g", ct_name(ct), loss, twin);
        EXPECT(near(L, (double)lse(ct, x, n), tol), "L");
        if (probs)
          K->row[ct]->cross_entropy_soft_grad(n, x, q, weights, e, L, 0.5, dx);
        else
          K->row[ct]->cross_entropy_grad(n, x, t, weights, e, L, 0.5, dx);
        for (int64_t i = 0; i<n; i += n> 6 ? n / 3 : 1) {
          double keep = get(ct, x, i), up, down, a, b;
          set(ct, x, i, keep + h), a = get(ct, x, i), up = entropy(ct, n, t, probs, weights, e);
          set(ct, x, i, keep - h), b = get(ct, x, i), down = entropy(ct, n, t, probs, weights, e);
          set(ct, x, i, keep);
          EXPECT(near(get(ct, dx, i), 0.5 * (up - down) / (a - b), ct == NP_CF32 ? 2e-4 : 2e-7),
                 "dx %s %d: %.9g, not %.9g", ct_name(ct), with, get(ct, dx, i), 0.5 * (up - down) / (a - b));
        }
      }
  done("cross-entropy");
}

static void test(void) {
  softmax();
  layer_norm();
  cross_entropy();
}

int main(void) {
  return each_level(test);
}
