/* Modules: a row of the layer table with its settings bound, its parameters and buffers, and its children.
 *
 * A module owns what it holds (np_hold: no scope drops it), and a parent its children. Containers nest no deeper than
 * NP_MAX_DEPTH, so that walks over a tree may recurse by depth; within a container they are loops. The layers themselves
 * are in layers.def and in the family files; every computation in them is a recorded op. */
#ifndef NP_MODULE_H
#define NP_MODULE_H

#include "op.h"

enum { NP_MAX_PARTS = 4, NP_MAX_DEPTH = 64, NP_MAX_PATH = 1024 };

typedef struct np_layer {
  const char *name, *signature, *doc, *example;
  int op;                 /* of a layer that is one op: its settings are the op's after the first `inputs`; else -1 */
  int inputs;             /* tensors that forward takes */
  int (*setup)(neap_module *m);                                /* checks settings, makes parameters; a status */
  neap_tensor *(*forward)(neap_module *m, neap_tensor *const *x); /* one new reference, or NULL and an error */
} np_layer;

typedef struct np_part { /* a parameter or a buffer */
  const char *name;
  neap_tensor *t;
  uint8_t buffer;
} np_part;

typedef struct np_child {
  neap_module *m;
  int activation; /* of a Linear whose successor is an activation that its op can apply: that choice, else -1 */
} np_child;

struct neap_module {
  neap_context *ctx;
  const np_layer *row;
  const np_signature *sig;
  int layer, refs, training, depth;
  int n_parts, n_children, n_ints;
  neap_value arg[NP_MAX_ARGS]; /* the settings; lists lie in ints; a tensor among them is a buffer of the same name */
  int64_t *ints;
  np_part part[NP_MAX_PARTS];
  np_child *child;
  const struct np_spelling *spelling; /* the children's paths where it last ran: see paths.c */
};

/* table.c */
const np_layer *np_layer_row(int layer);
const np_signature *np_layer_signature(neap_context *c, int layer);
const char *np_fused_activation(const neap_module *m, int *length); /* plain.c: the op's name, when it is a plain activation */

/* plain.c: of every OP_LAYER */
int np_op_setup(neap_module *m);
neap_tensor *np_op_forward(neap_module *m, neap_tensor *const *x);

/* module.c: a part is float32 and not yet filled; a parameter requires a gradient. NULL: an error is pending. */
neap_tensor *np_add_part(neap_module *m, const char *name, int buffer, int ndim, const int64_t *shape);
static inline neap_tensor *np_part_of(const neap_module *m, int i) { return i < m->n_parts ? m->part[i].t : NULL; }
int np_layer_fail(const neap_module *m, neap_status s, const char *format, ...) NP_PRINTF(3, 4); /* "Linear: ..." */

/* forward.c: child i of a container on x, together with the activation behind it when that is fused into it. */
neap_tensor *np_child_forward(neap_module *m, int i, neap_tensor *x);
static inline int np_child_steps(const neap_module *m, int i) { return m->child[i].activation >= 0 ? 2 : 1; }

/* paths.c: how errors name the children of the container that stands at `own` ("" or NULL: the root): "body.2", or as a
 * script counts and writes, "body[3]". They live as long as the context, for records keep them. NULL: no memory. */
typedef struct np_spelling {
  np_signature kept; /* first: see ops/keep.c */
  int base, n;
  size_t stride;
  const char *first; /* child i's is at first + i * stride */
  char own[];
} np_spelling;
const np_spelling *np_spell(neap_context *c, const char *own, int n);
static inline const char *np_child_path(const np_spelling *s, int i) { return s->first + (size_t)i * s->stride; }

/* A mark on handles while a walk over a tree or a list is at work; never left behind. */
enum { NP_VISITED = 1 << 15 };

/* ops/keep.c */
const np_signature *np_signature_kept(neap_context *c, const char *family, const char *name);
int np_signature_keep(neap_context *c, np_signature *s); /* taken; nonzero: no memory, and s is freed */

#endif
