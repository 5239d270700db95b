/* A host with its own lua_State and its own context: it gives Neap the context, trains from Lua, reads the weights and the
 * loss from C, hands tensors of its own to Lua, and closes both in either order. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "check.h"

typedef struct counter { size_t live, most; } counter;

static void *count_alloc(void *user, size_t size, size_t align) {
  counter *c = user;
  void *p = aligned_alloc(align, (size + align - 1) / align * align);
  if (p) c->live += size;
  if (c->live > c->most) c->most = c->live;
  return p;
}

static void count_free(void *user, void *block, size_t size) {
  counter *c = user;
  c->live -= size;
  free(block);
}

static neap_context *open_context(counter *c) {
  neap_config config = {.user = c, .alloc = count_alloc, .dealloc = count_free, .no_pool = 1, .seed = 7};
  return neap_open(&config);
}

static lua_State *open_state(neap_context *c) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  neap_lua_open(L, c);
  lua_setglobal(L, "neap");
  return L;
}

static const char train[] =
  "local x = neap.tensor{{0, 0}, {0, 1}, {1, 0}, {1, 1}}\n"
  "local labels = neap.tensor({1, 2, 2, 1}, {dtype = 'int64'})\n"
  "net = neap.nn.Sequential(neap.nn.Linear(2, 8), neap.nn.Tanh(), neap.nn.Linear(8, 2))\n"
  "local adam = neap.optim.Adam(net:parameters(), {lr = 0.05})\n"
  "for _ = 1, 200 do\n"
  "  local scope <close> = neap.scope()\n"
  "  adam:zero_grad()\n"
  "  local loss = neap.cross_entropy(net(x), labels)\n"
  "  loss:backward()\n"
  "  adam:step()\n"
  "  last = loss:item()\n"
  "end\n"
  "out = net(x)\n";

static void trains_from_lua(void) {
  counter count = {0};
  neap_context *c = open_context(&count);
  lua_State *L = open_state(c);
  int good = run(L, train, 0);
  result("host: Lua trains in the host's context", good, "%s", good ? "" : lua_tostring(L, -1));
  lua_getglobal(L, "last");
  result("host: the net learns XOR", good && lua_tonumber(L, -1) < 0.05, "loss %g", lua_tonumber(L, -1));

  lua_getglobal(L, "net");
  neap_module *net = good ? neap_lua_check_module(L, -1) : NULL;
  neap_tensor *w = net ? neap_module_param(neap_module_child(net, 0), 0) : NULL;
  float values[16];
  int read = w && neap_count(w) == 16 && neap_copy_out(w, NEAP_F32, values) == NEAP_OK;
  result("host: C reads the weights", read && isfinite(values[0]) && neap_ndim(w) == 2, "no weight of 8 x 2");

  /* The same input through C gives what Lua got: labels count from 0 here. */
  const float corners[] = {0, 0, 0, 1, 1, 0, 1, 1};
  const int64_t shape[] = {4, 2};
  neap_tensor *x = neap_copy_in(c, NEAP_F32, 2, shape, corners), *y = net ? neap_forward(net, x) : NULL;
  neap_tensor *best = y ? neap_argmax(c, y, 1, 0) : NULL;
  int64_t classes[4] = {9, 9, 9, 9};
  if (best) neap_copy_out(best, NEAP_I64, classes);
  result("host: C predicts, counting from 0", classes[0] == 0 && classes[1] == 1 && classes[2] == 1 && classes[3] == 0,
         "%d %d %d %d", (int)classes[0], (int)classes[1], (int)classes[2], (int)classes[3]);

  neap_lua_push(L, x);
  lua_setglobal(L, "corners");
  neap_release(x);
  lua_test(L, "host: Lua gets a tensor of the host's", "assert(corners:sum():item() == 4 and corners[2][2]:item() == 1)");
  neap_release(y);
  neap_release(best);

  lua_getglobal(L, "out");
  neap_tensor *kept = neap_retain(neap_lua_check(L, -1));
  lua_close(L);
  result("host: a tensor outlives the Lua state", neap_error(c) == NEAP_OK && neap_count(kept) == 8, "it does not");
  neap_release(kept);
  size_t before = neap_memory(c).live; /* what the context itself keeps: signatures of what was used */
  L = open_state(c);
  good = run(L, train, 0);
  lua_close(L);
  result("host: the context works on after lua_close", good && neap_memory(c).live == before, "%zu bytes live, %zu before",
         neap_memory(c).live, before);
  neap_close(c);
  result("host: nothing is left", count.live == 0, "%zu bytes", count.live);
}

static void closes_first(void) {
  counter count = {0};
  neap_context *c = open_context(&count);
  lua_State *L = open_state(c);
  neap_close(c); /* Lua has a reference of its own */
  lua_test(L, "host: Lua's reference keeps the context", "local t = neap.ones(3, 3); assert((t + t):sum():item() == 18)");
  lua_close(L);
  result("host: nothing is left when the host closes first", count.live == 0, "%zu bytes", count.live);
}

static void two_states(void) {
  counter count = {0};
  neap_context *c = open_context(&count);
  lua_State *A = open_state(c), *B = open_state(c);
  int good = run(A, "x = neap.ones(3); return x", 1);
  neap_lua_push(B, neap_lua_check(A, -1));
  lua_setglobal(B, "x");
  lua_close(A);
  lua_test(B, "host: a tensor goes from one state to another", "assert(x:sum():item() == 3)");
  lua_close(B);
  neap_close(c);
  result("host: two states in one context leave nothing", good && count.live == 0, "%zu bytes", count.live);
}

static int bad_check(lua_State *L) {
  neap_lua_check(L, 1);
  return 0;
}

static void misuse(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushcfunction(L, bad_check);
  lua_pushinteger(L, 3);
  int status = lua_pcall(L, 1, 0, 0);
  result("host: neap_lua_check raises where Neap is not open", status == LUA_ERRRUN, "status %d", status);
  luaL_requiref(L, "neap", luaopen_neap, 0);
  lua_settop(L, 0);
  lua_pushcfunction(L, bad_check);
  lua_pushinteger(L, 3);
  status = lua_pcall(L, 1, 0, 0);
  result("host: and for what is no tensor", status == LUA_ERRRUN && strstr(lua_tostring(L, -1), "Tensor"), "%s", lua_tostring(L, -1));
  lua_close(L);
}

int main(void) {
  trains_from_lua();
  closes_first();
  two_states();
  misuse();
  return failures > 0;
}
