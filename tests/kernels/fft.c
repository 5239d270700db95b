/* fft.inl and fft_plan.c: transforms of every kind of length against the sum that defines them, forward, back, real and
   half, several rows at once; float32 within a few roundings of float64. */
#include "check.h"

enum { ROWS = 5, LONGEST = 1300 };
static double x[ROWS * 2 * LONGEST], y[ROWS * 2 * (LONGEST + 2)], z[ROWS * 2 * (LONGEST + 2)];

static void *room(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
  if (!p) exit(1);
  return p;
}

static np_fft *plan(const np_fourier *f, int64_t n, int real, int ctype) {
  size_t size = ctype == NP_CF32 ? 4 : 8;
  np_fft *p = room(np_fft_plan(n, real, ctype, f->lanes, NULL));
  np_fft_plan(n, real, ctype, f->lanes, p);
  if (p->kind != NP_FFT_CHIRP) return p;
  size_t bytes = 2 * (size_t)p->inner->n * size;
  void *copy = room(bytes), *scratch = room(np_fft_scratch(p->inner, f->lanes) * size);
  memcpy(copy, p->kernel, bytes);
  f->rows(p->inner, 1, copy, 0, p->kernel, 0, 0, 1, scratch);
  free(copy), free(scratch);
  return p;
}

/* One number of the transform of row r: a pair. */
static void sum(int real, int64_t n, int64_t r, int64_t k, double out[2]) {
  out[0] = out[1] = 0;
  for (int64_t j = 0; j < n; j++) {
    double t = -2 * 3.14159265358979323846 * (double)(j * k % n) / (double)n, c = cos(t), s = sin(t);
    double a = real ? x[r * n + j] : x[2 * (r * n + j)], b = real ? 0 : x[2 * (r * n + j) + 1];
    out[0] += a * c - b * s, out[1] += a * s + b * c;
  }
}

static void narrow(double *v, int64_t n) { /* the same numbers as float32, in place */
  for (int64_t i = 0; i < n; i++) {
    float one = (float)v[i];
    memcpy((char *)v + 4 * i, &one, sizeof one);
  }
}
static void widen(double *v, int64_t n) {
  for (int64_t i = n - 1; i >= 0; i--) {
    float one;
    memcpy(&one, (char *)v + 4 * i, sizeof one);
    v[i] = one;
  }
}

static void length(int64_t n, int real, int ctype) {
  const np_fourier *f = K->fourier[ctype];
  double tolerance = ctype == NP_CF32 ? 4e-6 : 1e-13;
  np_fft *p = plan(f, n, real, ctype);
  void *scratch = room(np_fft_scratch(p, f->lanes) * 8);
  int64_t many = real ? n : 2 * n, out = real ? n / 2 + 1 : n;
  for (int64_t i = 0; i < ROWS * many; i++) x[i] = (double)(int32_t)(next_random() >> 32) * 0x1p-31;
  if (ctype == NP_CF32) narrow(x, ROWS * many);
  if (real) f->real(p, ROWS, x, n, y, 2 * out, 1, 1, scratch), f->half(p, ROWS, y, 2 * out, z, n, 1.0 / (double)n, 2, scratch);
  else f->rows(p, ROWS, x, 2 * n, y, 2 * n, 0, 1, scratch), f->rows(p, ROWS, y, 2 * n, z, 2 * n, 1, 1.0 / (double)n, scratch);
  if (ctype == NP_CF32) widen(x, ROWS * many), widen(y, ROWS * 2 * out), widen(z, ROWS * many);
  double scale = sqrt((double)n);
  for (int64_t i = 0; i < ROWS * many; i++)
    EXPECT(fabs(z[i] - x[i]) < 4 * tolerance, "length %lld real %d: back to %g, not %g", (long long)n, real, z[i], x[i]);
  for (int64_t r = 0; r < ROWS; r += 2)
    for (int64_t k = 0; k < out; k += 1 + n / 40) {
      double want[2], *got = y + 2 * (r * out + k);
      sum(real, n, r, k, want);
      EXPECT(fabs(got[0] - want[0]) < tolerance * scale && fabs(got[1] - want[1]) < tolerance * scale,
             "length %lld real %d, %lld: (%g, %g), not (%g, %g)", (long long)n, real, (long long)k, got[0], got[1], want[0], want[1]);
    }
  free(p), free(scratch);
}

/* Columns of a matrix of pairs, one vector's lanes at a time, against the rows of its transpose. */
static void down(int64_t n, int ctype) {
  enum { WIDE = 19 };
  const np_fourier *f = K->fourier[ctype];
  size_t size = ctype == NP_CF32 ? 4 : 8;
  np_fft *p = room(np_fft_plan(n, NP_FFT_COLUMNS, ctype, f->lanes, NULL)), *q = plan(f, n, NP_FFT_COMPLEX, ctype);
  np_fft_plan(n, NP_FFT_COLUMNS, ctype, f->lanes, p);
  void *scratch = room((np_fft_scratch(p, f->lanes) + np_fft_scratch(q, f->lanes)) * size);
  char *a = room((size_t)(n * WIDE * 2) * size), *b = room((size_t)(n * WIDE * 2) * size), *one = room((size_t)(4 * n) * size);
  for (int64_t i = 0; i < n * WIDE * 2; i++) set(ctype, a, i, between(-1, 1));
  for (int64_t i = 0; i < WIDE; i += f->lanes)
    f->columns(p, WIDE - i < f->lanes ? WIDE - i : f->lanes, a + (size_t)(2 * i) * size, b + (size_t)(2 * i) * size, 2 * WIDE, 1, 0.5, scratch);
  for (int64_t i = 0; i < WIDE; i++) {
    for (int64_t j = 0; j < 2 * n; j++) set(ctype, one, j, get(ctype, a, j / 2 * 2 * WIDE + 2 * i + j % 2));
    f->rows(q, 1, one, 0, one + (size_t)(2 * n) * size, 0, 1, 0.5, scratch);
    for (int64_t j = 0; j < 2 * n; j++)
      EXPECT(near(get(ctype, b, j / 2 * 2 * WIDE + 2 * i + j % 2), get(ctype, one, 2 * n + j), (ctype == NP_CF32 ? 1e-6 : 1e-14) * sqrt((double)n)),
             "column %lld of length %lld", (long long)i, (long long)n);
  }
  free(p), free(q), free(scratch), free(a), free(b), free(one);
}

static void test(void) {
  static const int64_t smooth[] = {1, 2, 3, 5, 7, 8, 12, 13, 30, 64, 100, 121, 256, 300, 384, 625};
  static const int64_t some[] = {121, 128, 169, 200, 243, 256, 257, 289, 360, 507, 512, 577, 1000, 1009, 1024, 1296, 1297};
  for (int ctype = NP_CF32; ctype <= NP_CF64; ctype++)
    for (int real = 0; real < 2; real++) {
      for (int64_t n = 1; n <= 70; n++) length(n, real, ctype);
      for (size_t i = 0; i < sizeof some / sizeof *some; i++) length(some[i], real, ctype);
    }
  done("transforms");
  for (int ctype = NP_CF32; ctype <= NP_CF64; ctype++)
    for (size_t i = 0; i < sizeof smooth / sizeof *smooth; i++) down(smooth[i], ctype);
  done("columns");
}

int main(void) {
  return each_level(test);
}
