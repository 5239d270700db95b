/* loss.h: what the losses made of other ops share: the check that refuses to broadcast, and the reduction. */
#ifndef NP_LOSS_H
#define NP_LOSS_H

#include "loops.h"

enum { NP_NONE_OF, NP_MEAN_OF, NP_SUM_OF, NP_BATCHMEAN_OF }; /* choices of `reduction`, in order */

int np_loss_shapes(np_call *c, int i, int j); /* refuses arguments i (floats) and j of different shapes */
int np_loss_reduce(np_call *c, neap_tensor *loss, int64_t how); /* sets the output; loss NULL: an error is pending */

#endif
