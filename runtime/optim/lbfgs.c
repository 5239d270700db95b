/* L-BFGS (Liu and Nocedal, 1989), with PyTorch's line search for the strong Wolfe conditions. It wants the loss and its
 * gradient at points that it picks, several a step. It never calls anybody: who owns the loop computes them and tells, and
 * is told whether to compute them again, at the weights as they then are. So the search is a state that one loss
 * moves on. Weights, gradients and directions are flat vectors of n elements over the parameters of the one group. */
#include <math.h>
#include <string.h>
#include "optim.h"

enum { LBFGS_LR, LBFGS_MAX_ITER, LBFGS_MAX_EVAL, LBFGS_GRAD, LBFGS_CHANGE, LBFGS_HISTORY, LBFGS_SEARCH };
enum { X, D, GRAD, NEXT, LAST, PREVIOUS, LOW, HIGH, VECTORS }; /* the vectors of np_lbfgs; see there */
enum { IDLE, MOVED, BRACKET, ZOOM };                           /* what the loss that comes next is for */

typedef struct pair { np_storage *y, *s; double ro; } pair; /* changes of gradient and of weights; 1 / y.s */
typedef struct point { double t, f, slope; } point;        /* on the line: how far, the loss, its derivative along d */

struct np_lbfgs {
  np_storage *v[VECTORS]; /* weights before a search, direction, gradient there, gradient just told, gradient of the last
                             iteration, that of the search's previous point, and those of the bracket's two ends */
  pair *pairs;            /* history + 1, oldest first; behind the last one is room for the next */
  double *al;
  int n_pairs, history;
  int64_t n, n_iter, func_evals; /* in all */
  int kind, phase;
  double t, H, loss, last_loss;
  int64_t iter, evals;           /* of this step */
  double f, gtd, d_size;         /* of this search, where it began */
  int64_t search_iter, search_evals, most;
  int ends, stuck;               /* ends of the bracket: 2, or 1 where it is a point that will do */
  point before, end[2];
};

static char *vec(const np_lbfgs *l, int i) { return l->v[i]->data; }
static size_t bytes_of(const np_lbfgs *l) { return (size_t)(l->n * np_kind_size(l->kind)); }
static void assign(np_lbfgs *l, int to, int from) { memcpy(vec(l, to), vec(l, from), bytes_of(l)); }

static double dot(neap_context *c, const np_lbfgs *l, const char *x, const char *z) {
  double y;
  c->kernels->reduce[l->kind]->dot(l->n, x, z, &y);
  return y;
}

static double fold(neap_context *c, const np_lbfgs *l, int op, const char *x) {
  double y;
  c->kernels->reduce[l->kind]->row[op](l->n, x, &y);
  return y;
}

/* y = keep y + a x */
static void shift(neap_context *c, const np_lbfgs *l, char *y, double keep, double a, const char *x) {
  c->kernels->optim[l->kind]->shift(l->n, y, keep, a, x);
}

/* ---- weights and gradients, flat ---- */

/* f of each parameter and its place in the vector. */
#define EACH(o, m, at)                                                            \
  for (np_member *m = (o)->group[0]->member; m; m = NULL)                          \
    for (int64_t at = 0, i_ = 0; i_ < (o)->group[0]->n; at += m->t->at.count, i_++, m++)

static int gather_gradient(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  neap_context *c = o->ctx;
  EACH(o, m, at) {
    char *to = vec(l, NEXT) + at * np_kind_size(l->kind);
    size_t bytes = (size_t)(m->t->at.count * np_kind_size(l->kind));
    if (!(m->t->flags & NP_HAS_GRAD)) {
      memset(to, 0, bytes);
      continue;
    }
    neap_tensor *g = np_contiguous_of(c, m->t->grad, m->t->at.dtype);
    if (!g) return c->error;
    memcpy(to, np_data(g), bytes);
    neap_release(g);
  }
  return NEAP_OK;
}

static void keep_weights(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  EACH(o, m, at) memcpy(vec(l, X) + at * np_kind_size(l->kind), np_data(m->t), (size_t)(m->t->at.count * np_kind_size(l->kind)));
}

static void weights_back(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  EACH(o, m, at) {
    memcpy(np_data(m->t), vec(l, X) + at * np_kind_size(l->kind), (size_t)(m->t->at.count * np_kind_size(l->kind)));
    np_tensor_written(m->t, "step");
  }
}

/* w += t d */
static void move(neap_optimizer *o, double t) {
  np_lbfgs *l = o->lbfgs;
  EACH(o, m, at) {
    o->ctx->kernels->optim[l->kind]->shift(m->t->at.count, np_data(m->t), 1, t, vec(l, D) + at * np_kind_size(l->kind));
    np_tensor_written(m->t, "step");
  }
}

/* ---- the line search ---- */

/* Python's, which differ from fmin and fmax where there is NaN. */
static double most_of(double a, double b) { return b > a ? b : a; }
static double least_of(double a, double b) { return b < a ? b : a; }

/* The minimum, within low .. high, of the cubic with these values and slopes at two points. */
static double cubic(point a, point b, double low, double high) {
  double d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t), square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (low + high) / 2;
  double d2 = sqrt(square), t;
  if (a.t <= b.t) t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
  else t = a.t - (a.t - b.t) * ((a.slope + d2 - d1) / (a.slope - b.slope + 2 * d2));
  return least_of(most_of(t, low), high);
}

static int ask(neap_optimizer *o, int phase) { /* for the loss at x + t d */
  move(o, o->lbfgs->t);
  o->lbfgs->phase = phase;
  return 1;
}

static int lower_end(const np_lbfgs *l) { return l->ends == 1 || l->end[0].f <= l->end[1].f ? 0 : 1; }

/* The search is over: the better end is the step. */
static int end_search(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  int low = lower_end(l);
  l->t = l->end[low].t;
  l->loss = l->end[low].f;
  assign(l, GRAD, LOW + low);
  l->evals += l->search_evals;
  l->func_evals += l->search_evals;
  move(o, l->t);
  return 0;
}

/* The next point between the ends of the bracket, kept off them when the last one was near as well; or the end. */
static int zoom(neap_optimizer *o, int done) {
  np_lbfgs *l = o->lbfgs;
  double a = l->end[0].t, b = l->end[1].t;
  if (done || l->search_iter >= l->most || fabs(b - a) * l->d_size < o->group[0]->set[LBFGS_CHANGE].d) return end_search(o);
  double low = least_of(a, b), high = most_of(a, b), eps = 0.1 * (high - low), t = cubic(l->end[0], l->end[1], low, high);
  if (least_of(high - t, t - low) < eps) {
    if (l->stuck || t >= high || t <= low) {
      t = fabs(t - high) < fabs(t - low) ? high - eps : low + eps;
      l->stuck = 0;
    } else {
      l->stuck = 1;
    }
  } else {
    l->stuck = 0;
  }
  l->t = t;
  return ask(o, ZOOM);
}

/* Wolfe's conditions: the loss falls by 1e-4 of what the slope promises, and the slope to 0.9 of what it was. */
static int too_high(const np_lbfgs *l, double f) { return f > l->f + 1e-4 * l->t * l->gtd; }
static int flat_enough(const np_lbfgs *l, double slope) { return fabs(slope) <= -0.9 * l->gtd; }

static int begin_search(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  keep_weights(o);
  l->d_size = fold(o->ctx, l, NP_MAX_ABS, vec(l, D));
  l->f = l->loss;
  l->search_iter = l->search_evals = l->stuck = 0;
  l->before = (point){0, l->loss, l->gtd};
  assign(l, PREVIOUS, GRAD);
  return ask(o, BRACKET);
}

static void set_end(np_lbfgs *l, int i, point p, int gradient) {
  l->end[i] = p;
  assign(l, LOW + i, gradient);
}

/* The loss at a point that may be an end of the bracket, or will do, or from which to go further. */
static int bracket(neap_optimizer *o, point now) {
  np_lbfgs *l = o->lbfgs;
  if (l->search_evals > 1) l->search_iter++;
  l->ends = 2;
  if (l->search_iter >= l->most) {
    set_end(l, 0, (point){0, l->f, l->gtd}, GRAD);
    set_end(l, 1, now, NEXT);
    return end_search(o);
  }
  int up = too_high(l, now.f) || (l->search_iter > 1 && now.f >= l->before.f);
  if (!up && flat_enough(l, now.slope)) {
    l->ends = 1;
    set_end(l, 0, now, NEXT);
    return end_search(o);
  }
  if (up || now.slope >= 0) {
    set_end(l, 0, l->before, PREVIOUS);
    set_end(l, 1, now, NEXT);
    return zoom(o, 0);
  }
  l->t = cubic(l->before, now, now.t + 0.01 * (now.t - l->before.t), now.t * 10);
  l->before = now;
  assign(l, PREVIOUS, NEXT);
  return ask(o, BRACKET);
}

/* The loss at a point within the bracket, which becomes one of its ends. */
static int narrow(neap_optimizer *o, point now) {
  np_lbfgs *l = o->lbfgs;
  int low = lower_end(l), high = !low, done = 0;
  l->search_iter++;
  if (too_high(l, now.f) || now.f >= l->end[low].f) {
    set_end(l, high, now, NEXT);
    return zoom(o, 0);
  }
  if (flat_enough(l, now.slope)) done = 1;
  else if (now.slope * (l->end[high].t - l->end[low].t) >= 0) set_end(l, high, l->end[low], LOW + low);
  set_end(l, low, now, NEXT);
  return zoom(o, done);
}

/* ---- iterations ---- */

/* Takes the last step into the memory, if the loss curves upward along it: H is the scale of the inverse Hessian. */
static int remember(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  neap_context *c = o->ctx;
  pair *p = &l->pairs[l->n_pairs];
  if (!p->y) p->y = np_storage_new(c, bytes_of(l));
  if (p->y && !p->s) p->s = np_storage_new(c, bytes_of(l));
  if (!p->y || !p->s) return c->error;
  memcpy(p->y->data, vec(l, GRAD), bytes_of(l));
  shift(c, l, p->y->data, 1, -1, vec(l, LAST));
  memcpy(p->s->data, vec(l, D), bytes_of(l));
  shift(c, l, p->s->data, l->t, 0, vec(l, D));
  double ys = dot(c, l, p->y->data, p->s->data);
  if (!(ys > 1e-10)) return NEAP_OK;
  p->ro = 1 / ys;
  l->H = ys / dot(c, l, p->y->data, p->y->data);
  if (l->n_pairs < l->history) {
    l->n_pairs++;
    return NEAP_OK;
  }
  pair oldest = l->pairs[0];
  memmove(l->pairs, l->pairs + 1, (size_t)l->history * sizeof *l->pairs);
  l->pairs[l->history] = oldest;
  return NEAP_OK;
}

/* d = -(inverse Hessian) g, by the two loops of Nocedal, 1980. */
static void direction(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  neap_context *c = o->ctx;
  char *d = vec(l, D);
  assign(l, D, GRAD);
  shift(c, l, d, -1, 0, vec(l, GRAD));
  for (int i = l->n_pairs - 1; i >= 0; i--) {
    l->al[i] = dot(c, l, l->pairs[i].s->data, d) * l->pairs[i].ro;
    shift(c, l, d, 1, -l->al[i], l->pairs[i].y->data);
  }
  for (int i = 0; i < l->n_pairs; i++) {
    if (i == 0) shift(c, l, d, l->H, 0, vec(l, GRAD));
    shift(c, l, d, 1, l->al[i] - dot(c, l, l->pairs[i].y->data, d) * l->pairs[i].ro, l->pairs[i].s->data);
  }
}

static int64_t most_evals(const neap_value *set) { /* of a step */
  return set[LBFGS_MAX_EVAL].kind == NEAP_NONE ? set[LBFGS_MAX_ITER].i * 5 / 4 : set[LBFGS_MAX_EVAL].i;
}

/* The next iteration, up to where it wants a loss; 0: the step is over. */
static int iterate(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  neap_context *c = o->ctx;
  const neap_value *set = o->group[0]->set;
  if (l->iter >= set[LBFGS_MAX_ITER].i) return 0;
  if (l->n_iter > 0 && remember(o) != 0) return c->error;
  l->iter++;
  l->n_iter++;
  direction(o);
  assign(l, LAST, GRAD);
  l->last_loss = l->loss;
  double lr = set[LBFGS_LR].d;
  l->t = l->n_iter == 1 ? least_of(1, 1 / fold(c, l, NP_SUM_ABS, vec(l, GRAD))) * lr : lr;
  l->gtd = dot(c, l, vec(l, GRAD), vec(l, D));
  if (l->gtd > -set[LBFGS_CHANGE].d) return 0;
  if (set[LBFGS_SEARCH].i) {
    l->most = most_evals(set) - l->evals;
    return begin_search(o);
  }
  if (l->iter != set[LBFGS_MAX_ITER].i) return ask(o, MOVED);
  move(o, l->t); /* the last one: nothing looks at the loss there */
  return 0;
}

/* Whether the step that was made is the last one. */
static int is_over(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  const neap_value *set = o->group[0]->set;
  double change = set[LBFGS_CHANGE].d;
  return l->iter >= set[LBFGS_MAX_ITER].i || l->evals >= most_evals(set) || fold(o->ctx, l, NP_MAX_ABS, vec(l, GRAD)) <= set[LBFGS_GRAD].d ||
         fabs(l->t) * fold(o->ctx, l, NP_MAX_ABS, vec(l, D)) <= change || fabs(l->loss - l->last_loss) < change;
}

/* ---- told ---- */

int np_lbfgs_check(neap_context *c, const neap_value *s) {
  if (s[LBFGS_MAX_ITER].i < 1 || s[LBFGS_HISTORY].i < 1 || s[LBFGS_HISTORY].i > 1 << 20)
    return np_fail(c, NEAP_ERR_ARGUMENT, "LBFGS: max_iter and history_size must be 1 or more, got %lld and %lld",
                   (long long)s[LBFGS_MAX_ITER].i, (long long)s[LBFGS_HISTORY].i);
  if (s[LBFGS_MAX_EVAL].kind == NEAP_NONE || s[LBFGS_MAX_EVAL].i >= 1) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "LBFGS: max_eval must be 1 or more, not %lld", (long long)s[LBFGS_MAX_EVAL].i);
}

void np_lbfgs_free(neap_context *c, np_lbfgs *l) {
  if (!l) return;
  for (int i = 0; i < VECTORS; i++)
    if (l->v[i]) np_storage_release(l->v[i]);
  for (int i = 0; l->pairs && i <= l->history; i++) {
    if (l->pairs[i].y) np_storage_release(l->pairs[i].y);
    if (l->pairs[i].s) np_storage_release(l->pairs[i].s);
  }
  np_free(c, l->pairs, (size_t)(l->history + 1) * sizeof *l->pairs);
  np_free(c, l->al, (size_t)(l->history + 1) * sizeof *l->al);
  np_free(c, l, sizeof *l);
}

static np_lbfgs *new_lbfgs(neap_optimizer *o) {
  neap_context *c = o->ctx;
  np_lbfgs *l = np_alloc_zero(c, sizeof *l);
  if (!l) return NULL;
  l->history = (int)o->group[0]->set[LBFGS_HISTORY].i;
  l->kind = o->group[0]->member[0].kind;
  l->H = 1;
  EACH(o, m, at) l->n = at + m->t->at.count;
  l->pairs = np_alloc_zero(c, (size_t)(l->history + 1) * sizeof *l->pairs);
  l->al = np_alloc_zero(c, (size_t)(l->history + 1) * sizeof *l->al);
  for (int i = 0; i < VECTORS && !np_failed(c); i++)
    if ((l->v[i] = np_storage_new(c, bytes_of(l)))) memset(vec(l, i), 0, bytes_of(l));
  if (!np_failed(c)) return l;
  np_lbfgs_free(c, l);
  return NULL;
}

/* Everything that a search takes for granted. */
static int check(neap_optimizer *o) {
  neap_context *c = o->ctx;
  if (o->n_groups != 1) return np_fail(c, NEAP_ERR_STATE, "LBFGS: works on one group of parameters, not %d", o->n_groups);
  const np_group *g = o->group[0];
  for (int i = 0; i < g->n; i++) {
    const np_member *m = &g->member[i];
    int at = i + c->site.base;
    if (m->kind != g->member[0].kind) return np_fail(c, NEAP_ERR_DTYPE, "LBFGS: parameter %d is not of the dtype of the first", at);
    if (m->t->at.dtype != (m->kind ? NEAP_F64 : NEAP_F32) || !np_contiguous(m->t) || m->t->storage->read_only)
      return np_fail(c, NEAP_ERR_STATE, "LBFGS: parameter %d became strided, read-only or another dtype", at);
  }
  if (o->lbfgs && o->lbfgs->history != g->set[LBFGS_HISTORY].i)
    return np_fail(c, NEAP_ERR_ARGUMENT, "LBFGS: history_size stays what it is after the first step, %d", o->lbfgs->history);
  return NEAP_OK;
}

static int start(neap_optimizer *o, double loss) {
  np_lbfgs *l = o->lbfgs;
  l->iter = 0;
  l->evals = 1;
  l->func_evals++;
  l->loss = loss;
  assign(l, GRAD, NEXT);
  return fold(o->ctx, l, NP_MAX_ABS, vec(l, GRAD)) <= o->group[0]->set[LBFGS_GRAD].d ? 0 : iterate(o);
}

/* What a loss leads to: 1 another one is wanted, 0 the step is over. */
static int go_on(neap_optimizer *o, double loss) {
  np_lbfgs *l = o->lbfgs;
  int phase = l->phase, more;
  if (phase == IDLE) return start(o, loss);
  l->phase = IDLE;
  if (phase == MOVED) {
    l->loss = loss;
    assign(l, GRAD, NEXT);
    l->evals++;
    l->func_evals++;
  } else {
    point now = {l->t, loss, dot(o->ctx, l, vec(l, NEXT), vec(l, D))};
    weights_back(o);
    l->search_evals++;
    if ((more = phase == BRACKET ? bracket(o, now) : narrow(o, now)) != 0) return more;
  }
  return is_over(o) ? 0 : iterate(o);
}

int np_lbfgs_tell(neap_optimizer *o, double loss) {
  if (check(o) != 0 || (!o->lbfgs && !(o->lbfgs = new_lbfgs(o)))) return o->ctx->error;
  if (gather_gradient(o) != 0) {
    np_lbfgs_cancel(o);
    return o->ctx->error;
  }
  int more = go_on(o, loss);
  for (int i = 0; more == 0 && i < o->group[0]->n; i++) {
    np_member *m = &o->group[0]->member[i];
    m->steps++;
    m->begun = 1;
  }
  return more;
}

void np_lbfgs_cancel(neap_optimizer *o) {
  np_lbfgs *l = o->lbfgs;
  if (!l) return;
  if (l->phase == BRACKET || l->phase == ZOOM) weights_back(o);
  l->phase = IDLE;
}

/* ---- the state, out and in ---- */

static neap_tensor *shown(neap_context *c, int kind, int ndim, const int64_t *shape) {
  return np_tensor_new(c, kind ? NEAP_F64 : NEAP_F32, ndim, shape);
}

int neap_lbfgs_get(neap_optimizer *o, neap_lbfgs_state *s) {
  if (!o || !o->rule->tell) return NEAP_ERR_ARGUMENT;
  neap_context *c = o->ctx;
  const np_lbfgs *l = o->lbfgs;
  if (np_failed(c)) return c->error;
  if (!l || l->n_iter == 0) return 0;
  int64_t rows = l->n_pairs, matrix[] = {rows, l->n};
  *s = (neap_lbfgs_state){.n_iter = l->n_iter, .func_evals = l->func_evals, .t = l->t, .H_diag = l->H, .prev_loss = l->last_loss,
                          .d = shown(c, l->kind, 1, &l->n), .prev_flat_grad = shown(c, l->kind, 1, &l->n),
                          .old_dirs = shown(c, l->kind, 2, matrix), .old_stps = shown(c, l->kind, 2, matrix), .ro = shown(c, 1, 1, &rows)};
  if (np_failed(c)) {
    neap_lbfgs_state_release(s);
    return c->error;
  }
  memcpy(np_data(s->d), vec(l, D), bytes_of(l));
  memcpy(np_data(s->prev_flat_grad), vec(l, LAST), bytes_of(l));
  for (int i = 0; i < l->n_pairs; i++) {
    memcpy(np_data(s->old_dirs) + (size_t)i * bytes_of(l), l->pairs[i].y->data, bytes_of(l));
    memcpy(np_data(s->old_stps) + (size_t)i * bytes_of(l), l->pairs[i].s->data, bytes_of(l));
    ((double *)(void *)np_data(s->ro))[i] = l->pairs[i].ro;
  }
  return 1;
}

void neap_lbfgs_state_release(neap_lbfgs_state *s) {
  neap_release(s->d);
  neap_release(s->prev_flat_grad);
  neap_release(s->old_dirs);
  neap_release(s->old_stps);
  neap_release(s->ro);
  *s = (neap_lbfgs_state){0};
}

static int fits(neap_context *c, const char *name, const neap_tensor *t, int dtype, int64_t count) {
  if (t && t->at.dtype == dtype && t->at.count == count && np_contiguous(t)) return 1;
  np_fail(c, NEAP_ERR_SHAPE, "LBFGS: %s of the state must have %lld elements of %s, in row-major order", name, (long long)count,
          np_dtypes[dtype].info.name);
  return 0;
}

int neap_lbfgs_set(neap_optimizer *o, const neap_lbfgs_state *s) {
  if (!o || !o->rule->tell || !s) return NEAP_ERR_ARGUMENT;
  neap_context *c = o->ctx;
  if (np_failed(c) || check(o) != 0) return c->error;
  np_lbfgs *l = new_lbfgs(o);
  if (!l) return c->error;
  int rows = s->ro && s->ro->at.count <= l->history ? (int)s->ro->at.count : 0;
  int dtype = l->kind ? NEAP_F64 : NEAP_F32;
  int good = fits(c, "ro", s->ro, NEAP_F64, rows) && fits(c, "d", s->d, dtype, l->n) &&
             fits(c, "prev_flat_grad", s->prev_flat_grad, dtype, l->n) && fits(c, "old_dirs", s->old_dirs, dtype, rows * l->n) &&
             fits(c, "old_stps", s->old_stps, dtype, rows * l->n);
  for (int i = 0; good && i < rows; i++) {
    pair *p = &l->pairs[i];
    p->y = np_storage_new(c, bytes_of(l));
    p->s = p->y ? np_storage_new(c, bytes_of(l)) : NULL;
    if ((good = p->s != NULL)) {
      memcpy(p->y->data, np_data(s->old_dirs) + (size_t)i * bytes_of(l), bytes_of(l));
      memcpy(p->s->data, np_data(s->old_stps) + (size_t)i * bytes_of(l), bytes_of(l));
      p->ro = ((const double *)(const void *)np_data(s->ro))[i];
    }
  }
  if (!good) {
    np_lbfgs_free(c, l);
    return c->error;
  }
  memcpy(vec(l, D), np_data(s->d), bytes_of(l));
  memcpy(vec(l, LAST), np_data(s->prev_flat_grad), bytes_of(l));
  l->n_pairs = rows;
  l->n_iter = s->n_iter;
  l->func_evals = s->func_evals;
  l->t = s->t;
  l->H = s->H_diag;
  l->last_loss = s->prev_loss;
  np_lbfgs_free(c, o->lbfgs);
  o->lbfgs = l;
  return NEAP_OK;
}
