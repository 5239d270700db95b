/* linear: y = act(x w' + b), x (..., in), w (out, in), b (out), y (..., out): one product over all rows, bias and
 * activation added while the rows are at hand. An activation's derivative is read from y, so a call with one becomes
 * `linear_act`, whose record saves y; a call without saves only x and w. bilinear is made of other ops. */
#include "loops.h"

enum { X, W, B, ACT };
enum { NONE, RELU, SIGMOID, TANH }; /* the choices of `activation`, in order */
static const int map_of[] = { -1, NP_EW_relu, NP_EW_sigmoid, NP_EW_tanh };

static int misfit(np_call *c) {
  const neap_tensor *x = np_t(c, X), *w = np_t(c, W), *b = np_t(c, B);
  char s[128], t[128];
  np_shape_text(s, sizeof s, x);
  np_shape_text(t, sizeof t, w);
  if (w->at.ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "weight must have 2 dimensions, (out, in), got %s", t);
  if (x->at.ndim == 0 || x->at.shape[x->at.ndim - 1] != w->at.shape[1])
    return np_reject(c, NEAP_ERR_SHAPE, "x %s does not fit weight %s: the last dimension of x must be %lld", s, t, (long long)w->at.shape[1]);
  np_shape_text(s, sizeof s, b);
  return np_reject(c, NEAP_ERR_SHAPE, "bias %s does not fit weight %s: it must have shape (%lld)", s, t, (long long)w->at.shape[0]);
}

int np_linear_infer(np_call *c) {
  neap_tensor *x = np_t(c, X), *w = np_t(c, W), *b = np_t(c, B);
  if (w->at.ndim != 2 || x->at.ndim == 0 || x->at.shape[x->at.ndim - 1] != w->at.shape[1] ||
      (b && (b->at.ndim != 1 || b->at.shape[0] != w->at.shape[0])))
    return misfit(c);
  if (np_i(c, ACT) != NONE && np_need_float(c, "x", x) != 0) return c->ctx->error;
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, x->at.shape, sizeof shape);
  shape[x->at.ndim - 1] = w->at.shape[0];
  if (np_i(c, ACT) != NONE) { /* the row that saves y */
    c->op = &np_ops[NP_OP_linear_act];
    c->sig = np_op_signature(c->ctx, NP_OP_linear_act);
    if (!c->sig) {
      c->sig = np_op_signature(c->ctx, NP_OP_linear);
      return c->ctx->error;
    }
  }
  return np_spec(c, 0, np_result_dtype(b ? 3 : 2, c->arg), x->at.ndim, shape);
}

/* ---- bias and activation, block of rows by block of rows ---- */

typedef struct finish {
  neap_context *c;
  int ctype, act;
  int64_t rows, n, per_task, size;
  const char *bias;
  char *y;
} finish;

static void finish_task(void *arg, int64_t task) {
  const finish *f = arg;
  const np_map *map = f->c->kernels->map[f->ctype];
  const uint8_t step[2] = { 1, 1 };
  int64_t first = task * f->per_task, last = np_min(first + f->per_task, f->rows);
  char *block = f->y + first * f->n * f->size;
  if (np_cancelled(f->c)) return;
  for (int64_t r = first; f->bias && r < last; r++) {
    char *y = f->y + r * f->n * f->size;
    const void *in[2] = { y, f->bias };
    map[NP_EW_add](f->n, in, step, y, NULL);
  }
  const void *in[1] = { block };
  if (f->act != NONE) map[map_of[f->act]]((last - first) * f->n, in, step, block, NULL);
}

static int64_t rows_of(const np_layout *x) {
  int64_t rows = 1;
  for (int i = 0; i < x->ndim - 1; i++) rows *= x->shape[i];
  return rows;
}

/* x's rows as one matrix: its leading dimension, or 0. */
static int64_t row_step(const np_layout *x) {
  int64_t rows = 1, stride = 0, in = x->shape[x->ndim - 1];
  if (in > 1 && x->stride[x->ndim - 1] != 1) return 0;
  for (int i = x->ndim - 2; i >= 0; i--) {
    if (x->shape[i] == 1) continue;
    if (rows == 1) stride = x->stride[i];
    else if (x->stride[i] != rows * stride) return 0;
    rows *= x->shape[i];
  }
  if (rows == 1) return np_max(in, 1);
  return stride >= np_max(in, 1) ? stride : 0;
}

int np_linear_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *w = np_t(c, W), *b = np_t(c, B), *y = c->out[0];
  int native = np_native_of(y->at.dtype), turned;
  int64_t rows = rows_of(&x->at), in = w->at.shape[1], out = w->at.shape[0], ldx, ldw;
  if (y->at.count == 0) return NEAP_OK;
  ldx = row_step(&x->at);
  x = ldx && x->at.dtype == native ? neap_retain(x) : np_contiguous_of(ctx, x, native);
  if (!(w->at.dtype == native && np_matrix_reads(in, out, w->at.stride[1], w->at.stride[0], &turned, &ldw))) {
    w = np_contiguous_of(ctx, w, native);
    if (w) np_matrix_reads(in, out, w->at.stride[1], w->at.stride[0], &turned, &ldw);
  } else {
    neap_retain(w);
  }
  b = np_contiguous_of(ctx, b, native);
  neap_tensor *t = np_room(y, native);
  if (!np_failed(ctx)) {
    np_product(ctx, native, 0, turned, rows, out, in, 1, np_data(x), row_step(&x->at), np_data(w), ldw, 0, np_data(t), out);
    finish f = { .c = ctx, .ctype = np_ctype(native), .act = (int)np_i(c, ACT), .rows = rows, .n = out, .size = np_size_of(native),
      .per_task = np_max(1, NP_GRAIN / out), .bias = b ? np_data(b) : NULL, .y = np_data(t) };
    if (f.bias || f.act) np_parallel(ctx, np_blocks(rows, f.per_task), (double)(rows * out) * (f.act > RELU ? 2 : 0.5), finish_task, &f);
  }
  np_deliver(ctx, y, t);
  neap_release(x);
  neap_release(w);
  neap_release(b);
  return ctx->error;
}

/* ---- backward ---- */

/* relu: g where y > 0; sigmoid: g y (1 - y); tanh: g (1 - y^2) */
static neap_tensor *before_act(np_back *b, int act) {
  neap_context *c = b->ctx;
  neap_tensor *g = b->g[0], *y = b->y[0];
  if (act == NONE) return g;
  if (c->grad_mode) {
    if (act == RELU) return neap_where(c, neap_gt(c, y, NP_C(c, 0)), g, NP_C(c, 0));
    if (act == SIGMOID) return neap_mul(c, g, neap_mul(c, y, neap_sub(c, NP_C(c, 1), y)));
    return neap_mul(c, g, neap_sub(c, NP_C(c, 1), neap_square(c, y)));
  }
  int ctype = np_ctype(y->at.dtype);
  neap_tensor *in[5] = { g, NULL, NULL, NULL, y }, *out = np_tensor_like(y, y->at.dtype);
  if (!out) return NULL;
  np_map_job job = { .map = c->kernels->grad[ctype][map_of[act]][0], .ctype = ctype, .n_in = 5, .in = in, .out = out, .skip = 14, .poll = 1 };
  np_map_run(c, &job);
  return out;
}

/* g' x, straight into where the weight's gradient will live when there is such a place. */
static neap_tensor *weight_gradient(np_back *b, neap_tensor *g, neap_tensor *x) {
  neap_context *c = b->ctx;
  neap_tensor *home = np_back_home(b, W);
  int dtype = home ? home->at.dtype : -1;
  if (!home || !x || !np_is_native(dtype) || g->at.dtype != dtype || x->at.dtype != dtype || !np_contiguous(g) || !np_contiguous(x))
    return neap_matmul(c, neap_t(c, g), x);
  int64_t rows = x->at.shape[0], in = x->at.shape[1], out = g->at.shape[1];
  np_product(c, dtype, 1, 0, out, in, rows, 1, np_data(g), out, np_data(x), in, 0, np_data(home), in);
  return home;
}

int np_linear_back(np_back *b) { /* with g before the activation: gx = g w, gw = g' x, gb = sum of g over rows */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[X].at, *w = &b->in[W].at;
  int64_t rows = rows_of(x), zero = 0;
  neap_tensor *g = before_act(b, (int)b->arg[ACT].i);
  if (g && x->ndim != 2) g = neap_reshape(c, g, 2, (int64_t[]){ rows, w->shape[0] }); /* (rows, out) */
  if (!g) return c->error;
  if (b->in[X].needs) {
    neap_tensor *gx = neap_matmul(c, g, b->x[W]);
    b->gx[X] = gx && x->ndim != 2 ? neap_reshape(c, gx, x->ndim, x->shape) : gx;
  }
  if (b->in[W].needs) {
    neap_tensor *x2 = x->ndim == 2 ? b->x[X] : neap_reshape(c, b->x[X], 2, (int64_t[]){ rows, x->shape[x->ndim - 1] });
    b->gx[W] = weight_gradient(b, g, x2);
  }
  if (b->in[B].needs) b->gx[B] = neap_sum(c, g, 1, &zero, 0, -1);
  return c->error;
}

/* y_o = x1' w_o x2 + b_o for each output o: x1 (..., i), x2 (..., j), w (o, i, j) */
int np_bilinear_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x1 = np_t(c, 0), *x2 = np_t(c, 1), *w = np_t(c, 2), *b = np_t(c, 3);
  int n = x1->at.ndim;
  int fits = n > 0 && x2->at.ndim == n && w->at.ndim == 3 && x1->at.shape[n - 1] == w->at.shape[1] && x2->at.shape[n - 1] == w->at.shape[2];
  for (int i = 0; fits && i < n - 1; i++) fits = x1->at.shape[i] == x2->at.shape[i];
  if (!fits) {
    char s[128], t[128], u[128];
    np_shape_text(s, sizeof s, x1);
    np_shape_text(t, sizeof t, x2);
    np_shape_text(u, sizeof u, w);
    return np_reject(c, NEAP_ERR_SHAPE, "x1 %s and x2 %s do not fit weight %s: they are (..., in1), (..., in2) and (out, in1, in2)", s, t, u);
  }
  int64_t rows = rows_of(&x1->at), o = w->at.shape[0], i = w->at.shape[1], j = w->at.shape[2], shape[NEAP_MAX_DIMS];
  neap_tensor *flat = neap_reshape(ctx, neap_permute(ctx, w, 3, (int64_t[]){ 1, 0, 2 }), 2, (int64_t[]){ i, o * j });
  neap_tensor *left = neap_matmul(ctx, neap_reshape(ctx, x1, 2, (int64_t[]){ rows, i }), flat);
  left = neap_reshape(ctx, left, 3, (int64_t[]){ rows, o, j });
  neap_tensor *y = neap_matmul(ctx, left, neap_reshape(ctx, x2, 3, (int64_t[]){ rows, j, 1 })); /* (rows, o, 1) */
  memcpy(shape, x1->at.shape, sizeof shape);
  shape[n - 1] = o;
  y = neap_reshape(ctx, y, n, shape);
  c->out[0] = b ? neap_add(ctx, y, b) : y;
  return ctx->error;
}
