/* What the readers and writers share: mapped files as storages, an allocator for the libraries that read formats, and
 * the two errors that a file can give. Every reader takes hostile bytes: counts and offsets are checked before use, what
 * a header promises is measured against the file's size before memory is asked for, and nothing leaks on the way out. */
#ifndef NP_IO_H
#define NP_IO_H

#include "tensor.h"

/* A mapped file as read-only bytes: the mapping goes with the last storage that shows a part of it. */
np_storage *np_map_storage(neap_context *c, const char *path);

/* A handle of count elements that begin at byte `at` of a mapped storage; l is row-major. Where the bytes do not lie as
 * the dtype needs, they are copied. The range must have been checked. */
neap_tensor *np_map_tensor(neap_context *c, np_storage *file, size_t at, const np_layout *l);

/* malloc and free over the context's heap, for libraries that free without a size. No pending error on NULL. */
void *np_lib_alloc(neap_context *c, size_t size);
void np_lib_free(neap_context *c, void *block);

/* NEAP_ERR_FORMAT: "cannot read "PATH": REASON". Returns the status. */
int np_bad_file(neap_context *c, const char *path, const char *format, ...) NP_PRINTF(3, 4);

#endif
