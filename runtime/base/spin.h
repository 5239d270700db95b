/* A lock for a handful of instructions, and the pause between two looks at a variable that another thread will change.
 * Real in builds without threads too: a host's own threads may release storages of one heap. The lock
 * yields after a while, so that a holder who lost its core gets it back. Nobody calls out while holding it. */
#ifndef NP_SPIN_H
#define NP_SPIN_H

#include <sched.h>
#include <stdatomic.h>

static inline void np_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

typedef struct np_spin { atomic_int taken; } np_spin;

static inline void np_spin_lock(np_spin *s) {
  for (int looks = 0; __builtin_expect(atomic_exchange_explicit(&s->taken, 1, memory_order_acquire) != 0, 0);) {
    while (atomic_load_explicit(&s->taken, memory_order_relaxed))
      if (++looks % 64 == 0) sched_yield();
      else np_pause();
  }
}

static inline void np_spin_unlock(np_spin *s) {
  atomic_store_explicit(&s->taken, 0, memory_order_release);
}

#endif
