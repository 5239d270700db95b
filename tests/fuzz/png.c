/* Fuzz target: any bytes as a PNG file. libpng refuses a chunk whose checksum is wrong, so the mutator puts them right. */
#include "driver/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return read_bytes(data, size, neap_read_png); }

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room) __attribute__((weak)); /* libFuzzer's; not there in a replay */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed);

static uint32_t checksum(const uint8_t *p, size_t n) { /* CRC-32 as PNG has it */
  uint32_t c = ~0u;
  for (size_t i = 0; i < n; i++) {
    c ^= p[i];
    for (int k = 0; k < 8; k++) c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0);
  }
  return ~c;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, room);
  for (size_t at = 8; seed % 8 && size - at >= 12 && size > at;) {
    size_t n = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
    if (n > size - at - 12) break;
    uint32_t c = checksum(data + at + 4, n + 4);
    for (int k = 0; k < 4; k++) data[at + 8 + n + (size_t)k] = (uint8_t)(c >> (24 - 8 * k));
    at += n + 12;
  }
  return size;
}
