/* Complex numbers as pairs, (real part, imaginary part) in a last dimension of 2: made of parts and taken apart, multiplied,
 * and their lengths and angles. Where a length is 0 it has no slope, and the gradient is 0, as in PyTorch. */
#include "loops.h"

static int need_pairs(np_call *c, const char *name, neap_tensor *x) {
  if (np_need_float(c, name, x) != 0) return c->ctx->error;
  if (x->at.ndim >= 1 && x->at.shape[x->at.ndim - 1] == 2) return NEAP_OK;
  char a[128];
  np_shape_text(a, sizeof a, x);
  return np_reject(c, NEAP_ERR_SHAPE, "%s must hold complex numbers as pairs, a shape (..., 2), got %s", name, a);
}

/* ---- parts ---- */

int np_complex_run(np_call *c) { /* x z */
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1), *parts[2];
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_need_float(c, "x", x) != 0 || (z && np_need_float(c, "z", z) != 0)) return c->ctx->error;
  if (z && np_broadcast(c->ctx, c->op->name, &x->at, &z->at, &ndim, shape) != 0) return c->ctx->error;
  parts[0] = z ? neap_expand(c->ctx, x, ndim, shape) : x;
  parts[1] = z ? neap_expand(c->ctx, z, ndim, shape) : np_zeros_like(c->ctx, &x->at);
  c->out[0] = neap_stack(c->ctx, 2, parts, -1);
  return c->ctx->error;
}

static int part(np_call *c, int i) {
  if (need_pairs(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  c->out[0] = neap_select(c->ctx, np_t(c, 0), -1, i);
  return c->ctx->error;
}
int np_real_run(np_call *c) { return part(c, 0); }
int np_imag_run(np_call *c) { return part(c, 1); }

static neap_tensor *signs(neap_context *c, const np_layout *like, double first, double second) { /* (2) */
  const int64_t two = 2;
  neap_tensor *t = np_tensor_new(c, like->dtype, 1, &two);
  if (!t) return NULL;
  np_put_number(like->dtype, np_data(t), first);
  np_put_number(like->dtype, np_data(t) + np_size_of(like->dtype), second);
  return t;
}

int np_conj_run(np_call *c) {
  if (need_pairs(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  c->out[0] = neap_mul(c->ctx, np_t(c, 0), signs(c->ctx, &np_t(c, 0)->at, 1, -1));
  return c->ctx->error;
}

int np_polar_run(np_call *c) { /* x (length) z (angle) */
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1), *parts[2];
  if (np_need_float(c, "x", x) != 0 || np_need_float(c, "z", z) != 0) return c->ctx->error;
  parts[0] = neap_mul(c->ctx, x, neap_cos(c->ctx, z));
  parts[1] = neap_mul(c->ctx, x, neap_sin(c->ctx, z));
  if (!np_failed(c->ctx)) c->out[0] = neap_stack(c->ctx, 2, parts, -1);
  return c->ctx->error;
}

/* ---- complex_mul: x z conj ---- */

int np_complex_mul_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (need_pairs(c, "x", x) != 0 || need_pairs(c, "z", z) != 0) return c->ctx->error;
  if (np_broadcast(c->ctx, c->op->name, &x->at, &z->at, &ndim, shape) != 0) return c->ctx->error;
  return np_spec(c, 0, neap_promote(x->at.dtype, z->at.dtype), ndim, shape);
}

typedef struct multiplying {
  const np_fourier *k;
  const char *x, *z;
  char *y;
  int64_t n, size;
  int conj;
} multiplying;

static void multiply_task(void *arg, int64_t task) {
  const multiplying *m = arg;
  int64_t from = task * NP_GRAIN, at = from * 2 * m->size;
  m->k->multiply(np_min(NP_GRAIN, m->n - from), m->x + at, m->z + at, m->conj, m->y + at);
}

int np_complex_mul_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *whole[2];
  int native = y->at.dtype == NEAP_F64 ? NEAP_F64 : NEAP_F32, mode = neap_grad_mode(ctx, 0);
  neap_scope scope;
  np_scope_enter(ctx, &scope);
  for (int i = 0; i < 2; i++) {
    neap_tensor *t = neap_expand(ctx, np_t(c, i), y->at.ndim, y->at.shape);
    whole[i] = t ? np_contiguous_of(ctx, t, native) : NULL;
  }
  neap_tensor *out = np_failed(ctx) || y->at.dtype == native ? y : np_tensor_like(y, native);
  if (!np_failed(ctx) && out) {
    multiplying m = { .k = ctx->kernels->fourier[np_ctype(native)], .x = np_data(whole[0]), .z = np_data(whole[1]), .y = np_data(out),
      .n = y->at.count / 2, .size = np_size_of(native), .conj = (int)np_i(c, 2) };
    np_parallel(ctx, np_blocks(m.n, NP_GRAIN), (double)m.n, multiply_task, &m);
    if (out != y) np_copy(ctx, y, out);
  }
  neap_grad_mode(ctx, mode);
  np_scope_leave(&scope, 0, NULL);
  return ctx->error;
}

int np_complex_mul_back(np_back *b) { /* y = x z: gx = g z*, gz = g x*; y = x z*: gx = g z, gz = x g* */
  int conj = (int)b->arg[2].i;
  if (b->in[0].needs) b->gx[0] = neap_complex_mul(b->ctx, b->g[0], b->x[1], !conj);
  if (b->in[1].needs) b->gx[1] = conj ? neap_complex_mul(b->ctx, b->x[0], b->g[0], 1) : neap_complex_mul(b->ctx, b->g[0], b->x[0], 1);
  return b->ctx->error;
}

/* ---- lengths and angles ---- */

int np_complex_abs_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  if (need_pairs(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  return np_spec(c, 0, x->dtype, x->ndim - 1, x->shape);
}

static int of_parts(np_call *c, int map, int first) {
  neap_tensor *x = np_t(c, 0);
  int ctype = np_ctype(x->at.dtype), last = x->at.ndim - 1;
  np_layout first_at = np_layout_select(&x->at, last, 0), second_at = np_layout_select(&x->at, last, 1);
  neap_tensor re = np_window(x, &first_at), im = np_window(x, &second_at), *in[2] = { first ? &im : &re, first ? &re : &im };
  np_map_job job = { .map = c->ctx->kernels->map[ctype][map], .ctype = ctype, .n_in = 2, .in = in, .out = c->out[0], .poll = 1 };
  return np_map_run(c->ctx, &job);
}
int np_complex_abs_run(np_call *c) { return of_parts(c, NP_EW_hypot, 0); }
int np_complex_angle_run(np_call *c) { return of_parts(c, NP_EW_atan2, 1); }

/* 1 where v is 0, else v. */
static neap_tensor *never_zero(neap_context *c, neap_tensor *v) { return neap_where(c, neap_eq(c, v, NP_C(c, 0)), NP_C(c, 1), v); }

int np_complex_abs_back(np_back *b) { /* gx = g x / |x| */
  neap_context *c = b->ctx;
  b->gx[0] = neap_mul(c, neap_unsqueeze(c, neap_div(c, b->g[0], never_zero(c, b->y[0])), -1), b->x[0]);
  return c->error;
}
int np_complex_angle_back(np_back *b) { /* gx = g (-imag, real) / |x|^2 */
  neap_context *c = b->ctx;
  const int64_t last = -1, one = 1;
  neap_tensor *square = neap_sum(c, neap_square(c, b->x[0]), 1, &last, 0, -1);
  neap_tensor *turned = neap_mul(c, neap_roll(c, b->x[0], 1, &one, 1, &last), signs(c, &b->in[0].at, -1, 1));
  b->gx[0] = neap_mul(c, neap_unsqueeze(c, neap_div(c, b->g[0], never_zero(c, square)), -1), turned);
  return c->error;
}

/* ---- the order of frequencies ---- */

static int shift(np_call *c, int inverse) { /* x dims: by half of each dimension */
  neap_tensor *x = np_t(c, 0);
  uint32_t mask;
  int64_t dims[NEAP_MAX_DIMS], by[NEAP_MAX_DIMS];
  int n = 0;
  if (np_axes(c, &c->arg[1], x->at.ndim, &mask) != 0) return c->ctx->error;
  for (int i = 0; i < x->at.ndim; i++)
    if (mask >> i & 1) {
      dims[n] = i;
      by[n++] = inverse ? (x->at.shape[i] + 1) / 2 : x->at.shape[i] / 2;
    }
  c->out[0] = n ? neap_roll(c->ctx, x, n, by, n, dims) : neap_clone(c->ctx, x);
  return c->ctx->error;
}
int np_fftshift_run(np_call *c) { return shift(c, 0); }
int np_ifftshift_run(np_call *c) { return shift(c, 1); }
