/* Attention (Vaswani et al., 2017): y = softmax(scale q k' + mask) v. The composite scaled_dot_product_attention draws the
 * state of its dropout and calls `attention`, which works block by block (attend.c) and keeps, beside its output, only the
 * log sum exp of each row. Shapes: query (..., L, E), key (..., S, E), value (..., S, V), mask to (..., L, S), y (..., L, V);
 * what stands in front is broadcast, and with enable_gqa neighbouring heads of queries share one of keys. */
#include "attention.h"

/* ---- checks ---- */

static int refuse_shapes(np_call *c, const char *why) {
  char q[128], k[128], v[128];
  np_shape_text(q, sizeof q, np_t(c, NP_AT_QUERY));
  np_shape_text(k, sizeof k, np_t(c, NP_AT_KEY));
  np_shape_text(v, sizeof v, np_t(c, NP_AT_VALUE));
  return np_reject(c, NEAP_ERR_SHAPE, "query %s, key %s and value %s do not fit: %s", q, k, v, why);
}

static int check_dtypes(np_call *c) {
  static const char *const names[] = { "query", "key", "value" };
  neap_tensor *q = np_t(c, NP_AT_QUERY), *mask = np_t(c, NP_AT_MASK);
  for (int i = NP_AT_QUERY; i <= NP_AT_VALUE; i++) {
    neap_tensor *t = np_t(c, i);
    if (np_need_float(c, names[i], t) != 0) return c->ctx->error;
    if (t->at.dtype != q->at.dtype)
      return np_reject(c, NEAP_ERR_DTYPE, "query is %s, %s is %s: they must be of one dtype", np_dtypes[q->at.dtype].info.name, names[i],
                       np_dtypes[t->at.dtype].info.name);
  }
  if (mask && mask->at.dtype != NEAP_BOOL && !np_is_float(mask->at.dtype))
    return np_reject(c, NEAP_ERR_DTYPE, "attn_mask must be bool (true: takes part) or floats to be added, got %s", np_dtypes[mask->at.dtype].info.name);
  return NEAP_OK;
}

/* Heads of queries that share one of keys; 0 and an error when they do not fit. */
static int64_t group_of(np_call *c, int gqa) {
  const np_layout *q = &np_t(c, NP_AT_QUERY)->at, *k = &np_t(c, NP_AT_KEY)->at, *v = &np_t(c, NP_AT_VALUE)->at;
  if (!gqa) return 1;
  if (q->ndim < 3 || k->ndim < 3 || v->ndim < 3) refuse_shapes(c, "enable_gqa takes (..., heads, length, size)");
  else {
    const int64_t heads = q->shape[q->ndim - 3], shared = k->shape[k->ndim - 3];
    if (v->shape[v->ndim - 3] != shared) refuse_shapes(c, "key and value have different numbers of heads");
    else if (shared == 0 ? heads != 0 : heads % shared != 0) refuse_shapes(c, "the heads of query must be a multiple of those of key");
    else return shared == 0 ? 1 : heads / shared;
  }
  return 0;
}

/* The shape of the batch: ndim and shape. */
static int batch_of(np_call *c, int64_t group, int *ndim, int64_t *shape) {
  np_layout all = np_t(c, NP_AT_QUERY)->at;
  all.ndim = (uint8_t)(all.ndim - 2);
  for (int i = NP_AT_KEY; i <= NP_AT_VALUE; i++) {
    np_layout l = np_t(c, i)->at;
    l.ndim = (uint8_t)(l.ndim - 2);
    if (group > 1) l.shape[l.ndim - 1] *= group;
    if (np_broadcast(c->ctx, c->op->name, &all, &l, ndim, shape) != 0) return c->ctx->error;
    all.ndim = (uint8_t)*ndim;
    memcpy(all.shape, shape, (size_t)*ndim * sizeof *shape);
  }
  return NEAP_OK;
}

static int check_mask(np_call *c, int ndim, const int64_t *shape) { /* of the scores */
  neap_tensor *mask = np_t(c, NP_AT_MASK);
  char m[128], want[128];
  np_text t;
  int lead = mask ? ndim - mask->at.ndim : 0, fits = lead >= 0;
  for (int i = 0; mask && fits && i < mask->at.ndim; i++) fits = mask->at.shape[i] == 1 || mask->at.shape[i] == shape[i + lead];
  if (fits) return NEAP_OK;
  np_shape_text(m, sizeof m, mask);
  np_text_init(&t, want, sizeof want);
  np_text_shape(&t, ndim, shape);
  return np_reject(c, NEAP_ERR_SHAPE, "attn_mask %s does not broadcast to %s, a number for each query and key", m, want);
}

/* Checks everything; fills group, ndim and the shape of the scores (..., L, S). */
static int check(np_call *c, int gqa, int64_t *group, int *ndim, int64_t *shape) {
  const np_layout *q = &np_t(c, NP_AT_QUERY)->at, *k = &np_t(c, NP_AT_KEY)->at, *v = &np_t(c, NP_AT_VALUE)->at;
  if (check_dtypes(c) != 0) return c->ctx->error;
  if (q->ndim < 2 || k->ndim < 2 || v->ndim < 2) return refuse_shapes(c, "each takes 2 dimensions or more, (..., length, size)");
  if (q->shape[q->ndim - 1] != k->shape[k->ndim - 1]) return refuse_shapes(c, "the last dimensions of query and key differ");
  if (k->shape[k->ndim - 2] != v->shape[v->ndim - 2]) return refuse_shapes(c, "key and value differ in length, the last dimension but one");
  *group = group_of(c, gqa);
  if (*group == 0 || batch_of(c, *group, ndim, shape) != 0) return c->ctx->error;
  shape[(*ndim)++] = q->shape[q->ndim - 2];
  shape[(*ndim)++] = k->shape[k->ndim - 2];
  return check_mask(c, *ndim, shape);
}

/* ---- query key value attn_mask dropout_p is_causal scale enable_gqa generator ---- */

int np_scaled_dot_product_attention_run(np_call *c) {
  enum { P = NP_AT_P, CAUSAL, SCALE, GQA, GENERATOR };
  const double p = np_d(c, P);
  int64_t group, shape[NEAP_MAX_DIMS + 2], state[3] = { 0, 0, 0 };
  int ndim;
  if (!(p >= 0 && p <= 1)) return np_reject(c, NEAP_ERR_ARGUMENT, "dropout_p is %g, it must be between 0 and 1", p);
  if (check(c, (int)np_i(c, GQA), &group, &ndim, shape) != 0) return c->ctx->error;
  if (p > 0) {
    neap_generator *g = np_given(c, GENERATOR) ? c->arg[GENERATOR].g : &c->ctx->generator;
    int64_t count = 1;
    for (int i = 0; i < ndim; i++) count *= shape[i];
    state[0] = (int64_t)g->seed;
    state[1] = (int64_t)np_draw(g, NP_RANDOM_32(count));
  }
  const np_layout *q = &np_t(c, NP_AT_QUERY)->at;
  const double scale = np_given(c, SCALE) ? np_d(c, SCALE) : 1 / sqrt((double)q->shape[q->ndim - 1]);
  c->out[0] = neap_attention(c->ctx, np_t(c, NP_AT_QUERY), np_t(c, NP_AT_KEY), np_t(c, NP_AT_VALUE), np_t(c, NP_AT_MASK), p,
                             (int)np_i(c, CAUSAL), scale, (int)np_i(c, GQA), 3, state, NULL);
  return c->ctx->error;
}

/* ---- query key value attn_mask p is_causal scale enable_gqa state: seed, offset, how far queries stand behind keys ---- */

int np_attention_infer(np_call *c) {
  int64_t group, shape[NEAP_MAX_DIMS + 2];
  int ndim;
  if (c->arg[NP_AT_STATE].n != 3)
    return np_reject(c, NEAP_ERR_ARGUMENT, "state has 3 numbers, seed, offset and shift, got %d", c->arg[NP_AT_STATE].n);
  if (check(c, (int)np_i(c, NP_AT_GQA), &group, &ndim, shape) != 0) return c->ctx->error;
  const np_layout *q = &np_t(c, NP_AT_QUERY)->at, *v = &np_t(c, NP_AT_VALUE)->at;
  if (np_spec(c, 1, np_native_of(q->dtype), ndim - 1, shape) != 0) return c->ctx->error;
  shape[ndim - 1] = v->shape[v->ndim - 1];
  return np_spec(c, 0, q->dtype, ndim, shape);
}

static np_operand operand_of(const np_attention *s, neap_tensor *t, int64_t padded) {
  np_operand x = { .data = NULL };
  if (!t) return x;
  const np_layout *l = &t->at;
  const int n = s->n_dims + 2, lead = n - l->ndim;
  int64_t stride[NEAP_MAX_DIMS], shape[NEAP_MAX_DIMS];
  for (int d = 0; d < n; d++) {
    shape[d] = d < lead ? 1 : l->shape[d - lead];
    stride[d] = shape[d] == 1 ? 0 : l->stride[d - lead];
  }
  x.data = np_data(t), x.dtype = l->dtype;
  x.cols = shape[n - 1], x.row = stride[n - 2], x.col = stride[n - 1], x.padded = padded;
  memcpy(x.step, stride, (size_t)s->n_dims * sizeof *stride);
  x.direct = l->dtype == s->dtype && padded == x.cols && (x.col == 1 || x.cols <= 1);
  return x;
}

/* All but the outputs' memory: of the call's or the record's arguments, whose output is (..., L, V). */
static void describe(np_attention *s, neap_context *c, neap_tensor *const *t, const neap_value *arg, const np_layout *y) {
  const np_layout *q = &t[NP_AT_QUERY]->at, *k = &t[NP_AT_KEY]->at;
  *s = (np_attention){ .c = c, .dtype = np_native_of(q->dtype), .out_dtype = y->dtype, .n_dims = y->ndim - 2, .group = 1,
    .n_queries = y->shape[y->ndim - 2], .n_values = y->shape[y->ndim - 1], .width = q->shape[q->ndim - 1], .n_keys = k->shape[k->ndim - 2],
    .p = arg[NP_AT_P].d, .causal = (int)arg[NP_AT_CAUSAL].i, .scale = arg[NP_AT_SCALE].d, .count = 1 };
  const int64_t *state = arg[NP_AT_STATE].is;
  s->ctype = np_ctype(s->dtype);
  s->k = c->kernels->attend[s->ctype];
  s->seed = (uint64_t)state[0], s->offset = (uint64_t)state[1], s->shift = state[2];
  if (arg[NP_AT_GQA].i && k->shape[k->ndim - 3]) s->group = q->shape[q->ndim - 3] / k->shape[k->ndim - 3];
  for (int d = 0; d < s->n_dims; d++) s->shape[d] = y->shape[d], s->count *= y->shape[d];
  s->padded = np_blocks(s->width, s->k->lanes) * s->k->lanes;
  s->padded_values = np_blocks(s->n_values, s->k->lanes) * s->k->lanes;
  s->query = operand_of(s, t[NP_AT_QUERY], s->padded);
  s->key = operand_of(s, t[NP_AT_KEY], s->padded);
  s->value = operand_of(s, t[NP_AT_VALUE], s->padded_values);
  s->mask = operand_of(s, t[NP_AT_MASK], 0);
}

int np_attention_run(np_call *c) {
  neap_tensor *t[4] = { np_t(c, 0), np_t(c, 1), np_t(c, 2), np_t(c, 3) };
  np_attention s;
  describe(&s, c->ctx, t, c->arg, &c->out[0]->at);
  s.y = np_data(c->out[0]);
  s.lse = np_data(c->out[1]);
  return np_attention_forward(&s);
}

/* Of the shape of key or value with the output's batch, its heads divided by the group: sums to the operand's. */
static neap_tensor *shared_gradient(const np_attention *s, int64_t rows, int64_t cols) {
  int64_t shape[NEAP_MAX_DIMS];
  memcpy(shape, s->shape, (size_t)s->n_dims * sizeof *shape);
  if (s->group > 1) shape[s->n_dims - 1] /= s->group;
  shape[s->n_dims] = rows, shape[s->n_dims + 1] = cols;
  return np_tensor_new(s->c, s->dtype, s->n_dims + 2, shape);
}

static neap_tensor *query_gradient(const np_attention *s, int64_t cols) {
  np_attention whole = *s;
  whole.group = 1;
  return shared_gradient(&whole, s->n_queries, cols);
}

/* With P = softmax(scale q k' + mask), D the dropout, G = dY v': dv = (P D)' dY; dS = P (D G - sum of dY y along a row);
 * dq = scale dS k; dk = scale dS' q; dmask = dS. */
int np_attention_back(np_back *b) {
  neap_context *c = b->ctx;
  np_attention s;
  if (!b->g[0]) return NEAP_OK;
  describe(&s, c, b->x, b->arg, &b->out[0].at);
  s.out = operand_of(&s, b->y[0], s.padded_values);
  s.slope = operand_of(&s, b->g[0], s.padded_values);
  s.lse = np_data(b->y[1]);
  neap_tensor *g[4] = { NULL };
  if (b->in[NP_AT_QUERY].needs) g[NP_AT_QUERY] = query_gradient(&s, s.width);
  if (b->in[NP_AT_KEY].needs) g[NP_AT_KEY] = shared_gradient(&s, s.n_keys, s.width);
  if (b->in[NP_AT_VALUE].needs) g[NP_AT_VALUE] = shared_gradient(&s, s.n_keys, s.n_values);
  if (b->in[NP_AT_MASK].needs) g[NP_AT_MASK] = query_gradient(&s, s.n_keys);
  if (np_failed(c)) return c->error;
  char **into[4] = { &s.gq, &s.gk, &s.gv, &s.gm };
  if (g[NP_AT_MASK]) np_zero(c, g[NP_AT_MASK]); /* what is hidden has no gradient, and is not visited */
  if (g[NP_AT_QUERY] && s.n_keys == 0) np_zero(c, g[NP_AT_QUERY]);
  for (int i = 0; i < 4; i++)
    if (g[i]) *into[i] = np_data(g[i]);
  if (np_attention_backward(&s) != 0) return c->error;
  for (int i = 0; i < 4; i++)
    if (g[i]) b->gx[i] = g[i];
  return c->error;
}

/* ---- the same in recorded ops ---- */

static neap_tensor *repeated(neap_context *c, neap_tensor *x, int64_t group) { /* (..., h, n, e) to (..., h group, n, e) */
  if (!x || group == 1) return x;
  int64_t shape[NEAP_MAX_DIMS + 1], n = x->at.ndim;
  memcpy(shape, x->at.shape, (size_t)(n - 2) * sizeof *shape);
  shape[n - 2] = group, shape[n - 1] = x->at.shape[n - 2], shape[n] = x->at.shape[n - 1];
  neap_tensor *y = neap_expand(c, neap_unsqueeze(c, x, -3), (int)n + 1, shape);
  shape[n - 3] *= group, shape[n - 2] = shape[n - 1], shape[n - 1] = shape[n];
  return neap_reshape(c, y, (int)n, shape);
}

static neap_tensor *gathered(neap_context *c, neap_tensor *g, int64_t group) { /* its transpose: sums over each group */
  if (!g || group == 1) return g;
  int64_t shape[NEAP_MAX_DIMS + 1], n = g->at.ndim;
  memcpy(shape, g->at.shape, (size_t)(n - 2) * sizeof *shape);
  shape[n - 3] /= group, shape[n - 2] = group, shape[n - 1] = g->at.shape[n - 2], shape[n] = g->at.shape[n - 1];
  return neap_sum(c, neap_reshape(c, g, (int)n + 1, shape), 1, (int64_t[]){ -3 }, 0, -1);
}

static neap_tensor *hidden_pairs(neap_context *c, int64_t queries, int64_t keys, int64_t shift) { /* true where causality hides */
  neap_tensor *all = neap_ones(c, 2, (int64_t[]){ queries, keys }, NEAP_BOOL);
  return neap_logical_not(c, neap_tril(c, all, shift));
}

/* Weights before dropout; rows without any key are 0, and take no gradient. */
static neap_tensor *plain_weights(np_back *b, neap_tensor *q, neap_tensor *k, const np_attention *s) {
  neap_context *c = b->ctx;
  neap_tensor *mask = b->x[NP_AT_MASK], *low = np_tensor_constant(c, -INFINITY), *zero = np_tensor_constant(c, 0);
  neap_tensor *scores = neap_mul(c, neap_matmul(c, q, neap_transpose(c, k, -1, -2)), np_tensor_constant(c, s->scale));
  if (mask) scores = mask->at.dtype == NEAP_BOOL ? neap_masked_fill(c, scores, neap_logical_not(c, mask), low) : neap_add(c, scores, mask);
  if (s->causal) scores = neap_masked_fill(c, scores, hidden_pairs(c, s->n_queries, s->n_keys, s->shift), low);
  if (!scores || scores->at.count == 0) return scores;
  neap_tensor *none = neap_eq(c, neap_amax(c, scores, 1, (int64_t[]){ -1 }, 1), low);
  return neap_masked_fill(c, neap_softmax(c, neap_masked_fill(c, scores, none, zero), -1), none, zero);
}

int np_attention_twin(np_back *b) {
  neap_context *c = b->ctx;
  np_attention s;
  if (!b->g[0]) return NEAP_OK;
  describe(&s, c, b->x, b->arg, &b->out[0].at);
  neap_tensor *q = b->x[NP_AT_QUERY], *k = repeated(c, b->x[NP_AT_KEY], s.group), *v = repeated(c, b->x[NP_AT_VALUE], s.group), *dy = b->g[0];
  neap_tensor *p = plain_weights(b, q, k, &s), *left = p, *dp = neap_matmul(c, dy, neap_transpose(c, v, -1, -2));
  if (s.p > 0) left = neap_dropout_at(c, p, s.p, 2, b->arg[NP_AT_STATE].is), dp = neap_dropout_at(c, dp, s.p, 2, b->arg[NP_AT_STATE].is);
  neap_tensor *ds = neap_mul(c, p, neap_sub(c, dp, neap_sum(c, neap_mul(c, dp, p), 1, (int64_t[]){ -1 }, 1, -1)));
  neap_tensor *scaled = neap_mul(c, ds, np_tensor_constant(c, s.scale));
  if (b->in[NP_AT_QUERY].needs) b->gx[NP_AT_QUERY] = neap_matmul(c, scaled, k);
  if (b->in[NP_AT_KEY].needs) b->gx[NP_AT_KEY] = gathered(c, neap_matmul(c, neap_transpose(c, scaled, -1, -2), q), s.group);
  if (b->in[NP_AT_VALUE].needs) b->gx[NP_AT_VALUE] = gathered(c, neap_matmul(c, neap_transpose(c, left, -1, -2), dy), s.group);
  if (b->in[NP_AT_MASK].needs) b->gx[NP_AT_MASK] = ds;
  return c->error;
}
