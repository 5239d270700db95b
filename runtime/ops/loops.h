/* loops.h: what the op families share below the table: the reduction engine, the engine for rows along a dimension, lists
 * of positions, and windows (handles on the C stack for code that only moves values). Everything here computes and never
 * records. Work is cut into blocks that depend on sizes alone, so the bits are the same for any number of threads. */
#ifndef NP_LOOPS_H
#define NP_LOOPS_H

#include <math.h>
#include <string.h>
#include "op.h"
#include "sheet.h"

/* ---- windows ---- */
static inline neap_tensor np_window(const neap_tensor *t, const np_layout *l) { /* t's storage seen through l */
  neap_tensor w = *t;
  w.at = *l;
  w.flags = (uint16_t)(np_layout_is_contiguous(l) ? NP_CONTIGUOUS : 0);
  w.record = NULL, w.grad = NULL, w.base = NULL, w.next = NULL, w.link = NULL, w.host = NULL;
  w.handed = 0;
  return w;
}
static inline int np_is_native(int dtype) { return dtype == NEAP_F32 || dtype == NEAP_F64 || dtype == NEAP_I64; }
static inline int np_native_of(int dtype) { /* the dtype that its elements are computed in */
  static const uint8_t native[NP_CTYPES] = { NEAP_F32, NEAP_F64, NEAP_I64 };
  return native[np_ctype(dtype)];
}
static inline int np_is_native_in(int dtype, int ctype) { return np_is_native(dtype) && np_ctype(dtype) == ctype; }
static inline int64_t np_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t np_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t np_blocks(int64_t n, int64_t block) { return n / block + (n % block != 0); }

/* ---- checks and small helpers (check.c) ---- */
int np_spec(np_call *c, int out, int dtype, int ndim, const int64_t *shape); /* says what output `out` will be */
int np_need_float(np_call *c, const char *name, const neap_tensor *t);
int np_need_int(np_call *c, const char *name, const neap_tensor *t); /* bools are none */
int np_need_probabilities(np_call *c, const char *name, neap_tensor *t, const char *hint); /* all its elements are from 0 to 1 */
int np_larger(np_call *c, const char *name, const neap_tensor *t, const char *of, const neap_tensor *x); /* says that t would have to grow x */
/* Argument i of an op over images: one number, or one for each of nd dimensions, from `least` on; not given: `standard`. */
int np_per_dim(np_call *c, int i, int nd, int64_t standard, int64_t least, int64_t *out);
int np_need_image(np_call *c, const neap_tensor *x, int nd); /* x's last nd dimensions have elements, and fewer than 2^31 */
extern const char *const np_image_layouts[4]; /* by dimensions: "(N, C, W) or (C, W)" ... */
void np_dim_text(char *buffer, size_t size, const np_call *c, int dim, const char *name, const neap_tensor *t); /* "dimension 2 of x has size 5" */
int np_zero(neap_context *c, neap_tensor *t);      /* t contiguous: all zeros */
static inline int64_t np_axis_of(const neap_value *dim, int ndim) { /* of a recorded dim, already checked: counted from the start */
  return dim->i < 0 ? dim->i + (ndim ? ndim : 1) : dim->i;
}
uint32_t np_mask_of(const neap_value *dims, int ndim); /* of a recorded dims/axes list: as np_axes, already checked */
neap_tensor *np_keep_dims(neap_context *c, neap_tensor *y, const np_layout *x, uint32_t mask); /* a result with its dims back */
neap_tensor *np_permuted(neap_context *c, neap_tensor *x, uint32_t mask, int dtype); /* contiguous, dims in mask last */
int np_add_into(neap_context *c, neap_tensor *y, neap_tensor *x); /* y += x, of one shape; y of a compute type */
neap_tensor *np_zeros_like(neap_context *c, const np_layout *at);
/* Where y's elements are written as they are computed: y itself if it is contiguous and of that dtype, or a tensor that
 * np_deliver copies to it when nothing failed, and releases. */
neap_tensor *np_room(neap_tensor *y, int dtype);
void np_deliver(neap_context *c, neap_tensor *y, neap_tensor *t);
#define NP_C(c, v) np_tensor_constant(c, v)

/* ---- folds (fold.c) ---- */

/* out = finish(fold of x over the dimensions in mask), out contiguous in the order of the kept dimensions. Values pass
 * as double (int64 for integers and for NP_ANY, NP_ALL, NP_COUNT); for doubles y = (y / divisor) ^ power. */
typedef struct np_fold {
  int kind;              /* NP_SUM ... NP_COUNT */
  const double *center;  /* one a result: the sum of (x - center)^2 instead; NULL: none */
  double divisor, power; /* 1 and 1: as it is */
  int as;                /* 1 + the compute type that the elements are taken in; 0: x's own */
} np_fold;
int np_fold_run(neap_context *c, neap_tensor *x, uint32_t mask, const np_fold *f, neap_tensor *out);

/* ---- rows (rows.c) ---- */

/* Calls row(arg, r, block, tiles) for each row r of tensors of one shape: tiles[i] is row r of operand i as a contiguous
 * run of the compute type, inputs first; what it leaves in the outputs' tiles is stored. A row runs over n_axes
 * dimensions from axis on; r counts the others in row-major order. Rows of one block run in order, on one thread. All
 * operands are floats computed in ctype; over several axes they must be contiguous. With a sheet task, rows along one
 * dimension that are short or lie across memory go to it instead, m neighbours from r on, side by side. */
typedef void (*np_row_task)(void *arg, int64_t r, int64_t block, char *const *tiles);
typedef void (*np_sheet_task)(void *arg, int64_t r, int m, const np_sheet *sheets);
typedef struct np_rows {
  int n_in, n_out, axis, n_axes, ctype;
  neap_tensor *t[6];
  double ns;             /* of work an element */
  np_sheet_task sheet;
} np_rows;
int64_t np_rows_blocks(const np_rows *r);  /* how many blocks a run has */
int np_rows_run(neap_context *c, const np_rows *r, np_row_task row, void *arg);

/* ---- order (order.c): the rows of x along one dimension, each sorted or searched by rank ---- */

/* NaN is the largest value, equal ones keep their order. A row has at most 2^32 - 1 elements. */
typedef struct np_order {
  neap_context *c;
  const np_sort *k;
  neap_tensor *turned;   /* x with the dimension last, contiguous in its compute type: np_order_close releases it */
  int ctype;
  uint32_t flip;         /* ~0u: from the largest down */
  int64_t n, rows, size; /* length and number of rows, bytes of an element */
} np_order;
int np_order_open(np_order *o, np_call *c, neap_tensor *x, int d, int descending); /* d < 0: all of x is one row */
void np_order_close(np_order *o);
static inline const char *np_order_row(const np_order *o, int64_t r) { return np_data(o->turned) + r * o->n * o->size; }
/* Calls task for each row, in parallel when rows are short and many; e and room have n entries each. */
typedef void (*np_order_task)(void *arg, const np_order *o, int64_t r, uint64_t *e, uint64_t *room);
int np_order_run(const np_order *o, np_order_task task, void *arg);
/* Within a task, x a row of n elements: its entries in order (in e or in room); those of the k first, in order too or
 * as they lie in x; the position of the one before which there are k. */
uint64_t *np_order_sort(const np_order *o, int64_t n, const char *x, uint64_t *e, uint64_t *room);
uint64_t *np_order_first(const np_order *o, int64_t n, const char *x, int64_t k, int in_order, uint64_t *e, uint64_t *room);
int64_t np_order_rank(const np_order *o, int64_t n, const char *x, int64_t k, uint64_t *e, uint64_t *room);
/* Where values along d of y are written row after row: y itself, or a tensor that np_order_deliver copies to it. */
neap_tensor *np_order_room(neap_tensor *y, int d);
void np_order_deliver(neap_context *c, neap_tensor *y, int d, neap_tensor *t);

/* ---- positions (positions.c) ---- */

typedef struct np_positions {
  neap_tensor *t;        /* contiguous, int32 or int64: to be released */
  const void *at;
  int wide;              /* int64 */
  int64_t n;
} np_positions;
/* In infer: refuses what is no integer tensor (bools too) and values outside of base .. base + size - 1; with negative
 * also -size .. -1. why: "dimension 2 of x has size 5", for the error; skip: a value that always passes, or NULL. */
int np_positions_check(np_call *c, const char *name, neap_tensor *index, int64_t size, const char *why, int negative,
                       const int64_t *skip);
int np_positions_get(neap_context *c, neap_tensor *index, np_positions *p); /* in run */
static inline int64_t np_position(const np_positions *p, int64_t i) {
  return p->wide ? ((const int64_t *)p->at)[i] : ((const int32_t *)p->at)[i];
}

int np_positions_along(np_call *c, const char *name, neap_tensor *index, int d); /* checked against dimension d of arg[0] */
static inline int64_t np_back_axis(const np_back *b, int i, const np_layout *x) { /* an axis argument, from 0 on */
  return b->arg[i].i < 0 ? b->arg[i].i + (x->ndim ? x->ndim : 1) : b->arg[i].i;
}
neap_tensor *np_summing(neap_context *c, neap_tensor *y); /* np_room with what y holds, that may be added to */

/* ---- scatter.c ---- */
enum { NP_GATHER = -2, NP_PUT_ONE = -1 }; /* what is done at each position, beside NP_FOLD_ADD ... */
int np_scatter_all(np_call *c, neap_tensor *y, int op); /* y op= src at index, of a call (x dim index src ...), dim in room[0] */
int np_scatter_add_infer(np_call *c);
neap_tensor *np_grown(neap_context *c, neap_tensor *g, const np_layout *at); /* recorded: g in a larger shape, zeros behind */

/* Rows picked from a table by a list of positions, or put there: the table is (outer, positions, inner) with dense inner
 * rows, the list (outer, n, inner) contiguous. idx counts from base in steps of `unit` elements. */
enum { NP_TAKE, NP_PUT, NP_ADD }; /* list = table[idx]; table[idx] = list, the last one stays; table[idx] += list, in order */
typedef struct np_pick {
  int op, dtype;          /* NP_ADD: of a compute type */
  int n_outer;
  int64_t shape[NEAP_MAX_DIMS], step[NEAP_MAX_DIMS]; /* of the outer dimensions, in elements of the table */
  int64_t n, inner, unit, base;
  const void *idx;
  int wide;
  char *table, *list;
} np_pick;
void np_pick_run(neap_context *c, const np_pick *p);

/* Flat 0-based positions where a bool tensor is true, in row-major order: int64, to be released. */
neap_tensor *np_true_positions(neap_context *c, neap_tensor *mask);

/* ---- matrices (matmul.c) ---- */

/* How a product can read a (rows, cols) matrix with these strides. 0: not without a copy. */
int np_matrix_reads(int64_t rows, int64_t cols, int64_t row_stride, int64_t col_stride, int *transposed, int64_t *ld);

#endif
