/* bag.h: what embedding and embedding_bag share. */
#ifndef NP_BAG_H
#define NP_BAG_H

#include "loops.h"

/* Shortens the rows of weight that input names to a p-norm of `most`, in place and unrecorded. */
int np_embedding_renorm(np_call *c, neap_tensor *input, neap_tensor *weight, double most, double p);
/* For each entry of index (checked) 1 over how often it occurs, as a constant of its shape. */
neap_tensor *np_index_shares(neap_context *c, neap_tensor *index, int64_t entries, int dtype);

#endif
