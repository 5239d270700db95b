/* conv.c: the loops of convolutions against their definitions, for all counts of rows and vectors and odd ends, with guards
 * behind what is written. */
#include "check.h"
#include "conv.h"

enum { ROOM = 4096 };
static double x[ROOM], w[ROOM], b[16], g[ROOM], y[ROOM], want[ROOM];

static void taps(int ct, int m, int64_t n, int64_t k, int biased) {
  const np_conv *f = K->conv[ct];
  int64_t at[64] = {0}, ldy = n + 3;
  fill_between(ct, x, ROOM, -1, 1), fill_between(ct, w, m * k, -1, 1), fill_between(ct, b, m, -1, 1);
  for (int64_t q = 0; q < k; q++) at[q] = (int64_t)(next_random() % 500);
  for (int64_t i = 0; i < m * ldy; i++) set(ct, y, i, 7), set(ct, want, i, 7);
  for (int64_t i = 0; i < m; i++)
    for (int64_t p = 0; p < n; p++) {
      double sum = biased ? get(ct, b, i) : 0;
      for (int64_t q = 0; q < k; q++) sum += get(ct, w, q * m + i) * get(ct, x, at[q] + p);
      set(ct, want, i * ldy + p, sum);
    }
  f->taps(m, n, k, x, at, w, biased ? b : NULL, y, ldy);
  for (int64_t i = 0; i < m * ldy; i++)
    EXPECT(near(get(ct, y, i), get(ct, want, i), ct == NP_CF32 ? 1e-5 : 1e-13), "%s %d rows, %lld places, %lld taps at %lld: %g, not %g", ct_name(ct), m,
           (long long)n, (long long)k, (long long)i, get(ct, y, i), get(ct, want, i));
}

static void weights(int ct, int64_t vectors, int64_t k, const int64_t grid[3]) {
  const np_conv *f = K->conv[ct];
  int64_t at[64] = {0}, m = vectors * f->lanes, ldy = m, pitch = grid[2] + 2, plane = pitch * (grid[1] + 1);
  fill_between(ct, x, ROOM, -1, 1), fill_between(ct, g, ROOM, -1, 1);
  for (int64_t q = 0; q < k; q++) at[q] = (int64_t)(next_random() % 500);
  for (int64_t i = 0; i < k * ldy + 8; i++) set(ct, y, i, 2), set(ct, want, i, 2);
  for (int64_t q = 0; q < k; q++)
    for (int64_t i = 0; i < m; i++) {
      double sum = get(ct, y, q * ldy + i);
      int64_t place = 0;
      for (int64_t d = 0; d < grid[0]; d++)
        for (int64_t h = 0; h < grid[1]; h++)
          for (int64_t p = 0; p < grid[2]; p++, place++) sum += get(ct, g, place * ldy + i) * get(ct, x, at[q] + d * plane + h * pitch + p);
      set(ct, want, q * ldy + i, sum);
    }
  f->taps_grad(m, k, x, at, grid, plane, pitch, g, y, ldy);
  for (int64_t i = 0; i < k * ldy + 8; i++)
    EXPECT(near(get(ct, y, i), get(ct, want, i), ct == NP_CF32 ? 1e-5 : 1e-13), "%s weights of %lld vectors, %lld taps at %lld: %g, not %g", ct_name(ct),
           (long long)vectors, (long long)k, (long long)i, get(ct, y, i), get(ct, want, i));
}

static void test(void) {
  static const int64_t counts[] = {0, 1, 3, 7, 8, 15, 16, 17, 33, 48, 50, 64, 97, 129, 200};
  static const int64_t grids[][3] = {{1, 1, 1}, {1, 2, 3}, {2, 2, 2}, {1, 3, 5}};
  for (int ct = NP_CF32; ct <= NP_CF64; ct++) {
    for (int m = 1; m <= K->conv[ct]->rows; m *= 2)
      for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int64_t k = 0; k < 12; k += 5) taps(ct, m, counts[i], k, (int)(k % 2));
    for (int64_t v = 1; v <= 7; v++)
      for (int i = 0; i < 4; i++)
        for (int64_t k = 1; k <= 19; k += 3) weights(ct, v, k, grids[i]);
  }
  done("conv");
}

int main(void) { return each_level(test); }
