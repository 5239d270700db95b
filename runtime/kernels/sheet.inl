/* sheet.inl: the loops of sheet.h for one float type. Included by sheet_f32_isa.c and sheet_f64_isa.c with T and S defined. */
#include <string.h>
#include "isa.h"
#include "scalar.h"
#include "sheet.h"

#define F_(name) NP_CAT(np_##name##_, S)
#define ROW(s, i) ((T *)(void *)(s).data + (i) * (s).ld)
#define ACROSS(j) NP_IVDEP for (int j = 0; j < m; j++)

/* c = the greatest of each row, or 0 where that is no number to subtract; a NaN stays. */
static void greatest(int64_t n, int m, np_sheet s, T *c) {
  ACROSS(j) c[j] = -(T)INFINITY;
  for (int64_t i = 0; i < n; i++) {
    const T *x = ROW(s, i);
    ACROSS(j) c[j] = (x[j] > c[j]) | (x[j] != x[j]) ? x[j] : c[j];
  }
}

/* sum = sum exp(x - c) */
static void exp_sums(int64_t n, int m, np_sheet s, const T *c, double *sum) {
  memset(sum, 0, (size_t)m * sizeof *sum);
  for (int64_t i = 0; i < n; i++) {
    const T *x = ROW(s, i);
    ACROSS(j) sum[j] += (double)F_(exp)(x[j] - c[j]);
  }
}

static void logsumexp(int64_t n, int m, np_sheet s, double *L) {
  T c[NP_SHEET] = { 0 };
  greatest(n, m, s, c);
  ACROSS(j) c[j] = F_(isfinite)(c[j]) ? c[j] : 0; /* a row of -inf gives -inf, one with +inf gives inf */
  exp_sums(n, m, s, c, L);
  ACROSS(j) L[j] = (double)c[j] + (double)F_(log)((T)L[j]);
}

/* y = exp(x - c), c the greatest of each row, and their sums. */
static void exponentials(int64_t n, int m, np_sheet in, np_sheet out, double *sum) {
  T c[NP_SHEET] = { 0 };
  greatest(n, m, in, c);
  memset(sum, 0, (size_t)m * sizeof *sum);
  for (int64_t i = 0; i < n; i++) {
    const T *x = ROW(in, i);
    T *y = ROW(out, i);
    ACROSS(j) {
      const T e = F_(exp)(x[j] - c[j]);
      y[j] = e;
      sum[j] += (double)e;
    }
  }
}

static void softmax(int64_t n, int m, np_sheet x, np_sheet out) {
  T r[NP_SHEET];
  double sum[NP_SHEET];
  exponentials(n, m, x, out, sum);
  ACROSS(j) r[j] = (T)(1 / sum[j]);
  for (int64_t i = 0; i < n; i++) {
    T *y = ROW(out, i);
    ACROSS(j) y[j] *= r[j];
  }
}

static void log_softmax(int64_t n, int m, np_sheet in, np_sheet out) {
  T c[NP_SHEET] = { 0 }, l[NP_SHEET];
  double sum[NP_SHEET];
  greatest(n, m, in, c);
  exp_sums(n, m, in, c, sum);
  ACROSS(j) l[j] = F_(log)((T)sum[j]);
  for (int64_t i = 0; i < n; i++) {
    const T *x = ROW(in, i);
    T *y = ROW(out, i);
    ACROSS(j) y[j] = (x[j] - c[j]) - l[j];
  }
}

static void softmax_grad(int64_t n, int m, np_sheet vy, np_sheet vg, np_sheet out) {
  double sum[NP_SHEET] = { 0 };
  T s[NP_SHEET];
  for (int64_t i = 0; i < n; i++) {
    const T *y = ROW(vy, i), *g = ROW(vg, i);
    ACROSS(j) sum[j] += (double)(y[j] * g[j]);
  }
  ACROSS(j) s[j] = (T)sum[j];
  for (int64_t i = 0; i < n; i++) {
    const T *y = ROW(vy, i), *g = ROW(vg, i);
    T *dx = ROW(out, i);
    ACROSS(j) dx[j] = y[j] * (g[j] - s[j]);
  }
}

static void weigh(int64_t n, int m, np_sheet s, const void *vw, double *sum) {
  const T *w = vw;
  memset(sum, 0, (size_t)m * sizeof *sum);
  for (int64_t i = 0; i < n; i++) {
    const T *x = ROW(s, i), wi = w ? w[i] : 1;
    ACROSS(j) sum[j] += (double)(wi * x[j]);
  }
}

static void log_softmax_grad(int64_t n, int m, np_sheet vy, np_sheet vg, np_sheet out) {
  double sum[NP_SHEET];
  T s[NP_SHEET];
  weigh(n, m, vg, NULL, sum);
  ACROSS(j) s[j] = (T)sum[j];
  for (int64_t i = 0; i < n; i++) {
    const T *y = ROW(vy, i), *g = ROW(vg, i);
    T *dx = ROW(out, i);
    ACROSS(j) dx[j] = g[j] - F_(exp)(y[j]) * s[j];
  }
}

static void entropy_grad(int64_t n, int m, np_sheet x, const double *va, const double *vb, const void *vw, np_sheet out) {
  const T *w = vw;
  T a[NP_SHEET], b[NP_SHEET];
  double sum[NP_SHEET];
  exponentials(n, m, x, out, sum);
  ACROSS(j) a[j] = (T)(va[j] / sum[j]), b[j] = (T)vb[j];
  for (int64_t i = 0; i < n; i++) {
    const T wi = w ? w[i] : 1;
    T *dx = ROW(out, i);
    ACROSS(j) dx[j] = a[j] * dx[j] - b[j] * wi;
  }
}

const np_sheet_loops NP_NAME(NP_CAT(np_sheet_, S)) = {.logsumexp = logsumexp, .softmax = softmax, .log_softmax = log_softmax,
  .softmax_grad = softmax_grad, .log_softmax_grad = log_softmax_grad, .weigh = weigh, .entropy_grad = entropy_grad};
