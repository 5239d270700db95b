/* Records: what backward will need of a call, made right after it ran. Also the two things that keep the graph right
 * when memory is written to: an in-place call moves its tensor's history forward, and through a view that of its base;
 * and a view whose base has changed since gets the history of its present values when it is next used. */
#include <string.h>
#include "op.h"

static int is_tensor_like(const neap_param *p) {
  return p->kind == NEAP_TENSOR || p->kind == NEAP_TENSORS || p->kind == NEAP_OPERAND;
}

/* Of an in-place op that has no gradient: whether what it overwrites was part of the graph. */
static int cuts(np_call *c) {
  neap_tensor *x = c->arg[0].t;
  if (!c->in_place || (x->base && np_view_refresh(x) != 0)) return 0;
  return np_needs_grad(x) || (x->base && np_needs_grad(x->base));
}

int np_wants_record(np_call *c) {
  if (!c->ctx->grad_mode) return 0;
  if (c->op->marks & NEAP_OP_NO_GRAD || c->op->back == np_no_back) return cuts(c);
  int wants = 0;
  for (int i = 0; i < c->sig->n_params; i++) {
    const neap_value *v = &c->arg[i];
    if (v->kind == NEAP_TENSOR) {
      if (v->t->base && np_view_refresh(v->t) != 0) return 0;
      wants |= np_needs_grad(v->t);
    } else if (v->kind == NEAP_TENSORS) {
      for (int k = 0; k < v->n; k++) {
        if (!v->ts[k]) continue;
        if (v->ts[k]->base && np_view_refresh(v->ts[k]) != 0) return 0;
        wants |= np_needs_grad(v->ts[k]);
      }
    }
  }
  /* Writing values that carry history into a view makes its base part of the graph, and so does the other way round. */
  return wants || (c->in_place && c->arg[0].t->base && np_needs_grad(c->arg[0].t->base));
}

void np_input_history(np_input *in, neap_tensor *t) {
  in->record = NULL;
  in->leaf = NULL;
  in->output = t->output;
  in->needs = (uint8_t)np_needs_grad(t);
  if (!in->needs) return;
  if (t->record) np_record_retain(in->record = t->record);
  else in->leaf = np_hold(t);
}

/* ---- making one ---- */

static size_t list_bytes(const neap_value *v) { /* of what an argument points to and the record copies */
  if (v->kind == NEAP_TEXT) return (strlen(v->s) + sizeof(int64_t)) / sizeof(int64_t) * sizeof(int64_t);
  return v->kind == NEAP_INTS ? (size_t)v->n * sizeof(int64_t) : 0;
}

static np_record *new_record(neap_context *c, int n_in, int n_out, int n_args, size_t lists) {
  size_t bytes = sizeof(np_record) + (size_t)n_out * sizeof(np_result) + (size_t)n_in * sizeof(np_input) +
                 (size_t)n_args * sizeof(neap_value) + lists;
  np_record *r = np_alloc(c, bytes);
  if (!r) return NULL;
  *r = (np_record){ .ctx = c, .op = -1, .refs = 1, .n_in = n_in, .n_out = n_out, .n_args = n_args,
    .sequence = ++c->sequence, .site = c->site, .bytes = bytes };
  r->in = (np_input *)(r->out + n_out);
  r->arg = (neap_value *)(r->in + n_in);
  memset(r->out, 0, (size_t)n_out * sizeof *r->out);
  c->handles++;
  return r;
}

/* What backward will read: of an elementwise op, what the derivatives for the operands that want a gradient mention. */
static void saves_of(const np_call *c, uint32_t *in, uint32_t *out) {
  *in = c->sig->saves_in;
  *out = c->sig->saves_out;
  if (c->op->map < 0) return;
  uint32_t reads = 0;
  for (int i = 0; i < 3 && i < c->sig->n_params; i++)
    if (c->arg[i].kind == NEAP_TENSOR && np_needs_grad(c->arg[i].t)) reads |= c->sig->reads[i];
  *in = reads & (NP_READS_X | NP_READS_Z | NP_READS_W);
  *out = (reads & NP_READS_Y) != 0;
}

static void add_input(np_input *in, neap_tensor *t, int save) {
  in->given = t != NULL;
  in->unwanted = 0;
  in->storage = NULL;
  if (!t) {
    in->record = NULL;
    in->leaf = NULL;
    in->needs = 0;
    in->at.ndim = 0;
    in->at.dtype = NEAP_F32;
    return;
  }
  np_input_history(in, t);
  in->at = t->at;
  in->version = t->storage->version;
  if (save) in->storage = np_storage_retain(t->storage);
}

/* The values of an input that the op then wrote over: they are in a copy. */
static void remember(np_input *in, neap_tensor *copy) {
  in->at = copy->at;
  in->version = copy->storage->version;
  in->storage = np_storage_retain(copy->storage);
}

int np_keep_before(np_call *c) {
  uint32_t in, out;
  saves_of(c, &in, &out);
  if (!(in & 1) || c->op->marks & NEAP_OP_NO_GRAD || c->op->back == np_no_back) return NEAP_OK;
  c->before = np_tensor_like(c->out[0], c->out[0]->at.dtype);
  return c->before ? np_copy(c->ctx, c->before, c->out[0]) : (int)c->ctx->error;
}

/* What an op without a gradient wrote over: x is as if it had been set to a constant. */
static np_record *cut_record(np_call *c) {
  const np_signature *sig = np_op_signature(c->ctx, NP_OP_zero); /* backward will read it */
  np_record *r = sig ? new_record(c->ctx, 1, 1, 1, 0) : NULL;
  if (!r) return NULL;
  r->op = NP_OP_zero;
  r->arg[0] = (neap_value){ .kind = NEAP_TENSOR };
  add_input(&r->in[0], c->arg[0].t, 0);
  return r;
}

static np_record *record_of(np_call *c, uint32_t saves) {
  if (c->op->marks & NEAP_OP_NO_GRAD || c->op->back == np_no_back) return cut_record(c);
  int n_in = 0;
  size_t lists = 0;
  for (int i = 0; i < c->sig->n_params; i++) {
    if (is_tensor_like(&c->sig->param[i])) n_in += c->arg[i].kind == NEAP_TENSORS ? c->arg[i].n : 1;
    lists += list_bytes(&c->arg[i]);
  }
  np_record *r = new_record(c->ctx, n_in, c->sig->n_outputs, c->sig->n_params, lists);
  if (!r) return NULL;
  r->op = (int)(c->op - np_ops);
  char *room = (char *)(r->arg + r->n_args);
  int k = 0;
  for (int i = 0; i < c->sig->n_params; i++) {
    neap_value *v = &r->arg[i];
    *v = c->arg[i];
    int save = saves >> i & 1;
    if (v->kind == NEAP_TENSORS)
      for (int j = 0; j < v->n; j++) add_input(&r->in[k++], v->ts[j], save);
    else if (is_tensor_like(&c->sig->param[i])) add_input(&r->in[k++], np_t(c, i), save && !(i == 0 && c->before));
    if (i == 0 && c->before) remember(&r->in[0], c->before);
    if (v->kind == NEAP_TENSOR || v->kind == NEAP_TENSORS) v->t = NULL;
    size_t bytes = list_bytes(v);
    if (v->kind == NEAP_TEXT) v->s = strcpy(room, v->s);
    else if (bytes) v->is = memcpy(room, v->is, bytes);
    room += bytes;
    if (v->kind == NEAP_GENERATOR) v->g = NULL;
  }
  return r;
}

/* Describes output i, which is clear so far (NULL: not there, it stays so), and lets t be it. */
static void add_output(np_record *r, int i, neap_tensor *t, int save) {
  np_result *out = &r->out[i];
  if (!t) return;
  out->at = t->at;
  out->version = t->storage->version;
  if (save) out->storage = np_storage_retain(t->storage);
  if (!np_is_float(t->at.dtype)) return; /* positions and the like carry no gradient */
  np_record *old = t->record;
  np_record_retain(r);
  t->record = r;
  t->output = (int16_t)i;
  t->flags |= NP_REQUIRES_GRAD;
  t->base_version = t->storage->version;
  if (old) np_record_release(old);
}

/* ---- views and writes ---- */

/* An op on base (and a source, still to be said) that tells where a view lies in it, recorded by hand: no memory moves. */
static np_record *view_record(neap_context *c, int op, neap_tensor *base, const np_layout *at) {
  const np_signature *sig = np_op_signature(c, op); /* backward will read it */
  int n_in = op == NP_OP_as_strided_scatter ? 2 : 1, n_args = n_in + 3, first = n_in;
  np_record *r = sig ? new_record(c, n_in, 1, n_args, 2 * (size_t)at->ndim * sizeof(int64_t)) : NULL;
  if (!r) return NULL;
  r->op = op;
  int64_t *room = (int64_t *)(r->arg + n_args);
  memcpy(room, at->shape, (size_t)at->ndim * sizeof *room);
  memcpy(room + at->ndim, at->stride, (size_t)at->ndim * sizeof *room);
  for (int i = 0; i < n_in; i++) r->arg[i] = (neap_value){ .kind = NEAP_TENSOR };
  r->arg[first] = (neap_value){ .kind = NEAP_INTS, .n = at->ndim, .is = room };
  r->arg[first + 1] = (neap_value){ .kind = NEAP_INTS, .n = at->ndim, .is = room + at->ndim };
  r->arg[first + 2] = (neap_value){ .kind = NEAP_INT, .i = at->offset };
  add_input(&r->in[0], base, 0);
  if (n_in == 2) add_input(&r->in[1], NULL, 0);
  return r;
}

int np_view_refresh(neap_tensor *t) {
  if (!t->base || t->base_version == t->storage->version) return NEAP_OK;
  t->base_version = t->storage->version;
  if (!np_needs_grad(t->base)) return NEAP_OK;
  np_record *r = view_record(t->ctx, NP_OP_as_strided, t->base, &t->at);
  if (!r) return t->ctx->error;
  add_output(r, 0, t, 0);
  np_record_release(r);
  return NEAP_OK;
}

/* A view that was written to: its base's values are the old ones with that region replaced. Both records are there before
 * either history moves. */
int np_record_call(np_call *c, int wants) {
  uint32_t in, out;
  neap_tensor *base = c->in_place ? c->out[0]->base : NULL;
  saves_of(c, &in, &out);
  np_record *r = wants ? record_of(c, in) : NULL;
  np_record *moved = r && base ? view_record(c->ctx, NP_OP_as_strided_scatter, base, &c->out[0]->at) : NULL;
  if (c->in_place) np_tensor_written(c->out[0], c->op->name);
  if (r && !np_failed(c->ctx))
    for (int i = 0; i < r->n_out; i++) add_output(r, i, c->out[i], out >> i & 1);
  if (moved && !np_failed(c->ctx)) {
    add_input(&moved->in[1], c->out[0], 0);
    add_output(moved, 0, base, 0);
  }
  np_record_release(moved);
  np_record_release(r);
  return c->ctx->error;
}

int neap_custom(neap_context *c, int64_t id, int n_in, neap_tensor *const *inputs, int n_out, neap_tensor *const *outputs) {
  if (np_failed(c)) return c->error;
  int needs = 0;
  for (int i = 0; i < n_in; i++) {
    if (inputs[i] && inputs[i]->base && np_view_refresh(inputs[i]) != 0) return c->error;
    needs |= inputs[i] && np_needs_grad(inputs[i]);
  }
  if (!needs || !c->grad_mode) return NEAP_OK;
  for (int i = 0; i < n_out; i++)
    if (outputs[i]->record || np_needs_grad(outputs[i]))
      return np_fail(c, NEAP_ERR_STATE, "an output of a custom function must be a fresh tensor without history of its own");
  np_record *r = new_record(c, n_in, n_out, 0, 0);
  if (!r) return c->error;
  r->custom = id;
  for (int i = 0; i < n_in; i++) add_input(&r->in[i], inputs[i], 0);
  for (int i = 0; i < n_out; i++) add_output(r, i, outputs[i], 0);
  np_record_release(r);
  return NEAP_OK;
}

/* ---- the end of one ---- */

void np_record_retain(np_record *r) { r->refs++; }

static int drop_saved(np_storage **s) {
  if (!*s) return 0;
  np_storage_release(*s);
  *s = NULL;
  return 1;
}

void np_record_spend(np_record *r) {
  int saved = r->op < 0; /* a custom function may have saved anything */
  for (int i = 0; i < r->n_in; i++) saved |= drop_saved(&r->in[i].storage);
  for (int i = 0; i < r->n_out; i++) saved |= drop_saved(&r->out[i].storage);
  r->spent |= (uint8_t)saved;
}

void np_record_release(np_record *r) {
  if (!r || --r->refs > 0) return;
  r->next = NULL;
  for (np_record *todo = r; todo;) {
    r = todo;
    todo = r->next;
    np_record_spend(r);
    for (int i = 0; i < r->n_out; i++) np_drop(r->out[i].grad);
    for (int i = 0; i < r->n_in; i++) {
      np_drop(r->in[i].leaf); /* a leaf has no record: no recursion */
      np_record *p = r->in[i].record;
      if (p && --p->refs == 0) {
        p->next = todo;
        todo = p;
      }
    }
    neap_context *c = r->ctx;
    np_free(c, r, r->bytes);
    np_context_drop(c);
  }
}
