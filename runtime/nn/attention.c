/* MultiheadAttention and the encodings of positions. Names, shapes and first values of parameters are PyTorch's. Heads are
 * views of what the projections put out, (N, heads, L, E / heads); attention itself is one op unless its weights are asked
 * for. Masks are turned around on their way: true means "ignored" here and "takes part" in the op. */
#include <math.h>
#include <string.h>
#include "module.h"

/* ---- MultiheadAttention: settings, then parts in the order in which they are made ---- */

enum { EMBED, HEADS, DROPOUT, BIAS, BIAS_KV, ZERO_ATTN, KDIM, VDIM, BATCH_FIRST, ROTARY };
enum { QUERY, KEY, VALUE, PADDING, NEED_WEIGHTS, MASK, AVERAGE, CAUSAL, CACHE, CACHED, STATIC };

static int xavier_part(neap_module *m, const char *name, int64_t rows, int64_t cols) {
  neap_tensor *t = np_add_part(m, name, 2, (int64_t[]){rows, cols});
  return t ? neap_init_xavier_uniform(t, 1, NULL) : (int)m->ctx->error;
}

static int one_matrix(const neap_module *m) { /* query, key and value are of one size, and their projections in one part */
  return np_set_i(m, KDIM) == np_set_i(m, EMBED) && np_set_i(m, VDIM) == np_set_i(m, EMBED);
}

static int projections(neap_module *m) {
  const int64_t e = np_set_i(m, EMBED);
  neap_context *c = m->ctx;
  if (one_matrix(m)) {
    if (xavier_part(m, "in_proj_weight", 3 * e, e) != 0) return c->error;
  } else if (xavier_part(m, "q_proj_weight", e, e) != 0 || xavier_part(m, "k_proj_weight", e, np_set_i(m, KDIM)) != 0 ||
             xavier_part(m, "v_proj_weight", e, np_set_i(m, VDIM)) != 0)
    return c->error;
  if (np_set_i(m, BIAS) && np_constant_part(m, "in_proj_bias", 1, (int64_t[]){3 * e}, 0) != 0) return c->error;
  for (int i = 0; np_set_i(m, BIAS_KV) && i < 2; i++) {
    neap_tensor *t = np_add_part(m, i ? "bias_v" : "bias_k", 3, (int64_t[]){1, 1, e});
    if (!t || neap_init_xavier_normal(t, 1, NULL) != 0) return c->error;
  }
  return NEAP_OK;
}

int np_multihead_attention_setup(neap_module *m, const neap_value *in) {
  neap_context *c = m->ctx;
  if (np_waits(m, EMBED, in, -1)) return c->error;
  for (int i = KDIM; i <= VDIM; i++)
    if (!np_set_given(m, i)) m->arg[i] = m->arg[EMBED];
  const int64_t e = np_set_i(m, EMBED);
  if (np_at_least(m, EMBED, 1) != 0 || np_at_least(m, HEADS, 1) != 0 || np_at_least(m, KDIM, 1) != 0 || np_at_least(m, VDIM, 1) != 0 ||
      np_probability(m, DROPOUT) != 0)
    return c->error;
  if (e % np_set_i(m, HEADS))
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "embed_dim, %lld, must be a multiple of num_heads, %lld", (long long)e, (long long)np_set_i(m, HEADS));
  if (np_set_i(m, ROTARY) && (e / np_set_i(m, HEADS) % 2 || np_set_i(m, BIAS_KV) || np_set_i(m, ZERO_ATTN)))
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "rotary takes heads of an even size, here %lld, and neither add_bias_kv nor add_zero_attn",
                         (long long)(e / np_set_i(m, HEADS)));
  if (projections(m) != 0) return c->error;
  neap_value linear[] = {{.kind = NEAP_INT, .i = e}, {.kind = NEAP_INT, .i = e}, {.kind = NEAP_FLAG, .i = np_set_i(m, BIAS)}};
  if (np_make_child(m, "out_proj", -1, "Linear", 3, linear) != 0) return c->error;
  neap_tensor *bias = np_part_of(m->child[0].m, 1);
  return bias ? neap_init_constant(bias, 0) : NEAP_OK;
}

static neap_tensor *part_named(const neap_module *m, const char *name) {
  for (int i = 0; i < m->n_parts; i++)
    if (strcmp(m->part[i].name, name) == 0) return m->part[i].t;
  return NULL;
}

typedef struct attention {
  neap_module *m;
  neap_context *c;
  const neap_value *in;
  int time, batched;         /* the dimension of positions in what goes in: 0 or 1 */
  int64_t n, queries, keys;  /* batch; keys with those of the cache and what is appended */
  neap_tensor *q, *k, *v;    /* (N, heads, L or S, E / heads) */
  neap_tensor *mask;         /* bool, true: takes part; or floats to add; broadcasts to (N, heads, L, S) */
} attention;

/* ---- projections ---- */

/* (.., .., E) as heads. */
static neap_tensor *heads(const attention *a, neap_tensor *x) {
  if (!x) return NULL;
  const int64_t h = np_set_i(a->m, HEADS), e = np_set_i(a->m, EMBED);
  x = neap_reshape(a->c, x, 4, (int64_t[]){x->at.shape[0], x->at.shape[1], h, e / h});
  return neap_permute(a->c, x, 4, a->time == 0 ? (int64_t[]){1, 2, 0, 3} : (int64_t[]){0, 2, 1, 3});
}

/* Projection i of x: by its own matrix, or its third of in_proj_weight. */
static neap_tensor *projected(const attention *a, int i, neap_tensor *x) {
  static const char *const names[] = {"q_proj_weight", "k_proj_weight", "v_proj_weight"};
  const int64_t e = np_set_i(a->m, EMBED);
  neap_tensor *w = part_named(a->m, names[i]), *b = part_named(a->m, "in_proj_bias");
  if (!w) w = neap_narrow(a->c, part_named(a->m, "in_proj_weight"), 0, i * e, e);
  return neap_linear(a->c, x, w, b ? neap_narrow(a->c, b, 0, i * e, e) : NULL, 0);
}

/* Keys and values are all in the cache already. */
static int is_filled(const attention *a) { return a->in[STATIC].i && a->in[CACHE].t && a->in[CACHED].i > 0; }

static void project(attention *a, neap_tensor *q, neap_tensor *k, neap_tensor *v) {
  neap_tensor *p[3] = {NULL};
  neap_tensor *whole = part_named(a->m, "in_proj_weight");
  if (is_filled(a)) {
    a->q = heads(a, projected(a, 0, q));
    return;
  }
  if (whole && q == k && k == v) neap_chunk(a->c, neap_linear(a->c, q, whole, part_named(a->m, "in_proj_bias"), 0), 3, -1, p, 3);
  else p[0] = projected(a, 0, q), p[1] = projected(a, 1, k), p[2] = projected(a, 2, v);
  neap_tensor *more[2] = {part_named(a->m, "bias_k"), part_named(a->m, "bias_v")};
  for (int i = 0; i < 2; i++) {
    neap_tensor *x = p[1 + i];
    if (!x) return;
    int64_t one[3] = {x->at.shape[0], x->at.shape[1], x->at.shape[2]};
    one[a->time] = 1;
    if (more[i]) x = neap_cat(a->c, 2, (neap_tensor *[]){x, neap_expand(a->c, more[i], 3, one)}, a->time);
    if (np_set_i(a->m, ZERO_ATTN) && x) x = neap_cat(a->c, 2, (neap_tensor *[]){x, neap_zeros(a->c, 3, one, x->at.dtype)}, a->time);
    p[1 + i] = x;
  }
  a->q = heads(a, p[0]), a->k = heads(a, p[1]), a->v = heads(a, p[2]);
  if (!np_set_i(a->m, ROTARY)) return;
  a->q = neap_rope(a->c, a->q, 10000, a->in[CACHED].i, 1, 0);
  a->k = neap_rope(a->c, a->k, 10000, a->in[CACHED].i, 1, 0);
}

/* ---- the cache: keys and values written behind those that are there; no gradient follows ---- */

static int refuse_cache(const attention *a, const char *why) {
  char have[96];
  np_shape_text(have, sizeof have, a->in[CACHE].t);
  return np_layer_fail(a->m, NEAP_ERR_SHAPE, "cache %s with %lld positions %s", have, (long long)a->in[CACHED].i, why);
}

static int append(attention *a) {
  neap_tensor *cache = a->in[CACHE].t;
  const int64_t cached = a->in[CACHED].i;
  if (cached < 0) return np_layer_fail(a->m, NEAP_ERR_ARGUMENT, "cached is %lld, it must be at least 0", (long long)cached);
  if (!cache) return cached ? np_layer_fail(a->m, NEAP_ERR_ARGUMENT, "cached is %lld, but there is no cache", (long long)cached) : NEAP_OK;
  if (np_set_i(a->m, BIAS_KV) || np_set_i(a->m, ZERO_ATTN))
    return np_layer_fail(a->m, NEAP_ERR_ARGUMENT, "a cache does not go with add_bias_kv or add_zero_attn, which append a key at each call");
  const int filled = is_filled(a);
  const int64_t *s = a->q->at.shape, *have = cache->at.shape, n = filled ? 0 : a->k->at.shape[2];
  if (cache->at.ndim != 5 || have[0] != 2 || have[1] != s[0] || have[2] != s[1] || have[4] != s[3]) {
    char wanted[160];
    np_text t;
    np_text_init(&t, wanted, sizeof wanted);
    np_text_add(&t, "does not fit: it must be (2, N, heads, room, embed_dim / heads), here (2, %lld, %lld, room, %lld)", (long long)s[0], (long long)s[1], (long long)s[3]);
    return refuse_cache(a, wanted);
  }
  if (cached + n > have[3]) return refuse_cache(a, "has no room for those of this call");
  if (!filled && a->c->grad_mode && (np_needs_grad(a->k) || np_needs_grad(a->v)))
    return np_layer_fail(a->m, NEAP_ERR_STATE, "a cache holds what no gradient follows: call it within no_grad");
  neap_tensor *both[2] = {a->k, a->v};
  for (int i = 0; i < 2; i++) {
    neap_tensor *of = neap_select(a->c, cache, 0, i);
    if (!filled) neap_copy_(a->c, neap_narrow(a->c, of, 2, cached, n), both[i]);
    both[i] = neap_narrow(a->c, of, 2, 0, cached + n);
  }
  a->k = both[0], a->v = both[1];
  return a->c->error;
}

/* ---- masks ---- */

static neap_tensor *as_scores(neap_context *c, neap_tensor *mask, int dtype) { /* true: ignored, to -inf */
  if (!mask || mask->at.dtype != NEAP_BOOL) return mask;
  return neap_masked_fill(c, neap_zeros(c, mask->at.ndim, mask->at.shape, dtype), mask, np_tensor_constant(c, -INFINITY));
}

static int refuse_mask(const attention *a, int i, const char *wanted) {
  char have[96];
  np_shape_text(have, sizeof have, a->in[i].t);
  return np_layer_fail(a->m, NEAP_ERR_SHAPE, "%s %s must be %s", a->m->call->param[i].name, have, wanted);
}

static int check_mask_dtype(const attention *a, int i) {
  neap_tensor *mask = a->in[i].t;
  if (!mask || mask->at.dtype == NEAP_BOOL || np_is_float(mask->at.dtype)) return NEAP_OK;
  return np_layer_fail(a->m, NEAP_ERR_DTYPE, "%s is %s, it must be bool, true where a key is ignored (mask:bool()), or floats to add to the scores",
                       a->m->call->param[i].name, np_dtypes[mask->at.dtype].info.name);
}

/* Both masks, of all keys, as (N or 1, heads or 1, L or 1, S); NULL: not given. */
static int open_masks(attention *a, neap_tensor **padding, neap_tensor **mask) {
  const int64_t h = np_set_i(a->m, HEADS), extra = np_set_i(a->m, BIAS_KV) + np_set_i(a->m, ZERO_ATTN), keys = a->keys - extra;
  neap_tensor *p = a->in[PADDING].t, *w = a->in[MASK].t;
  char wanted[128];
  np_text t;
  if (check_mask_dtype(a, PADDING) != 0 || check_mask_dtype(a, MASK) != 0) return a->c->error;
  np_text_init(&t, wanted, sizeof wanted);
  if (p) {
    const int lead = a->batched;
    np_text_shape(&t, 1 + lead, (const int64_t[]){lead ? a->n : keys, keys});
    if (p->at.ndim != 1 + lead || p->at.shape[lead] != keys || (lead && p->at.shape[0] != a->n)) return refuse_mask(a, PADDING, wanted);
    p = neap_reshape(a->c, p, 4, (int64_t[]){a->n, 1, 1, keys});
  }
  if (w) {
    const int each = w->at.ndim == 3;
    np_text_init(&t, wanted, sizeof wanted);
    np_text_shape(&t, 2, (const int64_t[]){a->queries, keys});
    np_text_add(&t, " or ");
    np_text_shape(&t, 3, (const int64_t[]){a->n * h, a->queries, keys});
    if ((w->at.ndim != 2 && !each) || w->at.shape[each] != a->queries || w->at.shape[each + 1] != keys || (each && w->at.shape[0] != a->n * h))
      return refuse_mask(a, MASK, wanted);
    w = neap_reshape(a->c, w, 4, (int64_t[]){each ? a->n : 1, each ? h : 1, a->queries, keys});
  }
  for (int i = 0; i < 2 && extra; i++) { /* what was appended is always seen */
    neap_tensor **x = i ? &w : &p;
    if (*x) *x = neap_pad(a->c, *x, 2, (int64_t[]){0, extra}, NEAP_MODE_CONSTANT, 0);
  }
  *padding = p, *mask = w;
  return a->c->error;
}

static int join_masks(attention *a) {
  neap_tensor *p = NULL, *w = NULL;
  const int dtype = a->q ? a->q->at.dtype : NEAP_F32;
  if (np_failed(a->c) || open_masks(a, &p, &w) != 0) return a->c->error;
  if ((!p || p->at.dtype == NEAP_BOOL) && (!w || w->at.dtype == NEAP_BOOL)) {
    if (p || w) a->mask = neap_logical_not(a->c, p && w ? neap_logical_or(a->c, p, w) : p ? p : w);
    return a->c->error;
  }
  p = as_scores(a->c, p, dtype), w = as_scores(a->c, w, dtype);
  a->mask = p && w ? neap_add(a->c, p, w) : p ? p : w;
  return a->c->error;
}

/* ---- attention ---- */

/* (N, heads, L, S), after dropout as PyTorch gives them. Queries stand `cached` positions behind the first key. */
static neap_tensor *weights_of(const attention *a, double scale) {
  neap_context *c = a->c;
  neap_tensor *low = np_tensor_constant(c, -INFINITY);
  neap_tensor *s = neap_matmul(c, neap_mul(c, a->q, np_tensor_constant(c, scale)), neap_transpose(c, a->k, -1, -2));
  if (a->mask) s = a->mask->at.dtype == NEAP_BOOL ? neap_masked_fill(c, s, neap_logical_not(c, a->mask), low) : neap_add(c, s, a->mask);
  if (a->in[CAUSAL].i) {
    neap_tensor *seen = neap_tril(c, neap_ones(c, 2, (int64_t[]){a->queries, a->keys}, NEAP_BOOL), a->in[CACHED].i);
    s = neap_masked_fill(c, s, neap_logical_not(c, seen), low);
  }
  s = neap_softmax(c, s, -1);
  return a->m->training && s ? neap_dropout(c, s, np_set_d(a->m, DROPOUT), 1, NULL) : s;
}

static neap_tensor *attended(const attention *a, neap_tensor **weights) {
  neap_context *c = a->c;
  if (np_failed(c)) return NULL;
  const double scale = 1 / sqrt((double)a->q->at.shape[3]), p = a->m->training ? np_set_d(a->m, DROPOUT) : 0;
  if (a->in[NEED_WEIGHTS].i) {
    *weights = weights_of(a, scale);
    return neap_matmul(c, *weights, a->v);
  }
  int64_t state[3] = {(int64_t)c->generator.seed, 0, a->in[CACHED].i};
  if (p > 0) state[1] = (int64_t)np_draw(&c->generator, NP_RANDOM_32(a->n * a->q->at.shape[1] * a->queries * a->keys));
  return neap_attention(c, a->q, a->k, a->v, a->mask, p, (int)a->in[CAUSAL].i, scale, 0, 3, state, NULL);
}

static int refuse_inputs(const attention *a, const char *why) {
  char q[96], k[96], v[96];
  np_shape_text(q, sizeof q, a->in[QUERY].t);
  np_shape_text(k, sizeof k, a->in[KEY].t);
  np_shape_text(v, sizeof v, a->in[VALUE].t);
  return np_layer_fail(a->m, NEAP_ERR_SHAPE, "query %s, key %s and value %s do not fit: %s", q, k, v, why);
}

static int check_inputs(const attention *a) {
  const np_layout *q = &a->in[QUERY].t->at, *k = &a->in[KEY].t->at, *v = &a->in[VALUE].t->at;
  static const int sizes[] = {EMBED, KDIM, VDIM};
  char why[96];
  if (q->ndim < 2 || q->ndim > 3) return refuse_inputs(a, "each has 3 dimensions, or 2 without a batch");
  if (k->ndim != q->ndim || v->ndim != q->ndim) return refuse_inputs(a, "they must have as many dimensions");
  for (int i = 0; i < 3; i++) {
    np_text t;
    np_text_init(&t, why, sizeof why);
    np_text_add(&t, "the last dimension of %s must be %s, %lld", a->m->call->param[i].name, a->m->sig->param[sizes[i]].name,
                (long long)np_set_i(a->m, sizes[i]));
    if (a->in[i].t->at.shape[q->ndim - 1] != np_set_i(a->m, sizes[i])) return refuse_inputs(a, why);
  }
  if (q->ndim == 3 && (k->shape[!a->time] != q->shape[!a->time] || v->shape[!a->time] != q->shape[!a->time])) return refuse_inputs(a, "their batches differ");
  if (k->shape[a->time] != v->shape[a->time]) return refuse_inputs(a, "key and value differ in length");
  return NEAP_OK;
}

/* y like query; weights averaged over heads or not. */
static neap_tensor *run(attention *a, neap_tensor **weights) {
  neap_context *c = a->c;
  neap_tensor *x[3], *given = NULL;
  for (int i = 0; i < 3; i++) {
    neap_tensor *t = a->in[i].t;
    x[i] = a->batched ? t : i && t == a->in[i - 1].t ? given : neap_unsqueeze(c, t, !a->time);
    given = x[i];
  }
  project(a, x[0], x[1], x[2]);
  if (np_failed(c) || append(a) != 0) return NULL;
  a->n = a->q->at.shape[0], a->queries = a->q->at.shape[2], a->keys = a->k->at.shape[2];
  if (join_masks(a) != 0) return NULL;
  neap_tensor *w = NULL, *y = attended(a, &w);
  if (!y) return NULL;
  y = neap_permute(c, y, 4, a->time == 0 ? (int64_t[]){2, 0, 1, 3} : (int64_t[]){0, 2, 1, 3});
  y = y ? neap_reshape(c, y, 3, (int64_t[]){y->at.shape[0], y->at.shape[1], np_set_i(a->m, EMBED)}) : NULL;
  y = np_child_run1(a->m, 0, y);
  if (w && a->in[AVERAGE].i) w = neap_mean(c, w, 1, (int64_t[]){1}, 0, -1);
  if (w && !a->batched) w = neap_squeeze(c, w, 1, (int64_t[]){0});
  *weights = w;
  return y && !a->batched ? neap_squeeze(c, y, 1, (int64_t[]){!a->time}) : y;
}

neap_tensor *np_multihead_attention_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  attention a = {.m = m, .c = m->ctx, .in = in};
  a.batched = in[QUERY].t->at.ndim == 3;
  a.time = a.batched && np_set_i(m, BATCH_FIRST);
  return check_inputs(&a) == 0 ? run(&a, &more[0]) : NULL;
}

/* ---- PositionalEncoding, PositionalEmbedding: d_model dropout max_len batch_first; (max_len, d_model): buffer pe, weight ---- */

static int check_positions(neap_module *m) {
  return np_at_least(m, 0, 1) != 0 || np_probability(m, 1) != 0 || np_at_least(m, 2, 0) != 0 ? (int)m->ctx->error : NEAP_OK;
}

int np_positional_encoding_setup(neap_module *m, const neap_value *in) {
  (void)in;
  neap_context *c = m->ctx;
  if (check_positions(m) != 0) return c->error;
  neap_tensor *pe = np_add_buffer(m, "pe", m->dtype, 2, (int64_t[]){np_set_i(m, 2), np_set_i(m, 0)});
  neap_tensor *table = pe ? neap_sinusoids(c, np_set_i(m, 2), np_set_i(m, 0), 10000, 0, m->dtype) : NULL;
  if (table) np_copy(c, pe, table);
  neap_release(table);
  return c->error;
}

int np_positional_embedding_setup(neap_module *m, const neap_value *in) {
  (void)in;
  if (check_positions(m) != 0) return m->ctx->error;
  neap_tensor *w = np_add_part(m, "weight", 2, (int64_t[]){np_set_i(m, 2), np_set_i(m, 0)});
  return w ? neap_init_normal(w, 0, 0.02, NULL) : (int)m->ctx->error;
}

neap_tensor *np_positional_encoding_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  neap_context *c = m->ctx;
  neap_tensor *x = in[0].t, *pe = np_part_of(m, 0);
  const int time = x->at.ndim == 3 && np_set_i(m, 3), d = x->at.ndim - 1;
  char shape[96];
  np_shape_text(shape, sizeof shape, x);
  if ((d != 1 && d != 2) || x->at.shape[d] != np_set_i(m, 0)) {
    np_layer_fail(m, NEAP_ERR_SHAPE, "x %s must have 2 or 3 dimensions, the last of size d_model, %lld", shape, (long long)np_set_i(m, 0));
    return NULL;
  }
  const int64_t n = x->at.shape[time], first = in[1].i;
  if (first < 0 || first + n > np_set_i(m, 2)) {
    np_layer_fail(m, NEAP_ERR_SHAPE, "x %s from offset %lld on goes beyond max_len, %lld", shape, (long long)first, (long long)np_set_i(m, 2));
    return NULL;
  }
  neap_tensor *rows = neap_narrow(c, pe, 0, first, n);
  if (d == 2 && time == 0) rows = neap_unsqueeze(c, rows, 1);
  neap_tensor *y = neap_add(c, x, rows);
  return y && m->training ? neap_dropout(c, y, np_set_d(m, 1), 1, NULL) : y;
}

/* ---- RotaryEmbedding: base interleaved; ALiBi: num_heads ---- */

neap_tensor *np_rotary_embedding_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_rope(m->ctx, in[0].t, np_set_d(m, 0), in[1].i, (int)np_set_i(m, 1), 0);
}

int np_alibi_setup(neap_module *m, const neap_value *in) {
  (void)in;
  return np_at_least(m, 0, 1);
}

neap_tensor *np_alibi_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  const neap_tensor *q = in[0].t, *k = in[1].t ? in[1].t : q;
  if (q->at.ndim >= 2 && k->at.ndim >= 2)
    return neap_alibi(m->ctx, np_set_i(m, 0), q->at.shape[q->at.ndim - 2], k->at.shape[k->at.ndim - 2], q->at.dtype);
  np_layer_fail(m, NEAP_ERR_SHAPE, "takes queries and keys of 2 dimensions or more, (..., length, size)");
  return NULL;
}
