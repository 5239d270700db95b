/* attention.h: attention over blocks, as attention.c describes it and attend.c computes it. Queries (batch, L, E), keys
 * (batch, S, E), values (batch, S, V); the batch is some dimensions, broadcast, whose last one are the heads: `group`
 * heads of queries share one of keys and values. */
#ifndef NP_ATTENTION_H
#define NP_ATTENTION_H

#include "attend.h"
#include "loops.h"

enum { NP_AT_QUERY, NP_AT_KEY, NP_AT_VALUE, NP_AT_MASK, NP_AT_P, NP_AT_CAUSAL, NP_AT_SCALE, NP_AT_GQA, NP_AT_STATE };

typedef struct np_operand { /* rows behind a batch, read where they lie when they are native and dense */
  const char *data;         /* NULL: there is none */
  int dtype, direct;
  int64_t cols, padded, row, col, step[NEAP_MAX_DIMS]; /* strides in elements; step: of the batch */
} np_operand;

typedef struct np_attention {
  neap_context *c;
  const np_attend *k;
  int dtype, ctype;                          /* what is computed in */
  int n_dims;                                /* of the batch */
  int64_t shape[NEAP_MAX_DIMS], count;       /* of the batch of queries */
  int64_t group;
  int64_t n_queries, n_keys, width, n_values; /* L S E V */
  int64_t padded, padded_values;             /* E and V, a multiple of the lanes */
  np_operand query, key, value, mask, out, slope; /* slope: the output's gradient */
  double scale, p;
  uint64_t seed, offset;
  int causal;
  int64_t shift;                             /* query i sees keys up to i + shift */
  char *lse;                                 /* (batch, L): log sum exp of each row; inf where nothing is seen */
  char *y;                                   /* the output, (batch, L, V), of out_dtype */
  int out_dtype;
  /* backward: contiguous, of dtype; NULL where not wanted. The batch of gk and gv has n_heads / group heads. */
  char *gq, *gk, *gv, *gm;
} np_attention;

int np_attention_forward(np_attention *s);
int np_attention_backward(np_attention *s);

#endif
