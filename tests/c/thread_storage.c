/* Threads and storages, for ThreadSanitizer as well: contexts at work side by side, storages that end on another thread
 * than their context's, and worker threads that come and go. No ops: those have thread_train. */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

enum { ROUNDS = 300 };

static void *alone(void *arg) {
  host_memory m = {0};
  neap_config config = host_config(&m);
  config.threads = 2;
  config.seed = (uint64_t)(uintptr_t)arg;
  neap_context *c = neap_open(&config);
  for (int i = 1; i < ROUNDS; i++) {
    int64_t n = i * 31 % 5000;
    neap_scope *s = neap_scope_open(c);
    neap_tensor *t = neap_new(c, NEAP_F32, 1, &n);
    if (n) ((float *)neap_data(t))[n - 1] = 1;
    neap_scope_close(s);
  }
  neap_close(c);
  return (void *)(intptr_t)m.live;
}

typedef struct shared {
  neap_tensor *t[ROUNDS];
  int64_t sum;
} shared;

/* Takes handles of its own of what the other thread made, reads, and lets go while the other one lets go as well. */
static void *borrower(void *arg) {
  shared *s = arg;
  neap_context *c = neap_open(NULL);
  neap_tensor *mine[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) mine[i] = neap_share(s->t[i], c);
  for (int i = 0; i < ROUNDS; i++) s->sum += ((const int32_t *)neap_read(mine[i]))[0];
  for (int i = 0; i < ROUNDS; i++) neap_release(mine[i]);
  neap_close(c);
  return NULL;
}

static void released(void *user, void *data) {
  (void)data;
  __atomic_add_fetch((int *)user, 1, __ATOMIC_RELAXED);
}

static void across(void) {
  test_case("threads: storages end on whichever thread drops them last");
  host_memory m = {0};
  int count = 0;
  static int32_t wrapped[ROUNDS];
  neap_config config = host_config(&m);
  neap_context *c = neap_open(&config);
  shared s = {.sum = 0};
  int64_t n = 100;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t big = i % 7 == 0 ? 10000 : n;
    s.t[i] = i % 3 ? neap_new(c, NEAP_I32, 1, &big) : neap_wrap(c, NEAP_I32, 0, NULL, &wrapped[i], 0, released, &count);
    *(int32_t *)neap_data(s.t[i]) = i;
  }
  pthread_t thread;
  if (pthread_create(&thread, NULL, borrower, &s) != 0) {
    printf("skip threads: no thread could be started\n");
    exit(0);
  }
  for (int i = 0; i < ROUNDS; i++) neap_release(neap_new(c, NEAP_I32, 1, &n)); /* the same heap, meanwhile */
  pthread_join(thread, NULL);
  check_int(s.sum, ROUNDS * (ROUNDS - 1) / 2);
  check_int(count, 0);

  neap_context *d = neap_open(NULL);
  neap_tensor *other[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    other[i] = neap_share(s.t[i], d);
    neap_release(s.t[i]);
  }
  neap_close(c); /* the storages keep the heap */
  check(m.live > 0);
  for (int i = 0; i < ROUNDS; i++) neap_release(other[i]);
  check_int(count, ROUNDS / 3);
  check_int(m.live, 0);
  neap_close(d);
}

static void side_by_side(void) {
  test_case("threads: contexts live side by side");
  pthread_t thread[3];
  int started = 0;
  while (started < 3 && pthread_create(&thread[started], NULL, alone, (void *)(intptr_t)started) == 0) started++;
  check(started > 0);
  for (int i = 0; i < started; i++) {
    void *live;
    pthread_join(thread[i], &live);
    check(live == NULL);
  }
}

static void come_and_go(void) {
  test_case("threads: own threads start and end with their context");
  for (int threads = 0; threads < 9; threads++)
    for (int spin = 0; spin <= 50; spin += 50) {
      neap_context *c = neap_open(&(neap_config){.threads = threads, .spin_us = spin});
      check(neap_threads(c) >= 1 && neap_threads(c) <= threads + 1);
      neap_close(c);
    }
  neap_context *c = neap_open(&(neap_config){.threads = -1});
  check(c && neap_error(c) == NEAP_ERR_ARGUMENT);
  neap_close(c);
}

static int warnings;
static void count_warning(void *user, int level, const char *text) {
  (void)user, (void)level;
  warnings += strstr(text, "500 threads were asked for beside the caller's") != NULL;
}

/* In a child of its own, for which the system has room for some threads' stacks, but not for all. */
static void too_many(void) {
  const char *mode = getenv("NEAP_TEST_MODE");
  if (mode && strcmp(mode, "sanitize") == 0) return; /* sanitizers need the address space */
  test_case("threads: that fewer could be started than were asked for is a warning");
  pid_t child = fork();
  if (child == 0) {
    struct rlimit room = {(rlim_t)1 << 28, (rlim_t)1 << 28};
    setrlimit(RLIMIT_AS, &room);
    neap_context *c = neap_open(&(neap_config){.threads = 500, .log = count_warning});
    int fine = c && neap_error(c) == NEAP_OK && neap_threads(c) < 500 && warnings == 1;
    if (c) neap_close(c);
    _exit(fine ? 0 : 1);
  }
  int status = -1;
  check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
  too_many();
  side_by_side();
  across();
  come_and_go();
  return check_done();
}
