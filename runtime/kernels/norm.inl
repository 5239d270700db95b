/* norm.inl: normalisations over channels and root mean squares for one float type. Included by norm_f32_isa.c and
   norm_f64_isa.c with T, S and BITS defined. Sums are kept in double (lanes.h). */
#include "kernels.h"
#include "norm.h"
#include "lanes.h"

static void scale(int64_t n, const void *in, double vc, double va, double vb, void *out) {
  const T *x = in, c = (T)vc, a = (T)va, b = (T)vb;
  T *y = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - c) * a + b;
}

static void scale_row(int64_t n, const void *in, const void *vc, const void *va, const void *vb, void *out) {
  const T *x = in, *c = vc, *a = va, *b = vb;
  T *y = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = (x[i] - c[i]) * a[i] + b[i];
}

static void slopes(int64_t n, const void *vg, const void *vx, double vc, double *sums) {
  const T *g = vg, *x = vx, c = (T)vc;
  double sum, along;
  LANE_SUM(sum, n, vec_load(g + o), g[o]);
  LANE_SUM(along, n, vec_load(g + o) * (vec_load(x + o) - c), g[o] * (x[o] - c));
  sums[0] += sum;
  sums[1] += along;
}

static void slopes_row(int64_t n, const void *vg, const void *vx, const void *vc, double *to) {
  const T *g = vg, *x = vx, *c = vc;
  NP_IVDEP for (int64_t i = 0; i < n; i++) to[i] += (double)g[i];
  NP_IVDEP for (int64_t i = 0; i < n; i++) to[n + i] += (double)(g[i] * (x[i] - c[i]));
}

static void scale_grad(int64_t n, const void *vg, const void *vx, double vc, double va, double vp, double vq, void *out) {
  const T *g = vg, *x = vx, c = (T)vc, a = (T)va, p = (T)vp, q = (T)vq;
  T *dx = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = a * g[i] - p - q * (x[i] - c);
}

static void scale_grad_row(int64_t n, const void *vg, const void *vx, const void *vc, const void *va, const void *vp,
                           const void *vq, void *out) {
  const T *g = vg, *x = vx, *c = vc, *a = va, *p = vp, *q = vq;
  T *dx = out;
  NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = a[i] * g[i] - p[i] - q[i] * (x[i] - c[i]);
}

static double root(int64_t n, const T *x, double eps) {
  double s;
  LANE_SUM(s, n, vec_load(x + o) * vec_load(x + o), x[o] * x[o]);
  return 1 / sqrt(s / (double)n + eps);
}

static void rms(int64_t n, const void *in, const void *weights, double eps, void *out) {
  const T *x = in, *w = weights, r = (T)root(n, x, eps);
  T *y = out;
  if (w) {
    NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] * r * w[i];
  } else {
    NP_IVDEP for (int64_t i = 0; i < n; i++) y[i] = x[i] * r;
  }
}

static void rms_grad(int64_t n, const void *vg, const void *vx, const void *weights, double eps, void *out, double *dw) {
  const T *g = vg, *x = vx, *w = weights;
  T *dx = out;
  const double root_of = root(n, x, eps);
  const T r = (T)root_of;
  double along;
  if (dw) NP_IVDEP for (int64_t i = 0; i < n; i++) dw[i] += (double)(g[i] * x[i] * r);
  if (!dx) return;
  if (w) LANE_SUM(along, n, vec_load(g + o) * vec_load(w + o) * vec_load(x + o), g[o] * w[o] * x[o]);
  else LANE_SUM(along, n, vec_load(g + o) * vec_load(x + o), g[o] * x[o]);
  const T q = (T)(along / (double)n * root_of * root_of * root_of);
  if (w) {
    NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = r * g[i] * w[i] - x[i] * q;
  } else {
    NP_IVDEP for (int64_t i = 0; i < n; i++) dx[i] = r * g[i] - x[i] * q;
  }
}

const np_norm NP_NAME(NP_CAT(np_norm_, S)) = {
    .scale = scale,
    .scale_row = scale_row,
    .slopes = slopes,
    .slopes_row = slopes_row,
    .scale_grad = scale_grad,
    .scale_grad_row = scale_grad_row,
    .rms = rms,
    .rms_grad = rms_grad,
};
