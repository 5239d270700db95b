/* linalg.h: what the decompositions share: checks whose words are the same everywhere, and the runner that takes a batch
 * of matrices through a LAPACK routine, each matrix on one thread. Matrices are the last two dimensions; row-major memory
 * read column-major is the transposed matrix, so what can be said of the transposed one is done without moving elements. */
#ifndef NP_LINALG_H
#define NP_LINALG_H

#include "loops.h"

/* ---- checks, in infer or in a composite ---- */
int np_need_matrices(np_call *call, const char *name, const neap_tensor *t); /* float32 or float64, 2 dimensions or more */
int np_need_square(np_call *call, const char *name, const neap_tensor *t);
/* Batch of x and of w broadcast, then two sizes, as output `out`, of x's and w's common dtype. */
int np_spec_pair(np_call *call, int out, const neap_tensor *x, const neap_tensor *w, int64_t rows, int64_t cols);
static inline int64_t np_n_rows(const np_layout *l) { return l->shape[l->ndim - 2]; }
static inline int64_t np_n_cols(const np_layout *l) { return l->shape[l->ndim - 1]; }
static inline neap_tensor *np_mt(neap_context *c, neap_tensor *x) { return neap_transpose(c, x, -1, -2); }

/* ---- batches ---- */

enum { NP_NOT_FINITE = -1000 };

typedef struct np_batch np_batch;
struct np_batch {
  neap_context *c;
  const neap_lapack_routines *lapack;
  int dtype;
  int64_t size, count;       /* bytes of an element; matrices */
  int m, n, k, lwork, liwork, flag, base;
  const char *in[2];         /* contiguous, one matrix after the other */
  char *out[3];
  size_t scratch;            /* bytes that `one` needs */
  int (*one)(const np_batch *b, int64_t i, char *scratch); /* matrix i; LAPACK's info */
};

/* For factors and triangular systems of n rows: small ones cost less than LAPACK's calls. */
static inline const neap_lapack_routines *np_routines(const np_batch *b, int64_t n) {
  return n > 16 ? b->lapack : b->dtype == NEAP_F64 ? &np_lapack_f64 : &np_lapack_f32;
}
/* The batch of tensor x: its context, routines, dtype, count, m and n. */
np_batch np_batch_of(neap_context *c, const np_layout *x);
/* Runs all; the first info that is not 0 in the order of the matrices, and which it was. ns: of work a matrix. */
int np_batch_run(np_batch *b, double ns, int64_t *which);
/* An error about matrix `which` of x: "solve: matrix 2 of the batch is singular: ...". */
int np_batch_reject(np_call *call, const np_layout *x, int64_t which, const char *what);
int np_batch_failed(np_call *call, const np_layout *x, int info, int64_t which); /* of an iteration: not finite, or no end */
int np_batch_not_finite(np_call *call, const np_layout *x, int64_t which);

/* Values, and with job 'V' vectors, of each matrix of argument 0: plan asks LAPACK for room and says the ns a matrix takes. */
int np_eigen_run(np_call *call, int job, double (*plan)(np_batch *b), int (*one)(const np_batch *b, int64_t i, char *scratch));

neap_tensor *np_batch_open(neap_context *c, neap_tensor *x, int dtype, const np_layout *batch); /* contiguous, its batch that of `batch` */
static inline void *np_carve(char **scratch, int64_t bytes) { /* a piece of it, aligned */
  char *p = *scratch;
  *scratch += (bytes + 63) / 64 * 64;
  return p;
}
static inline size_t np_carved(int64_t bytes) { return (size_t)((bytes + 63) / 64 * 64); }
void np_turn(const np_batch *b, int rows, int cols, const void *from, void *to); /* row-major (rows, cols) to column-major, or the other way with them exchanged */
void np_symmetric_of(const np_batch *b, int64_t n, int upper, const void *x, void *y); /* one triangle of x (n, n) in both of y */
neap_tensor *np_symmetric(neap_context *c, neap_tensor *x); /* the lower one, in recorded ops */
void np_identity(const np_batch *b, int64_t n, void *y);
int np_is_finite(const np_batch *b, const void *x, int64_t n);
double np_element(const np_batch *b, const void *x, int64_t i);
void np_set_element(const np_batch *b, void *x, int64_t i, double v);
int np_work_size(const np_batch *b, const void *work); /* what a query left in work */

#endif
