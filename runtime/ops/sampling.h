/* sampling.h: what grid_sample's settings mean, for its kernels and for its gradient in recorded ops. */
#ifndef NP_SAMPLING_H
#define NP_SAMPLING_H

#include "op.h"
#include "grid.h"

/* a: the arguments, x grid mode padding_mode align_corners; x: the layout of the images. */
np_grid np_grid_of(const neap_value *a, const np_layout *x);

#endif
