/* pool.inl: the loops of pool.h for one float type. Included by pool_f32_isa.c and pool_f64_isa.c with T and S defined. */
#include "isa.h"
#include "pool.h"

#define GREATER(v, best) (((v) > (best)) | ((v) != (v)))

#define MAX_STEP(step)                                         \
  NP_IVDEP for (int64_t o = 0; o < n; o++) {                   \
    const T v = x[o * (step)], b = best[o];                    \
    const int more = GREATER(v, b);                            \
    best[o] = more ? v : b;                                    \
    where[o] = more ? at + (int32_t)(o * (step)) : where[o];   \
  }
static void max_step(int64_t n, const void *vx, int64_t step, int32_t at, void *vbest, int32_t *restrict where) {
  const T *restrict x = vx;
  T *restrict best = vbest;
  if (step == 1) { MAX_STEP(1) }
  else if (step == 2) { MAX_STEP(2) }
  else { MAX_STEP(step) }
}

static void max_windows(int64_t n, const void *vx, const int64_t *start, const int64_t *count, int64_t dilation, int32_t at,
                        void *vbest, int32_t *where) {
  const T *x = vx;
  T *best = vbest;
  for (int64_t o = 0; o < n; o++) {
    T b = best[o];
    int32_t i = where[o];
    for (int64_t t = 0, p = start[o]; t < count[o]; t++, p += dilation)
      if (GREATER(x[p], b)) b = x[p], i = at + (int32_t)p;
    best[o] = b, where[o] = i;
  }
}

static void add(int64_t n, const void *vx, int64_t xs, void *vy, int64_t ys) {
  const T *restrict x = vx;
  T *restrict y = vy;
  if (xs == 1 && ys == 1) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
  } else if (xs == 2 && ys == 1) {
    for (int64_t i = 0; i < n; i++) y[i] += x[2 * i];
  } else {
    for (int64_t i = 0; i < n; i++) y[i * ys] += x[i * xs];
  }
}

static void sum_windows(int64_t n, const void *vx, const int64_t *start, const int64_t *count, void *vy) {
  const T *restrict x = vx;
  T *restrict y = vy;
  for (int64_t o = 0; o < n; o++) {
    double sum = 0;
    for (int64_t t = 0; t < count[o]; t++) sum += (double)x[start[o] + t];
    y[o] = (T)((double)y[o] + sum);
  }
}

static void add_windows(int64_t n, const void *vg, const int64_t *start, const int64_t *count, void *vy) {
  const T *restrict g = vg;
  T *restrict y = vy;
  for (int64_t o = 0; o < n; o++)
    for (int64_t t = 0; t < count[o]; t++) y[start[o] + t] += g[o];
}

static void scale(int64_t n, const void *vx, double a, const double *restrict w, void *vy) {
  const T *x = vx;
  T *y = vy;
  NP_IVDEP for (int64_t o = 0; o < n; o++) y[o] = (T)((double)x[o] * (a * w[o]));
}

static void mix(int64_t n, int64_t taps, const void *vx, const int64_t *restrict at, const double *restrict w, void *vy) {
  const T *restrict x = vx;
  T *restrict y = vy;
  if (taps == 1)
    for (int64_t o = 0; o < n; o++) y[o] = (T)w[o] * x[at[o]];
  else if (taps == 2)
    for (int64_t o = 0; o < n; o++) y[o] = (T)w[2 * o] * x[at[2 * o]] + (T)w[2 * o + 1] * x[at[2 * o + 1]];
  else
    for (int64_t o = 0; o < n; o++, at += taps, w += taps) {
      T sum = 0;
      for (int64_t t = 0; t < taps; t++) sum += (T)w[t] * x[at[t]];
      y[o] = sum;
    }
}

static void unmix(int64_t n, int64_t taps, const void *vg, const int64_t *restrict at, const double *restrict w, void *vy) {
  const T *restrict g = vg;
  T *restrict y = vy;
  for (int64_t o = 0; o < n; o++, at += taps, w += taps)
    for (int64_t t = 0; t < taps; t++) y[at[t]] += (T)w[t] * g[o];
}

const np_pool_loops NP_NAME(NP_CAT(np_pool_, S)) = {.max_step = max_step, .max_windows = max_windows, .add = add, .sum_windows = sum_windows,
  .add_windows = add_windows, .scale = scale, .mix = mix, .unmix = unmix};
