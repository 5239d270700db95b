/* sheet.c: rows side by side against the same rows one at a time, whose kernels rows.c holds against definitions; gradients of
   cross-entropy likewise. */
#include "check.h"
#include "sheet.h"

enum { ROWS = 40, COLUMNS = NP_SHEET, APART = 80 };
static double x[ROWS * APART], g[ROWS * APART], y[ROWS * APART], dx[ROWS * APART], row[ROWS], from[ROWS], to[ROWS], w[ROWS];

static const double *column(int ct, const double *sheet, int64_t n, int64_t apart, int j, double *out) { /* one row, contiguous */
  for (int64_t i = 0; i < n; i++) set(ct, out, i, get(ct, sheet, i * apart + j));
  return out;
}

static void expect_row(int ct, const char *what, const double *sheet, int64_t n, int64_t apart, int j, const double *wanted) {
  for (int64_t i = 0; i < n; i++)
    EXPECT(near(get(ct, sheet, i * apart + j), get(ct, wanted, i), ct == NP_CF32 ? 3e-6 : 1e-13), "%s %s: row %d of %d", what, ct_name(ct), j, (int)n);
}

static void compare(int ct, int64_t n, int m, int64_t apart) {
  const np_sheet_loops *k = K->sheet[ct];
  const np_row *one = K->row[ct];
  const np_sheet vx = { (char *)x, apart }, vg = { (char *)g, apart }, vy = { (char *)y, apart }, vdx = { (char *)dx, apart };
  double L[NP_SHEET], sum[NP_SHEET], a[NP_SHEET], b[NP_SHEET], l, kept;
  const double e = 0.1, tol = ct == NP_CF32 ? 3e-6 : 1e-13;
  fill_between(ct, x, n * apart, -30, 30), fill_between(ct, g, n * apart, -1, 1), fill_between(ct, w, n, 0.5, 2);
  k->logsumexp(n, m, vx, L);
  for (int j = 0; j < m; j++) one->logsumexp(n, column(ct, x, n, apart, j, row), &l), EXPECT(near(L[j], l, tol), "logsumexp %s: %g, %g", ct_name(ct), L[j], l);
  k->softmax(n, m, vx, vy), k->softmax_grad(n, m, vy, vg, vdx);
  for (int j = 0; j < m; j++) {
    one->softmax(n, column(ct, x, n, apart, j, row), to), expect_row(ct, "softmax", y, n, apart, j, to);
    one->softmax_grad(n, to, column(ct, g, n, apart, j, from), row), expect_row(ct, "softmax_grad", dx, n, apart, j, row);
  }
  k->log_softmax(n, m, vx, vy), k->log_softmax_grad(n, m, vy, vg, vdx);
  for (int j = 0; j < m; j++) {
    one->log_softmax(n, column(ct, x, n, apart, j, row), to), expect_row(ct, "log_softmax", y, n, apart, j, to);
    one->log_softmax_grad(n, to, column(ct, g, n, apart, j, from), row), expect_row(ct, "log_softmax_grad", dx, n, apart, j, row);
  }
  for (int weighed = 0; weighed < 2; weighed++) {
    double total = 0, t = 0;
    k->weigh(n, m, vx, weighed ? w : NULL, sum);
    for (int64_t i = 0; i < n; i++) total += weighed ? get(ct, w, i) : 1;
    for (int j = 0; j < m; j++, t = 0) {
      for (int64_t i = 0; i < n; i++) t += (weighed ? get(ct, w, i) : 1) * get(ct, x, i * apart + j);
      EXPECT(fabs(sum[j] - t) <= tol * 60 * (double)(n + 1), "weigh %s", ct_name(ct));
      b[j] = 0.5 * e / (double)n, a[j] = 0.5 * (1 - e) * (weighed ? get(ct, w, 0) : 1) + b[j] * total;
    }
    k->entropy_grad(n, m, vx, a, b, weighed ? w : NULL, vdx);
    for (int j = 0; j < m; j++) { /* for class 0, whose part is subtracted outside of the kernel */
      one->cross_entropy(n, column(ct, x, n, apart, j, row), 0, weighed ? w : NULL, e, &l, &kept);
      one->cross_entropy_grad(n, row, 0, weighed ? w : NULL, e, kept, 0.5, to);
      set(ct, to, 0, get(ct, to, 0) + 0.5 * (1 - e) * (weighed ? get(ct, w, 0) : 1));
      expect_row(ct, "entropy_grad", dx, n, apart, j, to);
    }
  }
}

static void sheets(void) {
  static const int64_t lengths[] = { 1, 2, 10, 33 };
  static const int widths[] = { 1, 5, 16, 63, COLUMNS };
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 5; j++) compare(ct, lengths[i], widths[j], widths[j]), compare(ct, lengths[i], widths[j], APART);
  done("sheets");
}

static void strange(void) { /* infinities and NaN, as rows have them */
  const double numbers[] = { -INFINITY, 1, INFINITY, NAN };
  double L[4];
  for (int j = 0; j < 4; j++) x[j] = numbers[j], x[4 + j] = j ? 1 : -INFINITY;
  K->sheet[NP_CF64]->logsumexp(2, 4, (np_sheet){ (char *)x, 4 }, L);
  EXPECT(L[0] == -INFINITY && near(L[1], 1 + log(2), 1e-14) && L[2] == INFINITY && L[3] != L[3], "logsumexp %g %g %g %g", L[0], L[1], L[2], L[3]);
  done("strange");
}

static void all(void) { sheets(), strange(); }
int main(void) { return each_level(all); }
