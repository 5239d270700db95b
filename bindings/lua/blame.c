/* Blame: which line of the script a call comes from, and how errors reach it. The line is that of the first Lua function
 * on the stack outside of Neap's own files, told by the beginning of their chunk names. File names are interned, since
 * records keep them; a small cache by the address of Lua's own copy makes the common case a comparison. */
#include <stdio.h>
#include <string.h>
#include "state.h"

const char *nl_intern(lua_State *L, nl_state *s, const char *text) {
  luaL_checkstack(L, 4, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->names_ref);
  lua_pushstring(L, text);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushvalue(L, -1);
    lua_rawset(L, -4);
    lua_pushvalue(L, -1);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
  return lua_tostring(L, -1);
}

static int is_own(const nl_state *s, const char *source) {
  return s->home_length > 0 && strncmp(source, s->home, (size_t)s->home_length) == 0;
}

int nl_locate(lua_State *L, nl_state *s) {
  lua_Debug ar;
  int allocated = 0;
  s->site.file = NULL;
  s->site.line = 0;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline < 0) continue;
    nl_source *f = &s->files[((uintptr_t)ar.source >> 4) % NL_FILES];
    if (NL_UNLIKELY(f->source != ar.source || strcmp(f->file, ar.short_src) != 0)) {
      const char *file = nl_intern(L, s, ar.short_src);
      lua_pop(L, 1);
      *f = (nl_source){ar.source, file, is_own(s, ar.source)};
      allocated = 1;
    }
    if (f->own) continue;
    s->site.file = f->file;
    s->site.line = ar.currentline;
    break;
  }
  return allocated;
}

const char *nl_where(lua_State *L, nl_state *s) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline >= 0 && !is_own(s, ar.source)) return lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  }
  return lua_pushliteral(L, "");
}

void nl_remember(lua_State *L, nl_state *s) {
  lua_pushvalue(L, -1);
  lua_rawseti(L, LUA_REGISTRYINDEX, s->error_ref);
}

int nl_is_remembered(lua_State *L, nl_state *s, int message) {
  message = lua_absindex(L, message);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
  int same = lua_rawequal(L, -1, message);
  lua_pop(L, 1);
  return same;
}

int nl_is_own_error(lua_State *L, nl_state *s, int message) {
  lua_Debug ar;
  int same = nl_is_remembered(L, s, message);
  for (int level = 1; !same && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline >= 0) return is_own(s, ar.source);
  }
  return same;
}

/* Raises the text on top with its place in front; remembers it, so that the program knows that no stack is needed. */
static int raise(lua_State *L, nl_state *s, const char *path) {
  const char *text = lua_tostring(L, -1);
  nl_path(L, s);
  if (!path) path = s->site.path;
  if (path && !strstr(text, path)) text = lua_pushfstring(L, "%s (in layer %s)", text, path);
  const char *where = nl_where(L, s);
  lua_pushfstring(L, "%s%s", where, text);
  nl_remember(L, s);
  return lua_error(L);
}

int nl_fail(lua_State *L, nl_state *s, const char *format, ...) {
  va_list args;
  if (s->ctx) neap_set_site(s->ctx, NULL); /* of the call that ends here: the host's own count from 0 */
  luaL_checkstack(L, 10, NULL);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  return raise(L, s, NULL);
}

int nl_raise(lua_State *L, nl_state *s) { return nl_raise_in(L, s, NULL); }

int nl_raise_in(lua_State *L, nl_state *s, const char *path) {
  char text[1100];
  neap_status status = neap_error(s->ctx);
  snprintf(text, sizeof text, "%s", neap_error_message(s->ctx));
  neap_clear(s->ctx);
  neap_set_site(s->ctx, NULL);
  luaL_checkstack(L, 10, NULL);
  if (status == NEAP_ERR_CANCELLED) {
    neap_cancel(s->ctx, 0);
    if (s->interrupted) s->interrupted(L);
    lua_pushliteral(L, "interrupted!");
  } else {
    lua_pushstring(L, *text ? text : "failed without a message");
  }
  return raise(L, s, path);
}

int nl_system(lua_State *L, nl_state *s) {
  neap_status status = neap_error(s->ctx);
  if (status != NEAP_ERR_IO && status != NEAP_ERR_FORMAT) return nl_raise(L, s);
  char text[1100];
  snprintf(text, sizeof text, "%s", neap_error_message(s->ctx));
  neap_clear(s->ctx);
  lua_pushnil(L);
  lua_pushstring(L, text);
  lua_pushstring(L, neap_status_name(status));
  return 3;
}

const char *nl_describe(lua_State *L, nl_state *s, int index) {
  index = lua_absindex(L, index);
  int type = lua_type(L, index);
  if (type == LUA_TNIL || type == LUA_TNONE) return lua_pushliteral(L, "nothing");
  if (type == LUA_TBOOLEAN) return lua_pushstring(L, lua_toboolean(L, index) ? "a boolean (true)" : "a boolean (false)");
  if (type == LUA_TNUMBER)
    return lua_isinteger(L, index) ? lua_pushfstring(L, "a number (%I)", (LUAI_UACINT)lua_tointeger(L, index))
                                   : lua_pushfstring(L, "a number (%f)", (LUAI_UACNUMBER)lua_tonumber(L, index));
  if (type == LUA_TSTRING) {
    char text[44];
    size_t n;
    const char *t = lua_tolstring(L, index, &n);
    snprintf(text, sizeof text, n > 40 ? "%.37s..." : "%s", t);
    return lua_pushfstring(L, "a string ('%s')", text);
  }
  nl_slot *slot = nl_slot_at(L, s, index, NL_TENSOR);
  if (slot && slot->object) {
    nl_shape_string(L, slot->object);
    const char *shape = lua_tostring(L, -1);
    lua_pushfstring(L, "a tensor of shape %s", shape);
    lua_remove(L, -2);
    return lua_tostring(L, -1);
  }
  if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING) {
    lua_pushfstring(L, "a %s", lua_tostring(L, -1));
    lua_remove(L, -2);
    return lua_tostring(L, -1);
  }
  return lua_pushfstring(L, "a %s", lua_typename(L, type));
}

/* Edits that turn a into b: insertions, deletions, replacements, and neighbours exchanged (Damerau, 1964), case aside; 99
 * for long words. */
static int distance(const char *a, const char *b) {
  enum { MOST = 40 };
  size_t n = strlen(a), m = strlen(b);
  unsigned char row[3][MOST + 1]; /* the last but one, the last, this */
  if (n > MOST || m > MOST) return 99;
  for (size_t j = 0; j <= m; j++) row[1][j] = (unsigned char)j;
  for (size_t i = 1; i <= n; i++) {
    row[2][0] = (unsigned char)i;
    for (size_t j = 1; j <= m; j++) {
      int best = row[1][j - 1] + ((a[i - 1] | 32) != (b[j - 1] | 32));
      if (row[1][j] + 1 < best) best = row[1][j] + 1;
      if (row[2][j - 1] + 1 < best) best = row[2][j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && row[0][j - 2] + 1 < best) best = row[0][j - 2] + 1;
      row[2][j] = (unsigned char)best;
    }
    memcpy(row[0], row[1], sizeof *row);
    memcpy(row[1], row[2], sizeof *row);
  }
  return row[1][m];
}

const char *nl_hint(lua_State *L, const char *word, const char *(*next)(const void *arg, int i), const void *arg) {
  const char *name;
  int best = -1, least = (int)strlen(word) / 3;
  if (least < 1) least = 1;
  for (int i = 0; (name = next(arg, i)) != NULL; i++) {
    int d = distance(word, name);
    if (d <= least) best = i, least = d - 1;
  }
  return best >= 0 ? lua_pushfstring(L, " (did you mean '%s'?)", next(arg, best)) : lua_pushliteral(L, "");
}
