/* norm.c: normalisations over channels and root mean squares against their definitions in long double; gradients of root
   mean squares against differences. */
#include "check.h"
#include "norm.h"

static double x[MOST], g[MOST], y[MOST], c[MOST], a[MOST], b[MOST], q[MOST], w[MOST], sums[2 * MOST];

static void fill_all(int ct, int64_t n) {
  fill_between(ct, x, n, -3, 3), fill_between(ct, g, n, -1, 1), fill_between(ct, w, n, 0.5, 1.5);
  fill_between(ct, c, n, -1, 1), fill_between(ct, a, n, 0.5, 2), fill_between(ct, b, n, -1, 1), fill_between(ct, q, n, -1, 1);
}

/* One channel in a run, and a channel for each column. */
static void channels(void) {
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int s = 0; s < SIZES; s++) {
      const np_norm *k = K->norm[ct];
      int64_t n = sizes[s];
      double tol = ct == NP_CF32 ? 3e-6 : 1e-13, two[2] = {1, 2};
      long double sum = 1, along = 2;
      fill_all(ct, n);
      k->scale(n, x, 0.25, 1.5, -0.5, y);
      for (int64_t i = 0; i < n; i++) EXPECT(near(get(ct, y, i), (get(ct, x, i) - 0.25) * 1.5 - 0.5, tol), "scale %s", ct_name(ct));
      k->scale_row(n, x, c, a, b, y);
      for (int64_t i = 0; i < n; i++)
        EXPECT(near(get(ct, y, i), (get(ct, x, i) - get(ct, c, i)) * get(ct, a, i) + get(ct, b, i), tol), "scale_row %s", ct_name(ct));
      k->slopes(n, g, x, 0.25, two);
      for (int64_t i = 0; i < n; i++) sum += (long double)get(ct, g, i), along += (long double)get(ct, g, i) * ((long double)get(ct, x, i) - 0.25L);
      EXPECT(fabs(two[0] - (double)sum) <= tol * (double)(n + 1) && fabs(two[1] - (double)along) <= tol * (double)(4 * n + 1), "slopes %s of %d", ct_name(ct), (int)n);
      for (int64_t i = 0; i < 2 * n; i++) sums[i] = (double)i;
      k->slopes_row(n, g, x, c, sums);
      for (int64_t i = 0; i < n; i++)
        EXPECT(near(sums[i], (double)i + get(ct, g, i), tol) && near(sums[n + i], (double)(n + i) + get(ct, g, i) * (get(ct, x, i) - get(ct, c, i)), tol),
               "slopes_row %s", ct_name(ct));
      k->scale_grad(n, g, x, 0.25, 1.5, 0.125, -0.5, y);
      for (int64_t i = 0; i < n; i++)
        EXPECT(near(get(ct, y, i), 1.5 * get(ct, g, i) - 0.125 + 0.5 * (get(ct, x, i) - 0.25), tol), "scale_grad %s", ct_name(ct));
      k->scale_grad_row(n, g, x, c, a, b, q, y);
      for (int64_t i = 0; i < n; i++)
        EXPECT(near(get(ct, y, i), get(ct, a, i) * get(ct, g, i) - get(ct, b, i) - get(ct, q, i) * (get(ct, x, i) - get(ct, c, i)), tol),
               "scale_grad_row %s", ct_name(ct));
      memcpy(y, x, sizeof y);
      k->scale(n, x, 0.5, 2, 1, c), k->scale(n, y, 0.5, 2, 1, y);
      EXPECT(!memcmp(y, c, (size_t)n * width(ct)), "scale in place");
    }
  done("channels");
}

static long double root(int ct, int64_t n, double eps) {
  long double s = 0;
  for (int64_t i = 0; i < n; i++) s += (long double)get(ct, x, i) * (long double)get(ct, x, i);
  return 1 / sqrtl(s / (long double)n + (long double)eps);
}
static long double weighed(int ct, int64_t n, double eps, int with_w) { /* sum of g y */
  long double s = 0, r = root(ct, n, eps);
  for (int64_t i = 0; i < n; i++) s += (long double)get(ct, g, i) * (long double)get(ct, x, i) * r * (with_w ? (long double)get(ct, w, i) : 1);
  return s;
}

static void squares(void) {
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int s = 1; s < SIZES; s++)
      for (int with_w = 0; with_w < 2; with_w++) {
        int64_t n = sizes[s];
        double tol = ct == NP_CF32 ? 3e-6 : 1e-13, eps = 0.01;
        fill_all(ct, n);
        long double r = root(ct, n, eps);
        K->norm[ct]->rms(n, x, with_w ? w : NULL, eps, y);
        for (int64_t i = 0; i < n; i++)
          EXPECT(near(get(ct, y, i), (double)((long double)get(ct, x, i) * r) * (with_w ? get(ct, w, i) : 1), tol), "rms %s of %d", ct_name(ct), (int)n);
        for (int64_t i = 0; i < n; i++) sums[i] = 1;
        K->norm[ct]->rms_grad(n, g, x, with_w ? w : NULL, eps, y, sums);
        for (int64_t i = 0; i < n; i += 1 + n / 7) {
          double before = get(ct, x, i), step = ct == NP_CF32 ? 0x1p-10 : 0x1p-17;
          set(ct, x, i, before + step);
          long double up = weighed(ct, n, eps, with_w);
          set(ct, x, i, before - step);
          long double down = weighed(ct, n, eps, with_w);
          set(ct, x, i, before);
          EXPECT(fabs(get(ct, y, i) - (double)((up - down) / (2 * step))) < (ct == NP_CF32 ? 1e-3 : 1e-7), "rms_grad %s of %d: %g, differences say %Lg",
                 ct_name(ct), (int)n, get(ct, y, i), (up - down) / (2 * step));
          EXPECT(near(sums[i], 1 + get(ct, g, i) * (double)((long double)get(ct, x, i) * r), tol), "rms_grad's weight %s", ct_name(ct));
        }
      }
  done("squares");
}

static void test(void) {
  channels();
  squares();
}

int main(void) {
  return each_level(test);
}
