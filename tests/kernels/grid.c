/* grid.c: places of images read, spread and differentiated, against the definition of sampling in double, an element at a time;
   the slopes, against differences. */
#include "check.h"
#include "grid.h"

enum { AREA = 5 * 6 * 4, CHANNELS = 3 };
static double x[CHANNELS * AREA], y[CHANNELS * NP_PLACES], g[CHANNELS * NP_PLACES], at[3 * NP_PLACES], gx[CHANNELS * AREA], slope[3 * NP_PLACES];

/* ---- the definition ---- */

static double padded(const np_grid *s, double v, double n) {
  double low = s->corners ? 0 : -0.5, high = s->corners ? n - 1 : n - 0.5;
  if (s->reflect && high > low)
    while (v < low || v > high) v = v < low ? 2 * low - v : 2 * high - v;
  else if (s->reflect) v = 0;
  if (s->clamp) v = v < 0 ? 0 : v > n - 1 ? n - 1 : v;
  return v;
}

static double keys(double v) { /* Keys' weight of an element v away */
  v = fabs(v);
  return v <= 1 ? (1.25 * v - 2.25) * v * v + 1 : v < 2 ? -0.75 * (((v - 5) * v + 8) * v - 4) : 0;
}

/* The weight of element e along a dimension of size n, at a coordinate. */
static double weight(const np_grid *s, double coordinate, int64_t n, int64_t e) {
  double v = s->corners ? (coordinate + 1) / 2 * (double)(n - 1) : ((coordinate + 1) * (double)n - 1) / 2, sum = 0;
  if (s->line_taps == 4) {
    for (double k = floor(v) - 1; k < floor(v) + 2.5; k++) sum += padded(s, k, (double)n) == (double)e ? keys(v - k) : 0;
    return sum;
  }
  v = padded(s, v, (double)n);
  return s->line_taps == 1 ? nearbyint(v) == (double)e : fmax(0, 1 - fabs(v - (double)e));
}

static double weight_at(const np_grid *s, const double *place, int64_t position) {
  double w = 1;
  for (int d = 0; d < s->nd; position /= s->n[d++]) w *= weight(s, place[d], s->n[d], position % s->n[d]);
  return w;
}

/* ---- the kernel ---- */

static void place_of(int ct, int nd, int i, double *place) {
  for (int d = 0; d < nd; d++) place[d] = get(ct, at, (int64_t)i * nd + d);
}

static void compare(int ct, const np_grid *s, int n) {
  const np_grid_loops *k = K->grid[ct];
  const int64_t area = s->n[0] * s->n[1] * (s->nd == 3 ? s->n[2] : 1);
  const double tol = ct == NP_CF32 ? 2e-5 : 1e-12;
  np_places p;
  double place[3], near_by[3], wanted[CHANNELS * AREA] = { 0 };
  fill_between(ct, x, CHANNELS * area, -1, 1), fill_between(ct, g, CHANNELS * NP_PLACES, -1, 1), fill_between(ct, at, (int64_t)s->nd * n, -1.9, 1.9);
  k->locate(s, n, at, 1, &p);
  k->read(&p, CHANNELS, x, area, y, NP_PLACES);
  for (int64_t i = 0; i < CHANNELS * area; i++) set(ct, gx, i, 0);
  k->spread(&p, CHANNELS, g, NP_PLACES, gx, area);
  k->slopes(&p, CHANNELS, x, area, g, NP_PLACES, slope);
  for (int i = 0; i < n; i++) {
    double by[3] = { 0 };
    place_of(ct, s->nd, i, place);
    for (int c = 0; c < CHANNELS; c++) {
      double sum = 0;
      for (int64_t e = 0; e < area; e++) {
        const double w = weight_at(s, place, e), v = get(ct, x, c * area + e), gi = get(ct, g, (int64_t)c * NP_PLACES + i);
        sum += w * v, wanted[c * area + e] += w * gi;
        for (int d = 0; d < s->nd && w != 0; d++) { /* by a difference so small that the neighbours stay the same */
          memcpy(near_by, place, sizeof near_by), near_by[d] += 1e-6;
          by[d] += (weight_at(s, near_by, e) - w) * 1e6 * v * gi;
        }
      }
      EXPECT(near(get(ct, y, (int64_t)c * NP_PLACES + i), sum, tol), "%s: %d dimensions, %d taps, place %d", ct_name(ct), s->nd, s->line_taps, i);
    }
    for (int d = 0; d < s->nd && ct == NP_CF64; d++)
      EXPECT(near(get(ct, slope, i * s->nd + d), by[d], 1e-4), "slope %d of %d dimensions, %d taps", d, s->nd, s->line_taps);
  }
  for (int64_t e = 0; e < CHANNELS * area; e++) EXPECT(near(get(ct, gx, e), wanted[e], tol), "%s: spread over %d dimensions", ct_name(ct), s->nd);
}

static void places(void) {
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int setting = 0; setting < 36; setting++) {
      np_grid s = { .nd = 2 + setting % 2, .line_taps = (int[]){ 1, 2, 4 }[setting / 2 % 3], .corners = setting / 6 % 2, .n = { 5, 6, 4 } };
      s.reflect = setting / 12 == 2, s.clamp = setting / 12 > 0;
      if (s.nd == 3 && s.line_taps == 4) continue;
      compare(ct, &s, NP_PLACES), compare(ct, &s, 1);
      s.n[0] = 1, compare(ct, &s, 37);
    }
  done("places");
}

/* No coordinate reads outside of the image, and what it does not read does not count. */
static void strange(void) {
  const double strange[] = { NAN, INFINITY, -INFINITY, 1e30, -1e30, 3e9, -3e9, 1.0000001, -1.0000001 };
  for (int ct = 0; ct <= NP_CF64; ct++)
    for (int setting = 0; setting < 9; setting++) {
      np_grid s = { .nd = 2, .line_taps = (int[]){ 1, 2, 4 }[setting % 3], .reflect = setting / 3 == 2, .clamp = setting / 3 > 0, .n = { 5, 6 } };
      np_places p;
      for (int i = 0; i < 9; i++) set(ct, at, 2 * i, strange[i]), set(ct, at, 2 * i + 1, strange[8 - i]);
      for (int64_t i = 0; i < 30; i++) set(ct, x, i, s.clamp ? 1 : NAN);
      K->grid[ct]->locate(&s, 9, at, 1, &p);
      for (int t = 0; t < p.taps; t++)
        for (int i = 0; i < 9; i++) EXPECT(p.at[t][i] >= -1 && p.at[t][i] < 30, "position %d", (int)p.at[t][i]);
      K->grid[ct]->read(&p, 1, x, 30, y, NP_PLACES);
      for (int i = 0; i < 6; i++) EXPECT(near(get(ct, y, i), s.clamp ? 1 : 0, 1e-5), "place %d is %g", i, get(ct, y, i));
    }
  done("strange");
}

static void all(void) { places(), strange(); }
int main(void) { return each_level(all); }
