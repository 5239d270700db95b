/* Optimizers: a row of the rule table over groups of parameters.
 *
 * What a group adds is laid out once, as a flat line of elements for each of float32 and float64: parameters move there
 * (handles stay), gradients get a home there, state has its place there. So neighbours that are updated together are one
 * run of memory and one call of a fused kernel. Nothing depends on it being so: a parameter or gradient that lies elsewhere
 * (shared memory, a gradient that was assigned) is used where it lies, in a run of its own. */
#ifndef NP_OPTIM_H
#define NP_OPTIM_H

#include "op.h"
#include "update.h"

enum { NP_MAX_SLOTS = 3, NP_MAX_SCALARS = 2, NP_KINDS = 2 /* float32, float64 */, NP_LINE_ALIGN = 16 /* elements between starts */ };

/* ---- the rule table (rules.c, table.c) ---- */

typedef struct np_chunk { /* what one update works on; each pointer is to n elements */
  int64_t n, step;        /* step: 1 at a parameter's first */
  int first;              /* the state holds nothing yet */
  char *w, *slot[NP_MAX_SLOTS]; /* a slot not in use is NULL */
  const char *g;
  const double *scalar;   /* as the last update left them */
} np_chunk;

typedef struct np_entire { /* one parameter, row-major, for a rule that looks at all of it; a slot has its own shape */
  np_chunk all;
  const neap_value *set;
  int kind, ndim;
  const int64_t *shape;
  double sign;            /* -1: uphill */
} np_entire;

/* A rule has an update, elementwise and in blocks, or a whole, which gets one parameter at a time and takes care of its own
 * blocks. after moves a parameter's scalars on when all its elements are done. A rule with tell wants losses instead of
 * steps: see lbfgs.c. */
typedef struct np_rule {
  const char *name, *signature, *slots, *scalars;
  int dims;               /* only parameters with so many dimensions; 0: any */
  int (*check)(neap_context *c, const neap_value *set);
  void (*update)(const np_optim *k, const neap_value *set, const np_chunk *p);
  void (*after)(const neap_value *set, int64_t step, double *scalar);
  int (*whole)(neap_context *c, const np_entire *p);
  int (*tell)(neap_optimizer *o, double loss);
  const char *doc;
} np_rule;

enum { NP_SLOT_FULL, NP_SLOT_ROWS, NP_SLOT_COLS, NP_SLOT_FLAT }; /* see rules.def */

typedef struct np_rule_info {
  np_signature s; /* first: see ops/keep.c */
  neap_rule_info about;
  const char *slot[NP_MAX_SLOTS], *scalar[NP_MAX_SCALARS];
  int shape[NP_MAX_SLOTS];
  int needs[NP_MAX_SLOTS]; /* the setting that a slot depends on, or -1 */
  int from[NP_MAX_SCALARS]; /* the setting that a scalar begins as, or -1: start */
  double start[NP_MAX_SCALARS];
  int maximize;            /* that setting, or -1 */
  char text[];
} np_rule_info;

const np_rule *np_rule_row(int rule);
const np_rule_info *np_rule_about(neap_context *c, int rule); /* NULL: no memory */

/* ---- optimizers ---- */

typedef struct np_member {
  neap_tensor *t;      /* the parameter */
  neap_tensor *home;   /* where its gradient belongs: in the flat line */
  int64_t at, steps;   /* its first element in the line; updates so far */
  int64_t at_slot[NP_MAX_SLOTS];
  double scalar[NP_MAX_SCALARS];
  uint8_t kind, begun; /* 0 float32, 1 float64; its state holds something */
} np_member;

typedef struct np_line { /* of one kind */
  int64_t n;
  int64_t n_slot[NP_MAX_SLOTS];
  np_storage *w, *g, *slot[NP_MAX_SLOTS]; /* slots: made at the first step that needs them */
} np_line;

typedef struct np_group {
  int n;
  np_member *member;
  neap_value set[NP_MAX_ARGS];
  np_line line[NP_KINDS];
} np_group;

typedef struct np_lbfgs np_lbfgs;

struct neap_optimizer {
  neap_context *ctx;
  const np_rule *rule;
  const np_rule_info *info;
  int refs, n_groups, room;
  np_group **group;
  int at_group, at_member; /* how far the update at work has come */
  int64_t at_element;      /* within the run that starts there */
  np_lbfgs *lbfgs;         /* from its first step on */
};

neap_optimizer *np_optimizer_hold(neap_optimizer *o);
/* Whether a parameter has that slot; then its layout in the line. */
int np_slot_layout(const neap_optimizer *o, const np_group *g, const np_member *m, int slot, np_layout *l);
int np_make_slots(neap_optimizer *o, np_group *g); /* state that the settings ask for and that is not yet there */
void np_begin_scalars(const neap_optimizer *o, const np_group *g, np_member *m); /* before a parameter's first update */
static inline int64_t np_kind_size(int kind) { return kind ? 8 : 4; }

/* An update in pieces (step.c): begin checks and allocates, so that the pieces cannot fail on what is flat. advance does
 * at most `limit` elements of one run: 1 more, 0 done, negative an error. neap_optimizer_step is both without a limit. */
int np_update_begin(neap_optimizer *o);
int np_update_advance(neap_optimizer *o, int64_t limit);

void np_lbfgs_cancel(neap_optimizer *o); /* weights as they were before the search that is under way */
void np_lbfgs_free(neap_context *c, np_lbfgs *l);

double np_sum_squares(neap_context *c, int kind, const char *x, int64_t n); /* clip.c: in blocks, over the pool */

/* A mark on handles while a walk over a list is at work; never left behind. */
enum { NP_LISTED = 1 << 14 };

/* ops/keep.c */
const np_signature *np_signature_kept(neap_context *c, const char *family, const char *name);
int np_signature_keep(neap_context *c, np_signature *s); /* taken; nonzero: no memory, and s is freed */

#endif
