/* maps.c: every row of elementwise.def: float32 against float64, all combinations of scalar and tile operands,
   in-place use, gradients against differences, and what the rows do at their special points. A new row is tested
   without a line here. */
#include "check.h"

typedef struct row {
  const char *name, *settings, *sample, *derivative[3];
  char kind;
  int operands;
} row;

/* clang-format off */
#define UNARY(name, kind, settings, formula, dX, sample, doc, example) \
  {#name, settings, sample, {#dX, "NONE", "NONE"}, #kind[0], 1},
#define BINARY(name, kind, settings, formula, dX, dZ, sample, doc, example) \
  {#name, settings, sample, {#dX, #dZ, "NONE"}, #kind[0], 2},
#define TERNARY(name, kind, settings, formula, dX, dZ, dW, sample, doc, example) \
  {#name, settings, sample, {#dX, #dZ, #dW}, #kind[0], 3},
/* clang-format on */
static const row rows[NP_EW_COUNT] = {
#include "elementwise.def"
};

/* The settings' defaults: "a:number=0.01, b:number?, c:enum(none|tanh)=none". */
static void defaults(const char *s, double par[3]) {
  par[0] = par[1] = par[2] = 0;
  for (int i = 0; *s && i < 3; i++) {
    const char *end = strchr(s, ','), *eq = strchr(s, '=');
    if (!end) end = s + strlen(s);
    par[i] = eq && eq < end ? atof(eq + 1) : end[-1] == '?' ? NAN : 0;
    s = *end ? end + 1 : end;
  }
}

static void range(const char *sample, int operand, double *lo, double *hi) {
  for (; operand > 0; operand--) sample = strchr(sample, ';') + 1;
  *lo = atof(sample);
  *hi = atof(strchr(sample, ',') + 1);
}

static int boolean(char kind) {
  return kind == 'C' || kind == 'L' || kind == 'Q';
}
static double result(const row *r, int ct, const void *y, int64_t i) {
  return boolean(r->kind) ? ((const uint8_t *)y)[i] : get(ct, y, i);
}

static double tiles[4][MOST], other[4][MOST], out[MOST], want[MOST];
static const void *const in[] = {tiles[0], tiles[1], tiles[2]}, *const in_other[] = {other[0], other[1], other[2]};
static const uint8_t all[] = {1, 1, 1, 1, 1};

static void sample(const row *r, int ct, int64_t n) {
  for (int o = 0; o < r->operands; o++) {
    double lo, hi;
    range(r->sample, o, &lo, &hi);
    for (int64_t i = 0; i < n; i++) {
      double v = (float)between(lo, hi);
      set(ct, tiles[o], i, r->kind == 'W' && o == 0 ? (double)(next_random() >> 60 & 1) : v);
    }
  }
}

static void float_against_double(void) {
  for (int op = 0; op < NP_EW_COUNT; op++) {
    const row *r = &rows[op];
    double par[3];
    defaults(r->settings, par);
    if (!K->map[NP_CF32][op]) {
      EXPECT(r->kind == 'I' || r->kind == 'J', "%s has no float32", r->name);
      continue;
    }
    for (int s = 0; s < SIZES; s++) {
      int64_t n = sizes[s];
      sample(r, NP_CF32, n);
      for (int o = 0; o < r->operands; o++)
        for (int64_t i = 0; i < n; i++) other[o][i] = ((float *)tiles[o])[i];
      K->map[NP_CF32][op](n, in, all, out, par);
      K->map[NP_CF64][op](n, in_other, all, want, par);
      for (int64_t i = 0; i < n; i++)
        EXPECT(near(result(r, NP_CF32, out, i), result(r, NP_CF64, want, i), 3e-6), "%s: %.9g, %.17g", r->name,
               result(r, NP_CF32, out, i), result(r, NP_CF64, want, i));
    }
  }
  done("float32 against float64");
}

/* A scalar operand gives what a tile full of it gives, and so does writing over an operand. */
static void steps(void) {
  for (int op = 0; op < NP_EW_COUNT; op++)
    for (int ct = 0; ct < NP_CTYPES; ct++) {
      const row *r = &rows[op];
      double par[3];
      defaults(r->settings, par);
      np_map map = K->map[ct][op];
      if (!map) continue;
      for (int mask = 0; mask < 1 << r->operands; mask++)
        for (int s = 1; s < SIZES; s++) {
          int64_t n = sizes[s];
          uint8_t step[3];
          sample(r, ct, n);
          for (int o = 0; o < r->operands; o++) {
            step[o] = mask >> o & 1;
            if (!step[o])
              for (int64_t i = 1; i < n; i++) set(ct, tiles[o], i, get(ct, tiles[o], 0));
          }
          map(n, in, all, want, par);
          map(n, in, step, out, par);
          for (int64_t i = 0; i < n; i++)
            EXPECT(same(result(r, ct, out, i), result(r, ct, want, i)), "%s %s, steps %d", r->name, ct_name(ct), mask);
          if (boolean(r->kind)) continue;
          map(n, in, step, tiles[0], par);
          for (int64_t i = 0; i < n; i++)
            EXPECT(same(get(ct, tiles[0], i), get(ct, want, i)), "%s %s in place, steps %d", r->name, ct_name(ct),
                   mask);
        }
    }
  done("steps");
}

/* Gradients of sum(G y) in float64 against differences; what the text does not name is NULL. */
static void gradients(void) {
  static double g[MOST], y[MOST], up[MOST], down[MOST], dx[MOST], dx32[MOST];
  static float f[5][MOST];
  enum { N = 64 };
  for (int op = 0; op < NP_EW_COUNT; op++)
    for (int o = 0; o < rows[op].operands; o++) {
      const row *r = &rows[op];
      const char *d = r->derivative[o];
      np_map grad = K->grad[NP_CF64][op][o], grad32 = K->grad[NP_CF32][op][o];
      EXPECT(!grad == !strcmp(d, "NONE") && !grad == !grad32, "%s: derivative %d", r->name, o);
      if (!grad) continue;
      for (int variant = 0; variant < (strstr(r->settings, "enum") ? 2 : 1); variant++) {
        double par[3], lo, hi;
        const double h = 1e-6;
        defaults(r->settings, par);
        if (variant) par[0] = 1;
        range(r->sample, o, &lo, &hi);
        sample(r, NP_CF64, N);
        fill_between(NP_CF64, g, N, -1, 1);
        K->map[NP_CF64][op](N, in, all, y, par);
        const void *five[5] = {g, tiles[0], tiles[1], tiles[2], y}, *five32[5];
        const char *names = "GXZWY";
        for (int q = 0; q < 5; q++) {
          int used = 0;
          for (const char *p = d; *p && !used; p++)
            used = *p == names[q] && (p == d || p[-1] == '(' || p[-1] == ' ') && (!p[1] || p[1] == ',' || p[1] == ')');
          for (int i = 0; used && i < N; i++) f[q][i] = (float)((const double *)five[q])[i];
          five32[q] = used ? f[q] : NULL;
          if (!used) five[q] = NULL;
        }
        grad(N, five, all, dx, par);
        grad32(N, five32, all, dx32, par);
        double *x = tiles[o];
        for (int i = 0; i < N; i++) x[i] += h;
        K->map[NP_CF64][op](N, in, all, up, par);
        for (int i = 0; i < N; i++) x[i] -= 2 * h;
        K->map[NP_CF64][op](N, in, all, down, par);
        for (int i = 0; i < N; i++) {
          double t = g[i] * (up[i] - down[i]) / (2 * h);
          EXPECT(near(dx[i], t, 1e-7), "%s, operand %d: %.12g, differences %.12g", r->name, o, dx[i], t);
          EXPECT(near(((float *)dx32)[i], dx[i], 2e-5), "%s, operand %d: float32 %.9g, float64 %.12g", r->name, o,
                 ((float *)dx32)[i], dx[i]);
        }
        uint8_t step[5] = {0, 1, 1, 1, 1}; /* a scalar gradient, as that of a sum is */
        grad(N, five, all, dx, par);
        for (int i = 1; five[0] && i < N; i++) g[i] = g[0];
        for (int i = 0; i < N; i++) x[i] += h;
        grad(N, five, all, up, par), grad(N, five, step, down, par);
        for (int i = 0; i < N; i++) EXPECT(same(up[i], down[i]), "%s: scalar gradient", r->name);
      }
    }
  done("gradients");
}

static double eval(int ct, int op, double x, double z, double w, double p0, double p1) {
  const double par[3] = {p0, p1, op == NP_EW_nan_to_num ? -9 : 1};
  set(ct, tiles[0], 0, x), set(ct, tiles[1], 0, z), set(ct, tiles[2], 0, w);
  K->map[ct][op](1, in, all, out, par);
  return result(&rows[op], ct, out, 0);
}
static double slope(int op, int o, double x, double z, double p0, double p1) {
  double g = 1, y = eval(NP_CF64, op, x, z, 0, p0, p1), dx;
  const double par[3] = {p0, p1};
  const void *five[5] = {&g, tiles[0], tiles[1], tiles[2], &y};
  K->grad[NP_CF64][op][o](1, five, all, &dx, par);
  return dx;
}

static void special_points(void) {
  const double nan = NAN, inf = INFINITY;
  for (int ct = NP_CF32; ct <= NP_CF64; ct++) {
#define IS(op, x, z, w, p0, p1, y)                                                                               \
  do {                                                                                                           \
    double got = eval(ct, NP_EW_##op, x, z, w, p0, p1), t = ct == NP_CF32 ? (float)(y) : (y);                    \
    EXPECT(same(got, t), "%s(%g, %g) %s: %.17g, not %.17g", #op, (double)(x), (double)(z), ct_name(ct), got, t); \
  } while (0)
    IS(minimum, nan, 1, 0, 0, 0, nan);
    IS(minimum, 1, nan, 0, 0, 0, nan);
    IS(maximum, nan, 1, 0, 0, 0, nan);
    IS(maximum, 1, nan, 0, 0, 0, nan);
    IS(maximum, -inf, 1, 0, 0, 0, 1);
    IS(clamp, nan, 0, 0, 0, 1, nan);
    IS(clamp, 5, 0, 0, nan, 1, 1);
    IS(clamp, -5, 0, 0, nan, 1, -5);
    IS(clamp, -5, 0, 0, 0, nan, 0);
    IS(clamp, 5, 0, 0, 3, 1, 1);
    IS(relu6, nan, 0, 0, 0, 0, nan);
    IS(hardtanh, nan, 0, 0, -1, 1, nan);
    IS(remainder, -7, 3, 0, 0, 0, 2);
    IS(remainder, 7, -3, 0, 0, 0, -2);
    IS(remainder, 6, 3, 0, 0, 0, 0);
    IS(remainder, 5, 0, 0, 0, 0, nan);
    IS(fmod, -7, 3, 0, 0, 0, -1);
    IS(floor_divide, -7, 2, 0, 0, 0, -4);
    IS(floor_divide, 7, 2, 0, 0, 0, 3);
    IS(floor_divide, 1, 0, 0, 0, 0, inf);
    IS(floor_divide, 1, 0.1, 0, 0, 0, ct == NP_CF32 ? 9 : 9);
    IS(sign, -3, 0, 0, 0, 0, -1);
    IS(sign, 0, 0, 0, 0, 0, 0);
    IS(xlogy, 0, 0, 0, 0, 0, 0);
    IS(xlogy, 0, nan, 0, 0, 0, nan);
    IS(logaddexp, -inf, -inf, 0, 0, 0, -inf);
    IS(logaddexp, inf, 1, 0, 0, 0, inf);
    IS(logaddexp, nan, 1, 0, 0, 0, nan);
    IS(isnan, nan, 0, 0, 0, 0, 1);
    IS(isinf, -inf, 0, 0, 0, 0, 1);
    IS(isinf, nan, 0, 0, 0, 0, 0);
    IS(isfinite, nan, 0, 0, 0, 0, 0);
    IS(isfinite, 3, 0, 0, 0, 0, 1);
    IS(signbit, -0.0, 0, 0, 0, 0, 1);
    IS(signbit, 0.0, 0, 0, 0, 0, 0);
    IS(isposinf, inf, 0, 0, 0, 0, 1);
    IS(isneginf, inf, 0, 0, 0, 0, 0);
    IS(nan_to_num, nan, 0, 0, 5, 7, 5);
    IS(nan_to_num, inf, 0, 0, 5, 7, 7);
    IS(nan_to_num, -inf, 0, 0, 5, 7, -9);
    IS(isclose, nan, nan, 0, 1e-5, 1e-8, 1); /* equal_nan is on here */
    IS(isclose, inf, inf, 0, 1e-5, 1e-8, 1);
    IS(isclose, inf, -inf, 0, 1e-5, 1e-8, 0);
    IS(isclose, 1, inf, 0, 1e-5, 1e-8, 0);
    IS(isclose, 1, 1.5, 0, 0.25, 0.125, 1);
    IS(isclose, 1, 1.75, 0, 0.25, 0.125, 0);
    IS(heaviside, nan, 7, 0, 0, 0, 0);
    IS(heaviside, -0.0, 7, 0, 0, 0, 7);
    IS(copysign, 3, -0.0, 0, 0, 0, -3);
    IS(clamp_min, nan, 1, 0, 0, 0, nan);
    IS(clamp_min, 1, nan, 0, 0, 0, nan);
    IS(clamp_max, 5, 3, 0, 0, 0, 3);
    IS(threshold, nan, 0, 0, 1, 2, nan);
    IS(threshold, 1, 0, 0, 1, 2, 2);
    IS(entr, 0, 0, 0, 0, 0, 0);
    IS(entr, -1, 0, 0, 0, 0, -inf);
    IS(xlog1py, 0, -1, 0, 0, 0, 0);
    IS(logaddexp2, -inf, -inf, 0, 0, 0, -inf);
    IS(logit, 0, 0, 0, nan, 0, -inf);
    IS(logit, 2, 0, 0, nan, 0, nan);
    IS(logit, 2, 0, 0, 0.5, 0, 0);
    IS(round, 15, 0, 0, -1, 0, 20);
    IS(round, 1.25, 0, 0, 1, 0, ct == NP_CF32 ? 1.2f : 1.2);
    IS(trunc_divide, -7, 2, 0, 0, 0, -3);
    IS(eq, nan, nan, 0, 0, 0, 0);
    IS(ne, nan, nan, 0, 0, 0, 1);
    IS(logical_xor, nan, 0, 0, 0, 0, 1);
    IS(where, 1, 5, 6, 0, 0, 5);
    IS(where, 0, 5, nan, 0, 0, nan);
    IS(lerp, 1, 3, 1, 0, 0, 3);
    IS(softplus, 100, 0, 0, 1, 20, 100);
    IS(bce_error, 0, 1, 0, 0, 0, 100);
    IS(bce_error, 0, 0, 0, 0, 0, 0);
    IS(kl_error, 3, 0, 0, 0, 0, 0);
    IS(smooth_l1_error, 1, 3, 0, 0, 0, 2);
    IS(hardswish, -3, 0, 0, 0, 0, 0);
    IS(softshrink, nan, 0, 0, 0.5, 0, nan);
    IS(elu, -inf, 0, 0, 1, 0, -1);
  }
  static const struct {
    int op, o;
    double x, z, y;
  } at[] = {{NP_EW_relu, 0, 0, 0, 0},      {NP_EW_abs, 0, 0, 0, 0},     {NP_EW_minimum, 0, 1, 1, 0.5},
            {NP_EW_maximum, 1, 1, 1, 0.5}, {NP_EW_pow, 0, 0, 0, 0},     {NP_EW_pow, 0, 0, 1, 1},
            {NP_EW_pow, 0, -2, 3, 12},     {NP_EW_pow, 1, 0, 2, 0},     {NP_EW_xlogy, 0, 0, 0, 0},
            {NP_EW_clamp, 0, 1, 0, 1},     {NP_EW_clamp, 0, 1.5, 0, 0}, {NP_EW_hardtanh, 0, 1, 0, 0},
            {NP_EW_relu6, 0, 6, 0, 0},     {NP_EW_elu, 0, 1000, 0, 1},  {NP_EW_softplus, 0, 1000, 0, 1},
            {NP_EW_kl_error, 1, 3, 0, 0}};
  for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
    double p0 = at[i].op == NP_EW_elu || at[i].op == NP_EW_softplus ? 1 : -1, p1 = at[i].op == NP_EW_softplus ? 20 : 1;
    double y = slope(at[i].op, at[i].o, at[i].x, at[i].z, p0, p1);
    EXPECT(same(y, at[i].y), "slope of %s at (%g, %g): %g, not %g", rows[at[i].op].name, at[i].x, at[i].z, y, at[i].y);
  }
  done("special points");
}

static void integers(void) {
  const int ct = NP_CI64;
  static const int64_t v[] = {0, 1, -1, 2, -2, 3, 7, -7, 10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
  enum { N = sizeof v / sizeof *v };
  int64_t *x = (int64_t *)tiles[0], *z = (int64_t *)tiles[1], *y = (int64_t *)out;
  const double par[3] = {NAN, NAN, NAN};
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      *x = v[i], *z = v[j];
#define GIVES(op, value)                                                                                        \
  K->map[ct][NP_EW_##op](1, in, all, out, par);                                                                 \
  EXPECT(*y == (value), "%s(%lld, %lld): %lld, not %lld", #op, (long long)v[i], (long long)v[j], (long long)*y, \
         (long long)(value));
      GIVES(add, (int64_t)((uint64_t)v[i] + (uint64_t)v[j]))
      GIVES(sub, (int64_t)((uint64_t)v[i] - (uint64_t)v[j]))
      GIVES(mul, (int64_t)((uint64_t)v[i] * (uint64_t)v[j]))
      GIVES(neg, (int64_t)(0 - (uint64_t)v[i]))
      GIVES(maximum, v[i] > v[j] ? v[i] : v[j])
      GIVES(bitwise_and, v[i] & v[j])
      GIVES(bitwise_not, ~v[i])
      GIVES(clamp, v[i])
      GIVES(floor, v[i])
      int64_t q = 0, r = 0;
      if (v[j] == -1)
        q = (int64_t)(0 - (uint64_t)v[i]);
      else if (v[j] != 0) {
        q = v[i] / v[j], r = v[i] % v[j];
        if (r != 0 && (r < 0) != (v[j] < 0)) q--, r += v[j];
      }
      GIVES(floor_divide, q)
      GIVES(trunc_divide, v[j] == 0 ? 0 : v[j] == -1 ? (int64_t)(0 - (uint64_t)v[i]) : v[i] / v[j])
      GIVES(bitwise_left_shift, v[j] < 0 || v[j] > 63 ? 0 : (int64_t)((uint64_t)v[i] << v[j]))
      GIVES(bitwise_right_shift, v[j] < 0 || v[j] > 63 ? -(v[i] < 0) : v[i] >> v[j])
      GIVES(remainder, r)
      if (v[j] >= 0 && v[j] <= 10) {
        int64_t p = 1;
        for (int64_t e = 0; e < v[j]; e++) p = (int64_t)((uint64_t)p * (uint64_t)v[i]);
        GIVES(pow, p)
      }
    }
  EXPECT(eval(ct, NP_EW_gcd, -12, 18, 0, 0, 0) == 6 && eval(ct, NP_EW_gcd, 0, -5, 0, 0, 0) == 5 &&
             eval(ct, NP_EW_lcm, -4, 6, 0, 0, 0) == 12 && eval(ct, NP_EW_lcm, 0, 6, 0, 0, 0) == 0, "gcd, lcm");
  EXPECT(eval(ct, NP_EW_isclose, 100, 109, 0, 0.1, 0) == 1 && eval(ct, NP_EW_isclose, 100, 112, 0, 0.1, 0) == 0, "isclose");
  EXPECT(eval(ct, NP_EW_clamp, 9, 0, 0, -2.5, 3.5) == 3 && eval(ct, NP_EW_clamp, -9, 0, 0, -2.5, NAN) == -2, "clamp");
  EXPECT(eval(ct, NP_EW_pow, 2, -1, 0, 0, 0) == 0 && eval(ct, NP_EW_pow, -1, -3, 0, 0, 0) == -1, "pow below 0");
  EXPECT(eval(ct, NP_EW_addcmul, 1, 2, 3, 2, 0) == 13 && eval(ct, NP_EW_where, 0, 2, 3, 0, 0) == 3, "addcmul, where");
  EXPECT(!K->map[ct][NP_EW_exp] && K->map[ct][NP_EW_isnan] && !eval(ct, NP_EW_isnan, 1, 0, 0, 0, 0), "kinds");
  done("integers");
}

static void test(void) {
  float_against_double();
  steps();
  gradients();
  special_points();
  integers();
}

int main(void) {
  return each_level(test);
}
