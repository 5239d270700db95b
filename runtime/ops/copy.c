/* Copies: the strided, converting copy that everything else leans on, and the ops that are a copy to whoever calls them
 * (clone, to, copy). Elements of one size go through the blocked two-dimensional kernel, so that a transposition runs
 * at the speed of memory; a change of dtype goes tile by tile through load and store. */
#include <string.h>
#include "op.h"

enum { COPY_TILE = 512 };

typedef struct copy_state {
  neap_context *ctx;
  np_iter it;
  char *dst;
  const char *src;
  int to, from, plane;           /* plane: the last grid dimension is walked together with the row */
  int64_t chunk, chunks_per_row, units, units_per_block;
} copy_state;

static void copy_row(const copy_state *s, const int64_t *at, int64_t i, int64_t n) {
  const np_kernels *k = s->ctx->kernels;
  int64_t ds = s->it.stride[0], ss = s->it.stride[1], to = np_size_of(s->to), from = np_size_of(s->from);
  char *d = s->dst + (at[0] + i * ds) * to;
  const char *p = s->src + (at[1] + i * ss) * from;
  if (s->to == s->from) {
    if (ds == 1 && ss == 1) memcpy(d, p, (size_t)(n * to));
    else k->copy2d((int)to, 1, n, p, 0, ss, d, 0, ds);
    return;
  }
  int ctype = np_ctype(s->from) == NP_CI64 && np_is_float(s->to) ? NP_CI64 : np_ctype(s->from);
  double tile[COPY_TILE];
  for (int64_t done = 0; done < n; done += COPY_TILE) {
    int64_t m = n - done < COPY_TILE ? n - done : COPY_TILE;
    k->load[s->from][ctype](m, p + done * ss * from, ss, tile);
    k->store[ctype][s->to](m, tile, d + done * ds * to, ds);
  }
}

static void copy_block(void *arg, int64_t block) {
  const copy_state *s = arg;
  int64_t at[NP_ITER_MAX], first = block * s->units_per_block, last = first + s->units_per_block;
  for (int64_t u = first; u < last && u < s->units; u++) {
    if (s->plane) { /* a whole plane of rows at once */
      int d = s->it.ndim - 1;
      int64_t rows = s->it.shape[d], size = np_size_of(s->to);
      np_iter_row(&s->it, u * rows, at);
      s->ctx->kernels->copy2d((int)size, rows, s->it.n, s->src + at[1] * size, s->it.step[1][d], s->it.stride[1],
                              s->dst + at[0] * size, s->it.step[0][d], s->it.stride[0]);
    } else {
      int64_t i = u % s->chunks_per_row * s->chunk;
      np_iter_row(&s->it, u / s->chunks_per_row, at);
      copy_row(s, at, i, s->it.n - i < s->chunk ? s->it.n - i : s->chunk);
    }
  }
}

int np_copy(neap_context *c, neap_tensor *dst, neap_tensor *src) {
  const np_layout *both[] = { &dst->at, &src->at };
  copy_state s = { .ctx = c, .dst = np_data(dst), .src = np_data(src), .to = dst->at.dtype, .from = src->at.dtype };
  np_iter_init(&s.it, 2, both, dst->at.ndim, dst->at.shape);
  if (s.it.rows == 0 || s.it.n == 0) return NEAP_OK;
  s.plane = s.to == s.from && s.it.ndim > 0 && s.it.shape[s.it.ndim - 1] > 1 && (s.it.stride[0] != 1 || s.it.stride[1] != 1) &&
            s.it.n * s.it.shape[s.it.ndim - 1] <= 8 * NP_GRAIN;
  s.chunk = s.it.n < NP_GRAIN ? s.it.n : NP_GRAIN;
  s.chunks_per_row = (s.it.n + s.chunk - 1) / s.chunk;
  int64_t unit = s.plane ? s.it.n * s.it.shape[s.it.ndim - 1] : s.chunk;
  s.units = s.plane ? s.it.rows / s.it.shape[s.it.ndim - 1] : s.it.rows * s.chunks_per_row;
  s.units_per_block = NP_GRAIN / unit > 1 ? NP_GRAIN / unit : 1;
  np_parallel(c, (s.units + s.units_per_block - 1) / s.units_per_block, (double)s.it.rows * (double)s.it.n * 0.4, copy_block, &s);
  return NEAP_OK;
}

neap_tensor *np_contiguous_of(neap_context *c, neap_tensor *x, int dtype) {
  if (!x) return NULL;
  if (x->at.dtype == dtype && np_contiguous(x)) return neap_retain(x);
  neap_tensor *y = np_tensor_like(x, dtype);
  if (y) np_copy(c, y, x);
  return y;
}

/* ---- the ops ---- */

int np_clone_infer(np_call *c) { return np_layout_set(&c->spec[0], np_t(c, 0)->at.dtype, np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape); }
int np_clone_run(np_call *c) { return np_copy(c->ctx, c->out[0], np_t(c, 0)); }
int np_clone_back(np_back *b) { b->gx[0] = b->g[0]; return NEAP_OK; }

int np_contiguous_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  c->out[0] = np_contiguous(x) ? neap_retain(x) : neap_clone(c->ctx, x);
  return c->ctx->error;
}

/* dtype conversion: the same handle when there is nothing to do */
int np_to_run(np_call *c) {
  neap_tensor *x = np_t(c, 0);
  c->out[0] = np_i(c, 1) == x->at.dtype ? neap_retain(x) : neap_cast(c->ctx, x, (int)np_i(c, 1));
  return c->ctx->error;
}
int np_cast_infer(np_call *c) { return np_layout_set(&c->spec[0], (int)np_i(c, 1), np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape); }
int np_cast_run(np_call *c) { return np_copy(c->ctx, c->out[0], np_t(c, 0)); }
int np_cast_back(np_back *b) { /* gx = g in x's dtype */
  if (np_is_float(b->in[0].at.dtype)) b->gx[0] = neap_to(b->ctx, b->g[0], b->in[0].at.dtype);
  return b->ctx->error;
}

int np_copy_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *source = np_t(c, 1);
  int ndim;
  int64_t shape[NEAP_MAX_DIMS];
  if (np_broadcast(c->ctx, "copy", &x->at, &source->at, &ndim, shape) != 0) return c->ctx->error;
  if (ndim != x->at.ndim || memcmp(shape, x->at.shape, (size_t)ndim * sizeof *shape) != 0) {
    char a[96], b[96];
    np_shape_text(a, sizeof a, x);
    np_shape_text(b, sizeof b, source);
    return np_reject(c, NEAP_ERR_SHAPE, "shape %s does not fit into %s", b, a);
  }
  return np_layout_set(&c->spec[0], x->at.dtype, ndim, shape);
}
int np_copy_run(np_call *c) { return np_copy(c->ctx, c->out[0], np_t(c, 1)); }
int np_copy_back(np_back *b) { /* x's values are gone: only the source gets the gradient */
  if (b->in[1].needs) b->gx[1] = b->g[0];
  return NEAP_OK;
}

/* A handle on the same memory without history. */
int np_detach_infer(np_call *c) { c->spec[0] = np_t(c, 0)->at; return NEAP_OK; }
