/* The reduction engine: folds any dimensions of a strided tensor of any dtype into sums, extremes, counts.
 *
 * Kept and reduced dimensions are merged where the strides allow it. Then one of two loops runs: `rows` when the innermost
 * reduced dimension is the densest in memory (each result folds runs of it), `columns` when a kept one is (a tile of
 * results is updated row by row). Where there are few results and much to reduce, the reduced range is cut into parts
 * that a second pass folds in order. All cuts depend on sizes alone. What is folded into what is the kernels' business. */
#include "loops.h"

enum { TILE = 1024, COLUMNS = 512, RESULTS = 256, LONG = 128 }; /* LONG: a run worth a call of its own */

typedef struct dims {
  int n;
  int64_t shape[NEAP_MAX_DIMS], stride[NEAP_MAX_DIMS], count;
} dims;

typedef struct fold {
  neap_context *c;
  const np_fold *f;
  const np_reduce *kernel, *again; /* of x's compute type; of the results' */
  int ctype, atype, direct;        /* direct: x can be read where it lies */
  int64_t size, tile_size;         /* bytes of an element of x; of a tile */
  np_load load;
  const char *x;
  char *out;
  int out_dtype;
  dims kept, reduced;              /* columns: kept without its last dimension */
  int64_t width, step;             /* columns: the last kept dimension; else 1 and 0 */
  int64_t results, per_task, tiles;
  int64_t parts, part;             /* of the reduced range: how many, how long */
  int64_t *partial;                /* (parts, results), doubles or int64s */
  int in_columns;
} fold;

static void merge(dims *d) { /* innermost last; sizes 1 are already gone */
  int n = 0;
  for (int i = 0; i < d->n; i++) {
    if (n > 0 && d->stride[n - 1] == d->stride[i] * d->shape[i]) {
      d->shape[n - 1] *= d->shape[i];
      d->stride[n - 1] = d->stride[i];
    } else {
      d->shape[n] = d->shape[i];
      d->stride[n++] = d->stride[i];
    }
  }
  d->n = n;
}

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

static void sort_by_stride(dims *d) { /* the order of what is summed is free: densest last */
  for (int i = 1; i < d->n; i++)
    for (int j = i; j > 0 && magnitude(d->stride[j - 1]) < magnitude(d->stride[j]); j--) {
      int64_t s = d->shape[j], t = d->stride[j];
      d->shape[j] = d->shape[j - 1], d->stride[j] = d->stride[j - 1];
      d->shape[j - 1] = s, d->stride[j - 1] = t;
    }
}

static int64_t offset_of(const dims *d, int64_t i) {
  int64_t at = 0;
  for (int k = d->n - 1; k > 0; k--) {
    at += i % d->shape[k] * d->stride[k];
    i /= d->shape[k];
  }
  return d->n ? at + i * d->stride[0] : 0;
}

/* ---- one value into another ---- */

typedef union value { double d; int64_t i; } value;

static value identity(int kind, int atype) {
  value v = { .i = kind == NP_PROD || kind == NP_ALL };
  if (atype == NP_CF64) v.d = kind == NP_PROD;
  return v;
}

static int again_kind(const np_fold *f) {
  if (f->center) return NP_SUM;
  switch (f->kind) {
  case NP_SUM_ABS: case NP_SUM_SQ: case NP_COUNT: return NP_SUM;
  case NP_MAX_ABS: return NP_MAX;
  default: return f->kind;
  }
}

static void join(const fold *f, value *acc, value v, int first) {
  if (first) *acc = v;
  else if (f->atype == NP_CF64 && again_kind(f->f) == NP_SUM) acc->d += v.d;
  else {
    value two[2] = { *acc, v };
    f->again->row[again_kind(f->f)](2, two, acc);
  }
}

static void finish(const fold *f, value *v, int64_t n, int64_t first_result) {
  if (f->atype == NP_CF64 && f->f->divisor != 1)
    for (int64_t i = 0; i < n; i++) v[i].d /= f->f->divisor;
  if (f->atype == NP_CF64 && f->f->power != 1)
    for (int64_t i = 0; i < n; i++) v[i].d = f->f->power == 0.5 ? sqrt(v[i].d) : pow(v[i].d, f->f->power);
  f->c->kernels->store[f->atype][f->out_dtype](n, v, f->out + first_result * np_size_of(f->out_dtype), 1);
}

/* ---- rows: one result from the reduced range [from, to) ---- */

static value fold_run(const fold *f, int64_t n, const void *x, int64_t result) {
  value v = { .i = 0 };
  if (f->f->center) f->kernel->sq_dev(n, x, f->f->center[result], &v.d);
  else f->kernel->row[f->f->kind](n, x, &v);
  return v;
}

static value fold_row(const fold *f, int64_t result, int64_t from, int64_t to) {
  union { double align; char at[TILE * 8]; } tile;
  const dims *r = &f->reduced;
  int64_t base = offset_of(&f->kept, result), filled = 0;
  if (f->direct && r->n == 1 && r->stride[0] == 1) return fold_run(f, to - from, f->x + (base + from) * f->size, result);
  int64_t length = r->n ? r->shape[r->n - 1] : 1, stride = r->n ? r->stride[r->n - 1] : 1;
  dims outer = *r;
  if (outer.n) outer.n--;
  value acc = identity(f->f->kind, f->atype);
  int first = 1;
  while (from < to) {
    int64_t i = from % length, n = np_min(length - i, to - from);
    const char *x = f->x + (base + offset_of(&outer, from / length) + i * stride) * f->size;
    if (f->direct && stride == 1 && (n >= LONG || (filled == 0 && n == to - from))) {
      join(f, &acc, fold_run(f, n, x, result), first);
      first = 0;
    } else {
      n = np_min(n, TILE - filled);
      f->load(n, x, stride, tile.at + filled * f->tile_size);
      filled += n;
    }
    from += n;
    if (filled == TILE || (filled && from == to)) {
      join(f, &acc, fold_run(f, filled, tile.at, result), first);
      filled = first = 0;
    }
  }
  return acc;
}

static void row_task(void *arg, int64_t task) {
  const fold *f = arg;
  if (np_cancelled(f->c)) return;
  int64_t part = task % f->parts, first = task / f->parts * f->per_task, n = np_min(f->per_task, f->results - first);
  int64_t from = part * f->part, to = np_min(from + f->part, f->reduced.count);
  value y[RESULTS];
  for (int64_t i = 0; i < n; i++) y[i] = fold_row(f, first + i, from, to);
  if (f->parts == 1) finish(f, y, n, first);
  else memcpy(f->partial + part * f->results + first, y, (size_t)n * sizeof *y);
}

/* ---- columns: a tile of results from the reduced range ---- */

static void fold_columns(const fold *f, int64_t m, int64_t n, const void *x, int64_t ld, int64_t result, value *acc, int first) {
  if (f->f->center) f->kernel->sq_dev_cols(m, n, x, ld, f->f->center + result, (double *)acc, first);
  else f->kernel->cols[f->f->kind](m, n, x, ld, acc, first);
}

static void column_task(void *arg, int64_t task) {
  const fold *f = arg;
  if (np_cancelled(f->c)) return;
  union { double align; char at[TILE * 8]; } tile;
  value acc[COLUMNS];
  int64_t part = task % f->parts, unit = task / f->parts, outer = unit / f->tiles, j = unit % f->tiles * COLUMNS;
  int64_t n = np_min(COLUMNS, f->width - j), result = outer * f->width + j;
  int64_t base = offset_of(&f->kept, outer) + j * f->step;
  int64_t from = part * f->part, to = np_min(from + f->part, f->reduced.count);
  dims rest = f->reduced;
  if (rest.n) rest.n--;
  int64_t length = f->reduced.n ? f->reduced.shape[rest.n] : 1, stride = f->reduced.n ? f->reduced.stride[rest.n] : 0;
  for (int first = 1; from < to; first = 0) {
    int64_t i = from % length, m = np_min(length - i, to - from);
    const char *x = f->x + (base + offset_of(&rest, from / length) + i * stride) * f->size;
    if (f->direct && f->step == 1 && stride >= 0) {
      fold_columns(f, m, n, x, stride, result, acc, first);
    } else {
      m = np_min(m, TILE / n);
      for (int64_t k = 0; k < m; k++) f->load(n, x + k * stride * f->size, f->step, tile.at + k * n * f->tile_size);
      fold_columns(f, m, n, tile.at, n, result, acc, first);
    }
    from += m;
  }
  if (f->parts == 1) finish(f, acc, n, result);
  else memcpy(f->partial + part * f->results + result, acc, (size_t)n * sizeof *acc);
}

/* ---- the second pass, and the plan ---- */

static void join_task(void *arg, int64_t task) {
  const fold *f = arg;
  value acc[RESULTS];
  int64_t first = task * RESULTS, n = np_min(RESULTS, f->results - first);
  f->again->cols[again_kind(f->f)](f->parts, n, f->partial + first, f->results, acc, 1);
  finish(f, acc, n, first);
}

static void plan(fold *f, const np_layout *x, uint32_t mask) {
  for (int d = 0; d < x->ndim; d++) {
    dims *to = mask >> d & 1 ? &f->reduced : &f->kept;
    if (x->shape[d] == 1) continue;
    to->shape[to->n] = x->shape[d];
    to->stride[to->n++] = x->stride[d];
  }
  dims *k = &f->kept, *r = &f->reduced;
  sort_by_stride(r);
  merge(k);
  merge(r);
  k->count = r->count = 1;
  for (int i = 0; i < k->n; i++) k->count *= k->shape[i];
  for (int i = 0; i < r->n; i++) r->count *= r->shape[i];
  f->results = k->count;
  int64_t k_step = k->n ? magnitude(k->stride[k->n - 1]) : 0, r_step = r->n ? magnitude(r->stride[r->n - 1]) : 0;
  if (k->n == 0) f->in_columns = 0;
  else if (r->n == 0) f->in_columns = 1;
  else if (k_step == 1) f->in_columns = 1;
  else if (r_step == 1) f->in_columns = r->count < 16 && k->shape[k->n - 1] >= 32;
  else f->in_columns = k_step < r_step;
}

/* How the work is cut: tasks of about NP_GRAIN elements, the reduced range in at most 32 parts where results are few. */
static int64_t cut(fold *f) {
  int64_t n = f->reduced.count, units, least;
  if (f->in_columns) {
    dims *k = &f->kept;
    f->width = k->shape[k->n - 1];
    f->step = k->stride[k->n - 1];
    f->tiles = np_blocks(f->width, COLUMNS);
    k->count /= f->width;
    k->n--;
    units = k->count * f->tiles;
    least = np_max(1, 2 * (int64_t)NP_GRAIN / np_min(f->width, COLUMNS));
  } else {
    f->per_task = np_max(1, np_min(RESULTS, NP_GRAIN / np_max(n, 1)));
    units = np_blocks(f->results, f->per_task);
    least = 2 * (int64_t)NP_GRAIN;
  }
  f->part = np_max(n, 1);
  if (units < 16 && n > least) f->part = np_max(least, np_blocks(n, 32));
  f->parts = np_blocks(np_max(n, 1), f->part);
  return units;
}

static void fill_identity(fold *f, neap_tensor *out) { /* nothing to fold */
  for (int64_t i = 0; i < out->at.count; i++) {
    value v = identity(f->f->kind, f->atype);
    finish(f, &v, 1, i);
  }
}

int np_fold_run(neap_context *c, neap_tensor *x, uint32_t mask, const np_fold *how, neap_tensor *out) {
  int dtype = x->at.dtype, own = np_ctype(dtype), ctype = how->as ? how->as - 1 : own;
  int atype = ctype == NP_CI64 || (!how->center && how->kind >= NP_ANY) ? NP_CI64 : NP_CF64;
  fold f = { .c = c, .f = how, .kernel = c->kernels->reduce[ctype], .again = c->kernels->reduce[atype], .ctype = ctype,
    .atype = atype, .direct = np_is_native(dtype) && ctype == own, .size = np_size_of(dtype), .tile_size = ctype == NP_CF32 ? 4 : 8,
    .load = c->kernels->load[dtype][ctype], .x = np_data(x), .out = np_data(out), .out_dtype = out->at.dtype };
  if (out->at.count == 0) return NEAP_OK;
  if (x->at.count == 0) {
    fill_identity(&f, out);
    return NEAP_OK;
  }
  plan(&f, &x->at, mask);
  int64_t units = cut(&f);
  if (f.parts > 1) {
    f.partial = np_alloc(c, (size_t)(f.parts * f.results) * sizeof *f.partial);
    if (!f.partial) return NEAP_ERR_MEMORY;
  }
  double ns = (double)x->at.count * (f.direct ? 0.3 : 1.0);
  np_parallel(c, units * f.parts, ns, f.in_columns ? column_task : row_task, &f);
  if (f.parts > 1) {
    np_parallel(c, np_blocks(f.results, RESULTS), (double)(f.parts * f.results), join_task, &f);
    np_free(c, f.partial, (size_t)(f.parts * f.results) * sizeof *f.partial);
  }
  return NEAP_OK;
}
