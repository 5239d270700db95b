/* Files: safetensors, IDX and PNG. What the system or a file's bytes refuse comes back as nil, message, code; misuse
 * raises. In the table of neap.core: save(path, tensors, metadata?), load(path) -> tensors, metadata; read_file(path) -> a
 * string; read_bytes(path), read_idx(path), read_png(path), write_png(path, image), map_file(path, dtype, offset, shape). */
#include <string.h>
#include "state.h"

typedef struct pairs { const char **name, **meta; neap_tensor **t; int n, n_meta; } pairs;

static int count_pairs(lua_State *L, int table) {
  int n = 0;
  if (!lua_istable(L, table)) return 0;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    n++;
    lua_pop(L, 1);
  }
  return n;
}

static const char *word(lua_State *L, nl_state *s, int index, const char *what) {
  size_t n;
  if (lua_type(L, index) != LUA_TSTRING) {
    const char *got = nl_describe(L, s, index);
    nl_fail(L, s, "save: %s must be a string, got %s", what, got);
  }
  const char *text = lua_tolstring(L, index, &n);
  if (strlen(text) != n) nl_fail(L, s, "save: %s has a zero byte in it", what);
  return text;
}

static void read_pairs(lua_State *L, nl_state *s, pairs *p) {
  p->n = p->n_meta = 0;
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    nl_slot *slot;
    p->name[p->n] = word(L, s, -2, "a name");
    p->t[p->n] = nl_tensor_at(L, s, -1, &slot);
    if (!p->t[p->n]) {
      if (slot) nl_gone(L, s, slot, "save");
      const char *got = nl_describe(L, s, -1);
      nl_fail(L, s, "save: '%s' is %s, not a tensor", p->name[p->n], got);
    }
    p->n++;
    lua_pop(L, 1);
  }
  if (!lua_istable(L, 3)) return;
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    p->meta[2 * p->n_meta] = word(L, s, -2, "a name in the metadata");
    p->meta[2 * p->n_meta + 1] = word(L, s, -1, "a value in the metadata");
    p->n_meta++;
    lua_pop(L, 1);
  }
}

static int save(lua_State *L) {
  nl_state *s = nl_open(L);
  const char *path = luaL_checkstring(L, 1);
  pairs p;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  size_t n = (size_t)count_pairs(L, 2), m = (size_t)count_pairs(L, 3);
  const char **room = lua_newuserdatauv(L, (2 * n + 2 * m + 1) * sizeof *room, 0);
  p.name = room;
  p.meta = room + n;
  p.t = (neap_tensor **)(void *)(room + n + 2 * m);
  nl_set_site(L, s);
  read_pairs(L, s, &p);
  int status = neap_save(s->ctx, path, p.n, p.name, p.t, p.n_meta, p.meta);
  nl_site_done(s);
  if (status != NEAP_OK) return nl_system(L, s);
  lua_pushboolean(L, 1);
  return 1;
}

static int load(lua_State *L) {
  nl_state *s = nl_up(L);
  const char *path = luaL_checkstring(L, 1);
  nl_slot *slot = nl_new(L, s, NL_ARCHIVE);
  nl_set_site(L, s);
  neap_archive *a = slot->object = neap_archive_open(s->ctx, path);
  nl_site_done(s);
  if (!a) return nl_system(L, s);
  int n = neap_archive_count(a), m = neap_archive_meta_count(a);
  lua_createtable(L, 0, n);
  int tensors = lua_gettop(L);
  size_t bytes = 0;
  for (int i = 0; i < n; i++) {
    lua_pushstring(L, neap_archive_name(a, i));
    nl_slot *one = nl_new(L, s, NL_TENSOR);
    neap_tensor *t = neap_archive_tensor(a, i);
    if (!t) return nl_system(L, s);
    nl_set_slot(s, one, t);
    bytes += (size_t)neap_bytes(t) + NL_HANDLE;
    lua_rawset(L, tensors);
  }
  lua_createtable(L, 0, m);
  for (int i = 0; i < m; i++) {
    const char *value = NULL, *name = neap_archive_meta(a, i, &value);
    lua_pushstring(L, value);
    lua_setfield(L, tensors + 1, name);
  }
  nl_release_slot(slot);
  nl_account(L, s, bytes);
  return 2;
}

/* A reader of one tensor. */
static int read_one(lua_State *L, neap_tensor *(*read)(neap_context *c, const char *path)) {
  nl_state *s = nl_up(L);
  const char *path = luaL_checkstring(L, 1);
  int tries = 0;
  nl_slot *slot = nl_new(L, s, NL_TENSOR);
  neap_tensor *t;
  while (!(t = read(s->ctx, path)))
    if (!nl_retry(L, s, &tries)) return nl_system(L, s);
  nl_fill(L, s, slot, t);
  return 1;
}
static int read_idx(lua_State *L) { return read_one(L, neap_read_idx); }
static int read_png(lua_State *L) { return read_one(L, neap_read_png); }

static int read_bytes(lua_State *L) { return read_one(L, neap_read_bytes); }

/* read_file(path): the bytes of a file, plain or gzip, as a string. */
static int read_file(lua_State *L) {
  int results = read_one(L, neap_read_bytes);
  if (results != 1) return results;
  nl_state *s = nl_up(L);
  neap_tensor *t = nl_check_tensor(L, s, -1);
  lua_pushlstring(L, neap_count(t) ? neap_read(t) : "", (size_t)neap_count(t));
  nl_release_slot(nl_slot_at(L, s, -2, NL_TENSOR));
  return 1;
}

static int write_png(lua_State *L) {
  nl_state *s = nl_up(L);
  const char *path = luaL_checkstring(L, 1);
  if (neap_write_png(path, nl_check_tensor(L, s, 2)) != NEAP_OK) return nl_system(L, s);
  lua_pushboolean(L, 1);
  return 1;
}

/* map_file(path, dtype, offset, shape): a part of a file as a read-only tensor; offset in bytes, from 0. */
static int map_file(lua_State *L) {
  nl_state *s = nl_up(L);
  static const neap_param params[] = {
    {.name = "dtype", .kind = NEAP_DTYPE}, {.name = "offset", .kind = NEAP_INT}, {.name = "shape", .kind = NEAP_INTS, .marks = NEAP_P_DIMS}};
  static const nl_binding binding = {.name = "map_file", .params = params, .n_params = 3, .lists = 1};
  const char *path = luaL_checkstring(L, 1);
  int top = lua_gettop(L);
  nl_args a;
  nl_bind_room(L, &binding, 2, top, &a);
  nl_slot *slot = nl_new(L, s, NL_TENSOR);
  nl_bind(L, s, &binding, 2, top, &a);
  int given = a.n == 3;
  for (int i = 0; i < a.n; i++) given &= a.value[i].kind != NEAP_NONE;
  if (!given) return nl_fail(L, s, "map_file: takes a path, a dtype, an offset and a shape");
  neap_tensor *t = neap_map_file(s->ctx, path, (neap_dtype)a.value[0].i, a.value[1].i, a.value[2].n, a.value[2].is);
  if (!t) return nl_system(L, s);
  nl_set_slot(s, slot, t);
  return 1;
}

void nl_open_files(lua_State *L, nl_state *s) {
  static const luaL_Reg list[] = {
    {"save", save}, {"load", load}, {"read_file", read_file}, {"read_bytes", read_bytes}, {"read_idx", read_idx}, {"read_png", read_png}, {"write_png", write_png},
    {"map_file", map_file}, {NULL, NULL},
  };
  (void)s;
  nl_functions(L, list);
}
