/* Losses over classes. Input (C), (N, C) or (N, C, d1, ...): scores, the classes in dimension 2 of any but the first.
 * Target: labels, shaped as the input without its classes and counted from the caller's base, or, for cross_entropy,
 * probabilities of the input's own shape. One kernel call a row. With e the label smoothing, n the number of classes:
 *   loss = sum_c r_c (logsumexp x - x_c),  r_c = w_c ((1-e) q_c + e/n),  q the target (1 at the label)
 * Rows whose label is ignore_index count for nothing. The mean divides by the sum of w over the labels that count, or,
 * for probabilities, by the number of rows. */
#include "loops.h"

enum { X, T, W, IGNORE, REDUCTION, SMOOTHING };
enum { NONE, MEAN, SUM };

static int class_dim(const np_layout *x) { return x->ndim > 1; }

/* ---- checks ---- */

static int wrong_target(np_call *c, int soft) {
  neap_tensor *x = np_t(c, X), *t = np_t(c, T);
  char a[128], b[128], want[128];
  const char *hint = "";
  np_text text;
  np_layout l = x->at;
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, t);
  if (!soft) {
    for (int i = class_dim(&l); i < l.ndim - 1; i++) l.shape[i] = l.shape[i + 1];
    l.ndim--;
    if (t->at.ndim == x->at.ndim && t->at.shape[class_dim(&x->at)] == 1) hint = ": squeeze the target";
  }
  np_text_init(&text, want, sizeof want);
  np_text_shape(&text, l.ndim, l.shape);
  return np_reject(c, NEAP_ERR_SHAPE, "for input %s a target of %s must have shape %s, got %s%s", a, soft ? "probabilities" : "labels", want, b, hint);
}

static int fits(const np_layout *x, const np_layout *t, int soft) {
  int d = class_dim(x);
  if (soft) return t->ndim == x->ndim && memcmp(t->shape, x->shape, (size_t)x->ndim * sizeof *x->shape) == 0;
  if (t->ndim != x->ndim - 1) return 0;
  for (int i = 0; i < t->ndim; i++)
    if (t->shape[i] != x->shape[i < d ? i : i + 1]) return 0;
  return 1;
}

static int check(np_call *c, int may_be_soft) {
  neap_tensor *x = np_t(c, X), *t = np_t(c, T), *w = np_t(c, W);
  int d = class_dim(&x->at), soft = may_be_soft && np_is_float(t->at.dtype);
  char a[128];
  if (np_need_float(c, "input", x) != 0) return c->ctx->error;
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "input has no dimension of classes: it is (C), (N, C) or (N, C, ...)");
  int64_t n = x->at.shape[d];
  if (!fits(&x->at, &t->at, soft)) return wrong_target(c, soft);
  if (w && (w->at.ndim != 1 || w->at.shape[0] != n)) {
    np_shape_text(a, sizeof a, w);
    return np_reject(c, NEAP_ERR_SHAPE, "weight must have shape (%lld), one a class, got %s", (long long)n, a);
  }
  if (!soft) {
    const int64_t skip = np_given(c, IGNORE) ? np_i(c, IGNORE) : 0;
    np_text text;
    np_text_init(&text, a, sizeof a);
    np_text_add(&text, "there are %lld classes", (long long)n);
    if (np_positions_check(c, "target", t, n, a, 0, np_given(c, IGNORE) ? &skip : NULL) != 0) return c->ctx->error;
  }
  if (np_i(c, REDUCTION) != NONE) return np_spec(c, 0, x->at.dtype, 0, NULL);
  int64_t shape[NEAP_MAX_DIMS];
  int k = 0;
  for (int i = 0; i < x->at.ndim; i++)
    if (i != d) shape[k++] = x->at.shape[i];
  return np_spec(c, 0, x->at.dtype, k, shape);
}

int np_cross_entropy_infer(np_call *c) {
  double e = np_d(c, SMOOTHING);
  if (!(e >= 0 && e <= 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "label_smoothing is %g, it must be between 0 and 1", e);
  return check(c, 1);
}
int np_nll_loss_infer(np_call *c) { return check(c, 0); }

/* ---- what a row's loss is weighed by ---- */

typedef struct classes {
  neap_context *c;
  const np_row *k;
  np_positions t;                /* labels; t.t NULL: probabilities */
  neap_tensor *weight;           /* contiguous in the compute type, or NULL */
  const char *w;
  int native, has_ignore, counted; /* counted: some row has a label that is not ignored */
  int64_t n, rows, ignore, base;
  const np_sheet_loops *sheet;
  double e, divisor, total;      /* divisor: of the mean; total: of the weights */
  double *loss;                  /* (rows) */
  const double *g;               /* backward: (rows), or one for all */
  int g_step;
} classes;

static int64_t label(const classes *s, int64_t r) { /* 0-based; -1: ignored */
  int64_t v = np_position(&s->t, r);
  return s->has_ignore && v == s->ignore ? -1 : v - s->base;
}
static double weight_of(const classes *s, int64_t class) {
  return s->w ? np_get_number(s->native, s->w + class * np_size_of(s->native)) : 1;
}

static int open(neap_context *c, const np_layout *x, neap_tensor *target, neap_tensor *weight, const neap_value *ignore, double e, classes *s) {
  *s = (classes){ .c = c, .native = np_native_of(x->dtype), .n = x->shape[class_dim(x)], .e = e, .base = c->site.base,
    .has_ignore = ignore->kind != NEAP_NONE, .ignore = ignore->i };
  s->k = c->kernels->row[np_ctype(x->dtype)];
  s->sheet = c->kernels->sheet[np_ctype(x->dtype)];
  s->rows = s->n ? x->count / s->n : 0;
  s->weight = np_contiguous_of(c, weight, s->native);
  s->w = s->weight ? np_data(s->weight) : NULL;
  s->divisor = (double)s->rows;
  s->total = (double)s->n;
  if (s->w && e != 0) { /* smoothing alone asks for it */
    s->total = 0;
    for (int64_t i = 0; i < s->n; i++) s->total += weight_of(s, i);
  }
  if (!np_is_float(target->at.dtype)) {
    if (np_positions_get(c, target, &s->t) != 0) return c->error;
    s->divisor = 0;
    for (int64_t r = 0; r < s->rows; r++)
      if (label(s, r) >= 0) s->divisor += weight_of(s, label(s, r)), s->counted = 1;
  }
  return c->error;
}
static void close(classes *s) {
  neap_release(s->t.t);
  neap_release(s->weight);
}

/* ---- forward ---- */

static void entropy_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const classes *s = arg;
  double L;
  (void)block;
  if (!s->t.t) {
    s->k->cross_entropy_soft(s->n, tiles[0], tiles[1], s->w, s->e, s->loss + r, &L);
    return;
  }
  int64_t t = label(s, r);
  if (t < 0) s->loss[r] = 0;
  else s->k->cross_entropy(s->n, tiles[0], t, s->w, s->e, s->loss + r, &L);
}

/* Rows side by side. loss = (1-e) w[t] (L - x[t]) + e/n (L sum w - sum w x) */
static void entropy_sheet(void *arg, int64_t r, int m, const np_sheet *sheets) {
  const classes *s = arg;
  double L[NP_SHEET], sum[NP_SHEET];
  s->sheet->logsumexp(s->n, m, sheets[0], L);
  if (s->e != 0) s->sheet->weigh(s->n, m, sheets[0], s->w, sum);
  for (int j = 0; j < m; j++) {
    int64_t t = label(s, r + j);
    double *loss = s->loss + r + j;
    *loss = t < 0 ? 0 : (1 - s->e) * weight_of(s, t) * (L[j] - np_get_number(s->native, sheets[0].data + (t * sheets[0].ld + j) * np_size_of(s->native)));
    if (s->e != 0 && t >= 0) *loss += s->e / (double)s->n * (L[j] * s->total - sum[j]);
  }
}

static void nll_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const classes *s = arg;
  (void)block;
  int64_t t = label(s, r);
  s->loss[r] = t < 0 ? 0 : -weight_of(s, t) * np_get_number(s->native, tiles[0] + t * np_size_of(s->native));
}

static int run(np_call *c, np_row_task row, np_sheet_task sheet, double e) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *y = c->out[0];
  classes s;
  if (open(ctx, &x->at, np_t(c, T), np_t(c, W), &c->arg[IGNORE], e, &s) == 0) {
    neap_tensor *loss = np_tensor_new(ctx, NEAP_F64, 1, &s.rows);
    if (loss) {
      s.loss = (double *)np_data(loss);
      np_rows rows = { .n_in = s.t.t ? 1 : 2, .axis = class_dim(&x->at), .n_axes = 1, .ctype = np_ctype(x->at.dtype), .t = { x, np_t(c, T) }, .ns = 1,
        .sheet = s.t.t ? sheet : NULL };
      np_rows_run(ctx, &rows, row, &s);
      if (np_i(c, REDUCTION) == NONE) {
        ctx->kernels->store[NP_CF64][y->at.dtype](s.rows, s.loss, np_data(y), 1);
      } else {
        double sum = 0;
        ctx->kernels->reduce[NP_CF64]->row[NP_SUM](s.rows, s.loss, &sum);
        np_put_number(y->at.dtype, np_data(y), np_i(c, REDUCTION) == MEAN ? sum / s.divisor : sum);
      }
    }
    neap_release(loss);
  }
  close(&s);
  return ctx->error;
}
int np_cross_entropy_run(np_call *c) { return run(c, entropy_row, entropy_sheet, np_d(c, SMOOTHING)); }
int np_nll_loss_run(np_call *c) { return run(c, nll_row, NULL, 0); }

/* ---- backward in recorded ops: all of the twin, and what is rare in the fused form ----
 *
 * With m the target without its weights, zero in rows that are ignored: r = w m, S = sum of -r log p over rows and
 * classes, D the divisor, k_c how many rows have label c. The loss is S / D, S, or the row's share of S. */

typedef struct parts {
  neap_tensor *w, *m, *counts, *divisor; /* w along the classes, or NULL; counts of labels; divisor of the mean */
  int64_t d;                             /* the dimension of classes */
} parts;

/* m for labels: a constant of x's shape. */
static neap_tensor *label_rows(neap_context *c, const np_layout *x, const classes *s) {
  neap_tensor *m = np_tensor_new(c, s->native, x->ndim, x->shape);
  if (!m) return NULL;
  np_zero(c, m);
  int64_t inner = 1, size = np_size_of(s->native);
  for (int i = class_dim(x) + 1; i < x->ndim; i++) inner *= x->shape[i];
  for (int64_t row = 0; row < s->rows; row++) {
    int64_t t = label(s, row);
    char *p = np_data(m) + (row / inner * s->n * inner + row % inner) * size;
    if (t < 0) continue;
    for (int64_t k = 0; k < s->n && s->e != 0; k++) np_put_number(s->native, p + k * inner * size, s->e / (double)s->n);
    np_put_number(s->native, p + t * inner * size, 1 - s->e + s->e / (double)s->n);
  }
  return m;
}

static neap_tensor *label_counts(neap_context *c, const classes *s) {
  neap_tensor *k = np_tensor_new(c, NEAP_F64, 1, &s->n);
  if (!k) return NULL;
  np_zero(c, k);
  for (int64_t row = 0; row < s->rows; row++)
    if (label(s, row) >= 0) ((double *)np_data(k))[label(s, row)]++;
  return k;
}

static parts parts_of(np_back *b, const classes *s) {
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[X].at;
  parts p = { .d = class_dim(x) };
  int64_t shape[NEAP_MAX_DIMS];
  for (int i = 0; i < x->ndim; i++) shape[i] = i == p.d ? x->shape[i] : 1;
  if (b->x[W]) p.w = neap_reshape(c, b->x[W], x->ndim, shape);
  if (s->t.t) p.m = label_rows(c, x, s);
  else p.m = neap_add(c, neap_mul(c, b->x[T], NP_C(c, 1 - s->e)), NP_C(c, s->e / (double)s->n));
  if (s->t.t && !s->counted) {
    p.divisor = NP_C(c, 1); /* of a mean over nothing: m is zero, and so is the gradient */
  } else if (s->t.t && b->x[W]) {
    p.counts = label_counts(c, s);
    p.divisor = neap_sum(c, neap_mul(c, b->x[W], p.counts), 0, NULL, 0, -1);
  } else {
    p.divisor = NP_C(c, s->divisor);
  }
  return p;
}

/* g over the divisor, so that it broadcasts to x. */
static neap_tensor *spread(np_back *b, const parts *p) {
  neap_tensor *g = b->g[0];
  if (b->arg[REDUCTION].i == NONE) return neap_unsqueeze(b->ctx, g, p->d);
  return b->arg[REDUCTION].i == MEAN ? neap_div(b->ctx, g, p->divisor) : g;
}

/* Gradients of weight and target, lp the log-probabilities:
 * gw_c = sum over rows of -g m_c lp_c, and for a mean over labels less k_c g S / D^2;  gq = -(1-e) w g lp */
static void rare_gradients(np_back *b, const classes *s, const parts *p, neap_tensor *lp) {
  neap_context *c = b->ctx;
  neap_tensor *g = spread(b, p);
  if (b->in[W].needs) {
    int64_t rows[NEAP_MAX_DIMS], n = b->in[X].at.ndim;
    int k = 0;
    for (int64_t i = 0; i < n; i++)
      if (i != p->d) rows[k++] = i;
    neap_tensor *each = neap_neg(c, neap_mul(c, p->m, lp)), *sum = neap_mul(c, g, each);
    neap_tensor *gw = k ? neap_sum(c, sum, k, rows, 0, -1) : sum;
    if (p->counts && b->arg[REDUCTION].i == MEAN) {
      neap_tensor *loss = neap_div(c, neap_sum(c, neap_mul(c, each, p->w), 0, NULL, 0, -1), p->divisor);
      gw = neap_sub(c, gw, neap_mul(c, neap_mul(c, g, loss), p->counts));
    }
    b->gx[W] = gw;
  }
  if (b->in[T].needs) {
    neap_tensor *q = neap_mul(c, lp, NP_C(c, s->e - 1));
    b->gx[T] = neap_mul(c, p->w ? neap_mul(c, q, p->w) : q, g);
  }
}

int np_cross_entropy_twin(np_back *b) {
  neap_context *c = b->ctx;
  classes s;
  if (open(c, &b->in[X].at, b->x[T], b->x[W], &b->arg[IGNORE], b->arg[SMOOTHING].d, &s) == 0) {
    parts p = parts_of(b, &s);
    rare_gradients(b, &s, &p, neap_log_softmax(c, b->x[X], p.d));
    neap_tensor *r = p.w ? neap_mul(c, p.m, p.w) : p.m;
    neap_tensor *all = neap_mul(c, neap_softmax(c, b->x[X], p.d), neap_sum(c, r, 1, &p.d, 1, -1));
    b->gx[X] = neap_mul(c, spread(b, &p), neap_sub(c, all, r));
  }
  close(&s);
  return c->error;
}

int np_nll_loss_back(np_back *b) { /* the input is lp: gx = -w g at the label, else 0 */
  neap_context *c = b->ctx;
  classes s;
  if (open(c, &b->in[X].at, b->x[T], b->x[W], &b->arg[IGNORE], 0, &s) == 0) {
    parts p = parts_of(b, &s);
    rare_gradients(b, &s, &p, b->x[X]);
    b->gx[X] = neap_neg(c, neap_mul(c, spread(b, &p), p.w ? neap_mul(c, p.m, p.w) : p.m));
  }
  close(&s);
  return c->error;
}

/* ---- backward, fused: gx = g (p sum(r) - r),  p = softmax x ---- */

static void gradient_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const classes *s = arg;
  double L, scale = s->g[s->g_step * r] / s->divisor;
  char *dx = tiles[s->t.t ? 1 : 2];
  (void)block;
  int64_t t = s->t.t ? label(s, r) : 0;
  if (t < 0) {
    memset(dx, 0, (size_t)(s->n * np_size_of(s->native)));
    return;
  }
  s->k->logsumexp(s->n, tiles[0], &L);
  if (s->t.t) s->k->cross_entropy_grad(s->n, tiles[0], t, s->w, s->e, L, scale, dx);
  else s->k->cross_entropy_soft_grad(s->n, tiles[0], tiles[1], s->w, s->e, L, scale, dx);
}

/* gx = g ((1-e) w[t] (p - 1[c=t]) + e/n (p sum w - w[c])) */
static void gradient_sheet(void *arg, int64_t r, int m, const np_sheet *sheets) {
  const classes *s = arg;
  double a[NP_SHEET] = { 0 }, b[NP_SHEET] = { 0 }, hit[NP_SHEET];
  int64_t t[NP_SHEET], size = np_size_of(s->native);
  for (int j = 0; j < m; j++) {
    double scale = s->g[s->g_step * (r + j)] / s->divisor;
    t[j] = label(s, r + j);
    hit[j] = t[j] < 0 ? 0 : scale * (1 - s->e) * weight_of(s, t[j]);
    b[j] = t[j] < 0 ? 0 : scale * s->e / (double)s->n;
    a[j] = hit[j] + b[j] * s->total;
  }
  s->sheet->entropy_grad(s->n, m, sheets[0], a, b, s->w, sheets[1]);
  for (int j = 0; j < m; j++) {
    if (t[j] >= 0) {
      char *p = sheets[1].data + (t[j] * sheets[1].ld + j) * size;
      np_put_number(s->native, p, np_get_number(s->native, p) - hit[j]);
    } else {
      for (int64_t i = 0; i < s->n; i++) np_put_number(s->native, sheets[1].data + (i * sheets[1].ld + j) * size, 0);
    }
  }
}

int np_cross_entropy_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[X];
  classes s;
  if (open(c, &b->in[X].at, b->x[T], b->x[W], &b->arg[IGNORE], b->arg[SMOOTHING].d, &s) != 0) {
    close(&s);
    return c->error;
  }
  if (b->in[T].needs || b->in[W].needs) {
    parts p = parts_of(b, &s);
    rare_gradients(b, &s, &p, neap_log_softmax(c, x, p.d));
  }
  neap_tensor *gx = b->in[X].needs ? np_tensor_like(x, x->at.dtype) : NULL, *g = np_contiguous_of(c, b->g[0], NEAP_F64);
  if (gx && g) {
    if (b->arg[REDUCTION].i != MEAN) s.divisor = 1;
    s.g = (const double *)np_data(g);
    s.g_step = b->arg[REDUCTION].i == NONE;
    np_rows rows = { .n_in = s.t.t ? 1 : 2, .n_out = 1, .axis = class_dim(&x->at), .n_axes = 1, .ctype = np_ctype(x->at.dtype), .ns = 2,
      .sheet = s.t.t ? gradient_sheet : NULL };
    rows.t[0] = x;
    if (!s.t.t) rows.t[1] = b->x[T];
    rows.t[rows.n_in] = gx;
    np_rows_run(c, &rows, gradient_row, &s);
  }
  b->gx[X] = gx;
  close(&s);
  return c->error;
}
