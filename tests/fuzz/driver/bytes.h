/* What the fuzz targets share: bytes as a file that has a path, and a context whose memory is capped. A reader that
 * breaks a promise ends the target: no result without bytes behind it, no error without a message, nothing left live. */
#ifndef BYTES_H
#define BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "neap.h"

static inline void must(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", what);
  abort();
}

/* A file with these bytes; ends it with drop_file. */
static inline void make_file(char path[64], const uint8_t *data, size_t size) {
  strcpy(path, "/tmp/neap-fuzz-XXXXXX");
  int fd = mkstemp(path);
  must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a temporary file can be written");
  close(fd);
}

static inline void drop_file(const char *path) { unlink(path); }

static inline neap_context *small_context(void) {
  neap_context *c = neap_open(&(neap_config){.memory_cap = (size_t)256 << 20});
  must(c != NULL, "a context opens");
  return c;
}

static inline void end_context(neap_context *c) {
  neap_status s = neap_error(c);
  must((s == NEAP_OK) == (neap_error_message(c)[0] == 0), "an error has a message");
  neap_close(c);
}

/* Reads every byte that a tensor claims to have. */
static inline void read_all(neap_tensor *t) {
  const uint8_t *p = neap_read(t);
  int64_t bytes = neap_count(t) * neap_dtype_about(neap_dtype_of(t))->block_bytes;
  volatile uint8_t sum = 0;
  for (int64_t i = 0; i < bytes; i++) sum = (uint8_t)(sum + p[i]);
}

/* A reader of one tensor from a file, given these bytes. */
static inline int read_bytes(const uint8_t *data, size_t size, neap_tensor *(*reader)(neap_context *c, const char *path)) {
  char path[64];
  make_file(path, data, size);
  neap_context *c = small_context();
  neap_tensor *t = reader(c, path);
  must((t != NULL) == (neap_error(c) == NEAP_OK), "a tensor or an error");
  if (t) read_all(t);
  neap_release(t);
  end_context(c);
  drop_file(path);
  return 0;
}

#endif
