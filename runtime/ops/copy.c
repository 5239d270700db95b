/* Copies: the strided, converting copy that everything else leans on, and the ops that are a copy to whoever calls them
 * (clone, to, copy). Elements of one size go through the blocked two-dimensional kernel, so that a transposition runs
 * at the speed of memory; a change of dtype goes tile by tile through load and store. */
#include <string.h>
#include "loops.h"

enum { COPY_TILE = 512, COPY_SIDE = 128 };

/* The work is cut into pieces of `rows` x `cols` elements: of planes, where the last dimension of the grid is walked
 * together with the row, or of rows alone. */
typedef struct copy_state {
  neap_context *ctx;
  np_iter it;
  char *dst;
  const char *src;
  int to, from;
  int64_t height, rows, cols, down, across, units, units_per_block; /* a plane has `down` x `across` pieces */
} copy_state;

static void convert_row(const copy_state *s, char *d, const char *p, int64_t n) {
  const np_kernels *k = s->ctx->kernels;
  int64_t ds = s->it.stride[0], ss = s->it.stride[1], to = np_size_of(s->to), from = np_size_of(s->from);
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
  const np_iter *it = &s->it;
  int last = it->ndim - 1;
  int64_t at[NP_ITER_MAX], to = np_size_of(s->to), from = np_size_of(s->from);
  int64_t dst_row = last >= 0 ? it->step[0][last] : 0, src_row = last >= 0 ? it->step[1][last] : 0;
  for (int64_t u = block * s->units_per_block; u < (block + 1) * s->units_per_block && u < s->units; u++) {
    int64_t column = u % s->across * s->cols, row = u / s->across % s->down * s->rows;
    int64_t n = it->n - column < s->cols ? it->n - column : s->cols, m = s->height - row < s->rows ? s->height - row : s->rows;
    np_iter_row(it, u / (s->across * s->down) * s->height, at);
    char *d = s->dst + (at[0] + row * dst_row + column * it->stride[0]) * to;
    const char *p = s->src + (at[1] + row * src_row + column * it->stride[1]) * from;
    if (s->to != s->from) convert_row(s, d, p, n);
    else s->ctx->kernels->copy2d((int)to, m, n, p, src_row, it->stride[1], d, dst_row, it->stride[0]);
  }
}

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

/* Brings the dimension along which the source runs closest to the end of the grid: with the row it makes a plane that
 * is read and written in whole cache lines. Returns whether the source runs down that plane. */
static int choose_plane(np_iter *it) {
  int last = it->ndim - 1, best = last;
  if (magnitude(it->stride[1]) <= 1) return 0; /* it runs along the row */
  for (int d = 0; d < last; d++)
    if (magnitude(it->step[1][d]) < magnitude(it->step[1][best]) && magnitude(it->step[1][d]) < magnitude(it->stride[1])) best = d;
  if (best != last) {
    int64_t shape = it->shape[best];
    it->shape[best] = it->shape[last], it->shape[last] = shape;
    for (int o = 0; o < 2; o++) {
      int64_t step = it->step[o][best];
      it->step[o][best] = it->step[o][last], it->step[o][last] = step;
    }
  }
  return magnitude(it->step[1][last]) < magnitude(it->stride[1]);
}

int np_copy(neap_context *c, neap_tensor *dst, neap_tensor *src) {
  const np_layout *both[] = { &dst->at, &src->at };
  copy_state s = { .ctx = c, .dst = np_data(dst), .src = np_data(src), .to = dst->at.dtype, .from = src->at.dtype, .height = 1 };
  np_iter_init(&s.it, 2, both, dst->at.ndim, dst->at.shape);
  if (s.it.rows == 0 || s.it.n == 0) return NEAP_OK;
  int turned = 0;
  if (s.to == s.from && s.it.ndim > 0) {
    turned = choose_plane(&s.it);
    s.height = s.it.shape[s.it.ndim - 1];
  }
  int64_t side = turned && NP_GRAIN > COPY_SIDE ? COPY_SIDE : NP_GRAIN;
  s.cols = s.it.n < side ? s.it.n : side;
  s.rows = NP_GRAIN / s.cols > 1 ? NP_GRAIN / s.cols : 1;
  if (s.rows > s.height) s.rows = s.height;
  s.down = (s.height + s.rows - 1) / s.rows;
  s.across = (s.it.n + s.cols - 1) / s.cols;
  s.units = s.it.rows / s.height * s.down * s.across;
  s.units_per_block = NP_GRAIN / (s.rows * s.cols) > 1 ? NP_GRAIN / (s.rows * s.cols) : 1;
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

int np_clone_infer(np_call *c) { return np_spec(c, 0, np_t(c, 0)->at.dtype, np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape); }
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
int np_cast_infer(np_call *c) { return np_spec(c, 0, (int)np_i(c, 1), np_t(c, 0)->at.ndim, np_t(c, 0)->at.shape); }
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
  return np_spec(c, 0, x->at.dtype, ndim, shape);
}
int np_copy_run(np_call *c) { return np_copy(c->ctx, c->out[0], np_t(c, 1)); }
int np_copy_back(np_back *b) { /* x's values are gone: only the source gets the gradient */
  if (b->in[1].needs) b->gx[1] = b->g[0];
  return NEAP_OK;
}

/* A handle on the same memory without history. */
int np_detach_infer(np_call *c) { c->spec[0] = np_t(c, 0)->at; return NEAP_OK; }
