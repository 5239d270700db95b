/* recurrent.h: one row of one step of a recurrent cell, forward and backward, n units wide. p is what comes from the input
   and g what comes from the state before, one stretch of n a gate after the other, in PyTorch's order. Rows of one call do
   not overlap unless said. */
#ifndef NP_RECURRENT_H
#define NP_RECURRENT_H

#include <stdint.h>

enum { NP_LSTM_KEPT = 5, NP_GRU_KEPT = 4 }; /* numbers a unit that forward keeps for backward */

typedef struct np_recurrent { /* one per float type */
  /* i, f, o = sigmoid(p + g), g' = tanh(p + g); c = f c + i g', h = o tanh(c). kept: i, f, g', o, c, or NULL. */
  void (*lstm)(int64_t n, const void *p, const void *g, void *c, void *h, void *kept);
  /* gc: in the gradient of c from after the step, out of c_before. gp: of the four gates' sums. */
  void (*lstm_back)(int64_t n, const void *kept, const void *c_before, const void *gh, void *gc, void *gp);
  /* r, z = sigmoid(p + g + b), m = g + b of the third, n' = tanh(p + r m); h = n' + z (h - n'). b may be NULL.
     kept: r, z, n', m, or NULL. */
  void (*gru)(int64_t n, const void *p, const void *g, const void *b, void *h, void *kept);
  /* gh: in the gradient of h, out the part of it that goes to h_before directly. gp: of p's three; gg: of g's. */
  void (*gru_back)(int64_t n, const void *kept, const void *h_before, void *gh, void *gp, void *gg);
  /* h = tanh(p + g), [1]: relu; gp from h and its gradient. */
  void (*rnn[2])(int64_t n, const void *p, const void *g, void *h);
  void (*rnn_back[2])(int64_t n, const void *h, const void *gh, void *gp);
} np_recurrent;

#endif
