/* The op table: the rows of elementwise.def and table.def as one constant array, numbered as op.h numbers them. A row
 * names its functions without the prefix np_; their prototypes come from the rows too, so that a new op is declared
 * nowhere else. */
#include <string.h>
#include "op.h"

#define OP(name, family, signature, saves, marks, infer, run, back, twin, sample, doc, example) \
  int np_##infer(np_call *); int np_##run(np_call *); int np_##back(np_back *); int np_##twin(np_back *);
#include "table.def"
#undef OP

int np_none(np_call *c) { (void)c; return NEAP_OK; }
int np_no_back(np_back *b) { (void)b; return NEAP_OK; }

/* Marks by kind: all but predicates and `where` have an in-place form, floats and numbers alone have a gradient. */
enum { MARKS_N = NEAP_OP_IN_PLACE, MARKS_F = NEAP_OP_IN_PLACE, MARKS_C = NEAP_OP_IN_PLACE | NEAP_OP_NO_GRAD,
       MARKS_L = MARKS_C, MARKS_I = MARKS_C, MARKS_Q = NEAP_OP_NO_GRAD, MARKS_W = 0, MARKS_A = MARKS_N, MARKS_J = MARKS_I };

#define ELEMENTWISE(name_, kind_, signature_, sample_, doc_, example_)                                                   \
  [NP_OP_##name_] = { .name = #name_, .family = "elementwise", .signature = signature_, .saves = "",                    \
    .marks = MARKS_##kind_, .infer = np_elementwise_infer, .run = np_elementwise_run,                  \
    .back = np_elementwise_back, .twin = np_elementwise_twin, .sample = sample_, .doc = doc_, .example = example_,       \
    .map = NP_OP_##name_, .kind = NP_KIND_##kind_ },
#define UNARY(name, kind, settings, f, dx, sample, doc, example) \
  ELEMENTWISE(name, kind, "x:operand " settings " -> y", sample, doc, example)
#define BINARY(name, kind, settings, f, dx, dz, sample, doc, example) \
  ELEMENTWISE(name, kind, "x:operand z:operand " settings " -> y", sample, doc, example)
#define TERNARY(name, kind, settings, f, dx, dz, dw, sample, doc, example) \
  ELEMENTWISE(name, kind, NP_TERNARY_##kind settings " -> y", sample, doc, example)
#define NP_TERNARY_N "x:operand z:operand w:operand "
#define NP_TERNARY_F NP_TERNARY_N
#define NP_TERNARY_W "condition:operand x:operand z:operand "
#define OP(name_, family_, signature_, saves_, marks_, infer_, run_, back_, twin_, sample_, doc_, example_)              \
  [NP_OP_##name_] = { .name = #name_, .family = #family_, .signature = signature_, .saves = saves_, .marks = marks_,     \
    .infer = np_##infer_, .run = np_##run_, .back = np_##back_, .twin = np_##twin_, .sample = sample_, .doc = doc_,      \
    .example = example_, .map = -1 },

const np_op np_ops[NP_OPS] = {
#include "elementwise.def"
#include "table.def"
};

int neap_op_count(void) { return NP_OPS; }

int neap_op_find(const char *name) {
  for (int i = 0; i < NP_OPS; i++)
    if (strcmp(np_ops[i].name, name) == 0) return i;
  return -1;
}

const neap_op_info *neap_op_about(neap_context *c, int op) {
  const np_signature *s = op >= 0 && op < NP_OPS ? np_op_signature(c, op) : NULL;
  return s ? &s->info : NULL;
}
