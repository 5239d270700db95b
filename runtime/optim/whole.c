/* The update rules that look at a whole parameter: its length, the length of its update, its rows and columns, its
 * products with itself. Work is cut in blocks that depend on sizes alone, and partial sums are added in order. What can
 * fail (memory for Muon's products) fails before anything is written. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "optim.h"

enum { MOST_BLOCKS = 64, TILE = 512 };

static char *at(char *p, int kind, int64_t i) { return p ? p + i * np_kind_size(kind) : NULL; }
static const char *from(const char *p, int kind, int64_t i) { return p + i * np_kind_size(kind); }
static double number(const char *p, int kind, int64_t i) {
  return kind ? ((const double *)(const void *)p)[i] : (double)((const float *)(const void *)p)[i];
}

/* ---- the second half of LAMB and Adafactor: a direction r, its length, and w = keep w + a r ---- */

/* What a rule adds: the direction of elements i .. i + n of the parameter, n <= TILE, in r. */
typedef struct walk walk;
struct walk {
  const np_entire *p;
  const np_optim *k;
  const np_reduce *reduce;
  void (*direction)(const walk *s, int64_t i, int64_t n, void *r);
  int64_t block, row;  /* elements of a block; a tile ends where a row of so many ends */
  int first;           /* LAMB: the moments have yet to move */
  int moves;           /* 0: no more than the length */
  double keep, a;
  np_moments moments;
  double one_mean, floor; /* Adafactor: the mean of row_var where there is one matrix; least second moment */
  double part[MOST_BLOCKS];
};

static void walk_block(void *arg, int64_t b) {
  walk *s = arg;
  double tile[TILE], sum = 0, squares;
  int64_t i = b * s->block, end = i + s->block < s->p->all.n ? i + s->block : s->p->all.n;
  for (int64_t n; i < end; i += n) {
    n = s->row - i % s->row < end - i ? s->row - i % s->row : end - i;
    if (n > TILE) n = TILE;
    s->direction(s, i, n, tile);
    if (s->moves) {
      s->k->shift(n, at(s->p->all.w, s->p->kind, i), s->keep, s->a, tile);
      continue;
    }
    s->reduce->row[NP_SUM_SQ](n, tile, &squares);
    sum += squares;
  }
  s->part[b] = sum;
}

/* Walks over all elements; returns the sum of the squares of r. */
static double walk_all(neap_context *c, walk *s, int moves, double keep, double a) {
  int64_t n = s->p->all.n;
  double sum = 0;
  s->block = (n + MOST_BLOCKS - 1) / MOST_BLOCKS;
  if (s->block < NP_GRAIN) s->block = NP_GRAIN;
  s->moves = moves;
  s->keep = keep;
  s->a = a;
  int64_t blocks = (n + s->block - 1) / s->block;
  np_parallel(c, blocks, 2 * (double)n, walk_block, s);
  for (int64_t i = 0; i < blocks; i++) sum += s->part[i];
  return sum;
}

/* ---- LAMB ---- */

enum { LAMB_LR, LAMB_BETA1, LAMB_BETA2, LAMB_EPS, LAMB_DECAY };

static void lamb_direction(const walk *s, int64_t i, int64_t n, void *r) {
  const np_chunk *p = &s->p->all;
  int kind = s->p->kind;
  s->k->lamb(n, at(p->w, kind, i), s->p->sign, s->first ? from(p->g, kind, i) : NULL, at(p->slot[0], kind, i),
             at(p->slot[1], kind, i), r, &s->moments);
}

/* r = m / c1 / (sqrt(v / c2) + eps) + decay w;  w -= lr |w| / |r| r, without the ratio where a length is 0 */
int np_lamb_whole(neap_context *c, const np_entire *p) {
  const neap_value *set = p->set;
  double step = (double)p->all.step;
  walk s = {.p = p, .k = c->kernels->optim[p->kind], .reduce = c->kernels->reduce[p->kind], .direction = lamb_direction,
            .row = p->all.n, .first = 1,
            .moments = {.beta1 = set[LAMB_BETA1].d, .beta2 = set[LAMB_BETA2].d, .eps = set[LAMB_EPS].d, .decay = set[LAMB_DECAY].d,
                        .by_m = 1 / (1 - pow(set[LAMB_BETA1].d, step)), .c2 = 1 - pow(set[LAMB_BETA2].d, step)}};
  double length = sqrt(np_sum_squares(c, p->kind, p->all.w, p->all.n)), r = sqrt(walk_all(c, &s, 0, 0, 0));
  s.first = 0;
  walk_all(c, &s, 1, 1, -set[LAMB_LR].d * (length > 0 && r > 0 ? length / r : 1));
  return NEAP_OK;
}

/* ---- Adafactor ---- */

enum { FACTOR_LR, FACTOR_BETA2_DECAY, FACTOR_EPS1, FACTOR_EPS2, FACTOR_D, FACTOR_DECAY };
enum { FACTOR_ROWS, FACTOR_COLS, FACTOR_FLAT };

int np_adafactor_check(neap_context *c, const neap_value *s) {
  if (s[FACTOR_BETA2_DECAY].d > 0)
    return np_fail(c, NEAP_ERR_ARGUMENT, "Adafactor: beta2_decay must be 0 or less, not %g", s[FACTOR_BETA2_DECAY].d);
  if (s[FACTOR_D].d < 1) return np_fail(c, NEAP_ERR_ARGUMENT, "Adafactor: d must be 1 or more, not %g", s[FACTOR_D].d);
  return NEAP_OK;
}

static int64_t size_from_end(const np_entire *p, int i) { return p->shape[p->ndim - i]; }

typedef struct factor {
  const np_entire *p;
  const np_kernels *k;
  int64_t rows, columns, per, wide; /* of one matrix; units of work a task; columns of such a unit */
  double rate;
} factor;

/* row_var += rate (mean of g^2 over a row - row_var), `per` rows a task. */
static void row_task(void *arg, int64_t task) {
  const factor *f = arg;
  double sum[TILE];
  int64_t all = f->p->all.n / f->columns, i = task * f->per, end = i + f->per < all ? i + f->per : all;
  for (int64_t n; i < end; i += n) {
    n = end - i < TILE ? end - i : TILE;
    for (int64_t j = 0; j < n; j++)
      f->k->reduce[f->p->kind]->row[NP_SUM_SQ](f->columns, from(f->p->all.g, f->p->kind, (i + j) * f->columns), &sum[j]);
    f->k->optim[f->p->kind]->means(n, at(f->p->all.slot[FACTOR_ROWS], f->p->kind, i), sum, 1 / (double)f->columns, f->rate);
  }
}

/* The same of columns: a unit is up to TILE columns of one matrix. */
static void column_task(void *arg, int64_t task) {
  const factor *f = arg;
  double sum[TILE];
  int64_t across = (f->columns + f->wide - 1) / f->wide, all = across * (f->p->all.n / f->columns / f->rows);
  for (int64_t i = task * f->per; i < all && i < (task + 1) * f->per; i++) {
    int64_t matrix = i / across, j = i % across * f->wide, n = f->columns - j < f->wide ? f->columns - j : f->wide;
    f->k->reduce[f->p->kind]->cols[NP_SUM_SQ](f->rows, n, from(f->p->all.g, f->p->kind, matrix * f->rows * f->columns + j),
                                               f->columns, sum, 1);
    f->k->optim[f->p->kind]->means(n, at(f->p->all.slot[FACTOR_COLS], f->p->kind, matrix * f->columns + j), sum,
                                   1 / (double)f->rows, f->rate);
  }
}

static int64_t grains(int64_t elements) { return elements < NP_GRAIN ? NP_GRAIN / elements : 1; }

static void factor_moments(neap_context *c, const np_entire *p, double rate) {
  int64_t columns = size_from_end(p, 1), rows = size_from_end(p, 2), all = p->all.n / columns;
  factor f = {.p = p, .k = c->kernels, .rows = rows, .columns = columns, .per = grains(columns), .rate = rate,
              .wide = columns < TILE ? columns : TILE};
  np_parallel(c, (all + f.per - 1) / f.per, (double)p->all.n, row_task, &f);
  int64_t units = (columns + f.wide - 1) / f.wide * (all / rows);
  f.per = grains(rows * f.wide);
  np_parallel(c, (units + f.per - 1) / f.per, (double)p->all.n, column_task, &f);
}

static double mean_of_rows(const np_entire *p, int64_t matrix) {
  int64_t rows = size_from_end(p, 2);
  double sum = 0;
  for (int64_t i = 0; i < rows; i++) sum += number(p->all.slot[FACTOR_ROWS], p->kind, matrix * rows + i);
  return sum / (double)rows;
}

static void factor_direction(const walk *s, int64_t i, int64_t n, void *r) {
  const np_chunk *p = &s->p->all;
  int kind = s->p->kind;
  if (s->p->ndim < 2) {
    s->k->scaled(n, from(p->g, kind, i), 1, at(p->slot[FACTOR_FLAT], kind, i), s->floor, r);
    return;
  }
  int64_t columns = s->row, row = i / columns, matrix = row / size_from_end(s->p, 2);
  double mean = s->one_mean >= 0 ? s->one_mean : mean_of_rows(s->p, matrix), least = sqrt(s->floor);
  s->k->scaled(n, from(p->g, kind, i), number(p->slot[FACTOR_ROWS], kind, row) / (mean < least ? least : mean),
               at(p->slot[FACTOR_COLS], kind, matrix * columns + i % columns), s->floor, r);
}

/* b = step^beta2_decay;  R += b (mean of rows of g^2 - R), C += b (mean of columns of g^2 - C), V = R C / max(mean R, eps1);
   u = g / sqrt(max(V, eps1^2));  w -= max(eps2, rms w) min(lr, 1 / sqrt(step)) / max(1, rms u / d) u */
int np_adafactor_whole(neap_context *c, const np_entire *p) {
  const neap_value *set = p->set;
  double step = (double)p->all.step, n = (double)p->all.n, lr = set[FACTOR_LR].d, rate = pow(step, set[FACTOR_BETA2_DECAY].d);
  double eps1 = set[FACTOR_EPS1].kind == NEAP_NUMBER ? set[FACTOR_EPS1].d : p->kind ? DBL_EPSILON : (double)FLT_EPSILON;
  double size = sqrt(np_sum_squares(c, p->kind, p->all.w, p->all.n) / n);
  double alpha = fmax(set[FACTOR_EPS2].d, size) * fmin(lr, 1 / sqrt(step));
  walk s = {.p = p, .k = c->kernels->optim[p->kind], .reduce = c->kernels->reduce[p->kind], .direction = factor_direction,
            .row = p->all.n, .one_mean = -1, .floor = eps1 * eps1};
  if (p->ndim < 2) {
    s.k->squares(p->all.n, p->all.slot[FACTOR_FLAT], p->all.g, rate);
  } else {
    factor_moments(c, p, rate);
    s.row = size_from_end(p, 1);
    if (s.row * size_from_end(p, 2) == p->all.n) s.one_mean = mean_of_rows(p, 0);
  }
  double u = sqrt(walk_all(c, &s, 0, 0, 0) / n);
  walk_all(c, &s, 1, 1 - lr * set[FACTOR_DECAY].d, -p->sign * alpha / fmax(1, u / set[FACTOR_D].d));
  return NEAP_OK;
}

/* ---- Muon ---- */

enum { MUON_LR, MUON_DECAY, MUON_MOMENTUM, MUON_NESTEROV, MUON_A, MUON_B, MUON_C, MUON_EPS, MUON_STEPS, MUON_ADJUST };

int np_muon_check(neap_context *c, const neap_value *s) {
  if (s[MUON_STEPS].i >= 0 && s[MUON_STEPS].i < 100) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "Muon: ns_steps must be from 0 to 99, not %lld", (long long)s[MUON_STEPS].i);
}

/* Buffers of the iteration on a matrix (m, n): x and y are (m, n), a and b (s, s) with s the smaller side. The matrix is
   scale times x. */
typedef struct schulz {
  int dtype;
  int64_t m, n;
  double scale;
  char *x, *y, *a, *b;
} schulz;

/* X = x / |x|, and each time  A = X X^T,  X = a X + (b A + c A A) X;  for tall X with X^T X, from the other side. Leaves
   the result in x and scale. */
static int orthogonalise(neap_context *c, schulz *s, const neap_value *set) {
  int64_t small = s->m > s->n ? s->n : s->m, count = s->m * s->n;
  int tall = s->m > s->n, kind = s->dtype == NEAP_F64;
  const np_optim *k = c->kernels->optim[kind];
  s->scale = 1 / fmax(sqrt(np_sum_squares(c, kind, s->x, count)), set[MUON_EPS].d);
  for (int64_t i = 0; i < set[MUON_STEPS].i; i++, s->scale = 1) {
    if (np_product(c, s->dtype, tall, !tall, small, small, tall ? s->m : s->n, s->scale * s->scale, s->x, s->n, s->x, s->n, 0, s->a, small) != 0 ||
        np_product(c, s->dtype, 0, 0, small, small, small, set[MUON_C].d, s->a, small, s->a, small, 0, s->b, small) != 0)
      return c->error;
    k->shift(small * small, s->b, 1, set[MUON_B].d, s->a);
    if ((tall ? np_product(c, s->dtype, 0, 0, s->m, s->n, small, s->scale, s->x, s->n, s->b, small, 0, s->y, s->n)
              : np_product(c, s->dtype, 0, 0, s->m, s->n, small, s->scale, s->b, small, s->x, s->n, 0, s->y, s->n)) != 0)
      return c->error;
    k->shift(count, s->y, 1, s->scale * set[MUON_A].d, s->x);
    char *x = s->x;
    s->x = s->y;
    s->y = x;
  }
  return NEAP_OK;
}

static char *buffer(neap_context *c, int dtype, int64_t m, int64_t n) {
  neap_tensor *t = np_tensor_new(c, dtype, 2, (const int64_t[]){m, n});
  return t ? np_data(t) : NULL;
}

static double muon_ratio(const np_entire *p, int adjust) {
  double m = (double)p->shape[0], n = (double)p->shape[1];
  return adjust ? 0.2 * sqrt(fmax(m, n)) : sqrt(fmax(1, m / n));
}

/* B += (1 - mu)(g - B);  O = the nearly orthogonal matrix of g + mu (B - g) (nesterov) or B;  w = (1 - lr decay) w - lr
   ratio O */
static int muon(neap_context *c, const np_entire *p) {
  const neap_value *set = p->set;
  const np_optim *k = c->kernels->optim[p->kind];
  int dtype = p->kind ? NEAP_F64 : NEAP_F32;
  int64_t m = p->shape[0], n = p->shape[1], small = m < n ? m : n;
  schulz s = {.dtype = dtype, .m = m, .n = n, .x = buffer(c, dtype, m, n), .y = buffer(c, dtype, m, n),
              .a = buffer(c, dtype, small, small), .b = buffer(c, dtype, small, small)};
  char *next = buffer(c, dtype, m, n);
  if (np_failed(c)) return c->error;
  k->heavy(m * n, p->sign, p->all.g, p->all.slot[0], next, s.x, set[MUON_MOMENTUM].d, (int)set[MUON_NESTEROV].i);
  if (orthogonalise(c, &s, set) != 0) return c->error;
  double lr = set[MUON_LR].d;
  memcpy(p->all.slot[0], next, (size_t)(m * n * np_kind_size(p->kind)));
  k->shift(m * n, p->all.w, 1 - lr * set[MUON_DECAY].d, -lr * muon_ratio(p, (int)set[MUON_ADJUST].i) * s.scale, s.x);
  return NEAP_OK;
}

int np_muon_whole(neap_context *c, const np_entire *p) {
  neap_scope scope;
  np_scope_enter(c, &scope);
  int status = muon(c, p);
  np_scope_leave(&scope, 0, NULL);
  return status;
}
