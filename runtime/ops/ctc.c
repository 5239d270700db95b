/* Connectionist temporal classification (Graves et al., 2006). A target of L labels is read as l' = blank, label 1, blank,
 * ..., label L, blank, of 2 L + 1 symbols. With x the log-probabilities (T, N, C) and, in the logarithm,
 *   a_t(s) = x_t(l'_s) + log(sum of exp a_{t-1} at s, s - 1, and s - 2 unless l'_s is blank or equals l'_{s-2})
 * the loss is -log(exp a_T(2L) + exp a_T(2L - 1)), the last two symbols. Samples run in parallel; within one, a step of time
 * is a few vector operations over the symbols, in double. a is kept for backward, in rows behind two cells of -inf. */
#include <float.h>
#include "loss.h"

enum { X, TARGETS, TIMES, LENGTHS, BLANK };        /* arguments of both ops */
enum { REDUCTION = 5, ZERO_INFINITY };             /* of ctc_loss */
enum { IN_X, IN_TARGETS, IN_TIMES, IN_LENGTHS };   /* the tensors, as records number them */

typedef struct batch {
  neap_context *c;
  int64_t T, N, C, S, base, blank; /* S: the most labels of a target */
  int f32;
  const char *x;
  int64_t *time, *length, *first; /* of each sample: steps, labels, and where its labels begin */
  const int64_t *label;
  neap_tensor *labels;
  size_t bytes;                  /* of time, length and first together */
  double *alpha, *loss;          /* (N, T, width), (N) */
  double *room;                  /* scratch for each sample */
  int64_t width, room_width;
  const double *g;               /* backward */
  char *gx;
} batch;

static int is_batch(const np_layout *x) { return x->ndim == 3; }

/* ---- checks ---- */

/* A list of counts (N), each from 0 to most; NULL: all are the most. */
static int counts(np_call *c, int i, int64_t n, int64_t most, const char *what, int64_t *out) {
  neap_tensor *t = np_t(c, i);
  const char *name = c->sig->param[i].name;
  for (int64_t k = 0; k < n; k++) out[k] = most;
  if (!t) return NEAP_OK;
  if (np_need_int(c, name, t) != 0) return c->ctx->error;
  if (t->at.count != n || t->at.ndim > 1) {
    char text[128];
    np_shape_text(text, sizeof text, t);
    return np_reject(c, NEAP_ERR_SHAPE, "%s must have shape (%lld), one a sample, got %s", name, (long long)n, text);
  }
  neap_tensor *list = np_contiguous_of(c->ctx, t, NEAP_I64);
  if (!list) return c->ctx->error;
  memcpy(out, np_data(list), (size_t)n * sizeof *out);
  neap_release(list);
  for (int64_t k = 0; k < n; k++)
    if (out[k] < 0 || out[k] > most)
      return np_reject(c, NEAP_ERR_ARGUMENT, "%s[%lld] is %lld, but there are %lld %s", name, NP_DIM(c, k), (long long)out[k], (long long)most, what);
  return NEAP_OK;
}

static int labels_fit(np_call *c, const batch *s) {
  for (int64_t n = 0; n < s->N; n++)
    for (int64_t k = 0; k < s->length[n]; k++) {
      int64_t v = s->label[s->first[n] + k];
      if (v >= s->base && v < s->base + s->C && v - s->base != s->blank) continue;
      const char *why = v - s->base == s->blank ? "which is the blank" : "";
      char range[96] = "";
      np_text t;
      np_text_init(&t, range, sizeof range);
      if (!*why) np_text_add(&t, "but there are %lld classes: %lld to %lld are allowed", (long long)s->C, (long long)s->base, (long long)(s->base + s->C - 1));
      return np_reject(c, NEAP_ERR_INDEX, "label %lld of sample %lld is %lld, %s", NP_DIM(c, k), NP_DIM(c, n), (long long)v, *why ? why : range);
    }
  return NEAP_OK;
}

static void close(batch *s) {
  neap_release(s->labels);
  if (s->time) np_free(s->c, s->time, s->bytes);
}

static int sizes(batch *s, neap_context *c, const np_layout *x, const np_layout *targets, int64_t blank) {
  *s = (batch){ .c = c, .T = x->shape[0], .N = is_batch(x) ? x->shape[1] : 1, .C = x->shape[x->ndim - 1], .base = c->site.base, .blank = blank,
    .f32 = np_native_of(x->dtype) == NEAP_F32 };
  s->S = targets->ndim ? targets->shape[targets->ndim - 1] : 0;
  s->bytes = (size_t)np_max(1, 3 * s->N) * sizeof(int64_t);
  s->time = np_alloc(c, s->bytes);
  if (!s->time) return c->error;
  s->length = s->time + s->N, s->first = s->length + s->N;
  return NEAP_OK;
}

/* Where each target begins: a row of targets (N, S), or behind the one before. Rows of alpha are as wide as the longest asks. */
static void places(batch *s, int rows) {
  int64_t next = 0, longest = 0;
  for (int64_t n = 0; n < s->N; n++) {
    s->first[n] = rows ? n * s->S : next;
    next += s->length[n];
    longest = np_max(longest, s->length[n]);
  }
  s->width = 2 * longest + 3;
}

/* Checks a call; s is to be closed in any case. */
static int open_call(np_call *c, batch *s) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, X), *t = np_t(c, TARGETS);
  char a[128], b[128];
  *s = (batch){ .c = ctx };
  if (np_need_float(c, "log_probs", x) != 0) return ctx->error;
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, t);
  if (x->at.ndim != 2 && x->at.ndim != 3) return np_reject(c, NEAP_ERR_SHAPE, "log_probs is (T, N, C), or (T, C) for one sample, got %s", a);
  if (np_need_int(c, "targets", t) != 0) return ctx->error;
  int64_t classes = x->at.shape[x->at.ndim - 1], n = is_batch(&x->at) ? x->at.shape[1] : 1, blank = np_i(c, BLANK);
  int rows = t->at.ndim == 2;
  if (rows ? !is_batch(&x->at) || t->at.shape[0] != n : t->at.ndim != 1)
    return np_reject(c, NEAP_ERR_SHAPE, "targets %s do not fit log_probs %s: they are (N, S), or all in a row", b, a);
  if (blank < 0) blank += classes;
  if (blank < 0 || blank >= classes) return np_reject(c, NEAP_ERR_INDEX, "blank is %lld, there are %lld classes", NP_DIM(c, np_i(c, BLANK)), (long long)classes);
  if (!rows && n != 1 && !np_given(c, LENGTHS)) return np_reject(c, NEAP_ERR_ARGUMENT, "target_lengths are needed to part targets %s", b);
  if (sizes(s, ctx, &x->at, &t->at, blank) != 0) return ctx->error;
  if (counts(c, TIMES, s->N, s->T, "steps", s->time) != 0 || counts(c, LENGTHS, s->N, s->S, "labels", s->length) != 0) return ctx->error;
  places(s, rows);
  int64_t all = s->N ? s->first[s->N - 1] + s->length[s->N - 1] : 0;
  if (!rows && all != t->at.count)
    return np_reject(c, NEAP_ERR_SHAPE, "target_lengths add up to %lld, there are %lld labels", (long long)all, (long long)t->at.count);
  s->labels = np_contiguous_of(ctx, t, NEAP_I64);
  s->label = s->labels ? (const int64_t *)np_data(s->labels) : NULL;
  return s->labels ? labels_fit(c, s) : (int)ctx->error;
}

int np_ctc_loss_at_infer(np_call *c) {
  batch s;
  const np_layout *x = &np_t(c, X)->at;
  if (open_call(c, &s) == 0) {
    const int64_t shape[3] = { s.N, s.T, s.width };
    if (np_spec(c, 0, x->dtype, is_batch(x), shape) == 0) np_spec(c, 1, NEAP_F64, 3, shape);
  }
  close(&s);
  return c->ctx->error;
}

/* ---- one sample ---- */

typedef struct sample { /* its symbols, and tiles of them */
  int64_t n, T, symbols;
  int64_t *symbol;               /* l' */
  double *skip;                  /* 0 where s may follow s - 2, else -inf */
  double *now, *one, *two;       /* log-probabilities of the symbols at a step; spare */
  double *exps, *most;           /* of add_exps: three tiles and one */
} sample;

enum { TILES = 10, BETA = 9, GUARD = 2 };

static sample sample_of(const batch *s, int64_t n) {
  double *room = s->room + n * TILES * s->room_width;
  sample m = { .n = n, .T = s->time[n], .symbols = 2 * s->length[n] + 1, .symbol = (int64_t *)room, .skip = room + s->room_width,
    .now = room + 2 * s->room_width, .one = room + 3 * s->room_width, .two = room + 4 * s->room_width, .exps = room + 5 * s->room_width, .most = room + 8 * s->room_width };
  for (int64_t i = 0; i < m.symbols; i++) {
    m.symbol[i] = i % 2 ? s->label[s->first[n] + i / 2] - s->base : s->blank;
    m.skip[i] = i % 2 && i > 1 && m.symbol[i] != m.symbol[i - 2] ? 0 : -INFINITY;
  }
  return m;
}

static void look_up(const batch *s, const sample *m, int64_t t, double *to) {
  int64_t row = (t * s->N + m->n) * s->C;
  if (s->f32) for (int64_t i = 0; i < m->symbols; i++) to[i] = (double)((const float *)(const void *)s->x)[row + m->symbol[i]];
  else for (int64_t i = 0; i < m->symbols; i++) to[i] = ((const double *)(const void *)s->x)[row + m->symbol[i]];
}

static void apply(const batch *s, int map, int64_t n, double *x) {
  const void *in[1] = { x };
  const uint8_t step[1] = { 1 };
  s->c->kernels->map[NP_CF64][map](n, in, step, x, NULL);
}

/* to = log(exp a + exp b + exp c) for all symbols; to may be one of them */
static void add_exps(const batch *s, const sample *m, const double *a, const double *b, const double *c, double *to) {
  int64_t n = m->symbols;
  double *e = m->exps, *most = m->most;
  for (int64_t i = 0; i < n; i++) {
    double high = a[i] > b[i] ? a[i] : b[i];
    high = c[i] > high ? c[i] : high;
    most[i] = high == -INFINITY ? 0 : high;
  }
  for (int64_t i = 0; i < n; i++) e[i] = a[i] - most[i], e[n + i] = b[i] - most[i], e[2 * n + i] = c[i] - most[i];
  apply(s, NP_EW_exp, 3 * n, e);
  for (int64_t i = 0; i < n; i++) e[i] += e[n + i] + e[2 * n + i];
  apply(s, NP_EW_log, n, e);
  for (int64_t i = 0; i < n; i++) to[i] = most[i] + e[i];
}

static double sum_exps(double a, double b) {
  double high = a > b ? a : b;
  return high == -INFINITY ? high : high + log(exp(a - high) + exp(b - high));
}

static void forward_task(void *arg, int64_t n) {
  const batch *s = arg;
  sample m = sample_of(s, n);
  int64_t k = m.symbols;
  for (int64_t t = 0; t < m.T && !np_cancelled(s->c); t++) {
    double *a = s->alpha + (n * s->T + t) * s->width + GUARD;
    const double *before = a - s->width;
    a[-2] = a[-1] = -INFINITY;
    look_up(s, &m, t, m.now);
    if (t == 0) {
      for (int64_t i = 0; i < k; i++) a[i] = i < 2 ? m.now[i] : -INFINITY;
      continue;
    }
    for (int64_t i = 0; i < k; i++) m.two[i] = before[i - 2] + m.skip[i];
    add_exps(s, &m, before, before - 1, m.two, a);
    for (int64_t i = 0; i < k; i++) a[i] += m.now[i];
  }
  const double *end = s->alpha + (n * s->T + m.T - 1) * s->width + GUARD + k - 1;
  s->loss[n] = m.T == 0 ? (k == 1 ? 0 : INFINITY) : k == 1 ? -end[0] : -sum_exps(end[0], end[-1]);
}

static int open_room(batch *s, size_t *bytes) {
  s->room_width = s->width + 2 * GUARD;
  *bytes = (size_t)np_max(1, s->N * TILES * s->room_width) * sizeof(double);
  s->room = np_alloc(s->c, *bytes);
  return s->c->error;
}

int np_ctc_loss_at_run(np_call *c) {
  neap_context *ctx = c->ctx;
  batch s;
  size_t bytes = 0;
  if (open_call(c, &s) == 0) {
    neap_tensor *x = np_contiguous_of(ctx, np_t(c, X), np_native_of(np_t(c, X)->at.dtype)), *loss = np_tensor_new(ctx, NEAP_F64, 1, &s.N);
    if (x && loss && open_room(&s, &bytes) == 0) {
      s.x = np_data(x), s.alpha = (double *)np_data(c->out[1]), s.loss = (double *)np_data(loss);
      np_zero(ctx, c->out[1]);
      np_parallel(ctx, s.N, (double)(s.N * s.T * s.width) * 12, forward_task, &s);
      ctx->kernels->store[NP_CF64][c->out[0]->at.dtype](s.N, s.loss, np_data(c->out[0]), 1);
      np_free(ctx, s.room, bytes);
    }
    neap_release(x);
    neap_release(loss);
  }
  close(&s);
  return ctx->error;
}

/* ---- backward ----
 * b_t(s) = log(sum of exp (b_{t+1} + x_{t+1}) at s, s + 1, and s + 2 unless skipped), 0 at the last two symbols at the end;
 * gx_t(c) = -g sum over s with l'_s = c of exp(a_t(s) + b_t(s) + loss). NaN where the loss is infinite, 0 where g is. */

static void put_slopes(const batch *s, const sample *m, int64_t t, const double *e, double *sums) {
  int64_t row = (t * s->N + m->n) * s->C;
  for (int64_t i = 0; i < m->symbols; i++) sums[m->symbol[i]] += e[i];
  for (int64_t i = 0; i < m->symbols; i++) {
    double v = -s->g[m->n] * sums[m->symbol[i]];
    if (s->f32) ((float *)(void *)s->gx)[row + m->symbol[i]] = fabs(v) < FLT_MIN ? 0 : (float)v; /* subnormal numbers are slow */
    else ((double *)(void *)s->gx)[row + m->symbol[i]] = v;
  }
  for (int64_t i = 0; i < m->symbols; i++) sums[m->symbol[i]] = 0;
}

static void backward_task(void *arg, int64_t n) {
  const batch *s = arg;
  sample m = sample_of(s, n);
  int64_t k = m.symbols;
  double *beta = s->room + (n * TILES + BETA) * s->room_width, *sums = s->room + s->N * TILES * s->room_width + n * s->C;
  memset(sums, 0, (size_t)s->C * sizeof *sums);
  if (m.T == 0 || s->g[n] == 0) return;
  const double *end = s->alpha + (n * s->T + m.T - 1) * s->width + GUARD + k - 1;
  double loss = k == 1 ? -end[0] : -sum_exps(end[0], end[-1]);
  for (int64_t i = 0; i < k + GUARD; i++) beta[i] = i == k - 1 || (i == k - 2 && k > 1) ? 0 : -INFINITY;
  for (int64_t t = m.T - 1; t >= 0 && !np_cancelled(s->c); t--) {
    const double *a = s->alpha + (n * s->T + t) * s->width + GUARD;
    for (int64_t i = 0; i < k; i++) m.one[i] = a[i] + beta[i] + loss;
    apply(s, NP_EW_exp, k, m.one);
    put_slopes(s, &m, t, m.one, sums);
    look_up(s, &m, t, m.now);
    for (int64_t i = 0; i < k; i++) m.one[i] = beta[i] + m.now[i];
    m.one[k] = m.one[k + 1] = -INFINITY;
    for (int64_t i = 0; i < k; i++) m.two[i] = m.one[i + 2] + (i + 2 < k ? m.skip[i + 2] : 0);
    add_exps(s, &m, m.one, m.one + 1, m.two, beta);
  }
}

int np_ctc_loss_at_back(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *x = &b->in[IN_X].at;
  int native = np_native_of(x->dtype);
  batch s;
  if (!b->g[0]) return NEAP_OK;
  int64_t blank = b->arg[BLANK].i;
  if (sizes(&s, c, x, &b->in[IN_TARGETS].at, blank < 0 ? blank + x->shape[x->ndim - 1] : blank) == 0) {
    neap_tensor *times = np_contiguous_of(c, b->x[IN_TIMES], NEAP_I64), *lengths = np_contiguous_of(c, b->x[IN_LENGTHS], NEAP_I64);
    neap_tensor *in = np_contiguous_of(c, b->x[IN_X], native), *g = np_contiguous_of(c, b->g[0], NEAP_F64), *gx = np_tensor_new(c, native, x->ndim, x->shape);
    s.labels = np_contiguous_of(c, b->x[IN_TARGETS], NEAP_I64);
    for (int64_t n = 0; !np_failed(c) && n < s.N; n++) {
      s.time[n] = times ? ((const int64_t *)np_data(times))[n] : s.T;
      s.length[n] = lengths ? ((const int64_t *)np_data(lengths))[n] : s.S;
    }
    if (!np_failed(c)) places(&s, b->in[IN_TARGETS].at.ndim == 2);
    s.room_width = s.width + 2 * GUARD;
    size_t bytes = (size_t)np_max(1, s.N * (TILES * s.room_width + s.C)) * sizeof(double);
    s.room = np_failed(c) ? NULL : np_alloc(c, bytes);
    if (s.room) {
      s.label = (const int64_t *)np_data(s.labels), s.x = np_data(in), s.g = (const double *)np_data(g), s.gx = np_data(gx);
      s.alpha = (double *)np_data(b->y[1]);
      np_zero(c, gx);
      np_parallel(c, s.N, (double)(s.N * s.T * s.width) * 20, backward_task, &s);
      np_free(c, s.room, bytes);
      b->gx[IN_X] = gx;
    }
  }
  close(&s);
  return c->error;
}

/* ---- ctc_loss ---- */

int np_ctc_loss_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *alpha, *divisor = NULL;
  batch s;
  int64_t how = np_i(c, REDUCTION);
  if (open_call(c, &s) == 0 && how == NP_MEAN_OF) {
    divisor = np_tensor_new(ctx, np_t(c, X)->at.dtype, is_batch(&np_t(c, X)->at), &s.N);
    for (int64_t n = 0; divisor && n < s.N; n++)
      np_put_number(divisor->at.dtype, np_data(divisor) + n * np_size_of(divisor->at.dtype), (double)np_max(1, s.length[n]));
  }
  close(&s);
  neap_tensor *loss = neap_ctc_loss_at(ctx, np_t(c, X), np_t(c, TARGETS), np_t(c, TIMES), np_t(c, LENGTHS), np_i(c, BLANK), &alpha);
  if (loss && np_i(c, ZERO_INFINITY)) loss = neap_where(ctx, neap_isinf(ctx, loss), NP_C(ctx, 0), loss);
  if (loss && divisor) loss = neap_div(ctx, loss, divisor);
  return np_loss_reduce(c, loss, how);
}
