/* math.c: the scalar functions behind the elementwise maps against libm in long double, in units of the last
   place, over sweeps of their domains; and what they make of NaN, infinities, zeros and domain errors. */
#include "check.h"

typedef struct row {
  const char *name;
  int op;
  long double (*twin)(long double);
  double lo, hi, limit32, limit64; /* domain, ulp allowed */
  double p0; /* the setting, if it has one */
} row;

static long double sigmoid(long double x) {
  return 1 / (1 + expl(-x));
}
static long double logsigmoid(long double x) {
  return -log1pl(expl(-x));
}
static long double rsqrt(long double x) {
  return 1 / sqrtl(x);
}
static long double silu(long double x) {
  return x / (1 + expl(-x));
}
static long double gelu(long double x) {
  return 0.5L * x * erfcl(-x * sqrtl(0.5L));
}

static long double logit(long double x) {
  return fabsl(x - 0.5L) < 0.25L ? log1pl((2 * x - 1) / (1 - x)) : logl(x / (1 - x));
}
static long double sinc(long double x) {
  const long double pi = 3.14159265358979323846264338327950288L;
  long double n = rintl(x), s = sinl(pi * (x - n));
  return x == 0 ? 1 : (fmodl(n, 2) == 0 ? s : -s) / (pi * x);
}
/* The y whose erf is x, by Newton's method. */
static long double erfinv(long double x) {
  long double a = fabsl(x), y = a < 0.5L ? a : sqrtl(-logl(1 - a));
  for (int i = 0; i < 20; i++) {
    long double off = a < 0.5L ? erfl(y) - a : (1 - a) - erfcl(y);
    y -= off * 0.88622692545275801364908374167057259L * expl(y * y);
  }
  return copysignl(y, x);
}
/* Of x > 0, moved up by 60 terms of the recurrence to where few terms of the series do. */
static long double digamma(long double x) {
  long double sum = 0, z;
  for (int k = 0; k < 60; k++) sum += 1 / (x + k);
  x += 60;
  z = 1 / (x * x);
  return logl(x) - 1 / (2 * x) - z * (1 / 12.0L - z * (1 / 120.0L - z * (1 / 252.0L - z * (1 / 240.0L - z / 132)))) - sum;
}
static long double trigamma(long double x) {
  long double sum = 0, z;
  for (int k = 0; k < 60; k++) sum += 1 / ((x + k) * (x + k));
  x += 60;
  z = 1 / (x * x);
  return sum + 1 / x + z / 2 + z / x * (1 / 6.0L - z * (1 / 30.0L - z * (1 / 42.0L - z * (1 / 30.0L - z * 5 / 66))));
}
/* psi'''(x) = 6 sum 1/(x + k)^4, negative x too: the sum runs far enough and its rest is an integral. */
static long double polygamma_3(long double x) {
  long double sum = 0, z;
  for (int k = 0; k < 100; k++) {
    long double square = (x + k) * (x + k);
    sum += 1 / (square * square);
  }
  x += 100;
  z = 1 / (x * x);
  return 6 * (sum + z / (3 * x) + z * z / 2 + z * z / x / 3 - z * z * z / x / 6 + z * z * z * z / x * 2 / 9);
}

static const row rows[] = {
    {"exp", NP_EW_exp, expl, -110, 92, 1.5, 1.5, 0},
    {"exp2", NP_EW_exp2, exp2l, -152, 130, 1.5, 1.5, 0},
    {"expm1", NP_EW_expm1, expm1l, -30, 92, 2.5, 1.5, 0},
    {"log", NP_EW_log, logl, 0, 1e38, 1.5, 1.5, 0},
    {"log near 1", NP_EW_log, logl, 0.5, 2, 1.5, 1.5, 0},
    {"log1p", NP_EW_log1p, log1pl, -0.9999, 1e30, 2.5, 1.5, 0},
    {"log1p near 0", NP_EW_log1p, log1pl, -0.5, 1, 2.5, 1.5, 0},
    {"log2", NP_EW_log2, log2l, 0, 1e38, 2, 1.5, 0},
    {"log10", NP_EW_log10, log10l, 0, 1e38, 2, 1.5, 0},
    {"sin", NP_EW_sin, sinl, -1e6, 1e6, 1.5, 1.5, 0},
    {"sin small", NP_EW_sin, sinl, -7, 7, 1.5, 1.5, 0},
    {"cos", NP_EW_cos, cosl, -1e6, 1e6, 1.5, 1.5, 0},
    {"cos small", NP_EW_cos, cosl, -7, 7, 1.5, 1.5, 0},
    {"tan", NP_EW_tan, tanl, -1e4, 1e4, 1.5, 1.5, 0},
    {"sin far", NP_EW_sin, sinl, -1e18, 1e18, 1.5, 1.5, 0},
    {"cos far", NP_EW_cos, cosl, -1e18, 1e18, 1.5, 1.5, 0},
    {"tan far", NP_EW_tan, tanl, -1e18, 1e18, 1.5, 1.5, 0},
    {"asin", NP_EW_asin, asinl, -1, 1, 2.5, 1.5, 0},
    {"acos", NP_EW_acos, acosl, -1, 1, 2.5, 1.5, 0},
    {"atan", NP_EW_atan, atanl, -50, 50, 1.5, 1.5, 0},
    {"sinh", NP_EW_sinh, sinhl, -90, 90, 1.5, 2.5, 0},
    {"cosh", NP_EW_cosh, coshl, -90, 90, 1.5, 2.5, 0},
    {"tanh", NP_EW_tanh, tanhl, -12, 12, 2.5, 2.5, 0},
    {"tanh small", NP_EW_tanh, tanhl, -1, 1, 2.5, 2.5, 0},
    {"erf", NP_EW_erf, erfl, -5, 5, 2.5, 1.5, 0},
    {"erfc", NP_EW_erfc, erfcl, -5, 9, 1.5, 5, 0},
    {"sigmoid", NP_EW_sigmoid, sigmoid, -80, 80, 2.5, 2.5, 0},
    {"logsigmoid", NP_EW_logsigmoid, logsigmoid, -80, 80, 2.5, 2.5, 0},
    {"rsqrt", NP_EW_rsqrt, rsqrt, 1e-30, 1e30, 1.5, 1.5, 0},
    {"silu", NP_EW_silu, silu, -80, 80, 2.5, 2.5, 0},
    {"asinh", NP_EW_asinh, asinhl, -1e30, 1e30, 1.5, 1.5, 0},
    {"asinh small", NP_EW_asinh, asinhl, -2, 2, 1.5, 2.5, 0},
    {"acosh", NP_EW_acosh, acoshl, 1, 1e30, 1.5, 2.5, 0},
    {"acosh near 1", NP_EW_acosh, acoshl, 1, 1.01, 1.5, 2.5, 0},
    {"atanh", NP_EW_atanh, atanhl, -1, 1, 1.5, 2, 0},
    {"cbrt", NP_EW_cbrt, cbrtl, -1e30, 1e30, 1.5, 1.5, 0},
    {"logit", NP_EW_logit, logit, 0, 1, 1.5, 3, NAN},
    {"sinc", NP_EW_sinc, sinc, -1000, 1000, 1.5, 4, 0},
    {"sinc small", NP_EW_sinc, sinc, -1, 1, 1.5, 3, 0},
    {"erfinv", NP_EW_erfinv, erfinv, -1, 1, 2.5, 4, 0},
    {"lgamma", NP_EW_lgamma, lgammal, 0, 1e30, 1.5, 3, 0},
    {"lgamma small", NP_EW_lgamma, lgammal, 0.01, 0.9, 1.5, 4, 0},
    {"lgamma below 0", NP_EW_lgamma, lgammal, -2.3, -2.1, 1.5, 4, 0},
    {"digamma", NP_EW_digamma, digamma, 3, 1000, 1.5, 16, 0},
    {"digamma small", NP_EW_digamma, digamma, 0, 1.2, 1.5, 40, 0},
    {"trigamma", NP_EW_polygamma, trigamma, 0, 1000, 1.5, 6, 1},
    {"psi'''", NP_EW_polygamma, polygamma_3, -3.8, 40, 1.5, 12, 3},
    {"gelu", NP_EW_gelu, gelu, -1, 10, 3, 4, 0},
    {"gelu left", NP_EW_gelu, gelu, -5, -1, 45, 45, 0},
};

/* |y - twin| in units of the last place of T's value nearest the twin; subnormals count in their own spacing. */
static double ulps(int ct, double y, long double t) {
  if (isnan(t) || isnan(y)) return isnan(t) && isnan(y) ? 0 : 1e9;
  int digits = ct == NP_CF32 ? 24 : 53, least = ct == NP_CF32 ? -149 : -1074, e;
  double top = ct == NP_CF32 ? 3.4028234663852886e38 : 1.7976931348623157e308;
  if (isinf(y) || isinf(t)) return same(y, (double)t) || (fabsl(t) > top && isinf(y) && (y > 0) == (t > 0)) ? 0 : 1e9;
  frexpl(t, &e);
  e = e - digits < least ? least : e - digits;
  return (double)(fabsl((long double)y - t) / ldexpl(1, e));
}

/* Half the samples spread evenly, half by their exponents. */
static double sample(const row *r, int i) {
  if (i & 1) return between(r->lo, r->hi);
  double big = fmax(fabs(r->lo), fabs(r->hi)), v = big * exp2(-between(0, r->lo > 0 ? log2(r->hi / r->lo) : 45));
  if (r->lo < 0 && (r->hi <= 0 || (i & 2))) v = -v;
  return v < r->lo || v > r->hi ? between(r->lo, r->hi) : v;
}

static void sweep(void) {
  enum { N = 40000 };
  static double x[N], y[N];
  const uint8_t step[] = {1};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int ct = NP_CF32; ct <= NP_CF64; ct++) {
      const row *r = &rows[i];
      double worst = 0, at = 0;
      const double par[3] = {r->p0};
      for (int j = 0; j < N; j++) set(ct, x, j, sample(r, j));
      const void *in[] = {x};
      K->map[ct][r->op](N, in, step, y, par);
      for (int j = 0; j < N; j++) {
        double u = ulps(ct, get(ct, y, j), r->twin((long double)get(ct, x, j)));
        if (u > worst) worst = u, at = get(ct, x, j);
      }
      double limit = ct == NP_CF32 ? r->limit32 : r->limit64;
      char name[80];
      snprintf(name, sizeof name, "%s %s, %.2f ulp", r->name, ct_name(ct), worst);
      EXPECT(worst <= limit, "at %.9g, more than %.1f", at, limit);
      done(name);
    }
}

static double one(int ct, int op, double x, double z) {
  double tx, tz, ty;
  const void *in[] = {&tx, &tz};
  const uint8_t step[] = {1, 1};
  const double par[3] = {0};
  set(ct, &tx, 0, x), set(ct, &tz, 0, z);
  K->map[ct][op](1, in, step, &ty, par);
  return get(ct, &ty, 0);
}

/* Two operands: powers and angles on all pairs of awkward numbers, and over a sweep. */
static void pairs(void) {
  static const double odd[] = {0.0,   -0.0,  1, -1, 2,       -2,       3,      -3,      0.5,      -0.5,      1e30,
                               -1e30, 1e-30, 7, -7, 1048577, -1048577, 0x1p24, -0x1p24, INFINITY, -INFINITY, NAN};
  enum { ODD = sizeof odd / sizeof *odd };
  static const struct {
    const char *name;
    int op;
    long double (*twin)(long double, long double);
    double limit;
  } two[] = {{"pow", NP_EW_pow, powl, 1.5},
             {"atan2", NP_EW_atan2, atan2l, 1.5},
             {"hypot", NP_EW_hypot, hypotl, 1.5},
             {"fmod", NP_EW_fmod, fmodl, 0.5}};
  for (int k = 0; k < 4; k++)
    for (int ct = NP_CF32; ct <= NP_CF64; ct++) {
      char name[80];
      double worst = 0;
      for (int i = 0; i < ODD; i++)
        for (int j = 0; j < ODD; j++) {
          double x = ct == NP_CF32 ? (float)odd[i] : odd[i], z = ct == NP_CF32 ? (float)odd[j] : odd[j];
          double y = one(ct, two[k].op, x, z);
          long double t = two[k].twin(x, z);
          EXPECT(ulps(ct, y, t) <= two[k].limit && (y != y || y != 0 || signbit(y) == signbit((double)t) || t != 0),
                 "%s(%g, %g) is %g, not %Lg", two[k].name, x, z, y, t);
        }
      for (int i = 0; i < 20000; i++) {
        double x = (float)between(k ? -9 : 0.01, 9), z = (float)between(-30, 30);
        double u = ulps(ct, one(ct, two[k].op, x, z), two[k].twin(x, z));
        if (u > worst) worst = u;
        EXPECT(u <= two[k].limit, "%s(%.9g, %.9g): %g ulp", two[k].name, x, z, u);
      }
      snprintf(name, sizeof name, "%s %s, %.2f ulp", two[k].name, ct_name(ct), worst);
      done(name);
    }
}

static void ends(void) {
  static const struct {
    int op;
    double x, y;
  } of[] = {{NP_EW_exp, INFINITY, INFINITY},
            {NP_EW_exp, -INFINITY, 0},
            {NP_EW_exp, NAN, NAN},
            {NP_EW_exp, 0, 1},
            {NP_EW_expm1, INFINITY, INFINITY},
            {NP_EW_expm1, -INFINITY, -1},
            {NP_EW_expm1, NAN, NAN},
            {NP_EW_log, 0, -INFINITY},
            {NP_EW_log, -1, NAN},
            {NP_EW_log, INFINITY, INFINITY},
            {NP_EW_log, NAN, NAN},
            {NP_EW_log, 1, 0},
            {NP_EW_log2, 8, 3},
            {NP_EW_log2, 0.25, -2},
            {NP_EW_log10, 1000, 3},
            {NP_EW_log1p, -1, -INFINITY},
            {NP_EW_log1p, -2, NAN},
            {NP_EW_log1p, INFINITY, INFINITY},
            {NP_EW_log1p, NAN, NAN},
            {NP_EW_tanh, INFINITY, 1},
            {NP_EW_tanh, -INFINITY, -1},
            {NP_EW_tanh, NAN, NAN},
            {NP_EW_erf, INFINITY, 1},
            {NP_EW_erf, -INFINITY, -1},
            {NP_EW_erf, NAN, NAN},
            {NP_EW_erfc, INFINITY, 0},
            {NP_EW_erfc, -INFINITY, 2},
            {NP_EW_erfc, NAN, NAN},
            {NP_EW_sin, INFINITY, NAN},
            {NP_EW_cos, NAN, NAN},
            {NP_EW_asin, 2, NAN},
            {NP_EW_acos, -2, NAN},
            {NP_EW_atan, INFINITY, 1.5707963267948966},
            {NP_EW_sinh, -INFINITY, -INFINITY},
            {NP_EW_cosh, -INFINITY, INFINITY},
            {NP_EW_sigmoid, INFINITY, 1},
            {NP_EW_sigmoid, -INFINITY, 0},
            {NP_EW_sigmoid, NAN, NAN},
            {NP_EW_logsigmoid, -INFINITY, -INFINITY},
            {NP_EW_logsigmoid, INFINITY, 0},
            {NP_EW_logsigmoid, NAN, NAN},
            {NP_EW_gelu, INFINITY, INFINITY},
            {NP_EW_gelu, -INFINITY, NAN},
            {NP_EW_gelu, -3e38, 0},
            {NP_EW_gelu, NAN, NAN},
            {NP_EW_relu, NAN, NAN},
            {NP_EW_relu, -INFINITY, 0},
            {NP_EW_round, 2.5, 2},
            {NP_EW_round, -3.5, -4},
            {NP_EW_round, NAN, NAN},
            {NP_EW_floor, -INFINITY, -INFINITY},
            {NP_EW_floor, -0.25, -1},
            {NP_EW_ceil, 0.25, 1},
            {NP_EW_trunc, -1.75, -1},
            {NP_EW_floor, 16777217, 16777217},
            {NP_EW_ceil, 1e30, 1e30},
            {NP_EW_sqrt, -1, NAN},
            {NP_EW_asinh, -INFINITY, -INFINITY},
            {NP_EW_asinh, NAN, NAN},
            {NP_EW_acosh, 0.5, NAN},
            {NP_EW_acosh, -3, NAN},
            {NP_EW_acosh, INFINITY, INFINITY},
            {NP_EW_atanh, -1, -INFINITY},
            {NP_EW_atanh, 1, INFINITY},
            {NP_EW_atanh, 2, NAN},
            {NP_EW_cbrt, -27, -3},
            {NP_EW_cbrt, 0, 0},
            {NP_EW_cbrt, -INFINITY, -INFINITY},
            {NP_EW_cbrt, NAN, NAN},
            {NP_EW_erfinv, 1, INFINITY},
            {NP_EW_erfinv, -1, -INFINITY},
            {NP_EW_erfinv, 1.5, NAN},
            {NP_EW_erfinv, NAN, NAN},
            {NP_EW_erfinv, 0, 0},
            {NP_EW_lgamma, 0, INFINITY},
            {NP_EW_lgamma, -3, INFINITY},
            {NP_EW_lgamma, 1, 0},
            {NP_EW_lgamma, 2, 0},
            {NP_EW_lgamma, INFINITY, INFINITY},
            {NP_EW_lgamma, -INFINITY, INFINITY},
            {NP_EW_lgamma, NAN, NAN},
            {NP_EW_digamma, 0, -INFINITY},
            {NP_EW_digamma, -0.0, INFINITY},
            {NP_EW_digamma, -2, NAN},
            {NP_EW_digamma, INFINITY, INFINITY},
            {NP_EW_digamma, NAN, NAN},
            {NP_EW_polygamma, 0, -INFINITY},
            {NP_EW_sinc, 0, 1},
            {NP_EW_sinc, 3, 0},
            {NP_EW_sinc, NAN, NAN}};
  for (int ct = NP_CF32; ct <= NP_CF64; ct++) {
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
      double y = one(ct, of[i].op, of[i].x, 0), t = ct == NP_CF32 ? (float)of[i].y : of[i].y;
      if (ct == NP_CF32 && fabs(of[i].x) > 16777216 && fabs(of[i].x) < 1e31) t = (float)of[i].x;
      EXPECT(same(y, t), "row %zu: f(%g) is %.17g, not %.17g", i, of[i].x, y, t);
    }
    done(ct == NP_CF32 ? "ends f32" : "ends f64");
  }
}

static void test(void) {
  sweep();
  pairs();
  ends();
}

int main(void) {
  return each_level(test);
}
