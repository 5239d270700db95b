/* First values of tensors: nn.init's functions that are C's, which fill in place and record nothing. */
#include "state.h"

enum { UNIFORM, NORMAL, CONSTANT, TRUNC_NORMAL, XAVIER_UNIFORM, XAVIER_NORMAL, KAIMING_UNIFORM, KAIMING_NORMAL, ORTHOGONAL };
static const char *const ways[] = {"uniform", "normal", "constant", "trunc_normal", "xavier_uniform", "xavier_normal",
                                   "kaiming_uniform", "kaiming_normal", "orthogonal", NULL};

static int fill(neap_tensor *t, int way, neap_generator *g, const double *a, const char *nonlinearity) {
  int mode = a[1] != 0 ? NEAP_FAN_OUT : NEAP_FAN_IN;
  switch (way) {
  case UNIFORM: return neap_init_uniform(t, a[0], a[1], g);
  case NORMAL: return neap_init_normal(t, a[0], a[1], g);
  case CONSTANT: return neap_init_constant(t, a[0]);
  case TRUNC_NORMAL: return neap_init_trunc_normal(t, a[0], a[1], a[2], a[3], g);
  case XAVIER_UNIFORM: return neap_init_xavier_uniform(t, a[0], g);
  case XAVIER_NORMAL: return neap_init_xavier_normal(t, a[0], g);
  case KAIMING_UNIFORM: return neap_init_kaiming_uniform(t, a[0], mode, nonlinearity, g);
  case KAIMING_NORMAL: return neap_init_kaiming_normal(t, a[0], mode, nonlinearity, g);
  default: return neap_init_orthogonal(t, a[0], g);
  }
}

/* init_fill(way, tensor, generator or nil, up to four numbers, nonlinearity): the numbers in the order of neap.h; for kaiming
   the second is 0 for fan_in, 1 for fan_out. */
static int init_fill(lua_State *L) {
  nl_state *s = nl_open(L);
  int way = luaL_checkoption(L, 1, NULL, ways), tries = 0, status;
  double a[4];
  lua_settop(L, 8);
  neap_tensor *t = nl_check_tensor(L, s, 2);
  neap_generator *g = lua_isnil(L, 3) ? NULL : nl_check(L, s, 3, NL_GENERATOR);
  for (int i = 0; i < 4; i++) a[i] = luaL_optnumber(L, 4 + i, 0);
  const char *nonlinearity = luaL_optstring(L, 8, "leaky_relu");
  for (;;) {
    nl_set_site(L, s);
    status = fill(t, way, g, a, nonlinearity);
    nl_site_done(s);
    if (status == NEAP_OK) return 0;
    if (!nl_retry(L, s, &tries)) return nl_raise(L, s);
  }
}

static int gain(lua_State *L) { /* gain(nonlinearity, parameter = 0.01) */
  nl_state *s = nl_open(L);
  double value = neap_gain(s->ctx, luaL_checkstring(L, 1), luaL_optnumber(L, 2, 0.01));
  if (neap_error(s->ctx) != NEAP_OK) return nl_raise(L, s);
  lua_pushnumber(L, value);
  return 1;
}

void nl_open_init(lua_State *L, nl_state *s) {
  static const luaL_Reg functions[] = {{"init_fill", init_fill}, {"gain", gain}, {NULL, NULL}};
  (void)s;
  nl_functions(L, functions);
}
