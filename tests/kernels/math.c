/* math.c: the scalar functions behind the elementwise maps against libm in long double, in units of the last
   place, over sweeps of their domains; and what they make of NaN, infinities, zeros and domain errors. */
#include "check.h"

typedef struct row {
  const char *name;
  int op;
  long double (*twin)(long double);
  double lo, hi, limit32, limit64; /* domain, ulp allowed */
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

static const row rows[] = {
    {"exp", NP_EW_exp, expl, -110, 92, 1.5, 1.5},
    {"exp2", NP_EW_exp2, exp2l, -152, 130, 1.5, 1.5},
    {"expm1", NP_EW_expm1, expm1l, -30, 92, 2.5, 1.5},
    {"log", NP_EW_log, logl, 0, 1e38, 1.5, 1.5},
    {"log near 1", NP_EW_log, logl, 0.5, 2, 1.5, 1.5},
    {"log1p", NP_EW_log1p, log1pl, -0.9999, 1e30, 2.5, 1.5},
    {"log1p near 0", NP_EW_log1p, log1pl, -0.5, 1, 2.5, 1.5},
    {"log2", NP_EW_log2, log2l, 0, 1e38, 2, 1.5},
    {"log10", NP_EW_log10, log10l, 0, 1e38, 2, 1.5},
    {"sin", NP_EW_sin, sinl, -1e6, 1e6, 1.5, 1.5},
    {"sin small", NP_EW_sin, sinl, -7, 7, 1.5, 1.5},
    {"cos", NP_EW_cos, cosl, -1e6, 1e6, 1.5, 1.5},
    {"cos small", NP_EW_cos, cosl, -7, 7, 1.5, 1.5},
    {"tan", NP_EW_tan, tanl, -1e4, 1e4, 1.5, 1.5},
    {"asin", NP_EW_asin, asinl, -1, 1, 2.5, 1.5},
    {"acos", NP_EW_acos, acosl, -1, 1, 2.5, 1.5},
    {"atan", NP_EW_atan, atanl, -50, 50, 1.5, 1.5},
    {"sinh", NP_EW_sinh, sinhl, -90, 90, 1.5, 2.5},
    {"cosh", NP_EW_cosh, coshl, -90, 90, 1.5, 2.5},
    {"tanh", NP_EW_tanh, tanhl, -12, 12, 2.5, 2.5},
    {"tanh small", NP_EW_tanh, tanhl, -1, 1, 2.5, 2.5},
    {"erf", NP_EW_erf, erfl, -5, 5, 2.5, 1.5},
    {"erfc", NP_EW_erfc, erfcl, -5, 9, 1.5, 5},
    {"sigmoid", NP_EW_sigmoid, sigmoid, -80, 80, 2.5, 2.5},
    {"logsigmoid", NP_EW_logsigmoid, logsigmoid, -80, 80, 2.5, 2.5},
    {"rsqrt", NP_EW_rsqrt, rsqrt, 1e-30, 1e30, 1.5, 1.5},
    {"silu", NP_EW_silu, silu, -80, 80, 2.5, 2.5},
    {"gelu", NP_EW_gelu, gelu, -1, 10, 4, 4},
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
  static const double none[2] = {0};
  const uint8_t step[] = {1};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int ct = NP_CF32; ct <= NP_CF64; ct++) {
      const row *r = &rows[i];
      double worst = 0, at = 0;
      for (int j = 0; j < N; j++) set(ct, x, j, sample(r, j));
      const void *in[] = {x};
      K->map[ct][r->op](N, in, step, y, none);
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
  const double par[2] = {0};
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
            {NP_EW_sqrt, -1, NAN}};
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
