/* All that is asked of the system besides memory and threads: a clock, mapped files, and files that appear whole.
 *
 * A writer fills a temporary file in the folder of its target and renames it over the target after a sync, so that a
 * kill at any moment leaves the old file or the new one. It follows a symbolic link and keeps an existing file's mode.
 * A mapping is private and read-only; a file that somebody cuts short while it is mapped is not guarded against. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base.h"

int64_t np_clock_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void np_hint_huge(void *block, size_t size) {
#ifdef MADV_HUGEPAGE
  madvise(block, size, MADV_HUGEPAGE); /* a hint: refusal changes nothing */
#else
  (void)block, (void)size;
#endif
}

static int io_error(neap_context *c, const char *what, const char *path, int number) {
  char reason[128] = "unknown error";
  if (strerror_r(number, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", number);
  return np_fail(c, NEAP_ERR_IO, "cannot %s \"%s\": %s", what, path, reason);
}

/* ---- mapped files ---- */

int np_map_file(neap_context *c, const char *path, np_mapping *m) {
  static const uint8_t nothing[1] = {0};
  struct stat about;
  *m = (np_mapping){.data = nothing};
  if (np_failed(c)) return c->error;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return io_error(c, "open", path, errno);
  int status = NEAP_OK;
  if (fstat(fd, &about) != 0) status = io_error(c, "read", path, errno);
  else if (S_ISDIR(about.st_mode)) status = io_error(c, "read", path, EISDIR);
  else if (!S_ISREG(about.st_mode)) status = np_fail(c, NEAP_ERR_IO, "cannot read \"%s\": not a regular file", path);
  else if (about.st_size > 0) {
    void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) status = io_error(c, "map", path, errno);
    else *m = (np_mapping){.data = data, .size = (size_t)about.st_size, .impl = data};
  }
  close(fd);
  return status;
}

void np_unmap_file(np_mapping *m) {
  if (m->impl) munmap(m->impl, m->size);
  *m = (np_mapping){0};
}

/* ---- files that appear whole ---- */

struct np_writer {
  neap_context *ctx;
  int fd;
  size_t used; /* of buffer: small writes are gathered */
  char path[PATH_MAX], temporary[PATH_MAX + 32];
  char buffer[1 << 15];
};

static void free_writer(np_writer *w) {
  if (w->fd >= 0) close(w->fd);
  np_free(w->ctx, w, sizeof *w);
}

/* Names differ between processes, threads and times, and O_EXCL settles the rest. */
static int open_temporary(np_writer *w) {
  for (int attempt = 0; attempt < 100; attempt++) {
    unsigned long stamp = (unsigned long)np_clock_us() ^ (unsigned long)((uintptr_t)w >> 6) << 20;
    snprintf(w->temporary, sizeof w->temporary, "%s.%lx-%lx", w->path, (unsigned long)getpid(), stamp & 0xFFFFFFFFFFul);
    w->fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd >= 0 || errno != EEXIST) break;
  }
  return w->fd;
}

np_writer *np_writer_open(neap_context *c, const char *path) {
  struct stat old;
  if (np_failed(c)) return NULL;
  np_writer *w = np_alloc(c, sizeof *w);
  if (!w) return NULL;
  w->ctx = c;
  w->fd = -1;
  w->used = 0;
  if (!realpath(path, w->path)) { /* new: the name as given */
    size_t length = strlen(path);
    if (length >= sizeof w->path) {
      io_error(c, "write", path, ENAMETOOLONG);
      free_writer(w);
      return NULL;
    }
    memcpy(w->path, path, length + 1);
  }
  int exists = stat(w->path, &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) io_error(c, "write", path, EISDIR);
  else if (exists && !S_ISREG(old.st_mode)) /* a rename would put a file in the place of a device */
    np_fail(c, NEAP_ERR_IO, "cannot write \"%s\": not a regular file", path);
  else if (open_temporary(w) < 0) io_error(c, "write", path, errno);
  else {
    if (exists && fchmod(w->fd, old.st_mode & 07777) != 0) errno = 0; /* best effort: the new file's mode stands */
    return w;
  }
  free_writer(w);
  return NULL;
}

static int put(np_writer *w, const char *data, size_t size) {
  while (size) {
    ssize_t n = write(w->fd, data, size < (size_t)1 << 30 ? size : (size_t)1 << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(w->ctx, "write", w->path, errno);
    data += n;
    size -= (size_t)n;
  }
  return NEAP_OK;
}

static int flush(np_writer *w) {
  size_t used = w->used;
  w->used = 0;
  return put(w, w->buffer, used);
}

int np_writer_write(np_writer *w, const void *data, size_t size) {
  if (np_failed(w->ctx)) return w->ctx->error;
  if (size > sizeof w->buffer - w->used) {
    int status = flush(w);
    if (status != NEAP_OK) return status;
    if (size >= sizeof w->buffer) return put(w, data, size);
  }
  memcpy(w->buffer + w->used, data, size);
  w->used += size;
  return NEAP_OK;
}

/* A rename is on the disk only when its folder is. Some systems cannot sync a folder: that is no error. */
static void sync_folder(const char *path) {
  char folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) + 1 : 1;
  memcpy(folder, slash ? path : ".", length);
  folder[length] = 0;
  int fd = open(folder, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

int np_writer_commit(np_writer *w) {
  neap_context *c = w->ctx;
  int status = np_failed(c) ? c->error : flush(w);
  if (status == NEAP_OK && fsync(w->fd) != 0) status = io_error(c, "write", w->path, errno);
  if (status == NEAP_OK) {
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0) status = io_error(c, "write", w->path, errno);
  }
  if (status == NEAP_OK && rename(w->temporary, w->path) != 0) status = io_error(c, "write", w->path, errno);
  if (status == NEAP_OK) sync_folder(w->path);
  else unlink(w->temporary);
  free_writer(w);
  return status;
}

void np_writer_abandon(np_writer *w) {
  if (!w) return;
  unlink(w->temporary);
  free_writer(w);
}
