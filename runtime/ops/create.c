/* Tensors made from nothing but numbers: constants, sequences, the identity; and fill and zero, which give such a tensor
 * like x, or in place overwrite x. What they hold has no history: no gradient flows to x. */
#include "loops.h"

static int dtype_or(const np_call *c, int i, int standard) { return np_given(c, i) ? (int)np_i(c, i) : standard; }

/* ---- one value everywhere ---- */

typedef struct filling {
  const np_kernels *k;
  char *data;
  int64_t n, block;
  int size;
  char value[8];
} filling;

static void fill_task(void *arg, int64_t i) {
  const filling *f = arg;
  int64_t from = i * f->block;
  f->k->fill(f->size, np_min(f->block, f->n - from), f->value, f->data + from * f->size, 1);
}

static int fill_with(neap_context *c, neap_tensor *y, const char *value) { /* one element of y's dtype */
  filling f = { .k = c->kernels, .size = (int)np_size_of(y->at.dtype), .n = y->at.count, .block = 4 * (int64_t)NP_GRAIN };
  if (!np_contiguous(y)) {
    neap_tensor *v = np_tensor_new(c, y->at.dtype, 0, NULL);
    if (!v) return c->error;
    memcpy(np_data(v), value, (size_t)f.size);
    np_copy(c, y, v);
    neap_release(v);
    return NEAP_OK;
  }
  memcpy(f.value, value, sizeof f.value);
  f.data = np_data(y);
  np_parallel(c, np_blocks(f.n, f.block), (double)f.n * 0.1, fill_task, &f);
  return NEAP_OK;
}

static int fill(neap_context *c, neap_tensor *y, double value) {
  char element[8] = { 0 };
  np_put_number(y->at.dtype, element, value);
  return fill_with(c, y, element);
}

int np_zeros_infer(np_call *c) { return np_spec(c, 0, dtype_or(c, 1, NEAP_F32), c->arg[0].n, c->arg[0].is); }
int np_zeros_run(np_call *c) { return np_zero(c->ctx, c->out[0]); }
int np_ones_run(np_call *c) { return fill(c->ctx, c->out[0], 1); }
int np_empty_run(np_call *c) { (void)c; return NEAP_OK; }

int np_full_infer(np_call *c) { return np_spec(c, 0, dtype_or(c, 2, NEAP_F32), c->arg[0].n, c->arg[0].is); }
int np_full_run(np_call *c) { return fill(c->ctx, c->out[0], np_d(c, 1)); }

int np_zeros_like_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  return np_spec(c, 0, dtype_or(c, 1, x->dtype), x->ndim, x->shape);
}
int np_full_like_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  return np_spec(c, 0, dtype_or(c, 2, x->dtype), x->ndim, x->shape);
}

/* fill: x value; the value may be a tensor of one element, to which a gradient flows */
int np_fill_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  neap_tensor *v = np_t(c, 1);
  if (v && v->at.count != 1) {
    char a[128];
    np_shape_text(a, sizeof a, v);
    return np_reject(c, NEAP_ERR_SHAPE, "value must be one number, got a tensor of shape %s: copy_ takes a tensor", a);
  }
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}
int np_fill_run(np_call *c) {
  neap_tensor *v = np_t(c, 1);
  if (!v) {
    char element[8] = { 0 };
    if (c->arg[1].kind != NEAP_INT) return fill(c->ctx, c->out[0], np_d(c, 1));
    np_put_int(c->out[0]->at.dtype, element, np_i(c, 1));
    return fill_with(c->ctx, c->out[0], element);
  }
  np_layout one;
  np_layout_set(&one, v->at.dtype, 0, NULL);
  one.offset = v->at.offset;
  neap_tensor value = np_window(v, &one);
  return np_copy(c->ctx, c->out[0], &value);
}
int np_fill_back(np_back *b) { /* gx = 0, gvalue = sum of g */
  if (b->in[1].needs) b->gx[1] = neap_reshape(b->ctx, neap_sum(b->ctx, b->g[0], 0, NULL, 0, -1), b->in[1].at.ndim, b->in[1].at.shape);
  return b->ctx->error;
}
int np_zero_infer(np_call *c) { return np_spec(c, 0, np_t(c, 0)->at.dtype, np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape); }
int np_zero_run(np_call *c) { return fill(c->ctx, c->out[0], 0); }
int np_nothing_back(np_back *b) { (void)b; return NEAP_OK; } /* gx = 0 */

/* ---- sequences ---- */

static int whole(double v) { return v == floor(v) && fabs(v) < 9e15; }

/* start, start + step, ... of n elements: computed as start + i step, in double. */
static int sequence(neap_context *c, neap_tensor *y, double start, double step, int64_t n) {
  enum { TILE = 256 };
  int ints = np_ctype(y->at.dtype) == NP_CI64;
  double f[TILE];
  int64_t k[TILE];
  for (int64_t i = 0; i < n; i += TILE) {
    int64_t m = np_min(TILE, n - i);
    for (int64_t j = 0; j < m; j++) {
      f[j] = start + (double)(i + j) * step;
      if (ints) k[j] = whole(step) && whole(start) ? (int64_t)start + (i + j) * (int64_t)step : (int64_t)f[j];
    }
    c->kernels->store[ints ? NP_CI64 : NP_CF64][y->at.dtype](m, ints ? (void *)k : (void *)f, np_data(y) + i * np_size_of(y->at.dtype), 1);
  }
  return NEAP_OK;
}

static int count_steps(np_call *c, double start, double end, double step, int closed, int dtype) {
  if (step == 0 || isnan(step)) return np_reject(c, NEAP_ERR_ARGUMENT, "step must not be 0");
  double n = (end - start) / step;
  if (closed) n = floor(n + 1e-9 * fmax(1, fabs(n))) + 1; /* 0 to 1 by 0.1 reaches 1 */
  else n = ceil(n - 1e-12 * fmax(1, fabs(n)));
  if (isnan(n) || isinf(n)) return np_reject(c, NEAP_ERR_ARGUMENT, "start and end must be finite");
  if (n > 1e15) return np_reject(c, NEAP_ERR_SHAPE, "%g elements are too many", n);
  if (dtype < 0) dtype = whole(start) && whole(end) && whole(step) ? NEAP_I64 : NEAP_F32;
  const int64_t count = n > 0 ? (int64_t)n : 0;
  return np_spec(c, 0, dtype, 1, &count);
}

int np_arange_infer(np_call *c) {
  if (!np_given(c, 1)) c->arg[1] = c->arg[0], c->arg[0].d = 0; /* arange(end) */
  return count_steps(c, np_d(c, 0), np_d(c, 1), np_d(c, 2), 0, dtype_or(c, 3, -1));
}
int np_range_infer(np_call *c) { return count_steps(c, np_d(c, 0), np_d(c, 1), np_d(c, 2), 1, dtype_or(c, 3, -1)); }
int np_arange_run(np_call *c) { return sequence(c->ctx, c->out[0], np_d(c, 0), np_d(c, 2), c->out[0]->at.count); }

int np_linspace_infer(np_call *c) {
  const int64_t n = np_i(c, 2);
  if (n < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "steps is %lld, it must be at least 0", (long long)n);
  return np_spec(c, 0, dtype_or(c, c->sig->n_params - 1, NEAP_F32), 1, &n);
}
int np_linspace_run(np_call *c) {
  int64_t n = np_i(c, 2), half = n / 2;
  double start = np_d(c, 0), end = np_d(c, 1), step = n > 1 ? (end - start) / (double)(n - 1) : 0;
  neap_tensor *y = c->out[0];
  if (n == 0) return NEAP_OK;
  if (n == 1) return sequence(c->ctx, y, start, 0, 1);
  sequence(c->ctx, y, start, step, half); /* from both ends, so that both are exact */
  np_layout l = y->at;
  l.offset += half;
  neap_tensor rest = np_window(y, &l);
  return sequence(c->ctx, &rest, end - (double)(n - 1 - half) * step, step, n - half);
}

int np_logspace_run(np_call *c) { /* base ^ (start + i step), from both ends, in double */
  int64_t n = np_i(c, 2), half = n / 2;
  double start = np_d(c, 0), end = np_d(c, 1), base = np_d(c, 3), step = n > 1 ? (end - start) / (double)(n - 1) : 0;
  neap_tensor *y = c->out[0];
  int ints = np_ctype(y->at.dtype) == NP_CI64;
  for (int64_t i = 0; i < n; i++) {
    double v = pow(base, i < half || n == 1 ? start + (double)i * step : end - (double)(n - 1 - i) * step);
    c->ctx->kernels->store[NP_CF64][y->at.dtype](1, &(double){ ints ? trunc(v) : v }, np_data(y) + i * np_size_of(y->at.dtype), 1);
  }
  return NEAP_OK;
}

int np_vander_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int64_t n = np_given(c, 1) ? np_i(c, 1) : x->at.count;
  if (x->at.ndim != 1) return np_reject(c, NEAP_ERR_SHAPE, "x must have 1 dimension, got %d", x->at.ndim);
  if (n < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "n is %lld, it must be at least 0", (long long)n);
  if (n > INT32_MAX / 16) return np_reject(c, NEAP_ERR_SHAPE, "the result is too large for memory");
  if (n == 0) {
    c->out[0] = np_tensor_new(ctx, x->at.dtype, 2, (int64_t[]){ x->at.count, 0 });
    return ctx->error;
  }
  size_t bytes = (size_t)n * sizeof(neap_tensor *);
  neap_tensor **power = np_alloc(ctx, bytes), *last = neap_ones_like(ctx, x, -1);
  if (!power) return ctx->error;
  for (int64_t i = 0; i < n; i++) {
    power[np_i(c, 2) ? i : n - 1 - i] = last;
    if (i + 1 < n) last = i == 0 ? x : neap_mul(ctx, last, x);
  }
  if (!np_failed(ctx)) c->out[0] = neap_stack(ctx, (int)n, power, 1);
  np_free(ctx, power, bytes);
  return ctx->error;
}

int np_eye_infer(np_call *c) {
  int64_t shape[2] = { np_i(c, 0), np_given(c, 1) ? np_i(c, 1) : np_i(c, 0) };
  return np_spec(c, 0, dtype_or(c, 2, NEAP_F32), 2, shape);
}
int np_eye_run(np_call *c) {
  neap_tensor *y = c->out[0];
  int64_t n = np_min(y->at.shape[0], y->at.shape[1]);
  char one[8];
  np_put_number(y->at.dtype, one, 1);
  np_zero(c->ctx, y);
  c->ctx->kernels->fill((int)np_size_of(y->at.dtype), n, one, np_data(y), y->at.shape[1] + 1);
  return NEAP_OK;
}
