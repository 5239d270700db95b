/* tiles.c: load, store, copy2d, fill and the index kernels against element-by-element twins; float16 and bfloat16
   over all their values. */
#include "check.h"

static unsigned char memory[24 * MOST * 8], result[24 * MOST * 8], want[24 * MOST * 8];
static double tile[MOST], back[MOST];

/* The value of a small float with e exponent bits and m fraction bits. */
static double small_float(unsigned h, int e, int m) {
  int exponent = (int)(h >> m) & ((1 << e) - 1), bias = (1 << (e - 1)) - 1;
  double fraction = (double)(h & ((1u << m) - 1)), sign = h >> (e + m) ? -1 : 1;
  if (exponent == (1 << e) - 1) return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexp(fraction + (1 << m), exponent - bias - m) : ldexp(fraction, 1 - bias - m));
}

static void small_floats(void) {
  static uint16_t all[65536], again[65536];
  static float f[65536];
  for (int k = 0; k < 2; k++) {
    int d = k ? NEAP_F16 : NEAP_BF16, e = k ? 5 : 8, m = k ? 10 : 7;
    for (int i = 0; i < 65536; i++) all[i] = (uint16_t)i;
    K->load[d][NP_CF32](65536, all, 1, f);
    K->store[NP_CF32][d](65536, f, again, 1);
    for (int i = 0; i < 65536; i++) {
      EXPECT(same(f[i], small_float((unsigned)i, e, m)), "%04x loads as %.9g", i, (double)f[i]);
      EXPECT(f[i] != f[i] ? small_float(again[i], e, m) != small_float(again[i], e, m) : again[i] == i,
             "%04x comes back as %04x", i, again[i]);
    }
    /* between neighbours: the nearest one, halves to the even */
    for (int i = 0; i < (k ? 0x7bff : 0x7f7f); i++) {
      double a = small_float((unsigned)i, e, m), b = small_float((unsigned)i + 1, e, m), half = a + (b - a) / 2;
      float x[3] = {(float)half, nextafterf((float)half, 0), nextafterf((float)half, INFINITY)};
      uint16_t y[3];
      K->store[NP_CF32][d](3, x, y, 1);
      EXPECT(y[0] == (i & 1 ? i + 1 : i) && y[1] == i && y[2] == i + 1, "near %04x: %04x %04x %04x", i, y[0], y[1],
             y[2]);
    }
    float over[4] = {INFINITY, -3.4e38f, 3.4e38f, -INFINITY};
    uint16_t y[4];
    K->store[NP_CF32][d](4, over, y, 1);
    EXPECT(y[0] == y[2] && y[0] == (k ? 0x7c00 : 0x7f80) && y[1] == y[3] && y[3] == (k ? 0xfc00 : 0xff80), "overflow");
  }
  done("float16 and bfloat16");
}

/* The int64 that a double is cut to, and element i of dtype d made of the double or int64 v. */
static int64_t cut(double v) {
  return v != v ? 0 : v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}
static double plain(int d, double v, int64_t k, int ct) {
  switch (d) {
  case NEAP_F32: return ct == NP_CI64 ? (float)k : (float)v;
  case NEAP_F64: return ct == NP_CI64 ? (double)k : v;
  case NEAP_I64: return (double)k;
  case NEAP_I32: return (int32_t)(uint64_t)k;
  case NEAP_I16: return (int16_t)(uint64_t)k;
  case NEAP_I8: return (int8_t)(uint64_t)k;
  case NEAP_U8: return (uint8_t)k;
  case NEAP_U16: return (uint16_t)k;
  default: return ct == NP_CI64 ? k != 0 : v != 0;
  }
}

static void conversions(void) {
  static const double odd[] = {NAN,   INFINITY, -INFINITY, 1e30,  -1e30, 0.5,          -0.5, -1,
                               255.9, 256,      300,       65536, -129,  2147483648.0, 0};
  for (int ct = 0; ct < NP_CTYPES; ct++)
    for (int d = 0; d < NEAP_BF16; d++)
      for (int s = 0; s < SIZES; s++)
        for (int64_t stride = -3; stride <= 2; stride++) {
          int64_t n = sizes[s];
          for (int64_t i = 0; i < n; i++) {
            double v = i < 15 && i < n ? odd[i] : between(-1000, 1000);
            set(ct, tile, i, ct == NP_CI64 ? (double)cut(fmin(fmax(v, -1e9), 1e9)) : v);
          }
          unsigned char *at = memory + (stride < 0 ? -stride * MOST : 0) * 8;
          if (stride == 0 && n > 1) continue;
          K->store[ct][d](n, tile, at, stride);
          K->load[d][NP_CF64](n, at, stride, back);
          for (int64_t i = 0; i < n; i++) {
            double v = get(ct, tile, i), t = plain(d, v, ct == NP_CI64 ? ((int64_t *)tile)[i] : cut(v), ct);
            EXPECT(same(back[i], t), "%s to dtype %d, %g: %.17g, not %.17g", ct_name(ct), d, v, back[i], t);
          }
          K->load[d][NP_CI64](n, at, stride, want);
          K->load[d][NP_CF32](n, at, stride, result);
          for (int64_t i = 0; i < n; i++) {
            EXPECT(d == NEAP_I64 || ((int64_t *)want)[i] == cut(back[i]), "dtype %d to int64", d);
            EXPECT(same(((float *)result)[i], (float)back[i]), "dtype %d to float32", d);
          }
        }
  float zero[7] = {4, 0, 0, 0, 0, 0, 0};
  double spread[7];
  K->load[NEAP_F32][NP_CF64](7, zero, 0, spread);
  EXPECT(spread[6] == 4, "stride 0");
  done("conversions");
}

static void copies(void) {
  static const int64_t dims[] = {0, 1, 3, 7, 8, 33, 70};
  for (size_t i = 0; i < sizeof memory; i++) memory[i] = (unsigned char)next_random();
  for (int size = 1; size <= 8; size *= 2)
    for (int a = 0; a < 7; a++)
      for (int b = 0; b < 7; b++)
        for (int mode = 0; mode < 8; mode++) {
          int64_t r = dims[a], c = dims[b], xr = mode & 1 ? 1 : c, xc = mode & 1 ? r : 1, yr = mode & 2 ? 1 : c,
                  yc = mode & 2 ? r : 1;
          if (mode & 4) xr *= 2, xc *= 2, yr *= 2, yc *= -2;
          int64_t start = mode & 4 ? 2 * r * c : 0;
          memset(result, 7, sizeof result), memset(want, 7, sizeof want);
          K->copy2d(size, r, c, memory, xr, xc, result + start * size, yr, yc);
          for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < c; j++)
              memcpy(want + (start + i * yr + j * yc) * size, memory + (i * xr + j * xc) * size, (size_t)size);
          EXPECT(!memcmp(result, want, sizeof want), "%lld x %lld of %d bytes, mode %d", (long long)r, (long long)c,
                 size, mode);
        }
  for (int size = 1; size <= 8; size *= 2) /* rows of the source backwards, and of one element */
    for (int a = 0; a < 7; a++)
      for (int b = 0; b < 7; b++)
        for (int step = -1; step < 1; step++) {
          int64_t r = dims[a], c = dims[b], start = step < 0 && c ? c - 1 : 0;
          memset(result, 7, sizeof result), memset(want, 7, sizeof want);
          K->copy2d(size, r, c, memory + start * size, c, step, result, c + 1, 1);
          for (int64_t i = 0; i < r; i++)
            for (int64_t j = 0; j < c; j++)
              memcpy(want + (i * (c + 1) + j) * size, memory + (start + i * c + j * step) * size, (size_t)size);
          EXPECT(!memcmp(result, want, sizeof want), "copy2d size %d, %lld x %lld, step %d", size, (long long)r, (long long)c, step);
        }
  done("copy2d");
  for (int size = 1; size <= 8; size *= 2)
    for (int s = 0; s < SIZES; s++)
      for (int64_t stride = 1; stride <= 3; stride++) {
        memset(result, 7, sizeof result), memset(want, 7, sizeof want);
        K->fill(size, sizes[s], memory, result, stride);
        for (int64_t i = 0; i < sizes[s]; i++) memcpy(want + i * stride * size, memory, (size_t)size);
        EXPECT(!memcmp(result, want, sizeof want), "fill");
      }
  done("fill");
}

static void indices(void) {
  enum { ROWS = 50, N = 200, WIDE = 13 };
  static int64_t idx[N];
  static int32_t idx32[N];
  static double x[N * WIDE], y[N * WIDE], t[N * WIDE];
  for (int wide = 0; wide < 2; wide++)
    for (int64_t base = 0; base < 2; base++) {
      const void *list = wide ? (void *)idx : (void *)idx32;
      for (int i = 0; i < N; i++) idx32[i] = (int32_t)(idx[i] = (int64_t)(next_random() % ROWS) + base);
      for (int n = 0; n < 40; n++) {
        EXPECT(K->index->within(n, idx, base, ROWS - 1 + base), "within");
        for (int bad = 0; bad < n; bad++) {
          int64_t was = idx[bad];
          idx[bad] = bad % 2 ? ROWS + base : base - 1;
          EXPECT(!K->index->within(n, idx, base, ROWS - 1 + base), "within, %d of %d is not", bad, n);
          idx[bad] = was;
        }
      }
      EXPECT(K->index->within(0, idx, 0, -1) && !K->index->within(1, idx, 0, -1), "within nothing");
      for (int ct = 0; ct < NP_CTYPES; ct++) {
        size_t w = width(ct);
        fill_between(ct, x, N * WIDE, -9, 9);
        K->index->take_rows(N, list, wide, base, WIDE * w, x, (int64_t)(WIDE * w), y, (int64_t)(WIDE * w));
        for (int i = 0; i < N; i++)
          EXPECT(!memcmp((char *)y + i * WIDE * w, (char *)x + (idx[i] - base) * WIDE * w, WIDE * w), "take_rows");
        memset(y, 0, sizeof y), memset(t, 0, sizeof t);
        K->index->put_rows(N, list, wide, base, WIDE * w, x, (int64_t)(WIDE * w), y, (int64_t)(WIDE * w));
        for (int i = 0; i < N; i++) memcpy((char *)t + (idx[i] - base) * WIDE * w, (char *)x + i * WIDE * w, WIDE * w);
        EXPECT(!memcmp(y, t, sizeof t), "put_rows");
        K->index->add_rows[ct](N, list, wide, base, WIDE, x, WIDE, y, WIDE);
        for (int i = 0; i < N; i++)
          for (int j = 0; j < WIDE; j++)
            set(ct, t, (idx[i] - base) * WIDE + j, get(ct, t, (idx[i] - base) * WIDE + j) + get(ct, x, i * WIDE + j));
        EXPECT(!memcmp(y, t, sizeof t), "add_rows");
        for (int op = 0; op < NP_FOLDS; op++)
          for (int step = -1; step < 2; step++) { /* -1: both sides dense */
            int unit = step < 0 ? 1 : 3, apart = step < 0 ? 1 : 2, over = step > 0;
            K->index->scatter_fold[ct][op](N, list, wide, base, x, apart, y, unit, over);
            for (int i = 0; i < N; i++) {
              int64_t at = (idx[i] - base) * unit + i * over;
              double a = get(ct, t, at), b = get(ct, x, i * apart);
              set(ct, t, at, op == NP_FOLD_ADD ? a + b : op == NP_FOLD_MUL ? a * b : op == NP_FOLD_MAX ? fmax(a, b) : fmin(a, b));
            }
            EXPECT(!memcmp(y, t, sizeof t), "scatter_fold %d, step %d", op, step);
          }
      }
      for (int size = 1; size <= 8; size *= 2) {
        char *u = (char *)x, *v = (char *)y, *z = (char *)t;
        memset(y, 0, sizeof y), memset(t, 0, sizeof t);
        for (int step = 0; step < 2; step++)
          for (int apart = 1; apart < 4; apart += 2) { /* alone in memory, and two places between */
            int unit = apart == 1 ? 1 : 2;
            K->index->gather(size, N, list, wide, base, x, unit, step, y, apart);
            for (int i = 0; i < N; i++) memcpy(z + apart * i * size, u + ((idx[i] - base) * unit + i * step) * size, (size_t)size);
            EXPECT(!memcmp(y, t, sizeof t), "gather");
            K->index->scatter(size, N, list, wide, base, x, apart, v, unit, step);
            for (int i = 0; i < N; i++) memcpy(z + ((idx[i] - base) * unit + i * step) * size, u + apart * i * size, (size_t)size);
            EXPECT(!memcmp(y, t, sizeof t), "scatter");
          }
      }
    }
  done("indices");
}

static void test(void) {
  small_floats();
  conversions();
  copies();
  indices();
}

int main(void) {
  return each_level(test);
}
