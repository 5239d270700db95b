/* Fuzz target: any bytes as a safetensors file. */
#include "driver/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  make_file(path, data, size);
  neap_context *c = small_context();
  neap_archive *a = neap_archive_open(c, path);
  must((a != NULL) == (neap_error(c) == NEAP_OK), "an archive or an error");
  for (int i = 0; a && i < neap_archive_count(a); i++) {
    must(neap_archive_name(a, i) != NULL, "a tensor has a name");
    neap_tensor *t = neap_archive_tensor(a, i);
    if (t) read_all(t);
    neap_release(t);
    neap_clear(c);
  }
  for (int i = 0; a && i < neap_archive_meta_count(a); i++) {
    const char *value;
    must(neap_archive_meta(a, i, &value) && value, "metadata are pairs");
  }
  neap_archive_close(a);
  end_context(c);
  drop_file(path);
  return 0;
}
