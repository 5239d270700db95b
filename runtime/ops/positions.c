/* Lists of positions and labels: checked against the range they may have, with the offender named as the caller counts,
 * and turned into the contiguous int32 or int64 that the kernels take. Also the engine that picks rows of a table by
 * such a list, or puts them there; sums are added in the order of the list, whatever the number of threads. */
#include "loops.h"

enum { TILE = 512 };

/* ---- checks ---- */

static int offender(np_call *c, const char *name, neap_tensor *index, int64_t flat, int64_t v, int64_t size, const char *why, int negative) {
  char text[256], range[128];
  np_text t;
  int64_t base = c->ctx->site.base, at[NEAP_MAX_DIMS];
  np_text_init(&t, text, sizeof text);
  np_text_add(&t, "%s", name);
  for (int d = index->at.ndim - 1; d >= 0; d--) {
    at[d] = flat % index->at.shape[d];
    flat /= index->at.shape[d];
  }
  for (int d = 0; d < index->at.ndim; d++)
    np_text_add(&t, "%s%lld%s", d ? ", " : "[", (long long)(at[d] + base), d == index->at.ndim - 1 ? "]" : "");
  np_text_init(&t, range, sizeof range);
  if (size == 0) np_text_add(&t, "none is allowed");
  else np_text_add(&t, "%lld to %lld are allowed", (long long)base, (long long)(size - 1 + base));
  if (size > 0 && negative) np_text_add(&t, ", or -1 to %lld from the end", (long long)-size);
  return np_reject(c, NEAP_ERR_INDEX, "%s is %lld, but %s: %s%s", text, (long long)v, why, range,
                   base == 1 && v == 0 ? " (positions count from 1)" : "");
}

typedef struct check {
  int64_t low, high, negative_low, skip;
  int negative, has_skip;
} check;

static int64_t first_bad(const check *k, int64_t n, const int64_t *v) { /* n: none */
  for (int64_t i = 0; i < n; i++) {
    if (v[i] >= k->low && v[i] <= k->high) continue;
    if (k->negative && v[i] < 0 && v[i] >= k->negative_low) continue;
    if (k->has_skip && v[i] == k->skip) continue;
    return i;
  }
  return n;
}

int np_positions_check(np_call *c, const char *name, neap_tensor *index, int64_t size, const char *why, int negative, const int64_t *skip) {
  int dtype = index->at.dtype;
  if (!np_is_int(dtype))
    return np_reject(c, NEAP_ERR_DTYPE, "%s must hold integers, got %s: convert it with to('int64')", name, np_dtypes[dtype].info.name);
  int64_t base = c->ctx->site.base, tile[TILE], at[NP_ITER_MAX];
  check k = { .low = base, .high = size - 1 + base, .negative_low = -size, .negative = negative, .has_skip = skip != NULL, .skip = skip ? *skip : 0 };
  np_iter it;
  np_iter_init(&it, 1, (const np_layout *[]){ &index->at }, index->at.ndim, index->at.shape);
  np_load load = c->ctx->kernels->load[dtype][NP_CI64];
  for (int64_t r = 0; r < it.rows && index->at.count > 0; r++) {
    np_iter_row(&it, r, at);
    for (int64_t i = 0; i < it.n; i += TILE) {
      int64_t n = np_min(TILE, it.n - i);
      const char *p = np_data(index) + (at[0] + i * it.stride[0]) * np_size_of(dtype);
      const int64_t *v = dtype == NEAP_I64 && it.stride[0] == 1 ? (const int64_t *)(const void *)p : tile;
      if (v == tile) load(n, p, it.stride[0], tile);
      if (c->ctx->kernels->index->within(n, v, k.low, k.high)) continue;
      int64_t bad = first_bad(&k, n, v);
      if (bad < n) return offender(c, name, index, r * it.n + i + bad, v[bad], size, why, negative);
    }
  }
  return NEAP_OK;
}

int np_positions_along(np_call *c, const char *name, neap_tensor *index, int d) {
  neap_tensor *x = np_t(c, 0);
  char why[96];
  np_dim_text(why, sizeof why, c, d, c->sig->param[0].name, x);
  return np_positions_check(c, name, index, x->at.ndim ? x->at.shape[d] : 1, why, 0, NULL);
}

int np_positions_get(neap_context *c, neap_tensor *index, np_positions *p) {
  p->t = np_contiguous_of(c, index, index->at.dtype == NEAP_I32 ? NEAP_I32 : NEAP_I64);
  if (!p->t) return c->error;
  p->at = np_data(p->t);
  p->wide = p->t->at.dtype == NEAP_I64;
  p->n = p->t->at.count;
  return NEAP_OK;
}

/* ---- picking and putting ---- */

neap_tensor *np_summing(neap_context *c, neap_tensor *y) { return np_contiguous_of(c, y, np_native_of(y->at.dtype)); }

typedef struct picking {
  const np_pick *p;
  neap_context *c;
  int64_t size, block, blocks;   /* of list entries (take) or of columns (put, add) */
} picking;

static void pick_task(void *arg, int64_t task) {
  const picking *s = arg;
  const np_pick *p = s->p;
  const np_index *k = s->c->kernels->index;
  int64_t outer = task / s->blocks, rest = outer, from = task % s->blocks * s->block, offset = 0, size = s->size;
  for (int d = p->n_outer - 1; d >= 0; d--) {
    offset += rest % p->shape[d] * p->step[d];
    rest /= p->shape[d];
  }
  char *table = p->table + offset * size, *list = p->list + outer * p->n * p->inner * size;
  if (p->op == NP_TAKE) {
    int64_t n = np_min(s->block, p->n - from);
    const char *idx = (const char *)p->idx + from * (p->wide ? 8 : 4);
    list += from * p->inner * size;
    if (p->inner == 1) k->gather((int)size, n, idx, p->wide, p->base, table, p->unit, 0, list, 1);
    else k->take_rows(n, idx, p->wide, p->base, (size_t)(p->inner * size), table, p->unit * size, list, p->inner * size);
    return;
  }
  int64_t n = np_min(s->block, p->inner - from);
  table += from * size, list += from * size;
  if (p->op == NP_PUT) {
    if (p->inner == 1) k->scatter((int)size, p->n, p->idx, p->wide, p->base, list, 1, table, p->unit, 0);
    else k->put_rows(p->n, p->idx, p->wide, p->base, (size_t)(n * size), list, p->inner * size, table, p->unit * size);
  } else if (p->inner == 1) {
    k->scatter_fold[np_ctype(p->dtype)][NP_FOLD_ADD](p->n, p->idx, p->wide, p->base, list, 1, table, p->unit, 0);
  } else {
    k->add_rows[np_ctype(p->dtype)](p->n, p->idx, p->wide, p->base, n, list, p->inner, table, p->unit);
  }
}

void np_pick_run(neap_context *c, const np_pick *p) {
  picking s = { .p = p, .c = c, .size = np_size_of(p->dtype) };
  int64_t outer = 1;
  for (int d = 0; d < p->n_outer; d++) outer *= p->shape[d];
  if (outer * p->n * p->inner == 0) return;
  int64_t cut = p->op == NP_TAKE ? p->n : p->inner;
  s.block = p->op == NP_TAKE ? np_max(1, NP_GRAIN / p->inner) : np_max(64, NP_GRAIN / p->n);
  s.block = np_min(s.block, cut);
  s.blocks = np_blocks(cut, s.block);
  np_parallel(c, outer * s.blocks, (double)(outer * p->n) * (3 + 0.3 * (double)p->inner), pick_task, &s);
}

/* ---- where a mask holds ---- */

typedef struct finding { /* blocks of a mask: first counted, then each writes its positions behind those before it */
  const uint8_t *mask;
  int64_t n, *first, *to;
} finding;
enum { FIND_BLOCK = 4 * NP_GRAIN };

static void count_task(void *arg, int64_t i) {
  const finding *f = arg;
  int64_t from = i * FIND_BLOCK, to = np_min(f->n, from + FIND_BLOCK);
  uint32_t n = 0;
  for (int64_t k = from; k < to; k++) n += f->mask[k] != 0;
  f->first[i] = n;
}

static void find_task(void *arg, int64_t i) {
  const finding *f = arg;
  int64_t at = i * FIND_BLOCK, *to = f->to + f->first[i], n = f->first[i + 1] - f->first[i];
  for (int64_t k = 0; k < n; at++) { /* without a branch: masks are unpredictable */
    to[k] = at;
    k += f->mask[at] != 0;
  }
}

neap_tensor *np_true_positions(neap_context *c, neap_tensor *mask) {
  neap_tensor *m = np_contiguous_of(c, mask, NEAP_BOOL), *at = NULL;
  if (!m) return NULL;
  finding f = { .mask = (const uint8_t *)np_data(m), .n = m->at.count };
  int64_t blocks = np_blocks(f.n, FIND_BLOCK), n = 0;
  size_t bytes = (size_t)(blocks + 1) * sizeof *f.first;
  f.first = np_alloc(c, bytes);
  if (f.first) {
    np_parallel(c, blocks, (double)f.n * 0.1, count_task, &f);
    for (int64_t i = 0, own; i < blocks; i++, n += own) own = f.first[i], f.first[i] = n;
    f.first[blocks] = n;
    at = np_tensor_new(c, NEAP_I64, 1, &n);
    if (at) {
      f.to = (int64_t *)np_data(at);
      np_parallel(c, blocks, (double)f.n * 0.6, find_task, &f);
    }
    np_free(c, f.first, bytes);
  }
  neap_release(m);
  return at;
}
