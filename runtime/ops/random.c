/* Random numbers: element i of a fill depends on the generator's seed, its offset and i alone, so any number of threads
 * gives the same bits. A call reserves the counters it needs and moves the generator on. Dropout keeps no mask: its
 * backward draws the same numbers again from the seed and offset that the record keeps. No gradient flows to a tensor
 * whose values are overwritten. */
#include "loops.h"

typedef enum drawn { UNIFORM, NORMAL, BERNOULLI, EXPONENTIAL, CAUCHY, LOG_NORMAL, GEOMETRIC, INTEGERS } drawn;

typedef struct draw {
  const np_random *k;
  drawn kind;
  int f64;
  uint64_t seed, offset;
  int64_t n, block, low, high;
  double a, b;
  char *out;
} draw;

static neap_generator *generator(np_call *c, int i) { return np_given(c, i) ? c->arg[i].g : &c->ctx->generator; }

static void draw_task(void *arg, int64_t task) {
  const draw *d = arg;
  int64_t from = task * d->block, n = np_min(d->block, d->n - from);
  char *out = d->out + from * (d->kind == INTEGERS || d->f64 ? 8 : 4);
  if (d->kind == INTEGERS) {
    d->k->randint(d->seed, d->offset, from, n, (int64_t *)(void *)out, d->low, d->high);
    return;
  }
  const np_random_fill *fills[] = { d->k->uniform, d->k->normal, d->k->bernoulli, d->k->exponential, d->k->cauchy, d->k->log_normal,
    d->k->geometric };
  fills[d->kind][d->f64](d->seed, d->offset, from, n, out, d->a, d->b);
}

/* Fills y (any dtype and strides) with d's numbers; others than float64, or int64 for integers, come from float32. */
static int fill(neap_context *c, neap_generator *g, draw *d, neap_tensor *y) {
  int native = d->kind == INTEGERS ? NEAP_I64 : y->at.dtype == NEAP_F64 ? NEAP_F64 : NEAP_F32;
  neap_tensor *t = np_room(y, native);
  if (!t) return c->error;
  d->k = c->kernels->random;
  d->f64 = native == NEAP_F64;
  d->n = y->at.count;
  d->block = NP_GRAIN;
  d->seed = g->seed;
  d->offset = np_draw(g, d->kind == INTEGERS || (d->f64 && d->kind != BERNOULLI) ? NP_RANDOM_64(d->n) : NP_RANDOM_32(d->n));
  d->out = np_data(t);
  np_parallel(c, np_blocks(d->n, d->block), (double)d->n * 2, draw_task, d);
  np_deliver(c, y, t);
  return c->error;
}

/* ---- new tensors ---- */

static int like_infer(np_call *c, int standard, int ndim, const int64_t *shape, int dtype, int any) {
  int d = np_given(c, dtype) ? (int)np_i(c, dtype) : standard;
  if (!any && !np_is_float(d))
    return np_reject(c, NEAP_ERR_DTYPE, "dtype must be a floating one, got %s: randint gives integers", np_dtypes[d].info.name);
  return np_spec(c, 0, d, ndim, shape);
}

int np_rand_infer(np_call *c) { return like_infer(c, NEAP_F32, c->arg[0].n, c->arg[0].is, 1, 0); }
int np_rand_like_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  return like_infer(c, x->dtype, x->ndim, x->shape, 1, 0);
}
int np_rand_run(np_call *c) { return fill(c->ctx, generator(c, 2), &(draw){ .kind = UNIFORM, .a = 0, .b = 1 }, c->out[0]); }
int np_randn_run(np_call *c) { return fill(c->ctx, generator(c, 2), &(draw){ .kind = NORMAL, .a = 0, .b = 1 }, c->out[0]); }

int np_randint_infer(np_call *c) { /* low high size dtype generator */
  if (np_i(c, 1) <= np_i(c, 0))
    return np_reject(c, NEAP_ERR_ARGUMENT, "high (%lld) must be above low (%lld): high itself is not drawn", (long long)np_i(c, 1), (long long)np_i(c, 0));
  return like_infer(c, NEAP_I64, c->arg[2].n, c->arg[2].is, 3, 1);
}
int np_randint_run(np_call *c) {
  return fill(c->ctx, generator(c, 4), &(draw){ .kind = INTEGERS, .low = np_i(c, 0), .high = np_i(c, 1) }, c->out[0]);
}

int np_randint_like_infer(np_call *c) { /* x low high dtype generator */
  const np_layout *x = &np_t(c, 0)->at;
  if (np_i(c, 2) <= np_i(c, 1))
    return np_reject(c, NEAP_ERR_ARGUMENT, "high (%lld) must be above low (%lld): high itself is not drawn", (long long)np_i(c, 2), (long long)np_i(c, 1));
  return like_infer(c, x->dtype, x->ndim, x->shape, 3, 1);
}
int np_randint_like_run(np_call *c) {
  return fill(c->ctx, generator(c, 4), &(draw){ .kind = INTEGERS, .low = np_i(c, 1), .high = np_i(c, 2) }, c->out[0]);
}

int np_randperm_infer(np_call *c) { /* n dtype generator */
  const int64_t n = np_i(c, 0);
  if (n < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "n is %lld, it must be at least 0", (long long)n);
  return like_infer(c, NEAP_I64, 1, &n, 1, 1);
}
int np_randperm_run(np_call *c) { /* Fisher and Yates: position i changes places with one of 0..i */
  enum { TILE = 256 };
  int64_t n = np_i(c, 0);
  neap_tensor *y = c->out[0], *t = np_room(y, NEAP_I64);
  if (!t) return c->ctx->error;
  int64_t *p = (int64_t *)np_data(t);
  neap_generator *g = generator(c, 2);
  uint64_t bits[TILE], seed = g->seed, offset = np_draw(g, NP_RANDOM_64(n));
  for (int64_t i = 0; i < n; i++) p[i] = i + c->ctx->site.base;
  for (int64_t from = 0; from < n; from += TILE) {
    int64_t m = np_min(TILE, n - from);
    c->ctx->kernels->random->bits64(seed, offset, from, m, bits);
    for (int64_t k = 0; k < m; k++) {
      int64_t i = n - 1 - (from + k), j = (int64_t)((unsigned __int128)bits[k] * (uint64_t)(i + 1) >> 64), v = p[i];
      p[i] = p[j];
      p[j] = v;
    }
  }
  np_deliver(c->ctx, y, t);
  return c->ctx->error;
}

/* ---- like x, or in place over x: x a b generator ---- */

static int floats_like(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  if (np_need_float(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}

int np_uniform_infer(np_call *c) {
  if (!(np_d(c, 1) <= np_d(c, 2))) return np_reject(c, NEAP_ERR_ARGUMENT, "from is %g, it must be at most to, %g", np_d(c, 1), np_d(c, 2));
  return floats_like(c);
}
int np_uniform_run(np_call *c) {
  return fill(c->ctx, generator(c, 3), &(draw){ .kind = UNIFORM, .a = np_d(c, 1), .b = np_d(c, 2) }, c->out[0]);
}
int np_normal_infer(np_call *c) {
  if (np_d(c, 2) < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "std is %g, it must be at least 0", np_d(c, 2));
  return floats_like(c);
}
int np_normal_run(np_call *c) {
  return fill(c->ctx, generator(c, 3), &(draw){ .kind = NORMAL, .a = np_d(c, 1), .b = np_d(c, 2) }, c->out[0]);
}

/* exponential cauchy log_normal geometric: x, one or two numbers, generator */

int np_exponential_infer(np_call *c) {
  if (!(np_d(c, 1) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "lambd is %g, it must be over 0", np_d(c, 1));
  return floats_like(c);
}
int np_exponential_run(np_call *c) {
  return fill(c->ctx, generator(c, 2), &(draw){ .kind = EXPONENTIAL, .a = np_d(c, 1) }, c->out[0]);
}
int np_cauchy_infer(np_call *c) {
  if (!(np_d(c, 2) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "sigma is %g, it must be over 0", np_d(c, 2));
  return floats_like(c);
}
int np_cauchy_run(np_call *c) {
  return fill(c->ctx, generator(c, 3), &(draw){ .kind = CAUCHY, .a = np_d(c, 1), .b = np_d(c, 2) }, c->out[0]);
}
int np_log_normal_run(np_call *c) {
  return fill(c->ctx, generator(c, 3), &(draw){ .kind = LOG_NORMAL, .a = np_d(c, 1), .b = np_d(c, 2) }, c->out[0]);
}
int np_geometric_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  if (!(np_d(c, 1) > 0 && np_d(c, 1) <= 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "p is %g, it must be over 0 and at most 1", np_d(c, 1));
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}
int np_geometric_run(np_call *c) {
  return fill(c->ctx, generator(c, 2), &(draw){ .kind = GEOMETRIC, .a = np_d(c, 1) }, c->out[0]);
}

/* bernoulli: x p generator. p absent: x holds the probabilities; in place then 0.5. */
int np_bernoulli_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *p = np_t(c, 1);
  double v = c->arg[1].kind == NEAP_INT ? (double)np_i(c, 1) : np_d(c, 1);
  if (p) {
    int ndim;
    int64_t shape[NEAP_MAX_DIMS];
    if (np_broadcast(c->ctx, c->op->name, &x->at, &p->at, &ndim, shape) != 0) return c->ctx->error;
    if (ndim != x->at.ndim || memcmp(shape, x->at.shape, (size_t)ndim * sizeof *shape) != 0)
      return np_larger(c, "p", p, "x", x);
  } else if (np_given(c, 1) && !(v >= 0 && v <= 1)) {
    return np_reject(c, NEAP_ERR_ARGUMENT, "p is %g, it must be between 0 and 1", v);
  }
  if ((p || (!np_given(c, 1) && !c->in_place)) && np_need_probabilities(c, p ? "p" : "x", p ? p : x, "") != 0) return c->ctx->error;
  return np_spec(c, 0, x->at.dtype, x->at.ndim, x->at.shape);
}
int np_bernoulli_run(np_call *c) {
  neap_tensor *p = np_t(c, 1), *y = c->out[0];
  if (!p && (np_given(c, 1) || c->in_place)) {
    double v = !np_given(c, 1) ? 0.5 : c->arg[1].kind == NEAP_INT ? (double)np_i(c, 1) : np_d(c, 1);
    return fill(c->ctx, generator(c, 2), &(draw){ .kind = BERNOULLI, .a = v, .b = 1 }, y);
  }
  if (!p) p = np_t(c, 0);
  neap_tensor *u = np_tensor_like(y, p->at.dtype == NEAP_F64 ? NEAP_F64 : NEAP_F32);
  if (!u) return c->ctx->error;
  int ctype = np_ctype(u->at.dtype);
  if (fill(c->ctx, generator(c, 2), &(draw){ .kind = UNIFORM, .a = 0, .b = 1 }, u) == 0) {
    neap_tensor *in[2] = { u, p }; /* 1 where u < p */
    np_map_job job = { .map = c->ctx->kernels->map[ctype][NP_EW_lt], .ctype = ctype, .n_in = 2, .to_bool = 1, .in = in, .out = y };
    np_map_run(c->ctx, &job);
  }
  neap_release(u);
  return c->ctx->error;
}

/* ---- dropout: x p training generator, a draw and then dropout_at: x p state ---- */

int np_dropout_run(np_call *c) {
  double p = np_d(c, 1);
  neap_tensor *x = np_t(c, 0);
  if (!(p >= 0 && p <= 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "p is %g, it must be between 0 and 1", p);
  if (np_need_float(c, "x", x) != 0) return c->ctx->error;
  if (!np_i(c, 2) || p == 0) {
    c->out[0] = neap_retain(x);
    return NEAP_OK;
  }
  neap_generator *g = generator(c, 3);
  const int64_t state[2] = { (int64_t)g->seed, (int64_t)np_draw(g, NP_RANDOM_32(x->at.count)) };
  c->out[0] = neap_dropout_at(c->ctx, x, p, 2, state);
  return c->ctx->error;
}

typedef struct drop {
  neap_context *c;
  uint64_t seed, offset;
  double keep;
  int dtype, ctype, direct;
  int64_t n;
  const char *x;
  char *y;
} drop;

static void drop_task(void *arg, int64_t task) {
  enum { TILE = 512 };
  const drop *d = arg;
  const np_kernels *k = d->c->kernels;
  double mask[TILE], tile[TILE];
  int64_t size = np_size_of(d->dtype), last = np_min((task + 1) * NP_GRAIN, d->n);
  const uint8_t step[2] = { 1, 1 };
  if (np_cancelled(d->c)) return;
  for (int64_t i = task * NP_GRAIN; i < last; i += TILE) {
    int64_t n = np_min(TILE, last - i);
    k->random->bernoulli[d->ctype](d->seed, d->offset, i, n, mask, d->keep, 1 / d->keep);
    if (!d->direct) k->load[d->dtype][d->ctype](n, d->x + i * size, 1, tile);
    const void *in[2] = { d->direct ? (const void *)(d->x + i * size) : tile, mask };
    k->map[d->ctype][NP_EW_mul](n, in, step, d->direct ? (void *)(d->y + i * size) : tile, NULL);
    if (!d->direct) k->store[d->ctype][d->dtype](n, tile, d->y + i * size, 1);
  }
}

int np_dropout_at_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  if (c->arg[2].n != 2) return np_reject(c, NEAP_ERR_ARGUMENT, "state has 2 numbers, seed and offset, got %d", c->arg[2].n);
  if (np_need_float(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}
int np_dropout_at_run(np_call *c) { /* y = x m / (1 - p), m drawn from the state */
  neap_tensor *x = np_contiguous_of(c->ctx, np_t(c, 0), np_t(c, 0)->at.dtype);
  if (!x) return c->ctx->error;
  drop d = { .c = c->ctx, .seed = (uint64_t)c->arg[2].is[0], .offset = (uint64_t)c->arg[2].is[1], .keep = 1 - np_d(c, 1),
    .dtype = x->at.dtype, .ctype = np_ctype(x->at.dtype), .direct = np_is_native(x->at.dtype), .n = x->at.count,
    .x = np_data(x), .y = np_data(c->out[0]) };
  np_parallel(c->ctx, np_blocks(d.n, NP_GRAIN), (double)d.n * 2, drop_task, &d);
  neap_release(x);
  return NEAP_OK;
}
int np_dropout_at_back(np_back *b) { /* gx = g m / (1 - p), the same m */
  b->gx[0] = neap_dropout_at(b->ctx, b->g[0], b->arg[1].d, 2, b->arg[2].is);
  return b->ctx->error;
}

uint64_t np_draw(neap_generator *g, uint64_t counters) {
  uint64_t first = g->offset;
  g->offset += counters;
  return first;
}
