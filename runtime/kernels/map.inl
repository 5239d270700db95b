/* map.inl: the elementwise maps of one compute type, made of elementwise.def. Included with T and its suffix S
   defined, and NP_INTEGER for int64: by map_*_isa.c for the forward maps, by grad_*_isa.c, with NP_GRADS, for the
   backward maps. Every map is one loop over contiguous operands: a scalar operand (step 0) is spread over a short
   buffer first and the loop runs in chunks of that size, so all cases vectorise and in-place use is safe. */
#include "isa.h"
#include "kernels.h"
#include "scalar.h"
#include "special.h"

#define NP_CHUNK 128

#define F_(name) NP_CAT(np_##name##_, S)

/* ---- the macro language ---- */
#define C(v) ((T)(v))
#define P(i) p##i
#define PT(i) F_(param)(p##i)
#define IF(i, a, b) (p##i##_set ? (a) : (b))
#define NONE C(0)
#define ADD(a, b) F_(add)(a, b)
#define SUB(a, b) F_(sub)(a, b)
#define MUL(a, b) F_(mul)(a, b)
#define DIV(a, b) ((a) / (b))
#define NEG(a) F_(neg)(a)
#define ABS(a) F_(abs)(a)
#define SIGN(a) F_(sign)(a)
#define RECIPROCAL(a) (1 / (a))
#define RELU(a) ((a) < 0 ? C(0) : (a))
#define SQUARE(a) F_(mul)(a, a)
#define FLOOR_DIVIDE(a, b) F_(floor_divide)(a, b)
#define REMAINDER(a, b) F_(remainder)(a, b)
#define FMOD(a, b) F_(fmod)(a, b)
#define POW(a, b) F_(pow)(a, b)
#define MINIMUM(a, b) F_(minimum)(a, b)
#define MAXIMUM(a, b) F_(maximum)(a, b)
#define CLAMP_(a, lo, hi) F_(clamp)(a, lo, hi)
#define ATAN2(a, b) F_(atan2)(a, b)
#define HYPOT(a, b) F_(hypot)(a, b)
#define COPYSIGN(a, b) F_(copysign)(a, b)
#define LOGADDEXP(a, b) F_(logaddexp)(a, b)
#define LOGADDEXP2(a, b) F_(logaddexp2)(a, b)
#define TRUNC_DIVIDE(a, b) F_(trunc_divide)(a, b)
#define NAN_TO_NUM(a, nan, up, down) F_(nan_to_num)(a, nan, up, down)
#define ISCLOSE(a, b, rtol, atol, equal_nan) F_(isclose)(a, b, rtol, atol, equal_nan)
#define LEFT_SHIFT(a, b) F_(left_shift)(a, b)
#define RIGHT_SHIFT(a, b) F_(right_shift)(a, b)
#define GCD(a, b) F_(gcd)(a, b)
#define LCM(a, b) F_(lcm)(a, b)
#define SIGNBIT(a) F_(signbit)(a)
#define ROUND_TO(a, decimals) F_(round_to)(a, decimals)
#define LERP(a, b, w) F_(lerp)(a, b, w)
#define EXP(a) F_(exp)(a)
#define EXP2(a) F_(exp2)(a)
#define EXPM1(a) F_(expm1)(a)
#define LOG(a) F_(log)(a)
#define LOG1P(a) F_(log1p)(a)
#define LOG2(a) F_(log2)(a)
#define LOG10(a) F_(log10)(a)
#define SQRT(a) F_(sqrt)(a)
#define RSQRT(a) F_(rsqrt)(a)
#define SIN(a) F_(sin)(a)
#define COS(a) F_(cos)(a)
#define TAN(a) F_(tan)(a)
#define ASIN(a) F_(asin)(a)
#define ACOS(a) F_(acos)(a)
#define ATAN(a) F_(atan)(a)
#define SINH(a) F_(sinh)(a)
#define COSH(a) F_(cosh)(a)
#define TANH(a) F_(tanh)(a)
#define ERF(a) F_(erf)(a)
#define ERFC(a) F_(erfc)(a)
#define ASINH(a) F_(asinh)(a)
#define ACOSH(a) F_(acosh)(a)
#define ATANH(a) F_(atanh)(a)
#define CBRT(a) F_(cbrt)(a)
#define LOGIT(a) F_(logit)(a)
#define SINC(a) F_(sinc)(a)
#define ERFINV(a) F_(erfinv)(a)
#define LGAMMA(a) F_(lgamma)(a)
#define DIGAMMA(a) F_(digamma)(a)
#define POLYGAMMA(k, a) F_(polygamma)(p0 + (k), a)
#define SIGMOID(a) F_(sigmoid)(a)
#define LOGSIGMOID(a) F_(logsigmoid)(a)
#define NDTR(a) F_(cdf)(a)
#define GELU(a) F_(gelu)(a)
#define GELU_TANH(a) F_(gelu_tanh)(a)
#define SILU(a) F_(silu)(a)
#define WHERE(c, a, b) ((c) ? (a) : (b))
#define EQ(a, b) ((a) == (b))
#define GT(a, b) ((a) > (b))
#define GE(a, b) ((a) >= (b))
#define LT(a, b) ((a) < (b))
#define LE(a, b) ((a) <= (b))
#define NE(a, b) ((a) != (b))
#define ISNAN(a) ((a) != (a))
#define LOGICAL_NOT(a) ((a) == 0)
#define LOGICAL_AND(a, b) (((a) != 0) & ((b) != 0))
#define LOGICAL_OR(a, b) (((a) != 0) | ((b) != 0))
#ifdef NP_INTEGER
#define FLOOR(a) (a)
#define CEIL(a) (a)
#define ROUND(a) (a)
#define TRUNC(a) (a)
#define ISINF(a) ((void)(a), 0)
#define ISFINITE(a) ((void)(a), 1)
#else
#define FLOOR(a) F_(floor)(a)
#define CEIL(a) F_(ceil)(a)
#define ROUND(a) F_(round)(a)
#define TRUNC(a) F_(trunc)(a)
#define ISINF(a) F_(isinf)(a)
#define ISFINITE(a) F_(isfinite)(a)
#endif

/* ---- which kinds this compute type has, and what they give ---- */
#ifdef NP_INTEGER
#define NP_PARAM double /* settings stay double for integers: a bound may be absent (NaN) */
#define NP_HAS_F(...)
#define NP_HAS_I(...) __VA_ARGS__
#define NP_ENTRY_F(f) NULL
#define NP_ENTRY_I(f) f
#else
#define NP_PARAM T
#define NP_HAS_F(...) __VA_ARGS__
#define NP_HAS_I(...)
#define NP_ENTRY_F(f) f
#define NP_ENTRY_I(f) NULL
#endif
#define NP_HAS_J NP_HAS_I
#define NP_ENTRY_J NP_ENTRY_I
#define NP_HAS_N(...) __VA_ARGS__
#define NP_HAS_A(...) __VA_ARGS__
#define NP_HAS_C(...) __VA_ARGS__
#define NP_HAS_L(...) __VA_ARGS__
#define NP_HAS_Q(...) __VA_ARGS__
#define NP_HAS_W(...) __VA_ARGS__
#define NP_ENTRY_N(f) f
#define NP_ENTRY_A(f) f
#define NP_ENTRY_C(f) f
#define NP_ENTRY_L(f) f
#define NP_ENTRY_Q(f) f
#define NP_ENTRY_W(f) f
#define NP_OUT_F T
#define NP_OUT_N T
#define NP_OUT_A T
#define NP_OUT_I T
#define NP_OUT_J T
#define NP_OUT_W T
#define NP_OUT_C uint8_t
#define NP_OUT_L uint8_t
#define NP_OUT_Q uint8_t

/* An operand as something to walk along: itself, or its scalar spread over buf. */
NP_FN const T *np_spread(const void *in, int step, int64_t n, T *buf) {
  const T *x = in;
  if (step || !x) return x;
  T v = *x;
  for (int64_t i = 0; i < n && i < NP_CHUNK; i++) buf[i] = v;
  return buf;
}

/* One map: `operands` declares them with OPERAND, `names` reads their element j, `value` is the result for it.
   Where the first setting is a choice, each choice has a loop of its own. */
#define NP_LOOP(OUT, names, value, choice)                                                                          \
  {                                                                                                                 \
    enum { p0_set = choice };                                                                                       \
    for (int64_t i = 0; i < n; i += chunk) {                                                                        \
      int64_t m = n - i < chunk ? n - i : chunk;                                                                    \
      NP_IVDEP for (int64_t j = 0; j < m; j++) {                                                                    \
        names                                                                                                       \
        y[i + j] = (OUT)(value);                                                                                    \
      }                                                                                                             \
    }                                                                                                               \
  }
#define NP_MAP(fn, OUT, settings, operands, names, value)                                                           \
  static void fn(int64_t n, const void *const *in, const uint8_t *step, void *out, const double *par) {             \
    int64_t chunk = n;                                                                                              \
    OUT *y = out;                                                                                                   \
    const NP_PARAM p0 = (NP_PARAM)(par ? par[0] : 0), p1 = (NP_PARAM)(par ? par[1] : 0);                            \
    const NP_PARAM p2 = (NP_PARAM)(par ? par[2] : 0);                                                               \
    (void)p1, (void)p2;                                                                                             \
    operands                                                                                                        \
    if (!strncmp(strchr(settings, ':') ? strchr(settings, ':') : "", ":enum", 5) && p0 != 0)                        \
      NP_LOOP(OUT, names, value, 1)                                                                                 \
    else                                                                                                            \
      NP_LOOP(OUT, names, value, 0)                                                                                 \
  }
#define OPERAND(p, k, used)                                                                                         \
  T p##_buf[NP_CHUNK];                                                                                              \
  const int p##_used = (used);                                                                                      \
  const int64_t p##_step = !p##_used || step[k];                                                                    \
  const T *p = p##_used ? np_spread(in[k], step[k], n, p##_buf) : NULL;                                             \
  if (!p##_step) chunk = NP_CHUNK;
#define ELEMENT(V, p)                                                                                               \
  const T V = p##_used ? p[p##_step * i + j] : 0;                                                                   \
  (void)V;

/* The float32 sine and cosine lose their way beyond 1e8, fmod beyond quotients of 2^28 (scalar.h). Where an element is
   that far out the loop runs element by element, with libm where it must. x is operand k, z operand k + 1. */
#ifdef NP_SINGLE
NP_FN int np_is_far(float x) { return fabsf(x) > 1e8f; }
NP_FN float np_far_sin(float x) { return np_is_far(x) ? (float)sin((double)x) : np_sin_f32(x); }
NP_FN float np_far_cos(float x) { return np_is_far(x) ? (float)cos((double)x) : np_cos_f32(x); }
NP_FN float np_far_tan(float x) { return np_is_far(x) ? (float)tan((double)x) : np_tan_f32(x); }
NP_FN int np_are_far(float x, float z) { return (fabsf(x) > 268435456.0f * fabsf(z)) & (z != 0); }
NP_FN float np_far_fmod(float x, float z) { return np_are_far(x, z) ? fmodf(x, z) : np_fmod_f32(x, z); }
NP_FN float np_far_remainder(float x, float z) { return np_remainder_of_f32(np_far_fmod(x, z), z); }
NP_FN float np_far_floor_divide(float x, float z) { return np_floor_divide_of_f32(np_far_remainder(x, z), x, z); }
#define NP_SEARCH(when, m, is_far, element_x, element_z)                                                            \
  if (when)                                                                                                         \
    for (int64_t i = 0; i < (m); i++) {                                                                             \
      const float x = element_x, z = element_z;                                                                     \
      (void)z;                                                                                                      \
      far |= is_far;                                                                                                \
    }
#define NP_CAREFUL(fn, k, two, is_far, value)                                                                       \
  static void careful_##fn(int64_t n, const void *const *in, const uint8_t *step, void *out, const double *par) {   \
    enum { other = (two) ? (k) + 1 : (k) };                                                                         \
    const float *xs = in[k], *zs = in[other], *gs = in[0]; /* out may lie over their first elements */              \
    const float x0 = n ? *xs : 0, z0 = n ? *zs : 0, g0 = n ? *gs : 0;                                               \
    const int xstep = step[k], zstep = step[other], gstep = step[0];                                                \
    float *y = out;                                                                                                 \
    int far = 0;                                                                                                    \
    NP_SEARCH(xstep && zstep, n, is_far, xs[i], zs[i])                                                              \
    NP_SEARCH(xstep && !zstep, n, is_far, xs[i], z0)                                                                \
    NP_SEARCH(!xstep && zstep, n, is_far, x0, zs[i])                                                                \
    NP_SEARCH(!xstep && !zstep, n > 0, is_far, x0, z0)                                                              \
    if (!far) {                                                                                                     \
      fn(n, in, step, out, par);                                                                                    \
      return;                                                                                                       \
    }                                                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                                               \
      const float x = xstep ? xs[i] : x0, z = zstep ? zs[i] : z0, g = gstep ? gs[i] : g0;                           \
      (void)z, (void)g;                                                                                             \
      y[i] = value;                                                                                                 \
    }                                                                                                               \
  }
#endif

#ifndef NP_GRADS

#define UNARY(name, kind, settings, formula, dX, sample, doc, example)                                              \
  NP_HAS_##kind(NP_MAP(map_##name, NP_OUT_##kind, settings, OPERAND(x, 0, 1), ELEMENT(X, x), formula))
#define BINARY(name, kind, settings, formula, dX, dZ, sample, doc, example)                                         \
  NP_HAS_##kind(NP_MAP(map_##name, NP_OUT_##kind, settings, OPERAND(x, 0, 1) OPERAND(z, 1, 1),                      \
                       ELEMENT(X, x) ELEMENT(Z, z), formula))
#define TERNARY(name, kind, settings, formula, dX, dZ, dW, sample, doc, example)                                    \
  NP_HAS_##kind(NP_MAP(map_##name, NP_OUT_##kind, settings, OPERAND(x, 0, 1) OPERAND(z, 1, 1) OPERAND(w, 2, 1),     \
                       ELEMENT(X, x) ELEMENT(Z, z) ELEMENT(W, w), formula))
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

#ifdef NP_SINGLE
NP_CAREFUL(map_sin, 0, 0, np_is_far(x), np_far_sin(x))
NP_CAREFUL(map_cos, 0, 0, np_is_far(x), np_far_cos(x))
NP_CAREFUL(map_tan, 0, 0, np_is_far(x), np_far_tan(x))
NP_CAREFUL(map_fmod, 0, 1, np_are_far(x, z), np_far_fmod(x, z))
NP_CAREFUL(map_remainder, 0, 1, np_are_far(x, z), np_far_remainder(x, z))
NP_CAREFUL(map_floor_divide, 0, 1, np_are_far(x, z), np_far_floor_divide(x, z))
#define map_fmod careful_map_fmod
#define map_remainder careful_map_remainder
#define map_floor_divide careful_map_floor_divide
#define map_sin careful_map_sin
#define map_cos careful_map_cos
#define map_tan careful_map_tan
#endif

#define UNARY(name, kind, ...) [NP_EW_##name] = NP_ENTRY_##kind(map_##name),
#define BINARY UNARY
#define TERNARY UNARY
const np_map NP_NAME(NP_CAT(np_map_, S))[NP_EW_COUNT] = {
#include "elementwise.def"
};

#else

/* Whether a derivative mentions an operand, known when it is compiled: what it does not mention may be NULL. */
#define NP_USES(d, V)                                                                                               \
  (strstr(d, "(" V ",") || strstr(d, "(" V ")") || strstr(d, " " V ",") || strstr(d, " " V ")") || !strcmp(d, V))
#define NP_GRAD(fn, settings, d, value)                                                                             \
  __attribute__((unused)) NP_MAP(fn, T, settings,                                                                   \
                                 OPERAND(g, 0, NP_USES(d, "G")) OPERAND(x, 1, NP_USES(d, "X"))                      \
                                 OPERAND(z, 2, NP_USES(d, "Z")) OPERAND(w, 3, NP_USES(d, "W"))                      \
                                 OPERAND(r, 4, NP_USES(d, "Y")),                                                    \
                                 ELEMENT(G, g) ELEMENT(X, x) ELEMENT(Z, z) ELEMENT(W, w) ELEMENT(Y, r), value)

#define UNARY(name, kind, settings, formula, dX, sample, doc, example) NP_GRAD(grad_##name##_x, settings, #dX, dX)
#define BINARY(name, kind, settings, formula, dX, dZ, sample, doc, example)                                         \
  NP_GRAD(grad_##name##_x, settings, #dX, dX) NP_GRAD(grad_##name##_z, settings, #dZ, dZ)
#define TERNARY(name, kind, settings, formula, dX, dZ, dW, sample, doc, example)                                    \
  NP_GRAD(grad_##name##_x, settings, #dX, dX)                                                                       \
  NP_GRAD(grad_##name##_z, settings, #dZ, dZ)                                                                       \
  NP_GRAD(grad_##name##_w, settings, #dW, dW)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

#ifdef NP_SINGLE
NP_CAREFUL(grad_sin_x, 1, 0, np_is_far(x), g * np_far_cos(x))
NP_CAREFUL(grad_cos_x, 1, 0, np_is_far(x), -(g * np_far_sin(x)))
NP_CAREFUL(grad_remainder_z, 1, 1, np_are_far(x, z), -(g * np_far_floor_divide(x, z)))
#define grad_remainder_z careful_grad_remainder_z
#define grad_sin_x careful_grad_sin_x
#define grad_cos_x careful_grad_cos_x
#endif

/* NP_PICK(NP_IS_##d, f): NULL for NONE, else f. */
#define NP_IS_NONE 0, NULL
#define NP_SECOND(a, b, ...) b
#define NP_PICK(...) NP_SECOND(__VA_ARGS__, 0)
#define UNARY(name, kind, settings, formula, dX, sample, doc, example)                                              \
  [NP_EW_##name] = {NP_PICK(NP_IS_##dX, grad_##name##_x), NULL, NULL},
#define BINARY(name, kind, settings, formula, dX, dZ, sample, doc, example)                                         \
  [NP_EW_##name] = {NP_PICK(NP_IS_##dX, grad_##name##_x), NP_PICK(NP_IS_##dZ, grad_##name##_z), NULL},
#define TERNARY(name, kind, settings, formula, dX, dZ, dW, sample, doc, example)                                    \
  [NP_EW_##name] = {NP_PICK(NP_IS_##dX, grad_##name##_x), NP_PICK(NP_IS_##dZ, grad_##name##_z),                     \
                    NP_PICK(NP_IS_##dW, grad_##name##_w)},
const np_map NP_NAME(NP_CAT(np_grad_, S))[NP_EW_COUNT][3] = {
#include "elementwise.def"
};

#endif
