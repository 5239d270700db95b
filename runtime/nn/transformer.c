/* The transformer: its encoder and decoder layers, stacks of them, and the whole. Names and first values are PyTorch's. A
 * layer is blocks with a residual connection each, which its LayerNorms follow, or with norm_first precede: self-attention,
 * in a decoder attention to the encoder's output, two linear layers. */
#include <string.h>
#include "module.h"

/* ---- settings and children of a layer ---- */

enum { MODEL, HEADS, WIDTH, DROPOUT, ACTIVATION, EPS, BATCH_FIRST, NORM_FIRST, BIAS, ROTARY, LAYER_SETTINGS };
enum { GELU = 1 };

static neap_value whole(int64_t i) { return (neap_value){.kind = NEAP_INT, .i = i}; }
static neap_value flag(int64_t i) { return (neap_value){.kind = NEAP_FLAG, .i = i}; }
static neap_value number(double d) { return (neap_value){.kind = NEAP_NUMBER, .d = d}; }

static int norm_child(neap_module *m, const char *name, int64_t size, double eps, int64_t bias) {
  neap_value v[] = {{.kind = NEAP_INTS, .n = 1, .is = &size}, number(eps), flag(1), flag(bias)};
  return np_make_child(m, name, -1, "LayerNorm", 4, v);
}

static int attention_child(neap_module *m, const char *name, neap_value rotary) {
  const neap_value *s = m->arg, none = {.kind = NEAP_NONE};
  neap_value v[] = {s[MODEL], s[HEADS], s[DROPOUT], s[BIAS], flag(0), flag(0), none, none, s[BATCH_FIRST], rotary};
  return np_make_child(m, name, -1, "MultiheadAttention", 10, v);
}

static int linear_child(neap_module *m, const char *name, int from, int to) {
  neap_value v[] = {m->arg[from], m->arg[to], m->arg[BIAS]};
  return np_make_child(m, name, -1, "Linear", 3, v);
}

static int layer_setup(neap_module *m, int decodes) {
  static const char *const norms[] = {"norm1", "norm2", "norm3"};
  if (np_at_least(m, MODEL, 1) != 0 || np_at_least(m, HEADS, 1) != 0 || np_at_least(m, WIDTH, 0) != 0 || np_probability(m, DROPOUT) != 0) return m->ctx->error;
  if (attention_child(m, "self_attn", m->arg[ROTARY]) != 0 || (decodes && attention_child(m, "multihead_attn", flag(0)) != 0)) return m->ctx->error;
  if (linear_child(m, "linear1", MODEL, WIDTH) != 0 || linear_child(m, "linear2", WIDTH, MODEL) != 0) return m->ctx->error;
  for (int i = 0; i < 2 + decodes; i++)
    if (norm_child(m, norms[i], np_set_i(m, MODEL), np_set_d(m, EPS), np_set_i(m, BIAS)) != 0) return m->ctx->error;
  return NEAP_OK;
}

int np_transformer_encoder_layer_setup(neap_module *m, const neap_value *in) { return (void)in, layer_setup(m, 0); }
int np_transformer_decoder_layer_setup(neap_module *m, const neap_value *in) { return (void)in, layer_setup(m, 1); }

/* ---- forward of a layer ---- */

static neap_tensor *dropped(neap_module *m, neap_tensor *x) {
  return x && m->training ? neap_dropout(m->ctx, x, np_set_d(m, DROPOUT), 1, NULL) : x;
}

/* How a block attends: child of the layer, its masks, and a cache. */
typedef struct attends {
  int child;
  neap_tensor *memory; /* NULL: x itself */
  neap_value mask, padding, causal, cache, cached, fixed; /* fixed: once filled, the cache is only read */
} attends;

static neap_tensor *attend(neap_module *m, const attends *a, neap_tensor *x) {
  neap_tensor *out[2];
  if (!x) return NULL;
  const neap_value from = np_given_tensor(a->memory ? a->memory : x);
  neap_value v[] = {np_given_tensor(x), from, from, a->padding, flag(0), a->mask, flag(1), a->causal, a->cache, a->cached, a->fixed};
  return np_child_run(m, a->child, 11, v, out) < 0 ? NULL : dropped(m, out[0]);
}

static neap_tensor *feed_forward(neap_module *m, int child, neap_tensor *x) {
  neap_module *first = m->child[child].m;
  const int gelu = np_set_i(m, ACTIVATION) == GELU;
  if (!x) return NULL;
  neap_tensor *h = neap_linear(m->ctx, x, np_part_of(first, 0), np_part_of(first, 1), gelu ? NEAP_ACTIVATION_NONE : NEAP_ACTIVATION_RELU);
  if (gelu) h = neap_gelu(m->ctx, h, 0);
  return dropped(m, np_child_run1(m, child + 1, dropped(m, h)));
}

/* Blocks 0 .. n - 1: n - 1 that attend, then the linear layers; norms are children from 2 (n - 1) ... on. */
static neap_tensor *blocks(neap_module *m, int n, const attends *a, neap_tensor *x) {
  const int linear = n - 1, norm = linear + 2;
  for (int i = 0; i < n && x; i++) {
    neap_tensor *h = np_set_i(m, NORM_FIRST) ? np_child_run1(m, norm + i, x) : x;
    h = i < linear ? attend(m, &a[i], h) : feed_forward(m, linear, h);
    x = neap_add(m->ctx, x, h);
    if (!np_set_i(m, NORM_FIRST)) x = np_child_run1(m, norm + i, x);
  }
  return x;
}

neap_tensor *np_transformer_encoder_layer_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  enum { SRC, MASK, PADDING, CAUSAL, CACHE, CACHED };
  (void)more;
  attends a = {.mask = in[MASK], .padding = in[PADDING], .causal = in[CAUSAL], .cache = in[CACHE], .cached = in[CACHED], .fixed = flag(0)};
  return blocks(m, 2, &a, in[SRC].t);
}

enum { TGT, MEMORY, TGT_MASK, MEMORY_MASK, TGT_PADDING, MEMORY_PADDING, TGT_CAUSAL, MEMORY_CAUSAL, CACHE, CACHED, MEMORY_CACHE };

neap_tensor *np_transformer_decoder_layer_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  const neap_tensor *kept = in[MEMORY_CACHE].t;
  const int64_t filled = kept && kept->at.ndim == 5 && in[CACHED].i > 0 ? kept->at.shape[3] : 0;
  attends a[2] = {
    {.mask = in[TGT_MASK], .padding = in[TGT_PADDING], .causal = in[TGT_CAUSAL], .cache = in[CACHE], .cached = in[CACHED], .fixed = flag(0)},
    {.child = 1, .memory = in[MEMORY].t, .mask = in[MEMORY_MASK], .padding = in[MEMORY_PADDING], .causal = in[MEMORY_CAUSAL],
     .cache = in[MEMORY_CACHE], .cached = whole(filled), .fixed = flag(1)}};
  return blocks(m, 3, a, in[TGT].t);
}

/* ---- stacks: d_model nhead num_layers, then as a layer's from WIDTH to BIAS, norm and rotary ---- */

enum { LAYERS = 2, NORM = BIAS + 2, STACK_SETTINGS = NORM + 2 };

static int stack_setup(neap_module *m, const char *layer) {
  neap_value v[LAYER_SETTINGS] = {m->arg[MODEL], m->arg[HEADS]};
  if (np_at_least(m, LAYERS, 0) != 0) return m->ctx->error;
  memcpy(v + WIDTH, m->arg + WIDTH + 1, (ROTARY - WIDTH) * sizeof *v);
  v[ROTARY] = m->arg[NORM + 1];
  for (int64_t i = 0; i < np_set_i(m, LAYERS); i++)
    if (np_make_child(m, "layers", (int)i, layer, LAYER_SETTINGS, v) != 0) return m->ctx->error;
  return np_set_i(m, NORM) ? norm_child(m, "norm", np_set_i(m, MODEL), v[EPS].d, v[BIAS].i) : NEAP_OK;
}

int np_transformer_encoder_setup(neap_module *m, const neap_value *in) { return (void)in, stack_setup(m, "TransformerEncoderLayer"); }
int np_transformer_decoder_setup(neap_module *m, const neap_value *in) { return (void)in, stack_setup(m, "TransformerDecoderLayer"); }

static int check_stack_cache(const neap_module *m, int i, neap_tensor *cache) {
  const int64_t layers = np_set_i(m, LAYERS);
  char shape[96];
  if (!cache || (cache->at.ndim == 6 && cache->at.shape[0] == layers)) return NEAP_OK;
  np_shape_text(shape, sizeof shape, cache);
  return np_layer_fail(m, NEAP_ERR_SHAPE, "%s %s must be (%lld, 2, N, heads, room, d_model / heads), its first dimension the layers",
                       m->call->param[i].name, shape, (long long)layers);
}

/* caches: which arguments have a layer's share in each place of their first dimension. */
static neap_tensor *stacked(neap_module *m, int n, const neap_value *in, int n_caches, const int *caches) {
  neap_tensor *x = in[0].t;
  neap_value v[NP_MAX_ARGS];
  const int64_t layers = np_set_i(m, LAYERS);
  memcpy(v, in, (size_t)n * sizeof *v);
  for (int k = 0; k < n_caches; k++)
    if (check_stack_cache(m, caches[k], in[caches[k]].t) != 0) return NULL;
  for (int i = 0; i < m->n_children && x; i++) {
    if (i >= layers) {
      x = np_child_run1(m, i, x);
      continue;
    }
    v[0] = np_given_tensor(x);
    for (int k = 0; k < n_caches; k++)
      if (in[caches[k]].t) v[caches[k]] = np_given_tensor(neap_select(m->ctx, in[caches[k]].t, 0, i));
    if (np_failed(m->ctx) || np_child_run(m, i, n, v, &x) < 0) return NULL;
  }
  return x == in[0].t ? neap_retain(x) : x;
}

neap_tensor *np_transformer_encoder_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, stacked(m, 6, in, 1, (int[]){4}); }
neap_tensor *np_transformer_decoder_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return (void)more, stacked(m, 11, in, 2, (int[]){CACHE, MEMORY_CACHE}); }

/* ---- Transformer: d_model nhead num_encoder_layers num_decoder_layers, then as a layer's from WIDTH to BIAS ---- */

static int xavier(void *arg, const char *name, neap_tensor *t, int buffer) {
  (void)arg, (void)name;
  return buffer || t->at.ndim < 2 ? 0 : neap_init_xavier_uniform(t, 1, NULL);
}

int np_transformer_setup(neap_module *m, const neap_value *in) {
  (void)in;
  for (int i = 0; i < 2; i++) {
    neap_value v[STACK_SETTINGS] = {m->arg[MODEL], m->arg[HEADS], m->arg[LAYERS + i]};
    if (np_at_least(m, LAYERS + i, 0) != 0) return m->ctx->error;
    memcpy(v + LAYERS + 1, m->arg + LAYERS + 2, (ROTARY - WIDTH) * sizeof *v);
    v[NORM] = flag(1), v[NORM + 1] = flag(0);
    if (np_make_child(m, i ? "decoder" : "encoder", -1, i ? "TransformerDecoder" : "TransformerEncoder", STACK_SETTINGS, v) != 0) return m->ctx->error;
  }
  return neap_module_each(m, xavier, NULL);
}

neap_tensor *np_transformer_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  enum { T_SRC, T_TGT, T_SRC_MASK, T_TGT_MASK, T_MEMORY_MASK, T_SRC_PADDING, T_TGT_PADDING, T_MEMORY_PADDING, T_SRC_CAUSAL, T_TGT_CAUSAL, T_MEMORY_CAUSAL };
  (void)more;
  neap_tensor *memory = NULL, *y = NULL;
  const neap_value encode[] = {in[T_SRC], in[T_SRC_MASK], in[T_SRC_PADDING], in[T_SRC_CAUSAL]};
  if (np_child_run(m, 0, 4, encode, &memory) >= 0) {
    const neap_value decode[] = {in[T_TGT], np_given_tensor(memory), in[T_TGT_MASK], in[T_MEMORY_MASK], in[T_TGT_PADDING], in[T_MEMORY_PADDING],
                                 in[T_TGT_CAUSAL], in[T_MEMORY_CAUSAL]};
    if (np_child_run(m, 1, 8, decode, &y) < 0) y = NULL;
  }
  return y;
}
