/* Tensors: a dtype table, storages, and strided views of them.
 *
 * A storage is bytes with an owner: it keeps its heap alive, may be released on any thread, and counts the writes to it
 * (version), so that backward can tell when something it saved has changed. A layout says how a tensor lies in its
 * storage. A tensor is a handle: storage, layout, and what autograd knows of it. Handles belong to one context and are
 * counted without atomics; every handle that a function returns hangs in the innermost open scope. */
#ifndef NP_TENSOR_H
#define NP_TENSOR_H

#include "base.h"

/* ---- dtypes (dtype.c) ---- */
typedef struct np_dtype {
  neap_dtype_info info;
  int ctype;              /* NP_CF32 0, NP_CF64 1, NP_CI64 2: what its elements are computed in */
  int rank;               /* within its category, for promotion */
  int category;           /* 0 bool, 1 integer, 2 float */
  double largest;         /* finite number */
} np_dtype;
extern const np_dtype np_dtypes[NEAP_DTYPES];
static inline int64_t np_size_of(int dtype) { return np_dtypes[dtype].info.block_bytes; } /* of element types */
static inline int np_is_float(int dtype) { return np_dtypes[dtype].category == 2; }
static inline int np_is_int(int dtype) { return np_dtypes[dtype].category == 1; } /* not of a bool */
static inline int np_ctype(int dtype) { return np_dtypes[dtype].ctype; }

/* ---- storages (storage.c) ---- */
typedef struct np_storage {
  char *data;             /* 64-byte aligned when ours */
  size_t bytes;
  np_heap *heap;
  atomic_int refs;
  uint8_t read_only;
  uint8_t borrowed;       /* data is not ours: release it by the callback */
  uint8_t apart;          /* data is a block of its own, of bytes */
  uint32_t version;       /* writes so far (by the one thread that owns the context at work) */
  int32_t write_line;     /* where the last write came from, for the error text; file NULL: not known */
  const char *write_file, *write_op;
  void (*release)(void *user, void *data);
  void *user;
  size_t block;           /* bytes of the block that holds this struct (and data, unless borrowed or apart) */
} np_storage;
np_storage *np_storage_new(neap_context *c, size_t bytes);       /* not cleared */
np_storage *np_storage_wrap(neap_context *c, void *data, size_t bytes, int read_only,
                            void (*release)(void *, void *), void *user); /* on failure release is not called */
np_storage *np_storage_retain(np_storage *s);
void np_storage_release(np_storage *s);

/* ---- tensors (tensor.c) ---- */
typedef struct np_layout {
  uint8_t dtype, ndim;
  int64_t offset;                 /* in elements */
  int64_t count;
  int64_t shape[NEAP_MAX_DIMS];
  int64_t stride[NEAP_MAX_DIMS];  /* in elements; 0 for an expanded dimension */
} np_layout;

enum {
  NP_REQUIRES_GRAD = 1, /* a leaf that gathers, or the output of a record */
  NP_CONTIGUOUS = 2,    /* row-major without gaps: kept true by whoever sets the layout */
  NP_WEAK = 4,          /* a constant inside a formula: takes part in promotion as a number does */
  NP_HAS_GRAD = 8,      /* grad holds a gradient; without it grad is only a home to write one to */
  NP_HOOKED = 16,       /* a leaf with hooks of the host's */
  NP_PARAMETER = 32,    /* of a module */
  NP_HOME = 64          /* the home of a gradient that an optimizer keeps a reference of its own to */
};

struct neap_tensor {
  neap_context *ctx;
  np_storage *storage;
  np_layout at;
  int32_t refs;
  int32_t handed;                 /* references that the scope it hangs in would drop */
  uint16_t flags;
  int16_t output;                 /* which output of record */
  uint32_t base_version;          /* of storage, when record was last known to describe a view's values */
  struct np_record *record;       /* how it was made (one reference), or NULL: a leaf */
  neap_tensor *grad;              /* see NP_HAS_GRAD */
  neap_tensor *base;              /* what it is a view of (one reference), or NULL */
  neap_tensor *next, **link;      /* in a scope's list; link NULL: in none */
  neap_scope *scope;              /* whose list it is, when link is set */
  np_claim *claims;               /* references that other scopes would drop */
  int64_t hook;                   /* of a leaf: the host's number for it */
  void *host;                     /* the binding's */
};

extern void np_record_release(struct np_record *r); /* ops/record.c: tensors drop their record through this */

int np_layout_set(np_layout *l, int dtype, int ndim, const int64_t *shape); /* row-major; nonzero: too big or too many dims */
int np_layout_is_contiguous(const np_layout *l);
np_layout np_layout_cut(const np_layout *l, int d, int64_t from, int64_t n, int64_t step); /* n places of dimension d, step apart */
np_layout np_layout_select(const np_layout *l, int d, int64_t i); /* place i of dimension d, without that dimension */
int64_t np_layout_span(const np_layout *l);            /* elements from the first to one past the last that it touches */
int np_layout_overlaps(const np_layout *l);            /* whether two elements may lie at one place */

neap_tensor *np_tensor_new(neap_context *c, int dtype, int ndim, const int64_t *shape); /* fresh storage */
neap_tensor *np_tensor_of(neap_context *c, const np_layout *l);  /* the same; l is as np_layout_set made it */
neap_tensor *np_tensor_like(neap_tensor *x, int dtype);          /* same shape, contiguous, fresh */
neap_tensor *np_tensor_on(neap_context *c, np_storage *s, const np_layout *l); /* a handle; retains s, no history */
neap_tensor *np_tensor_view(neap_tensor *x, const np_layout *l); /* on x's storage; base is x's base or x */
neap_tensor *np_tensor_scalar(neap_context *c, int dtype, double value); /* 0-dimensional */
neap_tensor *np_tensor_constant(neap_context *c, double value);  /* 0-dimensional float64, NP_WEAK */
/* References that the runtime itself holds (a record its leaf, a module its parameters, a tensor its gradient): no scope
 * counts or drops them. What is held is let go with np_drop; neap_retain and neap_release are for what was handed out. */
neap_tensor *np_hold(neap_tensor *t);                            /* returns t; NULL is fine */
void np_drop(neap_tensor *t);                                    /* NULL is fine */
void np_clear_grad(neap_tensor *t);                              /* it has no gradient now, but perhaps a home for the next */
void np_tensor_hand(neap_tensor *t);                             /* counts the caller's reference in the open scope */
void np_tensor_rehome(neap_tensor *t, np_storage *s, int64_t offset); /* same shape, row-major, on s: values not copied */

static inline char *np_data(const neap_tensor *t) { return t->storage->data + t->at.offset * np_size_of(t->at.dtype); }
static inline int np_contiguous(const neap_tensor *t) { return (t->flags & NP_CONTIGUOUS) != 0; }
static inline int np_needs_grad(const neap_tensor *t) { return (t->flags & NP_REQUIRES_GRAD) != 0; }
/* Single elements, converted: for scalars and odds and ends, bulk work has kernels. */
double np_get_number(int dtype, const void *p);
int64_t np_get_int(int dtype, const void *p);
void np_put_number(int dtype, void *p, double v);
void np_put_int(int dtype, void *p, int64_t v);
int np_same_shape(const neap_tensor *a, const neap_tensor *b);
int np_layout_has_shape(const np_layout *l, int ndim, const int64_t *shape);
void np_shape_text(char *buffer, size_t size, const neap_tensor *t); /* "(3, 4)" */
enum { NP_SHAPES_TEXT = 400 }; /* room for two shapes and some words */
void np_shapes_text(char buffer[NP_SHAPES_TEXT], const np_layout *a, const char *between, const np_layout *b); /* "(3, 4) and (5)" */

/* One more write: bumps the version and notes where it came from. Fails on read-only memory. */
int np_tensor_written(neap_tensor *t, const char *op);

/* Scopes on the C stack: np_scope_enter/leave bracket every composite and every backward function. leave moves what is
 * in keep (n entries, NULL entries fine) to the parent scope and releases the rest. */
void np_scope_enter(neap_context *c, neap_scope *s);
void np_scope_leave(neap_scope *s, int n, neap_tensor *const *keep);
void np_scope_forget(neap_tensor *t);                   /* no scope counts it any more: at its end */
int np_shape_fail(neap_context *c, const char *what, int ndim, const int64_t *shape); /* why np_layout_set refused */

/* ---- iteration (iter.c) ---- */

/* Up to NP_ITER_MAX operands walked together: shapes broadcast to one, dimensions merged where all strides allow it. What is
 * left is a grid of rows: row r (0 <= r < rows) starts at np_iter_row(...), is n elements long and has stride[i] (in
 * elements) for operand i. Rows and blocks depend on sizes alone. */
enum { NP_ITER_MAX = 10 };
typedef struct np_iter {
  int n_operands, ndim;                 /* of the grid over rows, the inner dimension not counted */
  int64_t rows, n;
  int64_t stride[NP_ITER_MAX];          /* inner strides */
  int64_t shape[NEAP_MAX_DIMS];         /* outermost first */
  int64_t step[NP_ITER_MAX][NEAP_MAX_DIMS];
} np_iter;
void np_iter_init(np_iter *it, int n_operands, const np_layout *const *operands, int ndim, const int64_t *shape);
void np_iter_row(const np_iter *it, int64_t row, int64_t *offsets); /* in elements, from each operand's first */

/* NumPy's broadcasting. 0 and the shape, or an error naming op, both shapes and the dimension. */
int np_broadcast(neap_context *c, const char *op, const np_layout *a, const np_layout *b, int *ndim, int64_t *shape);

#endif
