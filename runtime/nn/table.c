/* The layer table: the rows of layers.def as one constant array, and what the outside may ask about them. */
#include <string.h>
#include "module.h"

#define LAYER(name, signature, call, setup, forward, doc, example) \
  int np_##setup(neap_module *m, const neap_value *in);            \
  neap_tensor *np_##forward(neap_module *m, const neap_value *in, neap_tensor **more);
#define OP_LAYER(name, op, inputs, example)
#include "layers.def"
#undef LAYER
#undef OP_LAYER

#define LAYER(name_, signature_, call_, setup_, forward_, doc_, example_)                             \
  { .name = #name_, .signature = signature_, .doc = doc_, .example = example_, .call = call_, .op = -1, \
    .setup = np_##setup_, .forward = np_##forward_ },
#define OP_LAYER(name_, op_, inputs_, example_)                                                    \
  { .name = #name_, .example = example_, .op = NP_OP_##op_, .inputs = inputs_, .setup = np_op_setup, \
    .forward = np_op_forward },
static const np_layer layers[] = {
#include "layers.def"
};

const np_layer *np_layer_row(int layer) { return &layers[layer]; }

int neap_layer_count(void) { return NP_ARRAY(layers); }

int neap_layer_find(const char *name) {
  for (int i = 0; i < NP_ARRAY(layers); i++)
    if (strcmp(layers[i].name, name) == 0) return i;
  return -1;
}

/* ---- signatures ---- */

typedef struct layer_signature {
  np_signature s; /* first: it is kept and freed as one */
  neap_layer_info about;
} layer_signature;
static const char family[] = "layer";

/* The text of an op's signature after its first n parameters. */
static const char *after_inputs(const char *text, int n) {
  while (n-- > 0) {
    text += strcspn(text, " ");
    text += strspn(text, " ,");
  }
  return text;
}

/* A text of a row in the ops' grammar, kept under its address. */
static const np_signature *parsed(neap_context *c, const char *text) {
  static const char parsed_family[] = "layer text";
  const np_signature *s = np_signature_kept(c, parsed_family, text);
  if (s) return s;
  np_signature *fresh = np_signature_parse(c, text, NULL);
  if (!fresh) return NULL;
  fresh->info.family = parsed_family;
  fresh->info.name = text;
  return np_signature_keep(c, fresh) == 0 ? fresh : NULL;
}

const np_signature *np_layer_call(neap_context *c, int layer) {
  static const char call_family[] = "layer call";
  const np_layer *row = &layers[layer];
  if (row->op < 0) return parsed(c, row->call);
  const np_signature *s = np_signature_kept(c, call_family, row->name), *whole = s ? s : np_op_signature(c, row->op);
  if (s || !whole) return s;
  np_signature *fresh = np_alloc_zero(c, sizeof *fresh);
  if (!fresh) return NULL;
  fresh->n_params = row->inputs;
  fresh->n_required = whole->n_required < row->inputs ? whole->n_required : row->inputs;
  fresh->n_outputs = whole->n_outputs;
  memcpy(fresh->param, whole->param, (size_t)row->inputs * sizeof *whole->param);
  memcpy(fresh->output, whole->output, sizeof whole->output);
  fresh->bytes = sizeof *fresh;
  fresh->info.family = call_family;
  fresh->info.name = row->name;
  return np_signature_keep(c, fresh) == 0 ? fresh : NULL;
}

const np_signature *np_layer_signature(neap_context *c, int layer) {
  const np_layer *row = &layers[layer];
  const np_signature *kept = np_signature_kept(c, family, row->name);
  if (kept) return kept;
  const np_signature *whole = row->op < 0 ? parsed(c, row->signature) : np_op_signature(c, row->op);
  const np_signature *call = whole ? np_layer_call(c, layer) : NULL;
  layer_signature *l = call ? np_alloc_zero(c, sizeof *l) : NULL;
  if (!l) return NULL;
  int skip = row->op >= 0 ? row->inputs : 0;
  l->s.n_params = whole->n_params - skip;
  l->s.n_required = whole->n_required > skip ? whole->n_required - skip : 0;
  memcpy(l->s.param, whole->param + skip, (size_t)l->s.n_params * sizeof *whole->param);
  l->s.bytes = sizeof *l;
  l->s.info.family = family;
  l->s.info.name = row->name;
  l->about = (neap_layer_info){
    .name = row->name, .doc = row->doc ? row->doc : np_ops[row->op].doc, .example = row->example,
    .signature = row->op >= 0 ? after_inputs(np_ops[row->op].signature, skip) : row->signature,
    .n_params = l->s.n_params, .params = l->s.param, .n_inputs = call->n_params, .inputs = call->param,
    .n_outputs = call->n_outputs, .outputs = call->output };
  return np_signature_keep(c, &l->s) == 0 ? &l->s : NULL;
}

const neap_layer_info *np_layer_info_of(const np_signature *settings) { return &((const layer_signature *)settings)->about; }

const neap_layer_info *neap_layer_about(neap_context *c, int layer) {
  if (layer < 0 || layer >= NP_ARRAY(layers)) return NULL;
  const np_signature *s = np_layer_signature(c, layer);
  return s ? np_layer_info_of(s) : NULL;
}
