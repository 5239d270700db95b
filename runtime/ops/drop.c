/* Dropout of whole channels and samples, and dropout that keeps mean and variance. A mask is drawn for what is dropped
 * together, of size 1 in all other dimensions, and the rest is arithmetic that records itself. */
#include "loops.h"

enum { X, P, TRAINING, GENERATOR };

/* Whether there is something to do; else x goes through, or an error is pending. */
static int drops(np_call *c) {
  double p = np_d(c, P);
  if (!(p >= 0 && p <= 1)) np_reject(c, NEAP_ERR_ARGUMENT, "p is %g, it must be between 0 and 1", p);
  else if (np_need_float(c, "x", np_t(c, X)) == 0 && (!np_i(c, TRAINING) || p == 0)) c->out[0] = neap_retain(np_t(c, X));
  return !np_failed(c->ctx) && !c->out[0];
}
static neap_generator *generator(np_call *c) { return np_given(c, GENERATOR) ? c->arg[GENERATOR].g : NULL; }

/* Ones over the dimensions from `first` to before `end`, of size 1 in the others. */
static neap_tensor *ones(np_call *c, int first, int end) {
  const np_layout *x = &np_t(c, X)->at;
  int64_t shape[NEAP_MAX_DIMS];
  for (int i = 0; i < x->ndim; i++) shape[i] = i >= first && i < end ? x->shape[i] : 1;
  return neap_ones(c->ctx, x->ndim, shape, x->dtype);
}

static int scaled(np_call *c, int first, int end) { /* 0 with probability p, else 1 / (1 - p) */
  neap_tensor *mask = ones(c, first, end);
  if (mask) c->out[0] = neap_mul(c->ctx, np_t(c, X), neap_dropout(c->ctx, mask, np_d(c, P), 1, generator(c)));
  return c->ctx->error;
}

/* Channels of (N, C, ...), or of (C, ...) where x has `unbatched` dimensions. */
static int channels(np_call *c, int unbatched, int batched, const char *shapes) {
  int n = np_t(c, X)->at.ndim;
  if (n != unbatched && n != batched) {
    char text[128];
    np_shape_text(text, sizeof text, np_t(c, X));
    return np_reject(c, NEAP_ERR_SHAPE, "x is %s, got shape %s", shapes, text);
  }
  return drops(c) ? scaled(c, 0, n == batched ? 2 : 1) : (int)c->ctx->error;
}
int np_dropout1d_run(np_call *c) { return channels(c, 2, 3, "(N, C, L) or (C, L)"); }
int np_dropout3d_run(np_call *c) { return channels(c, 4, 5, "(N, C, D, H, W) or (C, D, H, W)"); }
int np_dropout2d_run(np_call *c) {
  int n = np_t(c, X)->at.ndim;
  return channels(c, n == 3 ? 0 : 4, n == 3 ? 3 : 4, "(N, C, H, W) or (N, C, L)");
}

int np_drop_path_run(np_call *c) {
  if (np_t(c, X)->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no dimension of samples");
  return drops(c) ? scaled(c, 0, 1) : (int)c->ctx->error;
}

/* What is dropped becomes t = -scale alpha of selu, then all is a x + b, so that mean 0 and variance 1 stay:
 * a = 1 / sqrt((1 - p) (1 + p t^2)), b = -a p t. */
static int alpha(np_call *c, int end) {
  neap_context *ctx = c->ctx;
  const double t = -1.7580993408473766, p = np_d(c, P), a = p < 1 ? 1 / sqrt((1 - p) * (1 + p * t * t)) : 0;
  neap_tensor *all = ones(c, 0, end), *keep = all ? neap_bernoulli(ctx, all, NP_C(ctx, 1 - p), generator(c)) : NULL;
  neap_tensor *in[] = { np_t(c, X), keep, NP_C(ctx, a), NP_C(ctx, a * t) };
  if (keep) c->out[0] = neap_map(ctx, 4, in, "x * (y * z) + (1 - y) * w");
  if (c->out[0]) c->out[0] = neap_sub(ctx, c->out[0], NP_C(ctx, a * p * t));
  return ctx->error;
}
int np_alpha_dropout_run(np_call *c) { return drops(c) ? alpha(c, np_t(c, X)->at.ndim) : (int)c->ctx->error; }
int np_feature_alpha_dropout_run(np_call *c) {
  if (np_t(c, X)->at.ndim < 2) return np_reject(c, NEAP_ERR_SHAPE, "x is (N, C, ...), got %d dimensions", np_t(c, X)->at.ndim);
  return drops(c) ? alpha(c, 2) : (int)c->ctx->error;
}
