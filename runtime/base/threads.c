/* The thread pool: workers that sleep when idle, one job at a time, tasks claimed by a counter.
 *
 * A job is open between two steps of gate: odd while it runs. A worker that sees an odd gate enters (inside++), looks
 * again, and only then reads the job; the caller shuts the gate and waits until nobody is inside before it returns. So
 * when the caller goes on, every task is done and nobody reads the job that it overwrites next. Both sides change one
 * variable and then read the other (sequentially consistent), so one of the two always notices. Idle workers spin for
 * spin_us and then sleep on a condition; the caller waits the same way for the last task. */
#include <string.h>
#include "base.h"
#include "spin.h"

#if NP_WITH_THREADS
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct np_pool {
  _Alignas(64) atomic_uint gate;
  atomic_int stop;
  int64_t n; /* the job: written while the gate is shut and nobody is inside */
  neap_task task;
  void *arg;
  _Alignas(64) atomic_llong next;
  _Alignas(64) atomic_int inside;
  atomic_int sleepers, caller_waits;
  _Alignas(64) pthread_mutex_t lock;
  pthread_cond_t work, left;
  int spin_us, threads, room;
  pid_t process; /* that has the workers */
  void (*thread_start)(void);
  pthread_t thread[];
};

static size_t pool_bytes(int room) { return sizeof(np_pool) + (size_t)room * sizeof(pthread_t); }

/* After a fork the child has none of the workers: a lock that one of them held stays so, and nobody inside will leave. */
static int is_child(const np_pool *p) { return p->process != getpid(); }

static void run_tasks(np_pool *p) {
  int64_t n = p->n, i;
  neap_task task = p->task;
  void *arg = p->arg;
  while ((i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < n) task(arg, i);
}

/* Spins until the gate is no longer as seen; 0 when the time is up first. */
static int spin_for_work(np_pool *p, unsigned seen) {
  if (p->spin_us <= 0) return 0;
  int64_t until = np_clock_us() + p->spin_us;
  do {
    for (int i = 0; i < 64; i++) {
      if (atomic_load_explicit(&p->gate, memory_order_relaxed) != seen || atomic_load(&p->stop)) return 1;
      np_pause();
    }
  } while (np_clock_us() < until);
  return 0;
}

static void sleep_for_work(np_pool *p, unsigned seen) {
  pthread_mutex_lock(&p->lock);
  atomic_fetch_add(&p->sleepers, 1);
  while (atomic_load(&p->gate) == seen && !atomic_load(&p->stop)) pthread_cond_wait(&p->work, &p->lock);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->lock);
}

static void leave(np_pool *p) {
  if (atomic_fetch_sub(&p->inside, 1) == 1 && atomic_load(&p->caller_waits)) {
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->left);
    pthread_mutex_unlock(&p->lock);
  }
}

static void *work(void *arg) {
  np_pool *p = arg;
  unsigned seen = 0; /* the gate as last dealt with; even: shut */
  if (p->thread_start) p->thread_start();
  while (!atomic_load(&p->stop)) {
    if (atomic_load(&p->gate) == seen && !spin_for_work(p, seen)) sleep_for_work(p, seen);
    atomic_fetch_add(&p->inside, 1);
    unsigned now = atomic_load(&p->gate);
    if (now & 1) run_tasks(p);
    leave(p);
    seen = now;
  }
  return NULL;
}

np_pool *np_pool_new(np_heap *h, int extra, int spin_us, void (*thread_start)(void)) {
  if (extra <= 0) return NULL;
  np_pool *p = np_heap_alloc(h, pool_bytes(extra));
  if (!p) return NULL;
  memset(p, 0, pool_bytes(extra));
  p->spin_us = spin_us;
  p->room = extra;
  p->process = getpid();
  p->thread_start = thread_start;
  if (pthread_mutex_init(&p->lock, NULL)) goto no_lock;
  if (pthread_cond_init(&p->work, NULL)) goto no_work;
  if (pthread_cond_init(&p->left, NULL)) goto no_left;
  sigset_t all, before; /* signals belong to the host's threads */
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  while (p->threads < extra && pthread_create(&p->thread[p->threads], NULL, work, p) == 0) p->threads++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (p->threads) return p;
  pthread_cond_destroy(&p->left);
no_left:
  pthread_cond_destroy(&p->work);
no_work:
  pthread_mutex_destroy(&p->lock);
no_lock:
  np_heap_free(h, p, pool_bytes(extra));
  return NULL;
}

int np_pool_threads(const np_pool *p) { return p ? p->threads : 0; }

void np_pool_free(np_pool *p, np_heap *h) {
  if (!p) return;
  if (!is_child(p)) {
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads; i++) pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->left);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
  }
  np_heap_free(h, p, pool_bytes(p->room));
}

static void wake(np_pool *p, int64_t tasks) {
  int sleepers = atomic_load(&p->sleepers);
  if (sleepers == 0 || is_child(p)) return;
  pthread_mutex_lock(&p->lock);
  if (tasks > sleepers) pthread_cond_broadcast(&p->work);
  else
    for (int64_t i = 1; i < tasks; i++) pthread_cond_signal(&p->work);
  pthread_mutex_unlock(&p->lock);
}

static void wait_until_left(np_pool *p) {
  int64_t until = 0;
  do {
    for (int i = 0; i < 500; i++) {
      if (atomic_load(&p->inside) == 0) return;
      np_pause();
    }
    if (!until) until = np_clock_us() + p->spin_us;
  } while (np_clock_us() < until);
  if (is_child(p)) {
    atomic_store(&p->inside, 0);
    return;
  }
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->caller_waits, 1);
  while (atomic_load(&p->inside)) pthread_cond_wait(&p->left, &p->lock);
  atomic_store(&p->caller_waits, 0);
  pthread_mutex_unlock(&p->lock);
}

void np_pool_run(np_pool *p, int64_t n, neap_task task, void *arg) {
  if (!p || n <= 1) {
    for (int64_t i = 0; i < n; i++) task(arg, i);
    return;
  }
  p->n = n;
  p->task = task;
  p->arg = arg;
  atomic_store_explicit(&p->next, 0, memory_order_relaxed);
  atomic_fetch_add(&p->gate, 1);
  wake(p, n);
  run_tasks(p);
  atomic_fetch_add(&p->gate, 1);
  wait_until_left(p);
}

#else

np_pool *np_pool_new(np_heap *h, int extra, int spin_us, void (*thread_start)(void)) {
  (void)h, (void)extra, (void)spin_us, (void)thread_start;
  return NULL;
}

int np_pool_threads(const np_pool *p) {
  (void)p;
  return 0;
}

void np_pool_free(np_pool *p, np_heap *h) { (void)p, (void)h; }

void np_pool_run(np_pool *p, int64_t n, neap_task task, void *arg) {
  (void)p;
  for (int64_t i = 0; i < n; i++) task(arg, i);
}

#endif

void np_parallel(neap_context *c, int64_t n, double work_ns, neap_task task, void *arg) {
#ifdef NP_TORTURE
  const double worth_it = 0;
#else
  const double worth_it = 10e3;
#endif
  if (n <= 1 || work_ns < worth_it || c->in_task || !(c->pool || c->config.parallel_for)) {
    for (int64_t i = 0; i < n; i++) task(arg, i);
    return;
  }
  c->in_task = 1; /* before the tasks start and after they end: workers only read it */
  if (c->config.parallel_for) c->config.parallel_for(c->config.user, n, task, arg);
  else np_pool_run(c->pool, n, task, arg);
  c->in_task = 0;
}
