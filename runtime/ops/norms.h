/* norms.h: what the normalisations share: checks of per-channel arguments, running statistics, and the recorded gradient
 * of what is normalised to mean 0 and variance 1. */
#ifndef NP_NORMS_H
#define NP_NORMS_H

#include "loops.h"
#include "norm.h"

/* Argument x is floats (N, C, ...); the tensors among the n params have shape (C). */
int np_channels_check(np_call *c, int x, int n, const int *params);
/* Running statistics, argument i if given: whether it may be changed; and its update (1 - momentum) r + momentum times
 * `factor` and the mean of the n rows of `now`. */
int np_running_check(np_call *c, int i);
void np_running_update(np_call *c, int i, const double *now, int64_t n, double factor, double momentum);
neap_tensor *np_channel_shaped(neap_context *c, neap_tensor *t, const np_layout *x); /* t (C), or NULL, as (1, C, 1, ...) */
/* In recorded ops: the gradient for x of h = (x - mean) rstd over dims under d, h too. */
neap_tensor *np_normal_twin(neap_context *c, neap_tensor *x, neap_tensor *d, int n, const int64_t *dims, double eps, neap_tensor **h);
neap_tensor *np_block_total(np_back *b, int in, neap_tensor *sums); /* a parameter's gradient: sums of blocks, added in order */

#endif
