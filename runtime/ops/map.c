/* map: a formula over tensors as one pass over memory. The result is cut into blocks of consecutive elements, small
 * enough that a tile of every value in the formula stays in the second-level cache; over each block the formula's rows
 * run one after the other with the kernels that the ops of the table have. Backward computes a block's values once more,
 * as far as derivatives read them, and walks the rows back with their derivative kernels, again in one pass. Operands
 * that lie contiguous in the compute type are read where they are, others are gathered into a tile. Tasks and blocks
 * depend on sizes and the formula alone.
 *
 * An operand of one element is a scalar of each block, and its gradient is summed as it comes. */
#include <math.h>
#include "loops.h"
#include "program.h"

enum { TENSORS, FORMULA };
enum { TASKS = 16, TILES_BYTES = 262144 }; /* most tasks of a call; what the tiles of one should take at most */

static const uint8_t ctype_bytes[NP_CTYPES] = { 4, 8, 8 };

typedef struct run_state {
  neap_context *c;
  const np_program *p;
  int ctype, width;               /* bytes of an element of the compute type */
  np_iter it;                     /* over the operands, then g */
  int n_read;                     /* of them */
  const char *data[NP_MAX_OPERANDS + 1];
  uint8_t dtype[NP_MAX_OPERANDS + 1], direct[NP_MAX_OPERANDS + 1], single[NP_MAX_OPERANDS + 1];
  double scalar[NP_MAX_OPERANDS + 1]; /* bits, in the compute type */
  double number[NP_MAX_VALUES];       /* likewise, of the formula's numbers */
  double par[NP_MAX_VALUES][3];
  int16_t tile[NP_MAX_VALUES];    /* which tile a value is computed into; forward shares them */
  int16_t slope[NP_MAX_VALUES];   /* and its gradient; -1: no gradient is wanted */
  uint8_t idle[NP_MAX_VALUES];    /* no derivative reads it: backward does not compute it */
  int n_tiles, spare;             /* spare: a tile for a moment */
  int64_t count, block, per_task;
  char *scratch;                  /* n_tiles tiles for each task, behind sums in one block of room bytes */
  size_t room;
  neap_tensor *out;               /* forward */
  neap_tensor *gx[NP_MAX_OPERANDS]; /* backward; NULL: not wanted */
  double *sums;                   /* of gradients of single elements: one for each task and operand */
} run_state;

/* ---- setting up ---- */

static void put(int ctype, double d, double *bits) {
  if (ctype == NP_CF32) *(float *)bits = (float)d;
  else if (ctype == NP_CF64) *bits = d;
  else *(int64_t *)bits = np_whole(d);
}

static void open_operand(run_state *s, int i, const neap_tensor *t) {
  s->data[i] = np_data(t);
  s->dtype[i] = t->at.dtype;
  s->single[i] = t->at.count == 1;
  s->direct[i] = np_is_native_in(t->at.dtype, s->ctype);
  if (s->single[i]) s->c->kernels->load[t->at.dtype][s->ctype](1, s->data[i], 1, &s->scalar[i]);
}

/* What does not depend on the direction. operands, then g if there is one. */
static void open_run(run_state *s, neap_context *c, const np_program *p, int dtype, int n, neap_tensor *const *t, int ndim, const int64_t *shape) {
  const np_layout *layouts[NP_ITER_MAX] = { NULL };
  s->c = c;
  s->p = p;
  s->ctype = np_ctype(dtype);
  s->width = ctype_bytes[s->ctype];
  s->n_read = n;
  s->count = 1;
  for (int i = 0; i < ndim; i++) s->count *= shape[i];
  for (int i = 0; i < n; i++) {
    layouts[i] = &t[i]->at;
    open_operand(s, i, t[i]);
  }
  np_iter_init(&s->it, n, layouts, ndim, shape);
  for (int i = 0; i < n; i++) s->direct[i] = s->direct[i] && s->it.rows == 1 && s->it.stride[i] == 1;
  for (int v = 0; v < p->n; v++) {
    put(s->ctype, p->value[v].number, &s->number[v]);
    memcpy(s->par[v], p->value[v].par, sizeof s->par[v]);
    if (p->value[v].map >= 0) np_settings_of_dtype(p->value[v].map, dtype, s->par[v]);
  }
}

/* Blocks, tasks and their tiles. */
static int open_tiles(run_state *s, int n_tiles) {
  int64_t least = 512, most = 4096, fits = TILES_BYTES / (n_tiles * s->width) / 64 * 64;
  s->n_tiles = n_tiles;
  s->block = fits < least ? least : fits > most ? most : fits;
#ifdef NP_TORTURE
  s->block = 3;
#endif
  int64_t tasks = np_min(TASKS, np_blocks(s->count, NP_GRAIN)), blocks = np_blocks(s->count, s->block);
  if (tasks < 1) tasks = 1;
  s->per_task = np_max(1, np_blocks(blocks, tasks)) * s->block;
  int64_t sums = (tasks * (NP_MAX_OPERANDS + 1) * (int64_t)sizeof(double) + 63) / 64 * 64;
  s->room = (size_t)(sums + tasks * n_tiles * s->block * s->width);
  s->sums = np_alloc(s->c, s->room);
  s->scratch = (char *)s->sums + sums;
  return s->sums ? NEAP_OK : (int)s->c->error;
}

static char *tile_of(const run_state *s, int64_t task, int tile) { return s->scratch + (task * s->n_tiles + tile) * s->block * s->width; }

/* ---- one block: n elements from element `from` of the result on ---- */

/* Where a value of the block lies, and whether it is one for all elements. */
typedef struct block_value { const void *at; uint8_t step; } block_value;

static void gather(const run_state *s, int i, int64_t from, int64_t n, char *tile) {
  int64_t at[NP_ITER_MAX], size = np_size_of(s->dtype[i]), stride = s->it.stride[i];
  for (int64_t done = 0; done < n;) {
    int64_t row = (from + done) / s->it.n, k = (from + done) % s->it.n, m = np_min(n - done, s->it.n - k);
    np_iter_row(&s->it, row, at);
    s->c->kernels->load[s->dtype[i]][s->ctype](m, s->data[i] + (at[i] + k * stride) * size, stride, tile + done * s->width);
    done += m;
  }
}

static block_value read_operand(const run_state *s, int i, int64_t from, int64_t n, char *tile) {
  if (s->single[i]) return (block_value){ &s->scalar[i], 0 };
  if (s->direct[i]) return (block_value){ s->data[i] + from * s->width, 1 };
  gather(s, i, from, n, tile);
  return (block_value){ tile, 1 };
}

/* Runs the steps; the result's step writes to `last` where that is given. */
static void forward_block(const run_state *s, int64_t task, int64_t from, int64_t n, block_value *value, char *last) {
  const np_kernels *k = s->c->kernels;
  for (int v = 0; v < s->p->n; v++) {
    const np_value *e = &s->p->value[v];
    char *tile = s->tile[v] >= 0 ? tile_of(s, task, s->tile[v]) : NULL;
    if (s->idle[v]) value[v] = (block_value){ NULL, 0 };
    else if (e->map == NP_VALUE_NUMBER) value[v] = (block_value){ &s->number[v], 0 };
    else if (e->map == NP_VALUE_OPERAND) value[v] = read_operand(s, e->operand, from, n, tile);
    else {
      const void *in[3] = { NULL };
      uint8_t step[3] = { 0 };
      for (int i = 0; i < e->n_in; i++) in[i] = value[e->in[i]].at, step[i] = value[e->in[i]].step;
      char *out = last && v == s->p->result ? last : tile;
      if (e->is_bool) {
        char *bytes = tile_of(s, task, s->spare);
        k->map[s->ctype][e->map](n, in, step, bytes, s->par[v]);
        k->load[NEAP_U8][s->ctype](n, bytes, 1, out);
      } else k->map[s->ctype][e->map](n, in, step, out, s->par[v]);
      value[v] = (block_value){ out, 1 };
    }
  }
}

static void forward_task(void *arg, int64_t task) {
  const run_state *s = arg;
  block_value value[NP_MAX_VALUES];
  const neap_tensor *y = s->out;
  int64_t end = np_min((task + 1) * s->per_task, s->count), size = np_size_of(y->at.dtype);
  int direct = np_is_native_in(y->at.dtype, s->ctype) && s->p->value[s->p->result].map >= 0;
  if (np_cancelled(s->c)) return;
  for (int64_t from = task * s->per_task; from < end; from += s->block) {
    int64_t n = np_min(s->block, end - from);
    char *to = np_data(y) + from * size;
    forward_block(s, task, from, n, value, direct ? to : NULL);
    block_value r = value[s->p->result];
    if (!direct) s->c->kernels->store[s->ctype][y->at.dtype](n, r.at, to, r.step);
  }
}

/* A gradient is kept where it first came to be; sums go to the value's own tile, or for an operand to gx itself. */
typedef struct slopes { const void *at[NP_MAX_VALUES]; uint8_t step[NP_MAX_VALUES]; char *home[NP_MAX_VALUES]; } slopes;

static void add_slope(const run_state *s, slopes *g, int v, int64_t n, const void *part, uint8_t part_step) {
  if (!g->at[v]) {
    g->at[v] = part;
    g->step[v] = part_step;
    return;
  }
  const void *in[2] = { g->at[v], part };
  const uint8_t step[2] = { g->step[v], part_step };
  s->c->kernels->map[s->ctype][NP_EW_add](n, in, step, g->home[v], NULL);
  g->at[v] = g->home[v];
  g->step[v] = 1;
}

static int is_plain(int map, int i) { return strcmp(np_derivatives[map][i], "G") == 0; }

/* What step v's gradient gives to those of what it read. */
static void step_back(const run_state *s, int64_t task, int64_t n, int v, const block_value *value, slopes *g) {
  const np_value *e = &s->p->value[v];
  const void *in[5] = { g->at[v], NULL, NULL, NULL, value[v].at };
  uint8_t step[5] = { g->step[v], 0, 0, 0, 1 };
  for (int i = 0; i < e->n_in; i++) in[i + 1] = value[e->in[i]].at, step[i + 1] = value[e->in[i]].step;
  for (int i = 0; i < e->n_in; i++) {
    int to = e->in[i];
    np_map f = s->c->kernels->grad[s->ctype][e->map][i];
    if (s->slope[to] < 0 || !f) continue;
    if (is_plain(e->map, i)) {
      add_slope(s, g, to, n, g->at[v], g->step[v]);
      continue;
    }
    char *out = g->at[to] ? tile_of(s, task, s->spare) : g->home[to];
    f(n, in, step, out, s->par[v]);
    add_slope(s, g, to, n, out, 1);
  }
}

/* An operand's gradient goes where it will stay. */
static void keep_slope(const run_state *s, int64_t task, int64_t from, int64_t n, int v, const slopes *g) {
  int i = s->p->value[v].operand;
  const neap_tensor *gx = s->gx[i];
  const double zero = 0;
  const void *at = g->at[v] ? g->at[v] : &zero;
  uint8_t step = g->at[v] ? g->step[v] : 0;
  if (s->single[i]) {
    double sum = 0;
    if (step) s->c->kernels->reduce[s->ctype]->row[NP_SUM](n, at, &sum);
    else sum = (double)n * (s->ctype == NP_CF32 ? (double)*(const float *)at : *(const double *)at);
    s->sums[task * (NP_MAX_OPERANDS + 1) + i] += sum;
    return;
  }
  char *to = np_data(gx) + from * np_size_of(gx->at.dtype);
  if (at == to) return;
  if (np_is_native_in(gx->at.dtype, s->ctype) && step) memcpy(to, at, (size_t)(n * s->width));
  else if (step) s->c->kernels->store[s->ctype][gx->at.dtype](n, at, to, 1);
  else { /* one value for the block */
    s->c->kernels->store[s->ctype][gx->at.dtype](1, at, to, 1);
    s->c->kernels->fill((int)np_size_of(gx->at.dtype), n - 1, to, to + np_size_of(gx->at.dtype), 1);
  }
}

static void backward_task(void *arg, int64_t task) {
  const run_state *s = arg;
  const np_program *p = s->p;
  block_value value[NP_MAX_VALUES];
  slopes g;
  int64_t end = np_min((task + 1) * s->per_task, s->count);
  for (int i = 0; i <= NP_MAX_OPERANDS; i++) s->sums[task * (NP_MAX_OPERANDS + 1) + i] = 0;
  if (np_cancelled(s->c)) return;
  for (int64_t from = task * s->per_task; from < end; from += s->block) {
    int64_t n = np_min(s->block, end - from);
    forward_block(s, task, from, n, value, NULL);
    for (int v = 0; v < p->n; v++) {
      const neap_tensor *gx = p->value[v].map == NP_VALUE_OPERAND ? s->gx[p->value[v].operand] : NULL;
      int there = gx && !s->single[p->value[v].operand] && np_is_native_in(gx->at.dtype, s->ctype);
      g.at[v] = NULL;
      g.step[v] = 0;
      g.home[v] = s->slope[v] < 0 ? NULL : there ? np_data(gx) + from * s->width : tile_of(s, task, s->slope[v]);
    }
    block_value out = read_operand(s, s->n_read - 1, from, n, tile_of(s, task, s->spare + 1));
    g.at[p->result] = out.at;
    g.step[p->result] = out.step;
    for (int v = p->n - 1; v >= 0; v--)
      if (p->value[v].map >= 0 && s->slope[v] >= 0 && g.at[v]) step_back(s, task, n, v, value, &g);
    for (int v = 0; v < p->n; v++)
      if (p->value[v].map == NP_VALUE_OPERAND && s->slope[v] >= 0) keep_slope(s, task, from, n, v, &g);
  }
}

static int run_tasks(run_state *s, neap_task task, double ns) {
  int64_t tasks = np_max(1, np_blocks(s->count, s->per_task));
  if (s->count > 0) np_parallel(s->c, tasks, (double)s->count * ns, task, s);
  return NEAP_OK;
}

/* ---- the op: tensors formula ---- */

static const np_program *program_of(neap_context *c, const neap_value *formula, int n, const uint8_t *dtypes) {
  uint32_t bools = 0;
  for (int i = 0; i < n; i++) bools |= (uint32_t)(dtypes[i] == NEAP_BOOL) << i;
  return np_program_of(c, "map", formula->s, n, bools);
}

/* What all is computed in: what operands and numbers promote to, floats where a row wants them. */
static int dtype_of(const np_program *p, int n, neap_tensor *const *t) {
  neap_value v[NP_MAX_OPERANDS + 1];
  int conditions = 1, numbers = 0;
  for (int i = 0; i < n; i++) {
    v[i] = (neap_value){ .kind = NEAP_TENSOR, .t = t[i] };
    conditions &= t[i]->at.dtype == NEAP_BOOL;
  }
  for (int i = 0; i < p->n; i++) numbers |= p->value[i].map == NP_VALUE_NUMBER;
  v[n] = (neap_value){ .kind = NEAP_INT };
  int dtype = np_result_dtype(n + (numbers || conditions), v);
  return p->real && !np_is_float(dtype) ? NEAP_F32 : dtype;
}

static const char *refusal(const np_program *p, int dtype, int *row) {
  for (int i = 0; i < p->n; i++) {
    int kind = p->value[i].map >= 0 ? np_ops[p->value[i].map].kind : NP_KIND_N;
    *row = p->value[i].map;
    if (np_is_float(dtype) && (kind == NP_KIND_I || kind == NP_KIND_J)) return "works on integers";
  }
  return NULL;
}

int np_map_infer(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  int n = xs->n, ndim = 0, row;
  int64_t shape[NEAP_MAX_DIMS];
  uint8_t dtypes[NP_MAX_OPERANDS];
  if (n < 1 || n > NP_MAX_OPERANDS)
    return np_reject(c, NEAP_ERR_ARGUMENT, "takes 1 to %d tensors in front of the formula, got %d", NP_MAX_OPERANDS, n);
  for (int i = 0; i < n; i++) {
    if (!xs->ts[i]) return np_reject(c, NEAP_ERR_ARGUMENT, "tensor %lld is missing", NP_DIM(c, i));
    dtypes[i] = xs->ts[i]->at.dtype;
    np_layout so_far;
    if (i > 0) np_layout_set(&so_far, dtypes[0], ndim, shape);
    if (i == 0) ndim = xs->ts[0]->at.ndim, memcpy(shape, xs->ts[0]->at.shape, sizeof shape);
    else if (np_broadcast(c->ctx, c->op->name, &so_far, &xs->ts[i]->at, &ndim, shape) != 0) return c->ctx->error;
  }
  const np_program *p = program_of(c->ctx, &c->arg[FORMULA], n, dtypes);
  if (!p) return c->ctx->error;
  int dtype = dtype_of(p, n, xs->ts);
  const char *why = refusal(p, dtype, &row);
  if (why) return np_reject(c, NEAP_ERR_DTYPE, "%s %s, the formula is computed in %s", np_ops[row].name, why, np_dtypes[dtype].info.name);
  c->room[0] = dtype;
  return np_spec(c, 0, p->value[p->result].is_bool ? NEAP_BOOL : dtype, ndim, shape);
}

/* Tiles for values, each free again behind its last reader. */
static int share_tiles(run_state *s) {
  const np_program *p = s->p;
  int last[NP_MAX_VALUES] = { 0 }, n = 0, n_free = 0;
  int16_t spare[NP_MAX_VALUES];
  for (int v = 0; v < p->n; v++)
    for (int i = 0; i < p->value[v].n_in; i++) last[p->value[v].in[i]] = v;
  last[p->result] = p->n;
  for (int v = 0; v < p->n; v++) {
    const np_value *e = &p->value[v];
    s->tile[v] = -1;
    if (e->map == NP_VALUE_NUMBER || (e->map == NP_VALUE_OPERAND && (s->single[e->operand] || s->direct[e->operand]))) continue;
    s->tile[v] = n_free ? spare[--n_free] : (int16_t)n++;
    for (int i = 0; i < e->n_in; i++) {
      int from = e->in[i];
      if (last[from] == v && s->tile[from] >= 0 && (i == 0 || from != e->in[0]) && (i < 2 || from != e->in[1])) spare[n_free++] = s->tile[from];
    }
  }
  return n;
}

int np_map_compute(np_call *c) {
  const neap_value *xs = &c->arg[TENSORS];
  uint8_t dtypes[NP_MAX_OPERANDS];
  run_state s = { .out = c->out[0] };
  for (int i = 0; i < xs->n; i++) dtypes[i] = xs->ts[i]->at.dtype;
  const np_program *p = program_of(c->ctx, &c->arg[FORMULA], xs->n, dtypes);
  if (!p) return c->ctx->error;
  open_run(&s, c->ctx, p, (int)c->room[0], xs->n, xs->ts, c->out[0]->at.ndim, c->out[0]->at.shape);
  s.spare = share_tiles(&s);
  if (open_tiles(&s, s.spare + 1) != 0) return c->ctx->error;
  run_tasks(&s, forward_task, 0.5 * p->n);
  np_free(c->ctx, s.sums, s.room);
  return NEAP_OK;
}

/* Which values backward wants a slope of, and which it need not compute since no derivative reads them. */
static int plan_back(run_state *s, const np_back *b) {
  const np_program *p = s->p;
  for (int v = 0; v < p->n; v++) {
    const np_value *e = &p->value[v];
    int wanted = e->map == NP_VALUE_OPERAND && b->in[e->operand].needs;
    for (int i = 0; i < e->n_in; i++) wanted |= s->slope[e->in[i]] >= 0 && s->c->kernels->grad[s->ctype][e->map][i] != NULL;
    s->slope[v] = wanted ? 0 : -1;
  }
  memset(s->idle, 1, sizeof s->idle);
  for (int v = p->n - 1; v >= 0; v--) {
    const np_value *e = &p->value[v];
    if (e->map < 0) continue;
    const np_signature *sig = np_op_signature(s->c, e->map);
    if (!sig) return s->c->error;
    for (int i = 0; i < e->n_in; i++) {
      if (s->slope[v] < 0 || s->slope[e->in[i]] < 0 || !s->c->kernels->grad[s->ctype][e->map][i]) continue;
      for (int k = 0; k < e->n_in; k++)
        if (sig->reads[i] & NP_READS_X << k) s->idle[e->in[k]] = 0;
      if (sig->reads[i] & NP_READS_Y) s->idle[v] = 0;
    }
    for (int k = 0; k < e->n_in && !s->idle[v]; k++) s->idle[e->in[k]] = 0;
  }
  return NEAP_OK;
}

/* The operands whose gradient is g itself get it, and need nothing more. */
static void pass_on(run_state *s, np_back *b) {
  const np_program *p = s->p;
  uint8_t ways[NP_MAX_VALUES] = { 0 }, same[NP_MAX_VALUES] = { 0 };
  same[p->result] = 1;
  for (int v = p->n - 1; v >= 0; v--) {
    const np_value *e = &p->value[v];
    if (e->map == NP_VALUE_OPERAND && s->slope[v] >= 0 && same[v] && ways[v] <= 1 && !s->single[e->operand]) {
      b->gx[e->operand] = b->g[0];
      s->slope[v] = -1;
    }
    for (int i = 0; i < e->n_in; i++) {
      ways[e->in[i]] += ways[e->in[i]] < 2;
      same[e->in[i]] = same[v] && ways[v] <= 1 && is_plain(e->map, i);
    }
  }
}

/* gx_i = the sum over the ways from y to operand i of the products of derivatives along them */
int np_map_back(np_back *b) {
  neap_context *c = b->ctx;
  int n = b->n_in, dtype = b->out[0].at.dtype, n_tiles = 0;
  uint8_t dtypes[NP_MAX_OPERANDS];
  neap_tensor *in[NP_MAX_OPERANDS + 1];
  for (int i = 0; i < n; i++) dtypes[i] = b->in[i].at.dtype, in[i] = b->x[i];
  in[n] = b->g[0];
  const np_program *p = program_of(c, &b->arg[FORMULA], n, dtypes);
  if (!p) return c->error;
  run_state s = { 0 };
  open_run(&s, c, p, dtype, n + 1, in, b->out[0].at.ndim, b->out[0].at.shape);
  if (plan_back(&s, b) != 0) return c->error;
  pass_on(&s, b);
  for (int v = 0; v < p->n; v++) {
    s.tile[v] = p->value[v].map == NP_VALUE_NUMBER || s.idle[v] ? -1 : (int16_t)n_tiles++;
    if (s.slope[v] >= 0) s.slope[v] = (int16_t)n_tiles++;
  }
  s.spare = n_tiles;
  for (int i = 0; i < n; i++) {
    if (!b->in[i].needs || b->gx[i]) continue;
    const np_layout *at = s.single[i] ? &b->in[i].at : &b->out[0].at;
    s.gx[i] = np_tensor_new(c, dtype, at->ndim, at->shape);
    if (!s.gx[i]) return c->error;
  }
  if (open_tiles(&s, n_tiles + 2) != 0) return c->error;
  run_tasks(&s, backward_task, 1.5 * p->n);
  for (int i = 0; i < n; i++) {
    if (!s.gx[i]) continue;
    double sum = 0;
    for (int64_t t = 0; s.single[i] && t * s.per_task < s.count; t++) sum += s.sums[t * (NP_MAX_OPERANDS + 1) + i];
    if (s.single[i]) np_put_number(dtype, np_data(s.gx[i]), sum);
    b->gx[i] = s.gx[i];
  }
  np_free(c, s.sums, s.room);
  return c->error;
}

/* ---- the same in recorded ops ---- */

static neap_value setting_value(const neap_param *q, double d) {
  if (isnan(d)) return (neap_value){ .kind = NEAP_NONE };
  if (q->kind == NEAP_NUMBER) return (neap_value){ .kind = NEAP_NUMBER, .d = d };
  return (neap_value){ .kind = q->kind, .i = np_whole(d) };
}

static neap_tensor *recorded_step(neap_context *c, const np_value *e, neap_tensor *const *x) {
  const np_signature *sig = np_op_signature(c, e->map);
  neap_value arg[6];
  neap_tensor *y = NULL;
  if (!sig) return NULL;
  for (int i = 0; i < e->n_in; i++) arg[i] = (neap_value){ .kind = NEAP_TENSOR, .t = x[e->in[i]] };
  for (int i = e->n_in; i < sig->n_params; i++) arg[i] = setting_value(&sig->param[i], e->par[i - e->n_in]);
  return neap_call(c, e->map, sig->n_params, arg, &y, 0, NULL) > 0 ? y : NULL;
}

int np_map_twin(np_back *b) {
  neap_context *c = b->ctx;
  uint8_t dtypes[NP_MAX_OPERANDS];
  int precision = b->out[0].at.dtype == NEAP_F64 ? NEAP_F64 : NEAP_F32;
  neap_tensor *x[NP_MAX_VALUES], *g[NP_MAX_VALUES] = { NULL };
  for (int i = 0; i < b->n_in; i++) dtypes[i] = b->in[i].at.dtype;
  const np_program *p = program_of(c, &b->arg[FORMULA], b->n_in, dtypes);
  if (!p) return c->error;
  for (int v = 0; v < p->n; v++) {
    const np_value *e = &p->value[v];
    if (e->map == NP_VALUE_OPERAND) x[v] = b->x[e->operand];
    else x[v] = e->map == NP_VALUE_NUMBER ? np_tensor_scalar(c, precision, e->number) : recorded_step(c, e, x);
    if (!x[v]) return c->error;
  }
  g[p->result] = b->g[0];
  for (int v = p->n - 1; v >= 0; v--) {
    const np_value *e = &p->value[v];
    np_back one = { .ctx = c, .g = { g[v] }, .y = { x[v] } };
    neap_tensor *in[3] = { NULL };
    one.x = in;
    for (int i = 0; i < e->n_in; i++) in[i] = x[e->in[i]];
    for (int i = 0; g[v] && i < e->n_in; i++) {
      int to = e->in[i];
      if (!np_needs_grad(x[to])) continue;
      neap_tensor *part = np_sum_to(c, np_elementwise_slope(&one, e->map, i, e->par), &x[to]->at);
      if (part) g[to] = g[to] ? neap_add(c, g[to], part) : part;
      if (np_failed(c)) return c->error;
    }
  }
  for (int v = 0; v < p->n; v++)
    if (p->value[v].map == NP_VALUE_OPERAND) b->gx[p->value[v].operand] = g[v];
  return c->error;
}
