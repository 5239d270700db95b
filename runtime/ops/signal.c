/* Signals: the short-time Fourier transform and its inverse, cosine transforms, convolution, resampling. All are made of
 * recorded ops (runs of samples as views, Fourier transforms, products), so they have derivatives of any order. */
#include "loops.h"

/* ---- windows laid into the transform's length ---- */

/* The window (n_fft) that stft and istft take: the one given, or ones, of win_length, zeros on both sides; NULL when it is
 * all ones. */
static int window_of(np_call *c, neap_tensor *given, int64_t n_fft, int64_t length, int dtype, neap_tensor **out) {
  *out = NULL;
  if (length < 1 || length > n_fft)
    return np_reject(c, NEAP_ERR_ARGUMENT, "win_length is %lld, it must be from 1 to n_fft, which is %lld", (long long)length, (long long)n_fft);
  if (given && (given->at.ndim != 1 || given->at.count != length)) {
    char a[128];
    np_shape_text(a, sizeof a, given);
    return np_reject(c, NEAP_ERR_SHAPE, "window must have shape (%lld), the win_length, got %s", (long long)length, a);
  }
  if (!given && length == n_fft) return NEAP_OK;
  neap_tensor *w = given ? given : neap_ones(c->ctx, 1, &length, dtype);
  const int64_t left = (n_fft - length) / 2, pad[2] = { left, n_fft - length - left };
  *out = length < n_fft ? neap_pad(c->ctx, w, 2, pad, NEAP_MODE_CONSTANT, 0) : w;
  return c->ctx->error;
}

static int need_frames(np_call *c, int64_t n_fft, int64_t hop) {
  if (n_fft < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "n_fft is %lld, it must be at least 1", (long long)n_fft);
  if (hop < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "hop_length is %lld, it must be at least 1 (where it is not given, it is n_fft / 4)", (long long)hop);
  return NEAP_OK;
}

/* What is complex goes through as (..., 2, samples), its two rows side by side, and comes out as pairs. */
static neap_tensor *as_rows(neap_context *c, neap_tensor *x) { return neap_transpose(c, x, -1, -2); }

/* ---- stft: x n_fft hop_length win_length window center pad_mode normalized onesided is_complex ---- */

int np_stft_run(np_call *c) {
  enum { X, N_FFT, HOP, WIN, WINDOW, CENTER, PAD_MODE, NORMALIZED, ONESIDED, COMPLEX };
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *w;
  int64_t n = np_i(c, N_FFT), hop = np_given(c, HOP) ? np_i(c, HOP) : n / 4, win = np_given(c, WIN) ? np_i(c, WIN) : n;
  if (np_need_float(c, "x", x) != 0 || need_frames(c, n, hop) != 0) return ctx->error;
  int pairs = (int)np_i(c, COMPLEX), ndim = x->at.ndim - pairs;
  if ((ndim != 1 && ndim != 2) || (pairs && x->at.shape[ndim] != 2)) {
    char a[128];
    np_shape_text(a, sizeof a, x);
    return np_reject(c, NEAP_ERR_SHAPE, "x must be of shape %s, got %s", pairs ? "(samples, 2) or (batch, samples, 2)" : "(samples) or (batch, samples)", a);
  }
  int64_t samples = x->at.shape[ndim - 1], side = np_i(c, CENTER) ? n / 2 : 0;
  if (np_i(c, CENTER) && np_i(c, PAD_MODE) == NEAP_PAD_MODE_REFLECT && side >= samples)
    return np_reject(c, NEAP_ERR_SHAPE, "x has %lld samples, too few to mirror %lld at its ends: more than that, or center = false", (long long)samples, (long long)side);
  if (samples + 2 * side < n)
    return np_reject(c, NEAP_ERR_SHAPE, "x has %lld samples, fewer than n_fft, which is %lld", (long long)samples, (long long)n);
  if (window_of(c, np_t(c, WINDOW), n, win, x->at.dtype, &w) != 0) return ctx->error;
  if (pairs) x = as_rows(ctx, x);
  if (side) x = neap_pad(ctx, x, 2, (const int64_t[]){ side, side }, (int)np_i(c, PAD_MODE), 0);
  neap_tensor *frames = neap_unfold(ctx, x, -1, n, hop); /* (..., T, n) */
  if (w) frames = neap_mul(ctx, frames, w);
  int norm = np_i(c, NORMALIZED) ? NEAP_NORM_ORTHO : NEAP_NORM_BACKWARD;
  neap_tensor *y;
  if (pairs) y = neap_fft(ctx, neap_movedim(ctx, frames, 1, (const int64_t[]){ -3 }, 1, (const int64_t[]){ -1 }), NEAP_ABSENT, -2, norm);
  else if (np_i(c, ONESIDED)) y = neap_rfft(ctx, frames, NEAP_ABSENT, -1, norm);
  else y = neap_fft(ctx, neap_complex(ctx, frames, NULL), NEAP_ABSENT, -2, norm);
  c->out[0] = neap_transpose(ctx, y, -3, -2); /* (..., F, T, 2) */
  return ctx->error;
}

/* ---- istft: x n_fft hop_length win_length window center normalized onesided length return_complex ---- */

/* Windows add up to nothing somewhere between start and end: then the signal is not known there. */
static int need_overlap(np_call *c, neap_tensor *sums, int64_t start, int64_t end) {
  if (!sums) return c->ctx->error;
  neap_tensor *wide = np_contiguous_of(c->ctx, sums, NEAP_F64);
  double least = 1;
  for (int64_t i = start; wide && i < end && i < sums->at.count; i++) least = fmin(least, ((double *)np_data(wide))[i]);
  neap_release(wide);
  if (np_failed(c->ctx) || least > 1e-11) return c->ctx->error;
  return np_reject(c, NEAP_ERR_ARGUMENT, "the windows, laid over each other, leave a gap (%g): a shorter hop_length, another window, or center = true", least);
}

int np_istft_run(np_call *c) {
  enum { X, N_FFT, HOP, WIN, WINDOW, CENTER, NORMALIZED, ONESIDED, LENGTH, COMPLEX };
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *w;
  int64_t n = np_i(c, N_FFT), hop = np_given(c, HOP) ? np_i(c, HOP) : n / 4, win = np_given(c, WIN) ? np_i(c, WIN) : n;
  int ndim = x->at.ndim, pairs = (int)np_i(c, COMPLEX);
  if (np_need_float(c, "x", x) != 0 || need_frames(c, n, hop) != 0) return ctx->error;
  int64_t bins = np_i(c, ONESIDED) && !pairs ? n / 2 + 1 : n;
  if ((ndim != 3 && ndim != 4) || x->at.shape[ndim - 1] != 2 || x->at.shape[ndim - 3] != bins || x->at.shape[ndim - 2] < 1) {
    char a[128];
    np_shape_text(a, sizeof a, x);
    return np_reject(c, NEAP_ERR_SHAPE, "x must be of shape (%lld, frames, 2) or (batch, %lld, frames, 2), got %s", (long long)bins, (long long)bins, a);
  }
  if (window_of(c, np_t(c, WINDOW), n, win, x->at.dtype, &w) != 0) return ctx->error;
  int64_t count = x->at.shape[ndim - 2], whole = n + hop * (count - 1), start = np_i(c, CENTER) ? n / 2 : 0;
  int64_t end = np_given(c, LENGTH) ? start + np_i(c, LENGTH) : np_i(c, CENTER) ? whole - n / 2 : whole, stop = np_min(end, whole);
  if (end <= start) return np_reject(c, NEAP_ERR_ARGUMENT, "no samples are left: length is %lld", (long long)(end - start));
  int norm = np_i(c, NORMALIZED) ? NEAP_NORM_ORTHO : NEAP_NORM_BACKWARD;
  neap_tensor *y = neap_transpose(ctx, x, -3, -2);
  if (pairs) y = neap_movedim(ctx, neap_ifft(ctx, y, NEAP_ABSENT, -2, norm), 1, (const int64_t[]){ -1 }, 1, (const int64_t[]){ -3 });
  else y = neap_irfft(ctx, y, n, -2, norm); /* (..., T, n), of the first half alone */
  neap_tensor *square = w ? neap_square(ctx, w) : neap_ones(ctx, 1, &n, x->at.dtype);
  if (w) y = neap_mul(ctx, y, w);
  y = neap_unfold_add(ctx, y, -1, whole, hop);
  neap_tensor *sums = neap_unfold_add(ctx, neap_expand(ctx, square, 2, (const int64_t[]){ count, n }), 0, whole, hop);
  if (need_overlap(c, sums, start, stop) != 0) return ctx->error;
  y = neap_div(ctx, neap_narrow(ctx, y, -1, start, stop - start), neap_narrow(ctx, sums, 0, start, stop - start));
  if (end > stop) y = neap_pad(ctx, y, 2, (const int64_t[]){ 0, end - stop }, NEAP_MODE_CONSTANT, 0);
  c->out[0] = pairs ? as_rows(ctx, y) : y;
  return ctx->error;
}

/* ---- cosine transforms: x type norm dim ---- */

/* (n, 2): exp(i pi k / 2n) as pairs, pair 0 times `first`, the others times `rest`. */
static neap_tensor *quarter_roots(neap_context *c, int64_t n, int dtype, double first, double rest) {
  const int64_t shape[2] = { n, 2 };
  neap_tensor *t = np_tensor_new(c, dtype, 2, shape);
  int64_t size = np_size_of(dtype);
  for (int64_t k = 0; t && k < n; k++) {
    double a = 3.14159265358979323846 * (double)k / (double)(2 * n), f = k ? rest : first;
    np_put_number(dtype, np_data(t) + 2 * k * size, f * cos(a));
    np_put_number(dtype, np_data(t) + (2 * k + 1) * size, f * sin(a));
  }
  return t;
}

/* Along the last dimension. II: y[k] = f[k] sum_j x[j] cos(pi k (2j + 1) / 2n), the real part of a transform of length 2n
 * turned by a quarter step. III, its transpose: y[j] = sum_k f[k] x[k] cos(pi k (2j + 1) / 2n). */
static neap_tensor *cosines(neap_context *c, neap_tensor *x, int third, double first, double rest) {
  int64_t n = x->at.shape[x->at.ndim - 1], last = -1;
  neap_tensor *roots = quarter_roots(c, n, x->at.dtype, first, rest);
  if (!third) {
    neap_tensor *z = neap_narrow(c, neap_rfft(c, x, 2 * n, -1, NEAP_NORM_BACKWARD), -2, 0, n);
    return neap_sum(c, neap_mul(c, z, roots), 1, &last, 0, -1);
  }
  neap_tensor *z = neap_mul(c, neap_unsqueeze(c, x, -1), roots);
  const int64_t pad[4] = { 0, 0, 0, 1 };
  z = neap_pad(c, z, 4, pad, NEAP_MODE_CONSTANT, 0);
  if (!z) return NULL;
  return neap_narrow(c, neap_fourier_half(c, z, z->at.ndim - 2, 2 * n, 1, 0), -1, 0, n);
}

static int cosine_transform(np_call *c, int inverse) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int64_t type = np_i(c, 1);
  int d, norm = (int)np_i(c, 2);
  if (np_need_float(c, "x", x) != 0 || np_axis(c, np_i(c, 3), x->at.ndim, &d) != 0) return ctx->error;
  if (type != 2 && type != 3) return np_reject(c, NEAP_ERR_ARGUMENT, "type is %lld, there are 2 and 3", (long long)type);
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension to transform");
  if (x->at.shape[d] == 0) return np_reject(c, NEAP_ERR_SHAPE, "dimension %lld of x has size 0, there must be something to transform", NP_DIM(c, d));
  double n = (double)x->at.shape[d], over = norm == NEAP_NORM_BACKWARD ? (inverse ? 2 * n : 1) : norm == NEAP_NORM_FORWARD ? (inverse ? 1 : 2 * n) : 1;
  int third = (type == 3) != inverse;
  double first = norm == NEAP_NORM_ORTHO ? sqrt(1 / n) : (third ? 1 : 2) / over, rest = norm == NEAP_NORM_ORTHO ? sqrt(2 / n) : 2 / over;
  int last = x->at.ndim - 1;
  if (d != last) x = neap_transpose(ctx, x, d, last);
  neap_tensor *y = x ? cosines(ctx, x, third, first, rest) : NULL;
  c->out[0] = d != last ? neap_transpose(ctx, y, d, last) : y;
  return ctx->error;
}
int np_dct_run(np_call *c) { return cosine_transform(c, 0); }
int np_idct_run(np_call *c) { return cosine_transform(c, 1); }

/* ---- convolution along the last dimension: x z mode ---- */

static int64_t quick_length(int64_t n) { /* the least even length from n on with no primes but 2, 3 and 5 */
  for (;; n++) {
    int64_t m = n;
    while (m % 2 == 0) m /= 2;
    while (m % 3 == 0) m /= 3;
    while (m % 5 == 0) m /= 5;
    if (m == 1 && (n % 2 == 0 || n == 1)) return n;
  }
}

static int need_operands(np_call *c) {
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1);
  if (np_need_float(c, "x", x) != 0 || np_need_float(c, "z", z) != 0) return c->ctx->error;
  if (x->at.ndim < 1 || z->at.ndim < 1 || x->at.shape[x->at.ndim - 1] < 1 || z->at.shape[z->at.ndim - 1] < 1) {
    char text[NP_SHAPES_TEXT];
    np_shapes_text(text, &x->at, " and ", &z->at);
    return np_reject(c, NEAP_ERR_SHAPE, "x and z must have elements along a last dimension, got %s", text);
  }
  return NEAP_OK;
}

/* The part of the full convolution (n + m - 1) that a mode keeps. */
static neap_tensor *kept(neap_context *c, neap_tensor *y, int mode, int64_t n, int64_t m) {
  int64_t full = n + m - 1, size = mode == NEAP_MODE_FULL ? full : mode == NEAP_MODE_SAME ? n : np_max(n, m) - np_min(n, m) + 1;
  return size == full ? y : neap_narrow(c, y, -1, (full - size) / 2, size);
}

static neap_tensor *by_transform(neap_context *c, neap_tensor *x, neap_tensor *z, int64_t full) {
  int64_t n = quick_length(full);
  neap_tensor *product = neap_complex_mul(c, neap_rfft(c, x, n, -1, NEAP_NORM_BACKWARD), neap_rfft(c, z, n, -1, NEAP_NORM_BACKWARD), 0);
  return neap_narrow(c, neap_irfft(c, product, n, -2, NEAP_NORM_BACKWARD), -1, 0, full);
}

int np_fftconvolve_run(np_call *c) {
  if (need_operands(c) != 0) return c->ctx->error;
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1);
  int64_t n = x->at.shape[x->at.ndim - 1], m = z->at.shape[z->at.ndim - 1];
  c->out[0] = kept(c->ctx, by_transform(c->ctx, x, z, n + m - 1), (int)np_i(c, 2), n, m);
  return c->ctx->error;
}

/* Runs of the longer operand times the shorter one turned round; from 64 taps on the transform is quicker. */
int np_convolve_run(np_call *c) {
  enum { MOST = 64 };
  if (need_operands(c) != 0) return c->ctx->error;
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1);
  int64_t n = x->at.shape[x->at.ndim - 1], m = z->at.shape[z->at.ndim - 1], last = -1, taps = np_min(n, m);
  if (taps > MOST) return np_fftconvolve_run(c);
  neap_tensor *longer = n >= m ? x : z, *shorter = n >= m ? z : x;
  const int64_t pad[2] = { taps - 1, taps - 1 };
  neap_tensor *runs = neap_unfold(ctx, neap_pad(ctx, longer, 2, pad, NEAP_MODE_CONSTANT, 0), -1, taps, 1); /* (..., full, taps) */
  neap_tensor *turned = neap_unsqueeze(ctx, neap_flip(ctx, shorter, 1, &last), -2);
  c->out[0] = kept(ctx, neap_sum(ctx, neap_mul(ctx, runs, turned), 1, &last, 0, -1), (int)np_i(c, 2), n, m);
  return ctx->error;
}

/* ---- resample: x orig_freq new_freq lowpass_filter_width rolloff window beta ---- */

enum { LOWPASS = 3, ROLLOFF, METHOD, BETA };

static int64_t divisor(int64_t a, int64_t b) { return b ? divisor(b, a % b) : a; }

static double bessel(double x) { /* I0 */
  double sum = 1, term = 1;
  for (int k = 1; k < 500 && term > sum * 1e-17; k++) sum += term *= x * x / (4.0 * k * k);
  return sum;
}

/* Filters (taps, to), one for each place of a new sample between old ones: a sinc under a window that reaches over
 * lowpass_filter_width of its zeros (Smith, "Digital audio resampling", 2002). */
static neap_tensor *filters(np_call *c, int64_t from, int64_t to, int64_t width, int64_t taps, int dtype) {
  const double pi = 3.14159265358979323846;
  const int64_t shape[2] = { taps, to };
  neap_tensor *t = np_tensor_new(c->ctx, dtype, 2, shape);
  double base = (double)np_min(from, to) * np_d(c, ROLLOFF), zeros = (double)np_i(c, LOWPASS), beta = np_d(c, BETA);
  int64_t size = np_size_of(dtype);
  for (int64_t k = 0; t && k < taps; k++)
    for (int64_t i = 0; i < to; i++) {
      double at = ((double)(k - width) / (double)from - (double)i / (double)to) * base;
      at = fmax(-zeros, fmin(zeros, at));
      double part = at / zeros, w = np_i(c, METHOD) ? bessel(beta * sqrt(fmax(0, 1 - part * part))) / bessel(beta) : pow(cos(pi * part / 2), 2);
      double sinc = at == 0 ? 1 : sin(pi * at) / (pi * at);
      np_put_number(dtype, np_data(t) + (k * to + i) * size, sinc * w * base / (double)from);
    }
  return t;
}

int np_resample_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int64_t from = np_i(c, 1), to = np_i(c, 2);
  if (np_need_float(c, "x", x) != 0) return ctx->error;
  if (from < 1 || to < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "orig_freq and new_freq are %lld and %lld, they must be at least 1", (long long)from, (long long)to);
  if (np_i(c, LOWPASS) < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "lowpass_filter_width is %lld, it must be at least 1", (long long)np_i(c, LOWPASS));
  if (!(np_d(c, ROLLOFF) > 0 && np_d(c, ROLLOFF) <= 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "rolloff is %g, it must be over 0 and at most 1", np_d(c, ROLLOFF));
  if (x->at.ndim < 1) return np_reject(c, NEAP_ERR_SHAPE, "x must have a dimension of samples");
  int64_t common = divisor(from, to), n = x->at.shape[x->at.ndim - 1];
  from /= common, to /= common;
  if (from == to) {
    c->out[0] = neap_clone(ctx, x);
    return ctx->error;
  }
  double base = (double)np_min(from, to) * np_d(c, ROLLOFF);
  int64_t width = (int64_t)ceil((double)np_i(c, LOWPASS) * (double)from / base), taps = 2 * width + from;
  const int64_t pad[2] = { width, width + from };
  neap_tensor *runs = neap_unfold(ctx, neap_pad(ctx, x, 2, pad, NEAP_MODE_CONSTANT, 0), -1, taps, from); /* (..., T, taps) */
  neap_tensor *y = neap_matmul(ctx, runs, filters(c, from, to, width, taps, x->at.dtype));
  c->out[0] = neap_narrow(ctx, neap_flatten(ctx, y, -2, -1), -1, 0, np_blocks(n * to, from));
  return ctx->error;
}
