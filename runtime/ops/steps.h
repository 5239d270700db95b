/* steps.h: what the three recurrent ops have in common, for recurrent.c and its twin. T steps of B rows, H units, P numbers
 * that a step hands on (H, but for an LSTM with a projection), G gates. */
#ifndef NP_STEPS_H
#define NP_STEPS_H

#include "loops.h"

enum { NP_RNN, NP_LSTM, NP_GRU };
typedef struct np_cell { /* where arguments stand, -1: it has none; the tensors come first, so records number them alike */
  int kind, op, gates, kept;
  int c0, w, w_hr, b, mask, lengths, nonlinearity, reverse, kept_out;
} np_cell;
enum { NP_STEPS_P, NP_STEPS_H0 }; /* the first two of all */
const np_cell *np_cell_of(const np_op *op);

#endif
