/* The context: made, shared, dropped; its pending error; what neap.h asks of it about memory, modes and names.
 *
 * A context has owners (neap_open, neap_retain_context) and handles (tensors, modules, generators, open scopes). The last
 * owner ends its threads; the context itself goes when there is neither owner nor handle, and its heap when the last
 * storage has gone. A mistake in the configuration opens a context with an error pending, so only a lack of memory
 * gives NULL. */
#include <stdio.h>
#include <string.h>
#include "base.h"

static void blas_of(neap_context *c, const neap_blas *blas) {
  if (!blas) return;
  if (!blas->sgemm || !blas->dgemm) np_fail(c, NEAP_ERR_ARGUMENT, "open: config.blas needs both sgemm and dgemm");
  else c->blas = *blas;
}

static void lapack_of(neap_context *c, const neap_lapack *lapack) {
  for (int i = 0; lapack && i < 2; i++) {
    const neap_lapack_routines *r = i ? &lapack->f64 : &lapack->f32;
    if (r->getrf && r->potrf && r->geqrf && r->orgqr && r->gesdd && r->syevd && r->geev && r->trsm) continue;
    np_fail(c, NEAP_ERR_ARGUMENT, "open: config.lapack needs all routines, for both float and double");
    c->config.lapack = NULL;
  }
}

static void isa_of(neap_context *c, const char *name) {
  int best = np_cpu_isa(), asked = name ? np_isa_named(name) : best;
  c->isa = asked >= 0 && asked <= best ? asked : best;
  if (asked < 0) np_fail(c, NEAP_ERR_ARGUMENT, "open: config.isa is \"%s\"; there are baseline, avx2 and avx512", name);
  else if (asked > best)
    np_fail(c, NEAP_ERR_UNSUPPORTED, "open: config.isa is \"%s\"; this machine runs %s at most", name, np_isa_name(best));
}

static void threads_of(neap_context *c) {
  const neap_config *config = &c->config;
  if (config->threads < 0 || config->threads > 4096) {
    np_fail(c, NEAP_ERR_ARGUMENT, "open: config.threads is %d; 0 to 4096 are allowed", config->threads);
    return;
  }
  if (config->parallel_for) c->threads = 1 + config->threads;
  else {
    c->pool = np_pool_new(c->heap, config->threads, config->spin_us, c->blas.thread_start);
    c->threads = 1 + np_pool_threads(c->pool);
    if (c->threads <= config->threads)
      np_warn(c, "%d threads were asked for beside the caller's, %d could be started", config->threads, c->threads - 1);
  }
  if (c->blas.thread_start) c->blas.thread_start();
}

neap_context *np_context_new(const neap_config *config) {
  neap_config given = {0};
  if (config) given = *config;
  int half = !given.alloc != !given.dealloc;
  if (half) given.alloc = NULL, given.dealloc = NULL;
  np_heap *heap = np_heap_new(&given);
  if (!heap) return NULL;
  neap_context *c = np_heap_alloc(heap, sizeof *c);
  if (c) {
    memset(c, 0, sizeof *c);
    c->heap = heap;
    c->config = given;
    c->refs = 1;
    c->grad_mode = 1;
    c->threads = 1;
    c->generator = (neap_generator){.ctx = c, .seed = given.seed};
    atomic_init(&c->cancel, 0);
    if (half) np_fail(c, NEAP_ERR_ARGUMENT, "open: config.alloc and config.dealloc go together");
    blas_of(c, given.blas);
    lapack_of(c, given.lapack);
    isa_of(c, given.isa);
    threads_of(c);
  }
  if (c) return c;
  np_heap_release(heap);
  return NULL;
}

static void drop_if_last(neap_context *c) {
  if (c->refs + c->handles > 0) return;
  np_heap *heap = c->heap;
  np_pool_free(c->pool, heap);
  if (c->free_signatures) c->free_signatures(c);
  if (c->free_plans) c->free_plans(c);
  if (c->free_formulas) c->free_formulas(c);
  np_heap_free(heap, c, sizeof *c);
  np_heap_release(heap);
}

void np_context_drop(neap_context *c) {
  c->handles--;
  drop_if_last(c);
}

void neap_close(neap_context *c) {
  if (!c) return;
  if (--c->refs == 0) { /* what handles are left work on their caller's thread */
    np_pool_free(c->pool, c->heap);
    c->pool = NULL;
    c->config.parallel_for = NULL;
    c->threads = 1;
  }
  drop_if_last(c);
}

neap_context *neap_retain_context(neap_context *c) {
  c->refs++;
  return c;
}

/* ---- errors ---- */

int np_fail(neap_context *c, neap_status s, const char *format, ...) {
  if (c->error != NEAP_OK) return s;
  va_list args;
  va_start(args, format);
  vsnprintf(c->message, sizeof c->message, format, args);
  va_end(args);
  c->error = s;
  return s;
}

void np_warn(neap_context *c, const char *format, ...) {
  if (!c->config.log) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  c->config.log(c->config.user, 1, text);
}

neap_status neap_error(const neap_context *c) { return c->error; }
const char *neap_error_message(const neap_context *c) { return c->error == NEAP_OK ? "" : c->message; }
void neap_clear(neap_context *c) { c->error = NEAP_OK; }

const char *neap_status_name(neap_status s) {
  static const char *const names[] = {"ok",     "argument", "shape",     "dtype",    "index",      "memory",
                                      "state",  "io",       "format",    "cancelled", "unsupported"};
  return s <= 0 && -s < NP_ARRAY(names) ? names[-s] : "unknown";
}

/* ---- memory ---- */

static const char *human(char *buffer, size_t room, size_t bytes) {
  if (bytes < 10000) snprintf(buffer, room, "%zu bytes", bytes);
  else if (bytes < (size_t)10 << 20) snprintf(buffer, room, "%.1f KiB", (double)bytes / 1024);
  else if (bytes < (size_t)10 << 30) snprintf(buffer, room, "%.1f MiB", (double)bytes / (1 << 20));
  else snprintf(buffer, room, "%.1f GiB", (double)bytes / (1 << 30));
  return buffer;
}

void *np_alloc(neap_context *c, size_t size) {
  void *p = np_heap_alloc(c->heap, size ? size : 1);
  if (NP_LIKELY(p != NULL)) return p;
  char asked[32], live[32], cap[32];
  neap_memory_info info = np_heap_info(c->heap);
  human(asked, sizeof asked, size);
  human(live, sizeof live, info.live);
  if (info.cap && (size > info.cap || info.live > info.cap - size))
    np_fail(c, NEAP_ERR_MEMORY, "out of memory: %s more would pass the cap of %s (%s are in use)", asked,
            human(cap, sizeof cap, info.cap), live);
  else np_fail(c, NEAP_ERR_MEMORY, "out of memory: the system refused %s (%s are in use)", asked, live);
  return NULL;
}

void *np_alloc_zero(neap_context *c, size_t size) {
  void *p = np_alloc(c, size);
  return p ? memset(p, 0, size ? size : 1) : NULL;
}

void np_free(neap_context *c, void *block, size_t size) { np_heap_free(c->heap, block, size ? size : 1); }

neap_memory_info neap_memory(const neap_context *c) { return np_heap_info(c->heap); }
void neap_memory_reset_peak(neap_context *c) { np_heap_reset_peak(c->heap); }
void neap_memory_set_cap(neap_context *c, size_t bytes) { np_heap_set_cap(c->heap, bytes); }
void neap_trim(neap_context *c) { np_heap_trim(c->heap); }

/* ---- modes and names ---- */

void neap_cancel(neap_context *c, int on) { atomic_store_explicit(&c->cancel, on, memory_order_relaxed); }
int neap_threads(const neap_context *c) { return c->threads; }
const char *neap_blas_name(const neap_context *c) {
  return c->blas.sgemm ? c->blas.name ? c->blas.name : "host" : "internal";
}
