/* draw.c: samplers whose elements need a number of random words that is not known before: gamma, Poisson, binomial, and
   choices by weight. Element i has a stream of its own: Philox blocks of counter offset + i whose high half counts 0, 1,
   2, ..., so that an element depends on its index and its parameters alone, and n elements use up n counters. Compiled
   once, in double, without fused multiply-adds: a rejection falls alike under every instruction set. */
#include <float.h>
#include <math.h>

#include "kernels.h"
#include "special.h"

typedef struct stream {
  uint64_t seed, counter, block; /* block: the high half of the next counter */
  uint64_t word[2];
  int left;
} stream;

static stream stream_of(uint64_t seed, uint64_t counter) { return (stream){.seed = seed, .counter = counter}; }

static uint64_t bits(stream *s) {
  if (s->left) return s->word[--s->left];
  uint32_t c0 = (uint32_t)s->counter, c1 = (uint32_t)(s->counter >> 32), c2 = (uint32_t)s->block, c3 = (uint32_t)(s->block >> 32);
  uint32_t k0 = (uint32_t)s->seed, k1 = (uint32_t)(s->seed >> 32);
  for (int r = 0; r < 10; r++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1, c3 = (uint32_t)p0;
  }
  s->block++;
  s->word[1] = c0 | (uint64_t)c1 << 32;
  s->word[0] = c2 | (uint64_t)c3 << 32;
  s->left = 1;
  return s->word[1];
}

static double below_one(stream *s) { return (double)(int64_t)(bits(s) >> 11) * 0x1p-53; }           /* [0, 1) */
static double above_zero(stream *s) { return (double)(int64_t)(bits(s) >> 11) * 0x1p-53 + 0x1p-54; } /* (0, 1] */
static double exponential(stream *s) { return fmax(-np_log_f64(above_zero(s)), DBL_EPSILON / 4); }
static double normal(stream *s) { /* Box and Muller, 1958 */
  double r = sqrt(-2 * np_log_f64(above_zero(s)));
  return r * cos(2 * NP_PI * below_one(s));
}

/* ---- gamma ---- */

/* A standard gamma number, or its logarithm (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000);
   below 1 by the number for a + 1 times u^(1/a), as they say. */
static double gamma_number(stream *s, double a, int logarithm) {
  double boost = a < 1 ? np_log_f64(above_zero(s)) / a : 0, d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = normal(s), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    double u = above_zero(s), square = x * x;
    if (u < 1 - 0.0331 * square * square || np_log_f64(u) < 0.5 * square + d * (1 - v + np_log_f64(v)))
      return logarithm ? np_log_f64(d * v) + boost : boost == 0 ? d * v : d * v * np_exp_f64(boost);
  }
}

void np_draw_gamma(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, const double *a, int logarithm, double *y) {
  for (int64_t i = 0; i < n; i++) {
    stream s = stream_of(seed, offset + (uint64_t)(i0 + i));
    y[i] = gamma_number(&s, a[i], logarithm);
  }
}

/* Positive halves of the 32 nodes and weights of Gauss and Legendre on [-1, 1]. */
static const double legendre[16][2] = {
  { 0.048307665687738324, 0.096540088514727659 }, { 0.14447196158279649, 0.095638720079274708 },
  { 0.23928736225213706, 0.093844399080804511 },  { 0.33186860228212767, 0.09117387869576378 },
  { 0.42135127613063533, 0.087652093004403783 },  { 0.50689990893222936, 0.083311924226946707 },
  { 0.5877157572407623, 0.078193895787070228 },   { 0.66304426693021523, 0.072345794108848338 },
  { 0.73218211874028971, 0.065822222776361683 },  { 0.79448379596794239, 0.058684093478535565 },
  { 0.84936761373256997, 0.050998059262376091 },  { 0.89632115576605209, 0.042835898022226836 },
  { 0.93490607593773967, 0.034273862913021765 },  { 0.96476225558750639, 0.025392065309262024 },
  { 0.98561151154526838, 0.016274394730905743 },  { 0.99726386184948157, 0.0070186100094705058 },
};

/* The distribution function P(a, z) = z^a e^-z S / gamma(a), S = sum of t_n = z^n / (a ... (a+n)); and H = sum of t_n h_n,
   h_n = sum 1/(a+k), k = 1..n, of which its slope in a is made. */
static double lower_sum(double a, double z, double *H) {
  double t = 1 / a, h = 0, S = t;
  *H = 0;
  for (int n = 1; n < 1000000; n++) {
    t *= z / (a + n);
    h += 1 / (a + n);
    S += t;
    *H += t * h;
    if (t * h < 1e-17 * *H || t == 0) break;
  }
  return S;
}
/* d log z / d a at a fixed probability, that is -(dP/da) / (z pdf): -(S (log z - digamma(1+a)) - H). */
static double slope_series(double a, double z, double lz) {
  double H, S = lower_sum(a, z, &H);
  return -(S * (lz - np_digamma_f64(1 + a)) - H);
}

/* The other tail, for z over a: 1 - P = z^a e^-z U / gamma(a), U = integral of e^(-z s) (1+s)^(a-1), s > 0; and L, the same
   integral of that times log(1+s). */
static double upper_integral(double a, double z, double *L) {
  const double far = 40; /* e^-40 is nothing */
  double end = far / (a > 1 ? z - a + 1 : z), U = 0;
  *L = 0;
  for (int i = 0; a > 1 && i < 8; i++) /* Newton on a concave function, from its right */
    end -= (far - z * end + (a - 1) * log1p(end)) / (-z + (a - 1) / (1 + end));
  for (int i = 0; i < 32; i++) {
    double x = legendre[i / 2][0], s = 0.5 * end * (1 + (i & 1 ? x : -x)), l = log1p(s), f = legendre[i / 2][1] * exp((a - 1) * l - z * s);
    U += f;
    *L += f * l;
  }
  *L *= 0.5 * end;
  return 0.5 * end * U;
}
/* The slope from there: U (log z - digamma(a)) + L, both positive. */
static double slope_tail(double a, double z, double lz) {
  double L, U = upper_integral(a, z, &L);
  return U * (lz - np_digamma_f64(1 + a) + 1 / a) + L;
}

void np_draw_gamma_share(int64_t n, const double *a, const double *z, int upper, double *y) {
  for (int64_t i = 0; i < n; i++) {
    double rest, whole = a[i] * np_log_f64(z[i]) - z[i] - np_lgamma_f64(a[i]);
    if (!(a[i] >= 0 && z[i] >= 0)) y[i] = NAN;
    else if (a[i] == 0 || z[i] == 0 || z[i] == INFINITY) y[i] = (a[i] > 0 && z[i] == 0) == !upper ? 0 : 1;
    else if (z[i] > a[i] && z[i] > 4) y[i] = exp(whole) * upper_integral(a[i], z[i], &rest), y[i] = upper ? y[i] : 1 - y[i];
    else y[i] = exp(whole) * lower_sum(a[i], z[i], &rest), y[i] = upper ? 1 - y[i] : y[i];
  }
}

/* For large a by the expansion of the quantile in the normal one x (Cornish and Fisher, 1938):
   z = a + x a^(1/2) + (x^2-1)/3 + (x^3-7x)/36 a^(-1/2) - (3x^4+7x^2-16)/810 a^-1 + ..., whose x Newton finds. */
static double slope_large(double a, double z) {
  double q = sqrt(a), x = (z - a) / q;
  for (int i = 0; i < 4; i++) {
    double f = x * q + (x * x - 1) / 3 + x * (x * x - 7) / (36 * q) - ((3 * x * x + 7) * x * x - 16) / (810 * a) +
               x * ((9 * x * x + 256) * x * x - 433) / (38880 * a * q) - (z - a);
    x -= f / (q + 2 * x / 3 + (3 * x * x - 7) / (36 * q));
  }
  double d = 1 + x / (2 * q) - x * (x * x - 7) / (72 * a * q) + ((3 * x * x + 7) * x * x - 16) / (810 * a * a) -
             x * ((9 * x * x + 256) * x * x - 433) / (25920 * a * a * q);
  return d / z;
}

void np_draw_gamma_slope(int64_t n, const double *a, const double *log_z, double *d) {
  for (int64_t i = 0; i < n; i++) {
    double z = exp(log_z[i]);
    d[i] = a[i] > 4000 ? slope_large(a[i], z) : z > a[i] && z > 4 ? slope_tail(a[i], z, log_z[i]) : slope_series(a[i], z, log_z[i]);
  }
}

/* ---- Poisson ---- */

/* log k! = (k + 1/2) log(k+1) - (k+1) + log(2 pi)/2 + tail(k), by Stirling's series. */
static double stirling_tail(double k) {
  static const double small[10] = {
    0.081061466795327258, 0.041340695955409294, 0.027677925684998339, 0.020790672103765093, 0.016644691189821193,
    0.013876128823070748, 0.011896709945891770, 0.010411265261972096, 0.0092554621827127329, 0.0083305634333631160,
  };
  if (k < 10) return small[(int)k];
  double r = 1 / (k + 1), z = r * r;
  return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - z / 1680) * z) * z) * r;
}
static double log_factorial(double k) {
  return (k + 0.5) * np_log_f64(k + 1) - (k + 1) + 0.91893853320467274 + stirling_tail(k);
}

/* Below 10 by adding up probabilities; from there by transformed rejection (Hoermann, "The transformed rejection method
   for generating Poisson random variables", 1993, algorithm PTRS). */
static double poisson(stream *s, double rate) {
  if (rate == 0) return 0;
  if (rate < 10) {
    double u = below_one(s), p = np_exp_f64(-rate), k = 0;
    while (u >= p && k < 1000) {
      u -= p;
      p *= rate / ++k;
    }
    return k;
  }
  double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b, inverse = 1.1239 + 1.1328 / (b - 3.4), top = 0.9277 - 3.6224 / (b - 2);
  double log_rate = np_log_f64(rate);
  for (;;) {
    double u = below_one(s) - 0.5, v = above_zero(s), us = 0.5 - fabs(u), k = floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= top) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (np_log_f64(v * inverse / (a / (us * us) + b)) <= -rate + k * log_rate - log_factorial(k)) return k;
  }
}

void np_draw_poisson(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, const double *rate, double *y) {
  for (int64_t i = 0; i < n; i++) {
    stream s = stream_of(seed, offset + (uint64_t)(i0 + i));
    y[i] = poisson(&s, rate[i]);
  }
}

/* ---- binomial ---- */

/* n p below 10 by the gaps between successes, which are geometric; from there by transformed rejection (Hoermann, "The
   generation of binomial random variates", 1993, algorithm BTRD without its tables). p <= 1/2. */
static double binomial(stream *s, double n, double p) {
  if (n * p < 10) {
    double k = 0, log_q = log1p(-p);
    for (double at = 0;; k++) {
      at += ceil(np_log_f64(above_zero(s)) / log_q);
      if (!(at <= n)) return k;
      if (at == 0) at = 1;
    }
  }
  double r = p / (1 - p), spread = sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * spread, a = -0.0873 + 0.0248 * b + 0.01 * p;
  double centre = n * p + 0.5, top = 0.92 - 4.2 / b, alpha = (2.83 + 5.1 / b) * spread, m = floor((n + 1) * p);
  for (;;) {
    double u = below_one(s) - 0.5, v = above_zero(s), us = 0.5 - fabs(u), k = floor((2 * a / us + b) * u + centre);
    if (k < 0 || k > n) continue;
    if (us >= 0.07 && v <= top) return k;
    double bound = (m + 0.5) * np_log_f64((m + 1) / (r * (n - m + 1))) + (n + 1) * np_log_f64((n - m + 1) / (n - k + 1)) +
                   (k + 0.5) * np_log_f64(r * (n - k + 1) / (k + 1)) + stirling_tail(m) + stirling_tail(n - m) - stirling_tail(k) -
                   stirling_tail(n - k);
    if (np_log_f64(v * alpha / (a / (us * us) + b)) <= bound) return k;
  }
}

void np_draw_binomial(uint64_t seed, uint64_t offset, int64_t i0, int64_t n, const double *count, const double *p, double *y) {
  for (int64_t i = 0; i < n; i++) {
    stream s = stream_of(seed, offset + (uint64_t)(i0 + i));
    if (count[i] == 0 || p[i] == 0) y[i] = 0;
    else y[i] = p[i] > 0.5 ? count[i] - (p[i] == 1 ? 0 : binomial(&s, count[i], 1 - p[i])) : binomial(&s, count[i], p[i]);
  }
}

/* ---- choices by weight ---- */

static void choose_again(uint64_t seed, uint64_t offset, int64_t classes, const double *w, int64_t k, int64_t *out, double *sums) {
  double total = 0;
  for (int64_t i = 0; i < classes; i++) sums[i] = total += w[i];
  for (int64_t j = 0; j < k; j++) {
    stream s = stream_of(seed, offset + (uint64_t)j);
    double at = below_one(&s) * total;
    int64_t low = 0, high = classes - 1; /* the first whose sum is over at */
    while (low < high) {
      int64_t middle = low + (high - low) / 2;
      if (sums[middle] > at) high = middle;
      else low = middle + 1;
    }
    out[j] = low;
  }
}

/* Moves entry `at` of a heap of n, greatest on top, down to its place. */
static void sink(double *key, int64_t *who, int64_t n, int64_t at) {
  double k = key[at];
  int64_t w = who[at];
  for (int64_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && key[child + 1] > key[child]) child++;
    if (key[child] <= k) break;
    key[at] = key[child];
    who[at] = who[child];
  }
  key[at] = k;
  who[at] = w;
}

/* Each class waits for an exponential time of rate w; the first k to come, in order, are k draws without putting back. */
static void choose_once(uint64_t seed, uint64_t offset, int64_t classes, const double *w, int64_t k, int64_t *out, double *key) {
  int64_t n = 0;
  for (int64_t i = 0; i < classes; i++) {
    if (!(w[i] > 0)) continue;
    stream s = stream_of(seed, offset + (uint64_t)i);
    double time = exponential(&s) / w[i];
    if (n < k) {
      key[n] = time;
      out[n++] = i;
      if (n == k)
        for (int64_t j = k / 2 - 1; j >= 0; j--) sink(key, out, k, j);
    } else if (time < key[0]) {
      key[0] = time;
      out[0] = i;
      sink(key, out, k, 0);
    }
  }
  for (int64_t m = n - 1; m > 0; m--) { /* heap sort */
    double t = key[0];
    int64_t o = out[0];
    key[0] = key[m], out[0] = out[m];
    key[m] = t, out[m] = o;
    sink(key, out, m, 0);
  }
}

void np_draw_choices(uint64_t seed, uint64_t offset, int64_t classes, const double *w, int64_t k, int again, int64_t *out, double *scratch) {
  (again ? choose_again : choose_once)(seed, offset, classes, w, k, out, scratch);
}
