/* special.h: the less common functions of one number: inverse hyperbolic functions, cube root, logit, the inverse error
   function, the gamma function's logarithm and its derivatives, sinc. float32 is computed in double and branch-free, so
   its loops vectorise, within 2.5 ulp; float64 is libm's where libm has the function, and within a few ulp of the larger
   term where it has not (digamma and polygamma near their zeros). Polynomials are fits on the interval in the comment.
   Included behind scalar.h, which holds what this is built from. */
#ifndef NP_SPECIAL_H
#define NP_SPECIAL_H

#include "scalar.h"

/* ---- inverse hyperbolic functions, cube root, logit ---- */

/* Below 0.02 the series; beyond log(a + sqrt(a^2 + 1)). */
NP_FN float np_asinh_f32(float x) {
  double a = fabs((double)x), z = a * a;
  double small = a * (1 - z * (1 / 6.0 - z * (3 / 40.0 - z * (15 / 336.0)))), big = np_short_log(a + sqrt(z + 1));
  return copysignf((float)(a < 0.02 ? small : big), x);
}
NP_FN float np_acosh_f32(float x) {
  double v = (double)x;
  return (float)np_short_log(v + sqrt(v - 1) * sqrt(v + 1));
}
NP_FN float np_atanh_f32(float x) {
  double a = fabs((double)x), z = a * a;
  double small = a * (1 + z * (1 / 3.0 + z * (1 / 5.0 + z * (1 / 7.0)))), big = 0.5 * np_short_log((1 + a) / (1 - a));
  return copysignf((float)(a < 0.02 ? small : big), x);
}
NP_FN float np_cbrt_f32(float x) { /* 2^-160 stands for cbrt 0 */
  float y = (float)np_short_exp2(np_short_log2(fabs((double)x)) / 3);
  return copysignf(y, x);
}
NP_LIBM(asinh) NP_LIBM(acosh) NP_LIBM(atanh)
NP_FN double np_cbrt_f64(double x) { /* libm's is off by up to 4 ulp: one step of Newton's method more */
  double y = cbrt(x), better = y - (y * y * y - x) / (3 * (y * y));
  return (x != 0) & (fabs(y) < INFINITY) ? better : y;
}

NP_FN float np_logit_f32(float x) { return (float)np_short_log((double)x / (1 - (double)x)); }
NP_FN double np_logit_f64(double x) { /* around 1/2 the quotient is near 1 */
  return fabs(x - 0.5) < 0.25 ? log1p((2 * x - 1) / (1 - x)) : np_log_f64(x / (1 - x));
}

/* ---- the inverse error function ---- */

/* erfinv(x) / x: of w = -log(1 - x^2) < 5, and of sqrt(w) in [2.2, 6.2]; relative error 2.3e-8 */
NP_FN double np_erfinv_start(double x) {
  double w = -np_short_log((1 - x) * (1 + x)), v = w - 2.5, s = sqrt(w) - 4.2;
  double p = 4.67193250903866511e-10, q = -2.49744929835363022e-9;
  p = p * v - 8.73901070283012274e-9;
  p = p * v + 1.59843061339000604e-8;
  p = p * v + 4.65417410502316578e-7;
  p = p * v - 3.4234142742220455e-6;
  p = p * v - 4.95969179421593609e-6;
  p = p * v + 0.000218257723963833332;
  p = p * v - 0.00125274850284166268;
  p = p * v - 0.00417732004054012196;
  p = p * v + 0.246640289427455144;
  p = p * v + 1.50140935111079192;
  q = q * s + 7.76537984819179684e-8;
  q = q * s - 2.90383008152025106e-7;
  q = q * s - 2.67258436676558243e-7;
  q = q * s + 3.04122654499661334e-6;
  q = q * s - 5.62355692229460454e-6;
  q = q * s + 5.25887421237434097e-6;
  q = q * s - 9.60528808499226929e-6;
  q = q * s + 2.78687029006642188e-5;
  q = q * s - 7.46048310532684775e-5;
  q = q * s + 0.000228447898841189903;
  q = q * s - 0.000650819799187649181;
  q = q * s + 0.000807275374510676808;
  q = q * s + 1.00990220599476554;
  q = q * s + 4.04172636901833898;
  double y = x * (w < 5 ? p : q);
  return fabs(x) == 1 ? copysign(INFINITY, x) : y;
}
NP_FN float np_erfinv_f32(float x) { return (float)np_erfinv_start((double)x); }
/* One step of Halley's method on erf(y) = x, or on erfc(y) = 1 - x where that is exact. */
NP_FN double np_erfinv_f64(double x) {
  double a = fabs(x), y = np_erfinv_start(a);
  if (!(a < 1)) return x < 0 ? -y : y;
  double e = (a < 0.5 ? erf(y) - a : (1 - a) - erfc(y)) * 0.88622692545275801365 * exp(y * y);
  return copysign(y - e / (1 + y * e), x);
}

/* ---- sin(pi x), cos(pi x), sinc ---- */

/* sin(pi r), |r| <= 1/2, by its series */
NP_FN double np_sinpi_core(double r) {
  double t = NP_PI * r, z = t * t, p = -8.2206352466243297e-18;
  p = p * z + 2.8114572543455208e-15;
  p = p * z - 7.6471637318198165e-13;
  p = p * z + 1.6059043836821615e-10;
  p = p * z - 2.5052108385441719e-08;
  p = p * z + 2.7557319223985893e-06;
  p = p * z - 0.00019841269841269841;
  p = p * z + 0.0083333333333333333;
  p = p * z - 0.16666666666666667;
  return t + t * z * p;
}
/* x less the nearest integer, which is exact; *odd: -1 where that integer is odd, else 1. */
NP_FN double np_half_turns(double x, double *odd) {
  double n = np_round_f64(x), h = 0.5 * n;
  *odd = np_round_f64(h) == h ? 1 : -1;
  return x - n;
}
NP_FN double np_sinpi_f64(double x) {
  double odd, r = np_half_turns(x, &odd);
  return odd * np_sinpi_core(r);
}
NP_FN double np_cospi_f64(double x) {
  double odd, r = np_half_turns(x, &odd);
  return odd * np_sinpi_core(0.5 - fabs(r));
}
NP_FN double np_sinc_f64(double x) { return x == 0 ? 1 : np_sinpi_f64(x) / (NP_PI * x); }
NP_FN float np_sinc_f32(float x) { return (float)np_sinc_f64((double)x); }

/* ---- the gamma function's logarithm and its derivatives ---- */

/* Stirling's series for x + 8 less log(x (x+1) ... (x+7)); below 0 log(pi / |sin(pi x)|) - lgamma(1 - x). */
NP_FN float np_lgamma_f32(float f) {
  double x = (double)f, u = x < 0 ? 1 - x : x, v = u < 8 ? u + 8 : u, w = u < 8 ? u : 0;
  double product = u < 8 ? ((w * (w + 1)) * ((w + 2) * (w + 3))) * (((w + 4) * (w + 5)) * ((w + 6) * (w + 7))) : 1;
  double i = 1 / v, z = i * i, p = 0.00641025641025641026;
  p = p * z - 0.00191752691752691753;
  p = p * z + 0.000841750841750841751;
  p = p * z - 0.000595238095238095238;
  p = p * z + 0.000793650793650793651;
  p = p * z - 0.00277777777777777778;
  p = p * z + 0.0833333333333333333;
  double L = np_log_f64(v), y = (v * (L - 1) - 0.5 * L) + (0.91893853320467274178 + p * i) - np_log_f64(product);
  y = u == INFINITY ? INFINITY : y;
  double sine = fabs(np_sinpi_f64(x < 0 ? x : 0.5)), mirrored = np_log_f64(NP_PI / sine) - y;
  y = x < 0 ? (sine == 0 ? INFINITY : mirrored) : y;
  y = (x == 1) | (x == 2) ? 0 : y;
  return (float)(x == -INFINITY ? INFINITY : y);
}
NP_FN double np_lgamma_f64(double x) {
  int sign;
  return lgamma_r(x, &sign);
}

/* Asymptotic series for x + 10 less 1/x + ... + 1/(x+9); below 0 digamma(1 - x) - pi / tan(pi x). */
NP_FN double np_digamma_f64(double x) {
  double u = x < 0 ? 1 - x : x, v = u < 10 ? u + 10 : u, w = u < 10 ? u : 1, sum = 1 / w;
  for (int k = 1; k < 10; k++) sum += 1 / (w + k);
  double i = 1 / v, z = i * i, p = 0.44325980392156862745;
  p = p * z - 0.083333333333333333333;
  p = p * z + 0.021092796092796092796;
  p = p * z - 0.0075757575757575757576;
  p = p * z + 0.0041666666666666666667;
  p = p * z - 0.003968253968253968254;
  p = p * z + 0.0083333333333333333333;
  p = p * z - 0.083333333333333333333;
  double y = (np_log_f64(v) - 0.5 * i) + p * z - (u < 10 ? sum : 0);
  double sine = np_sinpi_f64(x), mirrored = y - NP_PI * np_cospi_f64(x) / sine;
  return x < 0 ? (sine == 0 ? NAN : mirrored) : y;
}
NP_FN float np_digamma_f32(float x) { return (float)np_digamma_f64((double)x); }

/* Hurwitz' zeta(s, x), the sum over k >= 0 of (x + k)^-s, for x > 0 and s >= 2: ten terms, then Euler and Maclaurin. */
static __attribute__((unused)) double np_zeta(double s, double x) {
  static const double b[] = { /* B(2k) / (2k)! */
    0.083333333333333333333, -0.0013888888888888888889, 3.3068783068783068783e-05, -8.2671957671957671958e-07,
    2.0876756987868098979e-08, -5.2841901386874931848e-10, 1.3382536530684678833e-11, -3.3896802963225828668e-13,
    8.5860620562778445641e-15, -2.1748686985580618730e-16, 5.5090028283602295152e-18, -1.3954464685812523341e-19 };
  double sum = 0, v = x;
  for (; v < 10; v += 1) sum += pow(v, -s);
  double last = pow(v, -s), factor = s * last / v;
  sum += v * last / (s - 1) + 0.5 * last;
  for (int k = 0; k < 12; k++) {
    sum += b[k] * factor;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2) / (v * v);
  }
  return sum;
}
/* The n-th derivative of digamma: (-1)^(n+1) n! zeta(n+1, x). Below 0 the terms (x + k)^-s of negative x + k are those
   of a second series, cut at its far end. */
static __attribute__((unused)) double np_polygamma_f64(double n, double x) {
  double s = n + 1, even = fmod(s, 2) == 0 ? 1 : -1, y;
  if (n == 0) return np_digamma_f64(x);
  if (x != x || x == -INFINITY) return NAN;
  if (x == INFINITY) return 0;
  if (x > 0) {
    y = np_zeta(s, x);
  } else {
    double r = x - np_round_f64(x); /* the first two arguments are exact near a pole */
    if (r == 0) return even > 0 ? INFINITY : -INFINITY;
    y = np_zeta(s, r > 0 ? r : 1 + r) + even * (np_zeta(s, r > 0 ? 1 - r : -r) - np_zeta(s, 1 - x));
  }
  return even * tgamma(s) * y;
}
NP_FN float np_polygamma_f32(float n, float x) { return (float)np_polygamma_f64((double)n, (double)x); }

/* ---- float32 and float64 alike ---- */

#define NP_SPECIAL(T, S, F)                                                                                         \
  NP_FN T np_logaddexp2_##S(T x, T z) {                                                                             \
    T d = x == z ? 0 : -fabs##F(x - z);                                                                             \
    return np_maximum_##S(x, z) + (T)1.44269504088896340736 * np_log1p_unit_##S(np_exp2_##S(d));                    \
  }                                                                                                                 \
  NP_FN int np_signbit_##S(T x) { return __builtin_signbit(x) != 0; }                                               \
  NP_FN T np_round_to_##S(T x, T decimals) {                                                                        \
    T unit = (T)pow(10, fabs((double)decimals));                                                                    \
    return decimals < 0 ? np_round_##S(x / unit) * unit : np_round_##S(x * unit) / unit;                            \
  }                                                                                                                 \
  NP_FN T np_trunc_divide_##S(T x, T z) { return np_trunc_##S(x / z); }                                             \
  NP_FN T np_nan_to_num_##S(T x, T nan, T up, T down) {                                                             \
    T y = x == (T)INFINITY ? up : x == -(T)INFINITY ? down : x;                                                     \
    return x != x ? nan : y;                                                                                        \
  }                                                                                                                 \
  NP_FN int np_isclose_##S(T x, T z, T rtol, T atol, T equal_nan) {                                                 \
    T d = fabs##F(x - z);                                                                                           \
    return (x == z) | ((d < (T)INFINITY) & (d <= atol + fabs##F(rtol * z))) |                                       \
           ((equal_nan != 0) & (x != x) & (z != z));                                                                \
  }
NP_SPECIAL(float, f32, f)
NP_SPECIAL(double, f64, )

/* ---- int64 ---- */

NP_FN int np_signbit_i64(int64_t x) { return x < 0; }
NP_FN int64_t np_round_to_i64(int64_t x, double decimals) { (void)decimals; return x; }
NP_FN int64_t np_trunc_divide_i64(int64_t x, int64_t z) { return z == 0 ? 0 : z == -1 ? np_neg_i64(x) : x / z; }
NP_FN int64_t np_nan_to_num_i64(int64_t x, double nan, double up, double down) { (void)nan, (void)up, (void)down; return x; }
NP_FN int np_isclose_i64(int64_t x, int64_t z, double rtol, double atol, double equal_nan) {
  (void)equal_nan;
  return (x == z) | (fabs((double)x - (double)z) <= atol + fabs(rtol * (double)z));
}
NP_FN int64_t np_left_shift_i64(int64_t x, int64_t n) { return (n < 0) | (n > 63) ? 0 : (int64_t)((uint64_t)x << (n & 63)); }
NP_FN int64_t np_right_shift_i64(int64_t x, int64_t n) { return x >> ((n < 0) | (n > 63) ? 63 : n); }
NP_FN int64_t np_gcd_i64(int64_t x, int64_t z) {
  uint64_t a = (uint64_t)np_abs_i64(x), b = (uint64_t)np_abs_i64(z);
  while (b) {
    uint64_t r = a % b;
    a = b, b = r;
  }
  return (int64_t)a;
}
NP_FN int64_t np_lcm_i64(int64_t x, int64_t z) {
  int64_t g = np_gcd_i64(x, z);
  return g == 0 ? 0 : np_abs_i64(np_mul_i64(np_trunc_divide_i64(x, g), z));
}

#endif
