/* Attention, block by block (Dao et al., FlashAttention, 2022; Milakov and Gimelshein, 2018, for the softmax that grows).
 * No matrix of L x S numbers is ever made: forward keeps a few rows of scores at a time, backward computes the weights again
 * from each row's log sum exp. A unit of forward is a block of queries of one head, of backward a run of keys of one head;
 * units are dealt to a fixed number of tasks, and what several units of backward add to one query is summed in the order of
 * the keys: so the bits do not depend on threads. */
#include "attention.h"

#ifdef NP_TORTURE
enum { QUERIES = 12, KEYS = 64, BACK_QUERIES = 12, BACK_KEYS = 64 };
#else
enum { QUERIES = 192, KEYS = 256, BACK_QUERIES = 96, BACK_KEYS = 128 };
#endif
enum { TASKS = 32, FEW = 6 };

typedef struct attend_run {
  const np_attention *s;
  int64_t units, tasks, heads;    /* heads: of keys, over the batch */
  int64_t chunk, chunks;          /* of keys, backward */
  size_t room;                    /* bytes a task */
  char *rooms;
  double *dots;                   /* (batch, L): sum of output times its gradient; NULL: all keys are one block */
  char *parts;                    /* gq of all chunks but the first */
} attend_run;

static void *carve(char **room, int64_t bytes) {
  char *p = *room;
  *room += (bytes + 63) / 64 * 64;
  return p;
}

/* ---- reading ---- */

/* Where unit i of a batch, its last dimension shrunk by `shrink`, starts in an operand whose heads are shared by `group`. */
static int64_t place(const np_attention *s, const np_operand *x, int64_t i, int64_t group) {
  int64_t at = 0;
  for (int d = s->n_dims - 1; d >= 0; d--) {
    const int64_t q = i % s->shape[d];
    at += (d == s->n_dims - 1 ? q / group : q) * x->step[d];
    i /= s->shape[d];
  }
  return at;
}

/* n rows from `first` on: where they lie, or in `room`, filled up with zeros to padded columns. */
static const char *rows_of(const np_attention *s, const np_operand *x, int64_t at, int64_t first, int64_t n, char *room, int64_t *ld) {
  const int64_t size = np_size_of(s->dtype);
  const char *from = x->data + (at + first * x->row) * np_size_of(x->dtype);
  if (x->direct) {
    *ld = x->row;
    return from;
  }
  const np_load load = s->c->kernels->load[x->dtype][s->ctype];
  for (int64_t i = 0; i < n; i++) {
    char *to = room + i * x->padded * size;
    load(x->cols, from + i * x->row * np_size_of(x->dtype), x->col, to);
    memset(to + x->cols * size, 0, (size_t)((x->padded - x->cols) * size));
  }
  *ld = x->padded;
  return room;
}

typedef struct block { /* of one head: queries from q0 on, keys from k0 on */
  int64_t head, q0, k0, mask;
  char *tile;             /* one row of the mask, or of what is dropped */
  int mask_ready;         /* the mask is the same for all queries, and in `row_mask` */
  char *row_mask;
} block;

static void load_mask(const np_attention *s, const block *b, int64_t i, int64_t n, char *to) {
  const np_operand *m = &s->mask;
  s->c->kernels->load[m->dtype][s->ctype](n, m->data + (b->mask + i * m->row + b->k0 * m->col) * np_size_of(m->dtype), m->col, to);
}

static void open_mask(const np_attention *s, block *b, int64_t n) {
  if (!s->mask.data) return;
  b->mask = place(s, &s->mask, b->head, 1);
  b->mask_ready = s->mask.row == 0;
  if (b->mask_ready) load_mask(s, b, 0, n, b->row_mask);
}

static void binary(const np_attention *s, int map, int64_t n, char *x, const char *z) {
  const void *in[2] = { x, z };
  s->c->kernels->map[s->ctype][map](n, in, (const uint8_t[2]){ 1, 1 }, x, NULL);
}

static void put_mask(const np_attention *s, const block *b, int64_t i, int64_t n, char *row) { /* on scores of query i */
  if (!s->mask.data) return;
  if (!b->mask_ready) load_mask(s, b, i, n, b->tile);
  const char *m = b->mask_ready ? b->row_mask : b->tile;
  if (s->mask.dtype == NEAP_BOOL) s->k->hide(n, m, row);
  else binary(s, NP_EW_add, n, row, m);
}

/* What dropout multiplies weights of query i with, in the tile: 0 or 1 / (1 - p), by their places in (batch, L, S). */
static void draw(const np_attention *s, const block *b, int64_t i, int64_t n) {
  s->c->kernels->random->bernoulli[s->ctype](s->seed, s->offset, (b->head * s->n_queries + i) * s->n_keys + b->k0, n, b->tile, 1 - s->p,
                                           1 / (1 - s->p));
}

static int64_t seen(const np_attention *s, int64_t i, int64_t k0, int64_t n) { /* how many of n keys from k0 on query i sees */
  return s->causal ? np_max(0, np_min(n, i + s->shift + 1 - k0)) : n;
}

/* Scores of h queries and n keys, from panels or, of few queries, from the keys themselves: in both directions alike, so that
 * the weight of a lone key is 1 to the last bit. */
static int few(const np_attention *s) { return s->n_queries <= FEW; }
static void scores_of(const np_attention *s, int64_t h, int64_t n, const char *q, int64_t q_ld, const char *key, int64_t key_ld,
                      const char *panels, char *to, int64_t ld) {
  if (few(s)) s->c->kernels->gemm[s->ctype](0, 1, h, n, s->width, s->scale, q, q_ld, key, key_ld, 0, to, ld, NULL);
  else s->k->scores(h, n, s->width, s->scale, q, q_ld, panels, to, ld);
}

/* ---- forward ---- */

typedef struct forward_room {
  char *query, *key, *value, *panels, *sums, *scores, *tile, *row_mask;
  double *peak, *total;
} forward_room;

static size_t forward_carve(const np_attention *s, char *at, forward_room *r) {
  char *room = at;
  const int64_t size = np_size_of(s->dtype);
  r->query = carve(&room, QUERIES * s->padded * size);
  r->key = carve(&room, KEYS * s->padded * size);
  r->panels = carve(&room, KEYS * s->width * size);
  r->value = carve(&room, KEYS * s->padded_values * size);
  r->sums = carve(&room, QUERIES * s->padded_values * size);
  r->scores = carve(&room, np_max(s->k->high, FEW) * KEYS * size);
  r->tile = carve(&room, KEYS * size);
  r->row_mask = carve(&room, KEYS * size);
  r->peak = carve(&room, QUERIES * 8);
  r->total = carve(&room, QUERIES * 8);
  return (size_t)(room - at);
}

/* h queries from row r of the block on, against n keys. */
static void strip(const np_attention *s, const forward_room *w, const block *b, int64_t r, int64_t h, int64_t n, const char *q,
                  int64_t q_ld, const char *key, int64_t key_ld, const char *value, int64_t value_ld) {
  const int64_t size = np_size_of(s->dtype), cols = seen(s, b->q0 + r + h - 1, b->k0, n);
  const char *x = q + r * q_ld * size;
  char *sums = w->sums + r * s->padded_values * size;
  if (cols == 0) return;
  scores_of(s, h, cols, x, q_ld, key, key_ld, w->panels, w->scores, KEYS);
  for (int64_t i = 0; i < h; i++) {
    const int64_t query = b->q0 + r + i, mine = seen(s, query, b->k0, cols);
    char *row = w->scores + i * KEYS * size;
    put_mask(s, b, query, mine, row);
    const double shrink = mine ? s->k->soften(mine, row, &w->peak[r + i], &w->total[r + i]) : 1;
    if (shrink != 1) s->k->scale(s->padded_values, shrink, sums + i * s->padded_values * size);
    if (s->p > 0) draw(s, b, query, mine), binary(s, NP_EW_mul, mine, row, b->tile);
    memset(row + mine * size, 0, (size_t)((cols - mine) * size));
  }
  s->k->add(h, s->padded_values, cols, w->scores, KEYS, 1, value, value_ld, sums, s->padded_values);
}

static void finish_rows(const np_attention *s, const forward_room *w, const block *b, int64_t m) {
  const int64_t size = np_size_of(s->dtype);
  for (int64_t i = 0; i < m; i++) {
    char *sums = w->sums + i * s->padded_values * size;
    const int64_t at = b->head * s->n_queries + b->q0 + i;
    const double total = w->total[i], l = total == 0 ? INFINITY : w->peak[i] + log(total);
    s->k->scale(s->n_values, total == 0 ? 0 : 1 / total, sums);
    s->c->kernels->store[s->ctype][s->out_dtype](s->n_values, sums, s->y + at * s->n_values * np_size_of(s->out_dtype), 1);
    np_put_number(s->dtype, s->lse + at * size, l);
  }
}

static void forward_unit(const np_attention *s, int64_t unit, char *room) {
  forward_room w;
  forward_carve(s, room, &w);
  const int64_t size = np_size_of(s->dtype), q0 = unit / s->count * QUERIES, m = np_min(QUERIES, s->n_queries - q0);
  block b = { .head = unit % s->count, .q0 = q0, .tile = w.tile, .row_mask = w.row_mask };
  const int64_t at_key = place(s, &s->key, b.head, s->group), at_value = place(s, &s->value, b.head, s->group);
  const int64_t keys = seen(s, q0 + m - 1, 0, s->n_keys);
  int64_t q_ld, key_ld, value_ld;
  const char *q = rows_of(s, &s->query, place(s, &s->query, b.head, 1), q0, m, w.query, &q_ld);
  memset(w.sums, 0, (size_t)(m * s->padded_values * size));
  for (int64_t i = 0; i < m; i++) w.peak[i] = -INFINITY, w.total[i] = 0;
  for (b.k0 = 0; b.k0 < keys && !np_cancelled(s->c); b.k0 += KEYS) {
    const int64_t n = np_min(KEYS, keys - b.k0);
    const char *key = rows_of(s, &s->key, at_key, b.k0, n, w.key, &key_ld);
    const char *value = rows_of(s, &s->value, at_value, b.k0, n, w.value, &value_ld);
    open_mask(s, &b, n);
    if (!few(s)) s->k->turn(n, s->width, key, key_ld, w.panels);
    for (int64_t r = 0, h; r < m; r += h) {
      h = few(s) ? m : np_min(s->k->high, m - r);
      strip(s, &w, &b, r, h, n, q, q_ld, key, key_ld, value, value_ld);
    }
  }
  finish_rows(s, &w, &b, m);
}

static void forward_task(void *arg, int64_t task) {
  const attend_run *run = arg;
  for (int64_t u = task; u < run->units && !np_cancelled(run->s->c); u += run->tasks)
    forward_unit(run->s, u, run->rooms + (size_t)task * run->room);
}

static double work_ns(const np_attention *s, double products) {
  return products * (double)s->count * (double)s->n_queries * (double)s->n_keys * (double)(s->width + s->n_values) / 60;
}

int np_attention_forward(np_attention *s) {
  forward_room w;
  attend_run run = { .s = s, .units = s->count * np_blocks(s->n_queries, QUERIES), .room = forward_carve(s, NULL, &w) };
  run.tasks = np_min(TASKS, run.units);
  if (run.units == 0) return NEAP_OK;
  run.rooms = np_alloc(s->c, run.room * (size_t)run.tasks);
  if (!run.rooms) return s->c->error;
  np_parallel(s->c, run.tasks, work_ns(s, 1), forward_task, &run);
  np_free(s->c, run.rooms, run.room * (size_t)run.tasks);
  return s->c->error;
}

/* ---- backward ---- */

typedef struct backward_room {
  char *query, *slope, *key, *value, *key_panels, *value_panels, *gq, *gk, *gv, *p, *g, *tile, *row_mask;
} backward_room;

static size_t backward_carve(const np_attention *s, char *at, backward_room *r) {
  char *room = at;
  const int64_t size = np_size_of(s->dtype);
  r->query = carve(&room, BACK_QUERIES * s->padded * size);
  r->slope = carve(&room, BACK_QUERIES * s->padded_values * size);
  r->key = carve(&room, BACK_KEYS * s->padded * size);
  r->value = carve(&room, BACK_KEYS * s->padded_values * size);
  r->key_panels = carve(&room, BACK_KEYS * s->width * size);
  r->value_panels = carve(&room, BACK_KEYS * s->n_values * size);
  r->gq = carve(&room, s->k->high * s->padded * size);
  r->gk = carve(&room, BACK_KEYS * s->padded * size);
  r->gv = carve(&room, BACK_KEYS * s->padded_values * size);
  r->p = carve(&room, BACK_QUERIES * BACK_KEYS * size);
  r->g = carve(&room, BACK_QUERIES * BACK_KEYS * size);
  r->tile = carve(&room, BACK_KEYS * size);
  r->row_mask = carve(&room, BACK_KEYS * size);
  return (size_t)(room - at);
}

/* Of one query: its scores become weights P (times what dropout leaves of them, D) and its row of dY V' becomes
 * scale P (D dY V' - dY . y), the gradient of q k'. */
static void weigh(const attend_run *run, const backward_room *w, const block *b, int64_t i, int64_t n, int64_t cols) {
  const np_attention *s = run->s;
  const int64_t size = np_size_of(s->dtype), query = b->q0 + i, at = b->head * s->n_queries + query;
  const int64_t mine = seen(s, query, b->k0, cols);
  char *p = w->p + i * BACK_KEYS * size, *g = w->g + i * BACK_KEYS * size;
  put_mask(s, b, query, mine, p);
  s->k->weights(mine, p, np_get_number(s->dtype, s->lse + at * size));
  if (s->p > 0) draw(s, b, query, mine), binary(s, NP_EW_mul, mine, g, b->tile);
  double dot;
  if (run->dots) dot = run->dots[at];
  else s->c->kernels->reduce[s->ctype]->dot(mine, p, g, &dot); /* the whole row is here: the same sum, and nothing left of it where it should be 0 */
  s->k->slopes(mine, p, dot, g);
  if (s->p > 0) binary(s, NP_EW_mul, mine, p, b->tile);
  if (s->gm) memcpy(s->gm + (at * s->n_keys + b->k0) * size, g, (size_t)(mine * size));
  s->k->scale(mine, s->scale, g);
  memset(p + mine * size, 0, (size_t)((n - mine) * size));
  memset(g + mine * size, 0, (size_t)((n - mine) * size));
}

/* Strips of queries: weights and their gradients, and of that gq += (gradient) keys. */
static void query_strips(const attend_run *run, const backward_room *w, const block *b, int64_t m, int64_t n, const char *q, int64_t q_ld,
                         const char *dy, int64_t dy_ld, const char *key, int64_t key_ld, char *gq) {
  const np_attention *s = run->s;
  const int64_t size = np_size_of(s->dtype);
  for (int64_t r = 0; r < m; r += s->k->high) {
    const int64_t h = np_min(s->k->high, m - r), cols = seen(s, b->q0 + r + h - 1, b->k0, n);
    char *p = w->p + r * BACK_KEYS * size, *g = w->g + r * BACK_KEYS * size;
    if (cols == 0) continue;
    scores_of(s, h, cols, q + r * q_ld * size, q_ld, key, key_ld, w->key_panels, p, BACK_KEYS);
    s->k->scores(h, cols, s->n_values, 1, dy + r * dy_ld * size, dy_ld, w->value_panels, g, BACK_KEYS);
    for (int64_t i = 0; i < h; i++) weigh(run, w, b, r + i, n, cols);
    if (!gq) continue;
    char *to = gq + (b->q0 + r) * s->width * size;
    if (s->width == s->padded) {
      s->k->add(h, s->padded, cols, g, BACK_KEYS, 1, key, key_ld, to, s->width);
      continue;
    }
    memset(w->gq, 0, (size_t)(h * s->padded * size));
    s->k->add(h, s->padded, cols, g, BACK_KEYS, 1, key, key_ld, w->gq, s->padded);
    for (int64_t i = 0; i < h; i++) binary(s, NP_EW_add, s->width, to + i * s->width * size, w->gq + i * s->padded * size);
  }
}

/* gv += P' dY and gk += (gradient)' q for n keys, a few at a time, from the first query on that sees them. */
static void key_strips(const np_attention *s, const backward_room *w, const block *b, int64_t m, int64_t n, const char *q, int64_t q_ld,
                       const char *dy, int64_t dy_ld) {
  const int64_t size = np_size_of(s->dtype);
  for (int64_t j = 0; j < n; j += s->k->high) {
    const int64_t h = np_min(s->k->high, n - j), first = s->causal ? np_max(0, b->k0 + j - s->shift - b->q0) : 0;
    if (first >= m) continue;
    const int64_t from = (first * BACK_KEYS + j) * size;
    if (s->gv) s->k->add(h, s->padded_values, m - first, w->p + from, 1, BACK_KEYS, dy + first * dy_ld * size, dy_ld,
                         w->gv + j * s->padded_values * size, s->padded_values);
    if (s->gk) s->k->add(h, s->padded, m - first, w->g + from, 1, BACK_KEYS, q + first * q_ld * size, q_ld, w->gk + j * s->padded * size, s->padded);
  }
}

static void against_queries(const attend_run *run, const backward_room *w, block *b, int64_t n, const char *key, int64_t key_ld, char *gq) {
  const np_attention *s = run->s;
  const int64_t at_query = place(s, &s->query, b->head, 1), at_slope = place(s, &s->slope, b->head, 1);
  int64_t q_ld, dy_ld;
  open_mask(s, b, n);
  for (b->q0 = 0; b->q0 < s->n_queries && !np_cancelled(s->c); b->q0 += BACK_QUERIES) {
    const int64_t m = np_min(BACK_QUERIES, s->n_queries - b->q0);
    if (seen(s, b->q0 + m - 1, b->k0, n) == 0) continue;
    const char *q = rows_of(s, &s->query, at_query, b->q0, m, w->query, &q_ld);
    const char *dy = rows_of(s, &s->slope, at_slope, b->q0, m, w->slope, &dy_ld);
    query_strips(run, w, b, m, n, q, q_ld, dy, dy_ld, key, key_ld, gq);
    key_strips(s, w, b, m, n, q, q_ld, dy, dy_ld);
  }
}

static void keep_rows(const np_attention *s, int64_t n, int64_t width, int64_t padded, const char *sums, char *to) {
  const int64_t size = np_size_of(s->dtype);
  for (int64_t i = 0; i < n && to; i++) memcpy(to + i * width * size, sums + i * padded * size, (size_t)(width * size));
}

static void backward_unit(const attend_run *run, int64_t unit, char *room) {
  const np_attention *s = run->s;
  backward_room w;
  backward_carve(s, room, &w);
  const int64_t size = np_size_of(s->dtype), shared = unit % run->heads, chunk = unit / run->heads, first = shared * s->group;
  const int64_t at_key = place(s, &s->key, first, s->group), at_value = place(s, &s->value, first, s->group);
  const int64_t head_bytes = s->n_queries * s->width * size, last = np_min((chunk + 1) * run->chunk, s->n_keys);
  char *gq = !s->gq ? NULL : chunk == 0 ? s->gq : run->parts + (chunk - 1) * s->count * head_bytes;
  if (gq) memset(gq + first * head_bytes, 0, (size_t)(s->group * head_bytes));
  block b = { .tile = w.tile, .row_mask = w.row_mask };
  for (b.k0 = chunk * run->chunk; b.k0 < last; b.k0 += BACK_KEYS) {
    const int64_t n = np_min(BACK_KEYS, last - b.k0);
    int64_t key_ld, value_ld;
    const char *key = rows_of(s, &s->key, at_key, b.k0, n, w.key, &key_ld);
    const char *value = rows_of(s, &s->value, at_value, b.k0, n, w.value, &value_ld);
    s->k->turn(n, s->width, key, key_ld, w.key_panels);
    s->k->turn(n, s->n_values, value, value_ld, w.value_panels);
    memset(w.gk, 0, (size_t)(n * s->padded * size));
    memset(w.gv, 0, (size_t)(n * s->padded_values * size));
    for (b.head = first; b.head < first + s->group; b.head++)
      against_queries(run, &w, &b, n, key, key_ld, gq ? gq + b.head * head_bytes : NULL);
    const int64_t to = shared * s->n_keys + b.k0;
    keep_rows(s, n, s->width, s->padded, w.gk, s->gk ? s->gk + to * s->width * size : NULL);
    keep_rows(s, n, s->n_values, s->padded_values, w.gv, s->gv ? s->gv + to * s->n_values * size : NULL);
  }
}

static void backward_task(void *arg, int64_t task) {
  const attend_run *run = arg;
  for (int64_t u = task; u < run->units && !np_cancelled(run->s->c); u += run->tasks)
    backward_unit(run, u, run->rooms + (size_t)task * run->room);
}

static void dots_task(void *arg, int64_t task) { /* dY . y of each row */
  const attend_run *run = arg;
  const np_attention *s = run->s;
  const int64_t size = np_size_of(s->dtype);
  backward_room w;
  backward_carve(s, run->rooms + (size_t)task * run->room, &w);
  for (int64_t head = task; head < s->count; head += run->tasks)
    for (int64_t q0 = 0; q0 < s->n_queries; q0 += BACK_QUERIES) {
      const int64_t m = np_min(BACK_QUERIES, s->n_queries - q0);
      int64_t y_ld, dy_ld;
      const char *y = rows_of(s, &s->out, place(s, &s->out, head, 1), q0, m, w.gv, &y_ld);
      const char *dy = rows_of(s, &s->slope, place(s, &s->slope, head, 1), q0, m, w.slope, &dy_ld);
      for (int64_t i = 0; i < m; i++)
        s->c->kernels->reduce[s->ctype]->dot(s->n_values, y + i * y_ld * size, dy + i * dy_ld * size, &run->dots[head * s->n_queries + q0 + i]);
    }
}

static void parts_task(void *arg, int64_t block) { /* gq += the other chunks', in order */
  const attend_run *run = arg;
  const np_attention *s = run->s;
  const int64_t size = np_size_of(s->dtype), all = s->count * s->n_queries * s->width;
  const int64_t from = block * NP_GRAIN, n = np_min(NP_GRAIN, all - from);
  for (int64_t i = 0; i < run->chunks - 1; i++) binary(s, NP_EW_add, n, s->gq + from * size, run->parts + (i * all + from) * size);
}

/* Units of backward: the keys of a head whole, or in runs where heads are few. */
static void cut_keys(const np_attention *s, attend_run *run) {
  enum { UNITS = 16, LEAST = 4 };
  run->heads = s->count / s->group;
  const int64_t blocks = np_blocks(s->n_keys, BACK_KEYS), wanted = np_blocks(UNITS, np_max(run->heads, 1));
  const int64_t each = np_max(np_min(LEAST, blocks), np_blocks(blocks, wanted));
  run->chunk = np_max(each, 1) * BACK_KEYS;
  run->chunks = np_max(np_blocks(s->n_keys, run->chunk), 1);
  run->units = run->heads * run->chunks;
  run->tasks = np_min(TASKS, run->units);
}

int np_attention_backward(np_attention *s) {
  backward_room w;
  neap_context *c = s->c;
  attend_run run = { .s = s, .room = backward_carve(s, NULL, &w) };
  cut_keys(s, &run);
  if (run.units == 0 || np_failed(c)) return c->error;
  const int64_t queries = s->count * s->n_queries, all = queries * s->width;
  const size_t part_bytes = s->gq ? (size_t)((run.chunks - 1) * all * np_size_of(s->dtype)) : 0;
  run.rooms = np_alloc(c, run.room * (size_t)run.tasks);
  const size_t dots_bytes = s->n_keys > BACK_KEYS ? (size_t)queries * sizeof(double) : 0;
  if (dots_bytes) run.dots = np_alloc(c, dots_bytes);
  if (part_bytes) run.parts = np_alloc(c, part_bytes);
  if (!np_failed(c)) {
    if (run.dots) np_parallel(c, run.tasks, (double)(queries * s->n_values), dots_task, &run);
    np_parallel(c, run.tasks, work_ns(s, 2.5), backward_task, &run);
    if (part_bytes) np_parallel(c, np_blocks(all, NP_GRAIN), (double)(all * run.chunks) / 4, parts_task, &run);
  }
  np_free(c, run.parts, part_bytes);
  np_free(c, run.dots, dots_bytes);
  np_free(c, run.rooms, run.room * (size_t)run.tasks);
  return c->error;
}
