/* Modules made, shared, let go, and asked about themselves: settings, parts, children, printed text. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "module.h"

int np_layer_fail(const neap_module *m, neap_status s, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return np_fail(m->ctx, s, "%s: %s", m->row->name, text);
}

/* ---- making ---- */

static neap_module *new_module(neap_context *c, int layer) {
  const np_signature *s = np_layer_signature(c, layer);
  neap_module *m = s ? np_alloc_zero(c, sizeof *m) : NULL;
  if (!m) return NULL;
  m->ctx = c;
  m->row = np_layer_row(layer);
  m->layer = layer;
  m->sig = s;
  m->refs = 1;
  m->training = 1;
  c->handles++;
  return m;
}

neap_tensor *np_add_part(neap_module *m, const char *name, int buffer, int ndim, const int64_t *shape) {
  neap_tensor *t = np_tensor_new(m->ctx, NEAP_F32, ndim, shape);
  if (!t) return NULL;
  if (!buffer) t->flags |= NP_REQUIRES_GRAD | NP_PARAMETER;
  m->part[m->n_parts++] = (np_part){.name = name, .t = np_hold(t), .buffer = (uint8_t)buffer};
  neap_release(t);
  return t;
}

/* The caller's lists and tensors become the module's own. */
static int keep_settings(neap_module *m) {
  for (int i = 0; i < m->sig->n_params; i++) m->n_ints += m->arg[i].kind == NEAP_INTS ? m->arg[i].n : 0;
  int64_t *room = m->n_ints ? np_alloc(m->ctx, (size_t)m->n_ints * sizeof *room) : NULL;
  if (m->n_ints && !room) return m->ctx->error;
  m->ints = room;
  for (int i = 0; i < m->sig->n_params; i++) {
    neap_value *v = &m->arg[i];
    if (v->kind == NEAP_INTS && v->n > 0) {
      memcpy(room, v->is, (size_t)v->n * sizeof *room);
      v->is = room;
      room += v->n;
    } else if (v->kind == NEAP_TENSOR) {
      m->part[m->n_parts++] = (np_part){.name = m->sig->param[i].name, .t = np_hold(v->t), .buffer = 1};
    }
  }
  return NEAP_OK;
}

neap_module *neap_module_new(neap_context *c, int layer, int n_args, const neap_value *args) {
  if (np_failed(c)) return NULL;
  if (layer < 0 || layer >= neap_layer_count()) {
    np_fail(c, NEAP_ERR_ARGUMENT, "there is no layer with number %d", layer);
    return NULL;
  }
  neap_module *m = new_module(c, layer);
  if (!m) return NULL;
  int status = np_bind(c, m->row->name, m->sig, n_args, args, m->arg);
  if (status != 0) { /* what was bound is the caller's */
    for (int i = 0; i < NP_MAX_ARGS; i++) m->arg[i] = (neap_value){0};
  } else if (keep_settings(m) == 0) {
    m->row->setup(m);
  }
  if (!np_failed(c)) return m;
  neap_module_release(m);
  return NULL;
}

int np_no_setup(neap_module *m) {
  (void)m;
  return NEAP_OK;
}

/* A Linear and the plain activation behind it that its op can apply become one step. */
static int fused(const neap_module *m, const neap_module *next) {
  int length;
  const char *name = np_fused_activation(next, &length);
  if (!name || strcmp(m->row->name, "Linear") != 0) return -1;
  const np_signature *s = np_op_signature(m->ctx, NP_OP_linear);
  const char *choice = s ? s->param[3].choices : NULL;
  for (int i = 0; choice; i++) {
    size_t n = strcspn(choice, "|");
    if (n == (size_t)length && strncmp(choice, name, n) == 0) return i;
    choice = choice[n] ? choice + n + 1 : NULL;
  }
  return -1;
}

static int fits(neap_context *c, const neap_module *child, int i) {
  int shown = i + c->site.base;
  if (!child) return np_fail(c, NEAP_ERR_ARGUMENT, "Sequential: layer %d is NULL", shown);
  if (child->ctx != c)
    return np_fail(c, NEAP_ERR_ARGUMENT, "Sequential: layer %d (%s) belongs to another context", shown, child->row->name);
  if (child->row->inputs != 1)
    return np_fail(c, NEAP_ERR_ARGUMENT, "Sequential: layer %d (%s) takes %d tensors; layers in a row take one", shown,
                   child->row->name, child->row->inputs);
  if (child->depth + 1 >= NP_MAX_DEPTH)
    return np_fail(c, NEAP_ERR_ARGUMENT, "Sequential: containers nest at most %d deep", NP_MAX_DEPTH);
  return NEAP_OK;
}

neap_module *neap_sequential(neap_context *c, int n, neap_module *const *children) {
  if (np_failed(c)) return NULL;
  for (int i = 0; i < n; i++)
    if (fits(c, children[i], i) != 0) return NULL;
  neap_module *m = new_module(c, neap_layer_find("Sequential"));
  if (!m) return NULL;
  m->child = n > 0 ? np_alloc(c, (size_t)n * sizeof *m->child) : NULL;
  for (int i = 0; m->child && i < n; i++) {
    m->child[i] = (np_child){.m = neap_module_retain(children[i]), .activation = -1};
    if (children[i]->depth >= m->depth) m->depth = children[i]->depth + 1;
    if (i + 1 < n) m->child[i].activation = fused(children[i], children[i + 1]);
    m->n_children++;
  }
  if (!np_failed(c)) return m;
  neap_module_release(m);
  return NULL;
}

neap_module *neap_module_retain(neap_module *m) {
  if (m) m->refs++;
  return m;
}

void neap_module_release(neap_module *m) {
  if (!m || --m->refs > 0) return;
  neap_context *c = m->ctx;
  for (int i = 0; i < m->n_children; i++) neap_module_release(m->child[i].m);
  for (int i = 0; i < m->n_parts; i++) np_drop(m->part[i].t);
  np_free(c, m->child, (size_t)m->n_children * sizeof *m->child);
  np_free(c, m->ints, (size_t)m->n_ints * sizeof *m->ints);
  np_free(c, m, sizeof *m);
  np_context_drop(c);
}

/* ---- asked ---- */

int neap_module_is_training(const neap_module *m) { return m && m->training; }
int neap_module_layer(const neap_module *m) { return m ? m->layer : -1; }
int neap_module_child_count(const neap_module *m) { return m ? m->n_children : 0; }
neap_module *neap_module_child(const neap_module *m, int i) { return m && i >= 0 && i < m->n_children ? m->child[i].m : NULL; }
int neap_module_param_count(const neap_module *m) { return m ? m->n_parts : 0; }
const char *neap_module_param_name(const neap_module *m, int i) { return m && i >= 0 && i < m->n_parts ? m->part[i].name : NULL; }
neap_tensor *neap_module_param(const neap_module *m, int i) { return m && i >= 0 ? np_part_of(m, i) : NULL; }
int neap_module_param_is_buffer(const neap_module *m, int i) { return m && i >= 0 && i < m->n_parts && m->part[i].buffer; }

int neap_module_set_param(neap_module *m, int i, neap_tensor *t) {
  if (!m || !t) return NEAP_ERR_ARGUMENT;
  if (np_failed(m->ctx)) return m->ctx->error;
  if (i < 0 || i >= m->n_parts) return np_layer_fail(m, NEAP_ERR_INDEX, "there is no parameter %d", i + m->ctx->site.base);
  np_part *p = &m->part[i];
  char have[96], want[96];
  if (t->ctx != m->ctx) return np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s belongs to another context", p->name);
  if (!np_same_shape(t, p->t)) {
    np_shape_text(have, sizeof have, t);
    np_shape_text(want, sizeof want, p->t);
    return np_layer_fail(m, NEAP_ERR_SHAPE, "%s has shape %s, not %s", p->name, want, have);
  }
  np_hold(t);
  np_drop(p->t);
  p->t = t;
  if (!p->buffer) t->flags |= NP_PARAMETER;
  return NEAP_OK;
}

/* ---- text ---- */

static void choice_text(np_text *t, const char *choices, int64_t i) {
  while (i-- > 0) choices += strcspn(choices, "|") + 1;
  np_text_add(t, "\"%.*s\"", (int)strcspn(choices, "|"), choices);
}

static void value_text(np_text *t, const neap_param *p, const neap_value *v, int base) {
  int shift = p->marks & (NEAP_P_AXIS | NEAP_P_INDEX) && v->i >= 0 ? base : 0;
  switch (v->kind) {
  case NEAP_NUMBER: np_text_add(t, "%.6g", v->d); break;
  case NEAP_INT: np_text_add(t, "%lld", (long long)v->i + shift); break;
  case NEAP_FLAG: np_text_add(t, v->i ? "true" : "false"); break;
  case NEAP_INTS: np_text_shape(t, v->n, v->is); break;
  case NEAP_DTYPE: np_text_add(t, "%s", np_dtypes[v->i].info.name); break;
  case NEAP_ENUM: choice_text(t, p->choices, v->i); break;
  case NEAP_TENSOR: {
    np_text_add(t, "tensor");
    np_text_shape(t, v->t->at.ndim, v->t->at.shape);
    break;
  }
  default: break;
  }
}

const char *neap_module_text(neap_module *m, char *buffer, size_t size) {
  np_text t;
  np_text_init(&t, buffer, size);
  if (!m) return buffer;
  np_text_add(&t, "%s(", m->row->name);
  const char *comma = "";
  for (int i = 0, part = 0; i < m->sig->n_params; i++) {
    neap_value v = m->arg[i];
    if (v.kind == NEAP_TENSOR) v.t = m->part[part++].t; /* the one bound may have been replaced */
    if (v.kind == NEAP_NONE) continue;
    np_text_add(&t, "%s%s=", comma, m->sig->param[i].name);
    value_text(&t, &m->sig->param[i], &v, m->ctx->site.base);
    comma = ", ";
  }
  np_text_add(&t, ")");
  return buffer;
}
