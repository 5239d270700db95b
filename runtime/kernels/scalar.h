/* scalar.h: what an op means for one number, for each compute type: np_NAME_f32, np_NAME_f64, np_NAME_i64. The loops
   around these functions must vectorise, so they are branch-free: bits, selections and polynomials (minimax fits on the
   interval in the comment). Errors against the true value, tested in tests/kernels/math.c: float32 within 2.5 ulp
   (most within 1.5), sin, cos and tan for |x| < 1e8 and fmod
   for quotients below 2^28, map.inl sees to the rest; float64 exp and log within 1 ulp, the
   rest of float64 is libm's.
   sigmoid may round a result below 1e-38 to 0. NaN in gives NaN out, infinities and domain errors are C's. Rounding to
   nearest is assumed. _f32 functions compute in double where that is shorter than care. Loops belong elsewhere. */
#ifndef NP_SCALAR_H
#define NP_SCALAR_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NP_FN static inline __attribute__((always_inline, unused))

NP_FN uint32_t np_bits_f32(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
NP_FN float np_from_f32(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }
NP_FN uint64_t np_bits_f64(double x) { uint64_t u; memcpy(&u, &x, 8); return u; }
NP_FN double np_from_f64(uint64_t u) { double x; memcpy(&x, &u, 8); return x; }

/* Adding 1.5 * 2^23 (2^52) rounds to an integer and leaves it in the low bits. */
#define NP_MAGIC_F32 12582912.0f
#define NP_MAGIC_F64 6755399441055744.0

#define NP_LN2 0.69314718055994530942
#define NP_PI 3.14159265358979323846

/* ---- float64: exp and log ---- */

/* p * 2^n for an integral n in [-2100, 2100], in two steps so that the result may be subnormal or overflow. */
NP_FN double np_scale_f64(double p, double n) {
  double half = (n * 0.5 + NP_MAGIC_F64) - NP_MAGIC_F64;
  uint64_t a = np_bits_f64(half + (NP_MAGIC_F64 + 1023)), b = np_bits_f64((n - half) + (NP_MAGIC_F64 + 1023));
  return p * np_from_f64(a << 52) * np_from_f64(b << 52);
}

/* (exp(r) - 1 - r) / r^2, |r| <= 0.3467 */
NP_FN double np_exp_tail_f64(double r) {
  double q = 2.5117909045348216e-08;
  q = q * r + 2.7631340024277273e-07;
  q = q * r + 2.7557216154527966e-06;
  q = q * r + 2.4801489784890151e-05;
  q = q * r + 0.00019841269917541586;
  q = q * r + 0.0013888888947157052;
  q = q * r + 0.0083333333333071337;
  q = q * r + 0.041666666666514925;
  q = q * r + 0.16666666666666699;
  return q * r + 0.50000000000000133;
}

NP_FN double np_exp_f64(double x) {
  x = x > 710 ? 710 : x;
  x = x < -746 ? -746 : x;
  double n = (x * 1.44269504088896338700 + NP_MAGIC_F64) - NP_MAGIC_F64;
  double hi = x - n * 6.93147180369123816490e-01, lo = n * 1.90821492927058770002e-10, r = hi - lo;
  return np_scale_f64(1 + (r + ((hi - r) - lo + r * r * np_exp_tail_f64(r))), n);
}

/* x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); x positive, finite, not subnormal. */
NP_FN double np_split_f64(double x, double *e) {
  uint64_t u = np_bits_f64(x), t = u - UINT64_C(0x3fe6a09e667f3bcd);
  *e = np_from_f64(UINT64_C(0x4330000000000000) | ((t + (UINT64_C(1024) << 52)) >> 52)) - (4503599627370496.0 + 1024);
  return np_from_f64(u - (t & UINT64_C(0xfff0000000000000))) - 1;
}

NP_FN double np_log_f64(double x) {
  double tiny = x < DBL_MIN ? 1.0 : 0.0, e;
  double f = np_split_f64(tiny != 0 ? x * 18014398509481984.0 : x, &e);
  e -= tiny * 54;
  /* log(1+f) = 2 atanh(s) = f - h + s (h + R), s = f/(2+f), h = f^2/2 */
  double s = f / (2 + f), z = s * s, h = 0.5 * f * f, R = 0.14797507658605685;
  R = R * z + 0.15313903297828368;
  R = R * z + 0.18183569735442331;
  R = R * z + 0.22222198476132016;
  R = R * z + 0.28571428743260424;
  R = R * z + 0.39999999999411107;
  R = (R * z + 0.66666666666667351) * z;
  double y = e * 6.93147180369123816490e-01 - ((h - (s * (h + R) + e * 1.90821492927058770002e-10)) - f);
  y = x < INFINITY ? y : x;
  return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}

/* ---- float32: exponentials and logarithms ---- */

/* p * 2^n, n in [-250, 250], in two steps. */
NP_FN float np_scale_f32(float p, int32_t n) {
  int32_t half = n >> 1;
  return p * np_from_f32((uint32_t)(half + 127) << 23) * np_from_f32((uint32_t)(n - half + 127) << 23);
}

/* exp(r) - 1, |r| <= 0.3467 */
NP_FN float np_exp_core_f32(float r) {
  float q = 0.00139220746f;
  q = q * r + 0.00836930517f;
  q = q * r + 0.0416665822f;
  q = q * r + 0.166665152f;
  q = q * r + 0.5f;
  return r + r * r * q;
}

/* x = n log 2 + r */
NP_FN float np_exp_reduce_f32(float x, int32_t *n) {
  float t = x * 1.44269504f + NP_MAGIC_F32, k = t - NP_MAGIC_F32;
  *n = (int32_t)(np_bits_f32(t) - UINT32_C(0x4b400000));
  return x - k * 0.693145752f - k * 1.42860677e-6f;
}

NP_FN float np_exp_f32(float x) {
  int32_t n;
  x = x > 89 ? 89 : x;
  x = x < -104 ? -104 : x;
  float r = np_exp_reduce_f32(x, &n);
  return np_scale_f32(1 + np_exp_core_f32(r), n);
}

NP_FN float np_exp2_f32(float x) {
  x = x > 129 ? 129 : x;
  x = x < -151 ? -151 : x;
  float t = x + NP_MAGIC_F32, r = (x - (t - NP_MAGIC_F32)) * (float)NP_LN2;
  return np_scale_f32(1 + np_exp_core_f32(r), (int32_t)(np_bits_f32(t) - UINT32_C(0x4b400000)));
}

/* 2^n (e^r - 1) + (2^n - 1), at half size so that 2^128 does not overflow. */
NP_FN float np_expm1_f32(float x) {
  int32_t n;
  float v = x > 89 ? 89 : x;
  v = v < -86 ? -86 : v;
  float r = np_exp_reduce_f32(v, &n), s = np_from_f32((uint32_t)(n + 126) << 23);
  float y = 2 * (s * np_exp_core_f32(r) + (s - 0.5f));
  return x == 0 ? x : y;
}

/* log(1+f) - f, 1 + f in [sqrt(1/2), sqrt(2)) */
NP_FN float np_log_core_f32(float f) {
  float p = 0.069155395f;
  p = p * f - 0.117898479f;
  p = p * f + 0.118729167f;
  p = p * f - 0.123843372f;
  p = p * f + 0.142186657f;
  p = p * f - 0.166692525f;
  p = p * f + 0.200022265f;
  p = p * f - 0.249999866f;
  p = p * f + 0.333333105f;
  return f * f * f * p - 0.5f * f * f;
}

NP_FN float np_split_f32(float x, float *e) {
  float v = x < FLT_MIN ? x * 33554432.0f : x;
  uint32_t u = np_bits_f32(v), t = u - UINT32_C(0x3f3504f3);
  *e = (float)((int32_t)t >> 23) - (x < FLT_MIN ? 25.0f : 0.0f);
  return np_from_f32(u - (t & UINT32_C(0xff800000))) - 1;
}

/* What the logarithms have in common: y where x is positive and finite. */
NP_FN float np_log_ends_f32(float x, float y) {
  y = x < INFINITY ? y : x;
  return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}

NP_FN float np_log_f32(float x) {
  float e, f = np_split_f32(x, &e);
  return np_log_ends_f32(x, e * 0.693359375f + (f + (np_log_core_f32(f) - e * 2.12194440e-4f)));
}

NP_FN float np_log2_f32(float x) {
  float e, f = np_split_f32(x, &e), c = np_log_core_f32(f);
  return np_log_ends_f32(x, e + (f + (0.442695041f * f + 1.44269504f * c)));
}

NP_FN float np_log10_f32(float x) {
  float e, f = np_split_f32(x, &e), c = np_log_core_f32(f);
  return np_log_ends_f32(x, (float)((double)e * 0.30102999566398119521 + 0.43429448190325182765 * ((double)f + c)));
}

/* log(u) + (x - (u - 1)) / u, u = 1 + x rounded */
NP_FN float np_log1p_f32(float x) {
  float u = 1 + x, d = u - 1, c = d == x ? 0 : (x - d) / u, y = np_log_f32(u) + c;
  return x == 0 ? x : y;
}

/* The same for 0 <= x <= 1, where it is 2 atanh(s) = 2 s + s^3 P(s^2), s = x/(2+x). */
NP_FN float np_log1p_unit_f32(float x) {
  float s = x / (2 + x), z = s * s, p = 0.242452711f;
  p = p * z + 0.214438841f;
  p = p * z + 0.286152124f;
  p = p * z + 0.399989486f;
  p = p * z + 0.666666746f;
  return 2 * s + s * z * p;
}
NP_FN double np_log1p_unit_f64(double x) { return log1p(x); }

NP_FN float np_sigmoid_f32(float x) { return 1 / (1 + np_exp_f32(-x)); }
NP_FN double np_sigmoid_f64(double x) { return 1 / (1 + np_exp_f64(-x)); }

/* t / (t + 2), t = exp(2|x|) - 1 */
NP_FN float np_tanh_f32(float x) {
  float a = fabsf(x), t = np_expm1_f32(2 * (a > 10 ? 10 : a)), y = t / (t + 2);
  return copysignf(y, x);
}

/* |x| < 0.92: x + x P(x^2); beyond: 1 - exp(-(t + t Q(t))), 1 from 3.95 on */
NP_FN float np_erf_f32(float x) {
  float t = fabsf(x), z = x * x;
  float p = -0.000602180895f;
  p = p * z + 0.00499960221f;
  p = p * z - 0.0267712846f;
  p = p * z + 0.112819552f;
  p = p * z - 0.376125067f;
  p = p * z + 0.128379151f;
  float v = t > 4 ? 4 : t, q = 1.15228841e-05f;
  q = q * v - 0.000325653149f;
  q = q * v + 0.00365377194f;
  q = q * v - 0.0237853695f;
  q = q * v + 0.106263176f;
  q = q * v + 0.635135889f;
  q = q * v + 0.12865217f;
  float big = copysignf(1 - np_exp_f32(-(v + v * q)), x);
  return t < 0.92f ? x + x * p : big;
}

/* F(-a), F the normal distribution function, a >= 0: 2^(-1 - a S(a)) up to 5.8, then 0. The power's whole part goes into the
 * exponent's bits. */
NP_FN float np_tail_f32(float a) {
  float v = a > 5.8f ? 5.8f : a, s = 2.03363495e-08f;
  s = s * v - 6.38007464e-07f;
  s = s * v + 8.57060604e-06f;
  s = s * v - 6.23623855e-05f;
  s = s * v + 0.000230906749f;
  s = s * v + 0.000100859026f;
  s = s * v - 0.00706839375f;
  s = s * v + 0.0525205843f;
  s = s * v + 0.459196657f;
  s = s * v + 1.1511066f;
  float u = v * s, t = NP_MAGIC_F32 - u, r = (NP_MAGIC_F32 - t) - u, q = 7.67284801e-05f; /* 2^(r-1), |r| <= 1/2 */
  q = q * r + 0.000670003181f;
  q = q * r + 0.004809245f;
  q = q * r + 0.0277516413f;
  q = q * r + 0.120113231f;
  q = q * r + 0.346573591f;
  q = q * r + 0.5f;
  float h = np_from_f32(np_bits_f32(q) + (np_bits_f32(t) << 23));
  return a > 5.8f ? 0 : h;
}
NP_FN float np_cdf_f32(float x) {
  float h = np_tail_f32(fabsf(x));
  return x != x ? x : x < 0 ? h : 1 - h;
}
NP_FN double np_cdf_f64(double x) { return 0.5 * erfc(x * -0.70710678118654752440); }

/* x F(x), where x is positive as x - x F(-x); infinity is its own limit. */
NP_FN float np_gelu_f32(float x) {
  float h = np_tail_f32(fabsf(x)), v = x > 5.8f ? 5.8f : x;
  return x < 0 ? x * h : x - v * h;
}
NP_FN double np_gelu_f64(double x) { return x * np_cdf_f64(x); }

/* erfc(t) = u exp(P(u) - t^2), u = 1/(1 + t/2), t >= 0 */
NP_FN float np_erfc_f32(float x) {
  double t = fabs((double)x), v = t > 10.3 ? 10.3 : t, u = 2 / (2 + v), p = -0.078805754078732734;
  p = p * u + 0.36152178446670202;
  p = p * u - 0.45167041641430039;
  p = p * u - 0.44084192939917205;
  p = p * u + 1.7386532762065594;
  p = p * u - 1.7524858997224446;
  p = p * u + 0.77620925324346945;
  p = p * u - 0.4091599265302811;
  p = p * u + 0.15670855090642585;
  p = p * u + 0.36456964134314462;
  p = p * u + 1.0008430414870584;
  p = p * u - 1.2655416242011817;
  double y = u * np_exp_f64(p - v * v);
  return (float)(x < 0 ? 2 - y : y);
}

/* Logarithms and powers for float32 results, in double: log2 to 2^-37 of itself, 2^t to 2^-29. log2(1+f) = s P(s^2),
   s = f/(2+f); x not subnormal. */
NP_FN double np_short_log2(double x) {
  double e, f = np_split_f64(x, &e), s = f / (2 + f), z = s * s, p = 0.340738186968630813;
  p = p * z + 0.41167222758848363;
  p = p * z + 0.57708359429669316;
  p = p * z + 0.961796673285128556;
  p = p * z + 2.88539008179013992;
  double y = x < INFINITY ? e + s * p : x;
  return x > 0 ? y : x == 0 ? -INFINITY : NAN;
}
NP_FN double np_short_log(double x) { return np_short_log2(x) * NP_LN2; }
NP_FN double np_short_exp2(double t) { /* 2^160 and 2^-160 stand for all that is beyond float32 */
  t = t > 160 ? 160 : t;
  t = t < -160 ? -160 : t;
  double m = t + NP_MAGIC_F64, r = t - (m - NP_MAGIC_F64), q = 0.000153457064194131746;
  q = q * r + 0.00133999303633227862;
  q = q * r + 0.0096184893495988074;
  q = q * r + 0.0555032877963053562;
  q = q * r + 0.240226468870083424;
  q = q * r + 0.693147205735613478;
  q = q * r + 1.00000000055465525;
  return q * np_from_f64((np_bits_f64(m) + 1023) << 52);
}

/* 2^(y log2|x|), then C's special cases. */
NP_FN float np_pow_f32(float x, float y) {
  float v = (float)np_short_exp2((double)y * np_short_log2(fabs((double)x)));
  float whole = (y + copysignf(8388608.0f, y)) - copysignf(8388608.0f, y), h = 0.5f * y;
  float half = (h + copysignf(8388608.0f, h)) - copysignf(8388608.0f, h);
  int integral = (whole == y) | (fabsf(y) >= 8388608.0f);
  int odd = integral & (half != h) & (fabsf(h) < 8388608.0f);
  v = ((fabsf(x) == 1) & (y == y)) ? 1 : v;
  v = odd ? copysignf(v, x) : v;
  v = ((x < 0) & (x > -INFINITY) & !integral) ? NAN : v;
  return ((y == 0) | (x == 1)) ? 1 : v;
}

/* ---- float32: circles and hyperbolas ---- */

/* sin(x + turn pi/2): x less the nearest multiple of pi/2, in three parts that multiply exactly. */
NP_FN double np_sin_turned(double x, uint64_t turn) {
  double t = x * 0.63661977236758134308 + NP_MAGIC_F64, n = t - NP_MAGIC_F64;
  uint64_t q = np_bits_f64(t) + turn;
  double r = ((x - n * 1.570796325802803) - n * 9.9209357395935172e-10) - n * 5.7211887261098318e-18;
  double z = r * r;
  double s = r + r * z * (-0.166666552 + z * (0.0083321901 - z * 0.000195184053));
  double c = 1 - 0.5 * z + z * z * (0.0416666456 + z * (-0.00138873013 + z * 2.44306702e-05));
  uint64_t odd = 0 - (q & 1);
  return np_from_f64(((np_bits_f64(s) & ~odd) | (np_bits_f64(c) & odd)) ^ ((q & 2) << 62));
}
NP_FN float np_sin_f32(float x) { return (float)np_sin_turned(x, 0); }
NP_FN float np_cos_f32(float x) { return (float)np_sin_turned(x, 1); }
NP_FN float np_tan_f32(float x) { return (float)(np_sin_turned(x, 0) / np_sin_turned(x, 1)); }

/* asin(s), z = s^2 <= 1/4 */
NP_FN float np_asin_core_f32(float s, float z) {
  float p = 0.042219799f;
  p = p * z + 0.0241481271f;
  p = p * z + 0.0454766601f;
  p = p * z + 0.0749524906f;
  p = p * z + 0.166667536f;
  return s + s * z * p;
}
/* Beyond 1/2: asin x = pi/2 - 2 asin(sqrt((1-x)/2)). */
NP_FN float np_asin_f32(float x) {
  float a = fabsf(x), z = a > 0.5f ? 0.5f * (1 - a) : a * a, s = a > 0.5f ? sqrtf(z) : a;
  float c = np_asin_core_f32(s, z), y = a > 0.5f ? (float)(0.5 * NP_PI - 2.0 * (double)c) : c;
  return copysignf(y, x);
}
NP_FN float np_acos_f32(float x) {
  float a = fabsf(x), z = a > 0.5f ? 0.5f * (1 - a) : a * a, s = a > 0.5f ? sqrtf(z) : x;
  double c = np_asin_core_f32(s, z);
  double y = a > 0.5f ? (x < 0 ? NP_PI - 2 * c : 2 * c) : 0.5 * NP_PI - c;
  return (float)y;
}

/* atan(z), 0 <= z <= 1, as z + z^3 P(z^2); then the octant. */
NP_FN float np_atan2_f32(float y, float x) {
  double a = fabs((double)y), b = fabs((double)x), lo = a < b ? a : b, hi = a < b ? b : a;
  double z = hi == 0 ? 0 : lo == hi ? 1 : lo / hi, w = z * z, p = -0.00028548890496712915;
  p = p * w + 0.0022867737153753529;
  p = p * w - 0.0086023706104413934;
  p = p * w + 0.020548725603272897;
  p = p * w - 0.035937729405024731;
  p = p * w + 0.050952618058706232;
  p = p * w - 0.063914936711115727;
  p = p * w + 0.076231792623723538;
  p = p * w - 0.09078917548994947;
  p = p * w + 0.11109754782630485;
  p = p * w - 0.14285622915417717;
  p = p * w + 0.19999996880397736;
  p = p * w - 0.33333333295965634;
  double r = z + z * w * p;
  r = a > b ? 0.5 * NP_PI - r : r;
  r = np_bits_f32(x) >> 31 ? NP_PI - r : r;
  float v = copysignf((float)r, y);
  return x != x || y != y ? x + y : v;
}
NP_FN float np_atan_f32(float x) { return np_atan2_f32(x, 1); }

NP_FN float np_sinh_f32(float x) {
  double a = fabs((double)x), e = np_exp_f64(a), z = a * a;
  double small = a + a * z * (0.166666672 + z * (0.00833331142 + z * (0.000198426351 + z * 2.78392554e-06)));
  return copysignf((float)(a < 1 ? small : 0.5 * (e - 1 / e)), x);
}
NP_FN float np_cosh_f32(float x) {
  double e = np_exp_f64(fabs((double)x));
  return (float)(0.5 * (e + 1 / e));
}
NP_FN float np_hypot_f32(float x, float z) {
  float y = (float)sqrt((double)x * x + (double)z * z);
  return ((fabsf(x) == INFINITY) | (fabsf(z) == INFINITY)) ? INFINITY : y;
}

/* x - n z with n the quotient cut to an integer, exact while |x| < 2^28 |z| (map.inl sees to the rest): the quotient in
   double is below n + 1 if the true one is, but may be rounded up to it. */
NP_FN float np_fmod_f32(float x, float z) {
  double a = fabs((double)x), b = fabs((double)z), q = a / b, n = (q + 4503599627370496.0) - 4503599627370496.0;
  n = n > q ? n - 1 : n;
  double r = a - n * b;
  r = r < 0 ? r + b : r;
  r = (b == INFINITY) & (a < INFINITY) ? a : r;
  return copysignf((float)r, x);
}

/* ---- float64 from libm ---- */
NP_FN double np_fmod_f64(double x, double z) { return fmod(x, z); }

#define NP_LIBM(name) NP_FN double np_##name##_f64(double x) { return name(x); }
NP_LIBM(exp2) NP_LIBM(expm1) NP_LIBM(log2) NP_LIBM(log10) NP_LIBM(log1p) NP_LIBM(tanh) NP_LIBM(erf) NP_LIBM(erfc)
NP_LIBM(sin) NP_LIBM(cos) NP_LIBM(tan) NP_LIBM(asin) NP_LIBM(acos) NP_LIBM(atan) NP_LIBM(sinh) NP_LIBM(cosh)
NP_FN double np_pow_f64(double x, double z) { return pow(x, z); }
NP_FN double np_atan2_f64(double x, double z) { return atan2(x, z); }
NP_FN double np_hypot_f64(double x, double z) { return hypot(x, z); }

/* ---- float32 and float64 alike ---- */

#define NP_FLOATS(T, S, F, BIG)                                                                                     \
  NP_FN T np_neg_##S(T x) { return -x; }                                                                            \
  NP_FN T np_abs_##S(T x) { return fabs##F(x); }                                                                    \
  NP_FN T np_sign_##S(T x) { return (T)((x > 0 ? (T)1 : (T)0) - (x < 0 ? (T)1 : (T)0)); }                           \
  NP_FN T np_sqrt_##S(T x) { return sqrt##F(x); }                                                                   \
  NP_FN T np_rsqrt_##S(T x) { return 1 / sqrt##F(x); }                                                              \
  NP_FN T np_copysign_##S(T x, T z) { return copysign##F(x, z); }                                                   \
  NP_FN T np_minimum_##S(T x, T z) { return ((x < z) | (x != x)) ? x : z; }                                         \
  NP_FN T np_maximum_##S(T x, T z) { return ((x > z) | (x != x)) ? x : z; }                                         \
  NP_FN T np_clamp_##S(T x, T lo, T hi) { x = x < lo ? lo : x; return x > hi ? hi : x; }                            \
  NP_FN T np_round_##S(T x) { /* 2^23, 2^52: there are no fractions beyond */                                       \
    T big = copysign##F(BIG, x), y = copysign##F((x + big) - big, x);                                               \
    return fabs##F(x) < BIG ? y : x;                                                                                \
  }                                                                                                                 \
  NP_FN T np_floor_##S(T x) { T y = np_round_##S(x); return y > x ? y - 1 : y; }                                    \
  NP_FN T np_ceil_##S(T x) { T y = np_round_##S(x); return copysign##F(y < x ? y + 1 : y, x); }                     \
  NP_FN T np_trunc_##S(T x) { T y = np_floor_##S(fabs##F(x)); return copysign##F(y, x); }                           \
  NP_FN T np_remainder_of_##S(T r, T z) { return ((r != 0) & ((r < 0) != (z < 0))) ? r + z : r; }  /* r: fmod's */   \
  NP_FN T np_remainder_##S(T x, T z) { return np_remainder_of_##S(np_fmod_##S(x, z), z); }                          \
  NP_FN T np_floor_divide_of_##S(T r, T x, T z) { /* (x - remainder) / z is an integer but for rounding */          \
    T y = np_round_##S((x - r) / z), far = -(T)((x != 0) & ((x < 0) != (z < 0)));                                   \
    y = (fabs##F(z) == (T)INFINITY) & (fabs##F(x) < (T)INFINITY) ? far : y;                                         \
    return z == 0 ? x / z : y == 0 ? copysign##F(y, x / z) : y;                                                     \
  }                                                                                                                 \
  NP_FN T np_floor_divide_##S(T x, T z) { return np_floor_divide_of_##S(np_remainder_##S(x, z), x, z); }            \
  NP_FN T np_lerp_##S(T x, T z, T w) { return w < (T)0.5 ? x + w * (z - x) : z - (z - x) * (1 - w); }               \
  NP_FN T np_logsigmoid_##S(T x) {                                                                                  \
    return (x < 0 ? x : 0) - np_log1p_unit_##S(np_exp_##S(-fabs##F(x)));                                            \
  }                                                                                                                 \
  NP_FN T np_logaddexp_##S(T x, T z) {                                                                              \
    return np_maximum_##S(x, z) + np_log1p_unit_##S(np_exp_##S(x == z ? 0 : -fabs##F(x - z)));                      \
  }                                                                                                                 \
  NP_FN T np_silu_##S(T x) { return x / (1 + np_exp_##S(-x)); }                                                     \
  NP_FN T np_gelu_tanh_##S(T x) {                                                                                   \
    return (T)0.5 * x * (1 + np_tanh_##S((T)0.79788456080286535588 * (x + (T)0.044715 * x * x * x)));               \
  }                                                                                                                 \
  NP_FN int np_isinf_##S(T x) { return fabs##F(x) == (T)INFINITY; }                                                 \
  NP_FN int np_isfinite_##S(T x) { return fabs##F(x) < (T)INFINITY; }                                               \
  NP_FN T np_add_##S(T x, T z) { return x + z; }                                                                    \
  NP_FN T np_sub_##S(T x, T z) { return x - z; }                                                                    \
  NP_FN T np_mul_##S(T x, T z) { return x * z; }                                                                    \
  NP_FN T np_param_##S(double p) { return (T)p; }

NP_FLOATS(float, f32, f, 8388608.0f)
NP_FLOATS(double, f64, , 4503599627370496.0)

/* ---- int64: wraps, and nothing is undefined ---- */

/* A double as int64: cut toward zero, saturated, NaN to 0. */
NP_FN int64_t np_param_i64(double p) {
  int inside = (p > -9223372036854775808.0) & (p < 9223372036854775808.0);
  int64_t v = (int64_t)(inside ? p : 0);
  return inside ? v : p > 0 ? INT64_MAX : p < 0 ? INT64_MIN : 0;
}
NP_FN int64_t np_add_i64(int64_t x, int64_t z) { return (int64_t)((uint64_t)x + (uint64_t)z); }
NP_FN int64_t np_sub_i64(int64_t x, int64_t z) { return (int64_t)((uint64_t)x - (uint64_t)z); }
NP_FN int64_t np_mul_i64(int64_t x, int64_t z) { return (int64_t)((uint64_t)x * (uint64_t)z); }
NP_FN int64_t np_neg_i64(int64_t x) { return (int64_t)(0 - (uint64_t)x); }
NP_FN int64_t np_abs_i64(int64_t x) { return x < 0 ? np_neg_i64(x) : x; }
NP_FN int64_t np_sign_i64(int64_t x) { return (x > 0) - (x < 0); }
NP_FN int64_t np_minimum_i64(int64_t x, int64_t z) { return x < z ? x : z; }
NP_FN int64_t np_maximum_i64(int64_t x, int64_t z) { return x > z ? x : z; }
NP_FN int64_t np_fmod_i64(int64_t x, int64_t z) { return z == 0 || z == -1 ? 0 : x % z; }
NP_FN int64_t np_remainder_i64(int64_t x, int64_t z) {
  int64_t r = np_fmod_i64(x, z);
  return r != 0 && (r < 0) != (z < 0) ? r + z : r;
}
NP_FN int64_t np_floor_divide_i64(int64_t x, int64_t z) {
  if (z == 0) return 0;
  return z == -1 ? np_neg_i64(x) : x / z - (x % z != 0 && (x < 0) != (z < 0));
}
NP_FN int64_t np_pow_i64(int64_t x, int64_t z) {
  if (z < 0) return x == 1 ? 1 : x == -1 ? (z & 1 ? -1 : 1) : 0;
  int64_t y = 1;
  for (; z > 0; z >>= 1, x = np_mul_i64(x, x)) y = z & 1 ? np_mul_i64(y, x) : y;
  return y;
}
/* Bounds are cut toward zero first. */
NP_FN int64_t np_clamp_i64(int64_t x, double lo, double hi) {
  int64_t a = lo == lo ? np_param_i64(lo) : INT64_MIN, b = hi == hi ? np_param_i64(hi) : INT64_MAX;
  x = x < a ? a : x;
  return x > b ? b : x;
}

#endif
