/* Tables that signals are taken with: windows, frequencies of a transform, filter banks on the mel scale. Computed in
 * double from their definitions, then stored in the dtype asked for. */
#include "loops.h"

static const double pi = 3.14159265358979323846;


static int float_infer(np_call *c, int dtype, int ndim, const int64_t *shape) {
  int d = np_given(c, dtype) ? (int)np_i(c, dtype) : NEAP_F32;
  if (!np_is_float(d)) return np_reject(c, NEAP_ERR_DTYPE, "dtype must be a floating one, got %s", np_dtypes[d].info.name);
  return np_spec(c, 0, d, ndim, shape);
}

/* ---- windows: window_length periodic [settings] dtype ---- */

static int window_infer(np_call *c, int dtype) {
  const int64_t n = np_i(c, 0);
  if (n < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "window_length is %lld, it must be at least 0", (long long)n);
  return float_infer(c, dtype, 1, &n);
}
int np_hann_window_infer(np_call *c) { return window_infer(c, 2); }
int np_kaiser_window_infer(np_call *c) { return window_infer(c, 3); }
int np_hamming_window_infer(np_call *c) { return window_infer(c, 4); }

/* w[k] = f(k / N, par), N the length, less one when the window is not periodic. */
static int window(np_call *c, double (*f)(double, const double *), const double *par) {
  neap_tensor *y = c->out[0];
  int64_t n = y->at.count, size = np_size_of(y->at.dtype);
  double steps = (double)(np_i(c, 1) ? n : n - 1);
  for (int64_t k = 0; k < n; k++) np_put_number(y->at.dtype, np_data(y) + k * size, n == 1 ? 1 : f((double)k / steps, par));
  return NEAP_OK;
}

static double cosines(double t, const double *par) { return par[0] - par[1] * cos(2 * pi * t) + par[2] * cos(4 * pi * t); }
static double triangle(double t, const double *par) { return (void)par, 1 - fabs(2 * t - 1); }
static double bessel(double x) { /* I0, by its power series */
  double sum = 1, term = 1;
  for (int k = 1; k < 500 && term > sum * 1e-17; k++) sum += term *= x * x / (4.0 * k * k);
  return sum;
}
static double kaiser(double t, const double *par) {
  double u = 2 * t - 1, inside = 1 - u * u;
  return bessel(par[0] * sqrt(inside > 0 ? inside : 0)) / bessel(par[0]);
}

int np_hann_window_run(np_call *c) { return window(c, cosines, (const double[]){ 0.5, 0.5, 0 }); }
int np_hamming_window_run(np_call *c) { return window(c, cosines, (const double[]){ np_d(c, 2), np_d(c, 3), 0 }); }
int np_blackman_window_run(np_call *c) { return window(c, cosines, (const double[]){ 0.42, 0.5, 0.08 }); }
int np_bartlett_window_run(np_call *c) { return window(c, triangle, NULL); }
int np_kaiser_window_run(np_call *c) { return window(c, kaiser, (const double[]){ np_d(c, 2) }); }

/* ---- frequencies: n d dtype ---- */

static int freq_infer(np_call *c, int half) {
  int64_t n = np_i(c, 0);
  if (n < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "n is %lld, it must be at least 1", (long long)n);
  if (np_d(c, 1) == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "d, the time between samples, must not be 0");
  n = half ? n / 2 + 1 : n;
  return float_infer(c, 2, 1, &n);
}
int np_fftfreq_infer(np_call *c) { return freq_infer(c, 0); }
int np_rfftfreq_infer(np_call *c) { return freq_infer(c, 1); }

static int frequencies(np_call *c, int half) {
  neap_tensor *y = c->out[0];
  int64_t n = np_i(c, 0), size = np_size_of(y->at.dtype);
  for (int64_t k = 0; k < y->at.count; k++)
    np_put_number(y->at.dtype, np_data(y) + k * size, (double)(half || 2 * k < n ? k : k - n) / ((double)n * np_d(c, 1)));
  return NEAP_OK;
}
int np_fftfreq_run(np_call *c) { return frequencies(c, 0); }
int np_rfftfreq_run(np_call *c) { return frequencies(c, 1); }

/* ---- melscale_fbanks: n_freqs f_min f_max n_mels sample_rate norm mel_scale dtype ---- */

int np_melscale_fbanks_infer(np_call *c) {
  int64_t shape[2] = { np_i(c, 0), np_i(c, 3) };
  if (shape[0] < 2 || shape[1] < 1)
    return np_reject(c, NEAP_ERR_ARGUMENT, "needs n_freqs of 2 or more and n_mels of 1 or more, got %lld and %lld", (long long)shape[0], (long long)shape[1]);
  if (!(np_d(c, 1) >= 0 && np_d(c, 1) < np_d(c, 2)))
    return np_reject(c, NEAP_ERR_ARGUMENT, "needs 0 <= f_min < f_max, got %g and %g", np_d(c, 1), np_d(c, 2));
  if (np_i(c, 4) < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "sample_rate is %lld, it must be at least 1", (long long)np_i(c, 4));
  return float_infer(c, 7, 2, shape);
}

/* HTK: 2595 log10(1 + f / 700). Slaney: linear to 1000 Hz (mel 15), then logarithmic, 27 steps to a factor of 6.4. */
static double to_mel(double f, int slaney) {
  if (!slaney) return 2595 * log10(1 + f / 700);
  return f < 1000 ? 3 * f / 200 : 15 + 27 * log(f / 1000) / log(6.4);
}
static double from_mel(double m, int slaney) {
  if (!slaney) return 700 * (pow(10, m / 2595) - 1);
  return m < 15 ? 200 * m / 3 : 1000 * exp((m - 15) * log(6.4) / 27);
}

int np_melscale_fbanks_run(np_call *c) { /* triangles between neighbours of n_mels + 2 points, evenly apart in mel */
  enum { NORM = 5, SCALE = 6 };
  neap_tensor *y = c->out[0];
  int64_t n = y->at.shape[0], mels = y->at.shape[1], bins = np_i(c, 4) / 2, size = np_size_of(y->at.dtype);
  int slaney = (int)np_i(c, SCALE);
  double low = to_mel(np_d(c, 1), slaney), high = to_mel(np_d(c, 2), slaney), step = (high - low) / (double)(mels + 1);
  for (int64_t m = 0; m < mels; m++) {
    double left = from_mel(low + step * (double)m, slaney), top = from_mel(low + step * (double)(m + 1), slaney);
    double right = from_mel(low + step * (double)(m + 2), slaney), area = np_i(c, NORM) == NEAP_NORM_SLANEY ? 2 / (right - left) : 1;
    for (int64_t k = 0; k < n; k++) {
      double f = (double)bins * (double)k / (double)(n - 1), up = (f - left) / (top - left), down = (right - f) / (right - top);
      np_put_number(y->at.dtype, np_data(y) + (k * mels + m) * size, area * fmax(0, fmin(up, down)));
    }
  }
  return NEAP_OK;
}
