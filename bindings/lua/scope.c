/* Scopes and gradient modes. Both are guards: userdata that belong to the coroutine that opened them, in one list with
 * the youngest first, and end by close(), by `<close>`, or when collected. What is in force is found again only when
 * another coroutine calls, and costs a test of a pointer while no guard is open. A scope is also the list of the tensors
 * made in it. A guard keeps its coroutine alive, so that no new one can take its address. */
#include <string.h>
#include "state.h"

enum { SCOPE = -1 }; /* line of a guard: this, or the mode 0 or 1 */

void nl_switch(lua_State *L, nl_state *s) {
  int grad = -1;
  s->current = L;
  s->scope = NULL;
  for (nl_slot *g = s->guards; g; g = g->next) {
    if (g->owner != L) continue;
    if (g->line == SCOPE && !s->scope) s->scope = g;
    else if (g->line != SCOPE && grad < 0) grad = g->line;
  }
  s->grad = grad < 0 ? s->base_grad : grad;
  neap_grad_mode(s->ctx, s->grad);
}

/* Makes a guard and puts it on top of the stack. */
static nl_slot *open_guard(lua_State *L, nl_state *s, int what) {
  nl_slot *g = nl_new(L, s, NL_GUARD);
  lua_pushthread(L);
  lua_setiuservalue(L, -2, 1);
  g->owner = L;
  g->line = what;
  g->next = s->guards;
  g->link = &s->guards;
  if (g->next) g->next->link = &g->next;
  s->guards = g;
  nl_switch(L, s);
  return g;
}

/* Ends a guard. The tensors of a scope are released, or just let go when it was collected without being closed. */
void nl_guard_close(lua_State *L, nl_state *s, nl_slot *g, int release) {
  if (!g->link) return;
  nl_unlink(g);
  nl_slot *first = g->first;
  g->first = NULL;
  g->next = NULL;
  for (nl_slot *t = first, *next; t; t = next) {
    next = t->next;
    t->link = NULL;
    t->next = NULL;
    if (!release) continue;
    nl_release_slot(t);
    t->marks |= NL_CLOSED;
    t->file = s->site.file ? s->site.file : "?";
    t->line = s->site.line;
  }
  if (s->ctx) nl_switch(L, s);
}

static nl_slot *guard_at(lua_State *L, nl_state *s, const char *what) {
  nl_slot *g = nl_slot_at(L, s, 1, NL_GUARD);
  if (!g) nl_fail(L, s, "%s: needs the scope or mode itself: s:%s(...)", what, what);
  return g;
}

static int guard_close(lua_State *L) {
  nl_state *s = nl_up(L);
  nl_slot *g = guard_at(L, s, "close");
  if (!g->link) return 0;
  nl_locate(L, s);
  nl_guard_close(L, s, g, 1);
  return 0;
}

/* ---- keeping ---- */

static nl_slot *outer_scope(const nl_slot *g) {
  if (!g) return NULL;
  for (nl_slot *o = g->next; o; o = o->next)
    if (o->owner == g->owner && o->line == SCOPE) return o;
  return NULL;
}

void nl_join(nl_slot *t, nl_slot *scope) {
  t->next = scope->first;
  t->link = &scope->first;
  t->scope = scope;
  if (t->next) t->next->link = &t->next;
  scope->first = t;
}

static void keep_one(lua_State *L, nl_state *s, const nl_slot *g, int index, int depth) {
  nl_slot *t = nl_slot_at(L, s, index, NL_TENSOR);
  if (t) {
    if (!t->link || (g && t->scope != g)) return; /* it outlives g already */
    nl_unlink(t);
    nl_slot *outer = outer_scope(g);
    if (outer) nl_join(t, outer);
  } else if (lua_istable(L, index) && depth < 16) {
    luaL_checkstack(L, 8, NULL);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) keep_one(L, s, g, lua_gettop(L), depth + 1);
  }
}

/* scope:keep(x, ...): tensors, also inside tables, that go on living when it closes. Returns them. */
static int scope_keep(lua_State *L) {
  nl_state *s = nl_up(L);
  const nl_slot *g = guard_at(L, s, "keep");
  int top = lua_gettop(L);
  if (!g->link || g->line != SCOPE) return nl_fail(L, s, "keep: this is not an open scope");
  for (int i = 2; i <= top; i++) keep_one(L, s, g, i, 0);
  return top - 1;
}

/* keep(x, ...): the same for all scopes that are open: only the collector ends them, or free(). */
static int keep(lua_State *L) {
  nl_state *s = nl_up(L);
  int top = lua_gettop(L);
  for (int i = 1; i <= top; i++) keep_one(L, s, NULL, i, 0);
  return top;
}

/* ---- what Lua calls ---- */

static int scope(lua_State *L) {
  open_guard(L, nl_up(L), SCOPE);
  return 1;
}

static int after_call(lua_State *L, int status, lua_KContext base) {
  (void)status;
  return lua_gettop(L) - (int)base;
}

/* no_grad() is a guard for `local _ <close> =`; no_grad(f, ...) calls f(...) under it. */
static int mode(lua_State *L, int on) {
  int n = lua_gettop(L);
  if (n == 0) {
    open_guard(L, nl_up(L), on);
    return 1;
  }
  luaL_checkany(L, 1);
  open_guard(L, nl_up(L), on);
  lua_insert(L, 1);
  lua_toclose(L, 1);
  lua_callk(L, n - 1, LUA_MULTRET, 1, after_call);
  return after_call(L, LUA_OK, 1);
}
static int no_grad(lua_State *L) { return mode(L, 0); }
static int enable_grad(lua_State *L) { return mode(L, 1); }

/* set_grad_enabled(on): for what follows, outside of all no_grad and enable_grad; returns what it was. */
static int set_grad_enabled(lua_State *L) {
  nl_state *s = nl_open(L);
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  lua_pushboolean(L, s->base_grad);
  s->base_grad = lua_toboolean(L, 1);
  nl_switch(L, s);
  return 1;
}

static int is_grad_enabled(lua_State *L) {
  nl_state *s = nl_open(L);
  nl_enter(L, s);
  lua_pushboolean(L, s->grad);
  return 1;
}

static int guard_text(lua_State *L) {
  const nl_slot *g = nl_slot_at(L, nl_up(L), 1, NL_GUARD);
  const char *what = !g || g->line == SCOPE ? "scope" : g->line ? "enable_grad" : "no_grad";
  lua_pushfstring(L, "neap.%s (%s)", what, g && g->link ? "open" : "closed");
  return 1;
}

void nl_open_scope(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {
    {"scope", scope}, {"keep", keep}, {"no_grad", no_grad}, {"enable_grad", enable_grad}, {"set_grad_enabled", set_grad_enabled},
    {"is_grad_enabled", is_grad_enabled}, {NULL, NULL},
  };
  static const luaL_Reg methods[] = {{"keep", scope_keep}, {"close", guard_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", guard_close}, {"__tostring", guard_text}, {NULL, NULL}};
  nl_functions(L, functions);
  nl_metatable(L, s, NL_GUARD);
  nl_functions(L, meta);
  lua_newtable(L);
  nl_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
