/* Recurrent layers, all steps in one op: rnn_steps, lstm_steps, gru_steps. What comes from the input has been multiplied
 * for all steps at once by whoever calls; here h goes from step to step. Rows of a batch are independent, so they are cut into
 * blocks, and a task takes its block through all steps: nothing is waited for between steps, and the weights, turned once,
 * stay in its cache. Backward goes the same way back and leaves the gradients of the gates' sums for all steps, from which
 * the weights' come by one product. The derivatives of the cells stand in kernels/recurrent.inl; the twin is in
 * recurrent_twin.c. */
#include "recurrent.h"
#include "steps.h"

static const np_cell cells[] = {
  { NP_RNN, NP_OP_rnn_steps, 1, 0, -1, 2, -1, -1, 3, 4, 5, 6, -1 },
  { NP_LSTM, NP_OP_lstm_steps, 4, NP_LSTM_KEPT, 2, 3, 4, -1, 5, 6, -1, 7, 3 },
  { NP_GRU, NP_OP_gru_steps, 3, NP_GRU_KEPT, -1, 2, -1, 3, 4, 5, -1, 6, 2 },
};

const np_cell *np_cell_of(const np_op *op) {
  const np_cell *k = cells;
  while (&np_ops[k->op] != op) k++;
  return k;
}

/* ---- checks ---- */

static int expect(np_call *c, int i, int ndim, int64_t rows, int64_t columns, const char *wanted) {
  neap_tensor *t = i >= 0 ? np_t(c, i) : NULL, *p = np_t(c, NP_STEPS_P);
  char a[128], b[128];
  if (!t) return NEAP_OK;
  if (t->at.dtype != p->at.dtype)
    return np_reject(c, NEAP_ERR_DTYPE, "%s is %s, p is %s: all are of one dtype", c->sig->param[i].name, np_dtypes[t->at.dtype].info.name,
                     np_dtypes[p->at.dtype].info.name);
  if (t->at.ndim == ndim && t->at.shape[0] == rows && (ndim == 1 || t->at.shape[1] == columns)) return NEAP_OK;
  np_shape_text(a, sizeof a, t);
  np_shape_text(b, sizeof b, p);
  return np_reject(c, NEAP_ERR_SHAPE, "%s %s does not fit p %s: it is %s", c->sig->param[i].name, a, b, wanted);
}

static int check_lengths(np_call *c, const np_cell *k, int64_t steps, int64_t rows) {
  neap_tensor *t = np_t(c, k->lengths);
  char shape[128];
  if (!t) return NEAP_OK;
  if (np_is_float(t->at.dtype) || t->at.dtype == NEAP_BOOL)
    return np_reject(c, NEAP_ERR_DTYPE, "lengths are integers, not %s", np_dtypes[t->at.dtype].info.name);
  np_shape_text(shape, sizeof shape, t);
  if (t->at.ndim != 1 || t->at.shape[0] != rows)
    return np_reject(c, NEAP_ERR_SHAPE, "lengths %s do not fit a batch of %lld: one for each row", shape, (long long)rows);
  neap_tensor *whole = np_contiguous_of(c->ctx, t, NEAP_I64);
  for (int64_t i = 0; whole && i < rows; i++) {
    int64_t n = ((const int64_t *)(const void *)np_data(whole))[i];
    if (n >= 1 && n <= steps) continue;
    np_reject(c, NEAP_ERR_INDEX, "length %lld of row %lld is not among 1 .. %lld, the steps there are", (long long)n, NP_DIM(c, i), (long long)steps);
    break;
  }
  neap_release(whole);
  return c->ctx->error;
}

static int infer(np_call *c, const np_cell *k) {
  neap_tensor *p = np_t(c, NP_STEPS_P), *w_hr = k->w_hr >= 0 ? np_t(c, k->w_hr) : NULL;
  char shape[128];
  if (np_need_float(c, "p", p) != 0) return c->ctx->error;
  np_shape_text(shape, sizeof shape, p);
  if (p->at.ndim != 3 || p->at.shape[2] % k->gates != 0)
    return np_reject(c, NEAP_ERR_SHAPE, "p %s is not (steps, batch, %d units)", shape, k->gates);
  int64_t T = p->at.shape[0], B = p->at.shape[1], H = p->at.shape[2] / k->gates, P = w_hr && w_hr->at.ndim == 2 ? w_hr->at.shape[0] : H;
  if (expect(c, k->w, 2, k->gates * H, P, "(gates units, units)") != 0 || expect(c, k->w_hr, 2, P, H, "(put out, units)") != 0 ||
      expect(c, NP_STEPS_H0, 2, B, P, "(batch, units)") != 0 || expect(c, k->c0, 2, B, H, "(batch, units)") != 0 ||
      expect(c, k->b, 1, k->gates * H, 0, "(gates units)") != 0 || expect(c, k->mask, 2, B, P, "(batch, units)") != 0 ||
      check_lengths(c, k, T, B) != 0)
    return c->ctx->error;
  int64_t y[] = { T, B, P }, cell[] = { B, H }, kept[] = { np_wants_record(c) ? T : 0, B, k->kept * H };
  int status = np_spec(c, 0, p->at.dtype, 3, y);
  if (status == 0) status = np_spec(c, 1, p->at.dtype, 2, y + 1);
  if (status == 0 && k->c0 >= 0) status = np_spec(c, 2, p->at.dtype, 2, cell);
  if (status == 0 && k->kept_out >= 0) status = np_spec(c, k->kept_out, np_native_of(p->at.dtype) == NEAP_F64 ? NEAP_I64 : NEAP_I32, 3, kept);
  return status;
}

int np_rnn_infer(np_call *c) { return infer(c, &cells[NP_RNN]); }
int np_lstm_infer(np_call *c) { return infer(c, &cells[NP_LSTM]); }
int np_gru_infer(np_call *c) { return infer(c, &cells[NP_GRU]); }

/* ---- what a run works on: contiguous, of the compute type ---- */

typedef struct steps {
  neap_context *ctx;
  const np_cell *cell;
  const np_recurrent *k;
  int ctype, native, relu, reverse;
  int64_t T, B, H, P, GH, size, block, blocks;
  const char *p, *h0, *c0, *w, *w_hr, *stripes, *stripes_hr, *b, *mask;
  const int64_t *lengths;
  char *y, *h, *c, *kept;                       /* forward */
  const char *gy;                               /* backward; gh, gc: in of the last states, out of the first */
  char *gh, *gc, *gp, *gg, *handed;             /* gg: of what the weights made; handed: the gradient of what was put out (T, B, P) */
  char *scratch;
  size_t room;                                  /* bytes of it a block */
} steps;

static const char *data_of(neap_tensor *t) { return t ? np_data(t) : NULL; }

/* A batch is cut into even numbers of blocks of at most 24 rows. */
static void cut(steps *s) {
  s->blocks = s->B < 8 ? 1 : np_blocks(s->B, 48) * 2;
  s->block = np_blocks(s->B, s->blocks > 0 ? s->blocks : 1);
  if (s->B == 0) s->blocks = 0;
}

static int set_up(steps *s, const np_cell *k, neap_context *c, neap_tensor *const *x, const neap_value *arg) {
  int native = np_native_of(x[NP_STEPS_P]->at.dtype);
  neap_tensor *t[9] = { NULL };
  *s = (steps){ .ctx = c, .cell = k, .native = native, .ctype = np_ctype(native), .k = c->kernels->recurrent[np_ctype(native)],
    .relu = k->nonlinearity >= 0 && arg[k->nonlinearity].i == 1, .reverse = arg[k->reverse].i != 0, .size = np_size_of(native) };
  for (int i = 0; i < k->lengths; i++) t[i] = np_contiguous_of(c, x[i], native);
  t[k->lengths] = np_contiguous_of(c, x[k->lengths], NEAP_I64);
  if (np_failed(c)) return c->error;
  const int64_t *shape = x[NP_STEPS_P]->at.shape;
  s->T = shape[0], s->B = shape[1], s->GH = shape[2], s->H = shape[2] / k->gates, s->P = x[k->w]->at.shape[1];
  s->p = data_of(t[NP_STEPS_P]), s->h0 = data_of(t[NP_STEPS_H0]), s->w = data_of(t[k->w]), s->mask = data_of(t[k->mask]);
  if (k->c0 >= 0) s->c0 = data_of(t[k->c0]);
  if (k->w_hr >= 0) s->w_hr = data_of(t[k->w_hr]);
  if (k->b >= 0) s->b = data_of(t[k->b]);
  s->lengths = (const int64_t *)(const void *)data_of(t[k->lengths]);
  cut(s);
  return NEAP_OK;
}

static int64_t step_at(const steps *s, int64_t i) { return s->reverse ? s->T - 1 - i : i; }
static int counts(const steps *s, int64_t t, int64_t row) { return !s->lengths || t < s->lengths[row]; }
static char *row_of(const steps *s, const char *data, int64_t t, int64_t row, int64_t width) {
  return (char *)(uintptr_t)data + ((t * s->B + row) * width) * s->size;
}

enum { STRIPE = 128 }; /* columns of a weight that lie together: rows a page apart would cost a look-up each */

/* out (m, n) = x (m, k) w, within a task; w (k, n) in stripes. */
static void times(const steps *s, int64_t m, int64_t n, int64_t k, const char *x, const char *w, char *out, char *scratch) {
  for (int64_t j = 0; j < n; j += STRIPE) {
    int64_t wide = np_min(STRIPE, n - j);
    s->ctx->kernels->gemm[s->ctype](0, 0, m, wide, k, 1, x, k, w + k * j * s->size, wide, 0, out + j * s->size, n, scratch);
  }
}

/* The matrix w (rows, columns) of the compute type, or with `turn` its transpose, in stripes: (k, STRIPE) after (k, STRIPE). */
static const char *striped(const steps *s, const char *w, int64_t rows, int64_t columns, int turn) {
  int64_t k = turn ? columns : rows, n = turn ? rows : columns, shape[] = { k, n };
  neap_tensor *room = w ? np_tensor_new(s->ctx, s->native, 2, shape) : NULL;
  for (int64_t j = 0; room && j < n; j += STRIPE) {
    int64_t wide = np_min(STRIPE, n - j), across = turn ? columns : 1;
    s->ctx->kernels->copy2d((int)s->size, k, wide, w + j * across * s->size, turn ? 1 : columns, across, np_data(room) + k * j * s->size, wide, 1);
  }
  return room ? np_data(room) : NULL;
}

static void masked(const steps *s, int64_t n, const char *x, const char *mask, char *y) {
  const void *in[2] = { x, mask };
  static const uint8_t step[2] = { 1, 1 };
  s->ctx->kernels->map[s->ctype][NP_EW_mul](n, in, step, y, NULL);
}

static void add(const steps *s, int64_t n, const char *x, char *y) { s->ctx->kernels->reduce[s->ctype]->axpy(n, 1, x, y); }

/* The parts of a block's scratch, one after the other. */
typedef struct rooms { char *gates, *hidden, *handed, *gemm; } rooms;
static size_t round64(size_t n) { return (n + 63) / 64 * 64; }
static rooms room_of(const steps *s, int64_t block) {
  rooms r = { .gates = s->scratch + (size_t)block * s->room };
  r.hidden = r.gates + round64((size_t)(s->block * s->GH * s->size));
  r.handed = r.hidden + round64((size_t)(s->block * s->H * s->size));
  r.gemm = r.handed + round64((size_t)(s->block * s->P * s->size));
  return r;
}

static int make_room(steps *s) {
  size_t (*need)(int64_t, int64_t, int64_t) = s->ctx->kernels->gemm_scratch[s->ctype];
  size_t gemm = 0, of[4] = { need(s->block, s->GH, s->P), need(s->block, s->P, s->GH), need(s->block, s->P, s->H), need(s->block, s->H, s->P) };
  for (int i = 0; i < 4; i++) gemm = of[i] > gemm ? of[i] : gemm;
  s->room = round64((size_t)(s->block * s->GH * s->size)) + round64((size_t)(s->block * s->H * s->size)) +
            round64((size_t)(s->block * s->P * s->size)) + round64(gemm);
  s->scratch = s->blocks ? np_alloc(s->ctx, s->room * (size_t)s->blocks) : NULL;
  return s->ctx->error;
}

static void run(steps *s, neap_task task) {
  double work = (double)s->T * (double)s->B * (double)s->GH * ((double)s->P / 60 + 3);
  np_parallel(s->ctx, s->blocks, work, task, s);
}

/* ---- forward ---- */

static void forward_row(const steps *s, int64_t t, int64_t row, const char *gates, char *h) {
  const char *p = row_of(s, s->p, t, row, s->GH);
  char *kept = s->kept ? row_of(s, s->kept, t, row, s->cell->kept * s->H) : NULL;
  if (s->cell->kind == NP_LSTM) s->k->lstm(s->H, p, gates, s->c + row * s->H * s->size, h, kept);
  else if (s->cell->kind == NP_GRU) s->k->gru(s->H, p, gates, s->b, h, kept);
  else s->k->rnn[s->relu](s->H, p, gates, h);
}

/* Step t of rows from..to, which lie in s->h as they were before. */
static void forward_step(const steps *s, int64_t t, int64_t from, int64_t to, const rooms *r) {
  int64_t m = to - from, out = s->P * s->size;
  char *h = s->h + from * out;
  const char *before = h;
  if (s->mask) masked(s, m * s->P, h, s->mask + from * out, r->handed), before = r->handed;
  times(s, m, s->GH, s->P, before, s->stripes, r->gates, r->gemm);
  for (int64_t i = 0; i < m; i++)
    if (counts(s, t, from + i))
      forward_row(s, t, from + i, r->gates + i * s->GH * s->size, s->w_hr ? r->hidden + i * s->H * s->size : h + i * out);
    else if (s->w_hr) memset(r->hidden + i * s->H * s->size, 0, (size_t)(s->H * s->size));
  if (s->w_hr) times(s, m, s->P, s->H, r->hidden, s->stripes_hr, r->handed, r->gemm);
  for (int64_t i = 0; i < m; i++) {
    char *y = row_of(s, s->y, t, from + i, s->P);
    if (!counts(s, t, from + i)) {
      memset(y, 0, (size_t)out);
      continue;
    }
    if (s->w_hr) memcpy(h + i * out, r->handed + i * out, (size_t)out);
    memcpy(y, h + i * out, (size_t)out);
  }
}

static void forward_block(void *arg, int64_t block) {
  const steps *s = arg;
  int64_t from = block * s->block, to = np_min(from + s->block, s->B), m = to - from;
  rooms r = room_of(s, block);
  if (m <= 0) return;
  memcpy(s->h + from * s->P * s->size, s->h0 + from * s->P * s->size, (size_t)(m * s->P * s->size));
  if (s->c) memcpy(s->c + from * s->H * s->size, s->c0 + from * s->H * s->size, (size_t)(m * s->H * s->size));
  for (int64_t i = 0; i < s->T; i++) forward_step(s, step_at(s, i), from, to, &r);
}

static int forward(np_call *call, const np_cell *k, neap_tensor **x) {
  neap_context *c = call->ctx;
  steps s;
  if (set_up(&s, k, c, x, call->arg) != 0) return c->error;
  neap_tensor *out[3] = { NULL };
  int n = k->c0 >= 0 ? 3 : 2;
  for (int i = 0; i < n; i++) out[i] = np_room(call->out[i], s.native);
  s.stripes = striped(&s, s.w, s.GH, s.P, 1), s.stripes_hr = striped(&s, s.w_hr, s.P, s.H, 1);
  if (np_failed(c) || make_room(&s) != 0) return c->error;
  s.y = np_data(out[0]), s.h = np_data(out[1]), s.c = n > 2 ? np_data(out[2]) : NULL;
  if (k->kept_out >= 0 && call->out[k->kept_out]->at.count > 0) s.kept = np_data(call->out[k->kept_out]);
  run(&s, forward_block);
  for (int i = 0; i < n; i++) np_deliver(c, call->out[i], out[i]);
  np_free(c, s.scratch, s.room * (size_t)s.blocks);
  return c->error;
}

int np_recurrent_run(np_call *call) {
  const np_cell *k = np_cell_of(call->op);
  neap_context *c = call->ctx;
  neap_tensor *x[9] = { NULL };
  neap_scope scope;
  for (int i = 0; i <= k->lengths; i++) x[i] = np_t(call, i);
  int mode = neap_grad_mode(c, 0);
  np_scope_enter(c, &scope);
  forward(call, k, x);
  np_scope_leave(&scope, 0, NULL);
  neap_grad_mode(c, mode);
  return c->error;
}

/* ---- backward ---- */

/* h or c of a row before step i (counted in the order of the run): the first state when i is the row's first that counts. */
static int is_first(const steps *s, int64_t i, int64_t row) {
  return i == 0 || !counts(s, step_at(s, i - 1), row);
}
static const char *h_before(const steps *s, int64_t i, int64_t row) {
  return is_first(s, i, row) ? s->h0 + row * s->P * s->size : row_of(s, s->y, step_at(s, i - 1), row, s->P);
}
static const char *c_before(const steps *s, int64_t i, int64_t row) {
  if (is_first(s, i, row)) return s->c0 + row * s->H * s->size;
  return row_of(s, s->kept, step_at(s, i - 1), row, NP_LSTM_KEPT * s->H) + 4 * s->H * s->size;
}

static void backward_row(const steps *s, int64_t i, int64_t row, char *gh) {
  int64_t t = step_at(s, i);
  char *gp = row_of(s, s->gp, t, row, s->GH);
  const char *kept = s->kept ? row_of(s, s->kept, t, row, s->cell->kept * s->H) : NULL;
  if (s->cell->kind == NP_LSTM) s->k->lstm_back(s->H, kept, c_before(s, i, row), gh, s->gc + row * s->H * s->size, gp);
  else if (s->cell->kind == NP_GRU) s->k->gru_back(s->H, kept, h_before(s, i, row), gh, gp, row_of(s, s->gg, t, row, s->GH));
  else s->k->rnn_back[s->relu](s->H, row_of(s, s->y, t, row, s->P), gh, gp);
}

/* Step i of rows from..to. s->gh: the gradient of h after the step, then of h before it. */
static void backward_step(const steps *s, int64_t i, int64_t from, int64_t to, const rooms *r) {
  int64_t t = step_at(s, i), m = to - from, out = s->P * s->size, wide = s->GH * s->size;
  char *gh = s->gh + from * out, *gg = row_of(s, s->gg, t, from, s->GH);
  for (int64_t j = 0; j < m; j++)
    if (counts(s, t, from + j) && s->gy) add(s, s->P, row_of(s, s->gy, t, from + j, s->P), gh + j * out);
  if (s->w_hr) {
    memcpy(row_of(s, s->handed, t, from, s->P), gh, (size_t)(m * out));
    times(s, m, s->H, s->P, gh, s->stripes_hr, r->hidden, r->gemm);
  }
  for (int64_t j = 0; j < m; j++) {
    if (counts(s, t, from + j)) {
      backward_row(s, i, from + j, s->w_hr ? r->hidden + j * s->H * s->size : gh + j * out);
      continue;
    }
    memset(gg + j * wide, 0, (size_t)wide);
    if (s->gp != s->gg) memset(row_of(s, s->gp, t, from + j, s->GH), 0, (size_t)wide);
    if (s->w_hr) memset(row_of(s, s->handed, t, from + j, s->P), 0, (size_t)out);
  }
  times(s, m, s->P, s->GH, gg, s->stripes, r->handed, r->gemm);
  if (s->mask) masked(s, m * s->P, r->handed, s->mask + from * out, r->handed);
  for (int64_t j = 0; j < m; j++) {
    if (!counts(s, t, from + j)) continue;
    if (s->cell->kind == NP_GRU) add(s, s->P, r->handed + j * out, gh + j * out);
    else memcpy(gh + j * out, r->handed + j * out, (size_t)out);
  }
}

static void backward_block(void *arg, int64_t block) {
  const steps *s = arg;
  int64_t from = block * s->block, to = np_min(from + s->block, s->B);
  rooms r = room_of(s, block);
  if (to <= from) return;
  for (int64_t i = s->T - 1; i >= 0; i--) backward_step(s, i, from, to, &r);
}

/* All h as they went into the steps' products, (T, B, P). */
static neap_tensor *states_before(const steps *s) {
  int64_t shape[] = { s->T, s->B, s->P };
  neap_tensor *all = np_tensor_new(s->ctx, s->native, 3, shape);
  for (int64_t i = 0; all && i < s->T; i++)
    for (int64_t row = 0; row < s->B; row++) {
      char *to = row_of(s, np_data(all), step_at(s, i), row, s->P);
      if (s->mask) masked(s, s->P, h_before(s, i, row), s->mask + row * s->P * s->size, to);
      else memcpy(to, h_before(s, i, row), (size_t)(s->P * s->size));
    }
  return all;
}

/* What an LSTM's projection was given: o tanh(c), (T, B, H). */
static neap_tensor *hidden_of(const steps *s) {
  int64_t shape[] = { s->T, s->B, s->H };
  neap_tensor *all = np_tensor_new(s->ctx, s->native, 3, shape);
  static const uint8_t step[2] = { 1, 1 };
  for (int64_t r = 0; all && r < s->T * s->B; r++) {
    const char *kept = s->kept + r * NP_LSTM_KEPT * s->H * s->size;
    char *to = np_data(all) + r * s->H * s->size;
    if (!counts(s, r / s->B, r % s->B)) {
      memset(to, 0, (size_t)(s->H * s->size));
      continue;
    }
    const void *c = kept + 4 * s->H * s->size, *in[2] = { to, kept + 3 * s->H * s->size };
    s->ctx->kernels->map[s->ctype][NP_EW_tanh](s->H, &c, step, to, NULL);
    s->ctx->kernels->map[s->ctype][NP_EW_mul](s->H, in, step, to, NULL);
  }
  return all;
}

/* g' x over all steps and rows, g (T B, n), x (T B, k): (n, k). */
static neap_tensor *weight_gradient(const steps *s, const char *g, int64_t n, neap_tensor *x) {
  int64_t k = x ? x->at.shape[2] : 0, shape[] = { n, k };
  neap_tensor *y = x ? np_tensor_new(s->ctx, s->native, 2, shape) : NULL;
  if (y && s->T * s->B == 0) np_zero(s->ctx, y);
  else if (y) np_product(s->ctx, s->native, 1, 0, n, k, s->T * s->B, 1, g, n, np_data(x), k, 0, np_data(y), k);
  return y;
}

/* A gradient that goes in and out: a copy of g, or zeros, of x's shape. */
static neap_tensor *flowing(neap_context *c, neap_tensor *g, neap_tensor *x, int native) {
  neap_tensor *y = np_tensor_like(x, native);
  if (y && g) np_copy(c, y, g);
  else if (y) np_zero(c, y);
  return y;
}

int np_recurrent_back(np_back *b) {
  const np_cell *k = np_cell_of(b->op);
  neap_context *c = b->ctx;
  neap_tensor *const *x = b->x;
  steps s;
  if (set_up(&s, k, c, x, b->arg) != 0) return c->error;
  neap_tensor *y = np_contiguous_of(c, b->y[0], s.native), *gy = np_contiguous_of(c, b->g[0], s.native), *gh = flowing(c, b->g[1], x[NP_STEPS_H0], s.native);
  neap_tensor *gc = k->c0 >= 0 ? flowing(c, b->g[2], x[k->c0], s.native) : NULL, *gp = np_tensor_like(x[NP_STEPS_P], s.native);
  s.stripes = striped(&s, s.w, s.GH, s.P, 0), s.stripes_hr = striped(&s, s.w_hr, s.P, s.H, 0);
  neap_tensor *gg = k->kind == NP_GRU ? np_tensor_like(x[NP_STEPS_P], s.native) : gp, *handed = s.w_hr ? np_tensor_like(b->y[0], s.native) : NULL;
  if (np_failed(c) || make_room(&s) != 0) return c->error;
  s.y = np_data(y), s.gy = data_of(gy), s.gh = np_data(gh), s.gp = np_data(gp), s.gg = np_data(gg);
  if (gc) s.gc = np_data(gc);
  if (handed) s.handed = np_data(handed);
  if (k->kept_out >= 0) s.kept = np_data(b->y[k->kept_out]);
  run(&s, backward_block);
  np_free(c, s.scratch, s.room * (size_t)s.blocks);
  b->gx[NP_STEPS_P] = gp;
  b->gx[NP_STEPS_H0] = gh;
  if (gc) b->gx[k->c0] = gc;
  if (b->in[k->w].needs) b->gx[k->w] = weight_gradient(&s, s.gg, s.GH, states_before(&s));
  if (s.w_hr && b->in[k->w_hr].needs) b->gx[k->w_hr] = weight_gradient(&s, s.handed, s.P, hidden_of(&s));
  if (k->b >= 0 && b->in[k->b].needs) b->gx[k->b] = np_sum_to(c, gg, &b->in[k->b].at);
  if (b->in[k->mask].needs) { /* of the sums' gradients through the weights, times h */
    neap_tensor *flat = neap_matmul(c, gg, x[k->w]), *before = NULL;
    s.mask = NULL;
    before = states_before(&s);
    b->gx[k->mask] = flat && before ? np_sum_to(c, neap_mul(c, flat, before), &b->in[k->mask].at) : NULL;
  }
  return c->error;
}
