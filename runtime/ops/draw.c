/* Random numbers whose distribution is given element by element: gamma, Poisson, binomial, Dirichlet, beta, and choices
 * by weight. The samplers are kernels/draw.c's: element i of a call draws from a stream of its own, so the bits are the
 * same for any number of threads. Gamma numbers carry a gradient to their shape by implicit reparameterisation, and what
 * is made of them (Dirichlet, beta) is made in logarithms, where tiny shapes do not underflow. */
#include <float.h>
#include "loops.h"

enum { TILE = 128, PER_TASK = 1024 };
typedef enum sampler { GAMMA, SLOPE, SHARE, POISSON, BINOMIAL } sampler;

typedef struct sampling {
  neap_context *c;
  sampler kind;
  int logarithm, upper, n_in, dtype[2];
  uint64_t seed, offset;
  int64_t n;
  const char *in[2];
  char *out;
  int out_dtype;
} sampling;

static void never_zero(const sampling *s, int64_t n, double *y) {
  double least = s->out_dtype == NEAP_F64 ? DBL_MIN : s->out_dtype == NEAP_F16 ? 0x1p-24 : FLT_MIN;
  for (int64_t i = 0; i < n && !s->logarithm; i++) y[i] = fmax(y[i], least);
}

static void sample_task(void *arg, int64_t task) {
  const sampling *s = arg;
  const np_kernels *k = s->c->kernels;
  double x[2][TILE], y[TILE];
  int64_t last = np_min((task + 1) * PER_TASK, s->n);
  if (np_cancelled(s->c)) return;
  for (int64_t i = task * PER_TASK; i < last; i += TILE) {
    int64_t n = np_min(TILE, last - i);
    for (int j = 0; j < s->n_in; j++) k->load[s->dtype[j]][NP_CF64](n, s->in[j] + i * np_size_of(s->dtype[j]), 1, x[j]);
    switch (s->kind) {
    case GAMMA: np_draw_gamma(s->seed, s->offset, i, n, x[0], s->logarithm, y), never_zero(s, n, y); break;
    case SHARE: np_draw_gamma_share(n, x[0], x[1], s->upper, y); break;
    case POISSON: np_draw_poisson(s->seed, s->offset, i, n, x[0], y); break;
    case BINOMIAL: np_draw_binomial(s->seed, s->offset, i, n, x[0], x[1], y); break;
    case SLOPE:
      for (int64_t j = 0; j < n && !s->logarithm; j++) x[1][j] = log(x[1][j]);
      np_draw_gamma_slope(n, x[0], x[1], y);
      for (int64_t j = 0; j < n && !s->logarithm; j++) y[j] *= exp(x[1][j]);
      break;
    }
    k->store[NP_CF64][s->out_dtype](n, y, s->out + i * np_size_of(s->out_dtype), 1);
  }
}

/* y (contiguous) from one or two tensors that broadcast to it. */
static int sample(np_call *c, sampling *s, neap_generator *g, neap_tensor *a, neap_tensor *b) {
  neap_context *ctx = c->ctx;
  neap_tensor *y = c->out[0], *list[2] = { a, b }, *held[2] = { NULL, NULL };
  neap_scope scope;
  np_scope_enter(ctx, &scope);
  int mode = neap_grad_mode(ctx, 0);
  for (int i = 0; i < 2 && list[i]; i++, s->n_in = i) {
    neap_tensor *x = np_same_shape(list[i], y) ? list[i] : neap_expand(ctx, list[i], y->at.ndim, y->at.shape);
    held[i] = x ? np_contiguous_of(ctx, x, x->at.dtype) : NULL;
    if (!held[i]) break;
    s->in[i] = np_data(held[i]);
    s->dtype[i] = held[i]->at.dtype;
  }
  if (!np_failed(ctx)) {
    s->c = ctx;
    s->n = y->at.count;
    s->out = np_data(y);
    s->out_dtype = y->at.dtype;
    if (g) s->seed = g->seed, s->offset = np_draw(g, (uint64_t)s->n);
    np_parallel(ctx, np_blocks(s->n, PER_TASK), (double)s->n * 100, sample_task, s);
  }
  neap_grad_mode(ctx, mode);
  np_scope_leave(&scope, 0, NULL);
  return ctx->error;
}

static neap_generator *generator(np_call *c, int i) { return np_given(c, i) ? c->arg[i].g : &c->ctx->generator; }

/* Refuses values of t outside of low .. high (low itself too when above), and NaN. */
static int need_range(np_call *c, const char *name, neap_tensor *t, double low, double high, int above, const char *rule) {
  double found[2] = { 0, 0 };
  for (int i = 0; i < 2 && t->at.count > 0; i++) {
    neap_tensor *y = np_tensor_new(c->ctx, NEAP_F64, 0, NULL);
    np_fold f = { .kind = i ? NP_MAX : NP_MIN, .divisor = 1, .power = 1 };
    if (!y || np_fold_run(c->ctx, t, (1u << t->at.ndim) - 1, &f, y) != 0) {
      neap_release(y);
      return c->ctx->error;
    }
    found[i] = *(double *)np_data(y);
    neap_release(y);
  }
  if (t->at.count == 0 || ((above ? found[0] > low : found[0] >= low) && found[1] <= high)) return NEAP_OK;
  return np_reject(c, NEAP_ERR_ARGUMENT, "%s must be %s; its values go from %g to %g", name, rule, found[0], found[1]);
}

/* ---- gamma: x log generator ---- */

int np_standard_gamma_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  if (np_need_float(c, "x", x) != 0 || need_range(c, "x", x, 0, DBL_MAX, 1, "over 0 and finite") != 0) return c->ctx->error;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_standard_gamma_run(np_call *c) {
  return sample(c, &(sampling){ .kind = GAMMA, .logarithm = (int)np_i(c, 1) }, generator(c, 2), np_t(c, 0), NULL);
}
int np_standard_gamma_back(np_back *b) { /* gx = g dy/dx at a fixed probability */
  b->gx[0] = neap_mul(b->ctx, b->g[0], neap_standard_gamma_grad(b->ctx, b->x[0], b->y[0], (int)b->arg[1].i));
  return b->ctx->error;
}

int np_standard_gamma_grad_infer(np_call *c) {
  return np_spec(c, 0, np_t(c, 0)->at.dtype, np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape);
}
int np_standard_gamma_grad_run(np_call *c) {
  return sample(c, &(sampling){ .kind = SLOPE, .logarithm = (int)np_i(c, 2) }, NULL, np_t(c, 0), np_t(c, 1));
}

/* d = dy/dx = -F_x / f, with F the distribution function and f its density: dd/dy = psi(x) - log y - d ((x - 1) / y - 1),
 * and of l = log y, dd/dl = psi(x) - l - d (x - e^l). To x it would need F_xx, which has no closed form. */
int np_standard_gamma_grad_back(np_back *b) {
  neap_context *c = b->ctx;
  neap_tensor *x = b->x[0], *y = b->x[1], *one = NP_C(c, 1);
  if (b->in[0].needs) return np_fail(c, NEAP_ERR_UNSUPPORTED, "gamma numbers and gammainc: the second derivative to the shape x is not known");
  neap_tensor *curve = b->arg[2].i ? neap_sub(c, x, neap_exp(c, y)) : neap_sub(c, neap_div(c, neap_sub(c, x, one), y), one);
  neap_tensor *log_y = b->arg[2].i ? y : neap_log(c, y);
  b->gx[1] = neap_mul(c, b->g[0], neap_sub(c, neap_sub(c, neap_digamma(c, x), log_y), neap_mul(c, b->y[0], curve)));
  return c->error;
}

/* ---- its distribution function: x z ---- */

int np_gammainc_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_need_float(c, "x", x) != 0 || np_need_float(c, "z", z) != 0) return c->ctx->error;
  if (np_broadcast(c->ctx, c->op->name, &x->at, &z->at, &ndim, shape) != 0) return c->ctx->error;
  return np_spec(c, 0, neap_promote(x->at.dtype, z->at.dtype), ndim, shape);
}
int np_gammainc_run(np_call *c) { return sample(c, &(sampling){ .kind = SHARE }, NULL, np_t(c, 0), np_t(c, 1)); }
int np_gammaincc_run(np_call *c) { return sample(c, &(sampling){ .kind = SHARE, .upper = 1 }, NULL, np_t(c, 0), np_t(c, 1)); }

/* gz = g pdf, pdf = z^(x-1) e^-z / gamma(x); gx = -g pdf dz/dx, with dz/dx what it is at a fixed probability */
int np_gammainc_back(np_back *b) {
  neap_context *c = b->ctx;
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_broadcast(c, b->op->name, &b->in[0].at, &b->in[1].at, &ndim, shape) != 0) return c->error;
  neap_tensor *x = neap_expand(c, b->x[0], ndim, shape), *z = neap_expand(c, b->x[1], ndim, shape);
  neap_tensor *power = neap_xlogy(c, neap_sub(c, x, NP_C(c, 1)), z);
  neap_tensor *slope = neap_mul(c, b->g[0], neap_exp(c, neap_sub(c, neap_sub(c, power, z), neap_lgamma(c, x))));
  if (strcmp(b->op->name, "gammaincc") == 0) slope = neap_neg(c, slope);
  b->gx[1] = slope;
  if (b->in[0].needs) b->gx[0] = neap_neg(c, neap_mul(c, slope, neap_standard_gamma_grad(c, x, z, 0)));
  return c->error;
}

/* ---- made of them ---- */

int np_dirichlet_run(np_call *c) { /* x generator: gamma numbers over their sum, which is the softmax of their logarithms */
  neap_tensor *x = np_t(c, 0);
  if (x->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x must have a dimension: its last one holds the concentrations");
  c->out[0] = neap_softmax(c->ctx, neap_standard_gamma(c->ctx, x, 1, np_given(c, 1) ? c->arg[1].g : NULL), -1);
  return c->ctx->error;
}

int np_gamma_run(np_call *c) { /* x rate generator */
  neap_tensor *x = np_t(c, 0), *rate = np_t(c, 1);
  int ndim = x->at.ndim;
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, x->at.shape, sizeof shape);
  if (rate && np_broadcast(c->ctx, c->op->name, &x->at, &rate->at, &ndim, shape) != 0) return c->ctx->error;
  neap_tensor *y = neap_standard_gamma(c->ctx, neap_expand(c->ctx, x, ndim, shape), 0, np_given(c, 2) ? c->arg[2].g : NULL);
  c->out[0] = rate ? neap_div(c->ctx, y, rate) : y;
  return c->ctx->error;
}

int np_beta_run(np_call *c) { /* x z generator: a / (a + b) = sigmoid(log a - log b) */
  neap_tensor *x = np_t(c, 0), *z = np_t(c, 1);
  neap_generator *g = np_given(c, 2) ? c->arg[2].g : NULL;
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_broadcast(c->ctx, c->op->name, &x->at, &z->at, &ndim, shape) != 0) return c->ctx->error;
  neap_tensor *a = neap_standard_gamma(c->ctx, neap_expand(c->ctx, x, ndim, shape), 1, g);
  neap_tensor *b = neap_standard_gamma(c->ctx, neap_expand(c->ctx, z, ndim, shape), 1, g);
  c->out[0] = neap_sigmoid(c->ctx, neap_sub(c->ctx, a, b));
  return c->ctx->error;
}

/* ---- counts ---- */

int np_poisson_infer(np_call *c) { /* x generator */
  neap_tensor *x = np_t(c, 0);
  if (np_need_float(c, "x", x) != 0 || need_range(c, "x", x, 0, 1e15, 0, "from 0 to 1e15") != 0) return c->ctx->error;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_poisson_run(np_call *c) { return sample(c, &(sampling){ .kind = POISSON }, generator(c, 1), np_t(c, 0), NULL); }

int np_binomial_infer(np_call *c) { /* x prob generator */
  neap_tensor *x = np_t(c, 0), *p = np_t(c, 1);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_need_float(c, "prob", p) != 0 || need_range(c, "x", x, 0, 1e15, 0, "from 0 to 1e15") != 0 ||
      need_range(c, "prob", p, 0, 1, 0, "between 0 and 1") != 0)
    return c->ctx->error;
  if (np_broadcast(c->ctx, c->op->name, &x->at, &p->at, &ndim, shape) != 0) return c->ctx->error;
  return np_spec(c, 0, np_is_float(x->at.dtype) ? x->at.dtype : p->at.dtype, ndim, shape);
}
int np_binomial_run(np_call *c) { return sample(c, &(sampling){ .kind = BINOMIAL }, generator(c, 2), np_t(c, 0), np_t(c, 1)); }

/* ---- multinomial: x num_samples replacement generator ---- */

/* Each row of weights, as doubles: finite, not negative, and enough of them over 0. */
static int check_weights(np_call *c, neap_tensor *x, int64_t rows, int64_t classes) {
  neap_tensor *w = np_contiguous_of(c->ctx, x, NEAP_F64);
  if (!w) return c->ctx->error;
  const double *v = (const double *)np_data(w);
  int64_t need = np_i(c, 2) ? 1 : np_i(c, 1), bad = -1, some = 0;
  for (int64_t r = 0; r < rows && bad < 0; r++) {
    some = 0;
    for (int64_t i = 0; i < classes; i++) {
      if (!(v[r * classes + i] >= 0 && v[r * classes + i] <= DBL_MAX)) bad = r;
      some += v[r * classes + i] > 0;
    }
    if (bad < 0 && some < need) bad = r;
    else if (bad >= 0) some = -1;
  }
  neap_release(w);
  if (bad < 0) return NEAP_OK;
  char where[48] = "x";
  np_text t;
  np_text_init(&t, where, sizeof where);
  np_text_add(&t, "x");
  if (x->at.ndim == 2) np_text_add(&t, ", row %lld,", NP_DIM(c, bad));
  if (some < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "the weights in %s must be finite and not negative", where);
  if (np_i(c, 2)) return np_reject(c, NEAP_ERR_ARGUMENT, "the weights in %s are all 0", where);
  return np_reject(c, NEAP_ERR_ARGUMENT, "%s has %lld weights over 0, too few for num_samples %lld without replacement: pass replacement = true",
                   where, (long long)some, (long long)need);
}

int np_multinomial_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  int64_t k = np_i(c, 1);
  if (x->at.ndim != 1 && x->at.ndim != 2)
    return np_reject(c, NEAP_ERR_SHAPE, "x must be of shape (classes) or (rows, classes), it has %d dimensions", x->at.ndim);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  int64_t classes = x->at.shape[x->at.ndim - 1], rows = x->at.ndim == 2 ? x->at.shape[0] : 1, shape[2] = { rows, k };
  if (k < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "num_samples is %lld, it must be at least 1", (long long)k);
  if (classes == 0 && rows > 0) return np_reject(c, NEAP_ERR_SHAPE, "x has no classes to choose from");
  if (!np_i(c, 2) && k > classes && rows > 0)
    return np_reject(c, NEAP_ERR_ARGUMENT, "num_samples is %lld, but there are %lld classes: pass replacement = true to draw more", (long long)k, (long long)classes);
  if (check_weights(c, x, rows, classes) != 0) return c->ctx->error;
  return np_spec(c, 0, NEAP_I64, x->at.ndim, x->at.ndim == 2 ? shape : shape + 1);
}

typedef struct choosing {
  const double *w;
  int64_t classes, k, base;
  int again;
  uint64_t seed, offset, counters;
  int64_t *out;
  double *scratch;
} choosing;

static void choose_task(void *arg, int64_t r) {
  const choosing *s = arg;
  int64_t *out = s->out + r * s->k;
  np_draw_choices(s->seed, s->offset + (uint64_t)r * s->counters, s->classes, s->w + r * s->classes, s->k, s->again, out, s->scratch + r * s->classes);
  for (int64_t j = 0; j < s->k; j++) out[j] += s->base;
}

int np_multinomial_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0), *w = np_contiguous_of(ctx, x, NEAP_F64), *scratch = w ? np_tensor_like(w, NEAP_F64) : NULL;
  if (scratch) {
    neap_generator *g = generator(c, 3);
    int64_t classes = x->at.shape[x->at.ndim - 1], rows = x->at.ndim == 2 ? x->at.shape[0] : 1;
    choosing s = { .w = (const double *)np_data(w), .classes = classes, .k = np_i(c, 1), .base = ctx->site.base, .again = (int)np_i(c, 2),
      .seed = g->seed, .out = (int64_t *)np_data(c->out[0]), .scratch = (double *)np_data(scratch) };
    s.counters = (uint64_t)(s.again ? s.k : classes);
    s.offset = np_draw(g, (uint64_t)rows * s.counters);
    np_parallel(ctx, rows, (double)(rows * (classes * (s.again ? 2 : 40) + s.k * 60)), choose_task, &s);
  }
  neap_release(w);
  neap_release(scratch);
  return ctx->error;
}
