/* What is done to gradients between backward and step: clipping by norm and by value; and the penalty on weights that is
 * added to a loss. Norms are summed in double, in blocks that depend on sizes alone. */
#include <math.h>
#include "optim.h"

enum { MOST_BLOCKS = 64 };

typedef struct norm {
  const np_kernels *k;
  int kind;
  double p;
  const char *data;
  int64_t n, block;
  double part[MOST_BLOCKS];
} norm;

/* sum |x|^p of n elements, or the largest |x| for p = inf. */
static double power_sum(const norm *s, const char *x, int64_t n) {
  double y = 0;
  const np_reduce *r = s->k->reduce[s->kind];
  if (s->p == 2) r->row[NP_SUM_SQ](n, x, &y);
  else if (s->p == 1) r->row[NP_SUM_ABS](n, x, &y);
  else if (isinf(s->p)) r->row[NP_MAX_ABS](n, x, &y);
  else
    for (int64_t i = 0; i < n; i++)
      y += pow(fabs(s->kind ? ((const double *)(const void *)x)[i] : (double)((const float *)(const void *)x)[i]), s->p);
  return y;
}

static void norm_block(void *arg, int64_t i) {
  norm *s = arg;
  int64_t from = i * s->block, n = s->n - from < s->block ? s->n - from : s->block;
  s->part[i] = power_sum(s, s->data + from * np_kind_size(s->kind), n);
}

static double together(double p, double a, double b) { /* NaN stays */
  return !isinf(p) ? a + b : a != a || a > b ? a : b;
}

/* Of what s says, folded into *sum. */
static void add_blocks(neap_context *c, norm *s, double *sum) {
  s->block = (s->n + MOST_BLOCKS - 1) / MOST_BLOCKS;
  if (s->block < NP_GRAIN) s->block = NP_GRAIN;
  int64_t blocks = (s->n + s->block - 1) / s->block;
  np_parallel(c, blocks, (double)s->n * (s->p == 2 || s->p == 1 || isinf(s->p) ? 0.2 : 20), norm_block, s);
  for (int64_t i = 0; i < blocks; i++) *sum = together(s->p, *sum, s->part[i]);
}

double np_sum_squares(neap_context *c, int kind, const char *x, int64_t n) {
  norm s = {.k = c->kernels, .kind = kind, .p = 2, .data = x, .n = n};
  double sum = 0;
  add_blocks(c, &s, &sum);
  return sum;
}

static int add_gradient(neap_context *c, norm *s, neap_tensor *g, double *sum) {
  s->kind = g->at.dtype == NEAP_F64;
  neap_tensor *flat = np_contiguous_of(c, g, s->kind ? NEAP_F64 : NEAP_F32);
  if (!flat) return c->error;
  s->data = np_data(flat);
  s->n = flat->at.count;
  add_blocks(c, s, sum);
  neap_release(flat);
  return NEAP_OK;
}

static int total_norm(neap_context *c, int n, neap_tensor *const *t, double p, double *total) {
  norm s = {.k = c->kernels, .p = p};
  double sum = 0;
  for (int i = 0; i < n; i++)
    if (t[i]->flags & NP_HAS_GRAD && add_gradient(c, &s, t[i]->grad, &sum) != 0) return c->error;
  *total = p == 2 ? sqrt(sum) : p == 1 || isinf(p) ? sum : pow(sum, 1 / p);
  return NEAP_OK;
}

/* An op on each gradient, in place and unrecorded. */
static int each_gradient(neap_context *c, int n, neap_tensor *const *t, int op, double a, double b, int n_args) {
  int mode = neap_grad_mode(c, 0);
  for (int i = 0; i < n && !np_failed(c); i++) {
    if (!(t[i]->flags & NP_HAS_GRAD)) continue;
    neap_value v[] = {{.kind = NEAP_TENSOR, .t = t[i]->grad}, {.kind = NEAP_NUMBER, .d = a}, {.kind = NEAP_NUMBER, .d = b}};
    neap_tensor *out[NP_MAX_OUTS] = {NULL};
    if (neap_call(c, op, n_args, v, out, 1, NULL) > 0) neap_release(out[0]);
  }
  neap_grad_mode(c, mode);
  return c->error;
}

double neap_clip_grad_norm(neap_context *c, int n, neap_tensor *const *parameters, double max_norm, double p) {
  double total = 0;
  if (np_failed(c)) return 0;
  if (!(p > 0) || !(max_norm >= 0)) {
    np_fail(c, NEAP_ERR_ARGUMENT, "clip_grad_norm: needs max_norm >= 0 and a norm p > 0, got %g and %g", max_norm, p);
    return 0;
  }
  if (total_norm(c, n, parameters, p, &total) != 0) return 0;
  double factor = max_norm / (total + 1e-6); /* PyTorch's, a NaN passes through */
  if (!isinf(max_norm) && !(factor >= 1)) each_gradient(c, n, parameters, NP_OP_mul, factor, 0, 2);
  return total;
}

int neap_clip_grad_value(neap_context *c, int n, neap_tensor *const *parameters, double limit) {
  if (np_failed(c)) return c->error;
  if (!(limit >= 0)) return np_fail(c, NEAP_ERR_ARGUMENT, "clip_grad_value: the limit must be 0 or more, not %g", limit);
  return each_gradient(c, n, parameters, NP_OP_clamp, -limit, limit, 3);
}

/* ---- penalty ---- */

static neap_tensor *term(neap_context *c, neap_tensor *y, neap_tensor *x, double factor) {
  neap_tensor *f = x ? np_tensor_constant(c, factor) : NULL, *s = f ? neap_sum(c, x, 0, NULL, 0, -1) : NULL;
  s = s ? neap_mul(c, s, f) : NULL;
  return s && y ? neap_add(c, y, s) : s;
}

neap_tensor *neap_penalty(neap_context *c, int n, neap_tensor *const *parameters, double l1, double l2) {
  if (np_failed(c)) return NULL;
  neap_tensor *y = NULL;
  neap_scope scope;
  np_scope_enter(c, &scope);
  for (int i = 0; i < n && !np_failed(c); i++) {
    if (l1 != 0) y = term(c, y, neap_abs(c, parameters[i]), l1);
    if (l2 != 0 && !np_failed(c)) y = term(c, y, neap_square(c, parameters[i]), l2);
  }
  if (!y && !np_failed(c)) y = np_tensor_scalar(c, NEAP_F32, 0);
  if (np_failed(c)) y = NULL;
  np_scope_leave(&scope, 1, &y);
  return y;
}
