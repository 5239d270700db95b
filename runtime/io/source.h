/* A file's bytes in order, plain or gzip: what readers of formats that come compressed stand on (source.c). */
#ifndef NP_SOURCE_H
#define NP_SOURCE_H

#include "io.h"
#if NP_WITH_ZLIB
#include <zlib.h>
#endif

typedef struct np_source {
  neap_context *ctx;
  const char *path;
  np_mapping map;
  const uint8_t *at;
  size_t left;          /* bytes of the file that are not read yet */
  int zipped, complete; /* gzip: its end was read, and its checksum held */
#if NP_WITH_ZLIB
  z_stream z;
#endif
} np_source;

int np_source_open(np_source *s, neap_context *c, const char *path); /* a status; close only what was opened */
void np_source_close(np_source *s);
int np_source_read(np_source *s, void *out, size_t n);               /* n bytes, or an error */
int np_source_end(np_source *s);                                     /* an error unless all was read */
int np_source_size(np_source *s, size_t *size);                      /* before any read: how many bytes there are; inflates once */
int np_source_short(np_source *s);                                   /* the error of a file that ends too early */

#endif
