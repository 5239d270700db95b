/* Losses that compare element by element: an error op of elementwise.def, then the mean, the sum, or neither. They refuse
 * to broadcast input against target, which in a loss is nearly always a mistake. Names and meanings are those of
 * torch.nn.functional; weights may broadcast. */
#include "loops.h"

enum { X, T };
enum { NONE, MEAN, SUM, BATCHMEAN };

static int same_but_ones(const neap_tensor *x, const neap_tensor *t) { /* whether squeezing makes the shapes equal */
  int i = 0, k = 0;
  for (;; i++, k++) {
    while (i < x->at.ndim && x->at.shape[i] == 1) i++;
    while (k < t->at.ndim && t->at.shape[k] == 1) k++;
    if (i >= x->at.ndim || k >= t->at.ndim) return i >= x->at.ndim && k >= t->at.ndim;
    if (x->at.shape[i] != t->at.shape[k]) return 0;
  }
}

static int same_shapes(np_call *c) {
  neap_tensor *x = np_t(c, X), *t = np_t(c, T);
  char a[128], b[128];
  const char *hint = "";
  if (np_need_float(c, "input", x) != 0) return c->ctx->error;
  if (np_same_shape(x, t)) return NEAP_OK;
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, t);
  if (x->at.count == t->at.count)
    hint = !same_but_ones(x, t) ? ": reshape one of them" : x->at.ndim > t->at.ndim ? ": squeeze the input, or unsqueeze the target" : ": squeeze the target";
  return np_reject(c, NEAP_ERR_SHAPE, "input %s against target %s: a loss does not broadcast, the shapes must be the same%s", a, b, hint);
}

static int reduce(np_call *c, neap_tensor *loss, int64_t how) {
  neap_context *ctx = c->ctx;
  if (loss && how == MEAN) loss = neap_mean(ctx, loss, 0, NULL, 0, -1);
  else if (loss && how == SUM) loss = neap_sum(ctx, loss, 0, NULL, 0, -1);
  else if (loss && how == BATCHMEAN) {
    double n = loss->at.ndim ? (double)loss->at.shape[0] : 1;
    loss = neap_div(ctx, neap_sum(ctx, loss, 0, NULL, 0, -1), NP_C(ctx, n));
  }
  c->out[0] = loss;
  return ctx->error;
}

int np_mse_loss_run(np_call *c) { /* (x - t)^2 */
  if (same_shapes(c) != 0) return c->ctx->error;
  return reduce(c, neap_squared_error(c->ctx, np_t(c, X), np_t(c, T)), np_i(c, 2));
}
int np_l1_loss_run(np_call *c) { /* |x - t| */
  if (same_shapes(c) != 0) return c->ctx->error;
  return reduce(c, neap_absolute_error(c->ctx, np_t(c, X), np_t(c, T)), np_i(c, 2));
}
int np_smooth_l1_loss_run(np_call *c) { /* input target reduction beta */
  double beta = np_d(c, 3);
  if (same_shapes(c) != 0) return c->ctx->error;
  if (!(beta >= 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "beta is %g, it must be at least 0", beta);
  neap_tensor *e = beta == 0 ? neap_absolute_error(c->ctx, np_t(c, X), np_t(c, T)) : neap_smooth_l1_error(c->ctx, np_t(c, X), np_t(c, T), beta);
  return reduce(c, e, np_i(c, 2));
}
int np_huber_loss_run(np_call *c) { /* input target reduction delta */
  if (same_shapes(c) != 0) return c->ctx->error;
  if (!(np_d(c, 3) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "delta is %g, it must be above 0", np_d(c, 3));
  return reduce(c, neap_huber_error(c->ctx, np_t(c, X), np_t(c, T), np_d(c, 3)), np_i(c, 2));
}

static neap_tensor *weighted(np_call *c, neap_tensor *loss) { /* by argument 2, which must not be larger than the input */
  neap_tensor *w = np_t(c, 2);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (!w || !loss) return loss;
  if (np_broadcast(c->ctx, c->op->name, &loss->at, &w->at, &ndim, shape) != 0) return NULL;
  if (ndim != loss->at.ndim || memcmp(shape, loss->at.shape, (size_t)ndim * sizeof *shape) != 0) {
    np_larger(c, "weight", w, "input", np_t(c, X));
    return NULL;
  }
  return neap_mul(c->ctx, loss, w);
}

int np_binary_cross_entropy_run(np_call *c) { /* input target weight reduction */
  if (same_shapes(c) != 0) return c->ctx->error;
  return reduce(c, weighted(c, neap_bce_error(c->ctx, np_t(c, X), np_t(c, T))), np_i(c, 3));
}
int np_binary_cross_entropy_with_logits_run(np_call *c) { /* input target weight reduction pos_weight */
  if (same_shapes(c) != 0) return c->ctx->error;
  neap_tensor *pos = np_t(c, 4) ? np_t(c, 4) : NP_C(c->ctx, 1);
  return reduce(c, weighted(c, neap_bce_logits_error(c->ctx, np_t(c, X), np_t(c, T), pos)), np_i(c, 3));
}

int np_kl_div_run(np_call *c) { /* input (log-probabilities) target reduction log_target */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *t = np_t(c, T);
  if (same_shapes(c) != 0) return ctx->error;
  neap_tensor *e = np_i(c, 3) ? neap_mul(ctx, neap_exp(ctx, t), neap_sub(ctx, t, x)) : neap_kl_error(ctx, x, t);
  return reduce(c, e, np_i(c, 2));
}
