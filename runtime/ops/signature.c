/* Signatures: the one-line grammar of op.h, cut into parameters that calls, bindings and tests read. Parsed at first
 * use into one block that the context owns; layers and update rules say their settings in the same grammar. np_bind
 * lays the caller's values against the parameters: what is missing gets its default, what does not fit is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "op.h"

typedef struct kind_name { const char *name; int kind, marks; } kind_name;
static const kind_name kinds[] = {
  { "tensor", NEAP_TENSOR, 0 }, { "tensors", NEAP_TENSORS, 0 }, { "operands", NEAP_TENSORS, NEAP_P_DIMS },
  { "operand", NEAP_OPERAND, 0 }, { "text", NEAP_TEXT, 0 },
  { "indices", NEAP_TENSOR, NEAP_P_INDICES }, { "number", NEAP_NUMBER, 0 }, { "int", NEAP_INT, 0 },
  { "bool", NEAP_FLAG, 0 }, { "dtype", NEAP_DTYPE, 0 }, { "generator", NEAP_GENERATOR, 0 },
  { "axis", NEAP_INT, NEAP_P_AXIS }, { "axes", NEAP_INTS, NEAP_P_AXIS }, { "index", NEAP_INT, NEAP_P_INDEX },
  { "ints", NEAP_INTS, 0 }, { "dims", NEAP_INTS, NEAP_P_DIMS }, { "enum", NEAP_ENUM, 0 },
  { "int_or_ints", NEAP_INT_OR_INTS, 0 }, { "int_or_indexes", NEAP_INT_OR_INTS, NEAP_P_INDEX },
};

static char *cut(char *s, const char *stops, char *stopped) { /* ends the word at s; where the next begins */
  s += strcspn(s, stops);
  *stopped = *s;
  if (*s) *s++ = 0;
  return s;
}

static int32_t count_choices(const char *choices) {
  int32_t n = 1;
  for (; *choices; choices++) n += *choices == '|';
  return n;
}

static int choice_number(const char *choices, const char *name, size_t length) {
  for (int i = 0;; i++) {
    size_t n = strcspn(choices, "|");
    if (n == length && strncmp(choices, name, n) == 0) return i;
    if (!choices[n]) return -1;
    choices += n + 1;
  }
}

static int set_default(neap_param *p, const char *text) {
  p->marks |= NEAP_P_OPTIONAL;
  p->standard.kind = p->kind;
  switch (p->kind) {
  case NEAP_NUMBER: p->standard.d = strcmp(text, "inf") == 0 ? INFINITY : strtod(text, NULL); return 0;
  case NEAP_INT: p->standard.i = strtoll(text, NULL, 10); return 0;
  case NEAP_FLAG: p->standard.i = strcmp(text, "true") == 0; return 0;
  case NEAP_DTYPE: p->standard.i = neap_dtype_named(text); return 0;
  case NEAP_TEXT: p->standard.s = text; return 0;
  case NEAP_ENUM: p->standard.i = choice_number(p->choices, text, strlen(text)); return p->standard.i < 0;
  default: return 1;
  }
}

static int set_kind(neap_param *p, char *type) {
  size_t n = strlen(type);
  char *open = strchr(type, '(');
  if (n && type[n - 1] == '?') {
    type[--n] = 0;
    p->marks |= NEAP_P_OPTIONAL;
  }
  if (open) {
    if (type[n - 1] != ')') return 1;
    type[n - 1] = 0;
    *open = 0;
    p->choices = open + 1;
    p->standard.n = count_choices(p->choices);
  }
  for (int i = 0; i < NP_ARRAY(kinds); i++)
    if (strcmp(kinds[i].name, type) == 0) {
      p->kind = kinds[i].kind;
      p->marks |= kinds[i].marks;
      return 0;
    }
  return 1;
}

/* One word "name:type=default". */
static int parse_param(np_signature *s, char *word) {
  if (s->n_params == NP_MAX_ARGS) return 1;
  neap_param *p = &s->param[s->n_params++];
  char stop;
  p->name = word;
  char *type = cut(word, ":", &stop);
  if (stop != ':') return 1;
  char *standard = cut(type, "=", &stop);
  if (set_kind(p, type) != 0 || (stop == '=' && set_default(p, standard) != 0)) return 1;
  if (!(p->marks & NEAP_P_OPTIONAL)) s->n_required = s->n_params;
  return 0;
}

static size_t word_length(const char *s) {
  return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

/* A name, or "name:tensors". */
static int parse_output(np_signature *s, char *word) {
  char stop;
  if (s->n_outputs == NP_MAX_OUTS || s->list) return 1;
  s->output[s->n_outputs++] = word;
  char *type = cut(word, ":", &stop);
  if (stop != ':') return 0;
  s->list = 1;
  return s->n_outputs > 1 || strcmp(type, "tensors") != 0;
}

/* Which parameters and outputs the words of `saves` name. */
static void parse_saves(np_signature *s, const char *saves) {
  for (const char *w = saves; *w;) {
    size_t n = word_length(w);
    for (int i = 0; n && i < s->n_params; i++)
      if (strlen(s->param[i].name) == n && strncmp(s->param[i].name, w, n) == 0) s->saves_in |= 1u << i;
    for (int i = 0; n && i < s->n_outputs; i++)
      if (strlen(s->output[i]) == n && strncmp(s->output[i], w, n) == 0) s->saves_out |= 1u << i;
    w += n ? n : 1;
  }
}

/* Which of X Z W Y the derivatives of an elementwise op mention. */
static void parse_derivatives(np_signature *s, const char *const text[3]) {
  static const char letters[] = "XZWY";
  for (int operand = 0; operand < 3; operand++)
    for (const char *w = text[operand]; w && *w;) {
      size_t n = word_length(w);
      const char *letter = n == 1 ? strchr(letters, *w) : NULL;
      if (letter) s->reads[operand] |= (uint8_t)(1 << (letter - letters));
      w += n ? n : 1;
    }
}

static int parse(np_signature *s) {
  char stop = ' ';
  int after = 0;
  for (char *word = s->text, *next; *word; word = next) {
    next = cut(word, " ,", &stop);
    if (!*word) continue;
    if (strcmp(word, "->") == 0) after = 1;
    else if (!after && parse_param(s, word) != 0) return 1;
    else if (after && parse_output(s, word) != 0) return 1;
  }
  return 0;
}

np_signature *np_signature_parse(neap_context *c, const char *text, const char *saves) {
  size_t bytes = sizeof(np_signature) + strlen(text) + 1;
  np_signature *s = np_alloc_zero(c, bytes);
  if (!s) return NULL;
  s->bytes = bytes;
  s->text = (char *)(s + 1);
  memcpy(s->text, text, bytes - sizeof *s);
  if (parse(s) != 0) {
    np_free(c, s, bytes);
    np_fail(c, NEAP_ERR_ARGUMENT, "not a signature: %s", text);
    return NULL;
  }
  if (saves) parse_saves(s, saves);
  return s;
}

void np_signature_free(neap_context *c, np_signature *s) {
  if (s) np_free(c, s, s->bytes);
}

static void free_all(neap_context *c) {
  for (int i = 0; i < c->n_signatures; i++) np_signature_free(c, (np_signature *)(uintptr_t)c->signatures[i]);
  np_free(c, c->signatures, (size_t)c->n_signatures * sizeof *c->signatures);
}

const np_signature *np_op_signature(neap_context *c, int op) {
  if (NP_LIKELY(c->signatures && c->signatures[op])) return c->signatures[op];
  if (!c->signatures) {
    c->signatures = np_alloc_zero(c, NP_OPS * sizeof *c->signatures);
    if (!c->signatures) return NULL;
    c->n_signatures = NP_OPS;
    c->free_signatures = free_all;
  }
  const np_op *o = &np_ops[op];
  np_signature *s = np_signature_parse(c, o->signature, o->map < 0 ? o->saves : NULL);
  if (!s) return NULL;
  if (o->map >= 0) parse_derivatives(s, np_derivatives[o->map]);
  s->info = (neap_op_info){ .name = o->name, .signature = o->signature, .doc = o->doc, .example = o->example,
    .sample = o->sample, .marks = o->marks | (s->list ? NEAP_OP_LIST : 0), .n_params = s->n_params, .n_outputs = s->n_outputs, .params = s->param,
    .outputs = s->output, .family = o->family };
  return c->signatures[op] = s;
}

static const char *kind_text(int kind) {
  static const char *const names[] = { "nothing", "a tensor", "a list of tensors", "a number", "an integer", "a bool",
    "a list of integers", "a dtype", "a choice", "a generator", "a text", "a tensor or a number",
    "an integer or a list of integers" };
  return kind >= 0 && kind < NP_ARRAY(names) ? names[kind] : "something unknown";
}

static int fits(const neap_param *p, neap_value *v) {
  int kind = p->kind;
  if (v->kind == kind) {
    switch (kind) {
    case NEAP_DTYPE: return v->i >= 0 && v->i < NEAP_DTYPES;
    case NEAP_ENUM: return v->i >= 0 && v->i < p->standard.n;
    case NEAP_TENSOR: return v->t != NULL;
    case NEAP_GENERATOR: return v->g != NULL;
    case NEAP_TEXT: return v->s != NULL;
    case NEAP_TENSORS: case NEAP_INTS: return v->n >= 0;
    case NEAP_FLAG: v->i = v->i != 0; return 1;
    default: return 1;
    }
  }
  if (kind == NEAP_INT_OR_INTS) return v->kind == NEAP_INT || (v->kind == NEAP_INTS && v->n >= 0);
  if (kind == NEAP_OPERAND) return (v->kind == NEAP_TENSOR && v->t) || v->kind == NEAP_NUMBER || v->kind == NEAP_INT;
  if (kind == NEAP_NUMBER && v->kind == NEAP_INT) {
    v->d = (double)v->i;
    v->kind = NEAP_NUMBER;
    return 1;
  }
  if (kind == NEAP_INTS && v->kind == NEAP_INT) { /* one axis for several */
    return 1;
  }
  if (kind == NEAP_INTS && v->kind == NEAP_ENUM) return p->choices && v->i >= 0 && v->i < p->standard.n;
  return 0;
}

static int misfit(neap_context *c, const char *name, const neap_param *p, const neap_value *v) {
  if (v->kind != p->kind && !(v->kind == NEAP_ENUM && p->choices))
    return np_fail(c, NEAP_ERR_ARGUMENT, "%s: %s must be %s, got %s", name, p->name, kind_text(p->kind), kind_text(v->kind));
  if (v->kind == NEAP_ENUM)
    return np_fail(c, NEAP_ERR_ARGUMENT, "%s: %s is choice %lld of %s, counted from 0", name, p->name, (long long)v->i, p->choices);
  if (p->kind == NEAP_DTYPE)
    return np_fail(c, NEAP_ERR_DTYPE, "%s: %s: there is no dtype with number %lld", name, p->name, (long long)v->i);
  return np_fail(c, NEAP_ERR_ARGUMENT, "%s: %s must be %s, got one that is %s", name, p->name, kind_text(p->kind),
                 v->kind == NEAP_TENSORS || v->kind == NEAP_INTS ? "of negative length" : "NULL");
}

int np_bind(neap_context *c, const char *name, const np_signature *s, int n, const neap_value *args, neap_value *bound) {
  if (NP_UNLIKELY(n > s->n_params))
    return np_fail(c, NEAP_ERR_ARGUMENT, "%s: takes %d argument%s at most, got %d", name, s->n_params, s->n_params == 1 ? "" : "s", n);
  for (int i = 0; i < s->n_params; i++) {
    const neap_param *p = &s->param[i];
    if (i < n && args[i].kind != NEAP_NONE) {
      bound[i] = args[i];
      if (NP_UNLIKELY(!fits(p, &bound[i]))) return misfit(c, name, p, &args[i]);
      if (NP_UNLIKELY(p->kind == NEAP_INTS && bound[i].kind == NEAP_INT)) {
        bound[i] = (neap_value){ .kind = NEAP_INTS, .n = 1, .is = &args[i].i };
      }
    } else if (p->marks & NEAP_P_OPTIONAL) {
      bound[i] = p->standard;
    } else {
      return np_fail(c, NEAP_ERR_ARGUMENT, "%s: %s is missing: %s", name, p->name, kind_text(p->kind));
    }
  }
  return NEAP_OK;
}
