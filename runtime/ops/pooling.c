/* The engine of pooling. A row of results is made from the rows of x that its windows cover: either element number t of
 * all windows of the row at once (they lie a stride apart), or, where windows differ or are long, window by window. A
 * task has some planes; the order within a window is fixed. */
#include "pooling.h"
#include "pool.h"

typedef struct table {       /* of one dimension */
  int64_t *start, *count;    /* the first element of x, and how many, `dilation` apart */
  double *share;             /* 1 / the length that a mean counts */
  int64_t dilation;
} table;

typedef struct engine {
  const np_kernels *kernels;
  const np_pool_loops *k;
  const np_pooling *p;
  table t[3];
  int by_step;               /* elements number t at once */
  int64_t step, origin, taps;
  int64_t in, out, size;     /* elements of a plane of x and of the result, bytes of one */
  const char *x;
  char *y, *rows;            /* rows: scratch, one a task */
  int64_t *at, row_bytes, per_task;
  int base;
  union { double align; char at[8]; } least; /* the number that all others are above */
} engine;

static int64_t table_count(const np_pooling *p) { return p->w[0].size + p->w[1].size + p->w[2].size; }

static void fill_table(const np_pooling *p, const np_windows *w, table *t) {
  t->dilation = w->kernel ? w->dilation : 1;
  for (int64_t o = 0; o < w->size; o++) {
    if (!w->kernel) {
      t->start[o] = o * w->n / w->size;
      t->count[o] = ((o + 1) * w->n + w->size - 1) / w->size - t->start[o];
      t->share[o] = 1 / (double)t->count[o];
      continue;
    }
    int64_t start = o * w->stride - w->padding, skip = start < 0 ? (-start + w->dilation - 1) / w->dilation : 0;
    int64_t whole = np_min(start + w->kernel, w->n + w->padding) - start;
    t->start[o] = start + skip * w->dilation;
    t->count[o] = np_max(0, np_min(w->kernel - skip, (w->n - 1 - t->start[o]) / w->dilation + 1));
    t->share[o] = 1 / (double)(p->include ? whole : t->count[o]);
  }
  if (p->divisor)
    for (int64_t o = 0; o < w->size; o++) t->share[o] = w == &p->w[2] ? 1 / (double)p->divisor : 1;
}

/* Opens the tables; NULL: no memory. */
static int64_t *open_tables(neap_context *c, int dtype, const np_pooling *p, engine *e) {
  int64_t n = table_count(p), *block = np_alloc(c, (size_t)n * 24);
  if (!block) return NULL;
  *e = (engine){ .kernels = c->kernels, .k = c->kernels->pool[np_ctype(dtype)], .p = p, .in = 1, .out = 1, .size = np_size_of(dtype) };
  int64_t *next = block;
  for (int d = 0; d < 3; d++) {
    const np_windows *w = &p->w[d];
    e->t[d].start = next, e->t[d].count = next + w->size;
    e->t[d].share = (double *)(next + 2 * w->size);
    next += 3 * w->size;
    fill_table(p, w, &e->t[d]);
    e->in *= w->n, e->out *= w->size;
  }
  const np_windows *w = &p->w[2];
  int even = !w->kernel && w->n % w->size == 0;
  e->taps = w->kernel ? w->kernel : w->n / w->size;
  e->step = w->kernel ? w->stride : e->taps;
  e->origin = w->kernel ? -w->padding : 0;
  e->by_step = (w->kernel || even) && e->taps <= np_max(w->size, 4);
  e->per_task = np_max(1, NP_GRAIN / np_max(1, e->in));
  np_put_number(dtype, e->least.at, -INFINITY);
  return block;
}

/* The windows [lo, hi) of a row whose element t is one of x's. */
static void reach(const engine *e, int64_t t, int64_t *lo, int64_t *hi) {
  int64_t first = e->origin + t * e->t[2].dilation, last = e->p->w[2].n - 1 - first;
  *lo = first < 0 ? (-first + e->step - 1) / e->step : 0;
  *hi = last < 0 ? 0 : np_min(e->p->w[2].size, last / e->step + 1);
}

/* ---- the greatest ---- */

static void max_row(const engine *e, const char *plane, int64_t o0, int64_t o1, char *y, int32_t *where) {
  const table *d = &e->t[0], *h = &e->t[1], *w = &e->t[2];
  int64_t n = e->p->w[2].size, height = e->p->w[1].n, width = e->p->w[2].n, corner = (d->start[o0] * height + h->start[o1]) * width;
  e->kernels->fill((int)e->size, n, e->least.at, y, 1);
  for (int64_t o = 0; o < n; o++) where[o] = (int32_t)(corner + w->start[o]);
  for (int64_t i = 0; i < d->count[o0]; i++)
    for (int64_t j = 0; j < h->count[o1]; j++) {
      int64_t at = ((d->start[o0] + i * d->dilation) * height + h->start[o1] + j * h->dilation) * width;
      if (!e->by_step) {
        e->k->max_windows(n, plane + at * e->size, w->start, w->count, w->dilation, (int32_t)at, y, where);
        continue;
      }
      for (int64_t t = 0, lo, hi; t < e->taps; t++) {
        reach(e, t, &lo, &hi);
        int64_t from = at + e->origin + t * w->dilation + lo * e->step;
        if (lo < hi) e->k->max_step(hi - lo, plane + from * e->size, e->step, (int32_t)from, y + lo * e->size, where + lo);
      }
    }
}

static void max_task(void *arg, int64_t task) {
  const engine *e = arg;
  const np_pooling *p = e->p;
  int32_t *where = (int32_t *)(e->rows + task * e->row_bytes);
  for (int64_t plane = task * e->per_task; plane < np_min(p->planes, (task + 1) * e->per_task); plane++)
    for (int64_t r = 0; r < p->w[0].size * p->w[1].size; r++) {
      int64_t to = plane * e->out + r * p->w[2].size;
      max_row(e, e->x + plane * e->in * e->size, r / p->w[1].size, r % p->w[1].size, e->y + to * e->size, where);
      for (int64_t o = 0; e->at && o < p->w[2].size; o++) e->at[to + o] = where[o] + e->base;
    }
}

/* ---- the mean, and its adjoint ---- */

/* add: the row of sums y of results (o0, o1); else the row of g is spread over the plane x. */
static void sum_row(const engine *e, char *plane, int64_t o0, int64_t o1, char *row, int spread) {
  const table *d = &e->t[0], *h = &e->t[1], *w = &e->t[2];
  int64_t n = e->p->w[2].size, height = e->p->w[1].n, width = e->p->w[2].n;
  for (int64_t i = 0; i < d->count[o0]; i++)
    for (int64_t j = 0; j < h->count[o1]; j++) {
      char *x = plane + ((d->start[o0] + i) * height + h->start[o1] + j) * width * e->size;
      if (!e->by_step) {
        if (spread) e->k->add_windows(n, row, w->start, w->count, x);
        else e->k->sum_windows(n, x, w->start, w->count, row);
        continue;
      }
      for (int64_t t = 0, lo, hi; t < e->taps; t++) {
        reach(e, t, &lo, &hi);
        char *from = x + (e->origin + t + lo * e->step) * e->size, *to = row + lo * e->size;
        if (lo >= hi) continue;
        if (spread) e->k->add(hi - lo, to, 1, from, e->step);
        else e->k->add(hi - lo, from, e->step, to, 1);
      }
    }
}

static void mean_task(void *arg, int64_t task) {
  const engine *e = arg;
  const np_pooling *p = e->p;
  int64_t n = p->w[2].size;
  for (int64_t plane = task * e->per_task; plane < np_min(p->planes, (task + 1) * e->per_task); plane++)
    for (int64_t r = 0; r < p->w[0].size * p->w[1].size; r++) {
      int64_t o0 = r / p->w[1].size, o1 = r % p->w[1].size;
      char *y = e->y + (plane * e->out + r * n) * e->size;
      memset(y, 0, (size_t)(n * e->size));
      sum_row(e, (char *)(uintptr_t)e->x + plane * e->in * e->size, o0, o1, y, 0);
      e->k->scale(n, y, e->t[0].share[o0] * e->t[1].share[o1], e->t[2].share, y);
    }
}

static void spread_task(void *arg, int64_t task) {
  const engine *e = arg;
  const np_pooling *p = e->p;
  int64_t n = p->w[2].size;
  char *row = e->rows + task * e->row_bytes;
  for (int64_t plane = task * e->per_task; plane < np_min(p->planes, (task + 1) * e->per_task); plane++) {
    char *gx = e->y + plane * e->in * e->size;
    memset(gx, 0, (size_t)(e->in * e->size));
    for (int64_t r = 0; r < p->w[0].size * p->w[1].size; r++) {
      int64_t o0 = r / p->w[1].size, o1 = r % p->w[1].size;
      e->k->scale(n, e->x + (plane * e->out + r * n) * e->size, e->t[0].share[o0] * e->t[1].share[o1], e->t[2].share, row);
      sum_row(e, gx, o0, o1, row, 1);
    }
  }
}

static int run(neap_context *c, int dtype, const np_pooling *p, neap_task task, const char *x, char *y, int64_t *at, int base) {
  engine e;
  if (p->planes == 0) return NEAP_OK;
  int64_t *block = open_tables(c, dtype, p, &e);
  if (!block) return c->error;
  int64_t tasks = np_blocks(p->planes, e.per_task);
  e.x = x, e.y = y, e.at = at, e.base = base;
  e.row_bytes = (p->w[2].size * np_max(e.size, 4) + 63) / 64 * 64;
  e.rows = np_alloc(c, (size_t)(tasks * e.row_bytes));
  double covered = (double)p->planes;
  for (int d = 0; d < 3; d++) covered *= (double)np_max(p->w[d].n, p->w[d].size * p->w[d].kernel);
  if (e.rows) np_parallel(c, tasks, covered * 0.7 + (double)p->planes * 20, task, &e);
  np_free(c, e.rows, (size_t)(tasks * e.row_bytes));
  np_free(c, block, (size_t)table_count(p) * 24);
  return c->error;
}

int np_pool_max(neap_context *c, int dtype, const np_pooling *p, const char *x, char *y, int64_t *at, int base) {
  return run(c, dtype, p, max_task, x, y, at, base);
}
int np_pool_mean(neap_context *c, int dtype, const np_pooling *p, const char *x, char *y) { return run(c, dtype, p, mean_task, x, y, NULL, 0); }
int np_pool_mean_back(neap_context *c, int dtype, const np_pooling *p, const char *g, char *gx) {
  return run(c, dtype, p, spread_task, g, gx, NULL, 0);
}
