/* gemm.c: products of all orientations, odd sizes and paddings against the triple loop, with guard bytes around C
   and scratch; beta = 0 reads no C; equal calls give equal bits. */
#include "check.h"

static double as[700 * 700], bs[700 * 700], cs[700 * 700], want[700 * 700], again[700 * 700];
static unsigned char scratch[8 << 20] __attribute__((aligned(64)));

static void check(int ct, int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha, double beta, int64_t pad) {
  int64_t lda = (ta ? m : k) + pad, ldb = (tb ? k : n) + pad, ldc = n + pad;
  double lo = ct == NP_CI64 ? -9 : -1, hi = ct == NP_CI64 ? 9 : 1;
  fill_between(ct, as, (ta ? k : m) * lda, lo, hi), fill_between(ct, bs, (tb ? n : k) * ldb, lo, hi);
  for (int64_t i = 0; i < m * ldc; i++) set(ct, cs, i, beta == 0 && ct != NP_CI64 ? NAN : 3);
  size_t bytes = (size_t)(m * ldc) * width(ct);
  memcpy(want, cs, bytes), memcpy(again, cs, bytes);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double s = 0;
      for (int64_t p = 0; p < k; p++)
        s += get(ct, as, ta ? p * lda + i : i * lda + p) * get(ct, bs, tb ? j * ldb + p : p * ldb + j);
      set(ct, want, i * ldc + j, alpha * s + (beta == 0 ? 0 : beta * get(ct, want, i * ldc + j)));
    }
  size_t room = K->gemm_scratch[ct](m, n, k);
  EXPECT(room + 64 < sizeof scratch, "scratch of %zu", room);
  memset(scratch, 0xff, room + 64); /* NaN: nothing may leak out of padding */
  K->gemm[ct](ta, tb, m, n, k, alpha, as, lda, bs, ldb, beta, cs, ldc, scratch);
  for (int i = 0; i < 64; i++) EXPECT(scratch[room + (size_t)i] == 0xff, "scratch overrun");
  for (int64_t i = 0; i < m * ldc; i++)
    EXPECT(near(get(ct, cs, i), get(ct, want, i), ct == NP_CF32 ? 3e-5 : 1e-12),
           "%s t%d%d %lld %lld %lld at %lld, %lld: %.9g, not %.9g", ct_name(ct), ta, tb, (long long)m, (long long)n,
           (long long)k, (long long)(i / ldc), (long long)(i % ldc), get(ct, cs, i), get(ct, want, i));
  K->gemm[ct](ta, tb, m, n, k, alpha, as, lda, bs, ldb, beta, again, ldc, scratch);
  EXPECT(!memcmp(again, cs, bytes), "not the same bits");
}

static void test(void) {
  static const int64_t small[] = {0, 1, 2, 3, 5, 7, 8, 10, 13, 16, 17, 33, 50};
  static const int64_t large[][3] = {{64, 64, 64},   {1, 300, 600},  {300, 1, 600}, {100, 10, 300},
                                     {13, 200, 300}, {200, 13, 513}, {250, 70, 20}, {61, 130, 257},
                                     {4, 90, 333},   {90, 4, 333},   {241, 33, 258}};
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int t = 0; t < 4; t++) {
      for (int a = 0; a < 13; a++)
        for (int b = 0; b < 13; b++)
          for (int c = 0; c < 13; c += 1 + (a + b) % 3)
            check(ct, t & 1, t >> 1, small[a], small[b], small[c], (a + c) % 2 ? 1 : 2,
                  b % 2         ? 0
                  : (a + b) % 3 ? 1
                                : -2,
                  c % 3);
      for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        check(ct, t & 1, t >> 1, large[i][0], large[i][1], large[i][2], 1, 0, (int64_t)i % 2);
    }
  check(NP_CF32, 0, 1, 9, 2100, 5, 1, 1, 0);
  check(NP_CF32, 0, 0, 9, 9, 9, 0, 2, 0);
  done("gemm");
}

int main(void) {
  return each_level(test);
}
