/* Modules: a row of the layer table with its settings bound, its parameters and buffers, and its children.
 *
 * A module owns what it holds (np_hold: no scope drops it), and a parent its children. Each child's level is above its
 * parent's and below NP_MAX_DEPTH, so that no tree holds itself, and walks may recurse by depth; within a container they are
 * loops. The layers themselves are in the family files, named in layers.def; every computation in them is a recorded op.
 *
 * A size that was left out (the input's channels) comes from the first input: until then the module waits, without parts,
 * and whoever asks for its parameters is told so. */
#ifndef NP_MODULE_H
#define NP_MODULE_H

#include <string.h>
#include "op.h"

enum { NP_MAX_DEPTH = 64, NP_MAX_PATH = 1024, NP_MAX_PART_NAME = 40 };

typedef struct np_layer {
  const char *name, *signature, *doc, *example;
  const char *call;       /* what forward takes and gives, as an op's signature: "x:tensor -> y" */
  int op, inputs;         /* of a layer that is one op: its settings are the op's after the first `inputs`; else op is -1 */
  /* Checks settings, makes parts and children; a status. in: NULL when the module is made, the inputs when it waited. */
  int (*setup)(neap_module *m, const neap_value *in);
  /* in: bound to `call`. The first output, or NULL and an error; the others go to more, which is cleared (NULL: not
   * asked for). What is made on the way hangs in a scope, so nothing needs to be released. */
  neap_tensor *(*forward)(neap_module *m, const neap_value *in, neap_tensor **more);
} np_layer;

typedef struct np_part { /* a parameter or a buffer */
  char name[NP_MAX_PART_NAME];
  neap_tensor *t;
  uint8_t buffer;
} np_part;

typedef struct np_child {
  neap_module *m;
  const char *name; /* NULL: by its place in a Sequential; lives as long as the program */
  int place;        /* in a list of that name; -1: it stands alone */
  int activation;   /* of a Linear whose successor is an activation that its op can apply: that choice, else -1 */
} np_child;

struct neap_module {
  neap_context *ctx;
  const np_layer *row;
  const np_signature *sig, *call;
  int layer, refs, training, waiting, level;
  int n_parts, n_children, room_parts, room_children;
  neap_dtype dtype;            /* of parameters that are still to be made */
  neap_value arg[NP_MAX_ARGS]; /* the settings; lists and texts lie in kept; a tensor among them is a buffer of the same name */
  char *kept;
  size_t kept_bytes;
  np_part *part;
  np_child *child;
  const struct np_spelling *spelling; /* the children's paths where it last ran: see paths.c */
};

/* table.c */
const np_layer *np_layer_row(int layer);
const np_signature *np_layer_signature(neap_context *c, int layer); /* the settings */
const np_signature *np_layer_call(neap_context *c, int layer);      /* what forward takes and gives */
const neap_layer_info *np_layer_info_of(const np_signature *settings);
const char *np_fused_activation(const neap_module *m, int *length); /* plain.c: the op's name, when it is a plain activation */

/* plain.c: of every OP_LAYER */
int np_op_setup(neap_module *m, const neap_value *in);
neap_tensor *np_op_forward(neap_module *m, const neap_value *in, neap_tensor **more);

/* forms.c: parts are not yet filled; a parameter requires a gradient. NULL or nonzero: an error is pending. */
neap_tensor *np_add_part(neap_module *m, const char *name, int ndim, const int64_t *shape);
neap_tensor *np_add_buffer(neap_module *m, const char *name, neap_dtype d, int ndim, const int64_t *shape);
int np_add_child(neap_module *m, const char *name, int place, neap_module *child); /* takes the reference, even when it fails */
static inline neap_tensor *np_part_of(const neap_module *m, int i) { return i < m->n_parts ? m->part[i].t : NULL; }
static inline int64_t np_set_i(const neap_module *m, int i) { return m->arg[i].i; }
static inline double np_set_d(const neap_module *m, int i) { return m->arg[i].d; }
static inline int np_set_given(const neap_module *m, int i) { return m->arg[i].kind != NEAP_NONE; }
/* module.c */
int np_layer_fail(const neap_module *m, neap_status s, const char *format, ...) NP_PRINTF(3, 4); /* "Linear: ..." */
int np_is_sequential(const neap_module *m);

/* For copies (clone.c): a module of m's row, settings and mode without parts and children; a part named and marked as p. */
neap_module *np_module_like(const neap_module *m);
int np_take_part(neap_module *m, const np_part *p, neap_tensor *t);

/* parts.c: what setups are made of. */
/* Setting i, a size: when it was left out, dimension `axis` of the first input (negative: from the end). 1: setup ends here,
 * because the module waits for its first input, or because that does not have the dimension. */
int np_waits(neap_module *m, int i, const neap_value *in, int axis);
static inline int np_name_dims(const neap_module *m) { return m->row->name[strlen(m->row->name) - 2] - '0'; } /* 2 of a Conv2d */
int np_at_least(neap_module *m, int i, int64_t least);                 /* of an integer setting */
int np_probability(neap_module *m, int i);
int np_uniform_part(neap_module *m, const char *name, int ndim, const int64_t *shape, double bound); /* U(-bound, bound) */
int np_constant_part(neap_module *m, const char *name, int ndim, const int64_t *shape, double value);
/* A child that is a new layer of that name, its parameters of m's dtype. */
int np_make_child(neap_module *m, const char *name, int place, const char *layer, int n, const neap_value *settings);
double np_fan_bound(int64_t fan_in); /* 1 / sqrt(fan_in): kaiming_uniform with a = sqrt(5) */

/* forward.c */
int np_module_run(neap_module *m, int n, const neap_value *args, neap_tensor **out); /* binds; out: one entry an output, or NULL */
neap_tensor *np_module_run1(neap_module *m, neap_tensor *x); /* of a layer that one tensor suffices for: its first output */
/* Child i of a container on x, together with the activation behind it when that is fused into it. */
neap_tensor *np_child_forward(neap_module *m, int i, neap_tensor *x);
static inline int np_child_steps(const neap_module *m, int i) { return m->child[i].activation >= 0 ? 2 : 1; }
/* Child i of a layer, named in errors by its place there: as np_module_run and np_module_run1. */
int np_child_run(neap_module *m, int i, int n, const neap_value *args, neap_tensor **out);
neap_tensor *np_child_run1(neap_module *m, int i, neap_tensor *x);
static inline neap_value np_given_tensor(neap_tensor *t) { /* NULL: not given */
  return (neap_value){.kind = t ? NEAP_TENSOR : NEAP_NONE, .t = t};
}

/* paths.c: how errors name the children of the container that stands at `own` ("" or NULL: the root): "body.2", or as a
 * script counts and writes, "body[3]". They live as long as the context, for records keep them. NULL: no memory. */
typedef struct np_spelling {
  np_signature kept; /* first: see ops/keep.c */
  int base, n;
  const np_layer *row; /* NULL: of a Sequential; else whose children have these names */
  size_t stride;
  const char *first; /* child i's is at first + i * stride */
  char own[];
} np_spelling;
const np_spelling *np_spell(const neap_module *m, const char *own);
void np_child_text(np_text *t, const np_child *k, int i, const char *own, int base);
static inline const char *np_child_path(const np_spelling *s, int i) { return s->first + (size_t)i * s->stride; }

/* A mark on handles while a walk over a tree or a list is at work; never left behind. */
enum { NP_VISITED = 1 << 15 };

/* ops/keep.c */
const np_signature *np_signature_kept(neap_context *c, const char *family, const char *name);
int np_signature_keep(neap_context *c, np_signature *s); /* taken; nonzero: no memory, and s is freed */

#endif
