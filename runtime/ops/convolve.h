/* convolve.h: the engine of convolutions (convolve.c), for one to three dimensions: fewer have leading ones. It computes and never
 * records; all memory is contiguous, of a float type that is computed in. Each element depends on sizes alone, not on
 * how many threads work. */
#ifndef NP_CONVOLVE_H
#define NP_CONVOLVE_H

#include "loops.h"

typedef struct np_conv_shape {
  int64_t n, groups;       /* images; groups of channels that know nothing of each other */
  int64_t c, o;            /* channels in a group: of the image x, of the result y */
  int64_t x[3], y[3];      /* sizes */
  int64_t kernel[3], stride[3], padding[3], dilation[3];
} np_conv_shape;

/* y (n, groups o, y) = b[o] + sum of w (groups o, c, kernel) x (n, groups c, x); b or NULL. */
int np_conv_forward(neap_context *c, int dtype, const np_conv_shape *s, const char *x, const char *w, const char *b, char *y);
/* x = b[c] + what each y is the sum of gets back: the adjoint in x. */
int np_conv_adjoint(neap_context *c, int dtype, const np_conv_shape *s, const char *y, const char *w, const char *b, char *x);
/* w = the adjoint in w: sum over images and places of y x. */
int np_conv_weights(neap_context *c, int dtype, const np_conv_shape *s, const char *y, const char *x, char *w);

#endif
