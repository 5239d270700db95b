/* grid.inl: the loops of grid.h for one float type. Included by grid_f32_isa.c and grid_f64_isa.c with T and S defined.
   All but spread run along the places of a block without branches, so that they vectorise; an element outside is read from
   position 0 and then thrown away. */
#include <string.h>
#include <tgmath.h>
#include "isa.h"
#include "grid.h"

enum { B = NP_PLACES };

typedef struct line { /* of one dimension: which elements, with what weights, and the weights' derivatives */
  int32_t at[4][B];
  T w[4][B], slope[4][B];
} line;

/* v, in elements, as the padding has it; *slope, if any, becomes the derivative of that. */
static inline T padded(const np_grid *g, T v, T size, T *slope) {
  T sign = 1;
  if (g->reflect) { /* on a line folded between low and high */
    const T low = g->corners ? 0 : (T)-0.5, span = g->corners ? size - 1 : size;
    const T far = fabs(v - low), turns = span > 0 ? floor(far / span) : 0, extra = far - turns * span;
    const int back = turns - 2 * floor(turns / 2) != 0;
    sign = span > 0 ? (v < low) == back ? 1 : -1 : 0;
    v = span > 0 ? low + (back ? span - extra : extra) : 0;
  }
  if (g->clamp) {
    sign = (v <= 0) | (v >= size - 1) ? 0 : sign;
    v = v > 0 ? v : 0;
    v = v < size - 1 ? v : size - 1;
  }
  if (slope) *slope *= sign;
  return v;
}

typedef struct row { /* of a dimension: its elements, how far they lie apart, and what a coordinate counts in elements */
  int32_t n, step;
  T size, scale;
} row;

static inline int32_t element(const row *r, T v) { /* where element v lies; v is whole, or a little more */
  const int32_t at = (int32_t)v;
  return (v >= 0) & (at < r->n) ? at * r->step : -1;
}

/* Keys, 1981, with a = -3/4: the weight of an element that lies v away, and its derivative by that. */
static const T A = (T)-0.75;
static inline T inner(T v) { return ((A + 2) * v - (A + 3)) * v * v + 1; }
static inline T outer(T v) { return (((v - 5) * v + 8) * v - 4) * A; }
static inline T inner_slope(T v) { return (3 * (A + 2) * v - 2 * (A + 3)) * v; }
static inline T outer_slope(T v) { return ((3 * v - 10) * v + 8) * A; }

static void cubic(const np_grid *g, const row *r, int n, const T *v, line *l) {
  const T scale = r->scale;
  for (int i = 0; i < n; i++) {
    const T first = floor(v[i]), d = v[i] - first;
    l->w[0][i] = outer(d + 1), l->w[1][i] = inner(d), l->w[2][i] = inner(1 - d), l->w[3][i] = outer(2 - d);
    l->slope[0][i] = outer_slope(d + 1) * scale, l->slope[1][i] = inner_slope(d) * scale;
    l->slope[2][i] = -inner_slope(1 - d) * scale, l->slope[3][i] = -outer_slope(2 - d) * scale;
  }
  for (int t = 0; t < 4; t++)
    for (int i = 0; i < n; i++) l->at[t][i] = element(r, padded(g, floor(v[i]) + (T)(t - 1), r->size, NULL));
}

static void read_line(const np_grid *g, const row *r, int n, const T *coordinate, line *l) {
  const T size = r->size, scale = r->scale;
  T v[B], slope[B];
  for (int i = 0; i < n; i++) {
    const T at = coordinate[(int64_t)i * g->nd];
    T u = g->corners ? (at + 1) * scale : (at + 1) * scale - (T)0.5;
    u = u > (T)-1e9 ? u : (T)-1e9; /* NaN too: far outside */
    v[i] = u < (T)1e9 ? u : (T)1e9;
    slope[i] = scale;
  }
  if (g->line_taps == 4) {
    cubic(g, r, n, v, l);
    return;
  }
  for (int i = 0; i < n; i++) v[i] = padded(g, v[i], size, &slope[i]);
  if (g->line_taps == 1) {
    for (int i = 0; i < n; i++) l->at[0][i] = element(r, nearbyint(v[i])), l->w[0][i] = 1, l->slope[0][i] = 0;
    return;
  }
  for (int i = 0; i < n; i++) {
    const T low = floor(v[i]);
    l->at[0][i] = element(r, low), l->at[1][i] = element(r, low + 1);
    l->w[0][i] = low + 1 - v[i], l->w[1][i] = v[i] - low;
    l->slope[0][i] = -slope[i], l->slope[1][i] = slope[i];
  }
}

#define W(p) ((T (*)[B])(void *)(p)->w)
#define SLOPE(p) ((T (*)[B])(void *)(p)->slope)
#define CONST_W(p) ((const T (*)[B])(const void *)(p)->w)
#define CONST_SLOPE(p) ((const T (*)[B])(const void *)(p)->slope)

static void locate(const np_grid *g, int n, const void *vc, int slopes, np_places *p) {
  const T *c = vc;
  const int lines = g->line_taps, deep = g->nd == 3;
  line l[3];
  int64_t step = 1;
  for (int d = 0; d < g->nd; step *= g->n[d++]) {
    const T size = (T)g->n[d];
    const row r = { (int32_t)g->n[d], (int32_t)step, size, (g->corners ? size - 1 : size) / 2 };
    read_line(g, &r, n, c + d, &l[d]);
  }
  p->n = n, p->nd = g->nd, p->taps = lines * lines * (deep ? lines : 1);
  for (int tap = 0; tap < p->taps; tap++) {
    const int tx = tap % lines, ty = tap / lines % lines, tz = tap / lines / lines;
    const int32_t *restrict ax = l[0].at[tx], *restrict ay = l[1].at[ty], *restrict az = l[2].at[tz];
    const T *restrict wx = l[0].w[tx], *restrict wy = l[1].w[ty], *restrict wz = l[2].w[tz];
    const T *restrict sx = l[0].slope[tx], *restrict sy = l[1].slope[ty], *restrict sz = l[2].slope[tz];
    int32_t *restrict at = p->at[tap];
    T *restrict w = W(p)[tap];
    if (deep) {
      for (int i = 0; i < n; i++) at[i] = (ax[i] | ay[i] | az[i]) < 0 ? -1 : az[i] + ay[i] + ax[i], w[i] = wx[i] * wy[i] * wz[i];
    } else {
      for (int i = 0; i < n; i++) at[i] = (ax[i] | ay[i]) < 0 ? -1 : ay[i] + ax[i], w[i] = wx[i] * wy[i];
    }
    if (!slopes) continue;
    T *restrict by_x = SLOPE(p)[tap], *restrict by_y = SLOPE(p)[p->taps + tap];
    if (deep) {
      T *restrict by_z = SLOPE(p)[2 * p->taps + tap];
      for (int i = 0; i < n; i++) by_x[i] = sx[i] * wy[i] * wz[i], by_y[i] = wx[i] * sy[i] * wz[i], by_z[i] = wx[i] * wy[i] * sz[i];
    } else {
      for (int i = 0; i < n; i++) by_x[i] = sx[i] * wy[i], by_y[i] = wx[i] * sy[i];
    }
  }
}

static inline T value(const T *x, int32_t at) {
  return at < 0 ? 0 : x[at];
}

static void read_places(const np_places *p, int64_t channels, const void *vx, int64_t xs, void *vy, int64_t ys) {
  const T *x = vx;
  T *y = vy;
  const int n = p->n;
  const T(*w)[B] = CONST_W(p);
  const int32_t(*at)[B] = p->at;
  for (int64_t c = 0; c < channels; c++, x += xs, y += ys) {
    if (p->taps == 4) {
      for (int i = 0; i < n; i++)
        y[i] = w[0][i] * value(x, at[0][i]) + w[1][i] * value(x, at[1][i]) + w[2][i] * value(x, at[2][i]) + w[3][i] * value(x, at[3][i]);
      continue;
    }
    memset(y, 0, (size_t)n * sizeof *y);
    for (int t = 0; t < p->taps; t++)
      NP_IVDEP for (int i = 0; i < n; i++) y[i] += w[t][i] * value(x, at[t][i]);
  }
}

static void spread(const np_places *p, int64_t channels, const void *vg, int64_t gs, void *vx, int64_t xs) {
  const T *g = vg;
  T *x = vx;
  const T(*w)[B] = CONST_W(p);
  for (int64_t c = 0; c < channels; c++, x += xs, g += gs)
    for (int t = 0; t < p->taps; t++)
      for (int i = 0; i < p->n; i++) {
        const int32_t at = p->at[t][i];
        if (at >= 0) x[at] += w[t][i] * g[i];
      }
}

static void slopes(const np_places *p, int64_t channels, const void *vx, int64_t xs, const void *vg, int64_t gs, void *vout) {
  const T *x = vx, *g = vg;
  T *out = vout, sum[3][B] = { { 0 } };
  const T(*slope)[B] = CONST_SLOPE(p);
  const int n = p->n, taps = p->taps;
  for (int64_t c = 0; c < channels; c++, x += xs, g += gs)
    for (int t = 0; t < taps; t++) {
      const int32_t *restrict at = p->at[t];
      const T *restrict by_x = slope[t], *restrict by_y = slope[taps + t];
      if (p->nd == 3) {
        const T *restrict by_z = slope[2 * taps + t];
        NP_IVDEP for (int i = 0; i < n; i++) {
          const T v = value(x, at[i]) * g[i];
          sum[0][i] += by_x[i] * v, sum[1][i] += by_y[i] * v, sum[2][i] += by_z[i] * v;
        }
      } else {
        NP_IVDEP for (int i = 0; i < n; i++) {
          const T v = value(x, at[i]) * g[i];
          sum[0][i] += by_x[i] * v, sum[1][i] += by_y[i] * v;
        }
      }
    }
  for (int i = 0; i < n; i++)
    for (int d = 0; d < p->nd; d++) out[i * p->nd + d] = sum[d][i];
}

const np_grid_loops NP_NAME(NP_CAT(np_grid_, S)) = {.locate = locate, .read = read_places, .spread = spread, .slopes = slopes};
