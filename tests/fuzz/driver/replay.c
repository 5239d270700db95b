/* The main of a fuzz target that is built without libFuzzer: runs every file of the folder that it is given (its seeds)
 * through the target once, so that seeds are regression tests. A target fails by crashing or by a sanitizer's report. */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes of a file in a block of exactly that size, so that a sanitizer sees a read past the end. NULL: no file. */
static uint8_t *read_whole(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  uint8_t *data = NULL;
  long length;
  if (!file) return NULL;
  if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && length < 1 << 28) {
    rewind(file);
    data = malloc(length ? (size_t)length : 1);
    if (data) *size = fread(data, 1, (size_t)length, file);
  }
  fclose(file);
  return data;
}

int main(int argc, char **argv) {
  DIR *folder = argc > 1 ? opendir(argv[1]) : NULL;
  struct dirent *entry;
  if (!folder) {
    printf("skip %s: no folder of seeds\n", argv[0]);
    return 0;
  }
  while ((entry = readdir(folder))) {
    char path[4096];
    size_t size = 0;
    uint8_t *data;
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
    printf("# %s\n", path);
    fflush(stdout);
    data = read_whole(path, &size);
    if (!data) continue;
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    printf("ok %s\n", path);
  }
  closedir(folder);
  return 0;
}
