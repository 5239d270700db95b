/* fft_plan.c: what a Fourier transform of one length needs to know beforehand: how the length is factored and the roots of
   unity, computed in double and kept in the transform's type. A plan lies in one block of memory that its owner gives; the
   same code, run without memory, says how large. Nothing here depends on data. */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "scalar.h"

/* A block that is filled from its start; at NULL: only counted. */
typedef struct room {
  char *at;
  size_t used, size; /* size: of an element of the transform's type */
} room;

static void *take(room *r, size_t bytes) {
  void *p = r->at ? r->at + r->used : NULL;
  r->used += (bytes + 63) / 64 * 64;
  return p;
}

static void put(const room *r, void *where, int64_t i, double v) {
  if (r->size == 4) ((float *)where)[i] = (float)v;
  else ((double *)where)[i] = v;
}

/* exp(-2 pi i k / n) to pair i; the angle is brought into the first eighth of the circle first. */
static void put_root(const room *r, void *where, int64_t i, int64_t k, int64_t n) {
  __extension__ typedef unsigned __int128 u128;
  uint64_t eighths = (uint64_t)((u128)(uint64_t)(k % n) * 8 / (u128)n), rest = (uint64_t)((u128)(uint64_t)(k % n) * 8 - (u128)eighths * (u128)n);
  double t = (eighths & 1 ? (double)((uint64_t)n - rest) : (double)rest) / (double)n * (NP_PI / 4), c = cos(t), s = sin(t);
  double x = (eighths & 1) ? (((eighths >> 1) & 1) ? -c : s) : (((eighths >> 1) & 1) ? -s : c);
  double y = (eighths & 1) ? (((eighths >> 1) & 1) ? s : c) : (((eighths >> 1) & 1) ? c : s);
  if (eighths >= 4) x = -x, y = -y;
  put(r, where, 2 * i, x);
  put(r, where, 2 * i + 1, -y);
}

static const int radices[] = {4, 5, 3, 2, 7, 11, 13};

static int64_t rest_of(int64_t n) { /* what is left of n without its factors up to 13 */
  for (int i = 0; i < 7; i++)
    while (n % radices[i] == 0) n /= radices[i];
  return n;
}

static double line_cost(int64_t n) { /* of one element, in passes over memory, roughly */
  static const double cost[] = {1.2, 1.8, 1.2, 0.9, 3, 5, 6};
  double sum = 0;
  for (int i = 0; i < 7; i++)
    for (; n % radices[i] == 0; n /= radices[i]) sum += cost[i];
  return sum;
}

static void make_line(np_fft_line *line, int64_t n, room *r) {
  np_fft_pass *pass = line->pass;
  line->n = n;
  line->passes = 0;
  int64_t s = 1, left = n;
  for (int i = 0; i < 7; i++)
    while (left % radices[i] == 0) {
      int64_t p = radices[i], m = left / p;
      np_fft_pass *now = &pass[line->passes++];
      *now = (np_fft_pass){.radix = (int)p, .m = m, .s = s};
      void *w = take(r, (size_t)(m * (p - 1) * 2) * r->size), *root = take(r, (size_t)(p * 2) * r->size);
      now->w = w;
      now->root = root;
      for (int64_t q = 0; r->at && q < m; q++)
        for (int64_t j = 1; j < p; j++) put_root(r, w, q * (p - 1) + j - 1, q * j, left);
      for (int64_t j = 0; r->at && j < p; j++) put_root(r, root, j, j, p);
      s *= p;
      left = m;
    }
}

static int64_t up(int64_t n, int64_t lanes) { return (n + lanes - 1) / lanes * lanes; }

/* The best n = a b to do as a square, or 0: long lines leave the nearest cache, and one row alone fills no lanes. */
static int64_t square_side(int64_t n, int64_t lanes) {
  int64_t best = 0;
  double least = INFINITY;
  if (n < 256) return 0;
  for (int64_t side = 2; side * side <= n; side++)
    for (int turned = 0; n % side == 0 && turned < 2; turned++) {
      int64_t a = turned ? n / side : side, b = n / a;
      double longest = (double)(a > b ? a : b);
      double cost = (double)(up(b, lanes) * a) * (line_cost(a) + 1) + (double)(up(a, lanes) * b) * (line_cost(b) + 1);
      cost *= longest * (double)lanes * 16 > 1 << 20 ? 1.6 : longest * (double)lanes * 16 > 1 << 15 ? 1.15 : 1;
      if (cost < least) least = cost, best = a;
    }
  return best;
}

static void make_square(np_fft *p, int64_t n, int64_t a, int64_t lanes, room *r) {
  p->kind = NP_FFT_SQUARE;
  make_line(&p->a, a, r);
  make_line(&p->b, n / a, r);
  int64_t b = n / a, blocks = (b + lanes - 1) / lanes;
  void *t = take(r, (size_t)(blocks * a * 2 * lanes) * r->size);
  p->twiddle = t;
  for (int64_t i = 0; r->at && i < blocks; i++)
    for (int64_t k = 0; k < a; k++)
      for (int64_t l = 0; l < lanes; l++) {
        double pair[2];
        room exact = {.size = 8};
        put_root(&exact, pair, 0, k * (i * lanes + l), n);
        for (int c = 0; c < 2; c++) put(r, t, ((i * a + k) * 2 + c) * lanes + l, pair[c]);
      }
}

static int64_t chirp_length(int64_t n) { /* the least 2^k, 9 2^k, 5 2^k, 3 2^k or 15 2^k that holds 2 n - 1 */
  static const int64_t odd[] = {1, 3, 5, 9, 15};
  int64_t best = INT64_MAX;
  for (int i = 0; i < 5; i++) {
    int64_t m = odd[i] * 16;
    while (m < 2 * n - 1) m *= 2;
    if (m < best) best = m;
  }
  return best;
}

static void make(np_fft *p, int64_t n, int whole, int64_t lanes, room *r) { /* whole: no square */
  memset(p, 0, sizeof *p);
  p->n = n;
  if (rest_of(n) == 1) {
    int64_t a = whole ? 0 : square_side(n, lanes);
    if (a) make_square(p, n, a, lanes, r);
    else make_line(&p->a, n, r);
    return;
  }
  int64_t m = chirp_length(n);
  np_fft only_counted, *inner = take(r, sizeof *inner);
  p->kind = NP_FFT_CHIRP;
  p->inner = inner;
  make(inner ? inner : &only_counted, m, 0, lanes, r);
  void *chirp = take(r, (size_t)(2 * n) * r->size), *kernel = take(r, (size_t)(2 * m) * r->size);
  p->chirp = chirp;
  p->kernel = kernel;
  if (!r->at) return;
  memset(kernel, 0, (size_t)(2 * m) * r->size);
  for (int64_t j = 0; j < n; j++) {
    __extension__ typedef unsigned __int128 u128;
    int64_t square = (int64_t)((u128)j * (u128)j % (u128)(2 * n));
    put_root(r, chirp, j, square, 2 * n);
    for (int side = 0; side < 2; side++) { /* its conjugate, to both sides of 0 */
      int64_t at = side && j ? m - j : j;
      double pair[2];
      room exact = {.size = 8};
      put_root(&exact, pair, 0, square, 2 * n);
      put(r, kernel, 2 * at, pair[0] / (double)m);
      put(r, kernel, 2 * at + 1, -pair[1] / (double)m);
    }
  }
}

size_t np_fft_plan(int64_t n, int use, int ctype, int64_t lanes, void *memory) {
  room r = {.at = memory, .size = ctype == NP_CF32 ? 4 : 8};
  int even = use == NP_FFT_REAL && n % 2 == 0;
  np_fft only_counted, *p = take(&r, sizeof *p);
  if (!p) p = &only_counted;
  make(p, even ? n / 2 : n, use == NP_FFT_COLUMNS, lanes, &r);
  void *half = even ? take(&r, (size_t)(n / 2 + 1) * 2 * r.size) : NULL;
  if (!memory) return r.used;
  p->real = use == NP_FFT_REAL ? n : 0;
  p->half = half;
  for (int64_t k = 0; half && k <= n / 2; k++) put_root(&r, half, k, k, n);
  return r.used;
}

static size_t scratch_of(const np_fft *p, int64_t lanes) {
  if (p->kind == NP_FFT_LANES) return (size_t)(p->n * 4 * lanes);
  if (p->kind == NP_FFT_SQUARE) {
    int64_t longest = p->a.n > p->b.n ? p->a.n : p->b.n, blocks = (p->b.n + lanes - 1) / lanes;
    return (size_t)(up(longest, lanes) * 4 * lanes + blocks * p->a.n * 2 * lanes);
  }
  return scratch_of(p->inner, lanes) + (size_t)(np_fft_group(p, lanes) * p->inner->n * 4);
}

int64_t np_fft_group(const np_fft *p, int64_t lanes) {
  const np_fft *last = p->kind == NP_FFT_CHIRP ? p->inner : p;
  return last->kind == NP_FFT_LANES ? lanes : 1;
}

size_t np_fft_scratch(const np_fft *p, int64_t lanes) {
  size_t n = scratch_of(p, lanes);
  return n + (p->real ? (size_t)(up(np_fft_group(p, lanes) * (p->n + 1) * 2, lanes) * 2) : 0);
}
