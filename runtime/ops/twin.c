/* The recorded backward of the elementwise ops: the derivatives of elementwise.def once more, this time as calls that
 * are recorded themselves, for gradients of gradients. What a formula calls C(v) is a constant that takes part in
 * promotion as a number does. */
#include <math.h>
#include "op.h"
#include "formula.h"

#define G (b->g[0])
#define X (b->x[0])
#define Z (b->x[1])
#define W (b->x[2])
#define Y (b->y[0])
#define C(v) np_tensor_constant(c, v)
#define P(i) np_tensor_constant(c, par[i])
#define POLYGAMMA(k, a) neap_polygamma(c, a, (int64_t)par[0] + (k))
#define IF(i, yes, no) (par[i] != 0 ? (yes) : (no))
#define NONE NULL

typedef neap_tensor *(*recorded)(neap_context *c, np_back *b, const double *par);
#define ONE(name, operand, derivative)                                                      \
  static neap_tensor *d##operand##_##name(neap_context *c, np_back *b, const double *par) { \
    (void)c, (void)b, (void)par;                                                            \
    return derivative;                                                                      \
  }
#define UNARY(name, kind, settings, f, dx, ...) ONE(name, 0, dx)
#define BINARY(name, kind, settings, f, dx, dz, ...) ONE(name, 0, dx) ONE(name, 1, dz)
#define TERNARY(name, kind, settings, f, dx, dz, dw, ...) ONE(name, 0, dx) ONE(name, 1, dz) ONE(name, 2, dw)
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

#define UNARY(name, ...) [NP_EW_##name] = { d0_##name },
#define BINARY(name, ...) [NP_EW_##name] = { d0_##name, d1_##name },
#define TERNARY(name, ...) [NP_EW_##name] = { d0_##name, d1_##name, d2_##name },
static const recorded rows[NP_EW_COUNT][3] = {
#include "elementwise.def"
};

neap_tensor *np_elementwise_slope(np_back *b, int map, int operand, const double *par) {
  return rows[map][operand] ? rows[map][operand](b->ctx, b, par) : NULL;
}

int np_elementwise_twin(np_back *b) {
  double par[4] = { 0 };
  int n_par = 0;
  const np_signature *sig = np_op_signature(b->ctx, (int)(b->op - np_ops));
  for (int i = 0; i < sig->n_params; i++) {
    const neap_value *v = &b->arg[i];
    if (sig->param[i].kind != NEAP_OPERAND)
      par[n_par++] = v->kind == NEAP_NONE ? NAN : v->kind == NEAP_NUMBER ? v->d : (double)v->i;
  }
  for (int i = 0; i < b->n_in; i++)
    if (b->in[i].needs) b->gx[i] = np_elementwise_slope(b, b->op->map, i, par);
  return b->ctx->error;
}
