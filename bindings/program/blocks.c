/* An allocator for the program's Lua state: small blocks from free lists by size, the rest from malloc. Lua says the size of
 * what it frees, so blocks carry nothing; a state is one thread's. Most of what Lua allocates is small and short-lived
 * (a tensor's userdata is one such block), and this saves a fifth of what such a loop spends in malloc. Memory in the
 * free lists goes back when the state has closed. */
#include <stdlib.h>
#include <string.h>
#include "program.h"

enum { UNIT = 16, LARGEST = 256, CLASSES = LARGEST / UNIT, SLAB = 32 << 10 };

#ifdef __SANITIZE_ADDRESS__
#define SMALL(size) 0 /* each block by itself, so that every misuse of one shows */
#else
#define SMALL(size) ((size) <= LARGEST)
#endif

typedef struct block { struct block *next; } block;
struct pg_blocks {
  block *free[CLASSES];
  block *slabs;
};

pg_blocks *pg_blocks_new(void) { return calloc(1, sizeof(pg_blocks)); }

void pg_blocks_free(pg_blocks *b) {
  for (block *s = b->slabs, *next; s; s = next) {
    next = s->next;
    free(s);
  }
  free(b);
}

static int class_of(size_t size) { return (int)((size - 1) / UNIT); }

static void *refill(pg_blocks *b, int class) {
  size_t size = (size_t)(class + 1) * UNIT;
  char *slab = malloc(SLAB);
  if (!slab) return NULL;
  ((block *)(void *)slab)->next = b->slabs;
  b->slabs = (block *)(void *)slab;
  for (size_t at = UNIT; at + size <= SLAB; at += size) {
    block *one = (block *)(void *)(slab + at);
    one->next = b->free[class];
    b->free[class] = one;
  }
  return b->free[class];
}

static void *take(pg_blocks *b, size_t size) {
  if (!SMALL(size)) return malloc(size);
  int class = class_of(size);
  block *one = b->free[class];
  if (NL_UNLIKELY(!one) && !(one = refill(b, class))) return NULL;
  b->free[class] = one->next;
  return one;
}

static void give(pg_blocks *b, void *p, size_t size) {
  if (!SMALL(size)) {
    free(p);
    return;
  }
  block *one = p;
  one->next = b->free[class_of(size)];
  b->free[class_of(size)] = one;
}

void *pg_blocks_alloc(void *user, void *p, size_t old, size_t size) {
  pg_blocks *b = user;
  if (!p) return size ? take(b, size) : NULL; /* old is then a type, not a size */
  if (size == 0) {
    if (old) give(b, p, old);
    return NULL;
  }
  if (SMALL(old) && SMALL(size) && class_of(old) == class_of(size)) return p;
  if (!SMALL(old) && !SMALL(size)) return realloc(p, size);
  void *fresh = take(b, size);
  if (!fresh) return NULL;
  memcpy(fresh, p, old < size ? old : size);
  give(b, p, old);
  return fresh;
}
