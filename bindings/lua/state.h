/* What the files of the Lua binding share: the state of one lua_State, the slots behind its userdata, and how calls are
 * bound, blamed and accounted for.
 *
 * Rules that every function here keeps. Any lua_push* or lua_new* may jump: so a result's userdata is made before the
 * call that fills it, pointers to tensors are read from the stack only after the last thing that can allocate, and no
 * malloc'd block is held across one that can raise. A userdata is a pointer to a slot, and slots live in blocks of their
 * own until the state closes: when Lua, out of memory, cannot even run a finaliser, the state still finds what to
 * release. One lua_State has one nl_state, the first upvalue of every function. */
#ifndef NL_LUA_STATE_H
#define NL_LUA_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <lauxlib.h>
#include <lua.h>
#include "neap.h"

#define NL_LIKELY(x) __builtin_expect(!!(x), 1)
#define NL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NL_ARRAY(a) ((int)(sizeof(a) / sizeof *(a)))

/* What a userdata of ours can be; each kind has its metatable. */
typedef enum nl_kind {
  NL_TENSOR, NL_MODULE, NL_OPTIMIZER, NL_GENERATOR, NL_WALK, NL_JOB, NL_ARCHIVE, NL_GUARD, NL_KINDS
} nl_kind;

enum { /* marks of a slot */
  NL_ANCHORED = 1, /* of a tensor: it keeps Lua functions that its history needs (autograd.c) */
  NL_CLOSED = 2,   /* released by a scope: file and line say where that ended */
  NL_FREED = 4,    /* released by free() or close() */
  NL_PARAMETER = 8, /* of a tensor: nn.Parameter made it, or a layer */
  NL_HOOKED = 16   /* a module with hooks: it counts in state.hooked */
};

typedef struct nl_slot {
  union {
    void *object;                /* neap_tensor *, neap_module *, ...; NULL: released */
    struct nl_slot *first;       /* of a scope: the first tensor in its list */
  };
  struct nl_slot *next, **link;  /* the list of its scope; next alone: the free list. Of a guard: the list of guards */
  union {
    const char *file;            /* of NL_CLOSED */
    struct nl_slot *scope;       /* of a tensor while link is set: in whose list it hangs */
    lua_State *owner;            /* of a guard: the coroutine that opened it */
  };
  int32_t line;                  /* of NL_CLOSED; of a guard for a gradient mode: the mode */
  uint8_t kind, marks;
} nl_slot;

enum { NL_BLOCK = 64 };
typedef struct nl_block {
  struct nl_block *next;
  nl_slot slot[NL_BLOCK];
} nl_block;

enum { NL_FILES = 64 };
typedef struct nl_source {       /* one entry of the cache of file names */
  const char *source, *file;     /* Lua's name for a chunk, ours */
  int own;                       /* a file of Neap's own */
} nl_source;

typedef struct nl_state {
  neap_context *ctx;             /* NULL once closed */
  neap_site site;                /* of the call at work: base 1 */
  int meta_ref[NL_KINDS];        /* the metatables; the address of an entry is the magic of its kind */
  nl_slot *free, *guards;        /* slots to use; open scopes and gradient modes, the youngest first */
  nl_slot *scope;                /* the innermost scope of coroutine `current`, or NULL */
  lua_State *current;            /* whose scope and mode are in force; counts while there are guards */
  int grad, base_grad;           /* gradient mode in force, and outside of all guards */
  int anomaly;                   /* backward looks for NaN */
  int64_t next_id;               /* of Lua functions in graphs */
  size_t debt, soft_limit;       /* bytes handed out since the last step of the collector; see memory.c */
  int collecting;
  nl_block *blocks;              /* all slots; the memory is Lua's, kept by blocks_ref */
  int anchors_ref;               /* tensor -> what its history needs of Lua; weak keys (autograd.c) */
  int entries_ref;               /* id of a Lua function in a graph -> its entry; weak (autograd.c) */
  int params_ref;                /* address of a parameter or module -> its userdata; weak */
  int names_ref;                 /* interned texts, each its own value */
  int blocks_ref, error_ref;     /* the blocks; the message last raised */
  int stacks_ref, spelt_ref;     /* see path.c */
  int glue_ref;                  /* functions that Lua lends to C */
  int paths, hooked;             /* Lua modules at work; modules of C with hooks */
  lua_State *path_of;            /* the coroutine whose path site.path is */
  nl_source files[NL_FILES];
  int home_length;               /* of the chunk names of Neap's own files: home is their common start */
  const char *home;
  void (*interrupted)(lua_State *L); /* the program's: an interrupt has become an error */
} nl_state;

/* ---- state.c ---- */
nl_state *nl_state_of(lua_State *L);                        /* NULL: Neap is not open in it */
nl_state *nl_state_open(lua_State *L, neap_context *c);     /* NULL context: opens one; leaves nothing on the stack */
void nl_push_state(lua_State *L);                           /* its userdata: an upvalue for a closure */
static inline nl_state *nl_up(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }
void nl_check_open(lua_State *L, const nl_state *s);        /* raises once closed: what has an object finds it gone, what has none asks here */
nl_state *nl_open(lua_State *L);                            /* nl_up, and this */
void nl_functions(lua_State *L, const luaL_Reg *list);      /* into the table on top; the state becomes upvalue 1 */
nl_slot *nl_new(lua_State *L, nl_state *s, nl_kind kind);   /* pushes a userdata whose object is NULL yet; enters */
nl_slot *nl_new_with(lua_State *L, nl_state *s, nl_kind kind, int meta); /* the same, its metatable being at index meta */
/* What lies in a userdata. The magic, an address inside of the state, tells its kind without a look at the metatable;
 * only what has just this size is looked at. */
typedef struct nl_box { nl_slot *slot; const void *magic; } nl_box;
/* The slot of a userdata of this kind, whatever its object; NULL for anything else. */
static inline nl_slot *nl_slot_at(lua_State *L, const nl_state *s, int index, nl_kind kind) {
  const nl_box *u = lua_touserdata(L, index);
  if (!u || lua_rawlen(L, index) != sizeof *u || u->magic != &s->meta_ref[kind]) return NULL;
  return u->slot;
}
void *nl_check(lua_State *L, nl_state *s, int index, nl_kind kind); /* its object; raises */
int nl_gone(lua_State *L, nl_state *s, const nl_slot *slot, const char *what); /* raises: used after its release */
void nl_release_slot(nl_slot *slot);                        /* drops the object; the slot stays */

/* ---- blame.c: which line, and errors ---- */
int nl_locate(lua_State *L, nl_state *s);                   /* fills site.file and line; 1: it allocated, read tensors again */
const char *nl_where(lua_State *L, nl_state *s);            /* pushes "file:line: " */
const char *nl_intern(lua_State *L, nl_state *s, const char *text); /* pushes a copy that lives as long as the state */
int nl_fail(lua_State *L, nl_state *s, const char *format, ...);    /* raises; format as lua_pushfstring's */
int nl_raise(lua_State *L, nl_state *s);                    /* raises the context's pending error, which it clears */
int nl_raise_in(lua_State *L, nl_state *s, const char *path); /* the same, of a call in the layer at path */
void nl_remember(lua_State *L, nl_state *s);                /* the message on top is Neap's: it needs no stack */
int nl_is_remembered(lua_State *L, nl_state *s, int message);
int nl_is_own_error(lua_State *L, nl_state *s, int message); /* in a message handler: whether it is */
int nl_system(lua_State *L, nl_state *s);                   /* nil, message, code for files; raises what is misuse */
const char *nl_describe(lua_State *L, nl_state *s, int index); /* pushes "a string ('x')" */
/* Pushes " (did you mean 'x'?)" or "" after comparing with names, which next(arg, i) gives until NULL. */
const char *nl_hint(lua_State *L, const char *word, const char *(*next)(const void *arg, int i), const void *arg);

/* ---- path.c ---- */
void nl_path_switch(lua_State *L, nl_state *s);             /* site.path becomes this coroutine's */
static inline void nl_path(lua_State *L, nl_state *s) {
  if (NL_UNLIKELY(s->paths != 0) && s->path_of != L) nl_path_switch(L, s);
}
void nl_path_forget(lua_State *L, nl_state *s);             /* nothing is at work in this coroutine: it was cut off */
const char *nl_path_of(lua_State *L, nl_state *s, int index); /* of the module of C at index; NULL: no Lua module is at work */

/* ---- memory.c: the collector's policy ---- */
enum { NL_STEP = 4 << 20, NL_HANDLE = 512, NL_RECORD = 1024 }; /* bytes between steps; of a tensor besides its elements; of a record */
void nl_settle(lua_State *L, nl_state *s);                  /* a step of the collector, or all of it past the soft limit */
/* bytes more are alive; may collect, so may run finalisers */
static inline void nl_account(lua_State *L, nl_state *s, size_t bytes) {
  s->debt += bytes + NL_HANDLE;
  if (NL_UNLIKELY(s->debt >= NL_STEP)) nl_settle(L, s);
}
void nl_collect(lua_State *L, nl_state *s);                 /* all of it, unless the collector is stopped */
/* After a call failed: 1 when it was for lack of memory and worth a second try, with garbage collected. */
int nl_retry(lua_State *L, nl_state *s, int *tries);
static inline void nl_account_growth(lua_State *L, nl_state *s, size_t before) {
  size_t now = neap_memory(s->ctx).live;
  nl_account(L, s, now > before ? now - before : 0);
}

/* ---- scope.c ---- */
void nl_switch(lua_State *L, nl_state *s);                  /* puts L's scope and mode in force */
void nl_guard_close(lua_State *L, nl_state *s, nl_slot *guard, int release);
static inline void nl_enter(lua_State *L, nl_state *s) {    /* at the start of whatever calls the runtime */
  if (NL_UNLIKELY(s->guards != NULL) && s->current != L) nl_switch(L, s);
}
void nl_join(nl_slot *slot, nl_slot *scope);
static inline void nl_unlink(nl_slot *slot) {
  if (slot->link) {
    *slot->link = slot->next;
    if (slot->next) slot->next->link = slot->link;
    slot->link = NULL;
  }
}

/* ---- tensor.c ---- */
static inline neap_tensor *nl_tensor_at(lua_State *L, const nl_state *s, int index, nl_slot **slot) {
  *slot = nl_slot_at(L, s, index, NL_TENSOR);
  return *slot ? (*slot)->object : NULL;
}
neap_tensor *nl_check_tensor(lua_State *L, nl_state *s, int index);
/* t (a reference, taken) becomes the object of a slot made by nl_new. May collect: call it with nothing in hand. */
void nl_fill(lua_State *L, nl_state *s, nl_slot *slot, neap_tensor *t);
/* The same without accounting. */
static inline void nl_set_slot(nl_state *s, nl_slot *slot, neap_tensor *t) {
  slot->object = t;
  if (NL_UNLIKELY(s->guards && s->scope)) nl_join(slot, s->scope);
}
void nl_push_param(lua_State *L, nl_state *s, neap_tensor *t);       /* borrowed; the same userdata each time while it lives */
void nl_set_site(lua_State *L, nl_state *s);                /* for calls without a site: base 1 and the line; nl_site_done after */
static inline void nl_site_done(nl_state *s) { neap_set_site(s->ctx, NULL); }
void nl_shape_string(lua_State *L, const neap_tensor *t);   /* pushes "(3, 4)" */

/* ---- bind.c: arguments from the signatures ---- */
enum { NL_ARGS = 16, NL_LIST = 64 };
typedef struct nl_binding {      /* how arguments of one row are bound: made once */
  const char *name;
  const neap_param *params;
  int n_params, lists;           /* lists: some parameter is a list */
  uint8_t extra;                 /* NL_X_* */
} nl_binding;
enum { NL_X_BASE = 1, NL_X_REQUIRES_GRAD = 2 }; /* options that an op has besides its parameters */
typedef struct nl_args {
  neap_value value[NL_ARGS];
  int n;                         /* values, up to the last one given */
  int needs_grad, anchored;      /* some tensor requires a gradient; keeps Lua functions */
  int base, requires_grad;       /* the extra options */
  int n_ints, n_tensors, room;   /* used of the lists below, or of scratch: room entries each */
  int64_t *ints, int_list[NL_LIST];
  neap_tensor **tensors, *tensor_list[NL_LIST];
  char number[32];               /* one given for a text */
} nl_args;
/* Room for the lists in arguments first .. top: may allocate, so it comes before nl_bind. Pushes one value. */
void nl_bind_room(lua_State *L, const nl_binding *b, int first, int top, nl_args *a);
/* Arguments first .. top against the parameters; raises. Allocates nothing unless it raises. */
void nl_bind(lua_State *L, nl_state *s, const nl_binding *b, int first, int top, nl_args *a);
int nl_to_dtype(lua_State *L, int index);                   /* a dtype by any of its names, or -1 */
int nl_is_options(lua_State *L, int index);                 /* a table with string keys only, one at least */
void nl_push_value(lua_State *L, nl_state *s, const neap_param *p, const neap_value *v);

/* ---- autograd.c ---- */
/* Lets the tensor userdata at `result` keep what the tensors at first .. last (also in tables) keep. */
void nl_inherit(lua_State *L, nl_state *s, int result, int first, int last);

/* ---- module.c, module_tree.c ---- */
/* Push the userdata of a module or of a parameter of one, borrowed; the module at index holder (0: none) keeps it. */
void nl_push_module(lua_State *L, nl_state *s, neap_module *m, int holder);
void nl_push_param_of(lua_State *L, nl_state *s, neap_tensor *t, int buffer, int holder);
void nl_open_tree(lua_State *L, int neap);

/* ---- what each file adds to the module: the module's table is on top, and stays ---- */
void nl_open_ops(lua_State *L, nl_state *s);
void nl_open_tensor(lua_State *L, nl_state *s);
void nl_open_data(lua_State *L, nl_state *s);
void nl_open_scope(lua_State *L, nl_state *s);
void nl_open_autograd(lua_State *L, nl_state *s);
void nl_open_module(lua_State *L, nl_state *s);
void nl_open_optimizer(lua_State *L, nl_state *s);
void nl_open_init(lua_State *L, nl_state *s);
void nl_open_files(lua_State *L, nl_state *s);
void nl_open_path(lua_State *L, nl_state *s);
void nl_open_memory(lua_State *L, nl_state *s);
void nl_open_system(lua_State *L, nl_state *s);
void nl_metatable(lua_State *L, nl_state *s, nl_kind kind); /* pushes it */
void nl_methods(lua_State *L, nl_state *s, nl_kind kind);   /* pushes the table of a kind's methods and fields */

/* ---- blas.c ---- */
const neap_blas *nl_blas(void);                             /* OpenBLAS, or NULL */
const neap_lapack *nl_lapack(void);                         /* lapack.c: its LAPACK, or NULL */
void nl_blas_info(lua_State *L);                            /* adds fields to the table on top */

#endif
