/* neap.h: the C API of Neap, a deep-learning runtime. MIT licence.
 *
 * How it works. All state hangs from a context; any number of contexts live side by side, and one context is used by one
 * thread at a time. Whatever a function returns is one reference, yours to release, unless it says "borrowed"; arguments
 * are borrowed. A function that can fail returns NULL or a negative code (a neap_status). From the first failure an error
 * is pending in the context until neap_clear: meanwhile every function that makes or changes something returns at once, and
 * the NULL that a failed one returned may be passed to the next: so a chain is checked once, at its end.
 *
 *   neap_scope *s = neap_scope_open(c);
 *   neap_tensor *loss = neap_mse_loss(c, neap_forward(net, x), y, NEAP_REDUCTION_MEAN);
 *   if (neap_backward(loss) == NEAP_OK) neap_optimizer_step(o);
 *   neap_optimizer_zero_grad(o);
 *   neap_scope_close(s);                                  // releases what was handed out since it opened
 *   if (neap_error(c)) puts(neap_error_message(c));
 *
 * Indices and dimensions count from 0; a negative dimension counts from the end. Nothing here prints, exits or aborts. */
#ifndef NEAP_H
#define NEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifndef NEAP_API
#define NEAP_API __attribute__((visibility("default")))
#endif

#define NEAP_VERSION "0.1.0"
#define NEAP_MAX_DIMS 8

typedef struct neap_context neap_context;     /* everything: allocator, threads, random state, error, modes */
typedef struct neap_tensor neap_tensor;       /* a strided view of a storage, perhaps with a gradient */
typedef struct neap_generator neap_generator; /* a counter-based (Philox) random stream */
typedef struct neap_module neap_module;       /* a layer or a tree of layers */
typedef struct neap_optimizer neap_optimizer; /* an update rule over groups of parameters */
typedef struct neap_walk neap_walk;           /* a backward pass that can be stopped and resumed */
typedef struct neap_job neap_job;             /* a training step that can be stopped and resumed */
typedef struct neap_scope neap_scope;         /* what was handed out since neap_scope_open */

typedef enum neap_dtype {
  NEAP_F32, NEAP_F64, NEAP_I64, NEAP_I32, NEAP_I16, NEAP_I8, NEAP_U8, NEAP_U16, NEAP_BOOL, NEAP_BF16, NEAP_F16,
  NEAP_DTYPES
} neap_dtype;

typedef enum neap_status {
  NEAP_OK = 0,
  NEAP_ERR_ARGUMENT = -1,    /* a value outside of what is allowed */
  NEAP_ERR_SHAPE = -2,       /* shapes that do not fit each other or the op */
  NEAP_ERR_DTYPE = -3,       /* a dtype that does not fit */
  NEAP_ERR_INDEX = -4,       /* an index or a label out of range */
  NEAP_ERR_MEMORY = -5,      /* the allocator said no, or the cap is reached */
  NEAP_ERR_STATE = -6,       /* not now: backward twice, a saved tensor changed, a read-only tensor written */
  NEAP_ERR_IO = -7,          /* the system said no to a file */
  NEAP_ERR_FORMAT = -8,      /* a file's bytes are not what they should be */
  NEAP_ERR_CANCELLED = -9,   /* the cancel flag is set: what was being made is dropped */
  NEAP_ERR_UNSUPPORTED = -10 /* built without it, or no such combination */
} neap_status;

/* ---- context ------------------------------------------------------------------------------------------------- */

/* Products, row-major: c(m,n) = alpha op(a) op(b) + beta c. Handed over by the host; libneap links no BLAS. */
typedef struct neap_blas {
  const char *name;
  void (*sgemm)(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                float beta, float *c, int ldc);
  void (*dgemm)(int ta, int tb, int m, int n, int k, double alpha, const double *a, int lda, const double *b, int ldb,
                double beta, double *c, int ldc);
  void (*thread_start)(void); /* called on the thread that opens and on each of Neap's own before its first task, or NULL */
} neap_blas;

/* Decompositions of float or double matrices, column-major: LAPACK's routines of these names. Each returns its info; with
 * lwork -1 it only leaves the sizes it wants in work[0] and iwork[0]. */
typedef struct neap_lapack_routines {
  int (*getrf)(int m, int n, void *a, int lda, int *pivots);
  int (*potrf)(int n, void *a, int lda); /* the upper triangle */
  int (*geqrf)(int m, int n, void *a, int lda, void *tau, void *work, int lwork);
  int (*orgqr)(int m, int n, int k, void *a, int lda, const void *tau, void *work, int lwork);
  int (*gesdd)(char job, int m, int n, void *a, int lda, void *s, void *u, int ldu, void *vt, int ldvt, void *work, int lwork, int *iwork);
  int (*syevd)(char job, int n, void *a, int lda, void *w, void *work, int lwork, int *iwork, int liwork); /* both triangles are there */
  int (*geev)(char job, int n, void *a, int lda, void *re, void *im, void *v, int ldv, void *work, int lwork); /* right vectors */
  void (*trsm)(char side, char uplo, char diag, int m, int n, const void *a, int lda, void *b, int ldb); /* BLAS's, not transposed, alpha 1 */
} neap_lapack_routines;
typedef struct neap_lapack {
  neap_lapack_routines f32, f64;
} neap_lapack;

typedef void (*neap_task)(void *arg, int64_t index);

/* How a context is made; a zeroed struct is the default. The struct is copied, what it points to must live on (alloc and
 * dealloc as long as any tensor does). */
typedef struct neap_config {
  void *user;                                              /* first argument of the functions below */
  void *(*alloc)(void *user, size_t size, size_t align);   /* NULL: the system's; any thread may call it; may return NULL */
  void (*dealloc)(void *user, void *block, size_t size);   /* goes with alloc */
  size_t memory_cap;                                       /* bytes, live plus cached; 0: none */
  int threads;                                             /* extra threads of Neap's own; 0: the caller's alone */
  int spin_us;                                             /* how long an idle thread spins before it sleeps; 0 in a game */
  /* The host's threads instead, `threads` of them beside the caller's: runs task(arg, i) for each i below n, in any order, on
   * any thread, and returns when all are done. No task waits for another. */
  void (*parallel_for)(void *user, int64_t n, neap_task task, void *arg);
  void (*log)(void *user, int level, const char *text);    /* warnings (level 1) on the calling thread; NULL: dropped */
  const neap_blas *blas;                                   /* NULL: Neap's own products */
  const neap_lapack *lapack;                               /* NULL: Neap's own decompositions, slower */
  const char *isa;                                         /* "baseline" "avx2" "avx512"; NULL: the best there is */
  int no_pool;                                             /* every request reaches the allocator */
  uint64_t seed;                                           /* of the context's generator */
} neap_config;

/* NULL config: the default. Returns NULL without memory; a mistake in config is a pending error of the context. */
NEAP_API neap_context *neap_open(const neap_config *config);
NEAP_API void neap_close(neap_context *c);                   /* ends its threads; what you still hold keeps the rest. NULL is fine */
NEAP_API neap_context *neap_retain_context(neap_context *c); /* one more owner, who closes it too; returns c */
NEAP_API neap_status neap_error(const neap_context *c);      /* the pending error, or NEAP_OK */
NEAP_API const char *neap_error_message(const neap_context *c); /* "" when there is none; until the next error */
NEAP_API void neap_clear(neap_context *c);
NEAP_API const char *neap_status_name(neap_status s);        /* "shape" */
/* From any thread or a signal handler: while on, ops fail with NEAP_ERR_CANCELLED, a running one soon. What writes in place,
 * updates and loading run to their end, so that nothing is half written. */
NEAP_API void neap_cancel(neap_context *c, int on);
NEAP_API void neap_seed(neap_context *c, uint64_t seed);     /* of the context's own generator */
NEAP_API int neap_threads(const neap_context *c);            /* including the caller's */
NEAP_API const char *neap_isa(const neap_context *c);        /* the kernel set in use */
NEAP_API const char *neap_blas_name(const neap_context *c);  /* "internal" when there is none */

typedef struct neap_memory_info {
  size_t live, peak, cached; /* bytes: in use, most ever in use, kept for reuse */
  size_t cap;                /* 0: none */
  size_t requests;           /* how often the allocator was asked */
} neap_memory_info;
NEAP_API neap_memory_info neap_memory(const neap_context *c);
NEAP_API void neap_memory_reset_peak(neap_context *c);       /* to what is live now */
NEAP_API void neap_memory_set_cap(neap_context *c, size_t bytes); /* 0: none */
NEAP_API void neap_trim(neap_context *c);                    /* gives cached memory back */

NEAP_API neap_generator *neap_generator_new(neap_context *c, uint64_t seed);
NEAP_API neap_generator *neap_generator_default(neap_context *c);   /* a reference to the context's own */
NEAP_API void neap_generator_get(const neap_generator *g, uint64_t state[2]); /* seed and offset */
NEAP_API void neap_generator_set(neap_generator *g, const uint64_t state[2]);
NEAP_API neap_generator *neap_generator_fork(const neap_generator *g, uint64_t key); /* a stream of its own: of g's seed and the key alone */
NEAP_API void neap_generator_release(neap_generator *g);

/* ---- tensors ------------------------------------------------------------------------------------------------- */

typedef struct neap_dtype_info {
  const char *name;      /* "float32" */
  const char *letters;   /* "f32" */
  int block_bytes, block_elements; /* an element is a block of 1 but for quantised types */
  int is_float, is_signed;
} neap_dtype_info;
NEAP_API const neap_dtype_info *neap_dtype_about(neap_dtype d);
NEAP_API int neap_dtype_named(const char *name);             /* a neap_dtype, or -1 */
NEAP_API neap_dtype neap_promote(neap_dtype a, neap_dtype b); /* the dtype of a + b */

/* shape: ndim sizes, up to NEAP_MAX_DIMS; 0 dimensions (shape NULL): one element. Sizes may be 0. */
NEAP_API neap_tensor *neap_new(neap_context *c, neap_dtype d, int ndim, const int64_t *shape); /* not initialised */
NEAP_API neap_tensor *neap_copy_in(neap_context *c, neap_dtype d, int ndim, const int64_t *shape, const void *data); /* row-major */
/* Memory of the host's as a tensor, no copy, aligned as its dtype needs: release(user, data) (or NULL) is called once, on
 * whichever thread drops it last; when wrapping fails it is not called and the memory stays yours. */
NEAP_API neap_tensor *neap_wrap(neap_context *c, neap_dtype d, int ndim, const int64_t *shape, void *data,
                                int read_only, void (*release)(void *user, void *data), void *user);
/* A handle of the same memory in another context, without history. Contexts on several threads may read it at once; who
 * writes, when, is the host's to arrange. */
NEAP_API neap_tensor *neap_share(neap_tensor *t, neap_context *other);
NEAP_API neap_tensor *neap_retain(neap_tensor *t);           /* one more reference; returns t */
NEAP_API void neap_release(neap_tensor *t);                  /* NULL is fine */

NEAP_API neap_context *neap_context_of(const neap_tensor *t); /* borrowed */
NEAP_API neap_dtype neap_dtype_of(const neap_tensor *t);
NEAP_API int neap_ndim(const neap_tensor *t);
NEAP_API const int64_t *neap_shape(const neap_tensor *t);    /* ndim numbers; live as long as the handle */
NEAP_API const int64_t *neap_strides(const neap_tensor *t);  /* in elements */
NEAP_API int64_t neap_count(const neap_tensor *t);           /* elements */
NEAP_API int64_t neap_bytes(const neap_tensor *t);           /* of the storage that it keeps alive */
NEAP_API int neap_is_contiguous(const neap_tensor *t);
NEAP_API void *neap_data(neap_tensor *t);                    /* first element; counts as a write, NULL when read-only */
NEAP_API const void *neap_read(const neap_tensor *t);        /* first element, for reading */
NEAP_API double neap_item(neap_tensor *t);                   /* of a tensor with one element; else an error and 0 */
NEAP_API int64_t neap_item_int(neap_tensor *t);
NEAP_API int neap_copy_out(neap_tensor *t, neap_dtype d, void *out); /* all elements, row-major, converted */

/* Releases every tensor handed out in this context since it opened, except what is kept. What modules, optimizers and graphs
 * hold stays; a tensor that you have released yourself is not released again. Scopes nest. */
NEAP_API neap_scope *neap_scope_open(neap_context *c);
NEAP_API void neap_scope_keep(neap_scope *s, neap_tensor *t); /* it belongs to the scope around, or to you */
NEAP_API void neap_scope_close(neap_scope *s);               /* once; NULL is fine */

/* ---- gradients ----------------------------------------------------------------------------------------------- */

NEAP_API int neap_grad_mode(neap_context *c, int on);        /* records or not; returns what it was */
NEAP_API int neap_requires_grad(const neap_tensor *t);
NEAP_API int neap_set_requires_grad(neap_tensor *t, int on); /* of a leaf of floats */
NEAP_API int neap_is_leaf(const neap_tensor *t);             /* no op made it */
NEAP_API neap_tensor *neap_grad_of(neap_tensor *t);          /* NULL when it has none */
NEAP_API int neap_set_grad(neap_tensor *t, neap_tensor *g);  /* of t's shape and dtype; or NULL: it has none */
NEAP_API int neap_backward(neap_tensor *loss);               /* of one element; adds to the leaves' gradients */

enum { /* flags of a backward pass */
  NEAP_RETAIN_GRAPH = 1, /* keep what was saved, for one more pass */
  NEAP_CREATE_GRAPH = 2, /* record the pass, so that gradients can be differentiated; retains the graph too */
  NEAP_ALLOW_UNUSED = 4, /* an input that the outputs do not depend on gets NULL, not an error */
  NEAP_ANOMALY = 8       /* stop at the first NaN, naming the op */
};
/* The general form. outputs with gradients (an entry or the list may be NULL: ones, for one element). With inputs the
 * gradients go to grads[] (yours to release) and to no leaf; inputs and grads may be NULL when n_in is 0. */
NEAP_API int neap_grad(neap_context *c, int n_out, neap_tensor *const *outputs, neap_tensor *const *gradients,
                       int n_in, neap_tensor *const *inputs, neap_tensor **grads, int flags);
/* The same as a resumable walk. step does one record's part: 1 more, 0 done, negative an error (then it can only be ended),
 * NEAP_WALK_HOST when the binding must act (see neap_walk_host). end releases it at any time. */
enum { NEAP_WALK_HOST = 2 };
NEAP_API neap_walk *neap_walk_begin(neap_context *c, int n_out, neap_tensor *const *outputs,
                                    neap_tensor *const *gradients, int n_in, neap_tensor *const *inputs, int flags);
NEAP_API int neap_walk_step(neap_walk *w);
NEAP_API int neap_walk_grads(neap_walk *w, neap_tensor **grads); /* once done, for the inputs given */
NEAP_API void neap_walk_end(neap_walk *w);

/* Functions and hooks of the host's own language. neap_custom links outputs (fresh tensors without history) to inputs
 * by a record that carries id; when a walk meets it, step returns NEAP_WALK_HOST and the host answers. */
typedef struct neap_walk_request {
  int kind;                      /* 0: a custom function's backward; 1: a hook on one gradient */
  int64_t id;                    /* as given to neap_custom or neap_hook */
  int n_in, n_out;
  neap_tensor **out_grads;       /* n_out, borrowed; NULL where nothing flowed. kind 1: the one gradient */
  const uint8_t *needs;          /* n_in: which input gradients are wanted */
} neap_walk_request;
NEAP_API int neap_custom(neap_context *c, int64_t id, int n_in, neap_tensor *const *inputs, int n_out,
                         neap_tensor *const *outputs);
NEAP_API int neap_hook(neap_tensor *t, int64_t id);          /* runs when t's gradient is complete; id 0 removes it */
NEAP_API const neap_walk_request *neap_walk_host(neap_walk *w); /* borrowed, until the answer; NULL: nothing is asked */
/* Borrowed gradients for the n_in inputs (NULL entries: none); of kind 1 one for the tensor (NULL: as it is). */
NEAP_API int neap_walk_answer(neap_walk *w, neap_tensor *const *in_grads);

/* ---- the op table -------------------------------------------------------------------------------------------- */

typedef enum neap_kind { /* what an argument can be */
  NEAP_NONE, NEAP_TENSOR, NEAP_TENSORS, NEAP_NUMBER, NEAP_INT, NEAP_FLAG, NEAP_INTS, NEAP_DTYPE, NEAP_ENUM,
  NEAP_GENERATOR, NEAP_TEXT, NEAP_OPERAND, /* in a signature only: a tensor or a number */
  NEAP_INT_OR_INTS /* in a signature only: one integer or a list, which may mean different things */
} neap_kind;

typedef struct neap_value { /* one argument; kind NEAP_NONE stands for "not given" */
  int32_t kind;
  int32_t n; /* of a list; in the standard of an enum: how many choices there are */
  union {
    double d; /* NEAP_NUMBER */
    int64_t i; /* NEAP_INT, NEAP_FLAG (a bool), NEAP_DTYPE, NEAP_ENUM */
    neap_tensor *t;
    neap_tensor *const *ts;
    const int64_t *is;
    neap_generator *g;
    const char *s; /* NEAP_TEXT: ends in 0; borrowed for the call */
  };
} neap_value;

enum { /* marks of a parameter */
  NEAP_P_OPTIONAL = 1, /* may be left out: then the default, or absent */
  NEAP_P_AXIS = 2,     /* a dimension (NEAP_INT) or dimensions (NEAP_INTS): counted from the caller's base */
  NEAP_P_INDEX = 4,    /* a position: likewise */
  NEAP_P_DIMS = 8,     /* sizes, or tensors, that a caller may also write one after the other */
  NEAP_P_INDICES = 16  /* a tensor of positions or labels: its values count from the call's base */
};
typedef struct neap_param {
  const char *name;
  int kind, marks;
  neap_value standard;  /* what stands when it is not given */
  const char *choices;  /* of NEAP_ENUM: "none|mean|sum"; of NEAP_INTS: what may stand for the list, as NEAP_ENUM */
} neap_param;

enum { /* marks of an op */
  NEAP_OP_VIEW = 1, NEAP_OP_IN_PLACE = 2 /* has a form `name_` */, NEAP_OP_NO_GRAD = 4, NEAP_OP_VALUE_SIZED = 8,
  NEAP_OP_ONCE = 16 /* its gradient cannot be differentiated again */, NEAP_OP_CREATES = 32 /* no tensor goes in: a function, not a method */,
  NEAP_OP_HIDDEN = 64 /* not a function of its own in Lua */, NEAP_OP_INDEX_OUT = 128 /* puts out positions */,
  NEAP_OP_RANDOM = 256, NEAP_OP_LIST = 512 /* puts out one list of tensors: see neap_call_list */
};
typedef struct neap_op_info {
  const char *name, *signature, *doc, *example, *sample;
  int marks, n_params, n_outputs;
  const neap_param *params;
  const char *const *outputs; /* their names */
  const char *family;
} neap_op_info;

/* Where a call comes from; part of each record. */
typedef struct neap_site {
  int base;          /* 0 or 1: what positions in tensors count from */
  int line;
  const char *file;  /* must outlive the context: intern it */
  const char *path;  /* of the module at work, or NULL */
} neap_site;

NEAP_API int neap_op_count(void);
NEAP_API int neap_op_find(const char *name);                  /* an op's number, or -1 */
NEAP_API const neap_op_info *neap_op_about(neap_context *c, int op);
/* The one door: checks, runs, records. args in the signature's order, missing ones at the end allowed; out receives
 * the op's outputs (n_outputs entries, NULL when it fails). in_place writes to the first argument and hands out another
 * reference to it. Returns n_outputs or a negative code. site: NULL, or where the call comes from. */
NEAP_API int neap_call(neap_context *c, int op, int n_args, const neap_value *args, neap_tensor **out, int in_place,
                       const neap_site *site);
/* The door of ops that put out a list. Returns how many tensors it has; out NULL: that alone, and nothing is made. A
 * list longer than room is an error. Serves the other ops too, with their n_outputs. */
NEAP_API int neap_call_list(neap_context *c, int op, int n_args, const neap_value *args, neap_tensor **out, int room,
                            const neap_site *site);
NEAP_API void neap_set_site(neap_context *c, const neap_site *site); /* for calls without one of their own; NULL: none */

/* ---- typed functions of the op table: generated by scripts/dev/generate.lua ------------------------------------ */
#include "neap_ops.h"

/* ---- modules ------------------------------------------------------------------------------------------------- */

typedef struct neap_layer_info {
  const char *name, *signature, *doc, *example;
  int n_params;
  const neap_param *params;  /* the settings */
  int n_inputs, n_outputs;
  const neap_param *inputs;  /* what a forward takes */
  const char *const *outputs;
} neap_layer_info;
NEAP_API int neap_layer_count(void);
NEAP_API int neap_layer_find(const char *name);
NEAP_API const neap_layer_info *neap_layer_about(neap_context *c, int layer);
/* A layer of the table, its parameters initialised from the context's generator. Scopes do not release modules. */
NEAP_API neap_module *neap_module_new(neap_context *c, int layer, int n_args, const neap_value *args);
NEAP_API neap_module *neap_sequential(neap_context *c, int n, neap_module *const *children); /* retains them: release yours */
NEAP_API int neap_sequential_set(neap_module *s, int n, neap_module *const *children); /* holds these from now on, in all trees it stands in */
NEAP_API neap_module *neap_module_retain(neap_module *m);
NEAP_API void neap_module_release(neap_module *m);
NEAP_API neap_module *neap_module_clone(neap_module *m);      /* with tensors of its own; what is shared inside of m is shared inside of it */
NEAP_API neap_tensor *neap_forward(neap_module *m, neap_tensor *x);
NEAP_API neap_tensor *neap_forward_many(neap_module *m, int n, neap_tensor *const *x); /* e.g. Bilinear; NULL: not given; the first output */
/* The general form: args as neap_layer_info's inputs say, out as its outputs (NULL: not asked for). Returns n_outputs or a negative code. */
NEAP_API int neap_module_call(neap_module *m, int n_args, const neap_value *args, neap_tensor **out);
NEAP_API void neap_module_train(neap_module *m, int on);      /* the whole tree */
NEAP_API int neap_module_is_training(const neap_module *m);
NEAP_API int neap_module_layer(const neap_module *m);
NEAP_API const neap_layer_info *neap_module_about(const neap_module *m);
NEAP_API neap_value neap_module_setting(const neap_module *m, int i); /* as it was made with, or took it from its first input; borrowed */
/* A size was left out (nn.Linear without in_features), and there was no input yet to take it from: there are no parameters yet, and to
 * ask for them is an error. */
NEAP_API int neap_module_is_waiting(const neap_module *m);
NEAP_API const char *neap_module_text(neap_module *m, char *buffer, size_t size); /* "Linear(in_features=3, ...)"; returns buffer */
NEAP_API int neap_module_child_count(const neap_module *m);
NEAP_API neap_module *neap_module_child(const neap_module *m, int i); /* borrowed */
/* "self_attn" or, of a Sequential, ""; place: its number in a list of that name, -1 when it stands alone; may be NULL. */
NEAP_API const char *neap_module_child_name(const neap_module *m, int i, int *place);
NEAP_API int neap_module_param_count(const neap_module *m);   /* its own, not its children's; parameters, then buffers */
NEAP_API const char *neap_module_param_name(const neap_module *m, int i);
NEAP_API neap_tensor *neap_module_param(const neap_module *m, int i); /* borrowed */
NEAP_API int neap_module_param_is_buffer(const neap_module *m, int i);
NEAP_API int neap_module_set_param(neap_module *m, int i, neap_tensor *t); /* replaces the handle by one of its shape */
NEAP_API int neap_module_to(neap_module *m, neap_dtype d);    /* floating parameters, in place, the whole tree */
NEAP_API void neap_module_zero_grad(neap_module *m);
/* Visits parameters and buffers of the tree with dotted names ("0.weight"); stops at nonzero and returns it. Of a module that
 * waits: a negative code, and an error is pending. */
NEAP_API int neap_module_each(neap_module *m, int (*visit)(void *arg, const char *name, neap_tensor *t, int buffer), void *arg);
NEAP_API int neap_module_parameters(neap_module *m, neap_tensor **out, int room); /* fills out, borrowed; returns how many there are */

/* Initialisers: they write over a tensor of floats, record nothing, and draw from g, or with NULL from the context's own
 * generator. fan_in and fan_out are PyTorch's. nonlinearity: linear sigmoid tanh relu leaky_relu selu. */
enum { NEAP_FAN_IN, NEAP_FAN_OUT };
NEAP_API int neap_init_constant(neap_tensor *t, double value);
NEAP_API int neap_init_uniform(neap_tensor *t, double low, double high, neap_generator *g);
NEAP_API int neap_init_normal(neap_tensor *t, double mean, double std, neap_generator *g);
NEAP_API int neap_init_trunc_normal(neap_tensor *t, double mean, double std, double a, double b, neap_generator *g); /* cut to [a, b] */
NEAP_API int neap_init_xavier_uniform(neap_tensor *t, double gain, neap_generator *g);   /* Glorot and Bengio, 2010 */
NEAP_API int neap_init_xavier_normal(neap_tensor *t, double gain, neap_generator *g);
NEAP_API int neap_init_kaiming_uniform(neap_tensor *t, double a, int mode, const char *nonlinearity, neap_generator *g); /* He et al., 2015; a: slope of leaky_relu */
NEAP_API int neap_init_kaiming_normal(neap_tensor *t, double a, int mode, const char *nonlinearity, neap_generator *g);
NEAP_API int neap_init_orthogonal(neap_tensor *t, double gain, neap_generator *g);       /* Saxe et al., 2013; rows or columns orthonormal */
NEAP_API double neap_gain(neap_context *c, const char *nonlinearity, double param);      /* param: slope of leaky_relu */

/* ---- optimizers ---------------------------------------------------------------------------------------------- */

typedef struct neap_rule_info {
  const char *name, *signature, *doc;
  int n_params;
  const neap_param *params;  /* the settings: lr first */
  int n_slots;
  const char *const *slots;  /* names of the state: "exp_avg" */
  int n_scalars;
  const char *const *scalars; /* numbers that a parameter has besides: "mu_product" */
  int told;                  /* has no step, but is told losses: neap_optimizer_tell */
} neap_rule_info;
NEAP_API int neap_rule_count(void);
NEAP_API int neap_rule_find(const char *name);
NEAP_API const neap_rule_info *neap_rule_about(neap_context *c, int rule);
NEAP_API neap_optimizer *neap_optimizer_new(neap_context *c, int rule);
/* One more group of parameters (leaves of float32 or float64), which it retains. settings in the rule's order (NEAP_NONE: the
 * default). Parameters move into one flat buffer, and handles stay: neap_read and neap_data give another address after
 * it. What shares its memory with a view or another context stays where it is. */
NEAP_API int neap_optimizer_add(neap_optimizer *o, int n, neap_tensor *const *parameters, int n_settings, const neap_value *settings);
NEAP_API void neap_optimizer_release(neap_optimizer *o);
NEAP_API int neap_optimizer_step(neap_optimizer *o);          /* a parameter without a gradient stays as it is */
/* For LBFGS, whose step wants the loss at several points (other rules: a step). Compute loss and gradients, tell; 1: again, at the
 * weights as they now are; 0: the step is over. cancel gives up a step that is not over: weights as before its search. */
NEAP_API int neap_optimizer_tell(neap_optimizer *o, double loss);
NEAP_API void neap_optimizer_cancel(neap_optimizer *o);
NEAP_API void neap_optimizer_zero_grad(neap_optimizer *o);    /* no parameter has a gradient then */
NEAP_API int neap_optimizer_group_count(const neap_optimizer *o);
NEAP_API int neap_optimizer_group_size(const neap_optimizer *o, int group);
NEAP_API neap_tensor *neap_optimizer_parameter(const neap_optimizer *o, int group, int i); /* borrowed */
NEAP_API neap_value neap_optimizer_setting(const neap_optimizer *o, int group, int setting);
NEAP_API int neap_optimizer_set(neap_optimizer *o, int group, int setting, neap_value v);
NEAP_API int64_t neap_optimizer_steps(const neap_optimizer *o, int group, int i); /* updates a parameter has had */
NEAP_API int neap_optimizer_set_steps(neap_optimizer *o, int group, int i, int64_t steps);
/* A view of the state itself, to read or to restore (set the steps first); NULL: no step yet, or the settings do without it. */
NEAP_API neap_tensor *neap_optimizer_state(neap_optimizer *o, int group, int i, int slot);
NEAP_API int neap_optimizer_state_shape(const neap_optimizer *o, int group, int i, int slot, int64_t shape[NEAP_MAX_DIMS]); /* its dimensions; -1: none */
NEAP_API double neap_optimizer_scalar(const neap_optimizer *o, int group, int i, int scalar);
NEAP_API int neap_optimizer_set_scalar(neap_optimizer *o, int group, int i, int scalar, double v); /* set the steps first */
/* The state of LBFGS: vectors of all n parameters' elements, pairs (k, n) and ro (k) float64. get: 1, or 0 before the first step. */
typedef struct neap_lbfgs_state {
  int64_t n_iter, func_evals;
  double t, H_diag, prev_loss;
  neap_tensor *d, *prev_flat_grad, *old_dirs, *old_stps, *ro;
} neap_lbfgs_state;
NEAP_API int neap_lbfgs_get(neap_optimizer *o, neap_lbfgs_state *s); /* copies, yours to release */
NEAP_API int neap_lbfgs_set(neap_optimizer *o, const neap_lbfgs_state *s);
NEAP_API void neap_lbfgs_state_release(neap_lbfgs_state *s);
NEAP_API double neap_clip_grad_norm(neap_context *c, int n, neap_tensor *const *parameters, double max_norm, double p); /* returns the norm before; max_norm inf: no more than that */
NEAP_API int neap_clip_grad_value(neap_context *c, int n, neap_tensor *const *parameters, double limit);
NEAP_API neap_tensor *neap_penalty(neap_context *c, int n, neap_tensor *const *parameters, double l1, double l2); /* l1 sum |w| + l2 sum w^2, recorded */

/* ---- schedules ----------------------------------------------------------------------------------------------- */

typedef struct neap_schedule_info {
  const char *name, *signature, *doc;
  int n_params;
  const neap_param *params;
} neap_schedule_info;
NEAP_API int neap_schedule_count(void);
NEAP_API int neap_schedule_find(const char *name); /* "OneCycleLR" */
NEAP_API const neap_schedule_info *neap_schedule_about(neap_context *c, int schedule);
/* A learning rate that began as base, after so many steps (or parts of one); settings in the schedule's order (NEAP_NONE: the default). Hand it
 * to neap_optimizer_set(o, group, 0, ...). *momentum (or NULL): NaN where the schedule leaves it alone. */
NEAP_API int neap_schedule_at(neap_context *c, int schedule, double base, double step, int n_settings, const neap_value *settings, double *rate, double *momentum);
typedef struct neap_plateau { double best; int64_t bad, rest; int begun; } neap_plateau; /* all zero: nothing measured yet */
/* 1: the measure has been no better for too long, so reduce: neap_schedule_at(ReduceLROnPlateau, the present rate, 1, ...). */
NEAP_API int neap_plateau_step(neap_context *c, neap_plateau *p, double measure, int n_settings, const neap_value *settings);

/* ---- a training step in slices ------------------------------------------------------------------------------- */

/* forward of model on x, loss op against target, backward, update, zero the gradients: neap_step does as much as fits
 * and returns 1 (more), 0 (done) or an error, which ends the step; the bits are those of doing it in one go. */
NEAP_API neap_job *neap_job_new(neap_module *model, neap_optimizer *optimizer, int loss_op); /* retains both */
NEAP_API int neap_job_begin(neap_job *j, neap_tensor *x, neap_tensor *target); /* a new step; the last must be done */
NEAP_API int neap_step(neap_job *j, int64_t budget_us);       /* one piece at least: with 0 exactly one */
NEAP_API double neap_job_loss(const neap_job *j);             /* of the last step that is done */
NEAP_API void neap_job_release(neap_job *j);

/* ---- files --------------------------------------------------------------------------------------------------- */

/* A mapped file may be renamed, replaced or unlinked, but not cut short, while tensors show it. Paths are the system's. */

/* safetensors: names and tensors, written to a temporary file, synced and renamed: the old file or the new one is there
 * whole. metadata: n_meta pairs of key and value, or NULL. */
NEAP_API int neap_save(neap_context *c, const char *path, int n, const char *const *names, neap_tensor *const *tensors,
                       int n_meta, const char *const *metadata);
typedef struct neap_archive neap_archive; /* an open safetensors file, mapped: its tensors are read-only views of it */
NEAP_API neap_archive *neap_archive_open(neap_context *c, const char *path);
NEAP_API int neap_archive_count(const neap_archive *a);
NEAP_API const char *neap_archive_name(const neap_archive *a, int i);
NEAP_API neap_tensor *neap_archive_tensor(neap_archive *a, int i);  /* a new handle; the mapping lives as long as it */
NEAP_API int neap_archive_meta_count(const neap_archive *a);
NEAP_API const char *neap_archive_meta(const neap_archive *a, int i, const char **value);
NEAP_API void neap_archive_close(neap_archive *a);
NEAP_API int neap_save_module(neap_module *m, const char *path);
NEAP_API int neap_load_module(neap_module *m, const char *path);    /* by name; all or nothing */

NEAP_API neap_tensor *neap_map_file(neap_context *c, const char *path, neap_dtype d, int64_t offset, int ndim, const int64_t *shape); /* read-only */
NEAP_API neap_tensor *neap_read_bytes(neap_context *c, const char *path); /* a file, plain or gzip, as (N) uint8 */
NEAP_API neap_tensor *neap_read_idx(neap_context *c, const char *path); /* IDX, plain or gzip; its own dtype and shape */
NEAP_API int neap_write_png(const char *path, neap_tensor *image);  /* (H, W), (1|3, H, W); uint8, or float in [0, 1] */
NEAP_API neap_tensor *neap_read_png(neap_context *c, const char *path); /* (1|3, H, W) uint8 */

#ifdef __cplusplus
}
#endif
#endif
