/* Products of matrices, vectors and batches of them. Every operand is read where it lies when one of its last two
 * dimensions is dense, so a transposed view costs nothing. A batch that lies evenly in front of rows, against one matrix,
 * is one tall product; other batches run side by side. Half precision goes through float32, small integers through
 * int64. Shapes: x (..., m, k), w (..., k, n), y (..., m, n); a vector is a row on the left, a column on the right. */
#include "loops.h"

/* ---- reading ---- */

int np_matrix_reads(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride, int *transposed, int64_t *ld) {
  *transposed = 0;
  if ((cols == 1 || col_stride == 1) && (rows == 1 || row_stride >= cols)) {
    *ld = rows == 1 ? np_max(cols, 1) : row_stride;
    return 1;
  }
  *transposed = 1;
  *ld = cols == 1 ? np_max(rows, 1) : col_stride;
  return (rows == 1 || row_stride == 1) && (cols == 1 || col_stride >= rows);
}

typedef struct matrices { /* one operand: matrices behind a batch */
  np_layout at;            /* the last two dimensions are rows and columns */
  neap_tensor *t;          /* to be released */
  int transposed, batch;   /* batch: how many dimensions */
  int64_t ld;
} matrices;

static int reads(matrices *m) {
  const np_layout *l = &m->at;
  return np_matrix_reads(l->shape[l->ndim - 2], l->shape[l->ndim - 1], l->stride[l->ndim - 2], l->stride[l->ndim - 1],
                         &m->transposed, &m->ld);
}

/* vector: 0 matrices, 1 a row, 2 a column. */
static int open(neap_context *c, neap_tensor *x, int native, int vector, matrices *m) {
  m->at = x->at;
  np_layout *l = &m->at;
  if (vector == 1) l->shape[1] = l->shape[0], l->stride[1] = l->stride[0], l->shape[0] = 1, l->stride[0] = 0, l->ndim = 2;
  if (vector == 2) l->shape[1] = 1, l->stride[1] = 0, l->ndim = 2;
  m->batch = l->ndim - 2;
  m->t = NULL;
  if (x->at.dtype == native && reads(m)) {
    m->t = neap_retain(x);
    return NEAP_OK;
  }
  neap_tensor seen = np_window(x, l);
  seen.flags = 0;
  m->t = np_tensor_new(c, native, l->ndim, l->shape);
  if (!m->t) return c->error;
  np_copy(c, m->t, &seen);
  m->at = m->t->at;
  reads(m);
  return NEAP_OK;
}

static int lies_evenly(const np_layout *l) { /* batch and rows as one dimension of rows */
  int64_t rows = 1, stride = 0;
  int any = 0;
  for (int i = l->ndim - 2; i >= 0; i--) {
    if (l->shape[i] == 1) continue;
    if (!any) stride = l->stride[i], any = 1;
    else if (l->stride[i] != rows * stride) return 0;
    rows *= l->shape[i];
  }
  return 1;
}

/* ---- shapes ---- */

static int vector_of(const neap_tensor *t, int row) { return t->at.ndim == 1 ? row ? 1 : 2 : 0; }

static int misfit(np_call *c, int64_t k, int64_t l) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  char a[128], b[128];
  const char *hint = "";
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, w);
  if (w->at.ndim == 2 && w->at.shape[1] == k) hint = ": transposing the second would fit";
  else if (x->at.ndim == 2 && x->at.shape[0] == l) hint = ": transposing the first would fit";
  return np_reject(c, NEAP_ERR_SHAPE, "%s times %s does not fit: the last dimension of the first is %lld, %s of the second %lld%s", a, b,
                   (long long)k, w->at.ndim == 1 ? "the only one" : "the last but one", (long long)l, hint);
}

int np_matmul_infer(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  if (x->at.ndim == 0 || w->at.ndim == 0)
    return np_reject(c, NEAP_ERR_SHAPE, "%s has 0 dimensions: * multiplies by a number", x->at.ndim ? "the second" : "the first");
  int64_t k = x->at.shape[x->at.ndim - 1], l = w->at.shape[w->at.ndim == 1 ? 0 : w->at.ndim - 2];
  if (k != l) return misfit(c, k, l);
  np_layout a = x->at, b = w->at;
  int n = 0;
  int64_t shape[NEAP_MAX_DIMS + 2] = { 0 };
  a.ndim = (uint8_t)(a.ndim > 2 ? a.ndim - 2 : 0);
  b.ndim = (uint8_t)(b.ndim > 2 ? b.ndim - 2 : 0);
  if ((a.ndim || b.ndim) && np_broadcast(c->ctx, c->op->name, &a, &b, &n, shape) != 0) return c->ctx->error;
  if (x->at.ndim > 1) shape[n++] = x->at.shape[x->at.ndim - 2];
  if (w->at.ndim > 1) shape[n++] = w->at.shape[w->at.ndim - 1];
  return np_spec(c, 0, np_result_dtype(2, c->arg), n, shape);
}

/* ---- running ---- */

typedef struct batches {
  neap_context *c;
  int dtype;
  const matrices *x, *w;
  int64_t m, n, k;
  int ndim;                      /* of the batch */
  int64_t shape[NEAP_MAX_DIMS], x_step[NEAP_MAX_DIMS], w_step[NEAP_MAX_DIMS];
  char *y;
} batches;

static void batch_task(void *arg, int64_t i) {
  const batches *s = arg;
  int64_t size = np_size_of(s->dtype), x = s->x->at.offset, w = s->w->at.offset, rest = i;
  if (np_cancelled(s->c)) return;
  for (int d = s->ndim - 1; d >= 0; d--) {
    x += rest % s->shape[d] * s->x_step[d];
    w += rest % s->shape[d] * s->w_step[d];
    rest /= s->shape[d];
  }
  np_product(s->c, s->dtype, s->x->transposed, s->w->transposed, s->m, s->n, s->k, 1, s->x->t->storage->data + x * size, s->x->ld,
             s->w->t->storage->data + w * size, s->w->ld, 0, s->y + i * s->m * s->n * size, s->n);
}

static void steps(const matrices *m, int ndim, int64_t *step) { /* of the batch; 0 where it is broadcast */
  for (int d = 0; d < ndim; d++) {
    int k = d - (ndim - m->batch);
    step[d] = k < 0 || m->at.shape[k] == 1 ? 0 : m->at.stride[k];
  }
}

static int multiply(neap_context *c, int native, const matrices *x, const matrices *w, neap_tensor *y, const np_layout *shape) {
  batches s = { .c = c, .dtype = native, .x = x, .w = w, .k = x->at.shape[x->at.ndim - 1], .m = x->at.shape[x->at.ndim - 2],
    .n = w->at.shape[w->at.ndim - 1], .y = np_data(y) };
  s.ndim = (int)np_max(x->batch, w->batch);
  int64_t count = 1;
  for (int d = 0; d < s.ndim; d++) s.shape[d] = shape->shape[d], count *= shape->shape[d];
  if (count == 0) return NEAP_OK;
  if (w->batch == 0 && !x->transposed && lies_evenly(&x->at)) { /* (b m, k) times (k, n) */
    matrices tall = *x;
    for (int i = x->at.ndim - 2; i >= 0; i--)
      if (x->at.shape[i] != 1) { tall.ld = x->at.stride[i]; break; }
    s.x = &tall;
    s.m *= count;
    s.ndim = 0;
    if (tall.ld >= s.k || s.m == 1) {
      batch_task(&s, 0);
      return c->error;
    }
    s.x = x, s.m /= count, s.ndim = x->batch;
  }
  steps(x, s.ndim, s.x_step);
  steps(w, s.ndim, s.w_step);
  double flops = 2.0 * (double)s.m * (double)s.n * (double)s.k;
  if (count >= 4 || flops < 1e6) np_parallel(c, count, flops * (double)count / 60, batch_task, &s);
  else
    for (int64_t i = 0; i < count; i++) batch_task(&s, i);
  return c->error;
}

int np_matmul_run(np_call *c) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1), *y = c->out[0];
  int native = np_native_of(y->at.dtype);
  matrices a = { .t = NULL }, b = { .t = NULL };
  if (y->at.count == 0) return NEAP_OK;
  if (open(c->ctx, x, native, vector_of(x, 1), &a) == 0 && open(c->ctx, w, native, vector_of(w, 0), &b) == 0) {
    neap_tensor *t = np_room(y, native);
    if (t) multiply(c->ctx, native, &a, &b, t, &c->spec[0]);
    np_deliver(c->ctx, y, t);
  }
  neap_release(a.t);
  neap_release(b.t);
  return c->ctx->error;
}

/* ---- backward ---- */

static int folds(const np_layout *x, const np_layout *w) { return x->ndim > 2 && w->ndim == 2; }

/* gx = g w', gw = x' g, each summed over the dimensions that were broadcast. With one w for a batch, gw is a single
 * product over batch and rows. */
int np_matmul_back(np_back *b) {
  neap_context *c = b->ctx;
  const np_layout *xl = &b->in[0].at, *wl = &b->in[1].at;
  neap_tensor *x = b->x[0], *w = b->x[1], *g = b->g[0];
  if (xl->ndim == 1) x = neap_unsqueeze(c, x, 0), g = neap_unsqueeze(c, g, wl->ndim == 1 ? -1 : -2);
  if (wl->ndim == 1) w = neap_unsqueeze(c, w, 1), g = neap_unsqueeze(c, g, -1);
  if (np_failed(c)) return c->error;
  if (b->in[0].needs) {
    neap_tensor *gx = neap_matmul(c, g, neap_transpose(c, w, -1, -2));
    if (gx && xl->ndim == 1) { /* (..., 1, k): the row alone */
      gx = neap_squeeze(c, gx, 1, (int64_t[]){ -2 });
    }
    b->gx[0] = gx;
  }
  if (b->in[1].needs) {
    if (folds(&x->at, &w->at)) {
      int64_t flat[2] = { -1, x->at.shape[x->at.ndim - 1] };
      int64_t rows = 1;
      for (int i = 0; i < x->at.ndim - 1; i++) rows *= x->at.shape[i];
      flat[0] = rows;
      x = neap_reshape(c, x, 2, flat);
      flat[1] = w->at.shape[1];
      g = neap_reshape(c, g, 2, flat);
    }
    if (np_failed(c)) return c->error;
    neap_tensor *gw = neap_matmul(c, neap_transpose(c, x, -1, -2), g);
    if (gw && wl->ndim == 1) gw = neap_squeeze(c, gw, 1, (int64_t[]){ -1 });
    b->gx[1] = gw;
  }
  return c->error;
}

/* ---- products of one shape ---- */

static int of_shape(np_call *c, int x_dims, int w_dims, const char *what) {
  neap_tensor *x = np_t(c, 0), *w = np_t(c, 1);
  char a[128], b[128];
  if (x->at.ndim == x_dims && w->at.ndim == w_dims) return NEAP_OK;
  np_shape_text(a, sizeof a, x);
  np_shape_text(b, sizeof b, w);
  return np_reject(c, NEAP_ERR_SHAPE, "takes %s, got %s and %s: matmul takes all shapes", what, a, b);
}
static int as_matmul(np_call *c, int x_dims, int w_dims, const char *what) {
  if (of_shape(c, x_dims, w_dims, what) != 0) return c->ctx->error;
  c->out[0] = neap_matmul(c->ctx, np_t(c, 0), np_t(c, 1));
  return c->ctx->error;
}
int np_mm_run(np_call *c) { return as_matmul(c, 2, 2, "two matrices"); }
int np_mv_run(np_call *c) { return as_matmul(c, 2, 1, "a matrix and a vector"); }
int np_dot_run(np_call *c) { return as_matmul(c, 1, 1, "two vectors"); }
int np_bmm_run(np_call *c) {
  if (of_shape(c, 3, 3, "two batches of matrices") != 0) return c->ctx->error;
  if (np_t(c, 0)->at.shape[0] != np_t(c, 1)->at.shape[0])
    return np_reject(c, NEAP_ERR_SHAPE, "the batches have %lld and %lld matrices, they must have as many", (long long)np_t(c, 0)->at.shape[0],
                     (long long)np_t(c, 1)->at.shape[0]);
  c->out[0] = neap_matmul(c->ctx, np_t(c, 0), np_t(c, 1));
  return c->ctx->error;
}
int np_outer_run(np_call *c) {
  if (of_shape(c, 1, 1, "two vectors") != 0) return c->ctx->error;
  c->out[0] = neap_mul(c->ctx, neap_unsqueeze(c->ctx, np_t(c, 0), 1), np_t(c, 1));
  return c->ctx->error;
}
