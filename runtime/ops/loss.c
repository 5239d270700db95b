/* Losses that compare element by element: an error op of elementwise.def or a formula, then the mean, the sum, or
 * neither. They refuse to broadcast input against target, which in a loss is nearly always a mistake. Names and meanings
 * are those of torch.nn.functional; weights may broadcast. */
#include "loss.h"

enum { X, T };

static int same_but_ones(const neap_tensor *x, const neap_tensor *t) { /* whether squeezing makes the shapes equal */
  int i = 0, k = 0;
  for (;; i++, k++) {
    while (i < x->at.ndim && x->at.shape[i] == 1) i++;
    while (k < t->at.ndim && t->at.shape[k] == 1) k++;
    if (i >= x->at.ndim || k >= t->at.ndim) return i >= x->at.ndim && k >= t->at.ndim;
    if (x->at.shape[i] != t->at.shape[k]) return 0;
  }
}

int np_loss_shapes(np_call *c, int i, int j) {
  neap_tensor *x = np_t(c, i), *t = np_t(c, j);
  const char *first = c->sig->param[i].name, *second = c->sig->param[j].name;
  char a[128], b[128], hint[128] = "";
  if (np_need_float(c, first, x) != 0) return c->ctx->error;
  if (np_same_shape(x, t)) return NEAP_OK;
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, t);
  if (x->at.count == t->at.count) {
    np_text text;
    np_text_init(&text, hint, sizeof hint);
    if (!same_but_ones(x, t)) np_text_add(&text, ": reshape one of them");
    else if (x->at.ndim > t->at.ndim) np_text_add(&text, ": squeeze the %s, or unsqueeze the %s", first, second);
    else np_text_add(&text, ": squeeze the %s", second);
  }
  return np_reject(c, NEAP_ERR_SHAPE, "%s %s against %s %s: a loss does not broadcast, the shapes must be the same%s", first, a, second, b, hint);
}

int np_loss_reduce(np_call *c, neap_tensor *loss, int64_t how) {
  neap_context *ctx = c->ctx;
  if (loss && how == NP_MEAN_OF) loss = neap_mean(ctx, loss, 0, NULL, 0, -1);
  else if (loss && how == NP_SUM_OF) loss = neap_sum(ctx, loss, 0, NULL, 0, -1);
  else if (loss && how == NP_BATCHMEAN_OF) {
    double n = loss->at.ndim ? (double)loss->at.shape[0] : 1;
    loss = neap_div(ctx, neap_sum(ctx, loss, 0, NULL, 0, -1), NP_C(ctx, n));
  }
  c->out[0] = loss;
  return ctx->error;
}

int np_mse_loss_run(np_call *c) { /* (x - t)^2 */
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  return np_loss_reduce(c, neap_squared_error(c->ctx, np_t(c, X), np_t(c, T)), np_i(c, 2));
}
int np_l1_loss_run(np_call *c) { /* |x - t| */
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  return np_loss_reduce(c, neap_absolute_error(c->ctx, np_t(c, X), np_t(c, T)), np_i(c, 2));
}
int np_smooth_l1_loss_run(np_call *c) { /* input target reduction beta */
  double beta = np_d(c, 3);
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  if (!(beta >= 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "beta is %g, it must be at least 0", beta);
  neap_tensor *e = beta == 0 ? neap_absolute_error(c->ctx, np_t(c, X), np_t(c, T)) : neap_smooth_l1_error(c->ctx, np_t(c, X), np_t(c, T), beta);
  return np_loss_reduce(c, e, np_i(c, 2));
}
int np_huber_loss_run(np_call *c) { /* input target reduction delta */
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  if (!(np_d(c, 3) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "delta is %g, it must be above 0", np_d(c, 3));
  return np_loss_reduce(c, neap_huber_error(c->ctx, np_t(c, X), np_t(c, T), np_d(c, 3)), np_i(c, 2));
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
  if (np_loss_shapes(c, X, T) != 0 || np_need_probabilities(c, "input", np_t(c, X), ": binary_cross_entropy_with_logits takes any scores") != 0) return c->ctx->error;
  return np_loss_reduce(c, weighted(c, neap_bce_error(c->ctx, np_t(c, X), np_t(c, T))), np_i(c, 3));
}
int np_binary_cross_entropy_with_logits_run(np_call *c) { /* input target weight reduction pos_weight */
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  neap_tensor *pos = np_t(c, 4) ? np_t(c, 4) : NP_C(c->ctx, 1);
  return np_loss_reduce(c, weighted(c, neap_bce_logits_error(c->ctx, np_t(c, X), np_t(c, T), pos)), np_i(c, 3));
}

int np_kl_div_run(np_call *c) { /* input (log-probabilities) target reduction log_target */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *t = np_t(c, T);
  if (np_loss_shapes(c, X, T) != 0) return ctx->error;
  neap_tensor *e = np_i(c, 3) ? neap_mul(ctx, neap_exp(ctx, t), neap_sub(ctx, t, x)) : neap_kl_error(ctx, x, t);
  return np_loss_reduce(c, e, np_i(c, 2));
}

/* ---- formulas over the elements, each one pass ---- */

int np_poisson_nll_loss_run(np_call *c) { /* input target log_input full eps reduction */
  static const char *const formulas[2][2] = {
    { "x - y * log(x + z)", "x - y * log(x + z) + (y > 1 and max(y, 1) * log(max(y, 1)) - y + 0.5 * log(2 * pi * max(y, 1)) or 0)" },
    { "exp(x) - y * x", "exp(x) - y * x + (y > 1 and max(y, 1) * log(max(y, 1)) - y + 0.5 * log(2 * pi * max(y, 1)) or 0)" },
  };
  int logarithms = np_i(c, 2) != 0;
  neap_tensor *in[] = { np_t(c, X), np_t(c, T), NP_C(c->ctx, np_d(c, 4)) };
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  return np_loss_reduce(c, neap_map(c->ctx, logarithms ? 2 : 3, in, formulas[logarithms][np_i(c, 3) != 0]), np_i(c, 5));
}

/* The variance of each element: of the input's shape, with 1 as the last size, or without the last dimension. */
static neap_tensor *variance_of(np_call *c) {
  neap_tensor *x = np_t(c, X), *v = np_t(c, 2);
  int n = x->at.ndim, fits = v->at.ndim == n || v->at.ndim == n - 1;
  for (int i = 0; fits && i < n - 1; i++) fits = v->at.shape[i] == x->at.shape[i];
  if (fits && v->at.ndim == n && n > 0) fits = v->at.shape[n - 1] == x->at.shape[n - 1] || v->at.shape[n - 1] == 1;
  if (v->at.ndim == 0 || (fits && v->at.ndim == n)) return v;
  if (fits) return neap_unsqueeze(c->ctx, v, -1);
  char a[128], b[128];
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, v);
  np_reject(c, NEAP_ERR_SHAPE, "var %s does not fit input %s: it is of the same shape, or has 1 or no last dimension", b, a);
  return NULL;
}

int np_gaussian_nll_loss_run(np_call *c) { /* input target var full eps reduction */
  neap_context *ctx = c->ctx;
  if (np_loss_shapes(c, X, T) != 0) return ctx->error;
  if (!(np_d(c, 4) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "eps is %g, it must be above 0", np_d(c, 4));
  neap_tensor *v = variance_of(c), *negative = v ? neap_any(ctx, neap_lt(ctx, v, NP_C(ctx, 0)), 0, NULL, 0) : NULL;
  if (!negative) return ctx->error;
  if (neap_item_int(negative)) return np_reject(c, NEAP_ERR_ARGUMENT, "var has negative elements");
  /* at least eps, but the gradient passes as if it were not */
  v = neap_add(ctx, v, neap_detach(ctx, neap_sub(ctx, neap_clamp_min(ctx, v, NP_C(ctx, np_d(c, 4))), v)));
  neap_tensor *in[] = { np_t(c, X), np_t(c, T), v };
  const char *formula = np_i(c, 3) ? "0.5 * (log(z) + square(x - y) / z + log(2 * pi))" : "0.5 * (log(z) + square(x - y) / z)";
  return v ? np_loss_reduce(c, neap_map(ctx, 3, in, formula), np_i(c, 5)) : (int)ctx->error;
}

int np_soft_margin_loss_run(np_call *c) { /* input target reduction: log(1 + exp(-t x)) */
  neap_tensor *in[] = { np_t(c, X), np_t(c, T) };
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  return np_loss_reduce(c, neap_map(c->ctx, 2, in, "-logsigmoid(x * y)"), np_i(c, 2));
}

int np_hinge_embedding_loss_run(np_call *c) { /* input target margin reduction */
  neap_tensor *in[] = { np_t(c, X), neap_detach(c->ctx, np_t(c, T)), NP_C(c->ctx, np_d(c, 2)) };
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  return np_loss_reduce(c, neap_map(c->ctx, 3, in, "(y ~= 1 and clamp_min(z - x, 0) or 0) + (y ~= -1 and x or 0)"), np_i(c, 3));
}

int np_multilabel_soft_margin_loss_run(np_call *c) { /* input target weight reduction: the mean over the classes of cross-entropies */
  neap_tensor *x = np_t(c, X), *in[] = { x, np_t(c, T) };
  int64_t last = -1;
  if (np_loss_shapes(c, X, T) != 0) return c->ctx->error;
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "input has no dimension of classes: it is (..., C)");
  neap_tensor *e = weighted(c, neap_map(c->ctx, 2, in, "-(y * logsigmoid(x) + (1 - y) * logsigmoid(-x))"));
  return e ? np_loss_reduce(c, neap_mean(c->ctx, e, 1, &last, 0, -1), np_i(c, 3)) : (int)c->ctx->error;
}

/* ---- where classes are rare: the easy examples count less ---- */

int np_sigmoid_focal_loss_run(np_call *c) { /* input target alpha gamma reduction */
  neap_context *ctx = c->ctx;
  neap_tensor *in[] = { np_t(c, X), np_t(c, T), NP_C(ctx, np_d(c, 3)), NP_C(ctx, np_d(c, 2)) };
  int weighted_too = np_d(c, 2) >= 0;
  if (np_loss_shapes(c, X, T) != 0) return ctx->error;
  return np_loss_reduce(c, neap_map(ctx, weighted_too ? 4 : 3, in, weighted_too ?
    "(w * y + (1 - w) * (1 - y)) * (sigmoid(x) * (1 - y) + sigmoid(-x) * y) ^ z * ((1 - y) * x - logsigmoid(x))" :
    "(sigmoid(x) * (1 - y) + sigmoid(-x) * y) ^ z * ((1 - y) * x - logsigmoid(x))"), np_i(c, 4));
}

int np_focal_loss_run(np_call *c) { /* input target weight gamma ignore_index reduction: w (1 - p)^gamma (-log p), p that of the label */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *t = np_t(c, T);
  if (np_need_float(c, "input", x) != 0) return ctx->error;
  if (!(np_d(c, 3) >= 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "gamma is %g, it must be at least 0", np_d(c, 3));
  neap_tensor *lp = neap_log_softmax(ctx, x, x->at.ndim > 1);
  neap_tensor *l = neap_nll_loss(ctx, lp, t, NULL, np_i(c, 4), NP_NONE_OF);
  neap_tensor *in[] = { l, NP_C(ctx, np_d(c, 3)), np_t(c, 2) ? neap_nll_loss(ctx, lp, t, np_t(c, 2), np_i(c, 4), NP_NONE_OF) : l };
  neap_tensor *y = l ? neap_map(ctx, 3, in, "(-expm1(-x)) ^ y * z") : NULL;
  if (!y || np_i(c, 5) != NP_MEAN_OF) return np_loss_reduce(c, y, np_i(c, 5));
  neap_tensor *counted = neap_sum(ctx, neap_ne(ctx, t, NP_C(ctx, (double)np_i(c, 4))), 0, NULL, 0, -1);
  c->out[0] = neap_div(ctx, neap_sum(ctx, y, 0, NULL, 0, -1), counted);
  return ctx->error;
}
