/* Backward of one record: rebuilds handles for what was saved, runs the op's own backward inside a scope, and gives
 * every gradient the shape and dtype of its input. Saved memory that has been written to since is refused here, with
 * both places named. When the gradient is itself recorded, the handles get their history back and the op's twin runs. */
#include <math.h>
#include <string.h>
#include "op.h"

static void place(np_text *t, const neap_site *s) {
  if (s->file) np_text_add(t, " at %s:%d", s->file, s->line);
  if (s->path) np_text_add(t, " in layer %s", s->path);
}

static int changed(np_record *r, const np_storage *s, const char *what) {
  char text[600];
  np_text t;
  np_text_init(&t, text, sizeof text);
  np_text_add(&t, "%s (called", np_ops[r->op].name);
  place(&t, &r->site);
  np_text_add(&t, ") saved its %s for backward, but it was changed in place since by %s", what, s->write_op);
  if (neap_op_find(s->write_op) >= 0) np_text_add(&t, "_"); /* its in-place form */
  if (s->write_file) np_text_add(&t, " at %s:%d", s->write_file, s->write_line);
  np_text_add(&t, ": change a clone, or use the op's other form");
  return np_fail(r->ctx, NEAP_ERR_STATE, "%s", text);
}

static int spent(np_record *r) {
  char text[400];
  np_text t;
  np_text_init(&t, text, sizeof text);
  np_text_add(&t, "backward: what %s", r->op < 0 ? "a custom function" : np_ops[r->op].name);
  place(&t, &r->site);
  np_text_add(&t, " saved was freed by an earlier backward: pass retain_graph to the first one to go through the graph twice");
  return np_fail(r->ctx, NEAP_ERR_STATE, "%s", text);
}

int np_record_usable(np_record *r) {
  if (r->op < 0) return r->spent ? spent(r) : NEAP_OK;
  if (r->spent) return spent(r);
  for (int i = 0; i < r->n_in; i++)
    if (r->in[i].storage && r->in[i].storage->version != r->in[i].version) return changed(r, r->in[i].storage, "argument");
  for (int i = 0; i < r->n_out; i++)
    if (r->out[i].storage && r->out[i].storage->version != r->out[i].version) return changed(r, r->out[i].storage, "result");
  return NEAP_OK;
}

/* A handle of a saved tensor, with its history when gradients are recorded. */
static neap_tensor *saved(neap_context *c, np_storage *s, const np_layout *at, np_record *record, neap_tensor *leaf, int output, int history) {
  if (history && leaf) return neap_retain(leaf);
  neap_tensor *t = np_tensor_on(c, s, at);
  if (t && history && record) {
    np_record_retain(t->record = record);
    t->output = (int16_t)output;
    t->flags |= NP_REQUIRES_GRAD;
    t->base_version = s->version;
  }
  return t;
}

static void open_inputs(np_back *b, np_record *r, int history) {
  const np_signature *sig = np_op_signature(r->ctx, r->op);
  for (int i = 0; i < r->n_in; i++) {
    np_input *in = &r->in[i];
    b->x[i] = in->storage ? saved(r->ctx, in->storage, &in->at, in->record, in->leaf, in->output, history) : NULL;
    b->gx[i] = NULL;
  }
  int precision = r->n_out > 0 && r->out[0].at.dtype == NEAP_F64 ? NEAP_F64 : NEAP_F32;
  for (int p = 0, i = 0; p < sig->n_params; p++) { /* numbers that stood in for tensors */
    int kind = sig->param[p].kind;
    if (kind == NEAP_OPERAND && (r->arg[p].kind == NEAP_NUMBER || r->arg[p].kind == NEAP_INT))
      b->x[i] = np_tensor_scalar(r->ctx, precision, r->arg[p].kind == NEAP_INT ? (double)r->arg[p].i : r->arg[p].d);
    i += kind == NEAP_TENSORS ? r->arg[p].n : kind == NEAP_TENSOR || kind == NEAP_OPERAND;
  }
}

neap_tensor *np_sum_to(neap_context *c, neap_tensor *g, const np_layout *at) {
  if (!g) return NULL;
  int64_t dims[NEAP_MAX_DIMS];
  int n = 0, lead = g->at.ndim - at->ndim;
  for (int i = 0; i < g->at.ndim; i++)
    if (i < lead || (at->shape[i - lead] == 1 && g->at.shape[i] != 1)) dims[n++] = i;
  if (n > 0) g = neap_sum(c, g, n, dims, 1, -1);
  if (g && (n > 0 || lead != 0) && lead > 0) g = neap_reshape(c, g, at->ndim, at->shape);
  if (g && g->at.ndim < at->ndim) { /* a gradient that was the same everywhere */
    g = neap_expand(c, g, at->ndim, at->shape);
  } else if (g && g->at.ndim == at->ndim && memcmp(g->at.shape, at->shape, (size_t)at->ndim * sizeof(int64_t)) != 0) {
    g = neap_expand(c, g, at->ndim, at->shape);
  }
  return g;
}

neap_tensor *np_accumulate(neap_context *c, neap_tensor *sum, neap_tensor *g, int create_graph) {
  if (!sum) return np_hold(g);
  int mode = neap_grad_mode(c, create_graph);
  neap_scope scope;
  np_scope_enter(c, &scope);
  int alone = !create_graph && sum->refs == 1 && atomic_load(&sum->storage->refs) == 1 && np_contiguous(sum);
  neap_tensor *total = np_hold(alone ? neap_add_(c, sum, g) : neap_add(c, sum, g));
  np_scope_leave(&scope, 0, NULL);
  neap_grad_mode(c, mode);
  return total;
}

neap_tensor *np_back_home(np_back *b, int i) {
  neap_tensor *leaf = b->homes ? b->in[i].leaf : NULL;
  if (!leaf || !leaf->grad || leaf->hook || leaf->flags & NP_HAS_GRAD) return NULL;
  for (int k = 0; k < b->n_in; k++)
    if (k != i && b->in[k].leaf == leaf) return NULL;
  neap_tensor *home = leaf->grad;
  return np_contiguous(home) && home->at.dtype == b->in[i].at.dtype && np_same_shape(home, leaf) ? home : NULL;
}

int np_back_run(np_record *r, neap_tensor *const *grads, int flags, neap_tensor **gx) {
  neap_context *c = r->ctx;
  int create_graph = flags & NP_BACK_RECORD;
  const np_op *op = &np_ops[r->op];
  if (np_record_usable(r) != 0) return c->error;
  neap_tensor *few[8];
  neap_tensor **x = r->n_in <= 8 ? few : np_alloc(c, (size_t)r->n_in * sizeof *x);
  if (!x) return c->error;
  neap_scope scope;
  np_scope_enter(c, &scope);
  neap_site site = c->site;
  c->site = r->site;
  int mode = neap_grad_mode(c, create_graph);
  np_back b = { .ctx = c, .op = op, .arg = r->arg, .n_in = r->n_in, .n_out = r->n_out, .x = x, .in = r->in, .out = r->out, .gx = gx,
    .homes = flags & NP_BACK_HOMES && !create_graph };
  open_inputs(&b, r, create_graph);
  for (int i = 0; i < r->n_out; i++) {
    const np_result *out = &r->out[i];
    b.y[i] = out->storage ? saved(c, out->storage, &out->at, r, NULL, i, create_graph) : NULL;
    b.g[i] = grads[i];
  }
  if (create_graph && op->twin == np_no_back && (op->marks & NEAP_OP_ONCE))
    np_fail(c, NEAP_ERR_UNSUPPORTED, "%s: its gradient cannot be differentiated again", op->name);
  else if (!np_failed(c)) (create_graph && op->twin != np_no_back ? op->twin : op->back)(&b);
  for (int i = 0; i < r->n_in; i++) {
    neap_tensor *g = np_failed(c) || !r->in[i].needs ? NULL : np_sum_to(c, gx[i] ? gx[i] : np_tensor_scalar(c, r->in[i].at.dtype, 0), &r->in[i].at);
    if (g && g->at.dtype != r->in[i].at.dtype) g = neap_to(c, g, r->in[i].at.dtype);
    gx[i] = np_hold(g);
  }
  neap_grad_mode(c, mode);
  c->site = site;
  np_scope_leave(&scope, 0, NULL);
  if (x != few) np_free(c, x, (size_t)r->n_in * sizeof *x);
  if (np_failed(c))
    for (int i = 0; i < r->n_in; i++) np_drop(gx[i]), gx[i] = NULL;
  return c->error;
}
