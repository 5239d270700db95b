/* The runner of batches of matrices, and the checks of all decompositions. A batch is cut into at most 16 blocks that
 * depend on sizes alone; a block has scratch memory of its own and takes its matrices one after the other. */
#include "linalg.h"

/* ---- checks ---- */

int np_need_matrices(np_call *call, const char *name, const neap_tensor *t) {
  char s[128];
  if (t->at.dtype != NEAP_F32 && t->at.dtype != NEAP_F64)
    return np_reject(call, NEAP_ERR_DTYPE, "%s must be float32 or float64, got %s", name, np_dtypes[t->at.dtype].info.name);
  np_shape_text(s, sizeof s, t);
  if (t->at.ndim < 2) return np_reject(call, NEAP_ERR_SHAPE, "%s must be a matrix or a batch of matrices, got shape %s", name, s);
  if (np_n_rows(&t->at) > INT32_MAX || np_n_cols(&t->at) > INT32_MAX) return np_reject(call, NEAP_ERR_SHAPE, "%s is too large: %s", name, s);
  return NEAP_OK;
}

int np_need_square(np_call *call, const char *name, const neap_tensor *t) {
  char s[128];
  if (np_need_matrices(call, name, t) != 0) return call->ctx->error;
  if (np_n_rows(&t->at) == np_n_cols(&t->at)) return NEAP_OK;
  np_shape_text(s, sizeof s, t);
  return np_reject(call, NEAP_ERR_SHAPE, "%s must be square, its last two dimensions of one size, got shape %s", name, s);
}

int np_spec_pair(np_call *call, int out, const neap_tensor *x, const neap_tensor *w, int64_t rows, int64_t cols) {
  np_layout a = x->at, b = w->at;
  int n = 0;
  int64_t shape[NEAP_MAX_DIMS + 2];
  a.ndim -= 2, b.ndim -= 2;
  if (np_broadcast(call->ctx, call->op->name, &a, &b, &n, shape) != 0) return call->ctx->error;
  shape[n++] = rows;
  shape[n++] = cols;
  return np_spec(call, out, (int)neap_promote((neap_dtype)x->at.dtype, (neap_dtype)w->at.dtype), n, shape);
}

/* ---- one matrix ---- */

void np_turn(const np_batch *b, int rows, int cols, const void *from, void *to) {
  b->c->kernels->copy2d((int)b->size, rows, cols, from, cols, 1, to, 1, rows);
}

void np_symmetric_of(const np_batch *b, int64_t n, int upper, const void *x, void *y) {
  memcpy(y, x, (size_t)(n * n * b->size));
  for (int64_t i = 1; i < n; i++) /* row i up to the diagonal, and column i down to it */
    b->c->kernels->copy2d((int)b->size, 1, i, (const char *)x + (upper ? i : i * n) * b->size, 0, upper ? n : 1,
                          (char *)y + (upper ? i * n : i) * b->size, 0, upper ? 1 : n);
}

neap_tensor *np_symmetric(neap_context *c, neap_tensor *x) {
  return neap_add(c, neap_tril(c, x, 0), np_mt(c, neap_tril(c, x, -1)));
}

void np_identity(const np_batch *b, int64_t n, void *y) {
  memset(y, 0, (size_t)(n * n * b->size));
  for (int64_t i = 0; i < n; i++) np_set_element(b, y, i * n + i, 1);
}

int np_is_finite(const np_batch *b, const void *x, int64_t n) {
  double sum = 0;
  if (b->dtype == NEAP_F32)
    for (int64_t i = 0; i < n; i++) sum += (double)(((const float *)x)[i] * 0);
  else
    for (int64_t i = 0; i < n; i++) sum += ((const double *)x)[i] * 0;
  return sum == 0;
}

double np_element(const np_batch *b, const void *x, int64_t i) {
  return b->dtype == NEAP_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
void np_set_element(const np_batch *b, void *x, int64_t i, double v) {
  if (b->dtype == NEAP_F32) ((float *)x)[i] = (float)v;
  else ((double *)x)[i] = v;
}
int np_work_size(const np_batch *b, const void *work) {
  double n = np_element(b, work, 0);
  return n < 1 ? 1 : n < INT32_MAX ? (int)n + 1 : INT32_MAX; /* float32 may have rounded it down */
}

/* ---- all matrices ---- */

np_batch np_batch_of(neap_context *c, const np_layout *x) {
  np_batch b = { .c = c, .dtype = x->dtype, .size = np_size_of(x->dtype), .count = 1, .m = (int)np_n_rows(x), .n = (int)np_n_cols(x),
    .base = c->site.base };
  const neap_lapack *host = c->config.lapack;
  b.lapack = x->dtype == NEAP_F64 ? host ? &host->f64 : &np_lapack_f64 : host ? &host->f32 : &np_lapack_f32;
  for (int d = 0; d < x->ndim - 2; d++) b.count *= x->shape[d];
  return b;
}

neap_tensor *np_batch_open(neap_context *c, neap_tensor *x, int dtype, const np_layout *batch) {
  np_layout l = x->at;
  int nb = batch->ndim - 2, own = x->at.ndim - 2;
  l.ndim = batch->ndim;
  l.count = np_n_rows(&x->at) * np_n_cols(&x->at);
  for (int d = 0; d < batch->ndim; d++) {
    int k = d < nb ? d - (nb - own) : own + d - nb;
    l.shape[d] = d < nb ? batch->shape[d] : x->at.shape[k];
    l.stride[d] = k < 0 || (d < nb && x->at.shape[k] == 1) ? 0 : x->at.stride[k];
    if (d < nb) l.count *= l.shape[d];
  }
  neap_tensor *seen = np_tensor_on(c, x->storage, &l), *y = seen ? np_contiguous_of(c, seen, dtype) : NULL;
  neap_release(seen);
  return y;
}

enum { BLOCKS = 16 };
typedef struct blocks {
  np_batch *b;
  int64_t per_block;
  char *scratch;
  int info[BLOCKS];
  int64_t which[BLOCKS];
} blocks;

static void block_task(void *arg, int64_t task) {
  blocks *s = arg;
  const np_batch *b = s->b;
  int64_t last = np_min((task + 1) * s->per_block, b->count);
  for (int64_t i = task * s->per_block; i < last && !np_cancelled(b->c); i++) {
    int info = b->one(b, i, s->scratch + (size_t)task * b->scratch);
    if (info == 0 || s->info[task] != 0) continue;
    s->info[task] = info;
    s->which[task] = i;
  }
}

int np_batch_run(np_batch *b, double ns, int64_t *which) {
  blocks s = { .b = b };
  int64_t n = np_min(b->count, BLOCKS);
  *which = 0;
  if (n == 0) return 0;
  s.per_block = np_blocks(b->count, n);
  n = np_blocks(b->count, s.per_block);
  b->scratch = np_carved((int64_t)b->scratch);
  s.scratch = np_alloc(b->c, (size_t)n * b->scratch);
  if (!s.scratch) return 0;
  np_parallel(b->c, n, ns * (double)b->count, block_task, &s);
  np_free(b->c, s.scratch, (size_t)n * b->scratch);
  for (int t = 0; t < n; t++)
    if (s.info[t] != 0) {
      *which = s.which[t];
      return s.info[t];
    }
  return 0;
}

int np_batch_reject(np_call *call, const np_layout *x, int64_t which, const char *what) {
  if (x->ndim == 2) return np_reject(call, NEAP_ERR_ARGUMENT, "the matrix %s", what);
  return np_reject(call, NEAP_ERR_ARGUMENT, "matrix %lld of the batch %s", NP_DIM(call, which), what);
}
int np_batch_not_finite(np_call *call, const np_layout *x, int64_t which) {
  return np_batch_reject(call, x, which, "has elements that are infinite or NaN");
}

int np_batch_failed(np_call *call, const np_layout *x, int info, int64_t which) {
  if (info == 0) return call->ctx->error;
  if (info == NP_NOT_FINITE) return np_batch_not_finite(call, x, which);
  return np_batch_reject(call, x, which, "made the iteration not converge");
}
