/* The state of one lua_State: opened with the module, closed by its finaliser, which is the last of ours to run. It owns
 * the context (or a reference to the host's), the metatables and the slots; see state.h for why there are slots. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "neap_lua.h"
#include "state.h"

static const char state_key; /* its address is the key in the registry */

nl_state *nl_state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  nl_state *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

/* ---- slots and userdata ---- */

void nl_release_slot(nl_slot *slot) {
  void *object = slot->object;
  slot->object = NULL;
  nl_unlink(slot);
  if (!object) return;
  switch ((nl_kind)slot->kind) {
  case NL_TENSOR: neap_release(object); break;
  case NL_MODULE: neap_module_release(object); break;
  case NL_OPTIMIZER: neap_optimizer_release(object); break;
  case NL_GENERATOR: neap_generator_release(object); break;
  case NL_WALK: neap_walk_end(object); break;
  case NL_JOB: neap_job_release(object); break;
  case NL_ARCHIVE: neap_archive_close(object); break;
  case NL_GUARD: case NL_KINDS: break;
  }
}

static void more_slots(lua_State *L, nl_state *s) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->blocks_ref);
  nl_block *b = lua_newuserdatauv(L, sizeof *b, 0);
  memset(b, 0, sizeof *b);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
  b->next = s->blocks;
  s->blocks = b;
  for (int i = NL_BLOCK - 1; i >= 0; i--) {
    b->slot[i].next = s->free;
    s->free = &b->slot[i];
  }
}

void nl_check_open(lua_State *L, const nl_state *s) {
  if (NL_UNLIKELY(!s->ctx)) luaL_error(L, "neap is closed: the Lua state that it lived in is being closed");
}

nl_state *nl_open(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_check_open(L, s);
  return s;
}

nl_slot *nl_new_with(lua_State *L, nl_state *s, nl_kind kind, int meta) {
  nl_check_open(L, s);
  nl_enter(L, s);
  nl_box *u = lua_newuserdatauv(L, sizeof *u, kind != NL_TENSOR); /* tensors are many, and need no user value */
  *u = (nl_box){NULL, &s->meta_ref[kind]};
  if (NL_UNLIKELY(!s->free)) { /* without a metatable yet: nothing to finalise when this raises */
    u->magic = NULL;
    more_slots(L, s);
    u->magic = &s->meta_ref[kind];
  }
  nl_slot *slot = s->free;
  s->free = slot->next;
  *slot = (nl_slot){.kind = (uint8_t)kind};
  u->slot = slot;
  lua_pushvalue(L, meta);
  lua_setmetatable(L, -2);
  return slot;
}

nl_slot *nl_new(lua_State *L, nl_state *s, nl_kind kind) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->meta_ref[kind]);
  nl_slot *slot = nl_new_with(L, s, kind, lua_gettop(L));
  lua_remove(L, -2);
  return slot;
}

static int collect_userdata(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_box *u = lua_touserdata(L, 1);
  nl_slot *slot = u && lua_rawlen(L, 1) == sizeof *u ? u->slot : NULL;
  if (NL_UNLIKELY(!slot)) return 0;
  u->slot = NULL;
  u->magic = NULL;
  if (slot->kind == NL_GUARD) nl_guard_close(L, s, slot, 0);
  else nl_release_slot(slot);
  s->hooked -= (slot->marks & NL_HOOKED) != 0;
  slot->next = s->free;
  s->free = slot;
  return 0;
}

static const char *const kind_names[NL_KINDS] = {
  "neap.Tensor", "neap.Module", "neap.Optimizer", "neap.Generator", "neap.Walk", "neap.Job", "neap.Archive", "neap.Guard",
};

int nl_gone(lua_State *L, nl_state *s, const nl_slot *slot, const char *what) {
  if (slot && slot->marks & NL_CLOSED)
    return nl_fail(L, s, "%s: this tensor was released when its scope closed, at %s:%d (scope:keep(x) lets it live on)", what,
                   slot->file, (int)slot->line);
  return nl_fail(L, s, "%s: this %s was released by free() or close()", what, slot ? kind_names[slot->kind] + 5 : "object");
}

void *nl_check(lua_State *L, nl_state *s, int index, nl_kind kind) {
  nl_slot *slot = nl_slot_at(L, s, index, kind);
  if (NL_LIKELY(slot && slot->object)) return slot->object;
  lua_Debug ar = {0};
  if (lua_getstack(L, 0, &ar)) lua_getinfo(L, "n", &ar);
  const char *name = ar.name ? ar.name : "?";
  if (slot) nl_gone(L, s, slot, name);
  nl_fail(L, s, "%s: argument %d must be a %s, got %s", name, index, kind_names[kind], nl_describe(L, s, index));
  return NULL;
}

/* ---- functions and metatables ---- */

void nl_functions(lua_State *L, const luaL_Reg *list) {
  nl_push_state(L);
  luaL_setfuncs(L, list, 1);
}

void nl_push_state(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key); }

void nl_methods(lua_State *L, nl_state *s, nl_kind kind) {
  nl_metatable(L, s, kind);
  lua_getfield(L, -1, "methods");
  lua_remove(L, -2);
}

void nl_metatable(lua_State *L, nl_state *s, nl_kind kind) { lua_rawgeti(L, LUA_REGISTRYINDEX, s->meta_ref[kind]); }

static void make_metatables(lua_State *L, nl_state *s, int state) {
  for (int kind = 0; kind < NL_KINDS; kind++) {
    lua_createtable(L, 0, 16);
    lua_pushstring(L, kind_names[kind]);
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, state);
    lua_pushcclosure(L, collect_userdata, 1);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    lua_setfield(L, -2, "methods");
    s->meta_ref[kind] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
}

/* ---- the context ---- */

static void log_line(void *user, int level, const char *text) {
  (void)user;
  (void)level;
  fprintf(stderr, "neap: warning: %s\n", text);
}

enum { MOST_THREADS = 1024 };

static int cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int n = CPU_COUNT(&set);
  return n > 0 ? n : 1;
}

static neap_context *open_context(void) {
  const char *threads = getenv("NEAP_NUM_THREADS"), *isa = getenv("NEAP_ISA"), *blas = getenv("NEAP_BLAS");
  long n = threads && *threads ? strtol(threads, NULL, 10) : cores();
  if (n < 1) n = cores();
  if (n > MOST_THREADS) n = MOST_THREADS;
  int own = blas && strcmp(blas, "none") == 0;
  neap_config config = {
    .threads = (int)n - 1, .spin_us = 50, .log = log_line, .isa = isa && *isa ? isa : NULL,
    .blas = own ? NULL : nl_blas(), .lapack = own ? NULL : nl_lapack(),
  };
  return neap_open(&config);
}

static int close_state(lua_State *L) {
  nl_state *s = lua_touserdata(L, 1);
  neap_context *c = s->ctx;
  s->ctx = NULL;
  for (nl_block *b = s->blocks; b; b = b->next)
    for (int i = 0; i < NL_BLOCK; i++) nl_release_slot(&b->slot[i]);
  if (c) {
    neap_set_site(c, NULL);
    if (s->guards) neap_grad_mode(c, s->base_grad);
    neap_close(c);
  }
  s->guards = NULL;
  s->blocks = NULL;
  return 0;
}

static int weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  if (mode) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

nl_state *nl_state_open(lua_State *L, neap_context *c) {
  luaL_checkstack(L, 20, NULL);
  nl_state *s = lua_newuserdatauv(L, sizeof *s, 0);
  int state = lua_gettop(L);
  memset(s, 0, sizeof *s);
  s->grad = s->base_grad = 1;
  s->soft_limit = 0;
  s->site.base = 1;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_state);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, state);
  s->ctx = c ? neap_retain_context(c) : open_context();
  if (!s->ctx) luaL_error(L, "neap: no memory for a context");
  if (!c && neap_error(s->ctx)) luaL_error(L, "neap: %s", neap_error_message(s->ctx)); /* NEAP_ISA, NEAP_NUM_THREADS */
  if (c) {
    s->base_grad = s->grad = neap_grad_mode(c, 1);
    neap_grad_mode(c, s->grad);
  }
  s->anchors_ref = weak_table(L, "k");
  s->entries_ref = weak_table(L, "v");
  s->params_ref = weak_table(L, "v");
  s->names_ref = weak_table(L, NULL);
  s->blocks_ref = weak_table(L, NULL);
  s->stacks_ref = weak_table(L, "k");
  s->spelt_ref = weak_table(L, "k");
  s->glue_ref = weak_table(L, NULL);
  lua_pushliteral(L, "");
  s->error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  make_metatables(L, s, state);
  if (neap_error(s->ctx) != NEAP_OK) nl_raise(L, s); /* a variable that says what this machine has not */
  lua_settop(L, state);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  return s;
}

/* ---- what hosts see ---- */

neap_context *neap_lua_context(lua_State *L) {
  nl_state *s = nl_state_of(L);
  return s ? s->ctx : NULL;
}

static nl_state *must_be_open(lua_State *L) {
  nl_state *s = nl_state_of(L);
  if (!s) luaL_error(L, "neap is not open in this state: call luaopen_neap or neap_lua_open first");
  return s;
}

void neap_lua_push(lua_State *L, neap_tensor *t) {
  nl_state *s = must_be_open(L);
  if (!t) lua_pushnil(L);
  else nl_fill(L, s, nl_new(L, s, NL_TENSOR), neap_retain(t));
}

neap_tensor *neap_lua_check(lua_State *L, int index) { return nl_check_tensor(L, must_be_open(L), index); }

neap_module *neap_lua_check_module(lua_State *L, int index) { return nl_check(L, must_be_open(L), index, NL_MODULE); }
