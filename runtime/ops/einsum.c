/* einsum: sums of products named by letters, planned onto batched matrix products.
 *
 * Every dimension gets a label: a letter's number, or for what "..." stands for its place from the right. A letter twice
 * in one operand is its diagonal; a dimension of size 1 where the label is larger counts as absent, which is
 * broadcasting. What only one operand has and nobody needs is summed first. Then the pair that costs least is multiplied
 * until one operand is left: labels that both have and somebody needs become the batch, those that nobody needs the inner
 * dimension, the rest rows and columns. Operands are permuted views; only a group of dimensions that does not lie evenly
 * in memory is copied. Everything is made of other ops, which record themselves. */
#include "loops.h"

enum { LETTERS = 52, LABELS = LETTERS + NEAP_MAX_DIMS };
enum { EQUATION, OPERANDS };

typedef uint64_t labels; /* a set */
#define BIT(l) ((labels)1 << (l))

typedef struct term {
  neap_tensor *t;
  int n;
  uint8_t label[NEAP_MAX_DIMS];
} term;

typedef struct plan {
  np_call *call;
  neap_context *c;
  const char *equation;
  int64_t size[LABELS];    /* -1: not seen */
  int uses[LABELS];        /* how often the operands name it */
  int dots;                /* the most dimensions that an operand's "..." stands for */
  int n, n_out;
  uint8_t out[LABELS];
  term *terms;
} plan;

static labels set_of(const term *t) {
  labels s = 0;
  for (int i = 0; i < t->n; i++) s |= BIT(t->label[i]);
  return s;
}
static labels set_of_out(const plan *p) {
  labels s = 0;
  for (int i = 0; i < p->n_out; i++) s |= BIT(p->out[i]);
  return s;
}
static double volume(const plan *p, labels s) {
  double v = 1;
  for (; s; s &= s - 1) v *= (double)p->size[__builtin_ctzll(s)];
  return v;
}
static int number(labels s) { return __builtin_popcountll(s); }

/* ---- reading the equation ---- */

static int letter(char ch) { return ch >= 'A' && ch <= 'Z' ? ch - 'A' : ch >= 'a' && ch <= 'z' ? ch - 'a' + 26 : -1; }
static char letter_of(int l) { return (char)(l < 26 ? 'A' + l : 'a' + l - 26); }
static int is_arrow(const char *s) { return s[0] == '-' && s[1] == '>'; }
static int is_dots(const char *s) { return s[0] == '.' && s[1] == '.' && s[2] == '.'; }

/* Letters and dots of one term; its end. */
static int scan(plan *p, const char *s, int *n, int *dots, const char **end) {
  *n = *dots = 0;
  for (; *s && *s != ',' && !is_arrow(s); s++) {
    if (*s == ' ') continue;
    if (letter(*s) >= 0) ++*n;
    else if (is_dots(s) && !*dots) *dots = 1, s += 2;
    else if (is_dots(s)) return np_reject(p->call, NEAP_ERR_ARGUMENT, "\"%s\" has '...' twice in one operand", p->equation);
    else
      return np_reject(p->call, NEAP_ERR_ARGUMENT, "'%c' in \"%s\" is no subscript: there are letters, '...', ',' between operands and '->'",
                       *s, p->equation);
  }
  *end = s;
  return NEAP_OK;
}

static int name_size(plan *p, int operand, int dim, int l, int64_t size) {
  p->uses[l]++;
  if (p->size[l] < 0 || p->size[l] == 1) p->size[l] = size;
  else if (size != 1 && size != p->size[l]) {
    char name[] = { l < LETTERS ? letter_of(l) : '.', l < LETTERS ? 0 : '.', '.', 0 };
    return np_reject(p->call, NEAP_ERR_SHAPE, "dimension %lld of operand %lld has size %lld, but '%s' in \"%s\" has %lld before",
                     NP_DIM(p->call, dim), NP_DIM(p->call, operand), (long long)size, name, p->equation, (long long)p->size[l]);
  }
  return NEAP_OK;
}

static int read_operand(plan *p, int i, const char *s, const char **end) {
  term *t = &p->terms[i];
  int n, dots, d = 0;
  if (scan(p, s, &n, &dots, end) != 0) return p->c->error;
  int hidden = t->t->at.ndim - n;
  if (hidden < 0 || (hidden > 0 && !dots)) {
    char shape[128];
    np_shape_text(shape, sizeof shape, t->t);
    return np_reject(p->call, NEAP_ERR_SHAPE, "\"%s\" names %d dimension%s of operand %lld, which has shape %s", p->equation, n,
                     n == 1 ? "" : "s", NP_DIM(p->call, i), shape);
  }
  for (; s < *end; s++) {
    if (*s == ' ') continue;
    if (letter(*s) >= 0) t->label[d++] = (uint8_t)letter(*s);
    else {
      for (int k = hidden; k > 0; k--) t->label[d++] = (uint8_t)(LETTERS + k - 1);
      s += 2;
    }
  }
  t->n = d;
  if (dots && hidden > p->dots) p->dots = hidden;
  for (d = 0; d < t->n; d++)
    if (name_size(p, i, d, t->label[d], t->t->at.shape[d]) != 0) return p->c->error;
  return NEAP_OK;
}

static void put_dots(plan *p) {
  for (int k = p->dots; k > 0; k--) p->out[p->n_out++] = (uint8_t)(LETTERS + k - 1);
}

/* What stands behind "->", or without it: the dots, then every letter that is named once, in order. */
static int read_output(plan *p, const char *s) {
  int n, dots;
  const char *end;
  if (!*s) {
    put_dots(p);
    for (int l = 0; l < LETTERS; l++)
      if (p->uses[l] == 1) p->out[p->n_out++] = (uint8_t)l;
    return NEAP_OK;
  }
  s += 2;
  if (scan(p, s, &n, &dots, &end) != 0) return p->c->error;
  if (*end) return np_reject(p->call, NEAP_ERR_ARGUMENT, "\"%s\" has a second output: one term stands behind '->'", p->equation);
  for (; s < end; s++) {
    if (*s == ' ') continue;
    int l = letter(*s);
    if (l < 0) {
      put_dots(p);
      s += 2;
    } else if (p->uses[l] == 0) {
      return np_reject(p->call, NEAP_ERR_ARGUMENT, "the output of \"%s\" names '%c', which no operand has", p->equation, *s);
    } else if (set_of_out(p) & BIT(l)) {
      return np_reject(p->call, NEAP_ERR_ARGUMENT, "the output of \"%s\" names '%c' twice", p->equation, *s);
    } else {
      p->out[p->n_out++] = (uint8_t)l;
    }
  }
  return NEAP_OK;
}

static int read_equation(plan *p) {
  const char *s = p->equation;
  int terms = 1;
  for (const char *q = s; *q && !is_arrow(q); q++) terms += *q == ',';
  if (terms != p->n)
    return np_reject(p->call, NEAP_ERR_ARGUMENT, "\"%s\" names %d operand%s, but %d %s given", p->equation, terms, terms == 1 ? "" : "s", p->n,
                     p->n == 1 ? "is" : "are");
  for (int i = 0; i < p->n; i++) {
    if (read_operand(p, i, s, &s) != 0) return p->c->error;
    s += *s == ',';
  }
  if (read_output(p, s) != 0) return p->c->error;
  if (p->n_out > NEAP_MAX_DIMS) return np_reject(p->call, NEAP_ERR_SHAPE, "the result has %d dimensions, %d are the most", p->n_out, NEAP_MAX_DIMS);
  return NEAP_OK;
}

/* ---- one operand ---- */

/* Letters named twice become one dimension, of summed strides. */
static void take_diagonals(plan *p, term *t, int operand) {
  int64_t shape[NEAP_MAX_DIMS], stride[NEAP_MAX_DIMS];
  int n = 0;
  if (number(set_of(t)) == t->n) return;
  for (int i = 0; i < t->t->at.ndim; i++)
    if (t->t->at.stride[i] == 0 && t->t->at.shape[i] > 1) { /* expanded: its elements share memory */
      t->t = neap_clone(p->c, t->t);
      break;
    }
  if (!t->t) return;
  for (int i = 0; i < t->n; i++) {
    int k = 0;
    while (k < n && t->label[k] != t->label[i]) k++;
    if (k < n && shape[k] != t->t->at.shape[i]) {
      np_reject(p->call, NEAP_ERR_SHAPE, "operand %lld has sizes %lld and %lld in the dimensions that \"%s\" both calls '%c'",
                NP_DIM(p->call, operand), (long long)shape[k], (long long)t->t->at.shape[i], p->equation, letter_of(t->label[i]));
      return;
    }
    if (k == n) {
      t->label[n] = t->label[i];
      shape[n] = t->t->at.shape[i];
      stride[n++] = 0;
    }
    stride[k] += t->t->at.stride[i];
  }
  t->n = n;
  t->t = neap_as_strided(p->c, t->t, n, shape, n, stride, t->t->at.offset);
}

static void remove_dim(term *t, int d) {
  memmove(t->label + d, t->label + d + 1, (size_t)(--t->n - d));
}

static void drop_broadcast(plan *p, term *t) { /* dimensions of size 1 whose label is larger */
  for (int d = t->n - 1; t->t && d >= 0; d--)
    if (t->t->at.shape[d] == 1 && p->size[t->label[d]] != 1) {
      t->t = neap_select(p->c, t->t, d, 0);
      remove_dim(t, d);
    }
}

static void sum_away(plan *p, term *t, labels keep) {
  int64_t dims[NEAP_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < t->n; d++)
    if (!(keep & BIT(t->label[d]))) dims[n++] = d;
  if (n == 0) return;
  t->t = neap_sum(p->c, t->t, n, dims, 0, -1);
  while (n > 0) remove_dim(t, (int)dims[--n]);
}

/* ---- two operands ---- */

static int group(const term *t, labels s, uint8_t *out) { /* t's labels in s, in t's order */
  int n = 0;
  for (int d = 0; d < t->n; d++)
    if (s & BIT(t->label[d])) out[n++] = t->label[d];
  return n;
}

static int64_t place_of(const term *t, int l) {
  int d = 0;
  while (t->label[d] != l) d++;
  return d;
}

static int64_t joined(const plan *p, int n, const uint8_t *l) {
  int64_t size = 1;
  for (int i = 0; i < n; i++) size *= p->size[l[i]];
  return size;
}

typedef struct split { /* the labels of a pair by what becomes of them */
  uint8_t batch[NEAP_MAX_DIMS], inner[NEAP_MAX_DIMS], rows[NEAP_MAX_DIMS], cols[NEAP_MAX_DIMS];
  int n_batch, n_inner, n_rows, n_cols;
} split;

/* t as (batch..., a, b), the dimensions of a and those of b joined. */
static neap_tensor *as_matrices(plan *p, const term *t, const split *s, int na, const uint8_t *a, int nb, const uint8_t *b) {
  int64_t dims[NEAP_MAX_DIMS], shape[NEAP_MAX_DIMS];
  int n = 0, m = 0;
  for (int i = 0; i < s->n_batch; i++) shape[m++] = p->size[s->batch[i]], dims[n++] = place_of(t, s->batch[i]);
  if (s->n_batch > NEAP_MAX_DIMS - 2) shape[0] = joined(p, s->n_batch, s->batch), m = 1;
  for (int i = 0; i < na; i++) dims[n++] = place_of(t, a[i]);
  for (int i = 0; i < nb; i++) dims[n++] = place_of(t, b[i]);
  shape[m++] = joined(p, na, a);
  shape[m++] = joined(p, nb, b);
  return neap_reshape(p->c, neap_permute(p->c, t->t, n, dims), m, shape);
}

/* t with its dimensions in the result's order, size 1 where it has none. */
static neap_tensor *spread(plan *p, const term *t, const term *result) {
  int64_t dims[NEAP_MAX_DIMS], shape[NEAP_MAX_DIMS];
  int n = 0;
  labels own = set_of(t);
  for (int i = 0; i < result->n; i++) {
    int has = (own & BIT(result->label[i])) != 0;
    shape[i] = has ? p->size[result->label[i]] : 1;
    if (has) dims[n++] = place_of(t, result->label[i]);
  }
  return neap_reshape(p->c, neap_permute(p->c, t->t, n, dims), result->n, shape);
}

static void multiply(plan *p, term *a, term *b, labels keep) { /* a = the product; b is used up */
  labels in_a, in_b;
  sum_away(p, a, keep | set_of(b));
  sum_away(p, b, keep | set_of(a));
  in_a = set_of(a), in_b = set_of(b);
  split s;
  s.n_batch = group(a, in_a & in_b & keep, s.batch);
  s.n_inner = group(a, in_a & in_b & ~keep, s.inner);
  s.n_rows = group(a, in_a & ~in_b, s.rows);
  s.n_cols = group(b, in_b & ~in_a, s.cols);
  term y = { .n = s.n_batch + s.n_rows + s.n_cols };
  memcpy(y.label, s.batch, (size_t)s.n_batch);
  memcpy(y.label + s.n_batch, s.rows, (size_t)s.n_rows);
  memcpy(y.label + s.n_batch + s.n_rows, s.cols, (size_t)s.n_cols);
  if (s.n_inner == 0) {
    y.t = neap_mul(p->c, spread(p, a, &y), spread(p, b, &y));
  } else {
    int64_t shape[NEAP_MAX_DIMS];
    neap_tensor *left = as_matrices(p, a, &s, s.n_rows, s.rows, s.n_inner, s.inner);
    neap_tensor *right = as_matrices(p, b, &s, s.n_inner, s.inner, s.n_cols, s.cols);
    for (int i = 0; i < y.n; i++) shape[i] = p->size[y.label[i]];
    y.t = neap_reshape(p->c, neap_matmul(p->c, left, right), y.n, shape);
  }
  *a = y;
}

/* ---- the whole ---- */

static labels needed_besides(const plan *p, int i, int j) {
  labels s = set_of_out(p);
  for (int k = 0; k < p->n; k++)
    if (k != i && k != j) s |= set_of(&p->terms[k]);
  return s;
}

/* The pair of the fewest multiplications; of equal ones that with the smaller result. */
static int cheapest(const plan *p, int *first, int *second) {
  double least = INFINITY, least_size = INFINITY;
  for (int i = 0; i < p->n; i++)
    for (int j = i + 1; j < p->n; j++) {
      labels both = set_of(&p->terms[i]) | set_of(&p->terms[j]), stays = both & needed_besides(p, i, j);
      double cost = volume(p, both), size = volume(p, stays);
      if (number(stays) > NEAP_MAX_DIMS || cost > least || (cost == least && size >= least_size)) continue;
      least = cost, least_size = size;
      *first = i, *second = j;
    }
  return least < INFINITY;
}

static neap_tensor *contract(plan *p) {
  for (int i = 0; i < p->n && !np_failed(p->c); i++) {
    term *t = &p->terms[i];
    take_diagonals(p, t, i);
    if (!np_failed(p->c)) drop_broadcast(p, t);
  }
  while (p->n > 1 && !np_failed(p->c)) {
    int i = 0, j = 0;
    if (!cheapest(p, &i, &j)) {
      np_reject(p->call, NEAP_ERR_SHAPE, "\"%s\" needs an intermediate result of more than %d dimensions", p->equation, NEAP_MAX_DIMS);
      return NULL;
    }
    /* The side that holds the output's last label goes right: then the result often needs no permutation. */
    term *a = &p->terms[i], *b = &p->terms[j];
    if (p->n_out && (set_of(a) & ~set_of(b)) & BIT(p->out[p->n_out - 1])) a = &p->terms[j], b = &p->terms[i];
    multiply(p, a, b, needed_besides(p, i, j));
    if (a != &p->terms[i]) p->terms[i] = *a;
    p->terms[j] = p->terms[--p->n];
  }
  if (np_failed(p->c)) return NULL;
  int64_t dims[NEAP_MAX_DIMS];
  int moved = 0;
  sum_away(p, &p->terms[0], set_of_out(p));
  for (int i = 0; i < p->n_out; i++) {
    dims[i] = place_of(&p->terms[0], p->out[i]);
    moved |= dims[i] != i;
  }
  return moved ? neap_permute(p->c, p->terms[0].t, p->n_out, dims) : p->terms[0].t;
}

int np_einsum_run(np_call *call) {
  const neap_value *ts = &call->arg[OPERANDS];
  neap_context *c = call->ctx;
  plan p = { .call = call, .c = c, .equation = call->arg[EQUATION].s, .n = ts->n };
  size_t bytes = (size_t)ts->n * sizeof *p.terms;
  if (ts->n == 0) return np_reject(call, NEAP_ERR_ARGUMENT, "there are no operands");
  for (int l = 0; l < LABELS; l++) p.size[l] = -1;
  p.terms = np_alloc_zero(c, bytes);
  if (!p.terms) return c->error;
  for (int i = 0; i < ts->n; i++) {
    p.terms[i].t = ts->ts[i] ? neap_retain(ts->ts[i]) : NULL; /* it may be the result */
    if (!ts->ts[i]) np_reject(call, NEAP_ERR_ARGUMENT, "operand %lld is missing", NP_DIM(call, i));
  }
  if (!np_failed(c) && read_equation(&p) == 0) call->out[0] = contract(&p);
  np_free(c, p.terms, bytes);
  return c->error;
}

/* ---- tensordot: x other dims dims_x dims_other ---- */

int np_tensordot_run(np_call *call) {
  enum { X, OTHER, COUNT, DIMS_X, DIMS_OTHER };
  neap_context *c = call->ctx;
  neap_tensor *x = np_t(call, X), *w = np_t(call, OTHER);
  int nx = x->at.ndim, nw = w->at.ndim, n = (int)np_i(call, COUNT), dx[NEAP_MAX_DIMS], dw[NEAP_MAX_DIMS];
  if (np_given(call, DIMS_X) != np_given(call, DIMS_OTHER)) return np_reject(call, NEAP_ERR_ARGUMENT, "dims_x and dims_other go together");
  if (np_given(call, DIMS_X)) {
    uint32_t mask;
    const neap_value *vx = &call->arg[DIMS_X], *vw = &call->arg[DIMS_OTHER];
    n = vx->n;
    if (vw->n != n) return np_reject(call, NEAP_ERR_ARGUMENT, "dims_x names %d of the dimensions, dims_other %d: they go in pairs", n, vw->n);
    if (np_axes(call, vx, nx, &mask) != 0 || np_axes(call, vw, nw, &mask) != 0) return c->error;
    for (int i = 0; i < n; i++)
      if (np_axis(call, vx->is[i], nx, &dx[i]) != 0 || np_axis(call, vw->is[i], nw, &dw[i]) != 0) return c->error;
  } else {
    if (np_i(call, COUNT) < 0 || np_i(call, COUNT) > np_min(nx, nw))
      return np_reject(call, NEAP_ERR_ARGUMENT, "dims is %lld, the operands have %d and %d dimensions", (long long)np_i(call, COUNT), nx, nw);
    for (int i = 0; i < n; i++) dx[i] = nx - n + i, dw[i] = i;
  }
  plan p = { .call = call, .c = c, .equation = "tensordot", .n = 2 };
  term terms[2] = { { .t = x, .n = nx }, { .t = w, .n = nw } };
  p.terms = terms;
  for (int k = 0; k < 2; k++)
    for (int d = 0; d < NEAP_MAX_DIMS && d < terms[k].n; d++) {
      int l = k * nx + d;
      terms[k].label[d] = (uint8_t)l;
      p.size[l] = terms[k].t->at.shape[d];
    }
  labels inner = 0;
  for (int i = 0; i < n; i++) {
    if (x->at.shape[dx[i]] != w->at.shape[dw[i]])
      return np_reject(call, NEAP_ERR_SHAPE, "dimension %lld of x has size %lld, dimension %lld of other %lld", NP_DIM(call, dx[i]),
                       (long long)x->at.shape[dx[i]], NP_DIM(call, dw[i]), (long long)w->at.shape[dw[i]]);
    terms[1].label[dw[i]] = (uint8_t)dx[i];
    inner |= BIT(dx[i]);
  }
  for (int k = 0; k < 2; k++)
    for (int d = 0; d < terms[k].n; d++)
      if (!(inner & BIT(terms[k].label[d]))) p.out[p.n_out++] = terms[k].label[d];
  if (p.n_out > NEAP_MAX_DIMS) return np_reject(call, NEAP_ERR_SHAPE, "the result has %d dimensions, %d are the most", p.n_out, NEAP_MAX_DIMS);
  call->out[0] = contract(&p);
  return c->error;
}
