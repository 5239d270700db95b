/* grid.h: images read at places that a grid names, one table per float type. A block of places is first turned into
   elements with weights, the same for all channels; then each channel is one pass over the block. An image's dimensions are
   counted from the last: 0 is the width, and so is coordinate 0 of a place. Images have fewer than 2^31 elements. */
#ifndef NP_GRID_H
#define NP_GRID_H

#include <stdint.h>

/* A tap is one element of a place; a slope row, the derivative of a tap's weight by a coordinate: row e * taps + tap. */
enum { NP_PLACES = 64, NP_PLACE_TAPS = 16, NP_PLACE_SLOPES = 32 };

typedef struct np_grid {
  int nd, line_taps;        /* 2 or 3 dimensions; 1: the nearest element, 2: linear, 4: cubic along a dimension */
  int corners;              /* -1 and 1 are the middles of the outermost elements, not the image's edges */
  int reflect, clamp;       /* what lies outside is mirrored; then moved to the border */
  int64_t n[3];             /* sizes, the last dimension first */
} np_grid;

typedef struct np_places {  /* weights and slopes are of the float type */
  int n, taps, nd;
  int32_t at[NP_PLACE_TAPS][NP_PLACES]; /* position in the image, or -1: outside, which counts as 0 */
  double w[NP_PLACE_TAPS][NP_PLACES], slope[NP_PLACE_SLOPES][NP_PLACES];
} np_places;

typedef struct np_grid_loops {
  /* p = the elements of n <= NP_PLACES places, whose coordinates are nd numbers each; with their slopes, or without. */
  void (*locate)(const np_grid *g, int n, const void *coordinates, int slopes, np_places *p);
  /* For each channel c, xs or ys elements apart: y[i] = sum of weight times element over place i's taps. */
  void (*read)(const np_places *p, int64_t channels, const void *x, int64_t xs, void *y, int64_t ys);
  /* Its adjoint: the elements of gx += weight times g[i]. */
  void (*spread)(const np_places *p, int64_t channels, const void *g, int64_t gs, void *gx, int64_t xs);
  /* out, nd numbers a place: sum over channels of g[i] times what a coordinate's slopes make of the elements. */
  void (*slopes)(const np_places *p, int64_t channels, const void *x, int64_t xs, const void *g, int64_t gs, void *out);
} np_grid_loops;

#endif
