/* Fuzz target: any bytes as a PNG file. */
#include "driver/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  make_file(path, data, size);
  neap_context *c = small_context();
  neap_tensor *t = neap_read_png(c, path);
  must((t != NULL) == (neap_error(c) == NEAP_OK), "a tensor or an error");
  if (t) read_all(t);
  neap_release(t);
  end_context(c);
  drop_file(path);
  return 0;
}
