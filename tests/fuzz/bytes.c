/* Fuzz target: any bytes as a file to read whole, plain or gzip. */
#include "driver/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return read_bytes(data, size, neap_read_bytes); }
