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
  const char *path = m->ctx->site.path;
  return np_fail(m->ctx, s, "%s: %s%s%s%s", m->row->name, text, path ? " (in layer " : "", path ? path : "", path ? ")" : "");
}

/* ---- making ---- */

static neap_module *new_module(neap_context *c, int layer) {
  const np_signature *s = np_layer_signature(c, layer), *call = s ? np_layer_call(c, layer) : NULL;
  neap_module *m = call ? np_alloc_zero(c, sizeof *m) : NULL;
  if (!m) return NULL;
  m->ctx = c;
  m->row = np_layer_row(layer);
  m->layer = layer;
  m->sig = s;
  m->call = call;
  m->dtype = NEAP_F32;
  m->refs = 1;
  m->training = 1;
  c->handles++;
  return m;
}

/* Room for one more entry of `size` bytes in a list of n. NULL: no memory. */
static void *longer(neap_context *c, void *list, int n, int *room, size_t size) {
  if (n < *room) return list;
  int more = n < 4 ? 4 : 2 * n;
  char *fresh = np_alloc(c, (size_t)more * size);
  if (!fresh) return NULL;
  if (n > 0) memcpy(fresh, list, (size_t)n * size);
  np_free(c, list, (size_t)*room * size);
  *room = more;
  return fresh;
}

/* Takes the reference that the caller holds (np_hold). */
static int add_part(neap_module *m, const char *name, neap_tensor *t, int buffer) {
  np_part *list = longer(m->ctx, m->part, m->n_parts, &m->room_parts, sizeof *list);
  if (!list) {
    np_drop(t);
    return m->ctx->error;
  }
  m->part = list;
  np_part *p = &list[m->n_parts++];
  snprintf(p->name, sizeof p->name, "%s", name);
  p->t = t;
  p->buffer = (uint8_t)buffer;
  return NEAP_OK;
}

static neap_tensor *new_part(neap_module *m, const char *name, int buffer, neap_dtype d, int ndim, const int64_t *shape) {
  neap_tensor *t = np_tensor_new(m->ctx, d, ndim, shape);
  if (!t) return NULL;
  if (!buffer) t->flags |= NP_REQUIRES_GRAD | NP_PARAMETER;
  int status = add_part(m, name, np_hold(t), buffer);
  neap_release(t);
  return status == NEAP_OK ? t : NULL;
}

neap_tensor *np_add_part(neap_module *m, const char *name, int ndim, const int64_t *shape) {
  return new_part(m, name, 0, m->dtype, ndim, shape);
}

neap_tensor *np_add_buffer(neap_module *m, const char *name, neap_dtype d, int ndim, const int64_t *shape) {
  return new_part(m, name, 1, d, ndim, shape);
}

/* m comes to stand at least at this level. Not NULL: why it cannot, some module below it being too deep or the holder itself.
 * A module's level is raised after those of its children, so that levels are in order even then. */
static const char *sink(neap_module *m, int level, const neap_module *holder) {
  const char *why = NULL;
  if (m == holder) return "a container cannot hold itself";
  if (level >= NP_MAX_DEPTH) return "modules nest at most 64 deep";
  if (m->level >= level) return NULL;
  for (int i = 0; i < m->n_children && !why; i++) why = sink(m->child[i].m, level + 1, holder);
  if (!why) m->level = level;
  return why;
}
_Static_assert(NP_MAX_DEPTH == 64, "the text above says so");

int np_add_child(neap_module *m, const char *name, int place, neap_module *child) {
  if (!child) return m->ctx->error;
  np_child *list = NULL;
  const char *why = sink(child, m->level + 1, m);
  if (why) np_layer_fail(m, NEAP_ERR_ARGUMENT, "%s", why);
  else list = longer(m->ctx, m->child, m->n_children, &m->room_children, sizeof *list);
  if (!list) {
    neap_module_release(child);
    return m->ctx->error;
  }
  m->child = list;
  list[m->n_children++] = (np_child){.m = child, .name = name, .place = place, .activation = -1};
  return NEAP_OK;
}

static size_t kept_size(const neap_value *v) {
  if (v->kind == NEAP_INTS) return (size_t)v->n * sizeof *v->is;
  return v->kind == NEAP_TEXT ? (strlen(v->s) + sizeof(int64_t)) / sizeof(int64_t) * sizeof(int64_t) : 0;
}

/* The caller's lists, texts and tensors become the module's own. */
static int keep_settings(neap_module *m) {
  size_t bytes = 0;
  for (int i = 0; i < m->sig->n_params; i++) bytes += kept_size(&m->arg[i]);
  char *room = bytes ? np_alloc(m->ctx, bytes) : NULL;
  if (bytes && !room) return m->ctx->error;
  m->kept = room;
  m->kept_bytes = bytes;
  for (int i = 0; i < m->sig->n_params; i++) {
    neap_value *v = &m->arg[i];
    size_t n = kept_size(v);
    if (v->kind == NEAP_TENSOR && add_part(m, m->sig->param[i].name, np_hold(v->t), 1) != 0) return m->ctx->error;
    if (n == 0) continue;
    memcpy(room, v->kind == NEAP_TEXT ? (const void *)v->s : v->is, v->kind == NEAP_TEXT ? strlen(v->s) + 1 : n);
    if (v->kind == NEAP_TEXT) v->s = room;
    else v->is = (const int64_t *)(const void *)room;
    room += n;
  }
  return NEAP_OK;
}

int np_take_part(neap_module *m, const np_part *p, neap_tensor *t) { return add_part(m, p->name, np_hold(t), p->buffer); }

/* The settings' lists lie in a copy of m's block. A tensor among them is bound again when it is used, from its part. */
neap_module *np_module_like(const neap_module *m) {
  neap_module *fresh = new_module(m->ctx, m->layer);
  if (!fresh) return NULL;
  fresh->training = m->training;
  fresh->waiting = m->waiting;
  fresh->dtype = m->dtype;
  memcpy(fresh->arg, m->arg, sizeof m->arg);
  if (m->kept_bytes == 0) return fresh;
  fresh->kept = np_alloc(m->ctx, m->kept_bytes);
  if (!fresh->kept) {
    neap_module_release(fresh);
    return NULL;
  }
  fresh->kept_bytes = m->kept_bytes;
  memcpy(fresh->kept, m->kept, m->kept_bytes);
  for (int i = 0; i < m->sig->n_params; i++) {
    neap_value *v = &fresh->arg[i];
    if (v->kind == NEAP_INTS && v->n > 0) v->is = (const int64_t *)(const void *)(fresh->kept + ((const char *)v->is - m->kept));
    if (v->kind == NEAP_TEXT) v->s = fresh->kept + (v->s - m->kept);
  }
  return fresh;
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
  if (status != 0 || keep_settings(m) != 0) memset(m->arg, 0, sizeof m->arg); /* they are still the caller's */
  else m->row->setup(m, NULL);
  if (!np_failed(c)) return m;
  neap_module_release(m);
  return NULL;
}

int np_no_setup(neap_module *m, const neap_value *in) {
  (void)m, (void)in;
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
  if (child->call->n_required != 1)
    return np_fail(c, NEAP_ERR_ARGUMENT, "Sequential: layer %d (%s) takes %d tensors; layers in a row take one", shown,
                   child->row->name, child->call->n_required);
  return NEAP_OK;
}

static int set_children(neap_module *m, int n, neap_module *const *children) {
  neap_context *c = m->ctx;
  for (int i = 0; i < n; i++) {
    if (fits(c, children[i], i) != NEAP_OK) return c->error;
    const char *why = sink(children[i], m->level + 1, m);
    if (why) return np_fail(c, NEAP_ERR_ARGUMENT, "Sequential: %s", why);
  }
  np_child *list = n > 0 ? np_alloc(c, (size_t)n * sizeof *list) : NULL;
  if (n > 0 && !list) return c->error;
  for (int i = 0; i < n; i++) {
    list[i] = (np_child){.m = neap_module_retain(children[i]), .place = i, .activation = -1};
    if (i + 1 < n) list[i].activation = fused(children[i], children[i + 1]);
  }
  for (int i = 0; i < m->n_children; i++) neap_module_release(m->child[i].m);
  np_free(c, m->child, (size_t)m->room_children * sizeof *m->child);
  m->child = list;
  m->n_children = m->room_children = n;
  m->spelling = NULL; /* it may be too short now */
  return c->error;
}

neap_module *neap_sequential(neap_context *c, int n, neap_module *const *children) {
  if (np_failed(c)) return NULL;
  neap_module *m = new_module(c, neap_layer_find("Sequential"));
  if (!m || set_children(m, n, children) == NEAP_OK) return m;
  neap_module_release(m);
  return NULL;
}

int neap_sequential_set(neap_module *m, int n, neap_module *const *children) {
  if (!m || n < 0) return NEAP_ERR_ARGUMENT;
  if (np_failed(m->ctx)) return m->ctx->error;
  if (!np_is_sequential(m)) return np_layer_fail(m, NEAP_ERR_ARGUMENT, "it is no Sequential, whose layers may change");
  m->ctx->trees++;
  return set_children(m, n, children);
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
  np_free(c, m->child, (size_t)m->room_children * sizeof *m->child);
  np_free(c, m->part, (size_t)m->room_parts * sizeof *m->part);
  np_free(c, m->kept, m->kept_bytes);
  np_free(c, m, sizeof *m);
  np_context_drop(c);
}

/* ---- asked ---- */

int neap_module_is_training(const neap_module *m) { return m && m->training; }
int neap_module_layer(const neap_module *m) { return m ? m->layer : -1; }
const neap_layer_info *neap_module_about(const neap_module *m) { return m ? np_layer_info_of(m->sig) : NULL; }
neap_value neap_module_setting(const neap_module *m, int i) {
  neap_value v = {.kind = NEAP_NONE};
  int part = 0;
  for (int k = 0; m && i >= 0 && i < m->sig->n_params && k <= i; k++) {
    v = m->arg[k];
    if (v.kind == NEAP_TENSOR) v.t = m->part[part++].t; /* the one bound may have been replaced */
  }
  return v;
}
int neap_module_is_waiting(const neap_module *m) {
  int waits = m && m->waiting;
  for (int i = 0; m && !waits && i < m->n_children; i++) waits = neap_module_is_waiting(m->child[i].m);
  return waits;
}
int neap_module_child_count(const neap_module *m) { return m ? m->n_children : 0; }
neap_module *neap_module_child(const neap_module *m, int i) { return m && i >= 0 && i < m->n_children ? m->child[i].m : NULL; }
const char *neap_module_child_name(const neap_module *m, int i, int *place) {
  if (!neap_module_child(m, i)) return NULL;
  if (place) *place = m->child[i].place;
  return m->child[i].name ? m->child[i].name : "";
}
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
  case NEAP_TEXT: np_text_add(t, "\"%s\"", v->s); break;
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
  for (int i = 0; i < m->sig->n_params; i++) {
    const neap_value v = neap_module_setting(m, i);
    if (v.kind == NEAP_NONE) continue;
    np_text_add(&t, "%s%s=", comma, m->sig->param[i].name);
    value_text(&t, &m->sig->param[i], &v, m->ctx->site.base);
    comma = ", ";
  }
  np_text_add(&t, ")");
  return buffer;
}
