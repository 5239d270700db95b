/* The engine behind sorting, selecting, unique and quantiles: rows of one dimension as entries (a key of 32 bits and a
 * position), which kernels sort and select in linear time. float64 and far-apart int64 have 64 bits to order by: they are
 * ordered by the upper half first, then runs of equal ones by the lower half. Short rows run side by side, each task with
 * room of its own; a long row has the room to itself and its passes are cut in parts. */
#include "loops.h"

enum { LONG = 2 * NP_GRAIN, MOST_TASKS = 64, PARTS = 16, BITS = 11 };

/* ---- rows ---- */

int np_order_open(np_order *o, np_call *call, neap_tensor *x, int d, int descending) {
  neap_context *c = call->ctx;
  int native = np_native_of(x->at.dtype), all = d < 0 || x->at.ndim == 0;
  *o = (np_order){ .c = c, .k = c->kernels->sort, .ctype = np_ctype(x->at.dtype), .flip = descending ? ~0u : 0,
    .n = all ? x->at.count : x->at.shape[d], .size = np_size_of(native) };
  if (o->n >= UINT32_MAX) return np_reject(call, NEAP_ERR_UNSUPPORTED, "a row of %lld elements cannot be sorted: 4294967294 are the most", (long long)o->n);
  o->turned = all ? np_contiguous_of(c, x, native) : np_permuted(c, x, 1u << d, native);
  if (!o->turned) return c->error;
  o->rows = o->n ? x->at.count / o->n : 0;
  return NEAP_OK;
}

void np_order_close(np_order *o) {
  neap_release(o->turned);
  o->turned = NULL;
}

typedef struct order_run {
  const np_order *o;
  np_order_task task;
  void *arg;
  int64_t per_task;
  uint64_t *room;
} order_run;

static void rows_task(void *arg, int64_t task) {
  const order_run *s = arg;
  const np_order *o = s->o;
  int64_t last = np_min((task + 1) * s->per_task, o->rows);
  uint64_t *e = s->room + task * 2 * o->n;
  for (int64_t r = task * s->per_task; r < last; r++) {
    if (np_cancelled(o->c)) return;
    s->task(s->arg, o, r, e, e + o->n);
  }
}

int np_order_run(const np_order *o, np_order_task task, void *arg) {
  if (o->rows == 0) return NEAP_OK;
  order_run s = { .o = o, .task = task, .arg = arg, .per_task = o->rows };
  if (o->n <= LONG) s.per_task = np_max(np_max(1, NP_GRAIN / 4 / o->n), np_blocks(o->rows, MOST_TASKS));
  int64_t tasks = np_blocks(o->rows, s.per_task);
  size_t bytes = (size_t)(tasks * 2 * o->n) * sizeof *s.room;
  if (!(s.room = np_alloc(o->c, bytes))) return NEAP_ERR_MEMORY;
  np_parallel(o->c, tasks, (double)o->turned->at.count * 8, rows_task, &s);
  np_free(o->c, s.room, bytes);
  return o->c->error;
}

/* ---- keys of one row ---- */

typedef struct keys {
  int how, two; /* two: the lower half decides between equal ones */
  int64_t low;
} keys;

static keys keys_of(const np_order *o, int64_t n, const char *x) {
  if (o->ctype != NP_CI64) return (keys){ .how = NP_KEY_HIGH, .two = o->ctype == NP_CF64 };
  int64_t low, high;
  o->c->kernels->reduce[NP_CI64]->row[NP_MIN](n, x, &low);
  o->c->kernels->reduce[NP_CI64]->row[NP_MAX](n, x, &high);
  if ((uint64_t)high - (uint64_t)low <= UINT32_MAX) return (keys){ .how = NP_KEY_NEAR, .low = low };
  return (keys){ .how = NP_KEY_HIGH, .two = 1 };
}

/* ---- passes over a long row, in parts ---- */

typedef struct passes {
  const np_order *o;
  const char *x;
  const uint64_t *e;
  uint64_t *out;
  uint32_t (*counts)[1 << BITS]; /* one a part */
  int64_t n, part;
  keys keys;
  int shift;
} passes;

static void pack_task(void *arg, int64_t p) {
  const passes *s = arg;
  int64_t from = p * s->part, n = np_min(s->part, s->n - from);
  s->o->k->pack[s->o->ctype](n, s->x + from * s->o->size, from, s->keys.how, s->o->flip, s->keys.low, s->out + from);
}
static void count_task(void *arg, int64_t p) {
  const passes *s = arg;
  int64_t from = p * s->part, n = np_min(s->part, s->n - from);
  memset(s->counts[p], 0, sizeof s->counts[p]);
  s->o->k->count(n, s->e + from, s->shift, BITS, s->counts[p]);
}
static void spread_task(void *arg, int64_t p) {
  const passes *s = arg;
  int64_t from = p * s->part, n = np_min(s->part, s->n - from);
  s->o->k->spread(n, s->e + from, s->shift, BITS, s->counts[p], s->out);
}

static void pack(const np_order *o, int64_t n, const char *x, keys how, uint64_t *e) {
  passes s = { .o = o, .x = x, .out = e, .n = n, .keys = how, .part = np_max(LONG, np_blocks(n, PARTS)) };
  np_parallel(o->c, np_blocks(n, s.part), (double)n * 0.6, pack_task, &s);
}

/* Counts of digits to places; 0 when all have the same digit and the pass is not needed. */
static int places(passes *s, int64_t parts) {
  uint32_t at = 0;
  for (int d = 0; d < 1 << BITS; d++) {
    uint32_t before = at;
    for (int64_t p = 0; p < parts; p++) {
      uint32_t here = s->counts[p][d];
      s->counts[p][d] = at;
      at += here;
    }
    if (at - before == (uint32_t)s->n) return 0;
  }
  return 1;
}

static uint64_t *sort_long(const np_order *o, int64_t n, uint64_t *e, uint64_t *room) {
  uint32_t counts[PARTS][1 << BITS];
  passes s = { .o = o, .n = n, .counts = counts, .part = np_max(LONG, np_blocks(n, PARTS)) };
  int64_t parts = np_blocks(n, s.part);
  for (s.shift = 32; s.shift < 64; s.shift += BITS) {
    if (np_cancelled(o->c)) return e;
    s.e = e, s.out = room;
    np_parallel(o->c, parts, (double)n, count_task, &s);
    if (!places(&s, parts)) continue;
    np_parallel(o->c, parts, (double)n * 2, spread_task, &s);
    room = e, e = s.out;
  }
  return e;
}

static uint64_t *sort_entries(const np_order *o, int64_t n, uint64_t *e, uint64_t *room) {
  return n <= LONG ? o->k->sort(n, e, room) : sort_long(o, n, e, room);
}

/* Runs of equal upper halves, each sorted by the lower ones. */
static void refine(const np_order *o, int64_t n, const char *x, uint64_t *e, uint64_t *room) {
  for (int64_t from = 0, to; from < n; from = to) {
    for (to = from + 1; to < n && e[to] >> 32 == e[from] >> 32; to++);
    if (to - from == 1) continue;
    o->k->repack[o->ctype](to - from, x, NP_KEY_LOW, o->flip, 0, e + from);
    uint64_t *run = sort_entries(o, to - from, e + from, room + from);
    if (run != e + from) memcpy(e + from, run, (size_t)(to - from) * sizeof *e);
  }
}

uint64_t *np_order_sort(const np_order *o, int64_t n, const char *x, uint64_t *e, uint64_t *room) {
  keys how = keys_of(o, n, x);
  pack(o, n, x, how, e);
  uint64_t *sorted = sort_entries(o, n, e, room);
  if (how.two) refine(o, n, x, sorted, sorted == e ? room : e);
  return sorted;
}

/* ---- by rank ---- */

static int64_t with_key(int64_t n, const uint64_t *e, uint64_t key, uint64_t *out) { /* those of one key; out may be e */
  int64_t m = 0;
  for (int64_t i = 0; i < n; i++)
    if (e[i] >> 32 == key) out[m++] = e[i];
  return m;
}

int64_t np_order_rank(const np_order *o, int64_t n, const char *x, int64_t k, uint64_t *e, uint64_t *room) {
  keys how = keys_of(o, n, x);
  pack(o, n, x, how, e);
  uint64_t at = o->k->select(n, e, k, room), key = at >> 32;
  if (how.two) {
    for (int64_t i = 0; i < n; i++) k -= e[i] >> 32 < key;
    int64_t m = with_key(n, e, key, e);
    o->k->repack[o->ctype](m, x, NP_KEY_LOW, o->flip, 0, e);
    at = o->k->select(m, e, k, room);
  }
  return (int64_t)(uint32_t)at;
}

/* Of n entries with keys, the k first to the front of e, as they lie in x. */
static void keep_first(const np_order *o, int64_t n, const char *x, int64_t k, keys how, uint64_t *e, uint64_t *room) {
  uint64_t last = o->k->select(n, e, k - 1, room), key = last >> 32;
  if (!how.two) {
    o->k->below(n, e, last, e);
    return;
  }
  int64_t m = o->k->below(n, e, key << 32 | UINT32_MAX, room), front = key ? o->k->below(m, room, (key << 32) - 1, e) : 0;
  if (m > k) {
    m = with_key(m, room, key, room);
    o->k->repack[o->ctype](m, x, NP_KEY_LOW, o->flip, 0, room);
    last = o->k->select(m, room, k - front - 1, e + front);
    o->k->below(m, room, last, e + front);
  } else {
    with_key(m, room, key, e + front);
  }
}

/* n entries, whose keys may be stale, in order at the front of e. */
static void put_in_order(const np_order *o, int64_t n, const char *x, keys how, uint64_t *e, uint64_t *room) {
  o->k->repack[o->ctype](n, x, how.how, o->flip, how.low, e);
  uint64_t *sorted = sort_entries(o, n, e, room);
  if (how.two) refine(o, n, x, sorted, sorted == e ? room : e);
  if (sorted != e) memcpy(e, sorted, (size_t)n * sizeof *e);
}

/* Few of many: what does not come before the last of the best so far is never looked at again. */
static void few_first(const np_order *o, int64_t n, const char *x, int64_t k, keys how, uint64_t *e, uint64_t *room) {
  enum { STEP = 256 };
  int64_t most = np_min(n, np_max(4 * k, 4 * STEP)), have = np_max(k, STEP), settled = 0, step;
  o->k->pack[o->ctype](have, x, 0, how.how, o->flip, how.low, e);
  for (int64_t from = have;; from += step) {
    step = np_min(STEP, n - from);
    if (!settled || have + step > most || (step == 0 && have > k)) {
      o->k->repack[o->ctype](have, x, how.how, o->flip, how.low, e);
      if (have > k) keep_first(o, have, x, k, how, e, room);
      put_in_order(o, k, x, how, e, room);
      have = k;
      settled = 1;
    }
    if (step == 0) return;
    have += o->k->before[o->ctype](step, x + from * o->size, from, x + (int64_t)(uint32_t)e[k - 1] * o->size, o->flip, e + have);
  }
}

static uint64_t *by_position(const np_order *o, int64_t n, uint64_t *e, uint64_t *room) {
  for (int64_t i = 0; i < n; i++) e[i] = e[i] << 32 | (uint32_t)e[i];
  return sort_entries(o, n, e, room);
}

/* The same for a handful whose keys decide alone: each newcomer is put where it belongs at once. */
static void handful_first(const np_order *o, int64_t n, const char *x, int64_t k, keys how, uint64_t *e) {
  o->k->pack[o->ctype](k, x, 0, how.how, o->flip, how.low, e);
  o->k->sort(k, e, e + k);
  for (int64_t from = k, step; from < n; from += step) {
    step = np_min(from < 1024 ? 64 : 512, n - from);
    int64_t more = o->k->before[o->ctype](step, x + from * o->size, from, x + (int64_t)(uint32_t)e[k - 1] * o->size, o->flip, e + k);
    if (more) o->k->repack[o->ctype](more, x, how.how, o->flip, how.low, e + k);
    for (int64_t i = k; i < k + more; i++) {
      const uint64_t v = e[i];
      int64_t j = k - 1;
      if (v > e[j]) continue;
      for (; j > 0 && e[j - 1] > v; j--) e[j] = e[j - 1];
      e[j] = v;
    }
  }
}

uint64_t *np_order_first(const np_order *o, int64_t n, const char *x, int64_t k, int in_order, uint64_t *e, uint64_t *room) {
  if (k == 0) return e;
  if (in_order && k > n / 4) return np_order_sort(o, n, x, e, room);
  if (k == n) {
    for (int64_t i = 0; i < n; i++) e[i] = (uint64_t)i;
    return e;
  }
  keys how = keys_of(o, n, x);
  if (n >= 256 && k <= n / 16) {
    if (k <= 24 && !how.two) handful_first(o, n, x, k, how, e);
    else few_first(o, n, x, k, how, e, room);
    return in_order ? e : by_position(o, k, e, room);
  }
  pack(o, n, x, how, e);
  keep_first(o, n, x, k, how, e, room);
  if (in_order) put_in_order(o, k, x, how, e, room);
  return how.two && !in_order ? by_position(o, k, e, room) : e;
}

/* ---- where results go ---- */

static np_layout turned_layout(const np_layout *l, int d) { /* d moved to the end */
  np_layout t = *l;
  for (int i = d; i + 1 < l->ndim; i++) t.shape[i] = l->shape[i + 1], t.stride[i] = l->stride[i + 1];
  if (l->ndim) t.shape[l->ndim - 1] = l->shape[d], t.stride[l->ndim - 1] = l->stride[d];
  return t;
}

neap_tensor *np_order_room(neap_tensor *y, int d) {
  np_layout t = turned_layout(&y->at, d);
  if (np_is_native(y->at.dtype) && np_layout_is_contiguous(&t)) return neap_retain(y);
  return np_tensor_new(y->ctx, np_native_of(y->at.dtype), t.ndim, t.shape);
}

void np_order_deliver(neap_context *c, neap_tensor *y, int d, neap_tensor *t) {
  if (t && t != y && !np_failed(c)) {
    np_layout l = turned_layout(&y->at, d);
    neap_tensor w = np_window(y, &l);
    np_copy(c, &w, t);
  }
  neap_release(t);
}
