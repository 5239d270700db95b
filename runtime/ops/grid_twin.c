/* The gradient of grid_sample once more, in recorded ops, for when it is itself differentiated. Along a dimension a place has
 * one, two or four elements; which ones is constant, their weights are functions of the coordinate, and both multiply
 * up over the dimensions. With y = sum over elements of w x:
 *   gx = sum over places of w g,  ggrid_e = sum over channels and elements of g x dw/dgrid_e */
#include "loops.h"
#include "sampling.h"

typedef struct axis {        /* of one dimension, each of shape (N, places) */
  int taps;
  neap_tensor *at[4], *seen[4]; /* where in the image, and 0 where that is outside of it */
  neap_tensor *w[4], *slope[4];
} axis;

static neap_tensor *formula(neap_context *c, const char *text, neap_tensor *x, double y, double z) {
  return neap_map(c, 3, (neap_tensor *[]){ x, NP_C(c, y), NP_C(c, z) }, text);
}

/* v as the padding has it; *sign: its derivative by v, a constant. */
static neap_tensor *padded(neap_context *c, const np_grid *g, double n, neap_tensor *v, neap_tensor **sign) {
  neap_tensor *at = neap_detach(c, v), *from = at;
  const double low = g->corners ? 0 : -0.5, span = g->corners ? n - 1 : n;
  *sign = formula(c, "0 * x + 1 + 0 * y + 0 * z", at, 0, 0);
  if (g->reflect && span > 0) {
    *sign = formula(c, "(x < y and 1 or 0) == floor(abs(x - y) / z) % 2 and 1 or -1", at, low, span);
    at = formula(c, "y + (floor(abs(x - y) / z) % 2 == 1 and z - abs(x - y) % z or abs(x - y) % z)", at, low, span);
  } else if (g->reflect) {
    at = formula(c, "0 * x + 0 * y + 0 * z", at, 0, 0);
    *sign = at;
  }
  if (g->clamp) {
    *sign = neap_mul(c, *sign, formula(c, "x > y and x < z and 1 or 0", at, 0, n - 1));
    at = formula(c, "min(max(x, y), z)", at, 0, n - 1);
  }
  return neap_add(c, at, neap_mul(c, *sign, neap_sub(c, v, from)));
}

static void place_at(neap_context *c, axis *a, int tap, neap_tensor *at, double n, double step) {
  a->seen[tap] = formula(c, "x >= y and x < z and 1 or 0", at, 0, n);
  a->at[tap] = neap_mul(c, neap_to(c, formula(c, "min(max(x, y), z)", at, 0, n - 1), NEAP_F64), NP_C(c, step));
}

static void cubic_weights(neap_context *c, axis *a, neap_tensor *d, double scale) { /* Keys, 1981: see kernels/grid.inl */
  static const char *const inner = "(1.25 * x - 2.25) * x * x + 1 + 0 * y + 0 * z", *const outer = "(((x - 5) * x + 8) * x - 4) * -0.75 + 0 * y + 0 * z";
  static const char *const inner_slope = "(3.75 * x - 4.5) * x * y + 0 * z", *const outer_slope = "((3 * x - 10) * x + 8) * -0.75 * y + 0 * z";
  neap_tensor *far[4] = { neap_add(c, d, NP_C(c, 1)), d, neap_sub(c, NP_C(c, 1), d), neap_sub(c, NP_C(c, 2), d) };
  for (int t = 0; t < 4; t++) {
    const int near = t == 1 || t == 2;
    a->w[t] = formula(c, near ? inner : outer, far[t], 0, 0);
    a->slope[t] = formula(c, near ? inner_slope : outer_slope, far[t], t < 2 ? scale : -scale, 0);
  }
}

static axis axis_of(neap_context *c, const np_grid *g, int d, double step, neap_tensor *grid) {
  axis a = { .taps = g->line_taps };
  const double n = (double)g->n[d], scale = (g->corners ? n - 1 : n) / 2;
  neap_tensor *v = neap_mul(c, neap_add(c, neap_select(c, grid, -1, d), NP_C(c, 1)), NP_C(c, scale)), *sign;
  if (!g->corners) v = neap_sub(c, v, NP_C(c, 0.5));
  if (a.taps == 4) {
    neap_tensor *low = neap_floor(c, neap_detach(c, v));
    for (int t = 0; t < 4; t++) place_at(c, &a, t, padded(c, g, n, neap_add(c, low, NP_C(c, t - 1)), &sign), n, step);
    cubic_weights(c, &a, neap_sub(c, v, low), scale);
    return a;
  }
  v = padded(c, g, n, v, &sign);
  if (a.taps == 1) {
    place_at(c, &a, 0, neap_round(c, neap_detach(c, v), 0), n, step);
    a.w[0] = neap_add(c, neap_mul(c, sign, NP_C(c, 0)), NP_C(c, 1)), a.slope[0] = neap_mul(c, sign, NP_C(c, 0));
    return a;
  }
  neap_tensor *low = neap_floor(c, neap_detach(c, v));
  for (int t = 0; t < 2; t++) place_at(c, &a, t, neap_add(c, low, NP_C(c, t)), n, step);
  a.w[1] = neap_sub(c, v, low), a.w[0] = neap_sub(c, NP_C(c, 1), a.w[1]);
  a.slope[1] = neap_mul(c, sign, NP_C(c, scale)), a.slope[0] = neap_neg(c, a.slope[1]);
  return a;
}

/* What the taps of combination k have in common: a product over dimensions; e: of dimension e the slope; -1: none. */
static neap_tensor *product(neap_context *c, const np_grid *g, const axis *a, int k, int e) {
  neap_tensor *w = NULL;
  for (int d = 0; d < g->nd; k /= a[d++].taps) {
    const int t = k % a[d].taps;
    neap_tensor *own = neap_mul(c, d == e ? a[d].slope[t] : a[d].w[t], a[d].seen[t]);
    w = w ? neap_mul(c, w, own) : own;
  }
  return w;
}

static neap_tensor *positions(neap_context *c, const np_grid *g, const axis *a, int k, const int64_t *shape) { /* (N, C, places) */
  neap_tensor *at = NP_C(c, c->site.base);
  for (int d = 0; d < g->nd; k /= a[d++].taps) at = neap_add(c, at, a[d].at[k % a[d].taps]);
  return neap_expand(c, neap_unsqueeze(c, neap_to(c, at, NEAP_I64), 1), 3, shape);
}

int np_grid_sample_twin(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[0].at, *grid = &b->in[1].at;
  const int native = np_native_of(x->dtype);
  const np_grid g = np_grid_of(b->arg, x);
  int64_t area = 1, places = 1, channels = x->shape[1], step = 1;
  for (int d = 0; d < g.nd; d++) area *= g.n[d], places *= grid->shape[1 + d];
  const int64_t whole[3] = { x->shape[0], channels, area }, each[3] = { x->shape[0], channels, places };
  neap_tensor *image = neap_reshape(c, neap_to(c, b->x[0], native), 3, whole), *dy = neap_reshape(c, neap_to(c, b->g[0], native), 3, each);
  neap_tensor *at = neap_reshape(c, neap_to(c, b->x[1], native), 3, (int64_t[]){ x->shape[0], places, g.nd });
  axis a[3];
  int combinations = 1;
  for (int d = 0; d < g.nd; step *= g.n[d++]) a[d] = axis_of(c, &g, d, (double)step, at), combinations *= a[d].taps;
  neap_tensor *gx = neap_zeros(c, 3, whole, native), *by[3] = { NULL };
  for (int k = 0; k < combinations && !np_failed(c); k++) {
    neap_tensor *from = positions(c, &g, a, k, each);
    if (b->in[0].needs) gx = neap_scatter_add(c, gx, 2, from, neap_mul(c, dy, neap_unsqueeze(c, product(c, &g, a, k, -1), 1)));
    if (!b->in[1].needs) continue;
    neap_tensor *read = neap_sum(c, neap_mul(c, dy, neap_gather(c, image, 2, from)), 1, (int64_t[]){ 1 }, 0, -1); /* (N, places) */
    for (int e = 0; e < g.nd; e++) {
      neap_tensor *part = neap_mul(c, read, product(c, &g, a, k, e));
      by[e] = by[e] ? neap_add(c, by[e], part) : part;
    }
  }
  if (b->in[0].needs) b->gx[0] = neap_reshape(c, gx, x->ndim, x->shape);
  if (b->in[1].needs) b->gx[1] = neap_reshape(c, neap_stack(c, g.nd, by, -1), grid->ndim, grid->shape);
  return c->error;
}
