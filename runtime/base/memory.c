/* The heap: host allocator, counters, cap and a caching pool.
 *
 * Blocks come in classes: steps of 64 bytes up to 1024, then eight a doubling, so at most an eighth is unused. A freed
 * block goes on its class's list, last in first out, and a request takes from there before it asks the system: once a
 * training step has run, the next one asks for nothing. What is held (live plus cached) stays below twice the recent
 * peak of live bytes, or that peak plus 64 MiB; beyond it, the blocks of the classes that went longest without a
 * request go back. A peak is recent for one to two stretches of 65536 requests.
 * Every live block counts as a reference to its heap, under the lock that the block needs anyway. Without the pool
 * (no_pool, AddressSanitizer) each request reaches the allocator with its exact size, and that size is what counts. */
#include <stdlib.h>
#include <string.h>
#include "base.h"
#include "spin.h"

#if defined(__SANITIZE_ADDRESS__)
#define NP_NO_POOL 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NP_NO_POOL 1
#endif
#endif
#ifndef NP_NO_POOL
#define NP_NO_POOL 0
#endif

enum { CLASSES = 8 + 8 * 37, EVICT_MOST = 8 };
static const size_t BLOCK_MOST = (size_t)1 << 46, HUGE_FROM = (size_t)1 << 21, SLACK = (size_t)64 << 20;

typedef struct block { /* a free one: the link lies in the block itself */
  struct block *next;
} block;

typedef struct cache {
  block *first;
  uint64_t used; /* when a request last came for this class */
} cache;

struct np_heap {
  np_spin lock; /* guards everything below it; never held across a call of the allocator */
  int pooled;
  size_t refs;  /* owners and live blocks */
  neap_memory_info info;
  size_t high, high_before; /* peak of live bytes in this stretch of requests and in the one before; high <= info.peak */
  size_t most;              /* how much may be held, by these peaks */
  uint64_t clock;           /* requests so far */
  void *user;
  void *(*alloc)(void *user, size_t size, size_t align);
  void (*dealloc)(void *user, void *block, size_t size);
  cache class[CLASSES];
};

static void *system_alloc(void *user, size_t size, size_t align) {
  void *p = NULL;
  (void)user;
  if (size >= HUGE_FROM) align = HUGE_FROM;
  if (posix_memalign(&p, align, size) != 0) return NULL;
  if (size >= HUGE_FROM) np_hint_huge(p, size);
  return p;
}

static void system_dealloc(void *user, void *p, size_t size) {
  (void)user, (void)size;
  free(p);
}

/* The class of a size and the bytes of its blocks. */
static inline int class_of(size_t size, size_t *bytes) {
  size_t last = size - 1;
  if (size <= 512) {
    *bytes = (last | 63) + 1;
    return (int)(last >> 6);
  }
  int e = 63 - __builtin_clzll(last), shift = e - 3;
  *bytes = ((last >> shift) + 1) << shift;
  return 8 + (e - 9) * 8 + (int)((last >> shift) & 7);
}

static size_t class_bytes(int k) {
  if (k < 8) return (size_t)(k + 1) * 64;
  return (size_t)((k & 7) + 9) << (k / 8 + 5);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

np_heap *np_heap_new(const neap_config *config) {
  void *(*alloc)(void *, size_t, size_t) = config->alloc ? config->alloc : system_alloc;
  np_heap *h = alloc(config->user, sizeof *h, 64);
  if (!h) return NULL;
  memset(h, 0, sizeof *h);
  h->pooled = !config->no_pool && !NP_NO_POOL;
  h->refs = 1;
  h->info.cap = config->memory_cap;
  h->user = config->user;
  h->alloc = alloc;
  h->dealloc = config->alloc ? config->dealloc : system_dealloc;
  return h;
}

static void heap_end(np_heap *h) {
  np_heap_trim(h);
  h->dealloc(h->user, h, sizeof *h);
}

void np_heap_release(np_heap *h) {
  if (!h) return;
  np_spin_lock(&h->lock);
  size_t left = --h->refs;
  np_spin_unlock(&h->lock);
  if (left == 0) heap_end(h);
}

/* ---- giving back: blocks leave their lists under the lock and reach the allocator after it ---- */

typedef struct leaving {
  int n;
  block *at[EVICT_MOST];
  size_t size[EVICT_MOST];
} leaving;

static void leave(np_heap *h, int k, leaving *out) {
  block *b = h->class[k].first;
  size_t size = class_bytes(k);
  h->class[k].first = b->next;
  h->info.cached -= size;
  out->at[out->n] = b;
  out->size[out->n++] = size;
}

static void give_back(np_heap *h, const leaving *out) {
  for (int i = 0; i < out->n; i++) h->dealloc(h->user, out->at[i], out->size[i]);
}

/* Takes the stalest blocks off until what is held fits in most, or the hand is full. */
static void evict(np_heap *h, size_t most, leaving *out) {
  while (out->n < EVICT_MOST && h->info.cached && h->info.live + h->info.cached > most) {
    int stalest = -1;
    for (int k = 0; k < CLASSES; k++)
      if (h->class[k].first && (stalest < 0 || h->class[k].used < h->class[stalest].used)) stalest = k;
    do leave(h, stalest, out);
    while (out->n < EVICT_MOST && h->class[stalest].first && h->info.live + h->info.cached > most);
  }
}

/* One handful back to the allocator; called and left under the lock. 0: there was none. */
__attribute__((noinline)) static int evict_some(np_heap *h, size_t most) {
  leaving out;
  out.n = 0;
  evict(h, most, &out);
  if (out.n) {
    np_spin_unlock(&h->lock);
    give_back(h, &out);
    np_spin_lock(&h->lock);
  }
  return out.n;
}

/* Evicts until at most most bytes are held or nothing is cached. */
static void shrink(np_heap *h, size_t most) {
  np_spin_lock(&h->lock);
  while (evict_some(h, most)) {}
  np_spin_unlock(&h->lock);
}

void np_heap_trim(np_heap *h) { shrink(h, 0); }

/* ---- requests ---- */

static void new_high(np_heap *h) {
  h->high = h->info.live;
  h->info.peak = larger(h->info.peak, h->high);
  size_t recent = larger(h->high, h->high_before);
  h->most = recent + larger(recent, SLACK);
}

static void new_stretch(np_heap *h) {
  h->high_before = h->high;
  new_high(h);
}

static inline void count_in(np_heap *h, size_t bytes) {
  h->refs++;
  h->info.live += bytes;
  if (NP_UNLIKELY(h->info.live > h->high)) new_high(h);
}

/* The slow path: asks the allocator, at the cap and when it refuses after a trim. The bytes are counted before they are
 * there, so that no other thread can pass the cap in between. */
static void *ask(np_heap *h, size_t bytes) {
  for (int attempt = 0; attempt < 2; attempt++) {
    np_spin_lock(&h->lock);
    size_t cap = h->info.cap, held = h->info.live + h->info.cached;
    int fits = !cap || (bytes <= cap && held <= cap - bytes);
    if (fits) {
      h->info.requests++;
      h->info.live += bytes;
      h->refs++;
    }
    np_spin_unlock(&h->lock);
    if (fits) {
      void *p = h->alloc(h->user, bytes, 64);
      np_spin_lock(&h->lock);
      h->info.live -= bytes;
      h->refs--;
      if (p) count_in(h, bytes);
      np_spin_unlock(&h->lock);
      if (p) return p;
    }
    if (attempt == 0) shrink(h, fits ? 0 : bytes <= cap ? cap - bytes : 0);
  }
  return NULL;
}

void *np_heap_alloc(np_heap *h, size_t size) {
  void *p = NULL;
  size_t bytes = size;
  if (NP_UNLIKELY(size == 0 || size > BLOCK_MOST)) return NULL;
  if (h->pooled) {
    int k = class_of(size, &bytes);
    np_spin_lock(&h->lock);
    cache *c = &h->class[k];
    c->used = ++h->clock;
    if (NP_UNLIKELY((h->clock & 0xFFFF) == 0)) new_stretch(h);
    if (c->first) {
      p = c->first;
      c->first = c->first->next;
      h->info.cached -= bytes;
      count_in(h, bytes);
    }
    np_spin_unlock(&h->lock);
  }
  if (!p) p = ask(h, bytes);
#ifdef NP_TORTURE
  if (p) memset(p, 0xFF, bytes);
#endif
  return p;
}

void np_heap_free(np_heap *h, void *p, size_t size) {
  if (!p) return;
  size_t bytes = size;
  int k = h->pooled ? class_of(size, &bytes) : -1;
#ifdef NP_TORTURE
  memset(p, 0xFF, bytes);
#endif
  if (k < 0) h->dealloc(h->user, p, bytes); /* before the count goes down: the last block ends the heap */
  np_spin_lock(&h->lock);
  h->info.live -= bytes;
  if (k >= 0) {
    block *b = p;
    b->next = h->class[k].first;
    h->class[k].first = b;
    h->info.cached += bytes;
    if (NP_UNLIKELY(h->info.live + h->info.cached > h->most)) evict_some(h, h->most);
  }
  size_t left = --h->refs; /* after the eviction: what has a live block does not end */
  np_spin_unlock(&h->lock);
  if (NP_UNLIKELY(left == 0)) heap_end(h);
}

/* ---- what is asked of it ---- */

neap_memory_info np_heap_info(const np_heap *heap) {
  np_heap *h = (np_heap *)(uintptr_t)heap;
  np_spin_lock(&h->lock);
  neap_memory_info info = h->info;
  np_spin_unlock(&h->lock);
  return info;
}

void np_heap_reset_peak(np_heap *h) {
  np_spin_lock(&h->lock);
  h->info.peak = h->info.live;
  h->high_before = larger(h->high_before, h->high);
  new_high(h);
  np_spin_unlock(&h->lock);
}

void np_heap_set_cap(np_heap *h, size_t cap) {
  np_spin_lock(&h->lock);
  h->info.cap = cap;
  np_spin_unlock(&h->lock);
  if (cap) shrink(h, cap);
}
