/* Losses over distances, rankings and similarities. Most are a formula over ops that record themselves; the multi-label
 * margin, whose pairs would be a cube of numbers, is a row at a time. */
#include "loss.h"

#define T(i) np_t(c, i)

int np_margin_ranking_loss_run(np_call *c) { /* input1 input2 target margin reduction */
  neap_tensor *in[] = { T(0), T(1), T(2), NP_C(c->ctx, np_d(c, 3)) };
  if (np_loss_shapes(c, 0, 1) != 0 || np_loss_shapes(c, 0, 2) != 0) return c->ctx->error;
  return np_loss_reduce(c, neap_map(c->ctx, 4, in, "clamp_min(z * (y - x) + w, 0)"), np_i(c, 4));
}

/* ---- vectors: the last dimension ---- */

static const int64_t last = -1;

static int are_vectors(np_call *c, int i) { /* (N, D) or (D) */
  if (T(i)->at.ndim == 1 || T(i)->at.ndim == 2) return NEAP_OK;
  char text[128];
  np_shape_text(text, sizeof text, T(i));
  return np_reject(c, NEAP_ERR_SHAPE, "%s is (N, D) or (D), got %s", c->sig->param[i].name, text);
}

int np_cosine_embedding_loss_run(np_call *c) { /* input1 input2 target margin reduction */
  neap_context *ctx = c->ctx;
  if (np_loss_shapes(c, 0, 1) != 0 || are_vectors(c, 0) != 0) return ctx->error;
  if (T(2)->at.ndim != T(0)->at.ndim - 1 || (T(2)->at.ndim == 1 && T(2)->at.shape[0] != T(0)->at.shape[0])) {
    char a[128], b[128];
    np_shape_text(a, sizeof a, T(0));
    np_shape_text(b, sizeof b, T(2));
    return np_reject(c, NEAP_ERR_SHAPE, "target %s does not fit input1 %s: it has one element for each row", b, a);
  }
  neap_tensor *dot = neap_sum(ctx, neap_mul(ctx, T(0), T(1)), 1, &last, 0, -1);
  neap_tensor *a = neap_sum(ctx, neap_square(ctx, T(0)), 1, &last, 0, -1), *b = neap_sum(ctx, neap_square(ctx, T(1)), 1, &last, 0, -1);
  neap_tensor *parts[] = { dot, a, b };
  neap_tensor *cosine = b ? neap_map(ctx, 3, parts, "x / sqrt((y + 1e-12) * (z + 1e-12))") : NULL;
  neap_tensor *in[] = { cosine, neap_detach(ctx, T(2)), NP_C(ctx, np_d(c, 3)) };
  return cosine ? np_loss_reduce(c, neap_map(ctx, 3, in, "(y == 1 and 1 - x or 0) + (y == -1 and clamp_min(x - z, 0) or 0)"), np_i(c, 4)) : (int)ctx->error;
}

int np_triplet_margin_loss_run(np_call *c) { /* anchor positive negative margin p eps swap reduction */
  neap_context *ctx = c->ctx;
  double p = np_d(c, 4), eps = np_d(c, 5);
  if (np_loss_shapes(c, 0, 1) != 0 || np_loss_shapes(c, 0, 2) != 0 || are_vectors(c, 0) != 0) return ctx->error;
  if (!(np_d(c, 3) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "margin is %g, it must be above 0", np_d(c, 3));
  neap_tensor *near = neap_pairwise_distance(ctx, T(0), T(1), p, eps, 0), *far = neap_pairwise_distance(ctx, T(0), T(2), p, eps, 0);
  if (np_i(c, 6)) far = neap_minimum(ctx, far, neap_pairwise_distance(ctx, T(1), T(2), p, eps, 0));
  neap_tensor *in[] = { near, far, NP_C(ctx, np_d(c, 3)) };
  return far ? np_loss_reduce(c, neap_map(ctx, 3, in, "clamp_min(x - y + z, 0)"), np_i(c, 7)) : (int)ctx->error;
}

int np_info_nce_run(np_call *c) { /* query key temperature symmetric reduction */
  neap_context *ctx = c->ctx;
  if (np_loss_shapes(c, 0, 1) != 0) return ctx->error;
  if (T(0)->at.ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "query and key are (N, D), got %d dimensions", T(0)->at.ndim);
  if (!(np_d(c, 2) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "temperature is %g, it must be above 0", np_d(c, 2));
  double n = (double)T(0)->at.shape[0], base = ctx->site.base;
  neap_tensor *q = neap_normalize(ctx, T(0), 2, 1, 1e-12), *k = neap_normalize(ctx, T(1), 2, 1, 1e-12);
  neap_tensor *scores = neap_div(ctx, neap_matmul(ctx, q, neap_transpose(ctx, k, 0, 1)), NP_C(ctx, np_d(c, 2)));
  neap_tensor *own = neap_arange(ctx, base, base + n, 1, NEAP_I64);
  c->out[0] = neap_cross_entropy(ctx, scores, own, NULL, -100, (int)np_i(c, 4), 0);
  if (np_i(c, 3)) {
    neap_tensor *back = neap_cross_entropy(ctx, neap_transpose(ctx, scores, 0, 1), own, NULL, -100, (int)np_i(c, 4), 0);
    c->out[0] = neap_mul(ctx, neap_add(ctx, c->out[0], back), NP_C(ctx, 0.5));
  }
  return ctx->error;
}

/* ---- over classes ---- */

int np_multi_margin_loss_run(np_call *c) { /* input target p margin weight reduction */
  neap_context *ctx = c->ctx;
  neap_tensor *x = T(0), *t = T(1), *w = T(4);
  if (np_need_float(c, "input", x) != 0 || are_vectors(c, 0) != 0) return ctx->error;
  if (np_i(c, 2) != 1 && np_i(c, 2) != 2) return np_reject(c, NEAP_ERR_ARGUMENT, "p is %lld, it must be 1 or 2", (long long)np_i(c, 2));
  int64_t n = x->at.shape[x->at.ndim - 1];
  char a[128], b[128];
  np_shape_text(a, sizeof a, x);
  if (t->at.ndim != x->at.ndim - 1 || (t->at.ndim == 1 && t->at.shape[0] != x->at.shape[0])) {
    np_shape_text(b, sizeof b, t);
    return np_reject(c, NEAP_ERR_SHAPE, "target %s does not fit input %s: it has one label for each row", b, a);
  }
  if (w && (w->at.ndim != 1 || w->at.shape[0] != n)) {
    np_shape_text(b, sizeof b, w);
    return np_reject(c, NEAP_ERR_SHAPE, "weight must have shape (%lld), one a class, got %s", (long long)n, b);
  }
  np_text text;
  np_text_init(&text, b, sizeof b);
  np_text_add(&text, "there are %lld classes", (long long)n);
  if (np_positions_check(c, "target", t, n, b, 0, NULL) != 0) return ctx->error;
  double base = ctx->site.base;
  neap_tensor *at = neap_unsqueeze(ctx, t, -1), *all = neap_arange(ctx, base, base + (double)n, 1, NEAP_I64);
  neap_tensor *in[] = { x, neap_gather(ctx, x, -1, at), neap_ne(ctx, at, all), NP_C(ctx, np_d(c, 3)) };
  neap_tensor *e = np_failed(ctx) ? NULL : neap_map(ctx, 4, in, np_i(c, 2) == 1 ? "z ~= 0 and clamp_min(w - y + x, 0) or 0" :
                                                                                  "z ~= 0 and square(clamp_min(w - y + x, 0)) or 0");
  if (w && e) e = neap_mul(ctx, e, neap_unsqueeze(ctx, t->at.ndim ? neap_index_select(ctx, w, 0, t) : neap_take(ctx, w, t), -1));
  return e ? np_loss_reduce(c, neap_mean(ctx, e, 1, &last, 0, -1), np_i(c, 5)) : (int)ctx->error;
}

/* ---- multilabel_margin_loss: input target reduction ----
 * With L the labels of a row and O the other classes: loss = sum over l in L, o in O of max(0, 1 - x_l + x_o) / C. Where
 * a pair counts, its share of the gradient is -1 / C at l and 1 / C at o. */

int np_multilabel_margin_loss_infer(np_call *c) {
  neap_tensor *x = T(0), *t = T(1);
  int64_t n, high = INT64_MIN;
  if (np_loss_shapes(c, 0, 1) != 0 || are_vectors(c, 0) != 0) return c->ctx->error;
  if (np_is_float(t->at.dtype) || t->at.dtype == NEAP_BOOL)
    return np_reject(c, NEAP_ERR_DTYPE, "target must hold labels of an integer dtype, got %s", np_dtypes[t->at.dtype].info.name);
  n = x->at.shape[x->at.ndim - 1];
  neap_tensor *labels = np_contiguous_of(c->ctx, t, NEAP_I64);
  if (!labels) return c->ctx->error;
  for (int64_t i = 0; i < labels->at.count; i++) high = np_max(high, ((const int64_t *)np_data(labels))[i]);
  neap_release(labels);
  if (high >= n + c->ctx->site.base)
    return np_reject(c, NEAP_ERR_INDEX, "target has the label %lld, there are %lld classes", (long long)high, (long long)n);
  return np_spec(c, 0, x->at.dtype, np_i(c, 2) == NP_NONE_OF && x->at.ndim == 2, x->at.shape);
}

typedef struct pairs {
  neap_context *c;
  const int64_t *label;
  int64_t n, base, bytes;
  int native;
  char *room;            /* for each block: n doubles of x, n of the slope, n flags */
  double *loss;          /* (rows), or NULL: the slopes come out */
} pairs;

static double row_of_pairs(const pairs *s, const int64_t *label, const double *x, double *slope, double *flag) {
  double sum = 0;
  int64_t n = s->n, labels = 0;
  memset(slope, 0, (size_t)n * sizeof *slope);
  memset(flag, 0, (size_t)n * sizeof *flag);
  for (; labels < n && label[labels] >= s->base; labels++) flag[label[labels] - s->base] = 1;
  for (int64_t l = 0; l < labels; l++) {
    int64_t at = label[l] - s->base, count = 0;
    double margin = 1 - x[at];
    for (int64_t o = 0; o < n; o++) {
      double d = margin + x[o];
      int on = flag[o] == 0 && d > 0;
      sum += on ? d : 0;
      slope[o] += on;
      count += on;
    }
    slope[at] -= (double)count;
  }
  return sum / (double)n;
}

static void pair_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const pairs *s = arg;
  double *x = (double *)(s->room + block * s->bytes), *slope = x + s->n, *flag = slope + s->n;
  s->c->kernels->load[s->native][NP_CF64](s->n, tiles[0], 1, x);
  double loss = row_of_pairs(s, s->label + r * s->n, x, slope, flag);
  if (s->loss) {
    s->loss[r] = loss;
    return;
  }
  for (int64_t i = 0; i < s->n; i++) slope[i] /= (double)s->n;
  s->c->kernels->store[NP_CF64][s->native](s->n, slope, tiles[1], 1);
}

/* The losses of the rows, or into `slopes` their derivatives. */
static int each_row(neap_context *c, neap_tensor *x, neap_tensor *target, double *loss, neap_tensor *slopes) {
  neap_tensor *labels = np_contiguous_of(c, target, NEAP_I64);
  pairs s = { .c = c, .n = x->at.shape[x->at.ndim - 1], .base = c->site.base, .native = np_native_of(x->at.dtype), .loss = loss };
  np_rows rows = { .n_in = 1, .n_out = slopes != NULL, .axis = x->at.ndim - 1, .n_axes = 1, .ctype = np_ctype(x->at.dtype), .t = { x, slopes }, .ns = (double)s.n };
  s.bytes = 3 * s.n * (int64_t)sizeof(double);
  int64_t bytes = np_rows_blocks(&rows) * s.bytes;
  if (labels && bytes && (s.room = np_alloc(c, (size_t)bytes))) {
    s.label = (const int64_t *)np_data(labels);
    np_rows_run(c, &rows, pair_row, &s);
    np_free(c, s.room, (size_t)bytes);
  }
  neap_release(labels);
  return c->error;
}

int np_multilabel_margin_loss_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = T(0), *y = c->out[0];
  int64_t rows = x->at.ndim == 2 ? x->at.shape[0] : 1;
  neap_tensor *loss = np_tensor_new(ctx, NEAP_F64, 1, &rows);
  if (!loss) return ctx->error;
  np_zero(ctx, loss);
  if (each_row(ctx, x, T(1), (double *)np_data(loss), NULL) == 0) {
    double sum = 0;
    ctx->kernels->reduce[NP_CF64]->row[NP_SUM](rows, np_data(loss), &sum);
    if (np_i(c, 2) == NP_NONE_OF) ctx->kernels->store[NP_CF64][y->at.dtype](rows, np_data(loss), np_data(y), 1);
    else np_put_number(y->at.dtype, np_data(y), np_i(c, 2) == NP_MEAN_OF ? sum / (double)rows : sum);
  }
  neap_release(loss);
  return ctx->error;
}

int np_multilabel_margin_loss_back(np_back *b) { /* gx = g k, k the derivatives of the rows, which are constants almost everywhere */
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[0], *k = np_tensor_like(x, np_native_of(x->at.dtype)), *g = b->g[0];
  if (!k || each_row(c, x, b->x[1], NULL, k) != 0) return c->error;
  if (x->at.ndim == 2 && b->arg[2].i == NP_NONE_OF) g = neap_unsqueeze(c, g, -1);
  if (x->at.ndim == 2 && b->arg[2].i == NP_MEAN_OF) g = neap_div(c, g, NP_C(c, (double)x->at.shape[0]));
  b->gx[0] = neap_mul(c, g, k);
  return c->error;
}
