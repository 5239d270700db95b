/* Where in a sequence something stands, told to attention: rotary embeddings (Su et al., RoFormer, 2021), sinusoids (Vaswani
 * et al., 2017) and biases that grow with distance (Press, Smith, Lewis, ALiBi, 2022). Angles are worked out in double: those of a few
 * positions by libm, all others by adding two of them. */
#include "attend.h"
#include "loops.h"

/* ---- rope: x base offset interleaved inverse ---- */

enum { STEP = 16 };

typedef struct rotary {
  neap_context *c;
  const np_attend *k;
  int dtype, halves;
  int64_t n, length, offset;   /* pairs, positions, the first one */
  double base, sign;
  double *steps;               /* (STEP, n) cosines and sines of 0 ... STEP - 1 positions */
  char *cosine, *sine;         /* (length, n) */
} rotary;

static double angle(const rotary *s, int64_t position, int64_t i) {
  return s->sign * (double)position * pow(s->base, -(double)i / (double)s->n);
}

static void table_task(void *arg, int64_t task) { /* cos(a + b) = cos a cos b - sin a sin b and its like */
  const rotary *s = arg;
  const int64_t first = task * STEP, m = np_min(STEP, s->length - first), size = np_size_of(s->dtype);
  for (int64_t i = 0; i < s->n; i++) {
    const double a = angle(s, s->offset + first, i), u = cos(a), v = sin(a);
    for (int64_t j = 0; j < m; j++) {
      const double *step = s->steps + 2 * (j * s->n + i);
      const int64_t at = ((first + j) * s->n + i) * size;
      np_put_number(s->dtype, s->cosine + at, u * step[0] - v * step[1]);
      np_put_number(s->dtype, s->sine + at, v * step[0] + u * step[1]);
    }
  }
}

static void rotate_row(void *arg, int64_t r, int64_t block, char *const *tiles) {
  const rotary *s = arg;
  const int64_t at = r % s->length * s->n * np_size_of(s->dtype);
  (void)block;
  s->k->rotate(s->n, tiles[0], s->cosine + at, s->sine + at, s->halves, tiles[1]);
}

int np_rope_infer(np_call *c) {
  const np_layout *x = &np_t(c, 0)->at;
  char text[128];
  np_shape_text(text, sizeof text, np_t(c, 0));
  if (np_need_float(c, "x", np_t(c, 0)) != 0) return c->ctx->error;
  if (x->ndim < 2 || x->shape[x->ndim - 1] % 2)
    return np_reject(c, NEAP_ERR_SHAPE, "takes x (..., T, E) with an even E, got %s", text);
  if (!(np_d(c, 1) > 0)) return np_reject(c, NEAP_ERR_ARGUMENT, "base is %g, it must be over 0", np_d(c, 1));
  return np_spec(c, 0, x->dtype, x->ndim, x->shape);
}

int np_rope_run(np_call *c) {
  neap_context *ctx = c->ctx;
  neap_tensor *x = np_t(c, 0);
  const int64_t length = x->at.shape[x->at.ndim - 2], n = x->at.shape[x->at.ndim - 1] / 2, few = np_min(STEP, length);
  if (x->at.count == 0) return NEAP_OK;
  rotary s = { .c = ctx, .dtype = np_native_of(x->at.dtype), .halves = !np_i(c, 3), .n = n, .length = length, .offset = np_i(c, 2),
    .base = np_d(c, 1), .sign = np_i(c, 4) ? -1 : 1 };
  const int64_t size = np_size_of(s.dtype), table = length * n * size;
  const size_t bytes = (size_t)(2 * table + 2 * few * n * 8);
  s.k = ctx->kernels->attend[np_ctype(s.dtype)];
  char *room = np_alloc(ctx, bytes);
  if (!room) return ctx->error;
  s.steps = (double *)room;
  s.cosine = room + 2 * few * n * 8;
  s.sine = s.cosine + table;
  for (int64_t j = 0; j < few; j++)
    for (int64_t i = 0; i < n; i++) {
      const double a = angle(&s, j, i);
      s.steps[2 * (j * n + i)] = cos(a), s.steps[2 * (j * n + i) + 1] = sin(a);
    }
  np_parallel(ctx, np_blocks(length, STEP), (double)(length * n) * 8, table_task, &s);
  np_rows rows = { .n_in = 1, .n_out = 1, .axis = x->at.ndim - 1, .n_axes = 1, .ctype = np_ctype(s.dtype), .t = { x, c->out[0] }, .ns = 1 };
  np_rows_run(ctx, &rows, rotate_row, &s);
  np_free(ctx, room, bytes);
  return ctx->error;
}

/* gx = g turned by the negative angles. */
int np_rope_back(np_back *b) {
  b->gx[0] = neap_rope(b->ctx, b->g[0], b->arg[1].d, b->arg[2].i, (int)b->arg[3].i, !b->arg[4].i);
  return b->ctx->error;
}

/* ---- tables ---- */

static neap_tensor *column(neap_context *c, neap_tensor *x) { return neap_unsqueeze(c, x, -1); }
static int float_or(const np_call *c, int i) { return np_given(c, i) ? (int)np_i(c, i) : NEAP_F32; }

int np_sinusoids_run(np_call *call) { /* length width base offset dtype: column 2i has sin(t / base^(2i / width)), 2i + 1 cos */
  neap_context *c = call->ctx;
  const int64_t n = np_i(call, 0), width = np_i(call, 1), first = np_i(call, 3), pairs = width / 2 + width % 2;
  if (n < 0 || width < 0) return np_reject(call, NEAP_ERR_ARGUMENT, "length is %lld and width %lld, they must be at least 0", (long long)n, (long long)width);
  if (!(np_d(call, 2) > 0)) return np_reject(call, NEAP_ERR_ARGUMENT, "base is %g, it must be over 0", np_d(call, 2));
  neap_tensor *t = neap_arange(c, (double)first, (double)(first + n), 1, NEAP_F64), *i = neap_arange(c, 0, (double)pairs, 1, NEAP_F64);
  neap_tensor *slow = neap_exp(c, neap_mul(c, i, NP_C(c, -2 * log(np_d(call, 2)) / (double)np_max(width, 1))));
  neap_tensor *a = neap_mul(c, column(c, t), slow);
  neap_tensor *both[2] = { neap_sin(c, a), neap_cos(c, a) };
  neap_tensor *y = both[1] ? neap_reshape(c, neap_stack(c, 2, both, -1), 2, (int64_t[]){ n, 2 * pairs }) : NULL;
  if (y) call->out[0] = neap_to(c, neap_narrow(c, y, 1, 0, width), float_or(call, 4));
  return c->error;
}

/* Slopes of n heads: of a power of two n, 2^(-8 i / n) for i from 1 on; else those of the greatest power p below n, and
 * between them every other one of 2 p. */
static double slope_of(int64_t head, int64_t n) {
  int64_t p = 1;
  while (2 * p <= n) p *= 2;
  return head < p ? exp2(-8.0 * (double)(head + 1) / (double)p) : exp2(-4.0 * (double)(2 * (head - p) + 1) / (double)p);
}

static int need_heads(np_call *c) {
  const int64_t n = np_i(c, 0);
  return n < 1 ? np_reject(c, NEAP_ERR_ARGUMENT, "num_heads is %lld, it must be at least 1", (long long)n) : NEAP_OK;
}

int np_alibi_slopes_infer(np_call *c) { /* num_heads dtype */
  const int64_t n = np_i(c, 0);
  if (need_heads(c) != 0) return c->ctx->error;
  if (!np_is_float(float_or(c, 1))) return np_reject(c, NEAP_ERR_DTYPE, "dtype must be a floating one, got %s", np_dtypes[float_or(c, 1)].info.name);
  return np_spec(c, 0, float_or(c, 1), 1, &n);
}
int np_alibi_slopes_run(np_call *c) {
  neap_tensor *y = c->out[0];
  for (int64_t i = 0; i < y->at.count; i++) np_put_number(y->at.dtype, np_data(y) + i * np_size_of(y->at.dtype), slope_of(i, y->at.count));
  return NEAP_OK;
}

int np_alibi_run(np_call *call) { /* num_heads queries keys dtype: -slope |i - j|, the last query where the last key is */
  neap_context *c = call->ctx;
  const int64_t n = np_i(call, 1), m = np_given(call, 2) ? np_i(call, 2) : n;
  if (need_heads(call) != 0) return c->error;
  if (n < 0 || m < 0) return np_reject(call, NEAP_ERR_ARGUMENT, "there are %lld queries and %lld keys, it must be at least 0", (long long)n, (long long)m);
  neap_tensor *i = neap_arange(c, (double)(m - n), (double)m, 1, NEAP_F64), *j = neap_arange(c, 0, (double)m, 1, NEAP_F64);
  neap_tensor *far = neap_neg(c, neap_abs(c, neap_sub(c, column(c, i), j)));
  neap_tensor *y = neap_mul(c, column(c, column(c, neap_alibi_slopes(c, np_i(call, 0), NEAP_F64))), far);
  if (y) call->out[0] = neap_to(c, y, float_or(call, 3));
  return c->error;
}
