/* Pointwise ops that take more than a row of elementwise.def: gates over the halves of a dimension, activations whose
 * weight or slope has a shape of its own, powers in double precision. The arithmetic is all in elementwise rows; here
 * it is decided which operand lies where. */
#include "loops.h"

/* ---- glu, swiglu, geglu: x dim ---- */

static int gate_of(const np_op *op) { /* the row of gate(a, b), a the first half of x, b the second */
  int n = (int)(op - np_ops);
  return n == NP_OP_glu ? NP_EW_mul_sigmoid : n == NP_OP_swiglu ? NP_EW_mul_silu : NP_EW_mul_gelu;
}

static neap_tensor half_of(const neap_tensor *x, int d, int second) {
  int64_t n = x->at.shape[d] / 2;
  np_layout l = np_layout_cut(&x->at, d, second ? n : 0, n, 1);
  return np_window(x, &l);
}

static int axis_of(const neap_value *dim, int ndim) { return (int)(dim->i < 0 ? dim->i + ndim : dim->i); }

int np_glu_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension that could be halved");
  if (np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  if (x->at.shape[d] % 2 != 0) {
    char text[96];
    np_dim_text(text, sizeof text, c, d, "x", x);
    return np_reject(c, NEAP_ERR_SHAPE, "%s, which cannot be halved", text);
  }
  memcpy(shape, x->at.shape, sizeof shape);
  shape[d] /= 2;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, shape);
}
int np_glu_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int d = axis_of(&c->arg[1], x->at.ndim), ctype = np_ctype(x->at.dtype);
  neap_tensor a = half_of(x, d, 0), b = half_of(x, d, 1), *in[2] = { &a, &b };
  np_map_job job = { .map = c->ctx->kernels->map[ctype][gate_of(c->op)], .ctype = ctype, .n_in = 2, .in = in, .out = c->out[0], .poll = 1 };
  return np_map_run(c->ctx, &job);
}
int np_glu_back(np_back *b) { /* ga = g gate(b) in the first half of gx, gb = g a gate'(b) in the second */
  neap_tensor *x = b->x[0], *gx = np_tensor_new(b->ctx, x->at.dtype, x->at.ndim, x->at.shape);
  if (!gx) return b->ctx->error;
  int d = axis_of(&b->arg[1], x->at.ndim), ctype = np_ctype(x->at.dtype);
  neap_tensor first = half_of(x, d, 0), second = half_of(x, d, 1), *in[5] = { b->g[0], &first, &second, NULL, b->y[0] };
  for (int i = 0; i < 2; i++) {
    neap_tensor out = half_of(gx, d, i);
    np_map_job job = { .map = b->ctx->kernels->grad[ctype][gate_of(b->op)][i], .ctype = ctype, .n_in = 5, .in = in, .out = &out, .skip = 1 << 3, .poll = 1 };
    np_map_run(b->ctx, &job);
  }
  b->gx[0] = gx;
  return b->ctx->error;
}
int np_glu_twin(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[0], *g = b->g[0], *part[2], *gate, *slope;
  int d = axis_of(&b->arg[1], x->at.ndim);
  int64_t n = x->at.shape[d] / 2;
  neap_tensor *first = neap_narrow(c, x, d, 0, n), *z = neap_narrow(c, x, d, n, n);
  if (gate_of(b->op) == NP_EW_mul_gelu) { /* z F(z), with slope F(z) + z f(z) of the normal distribution */
    neap_tensor *F = neap_ndtr(c, z), *f = neap_mul(c, neap_exp(c, neap_mul(c, neap_square(c, z), NP_C(c, -0.5))), NP_C(c, 0.39894228040143267794));
    gate = neap_mul(c, z, F);
    slope = neap_add(c, F, neap_mul(c, z, f));
  } else { /* s(z), with slope s(z) s(-z); or z s(z), with slope s(z) (1 + z s(-z)) */
    neap_tensor *s = neap_sigmoid(c, z), *rest = neap_sigmoid(c, neap_neg(c, z));
    int silu = gate_of(b->op) == NP_EW_mul_silu;
    gate = silu ? neap_mul(c, z, s) : s;
    slope = neap_mul(c, s, silu ? neap_add(c, neap_mul(c, z, rest), NP_C(c, 1)) : rest);
  }
  part[0] = neap_mul(c, g, gate);
  part[1] = neap_mul(c, neap_mul(c, g, first), slope);
  b->gx[0] = part[0] && part[1] ? neap_cat(c, 2, part, d) : NULL;
  return c->error;
}

/* ---- prelu: x weight ---- */

int np_prelu_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  int64_t shape[NEAP_MAX_DIMS], n = w->at.count, channels = x->at.ndim > 1 ? x->at.shape[1] : 1;
  if (np_need_float(c, "x", x) != 0 || np_need_float(c, "weight", w) != 0) return c->ctx->error;
  if (w->at.ndim > 1 || (n != 1 && n != channels)) {
    char text[128];
    np_shape_text(text, sizeof text, w);
    if (x->at.ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "weight has shape %s, it must have 1 element: x has no channels", text);
    return np_reject(c, NEAP_ERR_SHAPE, "weight has shape %s, it must have 1 element, or %lld as dimension %lld of x", text,
                     (long long)channels, NP_DIM(c, 1));
  }
  for (int i = 0; i < x->at.ndim; i++) shape[i] = i == 1 ? n : 1;
  if (x->at.ndim == 1) shape[0] = 1;
  c->out[0] = neap_relu_slope(c->ctx, x, neap_reshape(c->ctx, w, x->at.ndim, shape));
  return c->ctx->error;
}

/* ---- rrelu: x lower upper training generator ---- */

int np_rrelu_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  double lower = np_d(c, 1), upper = np_d(c, 2);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (!(lower <= upper)) return np_reject(c, NEAP_ERR_ARGUMENT, "lower is %g, it must not be above upper, which is %g", lower, upper);
  if (np_i(c, 3)) {
    int mode = neap_grad_mode(c->ctx, 0);
    neap_tensor *slope = neap_uniform(c->ctx, x, lower, upper, np_given(c, 4) ? c->arg[4].g : NULL);
    neap_grad_mode(c->ctx, mode);
    c->out[0] = neap_relu_slope(c->ctx, x, slope);
  } else {
    c->out[0] = neap_leaky_relu(c->ctx, x, (lower + upper) / 2);
  }
  return c->ctx->error;
}

/* ---- float_power: x z ---- */

static neap_tensor *in_double(np_call *c, int i) {
  const neap_value *v = &c->arg[i];
  if (v->kind == NEAP_TENSOR) return neap_to(c->ctx, v->t, NEAP_F64);
  return np_tensor_scalar(c->ctx, NEAP_F64, v->kind == NEAP_INT ? (double)v->i : v->d);
}
int np_float_power_run(np_call *c) {
  c->out[0] = neap_pow(c->ctx, in_double(c, 0), in_double(c, 1));
  return c->ctx->error;
}
