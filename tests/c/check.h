/* What a test program in C needs: check(condition, ...) counts and prints `ok NAME` or `not ok NAME reason`, and the
 * program ends with `return check_done();`. NAME is what test_case gave last, with a number when it has several checks
 * that hold. A temporary folder, and an allocator that counts, fails on demand and keeps red zones, come with it. */
#ifndef CHECK_H
#define CHECK_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "neap.h"

static const char *check_name = "start";
static int check_failures, check_bad; /* in all; in this case */

static inline void case_end(void) {
  if (!check_bad && strcmp(check_name, "start") != 0) printf("ok %s\n", check_name);
  fflush(stdout);
}

/* Opens a test case: the one before it ends, with one line of its own. */
static inline void test_case(const char *name) {
  case_end();
  check_name = name;
  check_bad = 0;
}

__attribute__((format(printf, 3, 4))) static inline int check_at(int line, int holds, const char *format, ...) {
  if (holds) return 1;
  va_list args;
  va_start(args, format);
  printf("not ok %s line %d: ", check_name, line);
  vprintf(format, args);
  printf("\n");
  va_end(args);
  check_failures++;
  check_bad++;
  return 0;
}
#define check(condition) check_at(__LINE__, !!(condition), "%s", #condition)
#define check_text(c, text) /* the pending error's message contains text */ \
  check_at(__LINE__, strstr(neap_error_message(c), text) != NULL, "\"%s\" is not in \"%s\"", text, neap_error_message(c))
/* Both are evaluated more than once. */
#define check_int(a, b) \
  check_at(__LINE__, (long long)(a) == (long long)(b), "%s is %lld, not %lld", #a, (long long)(a), (long long)(b))

static inline int check_done(void) {
  case_end();
  return check_failures ? 1 : 0;
}

/* ---- an allocator of the host's: counts, and fails when told to ---- */

typedef struct host_memory {
  long live, calls;  /* blocks; requests so far */
  long fail_at;      /* this request and no other fails; 0: none */
  int fail_all;      /* every request fails */
} host_memory;

static inline void *host_alloc(void *user, size_t size, size_t align) {
  host_memory *m = user;
  void *p = NULL;
  long call = __atomic_add_fetch(&m->calls, 1, __ATOMIC_RELAXED);
  if (m->fail_all || call == m->fail_at || posix_memalign(&p, align, size) != 0) return NULL;
  __atomic_add_fetch(&m->live, 1, __ATOMIC_RELAXED);
  return p;
}

static inline void host_dealloc(void *user, void *block, size_t size) {
  host_memory *m = user;
  (void)size;
  __atomic_sub_fetch(&m->live, 1, __ATOMIC_RELAXED);
  free(block);
}

static inline neap_config host_config(host_memory *m) {
  neap_config config = {.user = m, .alloc = host_alloc, .dealloc = host_dealloc};
  return config;
}

#endif
