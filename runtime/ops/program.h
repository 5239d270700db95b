/* program.h: a formula such as "x > 0 and tanh(x * y) or z" as a list of elementwise rows over values, for ops/map.c to
 * run block by block. Values are numbered: operands and numbers as they are met, and each step behind what it reads; equal
 * steps are one, and what only numbers go into is a number. program.c parses; it reads no tensors. */
#ifndef NP_PROGRAM_H
#define NP_PROGRAM_H

#include "op.h"

enum { NP_MAX_OPERANDS = 8, NP_MAX_VALUES = 96 };
enum { NP_VALUE_OPERAND = -1, NP_VALUE_NUMBER = -2 };

typedef struct np_value {
  int16_t map;            /* the row of elementwise.def, or one of the two above */
  int16_t in[3];          /* the values that a step reads */
  uint8_t n_in, operand;  /* which operand it is */
  uint8_t is_bool;        /* comparisons, logic, predicates: 0 or 1 */
  uint8_t whole;          /* a number without a fraction, written or made of such */
  double number, par[3];  /* par: the row's settings */
} np_value;

typedef struct np_program {
  char *text;             /* the formula, behind the program */
  uint64_t hash;
  size_t bytes;
  int operands;           /* how many tensors it is about */
  uint32_t bools;         /* bits: which of them are bools */
  int n;                  /* values; the last one is the result unless `result` says otherwise */
  int result;
  uint8_t real;           /* some row or number in it wants floats */
  uint8_t reads[NP_MAX_OPERANDS];
  np_value value[NP_MAX_VALUES];
} np_program;

/* The program of a text over so many operands, from the context's store; NULL with the error of op `name`. */
const np_program *np_program_of(neap_context *c, const char *name, const char *text, int operands, uint32_t bools);

#endif
