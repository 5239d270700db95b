/* fft.inl: Fourier transforms of rows, for T with suffix S and BITS. A buffer is n pairs of vectors (real parts, imaginary
   parts), one transform in each lane, so that the passes have no shuffles; rows come in and go out through squares of
   LANES x LANES numbers that are turned in registers. The inverse is the forward transform with the two parts exchanged at
   both ends. */
#include "lanes.h"
#include "kernels.h"

#define V (NP_VEC_BYTES / (int)sizeof(T))

/* ---- shuffles: MIX(f) lists f(0) ... f(V - 1); numbers from V on mean the second vector ---- */

#define MIX2(f, h) f(0, h), f(1, h)
#define MIX4(f, h) MIX2(f, h), f(2, h), f(3, h)
#define MIX8(f, h) MIX4(f, h), f(4, h), f(5, h), f(6, h), f(7, h)
#define MIX16(f, h) MIX8(f, h), f(8, h), f(9, h), f(10, h), f(11, h), f(12, h), f(13, h), f(14, h), f(15, h)
#if NP_VEC_BYTES == 64 && defined(NP_F32)
#define MIX MIX16
#define TOP 8
#elif NP_VEC_BYTES == 64 || (NP_VEC_BYTES == 32 && defined(NP_F32))
#define MIX MIX8
#define TOP 4
#elif NP_VEC_BYTES == 32 || defined(NP_F32)
#define MIX MIX4
#define TOP 2
#else
#define MIX MIX2
#define TOP 1
#endif
#define KEEP_LOW(e, h) ((e) & (h) ? V + (e) - (h) : (e))
#define KEEP_HIGH(e, h) ((e) & (h) ? V + (e) : (e) + (h))
#define EVEN(e, h) (2 * (e) + (h))
#define ZIP(e, h) ((e) / 2 + (e) % 2 * V + (h))
#define LAST_FIRST(e, h) (V - 1 - (e) + (h))

/* t[i][j] and t[j][i] change places, by blocks of h. */
#define TURN(h)                                                                   \
  for (int i = 0; i < V; i++)                                                     \
    if (!(i & (h))) {                                                             \
      vec a = t[i], b = t[i + (h)];                                               \
      t[i] = __builtin_shufflevector(a, b, MIX(KEEP_LOW, h));                     \
      t[i + (h)] = __builtin_shufflevector(a, b, MIX(KEEP_HIGH, h));              \
    }
NP_FN void turn(vec *t) {
#if TOP >= 8
  TURN(8)
#endif
#if TOP >= 4
  TURN(4)
#endif
#if TOP >= 2
  TURN(2)
#endif
  TURN(1)
}
NP_FN void vec_store(T *x, vec v) { memcpy(x, &v, sizeof v); }
NP_FN vec part_load(const T *x, int64_t n) { /* the first n lanes, 0 beyond */
  if (n >= V) return vec_load(x);
  vec v = {0};
  if (n > 0) memcpy(&v, x, (size_t)n * sizeof(T));
  return v;
}
NP_FN void part_store(T *x, vec v, int64_t n) {
  if (n >= V) vec_store(x, v);
  else if (n > 0) memcpy(x, &v, (size_t)n * sizeof(T));
}

/* ---- passes: y of x, for m transforms of length radix whose s copies lie side by side ---- */

typedef struct { vec r, i; } pair;
NP_FN pair get(const vec *x, int64_t k) { return (pair){x[2 * k], x[2 * k + 1]}; }
NP_FN void set(vec *y, int64_t k, pair a) { y[2 * k] = a.r, y[2 * k + 1] = a.i; }
NP_FN void set_times(vec *y, int64_t k, pair a, const T *w) {
  y[2 * k] = a.r * w[0] - a.i * w[1];
  y[2 * k + 1] = a.r * w[1] + a.i * w[0];
}
NP_FN pair plus(pair a, pair b) { return (pair){a.r + b.r, a.i + b.i}; }
NP_FN pair minus(pair a, pair b) { return (pair){a.r - b.r, a.i - b.i}; }
NP_FN pair down(pair a) { return (pair){a.i, -a.r}; } /* -i a */
NP_FN pair scaled(pair a, T c) { return (pair){a.r * c, a.i * c}; }

#define EACH(R)                                                        \
  const int64_t step = p->s * p->m;                                    \
  for (int64_t k = 0; k < p->m; k++)                                   \
    for (int64_t q = 0, at = p->s * k, to = p->s * k * (R); q < p->s; q++, at++, to++)
#define W(R) const T *w = (const T *)p->w + k * ((R)-1) * 2

static void pass2(const np_fft_pass *p, const vec *x, vec *y) {
  EACH(2) {
    W(2);
    pair a = get(x, at), b = get(x, at + step);
    set(y, to, plus(a, b));
    set_times(y, to + p->s, minus(a, b), w);
  }
}
static void pass3(const np_fft_pass *p, const vec *x, vec *y) {
  EACH(3) {
    W(3);
    pair a = get(x, at), b = get(x, at + step), c = get(x, at + 2 * step), u = plus(b, c);
    pair v = down(scaled(minus(b, c), (T)0.86602540378443864676)), m = minus(a, scaled(u, (T)0.5));
    set(y, to, plus(a, u));
    set_times(y, to + p->s, plus(m, v), w);
    set_times(y, to + 2 * p->s, minus(m, v), w + 2);
  }
}
static void pass4(const np_fft_pass *p, const vec *x, vec *y) {
  EACH(4) {
    W(4);
    pair a = get(x, at), b = get(x, at + step), c = get(x, at + 2 * step), d = get(x, at + 3 * step);
    pair e = plus(a, c), f = minus(a, c), g = plus(b, d), h = down(minus(b, d));
    set(y, to, plus(e, g));
    set_times(y, to + p->s, plus(f, h), w);
    set_times(y, to + 2 * p->s, minus(e, g), w + 2);
    set_times(y, to + 3 * p->s, minus(f, h), w + 4);
  }
}
static void pass5(const np_fft_pass *p, const vec *x, vec *y) {
  const T c1 = (T)0.30901699437494742410, c2 = (T)-0.80901699437494742410, s1 = (T)0.95105651629515357212, s2 = (T)0.58778525229247312917;
  EACH(5) {
    W(5);
    pair a = get(x, at), b = get(x, at + step), c = get(x, at + 2 * step), d = get(x, at + 3 * step), e = get(x, at + 4 * step);
    pair u = plus(b, e), v = plus(c, d), f = minus(b, e), g = minus(c, d);
    pair m = plus(a, plus(scaled(u, c1), scaled(v, c2))), n = plus(a, plus(scaled(u, c2), scaled(v, c1)));
    pair h = down(plus(scaled(f, s1), scaled(g, s2))), i = down(minus(scaled(f, s2), scaled(g, s1)));
    set(y, to, plus(a, plus(u, v)));
    set_times(y, to + p->s, plus(m, h), w);
    set_times(y, to + 2 * p->s, plus(n, i), w + 2);
    set_times(y, to + 3 * p->s, minus(n, i), w + 4);
    set_times(y, to + 4 * p->s, minus(m, h), w + 6);
  }
}
/* 7, 11, 13: sums and differences of the mirrored entries, then products with the roots. */
static void pass_odd(const np_fft_pass *p, const vec *x, vec *y) {
  enum { MOST = 13 };
  const int R = p->radix, half = R / 2;
  const T *root = (const T *)p->root;
  EACH(R) {
    W(R);
    pair a = get(x, at), u[MOST / 2 + 1], v[MOST / 2 + 1], sum = a;
    for (int j = 1; j <= half; j++) {
      pair b = get(x, at + j * step), c = get(x, at + (R - j) * step);
      u[j] = plus(b, c), v[j] = minus(b, c);
      sum = plus(sum, u[j]);
    }
    set(y, to, sum);
    for (int i = 1; i <= half; i++) {
      pair m = a, h = {{0}, {0}};
      for (int j = 1; j <= half; j++) {
        const T *r = root + 2 * (i * j % R);
        m = plus(m, scaled(u[j], r[0])), h = plus(h, scaled(v[j], -r[1]));
      }
      h = down(h);
      set_times(y, to + i * p->s, plus(m, h), w + 2 * (i - 1));
      set_times(y, to + (R - i) * p->s, minus(m, h), w + 2 * (R - i - 1));
    }
  }
}

/* The transform of a; the result is in the buffer that is returned, a or b. */
static vec *line(const np_fft_line *l, vec *a, vec *b) {
  for (int i = 0; i < l->passes; i++) {
    const np_fft_pass *p = &l->pass[i];
    switch (p->radix) {
    case 2: pass2(p, a, b); break;
    case 3: pass3(p, a, b); break;
    case 4: pass4(p, a, b); break;
    case 5: pass5(p, a, b); break;
    default: pass_odd(p, a, b);
    }
    vec *t = a;
    a = b;
    b = t;
  }
  return a;
}

/* ---- one row in each lane ---- */

static void lane_rows(const np_fft *p, int64_t rows, const T *x, int64_t x_ld, T *y, int64_t y_ld, int inverse, T scale, T *scratch) {
  vec *a = (vec *)scratch, *b = a + 2 * p->n, t[V], *r;
  int64_t n = 2 * p->n;
  for (int64_t e = 0; e < n; e += V) {
    for (int l = 0; l < V; l++) t[l] = l < rows ? part_load(x + l * x_ld + e, n - e) : (vec){0};
    turn(t);
    for (int64_t j = 0; j < V && e + j < n; j++) a[(e + j) ^ inverse] = t[j];
  }
  r = line(&p->a, a, b);
  for (int64_t e = 0; e < n; e += V) {
    for (int64_t j = 0; j < V; j++) t[j] = e + j < n ? r[(e + j) ^ inverse] * scale : (vec){0};
    turn(t);
    for (int64_t l = 0; l < V && l < rows; l++) part_store(y + l * y_ld + e, t[l], n - e);
  }
}

/* ---- one row as a square: x[j2 + b j1] down the columns, times roots, along the rows to y[k1 + a k2] ---- */

NP_FN void pairs_load(const T *x, int64_t n, int inverse, vec *to) { /* n pairs, at most V */
  vec u = part_load(x, 2 * n), v = part_load(x + V, 2 * n - V);
  to[inverse] = __builtin_shufflevector(u, v, MIX(EVEN, 0));
  to[1 ^ inverse] = __builtin_shufflevector(u, v, MIX(EVEN, 1));
}
NP_FN void pairs_store(T *y, int64_t n, int inverse, const vec *from, T scale) {
  vec u = from[inverse] * scale, v = from[1 ^ inverse] * scale;
  part_store(y, __builtin_shufflevector(u, v, MIX(ZIP, 0)), 2 * n);
  part_store(y + V, __builtin_shufflevector(u, v, MIX(ZIP, V / 2)), 2 * n - V);
}

static void square_row(const np_fft *p, const T *x, T *y, int inverse, T scale, T *scratch) {
  const int64_t A = p->a.n, B = p->b.n, longest = ((A > B ? A : B) + V - 1) / V * V, blocks = (B + V - 1) / V;
  vec *a = (vec *)scratch, *b = a + 2 * longest, *middle = b + 2 * longest;
  for (int64_t i = 0; i < blocks; i++) {
    int64_t n = B - i * V < V ? B - i * V : V;
    for (int64_t j = 0; j < A; j++) pairs_load(x + 2 * (j * B + i * V), n, inverse, a + 2 * j);
    const vec *r = line(&p->a, a, b), *w = (const vec *)p->twiddle + i * A * 2;
    vec *to = middle + i * A * 2;
    for (int64_t k = 0; k < A; k++) {
      to[2 * k] = r[2 * k] * w[2 * k] - r[2 * k + 1] * w[2 * k + 1];
      to[2 * k + 1] = r[2 * k] * w[2 * k + 1] + r[2 * k + 1] * w[2 * k];
    }
  }
  for (int64_t k = 0; k < A; k += V) {
    int64_t n = A - k < V ? A - k : V;
    for (int64_t i = 0; i < blocks; i++)
      for (int c = 0; c < 2; c++) {
        vec t[V];
        for (int64_t l = 0; l < V; l++) t[l] = l < n ? middle[(i * A + k + l) * 2 + c] : (vec){0};
        turn(t);
        for (int64_t j = 0; j < V; j++) a[(i * V + j) * 2 + c] = t[j];
      }
    const vec *r = line(&p->b, a, b);
    for (int64_t j = 0; j < B; j++) pairs_store(y + 2 * (j * A + k), n, inverse, r + 2 * j, scale);
  }
}

static void columns(const np_fft *p, int64_t n, const void *vx, void *vy, int64_t ld, int inverse, double scale, void *scratch) {
  const T *x = vx;
  T *y = vy;
  vec *a = scratch, *b = a + 2 * p->n;
  for (int64_t j = 0; j < p->n; j++) pairs_load(x + j * ld, n, inverse, a + 2 * j);
  const vec *r = line(&p->a, a, b);
  for (int64_t j = 0; j < p->n; j++) pairs_store(y + j * ld, n, inverse, r + 2 * j, (T)scale);
}

/* ---- any length: x[j] c[j], convolved with the other chirp, times c[k] ---- */

static void rows_of(const np_fft *p, int64_t rows, const T *x, int64_t x_ld, T *y, int64_t y_ld, int inverse, T scale, T *scratch);

/* z = x w, pairs; with swap the parts of x are exchanged before, with turned those of z after. */
static void times(int64_t n, const T *x, const T *w, T *z, int swap, int turned, T scale) {
  for (int64_t j = 0; j < 2 * n; j += 2) {
    T r = x[j + swap] * scale, i = x[j + 1 - swap] * scale, u = r * w[j] - i * w[j + 1], v = r * w[j + 1] + i * w[j];
    z[j + turned] = u;
    z[j + 1 - turned] = v;
  }
}

static void chirp_rows(const np_fft *p, int64_t rows, const T *x, int64_t x_ld, T *y, int64_t y_ld, int inverse, T scale, T *scratch) {
  const int64_t m = p->inner->n, ld = 2 * m, group = p->inner->kind == NP_FFT_LANES ? V : 1;
  T *a = scratch, *b = a + group * ld, *rest = b + group * ld;
  for (int64_t i = 0; i < rows; i++) {
    times(p->n, x + i * x_ld, p->chirp, a + i * ld, inverse, 0, 1);
    memset(a + i * ld + 2 * p->n, 0, (size_t)(2 * (m - p->n)) * sizeof(T));
  }
  rows_of(p->inner, rows, a, ld, b, ld, 0, 1, rest);
  for (int64_t i = 0; i < rows; i++) times(m, b + i * ld, p->kernel, b + i * ld, 0, 0, 1);
  rows_of(p->inner, rows, b, ld, a, ld, 1, 1, rest);
  for (int64_t i = 0; i < rows; i++) times(p->n, a + i * ld, p->chirp, y + i * y_ld, 0, inverse, scale);
}

static void rows_of(const np_fft *p, int64_t rows, const T *x, int64_t x_ld, T *y, int64_t y_ld, int inverse, T scale, T *scratch) {
  const int64_t group = p->kind == NP_FFT_SQUARE || (p->kind == NP_FFT_CHIRP && p->inner->kind != NP_FFT_LANES) ? 1 : V;
  for (int64_t i = 0; i < rows; i += group) {
    int64_t n = rows - i < group ? rows - i : group;
    const T *from = x + i * x_ld;
    T *to = y + i * y_ld;
    if (p->kind == NP_FFT_LANES) lane_rows(p, n, from, x_ld, to, y_ld, inverse, scale, scratch);
    else if (p->kind == NP_FFT_SQUARE) square_row(p, from, to, inverse, scale, scratch);
    else chirp_rows(p, n, from, x_ld, to, y_ld, inverse, scale, scratch);
  }
}
static void rows(const np_fft *p, int64_t n, const void *x, int64_t x_ld, void *y, int64_t y_ld, int inverse, double scale, void *scratch) {
  rows_of(p, n, x, x_ld, y, y_ld, inverse, (T)scale, scratch);
}

/* ---- real rows of even length 2 n as n pairs z: X[k] = E[k] + w^k O[k], E and O the transforms of z's parts ---- */

/* A vector of pairs k, k + 1, ... and their mirror images n - k, n - k - 1, ... */
typedef struct { pair near, far; } mirrored;
NP_FN mirrored both_load(const T *x, int64_t n, int64_t k) {
  vec a[2], b[2];
  pairs_load(x + 2 * k, V, 0, a);
  pairs_load(x + 2 * (n - k - V + 1), V, 0, b);
  for (int c = 0; c < 2; c++) b[c] = __builtin_shufflevector(b[c], b[c], MIX(LAST_FIRST, 0));
  return (mirrored){{a[0], a[1]}, {b[0], b[1]}};
}
NP_FN void both_store(T *y, int64_t n, int64_t k, mirrored m, T scale) {
  vec a[2] = {m.near.r, m.near.i}, b[2] = {m.far.r, m.far.i};
  for (int c = 0; c < 2; c++) b[c] = __builtin_shufflevector(b[c], b[c], MIX(LAST_FIRST, 0));
  pairs_store(y + 2 * k, V, 0, a, scale);
  pairs_store(y + 2 * (n - k - V + 1), V, 0, b, scale);
}

/* E and O of Z[k] (near) and Z[n-k] (far), doubled, to X[k] and X[n-k]: E = Z[k] + Z*[n-k], O = -i (Z[k] - Z*[n-k]). */
#define SPLIT(ar, ai, br, bi, wr, wi)                                            \
  er = ar + br, ei = ai - bi, or = ai + bi, oi = br - ar;                        \
  tr = or * wr - oi * wi, ti = or * wi + oi * wr;                                \
  ar = er + tr, ai = ei + ti, br = er - tr, bi = ti - ei

/* From Z (n pairs) in y to X (n + 1 pairs) in its place. */
static void split(int64_t n, T *y, const T *w, T inner) {
  T r = y[0], i = y[1];
  int64_t k = 1;
  y[0] = r + i, y[1] = 0;
  y[2 * n] = r - i, y[2 * n + 1] = 0;
  inner *= (T)0.5;
  for (; k + V <= n - k - V + 1; k += V) {
    mirrored m = both_load(y, n, k);
    vec u[2], er, ei, or, oi, tr, ti;
    pairs_load(w + 2 * k, V, 0, u);
    SPLIT(m.near.r, m.near.i, m.far.r, m.far.i, u[0], u[1]);
    both_store(y, n, k, m, inner);
  }
  for (; k <= n / 2; k++) {
    T *a = y + 2 * k, *b = y + 2 * (n - k), ar = a[0], ai = a[1], br = b[0], bi = b[1], er, ei, or, oi, tr, ti;
    SPLIT(ar, ai, br, bi, w[2 * k], w[2 * k + 1]);
    a[0] = ar * inner, a[1] = ai * inner;
    b[0] = br * inner, b[1] = bi * inner;
  }
}

/* And back: Z[k] = E[k] + i O[k] with E = X[k] + X*[n-k], O = (X[k] - X*[n-k]) w*^k. */
#define JOIN(ar, ai, br, bi, wr, wi)                                             \
  er = ar + br, ei = ai - bi, tr = ar - br, ti = ai + bi;                        \
  or = tr * wr + ti * wi, oi = ti * wr - tr * wi;                                \
  ar = er - oi, ai = ei + or, br = er + oi, bi = or - ei

/* All but the ends times inner / 2. */
static void join(int64_t n, const T *x, T *z, const T *w, T inner) {
  int64_t k = 1;
  z[0] = x[0] + x[2 * n];
  z[1] = x[0] - x[2 * n];
  inner *= (T)0.5;
  for (; k + V <= n - k - V + 1; k += V) {
    mirrored m = both_load(x, n, k);
    vec u[2], er, ei, or, oi, tr, ti;
    pairs_load(w + 2 * k, V, 0, u);
    JOIN(m.near.r, m.near.i, m.far.r, m.far.i, u[0], u[1]);
    both_store(z, n, k, m, inner);
  }
  for (; k <= n / 2; k++) {
    const T *a = x + 2 * k, *b = x + 2 * (n - k);
    T ar = a[0], ai = a[1], br = b[0], bi = b[1], er, ei, or, oi, tr, ti;
    JOIN(ar, ai, br, bi, w[2 * k], w[2 * k + 1]);
    z[2 * k] = ar * inner, z[2 * k + 1] = ai * inner;
    z[2 * (n - k)] = br * inner, z[2 * (n - k) + 1] = bi * inner;
  }
}

static void multiply(int64_t n, const void *vx, const void *vz, int conj, void *vy) {
  const T *x = vx, *z = vz, sign = conj ? -1 : 1;
  T *y = vy;
  for (int64_t j = 0; j < 2 * n; j += 2) {
    T a = x[j], b = x[j + 1], c = z[j], d = z[j + 1] * sign;
    y[j] = a * c - b * d;
    y[j + 1] = a * d + b * c;
  }
}

static int64_t group_of(const np_fft *p) { return np_fft_group(p, V); }
static int64_t rounded(int64_t n) { return (n + V - 1) / V * V; }

static void real(const np_fft *p, int64_t n_rows, const void *vx, int64_t x_ld, void *vy, int64_t y_ld, double scale, double c, void *scratch) {
  const int64_t group = group_of(p), n = p->n, ld = 2 * (n + 1);
  T *a = scratch, *b = a + rounded(group * ld), *rest = b + rounded(group * ld);
  for (int64_t i = 0; i < n_rows; i += group) {
    int64_t m = n_rows - i < group ? n_rows - i : group;
    const T *x = (const T *)vx + i * x_ld;
    T *y = (T *)vy + i * y_ld;
    if (p->half) {
      rows_of(p, m, x, x_ld, y, y_ld, 0, (T)scale, rest);
      for (int64_t r = 0; r < m; r++) split(n, y + r * y_ld, p->half, (T)c);
      continue;
    }
    for (int64_t r = 0; r < m; r++)
      for (int64_t j = 0; j < n; j++) a[r * ld + 2 * j] = x[r * x_ld + j], a[r * ld + 2 * j + 1] = 0;
    rows_of(p, m, a, ld, b, ld, 0, (T)scale, rest);
    for (int64_t r = 0; r < m; r++)
      for (int64_t j = 0; j < n / 2 * 2 + 2; j++) y[r * y_ld + j] = b[r * ld + j] * (j < 2 ? 1 : (T)c);
  }
}

static void half_rows(const np_fft *p, int64_t n_rows, const void *vx, int64_t x_ld, void *vy, int64_t y_ld, double scale, double c, void *scratch) {
  const int64_t group = group_of(p), n = p->n, ld = 2 * (n + 1);
  T *a = scratch, *b = a + rounded(group * ld), *rest = b + rounded(group * ld), inner = (T)(c / 2);
  for (int64_t i = 0; i < n_rows; i += group) {
    int64_t m = n_rows - i < group ? n_rows - i : group;
    const T *x = (const T *)vx + i * x_ld;
    T *y = (T *)vy + i * y_ld;
    if (p->half) {
      for (int64_t r = 0; r < m; r++) join(n, x + r * x_ld, a + r * ld, p->half, (T)c);
      rows_of(p, m, a, ld, y, y_ld, 1, (T)scale, rest);
      continue;
    }
    for (int64_t r = 0; r < m; r++) { /* both halves, each mirrored in the other */
      const T *from = x + r * x_ld;
      T *to = a + r * ld;
      to[0] = from[0], to[1] = 0;
      for (int64_t k = 1; k <= n / 2; k++) {
        to[2 * k] = to[2 * (n - k)] = from[2 * k] * inner;
        to[2 * k + 1] = from[2 * k + 1] * inner;
        to[2 * (n - k) + 1] = -from[2 * k + 1] * inner;
      }
    }
    rows_of(p, m, a, ld, b, ld, 1, (T)scale, rest);
    for (int64_t r = 0; r < m; r++)
      for (int64_t j = 0; j < n; j++) y[r * y_ld + j] = b[r * ld + 2 * j];
  }
}

const np_fourier NP_NAME(NP_CAT(np_fourier_, S)) = {.lanes = V, .rows = rows, .columns = columns, .real = real, .half = half_rows, .multiply = multiply};
