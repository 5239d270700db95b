/* copy_isa.c: strided copies of whole elements, whatever they mean: copy2d and fill for elements of 1, 2, 4 and 8
   bytes. copy2d turns the axes so that the destination runs along its columns, then copies rows, or, where the
   source runs along the other axis, goes through square blocks that stay in the first-level cache. Conversion
   belongs in tile_isa.c. */
#include <string.h>

#include "isa.h"
#include "kernels.h"
#include "turn.h"

enum { BLOCK = 32, SHORT = 16384 }; /* SHORT: bytes of a row up to which a loop is faster than memcpy */

/* dst[i][j] = src[j][i] in blocks; TURN takes squares of side K > 1. */
#define COPY2D(D, SIZE, K, TURN)                                                                                    \
  static void block_##SIZE(int64_t rows, int64_t cols, const D *restrict x, int64_t xr, int64_t xc, D *restrict y,  \
                           int64_t yr, int64_t yc) {                                                                \
    int64_t i = 0;                                                                                                  \
    if (K > 1 && xr == 1 && yc == 1)                                                                                \
      for (; i + K <= rows; i += K) {                                                                               \
        int64_t j = 0;                                                                                              \
        for (; j + K <= cols; j += K) {                                                                             \
          const void *row[K];                                                                                       \
          for (int q = 0; q < K; q++) row[q] = x + (j + q) * xc;                                                    \
          TURN(row, i, y + i * yr + j, yr);                                                                         \
        }                                                                                                           \
        for (int64_t r = i; r < i + K; r++)                                                                         \
          for (int64_t c = j; c < cols; c++) y[r * yr + c] = x[r + c * xc];                                         \
      }                                                                                                             \
    for (; i < rows; i++)                                                                                           \
      for (int64_t j = 0; j < cols; j++) y[i * yr + j * yc] = x[i * xr + j * xc];                                   \
  }                                                                                                                 \
  static void copy2d_##SIZE(int64_t rows, int64_t cols, const void *src, int64_t xr, int64_t xc, void *dst,         \
                            int64_t yr, int64_t yc) {                                                               \
    const D *restrict x = src;                                                                                      \
    D *restrict y = dst;                                                                                            \
    if (yc == 1 && xc == 1 && cols * SIZE > SHORT) {                                                                \
      for (int64_t i = 0; i < rows; i++) memcpy(y + i * yr, x + i * xr, (size_t)cols * sizeof *y);                  \
    } else if (yc == 1 && xc == 1) {                                                                                \
      for (int64_t i = 0; i < rows; i++)                                                                            \
        for (int64_t j = 0; j < cols; j++) y[i * yr + j] = x[i * xr + j];                                           \
    } else if (yc == 1 && xc == -1) {                                                                               \
      for (int64_t i = 0; i < rows; i++)                                                                            \
        for (int64_t j = 0; j < cols; j++) y[i * yr + j] = x[i * xr - j];                                           \
    } else if (yc == 1 && xc == 0) {                                                                                \
      for (int64_t i = 0; i < rows; i++)                                                                            \
        for (int64_t j = 0; j < cols; j++) y[i * yr + j] = x[i * xr];                                               \
    } else if (magnitude(xr) >= magnitude(xc)) {                                                                    \
      for (int64_t i = 0; i < rows; i++)                                                                            \
        for (int64_t j = 0; j < cols; j++) y[i * yr + j * yc] = x[i * xr + j * xc];                                 \
    } else {                                                                                                        \
      for (int64_t i = 0; i < rows; i += BLOCK)                                                                     \
        for (int64_t j = 0; j < cols; j += BLOCK)                                                                   \
          block_##SIZE(rows - i < BLOCK ? rows - i : BLOCK, cols - j < BLOCK ? cols - j : BLOCK,                    \
                       x + i * xr + j * xc, xr, xc, y + i * yr + j * yc, yr, yc);                                   \
    }                                                                                                               \
  }                                                                                                                 \
  static void fill_##SIZE(int64_t n, const void *value, void *dst, int64_t stride) {                                \
    D v, *y = dst;                                                                                                  \
    memcpy(&v, value, sizeof v);                                                                                    \
    if (stride == 1)                                                                                                \
      for (int64_t i = 0; i < n; i++) y[i] = v;                                                                     \
    else                                                                                                            \
      for (int64_t i = 0; i < n; i++) y[i * stride] = v;                                                            \
  }

static int64_t magnitude(int64_t v) { return v < 0 ? -v : v; }

#define NO_TURN(row, at, dst, ld) ((void)(row))
COPY2D(uint8_t, 1, 1, NO_TURN)
COPY2D(uint16_t, 2, 1, NO_TURN)
COPY2D(uint32_t, 4, 8, np_turn_f32)
COPY2D(uint64_t, 8, 4, np_turn_f64)

void NP_NAME(np_copy2d)(int size, int64_t rows, int64_t cols, const void *src, int64_t src_row, int64_t src_col,
                        void *dst, int64_t dst_row, int64_t dst_col) {
  int turn = cols == 1 || (rows != 1 && magnitude(dst_row) < magnitude(dst_col));
  int64_t r = turn ? cols : rows, c = turn ? rows : cols;
  int64_t xr = turn ? src_col : src_row, xc = turn ? src_row : src_col;
  int64_t yr = turn ? dst_col : dst_row, yc = turn ? dst_row : dst_col;
  switch (size) {
    case 1: copy2d_1(r, c, src, xr, xc, dst, yr, yc); break;
    case 2: copy2d_2(r, c, src, xr, xc, dst, yr, yc); break;
    case 4: copy2d_4(r, c, src, xr, xc, dst, yr, yc); break;
    default: copy2d_8(r, c, src, xr, xc, dst, yr, yc); break;
  }
}

void NP_NAME(np_fill)(int size, int64_t n, const void *value, void *dst, int64_t stride) {
  switch (size) {
    case 1: fill_1(n, value, dst, stride); break;
    case 2: fill_2(n, value, dst, stride); break;
    case 4: fill_4(n, value, dst, stride); break;
    default: fill_8(n, value, dst, stride); break;
  }
}
