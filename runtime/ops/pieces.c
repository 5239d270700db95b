/* What puts out a list of tensors: one cut into parts along a dimension, several brought to one shape. All are views made
 * by the recorded ops narrow, select, reshape and expand, so gradients flow. infer says how many there will be and leaves
 * in room[0] the dimension and in room[1] the size of a part, where there is one. */
#include "loops.h"

enum { DIM, SIZE };

/* ---- along a dimension ---- */

static int dimension(np_call *c, int64_t dim) {
  int d = 0;
  if (np_t(c, 0)->at.ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "x must have 1 dimension or more, got 0");
  if (np_axis(c, dim, np_t(c, 0)->at.ndim, &d) != 0) return c->ctx->error;
  c->room[DIM] = d;
  return NEAP_OK;
}

static int64_t total(const np_call *c) { return np_t(c, 0)->at.shape[c->room[DIM]]; }

static int parts(np_call *c, int64_t n) {
  if (n > INT32_MAX) return np_reject(c, NEAP_ERR_SHAPE, "%lld parts are too many", (long long)n);
  c->n_parts = (int)n;
  return NEAP_OK;
}

/* Part i is n positions from `from` on. */
static void cut(np_call *c, int i, int64_t from, int64_t n) {
  c->part[i] = neap_narrow(c->ctx, np_t(c, 0), c->room[DIM], n > 0 ? from : 0, n);
}

/* ---- split, chunk: x sizes dim ---- */

static int equal_parts(np_call *c, int64_t size) {
  c->room[SIZE] = size;
  return parts(c, size > 0 ? np_max(1, np_blocks(total(c), size)) : 1);
}

int np_split_infer(np_call *c) {
  const neap_value *v = &c->arg[1];
  if (dimension(c, np_i(c, 2)) != 0) return c->ctx->error;
  if (v->kind == NEAP_INT) {
    if (v->i < 1 && !(v->i == 0 && total(c) == 0))
      return np_reject(c, NEAP_ERR_ARGUMENT, "the size of a part is %lld, it must be at least 1", (long long)v->i);
    return equal_parts(c, v->i);
  }
  int64_t sum = 0;
  for (int i = 0; i < v->n; i++) {
    if (v->is[i] < 0) return np_reject(c, NEAP_ERR_ARGUMENT, "size %lld of the list is %lld, it must be at least 0", NP_DIM(c, i),
                                       (long long)v->is[i]);
    sum += np_min(v->is[i], INT64_MAX - sum);
  }
  if (sum != total(c)) {
    char text[128];
    np_dim_text(text, sizeof text, c, (int)c->room[DIM], "x", np_t(c, 0));
    return np_reject(c, NEAP_ERR_SHAPE, "the sizes add up to %lld, %s", (long long)sum, text);
  }
  return parts(c, v->n);
}

int np_split_run(np_call *c) {
  const neap_value *v = &c->arg[1];
  int64_t at = 0;
  for (int i = 0; i < c->n_parts && !np_failed(c->ctx); i++) {
    int64_t n = v->kind == NEAP_INTS ? v->is[i] : np_min(c->room[SIZE], total(c) - at);
    cut(c, i, at, n);
    at += n;
  }
  return c->ctx->error;
}

int np_chunk_infer(np_call *c) {
  int64_t n = np_i(c, 1);
  if (dimension(c, np_i(c, 2)) != 0) return c->ctx->error;
  if (n < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "chunks is %lld, it must be at least 1", (long long)n);
  if (total(c) > 0) return equal_parts(c, np_blocks(total(c), n));
  c->room[SIZE] = 0;
  return parts(c, n);
}

int np_chunk_run(np_call *c) {
  for (int i = 0; i < c->n_parts && !np_failed(c->ctx); i++)
    cut(c, i, i * c->room[SIZE], np_min(c->room[SIZE], total(c) - i * c->room[SIZE]));
  return c->ctx->error;
}

/* ---- unbind: x dim ---- */

int np_unbind_infer(np_call *c) { return dimension(c, np_i(c, 1)) != 0 ? (int)c->ctx->error : parts(c, total(c)); }

int np_unbind_run(np_call *c) {
  for (int i = 0; i < c->n_parts && !np_failed(c->ctx); i++) c->part[i] = neap_select(c->ctx, np_t(c, 0), c->room[DIM], i);
  return c->ctx->error;
}

/* ---- tensor_split, hsplit, vsplit, dsplit: x sections dim ---- */

static int sections(np_call *c) {
  const neap_value *v = &c->arg[1];
  if (v->kind == NEAP_INTS) return parts(c, (int64_t)v->n + 1);
  if (v->i < 1) return np_reject(c, NEAP_ERR_ARGUMENT, "the number of parts is %lld, it must be at least 1", (long long)v->i);
  return parts(c, v->i);
}

int np_tensor_split_infer(np_call *c) { return dimension(c, np_i(c, 2)) != 0 ? (int)c->ctx->error : sections(c); }

int np_tensor_split_run(np_call *c) {
  const neap_value *v = &c->arg[1];
  int64_t n = total(c), at = 0;
  for (int i = 0; i < c->n_parts && !np_failed(c->ctx); i++) {
    int64_t stop = v->kind == NEAP_INT ? at + n / v->i + (i < n % v->i) : i == v->n ? n : v->is[i];
    if (stop < 0) stop = np_max(0, n + stop);
    stop = np_min(stop, n);
    cut(c, i, at, np_max(0, stop - at));
    at = stop;
  }
  return c->ctx->error;
}

static int even_split(np_call *c, int least, int dim) {
  int ndim = np_t(c, 0)->at.ndim;
  if (ndim < least)
    return np_reject(c, NEAP_ERR_SHAPE, "x must have %d dimension%s or more, got %d", least, least > 1 ? "s" : "", ndim);
  c->room[DIM] = dim;
  if (sections(c) != 0) return c->ctx->error;
  if (c->arg[1].kind == NEAP_INT && total(c) % c->n_parts != 0) {
    char text[128];
    np_dim_text(text, sizeof text, c, dim, "x", np_t(c, 0));
    return np_reject(c, NEAP_ERR_SHAPE, "%s, which is no multiple of %d: tensor_split takes any number of parts", text, c->n_parts);
  }
  return NEAP_OK;
}
int np_hsplit_infer(np_call *c) { return even_split(c, 1, np_t(c, 0)->at.ndim > 1); }
int np_vsplit_infer(np_call *c) { return even_split(c, 2, 0); }
int np_dsplit_infer(np_call *c) { return even_split(c, 3, 2); }

/* ---- broadcast_tensors: xs ---- */

static int given(np_call *c, const neap_value *xs) {
  for (int i = 0; i < xs->n; i++)
    if (!xs->ts[i]) return np_reject(c, NEAP_ERR_ARGUMENT, "tensor %lld of the list is missing", NP_DIM(c, i));
  c->n_parts = xs->n;
  return NEAP_OK;
}

int np_broadcast_tensors_infer(np_call *c) { return given(c, &c->arg[0]); }

int np_broadcast_tensors_run(np_call *c) {
  const neap_value *xs = &c->arg[0];
  np_layout all = { .ndim = 0 };
  for (int i = 0; i < xs->n; i++) {
    int ndim = 0;
    int64_t shape[NEAP_MAX_DIMS];
    if (np_broadcast(c->ctx, c->op->name, &all, &xs->ts[i]->at, &ndim, shape) != 0) return c->ctx->error;
    all.ndim = ndim;
    memcpy(all.shape, shape, (size_t)ndim * sizeof *shape);
  }
  for (int i = 0; i < xs->n && !np_failed(c->ctx); i++) c->part[i] = neap_expand(c->ctx, xs->ts[i], all.ndim, all.shape);
  return c->ctx->error;
}

/* ---- meshgrid: xs indexing ---- */

int np_meshgrid_infer(np_call *c) {
  const neap_value *xs = &c->arg[0];
  if (given(c, xs) != 0) return c->ctx->error;
  if (xs->n > NEAP_MAX_DIMS) return np_reject(c, NEAP_ERR_SHAPE, "a grid over %d vectors has more than %d dimensions", xs->n, NEAP_MAX_DIMS);
  for (int i = 0; i < xs->n; i++)
    if (xs->ts[i]->at.ndim > 1)
      return np_reject(c, NEAP_ERR_SHAPE, "tensor %lld has %d dimensions, 1 is the most", NP_DIM(c, i), xs->ts[i]->at.ndim);
  return NEAP_OK;
}

int np_meshgrid_run(np_call *c) {
  const neap_value *xs = &c->arg[0];
  int exchanged = np_i(c, 1) && xs->n > 1; /* "xy" */
  int64_t whole[NEAP_MAX_DIMS], own[NEAP_MAX_DIMS];
  for (int i = 0; i < xs->n; i++) whole[exchanged && i < 2 ? 1 - i : i] = xs->ts[i]->at.count;
  for (int i = 0; i < xs->n && !np_failed(c->ctx); i++) {
    int d = exchanged && i < 2 ? 1 - i : i;
    for (int k = 0; k < xs->n; k++) own[k] = k == d ? whole[d] : 1;
    c->part[i] = neap_expand(c->ctx, neap_reshape(c->ctx, xs->ts[i], xs->n, own), xs->n, whole);
  }
  return c->ctx->error;
}
