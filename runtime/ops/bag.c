/* Bags of rows: embedding_bag adds up, averages or takes the largest of the rows of weight that each bag names, without
 * making the rows. And the rows that are too long, which max_norm shortens where they lie. */
#include "bag.h"

enum { INPUT, WEIGHT, OFFSETS, SHARES, MEAN, PADDING, BY_FREQUENCY }; /* arguments of embedding_bag_at */
enum { IN_INPUT, IN_WEIGHT, IN_OFFSETS, IN_SHARES };                  /* the tensors, as records number them */

/* ---- max_norm: rows are renormalised in place, unrecorded ---- */

typedef struct renorm {
  neap_context *c;
  neap_tensor *w;
  const int64_t *row;
  int64_t n, per_task;
  double most, p;
} renorm;

static double length_of(const renorm *s, const char *row) {
  const np_layout *l = &s->w->at;
  int64_t n = l->shape[1], step = l->stride[1], size = np_size_of(l->dtype);
  double sum = 0;
  if (s->p == 2 && step == 1 && np_is_native(l->dtype)) {
    s->c->kernels->reduce[np_ctype(l->dtype)]->row[NP_SUM_SQ](n, row, &sum);
    return sqrt(sum);
  }
  for (int64_t i = 0; i < n; i++) {
    double x = fabs(np_get_number(l->dtype, row + i * step * size));
    if (isinf(s->p)) sum = fmax(sum, x);
    else sum += s->p == 2 ? x * x : s->p == 1 ? x : pow(x, s->p);
  }
  return isinf(s->p) || s->p == 1 ? sum : pow(sum, 1 / s->p);
}

static void renorm_task(void *arg, int64_t task) {
  const renorm *s = arg;
  const np_layout *l = &s->w->at;
  int64_t size = np_size_of(l->dtype), last = np_min((task + 1) * s->per_task, s->n);
  for (int64_t k = task * s->per_task; k < last; k++) {
    char *row = np_data(s->w) + s->row[k] * l->stride[0] * size;
    double length = length_of(s, row);
    if (!(length > s->most)) continue;
    double factor = s->most / (length + 1e-7);
    for (int64_t i = 0; i < l->shape[1]; i++) {
      char *x = row + i * l->stride[1] * size;
      np_put_number(l->dtype, x, factor * np_get_number(l->dtype, x));
    }
  }
}

int np_embedding_renorm(np_call *c, neap_tensor *input, neap_tensor *weight, double most, double p) {
  neap_context *ctx = c->ctx;
  np_positions at;
  if (!(most > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "max_norm is %g, it must be above 0", most);
  if (!(p > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "norm_type is %g, it must be above 0", p);
  if (weight->storage->read_only) return np_reject(c, NEAP_ERR_STATE, "max_norm changes weight in place, whose memory is read-only");
  if (input->at.count == 0 || weight->at.count == 0) return NEAP_OK;
  if (np_positions_get(ctx, input, &at) != 0) return ctx->error;
  size_t marks = (size_t)weight->at.shape[0], bytes = (size_t)at.n * sizeof(int64_t) + marks;
  int64_t *rows = np_alloc(ctx, bytes), n = 0;
  if (rows) {
    uint8_t *seen = (uint8_t *)(rows + at.n);
    memset(seen, 0, marks);
    for (int64_t i = 0; i < at.n; i++) { /* each row once */
      int64_t row = np_position(&at, i) - ctx->site.base;
      if (!seen[row]) rows[n++] = row;
      seen[row] = 1;
    }
    renorm s = { .c = ctx, .w = weight, .row = rows, .n = n, .most = most, .p = p, .per_task = np_max(1, NP_GRAIN / weight->at.shape[1]) };
    np_parallel(ctx, np_blocks(n, s.per_task), (double)(n * weight->at.shape[1]), renorm_task, &s);
    np_tensor_written(weight, c->op->name);
    np_free(ctx, rows, bytes);
  }
  neap_release(at.t);
  return ctx->error;
}

/* 1 over how often each entry of `index` occurs in it, of its shape. */
neap_tensor *np_index_shares(neap_context *c, neap_tensor *index, int64_t entries, int dtype) {
  np_positions at;
  neap_tensor *y = np_tensor_new(c, dtype, index->at.ndim, index->at.shape), *counts = np_tensor_new(c, NEAP_I64, 1, &entries);
  if (!y || !counts || np_positions_get(c, index, &at) != 0) return NULL;
  int64_t *count = (int64_t *)np_data(counts);
  np_zero(c, counts);
  for (int64_t i = 0; i < at.n; i++) count[np_position(&at, i) - c->site.base]++;
  for (int64_t i = 0; i < at.n; i++)
    np_put_number(dtype, np_data(y) + i * np_size_of(dtype), 1 / (double)count[np_position(&at, i) - c->site.base]);
  neap_release(at.t);
  return y;
}

/* ---- embedding_bag_at: input (n), offsets (bags + 1), shares (n)?: sums and means ----
 * y_b = sum over i in bag b of s_i w[input_i], s_i the share (1), over the number of entries for a mean; padding counts
 * for nothing. gw[input_i] += s_i g_b; gs_i = g_b . w[input_i]. */

typedef struct bags {
  neap_context *c;
  const np_reduce *k;
  np_positions at, offsets;
  int64_t bags, n, wide, padding, size, per_task; /* padding: a row, or -1 */
  int native, mean;
  const char *w, *g, *shares;
  char *y;                       /* forward: y; backward: gw */
  double *factor;                /* backward: s_i over all that divides it */
} bags;

static int64_t row_of(const bags *s, int64_t i) { return np_position(&s->at, i) - s->c->site.base; }
static int64_t edge(const bags *s, int64_t bag) { return np_position(&s->offsets, bag) - s->c->site.base; }
static double share_of(const bags *s, int64_t i) { return s->shares ? np_get_number(s->native, s->shares + i * s->size) : 1; }
static double divisor_of(const bags *s, int64_t bag) {
  int64_t n = 0;
  for (int64_t i = edge(s, bag); s->mean && i < edge(s, bag + 1); i++) n += row_of(s, i) != s->padding;
  return n ? (double)n : 1;
}

static int open(bags *s, neap_context *c, neap_tensor *input, neap_tensor *offsets, const np_layout *w, int64_t mean, const neap_value *padding) {
  *s = (bags){ .c = c, .native = np_native_of(w->dtype), .wide = w->shape[1], .mean = (int)mean, .padding = -1 };
  s->k = c->kernels->reduce[np_ctype(s->native)];
  s->size = np_size_of(s->native);
  if (padding->kind != NEAP_NONE) s->padding = padding->i < 0 ? padding->i + w->shape[0] : padding->i;
  if (np_positions_get(c, input, &s->at) != 0 || np_positions_get(c, offsets, &s->offsets) != 0) return c->error;
  s->n = s->at.n, s->bags = s->offsets.n - 1;
  s->per_task = np_max(1, NP_GRAIN / np_max(1, s->wide * np_blocks(s->n, np_max(1, s->bags))));
  return NEAP_OK;
}
static void close(bags *s) {
  neap_release(s->at.t);
  neap_release(s->offsets.t);
}

int np_embedding_bag_at_infer(np_call *c) {
  const np_layout *w = &np_t(c, WEIGHT)->at, *offsets = &np_t(c, OFFSETS)->at;
  if (w->ndim != 2 || np_t(c, INPUT)->at.ndim != 1 || offsets->ndim != 1 || offsets->count < 1)
    return np_reject(c, NEAP_ERR_SHAPE, "takes input (n), weight (entries, size) and offsets (bags + 1)");
  return np_spec(c, 0, w->dtype, 2, (int64_t[]){ offsets->count - 1, w->shape[1] });
}

static void bag_task(void *arg, int64_t task) {
  const bags *s = arg;
  int64_t last = np_min((task + 1) * s->per_task, s->bags);
  const uint8_t step[2] = { 1, 0 };
  if (np_cancelled(s->c)) return;
  for (int64_t b = task * s->per_task; b < last; b++) {
    char *y = s->y + b * s->wide * s->size;
    memset(y, 0, (size_t)(s->wide * s->size));
    for (int64_t i = edge(s, b); i < edge(s, b + 1); i++)
      if (row_of(s, i) != s->padding) s->k->axpy(s->wide, share_of(s, i), s->w + row_of(s, i) * s->wide * s->size, y);
    double by = divisor_of(s, b), number;
    np_put_number(s->native, &number, by);
    const void *in[2] = { y, &number };
    if (by != 1) s->c->kernels->map[np_ctype(s->native)][NP_EW_div](s->wide, in, step, y, NULL);
  }
}

int np_embedding_bag_at_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *w = np_t(c, WEIGHT), *y = c->out[0];
  bags s;
  if (open(&s, ctx, np_t(c, INPUT), np_t(c, OFFSETS), &w->at, np_i(c, MEAN), &c->arg[PADDING]) == 0) {
    neap_tensor *rows = np_contiguous_of(ctx, w, s.native), *shares = np_contiguous_of(ctx, np_t(c, SHARES), s.native);
    neap_tensor *out = np_room(y, s.native);
    if (!np_failed(ctx)) {
      s.w = np_data(rows), s.shares = shares ? np_data(shares) : NULL, s.y = np_data(out);
      np_parallel(ctx, np_blocks(s.bags, s.per_task), (double)(s.n * s.wide) * 0.3, bag_task, &s);
    }
    np_deliver(ctx, y, out);
    neap_release(rows), neap_release(shares);
  }
  close(&s);
  return ctx->error;
}

/* s_i over what divides it, for each entry; and which bag it is in. */
static neap_tensor *factors(np_back *b, const bags *s, int with_shares, neap_tensor **bag) {
  neap_context *c = b->ctx;
  neap_tensor *f = np_tensor_new(c, NEAP_F64, 1, &s->n);
  neap_tensor *often = b->arg[BY_FREQUENCY].i ? np_index_shares(c, b->x[IN_INPUT], b->in[IN_WEIGHT].at.shape[0], NEAP_F64) : NULL;
  if (bag) *bag = np_tensor_new(c, NEAP_I64, 1, &s->n);
  if (np_failed(c)) return NULL;
  double *to = (double *)np_data(f);
  np_zero(c, f);
  for (int64_t k = 0; k < s->bags; k++) {
    double by = divisor_of(s, k);
    for (int64_t i = edge(s, k); i < edge(s, k + 1); i++) {
      if (row_of(s, i) != s->padding) to[i] = (with_shares ? share_of(s, i) : 1) / by * (often ? ((const double *)np_data(often))[i] : 1);
      if (bag) ((int64_t *)np_data(*bag))[i] = k + c->site.base;
    }
  }
  return f;
}

enum { COLUMNS = 16 };
static int64_t columns_of(const bags *s) { return np_max(COLUMNS, np_blocks(np_blocks(s->wide, 8), COLUMNS) * COLUMNS); }

static void spread_task(void *arg, int64_t task) { /* some columns of gw, in the order of the entries */
  const bags *s = arg;
  int64_t from = task * columns_of(s), n = np_min(columns_of(s), s->wide - from);
  if (np_cancelled(s->c)) return;
  for (int64_t b = 0; b < s->bags; b++)
    for (int64_t i = edge(s, b); i < edge(s, b + 1); i++)
      if (s->factor[i] != 0) s->k->axpy(n, s->factor[i], s->g + (b * s->wide + from) * s->size, s->y + (row_of(s, i) * s->wide + from) * s->size);
}

static void dot_task(void *arg, int64_t task) { /* gradients of shares */
  const bags *s = arg;
  int64_t last = np_min((task + 1) * s->per_task, s->bags);
  for (int64_t b = task * s->per_task; b < last; b++)
    for (int64_t i = edge(s, b); i < edge(s, b + 1); i++) {
      s->factor[i] = 0;
      if (row_of(s, i) != s->padding) s->k->dot(s->wide, s->g + b * s->wide * s->size, s->w + row_of(s, i) * s->wide * s->size, s->factor + i);
    }
}

int np_embedding_bag_at_back(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *w = &b->in[IN_WEIGHT].at;
  bags s;
  if (open(&s, c, b->x[IN_INPUT], b->x[IN_OFFSETS], w, b->arg[MEAN].i, &b->arg[PADDING]) == 0) {
    neap_tensor *g = np_contiguous_of(c, b->g[0], s.native), *shares = np_contiguous_of(c, b->x[IN_SHARES], s.native), *f = NULL;
    if (g) s.g = np_data(g), s.shares = shares ? np_data(shares) : NULL;
    double work = (double)(s.n * s.wide) * 0.5;
    if (g && b->in[IN_WEIGHT].needs && (f = factors(b, &s, 1, NULL))) {
      neap_tensor *gw = np_tensor_new(c, s.native, 2, w->shape);
      if (gw) {
        np_zero(c, gw);
        s.y = np_data(gw), s.factor = (double *)np_data(f);
        np_parallel(c, np_blocks(s.wide, columns_of(&s)), work, spread_task, &s);
      }
      b->gx[IN_WEIGHT] = gw;
    }
    if (g && b->in[IN_SHARES].needs && (f = np_tensor_new(c, NEAP_F64, 1, &s.n))) {
      neap_tensor *rows = np_contiguous_of(c, b->x[IN_WEIGHT], s.native);
      if (rows) {
        s.w = np_data(rows), s.factor = (double *)np_data(f);
        np_parallel(c, np_blocks(s.bags, s.per_task), work, dot_task, &s);
      }
      b->gx[IN_SHARES] = f;
    }
  }
  close(&s);
  return c->error;
}

int np_embedding_bag_at_twin(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *w = &b->in[IN_WEIGHT].at;
  neap_tensor *bag = NULL, *f = NULL, *index = b->x[IN_INPUT];
  bags s;
  if (open(&s, c, index, b->x[IN_OFFSETS], w, b->arg[MEAN].i, &b->arg[PADDING]) == 0) f = factors(b, &s, 0, &bag);
  close(&s);
  if (!f) return c->error;
  neap_tensor *each = neap_mul(c, neap_index_select(c, b->g[0], 0, bag), neap_to(c, neap_unsqueeze(c, f, 1), b->g[0] ? b->g[0]->at.dtype : NEAP_F64));
  if (b->in[IN_WEIGHT].needs) {
    neap_tensor *part = b->in[IN_SHARES].given ? neap_mul(c, each, neap_unsqueeze(c, b->x[IN_SHARES], 1)) : each;
    b->gx[IN_WEIGHT] = neap_index_add_(c, np_zeros_like(c, w), 0, index, part, 1);
  }
  int64_t last = -1;
  if (b->in[IN_SHARES].needs) b->gx[IN_SHARES] = neap_sum(c, neap_mul(c, each, neap_index_select(c, b->x[IN_WEIGHT], 0, index)), 1, &last, 0, -1);
  return c->error;
}

/* ---- embedding_bag: input weight offsets max_norm norm_type scale_grad_by_freq mode per_sample_weights include_last_offset padding_idx ---- */

enum { MAX_NORM = 3, NORM_TYPE, FREQUENCY, MODE, WEIGHTS, WITH_LAST, PADDING_IDX };
enum { MODE_MEAN, MODE_SUM, MODE_MAX };

static int check(np_call *c) {
  neap_tensor *x = np_t(c, INPUT), *w = np_t(c, WEIGHT), *offsets = np_t(c, OFFSETS), *shares = np_t(c, WEIGHTS);
  char a[128], b[128], why[96];
  np_shape_text(a, sizeof a, x);
  if (np_need_float(c, "weight", w) != 0) return c->ctx->error;
  if (w->at.ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "weight must have 2 dimensions, (entries, size), got %d", w->at.ndim);
  if (x->at.ndim != 1 && x->at.ndim != 2) return np_reject(c, NEAP_ERR_SHAPE, "input is (bags, entries), or (entries) with offsets, got %s", a);
  if (x->at.ndim == 2 && offsets) return np_reject(c, NEAP_ERR_ARGUMENT, "offsets part an input of one dimension: the rows of input %s are bags already", a);
  if (x->at.ndim == 1 && !offsets) return np_reject(c, NEAP_ERR_ARGUMENT, "input has one dimension: offsets must say where its bags begin");
  np_dim_text(why, sizeof why, c, 0, "weight", w);
  if (np_positions_check(c, "input", x, w->at.shape[0], why, 0, NULL) != 0) return c->ctx->error;
  int64_t pad = np_given(c, PADDING_IDX) ? np_i(c, PADDING_IDX) : 0;
  if (np_given(c, PADDING_IDX) && (pad < -w->at.shape[0] || pad >= w->at.shape[0]))
    return np_reject(c, NEAP_ERR_INDEX, "padding_idx is %lld, weight has %lld entries", pad < 0 ? (long long)pad : NP_DIM(c, pad), (long long)w->at.shape[0]);
  if (shares && np_i(c, MODE) != MODE_SUM) return np_reject(c, NEAP_ERR_ARGUMENT, "per_sample_weights are for mode 'sum'");
  if (shares && (np_need_float(c, "per_sample_weights", shares) != 0 || !np_same_shape(shares, x))) {
    np_shape_text(b, sizeof b, shares);
    return np_reject(c, NEAP_ERR_SHAPE, "per_sample_weights %s must have the shape of input %s", b, a);
  }
  if (!offsets) return NEAP_OK;
  if (offsets->at.ndim != 1 || offsets->at.count < np_i(c, WITH_LAST))
    return np_reject(c, NEAP_ERR_SHAPE, "offsets must be a list of positions%s, got %d dimensions", np_i(c, WITH_LAST) ? ", the last one behind input" : "", offsets->at.ndim);
  np_text t;
  np_text_init(&t, why, sizeof why);
  np_text_add(&t, "input has %lld entries", (long long)x->at.count);
  return np_positions_check(c, "offsets", offsets, x->at.count + 1, why, 0, NULL);
}

/* Where each bag begins, and where the last one ends: (bags + 1), counted from the caller's base. */
static neap_tensor *edges(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, INPUT);
  np_positions p = { .t = NULL };
  int rows = x->at.ndim == 2;
  if (!rows && np_positions_get(ctx, np_t(c, OFFSETS), &p) != 0) return NULL;
  int64_t base = ctx->site.base, n = rows ? x->at.shape[0] : p.n - (np_i(c, WITH_LAST) != 0), count = n + 1;
  neap_tensor *t = np_tensor_new(ctx, NEAP_I64, 1, &count);
  int64_t *to = t ? (int64_t *)np_data(t) : NULL;
  for (int64_t i = 0; to && i <= n; i++) to[i] = rows ? i * x->at.shape[1] + base : i < p.n ? np_position(&p, i) : x->at.count + base;
  neap_release(p.t);
  for (int64_t i = 0; to && i < n; i++)
    if (to[i + 1] < to[i] || (i == 0 && to[0] != base)) {
      np_reject(c, NEAP_ERR_ARGUMENT, to[i + 1] < to[i] ? "offsets fall: %lld comes before %lld" : "offsets begin with %lld, not with the first position, %lld",
                (long long)to[i], (long long)(to[i + 1] < to[i] ? to[i + 1] : base));
      return NULL;
    }
  return t;
}

static neap_tensor *largest(np_call *c, neap_tensor *input, neap_tensor *offsets) { /* 0 for bags without entries */
  neap_context *ctx = c->ctx;
  neap_tensor *w = np_t(c, WEIGHT);
  bags s;
  int64_t n = 0;
  neap_tensor *index = NULL, *bag = NULL;
  if (open(&s, ctx, input, offsets, &w->at, 0, &c->arg[PADDING_IDX]) == 0) {
    int64_t all = s.bags ? edge(&s, s.bags) : 0;
    for (int64_t i = 0; i < all; i++) n += row_of(&s, i) != s.padding;
    index = np_tensor_new(ctx, NEAP_I64, 1, &n), bag = np_tensor_new(ctx, NEAP_I64, 1, &n);
    n = 0;
    for (int64_t b = 0; index && bag && b < s.bags; b++)
      for (int64_t i = edge(&s, b); i < edge(&s, b + 1); i++) {
        if (row_of(&s, i) == s.padding) continue;
        ((int64_t *)np_data(index))[n] = row_of(&s, i) + ctx->site.base;
        ((int64_t *)np_data(bag))[n++] = b + ctx->site.base;
      }
  }
  int64_t shape[2] = { s.bags, s.wide };
  close(&s);
  if (np_failed(ctx)) return NULL;
  neap_tensor *rows = neap_embedding(ctx, index, w, NEAP_ABSENT, NAN, 2, (int)np_i(c, FREQUENCY)), *zeros = neap_zeros(ctx, 2, shape, w->at.dtype);
  if (n == 0 || !rows) return zeros;
  neap_tensor *places = neap_expand(ctx, neap_unsqueeze(ctx, bag, 1), 2, (int64_t[]){ n, shape[1] });
  return neap_scatter_reduce(ctx, zeros, 0, places, rows, 3, 0);
}

int np_embedding_bag_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *w = np_t(c, WEIGHT), *shares = np_t(c, WEIGHTS);
  if (check(c) != 0) return ctx->error;
  neap_tensor *offsets = edges(c);
  if (!offsets || (np_given(c, MAX_NORM) && np_embedding_renorm(c, np_t(c, INPUT), w, np_d(c, MAX_NORM), np_d(c, NORM_TYPE)) != 0)) return ctx->error;
  neap_tensor *input = neap_reshape(ctx, np_t(c, INPUT), 1, (int64_t[]){ -1 });
  int64_t padding = np_given(c, PADDING_IDX) ? np_i(c, PADDING_IDX) : NEAP_ABSENT, mean = np_i(c, MODE) == MODE_MEAN, often = np_i(c, FREQUENCY);
  if (!input) return ctx->error;
  if (np_i(c, MODE) == MODE_MAX) c->out[0] = largest(c, input, offsets);
  else if (!shares) c->out[0] = neap_embedding_bag_at(ctx, input, w, offsets, NULL, (int)mean, padding, (int)often);
  else c->out[0] = neap_embedding_bag_weighted(ctx, input, w, offsets, neap_reshape(ctx, shares, 1, (int64_t[]){ -1 }), (int)mean, padding, (int)often);
  return ctx->error;
}
