/* norms.h: what the normalisations share: checks of per-channel arguments, running statistics, and the recorded gradient
 * of what is normalised to mean 0 and variance 1. */
#ifndef NP_NORMS_H
#define NP_NORMS_H

#include "loops.h"
#include "norm.h"

/* Argument x is floats (N, C, ...); the tensors among the n params have shape (C). */
int np_channels_check(np_call *c, int x, int n, const int *params);
/* Running mean and variance, arguments `mean` and mean + 1, those that are given: whether they may be changed; and their
 * update (1 - momentum) r + momentum m, m the average of n rows of means and of unbiased variances, each of `values` values. */
int np_running_check(np_call *c, int mean);
void np_running_update(np_call *c, int mean, const neap_tensor *center, const neap_tensor *spread, int64_t n, double values, double momentum);
neap_tensor *np_channel_shaped(neap_context *c, neap_tensor *t, const np_layout *x); /* t (C), or NULL, as (1, C, 1, ...) */
/* In recorded ops: the gradient for x of h = (x - mean) rstd over dims under d, h too. */
neap_tensor *np_normal_twin(neap_context *c, neap_tensor *x, neap_tensor *d, int n, const int64_t *dims, double eps, neap_tensor **h);
neap_tensor *np_block_total(np_back *b, int in, neap_tensor *sums, uint32_t mask); /* a parameter's gradient: sums over the dimensions in mask; NULL of NULL */

#endif
