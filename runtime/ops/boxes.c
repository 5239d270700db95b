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
