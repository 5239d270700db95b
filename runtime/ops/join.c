/* Tensors put together: cat along a dimension they have, stack along a new one, and the four stacks made of cat. The result's dtype is what all of them
 * promote to; each part is a strided copy into its place. */
#include "loops.h"

enum { TENSORS, DIM };

static int joined_dtype(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  if (xs->n == 0) return np_reject(c, NEAP_ERR_ARGUMENT, "the list of tensors is empty");
  int dtype = -1;
  for (int i = 0; i < xs->n; i++) {
    if (!xs->ts[i]) return np_reject(c, NEAP_ERR_ARGUMENT, "tensor %lld of the list is missing", NP_DIM(c, i));
    int d = xs->ts[i]->at.dtype;
    dtype = dtype < 0 ? d : (int)neap_promote((neap_dtype)dtype, (neap_dtype)d);
  }
  c->room[1] = dtype;
  return NEAP_OK;
}

static int mismatch(np_call *c, int i, int first, int d) {
  char a[128], b[128];
  np_shape_text(a, sizeof a, c->arg[TENSORS].ts[first]);
  np_shape_text(b, sizeof b, c->arg[TENSORS].ts[i]);
  if (d < 0)
    return np_reject(c, NEAP_ERR_SHAPE, "tensor %lld has shape %s, tensor %lld has %s", NP_DIM(c, first), a, NP_DIM(c, i), b);
  return np_reject(c, NEAP_ERR_SHAPE, "tensor %lld has shape %s, tensor %lld has %s: they must agree in all dimensions but %lld",
                   NP_DIM(c, first), a, NP_DIM(c, i), b, NP_DIM(c, d));
}

/* An empty tensor of one dimension joins anything, as in PyTorch. */
static int is_nothing(const neap_tensor *t) { return t->at.ndim == 1 && t->at.count == 0; }

int np_cat_infer(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  if (joined_dtype(c) != 0) return c->ctx->error;
  int first = 0, d;
  while (first < xs->n - 1 && is_nothing(xs->ts[first])) first++;
  const np_layout *x = &xs->ts[first]->at;
  if (x->ndim == 0) return np_reject(c, NEAP_ERR_SHAPE, "a tensor of 0 dimensions cannot be joined: use stack");
  if (np_axis(c, np_i(c, DIM), x->ndim, &d) != 0) return c->ctx->error;
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, x->shape, sizeof shape);
  shape[d] = 0;
  for (int i = 0; i < xs->n; i++) {
    const np_layout *y = &xs->ts[i]->at;
    if (is_nothing(xs->ts[i])) continue;
    if (y->ndim != x->ndim) return mismatch(c, i, first, -1);
    for (int k = 0; k < x->ndim; k++)
      if (k != d && y->shape[k] != x->shape[k]) return mismatch(c, i, first, d);
    shape[d] += y->shape[d];
  }
  c->room[0] = d;
  return np_spec(c, 0, (int)c->room[1], x->ndim, shape);
}

typedef struct strip { /* rows of bytes into wider rows */
  neap_context *c;
  const char *from;
  char *to;
  int64_t rows, bytes, step, per_task;
} strip;

static void strip_task(void *arg, int64_t task) {
  const strip *s = arg;
  int64_t r = task * s->per_task, n = np_min(s->per_task, s->rows - r);
  s->c->kernels->copy2d(1, n, s->bytes, s->from + r * s->bytes, s->bytes, 1, s->to + r * s->step, s->step, 1);
}

int np_cat_run(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  int d = (int)c->room[0];
  np_layout part = c->out[0]->at;
  int64_t size = np_size_of(part.dtype), inner = part.stride[d] * size;
  for (int i = 0; i < xs->n; i++) {
    neap_tensor *x = xs->ts[i];
    if (is_nothing(x)) continue;
    part.shape[d] = x->at.shape[d];
    part.count = x->at.count;
    strip s = { .c = c->ctx, .from = np_data(x), .to = c->out[0]->storage->data + part.offset * size, .bytes = part.shape[d] * inner,
      .step = c->out[0]->at.shape[d] * inner };
    if (x->at.count == 0) {
    } else if (x->at.dtype == part.dtype && np_contiguous(x)) {
      s.rows = x->at.count * size / s.bytes;
      s.per_task = np_max(1, 4 * NP_GRAIN / s.bytes);
      np_parallel(c->ctx, np_blocks(s.rows, s.per_task), (double)(s.rows * s.bytes) * 0.05, strip_task, &s);
    } else {
      neap_tensor to = np_window(c->out[0], &part);
      np_copy(c->ctx, &to, x);
    }
    part.offset += part.shape[d] * part.stride[d];
  }
  return NEAP_OK;
}

int np_cat_back(np_back *b) { /* each gets its part of g */
  int n_dims = b->out[0].at.ndim;
  int64_t d = np_axis_of(&b->arg[DIM], n_dims), start = 0;
  for (int i = 0; i < b->n_in; i++) {
    const np_layout *x = &b->in[i].at;
    if (x->ndim == 1 && x->count == 0) continue;
    if (b->in[i].needs) b->gx[i] = neap_narrow(b->ctx, b->g[0], d, start, x->shape[d]);
    start += x->shape[d];
  }
  return b->ctx->error;
}

int np_stack_infer(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  if (joined_dtype(c) != 0) return c->ctx->error;
  const np_layout *x = &xs->ts[0]->at;
  int d, n = 0;
  int64_t shape[NEAP_MAX_DIMS + 1];
  for (int i = 1; i < xs->n; i++)
    if (!np_same_shape(xs->ts[i], xs->ts[0])) {
      mismatch(c, i, 0, -1);
      return c->ctx->error;
    }
  if (np_axis(c, np_i(c, DIM), x->ndim + 1, &d) != 0) return c->ctx->error;
  for (int i = 0; i <= x->ndim; i++) shape[i] = i == d ? xs->n : x->shape[n++];
  c->room[0] = d;
  return np_spec(c, 0, (int)c->room[1], x->ndim + 1, shape);
}

int np_stack_run(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  int d = (int)c->room[0];
  np_layout part = c->out[0]->at;
  int64_t step = part.stride[d];
  for (int k = d; k < part.ndim - 1; k++) part.shape[k] = part.shape[k + 1], part.stride[k] = part.stride[k + 1];
  part.ndim--;
  part.count /= xs->n;
  for (int i = 0; i < xs->n; i++, part.offset += step) {
    neap_tensor to = np_window(c->out[0], &part);
    np_copy(c->ctx, &to, xs->ts[i]);
  }
  return NEAP_OK;
}

int np_stack_back(np_back *b) { /* each gets its slice of g */
  int64_t d = np_axis_of(&b->arg[DIM], b->out[0].at.ndim);
  for (int i = 0; i < b->n_in; i++)
    if (b->in[i].needs) b->gx[i] = neap_select(b->ctx, b->g[0], d, i);
  return b->ctx->error;
}

/* ---- hstack, vstack, dstack, column_stack: tensors made long enough, then joined ---- */

static neap_tensor *column(neap_context *c, neap_tensor *x) {
  return x->at.ndim < 2 ? neap_reshape(c, x, 2, (int64_t[]){ x->at.count, 1 }) : neap_retain(x);
}

static int join(np_call *c, neap_tensor *(*longer)(neap_context *, neap_tensor *), int64_t dim) {
  neap_context *ctx = c->ctx;
  const neap_value *xs = &c->arg[TENSORS];
  if (joined_dtype(c) != 0) return ctx->error;
  size_t bytes = (size_t)xs->n * sizeof(neap_tensor *);
  neap_tensor **list = np_alloc(ctx, bytes);
  if (!list) return ctx->error;
  for (int i = 0; i < xs->n; i++) list[i] = longer(ctx, xs->ts[i]);
  if (!np_failed(ctx)) c->out[0] = neap_cat(ctx, xs->n, list, dim == 1 && list[0]->at.ndim == 1 ? 0 : dim);
  np_free(ctx, list, bytes);
  return ctx->error;
}
int np_hstack_run(np_call *c) { return join(c, neap_atleast_1d, 1); }
int np_vstack_run(np_call *c) { return join(c, neap_atleast_2d, 0); }
int np_dstack_run(np_call *c) { return join(c, neap_atleast_3d, 2); }
int np_column_stack_run(np_call *c) { return join(c, column, 1); }
