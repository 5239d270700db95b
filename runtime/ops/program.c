/* Formulas parsed: Lua's expressions over x, y, z, w or $1, $2, ..., by recursive descent, one function a level of
 * precedence. Operators are rows of elementwise.def, functions are rows by name with their settings as further arguments.
 * `c and a or b` is where(c, a, b); between conditions `and`, `or` and `not` are logic. A context keeps the programs of
 * its latest texts. Errors name the column and what was expected there. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "program.h"

enum { DEEP = 64, KEPT = 64 };

typedef struct parser {
  neap_context *c;
  const char *name, *text, *at;
  np_program *p;
  int depth;
} parser;

/* What an expression gives: a value; or, with `when`, "c and v", which waits for its `or`. -1: an error. */
typedef struct expr { int value, when; } expr;
static const expr failed = { -1, -1 };
static expr expression(parser *s);

#define FAIL(s, where, ...) (fail(s, where, __VA_ARGS__), failed)
NP_PRINTF(3, 4) static void fail(parser *s, const char *where, const char *format, ...) {
  char what[200];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  np_fail(s->c, NEAP_ERR_ARGUMENT, "%s: column %d of \"%.200s\": %s", s->name, (int)(where - s->text) + 1, s->text, what);
}

/* ---- words ---- */

static void skip(parser *s) { while (isspace((unsigned char)*s->at)) s->at++; }
static size_t word_length(const char *at) {
  size_t n = 0;
  if (isalpha((unsigned char)*at) || *at == '_')
    while (isalnum((unsigned char)at[n]) || at[n] == '_') n++;
  return n;
}
static int take(parser *s, const char *token) { /* an operator or a keyword that comes next */
  size_t n = strlen(token);
  skip(s);
  if (strncmp(s->at, token, n) != 0 || (isalpha((unsigned char)*token) && word_length(s->at) != n)) return 0;
  s->at += n;
  return 1;
}

static int smaller(int a, int b) { return a < b ? a : b; }
static int edits(const char *a, size_t n, const char *b) { /* that make b of a (Levenshtein, 1965) */
  int row[40], m = (int)strlen(b);
  if (m >= NP_ARRAY(row)) return 99;
  for (int j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 0; i < n; i++) {
    int corner = row[0];
    row[0] = (int)i + 1;
    for (int j = 1; j <= m; j++) {
      int best = smaller(corner + (a[i] != b[j - 1]), smaller(row[j], row[j - 1]) + 1);
      corner = row[j];
      row[j] = best;
    }
  }
  return row[m];
}

static const struct { const char *name; int map; } short_names[] = { { "min", NP_EW_minimum }, { "max", NP_EW_maximum } };

static int row_named(const char *word, size_t n) {
  for (int i = 0; i < NP_ARRAY(short_names); i++)
    if (strlen(short_names[i].name) == n && strncmp(short_names[i].name, word, n) == 0) return short_names[i].map;
  for (int i = 0; i < NP_EW_COUNT; i++)
    if (strlen(np_ops[i].name) == n && strncmp(np_ops[i].name, word, n) == 0) return i;
  return -1;
}

static const char *nearest(const char *word, size_t n) {
  int least = (int)(n > 3 ? n / 3 : 1) + 1;
  const char *best = NULL;
  for (int i = 0; i < NP_EW_COUNT; i++) {
    int d = edits(word, n, np_ops[i].name);
    if (d < least) least = d, best = np_ops[i].name;
  }
  return best;
}

/* ---- values ---- */

static int same(const np_value *a, const np_value *b) {
  if (a->map != b->map || a->n_in != b->n_in || a->operand != b->operand || a->whole != b->whole) return 0;
  return memcmp(a->in, b->in, sizeof a->in) == 0 && memcmp(&a->number, &b->number, sizeof a->number) == 0 &&
         memcmp(a->par, b->par, sizeof a->par) == 0;
}
static int add_value(parser *s, const char *where, const np_value *v) {
  np_program *p = s->p;
  for (int i = 0; i < p->n; i++)
    if (same(&p->value[i], v)) return i;
  if (p->n == NP_MAX_VALUES) {
    fail(s, where, "the formula is too long: it may have %d operands, numbers and steps", NP_MAX_VALUES);
    return -1;
  }
  p->value[p->n] = *v;
  return p->n++;
}
static int add_number(parser *s, const char *where, double d, int whole) {
  return add_value(s, where, &(np_value){ .map = NP_VALUE_NUMBER, .number = d, .whole = (uint8_t)whole });
}

/* A step, or the number that it comes to. */
static int add_step(parser *s, const char *where, int map, int n, const int *in, const double *par) {
  int kind = np_ops[map].kind, numbers = 1, whole = kind != NP_KIND_F;
  np_value v = { .map = (int16_t)map, .n_in = (uint8_t)n };
  for (int i = 0; i < n; i++) {
    if (in[i] < 0) return -1;
    v.in[i] = (int16_t)in[i];
    numbers &= s->p->value[in[i]].map == NP_VALUE_NUMBER;
    whole &= s->p->value[in[i]].whole;
  }
  if (par) memcpy(v.par, par, sizeof v.par);
  v.is_bool = kind == NP_KIND_C || kind == NP_KIND_L || kind == NP_KIND_Q;
  np_map f = s->c->kernels->map[NP_CF64][map];
  if (numbers && !v.is_bool && f) {
    const void *operand[3] = { NULL };
    const uint8_t step[3] = { 0 };
    double y;
    for (int i = 0; i < n; i++) operand[i] = &s->p->value[in[i]].number;
    f(1, operand, step, &y, v.par);
    return add_number(s, where, y, whole);
  }
  return add_value(s, where, &v);
}
static expr step(parser *s, const char *where, int map, int n, int a, int b) {
  return (expr){ add_step(s, where, map, n, (const int[]){ a, b }, NULL), -1 };
}
static int is_condition(const parser *s, expr e) { return e.value >= 0 && e.when < 0 && s->p->value[e.value].is_bool; }

/* An operand of an operator must be a value of its own. */
static int settled(parser *s, const char *where, expr e) {
  if (e.value < 0) return 0;
  if (e.when < 0) return 1;
  fail(s, where, "`and` chooses a value and needs its `or`: c and a or b, which is where(c, a, b)");
  return 0;
}

/* ---- atoms ---- */

static expr number(parser *s) {
  const char *from = s->at;
  char *end;
  double d = strtod(from, &end);
  size_t n = (size_t)(end - from);
  s->at = end;
  return (expr){ add_number(s, from, d, strcspn(from, ".eEpPnN") >= n), -1 };
}

static expr operand(parser *s, const char *where, long i, const char *called) {
  if (i < 1 || i > s->p->operands)
    return FAIL(s, where, "there is no operand %s: %d tensor%s given, %s", called, s->p->operands, s->p->operands == 1 ? " is" : "s are",
                s->p->operands == 1 ? "called x or $1" : s->p->operands <= 4 ? "called x, y, z, w or $1, $2, ..." : "called $1, $2, ...");
  s->p->reads[i - 1] = 1;
  return (expr){ add_value(s, where, &(np_value){ .map = NP_VALUE_OPERAND, .operand = (uint8_t)(i - 1),
    .is_bool = s->p->bools >> (i - 1) & 1 }), -1 };
}

/* One of a row's settings: a number, a choice in quotes, true, false or nil. */
static int setting(parser *s, const char *function, const neap_param *q, double *out) {
  skip(s);
  const char *from = s->at;
  if (q->kind == NEAP_ENUM) {
    char quote = *from == '"' || *from == '\'' ? *from : 0;
    const char *choice = q->choices;
    size_t n = quote ? strcspn(from + 1, quote == '"' ? "\"" : "'") : 0;
    for (int i = 0; quote; i++) {
      size_t m = strcspn(choice, "|");
      if (m == n && strncmp(choice, from + 1, n) == 0) {
        s->at = from + 1 + n + (from[1 + n] == quote);
        *out = i;
        return 1;
      }
      if (!choice[m]) break;
      choice += m + 1;
    }
    fail(s, from, "%s of %s is one of %s, in quotes", q->name, function, q->choices);
    return 0;
  }
  if (take(s, "nil")) {
    *out = q->standard.kind == NEAP_NONE ? NAN : q->standard.d;
    return 1;
  }
  if (q->kind == NEAP_FLAG && (take(s, "true") || take(s, "false"))) {
    *out = *from == 't';
    return 1;
  }
  expr e = expression(s);
  if (e.value < 0) return 0;
  const np_value *v = &s->p->value[e.value];
  if (e.when >= 0 || v->map != NP_VALUE_NUMBER || q->kind == NEAP_FLAG) {
    fail(s, from, "%s of %s is %s", q->name, function, q->kind == NEAP_FLAG ? "true or false" : "a number, not a tensor");
    return 0;
  }
  if (q->kind == NEAP_INT && (!v->whole || fabs(v->number) > 1e15)) {
    fail(s, from, "%s of %s is a whole number", q->name, function);
    return 0;
  }
  *out = v->number;
  return 1;
}

static double standard(const neap_param *q) {
  return q->standard.kind == NEAP_NONE ? NAN : q->standard.kind == NEAP_NUMBER ? q->standard.d : (double)q->standard.i;
}

/* NAME(a, b, ..., settings): behind the "(". */
static expr call(parser *s, const char *where, int map) {
  const np_signature *sig = np_op_signature(s->c, map);
  int n = 0, in[3] = { -1, -1, -1 }, given = 0;
  double par[3] = { 0 };
  if (!sig) return failed;
  while (n < sig->n_params && sig->param[n].kind == NEAP_OPERAND) n++;
  for (int i = n; i < sig->n_params; i++) par[i - n] = standard(&sig->param[i]);
  for (; !take(s, ")"); given++) {
    const char *from = s->at;
    if (!*from) return FAIL(s, from, "the call of %s has no )", np_ops[map].name);
    if (given > 0 && !take(s, ",")) return FAIL(s, from, "a comma or ) is missing in the call of %s", np_ops[map].name);
    if (given >= sig->n_params) return FAIL(s, from, "%s takes %d argument%s at most", np_ops[map].name, sig->n_params, sig->n_params == 1 ? "" : "s");
    if (given >= n) {
      if (!setting(s, np_ops[map].name, &sig->param[given], &par[given - n])) return failed;
    } else {
      expr e = expression(s);
      if (!settled(s, from, e)) return failed;
      in[given] = e.value;
    }
  }
  if (given < n) return FAIL(s, where, "%s takes %d operands, %d %s given", np_ops[map].name, n, given, given == 1 ? "is" : "are");
  char wrong[96];
  if (np_settings_wrong(map, par, wrong, sizeof wrong)) return FAIL(s, where, "%s: %s", np_ops[map].name, wrong);
  return (expr){ add_step(s, where, map, n, in, par), -1 };
}

static expr name(parser *s) {
  static const char *const letters[] = { "x", "y", "z", "w" };
  static const struct { const char *name; double value; } constants[] = { { "pi", 3.14159265358979323846 }, { "inf", INFINITY }, { "nan", NAN } };
  const char *from = s->at;
  size_t n = word_length(from);
  s->at += n;
  if (take(s, "(")) {
    int map = row_named(from, n);
    if (map >= 0) return call(s, from, map);
    const char *near = nearest(from, n);
    return FAIL(s, from, "there is no function %.*s%s%s%s; functions are the elementwise ops by name, min and max", (int)n, from,
                near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
  }
  for (int i = 0; i < NP_ARRAY(letters); i++)
    if (n == 1 && *from == *letters[i]) return operand(s, from, i + 1, letters[i]);
  for (int i = 0; i < NP_ARRAY(constants); i++)
    if (strlen(constants[i].name) == n && strncmp(constants[i].name, from, n) == 0)
      return (expr){ add_number(s, from, constants[i].value, 0), -1 };
  if (row_named(from, n) >= 0) return FAIL(s, from, "%.*s is a function: its operands follow in parentheses", (int)n, from);
  return FAIL(s, from, "there is no name %.*s: operands are x, y, z, w or $1, $2, ...; constants pi, inf, nan", (int)n, from);
}

static expr atom(parser *s) {
  skip(s);
  const char *from = s->at;
  if (++s->depth > DEEP) return FAIL(s, from, "the formula is nested too deep");
  expr e = failed;
  if (isdigit((unsigned char)*from) || (*from == '.' && isdigit((unsigned char)from[1]))) e = number(s);
  else if (*from == '$') {
    char *end;
    long i = strtol(from + 1, &end, 10);
    char called[16];
    snprintf(called, sizeof called, "%.*s", (int)(end - from), from);
    s->at = end;
    e = operand(s, from, isdigit((unsigned char)from[1]) ? i : 0, called);
  } else if (take(s, "(")) {
    e = expression(s);
    if (e.value >= 0 && !take(s, ")")) e = FAIL(s, from, "this ( is never closed");
  } else if (word_length(from)) e = name(s);
  else if (!*from) FAIL(s, from, "the formula ends where a value should stand");
  else FAIL(s, from, "a value should stand before '%c'", *from);
  s->depth--;
  return e;
}

/* ---- operators, the tightest first ---- */

static expr unary(parser *s);

static expr power(parser *s) { /* right to left, tighter than a minus before it: -x^2 is -(x^2) */
  expr a = atom(s);
  skip(s);
  const char *from = s->at;
  if (a.value < 0 || !take(s, "^")) return a;
  if (++s->depth > DEEP) return FAIL(s, from, "the formula is nested too deep");
  expr b = unary(s);
  s->depth--;
  if (!settled(s, from, a) || !settled(s, from, b)) return failed;
  return step(s, from, NP_EW_pow, 2, a.value, b.value);
}

static expr unary(parser *s) {
  skip(s);
  const char *from = s->at;
  int minus = take(s, "-");
  if (!minus && !take(s, "not")) return power(s);
  if (++s->depth > DEEP) return FAIL(s, from, "the formula is nested too deep");
  expr e = unary(s);
  s->depth--;
  if (!settled(s, from, e)) return failed;
  return step(s, from, minus ? NP_EW_neg : NP_EW_logical_not, 1, e.value, -1);
}

typedef struct binary { const char *token; int map; } binary;
static const binary products[] = { { "*", NP_EW_mul }, { "//", NP_EW_floor_divide }, { "/", NP_EW_div }, { "%", NP_EW_remainder }, { NULL, 0 } };
static const binary sums[] = { { "+", NP_EW_add }, { "-", NP_EW_sub }, { NULL, 0 } };
static const binary orders[] = { { "<=", NP_EW_le }, { ">=", NP_EW_ge }, { "==", NP_EW_eq }, { "~=", NP_EW_ne }, { "<", NP_EW_lt }, { ">", NP_EW_gt }, { NULL, 0 } };
static const binary *const levels[] = { orders, sums, products };

static expr chain(parser *s, int level) {
  expr a = level == NP_ARRAY(levels) ? unary(s) : chain(s, level + 1);
  while (level < NP_ARRAY(levels) && a.value >= 0) {
    const binary *o = levels[level];
    skip(s);
    const char *from = s->at;
    while (o->token && !take(s, o->token)) o++;
    if (!o->token) break;
    expr b = chain(s, level + 1);
    if (!settled(s, from, a) || !settled(s, from, b)) return failed;
    a = step(s, from, o->map, 2, a.value, b.value);
  }
  return a;
}

static expr conjunction(parser *s) {
  expr a = chain(s, 0);
  for (;;) {
    skip(s);
    const char *from = s->at;
    if (a.value < 0 || !take(s, "and")) return a;
    expr b = chain(s, 0);
    if (!settled(s, from, a) || !settled(s, from, b)) return failed;
    if (!is_condition(s, a)) return FAIL(s, from, "on the left of `and` stands a condition: a comparison, or a call such as isnan(x)");
    a = is_condition(s, b) ? step(s, from, NP_EW_logical_and, 2, a.value, b.value) : (expr){ b.value, a.value };
  }
}

static expr expression(parser *s) {
  if (++s->depth > DEEP) return FAIL(s, s->at, "the formula is nested too deep");
  expr a = conjunction(s);
  for (;;) {
    skip(s);
    const char *from = s->at;
    if (a.value < 0 || !take(s, "or")) break;
    expr b = conjunction(s);
    if (b.value < 0) return failed;
    if (a.when >= 0) { /* c and v or ... */
      int value = add_step(s, from, NP_EW_where, 3, (const int[]){ a.when, a.value, b.value }, NULL);
      int when = b.when < 0 ? -1 : add_step(s, from, NP_EW_logical_or, 2, (const int[]){ a.when, b.when }, NULL);
      a = (expr){ value, value < 0 ? -1 : when };
    } else if (is_condition(s, a) && is_condition(s, b)) a = step(s, from, NP_EW_logical_or, 2, a.value, b.value);
    else return FAIL(s, from, "`or` stands between conditions, or behind c and a: c and a or b is where(c, a, b)");
  }
  s->depth--;
  return a;
}

/* ---- whole formulas ---- */

static int parse(parser *s) {
  expr e = expression(s);
  np_program *p = s->p;
  skip(s);
  if (e.value >= 0 && *s->at) e = FAIL(s, s->at, *s->at == ')' ? "this ) closes nothing" : "the formula should end here, or go on with an operator");
  if (!settled(s, s->at, e)) return s->c->error;
  p->result = e.value;
  for (int i = 0; i < p->operands; i++)
    if (!p->reads[i])
      return np_fail(s->c, NEAP_ERR_ARGUMENT, "%s: %d tensors are given, but \"%.200s\" does not use number %d", s->name, p->operands,
                     s->text, i + 1);
  for (int i = 0; i < p->n; i++) {
    const np_value *v = &p->value[i];
    p->real |= v->map >= 0 ? np_ops[v->map].kind == NP_KIND_F : v->map == NP_VALUE_NUMBER && !v->whole;
  }
  return NEAP_OK;
}

struct np_formulas {
  int n, next; /* the next one to give way */
  np_program *kept[KEPT];
};

static void drop(neap_context *c, np_program *p) {
  if (p) np_free(c, p, p->bytes);
}
static void free_all(neap_context *c) {
  for (int i = 0; i < c->formulas->n; i++) drop(c, c->formulas->kept[i]);
  np_free(c, c->formulas, sizeof *c->formulas);
}

static uint64_t hash_of(const char *text, int operands, uint32_t bools) { /* FNV-1a (Fowler, Noll and Vo) */
  uint64_t h = UINT64_C(14695981039346656037) + (uint64_t)operands * 256 + bools;
  for (; *text; text++) h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
  return h;
}

const np_program *np_program_of(neap_context *c, const char *op, const char *text, int operands, uint32_t bools) {
  uint64_t hash = hash_of(text, operands, bools);
  if (!c->formulas) {
    c->formulas = np_alloc_zero(c, sizeof *c->formulas);
    if (!c->formulas) return NULL;
    c->free_formulas = free_all;
  }
  struct np_formulas *f = c->formulas;
  for (int i = 0; i < f->n; i++)
    if (f->kept[i]->hash == hash && f->kept[i]->operands == operands && f->kept[i]->bools == bools && strcmp(f->kept[i]->text, text) == 0) return f->kept[i];
  size_t length = strlen(text) + 1, bytes = sizeof(np_program) + length;
  np_program *p = np_alloc_zero(c, bytes);
  if (!p) return NULL;
  p->bytes = bytes;
  p->text = memcpy(p + 1, text, length);
  p->hash = hash;
  p->operands = operands;
  p->bools = bools;
  parser s = { .c = c, .name = op, .text = text, .at = text, .p = p };
  if (parse(&s) != 0) {
    drop(c, p);
    return NULL;
  }
  int slot = f->n < KEPT ? f->n++ : f->next++ % KEPT;
  if (f->kept[slot]) drop(c, f->kept[slot]);
  return f->kept[slot] = p;
}
