/* The ground: the context and what it owns, memory, errors, threads, random state, the few things asked of the system.
 *
 * A heap is the memory of a context and of every storage made in it: host allocator, counters, cap and pool. It is
 * counted by itself, because a storage may outlive its context and be released on any thread. Everything else in a
 * context is touched by one thread at a time. Nothing here knows tensors: what upper layers hang into the context is
 * named by its struct only. */
#ifndef NP_BASE_H
#define NP_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stddef.h>
#include "neap.h"

#define NP_LIKELY(x) __builtin_expect(!!(x), 1)
#define NP_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NP_PRINTF(a, b) __attribute__((format(printf, a, b)))
#define NP_ARRAY(a) ((int)(sizeof(a) / sizeof *(a)))

/* ---- memory (memory.c) ---- */
typedef struct np_heap np_heap;
np_heap *np_heap_new(const neap_config *config);       /* one reference; NULL: no memory */
void np_heap_release(np_heap *h);                      /* the last one trims and frees it */
void *np_heap_alloc(np_heap *h, size_t size);          /* 64-byte aligned, not cleared; NULL: none left. size > 0 */
void np_heap_free(np_heap *h, void *block, size_t size); /* any thread; the size it was asked with; NULL is fine */
void np_heap_trim(np_heap *h);
neap_memory_info np_heap_info(const np_heap *h);
void np_heap_reset_peak(np_heap *h);
void np_heap_set_cap(np_heap *h, size_t cap);

/* ---- threads (threads.c) ---- */
typedef struct np_pool np_pool;
np_pool *np_pool_new(np_heap *h, int extra, int spin_us, void (*thread_start)(void)); /* NULL: no memory or no threads */
void np_pool_free(np_pool *p, np_heap *h);             /* joins */
int np_pool_threads(const np_pool *p);                 /* how many there are (perhaps fewer than asked); NULL is fine */
void np_pool_run(np_pool *p, int64_t n, neap_task task, void *arg); /* n independent tasks; the caller works too */

/* ---- context (context.c) ---- */
struct np_signature; /* ops */
struct neap_tensor;
struct np_record;

struct neap_generator {
  neap_context *ctx;
  uint64_t seed, offset; /* offset: the next unused counter */
  int refs;
};

/* What was handed out since it opened: a list through the tensors, and for those that already hang in another scope's
 * list, claims (see scope.c). Also the frame of every composite op and of every backward function, so that these never
 * release an intermediate by hand. */
typedef struct np_claim {
  struct neap_tensor *t;   /* NULL: free */
  struct np_claim *next;   /* on the same tensor */
  int count;               /* references */
} np_claim;
enum { NP_CLAIMS = 8 };

struct neap_scope {
  neap_context *ctx;
  neap_scope *parent;
  struct neap_tensor *first;
  int heap_made; /* made by neap_scope_open, not on a C stack */
  int n_claims;  /* entries of claim that were ever used */
  np_claim claim[NP_CLAIMS];
};

struct neap_context {
  np_heap *heap;
  np_pool *pool;                  /* NULL: no own threads */
  neap_config config;             /* as given, defaults filled in */
  neap_blas blas;                 /* sgemm NULL: internal */
  const struct np_kernels *kernels;
  int isa;                        /* NP_ISA_* */
  int threads;                    /* how many work at most, the caller included */
  neap_status error;
  char message[1024];
  atomic_int cancel;
  int grad_mode;                  /* 1: ops record */
  uint8_t warned_of_cycle;        /* by autograd: once is enough */
  int in_task;                    /* a task of np_parallel is running: nested calls run inline (thread of the caller) */
  uint64_t sequence;              /* number of the next record: creation order is a topological order */
  neap_site site;                 /* of the call at work; all zero: none */
  neap_scope *scope;              /* the innermost, or NULL */
  neap_generator generator;       /* the context's own; generator.refs and handles count references given out */
  int trees;                      /* how often a container got other layers: who remembers a tree's layers asks */
  int handles;                    /* tensors, modules, ... alive: the context goes with the last one */
  int refs;                       /* owners: neap_open, neap_retain_context */
  const struct np_signature **signatures; /* one an op, parsed at first use (ops/signature.c); size below */
  int n_signatures;
  void (*free_signatures)(neap_context *c); /* set by who filled them */
  struct np_plan *plans;          /* of Fourier transforms, the latest used first (ops/fourier.c) */
  void (*free_plans)(neap_context *c);
  struct np_formulas *formulas;   /* the latest ones, parsed (ops/program.c) */
  void (*free_formulas)(neap_context *c);
};

int np_cpu_isa(void);                                   /* the best level that this machine runs, numbered as kernels.h's NP_ISA_*: 0 baseline, 1 avx2, 2 avx512 (cpu.c) */
int np_isa_named(const char *name);                     /* -1: no such */
const char *np_isa_name(int isa);

neap_context *np_context_new(const neap_config *config); /* all but kernels: api/ adds those */
void np_context_drop(neap_context *c);                  /* one handle less: frees when neither handle nor owner is left */
/* context.c also holds these of neap.h: neap_close (one owner less; the last one ends the threads), neap_retain_context,
 * neap_error ... neap_cancel, neap_threads, neap_blas_name, neap_memory ... neap_trim; generator.c: neap_seed and
 * neap_generator_*. neap_open and neap_isa are in api/. */

/* Sets the pending error unless there is one; always returns s (so `return np_fail(...)`), also usable for NULL. */
int np_fail(neap_context *c, neap_status s, const char *format, ...) NP_PRINTF(3, 4);
static inline int np_failed(const neap_context *c) { return NP_UNLIKELY(c->error != NEAP_OK); }
void np_warn(neap_context *c, const char *format, ...) NP_PRINTF(2, 3);
static inline int np_cancelled(const neap_context *c) {
  return NP_UNLIKELY(atomic_load_explicit(&((neap_context *)(uintptr_t)c)->cancel, memory_order_relaxed) != 0);
}

void *np_alloc(neap_context *c, size_t size);           /* heap, and a pending error on NULL; size 0 is 1 */
void *np_alloc_zero(neap_context *c, size_t size);
void np_free(neap_context *c, void *block, size_t size);

/* n independent tasks, any order, any thread; nested calls and small n run inline. work_ns: a rough guess of all the
 * work; under about 10 us it stays on the caller. What a task computes may depend on sizes, never on the thread. */
void np_parallel(neap_context *c, int64_t n, double work_ns, neap_task task, void *arg);
#ifdef NP_TORTURE
#define NP_GRAIN 1
#else
#define NP_GRAIN 16384 /* elements of one block of elementwise work */
#endif

/* ---- sizes, checked for overflow (sizes.c) ---- */
int np_mul_size(size_t a, size_t b, size_t *out);       /* 0: fits */
int np_count_elements(int ndim, const int64_t *shape, int64_t *count); /* 0: fits in int64 and in memory; negative sizes do not */

/* ---- bounded text (text.c): cuts, never overflows; always ends in 0 ---- */
typedef struct np_text { char *at; size_t room; size_t used; } np_text;
void np_text_init(np_text *t, char *buffer, size_t room);
void np_text_add(np_text *t, const char *format, ...) NP_PRINTF(2, 3);
void np_text_shape(np_text *t, int ndim, const int64_t *shape); /* "(3, 4)" */

/* ---- the system (os.c) ---- */
int64_t np_clock_us(void);                              /* monotonic */
typedef struct np_mapping { const uint8_t *data; size_t size; void *impl; } np_mapping;
int np_map_file(neap_context *c, const char *path, np_mapping *m);   /* read-only; the file may then be unlinked */
void np_unmap_file(np_mapping *m);
void np_hint_huge(void *block, size_t size);            /* large blocks on huge pages, where there are such */
typedef struct np_writer np_writer;                     /* a file written beside its place, then renamed into it */
np_writer *np_writer_open(neap_context *c, const char *path);
int np_writer_write(np_writer *w, const void *data, size_t size);
int np_writer_commit(np_writer *w);                     /* flush, sync, rename, sync the folder; frees w either way */
void np_writer_abandon(np_writer *w);                   /* leaves the old file as it was */

#endif
