/* What the normalisations share (norms.h), and those that are made of other ops: normalize, local response norm. */
#include "norms.h"

int np_channels_check(np_call *c, int x, int n, const int *params) {
  neap_tensor *t = np_t(c, x);
  char a[128], b[128];
  if (np_need_float(c, "x", t) != 0) return c->ctx->error;
  np_shape_text(a, sizeof a, t);
  if (t->at.ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "x is (N, C, ...), got %s", a);
  for (int i = 0; i < n; i++) {
    neap_tensor *p = np_t(c, params[i]);
    const char *name = c->sig->param[params[i]].name;
    if (!p) continue;
    if (np_need_float(c, name, p) != 0) return c->ctx->error;
    if (p->at.ndim == 1 && p->at.shape[0] == t->at.shape[1]) continue;
    np_shape_text(b, sizeof b, p);
    return np_reject(c, NEAP_ERR_SHAPE, "%s has shape %s, but dimension %lld of x %s has size %lld", name, b, NP_DIM(c, 1), a, (long long)t->at.shape[1]);
  }
  return NEAP_OK;
}

int np_running_check(np_call *c, int mean) {
  for (int i = mean; i <= mean + 1; i++) {
    neap_tensor *t = np_t(c, i);
    const char *name = c->sig->param[i].name;
    if (t && np_needs_grad(t)) return np_reject(c, NEAP_ERR_STATE, "%s requires a gradient, but training overwrites it: use detach()", name);
    if (t && t->storage->read_only) return np_reject(c, NEAP_ERR_STATE, "the memory of %s is read-only", name);
  }
  return NEAP_OK;
}

static void update(np_call *c, neap_tensor *t, const double *now, int64_t n, double factor, double momentum) {
  if (!t) return;
  int64_t size = np_size_of(t->at.dtype), channels = t->at.shape[0];
  for (int64_t ch = 0; ch < channels; ch++) {
    char *p = np_data(t) + ch * t->at.stride[0] * size;
    double sum = 0;
    for (int64_t r = 0; r < n; r++) sum += now[r * channels + ch];
    np_put_number(t->at.dtype, p, (1 - momentum) * np_get_number(t->at.dtype, p) + momentum * factor * sum / (double)n);
  }
  np_tensor_written(t, c->op->name);
}

void np_running_update(np_call *c, int mean, const neap_tensor *center, const neap_tensor *spread, int64_t n, double values, double momentum) {
  update(c, np_t(c, mean), (const double *)np_data(center), n, 1, momentum);
  update(c, np_t(c, mean + 1), (const double *)np_data(spread), n, values / (values - 1), momentum);
}

neap_tensor *np_channel_shaped(neap_context *c, neap_tensor *t, const np_layout *x) {
  int64_t shape[NEAP_MAX_DIMS];
  for (int i = 0; i < x->ndim; i++) shape[i] = i == 1 ? x->shape[1] : 1;
  return t ? neap_reshape(c, t, x->ndim, shape) : NULL;
}

/* gx = rstd (d - mean(d) - h mean(d h)) */
neap_tensor *np_normal_twin(neap_context *c, neap_tensor *x, neap_tensor *d, int n, const int64_t *dims, double eps, neap_tensor **h) {
  neap_tensor *dev = neap_sub(c, x, neap_mean(c, x, n, dims, 1, -1));
  neap_tensor *rstd = neap_rsqrt(c, neap_add(c, neap_mean(c, neap_square(c, dev), n, dims, 1, -1), NP_C(c, eps)));
  *h = neap_mul(c, dev, rstd);
  neap_tensor *along = neap_mul(c, *h, neap_mean(c, neap_mul(c, d, *h), n, dims, 1, -1));
  return neap_mul(c, rstd, neap_sub(c, neap_sub(c, d, neap_mean(c, d, n, dims, 1, -1)), along));
}

neap_tensor *np_block_total(np_back *b, int in, neap_tensor *sums, uint32_t mask) {
  const np_layout *at = &b->in[in].at;
  neap_tensor *y = sums ? np_tensor_new(b->ctx, at->dtype, at->ndim, at->shape) : NULL;
  np_fold f = { .kind = NP_SUM, .divisor = 1, .power = 1 };
  if (y) np_fold_run(b->ctx, sums, mask, &f, y);
  return y;
}

/* ---- made of other ops ---- */

int np_normalize_run(np_call *c) { /* x p dim eps */
  neap_context *ctx = c->ctx;
  int axis;
  if (np_need_float(c, "x", np_t(c, 0)) != 0 || np_axis(c, np_i(c, 2), np_t(c, 0)->at.ndim, &axis) != 0) return ctx->error;
  int64_t d = axis;
  neap_tensor *length = neap_norm(ctx, np_t(c, 0), np_d(c, 1), 1, &d, 1);
  c->out[0] = neap_div(ctx, np_t(c, 0), neap_clamp_min(ctx, length, NP_C(ctx, np_d(c, 3))));
  return ctx->error;
}

/* x / (k + alpha mean)^beta, the mean of x^2 over `size` neighbouring channels, zeros beyond the ends. */
int np_local_response_norm_run(np_call *c) { /* x size alpha beta k */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  int64_t size = np_i(c, 1), last = -1;
  if (np_channels_check(c, 0, 0, NULL) != 0) return ctx->error;
  if (size < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "size is %lld, it must be at least 1", (long long)size);
  if (x->at.count == 0) {
    c->out[0] = neap_clone(ctx, x);
    return ctx->error;
  }
  int64_t pad[2] = { size / 2, (size - 1) / 2 };
  neap_tensor *sq = neap_transpose(ctx, neap_square(ctx, x), 1, -1);
  neap_tensor *runs = neap_unfold(ctx, neap_pad(ctx, sq, 2, pad, 0, 0), -1, size, 1);
  neap_tensor *mean = neap_transpose(ctx, neap_mean(ctx, runs, 1, &last, 0, -1), 1, -1);
  neap_tensor *in[] = { x, mean, NP_C(ctx, np_d(c, 2)), NP_C(ctx, np_d(c, 3)), NP_C(ctx, np_d(c, 4)) };
  c->out[0] = np_failed(ctx) ? NULL : neap_map(ctx, 5, in, "$1 / ($3 * $2 + $5) ^ $4");
  return ctx->error;
}
