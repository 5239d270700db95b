/* Sorting along a dimension and the k first of an order: values with their positions, from the engine in order.c. Where
 * values are picked by position, the gradient goes back to those positions: gx = zeros with gx[indices] = g. */
#include "loops.h"

typedef struct sorted {
  int64_t k, base;
  int in_order;
  char *values;          /* k a row in the compute type, or NULL */
  int64_t *at;           /* k a row, or NULL */
} sorted;

static void sort_task(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room) {
  const sorted *s = arg;
  const char *x = np_order_row(o, r);
  uint64_t *first = np_order_first(o, o->n, x, s->k, s->in_order, e, room);
  o->k->take[o->ctype](s->k, first, x, s->base, s->values ? s->values + r * s->k * o->size : NULL, s->at ? s->at + r * s->k : NULL);
}

/* The k first values along room[0] in values and their positions in at; either may be NULL. */
static int order(np_call *c, int descending, int64_t k, int in_order, neap_tensor *values, neap_tensor *at) {
  neap_context *ctx = c->ctx;
  int d = (int)c->room[0];
  np_order o;
  if (np_order_open(&o, c, np_t(c, 0), d, descending) != 0) return ctx->error;
  neap_tensor *v = values ? np_order_room(values, d) : NULL, *p = at ? np_order_room(at, d) : NULL;
  if ((v || !values) && (p || !at)) {
    sorted s = { .k = k, .base = ctx->site.base, .in_order = in_order, .values = v ? np_data(v) : NULL, .at = p ? (int64_t *)np_data(p) : NULL };
    np_order_run(&o, sort_task, &s);
  }
  if (values) np_order_deliver(ctx, values, d, v);
  if (at) np_order_deliver(ctx, at, d, p);
  np_order_close(&o);
  return ctx->error;
}

static int64_t length(const np_call *c) { return np_t(c, 0)->at.ndim ? np_t(c, 0)->at.shape[c->room[0]] : 1; }

/* ---- sort, argsort, msort: x dim descending stable ---- */

static int same_shape(np_call *c, int out, int dtype) {
  neap_tensor *x = np_t(c, 0);
  int d;
  if (np_axis(c, np_i(c, 1), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  return np_spec(c, out, dtype, x->at.ndim, x->at.shape);
}
int np_sort_infer(np_call *c) { return same_shape(c, 0, np_t(c, 0)->at.dtype) != 0 ? c->ctx->error : same_shape(c, 1, NEAP_I64); }
int np_sort_run(np_call *c) { return order(c, (int)np_i(c, 2), length(c), 1, c->out[0], c->out[1]); }
int np_sort_back(np_back *b) { /* gx = zeros, gx[indices] = g; topk, whose dim is the third argument, too */
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at;
  const neap_value *dim = b->op == &np_ops[NP_OP_topk] ? &b->arg[2] : &b->arg[1];
  if (!b->g[0]) return NEAP_OK;
  b->gx[0] = x->ndim == 0 ? b->g[0] : neap_scatter_(c, np_zeros_like(c, x), dim->i < 0 ? dim->i + x->ndim : dim->i, b->y[1], b->g[0], 0);
  return c->error;
}

int np_argsort_infer(np_call *c) { return same_shape(c, 0, NEAP_I64); }
int np_argsort_run(np_call *c) { return order(c, (int)np_i(c, 2), length(c), 1, NULL, c->out[0]); }

int np_msort_run(np_call *c) {
  c->out[0] = neap_sort(c->ctx, np_t(c, 0), 0, 0, 0, NULL);
  return c->ctx->error;
}

/* ---- topk: x k dim largest sorted ---- */

int np_topk_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int64_t shape[NEAP_MAX_DIMS], k = np_i(c, 1);
  int d;
  if (np_axis(c, np_i(c, 2), x->at.ndim, &d) != 0) return c->ctx->error;
  c->room[0] = d;
  memcpy(shape, x->at.shape, sizeof shape);
  if (k < 0 || k > length(c)) {
    char why[96];
    np_dim_text(why, sizeof why, c, d, "x", x);
    return np_reject(c, NEAP_ERR_ARGUMENT, "k is %lld, but %s", (long long)k, why);
  }
  if (x->at.ndim) shape[d] = k;
  else if (k == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "k is 0, but x is a single value: 1 is allowed");
  if (np_spec(c, 0, x->at.dtype, x->at.ndim, shape) != 0) return c->ctx->error;
  return np_spec(c, 1, NEAP_I64, x->at.ndim, shape);
}
int np_topk_run(np_call *c) {
  return np_i(c, 1) == 0 ? NEAP_OK : order(c, (int)np_i(c, 3), np_i(c, 1), (int)np_i(c, 4), c->out[0], c->out[1]);
}
