/* Losses of what covers what: boxes against boxes, and masks against masks. All are formulas over ops that record
 * themselves. A box is x1, y1, x2, y2 with x1 <= x2 and y1 <= y2. */
#include "loss.h"

enum { A, B };

/* A box's corner, (..., 4) to (...). */
static void corners(np_call *c, neap_tensor *boxes, neap_tensor **side) {
  for (int i = 0; i < 4; i++) side[i] = neap_select(c->ctx, boxes, -1, i);
}

static int are_boxes(np_call *c, int i) {
  neap_tensor *x = np_t(c, i);
  const char *name = c->sig->param[i].name;
  if (np_need_float(c, name, x) != 0) return c->ctx->error;
  if (x->at.ndim > 0 && x->at.shape[x->at.ndim - 1] == 4) return NEAP_OK;
  char text[128];
  np_shape_text(text, sizeof text, x);
  return np_reject(c, NEAP_ERR_SHAPE, "%s are (..., 4), the corners x1, y1, x2, y2, got %s", name, text);
}

typedef struct overlap {
  neap_tensor *inter, *whole; /* areas that both cover, and that either does */
} overlap;

static overlap overlap_of(neap_context *c, neap_tensor **side) { /* side: four of the first boxes, four of the second */
  overlap o = { NULL, NULL };
  if (np_failed(c)) return o;
  o.inter = neap_map(c, 8, side, "clamp_min(min($3, $7) - max($1, $5), 0) * clamp_min(min($4, $8) - max($2, $6), 0)");
  neap_tensor *both = neap_map(c, 8, side, "($3 - $1) * ($4 - $2) + ($7 - $5) * ($8 - $6)");
  o.whole = neap_sub(c, both, o.inter);
  return o;
}

int np_box_iou_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *side[8];
  if (are_boxes(c, A) != 0 || are_boxes(c, B) != 0) return ctx->error;
  for (int i = A; i <= B; i++)
    if (np_t(c, i)->at.ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "%s must have 2 dimensions, (N, 4), got %d", c->sig->param[i].name, np_t(c, i)->at.ndim);
  corners(c, neap_unsqueeze(ctx, np_t(c, A), 1), side);
  corners(c, np_t(c, B), side + 4);
  overlap o = overlap_of(ctx, side);
  c->out[0] = neap_div(ctx, o.inter, o.whole);
  return ctx->error;
}

/* ---- nms: boxes scores iou_threshold labels ---- */

enum { SCORES = 1, THRESHOLD, LABELS };

int np_nms_infer(np_call *c) {
  const np_layout *boxes = &np_t(c, A)->at;
  if (are_boxes(c, A) != 0 || np_need_float(c, "scores", np_t(c, SCORES)) != 0) return c->ctx->error;
  if (boxes->ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "boxes must have 2 dimensions, (N, 4), got %d", boxes->ndim);
  for (int i = SCORES; i <= LABELS; i += LABELS - SCORES) {
    const neap_tensor *t = np_t(c, i);
    char text[128];
    if (!t || (t->at.ndim == 1 && t->at.shape[0] == boxes->shape[0])) continue;
    np_shape_text(text, sizeof text, t);
    return np_reject(c, NEAP_ERR_SHAPE, "%s must be (%lld), one a box, got %s", c->sig->param[i].name, (long long)boxes->shape[0], text);
  }
  if (np_t(c, LABELS) && np_need_int(c, "labels", np_t(c, LABELS)) != 0) return c->ctx->error;
  c->by_run[0] = 1;
  return NEAP_OK;
}

static double iou(const double *a, const double *b) {
  double w = fmin(a[2], b[2]) - fmax(a[0], b[0]), h = fmin(a[3], b[3]) - fmax(a[1], b[1]), inter = w > 0 && h > 0 ? w * h : 0;
  return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter);
}

int np_nms_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *scores = neap_detach(ctx, np_t(c, SCORES)), *order = neap_argsort(ctx, scores, 0, 1, 1);
  neap_tensor *boxes = np_contiguous_of(ctx, np_t(c, A), NEAP_F64), *labels = np_contiguous_of(ctx, np_t(c, LABELS), NEAP_I64);
  if (!np_failed(ctx)) {
    const double *b = (const double *)np_data(boxes);
    const int64_t *class = labels ? (const int64_t *)np_data(labels) : NULL;
    int64_t *at = (int64_t *)np_data(order), base = ctx->site.base, kept = 0;
    for (int64_t i = 0; i < order->at.count && !np_cancelled(ctx); i++) {
      int64_t box = at[i] - base, goes = 0;
      for (int64_t k = 0; k < kept && !goes; k++)
        goes = (!class || class[at[k] - base] == class[box]) && iou(b + 4 * (at[k] - base), b + 4 * box) > np_d(c, THRESHOLD);
      if (!goes) at[kept++] = at[i];
    }
    c->out[0] = np_tensor_new(ctx, NEAP_I64, 1, &kept);
    if (c->out[0]) memcpy(np_data(c->out[0]), at, (size_t)kept * sizeof *at);
  }
  neap_release(boxes);
  neap_release(labels);
  neap_release(order);
  neap_release(scores);
  return ctx->error;
}

/* ---- losses ---- */

/* giou: + (hull - whole) / (hull + eps). diou: + d^2 / (diagonal of the hull)^2. ciou: + d^2 / diagonal^2 + a v with
 * v = (4 / pi^2) (atan(w2 / h2) - atan(w1 / h1))^2 and a = v / (1 - iou + v + eps), which carries no gradient. */
int np_box_loss_run(np_call *c) { /* boxes1 boxes2 reduction eps */
  static const char hull[] = "(max($3, $7) - min($1, $5)) * (max($4, $8) - min($2, $6))";
  static const char diagonal[] = "square(max($3, $7) - min($1, $5)) + square(max($4, $8) - min($2, $6))";
  static const char apart[] = "square(($1 + $3 - $5 - $7) / 2) + square(($2 + $4 - $6 - $8) / 2)";
  static const char aspect[] = "square(atan(($7 - $5) / ($8 - $6)) - atan(($3 - $1) / ($4 - $2))) * 4 / pi / pi";
  neap_context *ctx = c->ctx;
  int op = (int)(c->op - np_ops);
  neap_tensor *side[8], *eps = NP_C(ctx, np_d(c, 3)), *loss;
  if (are_boxes(c, A) != 0 || np_loss_shapes(c, A, B) != 0) return ctx->error;
  corners(c, np_t(c, A), side);
  corners(c, np_t(c, B), side + 4);
  overlap o = overlap_of(ctx, side);
  if (!o.whole) return ctx->error;
  if (op == NP_OP_giou_loss) {
    loss = neap_map(ctx, 4, (neap_tensor *[]){ o.inter, o.whole, neap_map(ctx, 8, side, hull), eps }, "1 - x / (y + w) + (z - y) / (z + w)");
    return np_loss_reduce(c, loss, np_i(c, 2));
  }
  neap_tensor *far = neap_map(ctx, 8, side, apart), *across = neap_map(ctx, 8, side, diagonal);
  loss = neap_map(ctx, 5, (neap_tensor *[]){ o.inter, o.whole, far, across, eps }, "1 - $1 / ($2 + $5) + $3 / ($4 + $5)");
  if (op == NP_OP_ciou_loss) {
    neap_tensor *v = neap_map(ctx, 8, side, aspect);
    neap_tensor *a = neap_map(ctx, 4, (neap_tensor *[]){ o.inter, o.whole, v, eps }, "z / (1 - x / (y + w) + z + w)");
    loss = neap_add(ctx, loss, neap_mul(ctx, v, neap_detach(ctx, a)));
  }
  return np_loss_reduce(c, loss, np_i(c, 2));
}

int np_dice_loss_run(np_call *c) { /* input target smooth dims reduction */
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, A), *t = np_t(c, B);
  int64_t dims[NEAP_MAX_DIMS], n = 0;
  uint32_t mask;
  if (np_loss_shapes(c, A, B) != 0 || np_axes(c, &c->arg[3], x->at.ndim, &mask) != 0) return ctx->error;
  if (!np_given(c, 3) && x->at.ndim > 1) mask &= ~1u;
  for (int i = 0; i < x->at.ndim; i++)
    if (mask >> i & 1) dims[n++] = i;
  neap_tensor *common = neap_sum(ctx, neap_mul(ctx, x, t), (int)n, dims, 0, -1);
  neap_tensor *both = neap_add(ctx, neap_sum(ctx, x, (int)n, dims, 0, -1), neap_sum(ctx, t, (int)n, dims, 0, -1));
  neap_tensor *in[] = { common, both, NP_C(ctx, np_d(c, 2)) };
  if (!both) return ctx->error;
  int dice = c->op == &np_ops[NP_OP_dice_loss];
  return np_loss_reduce(c, neap_map(ctx, 3, in, dice ? "1 - (2 * x + z) / (y + z)" : "1 - (x + z) / (y - x + z)"), np_i(c, 4));
}
