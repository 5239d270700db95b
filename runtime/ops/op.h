/* Ops: what a row of the table is, what a call of it is, and the record that a call leaves behind for backward.
 *
 * A row says an op's name, signature, what its backward reads, marks, a sample, a sentence and an example; its functions
 * stand in one family file. The rows are in table.def (general ops) and kernels/elementwise.def (one formula each).
 * A call goes through neap_call: arguments are bound to the signature, infer checks them and says what comes out, run
 * computes, and when gradients are on a record is made. A record holds no handle of a tensor but its leaves': a saved
 * tensor is a storage with a layout and the version it had, so that no cycle can arise and in-place changes are noticed. */
#ifndef NP_OP_H
#define NP_OP_H

#include "tensor.h"
#include "kernels.h"

enum { NP_MAX_ARGS = 12, NP_MAX_OUTS = 4 };

typedef struct np_call np_call;
typedef struct np_back np_back;
typedef struct np_record np_record;

typedef struct np_op {
  const char *name, *family, *signature, *saves;
  int marks;                     /* NEAP_OP_* */
  int (*infer)(np_call *);       /* checks; fills spec[]. np_none: a composite, whose run calls other ops */
  int (*run)(np_call *);         /* out[] is there (but see by_run); np_none: a view, all said by infer */
  int (*back)(np_back *);        /* np_no_back: no gradient of its own */
  int (*twin)(np_back *);        /* the same in recorded ops; np_no_back: back itself is made of ops (or NEAP_OP_ONCE) */
  const char *sample, *doc, *example;
  int map;                       /* elementwise: row of the kernels' map table; else -1 */
  int kind;                      /* elementwise: its kind, as elementwise.def says */
} np_op;
enum { NP_KIND_NONE, NP_KIND_F, NP_KIND_N, NP_KIND_C, NP_KIND_L, NP_KIND_I, NP_KIND_Q, NP_KIND_W, NP_KIND_A,
       NP_KIND_J };
int np_none(np_call *);
int np_no_back(np_back *);

/* Every op has a number: NP_OP_add, NP_OP_matmul, ... Elementwise rows come first: NP_OP_add is NP_EW_add. */
enum {
#define UNARY(name, ...) NP_OP_##name,
#define BINARY(name, ...) NP_OP_##name,
#define TERNARY(name, ...) NP_OP_##name,
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
#define OP(name, ...) NP_OP_##name,
#include "table.def"
#undef OP
  NP_OPS
};
extern const np_op np_ops[NP_OPS];

/* ---- the signature (signature.c) ----
 * "x:tensor w:tensor b:tensor? dim:axis=-1 reduction:enum(none|mean|sum)=mean -> y"
 *   tensor tensor? tensors       a tensor, perhaps none (NULL), a list
 *   operands                     a list of tensors that may be written one after the other
 *   operand                      a tensor or a number
 *   indices indices?             a tensor of positions or labels, counted from the call's base
 *   number number? int int? bool dtype? generator?
 *   enum(a|b|c)                  its 0-based number
 *   text text?                   a string
 *   axis axis? axes axes?        a dimension, several: -1 is the last; already 0-based when a call begins
 *   index index?                 a position likewise
 *   ints ints?  dims             lists of numbers; sizes that may be written one after the other
 *   ints(a|b)?                   a list of numbers, or as an enum (kind NEAP_ENUM); in C, counts below 0 name the choices
 *   int_or_ints int_or_indexes   a number or a list of numbers; a number or a list of positions
 * "=" gives the default. "->" names what comes out: up to NP_MAX_OUTS tensors, or one list, "-> parts:tensors". A
 * trailing ? without default: NEAP_NONE when absent. */
typedef struct np_signature {
  int n_params, n_outputs, n_required;
  int list;                      /* the output is a list */
  neap_param param[NP_MAX_ARGS];
  const char *output[NP_MAX_OUTS];
  uint32_t saves_in, saves_out;  /* bits: which parameters, which outputs, backward reads */
  uint8_t reads[3];              /* elementwise: what the derivative for each operand reads, NP_READS_* */
  neap_op_info info;             /* what the outside sees */
  char *text;                    /* names, cut out of the signature */
  size_t bytes;
} np_signature;
enum { NP_READS_X = 1, NP_READS_Z = 2, NP_READS_W = 4, NP_READS_Y = 8 };
const np_signature *np_op_signature(neap_context *c, int op); /* parsed at first use; NULL: no memory */
np_signature *np_signature_parse(neap_context *c, const char *text, const char *saves); /* also layers and rules use it */
void np_signature_free(neap_context *c, np_signature *s);
/* Fills missing arguments with defaults and checks kinds; name is for the error. */
int np_bind(neap_context *c, const char *name, const np_signature *s, int n, const neap_value *args, neap_value *bound);

/* ---- a call (call.c) ---- */
struct np_call {
  neap_context *ctx;
  const np_op *op;
  const np_signature *sig;
  neap_value arg[NP_MAX_ARGS];   /* bound: every parameter has a value, or kind NEAP_NONE */
  np_layout spec[NP_MAX_OUTS];   /* infer's: dtype and shape (np_layout_set); of a view, its whole layout on arg[0]'s storage */
  uint8_t by_run[NP_MAX_OUTS];   /* infer sets it: run makes this output itself (its size depends on values) */
  neap_tensor *out[NP_MAX_OUTS];
  int in_place;                  /* out[0] is arg[0].t: run overwrites it */
  int n_parts;                   /* of an op that puts out a list: infer says how many, run fills part[] */
  neap_tensor **part;
  neap_tensor *before;           /* what out[0] held, when backward will read it and run overwrites it; or NULL */
  int64_t room[2 * NEAP_MAX_DIMS]; /* infer may leave numbers for run */
};
static inline neap_tensor *np_t(const np_call *c, int i) { return c->arg[i].kind == NEAP_TENSOR ? c->arg[i].t : NULL; }
static inline int64_t np_i(const np_call *c, int i) { return c->arg[i].i; }
static inline double np_d(const np_call *c, int i) { return c->arg[i].d; }
static inline int np_given(const np_call *c, int i) { return c->arg[i].kind != NEAP_NONE; }

/* Errors of a call begin with the op's name: np_reject(c, NEAP_ERR_SHAPE, "..."). Returns the status. */
int np_reject(np_call *c, neap_status s, const char *format, ...) NP_PRINTF(3, 4);
/* A dimension argument: -ndim..ndim-1 (a 0-dimensional tensor counts as 1) to 0..ndim-1, or an error. */
int np_axis(np_call *c, int64_t dim, int ndim, int *out);
/* A dims/axes list (NEAP_NONE: all) as a bit mask of dimensions. */
int np_axes(np_call *c, const neap_value *v, int ndim, uint32_t *mask);
#define NP_DIM(c, d) ((long long)(d) + (c)->ctx->site.base) /* a dimension or position as the caller counts it */

/* ---- the record (record.c) ---- */
typedef struct np_input {
  np_record *record;             /* what made it, or NULL */
  neap_tensor *leaf;             /* the leaf that gathers, or NULL */
  int16_t output;                /* of record */
  uint8_t given, needs;          /* it was there; it wants a gradient */
  uint8_t unwanted;              /* it does, but not of the walk in whose hands the record is */
  uint32_t version;
  np_storage *storage;           /* saved; or NULL */
  np_layout at;                  /* shape and dtype always; the rest counts when saved */
} np_input;

typedef struct np_result {
  np_layout at;
  np_storage *storage;           /* saved; or NULL */
  uint32_t version;
  neap_tensor *grad;             /* gathered so far by the walk at work */
  int32_t seen;                  /* of how many inputs of walks at work (neap_grad) it is the gradient */
  int64_t hook;                  /* the host's number, 0: none */
} np_result;

struct np_record {
  neap_context *ctx;
  int op;                        /* -1: a custom function of the host's */
  int refs, n_in, n_out, n_args;
  uint64_t sequence;
  void *walk;                    /* the walk that has it in hand, or NULL */
  void *marked;                  /* the walk that `wanted` is of, or NULL */
  uint8_t spent;                 /* what it saved is released: no second backward */
  uint8_t wanted;                /* how a walk with inputs stands to it: see autograd/walk.c */
  int64_t custom;                /* the host's number for a custom function */
  neap_site site;
  np_record *next;               /* of the list being released */
  size_t bytes;
  neap_value *arg;               /* tensors cut out; lists of numbers follow in this block */
  np_input *in;                  /* one a tensor-like parameter (tensor, operand, indices), absent ones too; each of a list */
  np_result out[];
};

void np_record_retain(np_record *r);
void np_record_release(np_record *r);  /* a loop, never recursion */
void np_record_spend(np_record *r);    /* drops what it saved */
int np_keep_before(np_call *c);                 /* before run, of an op in place that will be recorded */
int np_record_call(np_call *c, int needs_grad); /* after run: makes the record, hangs it into the outputs */
int np_wants_record(np_call *c);       /* grad mode on, and an input that requires a gradient */
int np_view_refresh(neap_tensor *t);   /* a view whose base has changed gets the history of its present values */
void np_input_history(np_input *in, neap_tensor *t); /* fills record, leaf, output, needs from a handle */

/* ---- backward of one record ---- */
struct np_back {
  neap_context *ctx;
  const np_op *op;
  const neap_value *arg;         /* numbers, lists, enums as bound; tensors are in x */
  int n_in, n_out;
  neap_tensor **x;               /* inputs, if saved; else NULL */
  const np_input *in;            /* in[i].at: shape and dtype of every input; in[i].needs: its gradient is wanted */
  neap_tensor *y[NP_MAX_OUTS];   /* outputs, if saved */
  const np_result *out;          /* out[i].at: shapes and dtypes of the outputs */
  neap_tensor *g[NP_MAX_OUTS];   /* gradients of the outputs; NULL: nothing flowed (g[0] is zeros then, if it is the only output) */
  neap_tensor **gx;              /* to fill: gradients of the inputs; NULL: zeros. Any shape that sums to the input's */
  int homes;                     /* first gradients of leaves may be written where they will live */
};
/* Where the gradient of input i will live, for a backward that can write it there at once (then gx[i] is this very
 * handle): the empty home of a leaf's first gradient, contiguous, of its shape and dtype. NULL: there is none. */
neap_tensor *np_back_home(np_back *b, int i);
enum { NP_BACK_RECORD = 1, NP_BACK_HOMES = 2 };
/* Runs the op's back (or twin, when the gradient itself is recorded) with no release needed: what it makes hangs in a
 * scope. grads: one a result; gx[i] are new references, shaped and typed as their inputs. */
int np_back_run(np_record *r, neap_tensor *const *grads, int flags, neap_tensor **gx);
int np_record_usable(np_record *r);    /* not spent, and nothing it saved has been written to; else the error */
neap_tensor *np_sum_to(neap_context *c, neap_tensor *g, const np_layout *at); /* undoes broadcasting; g itself when there was none */
neap_tensor *np_accumulate(neap_context *c, neap_tensor *sum, neap_tensor *g, int create_graph); /* sum may be NULL; a new reference */

/* ---- shared by the families ---- */
static inline int64_t np_whole(double d) { /* cut towards 0, saturated; NaN is 0 */
  return d >= 9223372036854775808.0 ? INT64_MAX : d <= -9223372036854775808.0 ? INT64_MIN : d == d ? (int64_t)d : 0;
}
/* Elementwise engine (elementwise.c): out = map over inputs that broadcast to it, computed in ctype; in[i] NULL takes
 * the number scalar[i], or nothing when skip has bit i. to_bool: the map puts out uint8. poll: may be cancelled. */
typedef struct np_map_job {
  np_map map;
  int ctype, n_in, to_bool, poll;
  uint32_t skip;
  neap_tensor *const *in;
  const neap_value *scalar;
  const double *par;
  neap_tensor *out;
} np_map_job;
int np_map_run(neap_context *c, const np_map_job *j);
/* The dtype of an op's operands taken together (PyTorch's promotion): dimensioned tensors before 0-dimensional ones
 * before numbers, each lower kind counting only by its category. */
int np_result_dtype(int n, const neap_value *operands);
int np_elementwise_infer(np_call *c);
int np_elementwise_run(np_call *c);
int np_elementwise_back(np_back *b);
int np_elementwise_twin(np_back *b);
int np_settings_wrong(int map, const double *par, char *text, size_t size); /* whether a row refuses its settings, and why */
void np_settings_of_dtype(int map, int dtype, double *par); /* fills absent settings that stand for something of the dtype */
/* The gradient of a row for one operand in recorded ops, over b's g[0], x and y[0]; NULL: none (twin.c). */
neap_tensor *np_elementwise_slope(np_back *b, int map, int operand, const double *par);
extern const char *const np_derivatives[NP_EW_COUNT][3]; /* the text of each derivative */
/* Strided, converting copy (copy.c): shapes equal or src broadcasts to dst. Runs in parallel blocks. */
int np_copy(neap_context *c, neap_tensor *dst, neap_tensor *src);
neap_tensor *np_contiguous_of(neap_context *c, neap_tensor *x, int dtype); /* x itself (a new reference) when it fits; not recorded */
/* Products (product.c): row-major, C = alpha op(A) op(B) + beta C, in fixed blocks over the pool, by BLAS or by ours. */
int np_product(neap_context *c, int dtype, int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a,
               int64_t lda, const void *b, int64_t ldb, double beta, void *out, int64_t ldc);
uint64_t np_draw(neap_generator *g, uint64_t counters); /* reserves counters; returns the first */

#endif
