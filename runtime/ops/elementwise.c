/* The elementwise engine: one function runs every map of the kernels over tensors of any shapes, strides and dtypes.
 *
 * The operands are walked together as rows (np_iter); the rows are cut into blocks that depend on sizes alone. Where an
 * operand already lies contiguous in the compute type its memory goes to the kernel as it is; otherwise a tile of it is
 * loaded, which converts and gathers at once, so promotion and broadcasting cost no temporary tensor. The rows of
 * elementwise.def share the check, the forward and the fused backward below; twin.c has the recorded backward. */
#include <math.h>
#include <string.h>
#include "loops.h"

#ifdef NP_TORTURE
enum { TILE = 3 };
#else
enum { TILE = 512 };
#endif
enum { MAX_IN = 5 }; /* g, three operands, the result */

static const uint8_t ctype_bytes[] = { 4, 8, 8 };

typedef struct run_state {
  const np_map_job *job;
  neap_context *ctx;
  np_iter it;
  const char *data[MAX_IN];
  int slot[MAX_IN];              /* operand of the iterator, -1: a number */
  uint8_t dtype[MAX_IN];
  uint8_t direct[MAX_IN];        /* lies in the compute type */
  double number[MAX_IN];         /* bits of a scalar in the compute type */
  int out_direct, out_dtype;
  char *out;
  int64_t chunk, chunks_per_row, rows_per_block;
} run_state;

static void put_number(int ctype, const neap_value *v, void *out) {
  double d = v->kind == NEAP_INT ? (double)v->i : v->d;
  if (ctype == NP_CF32) *(float *)out = (float)d;
  else if (ctype == NP_CF64) *(double *)out = d;
  else *(int64_t *)out = v->kind == NEAP_INT ? v->i : np_whole(d);
}

/* n elements from element i of the row whose offsets are at. */
static void run_chunk(const run_state *s, const int64_t *at, int64_t i, int64_t n) {
  const np_map_job *j = s->job;
  const np_kernels *k = s->ctx->kernels;
  double tile[MAX_IN + 1][TILE];
  const void *in[MAX_IN] = { NULL };
  uint8_t step[MAX_IN] = { 0 };
  int whole = s->out_direct;
  for (int o = 0; o < j->n_in; o++) {
    if (s->slot[o] < 0) { in[o] = j->skip >> o & 1 ? NULL : &s->number[o]; continue; }
    int64_t stride = s->it.stride[s->slot[o]];
    const char *p = s->data[o] + (at[s->slot[o]] + i * stride) * np_size_of(s->dtype[o]);
    step[o] = stride != 0;
    if (stride == 0 && !s->direct[o]) {
      k->load[s->dtype[o]][j->ctype](1, p, 1, tile[o]);
      in[o] = tile[o];
    } else if (s->direct[o] && (stride == 1 || stride == 0)) in[o] = p;
    else whole = 0;
  }
  int64_t out_stride = s->it.stride[0];
  char *y = s->out + (at[0] + i * out_stride) * np_size_of(s->out_dtype);
  if (whole && (out_stride == 1 || n == 1)) {
    j->map(n, in, step, y, j->par);
    return;
  }
  for (int64_t done = 0; done < n; done += TILE) {
    int64_t m = n - done < TILE ? n - done : TILE;
    const void *part[MAX_IN] = { NULL };
    for (int o = 0; o < j->n_in; o++) {
      if (in[o] || s->slot[o] < 0) {
        part[o] = in[o] && step[o] ? (const char *)in[o] + done * ctype_bytes[j->ctype] : in[o];
        continue;
      }
      int64_t stride = s->it.stride[s->slot[o]];
      const char *p = s->data[o] + (at[s->slot[o]] + (i + done) * stride) * np_size_of(s->dtype[o]);
      k->load[s->dtype[o]][j->ctype](m, p, stride, tile[o]);
      part[o] = tile[o];
    }
    j->map(m, part, step, tile[MAX_IN], j->par);
    char *q = y + done * out_stride * np_size_of(s->out_dtype);
    if (j->to_bool) k->load[NEAP_U8][NP_CI64](m, tile[MAX_IN], 1, tile[0]), k->store[NP_CI64][s->out_dtype](m, tile[0], q, out_stride);
    else k->store[j->ctype][s->out_dtype](m, tile[MAX_IN], q, out_stride);
  }
}

static void run_block(void *arg, int64_t block) {
  const run_state *s = arg;
  if (s->job->poll && np_cancelled(s->ctx)) return;
  int64_t at[NP_ITER_MAX];
  int64_t row = block / s->chunks_per_row * s->rows_per_block;
  int64_t i = block % s->chunks_per_row * s->chunk;
  int64_t end = row + s->rows_per_block < s->it.rows ? row + s->rows_per_block : s->it.rows;
  int64_t n = s->it.n - i < s->chunk ? s->it.n - i : s->chunk;
  for (; row < end; row++) {
    np_iter_row(&s->it, row, at);
    run_chunk(s, at, i, n);
  }
}

static inline int native_dtype(int ctype) { return ctype == NP_CF32 ? NEAP_F32 : ctype == NP_CF64 ? NEAP_F64 : NEAP_I64; }

/* Up to a block of elements that all lie as the kernel wants them needs no walk, and most small calls are such. */
static int run_flat(const np_map_job *j) {
  const neap_tensor *out = j->out;
  int native = native_dtype(j->ctype);
  const void *in[MAX_IN] = { NULL };
  double number[MAX_IN];
  uint8_t step[MAX_IN] = { 0 };
  if (out->at.count > NP_GRAIN || !np_contiguous(out) || out->at.dtype != (j->to_bool ? (int)NEAP_BOOL : native)) return 0;
  for (int o = 0; o < j->n_in; o++) {
    const neap_tensor *t = j->in[o];
    if (t) {
      if (t->at.count != out->at.count || t->at.dtype != native || !np_contiguous(t)) return 0;
      in[o] = np_data(t);
      step[o] = 1;
    } else if (!(j->skip >> o & 1)) {
      put_number(j->ctype, &j->scalar[o], &number[o]);
      in[o] = &number[o];
    }
  }
  if (out->at.count > 0) j->map(out->at.count, in, step, np_data(out), j->par);
  return 1;
}

int np_map_run(neap_context *c, const np_map_job *j) {
  if (run_flat(j)) return NEAP_OK;
  run_state s;
  s.job = j;
  s.ctx = c;
  const np_layout *layouts[NP_ITER_MAX] = { &j->out->at };
  int n = 1;
  for (int o = 0; o < j->n_in; o++) {
    neap_tensor *t = j->in[o];
    s.slot[o] = t ? n : -1;
    if (!t) {
      if (!(j->skip >> o & 1)) put_number(j->ctype, &j->scalar[o], &s.number[o]);
      continue;
    }
    layouts[n++] = &t->at;
    s.data[o] = np_data(t);
    s.dtype[o] = t->at.dtype;
    s.direct[o] = t->at.dtype == native_dtype(j->ctype);
  }
  np_iter_init(&s.it, n, layouts, j->out->at.ndim, j->out->at.shape);
  s.out = np_data(j->out);
  s.out_dtype = j->out->at.dtype;
  s.out_direct = s.out_dtype == (j->to_bool ? (int)NEAP_BOOL : native_dtype(j->ctype));
  if (s.it.rows == 0 || s.it.n == 0) return NEAP_OK;
  s.chunk = s.it.n < NP_GRAIN ? s.it.n : NP_GRAIN;
  s.chunks_per_row = (s.it.n + s.chunk - 1) / s.chunk;
  s.rows_per_block = s.chunks_per_row > 1 ? 1 : NP_GRAIN / s.it.n > 1 ? NP_GRAIN / s.it.n : 1;
  int64_t blocks = (s.it.rows + s.rows_per_block - 1) / s.rows_per_block * s.chunks_per_row;
  np_parallel(c, blocks, (double)s.it.rows * (double)s.it.n * 0.5, run_block, &s);
  return NEAP_OK;
}

/* ---- promotion ---- */

int np_result_dtype(int n, const neap_value *v) {
  int dims = -1, zero = -1, number = -1; /* the dtype that each kind of operand asks for */
  for (int i = 0; i < n; i++) {
    if (v[i].kind == NEAP_NONE) continue;
    int is_tensor = v[i].kind == NEAP_TENSOR && !(v[i].t->flags & NP_WEAK);
    int dtype = is_tensor ? v[i].t->at.dtype : v[i].kind == NEAP_INT ? NEAP_I64 : NEAP_F32;
    int *slot = !is_tensor ? &number : v[i].t->at.ndim ? &dims : &zero;
    *slot = *slot < 0 ? dtype : (int)neap_promote((neap_dtype)*slot, (neap_dtype)dtype);
  }
  int result = dims;
  if (zero >= 0 && (result < 0 || np_dtypes[zero].category > np_dtypes[result].category)) result = zero;
  if (number >= 0 && (result < 0 || np_dtypes[number].category > np_dtypes[result].category)) result = number;
  return result < 0 ? NEAP_F32 : result;
}

/* ---- the rows of elementwise.def as ops ---- */

static int n_operands(const np_signature *sig) {
  int n = 0;
  while (n < sig->n_params && sig->param[n].kind == NEAP_OPERAND) n++;
  return n;
}

/* bitwise_not of a bool is another row. */
static int map_of(const np_op *op, int dtype) {
  return op->map == NP_EW_bitwise_not && dtype == NEAP_BOOL ? NP_EW_logical_not : op->map;
}

static int float_if_needed(const np_op *op, int dtype) { return op->kind == NP_KIND_F && !np_is_float(dtype) ? NEAP_F32 : dtype; }

static int compute_dtype(const np_op *op, int n, const neap_value *v) {
  int skip = op->kind == NP_KIND_W; /* the condition takes no part */
  return float_if_needed(op, np_result_dtype(n - skip, v + skip));
}

static int has_fraction(const neap_value *v) { return v->kind == NEAP_NUMBER && isfinite(v->d) && v->d != floor(v->d); }

static int gives_bool(const np_op *op, int dtype) {
  return op->kind == NP_KIND_C || op->kind == NP_KIND_L || op->kind == NP_KIND_Q || (op->kind == NP_KIND_I && dtype == NEAP_BOOL);
}

static int check_dtype(np_call *c, int dtype) {
  int kind = c->op->kind;
  if (np_is_float(dtype) && (kind == NP_KIND_I || kind == NP_KIND_J))
    return np_reject(c, NEAP_ERR_DTYPE, "works on integers%s, got %s", kind == NP_KIND_I ? " and bools" : "", np_dtypes[dtype].info.name);
  if (dtype == NEAP_BOOL && (kind == NP_KIND_A || kind == NP_KIND_J))
    return np_reject(c, NEAP_ERR_DTYPE, "does not work on bools: there are logical_not, logical_and, logical_or and logical_xor, or convert with to('int64')");
  return NEAP_OK;
}

/* The settings after the operands, as the kernels take them. */
static void settings(const np_signature *sig, int n, const neap_value *arg, double par[4]) {
  for (int i = n; i < sig->n_params; i++)
    par[i - n] = arg[i].kind == NEAP_NONE ? NAN : arg[i].kind == NEAP_NUMBER ? arg[i].d : (double)arg[i].i;
}

int np_settings_wrong(int map, const double *par, char *text, size_t size) {
  np_text t;
  np_text_init(&t, text, size);
  if (map == NP_EW_polygamma && par[0] < 0) np_text_add(&t, "n is %g, it must be at least 0", par[0]);
  if (map == NP_EW_isclose && !(par[0] >= 0 && par[1] >= 0)) np_text_add(&t, "rtol is %g and atol %g, they must be at least 0", par[0], par[1]);
  return t.used > 0;
}

static int check_settings(np_call *c, int n) {
  double par[4] = { 0 };
  char text[96];
  if (n == c->sig->n_params) return NEAP_OK;
  settings(c->sig, n, c->arg, par);
  return np_settings_wrong(c->op->map, par, text, sizeof text) ? np_reject(c, NEAP_ERR_ARGUMENT, "%s", text) : NEAP_OK;
}

/* Whether all operands are tensors of one dtype and shape: then there is nothing to broadcast or to promote. */
static int alike(int n, const neap_value *v) {
  for (int i = 0; i < n; i++) {
    if (v[i].kind != NEAP_TENSOR || v[i].t->flags & NP_WEAK) return 0;
    if (i > 0 && (v[i].t->at.dtype != v[0].t->at.dtype || !np_same_shape(v[i].t, v[0].t))) return 0;
  }
  return 1;
}

/* The dtype that is computed in is left in room[0] for run. */
int np_elementwise_infer(np_call *c) {
  int n = n_operands(c->sig), ndim = 0, tensors = 0, same = alike(n, c->arg);
  int64_t shape[NEAP_MAX_DIMS];
  for (int i = 0; i < (same ? 1 : n); i++) {
    if (c->arg[i].kind != NEAP_TENSOR) continue;
    const np_layout *at = &c->arg[i].t->at;
    if (tensors++ == 0) {
      ndim = at->ndim;
      memcpy(shape, at->shape, sizeof shape);
    } else {
      np_layout so_far;
      np_layout_set(&so_far, at->dtype, ndim, shape);
      if (np_broadcast(c->ctx, c->op->name, &so_far, at, &ndim, shape) != 0) return c->ctx->error;
    }
  }
  int dtype = same ? float_if_needed(c->op, c->arg[0].t->at.dtype) : compute_dtype(c->op, n, c->arg);
  if (c->op->map == NP_EW_clamp && !np_is_float(dtype) && (has_fraction(&c->arg[n]) || has_fraction(&c->arg[n + 1]))) dtype = NEAP_F32;
  c->room[0] = dtype;
  if (check_dtype(c, dtype) != 0 || check_settings(c, n) != 0) return c->ctx->error;
  return np_spec(c, 0, gives_bool(c->op, dtype) ? NEAP_BOOL : dtype, ndim, shape);
}

void np_settings_of_dtype(int map, int dtype, double *par) {
  if (map != NP_EW_nan_to_num) return;
  if (isnan(par[1])) par[1] = np_dtypes[dtype].largest;
  if (isnan(par[2])) par[2] = -np_dtypes[dtype].largest;
}

int np_elementwise_run(np_call *c) {
  int n = n_operands(c->sig);
  double par[4] = { 0 };
  neap_tensor *in[3] = { NULL };
  for (int i = 0; i < n; i++) in[i] = np_t(c, i);
  settings(c->sig, n, c->arg, par);
  int dtype = (int)c->room[0], ctype = np_ctype(dtype);
  int map = map_of(c->op, dtype);
  np_settings_of_dtype(c->op->map, dtype, par);
  np_map_job job = { .map = c->ctx->kernels->map[ctype][map], .ctype = ctype, .n_in = n, .in = in, .scalar = c->arg, .par = par, .out = c->out[0],
    .to_bool = np_ops[map].kind == NP_KIND_C || np_ops[map].kind == NP_KIND_L || np_ops[map].kind == NP_KIND_Q,
    .poll = !c->in_place };
  return np_map_run(c->ctx, &job);
}

/* ---- the fused backward: one kernel per operand over g, the operands and the result ---- */

const char *const np_derivatives[NP_EW_COUNT][3] = {
#define UNARY(name, kind, settings, f, dx, ...) [NP_EW_##name] = { #dx },
#define BINARY(name, kind, settings, f, dx, dz, ...) [NP_EW_##name] = { #dx, #dz },
#define TERNARY(name, kind, settings, f, dx, dz, dw, ...) [NP_EW_##name] = { #dx, #dz, #dw },
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
};

static neap_tensor *fused_gradient(np_back *b, int operand, int reads, int ctype, const double *par) {
  if (strcmp(np_derivatives[b->op->map][operand], "G") == 0) return b->g[0];
  np_map f = b->ctx->kernels->grad[ctype][b->op->map][operand];
  if (!f) return NULL; /* zero everywhere */
  neap_tensor *in[MAX_IN] = { b->g[0] };
  uint32_t skip = 0;
  for (int i = 0; i < 4; i++) { /* x z w y */
    if (reads >> i & 1) in[i + 1] = i < 3 ? b->x[i] : b->y[0];
    else skip |= 2u << i;
  }
  neap_tensor *out = np_tensor_new(b->ctx, b->out[0].at.dtype, b->out[0].at.ndim, b->out[0].at.shape);
  if (!out) return NULL;
  np_map_job job = { .map = f, .ctype = ctype, .n_in = MAX_IN, .in = in, .par = par, .out = out, .skip = skip, .poll = 1 };
  np_map_run(b->ctx, &job);
  return out;
}

int np_elementwise_back(np_back *b) {
  const np_signature *sig = np_op_signature(b->ctx, (int)(b->op - np_ops));
  double par[4] = { 0 };
  settings(sig, n_operands(sig), b->arg, par);
  int ctype = np_ctype(b->out[0].at.dtype);
  if (ctype == NP_CI64) return NEAP_OK;
  for (int i = 0; i < b->n_in; i++)
    if (b->in[i].needs) b->gx[i] = fused_gradient(b, i, sig->reads[i], ctype, par);
  return b->ctx->error;
}
